"""What happens to the gradients and to the learning rate on the way to the optimizer."""

import math

import torch

__all__ = ["SCHEDULES", "clip_gradients", "set_learning_rate"]

# share of the epochs that are done -> factor of the learning rate
SCHEDULES = {
    "constant": lambda done: 1.0,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "linear": lambda done: 1 - done,
}


def clip_gradients(parameters, max_norm, *, stacked=False):
    """Scale the gradients down to this norm, all parameters together; of a stack, for each of its models."""
    if not stacked:
        torch.nn.utils.clip_grad_norm_(parameters, max_norm)
        return
    found = [p.grad for p in parameters if p.grad is not None]
    norm = sum(g.reshape(len(g), -1).square().sum(1) for g in found).sqrt()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)  # as torch has it
    for g in found:
        g.mul_(factor.view(-1, *[1] * (g.ndim - 1)))


def set_learning_rate(optimizer, factor):
    """Let the learning rates be so many times those that the optimizer began with."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("full_lr", group["lr"]) * factor


def restore_learning_rate(optimizer):
    """Undo ``set_learning_rate``, so that a later training, or ``set_params(lr=...)``, begins with the full rates."""
    for group in optimizer.param_groups:
        group["lr"] = group.pop("full_lr", group["lr"])
