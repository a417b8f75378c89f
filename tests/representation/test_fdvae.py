"""FD-VAE: the losses of both stages by hand, the signs of their gradients, what transform reads and what it does not."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from common import rows, same_weights, small
from scipy.special import log_softmax
from scipy.stats import norm

from skfair._data import Batch
from skfair.representation import FDVAETransformer


def fitted(s=None, y=None, **parameters):
    X, labels, two = rows()
    y, s = labels if y is None else y, two if s is None else s
    return small(FDVAETransformer, **parameters).fit(X, y, sensitive_features=s)


def batch_of(net, n=5, weight=None):
    X, y, s = rows()
    draw = torch.from_numpy(np.random.default_rng(0).random((n, net.n_draws), dtype=np.float32))
    weight = torch.ones(n) if weight is None else torch.as_tensor(weight, dtype=torch.float32)
    group = torch.from_numpy((s[:n] == "m").astype(np.int64))
    x, y = torch.as_tensor(X[:n], dtype=torch.float32), torch.from_numpy(y[:n])
    return Batch(x, y, group[:, None], group, weight, torch.arange(n), draw)


def told(head, code, truth):
    """Cross entropy of a classifier on part of the code, by row."""
    logits = head(torch.as_tensor(code, dtype=torch.float32)).detach().double().numpy()
    return -log_softmax(logits, 1)[np.arange(len(logits)), truth.numpy()]


# ---------------------------------------------------------------------- stage 1
def test_the_loss_by_hand():
    weight = np.array([0.0, 1.0, 2.0, 1.5, 0.5])
    net = fitted(alpha=0.7, gamma=3.0)
    batch, heads = batch_of(net, weight=weight), net.adversary_
    mean, log_variance = (part.detach().double().numpy() for part in net.module_(batch.x))
    z = mean + np.exp(log_variance / 2) * norm.ppf(batch.draw.double().numpy())
    out = net.module_.decode(torch.from_numpy(z).float()).detach().double().numpy()
    v = net.module_.column_log_variance.detach().double().numpy()
    loss = 0.5 * ((batch.x.numpy() - out) ** 2 / np.exp(v) + v).sum(1)
    loss += 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(1)
    tal, mal, pal, y, s = z[:, :2], z[:, 2:3], z[:, 3:], batch.y, batch.group
    aligned = [("y_tal", tal, y), ("s_pal", pal, s), ("y_mal", mal, y), ("s_mal", mal, s)]
    loss += 0.7 * sum(told(heads[name], part, truth) for name, part, truth in aligned)
    loss += told(heads["s_tal"], tal, s) + told(heads["y_pal"], pal, y)  # gamma is in the gradient alone
    assert net.objective(net.infer(batch.x), batch).item() == pytest.approx((weight * loss).mean(), rel=1e-4)


def gradients(net, gamma):
    """Of the objective, in the code's means and in the adversaries' parameters."""
    net.gamma, batch = gamma, batch_of(net, 40)
    output = tuple(part.detach().requires_grad_() for part in net.infer(batch.x))
    heads = [p for name in ("s_tal", "y_pal") for p in net.adversary_[name].parameters()]
    mean, *own = torch.autograd.grad(net.objective(output, batch), [output[0], *heads])
    return mean, own


def test_the_network_climbs_where_its_adversaries_descend():
    net = fitted()
    (none, still), (full, own), (double, _) = (gradients(net, gamma) for gamma in (0.0, 2.0, 4.0))
    assert all(map(torch.equal, still, own))  # an adversary minimises its own loss, whatever gamma is
    batch = batch_of(net, 40)
    mean = net.infer(batch.x)[0].detach().requires_grad_()
    tal, _, pal = net.parts(net.code((mean, net.infer(batch.x)[1].detach()), batch))
    entropy = torch.nn.functional.cross_entropy
    adversary = entropy(net.adversary_["s_tal"](tal), batch.group) + entropy(net.adversary_["y_pal"](pal), batch.y)
    expected = -2 * torch.autograd.grad(adversary, mean)[0]
    torch.testing.assert_close(full - none, expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(double - none, 2 * (full - none), atol=1e-6, rtol=1e-4)
    assert (expected[:, 2] == 0).all()  # MAL has no adversary in stage 1
    assert expected.abs().max() > 1e-4


def test_each_strength_is_used():
    plain = fitted()
    for name in ("alpha", "gamma"):
        assert not same_weights(plain, fitted(**{name: 5.0}))
    later = fitted(beta=5.0)
    assert same_weights(plain, later)  # of stage 2
    assert not same_weights(plain.recoder_, later.recoder_)


# ---------------------------------------------------------------------- stage 2
def test_the_second_stage_sees_mal_and_leaves_the_first():
    net, X = fitted(recode_epochs=3), rows()[0]
    recoder = net.recoder_
    assert recoder.n_features_in_ == 1
    assert len(recoder.history) == 3
    assert recoder.n_groups_ == recoder.n_classes_ == 2
    tal, mal, _ = net.parts(net.encode(X))
    assert np.array_equal(net.transform(X), np.hstack([tal, recoder.transform(mal)]))
    assert np.abs(net.transform(X)[:, 2:] - mal).max() > 1e-3
    assert same_weights(net, fitted(recode_epochs=1))


def test_the_loss_of_the_second_stage_by_hand():
    net = fitted(subspaces=(1, 2, 1)).recoder_
    batch = batch_of(net, weight=[0.0, 1.0, 2.0, 1.5, 0.5])._replace(x=torch.randn(5, 2))
    r = net.infer(batch.x)
    back = (r.detach() @ net.module_.back.weight.T + net.module_.back.bias - batch.x).square().mean(1).detach().numpy()
    expected = (
        told(net.adversary_["y"], r.detach(), batch.y) + told(net.adversary_["s"], r.detach(), batch.group) + back
    )
    assert net.objective(r, batch).item() == pytest.approx((batch.weight.numpy() * expected).mean(), rel=1e-5)


def test_what_the_protected_part_holds_is_never_read():
    net, (X, _, _) = fitted(), rows()
    before, whole = net.transform(X), net.encode(X)
    with torch.no_grad():
        net.module_.encoder[1][-1].bias[3] += 5  # PAL
    assert np.abs(net.encode(X)[:, 3] - whole[:, 3]).min() > 4
    assert np.array_equal(net.transform(X), before)
    with torch.no_grad():
        net.module_.encoder[1][-1].bias[0] += 5  # TAL
    assert not np.array_equal(net.transform(X), before)


def test_codes_and_back():
    net, X = fitted(subspaces=(1, 3, 2)), rows()[0]
    Z = net.transform(X)
    assert Z.shape == (120, 4)
    assert net.get_feature_names_out().tolist() == [f"fdvaetransformer{j}" for j in range(4)]
    assert net.encode(X).shape == (120, 6)
    mal = net.recoder_.module_.back(torch.from_numpy(Z[:, 1:]).float()).detach().numpy()
    whole = np.hstack([Z[:, :1], mal, np.zeros((120, 2))])
    np.testing.assert_allclose(net.inverse_transform(Z), net.decode(whole), atol=1e-5)
    assert net.sample(X, random_state=0).shape == (120, 4)
    frame = net.set_output(transform="pandas").transform(X)
    assert np.array_equal(frame, Z)
    assert np.array_equal(net.inverse_transform(frame), net.inverse_transform(Z))


# ---------------------------------------------------------------------- labels and groups
def test_several_classes_and_columns():
    X, _, s = rows()
    y = np.array(["high", "low", "mid"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    table = pd.DataFrame({"sex": s, "old": np.arange(120) % 3 == 0})
    net = fitted(s=table, y=y)
    assert net.classes_.tolist() == ["high", "low", "mid"]
    assert net.n_groups_ == 4
    assert [net.adversary_[name](torch.zeros(1, 2)).shape[1] for name in ("y_tal", "s_tal")] == [3, 4]
    assert net.transform(X).shape == (120, 3)


def test_labels_and_groups_are_needed():
    X, y, s = rows()
    with pytest.raises(ValueError, match="requires y to be passed"):
        small(FDVAETransformer).fit(X, sensitive_features=s)
    with pytest.raises(ValueError, match="at least two classes.*one class only: 1"):
        small(FDVAETransformer).fit(X, np.ones(120, dtype=int), sensitive_features=s)
    with pytest.raises(ValueError, match="FDVAETransformer needs sensitive_features"):
        small(FDVAETransformer).fit(X, y)


def test_weights_reach_both_stages():
    X, y, s = rows()
    w = (np.arange(120) % 3 > 0).astype(float)
    flipped = np.where(w > 0, y, 1 - y)
    nets = [small(FDVAETransformer).fit(X, labels, sensitive_features=s, sample_weight=w) for labels in (y, flipped)]
    np.testing.assert_allclose(nets[0].transform(X), nets[1].transform(X), atol=1e-6)
    assert not same_weights(nets[0].recoder_, fitted().recoder_)


def test_copies_are_whole():
    net, X = fitted(), rows()[0]
    Z = net.transform(X)
    for twin in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert np.array_equal(twin.transform(X), Z)
        assert np.array_equal(twin.inverse_transform(Z), net.inverse_transform(Z))


def test_the_target_stays_in_the_code_and_the_group_falls():
    """A toy: the first column tells y, the second s. TAL is to hold the one and not the other."""
    from sklearn.linear_model import LogisticRegression

    X, y, s = rows(600)
    net = small(FDVAETransformer, alpha=5.0, gamma=2.0, max_epochs=12, lr=0.01, recode_epochs=10)
    Z = net.fit(X, y, sensitive_features=s).transform(X)
    read = [LogisticRegression().fit(part, truth).score(part, truth) for part in (Z, net.encode(X)) for truth in (y, s)]
    assert read[0] > 0.85
    assert read[1] < read[3] - 0.05


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(subspaces=(3, 4)), r"subspaces must hold the sizes of TAL, MAL and PAL.*got \(3, 4\)"),
        (dict(subspaces=10), "subspaces must hold the sizes.*got 10"),
        (dict(subspaces=(3, 0, 3)), r"subspaces \(MAL\) must be an integer >= 1, got 0"),
        (dict(subspaces=(3, 4, 1.5)), r"subspaces \(PAL\) must be an integer >= 1, got 1.5"),
        (dict(alpha=-1), "alpha must be a number >= 0, got -1"),
        (dict(gamma=-1), "gamma must be a number >= 0, got -1"),
        (dict(beta=-1), "beta must be a number >= 0, got -1"),
        (dict(recode_epochs=0), "recode_epochs must be an integer >= 1, got 0"),
        (dict(likelihood="bernoulli"), r"needs values in \[0, 1\]"),
    ],
    ids=str,
)
def test_bad_parameters(parameters, message):
    net, (X, y, s) = small(FDVAETransformer, **parameters), rows()
    with pytest.raises(ValueError, match=message):
        net.fit(X, y, sensitive_features=s)
    assert not hasattr(net, "module_")


def test_the_way_back_does_not_keep_information_in_r():
    """r gets the gradient of the target and, reversed, of its adversary; the linear way back learns by itself."""
    net = fitted(subspaces=(1, 2, 1), beta=2.0).recoder_
    batch = batch_of(net, weight=[0.0, 1.0, 2.0, 1.5, 0.5])._replace(x=torch.randn(5, 2))
    r = net.infer(batch.x).detach().requires_grad_()
    entropy = torch.nn.functional.cross_entropy
    target, hidden = (
        (batch.weight * entropy(net.adversary_[name](r), truth, reduction="none")).mean()
        for name, truth in (("y", batch.y), ("s", batch.group))
    )
    (expected,) = torch.autograd.grad(target - 2 * hidden, r)
    (found,) = torch.autograd.grad(net.objective(r, batch), r)
    torch.testing.assert_close(found, expected)
