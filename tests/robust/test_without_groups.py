"""Chi-square and CVaR DRO, ARL, JTT, LfF and distillation: what they share, and each one's own mechanics."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from common import quick, rows, same_weights, toy
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from skfair._data import Batch
from skfair.functional import chi_square_weights
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
from skfair.robust._selection import warn_if_constant

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


# ---------------------------------------------------------------------- each objective by hand, on weighted rows
def weighted_batch(net, X, y):
    """All rows as one batch with weights, whose mean is not 1."""
    batch, _ = one_batch(net, X, y)
    net._set_training(True)
    batch = batch._replace(weight=torch.linspace(0.2, 2.5, len(y)), extra=torch.zeros(len(y), 1))
    output = net.infer(batch.x)
    return batch, output, net.losses(output, batch).detach(), batch.weight


def held_out_loss(net, output, batch):
    net._set_training(False)
    return net.objective(output, batch).item()


def test_arl_by_hand():
    """Learner: the mean of lambda l, lambda held constant; adversary: minus that; held-out rows: without lambda."""
    X, y, _ = rows()
    net = net_of(ARLClassifier, pretrain_steps=0).fit(X, y)
    batch, output, losses, weight = weighted_batch(net, X, y)
    score = torch.sigmoid(net.adversary_(batch.x, batch.y[:, None].float())[:, 0]).detach()
    factor = 1 + score * weight.sum() / (weight * score).sum()
    expected = (weight * factor * losses).mean().item()
    loss = net.objective(output, batch)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert not any(torch.autograd.grad(loss, list(net.adversary_.parameters()), allow_unused=True))
    assert net.adversary_objective(output.detach(), batch).item() == pytest.approx(-expected, rel=1e-5)
    assert held_out_loss(net, output, batch) == pytest.approx((weight * losses).mean().item(), rel=1e-5)


@pytest.mark.parametrize("sees_label", [True, False])
def test_the_adversary_of_arl_sees_the_label_if_it_may(sees_label):
    X, y, _ = rows()
    net = net_of(ARLClassifier, pretrain_steps=0, sees_label=sees_label).fit(X, y)
    batch, *_ = weighted_batch(net, X, y)
    other = net.row_weights(batch._replace(y=1 - batch.y))
    assert torch.equal(net.row_weights(batch), other) is not sees_label


def test_the_adversary_of_arl_begins_after_so_many_steps():
    X, y, _ = rows()
    net = net_of(ARLClassifier, pretrain_steps=2, max_epochs=1, batch_size=-1).fit(X, y)  # a single step
    batch, output, *_ = weighted_batch(net, X, y)
    assert (net.row_weights(batch) == 1).all()
    net.objective(output, batch)
    assert (net.row_weights(batch) > 1).all()


def test_chi_square_by_hand():
    X, y, _ = rows()
    net = net_of(ChiSquareDROClassifier, mode="eta", eta=0.3, power=1.5).fit(X, y)
    batch, output, losses, weight = weighted_batch(net, X, y)
    expected = (weight * (losses - 0.3).clamp_min(0) ** 1.5).mean().item()
    assert net.objective(output, batch).item() == pytest.approx(expected, rel=1e-5)
    assert held_out_loss(net, output, batch) == pytest.approx((weight * losses).mean().item(), rel=1e-5)
    net = net_of(ChiSquareDROClassifier, alpha_min=0.4).fit(X, y)
    batch, output, losses, weight = weighted_batch(net, X, y)
    expected = (weight * chi_square_weights(losses, 0.4**-0.5, weight) * losses).mean().item()
    assert net.objective(output, batch).item() == pytest.approx(expected, rel=1e-5)


def test_cvar_by_hand():
    X, y, _ = rows()
    net = net_of(CVaRDROClassifier, alpha=0.4).fit(X, y)
    batch, output, losses, weight = weighted_batch(net, X, y)
    order = losses.argsort(descending=True)
    left, expected = 0.4 * weight.sum(), 0.0  # the mass that is still to be taken
    for i in order:
        part = torch.minimum(weight[i], left)
        expected, left = expected + part * losses[i], left - part
    expected = (expected / (0.4 * len(y))).item()
    assert net.objective(output, batch).item() == pytest.approx(expected, rel=1e-4)


def test_the_loss_of_a_distilled_net_by_hand():
    X, y, _ = rows()
    net = net_of(DistillationClassifier, teacher=LogisticRegression(), share=0.3, temperature=2.0).fit(X, y)
    batch, output, losses, weight = weighted_batch(net, X, y)
    told = torch.tensor(net.teacher_.predict_proba(X), dtype=torch.float32)
    heated = told.sqrt() / told.sqrt().sum(1, keepdim=True)
    soft = -4 * (heated * torch.log_softmax(output / 2, 1)).sum(1)
    expected = (weight * (0.3 * soft + 0.7 * losses)).mean().item()
    assert net.objective(output, batch._replace(extra=told)).item() == pytest.approx(expected, rel=1e-5)
    assert held_out_loss(net, output, batch) == pytest.approx((weight * losses).mean().item(), rel=1e-5)
    assert net.teacher_entropy_ == pytest.approx(-(told * told.log()).sum(1).mean().item(), rel=1e-5)


def test_the_default_teacher_is_wide_and_trained_to_overfit():
    X, y, _ = rows()
    net = net_of(DistillationClassifier, teacher_epochs=2, max_epochs=3, weight_decay=0.1, module__dropout=0.3)
    teacher = net.fit(X, y).teacher_
    assert len(teacher.history) == 2
    assert teacher.weight_decay == 0
    assert not any(part.p for part in teacher.module_.modules() if isinstance(part, torch.nn.Dropout))
    assert [part.out_features for part in teacher.module_.modules() if isinstance(part, torch.nn.Linear)] == [
        256
    ] * 3 + [2]


@pytest.mark.parametrize(("mode", "times"), [("paper", 3), ("code", 4)])
def test_jtt_weighs_or_draws_the_error_set(mode, times):
    X, y, _ = rows()
    net = net_of(JTTClassifier, upweight=3, upweight_mode=mode, how="weight").fit(X, y)
    batch, output, losses, weight = weighted_batch(net, X, y)
    wrong = torch.tensor(net.error_set_)
    batch = batch._replace(extra=wrong[:, None].float())
    factor = torch.where(wrong, float(times), 1.0)
    assert 0 < wrong.sum() < len(y)
    assert net.objective(output, batch).item() == pytest.approx((weight * factor * losses).mean().item(), rel=1e-5)
    assert held_out_loss(net, output, batch) == pytest.approx((weight * losses).mean().item(), rel=1e-5)
    net = net_of(JTTClassifier, upweight=3, upweight_mode=mode, how="sample", max_epochs=1).fit(X, y)
    assert torch.equal(net.sampling_weights({"extra": batch.extra}), factor)


def test_the_online_error_set_is_of_the_epoch_after_the_first_ones():
    X, y, _ = rows()
    net = net_of(JTTClassifier, error_set="online", first_epochs=2, batch_size=-1, max_epochs=1, lr=0.1).fit(X, y)
    before = clone(net.first_net_).partial_fit(X, y).partial_fit(X, y)  # on whole batches an epoch is one step
    assert len(net.first_net_.history) == 3
    np.testing.assert_array_equal(net.error_set_, before.predict(X) != y)
    assert (net.first_net_.predict(X) != before.predict(X)).any()


@pytest.mark.parametrize(("scale", "factor"), [("paper", 1.0), ("code", 0.5)])
def test_lff_by_hand(scale, factor):
    """The first visit of each row: B and D are the cross entropies themselves, divided by the class's largest."""
    X, y, _ = rows()
    net = net_of(LfFClassifier, q=0.5, gce_scale=scale).fit(X, y)
    batch, output, hard, weight = weighted_batch(net, X, y)
    net.state_.biased, net.state_.debiased = torch.zeros_like(net.state_.biased), torch.zeros_like(net.state_.debiased)
    easy = net.losses(net.adversary_(batch.x), batch).detach()

    def relative(losses):
        return losses / torch.stack([losses[batch.y == label].max() for label in (0, 1)])[batch.y]

    B, D = relative(easy), relative(hard)
    gce = (1 - (-easy).exp() ** 0.5) / 0.5
    loss = net.objective(output, batch)
    assert loss.item() == pytest.approx((weight * (B / (B + D) * hard + factor * gce)).mean().item(), rel=1e-4)
    fixed = (weight * (B / (B + D)) * net.losses(output, batch)).mean()  # W is a constant
    parameter = net.module_.head[-1].bias
    (found,) = torch.autograd.grad(loss, parameter, retain_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(fixed, parameter)[0], rtol=1e-3, atol=1e-7)
    assert held_out_loss(net, output, batch) == pytest.approx((weight * hard).mean().item(), rel=1e-5)


def test_the_quantile_norm_of_lff_leaves_an_outlier_out_and_rows_without_weight_set_no_norm():
    X, y, _ = rows(300)
    y = np.zeros(300, dtype=int)
    y[:20] = 1
    net = net_of(LfFClassifier, norm="quantile", max_epochs=1).fit(X, y)
    values = torch.arange(1.0, 301.0)
    assert net._norm(values) == 297  # 1 % of the rows may be larger
    weight = np.ones(300)
    weight[5] = 0
    net = net_of(LfFClassifier, max_epochs=1).fit(X, y, sample_weight=weight)
    assert net.state_.label[[4, 5, 6, 30]].tolist() == [1, -1, 1, 0]


def test_only_a_net_that_is_constant_in_every_class_is_called_so():
    p = torch.tensor([[0.1, 0.4, 0.5], [0.4, 0.1, 0.5]])  # the third class alone is
    warn_if_constant(SimpleNamespace(outputs=lambda rows: p[rows].log()), [0, 1])
    with pytest.warns(UserWarning, match="gives all 2 rows nearly the same probabilities"):
        warn_if_constant(SimpleNamespace(outputs=lambda rows: p[rows].log()), [1, 1])
