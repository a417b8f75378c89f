"""DVGE, FFVAE, FD-VAE and adversarial training on tables, next to the trivial controls, on the same shuffled splits.

SKFAIR_DATA=<folder with the data> python benchmarks/dvge.py --records FILE [--data "SGC, age"] [--splits 10]
... --report --records FILE                                         # the page and the picture from the file

Each split: 30 % test rows, stratified by group and label; columns one-hot and standardised on the training rows. Every
encoder has ten dimensions and is trained on the training rows alone; every classifier is the same network (two hidden
layers of 50 units, no dropout).
"""

import argparse
import itertools
import warnings
from pathlib import Path

import common
import numpy as np
import pandas as pd
import sklearn
import torch
from scipy import stats
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import Pipeline

from skfair.adversarial import AdversarialClassifier
from skfair.datasets import fetch_adult, fetch_compas, fetch_south_german_credit
from skfair.metrics import (
    demographic_parity_difference,
    equal_opportunity_difference,
    equalized_odds_difference,
    joint_opportunity_difference,
)
from skfair.model_selection import FrontierSearchCV, pareto_front
from skfair.preprocessing import make_tabular_preprocessor
from skfair.representation import (
    DVGEClassifier,
    FactorVAETransformer,
    FDVAETransformer,
    FFVAETransformer,
    VAETransformer,
)
from skfair.robust import ERMClassifier

GAPS = {
    "DP": demographic_parity_difference,
    "EOpp": equal_opportunity_difference,
    "joint": joint_opportunity_difference,
    "EOdds": equalized_odds_difference,
}
HALF = 0.5
THRESHOLDS = tuple(np.round(np.arange(0.3, 0.96, 0.025), 3))
ETAS = {"eta_sensitive": [0.0, 0.1, 0.2, 0.5, 1.0, 2.0], "eta_task": [0.0, 0.4, 1.0]}
READINGS = list(itertools.product(("ce", "neg_logit", "logit"), (None, 0.1)))
# rows for training at most, batch size, epochs of encoders and of classifiers, splits
TASKS = {
    "SGC, age": (None, 64, 60, 40, 10),
    "SGC, age and foreign worker": (None, 64, 60, 40, 10),
    "COMPAS, race": (None, 128, 30, 15, 5),
    "Adult, sex": (12_000, 256, 20, 15, 3),
}
SLACK = 0.01


def load(name):
    """Features, labels (1 is desired) and groups of a task."""
    if name.startswith("SGC"):
        data = fetch_south_german_credit(sensitive="age_group")
        s = data.sensitive_features["age_group"].eq(">25").to_numpy()
        if "foreign" in name:
            s = s & data.data["foreign_worker"].eq("yes").to_numpy()
        return data.data, data.target.to_numpy().astype(np.int64), s.astype(np.int64)
    if name.startswith("COMPAS"):
        data = fetch_compas(sensitive="race")
        race = data.sensitive_features["race"].astype(str).to_numpy()
        kept = np.isin(race, ["African-American", "Caucasian"])
        y = 1 - data.target.to_numpy().astype(np.int64)  # desired: not rearrested
        return data.data[kept], y[kept], (race == "Caucasian")[kept].astype(np.int64)
    data = fetch_adult(drop_missing=True, sensitive="sex")
    s = data.sensitive_features["sex"].eq("Male").to_numpy()
    return data.data, data.target.to_numpy().astype(np.int64), s.astype(np.int64)


class Split:
    """Inputs, labels and groups of one split; what it takes to train and to judge."""

    def __init__(self, name, data, train, test, seed):
        size, batch_size, self.encoder_epochs, self.epochs, _ = TASKS[name]
        table, self.y, self.s = data
        self.train, self.test, self.seed = train[:size], test, seed
        encoder = make_tabular_preprocessor().fit(table.iloc[self.train])
        self.X = np.ascontiguousarray(encoder.transform(table), dtype=np.float32)
        self.net = dict(batch_size=batch_size, device="cpu", random_state=seed)
        self.head = dict(module__dropout=0.0, max_epochs=self.epochs, **self.net)

    def vae(self, cls, **parameters):
        return cls(max_epochs=self.encoder_epochs, **self.net, **parameters)

    def judge(self, predicted):
        y, s = self.y[self.test], self.s[self.test]
        return {"accuracy": float((predicted == y).mean())} | {
            name: float(gap(y, predicted, sensitive_features=s)) for name, gap in GAPS.items()
        }

    def judge_at(self, thresholds):
        """A scorer: the metrics at each threshold of the probability."""

        def score(model, X, y):
            p = model.predict_proba(X)[:, 1]
            rows = {threshold: self.judge((p >= threshold).astype(np.int64)) for threshold in thresholds}
            return {f"{threshold}/{key}": value for threshold, row in rows.items() for key, value in row.items()}

        return score

    def search(self, method, net, grid, thresholds=(HALF,), s=None):
        """Rows (method, point, metrics) of all points of a grid, trained as one stack."""
        search = FrontierSearchCV(
            net, grid, scoring=self.judge_at(thresholds), refit=False, models="best", cv=[(self.train, self.test)]
        )
        found = search.fit(self.X, self.y, sensitive_features=self.s if s is None else s).cv_results_
        for i, params in enumerate(found["params"]):
            for threshold in thresholds:
                words = [f"{key} {value:g}" for key, value in params.items()]
                words += [f"threshold {threshold:g}"] * (len(thresholds) > 1)
                scores = {key: found[f"split0_test_{threshold}/{key}"][i] for key in ("accuracy", *GAPS)}
                yield {"method": method, "point": ", ".join(words), **scores}

    def on_codes(self, method, encoder, point, thresholds=(HALF,)):
        """Rows of a plain classifier on the codes of an unfitted encoder."""
        model = Pipeline([("encoder", encoder), ("head", ERMClassifier(**self.head))])
        model.fit(self.X[self.train], self.y[self.train], sensitive_features=self.s[self.train])
        found = self.judge_at(thresholds)(model, self.X[self.test], None)
        for threshold in thresholds:
            words = f"{point}, threshold {threshold:g}" if len(thresholds) > 1 else point
            yield {"method": method, "point": words} | {key: found[f"{threshold}/{key}"] for key in ("accuracy", *GAPS)}


def measure(split):
    """The rows of all methods on one split."""
    for label in (0, 1):
        yield {"method": "constant", "point": f"{label}", **split.judge(np.full(len(split.test), label))}
    yield {"method": "perfect classifier", "point": "", **split.judge(split.y[split.test])}
    plain = ERMClassifier(**split.head)
    yield from split.search("plain, threshold", plain, {"lr": [1e-3]}, THRESHOLDS)
    adt = AdversarialClassifier(reversal=True, adversary_lr=1e-3, **split.head)
    yield from split.search("ADT", adt, {"strength": [0.1, 0.3, 1.0, 3.0, 10.0, 30.0]})
    shuffled = np.random.default_rng(split.seed).permutation(split.s)
    for name, cls in (("DVGE-D", FactorVAETransformer), ("DVGE-N", VAETransformer)):
        encoder = split.vae(cls).fit(split.X[split.train])
        yield from split.on_codes(f"{name} codes, threshold", FrozenEstimator(encoder), "eta 0", THRESHOLDS)
        for explain, clip in READINGS if cls is FactorVAETransformer else READINGS[::2]:
            net = DVGEClassifier(
                encoder=FrozenEstimator(encoder),
                explain=explain,
                clip=clip,
                sensitive_epochs=split.epochs,
                **split.head,
            )
            yield from split.search(f"{name} ({explain}, clip {clip})", net, ETAS)
            if clip is None and cls is VAETransformer:
                control = {**ETAS, "eta_task": [0.0]}
                yield from split.search(f"{name} ({explain}, clip {clip}), random groups", net, control, s=shuffled)
    for alpha, gamma in itertools.product((1.0, 100.0), (1.0, 6.4)):
        encoder = split.vae(FFVAETransformer, n_components=9, alpha=alpha, gamma=gamma)
        yield from split.on_codes("FFVAE", encoder, f"alpha {alpha:g}, gamma {gamma:g}")
    for strength in (1.0, 5.0, 20.0):
        encoder = split.vae(FDVAETransformer, alpha=strength, gamma=strength, beta=strength, recode_epochs=split.epochs)
        yield from split.on_codes("FD-VAE (a reading)", encoder, f"alpha = beta = gamma {strength:g}")


def run(names, n_splits, records):
    for name in names:
        data = load(name)
        strata = data[1] + 2 * data[2]
        splitter = StratifiedShuffleSplit(n_splits or TASKS[name][-1], test_size=0.3, random_state=0)
        for seed, (train, test) in enumerate(splitter.split(data[0], strata)):
            rows = pd.DataFrame(measure(Split(name, data, train, test, seed)))
            rows.insert(0, "split", seed)
            rows.insert(0, "data", name)
            rows.to_csv(records, mode="a", header=not Path(records).exists(), index=False)
            print(name, seed, len(rows), flush=True)


# ---------------------------------------------------------------------------------------------- the page
def chosen(rows, floor):
    """Per split the point of least DP on the *other* splits, among those not below a floor there; else the most accurate."""
    for split in sorted(rows["split"].unique()):
        others = rows[rows["split"] != split].groupby("point")[["accuracy", "DP"]].mean()
        good = others[others["accuracy"] >= floor(split)]
        best = good["DP"].idxmin() if len(good) else others["accuracy"].idxmax()
        yield rows[(rows["split"] == split) & (rows["point"] == best)].iloc[0]


def interval(values, ratio=3 / 7):
    """Half of the 95 % interval of a mean over shuffled splits (Nadeau and Bengio 2003)."""
    values = np.asarray(values, dtype=float)
    n = len(values)
    return stats.t.ppf(0.975, n - 1) * values.std(ddof=1) * np.sqrt(1 / n + ratio) if n > 1 else np.nan


def table(rows, base="plain, threshold"):
    """One row per method: what its point of least DP at (almost) the base's accuracy does on the left-out split."""
    plain = rows[(rows["method"] == base) & rows["point"].str.endswith("threshold 0.5")].set_index("split")
    name = base.removesuffix(", threshold")
    lines = [
        f"| method | points | accuracy | DP | DP less that of {name} | EOpp | joint EOpp | EOdds | found |",
        "|---|---|---|---|---|---|---|---|---|",
        _line(name, 1, plain.reset_index(), plain),
    ]
    for method, own in rows.groupby("method", sort=False):
        picked = list(chosen(own, lambda k: plain["accuracy"].drop(k).mean() - SLACK))
        lines.append(_line(method, own["point"].nunique(), pd.DataFrame(picked), plain))
    return "\n".join(lines)


def _line(method, points, rows, plain):
    less = rows["DP"].to_numpy() - plain["DP"].loc[rows["split"]].to_numpy()
    cells = [f"{rows['accuracy'].mean():.3f}", f"{rows['DP'].mean():.3f} +- {interval(rows['DP']):.3f}"]
    cells += [f"{less.mean():+.3f} +- {interval(less):.3f}"]
    cells += [f"{rows[name].mean():.3f}" for name in ("EOpp", "joint", "EOdds")]
    commonest = rows["point"].mode().iloc[0]
    return f"| {method} | {points} | " + " | ".join(cells) + f" | {commonest} |"


DRAWN = {
    "plain, threshold": "0.5", "ADT": "C4", "FFVAE": "C2", "FD-VAE (a reading)": "C5", "DVGE-D (ce, clip 0.1)": "C0",
    "DVGE-D (neg_logit, clip None)": "C1", "DVGE-D (logit, clip None)": "C3", "DVGE-N (logit, clip None)": "C6",
}  # fmt: skip


def draw(records, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(records["data"].unique())
    figure, axes = plt.subplots(1, len(names), figsize=(4.4 * len(names), 4.2), constrained_layout=True, squeeze=False)
    for ax, name in zip(axes[0], names):
        rows = records[records["data"] == name]
        for method, color in DRAWN.items():
            own = rows[rows["method"] == method].groupby("point")[["accuracy", "DP"]]
            mean, half = own.mean(), own.agg(interval)
            scores = pd.DataFrame({"mean_accuracy": mean["accuracy"], "mean_gap": -mean["DP"]})
            front = pareto_front(scores, "accuracy", "gap").index
            mean, half = mean.loc[front], half.loc[front]
            style = dict(marker="o", markersize=3, linewidth=1.2, elinewidth=0.5, color=color, alpha=0.9)
            ax.errorbar(mean["DP"], mean["accuracy"], xerr=half["DP"], label=method, **style)
        top = rows[rows["method"] == "plain, threshold"].groupby("point")["accuracy"].mean().max()
        right = 1.25 * rows[rows["method"].isin(DRAWN)].groupby(["method", "point"])["DP"].mean().max()
        ax.set(title=name, xlabel="demographic parity difference", ylim=(top - 0.08, top + 0.015), xlim=(0, right))
    axes[0, 0].set_ylabel("accuracy")
    axes[0, -1].legend(fontsize=7, loc="lower right")
    figure.savefig(path, dpi=110)


def report(path):
    records = pd.read_csv(path, keep_default_na=False, dtype={"point": str})
    parts = ["# DVGE and its rivals on tables", __doc__.split("\n\n", 2)[2].strip(), common.machine(), EXPLAINED]
    for name in records["data"].unique():
        rows = records[records["data"] == name]
        parts += [f"## {name}, {rows['split'].nunique()} splits", "### Next to the plain net", table(rows)]
        for own in ("DVGE-D", "DVGE-N"):
            readings = rows[rows["method"].str.startswith(own)]
            parts += [f"### {own}: the readings, next to a plain classifier on the same codes"]
            parts += [table(readings, f"{own} codes, threshold")]
    common.write("dvge", "\n\n".join(parts))
    draw(records, Path(__file__).parents[1] / "docs" / "images" / "dvge_frontier.png")


EXPLAINED = """Of each method's points the table shows the one of least demographic parity difference among those that
are at most one point less accurate than the base, which is the plain net or a plain classifier on the same codes (or, if
there are none, its most accurate one), chosen on all splits but the one it is judged on, in turn. Differences to the base
are paired by split; +- is half of a 95 % interval of Nadeau and Bengio. "found" is the point chosen most often. "EOpp" is
the difference of true positive rates (the paper's text), "joint EOpp" that of P(predicted 1, true 1) (its code). A method
helps where it is better than the rows "threshold" and "random groups"."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", required=True)
    parser.add_argument("--data", nargs="+", default=list(TASKS))
    parser.add_argument("--splits", type=int)
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    sklearn.set_config(enable_metadata_routing=True)
    if not arguments.report:
        run(arguments.data, arguments.splits, arguments.records)
    report(arguments.records)


if __name__ == "__main__":
    main()
