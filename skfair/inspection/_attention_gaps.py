"""Theorem 1 of debiased attention, checked on a fitted network: how far apart the groups' mean scores are."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from skfair.base import check_choice
from skfair.functional import attention_gap_bound, folded_normal_mean, standardize
from skfair.inspection._opened_layer import ROW_OF, OpenedLayer, present, read_groups

__all__ = ["attention_gaps", "group_moments", "statistics_of"]

EPS = 1e-5


def attention_gaps(estimator, X, *, sensitive_features, layer=-1, query="cls", statistics="given"):
    r"""Measure how far apart two groups' mean attention scores are, as the layer is and debiased, beside Theorem 1.

    For each head h, query position r and key position n

    .. math::
        \text{plain} = \big|E[s \mid a=0] - E[s \mid a=1]\big|, \quad s = \frac{q_r^\top k_n}{\sqrt{d_h}}, \qquad
        \text{debiased}: \; s = \frac{|\hat q_r|^\top |\hat k_n|}{\sqrt{d_h}}

    before the softmax, both from the same projections q and k of the layer, whatever it does with them, and at
    temperature 1.

    Parameters
    ----------
    estimator, X
        As in :func:`attention_weights`.
    sensitive_features : array-like, Series or DataFrame of shape (n,) or (n, k)
        Several columns are taken jointly. Of more than two groups each is compared with all other rows.
    layer, query
        As in :func:`attention_weights`.
    statistics : {"given", "running"}, default="given"
        What q and k are standardised by: mean and standard deviation of these rows, for which the bounds are true; or what a
        debiased layer has kept of its training set and predicts with, for which they are true only as far as these rows
        are like those.

    Returns
    -------
    DataFrame
        A row for each comparison, head, query and key; pairs of tokens that no row of a group has are left out.

        - ``group`` (compared with the other, or with the rest), ``head``, ``query`` and ``key`` (names of the positions),
          ``share`` of the group among the rows that have both tokens;
        - ``plain`` and ``debiased``, the measured gaps, each followed by the standard deviation of those scores over all
          rows, ``plain_std`` and ``debiased_std``: plain scores are as large as the weights make them;
        - ``predicted``, the debiased gap that :func:`skfair.functional.folded_normal_mean` gives for the groups' means and
          deviations in these rows;
        - ``bound``, that of Theorem 1, and ``free_bound``, the smaller one that needs no assumption (see
          :func:`skfair.functional.attention_gap_bound`);
        - ``within_bound`` and ``within_free_bound``, whether the debiased gap is not larger: their means say for how many.

    Raises
    ------
    ValueError
        If the network has no attention, there is only one group, lengths differ, or the layer keeps no statistics.

    Notes
    -----
    The prediction is

    .. math:: \frac{1}{\sqrt{d_h}} \Big|\sum_c E[|\hat q_c| \mid 0]\, E[|\hat k_c| \mid 0]
        - E[|\hat q_c| \mid 1]\, E[|\hat k_c| \mid 1]\Big|

    It is right if q and k are normally distributed within each group, and independent there. Where it is off, the assumption
    is. With padding, ``free_bound`` is :math:`\sqrt{d_h m_q m_k}` over the rows of the smaller group that have both
    tokens, for the numbers of rows m that q and k are standardised over.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.inspection import attention_gaps
    >>> from skfair.modules import FTTransformer
    >>> from skfair.robust import ERMClassifier
    >>> data = make_biased_classification(300, random_state=0)
    >>> small = dict(module=FTTransformer, module__d_model=16, module__n_layers=2, module__n_heads=4)
    >>> net = ERMClassifier(**small, max_epochs=1, random_state=0).fit(data.data, data.target)
    >>> found = attention_gaps(net, data.data, sensitive_features=data.sensitive_features)
    >>> len(found), bool(found["within_free_bound"].all())
    (44, True)
    """
    check_choice("query", query, ROW_OF)
    opened = OpenedLayer(estimator, X, layer)
    groups, names = read_groups(sensitive_features, len(opened), least=2)
    moments = group_moments(opened, groups)
    sums = _score_sums(opened, groups, statistics_of(opened, moments, statistics), ROW_OF[query])
    compared = names[:1] if len(names) == 2 else names
    frames = {name: _compare(opened, g, moments, sums, ROW_OF[query]) for g, name in enumerate(compared)}
    return pd.concat(frames, names=["group"]).reset_index(level="group").reset_index(drop=True)


class Moments(NamedTuple):
    """Numbers of rows, sums and sums of squares, by group, of queries and keys."""

    count: torch.Tensor  # (G, 1, N, 1)
    query: torch.Tensor  # (2, G, H, N, c)
    key: torch.Tensor

    def of(self, name, groups=slice(None)):
        """Number of rows, mean and standard deviation (divided by the number of rows) of some groups together."""
        count = self.count[groups].sum(0)
        total, square = getattr(self, name)[:, groups].sum(1) / count.clamp_min(1)
        return count, total, (square - total**2).clamp_min(0).sqrt()


def group_moments(opened, groups):
    """Moments of a layer's queries and keys, as they are before anything is done to them."""
    found = None
    for heads, mask, rows in opened.heads(raw=True):
        member = _member(groups, rows, heads.query)  # (b, G)
        valid = present(heads, mask).double()
        parts = [torch.einsum("bg,bn->gn", member, valid)[:, None, :, None]]
        for values in heads[:2]:
            shown = values.double() * valid[:, None, :, None]
            parts.append(torch.stack([torch.einsum("bg,bhnc->ghnc", member, shown**power) for power in (1, 2)]))
        found = parts if found is None else [old + new for old, new in zip(found, parts)]
    return Moments(*found)


def _member(groups, rows, like):
    own = torch.as_tensor(groups, device=like.device)
    return torch.nn.functional.one_hot(own, int(groups.max()) + 1)[rows].double()


def statistics_of(opened, moments, statistics="given"):
    """(mean, std) of the queries and of the keys, that they are standardised by."""
    check_choice("statistics", statistics, {"given", "running"})
    if statistics == "given":
        found = [moments.of(name) for name in ("query", "key")]
        return [(mean, std * (count / (count - 1).clamp_min(1)).sqrt()) for count, mean, std in found]
    if not hasattr(opened.attention, "query_mean"):
        raise ValueError(
            f"statistics='running' needs a debiased layer, got {type(opened.attention).__name__}: use 'given'."
        )
    layer = opened.attention
    return [(layer.query_mean.double(), layer.query_std.double()), (layer.key_mean.double(), layer.key_std.double())]


class ScoreSums(NamedTuple):
    """By group: the number of rows that have both tokens, sums and sums of squares of the scores."""

    count: torch.Tensor  # (G, 1, R, N)
    plain: torch.Tensor  # (2, G, H, R, N)
    debiased: torch.Tensor


def _score_sums(opened, groups, statistics, rows_of):
    total, eps = None, getattr(opened.attention, "eps", EPS)
    for heads, mask, rows in opened.heads(raw=True):
        member, valid = _member(groups, rows, heads.query), present(heads, mask).double()
        raw = [values.double() for values in heads[:2]]
        hat = [standardize(values, *own, eps).abs() for values, own in zip(raw, statistics)]
        both = valid[:, None, rows_of, None] * valid[:, None, None, :]  # (b, 1, R, N)
        parts = [torch.einsum("bg,bhrn->ghrn", member, both)]
        for query, key in (raw, hat):
            scores = query[:, :, rows_of] @ key.transpose(-1, -2) * key.shape[-1] ** -0.5 * both
            parts.append(torch.stack([torch.einsum("bg,bhrn->ghrn", member, scores**power) for power in (1, 2)]))
        total = parts if total is None else [old + new for old, new in zip(total, parts)]
    return ScoreSums(*total)


def _compare(opened, group, moments, sums, rows_of):
    """The rows of one comparison: this group and all others."""
    own, rest = [group], [g for g in range(len(moments.count)) if g != group]
    count = torch.stack([sums.count[part].sum(0) for part in (own, rest)])  # (2, 1, R, N)
    smaller, columns = count.min(0).values, {"share": count[0] / count.sum(0)}
    for name, (total, square) in (("plain", sums.plain), ("debiased", sums.debiased)):
        means = torch.stack([total[part].sum(0) for part in (own, rest)]) / count
        columns[name] = (means[0] - means[1]).abs()
        variance = square.sum(0) / count.sum(0) - (total.sum(0) / count.sum(0)) ** 2
        columns[f"{name}_std"] = variance.clamp_min(0).sqrt()
    query, key = (_folded(moments, name, own, rest) for name in ("query", "key"))  # (2, H, N, c)
    width, m = key.shape[-1], moments.count.sum(0)[0, :, 0]
    means = torch.einsum("ahrc,ahnc->ahrn", query[:, :, rows_of], key) / width**0.5
    columns["predicted"] = (means[0] - means[1]).abs()
    columns["free_bound"] = (width * m[rows_of, None] * m).sqrt() / smaller
    columns = {name: value.expand_as(columns["plain"]) for name, value in columns.items()}
    return _table(opened, columns, (smaller > 0).expand_as(columns["plain"]), width, rows_of)


def _folded(moments, kind, own, rest):
    """Expected absolute value of the standardised queries or keys in the group and in the rest."""
    (n0, mean0, std0), (n1, mean1, std1) = (moments.of(kind, part) for part in (own, rest))
    gap, share = mean0 - mean1, n0 / (n0 + n1).clamp_min(1)
    std0, std1 = std0.clamp_min(1e-30), std1.clamp_min(1e-30)
    found = torch.stack([folded_normal_mean(gap, std0, std1, share), folded_normal_mean(gap, std1, std0, 1 - share)])
    return torch.where(moments.of(kind)[2] > EPS, found, 0.0)


def _table(opened, columns, there, width, rows_of):
    n_heads = len(columns["plain"])
    places = [range(n_heads), opened.positions[rows_of], opened.positions]
    index = pd.MultiIndex.from_product(places, names=["head", "query", "key"])
    values = {name: value.cpu().numpy().ravel() for name, value in columns.items()}
    found = index.to_frame(index=False).assign(**values)[there.cpu().numpy().ravel()].reset_index(drop=True)
    shares, inverse = np.unique(found["share"], return_inverse=True)
    bounds = np.array([attention_gap_bound(width, float(share))[0] for share in shares])
    found.insert(found.columns.get_loc("free_bound"), "bound", bounds[inverse])
    slack = 1 + 1e-9  # rounding
    return found.assign(
        within_bound=found["debiased"] <= slack * found["bound"],
        within_free_bound=found["debiased"] <= slack * found["free_bound"],
    )
