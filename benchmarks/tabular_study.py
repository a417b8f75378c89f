"""The study behind `skfair.preprocessing.make_tabular_pipeline`: which inputs, networks and training are best for tables.

SKFAIR_DATA=<folder with the data> python benchmarks/tabular_study.py --records FILE      # all: about 45 minutes
... --variants "dropout*" --sets "Adult" --records FILE                                  # a part of it, no page
... --report --records FILE                                                              # the page from the file
"""

import argparse
import fnmatch
import functools
import json
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import common
import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

from skfair.datasets import (
    fetch_adult,
    fetch_bank_marketing,
    fetch_compas,
    fetch_credit_default,
    fetch_german_credit,
    fetch_meps,
)
from skfair.preprocessing import make_tabular_preprocessor
from skfair.robust import DistillationClassifier, ERMClassifier

# name -> (loader, seeds)
SETS = {
    "German": (fetch_german_credit, range(6)),
    "COMPAS": (fetch_compas, range(4)),
    "MEPS": (fetch_meps, range(2)),
    "Credit": (fetch_credit_default, range(2)),
    "Adult": (fetch_adult, range(2)),
    "Bank": (fetch_bank_marketing, range(2)),
}
INPUTS = {"numeric": "standard", "frequent_values": 3, "spike": 0.03}
TRAINING = {
    "module": "mlp", "module__hidden": (256, 256), "module__dropout": 0.3, "lr": 1e-3, "batch_size": 256,
    "max_epochs": "auto", "lr_schedule": "cosine", "gradient_clipping": 1.0, "early_stopping": True, "patience": None,
}  # fmt: skip
PLAIN_INPUTS = {"numeric": "standard", "frequent_values": None}
PLAIN = {"batch_size": 256}
ADAMW = {"optimizer": torch.optim.AdamW}
MLP_ONLY = ("module__hidden", "module__dropout")
METRICS = {"accuracy": +1, "auc": +1, "log_loss": -1}


def variants():
    """name -> (inputs, training): the centre, and each time one thing else."""

    def net(inputs=(), **training):
        return {**INPUTS, **dict(inputs)}, {**TRAINING, **training}

    def other(module, **training):
        kept = {key: value for key, value in TRAINING.items() if key not in MLP_ONLY}
        return INPUTS, {**kept, "module": module, **training}

    found = {"centre": net(), "plain MLP": (PLAIN_INPUTS, PLAIN), "frequent none": net({"frequent_values": None})}
    every = {"spike": 1e-4}  # columns without a spike as well, and chance repetitions
    found |= {
        "spike 0.0001": net(every),
        **{f"spike {s:g}": net({"spike": s}) for s in (0.01, 0.1)},
        "spike 0.0001, frequent 2": net({**every, "frequent_values": 2}),
    }
    found |= {"spike 0.0001, numeric quantile": net({**every, "numeric": "quantile"})}
    found |= {"spike 0.0001, dropout 0.5": net(every, module__dropout=0.5)}
    found |= {"spike 0.0001, weight_decay 0.1": net(every, **ADAMW, weight_decay=0.1)}
    found |= {"spike 0.1, dropout 0.5": net({"spike": 0.1}, module__dropout=0.5)}
    found |= {f"frequent {c}": net({"frequent_values": c}) for c in (10, 30)}
    found |= {f"hidden {h}": net(module__hidden=h) for h in ((128, 128), (512, 512), (256, 256, 256))}
    found |= {"dropout 0.1": net(module__dropout=0.1), "lr 0.0005": net(lr=5e-4), "lr 0.002": net(lr=2e-3)}
    found |= {"batch 64": net(batch_size=64), "batch 512": net(batch_size=512)}
    found |= {"schedule constant": net(lr_schedule="constant"), "clipping none": net(gradient_clipping=None)}
    found |= {"stopping none": net(early_stopping=False), "stopping accuracy": net(early_stopping="accuracy")}
    plr = {"module__hidden": (256, 256), "module__dropout": 0.3, "module__d_embedding": 12, "module__n_frequencies": 16}
    found |= {f"plr scale {s:g}": other("plr", **plr, module__frequency_init_scale=s) for s in (0.1, 1.0)}
    found |= {"tabm 4 members": other("tabm", module__n_members=4, module__dropout=0.3)}
    found |= {"tabm 4 members, embedding": other(
        "tabm", module__n_members=4, module__dropout=0.3, module__d_embedding=12, module__frequency_init_scale=0.1
    )}  # fmt: skip
    found |= {f"distilled {share:g}": (INPUTS, {**TRAINING, "share": share}) for share in (0.5, 1.0)}
    return found


VARIANTS = {"trees": None, **variants()}


# ---------------------------------------------------------------------------------------------- running
@functools.cache
def learn_rows(name):
    """The rows of a set that no test of `tree_level.py` with seed 0 sees, and its categorical columns."""
    data = SETS[name][0]()
    X, y = data.data, data.target.to_numpy()
    if name == "Adult":
        rows = np.flatnonzero((data.split == "train").to_numpy())
    else:
        rows, _ = train_test_split(np.arange(len(y)), test_size=0.3, stratify=y, random_state=0)
    return X.iloc[rows].reset_index(drop=True), y[rows], list(data.categorical_features)


def net(training, seed):
    fixed = {**training, "random_state": seed, "device": "cpu"}
    if "share" in fixed:
        return DistillationClassifier(teacher=HistGradientBoostingClassifier(random_state=seed), out_of_fold=5, **fixed)
    return ERMClassifier(**fixed)


def measure(name, variant, seed):
    X, y, categories = learn_rows(name)
    train, valid = train_test_split(np.arange(len(y)), test_size=0.25, stratify=y, random_state=seed)
    start = time.perf_counter()
    if variant == "trees":
        X = X.astype(dict.fromkeys(categories, "category"))
        model = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=seed)
        p = model.fit(X.iloc[train], y[train]).predict_proba(X.iloc[valid])[:, 1]
    else:
        inputs, training = VARIANTS[variant]
        pre = make_tabular_preprocessor(**inputs)
        model = net(training, seed).fit(pre.fit_transform(X.iloc[train]), y[train])
        p = model.predict_proba(pre.transform(X.iloc[valid]))[:, 1]
    seconds, truth = time.perf_counter() - start, y[valid]
    scores = (accuracy_score(truth, p > 0.5), roc_auc_score(truth, p), log_loss(truth, p))
    return {**dict(zip(METRICS, map(float, scores))), "seconds": seconds}


def read(store):
    lines = store.read_text().splitlines() if store and store.exists() else []
    return {(r["set"], r["variant"], r["seed"]): r for r in map(json.loads, lines)}


def run(records, store, names, sets):
    for variant in names:
        for name in sets:
            for seed in SETS[name][1]:
                if (name, variant, seed) in records:
                    continue
                record = {"set": name, "variant": variant, "seed": seed, **measure(name, variant, seed)}
                records[name, variant, seed] = record
                if store:
                    with store.open("a") as stream:
                        stream.write(json.dumps(record) + "\n")
        print(variant, {name: round(np.mean([records[name, variant, s]["accuracy"] for s in SETS[name][1]]), 4)
                        for name in sets}, flush=True)  # fmt: skip


# ---------------------------------------------------------------------------------------------- the page
PROTOCOL = """\
# Which inputs, networks and training for tables

The study behind the defaults of `make_tabular_pipeline`. **Validation rows only**: of each data set 30 % of the rows (Adult:
the official test part) are set aside, the rest is split 75 : 25, {seeds} times; each variant is
fitted on the first part and measured on the second. A cell is the mean difference to gradient boosted trees
(`HistGradientBoostingClassifier()` as it is) on the same rows, in points (hundredths). The test rows of seed 0 of
[tree_level](tree_level.md) are seen by none of these fits; those of its other seeds are other draws from the same rows.
{machine} One CPU thread.

Centre: `make_tabular_preprocessor({inputs})`, then {training}. Each other line changes one thing."""


def table(frame, names):
    head = ["variant", *SETS, "mean", "seconds"]
    rows = [
        [v, *(f"{x:+.2f}" for x in frame.loc[v]), f"{frame.loc[v].mean():+.2f}", f"{names[v]:.1f}"] for v in frame.index
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def report(records):
    found = pd.DataFrame(records.values()).set_index(["variant", "set", "seed"])
    seconds = found["seconds"].groupby("variant").mean()
    parts = [PROTOCOL.format(
        seeds=", ".join(f"{name} {len(s)}" for name, (_, s) in SETS.items()), machine=common.machine(),
        inputs=", ".join(f"{k}={v!r}" for k, v in INPUTS.items()),
        training=", ".join(f"`{k}={v!r}`" for k, v in TRAINING.items()),
    )]  # fmt: skip
    for metric, sign in METRICS.items():
        values = found[metric].unstack("variant")
        gain = sign * 100 * values.sub(values["trees"], axis=0).groupby("set").mean()
        complete = [v for v in VARIANTS if v in gain and v != "trees" and gain[v].notna().all()]
        name = metric if sign > 0 else f"{metric}, sign turned, so that greater is better"
        parts.append(f"## {name}\n\n" + table(gain[complete].T[list(SETS)], seconds))
    common.write("tabular_study", "\n\n".join(parts))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path)
    parser.add_argument("--variants", nargs="*", default=["*"])
    parser.add_argument("--sets", nargs="*", default=["*"])
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    records = read(given.records)
    if not given.report:
        chosen = list(dict.fromkeys(v for p in given.variants for v in fnmatch.filter(VARIANTS, p)))
        run(records, given.records, chosen, [s for s in SETS if any(fnmatch.fnmatch(s, p) for p in given.sets)])
    if given.report or (given.variants == ["*"] and given.sets == ["*"]):
        report(records)


if __name__ == "__main__":
    main()
