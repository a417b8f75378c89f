"""Fairness reprogramming: a frozen network stays frozen, the two players' steps by hand, floors, black boxes, transfer."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from common import RIGHTLY_WARNED, Conv, all_nets, rows, same_weights, small, toy
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn
from torch.nn.functional import cross_entropy

from skfair._data import Batch
from skfair.base import FlooredScore, frozen_network, is_fitted, spsa
from skfair.base._members import make_members, unstackable
from skfair.base._stack import _stacked, stacks_of, train_stack
from skfair.base._stack_tensors import tensors_of
from skfair.inspection import saliency
from skfair.metrics import equalized_odds_difference, get_scorer
from skfair.model_selection import FrontierSearchCV
from skfair.modules import AdditiveTrigger, MaskPatchTrigger, PatchTrigger
from skfair.representation import DVGEClassifier, VAETransformer
from skfair.reprogramming import ReprogrammedClassifier
from skfair.reprogramming._discriminator import Discriminator
from skfair.robust import ERMClassifier

pytestmark = RIGHTLY_WARNED

X, Y, S = rows(160)
X32 = X.astype(np.float32)


class Normed(nn.Module):
    """Batch norm and dropout, so that a network in the wrong mode gives itself away."""

    def __init__(self, out=2, squeeze=False, softmax=False):
        super().__init__()
        self.wide, self.norm, self.dropout = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3)
        self.head, self.squeeze, self.softmax = nn.Linear(8, out), squeeze, softmax

    def forward(self, x):
        out = self.head(torch.relu(self.dropout(self.norm(self.wide(x)))))
        out = torch.softmax(out, -1) if self.softmax else out
        return out.squeeze(-1) if self.squeeze else out


def trained(module, seed=0):
    """A plain module, trained for some steps and left in training mode."""
    torch.manual_seed(seed)
    labels = torch.tensor(Y)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(30):
        out = module(torch.tensor(X32)).reshape(len(X), -1)
        loss = cross_entropy(out if out.shape[1] > 1 else torch.cat([0 * out, out], 1), labels)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    return module.train()


def of_skorch(cls, **parameters):
    given = dict(max_epochs=4, lr=0.1, verbose=0, train_split=None, device="cpu")
    torch.manual_seed(0)
    labels = Y.astype(np.float32) if cls is NeuralNetBinaryClassifier else Y
    return cls(Normed, **{**given, **parameters}).fit(X32, labels)


KINDS = {
    "skfair": lambda: small(ERMClassifier, module=Normed, max_epochs=5).fit(X, Y),
    "skfair, one logit": lambda: small(ERMClassifier, module=Normed, module__out=1, max_epochs=5).fit(X, Y),
    "frozen": lambda: FrozenEstimator(small(ERMClassifier, module=Normed, max_epochs=5).fit(X, Y)),
    "skorch, NLL": lambda: of_skorch(NeuralNetClassifier, module__softmax=True),
    "skorch, CE": lambda: of_skorch(NeuralNetClassifier, criterion=nn.CrossEntropyLoss),
    "skorch, binary": lambda: of_skorch(NeuralNetBinaryClassifier, module__out=1, module__squeeze=True),
    "skorch, binary, a column": lambda: of_skorch(NeuralNetBinaryClassifier, module__out=1),
    "torch (n, 2)": lambda: trained(Normed(2)),
    "torch (n, 1)": lambda: trained(Normed(1)),
    "torch (n,)": lambda: trained(Normed(1, squeeze=True)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def net_of(estimator=None, X=X, y=Y, s=S, **parameters):
    """A trigger of two epochs in front of it, fitted on rows()."""
    parameters = {"strength": 0.5, "lr": 0.05, **parameters}
    return small(ReprogrammedClassifier, estimator=estimator, **parameters).fit(X, y, sensitive_features=s)


@pytest.fixture(scope="module")
def base():
    return small(ERMClassifier, max_epochs=5).fit(X, Y)


def module_of(estimator):
    inner = estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator
    return inner if isinstance(inner, nn.Module) else inner.module_


def fingerprint(module):
    parts = [(name, part.training) for name, part in module.named_modules()]
    wants = [(name, p.requires_grad, p.grad is None) for name, p in module.named_parameters()]
    return parts, wants, {name: value.clone() for name, value in module.state_dict().items()}


def assert_untouched(module, before):
    parts, wants, state = fingerprint(module)
    assert parts == before[0]
    assert wants == before[1]
    assert state.keys() == before[2].keys()
    assert all(torch.equal(value, before[2][name]) for name, value in state.items())


def proba(estimator, X=X):
    """The model's own probabilities, by its own ``predict_proba`` where it has one."""
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(np.asarray(X, dtype=np.float32))
    module = copy.deepcopy(estimator).eval()
    with torch.no_grad():
        out = module(torch.tensor(np.asarray(X), dtype=torch.float32)).reshape(len(X), -1)
    return torch.softmax(out if out.shape[1] > 1 else torch.cat([0 * out, out], 1), 1).numpy()


def as_identity(net):
    with torch.no_grad():
        net.trigger_.delta.zero_()
        if hasattr(net.trigger_, "mu"):
            net.trigger_.mu.fill_(1)
    return net


# ---------------------------------------------------------------------- the frozen model
@every_kind
def test_the_model_is_left_as_it_was(kind, tmp_path):
    estimator = KINDS[kind]()
    expected, before = proba(estimator), fingerprint(module_of(estimator))
    net = net_of(estimator, early_stopping="accuracy")
    net.predict(X), net.predict_proba(X), net.apply_trigger(X), saliency(net, X[:5])
    net.save_trigger(tmp_path / "trigger.pt")
    net.transfer(estimator).predict(X)
    net.partial_fit(X, Y, sensitive_features=S)
    pickle.loads(pickle.dumps(net)).fit(X, Y, sensitive_features=S)
    assert_untouched(module_of(estimator), before)
    assert np.array_equal(proba(estimator), expected)
    if kind != "frozen":
        assert net.estimator is net.base_ is estimator


@every_kind
def test_the_copy_in_the_net_is_never_trained(kind):
    """Nor are its running means moved, though the trigger's own module is in training mode."""
    modes = []

    class Modes(Callback):
        def on_batch_end(self, net, training=None, **kwargs):
            modes.append((net.module_.trigger.training, any(p.training for p in net.module_.network.module.modules())))

    estimator = KINDS[kind]()
    net = net_of(estimator, callbacks=[Modes()], max_epochs=4)
    assert modes
    assert set(modes) == {(True, False)}
    state, own = module_of(estimator).state_dict(), net.frozen_[0].network.module
    assert own is not module_of(estimator)
    assert all(torch.equal(state[name], value) for name, value in own.state_dict().items())
    assert not any(p.requires_grad for p in own.parameters())
    assert net.module_.network is net.frozen_[0].network
    assert {name for name, _ in net.module_.named_parameters()} == {"trigger.delta", "trigger.mu"}
    assert np.abs(net.apply_trigger(X) - X).max() > 0.01  # the trigger did learn


@every_kind
def test_with_the_identity_the_predictions_are_the_model_s(kind):
    estimator = KINDS[kind]()
    net = net_of(estimator)
    assert np.abs(net.predict_proba(X) - proba(estimator)).max() > 1e-3
    as_identity(net)
    assert np.abs(net.predict_proba(X) - proba(estimator)).max() < 1e-6
    assert np.array_equal(net.predict(X), proba(estimator).argmax(1))
    assert np.allclose(net.apply_trigger(X), X32, atol=1e-7)


@every_kind
def test_predictions_are_the_model_s_for_the_changed_rows(kind):
    estimator = KINDS[kind]()
    net = net_of(estimator)
    assert np.allclose(net.predict_proba(X), proba(estimator, net.apply_trigger(X)), atol=1e-5)


@pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in all_nets("classifier")])
def test_every_classifier_of_the_library_may_be_the_model(cls):
    model = small(cls).fit(X, Y, sensitive_features=S)
    before = fingerprint(model.module_)
    net = net_of(model)
    assert np.abs(net.predict_proba(X) - model.predict_proba(X)).max() > 1e-3
    as_identity(net)
    assert np.allclose(net.predict_proba(X), model.predict_proba(X), atol=1e-6)
    assert_untouched(model.module_, before)


@pytest.mark.parametrize("name", ["hidden", "module", "network", "trigger", "estimator"])
def test_a_network_whose_parts_have_the_names_of_wrappers_parts(name):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            setattr(self, name, nn.Linear(4, 2))

        def forward(self, x):
            return getattr(self, name)(x)

    model = small(ERMClassifier, module=Named).fit(X, Y)
    assert np.allclose(as_identity(net_of(model)).predict_proba(X), model.predict_proba(X), atol=1e-6)


def test_a_net_with_log_probabilities():
    """skfair's nets do not take the logarithm for NLLLoss, as skorch's do."""

    class Log(Normed):
        def forward(self, x):
            return torch.log_softmax(super().forward(x), -1)

    model = small(ERMClassifier, module=Log, criterion=nn.NLLLoss, max_epochs=3).fit(X, Y)
    assert np.allclose(as_identity(net_of(model)).predict_proba(X), model.predict_proba(X), atol=1e-6)


def test_skorch_with_probabilities_of_the_second_class():
    class Sigmoid(Normed):
        def forward(self, x):
            return torch.sigmoid(super().forward(x))

    given = dict(max_epochs=4, lr=0.1, verbose=0, train_split=None, device="cpu", module__out=1, module__squeeze=True)
    model = NeuralNetBinaryClassifier(Sigmoid, criterion=nn.BCELoss, **given).fit(X32, Y.astype(np.float32))
    assert np.allclose(as_identity(net_of(model)).predict_proba(X), model.predict_proba(X32), atol=1e-6)


@pytest.mark.parametrize(
    "model", [lambda: small(ERMClassifier), LogisticRegression, lambda: DecisionTreeClassifier(max_depth=2)]
)
def test_what_becomes_of_the_model_later_does_not_change_the_net(model):
    model = model().fit(X, Y)
    net = net_of(model)
    expected = net.predict_proba(X)
    model.fit(X, 1 - Y)
    assert np.array_equal(net.predict_proba(X), expected)


def test_a_trigger_in_front_of_a_trigger(base):
    first = net_of(base, strength=2.0)
    second = net_of(first, max_epochs=3)
    given = first.apply_trigger(second.apply_trigger(X))
    assert np.allclose(second.predict_proba(X), proba(base, given), atol=1e-6)
    assert sum(p.numel() for p in second.module_.parameters()) == 8
    few = X[:20]
    difference = second.outputs(few)[:, 1] - second.outputs(np.zeros((1, 4)))[0, 1]
    assert np.allclose(saliency(second, few, target=1, n_steps=100).sum(1), difference, atol=0.05)
    third = net_of(net_of(LogisticRegression().fit(X, Y)))
    assert third.zeroth_order_  # no gradients behind the second trigger either
    assert net_of(third).zeroth_order_


def test_what_is_no_fitted_classifier():
    with pytest.raises(ValueError, match=r"must be a network or have predict_proba, got LinearSVC\(\)"):
        net_of(LinearSVC().fit(X, Y))
    for estimator in (NeuralNetClassifier(Normed, classes=[0, 1]), ERMClassifier(), HistGradientBoostingClassifier()):
        assert not is_fitted(estimator)
    assert not is_fitted(None)
    assert not is_fitted(Normed)
    encoder = VAETransformer(n_components=2, max_epochs=1).fit(X)
    with pytest.raises(ValueError, match="VAETransformer"):  # codes are no classes
        net_of(encoder)


# ---------------------------------------------------------------------- the loss by hand
def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def batch_of(x, y, group, weight):
    given = [torch.as_tensor(np.asarray(a)) for a in (y, np.asarray(group)[:, None], group, weight, np.arange(len(y)))]
    return Batch(torch.as_tensor(x), *given)


def made(n_classes=2, **parameters):
    """A fitted net for so many classes, and a batch of five rows of three groups."""
    y = np.digitize(X[:, 0], np.linspace(-0.5, 0.5, n_classes - 1))
    s = np.array(["a", "b", "c"])[np.arange(160) % 3]
    base = small(ERMClassifier, max_epochs=5).fit(X, y)
    net = net_of(base, X, y, s, max_epochs=3, **parameters)
    weight = np.array([1.0, 0.5, 0.0, 2.0, 1.5], dtype=np.float32)
    return net, batch_of(X32[:5], np.arange(5) % n_classes, [0, 1, 2, 0, 1], weight)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("constraint", ["demographic_parity", "equalized_odds"])
def test_losses_by_hand(n_classes, constraint):
    net, batch = made(n_classes, constraint=constraint)
    output = net.infer(batch.x)
    z, y, w = output.detach().numpy().astype(float), batch.y.numpy(), batch.weight.numpy()
    assert z.shape == (5, n_classes)
    utility = np.mean(-w * np.log(softmax(z)[np.arange(5), y]))
    c = float(net.adversary_.sharpness.detach())
    assert c != 1  # it is learned
    s = softmax(z * (1 + abs(c)))
    seen = np.hstack([z, s])
    if constraint == "equalized_odds":
        e = np.eye(n_classes)[y]
        products = [(v[:, :, None] * e[:, None, :]).reshape(5, -1) for v in (z, s)]
        seen = np.hstack([z, s, *products, e])
    weights = [p.detach().numpy() for p in net.adversary_.reader.parameters()]
    hidden = seen
    for matrix, bias in zip(weights[:-2:2], weights[1:-2:2]):
        hidden = np.maximum(hidden @ matrix.T + bias, 0)
    guess = hidden @ weights[-2].T + weights[-1]
    assert guess.shape == (5, 3)
    attack = np.mean(-w * np.log(softmax(guess)[np.arange(5), batch.group.numpy()]))
    assert float(net.utility(output, batch).detach()) == pytest.approx(utility, rel=1e-4)
    assert float(net.adversary_objective(output, batch).detach()) == pytest.approx(attack, rel=1e-4)
    assert float(net.objective(output, batch).detach()) == pytest.approx(utility - 0.5 * attack, rel=1e-4)


def test_the_discriminator_sees_the_label_for_equalized_odds_alone():
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    for sees in (False, True):
        torch.manual_seed(0)
        told = Discriminator(3, 4, sees, (8,))
        assert told(z, torch.arange(6) % 3).shape == (6, 4)
        assert torch.equal(told(z, torch.arange(6) % 3), told(z, torch.zeros(6, dtype=torch.int64))) is not sees
        assert float(told.sharpness.detach()) == 1
        told(z, torch.arange(6) % 3).square().sum().backward()
        assert float(told.sharpness.grad.abs()) > 0
    assert [m.out_features for m in told.modules() if isinstance(m, nn.Linear)] == [8, 4]


# ---------------------------------------------------------------------- the step
def as_double(net, batch):
    net.module_.double(), net.adversary_.double()
    return batch._replace(x=batch.x.double(), weight=batch.weight.double())


def gradients_of(net, batch):
    """Gradients of both players in the trigger's tensors."""
    output, parameters = net.infer(batch.x), list(net.trigger_.parameters())
    return [
        torch.autograd.grad(player(output, batch), parameters, retain_graph=True)
        for player in (net.utility, net.adversary_objective)
    ]


def step_of(net, batch):
    """What a training step puts into the trigger's gradients; the discriminator is as it was."""
    loss = net.network_backward(net.infer(batch.x), batch)
    return loss, [p.grad.clone() for p in net.trigger_.parameters()]


@pytest.mark.parametrize("strength", [0.5, 3.0])
@pytest.mark.parametrize("constraint", ["demographic_parity", "equalized_odds"])
def test_the_projected_step_by_hand(strength, constraint):
    net, batch = made(strength=strength, constraint=constraint)
    batch = as_double(net, batch)
    utility, attack = gradients_of(net, batch)
    loss, found = step_of(net, batch)
    for u, a, g in zip(utility, attack, found, strict=True):
        u, a = u.numpy(), a.numpy()
        unit = a / np.linalg.norm(a)
        assert np.allclose(g, u - (u @ unit) * unit - strength * a, atol=1e-10)  # tensor by tensor
        assert np.abs(a).max() > 1e-4
    assert float(loss.detach()) == pytest.approx(float(net.objective(net.infer(batch.x), batch).detach()))


@pytest.mark.parametrize("strength", [0.5, 3.0])
def test_a_projected_step_raises_the_adversary_s_loss_whatever_the_utility(strength):
    net, batch = made(strength=strength, trigger="additive")
    batch = as_double(net, batch)
    _, (a,) = gradients_of(net, batch)
    for flip in (1, -1, 50):  # other utilities
        net.utility = lambda output, batch, flip=flip: flip * ReprogrammedClassifier.utility(net, output, batch)
        _, (direction,) = step_of(net, batch)
        assert float(a @ direction) == pytest.approx(-strength * float(a @ a), rel=1e-6)
        if flip == 50:  # a long step, of which the first order is a small part
            continue
        before = float(net.adversary_objective(net.infer(batch.x), batch).detach())
        rate, start = 1e-7, net.trigger_.delta.detach().clone()
        with torch.no_grad():
            net.trigger_.delta.sub_(rate * direction)
            after = float(net.adversary_objective(net.infer(batch.x), batch))
            net.trigger_.delta.copy_(start)
        assert after - before == pytest.approx(rate * strength * float(a @ a), rel=0.01)
        assert after > before


@pytest.mark.parametrize("strength", [0.0, 0.5, 3.0])
def test_without_projection_the_step_is_the_gradient_of_the_objective(strength):
    net, batch = made(strength=strength, projection=False)
    batch = as_double(net, batch)
    expected = torch.autograd.grad(net.objective(net.infer(batch.x), batch), list(net.trigger_.parameters()))
    _, found = step_of(net, batch)
    assert all(torch.allclose(g, e, atol=1e-12) for g, e in zip(found, expected, strict=True))


def test_at_strength_zero_the_step_is_the_gradient_of_the_utility():
    net, batch = made(strength=0.0)
    batch = as_double(net, batch)
    utility, _ = gradients_of(net, batch)
    assert all(torch.allclose(g, u, atol=1e-12) for g, u in zip(step_of(net, batch)[1], utility, strict=True))


def test_a_discriminator_without_gradient_projects_nothing():
    net, batch = made()
    with torch.no_grad():
        for p in net.adversary_.parameters():
            p.zero_()
    utility, _ = gradients_of(net, batch)
    assert all(torch.allclose(g, u, atol=1e-7) for g, u in zip(step_of(net, batch)[1], utility, strict=True))


def test_the_discriminator_steps_before_the_trigger():
    net, batch = made(adversary_lr=0.1)
    parts = [copy.deepcopy(net.adversary_.state_dict())]
    seen = []
    net.network_backward = lambda output, batch: seen.append(copy.deepcopy(net.adversary_.state_dict()))
    net.module_.requires_grad_(True)
    net.backward(net.infer(batch.x), batch)
    assert not torch.equal(parts[0]["sharpness"], seen[0]["sharpness"])
    assert all(p.grad is None or p.grad.abs().max() >= 0 for p in net.trigger_.parameters())


@pytest.mark.parametrize("projection", [True, False])
def test_at_strength_zero_the_discriminator_has_no_influence(base, projection):
    plain = net_of(base, strength=0.0, projection=projection)
    for other in (dict(adversary_lr=0.5), dict(adversary_steps=3), dict(adversary_hidden=(4, 4)),
                  dict(constraint="equalized_odds"), dict(adversary_optimizer=torch.optim.SGD)):  # fmt: skip
        assert same_weights(net_of(base, strength=0.0, projection=projection, **other), plain), other
    assert same_weights(net_of(base, strength=0.0, projection=not projection), plain)
    assert not same_weights(net_of(base, strength=0.5, projection=projection), plain)


def trained_together(nets, X=X, y=Y, s=S, n_stacks=1):
    members = make_members(nets, X, y, sensitive_features=s)
    for member in members:
        if member.exception is not None:
            raise member.exception
    stacks = stacks_of(members)
    assert len(stacks) == n_stacks
    for stack in stacks:
        train_stack(stack)
    return [member.net for member in members]


def close(net, other, atol=1e-5):
    pairs = zip(net.module_.state_dict().values(), other.module_.state_dict().values(), strict=True)
    return all(torch.allclose(a.double(), b.double(), atol=atol) for a, b in pairs)


@pytest.mark.parametrize("projection", [True, False])
@pytest.mark.parametrize("constraint", ["demographic_parity", "equalized_odds"])
def test_strength_zero_in_a_stack_beside_others(base, projection, constraint):
    given = dict(estimator=base, projection=projection, constraint=constraint, lr=0.05)
    given |= dict(optimizer=torch.optim.SGD)  # Adam makes much of gradients that are nothing but rounding
    nets = [small(ReprogrammedClassifier, strength=v, **given) for v in (0.0, 0.5, 4.0)]
    singles = [clone(net).fit(X, Y, sensitive_features=S) for net in nets]
    together = trained_together(nets)
    assert all(map(close, together, singles))
    assert not close(together[0], together[1])
    others = trained_together([clone(net).set_params(adversary_lr=0.3) for net in singles])
    assert close(others[0], singles[0])
    assert not close(others[2], singles[2])


# ---------------------------------------------------------------------- what it is for
def test_equalized_odds_fall_by_half():
    """Data set D1 of the specification; on test rows whose group does not tell the label."""
    (X, y, s), (other, y_other, s_other) = toy(3000), toy(4000, correlation=0.5, seed=1)
    base = ERMClassifier(module__hidden=(64, 64), module__dropout=0.0, max_epochs=20, batch_size=128, random_state=0)
    base.fit(X[:1500], y[:1500])
    gaps, accuracy = {}, {}
    for strength in (0.0, 0.5):
        net = ReprogrammedClassifier(
            base, trigger="mask_patch", constraint="equalized_odds", strength=strength, patience=None, max_epochs=20,
            early_stopping="equalized_odds_difference", min_accuracy=0.7, batch_size=128, random_state=0,
        )  # fmt: skip
        net.fit(X[1500:], y[1500:], sensitive_features=s[1500:])
        predicted = net.predict(other)
        gaps[strength] = equalized_odds_difference(y_other, predicted, sensitive_features=s_other)
        accuracy[strength] = (predicted == y_other).mean()
    assert gaps[0.5] <= 0.5 * gaps[0.0], (gaps, accuracy)
    assert accuracy[0.5] > 0.85, (gaps, accuracy)


# ---------------------------------------------------------------------- the floor
GAP = "demographic_parity_difference"


def test_a_floored_score_by_hand():
    y, predicted, s = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]), list("aabb")
    scorer = get_scorer(GAP).score_predictions
    expected = scorer(y, predicted, sensitive_features=s)
    for floor, reached in [(0.0, True), (0.75, True), (0.76, False), (1.0, False)]:
        found = FlooredScore(GAP, floor).score_predictions(y, predicted, sensitive_features=s)
        assert found == expected if reached else np.isnan(found)
    weighted = FlooredScore("accuracy", 0.7).score_predictions
    assert np.isnan(weighted(y, predicted, sensitive_features=s, sample_weight=[1, 1, 2, 1]))
    assert weighted(y, predicted, sensitive_features=s, sample_weight=[1, 1, 0, 1]) == 1


# strong enough to make a constant of the model
COLLAPSE = dict(strength=100.0, projection=False, lr=0.5, max_epochs=12, patience=None, validation_fraction=0.3,
                trigger__init="normal")  # fmt: skip


def validation_accuracy(net):
    """Of each epoch, told by a callback of the same name."""
    return np.array(net.history[:, "valid_accuracy"])


class Accuracy(Callback):
    def on_epoch_end(self, net, dataset_valid=None, **kwargs):
        guess = net.outputs(dataset_valid).argmax(1).numpy()
        net.history.record("valid_accuracy", float((guess == dataset_valid.y["y"].numpy()).mean()))


def test_an_epoch_below_the_floor_never_wins(base):
    found = None
    for seed in range(6):  # a seed at which a poor epoch would win
        given = dict(**COLLAPSE, callbacks=[Accuracy()], random_state=seed)
        free = net_of(base, early_stopping=GAP, **given)
        best = int(np.argmax(free.history[:, "valid_score"]))
        accuracy = validation_accuracy(free)
        if accuracy[best] < 0.7 <= accuracy.max():
            found = given
            break
    assert found is not None
    floored = net_of(base, early_stopping=GAP, min_accuracy=0.7, **found)
    assert np.array_equal(validation_accuracy(floored), accuracy)  # the training itself is the same
    expected = np.where(accuracy >= 0.7, free.history[:, "valid_score"], np.nan)
    assert np.array_equal(floored.history[:, "valid_score"], expected, equal_nan=True)
    best, calls = int(np.nanargmax(expected)), []

    def later_is_better(y_true, y_pred, **kwargs):
        calls.append(0)
        return float(len(calls))

    again = net_of(base, early_stopping=later_is_better, **{**found, "max_epochs": best + 1, "callbacks": None})
    assert same_weights(floored, again)


def test_if_no_epoch_reaches_the_floor_a_warning_says_so(base):
    with pytest.warns(UserWarning, match="min_accuracy=0.9"):
        net_of(base, y=1 - Y, early_stopping=GAP, min_accuracy=0.9)


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True], [3, 8], [-1.0, 1.0]], ids=repr)
def test_a_floor_with_labels_of_any_type(labels):
    y = np.array(labels)[Y]
    model = small(ERMClassifier, max_epochs=5).fit(X, y)
    net = net_of(model, y=y, early_stopping="equalized_odds_difference", min_accuracy=0.5)
    codes = small(ERMClassifier, max_epochs=5).fit(X, Y)
    plain = net_of(codes, early_stopping="equalized_odds_difference", min_accuracy=0.5)
    assert net.history[:, "valid_score"] == plain.history[:, "valid_score"]
    assert same_weights(net, plain)


@pytest.mark.parametrize("watched", [False, True, None, "loss"])
def test_a_floor_needs_a_metric(base, watched):
    with pytest.raises(ValueError, match=r"min_accuracy=0\.7 is a floor .*set early_stopping to the name of a"):
        net_of(base, min_accuracy=0.7, early_stopping=watched)


@pytest.mark.parametrize("value", [-0.1, 1.1, "high"])
def test_a_floor_out_of_range(base, value):
    with pytest.raises(ValueError, match="min_accuracy must be a number >= 0 and <= 1"):
        net_of(base, min_accuracy=value, early_stopping=GAP)


def test_a_floor_in_a_stack(base):
    given = dict(estimator=base, early_stopping=GAP, min_accuracy=0.6, lr=0.2, max_epochs=4)
    nets = [small(ReprogrammedClassifier, strength=v, **given) for v in (0.0, 5.0)]
    singles = [clone(net).fit(X, Y, sensitive_features=S) for net in nets]
    for net, single in zip(trained_together(nets), singles):
        assert close(net, single, 1e-4)
        assert net.history[:, "valid_score"] == pytest.approx(single.history[:, "valid_score"], nan_ok=True)
    assert clone(nets[0]).watched_.min_accuracy == 0.6


# ---------------------------------------------------------------------- differences along random directions
def quadratic(theta, other, a, b):
    return lambda: [(a @ theta) + 2 * other.sum(), (theta - b).square().sum() + other.square().sum()]


def test_spsa_estimates_gradients():
    theta = nn.Parameter(torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64))
    other = nn.Parameter(torch.ones((), dtype=torch.float64))
    a, b = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    losses = quadratic(theta, other, a, b)
    start, values = theta.detach().clone(), [float(v.detach()) for v in losses()]
    options = dict(step=0.1, n_directions=4000, generator=np.random.default_rng(0))
    (linear, g), (square, h) = spsa(losses, [theta, other], **options)
    assert torch.equal(theta, start)
    assert theta.requires_grad
    assert float(linear) == pytest.approx(values[0], abs=0.01)
    assert float(square) == pytest.approx(values[1] + 4 * 0.1**2, abs=0.01)  # the curvature along the steps
    assert torch.allclose(g[0], a, atol=0.15)
    assert float(g[1]) == pytest.approx(2, abs=0.15)
    assert torch.allclose(h[0], 2 * (start - b), atol=0.2)
    assert float(h[1]) == pytest.approx(2, abs=0.2)


def test_spsa_of_one_number_is_exact_and_asks_twice_per_direction():
    theta = nn.Parameter(torch.tensor([0.7], dtype=torch.float64))
    calls = []

    def losses():
        calls.append(float(theta.detach()))
        assert not torch.is_grad_enabled()
        return [3 * theta.sum(), theta.square().sum()]

    (_, (g,)), (_, (h,)) = spsa(losses, [theta], step=0.1, n_directions=5, generator=np.random.default_rng(0))
    assert g.tolist() == pytest.approx([3])
    assert h.tolist() == pytest.approx([1.4])
    assert len(calls) == 10
    assert {round(c, 6) for c in calls} == {0.6, 0.8}


@pytest.mark.parametrize("step", [0.1, 1e-7, 3.3])
def test_spsa_puts_parameters_back_to_the_last_bit(step):
    parameters = [nn.Parameter(torch.randn(5, generator=torch.Generator().manual_seed(k))) for k in range(3)]
    before = [p.detach().clone() for p in parameters]
    options = dict(step=step, n_directions=3, generator=np.random.default_rng(0))
    spsa(lambda: [sum(p.square().sum() for p in parameters)], parameters, **options)
    assert all(map(torch.equal, parameters, before))

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # as when the user interrupts the training
        spsa(stop, parameters, **options)
    assert all(map(torch.equal, parameters, before))


@pytest.mark.parametrize("trigger", ["additive", "mask_patch"])
def test_spsa_in_front_of_a_network_is_near_the_exact_gradient(trigger):
    net, batch = made(trigger=trigger, projection=False)
    exact = step_of(net, batch)[1][0]
    net.zeroth_order_ = True
    net.set_params(n_directions=600, perturbation=0.01)
    estimated = step_of(net, batch)[1][0]  # of delta
    assert float(torch.nn.functional.cosine_similarity(exact, estimated, dim=0)) > 0.95


def boosted(X=X, y=Y):
    return HistGradientBoostingClassifier(max_iter=10, random_state=0).fit(X, y)


def test_a_black_box():
    model = boosted()
    expected = model.predict_proba(X)
    net = net_of(model, max_epochs=3)
    assert net.zeroth_order_
    assert net.base_ is model
    assert np.abs(net.predict_proba(X) - expected).max() > 1e-3
    assert np.array_equal(model.predict_proba(X), expected)
    assert np.allclose(net.predict_proba(X), model.predict_proba(net.apply_trigger(X)), atol=1e-5)
    assert np.allclose(as_identity(net).predict_proba(X), expected, atol=1e-5)
    assert same_weights(net_of(model), net_of(model))
    assert not same_weights(net_of(model), net_of(model, random_state=1))
    twin = pickle.loads(pickle.dumps(net))
    assert np.array_equal(twin.predict_proba(X), net.predict_proba(X))


def test_the_trigger_of_a_black_box_learns():
    """From a start that spoils the predictions."""
    model, start = LogisticRegression().fit(X, Y), AdditiveTrigger(4)
    torch.nn.init.constant_(start.delta, 1.5)
    given = dict(trigger=start, strength=0.0)
    early, late = net_of(model, max_epochs=1, **given), net_of(model, max_epochs=25, **given)
    losses = late.history[:, "train_loss"]
    assert losses[-1] < 0.8 * losses[0]
    assert late.score(X, Y) > early.score(X, Y) + 0.02


@pytest.mark.parametrize("fitted", [True, False])
def test_a_black_box_that_knows_the_columns_by_name(fitted):
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = boosted(frame) if fitted else HistGradientBoostingClassifier(max_iter=10, random_state=0)
    net = net_of(model, frame)
    assert net.predict(frame).shape == (160,)
    assert net.base_.feature_names_in_.tolist() == list("abcd")
    assert np.allclose(as_identity(net).predict_proba(frame), net.base_.predict_proba(frame), atol=1e-5)


def test_a_black_box_that_is_trained_here():
    net = net_of(HistGradientBoostingClassifier(max_iter=10), tuning_fraction=0.3)
    assert net.zeroth_order_
    assert is_fitted(net.base_)
    assert not is_fitted(net.estimator)
    rest = np.setdiff1d(np.arange(160), net.tuning_rows_)
    expected = HistGradientBoostingClassifier(max_iter=10, random_state=net.base_.random_state).fit(X[rest], Y[rest])
    assert np.array_equal(net.base_.predict_proba(X), expected.predict_proba(X))


def test_black_boxes_do_not_stack_but_are_searched(routing):
    for model in (boosted(), HistGradientBoostingClassifier(max_iter=5), FrozenEstimator(boosted())):
        net = small(ReprogrammedClassifier, estimator=model)
        assert "black box" in unstackable(net)
        search = FrontierSearchCV(net, {"strength": [0.0, 2.0]}, cv=2, refit=False, error_score="raise",
                                  scoring="accuracy")  # fmt: skip
        search.fit(X, Y, sensitive_features=S)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    with pytest.raises(ValueError, match=r"gradient='exact' needs a network, got HistGradient.*set gradient='spsa'"):
        net_of(boosted(), gradient="exact")
    assert "black box" in unstackable(small(ReprogrammedClassifier, gradient="spsa"))
    assert unstackable(small(ReprogrammedClassifier, estimator=ERMClassifier())) is None


# ---------------------------------------------------------------------- a trigger on its own
def test_save_and_load(base, tmp_path):
    net, other = net_of(base), net_of(base, strength=3.0, max_epochs=4)
    path = tmp_path / "trigger.pt"
    net.save_trigger(path)
    assert path.stat().st_size < 10_000
    assert not np.allclose(other.predict_proba(X), net.predict_proba(X))
    assert other.load_trigger(str(path)) is other
    assert np.array_equal(other.predict_proba(X), net.predict_proba(X))
    assert same_weights(net, other)
    with torch.no_grad():
        other.trigger_.delta.add_(1)
    assert np.array_equal(other.load_trigger(path).apply_trigger(X), net.apply_trigger(X))
    for method in ("save_trigger", "load_trigger"):
        with pytest.raises(NotFittedError):
            getattr(small(ReprogrammedClassifier), method)(path)
    with pytest.raises((ValueError, RuntimeError), match="mu"):
        net_of(base, trigger="additive").load_trigger(path)
    three = small(ERMClassifier).fit(X[:, :3], Y)
    with pytest.raises((ValueError, RuntimeError), match="size mismatch|shape"):
        net_of(three, X[:, :3]).load_trigger(path)


def one_hot_table(n=160):
    codes = np.random.default_rng(0).integers(0, 3, n)
    return np.column_stack([X[:n, :2], np.eye(3)[codes]]).astype(np.float32)


def test_a_loaded_trigger_does_what_it_did(tmp_path):
    """Also where the rows of the other net hold no one-hot blocks."""
    table, plain = one_hot_table(), one_hot_table()
    plain[:, 2:] += 0.01
    model = small(ERMClassifier, max_epochs=3).fit(table, Y)
    net, other = net_of(model, table, trigger__init="normal"), net_of(model, plain)
    assert net.blocks_ == ((2, 3, 4),)
    assert other.blocks_ == ()
    net.save_trigger(tmp_path / "trigger.pt")
    try:
        other.load_trigger(tmp_path / "trigger.pt")
    except (ValueError, RuntimeError):
        return  # to refuse it is right, too
    assert np.allclose(other.apply_trigger(table), net.apply_trigger(table))


OTHERS = {
    "another seed": lambda: small(ERMClassifier, max_epochs=5, random_state=7).fit(X, Y),
    "another architecture": lambda: small(ERMClassifier, max_epochs=5, module__hidden=(30,)).fit(X, Y),
    "frozen": lambda: FrozenEstimator(small(ERMClassifier, max_epochs=5, random_state=7).fit(X, Y)),
    "skorch": lambda: of_skorch(NeuralNetClassifier, criterion=nn.CrossEntropyLoss),
    "torch": lambda: trained(Normed(1)),
    "black box": boosted,
}


@pytest.mark.parametrize("other", OTHERS)
def test_transfer(base, other):
    other = OTHERS[other]()
    source = net_of(base, strength=2.0)
    before, expected = copy.deepcopy(source.trigger_.state_dict()), source.predict_proba(X)
    inner = other.estimator if isinstance(other, FrozenEstimator) else other
    module = inner if isinstance(inner, nn.Module) else getattr(inner, "module_", None)
    own = proba(other, source.apply_trigger(X))
    kept = None if module is None else fingerprint(module)
    moved = source.transfer(other)
    assert type(moved) is ReprogrammedClassifier
    assert all(torch.equal(value, before[name]) for name, value in moved.trigger_.state_dict().items())
    assert np.array_equal(moved.apply_trigger(X), source.apply_trigger(X))
    assert np.allclose(moved.predict_proba(X), own, atol=1e-5)
    assert not np.allclose(moved.predict_proba(X), expected, atol=1e-3)
    assert moved.estimator is other
    assert moved.strength == source.strength
    with torch.no_grad():
        moved.trigger_.delta.add_(1)
    assert np.array_equal(source.predict_proba(X), expected)
    assert all(torch.equal(value, before[name]) for name, value in source.trigger_.state_dict().items())
    assert source.estimator is source.base_ is base
    if module is not None:
        assert_untouched(module, kept)
    twin = pickle.loads(pickle.dumps(moved))
    assert np.array_equal(twin.predict_proba(X), moved.predict_proba(X))


def test_what_was_transferred_learns_by_itself(base):
    source, other = net_of(base), OTHERS["another seed"]()
    before, length = copy.deepcopy(source.module_.state_dict()), len(source.history)
    moved = source.transfer(other)
    start = moved.trigger_.delta.detach().clone()
    moved.partial_fit(X, Y, sensitive_features=S)
    assert len(moved.history) == length + 1
    assert not torch.equal(moved.trigger_.delta, start)
    assert len(source.history) == length
    assert all(torch.equal(value, before[name]) for name, value in source.module_.state_dict().items())
    moved.fit(X, Y, sensitive_features=S)
    assert same_weights(moved, net_of(other))


def test_what_cannot_be_transferred_to(base):
    source = net_of(base)
    with pytest.raises(ValueError, match=r"estimator must be fitted, got ERMClassifier\(\)"):
        source.transfer(ERMClassifier())
    with pytest.raises(NotFittedError):
        small(ReprogrammedClassifier).transfer(base)
    three = small(ERMClassifier).fit(X, np.arange(160) % 3)
    with pytest.raises(ValueError, match=r"tells the classes \[0, 1, 2\], not \[0, 1\]"):
        source.transfer(three)
    words = small(ERMClassifier).fit(X, np.array(["no", "yes"])[Y])
    with pytest.raises(ValueError, match=r"\['no', 'yes'\], not \[0, 1\]"):
        source.transfer(words)
    with pytest.raises(ValueError, match="3"):  # columns
        source.transfer(small(ERMClassifier).fit(X[:, :3], Y))
    with pytest.raises(ValueError, match="3 classes"):
        source.transfer(nn.Linear(4, 3))


# ---------------------------------------------------------------------- as an estimator
def test_clone_keeps_what_is_fitted(base):
    for model in (base, FrozenEstimator(base), boosted()):
        net = small(ReprogrammedClassifier, estimator=model, strength=2.0)
        twin = clone(net)
        assert twin is not net
        assert twin.estimator is model
        assert twin.strength == 2.0
        assert not hasattr(clone(net.fit(X, Y, sensitive_features=S)), "module_")
        assert clone(clone(net)).estimator is model
    search = clone(GridSearchCV(small(ReprogrammedClassifier, estimator=base), {"strength": [1.0]}))
    assert search.estimator.estimator is base


def test_clone_keeps_a_torch_module():
    module = trained(Normed())
    assert clone(ReprogrammedClassifier(module)).estimator is module


def test_clone_of_what_is_not_fitted():
    inner = ERMClassifier(lr=0.5)
    twin = clone(ReprogrammedClassifier(inner))
    assert twin.estimator is not inner
    assert twin.estimator.lr == 0.5
    assert not is_fitted(twin.estimator)
    assert clone(ReprogrammedClassifier()).estimator is None


def test_parameters_of_the_model():
    net = ReprogrammedClassifier(ERMClassifier(lr=0.5, module__hidden=(3,)), strength=2.0)
    deep = net.get_params()
    assert (deep["estimator__lr"], deep["lr"], deep["estimator__module__hidden"]) == (0.5, 0.05, (3,))
    assert "estimator__lr" not in net.get_params(deep=False)
    net.set_params(estimator__lr=0.25, strength=0.1, estimator__module__hidden=(4,), trigger__init="normal")
    assert (net.estimator.lr, net.strength, net.estimator.module__hidden) == (0.25, 0.1, (4,))
    assert net.get_params()["trigger__init"] == "normal"
    with pytest.raises(ValueError, match="Invalid parameter 'speed'"):
        net.set_params(estimator__speed=1)
    assert repr(ReprogrammedClassifier(ERMClassifier(lr=0.5), strength=2.0)) == (
        "ReprogrammedClassifier(estimator=ERMClassifier(lr=0.5), strength=2.0)"
    )
    assert repr(ReprogrammedClassifier()) == "ReprogrammedClassifier()"


def test_copies(base):
    net = net_of(base)
    for twin in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert np.array_equal(twin.predict_proba(X), net.predict_proba(X))
        assert np.array_equal(twin.apply_trigger(X), net.apply_trigger(X))
        assert twin.estimator is twin.base_
        assert twin.estimator is not base
        assert twin.frozen_[0].source is twin.base_
        twin.partial_fit(X, Y, sensitive_features=S)
    assert same_weights(net, net_of(base))


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_device(base, device):
    net = net_of(base, device=device)
    assert net.device == device
    assert same_weights(net, net_of(base, device="cpu"))
    assert {p.device.type for p in net.module_.parameters()} == {net.device_.type}


def test_the_model_keeps_its_device_and_precision(base):
    assert {p.dtype for p in base.module_.parameters()} == {torch.float32}
    net = net_of(base)
    net.predict_proba(X)  # in double precision
    assert {p.dtype for p in net.module_.network.parameters()} == {torch.float32}
    assert {p.dtype for p in base.module_.parameters()} == {torch.float32}


# ---------------------------------------------------------------------- rows for the model and rows for the trigger
def test_the_model_is_trained_on_the_other_rows():
    seen = {}

    class Spy(ERMClassifier):
        def fit(self, X, y, **kwargs):
            seen["model"] = np.asarray(X)[:, 0]
            return super().fit(X, y, **kwargs)

    class Rows(Callback):
        def on_batch_end(self, net, batch=None, training=None, **kwargs):
            if training:
                seen.setdefault("trigger", set()).update(batch[1]["index"].tolist())

    net = net_of(small(Spy), callbacks=[Rows()], tuning_fraction=0.3, max_epochs=3)
    assert len(net.tuning_rows_) == pytest.approx(48, abs=2)
    assert seen["trigger"] == set(net.tuning_rows_)
    rest = np.setdiff1d(np.arange(160), net.tuning_rows_)
    assert np.array_equal(seen["model"], X32[rest, 0])
    cells = pd.Series(Y).astype(str) + S
    share = cells[net.tuning_rows_].value_counts() / cells.value_counts()
    assert share.between(0.25, 0.35).all()  # of each cell of label and group
    assert net_of(small(ERMClassifier).fit(X, Y)).tuning_rows_ is None


def test_the_default_model():
    net = net_of(base_epochs=7, base_lr=0.03, module__hidden=(5,), weight_decay=0.01)
    model = net.base_
    assert type(model) is ERMClassifier
    assert (len(model.history), model.lr, model.module__hidden, model.weight_decay) == (7, 0.03, (5,), 0.01)
    assert net.estimator is None
    assert model.random_state is not None


def test_rows_that_choose_the_epoch_are_new_to_the_model():
    """Otherwise the floor is judged on rows that the model knows by heart."""
    seen = []

    class Held(Callback):
        def on_epoch_end(self, net, dataset_valid=None, **kwargs):
            seen.extend(dataset_valid.y["index"].tolist())

    net = net_of(early_stopping="accuracy", tuning_fraction=0.4, validation_fraction=0.3, callbacks=[Held()])
    assert seen
    assert set(seen) <= set(net.tuning_rows_)


def test_later_calls_of_partial_fit_bring_rows_of_their_own():
    batches = []

    class Rows(Callback):
        def on_batch_end(self, net, batch=None, **kwargs):
            batches.append(len(batch[0]))

    net = small(ReprogrammedClassifier, callbacks=[Rows()], batch_size=-1)
    net.partial_fit(X, Y, sensitive_features=S)
    model = net.base_
    net.partial_fit(X[:50], Y[:50], sensitive_features=S[:50])
    assert batches == [len(net.tuning_rows_), 50]
    assert net.base_ is model


def test_too_few_rows_to_tune_on():
    few = np.array([0, 1, 2, 3])
    with pytest.raises(ValueError, match="tuning_fraction|tun"):
        net_of(None, X[few], np.array([0, 0, 1, 1]), list("fmfm"))


# ---------------------------------------------------------------------- labels, groups, columns
def test_labels_as_words():
    y = np.array(["no", "yes"])[Y]
    model = small(ERMClassifier, max_epochs=5).fit(X, y)
    net = net_of(model, y=y)
    assert net.classes_.tolist() == ["no", "yes"]
    assert set(net.predict(X)) == {"no", "yes"}
    codes = net_of(small(ERMClassifier, max_epochs=5).fit(X, Y))
    assert same_weights(net, codes)


def test_a_class_that_the_tuning_rows_lack():
    y = np.digitize(X[:, 0], [-0.5, 0.5])
    model = small(ERMClassifier, max_epochs=5).fit(X, y)
    part = y < 2
    for constraint in ("demographic_parity", "equalized_odds"):
        net = net_of(model, X[part], y[part], S[part], constraint=constraint)
        assert net.classes_.tolist() == [0, 1, 2]
        assert net.predict_proba(X).shape == (160, 3)
        assert (net.predict(X) == 2).any()


def test_labels_that_the_model_does_not_know(base):
    with pytest.raises(ValueError, match=r"labels \[2\], which are not among the classes \[0, 1\]"):
        net_of(base, y=Y + (np.arange(160) == 5) * (2 - Y))
    with pytest.raises(ValueError, match=r"labels \['no', 'yes'\]"):
        net_of(base, y=np.array(["no", "yes"])[Y])
    y = np.digitize(X[:, 0], [-0.5, 0.5])
    with pytest.raises(ValueError, match=r"tells 2 classes, but y has \[0, 1, 2\]"):
        net_of(FrozenEstimator(trained(Normed())), y=y)


def test_other_columns_than_the_model_s(base):
    with pytest.raises(ValueError, match="X has 3 features, but ERMClassifier was fitted on 4"):
        net_of(base, X[:, :3])
    frame = pd.DataFrame(X, columns=list("abcd"))
    named = small(ERMClassifier).fit(frame, Y)
    with pytest.raises(ValueError, match="feature names|columns"):  # the same columns in another order
        net_of(named, frame[list("dcba")])
    with pytest.raises(ValueError, match="feature names|columns"):
        net_of(named, frame.rename(columns={"a": "z"}))
    assert net_of(named, frame).predict(frame).shape == (160,)


def test_three_groups_and_several_columns(base):
    s = np.array(["a", "b", "c"])[np.arange(160) % 3]
    net = net_of(base, s=s)
    assert net.n_groups_ == 3
    assert [part for part in net.adversary_.modules() if isinstance(part, nn.Linear)][-1].out_features == 3
    table = pd.DataFrame({"sex": S, "old": np.arange(160) % 2})
    net = net_of(base, s=table)
    assert net.groups_ == [("f", 0), ("f", 1), ("m", 0), ("m", 1)]
    with pytest.raises(ValueError, match="at least 2 groups"):
        net_of(base, s=["f"] * 160)


def test_sparse_rows():
    thin = np.where(np.abs(X) > 0.6, X, 0)
    model = small(ERMClassifier, max_epochs=5).fit(thin, Y)
    dense, sparse = net_of(model, thin), net_of(model, sp.csr_matrix(thin))
    assert same_weights(dense, sparse)
    assert np.array_equal(sparse.predict_proba(sp.csr_matrix(thin)), dense.predict_proba(thin))


def test_the_trigger_on_sparse_rows():
    thin = np.where(np.abs(X) > 0.6, X, 0)
    net = net_of(small(ERMClassifier, max_epochs=5).fit(thin, Y), thin)
    assert np.array_equal(net.apply_trigger(sp.csr_matrix(thin)), net.apply_trigger(thin))


def test_read_only_rows(base):
    frozen = X32.copy()
    frozen.flags.writeable = False
    assert same_weights(net_of(base, frozen), net_of(base))


def moved_columns(net, X=X):
    before = X.to_numpy() if hasattr(X, "to_numpy") else X
    return np.flatnonzero((np.abs(net.apply_trigger(X) - before) > 1e-6).any(0)).tolist()


@pytest.mark.parametrize("trigger", ["mask_patch", "additive"])
def test_mutable_columns(base, trigger):
    frame = pd.DataFrame(X32, columns=list("abcd"))
    named = small(ERMClassifier, max_epochs=5).fit(frame, Y)
    for columns, expected in [(["b", "d"], [1, 3]), ([1, 3], [1, 3]), (["a", -1], [0, 3]), (np.array(["c"]), [2])]:
        net = net_of(named, frame, mutable_columns=columns, trigger=trigger)
        assert moved_columns(net, frame) == expected
    assert moved_columns(net_of(base, mutable_columns=[2], trigger=trigger), X32) == [2]
    assert moved_columns(net_of(base, trigger=trigger), X32) == [0, 1, 2, 3]
    assert moved_columns(net_of(base, trigger=trigger, mutable_columns=[]), X32) == []


def test_mutable_columns_that_are_not_there(base):
    with pytest.raises(ValueError, match=r"\['age'\], which X lacks.*\[\]"):
        net_of(base, mutable_columns=["age"])
    frame = pd.DataFrame(X, columns=list("abcd"))
    with pytest.raises(ValueError, match=r"\['age'\], which X lacks; its columns are \['a', 'b', 'c', 'd'\]"):
        net_of(small(ERMClassifier).fit(frame, Y), frame, mutable_columns=["a", "age"])
    with pytest.raises(ValueError, match=r"columns \[4\], but X has 4 columns"):
        net_of(base, mutable_columns=[4])


def test_one_name_among_mutable_columns_is_read_as_one_or_refused():
    frame = pd.DataFrame(X32, columns=["a", "b", "c", "ab"])
    try:
        net = net_of(small(ERMClassifier, max_epochs=5).fit(frame, Y), frame, mutable_columns="ab")
    except ValueError:
        return
    assert moved_columns(net, frame) == [3]


def test_a_mask_of_mutable_columns_is_read_as_a_mask_or_refused(base):
    mask = [False, False, True, True]
    try:
        net = net_of(base, mutable_columns=mask)
    except ValueError:
        return
    assert moved_columns(net, X32) == [2, 3]


# ---------------------------------------------------------------------- one-hot blocks
@pytest.mark.parametrize("trigger", ["mask_patch", "additive"])
def test_one_hot_blocks_are_found_and_stay_on_the_simplex(trigger):
    table = one_hot_table()
    model = small(ERMClassifier, max_epochs=5).fit(table, Y)
    for strength in (0.5, 20.0):
        given = dict(strength=strength, trigger=trigger, trigger__init="normal", max_epochs=4)
        net = net_of(model, table, **given)
        assert net.blocks_ == ((2, 3, 4),)
        changed = net.apply_trigger(table)
        assert np.allclose(changed[:, 2:].sum(1), 1, atol=1e-9)
        assert changed[:, 2:].min() >= 0
        assert not np.allclose(changed[:, :2], table[:, :2])
        off = net_of(model, table, allow_off_manifold=True, **given)
        assert not np.allclose(off.apply_trigger(table)[:, 2:].sum(1), 1, atol=0.01)


def test_a_sparse_one_hot_table_is_changed_as_a_dense_one():
    table = one_hot_table()
    model = small(ERMClassifier, max_epochs=5).fit(table, Y)
    given = dict(trigger__init="normal", strength=5.0, max_epochs=4)
    dense, sparse = net_of(model, table, **given), net_of(model, sp.csr_matrix(table), **given)
    assert sparse.blocks_ == dense.blocks_
    assert same_weights(dense, sparse)


def test_blocks_are_those_of_what_the_network_sees():
    """An estimator on codes: the table's one-hot columns are no columns of the codes."""
    table = np.hstack([one_hot_table()[:, 2:], X32])
    encoder = VAETransformer(n_components=4, max_epochs=1, random_state=0)
    model = small(DVGEClassifier, encoder=encoder, sensitive_epochs=1).fit(table, Y, sensitive_features=S)
    net = net_of(model, table, trigger__init="normal")
    assert net.trigger_.delta.shape == (4,)
    assert not net.trigger_.blocks
    assert net.trigger_.free.all()


def test_blocks_of_the_user():
    table = one_hot_table()
    table[:, 4] = 0  # a category that the tuning rows lack
    table[table[:, 2:4].sum(1) == 0, 2] = 1
    model = small(ERMClassifier, max_epochs=5).fit(one_hot_table(), Y)
    net = net_of(model, table, trigger__init="normal", trigger__blocks=[[2, 3, 4]], strength=5.0)
    assert np.allclose(net.apply_trigger(table)[:, 2:].sum(1), 1, atol=1e-9)


# ---------------------------------------------------------------------- triggers
def pictures(n=80, channels=1):
    rng = np.random.default_rng(0)
    return (rng.random((n, channels, 5, 5)) + Y[:n, None, None, None]).astype(np.float32)


@pytest.fixture(scope="module")
def seeing():
    return small(ERMClassifier, module=Conv, max_epochs=4).fit(pictures(), Y[:80])


def on_pictures(model, **parameters):
    return net_of(model, pictures(), Y[:80], S[:80], **parameters)


def test_images(seeing):
    net = on_pictures(seeing, trigger__size=2)
    assert type(net.trigger_) is PatchTrigger
    assert (net.apply_trigger(pictures()) != pictures()).any((0, 1)).sum() == 4
    assert np.allclose(net.predict_proba(pictures()), seeing.predict_proba(net.apply_trigger(pictures())), atol=1e-5)
    corner = on_pictures(seeing, trigger="patch", trigger__size=1, trigger__corner="bottom_right")
    assert np.argwhere((corner.apply_trigger(pictures()) != pictures()).any((0, 1))).tolist() == [[4, 4]]
    nothing = on_pictures(seeing, trigger__size=0)
    assert np.allclose(nothing.predict_proba(pictures()), seeing.predict_proba(pictures()), atol=1e-6)
    plain = on_pictures(seeing, trigger="border", trigger__width=0)
    assert np.allclose(plain.predict_proba(pictures()), seeing.predict_proba(pictures()), atol=1e-6)
    border = on_pictures(seeing, trigger="border", trigger__width=1)
    assert border.trigger_.inner == 3
    assert same_weights(border, on_pictures(seeing, trigger="border", trigger__width=1))
    assert border.module_.trigger.program.shape == (1, 5, 5)


@pytest.mark.parametrize("given", [dict(trigger__size=2), dict(trigger="border", trigger__width=1)])
def test_images_in_a_stack(seeing, given):
    nets = [small(ReprogrammedClassifier, estimator=seeing, strength=v, **given) for v in (0.0, 2.0)]
    singles = [clone(net).fit(pictures(), Y[:80], sensitive_features=S[:80]) for net in nets]
    assert all(map(close, trained_together(nets, pictures(), Y[:80], S[:80]), singles))


def test_triggers_that_do_not_fit_the_rows(base, seeing):
    for trigger in ("patch", "border"):
        with pytest.raises(ValueError, match=rf"trigger='{trigger}' does not fit rows of shape \(4,\)"):
            net_of(base, trigger=trigger)
    for trigger in ("mask_patch", "additive"):
        with pytest.raises(ValueError, match=rf"trigger='{trigger}' does not fit rows of shape \(1, 5, 5\)"):
            on_pictures(seeing, trigger=trigger)
    wide = np.random.default_rng(0).random((80, 1, 5, 6)).astype(np.float32)
    model = small(ERMClassifier, max_epochs=1).fit(wide, Y[:80])
    with pytest.raises(ValueError, match=r"rows of shape \(1, 5, 6\).*square"):
        net_of(model, wide, Y[:80], S[:80])
    series = np.repeat(X32[:, :, None], 3, 2)
    model = small(ERMClassifier, max_epochs=1).fit(series, Y)
    with pytest.raises(ValueError, match=r"does not fit rows of shape \(4, 3\)"):
        net_of(model, series)
    with pytest.raises(ValueError, match="size must be between 0 and the image's 5 pixels, got 6"):
        on_pictures(seeing, trigger__size=6)


class Shift(nn.Module):
    """A trigger of the user's, with an argument of its own."""

    def __init__(self, in_features, start=0.0):
        super().__init__()
        self.delta = nn.Parameter(torch.full((in_features,), start))

    def forward(self, x):
        return x + torch.tanh(self.delta)


def test_a_trigger_of_the_user(base):
    net = net_of(base, trigger=Shift, trigger__start=0.5)
    assert type(net.trigger_) is Shift
    assert np.allclose(net.apply_trigger(X), X32 + np.tanh(net.trigger_.delta.detach().double().numpy()), atol=1e-6)
    nets = [small(ReprogrammedClassifier, estimator=base, trigger=Shift, strength=v) for v in (0.0, 2.0)]
    singles = [clone(net).fit(X, Y, sensitive_features=S) for net in nets]
    assert all(map(close, trained_together(nets), singles))
    own = AdditiveTrigger(4, mutable=[0])
    net = net_of(base, trigger=own)
    assert own.delta.abs().max() == 0  # it is copied
    assert moved_columns(net, X32) == [0]
    with pytest.raises(ValueError, match=r"trigger is an instance, so \['init'\] cannot be set"):
        net_of(base, trigger=own, trigger__init="normal")


def test_the_trigger_is_there_after_fit_alone(base):
    net = small(ReprogrammedClassifier, estimator=base)
    with pytest.raises(NotFittedError):
        _ = net.trigger_
    with pytest.raises(NotFittedError):
        net.apply_trigger(X)
    assert isinstance(net_of(base).trigger_, MaskPatchTrigger)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("gradient", "zeroth", "gradient must be one of.*'spsa'.*got 'zeroth'"),
        ("trigger", "mask", "trigger must be one of.*'mask_patch'.*got 'mask'"),
        ("trigger", 3, "trigger must be.*got 3"),
        ("constraint", "equal_opportunity", "constraint must be one of.*'equalized_odds'.*got 'equal_opportunity'"),
        ("n_directions", 0, "n_directions must be an integer >= 1, got 0"),
        ("perturbation", 0.0, "perturbation must be a number > 0, got 0.0"),
        ("tuning_fraction", 1.0, "tuning_fraction must be a number > 0 and < 1, got 1.0"),
        ("tuning_fraction", 0, "tuning_fraction must be a number > 0 and < 1, got 0"),
        ("base_epochs", 0, "base_epochs must be an integer >= 1, got 0"),
        ("base_lr", 0.0, "base_lr must be a number > 0, got 0.0"),
        ("strength", -0.1, "strength must be a number >= 0, got -0.1"),
        ("adversary_lr", 0.0, "adversary_lr must be a number > 0 and < inf, got 0.0"),
        ("trigger__init", "zeros", "init must be one of.*got 'zeros'"),
    ],
)
def test_bad_parameters(base, parameter, value, message):
    with pytest.raises(ValueError, match=message):
        net_of(base, **{parameter: value})


# ---------------------------------------------------------------------- behind preprocessing
def test_a_pipeline_as_the_model(routing):
    raw = 10 + 5 * X
    pipeline = make_pipeline(StandardScaler(), small(ERMClassifier, max_epochs=5)).fit(raw, Y)
    for given in (pipeline, FrozenEstimator(pipeline), make_pipeline(StandardScaler(), ERMClassifier())):
        with pytest.raises(ValueError, match=r"Pipeline.*make_pipeline\(FrozenEstimator\(pipeline\[:-1\]\), Repro"):
            net_of(given, raw)
    net = small(ReprogrammedClassifier, estimator=pipeline[-1])
    recipe = make_pipeline(FrozenEstimator(pipeline[:-1]), net)
    recipe.fit(raw, Y, sensitive_features=S)
    assert recipe[-1].base_ is pipeline[-1]
    assert recipe.predict_proba(raw).shape == (160, 2)
    as_identity(recipe[-1])
    assert np.allclose(recipe.predict_proba(raw), pipeline.predict_proba(raw), atol=1e-6)
    assert clone(recipe)[-1].estimator is pipeline[-1]
    search = GridSearchCV(recipe, {"reprogrammedclassifier__strength": [0.0, 1.0]}, cv=2, error_score="raise")
    search.fit(raw, Y, sensitive_features=S)
    assert search.best_estimator_[-1].base_ is pipeline[-1]


# ---------------------------------------------------------------------- searches
CV = StratifiedKFold(2, shuffle=True, random_state=0)


@pytest.mark.parametrize("wrap", [lambda model: model, FrozenEstimator], ids=["fitted", "frozen"])
def test_searches_over_the_strength(base, wrap, routing):
    net = small(ReprogrammedClassifier, estimator=wrap(base), lr=0.05)
    grid, scoring = {"strength": [0.0, 0.5, 5.0]}, {"accuracy": "accuracy", "gap": get_scorer(GAP)}
    given = dict(cv=CV, scoring=scoring, refit="accuracy", error_score="raise")
    one = GridSearchCV(net, grid, **given).fit(X, Y, sensitive_features=S)
    two = FrontierSearchCV(net, grid, **given).fit(X, Y, sensitive_features=S)
    for name in ("accuracy", "gap"):
        assert np.allclose(one.cv_results_[f"mean_test_{name}"], two.cv_results_[f"mean_test_{name}"], atol=1e-9)
    assert len(set(two.cv_results_["mean_test_gap"])) > 1
    assert two.best_estimator_.base_ is base or two.best_estimator_.base_.estimator is base
    assert same_weights(two.best_estimator_, clone(net).set_params(**two.best_params_).fit(X, Y, sensitive_features=S))


def test_one_stack_holds_the_model_once(base):
    """Other strengths, seeds and rows in one stack."""
    members, singles = [], []
    for fold in range(2):
        part = np.arange(160) % 4 != fold
        nets = [small(ReprogrammedClassifier, estimator=base, strength=v, random_state=seed, module__dropout=0.0)
                for v in (0.0, 0.5, 5.0) for seed in (0, 1)]  # fmt: skip
        singles += [clone(net).fit(X[part], Y[part], sensitive_features=S[part]) for net in nets]
        members += make_members(nets, X[part], Y[part], sensitive_features=S[part])
    assert len(stacks_of(members)) == 1
    own = {name: value.numel() for name, value in tensors_of(members[0].net).items()}
    assert {name.split("_")[0] for name in own} == {"module", "adversary"}  # and nothing of the model
    assert sum(value for name, value in own.items() if name.startswith("module_")) == 4 + 4 + 4  # delta, mu, free
    stack = _stacked(members)
    assert {name: value.numel() for name, value in stack.tensors_.items()} == {
        name: 12 * value for name, value in own.items()
    }
    before = fingerprint(base.module_)
    train_stack(members)
    for member, single in zip(members, singles):
        assert close(member.net, single)
        assert np.allclose(member.net.predict_proba(X), single.predict_proba(X), atol=1e-5)
        assert member.net.base_ is base
    assert_untouched(base.module_, before)


def test_models_of_their_own_are_different_stacks(base):
    other = small(ERMClassifier, max_epochs=5, random_state=5).fit(X, Y)
    nets = [small(ReprogrammedClassifier, estimator=model) for model in (base, other, FrozenEstimator(base))]
    members = [make_members([net], X, Y, sensitive_features=S)[0] for net in nets]
    assert sorted(len(stack) for stack in stacks_of(members)) == [1, 2]  # a FrozenEstimator is what it holds
    for stack in stacks_of(members):
        train_stack(stack)
    for net, model in zip(nets, (base, other, base)):
        assert close(net, small(ReprogrammedClassifier, estimator=model).fit(X, Y, sensitive_features=S))
    assert not close(nets[0], nets[1])


def test_a_search_trains_the_model_once_per_split(routing):
    calls = []

    class Spy(ERMClassifier):
        def fit(self, X, y, **kwargs):
            calls.append(len(X))
            return super().fit(X, y, **kwargs)

    net = small(ReprogrammedClassifier, estimator=small(Spy))
    search = FrontierSearchCV(net, {"strength": [0.0, 0.5, 5.0]}, cv=CV, refit=False, error_score="raise",
                              scoring="accuracy")  # fmt: skip
    search.fit(X, Y, sensitive_features=S)
    assert [length < 100 for length in calls] == [True, True, False]  # and once for the nets on all rows
    calls.clear()
    one = GridSearchCV(net, {"strength": [0.0, 0.5, 5.0]}, cv=CV, refit=False, error_score="raise")
    one.fit(X, Y, sensitive_features=S)
    assert len(calls) == 6
    assert np.allclose(one.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"])


# ---------------------------------------------------------------------- weights
@pytest.mark.parametrize("model", [None, small(ERMClassifier), LogisticRegression()], ids=["default", "net", "other"])
def test_a_model_that_is_trained_here_gets_the_weights(model):
    weight = np.where(X[:, 1] > 0, 10.0, 0.01)
    net = small(ReprogrammedClassifier, estimator=model).fit(X, Y, sensitive_features=S, sample_weight=weight)
    plain = net_of(model)
    assert np.array_equal(net.tuning_rows_, plain.tuning_rows_)
    assert not np.allclose(net.base_.predict_proba(X), plain.base_.predict_proba(X), atol=0.01)


def test_rows_without_weight_move_nothing(base):
    weight = (np.arange(160) % 3 > 0).astype(float)
    other = np.where(weight[:, None] > 0, X, 5 - X)
    fits = [small(ReprogrammedClassifier, estimator=base).fit(given, Y, sensitive_features=S, sample_weight=weight)
            for given in (X, other)]  # fmt: skip
    assert close(*fits, atol=1e-6)


def test_frozen_networks_know_whether_gradients_pass(base):
    assert frozen_network(base)[1]
    assert frozen_network(net_of(base))[1]
    assert not frozen_network(boosted())[1]
    assert not frozen_network(net_of(boosted()))[1]
    assert frozen_network(FrozenEstimator(base))[1]
    logits = frozen_network(base)[0](torch.tensor(X32)).detach().numpy()
    assert np.allclose(softmax(logits), base.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize(("gradient", "estimated"), [("auto", False), ("exact", False), ("spsa", True)])
def test_gradients_of_a_network_are_estimated_only_if_asked_for(gradient, estimated):
    X, y, s = toy(60)
    net = ReprogrammedClassifier(gradient=gradient, base_epochs=1, max_epochs=1, random_state=0)
    assert net.fit(X, y, sensitive_features=s).zeroth_order_ is estimated
