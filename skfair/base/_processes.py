"""One net, trained by all the processes that ``accelerate launch`` has started, with the result of a single one.

Fairness objectives are no means over rows: what one group's rate is depends on the whole minibatch. So all processes draw
the same minibatches; each runs the network on its share of the rows alone; the outputs are gathered, and each computes the
objective of the whole minibatch, whose gradient reaches its own share. The sum of the gradients over the processes is then
the gradient of a single process, up to rounding, and the state of a loss is the same everywhere.
"""

import os

import torch

from skfair._data import Rows
from skfair.base._batch_norm import whole_batch_norms
from skfair.base._ending import Ending
from skfair.modules import DebiasedAttention

__all__ = ["SharedTraining", "launched"]


def launched():
    """What accelerate knows of the processes that were launched; of a single one, if none were."""
    try:
        from accelerate import PartialState
        from accelerate.utils import parse_flag_from_env
    except ImportError as error:
        raise ImportError("device='accelerate' needs accelerate: pip install 'skfair[processes]'.") from error
    found = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))  # made once; later calls return the same
    if found.num_processes == 1 and int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise RuntimeError(
            f"device='accelerate': {os.environ['WORLD_SIZE']} processes were launched, but each sees itself alone, as "
            "accelerate finds no GPU. On CPUs set ACCELERATE_USE_CPU=true."
        )
    return found


class SharedTraining:
    """What a net does otherwise when it is one of several processes; mixed into ``LoopNet``."""

    shares_rows = False  # whether ``objective`` knows the network by its outputs alone: then processes can share rows

    def processes(self):
        """What accelerate knows of the processes, if several train this net; None if it trains alone."""
        if not (isinstance(self.device, str) and self.device == "accelerate"):
            return None
        found = launched()
        return found if found.num_processes > 1 else None

    def check_processes(self):
        """Raise a ValueError if the net is to be trained by several processes, and cannot be."""
        if isinstance(self.device, str) and self.device == "accelerate" and not self.shares_rows:
            raise ValueError(
                f"{type(self).__name__} does not train with device='accelerate': its objective reaches into the networks, "
                "so that processes cannot share the rows of a minibatch. Set device='auto'."
            )

    @property
    def leads(self):
        """Whether this process is the one that shows and writes: the first."""
        several = self.processes()
        return several is None or several.process_index == 0

    def from_first(self, function, *args):
        """What the function returns in the first process, in all of them; so with an error."""
        several = self.processes()
        if several is None:
            return function(*args)
        from accelerate.utils import broadcast_object_list

        answer = [None, None]
        if several.process_index == 0:
            try:
                answer[0] = function(*args)
            except Exception as error:
                answer[1] = error
        broadcast_object_list(answer)
        if answer[1] is not None:
            raise answer[1]
        return answer[0]

    # ------------------------------------------------------------------ a step
    def shared_outputs(self, x):
        """The network's outputs for the rows of a minibatch; several processes compute a share of them each."""
        several = self.processes()
        if several is None:
            return self.each(self.infer, x)
        rank, n = several.process_index, several.num_processes
        bounds = [len(x) * k // n for k in range(n + 1)]
        shares = [stop - start for start, stop in zip(bounds, bounds[1:])]
        # dropout of its own, batch norms of all
        with self.streams_.apart(rank), whole_batch_norms(self.module_, counts=shares[rank] > 0):
            own = self.infer(x[bounds[rank] : bounds[rank + 1]] if shares[rank] else x[:1])
        return _gathered(own, shares, rank)

    def share_gradients(self):
        """Sum the network's gradients over the processes, and end the training if one of them was asked to.

        Those of the criterion are of all rows already.
        """
        parameters = [] if self.processes() is None else [p for p in self.module_.parameters() if p.requires_grad]
        if not parameters:
            return
        from accelerate.utils import reduce

        with torch.no_grad():
            own = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            there = own[0].new_tensor([float(p.grad is not None) for p in parameters])
            flags = self._ending.flags(own[0])
            *total, there, flags = reduce(torch.cat([*(g.flatten() for g in own), there, flags]), "sum").split(
                [*(p.numel() for p in parameters), len(parameters), len(flags)]
            )
            self._ending.hear(flags)
            lacks = any(p.grad is None for p in parameters)
            for k, p in enumerate(parameters):
                if not lacks or there[k] > 0:  # what no process has used stays without one
                    p.grad = own[k].copy_(total[k].view(p.shape))

    # ------------------------------------------------------------------ begin, go on and end together
    _ending = None  # while the loop runs

    def fit_loop(self, *args, **kwargs):
        if self.processes() is None:
            return super().fit_loop(*args, **kwargs)
        try:
            with Ending() as vars(self)["_ending"]:
                return super().fit_loop(*args, **kwargs)
        finally:
            del vars(self)["_ending"]

    def notify(self, method_name, **kwargs):
        several = self.processes()
        if several is None:
            return super().notify(method_name, **kwargs)
        if method_name == "on_train_begin":
            self._begin_together(kwargs["X"])
        try:
            super().notify(method_name, **kwargs)
        except KeyboardInterrupt as stop:  # a callback stops its net
            if self._ending is None:
                raise
            self._ending.ask(stop)
        if method_name == "on_epoch_end":
            self._ending.end_if(max(_of_all(self._ending.asked)))
        if method_name == "on_train_end" and not self.interrupted_:
            self._take_over()  # equal already, but for kernels that round differently each time

    def _begin_together(self, parts):
        from skfair.base._checkpoint import fingerprint

        mixing = [name for name, part in self.module_.named_modules() if isinstance(part, DebiasedAttention)]
        if mixing:
            raise ValueError(
                f"device='accelerate' shares the rows of a minibatch among processes, but the module's {mixing} "
                "(DebiasedAttention) computes statistics over all of them. Use device='auto'."
            )
        parts = [rows for rows in parts if rows is not None]
        given = [Rows(rows.X, {name: own for name, own in rows.y.items() if name != "extra"}) for rows in parts]
        prints = _of_all([fingerprint(rows) for rows in given])
        if any(other != prints[0] for other in prints):
            raise ValueError(
                "device='accelerate': the processes were given different rows. Each must pass all rows, in the same order "
                "and with the same labels, groups and weights; they are shared out in the training."
            )
        for rows in parts:
            if "extra" in rows.y:  # each process may have trained a teacher of its own
                _copy_of_first(rows.y["extra"])
        self._take_over()

    def _take_over(self):
        """Let weights, buffers and the loss's state be those of the first process."""
        for name in self._modules + self._criteria:
            for tensor in getattr(self, f"{name}_").state_dict().values():
                _copy_of_first(tensor)

    def _record_loss(self, prefix, loss):
        super()._record_loss(prefix, self.from_first(float, loss))  # what is decided by it is decided alike


def _copy_of_first(tensor):
    """Give a tensor the values that it has in the first process."""
    from accelerate.utils import broadcast

    tensor.copy_(broadcast(tensor.contiguous()))


def _of_all(value):
    """The values of all processes, as a list."""
    from accelerate.utils import gather_object

    return gather_object([value])


def _gathered(own, shares, rank):
    """The outputs of all processes one after the other; only this one's carry gradients."""
    from accelerate.utils import gather

    times = len(own) // max(shares[rank], 1)  # an ensemble answers several times to a row
    own = own[: times * shares[rank]]
    longest = times * max(shares)
    padded = own.new_zeros(longest, *own.shape[1:])
    padded[: len(own)] = own.detach()
    parts = [part[: times * share] for part, share in zip(gather(padded).split(longest), shares)]
    parts[rank] = own
    return torch.cat(parts)
