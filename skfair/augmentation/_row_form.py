"""What rows look like: which columns are one-hot blocks, which are yes or no."""

import numpy as np
from scipy.special import ndtri

from skfair.representation._columns import likelihoods

__all__ = ["RowForm"]


class RowForm:
    """Turns what a decoder expects into rows as they occur in the data.

    Parameters
    ----------
    X : array of shape (n, ...)
        The rows that a generator is fitted on. One-hot blocks (neighbours of 0 and 1, of which each row has exactly one)
        are one variable each; columns of 0 and 1 are yes or no; all others are numbers.
    """

    def __init__(self, X):
        flat = X.reshape(len(X), -1)
        self.blocks = likelihoods(X, "auto")[1]
        single = np.setdiff1d(np.arange(flat.shape[1]), sum(self.blocks, []))
        self.binary = [j for j in single if set(np.unique(flat[:, j])) == {0.0, 1.0}]

    def rows(self, expected, *, uniform=None, scale=None):
        """Rows (n, d) of expected values (n, d): the likeliest ones or, with uniform numbers (n, d), a sample.

        ``scale`` (d,) are the standard deviations of the columns that are numbers; None: no noise.
        """
        expected = np.array(expected, dtype=np.float64).reshape(len(expected), -1)
        rows = expected if uniform is None or scale is None else expected + scale * ndtri(uniform.clip(1e-9, 1 - 1e-9))
        threshold = 0.5 if uniform is None else uniform[:, self.binary]
        rows[:, self.binary] = expected[:, self.binary] > threshold
        for block in self.blocks:
            share = expected[:, block].clip(0)
            chosen = share.argmax(1)
            if uniform is not None:  # the first value whose cumulated probability passes the number
                cumulated = share.cumsum(1) / share.sum(1, keepdims=True).clip(1e-30)
                chosen = (cumulated < uniform[:, block[:1]]).sum(1).clip(max=len(block) - 1)
            rows[:, block] = np.eye(len(block))[chosen]
        return rows
