"""What the library costs on top of the mathematics: seconds per epoch on Adult, one thread, runs interleaved.

Each row trains the same network (MLP 50-50, dropout 0.2, Adam, batch 64) on the same rows. The hand-written loops are
what one would write without any library, with whole-tensor minibatches and fused Adam; the stock skorch net takes
scikit-learn's usual way (a DataLoader over rows, Adam). Times are CPU seconds, medians over interleaved rounds.
"""

import argparse
import time

import common
import numpy as np
import torch
from fairlearn.adversarial import AdversarialFairnessClassifier
from skorch import NeuralNetClassifier
from torch import nn

from skfair.adversarial import AdversarialClassifier
from skfair.datasets import fetch_adult
from skfair.modules import MLP
from skfair.preprocessing import make_tabular_preprocessor
from skfair.robust import ERMClassifier, GroupDROClassifier

BATCH = 64


def data():
    adult = fetch_adult(drop_missing=True)
    X = make_tabular_preprocessor().fit_transform(adult.data).astype(np.float32)[:36_000]
    y = adult.target.to_numpy()[:36_000]
    s = (adult.sensitive_features["sex"] == "Male").to_numpy().astype(np.int64)[:36_000]
    return X, y.astype(np.int64), s


def hand_loop(X, y, s, epochs):
    torch.manual_seed(0)
    net, X, y = MLP(X.shape[1], 2), torch.from_numpy(X), torch.from_numpy(y)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    for _ in range(epochs):
        order = torch.randperm(len(y))
        for start in range(0, len(y), BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(X[rows]), y[rows]).backward()
            optimizer.step()


def hand_group_dro(X, y, s, epochs, step_size=0.01):
    """The same loop with Group DRO's update and its balanced sampler."""
    torch.manual_seed(0)
    net, X, y, s = MLP(X.shape[1], 2), torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(s)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=0.01, fused=True)
    cell = 2 * y + s
    probability, log_q = 1.0 / torch.bincount(cell)[cell].double(), torch.full((4,), -np.log(4.0))
    for _ in range(epochs):
        order = torch.multinomial(probability, len(y), replacement=True)
        for start in range(0, len(y), BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad()
            losses = nn.functional.cross_entropy(net(X[rows]), y[rows], reduction="none")
            member = nn.functional.one_hot(cell[rows], 4).to(losses.dtype)
            loss = (losses @ member) / member.sum(0).clamp_min(1)
            log_q = torch.log_softmax(log_q + step_size * loss.detach(), 0)
            (log_q.exp() @ loss).backward()
            optimizer.step()


def ours(cls, **parameters):
    def run(X, y, s, epochs):
        cls(max_epochs=epochs, batch_size=BATCH, random_state=0, device="cpu", **parameters).fit(
            X, y, sensitive_features=s
        )

    return run


def stock_skorch(X, y, s, epochs):
    torch.manual_seed(0)
    NeuralNetClassifier(
        MLP, module__in_features=X.shape[1], module__out_features=2, criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam, lr=1e-3, batch_size=BATCH, max_epochs=epochs, iterator_train__shuffle=True,
        train_split=None, verbose=0,
    ).fit(X, y)  # fmt: skip


def fairlearn_adversarial(X, y, s, epochs):
    AdversarialFairnessClassifier(
        backend="torch",
        predictor_model=[50, "relu", 50, "relu"],  # fairlearn appends the last layer and the sigmoid
        adversary_model=[50, "relu"],
        predictor_optimizer="Adam", adversary_optimizer="Adam", learning_rate=1e-3, batch_size=BATCH, epochs=epochs,
        shuffle=True, random_state=0,
    ).fit(X, y, sensitive_features=s)  # fmt: skip


# name -> (run, the row that it is compared with)
RUNS = {
    "hand-written loop": (hand_loop, None),
    "skfair ERMClassifier": (ours(ERMClassifier), "hand-written loop"),
    "stock skorch.NeuralNetClassifier": (stock_skorch, "skfair ERMClassifier"),
    "hand-written Group DRO": (hand_group_dro, None),
    "skfair GroupDROClassifier": (ours(GroupDROClassifier, early_stopping=False), "hand-written Group DRO"),
    "skfair AdversarialClassifier, output, projection": (
        ours(AdversarialClassifier, attack="output", projection=True, module__dropout=0.0),
        None,
    ),
    "fairlearn AdversarialFairnessClassifier": (
        fairlearn_adversarial,
        "skfair AdversarialClassifier, output, projection",
    ),
}


def seconds(run, rows, epochs):
    """CPU seconds of one epoch: that of two lengths of training, so that set-up falls out."""
    times = []
    for n in (1, 1 + epochs):
        start = time.process_time()
        run(*rows, n)
        times.append(time.process_time() - start)
    return (times[1] - times[0]) / epochs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = data()
    for run, _ in RUNS.values():  # torch and the packages load the last of their parts in a first call
        run(*(part[:1000] for part in rows), 1)
    times = common.interleave(
        {name: lambda run=run: seconds(run, rows, arguments.epochs) for name, (run, _) in RUNS.items()},
        arguments.rounds,
    )
    lines = ["| | s per epoch, median | min to max | ratio | to |", "|---|---|---|---|---|"]
    for name, (_, peer) in RUNS.items():
        row = np.array(times[name])
        ratio = "" if peer is None else f"{np.median(row / np.array(times[peer])):.2f}"
        lines.append(f"| {name} | {np.median(row):.2f} | {row.min():.2f} to {row.max():.2f} | {ratio} | {peer or ''} |")
    text = [
        "# Training overhead",
        f"Adult, {rows[0].shape[0]:,} x {rows[0].shape[1]}, MLP 50-50, batch {BATCH}, one thread; CPU seconds per epoch, "
        f"{arguments.rounds} interleaved rounds; ratios are medians of the rounds' ratios. {common.machine()}",
        "\n".join(lines),
    ]
    common.write("training_overhead", "\n\n".join(text))


if __name__ == "__main__":
    main()
