"""The trivial controls: what a fairness gain must beat before it counts."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.dummy import DummyClassifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV, check_cv
from sklearn.utils import indexable, shuffle
from sklearn.utils.metadata_routing import get_routing_for_object

from ..metrics._random import as_generator
from ._pareto import frontier_frame
from ._post_hoc import Scores, Trained, at_thresholds, check_thresholds, names_of, score_of
from ._refit import with_fairness

__all__ = ["trivial_controls"]

_NO_GROUPS = """mitigated={!r} gets no sensitive features that could be shuffled: pass sensitive_features=... (with
metadata routing on, they reach a Pipeline), or name the columns of X in its sensitive_columns."""


class _ShuffledColumns:
    """``sensitive_columns`` that reads others and shuffles the rows."""

    def __init__(self, columns, seed):
        self.columns = columns
        self.seed = seed

    def __call__(self, X):
        from skfair.base._checks import sensitive_input  # imports torch

        frame = sensitive_input(SimpleNamespace(sensitive_columns=self.columns), X, None, X.shape[0])
        return shuffle(frame, random_state=self.seed)


def _in_another_order(features, seed):
    """The rows shuffled, and the row labels where they were: these groups are meant to stand beside other rows."""
    shuffled = shuffle(features, random_state=seed)
    if isinstance(getattr(features, "index", None), pd.Index):
        shuffled.index = features.index
    return shuffled


class _RandomGroups(BaseEstimator):
    """Trains an estimator with the rows of its sensitive features shuffled, whether passed to fit or found in X."""

    def __init__(self, estimator, seed):
        self.estimator = estimator
        self.seed = seed

    def fit(self, X, y, **params):
        shuffled = {
            name: _in_another_order(value, self.seed)
            for name, value in params.items()
            if name.split("__")[-1] == "sensitive_features" and value is not None
        }
        columns = {
            name: _ShuffledColumns(value, self.seed)
            for name, value in self.estimator.get_params().items()
            if name.split("__")[-1] == "sensitive_columns" and value is not None
        }
        if not shuffled and not columns:
            raise ValueError(_NO_GROUPS.format(self.estimator))
        self.estimator_ = clone(self.estimator).set_params(**columns).fit(X, y, **{**params, **shuffled})
        return self

    def get_metadata_routing(self):
        return get_routing_for_object(self.estimator)


def trivial_controls(
    estimator, X, y, *, scoring, cv=None, mitigated=None, thresholds=(0.6, 0.7, 0.8, 0.9), random_state=None, **params
):
    """Scores of the trivial controls of a fairness gain, on the splits of a search.

    A gap near 0 alone proves nothing: a constant has it, and a higher threshold has a smaller one for less accuracy.
    A method counts for something where it is beyond all of these, on the same splits:

    - "unmitigated": the estimator;
    - "raised threshold": the same, on each split the same fitted model, which says positive (the second class) from
      each threshold on its probability upwards;
    - "constant": each class, always;
    - "random groups": ``mitigated``, trained with the rows of its sensitive features shuffled and scored with the true
      ones. What it gains does not come from the groups.

    Parameters
    ----------
    estimator : classifier
        Without mitigation, such as :class:`skfair.robust.ERMClassifier`, alone or at the end of a Pipeline.
    X, y
        As given to the search.
    scoring : str, callable, list or dict
        As given to the search.
    cv : int, splitter or iterable, default=None
        As given to the search. The splits are equal to those of the search if they are not random, or random with an
        integer ``random_state``.
    mitigated : classifier, default=None
        With mitigation; None leaves "random groups" out.
    thresholds : sequence of float in [0, 1], default=(0.6, 0.7, 0.8, 0.9)
        For two classes; empty leaves "raised threshold" out.
    random_state : int, Generator, RandomState or None, default=None
        Of the shuffled groups.
    **params
        As given to the search's ``fit``, routed alike: with metadata routing on, ``sensitive_features`` to ``fit`` and
        to the scorers; off, to ``fit`` alone, and the scorers have ``sensitive_columns``. ``groups`` goes to ``cv``
        alone.

    Returns
    -------
    dict of str to pandas.DataFrame
        By the names above, each with the columns of ``FrontierSearchCV.frontier_``: one row, or one per
        ``param_threshold`` or ``param_class``.

    Raises
    ------
    ValueError
        If a threshold is outside [0, 1], there are thresholds and not two classes, or ``mitigated`` gets no sensitive
        features.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.metrics import get_scorer
    >>> from skfair.model_selection import trivial_controls
    >>> made = make_biased_classification(random_state=0)
    >>> gap = get_scorer("demographic_parity_difference", sensitive_columns=lambda X: X["proxy_0"] > 0)
    >>> scoring = {"accuracy": "accuracy", "gap": gap}
    >>> controls = trivial_controls(LogisticRegression(), made.data, made.target, scoring=scoring, thresholds=(0.8,))
    >>> list(controls)
    ['unmitigated', 'raised threshold', 'constant']
    >>> controls["constant"][["param_class", "mean_gap"]]
               param_class  mean_gap
    candidate
    0                    0       0.0
    1                    1       0.0
    """
    X, y = indexable(X, y)
    classes = np.unique(y)
    thresholds = _check_thresholds(thresholds, classes)
    cv = check_cv(cv, y, classifier=is_classifier(estimator))
    splits = list(cv.split(X, y, params.pop("groups", None)))
    scorer = check_scoring(estimator, scoring=with_fairness(scoring))

    def evaluate(estimator, models, *controls):
        scores = Scores(scorer, models)
        search = GridSearchCV(estimator, {}, scoring=scores, cv=splits, refit=False, error_score="raise")
        return _frames(search.fit(X, y, **params).cv_results_, controls, splits)

    controls = evaluate(
        Trained(estimator),
        lambda fitted: _models(fitted.estimator_, thresholds, classes),
        ("unmitigated", None, [None]),
        ("raised threshold", "threshold", thresholds),
        ("constant", "class", classes),
    )
    if mitigated is not None:
        random = _RandomGroups(mitigated, int(as_generator(random_state).integers(2**31 - 1)))
        controls |= evaluate(random, lambda fitted: [fitted.estimator_], ("random groups", None, [None]))
    return controls


def _check_thresholds(thresholds, classes):
    thresholds = check_thresholds(thresholds)
    if thresholds and len(classes) != 2:
        raise ValueError(
            f"thresholds need two classes, y has {len(classes)}: {classes.tolist()!r}. Pass thresholds=()."
        )
    return thresholds


def _models(fitted, thresholds, classes):
    """What costs no training, in the order of the rows."""
    yield fitted
    yield from at_thresholds(fitted, thresholds)
    for value in classes:
        yield DummyClassifier(strategy="constant", constant=value).fit(np.zeros((len(classes), 1)), classes)


def _frames(results, controls, splits):
    """{control: frame}, of the results of one candidate; controls are (name, parameter, its value in each row)."""
    ratio = np.mean([len(test) / len(train) for train, test in splits])
    frames, first = {}, 0
    for control, parameter, values in controls:
        rows = range(first, first + len(values))
        own = {
            f"split{split}_test_{name}": [score_of(results, name, row=row, split=split) for row in rows]
            for name in names_of(results)
            for split in range(len(splits))
        }
        if parameter is not None:
            own[f"param_{parameter}"] = np.asarray(values)
        if rows:
            frames[control] = frontier_frame(own, n_test_over_train=ratio)
        first = rows.stop
    return frames
