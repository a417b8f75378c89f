"""The batches of a stack: for each model its own rows in its own order, gathered together."""

import math
from numbers import Real

import torch

from skfair.base._net import BaseNet

__all__ = ["StackLoader", "signature"]

BLOCK = 2**20  # values of X that are gathered at once


def signature(member, tensors):
    """What members must have in common to be stacked."""
    net, bounds = member.net, member.loader.bounds()
    # a member that has fewer steps than the others would have to wait; few steps: then their sizes count as well
    steps = len(bounds) if len(bounds) > 8 else tuple(stop - start for start, stop in bounds)
    shapes = tuple((name, tuple(t.shape), t.dtype, t.requires_grad) for name, t in tensors.items())
    groups = None if net.groups_ is None else tuple(net.groups_)
    classes, watched = tuple(getattr(net, "classes_", ())), member.valid is not None
    return steps, shapes, tuple(net.input_shape_), groups, classes, watched, _shared_values(member)


def _shared_values(member):
    """What an objective may read and a stack cannot hold for each of its models: it has to be the same for all."""
    net = member.net
    given = {name: getattr(net, name) for name in net.stacks_over}
    words = tuple(repr(value) for value in given.values() if isinstance(value, bool) or not isinstance(value, Real))
    own = net.input_stages
    kept = {name: v for name, v in member.prepared.items() if not isinstance(v, BaseNet) and name not in own}
    plain = (str, int, float, bool, tuple, type(None))
    return words, tuple((name, value if isinstance(value, plain) else id(value)) for name, value in kept.items())


class StackLoader:
    """Iterate over the steps of an epoch: a list of (models, x, rows) per step, and the sizes of the batches.

    The list has one entry where all models' batches have the same size (``models`` is then None). x has the shape
    (n_models, batch, ...), each row tensor (n_models, batch, ...).
    """

    def __init__(self, stack):
        self.stack = stack

    def __iter__(self):
        loaders = [member.loader for member in self.stack.members_]
        orders = [_positions(loader) for loader in loaders]
        draws = [_draws(member.net, len(order)) for member, order in zip(self.stack.members_, orders)]
        bounds = [loader.bounds() for loader in loaders]
        sizes = torch.tensor([[stop - start for start, stop in own] for own in bounds]).T  # (steps, models)
        sets = [loader.dataset for loader in loaders]
        t, n_steps = 0, len(sizes)
        even = (sizes == sizes[0, 0]).all(1)
        while t < n_steps:
            if not even[t]:
                yield _by_size(sets, orders, draws, [own[t] for own in bounds]), sizes[t]
                t += 1
                continue
            n = self._block(sets[0].X, sizes[0], even, t)
            yield from zip(_block_of(sets, orders, draws, bounds[0][t][0], int(sizes[0, 0]), n), sizes[t : t + n])
            t += n

    @staticmethod
    def _block(X, sizes, even, t):
        """Number of steps, from t on, that are gathered at once."""
        values = len(sizes) * int(sizes[0]) * max(1, math.prod(X.shape[1:]))
        uneven = (~even[t:]).nonzero()
        ahead = int(uneven[0]) if len(uneven) else len(even) - t
        return min(ahead, max(1, BLOCK // values))


def _positions(loader):
    order = loader.order()
    return torch.arange(len(loader.dataset), device=loader.dataset.device) if order is None else order


def _draws(net, n):
    """The random numbers of an epoch, a row for each in its order; the same as drawn step by step."""
    return {name: net.drawn(name, n) for name in net.draws()}


def _with_draws(rows, draws, bounds):
    names = draws[0]
    return {**rows, **{name: torch.stack([own[name][a:b] for own, (a, b) in zip(draws, bounds)]) for name in names}}


def _block_of(sets, orders, draws, start, size, n_steps):
    """The parts of several steps of equal batches, as views of one block."""
    bounds = [(start, start + n_steps * size)] * len(orders)
    x, rows = _gather(sets, [order[slice(*own)] for order, own in zip(orders, bounds)])
    rows = _with_draws(rows, draws, bounds)
    for step in range(n_steps):
        here = slice(step * size, (step + 1) * size)
        yield [(None, x[:, here], {name: value[:, here] for name, value in rows.items()})]


def _by_size(sets, orders, draws, bounds):
    """The parts of a step in which the models' batches differ in size."""
    by_size, parts = {}, []
    for k, (start, stop) in enumerate(bounds):
        by_size.setdefault(stop - start, []).append(k)
    for found in by_size.values():
        x, rows = _gather([sets[k] for k in found], [orders[k][slice(*bounds[k])] for k in found])
        parts.append((found, x, _with_draws(rows, [draws[k] for k in found], [bounds[k] for k in found])))
    return parts


def _gather(sets, indexes):
    """x (n_models, m, ...) and the row tensors, for models that stand side by side if they have the same rows."""
    parts, first = [], 0
    for k in range(1, len(sets) + 1):
        if k == len(sets) or sets[k] is not sets[first]:
            parts.append(_take(sets[first], torch.stack(indexes[first:k])))
            first = k
    if len(parts) == 1:
        return parts[0]
    return torch.cat([x for x, _ in parts]), {
        name: torch.cat([rows[name] for _, rows in parts]) for name in parts[0][1]
    }


def _take(data, index):
    """The rows of a matrix of positions (models, m)."""
    flat = index.reshape(-1)
    if not isinstance(data.X, torch.Tensor):
        x, rows = data.take(flat)
    else:
        x = data.X.index_select(0, flat).float()
        rows = {name: value.index_select(0, flat) for name, value in data.y.items()}
    shape = index.shape
    return x.view(*shape, *x.shape[1:]), {name: value.view(*shape, *value.shape[1:]) for name, value in rows.items()}
