import copy
import inspect

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from skfair.base import BaseTwoPlayerNet, check_is_fitted, check_number, evaluation_module
from skfair.functional import gradient_penalty, relativistic_loss, sample_gaussian, weighted_mean
from skfair.modules import DenseCritic, DenseGenerator, ImageCritic, ImageGenerator

__all__ = ["GANGenerator"]

BLOCK = 512  # codes that are decoded at once
AUTO_GAMMA = (0.1, 10.0)  # of rows of a table, of images
DEFAULT = {"module": (DenseGenerator, ImageGenerator), "adversary": (DenseCritic, ImageCritic)}


def _absent(name):
    def raises(self):
        raise AttributeError(f"GANGenerator has sample and decode, but no {name}: a GAN has no encoder and no labels.")

    return property(raises)


class GANGenerator(BaseTwoPlayerNet):
    r"""A generative adversarial network (R3GAN): rows, such as images, from random codes.

    The critic D is to rate each real row above a generated one, the generator G the other way round:

    .. math::
        \min_D \frac1n \sum_i w_i\, \ell\big(D(x_i) - D(G(z_i))\big)
        + \frac\gamma2 \Big[ w_i \big\|\nabla D(x_i)\big\|^2 + \big\|\nabla D(G(z_i))\big\|^2 \Big], \qquad
        \min_G \frac1n \sum_i w_i\, \ell\big(D(G(z_i)) - D(x_i)\big)

    with :math:`\ell(\Delta) = \log(1 + e^{-\Delta})` and :math:`z_i \sim N(0, I)`. It has ``sample`` for codes and
    ``decode`` for what they stand for. It has no encoder: no ``transform`` and no ``predict``.

    ============  ======  =========  ==========
    needs groups  at fit  to select  at predict
    ============  ======  =========  ==========
    GANGenerator  no      no         no
    ============  ======  =========  ==========

    Parameters
    ----------
    n_components : int, default=64
        Number of latent dimensions, D.
    gamma : float or "auto", default="auto"
        :math:`\gamma \ge 0`, for values in [-1, 1]. Larger is steadier and slower; 0 leaves the penalties out. It grows with
        the squared distances between rows: "auto" is 10 for images and 0.1 for other rows.
    average : float, default=0.999
        In [0, 1). ``decode`` uses a moving average of the generator's weights:
        :math:`\bar\theta_t = \beta_t \bar\theta_{t-1} + (1 - \beta_t) \theta_t` after step t, with
        :math:`\beta_t = \min\big(\mathrm{average}, \tfrac{t - 1}{t + 8}\big)`, a shorter memory early in training. 0: the
        last weights.
    module : class, callable or torch.nn.Module, optional
        The generator, from codes (n, D) to rows of values in [-1, 1] (what lies outside is clipped in ``decode``). By
        default :class:`skfair.modules.ImageGenerator` for rows of shape (C, S, S), else
        :class:`skfair.modules.DenseGenerator`.
    adversary : class, callable or torch.nn.Module, optional
        The critic, from rows to numbers (n,), each of its own row alone: no batch normalisation. By default
        :class:`skfair.modules.ImageCritic` or :class:`skfair.modules.DenseCritic`. Its parameters as ``adversary__*``.
    lr, adversary_lr : float, default=5e-4
    max_epochs : int, default=20
    batch_size : int, default=32
    **kwargs
        The other parameters of :class:`skfair.base.BaseTwoPlayerNet`. Optimizers that have ``betas`` are given (0, 0.99),
        unless ``optimizer__betas`` or ``adversary_optimizer__betas`` say otherwise.

    Attributes
    ----------
    module_ : torch.nn.Module
        The generator with the weights of the last step.
    adversary_ : torch.nn.Module
        The critic; not used in ``decode``.
    low_, high_ : array of shape (d,) or float
        The range of each column, of images the range of all values. ``decode`` stays within it.
    history : skorch.history.History
        ``train_loss`` is the generator's loss, ``critic_loss`` the critic's with its penalties. Neither says how good the
        rows are: see :class:`skfair.callbacks.SampleSheets`.

    Raises
    ------
    ValueError
        If a parameter is out of its range, images are not square or their size is no power of two (8 or more), or early
        stopping is asked for: the losses of a GAN do not say which epoch is best.

    Notes
    -----
    NOTE[DIFF] The networks are small, for a CPU; the paper's have bottlenecks of grouped convolutions, also at full size.
    NOTE[DIFF] The learning rate, :math:`\gamma` and the second :math:`\beta` stay as they are; the paper anneals them.

    References
    ----------
    Huang et al., "The GAN is dead; long live the GAN! A modern GAN baseline", NeurIPS 2024.
    Ramaswamy, Kim, Russakovsky, "Fair attribute classification through latent space de-biasing", CVPR 2021.

    Examples
    --------
    >>> from skfair.augmentation import GANGenerator
    >>> from skfair.datasets import make_biased_classification
    >>> X = make_biased_classification(500, random_state=0).data
    >>> gan = GANGenerator(n_components=8, max_epochs=2, random_state=0).fit(X)
    >>> codes = gan.sample(3, random_state=0)
    >>> codes.shape, gan.decode(codes).shape == (3, X.shape[1])
    ((3, 8), True)
    """

    needs_sensitive = False
    uses_labels = False

    def __init__(
        self, *, n_components=64, gamma="auto", average=0.999, module=None, adversary=None, lr=5e-4, adversary_lr=5e-4,
        max_epochs=20, batch_size=32, **kwargs,
    ):  # fmt: skip
        super().__init__(
            module=module, lr=lr, adversary_lr=adversary_lr, max_epochs=max_epochs, batch_size=batch_size, **kwargs
        )
        self.n_components = n_components
        self.gamma = gamma
        self.average = average
        self.adversary = adversary

    def _check_parameters(self):
        if self.early_stopping:
            raise ValueError(
                f"early_stopping must be False, got {self.early_stopping!r}: the losses of a GAN do not say which epoch is "
                "best. Look at samples, with skfair.callbacks.SampleSheets."
            )
        super()._check_parameters()

    def check_parameters(self):
        check_number("n_components", self.n_components, low=1, integer=True)
        check_number("gamma", 0 if isinstance(self.gamma, str) and self.gamma == "auto" else self.gamma, low=0)
        check_number("average", self.average, low=0)
        check_number("average", self.average, high=1, closed=False)

    # ------------------------------------------------------------------ the game
    def infer(self, x, **kwargs):
        """The rows, with values in [-1, 1]; the generator itself sees codes alone."""
        return (x - self.state_.low) * self.state_.scale - 1

    def generated(self, draw):
        """G(z) for uniform random numbers (n, D)."""
        zero = torch.zeros_like(draw)
        return self.module_(sample_gaussian(zero, zero, draw)).reshape(len(draw), *self.input_shape_)

    def objective(self, output, batch):
        with torch.no_grad():
            real = self.adversary_(output)
        difference = self.adversary_(self.generated(batch.draw)) - real
        return weighted_mean(relativistic_loss(difference), batch.weight)

    def adversary_objective(self, output, batch):
        with torch.no_grad():
            both = torch.cat([output, self.generated(batch.adversary_draw)])
        penalty, values = self.penalty(both)
        (real, fake), (r1, r2) = values.chunk(2), penalty.chunk(2)
        loss = relativistic_loss(real - fake) + 0.5 * self.gamma_ * r1
        loss = weighted_mean(loss, batch.weight) + 0.5 * self.gamma_ * r2.mean()
        self.state_.critic.add_(torch.stack([loss.detach(), torch.ones_like(loss)]))
        return loss

    def penalty(self, x):
        """Squared norms of the critic's gradients (n,), and its values (n,)."""
        if self.gamma_ == 0:
            values = self.adversary_(x)
            return torch.zeros_like(values), values
        return gradient_penalty(self.adversary_, x, return_values=True)

    @property
    def gamma_(self):
        """The penalties' weight: ``gamma``, or what "auto" stands for."""
        return AUTO_GAMMA[self.is_image_] if self.gamma == "auto" else self.gamma

    @property
    def n_draws(self):
        return self.n_components_

    n_adversary_draws = n_draws

    # ------------------------------------------------------------------ the two networks
    def prepare(self, X, y, *, sensitive_features, sample_weight):
        self._check_images()
        self.n_components_ = self.n_components
        self.low_, self.high_ = _range(X, axis=None if self.is_image_ else 0)
        return sample_weight

    is_image_ = property(lambda self: len(self.x_shape_) == 3, doc="Whether a row has the shape (C, S, S).")

    def _check_images(self):
        if self.is_image_ and (self.module is None or self.adversary is None):
            height, width = self.x_shape_[1:]
            if height != width or height < 8 or height & (height - 1):
                raise ValueError(
                    f"X has rows of shape {self.x_shape_}: the default networks take images of shape (C, S, S) with S a "
                    "power of two, 8 or more (8, 16, 32, 64, ...). Pad or resize them, or give module and adversary."
                )

    def build(self, prefix, component, **filled):
        return super().build(prefix, DEFAULT[prefix][self.is_image_] if component is None else component, **filled)

    out_features_ = BaseTwoPlayerNet.in_features_

    def module_arguments(self):
        channels = {"channels": self.input_shape_[0]} if self.is_image_ else {}
        return {**super().module_arguments(), "n_components": self.n_components_, **channels}

    def make_adversary(self):
        return self.build("adversary", self.adversary, **self.module_arguments())

    def make_state(self, rows):
        width = self.high_ - self.low_
        scale = 2 / np.where(width > 1e-37, width, 2)  # a constant column becomes -1
        module = self.make_module()  # to know how many weights there are
        return {
            "low": torch.tensor(self.low_, dtype=torch.float32),
            "scale": torch.tensor(scale, dtype=torch.float32),
            "average": torch.zeros_like(parameters_to_vector(module.parameters()).detach()),
            "steps": torch.zeros(()),
            "critic": torch.zeros(2),  # sum of the critic's losses of this epoch, and their number
        }

    def get_params_for_optimizer(self, prefix, named_parameters):
        args, kwargs = super().get_params_for_optimizer(prefix, named_parameters)
        takes = inspect.signature(getattr(self, prefix)).parameters
        return args, {**({"betas": (0.0, 0.99)} if "betas" in takes else {}), **kwargs}

    def train_step(self, batch, **fit_params):
        step = super().train_step(batch, **fit_params)
        weights = parameters_to_vector(self.module_.parameters()).detach()
        t = self.state_.steps
        self.state_.average.lerp_(weights, 1 - (t / (t + 9)).clamp(max=self.average))
        t.add_(1)
        return step

    def on_epoch_end(self, net, **kwargs):
        super().on_epoch_end(net, **kwargs)
        total, number = self.state_.critic.tolist()
        self.history.record("critic_loss", total / number)
        self.state_.critic.zero_()

    # ------------------------------------------------------------------ codes and rows
    def sample(self, n_samples, random_state=None):
        """Codes of the prior, the standard normal distribution.

        Parameters
        ----------
        n_samples : int
        random_state : int, numpy generator or None
            As in ``numpy.random.default_rng``.

        Returns
        -------
        array of shape (n_samples, D), float64
        """
        check_is_fitted(self)
        check_number("n_samples", n_samples, low=1, integer=True)
        return np.random.default_rng(random_state).standard_normal((n_samples, self.n_components_))

    def decode(self, Z):
        """What the generator makes of codes, with the averaged weights.

        Parameters
        ----------
        Z : array-like of shape (n, D)

        Returns
        -------
        array of shape (n, ...), float64
            In the form and the range of the rows that the net was fitted on.
        """
        check_is_fitted(self)
        Z = np.array(Z, dtype=np.float64)  # a copy: torch refuses what is read-only, as pandas gives it
        if Z.ndim != 2 or Z.shape[1] != self.n_components_:
            raise ValueError(f"Z has the shape {Z.shape}, expected (n, {self.n_components_}): a column per dimension.")
        module, dtype = evaluation_module(self.averaged())
        with torch.inference_mode():
            parts = torch.from_numpy(Z).to(self.device_, dtype).split(BLOCK)
            out = torch.cat([module(part).cpu() for part in parts]).double().numpy()
        share = (out.reshape(len(Z), *self.x_shape_).clip(-1, 1) + 1) / 2
        return self.low_ + share * (self.high_ - self.low_)

    def averaged(self):
        """A copy of the generator, with the averaged weights."""
        module = copy.deepcopy(self.module_)
        vector_to_parameters(self.state_.average.clone(), module.parameters())
        return module

    encode, transform, predict, predict_proba = map(_absent, ("encode", "transform", "predict", "predict_proba"))


def _range(X, axis):
    """Smallest and largest values along an axis, as float64."""
    ends = [X.min(axis=axis), X.max(axis=axis)]
    ends = [end.toarray()[0] if hasattr(end, "toarray") else end for end in ends]  # of a sparse matrix
    return [np.asarray(end, dtype=np.float64) for end in ends]
