"""The way of the data into the network: tensors for the rows, and minibatches of them."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from skfair._lazy import is_lazy

__all__ = ["Batch", "BatchLoader", "Rows", "make_rows", "split_rows"]

BLOCK = 2**20  # values of X that are gathered at once


class Batch(NamedTuple):
    """The rows of a minibatch, on the device."""

    x: torch.Tensor  # (n, ...) float32
    y: torch.Tensor  # (n,) int64, class codes; None for a transformer without labels
    sensitive: torch.Tensor  # (n, k) int64, codes per sensitive column; -1 where no group is known
    group: torch.Tensor  # (n,) int64, code of the combination of all columns; -1 where none is known
    weight: torch.Tensor  # (n,) float32, mean 1 over the training set
    index: torch.Tensor  # (n,) int64, row in the training set
    draw: torch.Tensor = None  # (n, m) float32, uniform random numbers of this step, for methods that ask for some
    adversary_draw: torch.Tensor = None  # the same for the adversary, from a stream of its own
    extra: torch.Tensor = None  # (n, m) float32, what a method keeps of each row

    def repeated(self, times):
        """The batch with each row so many times, one after the other; in a stack of nets, for each of them."""
        axis = self.index.ndim - 1
        return Batch(*(None if value is None else value.repeat_interleave(times, axis) for value in self))


class Rows(torch.utils.data.Dataset):
    """The rows of a data set as tensors: X and a dict of what belongs to each row (``Batch`` without x).

    A sparse X stays sparse, uint8 stays uint8, and LazyRows are not read; each minibatch is dense and float32.
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
        if isinstance(self.X, torch.Tensor):
            return self.X[index].float(), y
        rows = index.cpu().numpy()
        x = self.X.take(rows) if is_lazy(self.X) else torch.from_numpy(self.X[rows].toarray())
        return x.to(index.device), y

    def subset(self, index):
        """A data set of some of the rows."""
        y = {name: value[index] for name, value in self.y.items()}
        return Rows(self.X[index if isinstance(self.X, torch.Tensor) else index.cpu().numpy()], y)

    @property
    def device(self):
        return self.X.device if isinstance(self.X, torch.Tensor) else torch.device("cpu")


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
        return len(self.bounds())

    def __iter__(self):
        order, bounds = self.order(), self.bounds()
        per_block = max(1, BLOCK // (self.batch_size * max(1, int(np.prod(self.dataset.X.shape[1:])))))
        for first in range(0, len(bounds), per_block):  # one indexing operation for many batches, which are then views
            block = bounds[first : first + per_block]
            start, stop = block[0][0], block[-1][1]
            rows = self._slice(start, stop) if order is None else Rows(*self.dataset.take(order[start:stop]))
            for a, b in block:
                yield rows.X[a - start : b - start], {name: v[a - start : b - start] for name, v in rows.y.items()}

    def bounds(self):
        """First and last row of each minibatch, in the order of the epoch."""
        # a last batch of a single row would have no spread: it joins the one before
        n = len(self.dataset)
        starts = list(range(0, n, self.batch_size))
        if len(starts) > 1 and n - starts[-1] == 1:
            starts.pop()
        return list(zip(starts, [*starts[1:], n]))

    def order(self):
        """The rows of the next epoch, in their order; None if each comes once and as it stands."""
        n = len(self.dataset)
        if self.sampling_weights is not None:
            order = _draw(self.sampling_weights, n, self.generator)
        elif self.shuffle:
            order = torch.from_numpy(self.generator.permutation(n))
        else:
            return None
        return order.to(self.dataset.device)

    def _slice(self, start, stop):
        if not isinstance(self.dataset.X, torch.Tensor):
            return Rows(*self.dataset.take(torch.arange(start, stop)))
        return Rows(
            self.dataset.X[start:stop].float(), {name: value[start:stop] for name, value in self.dataset.y.items()}
        )


def _draw(weights, n, generator):
    """n draws with replacement; torch.multinomial takes no more than 2^24 categories."""
    cumulated = np.cumsum(torch.as_tensor(weights).cpu().numpy(), dtype=np.float64)
    drawn = np.searchsorted(cumulated, generator.random(n) * cumulated[-1], side="right")
    return torch.from_numpy(np.minimum(drawn, len(cumulated) - 1))


def make_rows(X, rows, device):
    """Rows on the device: X as float32 (uint8 and a sparse one as they are), codes as int64, weights as float32.

    LazyRows stay where they are, and all that belongs to them on the CPU, where processes that load batches can read it.
    """
    if is_lazy(X):
        device = "cpu"
    elif not sp.issparse(X):
        # by rows: to gather the rows of a matrix that lies in columns, as pandas gives it, takes many times as long
        kind = np.uint8 if X.dtype == np.uint8 else np.float32
        X = torch.from_numpy(np.require(X, dtype=kind, requirements=["C", "W"])).to(device)
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
