"""The way of the data into the network: codes for the groups, tensors for the rows, minibatches."""

import warnings
from typing import NamedTuple

import narwhals.stable.v1 as nw
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

__all__ = ["Batch", "BatchLoader", "Rows", "SensitiveEncoder", "make_rows", "sensitive_frame", "split_rows"]

MISSING = "missing"
BLOCK = 2**20  # values of X that are gathered at once
TOO_MANY_VALUES = 100  # a numeric group column with more distinct values than this is probably not a group


class Batch(NamedTuple):
    """The rows of a minibatch, on the device."""

    x: torch.Tensor  # (n, ...) float32
    y: torch.Tensor  # (n,) int64, class codes; None for a transformer without labels
    sensitive: torch.Tensor  # (n, k) int64, codes per sensitive column; -1 where no group is known
    group: torch.Tensor  # (n,) int64, code of the combination of all columns; -1 where none is known
    weight: torch.Tensor  # (n,) float32, mean 1 over the training set
    index: torch.Tensor  # (n,) int64, row in the training set


class Rows(torch.utils.data.Dataset):
    """The rows of a data set as tensors: X and a dict of what belongs to each row (``Batch`` without x).

    A sparse X stays sparse; each minibatch of it is made dense.
    """

    def __init__(self, X, y=None):
        self.X = X
        self.y = {} if y is None else y

    def __len__(self):
        return self.X.shape[0]

    def __getitem__(self, index):
        index = torch.as_tensor(index)
        x, y = self.take(index.reshape(-1))
        return (x, y) if index.ndim else (x[0], {name: value[0] for name, value in y.items()})

    def take(self, index):
        """The rows of an int64 tensor of positions, as (x, y)."""
        y = {name: value[index] for name, value in self.y.items()}
        if not sp.issparse(self.X):
            return self.X[index], y
        x = torch.from_numpy(self.X[index.cpu().numpy()].toarray())
        return x.to(index.device), y

    def subset(self, index):
        """A data set of some of the rows."""
        y = {name: value[index] for name, value in self.y.items()}
        return Rows(self.X[index.cpu().numpy()] if sp.issparse(self.X) else self.X[index], y)

    @property
    def device(self):
        return torch.device("cpu") if sp.issparse(self.X) else self.X.device


class BatchLoader:
    """Minibatches cut out of whole tensors, in an order drawn from a generator of the loader's own.

    Much faster than ``torch.utils.data.DataLoader`` on rows that are in memory: one indexing operation for many batches.

    Parameters
    ----------
    dataset : Rows
    batch_size : int
    shuffle : bool
        Draw a new order in each epoch.
    sampling_weights : tensor of shape (n_rows,), optional
        If given, an epoch is ``n_rows`` draws with replacement, with probabilities in proportion to these.
    generator : numpy.random.Generator, optional
    """

    def __init__(self, dataset, batch_size=64, shuffle=False, sampling_weights=None, generator=None):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.sampling_weights = sampling_weights
        self.generator = generator

    def __len__(self):
        return len(self._bounds())

    def __iter__(self):
        order, bounds = self._order(), self._bounds()
        per_block = max(1, BLOCK // (self.batch_size * max(1, int(np.prod(self.dataset.X.shape[1:])))))
        for first in range(0, len(bounds), per_block):  # one indexing operation for many batches, which are then views
            block = bounds[first : first + per_block]
            start, stop = block[0][0], block[-1][1]
            rows = self._slice(start, stop) if order is None else Rows(*self.dataset.take(order[start:stop]))
            for a, b in block:
                yield rows.X[a - start : b - start], {name: v[a - start : b - start] for name, v in rows.y.items()}

    def _bounds(self):
        # a last batch of a single row would have no spread: it joins the one before
        n = len(self.dataset)
        starts = list(range(0, n, self.batch_size))
        if len(starts) > 1 and n - starts[-1] == 1:
            starts.pop()
        return list(zip(starts, [*starts[1:], n]))

    def _order(self):
        n = len(self.dataset)
        if self.sampling_weights is not None:
            order = _draw(self.sampling_weights, n, self.generator)
        elif self.shuffle:
            order = torch.from_numpy(self.generator.permutation(n))
        else:
            return None
        return order.to(self.dataset.device)

    def _slice(self, start, stop):
        if sp.issparse(self.dataset.X):
            return Rows(*self.dataset.take(torch.arange(start, stop)))
        return Rows(self.dataset.X[start:stop], {name: value[start:stop] for name, value in self.dataset.y.items()})


def _draw(weights, n, generator):
    """n draws with replacement; torch.multinomial takes no more than 2^24 categories."""
    cumulated = np.cumsum(torch.as_tensor(weights).cpu().numpy(), dtype=np.float64)
    drawn = np.searchsorted(cumulated, generator.random(n) * cumulated[-1], side="right")
    return torch.from_numpy(np.minimum(drawn, len(cumulated) - 1))


def make_rows(X, rows, device):
    """Rows on the device: X as float32 (a sparse one as it is), codes as int64, weights as float32."""
    if not sp.issparse(X):
        X = torch.from_numpy(X if X.flags.writeable else X.copy()).to(device)
    kinds = {name: np.float32 if value.dtype.kind == "f" else np.int64 for name, value in rows.items()}
    return Rows(X, {name: torch.from_numpy(value.astype(kinds[name])).to(device) for name, value in rows.items()})


def split_rows(strata, fraction, generator):
    """Positions of the training and of the validation rows, stratified.

    Each stratum of at least two rows gives a share of ``fraction`` of its rows, rounded, but at least one.

    Parameters
    ----------
    strata : int64 array of shape (n,)
    fraction : float in (0, 1)
    generator : numpy.random.Generator

    Returns
    -------
    train, valid : int64 arrays, sorted
    """
    valid = []
    for value in np.unique(strata):
        rows = generator.permutation(np.flatnonzero(strata == value))
        n_valid = min(max(1, round(fraction * len(rows))), len(rows) - 1)
        valid.append(rows[:n_valid])
    valid = np.sort(np.concatenate(valid))
    return np.setdiff1d(np.arange(len(strata)), valid), valid


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
    frame = _to_pandas(sensitive_features)
    if n_rows is not None and len(frame) != n_rows:
        raise ValueError(f"sensitive_features has {len(frame)} rows, but X has {n_rows}.")
    if frame.shape[1] == 0:
        raise ValueError("sensitive_features has no columns, expected at least one.")
    frame.columns = [str(name) for name in frame.columns]
    return frame.reset_index(drop=True)


def _to_pandas(data):
    if isinstance(data, pd.DataFrame):
        return data.copy(deep=False)
    if isinstance(data, pd.Series):
        return data.to_frame(data.name if data.name is not None else "sensitive_feature")
    native = nw.from_native(data, pass_through=True, allow_series=True)
    if isinstance(native, nw.Series):
        return pd.DataFrame({native.name or "sensitive_feature": native.to_list()})
    if isinstance(native, nw.DataFrame):
        return pd.DataFrame(native.to_dict(as_series=False))
    if isinstance(data, dict):
        return pd.DataFrame(data)
    array = np.asarray(data, dtype=None if isinstance(data, np.ndarray) else object)
    if array.ndim not in (1, 2):
        raise ValueError(f"sensitive_features must have one or two axes, got an array of shape {array.shape}.")
    if array.ndim == 1:
        return pd.DataFrame({"sensitive_feature": array})
    return pd.DataFrame({f"sensitive_feature_{i}": column for i, column in enumerate(array.T)})


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
        values = pd.unique(column[~missing]).tolist()
        if pd.api.types.is_float_dtype(column.dtype) and len(values) > TOO_MANY_VALUES:
            warnings.warn(
                f"sensitive feature {column.name!r} is a float column with {len(values)} distinct values, each of which "
                "becomes a group. Cut it into intervals first, for example with pandas.cut.",
                UserWarning,
                stacklevel=2,
            )
        try:
            values = sorted(values)
        except TypeError:  # values of several types
            values = sorted(values, key=lambda v: (type(v).__name__, str(v)))
        return [*values, MISSING] if missing.any() else values

    def _codes(self, frame):
        columns = []
        for name, categories in zip(self.names_, self.categories_):
            lookup = {value: code for code, value in enumerate(categories)}
            values = frame[name].astype(object).where(~frame[name].isna(), MISSING)
            codes = values.map(lambda v, lookup=lookup: lookup.get(v, -1))
            columns.append(self._check_known(codes.to_numpy(np.int64), values, name, categories))
        return np.stack(columns, axis=1)

    def _check_known(self, codes, values, name, categories):
        if (codes < 0).any():
            unseen = sorted({str(v) for v in values[codes < 0]})
            raise ValueError(f"unseen group in sensitive feature {name!r}: {unseen}; at fit there were {categories}.")
        return codes
