"""Resamples of tables of counts, all at once, and percentile intervals of what is computed from them."""

import numpy as np

__all__ = ["quantile_interval", "resample"]


def resample(cells, n_cells, n_boot, rng, weight=None, times=None):
    """Return tables of shape (n_boot, n_cells), distributed as the counts of rows drawn with replacement.

    ``cells`` is the cell of each row, ``weight`` its weight. Without weights the table of a resample is multinomial in
    the observed table, so rows are never touched. With few distinct weights the same holds for (cell, weight).
    ``times`` is how many rows each one stands for.
    """
    if n_boot == 0:
        return np.zeros((0, n_cells))
    n = len(cells) if times is None else int(times.sum())
    if weight is None:
        sizes = np.bincount(cells, weights=times, minlength=n_cells)
        return rng.multinomial(n, sizes / n, size=n_boot).astype(np.float64)
    values, codes = np.unique(weight, return_inverse=True)
    kinds, places = np.unique(cells * len(values) + codes, return_inverse=True)
    if len(kinds) > max(200, n // 20):
        if times is not None:
            raise ValueError(f"{len(values)} distinct weights are too many to resample rows in chunks: set n_boot=0.")
        return _resample_rows(cells, n_cells, n_boot, rng, weight)
    sizes = np.bincount(places, weights=times)
    spread = np.zeros((len(kinds), n_cells))
    spread[np.arange(len(kinds)), kinds // len(values)] = values[kinds % len(values)]
    return rng.multinomial(n, sizes / n, size=n_boot) @ spread


def _resample_rows(cells, n_cells, n_boot, rng, weight):
    """The same for many distinct weights: row by row, one resample after another."""
    tables = np.empty((n_boot, n_cells))
    for b in range(n_boot):
        rows = rng.integers(len(cells), size=len(cells))
        tables[b] = np.bincount(cells[rows], weights=weight[rows], minlength=n_cells)
    return tables


def quantile_interval(samples, level):
    """Return (low, high): quantiles over axis 0 of the samples that are not NaN; NaN where there are none."""
    n_boot = samples.shape[0]
    if n_boot == 0:
        nothing = np.full(samples.shape[1:], np.nan)
        return nothing, nothing
    ordered = np.sort(samples, axis=0)  # NaN last
    last = (~np.isnan(samples)).sum(0) - 1
    return tuple(_quantile(ordered, last, q) for q in ((1 - level) / 2, (1 + level) / 2))


def _quantile(ordered, last, q):
    """Linear interpolation between order statistics, numpy's default, on the first ``last + 1`` of each column."""
    position = np.maximum(last, 0) * q
    below = np.floor(position).astype(np.intp)
    above = np.minimum(below + 1, np.maximum(last, 0))
    low = np.take_along_axis(ordered, below[None], 0)[0]
    high = np.take_along_axis(ordered, above[None], 0)[0]
    return low + (high - low) * (position - below)
