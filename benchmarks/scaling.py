"""How time and memory grow: with the rows (10^4 to 10^7), the groups (2 to 1,000) and the models of a stack (1 to 256).

Made data, 20 columns; MLP 50-50, one epoch, batch 1,024, one thread. Each point runs in a process of its own, which first
does the same at a small size (torch loads the last of its parts then); it reports the median CPU seconds of up to three
runs, and by how much its peak memory has grown. The slope is that of a least-squares line through the logarithms of the
upper points: 1 is "in proportion", 0 "not at all".
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

COLUMNS, BATCH = 20, 1024
ROWS, GROUPS, MODELS = (10**4, 10**5, 10**6, 10**7), (2, 10, 100, 1000), (1, 4, 16, 64, 256)
QUICK = (10**3, 10**4), (2, 10), (1, 4)
AT = {"groups": 10**5, "models": 10**4}  # rows of the tables over groups and models
BLOCK = 10**5  # rows that are made at once
FIRST = {"rows": [2000], "groups": [2000, 2], "models": [2000, 1]}  # what is run before anything is measured
ENOUGH = 3.0  # seconds after which a point is not run again


# ---------------------------------------------------------------------- one point, in a process of its own
def data(n, n_groups=2):
    """X (n, 20) float32, labels that the first columns and the group tell in part, groups."""
    rng = np.random.default_rng(0)
    s, X, y = rng.integers(n_groups, size=n), np.empty((n, COLUMNS), dtype=np.float32), np.empty(n, dtype=np.int64)
    for start in range(0, n, BLOCK):
        rows = slice(start, min(start + BLOCK, n))
        X[rows] = rng.standard_normal((rows.stop - start, COLUMNS), dtype=np.float32)
        noise = rng.standard_normal(rows.stop - start, dtype=np.float32)
        y[rows] = X[rows, :3].sum(1) + (s[rows] % 2) + noise > 0.5
    return X, y, s


def net(name, **parameters):
    from skfair.regularization import RegularizedClassifier
    from skfair.robust import ERMClassifier, GroupDROClassifier

    cls = {"ERM": ERMClassifier, "Group DRO": GroupDROClassifier, "Regularized": RegularizedClassifier}[name]
    return cls(max_epochs=1, batch_size=BATCH, random_state=0, device="cpu", **parameters)


def fits(name):
    def prepare(size, n_groups=2):
        X, y, s = data(size, n_groups)
        return lambda: net(name).fit(X, y, sensitive_features=s)

    return prepare


def predictions(size, n_groups=2):
    X, y, s = data(size, n_groups)
    fitted = net("ERM").fit(X[:2000], y[:2000])
    return lambda: fitted.predict_proba(X)


def reports(n_boot):
    def prepare(size, n_groups=2):
        from skfair.metrics import group_report

        rng = np.random.default_rng(0)
        y, p, s = (rng.integers(top, size=size) for top in (2, 2, n_groups))
        return lambda: group_report(y, p, sensitive_features=s, n_boot=n_boot, random_state=0)

    return prepare


def search(size, n_models):
    from skfair.model_selection import FrontierSearchCV

    X, y, s = data(size)
    split = [(np.arange(size - 100), np.arange(size - 100, size))]

    def run():
        strengths = np.geomspace(0.05, 5, n_models).tolist()
        FrontierSearchCV(
            net("Regularized"), {"strength": strengths}, scoring="accuracy", refit=False, cv=split, models="best",
            stack_memory=2**36,
        ).fit(X, y, sensitive_features=s)  # fmt: skip

    return run


TASKS = {
    "rows": {
        "`ERMClassifier.fit`": fits("ERM"), "`GroupDROClassifier.fit`": fits("Group DRO"), "`predict_proba`": predictions,
        "`group_report`, no resamples": reports(0), "`group_report`, 1,000 resamples": reports(1000),
    },
    "groups": {
        "`GroupDROClassifier.fit`": fits("Group DRO"), "`RegularizedClassifier.fit`": fits("Regularized"),
        "`group_report`, 1,000 resamples": reports(1000),
    },
    "models": {"`FrontierSearchCV.fit`": search},
}  # fmt: skip


def imports():
    import sklearn
    import torch

    import skfair.metrics
    import skfair.model_selection
    import skfair.regularization
    import skfair.robust  # noqa: F401

    sklearn.set_config(enable_metadata_routing=True)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


def megabytes(of):
    """Memory of this process: "VmRSS" that it holds, "VmHWM" the most that it has held since the mark was put down."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{of}:\s+(\d+)", status)[1]) / 1024


def measure(over, task, size):
    """Print seconds and megabytes of one point, as JSON."""
    imports()
    prepare = TASKS[over][task]
    prepare(*FIRST[over])()
    Path("/proc/self/clear_refs").write_text("5")  # puts down the mark; ru_maxrss would keep the peak of the imports
    before, times = megabytes("VmRSS"), []
    run = prepare(*((size,) if over == "rows" else (AT[over], size)))
    while len(times) < 3 and sum(times) < ENOUGH:
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    print(json.dumps([statistics.median(times), megabytes("VmHWM") - before]))


# ---------------------------------------------------------------------- all of them
def point(over, task, size):
    """(seconds, megabytes) of one point."""
    command = [sys.executable, __file__, "--point", json.dumps([over, task, size])]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, capture_output=True, text=True, env=env)
    if found.returncode:
        raise RuntimeError(f"{task} with {size} {over}:\n{found.stderr}")
    return json.loads(found.stdout.splitlines()[-1])


def slope(sizes, values):
    """Of the line through the logarithms of the last three points; none where memory has not grown."""
    sizes, values = sizes[-3:], values[-3:]
    return "" if min(values) <= 0 else f"{np.polyfit(np.log(sizes), np.log(values), 1)[0]:.2f}"


def table(over, sizes):
    """Lines of one table: seconds and megabytes of each task at each size, with the slopes."""
    head = " | ".join(f"{size:,}" for size in sizes)
    lines = [f"| {over} | | {head} | slope |", "|---|---|" + "---|" * (len(sizes) + 1)]
    for task in TASKS[over]:
        found = [point(over, task, size) for size in sizes]
        seconds, memory = [value for value, _ in found], [value for _, value in found]
        lines.append(f"| {task} | s | {' | '.join(f'{v:.3g}' for v in seconds)} | {slope(sizes, seconds)} |")
        lines.append(f"| | MB | {' | '.join(f'{v:,.0f}' for v in memory)} | {slope(sizes, memory)} |")
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="small sizes, printed and not written")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        return measure(*arguments.point)
    import common

    start = time.perf_counter()
    sizes = dict(zip(TASKS, QUICK if arguments.quick else (ROWS, GROUPS, MODELS)))
    tables = {over: "\n".join(table(over, sizes[over])) for over in TASKS}
    text = "\n\n".join([
        "# How cost grows",
        f"Made data, {COLUMNS} columns, MLP 50-50, one epoch, batch {BATCH:,}, one thread; CPU seconds (median of up to "
        f"three runs) and by how much the peak memory has grown, the rows themselves included; the slope is that of the "
        f"logarithms of the last three points. The machine was shared and busy. {common.machine()}",
        f"Rows, 2 groups (the rows themselves are {COLUMNS * 4 + 16} bytes each):", tables["rows"],
        f"Groups, {AT['groups']:,} rows:", tables["groups"],
        f"Models in a stack, strengths of `RegularizedClassifier` on {AT['models']:,} rows, checks and scoring included:",
        tables["models"],
        f"The whole took {(time.perf_counter() - start) / 60:.0f} minutes by the clock.",
    ])  # fmt: skip
    print(text) if arguments.quick else common.write("scaling", text)


if __name__ == "__main__":
    main()
