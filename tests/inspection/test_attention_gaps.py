"""Gaps of attention scores between groups by hand, beside what Theorem 1 says of them."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
import torch
from common import rows, small
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skfair.attention import DebiasedAttentionClassifier
from skfair.functional import attention_gap_bound, folded_normal_mean
from skfair.inspection import attention_gaps
from skfair.modules import FTTransformer, TextTransformer
from skfair.robust import ERMClassifier

TINY = dict(module__d_model=8, module__n_layers=2, module__n_heads=2, device="cpu")
COLUMNS = [
    *("group", "head", "query", "key", "share", "plain", "plain_std", "debiased", "debiased_std", "predicted", "bound"),
    *("free_bound", "within_bound", "within_free_bound"),
]


@pytest.fixture(scope="module")
def nets():
    X, y, _ = rows()
    plain = small(ERMClassifier, module=FTTransformer, **TINY).fit(X, y)
    return {"plain": plain, "debiased": small(DebiasedAttentionClassifier, **TINY).fit(X, y)}


def projected(net, X, layer=-1):
    """Queries and keys (n, H, N, c) as the layer projects them."""
    module = copy.deepcopy(net.module_).double().eval()
    with torch.no_grad():
        tokens = module.encoder.embed(torch.tensor(net.network_inputs(X)))[0]
        for part in module.encoder.layers[: layer % 2]:
            tokens = part(tokens)
        own = module.encoder.layers[layer]
        heads = own.attention.project(own.norm(tokens))
    return heads.query.numpy(), heads.key.numpy()


def by_hand(q, k, s, first, r, n, h, q_stats=None, k_stats=None):
    """plain, debiased and predicted of one pair of positions, in loops."""
    width, inside = q.shape[-1], s == first
    standard = []
    for values, place, stats in ((q, r, q_stats), (k, n, k_stats)):
        own = values[:, h, place]
        mean, std = (own.mean(0), own.std(0, ddof=1)) if stats is None else (stats[0][h, place], stats[1][h, place])
        standard.append(np.abs((own - mean) / std))
    scores = {
        "plain": [q[i, h, r] @ k[i, h, n] / math.sqrt(width) for i in range(len(q))],
        "debiased": [standard[0][i] @ standard[1][i] / math.sqrt(width) for i in range(len(q))],
    }
    found = {}
    for name, values in scores.items():
        values = np.array(values)
        found[name] = abs(values[inside].mean() - values[~inside].mean())
        found[f"{name}_std"] = values.std()
    expected, share = [0.0, 0.0], inside.mean()
    for c in range(width):
        for which, rows_of in enumerate((inside, ~inside)):
            product = 1.0
            for values, place in ((q, r), (k, n)):
                own, other = values[rows_of, h, place, c], values[~rows_of, h, place, c]
                pair = (torch.tensor(v) for v in (own.mean() - other.mean(), own.std(), other.std()))
                product *= float(folded_normal_mean(*pair, share if which == 0 else 1 - share))
            expected[which] += product / math.sqrt(width)
    return {**found, "predicted": abs(expected[0] - expected[1]), "share": share}


@pytest.mark.parametrize("kind", ["plain", "debiased"])
@pytest.mark.parametrize("layer", [1, 0])
def test_by_hand(nets, kind, layer):
    X, _, s = rows()
    found = attention_gaps(nets[kind], X, sensitive_features=s, layer=layer, query="all")
    assert found.columns.tolist() == COLUMNS
    assert len(found) == 2 * 5 * 5
    assert set(found["group"]) == {"f"}
    q, k = projected(nets[kind], X, layer)
    names = ["[CLS]", "x0", "x1", "x2", "x3"]
    for h, r, n in [(0, 0, 1), (1, 0, 4), (0, 3, 0), (1, 2, 2)]:
        if layer == 0 and 0 in (r, n):
            continue  # there the classification token is constant
        row = found[(found["head"] == h) & (found["query"] == names[r]) & (found["key"] == names[n])].iloc[0]
        for name, value in by_hand(q, k, s, "f", r, n, h).items():
            assert row[name] == pytest.approx(value, abs=1e-9), name
    theorem, free = attention_gap_bound(4, (s == "f").mean())
    assert np.allclose(found["bound"], theorem)
    assert np.allclose(found["free_bound"], free)


def test_where_the_query_is_constant_no_gap_is_predicted(nets):
    """Before the first layer the classification token is the same in all rows."""
    found = attention_gaps(nets["plain"], rows()[0], sensitive_features=rows()[2], layer=0)
    assert (found["predicted"] == 0).all()
    assert found["debiased"].max() < 1e-6 < found["plain"].max()


def test_the_classification_token_alone_by_default(nets):
    X, _, s = rows()
    net = nets["debiased"]
    every = attention_gaps(net, X, sensitive_features=s, query="all")
    own = every[every["query"] == "[CLS]"].reset_index(drop=True)
    pd.testing.assert_frame_equal(attention_gaps(net, X, sensitive_features=s), own)


def test_batches_and_order_and_names_of_groups(nets, monkeypatch):
    X, _, s = rows()
    net = nets["plain"]
    told = attention_gaps(net, X, sensitive_features=s)
    order = np.random.default_rng(0).permutation(len(X))
    monkeypatch.setattr("skfair.inspection._opened_layer.BATCH", 11)
    pd.testing.assert_frame_equal(attention_gaps(net, X[order], sensitive_features=s[order]), told)
    turned = attention_gaps(net, X, sensitive_features=np.where(s == "f", "z", "a"))
    changed = ["group", "share"]
    pd.testing.assert_frame_equal(turned.drop(columns=changed), told.drop(columns=changed))
    assert np.allclose(turned["share"], 1 - told["share"])


def test_the_bound_without_assumptions_holds_for_any_rows(nets):
    """Heavy tails, few rows of one group: exact, as the statistics are those of the rows."""
    rng = np.random.default_rng(0)
    X = rng.standard_cauchy((80, 4)).clip(-50, 50)
    for share in (0.5, 0.1, 1 / 80):
        s = np.where(np.arange(80) < 80 * share, "few", "many")
        for net in nets.values():
            found = attention_gaps(net, X, sensitive_features=s, query="all")
            assert found[["within_bound", "within_free_bound"]].all(axis=None)
            assert (found["free_bound"] < found["bound"]).all()
            assert np.isfinite(found.drop(columns=["group", "query", "key"]).to_numpy(float)).all()


def test_the_prediction_is_right_where_the_assumptions_are():
    """One head of one channel; query and key are two independent columns, normal within the groups."""
    rng = np.random.default_rng(0)
    n = 20_000
    s = (rng.random(n) < 0.3).astype(int)
    q = np.where(s == 1, 2.0, 0.0) + np.where(s == 1, 0.5, 1.0) * rng.normal(size=n)
    k = np.where(s == 1, -1.0, 0.0) + rng.normal(size=n)

    class Stub(torch.nn.Module):
        n_heads = 1

        def project(self, tokens):
            from skfair.modules._attention import Heads

            return Heads(tokens[:, None, :, :1], tokens[:, None, :, 1:], tokens[:, None])

    class Embed(torch.nn.Module):
        columns, n_positions = ([0],), 2

        def forward(self, x):
            return x.unflatten(1, (2, 2)), None

    net = torch.nn.Module()
    net.encoder = torch.nn.Module()
    net.encoder.embed, layer = Embed(), torch.nn.Module()
    layer.norm, layer.attention = torch.nn.Identity(), Stub()
    net.encoder.layers = torch.nn.ModuleList([layer])
    net.encoder.anything = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    X = np.column_stack([q, rng.normal(size=n), rng.normal(size=n), k])
    found = attention_gaps(net, X, sensitive_features=s)
    row = found[found["key"] == "x0"].iloc[0]
    assert row["predicted"] == pytest.approx(row["debiased"], abs=0.03)
    assert row["debiased"] > 0.2
    assert row["plain"] == pytest.approx(2.0, abs=0.05)


def test_running_statistics(nets):
    X, _, s = rows()
    net = nets["debiased"]
    layer = net.module_.attention
    found = attention_gaps(net, X, sensitive_features=s, statistics="running")
    stats = [
        [getattr(layer, f"{name}_{kind}").double().numpy() for kind in ("mean", "std")] for name in ("query", "key")
    ]
    q, k = projected(net, X)
    row = found[(found["head"] == 1) & (found["key"] == "x2")].iloc[0]
    told = by_hand(q, k, s, "f", 0, 3, 1, *stats)
    assert row["debiased"] == pytest.approx(told["debiased"], abs=1e-9)
    given = attention_gaps(net, X, sensitive_features=s)
    assert not np.allclose(found["debiased"], given["debiased"], atol=1e-3)
    same = ["plain", "predicted", "bound", "free_bound"]
    pd.testing.assert_frame_equal(found[same], given[same])
    exact = copy.deepcopy(net)
    exact.module_.double().recalibrate([torch.tensor(net.network_inputs(X))])
    told = attention_gaps(exact, X, sensitive_features=s, statistics="running")
    assert np.allclose(told["debiased"], given["debiased"], atol=1e-6)
    with pytest.raises(ValueError, match="statistics='running' needs a debiased layer, got Attention: use 'given'"):
        attention_gaps(nets["plain"], X, sensitive_features=s, statistics="running")
    with pytest.raises(ValueError, match="statistics must be one of.*got 'batch'"):
        attention_gaps(net, X, sensitive_features=s, statistics="batch")


def test_more_than_two_groups_are_compared_with_all_others(nets):
    X, _, s = rows()
    three = np.where(X[:, 3] > 1, "x", s)
    found = attention_gaps(nets["plain"], X, sensitive_features=three)
    assert found["group"].unique().tolist() == ["f", "m", "x"]
    for group in ("f", "m", "x"):
        names = np.where(three == group, "0", "1")  # sorted before the rest
        alone = attention_gaps(nets["plain"], X, sensitive_features=names)
        own = found[found["group"] == group].reset_index(drop=True)
        pd.testing.assert_frame_equal(own.drop(columns="group"), alone.drop(columns="group"))
    both = pd.DataFrame({"sex": s, "old": X[:, 3] > 0})
    assert attention_gaps(nets["plain"], X, sensitive_features=both)["group"].nunique() == 4


def test_padding():
    """Only rows that have both tokens count, and pairs that a group lacks are left out."""
    texts = ["the cat sat", "a dog sat down here", "the dog", "cat", "a cat and a dog sat here", "down the dog"] * 10
    y = np.arange(60) % 2
    s = np.where(np.arange(60) % 6 == 3, "short", "long")  # "cat"
    net = small(ERMClassifier, module=TextTransformer, **TINY).fit(texts, y)
    found = attention_gaps(net, texts, sensitive_features=s)
    assert found["key"].unique().tolist() == ["[CLS]", "token 1", "token 2"]
    assert found["within_free_bound"].all()
    assert np.allclose(found["share"], 5 / 6)
    s = np.where(np.arange(60) % 6 < 2, "a", "b")
    found = attention_gaps(net, texts, sensitive_features=s, query="all")
    row = found[(found["head"] == 0) & (found["query"] == "token 4") & (found["key"] == "token 1")].iloc[0]
    ids = net.network_inputs(texts)
    with torch.no_grad():
        heads = net.module_.attention.project(net.module_.last_input(torch.tensor(ids)).tokens)
    q, k = heads.query[:, 0, 4].double().numpy(), heads.key[:, 0, 1].double().numpy()
    there = ids[:, 4] != 0
    plain, q_hat = (q * k).sum(1)[there] / 2, np.abs((q - q[there].mean(0)) / q[there].std(0, ddof=1))
    hat = (q_hat * np.abs((k - k.mean(0)) / k.std(0, ddof=1))).sum(1)[there] / 2
    inside = s[there] == "a"
    assert row["share"] == pytest.approx(inside.mean())
    assert row["plain"] == pytest.approx(abs(plain[inside].mean() - plain[~inside].mean()), abs=1e-5)
    assert row["debiased"] == pytest.approx(abs(hat[inside].mean() - hat[~inside].mean()), abs=1e-4)
    assert row["free_bound"] == pytest.approx(math.sqrt(4 * there.sum() * 60) / min(inside.sum(), (~inside).sum()))
    assert found["within_free_bound"].all()


def test_pipelines_and_state(nets):
    X, y, s = rows()
    pipe = make_pipeline(StandardScaler(), small(ERMClassifier, module=FTTransformer, **TINY)).fit(X, y)
    before = copy.deepcopy(pipe[-1].module_.state_dict())
    found = attention_gaps(pipe, X, sensitive_features=s)
    pd.testing.assert_frame_equal(found, attention_gaps(pipe[-1], pipe[0].transform(X), sensitive_features=s))
    assert all(torch.equal(value, before[name]) for name, value in pipe[-1].module_.state_dict().items())


def test_errors(nets):
    X, y, s = rows()
    with pytest.raises(ValueError, match="sensitive_features has only one group, 'f': there is nothing to compare"):
        attention_gaps(nets["plain"], X, sensitive_features=["f"] * 120)
    with pytest.raises(ValueError, match="sensitive_features has 119 rows, but X has 120"):
        attention_gaps(nets["plain"], X, sensitive_features=s[1:])
    with pytest.raises(ValueError, match="MLP has no attention"):
        attention_gaps(small(ERMClassifier).fit(X, y), X, sensitive_features=s)
    with pytest.raises(ValueError, match="query must be one of"):
        attention_gaps(nets["plain"], X, sensitive_features=s, query="none")
