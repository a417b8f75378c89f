"""Preparation of tables for networks, out of scikit-learn's own parts."""

from skfair.preprocessing._tabular import make_tabular_preprocessor

__all__ = ["make_tabular_preprocessor"]
