"""A loss that is no number: which batch, groups and parameter; and the net as its last good epoch has left it.

The weights, the loss's state, the optimizers and the random streams are copied to main memory once per epoch. On a CPU
the loss of each step is read, which costs nothing there. On a GPU that would wait for each step, so that only the mean of
an epoch is read; if it is no number, the epoch is run again from its beginning, and then each loss is read.
"""

import copy
import math

import numpy as np
import torch

__all__ = ["Watch", "batch_text", "diverged", "is_sound", "run_guarded", "watched_epoch", "worst_parameter"]

MOST_GROUPS = 8  # that are listed


class Snapshot:
    """What a training changes, as it is now, in the stream "network"."""

    def __init__(self, net, earlier=None):
        self.earlier = earlier
        states = {name: getattr(net, f"{name}_").state_dict() for name in net._modules + net._criteria}
        self.modules = {name: _copied(state) for name, state in states.items()}
        self.optimizers = {
            name: {p: _copied(state) for p, state in getattr(net, f"{name}_").state.items()} for name in net._optimizers
        }
        self.streams = net.streams_.position()
        self.n_epochs = len(net.history) - 1  # that are over

    def restore(self, net):
        for name, state in self.modules.items():
            getattr(net, f"{name}_").load_state_dict(state)
        for name, state in self.optimizers.items():
            optimizer = getattr(net, f"{name}_")
            optimizer.zero_grad()
            found = {p: _copied(own, optimizer.state[p]) for p, own in state.items()}
            optimizer.state.clear()
            optimizer.state.update(found)
        net.streams_.go_back(self.streams)


def _copied(state, like=None):
    """Tensors copied to the CPU, or to the devices of others of these names."""
    return {
        k: v.detach().to("cpu" if like is None else like.get(k, v).device, copy=True)
        if isinstance(v, torch.Tensor)
        else copy.deepcopy(v)
        for k, v in state.items()
    }


class Watch:
    """Looks at the loss of each step of an epoch."""

    def __init__(self, iterator):
        self.n_batches = len(iterator) if hasattr(iterator, "__len__") else None
        self.step, self.batch = 0, None

    def look(self, net, loss, batch):
        self.step, self.batch = self.step + 1, batch
        if not math.isfinite(loss.item()):
            raise self.error(net, f"the training loss of {type(net).__name__} became {loss.item()}")

    def error(self, net, what):
        x, rows = self.batch
        error = diverged(
            net, what, batch_text(net, self.step, self.n_batches, len(x), rows.get("sensitive")),
            worst_parameter(_parameters(net)),
        )  # fmt: skip
        error.after = self.step - 1  # good steps
        return error


def watched_epoch(net, run, iterator):
    """The mean loss of an epoch, ``run()``; a FloatingPointError if it or the weights are no finite numbers."""
    if net._start is not None:
        net._start.earlier = None
    start, watch = Snapshot(net, net._start), Watch(iterator)
    vars(net).update(_start=start, _watch=watch if net.reads_each_loss() else None)
    loss = run()
    if net._watch is None and not (math.isfinite(loss) and is_sound(net)):
        start.restore(net)
        vars(net)["_watch"] = watch
        loss = run()
    if not is_sound(net):  # all losses were numbers: it is the last step that has spoilt them
        raise watch.error(net, f"the weights of {type(net).__name__} became nan or inf")
    return loss


def is_sound(net):
    """Whether all weights are finite numbers."""
    return math.isfinite(sum(p.detach().sum() for p in net.module_.parameters() if p.requires_grad))


def run_guarded(net, train, valid, epochs):
    """Run the loop. If the loss becomes nan, return the error, with the net as its last good epoch has left it."""
    try:
        net.run_loop(train, valid, epochs)
    except FloatingPointError as error:
        if not hasattr(error, "after"):  # a callback's
            raise
        last = _last_good(net, error)
        last.restore(net)
        del net.history_[last.n_epochs :]
        net.notify("on_train_end", X=(train, valid), y=None)
        error.add_note(_kept(net))
        return error
    finally:
        for name in ("_start", "_watch"):
            vars(net).pop(name, None)


def _last_good(net, error):
    """The end of the last epoch whose weights are known to give a loss: on held-out rows, or in the next epoch's start."""
    start = net._start
    before = net.history_[start.n_epochs - 1] if start.n_epochs else {}
    known = error.after > 0 or math.isfinite(before.get("valid_loss", math.nan))
    return start if known or start.earlier is None else start.earlier


def _kept(net):
    done = len(net.history_)
    which = f"after epoch {done}" if done else "it began with"
    if done and "valid_loss" in net.history_[-1]:
        which = "of the best epoch so far"
    return f"{type(net).__name__} keeps the weights {which}: predict and partial_fit start from them."


# ---------------------------------------------------------------------- what is said
def diverged(net, what, batch, parameter):
    """The error of a training that has run away."""
    return FloatingPointError(
        f"{what} in epoch {len(net.history)}, {batch}{parameter and ': ' + parameter}. Lower lr (now {net.lr}), standardise "
        "X, or clip the gradients (gradient_clipping=1.0)."
    )


def batch_text(net, step, n_batches, n_rows, sensitive=None):
    """ "batch 3 of 9 (64 rows, by group: female 24, male 40)"; ``sensitive`` are the codes of the rows."""
    of = "" if n_batches is None else f" of {n_batches}"
    return f"batch {step}{of} ({n_rows} rows{_group_counts(net, sensitive)})"


def _group_counts(net, sensitive):
    if sensitive is None or net.groups_ is None or bool((sensitive < 0).any()):
        return ""
    codes, counts = np.unique(sensitive.cpu().numpy(), axis=0, return_counts=True)
    groups = [[str(own[c]) for own, c in zip(net.sensitive_encoder_.categories_, row)] for row in codes]
    names = [group[0] if len(group) == 1 else f"({', '.join(group)})" for group in groups]
    listed = [f"{name} {count}" for name, count in zip(names, counts)]
    more = ["..."] if len(listed) > MOST_GROUPS else []
    return f", by group: {', '.join(listed[:MOST_GROUPS] + more)}"


def _parameters(net):
    """(name, weights, gradient) of all that the net trains."""
    for part in net._modules + net._criteria:
        for name, p in getattr(net, f"{part}_").named_parameters():
            yield f"{part}.{name}", p.detach(), p.grad


def worst_parameter(parameters):
    """The parameter at fault among some (name, weights, gradient), in words."""
    parameters = [(name, weights, g) for name, weights, g in parameters if weights.numel()]
    weights = {name: value for name, value, _ in parameters}
    gradients = {name: g.detach() for name, _, g in parameters if g is not None}
    if not weights:
        return ""
    if name := _first_bad(weights):
        return f"the weights of {name} are not finite"
    largest, name = _largest(weights)
    if bad := _first_bad(gradients):
        return f"the gradient of {bad} is not finite; all weights are, the largest, {largest:.2g}, is in {name}"
    steepest, other = _largest(gradients) if gradients else (0.0, "")
    what = f"the gradient of {other}" if steepest > largest else f"the weights of {name}"
    return f"all weights and gradients are finite, the largest, {max(steepest, largest):.2g}, in {what}"


def _largest(tensors):
    return max((float(value.abs().max()), name) for name, value in tensors.items())


def _first_bad(tensors):
    return next((name for name, value in tensors.items() if not bool(value.isfinite().all())), None)
