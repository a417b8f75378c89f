"""Preprocessing of tables and texts for networks."""

from skfair.preprocessing._pipeline import make_tabular_pipeline
from skfair.preprocessing._tabular import make_tabular_preprocessor
from skfair.preprocessing._text import TokenEncoder

__all__ = ["TokenEncoder", "make_tabular_pipeline", "make_tabular_preprocessor"]
