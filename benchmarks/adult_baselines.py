"""Fair classifiers on Adult, sensitive feature sex: ours, fairlearn's and the trivial controls, on the same splits.

SKFAIR_DATA=<folder with the data> python benchmarks/adult_baselines.py           # all, 3 seeds, about 35 minutes
SKFAIR_DATA=<folder with the data> python benchmarks/adult_baselines.py --quick   # 1 seed, few points, only printed
"""

import argparse
import functools
import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import common
import numpy as np
import torch
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.reductions import DemographicParity, EqualizedOdds, ExponentiatedGradient
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import train_test_split

from skfair import metrics
from skfair.adversarial import AdversarialClassifier
from skfair.datasets import fetch_adult
from skfair.preprocessing import make_tabular_preprocessor
from skfair.regularization import RegularizedClassifier
from skfair.robust import ERMClassifier, GroupDROClassifier

DP, EO, EOP = "demographic_parity", "equalized_odds", "equal_opportunity"
BATCH = 512  # of our nets, unless a row says "defaults"
THRESHOLDS = [round(0.5 + 0.025 * step, 3) for step in range(1, 20)]
MEASURES = {
    "acc": accuracy_score,
    "bal": balanced_accuracy_score,
    "dp": metrics.demographic_parity_difference,
    "eo": metrics.equalized_odds_difference,
    "eop": metrics.equal_opportunity_difference,
    "worst": metrics.worst_group_accuracy,
}
HEAD = ["accuracy", "balanced acc.", "DP diff.", "EO diff.", "EOp diff.", "worst cell acc.", "selection rate", "fit s"]
# to beat at a DP difference of at most 3 points: (accuracy, of what)
TO_BEAT = [(83.9, "a plain MLP with a gap penalty"), (83.4, "ExponentiatedGradient with logistic regression")]
PROTOCOL = """\
# Adult, sensitive feature sex: baselines and trivial controls

{rows:,} rows without missing values, {columns} inputs. Per seed: 70/30 split into training and test rows, stratified on
label and sex; the seed also seeds the model. `make_tabular_preprocessor()`, fitted on the training rows; **sex stays a
feature**. Seeds {seeds}; mean +- standard deviation over them. One CPU thread.
{machine}

* All points of every method are shown (thresholds: some of those tried); **no test row chooses among them**. For the
  tables "best accuracy at a gap of at most ..." each point is first fitted on 75 % of the training rows (the preprocessor
  too); the point with the best accuracy among those whose gap on the other 25 % is within the bound is chosen, per seed,
  and its fit on all training rows is tested.
* Our nets are MLP 50-50 with dropout 0.2, Adam 1e-3, 20 epochs, no weight decay, batch {batch} (rows that say "defaults":
  the class's own parameters). Batch, epochs and the ranges of the strengths were chosen before, on a fifth of the
  training rows of seed 0 (tried: batch 256 to 2,048, 20 to 40 epochs, rates 1e-3 to 1e-2, weight decay 1e-4, no dropout,
  wider and linear nets; at equal gap they differ by less than the noise of those rows, except that the linear one is
  worse). Some of those rows are test rows of the other seeds, so that this one choice is not blind there. The
  hsic strengths 15 and 30 were added after the test rows of the other points had been seen.
* GroupDRO's groups are the cells label x sex (its only form). "Random groups": sex is shuffled over the training rows.
* fairlearn's methods are over `LogisticRegression(max_iter=1000)`. `ThresholdOptimizer` sets its thresholds on the
  training rows and is the only method that **needs the sex at predict**; it and `ExponentiatedGradient` predict at
  random (seeded). "bound" is `difference_bound`, which bounds the distance of a group to all rows, with the default eps
  of the reduction.
* Gaps and rates are in points (per cent). DP: difference of the selection rates; EO: the larger of the differences of
  TPR and FPR; EOp: of TPR; worst cell: least accuracy of the four cells label x sex.
* Fit seconds are wall time on a machine shared with other work: an order of magnitude. A raised threshold and
  `ThresholdOptimizer` contain the time of their base model.
"""


@dataclass(eq=False)
class Task:
    """Rows to learn from and rows to be judged on, preprocessed for them."""

    X: np.ndarray
    y: np.ndarray
    s: np.ndarray
    X_eval: np.ndarray
    y_eval: np.ndarray
    s_eval: np.ndarray
    seed: int


@dataclass
class Point:
    """One line of the table: ``run(task)`` returns the predictions for ``task.X_eval`` and the seconds of the fit."""

    family: str
    setting: str
    run: Callable
    shown: bool = True
    candidate: bool = True  # for the tables that choose a point; others are not fitted for the validation rows

    @property
    def key(self):
        return f"{self.family} | {self.setting}"


# ---------------------------------------------------------------------------------------------- rows
def split(rows, y, s, part, seed):
    strata = [f"{label} {group}" for label, group in zip(y[rows], s[rows])]
    return train_test_split(rows, test_size=part, stratify=strata, random_state=seed)


def make_task(adult, learn, judge, seed):
    y, s = adult.target.to_numpy(), adult.sensitive_features["sex"].to_numpy().astype(str)
    preprocessor = make_tabular_preprocessor().fit(adult.data.iloc[learn])
    # float64: fairlearn's ThresholdOptimizer fails on float32 probabilities
    X, X_eval = (preprocessor.transform(adult.data.iloc[rows]).astype(np.float64) for rows in (learn, judge))
    return Task(X, y[learn], s[learn], X_eval, y[judge], s[judge], seed)


def make_tasks(adult, seed):
    """The task that chooses (training rows alone) and the one that is reported."""
    y, s = adult.target.to_numpy(), adult.sensitive_features["sex"].to_numpy().astype(str)
    train, test = split(np.arange(len(y)), y, s, 0.3, seed)
    fit, valid = split(train, y, s, 0.25, seed)
    return {"valid": make_task(adult, fit, valid, seed), "test": make_task(adult, train, test, seed)}


# ---------------------------------------------------------------------------------------------- methods
def fitted(model, task, s):
    start = time.perf_counter()
    model.fit(task.X, task.y, **({} if s is None else {"sensitive_features": s}))
    return model, time.perf_counter() - start


def net(cls, random_groups=False, batch_size=BATCH, **parameters):
    """A run of one of our nets. ``batch_size=None`` leaves the class's own."""
    if batch_size is not None:
        parameters["batch_size"] = batch_size

    def run(task):
        s = np.random.default_rng(task.seed).permutation(task.s) if random_groups else task.s
        model, seconds = fitted(cls(random_state=task.seed, device="cpu", **parameters), task, s)
        return model.predict(task.X_eval), seconds

    return run


@functools.lru_cache(maxsize=4)
def base_model(name, task):
    if name == "net":
        return fitted(ERMClassifier(batch_size=BATCH, random_state=task.seed, device="cpu"), task, None)
    return fitted(LogisticRegression(max_iter=1000), task, None)


def base(name, threshold=0.5):
    def run(task):
        model, seconds = base_model(name, task)
        return (model.predict_proba(task.X_eval)[:, 1] > threshold).astype(int), seconds

    return run


def threshold_optimizer(name, constraints, tol):
    def run(task):
        model, seconds = base_model(name, task)
        optimizer = ThresholdOptimizer(
            estimator=model, constraints=constraints, prefit=True, predict_method="predict_proba", tol=tol
        )
        optimizer, more = fitted(optimizer, task, task.s)
        predicted = optimizer.predict(task.X_eval, sensitive_features=task.s_eval, random_state=task.seed)
        return predicted, seconds + more

    return run


def exponentiated_gradient(constraint, bound):
    def run(task):
        model = ExponentiatedGradient(LogisticRegression(max_iter=1000), constraint(difference_bound=bound))
        model, seconds = fitted(model, task, task.s)
        return model.predict(task.X_eval, random_state=task.seed), seconds

    return run


def constant(task):
    return np.zeros(len(task.y_eval), dtype=int), 0.0


# ---------------------------------------------------------------------------------------------- points
def controls():
    yield Point("constant", "always 0", constant, candidate=False)
    yield Point("LogisticRegression", "-", base("logistic"))
    yield Point("ERMClassifier", "defaults (batch 64)", net(ERMClassifier, batch_size=None), candidate=False)
    yield Point("ERMClassifier", "batch 512", base("net"))
    for threshold in THRESHOLDS:
        shown = threshold in (0.6, 0.7, 0.8, 0.9)
        yield Point("ERM net, raised threshold", f"threshold {threshold}", base("net", threshold), shown)
    random = net(RegularizedClassifier, random_groups=True, strength=1.0)
    yield Point("Regularized DP gap, random groups", "strength 1", random, candidate=False)
    random = net(GroupDROClassifier, random_groups=True, batch_size=None)
    yield Point("GroupDRO, random groups", "defaults", random, candidate=False)


def robust():
    adam = {"optimizer": torch.optim.Adam, "lr": 1e-3}
    yield Point("GroupDRO", "defaults", net(GroupDROClassifier, batch_size=None), candidate=False)
    yield Point("GroupDRO", "Adam 1e-3, L2 1e-4", net(GroupDROClassifier, weight_decay=1e-4, **adam), candidate=False)


def regularized():
    grid = {
        (DP, "gap"): [0.4, 0.55, 0.7, 0.85, 1.0, 1.5, 2.5, 4.0],
        (DP, "hsic"): [10.0, 15.0, 20.0, 30.0, 40.0],
        (EO, "gap"): [0.25, 0.5, 1.0],
        (EO, "hsic"): [10.0, 30.0],
        (EOP, "gap"): [1.0],
    }
    for (constraint, penalty), strengths in grid.items():
        for strength in strengths:
            run = net(RegularizedClassifier, constraint=constraint, penalty=penalty, strength=strength)
            yield Point(f"Regularized {short(constraint)} {penalty}", f"strength {strength:g}", run)


def adversarial():
    variants = {
        "encoder": ({}, {DP: [1.0, 3.0, 10.0], EO: [1.0]}),
        "output": ({"attack": "output"}, {DP: [1.0, 3.0, 10.0], EO: [1.0]}),
        "projection": ({"attack": "output", "projection": True}, {DP: [0.3, 1.0, 3.0], EO: [0.3]}),
        "reversal": ({"reversal": True}, {DP: [3.0, 10.0]}),
    }
    for name, (parameters, grid) in variants.items():
        for constraint, strengths in grid.items():
            for strength in strengths:
                run = net(AdversarialClassifier, constraint=constraint, strength=strength, **parameters)
                yield Point(f"Adversarial {short(constraint)} {name}", f"strength {strength:g}", run)


def fairlearns():
    for moment, name, bounds in (
        (DemographicParity, "DP", [0.005, 0.01, 0.02, 0.03]),
        (EqualizedOdds, "EO", [0.01, 0.03]),
    ):
        for bound in bounds:
            run = exponentiated_gradient(moment, bound)
            yield Point(f"ExponentiatedGradient {name}", f"bound {bound:g}", run)
    for name in ("logistic", "net"):
        for constraint, tols in ((DP, [None, 0.03]), (EO, [None])):
            for tol in tols:
                run = threshold_optimizer(name, constraint, tol)
                setting = "exact" if tol is None else f"tol {tol:g}"
                yield Point(f"ThresholdOptimizer {short(constraint)}, {name}", setting, run)


def short(constraint):
    return {DP: "DP", EO: "EO", EOP: "EOp"}[constraint]


def points(quick):
    found = [*controls(), *robust(), *regularized(), *adversarial(), *fairlearns()]
    if not quick:
        return found
    few = {
        "constant | always 0", "LogisticRegression | -", "ERMClassifier | batch 512", "Regularized DP gap | strength 0.7",
        "Regularized DP gap | strength 1.5", "Adversarial DP projection | strength 1",
        "ExponentiatedGradient DP | bound 0.02", "ThresholdOptimizer DP, logistic | exact",
    }  # fmt: skip
    return [point for point in found if point.key in few or "raised" in point.family]


# ---------------------------------------------------------------------------------------------- measuring
def measure(task, predicted, seconds):
    found = {}
    for name, metric in MEASURES.items():
        groups = {} if name in ("acc", "bal") else {"sensitive_features": task.s_eval}
        found[name] = 100 * float(metric(task.y_eval, predicted, **groups))
    return {**found, "sel": 100 * float(np.mean(predicted)), "seconds": seconds}


def measure_all(adult, chosen, seeds, store):
    """Records by (key of the point, seed, "valid" or "test"); those that the store has already are not run again."""
    records = {(r["key"], r["seed"], r["part"]): r for r in store_read(store)}
    for seed in seeds:
        tasks = make_tasks(adult, seed)
        for point in chosen:
            for part, task in tasks.items():
                where = (point.key, seed, part)
                if where not in records and (part == "test" or point.candidate):
                    record = measure(task, *point.run(task))
                    records[where] = record
                    store_add(store, {"key": point.key, "seed": seed, "part": part, **record})
    return records


def store_read(store):
    return [json.loads(line) for line in store.read_text().splitlines()] if store and store.exists() else []


def store_add(store, record):
    if store:
        with store.open("a") as stream:
            stream.write(json.dumps(record) + "\n")


# ---------------------------------------------------------------------------------------------- tables
def spread(values, digits=1):
    values = np.array(values)
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{values.mean():.{digits}f} +- {values.std(ddof=1):.{digits}f}"


def cells(found):
    """Columns of the table from records of several seeds; the accuracy with two digits."""
    names = [*MEASURES, "sel", "seconds"]
    return [spread([r[name] for r in found], 2 if name == "acc" else 1) for name in names]


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def curve(chosen, records, seeds):
    rows = []
    for point in chosen:
        if point.shown:
            rows.append([point.family, point.setting, *cells([records[point.key, seed, "test"] for seed in seeds])])
    return table(["method", "point", *HEAD], rows)


def families(chosen):
    """Points by the families among which a headline chooses; all of one class together, too."""
    found = {}
    for point in chosen:
        if point.candidate:
            found.setdefault(point.family, []).append(point)
            if point.family.startswith(("Regularized", "Adversarial")):
                found.setdefault(f"{point.family.split()[0]}, all", []).append(point)
    return found


def choose(candidates, records, seed, part, gap, bound):
    within = [p for p in candidates if records[p.key, seed, part][gap] <= bound]
    return max(within, key=lambda p: records[p.key, seed, part]["acc"], default=None)


def chosen_records(candidates, records, seeds, part, gap, bound):
    """Per seed the test record of the point that the rows of `part` choose, and its setting."""
    picks = [(seed, choose(candidates, records, seed, part, gap, bound)) for seed in seeds]
    return [(records[p.key, seed, "test"], p) for seed, p in picks if p is not None]


def headline(chosen, records, seeds, gap, bound):
    """Lines (family, accuracy, gap, cells): first those within the bound on test rows, too; then by accuracy."""
    rows = []
    for family, candidates in families(chosen).items():
        found = chosen_records(candidates, records, seeds, "valid", gap, bound)
        if len(found) < len(seeds):
            continue
        accuracy, reached = (np.array([r[name] for r, _ in found]) for name in ("acc", gap))
        oracle = [r["acc"] for r, _ in chosen_records(candidates, records, seeds, "test", gap, bound)]
        short_of = f" ({len(oracle)} of {len(seeds)} seeds)" if len(oracle) < len(seeds) else ""
        line = [
            family, spread(accuracy, 2), spread(reached), f"{sum(reached <= bound)} of {len(seeds)}",
            spread([r["bal"] for r, _ in found]), spread([r["worst"] for r, _ in found]),
            "; ".join(dict.fromkeys(p.setting for _, p in found)), spread(oracle, 2) + short_of if oracle else "none",
        ]  # fmt: skip
        rows.append((family, accuracy.mean(), reached.mean(), line))
    return sorted(rows, key=lambda row: (row[2] > bound, -row[1]))


def headline_section(rows, chosen, gap, bound):
    name = {"dp": "DP", "eo": "EO"}[gap]
    head = [
        "method", "accuracy", f"{name} diff. on test", "seeds within", "balanced acc.", "worst cell acc.", "chosen points",
        "oracle: chosen on TEST",
    ]  # fmt: skip
    missing = sorted(set(families(chosen)) - {row[0] for row in rows})
    return "\n\n".join(
        [
            f"## Best accuracy at {name} difference <= {bound} points, chosen on validation rows",
            table(head, [row[-1] for row in rows]),
            f"No point within the bound on the validation rows of every seed: {'; '.join(missing) or 'none'}.",
        ]
    )


# ---------------------------------------------------------------------------------------------- reading
def reading(rows, records, seeds):
    """What the numbers say, computed, so that it cannot differ from the tables; then what we make of them."""
    ours = [row for row in rows if row[0].startswith(("Regularized", "Adversarial")) and "all" not in row[0]]
    lines = []
    for value, of_what in TO_BEAT:
        passed = any(row[1] >= value and row[2] <= 3 for row in ours)
        lines.append(
            f"{value} at <= 3 points ({of_what}), by mean accuracy and mean test gap: {'' if passed else 'NOT '}reached."
        )
    lines[-1] += f" Ours: {quote(ours)}; others: {quote([row for row in rows if row[0].startswith(OTHERS)])}."
    lines.append(read_off(records, seeds))
    for key in ("Regularized DP gap, random groups | strength 1", "GroupDRO, random groups | defaults"):
        if (key, seeds[0], "test") in records:
            found = [np.mean([records[key, seed, "test"][name] for seed in seeds]) for name in ("acc", "dp", "worst")]
            text = "accuracy {:.2f}, DP difference {:.1f}, worst cell {:.1f}".format(*found)
            lines.append(f"Control, {key.replace(' | ', ', ')}: {text}.")
    return [*lines, *(REMARKS if len(seeds) == 3 else [])]


def quote(rows):
    return "; ".join(f"{family} {accuracy:.2f} at {gap:.1f}" for family, accuracy, gap, _ in rows) or "no point within"


def read_off(records, seeds):
    """The best points of the table of all points, by their mean gap on test rows."""
    best = {"Regularized": (-1, ""), "Adversarial": (-1, ""), "ExponentiatedGradient": (-1, "")}
    for key in dict.fromkeys(where[0] for where in records):
        accuracy, gap = (np.mean([records[key, seed, "test"][name] for seed in seeds]) for name in ("acc", "dp"))
        kind = key.split()[0]
        if kind in best and "random" not in key and gap <= 3:
            best[kind] = max(best[kind], (accuracy, f"{key.replace(' | ', ', ')}: {accuracy:.2f} at {gap:.1f} points"))
    found = "; ".join(text or f"{kind}: none" for kind, (_, text) in best.items())
    return f"Read off the table of all points, so chosen on test rows (oracle), mean gap at most 3: {found}."


OTHERS = ("Exponentiated", "Threshold", "ERM")
# written by hand about the full run with 3 seeds; to be read again when the table changes
REMARKS = [
    "Regularized hsic: with its first grid (10, 20, 40) validation chose 83.94 at 2.9 points, with the finer one (15 and 30 "
    "added later) 83.99 at 3.1: reached or not is within the noise. At equal gap it has 0.4 points more than "
    "ExponentiatedGradient and is level with ThresholdOptimizer over our net, which needs the sex at predict (84.00 at 3.5 "
    "against 83.94 at 3.6). Part of the lead over the reduction is the net: unmitigated, it leads by 0.8.",
    "The gap penalty is NOT the winner: it levels off at 3 to 5 points, and more strength costs accuracy without closing "
    "the gap. A likely reason: it equalises mean probabilities, not decisions (one fit, validation rows of seed 0, strength "
    "2.5: 0.1 points in the first, 2.5 in the second). hsic compares distributions; its gap falls with the strength.",
    "No adversarial variant holds 3 points at these settings: the standard deviation of the gap over seeds reaches 5 "
    "points, so that a setting chosen on validation rows fails on refit. At gaps above 10 points they are about as good "
    "as any.",
    "Controls: for the same gap a raised threshold pays 5 points of accuracy more; random groups leave the gap of the plain "
    "net. More than half of GroupDRO's gain in the worst cell is rebalancing of the labels: random groups give it too.",
    "Every point at a DP difference <= 3 with an accuracy above 80 has an equalized odds difference of 24 to 32 points, "
    "more than twice the unmitigated net's. The constant has neither gap: gaps alone say nothing.",
    "Equalized odds: fixed settings of Regularized EO hsic (10) and of the adversaries (EO) have 85.0 to 85.2 at 5.0 to "
    "5.8, ExponentiatedGradient 84.5 at 5.3. For a bound of 5 the hsic line rests on strength 30, added later, where one of "
    "three nets collapsed to a constant; ThresholdOptimizer (needs the sex) is safest. The EO gap penalty stays above 7.",
]


def report(adult, chosen, records, seeds, columns):
    first, second = (headline(chosen, records, seeds, gap, bound) for gap, bound in (("dp", 3), ("eo", 5)))
    protocol = PROTOCOL.format(
        rows=len(adult.target), columns=columns, seeds=", ".join(map(str, seeds)), machine=common.machine(), batch=BATCH
    )
    return "\n\n".join(
        [
            protocol.strip(),
            "## All points, test rows",
            curve(chosen, records, seeds),
            headline_section(first, chosen, "dp", 3),
            headline_section(second, chosen, "eo", 5),
            "## Reading",
            "\n".join(f"* {line}" for line in reading(first, records, seeds)),
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many; they are 0, 1, ...")
    parser.add_argument("--quick", action="store_true", help="one seed, few points; prints, writes no file")
    parser.add_argument("--records", type=Path, help="JSON lines of the single runs: kept there, and reused if present")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=FutureWarning, module="fairlearn")
    adult = fetch_adult(sensitive="sex", drop_missing=True)
    seeds = list(range(1 if arguments.quick else arguments.seeds))
    chosen = points(arguments.quick)
    records = measure_all(adult, chosen, seeds, arguments.records)
    columns = make_tabular_preprocessor().fit_transform(adult.data).shape[1]
    text = report(adult, chosen, records, seeds, columns)
    print(text) if arguments.quick else common.write("adult_baselines", text)


if __name__ == "__main__":
    main()
