"""One threshold for all rows, chosen as a search chooses a candidate: no groups are needed to predict."""

import copy
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV, check_cv
from sklearn.utils import get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._routing import routing_enabled
from .._sensitive import warn_if_reordered
from ._pareto import frontier_frame
from ._post_hoc import Scores, Splits, Trained, at_threshold, at_thresholds, check_binary, check_thresholds, choose
from ._refit import with_fairness

__all__ = ["ThresholdSearchCV"]

_TIMES = ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time")


def _estimator_has(name):
    def check(self):
        getattr(getattr(self, "estimator_", self.estimator), name)  # raises its own AttributeError
        return True

    return check


def _models(trained, thresholds):
    return at_thresholds(trained.estimator_, thresholds)


class ThresholdSearchCV(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    r"""One threshold on the probabilities of a classifier, chosen by cross-validation with a rule of fairness.

    .. math:: \hat y(x) = \mathbb 1[p(x) \ge t^*], \qquad
        t^* = \operatorname{rule}\Big( \frac1K \sum_{k=1}^K s_{jk}(t) \Big)_{t,\, j}

    where :math:`p(x)` is the probability of the second class and :math:`s_{jk}(t)` the score :math:`j` (the accuracy, a
    negated gap) of the threshold :math:`t` on the rows of split :math:`k`, by a model that has not seen them. It is the
    same rule on the same scores as in a search over strengths: a post-hoc step to hold next to any method that is
    trained for fairness.

    On each split the estimator is fitted once and its probabilities are computed once, whatever the number of
    thresholds. At last it is fitted on all rows.

    Parameters
    ----------
    estimator : classifier
        For two classes, with ``predict_proba``: a net of skfair, a Pipeline, any other. A fitted one inside a
        :class:`sklearn.frozen.FrozenEstimator` is not trained again; tune it on rows that it has not seen.
    scoring : str, callable, list, tuple, dict or None
        As in ``GridSearchCV``; for a rule of fairness at least two scores, such as
        ``{"accuracy": "accuracy", "gap": "demographic_parity_difference"}``.
    refit : True, str or callable
        What chooses the threshold, as in ``GridSearchCV``: True where there is one score, the name of a score, or a rule
        such as :func:`best_within`. Among thresholds of equal scores the first one given wins.
    thresholds : sequence of float in [0, 1], default=None
        The candidates. None is 0.05, 0.10, ..., 0.95. 0.5 is the estimator's own ``predict``, as a rule.
    cv : int, splitter or iterable, default=None
        As in ``GridSearchCV``.
    n_jobs : int, default=None
        Processes for the splits, as in ``GridSearchCV``.

    Attributes
    ----------
    best_threshold_ : float
        :math:`t^*`.
    best_index_, best_params_, best_score_, scorer_, n_splits_
        As in ``GridSearchCV``; no ``best_score_`` where ``refit`` is a callable.
    estimator_ : classifier
        Fitted on all rows.
    cv_results_ : dict
        As in ``GridSearchCV``, a candidate per threshold. The times are those of a split, divided by the thresholds.
    frontier_ : pandas.DataFrame
        As in :class:`FrontierSearchCV`, for :func:`pareto_front` and :class:`skfair.inspection.ParetoFrontDisplay`.
    classes_ : ndarray of shape (2,)
    n_features_in_ : int
        Where the estimator has it.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Where the estimator has it.

    Raises
    ------
    ValueError
        Before any training: if a threshold is outside [0, 1], there is none, y has not two classes, or ``refit`` names no
        score.
    TypeError
        Before any training: if the estimator has no ``predict_proba``.

    See Also
    --------
    best_within : The rule: the most accurate within a bound.
    trivial_controls : Scores of raised thresholds, without choosing one.
    sklearn.model_selection.TunedThresholdClassifierCV : For one score.
    sklearn.model_selection.FixedThresholdClassifier : A threshold that is given; ``predict`` is its.

    Notes
    -----
    ``predict`` needs no groups and treats all rows alike. Thresholds by group, as of fairlearn's ``ThresholdOptimizer``,
    can reach smaller gaps, but need each row's group to predict, which may be unknown or forbidden to use.

    The scores of the chosen threshold are those of the best of many, so they flatter it: measure it on rows that the
    search has not seen. ``score`` is the accuracy of ``predict``.

    Examples
    --------
    >>> from sklearn import config_context
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.metrics import get_scorer
    >>> from skfair.model_selection import ThresholdSearchCV, best_within
    >>> made = make_biased_classification(bias=0.6, random_state=0)
    >>> scoring = {"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference")}
    >>> search = ThresholdSearchCV(LogisticRegression(), scoring=scoring, refit=best_within(gap=0.2))
    >>> with config_context(enable_metadata_routing=True):
    ...     search = search.fit(made.data, made.target, sensitive_features=made.sensitive_features)
    >>> search.best_threshold_
    0.6
    >>> search.frontier_.loc[[9, 11], ["param_threshold", "mean_accuracy", "mean_gap"]].round(2)
               param_threshold  mean_accuracy  mean_gap
    candidate
    9                      0.5           0.78     -0.24
    11                     0.6           0.77     -0.19
    >>> bool(search.predict(made.data).mean() < search.estimator_.predict(made.data).mean())
    True
    """

    def __init__(self, estimator, *, scoring, refit, thresholds=None, cv=None, n_jobs=None):
        self.estimator = estimator
        self.scoring = scoring
        self.refit = refit
        self.thresholds = thresholds
        self.cv = cv
        self.n_jobs = n_jobs

    def fit(self, X, y, **params):
        """Choose the threshold, and fit the estimator on all rows.

        Parameters
        ----------
        X, y
            As the estimator takes them; y of two classes, of which the second is the positive one.
        **params
            ``sensitive_features``, ``sample_weight``, ``groups`` and the like, as in ``GridSearchCV``: with metadata
            routing on they go to all that ask for them, with routing off to the estimator's ``fit`` (``groups`` to
            ``cv`` alone, ``sample_weight`` to the scorers as well).

        Returns
        -------
        self
        """
        thresholds = self._check_parameters()
        X, y = indexable(X, y)
        warn_if_reordered(params.get("sensitive_features"), X=X, y=y)
        check_binary(y)
        splits = self._split(X, y, params)
        scorer = check_scoring(self.estimator, scoring=with_fairness(self.scoring))
        search = GridSearchCV(
            Trained(self.estimator), {}, scoring=Scores(scorer, partial(_models, thresholds=thresholds)), cv=splits,
            refit=lambda results: 0, n_jobs=self.n_jobs, error_score="raise",
        ).fit(X, y, **params)  # fmt: skip
        chosen = choose(search.cv_results_, thresholds, self.refit, len(splits))
        self.estimator_ = search.best_estimator_.estimator_
        self.scorer_ = self._scorers()
        self._keep(chosen, search.cv_results_, splits)
        return self

    # ------------------------------------------------------------------ before any training
    def _check_parameters(self):
        """Return the thresholds, or raise."""
        thresholds = check_thresholds(np.arange(1, 20) / 20 if self.thresholds is None else self.thresholds)
        if not thresholds:
            raise ValueError(f"thresholds must hold at least one number in [0, 1], got {self.thresholds!r}.")
        if not (self.refit is True or isinstance(self.refit, str) or callable(self.refit)):
            raise ValueError(
                "refit must be True, the name of a score or a callable such as best_within(gap=0.05): it chooses the "
                f"threshold. Got {self.refit!r}."
            )
        if not hasattr(self.estimator, "predict_proba"):
            raise TypeError(
                f"estimator must have predict_proba, got {self.estimator!r}. CalibratedClassifierCV gives it one."
            )
        # NOTE: scikit-learn's own check of refit against the names of the scores, and its message
        GridSearchCV(self.estimator, {}, scoring=with_fairness(self.scoring), refit=self.refit).get_metadata_routing()
        return [float(value) for value in thresholds]

    def _split(self, X, y, params):
        """The splits, made once; what is passed but asked for by nobody raises here, in our name."""
        cv = check_cv(self.cv, y, classifier=True)
        if routing_enabled():
            given = process_routing(self, "fit", **params).splitter.split
        else:
            given = {"groups": params.get("groups")}
        return Splits(list(cv.split(X, y, **given)), self.cv)

    def _scorers(self):
        """``scorer_`` as GridSearchCV has it."""
        scoring = with_fairness(self.scoring)
        scoring = {name: name for name in scoring} if isinstance(scoring, list | tuple) else scoring
        if isinstance(scoring, dict):
            return {name: check_scoring(self.estimator, scoring=one) for name, one in scoring.items()}
        return check_scoring(self.estimator, scoring=scoring)

    # ------------------------------------------------------------------ what is learnt
    def _keep(self, chosen, times, splits):
        """Set what the search found."""
        n_thresholds = len(chosen.cv_results_["params"])
        spent = {key: np.repeat(times[key] / n_thresholds, n_thresholds) for key in _TIMES}
        self.cv_results_ = chosen.cv_results_ | spent
        self.frontier_ = frontier_frame(self.cv_results_, n_test_over_train=splits.test_over_train())
        self.n_splits_ = len(splits)
        self.best_index_ = chosen.best_index_
        self.best_params_ = chosen.best_params_
        self.best_threshold_ = chosen.best_params_["threshold"]
        vars(self).pop("best_score_", None)  # of an earlier fit
        if hasattr(chosen, "best_score_"):
            self.best_score_ = chosen.best_score_

    @property
    def classes_(self):
        return self.estimator_.classes_

    @property
    def n_features_in_(self):
        return self.estimator_.n_features_in_

    @property
    def feature_names_in_(self):
        return self.estimator_.feature_names_in_

    def predict(self, X):
        """Predict the second class where its probability is at least ``best_threshold_``.

        Parameters
        ----------
        X
            As the estimator takes it.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        return at_threshold(self.estimator_, self.best_threshold_).predict(X)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X):
        """Return the estimator's probabilities, which the threshold leaves as they are: shape (n_samples, 2)."""
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(_estimator_has("predict_log_proba"))
    def predict_log_proba(self, X):
        """Return the estimator's log-probabilities, shape (n_samples, 2)."""
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X):
        """Return the estimator's scores, which the threshold leaves as they are: shape (n_samples,)."""
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    def get_metadata_routing(self):
        """Return the routing: ``fit`` to the estimator, the scorers and the splitter."""
        scorer = check_scoring(self.estimator, scoring=with_fairness(self.scoring))
        mapping = {name: MethodMapping().add(caller="fit", callee=name) for name in ("fit", "score", "split")}
        router = MetadataRouter(owner=self).add_self_request(self)
        router.add(estimator=self.estimator, method_mapping=mapping["fit"])
        router.add(scorer=scorer, method_mapping=mapping["score"])
        return router.add(splitter=self.cv, method_mapping=mapping["split"])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags, tags.non_deterministic = copy.deepcopy(inner.input_tags), inner.non_deterministic
        tags.classifier_tags.multi_class = False
        return tags
