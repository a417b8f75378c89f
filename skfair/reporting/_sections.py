"""The sections of an audit, from its numbers."""

import numpy as np

from skfair.reporting import _plots as plots
from skfair.reporting._cost import PARITY, cost, curves_of, trades
from skfair.reporting._curves import score_table
from skfair.reporting._page import (
    Number,
    Section,
    cards,
    figure,
    figures,
    heading,
    items,
    notes,
    paragraph,
    table,
    terms,
)
from skfair.reporting._words import GAPS, RATES, reading, short, shown, summary

__all__ = ["sections_of"]

_IN_TABLE = [name for name in RATES if name != "FNR"]
_MOST_LABELS = 12


def sections_of(study, n_columns):
    """All sections, in the order of the page."""
    curves, ends = curves_of(study)
    found = [
        Section("summary", "Summary", _summary(study, curves)),
        Section("audited", "What was audited", _audited(study, n_columns)),
        Section("rates", "Rates of each group", _rates(study)),
        Section("gaps", "Gaps between groups", _gaps(study)),
    ]
    if study.models[0].by_feature:
        found.append(Section("features", "Each sensitive feature alone", _features(study)))
    found.append(Section("outcomes", "Outcomes", _outcomes(study)))
    if any(model.scores.values is not None for model in study.models):
        found.append(Section("scores", "Scores", _scores(study)))
    if study.positive is not None and len(study.groups) > 1:
        found.append(Section("cost", "What a gap costs", cost(study, curves, ends)))
    rates = terms((rate.title, rate.meaning) for rate in RATES.values())
    return [*found, Section("reading", "How to read this", items(reading(study)) + heading("Rates") + rates)]


# ---------------------------------------------------------------------- the beginning
def _summary(study, curves):
    report = study.models[0].report
    gaps = report.gaps.set_index("metric")
    of_rows = [("Rows", f"{len(study.group):,}", ""), ("Groups", f"{len(study.groups):,}", ", ".join(study.features))]
    values = [("Accuracy", shown(report.overall["accuracy"]), "all rows")]
    for name in (PARITY, "equal_opportunity_difference", "equalized_odds_difference"):
        whole, text = shown(*gaps.loc[name]), shown(gaps.loc[name, "estimate"])
        values.append((GAPS[name].title.capitalize(), text, whole[len(text) + 1 :]))
    box = notes("Before you read the numbers", study.notices)
    return cards(of_rows + values) + box + items(summary(study, trades(study, curves)))


def _audited(study, n_columns):
    table_, options = study.models[0].table, study.options
    sizes = np.bincount(np.unravel_index(table_.cells, table_.counts.shape)[1], minlength=len(table_.classes))
    labels = [f"{label!r} ({size:,} rows)" for label, size in zip(table_.classes.tolist(), sizes)]
    more = f" and {len(labels) - _MOST_LABELS} more" * (len(labels) > _MOST_LABELS)
    seed = options["random_state"]
    pairs = [
        ("Rows", f"{len(study.group):,}" + (f", {n_columns:,} columns" if n_columns else "")),
        ("Sensitive features", f"{', '.join(study.features)}: {len(study.groups)} groups"),
        ("Labels", ", ".join(labels[:_MOST_LABELS]) + more),
        ("Positive label", "none: each in turn against the rest" if study.positive is None else repr(study.positives[0])),
        ("Weights", "none, each row counts once" if study.weight is None else "given with the rows; counts are of rows"),
        (
            "Intervals",
            f"{100 * options['confidence_level']:g}%, percentiles of {options['n_boot']:,} resamples of the rows, "
            + (f"random_state {seed}" if isinstance(seed, int | np.integer) else "without a fixed seed")
            if options["n_boot"]
            else "none",
        ),
    ]  # fmt: skip
    body = terms(pairs)
    for model in study.models:
        about = model.answer.about
        body += heading(f"The {model.name}") + terms(about.items())
        if model.answer.parameters:
            body += paragraph("Its parameters that are not at their defaults:")
            body += terms(model.answer.parameters.items(), "terms code")
    return body + paragraph("Nothing was trained for this page.")


# ---------------------------------------------------------------------- rates and gaps
def _rate_table(report, features, groups, caption):
    frame = report.by_group
    rates = [name for name in _IN_TABLE if name in frame]
    rows = []
    for g in range(len(groups)):
        own, label = frame.iloc[g], frame.index[g]
        named = list(map(str, label)) if len(features) > 1 else [str(label)]
        named[-1] += " *" if own["small"] else ""
        numbers = [Number(own[name], own[f"{name}_low"], own[f"{name}_high"]) for name in rates]
        rows.append([*named, int(own["n"]), Number(own["share"]), *numbers])
    whole = ["all rows", *[""] * (len(features) - 1), int(frame["n"].sum()), Number(1.0)]
    rows.append([*whole, *(Number(report.overall[name]) for name in rates)])
    columns = [*features, "rows", "share", *(RATES[name].title for name in rates)]
    return table(columns, rows, caption, n_heads=len(features), total=True)


def _whose(study, model):
    """Of which of two classifiers a table is."""
    return f", {model.name}" if len(study.models) > 1 else ""


def _rates(study):
    least = study.options["min_count"]
    body = paragraph(
        f"* marks a small group: fewer than {least} rows with one of the true labels; its points in the plots are hollow. "
        "Dashed lines are the rates of all rows together."
    )
    rates = [name for name in ("selection_rate", "TPR", "FPR", "accuracy") if name in study.models[0].report.by_group]
    parts = []
    for name in rates:
        svg, n_shown = plots.rate_plot(study, name), len(plots.rate_groups(study, name))
        text = f"{RATES[name].title[0].upper()}{RATES[name].title[1:]}: {RATES[name].meaning}."
        if n_shown < len(study.groups):
            text += (
                f" Shown are {n_shown} of {len(study.groups)} groups: the lowest and the highest of those that are not "
                "small, or the largest where nearly all are. The table has all."
            )
        parts.append(figure(svg, text))
    body += figures(parts)
    for model in study.models:
        caption = f"Rates of each group{_whose(study, model)}, with intervals"
        body += _rate_table(model.report, study.features, study.groups, caption)
    return body + (_label_tables(study) if study.positive is None else "")


def _label_tables(study):
    """For more than two classes: how often each label is predicted, and how often it is found."""
    body = ""
    classes = study.models[0].table.classes.tolist()
    names = [short(str(label), 30) for label in classes[:_MOST_LABELS]]
    more = f" (the first {_MOST_LABELS} of {len(classes)} labels)" if len(classes) > _MOST_LABELS else ""
    for model in study.models:
        counts = model.table.counts[:, :_MOST_LABELS]
        right = np.diagonal(model.table.counts, axis1=1, axis2=2)[:, :_MOST_LABELS]
        total = model.table.counts.sum((1, 2))
        predicted = model.table.counts.sum(1)[:, :_MOST_LABELS]
        for what, above, below in (
            ("Share of the group predicted as each label", predicted, total[:, None]),
            ("Share of each true label that is predicted as it", right, counts.sum(-1)),
        ):
            values = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
            rows = [[study.groups[g], *map(Number, values[g])] for g in range(len(study.groups))]
            body += table([", ".join(study.features), *names], rows, f"{what}{_whose(study, model)}{more}")
    return body


def _gaps(study):
    reports = [model.report.gaps.set_index("metric") for model in study.models]
    names = [name for name in GAPS if any(name in report.index for report in reports)]
    columns = ["gap", *([model.name for model in study.models] if len(study.models) > 1 else ["estimate"])]
    changes = None if study.changes is None else study.changes.set_index("metric")
    rows = []
    for name in names:
        cells = [Number(*report.loc[name]) if name in report.index else Number(np.nan) for report in reports]
        if changes is not None:
            cells.append(Number(*changes.loc[name], "+") if name in changes.index else "")
        rows.append([GAPS[name].title, *cells, GAPS[name].meaning])
    columns += ["change"] * (changes is not None) + ["meaning"]
    body = figure(plots.gap_plot(study), "Differences between groups: 0 where the groups' rates are equal.")
    body = figures([body]) + table(columns, rows, "Gaps between groups, with intervals")
    if changes is not None:
        body += paragraph(
            "The change is from the baseline to the model. Its interval is of the difference itself, on the same resamples "
            "of rows, which a comparison of the two intervals does not give."
        )
    return body


def _features(study):
    body = paragraph(
        "The groups of this page are the combinations of the sensitive features. Here each feature is taken alone: a gap "
        "between combinations may not show in any one of them."
    )
    for model in study.models:
        for name, report in model.by_feature.items():
            gap = shown(*report.gaps.set_index("metric").loc[PARITY])
            caption = f"{name} alone{_whose(study, model)}: demographic parity difference {gap}"
            body += _rate_table(report, [name], report.by_group.index, caption)
    return body


# ---------------------------------------------------------------------- outcomes and scores
def _outcomes(study):
    most, body = plots.MOST_GROUPS, ""
    chosen = plots.largest(study, most)
    note = f" The {most} largest of {len(study.groups)} groups." if len(study.groups) > most else ""
    parts = [
        figure(plots.outcome_plot(study, m), f"What becomes of each group's rows{_whose(study, m)}.{note}")
        for m in study.models
    ]
    for model in study.models:
        sizes = np.bincount(model.table.cells, minlength=model.table.counts.size).reshape(model.table.counts.shape)
        if study.positive is not None:
            body += _binary_counts(study, model, sizes)
        else:
            body += _all_counts(study, model, sizes, chosen, note)
    return figures(parts) + body


def _binary_counts(study, model, sizes):
    inside = model.table.classes == study.positives[0]
    cells = [(True, True), (True, False), (False, True), (False, False)]
    counts = [sizes[:, inside == true][..., inside == pred].sum((1, 2)) for true, pred in cells]
    rows = [[name, *(int(c[g]) for c in counts)] for g, name in enumerate(study.groups)]
    rows.append(["all rows", *(int(c.sum()) for c in counts)])
    columns = [", ".join(study.features), "true positives", "false negatives", "false positives", "true negatives"]
    return table(columns, rows, f"Counts of rows{_whose(study, model)}", total=True)


def _all_counts(study, model, sizes, chosen, note):
    labels = [short(str(label), 30) for label in model.table.classes.tolist()]
    occurs = np.flatnonzero(sizes.sum((0, 2)) > 0)
    rows = [[study.groups[g], labels[t], *map(int, sizes[g, t])] for g in chosen for t in occurs]
    columns = [", ".join(study.features), "true label", *(f"predicted {label}" for label in labels)]
    return table(columns, rows, f"Counts of rows{_whose(study, model)}.{note}", n_heads=2)


_CAPTIONS = {
    "reliability": "Reliability: on the dotted line, 30% of the rows with a score of 0.3 are positive. Bins with few rows "
    "are left out.",
    "roc": "ROC: the rates at all thresholds. Where the curves lie apart, no one threshold gives the groups equal rates.",
    "scores": "Distribution of the scores in each group.",
}


def _scores(study):
    body, most = "", plots.MOST_CURVES
    for model in study.models:
        if model.scores.values is None:
            continue
        body += heading(f"The {model.name}") if len(study.models) > 1 else ""
        note = f" The {most} largest of {len(study.groups)} groups." if len(study.groups) > most else ""
        found = plots.group_curves(study, model)
        body += figures([figure(svg, _CAPTIONS[kind] + note) for kind, svg in found.items()])
        if not model.scores.probability:
            body += paragraph("The scores are no probabilities, so that there is no calibration to show.")
        values = score_table(study, model)
        rows = [[name, *map(Number, own.values())] for name, own in values]
        columns = [", ".join(study.features), *values[-1][1]]
        body += table(columns, _filled(rows, len(columns)), f"Scores of each group{_whose(study, model)}", total=True)
    return body


def _filled(rows, width):
    return [[*row, *[Number(np.nan)] * (width - len(row))] for row in rows]
