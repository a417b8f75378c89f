"""Batch norm over all rows of a minibatch, where each process has a share of them.

torch's own ``SyncBatchNorm`` does it on GPUs alone, and replaces the layers; here they stay what they are, so that the
network is saved and pickled as ever.
"""

import contextlib
import functools

import torch
from torch import nn

__all__ = ["whole_batch_norms"]

KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@contextlib.contextmanager
def whole_batch_norms(module, counts=True):
    """Inside the block the batch norms of the module take their statistics from the rows of all processes.

    Parameters
    ----------
    module : torch.nn.Module
    counts : bool, default=True
        Whether the rows of this process are among them; it may have none, and run on one for the form's sake.
    """
    layers = [part for part in module.modules() if isinstance(part, KINDS) and part.training]
    for layer in layers:
        layer.forward = functools.partial(_forward, layer, counts)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


class _Total(torch.autograd.Function):
    """The sum over the processes; so is its gradient, as the sum is part of what each of them computes."""

    @staticmethod
    def forward(ctx, x):
        from accelerate.utils import reduce

        return reduce(x, "sum")

    @staticmethod
    def backward(ctx, gradient):
        return _Total.apply(gradient)


def _forward(layer, counts, x):
    over, shape = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
    n = _Total.apply(x.new_tensor(float(counts) * x.numel() / x.shape[1]))
    mean = _Total.apply(counts * x.sum(over)) / n
    centred = x - mean.view(shape)
    variance = _Total.apply(counts * centred.square().sum(over)) / n
    _remember(layer, mean.detach(), variance.detach() * n / (n - 1).clamp_min(1))
    out = centred * torch.rsqrt(variance + layer.eps).view(shape)
    return out if layer.weight is None else out * layer.weight.view(shape) + layer.bias.view(shape)


def _remember(layer, mean, variance):
    """Move the running statistics, which evaluation uses, as ``BatchNorm`` does."""
    if layer.running_mean is None:
        return
    layer.num_batches_tracked += 1
    rate = 1 / layer.num_batches_tracked if layer.momentum is None else layer.momentum
    layer.running_mean += rate * (mean - layer.running_mean)
    layer.running_var += rate * (variance - layer.running_var)
