import functools

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from skfair.base import BaseTwoPlayerNet, check_number
from skfair.functional import density_log_ratio, permute_columns, weighted_mean
from skfair.modules import MLP
from skfair.representation._latent import BaseVAE

__all__ = ["FactorVAETransformer", "discriminator", "tell_apart"]


class FactorVAETransformer(BaseVAE, BaseTwoPlayerNet):
    r"""FactorVAE: a variational autoencoder whose latent dimensions are pushed towards independence.

    .. math::
        \min_{\theta, \phi} \frac1n \sum_i w_i \Big[ -\log p_\theta(x_i \mid z_i)
        + \mathrm{KL}\big(q_\phi(z \mid x_i) \,\|\, N(0, I)\big) + \gamma \log \frac{D_0(z_i)}{D_1(z_i)} \Big]

    The last term estimates the total correlation :math:`\mathrm{KL}(q(z) \,\|\, \prod_j q(z_j))`. The discriminator tells
    codes (class 0) from codes whose dimensions are shuffled over the batch, each by a permutation of its own (class 1):

    .. math:: \min_D \tfrac12 \big[ \mathrm{CE}(D(z), 0) + \mathrm{CE}(D(\mathrm{permute}(z)), 1) \big]

    ====================  ======  =========  ==========
    needs groups          at fit  to select  at predict
    ====================  ======  =========  ==========
    FactorVAETransformer  no      no         no
    ====================  ======  =========  ==========

    Parameters
    ----------
    n_components : int, default=10
        Number of latent dimensions, D.
    gamma : float, default=6.4
        :math:`\gamma \ge 0`. 0 is :class:`VAETransformer`, to the last bit.
    adversary_hidden : sequence of int, default=(128, 128)
        Widths of the discriminator's hidden layers. The paper has (1000,) * 5.
    adversary_lr : float, default=1e-3
    likelihood, module, max_epochs
        As in :class:`VAETransformer`.
    **kwargs
        The other parameters of :class:`skfair.base.BaseTwoPlayerNet`.

    Attributes
    ----------
    adversary_ : torch.nn.Module
        The discriminator; not used in ``transform``.
    likelihood_, blocks_, module_, history
        As in :class:`VAETransformer`.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or a Bernoulli column leaves [0, 1].

    Notes
    -----
    The paper's settings for CelebA: :math:`\gamma` from 1 to 6.4; ``lr=1e-4, batch_size=64``, 1,000,000 steps; for the
    discriminator ``adversary_lr=1e-5, adversary_optimizer__betas=(0.5, 0.9)``.

    NOTE[DIFF] The paper shuffles a second batch. We shuffle the same one: the discriminator's loss is a sum over codes and
    over shuffled codes, so its expectation is the same.
    NOTE[DIFF] With sample weights a shuffled row has the product of the weights of its parts: the weighted marginals.
    NOTE[DIFF] The discriminator's step precedes the network's.

    References
    ----------
    Kim, Mnih, "Disentangling by factorising", ICML 2018.
    Zhang et al., "Model debiasing via gradient-based explanation on representation", AIES 2023.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.representation import FactorVAETransformer
    >>> X = make_biased_classification(500, random_state=0).data
    >>> vae = FactorVAETransformer(n_components=3, max_epochs=5, random_state=0).fit(X)
    >>> vae.transform(X).shape
    (500, 3)
    """

    def __init__(self, *, n_components=10, gamma=6.4, adversary_hidden=(128, 128), **kwargs):
        super().__init__(**kwargs)
        self.n_components = n_components
        self.gamma = gamma
        self.adversary_hidden = adversary_hidden

    def check_parameters(self):
        super().check_parameters()
        check_number("gamma", self.gamma, low=0)

    @property
    def n_adversary_draws(self):
        return self.n_latents_

    def make_adversary(self):
        return discriminator(self.n_latents_, 2, self.adversary_hidden)

    def objective(self, output, batch):
        z = self.code(output, batch)
        elbo = self.reconstruction(z, batch.x) + self.divergence(output)
        return weighted_mean(elbo + self.gamma * density_log_ratio(self.adversary_(z)), batch.weight)

    def adversary_objective(self, output, batch):
        z, draw = self.code(output, batch), batch.adversary_draw
        weight = permute_columns(batch.weight.unsqueeze(1).expand_as(z), draw).prod(1)
        return tell_apart(self.adversary_, z, permute_columns(z, draw), batch.weight, weight)


def discriminator(in_features, out_features, hidden):
    """A multilayer perceptron with LeakyReLU(0.2) and without dropout."""
    if isinstance(hidden, int):
        raise ValueError(
            f"adversary_hidden must hold the widths of the hidden layers, such as ({hidden},), got {hidden}."
        )
    leaky = functools.partial(nn.LeakyReLU, 0.2)
    return MLP(in_features, out_features, hidden=hidden, dropout=0.0, activation=leaky)


def tell_apart(adversary, real, shuffled, weight, shuffled_weight):
    """The discriminator's loss: 1/2 [CE(D(real), 0) + CE(D(shuffled), 1)]."""
    zero = torch.zeros(len(real), dtype=torch.int64, device=real.device)
    real = cross_entropy(adversary(real), zero, reduction="none")
    shuffled = cross_entropy(adversary(shuffled), zero + 1, reduction="none")
    return 0.5 * (weighted_mean(real, weight) + weighted_mean(shuffled, shuffled_weight))
