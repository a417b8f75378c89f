"""What has to be equal between the groups: for each constraint, the conditions within which it has to be."""

import torch

__all__ = ["CONDITIONS", "conditions"]

CONDITIONS = ("demographic_parity", "equal_opportunity", "equalized_odds")


def conditions(constraint, y, n_classes, positive):
    r"""The row masks within which the predictions must not depend on the group.

    ==================  ==========================================================================
    constraint          the soft rates that are compared, :math:`p_k = P(\hat y = k \mid x)`
    ==================  ==========================================================================
    demographic_parity  :math:`\mathbb{E}[p_k \mid s]`
    equal_opportunity   :math:`\mathbb{E}[p_k \mid s, y = +]`
    equalized_odds      :math:`\mathbb{E}[p_k \mid s, y = c]` for each class c
    ==================  ==========================================================================

    Parameters
    ----------
    constraint : str
    y : int64 tensor of shape (n,)
    n_classes, positive : int

    Returns
    -------
    list of bool tensors of shape (n,)

    Examples
    --------
    >>> import torch
    >>> conditions("equalized_odds", torch.tensor([0, 1]), 2, 1)
    [tensor([ True, False]), tensor([False,  True])]
    """
    if constraint == "demographic_parity":
        return [torch.ones_like(y, dtype=torch.bool)]
    if constraint == "equal_opportunity":
        return [y == positive]
    return [y == label for label in range(n_classes)]
