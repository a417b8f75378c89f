"""What the numbers say, in sentences. None of them says that a model is fair."""

from typing import NamedTuple

import numpy as np

__all__ = ["GAPS", "RATES", "extremes", "reading", "short", "shown", "summary"]


class Rate(NamedTuple):
    title: str
    plural: str
    gap: str | None  # the metric that is the largest difference in it
    meaning: str


class Gap(NamedTuple):
    title: str
    difference: bool  # whether it is a difference between groups, 0 at best
    meaning: str


RATES = {
    "accuracy": Rate("accuracy", "accuracies", None, "share of rows whose prediction is their label"),
    "base_rate": Rate("base rate", "base rates", None, "share of rows that are positive"),
    "selection_rate": Rate(
        "selection rate", "selection rates", "demographic_parity_difference", "share of rows that are predicted positive"
    ),
    "TPR": Rate(
        "TPR", "true positive rates", "equal_opportunity_difference",
        "share of the positive rows that are predicted positive",
    ),
    "FPR": Rate("FPR", "false positive rates", None, "share of the negative rows that are predicted positive"),
    "FNR": Rate("FNR", "false negative rates", None, "share of the positive rows that are predicted negative, 1 - TPR"),
}  # fmt: skip
GAPS = {
    "demographic_parity_difference": Gap("demographic parity difference", True, "largest difference in selection rates"),
    "equal_opportunity_difference": Gap("equal opportunity difference", True, "largest difference in TPR"),
    "equalized_odds_difference": Gap(
        "equalized odds difference", True, "the larger of the differences in TPR and in FPR"
    ),
    "average_odds_difference": Gap(
        "average odds difference", True, "half the differences in TPR and in FPR of a pair of groups, summed, at its largest"
    ),
    "joint_opportunity_difference": Gap(
        "joint opportunity difference", True, "largest difference in the share of rows that are true positives"
    ),
    "equal_opportunity_at_calibrated_threshold": Gap(
        "equal opportunity at calibrated threshold", True,
        "largest difference in TPR if as many rows are selected as are positive",
    ),
    "demographic_parity_ratio": Gap("demographic parity ratio", False, "lowest selection rate over the highest; 1 at best"),
    "equal_opportunity_ratio": Gap("equal opportunity ratio", False, "lowest TPR over the highest; 1 at best"),
    "equalized_odds_ratio": Gap(
        "equalized odds ratio", False, "the smaller of the ratios of TPR and of FPR; 1 at best"
    ),
    "demographic_parity_sum": Gap(
        "demographic parity sum", False, "distances of the groups' selection rates to that of all rows, summed"
    ),
    "equalized_odds_sum": Gap(
        "equalized odds sum", False, "half the distances of the groups' FPR and FNR to those of all rows, summed"
    ),
    "score_kl": Gap("score KL", False, "divergence between the groups' distributions of scores, given the label"),
    "worst_group_accuracy": Gap("worst-group accuracy", False, "lowest accuracy in a cell of group and label; 1 at best"),
    "bias_amplification": Gap(
        "bias amplification", False, "how much predictions go beyond the link of label and group in the data; signed"
    ),
}  # fmt: skip


def shown(estimate, low=np.nan, high=np.nan, sign=""):
    """An estimate and its interval."""
    if np.isnan(estimate):
        return "undefined"
    text = f"{estimate:{sign}.3f}"
    text = text if np.isnan(low) else f"{text} [{low:{sign}.3f}, {high:{sign}.3f}]"
    return text.replace("-", "\N{MINUS SIGN}")


def short(text, most=30):
    """A label that fits into a plot, its ends kept; the tables have the whole."""
    text, half = " ".join(text.split()), (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - half]}\N{HORIZONTAL ELLIPSIS}{text[-half:]}"


def extremes(study, frame, rate):
    """The groups with the lowest and the highest rate, in words; None where fewer than two have one."""
    values, small = frame[rate].to_numpy(float), frame["small"].to_numpy(bool)
    if (~np.isnan(values)).sum() < 2:
        return None
    if len(values) == 2:
        return ", ".join(f"{_named(study, frame, g)} {values[g]:.3f}" for g in (0, 1))
    low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
    text = ", ".join(
        f"{word} in {_named(study, frame, g)} {values[g]:.3f}" for word, g in (("lowest", low), ("highest", high))
    )
    larger = np.where(small, np.nan, values)
    if (small[low] or small[high]) and (~np.isnan(larger)).sum() > 1:
        text += f"; among groups that are not small by {np.nanmax(larger) - np.nanmin(larger):.3f}"
    return text


def _named(study, frame, g):
    return study.groups[g] + (" (small)" if frame["small"].iloc[g] else "")


def summary(study, trades):
    """Sentences about the classifier; its rates, its gaps, the baseline, and what other thresholds do."""
    model = study.models[0]
    overall, frame = model.report.overall, model.report.by_group
    gaps = model.report.gaps.set_index("metric")
    level = f"{100 * study.options['confidence_level']:g}%"
    n = len(study.group)
    said = [f"On {n:,} rows in {len(study.groups)} groups, the accuracy is {overall['accuracy']:.3f}."]
    for rate in (name for name in RATES if name in frame and name != "FNR"):
        between = extremes(study, frame, rate)
        if between is None:
            continue
        name = RATES[rate].gap
        values = frame[rate].to_numpy(float)
        amount = shown(*gaps.loc[name]) if name else f"{np.nanmax(values) - np.nanmin(values):.3f}"
        said.append(f"{RATES[rate].plural.capitalize()} differ by {amount} between groups: {between}.")
    if study.positive is None:
        said.append(
            "Each label in turn against the rest, at the worst: selection rates differ by "
            f"{shown(*gaps.loc['demographic_parity_difference'])}, true positive rates by "
            f"{shown(*gaps.loc['equal_opportunity_difference'])}."
        )
    if study.changes is not None:
        said += list(_changes(study))
    said += trades
    if study.options["n_boot"]:
        said.append(f"In brackets: {level} intervals over resamples of these rows.")
    return said


def _changes(study):
    baseline = study.models[1]
    gaps = baseline.report.gaps.set_index("metric")["estimate"]
    before = {"accuracy": baseline.report.overall["accuracy"], **gaps}
    for name in ("accuracy", "demographic_parity_difference", "equalized_odds_difference"):
        row = study.changes.set_index("metric").loc[name]
        title = "accuracy" if name == "accuracy" else GAPS[name].title
        change = shown(*row, sign="+")
        yield f"The {title} of the baseline is {shown(before[name])}; from there to the model it changes by {change}."


def reading(study):
    """What to know when reading the numbers."""
    level, least = f"{100 * study.options['confidence_level']:g}%", study.options["min_count"]
    return [
        "This page gives no verdict. Which rates should be equal is a question about the use of the model, not about "
        "these numbers. Where base rates differ, a useful model can hardly have equal selection rates and equal error rates "
        "at once.",
        f"An interval ({level}) says how much a number would move with other rows drawn like these. It is of this one "
        "fitted model: another training, another seed or other training rows are not in it.",
        "A gap is the largest difference between groups and never negative. Resampling inflates it: the interval of a gap "
        "near 0 lies above 0, and may lie above the estimate. It is no test of whether there is a gap.",
        "Where a rate is 0 or 1, resampling cannot move it: its interval has no width, which is no certainty.",
        "An interval that reaches down to 0 does not say that there is no gap; there may be too few rows.",
        f"A rate of a small group (*, fewer than {least} rows with one of the true labels) says little. With many groups, "
        "the largest gap is often that of the smallest groups.",
        "The labels are taken as true. If they carry a bias of their own, rates against them carry it too.",
        '"undefined" stands where a rate has no rows to be computed on.',
    ]
