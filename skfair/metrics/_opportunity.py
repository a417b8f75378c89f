"""Metrics of equal opportunity: who gets the positive prediction among those who deserve it."""

from functools import partial

from ._docs import documented
from ._gaps import METHODS, check_choice, difference, evaluate, ratio, reduce_ratios

__all__ = ["equal_opportunity_difference", "equal_opportunity_ratio", "joint_opportunity_difference"]


@documented
def equal_opportunity_difference(
    y_true,
    y_pred,
    *,
    sensitive_features,
    method="between_groups",
    sample_weight=None,
    pos_label=None,
    multiclass="max",
):
    r"""Largest difference in true positive rate between two groups.

    .. math:: \max_{a, b} |P(\hat y = 1 \mid y = 1, s = a) - P(\hat y = 1 \mid y = 1, s = b)|

    Equal to fairlearn's function of this name where every group has a positive row. A group without one has no rate
    (fairlearn counts it as 0): it is left out, with a warning.

    Parameters
    ----------
    <<y_true>>
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
    Hardt et al., "Equality of opportunity in supervised learning", NeurIPS 2016. The EOp of Lu et al.
    (FairAttention), ICLR 2024; with predictions at a calibrated threshold, the DEO of Ramaswamy et al., CVPR 2021.

    Examples
    --------
    >>> from skfair.metrics import equal_opportunity_difference
    >>> equal_opportunity_difference([1, 1, 1, 1], [1, 0, 1, 1], sensitive_features=["f", "f", "m", "m"])
    0.5
    """
    check_choice(method, METHODS, "method")
    data = (y_true, y_pred, sensitive_features, sample_weight)
    statistic = partial(difference, name="TPR", method=method)
    return evaluate(statistic, *data, needs=["TPR"], pos_label=pos_label, multiclass=multiclass)


@documented
def equal_opportunity_ratio(
    y_true,
    y_pred,
    *,
    sensitive_features,
    method="between_groups",
    sample_weight=None,
    pos_label=None,
    multiclass="max",
):
    r"""Smallest ratio of true positive rates of two groups.

    .. math:: \min_{a, b} P(\hat y = 1 \mid y = 1, s = a) / P(\hat y = 1 \mid y = 1, s = b)

    Equal to fairlearn's function of this name where every group has a positive row. Undefined where there is no true
    positive at all.

    Parameters
    ----------
    <<y_true>>
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
    Hardt et al., "Equality of opportunity in supervised learning", NeurIPS 2016.

    Examples
    --------
    >>> from skfair.metrics import equal_opportunity_ratio
    >>> equal_opportunity_ratio([1, 1, 1, 1], [1, 0, 1, 1], sensitive_features=["f", "f", "m", "m"])
    0.5
    """
    check_choice(method, METHODS, "method")
    data = (y_true, y_pred, sensitive_features, sample_weight)
    statistic = partial(ratio, name="TPR", method=method)
    options = {"pos_label": pos_label, "multiclass": multiclass, "join": reduce_ratios}
    return evaluate(statistic, *data, needs=["TPR"], **options)


@documented
def joint_opportunity_difference(
    y_true, y_pred, *, sensitive_features, sample_weight=None, pos_label=None, multiclass="max"
):
    r"""Largest difference between two groups in the share of true positives among *all* rows of the group.

    .. math:: \max_{a, b} |P(\hat y = 1, y = 1 \mid s = a) - P(\hat y = 1, y = 1 \mid s = b)|

    What DVGE's released code computes under the name of equal opportunity. It mixes the true positive rate with the
    base rate: a perfect classifier has a gap wherever base rates differ.

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
    Code published with Zhang et al., "Model Debiasing via Gradient-based Explanation on Representation", AIES 2023.

    Examples
    --------
    >>> from skfair.metrics import joint_opportunity_difference
    >>> joint_opportunity_difference([1, 0, 1, 1], [1, 0, 1, 1], sensitive_features=["f", "f", "m", "m"])
    0.5
    """
    data = (y_true, y_pred, sensitive_features, sample_weight)
    statistic = partial(difference, name="joint rate")
    return evaluate(statistic, *data, needs=["joint rate"], pos_label=pos_label, multiclass=multiclass)
