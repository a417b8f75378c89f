"""Which candidate of a search to refit: the best one among those that are fair enough."""

import copy
import numbers
import warnings

import numpy as np
from sklearn.utils.metadata_routing import get_routing_for_object, process_routing

from skfair._routing import routing_enabled
from skfair.metrics import get_scorer, get_scorer_names

__all__ = ["ScoresOfRule", "best_within", "with_fairness"]


def with_fairness(scoring):
    """The same ``scoring``, with scorers in the place of our metrics' names, which scikit-learn does not know."""
    if isinstance(scoring, str):
        return get_scorer(scoring) if scoring in get_scorer_names() else scoring
    if isinstance(scoring, list | tuple) and {one for one in scoring if isinstance(one, str)} & {*get_scorer_names()}:
        scoring = {name: name for name in scoring}
    return {name: with_fairness(one) for name, one in scoring.items()} if isinstance(scoring, dict) else scoring


class ScoresOfRule:
    """Mixin for a search of scikit-learn: fairness metrics by name, and ``score`` where ``refit`` is a rule."""

    def _get_scorers(self):
        named = copy.copy(self)
        named.scoring = with_fairness(self.scoring)
        return super(ScoresOfRule, named)._get_scorers()

    def score(self, X, y=None, **params):
        """Return a score of the best estimator: the one that ``refit`` names, or that a rule maximises.

        Parameters
        ----------
        X, y
            As the estimator takes them.
        **params
            ``sensitive_features`` and the like, with metadata routing on. They go to the score if it asks for them.

        Returns
        -------
        float
        """
        named = copy.copy(self)
        named.refit = getattr(self.refit, "objective", self.refit)
        scorers = getattr(self, "scorer_", None)
        if isinstance(scorers, dict):
            if callable(named.refit):
                raise ValueError(f"refit={self.refit!r} names none of the scores {list(scorers)}: call one of scorer_.")
            if routing_enabled() and named.refit in scorers:
                process_routing(self, "score", **params)  # raises for what no score asks for
                asked = get_routing_for_object(scorers[named.refit]).consumes("score", params)
                params = {name: params[name] for name in asked}
        return super(ScoresOfRule, named).score(X, y, **params)


class _BestWithin:
    """The callable that :func:`best_within` returns; only data in it, so that it pickles and clones."""

    def __init__(self, objective, at_most, at_least):
        self.objective = objective
        self.at_most = at_most
        self.at_least = at_least

    def __call__(self, cv_results):
        """Return the index of the candidate to refit."""
        objective = _scores(cv_results, self.objective)
        violation, gap = self._violation(cv_results)
        usable = ~np.isnan(objective + violation)
        if not usable.any():
            raise ValueError(f"{self}: every candidate has a NaN score; run the search with error_score='raise'.")
        objective, violation = np.where(usable, objective, -np.inf), np.where(usable, violation, np.inf)
        feasible = violation <= 1e-12
        if feasible.any():
            objective = np.where(feasible, objective, -np.inf)
            return int(np.lexsort((np.arange(len(gap)), gap, -objective))[0])
        chosen = int(np.lexsort((np.arange(len(gap)), -objective, violation))[0])
        warnings.warn(
            f"{self}: no candidate is within the bounds. Taking candidate {chosen}, whose violation is the smallest: "
            f"{violation[chosen]:.4g} in total.",
            UserWarning,
            stacklevel=2,
        )
        return chosen

    def _violation(self, cv_results):
        """Return (total violation, total gap), each of shape (n_candidates,). Scores are negated gaps."""
        violation, gap = 0.0, 0.0
        for name, bound in self.at_most.items():
            scores = _scores(cv_results, name)
            _warn_positive(name, scores)
            violation = violation + np.maximum(0.0, -scores - bound)
            gap = gap - scores
        for name, bound in self.at_least.items():
            scores = _scores(cv_results, name)
            violation = violation + np.maximum(0.0, bound - scores)
            gap = gap - scores
        return violation, gap

    def __repr__(self):
        parts = [f"objective={self.objective!r}"]
        parts += [f"at_least={self.at_least!r}"] * bool(self.at_least)
        return f"best_within({', '.join(parts + [f'{name}={bound!r}' for name, bound in self.at_most.items()])})"

    def __eq__(self, other):
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self):
        raise TypeError(
            f"unhashable type: {self}. GridSearchCV.score knows no rule: call scorer_[{self.objective!r}] of the search, "
            "or take FrontierSearchCV."
        )


def _scores(cv_results, name):
    """Return mean_test_<name> as floats, or raise with the names present."""
    key = f"mean_test_{name}"
    if key not in cv_results:
        present = sorted(key.removeprefix("mean_test_") for key in cv_results if key.startswith("mean_test_"))
        raise ValueError(f"best_within asks for the score {name!r}, the search has {present!r}: name it in scoring=.")
    return np.asarray(cv_results[key], dtype=np.float64)


def _warn_positive(name, scores):
    defined = scores[~np.isnan(scores)]
    if len(defined) and (defined > 0).all():
        warnings.warn(
            f"Every candidate scores above 0 on {name!r}, from {defined.min():.4g}: best_within reads a score as a "
            "negated gap, so its bound holds for all. Make the scorer with greater_is_better=False, or use at_least.",
            UserWarning,
            stacklevel=4,
        )


def _check_bounds(bounds, kind):
    for name, bound in bounds.items():
        if not isinstance(bound, numbers.Real) or isinstance(bound, bool) or not np.isfinite(bound):
            raise ValueError(f"The bound of {name!r} in {kind} must be a finite number, got {bound!r}.")


def best_within(*, objective="accuracy", at_least=None, **at_most):
    r"""Refit rule for a search: the best candidate among those whose gaps are within bounds.

    .. math:: \arg\max_c \text{objective}_c \quad \text{such that} \quad \text{gap}_c \le \text{bound}

    Parameters
    ----------
    objective : str, default="accuracy"
        Name, in ``scoring``, of the score to maximise.
    at_least : dict of str to float, default=None
        Smallest values allowed for scores that are not negated, such as ratios: ``at_least={"ratio": 0.8}``.
    **at_most : float
        Largest gaps allowed, by the name of the score in ``scoring``. Scores are negated gaps (greater is better):
        ``gap=0.1`` keeps the candidates with ``mean_test_gap >= -0.1``.

    Returns
    -------
    callable
        For ``GridSearchCV(refit=...)``: takes ``cv_results_`` and returns ``best_index_``. It pickles and clones. Ties
        go to the smaller gap, then to the earlier candidate. Candidates with a NaN score never win.

    Raises
    ------
    ValueError
        Where no bound is given or one is no number; when called, for scores that the search does not have, and where
        every candidate has a NaN score.

    Warns
    -----
    UserWarning
        When called, where no candidate is within the bounds (the one with the smallest total violation is taken), and
        where all scores of a gap are positive, so not negated.

    Examples
    --------
    >>> from skfair.model_selection import best_within
    >>> rule = best_within(gap=0.1)
    >>> rule
    best_within(objective='accuracy', gap=0.1)
    >>> rule({"mean_test_accuracy": [0.9, 0.8, 0.7], "mean_test_gap": [-0.3, -0.08, -0.01]})
    1
    """
    at_least = dict(at_least or {})
    if not at_most and not at_least:
        raise ValueError("best_within needs a bound, such as gap=0.1 or at_least={'ratio': 0.8}.")
    _check_bounds(at_most, "best_within")
    _check_bounds(at_least, "at_least")
    return _BestWithin(objective, at_most, at_least)
