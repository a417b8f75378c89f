"""Group DRO: properties P1 to P7 of the method; P1 and P2 of the update itself stand in test_functional."""

import numpy as np
import pytest
import torch
from common import same_weights, toy

from skfair._data import Batch
from skfair.robust import ERMClassifier, GroupDROClassifier

# the setting for which the thresholds on the toy data were measured
TOY = dict(module__hidden=(64, 64), module__dropout=0.0, lr=0.01, weight_decay=0.01, batch_size=128, max_epochs=20)


def fitted(X, y, s, **parameters):
    parameters = {"early_stopping": False, "random_state": 0, "max_epochs": 1, "module__dropout": 0.0, **parameters}
    return GroupDROClassifier(**parameters).fit(X, y, sensitive_features=s)


def batch_of(net, X, y, s, weight=None):
    n = len(y)
    weight = torch.ones(n) if weight is None else weight
    s = torch.as_tensor(s)
    return Batch(torch.as_tensor(X), torch.as_tensor(y), s.reshape(n, 1), s, weight, torch.arange(n))


@pytest.fixture(scope="module")
def small():
    return toy(400, correlation=0.8)


def step_by_hand(net, batch, eta, bonus=0.0):
    """One evaluation of the objective, written out in numpy: the loss and the new q."""
    losses = net.losses(net.infer(batch.x), batch).detach().numpy().astype(float)
    cell = (batch.y * 2 + batch.group).numpy()
    L = np.array([losses[cell == g].mean() if (cell == g).any() else 0.0 for g in range(4)])
    q = net.cell_weights_ * np.exp(eta * (L + bonus))
    q /= q.sum()
    return q @ L, q, L


@pytest.mark.parametrize("eta", [0.0, 0.01, 1.0])
def test_objective_by_hand(small, eta):
    X, y, s = small
    net = fitted(X, y, s, step_size=eta)
    batch = batch_of(net, X[:50], y[:50], s[:50])
    loss, q, _ = step_by_hand(net, batch, eta)
    net.module_.train()  # dropout is 0
    found = net.objective(net.infer(batch.x), batch)
    assert found.item() == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(net.cell_weights_, q, rtol=1e-5)


def test_gradient_takes_q_as_a_constant(small):
    """P3."""
    X, y, s = small
    net = fitted(X, y, s, step_size=0.5)
    batch = batch_of(net, X[:60], y[:60], s[:60])
    net.module_.train()
    loss = net.objective(net.infer(batch.x), batch)
    parameter = net.module_.head[-1].bias
    (found,) = torch.autograd.grad(loss, parameter)
    q, losses = net.cell_weights_, net.losses(net.infer(batch.x), batch)
    cell = batch.y * 2 + batch.group
    fixed = sum(q[g] * losses[cell == g].mean() for g in range(4) if (cell == g).any())
    torch.testing.assert_close(found, torch.autograd.grad(fixed, parameter)[0].to(found.dtype))


def test_adjustment_raises_the_weight_of_the_smallest_cell(small):
    """P4: on equal losses; the loss and its gradient of that step see C through q alone."""
    X, y, s = small
    net, plain = (fitted(X, y, s, adjustment=c, step_size=1.0) for c in (3.0, 0.0))
    count = np.bincount(2 * y + s)
    np.testing.assert_allclose(net.state_.bonus.numpy(), 3.0 / np.sqrt(count), rtol=1e-5)
    for n in (net, plain):
        n.state_.log_q = torch.full((4,), -np.log(4.0))
        n.module_.train()
    batch = batch_of(net, np.zeros((4, 5), np.float32), [0, 0, 1, 1], [0, 1, 0, 1])
    equal = torch.zeros(4, 2, requires_grad=True)
    loss = net.objective(equal, batch)
    assert net.cell_weights_.argmax() == count.argmin()
    assert loss.item() == pytest.approx(np.log(2), rel=1e-5)  # not log 2 plus the bonus
    np.testing.assert_allclose(plain_weights(plain, equal, batch), 0.25, rtol=1e-5)


def plain_weights(net, output, batch):
    net.objective(output, batch)
    return net.cell_weights_


@pytest.mark.parametrize("absent", ["zero", "ema", "importance"])
def test_a_batch_that_lacks_a_cell(small, absent):
    """P5: finite, and the cell's own loss is not seen."""
    X, y, s = small
    net = fitted(X, y, s, absent=absent, step_size=0.1)
    keep = ~((y == 1) & (s == 0))
    batch = batch_of(net, X[keep][:40], y[keep][:40], s[keep][:40])
    net.module_.train()
    loss = net.objective(net.infer(batch.x), batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert np.isfinite(net.cell_weights_).all()
    assert net.cell_weights_.sum() == pytest.approx(1.0)
    assert all(torch.isfinite(p.grad).all() for p in net.module_.parameters())


def increments(absent, share, rounds=3000, loss=1.0):
    """Mean step of log q (up to the common constant) of a cell that is present in a share of the batches."""
    X, y, s = toy(400, correlation=0.8)
    net = fitted(X, y, s, absent=absent, step_size=1.0)
    net.state_.presence = torch.tensor([1.0, 1.0, 1.0, share])
    generator, total = np.random.default_rng(0), np.zeros(4)
    for _ in range(rounds):
        present = torch.tensor([True, True, True, bool(generator.random() < share)])
        total += net._adjusted(torch.where(present, loss, 0.0), present).numpy()
    return total / rounds


def test_absent_cells_do_not_drift():
    """P5: equal losses give equal expected increments, with "ema" and "importance"; with "zero" a rare cell decays."""
    assert increments("zero", 0.1)[3] < 0.2
    assert increments("ema", 0.1)[3] == pytest.approx(1.0, abs=0.05)
    assert increments("importance", 0.1)[3] == pytest.approx(1.0, abs=0.2)


def test_balanced_sampler_draws_every_cell_alike(small):
    X, y, s = small
    net = fitted(X, y, s)
    rows = {"y": torch.as_tensor(y), "group": torch.as_tensor(s), "weight": torch.ones(len(y))}
    weights = net.sampling_weights(rows)
    mass = np.bincount(2 * y + s, weights.numpy())
    np.testing.assert_allclose(mass, mass[0])


def test_worst_group_on_the_toy_data():
    """P6: worst cell >= 0.86 where ERM's is <= 0.70."""
    X, y, s = toy(3000)
    X_test, y_test, s_test = toy(20_000, correlation=0.5, seed=1)

    def worst(net):
        hit = net.predict(X_test) == y_test
        return min(hit[(y_test == a) & (s_test == b)].mean() for a in (0, 1) for b in (0, 1))

    erm = ERMClassifier(optimizer=torch.optim.SGD, random_state=0, **TOY).fit(X, y)
    dro = GroupDROClassifier(early_stopping=False, step_size=0.1, random_state=0, **TOY)
    assert worst(erm) <= 0.70
    assert worst(dro.fit(X, y, sensitive_features=s)) >= 0.86


def test_strong_l2_is_what_makes_it_work():
    """A net that memorises the upsampled minority gains nothing: the paper's point about regularisation."""
    rng = np.random.default_rng(0)

    def data(n, correlation):
        y = rng.random(n) < 0.5
        s = np.where(rng.random(n) < correlation, y, ~y)
        core, spurious = (2 * y - 1) + 1.2 * rng.normal(size=n), (2 * s - 1) + 0.4 * rng.normal(size=n)
        X = np.column_stack([core, spurious, rng.normal(size=(n, 20))]).astype(np.float32)
        return X, y.astype(int), s.astype(int)

    X, y, s = data(2000, 0.95)
    X_test, y_test, s_test = data(10_000, 0.5)
    worst = []
    for weight_decay in (0.0, 0.1):
        net = GroupDROClassifier(**{**TOY, "weight_decay": weight_decay}, early_stopping=False, random_state=0)
        hit = net.fit(X, y, sensitive_features=s).predict(X_test) == y_test
        worst.append(min(hit[(y_test == a) & (s_test == b)].mean() for a in (0, 1) for b in (0, 1)))
    assert worst[1] > worst[0] + 0.1


def test_q_holds_no_graph(small):
    """P7: the state does not grow with the steps."""
    X, y, s = small
    net = fitted(X, y, s, max_epochs=3)
    assert net.state_.log_q.grad_fn is None
    assert not net.state_.log_q.requires_grad


def test_validation_neither_reads_nor_moves_q(small):
    X, y, s = small
    net = fitted(X, y, s)
    batch = batch_of(net, X[:60], y[:60], s[:60])
    before = net.cell_weights_
    found = net.objective(net.infer(batch.x), batch).item()
    _, _, L = step_by_hand(net, batch, 0.0)
    assert found == pytest.approx(L.max(), rel=1e-5)
    np.testing.assert_array_equal(net.cell_weights_, before)


def test_frozen_cell_shares_are_erm():
    """q = n_g / N on whole batches and a step size of 0 is ERM."""
    X, y, s = toy(200, correlation=0.7)

    class Frozen(GroupDROClassifier):
        def make_state(self, rows):
            count = torch.bincount(self.cell(rows)).float()
            return {**super().make_state(rows), "log_q": torch.log(count / count.sum())}

    same = dict(
        optimizer=torch.optim.SGD, batch_size=-1, module__dropout=0.0, max_epochs=20, random_state=0, weight_decay=0.01
    )
    dro = Frozen(step_size=0.0, balanced=False, early_stopping=False, **same).fit(X, y, sensitive_features=s)
    erm = ERMClassifier(**{**same, "lr": 0.01}).fit(X, y)
    np.testing.assert_allclose(dro.predict_proba(X), erm.predict_proba(X), atol=1e-6)


def test_one_group_is_dro_over_the_classes(small):
    X, y, _ = small
    net = fitted(X, y, np.zeros(len(y)))
    assert [label for label, _ in net.cells_] == [0, 1]
    assert net.cell_weights_.shape == (2,)


def test_a_cell_without_rows_has_no_weight():
    X, y, s = toy(300)
    keep = ~((y == 1) & (s == 0))
    net = fitted(X[keep], y[keep], s[keep], max_epochs=2)
    assert net.cell_weights_[2] == 0.0
    assert net.cell_weights_.sum() == pytest.approx(1.0)


def test_best_epoch_by_the_worst_cell(small):
    X, y, s = small
    net = GroupDROClassifier(random_state=0, max_epochs=8).fit(X, y, sensitive_features=s)
    scores = net.history[:, "valid_score"]
    assert len(scores) == 8  # patience=None runs all epochs
    best = dict(net.callbacks_)["best_epoch"]
    assert best.best_score_ == max(scores)
    assert best.best_epoch_ == 1 + scores.index(max(scores))


def test_per_cell_adjustment(small):
    X, y, s = small
    net = fitted(X, y, s, adjustment=[0.0, 0.0, 5.0, 0.0])
    assert (net.state_.bonus > 0).tolist() == [False, False, True, False]
    with pytest.raises(ValueError, match=r"shape \(3,\), expected one per cell: \(4,\)"):
        fitted(X, y, s, adjustment=[0.0, 0.0, 1.0])


def test_normalised_losses_sum_to_one(small):
    X, y, s = small
    net = fitted(X, y, s, normalize_loss=True)
    adjusted = net._adjusted(torch.tensor([1.0, 2.0, 3.0, 2.0]), torch.ones(4, dtype=torch.bool))
    np.testing.assert_allclose(adjusted.numpy(), [0.125, 0.25, 0.375, 0.25])


def test_same_seed_same_net(small):
    X, y, s = small
    assert same_weights(fitted(X, y, s), fitted(X, y, s))


@pytest.mark.parametrize("balanced", [True, False])
def test_weights_of_rows_count_where_they_do_not_decide_the_draws(small, balanced):
    X, y, s = small
    net = fitted(X, y, s, balanced=balanced, step_size=0.3)
    weight = torch.linspace(0.1, 2.0, 60)
    batch = batch_of(net, X[:60], y[:60], s[:60], weight)
    losses, cell = net.losses(net.infer(batch.x), batch).detach(), batch.y * 2 + batch.group

    def means(weight):
        return np.array([(weight * losses)[cell == g].sum() / weight[cell == g].sum() for g in range(4)])

    assert net.objective(net.infer(batch.x), batch).item() == pytest.approx(means(weight).max(), rel=1e-5)  # held out
    net.module_.train()
    q = net.cell_weights_ * np.exp(0.3 * means(torch.ones(60) if balanced else weight))
    net.objective(net.infer(batch.x), batch)
    np.testing.assert_allclose(net.cell_weights_, q / q.sum(), rtol=1e-5)


def test_cells_are_counted_by_weight(small):
    X, y, s = small
    weight = np.where(s == 1, 3.0, 1.0)
    net = GroupDROClassifier(early_stopping=False, adjustment=2.0, balanced=False, batch_size=8, max_epochs=1)
    net.fit(X, y, sensitive_features=s, sample_weight=weight)
    count = np.bincount(2 * y + s, weight) / weight.mean()
    np.testing.assert_allclose(net.state_.bonus, 2 / np.sqrt(count), rtol=1e-5)
    np.testing.assert_allclose(net.state_.share, count / 400, rtol=1e-5)
    np.testing.assert_allclose(net.state_.presence, 1 - (1 - count / 400) ** 8, rtol=1e-4)
    np.testing.assert_allclose(fitted(X, y, s, batch_size=8).state_.presence, 1 - 0.75**8, rtol=1e-5)


def test_running_losses_begin_with_the_first_and_pause_with_the_cell(small):
    net = fitted(*small)
    net.state_.running = torch.full((4,), torch.nan)
    present = torch.tensor([True, True, False, False])
    assert net._running_mean(torch.tensor([2.0, 4.0, 0.0, 0.0]), present).tolist() == [2, 4, 0, 0]
    present = torch.tensor([True, False, True, False])
    found = net._running_mean(torch.tensor([3.0, 0.0, 5.0, 0.0]), present)
    np.testing.assert_allclose(found, [0.9 * 2 + 0.1 * 3, 4, 5, 0], rtol=1e-6)


def test_greedy_weights_by_hand(small):
    """The adjusted losses 1.5, 1, 2, 1.2 rank the cells; the worst 0.5 of the rows are cell 2 and 0.3 of cell 0."""
    net = fitted(*small, greedy=True, alpha=0.5, minimum_weight=0.2)
    net.state_.share, net.state_.running = torch.tensor([0.4, 0.3, 0.2, 0.1]), torch.full((4,), torch.nan)
    net.state_.bonus = torch.tensor([0.5, 0.0, 0.0, 0.2])
    found = net._greedy(torch.tensor([1.0, 1.0, 2.0, 1.0]), torch.ones(4, dtype=torch.bool))
    np.testing.assert_allclose(found, [0.2 * 0.4 + 0.8 * 0.6, 0.06, 0.2 * 0.2 + 0.8 * 0.4, 0.02], rtol=1e-5)


def test_automatic_adjustment_by_hand(small):
    """C / sqrt(n): the weighted mean loss of held-out rows less the running one, of each cell that both know."""
    X, y, s = small
    net = fitted(X, y, s, early_stopping="accuracy", automatic_adjustment=True, adjustment=1.0, step_size=0.0)
    keep = (y == 0) | (s == 1)  # no held-out row of cell 2
    batch = batch_of(net, X[keep][:60], y[keep][:60], s[keep][:60], torch.linspace(0.1, 2.0, 60))
    losses, cell = net.losses(net.infer(batch.x), batch).detach(), batch.y * 2 + batch.group
    net.state_.held_out = torch.zeros(2, 4)
    net.state_.running, net.state_.bonus = torch.tensor([0.3, torch.nan, 0.4, 0.2]), torch.full((4,), 7.0)
    for part in (slice(0, 20), slice(20, 60)):  # two batches of one epoch
        rows = batch_of(net, batch.x[part], batch.y[part], batch.group[part], batch.weight[part])
        with torch.no_grad():
            net.objective(net.infer(rows.x), rows)
    net._adjust()
    mean = [(batch.weight * losses)[cell == g].sum() / batch.weight[cell == g].sum() for g in (0, 3)]
    np.testing.assert_allclose(net.state_.bonus, [mean[0] - 0.3, 7, 7, mean[1] - 0.2], rtol=1e-4)
    net.state_.bonus = torch.full((4,), 7.0)
    net._adjust()  # once per epoch
    assert (net.state_.bonus == 7).all()
    net.module_.train()
    before = net.state_.running
    net.objective(net.infer(batch.x), batch)
    assert (net.state_.running[[0, 3]] != before[[0, 3]]).all()  # it is kept for the next epoch
