"""A training that is killed goes on where it stood."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from common import GENTLE, all_nets, rows, same_weights, small
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import Callback

from skfair.adversarial import AdversarialClassifier
from skfair.model_selection import FrontierSearchCV
from skfair.reprogramming import ReprogrammedClassifier
from skfair.robust import ERMClassifier, GroupDROClassifier


class Stop(Exception):
    pass


class Crash(Callback):
    """Raises in an epoch, once."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise Stop


def crashed(cls, path, epoch, data, **parameters):
    X, y, s = data
    net = small(cls, checkpoint=path, callbacks=[("crash", Crash(epoch))], **parameters)
    with pytest.raises(Stop):
        net.fit(X, y, sensitive_features=s)
    assert path.exists()
    return small(cls, checkpoint=path, callbacks=[("crash", Crash(-1))], **parameters)


@pytest.mark.parametrize(("name", "cls"), all_nets())
def test_every_net_ends_with_the_weights_of_one_training(name, cls, tmp_path):
    X, y, s = data = rows()
    own = {"max_epochs": 5, **GENTLE.get(name, {})}
    whole = small(cls, **own).fit(X, y, sensitive_features=s)
    net = crashed(cls, tmp_path / "state", 4, data, **own).fit(X, y, sensitive_features=s)
    assert same_weights(whole, net)
    assert whole.history[:, "train_loss"] == net.history[:, "train_loss"]
    assert not list(tmp_path.iterdir())  # a training that is over leaves no file


@pytest.mark.parametrize(
    "own",
    [
        dict(early_stopping=True, patience=3),
        dict(early_stopping="accuracy", patience=None),
        dict(lr_schedule="cosine", gradient_clipping=0.5),
        dict(module__dropout=0.5, shuffle=True),
        dict(optimizer=torch.optim.SGD, momentum=0.9),
        dict(batch_size=-1),
    ],
)
def test_with_all_that_a_training_remembers(own, tmp_path):
    X, y, s = data = rows()
    own = {"max_epochs": 9, **own}
    whole = small(ERMClassifier, **own).fit(X, y, sensitive_features=s)
    net = crashed(ERMClassifier, tmp_path / "state", 4, data, **own).fit(X, y, sensitive_features=s)
    assert same_weights(whole, net)
    assert len(whole.history) == len(net.history)


@pytest.mark.parametrize("cls", [AdversarialClassifier, GroupDROClassifier])
def test_several_crashes(cls, tmp_path):
    X, y, s = data = rows()
    whole = small(cls, max_epochs=8).fit(X, y, sensitive_features=s)
    for epoch in (2, 3, 7):
        net = crashed(cls, tmp_path / "state", epoch, data, max_epochs=8)
    assert same_weights(whole, net.fit(X, y, sensitive_features=s))


def test_a_file_of_another_training_is_refused_before_training(tmp_path):
    X, y, s = data = rows()
    path = tmp_path / "state"
    crashed(ERMClassifier, path, 3, data, max_epochs=5)
    for own, X_, words in [
        (dict(lr=0.5), X, r"lr=0\.02 there, 0\.5 here"),
        (dict(random_state=1), X, "random_state=0 there, 1 here"),
        (dict(), X + 1, "other data"),
    ]:
        with pytest.raises(ValueError, match=f"state of another training .*{words}.*remove it"):
            small(ERMClassifier, **{"max_epochs": 5, **own}, checkpoint=path).fit(X_, y, sensitive_features=s)
    for other in ((X, 1 - y, s, None), (X, y, s[::-1], None), (X, y, s, np.arange(1, 121))):
        with pytest.raises(ValueError, match="state of another training .*other data"):
            small(ERMClassifier, max_epochs=5, checkpoint=path).fit(
                *other[:2], sensitive_features=other[2], sample_weight=other[3]
            )
    with pytest.raises(ValueError, match=r"GroupDROClassifier"):
        small(GroupDROClassifier, max_epochs=5, checkpoint=path).fit(X, y, sensitive_features=s)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="is damaged"):
        small(ERMClassifier, max_epochs=5, checkpoint=path).fit(X, y, sensitive_features=s)


def test_a_function_is_the_same_in_another_process_where_it_lies_elsewhere(tmp_path):
    def factory():
        return lambda in_features, out_features: torch.nn.Linear(in_features, out_features)

    X, y, s = data = rows()
    here, there = dict(module=factory(), max_epochs=5), dict(module=factory(), max_epochs=5)
    net = (
        crashed(ERMClassifier, tmp_path / "state", 3, data, **there).set_params(**here).fit(X, y, sensitive_features=s)
    )
    assert same_weights(net, small(ERMClassifier, **here).fit(X, y, sensitive_features=s))
    assert len(net.history) == 5


@pytest.mark.parametrize("kind", ["classifier", "net", "module"])
def test_another_model_that_reads_alike_is_another_training(tmp_path, kind):
    X, y, s = data = rows()

    def base(labels):
        if kind == "classifier":
            return FrozenEstimator(LogisticRegression().fit(X, labels))
        net = small(ERMClassifier, max_epochs=1).fit(X, labels)
        return FrozenEstimator(net) if kind == "net" else net.to_torch()

    own = dict(max_epochs=5, estimator=base(y))
    net = crashed(ReprogrammedClassifier, tmp_path / "state", 3, data, **own)
    other = base(y[::-1])
    with pytest.raises(ValueError, match="(?s)state of another training .estimator=.*with the numbers"):
        clone(net).set_params(estimator=other).fit(X, y, sensitive_features=s)
    assert len(clone(net).set_params(estimator=base(y)).fit(X, y, sensitive_features=s).history) == 5


def test_without_a_seed_there_is_nothing_to_go_on_with(tmp_path):
    X, y, s = data = rows()
    net = crashed(ERMClassifier, tmp_path / "state", 3, data, max_epochs=5, random_state=None)
    with pytest.raises(ValueError, match="state of another training .another random_state"):
        net.fit(X, y, sensitive_features=s)


def test_a_later_pass_of_a_net_that_has_crashed_is_a_training_of_its_own(tmp_path):
    X, y, s = rows()
    path = tmp_path / "state"
    net = small(ERMClassifier, max_epochs=5, checkpoint=path, callbacks=[("crash", Crash(3))])
    with pytest.raises(Stop):
        net.fit(X, y, sensitive_features=s)
    before, n_epochs = path.read_bytes(), len(net.history)
    net.partial_fit(X, y, sensitive_features=s)
    assert len(net.history) == n_epochs + 1
    assert path.read_bytes() == before


@pytest.mark.parametrize("bad", [3, "no/such/folder/state", "."])
def test_a_path_that_can_be_no_file_raises_before_training(bad):
    X, y, _ = rows()
    net = small(ERMClassifier, checkpoint=bad)
    with pytest.raises(ValueError, match="checkpoint must be the path of a file in a folder that exists, got"):
        net.fit(X, y)
    assert not net.initialized_


def test_a_search_trains_such_nets_one_by_one(tmp_path):
    X, y, s = rows()
    net = small(ERMClassifier, checkpoint=tmp_path / "state")
    search = FrontierSearchCV(net, {"lr": [0.01]}, cv=2, scoring="accuracy").fit(X, y, sensitive_features=s)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


SCRIPT = """
    import sys
    import numpy as np, torch
    torch.set_num_threads(1)
    from skfair.robust import ERMClassifier
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20000, 20)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    path = sys.argv[1] if len(sys.argv) > 1 else None
    net = ERMClassifier(max_epochs=EPOCHS, early_stopping=True, checkpoint=path, random_state=0, device="cpu").fit(X, y)
    print(repr(float(sum(p.detach().double().sum() for p in net.module_.parameters()))), len(net.history))
"""


@pytest.mark.slow
def test_kill_9(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(SCRIPT).replace("EPOCHS", "12"))
    path = tmp_path / "state"

    def finish(*arguments):
        done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, env={**os.environ})
        assert not done.stderr
        return done.stdout

    whole = finish()
    process = subprocess.Popen([sys.executable, str(script), str(path)], stdout=subprocess.DEVNULL, env={**os.environ})
    while not path.exists() or _epochs(path) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.exists()
    assert finish(str(path)) == whole
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["train.py"]


def _epochs(path: Path):
    from skfair.base._files import read_file

    return len(read_file(path, "skfair checkpoint")[0]["history"])
