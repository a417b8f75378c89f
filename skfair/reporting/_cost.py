"""What a gap costs: the classifiers beside other thresholds on the same scores, and beside constants."""

import numpy as np

from skfair.reporting._curves import TRADED, constants, threshold_curve
from skfair.reporting._page import Number, figure, figures, paragraph, table
from skfair.reporting._plots import trade_plot
from skfair.reporting._words import GAPS, shown

__all__ = ["PARITY", "cost", "curves_of", "trades"]

PARITY = "demographic_parity_difference"


def curves_of(study):
    """Accuracy and gaps by threshold, by classifier, and those of constants."""
    if study.positive is None:
        return {}, None
    rows = (study.positive, study.group, study.weight)
    curves = {m.name: threshold_curve(m.scores.values, *rows) for m in study.models if m.scores.values is not None}
    return curves, constants(*rows)


def best_at_most(curve, bound):
    """The row of the most accurate threshold whose demographic parity difference is at most so large."""
    allowed = curve[curve[PARITY] <= bound + 1e-9]
    return allowed.loc[allowed["accuracy"].idxmax()] if len(allowed) else None


def trades(study, curves):
    """What another threshold does to the gap, in words."""
    if study.positive is None or len(study.groups) < 2:
        return []
    gap = float(study.models[0].report.gaps.set_index("metric").loc[PARITY, "estimate"])
    source = study.models[-1]
    if source.name not in curves or not gap > 0:
        return []
    bound = gap if len(study.models) > 1 else gap / 2
    row = best_at_most(curves[source.name], bound)
    own = f"the model has {study.models[0].report.overall['accuracy']:.3f}"
    how = {0.0: "select nobody", 1.0: "select everyone"}.get(
        float(row["selected"]), f"use one other threshold for all, {row['threshold']:.3g}"
    )
    aim = "a gap as small as the model's" if len(study.models) > 1 else "half of this demographic parity difference"
    return [
        f"A trivial control: to have {aim} ({shown(bound)}) with the scores of the {source.name}, {how}: the accuracy is "
        f"then {row['accuracy']:.3f}; {own}."
    ]


def cost(study, curves, ends):
    text = (
        "A smaller gap is easy to have: a constant has none, and whoever selects fewer rows has smaller differences in "
        "rates. So a gap means something only beside the accuracy, and beside what these give without any method. "
    )
    if curves:
        text += (
            "The curves are the same scores with other thresholds, one for all groups; the thresholds are chosen on these "
            "very rows, which favours the curves a little. A method counts where it lies above them, or to the left."
        )
    else:
        text += "There are no scores, so that other thresholds cannot be tried."
    body = paragraph(text)
    parts = []
    for name in TRADED:
        if not np.isnan(study.models[0].report.gaps.set_index("metric").loc[name, "estimate"]):
            parts.append(figure(trade_plot(study, curves, ends, name), f"Accuracy against the {GAPS[name].title}."))
    caption = "The classifiers and the trivial controls. The gap of a rule is the demographic parity difference"
    columns = ["", "threshold", "share selected", "accuracy", *(GAPS[name].title for name in TRADED)]
    return body + figures(parts) + table(columns, _cost_rows(study, curves, ends), caption)


def _cost_rows(study, curves, ends):
    rows = []
    for model in study.models:
        gaps, overall = model.report.gaps.set_index("metric")["estimate"], model.report.overall
        rows.append(
            [f"{model.name}, as it is", "", overall["selection_rate"], overall["accuracy"], *(gaps[n] for n in TRADED)]
        )
    own = float(study.models[0].report.gaps.set_index("metric").loc[PARITY, "estimate"])
    for name, curve in curves.items():
        bounds = [own] * (name != study.models[0].name) + [bound for bound in (0.1, 0.05, 0.02) if bound < own]
        found = {"any gap": best_at_most(curve, np.inf)}
        found |= {f"gap at most {bound:.3g}": best_at_most(curve, bound) for bound in bounds}
        for what, row in found.items():
            if row is not None:
                threshold = "nobody" if np.isinf(row["threshold"]) else f"{row['threshold']:.4g}"
                rows.append([f"scores of the {name}, best threshold, {what}", threshold, *row.iloc[1:]])
    for (_, row), what in zip(ends.iterrows(), ("nobody is selected", "everyone is selected")):
        rows.append([f"constant: {what}", "", *row.iloc[1:]])
    return [[name, threshold, *map(Number, values)] for name, threshold, *values in rows]
