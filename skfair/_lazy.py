"""Rows that stay where they are, in a mapped file or a torch Dataset, and are read batch by batch as float32."""

import math
import mmap
from functools import cached_property

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, Subset

__all__ = ["LazyRows", "as_lazy", "is_dataset", "is_lazy", "refuse_dataset", "subset_of"]

CHUNK = 2**22  # values that are read at once where all rows are gone through


class LazyRows:
    """The rows of ``source`` at the positions ``index`` (None: all); of an array what a net needs of one, and no more.

    A kind of source says how some rows are read (``read``: int64 positions in the source to a float32 tensor).
    """

    dtype = np.dtype(np.float32)

    def __init__(self, source, row_shape, index=None, checked=False):
        self.source, self.row_shape, self.index = source, tuple(row_shape), index
        self.checked = checked  # whether NaN and infinity have been looked for, or will be in each batch

    def __len__(self):
        return len(self.source) if self.index is None else len(self.index)

    @property
    def shape(self):
        return (len(self), *self.row_shape)

    @property
    def ndim(self):
        return 1 + len(self.row_shape)

    def __getitem__(self, rows):
        """Some of the rows (a slice, positions, or truth values), not read yet."""
        index = np.arange(len(self)) if self.index is None else self.index
        return type(self)(self.source, self.row_shape, index[rows], self.checked)

    def take(self, rows):
        """The rows of an int64 array of positions, a float32 tensor."""
        return self.read(rows if self.index is None else self.index[rows])

    def read(self, positions):
        raise NotImplementedError

    def chunks(self):
        """All rows, some after the others, as float32 arrays that are not to be changed."""
        step = max(1, CHUNK // max(1, math.prod(self.row_shape)))
        for start in range(0, len(self), step):
            yield self.take(np.arange(start, min(start + step, len(self)))).numpy()

    def toarray(self):
        """All rows in memory."""
        return np.concatenate(list(self.chunks()))

    @cached_property
    def _ends(self):
        low, high = np.inf, -np.inf
        for part in self.chunks():
            low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
        return np.asarray(low, self.dtype), np.asarray(high, self.dtype)

    def min(self, axis=None):
        """The least value of each column (axis 0), or of all."""
        return self._ends[0] if axis == 0 else self._ends[0].min()

    def max(self, axis=None):
        return self._ends[1] if axis == 0 else self._ends[1].max()


class MappedRows(LazyRows):
    """Of an array whose values lie in a file."""

    def read(self, positions):
        return torch.from_numpy(np.require(self.source[positions], dtype=self.dtype, requirements=["C", "W"]))

    def chunks(self):
        if self.index is not None:
            yield from super().chunks()
            return
        step = max(1, CHUNK // max(1, math.prod(self.row_shape)))
        for start in range(0, len(self), step):  # slices: float32 is not even copied
            yield np.asarray(self.source[start : start + step], dtype=self.dtype)

    def toarray(self):
        rows = self.source if self.index is None else self.source[self.index]
        return np.asarray(rows, dtype=self.dtype)

    given = toarray


class DatasetRows(LazyRows):
    """Of a Dataset, whose items are a row's features, or begin with them."""

    def read(self, positions):
        rows = []
        for row in positions.tolist():
            rows.append(_features(self.source[row], row))
            if rows[-1].shape != self.row_shape:
                found, first = tuple(rows[-1].shape), self.row_shape
                raise ValueError(f"row {row} of X has the shape {found}, but the first one has {first}.")
        x = torch.stack(rows).float() if rows else torch.empty(0, *self.row_shape)
        bad = (~torch.isfinite(x)).flatten(1).any(1)
        if bad.any():
            row = int(positions[int(bad.nonzero()[0])])
            raise ValueError(f"row {row} of X contains NaN, infinity or a value too large for float32.")
        return x

    def given(self):
        """The rows in the user's own kind of container."""
        return self.source if self.index is None else Subset(self.source, self.index.tolist())


def _features(item, row):
    """The features of an item, a tensor on the CPU."""
    x = item[0] if isinstance(item, tuple | list) and len(item) else item
    if isinstance(x, torch.Tensor) and not x.is_complex():
        return x.detach().cpu()
    if isinstance(x, np.ndarray) and x.dtype.kind in "fiub":
        return torch.from_numpy(np.array(x))
    raise TypeError(
        f"item {row} of X, a Dataset, has features of type {type(x).__name__}: a tensor or an array of numbers is expected, "
        "alone or as the first entry of a tuple."
    )


def _rows_of(dataset):
    """DatasetRows, the shape of a row taken from item 0."""
    name = type(dataset).__name__
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise TypeError(
            f"X is {name}, an iterable Dataset: rows are drawn in any order and several times, so X must be a map-style "
            "torch.utils.data.Dataset, with __len__ and __getitem__."
        )
    if len(dataset) == 0:
        raise ValueError(f"X is {name}, a Dataset with 0 sample(s), while a minimum of 1 is required.")
    return DatasetRows(dataset, _features(dataset[0], 0).shape, checked=True)


def _in_a_file(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


def as_lazy(X):
    """X as LazyRows, if it is a Dataset or a memory-mapped array of numbers with columns; X itself otherwise.

    Raises
    ------
    TypeError
        If it is a Dataset of which a row cannot be asked for, or whose first item holds no numbers.
    """
    if is_dataset(X):
        return _rows_of(X)
    if isinstance(X, np.ndarray) and X.ndim > 1 and X.dtype.kind in "fiub" and _in_a_file(X):
        return MappedRows(np.asarray(X), X.shape[1:], checked=X.dtype.kind in "iub")
    return X


def is_lazy(X):
    """Whether X is LazyRows."""
    return isinstance(X, LazyRows)


def is_dataset(X):
    """Whether X is a torch Dataset."""
    return isinstance(X, Dataset)


def subset_of(dataset, index):
    """Some of the items of a Dataset, as one."""
    return Subset(dataset, np.arange(len(dataset))[index].tolist())


def refuse_dataset(X, name, what="needs all rows as one array"):
    """Raise a TypeError if X is a torch Dataset, or the rows of one."""
    if is_dataset(X) or isinstance(X, DatasetRows):
        kind = type(X.source if is_lazy(X) else X).__name__
        raise TypeError(f"{name} {what}, but X is a torch Dataset ({kind}): give it an array.")
