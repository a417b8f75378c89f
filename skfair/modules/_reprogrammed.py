import torch
from torch import nn

__all__ = ["Reprogrammed"]


class Reprogrammed(nn.Module):
    """A trigger in front of a network that is not trained: f(m(x)).

    The network is no part of it for torch: its parameters are neither trained nor saved nor counted, and a stack of many
    triggers holds it once.

    Parameters
    ----------
    trigger : torch.nn.Module
        From inputs to inputs.
    network : torch.nn.Module
        From inputs to outputs.

    Attributes
    ----------
    trigger : torch.nn.Module
    network : torch.nn.Module

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import AdditiveTrigger, Reprogrammed
    >>> net = Reprogrammed(AdditiveTrigger(3), torch.nn.Linear(3, 2))
    >>> [name for name, _ in net.named_parameters()]
    ['trigger.delta']
    """

    def __init__(self, trigger, network):
        super().__init__()
        self.trigger = trigger
        self.hidden = [network]  # in a list: torch does not look there

    @property
    def network(self):
        return self.hidden[0]

    @property
    def runs_in_float64(self):
        return getattr(self.network, "runs_in_float64", False) and getattr(self.trigger, "runs_in_float64", False)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.network._apply(fn, recurse)  # the same device and precision
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(self.trigger(x))
