"""Representation neutralisation on Adult and MEPS, next to the paper's numbers and the trivial controls.

Each row is a method at one setting, trained with several seeds on one split (Adult: 9,102 random test rows, stratified;
MEPS: the split of the released files), all settings of a method in one stack. Metrics: accuracy; three forms of
demographic parity, of which the paper prints the first and tabulates what can only be the second; the signed equalized
odds of Eq. 7 (unprivileged minus privileged) and the largest of its terms; the representation's similarity.
"""

import argparse
import warnings

import common
import numpy as np
import pandas as pd
import sklearn
import torch
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

from skfair.adversarial import AdversarialClassifier
from skfair.datasets import fetch_adult, fetch_meps
from skfair.metrics import equalized_odds_difference, selection_rate_ratio, signed_equalized_odds
from skfair.model_selection import FrontierSearchCV
from skfair.preprocessing import make_tabular_preprocessor
from skfair.regularization import RegularizedClassifier
from skfair.representation import ProxyAnnotator, RNFClassifier
from skfair.robust import ERMClassifier

warnings.filterwarnings("ignore")  # undefined ratios of collapsed nets: they are NaN in the table
NET = dict(batch_size=64, device="cpu")
THRESHOLDS = (0.5, 0.6, 0.65, 0.7, 0.8)
ALPHAS = {
    "Adult": (0.0, 1e-4, 3e-4, 6e-4, 1e-3, 1.5e-3, 2e-3, 4e-3),
    "MEPS": (0.0, 5e-5, 1e-4, 2e-4, 3e-4, 1e-3, 3.5e-2),
}
SETTING = {
    "Adult": dict(temperature=2.0, teacher_epochs=6, max_epochs=4, q=0.2),
    "MEPS": dict(temperature=5.0, teacher_epochs=9, max_epochs=4, q=0.6),
}
# accuracy, ratio of P(0), signed equalized odds
PAPER = {
    "MEPS": {
        "Vanilla": (0.862, 0.866, -0.210), "GCE": (0.860, 0.839, -0.249), "RNF (proxy)": (0.839, 0.964, -0.099),
        "RNF (random groups)": (0.856, 0.902, -0.163), "EOR on RNF": (0.834, 0.980, -0.049),
        "Adversarial on RNF": (0.826, 0.971, -0.085),
    },
    "Adult": {"RNF (Table 6)": (0.814, 0.923, -0.049)},
}  # fmt: skip


def load(name):
    """Features, labels, groups, privileged group, rows of training and of test."""
    if name == "Adult":
        data, privileged, column = fetch_adult(drop_missing=True), "Male", "sex"
    else:
        data, privileged, column = fetch_meps(19), "White", "RACE"
    y, s = data.target.to_numpy().astype(np.int64), data.sensitive_features[column].to_numpy().astype(str)
    if name == "Adult":
        strata = np.char.add(s, y.astype(str))
        train, test = train_test_split(np.arange(len(y)), test_size=9102, stratify=strata, random_state=0)
    else:
        split = data.split.to_numpy().astype(str)
        train, test = np.flatnonzero(split != "test"), np.flatnonzero(split == "test")
    encoder = make_tabular_preprocessor().fit(data.data.iloc[train])
    X = np.ascontiguousarray(encoder.transform(data.data), dtype=np.float32)
    return X, y, s, privileged, train, test


def scorer(s, privileged, thresholds):
    """Metrics of an estimator on the test rows, for each threshold, as a dict of floats."""

    def score(estimator, X, y):
        p, found = estimator.predict_proba(X)[:, 1], {}
        for threshold in thresholds:
            hard = (p > threshold).astype(np.int64)
            groups = dict(sensitive_features=s, privileged=privileged)
            rates = [hard[s == privileged].mean(), hard[s != privileged].mean()]
            found |= {
                f"{threshold} accuracy": (hard == y).mean(),
                f"{threshold} balanced acc.": balanced_accuracy_score(y, hard),
                f"{threshold} ratio of P(1)": selection_rate_ratio(y, hard, **groups),
                f"{threshold} ratio of P(0)": selection_rate_ratio(y, hard, outcome="negative", **groups),
                f"{threshold} 1 - difference": 1 - abs(rates[0] - rates[1]),
                f"{threshold} signed EO": signed_equalized_odds(y, hard, **groups),
                f"{threshold} EO difference": equalized_odds_difference(y, hard, sensitive_features=s),
            }
        for label in (0, 1):  # Appendix B: how much more of its own label the favoured group is given
            own, favoured = p if label else 1 - p, (s == privileged) == bool(label)
            found[f"B{label}"] = own[(y == label) & favoured].mean() - own[(y == label) & ~favoured].mean()
        return {key: float(value) for key, value in found.items()}

    return score


def run(net, grid, data, seeds, thresholds=(0.5,)):
    """One row per point of the grid and threshold: mean and sd over the seeds."""
    X, y, s, privileged, train, test = data
    search = FrontierSearchCV(
        net, grid, scoring=scorer(s[test], privileged, thresholds), refit=False, models="best", seeds=seeds,
        cv=[(train, test)], error_score=np.nan,
    )  # fmt: skip
    results = search.fit(X, y, sensitive_features=s).cv_results_
    rows = []
    for i, params in enumerate(results["params"]):
        for threshold in thresholds:
            point = ", ".join(f"{key} {value:g}" for key, value in params.items() if not isinstance(value, type))
            row = {"point": point + (f"threshold {threshold:g}" if len(thresholds) > 1 else "")}
            for name in results:
                if name.startswith("split0_test_") and (f"_{threshold} " in name or "_B" in name):
                    values = [results[f"split{k}_test_{name[12:]}"][i] for k in range(seeds)]
                    row[name[12:].removeprefix(f"{threshold} ")] = (np.mean(values), np.std(values, ddof=1))
            rows.append(row)
    return rows


def methods(name):
    """(method, net, grid, thresholds)."""
    setting = dict(SETTING[name])
    q, alphas = setting.pop("q"), {"alpha": list(ALPHAS[name])}
    epochs = setting["teacher_epochs"] + (0 if name == "MEPS" else setting["max_epochs"])
    rnf = dict(smooth_reduction="sum", **setting, **NET)
    single = [{"lr": [1e-3]}, THRESHOLDS]
    yield "Vanilla", ERMClassifier(max_epochs=epochs, **NET), *single
    yield "GCE", ProxyAnnotator(q=q, max_epochs=epochs, **NET), {"lr": [1e-3]}, (0.5,)
    yield "RNF_GT", RNFClassifier(**rnf), alphas, (0.5,)
    yield "RNF (random groups)", RNFClassifier(annotations="random", **rnf), alphas, (0.5,)
    for gamma in (0.3, 0.5, 0.7):
        proxy = ProxyAnnotator(q=q, gamma=gamma, max_epochs=setting["teacher_epochs"], **NET)
        yield f"RNF (proxy, gamma {gamma})", RNFClassifier(annotations=proxy, **rnf), alphas, (0.5,)
    strengths = {"strength": [0.1, 0.3, 1.0, 3.0]}
    regularised = RegularizedClassifier(constraint="equalized_odds", max_epochs=epochs, **{**NET, "batch_size": 256})
    yield "EOR", regularised, strengths, (0.5,)
    yield "Adversarial", AdversarialClassifier(max_epochs=epochs, **NET), strengths, (0.5,)


COLUMNS = (
    "accuracy", "balanced acc.", "ratio of P(1)", "ratio of P(0)", "1 - difference", "signed EO", "EO difference",
)  # fmt: skip


def table(rows):
    frame = pd.DataFrame(
        [
            {"method": row["method"], "point": row["point"]}
            | {name: "{:.3f} +- {:.3f}".format(*row[name]) for name in COLUMNS}
            for row in rows
        ]
    )
    lines = ["| " + " | ".join(frame) + " |", "|" + "---|" * len(frame.columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in frame.to_numpy()])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", nargs="+", default=["Adult", "MEPS"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sklearn.set_config(enable_metadata_routing=True)
    parts = ["# Representation neutralisation", __doc__.split("\n\n", 1)[1].strip(), common.machine()]
    for name in arguments.data:
        data, rows = load(name), []
        for method, net, grid, thresholds in methods(name):
            rows += [{"method": method, **row} for row in run(net, grid, data, arguments.seeds, thresholds)]
            print(table(rows[-8:]), flush=True)
        gaps = {row["method"]: (row["B1"], row["B0"]) for row in rows if row["method"] in ("GCE", "Vanilla")}
        paper = [f"| {key} | {a:.3f} | {b:.3f} | {c:.3f} |" for key, (a, b, c) in PAPER[name].items()]
        parts += [
            f"## {name}, {arguments.seeds} seeds, {data[0].shape[1]} inputs, {len(data[4]):,} training rows",
            table(rows),
            "Appendix B, mean probability of the own label, favoured minus other group (paper: "
            + ("0.078 and 0.113" if name == "Adult" else "0.128 and 0.075")
            + "): "
            + "; ".join(
                f"{key} {one[0]:.3f} +- {one[1]:.3f} and {zero[0]:.3f} +- {zero[1]:.3f}"
                for key, (one, zero) in gaps.items()
            ),
            "The paper:\n\n| | accuracy | ratio of P(0) | signed EO |\n|---|---|---|---|\n" + "\n".join(paper),
        ]
    common.write("rnf", "\n\n".join(parts))


if __name__ == "__main__":
    main()
