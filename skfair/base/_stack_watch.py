"""Which nets of a stack have run away, in which batch, and what is at fault."""

import torch

from skfair.base._diagnosis import batch_text, worst_parameter

__all__ = ["StackWatch"]


class StackWatch:
    """Looks at the losses of each step of an epoch, and notes of each model what is wrong with it first.

    What is noted are the arguments of ``diverged``, by the id of the member. On a GPU the steps are not looked at: groups
    and parameter are then not known.
    """

    def __init__(self):
        self.step, self.faults = 0, {}

    def look(self, stack, losses, batch):
        x, rows = batch
        for k in (~losses.isfinite()).nonzero().flatten().tolist():
            text = self._batch(stack.members_[k], self.step, x.shape[1], rows["sensitive"][k])
            self._note(
                stack, k, f"loss of {{}} became {losses[k].item()}", text, worst_parameter(_parameters(stack, k))
            )

    def end(self, stack, losses, sizes):
        """Note what can be seen when the epoch is over, from losses and sizes of the batches (steps, models)."""
        sound = sum(p.detach().reshape(len(p), -1).sum(1) for p in _trained(stack)).isfinite().tolist()
        for k, member in enumerate(stack.members_):
            bad = (~losses[:, k].isfinite()).nonzero().flatten().tolist()
            if bad:
                text = self._batch(member, bad[0] + 1, int(sizes[bad[0], k]))
                self._note(stack, k, f"loss of {{}} became {losses[bad[0], k].item()}", text, "")
            elif not sound[k]:
                text = self._batch(member, len(losses), int(sizes[-1, k]))
                worst = worst_parameter(_parameters(stack, k))
                self._note(stack, k, "weights of {} became nan or inf", text, worst)

    def _batch(self, member, step, n_rows, sensitive=None):
        return batch_text(member.net, step, len(member.loader), n_rows, sensitive)

    def _note(self, stack, k, what, batch, parameter):
        member = stack.members_[k]
        what = f"the {'training ' * what.startswith('loss')}{what.format(type(member.net).__name__)}"
        self.faults.setdefault(id(member), (what, batch, parameter))


def _trained(stack):
    """The weights that decide predictions, as one tensor each for all models."""
    return [p for name, p in stack.tensors_.items() if name.startswith("module_.") and p.requires_grad]


def _parameters(stack, k):
    """(name, weights, gradient) of all that model k trains."""
    for name, p in stack.tensors_.items():
        if isinstance(p, torch.nn.Parameter) and "/" not in name:  # not of an earlier stage
            yield name.replace("_.", ".", 1), p.detach()[k], None if p.grad is None else p.grad[k]
