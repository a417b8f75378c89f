"""The numbers of an audit: reports of one classifier or two on the same rows, and the difference between them."""

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from skfair._sensitive import read_columns
from skfair.metrics import GroupReport
from skfair.metrics._bootstrap import quantile_interval, resample
from skfair.metrics._counts import GroupCounts, count, divide, positive_labels, positive_tables
from skfair.metrics._inputs import encode_labels
from skfair.metrics._random import as_generator
from skfair.metrics._report import _all_gaps, check_options, report_of
from skfair.reporting._asked import Answer, Scores

__all__ = ["Model", "Study", "make_study"]

BETWEEN = " \N{MIDDLE DOT} "  # the values of several sensitive features


class Model(NamedTuple):
    """One classifier on the rows of the audit."""

    answer: Answer
    table: GroupCounts
    report: GroupReport
    scores: Scores
    by_feature: dict  # {sensitive feature: GroupReport}, where there are several

    @property
    def name(self):
        return self.answer.name


class Study(NamedTuple):
    """All that a page is made of."""

    models: list  # the classifier, and the baseline if there is one
    features: list  # names of the sensitive features
    groups: list  # labels as text
    group: np.ndarray  # (n,) codes
    positive: np.ndarray | None  # (n,) whether a row is positive; None for more than two classes
    positives: list
    weight: np.ndarray | None
    changes: pd.DataFrame | None  # of accuracy and gaps, from the baseline to the classifier
    notices: list
    options: dict


def make_study(y, answers, sensitive_features, sample_weight, pos_label, **options):
    """Compute everything; ``options`` are n_boot, confidence_level, min_count and random_state."""
    check_options(options["n_boot"], options["confidence_level"])
    rng = as_generator(options["random_state"])
    models, notices = [], []
    for answer in answers:
        model, found = _model(y, answer, sensitive_features, sample_weight, pos_label, rng, options)
        models.append(model)
        notices += [f"{answer.name}: {text}" if len(answers) > 1 else text for text in found]
    table = models[0].table
    group, true, _ = np.unravel_index(table.cells, table.counts.shape)
    positives = positive_labels(table.classes, pos_label)
    binary = len(positives) == 1
    positive = np.array([label == positives[0] for label in table.classes.tolist()])[true] if binary else None
    changes = _changes(y, models, positives, rng, options) if len(models) == 2 else None
    groups = [BETWEEN.join(map(str, own)) if isinstance(own, tuple) else str(own) for own in table.groups]
    names = ["group" if name == "sensitive_feature_0" else name for name in map(str, table.names)]
    return Study(
        models, names, groups, group, positive, positives, table.weight, changes,
        _notices(table, models[0].report, groups, options) + list(dict.fromkeys(notices)), options,
    )  # fmt: skip


def _model(y, answer, sensitive_features, sample_weight, pos_label, rng, options):
    """The classifier's reports, and what is to be said about them."""
    table = count(y, answer.predicted, sensitive_features, sample_weight)
    positives = positive_labels(table.classes, pos_label)
    scores = Scores()
    if len(positives) == 1:
        scores = answer.scores(positives[0], table.classes.tolist())

    def report(table, score=None):
        return report_of(
            table, score, options["n_boot"], options["confidence_level"], rng, options["min_count"], pos_label
        )

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        whole = report(table, scores.values)
        by_feature = {}
        if len(table.names) > 1:
            for column, name in zip(*read_columns(sensitive_features)):
                by_feature[str(name)] = report(count(y, answer.predicted, column, sample_weight))
    notices = [scores.notice] * (scores.notice is not None) + _undefined([str(w.message) for w in caught])
    return Model(answer, table, whole, scores, by_feature), notices


def _undefined(messages, most=4):
    """What the metrics warned about, a sentence for each rate and label; undefined gaps first."""
    phrases = list(dict.fromkeys(phrase for message in messages for phrase in message.split("; ")))
    phrases.sort(key=lambda phrase: not phrase.startswith("undefined gaps"))
    more = [f"And {len(phrases) - most} more of this kind"] * (len(phrases) > most)
    return [f"{phrase[0].upper()}{phrase[1:]}." for phrase in phrases[:most] + more]


def _notices(table, report, groups, options):
    """What a reader has to know before the numbers."""
    notices, least = [], options["min_count"]
    small = [name for name, is_small in zip(groups, report.by_group["small"]) if is_small]
    if small:
        named = ", ".join(small[:10]) + (f" and {len(small) - 10} more" if len(small) > 10 else "")
        notices.append(
            f"{len(small)} of {len(groups)} groups {'has' if len(small) == 1 else 'have'} fewer than {least} rows with one "
            f"of the true labels, so that their rates say little: {named}."
        )
    if len(groups) == 1:
        notices.append(f"There is only one group, {groups[0]}: there are no gaps to speak of.")
    labels = table.classes[table.counts.sum((0, 2)) > 0].tolist()
    if len(labels) == 1:
        notices.append(f"All rows have the true label {labels[0]!r}: some rates are not defined.")
    never = table.classes[table.counts.sum((0, 2)) == 0].tolist()
    if never:
        notices.append(f"Some rows are predicted as {', '.join(map(repr, never))}, a true label of none.")
    absent = sum("missing" in (own if isinstance(own, tuple) else (own,)) for own in table.groups)
    if absent:
        notices.append('Rows whose sensitive feature is missing are a group of their own, "missing".')
    return notices


def _changes(y, models, positives, rng, options):
    """Accuracy and gaps of the classifier less those of the baseline, on the same resamples of rows."""
    tables = [model.table for model in models]
    n, size = len(y), len(tables[0].groups)
    both = np.concatenate([model.answer.predicted.astype(object) for model in models])
    classes, true, pred = encode_labels(np.concatenate([y, y]).astype(object), both)
    group = np.unravel_index(tables[0].cells, tables[0].counts.shape)[0]
    width, weight = len(classes), tables[0].weight
    kinds, places = np.unique(
        np.ravel_multi_index((group, true[:n], pred[:n], pred[n:]), (size, width, width, width)), return_inverse=True
    )
    g, t, *each = np.unravel_index(kinds, (size, width, width, width))
    cells = [np.ravel_multi_index((g, t, own), (size, width, width)) for own in each]
    marginal = [
        csr_array((np.ones(len(kinds)), (own, np.arange(len(kinds)))), (size * width**2, len(kinds))) for own in cells
    ]

    def differences(samples):
        after, before = (_values(own, samples, (size, width, width), classes, positives) for own in marginal)
        return {name: after[name] - before[name] for name in after}

    observed = differences(np.bincount(places, weights=weight, minlength=len(kinds))[None].astype(np.float64))
    step = max(1, 4_000_000 // (len(kinds) + size * width**2))
    parts = [
        differences(resample(places, len(kinds), min(step, options["n_boot"] - first), rng, weight))
        for first in range(0, options["n_boot"], step)
    ] or [differences(np.zeros((0, len(kinds))))]
    drawn = {name: np.concatenate([part[name] for part in parts]) for name in observed}
    rows = [
        (name, float(value[0]), *map(float, quantile_interval(drawn[name], options["confidence_level"])))
        for name, value in observed.items()
    ]
    return pd.DataFrame(rows, columns=["metric", "estimate", "low", "high"])


def _values(marginal, samples, shape, classes, positives):
    """Accuracy and all gaps of predictions, of tables (B, kinds)."""
    counts = (marginal @ samples.T).T.reshape(-1, *shape)
    tables = positive_tables(counts, classes, positives)
    accuracy = divide(np.trace(counts, axis1=-2, axis2=-1).sum(-1), counts.sum((-3, -2, -1)))
    return {"accuracy": accuracy, **_all_gaps(counts, tables)}
