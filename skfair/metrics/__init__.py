"""Fairness metrics, as functions, scorers and a report."""

from ._calibrated import calibrated_threshold, equal_opportunity_at_calibrated_threshold
from ._cells import bias_amplification, worst_group_accuracy
from ._chunks import group_report_in_chunks
from ._counts import UndefinedGapWarning
from ._divergence import score_kl
from ._odds import average_odds_difference, equalized_odds_difference, equalized_odds_ratio, equalized_odds_sum
from ._opportunity import equal_opportunity_difference, equal_opportunity_ratio, joint_opportunity_difference
from ._parity import demographic_parity_difference, demographic_parity_ratio, demographic_parity_sum
from ._privileged import selection_rate_ratio, signed_equalized_odds
from ._report import GroupReport, group_report
from ._scorer import get_scorer, get_scorer_names, make_fairness_scorer

__all__ = [
    "GroupReport",
    "UndefinedGapWarning",
    "average_odds_difference",
    "bias_amplification",
    "calibrated_threshold",
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "demographic_parity_sum",
    "equal_opportunity_at_calibrated_threshold",
    "equal_opportunity_difference",
    "equal_opportunity_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
    "equalized_odds_sum",
    "get_scorer",
    "get_scorer_names",
    "group_report",
    "group_report_in_chunks",
    "joint_opportunity_difference",
    "make_fairness_scorer",
    "score_kl",
    "selection_rate_ratio",
    "signed_equalized_odds",
    "worst_group_accuracy",
]
