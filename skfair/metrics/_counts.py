"""The table of counts [group, y, yhat] from which every rate and gap of this package is computed.

All functions on tables take leading batch axes: a thousand bootstrap tables are one call.
"""

import warnings
from typing import NamedTuple

import numpy as np

from ._inputs import as_weight, encode_groups, encode_labels

__all__ = ["GroupCounts", "UndefinedGapWarning", "count", "positive_tables", "rates"]


class UndefinedGapWarning(UserWarning):
    """A rate or a gap has no value on these data: a cell is empty, or a denominator is zero.

    Gaps are then taken over the groups whose rate is defined, and are NaN where fewer than two groups are left.

    Examples
    --------
    >>> import warnings
    >>> from skfair.metrics import UndefinedGapWarning, equal_opportunity_difference
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", UndefinedGapWarning)
    ...     gap = equal_opportunity_difference([1, 0], [1, 0], sensitive_features=["a", "b"])
    >>> print(gap, caught[0].message)
    nan TPR is undefined for group 'b' (no row with y_true == 1); the result is NaN
    """


class GroupCounts(NamedTuple):
    """Counts and what their axes mean."""

    counts: np.ndarray  # (G, C, C) sums of weights, axes group, y, yhat
    groups: list  # G labels; tuples where there are several sensitive columns
    names: list  # names of the sensitive columns
    classes: np.ndarray  # C labels of y_true and y_pred, sorted
    cells: np.ndarray  # (n,) flat index of each row in counts
    weight: np.ndarray | None  # (n,) or None
    times: np.ndarray | None = None  # (n,) how many rows each stands for; None: one


def count(y_true, y_pred, sensitive_features, sample_weight=None, times=None):
    """Count rows (or sum weights) by group, true label and predicted label; each row stands for ``times`` rows.

    Raises
    ------
    ValueError
        For lengths that differ, empty input, missing or continuous labels, labels of mixed kinds, missing
        ``sensitive_features``, and weights that are negative, not finite or all zero.
    """
    classes, true, pred = encode_labels(y_true, y_pred)
    codes, groups, names = encode_groups(sensitive_features, len(true), y_true=y_true, y_pred=y_pred)
    weight = as_weight(sample_weight, len(true))
    shape = (len(groups), len(classes), len(classes))
    cells = np.ravel_multi_index((codes, true, pred), shape)
    mass = weight if times is None else times * (1 if weight is None else weight)
    counts = np.bincount(cells, weights=mass, minlength=int(np.prod(shape))).reshape(shape)
    return GroupCounts(counts.astype(np.float64), groups, names, classes, cells, weight, times)


def positive_labels(classes, pos_label=None):
    """Return the labels that take the place of "positive": one, or each in turn for more than two classes.

    As in scikit-learn and fairlearn, 1 is the default where the labels lie in {0, 1} or {-1, 1}.
    """
    present = classes.tolist()
    if pos_label is not None:
        if pos_label not in present and len(present) >= 2:
            raise ValueError(f"pos_label={pos_label!r} is no label of y_true or y_pred, which hold {present!r}.")
        return [pos_label]
    if set(present) <= {0, 1} or set(present) <= {-1, 1}:
        return [1]
    if len(present) > 2:
        return present
    raise ValueError(f"pos_label must say which of the labels {present!r} is the positive one, got None.")


def positive_tables(counts, classes, positives):
    """Return (..., K, G, 2, 2): one table [group, y, yhat] of "positive or not" for each of the K positives."""
    tables = []
    for label in positives:
        inside = np.flatnonzero(classes == label)  # empty where the label does not occur
        outside = np.flatnonzero(classes != label)
        halves = [counts[..., rows, :].sum(-2) for rows in (outside, inside)]
        cells = [np.stack([half[..., columns].sum(-1) for columns in (outside, inside)], -1) for half in halves]
        tables.append(np.stack(cells, -2))
    return np.stack(tables, -4)


def divide(numerator, denominator):
    """Quotient with NaN, and no numpy warning, where the denominator is zero."""
    quotient = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), np.nan)
    return np.divide(numerator, denominator, out=quotient, where=np.asarray(denominator) > 0)


# NOTE: the keys are the words used in tables and in warnings
_RATES = {
    "selection rate": lambda t: divide(t[..., :, 1].sum(-1), t.sum((-2, -1))),
    "rejection rate": lambda t: divide(t[..., :, 0].sum(-1), t.sum((-2, -1))),
    "base rate": lambda t: divide(t[..., 1, :].sum(-1), t.sum((-2, -1))),
    "accuracy": lambda t: divide(t[..., 0, 0] + t[..., 1, 1], t.sum((-2, -1))),
    "joint rate": lambda t: divide(t[..., 1, 1], t.sum((-2, -1))),
    "TPR": lambda t: divide(t[..., 1, 1], t[..., 1, :].sum(-1)),
    "FNR": lambda t: divide(t[..., 1, 0], t[..., 1, :].sum(-1)),
    "FPR": lambda t: divide(t[..., 0, 1], t[..., 0, :].sum(-1)),
}
_CONDITION = {"TPR": "y_true == {}", "FNR": "y_true == {}", "FPR": "y_true != {}"}


def rates(tables, name):
    """Return a rate of shape (..., G) from tables of shape (..., G, 2, 2); NaN where the cell is empty."""
    return _RATES[name](tables)


def overall(tables, name):
    """Return the rate of all rows together, shape (...), from tables of shape (..., G, 2, 2)."""
    return _RATES[name](tables.sum(-3))


def _listed(groups, most=5):
    shown = ", ".join(repr(group) for group in groups[:most])
    more = f" and {len(groups) - most} more" if len(groups) > most else ""
    return f"group{'s' * (len(groups) > 1)} {shown}{more}"


def undefined_cells(tables, positives, groups, names):
    """Return one phrase for each rate and positive label that some groups lack. ``tables`` is (K, G, 2, 2)."""
    phrases = []
    for k, label in enumerate(positives):
        for name in names:
            lacking = [groups[g] for g in np.flatnonzero(np.isnan(rates(tables[k], name)))]
            if lacking:
                why = _CONDITION.get(name, "positive weight").format(repr(label))
                phrases.append(f"{name} is undefined for {_listed(lacking)} (no row with {why})")
    return phrases


def warn_undefined(phrases, result, stacklevel=2):
    """Warn once about what is undefined; say so where the result is."""
    undefined = bool(np.isnan(result).any())
    if undefined:
        phrases = [*phrases, "the result is NaN" if phrases else "the result is NaN: a denominator is zero"]
    if phrases:
        warnings.warn("; ".join(phrases), UndefinedGapWarning, stacklevel=stacklevel + 1)
