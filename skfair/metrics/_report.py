"""A table of groups and gaps, with bootstrap intervals."""

import html
import numbers
from functools import partial

import numpy as np
import pandas as pd

from . import _gaps as gaps
from ._bootstrap import quantile_interval, resample
from ._calibrated import calibrated_threshold
from ._cells import amplification, empty_cells, worst_cell
from ._counts import count, divide, positive_labels, positive_tables, rates, undefined_cells, warn_undefined
from ._divergence import histogram_cells, symmetric_kl
from ._docs import documented
from ._inputs import as_scores
from ._random import as_generator

__all__ = ["GroupReport", "check_options", "group_report", "report_of"]

_RATES = {"base_rate": "base rate", "selection_rate": "selection rate", "TPR": "TPR", "FPR": "FPR", "FNR": "FNR"}
_INTERVALS = ("accuracy", *_RATES)
# name -> (statistic of binary tables, how the classes of more than two are joined)
_BINARY_GAPS = {
    "demographic_parity_difference": (partial(gaps.difference, name="selection rate"), "max"),
    "demographic_parity_ratio": (partial(gaps.ratio, name="selection rate"), "min"),
    "demographic_parity_sum": (partial(gaps.deviation, name="selection rate", reduction="sum"), "mean"),
    "equal_opportunity_difference": (partial(gaps.difference, name="TPR"), "max"),
    "equal_opportunity_ratio": (partial(gaps.ratio, name="TPR"), "min"),
    "joint_opportunity_difference": (partial(gaps.difference, name="joint rate"), "max"),
    "equalized_odds_difference": (partial(gaps.odds, gap=gaps.difference, agg="worst_case"), "max"),
    "equalized_odds_ratio": (partial(gaps.odds, gap=gaps.ratio, agg="worst_case"), "min"),
    "equalized_odds_sum": (partial(gaps.odds_deviation, reduction="sum"), "mean"),
    "average_odds_difference": (gaps.average_odds, "max"),
}
_JOINS = {
    "max": partial(gaps.reduce_classes, multiclass="max"),
    "min": partial(gaps.reduce_ratios, multiclass="max"),
    "mean": partial(gaps.reduce_classes, multiclass="mean"),
}
_CELL_GAPS = {"worst_group_accuracy": worst_cell, "bias_amplification": amplification}


class GroupReport:
    """What :func:`group_report` returns.

    Attributes
    ----------
    by_group : DataFrame
        One row per group, indexed by its label (a MultiIndex for several sensitive columns): ``n`` rows, ``share`` of
        the weight, ``accuracy``, ``base_rate``, ``selection_rate``, ``TPR``, ``FPR``, ``FNR`` (for more than two
        classes without ``pos_label``: accuracy only), each with ``_low`` and ``_high``, and ``small``.
    overall : Series
        The same rates for all rows together.
    gaps : DataFrame
        Columns ``metric``, ``estimate``, ``low``, ``high``.
    note : str
        What the intervals and the asterisk mean.
    """

    def __init__(self, by_group, overall, gaps, note):
        self.by_group = by_group
        self.overall = overall
        self.gaps = gaps
        self.note = note

    def _tables(self):
        """Return the two tables as frames of strings, estimate and interval in one cell."""
        frame = self.by_group
        shown = frame.index.to_frame(index=False).map(str)
        shown["n"] = [f"{n}{' *' if small else ''}" for n, small in zip(frame["n"], frame["small"])]
        shown["share"] = [f"{share:.3f}" for share in frame["share"]]
        for name in _INTERVALS:
            if name in frame:
                columns = (frame[name], frame[f"{name}_low"], frame[f"{name}_high"])
                shown[name] = [_with_interval(*row) for row in zip(*columns)]
        rows = [_with_interval(*row) for row in zip(self.gaps["estimate"], self.gaps["low"], self.gaps["high"])]
        return shown, pd.DataFrame({"metric": self.gaps["metric"], "estimate": rows})

    def to_markdown(self):
        """Return both tables as GitHub markdown, without any further package."""
        return "\n\n".join([*(_markdown(table) for table in self._tables()), self.note]) + "\n"

    def __repr__(self):
        return "\n\n".join([*(table.to_string(index=False) for table in self._tables()), self.note])

    def _repr_html_(self):
        tables = [table.to_html(index=False, border=0) for table in self._tables()]
        return "".join([*tables, f"<p>{html.escape(self.note)}</p>"])


def _with_interval(estimate, low, high):
    if np.isnan(estimate):
        return "undefined"
    return f"{estimate:.3f}" if np.isnan(low) else f"{estimate:.3f} [{low:.3f}, {high:.3f}]"


def _markdown(table):
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def _group_rates(counts, tables):
    """Return {name: (..., G)} from counts (..., G, C, C) and tables (..., K, G, 2, 2)."""
    values = {"accuracy": divide(np.trace(counts, axis1=-2, axis2=-1), counts.sum((-2, -1)))}
    if tables.shape[-4] == 1:
        values |= {name: rates(tables[..., 0, :, :, :], rate) for name, rate in _RATES.items()}
    return values


def _all_gaps(counts, tables):
    """Return {name: (...)} from counts (..., G, C, C) and tables (..., K, G, 2, 2)."""
    values = {name: _JOINS[join](statistic(tables)) for name, (statistic, join) in _BINARY_GAPS.items()}
    return values | {name: statistic(counts) for name, statistic in _CELL_GAPS.items()}


def _score_gaps(table, labels, y_score, positives, draw):
    """Return {name: (estimate, samples)} of the metrics of scores; the threshold is held fixed in resamples."""
    n_groups, n_classes = table.counts.shape[:2]
    row_group, row_true, _ = np.unravel_index(table.cells, table.counts.shape)
    scores = as_scores(y_score, len(row_true))
    positive = row_true == labels.index(positives[0]) if positives[0] in labels else np.zeros(len(scores), bool)
    values = {}
    if positive.any():
        threshold = calibrated_threshold(positive, scores, sample_weight=table.weight)
        cells = np.ravel_multi_index((row_group, positive, scores >= threshold), (n_groups, 2, 2))
        values["equal_opportunity_at_calibrated_threshold"] = tuple(
            gaps.difference(tables.reshape(-1, n_groups, 2, 2), "TPR") for tables in draw(cells, n_groups * 4)
        )
    if scores.min() >= 0 and scores.max() <= 1:
        cells, n_cells = histogram_cells(row_true * n_groups + row_group, n_classes * n_groups, scores, 50, (0.0, 1.0))
        shape = (-1, n_classes, n_groups, 50)
        values["score_kl"] = tuple(
            gaps.reduce_classes(symmetric_kl(tables.reshape(shape)), "mean") for tables in draw(cells, n_cells)
        )
    return values


def check_options(n_boot, confidence_level):
    if not isinstance(n_boot, numbers.Integral) or n_boot < 0:
        raise ValueError(f"n_boot must be an integer >= 0, got {n_boot!r}.")
    if not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level must lie between 0 and 1, got {confidence_level!r}.")


@documented
def group_report(
    y_true,
    y_pred,
    *,
    sensitive_features,
    y_score=None,
    sample_weight=None,
    n_boot=1000,
    confidence_level=0.95,
    random_state=None,
    min_count=10,
    pos_label=None,
):
    r"""Rates of every group and all gaps between groups, with bootstrap intervals.

    The intervals are percentiles over resamples of the rows, :math:`[q_{\alpha/2}, q_{1-\alpha/2}]`. Resamples are
    drawn as multinomial tables [group, y, yhat], which has the same distribution as drawing rows.

    Parameters
    ----------
    <<y_true>>
    <<y_pred>>
    <<sensitive_features>>
    y_score : array-like of shape (n_samples,), default=None
        Scores of the positive class; adds the gaps of scores (``score_kl`` only where they lie in [0, 1]).
    <<sample_weight>>
    n_boot : int, default=1000
        Number of resamples; 0 for no intervals.
    confidence_level : float, default=0.95
    random_state : int, numpy Generator, RandomState or None, default=None
        The global numpy state is not used.
    min_count : int, default=10
        A group with fewer rows than this in one of its (group, label) cells is marked ``small``.
    <<pos_label>>

    Returns
    -------
    GroupReport
        With ``by_group``, ``overall``, ``gaps`` and ``to_markdown()``. Without unit. NaN, with one
        :class:`UndefinedGapWarning`, where something is not defined.

    Raises
    ------
    <<raises>> Also for ``n_boot`` and ``confidence_level`` out of range.

    Notes
    -----
    A gap is a maximum over groups and never negative: resampling inflates it, most for small groups and small gaps.
    The interval of a gap near 0 lies above 0, and may lie above the estimate. The resamples leave out groups that are
    not drawn.

    Examples
    --------
    >>> from skfair.metrics import group_report
    >>> y_true, y_pred, sex = [1, 0, 1, 0] * 10, [1, 0, 1, 1] * 10, ["f", "f", "m", "m"] * 10
    >>> report = group_report(y_true, y_pred, sensitive_features=sex, random_state=0)
    >>> report.by_group[["n", "selection_rate", "TPR"]]
        n  selection_rate  TPR
    f  20             0.5  1.0
    m  20             1.0  1.0
    >>> float(report.gaps.set_index("metric").loc["demographic_parity_difference", "estimate"])
    0.5
    """
    check_options(n_boot, confidence_level)
    table = count(y_true, y_pred, sensitive_features, sample_weight)
    return report_of(table, y_score, n_boot, confidence_level, random_state, min_count, pos_label)


def report_of(table, y_score, n_boot, confidence_level, random_state, min_count, pos_label):
    """The report of a table of counts."""
    positives, rng = positive_labels(table.classes, pos_label), as_generator(random_state)

    def draw(cells, n_cells):
        """The observed table, with one leading axis, and the resampled ones."""
        mass = table.weight if table.times is None else table.times * (1 if table.weight is None else table.weight)
        observed = np.bincount(cells, weights=mass, minlength=n_cells)[None].astype(np.float64)
        return observed, resample(cells, n_cells, n_boot, rng, table.weight, table.times)

    shape = (-1, *table.counts.shape)
    both = [counts.reshape(shape) for counts in draw(table.cells, table.counts.size)]
    binary = [positive_tables(counts, table.classes, positives) for counts in both]
    group_values, gap_values = (_paired(statistic, both, binary) for statistic in (_group_rates, _all_gaps))
    if y_score is not None:
        gap_values |= _score_gaps(table, table.classes.tolist(), y_score, positives, draw)
    phrases = undefined_cells(binary[0][0], positives, table.groups, ["selection rate", "TPR", "FPR"])
    undefined = [name for name, (estimate, _) in gap_values.items() if np.isnan(estimate[0])]
    phrases += [f"undefined gaps: {', '.join(undefined)}"] * bool(undefined)
    warn_undefined(phrases + empty_cells(table), np.zeros(1), stacklevel=3)
    note = _note(n_boot, confidence_level, min_count)
    by_group = _by_group_frame(table, group_values, confidence_level, min_count)
    return GroupReport(by_group, _overall(both[0], binary[0]), _gap_frame(gap_values, confidence_level), note)


def _paired(statistic, both, binary):
    """Return {name: (estimate with one leading axis, samples)}."""
    observed, resampled = (statistic(counts, tables) for counts, tables in zip(both, binary))
    return {name: (observed[name], resampled[name]) for name in observed}


def _note(n_boot, level, min_count):
    interval = f"[{100 * level:g}% percentile intervals of {n_boot} resamples] " if n_boot else ""
    return f"{interval}* fewer than {min_count} rows in one (group, label) cell"


def _by_group_frame(table, values, level, min_count):
    rows = np.bincount(table.cells, weights=table.times, minlength=table.counts.size).reshape(table.counts.shape)
    rows = rows.astype(np.int64)
    occurs = rows.sum((0, 2)) > 0
    total = table.counts.sum((-2, -1))
    columns = {"n": rows.sum((1, 2)), "share": total / total.sum()}
    for name in values:
        estimate, samples = values[name]
        low, high = quantile_interval(samples, level)
        columns |= {name: estimate[0], f"{name}_low": low, f"{name}_high": high}
    columns["small"] = (rows.sum(2)[:, occurs] < min_count).any(1)
    return pd.DataFrame(columns, index=_group_index(table))


def _group_index(table):
    if len(table.names) > 1:
        return pd.MultiIndex.from_tuples(table.groups, names=table.names)
    unnamed = table.names == ["sensitive_feature_0"]
    return pd.Index(table.groups, name=None if unnamed else table.names[0])


def _overall(counts, tables):
    values = _group_rates(counts.sum(-3, keepdims=True), tables.sum(-3, keepdims=True))
    return pd.Series({name: float(value[0, 0]) for name, value in values.items()}, name="overall")


def _gap_frame(values, level):
    rows = []
    for name, (estimate, samples) in values.items():
        low, high = quantile_interval(samples, level)
        rows.append({"metric": name, "estimate": float(estimate[0]), "low": float(low), "high": float(high)})
    return pd.DataFrame(rows)
