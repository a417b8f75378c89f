"""Discovery of estimators and checks for those who write new ones."""

from skfair.utils._discovery import all_estimators

__all__ = ["all_estimators"]
