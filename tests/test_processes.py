"""device="accelerate": several processes train one net, with the result of a single process."""

import os
import pickle
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
import two_processes
from common import all_nets, rows, same_weights, small
from sklearn.base import clone

import skfair
from skfair.robust import ERMClassifier, GroupDROClassifier

pytestmark = pytest.mark.filterwarnings("ignore:.*(smaller one|nearly the same)")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(rank, folder, port):
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    env = {**os.environ, "ACCELERATE_USE_CPU": "true", "MASTER_ADDR": "127.0.0.1"}
    return subprocess.Popen(
        [sys.executable, "-W", "error", two_processes.__file__, folder], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**env, **{name: str(value) for name, value in own.items()}},
    )  # fmt: skip


def run_two(folder):
    """What both have written, and what they have shown; another port if a stranger has taken this one meanwhile."""
    for attempt in range(3):
        port = free_port()
        both = [start(rank, folder, port) for rank in (0, 1)]
        try:
            shown = [process.communicate(timeout=600) for process in both]
        finally:
            for process in both:
                process.kill()
        if attempt == 2 or not any("EADDRINUSE" in err for _, err in shown):
            break
    assert [process.returncode for process in both] == [0, 0], "\n".join(err for _, err in shown)
    return [pickle.loads((folder / f"{rank}.pkl").read_bytes()) for rank in (0, 1)], shown


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("two")


def assert_same(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], err_msg=name, **tolerance)


def test_two_processes_end_as_one(folder):
    (first, second), shown = run_two(folder)
    alone = two_processes.trained("cpu")
    for name, expected in alone.items():
        assert_same(first["trained"][name], second["trained"][name], rtol=0, atol=0)
        assert_same(first["trained"][name], expected, rtol=0, atol=1e-5 if name == "LBFGS" else 1e-6)
    assert 2 < len(alone["early stopping"]["losses"]) < 30
    alike_though_the_processes_are_not(first["together"], second["together"])
    different, statistics = first["errors"]
    assert different == second["errors"][0]
    assert "ValueError" in different
    assert "different rows" in different
    assert "attention'] (DebiasedAttention) computes statistics" in statistics
    np.testing.assert_allclose(first["search"], two_processes.searched("cpu"), atol=1e-5)
    assert "train_loss" in shown[0][0]  # one of them shows how it goes on
    assert shown[1][0] == ""
    loads_in_one_process(first, second, folder / "net.skfair")


def alike_though_the_processes_are_not(first, second):
    for name in ("no seed", "generator", "dropout", "instance", "stop", "checkpoint"):
        assert_same(first[name], second[name], rtol=0, atol=0)
    assert first["epochs of stop"] == second["epochs of stop"] == 2  # one was stopped: all are
    assert first["interrupted"] is second["interrupted"] is False
    for name in ("pressed for both", "pressed for alone"):
        (stopped, went_on), (other, other_went_on) = first[name], second[name]
        assert stopped.pop("ends") == other.pop("ends") == [True, 2, True]  # no process waits for one that has left
        assert_same(stopped, other, rtol=0, atol=0)
        assert_same(went_on, other_went_on, rtol=0, atol=0)
        assert_same(went_on, first["without a crash"], rtol=0, atol=0)
    assert_same(first["checkpoint"], first["without a crash"], rtol=0, atol=0)
    assert first["kept"] == ["state"]
    assert first["files"] == []


def loads_in_one_process(first, second, path):
    X = two_processes.data()[0]
    for net in (pickle.loads(first["pickled"]), pickle.loads(second["pickled"]), skfair.load(path)):
        assert net.device == "accelerate"
        np.testing.assert_allclose(net.predict_proba(X), first["predictions"], atol=1e-12)


@pytest.mark.parametrize(("name", "cls"), all_nets())
def test_a_net_trains_or_says_that_it_does_not(name, cls):
    X, y, s = rows()
    net = small(cls, device="accelerate")
    if not cls.shares_rows:
        with pytest.raises(ValueError, match=f"{name} does not train with device='accelerate'"):
            net.fit(X, y, sensitive_features=s)
        return
    alone = small(cls, device="cpu").fit(X, y, sensitive_features=s)
    net.fit(X, y, sensitive_features=s)
    assert same_weights(net, alone)
    assert net.history[:, "train_loss"] == alone.history[:, "train_loss"]
    np.testing.assert_array_equal(net.predict_proba(X), alone.predict_proba(X))


def test_which_methods_share_rows():
    assert {name for name, cls in all_nets() if cls.shares_rows} == {
        "CVaRDROClassifier", "ChiSquareDROClassifier", "DistillationClassifier", "ERMClassifier", "GroupDROClassifier",
        "JTTClassifier", "ProxyAnnotator", "RegularizedClassifier",
    }  # fmt: skip


def test_it_is_a_plain_parameter():
    net = clone(GroupDROClassifier(device="accelerate"))
    assert net.device == "accelerate"
    assert net.device_ == torch.device("cpu") or net.device_.type != "cpu"


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ImportError, match=r"skfair\[processes\]"):
        ERMClassifier(device="accelerate").fit([[0.0], [1.0]], [0, 1])


def test_processes_that_see_themselves_alone(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match="2 processes were launched, but each sees itself alone"):
        ERMClassifier(device="accelerate").fit([[0.0], [1.0]], [0, 1])
