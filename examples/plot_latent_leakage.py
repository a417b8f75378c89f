"""What latent codes give away
===========================

What the latent dimensions of images show, and how well a sensitive feature is read from them after DVGE's perturbation.

``python examples/plot_latent_leakage.py [folder for the output] [file of codes]`` takes about a minute without a file: it
trains a small dense FactorVAE on coloured digits of 16 x 16 pixels. The pictures of the documentation are made from
``leakage_digits_FactorVAE.joblib``, which ``benchmarks/leakage.py --cache FOLDER`` leaves behind: a convolutional FactorVAE
on coloured MNIST of 64 x 64 pixels.

``traversal.png``: images and what the autoencoder makes of them, then the code of one image, with one dimension at a time
moved from -3 to 3. r is the correlation of that dimension with the colour.
``leakage.png``: the accuracy of a probe for the colour on codes that were moved by DVGE, with the probe of the original
codes (fixed) and with one that is trained on moved codes (retrained). Only the second says what information is left. Below
the majority's accuracy nothing is hidden any better: the answers are wrong on purpose, and could be turned around.
"""

import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch

from skfair.datasets import make_colored_digits
from skfair.inspection import sensitive_leakage
from skfair.representation import FactorVAETransformer
from skfair.robust import ERMClassifier

READINGS = {"ce": "cross entropy", "neg_logit": "minus the logit", "logit": "plus the logit"}
CLIPS = {None: "-", 0.1: "--"}
MANY = dict(batch_size=1024, lr=2e-3)  # of the probe, for many rows


def faded_digits(n_train=1297):
    """Images and whether they are green, in two parts; some green and red is mixed, so that the colour is not obvious."""
    digits = make_colored_digits(correlation=0.8, image_size=16, pixel_noise=0.05, random_state=0)
    X, s = digits.images, digits.sensitive_features["color"].eq("green").to_numpy().astype(np.int64)
    own = np.random.default_rng(0).normal(0.7, 0.2, len(X)).clip(0, 1).astype(np.float32)[:, None, None, None]
    X[:, :2] = own * X[:, :2] + (1 - own) * X[:, 1::-1]
    return (X[:n_train], s[:n_train]), (X[n_train:], s[n_train:])


def train():
    """An encoder with the codes and groups of both parts, and images to show."""
    (X, s), (X_test, s_test) = faded_digits()
    encoder = FactorVAETransformer(module__hidden=(256, 256), max_epochs=80, device="cpu", random_state=0).fit(X)
    Z, Z_test = encoder.transform(X), encoder.transform(X_test)
    return dict(encoder=encoder, Z=Z, Z_test=Z_test, s=s, s_test=s_test, images=X_test[:32])


def leakage(codes):
    """Rows of sensitive_leakage, for each reading and clip: probes of the training rows, judged on the others."""
    Z, s = np.concatenate([codes["Z"], codes["Z_test"]]), np.concatenate([codes["s"], codes["s_test"]])
    split, found = np.split(np.arange(len(Z)), [len(codes["Z"])]), []
    for explain in READINGS:
        for clip in CLIPS:
            probe = ERMClassifier(max_epochs=20, random_state=0, **(MANY if len(Z) > 10_000 else {}))
            rows = sensitive_leakage(Z, sensitive_features=s, explain=explain, clip=clip, probe=probe, cv=[split])
            found.append(rows.assign(explain=explain, clip=str(clip)))
    return pd.concat(found)


def plot_leakage(found):
    """A panel for the fixed probe and one for the retrained one."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 4.1), sharey=True, layout="constrained")
    first = found[(found["explain"] == "ce") & (found["clip"] == "None")].set_index("treatment")
    for ax, column in zip(axes, ("fixed", "retrained")):
        levels = {"no removal": first.loc["none", column], "dimension removed": first.loc["removed", column]}
        levels["majority"] = first["majority"].iloc[0]
        for (name, level), style in zip(levels.items(), ("-", "-.", ":")):
            ax.axhline(level, color="0.3", linewidth=1, linestyle=style, label=name, zorder=3)
        for (explain, words), colour in zip(READINGS.items(), ("C0", "C3", "C2")):
            for clip, style in CLIPS.items():
                kept = (found["clip"] == str(clip)) & (found["explain"] == explain)
                rows = found[kept & (found["treatment"] != "removed")]
                label = words + ("" if clip is None else f", clip {clip}")
                ax.plot(rows["eta"].fillna(0), rows[column], style, color=colour, linewidth=1.6, label=label)
        ax.set(title=f"{column} probe", xlabel="strength of the perturbation, eta", xlim=(0, 1))
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("accuracy of the probe for the colour")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=9)
    return figure


def tiles(images):
    """Images (rows, columns, 3, h, w) as one picture, with white lines between them."""
    padded = np.pad(images, [(0, 0)] * 3 + [(1, 1), (1, 1)], constant_values=1.0)
    rows, columns, _, height, width = padded.shape
    return padded.transpose(0, 3, 1, 4, 2).reshape(rows * height, columns * width, 3)


def traversals(encoder, z, path):
    """Decoded images (D, n, 3, h, w): each dimension of a code takes the values of a path."""
    moved = np.repeat(z[None], len(z) * len(path), 0).reshape(len(z), len(path), -1)
    for j, row in enumerate(moved):
        row[:, j] = path
    decoded = encoder.inverse_transform(moved.reshape(-1, len(z)))
    return decoded.reshape(*moved.shape[:2], *decoded.shape[1:])


def plot_traversal(codes, shown=1, n=9):
    """Images over their reconstructions; below, a row for each latent dimension of one of them."""
    import matplotlib.pyplot as plt

    encoder, images = codes["encoder"], np.asarray(codes["images"][:n], np.float64)
    Z, path = encoder.transform(images), np.linspace(-3, 3, n)
    decoded = traversals(encoder, Z[shown], path)
    order = np.argsort(-decoded.std(1).mean((1, 2, 3)))  # what moves the image most comes first
    r = [np.corrcoef(column, codes["s"])[0, 1] for column in codes["Z"].T]
    top, below = tiles(np.stack([images, encoder.inverse_transform(Z)])), tiles(decoded[order])
    side = len(top) // 2
    figure, ax = plt.subplots(figsize=(5.2, 6.3), layout="constrained")
    ax.imshow(np.concatenate([top, np.ones((side // 3, *top.shape[1:])), below]).clip(0, 1), interpolation="nearest")
    places = [side * (k + 0.5) + (side // 3) * (k > 1) for k in range(2 + len(order))]
    ax.set_yticks(places, ["image", "decoded", *(f"$z_{{{j}}}$, r = {r[j]:+.2f}" for j in order)], fontsize=8)
    ax.set_xticks(side * (np.arange(n) + 0.5), [f"{value:g}" for value in path], fontsize=8)
    ax.set_xlabel(f"value of one dimension, the others as in the image of column {shown + 1}", fontsize=8)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return figure


def main(folder, codes=None):
    torch.set_num_threads(1)
    codes = train() if codes is None else joblib.load(codes)
    folder.mkdir(parents=True, exist_ok=True)
    plot_traversal(codes).savefig(folder / "traversal.png", dpi=85, bbox_inches="tight")
    found = leakage(codes)
    for (explain, clip), rows in found.groupby(["explain", "clip"], sort=False):
        print(f"\n{READINGS[explain]}, clip {clip}\n", rows.drop(columns=["split", "explain", "clip"]).round(3))
    plot_leakage(found).savefig(folder / "leakage.png", dpi=110)
    print(f"\nWritten: {folder / 'traversal.png'}, {folder / 'leakage.png'}")


if __name__ == "__main__":
    import matplotlib

    matplotlib.use("Agg")
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"), *sys.argv[2:3])
