"""Weights of rows (or groups) by their losses: whom a robust objective looks at."""

import torch

__all__ = ["adversarial_weights", "bias_weights", "chi_square_weights", "cvar_weights", "soft_cross_entropy"]

STEPS = 45  # halvings of the interval that holds eta


def chi_square_weights(losses, c, weight=None):
    r"""Return the worst weights of the rows within a chi-square ball, without gradient.

    .. math::
        w_i \propto (\ell_i - \eta)_+, \qquad
        \eta = \operatorname{argmin}_\eta \; \eta + C \sqrt{\mathbb{E}[(\ell - \eta)_+^2]}

    They solve :math:`\max_w \mathbb{E}[w \ell]` over :math:`\mathbb{E}[w] = 1`, :math:`\mathbb{E}[(w - 1)^2] \le C^2 -
    1`. Eta is found by bisection. For C = 1, or equal losses, all weights are 1; if the ball reaches beyond the rows,
    all weight is on the row of largest loss.

    Parameters
    ----------
    losses : tensor of shape (n,)
    c : float or tensor of shape ()
        :math:`C \ge 1`.
    weight : tensor of shape (n,), optional
        Sample weights; means are weighted means.

    Returns
    -------
    tensor of shape (n,)
        Not negative, of (weighted) mean 1.

    References
    ----------
    Hashimoto et al., "Fairness without demographics in repeated loss minimization", ICML 2018.

    Examples
    --------
    >>> import torch
    >>> chi_square_weights(torch.tensor([0., 1., 2.]), 1.0), chi_square_weights(torch.tensor([0., 1., 2.]), 100.0)
    (tensor([1., 1., 1.]), tensor([0., 0., 3.]))
    """
    loss = losses.detach().double()
    share = torch.ones_like(loss) if weight is None else weight.double()
    share = share / share.sum().clamp_min(1e-300)
    radius = torch.as_tensor(c, dtype=torch.float64, device=loss.device).square() - 1
    mean = share @ loss
    spread = (share @ (loss - mean).square()).sqrt()
    high = torch.where(share > 0, loss, -torch.inf).max()
    least = torch.where(share > 0, loss, torch.inf).min()
    low = torch.minimum(mean - spread / radius.clamp_min(1e-12).sqrt(), least)
    for _ in range(STEPS):
        eta = (low + high) / 2
        above = (loss - eta).clamp_min(0)
        first, second = share @ above, share @ above.square()
        too_high = first.square() * (1 + radius) < second  # the slope 1 - C E[.] / sqrt(E[.^2]) is positive
        low, high = torch.where(too_high, low, eta), torch.where(too_high, eta, high)
    above = (loss - low).clamp_min(0)
    mass = share @ above
    found = torch.where((mass > 0) & (radius > 0), above / torch.where(mass > 0, mass, 1.0), 1.0)
    return found.to(losses.dtype)


def cvar_weights(losses, alpha, weight=None):
    r"""Return the weights that put all mass on the fraction :math:`\alpha` of largest losses, without gradient.

    They solve :math:`\max_w \mathbb{E}[w \ell]` over :math:`\mathbb{E}[w] = 1`, :math:`0 \le w \le 1 / \alpha`: the
    conditional value at risk. The row at the border gets the rest.

    Parameters
    ----------
    losses : tensor of shape (n,)
    alpha : float or tensor of shape ()
        In (0, 1].
    weight : tensor of shape (n,), optional
        Sample weights, or the shares of groups.

    Returns
    -------
    tensor of shape (n,)
        Of (weighted) mean 1.

    References
    ----------
    Levy, Carmon, Duchi, Sidford, "Large-scale methods for distributionally robust optimization", NeurIPS 2020.

    Examples
    --------
    >>> import torch
    >>> cvar_weights(torch.tensor([3., 1., 2., 0.]), 0.375)
    tensor([2.6667, 0.0000, 1.3333, 0.0000])
    """
    loss = losses.detach()
    share = torch.ones_like(loss) if weight is None else weight.to(loss.dtype)
    share = share / share.sum().clamp_min(1e-30)
    order = loss.argsort(descending=True)
    sorted_share = share.gather(0, order)
    before = sorted_share.cumsum(0) - sorted_share
    taken = torch.minimum((alpha - before).clamp_min(0), sorted_share)  # mass within the fraction
    found = taken / (alpha * sorted_share.clamp_min(1e-30))
    return torch.zeros_like(found).scatter(0, order, found)


def adversarial_weights(scores, weight=None):
    r"""Return :math:`\lambda_i = 1 + \frac{s_i}{\frac1n \sum_j w_j s_j}`, the weights of ARL; their mean is 2.

    Parameters
    ----------
    scores : tensor of shape (n,)
        :math:`s_i \ge 0`, the adversary's.
    weight : tensor of shape (n,), optional

    Returns
    -------
    tensor of shape (n,)

    References
    ----------
    Lahoti et al., "Fairness without demographics through adversarially reweighted learning", NeurIPS 2020.

    Examples
    --------
    >>> import torch
    >>> adversarial_weights(torch.tensor([0.1, 0.3]))
    tensor([1.5000, 2.5000])
    """
    mean = scores.mean() if weight is None else (weight * scores).sum() / weight.sum().clamp_min(1e-30)
    return 1 + scores / mean.clamp_min(1e-4)


def bias_weights(biased, debiased):
    r"""Return :math:`W_i = \frac{B_i}{B_i + D_i}`, how much harder a row is for the biased network than for the other.

    Parameters
    ----------
    biased, debiased : tensors of shape (n,)
        Relative losses :math:`B_i, D_i \ge 0`.

    Returns
    -------
    tensor of shape (n,)
        In [0, 1].

    References
    ----------
    Nam et al., "Learning from failure", NeurIPS 2020.

    Examples
    --------
    >>> import torch
    >>> bias_weights(torch.tensor([1.0, 0.5]), torch.tensor([1.0, 1.5]))
    tensor([0.5000, 0.2500])
    """
    return biased / (biased + debiased + 1e-8)


def soft_cross_entropy(logits, target, temperature=1.0):
    r"""Return the cross entropy of soft targets, :math:`-T^2 \sum_k p^{(T)}_k \log \mathrm{softmax}(z / T)_k`.

    Here :math:`p^{(T)}_k \propto p_k^{1/T}`; :math:`T^2` keeps the size of the gradient.

    Parameters
    ----------
    logits : tensor of shape (n, K)
    target : tensor of shape (n, K)
        Probabilities :math:`p`.
    temperature : float, default=1.0

    Returns
    -------
    tensor of shape (n,)

    References
    ----------
    Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015.

    Examples
    --------
    >>> import torch
    >>> soft_cross_entropy(torch.zeros(1, 2), torch.tensor([[0.3, 0.7]]))
    tensor([0.6931])
    """
    heated = torch.softmax(target.clamp_min(1e-30).log() / temperature, -1)
    return -(temperature**2) * (heated * torch.log_softmax(logits / temperature, -1)).sum(-1)
