"""The quality of whole fairness-accuracy fronts: ours, fairlearn's and the trivial controls, on the same splits.

SKFAIR_DATA=<folder with the data> python benchmarks/frontier_quality.py --records FILE   # all: about 90 minutes
... --methods "Exp*" --tasks "Adult*" --seeds 0 1 --records FILE                          # a part of it, no page
... --report --records FILE                                                               # the page from the file
"""

import argparse
import collections
import fnmatch
import functools
import itertools
import json
import os
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import common
import numpy as np
import pandas as pd
import sklearn
import torch
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.reductions import DemographicParity, EqualizedOdds, ExponentiatedGradient
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OrdinalEncoder

from skfair.adversarial import AdversarialClassifier
from skfair.datasets import fetch_adult, fetch_compas, fetch_german_credit, fetch_meps
from skfair.metrics import demographic_parity_difference, equalized_odds_difference, get_scorer
from skfair.model_selection import FrontierSearchCV, hypervolume
from skfair.modules import MLP
from skfair.preprocessing import make_tabular_preprocessor
from skfair.regularization import RegularizedClassifier
from skfair.robust import ERMClassifier, GroupDROClassifier

SEEDS = (0, 1, 2, 3, 4)
GAPS = {"dp": demographic_parity_difference, "eo": equalized_odds_difference}
NAMES = {"dp": "demographic_parity", "eo": "equalized_odds"}
MOMENTS = {"dp": DemographicParity, "eo": EqualizedOdds}
STRICT = 0.1  # the second area counts gaps up to this
BOUNDS = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16]
FEW_BOUNDS = [0.005, 0.02, 0.08]  # over trees on MEPS and Adult, where one fit takes 5 to 10 s
ADAM = dict(optimizer=torch.optim.Adam, lr=1e-3, weight_decay=0.0)
# said in full, so that a new default does not change what is compared
NET = dict(module=MLP, max_epochs=20, early_stopping=False, **ADAM)
TREES = dict(max_iter=50, learning_rate=0.2, max_leaf_nodes=15, early_stopping=False)
TOLS = [None, 0.01, 0.02, 0.04, 0.08, 0.12]
# What a task is made of: loader, sensitive feature, groups kept or None for all, batch size of the nets, how many rows or
# None for all
Source = collections.namedtuple("Source", "fetch column kept batch size", defaults=(None,))
TASKS = {
    "German/sex": Source(fetch_german_credit, "sex", None, 128),
    "COMPAS/race": Source(fetch_compas, "race", ("African-American", "Caucasian"), 256),
    "MEPS/race": Source(fetch_meps, "RACE", None, 512),
    "Adult/sex": Source(functools.partial(fetch_adult, drop_missing=True), "sex", None, 512),
    "Adult/race": Source(functools.partial(fetch_adult, drop_missing=True), "race", None, 512),
}


# ---------------------------------------------------------------------------------------------- rows
class Task:
    """One split of one data set: name, seed, frame (the table as loaded), inputs (of each base model), categorical (columns
    of those of the trees), y, s, batch, and parts: the rows to learn from and to be judged on, "valid" and "test"."""

    def __init__(self, **fields):
        vars(self).update(fields)

    def measure(self, part, predicted):
        judged = self.parts[part][1]
        gaps = {gap: float(f(self.y[judged], predicted, sensitive_features=self.s[judged])) for gap, f in GAPS.items()}
        return {"acc": float(accuracy_score(self.y[judged], predicted)), **gaps}


@functools.cache
def rows_of(name, source):
    fetch, column, kept, _, size = source
    data = fetch(sensitive=column)
    s = data.sensitive_features[column].to_numpy().astype(str)
    s = np.where(s == "White", "White", "Non-White") if name.startswith("Adult/race") else s
    rows = np.isin(s, kept or np.unique(s))
    rows[np.random.default_rng(0).permutation(len(s))[size or len(s) :]] = False
    frame, names = data.data.loc[rows].reset_index(drop=True), list(data.categorical_features)
    codes = frame.copy()
    codes[names] = OrdinalEncoder().fit_transform(frame[names].astype(str))
    codes = codes.apply(binned).to_numpy(np.float64)
    return frame, codes, [c in names for c in frame], data.target[rows].to_numpy(), s[rows]


def binned(column):
    """At most 250 values by quantiles: HistGradientBoosting bins anyway, but slowly where the rows have weights."""
    return column if column.nunique() <= 250 else pd.qcut(column, 250, labels=False, duplicates="drop")


@functools.lru_cache(maxsize=len(SEEDS))
def make_task(name, source, seed):
    *_, y, s = rows_of(name, source)
    learn, test = split(np.arange(len(y)), y, s, 0.3, seed)
    return build_task(name, source, seed, learn, test)


def build_task(name, source, seed, learn, test):
    """Of the rows to learn from, 25 % are those that choose."""
    frame, codes, categorical, y, s = rows_of(name, source)
    train, valid = split(learn, y, s, 0.25, seed)
    learn = np.concatenate([train, valid])
    X = make_tabular_preprocessor().fit(frame.iloc[learn]).transform(frame).astype(np.float32)
    inputs = {"net": X, "logistic": X, "trees": codes, "default trees": codes}
    parts = {"valid": (train, valid), "test": (learn, test)}
    fields = dict(name=name, seed=seed, frame=frame, inputs=inputs, categorical=categorical, batch=source.batch)
    return Task(**fields, y=y, s=s, parts=parts)


def split(rows, y, s, part, seed):
    strata = [f"{label} {group}" for label, group in zip(y[rows], s[rows])]
    return train_test_split(rows, test_size=part, stratify=strata, random_state=seed)


# ---------------------------------------------------------------------------------------------- peers and controls
def unfitted(base, task):
    if base == "logistic":  # solved by Newton's method, which is faster here; the same optimum as by default
        return LogisticRegression(solver="newton-cholesky", max_iter=1000)
    if base == "trees":
        return HistGradientBoostingClassifier(**TREES, categorical_features=task.categorical, random_state=task.seed)
    if base == "default trees":
        return HistGradientBoostingClassifier(categorical_features=task.categorical, random_state=task.seed)
    return ERMClassifier(**NET, batch_size=task.batch, random_state=task.seed, device="cpu")


@functools.lru_cache(maxsize=4)
def base_model(base, task, part):
    learn, X = task.parts[part][0], task.inputs[base]
    # float64: ThresholdOptimizer fails on float32 probabilities
    return unfitted(base, task).fit(X[learn].astype(np.float64) if base == "logistic" else X[learn], task.y[learn])


def plain(base, task, part, threshold=0.5):
    probabilities = base_model(base, task, part).predict_proba(task.inputs[base][task.parts[part][1]])
    return (probabilities[:, 1] > threshold).astype(int)


def optimized(base, gap, tol, task, part):
    (learn, judged), X = task.parts[part], task.inputs[base].astype(np.float64)
    model = ThresholdOptimizer(
        estimator=base_model(base, task, part), constraints=NAMES[gap], prefit=True, predict_method="predict_proba", tol=tol
    ).fit(X[learn], task.y[learn], sensitive_features=task.s[learn])  # fmt: skip
    return model.predict(X[judged], sensitive_features=task.s[judged], random_state=task.seed)


def reduced(base, gap, bound, task, part):
    (learn, judged), X = task.parts[part], task.inputs[base]
    moment, rounds = MOMENTS[gap](difference_bound=bound), 10 if base.endswith("trees") else 50
    model = ExponentiatedGradient(unfitted(base, task), moment, max_iter=rounds)
    model.fit(X[learn], task.y[learn], sensitive_features=task.s[learn])
    return model.predict(X[judged], random_state=task.seed)


def peers(name, run, base, task, gap):
    few = base == "trees" and task.name.startswith(("Adult", "MEPS"))
    # a slack for equalized odds is not implemented in ThresholdOptimizer
    values = (FEW_BOUNDS if few else BOUNDS) if name == "bound" else TOLS if gap == "dp" else [None]
    yield "unmitigated", functools.partial(plain, base)
    yield from ((f"{name} {value}", functools.partial(run, base, gap, value)) for value in values)


# ---------------------------------------------------------------------------------------------- ours
def search(cls, parameter, values, task, gap, random_groups=False, **fixed):
    """All values of the parameter in one search; yields records."""
    learn, judged = task.parts["test"]
    s, train = task.s[learn], len(task.parts["valid"][0])
    scoring = {name: get_scorer(metric.__name__) for name, metric in GAPS.items()}
    if random_groups:  # trained with shuffled groups, scored with the true ones
        scoring = {name: lambda net, X, y, name=name: -task.measure("valid", net.predict(X))[name] for name in GAPS}
        s = np.random.default_rng(task.seed).permutation(s)
    if cls is not GroupDROClassifier:
        fixed["constraint"] = NAMES[gap]
    batch = min(task.batch, 256 if fixed.get("penalty") == "hsic" else 512)  # hsic's cost is the square
    model = cls(batch_size=batch, random_state=task.seed, device="cpu", **{**NET, **fixed})
    scoring, cv = {"acc": "accuracy", **scoring}, [(np.arange(train), np.arange(train, len(learn)))]
    found = FrontierSearchCV(model, {parameter: values}, scoring=scoring, cv=cv, refit=False, models="all")
    X, start = task.inputs["net"], time.perf_counter()
    found.fit(X[learn], task.y[learn], sensitive_features=s)
    seconds = (time.perf_counter() - start) / len(values)
    for i, value in enumerate(values):
        setting = f"{parameter} {value:.3g}"
        measured = {name: abs(float(found.cv_results_[f"mean_test_{name}"][i])) for name in scoring}
        yield {"setting": setting, "part": "valid", **measured, "seconds": seconds}
        measured = task.measure("test", found.models_[i].predict(X[judged]))
        yield {"setting": setting, "part": "test", **measured, "seconds": 0.0}


# One line of a table; kind is "ours", "peer" or "control". ``candidates(task, gap)`` gives pairs (setting, run) or, if
# at_once, what `search` yields. per_gap=False: the fits do not depend on the gap, so that they serve both.
# view: (name of another method, which of its settings), instead of own fits.
Method = collections.namedtuple("Method", "name kind candidates per_gap at_once view", defaults=(True, False, None))


def one(name, setting, run):
    """A control of one point, which takes no notice of the gap."""
    return Method(name, "control", lambda task, gap: [(setting, run)], per_gap=False)


def net(name, cls, parameter, values, kind="ours", per_gap=True, **fixed):
    """A net over 0 and the values of one parameter."""
    run = functools.partial(search, cls, parameter, [0.0, *np.round(values, 4).tolist()], **fixed)
    return Method(name, kind, run, per_gap, at_once=True)


CONSTANT = one("constant", "majority", lambda task, part: np.full(len(task.parts[part][1]), int(task.y.mean() > 0.5)))


def base_models():
    """Controls: the unmitigated models, and thresholds above those of the net."""
    for base, name in (("net", "net"), ("logistic", "LogisticRegression"), ("trees", "HistGB")):
        yield one(name, "unmitigated", functools.partial(plain, base))
    raised = [(f"threshold {t:g}", functools.partial(plain, "net", threshold=t)) for t in np.linspace(0.5, 0.95, 10)]
    yield Method("net, raised thresholds", "control", lambda task, gap: raised, per_gap=False)


def methods():
    gap, hsic, attack = np.geomspace(0.1, 10, 9), np.geomspace(1, 60, 7), np.geomspace(0.1, 10, 7)
    dro = {**ADAM, "weight_decay": 1e-4, "early_stopping": "worst_group_accuracy"}
    yield CONSTANT
    yield from base_models()
    for name, *run in (("ThresholdOptimizer", "tol", optimized), ("ExponentiatedGradient", "bound", reduced)):
        for base, of in (("logistic", "LR"), ("trees", "HistGB")):
            yield Method(f"{name} {of}", "peer", functools.partial(peers, *run, base))
    regularized, adversarial = RegularizedClassifier, AdversarialClassifier
    yield net("random groups", regularized, "strength", [0.3, 1, 3], "control", penalty="gap", random_groups=True)
    yield net("Regularized gap", regularized, "strength", gap, penalty="gap")
    yield net("Regularized hsic", regularized, "strength", hsic, penalty="hsic")
    yield net("Adversarial encoder", adversarial, "strength", attack, attack="encoder")
    yield net("Adversarial output", adversarial, "strength", attack, attack="output")
    yield net("GroupDRO", GroupDROClassifier, "step_size", [0.01, 0.03, 0.1, 0.3, 1], per_gap=False, **dro)


METHODS = list(methods())


# ---------------------------------------------------------------------------------------------- running
class Records(dict):
    """{(task, seed, method, gap or "both"): {part: {setting: measured}}}, kept as JSON lines; ``more`` are only read."""

    def __init__(self, store, *more):
        self.store = store
        for path in (store, *more):
            for line in path.read_text().splitlines() if path and path.exists() else []:
                self.add(json.loads(line), write=False)

    def add(self, record, write=True):
        where = tuple(record[name] for name in ("task", "seed", "method", "gap"))
        self.setdefault(where, {}).setdefault(record["part"], {})[record["setting"]] = record
        if write and self.store:
            with self.store.open("a") as stream:
                stream.write(json.dumps(record) + "\n")

    def of(self, task, seed, method, gap):
        name, kept = method.view or (method.name, None)
        found = self.get((task, seed, name, gap if method.per_gap else "both"), {})
        return {part: {k: v for k, v in of.items() if kept(k)} for part, of in found.items()} if kept else found


def run(records, method, task, gap):
    head = dict(task=task.name, seed=task.seed, method=method.name, gap=gap if method.per_gap else "both")
    if method.view:
        return
    found = records.setdefault(tuple(head.values()), {})
    if method.at_once:
        for measured in [] if found else list(method.candidates(task=task, gap=gap)):
            records.add({**head, **measured})
        return
    runs = dict(method.candidates(task, gap))
    for part in task.parts:  # "valid" first: it chooses what is tested
        for setting in runs if part == "valid" else front(found["valid"], gap):
            if setting not in found.get(part, {}):
                start = time.perf_counter()
                measured = task.measure(part, runs[setting](task, part))
                measured["seconds"] = time.perf_counter() - start
                records.add({**head, "setting": setting, "part": part, **measured})


def run_all(records, methods, tasks, seeds):
    """Tasks: {name: source}."""
    for method, name, seed in itertools.product(methods, tasks, seeds):
        start = time.perf_counter()
        for gap in GAPS:
            run(records, method, make_task(name, tasks[name], seed), gap)
        print(f"{method.name}, {name}, seed {seed}: {time.perf_counter() - start:.1f} s", flush=True)


# ---------------------------------------------------------------------------------------------- fronts and areas
def front(found, gap):
    """The settings that no other one dominates (of equal ones the first), by records of one part."""
    chosen = []
    for setting, record in sorted(found.items(), key=lambda item: (item[1][gap], -item[1]["acc"])):
        if not chosen or record["acc"] > found[chosen[-1]]["acc"]:
            chosen.append(setting)
    return chosen


def front_on_test(records, methods, task, seed, gap):
    """Test points (accuracy, negated gap) that the validation rows choose among the methods' candidates, or None."""
    merged = {"valid": {}, "test": {}}
    for method in methods:
        for part, found in records.of(task, seed, method, gap).items():
            merged[part] |= {(method.name, setting): record for setting, record in found.items()}
    settings, test = front(merged["valid"], gap), merged["test"]
    if not settings or any(setting not in test for setting in settings):
        return None
    return [(test[setting]["acc"], -test[setting][gap]) for setting in settings]


def make_line(records, name, methods, task, gap, seeds=SEEDS):
    """What a table says of a method, or of several together; None if a seed is missing."""
    fronts = [front_on_test(records, methods, task, seed, gap) for seed in seeds]
    if not all(fronts):
        return None
    parts = [part for method in methods for seed in seeds for part in records.of(task, seed, method, gap).values()]
    seconds = sum(record["seconds"] for part in parts for record in part.values())
    base = [records.of(task, seed, CONSTANT, gap)["test"]["majority"]["acc"] for seed in seeds]
    areas = {}  # one value per seed
    for limit in (1.0, STRICT):
        volumes = [hypervolume(points, reference=(b, -limit)) for points, b in zip(fronts, base)]
        areas[limit] = 100 / limit * np.array(volumes)
    points = np.mean(list(map(len, fronts)))
    return SimpleNamespace(name=name, kind=methods[0].kind, areas=areas, points=points, seconds=seconds / len(seeds))


def best(lines, limit, starts):
    """The line with the largest mean area on test, of those whose name begins so."""
    return max((x for x in lines if x.name.startswith(starts)), key=lambda x: x.areas[limit].mean(), default=None)


def shown(values, sign="", verdict=False):
    mean, half = values.mean(), stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    word = WORDS[0] if mean > half else WORDS[2] if mean < -half else WORDS[1]
    return f"{mean:{sign}.2f} +- {half:.2f}{f' {word}' if verdict else ''}"


def against(line, other, limit):
    """The paired difference and a verdict."""
    known = line is not None and other is not None and line is not other
    return shown(line.areas[limit] - other.areas[limit], "+", verdict=True) if known else "-"


# ---------------------------------------------------------------------------------------------- the page
WORDS = ("wins", "level", "loses")
TOGETHER = {"ours": "all of ours together", "peer": "all peers together"}
OURS, PEERS, GRADIENTS = ("Regularized", "Adversarial", "GroupDRO"), ("Threshold", "Exponentiated"), ("Exponentiated",)
CONTROLS = ("net", "random groups")
PROTOCOL = """\
# Quality of whole fronts: accuracy against a gap

How much of (accuracy, 1 - gap) the models of each method dominate **on test rows**, for two gaps: demographic parity
difference (DP) and equalized odds difference (EO). Seeds {seeds}. One CPU thread. {machine}

* Per seed one split, stratified on label x group: 70 % training and validation, 30 % test; 25 % of the former validation.
  Each candidate (a strength, a bound, ...) is fitted on the training rows. Those that no other dominates **on the validation
  rows** (accuracy, gap concerned) are fitted again on training + validation and measured on test. Nothing is chosen on
  test, except where this page says "best": the largest mean area on test of its kind, which is in its favour. "Together"
  needs no such choice: one front, chosen on validation rows among all candidates of all methods of a kind.
* **Area** (hypervolume): of the test points, above the reference (accuracy of the constant majority class on test, 1 - gap
  = 0), times 100: the accuracy above the constant, in points, that the front reaches, averaged over the allowed gap from
  0 to 1. The constant has 0: no better than not looking. **Area to {strict}**: the same, averaged over the allowed gap from
  0 to {strict} (reference 1 - gap = {rest}). The first is mostly the accuracy of the least mitigated point, because most
  allowed gaps exceed every gap here, so compare with the base models (lines net, LogisticRegression, HistGB); the second
  is about mitigation.
* +-: 95 % t-interval over {n} seeds; differences are paired by seed; wins, level, loses: the interval is above, around,
  below 0 ("level" is not "equal"). The splits share rows: too narrow for new data. Of so many, some exclude 0 by chance.
* Tasks: Adult (the 45,222 rows without missing values or, where the title says so, for time, so many of them, drawn once
  for all methods and seeds; race: White or not), COMPAS (5,278 rows: ProPublica's filter, African-American or Caucasian; 1
  is undesired), MEPS panel 19 (15,730; White or not, as loaded), German credit (Statlog, 1,000; its "sex" is doubtful).
  The sensitive feature stays a feature for all methods. `make_tabular_preprocessor()` is fitted, without labels, on
  training + validation; HistGB has the categories as such, and at most 250 values of a number.
* Ours: MLP 50-50, dropout 0.2, Adam 1e-3, 20 epochs, batch 128 (German), 256 (COMPAS), 512 (MEPS, Adult; hsic 256); the
  batch was looked at for the plain net, with other seeds. RegularizedClassifier, gap (strength 0; 9 from 0.1 to 10) and hsic
  (0; 7 from 1 to 60); AdversarialClassifier, attack encoder and output (0; 7 from 0.1 to 10); the constraint is that of the
  gap. GroupDROClassifier (step_size 0 to 1, 6 values; L2 1e-4) is made for the worst cell, not for a gap. Each grid is one
  `FrontierSearchCV(models="all")`. None needs the group at predict.
* Peers: fairlearn's, over LogisticRegression (LR) and HistGradientBoostingClassifier (HistGB: 50 trees of 15 leaves, rate
  0.2, for time), the unmitigated model being a candidate. They predict at random (seeded). **ExponentiatedGradient** (EG):
  `difference_bound` {bounds}, over HistGB on MEPS and Adult, for time, only {few}; `max_iter` 50 over LR, 10 over HistGB.
  **ThresholdOptimizer**: exact, and for DP tol {tols}; for EO it has no slack, so that its front is at most that point and
  the unmitigated model. It **needs the group at predict**, which the others do not: hence the column "best EG".
* Controls: the constant; the unmitigated net; the same net with thresholds 0.5 to 0.95; Regularized gap (4 strengths)
  trained with shuffled groups ("random groups"); unmitigated LR and HistGB. "Best control": of those with a net. Fit s: all
  fits of one front (search, refits, their predictions), mean over seeds, on a shared machine.
* Not run with all seeds, so not in the tables, whose title then says incomplete: {missing}."""


def table(head, rows):
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def section(lines):
    more = ["minus best peer", "minus best EG"]
    rows = []
    for line in lines:
        cells = []
        for limit, areas in line.areas.items():
            cells += [shown(areas), *(against(line, best(lines, limit, kind), limit) for kind in (PEERS, GRADIENTS))]
        rows.append([line.name, line.kind, *cells, f"{line.points:.1f}", f"{line.seconds:.1f}"])
    return table(["method", "", "area", *more, f"area to {STRICT}", *more, "front points", "fit s"], rows)


def summary(found, limit):
    """Who wins where; and how often each of ours wins, is level and loses."""
    head = "task|best of ours|best peer|ours - peer|ours - best EG|together|best control|ours - control".split("|")
    rows, tally = [], {}
    for task, lines in found.items():
        kinds = (OURS, PEERS, GRADIENTS, GRADIENTS[0] + "Gradient LR", CONTROLS, *TOGETHER.values())
        ours, peer, gradient, linear, control, *both = (best(lines, limit, kind) for kind in kinds)
        names = [f"{line.name} {line.areas[limit].mean():.2f}" if line else "-" for line in (ours, peer, control)]
        texts = [against(*pair, limit) for pair in ((ours, peer), (ours, gradient), both, (ours, control))]
        rows.append([task, *names[:2], *texts[:3], names[2], texts[3]])
        for line in lines:
            if line.kind == "ours":
                for column, other in enumerate((peer, gradient, linear, control, both[1])):
                    tally.setdefault(line.name, [""] * 5)[column] += against(line, other, limit)
    counts = [[name, *(" / ".join(str(text.count(word)) for word in WORDS) for text in v)] for name, v in tally.items()]
    others = "against best peer|against best EG|against EG LR|against best control|against all peers together".split(
        "|"
    )
    tables = [table(head, rows), table([" / ".join(WORDS), *others], counts)]
    for column, name in ((5, "All of ours together against all peers together"), (3, "Best of ours against best peer")):
        places = {word: [row[0] for row in rows if row[column].endswith(word)] for word in WORDS}
        text = ", ".join(f"{word} {len(where)} ({'; '.join(where)})" for word, where in places.items())
        tables.insert(0, f"**{name}**: {text}.")
    return "\n\n".join(tables)


def report(records):
    found, missing = {}, []
    for task, gap in itertools.product(TASKS, GAPS):
        alone = {method: make_line(records, method.name, [method], task, gap) for method in METHODS}
        names = [method.name for method, line in alone.items() if line is None]
        missing += [f"{task}, {gap.upper()}: {', '.join(names)}"] if names else []
        lines = [line for line in alone.values() if line]
        for kind, name in TOGETHER.items():
            methods = [method for method, line in alone.items() if line and method.kind == kind]
            lines += [make_line(records, name, methods, task, gap)] if methods else []
        found[f"{task}, {gap.upper()}{', incomplete' if names else ''}"] = lines
    protocol = PROTOCOL.format(
        seeds=", ".join(map(str, SEEDS)), machine=common.machine(), strict=STRICT, rest=1 - STRICT, n=len(SEEDS),
        bounds=BOUNDS, few=FEW_BOUNDS, tols=TOLS[1:], missing="; ".join(missing) or "none",
    )  # fmt: skip
    limits = {"area": 1.0, f"area to {STRICT}": STRICT}
    parts = [f"## Who wins where: {name}\n\n{summary(found, limit)}" for name, limit in limits.items()]
    return "\n\n".join([protocol, *parts, *(f"## {task}\n\n{section(lines)}" for task, lines in found.items())])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=["*"], help="patterns, such as 'Exp*'")
    parser.add_argument("--tasks", nargs="+", default=["*"], help="patterns, such as 'Adult*'")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--records", type=Path, help="JSON lines of the single fits: kept there, and reused if present")
    parser.add_argument("--adult-rows", type=int, help="so many rows of Adult, drawn once; default: all")
    parser.add_argument("--report", action="store_true", help="run nothing, write the page from the records")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=FutureWarning, module="fairlearn")
    sklearn.set_config(enable_metadata_routing=True)
    for name in [name for name in TASKS if name.startswith("Adult") and arguments.adult_rows]:
        TASKS[f"{name}, {arguments.adult_rows} rows"] = TASKS.pop(name)._replace(size=arguments.adult_rows)
    methods = [m for m in METHODS if any(fnmatch.fnmatchcase(m.name, p) for p in arguments.methods)]
    tasks = {t: TASKS[t] for t in TASKS if any(fnmatch.fnmatchcase(t, p) for p in arguments.tasks)}
    records, seeds = Records(arguments.records), tuple(arguments.seeds)
    if not arguments.report:
        run_all(records, methods, tasks, seeds)
    if arguments.report or (methods, tasks, seeds) == (METHODS, TASKS, SEEDS):
        common.write("frontier_quality", report(records))


if __name__ == "__main__":
    main()
