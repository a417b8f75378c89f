"""One-hot blocks: neighbouring columns that are one categorical variable."""

import numpy as np

from skfair._lazy import is_lazy

__all__ = ["numeric_columns", "one_hot_blocks"]


def one_hot_blocks(X, candidates=None):
    """Runs of neighbouring columns of 0 and 1 whose sum is 1 in each row, each as short as can be.

    Parameters
    ----------
    X : array, CSC matrix or LazyRows of shape (n, d)
    candidates : bool array of shape (d,), optional
        The columns in question; by default all.

    Returns
    -------
    list of lists of int
    """
    candidates = np.ones(X.shape[1], dtype=bool) if candidates is None else candidates
    if is_lazy(X):
        return _lazy_blocks(X, candidates)
    binary = np.array([free and _is_binary(X, j) for j, free in enumerate(candidates)])
    blocks, start = [], 0
    while start < len(binary):
        block = _block_from(X, binary, start)
        if len(block) > 1:
            blocks.append(block)
        start += max(1, len(block))
    return blocks


def numeric_columns(X):
    """Positions of the columns of an array, CSC matrix or LazyRows (n, d) that hold other values than 0 and 1."""
    if is_lazy(X):
        return np.flatnonzero(~_binary_columns(X)).tolist()
    return [j for j in range(X.shape[1]) if not _is_binary(X, j)]


def _column(X, j):
    return np.asarray(X[:, [j]].todense()).ravel() if hasattr(X, "todense") else X[:, j]


def _is_binary(X, j):
    column = _column(X, j)
    return bool(((column == 0) | (column == 1)).all())


def _block_from(X, binary, start):
    total, stop = 0, start
    while stop < len(binary) and binary[stop]:
        total = total + _column(X, stop)
        stop += 1
        if (total > 1).any():
            return []
        if (total == 1).all():
            return list(range(start, stop))
    return []


# ---------------------------------------------------------------------- rows that are gone through once, chunk by chunk
def _binary_columns(X):
    return np.all([((part == 0) | (part == 1)).all(0) for part in X.chunks()], axis=0)


def _lazy_blocks(X, candidates):
    """The same blocks: one from ``start`` is closed where each row has had a first 1, if none has had a second."""
    d = X.shape[1]
    binary, closed, second = np.ones(d, dtype=bool), np.zeros(d + 1, dtype=int), np.full(d + 1, d)
    for part in X.chunks():
        binary &= ((part == 0) | (part == 1)).all(0)
        first = np.full((len(part), d + 2), d)  # of each row, the first 1 at or after a column; d: none
        for j in range(d - 1, -1, -1):
            first[:, j] = np.where(part[:, j] != 0, j, first[:, j + 1])
        after = np.take_along_axis(first, first[:, : d + 1] + 1, 1)
        closed, second = np.maximum(closed, first[:, : d + 1].max(0)), np.minimum(second, after.min(0))
    binary, blocks, start = binary & candidates, [], 0
    while start < d:
        stop = closed[start] + 1
        good = start + 1 < stop <= d and stop <= second[start] and binary[start:stop].all()
        if good:
            blocks.append(list(range(start, stop)))
        start = stop if good else start + 1
    return blocks
