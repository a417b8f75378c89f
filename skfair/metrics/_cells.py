"""Metrics of the (label, group) cells: worst-group accuracy and bias amplification. Any number of classes."""

import numpy as np

from ._counts import count, divide, warn_undefined
from ._docs import documented
from ._gaps import check_choice

__all__ = ["bias_amplification", "worst_group_accuracy"]


def cell_accuracy(counts):
    """Accuracy of each (group, label) cell: (..., G, C) from (..., G, C, C); NaN where the cell is empty."""
    return divide(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1))


def worst_cell(counts):
    """Smallest accuracy over the cells that are not empty, shape (...)."""
    accuracy = cell_accuracy(counts)
    defined = ~np.isnan(accuracy)
    worst = np.where(defined, accuracy, np.inf).min((-2, -1))
    return np.where(defined.any((-2, -1)), worst, np.nan)


def amplification(counts, reduction="mean"):
    """Bias amplification, shape (...), from counts (..., G, C, C)."""
    n_group = counts.sum((-2, -1))[..., None]  # (..., G, 1)
    true = divide(counts.sum(-1), n_group)  # (..., G, C) P(t|g)
    pred = divide(counts.sum(-2), n_group)  # (..., G, C) P^(t|g)
    base = counts.sum((-3, -1)) / counts.sum((-3, -2, -1))[..., None]  # (..., C) P(t)
    lift = true - base[..., None, :]
    # NOTE: P(t|g) = P(t) in exact arithmetic must count as sign 0, not as the sign of a rounding error
    sign = np.where(np.abs(lift) < 1e-12, 0.0, np.sign(lift))
    terms = sign * (pred - true)
    defined = (~np.isnan(terms)).sum((-2, -1))
    total = np.nansum(terms, (-2, -1))
    return np.where(defined > 0, divide(total, defined) if reduction == "mean" else total, np.nan)


@documented
def worst_group_accuracy(y_true, y_pred, *, sensitive_features, sample_weight=None):
    r"""Accuracy in the worst (label, group) cell.

    .. math:: \min_{y, s} P(\hat y = y \mid y, s)

    The minimum is over the cells that hold a row; a warning names the others. Any number of classes.

    Parameters
    ----------
    <<y_true>>
    <<y_pred>>
    <<sensitive_features>>
    <<sample_weight>>

    Returns
    -------
    <<returns>>

    Raises
    ------
    <<raises>>

    References
    ----------
    Sagawa et al., "Distributionally Robust Neural Networks", ICLR 2020. FairReprogram's Min_ACC_AcrossZY.

    Examples
    --------
    >>> from skfair.metrics import worst_group_accuracy
    >>> y_true, y_pred, sex = [1, 1, 0, 1, 0, 0], [1, 0, 0, 1, 0, 0], ["f", "f", "f", "m", "m", "m"]
    >>> worst_group_accuracy(y_true, y_pred, sensitive_features=sex)
    0.5
    """
    table = count(y_true, y_pred, sensitive_features, sample_weight)
    result = worst_cell(table.counts)
    warn_undefined(empty_cells(table), result)
    return float(result)


def empty_cells(table):
    """Return one phrase that names the (label, group) cells without a row, or nothing."""
    sizes = table.counts.sum(-1)  # (G, C)
    occurs = sizes.sum(0) > 0  # a label that is only ever predicted makes no cell
    empty = [(table.classes.tolist()[c], table.groups[g]) for g, c in np.argwhere((sizes == 0) & occurs)]
    if not empty:
        return []
    more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
    return [f"no row in the (label, group) cell {', '.join(map(repr, empty[:5]))}{more}"]


@documented
def bias_amplification(y_true, y_pred, *, sensitive_features, sample_weight=None, reduction="mean"):
    r"""How much predictions go beyond the association of label and group that is in the data. Signed.

    .. math::

        \frac{1}{|T||G|} \sum_{t, g} \operatorname{sign}\big(P(t \mid g) - P(t)\big)\,
        \big(\hat P(t \mid g) - P(t \mid g)\big)

    with P of the true and P^ of the predicted labels of the data given. 0 for perfect predictions, positive where the
    association is amplified, negative where it is weakened. Any number of classes and groups. Papers print it times
    100.

    Parameters
    ----------
    <<y_true>>
    <<y_pred>>
    <<sensitive_features>>
    <<sample_weight>>
    reduction : {"mean", "sum"}, default="mean"
        Mean over the (label, group) pairs, as in the code of Ramaswamy et al., or the sum, as in their text.

    Returns
    -------
    float
        Between -1 and 1 for the mean.

    Raises
    ------
    <<raises>>

    Notes
    -----
    The text of Ramaswamy et al. prints the opposite sign; this is the sign of their code and of the stated meaning.

    References
    ----------
    Wang & Russakovsky, "Directional Bias Amplification", ICML 2021; Ramaswamy et al., "Fair Attribute Classification
    through Latent Space De-biasing", CVPR 2021.

    Examples
    --------
    >>> from skfair.metrics import bias_amplification
    >>> y_true, sex = [1, 0, 0, 0, 1, 1, 1, 0], ["f"] * 4 + ["m"] * 4
    >>> bias_amplification(y_true, y_true, sensitive_features=sex)
    0.0
    >>> bias_amplification(y_true, [0, 0, 0, 0, 1, 1, 1, 1], sensitive_features=sex)
    0.25
    """
    # NOTE[DIFF] sign: the paper's text has P(t|g) - P^(t|g); its code, its tables and its words have the reverse.
    check_choice(reduction, ("mean", "sum"), "reduction")
    table = count(y_true, y_pred, sensitive_features, sample_weight)
    result = amplification(table.counts, reduction)
    lacking = [table.groups[g] for g in np.flatnonzero(table.counts.sum((-2, -1)) == 0)]
    warn_undefined([f"no positive weight in group {group!r}" for group in lacking], result)
    return float(result)
