import numpy as np

from skfair.augmentation._row_form import RowForm
from skfair.base import BaseGenerator, check_choice, check_number
from skfair.base._checks import named
from skfair.modules import VAE, ConvVAE
from skfair.representation import VAETransformer

__all__ = ["VAEGenerator"]


class VAEGenerator(BaseGenerator):
    """Rows or images from a variational autoencoder: codes of the prior N(0, I), decoded to rows as they occur in the data.

    A decoder gives probabilities; a row of a table has one value. One-hot blocks get their likeliest value (or a drawn
    one), columns of 0 and 1 likewise, numbers their mean.

    ============  ======  =========  ==========
    needs groups  at fit  to select  at predict
    ============  ======  =========  ==========
    VAEGenerator  no      no         no
    ============  ======  =========  ==========

    Parameters
    ----------
    vae : transformer, optional
        One of the autoencoders of :mod:`skfair.representation`; it is cloned. Wrapped in
        :class:`sklearn.frozen.FrozenEstimator` a fitted one is used as it is. By default
        ``VAETransformer(n_components=16, beta=0.5, module__hidden=(128, 64), max_epochs=100)`` for tables and
        ``VAETransformer(n_components=32, module=ConvVAE, max_epochs=20)`` for images.
    decoding : {"mode", "sample", "expected"}, default="mode"
        The likeliest row; a sample of the decoder's distribution (numbers with the variance learned, pixels without); or
        the decoder's expectation as it is. The noise of a sample is the same in each call: the i-th row's depends on i
        alone, so that two codes that are decoded in two calls differ by their codes only.
    min_activity : float, default=0.01
        Latent dimensions whose codes have a smaller variance over the rows are left out: the decoder ignores them ("active
        units" of Burda et al.). 0 keeps all. A classifier of codes gives just these the largest weights, as they hardly
        vary, and moving along them changes nothing, or anything.
    random_state : int, numpy generator or None, default=None
        Of the autoencoder, where it has none of its own, and of the noise.

    Attributes
    ----------
    vae_ : transformer
    active_ : array of shape (D,)
        The positions of the latent dimensions that are used.
    n_components_ : int
        Their number, D.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the autoencoder uses no dimension at all.

    References
    ----------
    Kingma, Welling, "Auto-encoding variational Bayes", ICLR 2014.
    Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", ICLR 2016 (active units).

    Examples
    --------
    >>> from skfair.augmentation import VAEGenerator
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.representation import VAETransformer
    >>> X = make_biased_classification(500, random_state=0).data
    >>> generator = VAEGenerator(VAETransformer(n_components=4, max_epochs=5), random_state=0).fit(X)
    >>> generator.decode(generator.sample(3, random_state=0)).shape
    (3, 10)
    """

    def __init__(self, vae=None, *, decoding="mode", min_activity=0.01, random_state=None):
        self.vae = vae
        self.decoding = decoding
        self.min_activity = min_activity
        self.random_state = random_state

    def check_parameters(self):
        check_choice("decoding", self.decoding, {"mode", "sample", "expected"})
        check_number("min_activity", self.min_activity, low=0)
        if isinstance(self.vae, type) or not (
            self.vae is None or (hasattr(self.vae, "decode") and hasattr(self.vae, "encode"))
        ):
            raise ValueError(f"vae must be an autoencoder with encode and decode, got {self.vae!r}.")

    def learn(self, X):
        self.vae_ = self.fit_part("vae", default_vae(X.shape[1:]) if self.vae is None else self.vae, X)
        codes = self._all_codes(X)
        self.mean_ = codes.mean(0)  # what the others are held at
        self.active_ = np.flatnonzero(codes.var(0) >= self.min_activity)
        self.n_components_ = len(self.active_)
        if self.n_components_ == 0:
            raise ValueError(
                f"the autoencoder uses none of its {codes.shape[1]} dimensions: the variance of its codes is at most "
                f"{codes.var(0).max():.2g}, min_activity={self.min_activity}. Train it longer, or lower its beta."
            )
        self.form_ = RowForm(X)

    def codes_of(self, X):
        return self._all_codes(X)[:, self.active_]

    def _all_codes(self, X):
        return self.vae_.encode(named(self.vae_, X) if X.ndim == 2 else X)  # a fitted one may know names

    def rows_of(self, Z):
        codes = np.tile(self.mean_, (len(Z), 1))
        codes[:, self.active_] = Z
        expected = self.vae_.decode(codes).reshape(len(Z), -1)
        if self.decoding == "expected":
            return expected
        if self.decoding == "mode":
            return self.form_.rows(expected)
        uniform = np.random.default_rng(self.streams_.seed_of("noise")).random(expected.shape)
        return self.form_.rows(expected, uniform=uniform, scale=self._scale(expected.shape[1]))

    def _scale(self, d):
        """The standard deviation of each column, 0 where it is no number or has none."""
        logarithm = getattr(self.vae_.module_, "column_log_variance", None)
        if logarithm is None:
            return np.zeros(d)
        scale = np.exp(0.5 * logarithm.detach().cpu().double().clamp(-7, 7).numpy())
        return np.where(self.vae_.likelihood_ == "gaussian", scale, 0.0)


def default_vae(shape, device="auto"):
    """The autoencoder for rows of this shape."""
    if len(shape) == 1:
        return VAETransformer(n_components=16, beta=0.5, module__hidden=(128, 64), max_epochs=100, device=device)
    fits = len(shape) == 3 and shape[1] == shape[2] and shape[1] in (32, 64)
    return VAETransformer(n_components=32, module=ConvVAE if fits else VAE, max_epochs=20, device=device)
