"""How badly a decoder's output explains the columns of a row."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

__all__ = ["bernoulli_nll", "categorical_nll", "gaussian_nll"]


def bernoulli_nll(logits, x):
    r"""Return :math:`-\sum_j x_j \log \sigma(o_j) + (1 - x_j) \log(1 - \sigma(o_j))` of each row.

    Parameters
    ----------
    logits, x : tensors of shape (n, m)
        x in [0, 1].

    Returns
    -------
    tensor of shape (n,)
        In nats.

    Examples
    --------
    >>> import torch
    >>> bernoulli_nll(torch.zeros(1, 2), torch.tensor([[0., 1.]]))
    tensor([1.3863])
    """
    return binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


def gaussian_nll(mean, x, log_variance=None):
    r"""Return :math:`\tfrac12 \sum_j \frac{(x_j - o_j)^2}{s_j^2} + \log s_j^2` of each row.

    Parameters
    ----------
    mean, x : tensors of shape (n, m)
    log_variance : tensor of shape (m,), optional
        :math:`\log s_j^2`; 0 if not given.

    Returns
    -------
    tensor of shape (n,)
        In nats, less the constant :math:`\tfrac m2 \log 2\pi`.

    Examples
    --------
    >>> import torch
    >>> gaussian_nll(torch.zeros(1, 2), torch.tensor([[1., 2.]]))
    tensor([2.5000])
    """
    square = (x - mean).square()
    if log_variance is not None:
        square = square * torch.exp(-log_variance) + log_variance
    return 0.5 * square.sum(-1)


def categorical_nll(logits, x, blocks, valid):
    r"""Return :math:`-\sum_b \sum_{j \in b} x_j \log \mathrm{softmax}_b(o)_j` of each row.

    Parameters
    ----------
    logits, x : tensors of shape (n, d)
        In x the columns of each block are one-hot codes of one variable.
    blocks : int64 tensor of shape (B, m)
        The columns of each block, filled up to the longest with any column.
    valid : bool tensor of shape (B, m)
        Which entries of ``blocks`` count.

    Returns
    -------
    tensor of shape (n,)
        In nats.

    Examples
    --------
    >>> import torch
    >>> blocks, valid = torch.tensor([[0, 1]]), torch.tensor([[True, True]])
    >>> categorical_nll(torch.zeros(1, 2), torch.tensor([[0., 1.]]), blocks, valid)
    tensor([0.6931])
    """
    logits, x = logits[..., blocks], x[..., blocks] * valid  # (n, B, m)
    log_p = torch.log_softmax(logits.masked_fill(~valid, -1e30), -1)
    return -(x * torch.where(valid, log_p, 0.0)).sum((-2, -1))
