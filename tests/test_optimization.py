"""Learning-rate schedules, clipped gradients, epochs by steps: by hand, in stacks, with two players, in stages."""

import copy
import math

import numpy as np
import pytest
import torch
from common import RIGHTLY_WARNED, Net, output, quick, rows, same_weights, weights_of
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import StratifiedKFold
from skorch.callbacks import Callback

from skfair._data import BatchLoader, make_rows
from skfair.adversarial import AdversarialClassifier
from skfair.augmentation import GANGenerator
from skfair.base import _loop
from skfair.base._members import make_members
from skfair.base._stack import stacks_of, train_stack
from skfair.model_selection import FrontierSearchCV
from skfair.regularization import RegularizedClassifier
from skfair.robust import DistillationClassifier, ERMClassifier, JTTClassifier

pytestmark = RIGHTLY_WARNED
SCHEDULES = {
    "cosine": lambda epoch, epochs: 0.5 * (1 + math.cos(math.pi * epoch / epochs)),
    "linear": lambda epoch, epochs: 1 - epoch / epochs,
    "constant": lambda epoch, epochs: 1.0,
}
PLAIN = dict(module__hidden=(8, 6), module__dropout=0.0, sensitive_columns=None)
BOTH = dict(lr_schedule="cosine", gradient_clipping=0.05, lr=0.03)  # 0.05 is less than most gradients of these rows


class Rates(Callback):
    """Notes the learning rates of each epoch; the net's own on_epoch_begin comes before that of callbacks."""

    def on_train_begin(self, net, **kwargs):
        self.seen_ = [*getattr(self, "seen_", [])]

    def on_epoch_begin(self, net, **kwargs):
        self.seen_.append([group["lr"] for group in net.optimizer_.param_groups])


class Steps(Callback):
    """Notes how far each step has moved the parameters."""

    def on_batch_begin(self, net, training=None, **kwargs):
        self.before_ = [p.detach().clone() for p in net.module_.parameters()]

    def on_batch_end(self, net, training=None, **kwargs):
        if training:
            moved = [p.detach() - q for p, q in zip(net.module_.parameters(), self.before_)]
            self.norms_ = [*getattr(self, "norms_", []), float(torch.cat([m.flatten() for m in moved]).norm())]


def made(cls=ERMClassifier, **parameters):
    return quick(cls, **{**PLAIN, "max_epochs": 5, **parameters})


def rates(net, name="rates"):
    return np.array(dict(net.callbacks_)[name].seen_)


def watched(**parameters):
    return made(callbacks=[("rates", Rates())], **parameters)


# ---------------------------------------------------------------------- schedules
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_the_rate_of_each_epoch_by_hand(schedule, epochs):
    X, y, _ = rows()
    net = watched(lr_schedule=schedule, lr=0.02, max_epochs=epochs).fit(X, y)
    expected = [0.02 * SCHEDULES[schedule](epoch, epochs) for epoch in range(epochs)]
    np.testing.assert_allclose(rates(net)[:, 0], expected, rtol=1e-12)
    assert net.lr == 0.02
    assert net.get_params()["lr"] == clone(net).lr == 0.02


def test_well_known_factors():
    X, y, _ = rows()
    cosine = rates(watched(lr_schedule="cosine", lr=1.0, max_epochs=4, optimizer=torch.optim.SGD).fit(X, y))
    np.testing.assert_allclose(cosine[:, 0], [1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4], rtol=1e-12)
    linear = rates(watched(lr_schedule="linear", lr=1.0, max_epochs=4, optimizer=torch.optim.SGD).fit(X, y))
    assert linear[:, 0].tolist() == [1, 0.75, 0.5, 0.25]  # never 0, which would be an epoch in vain


def test_a_constant_rate_is_no_schedule_and_another_one_is_another_net():
    X, y, _ = rows()
    nets = {name: made(lr_schedule=name).fit(X, y) for name in SCHEDULES}
    assert same_weights(made().fit(X, y), nets["constant"])
    assert not same_weights(nets["cosine"], nets["constant"])
    assert not same_weights(nets["cosine"], nets["linear"])
    first = {name: made(lr_schedule=name, max_epochs=1).fit(X, y) for name in SCHEDULES}
    assert same_weights(first["cosine"], first["constant"])  # the first epoch has the full rate
    assert "initial_lr" not in nets["constant"].optimizer_.param_groups[0]


def test_a_warm_start_begins_the_schedule_anew():
    X, y, _ = rows()
    net = watched(lr_schedule="linear", lr=0.04, max_epochs=4, warm_start=True).fit(X, y).fit(X, y)
    np.testing.assert_allclose(rates(net)[:, 0], 2 * [0.04, 0.03, 0.02, 0.01], rtol=1e-12)
    net.set_params(max_epochs=2).fit(X, y)  # over its own number of epochs
    np.testing.assert_allclose(rates(net)[8:, 0], [0.04, 0.02], rtol=1e-12)
    net.set_params(warm_start=False).fit(X, y)
    np.testing.assert_allclose(rates(net)[:, 0], [0.04, 0.02], rtol=1e-12)


def test_partial_fit_has_the_full_rate():
    X, y, _ = rows()
    net = watched(lr_schedule="cosine", lr=0.04, max_epochs=4)
    for _ in range(3):
        net.partial_fit(X, y)
    assert rates(net)[:, 0].tolist() == [0.04] * 3
    assert same_weights(net, made(lr=0.04).partial_fit(X, y).partial_fit(X, y).partial_fit(X, y))
    net.fit(X, y).partial_fit(X, y)
    assert rates(net)[-1, 0] == 0.04


@pytest.mark.parametrize("go_on", ["partial_fit", "warm_start"])
def test_a_new_rate_between_two_fits_is_heeded(go_on):
    X, y, _ = rows()
    net = watched(lr_schedule="linear", lr=0.04, max_epochs=2, warm_start=go_on == "warm_start").fit(X, y)
    net.set_params(lr=0.5)
    net = net.fit(X, y) if go_on == "warm_start" else net.partial_fit(X, y)
    assert rates(net)[2, 0] == 0.5


def test_a_schedule_that_is_taken_off_leaves_the_full_rate():
    X, y, _ = rows()
    net = watched(lr_schedule="linear", lr=0.04, max_epochs=4).fit(X, y)
    net.set_params(lr_schedule="constant").partial_fit(X, y)
    assert rates(net)[-1, 0] == 0.04


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_groups_of_parameters_keep_the_ratio_of_their_rates(schedule):
    X, y, _ = rows()
    groups = [("encoder*", {"lr": 0.001}), ("head.0.*", {"lr": 0.2})]
    net = watched(lr_schedule=schedule, lr=0.01, max_epochs=6, optimizer__param_groups=groups).fit(X, y)
    found = rates(net)
    assert found.shape == (6, 3)
    factors = [SCHEDULES[schedule](epoch, 6) for epoch in range(6)]
    np.testing.assert_allclose(found, np.outer(factors, [0.001, 0.2, 0.01]), rtol=1e-12)


def test_the_schedule_runs_over_max_epochs_even_where_a_net_stops_earlier():
    X, y, _ = rows()
    stop = dict(early_stopping=True, patience=1, validation_fraction=0.3, lr=0.1, max_epochs=30)
    net = watched(lr_schedule="linear", **stop).fit(X, y)
    n = len(net.history)
    assert n < 30
    np.testing.assert_allclose(rates(net)[:, 0], [0.1 * (1 - epoch / 30) for epoch in range(n)], rtol=1e-12)


# ---------------------------------------------------------------------- clipping
def one_step(clip, module, X, y, weight=None, groups=()):
    """The parameters after one step of SGD with the rate 0.5, clipped by torch."""
    by_hand = copy.deepcopy(module)
    loss = torch.nn.functional.cross_entropy(by_hand(torch.tensor(X, dtype=torch.float32)), torch.tensor(y))
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(by_hand.parameters(), clip) if clip is not None else torch.tensor(0.0)
    with torch.no_grad():
        for p in by_hand.parameters():
            p -= 0.5 * p.grad
    return float(norm), [p.detach().numpy() for p in by_hand.parameters()]


SGD = dict(optimizer=torch.optim.SGD, momentum=0.0, lr=0.5, sensitive_columns=None, random_state=0, shuffle=False)


@pytest.mark.parametrize("clip", [None, 0.01, 0.1, 100.0])
def test_one_step_equals_torchs_clipping(clip):
    X, y, _ = rows()
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(3)
    module = Net()
    torch.random.set_rng_state(torch_state)
    norm, expected = one_step(clip, module, X, y)
    net = ERMClassifier(module=module, gradient_clipping=clip, batch_size=-1, max_epochs=1, **SGD).fit(X, y)
    for found, value in zip(net.module_.parameters(), expected, strict=True):
        np.testing.assert_allclose(found.detach().numpy(), value, atol=1e-7)
    moved = [p.detach() - q.detach() for p, q in zip(net.module_.parameters(), module.parameters())]
    step = float(torch.cat([m.flatten() for m in moved]).norm())
    if clip is not None:
        assert step == pytest.approx(0.5 * min(clip, norm), rel=1e-4)  # of all parameters together


@pytest.mark.parametrize("cls", [ERMClassifier, AdversarialClassifier, GANGenerator])
def test_a_huge_norm_is_none_bit_for_bit(cls):
    X, y, s = rows()
    own = dict(module__hidden=(6,), max_epochs=2) if cls is GANGenerator else {}
    given = {} if cls is GANGenerator else {**PLAIN}
    nets = [
        cls(gradient_clipping=clip, random_state=0, **{"max_epochs": 3, **given, **own})
        for clip in (None, 1e12, float("inf"))
    ]
    known = {"sensitive_features": s} if cls.needs_sensitive else {}
    nets = [net.fit(X, y, **known) for net in nets]
    assert same_weights(nets[0], nets[1])
    assert same_weights(nets[0], nets[2])
    tight = clone(nets[0]).set_params(gradient_clipping=1e-3).fit(X, y, **known)
    assert not same_weights(nets[0], tight)


def test_no_step_of_sgd_is_longer_than_the_rate_times_the_norm():
    X, y, _ = rows()
    given = dict(SGD, module__hidden=(8, 6), module__dropout=0.0, batch_size=16, max_epochs=4)
    norms = {}
    for clip in (None, 0.05):
        callbacks = [("steps", Steps())]
        net = ERMClassifier(gradient_clipping=clip, callbacks=callbacks, **given).fit(X, y)
        norms[clip] = np.array(dict(net.callbacks_)["steps"].norms_)
    assert len(norms[None]) == 32
    assert norms[None].max() > 3 * 0.5 * 0.05  # else it shows nothing
    assert norms[0.05].max() <= 0.5 * 0.05 * (1 + 1e-4)
    net = ERMClassifier(gradient_clipping=0.05, lr_schedule="linear", callbacks=[("steps", Steps())], **given)
    norms = np.array(dict(net.fit(X, y).callbacks_)["steps"].norms_).reshape(4, 8)
    assert (norms.max(1) <= 0.5 * 0.05 * np.array([1, 0.75, 0.5, 0.25]) * (1 + 1e-4)).all()


def test_parameters_of_several_groups_are_clipped_together():
    X, y, _ = rows()
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(3)
    module = Net()
    torch.random.set_rng_state(torch_state)
    _, expected = one_step(0.1, module, X, y)
    groups = [("encoder*", {"lr": 0.5})]
    given = dict(SGD, lr=0.25, optimizer__param_groups=groups)
    net = ERMClassifier(module=module, gradient_clipping=0.1, batch_size=-1, max_epochs=1, **given).fit(X, y)
    found = [p.detach().numpy() for p in net.module_.parameters()]
    start = [p.detach().numpy() for p in module.parameters()]
    for k, factor in enumerate((1, 1, 0.5, 0.5)):  # the head at half the rate
        np.testing.assert_allclose(found[k] - start[k], factor * (expected[k] - start[k]), atol=1e-7)


def test_lbfgs_is_clipped_too():
    X, y, _ = rows()
    given = dict(optimizer=torch.optim.LBFGS, batch_size=-1, max_epochs=1, lr=0.1)
    assert not same_weights(made(gradient_clipping=1e-4, **given).fit(X, y), made(**given).fit(X, y))


# ---------------------------------------------------------------------- bad values
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("lr_schedule", value) for value in ("cos", "Cosine", "", None, 1, True, torch.optim.lr_scheduler.StepLR)],
        *[("gradient_clipping", value) for value in (0, 0.0, -1, "x", True, False, float("nan"))],
        *[("max_epochs", value) for value in ("Auto", "", "20", "automatic", 0, -1, 2.5, None, True)],
    ],
)
@pytest.mark.parametrize("cls", [ERMClassifier, JTTClassifier])
def test_bad_values_raise_before_training(cls, name, value):
    X, y, _ = rows()
    net = made(cls, **{name: value})
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=rf"{name} must be .*got {value!r}\.".replace("(", r"\(")):
            getattr(net, method)(X, y)
        assert not net.initialized_
        assert not hasattr(net, "first_net_")


def test_the_error_for_a_bad_number_of_epochs_names_auto():
    with pytest.raises(ValueError, match="auto.*got 'Auto'"):
        made(max_epochs="Auto").fit(*rows()[:2])


# ---------------------------------------------------------------------- stacks
def in_stacks(nets, parts, n_stacks=1):
    """Train clones of the nets on each of the parts side by side, and by themselves; pairs of (stacked, single)."""
    members, singles = [], []
    for X, y, given in parts:
        twins = [copy.deepcopy(net) for net in nets]
        members += make_members(twins, X, y, **given)
        singles += [copy.deepcopy(net).fit(X, y, **given) for net in nets]
    assert [member.exception for member in members] == [None] * len(members)
    stacks = stacks_of(members)
    assert n_stacks is None or len(stacks) == n_stacks
    for stack in stacks:
        train_stack(stack)
    return [(member.net, single) for member, single in zip(members, singles)]


def assert_alike(net, single, atol=1e-5):
    for found, value in zip(weights_of(net), weights_of(single), strict=True):
        np.testing.assert_allclose(found, value, rtol=atol, atol=atol)
    np.testing.assert_allclose(net.history[:, "train_loss"], single.history[:, "train_loss"], rtol=1e-4, atol=1e-6)
    for one, other in zip(net.optimizer_.param_groups, single.optimizer_.param_groups, strict=True):
        assert {k: v for k, v in one.items() if k != "params"} == {k: v for k, v in other.items() if k != "params"}


STACKED = {
    "ERM": (ERMClassifier, [{}]),
    "Regularized": (RegularizedClassifier, [dict(strength=v) for v in (0.0, 1.0, 5.0)]),
    "Adversarial": (AdversarialClassifier, [dict(strength=v) for v in (0.0, 0.5)]),
    "JTT": (JTTClassifier, [dict(upweight=v) for v in (1, 7)]),
}


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [*((name, "Adam") for name in STACKED), ("Regularized", "SGD"), ("ERM", "AdamW")],
)
def test_a_stack_equals_single_fits(name, optimizer):
    cls, different = STACKED[name]
    X, y, s = rows()
    given = {**BOTH, "optimizer": getattr(torch.optim, optimizer), "max_epochs": 3}
    nets = [made(cls, random_state=seed, **given, **own) for seed in (0, 1) for own in different]
    for net, single in in_stacks(nets, [(X, y, dict(sensitive_features=s))]):
        assert_alike(net, single)
        loose = clone(single).set_params(gradient_clipping=None).fit(X, y, sensitive_features=s)
        even = clone(single).set_params(lr_schedule="constant").fit(X, y, sensitive_features=s)
        assert min(np.abs(output(other, X) - output(single, X)).max() for other in (loose, even)) > 1e-5


@pytest.mark.parametrize("stop", [{}, dict(early_stopping=True, patience=1, validation_fraction=0.2)], ids=["", "stop"])
def test_folds_whose_batches_differ_in_size(stop):
    """Batches of twelve, nine steps, the last of another size: a stack is split in each epoch, by size."""
    X, y, s = rows(140)
    given = {**BOTH, "batch_size": 12, "max_epochs": 6, "lr": 0.1 if stop else 0.03, "lr_schedule": "linear", **stop}
    nets = [made(RegularizedClassifier, random_state=seed, strength=v, **given) for seed in (0, 1) for v in (0.0, 2.0)]
    sizes = (126, 134) if stop else (99, 107)
    order = np.random.default_rng(0).permutation(140)
    parts = [(X[order[:n]], y[order[:n]], dict(sensitive_features=s[order[:n]])) for n in sizes]
    pairs = in_stacks(nets, parts, n_stacks=1)
    for net, single in pairs:
        assert_alike(net, single, atol=1e-4)
    assert (len({len(net.history) for net, _ in pairs}) > 1) == bool(stop)  # some left the stack


def test_groups_of_parameters_in_a_stack():
    X, y, _ = rows()
    groups = [("encoder*", {"lr": 0.1}), ("head.0.*", {"lr": 0.01})]
    nets = [made(random_state=seed, optimizer__param_groups=groups, **BOTH) for seed in range(3)]
    for net, single in in_stacks(nets, [(X, y, {})]):
        assert_alike(net, single)


class Scaled(Net):
    """With a parameter that is one number, and one that gets no gradient."""

    def __init__(self, width=5):
        super().__init__(width)
        self.scale, self.idle = torch.nn.Parameter(torch.tensor(3.0)), torch.nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return self.scale * super().forward(x)


def test_a_parameter_that_is_one_number_in_a_stack():
    X, y, _ = rows()
    nets = [quick(ERMClassifier, module=Scaled, max_epochs=3, random_state=seed, **BOTH) for seed in range(2)]
    for net, single in in_stacks(nets, [(X, y, {})]):
        assert_alike(net, single)


def test_one_net_of_a_stack_whose_gradient_is_large_does_not_clip_the_others():
    X, y, s = rows()
    nets = [made(RegularizedClassifier, gradient_clipping=0.5, strength=v, lr=0.01) for v in (0.0, 1000.0)]
    alone = made(RegularizedClassifier, strength=0.0, gradient_clipping=0.5, lr=0.01).fit(X, y, sensitive_features=s)
    (net, _), _ = in_stacks(nets, [(X, y, dict(sensitive_features=s))])
    assert_alike(net, alone)


def search_of(estimator, **given):
    grid = {"strength": [0.0, 1.0, 4.0]}
    return FrontierSearchCV(estimator, grid, cv=3, scoring="neg_log_loss", models="all", error_score="raise", **given)


def test_a_search_equals_single_fits():
    """Folds of 80 and 81 rows in batches of nine, so that stacks are split; two seeds; all models on all rows."""
    X, y, s = rows(121)
    net = made(RegularizedClassifier, batch_size=9, max_epochs=2, **{**BOTH, "lr_schedule": "linear"})
    search = search_of(net, seeds=[3, 4]).fit(X, y, sensitive_features=s)
    for k, model in search.models_.items():
        single = clone(net).set_params(**search.cv_results_["params"][k]).fit(X, y, sensitive_features=s)
        assert_alike(model, single)
    scorer = get_scorer("neg_log_loss")
    splits = list(StratifiedKFold(3).split(X, y))
    for column, (seed, (train, test)) in enumerate((seed, split) for seed in (3, 4) for split in splits):
        for k, params in enumerate(search.cv_results_["params"]):
            single = clone(net).set_params(random_state=seed, **params)
            single.fit(X[train], y[train], sensitive_features=s[train])
            score = search.cv_results_[f"split{column}_test_score"][k]
            assert score == pytest.approx(scorer(single, X[test], y[test]), rel=1e-4)


def test_a_search_over_schedules_and_norms(monkeypatch):
    monkeypatch.setattr(_loop, "AUTO_STEPS", 9)
    X, y, _ = rows()
    grid = {"lr_schedule": ["constant", "cosine"], "gradient_clipping": [None, 0.05], "max_epochs": [2, "auto"]}
    net = made(batch_size=-1, lr=0.01)
    search = FrontierSearchCV(net, grid, cv=2, scoring="neg_log_loss", models="all", error_score="raise").fit(X, y)
    assert len(set(np.round(search.cv_results_["mean_test_score"], 7))) == 8
    for k, model in search.models_.items():
        assert_alike(model, clone(net).set_params(**search.cv_results_["params"][k]).fit(X, y), atol=1e-4)


# ---------------------------------------------------------------------- two players
ADVERSARIES = [{}, dict(attack="output"), dict(reversal=True), dict(projection=True), dict(adversary_steps=2)]


@pytest.mark.parametrize("other", ADVERSARIES, ids=lambda other: "-".join(other) or "plain")
def test_an_adversary_of_strength_0_is_erm_with_schedule_and_clipping(other):
    X, y, s = rows()
    if "projection" in other:
        pytest.skip("projects at strength 0 as well")
    net = made(AdversarialClassifier, strength=0.0, adversary_lr=0.07, **BOTH, **other).fit(X, y, sensitive_features=s)
    assert same_weights(net, made(**BOTH).fit(X, y))


@pytest.mark.parametrize("other", ADVERSARIES, ids=lambda other: "-".join(other) or "plain")
def test_the_adversarys_own_rate_stays_and_its_gradient_is_not_clipped(other):
    class Adversarys(Rates):
        def on_epoch_begin(self, net, **kwargs):
            self.seen_.append([group["lr"] for group in net.adversary_optimizer_.param_groups])

    X, y, s = rows()
    callbacks = [("rates", Rates()), ("adversary", Adversarys())]
    given = dict(lr_schedule="cosine", adversary_lr=0.07, lr=0.01, callbacks=callbacks, max_epochs=4, **other)
    net = made(AdversarialClassifier, **given).fit(X, y, sensitive_features=s)
    assert rates(net, "adversary")[:, 0].tolist() == [0.07] * 4
    assert rates(net)[-1, 0] < 0.002
    start = made(AdversarialClassifier, **{**given, "gradient_clipping": 1e-9, "optimizer": torch.optim.SGD})
    fitted = start.fit(X, y, sensitive_features=s)
    free = clone(start).set_params(max_epochs=1).fit(X, y, sensitive_features=s)
    moved = [(p - q).abs().max() for p, q in zip(fitted.adversary_.parameters(), free.adversary_.parameters())]
    assert max(moved) > 0.01
    still = [(p - q).abs().max() for p, q in zip(fitted.module_.parameters(), free.module_.parameters())]
    assert max(still) < 1e-7


# ---------------------------------------------------------------------- stages
def test_stages_take_the_settings_over():
    X, y, _ = rows()
    settings = dict(lr_schedule="linear", gradient_clipping=0.125, lr=0.01)
    jtt = made(JTTClassifier, **settings).fit(X, y)
    distilled = made(DistillationClassifier, teacher_epochs=2, **settings).fit(X, y)
    for stage in (jtt.first_net_, distilled.teacher_):
        assert (stage.lr_schedule, stage.gradient_clipping) == ("linear", 0.125)
    free = made(JTTClassifier, **{**settings, "gradient_clipping": None}).fit(X, y)
    assert not same_weights(jtt.first_net_, free.first_net_)
    reference = ERMClassifier(**{**jtt.first_net_.get_params(), "random_state": jtt.first_net_.random_state})
    for _ in range(jtt.first_epochs):
        reference.partial_fit(X, y)
    assert same_weights(reference, jtt.first_net_)


def test_stages_of_nets_with_epochs_by_steps(monkeypatch):
    monkeypatch.setattr(_loop, "AUTO_STEPS", 20)
    X, y, _ = rows()
    jtt = made(JTTClassifier, max_epochs="auto", how="repeat", upweight=3).fit(X, y)
    assert len(jtt.first_net_.history) == 2
    repeated = 120 + 2 * int(jtt.error_set_.sum())
    assert len(jtt.history) == jtt.epochs_for(repeated)


# ---------------------------------------------------------------------- max_epochs="auto"
@pytest.mark.parametrize("batch_size", [1, 2, 7, 32, 64, 256, -1])
@pytest.mark.parametrize("n", [1, 2, 3, 64, 65, 66, 257, 1000, 32561])
def test_auto_is_about_a_thousand_steps(batch_size, n):
    net = ERMClassifier(max_epochs="auto", batch_size=batch_size)
    epochs = net.epochs_for(n)
    size = n if batch_size == -1 else batch_size
    data = make_rows(np.zeros((n, 1)), {}, "cpu")
    steps = len(BatchLoader(data, size).bounds())
    assert isinstance(epochs, int)
    assert 8 <= epochs <= 100
    if 8 < epochs < 100:
        assert abs(epochs * steps - 1000) <= steps / 2
    else:
        assert steps * 8.5 >= 1000 if epochs == 8 else steps * 99.5 <= 1000


def test_auto_in_all_kinds_of_training(monkeypatch):
    X, y, s = rows()
    net = made(RegularizedClassifier, max_epochs="auto", batch_size=-1)
    assert len(clone(net).fit(X, y, sensitive_features=s).history) == 100
    net = clone(net).set_params(batch_size=20)
    monkeypatch.setattr(_loop, "AUTO_STEPS", 66)
    fitted = clone(net).fit(X, y, sensitive_features=s)
    assert len(fitted.history) == 11
    assert same_weights(fitted, clone(net).set_params(max_epochs=11).fit(X, y, sensitive_features=s))
    assert fitted.get_params()["max_epochs"] == clone(fitted).max_epochs == "auto"
    stop = dict(early_stopping=True, patience=None, validation_fraction=0.25)
    held = clone(net).set_params(**stop).fit(X, y, sensitive_features=s)  # of the rows that are trained on
    assert len(held.history) == round(66 / 5)
    fitted.partial_fit(X, y, sensitive_features=s)
    assert len(fitted.history) == 12
    search = search_of(net).fit(X, y, sensitive_features=s)
    assert {len(model.history) for model in search.models_.values()} == {11}
    for k, model in search.models_.items():
        single = clone(net).set_params(**search.cv_results_["params"][k]).fit(X, y, sensitive_features=s)
        assert_alike(model, single)


def test_the_schedule_runs_over_the_epochs_of_auto(monkeypatch):
    monkeypatch.setattr(_loop, "AUTO_STEPS", 20)
    X, y, _ = rows()
    net = watched(lr_schedule="linear", lr=0.1, max_epochs="auto", batch_size=60).fit(X, y)
    np.testing.assert_allclose(rates(net)[:, 0], 0.1 * (1 - np.arange(10) / 10), rtol=1e-12)


def test_auto_counts_the_steps_of_the_iterator():
    X, y, _ = rows()
    net = made(max_epochs="auto", batch_size=-1, iterator_train__batch_size=4)
    assert net.epochs_for(len(X)) == 33


def test_the_bar_knows_the_number_of_epochs(monkeypatch, capsys):
    monkeypatch.setattr(_loop, "AUTO_STEPS", 20)
    X, y, s = rows()
    made(max_epochs="auto", batch_size=60, verbose=1).fit(X, y)
    shown = capsys.readouterr()
    assert "10/10" in shown.err
    assert "train_loss" in shown.err
    assert shown.out == ""


def test_the_bar_of_a_search_ends_at_its_number_of_models(monkeypatch, capsys):
    monkeypatch.setattr(_loop, "AUTO_STEPS", 20)
    X, y, s = rows()
    net = made(RegularizedClassifier, max_epochs="auto", batch_size=60)
    search_of(net, verbose=1).fit(X, y, sensitive_features=s)
    assert "9/9 models" in capsys.readouterr().err


def test_parameters_are_listed_and_copied():
    net = ERMClassifier(lr_schedule="cosine", gradient_clipping=2.0, max_epochs="auto")
    assert {"lr_schedule", "gradient_clipping"} <= set(net.get_params())
    twin = clone(net)
    assert (twin.lr_schedule, twin.gradient_clipping, twin.max_epochs) == ("cosine", 2.0, "auto")
    assert "lr_schedule='cosine'" in repr(net)
    assert (ERMClassifier().lr_schedule, ERMClassifier().gradient_clipping) == ("constant", None)
