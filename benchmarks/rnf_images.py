"""Representation neutralisation on images: ResNet-18 on coloured digits and on a sample of FairFace.

**Coloured digits** (`make_colored_digits`): 1,000 images for training, in which the colour agrees with the label (5 to 9
or not) in 95 % of the rows, and the other 797 digits, with colours independent of the label, for the test. Sensitive:
the colour. The images have their original 8 x 8 pixels, not the default's 16, which repeat each pixel: a quarter
of the time for the same information. The faces are shrunk to 32 x 32.

**FairFace sample**: 540 faces, 30 per age band and gender; label: 40 years or more, sensitive: gender. As in the sample
the two are independent, a dependence is planted: of the 360 training faces (20 per cell of band and gender) three in
four of the old women and of the young men are left out. The test faces stay balanced. Training faces are mirrored too.

The network is the paper's (512-100-2 head), the settings are not: the paper takes Adam with 3e-5, batches of 390 and at
most 8 epochs, on CelebA (whether from pretrained weights, our sources do not say).
Nothing is pretrained here, so the learning rate is larger, the batches are smaller, and a few
hundred small images stand for 190,000 large ones.

One RNFClassifier on the images is trained per seed ("from images"); its teacher is "Vanilla", and the teacher of all other
rows. As its encoder stands still and has no dropout, their heads are trained on its codes, computed once: the same
method, in a fraction of the time. Means and standard deviations over the seeds; digits, colours and the split of the
faces are drawn anew for each. "worst cell": the lowest accuracy in a cell of label and group. `alpha` is the one of
`smooth_reduction="mean"`.
"""

import argparse
import io
import os
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import common
import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from torch import nn

from skfair.datasets import make_colored_digits
from skfair.metrics import demographic_parity_difference, equalized_odds_difference, worst_group_accuracy
from skfair.modules import ResNet18
from skfair.representation import ProxyAnnotator, RNFClassifier

ALPHAS = (0.0, 0.01, 0.03, 0.1, 0.3)
THRESHOLDS = (0.7, 0.9)
NET = dict(module=ResNet18, device="cpu", lr=3e-4, batch_size=64)
OLD = ("40-49", "50-59", "60-69", "70+")
COLUMNS = ("accuracy", "worst cell", "DP difference", "EO difference")


class Head(nn.Module):
    """The head of ResNet18, on codes."""

    def __init__(self, out_features):
        super().__init__()
        self.encoder = nn.Identity()
        self.head = nn.Sequential(nn.Linear(512, 100), nn.ReLU(), nn.Linear(100, out_features))

    def forward(self, z):
        return self.head(z)


HEAD_NET = {**NET, "module": Head}


class RNF(RNFClassifier):
    """RNFClassifier on the codes of a teacher that is trained already."""

    def prepare(self, X, y, *, sensitive_features, sample_weight):
        self.teacher_ = SimpleNamespace(module_=self.known_teacher)
        return sample_weight


def digits(seed):
    """(X, y, s) of training and of test."""
    made = [make_colored_digits(correlation=c, image_size=8, random_state=seed) for c in (0.95, 0.5)]
    for data, rows in zip(made, (slice(None, 1000), slice(1000, None))):  # one seed: the same order of the digits
        yield data.data[rows], data.target[rows], data.sensitive_features["color"].to_numpy()[rows].astype(str)


def faces(seed, size=32):
    """(X, y, s) of training and of test; raises FileNotFoundError."""
    folder = Path(os.environ.get("SKFAIR_DATA", "")) / "fairface_sample"
    labels = pd.read_csv(folder / "labels.csv")
    y, s = labels["age"].isin(OLD).to_numpy().astype(np.int64), labels["gender"].to_numpy().astype(str)
    X = read_images(folder / "images_64.zip", labels["filename"], size)
    strata = labels["age"] + labels["gender"]
    train, test = train_test_split(np.arange(len(y)), test_size=180, stratify=strata, random_state=seed)
    rare = y[train] == (s[train] == "Female")
    kept = ~rare | (np.random.default_rng(seed).random(len(train)) < 0.25)
    train = train[kept]
    yield np.concatenate([X[train], X[train][..., ::-1]]), np.tile(y[train], 2), np.tile(s[train], 2)
    yield X[test], y[test], s[test]


def read_images(path, names, size):
    from PIL import Image

    with zipfile.ZipFile(path) as archive:
        images = [Image.open(io.BytesIO(archive.read(name))).convert("RGB").resize((size, size)) for name in names]
    return (np.stack(images).transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32)


def scores(y, predicted, s):
    return (
        np.mean(predicted == y),
        worst_group_accuracy(y, predicted, sensitive_features=s),
        demographic_parity_difference(y, predicted, sensitive_features=s),
        equalized_odds_difference(y, predicted, sensitive_features=s),
    )


def head_only(net):
    """A module that is the head of a fitted net."""
    module = Head(2)
    module.head.load_state_dict(net.module_.head.state_dict())
    return module


def codes(net, X):
    encoder = net.module_.encoder.eval()
    with torch.no_grad():
        return torch.cat([encoder(part) for part in torch.from_numpy(X.copy()).split(100)]).numpy()


def evaluate(train, test, seed, setting):
    """Scores by row of the table, for one seed; and phi between the proxies and the groups, within the labels."""
    (X, y, s), (X_test, y_test, s_test) = train, test
    common_setting, epochs = dict(random_state=seed, **setting["net"]), setting["teacher_epochs"]
    annotator = ProxyAnnotator(q=0.3, max_epochs=epochs, **common_setting).fit(X, y)
    proxy = annotator.annotate(X, y)
    phi = [abs(np.corrcoef(proxy[y == label], s[y == label] == s[0])[0, 1]) for label in (0, 1)]
    net = RNFClassifier(alpha=0.03, teacher_epochs=epochs, max_epochs=setting["max_epochs"], **common_setting)
    net.fit(X, y, sensitive_features=s)
    p = net.teacher_.predict_proba(X_test)[:, 1]
    found = {("Vanilla", ""): scores(y_test, (p > 0.5).astype(int), s_test)}
    for threshold in THRESHOLDS:
        found["Vanilla", f"threshold {threshold:g}"] = scores(y_test, (p > threshold).astype(int), s_test)
    found["GCE", "the annotator, q 0.3"] = scores(y_test, annotator.predict(X_test), s_test)
    found["RNF_GT", "alpha 0.03, from images"] = scores(y_test, net.predict(X_test), s_test)
    Z, Z_test = codes(net.teacher_, X), codes(net.teacher_, X_test)
    RNF.known_teacher = head_only(net.teacher_)
    for name, annotations in {"RNF_GT": "given", "RNF (random groups)": "random", "RNF (proxy)": proxy}.items():
        for alpha in ALPHAS:
            head = RNF(
                annotations=annotations, alpha=alpha, max_epochs=setting["max_epochs"], random_state=seed, **HEAD_NET
            )
            head.fit(Z, y, sensitive_features=s)
            found[name, f"alpha {alpha:g}"] = scores(y_test, head.predict(Z_test), s_test)
    found["constant", ""] = scores(y_test, np.full(len(y_test), np.bincount(y).argmax()), s_test)
    return found, phi


def table(runs):
    lines = ["| method | point | " + " | ".join(COLUMNS) + " |", "|" + "---|" * (2 + len(COLUMNS))]
    for row in runs[0]:
        values = np.array([run[row] for run in runs])
        cells = [f"{m:.3f} +- {d:.3f}" for m, d in zip(values.mean(0), values.std(0, ddof=1))]
        lines.append("| " + " | ".join([*row, *cells]) + " |")
    return "\n".join(lines)


SETTINGS = {
    "Coloured digits": (digits, dict(teacher_epochs=4, max_epochs=8, net=NET)),
    "FairFace sample": (faces, dict(teacher_epochs=10, max_epochs=10, net={**NET, "module__small_images": False})),
}


def measure(name, seeds):
    """A section of the page, or None where the data are not there."""
    load, setting = SETTINGS[name]
    start, runs, phis = time.perf_counter(), [], []
    for seed in range(seeds):
        try:
            train, test = load(seed)
        except FileNotFoundError as error:
            print(f"{name}: skipped, {error} (set SKFAIR_DATA to the folder of the data sets)")
            return None
        found, phi = evaluate(train, test, seed, setting)
        runs.append(found)
        phis.append(phi)
        print(name, seed, f"{time.perf_counter() - start:.0f} s", flush=True)
        for row, values in found.items():
            print("   ", *row, np.round(values, 3), flush=True)
    shape = " x ".join(str(side) for side in train[0].shape[1:])
    zero, one = np.mean(phis, 0)
    text = (
        f"{seeds} seeds, {len(train[0])} training rows of {shape}, batches of {NET['batch_size']}, Adam {NET['lr']:g}, "
        f"{setting['teacher_epochs']} epochs of the teacher and {setting['max_epochs']} of the head. Size of phi between "
        f"the proxies (q 0.3, gamma 0.5) and the true groups: {zero:.2f} within label 0, {one:.2f} within label 1."
    )
    return "\n\n".join([f"## {name}", text, table(runs)])


VERDICT = (
    "No setting of RNF is better than the teacher beyond the spread of two seeds. On the digits accuracy, the worst cell "
    "and both gaps get worse as alpha grows, with the true groups as with random ones or proxies; what RNF_GT has over "
    "random groups (about 0.01 of accuracy, 0.01 to 0.03 of the worst cell) is within the spread, and so is its best point, "
    "alpha 0. A likely reason, not tested: the teacher fits its training rows (nearly) perfectly, the 50 or so whose colour "
    "disagrees included, and codes of so few memorised rows say little of unseen ones. On the faces the teacher itself is "
    "at the level of a constant (0.556), so nothing can be concluded: the gaps shrink where predictions become constant "
    "(alpha 0.3), and the raised threshold is no worse. The head from images and the one on codes agree within the spread. "
    "The paper's image results (CelebA) are neither confirmed nor refuted by this."
)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--data", nargs="+", default=list(SETTINGS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sections = [measure(name, arguments.seeds) for name in arguments.data]
    parts = ["# Representation neutralisation on images", __doc__.split("\n\n", 1)[1].strip(), common.machine()]
    common.write("rnf_images", "\n\n".join([*parts, *filter(None, sections), "## What it shows", VERDICT]))


if __name__ == "__main__":
    main()
