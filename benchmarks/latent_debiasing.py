"""Latent-space de-biasing: on a spurious feature, on Adult and COMPAS, on coloured MNIST, its ablation, on 540 faces.

Five parts that can be run one by one (``--parts toy tables mnist ablation fairface``). What is found is kept in
``--records`` after each seed; rows that are in it are not measured again, and the page is written from all of them. Nothing
is tuned. Means and, over several seeds, standard deviations.
"""

import argparse
import copy
import pickle
import time
import warnings
from pathlib import Path

import common
import numpy as np
import torch
from latent_debiasing_tables import (
    SEEDS,
    SETTINGS,
    Growing,
    active,
    cell_weights,
    facts,
    fit,
    resample,
    run_tables,
    run_toy,
    tables_page,
    toy_page,
    toy_picture,
    value,
    verdict,
)
from robust import Records, read, table
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import average_precision_score

from skfair.augmentation import GANGenerator, LatentDebiasingSampler, VAEGenerator
from skfair.metrics import (
    bias_amplification,
    calibrated_threshold,
    equal_opportunity_at_calibrated_threshold,
    score_kl,
    worst_group_accuracy,
)
from skfair.modules import CNN, ConvVAE
from skfair.representation import VAETransformer
from skfair.robust import ERMClassifier, GroupDROClassifier

warnings.filterwarnings("ignore")
IMAGES = Path(__file__).parents[1] / "docs" / "images"


# ---------------------------------------------------------------- coloured MNIST: red and green, below 5 and from 5
N_TRAIN, N_SHAPES, N_ALL = 6_000, 12_000, 15_000
EPOCHS = 5
NET = dict(module=CNN, module__widths=(16, 32, 64), module__dropout=0.0, optimizer=torch.optim.Adam, lr=3e-3,
           batch_size=32, device="cpu")  # fmt: skip
STRONG = 1e-3  # Adam's L2; 1e-2, the larger one of robust.py, ends in a constant


def digits(part, n, share, seed):
    """Images (n, 3, 32, 32), label (5 or more), colour (0 red, 1 green), which is the label with this probability."""
    rng = np.random.default_rng(seed)
    digit = read(f"{part}-labels-idx1-ubyte.gz")
    chosen = rng.permutation(len(digit))[:n]
    y = (digit[chosen] >= 5).astype(np.int64)
    s = np.where(rng.random(n) < share, y, 1 - y)
    gray = read(f"{part}-images-idx3-ubyte.gz")[chosen].reshape(-1, 28, 28).astype(np.float32) / 255
    X = np.zeros((n, 3, 32, 32), np.float32)
    X[np.arange(n), s, 2:30, 2:30] = gray
    return X, y, s


class Images:
    """All that the image parts share: rows, generators, samplers, and a judge that sees shapes without colours."""

    def __init__(self, vae, gan, gan_epochs):
        self.all = digits("train", N_ALL, 0.95, 0)
        self.train = [part[:N_TRAIN] for part in self.all]
        self.valid = [part[N_SHAPES : N_SHAPES + 2000] for part in self.all]
        self.free, self.biased = digits("t10k", 4000, 0.5, 1), digits("t10k", 2000, 0.95, 2)
        self.files, self.gan_epochs = {"VAE": vae, "GAN": gan}, gan_epochs
        self.made, self.samplers, self.judge_ = {}, {}, None

    def generator(self, kind):
        """Read from its file if that is there, else trained, and then written."""
        if kind not in self.made:
            path = Path(self.files[kind]) if self.files[kind] else None
            if path and path.exists():
                net = pickle.loads(path.read_bytes())
            else:
                start = time.time()
                net = self._vae().fit(self.train[0]) if kind == "VAE" else self._gan().fit(self.all[0])
                print(f"{kind} trained in {time.time() - start:.0f} s", flush=True)
                if path:
                    path.write_bytes(pickle.dumps(net))
            self.made[kind] = active(net, self.train[0]) if kind == "VAE" else FrozenEstimator(net)
            print(kind, self.made[kind].n_components_, "dimensions", flush=True)
        return self.made[kind]

    def _vae(self):
        own = dict(n_components=32, module=ConvVAE, likelihood="bernoulli", max_epochs=10, device="cpu", random_state=0)
        return VAEGenerator(VAETransformer(**own))

    def _gan(self):
        return GANGenerator(max_epochs=self.gan_epochs, device="cpu", random_state=0)

    def sampler(self, kind, setting):
        """(fitted sampler, all rows, facts): one for all seeds of the classifiers."""
        if (kind, setting) not in self.samplers:
            X, y, s = self.train
            sampler = LatentDebiasingSampler(
                self.generator(kind), **SETTINGS[setting], classifier=ERMClassifier(max_epochs=4 * EPOCHS, **NET),
                n_synthetic=N_TRAIN // 2 if setting == "prior" else None, n_hyperplane=5000, n_check=1000,
                device="cpu", random_state=0,
            )  # fmt: skip
            *given, seconds = resample(sampler, X, y, s)
            found = {**facts(sampler, *given[1:], seconds, X), **self.judged(sampler)}
            self.samplers[kind, setting] = sampler, given, found
        return self.samplers[kind, setting]

    def judge(self, X):
        """Labels of images by a net that was trained on 12,000 without their colours."""
        if self.judge_ is None:
            X_all, y_all = (part[:N_SHAPES] for part in self.all[:2])
            self.judge_ = ERMClassifier(max_epochs=EPOCHS, random_state=0, **NET).fit(gray(X_all), y_all)
        return self.judge_.predict(gray(X))

    def judged(self, sampler, n=1500):
        """How good the pairs are, by the pixels' colour and by the judge."""
        generator, (X, y, _) = sampler.generator_, self.train
        Z = generator.sample(n, 0) if sampler.source == "prior" else generator.encode(X[:n])
        first, second = (np.asarray(generator.decode(codes)) for codes in (Z, sampler.partner(Z)))
        target = sampler.attribute_classifiers_["target"].label(first) if sampler.source == "prior" else y[:n]
        shapes = self.judge(first), self.judge(second)
        return {
            "label right, G(z)": np.mean(shapes[0] == target),
            "label right, G(z')": np.mean(shapes[1] == target),
            "colour flips": np.mean(green(first) != green(second)),
            "shape keeps": np.mean(shapes[0] == shapes[1]),
            "judge": np.mean(self.judge(self.free[0]) == self.free[1]),
            **{f"side of {name}": share for name, share in sampler.hyperplane_accuracy_.items()},
        }


def gray(X):
    return X.sum(1, keepdims=True).astype(np.float32)


def green(X):
    """The colour that images have, 0 red or 1 green."""
    return (X[:, 1].sum((1, 2)) > X[:, 0].sum((1, 2))).astype(np.int64)


def scores(images, net):
    """All metrics of the image parts."""
    (X, y, s), (X_biased, y_biased, s_biased), valid = images.free, images.biased, images.valid
    p, p_biased, p_valid = (net.predict_proba(part)[:, 1] for part in (X, X_biased, valid[0]))
    threshold = calibrated_threshold(valid[1], p_valid)
    predicted, given = (p > 0.5).astype(np.int64), dict(sensitive_features=s)
    biased = (p_biased >= threshold).astype(np.int64)
    return {
        "accuracy": np.mean(predicted == y),
        "worst group": worst_group_accuracy(y, predicted, **given),
        "KL": score_kl(y, p, estimator="paper", **given),
        "AP": average_precision_score(y, p),
        "DEO": equal_opportunity_at_calibrated_threshold(y, p, threshold=threshold, **given),
        "BA": bias_amplification(y_biased, biased, sensitive_features=s_biased),
    }


def net_of(method, decay, epochs, seed):
    net = dict(NET, max_epochs=epochs, weight_decay=decay, random_state=seed)
    return ERMClassifier(**net) if method == "ERM" else GroupDROClassifier(early_stopping=False, **net)


def title(method, decay, data):
    return f"{method}, {'strong L2' if decay else 'standard'}, {data}"


FOUR = [(method, decay) for method in ("ERM", "GroupDRO") for decay in (0.0, STRONG)]
AUGMENTED = [("GAN", "prior"), ("VAE", "inversion, cell"), ("VAE", "prior")]
TWICE = "original, twice the epochs"


def run_images(records, images, parts, kinds, ablated, seeds):
    """Everything with one seed before the next; the VAE in the paper's setting, which costs most, at last."""
    for augmented in (AUGMENTED[:2], AUGMENTED[2:]):
        for seed in range(seeds):
            if "mnist" in parts:
                originals(records, images, seed)
                mnist_seed(records, images, [which for which in augmented if which[0] in kinds], seed)
            for kind in ablated if "ablation" in parts else ():
                ablation_seed(records, images, kind, seed)


def originals(records, images, seed):
    rows = Growing(records, "mnist", "images")
    train(rows, images, FOUR, images.train, "original", EPOCHS, seed)
    train(rows, images, FOUR[::2], images.train, TWICE, 2 * EPOCHS, seed)


def mnist_seed(records, images, augmented, seed):
    rows = Growing(records, "mnist", "images")
    for kind, setting in augmented:
        data = f"{kind}, {setting}"
        four = FOUR if kind == "GAN" else FOUR[::2]
        if any(rows.lacks(title(*which, data), seed) for which in four):
            try:
                sampler, given, found = images.sampler(kind, setting)
            except ValueError as error:  # such as parallel hyperplanes
                records.add("refused", data, str(error), {})
                continue
            if not records.of("sampler", data):
                Growing(records, "sampler", data).put(data, 0, found)
            train(rows, images, four, given, data, EPOCHS, seed, on_new=~sampler.is_real_)


def train(rows, images, which, given, data, epochs, seed, on_new=None):
    for method, decay in which:
        name = title(method, decay, data)
        if rows.lacks(name, seed):
            start = time.time()
            net = fit(net_of(method, decay, epochs, seed), *given)
            found = {**scores(images, net), "seconds": time.time() - start}
            if on_new is not None:
                some = np.random.default_rng(0).permutation(np.flatnonzero(on_new))[:2000]
                found["on generated"] = np.mean(net.predict(given[0][some]) == given[1][some])
            rows.put(name, seed, found)


# the slides' tables (accuracy, worst group, KL): CelebA, 10,000 images, ResNet-50
SLIDES = {
    "ERM, standard, original": (0.7928, 0.0612, 0.0890), "ERM, strong L2, original": (0.8218, 0.0408, 0.1521),
    "GroupDRO, standard, original": (0.7688, 0.1224, 0.0739), "GroupDRO, strong L2, original": (0.8596, 0, 1.2370),
    "ERM, standard, augmented": (0.8026, 0.0816, 0.1061), "ERM, strong L2, augmented": (0.8536, 0.0046, 0.5560),
    "GroupDRO, standard, augmented": (0.8598, 0, 1.2348), "GroupDRO, strong L2, augmented": (0.8596, 0, 1.2370),
}  # fmt: skip


def slides_of(index):
    def show(row):
        method, decay, data = row["method"].split(", ", 2)
        data = "original" if data == "original" else "augmented" if data.startswith(("VAE", "GAN")) else None
        found = SLIDES.get(f"{method}, {decay}, {data}")
        return "" if found is None else f"{found[index]:.3f}"

    return show


def mnist_page(records):
    rows = records.of("mnist")
    n_seeds = sorted({len(row["metrics"]["accuracy"]) for row in rows})
    datas = ["original", TWICE, *(f"{kind}, {setting}" for kind, setting in AUGMENTED)]
    rows.sort(key=lambda row: datas.index(row["method"].split(", ", 2)[2]))
    more = [("on generated", value("on generated", 3))]
    more += [(f"slides: {name}", slides_of(i)) for i, name in enumerate(("accuracy", "worst", "KL"))]
    checks = []
    for data in datas:
        for decay in (0.0, STRONG):
            names = [title(method, decay, data) for method in ("GroupDRO", "ERM")]
            found = [[row["metrics"]["worst group"] for row in rows if row["method"] == name] for name in names]
            if all(found) and len(found[0][0]) == len(found[1][0]):
                gap = np.subtract(found[0][0], found[1][0])
                which = f"{'strong L2' if decay else 'standard'}, {data}"
                checks.append(f"- {which}: {verdict(gap.mean() >= 0)} ({gap.mean():+.3f}; per seed "
                              f"{', '.join(f'{g:+.3f}' for g in gap)})")  # fmt: skip
    quality = records.of("sampler")
    sure = f"{100 * np.mean(quality[0]['metrics']['judge']):.0f} %" if quality else ""
    names = ["label right, G(z)", "label right, G(z')", "colour flips", "shape keeps", "side of target"]
    extra = [name for name in (quality[0]["metrics"] if quality else {}) if name.startswith("side of")][1:]
    shown = [(name, value(name, 2)) for name in [*extra, "corr t, g", "overlap", "displacement", "seconds"]]
    parts = [
        "## Coloured MNIST: the experiment of the slides",
        "Digits of 32 x 32 pixels (28, padded), red or green; label: 5 or more; in training the colour agrees with the "
        f"label in 95 %, in the test (4,000 test digits) it is independent of it. {N_TRAIN:,} training images, 2,000 for "
        "validation, one drawing; no label noise. CNN of widths 16, 32, 64 without dropout, Adam 3e-3, batches of 32 (with "
        f"1e-3 and 128 ERM saw nothing but the colour), {EPOCHS} epochs, the last counts. Strong L2: Adam's weight decay of "
        f"{STRONG:g}; standard: 0. The generators know no labels: a ConvVAE of these {N_TRAIN:,} images, 10 epochs, "
        "without the dimensions it ignores, and a GAN (`GANGenerator`, 20 epochs on 15,000 such images with those). "
        '"prior": the paper\'s setting, with 3,000 pairs; "inversion, cell": the rows\' codes, cell-balanced hyperplanes. '
        "So augmented sets have twice the rows, and the control on the original has twice the epochs. One sampler each; "
        f"seeds of the nets: {' or '.join(map(str, n_seeds))} (rows without a deviation have one). "
        '"on generated": accuracy on 2,000 of the generated rows with their own labels, which '
        'must not be set beside accuracy on real rows, as the slides do. KL: `score_kl(estimator="paper")`.',
        table(rows, ["accuracy", "worst group", "KL"], more),
        "The slides' columns are for CelebA (10,000 images, ResNet-50); nothing in them can be compared but signs.",
        "In a trial that this script does not repeat (L2 0.01, Adam 1e-3, batches of 128, 6 epochs, one seed) Group DRO "
        "became the constant classifier on the original rows: accuracy 0.486, worst group 0, as in the slides' last rows.",
        "Group DRO must not fall under ERM in worst-group accuracy (mean over the seeds of its difference to ERM):",
        "\n".join(checks),
    ]  # fmt: skip
    if quality:
        parts += [
            "What the samplers made. Right labels, and whether the shape's label stays: by a net that was trained on "
            f"12,000 shapes without colours ({sure} right on the test). Colour: read off the pixels. Side: share of codes "
            "on their attribute's side of the hyperplane.",
            table(quality, names, shown),
        ]
    parts += refused(records, faces=False)
    return [*parts, "![pairs](../../docs/images/latent_debiasing_pairs.png)", SLIDES_WRONG]


SLIDES_WRONG = """What the slides got wrong:

- They say that a pair has "the same protected label but opposite target label". Their formula, which is the paper's, does
  the opposite, and rightly: the target is kept, the protected attribute flipped.
- Accuracies of .9976 and .9954 "after augmentation" are measured on the augmented set, whose generated rows carry the labels
  of the classifier that is being imitated. They cannot be set beside .9239 and .9094 on real rows.
- .8596 with a worst group of 0, twice in their tables (and .8598 once), is the constant classifier: the share of the
  majority. No conclusion about Group DRO or L2 can rest on it.
- Their training loop for Group DRO goes through the data one whole group after another, row by row, in evaluation mode, with
  the group's weight multiplied into the learning rate, and no balanced minibatches.
- Their KL is a placeholder without a stated estimator; it is largest for the constant classifier and smallest for the least
  accurate nets. Only its sign could mean anything.
- "Strong L2" is 0.01 on the slides and 0.1 in their readme. Attributes are matched to images in the order of `os.listdir`.
- So "a trade-off between augmentation and DRO" does not follow from their numbers."""


# ---------------------------------------------------------------- ablation
ABLATION_COLUMNS = ["AP", "DEO", "BA", "KL", "worst group"]
# the paper's validation AP (gender-dependent / gender-independent) on synthetic data alone, and DEO, BA, KL of z alone
PAPER = {
    "partner": "76.0 / 81.4", "partner_boundary": "74.4 / 79.8", "group": "69.6 / 77.3", "group_boundary": "74.0 / 79.9",
}  # fmt: skip


def ablation_seed(records, images, kind, seed):
    rows = Growing(records, "ablation", kind)
    known = {"baseline": title("ERM", 0.0, TWICE), "partner": title("ERM", 0.0, f"{kind}, prior")}
    for name in (
        "baseline",
        "weighted",
        "none",
        "partner",
        "random hyperplane",
        "partner_boundary",
        "group",
        "group_boundary",
    ):
        same = [row["metrics"] for row in records.of("mnist") if row["method"] == known.get(name)]
        if not rows.lacks(name, seed):
            continue
        if same and len(same[0]["AP"]) > seed:  # the same net on the same rows
            rows.put(name, seed, {column: same[0][column][seed] for column in ABLATION_COLUMNS})
        elif name in ("baseline", "weighted"):
            weight = cell_weights(*images.train[1:]) if name == "weighted" else None
            net = net_of("ERM", 0.0, 2 * EPOCHS, seed).fit(*images.train[:2], sample_weight=weight)
            rows.put(name, seed, scores(images, net))
        else:
            given = ablated(images, *images.sampler(kind, "prior")[:2], name)
            rows.put(name, seed, scores(images, fit(net_of("ERM", 0.0, EPOCHS, seed), *given)))


def ablated(images, sampler, given, name):
    """Augmented rows of a fitted sampler with another perturbation: its classifiers and hyperplanes stay."""
    if name == "partner":
        return given
    changed, own = copy.copy(sampler), sampler.hyperplanes_
    changed.perturbation = "partner" if name == "random hyperplane" else name
    if name == "random hyperplane":
        normal = np.random.default_rng(0).normal(size=own.normals.shape[1])
        changed.hyperplanes_ = type(own)(np.stack([own.normals[0], normal]), own.offsets * [1, 0], own.names)
    X, y, s = images.train
    X_new, y_new, s_new = changed.make(X, y, s[:, None])
    return np.concatenate([X, X_new.astype(np.float32)]), np.append(y, y_new), np.append(s, s_new)


def ablation_page(records):
    rows = records.of("ablation")
    checks = []
    for kind in dict.fromkeys(row["data"] for row in rows):
        own = {
            row["method"]: {key: np.mean(v) for key, v in row["metrics"].items()} for row in rows if row["data"] == kind
        }
        for column, paper in (("DEO", "19.7 > 16.1"), ("BA", "1.1 > .5"), ("KL", "1.6 > 1.3")):
            a, b = own["none"][column], own["partner"][column]
            checks.append(f"- {kind}, {column} of z alone above that of the pairs (paper {paper}): {a:.3f} and {b:.3f}, "
                          f"{verdict(a > b)}")  # fmt: skip
        for name in [name for name in ("partner_boundary", "group", "group_boundary") if name in own]:
            a, b = own["partner"]["AP"], own[name]["AP"]
            checks.append(f"- {kind}, AP of the pairs above that of `{name}` (paper {PAPER['partner']} and {PAPER[name]}): "
                          f"{a:.3f} and {b:.3f}, {verdict(a > b)}")  # fmt: skip

    def paper(row):
        return PAPER.get(row["method"], "")

    return [
        "## Ablation",
        "The same images, ERM without L2, the paper's setting of the sampler (prior); one generator and sampler. Baseline "
        "and weighted (n_t / (2 n_tg)) have twice the epochs on the rows given, which is as many steps. AP, DEO, KL and "
        "worst group on the test digits with free colours; BA, which measures how far a bias is amplified and needs one, "
        "on digits with colours that agree in 95 %. DEO and BA at the threshold that keeps the number of positives on the "
        "validation rows. none: G(z) alone; partner: the pairs; random hyperplane: pairs across a hyperplane of random "
        "direction, with the target's kept. The paper's AP is for CelebA, on synthetic data alone, attributes that depend "
        "on gender / do not.",
        table(rows, ABLATION_COLUMNS, [("paper: AP", paper)]),
        "Signs next to the paper's:",
        "\n".join(checks),
        "![ablation](../../docs/images/latent_debiasing_ablation.png)",
    ]  # fmt: skip


def ablation_picture(records, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = records.of("ablation")
    names = [f"{row['data']}: {row['method']}" if len({r["data"] for r in rows}) > 1 else row["method"] for row in rows]
    figure, axes = plt.subplots(1, 2, figsize=(9, 0.3 * len(rows) + 1.2), sharey=True, layout="constrained")
    columns = ("worst group", "worst-group accuracy"), ("DEO", "DEO, calibrated threshold")
    for ax, (column, label) in zip(axes, columns):
        for place, row in enumerate(rows):
            values = row["metrics"][column]
            ax.plot(values, [place] * len(values), "o", color="0.7", markersize=4)
            ax.plot(np.mean(values), place, "D", color="tab:blue", markersize=6)
        ax.set(xlabel=label, yticks=range(len(names)), yticklabels=names)
        ax.grid(alpha=0.3)
    axes[0].invert_yaxis()
    figure.savefig(path, dpi=100)


def pairs_picture(images, kind, setting, path):
    from skfair.inspection import LatentPairsDisplay

    sampler = images.sampler(kind, setting)[0]
    Z = (
        sampler.generator_.sample(10, 3)
        if setting.startswith("prior")
        else sampler.generator_.encode(images.train[0][:10])
    )
    display = LatentPairsDisplay(
        *(np.asarray(sampler.generator_.decode(codes)) for codes in (Z, sampler.partner(Z)))
    ).plot()
    display.ax_.set_title(f"{kind}, {setting}: G(z) and G(z')", fontsize=10)
    display.figure_.savefig(path, dpi=100)


# ---------------------------------------------------------------- faces
def run_fairface(records):
    rows = Growing(records, "fairface", "faces")
    if rows.lacks("ConvVAE, inversion, cell", 0):
        faces_seed(rows, 0)


def faces_seed(rows, seed):
    from rnf_images import faces

    net = dict(module=CNN, module__widths=(16, 32, 64), max_epochs=10, batch_size=32, device="cpu", random_state=seed)
    train, test = (((X + 1) / 2, y, (s == "Male").astype(np.int64)) for X, y, s in faces(seed, 64))

    def put(name, given, weight=None):
        erm = ERMClassifier(**net).fit(*given[:2], sample_weight=weight)
        found = erm.predict(test[0])
        worst = worst_group_accuracy(test[1], found, sensitive_features=test[2])
        rows.put(name, seed, {"accuracy": np.mean(found == test[1]), "worst cell": worst})

    put("ERM", train)
    put("ERM, cell weights", train, cell_weights(*train[1:]))
    own = dict(n_components=32, module=ConvVAE, likelihood="bernoulli", max_epochs=15, device="cpu", random_state=seed)
    vae = FrozenEstimator(VAEGenerator(VAETransformer(**own)).fit(train[0]))
    for setting in ("prior", "inversion, cell"):
        classifier = ERMClassifier(**net)
        given = dict(n_hyperplane=1000, n_check=500, random_state=seed)
        sampler = LatentDebiasingSampler(vae, **SETTINGS[setting], classifier=classifier, **given)
        try:
            put(f"ConvVAE, {setting}", resample(sampler, *train)[:3])
        except ValueError as error:  # the attribute classifier gives all faces one label
            rows.records.add("refused", f"faces, ConvVAE, {setting}", str(error), {})


def refused(records, faces):
    rows = [row for row in records.of("refused") if row["data"].startswith("faces") == faces]
    return [f"Refused, {row['data']}: {row['method']}" for row in rows]


def fairface_page(records):
    return [
        "## Faces",
        "A smoke run on the 540 faces of the FairFace sample at 64 x 64 pixels: label 40 years or more, group gender, with "
        "a planted dependence in training as in [rnf_images.md](rnf_images.md) (about 225 training faces and their mirror "
        "images, 180 test faces), one seed. **It only shows that the code runs**: a ConvVAE of 15 epochs on so few faces "
        "gives blurs, a net of 10 epochs hardly learns age, and no number here says anything about the method.",
        table(records.of("fairface"), ["accuracy", "worst cell"]),
        *refused(records, faces=True),
    ]


# ---------------------------------------------------------------- the page
PAGES = {
    "toy": toy_page, "tables": tables_page, "mnist": mnist_page, "ablation": ablation_page, "fairface": fairface_page,
}  # fmt: skip
SHOWS = """What failed:

- **The paper's setting gains nothing here.** On the toy data it lowers the worst cell at 95 % (0.489 against 0.573
  for ERM) and changes little at 85 and 75 %: the attribute classifier has learned the bias, and each partner moves
  the core feature by as much as that classifier asks for.
- **On Adult and COMPAS no row with the sampler is beyond its controls** in accuracy, worst cell, EO difference and KL
  together, by either setting, generator or net: cell weights, SMOTE, Group DRO, a moved threshold, shuffled groups or
  generated rows without partners are as good or better. One row has a KL that no control has (Adult, VAE (active),
  inversion, cell, ERM), with a worse worst cell and EO difference than plain ERM.
- **On coloured MNIST at 95 % both generators have learned the bias too** (three seeds of the nets,
  one generator each). Crossing the colour's hyperplane changes the shape: about a quarter of the partners have the
  label they carry, and the hyperplanes of the GAN's codes are nearly parallel (overlap 0.99). ERM on the augmented sets is
  no better than on the original for as many steps, and Group DRO is worse than on the original everywhere.
- **A VAE with dimensions to spare does nothing, or harm, with inversion, and says nothing** (which is why `VAEGenerator` now
  leaves unused dimensions out: rows "VAE" were measured with `min_activity=0`). The SVM gives the
  largest weights to dimensions that the decoder ignores, as their codes hardly vary. On COMPAS no partner then
  differs from its row by more than 0.5 in any column, on Adult codes move as little; on the toy data partners have
  another core feature (correlation of x1 and x1' -0.28, worst cell 0.515).

What holds:

- Inversion with cell-balanced hyperplanes and PCA: worst cell 0.90 to 0.92 on the toy data at all three correlations.
  Cell weights, oversampling and Group DRO have that without a generator (0.88 to 0.90). With shuffled groups it is
  0.62.
- A nonlinear VAE without its unused dimensions does as well (0.91, correlation of x1 and x1' 0.99), and so does a
  linear one: its decoder was not what failed.
- Group DRO does not fall under ERM in worst-group accuracy in the mean, on the original or on augmented images; with the
  VAE's inverted pairs, where both are near 0, it does in two of three seeds (by 0.04 and 0.001). But with wrong pairs it
  loses to itself on the original: where pairs are bad, augmentation and Group DRO do conflict.
- The ablation's signs are the paper's: pairs are better than G(z) alone and than partners that ignore the target; over those
  on the border and those across a random hyperplane they lead by less than the seeds' spread. They are not better than the
  original rows with as many steps. Cell weights are better in DEO, but two of three seeds collapse (worst group 0).
- A PCA takes no time and its inverse is exact. No table here gives a reason to prefer a VAE."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--parts", nargs="*", default=list(PAGES), choices=PAGES)
    parser.add_argument("--records", help="JSON file of what was found; what is in it is not measured again")
    parser.add_argument("--gan", help="pickle of a fitted GANGenerator: read if it exists, else trained and written")
    parser.add_argument("--vae", help="the same of a fitted VAEGenerator")
    parser.add_argument("--gan-epochs", type=int, default=20)
    parser.add_argument("--generators", nargs="*", default=["VAE", "GAN"], choices=["VAE", "GAN"])
    parser.add_argument("--ablation", nargs="*", default=["GAN"], choices=["VAE", "GAN"], help="its generators")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of the nets on images")
    parser.add_argument("--no-pictures", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    records = Records(arguments.records)
    others, images = {"toy": run_toy, "tables": run_tables, "fairface": run_fairface}, None
    if {"mnist", "ablation"} & set(arguments.parts):
        images = Images(arguments.vae, arguments.gan, arguments.gan_epochs)
    for part in arguments.parts:
        if part in others:
            others[part](records)
    if images is not None:
        run_images(records, images, arguments.parts, arguments.generators, arguments.ablation, arguments.seeds)
    if not arguments.no_pictures:
        pictures(records, images, arguments)
    pages = ["# Latent-space de-biasing", " ".join(__doc__.split("\n\n")[1].split()), common.machine()]
    for part, page in PAGES.items():
        if records.of(part):
            pages += page(records)
    common.write("latent_debiasing", "\n\n".join([*pages, "## What it shows", SHOWS]))


def pictures(records, images, arguments):
    if "toy" in arguments.parts:
        toy_picture(IMAGES / "latent_debiasing_toy.png")
    if records.of("ablation"):
        ablation_picture(records, IMAGES / "latent_debiasing_ablation.png")
    if images is not None and "VAE" in arguments.generators:
        pairs_picture(images, "VAE", "inversion, cell", IMAGES / "latent_debiasing_pairs.png")


if __name__ == "__main__":
    main()
