"""The plots of an audit, each with a text for those who do not see it."""

import numpy as np

from skfair.reporting._curves import reliability, roc
from skfair.reporting._svg import FAINT, INK, PAPER, SERIES, draw
from skfair.reporting._words import GAPS, RATES, short, shown

__all__ = [
    "MOST_CURVES", "MOST_GROUPS", "gap_plot", "group_curves", "outcome_plot", "rate_groups", "rate_plot", "trade_plot",
]  # fmt: skip

MOST_GROUPS, MOST_CURVES = 20, 6
_DASHES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2))]
_MARKERS = ["o", "s"]


def largest(study, most):
    """Codes of the groups with the most rows, in their own order."""
    sizes = np.bincount(study.group, minlength=len(study.groups))
    return np.sort(np.argsort(-sizes, kind="stable")[:most])


def rate_groups(study, rate):
    """Codes of the groups to show: all, or those with the lowest and the highest rate among those not small."""
    frame = study.models[0].report.by_group
    if len(frame) <= MOST_GROUPS:
        return np.arange(len(frame))
    value = frame[rate].to_numpy(float)
    found = np.flatnonzero(~np.isnan(value) & ~frame["small"].to_numpy(bool))
    if len(found) <= MOST_GROUPS:
        return found if len(found) > 1 else largest(study, MOST_GROUPS)
    ordered = found[np.argsort(value[found], kind="stable")]
    return np.concatenate([ordered[: MOST_GROUPS // 2], ordered[-MOST_GROUPS // 2 :]])


def _rows(axes, labels):
    """Names on the vertical axis, the first on top."""
    axes.set(yticks=np.arange(len(labels)), yticklabels=labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=6)


def _points(axes, frame, name, places, small, color, marker, label):
    """Estimates with their intervals; hollow where a group is small."""
    value, low, high = (frame[column].to_numpy(float) for column in (name, f"{name}_low", f"{name}_high"))
    error = np.stack([value - low, high - value]).clip(0)
    for chosen, face in ((~small, color), (small, PAPER)):
        if chosen.any():
            axes.errorbar(
                value[chosen], places[chosen], xerr=error[:, chosen], fmt=marker, markersize=4.5, color=color,
                markerfacecolor=face, elinewidth=1.2, capsize=2, label=label,
            )  # fmt: skip
            label = None


def rate_plot(study, rate):
    """One rate of each group with its interval; the rate of all rows as a line."""
    codes = rate_groups(study, rate)
    labels = [study.groups[g] for g in codes]
    shift = np.linspace(-0.16, 0.16, len(study.models)) if len(study.models) > 1 else [0.0]

    def paint(axes):
        for k, (model, moved) in enumerate(zip(study.models, shift)):
            frame = model.report.by_group.iloc[codes]
            axes.axvline(model.report.overall[rate], color=SERIES[k], linewidth=0.9, linestyle=_DASHES[k + 1])
            _points(
                axes, frame, rate, np.arange(len(codes)) + moved, frame["small"].to_numpy(bool), SERIES[k], _MARKERS[k],
                model.name,
            )  # fmt: skip
        _rows(axes, [short(label) for label in labels])
        low, high = axes.get_xlim()
        axes.set_xlim(max(low, -0.03), min(high, 1.03))
        axes.set_xlabel(RATES[rate].plural.capitalize())
        if len(study.models) > 1:
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

    frame = study.models[0].report.by_group
    listed = (
        f"{label} {shown(*(frame[c].iloc[g] for c in (rate, f'{rate}_low', f'{rate}_high')))}"
        for label, g in zip(labels, codes)
    )
    alt = f"{RATES[rate].plural.capitalize()} of {study.models[0].name}, by group: {'; '.join(listed)}."
    return draw(paint, alt, height=0.85 + len(labels) * (0.24 if len(labels) > 3 else 0.36))


def gap_plot(study):
    """All differences between groups with their intervals."""
    names = [
        name for name, gap in GAPS.items() if gap.difference and name in set(study.models[0].report.gaps["metric"])
    ]
    frames = [model.report.gaps.set_index("metric").reindex(names) for model in study.models]
    shift = np.linspace(-0.16, 0.16, len(frames)) if len(frames) > 1 else [0.0]

    def paint(axes):
        none = np.zeros(len(names), bool)
        for k, (frame, moved) in enumerate(zip(frames, shift)):
            frame = frame.rename(columns={"low": "estimate_low", "high": "estimate_high"})
            place = np.arange(len(names)) + moved
            _points(axes, frame, "estimate", place, none, SERIES[k], _MARKERS[k], study.models[k].name)
        _rows(axes, [GAPS[name].title.replace(" at ", "\nat ") for name in names])
        axes.set(xlabel="gap", xlim=(-0.02 * axes.get_xlim()[1], None))
        if len(frames) > 1:
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

    listed = "; ".join(f"{GAPS[name].title} {shown(*row)}" for name, row in zip(names, frames[0].to_numpy(float)))
    return draw(paint, f"Gaps of {study.models[0].name}: {listed}.", width=5.2, height=0.8 + 0.32 * len(names))


def outcome_plot(study, model):
    """What becomes of each group's rows: the four outcomes, or the predicted labels of more than two classes."""
    codes = largest(study, MOST_GROUPS)
    parts = _outcomes(study, model) if study.positive is not None else _predictions(model)

    def paint(axes):
        left = np.zeros(len(codes))
        for label, share, color, alpha in parts:
            axes.barh(np.arange(len(codes)), share[codes], 0.7, left, color=color, alpha=alpha, label=label)
            left = left + share[codes]
        _rows(axes, [short(study.groups[g]) for g in codes])
        axes.set(xlim=(0, 1), xlabel="share of the group's rows")
        axes.grid(False)
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1), ncols=2 if len(parts) < 5 else 3)

    named = "; ".join(
        f"{study.groups[g]}: " + ", ".join(f"{label} {share[g]:.2f}" for label, share, *_ in parts) for g in codes
    )
    return draw(paint, f"Outcomes of {model.name}, by group. {named}.", height=1.25 + 0.26 * len(codes))


def _shares(counts):
    total = counts.sum((-2, -1), keepdims=True)
    return np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)


def _outcomes(study, model):
    inside = model.table.classes == study.positives[0]
    counts = _shares(model.table.counts)
    cell = {
        (t, p): counts[:, inside == t][..., inside == p].sum((-2, -1)) for t in (True, False) for p in (True, False)
    }
    return [
        ("true positive", cell[True, True], SERIES[0], 1.0),
        ("false negative", cell[True, False], SERIES[1], 1.0),
        ("false positive", cell[False, True], SERIES[1], 0.45),
        ("true negative", cell[False, False], SERIES[0], 0.35),
    ]


def _predictions(model):
    share = _shares(model.table.counts).sum(1)  # (G, C)
    kept = np.sort(np.argsort(-share.sum(0), kind="stable")[:MOST_CURVES])
    labels = model.table.classes.tolist()
    parts = [(f"predicted {short(str(labels[c]), 14)}", share[:, c], SERIES[i], 0.85) for i, c in enumerate(kept)]
    rest = np.delete(share, kept, 1)
    return [*parts, ("others", rest.sum(1), FAINT, 1.0)] if rest.shape[1] else parts


# ---------------------------------------------------------------------- scores
def group_curves(study, model):
    """{kind: SVG}: reliability (of probabilities), ROC and distribution of the scores, of the largest groups."""
    codes = largest(study, MOST_CURVES)
    kinds = {"roc": _paint_roc, "scores": _paint_scores}
    if model.scores.probability:
        kinds = {"reliability": _paint_reliability} | kinds
    names = ", ".join(study.groups[g] for g in codes)
    words = {
        "reliability": "Reliability curves: share of positive rows against mean score",
        "roc": "ROC curves",
        "scores": "Distributions of the scores",
    }
    return {
        kind: draw(
            lambda axes, paint=paint: _paint_groups(axes, paint, study, model, codes),
            f"{words[kind]} of {model.name}, one for each of the groups {names}. The table beside them has the numbers.",
            height=3.3 + 0.14 * ((len(codes) + 1) // 2),
        )
        for kind, paint in kinds.items()
    }


def _paint_groups(axes, paint, study, model, codes):
    whole = model.scores.values
    paint(axes)
    for i, g in enumerate(codes):
        own = study.group == g
        weight = None if study.weight is None else study.weight[own]
        line = {"color": SERIES[i], "linestyle": _DASHES[i], "label": short(study.groups[g], 30)}
        paint(axes, study.positive[own], whole[own], weight, line, (whole.min(), whole.max()), study.options)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)


def _paint_reliability(axes, positive=None, score=None, weight=None, line=None, span=None, options=None):
    if positive is None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, linestyle=":")
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="mean score of a bin", ylabel="share of positive rows")
        return
    x, y = reliability(positive, score, weight, least=max(1, options["min_count"]))
    axes.plot(x, y, marker="o", markersize=3, **line)


def _paint_roc(axes, positive=None, score=None, weight=None, line=None, span=None, options=None):
    if positive is None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, linestyle=":")
        axes.set(xlim=(0, 1), ylim=(0, 1.005), xlabel="false positive rate", ylabel="true positive rate")
        return
    found = roc(positive, score, weight)
    if found is not None:
        axes.plot(found[0], found[1], **line)


def _paint_scores(axes, positive=None, score=None, weight=None, line=None, span=None, options=None):
    if positive is None:
        axes.set(xlabel="score", ylabel="share of the group's rows")
        return
    low, high = span if span[1] > span[0] else (span[0] - 0.5, span[0] + 0.5)
    mass, edges = np.histogram(score, 25, (low, high), weights=weight)
    if mass.sum() > 0:
        axes.stairs(mass / mass.sum(), edges, linewidth=1.4, **line)


# ---------------------------------------------------------------------- what a gap costs
def trade_plot(study, curves, constants, name):
    """Accuracy against a gap: the classifiers, their scores at all thresholds, constants."""
    gaps = [float(model.report.gaps.set_index("metric").loc[name, "estimate"]) for model in study.models]
    points = [(m.name, gap, float(m.report.overall["accuracy"])) for m, gap in zip(study.models, gaps)]

    def paint(axes):
        for k, model in enumerate(study.models):
            if model.name in curves:
                curve = curves[model.name]
                axes.plot(
                    curve[name], curve["accuracy"], color=SERIES[k], linestyle=_DASHES[k], alpha=0.75,
                    label=f"scores of {model.name}, any threshold",
                )  # fmt: skip
        axes.plot(constants[name], constants["accuracy"], "x", color=INK, markersize=6, linestyle="", label="constants")
        for k, (label, gap, value) in enumerate(points):
            axes.plot(gap, value, _MARKERS[k], color=SERIES[k], markersize=7, label=label)
        # below the better constant and the classifiers lies nothing that anyone would choose
        floor = min([constants["accuracy"].max(), *(value for *_, value in points)])
        reached = [curve[curve["accuracy"] >= floor - 0.03] for curve in curves.values()]
        top = max([floor, *(value for *_, value in points), *(curve["accuracy"].max() for curve in reached)])
        right = max([0.0, *(gap for _, gap, _ in points), *(curve[name].max() for curve in reached)])
        margin = max(top - floor, 0.02)
        axes.set(ylim=(floor - 0.15 * margin, top + 0.1 * margin), xlim=(-0.04 * (right or 1), 1.06 * (right or 1)))
        axes.set(xlabel=GAPS[name].title, ylabel="accuracy")
        axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1), ncols=2)

    listed = "; ".join(f"{label}: gap {gap:.3f}, accuracy {value:.3f}" for label, gap, value in points)
    return draw(paint, f"Accuracy against the {GAPS[name].title}. {listed}.", height=3.6)
