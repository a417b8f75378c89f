"""Whose loss counts: methods that weigh the rows or the groups."""

from skfair.robust._erm import ERMClassifier
from skfair.robust._group_dro import GroupDROClassifier

__all__ = ["ERMClassifier", "GroupDROClassifier"]
