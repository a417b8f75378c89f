import numpy as np

from skfair.inspection._attribution import saliency
from skfair.inspection._group_scores import _import_pyplot

__all__ = ["SaliencyDisplay"]


class SaliencyDisplay:
    """What a network looks at, for one classifier or for several beside each other: before and after a trigger, say.

    It is best made with :meth:`from_estimators` or, for a reprogrammed net, :meth:`from_reprogrammed`.

    Parameters
    ----------
    attributions : dict of str to array of shape (n, ...)
        Of :func:`saliency`, by the name to show.
    inputs : dict of str to array of shape (n, ...), optional
        For images: what each network was given.
    feature_names : sequence of str, optional

    Attributes
    ----------
    ax_ : array of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.inspection import SaliencyDisplay
    >>> from skfair.robust import ERMClassifier
    >>> data = make_biased_classification(300, random_state=0)
    >>> net = ERMClassifier(max_epochs=3, random_state=0).fit(data.data, data.target)
    >>> display = SaliencyDisplay.from_estimators({"plain": net}, data.data[:50])
    >>> display.attributions["plain"].shape
    (50, 10)
    """

    def __init__(self, attributions, inputs=None, feature_names=None):
        self.attributions = attributions
        self.inputs = inputs
        self.feature_names = feature_names

    @classmethod
    def from_estimators(cls, estimators, X, *, n_images=6, n_columns=12, **options):
        """Plot several fitted classifiers.

        Parameters
        ----------
        estimators : dict of str to classifier
        X : array-like of shape (n, ...)
            All rows of a table count; of images the first are shown.
        n_images, n_columns : int
            How many images, or columns of a table, are shown.
        **options
            Of :func:`saliency`.

        Returns
        -------
        SaliencyDisplay
        """
        X = X[:n_images] if np.ndim(X) == 4 else X
        found = {name: saliency(estimator, X, **options) for name, estimator in estimators.items()}
        given = {name: getattr(net, "apply_trigger", lambda X: np.asarray(X))(X) for name, net in estimators.items()}
        names = next(
            (list(net.feature_names_in_) for net in estimators.values() if hasattr(net, "feature_names_in_")), None
        )
        return cls(found, given, names).plot(n_columns=n_columns)

    @classmethod
    def from_reprogrammed(cls, net, X, **options):
        """Plot a reprogrammed net's frozen model, before and after the trigger; see :meth:`from_estimators`.

        Parameters
        ----------
        net : ReprogrammedClassifier
            Fitted.
        X : array-like of shape (n, ...)
        **options
            As in :meth:`from_estimators`.

        Returns
        -------
        SaliencyDisplay
        """
        return cls.from_estimators({"before": net.base_, "after": net}, X, **options)

    def plot(self, *, n_columns=12):
        """Draw it; see :meth:`from_estimators`."""
        plt = _import_pyplot()
        first = next(iter(self.attributions.values()))
        if first.ndim == 2:
            self.figure_, self.ax_ = plt.subplots(
                figsize=(6, 0.3 * min(n_columns, first.shape[1]) + 1.2), layout="constrained"
            )
            self._bars(self.ax_, n_columns)
        else:
            shape = (len(self.attributions), len(first))
            size = (1.3 * shape[1] + 0.8, 1.4 * shape[0])
            self.figure_, self.ax_ = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
            self._maps()
        return self

    def _bars(self, ax, n_columns):
        """Mean absolute attribution of each column, as a share of all."""
        share = {}
        for name, values in self.attributions.items():
            size = np.abs(values).mean(0)
            share[name] = size / max(size.sum(), 1e-30)
        shown = np.argsort(-np.max(list(share.values()), axis=0), kind="stable")[:n_columns]
        width = len(next(iter(share.values())))
        names = [f"x{j}" for j in range(width)] if self.feature_names is None else self.feature_names
        height = 0.8 / len(share)
        for i, (name, values) in enumerate(share.items()):
            ax.barh(np.arange(len(shown)) + i * height, values[shown], height, label=name)
        ax.set_yticks(np.arange(len(shown)) + height * (len(share) - 1) / 2, [names[j] for j in shown])
        ax.invert_yaxis()
        ax.set_xlabel("share of attribution")
        ax.legend()

    def _maps(self):
        for (name, maps), axes in zip(self.attributions.items(), self.ax_):
            images = [None] * len(maps) if self.inputs is None else self.inputs[name]
            for image, heat, ax in zip(images, maps, axes):
                if image is not None:
                    picture = np.moveaxis(image, 0, -1).clip(0, 1)
                    ax.imshow(picture[..., 0] if picture.shape[-1] == 1 else picture, cmap="gray")
                ax.imshow(heat / max(heat.max(), 1e-30), cmap="inferno", alpha=0.5, vmin=0, vmax=1)
                ax.set(xticks=[], yticks=[])
            axes[0].set_ylabel(name)
