"""Scorers: fairness metrics for GridSearchCV, cross_validate and the like."""

import copy
import difflib
import inspect
from collections.abc import Callable

import numpy as np

from .._routing import ScoreConsumer, routing_enabled
from .._sensitive import select_columns
from . import _calibrated, _cells, _divergence, _odds, _opportunity, _parity, _privileged

__all__ = ["FairnessScorer", "get_scorer", "get_scorer_names", "make_fairness_scorer"]

_SCORES = ("decision_function", "predict_proba")
# name -> (greater is better, response methods)
_METRICS = {
    _parity.demographic_parity_difference: (False, "predict"),
    _parity.demographic_parity_ratio: (True, "predict"),
    _parity.demographic_parity_sum: (False, "predict"),
    _privileged.selection_rate_ratio: (True, "predict"),
    _opportunity.equal_opportunity_difference: (False, "predict"),
    _opportunity.equal_opportunity_ratio: (True, "predict"),
    _opportunity.joint_opportunity_difference: (False, "predict"),
    _odds.equalized_odds_difference: (False, "predict"),
    _odds.equalized_odds_ratio: (True, "predict"),
    _odds.equalized_odds_sum: (False, "predict"),
    _odds.average_odds_difference: (False, "predict"),
    _privileged.signed_equalized_odds: (False, "predict"),
    _cells.worst_group_accuracy: (True, "predict"),
    _cells.bias_amplification: (False, "predict"),
    # NOTE: histograms over [0, 1] need probabilities, so they come first here
    _divergence.score_kl: (False, ("predict_proba", "decision_function")),
    _calibrated.equal_opportunity_at_calibrated_threshold: (False, _SCORES),
}
_BY_NAME = {metric.__name__: metric for metric in _METRICS}
_NOT_PASSED = """{scorer} got no sensitive_features. Metadata routing is on: pass them,
    search.fit(X, y, sensitive_features=A)
    cross_validate(estimator, X, y, scoring=..., params={{"sensitive_features": A}})
    scorer(estimator, X, y, sensitive_features=A)
or name the columns of X that hold them:
    {call}"""
_NO_FEATURES = """{scorer} got no sensitive_features. Either switch metadata routing on,
    import sklearn
    sklearn.set_config(enable_metadata_routing=True)
    search.fit(X, y, sensitive_features=A)
(the scorer then asks for them by itself), or name the columns of X that hold them:
    {call}"""


def _positive_scores(estimator, X, method, pos_label):
    """Return the scores of the positive class, shape (n_samples,)."""
    scores = np.asarray(getattr(estimator, method)(X))
    classes = list(estimator.classes_)
    if len(classes) != 2:
        raise ValueError(f"A metric of scores needs a classifier with two classes, got {len(classes)}: {classes!r}.")
    if pos_label is not None and pos_label not in classes:
        raise ValueError(f"pos_label={pos_label!r} is none of the classes {classes!r}.")
    positive = 1 if pos_label is None else classes.index(pos_label)
    if scores.ndim == 2:
        return scores[:, positive]
    return scores if positive == 1 else -scores


class FairnessScorer(ScoreConsumer):
    """A callable ``scorer(estimator, X, y, *, sensitive_features=None, sample_weight=None)``.

    Made by :func:`get_scorer` and :func:`make_fairness_scorer`, which describe it.
    """

    def __init__(self, metric, sign, response_method, sensitive_columns, kwargs):
        # NOTE: scikit-learn's TunedThresholdClassifierCV reads these names from a scorer
        self._score_func = metric
        self._sign = sign
        self._response_method = response_method
        self._sensitive_columns = sensitive_columns
        self._kwargs = kwargs

    def __call__(self, estimator, X, y, *, sensitive_features=None, sample_weight=None):
        """Return the score, greater is better."""
        sensitive_features = self._sensitive(X, sensitive_features)
        response = self._response(estimator, X)
        return self.score_predictions(y, response, sensitive_features=sensitive_features, sample_weight=sample_weight)

    def score_predictions(self, y_true, y_pred, *, sensitive_features, sample_weight=None):
        """Return the score of predictions that are already there, greater is better."""
        params = {**self._kwargs, "sensitive_features": sensitive_features}
        if sample_weight is not None:
            params["sample_weight"] = sample_weight
        return self._sign * self._score_func(y_true, y_pred, **params)

    def _sensitive(self, X, sensitive_features):
        if sensitive_features is not None and self._sensitive_columns is not None:
            raise ValueError(f"{self} takes its sensitive features from X: pass no sensitive_features as well.")
        if sensitive_features is not None:
            return sensitive_features
        if self._sensitive_columns is None:
            call = f"get_scorer({self._score_func.__name__!r}, sensitive_columns=...)"
            raise ValueError((_NOT_PASSED if routing_enabled() else _NO_FEATURES).format(scorer=self, call=call))
        return select_columns(X, self._sensitive_columns)

    def _response(self, estimator, X):
        methods = self._response_method
        methods = (methods,) if isinstance(methods, str) else methods
        found = next((method for method in methods if hasattr(estimator, method)), None)
        if found is None:
            raise AttributeError(f"{type(estimator).__name__} has none of the methods {methods} that {self} needs.")
        if found == "predict":
            return estimator.predict(X)
        return _positive_scores(estimator, X, found, self._kwargs.get("pos_label"))

    def _get_metadata_request(self):
        fresh = not hasattr(self, "_metadata_request")
        requests = super()._get_metadata_request()
        if fresh and self._sensitive_columns is not None:
            requests.score.add_request(param="sensitive_features", alias=False)
        return requests

    def _get_pos_label(self):
        return self._kwargs.get("pos_label")

    def _accept_sample_weight(self):
        return "sample_weight" in inspect.signature(self._score_func).parameters

    def _routing_repr(self):
        return repr(self)

    def __sklearn_clone__(self):
        return copy.deepcopy(self)

    def __repr__(self):
        parts = [getattr(self._score_func, "__name__", repr(self._score_func))]
        parts += ["greater_is_better=False"] * (self._sign < 0)
        parts += [f"response_method={self._response_method!r}"] * (self._response_method != "predict")
        if self._sensitive_columns is not None:
            parts.append(f"sensitive_columns={self._sensitive_columns!r}")
        return f"make_fairness_scorer({', '.join([*parts, *(f'{k}={v!r}' for k, v in self._kwargs.items())])})"


def _direction(metric, greater_is_better):
    """Return +1 or -1: as told, as known for our metrics, as the name ends, or raise."""
    if greater_is_better is None:
        name = getattr(metric, "__name__", "")
        known = _METRICS.get(metric, (None, None))[0]
        if known is None and name.endswith(("_difference", "_ratio")):
            known = name.endswith("_ratio")
        greater_is_better = known
    if greater_is_better is None:
        raise ValueError(f"greater_is_better must be given for {metric!r}: it cannot be known from the name.")
    return 1 if greater_is_better else -1


def _check_arguments(metric, kwargs):
    """Raise early for arguments that the metric does not take, or that it needs and lacks."""
    parameters = inspect.signature(metric).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    unknown = [name for name in kwargs if name not in parameters]
    if unknown and not takes_any:
        raise TypeError(f"{metric.__name__} takes no argument {unknown!r}; it takes {list(parameters)[2:]!r}.")
    given = {"sensitive_features", *kwargs}
    keywords = [p for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
    lacking = [p.name for p in keywords if p.default is p.empty and p.name not in given]
    if lacking:
        raise TypeError(f"{metric.__name__} needs the argument {lacking!r}: give it to the scorer by keyword.")


def make_fairness_scorer(metric, *, greater_is_better=None, response_method=None, sensitive_columns=None, **kwargs):
    """Make a scorer from a fairness metric.

    Parameters
    ----------
    metric : callable or str
        ``metric(y_true, y_pred, *, sensitive_features, ...)``: of this package, of fairlearn, your own, or a name of
        :func:`get_scorer_names`.
    greater_is_better : bool, default=None
        False negates the metric, as scikit-learn does for losses. None knows it for our metrics and for names that
        end in "_difference" or "_ratio".
    response_method : {"predict", "decision_function", "predict_proba"} or tuple of these, default=None
        What of the estimator the metric is given; of a tuple, the first that the estimator has. None knows it for our
        metrics and is "predict" for others.
    sensitive_columns : str, int, list of these or callable, default=None
        Where in X the sensitive features are, for use without metadata routing. A callable gets X. A scorer that has
        it requests no ``sensitive_features``.
    **kwargs
        Further arguments of the metric.

    Returns
    -------
    FairnessScorer
        With metadata routing on it requests ``sensitive_features`` by default, and ``sample_weight`` after
        ``set_score_request(sample_weight=True)``. ``signed_equalized_odds`` is scored by its negated absolute value.

    Raises
    ------
    ValueError
        For an unknown name or direction; when scoring, where there are no sensitive features.
    TypeError
        For arguments that the metric does not take or lacks.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyClassifier
    >>> from skfair.metrics import demographic_parity_ratio, make_fairness_scorer
    >>> X, y = pd.DataFrame({"sex": ["f", "m", "f", "m"]}), [0, 1, 1, 1]
    >>> scorer = make_fairness_scorer(demographic_parity_ratio, sensitive_columns="sex")
    >>> scorer
    make_fairness_scorer(demographic_parity_ratio, sensitive_columns='sex')
    >>> scorer(DummyClassifier().fit(X, y), X, y)
    1.0
    """
    if isinstance(metric, str):
        metric = _named(metric)
    if not isinstance(metric, Callable):
        raise TypeError(f"metric must be a callable or a name, got {metric!r}.")
    _check_arguments(metric, kwargs)
    response_method = response_method or _METRICS.get(metric, (None, "predict"))[1]
    sign = _direction(metric, greater_is_better)
    if metric is _privileged.signed_equalized_odds and greater_is_better is None:
        metric = _privileged.signed_equalized_odds_magnitude
    return FairnessScorer(metric, sign, response_method, sensitive_columns, kwargs)


def _named(name):
    if name in _BY_NAME:
        return _BY_NAME[name]
    close = difflib.get_close_matches(str(name), _BY_NAME, n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise ValueError(f"Unknown fairness metric {name!r}.{hint} The names are {get_scorer_names()!r}.")


def get_scorer(name, *, sensitive_columns=None, **kwargs):
    """Return the scorer of a metric of this package by name.

    Parameters
    ----------
    name : str
        One of :func:`get_scorer_names`, the names of the functions.
    sensitive_columns : str, int, list of these or callable, default=None
        As in :func:`make_fairness_scorer`.
    **kwargs
        Further arguments of the metric, such as ``agg`` or ``privileged``.

    Returns
    -------
    FairnessScorer
        Greater is better: differences are negated.

    Raises
    ------
    ValueError
        For an unknown name; the message lists close ones.
    TypeError
        For arguments that the metric does not take or lacks.

    Examples
    --------
    >>> from skfair.metrics import get_scorer
    >>> get_scorer("equalized_odds_difference", agg="mean")
    make_fairness_scorer(equalized_odds_difference, greater_is_better=False, agg='mean')
    """
    return make_fairness_scorer(_named(name), sensitive_columns=sensitive_columns, **kwargs)


def get_scorer_names():
    """Return the sorted names that :func:`get_scorer` takes.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from skfair.metrics import get_scorer_names
    >>> "worst_group_accuracy" in get_scorer_names()
    True
    """
    return sorted(_BY_NAME)
