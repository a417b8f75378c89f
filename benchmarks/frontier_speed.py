"""What a stacked search saves: time per model of FrontierSearchCV against ordinary searches, and how it grows with K.

Adult, MLP 50-50, dropout 0.2, Adam, batch 64; 16 strengths of RegularizedClassifier on 5 folds. The peers train their
models one by one, so that their time per model does not depend on how many there are: they get fewer. One thread, CPU
seconds of the whole search (checks, training, scoring), medians of interleaved rounds. With a GPU the curve over K is
measured there too, in wall-clock seconds.
"""

import argparse
import time
import warnings

import common
import numpy as np
import sklearn
import torch
from fairlearn.reductions import DemographicParity, ExponentiatedGradient
from fairlearn.reductions import GridSearch as FairlearnGridSearch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold
from skorch import NeuralNetClassifier
from torch import nn

from skfair.datasets import fetch_adult
from skfair.metrics import get_scorer
from skfair.model_selection import FrontierSearchCV
from skfair.modules import MLP
from skfair.preprocessing import make_tabular_preprocessor
from skfair.regularization import RegularizedClassifier
from skfair.robust import ERMClassifier

BATCH = 64
STRENGTHS = np.geomspace(0.05, 5, 16).round(4).tolist()
SCORING = {"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference")}
CURVE = (1, 4, 16, 64, 256)


def data():
    adult = fetch_adult(drop_missing=True)
    X = np.ascontiguousarray(make_tabular_preprocessor().fit_transform(adult.data), dtype=np.float32)
    return X, adult.target.to_numpy().astype(np.int64), adult.sensitive_features["sex"].to_numpy().astype(str)


def net(epochs, device="cpu"):
    return RegularizedClassifier(max_epochs=epochs, batch_size=BATCH, random_state=0, device=device)


def search(cls, strengths):
    """Search over the strengths on 5 folds; the number of models that were trained."""

    def run(X, y, s, epochs):
        extra = {"models": "best"} if cls is FrontierSearchCV else {}
        cv = StratifiedKFold(5)
        cls(net(epochs), {"strength": strengths}, scoring=SCORING, refit=False, cv=cv, **extra).fit(
            X, y, sensitive_features=s
        )
        return 5 * len(strengths)

    return run


def stock(X, y, s, epochs):
    """The same network without any fairness, as one searches with skorch."""
    model = NeuralNetClassifier(
        MLP, module__in_features=X.shape[1], module__out_features=2, criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam, lr=1e-3, batch_size=BATCH, max_epochs=epochs, iterator_train__shuffle=True,
        train_split=None, verbose=0,
    )  # fmt: skip
    GridSearchCV(model, {"lr": [1e-3]}, scoring="accuracy", refit=False, cv=StratifiedKFold(5)).fit(X, y)
    return 5


def fairlearn_grid(estimator, n):
    """fairlearn's GridSearch: a net (or a logistic regression) per multiplier, on reweighted and relabelled rows."""

    def run(X, y, s, epochs):
        for train, _ in list(StratifiedKFold(5).split(X, y))[:1]:
            FairlearnGridSearch(estimator(epochs), DemographicParity(), grid_size=n).fit(
                X[train], y[train], sensitive_features=s[train]
            )
        return n

    return run


def fairlearn_reduction(estimator, n):
    """fairlearn's ExponentiatedGradient; its models are the calls of the learner."""

    def run(X, y, s, epochs):
        train = next(StratifiedKFold(5).split(X, y))[0]
        reduction = ExponentiatedGradient(estimator(epochs), DemographicParity(), eps=0.02, max_iter=n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reduction.fit(X[train], y[train], sensitive_features=s[train])
        return reduction.n_oracle_calls_ + getattr(reduction, "n_oracle_calls_dummy_returned_", 0)

    return run


def erm(epochs):
    return ERMClassifier(max_epochs=epochs, batch_size=BATCH, random_state=0, device="cpu")


def logistic(epochs):
    return LogisticRegression(max_iter=1000)


RUNS = {
    "skfair `FrontierSearchCV`, 16 strengths x 5 folds": search(FrontierSearchCV, STRENGTHS),
    "`GridSearchCV` over the same estimator": search(GridSearchCV, STRENGTHS[::8]),
    "`GridSearchCV` over stock `skorch.NeuralNetClassifier` (no fairness)": stock,
    "fairlearn `GridSearch` over skfair `ERMClassifier`, same net": fairlearn_grid(erm, 5),
    "fairlearn `ExponentiatedGradient` over skfair `ERMClassifier`, same net": fairlearn_reduction(erm, 5),
    "fairlearn `GridSearch` over `LogisticRegression`": fairlearn_grid(logistic, 5),
    "fairlearn `ExponentiatedGradient` over `LogisticRegression`": fairlearn_reduction(logistic, 5),
}


def per_model(run, rows, epochs):
    """CPU seconds per model."""
    start = time.process_time()
    n = run(*rows, epochs)
    return (time.process_time() - start) / n


def curve_point(rows, n_models, device):
    """Seconds per model and epoch of a stack of so many: that of two lengths of training, so that set-up falls out."""
    X, y, s = rows
    train, test = next(StratifiedKFold(5).split(X, y))
    clock, times = (time.perf_counter if device == "cuda" else time.process_time), []
    strengths = np.geomspace(0.05, 5, n_models).tolist()
    for epochs in (1, 2):
        start = clock()
        FrontierSearchCV(
            net(epochs, device), {"strength": strengths}, scoring="accuracy", refit=False, models="best",
            cv=[(train, test[:100])], stack_memory=2**36,
        ).fit(X, y, sensitive_features=s)  # fmt: skip
        times.append(clock() - start)
    return (times[1] - times[0]) / n_models


def curves(rows, rounds, devices):
    """Lines of the table over K."""
    lines = ["| device | K | seconds per model and epoch | K = 1 over this |", "|---|---|---|---|"]
    for device in devices:
        curve_point(rows, 1, device)
        measures = {k: lambda k=k, device=device: curve_point(rows, k, device) for k in CURVE}
        times = common.interleave(measures, rounds)
        for k in CURVE:
            ratio = np.median(np.array(times[1]) / np.array(times[k]))
            lines.append(f"| {device} | {k} | {np.median(times[k]):.4f} | {ratio:.1f} |")
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--gpu-only", action="store_true", help="measure the curve on the GPU alone")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sklearn.set_config(enable_metadata_routing=True)
    rows = data()
    if arguments.gpu_only:
        common.write("frontier_speed_gpu", "\n".join(curves(rows, arguments.rounds, ["cuda"])))
        return
    for run in RUNS.values():  # torch and the packages load the last of their parts in a first call
        run(*(part[:600] for part in rows), 1)
    measures = {name: lambda run=run: per_model(run, rows, arguments.epochs) for name, run in RUNS.items()}
    times = common.interleave(measures, arguments.rounds)
    ours = np.array(next(iter(times.values())))
    lines = ["| | CPU seconds per model | min to max | over `FrontierSearchCV` |", "|---|---|---|---|"]
    for name, values in times.items():
        row = np.array(values)
        ratio = f"{np.median(row / ours):.1f}" if row is not ours else ""
        lines.append(f"| {name} | {np.median(row):.2f} | {row.min():.2f} to {row.max():.2f} | {ratio} |")
    devices = ["cpu", *["cuda"] * torch.cuda.is_available()]
    text = [
        "# A frontier in one fit",
        f"Adult, {rows[0].shape[0]:,} x {rows[0].shape[1]}, MLP 50-50, batch {BATCH}, {arguments.epochs} epochs, "
        f"{len(list(ParameterGrid({'strength': STRENGTHS})))} strengths x 5 folds, one thread; {arguments.rounds} "
        f"interleaved rounds; ratios are medians of the rounds' ratios. {common.machine()}",
        "\n".join(lines),
        "How it grows with the number of models in the stack"
        + ("." if torch.cuda.is_available() else "; there was no GPU, so nothing was measured on one."),
        "\n".join(curves(rows, max(1, arguments.rounds - 1), devices)),
    ]
    common.write("frontier_speed", "\n\n".join(text))


if __name__ == "__main__":
    main()
