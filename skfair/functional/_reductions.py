"""Means over rows and groups, and draws of rows."""

import torch
from torch.nn.functional import one_hot

__all__ = ["group_mean", "hedge_update", "pick", "weighted_mean"]


def weighted_mean(values, weight=None):
    r"""Return :math:`\frac1n \sum_i w_i v_i`.

    The weights are not renormalised within the batch: an estimator scales them once, to mean 1 over the training
    set, so that the mean over a random minibatch is an unbiased estimate of the mean over the training set.

    Parameters
    ----------
    values : tensor of shape (n,)
    weight : tensor of shape (n,), optional
        All ones if not given.

    Returns
    -------
    tensor of shape ()

    Examples
    --------
    >>> import torch
    >>> weighted_mean(torch.tensor([1., 3.]), torch.tensor([2., 0.]))
    tensor(1.)
    """
    return values.mean() if weight is None else (weight * values).mean()


def group_mean(values, group, n_groups, weight=None):
    r"""Return the mean of each group and whether the group is present.

    .. math:: \mu_g = \frac{\sum_i w_i\, 1[g_i = g]\, v_i}{\sum_i w_i\, 1[g_i = g]}

    A group without rows, or whose rows have no weight, has mean 0 and counts as absent.

    Parameters
    ----------
    values : tensor of shape (n,) or (n, K)
    group : int64 tensor of shape (n,)
        Codes from 0 to ``n_groups - 1``. Rows with code -1 belong to no group.
    n_groups : int
    weight : tensor of shape (n,), optional

    Returns
    -------
    mean : tensor of shape (n_groups,) or (n_groups, K)
    present : bool tensor of shape (n_groups,)

    Examples
    --------
    >>> import torch
    >>> mean, present = group_mean(torch.tensor([1., 3., 5.]), torch.tensor([0, 0, 2]), 3)
    >>> mean, present
    (tensor([2., 0., 5.]), tensor([ True, False,  True]))
    """
    member = one_hot(group + 1, n_groups + 1)[..., 1:].to(values.dtype)  # (n, G)
    if weight is not None:
        member = member * weight.to(values.dtype).unsqueeze(-1)
    mass = member.sum(0)
    present = mass > 0
    mean = (member.mT @ values.reshape(values.shape[0], -1)) / torch.where(present, mass, 1.0).unsqueeze(-1)
    return mean.reshape(n_groups, *values.shape[1:]), present


def hedge_update(log_q, losses, step_size):
    r"""Return the logarithm of the group weights after one step of exponentiated gradient ascent.

    .. math:: q_g \leftarrow \frac{q_g \exp(\eta\, a_g)}{\sum_h q_h \exp(\eta\, a_h)}

    Held as :math:`\log q`, so that no weight ever underflows to 0. A group with :math:`\log q_g = -\infty` stays out.

    Parameters
    ----------
    log_q : tensor of shape (G,)
    losses : tensor of shape (G,)
        The (adjusted) loss of each group, :math:`a_g`. No gradient flows through it.
    step_size : float
        :math:`\eta \ge 0`.

    Returns
    -------
    tensor of shape (G,)

    Examples
    --------
    >>> import math, torch
    >>> hedge_update(torch.zeros(2), torch.tensor([math.log(3.), 0.]), 1.0).exp()
    tensor([0.7500, 0.2500])
    """
    return torch.log_softmax(log_q + step_size * losses.detach(), dim=-1)


def pick(weight, draw):
    r"""Return for each row one column, drawn in proportion to the row's weights, and whether it has any weight.

    The first column j with :math:`\sum_{k \le j} w_{ik} > u_i \sum_k w_{ik}`.

    Parameters
    ----------
    weight : tensor of shape (n, m)
        :math:`w_{ij} \ge 0`.
    draw : tensor of shape (n,)
        :math:`u_i`, in [0, 1).

    Returns
    -------
    index : int64 tensor of shape (n,)
        0 for a row without weights.
    found : bool tensor of shape (n,)

    Examples
    --------
    >>> import torch
    >>> weight = torch.tensor([[1., 0., 1.], [0., 0., 0.]])
    >>> pick(weight, torch.tensor([0.7, 0.7]))
    (tensor([2, 0]), tensor([ True, False]))
    """
    total = weight.cumsum(1)
    last = total[:, -1:]
    reached = total > draw.unsqueeze(1).clamp_max(1 - 1e-6) * last  # rounding must not lead too far
    return reached.int().argmax(1), last.squeeze(1) > 0
