"""Which likelihood suits which column of a table."""

import math

import numpy as np

from skfair.base import one_hot_blocks

__all__ = ["check_likelihood", "check_range", "likelihoods"]

WORDS = ("auto", "bernoulli", "gaussian")


def check_likelihood(likelihood):
    """Raise a ValueError unless it is one of the words, or a sequence of them."""
    words = list(likelihood) if isinstance(likelihood, list | tuple | np.ndarray) else [likelihood]
    bad = [word for word in words if not isinstance(word, str) or word not in WORDS]
    if bad:
        raise ValueError(f"likelihood must be one of {sorted(WORDS)}, or such a word for each column, got {bad[0]!r}.")


def likelihoods(X, likelihood):
    """The likelihood of each column and the one-hot blocks.

    Parameters
    ----------
    X : array of shape (n, ...), CSR matrix or LazyRows
    likelihood : str or sequence of str

    Returns
    -------
    kinds : array of str, of shape (d,)
        "bernoulli", "gaussian" or "categorical".
    blocks : list of lists of int
        The columns of each categorical variable.
    """
    images = X.ndim > 2  # neighbouring pixels are no categorical variable
    X = X.tocsc() if hasattr(X, "tocsc") else X
    d = math.prod(X.shape[1:])
    asked = np.full(d, likelihood, dtype=object) if isinstance(likelihood, str) else np.array(likelihood, dtype=object)
    if asked.shape != (d,):
        raise ValueError(f"likelihood has {asked.size} entries, but X has {d} columns.")
    check_range(X, asked == "bernoulli")
    low, high = _ranges(X)
    within = (low >= 0) & (high <= 1)
    kinds = np.where(asked == "auto", np.where(within, "bernoulli", "gaussian"), asked).astype(object)
    blocks = one_hot_blocks(X, (asked == "auto") & within) if d <= 10_000 and not images else []
    for block in blocks:
        kinds[block] = "categorical"
    return kinds, blocks


def check_range(X, needed):
    """Raise a ValueError if one of the columns in question leaves [0, 1]."""
    low, high = _ranges(X)
    outside = np.flatnonzero(needed & ((low < 0) | (high > 1)))
    if len(outside):
        j = outside[0]
        raise ValueError(
            f"a Bernoulli likelihood needs values in [0, 1], but column {j} of X goes from {low[j]:g} to {high[j]:g}: "
            "scale it (MinMaxScaler), or use likelihood='gaussian' or 'auto'."
        )


def _ranges(X):
    """Least and largest value of each column."""
    return _along(X.min(axis=0)), _along(X.max(axis=0))


def _along(values):
    return np.asarray(values.todense() if hasattr(values, "todense") else values, dtype=float).ravel()
