"""RNF with proxies, for each reading of their fraction gamma that the text allows (see proxy_quality.py for the readings).

The proxies are made on the training rows and given to RNF in the place of groups; the metrics are those of the real groups.
Settings as in rnf.py; alpha is the released script's ("sum").
"""

import argparse

import common
import numpy as np
import sklearn
import torch
from proxy_quality import readings
from rnf import NET, SETTING, load, scorer

from skfair.model_selection import FrontierSearchCV
from skfair.representation import ProxyAnnotator, RNFClassifier

ALPHAS = {"Adult": [3e-4, 6e-4, 1e-3], "MEPS": [1e-4, 2e-4, 3e-4]}
COLUMNS = ("accuracy", "balanced acc.", "ratio of P(0)", "signed EO", "EO difference")


def measure(name, seeds, gamma=0.5):
    """Rows of a table: a reading at an alpha, mean and sd over the seeds."""
    X, y, s, favoured, train, test = load(name)
    setting = dict(SETTING[name])
    q, found = setting.pop("q"), {}
    for seed in range(seeds):
        annotator = ProxyAnnotator(q=q, max_epochs=setting["teacher_epochs"], random_state=seed, **NET)
        annotator.fit(X[train], y[train])
        for reading, annotation in readings(annotator, X[train], y[train], gamma).items():
            groups = np.zeros(len(y), dtype=np.int64)
            groups[train] = annotation
            net = RNFClassifier(smooth_reduction="sum", random_state=seed, **setting, **NET)
            search = FrontierSearchCV(
                net, {"alpha": ALPHAS[name]}, scoring=scorer(s[test], favoured, (0.5,)), refit=False, models="best",
                cv=[(train, test)],
            )  # fmt: skip
            results = search.fit(X, y, sensitive_features=groups).cv_results_
            for i, alpha in enumerate(ALPHAS[name]):
                row = [results[f"split0_test_0.5 {column}"][i] for column in COLUMNS]
                found.setdefault((reading, alpha), []).append(row)
    lines = [f"| gamma {gamma} of | alpha | " + " | ".join(COLUMNS) + " |", "|" + "---|" * (2 + len(COLUMNS))]
    for (reading, alpha), values in found.items():
        mean, sd = np.mean(values, 0), np.std(values, 0, ddof=1)
        lines.append(f"| {reading} | {alpha:g} | " + " | ".join(f"{m:.3f} +- {d:.3f}" for m, d in zip(mean, sd)) + " |")
    return f"## {name}, {seeds} seeds\n\n" + "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sklearn.set_config(enable_metadata_routing=True)
    parts = ["# RNF with proxies: readings of gamma", __doc__.split("\n\n", 1)[1].strip(), common.machine()]
    common.write("rnf_readings", "\n\n".join([*parts, *(measure(name, arguments.seeds) for name in ("Adult", "MEPS"))]))


if __name__ == "__main__":
    main()
