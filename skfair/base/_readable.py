"""What scikit-learn's checks let through without a word, or refuse without naming it, is refused here by its name."""

from collections import Counter

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils.validation import validate_data

__all__ = ["NUMBERS", "check_labels", "check_readable", "check_unmasked", "read_rows"]

NUMBERS = [np.float64, np.float32]  # kept as they are
LARGEST = np.finfo(np.float32).max  # networks compute with such numbers


def read_rows(estimator, X, y="no_validation", *, dtype, **options):
    """scikit-learn's ``validate_data`` for rows of any number of axes, dense or CSR, and more that is refused."""
    check_readable(X)
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinity, which is refused
            found = validate_data(estimator, X, y, dtype=dtype, accept_sparse="csr", allow_nd=True, **options)
    except ValueError as error:
        if "setting an array element with a sequence" not in str(error):
            raise
        raise ValueError(
            "X must be a table of numbers, got rows of different lengths, or sequences in the place of numbers."
        ) from error
    rows = found[0] if isinstance(found, tuple) else found
    values = rows.data if sp.issparse(rows) else rows
    if values.dtype == np.float64 and values.size and np.abs(values).max() > LARGEST:
        raise ValueError(f"X contains a value too large for dtype('float32'): {np.abs(values).max():g}.")
    return found


def check_readable(X):
    """Raise a TypeError or ValueError if X is of a kind that no rows of numbers can be read from."""
    if X is None or isinstance(X, dict | str | bytes):
        kind = "None" if X is None else type(X).__name__
        raise TypeError(f"X must be an array, a DataFrame, a sparse matrix or a list of rows, got {kind}.")
    check_unmasked("X", X)
    if isinstance(X, pd.DataFrame):
        twice = [name for name, times in Counter(X.columns).items() if times > 1]
        if twice:
            raise ValueError(f"X must have columns of different names, got {twice} several times.")
    dates = _dates(X)
    if dates:
        raise TypeError(f"X must hold numbers, got dates or durations{dates}: make numbers of them, such as days.")


def check_unmasked(name, values):
    """Raise a ValueError for a masked array, whose mask is dropped by all that turns it into an array."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        n_masked = int(np.ma.getmaskarray(values).sum())
        raise ValueError(f"{name} must be whole, got a masked array that hides {n_masked} values: fill or impute them.")


def check_labels(y):
    """Raise a ValueError for what scikit-learn overlooks among labels: masks, and missing ones that are no floats."""
    check_unmasked("y", y)
    values = np.asarray(y)
    if values.dtype == object and values.ndim == 1:
        n_missing = int(pd.isna(values).sum())
        if n_missing:
            raise ValueError(
                f"y must be whole, got {n_missing} missing labels (None, NaN or NA): leave these rows out."
            )


def _dates(X):
    """The columns of a pandas frame that hold dates or durations, as text; "" for none."""
    if isinstance(X, pd.DataFrame):
        names = [name for name, dtype in X.dtypes.items() if getattr(dtype, "kind", "") in "mM"]
        return f" in the columns {names}" if names else ""
    return " alone" if getattr(getattr(X, "dtype", None), "kind", "") in ("m", "M") else ""
