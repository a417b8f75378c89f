"""What is made of a fitted classifier without training: one search trains it, and scores all of that on each split."""

import inspect
import numbers
from functools import wraps

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.multiclass import type_of_target

__all__ = [
    "Scores", "Splits", "Trained", "at_threshold", "at_thresholds", "check_binary", "check_thresholds", "choose",
    "names_of", "score_of",
]  # fmt: skip

_RESPONSES = ("predict_proba", "predict_log_proba", "decision_function")


class Scores:
    """A scorer of all models that are made of a fitted one without training: {"<row> <score>": value}."""

    def __init__(self, scorer, models):
        self.scorer = scorer
        self.models = models

    def __call__(self, estimator, X, y, **params):
        found = {}
        for row, model in enumerate(self.models(estimator)):
            scores = self.scorer(model, X, y, **params)
            scores = scores if isinstance(scores, dict) else {"score": scores}
            found |= {f"{row} {name}": value for name, value in scores.items()}
        return found

    def get_metadata_routing(self):
        return get_routing_for_object(self.scorer)

    def _accept_sample_weight(self):  # scikit-learn asks, with metadata routing off
        accept = getattr(self.scorer, "_accept_sample_weight", None)
        return accept() if accept is not None else "sample_weight" in inspect.signature(self.scorer).parameters

    def __repr__(self):
        return repr(self.scorer)


def names_of(results):
    """The names of the scores in ``cv_results_`` of a search whose scorer is a ``Scores``."""
    return [key.removeprefix("split0_test_0 ") for key in results if key.startswith("split0_test_0 ")]


def score_of(results, name, *, row, split):
    """One number of the same."""
    return results[f"split{split}_test_{row} {name}"][0]


class Splits:
    """Splits that are made already, for a search that still routes to the splitter which made them."""

    def __init__(self, splits, splitter):
        self.splits = splits
        self.splitter = splitter

    def __len__(self):
        return len(self.splits)

    def split(self, X=None, y=None, **params):
        return iter(self.splits)

    def get_n_splits(self, X=None, y=None, **params):
        return len(self)

    def get_metadata_routing(self):
        return get_routing_for_object(self.splitter)

    def test_over_train(self):
        """Mean of the number of test rows over that of training rows; rows are positions or truth values."""
        rows = [[np.asarray(part) for part in split] for split in self.splits]
        counts = [[part.sum() if part.dtype == bool else len(part) for part in split] for split in rows]
        return float(np.mean([test / train for train, test in counts]))


class Trained(BaseEstimator):
    """Fits a clone of the estimator. In a search it may be a ``FrozenEstimator``, whose ``set_params`` returns None."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y, **params):
        self.estimator_ = clone(self.estimator)
        self.estimator_.fit(X, y, **params)
        return self

    def get_metadata_routing(self):
        return get_routing_for_object(self.estimator)

    def __sklearn_tags__(self):
        return get_tags(self.estimator)


class _Remembered(FrozenEstimator):
    """A fitted classifier that is asked about the same rows once, whatever the number of thresholds and scorers."""

    def __init__(self, estimator):
        super().__init__(estimator)
        self._answers = {}

    def __getattr__(self, name):
        found = super().__getattr__(name)
        if name not in _RESPONSES:
            return found

        @wraps(found)
        def respond(X):
            if name not in self._answers or self._answers[name][0] is not X:
                self._answers[name] = X, found(X)
            return self._answers[name][1].copy()

        return respond


def at_threshold(fitted, threshold):
    """The fitted classifier, which says positive (the second class) from this probability upwards."""
    return FixedThresholdClassifier(fitted, threshold=threshold, response_method="predict_proba")


def at_thresholds(fitted, thresholds):
    """The same at each threshold. The probabilities of the same rows are computed once for all."""
    remembered = _Remembered(fitted)
    for threshold in thresholds:
        yield at_threshold(remembered, threshold)


def check_thresholds(thresholds):
    """Return them as a list, or raise."""
    values = list(thresholds) if hasattr(thresholds, "__iter__") else [thresholds]
    if not all(isinstance(value, numbers.Real) and 0 <= value <= 1 for value in values):
        raise ValueError(f"thresholds must be numbers in [0, 1], got {values!r}.")
    return values


def check_binary(y):
    """Raise where there are not two classes."""
    kind = type_of_target(y, input_name="y")
    if kind not in ("binary", "multiclass"):
        raise ValueError(f"Only binary classification is supported. Unknown label type: {kind}.")
    classes = np.unique(y).tolist()
    if len(classes) != 2:
        raise ValueError(f"Only binary classification is supported. y has {len(classes)} classes: {classes!r}.")


class _Known(BaseEstimator):
    """A candidate whose scores are known: nothing is left to fit."""

    def __init__(self, threshold=None):
        self.threshold = threshold

    def fit(self, X):
        return self


def choose(results, thresholds, refit, n_splits):
    """A GridSearchCV over the thresholds, of scores that are there: its table, its choice and its errors are its own.

    ``results`` are those of a search whose scorer is a ``Scores`` of ``at_thresholds``.
    """
    names = names_of(results)

    def score(candidate, X):
        row, split = thresholds.index(candidate.threshold), X.item()
        scores = {name: score_of(results, name, row=row, split=split) for name in names}
        return scores["score"] if names == ["score"] else scores

    splits = [([split], [split]) for split in range(n_splits)]
    search = GridSearchCV(
        _Known(), {"threshold": thresholds}, scoring=score, refit=refit, cv=splits, n_jobs=1, error_score="raise"
    )
    return search.fit(np.arange(n_splits)[:, None])
