"""The method that CONTRIBUTING.md shows is a real one."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from common import same_weights, toy

from skfair._data import Batch
from skfair.robust import ERMClassifier


@pytest.fixture(scope="module")
def shown():
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    scope = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1), scope)
    return scope["VarianceClassifier"]


def test_formula_by_hand(shown):
    X, y, s = toy(60, correlation=0.7)
    net = shown(strength=2.0, max_epochs=1, random_state=0).fit(X, y, sensitive_features=s)
    logits, s_t = torch.randn(60, 2), torch.as_tensor(s)
    batch = Batch(torch.as_tensor(X), torch.as_tensor(y), s_t[:, None], s_t, torch.ones(60), torch.arange(60))
    losses = -torch.log_softmax(logits, 1).numpy()[np.arange(60), y]
    means = [losses[s == 0].mean(), losses[s == 1].mean()]
    assert net.objective(logits, batch).item() == pytest.approx(losses.mean() + 2 * np.var(means), rel=1e-5)


def test_strength_zero_is_erm(shown):
    X, y, s = toy(200)
    erm = ERMClassifier(max_epochs=2, random_state=0).fit(X, y)
    assert same_weights(shown(strength=0, max_epochs=2, random_state=0).fit(X, y, sensitive_features=s), erm)


def test_variance_falls_with_the_strength(shown):
    X, y, s = toy(1000, correlation=0.8)
    s = np.where((y == 1) & (np.arange(1000) % 3 == 0), 1, 0)  # a harder group
    spread = []
    for strength in (0.0, 50.0):
        net = shown(strength=strength, max_epochs=10, lr=0.01, random_state=0).fit(X, y, sensitive_features=s)
        losses = -np.log(net.predict_proba(X)[np.arange(1000), y])
        spread.append(np.var([losses[s == g].mean() for g in (0, 1)]))
    assert spread[1] < 0.5 * spread[0]
