"""Bootstrap intervals of all gaps for sex x race on Adult's 48,842 rows: ours against fairlearn's MetricFrame.

Ours is a whole ``group_report`` with 1,000 resamples, encoding and tables included, divided by 1,000. Fairlearn's
``MetricFrame(n_boot=...)`` is run with a few resamples; its time per resample is the difference between two runs with
different ``n_boot``, so that its set-up does not count. Both are run in turn, in one process; medians are shown.

    SKFAIR_DATA=/folder/with/data python benchmarks/bootstrap.py     # reads adult/adult.data.gz and adult/adult.test.gz
"""

import argparse
import os
import statistics
import time
import warnings
from pathlib import Path

import common
import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skfair.metrics import UndefinedGapWarning, group_report

COLUMNS = "age job fnlwgt education education_num marital occupation relationship race sex gain loss hours country"
RACES = {"White": 41762, "Black": 4685, "Asian-Pac-Islander": 1519, "Amer-Indian-Eskimo": 470, "Other": 406}
METRICS = {
    "selection_rate": selection_rate,
    "true_positive_rate": true_positive_rate,
    "false_positive_rate": false_positive_rate,
    "accuracy": accuracy_score,
}


def adult(folder):
    """Return (y_true, y_pred, sensitive features) of the real Adult rows, predictions by logistic regression."""
    options = {"names": [*COLUMNS.split(), "income"], "skipinitialspace": True}
    train = pd.read_csv(folder / "adult.data.gz", **options)
    test = pd.read_csv(folder / "adult.test.gz", comment="|", **options)
    data = pd.concat([train, test], ignore_index=True)
    y = data["income"].str.startswith(">50K").astype(int).to_numpy()
    X = data[["age", "education_num", "gain", "loss", "hours"]]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[: len(train)], y[: len(train)])
    return y, model.predict(X), data[["sex", "race"]]


def synthetic():
    """Return as many rows as Adult has, with its shares of sex and race."""
    rng = np.random.default_rng(0)
    n, shares = sum(RACES.values()), np.array(list(RACES.values()))
    A = pd.DataFrame({"sex": rng.choice(["Female", "Male"], n, p=[0.332, 0.668])})
    A["race"] = rng.choice(list(RACES), n, p=shares / n)
    y = (rng.random(n) < np.where(A["sex"] == "Male", 0.304, 0.109)).astype(int)
    return y, np.where(rng.random(n) < 0.85, y, 0), A


def load():
    """Return (words that say which data, data)."""
    folder = Path(os.environ.get("SKFAIR_DATA", "nowhere")) / "adult"
    if (folder / "adult.data.gz").exists() and (folder / "adult.test.gz").exists():
        return "the real Adult rows", adult(folder)
    return "synthetic rows of Adult's size and shares (SKFAIR_DATA has no adult/adult.data.gz)", synthetic()


def seconds(function, **options):
    start = time.perf_counter()
    function(**options)
    return time.perf_counter() - start


def measure(data, n_boot, few, rounds):
    """Return the medians over rounds of seconds per resample: (ours, fairlearn's)."""
    y, p, A = data
    options = {"y_true": y, "y_pred": p, "sensitive_features": A}
    frame = options | {"metrics": METRICS, "ci_quantiles": [0.025, 0.975]}
    ours, theirs = [], []
    for seed in range(rounds):
        ours.append(seconds(group_report, **options, n_boot=n_boot, random_state=seed) / n_boot)
        one = seconds(MetricFrame, **frame, n_boot=1, random_state=seed)
        more = seconds(MetricFrame, **frame, n_boot=1 + few, random_state=seed)
        theirs.append((more - one) / few)
    return statistics.median(ours), statistics.median(theirs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-boot", type=int, default=1000, help="resamples of ours")
    parser.add_argument("--few", type=int, default=3, help="resamples of fairlearn's that are timed")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    warnings.simplefilter("ignore", UndefinedGapWarning)
    which, data = load()
    ours, theirs = measure(data, args.n_boot, args.few, args.rounds)
    n_groups = data[2].drop_duplicates().shape[0]
    lines = [
        f"# Bootstrap of all gaps: {len(data[0]):,} rows, {n_groups} groups of sex x race",
        "",
        f"Data: {which}. Medians of {args.rounds} interleaved rounds, one process. {common.machine()}",
        "",
        f"| | resamples run | ms per resample | seconds for {args.n_boot:,} |",
        "|---|---|---|---|",
        f"| skfair `group_report` (12 gaps, 6 rates per group, set-up included) | {args.n_boot:,} "
        f"| {1e3 * ours:.4f} | {ours * args.n_boot:.3f} |",
        f"| fairlearn `MetricFrame` (4 metrics, set-up not counted) | {args.few} "
        f"| {1e3 * theirs:.1f} | {theirs * args.n_boot:.0f} (extrapolated) |",
        f"| ratio | | {theirs / ours:,.0f} | |",
        "",
    ]
    common.write("bootstrap", "\n".join(lines))


if __name__ == "__main__":
    main()
