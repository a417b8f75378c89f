from collections.abc import Mapping

import numpy as np

__all__ = ["GroupScoreDisplay"]

_RATES = ("selection_rate", "TPR", "FPR", "accuracy")


def _import_pyplot():
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("skfair.inspection needs matplotlib: pip install 'skfair[plots]'.") from error
    return plt


class GroupScoreDisplay:
    """Rates of each group with their bootstrap intervals, for one classifier or several beside each other.

    It is best made with :meth:`from_report` or :meth:`from_reports`.

    Parameters
    ----------
    reports : dict of str to GroupReport
        Results of :func:`skfair.metrics.group_report`, by the name to show.

    Attributes
    ----------
    ax_ : array of matplotlib.axes.Axes
        One panel per rate.
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from skfair.inspection import GroupScoreDisplay
    >>> from skfair.metrics import group_report
    >>> report = group_report([0, 1, 1, 0], [0, 1, 0, 1], sensitive_features=list("aabb"), n_boot=50, random_state=0)
    >>> display = GroupScoreDisplay.from_report(report, rates=("selection_rate", "accuracy"))
    >>> len(display.ax_)
    2
    """

    def __init__(self, reports):
        self.reports = reports

    @classmethod
    def from_report(cls, report, *, name="", rates=_RATES, ax=None):
        """Plot one report.

        Parameters
        ----------
        report : GroupReport
        name : str, default=""
            What the legend says.
        rates : sequence of str, default=("selection_rate", "TPR", "FPR", "accuracy")
            Columns of ``report.by_group``.
        ax : sequence of Axes, optional
            One per rate; a new figure if not given.

        Returns
        -------
        GroupScoreDisplay
        """
        return cls({name: report}).plot(rates=rates, ax=ax)

    @classmethod
    def from_reports(cls, reports, *, rates=_RATES, ax=None):
        """Plot several reports over the same groups, by name.

        Parameters
        ----------
        reports : dict of str to GroupReport
        rates, ax
            As in :meth:`from_report`.

        Returns
        -------
        GroupScoreDisplay

        Raises
        ------
        ValueError
            If ``reports`` is no dict or empty, or a rate is no column of every report.
        """
        if not isinstance(reports, Mapping) or not reports:
            raise ValueError(f"reports must be a dict of reports by name with at least one entry, got {reports!r}.")
        return cls(dict(reports)).plot(rates=rates, ax=ax)

    def plot(self, *, rates=_RATES, ax=None):
        """Draw the panels; see :meth:`from_reports`."""
        self._check_rates(rates)
        plt = _import_pyplot()
        if ax is None:
            _, ax = plt.subplots(1, len(rates), figsize=(3 * len(rates), 3.4), sharey=True, layout="constrained")
        self.ax_ = np.atleast_1d(ax)
        self.figure_ = self.ax_[0].figure
        for panel, rate in zip(self.ax_, rates, strict=True):
            self._plot_rate(panel, rate)
        if any(self.reports):
            handles, labels = self.ax_[0].get_legend_handles_labels()
            self.figure_.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
        return self

    def _check_rates(self, rates):
        for name, report in self.reports.items():
            absent = [rate for rate in rates if rate not in report.by_group.columns]
            if absent:
                known = [c for c in report.by_group.columns if f"{c}_low" in report.by_group.columns]
                raise ValueError(f"report {name!r} has no rates {absent}; it has {known}.")

    def _plot_rate(self, panel, rate):
        groups = list(next(iter(self.reports.values())).by_group.index)
        spread = np.linspace(-0.2, 0.2, len(self.reports)) if len(self.reports) > 1 else [0.0]
        for shift, (name, report) in zip(spread, self.reports.items()):
            table = report.by_group.reindex(groups)
            value = table[rate].to_numpy(float)
            error = np.stack([value - table[f"{rate}_low"], table[f"{rate}_high"] - value]).clip(0)
            panel.errorbar(value, np.arange(len(groups)) + shift, xerr=error, fmt="o", capsize=3, label=name)
        labels = [", ".join(map(str, group)) if isinstance(group, tuple) else str(group) for group in groups]
        panel.set(title=rate.replace("_", " "), yticks=np.arange(len(groups)), yticklabels=labels)
        panel.set_ylim(len(groups) - 0.5, -0.5)
        panel.locator_params(axis="x", nbins=5)
        panel.grid(axis="x", alpha=0.3)
