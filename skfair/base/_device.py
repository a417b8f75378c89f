"""The device that a net is trained on."""

import torch

from skfair.base._processes import launched

__all__ = ["resolve_device"]


def resolve_device(device):
    """The torch device of "auto", "cpu", "cuda:1", "accelerate" or a torch.device; ValueError if it is not there."""
    if isinstance(device, str) and device == "accelerate":
        found = launched().device
        return torch.device("cpu") if found.type == "cpu" else _with_index(found)
    if device == "auto":
        return _with_index(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device={device!r} is no device; use 'auto', 'cpu', 'cuda' or 'accelerate'.") from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if resolved.type == "cuda" and (resolved.index or 0) >= count:
        raise ValueError(f"device={device!r} is not present: torch sees {count} CUDA devices. Use 'auto' or 'cpu'.")
    if resolved.type not in ("cpu", "cuda"):
        _check_present(device, resolved)
    return _with_index(resolved)


def _check_present(device, resolved):
    try:
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError) as error:  # as the backend likes
        raise ValueError(f"device={device!r} is not present: {error} Use 'auto' or 'cpu'.") from error


def _with_index(device):
    """ "cuda" as "cuda:0": torch holds the two for different, and tensors always say the latter."""
    return torch.device("cuda", torch.cuda.current_device()) if device == torch.device("cuda") else device
