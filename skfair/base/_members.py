"""The nets that are to be trained together on the same rows: checked once, their earlier stages trained once."""

import copy
import traceback
from dataclasses import dataclass, field
from typing import Any

import torch

from skfair._data import BatchLoader, Rows
from skfair._random import Streams, draw_seed
from skfair.base._checks import check_watched
from skfair.base._net import BaseNet
from skfair.base._skorch import overrides

__all__ = ["Member", "Shared", "make_members", "unstackable"]

# one step of these moves each number by its own gradient alone
ELEMENTWISE = (
    "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD",
)  # fmt: skip
# callbacks that watch epochs and change nothing in the net
WATCHING = {
    ("skfair", "BestEpoch"), ("skfair", "FairnessScoring"), ("skfair", "Progress"), ("skorch", "EarlyStopping"),
    ("skorch", "EpochScoring"), ("skorch", "EpochTimer"), ("skorch", "PassthroughScoring"), ("skorch", "PrintLog"),
}  # fmt: skip


@dataclass
class Member:
    """A net, built and ready to be trained, with its rows; or what went wrong."""

    net: BaseNet
    train: Rows | None = None
    valid: Rows | None = None
    loader: BatchLoader | None = None
    prepared: dict = field(default_factory=dict)  # what the earlier stages have set on the net
    finished: bool = False  # whether its training is over
    exception: Exception | None = None
    trace: str | None = None

    def fail(self, exception):
        """Note the exception that is being handled."""
        self.exception, self.trace = exception, traceback.format_exc()


def unstackable(net):
    """Why this net cannot be trained in a stack with others, as a sentence; None if it can."""
    name = type(net).__name__
    if not isinstance(net, BaseNet):
        return f"{name} is no net of skfair"
    if net.stacks_over is None:
        return f"{name} does not train in stacks"
    module = getattr(net.module_class(), "func", net.module_class())
    if not getattr(module, "stacks", True):
        return f"{getattr(module, '__name__', module)} is not run by torch.vmap"
    if net.processes() is not None:
        return "device='accelerate' trains one net in all processes"
    if net.unstackable():
        return net.unstackable()
    for parameter in ("optimizer", "adversary_optimizer"):
        optimizer = getattr(net, parameter, torch.optim.Adam)
        if getattr(torch.optim, getattr(optimizer, "__name__", ""), None) is not optimizer or (
            optimizer.__name__ not in ELEMENTWISE
        ):
            return f"{parameter}={optimizer!r} is not known to treat each number by itself"
    if net.iterator_train is not None or net.compile or net.warm_start or net.checkpoint is not None:
        return "iterator_train, compile, warm_start and checkpoint are for single nets"
    for item in net.callbacks or []:
        callback = item[1] if isinstance(item, tuple) else item
        kind = callback if isinstance(callback, type) else type(callback)
        if any(overrides(kind, hook) for hook in ("on_batch_begin", "on_batch_end", "on_grad_computed")):
            return f"the callback {kind.__name__} listens to each step"
        if (kind.__module__.split(".")[0], kind.__name__) not in WATCHING:
            return f"the callback {kind.__name__} may change the net"
    return None


@dataclass
class Shared:
    """What the nets of one set of rows have in common."""

    encoded: Any = None
    fitted: dict = field(default_factory=dict)  # what the encoding has set: classes_, groups_, ...
    prepared: dict = field(default_factory=dict)  # seed and stage parameters -> (attributes, rows)


def make_members(nets, X, y=None, *, sensitive_features=None, sample_weight=None, shared=None):
    """Make each net ready for training on these rows, as its ``fit`` would.

    X is checked and encoded once; ``prepare`` and the hold-out are run once per seed (and per value of the
    ``stage_parameters``). An error of one net is noted in its Member and stops no other.

    Parameters
    ----------
    nets : list of BaseNet
        Unfitted, of one class, alike in all parameters but ``stacks_over`` and ``random_state``.
    X, y, sensitive_features, sample_weight
        As in ``fit``.
    shared : Shared, optional
        That of an earlier call with the same rows, whose checks and stages are then not repeated.

    Returns
    -------
    list of Member
    """
    shared, members = Shared() if shared is None else shared, []
    for net in nets:
        member = Member(net)
        try:
            _make_ready(member, shared, (X, y, sensitive_features, sample_weight))
        except torch.OutOfMemoryError:  # of all nets together
            raise
        except Exception as error:
            member.fail(error)
        members.append(member)
    return members


def _make_ready(member, shared, data):
    net = member.net
    net._check_parameters()
    if shared.encoded is None:
        before = dict(vars(net))
        shared.encoded = net._encode(*data, reset=True)
        shared.fitted = _changed(before, net)
    else:
        vars(net).update(shared.fitted)
    seed = draw_seed(net.random_state)
    key = (seed, *(getattr(net, name) for name in net.stage_parameters))
    if key not in shared.prepared:
        shared.prepared[key] = _prepare(net, seed, shared.encoded)
    attributes, (member.train, member.valid) = shared.prepared[key]
    member.prepared = {name: value for name, value in attributes.items() if name != "streams_"}
    vars(net).update(attributes, streams_=copy.deepcopy(attributes["streams_"]))
    member.train = net._repeated(member.train)
    _build(member)


def _prepare(net, seed, encoded):
    """Run the earlier stages and hold rows out; return what that has set on the net, and the rows."""
    before = dict(vars(net))
    net.streams_ = Streams(seed, net.device_)
    rows = net._weighted_rows(encoded)
    if net.watched_:
        check_watched(net, rows.y["group"])
    parts = net._hold_out(rows) if net.watched_ else (rows, None)
    return _changed(before, net), parts


def _changed(before, net):
    return {name: value for name, value in vars(net).items() if name not in before or before[name] is not value}


def _build(member):
    net = member.net
    vars(net)["_epochs"] = (0, net.epochs_for(len(member.train)))
    verbose, net.verbose = net.verbose, 0  # the bar is the stack's
    try:
        with net.streams_("network"):
            net._build(member.train)
    finally:
        net.verbose = verbose
    member.loader = net.get_iterator(member.train, training=True)
