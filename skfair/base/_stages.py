"""Methods of several stages: what they hand on to the estimators of the earlier ones."""

import inspect

import numpy as np
import scipy.sparse as sp
from sklearn.base import _clone_parametrized, clone
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import has_fit_parameter

from skfair._data import split_rows
from skfair._lazy import is_lazy, refuse_dataset
from skfair.base._checks import named
from skfair.base._encoding import EncodingNet
from skfair.base._frozen import inner_estimator, is_fitted

__all__ = ["StagedNet", "fit_clone"]

# the parameters that an earlier stage of a method takes over
SHARED = (
    "module", "criterion", "optimizer", "lr", "weight_decay", "momentum", "lr_schedule", "gradient_clipping",
    "max_epochs", "batch_size", "shuffle", "missing_groups", "device",
)  # fmt: skip


def fit_clone(estimator, X, y, seed, **metadata):
    """A fitted clone; without a ``random_state`` of its own it gets the seed, and of the metadata what it can take."""
    fitted = clone(estimator)
    parameters = fitted.get_params(deep=False)
    if "random_state" in parameters and parameters["random_state"] is None:
        fitted.set_params(random_state=seed)
    if isinstance(fitted, StagedNet):
        takes = fitted.get_metadata_routing().fit.requests
    else:
        takes = ["sample_weight"] if has_fit_parameter(fitted, "sample_weight") else []
    rows = (X,) if y is None and len(inspect.signature(fitted.fit).parameters) == 1 else (X, y)
    return fitted.fit(*rows, **{key: metadata[key] for key in takes if metadata.get(key) is not None})


class StagedNet(EncodingNet):
    """A net that can fit other estimators before or after its own training."""

    keeps_fitted = ()  # parameters whose fitted estimators ``clone`` hands on as they are

    def __sklearn_clone__(self):
        twin = _clone_parametrized(self)
        kept = {name: getattr(self, name) for name in self.keeps_fitted if is_fitted(getattr(self, name))}
        return twin.set_params(**kept) if kept else twin

    def stage(self, cls, **overrides):
        """An unfitted ``cls`` with this net's training parameters, for an earlier stage of a method.

        It gets a random stream of its own and none of this net's callbacks.
        """
        prefixes = set(cls._prefixes) - {"callbacks", *overrides}
        given = self.get_params(deep=False).items()
        shared = {name: value for name, value in given if name in SHARED or name.split("__")[0] in prefixes}
        seed = self.streams_.seed_of(f"stage {cls.__name__}") % (2**31)
        return cls(**{**shared, "random_state": seed, **overrides})

    def fit_stage(self, name, estimator, X, y=None, *, sensitive_features=None, sample_weight=None):
        """A fitted clone of an estimator that the user gave for an earlier stage; a ``FrozenEstimator`` stays as it is.

        Without a ``random_state`` of its own it gets a stream of this net, and of the metadata what it can take.
        """
        seed = self.streams_.seed_of(f"stage {name}") % 2**31
        given = {"sensitive_features": sensitive_features, "sample_weight": sample_weight}
        return fit_clone(estimator, self.handed(estimator, X), y, seed, **given)

    def handed(self, estimator, X):
        """X (checked) as an estimator of another stage is given it: our nets take all that this one takes."""
        if isinstance(inner_estimator(estimator), StagedNet):
            return named(self, X)
        kind = type(inner_estimator(estimator)).__name__
        refuse_dataset(X, type(self).__name__, f"hands its rows to {kind}, which takes arrays alone")
        return named(self, X.toarray() if is_lazy(X) else X.astype(np.float32, copy=False))

    def split(self, strata, fraction, name):
        """Positions of the rows of two parts, the second with a share of each stratum (n,), by a stream of that name."""
        return split_rows(strata, fraction, self.streams_.numpy(name))

    def transform_stage(self, fitted, X, method="transform", **kwargs):
        """What a fitted earlier stage makes of X, as an array."""
        made = getattr(fitted, method)(self.handed(fitted, X), **kwargs)
        return made.toarray() if sp.issparse(made) else np.asarray(made)

    def train_stage(self, net, X, y, epochs, *, sample_weight=None):
        """The net of an earlier stage, trained on rows whose y may lack some of the classes."""
        for _ in range(epochs):
            net.partial_fit(named(self, X), y, classes=self.classes_, sample_weight=sample_weight)
            if net.interrupted_:
                break
        return net

    def probabilities_of(self, fitted, X, y, *, strict=True):
        """``predict_proba`` of an earlier stage, its columns in the order of this net's classes.

        It must know the classes of y; if not strict, rows of a class that it does not know have that class for sure.
        """
        found = np.asarray(fitted.predict_proba(self.handed(fitted, X)), dtype=np.float64)
        unknown = np.setdiff1d(y, fitted.classes_)
        if strict and len(unknown):
            name, known = type(fitted).__name__, np.asarray(fitted.classes_).tolist()
            raise ValueError(f"{name} was not fitted on the classes {unknown.tolist()}: it knows {known}.")
        columns = np.zeros((len(found), len(self.classes_)))
        _, own, theirs = np.intersect1d(self.classes_, fitted.classes_, return_indices=True)
        columns[:, own] = found[:, theirs]
        alien = np.isin(y, unknown)
        columns[alien] = (self.classes_ == np.asarray(y)[alien, None]).astype(float)
        return columns / columns.sum(1, keepdims=True).clip(1e-30)

    def fit_folds(self, name, estimator, X, y, n_folds, **metadata):
        """Probabilities of each row by a clone that has not seen it, and the last of the clones, as (clone, array)."""
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=self.streams_.seed_of(f"folds {name}") % 2**31)
        found = np.empty((len(y), len(self.classes_)))
        for train, rest in folds.split(np.zeros(len(y)), y):
            own = {key: None if value is None else _safe_indexing(value, train) for key, value in metadata.items()}
            fitted = self.fit_stage(name, estimator, X[train], y[train], **own)
            found[rest] = self.probabilities_of(fitted, X[rest], y[rest])
        return fitted, found
