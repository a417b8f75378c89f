"""VAE and FactorVAE: the loss by hand, which likelihood a column gets, codes and back, the discriminator's part."""

import copy
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from common import rows, same_weights, small, weights_of
from scipy.special import expit, log_softmax, softmax
from scipy.stats import norm
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skfair._data import Batch
from skfair.functional import density_log_ratio
from skfair.modules import ConvVAE
from skfair.representation import FactorVAETransformer, FDVAETransformer, FFVAETransformer, VAETransformer
from skfair.representation._columns import likelihoods
from skfair.representation._factor_vae import discriminator, tell_apart

both = pytest.mark.parametrize("cls", [VAETransformer, FactorVAETransformer])


def mixed(n=90, seed=0):
    """A one-hot block of three columns, a share, a number, and a block of two."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    number = 3 * rng.normal(size=n) + kind
    two = np.eye(2)[(number > 0).astype(int)]
    return np.column_stack([np.eye(3)[kind], expit(number + rng.normal(size=n)), number, two])


KINDS = ["categorical"] * 3 + ["bernoulli", "gaussian"] + ["categorical"] * 2


def batch_of(net, X, weight=None, seed=0):
    """The first rows as a minibatch, with random numbers."""
    rng, n = np.random.default_rng(seed), len(X)
    draws = {name: torch.from_numpy(rng.random((n, m), dtype=np.float32)) for name, m in net.draws().items()}
    weight = torch.ones(n) if weight is None else torch.as_tensor(weight, dtype=torch.float32)
    group = torch.zeros(n, dtype=torch.int64)
    return Batch(torch.as_tensor(X, dtype=torch.float32), None, group[:, None], group, weight, torch.arange(n), **draws)


def elbo_by_hand(net, X, draw):
    """Reconstruction of the mixed table and divergence of each row."""
    mean, log_variance = (part.detach().double().numpy() for part in net.module_(torch.as_tensor(X).float()))
    z = mean + np.exp(log_variance / 2) * norm.ppf(draw.double().numpy())
    out = net.module_.decode(torch.from_numpy(z).float()).detach().double().numpy()
    three, two = log_softmax(out[:, :3], 1), log_softmax(out[:, 5:], 1)
    share, number, s2 = expit(out[:, 3]), out[:, 4], np.exp(float(net.module_.column_log_variance[4].detach()))
    told = -(X[:, :3] * three).sum(1) - (X[:, 5:] * two).sum(1)
    told += -(X[:, 3] * np.log(share) + (1 - X[:, 3]) * np.log(1 - share))
    told += 0.5 * ((X[:, 4] - number) ** 2 / s2 + np.log(s2))
    return told + 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(1), z


# ---------------------------------------------------------------------- the loss
def test_the_loss_by_hand():
    X, weight = mixed()[:5], np.array([0.0, 1.0, 2.0, 1.5, 0.5])
    net = small(VAETransformer).fit(mixed())
    batch = batch_of(net, X, weight)
    expected, _ = elbo_by_hand(net, X, batch.draw)
    assert net.objective(net.infer(batch.x), batch).item() == pytest.approx((weight * expected).mean(), rel=1e-4)


def test_the_loss_of_factor_vae_by_hand():
    X, weight = mixed()[:5], np.array([0.0, 1.0, 2.0, 1.5, 0.5])
    net = small(FactorVAETransformer, gamma=2.5).fit(mixed())
    batch = batch_of(net, X, weight)
    elbo, z = elbo_by_hand(net, X, batch.draw)
    logits = net.adversary_(torch.from_numpy(z).float()).detach().numpy()
    expected = (weight * (elbo + 2.5 * (logits[:, 0] - logits[:, 1]))).mean()
    assert net.objective(net.infer(batch.x), batch).item() == pytest.approx(expected, rel=1e-4)
    order = batch.adversary_draw.argsort(0).numpy()
    shuffled, own = np.take_along_axis(z, order, 0), weight[order].prod(1)
    other = net.adversary_(torch.from_numpy(shuffled).float()).detach().numpy()
    real, fake = -log_softmax(logits, 1)[:, 0], -log_softmax(other, 1)[:, 1]
    expected = 0.5 * ((weight * real).mean() + (own * fake).mean())
    assert net.adversary_objective(net.infer(batch.x), batch).item() == pytest.approx(expected, rel=1e-4)


def test_held_out_rows_are_decoded_from_the_means():
    net = small(VAETransformer).fit(mixed())
    batch = batch_of(net, mixed()[:5])
    output = net.infer(batch.x)
    assert torch.equal(net.code(output, batch._replace(draw=None)), output[0])
    assert not torch.equal(net.code(output, batch), output[0])


def test_gaussian_columns_learn_their_noise():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)) * [2.0, 0.5]
    net = small(VAETransformer, n_components=1, max_epochs=40).fit(X)
    scale = np.exp(net.module_.column_log_variance.detach().numpy() / 2)
    assert scale[0] > 2 * scale[1]


# ---------------------------------------------------------------------- likelihoods
EYE = np.eye(3)[np.arange(12) % 3]
SHARE, NUMBER, BINARY = (
    np.linspace(0, 1, 12)[:, None],
    np.linspace(-2, 5, 12)[:, None],
    (np.arange(12) % 5 == 0)[:, None],
)
TABLES = {
    "a block": ([EYE], "ccc", [[0, 1, 2]]),
    "two blocks": ([EYE, EYE[::-1]], "cccccc", [[0, 1, 2], [3, 4, 5]]),
    "between others": ([SHARE, EYE, NUMBER], "bcccg", [[1, 2, 3]]),
    "a block of two": ([BINARY, 1 - BINARY], "cc", [[0, 1]]),
    "a lonely binary column": ([BINARY, NUMBER], "bg", []),
    "before a block": ([BINARY, EYE], "bccc", [[1, 2, 3]]),
    "one column dropped": ([EYE[:, 1:]], "bb", []),
    "a row with none": ([np.vstack([EYE[:-1], np.zeros(3)])], "bbb", []),
    "a row with two": ([np.vstack([EYE[:-1], [1, 1, 0]])], "bbb", []),
    "not neighbours": ([EYE[:, :1], NUMBER, EYE[:, 1:]], "bgbb", []),
    "constants": ([0 * BINARY + 1, NUMBER, 0 * BINARY], "bgb", []),
    "of no more than one": ([0.5 * EYE], "bbb", []),
}
FULL = {"b": "bernoulli", "c": "categorical", "g": "gaussian"}


@pytest.mark.parametrize(("parts", "kinds", "blocks"), TABLES.values(), ids=TABLES.keys())
def test_what_auto_makes_of_columns(parts, kinds, blocks):
    X = np.hstack(parts).astype(np.float32)
    for table in (X, sp.csr_matrix(X)):
        found = likelihoods(table, "auto")
        assert found[0].tolist() == [FULL[kind] for kind in kinds]
        assert found[1] == blocks


def test_likelihoods_by_name():
    X = np.hstack([EYE, SHARE, NUMBER])
    assert likelihoods(X, "gaussian")[0].tolist() == ["gaussian"] * 5
    assert likelihoods(X[:, :4], "bernoulli")[0].tolist() == ["bernoulli"] * 4
    kinds, blocks = likelihoods(X, ["auto", "auto", "auto", "gaussian", "auto"])
    assert (kinds.tolist(), blocks) == (["categorical"] * 3 + ["gaussian"] * 2, [[0, 1, 2]])
    kinds, blocks = likelihoods(X, ["auto", "bernoulli", "auto", "auto", "gaussian"])
    assert (kinds.tolist(), blocks) == (["bernoulli"] * 4 + ["gaussian"], [])


@both
def test_fit_finds_the_kinds_and_sparse_rows_train_alike(cls):
    net = small(cls).fit(mixed())
    assert net.likelihood_.tolist() == KINDS
    assert net.blocks_ == [[0, 1, 2], [5, 6]]
    assert same_weights(net, small(cls).fit(sp.csr_matrix(mixed())))


def refused(net, message, X):
    with pytest.raises(ValueError, match=message):
        net.fit(X)
    assert not hasattr(net, "module_")
    assert not hasattr(net, "likelihood_")


def test_a_column_that_leaves_its_range():
    bad = np.hstack([SHARE, 255 * SHARE])
    message = r"needs values in \[0, 1\], but column 1 of X goes from 0 to 255.*MinMaxScaler"
    refused(small(VAETransformer, likelihood="bernoulli"), message, bad)
    refused(small(VAETransformer, likelihood=["gaussian", "bernoulli"]), message, sp.csr_matrix(bad))
    refused(small(VAETransformer, likelihood="bernoulli"), "column 0 of X goes from -2 to 5", NUMBER)
    net = small(VAETransformer).fit(np.hstack([SHARE, NUMBER]))
    with pytest.raises(ValueError, match="column 0 of X goes from 0 to 2"):
        net.partial_fit(np.hstack([2 * SHARE, NUMBER]))
    net.partial_fit(np.hstack([SHARE, 9 * NUMBER]))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(likelihood="poisson"), "likelihood must be one of.*'gaussian'.*got 'poisson'"),
        (dict(likelihood=["auto", "normal"]), "likelihood must be one of.*got 'normal'"),
        (dict(likelihood=None), "likelihood must be one of.*got None"),
        (dict(likelihood=5), "likelihood must be one of.*got 5"),
        (dict(likelihood=[1]), "likelihood must be one of.*got 1"),
        (dict(likelihood=["auto"] * 3), "likelihood has 3 entries, but X has 7 columns"),
        (dict(n_components=0), "n_components must be an integer >= 1, got 0"),
        (dict(n_components=2.5), "n_components must be an integer >= 1, got 2.5"),
    ],
    ids=lambda value: str(value)[:30],
)
@both
def test_bad_parameters(cls, parameters, message):
    refused(small(cls, **parameters), message, mixed())


@pytest.mark.parametrize("gamma", [-1.0, "much", float("nan")])
def test_a_bad_gamma(gamma):
    refused(small(FactorVAETransformer, gamma=gamma), f"gamma must be a number >= 0, got {gamma!r}", mixed())


# ---------------------------------------------------------------------- codes and back
@both
def test_codes_are_the_means(cls):
    net = small(cls).fit(mixed())
    Z = net.transform(mixed())
    assert Z.shape == (90, 3)
    mean, _ = copy.deepcopy(net.module_).double()(torch.as_tensor(np.float32(mixed())).double())
    np.testing.assert_allclose(Z, mean.detach().numpy(), atol=1e-12)
    torch.manual_seed(1)  # P4: whatever the global generator holds
    assert np.array_equal(net.transform(mixed()), Z)
    assert np.array_equal(net.encode(mixed()), Z)


@both
def test_decoded_codes_are_expected_values(cls):
    net = small(cls).fit(mixed())
    Z = net.transform(mixed())
    back = net.inverse_transform(Z)
    assert back.shape == (90, 7)
    assert back.dtype == np.float64
    np.testing.assert_allclose(back[:, :3].sum(1), 1)
    np.testing.assert_allclose(back[:, 5:].sum(1), 1)
    out = net.module_.decode(torch.from_numpy(Z).float()).detach().numpy()
    np.testing.assert_allclose(back[:, 3], expit(out[:, 3]), atol=1e-5)
    np.testing.assert_allclose(back[:, 4], out[:, 4], atol=1e-5)
    np.testing.assert_allclose(back[:, :3], softmax(out[:, :3], 1), atol=1e-5)
    assert np.array_equal(net.decode(Z), back)
    np.testing.assert_allclose(net.inverse_transform(Z[:1]), back[:1], rtol=1e-12)


def test_rows_are_found_again():
    """What the codes hold of a table is nearer to it than its columns' means."""
    X = mixed(400)
    net = small(VAETransformer, max_epochs=40).fit(X)
    back = net.inverse_transform(net.transform(X))
    assert np.corrcoef(back[:, 4], X[:, 4])[0, 1] > 0.8
    assert (back[:, 5:].argmax(1) == X[:, 5:].argmax(1)).mean() > 0.9
    assert net.history[-1, "train_loss"] < net.history[0, "train_loss"] - 1


@pytest.mark.parametrize("cls", [VAETransformer, FactorVAETransformer, FFVAETransformer, FDVAETransformer])
def test_nothing_is_decoded_before_fit(cls):
    for method in ("inverse_transform", "decode", "sample", "encode"):
        with pytest.raises(NotFittedError, match=f"{cls.__name__} instance is not fitted yet"):
            getattr(small(cls), method)(np.zeros((2, 3)))


def test_codes_of_the_wrong_width():
    net = small(VAETransformer).fit(mixed())
    for method in (net.inverse_transform, net.decode):
        with pytest.raises(ValueError, match=r"shape \(4, 2\), expected \(n, 3\)"):
            method(np.zeros((4, 2)))


@both
def test_samples_of_the_posterior(cls):
    net, X = small(cls).fit(mixed()), mixed()[:4]
    assert np.array_equal(net.sample(X, random_state=0), net.sample(X, random_state=0))
    assert not np.array_equal(net.sample(X), net.sample(X))
    drawn = np.array([net.sample(X, random_state=seed) for seed in range(200)])
    with torch.no_grad():
        mean, log_variance = (part.numpy() for part in net.module_(torch.as_tensor(np.float32(X))))
    error = np.exp(log_variance / 2) / np.sqrt(200)
    assert (np.abs(drawn.mean(0) - mean) < 5 * error).all()
    np.testing.assert_allclose(drawn.std(0), np.exp(log_variance / 2), rtol=0.25)


@both
def test_frames_in_and_out(cls):
    frame = pd.DataFrame(mixed(), columns=list("abcdefg"))
    net = small(cls).set_output(transform="pandas").fit(frame)
    names = [f"{cls.__name__.lower()}{j}" for j in range(3)]
    assert net.get_feature_names_out().tolist() == names
    assert net.transform(frame).columns.tolist() == names
    assert np.array_equal(net.transform(frame), small(cls).fit(mixed()).transform(mixed()))
    assert net.inverse_transform(net.transform(frame)).shape == (90, 7)


@both
def test_one_column_and_one_dimension(cls):
    net = small(cls, n_components=1).fit(NUMBER)
    assert net.transform(NUMBER).shape == net.transform(NUMBER)[:, :1].shape == (12, 1)
    assert net.inverse_transform(net.transform(NUMBER[:1])).shape == (1, 1)


def test_images_of_64_pixels():
    X = np.random.default_rng(0).random((6, 3, 64, 64), dtype=np.float32)
    net = VAETransformer(module=ConvVAE, n_components=2, max_epochs=1, batch_size=6, random_state=0, device="cpu").fit(
        X
    )
    assert set(net.likelihood_) == {"bernoulli"}
    Z = net.transform(X)
    back = net.inverse_transform(Z)
    assert (Z.shape, back.shape) == ((6, 2), X.shape)
    assert back.min() > 0
    assert back.max() < 1


@both
def test_copies_are_whole(cls):
    net = small(cls).fit(mixed())
    Z = net.transform(mixed())
    for twin in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert np.array_equal(twin.transform(mixed()), Z)
        assert np.array_equal(twin.inverse_transform(Z), net.inverse_transform(Z))
        assert same_weights(twin.partial_fit(mixed()), copy.deepcopy(net).partial_fit(mixed()))


# ---------------------------------------------------------------------- labels, groups, weights
@both
def test_neither_labels_nor_groups_are_read(cls):
    X, y, s = rows()
    plain = small(cls).fit(X)
    assert same_weights(plain, small(cls).fit(X, np.full(120, np.nan), sensitive_features=s))
    assert not hasattr(plain, "classes_")
    assert not hasattr(plain, "predict")
    assert same_weights(plain, small(cls).fit(X, y))


def test_weights_equal_repetition_without_noise():
    class Means(VAETransformer):
        n_draws = 0

    X, sizes = mixed(), np.random.default_rng(0).integers(0, 4, 90)
    net = small(Means, n_components=2, batch_size=-1, shuffle=False, max_epochs=10)
    weighted = clone(net).fit(X, sample_weight=sizes).transform(X)
    repeated = clone(net).fit(np.repeat(X, sizes, axis=0)).transform(X)
    assert np.abs(weighted - repeated).max() < 1e-4
    assert np.abs(weighted - clone(net).fit(X).transform(X)).max() > 0.01


# ---------------------------------------------------------------------- the discriminator
@pytest.mark.parametrize("early_stopping", [False, True])
def test_without_gamma_it_is_a_vae(early_stopping):
    """P2: bit for bit."""
    plain, other, full = (
        small(cls, max_epochs=4, early_stopping=early_stopping, **own).fit(mixed())
        for cls, own in ((VAETransformer, {}), (FactorVAETransformer, {"gamma": 0}), (FactorVAETransformer, {}))
    )
    assert same_weights(plain, other)
    assert plain.history[:, "train_loss"] == other.history[:, "train_loss"]
    assert not same_weights(plain, full)


def test_each_players_step_leaves_the_other(monkeypatch):
    """P3."""
    net, seen = small(FactorVAETransformer).fit(mixed()), []

    def state(module):
        return [parameter.detach().clone() for parameter in module.parameters()]

    def alike(one, two):
        return all(map(torch.equal, one, two))

    network_backward = net.network_backward

    def between(output, batch):  # after the discriminator's step
        assert alike(state(net.module_), before[0])
        assert not alike(state(net.adversary_), before[1])
        assert all(p.grad is None for p in net.module_.parameters())
        seen.append([p.grad.clone() for p in net.adversary_.parameters()])
        return network_backward(output, batch)

    vars(net)["network_backward"] = between
    net.optimizer_.zero_grad()
    before = state(net.module_), state(net.adversary_)
    net.module_.train()
    batch = batch_of(net, mixed()[:32])
    net.backward(net.infer(batch.x), batch)
    stepped = state(net.adversary_)
    assert all(map(torch.equal, seen[0], (p.grad for p in net.adversary_.parameters())))
    net.optimizer_.step()
    assert alike(state(net.adversary_), stepped)
    assert not alike(state(net.module_), before[0])


@pytest.mark.parametrize(("rho", "low", "high"), [(0.0, -0.05, 0.05), (0.9, 0.7, 0.95)])
def test_a_trained_discriminator_estimates_the_total_correlation(rho, low, high):
    """P3: 0 nats for independent dimensions; 0.83 for two whose correlation is 0.9."""
    rng = np.random.default_rng(0)
    z = torch.from_numpy(rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], 4000).astype(np.float32))
    torch.manual_seed(0)
    net, ones = discriminator(2, 2, (32, 32)), torch.ones(4000)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(120):
        shuffled = torch.stack([column[torch.randperm(4000)] for column in z.T], 1)
        optimizer.zero_grad()
        tell_apart(net, z, shuffled, ones, ones).backward()
        optimizer.step()
    assert low < density_log_ratio(net(z)).mean().item() < high
    if rho:  # and the encoder, which descends on it, takes the dependence away
        step = torch.func.grad(lambda z: density_log_ratio(net(z)).sum())(z)
        assert np.corrcoef((z - 0.1 * step).detach().T)[0, 1] < 0.85
    assert -0.5 * np.log(1 - 0.9**2) == pytest.approx(0.83, abs=0.01)


@pytest.mark.parametrize("name", ["adversary_lr", "adversary_steps"])
def test_numbers_of_the_discriminator(name):
    refused(small(FactorVAETransformer, **{name: 0}), re.escape(f"{name} must be"), mixed())


def test_the_discriminators_settings_are_used():
    slow, fast = (small(FactorVAETransformer, adversary_lr=rate).fit(mixed()) for rate in (1e-12, 0.05))
    assert not same_weights(slow, fast)
    assert [p.shape[0] for p in slow.adversary_.parameters() if p.ndim == 2] == [8, 2]
    assert len(weights_of(slow)) == len(weights_of(fast))


@both
def test_samples_have_the_spread_of_the_posterior(cls):
    net, row = small(cls).fit(mixed()), np.repeat(mixed()[:1], 3000, axis=0)
    with torch.no_grad():
        net.module_.encoder[1][-1].bias[3:] = torch.tensor([-4.0, 0.0, 4.0])
        log_variance = net.module_(torch.as_tensor(np.float32(row[:1])))[1][0].numpy()
    np.testing.assert_allclose(net.sample(row, random_state=0).std(0), np.exp(log_variance / 2), rtol=0.06)


def test_variances_of_columns_are_held_within_bounds():
    X = 5 * np.random.default_rng(0).normal(size=(40, 4))
    net = small(VAETransformer, likelihood="gaussian").fit(X)
    net.module_.column_log_variance.data = torch.tensor([-20.0, -6.0, 6.0, 20.0])
    v, z = np.array([-7.0, -6.0, 6.0, 7.0]), torch.zeros(40, 3)
    out = net.module_.decode(z).detach().double().numpy()
    found = net.reconstruction(z, torch.as_tensor(X, dtype=torch.float32)).detach()
    np.testing.assert_allclose(found, 0.5 * ((X - out) ** 2 / np.exp(v) + v).sum(1), rtol=1e-4)


@both
def test_logarithms_of_variances_are_held_within_bounds(cls):
    net = small(cls).fit(mixed())
    with torch.no_grad():
        net.module_.encoder[1][-1].bias[3:] = torch.tensor([-1e4, 0.0, 1e4])
        log_variance = net.module_(torch.as_tensor(np.float32(mixed())))[1]
    assert (log_variance[:, 0] == -20).all()
    assert (log_variance[:, 2] == 20).all()
    assert (log_variance[:, 1].abs() < 20).all()
