"""Stacked training: each net of a stack is what its own ``fit`` would have made of it."""

import copy
import functools
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from common import (
    RIGHTLY_WARNED,
    SomeGroups,
    a_few_fast,
    all_nets,
    attends,
    output,
    plain,
    quick,
    rows,
    small,
    with_base,
)
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import Callback, EarlyStopping, Freezer, GradientNormClipping, LRScheduler

from skfair.adversarial import AdversarialClassifier
from skfair.base import BaseClassifier, BaseTransformer, check_number
from skfair.base._members import make_members, unstackable
from skfair.base._stack import _stacked, bytes_of, stacks_of, train_stack
from skfair.base._stack_data import StackLoader
from skfair.modules import MLP
from skfair.regularization import RegularizedClassifier
from skfair.robust import ERMClassifier, GroupDROClassifier

pytestmark = RIGHTLY_WARNED


STACKABLE = {name: cls for name, cls in all_nets() if cls.stacks_over is not None}
every_stackable = pytest.mark.parametrize("cls", a_few_fast(STACKABLE.items()))

# what else a published method can do, and must do in a stack; a method that is not here is tested with its defaults
OTHER = {
    "AdversarialClassifier": [
        dict(attack="output"), dict(projection=True), dict(projection=True, attack="output"), dict(reversal=True),
        dict(adversary_steps=3), dict(constraint="equal_opportunity"), dict(constraint="equalized_odds"),
        dict(constraint="equalized_odds", projection=True), dict(constraint="equal_opportunity", reversal=True),
        dict(adversary_optimizer=torch.optim.SGD, adversary_lr=0.1, adversary_hidden=()),
        dict(constraint="equal_opportunity", pos_label=0),
    ],
    "ChiSquareDROClassifier": [dict(convention="hashimoto")],
    "DebiasedAttentionClassifier": [
        dict(normalize=False), dict(absolute=False), dict(align=False), dict(recalibrate=True), dict(exclude_cls=True),
        dict(attention_temperature=0.5), dict(selection="accuracy"),
    ],
    "DistillationClassifier": [dict(teacher=LogisticRegression(), out_of_fold=2)],
    "JTTClassifier": [dict(error_set="online", upweight_mode="code")],
    "LfFClassifier": [dict(norm="quantile"), dict(norm=None, gce_scale="code")],
    "ARLClassifier": [dict(pretrain_steps=0, sees_label=False)],
    "DVGEClassifier": [
        dict(explain="logit", clip=1.0), dict(explain="neg_logit"), dict(latent="sample"), dict(early_stopping=True),
    ],
    "GroupDROClassifier": [
        dict(absent="ema"), dict(absent="importance"), dict(normalize_loss=True), dict(balanced=False),
        dict(balanced=False, absent="ema", normalize_loss=True), dict(early_stopping=False, batch_size=8),
        dict(early_stopping=False, batch_size=8, absent="ema"),
        dict(early_stopping=False, batch_size=8, absent="importance"),
    ],
    "RegularizedClassifier": [
        *[dict(penalty=penalty) for penalty in ("absolute", "squared", "hsic")], dict(constraint="equalized_odds"),
        dict(constraint="equal_opportunity"), dict(constraint="equal_opportunity", pos_label=0),
        dict(constraint="equalized_odds", penalty="hsic"),
    ],
}  # fmt: skip


class InDouble(MLP):
    """In double precision. HSIC is a small difference of large numbers; in single precision training amplifies the rest."""

    def __init__(self, in_features, out_features, hidden=(8, 6), dropout=0.0):
        super().__init__(in_features, out_features, hidden, dropout)
        self.double()

    def forward(self, x):
        return super().forward(x.double())


for _other in OTHER["RegularizedClassifier"]:
    if _other.get("penalty") == "hsic":
        _other["module"] = InDouble


def variants(slow):
    """The default of each method, and all else that it can do; the latter marked as slow if asked."""
    found = [(name, cls, other) for name, cls in STACKABLE.items() for other in [{}, *OTHER.get(name, [])]]
    return [
        pytest.param(cls, other, id="-".join([name, *(f"{k}={getattr(v, '__name__', v)}" for k, v in other.items())]),
                     marks=[pytest.mark.slow] if slow and other else [])
        for name, cls, other in found
    ]  # fmt: skip


every_variant = pytest.mark.parametrize(("cls", "other"), variants(slow=False))
every_variant_if_slow = pytest.mark.parametrize(("cls", "other"), variants(slow=True))


# two other values of numbers that are confined to an interval; all others take 0 and a multiple
WITHIN = {
    "CVaRDROClassifier": {"alpha": [0.3, 1.0]},
    "ChiSquareDROClassifier": {"alpha_min": [0.3, 1.0]},
    "DebiasedAttentionClassifier": {"beta": [0.0, 5.0], "temperature": [0.25, 2.0]},
    "DistillationClassifier": {"share": [0.0, 0.5], "temperature": [0.5, 4.0]},
    "GroupDROClassifier": {"step_size": [0.0, 0.05], "adjustment": [5.0, 50.0]},
    "JTTClassifier": {"upweight": [1, 7]},
    "LfFClassifier": {"q": [0.2, 1.0], "ema": [0.0, 0.3]},
}  # fmt: skip


def varied(cls):
    """Parameters in which the nets of a stack differ: other values of each number that the class names."""
    values = [{}]
    if cls.__name__ in WITHIN:
        return values + [{name: value} for name, found in WITHIN[cls.__name__].items() for value in found]
    for name in cls.stacks_over:
        default = float(getattr(cls(), name))
        values += [{name: value} for value in ([5.0, 50.0] if default == 0 else [0.0, 5 * default])]
    return values


def make_nets(cls, different=None, seeds=(0, 1), **parameters):
    different = varied(cls) if different is None else different
    given = {**plain(cls), **with_base(cls), **parameters}  # what dropout draws depends on the stack
    return [small(cls, **{**given, "random_state": seed, **own}) for seed in seeds for own in different]


def data_of(X, y, s=None, weight=None):
    return X, y, dict(sensitive_features=s, sample_weight=weight)


def members_of(nets, X, y, given):
    members = make_members(nets, X, y, **given)
    for member in members:
        if member.exception is not None:
            raise member.exception
    return members


def train(members, n_stacks=1):
    """Train them in as many stacks as expected (None: any number)."""
    stacks = stacks_of(members)
    assert sorted(map(id, sum(stacks, []))) == sorted(map(id, members))
    assert n_stacks is None or len(stacks) == n_stacks
    assert [train_stack(stack) for stack in stacks] == [False] * len(stacks)
    return [member.net for member in members]


def numbers_of(net):
    """All numbers that training changes: networks, adversary, the loss's state, the optimizers', the history."""
    found = {}
    for name in net._modules + net._criteria:
        found |= {f"{name}_.{key}": value for key, value in getattr(net, f"{name}_").state_dict().items()}
    for name in net._optimizers:
        for k, state in getattr(net, f"{name}_").state_dict()["state"].items():
            found |= {f"{name}_.{k}.{key}": value for key, value in state.items() if value is not None}
    for key in ("train_loss", "valid_loss", "valid_score"):
        if key in (net.history[0] if len(net.history) else {}):
            found[key] = net.history[:, key]
    return {key: torch.as_tensor(value).double().numpy().copy() for key, value in found.items()}


def identical(net, other):
    one, two = numbers_of(net), numbers_of(other)
    return set(one) == set(two) and all(np.array_equal(one[key], two[key], equal_nan=True) for key in one)


def learnt(net):
    """Names of what fit has set; whether a loop of its own was interrupted, a net of a stack cannot say."""
    return {name for name in vars(net) if name.endswith("_")} - {"interrupted_"}


def assert_alike(net, single, atol=1e-5):
    found, expected = numbers_of(net), numbers_of(single)
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].shape == value.shape, key
        np.testing.assert_allclose(found[key], value, rtol=atol, atol=atol, equal_nan=True, err_msg=key)
    assert [list(row) for row in net.history] == [list(row) for row in single.history]
    assert learnt(net) == learnt(single)


def assert_stack_equals_fits(nets, data, *, n_stacks=1, atol=1e-5):
    """Train clones of the nets one by one and the nets together; compare. Returns the nets of the stack."""
    X, y, given = data
    singles = [copy.deepcopy(net).fit(X, y, **given) for net in nets]
    trained = train(members_of(nets, X, y, given), n_stacks)
    for net, single in zip(trained, singles, strict=True):
        assert_alike(net, single, atol)
    return trained


def differences(nets, X):
    """Of each net's outputs to those of the first."""
    return [np.abs(output(net, X) - output(nets[0], X)).max() for net in nets[1:]]


# ---------------------------------------------------------------------- a stack is its nets
OF_A_MODE = [  # numbers that count in one mode alone, which the default is not
    ("ChiSquareDROClassifier", dict(mode="eta"), [dict(eta=0.0), dict(eta=0.5), dict(power=1.0), dict(power=3.0)]),
    (
        "GroupDROClassifier",
        dict(greedy=True, balanced=False),
        [dict(alpha=0.4), dict(alpha=1.0), dict(minimum_weight=0.7)],
    ),
]


@pytest.mark.parametrize(("name", "mode", "different"), OF_A_MODE, ids=[name for name, *_ in OF_A_MODE])
def test_a_stack_equals_single_fits_in_what_counts_in_one_mode(name, mode, different):
    nets = assert_stack_equals_fits(make_nets(STACKABLE[name], [{}, *different], **mode), data_of(*rows()))
    assert min(differences(nets, rows()[0])) > 1e-6


@pytest.mark.parametrize("how", ["repeat", "sample"])
def test_jtt_stacks_where_epochs_have_equal_length(how):
    """With "repeat" an epoch is as long as there are errors, so that there may be several stacks."""
    nets = make_nets(STACKABLE["JTTClassifier"], [dict(upweight=2), dict(upweight=5)], how=how)
    trained = assert_stack_equals_fits(nets, data_of(*rows()), n_stacks=None if how == "repeat" else 1)
    assert min(differences(trained, rows()[0])) > 1e-6


@every_variant
def test_a_stack_equals_single_fits(cls, other):
    """Several values of each number in ``stacks_over`` times several seeds."""
    nets = assert_stack_equals_fits(make_nets(cls, **other), data_of(*rows()))
    idle = other.get("align", True) is False  # then the numbers that are varied are not read
    assert min(differences(nets[:: len(varied(cls)) if idle else 1], rows()[0])) > 1e-6  # else equality shows nothing


@every_variant_if_slow
def test_a_stack_of_one_equals_the_single_fit(cls, other):
    assert_stack_equals_fits(make_nets(cls, [varied(cls)[-1]], seeds=[3], **other), data_of(*rows()), atol=1e-6)


@every_stackable
def test_parameters_that_vary_together(cls):
    """All numbers of the method at once, each in another order."""
    grid = [dict(zip(cls.stacks_over, values)) for values in ([0.1, 2.0], [0.5, 0.0], [1.0, 0.3], [1.0, 2.0])]
    if cls.__name__ in WITHIN:
        within = WITHIN[cls.__name__]
        grid = [{name: within[name][(k >> i) % 2] for i, name in enumerate(within)} for k in range(4)]
    assert_stack_equals_fits(make_nets(cls, grid[: 4 if cls.stacks_over else 1]), data_of(*rows()))


@every_stackable
@pytest.mark.parametrize("size", [2, 5])
def test_the_size_of_the_stack_does_not_matter(cls, size):
    """A net's company does not change it by more than rounding."""
    whole = train(members_of(make_nets(cls, [{}], seeds=range(5)), *data_of(*rows())))
    part = train(members_of(make_nets(cls, [{}], seeds=range(size)), *data_of(*rows())))
    for net, other in zip(part, whole):
        assert_alike(net, other)


# ---------------------------------------------------------------------- dropout
def final_losses(nets):
    return np.array([net.history[-1, "train_loss"] for net in nets])


def test_dropout_equals_single_fits_in_distribution():
    X, y, s = rows(300)
    parameters = dict(seeds=range(40), max_epochs=3, module__dropout=0.5, module__hidden=(20, 20))
    singles = [net.fit(X, y) for net in make_nets(ERMClassifier, **parameters)]
    stack = train(members_of(make_nets(ERMClassifier, **parameters), *data_of(X, y)))
    without = [net.fit(X, y) for net in make_nets(ERMClassifier, **{**parameters, "module__dropout": 0.0})]
    one, two, none = map(final_losses, (singles, stack, without))
    error = np.sqrt((one.var(ddof=1) + two.var(ddof=1)) / 40)
    assert abs(one.mean() - two.mean()) < 3.5 * error
    assert one.mean() - none.mean() > 10 * error  # what would be missed if nothing were left out
    assert 0.6 < two.std() / one.std() < 1.7


def test_each_net_draws_a_dropout_of_its_own():
    """The same seed, so that nothing else differs."""
    nets = train(members_of(make_nets(ERMClassifier, [{}] * 4, seeds=[0], module__dropout=0.3), *data_of(*rows())))
    assert min(differences(nets, rows()[0])) > 1e-3
    without = train(members_of(make_nets(ERMClassifier, [{}] * 4, seeds=[0]), *data_of(*rows())))
    assert max(differences(without, rows()[0])) < 1e-6


def test_masks_of_dropout():
    members = members_of(make_nets(ERMClassifier, seeds=range(3), module__dropout=0.25), *data_of(*rows()))
    stack = _stacked(members)
    layer = stack.module_.encoder[-1].train()
    with stack.streams_("network"):
        masks = stack.each(layer, torch.ones(3, 100, 50))
    assert set(masks.unique().tolist()) == {0.0, 4 / 3} or masks.unique().tolist() == pytest.approx([0, 4 / 3])
    assert np.allclose((masks > 0).float().mean((1, 2)), 0.75, atol=0.03)  # 5000 draws: five standard errors
    for a, b in [(0, 1), (0, 2), (1, 2)]:
        assert 0.5 < float(((masks[a] > 0) == (masks[b] > 0)).float().mean()) < 0.75  # 0.625 if independent


def test_a_stack_of_one_with_dropout_is_near_the_single_fit():
    """Its stream is the net's own."""
    net = small(ERMClassifier, module__dropout=0.4)
    single = copy.deepcopy(net).fit(*rows()[:2])
    assert_alike(train(members_of([net], *data_of(*rows()[:2])))[0], single, atol=1e-6)


@every_stackable
def test_the_same_stack_twice_is_the_same(cls):
    """With dropout, and wherever in memory the rows of the folds lie."""
    X, y, s = rows()
    rng, found = np.random.default_rng(0), []
    for turn in range(3):
        keep, members = [], []
        for fold in range(5):
            part = np.arange(120) % 5 != fold
            nets = make_nets(cls, [{}], seeds=[0], module__dropout=0.3, early_stopping=False)
            members += members_of(nets, X[part], y[part], dict(sensitive_features=s[part]))
            keep += [torch.zeros(size) for size in rng.integers(1, 3000, size=20)]
            del keep[:: 1 + turn]  # holes of another kind in each turn
        found.append(train(members))
    assert all(identical(a, b) for other in found[1:] for a, b in zip(found[0], other))


# ---------------------------------------------------------------------- several sets of rows
def folds_of(n, sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [np.sort(rng.permutation(n)[:size]) for size in sizes]


def assert_folds_equal_fits(
    cls, sizes, *, n_stacks=1, table=None, atol=1e-5, weight=None, different=None, **parameters
):
    """Nets on different rows in one stack."""
    X, y, s = table or rows(max(sizes) + 20)
    members, singles = [], []
    for part in folds_of(X.shape[0], sizes):
        given = dict(sensitive_features=s[part], sample_weight=None if weight is None else weight[part])
        nets = make_nets(cls, different, **parameters)
        singles += [copy.deepcopy(net).fit(X[part], y[part], **given) for net in nets]
        members += members_of(nets, X[part], y[part], given)
    for net, single in zip(train(members, n_stacks), singles, strict=True):
        assert_alike(net, single, atol)
    return members


@every_variant_if_slow
def test_folds_whose_last_batches_differ_in_size(cls, other):
    """Batches of twelve: nine steps, the last of eleven rows and of three."""
    batches = {**other, "batch_size": 12, "early_stopping": False}  # all rows are trained on
    batches |= {"selection": None} if "selection" in other else {}
    members = assert_folds_equal_fits(cls, [107, 99], different=varied(cls)[::2], seeds=[0], **batches)
    assert {tuple(np.diff(member.loader.bounds()[-1])) for member in members} == {(11,), (3,)}


def test_folds_of_different_numbers_of_steps_are_different_stacks():
    assert_folds_equal_fits(ERMClassifier, [90, 115, 91], batch_size=10, n_stacks=2)  # 91: nine steps, the last of 11


def test_a_last_batch_that_has_taken_a_row_is_among_the_others():
    """101 rows: ten steps, the last of eleven; 100 rows: ten of ten."""
    members = assert_folds_equal_fits(ERMClassifier, [100, 101, 98], batch_size=10)
    assert [np.diff(member.loader.bounds()[-1]).item() for member in members[::2]] == [10, 11, 8]


def test_folds_of_few_steps_and_other_sizes_are_different_stacks():
    assert_folds_equal_fits(ERMClassifier, [90, 95, 90], batch_size=32, n_stacks=2)


@every_stackable
def test_whole_batches(cls):
    assert_folds_equal_fits(cls, [100, 100], batch_size=-1, max_epochs=4)
    assert_folds_equal_fits(ERMClassifier, [100, 90], batch_size=-1, max_epochs=4, n_stacks=2)


@pytest.mark.parametrize("cls", [ERMClassifier, AdversarialClassifier, GroupDROClassifier])
def test_sparse_rows(cls):
    X, y, s = rows(130)
    X = np.where(np.abs(X) > 0.7, X, 0)
    nets = make_nets(cls)
    sparse = assert_stack_equals_fits(nets, data_of(sp.csr_matrix(X), y, s))
    dense = train(members_of(make_nets(cls), *data_of(X, y, s)))
    assert max(np.abs(output(a, X) - output(b, X)).max() for a, b in zip(sparse, dense)) < 1e-5
    table = (sp.csr_matrix(X), y, s)
    batches = dict(batch_size=12, early_stopping=False)
    assert_folds_equal_fits(cls, [107, 99], table=table, different=[{}], seeds=[0], **batches)


@every_stackable
def test_sample_weights(cls):
    X, y, s = rows(130)
    w = np.random.default_rng(1).integers(0, 4, size=130).astype(float)
    weighted = assert_stack_equals_fits(make_nets(cls), data_of(X, y, s, w))
    plain = train(members_of(make_nets(cls), *data_of(X, y, s)))
    assert min(np.abs(output(a, X) - output(b, X)).max() for a, b in zip(weighted, plain)) > 1e-4
    w = w + attends(cls)  # there a row without weight is in no batch: folds would differ in the number of steps
    folds = dict(table=(X, y, s), weight=w, different=[{}], batch_size=12, early_stopping=False)
    assert_folds_equal_fits(cls, [107, 99], seeds=[0], **folds)


@every_stackable
def test_three_classes_and_groups_of_two_columns(cls):
    X, _, s = rows(200)
    y = np.array(["high", "low", "mid"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    groups = pd.DataFrame({"sex": s, "old": np.arange(200) % 3 == 0})
    nets = assert_stack_equals_fits(make_nets(cls, **with_base(cls, X, y)), data_of(X, y, groups))
    assert nets[0].classes_.tolist() == ["high", "low", "mid"]
    assert nets[0].n_groups_ == 4 or not cls.needs_sensitive
    assert set(nets[-1].predict(X)) <= {"high", "low", "mid"}


def test_folds_that_hold_different_classes_or_groups_are_different_stacks():
    X, y, s = rows(100)
    members = []
    for labels, groups in [(y, s), (np.where(np.arange(100) < 50, 2, y), s), (y, np.where(s == "f", "m", "o"))]:
        members += members_of(make_nets(ERMClassifier, seeds=[0]), X, labels, dict(sensitive_features=groups))
    assert len(stacks_of(members)) == 3


def test_frames_with_sensitive_columns():
    X, y, s = rows()
    frame = pd.DataFrame(X, columns=list("abcd")).assign(sex=np.where(s == "f", 1.0, 0.0))
    nets = make_nets(RegularizedClassifier, sensitive_columns="sex")
    nets = assert_stack_equals_fits(nets, data_of(frame, y))
    assert all(net.feature_names_in_.tolist() == [*"abcd", "sex"] for net in nets)
    assert_stack_equals_fits(make_nets(RegularizedClassifier, sensitive_columns=SomeGroups()), data_of(X, y))


def test_images_with_a_convolution():
    _, y, s = rows(60)
    X = np.random.default_rng(0).normal(size=(60, 1, 5, 5))
    for cls in (ERMClassifier, AdversarialClassifier):
        nets = [small(cls, module=Conv, random_state=seed) for seed in (0, 1)]
        assert_stack_equals_fits(nets, data_of(X, y, s))


# ---------------------------------------------------------------------- early stopping
STOP = dict(early_stopping=True, patience=1, lr=0.1, max_epochs=12, validation_fraction=0.3, batch_size=16)


@every_stackable
def test_each_net_stops_for_itself_and_keeps_its_best_epoch(cls):
    nets = assert_stack_equals_fits(make_nets(cls, [{}], seeds=range(8), **STOP), data_of(*rows()), atol=1e-4)
    lengths = [len(net.history) for net in nets]
    assert len(set(lengths)) > 1
    best = [int(np.argmin(net.history[:, "valid_loss"])) for net in nets]
    assert all(length in (at + 2, 12) for length, at in zip(lengths, best))
    assert any(at + 1 < length for length, at in zip(lengths, best))


def test_a_net_that_has_stopped_is_frozen():
    """What it holds while the others go on is what it held when it stopped."""
    members = members_of(make_nets(ERMClassifier, seeds=range(8), **STOP), *data_of(*rows()))
    seen, sizes = {}, []

    def note(stack):
        sizes.append(len(stack.members_))
        for member in members:
            gone = all(member is not other for other in stack.members_)
            if gone and id(member) not in seen:
                seen[id(member)] = numbers_of(member.net)

    assert train_stack(members, on_epoch=note) is False
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) > 2  # they leave one after the other
    assert seen
    for member in members:
        now = numbers_of(member.net)
        assert all(np.array_equal(value, now[key]) for key, value in seen.get(id(member), {}).items())


def test_nets_that_stop_do_not_change_those_that_go_on():
    data = data_of(*rows())
    nets = train(members_of(make_nets(ERMClassifier, seeds=range(6), **STOP), *data))
    last = int(np.argmax([len(net.history) for net in nets]))
    assert len(nets[last].history) > min(len(net.history) for net in nets) + 1
    alone = train(members_of(make_nets(ERMClassifier, seeds=[last], **STOP), *data))[0]
    assert_alike(nets[last], alone, atol=1e-4)


def test_early_stopping_on_folds_of_different_sizes():
    parameters = {**STOP, "batch_size": 7, "validation_fraction": 0.2}
    members = assert_folds_equal_fits(AdversarialClassifier, [102, 105, 107], atol=1e-4, different=[{}], **parameters)
    assert len({len(member.train) for member in members}) > 1
    assert len({len(member.net.history) for member in members}) > 1


@pytest.mark.parametrize("watched", ["accuracy", "demographic_parity_difference"])
def test_early_stopping_on_a_score(watched):
    parameters = {**STOP, "early_stopping": watched}
    assert_stack_equals_fits(make_nets(RegularizedClassifier, **parameters), data_of(*rows(200)), atol=1e-4)


def test_skorchs_early_stopping_and_other_callbacks_see_their_own_net():
    class Epochs(Callback):
        def on_train_begin(self, net, X=None, y=None, **kwargs):
            self.rows_, self.norms_, self.ended_ = len(X[0]), [], 0

        def on_epoch_end(self, net, dataset_train=None, **kwargs):
            assert len(dataset_train) == self.rows_
            self.norms_.append(sum(float(p.detach().square().sum()) for p in net.module_.parameters()))

        def on_train_end(self, net, **kwargs):
            self.ended_ += 1

    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=0.08)
    callbacks = [("epochs", Epochs()), ("stop", stop)]
    parameters = dict(seeds=range(4), callbacks=callbacks, max_epochs=12, lr=0.05)
    X, y, _ = rows()
    singles = [net.fit(X, y) for net in make_nets(ERMClassifier, **parameters)]
    stack = train(members_of(make_nets(ERMClassifier, **parameters), X, y, {}))
    assert len({len(net.history) for net in singles}) > 1
    for net, single in zip(stack, singles):
        own, other = dict(net.callbacks_)["epochs"], dict(single.callbacks_)["epochs"]
        assert own.norms_ == pytest.approx(other.norms_, rel=1e-5)
        assert len(own.norms_) == len(single.history)
        assert own.ended_ == 1
        assert_alike(net, single)


# ---------------------------------------------------------------------- optimizers
OPTIMIZERS = {
    "Adam-l2": dict(optimizer=torch.optim.Adam, weight_decay=0.1),
    "Adam-amsgrad": dict(optimizer=torch.optim.Adam, optimizer__amsgrad=True),
    "AdamW": dict(optimizer=torch.optim.AdamW, weight_decay=0.1),
    "SGD": dict(optimizer=torch.optim.SGD, momentum=0.0),
    "SGD-momentum": dict(optimizer=torch.optim.SGD, momentum=0.9, weight_decay=0.01),
    "SGD-nesterov": dict(optimizer=torch.optim.SGD, momentum=0.8, optimizer__nesterov=True),
    "RMSprop": dict(optimizer=torch.optim.RMSprop, momentum=0.5, lr=0.005),
    "Adagrad": dict(optimizer=torch.optim.Adagrad),
    "Adadelta": dict(optimizer=torch.optim.Adadelta, lr=1.0),
    "Adamax": dict(optimizer=torch.optim.Adamax),
    "NAdam": dict(optimizer=torch.optim.NAdam),
    "RAdam": dict(optimizer=torch.optim.RAdam),
    "Rprop": dict(optimizer=torch.optim.Rprop, batch_size=-1),
}
USUAL = ("Adam-l2", "AdamW", "SGD-momentum", "RMSprop")
every_optimizer = pytest.mark.parametrize(
    "given",
    [
        pytest.param(given, id=name, marks=[] if name in USUAL else [pytest.mark.slow])
        for name, given in OPTIMIZERS.items()
    ],
)


@every_optimizer
def test_optimizers(given):
    """Also with nets that leave the stack, on folds of different sizes: their states are taken along."""
    net = assert_stack_equals_fits(make_nets(ERMClassifier, **given), data_of(*rows()))[0]
    assert type(net.optimizer_) is given["optimizer"]
    stop = {**STOP, "batch_size": 7, "lr": 0.02, "max_epochs": 4, **given}
    if stop["batch_size"] > 0:
        assert_folds_equal_fits(ERMClassifier, [107, 105], atol=1e-4, **stop)


def test_other_rates_for_other_parameters():
    groups = [("*encoder*", {"lr": 0.1, "weight_decay": 0.1})]
    nets = make_nets(ERMClassifier, optimizer__param_groups=groups)
    nets = assert_stack_equals_fits(nets, data_of(*rows()))
    assert [group["lr"] for group in nets[0].optimizer_.param_groups] == [0.1, 0.02]


def test_the_optimizers_read_gradients_of_any_layout():
    """torch's fused Adam reads gradients wrongly that are not contiguous; those of a projection in a stack are not."""
    fused = [
        assert_stack_equals_fits(make_nets(AdversarialClassifier, projection=True, **kernel), data_of(*rows()))
        for kernel in (dict(optimizer__fused=True), dict(optimizer__fused=False, optimizer__foreach=False))
    ]
    X = rows()[0]
    assert max(np.abs(output(a, X) - output(b, X)).max() for a, b in zip(*fused)) < 1e-5


class Transposed(torch.nn.Module):
    """Its weight lies in memory by columns."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.encoder = torch.nn.Linear(in_features, 5)
        self.encoder.weight = torch.nn.Parameter(torch.randn(in_features, 5).t())
        self.head = torch.nn.Linear(5, out_features)

    def forward(self, x):
        return self.head(torch.tanh(self.encoder(x)))


@pytest.mark.parametrize("projection", [False, True])
def test_parameters_of_any_layout(projection):
    nets = [
        small(AdversarialClassifier, module=Transposed, projection=projection, random_state=k, **kernel)
        for kernel in ({}, dict(optimizer__fused=False, optimizer__foreach=False))
        for k in (0, 1)
    ]
    X, y, s = rows()
    fits = [net.fit(X, y, sensitive_features=s) for net in nets]
    assert np.abs(output(fits[0], X) - output(fits[2], X)).max() < 1e-5
    nets = [small(AdversarialClassifier, module=Transposed, projection=projection, random_state=k) for k in (0, 1)]
    assert_stack_equals_fits(nets, data_of(X, y, s))


# ---------------------------------------------------------------------- modules
class Conv(torch.nn.Module):
    def __init__(self, out_features):
        super().__init__()
        self.encoder = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten())
        self.head = torch.nn.Linear(27, out_features)

    def forward(self, x):
        return self.head(self.encoder(x))


class Normed(torch.nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.encoder = torch.nn.Sequential(
            torch.nn.Linear(in_features, 6, bias=False), torch.nn.BatchNorm1d(6), torch.nn.ReLU()
        )  # no bias: its gradient would be nothing but rounding
        self.head = torch.nn.Linear(6, out_features)

    def forward(self, x):
        return self.head(self.encoder(x))


class Counting(torch.nn.Module):
    """Buffers of its own: replaced, changed in place, and left alone."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.encoder = torch.nn.Linear(in_features, 5)
        self.head = torch.nn.Linear(5, out_features)
        self.register_buffer("mean", torch.zeros(in_features))
        self.register_buffer("rows", torch.zeros((), dtype=torch.int64))
        self.register_buffer("shift", torch.rand(in_features))
        self.register_buffer("draft", torch.zeros(1), persistent=False)

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
            self.rows += len(x)
            self.draft = self.draft + self.encoder.weight.detach().square().sum()
        return self.head(torch.tanh(self.encoder(x - self.mean + self.shift)))


class Tied(torch.nn.Module):
    """One weight in two places, and a number among the parameters."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.encoder = torch.nn.Linear(in_features, in_features)
        self.again = torch.nn.Linear(in_features, in_features)
        self.again.weight = self.encoder.weight
        self.scale = torch.nn.Parameter(torch.tensor(1.5))
        self.head = torch.nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.head(self.scale * torch.relu(self.again(torch.relu(self.encoder(x)))))


class OneLogit(torch.nn.Module):
    def __init__(self, in_features):
        super().__init__()
        self.encoder = torch.nn.Linear(in_features, 3)
        self.head = torch.nn.Linear(3, 1)

    def forward(self, x):
        return self.head(torch.relu(self.encoder(x)))


@pytest.mark.parametrize("cls", [ERMClassifier, AdversarialClassifier])
@pytest.mark.parametrize("module", [Normed, Counting, Tied, OneLogit])
def test_modules_of_the_user(cls, module):
    given = dict(
        module=module, early_stopping=False, **({"attack": "output"} if "attack" in cls().get_params() else {})
    )
    nets = [small(cls, random_state=seed, **given, **own) for seed in (0, 1) for own in varied(cls)]
    nets = assert_stack_equals_fits(nets, data_of(*rows()))
    if module is Normed:
        assert float(nets[0].module_.encoder[1].running_mean.abs().max()) > 0.01
        assert int(nets[0].module_.encoder[1].num_batches_tracked) == 2 * 4
    if module is Counting:
        assert int(nets[0].module_.rows) == 240
        assert float(nets[0].module_.draft) > 0
    if module is Tied:
        assert nets[0].module_.again.weight is nets[0].module_.encoder.weight


@pytest.mark.parametrize("module", [Normed, Counting, Tied])
def test_modules_of_the_user_on_folds_of_different_sizes(module):
    X, y, s = rows(120)
    members, singles = [], []
    for part in folds_of(120, [107, 105, 103]):
        nets = [small(AdversarialClassifier, module=module, batch_size=10, attack="output") for _ in range(2)]
        nets[1].set_params(random_state=1)
        singles += [copy.deepcopy(net).fit(X[part], y[part], sensitive_features=s[part]) for net in nets]
        members += members_of(nets, X[part], y[part], dict(sensitive_features=s[part]))
    for net, single in zip(train(members), singles):
        assert_alike(net, single)
        assert all(
            torch.equal(a, b) if not a.is_floating_point() else torch.allclose(a, b, atol=1e-5, rtol=1e-5)
            for a, b in zip(net.module_.buffers(), single.module_.buffers(), strict=True)
        )


def test_a_module_instance_with_a_frozen_layer():
    module = Counting(4, 2)
    module.encoder.requires_grad_(False)
    before = copy.deepcopy(module.state_dict())
    nets = [small(RegularizedClassifier, module=module, strength=v, weight_decay=0.1) for v in (0.0, 1.0, 5.0)]
    nets = assert_stack_equals_fits(nets, data_of(*rows()))
    for net in nets:
        assert net.module is module
        assert net.module_ is not module
        assert torch.equal(net.module_.encoder.weight, before["encoder.weight"])
        assert not net.module_.encoder.weight.requires_grad
        assert not torch.equal(net.module_.head.weight, before["head.weight"])
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_frozen_layer_under_projection():
    module = Counting(4, 2)
    module.encoder.requires_grad_(False)
    parameters = dict(module=module, attack="output", projection=True)
    nets = [small(AdversarialClassifier, strength=v, **parameters) for v in (0.0, 1.0, 5.0)]
    nets = assert_stack_equals_fits(nets, data_of(*rows()))
    assert torch.equal(nets[2].module_.encoder.weight, module.encoder.weight)


def test_nets_of_other_shapes_are_different_stacks():
    nets = make_nets(ERMClassifier) + make_nets(ERMClassifier, module__hidden=(9, 6))
    train(members_of(nets, *data_of(*rows())), n_stacks=2)
    frozen = Counting(4, 2)
    frozen.head.requires_grad_(False)
    nets = [small(ERMClassifier, module=module) for module in (Counting(4, 2), frozen)]
    train(members_of(nets, *data_of(*rows())), n_stacks=2)


def test_a_criterion_with_tensors_of_its_own():
    nets = make_nets(ERMClassifier, criterion__weight=torch.tensor([1.0, 5.0]))
    weighted = assert_stack_equals_fits(nets, data_of(*rows()))
    assert min(np.abs(output(a, rows()[0]) - output(b, rows()[0])).max()
               for a, b in zip(weighted, train(members_of(make_nets(ERMClassifier), *data_of(*rows()))))) > 0.01  # fmt: skip


# ---------------------------------------------------------------------- what remains of a stack
@every_stackable
def test_nets_of_a_stack_go_on_as_single_ones(cls):
    """The optimizers' states are handed back, the order of the rows goes on."""
    X, y, s = rows()
    nets = make_nets(cls, seeds=[0], early_stopping=False)
    singles = [copy.deepcopy(net).fit(X, y, sensitive_features=s) for net in nets]
    for net, single in zip(train(members_of(nets, *data_of(X, y, s))), singles):
        before = numbers_of(net)
        for each in (net, single):
            each.partial_fit(X, y, sensitive_features=s).partial_fit(X, y, sensitive_features=s)
        after = numbers_of(net)
        assert max(np.abs(after[name] - before[name]).max() for name in after if name.startswith("module_")) > 1e-4
        assert_alike(net, single)


def test_nets_of_a_stack_are_whole():
    X, y, s = rows()
    nets = train(members_of(make_nets(AdversarialClassifier), *data_of(X, y, s)))
    for net in nets:
        loaded = pickle.loads(pickle.dumps(net))
        assert identical(loaded, net)
        assert np.array_equal(loaded.predict_proba(X), net.predict_proba(X))
        assert not net.module_.training
        assert not any("players" in name or "Stacked" in type(value).__name__ for name, value in vars(net).items())
    nets[0].fit(X, y, sensitive_features=s)
    assert identical(nets[0], make_nets(AdversarialClassifier)[0].fit(X, y, sensitive_features=s))


def test_nets_of_a_stack_share_no_tensor():
    nets = train(members_of(make_nets(GroupDROClassifier, early_stopping=False), *data_of(*rows())))
    before = [numbers_of(net) for net in nets[1:]]
    nets[0].partial_fit(*rows()[:2], sensitive_features=rows()[2])
    assert all(
        np.array_equal(value, numbers_of(net)[key], equal_nan=True)
        for net, old in zip(nets[1:], before)
        for key, value in old.items()
    )


@every_stackable
def test_global_generators_are_left_alone(cls):
    before = pickle.dumps(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    nets = [*make_nets(cls, module__dropout=0.5), *make_nets(cls, seeds=[None])]
    members = members_of(nets, *data_of(*rows()))
    for stack in stacks_of(members):
        bytes_of(stack[0])
        train_stack(stack)
    assert pickle.dumps(np.random.get_state()) == before[0]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    torch.manual_seed(5)
    again = train(members_of(make_nets(cls), *data_of(*rows())))
    torch.manual_seed(6)
    assert all(map(identical, again, train(members_of(make_nets(cls), *data_of(*rows())))))


def test_members_without_a_seed_differ():
    nets = train(members_of(make_nets(ERMClassifier, seeds=[None] * 3), *data_of(*rows())))
    assert min(differences(nets, rows()[0])) > 1e-3


@every_stackable
def test_the_measure_of_memory_changes_nothing(cls):
    X, y, s = rows()
    one, two = (members_of(make_nets(cls), *data_of(X, y, s)) for _ in range(2))
    assert all(bytes_of(member) > 5 * 4 * sum(p.numel() for p in member.net.module_.parameters()) for member in one)
    assert all(map(identical, train(one), train(two)))


def test_memory_grows_with_batch_and_network():
    def measured(**parameters):
        return bytes_of(members_of(make_nets(ERMClassifier, seeds=[0], **parameters), *data_of(*rows(200)))[0])

    assert measured(batch_size=200) > 2 * measured(batch_size=20)
    assert measured(module__hidden=(200, 200)) > 10 * measured()


def test_a_stack_says_nothing(capsys):
    nets = make_nets(RegularizedClassifier, verbose=2, early_stopping=True)
    quiet = make_nets(RegularizedClassifier, early_stopping=True)
    loud = train(members_of(nets, *data_of(*rows())))
    assert capsys.readouterr() == ("", "")
    assert all(map(identical, loud, train(members_of(quiet, *data_of(*rows())))))
    assert loud[0].verbose == 2


# ---------------------------------------------------------------------- batches
def test_each_net_has_the_rows_and_the_order_of_its_single_fit():
    """Also where the rows of an epoch do not fit into one gathered block."""
    X, y, s = rows(107)
    wide = np.hstack([X, np.zeros((107, 9000))])
    members = []
    for part in (np.arange(107), np.arange(1, 107), np.arange(0, 105)):
        nets = make_nets(ERMClassifier, seeds=range(2), batch_size=10)
        members += members_of(nets, wide[part], y[part], dict(sensitive_features=s[part]))
    expected = [list(copy.deepcopy(member.loader)) for member in members]
    stack = _stacked(members)
    n_steps = 0
    for t, (parts, sizes) in enumerate(StackLoader(stack)):
        n_steps += 1
        seen = []
        for models, x, batch in parts:
            for place, k in enumerate(range(6) if models is None else models):
                assert torch.equal(x[place], expected[k][t][0])
                assert all(torch.equal(batch[name][place], value) for name, value in expected[k][t][1].items())
                assert len(x[place]) == sizes[k]
                seen.append(k)
        assert sorted(seen) == list(range(6))
    assert n_steps == 11


# ---------------------------------------------------------------------- nets that fail
class Breaking(ERMClassifier):
    """Its loss is no number from the sixth step on, where strength is above 1."""

    stacks_over = ("strength",)

    def __init__(self, *, strength=0.0, bad=torch.nan, **kwargs):
        super().__init__(**kwargs)
        self.strength = strength
        self.bad = bad

    def check_parameters(self):
        check_number("strength", self.strength, low=0)

    def make_state(self, rows):
        return {"steps": torch.zeros(())}

    def objective(self, output, batch):
        self.state_.steps = self.state_.steps + 1
        bad = torch.as_tensor(self.strength > 1) & (self.state_.steps >= 6)
        return super().objective(output, batch) * torch.where(bad, self.bad, 1 + 0.1 * self.strength)


class Leaving(Callback):
    """Some nets stop after the first epoch, so that the others go on in the same company as with a net that failed."""

    def __init__(self, who):
        self.who = who

    def on_epoch_end(self, net, **kwargs):
        if self.who(net):
            raise KeyboardInterrupt


def assert_neighbours_are_identical(healthy, sick, places):
    """All but the failed nets, to the last bit."""
    for place, (one, other) in enumerate(zip(healthy, sick, strict=True)):
        assert one.exception is None
        if place in places:
            assert isinstance(other.exception, FloatingPointError)
            assert "became" in str(other.exception)
            assert "in epoch 1" in str(other.exception)
            assert "FloatingPointError" in other.trace
        else:
            assert other.exception is None
            assert identical(one.net, other.net)
            assert len(other.net.history) == other.net.max_epochs


@pytest.mark.parametrize("bad", [torch.nan, torch.inf], ids=["nan", "inf"])
@pytest.mark.parametrize("folds", [[100, 100], [107, 103]], ids=["even", "ragged"])
def test_a_net_that_diverges_leaves_its_neighbours_bit_identical(bad, folds):
    """In the place of the second net of each fold stands once a healthy one, once one that diverges in its sixth step."""
    X, y, _ = rows(120)
    parameters = dict(
        seeds=[0], max_epochs=3, batch_size=10, callbacks=[Leaving(lambda net: net.strength >= 1)], bad=bad
    )
    found = []
    for strength in (1.0, 2.0):
        different = [dict(strength=v) for v in (0.0, strength, 0.5)]
        parts = [members_of(make_nets(Breaking, different, **parameters), X[p], y[p], {}) for p in folds_of(120, folds)]
        train(sum(parts, []))
        found.append(sum(parts, []))
    assert_neighbours_are_identical(*found, places=(1, 4))
    different = [dict(strength=v) for v in (0.0, 1.0, 0.5)]  # and if the healthy one stays, up to rounding
    staying = train(members_of(make_nets(Breaking, different, **{**parameters, "callbacks": None}), *data_of(X, y)))
    left = train(members_of(make_nets(Breaking, different, **parameters), *data_of(X, y)))
    for k in (0, 2):
        assert_alike(left[k].set_params(callbacks=None), staying[k], atol=1e-5)


@every_variant_if_slow
def test_a_published_method_that_diverges_leaves_its_neighbours_bit_identical(cls, other):
    """The second net starts from weights that are no numbers."""
    callbacks = [Leaving(lambda net: net.random_state == 99)]
    given = {**plain(cls), **with_base(cls), "max_epochs": 2, "callbacks": callbacks, **other, "early_stopping": False}
    found = []
    for poison in (False, True):
        nets = [small(cls, **{**given, "random_state": seed, **own}) for seed in (0, 99, 1) for own in varied(cls)]
        members = members_of(nets, *data_of(*rows()))
        sick = [place for place, net in enumerate(nets) if net.random_state == 99][:1]
        for place in sick if poison else []:
            torch.nn.init.constant_(next(members[place].net.module_.parameters()), torch.nan)
        train(members)
        found.append([m for k, m in enumerate(members) if m.net.random_state != 99 or k in sick])
    assert_neighbours_are_identical(*found, places=[found[0].index(m) for m in found[0] if m.net.random_state == 99])


def test_an_infinite_strength_is_noted_and_is_the_error_of_the_single_fit():
    X, y, s = rows()
    nets = make_nets(RegularizedClassifier, [dict(strength=v) for v in (1.0, float("inf"), 1e300)], seeds=[0])
    members = members_of(nets, *data_of(X, y, s))
    train(members)
    assert members[0].exception is None
    for member in members[1:]:
        with pytest.raises(FloatingPointError) as expected:
            RegularizedClassifier(**member.net.get_params()).fit(X, y, sensitive_features=s)
        assert str(member.exception) == str(expected.value)


def test_a_callback_that_fails_fails_its_own_net_alone():
    class Touchy(Callback):
        def on_epoch_end(self, net, **kwargs):
            if net.strength == 2.0:
                raise RuntimeError("not this one")

    nets = make_nets(
        RegularizedClassifier, [dict(strength=v) for v in (1.0, 2.0, 3.0)], seeds=[0], callbacks=[Touchy()]
    )
    members = members_of(nets, *data_of(*rows()))
    train(members)
    assert [str(member.exception) for member in members] == ["None", "not this one", "None"]
    assert [len(member.net.history) for member in members] == [2, 1, 2]


def test_an_error_before_training_is_noted_where_it_belongs():
    X, y, s = rows()
    nets = make_nets(RegularizedClassifier, [dict(strength=v) for v in (-1.0, 1.0, "much", 2.0)], seeds=[0])
    members = make_members(nets, X, y, sensitive_features=s)
    assert [type(member.exception) for member in members] == [ValueError, type(None), ValueError, type(None)]
    assert "strength must be a number >= 0, got -1.0" in members[0].trace
    good = [members[1], members[3]]
    train(good)
    for member in good:
        single = RegularizedClassifier(**member.net.get_params()).fit(X, y, sensitive_features=s)
        assert_alike(member.net, single)
    for bad in make_members(make_nets(RegularizedClassifier, seeds=[0]), X, y):
        assert "needs sensitive_features" in str(bad.exception)


# ---------------------------------------------------------------------- an interrupt
class Interrupted(ERMClassifier):
    steps = 0

    def objective(self, output, batch):
        type(self).steps += 1
        if type(self).steps == self.stop_at:
            raise KeyboardInterrupt
        return super().objective(output, batch)


def test_an_interrupt_keeps_what_is_trained():
    class Stopped(Interrupted):
        stop_at = 4 + 2  # of four steps per epoch: the second step of the second epoch

    X, y, _ = rows()
    members = members_of(make_nets(Stopped, seeds=range(3), max_epochs=5), X, y, {})
    assert train_stack(members) is True
    for member, whole in zip(members, make_nets(ERMClassifier, seeds=range(3), max_epochs=1)):
        single, net = whole.fit(X, y), member.net
        assert member.exception is None
        assert net.history[:1, "train_loss"] == pytest.approx(single.history[:, "train_loss"], rel=1e-5)
        assert not np.allclose(output(net, X), output(single, X), atol=1e-5)  # one step further
        assert net.score(X, y) > 0.4


# ---------------------------------------------------------------------- who can be in a stack
class Listener(Callback):
    def on_batch_end(self, net, batch=None, training=None, **kwargs):
        pass


class OwnAdam(torch.optim.Adam):
    pass


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (dict(callbacks=[Listener()]), "the callback Listener "),
        (dict(callbacks=[Listener]), "the callback Listener "),
        (dict(callbacks=[("a", Listener())]), "the callback Listener "),
        (dict(callbacks=[GradientNormClipping(1.0)]), "the callback GradientNormClipping "),
        (dict(callbacks=[LRScheduler()]), "the callback LRScheduler "),
        (dict(optimizer=torch.optim.LBFGS), "optimizer=<class 'torch.optim.lbfgs.LBFGS'> is not known"),
        (dict(optimizer=OwnAdam), "optimizer=.*OwnAdam.* is not known"),
        (dict(optimizer=functools.partial(torch.optim.Adam, eps=1e-3)), "is not known"),
        (dict(iterator_train=torch.utils.data.DataLoader), "iterator_train.*single nets"),
        (dict(compile=True), "compile.*single nets"),
        (dict(warm_start=True), "warm_start.*single nets"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
def test_nets_that_cannot_be_stacked_say_why(given, reason):
    assert unstackable(ERMClassifier()) is None
    assert re.search(reason, unstackable(ERMClassifier(**given)))


def test_methods_that_cannot_be_stacked_say_so():
    class Alone(BaseClassifier):
        pass

    assert "Alone does not train in stacks" in unstackable(Alone())
    assert "SomeGroups is no net" in unstackable(SomeGroups())
    with_lbfgs = AdversarialClassifier(adversary_optimizer=torch.optim.LBFGS)
    assert "adversary_optimizer=" in unstackable(with_lbfgs)


@every_stackable
def test_published_methods_can_be_stacked(cls):
    assert unstackable(cls()) is None
    assert unstackable(small(cls, early_stopping=True, verbose=1, callbacks=[EarlyStopping()])) is None
    assert all(isinstance(getattr(cls(), name), int | float) for name in cls.stacks_over)
    assert set(cls.stage_parameters) <= set(cls.stacks_over)


def test_a_callback_that_freezes_layers_is_heeded_or_refused():
    nets = [small(ERMClassifier, module=Counting, callbacks=[Freezer("encoder*")], random_state=k) for k in (0, 1)]
    if unstackable(nets[0]) is None:
        assert_stack_equals_fits(nets, data_of(*rows()))


def test_a_callback_that_changes_the_rate_is_heeded_or_refused():
    class Halve(Callback):
        def on_epoch_end(self, net, **kwargs):
            for group in net.optimizer_.param_groups:
                group["lr"] /= 2

    nets = make_nets(ERMClassifier, callbacks=[Halve()], max_epochs=4)
    if unstackable(nets[0]) is None:
        assert_stack_equals_fits(nets, data_of(*rows()))


def test_values_that_are_no_numbers_are_not_taken_from_a_neighbour():
    class Scaled(ERMClassifier):
        stacks_over = ("scale",)

        def __init__(self, *, scale=None, **kwargs):
            super().__init__(**kwargs)
            self.scale = scale

        def objective(self, output, batch):
            return super().objective(output, batch) * (1.0 if self.scale is None else self.scale)

    nets = make_nets(Scaled, [dict(scale=v) for v in (None, 5.0, 0.2)], seeds=[0], optimizer=torch.optim.SGD)
    assert_stack_equals_fits(nets, data_of(*rows()), n_stacks=None)


def test_group_dro_with_adjustments_of_numbers_and_lists():
    different = [dict(adjustment=v) for v in (0.0, 2.0, [0.0, 1.0, 2.0, 3.0])]
    assert_stack_equals_fits(make_nets(GroupDROClassifier, different, step_size=0.3), data_of(*rows()), n_stacks=None)


def test_a_transformer_without_labels():
    class Shrink(BaseTransformer):
        needs_sensitive = False
        stacks_over = ("strength",)
        out_features_ = 4

        def __init__(self, *, strength=1.0, **kwargs):
            super().__init__(**kwargs)
            self.strength = strength

        def objective(self, output, batch):
            assert batch.y is None
            return (batch.weight * (output - self.strength * batch.x).square().sum(1)).mean()

    nets = assert_stack_equals_fits(make_nets(Shrink), data_of(rows()[0], None))
    assert min(differences(nets, rows()[0])) > 1e-3


# ---------------------------------------------------------------------- earlier stages
class Student(BaseClassifier):
    """Learns from an earlier stage, which is in the objective and weighs the rows."""

    needs_sensitive = False
    stacks_over = ("strength", "hardness")
    stage_parameters = ("hardness",)

    def __init__(self, *, strength=1.0, hardness=1.0, **kwargs):
        super().__init__(**kwargs)
        self.strength = strength
        self.hardness = hardness

    def prepare(self, X, y, *, sensitive_features, sample_weight):
        CALLS.append((self.random_state, self.hardness, len(X)))
        if self.hardness == 13:
            raise ValueError("thirteen is too hard")
        self.teacher_ = self.stage(ERMClassifier, max_epochs=3).fit(X, y)
        p = self.teacher_.predict_proba(X)
        return 0.1 + self.hardness * (1 - p[np.arange(len(X)), np.searchsorted(self.classes_, y)])

    def objective(self, output, batch):
        with torch.no_grad():
            taught = torch.softmax(self.teacher_.module_(batch.x), -1)
        distance = (torch.softmax(output, -1) - taught).square().sum(-1)
        return super().objective(output, batch) + self.strength * (batch.weight * distance).mean()


CALLS = []


@pytest.fixture
def calls():
    CALLS.clear()
    yield CALLS
    CALLS.clear()


def test_an_earlier_stage_is_trained_once_per_seed(calls):
    X, y, s = rows()
    different = [dict(strength=v) for v in (0.0, 3.0, 30.0)]
    singles = [net.fit(X, y) for net in make_nets(Student, different, seeds=[0, 1, 2])]
    assert len(calls) == 9
    calls.clear()
    nets = train(members_of(make_nets(Student, different, seeds=[0, 1, 2]), X, y, {}))
    assert calls == [(0, 1.0, 120), (1, 1.0, 120), (2, 1.0, 120)]
    teachers = [net.teacher_ for net in nets]
    assert np.abs(output(teachers[0], X) - output(teachers[3], X)).max() > 1e-3  # a teacher of its own for each seed
    for net, single in zip(nets, singles):
        assert_alike(net, single)
        assert identical(net.teacher_, single.teacher_)
    assert min(differences(nets, X)) > 1e-3


def test_an_earlier_stage_is_trained_once_per_fold(calls):
    different = [dict(strength=v) for v in (0.0, 3.0)]
    members = assert_folds_equal_fits(Student, [107, 103, 107], different=different, batch_size=10)
    assert len(members) == 12
    joint = calls[4:6] + calls[10:12] + calls[16:18]  # after the four single fits of each fold
    assert joint == [(0, 1.0, 107), (1, 1.0, 107), (0, 1.0, 103), (1, 1.0, 103), (0, 1.0, 107), (1, 1.0, 107)]


def test_stage_parameters_are_prepared_value_by_value(calls):
    different = [dict(strength=v, hardness=h) for v in (1.0, 3.0) for h in (1.0, 9.0)]
    nets = make_nets(Student, different, seeds=[0, 1])
    trained = train(members_of(nets, *data_of(*rows()[:2])))
    assert calls == [(0, 1.0, 120), (0, 9.0, 120), (1, 1.0, 120), (1, 9.0, 120)]
    for net in trained:
        assert_alike(net, Student(**net.get_params()).fit(*rows()[:2]))


def test_an_earlier_stage_with_early_stopping(calls):
    stop = {**STOP, "lr": 0.03}
    nets = make_nets(Student, [dict(strength=v) for v in (0.0, 3.0)], seeds=range(3), **stop)
    assert_stack_equals_fits(nets, data_of(*rows()), atol=1e-4)
    assert len(calls) == 6 + 3


def test_an_earlier_stage_that_fails_is_noted(calls):
    nets = make_nets(Student, [dict(hardness=13), dict(hardness=1)], seeds=[0])
    members = make_members(nets, *rows()[:2])
    assert [str(member.exception) for member in members] == ["thirteen is too hard", "None"]
    train(members[1:])
    assert_alike(members[1].net, Student(**members[1].net.get_params()).fit(*rows()[:2]))


def test_a_stage_with_sensitive_features_and_two_players(calls):
    class Taught(AdversarialClassifier):
        def prepare(self, X, y, *, sensitive_features, sample_weight):
            self.teacher_ = self.stage(AdversarialClassifier).fit(X, y, sensitive_features=sensitive_features)
            return sample_weight

        def classification_loss(self, output, batch):
            taught = self.teacher_.infer(batch.x)[0].detach()
            return super().classification_loss(output, batch) + 0.1 * (output[0] - taught).square().mean()

    for given in (dict(), dict(projection=True), dict(reversal=True)):
        assert_stack_equals_fits(make_nets(Taught, **given), data_of(*rows()))


def test_what_prepare_keeps_by_the_row_is_each_nets_own(calls):
    """Tensors per row, and stages in a list: other than a stage in an attribute of its own, nothing puts them in place."""

    class Soft(ERMClassifier):
        stacks_over = ()

        def prepare(self, X, y, *, sensitive_features, sample_weight):
            self.stages_ = [self.stage(ERMClassifier).fit(X, y)]
            self.targets_ = torch.as_tensor(self.stages_[0].predict_proba(X), dtype=torch.float32)
            return sample_weight

        def objective(self, output, batch):
            return (torch.softmax(output, -1) - self.targets_[batch.index]).square().sum(-1).mean()

    assert_stack_equals_fits(make_nets(Soft), data_of(*rows()), n_stacks=None)


def test_quick_nets_on_their_own_groups():
    """As the checks of scikit-learn use them: groups from a callable on X."""
    X, y, _ = rows()
    for cls in STACKABLE.values():
        nets = [quick(cls, max_epochs=2, random_state=k, **plain(cls), **with_base(cls)) for k in (0, 1)]
        assert_stack_equals_fits(nets, data_of(X, y))
