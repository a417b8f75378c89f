"""Metrics of equalized odds, in the forms of the papers."""

from functools import partial

from ._docs import documented
from ._gaps import (
    METHODS,
    average_odds,
    check_choice,
    difference,
    evaluate,
    odds,
    odds_deviation,
    ratio,
    reduce_ratios,
)

__all__ = [
    "average_odds_difference",
    "equalized_odds_difference",
    "equalized_odds_ratio",
    "equalized_odds_sum",
]

_AGGREGATES = ("worst_case", "mean")


@documented
def equalized_odds_difference(
    y_true,
    y_pred,
    *,
    sensitive_features,
    method="between_groups",
    sample_weight=None,
    agg="worst_case",
    pos_label=None,
    multiclass="max",
):
    r"""The larger of the gaps in true and in false positive rate.

    .. math:: \max_{y \in \{0, 1\}} \max_{a, b} |P(\hat y = 1 \mid y, s = a) - P(\hat y = 1 \mid y, s = b)|

    Equal to fairlearn's function of this name where every group has a row of each class. NaN where one of its two
    parts is not defined.

    Parameters
    ----------
    <<y_true>>
    <<y_pred>>
    <<sensitive_features>>
    <<method>>
    <<sample_weight>>
    agg : {"worst_case", "mean"}, default="worst_case"
        The larger of the two gaps, or their mean.
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
    Hardt et al., "Equality of opportunity in supervised learning", NeurIPS 2016. Papers differ in the form: see
    :func:`average_odds_difference`, :func:`equalized_odds_sum` and :func:`signed_equalized_odds`.

    Examples
    --------
    >>> from skfair.metrics import equalized_odds_difference
    >>> y_true, y_pred, sex = [1, 1, 0, 1, 1, 0], [1, 0, 1, 1, 1, 1], ["f", "f", "f", "m", "m", "m"]
    >>> equalized_odds_difference(y_true, y_pred, sensitive_features=sex)
    0.5
    >>> equalized_odds_difference(y_true, y_pred, sensitive_features=sex, agg="mean")
    0.25
    """
    check_choice(method, METHODS, "method")
    check_choice(agg, _AGGREGATES, "agg")
    data = (y_true, y_pred, sensitive_features, sample_weight)
    statistic = partial(odds, gap=difference, agg=agg, method=method)
    return evaluate(statistic, *data, needs=["TPR", "FPR"], pos_label=pos_label, multiclass=multiclass)


@documented
def equalized_odds_ratio(
    y_true,
    y_pred,
    *,
    sensitive_features,
    method="between_groups",
    sample_weight=None,
    agg="worst_case",
    pos_label=None,
    multiclass="max",
):
    r"""The smaller of the ratios of true and of false positive rates.

    .. math:: \min_{y \in \{0, 1\}} \min_{a, b} P(\hat y = 1 \mid y, s = a) / P(\hat y = 1 \mid y, s = b)

    Equal to fairlearn's function of this name where both of its parts are defined, NaN where one is not: a classifier
    without any false positive has no ratio of false positive rates.

    Parameters
    ----------
    <<y_true>>
    <<y_pred>>
    <<sensitive_features>>
    <<method>>
    <<sample_weight>>
    agg : {"worst_case", "mean"}, default="worst_case"
        The smaller of the two ratios, or their mean.
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
    Hardt et al., "Equality of opportunity in supervised learning", NeurIPS 2016.

    Examples
    --------
    >>> from skfair.metrics import equalized_odds_ratio
    >>> y_true, y_pred, sex = [1, 1, 0, 1, 1, 0], [1, 0, 1, 1, 1, 1], ["f", "f", "f", "m", "m", "m"]
    >>> equalized_odds_ratio(y_true, y_pred, sensitive_features=sex)
    0.5
    """
    check_choice(method, METHODS, "method")
    check_choice(agg, _AGGREGATES, "agg")
    data = (y_true, y_pred, sensitive_features, sample_weight)
    statistic = partial(odds, gap=ratio, agg=agg, method=method)
    options = {"pos_label": pos_label, "multiclass": multiclass, "join": reduce_ratios}
    return evaluate(statistic, *data, needs=["TPR", "FPR"], **options)


@documented
def average_odds_difference(
    y_true, y_pred, *, sensitive_features, sample_weight=None, pos_label=None, multiclass="max"
):
    r"""Half the sum of the gaps in true and in false positive rate, at its largest over pairs of groups.

    .. math:: \max_{a, b} \tfrac12 \left(|TPR_a - TPR_b| + |FPR_a - FPR_b|\right)

    For two groups it equals ``equalized_odds_difference(agg="mean")``; for more it is smaller or equal, because both
    gaps are of the *same* pair of groups. Only groups with a row of each class enter.

    Parameters
    ----------
    <<y_true>>
    <<y_pred>>
    <<sensitive_features>>
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
    The EOd of Lu et al., "Debiasing Attention Mechanism in Transformer without Demographics", ICLR 2024. The 1/2 is
    that of its code.

    Examples
    --------
    >>> from skfair.metrics import average_odds_difference
    >>> y_true, y_pred, sex = [1, 1, 0, 1, 1, 0], [1, 0, 1, 1, 1, 1], ["f", "f", "f", "m", "m", "m"]
    >>> average_odds_difference(y_true, y_pred, sensitive_features=sex)
    0.25
    """
    data = (y_true, y_pred, sensitive_features, sample_weight)
    return evaluate(average_odds, *data, needs=["TPR", "FPR"], pos_label=pos_label, multiclass=multiclass)


@documented
def equalized_odds_sum(
    y_true,
    y_pred,
    *,
    sensitive_features,
    sample_weight=None,
    reduction="sum",
    pos_label=None,
    multiclass="mean",
):
    r"""Sum over groups of the distance between the group's error rates and those of all rows.

    .. math:: \sum_s \tfrac12 \left(|FPR - FPR_s| + |FNR - FNR_s|\right)

    For two groups that cover all rows it equals :func:`average_odds_difference`; for more groups it does not. Groups
    without a rate are left out of that rate's sum, with a warning.

    Parameters
    ----------
    <<y_true>>
    <<y_pred>>
    <<sensitive_features>>
    <<sample_weight>>
    reduction : {"sum", "mean"}, default="sum"
        The paper prints the sum; its code divides by the number of groups. (What the code prints for CelebA also
        leaves out the 1/2.)
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
    >>> from skfair.metrics import equalized_odds_sum
    >>> y_true, y_pred, sex = [1, 1, 0, 1, 1, 0], [1, 0, 1, 1, 1, 1], ["f", "f", "f", "m", "m", "m"]
    >>> equalized_odds_sum(y_true, y_pred, sensitive_features=sex)
    0.25
    """
    check_choice(reduction, ("sum", "mean"), "reduction")
    data = (y_true, y_pred, sensitive_features, sample_weight)
    statistic = partial(odds_deviation, reduction=reduction)
    return evaluate(statistic, *data, needs=["FPR", "FNR"], pos_label=pos_label, multiclass=multiclass)
