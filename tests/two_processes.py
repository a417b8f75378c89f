"""Trainings that several processes share: run as a script by each of them, and by the tests in a single one.

python two_processes.py folder      # writes folder/<rank>.pkl; RANK, WORLD_SIZE and so on say which process it is
"""

import functools
import os
import pickle
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import sklearn
import torch
from skorch.callbacks import Callback
from torch import nn

from skfair.model_selection import FrontierSearchCV
from skfair.modules import MLP, FTTransformer
from skfair.regularization import RegularizedClassifier
from skfair.representation import ProxyAnnotator
from skfair.robust import (
    ChiSquareDROClassifier,
    CVaRDROClassifier,
    DistillationClassifier,
    ERMClassifier,
    GroupDROClassifier,
    JTTClassifier,
)


def network(*hidden, dropout=0.0):
    return functools.partial(MLP, hidden=hidden, dropout=dropout)


PLAIN = dict(module=network(8), max_epochs=3, batch_size=20, lr=0.05, random_state=0)


class Partly(nn.Module):
    """A network with a parameter that nothing uses: without a gradient, so that weight decay leaves it alone."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.used, self.unused = nn.Linear(in_features, out_features), nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.used(x)


def normalised(in_features, out_features):
    """With batch norms of rows, and of channels."""
    first = [nn.Linear(in_features, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Unflatten(1, (2, 3))]
    return nn.Sequential(*first, nn.BatchNorm1d(2, momentum=None), nn.Flatten(), nn.Linear(6, out_features))


def debiased(in_features, out_features):
    return FTTransformer(in_features, out_features, d_model=4, n_heads=2, n_layers=2, ffn_ratio=1, debiased=True)


# the last of the batches of 20 has 7 rows: no share is as large as the other; SGD, as Adam hardly sees a gradient's size
CASES = {
    "ERM": (ERMClassifier, dict(optimizer=torch.optim.SGD)),
    "early stopping": (ERMClassifier, dict(early_stopping=True, patience=2, max_epochs=30, lr=0.3)),
    "GroupDRO": (GroupDROClassifier, dict(early_stopping=False)),
    "Regularized": (RegularizedClassifier, dict(strength=2.0, optimizer=torch.optim.SGD)),
    "ChiSquareDRO": (ChiSquareDROClassifier, dict(alpha_min=0.5)),
    "CVaRDRO": (CVaRDROClassifier, dict(alpha=0.5)),
    "JTT": (JTTClassifier, dict(first_epochs=1, error_set="online", upweight=2)),
    "Distillation": (DistillationClassifier, dict(teacher_epochs=2, module=network(4))),
    "Proxy": (ProxyAnnotator, {}),
    "ensemble": (ERMClassifier, dict(module="tabm", module__n_members=4, module__width=8, module__dropout=0.0)),
    "single rows": (ERMClassifier, dict(batch_size=1, max_epochs=1)),
    "clipping": (RegularizedClassifier, dict(gradient_clipping=0.1, lr_schedule="cosine")),
    "unused": (ERMClassifier, dict(module=Partly, weight_decay=0.1)),
    "batch norm": (GroupDROClassifier, dict(module=normalised)),
    "LBFGS": (ERMClassifier, dict(optimizer=torch.optim.LBFGS, batch_size=-1, lr=0.1, optimizer__max_iter=3)),
}


def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(47, 4)).astype(np.float32)
    return X, (X[:, 0] + rng.normal(size=47) > 0).astype(int), (X[:, 1] > 0.3).astype(int)


def fitted(name, device):
    cls, own = CASES[name]
    X, y, s = data()
    return cls(**{**PLAIN, **own}, device=device).fit(X, y, sensitive_features=s)


def seen(net):
    """What is compared: losses, weights, the loss's state, predictions."""
    tensors = {**net.module_.state_dict(), **{f"state {k}": v for k, v in net.state_.state_dict().items()}}
    losses = net.history[:, "train_loss"]
    return {**{k: v.numpy() for k, v in tensors.items()}, "losses": losses, "p": net.predict_proba(data()[0])}


def trained(device):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a student that is no smaller, one probability for all
        return {name: seen(fitted(name, device)) for name in CASES}


def searched(device):
    X, y, s = data()
    net = RegularizedClassifier(**PLAIN, device=device)
    with sklearn.config_context(enable_metadata_routing=True):
        search = FrontierSearchCV(net, {"strength": [0.0, 2.0]}, scoring="neg_log_loss", cv=2, refit=False)
        return search.fit(X, y, sensitive_features=s).cv_results_["mean_test_score"]


# ---------------------------------------------------------------------- what several processes alone can show
class Crash(Callback):
    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise OSError("crashed")


class StopHere(Callback):
    """Stops in one process alone."""

    def on_epoch_end(self, net, **kwargs):
        if os.environ["RANK"] == "1" and len(net.history) == 2:
            raise KeyboardInterrupt


class Pressed(Callback):
    """In the second epoch's first step of one process, somebody presses Ctrl-C for both, or for this one alone."""

    def __init__(self, rank, pids):
        self.rank, self.pids = rank, pids

    def on_batch_end(self, net, training, **kwargs):
        if training and os.environ["RANK"] == self.rank and len(net.history) == 2 and not self.done:
            self.done = True
            for pid in self.pids:
                os.kill(pid, signal.SIGINT)
                time.sleep(0.01)

    done = False


def interrupted(folder, rank, **own):
    """A training that is interrupted in its second epoch; then the same one, which goes on."""
    X, y, s = data()
    shared = {**PLAIN, "device": "accelerate", "checkpoint": folder / "pressed", **own}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore it
    net = ERMClassifier(**shared).fit(X, y, sensitive_features=s)
    after = signal.signal(signal.SIGINT, before)
    again = ERMClassifier(**{**shared, "callbacks": None}).fit(X, y, sensitive_features=s)
    default = after is signal.default_int_handler
    return seen(net) | {"ends": [net.interrupted_, len(net.history), default]}, seen(again)


def attempt(**own):
    """The error of a fit."""
    X, y, s = data()
    rows = {"X": X, "y": y, **own.pop("rows", {})}
    try:
        ERMClassifier(**{**PLAIN, "device": "accelerate", **own}).fit(**rows, sensitive_features=s)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def together(folder, rank, pids):
    """Fits that must end alike in all processes, though the processes are not alike."""
    X, y, s = data()
    shared = {**PLAIN, "device": "accelerate"}
    torch.manual_seed(rank)
    nets = {
        "no seed": ERMClassifier(**{**shared, "random_state": None}),
        "generator": ERMClassifier(**{**shared, "random_state": np.random.default_rng(rank)}),
        "dropout": ERMClassifier(**{**shared, "module": network(8, dropout=0.5)}),
        "instance": ERMClassifier(**{**shared, "module": MLP(4, 2)}),
        "stop": ERMClassifier(**shared, callbacks=[StopHere()]),
    }
    found = {name: seen(net.fit(X, y)) for name, net in nets.items()}
    state = folder / "state"
    attempt(checkpoint=state, callbacks=[("crash", Crash())])
    found["kept"] = sorted(path.name for path in folder.glob("state*"))
    found["checkpoint"] = seen(ERMClassifier(**shared, checkpoint=state).fit(X, y, sensitive_features=s))
    found["files"] = sorted(path.name for path in folder.glob("state*"))
    found["without a crash"] = seen(ERMClassifier(**shared).fit(X, y, sensitive_features=s))
    for name, pressing, of in (("both", "0", pids), ("alone", "1", pids[1:])):
        found[f"pressed for {name}"] = interrupted(folder, rank, callbacks=[Pressed(pressing, of)])
    found["epochs of stop"], found["interrupted"] = len(nets["stop"].history), nets["stop"].interrupted_
    return found, nets["dropout"]


def main(folder):
    from accelerate import PartialState
    from accelerate.utils import gather_object

    rank = int(os.environ["RANK"])
    found = {"trained": trained("accelerate")}
    found["together"], net = together(folder, rank, gather_object([os.getpid()]))
    X, y, s = data()
    shifted = dict(X=X + rank)
    found["errors"] = [attempt(rows=shifted), attempt(module=debiased)]
    found["search"] = searched("accelerate")
    ERMClassifier(**PLAIN, device="accelerate", verbose=2).fit(X, y)  # what rank 1 shows is looked at from outside
    if rank == 0:
        net.save(folder / "net.skfair")
    found["pickled"], found["predictions"] = pickle.dumps(net), net.predict_proba(X)
    (folder / f"{rank}.pkl").write_bytes(pickle.dumps(found))
    PartialState().destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
