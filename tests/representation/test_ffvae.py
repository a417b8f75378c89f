"""FFVAE: the loss by hand, the attributes and their dimensions, the permutation, what is left of the code."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from common import rows, same_weights, small
from scipy.special import log_softmax
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from skfair._data import Batch
from skfair.representation import FFVAETransformer, _ffvae


def fitted(s=None, **parameters):
    X, _, two = rows()
    return small(FFVAETransformer, **parameters).fit(X, sensitive_features=two if s is None else s)


def batch_of(net, X, sensitive, weight=None):
    rng, n = np.random.default_rng(0), len(X)
    draws = {name: torch.from_numpy(rng.random((n, m), dtype=np.float32)) for name, m in net.draws().items()}
    weight = torch.ones(n) if weight is None else torch.as_tensor(weight, dtype=torch.float32)
    codes, group = net.sensitive_encoder_.transform(pd.DataFrame(sensitive))
    x = torch.as_tensor(X, dtype=torch.float32)
    return Batch(x, None, torch.from_numpy(codes), torch.from_numpy(group), weight, torch.arange(n), **draws)


TABLE = pd.DataFrame({"sex": rows()[2], "region": np.array(["east", "north", "west"])[np.arange(120) % 3]})


# ---------------------------------------------------------------------- the loss
@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_the_loss_by_hand(alpha):
    net, X, weight = fitted(TABLE, alpha=alpha, gamma=2.0), rows()[0][:5], np.array([0.0, 1.0, 2.0, 1.5, 0.5])
    batch = batch_of(net, X, TABLE[:5], weight)
    mean, log_variance = (part.detach().double().numpy() for part in net.module_(batch.x))
    z = mean[:, :3] + np.exp(log_variance[:, :3] / 2) * norm.ppf(batch.draw.double().numpy()[:, :3])
    b = mean[:, 3:]  # without noise
    zb = np.hstack([z, b])
    out = net.module_.decode(torch.from_numpy(zb).float()).detach().double().numpy()
    v = net.module_.column_log_variance.detach().double().numpy()
    loss = 0.5 * ((X - out) ** 2 / np.exp(v) + v).sum(1)
    loss += 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance)[:, :3].sum(1)  # of z alone
    a = np.column_stack([TABLE["sex"] == "m", *[TABLE["region"] == value for value in ("east", "north", "west")]])[:5]
    loss += alpha * np.log(1 + np.exp(np.where(a, -b, b))).mean(1)
    logits = net.adversary_(torch.from_numpy(zb).float()).detach().numpy()
    loss += 2.0 * (logits[:, 0] - logits[:, 1])
    assert net.objective(net.infer(batch.x), batch).item() == pytest.approx((weight * loss).mean(), rel=1e-4)


def test_the_discriminators_loss_by_hand(monkeypatch):
    """P5: the dimensions b are shuffled, each by itself; z stays whole and beside its own weight."""
    net, weight = fitted(TABLE), np.linspace(0.1, 2, 40)
    batch, seen, real = batch_of(net, rows()[0][:40], TABLE[:40], weight), [], _ffvae.tell_apart
    monkeypatch.setattr(_ffvae, "tell_apart", lambda *args: seen.append(args) or real(*args))
    output = tuple(part.detach() for part in net.infer(batch.x))
    loss = net.adversary_objective(output, batch).item()
    (_, zb, shuffled, _, own), code = seen[0], net.code(output, batch)
    assert torch.equal(zb, code)
    assert torch.equal(shuffled[:, :3], code[:, :3])
    assert torch.equal(shuffled[:, 3:].sort(0).values, code[:, 3:].sort(0).values)
    order = batch.adversary_draw.argsort(0).numpy()
    assert order.shape == (40, 4)
    assert len(set(map(tuple, order.T))) == 4
    assert np.array_equal(shuffled[:, 3:], np.take_along_axis(code.numpy()[:, 3:], order, 0))
    np.testing.assert_allclose(own, weight[order].prod(1) * weight, rtol=1e-5)
    told = [log_softmax(net.adversary_(part).detach().numpy(), 1) for part in (zb, shuffled)]
    expected = -0.5 * ((weight * told[0][:, 0]).mean() + (own.numpy() * told[1][:, 1]).mean())
    assert loss == pytest.approx(expected, rel=1e-5)


def test_the_seed_of_the_discriminator_does_not_move_the_network():
    """With gamma=0 the discriminator, whatever its size, changes nothing."""
    one, two = (fitted(gamma=0, adversary_hidden=hidden) for hidden in ((8,), (20, 20)))
    assert same_weights(one, two)
    assert not same_weights(one, fitted(gamma=5.0))


def test_dimensions_tell_more_of_their_attribute_the_larger_alpha_is():
    """P5."""
    X, _, s = rows(400)
    found = []
    for alpha in (0.0, 1.0, 20.0):
        net = small(FFVAETransformer, alpha=alpha, gamma=0.0, max_epochs=12, n_components=2)
        b = net.fit(X, sensitive_features=s).encode(X)[:, 2]
        found.append(roc_auc_score(s == "m", b))
    assert found[0] < found[1] + 0.02 < found[2] + 0.04
    assert found[2] > 0.9
    assert found[2] > found[0] + 0.1


# ---------------------------------------------------------------------- attributes
@pytest.mark.parametrize(
    ("features", "attributes"),
    [
        (TABLE[["sex"]], [("sex", "m")]),
        (TABLE[["region"]], [("region", "east"), ("region", "north"), ("region", "west")]),
        (TABLE, [("sex", "m"), ("region", "east"), ("region", "north"), ("region", "west")]),
        (TABLE[["sex"]].assign(x=1), [("sex", "m")]),
        (np.where(np.arange(120) < 30, None, TABLE["sex"]), [("f",), ("m",), ("missing",)]),
    ],
    ids=["two values", "three values", "two columns", "a constant column", "missing values"],
)
def test_attributes(features, attributes):
    net = fitted(features)
    found = net.attributes_ if len(attributes[0]) == 2 else [(value,) for _, value in net.attributes_]
    assert found == attributes
    assert net.n_latents_ == 3 + len(attributes)
    assert net.encode(rows()[0]).shape == (120, 3 + len(attributes))
    assert net.transform(rows()[0]).shape == (120, 3)


# ---------------------------------------------------------------------- what is left
@pytest.mark.parametrize("removal", ["drop", "zero", "noise"])
def test_what_is_left_does_not_hold_the_sensitive_dimensions(removal):
    """P5."""
    X = rows()[0]
    net = fitted(TABLE, removal=removal)
    before, whole = net.transform(X), net.encode(X)
    width = {"drop": 3}.get(removal, 7)
    assert before.shape == (120, width)
    assert net.get_feature_names_out().tolist() == [f"ffvaetransformer{j}" for j in range(width)]
    assert np.array_equal(before[:, :3], whole[:, :3])
    with torch.no_grad():
        net.module_.encoder[1][-1].bias[3:7] += 5  # the dimensions b
    assert np.abs(net.encode(X)[:, 3:] - whole[:, 3:]).min() > 4
    assert np.array_equal(net.transform(X), before)
    if removal == "zero":
        assert (before[:, 3:] == 0).all()
    if removal == "noise":
        assert abs(before[:, 3:].mean()) < 0.2
        assert 0.8 < before[:, 3:].std() < 1.2
        assert max(abs(np.corrcoef(before[:, 3], whole[:, j])[0, 1]) for j in range(7)) < 0.3


def test_noise_is_of_the_seed():
    X = rows()[0]
    one, same, other = (fitted(removal="noise", random_state=seed).transform(X) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert np.abs(one - other)[:, 3].min() > 0


def test_back_from_what_is_left():
    """Dropped dimensions are decoded as zeros."""
    X = rows()[0]
    drop, zero = fitted(removal="drop"), fitted(removal="zero")
    back = drop.inverse_transform(drop.transform(X))
    assert back.shape == X.shape
    assert np.array_equal(back, zero.inverse_transform(zero.transform(X)))
    with pytest.raises(ValueError, match=r"shape \(120, 4\), expected \(n, 3\)"):
        drop.inverse_transform(zero.transform(X))


def test_samples_leave_out_the_same_dimensions():
    net, X = fitted(), rows()[0]
    drawn = net.sample(X, random_state=0)
    assert drawn.shape == (120, 3)
    assert np.array_equal(drawn, net.sample(X, random_state=0))
    assert np.abs(drawn - net.transform(X)).max() > 0.1


def test_copies_are_whole():
    X = rows()[0]
    net = fitted(TABLE, removal="noise")
    for twin in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert np.array_equal(twin.transform(X), net.transform(X))
        assert twin.attributes_ == net.attributes_


def test_frames():
    X = pd.DataFrame(rows()[0], columns=list("abcd")).assign(sex=(rows()[2] == "m").astype(float))
    net = small(FFVAETransformer, sensitive_columns="sex").set_output(transform="pandas").fit(X)
    assert net.attributes_ == [("sex", 1.0)]
    assert net.transform(X).columns.tolist() == [f"ffvaetransformer{j}" for j in range(3)]
    assert net.likelihood_.tolist() == ["gaussian"] * 4 + ["bernoulli"]


def test_later_rows_may_hold_one_group():
    X, _, s = rows()
    net = fitted()
    before = net.transform(X)
    net.partial_fit(X[s == "f"], sensitive_features=s[s == "f"])
    assert net.attributes_ == [("sensitive_feature_0", "m")]
    assert not np.array_equal(net.transform(X), before)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(alpha=-1), "alpha must be a number >= 0, got -1"),
        (dict(gamma=-0.5), "gamma must be a number >= 0, got -0.5"),
        (dict(removal="remove"), "removal must be one of.*'drop'.*got 'remove'"),
        (dict(removal=None), "removal must be one of.*got None"),
        (dict(n_components=0), "n_components must be an integer >= 1, got 0"),
        (dict(likelihood="bernoulli"), r"needs values in \[0, 1\], but column 0"),
    ],
    ids=str,
)
def test_bad_parameters(parameters, message):
    net = small(FFVAETransformer, **parameters)
    with pytest.raises(ValueError, match=message):
        net.fit(rows()[0], sensitive_features=rows()[2])
    assert not hasattr(net, "module_")


def test_neither_groups_nor_labels_are_needed_to_transform():
    X, y, s = rows()
    with pytest.raises(ValueError, match="FFVAETransformer needs sensitive_features"):
        small(FFVAETransformer).fit(X, y)
    assert same_weights(fitted(), small(FFVAETransformer).fit(X, y, sensitive_features=s))
    assert fitted().transform(X[:1]).shape == (1, 3)


def test_held_out_rows_are_decoded_from_the_means():
    net = fitted(TABLE)
    batch = batch_of(net, rows()[0][:5], TABLE[:5])
    output = net.infer(batch.x)
    assert torch.equal(net.code(output, batch._replace(draw=None)), output[0])
    assert not torch.equal(net.code(output, batch), output[0])
