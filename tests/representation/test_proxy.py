"""Proxy annotations: the generalised cross entropy, the split within each label, no look at real groups."""

import numpy as np
import pytest
import torch
from common import rows, same_weights, small
from torch.nn.functional import cross_entropy

from skfair._data import Batch
from skfair.functional import generalized_cross_entropy
from skfair.representation import ProxyAnnotator


def test_gce_of_one_is_the_probability_of_being_wrong():
    logits, y = torch.tensor([[0.3, -1.0], [2.0, 0.5]]), torch.tensor([0, 1])
    p = torch.softmax(logits, 1)[torch.arange(2), y]
    torch.testing.assert_close(generalized_cross_entropy(logits, y, 1.0), 1 - p)
    torch.testing.assert_close(generalized_cross_entropy(logits, y, 0.4), (1 - p**0.4) / 0.4)


def test_gce_tends_to_cross_entropy():
    logits = torch.tensor([[0.0, 4.0], [1.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([0, 0])
    torch.testing.assert_close(
        generalized_cross_entropy(logits, y, 1e-4), cross_entropy(logits, y, reduction="none"), atol=2e-3, rtol=0
    )


def test_gradient_is_that_of_cross_entropy_times_p_to_the_q():
    logits, y = torch.randn(5, 3, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 2, 1, 0])
    gce = torch.autograd.grad(generalized_cross_entropy(logits, y, 0.7).sum(), logits)[0]
    ce = torch.autograd.grad(cross_entropy(logits, y, reduction="sum"), logits)[0]
    p = torch.softmax(logits, 1)[torch.arange(5), y].detach()
    torch.testing.assert_close(gce, p.unsqueeze(1) ** 0.7 * ce)


def test_impossible_labels_are_finite():
    logits = torch.tensor([[-1e4, 1e4]], requires_grad=True)
    loss = generalized_cross_entropy(logits, torch.tensor([0]), 0.2)
    assert loss.item() == pytest.approx(5.0)
    loss.sum().backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("gamma", [0.0, 0.2, 0.5, 1.0])
def test_fraction_gamma_of_each_label(gamma):
    X, y, _ = rows(200)
    annotation = small(ProxyAnnotator, gamma=gamma).fit(X, y).annotate(X, y)
    for label in (0, 1):
        assert annotation[y == label].mean() == pytest.approx(gamma, abs=1 / (y == label).sum())


def test_the_confident_of_the_desired_label_are_privileged():
    X, y, _ = rows(200)
    proxy = small(ProxyAnnotator, gamma=0.3).fit(X, y)
    annotation, p = proxy.annotate(X, y), proxy.predict_proba(X)[:, 1]
    for label in (0, 1):
        own = y == label
        assert p[own & (annotation == 1)].min() >= p[own & (annotation == 0)].max()


def test_the_other_desired_label_flips_the_annotation():
    X, y, _ = rows(200)
    one, zero = (small(ProxyAnnotator, pos_label=label).fit(X, y).annotate(X, y) for label in (1, 0))
    assert (one == 1 - zero).mean() > 0.98  # a label's middle row may fall on either side


def test_soft_annotations_are_ranks_within_the_label():
    X, y, _ = rows(100)
    proxy = small(ProxyAnnotator).fit(X, y)
    soft = proxy.annotate(X, y, soft=True)
    assert ((soft > 0) & (soft < 1)).all()
    assert ((soft > 0.5).astype(int) == proxy.annotate(X, y)).all()


def test_one_versus_the_rest():
    X, y, _ = rows(150)
    y = y + (X[:, 2] > 0)
    proxy = small(ProxyAnnotator, pos_label=[0, 1, 2]).fit(X, y)
    soft, hard = proxy.annotate(X, y, soft=True), proxy.annotate(X, y)
    assert soft.shape == (150, 3)
    assert (hard == soft.argmax(1)).all()
    assert set(hard) == {0, 1, 2}


def test_real_groups_change_nothing():
    X, y, s = rows()
    with_groups = small(ProxyAnnotator).fit(X, y, sensitive_features=s)
    assert same_weights(with_groups, small(ProxyAnnotator).fit(X, y))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [(dict(q=0), "q must"), (dict(q=1.5), "q must"), (dict(gamma=2), "gamma"), (dict(pos_label="x"), "pos_label")],
    ids=str,
)
def test_bad_parameters(parameters, message):
    X, y, _ = rows()
    with pytest.raises(ValueError, match=message):
        small(ProxyAnnotator, **parameters).fit(X, y)


def test_unknown_labels_are_refused():
    X, y, _ = rows()
    proxy = small(ProxyAnnotator).fit(X, y)
    with pytest.raises(ValueError, match=r"\[7\]"):
        proxy.annotate(X, np.full(len(y), 7))


def test_the_loss_is_the_generalised_cross_entropy():
    X, y, _ = rows()
    proxy = small(ProxyAnnotator, q=0.3).fit(X, y)
    zero, weight = torch.zeros(120, dtype=torch.int64), torch.linspace(0.2, 2.5, 120)
    logits = 3 * torch.randn(120, 2, generator=torch.Generator().manual_seed(0))
    batch = Batch(torch.as_tensor(X), torch.as_tensor(y), zero[:, None], zero, weight, torch.arange(120))
    p = torch.softmax(logits, 1)[torch.arange(120), batch.y]
    expected = (weight * (1 - p**0.3) / 0.3).mean().item()
    assert proxy.objective(logits, batch).item() == pytest.approx(expected, rel=1e-5)
