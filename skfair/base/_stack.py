"""Many nets of equal shapes, trained as one stacked network in skorch's loop.

Seen from skorch a stack is an ordinary net: its module holds the parameters of all models, one above the other, and its
loss is one number per model. Each model's own ``objective`` is run by ``torch.vmap`` with the model's part of the tensors
in place; the models do not interact, because the optimizers treat each number by itself. After each epoch each model's
own callbacks see its own validation rows; a model that they stop leaves the stack.
"""

import contextlib
import copy
import functools
import numbers

import torch
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from skfair.base._diagnosis import diverged
from skfair.base._stack_data import StackLoader, signature
from skfair.base._stack_tensors import attach, copy_state, players_of, put_state, remade, shallow, tensors_of
from skfair.base._stack_watch import StackWatch

__all__ = ["bytes_of", "stacks_of", "train_stack"]


def stacks_of(members):
    """The members in lists of equal shapes."""
    alike, first = {}, {}
    for place, member in enumerate(members):
        alike.setdefault(signature(member, tensors_of(member.net)), []).append(member)
        first.setdefault(id(member.train), place)
    # members of the same rows side by side, in an order that does not depend on addresses in memory
    return [sorted(found, key=lambda member: first[id(member.train)]) for found in alike.values()]


def train_stack(members, on_epoch=None):
    """Train the nets of the members side by side, as one; each is then as after its own ``fit``.

    Parameters
    ----------
    members : list of Member
        Of equal shapes, as ``stacks_of`` returns them.
    on_epoch : callable, optional
        Called after each epoch with the members that are still in training.

    Returns
    -------
    interrupted : bool
        Whether the user has stopped it; the nets keep what they have learnt.
    """
    stack = _stacked(members)
    stack.on_epoch_ = on_epoch
    with stack.streams_("network"):
        stack.run_loop(members, None, stack._epochs[1])
    return stack.interrupted_


def bytes_of(member):
    """Memory that one more model of this kind takes in a stack: found by one step of a copy of it."""
    net = member.net
    probe = shallow(net, type(net))
    attach(probe, copy.deepcopy(players_of(net)))
    probe.streams_ = copy.deepcopy(net.streams_)
    start, stop = member.loader.bounds()[0]
    rows = member.train.take(torch.arange(start, stop, device=member.train.device))
    batch = probe._with_draws(probe._as_batch(rows))
    probe._set_training(True)
    with probe.streams_("network"):
        loss = probe.objective(probe.infer(batch.x), probe.answered(batch))
    weights = sum(tensor.nbytes for tensor in tensors_of(net).values())
    # weights, gradients, two moments, the best epoch's copy; activations and their gradients
    return 5 * weights + 2 * _kept_bytes(loss)


def _kept_bytes(loss):
    """Memory of what is kept for the way back; torch's own hooks for it cannot see past a ``torch.func.grad``."""
    kept, seen, ahead = {}, set(), [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        ahead += [before for before, _ in node.next_functions]
        values = [getattr(node, name) for name in dir(node) if name.startswith("_saved_") or name == "saved_tensors"]
        parts = [part for value in values for part in (value if isinstance(value, tuple | list) else [value])]
        storages = [part.untyped_storage() for part in parts if isinstance(part, torch.Tensor)]
        kept |= {storage.data_ptr(): storage.nbytes() for storage in storages}
    return sum(kept.values())


# ---------------------------------------------------------------------- the stacked net
@functools.cache
def _stacked_class(cls):
    return type(f"Stacked{cls.__name__}", (_Stacked, cls), {})


def _stacked(members):
    first = members[0].net
    stack = shallow(first, _stacked_class(type(first)))
    stack.members_, stack.history_, stack.callbacks_ = list(members), type(first.history_)(), []
    stack.streams_ = copy.deepcopy(first.streams_)
    stack.hyper_ = _hyper(members, stack.device_)
    every = [tensors_of(member.net) for member in members]
    attach(stack, remade(players_of(first), {name: torch.stack([own[name] for own in every]) for name in every[0]}))
    stack._initialize_optimizer()
    return stack


def _hyper(members, device):
    """The parameters in which the members differ, as tensors of shape (n_models,)."""
    nets, found = [member.net for member in members], {}
    for name in nets[0].stacks_over:
        values = [getattr(net, name) for net in nets]
        if all(isinstance(value, numbers.Real) for value in values) and len(set(values)) > 1:
            found[name] = torch.tensor([float(value) for value in values], device=device)
    return found


def _dims(value):
    """0 for each tensor in nested tuples and lists, None for all else."""
    if isinstance(value, tuple | list):
        parts = [_dims(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return 0 if isinstance(value, torch.Tensor) else None


class _Stacked:
    """What a net does otherwise when it is a stack of several; mixed into their class."""

    stacked_ = True

    def each(self, function, *args):
        def one(tensors, hyper, args):
            with self._varied(hyper):
                return functional_call(self.players_, tensors, (function, args))

        run = vmap(one, in_dims=(0, 0, _dims(args)), randomness="different")
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels know no vmap
            value, buffers = run(self.tensors_, self.hyper_, args)
        for name, buffer in buffers.items():
            owner, _, local = name.rpartition(".")
            self.tensors_[name] = self.players_.get_submodule(owner)._buffers[local] = buffer.detach()
        return value

    @contextlib.contextmanager
    def _varied(self, hyper):
        before = {name: vars(self)[name] for name in hyper}
        vars(self).update(hyper)
        try:
            yield
        finally:
            vars(self).update(before)

    # ------------------------------------------------------------------ the loop
    def get_iterator(self, dataset, training=False):
        return StackLoader(self)

    def train_step(self, parts, **fit_params):
        """One step of all models. Where their batches differ in size, each size has a stack of its own."""
        if len(parts) == 1:
            return super().train_step(parts[0][1:])
        subs = [(index, self.select(index)) for index, *_ in parts]
        losses = []
        for (index, sub), part in zip(subs, parts):
            losses.append(sub.train_step([part])["loss"].detach())
            self.put(index, sub)
        places = torch.tensor([k for index, _ in subs for k in index])
        return {"loss": torch.cat(losses)[places.argsort().to(losses[0].device)]}

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        if iterator is None:
            return
        losses, sizes, watch = [], [], StackWatch()
        vars(self)["_watch"] = watch if self.reads_each_loss() else None
        for parts, size in iterator:
            watch.step += 1
            losses.append(step_fn(parts)["loss"].detach())
            sizes.append(size)
        losses, sizes = torch.stack(losses).cpu().double(), torch.stack(sizes)  # (steps, models)
        loss = (losses * sizes).sum(0) / sizes.sum(0)
        watch.end(self, losses, sizes)
        vars(self)["_faults"] = watch.faults
        self.history.record(prefix + "_loss", loss.tolist())

    def on_train_begin(self, net, **kwargs):
        for member in self.members_:
            member.net.notify("on_train_begin", X=(member.train, member.valid), y=None)

    def on_epoch_begin(self, net, **kwargs):
        super().on_epoch_begin(net, **kwargs)
        for member in self.members_:
            member.net.notify("on_epoch_begin", dataset_train=member.train, dataset_valid=member.valid)

    def on_epoch_end(self, net, **kwargs):
        losses = self.history[-1]["train_loss"]
        on = [k for k, loss in enumerate(losses) if self._end_epoch(k, loss)]
        if self.on_epoch_ is not None:
            self.on_epoch_(self)
        if not on:
            raise KeyboardInterrupt  # skorch's way to end the loop
        if len(on) < len(losses):
            for k in set(range(len(losses))) - set(on):
                self._finish(k)
            vars(self).update(vars(self.select(on)))

    def on_train_end(self, net, **kwargs):
        for k in range(len(self.members_)):
            self._finish(k)

    def _end_epoch(self, k, loss):
        """Let the model's own net end the epoch; return whether it goes on."""
        member = self.members_[k]
        net, rows = member.net, {"dataset_train": member.train, "dataset_valid": member.valid}
        try:
            net.history.record("train_loss", loss)
            if id(member) in self._faults:
                raise diverged(net, *self._faults[id(member)])
            if net.callbacks_ or member.valid is not None:
                self.hand_out(k)
            if member.valid is not None:
                loader = net.get_iterator(member.valid, training=False)
                net.run_single_epoch(loader, training=False, prefix="valid", step_fn=net.validation_step)
            return self._goes_on(member, rows)
        except torch.OutOfMemoryError:  # of the whole stack
            raise
        except Exception as error:
            member.fail(error)
            return False

    @staticmethod
    def _goes_on(member, rows):
        try:
            member.net.notify("on_epoch_end", **rows)
        except KeyboardInterrupt as stop:
            if not hasattr(stop, "by_callback"):
                raise
            return False
        return True

    def _finish(self, k):
        member = self.members_[k]
        if member.exception is not None or member.finished:
            return
        self.hand_out(k, optimizers=True)
        member.net.notify("on_train_end", X=(member.train, member.valid), y=None)
        member.finished = True  # an interrupt of what follows does not begin anew
        member.net._set_training(False)
        member.net.complete(member.train)

    # ------------------------------------------------------------------ models in and out
    def hand_out(self, k, optimizers=False):
        """Write model k into its own net."""
        net = self.members_[k].net
        with torch.no_grad():
            for name, own in tensors_of(net).items():
                own.copy_(self.tensors_[name][k])
        for name in self._optimizers if optimizers else []:
            copy_state(getattr(self, f"{name}_"), getattr(net, f"{name}_"), lambda value: value[k].clone())

    def select(self, index):
        """A stack of these models alone."""
        sub = shallow(self, type(self))
        sub.members_ = [self.members_[k] for k in index]
        sub.hyper_ = {name: value[index] for name, value in self.hyper_.items()}
        attach(sub, remade(self.players_, {name: value[index] for name, value in self.tensors_.items()}))
        sub._initialize_optimizer()
        for name in self._optimizers:
            copy_state(getattr(self, f"{name}_"), getattr(sub, f"{name}_"), lambda value: value[index].clone())
        return sub

    def put(self, index, sub):
        """Write the models of a smaller stack back to their places."""
        with torch.no_grad():
            for name, own in self.tensors_.items():
                own[index] = sub.tensors_[name]
        for name in self._optimizers:
            own, other = getattr(self, f"{name}_"), getattr(sub, f"{name}_")
            put_state(own, other, index)
