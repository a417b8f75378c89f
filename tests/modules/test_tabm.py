"""TabM: the formula, what its members learn, and every classifier that can take it."""

import copy
import importlib
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from common import RIGHTLY_WARNED, all_nets, quick, rows, same_weights, small, weights_of
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from skfair._data import Batch
from skfair.adversarial import AdversarialClassifier
from skfair.base import BaseClassifier
from skfair.base._classifier import two_logits
from skfair.base._members import make_members, unstackable
from skfair.base._stack import bytes_of, stacks_of, train_stack
from skfair.functional import weighted_mean
from skfair.model_selection import FrontierSearchCV
from skfair.modules import TabM
from skfair.regularization import RegularizedClassifier
from skfair.representation import RNFClassifier
from skfair.robust import (
    ChiSquareDROClassifier,
    CVaRDROClassifier,
    ERMClassifier,
    GroupDROClassifier,
    JTTClassifier,
    LfFClassifier,
)

pytest.importorskip("tabm")
pytest.importorskip("rtdl_num_embeddings")
pytestmark = RIGHTLY_WARNED
TINY = dict(module="tabm", module__n_members=3, module__n_layers=2, module__width=8)
STILL = dict(TINY, module__dropout=0.0, sensitive_columns=None)
# what the networks of these must have, an ensemble has not; the error that says so
REFUSE = {
    "AdversarialClassifier": "attack='encoder' needs a module with an encoder and a head, got TabM",
    "DebiasedAttentionClassifier": "module must be a transformer .*; got TabM",
    "LfFClassifier": "LfFClassifier keeps one loss of each row: module='tabm' is an ensemble",
    "RNFClassifier": "module must have an encoder and a head, got 'tabm'",
}
OTHERWISE = {"AdversarialClassifier": dict(attack="output")}  # with which they can


def tiny(cls=ERMClassifier, **parameters):
    return small(cls, **{**STILL, **parameters})


def members_by_hand(net, x):
    """The members' logits (n, m, K) in numpy: h = ReLU(s * (W (r * x)) + b), a head of its own for each."""
    _, backbone, head = net.body
    value = {name: p.detach().double().numpy() for name, p in net.named_parameters()}
    logits = []
    for m in range(net.n_members):
        h = x
        for k in range(len(backbone.blocks)):
            weight, r, s, b = (value[f"body.1.blocks.{k}.0.{name}"] for name in ("weight", "r", "s", "bias"))
            h = np.maximum(s[m] * ((h * r[m]) @ weight.T) + b[m], 0)
        logits.append(h @ value["body.2.weight"][m] + value["body.2.bias"][m])
    return np.stack(logits, 1)


def softmax(logits):
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


@pytest.fixture
def seeded():
    """torch's global generator with a known seed, and put back."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


# ---------------------------------------------------------------------- the formula
@pytest.mark.parametrize(("members", "layers", "classes"), [(1, 1, 2), (3, 2, 2), (4, 3, 5)])
def test_the_formula(seeded, members, layers, classes):
    net = TabM(5, classes, n_members=members, n_layers=layers, width=6, dropout=0.5).double()
    for p in net.parameters():
        torch.nn.init.normal_(p)  # the members of a fresh net differ in the first scaling and the heads alone
    x = np.random.default_rng(0).normal(size=(7, 5))
    logits = members_by_hand(net, x)
    net.eval()
    out = net(torch.tensor(x))
    assert out.shape == (7, classes)
    np.testing.assert_allclose(torch.softmax(out, -1).detach(), softmax(logits).mean(1), rtol=1e-9)
    net.train()
    for part in net.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    assert net(torch.tensor(x)).shape == (7, members, classes)
    np.testing.assert_allclose(net(torch.tensor(x)).detach(), logits, rtol=1e-9)


def test_an_estimator_predicts_the_mean_of_its_members_probabilities():
    X, y, _ = rows()
    net = tiny(max_epochs=4).fit(X, y)
    assert type(net.module_) is TabM
    assert net.module_.n_members == 3
    logits = members_by_hand(net.module_, X.astype(np.float32).astype(float))
    np.testing.assert_allclose(net.predict_proba(X), softmax(logits).mean(1), rtol=1e-9)
    p = net.predict_proba(X)
    np.testing.assert_allclose(net.decision_function(X), np.log(p[:, 1] / p[:, 0]), rtol=1e-7)
    assert np.array_equal(net.predict(X), p.argmax(1))
    assert np.abs(logits[:, 0] - logits[:, 1]).max() > 1e-3  # the members differ
    one_by_one = np.concatenate([net.predict_proba(row[None]) for row in X[:10]])
    np.testing.assert_allclose(one_by_one, p[:10], rtol=1e-12)


def test_large_logits_do_not_overflow(seeded):
    net = TabM(2, 2, n_members=2, width=4).eval()
    with torch.no_grad():
        net.body[2].bias[:] = torch.tensor([[500.0, -500.0], [-500.0, 500.0]])
    p = torch.softmax(net(torch.zeros(3, 2)), -1)
    assert torch.allclose(p, torch.full((3, 2), 0.5))


def test_two_logits_of_three_axes():
    logits = torch.arange(24.0).reshape(4, 3, 2)
    assert torch.equal(two_logits(logits), logits.reshape(12, 2))
    batch = Batch(torch.arange(8.0).reshape(4, 2), torch.arange(4), *[torch.arange(4)] * 4)
    repeated = batch.repeated(3)
    assert repeated.y.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]  # in the order of the flattened logits
    assert torch.equal(repeated.x, batch.x.repeat_interleave(3, 0))
    assert repeated.draw is None
    stack = Batch(*(torch.stack([value, value + 1]) for value in batch[:6]))
    assert torch.equal(stack.repeated(3).y, torch.stack([repeated.y, repeated.y + 1]))
    assert stack.repeated(3).x.shape == (2, 12, 2)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_objective_is_the_mean_over_rows_and_members(classes):
    X, y, _ = rows()
    y = y if classes == 2 else np.digitize(X[:, 0], [-0.5, 0.5])
    w = np.random.default_rng(0).uniform(0, 2, size=120)
    seen = []

    class Spy(ERMClassifier):
        def objective(self, output, batch):
            value = super().objective(output, batch)
            if self.module_.training:
                logits = members_by_hand(self.module_, batch.x.double().numpy()[::3])  # of each row once
                seen.append((logits, output.detach().numpy(), batch, float(value.detach())))
            return value

    tiny(Spy, batch_size=50, max_epochs=2).fit(X, y, sample_weight=w)
    assert [len(output) for _, output, _, _ in seen] == 2 * [150, 150, 60]
    for logits, output, batch, value in seen:
        index = batch.index.numpy()[::3]
        assert len(batch.y) == len(batch.weight) == len(batch.index) == len(output) == 3 * len(index)
        np.testing.assert_allclose(batch.x.numpy()[::3], X[index], rtol=1e-6)
        np.testing.assert_allclose(output, logits.reshape(len(output), -1), rtol=1e-4, atol=1e-5)
        told = softmax(logits)[np.arange(len(index))[:, None], np.arange(3), y[index][:, None]]
        losses, share = -np.log(told).mean(1), w[index] / w.mean()
        assert value == pytest.approx((share * losses).mean(), rel=1e-4)


def test_held_out_rows_are_watched_by_the_ensemble():
    """The loss of the averaged probabilities, of each row once."""
    X, y, _ = rows()
    net = tiny(early_stopping=True, patience=None, max_epochs=3, lr=1e-6).fit(X, y)
    rates = net.history[:, "valid_loss"]
    p = net.predict_proba(X)[np.arange(120), y]
    assert min(-np.log(p).min(), 0.3) < rates[-1] < max(-np.log(p).max(), 1.0)
    seen = []

    class Spy(ERMClassifier):
        def objective(self, output, batch):
            seen.append((self.module_.training, len(output), len(batch.y)))
            return super().objective(output, batch)

    tiny(Spy, early_stopping="accuracy", max_epochs=1, batch_size=-1).fit(X, y)
    assert seen == [(True, 324, 324), (False, 12, 12)]


def test_the_penalty_is_of_rows_and_members():
    X, y, s = rows()
    seen = []

    class Spy(RegularizedClassifier):
        def unfairness(self, logits, batch):
            value = super().unfairness(logits, batch)
            seen.append(
                (logits.detach().double().numpy(), batch.group.numpy(), batch.weight.numpy(), float(value.detach()))
            )
            return value

    w = np.random.default_rng(0).integers(1, 4, size=120)
    net = tiny(Spy, batch_size=-1, max_epochs=1, shuffle=False).fit(X, y, sensitive_features=s, sample_weight=w)
    logits, group, weight, value = seen[0]
    p = softmax(logits)[:, 1]
    assert logits.shape == (360, 2)
    assert np.array_equal(group, np.repeat((s == "m").astype(int), 3))
    np.testing.assert_allclose(weight, np.repeat(w / w.mean(), 3), rtol=1e-6)
    rate = [np.average(p[group == k], weights=weight[group == k]) for k in (0, 1)]
    assert value == pytest.approx(abs(rate[0] - rate[1]), rel=1e-4)
    per_row = p.reshape(120, 3).mean(1)  # the same as the gap of the members' mean
    known = [np.average(per_row[s == k], weights=w[s == k]) for k in "fm"]
    assert value == pytest.approx(abs(known[0] - known[1]), rel=1e-4)
    assert net.n_groups_ == 2


# ---------------------------------------------------------------------- degenerate equalities
@pytest.mark.parametrize(
    ("cls", "given"),
    [
        (RegularizedClassifier, dict(strength=0.0)),
        (AdversarialClassifier, dict(strength=0.0, attack="output")),
        (AdversarialClassifier, dict(strength=0.0, attack="output", reversal=True)),
        (CVaRDROClassifier, dict(alpha=1.0, weight_decay=0.0)),
        (ChiSquareDROClassifier, dict(alpha_min=1.0, weight_decay=0.0)),
        (JTTClassifier, dict(upweight=1, optimizer=torch.optim.Adam, weight_decay=0.0)),
    ],
    ids=lambda value: getattr(value, "__name__", None) or "-".join(value),
)
def test_without_strength_it_is_erm(cls, given):
    X, y, s = rows()
    settings = dict(batch_size=32, max_epochs=3, module__dropout=0.2)
    net = tiny(cls, **settings, **given).fit(X, y, sensitive_features=s)
    erm = tiny(**settings).fit(X, y)
    if cls in (CVaRDROClassifier, ChiSquareDROClassifier):  # weights that are 1 up to rounding
        for one, other in zip(weights_of(net), weights_of(erm)):
            np.testing.assert_allclose(one, other, atol=1e-4)
    else:
        assert same_weights(net, erm)


def test_strength_lowers_the_gap():
    X, y, s = rows(300)
    gaps = []
    for strength in (0.0, 5.0):
        net = tiny(RegularizedClassifier, strength=strength, max_epochs=12).fit(X, y, sensitive_features=s)
        p = net.predict_proba(X)[:, 1]
        gaps.append(abs(p[s == "f"].mean() - p[s == "m"].mean()))
    assert gaps[1] < 0.5 * gaps[0] + 0.02


@pytest.mark.parametrize("cls", [ERMClassifier, RegularizedClassifier, CVaRDROClassifier])
def test_a_weight_of_two_is_a_row_given_twice(cls):
    X, y, s = rows()
    sizes = np.random.default_rng(0).integers(1, 4, size=120)
    given = dict(batch_size=-1, shuffle=False, max_epochs=10, optimizer=torch.optim.SGD, lr=0.1)
    weighted = tiny(cls, **given).fit(X, y, sensitive_features=s, sample_weight=sizes)
    twice = tiny(cls, **given).fit(
        *(np.repeat(v, sizes, axis=0) for v in (X, y)), sensitive_features=np.repeat(s, sizes)
    )
    plain = tiny(cls, **given).fit(X, y, sensitive_features=s)
    p, q, r = (net.predict_proba(X) for net in (weighted, twice, plain))
    assert np.abs(p - q).max() < 1e-5
    assert np.abs(p - r).max() > 1e-3


def test_a_row_without_weight_has_no_say():
    X, y, _ = rows()
    w = (np.arange(120) % 3 > 0).astype(float)
    other = np.where(w[:, None] > 0, X, 5 - X)
    nets = [tiny().fit(given, y, sample_weight=w) for given in (X, other)]
    assert np.abs(nets[0].predict_proba(X) - nets[1].predict_proba(X)).max() < 1e-6


# ---------------------------------------------------------------------- stacks
STACKED = {
    "ERM": (ERMClassifier, [{}]),
    "Regularized": (RegularizedClassifier, [dict(strength=v) for v in (0.0, 2.0)]),
    "Adversarial": (AdversarialClassifier, [dict(strength=v, attack="output") for v in (0.0, 1.0)]),
    "GroupDRO": (GroupDROClassifier, [dict(step_size=v, early_stopping=False) for v in (0.0, 0.5)]),
    "CVaR": (CVaRDROClassifier, [dict(alpha=v) for v in (0.3, 1.0)]),
    "JTT": (JTTClassifier, [dict(upweight=v) for v in (1, 5)]),
}


@pytest.mark.parametrize(("name", "embedding"), [*((name, 0) for name in STACKED), ("ERM", 4), ("Regularized", 4)])
def test_a_stack_equals_single_fits(name, embedding):
    cls, different = STACKED[name]
    X, y, s = rows()
    X = np.column_stack([X[:, :2], X[:, 2] > 0, X[:, 2] <= 0])
    given = dict(sensitive_features=s)
    own = dict(lr_schedule="cosine", gradient_clipping=0.5, module__d_embedding=embedding)
    nets = [tiny(cls, random_state=seed, **own, **value) for seed in (0, 1) for value in different]
    singles = [copy.deepcopy(net).fit(X, y, **given) for net in nets]
    members = make_members(nets, X, y, **given)
    assert [member.exception for member in members] == [None] * len(nets)
    (stack,) = stacks_of(members)
    assert bytes_of(members[0]) > 0
    train_stack(stack)
    for net, single in zip(nets, singles):
        np.testing.assert_allclose(net.predict_proba(X), single.predict_proba(X), atol=1e-5)
        np.testing.assert_allclose(net.history[:, "train_loss"], single.history[:, "train_loss"], rtol=1e-4)


@pytest.mark.parametrize("stop", [{}, dict(early_stopping=True, patience=1, lr=0.1, validation_fraction=0.3)])
def test_stacks_that_split_and_shrink(stop):
    X, y, s = rows(140)
    own = dict(batch_size=12, max_epochs=4, **stop)
    nets, singles, members = [], [], []
    for n in (134, 126) if stop else (107, 99):
        given = dict(sensitive_features=s[:n])
        made = [tiny(RegularizedClassifier, strength=v, random_state=k, **own) for v in (0.0, 2.0) for k in (0, 1)]
        singles += [copy.deepcopy(net).fit(X[:n], y[:n], **given) for net in made]
        members += make_members(made, X[:n], y[:n], **given)
        nets += made
    for stack in stacks_of(members):
        train_stack(stack)
    for net, single in zip(nets, singles):
        assert len(net.history) == len(single.history)
        np.testing.assert_allclose(net.predict_proba(X), single.predict_proba(X), atol=1e-4)
    assert (len({len(net.history) for net in nets}) > 1) == bool(stop)


def test_a_search_over_its_parameters():
    X, y, s = rows()
    net = tiny(RegularizedClassifier)
    assert unstackable(net) is None
    grid = {"strength": [0.0, 3.0], "module__n_members": [2, 3]}
    given = dict(cv=2, scoring="neg_log_loss", error_score="raise")
    stacked = FrontierSearchCV(net, grid, models="all", **given).fit(X, y, sensitive_features=s)
    single = GridSearchCV(net, grid, **given).fit(X, y, sensitive_features=s)
    np.testing.assert_allclose(stacked.cv_results_["mean_test_score"], single.cv_results_["mean_test_score"], atol=1e-4)
    assert {model.module_.n_members for model in stacked.models_.values()} == {2, 3}
    networks = {"module": ["mlp", "plr", "tabm"], "module__dropout": [0.0]}
    both = FrontierSearchCV(small(ERMClassifier, sensitive_columns=None), networks, **given).fit(X, y)
    assert np.isfinite(both.cv_results_["mean_test_score"]).all()


# ---------------------------------------------------------------------- as an estimator
def test_seeds_copies_and_generators(seeded):
    X, y, _ = rows()
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one, two, other = (tiny(random_state=k, module__dropout=0.3).fit(X, y) for k in (0, 0, 1))
    torch.manual_seed(17)
    three = tiny(random_state=0, module__dropout=0.3).fit(X, y)
    torch.random.set_rng_state(before[0])
    assert same_weights(one, two)
    assert same_weights(one, three)
    assert not same_weights(one, other)
    assert one.history[:, "train_loss"] == two.history[:, "train_loss"]
    again = pickle.loads(pickle.dumps(one))
    assert np.array_equal(again.predict_proba(X), one.predict_proba(X))
    assert same_weights(again.partial_fit(X, y), one.partial_fit(X, y))
    assert clone(one).get_params() == tiny(random_state=0, module__dropout=0.3).get_params()
    assert same_weights(clone(one).fit(X, y), two)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_by_class_and_as_an_instance():
    X, y, _ = rows()
    named, given = tiny().fit(X, y), tiny(module=TabM).fit(X, y)
    assert same_weights(named, given)
    with torch.random.fork_rng():
        instance = TabM(4, 2, n_members=3, width=8)
    net = small(ERMClassifier, module=instance, sensitive_columns=None).fit(X, y)
    assert net.predict_proba(X).shape == (120, 2)


def table(kind):
    X, y, _ = rows()
    if kind == "numeric":
        return X, y, (0, 1, 2, 3), ()
    block = np.eye(3)[np.arange(120) % 3]
    if kind == "none":
        return block, y, (), ((0, 1, 2),)
    if kind == "binary":
        return np.column_stack([X[:, 0] > 0, X[:, 1] > 0]).astype(float), y, (), ()
    return np.column_stack([X[:, 0], block, X[:, 1], X[:, 2] > 0, X[:, 3]]), y, (0, 4, 6), ((1, 2, 3),)


@pytest.mark.parametrize("embedding", [0, 5])
@pytest.mark.parametrize("kind", ["numeric", "none", "binary", "mixed"])
def test_tables_of_all_kinds(kind, embedding):
    X, y, numeric, blocks = table(kind)
    net = tiny(module__d_embedding=embedding, max_epochs=3).fit(X, y)
    assert (net.input_numeric_, net.input_blocks_) == (numeric, blocks)
    width = net.module_.body[1].blocks[0][0].in_features
    assert width == X.shape[1] + (embedding - 1) * len(numeric) * bool(embedding)
    assert net.predict_proba(X).shape == (120, 2)
    by_hand = tiny(module__d_embedding=embedding, max_epochs=3, module__numeric=list(numeric), module__blocks=blocks)
    assert same_weights(by_hand.fit(X, y), net)
    for kind_of in (sp.csr_matrix, sp.csc_array):
        sparse = tiny(module__d_embedding=embedding, max_epochs=3).fit(kind_of(X), y)
        assert same_weights(sparse, net)
        assert np.array_equal(sparse.predict_proba(kind_of(X)), net.predict_proba(X))
    frame = pd.DataFrame(X, columns=[f"c{k}" for k in range(X.shape[1])])
    assert same_weights(tiny(module__d_embedding=embedding, max_epochs=3).fit(frame, y), net)


@pytest.mark.parametrize("embedding", [0, 5])
def test_a_block_and_an_embedded_column_have_one_scaling_each(seeded, embedding):
    net = TabM(7, 2, numeric=[0, 4, 6], blocks=[(1, 2, 3)], n_members=4, width=6, d_embedding=embedding)
    r = net.body[1].blocks[0][0].r.detach()  # (members, inputs)
    widths = [5, 5, 5, 3, 1] if embedding else [1, 3, 1, 1, 1]  # embedded columns first, then the rest in order
    parts = r.split(widths, 1)
    assert all((part == part[:, :1]).all() for part in parts)
    assert len({tuple(part[:, 0].tolist()) for part in parts}) >= len(parts) - 2 * (not embedding)
    if not embedding:
        assert set(r.unique().tolist()) == {-1.0, 1.0}


def test_a_column_of_a_block_may_be_embedded():
    X, y, _, _ = table("mixed")
    tiny(module__d_embedding=5, module__numeric=[0, 1]).fit(X, y)


def test_three_classes():
    X, _, s = rows(300)
    y = np.array(["high", "low", "mid"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    net = tiny(max_epochs=20).fit(X, y, sensitive_features=s)
    p = net.predict_proba(X)
    assert p.shape == net.decision_function(X).shape == (300, 3)
    assert np.allclose(p.sum(1), 1)
    scores = net.decision_function(X)
    assert np.allclose(scores - scores.mean(1, keepdims=True), np.log(p) - np.log(p).mean(1, keepdims=True))
    assert net.score(X, y) > 0.6


def test_one_class_is_refused_as_elsewhere():
    with pytest.raises(ValueError, match="class"):
        tiny().fit(rows()[0], np.zeros(120))


def test_a_single_output_is_the_logit_of_the_second_class():
    X, y, _ = rows()
    net = tiny(module__out_features=1, max_epochs=10).fit(X, y)
    assert net.score(X, y) > 0.7


def test_more_members_and_more_axes():
    X, y, _ = rows()
    net = tiny(module__n_members=1).fit(X, y)
    assert net.predict_proba(X).shape == (120, 2)
    images = np.stack([X, X], 2)
    assert tiny().fit(images, y).module_.body[1].blocks[0][0].in_features == 8


def test_it_learns():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(800, 2))
    y = (np.sin(4 * X[:, 0]) > 0).astype(int)
    given = dict(module__width=32, module__d_embedding=8, module__frequency_init_scale=0.5, max_epochs=12, lr=0.01)
    net = tiny(**given).fit(X[:600], y[:600])
    assert net.score(X[600:], y[600:]) > 0.9


# ---------------------------------------------------------------------- every classifier
def test_those_that_refuse_are_listed():
    names = {name for name, _ in all_nets("classifier")}
    assert set(REFUSE) <= names


@pytest.mark.parametrize(
    "cls",
    [pytest.param(c, id=name) for name, c in all_nets("classifier") if name not in REFUSE or name in OTHERWISE],
)
def test_every_other_classifier_takes_it(cls):
    X, y, s = rows(80)
    own = {"max_epochs": 1, **TINY, "module__dropout": 0.1, **OTHERWISE.get(cls.__name__, {})}
    net = small(cls, **own).fit(X, y, sensitive_features=s)
    p = net.predict_proba(X)
    assert p.shape == (80, 2)
    assert np.isfinite(p).all()
    inner = [part for part in net.module_.modules() if isinstance(part, TabM)]
    inner += [net.base_.module_] if hasattr(net, "base_") else []
    assert type(inner[0]) is TabM
    again = small(cls, **own).fit(X, y, sensitive_features=s)
    assert np.array_equal(again.predict_proba(X), p)
    given = dict(cv=[(np.arange(80), np.arange(20))], scoring="neg_log_loss", error_score="raise", refit=False)
    stacked = FrontierSearchCV(small(cls, **own), {"random_state": [0, 1]}, models="best", **given)
    assert np.isfinite(stacked.fit(X, y, sensitive_features=s).cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("name", REFUSE)
def test_the_others_say_why(name):
    X, y, s = rows(80)
    net = small(dict(all_nets("classifier"))[name], max_epochs=1, **TINY)
    with pytest.raises(ValueError, match=re.sub(r"([()])", r"\\\1", REFUSE[name])):
        net.fit(X, y, sensitive_features=s)
    assert not net.initialized_
    (member,) = make_members([clone(net)], X, y, sensitive_features=s)
    assert re.search(REFUSE[name], str(member.exception))


def test_rnf_refuses_before_the_teacher_is_trained():
    X, y, s = rows(80)
    net = small(RNFClassifier, **TINY)
    with pytest.raises(ValueError, match="encoder"):
        net.fit(X, y, sensitive_features=s)
    assert not getattr(getattr(net, "teacher_", None), "initialized_", False)


def test_lff_refuses_instances_as_well():
    X, y, _ = rows(80)
    with torch.random.fork_rng():
        instance = TabM(4, 2, n_members=2, width=4)
    with pytest.raises(ValueError, match="keeps one loss of each row"):
        small(LfFClassifier, module=instance).fit(X, y)


def test_the_online_error_set_keeps_one_answer_of_a_row():
    X, y, _ = rows()
    with pytest.raises(ValueError, match="keeps one answer of each row: module='tabm'"):
        small(JTTClassifier, error_set="online", **TINY).fit(X, y)


def test_a_method_of_a_users_own_sees_rows_times_members():
    """As the guide says: the objective needs no word about ensembles."""
    sizes = []

    class Own(BaseClassifier):
        needs_sensitive = False
        n_draws = 2

        def extras(self, X, y):
            return np.asarray(X)[:, :1]

        def objective(self, output, batch):
            if self.module_.training:
                sizes.append({len(value) for value in (output, *batch) if value is not None})
                assert torch.equal(batch.draw[0], batch.draw[1])
                assert torch.allclose(batch.extra[:, 0], batch.x[:, 0])
            return weighted_mean(self.losses(output, batch), batch.weight)

    X, y, _ = rows()
    tiny(Own, batch_size=-1, max_epochs=2).fit(X, y)
    assert sizes == [{360}, {360}]


# ---------------------------------------------------------------------- packages that are missing
@pytest.mark.parametrize(
    ("package", "given", "user"),
    [("tabm", {}, "TabM"), ("rtdl_num_embeddings", dict(d_embedding=4), "An embedding of numeric columns")],
)
def test_missing_packages_are_named_with_the_pip_line(monkeypatch, package, given, user):
    real = importlib.import_module

    def without(name, *args):
        if name == package:
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", without)
    match = rf"{user} needs the package {package}: pip install 'skfair\[tabular\]'"
    with pytest.raises(ImportError, match=match):
        TabM(3, 2, **given)
    X, y, _ = rows()
    with pytest.raises(ImportError, match=match):
        tiny(**{f"module__{name}": value for name, value in given.items()}).fit(X, y)
    if package == "rtdl_num_embeddings":
        with torch.random.fork_rng():
            assert TabM(3, 2)(torch.zeros(2, 3)).shape == (2, 8, 2)  # without embeddings it is not needed


def test_bad_columns_are_named():
    with pytest.raises(ValueError, match=r"numeric holds the columns \[7\], but X has the columns 0 to 4"):
        TabM(5, 2, numeric=[0, 7], d_embedding=3)


# ---------------------------------------------------------------------- scikit-learn's checks
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "other minibatches, see test_a_weight_of_two_is_a_row_given_twice",
    "check_sample_weight_equivalence_on_sparse_data": "the same",
    "check_no_attributes_set_in_init": "module__width and the like are parameters that no signature lists",
}
CHECKED = dict(module="tabm", module__n_members=2, module__n_layers=1, module__width=16, lr=0.03, max_epochs=8)


@parametrize_with_checks([quick(ERMClassifier, **CHECKED)], expected_failed_checks=lambda _: EXPECTED)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
