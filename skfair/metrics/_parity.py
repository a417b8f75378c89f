"""Metrics of demographic parity: who gets the positive prediction."""

from functools import partial

from ._docs import documented
from ._gaps import METHODS, check_choice, deviation, difference, evaluate, ratio, reduce_ratios

__all__ = [
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "demographic_parity_sum",
]


@documented
def demographic_parity_difference(
    y_true,
    y_pred,
    *,
    sensitive_features,
    method="between_groups",
    sample_weight=None,
    pos_label=None,
    multiclass="max",
):
    r"""Largest difference in selection rate between two groups.

    .. math:: \max_{a, b} |P(\hat y = 1 \mid s = a) - P(\hat y = 1 \mid s = b)|

    Equal to fairlearn's function of this name. 0 is parity; a constant classifier has it too.

    Parameters
    ----------
    <<y_true>> Used to find the labels; their values do not enter.
    <<y_pred>>
    <<sensitive_features>>
    <<method>>
    <<sample_weight>>
    <<pos_label>>
    <<multiclass>>

    Returns
    -------
    <<returns>>

    Raises
    ------
    <<raises>>

    References
    ----------
    The metric "DP" of most papers; FairReprogram's is :func:`demographic_parity_sum`.

    Examples
    --------
    >>> from skfair.metrics import demographic_parity_difference
    >>> demographic_parity_difference([1, 0, 1, 0], [1, 1, 1, 0], sensitive_features=["f", "f", "m", "m"])
    0.5
    """
    check_choice(method, METHODS, "method")
    data = (y_true, y_pred, sensitive_features, sample_weight)
    statistic = partial(difference, name="selection rate", method=method)
    return evaluate(statistic, *data, needs=["selection rate"], pos_label=pos_label, multiclass=multiclass)


@documented
def demographic_parity_ratio(
    y_true,
    y_pred,
    *,
    sensitive_features,
    method="between_groups",
    sample_weight=None,
    pos_label=None,
    multiclass="max",
):
    r"""Smallest ratio of selection rates of two groups.

    .. math:: \min_{a, b} P(\hat y = 1 \mid s = a) / P(\hat y = 1 \mid s = b)

    Equal to fairlearn's function of this name, at most 1; 1 is parity. Undefined where nobody is selected.

    Parameters
    ----------
    <<y_true>> Used to find the labels; their values do not enter.
    <<y_pred>>
    <<sensitive_features>>
    <<method>>
    <<sample_weight>>
    <<pos_label>>
    <<multiclass>> The worst class is the one with the smallest ratio.

    Returns
    -------
    <<returns>>

    Raises
    ------
    <<raises>>

    References
    ----------
    The "four fifths rule" asks for 0.8. Not the ratio of the RNF paper: see :func:`selection_rate_ratio`.

    Examples
    --------
    >>> from skfair.metrics import demographic_parity_ratio
    >>> demographic_parity_ratio([1, 0, 1, 0], [1, 1, 1, 0], sensitive_features=["f", "f", "m", "m"])
    0.5
    """
    check_choice(method, METHODS, "method")
    data = (y_true, y_pred, sensitive_features, sample_weight)
    statistic = partial(ratio, name="selection rate", method=method)
    options = {"pos_label": pos_label, "multiclass": multiclass, "join": reduce_ratios}
    return evaluate(statistic, *data, needs=["selection rate"], **options)


@documented
def demographic_parity_sum(
    y_true,
    y_pred,
    *,
    sensitive_features,
    sample_weight=None,
    reduction="sum",
    pos_label=None,
    multiclass="mean",
):
    r"""Sum over groups of the distance between the group's selection rate and that of all rows.

    .. math:: \sum_s |P(\hat y = 1) - P(\hat y = 1 \mid s)|

    For two groups that cover all rows it equals :func:`demographic_parity_difference`; for more groups it does not,
    and it can exceed 1. Groups without a rate are left out, with a warning.

    Parameters
    ----------
    <<y_true>> Used to find the labels; their values do not enter.
    <<y_pred>>
    <<sensitive_features>>
    <<sample_weight>>
    reduction : {"sum", "mean"}, default="sum"
        The paper prints the sum; its code divides by the number of groups.
    <<pos_label>>
    multiclass : {"mean", "max"}, default="mean"
        How the one-versus-rest values of more than two classes are joined. The paper's code takes their mean.

    Returns
    -------
    float
        Without unit, from 0. NaN, with an :class:`UndefinedGapWarning`, where it is not defined.

    Raises
    ------
    <<raises>>

    References
    ----------
    Zhang et al., "Fairness Reprogramming", NeurIPS 2022.

    Examples
    --------
    >>> from skfair.metrics import demographic_parity_sum
    >>> demographic_parity_sum([1, 0, 1, 0], [1, 1, 1, 0], sensitive_features=["f", "f", "m", "m"])
    0.5
    """
    check_choice(reduction, ("sum", "mean"), "reduction")
    data = (y_true, y_pred, sensitive_features, sample_weight)
    statistic = partial(deviation, name="selection rate", reduction=reduction)
    return evaluate(statistic, *data, needs=["selection rate"], pos_label=pos_label, multiclass=multiclass)
