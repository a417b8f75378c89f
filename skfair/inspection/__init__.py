"""Plots, as scikit-learn's Display classes. Needs matplotlib: ``pip install 'skfair[plots]'``."""

from skfair.inspection._group_scores import GroupScoreDisplay
from skfair.inspection._pareto_front import ParetoFrontDisplay

__all__ = ["GroupScoreDisplay", "ParetoFrontDisplay"]
