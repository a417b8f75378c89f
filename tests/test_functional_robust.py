"""The weights of skfair.functional._robust against a few lines of numpy, their properties, and the same under vmap."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from skfair.functional import adversarial_weights, bias_weights, chi_square_weights, cvar_weights, soft_cross_entropy

rng = np.random.default_rng(0)
LOSSES = rng.exponential(size=200)


def tensor(values):
    return torch.tensor(np.asarray(values, dtype=np.float64))


def dual(losses, c):
    """min over eta of eta + C sqrt(E[(l - eta)_+^2])."""
    value = lambda eta: eta + c * np.sqrt(np.mean(np.clip(losses - eta, 0, None) ** 2))  # noqa: E731
    low = losses.mean() - losses.std() / np.sqrt(c**2 - 1) - 1
    return minimize_scalar(value, bounds=(low, losses.max()), method="bounded", options={"xatol": 1e-10}).fun


@pytest.mark.parametrize("c", [1.05, 1.5, 2.24, 5.0])
def test_the_worst_weights_of_a_chi_square_ball_solve_the_dual(c):
    w = chi_square_weights(tensor(LOSSES), c).numpy()
    assert (w >= 0).all()
    assert w.mean() == pytest.approx(1)
    assert np.mean((w - 1) ** 2) == pytest.approx(c**2 - 1, rel=1e-6)  # the constraint is active
    assert np.mean(w * LOSSES) == pytest.approx(dual(LOSSES, c), abs=1e-6)


def test_limits_of_the_chi_square_ball():
    loss = tensor(LOSSES)
    np.testing.assert_array_equal(chi_square_weights(loss, 1.0), np.ones(200))
    np.testing.assert_allclose(chi_square_weights(loss, 1.0001), 1, atol=0.1)
    alone = chi_square_weights(loss, 1e3).numpy()  # the ball reaches beyond the rows
    assert alone[LOSSES.argmax()] == pytest.approx(200)
    assert np.count_nonzero(alone) == 1
    np.testing.assert_array_equal(chi_square_weights(torch.full((5,), 0.3), 3.0), np.ones(5))


def test_the_chi_square_risk_rises_with_the_radius_and_is_translation_equivariant():
    loss = tensor(LOSSES)
    risks = [float((chi_square_weights(loss, c) * loss).mean()) for c in (1, 1.2, 1.5, 2, 3, 5)]
    assert np.all(np.diff(risks) > 0)
    moved = chi_square_weights(3 * loss + 7, 2.0)
    np.testing.assert_allclose(moved, chi_square_weights(loss, 2.0), atol=1e-6)


def test_cvar_is_the_mean_of_the_largest_losses():
    w = cvar_weights(tensor(LOSSES), 0.1).numpy()
    assert np.mean(w * LOSSES) == pytest.approx(np.sort(LOSSES)[-20:].mean())
    np.testing.assert_allclose(cvar_weights(tensor([3.0, 1.0, 2.0, 0.0]), 0.375), [1 / 0.375, 0, 0.5 / 0.375, 0])
    np.testing.assert_allclose(cvar_weights(tensor(LOSSES), 1.0), np.ones(200))


@pytest.mark.parametrize(
    "of", [lambda loss, w: chi_square_weights(loss, 2.0, w), lambda loss, w: cvar_weights(loss, 0.3, w)]
)
def test_a_weight_of_two_is_a_row_given_twice(of):
    loss, weight = tensor([0.1, 0.5, 2.0, 0.7]), tensor([1.0, 2.0, 1.0, 0.0])
    found = of(loss, weight)
    twice = of(tensor([0.1, 0.5, 0.5, 2.0]), None)
    np.testing.assert_allclose(found[[0, 1, 2]], [twice[0], (twice[1] + twice[2]) / 2, twice[3]], atol=1e-6)


def test_adversarial_weights_have_mean_two_and_are_at_least_one():
    scores = torch.rand(50, generator=torch.Generator().manual_seed(0))
    found = adversarial_weights(scores)
    assert float(found.mean()) == pytest.approx(2, abs=1e-5)
    assert float(found.min()) >= 1
    np.testing.assert_allclose(adversarial_weights(torch.full((4,), 0.3)), np.full(4, 2.0), atol=1e-6)
    assert float(adversarial_weights(torch.zeros(3)).max()) == 1  # no score at all: no division by 0


def test_bias_weights():
    np.testing.assert_allclose(bias_weights(tensor([1, 0.2, 0]), tensor([1, 0.6, 0])), [0.5, 0.25, 0], atol=1e-6)


def test_soft_labels_that_are_hard_are_the_cross_entropy():
    logits, y = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 2, 1, 0])
    hard = torch.nn.functional.one_hot(y, 3).float()
    expected = torch.nn.functional.cross_entropy(logits, y, reduction="none")
    np.testing.assert_allclose(soft_cross_entropy(logits, hard), expected, atol=1e-6)


def test_the_gradient_of_soft_labels_keeps_its_size_at_any_temperature():
    p = torch.tensor([[0.52, 0.48]])
    sizes = []
    for temperature in (1.0, 2.0, 4.0, 8.0):
        logits = torch.tensor([[-0.02, 0.03]], requires_grad=True)
        soft_cross_entropy(logits, p, temperature).sum().backward()
        sizes.append(float(logits.grad.norm()))
    np.testing.assert_allclose(np.array(sizes) / sizes[0], 1, rtol=0.05)


def test_under_vmap():
    losses = torch.rand(3, 20, generator=torch.Generator().manual_seed(0))
    c, alpha = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0.1, 0.5, 1.0])
    for function, varied in ((chi_square_weights, c), (cvar_weights, alpha)):
        stacked = torch.vmap(function)(losses, varied)
        single = torch.stack([function(loss, float(value)) for loss, value in zip(losses, varied)])
        np.testing.assert_allclose(stacked, single, atol=1e-6)


def test_no_gradient_flows_through_weights():
    loss = tensor([0.1, 0.5, 2.0]).requires_grad_()
    for weights in (chi_square_weights(loss, 1.3), cvar_weights(loss, 0.5)):
        assert not weights.requires_grad


def test_adversarial_weights_of_weighted_and_of_small_scores():
    found = adversarial_weights(tensor([0.1, 0.3]), tensor([3.0, 3.0]))
    np.testing.assert_allclose(found, [1.5, 2.5])
    found = adversarial_weights(tensor([0.2, 0.8]), tensor([6.0, 2.0]))  # the mean score is 0.35
    np.testing.assert_allclose(found, [1 + 0.2 / 0.35, 1 + 0.8 / 0.35])
    np.testing.assert_allclose(adversarial_weights(tensor([0.001, 0.003])), [1.5, 2.5])
