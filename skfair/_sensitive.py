"""Sensitive features of any kind: reading them, finding them in X, codes for their values and combinations.

Shared by the metrics and the estimators; imports no torch.
"""

import warnings

import narwhals as nw
import numpy as np
import pandas as pd

__all__ = [
    "MISSING", "SensitiveEncoder", "column_positions", "encode_column", "read_columns", "select_columns", "sensitive_frame",
    "warn_if_reordered",
]  # fmt: skip

MISSING = "missing"
TOO_MANY_VALUES = 100  # a float column with more distinct values than this is probably not a group
ROWS_PER_VALUE = 5  # nor one of integers with so many values and fewer rows of each


def read_columns(features):
    """Return (list of 1-d arrays, list of names) of sensitive features of any kind; raise a ValueError for none.

    Columns without a name are called ``sensitive_feature_0`` and so on.
    """
    columns, names = _read(features)
    if not columns:
        raise ValueError("sensitive_features has no column: at least one is needed.")
    return columns, [f"sensitive_feature_{j}" if name is None else name for j, name in enumerate(names)]


def _read(features):
    if isinstance(features, dict):
        features = pd.DataFrame(features)
    if isinstance(features, np.ma.MaskedArray):
        features = np.where(np.ma.getmaskarray(features), None, features.data.astype(object))  # hidden: missing
    if isinstance(features, pd.DataFrame) and len(set(features.columns)) < len(features.columns):
        raise ValueError(f"sensitive_features must have columns of different names, got {list(features.columns)}.")
    native = nw.from_native(features, allow_series=True, pass_through=True)
    if isinstance(native, nw.Series):
        return [_values(native)], [None if native.name == "" else native.name]
    if isinstance(native, nw.DataFrame):
        return [_values(native[:, j]) for j in range(native.shape[1])], list(native.columns)
    is_list = isinstance(features, list | tuple)
    array = np.asarray(features, dtype=object) if is_list else np.asarray(features)
    if array.ndim not in (1, 2):
        raise ValueError(f"sensitive_features must have one or two dimensions, got shape {array.shape}.")
    columns = [array] if array.ndim == 1 else list(array.T)
    return columns, [None] * len(columns)


def _values(series):
    native = series.to_native()
    return native.array if isinstance(native, pd.Series) else np.asarray(series.to_list(), dtype=object)


def _plain(value):
    """Numpy scalars print as np.str_('a'): labels are to be read."""
    return value.item() if isinstance(value, np.generic) else value


def encode_column(column, name):
    """Return (codes, labels) of one column, labels sorted, missing values last."""
    try:
        codes, uniques = pd.factorize(column, use_na_sentinel=True)
    except TypeError as error:
        raise ValueError(
            f"sensitive_features {name or ''} must hold scalars (strings, numbers, booleans): {error}."
        ) from error
    labels = [_plain(value) for value in uniques]
    try:
        order = sorted(range(len(labels)), key=lambda i: labels[i])
    except TypeError:
        order = sorted(range(len(labels)), key=lambda i: (type(labels[i]).__name__, str(labels[i])))
    rank = np.empty(len(labels) + 1, dtype=np.intp)
    rank[order] = np.arange(len(labels))
    rank[-1] = len(labels)  # factorize codes a missing value as -1
    labels = [labels[i] for i in order]
    missing = MISSING if MISSING not in labels else "<missing>"
    return rank[codes], labels + [missing] * bool((codes == -1).any())


def select_columns(X, columns):
    """Return the sensitive columns of X; ``columns`` is a name, an index, a list of either, or a callable on X."""
    if callable(columns):
        return columns(X)
    frame = nw.from_native(X, pass_through=True, eager_only=True)
    many = isinstance(columns, list | tuple)
    wanted = list(columns) if many else [columns]
    if not isinstance(frame, nw.DataFrame):
        if any(isinstance(column, str) for column in wanted):
            raise ValueError(
                f"sensitive_columns={columns!r} needs a DataFrame X with column names, got {type(X)}. Inside a Pipeline the "
                "step before makes an array: pass the features to the step, fit(X, y, <step>__sensitive_features=...), or "
                "switch routing on with sklearn.set_config(enable_metadata_routing=True)."
            )
        X = X if hasattr(X, "shape") else np.asarray(X)
        if len(X.shape) < 2:
            raise ValueError(
                f"sensitive_columns={columns!r} needs an X with columns, got a {type(X).__name__} of shape {X.shape}: pass "
                "sensitive_features instead."
            )
        _check_positions(wanted, X.shape[1])
        selected = X[:, wanted]
        return selected.toarray() if hasattr(selected, "toarray") else np.asarray(selected)
    names = list(frame.columns)
    absent = [column for column in wanted if isinstance(column, str) and column not in names]
    if absent:
        raise ValueError(f"sensitive_columns has {absent!r}, which X lacks; its columns are {names!r}.")
    _check_positions([column for column in wanted if column not in names], len(names))
    wanted = [column if column in names else names[column] for column in wanted]
    return frame.select(wanted).to_native()


def column_positions(X, columns):
    """The positions of the sensitive columns of X; None where a callable makes them."""
    if columns is None or callable(columns):
        return None
    frame = nw.from_native(X, pass_through=True, eager_only=True)
    names = list(frame.columns) if isinstance(frame, nw.DataFrame) else []
    wanted = list(columns) if isinstance(columns, list | tuple) else [columns]
    return [names.index(column) if column in names else column for column in wanted]


def _check_positions(columns, width):
    outside = [column for column in columns if not -width <= column < width]
    if outside:
        raise ValueError(f"sensitive_columns has the positions {outside}, but X has {width} columns.")


def sensitive_frame(sensitive_features, n_rows=None):
    """Return the sensitive features as a pandas DataFrame, one column per feature, without changing the input.

    Parameters
    ----------
    sensitive_features : list, array of one or two axes, dict, or pandas or polars Series or DataFrame
    n_rows : int, optional
        The number of rows that is expected.

    Raises
    ------
    ValueError
        If the number of rows is another, or an array has more than two axes.
    """
    columns, names = read_columns(sensitive_features)
    lengths = {len(column) for column in columns}
    if n_rows is not None and lengths != {n_rows}:
        raise ValueError(f"sensitive_features has {sorted(lengths)[0]} rows, but X has {n_rows}.")
    return pd.DataFrame({str(name): column for name, column in zip(names, columns, strict=True)})


def warn_if_reordered(sensitive_features, **rows):
    """Warn if pandas objects have the row labels of the sensitive features in another order: position alone counts."""
    theirs = getattr(sensitive_features, "index", None)
    if not isinstance(theirs, pd.Index) or not theirs.is_unique:
        return
    for name, value in rows.items():
        index = getattr(value, "index", None)
        if not isinstance(index, pd.Index) or len(index) != len(theirs) or index.equals(theirs):
            continue
        if index.is_unique and index.isin(theirs).all():
            warnings.warn(
                f"sensitive_features has the row labels of {name} in another order, and rows are matched by position, not "
                f"by label. Pass sensitive_features.loc[{name}.index], or, if the order is right, "
                "sensitive_features.to_numpy().",
                UserWarning,
                stacklevel=3,
            )
            return


class SensitiveEncoder:
    """Codes for the values of each sensitive feature and for their combinations (the groups).

    Parameters
    ----------
    missing : {"group", "error"}, default="group"
        Whether missing values make a group of their own or are refused.

    Attributes
    ----------
    names_ : list of str
    categories_ : list of lists
        Values of each feature, sorted; "missing" stands last.
    groups_ : list of tuples
        The combinations that occur, in the order of their codes.
    """

    def __init__(self, missing="group"):
        self.missing = missing

    def fit(self, frame):
        """Learn the values and the groups of a frame from ``sensitive_frame``."""
        self.names_ = list(frame.columns)
        self.categories_ = [self._categories(frame[name]) for name in self.names_]
        codes = self._codes(frame)
        self._table = np.unique(codes, axis=0)  # (G, k), sorted
        self.groups_ = [tuple(c[i] for c, i in zip(self.categories_, row)) for row in self._table]
        return self

    def transform(self, frame):
        """Return ``sensitive`` (n, k) and ``group`` (n,) as int64 arrays.

        Raises
        ------
        ValueError
            If the columns are others than at fit, or a value or combination did not occur at fit.
        """
        if list(frame.columns) != self.names_:
            raise ValueError(f"sensitive_features has the columns {list(frame.columns)}, at fit {self.names_}.")
        codes = self._codes(frame)
        lookup = {tuple(row): code for code, row in enumerate(self._table)}
        found, inverse = np.unique(codes, axis=0, return_inverse=True)
        group = np.array([lookup.get(tuple(row), -1) for row in found], dtype=np.int64)[inverse.reshape(-1)]
        if (group < 0).any():
            row = frame.iloc[int(np.flatnonzero(group < 0)[0])].to_dict()
            raise ValueError(f"unseen group {row}: at fit there were only the groups {self.groups_}.")
        return codes, group

    def inverse_transform(self, sensitive):
        """The values behind the codes (n, k), as a DataFrame."""
        columns = zip(self.names_, self.categories_, np.asarray(sensitive).T)
        return pd.DataFrame({name: [values[code] for code in codes] for name, values, codes in columns})

    def _categories(self, column):
        missing = column.isna()
        if missing.any() and self.missing == "error":
            raise ValueError(
                f"sensitive feature {column.name!r} has {int(missing.sum())} missing values and missing_groups='error'; "
                "fill them, or set missing_groups='group' to make them a group of their own."
            )
        _, values = encode_column(column.array, column.name)
        kind, few = column.dtype, len(column) < ROWS_PER_VALUE * len(values)
        number = pd.api.types.is_float_dtype(kind) or (pd.api.types.is_integer_dtype(kind) and few)
        if number and len(values) > TOO_MANY_VALUES:
            warnings.warn(
                f"sensitive feature {column.name!r} is a column of numbers ({kind}) with {len(values)} distinct values, "
                "each of which becomes a group. Cut it into intervals first, for example with pandas.cut.",
                UserWarning,
                stacklevel=2,
            )
        return values

    def _codes(self, frame):
        columns = []
        for name, categories in zip(self.names_, self.categories_):
            lookup = {value: code for code, value in enumerate(categories)}
            missing = "<missing>" if "<missing>" in categories else MISSING
            values = frame[name].astype(object).where(~frame[name].isna(), missing)
            codes = values.map(lambda v, lookup=lookup: lookup.get(v, -1))
            columns.append(self._check_known(codes.to_numpy(np.int64), values, name, categories))
        return np.stack(columns, axis=1)

    def _check_known(self, codes, values, name, categories):
        if (codes < 0).any():
            unseen = sorted({str(v) for v in values[codes < 0]})
            raise ValueError(f"unseen group in sensitive feature {name!r}: {unseen}; at fit there were {categories}.")
        return codes
