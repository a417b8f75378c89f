"""How much of a sensitive feature is left in latent codes: the protocol of Tables 1, 2, 5 and 6 of the DVGE paper.

SKFAIR_DATA=<folder with the data> python benchmarks/leakage.py [--parts digits tables] [--cache FOLDER]
python benchmarks/leakage.py --celeba FOLDER [--images N]

A probe is trained to tell the groups from the codes of training rows; its accuracy is measured on test rows after each
treatment: none, the dimension of largest correlation removed, and DVGE's perturbation of strength eta, by each reading of
what is explained (cross entropy, minus the logit, plus the logit as in the paper's code) and with each clip (none, as
in its code; 0.1, as in its text). "retrained" (Table 1): the probe is trained anew on treated rows; low values mean that
the information is gone, or out of the probe's reach. "fixed" (Table 5): the probe of the untreated codes; low values
mean only that the codes have moved across its border. "clean": the retrained probe on test rows that are not treated, as
DVGE's task model meets them. The majority is what a constant has; a value below it is not privacy, but a probe that
answers wrongly on purpose moved rows.

**Coloured MNIST.** The first 16,000 training images train the encoders and the probes, the first 8,000 test images are
for the measuring. Label: digit 5 to 9 or not. Sensitive: the colour, green with probability 0.8 where the label is 1 and
0.2 where it is 0. So that the colour cannot be read perfectly, the hue h of an image is normal, mean 0.4 (red) or -0.4
(green), standard deviation 0.4, clipped to [-1, 1]; its red is min(1, 1 + h), its green min(1, 1 - h), its blue 0, all
times a brightness drawn from [0.6, 1]. Then 64 x 64 pixels (bilinear), normal noise of 0.05 per pixel, clipped to
[0, 1]. Hue alone, read exactly, tells 84 % of the colours, hue and label 89 %. Encoders: ConvVAE, 10 dimensions, batches
of 64, Adam with 5e-4, 16 epochs (4,000 steps); the paper takes 1,000,000 steps at 1e-4. (With 1e-3 the codes of all
images were still the same after 600 steps.) Codes are means. One encoder of each kind; the seeds are those of the
probes. The probe is skfair's default network with Adam 2e-3, batches of 1,024 and 20 epochs (the paper's: five layers of
1,000 units, learning rate 1e-5, 120 epochs, and the best epoch on the test rows counts). The paper's rows are for CelebA
and "Male", other data: they stand there as the pattern to look for, not as numbers to meet. Control: each code moved as
far as by the perturbation, but in a random direction.

**Tables.** Adult (sex; each split draws 6,000 rows) and South German Credit (age > 25), without the column that the
sensitive feature is made of. Three splits, 30 % test rows, stratified by group; preprocessing, encoders (10 dimensions;
FFVAE 9 and the sensitive one) and probes see the training rows alone. Controls: the columns as they are, PCA, and
random groups (a permutation). All readings are measured for FactorVAE, for the others one. Adult keeps
"relationship", which says husband or wife.

**CelebA** (`--celeba`) HAS NEVER BEEN RUN ON THE REAL IMAGES: they may not be passed on and are not at hand; only its
functions were run, on random pictures. It reads the folder that torchvision's ``CelebA(root=FOLDER)`` expects, without
downloading. The first 180,000 images train, the other 22,599 are for the measuring, as in the paper's code. One image of
64 x 64 takes 49 kB as float32: 10 GB for all 202,599, and up to twice that while the encoders are fitted. `--images N`
takes N images, in the same proportion. `--steps` is the number of encoder steps (the paper: 1,000,000, at 1e-4, which
takes a GPU; all training images are copied to it, 9 GB). The paper's "two attributes" are, in its code, female and young
against everyone else; the four groups of Male and Young are measured too.
"""

import argparse
import gzip
import os
import time
import warnings
from pathlib import Path

import common
import joblib
import numpy as np
import pandas as pd
import sklearn
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import StratifiedShuffleSplit
from torch.nn.functional import interpolate

from skfair.datasets import fetch_adult, fetch_south_german_credit
from skfair.functional import gradient_explanation
from skfair.inspection import sensitive_leakage
from skfair.modules import ConvVAE
from skfair.preprocessing import make_tabular_preprocessor
from skfair.representation import FactorVAETransformer, FFVAETransformer, VAETransformer
from skfair.robust import ERMClassifier

READINGS = [(explain, clip) for explain in ("ce", "neg_logit", "logit") for clip in (None, 0.1)]
ETAS = tuple(np.round(np.arange(0.1, 1.01, 0.1), 1))
ENCODERS = {"FactorVAE": (FactorVAETransformer, dict(gamma=6.4)), "VanillaVAE": (VAETransformer, {})}
CONV = dict(module=ConvVAE, n_components=10, batch_size=64, random_state=0)
DIGITS = dict(lr=5e-4, max_epochs=16)
CACHE = "leakage_{}.joblib"
# none, dims removed, eta 0.1 ... 1.0
PAPER = {
    ("retrained", "Male", "FactorVAE"): (.798, .736, .767, .735, .706, .682, .675, .661, .655, .658, .650, .648),
    ("retrained", "Male", "VanillaVAE"): (.804, .746, .769, .733, .705, .692, .686, .682, .682, .674, .671, .668),
    ("fixed", "Male", "FactorVAE"): (.798, .718, .772, .726, .677, .633, .595, .557, .528, .500, .478, .458),
    ("fixed", "Male", "VanillaVAE"): (.804, .722, .770, .719, .667, .621, .581, .545, .513, .489, .465, .447),
    ("retrained", "two", "FactorVAE"): (.752, .690, .732, .707, .680, .661, .644, .638, .637, .633, .633, .631),
    ("retrained", "two", "VanillaVAE"): (.757, .704, .736, .709, .683, .664, .657, .653, .653, .651, .653, .649),
    ("fixed", "two", "FactorVAE"): (.752, .670, .732, .697, .662, .627, .599, .572, .549, .530, .513, .496),
    ("fixed", "two", "VanillaVAE"): (.757, .677, .736, .701, .663, .628, .596, .571, .548, .528, .512, .496),
}  # fmt: skip
NUMBER = {("retrained", "Male"): 1, ("retrained", "two"): 2, ("fixed", "Male"): 5, ("fixed", "two"): 6}
TITLES = {
    "retrained": "Retrained probe", "fixed": "Fixed probe", "clean": "Retrained probe on test rows that are not treated"
}  # fmt: skip


# ---------------------------------------------------------------------------------------------- coloured MNIST
def mnist(part, n):
    """The first n images (n, 28, 28), of 0 to 255, and digits of a part of MNIST; raises FileNotFoundError."""
    folder = Path(os.environ.get("SKFAIR_DATA", "")) / "mnist"
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        digit = np.frombuffer(file.read(), np.uint8, offset=8)
    return images[:n], digit[:n]


def paint(images, digit, seed, correlation=0.8):
    """Images (n, 3, 64, 64) and whether they are green."""
    rng, n = np.random.default_rng(seed), len(images)
    label = (digit >= 5).astype(np.int64)
    green = np.where(rng.random(n) < correlation, label, 1 - label)
    hue = np.clip(np.where(green, -0.4, 0.4) + 0.4 * rng.standard_normal(n), -1, 1)
    colour = np.minimum(1, 1 + np.stack([hue, -hue, np.full(n, -1)], 1)) * rng.uniform(0.6, 1, (n, 1))
    gray = interpolate(torch.tensor(images[:, None] / 255, dtype=torch.float32), 64, mode="bilinear").numpy()
    X = gray * colour[:, :, None, None].astype(np.float32)
    X += 0.05 * rng.standard_normal(X.shape, np.float32)
    return X.clip(0, 1, out=X), green


def training_digits(n=16_000):
    return paint(*mnist("train", n), seed=0)


def held_out_digits(n=8_000):
    return paint(*mnist("t10k", n), seed=1)


def encode(name, X, X_test, parameters):
    """A trained encoder, the codes of both parts, and some test images."""
    cls, own = ENCODERS[name]
    encoder = cls(**own, **CONV, **parameters).fit(X)
    print(name, f"{minutes_of(encoder):.0f} minutes, losses", *np.round(encoder.history[:, "train_loss"]), flush=True)
    return dict(encoder=encoder, Z=encoder.transform(X), Z_test=encoder.transform(X_test), images=X_test[:32])


def cached(folder, name, make):
    """What ``make()`` returns, from a file of the folder (None: no file) if it is there."""
    path = folder and Path(folder) / CACHE.format(name)
    if path and path.exists():
        return joblib.load(path)
    made = make()
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        joblib.dump(made, path)
    return made


def digit_codes(folder=None):
    """Codes by name of the encoder, and the groups; ``folder`` keeps them."""
    data = []

    def make(name):
        if not data:
            data.extend([training_digits(), held_out_digits()])
        (X, s), (X_test, s_test) = data
        return encode(name, X, X_test, DIGITS) | dict(s=s, s_test=s_test)

    return {name: cached(folder, f"digits_{name}", lambda name=name: make(name)) for name in ENCODERS}


def digits_part(arguments):
    made, found = digit_codes(arguments.cache), {}
    for name, codes in made.items():
        found[name] = probe_all(codes, arguments.seeds)
        print(name, "\n" + table(found[name], "retrained"), flush=True)
    minutes = ", ".join(f"{name} {minutes_of(codes['encoder']):.0f}" for name, codes in made.items())
    s_test = next(iter(made.values()))["s_test"]
    text = (
        f"{arguments.seeds} seeds of the probe; +- under a table: the largest standard deviation in it. Training took"
        f" (minutes, one core of a busy machine): {minutes}. Majority on the test rows:"
        f" {max(s_test.mean(), 1 - s_test.mean()):.3f}."
    )
    control = "### Control: the retrained probe on codes moved as far, in random directions (one seed)"
    return ["## Coloured MNIST, colour", text, *sections(found, "Male"), control, random_table(made)]


def minutes_of(encoder):
    """Minutes of the training, from the median over the epochs."""
    return np.median(encoder.history[:, "dur"]) * len(encoder.history) / 60


# ---------------------------------------------------------------------------------------------- the protocol
def probe_all(codes, seeds):
    """The rows of sensitive_leakage for all readings and seeds, for codes of training and of test rows."""
    Z, s = np.concatenate([codes["Z"], codes["Z_test"]]), np.concatenate([codes["s"], codes["s_test"]])
    split, found = (np.arange(len(codes["Z"])), np.arange(len(codes["Z"]), len(Z))), []
    for explain, clip in READINGS:
        for seed in range(seeds):
            rows = leakage(Z, s, split, seed, explain, clip)
            found.append(rows.assign(explain=explain, clip=str(clip), seed=seed))
    return pd.concat(found)


def leakage(Z, s, split, seed, explain, clip, eta=ETAS, batch_size=1024, max_epochs=20):
    probe = ERMClassifier(batch_size=batch_size, max_epochs=max_epochs, lr=2e-3, random_state=seed)
    return sensitive_leakage(Z, sensitive_features=s, eta=eta, explain=explain, clip=clip, probe=probe, cv=[split])


def random_directions(codes, explain):
    """Accuracy of probes trained and measured on codes that are moved as far as by a reading, in random directions."""
    Z, probe = codes["Z"].astype(np.float32), ERMClassifier(batch_size=1024, max_epochs=20, lr=2e-3, random_state=0)
    fixed, rng = clone(probe).fit(Z, codes["s"]), np.random.default_rng(0)
    parts = []
    for z in (Z, codes["Z_test"].astype(np.float32)):
        step = gradient_explanation(fixed.module_.eval(), torch.from_numpy(z).to(fixed.device_), explain).cpu().numpy()
        noise = rng.standard_normal(z.shape)
        noise *= np.linalg.norm(step, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
        parts.append((z, noise))
    for eta in (0.0, *ETAS[1::2]):
        moved, moved_test = ((z + eta * noise).astype(np.float32) for z, noise in parts)
        yield clone(probe).fit(moved, codes["s"]).score(moved_test, codes["s_test"])


def random_table(made):
    rows = [
        [f"{name}, as far as {explain}, clip None", *(f"{value:.3f}" for value in random_directions(codes, explain))]
        for name, codes in made.items()
        for explain in ("ce", "neg_logit")
    ]
    return markdown(["", "none", *map(str, ETAS[1::2])], rows)


def row_of(found, column):
    """Values of a column for none, dims removed and each eta: means over the seeds."""
    means = found.groupby(["treatment", found["eta"].fillna(0)])[column].mean()
    return np.array([means["none", 0], means["removed", 0], *means["perturbed"]])


def readings(found):
    """(name, rows) of each reading."""
    for explain, clip in READINGS:
        yield f"{explain}, clip {clip}", found[(found["explain"] == explain) & (found["clip"] == str(clip))]


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def table(found, column, paper=None):
    """One row per reading, and the paper's."""
    rows = [[name, *(f"{value:.3f}" for value in row_of(own, column))] for name, own in readings(found)]
    if paper:
        rows.append(["*paper, CelebA*", *(f"*{value:.3f}*" for value in paper)])
    keys = ["explain", "clip", "treatment", found["eta"].fillna(0)]
    spread = f"+- {found.groupby(keys)[column].std(ddof=1).max():.3f}" if found["seed"].nunique() > 1 else ""
    return markdown(["", "none", "dims removed", *map(str, ETAS)], rows) + f"\n\n{spread}"


def sections(found, attributes):
    """Tables of the encoders, each next to the paper's, and what they show."""
    parts = []
    for column, title in TITLES.items():
        number = NUMBER.get((column, attributes))
        for name, own in found.items():
            paper = PAPER.get((column, attributes, name))
            parts += [f"### {title}{f' (Table {number})' if number else ''}, {name}", table(own, column, paper)]
    return [*parts, "### What of the paper's pattern is there", *patterns(found, attributes)]


def pattern(fixed, retrained):
    """What is looked for in the values for none, dims removed and each eta, as a dict."""
    path = pd.Series(np.delete(retrained, 1), index=(0.0, *ETAS))
    return {
        "fall": path.iloc[0] - path.iloc[-1],
        "least": path.min(),
        "at": path.idxmin(),
        "order": path.corr(pd.Series(path.index, path.index), method="spearman"),
        "removed": retrained[1] - path[0.2],
        "fixed": (fixed - retrained)[4:].max(),
    }


HOLDS = {
    "The retrained probe falls by 0.10 or more from none to eta 1 (the paper: 0.150 and 0.136 for Male)": lambda found: (
        found["fall"] >= 0.1
    ),
    "It falls with eta (rank correlation of -0.8 or less; the paper: below -0.98)": lambda found: (
        found["order"] <= -0.8
    ),
    "Removing dimensions leaves what eta 0.2 leaves, to 0.02 (so in the paper)": lambda found: (
        abs(found["removed"]) <= 0.02
    ),
    "The fixed probe is at or below the retrained one at every eta from 0.3 on (so in the paper)": lambda found: (
        found["fixed"] <= 0
    ),
}


def patterns(found, attributes):
    """A table of the pattern of each reading, and in which of them the paper's is there."""
    lines = {}
    for name, own in found.items():
        for reading, rows in readings(own):
            lines[name, reading] = pattern(row_of(rows, "fixed"), row_of(rows, "retrained"))
        paper = [PAPER.get((column, attributes, name)) for column in ("fixed", "retrained")]
        if all(paper):
            lines[name, "*paper, CelebA*"] = pattern(*map(np.array, paper))
    head = ["encoder", "reading", "fall from none to eta 1", "lowest value", "rank correlation with eta"]
    head += ["dims removed less eta 0.2", "largest fixed - retrained, eta >= 0.3"]
    rows = [
        [*key, f"{v['fall']:+.3f}", f"{v['least']:.3f} (eta {v['at']:g})"]
        + [f"{v[name]:+.3f}" for name in ("order", "removed", "fixed")]
        for key, v in lines.items()
    ]
    ours = {f"{name} ({reading})": line for (name, reading), line in lines.items() if "paper" not in reading}
    true = {words: [name for name, line in ours.items() if holds(line)] for words, holds in HOLDS.items()}
    sentences = [f"- {words}: {len(own)} of {len(ours)}: {'; '.join(own) or 'none'}." for words, own in true.items()]
    return [markdown(head, rows), "\n".join(sentences)]


# ---------------------------------------------------------------------------------------------- tables
def adult():
    data = fetch_adult(drop_missing=True, sensitive="sex")
    return data.data.drop(columns="sex"), data.sensitive_features["sex"].eq("Male").to_numpy().astype(np.int64)


def german():
    data = fetch_south_german_credit(sensitive="age_group")
    return data.data.drop(columns="age"), data.sensitive_features["age_group"].eq(">25").to_numpy().astype(np.int64)


# rows, batch size of encoders and probes, epochs of the encoders, epochs of the probes
TABLES = {"Adult, sex": (adult, 6_000, 256, 60, 20), "South German Credit, age > 25": (german, 1_000, 128, 150, 30)}
FEW = (0.2, 1.0)
FFVAE = "FFVAE (alpha {:g}, gamma {:g}), {}"
EVERY_READING = ("FactorVAE",)


def representations(X, s, train, **net):
    """(name, codes) of all rows; only the training rows are learned from."""
    yield "the columns", X
    yield "PCA(10)", PCA(10, random_state=0).fit(X[train]).transform(X)
    for name, (cls, own) in ENCODERS.items():
        yield name, cls(**own, **net).fit(X[train]).transform(X)
    for alpha, gamma in ((1.0, 1.0), (100.0, 6.4)):
        ffvae = FFVAETransformer(n_components=9, alpha=alpha, gamma=gamma, **net)
        ffvae.fit(X[train], sensitive_features=s[train])
        yield FFVAE.format(alpha, gamma, "dropped"), ffvae.transform(X)
        yield FFVAE.format(alpha, gamma, "full code"), ffvae.encode(X)


def probe_table(name, splits):
    """Rows of sensitive_leakage by representation, reading and split."""
    load, n_rows, batch_size, encoder_epochs, epochs = TABLES[name]
    (table_, s), found = load(), []
    sizes = dict(train_size=round(0.7 * n_rows), test_size=round(0.3 * n_rows))
    splitter = StratifiedShuffleSplit(splits, random_state=0, **sizes)
    for seed, split in enumerate(splitter.split(table_, s)):
        train = split[0]
        encoder = make_tabular_preprocessor().fit(table_.iloc[train])
        X = np.ascontiguousarray(encoder.transform(table_), dtype=np.float32)
        shuffled = np.random.default_rng(seed).permutation(s)
        net = dict(batch_size=batch_size, max_epochs=encoder_epochs, random_state=seed, device="cpu")
        for representation, Z in representations(X, s, train, **net):
            kinds = [("", s)]
            if representation in ("the columns", *ENCODERS):
                kinds.append((", random groups", shuffled))
            for suffix, groups in kinds:
                for explain, clip in READINGS[: None if representation in EVERY_READING and not suffix else 1]:
                    rows = leakage(Z, groups, split, seed, explain, clip, FEW, batch_size, epochs)
                    marks = dict(representation=representation + suffix, explain=explain, clip=str(clip), seed=seed)
                    found.append(rows.assign(**marks))
            print(name, seed, representation, f"{rows['retrained'].iloc[0]:.3f}", flush=True)
    return pd.concat(found)


def table_lines(found, column):
    for representation, own in found.groupby("representation", sort=False):
        plain = own[(own["explain"] == "ce") & (own["clip"] == "None")]
        none, removed = (plain[plain["treatment"] == kind] for kind in ("none", "removed"))
        cells = [f"{none['majority'].mean():.3f}", f"{none[column].mean():.3f} +- {none[column].std(ddof=1):.3f}"]
        cells.append(f"{none['balanced'].mean():.3f}")
        cells.append(f"{removed[column].mean():.3f}")
        for _, rows in readings(own):
            moved = rows[rows["treatment"] == "perturbed"].groupby("eta")[column].mean()
            cells.append(" / ".join(f"{value:.3f}" for value in moved))
        yield [representation, *cells]


def tables_part(arguments):
    parts = []
    for name in TABLES:
        start = time.perf_counter()
        found = probe_table(name, arguments.splits)
        text = f"{arguments.splits} splits (+-: their standard deviation). Under each reading: at eta {FEW[0]} / at eta"
        text += f" {FEW[1]}. {(time.perf_counter() - start) / 60:.0f} minutes."
        parts += [f"## {name}", text]
        head = [
            "",
            "majority",
            "none",
            "none, balanced accuracy",
            "dims removed",
            *(f"{e}, clip {c}" for e, c in READINGS),
        ]
        for column in ("retrained", "fixed"):
            parts += [f"### {TITLES[column]}", markdown(head, table_lines(found, column))]
    return parts


# ---------------------------------------------------------------------------------------------- CelebA
def celeba(folder, n=None):
    """Images (n, 3, 64, 64) and their groups by name, of training and of test."""
    from torchvision.datasets import CelebA

    data = CelebA(root=folder, split="all", target_type="attr", download=False)
    share = 180_000 / 202_599
    cut, n = round(len(data) * share), n or len(data)
    n_train = round(n * share)
    rows = [*range(n_train), *range(cut, cut + n - n_train)]
    X = np.empty((n, 3, 64, 64), np.float32)
    male, young = (data.attr_names.index(name) for name in ("Male", "Young"))
    found = np.empty((n, 2), np.int64)
    for place, row in enumerate(rows):
        image, attributes = data[row]
        X[place] = np.asarray(image.convert("RGB").resize((64, 64)), np.float32).transpose(2, 0, 1) / 255
        found[place] = attributes[male], attributes[young]
    male, young = found.T
    groups = {"Male": male, "two": (1 - male) * young, "Male x Young": 2 * male + young}
    return (X[:n_train], {k: v[:n_train] for k, v in groups.items()}), (
        X[n_train:],
        {k: v[n_train:] for k, v in groups.items()},
    )


def celeba_part(arguments):
    (X, groups), (X_test, groups_test) = celeba(arguments.celeba, arguments.images)
    epochs = max(1, round(arguments.steps * CONV["batch_size"] / len(X)))
    parameters, found = dict(lr=arguments.lr, max_epochs=epochs), {}
    key = f"celeba_{len(X)}_{epochs}_{arguments.lr:g}"
    for name in ENCODERS:
        codes = cached(arguments.cache, f"{key}_{name}", lambda name=name: encode(name, X, X_test, parameters))
        for attributes in groups:
            own = dict(codes, s=groups[attributes], s_test=groups_test[attributes])
            found.setdefault(attributes, {})[name] = probe_all(own, arguments.seeds)
    parts = [f"## CelebA, {len(X):,} training and {len(X_test):,} test images, {epochs} epochs of the encoders"]
    titles = {"Male": "Male", "two": "female and young, or not", "Male x Young": "four groups of Male and Young"}
    for attributes, own in found.items():
        majority = next(iter(own.values()))["majority"].mean()
        parts += [f"## CelebA: {titles[attributes]} (majority {majority:.3f})", *sections(own, attributes)]
    return parts


VERDICT = """Coloured MNIST: the pattern of the paper's Table 1 is there with the cross entropy and no clip. The retrained
probe falls at every eta, from 0.863 to 0.750 on FactorVAE's codes and from 0.865 to 0.791 on VanillaVAE's (less than the
0.10 asked for), and the fixed one lies below it from eta 0.3 on. Removing one dimension leaves what eta 0.35 (FactorVAE)
and 0.2 (VanillaVAE) leave. Minus the logit: down to 0.738 on VanillaVAE's codes; on FactorVAE's down to 0.713 at eta 0.5
and up again to 0.795 at eta 1, where the fixed probe has 0.260: the codes have crossed its border and are told apart on
the other side.
With the clip of the paper's text nothing falls by more than 0.025. With the sign of the paper's code nothing falls at all,
with or without clip. The tables can therefore hardly stem from the text with its clip, nor from the code's sign.

Noise: moved as far in random directions, FactorVAE's codes leave 0.833 where the cross entropy leaves 0.750, so most of
the fall is the method's; but 0.775 where minus the logit leaves 0.795: at eta 1 that reading is worse than noise. And
test rows are not perturbed when DVGE predicts: on them the probe that was trained on codes moved by the cross entropy
reads 0.838 and 0.846 at eta 1. What is taken from the training codes is not taken from those that are predicted from.

Adult: nothing is taken away. The retrained probe reads the sex from FactorVAE's codes with 0.791 before and 0.799 after
eta 1 (cross entropy), VanillaVAE's with 0.802 and 0.805, whereas the fixed probe falls to 0.509 and 0.555: the codes have
only moved. Lower than the perturbation is one removed dimension (0.753 and 0.740). FFVAE without its sensitive dimension
leaves 0.750 (alpha 1, gamma 1), but 0.815 with alpha 100 and gamma 6.4, as much as PCA (0.805). With random groups
probes on codes have the majority's accuracy (0.669), on the columns less (0.645, overfitted)."""

PARTS = {"digits": digits_part, "tables": tables_part}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--cache", help="folder in which encoders and codes are kept")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--celeba", metavar="FOLDER", help="where torchvision's CelebA lies; measures only that")
    parser.add_argument("--images", type=int, help="use so many images of CelebA")
    parser.add_argument("--steps", type=int, default=1_000_000, help="of the encoders on CelebA")
    parser.add_argument("--lr", type=float, default=1e-4, help="of the encoders on CelebA")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    sklearn.set_config(enable_metadata_routing=True)
    parts = ["# What latent codes tell of a sensitive feature", __doc__.split("\n\n", 2)[2].strip(), common.machine()]
    for part in [celeba_part] if arguments.celeba else map(PARTS.get, arguments.parts):
        parts += part(arguments)
        verdict = [] if arguments.celeba else ["## What it shows", VERDICT]
        common.write("leakage_celeba" if arguments.celeba else "leakage", "\n\n".join([*parts, *verdict]))


if __name__ == "__main__":
    main()
