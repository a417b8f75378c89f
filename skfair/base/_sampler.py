"""Samplers: rows in, more rows out, with the sensitive features beside them."""

import narwhals as nw
import numpy as np
import pandas as pd
import scipy.sparse as sp
from imblearn.base import BaseSampler as ImbalancedLearnSampler
from imblearn.utils import check_target_type
from sklearn.preprocessing import label_binarize
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from skfair._data import split_rows
from skfair._lazy import refuse_dataset
from skfair._random import Streams, draw_seed
from skfair._sensitive import SensitiveEncoder, column_positions, warn_if_reordered
from skfair.base._checks import named, sensitive_input
from skfair.base._device import resolve_device
from skfair.base._readable import NUMBERS, check_labels, read_rows
from skfair.base._stages import fit_clone

__all__ = ["BaseSampler", "like_labels", "like_rows", "like_sensitive"]


class BaseSampler(ImbalancedLearnSampler):
    """Base of the samplers, with imbalanced-learn's interface: a sampler writes ``learn`` and ``make``.

    All rows that are given come back first and unchanged; those that ``make`` returns follow them.
    """

    # a pipeline of imbalanced-learn cannot hand resampled groups on: it passes none, and the error says what to do
    __metadata_request__fit_resample = {"sensitive_features": False}
    _sampling_type = "bypass"
    needs_sensitive = True
    groups_hint = (
        " A pipeline of imbalanced-learn hands no groups on: name sensitive_columns there, or use Resampled(sampler, "
        "estimator) of skfair.augmentation."
    )

    # ------------------------------------------------------------------ hooks
    def learn(self, X, y, sensitive):
        """Learn from rows (n, ...), codes of labels (n,) and of sensitive features (n, k)."""

    def make(self, X, y, sensitive):
        """New rows (m, ...), codes of their labels (m,) and of their sensitive features (m, k)."""
        raise NotImplementedError(f"{type(self).__name__} makes no rows.")

    def check_parameters(self):
        """Raise a ValueError for a parameter that makes no sense, before anything is learned."""

    def check_groups(self, encoder):
        """Raise a ValueError for sensitive features that the sampler cannot deal with."""

    # ------------------------------------------------------------------ fit
    def fit(self, X, y, *, sensitive_features=None):
        """Learn what new rows are made with, and make none.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n, ...)
        y : array-like of shape (n,)
            Labels of any type.
        sensitive_features : array-like, Series or DataFrame of shape (n,) or (n, k), optional
            Needed unless ``sensitive_columns`` says where they stand in X.

        Returns
        -------
        self
        """
        self._learn(X, y, sensitive_features)
        return self

    def fit_resample(self, X, y, *, sensitive_features=None):
        """Learn, and return the rows given and new ones after them.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n, ...)
        y : array-like of shape (n,)
            Labels of any type.
        sensitive_features : array-like, Series or DataFrame of shape (n,) or (n, k), optional
            Needed unless ``sensitive_columns`` says where they stand in X.

        Returns
        -------
        X_resampled : of the type of X
        y_resampled : of the type of y
        sensitive_features_resampled : of the type of ``sensitive_features``
            Only if they are given.
        """
        given = X, y
        X, y, sensitive, binarize = self._learn(X, y, sensitive_features)
        rows, labels, groups = self.make(X, y, sensitive)
        self.is_real_ = np.arange(len(y) + len(labels)) < len(y)
        groups = self._groups(groups)
        rows = self._with_columns(rows, groups)
        X_new = like_rows(given[0], rows)
        if binarize:
            y_new = label_binarize(np.concatenate([self.classes_[y], self.classes_[labels]]), classes=self.classes_)
        else:
            y_new = like_labels(given[1], self.classes_[labels])
        if sensitive_features is None:
            return X_new, y_new
        return X_new, y_new, like_sensitive(sensitive_features, groups)

    def _fit_resample(self, X, y, **params):
        raise NotImplementedError("imbalanced-learn's hook; here it is ``make``.")

    def _learn(self, X, y, sensitive_features):
        self.check_parameters()
        resolve_device(getattr(self, "device", "cpu"))
        warn_if_reordered(sensitive_features, X=X, y=y)
        given = X
        X, y, binarize = self._check_rows(X, y)
        frame = sensitive_input(self, given, sensitive_features, X.shape[0])
        self.has_missing_ = frame.isna().any().tolist()
        self.sensitive_encoder_ = SensitiveEncoder(getattr(self, "missing_groups", "group")).fit(frame)
        self.check_groups(self.sensitive_encoder_)
        self.columns_ = column_positions(given, self.sensitive_columns)
        if self.columns_ is not None and len(self.columns_) != frame.shape[1]:
            raise ValueError(
                f"sensitive_columns={self.sensitive_columns!r} names {len(self.columns_)} columns of X, but "
                f"sensitive_features has {frame.shape[1]}."
            )
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            name = type(self).__name__
            raise ValueError(f"{name} needs at least 2 classes, but y holds only one: {self.classes_.tolist()}.")
        self.streams_ = Streams(draw_seed(self.random_state), "cpu")
        self.sampling_strategy_ = {}  # imbalanced-learn's mark of a sampler that has been fitted
        sensitive = self.sensitive_encoder_.transform(frame)[0]
        self.learn(X, codes, sensitive)
        return X, codes, sensitive, binarize

    def _check_rows(self, X, y):
        refuse_dataset(X, type(self).__name__)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        check_labels(y)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        y, binarize = check_target_type(y, indicate_one_vs_all=True)
        X, y = read_rows(self, X, y, reset=True, dtype=NUMBERS, ensure_min_samples=2)
        self.x_shape_ = X.shape[1:]
        return X.toarray() if sp.issparse(X) else X, np.asarray(y), binarize

    def _groups(self, codes):
        """The values of new rows' sensitive features; missing ones are missing, not called so."""
        groups = self.sensitive_encoder_.inverse_transform(codes)
        for j, (name, missing) in enumerate(zip(groups.columns, self.has_missing_)):
            if missing:
                last = codes[:, j] == len(self.sensitive_encoder_.categories_[j]) - 1
                groups[name] = groups[name].astype(object).mask(last, None)
        return groups

    def _with_columns(self, rows, groups):
        """The new rows, with their own sensitive features in the columns of X that hold these."""
        if self.columns_ is not None:
            rows = np.array(rows)
            rows[:, self.columns_] = groups.to_numpy(dtype=np.float64)
        return rows

    def fit_part(self, name, estimator, X, y=None, **metadata):
        """A fitted clone of an estimator that this sampler is made of, with a random stream of its own."""
        return fit_clone(estimator, named(self, X), y, self.seed_of(name), **metadata)

    def seed_of(self, name):
        """A seed that numpy's old random states take, too."""
        return self.streams_.seed_of(name) % 2**31

    def named_for(self, part, X):
        """X with its column names, for a part that was fitted with them."""
        return named(self, X) if hasattr(part, "feature_names_in_") else X

    def hold_out(self, strata, fraction):
        """Positions of the rows to train on and of those to choose by, with a share of each stratum (n,)."""
        return split_rows(strata, fraction, self.streams_.numpy("validation"))

    def check_fitted(self):
        """Raise a NotFittedError before ``fit``."""
        check_is_fitted(self, "classes_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


# ---------------------------------------------------------------------- in the user's own containers
def like_rows(given, new):
    """The rows given and the new ones after them, in the container of the former."""
    if sp.issparse(given):
        kind = sp.csr_array if isinstance(given, sp.sparray) else sp.csr_matrix
        return sp.vstack([given, kind(_as_type(new, given.dtype))], given.format)
    if isinstance(given, pd.DataFrame):
        more = pd.DataFrame({i: _like_column(given.iloc[:, i], new[:, i]) for i in range(new.shape[1])})
        return pd.concat([given, more.set_axis(given.columns, axis=1)], ignore_index=True)
    frame = nw.from_native(given, pass_through=True, eager_only=True)
    if not isinstance(frame, nw.DataFrame):
        old = np.asarray(given)
        rows = np.concatenate([old, _as_type(new, old.dtype)])
        return rows.tolist() if isinstance(given, list) else rows
    columns = {name: _as_type(new[:, j], frame[name].to_numpy().dtype) for j, name in enumerate(frame.columns)}
    more = nw.from_dict(columns, backend=frame.implementation)
    return nw.concat([frame, more.select(nw.col(name).cast(frame.schema[name]) for name in frame.columns)]).to_native()


def _like_column(column, values):
    dtype = column.dtype
    if pd.api.types.is_integer_dtype(dtype) or pd.api.types.is_bool_dtype(dtype):
        values = _as_type(values, np.dtype(getattr(dtype, "numpy_dtype", dtype)))
    if isinstance(dtype, pd.CategoricalDtype):
        known = dtype.categories.to_numpy()
        values = known[np.abs(np.asarray(values)[:, None] - known.astype(np.float64)).argmin(1)]
    return pd.Series(values).astype(dtype)


def _as_type(values, dtype):
    """Numbers of another type; those of whole numbers are rounded, and kept within its range."""
    if dtype.kind == "b":
        return np.asarray(values) > 0.5
    if dtype.kind in "iu":
        range_ = np.iinfo(dtype)
        values = np.rint(values).clip(range_.min, range_.max)
    return np.asarray(values).astype(dtype)


def like_labels(given, new):
    """The labels given and the new ones after them, in the container of the former."""
    series = nw.from_native(given, series_only=True, pass_through=True, allow_series=True)
    if isinstance(given, pd.Series):
        return pd.concat([given, pd.Series(new, name=given.name).astype(given.dtype)], ignore_index=True)
    if isinstance(series, nw.Series):
        more = nw.new_series(series.name, new.tolist(), series.dtype, backend=series.implementation)
        return nw.concat([series.to_frame(), more.to_frame()])[series.name].to_native()
    if isinstance(given, pd.DataFrame):
        more = pd.DataFrame({given.columns[0]: new}).astype(given.dtypes.to_dict())
        return pd.concat([given, more], ignore_index=True)
    if isinstance(given, list | tuple):
        return type(given)([*given, *new.tolist()])
    old = np.asarray(given)
    return np.concatenate([old, new.astype(old.dtype).reshape(-1, *old.shape[1:])])


def like_sensitive(given, new):
    """The sensitive features given and the new ones (a DataFrame) after them, in the container of the former."""
    frame = nw.from_native(given, pass_through=True, eager_only=True, allow_series=True)
    if isinstance(given, pd.DataFrame):
        new = new.set_axis(given.columns, axis=1)
        return pd.concat([given, new.astype(given.dtypes.to_dict())], ignore_index=True)
    if isinstance(frame, nw.DataFrame):
        columns = [
            nw.new_series(c, new[c].tolist(), frame.schema[c], backend=frame.implementation) for c in frame.columns
        ]
        return nw.concat([frame, columns[0].to_frame().with_columns(*columns)]).to_native()
    if isinstance(given, dict):
        return {key: like_sensitive(values, new[[str(key)]]) for key, values in given.items()}
    one = not isinstance(frame, nw.Series) and np.ndim(given) == 2
    if not one:
        return like_labels(given, new.iloc[:, 0].to_numpy())
    rows = new.to_numpy(dtype=object)
    if isinstance(given, list | tuple):
        return type(given)([*given, *map(type(given[0]), rows.tolist())])
    return np.concatenate([np.asarray(given), rows.astype(np.asarray(given).dtype)])
