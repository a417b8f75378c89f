"""A device whose memory does not suffice: what to try."""

import functools
import math

import torch

__all__ = ["explains_memory"]


def explains_memory(fit):
    """Let ``fit`` say what to try, where the device's memory does not suffice."""

    @functools.wraps(fit)
    def explained(self, X, *args, **kwargs):
        try:
            return fit(self, X, *args, **kwargs)
        except torch.OutOfMemoryError as error:
            if hasattr(error, "explained"):  # an earlier stage has said it
                raise
            new = torch.OutOfMemoryError(_text(self, X, error))
            new.explained = True
            raise new from error

    return explained


def _text(net, X, error):
    name, device = type(net).__name__, net.device_
    size = net.get_params_for("iterator_train").get("batch_size", net.batch_size)
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    used = min(n_rows, n_rows if size == -1 else size)
    smaller = f"Try batch_size={used // 2}" if used > 1 else "Try a smaller network"
    rows = f"The {n_rows} rows lie there as a whole{_size(X)}, with their labels, groups and weights"
    if hasattr(X, "tocsr"):
        rows = "The rows stay in main memory, as X is sparse; their labels, groups and weights lie there as a whole"
    return (
        f"{name} ran out of memory on {device} with batch_size={size}. {smaller}. {rows}. device='cpu' trains in main "
        f"memory, slower, to the same result up to rounding. ({str(error).splitlines()[0] if str(error) else 'no details'})"
    )


def _size(X):
    """What dense X takes as float32, if that can be said."""
    shape = getattr(X, "shape", ())
    return f" ({4 * math.prod(shape) / 2**20:.3g} MiB as float32)" if len(shape) > 1 else ""
