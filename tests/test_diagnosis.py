"""A loss that is no number: what is said, and in which state the net is left."""

import copy
import re

import numpy as np
import pytest
import torch
from common import rows, same_weights, small
from sklearn.exceptions import FitFailedWarning
from skorch.callbacks import Callback

from skfair.adversarial import AdversarialClassifier
from skfair.base._members import make_members
from skfair.base._stack import stacks_of, train_stack
from skfair.model_selection import FrontierSearchCV
from skfair.robust import ERMClassifier, GroupDROClassifier

BATCH, STEPS = 32, 4  # of 120 rows


def breaking(cls):
    """The method, with a loss that is nan from a step on; it notes the groups of that batch."""

    class Breaking(cls):
        def __init__(self, *, bad_from=10**9, **kwargs):
            super().__init__(**kwargs)
            self.bad_from = bad_from

        def make_state(self, rows):
            return {**super().make_state(rows), "steps": torch.zeros(())}

        def objective(self, output, batch):
            if self.module_.training:
                self.state_.steps = self.state_.steps + 1
            bad = self.state_.steps == self.bad_from
            return super().objective(output, batch) * torch.where(bad & self.module_.training, torch.nan, 1.0)

    Breaking.__name__ = f"Breaking{cls.__name__}"
    return Breaking


class Deferred:
    """As on a GPU: the losses of the steps are not read before the epoch is over."""

    def reads_each_loss(self):
        return False


class Seen(Callback):
    """The groups of each batch."""

    def __init__(self):
        self.batches = []

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        if training:
            self.batches.append(batch[1]["group"])


def torch_loader(dataset, batch_size, **kwargs):
    return torch.utils.data.DataLoader(dataset, batch_size, shuffle=True)


def made(cls, **parameters):
    return small(cls, **{"batch_size": BATCH, "module__hidden": (8,), "module__dropout": 0.2, **parameters})


def failed(net, *data, **fit):
    with pytest.raises(FloatingPointError) as info:
        net.fit(*data, **fit)
    return info.value


def state_of(net):
    """All numbers that training changes."""
    optimizers = [getattr(net, f"{name}_").state_dict()["state"] for name in net._optimizers]
    modules = [getattr(net, f"{name}_").state_dict() for name in net._modules + net._criteria]
    history = [{k: v for k, v in row.items() if k in ("train_loss", "valid_loss")} for row in net.history]
    return modules, optimizers, history


def assert_same_state(net, other):
    assert_same(state_of(net), state_of(other))


def assert_same(state, other):
    torch.testing.assert_close(state, other, rtol=0, atol=0, equal_nan=True)


# ---------------------------------------------------------------------- what is said
@pytest.mark.parametrize("deferred", [False, True])
def test_the_error_names_the_batch_its_groups_and_the_parameter(deferred):
    X, y, s = rows()
    cls = breaking(ERMClassifier)
    cls = type("Breaks", (Deferred, cls), {}) if deferred else cls
    net = made(cls, max_epochs=5, bad_from=2 * STEPS + 3)
    error = failed(net, X, y, sensitive_features=s)
    seen = Seen()  # the order of the rows is that of a healthy net
    healthy = made(ERMClassifier, max_epochs=3).set_params(callbacks=[seen])
    healthy.fit(X, y, sensitive_features=s)
    groups = dict(healthy.callbacks_)["Seen"].batches[2 * STEPS + 2]
    f, m = (groups == 0).sum(), (groups == 1).sum()
    assert f + m == BATCH
    assert str(error) == (
        f"the training loss of {cls.__name__} became nan in epoch 3, batch 3 of 4 (32 rows, by group: f {f}, m {m}): "
        + str(error).split("): ", 1)[1]
    )
    assert re.search(
        r"\): the gradient of module\.encoder\.1\.weight is not finite; all weights are, the largest, \d\.\d+, is in "
        r"module\.\S+\. Lower lr \(now 0\.02\), standardise X, or clip the gradients \(gradient_clipping=1\.0\)\.$",
        str(error),
    )
    assert error.__notes__ == [
        f"{cls.__name__} keeps the weights after epoch 2: predict and partial_fit start from them."
    ]


class Spoiling(Callback):
    """Makes one parameter's gradient, or the parameter, nan after a number of steps."""

    def __init__(self, step, what, name="encoder.1.bias"):
        self.step, self.what, self.name = step, what, name

    def on_train_begin(self, net, **kwargs):
        self.steps_ = 0

    def on_grad_computed(self, net, named_parameters=None, **kwargs):
        self.steps_ += 1
        parameter = dict(net.module_.named_parameters())[self.name]
        if self.steps_ == self.step:
            (parameter if self.what == "weights" else parameter.grad).data.fill_(torch.nan)


@pytest.mark.parametrize("what", ["weights", "gradient"])
def test_weights_at_fault_are_named(what):
    X, y, _ = rows()
    error = failed(made(ERMClassifier, callbacks=[Spoiling(2, what)]), X, y)
    assert "became nan in epoch 1, batch 3 of 4 (32 rows): the weights of module.encoder.1.bias are not" in str(error)


@pytest.mark.parametrize("deferred", [False, True])
def test_weights_that_the_last_step_has_spoilt(deferred):
    """Their loss is never seen: without a look at them the net would predict nan."""
    X, y, _ = rows()
    cls = type("Late", (Deferred, ERMClassifier), {}) if deferred else ERMClassifier
    net = made(cls, max_epochs=2, callbacks=[Spoiling(2 * STEPS, "gradient")])
    if deferred:  # run again the callback's count goes on: it spoils nothing any more, and the training goes well
        net.fit(X, y)
        assert len(net.history) == 2
    else:
        error = failed(net, X, y)
        assert f"weights of {cls.__name__} became nan or inf in epoch 2, batch 4 of 4 (24 rows)" in str(error)
        assert "the weights of module.encoder.1.bias are not finite" in str(error)
        assert_same_state(net, made(cls, max_epochs=1).fit(X, y))
    assert np.isfinite(net.predict_proba(X)).all()


def test_finite_weights_and_gradients_are_said_to_be():
    class Shifted(ERMClassifier):
        def objective(self, output, batch):
            return super().objective(output, batch) + torch.inf

    X, y, _ = rows()
    error = failed(made(Shifted), X, y)
    assert "all weights and gradients are finite, the largest, " in str(error)
    assert re.search(r"in the (gradient|weights) of module\.\S+\. Lower", str(error))


def test_many_groups_and_several_columns():
    X, y, s = rows()
    other = np.arange(120) % 5
    error = failed(made(breaking(ERMClassifier), bad_from=1, batch_size=-1), X, y, sensitive_features=np.c_[s, other])
    listed = re.search(r"batch 1 of 1 \(120 rows, by group: (.*), \.\.\.\)", str(error)).group(1)
    counts = dict(part.split(") ") for part in listed.split(", (")) if listed else {}
    assert len(counts) == 8
    assert counts["(f, 0"] == str(((s == "f") & (other == 0)).sum())
    assert counts["m, 2"] == str(((s == "m") & (other == 2)).sum())


# ---------------------------------------------------------------------- what is kept
VARIANTS = {
    "erm": (ERMClassifier, {}),
    "two players": (AdversarialClassifier, {"adversary_hidden": (4,)}),
    "a loss with a state": (GroupDROClassifier, {"early_stopping": False}),
    "torch's loader": (ERMClassifier, {"iterator_train": torch_loader}),
    "a listener": (ERMClassifier, {"callbacks": [Seen()]}),
    "a schedule": (ERMClassifier, {"lr_schedule": "cosine"}),
    "batches without groups": (ERMClassifier, {"batch_size": 30}),
}


@pytest.mark.parametrize("deferred", [False, True], ids=["each-step", "deferred"])
@pytest.mark.parametrize("name", VARIANTS)
def test_the_net_is_as_its_last_good_epoch_left_it(name, deferred):
    """To the last bit: weights, optimizers, the loss's state, history, and the random streams of what follows."""
    X, y, s = rows()
    cls, given = VARIANTS[name]
    cls = breaking(cls)
    cls = type(cls.__name__, (Deferred, cls), {}) if deferred else cls
    fit = {"sensitive_features": s}
    net = made(cls, max_epochs=5, bad_from=2 * STEPS + 2, **given)
    failed(net, X, y, **fit)
    two = made(cls, max_epochs=2, **given)
    if "lr_schedule" in given:  # it falls over all epochs: two of five are not a training of two
        two = made(cls, max_epochs=5, callbacks=[Stop(2)], **given)
    two.fit(X, y, **fit)
    assert_same_state(net, two)
    assert np.isfinite(net.predict_proba(X)).all()
    for one in (net.set_params(bad_from=10**9), two):
        one.partial_fit(X, y, **fit)
    assert_same_state(net, two)


class Stop(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


def test_an_ensemble():
    pytest.importorskip("tabm")
    X, y, s = rows()
    given = {"module": "tabm", "batch_size": BATCH}
    net = small(breaking(ERMClassifier), max_epochs=4, bad_from=STEPS + 1 + 1, **given)
    error = failed(net, X, y, sensitive_features=s)
    assert "in epoch 2, batch 2 of 4 (32 rows, by group:" in str(error)
    assert_same_state(net, small(breaking(ERMClassifier), max_epochs=1, **given).fit(X, y, sensitive_features=s))


def test_the_best_epoch_so_far():
    X, y, s = rows()
    given = {"early_stopping": True, "validation_fraction": 0.2, "lr": 0.5}
    net = made(breaking(ERMClassifier), max_epochs=9, bad_from=5 * 3 + 2, **given)  # three steps per epoch
    error = failed(net, X, y, sensitive_features=s)
    five = made(breaking(ERMClassifier), max_epochs=5, **given).fit(X, y, sensitive_features=s)
    assert_same_state(net, five)
    best = dict(net.callbacks_)["best_epoch"].best_epoch_
    assert best == dict(five.callbacks_)["best_epoch"].best_epoch_
    assert best < 5  # else this shows nothing
    assert "keeps the weights of the best epoch so far" in error.__notes__[0]


def test_weights_whose_first_loss_is_nan_are_not_the_last_good_ones():
    X, y, _ = rows()
    net = made(breaking(ERMClassifier), max_epochs=5, bad_from=2 * STEPS + 1)
    error = failed(net, X, y)
    assert "in epoch 3, batch 1 of 4" in str(error)
    assert_same_state(net, made(breaking(ERMClassifier), max_epochs=1).fit(X, y))
    huge = made(ERMClassifier, optimizer=torch.optim.SGD, lr=1e30, batch_size=-1)  # one step and they are useless
    huge.set_params(max_epochs=3)
    failed(huge, X, y)
    huge.set_params(lr=0.1)
    huge.partial_fit(X, y)
    assert same_weights(huge, made(ERMClassifier, optimizer=torch.optim.SGD, lr=0.1, batch_size=-1).partial_fit(X, y))


def test_a_warm_start_keeps_what_was_there():
    X, y, _ = rows()
    net = made(breaking(ERMClassifier), warm_start=True).fit(X, y)
    before = copy.deepcopy(state_of(net))
    net.set_params(bad_from=2 * STEPS + 2)
    failed(net, X, y)
    assert_same(state_of(net), before)
    net.set_params(bad_from=2 * STEPS + 3)
    with pytest.raises(FloatingPointError, match="in epoch 3, batch 3 of 4"):
        net.partial_fit(X, y)
    assert_same(state_of(net), before)


def test_an_optimizer_that_calls_a_closure():
    X, y, _ = rows()
    given = {"optimizer": torch.optim.LBFGS, "optimizer__max_iter": 1, "lr": 0.1}
    net = made(breaking(ERMClassifier), max_epochs=3, bad_from=STEPS + 2, **given)
    assert "in epoch 2, batch 2 of 4" in str(failed(net, X, y))
    assert_same_state(net, made(breaking(ERMClassifier), max_epochs=1, **given).fit(X, y))


def test_a_floating_point_error_of_a_callback_is_its_own():
    class Strict(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise FloatingPointError("mine")

    net = made(ERMClassifier, callbacks=[Strict()])
    error = failed(net, *rows()[:2])
    assert str(error) == "mine"
    assert len(net.history) == 1
    assert not {"_start", "_watch"} & set(vars(net))


# ---------------------------------------------------------------------- in a stack
class Breaks(ERMClassifier):
    """Its strength is that of nothing; above 1 its loss becomes nan in the sixth step."""

    stacks_over = ("strength",)

    def __init__(self, *, strength=0.0, **kwargs):
        super().__init__(**kwargs)
        self.strength = strength

    def make_state(self, rows):
        return {"steps": torch.zeros(())}

    def objective(self, output, batch):
        self.state_.steps = self.state_.steps + 1
        bad = torch.as_tensor(self.strength > 1) & (self.state_.steps >= 6)
        return super().objective(output, batch) * torch.where(bad, torch.nan, 1.0)


def in_stack(cls, n_rows=(120, 120), **parameters):
    X, y, s = rows()
    given = {"max_epochs": 3, "module__dropout": 0.0, **parameters}
    members = []
    for n in n_rows:
        nets = [made(cls, strength=strength, **given) for strength in (0.0, 2.0, 0.5)]
        members += make_members(nets, X[:n], y[:n], sensitive_features=s[:n])
    for stack in stacks_of(members):
        train_stack(stack)
    return members


@pytest.mark.parametrize("n_rows", [(120, 120), (117, 113)], ids=["even", "ragged"])
def test_a_net_of_a_stack_says_what_a_single_one_says(n_rows):
    X, y, s = rows()
    members = in_stack(Breaks, n_rows)
    assert [member.exception is None for member in members] == [True, False, True] * 2
    for member, n in zip(members[1::3], n_rows):
        single = failed(made(Breaks, strength=2.0, max_epochs=3, module__dropout=0.0), X[:n], y[:n],
                        sensitive_features=s[:n])  # fmt: skip
        assert str(member.exception) == str(single)
        assert "in epoch 2, batch 2 of 4 (32 rows, by group: f " in str(single)


def test_a_stack_whose_losses_are_read_at_the_end():
    members = in_stack(type("Breaks", (Deferred, Breaks), {}))
    text = (
        "the training loss of Breaks became nan in epoch 2, batch 2 of 4 (32 rows). Lower lr (now 0.02), standardise X"
    )
    assert [str(member.exception)[: len(text)] for member in members] == ["None", text, "None"] * 2


def test_weights_that_the_last_step_of_a_stack_has_spoilt():
    class Late(Breaks):
        def train_step(self, batch, **fit_params):
            step = super().train_step(batch, **fit_params)
            self.count = getattr(self, "count", 0) + 1
            if self.count == 2 * STEPS:
                with torch.no_grad():
                    self.tensors_["module_.encoder.1.bias"][2] = torch.inf
            return step

        def make_state(self, rows):
            return {"steps": torch.tensor(-1e6)}

    members = in_stack(Late, n_rows=(120,), max_epochs=2)
    assert [member.exception is None for member in members] == [True, True, False]
    assert str(members[2].exception).startswith(
        "the weights of Late became nan or inf in epoch 2, batch 4 of 4 (24 rows): the weights of module.encoder.1.bias are"
    )


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_a_search_names_the_candidate():
    X, y, s = rows()
    grid = {"strength": [0.0, 2.0], "lr": [0.02, 0.01]}
    search = FrontierSearchCV(made(Breaks, max_epochs=3), grid, cv=2, refit=False)
    with pytest.warns(FitFailedWarning, match="4 fits failed out of a total of 8") as caught:
        search.fit(X, y)
    text = str(caught[0].message)
    for lr in (0.02, 0.01):
        assert f"The candidate is {{'lr': {lr}, 'strength': 2.0}}." in text
    assert "'strength': 0.0" not in text
    assert "became nan in epoch 3, batch 2 of 2 (28 rows)" in text
    scores = search.cv_results_["mean_test_score"]
    assert [bool(np.isnan(scores[k])) for k in range(4)] == [p["strength"] > 1 for p in search.cv_results_["params"]]
    with pytest.raises(FloatingPointError) as info:
        FrontierSearchCV(made(Breaks, max_epochs=3), grid, cv=2, error_score="raise").fit(X, y)
    assert "The candidate is {'lr': 0.02, 'strength': 2.0}." in info.value.__notes__
