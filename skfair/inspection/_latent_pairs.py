import numpy as np
import scipy.sparse as sp

from skfair.inspection._group_scores import _import_pyplot

__all__ = ["LatentMarginsDisplay", "LatentPairsDisplay"]


def _codes(sampler, X, n, random_state):
    """Codes of the first rows of X, or of the prior."""
    sampler.check_fitted()
    if X is None:
        return sampler.generator_.sample(n, random_state), None
    if not hasattr(sampler.generator_, "encode"):
        raise ValueError(f"X cannot be shown: {type(sampler.generator_).__name__} has no encode. Leave X out.")
    rows = X.toarray() if sp.issparse(X) else np.asarray(X, dtype=np.float64)
    named = sampler.named_for(sampler.generator_, rows[:n])
    return np.asarray(sampler.generator_.encode(named), dtype=np.float64), rows[:n]


class LatentPairsDisplay:
    """Rows and their partners, side by side: images above each other, rows of a table line by line.

    It is best made with :meth:`from_sampler`.

    Parameters
    ----------
    original, partner : arrays of shape (n, ...)
    feature_names : sequence of str, optional

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from skfair.augmentation import LatentDebiasingSampler, PCAGenerator
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.inspection import LatentPairsDisplay
    >>> data = make_biased_classification(300, random_state=0)
    >>> sampler = LatentDebiasingSampler(PCAGenerator(), source="inversion", random_state=0)
    >>> sampler = sampler.fit(data.data, data.target, sensitive_features=data.sensitive_features)
    >>> display = LatentPairsDisplay.from_sampler(sampler, data.data, n_pairs=3)
    >>> display.partner.shape
    (3, 10)
    """

    def __init__(self, original, partner, feature_names=None):
        self.original = original
        self.partner = partner
        self.feature_names = feature_names

    @classmethod
    def from_sampler(cls, sampler, X=None, *, n_pairs=8, n_columns=8, flip=None, random_state=0, ax=None):
        """Plot pairs that a sampler makes.

        Parameters
        ----------
        sampler : LatentDebiasingSampler
            Fitted.
        X : array-like of shape (n, ...), optional
            Rows to show with the partners of their codes; its generator has to have ``encode``. By default rows are
            generated, from codes of the prior.
        n_pairs : int, default=8
        n_columns : int, default=8
            Of a table those columns are shown that change most.
        flip : sequence of bool, optional
            Which sensitive features change; by default all.
        random_state : int, default=0
            Of the codes.
        ax : matplotlib.axes.Axes, optional

        Returns
        -------
        LatentPairsDisplay
        """
        Z, rows = _codes(sampler, X, n_pairs, random_state)
        original = np.asarray(sampler.generator_.decode(Z)) if rows is None else rows
        partner = np.asarray(sampler.generator_.decode(sampler.partner(Z, flip)))
        names = getattr(sampler, "feature_names_in_", None)
        return cls(original, partner, names).plot(n_columns=n_columns, ax=ax)

    def plot(self, *, n_columns=8, ax=None):
        """Draw the pairs; see :meth:`from_sampler`."""
        plt = _import_pyplot()
        images, n = self.original.ndim == 4, len(self.original)
        if ax is None:
            size = (1.1 * n + 1, 2.6) if images else (1.1 * min(n_columns, self.original[0].size) + 1.4, 0.52 * n + 0.8)
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        self._images(ax) if images else self._table(ax, n_columns)
        return self

    def _images(self, ax):
        rows = [
            np.concatenate([np.moveaxis(image, 0, -1) for image in part], 1) for part in (self.original, self.partner)
        ]
        sheet, height = np.concatenate(rows).clip(0, 1), self.original.shape[2]
        ax.imshow(
            sheet[..., 0] if sheet.shape[-1] == 1 else sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest"
        )
        ax.set(xticks=[], yticks=[height / 2, 1.5 * height], yticklabels=["original", "partner"])
        ax.axhline(height - 0.5, color="white", linewidth=2)

    def _table(self, ax, n_columns):
        a, b = (part.reshape(len(part), -1) for part in (self.original, self.partner))
        scale = np.concatenate([a, b]).std(0)
        change = np.abs(a - b).mean(0) / np.where(scale > 0, scale, 1)
        shown = np.sort(np.argsort(-change, kind="stable")[:n_columns])
        names = [f"x{j}" for j in range(a.shape[1])] if self.feature_names is None else list(self.feature_names)
        both = np.stack([a, b], 1).reshape(-1, a.shape[1])[:, shown]  # original, partner, original, ...
        colors = np.full(both.shape, "white", dtype=object)
        colors[1::2][~np.isclose(both[0::2], both[1::2], rtol=1e-3, atol=1e-6)] = "moccasin"
        ax.axis("off")
        table = ax.table(
            cellText=[[f"{value:.3g}" for value in row] for row in both], cellColours=colors, loc="center",
            colLabels=[_short(names[j]) for j in shown], rowLabels=["original", "partner"] * len(a),
        )  # fmt: skip
        table.auto_set_font_size(False)
        table.set_fontsize(8)


def _short(name, length=16):
    """Without its middle, if it is too long: the value of a one-hot column stands at its end."""
    return name if len(name) <= length else f"{name[: length // 3]}…{name[-(length - length // 3 - 1) :]}"


class LatentMarginsDisplay:
    """Codes and their partners by their signed distances to the hyperplanes of the target and of a sensitive feature.

    A partner lies on the same vertical line as its code, as far from the border of the groups and on its other side. It is
    best made with :meth:`from_sampler`.

    Parameters
    ----------
    margins, partner_margins : arrays of shape (n, 2)
        :math:`h_t` and :math:`h_g` of the codes and of their partners.
    names : (str, str)
        What the axes are called.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from skfair.augmentation import LatentDebiasingSampler, PCAGenerator
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.inspection import LatentMarginsDisplay
    >>> data = make_biased_classification(300, random_state=0)
    >>> sampler = LatentDebiasingSampler(PCAGenerator(), source="inversion", random_state=0)
    >>> sampler = sampler.fit(data.data, data.target, sensitive_features=data.sensitive_features)
    >>> display = LatentMarginsDisplay.from_sampler(sampler, data.data)
    >>> bool(abs(display.margins[:, 1] + display.partner_margins[:, 1]).max() < 1e-6)
    True
    """

    def __init__(self, margins, partner_margins, names=("target", "group")):
        self.margins = margins
        self.partner_margins = partner_margins
        self.names = names

    @classmethod
    def from_sampler(cls, sampler, X=None, *, n_codes=300, feature=0, target=0, random_state=0, ax=None):
        """Plot the codes of a sampler.

        Parameters
        ----------
        sampler : LatentDebiasingSampler
            Fitted.
        X : array-like of shape (n, ...), optional
            Rows whose codes are shown; by default codes of the prior.
        n_codes : int, default=300
        feature : int, default=0
            Which sensitive feature.
        target : int, default=0
            Which class, if there are more than two.
        random_state : int, default=0
            Of the codes.
        ax : matplotlib.axes.Axes, optional

        Returns
        -------
        LatentMarginsDisplay
        """
        Z, _ = _codes(sampler, X, n_codes, random_state)
        first = sampler.hyperplanes_.n_targets
        columns = [range(first)[target], range(first, len(sampler.hyperplanes_.offsets))[feature]]
        names = (
            "target" if first == 1 else f"class {sampler.classes_[target]}",
            sampler.hyperplanes_.names[1:][feature],
        )
        pair = sampler.margins(Z), sampler.margins(sampler.partner(Z))
        return cls(pair[0][:, columns], pair[1][:, columns], names).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the codes; see :meth:`from_sampler`."""
        plt = _import_pyplot()
        if ax is None:
            _, ax = plt.subplots(figsize=(5, 4.4), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        both = np.stack([self.margins, self.partner_margins])
        ax.plot(both[..., 0], both[..., 1], color="0.85", linewidth=0.5, zorder=0)
        for name, points, marker in (("z", both[0], "o"), ("z'", both[1], "x")):
            ax.scatter(points[:, 0], points[:, 1], s=12, marker=marker, label=name)
        ax.axhline(0, color="0.3", linewidth=0.8)
        ax.axvline(0, color="0.3", linewidth=0.8)
        ax.set(xlabel=f"signed distance to the border of: {self.names[0]}", ylabel=f"... of: {self.names[1]}")
        ax.legend()
        return self
