"""Generators: estimators that make rows of latent codes."""

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skfair._lazy import refuse_dataset
from skfair._random import Streams, draw_seed
from skfair.base._readable import NUMBERS, read_rows
from skfair.base._stages import fit_clone

__all__ = ["BaseGenerator"]


class BaseGenerator(BaseEstimator):
    """Base of the generators that are not networks themselves: ``fit``, ``sample``, ``decode`` and ``encode``.

    A generator writes ``learn`` (from rows that are checked), ``rows_of`` (codes to rows of shape (n, d)) and
    ``codes_of``; it sets ``n_components_``. The prior of its codes is N(0, I).
    """

    def fit(self, X, y=None):
        """Learn the generator.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n, ...)
        y : ignored

        Returns
        -------
        self
        """
        self.check_parameters()
        refuse_dataset(X, type(self).__name__)
        X = read_rows(self, X, dtype=NUMBERS, ensure_min_samples=2)
        X = X.toarray() if sp.issparse(X) else X
        self.x_shape_ = X.shape[1:]
        self.streams_ = Streams(draw_seed(getattr(self, "random_state", 0)), "cpu")
        self.learn(X)
        return self

    def fit_part(self, name, estimator, X):
        """A fitted clone of an estimator that this one is made of."""
        return fit_clone(estimator, X, None, self.streams_.seed_of(name) % 2**31)

    def sample(self, n_samples, random_state=None):
        """Codes of the prior, N(0, I).

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
        return np.random.default_rng(random_state).standard_normal((n_samples, self.n_components_))

    def encode(self, X):
        """The codes of rows.

        Parameters
        ----------
        X : array-like of shape (n, ...)

        Returns
        -------
        array of shape (n, D), float64
        """
        check_is_fitted(self)
        refuse_dataset(X, type(self).__name__)
        X = read_rows(self, X, reset=False, dtype=NUMBERS)
        if X.shape[1:] != self.x_shape_:
            raise ValueError(
                f"X has rows of shape {X.shape[1:]}, but {type(self).__name__} was fitted on {self.x_shape_}."
            )
        return self.codes_of(X.toarray() if sp.issparse(X) else X)

    def decode(self, Z):
        """Rows of codes.

        Parameters
        ----------
        Z : array-like of shape (n, D)

        Returns
        -------
        array of shape (n, ...), float64
            In the form of the rows that the generator was fitted on.
        """
        check_is_fitted(self)
        Z = np.array(Z, dtype=np.float64)
        if Z.ndim != 2 or Z.shape[1] != self.n_components_:
            raise ValueError(
                f"Z has the shape {Z.shape}, expected (n, {self.n_components_}): one column per dimension."
            )
        return self.rows_of(Z).reshape(len(Z), *self.x_shape_)

    def check_parameters(self):
        """Raise a ValueError for a parameter that makes no sense, before anything is learned."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        return tags
