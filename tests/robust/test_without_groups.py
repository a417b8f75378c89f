"""Chi-square and CVaR DRO, ARL, JTT, LfF and distillation: what they share, and each one's own mechanics."""

import numpy as np
import pytest
import torch
from common import quick, rows, same_weights, toy
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from skfair._data import Batch
from skfair.metrics import worst_group_accuracy
from skfair.robust import (
    ARLClassifier,
    ChiSquareDROClassifier,
    CVaRDROClassifier,
    DistillationClassifier,
    ERMClassifier,
    GroupDROClassifier,
    JTTClassifier,
    LfFClassifier,
)

SIX = [ARLClassifier, ChiSquareDROClassifier, CVaRDROClassifier, DistillationClassifier, JTTClassifier, LfFClassifier]
NET = dict(max_epochs=3, batch_size=32, module__dropout=0.0, sensitive_columns=None)


def net_of(cls, **parameters):
    return quick(cls, **{**NET, **parameters})


def erm_like(cls, **parameters):
    """ERM with the optimiser of another class, to compare bit for bit."""
    other = net_of(cls, **parameters)
    same = {name: getattr(other, name) for name in ("optimizer", "lr", "weight_decay", "batch_size", "max_epochs")}
    return ERMClassifier(module__dropout=0.0, random_state=0, **same)


def d1(cls, **parameters):
    """Worst cell and average accuracy on data set D1 after the training of the specification."""
    X, y, s = toy()
    Xt, yt, st = toy(5000, 0.5, seed=1)
    sgd = dict(optimizer=torch.optim.SGD, lr=0.01, weight_decay=1e-2, batch_size=128, max_epochs=20)
    shape = dict(module__hidden=(64, 64), module__dropout=0.0, random_state=0)
    predicted = cls(**{**sgd, **shape, **parameters}).fit(X, y, sensitive_features=s).predict(Xt)
    return worst_group_accuracy(yt, predicted, sensitive_features=st), float((predicted == yt).mean())


# ---------------------------------------------------------------------- groups
@pytest.mark.parametrize("selection", [None, "accuracy", "worst_class"])
@pytest.mark.parametrize("cls", SIX)
def test_groups_are_not_looked_at(cls, selection):
    X, y, s = rows()
    without = net_of(cls, selection=selection).fit(X, y)
    given = net_of(cls, selection=selection).fit(X, y, sensitive_features=s)
    permuted = net_of(cls, selection=selection).fit(X, y, sensitive_features=np.random.default_rng(1).permutation(s))
    assert same_weights(given, permuted)
    assert same_weights(given, without)


@pytest.mark.parametrize("cls", SIX)
def test_selection_by_the_worst_group_needs_groups(cls):
    X, y, s = rows()
    with pytest.raises(ValueError, match="needs sensitive_features"):
        net_of(cls, selection="worst_group").fit(X, y)
    net = net_of(cls, selection="worst_group", max_epochs=4).fit(X, y, sensitive_features=s)
    assert "valid_score" in net.history[-1]


def test_selection_keeps_the_epoch_of_the_best_worst_class():
    X, y, s = rows(300)
    net = net_of(CVaRDROClassifier, selection="worst_class", max_epochs=6).fit(X, y)
    scores = net.history[:, "valid_score"]
    best = dict(net.callbacks_)["best_epoch"].best_epoch_
    assert best == 1 + int(np.argmax(scores))
    assert len(scores) == 6  # all epochs are run


def test_bad_parameters():
    X, y, _ = rows()
    for net, message in [
        (ARLClassifier(selection="best"), r"selection must be one of .*'best'"),
        (ARLClassifier(selection="accuracy", early_stopping="accuracy"), "both choose the epoch"),
        (ARLClassifier(pretrain_steps=-1), r"pretrain_steps must be an integer >= 0, got -1"),
        (ChiSquareDROClassifier(alpha_min=0), r"alpha_min must be a number > 0, got 0"),
        (ChiSquareDROClassifier(alpha_min=1.5), r"alpha_min must be a number <= 1, got 1.5"),
        (ChiSquareDROClassifier(radius=-1), r"radius must be a number >= 0, got -1"),
        (ChiSquareDROClassifier(convention="half"), r"convention='half' does not go with alpha_min"),
        (ChiSquareDROClassifier(convention="hashimoto", radius=1), r"does not go with radius"),
        (CVaRDROClassifier(alpha=0), r"alpha must be a number > 0, got 0"),
        (JTTClassifier(upweight=2.5), r"upweight must be an integer >= 0, got 2.5"),
        (JTTClassifier(upweight=0), r"upweight must be >= 1 with upweight_mode='paper', got 0"),
        (LfFClassifier(ema=1), r"ema must be a number < 1, got 1"),
        (LfFClassifier(norm="min"), r"norm must be one of \['max', 'quantile'\], got 'min'"),
        (DistillationClassifier(teacher=3), r"teacher must have predict_proba, got int"),
        (DistillationClassifier(out_of_fold=1), r"out_of_fold must be an integer >= 2, got 1"),
        (GroupDROClassifier(automatic_adjustment=True, early_stopping=False), "needs held-out rows"),
    ]:
        with pytest.raises(ValueError, match=message):
            net.fit(X, y, sensitive_features=np.arange(len(y)) % 2)
        assert not hasattr(net, "module_")


# ---------------------------------------------------------------------- degenerate equalities
@pytest.mark.parametrize(
    ("cls", "parameters"),
    [
        (ChiSquareDROClassifier, dict(alpha_min=1.0)),
        (ChiSquareDROClassifier, dict(radius=0)),
        (ChiSquareDROClassifier, dict(mode="eta", eta=0, power=1)),
        (CVaRDROClassifier, dict(alpha=1.0)),
        (JTTClassifier, dict(upweight=1, how="repeat")),
        (JTTClassifier, dict(upweight=0, upweight_mode="code", how="repeat")),
        (JTTClassifier, dict(upweight=1, how="weight")),
        (ARLClassifier, dict(pretrain_steps=10**6)),
        (DistillationClassifier, dict(share=0.0)),
    ],
)
def test_strength_zero_is_erm(cls, parameters):
    X, y, _ = rows()
    ours = net_of(cls, **parameters).fit(X, y)
    plain = erm_like(cls, **parameters).fit(X, y)
    for a, b in zip(ours.module_.state_dict().values(), plain.module_.state_dict().values(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_constant_adversary_doubles_the_gradient():
    X, y, _ = rows()
    net = net_of(ARLClassifier, pretrain_steps=0).fit(X, y)
    for parameter in net.adversary_.parameters():
        parameter.data.zero_()
    batch, output = one_batch(net, X, y)
    net._set_training(True)
    loss = net.losses(output, batch).mean()
    assert net.objective(output, batch).item() == pytest.approx(2 * loss.item(), rel=1e-5)


def one_batch(net, X, y):
    n = len(y)
    zero, x = torch.zeros(n, dtype=torch.int64), torch.tensor(X, dtype=torch.float32)
    batch = Batch(x, torch.tensor(y), zero[:, None], zero, torch.ones(n), torch.arange(n))
    return batch, net.infer(x)


def test_an_adversary_step_raises_the_weighted_loss_and_leaves_the_learner():
    X, y, _ = rows()
    net = net_of(ARLClassifier, pretrain_steps=0, adversary_lr=0.01).fit(X, y)
    batch, output = one_batch(net, X, y)
    output = output.detach()
    before = net.adversary_objective(output, batch).item()
    net.adversary_optimizer_.zero_grad()
    net.optimizer_.zero_grad()
    net.adversary_objective(output, batch).backward()
    assert all(p.grad is None or not p.grad.any() for p in net.module_.parameters())
    net.adversary_optimizer_.step()
    assert net.adversary_objective(output, batch).item() < before  # minus the weighted loss


# ---------------------------------------------------------------------- JTT
def test_the_error_set_follows_its_rows():
    X, y, _ = rows(150)
    whole = dict(batch_size=-1, shuffle=False, first_epochs=3, error_set="eval", max_epochs=1)
    order = np.random.default_rng(0).permutation(len(y))
    a = net_of(JTTClassifier, **whole).fit(X, y)
    b = net_of(JTTClassifier, **whole).fit(X[order], y[order])
    np.testing.assert_array_equal(a.error_set_[order], b.error_set_)
    np.testing.assert_array_equal(a.error_set_, a.first_net_.predict(X) != y)
    assert 0 < a.error_set_.sum() < len(y)


def test_rows_of_the_error_set_come_so_often():
    X, y, _ = rows()
    for mode, times in (("paper", 3), ("code", 4)):
        net = net_of(JTTClassifier, upweight=3, upweight_mode=mode, how="repeat")
        data = net._check_fit(X, y, None, None, reset=True)
        assert len(net._repeated(data)) == len(y) + (times - 1) * net.error_set_.sum()


def test_other_rows_of_a_later_call_get_an_error_set_of_their_own():
    X, y, _ = rows()
    net = net_of(JTTClassifier, how="weight").partial_fit(X, y)
    later = net._check_fit(X[::-1], y[::-1], None, None, reset=False)  # as many rows, in another order
    np.testing.assert_array_equal(later.y["extra"][:, 0] > 0, net.error_set_[::-1])


def test_the_second_network_is_a_fresh_one_and_an_empty_error_set_warns():
    X, y, _ = rows()
    net = net_of(JTTClassifier, lr=1e-8, optimizer=torch.optim.SGD, max_epochs=1).fit(X, y)
    fresh = erm_like(JTTClassifier, lr=1e-8, optimizer=torch.optim.SGD, max_epochs=1).fit(X, y)
    for a, b in zip(net.module_.state_dict().values(), fresh.module_.state_dict().values(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    with pytest.warns(UserWarning, match="the second training is ERM"):
        net_of(JTTClassifier, first_epochs=30, lr=0.1).fit(np.repeat([[0.0], [9.0]], 20, 0), np.repeat([0, 1], 20))


# ---------------------------------------------------------------------- LfF
def test_running_means_start_with_the_first_loss():
    X, y, _ = rows()
    net = net_of(LfFClassifier).fit(X, y)
    net.renew_state(net._check_fit(X[::-1], y[::-1], None, None, reset=False))  # other rows: nothing is kept
    assert not net.state_.biased.any()
    net.renew_state(net._check_fit(X, y, None, None, reset=False))
    batch, _ = one_batch(net, X, y)
    losses = torch.rand(len(y)) + 0.1
    relative = net.relative("biased", losses, batch)
    np.testing.assert_allclose(net.state_.biased[: len(y)], losses)
    for label in (0, 1):
        assert float(relative[y == label].max()) == pytest.approx(1)
    net.relative("biased", 2 * losses, batch)
    np.testing.assert_allclose(net.state_.biased[: len(y)], 0.7 * losses + 0.3 * 2 * losses, rtol=1e-5)


def test_the_two_networks_of_lff_are_apart():
    X, y, _ = rows()
    net = net_of(LfFClassifier).fit(X, y)
    first = zip(net.module_.parameters(), net.adversary_.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in first)  # initialised by streams of their own
    batch, output = one_batch(net, X, y)
    net._set_training(True)
    for p in [*net.module_.parameters(), *net.adversary_.parameters()]:
        p.grad = None
    hard = net.losses(net.main_output(net.adversary_(batch.x)), batch).detach()
    weighted = (net.relative("biased", hard, batch) * net.losses(output, batch)).mean()
    weighted.backward()
    assert all(p.grad is None for p in net.adversary_.parameters())


# ---------------------------------------------------------------------- distillation
@pytest.mark.parametrize("teacher", [HistGradientBoostingClassifier(max_iter=5), LogisticRegression()])
def test_a_teacher_of_scikit_learn(teacher):
    X, y, _ = rows()
    words = np.array(["no", "yes"])[y]
    net = net_of(DistillationClassifier, teacher=teacher, max_epochs=20).fit(X, words)
    assert not hasattr(teacher, "classes_")  # the user's own is not fitted
    told = net.teacher_.predict_proba(X)[:, 1]
    assert np.corrcoef(net.predict_proba(X)[:, 1], told)[0, 1] > 0.7
    assert 0 < net.teacher_entropy_ < np.log(2)


def test_a_frozen_teacher_is_used_as_it_is_and_must_know_the_classes():
    X, y, _ = rows()
    teacher = LogisticRegression().fit(X, y)
    net = net_of(DistillationClassifier, teacher=FrozenEstimator(teacher)).fit(X, y)
    assert net.teacher_.estimator is teacher
    with pytest.raises(ValueError, match=r"was not fitted on the classes \[2\]"):
        net_of(DistillationClassifier, teacher=FrozenEstimator(teacher)).fit(X, np.arange(len(y)) % 3)


def test_out_of_fold_labels_are_softer_than_those_of_a_teacher_that_has_seen_the_rows():
    X, y, _ = rows()
    y = np.random.default_rng(0).permutation(y)  # nothing to learn but the rows themselves
    teacher = HistGradientBoostingClassifier(max_iter=60, min_samples_leaf=2, random_state=0)
    seen = net_of(DistillationClassifier, teacher=teacher, max_epochs=1).fit(X, y)
    unseen = net_of(DistillationClassifier, teacher=teacher, out_of_fold=3, max_epochs=1)
    data = unseen._check_fit(X, y, None, None, reset=True)
    wrong = (data.y["extra"].argmax(1).numpy() != y).mean()
    assert wrong > 0.3
    assert (seen.teacher_.predict(X) == y).mean() > 0.95


def test_hard_labels_and_a_large_student_warn():
    X, y = np.repeat([[-9.0], [9.0]], 30, 0), np.repeat([0, 1], 30)
    sure = FrozenEstimator(LogisticRegression(C=1e6).fit(X, y))
    with pytest.warns(UserWarning, match="soft labels are hard"):
        net_of(DistillationClassifier, teacher=sure).fit(X, y)
    X, y, _ = rows()
    small = ERMClassifier(module__hidden=(2,), max_epochs=1)
    with pytest.warns(UserWarning, match="it should be the smaller one"):
        net_of(DistillationClassifier, teacher=small).fit(X, y)


# ---------------------------------------------------------------------- DRO
def test_a_fixed_eta_above_all_losses_warns():
    X, y, _ = rows()
    with pytest.warns(UserWarning, match=r"only 0.00% of the rows have a loss above eta=50"):
        net_of(ChiSquareDROClassifier, mode="eta", eta=50.0).fit(X, y)


def test_conventions_of_the_radius():
    assert ChiSquareDROClassifier(alpha_min=0.2).c_ == pytest.approx(5**0.5)
    assert ChiSquareDROClassifier(alpha_min=0.2, convention="hashimoto").c_ == pytest.approx(33**0.5)
    assert ChiSquareDROClassifier(radius=4).c_ == pytest.approx(5**0.5)
    assert ChiSquareDROClassifier(radius=4, convention="half").c_ == pytest.approx(3)


def test_the_worst_losses_fall_with_the_fraction():
    X, y, _ = toy(1000)
    found = []
    for alpha in (1.0, 0.1):
        p = net_of(CVaRDROClassifier, alpha=alpha, max_epochs=15).fit(X, y).predict_proba(X)[np.arange(len(y)), y]
        found.append(np.sort(-np.log(p))[-100:].mean())
    assert found[1] < found[0]


def test_greedy_group_dro_puts_all_weight_on_the_worst_cells():
    X, y, s = toy(1000)
    plain = dict(greedy=True, max_epochs=1, balanced=False, early_stopping=False, random_state=0)
    net = GroupDROClassifier(alpha=0.03, **plain).fit(X, y, sensitive_features=s)
    assert net.cell_weights_.sum() == pytest.approx(1)
    assert net.cell_weights_[[1, 2]].sum() > 0.8  # the rare cells
    even = GroupDROClassifier(alpha=1.0, **plain).fit(X, y, sensitive_features=s)
    np.testing.assert_allclose(even.cell_weights_, even.state_.share, atol=1e-6)


def test_automatic_adjustment_follows_the_held_out_losses():
    X, y, s = toy(600)
    net = GroupDROClassifier(automatic_adjustment=True, max_epochs=3, random_state=0, early_stopping="accuracy")
    assert net.fit(X, y, sensitive_features=s).state_.bonus.abs().sum() > 0
    assert net.unstackable()


# ---------------------------------------------------------------------- the toy data of the specification
@pytest.mark.parametrize(
    ("cls", "parameters", "low", "high"),
    [
        (ERMClassifier, {}, 0, 0.70),
        (GroupDROClassifier, {}, 0.86, 1),
        (JTTClassifier, {}, 0.75, 1),
        (LfFClassifier, dict(optimizer=torch.optim.Adam, lr=1e-3, weight_decay=0.0), 0.75, 1),
    ],
)
def test_the_worst_cell_of_d1(cls, parameters, low, high):
    worst, _ = d1(cls, **parameters)
    assert low < worst < high


def test_a_net_that_says_the_same_of_all_rows_warns():
    X, y, _ = rows()
    noise = np.random.default_rng(0).permutation(y)
    for net in (
        net_of(CVaRDROClassifier, alpha=0.02, lr=1e-4),
        net_of(ChiSquareDROClassifier, alpha_min=0.02, lr=1e-4),
    ):
        with pytest.warns(UserWarning, match="nearly the same probabilities"):
            net.fit(0.01 * X, noise)
