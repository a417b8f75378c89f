"""From what users pass (lists, arrays, Series, frames, pandas or polars) to integer codes."""

import narwhals as nw
import numpy as np
import pandas as pd

from skfair._sensitive import encode_column, read_columns, warn_if_reordered

__all__ = ["as_scores", "as_weight", "encode_groups", "encode_labels"]


def as_column(values, name):
    """Return ``values`` as a one-dimensional numpy array, or raise."""
    native = nw.from_native(values, allow_series=True, pass_through=True)
    if isinstance(native, nw.Series):
        array = native.to_numpy()
    elif isinstance(values, list | tuple) and any(isinstance(value, str) for value in values):
        array = np.asarray(values, dtype=object)
    else:
        array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got an array of shape {array.shape}.")
    if len(array) == 0:
        raise ValueError(f"{name} is empty: at least one row is needed.")
    return array


def _check_length(array, n_rows, name):
    if len(array) != n_rows:
        raise ValueError(f"{name} has {len(array)} rows, y_true has {n_rows}: they must be equal.")


def as_labels(values, name):
    """Return class labels as an array without missing values and without continuous numbers, or raise."""
    array = as_column(values, name)
    missing = pd.isna(array)
    if missing.any():
        raise ValueError(f"{name} has {int(missing.sum())} missing values (None or NaN): every row needs a label.")
    if array.dtype.kind == "f":
        fractional = array[array != np.rint(array)]
        if len(fractional):
            raise ValueError(
                f"{name} must hold class labels, got continuous values such as {fractional[0]!r}: "
                "apply a threshold first, or use a metric that takes y_score."
            )
    return array


def encode_labels(y_true, y_pred):
    """Return (sorted classes of both, codes of y_true, codes of y_pred)."""
    true, pred = as_labels(y_true, "y_true"), as_labels(y_pred, "y_pred")
    _check_length(pred, len(true), "y_pred")
    strings = [array.dtype.kind in "OUST" for array in (true, pred)]
    both = np.concatenate([array.astype(object) if any(strings) else array for array in (true, pred)])
    codes, classes = pd.factorize(both)
    try:
        order = np.argsort(classes, kind="stable")
    except TypeError as error:
        raise ValueError(
            f"y_true and y_pred must hold labels of one kind, got strings and numbers: {list(classes)[:10]!r}."
        ) from error
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    codes = rank[codes]
    return np.asarray(classes)[order], codes[: len(true)], codes[len(true) :]


def as_scores(y_score, n_rows, name="y_score"):
    """Return finite float scores of shape (n_rows,), or raise."""
    scores = as_column(y_score, name)
    try:
        scores = scores.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numeric, got values of type {scores.dtype}.") from error
    _check_length(scores, n_rows, name)
    if not np.isfinite(scores).all():
        raise ValueError(f"{name} has {int((~np.isfinite(scores)).sum())} values that are NaN or infinite.")
    return scores


def as_weight(sample_weight, n_rows):
    """Return float weights of shape (n_rows,), or None for None; raise where they are no weights."""
    if sample_weight is None:
        return None
    weight = as_scores(sample_weight, n_rows, "sample_weight")
    if (weight < 0).any():
        raise ValueError(f"sample_weight must be >= 0, got a smallest weight of {weight.min()}.")
    if not weight.any():
        raise ValueError("sample_weight is zero on every row: at least one row must count.")
    return weight


def encode_groups(sensitive_features, n_rows, **rows):
    """Return (codes of shape (n_rows,), labels, column names) of the groups that occur.

    Several columns make intersections, whose labels are tuples. A missing value (None, NaN) is a group of its own. Warn if
    any of the other ``rows`` has the same row labels in another order.
    """
    if sensitive_features is None:
        raise ValueError("sensitive_features is needed, got None: pass the column or columns that name the groups.")
    warn_if_reordered(sensitive_features, **rows)
    columns, names = read_columns(sensitive_features)
    for column, name in zip(columns, names, strict=True):
        _check_length(column, n_rows, f"sensitive_features {name!r}")
    encoded = [encode_column(column, name) for column, name in zip(columns, names, strict=True)]
    codes, labels = encoded[0]
    if len(encoded) == 1:
        return codes, labels, names
    shape = tuple(len(labels) for _, labels in encoded)
    flat = np.ravel_multi_index([codes for codes, _ in encoded], shape)
    present, codes = np.unique(flat, return_inverse=True)
    index = np.array(np.unravel_index(present, shape)).T
    labels = [tuple(encoded[j][1][i] for j, i in enumerate(row)) for row in index]
    return codes, labels, names
