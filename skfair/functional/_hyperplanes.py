"""Moves in a latent space that give affine functions wanted values."""

import torch

__all__ = ["explained_by_others", "move_to"]


def move_to(z, normals, offsets, goal):
    r"""The points nearest to z at which affine functions take the values wanted.

    .. math::
        z' = z + W^+ \big(\mathrm{goal} - (W z + b)\big) = \arg\min_{u:\; W u + b = \mathrm{goal}} \|u - z\|

    For two hyperplanes of unit normals :math:`w_t, w_g`, the first to be kept and the second to be crossed,
    :math:`\mathrm{goal} = (h_t(z), -h_g(z))`, it is

    .. math:: z' = z - \frac{2 h_g(z)}{1 - (w_g^\top w_t)^2} \big(w_g - (w_g^\top w_t)\, w_t\big)

    Parameters
    ----------
    z : tensor of shape (n, D)
    normals : tensor of shape (k, D)
        W. Rows that depend on each other are all right as long as the values wanted of them agree.
    offsets : tensor of shape (k,)
        b.
    goal : tensor of shape (n, k)

    Returns
    -------
    tensor of shape (n, D)

    Examples
    --------
    >>> import torch
    >>> z, w = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    >>> b = torch.zeros(2)
    >>> h = z @ w.T + b
    >>> moved = move_to(z, w, b, h * torch.tensor([1.0, -1.0]))
    >>> torch.round(moved @ w.T + b, decimals=4), torch.round(h, decimals=4)
    (tensor([[ 1.0000, -2.2000]]), tensor([[1.0000, 2.2000]]))
    """
    return z + (goal - (z @ normals.mT + offsets)) @ torch.linalg.pinv(normals).mT


def explained_by_others(normals):
    r"""How much of each unit normal lies in the span of the others: 0 where it is orthogonal to them, 1 if all of it.

    For two it is :math:`(w_g^\top w_t)^2` of both.

    Parameters
    ----------
    normals : tensor of shape (k, D)
        Of length 1 each.

    Returns
    -------
    tensor of shape (k,)

    Examples
    --------
    >>> import torch
    >>> explained_by_others(torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])).round(decimals=4)
    tensor([0.3600, 0.3600, 0.0000])
    """
    k = normals.shape[-2]
    found = []
    for j in range(k):
        others = torch.cat([normals[..., :j, :], normals[..., j + 1 :, :]], -2)
        own = normals[..., j, :].unsqueeze(-2)
        inside = own @ torch.linalg.pinv(others) @ others if k > 1 else torch.zeros_like(own)
        found.append((inside**2).sum((-1, -2)))
    return torch.stack(found, -1)
