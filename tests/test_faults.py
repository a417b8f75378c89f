"""What fails or is stopped in the middle: memory that does not suffice, Ctrl-C, and other faults."""

import re
import signal
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from common import rows, same_weights, small, toy
from skorch.callbacks import Callback

from skfair.model_selection import FrontierSearchCV
from skfair.modules import MLP
from skfair.regularization import RegularizedClassifier
from skfair.robust import DistillationClassifier, ERMClassifier, JTTClassifier


def test_a_loss_that_runs_away_is_named():
    X, y, _ = toy(100)
    net = ERMClassifier(optimizer=torch.optim.SGD, lr=1e30, random_state=0)
    with pytest.raises(
        FloatingPointError, match=r"loss of ERMClassifier became (nan|inf) in epoch \d+, .* Lower lr \(now 1e\+30\)"
    ):
        net.fit(X, y)


def test_an_interrupt_keeps_what_is_trained():
    """Ctrl-C in the middle of a fit ends it, as in skorch; the estimator can predict."""

    class Interrupt(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    X, y, _ = toy(100)
    net = ERMClassifier(max_epochs=50, random_state=0, callbacks=[Interrupt()]).fit(X, y)
    assert len(net.history) == 2
    assert np.isfinite(net.predict_proba(X)).all()


def test_text_in_X_points_to_the_preprocessor():
    with pytest.raises(ValueError, match="could not convert string") as caught:
        ERMClassifier().fit(np.array([["a", "c"], ["b", "c"]]), [0, 1])  # one column would be texts
    assert "make_tabular_preprocessor" in caught.value.__notes__[0]


def test_streams_of_a_gpu_go_on_without_one():
    """A net that was trained on a GPU and loaded where there is none still has its streams."""
    from skfair._random import Streams

    streams = Streams(0)
    streams._states["network"] = (torch.get_rng_state(), torch.zeros(16, dtype=torch.uint8))  # as kept on a GPU
    with streams("network"):
        torch.rand(1)


# ---------------------------------------------------------------------- memory that does not suffice
class Hungry(MLP):
    """Has room for 20 rows at a time, as a device with little memory."""

    def forward(self, x):
        if self.training and len(x) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore details")
        return super().forward(x)


class Never(MLP):
    def forward(self, x):
        raise torch.OutOfMemoryError


@pytest.mark.parametrize("fit", ["fit", "partial_fit"])
@pytest.mark.parametrize(("size", "smaller"), [(64, 32), (-1, 60), (33, 16)])
def test_out_of_memory_says_what_to_try(fit, size, smaller):
    X, y, _ = rows(120)
    net = small(ERMClassifier, module=Hungry, batch_size=size, device="cpu")
    with pytest.raises(torch.OutOfMemoryError) as info:
        getattr(net, fit)(X, y)
    assert str(info.value) == (
        f"ERMClassifier ran out of memory on cpu with batch_size={size}. Try batch_size={smaller}. The 120 rows lie there "
        "as a whole (0.00183 MiB as float32), with their labels, groups and weights. device='cpu' trains in main memory, "
        "slower, to the same result up to rounding. (CUDA out of memory. Tried to allocate 2.00 GiB.)"
    )
    assert "Tried" in str(info.value.__cause__)
    getattr(net.set_params(batch_size=16), fit)(X, y)


def test_out_of_memory_in_an_earlier_stage_and_with_sparse_rows():
    X, y, _ = rows(120)
    with pytest.raises(torch.OutOfMemoryError, match=r"^ERMClassifier ran .* as X is sparse"):
        small(ERMClassifier, module=Hungry).fit(sp.csr_array(X), y)
    with pytest.raises(
        torch.OutOfMemoryError, match=r"^ERMClassifier ran .*batch_size=50\. Try batch_size=25\."
    ) as info:
        small(JTTClassifier, module=Hungry, batch_size=50).fit(X, y)
    assert str(info.value).count("ran out of memory") == 1
    with pytest.raises(torch.OutOfMemoryError, match="batch_size=1. Try a smaller network"):
        small(ERMClassifier, module=Never, batch_size=1).fit(X, y)


class Greedy(RegularizedClassifier):
    """A stack of more than ``most`` nets runs out of memory in its second epoch; a net of its own with this lr, too."""

    most, too_much = 2, None

    def before_step(self):
        n_models = len(self.members_) if self.stacked_ else 0
        if len(self.history) == 2 and (n_models > self.most or self.lr == self.too_much):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        super().before_step()


STRENGTHS = {"strength": [0.0, 0.5, 1.0, 2.0, 4.0]}


def greedy(cls, grid=STRENGTHS, **parameters):
    X, y, s = rows()
    net = small(cls, module__hidden=(8,), module__dropout=0.5, random_state=np.random.default_rng(3))
    search = FrontierSearchCV(net, grid, cv=2, models="all", scoring="neg_log_loss", **parameters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, y, sensitive_features=s)
    return search, [str(w.message) for w in caught]


def test_a_stack_that_runs_out_of_memory_is_halved():
    """Ten models, then five, then three at a time: to the last bit as from the beginning; dropout depends on the stack."""

    class Modest(Greedy):
        most = 10**9

    class Three(Greedy):
        most = 3

    found, texts = greedy(Three)
    assert len(texts) == 2, texts  # one for the splits, one for the models on all rows: four are left there
    assert "a stack of Three ran out of memory: its models are trained in stacks of 3 from here on, as with" in texts[0]
    assert "in stacks of 2 from here on" in texts[1]
    memory = int(re.search(r"stack_memory=(\d+)\. \(CUDA out of memory\.\)", texts[0]).group(1))
    expected, no_texts = greedy(Modest, stack_memory=memory)
    assert no_texts == []
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(found.cv_results_[name], expected.cv_results_[name])
    whole = greedy(Modest)[0].cv_results_["split0_test_score"]
    assert not np.array_equal(found.cv_results_["split0_test_score"], whole)  # else this shows nothing
    for k in found.models_:
        assert found.models_[k].score(*rows()[:2]) > 0.3


def test_nets_that_run_out_of_memory_alone_fail_as_any_other():
    class None_(Greedy):
        most, too_much = 0, 0.01

    grid = {"strength": [0.0, 1.0], "lr": [0.02, 0.01]}
    search, texts = greedy(None_, grid)
    scores = dict(zip(map(str, search.cv_results_["params"]), search.cv_results_["mean_test_score"]))
    assert [bool(np.isnan(value)) for value in scores.values()] == ["0.01" in name for name in scores]
    assert sum("its models are trained one by one from here on" in text for text in texts) == 2  # a stack per lr
    failure = next(text for text in texts if "fits failed" in text)
    assert "None_ ran out of memory on cpu with batch_size=32. Try batch_size=16." in failure
    assert "The candidate is {'lr': 0.01, 'strength': 1.0}." in failure


# ---------------------------------------------------------------------- Ctrl-C
def ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore it
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


class Pressing(ERMClassifier):
    """Somebody presses Ctrl-C in one of its steps, once."""

    step = None

    def objective(self, output, batch):
        if self.module_.training and type(self).step is not None:
            type(self).step -= 1
            if type(self).step == 0:
                type(self).step = None
                ctrl_c()
        return super().objective(output, batch)


def test_ctrl_c_in_the_middle_of_an_epoch_keeps_the_best_epoch(tmp_path):
    X, y, _ = rows()
    given = dict(early_stopping=True, lr=0.3, validation_fraction=0.2)
    Pressing.step = 5 * 3 + 2  # of three steps per epoch
    net = small(Pressing, max_epochs=9, checkpoint=tmp_path / "kept", **given).fit(X, y)
    five = small(ERMClassifier, max_epochs=5, **given).fit(X, y)
    assert same_weights(net, five)
    assert dict(net.callbacks_)["best_epoch"].best_epoch_ < 5
    assert net.interrupted_
    assert (tmp_path / "kept").exists()
    again = small(Pressing, max_epochs=9, checkpoint=tmp_path / "kept", **given).fit(X, y)  # goes on
    assert same_weights(again, small(ERMClassifier, max_epochs=9, **given).fit(X, y))


@pytest.mark.parametrize("user", [True, False])
def test_ctrl_c_in_a_callback_is_the_users(user, tmp_path):
    """Scoring takes much of an epoch. A callback that stops its net raises the same error."""

    class Press(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                if user:
                    ctrl_c()
                raise KeyboardInterrupt

    X, y, _ = rows()
    net = small(ERMClassifier, max_epochs=5, callbacks=[Press()], checkpoint=tmp_path / "kept").fit(X, y)
    assert len(net.history) == 2
    assert net.interrupted_ is user
    assert (tmp_path / "kept").exists() is user


def test_ctrl_c_in_an_earlier_stage_ends_that_stage():
    X, y, _ = rows()
    Pressing.step = 4 + 1
    net = small(DistillationClassifier, teacher=small(Pressing, max_epochs=9))
    with pytest.warns(UserWarning, match="an earlier stage of DistillationClassifier was interrupted: it keeps what"):
        net.fit(X, y)
    assert len(net.teacher_.history) == 2  # the second epoch was begun
    assert net.teacher_.interrupted_
    assert len(net.history) == net.max_epochs
    assert np.isfinite(net.predict_proba(X)).all()


def test_ctrl_c_ends_a_stage_that_is_trained_pass_by_pass():
    X, y, _ = rows()
    host = small(ERMClassifier).fit(X, y)
    Pressing.step = 4 + 1
    stage = host.train_stage(small(Pressing), X, y, epochs=9)
    assert len(stage.history) == 2


def interrupted_search(estimator, grid, **parameters):
    X, y, _ = rows()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search = FrontierSearchCV(estimator, grid, **{"cv": 2, **parameters}).fit(X, y)
    texts = [str(w.message) for w in caught]
    assert any("interrupted before it was trained" in text for text in texts)
    return search, texts


def test_ctrl_c_in_a_stage_of_a_search_ends_its_training():
    """Half-trained teachers are no ground for a comparison."""
    Pressing.step = 2 * 4 + 1  # two splits of two steps, two epochs: the first step of the second lr
    grid = {"lr": [0.02, 0.01], "share": [0.2, 0.8]}
    search, texts = interrupted_search(small(DistillationClassifier, teacher=small(Pressing)), grid)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, False, True, True]
    assert sum("an earlier stage of DistillationClassifier was interrupted" in text for text in texts) == 1
    assert list(search.models_) == [search.best_index_]
    assert not search.best_estimator_.teacher_.interrupted_


def test_ctrl_c_while_a_stack_scores_its_held_out_rows_ends_the_search():
    """It is not taken for a callback that stops one of the nets."""
    calls = []

    def score(y_true, y_pred, *, sensitive_features=None, sample_weight=None):
        calls.append(1)
        if len(calls) == 3 * 2 + 2:  # of three models: the second one, after the third epoch
            ctrl_c()
        return float(np.mean(y_true == y_pred))

    net = small(RegularizedClassifier, early_stopping=score, max_epochs=5, sensitive_columns=lambda X: X[:, 1] > 0)
    grid = {"lr": [0.02, 0.01], "strength": [0.0, 1.0, 2.0]}
    search, _ = interrupted_search(net, grid, cv=[(np.arange(80), np.arange(80, 120))])
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False] * 3 + [True] * 3
    assert len(calls) - (3 * 2 + 2) == 5  # the epochs of the best model, which is fitted again


def test_ctrl_c_while_models_are_scored_keeps_those_before():
    calls = []

    def score(estimator, X, y):
        calls.append(1)
        if len(calls) == 4:
            ctrl_c()
        return estimator.score(X, y)

    net = small(RegularizedClassifier, sensitive_columns=lambda X: X[:, 1] > 0)
    search, _ = interrupted_search(net, {"strength": [0.0, 1.0, 2.0]}, scoring=score, stack_memory=1)
    splits = np.array([search.cv_results_[f"split{k}_test_score"] for k in range(2)])
    assert np.isfinite(splits).sum() == 3
    assert len(calls) == 4


def test_ctrl_c_while_the_best_model_is_fitted_again_leaves_the_others_out():
    X, y, _ = rows()

    class Press(ERMClassifier):
        stacks_over = None

        def objective(self, output, batch):
            if batch.index.max() >= 50:  # of all 120 rows
                ctrl_c()
            return super().objective(output, batch)

    split = (np.arange(50), np.arange(50, 120))
    search = FrontierSearchCV(small(Press), {"lr": [0.02, 0.01]}, cv=[split], models="all")
    with pytest.warns(UserWarning, match="interrupted: models_ holds the best candidate alone"):
        search.fit(X, y)
    assert list(search.models_) == [search.best_index_]
