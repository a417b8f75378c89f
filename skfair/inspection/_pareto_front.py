from collections.abc import Mapping

import numpy as np

from skfair.inspection._group_scores import _import_pyplot
from skfair.model_selection._pareto import frame_of, means_of, pareto_front

__all__ = ["ParetoFrontDisplay"]

_MARKERS = "osD^vPh<>p"
_CONTROL_MARKERS = "X^*d8HP"


class ParetoFrontDisplay:
    """Two scores of the candidates of a search, or of several searches, and the front of those that none beats.

    All candidates are drawn faint; those of the front solid, joined by the border of what they dominate, with the
    intervals of both scores. Of each control the candidates are shown that none of the same control beats. Negated
    scores, such as gaps, are shown as what they are: positive, smaller is better; their intervals end at 0.

    It is best made with :meth:`from_search` or :meth:`from_searches`.

    Parameters
    ----------
    frames : dict of str to pandas.DataFrame
        ``frontier_`` of the searches, by the name to show.
    x, y : str
        Names of the scores.
    controls : dict of str to pandas.DataFrame, default=None
        Result of :func:`skfair.model_selection.trivial_controls`.
    labels : dict of str to str, default=None
        What the axes say, by score; the name of the score if not given.
    negated : collection of str, default=()
        Those of the scores that are negated.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> import pandas as pd
    >>> from skfair.inspection import ParetoFrontDisplay
    >>> found = pd.DataFrame({"mean_accuracy": [0.85, 0.80, 0.82], "mean_gap": [-0.2, -0.1, -0.05]})
    >>> display = ParetoFrontDisplay.from_search(found, x="gap", y="accuracy")
    >>> display.ax_.get_xlabel()
    'gap\\n← smaller is better'
    """

    def __init__(self, frames, *, x, y, controls=None, labels=None, negated=()):
        self.frames = frames
        self.x = x
        self.y = y
        self.controls = controls
        self.labels = labels
        self.negated = negated

    @classmethod
    def from_search(cls, search, *, x, y, name="", controls=None, ax=None):
        """Plot one search.

        Parameters
        ----------
        search : FrontierSearchCV, fitted search of scikit-learn or pandas.DataFrame
            A DataFrame has the columns of ``frontier_``: ``mean_<score>``, and ``low_<score>`` and ``high_<score>``
            for the intervals. In it a score is taken as negated where all its values are 0 or less.
        x, y : str
            Names of the scores, "score" where the search has one only.
        name : str, default=""
            What the legend says.
        controls : dict of str to pandas.DataFrame, default=None
            Result of :func:`skfair.model_selection.trivial_controls`.
        ax : matplotlib.axes.Axes, optional
            A new figure if not given.

        Returns
        -------
        ParetoFrontDisplay

        Raises
        ------
        ValueError
            For a score that the search or a control does not have.
        NotFittedError
            If the search is not fitted.
        """
        return cls.from_searches({name: search}, x=x, y=y, controls=controls, ax=ax)

    @classmethod
    def from_searches(cls, searches, *, x, y, controls=None, ax=None):
        """Plot several searches over the same scores, by name.

        Parameters
        ----------
        searches : dict of str to FrontierSearchCV, fitted search of scikit-learn or pandas.DataFrame
        x, y, controls, ax
            As in :meth:`from_search`.

        Returns
        -------
        ParetoFrontDisplay

        Raises
        ------
        ValueError
            As :meth:`from_search`; if ``searches`` is no dict or empty, or a score is negated in one search and not in
            another.
        """
        if not isinstance(searches, Mapping) or not searches:
            raise ValueError(f"searches must be a dict of searches by name with at least one entry, got {searches!r}.")
        frames = {name: frame_of(search) for name, search in searches.items()}
        negated = [score for score in (x, y) if _is_negated(score, searches.values(), frames.values())]
        labels = {score: _label(score, searches.values()) for score in (x, y)}
        return cls(frames, x=x, y=y, controls=controls, labels=labels, negated=negated).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the picture; see :meth:`from_searches`."""
        plt = _import_pyplot()
        own = ax is None
        if own:
            _, ax = plt.subplots(figsize=(8.5, 4.8), layout="constrained")
            ax.locator_params(axis="x", nbins=8)
        self.ax_, self.figure_ = ax, ax.figure
        for place, (name, frame) in enumerate(self.frames.items()):
            self._plot_front(name, frame, f"C{place}", _MARKERS[place % len(_MARKERS)])
        for place, (name, frame) in enumerate((self.controls or {}).items()):
            self._plot_control(name, frame, _CONTROL_MARKERS[place % len(_CONTROL_MARKERS)])
        for axis, score in ((ax.xaxis, self.x), (ax.yaxis, self.y)):
            hint = "← smaller is better" if score in self.negated else "greater is better →"
            axis.set_label_text(f"{(self.labels or {}).get(score, score)}\n{hint}")
        ax.grid(alpha=0.2)
        handles, names = ax.get_legend_handles_labels()
        if names and own:
            self.figure_.legend(handles, names, loc="outside right upper", frameon=False)
        elif names:
            ax.legend(handles, names)
        return self

    def _plot_front(self, name, frame, colour, marker):
        x, y = (self._shown(means_of(frame, [score])[:, 0], score) for score in (self.x, self.y))
        self.ax_.scatter(x, y, color=colour, marker=marker, s=20, alpha=0.25, linewidths=0)
        style = "steps-post" if self.x in self.negated else "steps-pre"
        self._plot_points(frame, name, zorder=3, color=colour, marker=marker, ms=6, lw=1.5, drawstyle=style)

    def _plot_control(self, name, frame, marker):
        self._plot_points(frame, name, zorder=4, color="0.3", marker=marker, ms=9, mfc="none", mew=1.3, ls="")

    def _plot_points(self, frame, name, **style):
        """The front of a frame, from left to right, with its intervals."""
        front = pareto_front(frame, self.x, self.y)
        front = front.iloc[::-1] if self.x in self.negated else front
        (x, x_error), (y, y_error) = self._interval(front, self.x), self._interval(front, self.y)
        faint = dict(ecolor=style["color"], elinewidth=0.8, alpha=0.5, zorder=2)
        self.ax_.errorbar(x, y, xerr=x_error, yerr=y_error, fmt="none", **faint)
        self.ax_.plot(x, y, label=name, **style)

    def _interval(self, frame, score):
        """Return (values, distances of the ends or None), as shown."""
        value = self._shown(frame[f"mean_{score}"].to_numpy(float), score)
        if f"low_{score}" not in frame or f"high_{score}" not in frame:
            return value, None
        ends = [self._shown(frame[f"{end}_{score}"].to_numpy(float), score) for end in ("low", "high")]
        if score in self.negated:
            ends = [np.where(value >= 0, ends[1].clip(0), ends[1]), ends[0]]
        return value, np.stack([value - ends[0], ends[1] - value]).clip(0)

    def _shown(self, values, score):
        return 0.0 - values if score in self.negated else values


def _scorer(search, score):
    """The scorer of that name, or None where it cannot be known."""
    scorers = getattr(search, "scorer_", None)
    return scorers.get(score) if isinstance(scorers, Mapping) else scorers


def _is_negated(score, searches, frames):
    known = {getattr(_scorer(search, score), "_sign", None) for search in searches} - {None}
    if len(known) > 1:
        raise ValueError(f"The score {score!r} is negated in one search and not in another.")
    if known:
        return known == {-1}
    values = np.concatenate([means_of(frame, [score])[:, 0] for frame in frames])
    values = values[~np.isnan(values)]
    return len(values) > 0 and bool((values <= 0).all())


def _label(score, searches):
    """The score's name, and its metric's behind it where that says more."""
    metrics = {getattr(getattr(_scorer(s, score), "_score_func", None), "__name__", None) for s in searches} - {None}
    name = score.removeprefix("neg_")
    metric = metrics.pop() if len(metrics) == 1 else name
    if metric not in (name, f"{name}_score") and metric.isidentifier():
        name = f"{name}: {metric}"
    return name.replace("_", " ")
