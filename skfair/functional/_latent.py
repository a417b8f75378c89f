"""Latent codes: their distribution, their dependence, and what a classifier reads in them."""

import torch

__all__ = [
    "clamp_perturbation",
    "density_log_ratio",
    "gaussian_kl",
    "gradient_explanation",
    "permute_columns",
    "sample_gaussian",
]

EXPLAIN = ("ce", "neg_logit", "logit")


def gaussian_kl(mean, log_variance):
    r"""Return the divergence of each row's posterior from the standard normal prior.

    .. math:: \mathrm{KL}_i = -\tfrac12 \sum_j \big(1 + \log \sigma_{ij}^2 - \mu_{ij}^2 - \sigma_{ij}^2\big)

    Parameters
    ----------
    mean, log_variance : tensors of shape (n, D)

    Returns
    -------
    tensor of shape (n,)
        In nats.

    Examples
    --------
    >>> import torch
    >>> gaussian_kl(torch.tensor([[1., 0.]]), torch.zeros(1, 2))
    tensor([0.5000])
    """
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(-1)


def sample_gaussian(mean, log_variance, draw):
    r"""Return :math:`z = \mu + \sigma\, \Phi^{-1}(u)`, a sample of each row's posterior.

    Parameters
    ----------
    mean, log_variance : tensors of shape (n, D)
    draw : tensor of shape (n, D)
        Uniform random numbers :math:`u` in [0, 1).

    Returns
    -------
    tensor of shape (n, D)

    Examples
    --------
    >>> import torch
    >>> sample_gaussian(torch.ones(1, 1), torch.zeros(1, 1), torch.tensor([[0.5]]))
    tensor([[1.]])
    """
    noise = torch.special.ndtri(draw.clamp(1e-7, 1 - 1e-7))
    return mean + torch.exp(0.5 * log_variance) * noise


def permute_columns(z, draw):
    r"""Return the rows with each column shuffled by a permutation of its own, without gradient.

    Each marginal :math:`q(z_j)` stays as it is; what columns have to do with each other is destroyed:
    a sample of :math:`\prod_j q(z_j)`.

    Parameters
    ----------
    z : tensor of shape (n, m)
    draw : tensor of shape (n, m)
        Uniform random numbers; the order of a column of them is the permutation of that column.

    Returns
    -------
    tensor of shape (n, m)

    References
    ----------
    Kim, Mnih, "Disentangling by factorising", ICML 2018.

    Examples
    --------
    >>> import torch
    >>> permute_columns(torch.tensor([[1., 5.], [2., 6.]]), torch.tensor([[.9, .1], [.2, .3]]))
    tensor([[2., 5.],
            [1., 6.]])
    """
    return z.detach().gather(0, draw.argsort(0))


def density_log_ratio(logits):
    r"""Return :math:`\log \frac{D_0(z)}{D_1(z)}`, the discriminator's estimate of how much likelier z is under class 0.

    With class 0 for :math:`q(z)` and class 1 for :math:`\prod_j q(z_j)`, its mean over :math:`q(z)` estimates the total
    correlation :math:`\mathrm{KL}(q(z) \,\|\, \prod_j q(z_j))`.

    Parameters
    ----------
    logits : tensor of shape (n, 2)

    Returns
    -------
    tensor of shape (n,)
        In nats.

    Examples
    --------
    >>> import torch
    >>> density_log_ratio(torch.tensor([[2., 0.5]]))
    tensor([1.5000])
    """
    return logits[..., 0] - logits[..., 1]


def gradient_explanation(logits_of, z, explain="ce"):
    r"""Return for each row the gradient, in its code, of the loss of a classifier on its own prediction.

    .. math:: F_i = \nabla_{z_i} L\big(d(z_i), \hat c_i\big), \qquad \hat c_i = \operatorname{argmax} d(z_i)

    Each row's gradient is its own (a sum over the rows is differentiated, not a mean), and no gradient is left in the
    classifier's parameters.

    Parameters
    ----------
    logits_of : callable
        :math:`d`, from (n, D) to (n, K).
    z : tensor of shape (n, D)
    explain : {"ce", "neg_logit", "logit"}, default="ce"
        :math:`L`: the cross entropy, minus the logit of the predicted class, or plus that logit. Along the first two the
        classifier becomes less sure of its prediction, along the third more.

    Returns
    -------
    tensor of shape (n, D)
        Without gradient.

    References
    ----------
    Zhang et al., "Model debiasing via gradient-based explanation on representation", AIES 2023.

    Examples
    --------
    >>> import torch
    >>> W = torch.tensor([[1., 0.], [0., 0.]])
    >>> gradient_explanation(lambda z: z @ W, torch.tensor([[3., 0.]]), "logit")
    tensor([[1., 0.]])
    """

    def total(z):
        logits = logits_of(z)
        predicted = logits.detach().argmax(-1, keepdim=True)
        scores = torch.log_softmax(logits, -1) if explain == "ce" else logits
        chosen = scores.gather(-1, predicted).sum()
        return chosen if explain == "logit" else -chosen

    return torch.func.grad(total)(z.detach()).detach()


def clamp_perturbation(v, z, clip):
    r"""Return the perturbation, each entry held within a share of its code.

    .. math:: \max(-\epsilon, \min(\epsilon, v)), \qquad \epsilon = \mathrm{clip} \cdot |z|

    Parameters
    ----------
    v, z : tensors of shape (n, D)
    clip : float or None
        None leaves ``v`` as it is.

    Returns
    -------
    tensor of shape (n, D)

    Examples
    --------
    >>> import torch
    >>> clamp_perturbation(torch.tensor([[1., -1., 1.]]), torch.tensor([[2., 1., 0.]]), 0.1)
    tensor([[ 0.2000, -0.1000,  0.0000]])
    """
    if clip is None:
        return v
    limit = clip * z.abs()
    return torch.maximum(torch.minimum(v, limit), -limit)
