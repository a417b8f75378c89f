"""How the networks are evaluated: without dropout, without gradients, in double precision."""

import contextlib
import copy

import torch

__all__ = ["detach", "evaluation_mode", "evaluation_module"]


def detach(output):
    """The output, one tensor or a tuple of them, without its history of gradients."""
    return tuple(map(detach, output)) if isinstance(output, tuple) else output.detach()


@contextlib.contextmanager
def evaluation_mode(module):
    """Evaluation mode (no dropout) inside the block.

    Parameters
    ----------
    module : torch.nn.Module
        Is as before afterwards.

    Yields
    ------
    None
    """
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


def evaluation_module(module):
    """The module in evaluation mode and the dtype to feed it with.

    A module that says ``runs_in_float64`` is copied and evaluated in double precision: in single precision the product
    of a row and a matrix depends, in the last digits, on the rows beside it.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    module : torch.nn.Module
    dtype : torch.dtype
    """
    if getattr(module, "runs_in_float64", False):
        return copy.deepcopy(module).double().eval(), torch.float64
    return (module.eval() if module.training else module), torch.float32
