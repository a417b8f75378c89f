"""The formulas, against a few lines of numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from skfair import functional as F

RNG = np.random.default_rng(0)


def test_group_mean_by_hand():
    values = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    group = torch.tensor([0, 0, 2, 2, -1])
    weight = torch.tensor([1.0, 3.0, 1.0, 0.0, 7.0])
    mean, present = F.group_mean(values, group, 4, weight)
    assert mean.tolist() == [1.75, 0.0, 3.0, 0.0]
    assert present.tolist() == [True, False, True, False]


def test_group_mean_of_rows_of_numbers():
    values, group = torch.randn(50, 3), torch.randint(0, 5, (50,))
    mean, _ = F.group_mean(values, group, 5)
    expected = np.stack([values[group == g].numpy().mean(0) for g in range(5)])
    np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-5)


def test_group_mean_of_an_absent_group_has_a_finite_gradient():
    values = torch.randn(4, requires_grad=True)
    F.group_mean(values, torch.zeros(4, dtype=torch.long), 2)[0].sum().backward()
    np.testing.assert_allclose(values.grad.numpy(), 0.25)


def test_weighted_mean_does_not_renormalise():
    assert F.weighted_mean(torch.tensor([2.0, 4.0]), torch.tensor([0.5, 0.5])) == 1.5
    assert F.weighted_mean(torch.tensor([2.0, 4.0])) == 3.0


def test_project_out_is_one_projection_over_all_matrices():
    g = [RNG.normal(size=(3, 4)), RNG.normal(size=(5,))]
    u = [RNG.normal(size=(3, 4)), RNG.normal(size=(5,))]
    found = F.project_out([torch.tensor(a) for a in g], [torch.tensor(a) for a in u])
    long_g, long_u = (np.concatenate([a.ravel() for a in x]) for x in (g, u))
    expected = long_g - long_g @ long_u / (long_u @ long_u) * long_u
    np.testing.assert_allclose(np.concatenate([a.numpy().ravel() for a in found]), expected)
    assert abs(sum((a.numpy() * b).sum() for a, b in zip(found, u))) < 1e-12


def test_project_out_less_a_multiple():
    g, u = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    assert F.project_out([g], [u], 0.5)[0].tolist() == [[1.0, -1.0], [3.0, 4.0]]


def test_project_out_is_not_the_sum_of_inner():
    # a peer's code takes the sum of all entries of torch.inner(a, b), which is the product of all pairs of rows
    g, u = torch.eye(2), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    assert torch.equal(F.project_out([g], [u])[0], g)  # orthogonal: nothing to take out
    assert torch.inner(g, u).sum() != (g * u).sum()


def test_project_out_along_nothing():
    g = [torch.ones(2, 2)]
    assert torch.equal(F.project_out(g, [torch.zeros(2, 2)])[0], g[0])


def test_reverse_gradient():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = F.reverse_gradient(x, 3.0)
    assert torch.equal(y, x)
    (y * torch.tensor([1.0, 10.0])).sum().backward()
    assert x.grad.tolist() == [-3.0, -30.0]


def _hsic_numpy(x, s):
    d = ((x[:, None] - x[None]) ** 2).sum(-1)
    n = len(x)
    k, same, h = np.exp(-d / (2 * d.mean())), (s[:, None] == s[None]).astype(float), np.eye(n) - 1 / n
    return np.trace(k @ h @ same @ h) / n**2


def test_hsic_against_the_trace():
    x, s = RNG.normal(size=(20, 2)), RNG.integers(0, 3, 20)
    found = F.hsic(torch.tensor(x), torch.tensor(s), 3)
    np.testing.assert_allclose(found, _hsic_numpy(x, s), rtol=1e-10)


def test_hsic_integer_weights_equal_repetition():
    x, s, w = torch.randn(6, 1).double(), torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([1, 2, 3, 1, 0, 2])
    repeated = F.hsic(x.repeat_interleave(w, 0), s.repeat_interleave(w), 3)
    torch.testing.assert_close(F.hsic(x, s, 3, w.double()), repeated)


def test_hsic_leaves_out_rows_without_a_group():
    x, s = torch.randn(8, 1), torch.tensor([0, 1, 0, 1, -1, -1, -1, -1])
    weight = torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0])
    assert F.hsic(x, s, 2) == pytest.approx(F.hsic(x, s.clamp_min(0), 2, weight).item())


def test_hedge_update_by_hand():
    q = F.hedge_update(torch.log(torch.tensor([0.5, 0.5])), torch.tensor([1.0, 0.0]), np.log(3)).exp()
    np.testing.assert_allclose(q.numpy(), [0.75, 0.25], rtol=1e-6)


def test_hedge_update_keeps_every_weight_positive():
    """P2: 1e5 steps with a loss of 50 in one group."""
    log_q, losses = torch.zeros(3), torch.tensor([50.0, 0.0, 1.0])
    for _ in range(100_000):
        log_q = F.hedge_update(log_q, losses, 1.0)
    assert torch.isfinite(log_q).all()
    assert log_q.exp().sum() == pytest.approx(1.0)
    assert log_q[1] < log_q[2] < log_q[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.sampled_from([0.01, 0.1, 1.0]))
def test_hedge_bound(seed, m, eta):
    """P1: the regret bound for any losses in [0, 1]; the updated weights do no worse than the old ones."""
    losses = torch.from_numpy(np.random.default_rng(seed).random((200, m)) ** 3)
    log_q, old, new = torch.full((m,), -np.log(m), dtype=torch.float64), 0.0, 0.0
    for row in losses:
        old += log_q.exp() @ row
        log_q = F.hedge_update(log_q, row, eta)
        new += log_q.exp() @ row
    assert old >= losses.sum(0).max() - np.log(m) / eta - eta * len(losses) / 8 - 1e-9
    assert new >= old - 1e-9


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_hedge_update_is_invariant_and_equivariant(seed):
    """P2: adding a constant changes nothing; permuting the groups permutes the weights."""
    rng = np.random.default_rng(seed)
    log_q, losses = torch.log_softmax(torch.from_numpy(rng.normal(size=5)), 0), torch.from_numpy(rng.normal(size=5))
    q = F.hedge_update(log_q, losses, 0.3)
    torch.testing.assert_close(F.hedge_update(log_q, losses + 7.0, 0.3), q)
    order = torch.from_numpy(rng.permutation(5))
    torch.testing.assert_close(F.hedge_update(log_q[order], losses[order], 0.3), q[order])


def test_generalized_cross_entropy_against_numpy():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(6, 3)), rng.integers(0, 3, 6)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = F.generalized_cross_entropy(torch.from_numpy(logits), torch.from_numpy(y), 0.3)
    np.testing.assert_allclose(found, (1 - p[np.arange(6), y] ** 0.3) / 0.3)


def test_pick_against_numpy():
    rng = np.random.default_rng(0)
    weight, draw = rng.random((50, 7)) * (rng.random((50, 7)) > 0.4), rng.random(50)
    weight[0] = 0
    index, found = F.pick(torch.from_numpy(weight), torch.from_numpy(draw))
    total = weight.cumsum(1)
    expected = [np.searchsorted(row, u * row[-1], side="right") for row, u in zip(total, draw)]
    assert index[1:].tolist() == expected[1:]
    assert found.tolist() == [False, *[True] * 49]


# ---------------------------------------------------------------------- latent codes
def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def test_gaussian_kl_against_numpy_and_torch():
    mean, log_variance = normal(6, 3), normal(6, 3, seed=1)
    expected = 0.5 * (mean.numpy() ** 2 + np.exp(log_variance.numpy()) - 1 - log_variance.numpy()).sum(1)
    np.testing.assert_allclose(F.gaussian_kl(mean, log_variance), expected)
    posterior, prior = torch.distributions.Normal(mean, (0.5 * log_variance).exp()), torch.distributions.Normal(0, 1)
    torch.testing.assert_close(
        F.gaussian_kl(mean, log_variance), torch.distributions.kl_divergence(posterior, prior).sum(1)
    )
    assert F.gaussian_kl(torch.zeros(1, 4), torch.zeros(1, 4)) == 0


def test_sample_gaussian_against_numpy():
    mean, log_variance, draw = normal(50, 2), normal(50, 2, seed=1), torch.from_numpy(RNG.random((50, 2)))
    expected = mean.numpy() + np.exp(0.5 * log_variance.numpy()) * norm.ppf(draw.numpy())
    np.testing.assert_allclose(F.sample_gaussian(mean, log_variance, draw), expected, rtol=1e-9)


def test_sample_gaussian_is_standard_normal_and_never_infinite():
    draw = torch.from_numpy(np.random.default_rng(0).random((20_000, 1), dtype=np.float32))
    z = F.sample_gaussian(torch.zeros(1), torch.zeros(1), draw)
    assert abs(float(z.mean())) < 0.02
    assert abs(float(z.std()) - 1) < 0.02
    assert torch.isfinite(F.sample_gaussian(torch.zeros(2), torch.zeros(2), torch.tensor([0.0, 1.0]))).all()


def test_permute_columns_keeps_each_column_and_no_row():
    """P1."""
    z, draw = normal(40, 4).requires_grad_(), torch.from_numpy(RNG.random((40, 4)))
    found = F.permute_columns(z, draw)
    assert torch.equal(found.sort(0).values, z.sort(0).values)
    order = [[z[:, j].tolist().index(value) for value in found[:, j].tolist()] for j in range(4)]
    assert len(set(map(tuple, order))) == 4  # a permutation of its own for each
    assert not (found[:, None] == z[None]).all(2).any()
    assert order[2] == draw[:, 2].argsort().tolist()
    assert not found.requires_grad


def test_permute_columns_takes_dependence_away():
    z = torch.from_numpy(np.random.default_rng(0).multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 4000))
    found = F.permute_columns(z, torch.from_numpy(RNG.random((4000, 2))))
    assert abs(np.corrcoef(found.numpy().T)[0, 1]) < 0.05


def test_density_log_ratio_is_the_difference_of_log_probabilities():
    logits = normal(5, 2)
    log_p = torch.log_softmax(logits, 1)
    torch.testing.assert_close(F.density_log_ratio(logits), log_p[:, 0] - log_p[:, 1])


@pytest.mark.parametrize("explain", ["ce", "neg_logit", "logit"])
def test_gradient_explanation_of_a_linear_classifier(explain):
    """P9: the closed form."""
    W, b, z = normal(3, 5), normal(3, seed=1), normal(20, 5, seed=2)
    logits = z.numpy() @ W.numpy().T + b.numpy()
    predicted = np.eye(3)[logits.argmax(1)]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = {"ce": p - predicted, "neg_logit": -predicted, "logit": predicted}[explain] @ W.numpy()
    found = F.gradient_explanation(lambda z: z @ W.T + b, z, explain)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert F.gradient_explanation(lambda z: z @ W.T + b, z.requires_grad_(), explain).requires_grad is False


def test_gradient_explanation_is_each_rows_own_and_leaves_no_gradient():
    """P7, P8: of a row alone, or among others; nothing in the classifier's parameters."""
    net, z = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)).double(), normal(64, 3)
    whole = F.gradient_explanation(net, z)
    torch.testing.assert_close(torch.cat([F.gradient_explanation(net, row[None]) for row in z]), whole)
    scaled = z.clone()
    scaled[5] *= 10
    changed = (F.gradient_explanation(net, scaled) - whole).abs().amax(1) > 1e-12
    assert changed.nonzero().flatten().tolist() == [5]
    assert all(parameter.grad is None for parameter in net.parameters())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 0.9]))
def test_clamp_perturbation_keeps_to_its_share(seed, clip):
    """P7."""
    v, z = 3 * normal(8, 4, seed=seed), normal(8, 4, seed=seed + 1)
    z[2] = 0
    found = F.clamp_perturbation(v, z, clip)
    limit = clip * np.abs(z.numpy())
    np.testing.assert_allclose(found, np.clip(v.numpy(), -limit, limit))
    assert (found[2] == 0).all()
    assert torch.equal((z + found).sign(), z.sign())
    assert F.clamp_perturbation(v, z, None) is v


def test_bernoulli_nll_against_numpy():
    out, x = normal(6, 3).numpy(), RNG.random((6, 3))
    p = 1 / (1 + np.exp(-out))
    expected = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(1)
    np.testing.assert_allclose(F.bernoulli_nll(torch.from_numpy(out), torch.from_numpy(x)), expected)
    far = F.bernoulli_nll(torch.tensor([[200.0]]), torch.tensor([[0.0]]))
    assert far == pytest.approx(200)


def test_gaussian_nll_against_scipy():
    out, x, log_variance = normal(6, 3).numpy(), normal(6, 3, seed=1).numpy(), np.array([0.0, 1.0, -2.0])
    expected = -norm.logpdf(x, out, np.exp(log_variance / 2)).sum(1) - 1.5 * np.log(2 * np.pi)
    found = F.gaussian_nll(*map(torch.from_numpy, (out, x, log_variance)))
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(
        F.gaussian_nll(torch.from_numpy(out), torch.from_numpy(x)), 0.5 * ((x - out) ** 2).sum(1)
    )


BLOCKS, VALID = torch.tensor([[1, 2, 3], [4, 5, 4]]), torch.tensor([[True, True, True], [True, True, False]])


def test_categorical_nll_against_numpy():
    """A block of three columns and one of two, whose list is filled up; the first column belongs to none."""
    out, x = normal(6, 6).numpy(), np.zeros((6, 6))
    chosen = RNG.integers(0, 3, 6), RNG.integers(0, 2, 6)
    x[:, 0] = 7
    x[np.arange(6), 1 + chosen[0]] = x[np.arange(6), 4 + chosen[1]] = 1
    expected = 0
    for first, width, own in ((1, 3, chosen[0]), (4, 2, chosen[1])):
        p = np.exp(out[:, first : first + width])
        expected = expected - np.log(p[np.arange(6), own] / p.sum(1))
    found = F.categorical_nll(torch.from_numpy(out), torch.from_numpy(x), BLOCKS, VALID)
    np.testing.assert_allclose(found, expected)


def test_categorical_nll_has_a_finite_gradient_and_none_without_blocks():
    out = normal(4, 6).requires_grad_()
    F.categorical_nll(out, torch.eye(6)[[1, 4, 2, 5]].double(), BLOCKS, VALID).sum().backward()
    assert torch.isfinite(out.grad).all()
    assert (out.grad[:, 0] == 0).all()
    nothing = F.categorical_nll(out, torch.zeros(4, 6), BLOCKS[:0], VALID[:0])
    assert nothing.tolist() == [0] * 4


STACKED = (
    "group_mean", "hsic", "project_out", "reverse_gradient", "hedge_update", "generalized_cross_entropy", "pick",
    "gaussian_kl", "sample_gaussian", "permute_columns", "density_log_ratio", "gradient_explanation",
    "clamp_perturbation", "bernoulli_nll", "gaussian_nll", "categorical_nll",
)  # fmt: skip


@pytest.mark.parametrize("function", STACKED)
def test_formulas_run_on_a_stack_of_models(function):
    """Under vmap a stack of K equals K single calls: what the frontier search needs."""
    x, s = torch.rand(3, 10, 2), torch.randint(0, 2, (10,))
    calls = {
        "group_mean": lambda v: F.group_mean(v, s, 2)[0],
        "hsic": lambda v: F.hsic(v, s, 2),
        "project_out": lambda v: F.project_out([v], [torch.ones_like(v)])[0],
        "reverse_gradient": lambda v: F.reverse_gradient(v, 2.0),
        "hedge_update": lambda v: F.hedge_update(v[:, 0], v[:, 1], 0.5),
        "generalized_cross_entropy": lambda v: F.generalized_cross_entropy(v, s, 0.5),
        "pick": lambda v: F.pick(v, v[:, 0])[0],
        "gaussian_kl": lambda v: F.gaussian_kl(v, 1 - v),
        "sample_gaussian": lambda v: F.sample_gaussian(v, -v, v),
        "permute_columns": lambda v: F.permute_columns(v, (7 * v) % 1),
        "density_log_ratio": F.density_log_ratio,
        "gradient_explanation": lambda v: F.gradient_explanation(lambda z: (z @ v.T) ** 2, v),
        "clamp_perturbation": lambda v: F.clamp_perturbation(v - 0.5, v, v.mean()),
        "bernoulli_nll": lambda v: F.bernoulli_nll(v, 1 - v),
        "gaussian_nll": lambda v: F.gaussian_nll(v, 1 - v, v.mean(0)),
        "categorical_nll": lambda v: F.categorical_nll(v, 1 - v, torch.tensor([[0, 1]]), torch.tensor([[True, True]])),
    }
    call = calls[function]
    torch.testing.assert_close(torch.vmap(call)(x), torch.stack([call(v) for v in x]))


def test_a_strength_per_model():
    """Each model of a stack has its own strength, as a tensor of shape (), in the backward pass as well."""
    strength, x = torch.tensor([0.0, 0.5, 2.0]), torch.rand(3, 4)

    def gradient(strength, x):
        return torch.func.grad(lambda x: F.reverse_gradient(x, strength).square().sum())(x)

    found = torch.vmap(gradient)(strength, x)
    torch.testing.assert_close(found, -strength.unsqueeze(1) * 2 * x)


def test_hedge_update_takes_losses_as_constants():
    losses = torch.tensor([1.0, 2.0], requires_grad=True)
    assert not F.hedge_update(torch.zeros(2), losses, 1.0).requires_grad


def test_the_bandwidth_of_hsic_is_a_constant_in_its_gradient():
    """With a gradient through it, HSIC could not be changed by stretching x: the derivative would be 0."""
    x, group = torch.tensor([[0.0], [1.0], [3.0], [4.0]], dtype=torch.float64), torch.tensor([0, 0, 1, 1])
    x.requires_grad_()
    (found,) = torch.autograd.grad(F.hsic(x, group, 2), x)
    square = (x - x.T).detach().numpy() ** 2

    def by_hand(stretch):  # tr(K H L H) / n^2, where H L H is 1/2 within a group, -1/2 between two
        sign = np.where(group[:, None] == group[None], 0.5, -0.5)
        return (np.exp(-(stretch**2) * square / (2 * square.mean())) * sign).sum() / 16

    slope = (by_hand(1 + 1e-5) - by_hand(1 - 1e-5)) / 2e-5
    assert (found * x).sum().item() == pytest.approx(slope, rel=1e-5)
