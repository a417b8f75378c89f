import numpy as np
from sklearn.decomposition import PCA

from skfair.augmentation._row_form import RowForm
from skfair.base import BaseGenerator, check_number

__all__ = ["PCAGenerator"]

NOTHING = 1e-6  # standard deviation of a component, relative to the first, below which it is rounding


class PCAGenerator(BaseGenerator):
    r"""Rows as a linear map of normal codes: the generator that needs no training, and the baseline of those that do.

    .. math:: G(z) = \mu + V \operatorname{diag}(\sigma)\, z, \qquad z \sim N(0, I)

    with the principal components V of the rows and their standard deviations :math:`\sigma`. With all components the
    generator is a normal distribution with the mean and the covariance of the rows, and ``encode`` is its exact inverse.
    Numbers may leave the range that they have in the data.

    ============  ======  =========  ==========
    needs groups  at fit  to select  at predict
    ============  ======  =========  ==========
    PCAGenerator  no      no         no
    ============  ======  =========  ==========

    Parameters
    ----------
    n_components : int, float in (0, 1) or None, default=None
        How many components, or how much of the variance, as in :class:`sklearn.decomposition.PCA`. None keeps all that vary.
    decoding : {"mode", "expected"}, default="mode"
        Whether decoded rows have one-hot blocks and columns of 0 and 1 where the data have them, or the linear map's
        values as they are.

    Attributes
    ----------
    n_components_ : int
        Number of latent dimensions, D.
    components_ : array of shape (D, d)
    mean_ : array of shape (d,)
    scale_ : array of shape (D,)
        Standard deviations of the components.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or all rows are the same.

    References
    ----------
    Tipping, Bishop, "Probabilistic principal component analysis", J. R. Stat. Soc. B 1999 (without its noise).

    Examples
    --------
    >>> import numpy as np
    >>> from skfair.augmentation import PCAGenerator
    >>> X = np.random.default_rng(0).normal(size=(100, 4)) @ np.diag([1., 2., 3., 4.])
    >>> generator = PCAGenerator().fit(X)
    >>> np.allclose(generator.decode(generator.encode(X)), X)
    True
    >>> generator.decode(generator.sample(3, random_state=0)).shape
    (3, 4)
    """

    def __init__(self, n_components=None, *, decoding="mode"):
        self.n_components = n_components
        self.decoding = decoding

    def check_parameters(self):
        if self.decoding not in ("mode", "expected"):
            raise ValueError(f"decoding must be one of ['expected', 'mode'], got {self.decoding!r}.")
        if self.n_components is not None:
            whole = isinstance(self.n_components, int | np.integer)
            check_number(
                "n_components", self.n_components, low=1 if whole else 0, high=None if whole else 1, closed=whole
            )

    def learn(self, X):
        flat = X.reshape(len(X), -1).astype(np.float64)
        if (flat == flat[0]).all():
            raise ValueError(f"all {len(X)} rows of X are the same: there is nothing to generate.")
        mean = flat.mean(0)  # out first: what scikit-learn's quick solver loses of large means passes for variance
        pca = PCA(self.n_components, svd_solver="full" if self.n_components is not None else "auto").fit(flat - mean)
        scale = np.sqrt(pca.explained_variance_)
        kept = scale > max(NOTHING * scale[0], 1e-30)
        self.mean_, self.components_, self.scale_ = mean, pca.components_[kept], scale[kept]
        self.n_components_ = int(kept.sum())
        self.form_ = RowForm(X)

    def codes_of(self, X):
        return (X.reshape(len(X), -1) - self.mean_) @ self.components_.T / self.scale_

    def rows_of(self, Z):
        rows = self.mean_ + (self.scale_ * Z) @ self.components_
        return self.form_.rows(rows) if self.decoding == "mode" else rows
