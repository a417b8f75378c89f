import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from skfair.base import BaseTwoPlayerNet, check_choice, check_number
from skfair.functional import density_log_ratio, gaussian_kl, permute_columns, sample_gaussian, weighted_mean
from skfair.representation._factor_vae import discriminator, tell_apart
from skfair.representation._latent import BaseVAE

__all__ = ["FFVAETransformer"]


class FFVAETransformer(BaseVAE, BaseTwoPlayerNet):
    r"""Flexibly fair VAE: the sensitive attributes get latent dimensions of their own, which can be taken out.

    The latent code is :math:`[z, b]`, with one dimension of b per sensitive attribute :math:`a_j \in \{0, 1\}`. It is
    deterministic and serves as the logit of its attribute:

    .. math::
        \min \frac1n \sum_i w_i \Big[ -\log p(x_i \mid z_i, b_i) + \mathrm{KL}\big(q(z \mid x_i) \,\|\, N(0, I)\big)
        + \alpha \frac1{n_a} \sum_j \mathrm{BCE}(b_{ij}, a_{ij}) + \gamma \log \frac{D_0(z_i, b_i)}{D_1(z_i, b_i)} \Big]

    The discriminator D tells codes from codes in which each :math:`b_j` is shuffled over the batch by a permutation of its
    own while z stays whole, so that z and all :math:`b_j` become independent: :math:`q(z) \prod_j q(b_j)`.

    ================  ======  =========  ==========
    needs groups      at fit  to select  at predict
    ================  ======  =========  ==========
    FFVAETransformer  yes     no         no
    ================  ======  =========  ==========

    Parameters
    ----------
    n_components : int, default=10
        Number of dimensions of z; the :math:`n_a` sensitive ones come on top.
    alpha : float, default=1.0
        :math:`\alpha \ge 0`: how much the dimensions b have to tell of their attributes.
    gamma : float, default=1.0
        :math:`\gamma \ge 0`: how independent they have to be of z. The published sweeps go up to 6.4 (images), 100 (Adult).
    removal : {"drop", "zero", "noise"}, default="drop"
        What ``transform`` makes of the sensitive dimensions: leaves them out, sets them to 0, or puts standard normal noise
        there (drawn by ``random_state``: the same in each call, but a row's noise depends on its place).
    adversary_hidden, likelihood, module, max_epochs
        As in :class:`FactorVAETransformer`.
    **kwargs
        The other parameters of :class:`skfair.base.BaseTwoPlayerNet`.

    Attributes
    ----------
    attributes_ : list of (column, value)
        The sensitive attribute of each of the last :math:`n_a` dimensions. A sensitive feature of two values makes one
        attribute, one of more values makes one for each. The intersection of several is taken out with all of them.
    adversary_ : torch.nn.Module
        The discriminator; not used in ``transform``.
    likelihood_, blocks_, groups_, module_, history
        As in :class:`VAETransformer`.

    Raises
    ------
    ValueError
        If a parameter is out of its range, sensitive features are missing or constant, or a Bernoulli column leaves
        [0, 1].

    Notes
    -----
    The DVGE paper has ten dimensions in all: ``n_components=9`` with one attribute.

    NOTE[DIFF] The removed dimensions are dropped, as in the DVGE paper; other code replaces them by noise, also in
    predictions, which then are not repeatable.
    NOTE[DIFF] The same batch is shuffled, and weighted rows, as in :class:`FactorVAETransformer`.

    References
    ----------
    Creager et al., "Flexibly fair representation learning by disentanglement", ICML 2019.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.representation import FFVAETransformer
    >>> data = make_biased_classification(500, random_state=0)
    >>> vae = FFVAETransformer(n_components=3, max_epochs=5, random_state=0)
    >>> vae = vae.fit(data.data, sensitive_features=data.sensitive_features)
    >>> vae.transform(data.data).shape
    (500, 3)
    """

    needs_sensitive = True
    min_groups = 2

    def __init__(self, *, n_components=10, alpha=1.0, gamma=1.0, removal="drop", adversary_hidden=(128, 128), **kwargs):
        super().__init__(**kwargs)
        self.n_components = n_components
        self.alpha = alpha
        self.gamma = gamma
        self.removal = removal
        self.adversary_hidden = adversary_hidden

    def check_parameters(self):
        super().check_parameters()
        check_number("alpha", self.alpha, low=0)
        check_number("gamma", self.gamma, low=0)
        check_choice("removal", self.removal, {"drop", "zero", "noise"})

    def prepare(self, X, y, *, sensitive_features, sample_weight):
        encoder = self.sensitive_encoder_
        self.attributes_, self.codes_ = [], []
        for k, (name, categories) in enumerate(zip(encoder.names_, encoder.categories_)):
            for code in range(len(categories)) if len(categories) > 2 else range(1, len(categories)):
                self.attributes_.append((name, categories[code]))
                self.codes_.append((k, code))
        return super().prepare(X, y, sensitive_features=sensitive_features, sample_weight=sample_weight)

    @property
    def n_latents_(self):
        """Number of all latent dimensions, D."""
        return self.n_components + len(self.attributes_)

    @property
    def n_adversary_draws(self):
        return len(self.attributes_)

    def make_adversary(self):
        return discriminator(self.n_latents_, 2, self.adversary_hidden)

    # ------------------------------------------------------------------ the code [z, b]
    def parts(self, values):
        """What belongs to z and to b, of values for all latent dimensions."""
        return values[..., : self.n_components], values[..., self.n_components :]

    def code(self, output, batch):
        (mean, b), (log_variance, _) = map(self.parts, output)
        if batch.draw is not None:
            mean = sample_gaussian(mean, log_variance, self.parts(batch.draw)[0])
        return torch.cat([mean, b], -1)

    def divergence(self, output):
        (mean, _), (log_variance, _) = map(self.parts, output)
        return gaussian_kl(mean, log_variance)

    def objective(self, output, batch):
        zb = self.code(output, batch)
        a = torch.stack([batch.sensitive[:, k] == code for k, code in self.codes_], 1).to(zb.dtype)  # (n, n_a)
        told = binary_cross_entropy_with_logits(self.parts(zb)[1], a, reduction="none").mean(1)
        elbo = self.reconstruction(zb, batch.x) + self.divergence(output)
        ratio = density_log_ratio(self.adversary_(zb))
        return weighted_mean(elbo + self.alpha * told + self.gamma * ratio, batch.weight)

    def adversary_objective(self, output, batch):
        zb, draw = self.code(output, batch), batch.adversary_draw
        z, b = self.parts(zb)
        shuffled = torch.cat([z, permute_columns(b, draw)], -1)
        weight = permute_columns(batch.weight.unsqueeze(1).expand_as(b), draw).prod(1) * batch.weight
        return tell_apart(self.adversary_, zb, shuffled, batch.weight, weight)

    # ------------------------------------------------------------------ what is left of it
    def readout(self):
        if self.removal == "noise":
            raise TypeError(
                "FFVAETransformer(removal='noise') puts noise into its codes, which are no function of X alone."
            )
        d, n, dropped = self.n_components, self.n_latents_, self.removal == "drop"
        return lambda output: (output[:, :d] if dropped else torch.cat([output[:, :d], 0 * output[:, d:n]], 1),)

    def keep(self, Z):
        z, b = self.parts(Z)
        if self.removal == "drop":
            return z
        rng = np.random.default_rng(self.streams_.seed_of("removal"))
        return np.concatenate([z, rng.standard_normal(b.shape) if self.removal == "noise" else np.zeros(b.shape)], 1)

    def fill(self, Z):
        n_a = len(self.attributes_)
        return np.concatenate([Z, np.zeros((len(Z), n_a))], 1) if self.removal == "drop" else Z

    @property
    def _n_features_out(self):
        return self.n_latents_ - (len(self.attributes_) if self.removal == "drop" else 0)
