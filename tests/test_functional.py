"""The formulas, against a few lines of numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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


STACKED = (
    "group_mean", "hsic", "project_out", "reverse_gradient", "hedge_update", "generalized_cross_entropy", "pick",
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
