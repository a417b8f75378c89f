import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from skfair.base import BaseTransformer, BaseTwoPlayerNet, check_number
from skfair.functional import reverse_gradient, weighted_mean
from skfair.representation._factor_vae import discriminator
from skfair.representation._latent import BaseVAE

__all__ = ["FDVAETransformer"]


class FDVAETransformer(BaseVAE, BaseTwoPlayerNet):
    r"""FD-VAE (experimental): target, protected and mutual information in subspaces of their own.

    The losses of the paper are not published in a form that is at hand. What is built is a reading of its description, and
    no reproduction of its results is claimed. The code is [TAL, MAL, PAL] (target, mutual and protected attribute latents).

    Stage 1, with classifiers c and adversaries a that are trained along:

    .. math::
        \min \text{VAE loss} + \alpha \big[ \mathrm{CE}(c_y(\mathrm{TAL}), y) + \mathrm{CE}(c_s(\mathrm{PAL}), s)
        + \mathrm{CE}(c'_y(\mathrm{MAL}), y) + \mathrm{CE}(c'_s(\mathrm{MAL}), s) \big]
        - \gamma \big[ \mathrm{CE}(a_s(\mathrm{TAL}), s) + \mathrm{CE}(a_y(\mathrm{PAL}), y) \big]

    Stage 2, with the encoder as it is, codes the mutual part anew, without the sensitive information:

    .. math:: \min_{r, c} \mathrm{CE}(c(r), y) - \beta\, \mathrm{CE}(a(r), s), \qquad r = r(\mathrm{MAL})

    The signs are reversals of the gradient: each adversary minimises its own loss. ``transform`` returns [TAL, r(MAL)],
    for a classifier (stage 3) of any kind.

    ================  ======  =========  ==========
    needs groups      at fit  to select  at predict
    ================  ======  =========  ==========
    FDVAETransformer  yes     no         no
    ================  ======  =========  ==========

    Parameters
    ----------
    subspaces : tuple of three ints, default=(3, 4, 3)
        Dimensions of TAL, MAL and PAL.
    alpha, gamma : float, default=1.0
        Weights of stage 1.
    beta : float, default=1.0
        Weight of the adversary of stage 2.
    recode_epochs : int, default=20
        Of stage 2.
    adversary_hidden : sequence of int, default=(50,)
        Of all classifiers and adversaries.
    likelihood, module, max_epochs
        As in :class:`VAETransformer`; ``max_epochs`` is stage 1's.
    **kwargs
        The other parameters of :class:`skfair.base.BaseTwoPlayerNet`.

    Attributes
    ----------
    recoder_ : estimator
        Stage 2.
    likelihood_, blocks_, classes_, groups_, module_, history
        As in the other estimators.

    Raises
    ------
    ValueError
        If a parameter is out of its range, sensitive features are missing or constant, y holds one class only, or a
        Bernoulli column leaves [0, 1].

    Notes
    -----
    ``inverse_transform`` decodes MAL as r's own linear decoder (fitted in stage 2) gives it back, and PAL as 0.

    NOTE[DIFF] All of the losses above: the paper's are not at hand. The sizes 3, 4 and 3 are the DVGE paper's.

    References
    ----------
    Park, Hwang, Kim, Byun, "Learning disentangled representation for fair facial attribute classification via
    fairness-aware information alignment", AAAI 2021.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.representation import FDVAETransformer
    >>> data = make_biased_classification(500, random_state=0)
    >>> vae = FDVAETransformer(subspaces=(2, 1, 1), max_epochs=5, random_state=0)
    >>> vae.fit_transform(data.data, data.target, sensitive_features=data.sensitive_features).shape
    (500, 3)
    """

    needs_sensitive = True
    uses_labels = True
    min_groups = 2
    min_classes = 2

    def __init__(
        self, *, subspaces=(3, 4, 3), alpha=1.0, gamma=1.0, beta=1.0, recode_epochs=20, adversary_hidden=(50,), **kwargs
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.subspaces = subspaces
        self.alpha = alpha
        self.gamma = gamma
        self.beta = beta
        self.recode_epochs = recode_epochs
        self.adversary_hidden = adversary_hidden

    def check_components(self):
        sizes = self.subspaces
        if not isinstance(sizes, tuple | list) or len(sizes) != 3:
            raise ValueError(f"subspaces must hold the sizes of TAL, MAL and PAL, such as (3, 4, 3), got {sizes!r}.")
        for name, size in zip(("TAL", "MAL", "PAL"), sizes):
            check_number(f"subspaces ({name})", size, low=1, integer=True)

    def check_parameters(self):
        super().check_parameters()
        for name in ("alpha", "gamma", "beta"):
            check_number(name, getattr(self, name), low=0)
        check_number("recode_epochs", self.recode_epochs, low=1, integer=True)

    @property
    def n_latents_(self):
        return sum(self.subspaces)

    def parts(self, values):
        """TAL, MAL and PAL, of values for all latent dimensions."""
        t, m, _ = self.subspaces
        return values[..., :t], values[..., t : t + m], values[..., t + m :]

    # ------------------------------------------------------------------ stage 1
    def make_adversary(self):
        t, m, p = self.subspaces
        y, s = self.n_classes_, self.n_groups_
        sizes = {"y_tal": (t, y), "s_pal": (p, s), "y_mal": (m, y), "s_mal": (m, s), "s_tal": (t, s), "y_pal": (p, y)}
        return nn.ModuleDict({name: discriminator(*size, self.adversary_hidden) for name, size in sizes.items()})

    def objective(self, output, batch):
        z, heads = self.code(output, batch), self.adversary_
        tal, mal, pal = self.parts(z)

        def told(name, part, truth):
            return cross_entropy(heads[name](part), truth, reduction="none")

        y, s = batch.y, batch.group
        aligned = told("y_tal", tal, y) + told("s_pal", pal, s) + told("y_mal", mal, y) + told("s_mal", mal, s)
        hidden = told("s_tal", reverse_gradient(tal, self.gamma), s) + told(
            "y_pal", reverse_gradient(pal, self.gamma), y
        )
        elbo = self.reconstruction(z, batch.x) + self.divergence(output)
        return weighted_mean(elbo + self.alpha * aligned + hidden, batch.weight)

    def backward(self, output, batch):
        return self.joint_backward(output, batch)

    # ------------------------------------------------------------------ stage 2
    def complete(self, rows):
        mal = self.parts(self.outputs(rows)[:, : self.n_latents_])[1].float().numpy()
        group, weight = rows.y["group"].cpu().numpy(), rows.y["weight"].cpu().numpy()
        self.recoder_ = self.stage(
            _Recoder, module=_Recode, max_epochs=self.recode_epochs, beta=self.beta, adversary_hidden=self.adversary_hidden,
            adversary_lr=self.adversary_lr,
        )  # fmt: skip
        self.recoder_.fit(mal, rows.y["y"].cpu().numpy(), sensitive_features=group, sample_weight=weight)

    def readout(self):
        recode, recoded = self.recoder_.to_torch(), self.recoder_.main_output

        def read(output):
            tal, mal, _ = self.parts(output[:, : self.n_latents_])
            return (torch.cat([tal, recoded(recode(mal))], 1),)

        return read

    def keep(self, Z):
        tal, mal, _ = self.parts(Z)
        return np.concatenate([tal, self.recoder_.transform(mal)], 1)

    def fill(self, Z):
        t, m, p = self.subspaces
        with torch.inference_mode():
            mal = self.recoder_.module_.back(torch.as_tensor(Z[:, t:], dtype=torch.float32, device=self.device_)).cpu()
        return np.concatenate([Z[:, :t], mal.double().numpy(), np.zeros((len(Z), p))], 1)

    @property
    def _n_features_out(self):
        return sum(self.subspaces[:2])


class _Recode(nn.Module):
    """r, of the width of MAL, and the linear way back from it."""

    runs_in_float64 = True

    def __init__(self, in_features):
        super().__init__()
        self.recode = discriminator(in_features, in_features, (50,))
        self.back = nn.Linear(in_features, in_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.recode(x)


class _Recoder(BaseTransformer, BaseTwoPlayerNet):
    """Stage 2 of FD-VAE. The rows of one ``partial_fit`` may hold one group only: then there is nothing to hide."""

    def __init__(self, *, beta=1.0, adversary_hidden=(50,), module=_Recode, **kwargs):
        super().__init__(module=module, **kwargs)
        self.beta = beta
        self.adversary_hidden = adversary_hidden

    @property
    def out_features_(self):
        return self.in_features_

    def make_adversary(self):
        widths = {"y": self.n_classes_, "s": self.n_groups_}
        return nn.ModuleDict({k: discriminator(self.in_features_, n, self.adversary_hidden) for k, n in widths.items()})

    def objective(self, output, batch):
        target = cross_entropy(self.adversary_["y"](output), batch.y, reduction="none")
        hidden = cross_entropy(self.adversary_["s"](reverse_gradient(output, self.beta)), batch.group, reduction="none")
        back = mse_loss(self.module_.back(output.detach()), batch.x, reduction="none").mean(1)
        return weighted_mean(target + hidden + back, batch.weight)

    def backward(self, output, batch):
        return self.joint_backward(output, batch)
