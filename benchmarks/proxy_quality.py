"""How well ProxyAnnotator finds the groups, where they are known, for three readings of its fraction gamma.

The paper says how a row is annotated (confident in the desired label: privileged; unconfident: not; the other way round
for the other label) but not of what gamma is the fraction. The readings:

- "within label" (implemented): privileged are the fraction gamma of largest p(y = + | x) among the rows of each label;
- "confidence": confident is a row whose probability of its own label exceeds gamma;
- "all rows": confident is the fraction gamma of all rows, whatever their label, with the largest probability of their
  own label.

In the last two, confident rows of the desired label and unconfident ones of the other are annotated as privileged. The
annotated rows are the training rows, as in RNF. Agreement: share of rows whose annotation is the true group (privileged
or not), next to "base", the larger of the shares of the two groups, which a constant reaches. phi: Pearson's correlation
of two binary variables, 0 for chance; RNF pairs rows of equal label, so the one within the labels counts. The overall
phi rises with any annotation that merely repeats the label: "the label itself" shows how far.
"""

import argparse

import common
import numpy as np
import torch
from rnf import NET, SETTING, load

from skfair.representation import ProxyAnnotator

GAMMAS = (0.3, 0.5, 0.7)


def readings(net, X, y, gamma):
    """Annotations (1: privileged) by reading."""
    own = np.take_along_axis(net.predict_proba(X), y[:, None], 1)[:, 0]  # of the row's own label
    found = {"within label": net.set_params(gamma=gamma).annotate(X, y)}
    for name, cut in {"confidence": gamma, "all rows": np.quantile(own, 1 - gamma)}.items():
        found[name] = np.where(y == 1, own > cut, own <= cut).astype(np.int64)
    return found


def phi(a, b):
    return np.corrcoef(a, b)[0, 1] if a.std() > 0 and b.std() > 0 else 0.0


def quality(annotation, y, privileged):
    within = [phi(annotation[y == label], privileged[y == label]) for label in (0, 1)]
    return annotation.mean(), np.mean(annotation == privileged), phi(annotation, privileged), *within


def measure(name, seeds):
    """A section of the page."""
    X, y, s, favoured, train, _ = load(name)
    X, y, privileged = X[train], y[train], (s[train] == favoured).astype(np.int64)
    q, epochs = SETTING[name]["q"], SETTING[name]["teacher_epochs"]
    found = {}
    for seed in range(seeds):
        net = ProxyAnnotator(q=q, max_epochs=epochs, random_state=seed, **NET).fit(X, y)
        for gamma in GAMMAS:
            for reading, annotation in readings(net, X, y, gamma).items():
                found.setdefault((reading, gamma), []).append(quality(annotation, y, privileged))
        print(name, seed, flush=True)
    rows = ["| reading | gamma | privileged | agreement | phi | phi, y = 0 | phi, y = 1 |", "|" + "---|" * 7]
    for (reading, gamma), values in sorted(found.items(), key=lambda item: item[0][0], reverse=True):
        mean, sd = np.mean(values, 0), np.std(values, 0, ddof=1)
        rows.append(f"| {reading} | {gamma} | " + " | ".join(f"{m:.3f} +- {d:.3f}" for m, d in zip(mean, sd)) + " |")
    own = quality(y, y, privileged)
    rows.append("| the label itself | | " + " | ".join(f"{value:.3f}" for value in own[:3]) + " | 0 | 0 |")
    base = max(privileged.mean(), 1 - privileged.mean())
    head = f"## {name}, {len(y):,} rows, {seeds} seeds, q {q}, {epochs} epochs, base {base:.3f}"
    return head + f" ({favoured}: {privileged.mean():.3f})\n\n" + "\n".join(rows)


VERDICT = (
    "No reading finds the group: phi within a label is at most 0.34, agreement stays below the base on Adult and is at most "
    '0.02 above it on MEPS. The reading to recommend is "within label" with gamma 0.5, the best of a weak lot: its mean phi '
    'over the two labels is the highest on both data sets (on MEPS together with gamma 0.7), while "all rows" finds nothing '
    'among the positive rows unless gamma is large, and "confidence" mostly finds less among the negative ones. On Adult '
    "what is found is found among the negative rows (0.32, against 0.05 among the positive). The inputs hold the sensitive "
    "column itself, as in the paper."
)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    parts = ["# Quality of the proxy annotations", __doc__.strip(), common.machine()]
    parts += [measure(name, arguments.seeds) for name in ("Adult", "MEPS")]
    common.write("proxy_quality", "\n\n".join([*parts, "## What it shows", VERDICT]))


if __name__ == "__main__":
    main()
