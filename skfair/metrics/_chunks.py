"""A report on more rows than fit in memory, in parts or as a frame: their counts add up."""

from collections.abc import Mapping

import narwhals as nw
import numpy as np
import pandas as pd

from skfair._sensitive import sensitive_frame

from ._counts import count
from ._inputs import as_labels, as_scores
from ._report import check_options, report_of

__all__ = ["group_report_in_chunks"]

FIELDS = ("y_true", "y_pred", "sensitive_features", "sample_weight")
MANY = 10**6  # distinct rows
TOO_MANY = f"more than {MANY:,} distinct rows: round the weights, or check the groups."


def group_report_in_chunks(
    chunks, *, y_true=None, y_pred=None, sensitive_features=None, sample_weight=None, n_boot=1000, confidence_level=0.95,
    random_state=None, min_count=10, pos_label=None,
):  # fmt: skip
    r"""The :func:`group_report` of rows that come in parts, or of a frame that need not fit in memory.

    What a report needs of the rows is how many there are of each kind (group, label, prediction, weight). These counts add
    up over the parts, and so do the resamples, which are drawn from them: the numbers are those of a report on all rows
    together, for the same ``random_state`` to the last digit.

    Parameters
    ----------
    chunks : iterable of tuples or dicts, or frame
        Each part holds ``y_true``, ``y_pred``, ``sensitive_features`` and, if there are weights, ``sample_weight``, as
        :func:`group_report` takes them. It is gone through once, and no part is kept. A frame is one that narwhals knows:
        a polars LazyFrame or DataFrame, a Dask or pandas DataFrame, a pyarrow Table, ... Its own engine counts the rows; a
        lazy one is never held as a whole.
    y_true, y_pred : str, optional
        Columns of a frame.
    sensitive_features : str or list of str, optional
        Columns of a frame.
    sample_weight : str, optional
        Column of a frame.
    n_boot, confidence_level, random_state, min_count, pos_label
        As in :func:`group_report`.

    Returns
    -------
    GroupReport

    Raises
    ------
    ValueError
        As :func:`group_report`, with the number of the part; also where there is no part, where the parts differ in their
        columns, where a frame lacks a column or its names are not given, and for intervals from very many distinct weights.

    Examples
    --------
    >>> from skfair.metrics import group_report_in_chunks
    >>> parts = [([1, 0, 0], [1, 0, 1], ["f", "f", "m"]), ([1, 0, 1], [1, 1, 0], ["m", "m", "m"])] * 10
    >>> group_report_in_chunks(iter(parts), random_state=0).by_group[["n", "selection_rate"]]
        n  selection_rate
    f  20            0.50
    m  40            0.75

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"y": [1, 0, 0, 1] * 10, "p": [1, 0, 1, 1] * 10, "sex": ["f", "f", "m", "m"] * 10})
    >>> columns = dict(y_true="y", y_pred="p", sensitive_features="sex")
    >>> group_report_in_chunks(frame, **columns, random_state=0).by_group[["n", "selection_rate"]]
          n  selection_rate
    sex
    f    20             0.5
    m    20             1.0
    """
    check_options(n_boot, confidence_level)
    frame = nw.from_native(chunks, pass_through=True)
    given = dict(zip(FIELDS, (y_true, y_pred, sensitive_features, sample_weight)))
    if isinstance(frame, nw.DataFrame | nw.LazyFrame):
        rows = _counted_by_its_engine(frame, **given)
    elif any(value is not None for value in given.values()):
        raise ValueError(f"names of columns are for a frame: parts of type {type(chunks).__name__} hold the values.")
    else:
        rows = _distinct(chunks)
    names = [name for name in rows.columns if name not in ("y_true", "y_pred", "weight", "times")]
    table = count(
        rows["y_true"].to_numpy(), rows["y_pred"].to_numpy(), rows[names],
        rows["weight"].to_numpy() if "weight" in rows else None, rows["times"].to_numpy(),
    )  # fmt: skip
    return report_of(table, None, n_boot, confidence_level, random_state, min_count, pos_label)


def _distinct(chunks):
    """The distinct rows of all chunks as a frame, with their number in the column "times"."""
    found = None
    for number, chunk in enumerate(chunks):
        try:
            part = _counted(_frame(**_fields(chunk)))
        except ValueError as error:
            raise ValueError(f"chunk {number}: {error}") from error
        if found is not None and list(part.columns) != list(found.columns):
            raise ValueError(
                f"chunk {number} has the columns {list(part.columns)}, those before {list(found.columns)}."
            )
        found = part if found is None else _counted(pd.concat([found, part], ignore_index=True))
        if len(found) > MANY:
            raise ValueError(TOO_MANY)
    if found is None:
        raise ValueError("chunks is empty: at least one is needed.")
    return found


def _counted_by_its_engine(frame, y_true, y_pred, sensitive_features, sample_weight):
    """The distinct rows of a frame, counted where the frame lives: all that is collected."""
    groups = [sensitive_features] if isinstance(sensitive_features, str) else list(sensitive_features or [])
    columns = [y_true, y_pred, *groups, *([] if sample_weight is None else [sample_weight])]
    if None in columns or not groups:
        raise ValueError("a frame needs the names of its columns: y_true=, y_pred= and sensitive_features=.")
    known = frame.collect_schema().names()
    if absent := [name for name in columns if name not in known]:
        raise ValueError(f"the frame has no columns {absent}, only {known}.")
    keys = [f"key_{j}" for j in range(len(columns))]  # a column may serve twice, and be called anything
    rows = frame.lazy().select(nw.col(name).alias(key) for name, key in zip(columns, keys))
    rows = rows.group_by(keys, drop_null_keys=False).agg(nw.len().alias("times")).head(MANY + 1).collect()
    if len(rows) > MANY:
        raise ValueError(TOO_MANY)
    times = rows["times"].to_numpy().astype(np.int64)
    for name, key in zip(columns[:2], keys):
        if missing := times[pd.isna(rows[key].to_pandas())].sum():
            raise ValueError(f"{name} has {missing} missing values (None or NaN): every row needs a label.")
    values = [rows[key].to_native() for key in keys]
    sensitive = sensitive_frame(rows.select(keys[2 : 2 + len(groups)]).rename(dict(zip(keys[2:], groups))).to_native())
    found = _frame(*values[:2], sensitive, *([] if sample_weight is None else values[-1:])).assign(times=times)
    return (
        found.sort_values("weight", kind="stable") if "weight" in found else found
    )  # sums do not depend on the engine


def _fields(chunk):
    if isinstance(chunk, Mapping):
        unknown = sorted(set(chunk) - set(FIELDS))
        if unknown or not set(FIELDS[:3]) <= set(chunk):
            raise ValueError(f"a dict needs the keys {FIELDS[:3]} and may have 'sample_weight', got {list(chunk)}.")
        return dict(chunk)
    if not isinstance(chunk, tuple) or len(chunk) not in (3, 4):
        raise ValueError(f"expected a tuple (y_true, y_pred, sensitive_features[, sample_weight]), got {type(chunk)}.")
    return dict(zip(FIELDS, chunk))


def _frame(y_true, y_pred, sensitive_features, sample_weight=None):
    true, pred = as_labels(y_true, "y_true"), as_labels(y_pred, "y_pred")
    if len(pred) != len(true):
        raise ValueError(f"y_pred has {len(pred)} rows, y_true has {len(true)}: they must be equal.")
    groups = sensitive_frame(sensitive_features, len(true))
    clash = sorted({"y_true", "y_pred", "weight", "times"} & set(groups.columns))
    if clash:
        raise ValueError(f"sensitive_features has columns called {clash}: rename them.")
    frame = groups.assign(y_true=true, y_pred=pred, times=np.int64(1))
    if sample_weight is None:
        return frame
    weight = as_scores(sample_weight, len(true), "sample_weight")  # all of a part may be 0
    if (weight < 0).any():
        raise ValueError(f"sample_weight must be >= 0, got a smallest weight of {weight.min()}.")
    return frame.assign(weight=weight)


def _counted(frame):
    keys = [name for name in frame.columns if name != "times"]
    return frame.groupby(keys, dropna=False, sort=False, observed=True)["times"].sum().reset_index()
