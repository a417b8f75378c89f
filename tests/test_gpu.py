"""On a CUDA device: the same numbers as on the CPU, and nothing of the user's left behind."""

import gc
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from common import all_nets, toy

from skfair.model_selection import FrontierSearchCV
from skfair.regularization import RegularizedClassifier
from skfair.robust import ERMClassifier

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, torch sees none"),
]
every = pytest.mark.parametrize("cls", [cls for _, cls in all_nets("classifier")])


def net_of(cls, **parameters):
    last = {"selection": None} if "selection" in cls().get_params() else {}  # else it and early_stopping both choose
    given = {"module__dropout": 0.0, "max_epochs": 3, "random_state": 0, "early_stopping": False}
    return cls(**{**given, **last, **parameters})


@every
def test_gpu_equals_cpu(cls):
    X, y, s = toy(500)
    # the order of the rows comes from numpy, so it is the same; the initial weights are drawn on the CPU
    on_gpu = net_of(cls, device="cuda").fit(X, y, sensitive_features=s)
    on_cpu = net_of(cls, device="cpu").fit(X, y, sensitive_features=s)
    assert next(on_gpu.module_.parameters()).is_cuda
    np.testing.assert_allclose(on_gpu.predict_proba(X), on_cpu.predict_proba(X), atol=1e-4)


@every
def test_same_seed_same_predictions_with_dropout(cls):
    X, y, s = toy(300)
    state = torch.cuda.get_rng_state()
    first, second = (net_of(cls, device="cuda", module__dropout=0.2).fit(X, y, sensitive_features=s) for _ in range(2))
    np.testing.assert_allclose(first.predict_proba(X), second.predict_proba(X), atol=1e-6)
    assert torch.equal(torch.cuda.get_rng_state(), state)


@every
def test_sparse_early_stopping_and_pickle(cls):
    X, y, s = toy(300)
    net = net_of(cls, device="cuda", early_stopping="worst_group_accuracy").fit(
        sp.csr_array(X), y, sensitive_features=s
    )
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))


@every
def test_rows_in_a_file_and_uint8(cls, tmp_path):
    X, y, s = toy(300)
    X = (30 * X + 128).clip(0, 255).astype(np.uint8)
    np.save(tmp_path / "X.npy", X)
    nets = [
        net_of(cls, device="cuda", early_stopping=True, lr=1e-4).fit(given, y, sensitive_features=s)
        for given in (X.astype(np.float32), X, np.load(tmp_path / "X.npy", mmap_mode="r"))
    ]
    for net in nets[1:]:
        np.testing.assert_allclose(net.predict_proba(X), nets[0].predict_proba(X), atol=1e-6)


@every
def test_a_search_finds_the_same_on_both(cls):
    X, y, s = toy(300)
    losses = []
    for device in ("cuda", "cpu"):
        net = net_of(cls, device=device, sensitive_columns=lambda X: X[:, 1] > 0)
        search = FrontierSearchCV(net, {"lr": [0.01, 0.02]}, cv=2, seeds=2, scoring="neg_log_loss", refit=False)
        losses.append(search.fit(X, y).cv_results_["mean_test_score"])
    np.testing.assert_allclose(*losses, atol=1e-4)


# ---------------------------------------------------------------------- faults
@pytest.fixture
def one_gib():
    """No more than 1 GiB of the device for this process."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(2**30 / torch.cuda.get_device_properties(0).total_memory)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    gc.collect()
    torch.cuda.empty_cache()


def test_a_batch_that_is_too_large_says_what_to_try(one_gib):
    X, y, _ = toy(20_000)
    net = ERMClassifier(module__hidden=(8192,), batch_size=-1, max_epochs=1, random_state=0, device="cuda")
    with pytest.raises(torch.OutOfMemoryError, match=r"memory on cuda:0 .* Try batch_size=10000\. The 20000 rows"):
        net.fit(X, y)
    gc.collect()
    assert np.isfinite(net.set_params(batch_size=100).fit(X, y).predict_proba(X)).all()


def test_a_stack_that_is_too_large_is_halved(one_gib):
    X, y, s = toy(400)
    net = RegularizedClassifier(module__hidden=(2048, 2048), max_epochs=2, random_state=0, device="cuda")
    grid = {"strength": np.linspace(0, 1, 16).tolist()}  # each about 17 MB, five times and more in training
    parameters = dict(cv=2, scoring="neg_log_loss", refit=False, models="best")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search = FrontierSearchCV(net, grid, stack_memory=1e12, **parameters).fit(X, y, sensitive_features=s)
    texts = [str(w.message) for w in caught]
    assert sum("ran out of memory: its models are trained in stacks of" in text for text in texts) == 1
    memory = int(texts[0].split("stack_memory=")[1].split(".")[0])
    again = FrontierSearchCV(net, grid, stack_memory=memory, **parameters).fit(X, y, sensitive_features=s)
    scores = [found.cv_results_["mean_test_score"] for found in (search, again)]
    assert np.isfinite(scores[0]).all()
    np.testing.assert_allclose(*scores, atol=1e-5)


def test_a_loss_that_runs_away_on_a_gpu():
    """Found when the epoch is over, and run again to find the batch: the same words as on the CPU."""
    X, y, s = toy(500)
    nets = [ERMClassifier(optimizer=torch.optim.SGD, lr=1e6, random_state=0, device=d, module__dropout=0.0)
            for d in ("cuda", "cpu")]  # fmt: skip
    texts = []
    for net in nets:
        with pytest.raises(FloatingPointError) as info:
            net.fit(X, y, sensitive_features=s)
        texts.append(str(info.value).split(": the ")[0])
        assert np.isfinite(net.predict_proba(X)).all()
        assert np.isfinite(net.set_params(lr=0.01).partial_fit(X, y, sensitive_features=s).predict_proba(X)).all()
    assert texts[0] == texts[1]
