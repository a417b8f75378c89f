"""Generative adversarial networks: the pairing loss and the penalty that keeps it from swinging."""

import torch
from torch.nn.functional import softplus

__all__ = ["gradient_penalty", "relativistic_loss"]


def relativistic_loss(difference):
    r"""Return the loss of a player for each pair of a real and a generated row.

    .. math:: \ell_i = \log\big(1 + e^{-\Delta_i}\big)

    :math:`\Delta_i = D(x_i) - D(G(z_i))` for the critic, the same with the other sign for the generator: each wants its
    own row to be rated above the other's. A generator that leaves out a part of the data is told so by the real rows of
    that part, with which its own are paired.

    Parameters
    ----------
    difference : tensor of shape (n,)
        By how much the critic rates the player's own row above the other.

    Returns
    -------
    tensor of shape (n,)
        In nats; log 2 at a difference of 0.

    References
    ----------
    Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard GAN", ICLR 2019.
    Huang et al., "The GAN is dead; long live the GAN! A modern GAN baseline", NeurIPS 2024.

    Examples
    --------
    >>> import torch
    >>> relativistic_loss(torch.tensor([0., 20.]))
    tensor([6.9315e-01, 2.0612e-09])
    """
    return softplus(-difference)


def gradient_penalty(function, x, return_values=False):
    r"""Return the squared norm of each row's gradient, the zero-centred penalty R1 (on real rows) or R2 (on generated ones).

    .. math:: R_i = \big\| \nabla_{x_i} f(x_i) \big\|^2

    The result has a gradient of its own, in the parameters of the function and in ``x``.

    Parameters
    ----------
    function : callable
        :math:`f`, from (n, ...) to (n,); each value may depend on its own row alone.
    x : tensor of shape (n, ...)
    return_values : bool, default=False
        Return :math:`f(x_i)` too, which is computed anyway.

    Returns
    -------
    penalty : tensor of shape (n,)
    values : tensor of shape (n,)
        Only with ``return_values=True``.

    References
    ----------
    Mescheder, Geiger, Nowozin, "Which training methods for GANs do actually converge?", ICML 2018.
    Roth et al., "Stabilizing training of generative adversarial networks through regularization", NeurIPS 2017.

    Examples
    --------
    >>> import torch
    >>> gradient_penalty(lambda x: x.square().sum(1), torch.tensor([[1., 2.], [0., 3.]]))
    tensor([20., 36.])
    """

    def total(x):
        values = function(x)
        return values.sum(), values

    gradient, values = torch.func.grad(total, has_aux=True)(x)
    penalty = gradient.square().flatten(1).sum(1)
    return (penalty, values) if return_values else penalty
