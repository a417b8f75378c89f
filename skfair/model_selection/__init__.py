"""Choosing among models by accuracy and fairness."""

from ._refit import best_within

__all__ = ["best_within"]
