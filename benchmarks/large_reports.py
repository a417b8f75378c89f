"""Memory and time of a report by group on 100 million rows: in parts, and as frames that are never held as a whole.

Made-up rows: labels and predictions of 0 and 1, two sexes and five races as text, some missing. Each way runs in a process
of its own; its peak is VmHWM of that process, less what it held after the imports. The parquet file is written to a
temporary folder and deleted.

    python benchmarks/large_reports.py [--rows 100000000]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np
import pandas as pd

from skfair.metrics import group_report, group_report_in_chunks

CHUNK = 10**6
SEX, RACE = np.array(["Female", "Male"]), np.array(["A", "B", "C", "D", None], dtype=object)
NAMES = {"y_true": "y", "y_pred": "p", "sensitive_features": ["sex", "race"]}


def part(number, n=CHUNK):
    """The rows of one part as a frame, the same in each process."""
    rng = np.random.default_rng([0, number])
    sex, race = rng.integers(0, 2, n), rng.choice(5, n, p=[0.7, 0.15, 0.08, 0.05, 0.02])
    y = (rng.random(n) < 0.2 + 0.1 * sex).astype(np.int8)
    p = np.where(rng.random(n) < 0.85, y, sex).astype(np.int8)
    texts = {
        "sex": pd.Categorical.from_codes(sex, SEX),
        "race": pd.Categorical.from_codes(race % 5 - (race == 4) * 5, RACE[:4]),
    }
    return pd.DataFrame({"y": y, "p": p, **texts})


def chunks(n_rows):
    for number in range(n_rows // CHUNK):
        rows = part(number)
        yield rows["y"], rows["p"], rows[["sex", "race"]]


def write_parquet(path, n_rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for number in range(n_rows // CHUNK):
        rows = pa.Table.from_pandas(part(number), preserve_index=False)
        writer = writer or pq.ParquetWriter(path, rows.schema)
        writer.write_table(rows)
    writer.close()


# ---------------------------------------------------------------------- the ways, each in its own process
def in_memory(path, n_rows):
    """All rows at once: the part that is not counted is made first."""
    rows = pd.concat([part(number) for number in range(n_rows // CHUNK)], ignore_index=True)
    start = time.perf_counter()
    report = group_report(rows["y"], rows["p"], sensitive_features=rows[["sex", "race"]], random_state=0)
    return report, time.perf_counter() - start


def iterator(path, n_rows):
    start = time.perf_counter()
    report = group_report_in_chunks(chunks(n_rows), random_state=0)
    return report, time.perf_counter() - start


def polars_lazy(path, n_rows):
    import polars

    start = time.perf_counter()
    report = group_report_in_chunks(polars.scan_parquet(path), **NAMES, random_state=0)
    return report, time.perf_counter() - start


def dask_frame(path, n_rows):
    import dask
    import dask.dataframe

    start = time.perf_counter()
    with dask.config.set(scheduler="synchronous"):
        frame = dask.dataframe.read_parquet(path, split_row_groups=True)
        report = group_report_in_chunks(frame, **NAMES, random_state=0)
    return report, time.perf_counter() - start


WAYS = {"in memory": in_memory, "iterator": iterator, "polars": polars_lazy, "dask": dask_frame}
SHOWN = {
    "in memory": "`group_report`, pandas, all rows in memory",
    "iterator": "`group_report_in_chunks`, an iterator of parts of 1,000,000 (making them included)",
    "polars": "`group_report_in_chunks(polars.scan_parquet(...))`",
    "dask": "`group_report_in_chunks(dask.dataframe.read_parquet(...))`, one thread",
}


def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def child(way, path, n_rows):
    group_report([0, 1, 0, 1], [0, 1, 1, 0], sensitive_features=["a", "a", "b", "b"], n_boot=10)
    if way in ("polars", "dask"):
        __import__("polars" if way == "polars" else "dask.dataframe")
    before = peak()
    report, seconds = WAYS[way](path, n_rows)
    numbers = [report.by_group.to_numpy(float).tolist(), report.gaps.drop(columns="metric").to_numpy(float).tolist()]
    print(json.dumps({"seconds": seconds, "before": before, "peak": peak(), "numbers": numbers}))


def measure(way, path, n_rows):
    command = [sys.executable, __file__, "--way", way, "--path", str(path), "--rows", str(n_rows)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10**8)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--path")
    given = parser.parse_args()
    if given.way:
        return child(given.way, given.path, given.rows)
    few = given.rows // 10
    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder) / "rows.parquet", Path(folder) / "few.parquet"
        write_parquet(path, given.rows)
        write_parquet(small, few)
        size = path.stat().st_size / 2**20
        runs = [(way, few, measure(way, small, few)) for way in WAYS]
        runs += [(way, given.rows, measure(way, path, given.rows)) for way in ("iterator", "polars", "dask")]
    return common.write("large_reports", page(runs, given.rows, few, size))


def page(runs, n_rows, few, size):
    equal = {n: len({str(run["numbers"]) for _, rows, run in runs if rows == n}) == 1 for n in (few, n_rows)}
    whole = runs[0][2]["peak"] - runs[0][2]["before"]
    lines = [
        f"# A report by group on {n_rows:,} rows: memory and time\n",
        f"Rows made up: two labels, two sexes x five races (one missing). The parquet file has {size:,.0f} MiB. 1,000 "
        f"resamples. Peaks are above what a process holds after the imports. One run each, on a shared machine, "
        f"{common.machine()}\n",
        "| | rows | seconds | peak, MiB | of `group_report` on a tenth of the rows |\n|---|---|---|---|---|",
    ]
    for way, rows, run in runs:
        used = run["peak"] - run["before"]
        lines.append(f"| {SHOWN[way]} | {rows:,} | {run['seconds']:.1f} | {used:,.0f} | {used / whole:.3f} |")
    for rows, same in equal.items():
        lines.append(f"{'' if rows != few else chr(10)}All ways on {rows:,} rows give "
                     f"{'the same numbers, to the last digit' if same else 'DIFFERENT numbers'}.\n")  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()
