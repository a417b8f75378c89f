from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from skfair.base import check_choice, check_number
from skfair.functional import standardize
from skfair.inspection._attention_gaps import EPS, group_moments, statistics_of
from skfair.inspection._group_scores import _import_pyplot
from skfair.inspection._latent_pairs import _short
from skfair.inspection._opened_layer import OpenedLayer, read_groups

__all__ = ["QueryKeyDisplay"]

FORMS = ("raw", "standardised", "absolute")


class Place(NamedTuple):
    """A channel of the classification token's query, and of the key at a position."""

    head: int
    position: int
    channel: int


class QueryKeyDisplay:
    r"""One channel of the classification token's query and of one position's key, by group: Figure 3 of debiased attention.

    Three columns show it as the layer projects it, standardised over these rows (:math:`\hat q`), and as the debiased layer
    compares it (:math:`|\hat q|`). It is best made with :meth:`from_estimator`.

    Parameters
    ----------
    values : dict of ("query" or "key", "raw", "standardised" or "absolute") to dict of group to array
        Of the rows that have the token.
    name : str
        What is shown: the key's position, the head and the channel.

    Attributes
    ----------
    means : DataFrame
        Mean of each group (columns) for each of the six panels, and ``gap``, the largest difference between two of them.
    ax_ : array of matplotlib.axes.Axes of shape (2, 3)
    figure_ : matplotlib.figure.Figure

    References
    ----------
    Lu, Wang, Wang, "Debiasing attention mechanism in transformer without demographics", ICLR 2024, Figure 3.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.inspection import QueryKeyDisplay
    >>> from skfair.modules import FTTransformer
    >>> from skfair.robust import ERMClassifier
    >>> data = make_biased_classification(300, random_state=0)
    >>> small = dict(module=FTTransformer, module__d_model=16, module__n_layers=2, module__n_heads=4)
    >>> net = ERMClassifier(**small, max_epochs=1, random_state=0).fit(data.data, data.target)
    >>> display = QueryKeyDisplay.from_estimator(
    ...     net, data.data, sensitive_features=data.sensitive_features, position="proxy_0"
    ... )
    >>> display.means.columns.tolist()
    ['group_0', 'group_1', 'gap']
    """

    def __init__(self, values, name=""):
        self.values = values
        self.name = name

    @property
    def means(self):
        found = pd.DataFrame(
            {part: {group: own.mean() for group, own in by.items()} for part, by in self.values.items()}
        ).T
        return found.assign(gap=found.max(axis=1) - found.min(axis=1))

    @classmethod
    def from_estimator(
        cls, estimator, X, *, sensitive_features, layer=-1, head=None, position=None, channel=None, choose="largest",
        random_state=None, bins=40, ax=None,
    ):  # fmt: skip
        """Plot the query and the key of a fitted transformer.

        Parameters
        ----------
        estimator : fitted classifier of skfair, Pipeline that ends with one, or torch module
            Its network is a transformer of :mod:`skfair.modules`.
        X : array-like of shape (n, ...), or sequence of str
        sensitive_features : array-like, Series or DataFrame of shape (n,) or (n, k)
            Several columns are taken jointly.
        layer : int, default=-1
        head : int, optional
        position : int or str, optional
            Position of the key, or its name as in :func:`attention_weights`.
        channel : int, optional
        choose : {"largest", "random"}, default="largest"
            How what is not given of these three is chosen: so that the gaps between the groups' means, in standard
            deviations, of query and key together are largest; or by chance, as in the paper. The first shows the worst
            case, the second a usual one. The classification token's own key is shown only if asked for.
        random_state : int, numpy generator or None, default=None
            For "random".
        bins : int, default=40
            Of the histograms.
        ax : array of matplotlib.axes.Axes of shape (2, 3), optional

        Returns
        -------
        QueryKeyDisplay

        Raises
        ------
        ValueError
            If the network has no attention, there is only one group, lengths differ, or there is no such head, channel or
            position.
        """
        check_choice("choose", choose, {"largest", "random"})
        check_number("bins", bins, low=1, integer=True)
        opened = OpenedLayer(estimator, X, layer)
        groups, names = read_groups(sensitive_features, len(opened), least=2)
        moments = group_moments(opened, groups)
        gaps = _allowed(_gaps(moments), opened.positions, head, position, channel)
        place = _place(gaps, choose, random_state)
        values = _values(opened, groups, names, place, statistics_of(opened, moments))
        name = f"head {place.head}, channel {place.channel}, key of {opened.positions[place.position]}"
        return cls(values, name).plot(bins=bins, ax=ax)

    def plot(self, *, bins=40, ax=None):
        """Draw the histograms; see :meth:`from_estimator`."""
        plt = _import_pyplot()
        if ax is None:
            _, ax = plt.subplots(2, 3, figsize=(10.5, 5.4), layout="constrained")
        self.ax_ = np.asarray(ax, dtype=object).reshape(2, 3)
        self.figure_ = self.ax_[0, 0].figure
        gaps, means = self.means["gap"], self.means.drop(columns="gap")
        for panel, (part, by_group) in zip(self.ax_.ravel(), self.values.items()):
            everything = np.concatenate(list(by_group.values()))
            edges = np.histogram_bin_edges(everything, bins)
            for i, (group, own) in enumerate(by_group.items()):
                label = f"{_short(group, 20)}: {means.loc[part, group]:.2f}"
                panel.hist(own, edges, density=True, color=f"C{i}", alpha=0.4)
                panel.hist(own, edges, density=True, color=f"C{i}", histtype="step", linewidth=1.2)
                panel.axvline(means.loc[part, group], 0, 0.68, color=f"C{i}", linestyle="--", linewidth=1, label=label)
            panel.set_ylim(0, 1.45 * panel.get_ylim()[1])  # room for the legend
            panel.legend(loc="upper left", title=f"gap {gaps[part]:.2f}", fontsize=8, title_fontsize=8, frameon=False)
            panel.set(yticks=[])
            panel.spines[["top", "right", "left"]].set_visible(False)
        for panel, form in zip(self.ax_[0], FORMS):
            panel.set_title(form if form != "absolute" else "standardised, absolute", fontsize=10)
        for panel, label in zip(self.ax_[:, 0], ("query of [CLS]", "key")):
            panel.set_ylabel(label)
        if self.name:
            self.figure_.suptitle(self.name, fontsize=10)
        return self


def _gaps(moments):
    """Largest standardised gap between two groups' means, of query and key together, (H, N, c); NaN where a group lacks."""
    found = []
    for name in ("query", "key"):
        means = torch.stack([moments.of(name, [g])[1] for g in range(len(moments.count))])
        spread = moments.of(name)[2]
        gap = (means.amax(0) - means.amin(0)) / torch.where(spread > EPS, spread, torch.inf)
        found.append(gap)
    missing = (moments.count == 0).any(0)  # (1, N, 1)
    return torch.where(missing, torch.nan, found[0][:, :1] + found[1]).cpu().numpy()


def _allowed(gaps, positions, head, position, channel):
    """The gaps, NaN where the user's choice forbids."""
    if isinstance(position, str):
        if position not in positions:
            raise ValueError(f"position must be one of {positions}, got {position!r}.")
        position = positions.index(position)
    kept = np.ones(gaps.shape, dtype=bool)
    for axis, (name, value) in enumerate({"head": head, "position": position, "channel": channel}.items()):
        if value is not None:
            check_number(name, value, low=-gaps.shape[axis], high=gaps.shape[axis] - 1, integer=True)
            chosen = np.zeros(gaps.shape[axis], dtype=bool)
            chosen[value] = True
            kept &= np.expand_dims(chosen, [other for other in range(3) if other != axis])
    if position is None:
        kept[:, 0] = False
    gaps = np.where(kept, gaps, np.nan)
    if np.isnan(gaps).all():
        raise ValueError(f"position={position!r} cannot be shown: some group has no row with a token there.")
    return gaps


def _place(gaps, choose, random_state):
    flat = np.flatnonzero(~np.isnan(gaps))
    rng = random_state if isinstance(random_state, np.random.Generator) else np.random.default_rng(random_state)
    chosen = np.nanargmax(gaps) if choose == "largest" else rng.choice(flat)
    return Place(*(int(i) for i in np.unravel_index(chosen, gaps.shape)))


def _values(opened, groups, names, place, statistics):
    """One channel of query and key, in three forms, by group."""
    found, there = {"query": [], "key": []}, []
    for heads, mask, _ in opened.heads(raw=True):
        for name, position in (("query", 0), ("key", place.position)):
            found[name].append(getattr(heads, name)[:, place.head, position, place.channel].double())
        all_there = torch.ones(len(heads.key), dtype=torch.bool, device=heads.key.device)
        there.append(all_there if mask is None else mask[:, place.position])
    there, values = torch.cat(there).cpu().numpy(), {}
    for (name, parts), (mean, std), position in zip(found.items(), statistics, (0, place.position)):
        raw = torch.cat(parts)
        hat = standardize(raw, *(own[place.head, position, place.channel] for own in (mean, std)), EPS)
        kept = there if name == "key" else np.ones(len(there), dtype=bool)
        for form, numbers in zip(FORMS, (raw, hat, hat.abs())):
            own = numbers.cpu().numpy()
            values[name, form] = {group: own[kept & (groups == g)] for g, group in enumerate(names)}
    return values
