import numpy as np
import pytest
import torch
from common import same_weights, toy

from skfair._data import Batch
from skfair.regularization import RegularizedClassifier
from skfair.regularization._penalties import PENALTIES
from skfair.regularization._statistics import CONDITIONS, conditions
from skfair.robust import ERMClassifier

P = torch.tensor([[0.9], [0.5], [0.2], [0.4], [0.6]])
GROUP = torch.tensor([0, 0, 1, 1, 2])
WEIGHT = torch.tensor([1.0, 3.0, 1.0, 1.0, 2.0])


def test_penalties_by_hand():
    # weighted means: group 0 (.9 + 1.5) / 4 = .6, group 1 .3, group 2 .6; all (2.4 + .6 + 1.2) / 8 = .525
    found = {name: penalty(P, GROUP, 3, WEIGHT).item() for name, penalty in PENALTIES.items()}
    assert found["gap"] == pytest.approx(0.3)
    assert found["absolute"] == pytest.approx(0.075 + 0.225 + 0.075)
    assert found["squared"] == pytest.approx(0.075**2 + 0.225**2 + 0.075**2)
    assert found["hsic"] > 0


@pytest.mark.parametrize("penalty", PENALTIES)
def test_no_penalty_where_the_groups_agree(penalty):
    p = torch.tensor([[0.2], [0.8], [0.2], [0.8]])
    assert PENALTIES[penalty](p, torch.tensor([0, 0, 1, 1]), 2, torch.ones(4)).abs() < 1e-6


@pytest.mark.parametrize("penalty", PENALTIES)
def test_absent_groups_and_empty_conditions(penalty):
    p = torch.rand(6, 1, requires_grad=True)
    present = PENALTIES[penalty](p, torch.tensor([0, 0, 0, 2, 2, 2]), 3, torch.ones(6))
    fewer = PENALTIES[penalty](p, torch.tensor([0, 0, 0, 1, 1, 1]), 2, torch.ones(6))
    assert present.item() == pytest.approx(fewer.item(), abs=1e-6)
    nothing = PENALTIES[penalty](p, torch.full((6,), -1), 3, torch.ones(6))
    (gradient,) = torch.autograd.grad(present + nothing, p)
    assert nothing.item() == 0
    assert torch.isfinite(gradient).all()


def test_for_two_groups_of_all_rows_absolute_is_the_gap():
    p, group = torch.rand(30, 1), torch.randint(0, 2, (30,))
    weight = torch.ones(30)
    torch.testing.assert_close(PENALTIES["absolute"](p, group, 2, weight), PENALTIES["gap"](p, group, 2, weight))


def test_conditions():
    y = torch.tensor([0, 1, 2, 1])
    assert [m.tolist() for m in conditions("equal_opportunity", y, 3, 1)] == [[False, True, False, True]]
    assert len(conditions("equalized_odds", y, 3, 2)) == 3
    assert conditions("demographic_parity", y, 3, 2)[0].all()


def test_equalized_odds_by_hand():
    """EOR: |TPR gap| + |FPR gap| on soft rates."""
    X, y, s = toy(60, correlation=0.7)
    net = RegularizedClassifier(constraint="equalized_odds", max_epochs=1, random_state=0).fit(
        X, y, sensitive_features=s
    )
    logits = torch.randn(60, 2)
    p = torch.softmax(logits, 1)[:, 1].numpy()
    expected = sum(abs(p[(y == c) & (s == 0)].mean() - p[(y == c) & (s == 1)].mean()) for c in (0, 1))
    s_t = torch.as_tensor(s)
    batch = Batch(torch.as_tensor(X), torch.as_tensor(y), s_t.reshape(-1, 1), s_t, torch.ones(60), torch.arange(60))
    assert net.unfairness(logits, batch).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("constraint", CONDITIONS)
def test_strength_zero_is_erm(constraint, penalty):
    """P20, bit for bit."""
    X, y, s = toy(300)
    net = RegularizedClassifier(constraint=constraint, penalty=penalty, strength=0, max_epochs=3, random_state=0)
    erm = ERMClassifier(max_epochs=3, batch_size=256, random_state=0).fit(X, y)
    assert same_weights(net.fit(X, y, sensitive_features=s), erm)


def _soft_gap(net, X, y, s, constraint):
    p = net.predict_proba(X)[:, 1]
    masks = {"demographic_parity": [y >= 0], "equal_opportunity": [y == 1], "equalized_odds": [y == 0, y == 1]}
    return max(abs(p[m & (s == 0)].mean() - p[m & (s == 1)].mean()) for m in masks[constraint])


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("constraint", CONDITIONS)
def test_the_gap_falls_with_the_strength(constraint, penalty):
    X, y, s = toy(1500, correlation=0.8)
    top = {"squared": 30.0, "hsic": 60.0}.get(penalty, 3.0)
    gaps = []
    for strength in (0.0, top / 10, top):
        net = RegularizedClassifier(constraint=constraint, penalty=penalty, strength=strength, max_epochs=8, lr=0.01,
                                    random_state=0).fit(X, y, sensitive_features=s)  # fmt: skip
        gaps.append(_soft_gap(net, X, y, s, constraint))
    assert gaps[0] > gaps[1] - 0.01 > gaps[2] - 0.02
    assert gaps[2] < 0.5 * gaps[0]


def test_it_beats_a_constant():
    """A small gap alone proves nothing: at a comparable gap the accuracy is well above the majority's."""
    X, y, s = toy(3000, correlation=0.8)
    net = RegularizedClassifier(strength=3.0, max_epochs=10, lr=0.01, random_state=0).fit(X, y, sensitive_features=s)
    p = net.predict(X)
    assert abs(p[s == 0].mean() - p[s == 1].mean()) < 0.2  # 0.6 in the labels
    assert net.score(X, y) > 0.7


def test_three_classes_and_three_groups():
    rng = np.random.default_rng(0)
    s = rng.integers(0, 3, 600)
    y = (rng.random((600, 3)) + np.eye(3)[s]).argmax(1)
    X = np.column_stack([np.eye(3)[s], rng.normal(size=(600, 2)), np.eye(3)[y] * 0.5])
    gaps = []
    for strength in (0.0, 5.0):
        net = RegularizedClassifier(strength=strength, max_epochs=10, lr=0.01, random_state=0)
        p = net.fit(X, y, sensitive_features=s).predict_proba(X)
        rates = np.stack([p[s == g].mean(0) for g in range(3)])
        gaps.append((rates.max(0) - rates.min(0)).sum())
    assert gaps[1] < 0.5 * gaps[0]


def test_pos_label_of_equal_opportunity():
    X, y, s = toy(300)
    labels = np.array(["good", "bad"])[y]
    for pos_label, code in (("good", 1), ("bad", 0), (None, 1)):
        net = RegularizedClassifier(constraint="equal_opportunity", pos_label=pos_label, max_epochs=1, random_state=0)
        assert net.fit(X, labels, sensitive_features=s).positive_code(pos_label) == code


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("constraint", CONDITIONS)
def test_weights_equal_repetition_for_every_penalty(constraint, penalty):
    """On whole batches, zero weights included."""
    X, y, s = toy(80, correlation=0.7)
    times = np.random.default_rng(0).integers(0, 4, 80)
    net = RegularizedClassifier(constraint=constraint, penalty=penalty, strength=2.0, batch_size=-1, shuffle=False,
                                module__dropout=0.0, max_epochs=20, lr=0.01, random_state=0)  # fmt: skip
    weighted = net.fit(X, y, sensitive_features=s, sample_weight=times).predict_proba(X)
    repeated = net.fit(*(np.repeat(a, times, axis=0) for a in (X, y)), sensitive_features=np.repeat(s, times))
    np.testing.assert_allclose(weighted, repeated.predict_proba(X), atol=1e-4)


def test_rows_outside_a_condition_do_not_enter_its_mean():
    group, p = torch.cat([GROUP, torch.tensor([-1, -1])]), torch.cat([P, torch.tensor([[0.99], [0.01]])])
    for name in ("gap", "absolute", "squared"):
        found = PENALTIES[name](p, group, 3, torch.cat([WEIGHT, torch.tensor([5.0, 1.0])]))
        torch.testing.assert_close(found, PENALTIES[name](P, GROUP, 3, WEIGHT))


def test_the_objective_by_hand():
    X, y, s = toy(60, correlation=0.7)
    net = RegularizedClassifier(strength=0.3, penalty="absolute", max_epochs=1, module__dropout=0.0, random_state=0)
    net.fit(X, y, sensitive_features=s)
    s, weight = torch.as_tensor(s), torch.linspace(0.2, 2.5, 60)
    batch = Batch(torch.as_tensor(X), torch.as_tensor(y), s[:, None], s, weight, torch.arange(60))
    logits = net.infer(batch.x).detach()
    p, q = torch.softmax(logits, 1).T
    rate = [(weight * q)[s == g].sum() / weight[s == g].sum() for g in (0, 1)]
    total = (weight * q).sum() / weight.sum()
    loss = (weight * -torch.where(batch.y == 1, q, p).log()).mean()
    expected = loss + 0.3 * sum((r - total).abs() for r in rate)
    assert net.objective(logits, batch).item() == pytest.approx(expected.item(), rel=1e-5)
