import copy

import numpy as np
import pytest
import torch
from common import same_weights, toy, weights_of

from skfair._data import Batch
from skfair.adversarial import AdversarialClassifier
from skfair.robust import ERMClassifier

MODES = [
    {"attack": "encoder"},
    {"attack": "output"},
    {"reversal": True},
    {"constraint": "equalized_odds"},
    {"constraint": "equal_opportunity"},
    {"adversary_steps": 3},
]


def net_of(**parameters):
    return AdversarialClassifier(**{"max_epochs": 2, "batch_size": 64, "random_state": 0, **parameters})


def batch_of(X, y, s):
    s = torch.as_tensor(s)
    return Batch(torch.as_tensor(X), torch.as_tensor(y), s.reshape(-1, 1), s, torch.ones(len(y)), torch.arange(len(y)))


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_strength_zero_is_erm(mode):
    """P20, bit for bit: the adversary draws from streams of its own."""
    X, y, s = toy(300)
    erm = ERMClassifier(max_epochs=2, batch_size=64, random_state=0).fit(X, y)
    assert same_weights(net_of(strength=0, **mode).fit(X, y, sensitive_features=s), erm)
    assert not same_weights(net_of(strength=1, **mode).fit(X, y, sensitive_features=s), erm)


@pytest.mark.parametrize("constraint", ["demographic_parity", "equalized_odds", "equal_opportunity"])
def test_adversary_objective_by_hand(constraint):
    X, y, s = toy(40, correlation=0.7)
    net = net_of(constraint=constraint, module__dropout=0.0).fit(X, y, sensitive_features=s)
    batch = batch_of(X, y, s)
    with torch.no_grad():
        output = net.infer(batch.x)
        z = output[1].numpy()
        seen = np.column_stack([z, np.eye(2)[y]]) if constraint == "equalized_odds" else z
        logits = net.adversary_(torch.as_tensor(seen, dtype=torch.float32)).numpy().astype(float)
        found = net.adversary_objective(output, batch).item()
    ce = np.log(np.exp(logits).sum(1)) - logits[np.arange(40), s]
    expected = (ce * (y == 1)).mean() if constraint == "equal_opportunity" else ce.mean()
    assert found == pytest.approx(expected, rel=1e-4)


def gradients_of(net, batch, loss):
    return [g.clone() for g in net.gradients(loss(net.infer(batch.x), batch))]


def test_alternating_gradient_is_task_minus_strength_times_attack():
    X, y, s = toy(64)
    net = net_of(strength=0.7, adversary_lr=1e-30, module__dropout=0.0).fit(X, y, sensitive_features=s)
    batch = batch_of(X, y, s)
    task = gradients_of(net, batch, lambda out, b: net.losses(out[0], b).mean())
    attack = gradients_of(net, batch, net.adversary_objective)
    net.optimizer_.zero_grad()
    net.backward(net.infer(batch.x), batch)
    for p, t, a in zip(net.module_.parameters(), task, attack, strict=True):
        torch.testing.assert_close(p.grad, t - 0.7 * a)


def test_projection_takes_out_the_direction_of_the_attack():
    X, y, s = toy(64)
    net = net_of(strength=0.0, projection=True, adversary_lr=1e-30, module__dropout=0.0).fit(X, y, sensitive_features=s)
    batch = batch_of(X, y, s)
    task = gradients_of(net, batch, lambda out, b: net.losses(out[0], b).mean())
    attack = gradients_of(net, batch, net.adversary_objective)
    net.backward(net.infer(batch.x), batch)
    left = [p.grad for p in net.module_.parameters()]
    inner = sum((g * u).sum() for g, u in zip(left, attack, strict=True))
    before = sum((g * u).sum() for g, u in zip(task, attack, strict=True))
    assert abs(inner) < 1e-6 < abs(before)
    norm = sum((u * u).sum() for u in attack)
    for g, t, u in zip(left, task, attack, strict=True):
        torch.testing.assert_close(g, t - before / norm * u, atol=1e-7, rtol=1e-4)


def test_reversal_is_one_joint_step():
    """The encoder gets task - strength * attack, the adversary its own gradient, from a single backward pass."""
    X, y, s = toy(64)
    net = net_of(strength=0.7, reversal=True, adversary_lr=1e-30, module__dropout=0.0).fit(X, y, sensitive_features=s)
    batch = batch_of(X, y, s)
    task = gradients_of(net, batch, lambda out, b: net.losses(out[0], b).mean())
    attack = gradients_of(net, batch, net.adversary_objective)
    own = torch.autograd.grad(net.adversary_objective(net.infer(batch.x), batch), list(net.adversary_.parameters()))
    net.optimizer_.zero_grad()
    net.backward(net.infer(batch.x), batch)
    for p, t, a in zip(net.module_.parameters(), task, attack, strict=True):
        torch.testing.assert_close(p.grad, t - 0.7 * a)
    for p, g in zip(net.adversary_.parameters(), own, strict=True):
        torch.testing.assert_close(p.grad, g)


@pytest.mark.parametrize("mode", MODES[:3], ids=str)
def test_each_player_moves_its_own_weights(mode):
    """P3: the adversary's step leaves the network alone, and the network's step the adversary."""
    X, y, s = toy(64)
    net = net_of(**mode).fit(X, y, sensitive_features=s)
    batch = batch_of(X, y, s)
    network, adversary = weights_of(net), [p.detach().clone() for p in net.adversary_.parameters()]
    net.optimizer_.zero_grad()
    net.backward(net.infer(batch.x), batch)
    assert all(np.array_equal(a, b) for a, b in zip(network, weights_of(net), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(adversary, net.adversary_.parameters(), strict=True))
    moved = [p.detach().clone() for p in net.adversary_.parameters()]
    net.optimizer_.step()
    assert all(torch.equal(a, b) for a, b in zip(moved, net.adversary_.parameters(), strict=True))
    assert all(p.requires_grad for p in net.adversary_.parameters())


def test_the_gap_falls_with_the_strength():
    X, y, s = toy(2000, correlation=0.8)
    gaps = []
    for strength in (0.0, 1.0):
        net = net_of(strength=strength, max_epochs=15, lr=5e-3, adversary_lr=5e-3, adversary_steps=2)
        p = net.fit(X, y, sensitive_features=s).predict_proba(X)[:, 1]
        gaps.append(abs(p[s == 0].mean() - p[s == 1].mean()))
    assert gaps[1] < gaps[0] - 0.1


def test_predict_never_uses_the_adversary():
    X, y, s = toy(100)
    net = net_of().fit(X, y, sensitive_features=s)
    before = net.predict_proba(X)
    del net.adversary_
    np.testing.assert_array_equal(net.predict_proba(X), before)


def test_adversary_parameters():
    X, y, s = toy(100)
    net = net_of(adversary_hidden=(7,), adversary_lr=0.5, adversary_optimizer=torch.optim.SGD,
                 adversary_optimizer__momentum=0.3).fit(X, y, sensitive_features=np.where(s, "m", "f"))  # fmt: skip
    assert net.adversary_.head[-1].in_features == 7
    group = net.adversary_optimizer_.param_groups[0]
    assert (group["lr"], group["momentum"]) == (0.5, 0.3)
    assert net.optimizer_.param_groups[0]["lr"] == 1e-3


def test_an_encoder_is_needed():
    X, y, s = toy(100)
    module = torch.nn.Sequential(torch.nn.Linear(5, 2))
    with pytest.raises(ValueError, match="attack='encoder' needs a module with an encoder and a head, got Sequential"):
        net_of(module=module).fit(X, y, sensitive_features=s)
    net_of(module=module, attack="output").fit(X, y, sensitive_features=s)


def test_projection_and_reversal_exclude_each_other():
    X, y, s = toy(100)
    with pytest.raises(ValueError, match="exclude each other"):
        net_of(projection=True, reversal=True).fit(X, y, sensitive_features=s)


def test_a_stage_of_it_leaves_the_adversary_at_home():
    X, y, s = toy(100)
    net = net_of(adversary_optimizer__betas=(0.5, 0.9), module__hidden=(7,)).fit(X, y, sensitive_features=s)
    first = net.stage(ERMClassifier, max_epochs=1).fit(X, y)
    assert first.module_.head[-1].in_features == 7


def test_a_projected_step_goes_against_the_attack_besides():
    X, y, s = toy(64)
    net = net_of(strength=0.7, projection=True, adversary_lr=1e-30, module__dropout=0.0).fit(X, y, sensitive_features=s)
    batch = batch_of(X, y, s)
    task = gradients_of(net, batch, lambda out, b: net.losses(out[0], b).mean())
    attack = gradients_of(net, batch, net.adversary_objective)
    net.backward(net.infer(batch.x), batch)
    along = sum((t * u).sum() for t, u in zip(task, attack)) / sum((u * u).sum() for u in attack)
    for p, t, u in zip(net.module_.parameters(), task, attack, strict=True):
        torch.testing.assert_close(p.grad, t - (along + 0.7) * u, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("constraint", ["demographic_parity", "equalized_odds", "equal_opportunity"])
def test_rows_count_by_their_weights_for_both_players(constraint):
    X, y, s = toy(40, correlation=0.7)
    net = net_of(constraint=constraint, strength=0.7, module__dropout=0.0).fit(X, y, sensitive_features=s)
    weight, plain = torch.linspace(0.2, 2.5, 40), batch_of(X, y, s)
    batch, output = plain._replace(weight=weight), net.infer(plain.x)

    def by_row(loss):  # the losses are linear in the weights
        return sum(weight[i] * loss(plain._replace(weight=torch.eye(40)[i])).item() for i in range(40)).item()

    attack = by_row(lambda b: net.adversary_objective(output, b))
    task = (weight * net.losses(output[0], plain)).mean().item()
    assert net.adversary_objective(output, plain).item() != pytest.approx(attack, rel=1e-3)
    assert net.adversary_objective(output, batch).item() == pytest.approx(attack, rel=1e-4)
    assert net.objective(output, batch).item() == pytest.approx(task - 0.7 * attack, rel=1e-4)


def test_the_adversary_takes_its_steps_before_the_networks():
    X, y, s = toy(64)
    sgd = dict(adversary_optimizer=torch.optim.SGD, adversary_lr=0.5, adversary_steps=3)
    net = net_of(module__dropout=0.0, **sgd).fit(X, y, sensitive_features=s)
    batch, twin = batch_of(X, y, s), copy.deepcopy(net.adversary_)
    z = net.infer(batch.x)[1].detach()
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(twin(z), batch.group)
        for p, gradient in zip(twin.parameters(), torch.autograd.grad(loss, list(twin.parameters()))):
            p.data -= 0.5 * gradient
    net.backward(net.infer(batch.x), batch)
    for p, q in zip(net.adversary_.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q)
