"""Plots, as scikit-learn's Display classes. Needs matplotlib: ``pip install 'skfair[plots]'``."""

from skfair.inspection._group_scores import GroupScoreDisplay

__all__ = ["GroupScoreDisplay"]
