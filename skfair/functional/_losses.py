"""Losses and measures of dependence."""

import torch
from torch.nn.functional import one_hot

__all__ = ["generalized_cross_entropy", "hsic"]


def _rbf(x, w):
    """Gaussian kernel matrix (n, n); the bandwidth, the mean squared distance under w, carries no gradient."""
    square = (x.unsqueeze(0) - x.unsqueeze(1)).square().sum(-1)
    bandwidth = (w @ square @ w).detach().clamp_min(1e-6)
    return torch.exp(-square / (2 * bandwidth))


def hsic(x, group, n_groups, weight=None):
    r"""Return the (biased) Hilbert-Schmidt independence criterion of ``x`` and the group.

    .. math:: \operatorname{tr}(K\, C_w\, L\, C_w^\top)

    with a Gaussian kernel :math:`K` on ``x`` (bandwidth: the weighted mean squared distance of two rows), the kernel
    :math:`L_{ij} = 1[g_i = g_j]` and the weighted centring :math:`C_w = \operatorname{diag}(w) - w w^\top`,
    :math:`\sum_i w_i = 1`. With equal weights this is :math:`\operatorname{tr}(KHLH)/n^2`. It is 0 if and only if the
    empirical distributions of ``x`` agree in all groups.

    Parameters
    ----------
    x : tensor of shape (n, K)
    group : int64 tensor of shape (n,)
        Rows with code -1 are left out.
    n_groups : int
    weight : tensor of shape (n,), optional

    Returns
    -------
    tensor of shape ()
        0 if no row has any weight.

    References
    ----------
    Gretton, Bousquet, Smola, Schoelkopf, "Measuring statistical dependence with Hilbert-Schmidt norms", ALT 2005.

    Examples
    --------
    >>> import torch
    >>> x, g = torch.tensor([[0.], [1.], [0.], [1.]]), torch.tensor([0, 0, 1, 1])
    >>> bool(hsic(x, g, 2).abs() < 1e-7)       # the same values in both groups
    True
    """
    member = one_hot(group + 1, n_groups + 1)[..., 1:].to(x.dtype)  # (n, G)
    w = member.sum(-1) if weight is None else member.sum(-1) * weight.to(x.dtype)
    w = w / w.sum().clamp_min(torch.finfo(x.dtype).tiny)
    centred = w.unsqueeze(-1) * (member - w @ member)  # C_w M, with L = M M^T
    return ((_rbf(x, w) @ centred) * centred).sum()


def generalized_cross_entropy(logits, y, q):
    r"""Return the generalised cross entropy of each row.

    .. math:: \mathrm{GCE}_i = \frac{1 - p_{i, y_i}^{\,q}}{q}

    Its gradient is :math:`p_{i, y_i}^{\,q}` times that of the cross entropy: rows that fit already count more.

    Parameters
    ----------
    logits : tensor of shape (n, K)
    y : int64 tensor of shape (n,)
    q : float
        In (0, 1]. 1 is the probability of being wrong; towards 0 it is the cross entropy.

    Returns
    -------
    tensor of shape (n,)

    References
    ----------
    Zhang, Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels", NeurIPS 2018.

    Examples
    --------
    >>> import torch
    >>> generalized_cross_entropy(torch.zeros(1, 2), torch.tensor([0]), 1.0)
    tensor([0.5000])
    """
    log_p = torch.log_softmax(logits, -1).gather(-1, y.unsqueeze(-1)).squeeze(-1)
    return -torch.expm1(q * log_p) / q
