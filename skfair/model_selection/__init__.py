"""Choosing among models by accuracy and fairness."""

from ._controls import trivial_controls
from ._pareto import hypervolume, pareto_front
from ._refit import best_within
from ._threshold import ThresholdSearchCV

__all__ = ["FrontierSearchCV", "ThresholdSearchCV", "best_within", "hypervolume", "pareto_front", "trivial_controls"]


def __getattr__(name):
    if name != "FrontierSearchCV":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._frontier import FrontierSearchCV  # loads torch, which the rest of this package does not need

    globals()[name] = FrontierSearchCV
    return FrontierSearchCV


def __dir__():
    return __all__
