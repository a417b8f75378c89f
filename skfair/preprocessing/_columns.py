"""Which columns of a table are what: numbers, categories, numbers with spikes."""

import numbers

import numpy as np
import pandas as pd
from sklearn.preprocessing import OneHotEncoder

__all__ = ["frequent_blocks", "select_categorical", "select_numeric"]

FEW = 255  # values of a numeric column that are told apart: as many as HistGradientBoosting has bins


def frequent_blocks(least, spike, at_most):
    """One-hot columns for the frequent values of numeric columns, and one for all others; of missing ones too."""
    whole = isinstance(least, numbers.Integral) and not isinstance(least, bool)
    if not (whole and least >= 2 or isinstance(least, numbers.Real) and not whole and 0 < least <= 0.5):
        raise ValueError(f"frequent_values must be a count >= 2, a share > 0 and <= 0.5, or None, got {least!r}")
    if not (isinstance(spike, numbers.Real) and not isinstance(spike, bool) and 0 < spike <= 0.5):
        raise ValueError(f"spike must be a share > 0 and <= 0.5, got {spike!r}")
    if at_most is not None and not (isinstance(at_most, numbers.Integral) and at_most >= 2):
        raise ValueError(f"max_frequent must be an integer >= 2 or None, got {at_most!r}")
    often = {"handle_unknown": "infrequent_if_exist", "sparse_output": False, "max_categories": at_most}
    least = int(least) if whole else float(least)
    return [
        ("frequent", OneHotEncoder(min_frequency=least, **often), SpikedColumns(least, spike, few=True)),
        ("spikes", OneHotEncoder(min_frequency=float(spike), **often), SpikedColumns(spike, spike, few=False)),
    ]


class SpikedColumns:
    """Chooses the numeric columns, of few values or of many, in which one value has this share of the rows, but not all."""

    def __init__(self, least, spike, few):
        self.least = least
        self.spike = spike
        self.few = few

    def __call__(self, X):
        return [column for column in select_numeric(X) if self._wants(_column(X, column))]

    def _wants(self, values):
        counts, n = pd.Series(values).value_counts(dropna=False), len(values)
        least = self.least if isinstance(self.least, numbers.Integral) else self.least * n
        spiked = len(counts) > 1 and counts.iloc[0] >= max(least, self.spike * n)
        return spiked and (len(counts) <= FEW) == self.few

    def __repr__(self):
        return f"SpikedColumns({self.least}, {self.spike}, few={self.few})"


def _column(X, key):
    if isinstance(X, np.ndarray):
        return X[:, key]
    values = X.iloc[:, key] if isinstance(key, numbers.Integral) and hasattr(X, "iloc") else X[key]
    return np.asarray(values)


def select_numeric(X):
    """Columns of numbers; for :class:`~sklearn.compose.ColumnTransformer`."""
    return _columns_of_kind(X, "numeric")


def select_categorical(X):
    """Columns of categories: all that :func:`select_numeric` leaves."""
    return _columns_of_kind(X, "categorical")


def _columns_of_kind(X, kind):
    """Names of the columns (positions, if not all names are text), or an error."""
    if not hasattr(X, "columns"):
        return _array_columns(X, kind)
    kinds = [_kind(name, dtype) for name, dtype in zip(X.columns, X.dtypes, strict=True)]
    by_name = all(isinstance(name, str) for name in X.columns)
    keys = X.columns if by_name else range(len(kinds))
    return [key for key, found in zip(keys, kinds, strict=True) if found == kind]


def _array_columns(X, kind):
    if not isinstance(X, np.ndarray):
        raise TypeError(f"expected a pandas or polars DataFrame or a numeric array, got {type(X).__name__}")
    if X.dtype.kind not in "iuf":
        raise TypeError(
            f"expected an array of numbers, got one of dtype {X.dtype}: pass a DataFrame, in which each column "
            f"has its own type"
        )
    return list(range(X.shape[1])) if kind == "numeric" else []


def _kind(name, dtype):
    """Kind of a pandas or polars column: "numeric" or "categorical"."""
    if type(dtype).__module__.startswith("polars") or not hasattr(dtype, "kind"):
        kind = _polars_kind(dtype)
    else:
        kind = _pandas_kind(dtype)
    if kind is None:
        raise TypeError(
            f"column {name!r} has type {dtype}, expected numbers, booleans, text or categories: turn it into one of "
            f"these (a date into a number of days, say) or drop it before"
        )
    return kind


def _pandas_kind(dtype):
    if pd.api.types.is_bool_dtype(dtype) or isinstance(dtype, (pd.CategoricalDtype, pd.StringDtype)):
        return "categorical"
    if pd.api.types.is_numeric_dtype(dtype) and dtype.kind != "c":
        return "numeric"
    return "categorical" if pd.api.types.is_object_dtype(dtype) else None


def _polars_kind(dtype):
    if dtype.is_numeric():
        return "numeric"
    known = ("String", "Utf8", "Boolean", "Categorical", "Enum", "Null")
    return "categorical" if str(dtype).split("(")[0] in known else None
