"""Metrics that name one group as the privileged one and pool all others."""

from functools import partial

import numpy as np

from ._counts import divide, rates
from ._docs import documented
from ._gaps import check_choice, evaluate, reduce_ratios, split_privileged

__all__ = ["selection_rate_ratio", "signed_equalized_odds"]


@documented
def selection_rate_ratio(
    y_true,
    y_pred,
    *,
    sensitive_features,
    privileged,
    outcome="positive",
    sample_weight=None,
    pos_label=None,
    multiclass="max",
):
    r"""Ratio of selection rates of the unprivileged and the privileged group, in the RNF paper's two forms.

    .. math::

        \text{outcome="positive": } \frac{P(\hat y = 1 \mid s \neq p)}{P(\hat y = 1 \mid s = p)} \qquad
        \text{outcome="negative": } \frac{P(\hat y = 0 \mid s = p)}{P(\hat y = 0 \mid s \neq p)}

    The paper's text prints the first; its tables can only be the second (0.88 on MEPS where the first gives 0.31).
    Neither is bounded by 1. All groups other than ``privileged`` are pooled, rows with a missing value included.
    The first is undefined where nobody privileged is selected, as happens when training collapses.

    Parameters
    ----------
    <<y_true>> Used to find the labels; their values do not enter.
    <<y_pred>>
    <<sensitive_features>>
    privileged : group label
        A value of the sensitive column, or a tuple of values for several columns.
    outcome : {"positive", "negative"}, default="positive"
    <<sample_weight>>
    <<pos_label>>
    <<multiclass>> The worst class is the one with the smallest ratio.

    Returns
    -------
    float
        Without unit, from 0. NaN, with an :class:`UndefinedGapWarning`, where it is not defined.

    Raises
    ------
    <<raises>> Also where ``privileged`` is no group.

    References
    ----------
    Du et al., "Fairness via Representation Neutralization", NeurIPS 2021, section 4.1.

    Examples
    --------
    >>> from skfair.metrics import selection_rate_ratio
    >>> y_pred, sex = [1, 0, 0, 0, 1, 0], ["f", "f", "f", "f", "m", "m"]
    >>> selection_rate_ratio(y_pred, y_pred, sensitive_features=sex, privileged="m")
    0.5
    >>> round(selection_rate_ratio(y_pred, y_pred, sensitive_features=sex, privileged="m", outcome="negative"), 3)
    0.667
    """
    check_choice(outcome, ("positive", "negative"), "outcome")
    name = "selection rate" if outcome == "positive" else "rejection rate"

    def statistic(tables):
        others, inside = np.moveaxis(rates(tables, name), -1, 0)
        return divide(others, inside) if outcome == "positive" else divide(inside, others)

    data = (y_true, y_pred, sensitive_features, sample_weight)
    view = partial(split_privileged, privileged=privileged)
    options = {"pos_label": pos_label, "multiclass": multiclass, "join": reduce_ratios}
    return evaluate(statistic, *data, needs=[name], view=view, **options)


@documented
def signed_equalized_odds(y_true, y_pred, *, sensitive_features, privileged, sample_weight=None, pos_label=None):
    r"""Signed sum of the differences in true and in false positive rate, unprivileged minus privileged.

    .. math:: (TPR_{s \neq p} - TPR_{s = p}) + (FPR_{s \neq p} - FPR_{s = p})

    Between -2 and 2; negative means that the unprivileged get fewer positive predictions. The two terms can cancel:
    0 is not equalized odds, so report :func:`equalized_odds_difference` too. All groups other than ``privileged`` are
    pooled, rows with a missing value included.

    Parameters
    ----------
    <<y_true>>
    <<y_pred>>
    <<sensitive_features>>
    privileged : group label
        A value of the sensitive column, or a tuple of values for several columns.
    <<sample_weight>>
    pos_label : label, default=None
        The positive label; None means 1, and is an error where the labels do not lie in {0, 1} or {-1, 1}.

    Returns
    -------
    float
        NaN, with an :class:`UndefinedGapWarning`, where one of the four rates is not defined.

    Raises
    ------
    <<raises>> Also where ``privileged`` is no group.

    References
    ----------
    Du et al., "Fairness via Representation Neutralization", NeurIPS 2021, equation 7 (their Delta EO).

    Examples
    --------
    >>> from skfair.metrics import signed_equalized_odds
    >>> y_true, y_pred, sex = [1, 1, 0, 1, 1, 0], [1, 0, 1, 1, 1, 1], ["f", "f", "f", "m", "m", "m"]
    >>> signed_equalized_odds(y_true, y_pred, sensitive_features=sex, privileged="m")
    -0.5
    """

    def statistic(tables):
        if len(tables) > 1:
            raise ValueError(f"signed_equalized_odds needs pos_label where there are {len(tables)} classes.")
        return -sum(np.diff(rates(tables, name), axis=-1)[..., 0] for name in ("TPR", "FPR"))

    data = (y_true, y_pred, sensitive_features, sample_weight)
    view = partial(split_privileged, privileged=privileged)
    return evaluate(statistic, *data, needs=["TPR", "FPR"], pos_label=pos_label, view=view)


def signed_equalized_odds_magnitude(
    y_true, y_pred, *, sensitive_features, privileged, sample_weight=None, pos_label=None
):
    """Absolute value of :func:`signed_equalized_odds`, which is what a scorer can minimise."""
    options = {"sample_weight": sample_weight, "pos_label": pos_label}
    value = signed_equalized_odds(
        y_true, y_pred, sensitive_features=sensitive_features, privileged=privileged, **options
    )
    return abs(value)
