"""How far from equal the groups are: one number from the predictions and the groups of some rows."""

import torch

from skfair.functional import group_mean, hsic

__all__ = ["PENALTIES"]


def _rates(p, group, n_groups, weight):
    """Soft rate of each group (G, K), the rate of all groups together (K,), which groups are present (G, 1)."""
    rate, present = group_mean(p, group, n_groups, weight)
    known = torch.where(group >= 0, weight, 0.0)
    total = known @ p / known.sum().clamp_min(torch.finfo(p.dtype).tiny)
    return rate, total, present.unsqueeze(-1)


def gap(p, group, n_groups, weight):
    r"""Largest difference between two groups, :math:`\sum_k \max_g \mu_{gk} - \min_g \mu_{gk}`."""
    rate, _, present = _rates(p, group, n_groups, weight)
    high = torch.where(present, rate, -torch.inf).max(0).values
    low = torch.where(present, rate, torch.inf).min(0).values
    return torch.where(present.any(), high - low, 0.0).sum()


def absolute(p, group, n_groups, weight):
    r"""Distances of the groups to the whole, :math:`\sum_k \sum_g |\mu_{gk} - \mu_k|`."""
    rate, total, present = _rates(p, group, n_groups, weight)
    return torch.where(present, (rate - total).abs(), 0.0).sum()


def squared(p, group, n_groups, weight):
    r"""Squared distances of the groups to the whole, :math:`\sum_k \sum_g (\mu_{gk} - \mu_k)^2`."""
    rate, total, present = _rates(p, group, n_groups, weight)
    return torch.where(present, (rate - total).square(), 0.0).sum()


def hilbert_schmidt(p, group, n_groups, weight):
    """HSIC of the predictions and the group: the whole distributions are compared, not their means."""
    return hsic(p, group, n_groups, weight)


PENALTIES = {"gap": gap, "absolute": absolute, "squared": squared, "hsic": hilbert_schmidt}
