"""A sampler in front of a classifier, with the sensitive features kept beside the rows."""

import inspect

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import _safe_indexing, assert_all_finite, column_or_1d, get_tags
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples, check_is_fitted

from skfair._lazy import refuse_dataset
from skfair._routing import SensitiveFeaturesConsumer, routing_enabled
from skfair._sensitive import SensitiveEncoder, select_columns, sensitive_frame, warn_if_reordered
from skfair.base._checks import check_choice
from skfair.base._readable import check_labels, check_readable

__all__ = ["BaseResampled"]


def _has(name):
    def check(self):
        getattr(self.estimator_ if hasattr(self, "estimator_") else self._estimator(), name)
        return True

    return check


class BaseResampled(SensitiveFeaturesConsumer, MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Everything of ``Resampled`` but what it stands for by default: ``default_sampler`` and ``default_estimator``."""

    def __init__(self, sampler=None, estimator=None, *, balance="cell", sensitive_columns=None):
        self.sampler = sampler
        self.estimator = estimator
        self.balance = balance
        self.sensitive_columns = sensitive_columns

    def _estimator(self):
        return self.default_estimator() if self.estimator is None else self.estimator

    def fit(self, X, y, *, sensitive_features=None):
        """Resample the rows and fit the estimator on what comes out.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n, ...)
        y : array-like of shape (n,)
        sensitive_features : array-like, Series or DataFrame of shape (n,) or (n, k), optional

        Returns
        -------
        self
        """
        sampler, estimator = self._check()
        refuse_dataset(X, type(self).__name__)
        if y is None:
            raise ValueError("This Resampled estimator requires y to be passed, but the target y is None.")
        check_readable(X)
        check_labels(y)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        y = column_or_1d(y, warn=True) if getattr(y, "ndim", 1) == 2 and y.shape[1] == 1 else y
        self.sampler_ = clone(sampler)
        X, y, sensitive_features = self._resample(X, y, sensitive_features)
        given = {}
        if sensitive_features is not None and takes_groups(estimator):
            given["sensitive_features"] = sensitive_features
        self.estimator_ = clone(estimator).fit(X, y, **given)
        return self

    def _check(self):
        sampler, estimator = self.default_sampler() if self.sampler is None else self.sampler, self._estimator()
        check_choice("balance", self.balance, {"cell", "label"})
        for name, part, method in (("sampler", sampler, "fit_resample"), ("estimator", estimator, "fit")):
            if isinstance(part, type) or not hasattr(part, method):
                raise ValueError(f"{name} must be an object with {method}, got {part!r}.")
        return sampler, estimator

    def _resample(self, X, y, sensitive_features):
        ours = "sensitive_features" in inspect.signature(self.sampler_.fit_resample).parameters
        if sensitive_features is None and self.sensitive_columns is not None:
            sensitive_features = select_columns(X, self.sensitive_columns)
            if ours and not callable(self.sensitive_columns) and hasattr(self.sampler_, "sensitive_columns"):
                self.sampler_.set_params(sensitive_columns=self.sensitive_columns)  # it sets them in the new rows
                X, y = self.sampler_.fit_resample(X, y)
                return X, y, sensitive_frame(select_columns(X, self.sensitive_columns))
        if sensitive_features is None:
            return (*self.sampler_.fit_resample(X, y), None)
        warn_if_reordered(sensitive_features, X=X, y=y)
        frame = sensitive_frame(sensitive_features, _num_samples(X))
        if ours:
            labels = (getattr(given, "index", None) for given in (sensitive_features, X, y))
            frame.index = next((index for index in labels if isinstance(index, pd.Index)), frame.index)
            return self.sampler_.fit_resample(X, y, sensitive_features=frame)
        encoder = SensitiveEncoder().fit(frame)
        return self._by_cells(X, np.asarray(y), encoder, encoder.transform(frame)[1])

    def _by_cells(self, X, y, encoder, group):
        """With a sampler that knows labels only: its labels are the cells, or it works within each group."""
        classes, label = np.unique(y, return_inverse=True)
        cell = label * len(encoder.groups_) + group
        if self.balance == "cell":
            X, cell = self._ask(self.sampler_, X, cell, cell)
        else:
            parts = [np.flatnonzero(group == code) for code in range(len(encoder.groups_))]
            found = [self._ask(clone(self.sampler_), _safe_indexing(X, rows), cell[rows], cell) for rows in parts]
            X, cell = joined([X for X, _ in found]), np.concatenate([cell for _, cell in found])
        label, group = np.divmod(cell, len(encoder.groups_))
        groups = pd.DataFrame([encoder.groups_[code] for code in group], columns=encoder.names_)
        return X, classes[label], groups

    def _ask(self, sampler, X, cell, all_cells):
        try:
            X, cell = sampler.fit_resample(X, cell)
        except ValueError as error:
            codes, counts = np.unique(all_cells, return_counts=True)
            error.add_note(
                f"{type(self.sampler_).__name__} was given the cells of label and group (code = label * number of groups + "
                f"group) {codes.tolist()} with {counts.tolist()} rows."
            )
            raise
        return X, np.asarray(cell)

    # ------------------------------------------------------------------ predictions: the estimator's
    @property
    def classes_(self):
        return self.estimator_.classes_

    @property
    def n_features_in_(self):
        return self._fitted().n_features_in_

    @property
    def feature_names_in_(self):
        return self._fitted().feature_names_in_

    def _fitted(self):
        if not hasattr(self, "estimator_"):
            raise AttributeError(f"{type(self).__name__} is not fitted.")
        return self.estimator_

    def predict(self, X):
        """The estimator's labels, (n,)."""
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X):
        """The estimator's probabilities, (n, K)."""
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(_has("decision_function"))
    def decision_function(self, X):
        """The estimator's scores, (n,) or (n, K)."""
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        estimator = self._estimator()
        if hasattr(estimator, "__sklearn_tags__") and not isinstance(estimator, type):
            own = get_tags(estimator)
            tags.input_tags, tags.classifier_tags = own.input_tags, own.classifier_tags
        return tags


def takes_groups(estimator):
    """Whether ``estimator.fit`` can be given sensitive features."""
    routing = get_routing_for_object(estimator)
    if "sensitive_features" in inspect.signature(estimator.fit).parameters:
        request = getattr(routing, "fit", None)  # a router has none
        return request is None or request.requests.get("sensitive_features") is not False
    return routing_enabled() and bool(routing.consumes("fit", ["sensitive_features"]))


def joined(parts):
    """Parts of X, one below the other, in their own container."""
    if hasattr(parts[0], "iloc"):
        return pd.concat(parts, ignore_index=True)
    if hasattr(parts[0], "tocsr"):
        import scipy.sparse as sp

        return sp.vstack(parts, format="csr")
    return np.concatenate([np.asarray(part) for part in parts])
