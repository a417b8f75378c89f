"""Gaps as pure functions of tables of shape (..., G, 2, 2): the formulas of this package, without checks.

Leading axes are batches. Groups whose rate is NaN are left out; fewer than two left give NaN, unless there is only one
group at all: its gap is 0 and its ratio 1, as in fairlearn.
"""

import numpy as np

from ._counts import count, divide, overall, positive_labels, positive_tables, rates, undefined_cells, warn_undefined

__all__ = ["evaluate"]

METHODS = ("between_groups", "to_overall")
_REDUCTIONS = ("max", "mean")


def check_choice(value, choices, name):
    """Raise where ``value`` is none of ``choices``."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")


def _extremes(values):
    """Return (smallest, largest, how many are defined) over the last axis."""
    defined = ~np.isnan(values)
    low = np.where(defined, values, np.inf).min(-1)
    high = np.where(defined, values, -np.inf).max(-1)
    return low, high, defined.sum(-1)


def _enough(defined, n_groups):
    return defined >= min(2, n_groups)


def spread(values):
    """Largest minus smallest over the last axis; NaN where fewer than two are defined."""
    low, high, defined = _extremes(values)
    enough = _enough(defined, values.shape[-1])
    return np.where(enough, np.where(enough, high, 0.0) - np.where(enough, low, 0.0), np.nan)


def difference(tables, name, method="between_groups"):
    """Largest gap in a rate: between two groups, or between a group and all rows together."""
    values = rates(tables, name)
    if method == "between_groups":
        return spread(values)
    distance = np.abs(values - overall(tables, name)[..., None])
    _, high, defined = _extremes(distance)
    return np.where(_enough(defined, values.shape[-1]), high, np.nan)


def ratio(tables, name, method="between_groups"):
    """Smallest ratio of a rate: between two groups, or between a group and all rows together; 0/0 is NaN."""
    values = rates(tables, name)
    if method == "between_groups":
        low, high, defined = _extremes(values)
        enough = _enough(defined, values.shape[-1])
        return np.where(enough, divide(np.where(enough, low, 0.0), np.where(enough, high, 0.0)), np.nan)
    total = np.broadcast_to(overall(tables, name)[..., None], values.shape)
    values = np.where(np.isnan(values), np.nan, divide(np.minimum(values, total), np.maximum(values, total)))
    low, _, defined = _extremes(values)
    return np.where(_enough(defined, values.shape[-1]), low, np.nan)


def deviation(tables, name, reduction):
    """Sum or mean over groups of the distance between a group's rate and the rate of all rows."""
    distance = np.abs(rates(tables, name) - overall(tables, name)[..., None])
    defined = (~np.isnan(distance)).sum(-1)
    total = np.nansum(distance, -1)
    return np.where(defined > 0, divide(total, defined) if reduction == "mean" else total, np.nan)


def odds_deviation(tables, reduction):
    """Half the deviations of FPR and of FNR from those of all rows."""
    return 0.5 * (deviation(tables, "FPR", reduction) + deviation(tables, "FNR", reduction))


def odds(tables, gap, agg, method="between_groups"):
    """Join a gap in TPR and a gap in FPR; NaN where either is."""
    both = np.stack([gap(tables, "TPR", method), gap(tables, "FPR", method)])
    if agg == "mean":
        return both.mean(0)
    return both.max(0) if gap is difference else both.min(0)


def average_odds(tables):
    """Half of abs(dTPR) + abs(dFPR), at its largest over pairs of groups.

    Over pairs, max(abs(a) + abs(b)) is the larger of the spreads of TPR + FPR and TPR - FPR: linear in the groups.
    """
    tpr, fpr = rates(tables, "TPR"), rates(tables, "FPR")
    return 0.5 * np.maximum(spread(tpr + fpr), spread(tpr - fpr))


def reduce_classes(values, multiclass):
    """Join the gaps of the K one-vs-rest problems, shape (..., K); classes without a value are left out."""
    defined = ~np.isnan(values)
    if multiclass == "max":
        out = np.where(defined, values, -np.inf).max(-1)
    else:
        out = divide(np.where(defined, values, 0.0).sum(-1), defined.sum(-1))
    return np.where(defined.any(-1), out, np.nan)


def reduce_ratios(values, multiclass):
    """As ``reduce_classes``, where the worst ratio is the smallest."""
    return -reduce_classes(-values, multiclass)


def evaluate(
    statistic,
    y_true,
    y_pred,
    features,
    weight,
    *,
    needs,
    pos_label=None,
    multiclass="max",
    join=reduce_classes,
    view=None,
):
    """Count, compute ``statistic(tables)`` of shape (K,), warn about what is undefined, join the K classes.

    ``needs`` names the rates that enter; ``view(tables, groups)`` may put other groups in the place of the given ones.
    """
    check_choice(multiclass, _REDUCTIONS, "multiclass")
    table = count(y_true, y_pred, features, weight)
    positives = positive_labels(table.classes, pos_label)
    tables, groups = positive_tables(table.counts, table.classes, positives), table.groups
    if view is not None:
        tables, groups = view(tables, groups)
    result = join(statistic(tables), multiclass)
    warn_undefined(undefined_cells(tables, positives, groups, needs), result, stacklevel=3)
    return float(result)


def split_privileged(tables, groups, privileged):
    """Return tables of two groups, (..., 2, 2, 2), and their labels: everyone else pooled, then the privileged."""
    if privileged not in groups:
        raise ValueError(f"privileged={privileged!r} is no group of sensitive_features, which hold {groups!r}.")
    inside = groups.index(privileged)
    others = np.delete(tables, inside, -3).sum(-3)
    return np.stack([others, tables[..., inside, :, :]], -3), [f"not {privileged}", privileged]
