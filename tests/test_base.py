"""What BaseNet and its children promise to a user of any estimator: inputs of many kinds, seeds, persistence, skorch's
callbacks and parameters, earlier stages."""

import copy
import io
import pickle
import warnings
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from common import (
    RIGHTLY_WARNED,
    Autoencoder,
    ConvAutoencoder,
    Net,
    all_nets,
    all_quick,
    as_it_is,
    conv_for,
    first_linear,
    hidden,
    n_inputs,
    net_for,
    network_output,
    output,
    repeatable,
    rows,
    same_weights,
    small,
    user_module,
    weights_of,
    with_base,
    with_module,
    without_dropout,
)
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, make_scorer
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
    TrainEndCheckpoint,
)

from skfair._data import split_rows
from skfair.augmentation import LatentDebiasingSampler, PCAGenerator, Resampled
from skfair.base import BaseClassifier
from skfair.base._evaluation import evaluation_mode
from skfair.callbacks import BestEpoch, FairnessScoring, resolve_score
from skfair.functional import weighted_mean
from skfair.modules import MLP
from skfair.robust import ERMClassifier, GroupDROClassifier

pytestmark = RIGHTLY_WARNED


polars = pytest.importorskip("polars")

every_estimator = pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in all_nets()])
every_classifier = pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in all_nets("classifier")])


def fitted(cls, X=None, y=None, s=None, **parameters):
    made = rows()
    X, y, s = (given if given is not None else default for given, default in zip((X, y, s), made))
    return small(cls, **parameters).fit(X, y, sensitive_features=s)


# ---------------------------------------------------------------------- sensitive_features
@every_estimator
def test_all_containers_of_sensitive_features_train_alike(cls):
    _, _, s = rows()
    same = [
        list(s),
        s,
        s.astype(object),
        s[:, None],
        pd.Series(s),
        pd.Series(s, index=np.arange(120)[::-1], name="sex"),
        pd.Series(s).astype("category"),
        pd.DataFrame({"sex": s}),
        {"sex": s},
        polars.Series("sex", s),
        polars.DataFrame({"sex": s}),
        np.where(s == "f", 0, 1),
        s == "m",
    ]
    nets = [fitted(cls, s=given) for given in same]
    assert [net.n_groups_ for net in nets] == [2] * len(same)
    assert all(same_weights(net, nets[0]) for net in nets)
    assert nets[0].groups_ == [("f",), ("m",)]
    other = fitted(cls, s=np.roll(s, 1))
    assert same_weights(other, nets[0]) == (not cls.needs_sensitive)  # they are used, or said not to be


@every_estimator
def test_several_columns_make_intersections(cls):
    _, _, s = rows()
    old = np.arange(120) % 3 == 0
    nets = [
        fitted(cls, s=given)
        for given in (
            pd.DataFrame({"sex": s, "old": old}),
            polars.DataFrame({"sex": s, "old": old}),
            {"sex": s, "old": old},
            np.column_stack([s.astype(object), old]),
            [[a, b] for a, b in zip(s, old)],
        )
    ]
    assert nets[0].groups_ == [("f", False), ("f", True), ("m", False), ("m", True)]
    assert all(same_weights(net, nets[0]) for net in nets)


def test_columns_are_told_apart_within_the_batch():
    seen = []

    class Spy(ERMClassifier):
        def objective(self, output, batch):
            seen.append(batch)
            return super().objective(output, batch)

    _, _, s = rows()
    table = pd.DataFrame({"sex": s, "age": np.arange(120) % 3})
    net = fitted(Spy, s=table, batch_size=-1, max_epochs=1)
    batch = seen[0]
    assert batch.sensitive.shape == (120, 2)
    order = batch.index.numpy()
    assert net.decode_groups(batch.sensitive).equals(table.iloc[order].reset_index(drop=True))
    groups = [net.groups_[code] for code in batch.group]
    assert groups == list(table.iloc[order].itertuples(index=False, name=None))
    assert np.array_equal(batch.y.numpy(), rows()[1][order])
    assert np.allclose(batch.x.numpy(), rows()[0][order])


def test_groups_of_mixed_types():
    net = fitted(ERMClassifier, s=[*["f", 1, 2.5, None, True], *["f", 7] * 57, "m"])
    values = [group[0] for group in net.groups_]
    assert values[-1] == "missing"
    assert set(values) == {"f", "m", 1, 2.5, 7, "missing"}  # True is 1, as everywhere in Python


def test_a_group_that_is_called_missing_is_not_the_missing_ones():
    net = fitted(GroupDROClassifier, s=[*["missing", None, "f"] * 40])
    assert net.n_groups_ == 3


@every_estimator
def test_sensitive_columns_train_as_sensitive_features_do(cls):
    X, y, _ = rows()
    X = np.round(X)
    frame = pd.DataFrame(X, columns=list("abcd"))
    told = small(cls).fit(X, y, sensitive_features=X[:, 1])
    for table, columns in [
        (X, 1), (X, [1]), (X, -3), (sp.csr_matrix(X), 1), (frame, "b"), (frame, ["b"]), (frame, 1),
        (polars.DataFrame(frame.to_dict("list")), "b"), (X, lambda X: X[:, 1]), (frame, lambda X: X["b"]),
        (X.tolist(), 1),
    ]:  # fmt: skip
        net = small(cls, sensitive_columns=columns).fit(table, y)
        assert same_weights(net, told), (type(table), columns)
        assert net.n_features_in_ == 4  # the column stays a feature


@every_estimator
def test_the_argument_of_fit_comes_before_sensitive_columns(cls):
    X, y, s = rows()
    assert fitted(cls, sensitive_columns=lambda X: np.arange(120) % 2).groups_ == [("f",), ("m",)]
    net = small(cls, sensitive_columns=1).fit(np.round(X), y, sensitive_features=s)
    assert same_weights(net, small(cls).fit(np.round(X), y, sensitive_features=s))


@every_estimator
def test_predict_takes_no_sensitive_features(cls):
    net = fitted(cls)
    X, _, s = rows()
    for method in ("predict", "predict_proba", "decision_function", "transform"):
        if hasattr(net, method):
            with pytest.raises(TypeError, match="sensitive_features"):
                getattr(net, method)(X, sensitive_features=s)


# ---------------------------------------------------------------------- labels
@every_classifier
@pytest.mark.parametrize(
    ("no", "yes"),
    [
        pytest.param("bad", "good", id="str"),
        pytest.param(False, True, id="bool"),
        pytest.param(-1.0, 1.0, id="float", marks=pytest.mark.slow),
        pytest.param(3, 8, id="int", marks=pytest.mark.slow),
    ],
)
def test_labels_of_any_type(cls, no, yes):
    X, y, s = rows()
    labels = np.array([no, yes])
    codes, net = fitted(cls, max_epochs=6), fitted(cls, y=labels[y], max_epochs=6)
    assert same_weights(codes, net)
    assert net.classes_.tolist() == [no, yes]
    assert net.predict(X).dtype == labels.dtype
    assert np.array_equal(net.predict(X), labels[codes.predict(X)])
    assert net.score(X, labels[y]) > 0.6
    for given in (list(labels[y]), pd.Series(labels[y]), pd.Series(labels[y]).astype("category"), labels[y].tolist()):
        assert np.array_equal(fitted(cls, y=given, max_epochs=6).predict(X), net.predict(X))


@every_classifier
def test_three_classes(cls):
    X, _, s = rows(300)
    labels = np.array(["high", "low", "mid"])
    y = labels[np.digitize(X[:, 0], [-0.5, 0.5])]
    net = small(cls, max_epochs=10).fit(X, y, sensitive_features=s)
    p = net.predict_proba(X)
    assert p.shape == net.decision_function(X).shape == (300, 3)
    assert p.dtype == np.float64
    assert np.allclose(p.sum(1), 1)
    assert np.array_equal(labels[p.argmax(1)], net.predict(X))
    assert net.score(X, y) > 0.6


@every_classifier
def test_the_decision_function_of_two_classes_are_log_odds(cls):
    net, X = fitted(cls), rows()[0]
    p = net.predict_proba(X)
    assert net.decision_function(X).shape == (120,)
    assert np.allclose(np.log(p[:, 1] / p[:, 0]), net.decision_function(X))


# ---------------------------------------------------------------------- X
@every_estimator
def test_all_containers_of_X_train_alike(cls):
    X, _, _ = rows()
    dense = fitted(cls)
    assert not hasattr(dense, "feature_names_in_")
    frame = pd.DataFrame(X, columns=list("abcd"))
    for table in (X.astype(np.float32), X.tolist(), np.asfortranarray(X), frame, polars.DataFrame(frame.to_dict("list")),
                  sp.csr_matrix(X), sp.csc_array(X), sp.coo_array(X)):  # fmt: skip
        net = fitted(cls, X=table)
        assert same_weights(net, dense), type(table)
        assert np.array_equal(output(net, table), output(dense, X))
        if hasattr(table, "columns"):
            assert net.feature_names_in_.tolist() == list("abcd")
    read_only = X.astype(np.float32)
    read_only.flags.writeable = False
    assert same_weights(fitted(cls, X=read_only), dense)


@every_estimator
def test_images_with_a_convolution(cls):
    _, y, s = rows()
    X = np.random.default_rng(0).normal(size=(120, 1, 5, 5)) + y[:, None, None, None]
    own = with_module(cls, conv_for(cls), ConvAutoencoder)
    net = small(cls, **own, module__channels=4, max_epochs=10).fit(X, y, sensitive_features=s)
    assert user_module(net).encoder[0].out_channels == 4
    assert output(net, X).shape[0] == 120
    assert np.allclose(output(net, X[:3]), output(net, X)[:3], atol=1e-5)
    if hasattr(net, "score") and not hasattr(net, "trigger_"):  # a patch of 4 x 4 hides most of the image
        assert net.score(X, y) > 0.8
    flat = small(cls, **as_it_is(cls)).fit(X, y, sensitive_features=s)  # they flatten
    assert n_inputs(flat) == 25


# ---------------------------------------------------------------------- sample_weight
@every_estimator
def test_weights_are_used_and_their_scale_is_not(cls):
    X, y, s = rows()
    w = np.where(np.arange(120) < 60, 1.0, 3.0)
    nets = [small(cls).fit(X, y, sensitive_features=s, sample_weight=given) for given in (None, w, 4 * w, list(w))]
    assert not np.allclose(output(nets[0], X), output(nets[1], X), atol=1e-4)
    assert same_weights(nets[1], nets[2])
    assert same_weights(nets[1], nets[3])
    assert same_weights(nets[0], small(cls).fit(X, y, sensitive_features=s, sample_weight=np.full(120, 7)))


@every_estimator
def test_rows_without_weight_have_no_say(cls):
    """Whatever stands in them, and however the minibatches are drawn."""
    X, y, s = rows()
    w = (np.arange(120) % 3 > 0).astype(float)
    other = np.where(w[:, None] > 0, X, 5 - X)
    nets = [small(cls).fit(given, y, sensitive_features=s, sample_weight=w) for given in (X, other)]
    assert np.abs(output(nets[0], X) - output(nets[1], X)).max() < 1e-6
    full = [small(cls).fit(given, y, sensitive_features=s) for given in (X, other)]
    assert np.abs(output(full[0], X) - output(full[1], X)).max() > 1e-3


WHOLE = dict(batch_size=-1, shuffle=False, early_stopping=False, max_epochs=15)


def weights_and_repetition(net, sizes):
    """The net fitted with integer weights, with repeated rows, and without either."""
    X, y, s = rows()
    repeat = lambda values: np.repeat(values, sizes, axis=0)  # noqa: E731
    weighted = clone(net).fit(X, y, sensitive_features=s, sample_weight=sizes)
    repeated = clone(net).fit(repeat(X), repeat(y), sensitive_features=repeat(s))
    plain = clone(net).fit(X, y, sensitive_features=s)
    return [network_output(fit, X) for fit in (weighted, repeated, plain)]


@every_estimator
@pytest.mark.parametrize("seed", [0, 1])
def test_weights_equal_repetition(cls, seed):
    """The project's substitute for scikit-learn's check of the same, on whole batches: see tests/test_common.py."""
    if cls.n_draws != 0:
        pytest.skip("draws random numbers for each row: equal in distribution only")
    sizes = np.random.default_rng(seed).integers(0, 4, size=120) * np.where(rows()[0][:, 0] > 0.5, 3, 1)
    given = {**WHOLE, **repeatable(cls), **without_dropout(cls), **as_it_is(cls), **with_base(cls)}
    net = small(cls, **given, random_state=seed)
    weighted, repeated, plain = weights_and_repetition(net, sizes)
    assert np.abs(weighted - plain).max() > 0.01  # the weights matter
    assert np.abs(weighted - repeated).max() < 1e-4


# ---------------------------------------------------------------------- modules
@every_estimator
def test_a_module_class_of_the_user(cls):
    own = with_module(cls, net_for(cls), Autoencoder)
    net = small(cls, **own).set_params(module__width=7)
    assert clone(net).get_params()["module__width"] == 7
    net.fit(*rows()[:2], sensitive_features=rows()[2])
    assert type(user_module(net)) is own["module"]
    assert user_module(net).encoder[0].out_features == 7
    net.set_params(module__width=9)
    assert user_module(net).encoder[0].out_features == 7  # nothing happens before the next fit
    assert user_module(net.fit(*rows()[:2], sensitive_features=rows()[2])).encoder[0].out_features == 9


@every_estimator
def test_a_factory_as_module(cls):
    made = net_for(cls)
    own = with_module(cls, lambda in_features: made(in_features + 1), lambda in_features: Autoencoder(in_features + 1))
    assert user_module(fitted(cls, **own, module__in_features=7)).encoder[0].out_features == 8
    assert user_module(fitted(cls, **own)).encoder[0].out_features == 5


@every_estimator
def test_a_module_instance_is_never_trained_in_place(cls):
    own = with_module(cls, net_for(cls)(), Autoencoder())
    module = own["module"]
    before = copy.deepcopy(module.state_dict())
    net = small(cls, **own).fit(*rows()[:2], sensitive_features=rows()[2])
    assert net.module is module
    assert user_module(net) is not module
    assert all(torch.equal(module.state_dict()[name], value) for name, value in before.items())
    assert not any(torch.equal(user_module(net).state_dict()[name], before[name]) for name in ("encoder.0.weight",))
    again = small(cls, **own).fit(*rows()[:2], sensitive_features=rows()[2])
    assert same_weights(net, again)  # both started from the instance's own weights
    with pytest.raises(ValueError, match=r"module is an instance, so \['width'\] cannot be set"):
        fitted(cls, **own, module__width=3)


@every_classifier
def test_a_module_with_one_output_is_the_logit_of_the_second_class(cls):
    X, y, _ = rows()
    net = fitted(cls, module=net_for(cls), module__outputs=1, max_epochs=10, **as_it_is(cls))
    with torch.no_grad():
        seen = net.apply_trigger(X) if hasattr(net, "trigger_") else X
        logit = user_module(net)(torch.tensor(seen, dtype=torch.float32))[:, 0].numpy()
    assert np.allclose(net.predict_proba(X)[:, 1], 1 / (1 + np.exp(-logit)), atol=1e-6)
    assert np.allclose(net.decision_function(X), logit, atol=1e-5)
    assert net.score(X, y) > 0.6


# ---------------------------------------------------------------------- seeds
def generators():
    return pickle.dumps(np.random.get_state()), torch.get_rng_state().numpy().tobytes()  # noqa: NPY002


@every_estimator
def test_the_seed_decides_all(cls):
    early = {"early_stopping": "accuracy" if issubclass(cls, BaseClassifier) else "loss"}
    one, two, other = fitted(cls, **early), fitted(cls, **early), fitted(cls, random_state=1, **early)
    assert same_weights(one, two)
    assert one.history[:, "train_loss"] == two.history[:, "train_loss"]
    # parameters, not buffers: a trigger's columns that may change are a buffer, whatever the seed
    assert not any(torch.equal(a, b) for a, b in zip(one.module_.parameters(), other.module_.parameters()))
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert same_weights(fitted(cls, **early), one)  # whatever the global generators hold


@every_estimator
def test_generators_as_random_state(cls):
    for make in (np.random.default_rng, np.random.RandomState):
        assert same_weights(fitted(cls, random_state=make(0)), fitted(cls, random_state=make(0)))
        generator = make(0)
        assert not same_weights(fitted(cls, random_state=generator), fitted(cls, random_state=generator))


@every_estimator
@pytest.mark.parametrize("seed", [0, None])
def test_global_generators_are_left_alone(cls, seed):
    before = generators()
    net = fitted(cls, random_state=seed)
    output(net, rows()[0])
    net.partial_fit(*rows()[:2], sensitive_features=rows()[2])
    pickle.loads(pickle.dumps(net))
    assert generators() == before


@every_estimator
def test_no_seed_is_fresh_entropy(cls):
    assert not same_weights(fitted(cls, random_state=None), fitted(cls, random_state=None))


@every_estimator
def test_predictions_do_not_depend_on_company_or_order(cls):
    net, X = fitted(cls), rows()[0]
    whole = output(net, X)
    assert np.allclose(output(net, X[::-1])[::-1], whole, rtol=0, atol=1e-12)
    assert np.allclose(np.concatenate([output(net, X[i : i + 1]) for i in range(120)]), whole, rtol=0, atol=1e-12)
    assert np.array_equal(output(net, X), whole)
    assert whole.dtype == np.float64


# ---------------------------------------------------------------------- partial_fit, warm_start, early stopping
@every_estimator
def test_partial_fit_is_fit_epoch_by_epoch(cls):
    X, y, s = rows()
    net = small(cls, early_stopping=False, max_epochs=3, **with_base(cls)).fit(X, y, sensitive_features=s)
    steps = small(cls, early_stopping=False, max_epochs=99, **with_base(cls))
    for _ in range(3):
        steps.partial_fit(X, y, sensitive_features=s)
    assert same_weights(net, steps)
    assert steps.history[:, "train_loss"] == net.history[:, "train_loss"]


@every_classifier
def test_partial_fit_with_classes(cls):
    X, y, s = rows()
    net = small(cls).partial_fit(X, y, classes=[2, 1, 0], sensitive_features=s)
    assert net.classes_.tolist() == [0, 1, 2]
    assert net.predict_proba(X).shape == (120, 3)
    net.partial_fit(X, y + 1, sensitive_features=s)
    part = s == "f"
    net.partial_fit(X[part], y[part], sensitive_features=s[part])
    assert net.n_groups_ == 2
    assert len(net.history) == 3
    one = small(cls).partial_fit(X, np.zeros(120, dtype=int), classes=[0, 1], sensitive_features=s)
    assert one.predict(X).shape == (120,)


@every_estimator
def test_fit_starts_anew_and_warm_start_goes_on(cls):
    X, y, s = rows()
    given = dict(early_stopping=False, **with_base(cls))
    once = fitted(cls, **given, max_epochs=2)
    assert same_weights(clone(once).fit(X, y, sensitive_features=s).fit(X, y, sensitive_features=s), once)
    warm = fitted(cls, **given, max_epochs=2, warm_start=True)
    assert same_weights(warm, once)
    warm.fit(X, y, sensitive_features=s)
    assert len(warm.history) == 4
    assert same_weights(warm, fitted(cls, **given, max_epochs=4))


def cells(y, s):
    return pd.Series(y).astype(str) + s


@every_estimator
def test_early_stopping_on_the_loss_keeps_the_best_epoch(cls):
    plain = {"strength": 0.0} if "strength" in cls().get_params() else {}  # an adversarial loss falls for ever
    parameters = dict(early_stopping=True, lr=0.3, weight_decay=0.0, **plain)
    n_epochs = 16 if cls.__name__ == "VAETransformer" else 12
    net = fitted(cls, patience=None, max_epochs=n_epochs, **parameters)
    losses = net.history[:, "valid_loss"]
    best = int(np.argmin(losses))
    assert len(losses) == n_epochs
    assert best < n_epochs - 1  # otherwise this test shows nothing
    assert same_weights(net, fitted(cls, patience=None, max_epochs=best + 1, **parameters))
    patient = fitted(cls, patience=2, max_epochs=60, **parameters)
    losses = patient.history[:, "valid_loss"]
    assert len(losses) == np.argmin(losses) + 3 < 60


@every_classifier
@pytest.mark.parametrize(
    "watched",
    [
        "accuracy",
        pytest.param("equalized_odds_difference", marks=pytest.mark.slow),
        "worst_group_accuracy",
        pytest.param("function", marks=pytest.mark.slow),
    ],
)
def test_early_stopping_on_a_score_keeps_the_best_epoch(cls, watched):
    seen = []

    def score(y_true, y_pred, *, sensitive_features, sample_weight):
        seen.append((np.asarray(y_true), sensitive_features, sample_weight))
        return [0.1, 0.5, 0.9, 0.9, 0.3, 0.2][len(seen) - 1]

    X, y, s = rows(300)
    parameters = dict(
        early_stopping=score if watched == "function" else watched, patience=None, lr=0.1, **with_base(cls)
    )
    net = small(cls, max_epochs=6, validation_fraction=0.3, **parameters).fit(X, y, sensitive_features=s)
    scores = net.history[:, "valid_score"]
    best = int(np.argmax(scores))  # among equal ones the earliest
    assert len(scores) == 6
    if watched == "function":
        assert best == 2
        y_true, groups, weight = seen[0]
        assert len(y_true) == len(groups) == len(weight) == pytest.approx(90, abs=2)
        shares = cells(y_true, groups.iloc[:, 0]).value_counts(normalize=True)
        assert shares.sub(cells(y, s).value_counts(normalize=True)).abs().max() < 0.02  # stratified by label and group
        seen.clear()
    again = small(cls, max_epochs=best + 1, validation_fraction=0.3, **parameters).fit(X, y, sensitive_features=s)
    assert same_weights(net, again)
    if watched.endswith("_difference"):
        assert all(-1 <= value <= 0 for value in scores)  # greater is better


@every_classifier
def test_all_that_training_changes_goes_back_to_the_best_epoch(cls):
    """Also the adversary, and what an objective carries from step to step (Group DRO's q)."""
    calls = []

    def second_is_best(y_true, y_pred, **kwargs):
        calls.append(len(y_true))
        return 1.0 if len(calls) == 2 else 0.0

    def parts(max_epochs):
        calls.clear()
        net = fitted(cls, early_stopping=second_is_best, patience=None, max_epochs=max_epochs)
        names = [name for name in ("module_", "adversary_", "criterion_", "state_") if hasattr(net, name)]
        return {
            f"{name}.{key}": value.clone() for name in names for key, value in getattr(net, name).state_dict().items()
        }

    stopped, kept, further = parts(2), parts(5), parts(1)
    same = {key: torch.equal(stopped[key].nan_to_num(7), kept[key].nan_to_num(7)) for key in stopped}
    assert all(same.values()), same
    # any: a method may freeze its encoder
    assert any(not torch.equal(further[key], kept[key]) for key in kept if key.startswith("module_"))


def test_each_stratum_gives_its_share_of_held_out_rows():
    """Of 7, 3, 1 and 2 rows a quarter, rounded: 1.75, 0.75, none, as one has to stay, and at least one."""
    strata = np.repeat([0, 1, 2, 3], [7, 3, 1, 2])
    train, valid = split_rows(strata, 0.25, np.random.default_rng(0))
    assert np.bincount(strata[valid], minlength=4).tolist() == [2, 1, 0, 1]
    assert np.array_equal(np.sort(np.concatenate([train, valid])), np.arange(13))
    assert not np.array_equal(valid, split_rows(strata, 0.25, np.random.default_rng(1))[1])


def test_accuracies_that_choose_an_epoch_are_weighted():
    """The one row of the third class has no weight: it is not the worst one."""
    y, p, weight = [0, 0, 1, 1, 2], [0, 1, 1, 1, 0], [3, 1, 1, 1, 0]
    worst, every = (resolve_score(name) for name in ("worst_class_accuracy", "accuracy"))
    assert worst(y, p, sensitive_features=None, sample_weight=weight) == 3 / 4
    assert every(y, p, sensitive_features=None, sample_weight=weight) == 5 / 6
    assert worst(y, p) == 0
    assert every(y, p) == 3 / 5


def test_a_callback_is_shown_predictions_without_dropout():
    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            self.seen_ = net.predict_proba(rows()[0])

    def dropping(in_features, out_features):
        return torch.nn.Sequential(
            torch.nn.Linear(in_features, 8), torch.nn.Dropout(0.9), torch.nn.Linear(8, out_features)
        )

    net = fitted(ERMClassifier, module=dropping, callbacks=[("look", Look())], early_stopping=False, max_epochs=1)
    assert np.array_equal(dict(net.callbacks_)["look"].seen_, net.predict_proba(rows()[0]))


def test_patience_counts_the_epochs_of_this_training():
    net = SimpleNamespace(history=[{"valid_loss": 0.1}] * 3, _modules=[], _criteria=[])
    best = BestEpoch(patience=5)
    best.on_train_begin(net)
    for value in (np.nan, 0.5, 0.5, 0.6, 0.6, 0.6):
        net.history.append({"valid_loss": value})
        best.on_epoch_end(net, dataset_valid=())
    assert (best.best_epoch_, best.best_score_) == (2, 0.5)
    net.history.append({"valid_loss": 0.6})
    with pytest.raises(KeyboardInterrupt):
        best.on_epoch_end(net, dataset_valid=())


@pytest.mark.parametrize("training", [True, False])
def test_a_module_is_in_the_mode_it_was_in_after_evaluation(training):
    module = torch.nn.Dropout().train(training)
    with evaluation_mode(module):
        assert not module.training
    assert module.training is training


# ---------------------------------------------------------------------- callbacks, verbose, iterators
class Counter(Callback):
    def __init__(self, step=1):
        self.step = step
        self.epochs_ = self.batches_ = 0

    def on_epoch_end(self, net, **kwargs):
        self.epochs_ += self.step

    def on_batch_end(self, net, batch=None, training=None, **kwargs):
        self.batches_ += self.step


@every_estimator
def test_callbacks_are_copied_and_used(cls):
    counter = Counter()
    given = dict(early_stopping=False, **with_base(cls))
    net = fitted(cls, callbacks=[("count", counter)], **given)
    used = dict(net.callbacks_)["count"]
    assert (counter.epochs_, counter.batches_) == (0, 0)
    assert (used.epochs_, used.batches_) == (2, 2 * 4)
    assert net.callbacks[0][1] is counter
    assert same_weights(net, fitted(cls, **given))  # the slow way through the epoch is the same way
    assert net.history[:, "train_loss"] == pytest.approx(fitted(cls, **given).history[:, "train_loss"])
    two = clone(net).fit(*rows()[:2], sensitive_features=rows()[2])
    assert dict(two.callbacks_)["count"] is not used
    assert dict(two.callbacks_)["count"].epochs_ == 2
    scaled = fitted(cls, callbacks=[("count", counter)], callbacks__count__step=5, early_stopping=False)
    assert dict(scaled.callbacks_)["count"].epochs_ == 10
    assert counter.step == 1
    assert "count" not in dict(fitted(cls, callbacks=[("count", counter)], callbacks__count=None).callbacks_)


@every_estimator
def test_learning_rate_scheduler(cls):
    schedule = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1)
    net = fitted(cls, callbacks=[schedule], max_epochs=3, early_stopping=False)
    assert net.optimizer_.param_groups[0]["lr"] == pytest.approx(0.02 * 0.1**3, rel=1e-6)
    assert not same_weights(net, fitted(cls, max_epochs=3, early_stopping=False))
    assert same_weights(fitted(cls, callbacks=[schedule], max_epochs=1), fitted(cls, max_epochs=1))
    assert net.get_params()["lr"] == 0.02


@every_estimator
def test_gradient_clipping(cls):
    none = fitted(cls, callbacks=[GradientNormClipping(1e-30)], optimizer=torch.optim.SGD, max_epochs=1, momentum=0.0,
                  weight_decay=0.0)  # fmt: skip
    wide = fitted(cls, callbacks=[GradientNormClipping(1e9)], optimizer=torch.optim.SGD, max_epochs=1)
    start = small(cls, optimizer=torch.optim.SGD, max_epochs=1, lr=1e-30, momentum=0.0, weight_decay=0.0)
    start.fit(*rows()[:2], sensitive_features=rows()[2])
    if not hasattr(none, "teacher_"):  # the rate is also the teacher's
        # not to the bit: a weight that starts at exactly 0 (a VAE's log variances) is moved even by 1e-32
        assert all(np.allclose(a, b, rtol=0, atol=1e-20) for a, b in zip(weights_of(none), weights_of(start)))
    assert same_weights(wide, fitted(cls, optimizer=torch.optim.SGD, max_epochs=1))


def width_score(net, X, y=None):
    """For skorch's EpochScoring: a function of the net."""
    return float(sum(p.detach().square().sum() for p in net.module_.parameters()))


@every_estimator
def test_skorch_epoch_scoring_of_a_function(cls):
    scoring = EpochScoring(width_score, name="width", on_train=True, use_caching=False)
    net = fitted(cls, callbacks=[scoring], early_stopping=False, max_epochs=3)
    values = net.history[:, "width"]
    assert len(set(values)) == 3
    assert values[-1] == pytest.approx(width_score(net, None))


@pytest.mark.parametrize(
    ("callback", "match"),
    [
        (EpochScoring("roc_auc"), r"EpochScoring\('roc_auc'\).*FairnessScoring"),
        (EpochScoring(None), "EpochScoring.*FairnessScoring"),
        (EpochScoring(make_scorer(accuracy_score)), "EpochScoring.*FairnessScoring"),
        (BatchScoring("accuracy"), "BatchScoring.*FairnessScoring"),
        (Checkpoint(), "Checkpoint.*'valid_loss_best'.*early_stopping=True.*monitor=None"),
    ],
)
def test_callbacks_of_skorch_that_find_nothing_are_refused(callback, match):
    net = small(ERMClassifier, callbacks=[("own", callback)])
    with pytest.raises(ValueError, match=match):
        net.fit(*rows()[:2])
    assert not hasattr(net, "module_")


def test_checkpoints_of_skorch(tmp_path):
    X, y, _ = rows()
    each = Checkpoint(dirname=tmp_path / "each", monitor=None)
    end = TrainEndCheckpoint(dirname=tmp_path / "end")
    net = small(ERMClassifier, max_epochs=3, early_stopping=False, callbacks=[each, end]).fit(X, y)
    assert same_weights(net, small(ERMClassifier, max_epochs=3, early_stopping=False).fit(X, y))
    other = small(ERMClassifier, max_epochs=1, early_stopping=False, random_state=9).fit(X, y)
    assert other.device == "auto"
    for kept in ({"checkpoint": each}, {"f_params": tmp_path / "end" / "train_end_params.pt"}):
        other.load_params(**kept)
        assert same_weights(net, other)
        assert other.device == "auto"
        other.partial_fit(X, y)


@every_classifier
def test_fairness_scoring_of_the_training_rows(cls):
    X, y, s = rows()
    callback = FairnessScoring("demographic_parity_difference", use="train")
    net = fitted(cls, callbacks=[callback], early_stopping=False, max_epochs=3, **with_base(cls))
    from skfair.metrics import demographic_parity_difference

    gap = demographic_parity_difference(y, net.predict(X), sensitive_features=s)
    assert net.history[-1, "train_demographic_parity_difference"] == pytest.approx(-gap)


def test_fairness_scoring_says_that_it_has_no_rows():
    with pytest.warns(UserWarning, match="valid_accuracy.*no held-out rows.*use='train'"):
        net = fitted(ERMClassifier, callbacks=[FairnessScoring("accuracy")], early_stopping=False, max_epochs=1)
    assert "valid_accuracy" not in net.history[-1]
    fitted(ERMClassifier, callbacks=[FairnessScoring("accuracy")], early_stopping=True, max_epochs=1)


REORDERED = {
    "X": (pd.DataFrame, np.asarray),
    "y": (np.asarray, pd.Series),
}


@pytest.mark.parametrize("name", REORDERED)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_resample", "Resampled"])
def test_groups_in_another_order_are_noticed(name, method):
    """Labels of rows that are the same, in another order: most likely the groups of other people."""
    (X, y, s), (frame, series) = rows(), REORDERED[name]
    order = np.random.default_rng(0).permutation(len(y))
    sampler = LatentDebiasingSampler(PCAGenerator(), n_hyperplane=200, n_check=50, random_state=0)
    call = {
        "fit_resample": sampler.fit_resample,
        "Resampled": Resampled(sampler, small(ERMClassifier, max_epochs=1)).fit,
    }.get(method) or getattr(small(ERMClassifier, max_epochs=1), method)
    with pytest.warns(UserWarning, match=rf"row labels of {name} in another order"):
        call(frame(X), series(y), sensitive_features=pd.Series(s)[order])
    # shuffled together, as they should be; and an order that the user vouches for
    call(
        frame(X)[order] if name == "y" else frame(X).loc[order],
        series(y)[order],
        sensitive_features=pd.Series(s)[order],
    )
    call(frame(X), series(y), sensitive_features=pd.Series(s)[order].to_numpy())


@every_estimator
def test_initialize_needs_rows(cls):
    with pytest.raises(NotFittedError, match="builds its network from the rows: call fit or partial_fit"):
        small(cls).initialize()


@every_estimator
def test_verbose(cls, capsys):
    fitted(cls)
    assert capsys.readouterr() == ("", "")
    fitted(cls, verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert cls.__name__ in err
    assert "2/2" in err
    assert "train_loss" in err
    assert same_weights(fitted(cls, verbose=1), fitted(cls))


@every_estimator
def test_a_data_loader_as_iterator(cls):
    X, y, s = rows()
    loader = dict(iterator_train=torch.utils.data.DataLoader, early_stopping=False, **with_base(cls))
    whole = dict(early_stopping=False, batch_size=-1, shuffle=False, **without_dropout(cls), **with_base(cls))
    net, own = small(cls, **{**loader, **whole}, iterator_train__shuffle=False), small(cls, **whole)
    if "balanced" in net.get_params():
        net.set_params(balanced=False), own.set_params(balanced=False)
    net.fit(X, y, sensitive_features=s)
    assert same_weights(net, own.fit(X, y, sensitive_features=s))
    small_batches = fitted(cls, **loader, iterator_train__shuffle=True, iterator_train__drop_last=True, batch_size=50,
                           callbacks=[("count", Counter())])  # fmt: skip
    assert dict(small_batches.callbacks_)["count"].batches_ == 2 * 2
    # torch's loader draws a seed for its workers, which moves the draws of dropout
    valid = fitted(cls, iterator_valid=torch.utils.data.DataLoader, **without_dropout(cls))
    assert np.allclose(output(valid, X), output(fitted(cls, **without_dropout(cls)), X), atol=1e-12)


@every_estimator
def test_batch_sizes(cls):
    count = dict(callbacks=[("count", Counter())], early_stopping=False, max_epochs=1, **with_base(cls))
    for size, batches in [(-1, 1), (119, 1), (120, 1), (60, 2), (7, 17), (8, 15), (500, 1)]:  # no last batch of one row
        net = fitted(cls, batch_size=size, **count)
        assert dict(net.callbacks_)["count"].batches_ == batches, size


@every_estimator
def test_an_interrupt_keeps_what_is_trained(cls):
    class Stop(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    net = fitted(cls, callbacks=[Stop()], max_epochs=9, early_stopping=False)
    assert len(net.history) == 2
    assert same_weights(net, fitted(cls, max_epochs=2, early_stopping=False))


# ---------------------------------------------------------------------- parameters and persistence
@pytest.mark.parametrize("net", all_quick(), ids=lambda net: type(net).__name__)
def test_fit_changes_no_parameter(net):
    shape = hidden(type(net), 6)
    net = clone(net).set_params(max_epochs=2, **shape, callbacks=[("count", Counter())])
    before = net.get_params(deep=True)
    frozen = {name: repr(value) for name, value in before.items()}
    X, y, s = rows()
    output(net.fit(X, y, sensitive_features=s), X)
    after = net.get_params(deep=True)
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    assert {name: repr(value) for name, value in after.items()} == frozen
    assert shape.items() <= before.items()
    assert before["callbacks__count__step"] == 1
    fresh = clone(net)
    assert fresh.get_params().keys() == before.keys()
    assert not [name for name in vars(fresh) if name.endswith("_") and not name.startswith("__")]


@every_estimator
def test_set_params_trains_nothing_and_takes_effect_at_the_next_fit(cls):
    X, y, s = rows()
    net = fitted(cls)
    before = output(net, X)
    changed = dict(**hidden(cls, 3), lr=0.005, max_epochs=1, batch_size=7, optimizer=torch.optim.SGD)
    net.set_params(**changed)
    assert np.array_equal(output(net, X), before)
    net.fit(X, y, sensitive_features=s)
    assert first_linear(net).out_features == 3
    assert net.optimizer_.param_groups[0]["lr"] == 0.005
    assert isinstance(net.optimizer_, torch.optim.SGD)
    assert same_weights(net, fitted(cls, **changed))


@every_estimator
def test_optimizer_parameters(cls):
    net = fitted(cls, optimizer=torch.optim.Adam, optimizer__betas=(0.8, 0.9), weight_decay=0.25)
    group = net.optimizer_.param_groups[0]
    assert (tuple(group["betas"]), group["weight_decay"], group["lr"]) == ((0.8, 0.9), 0.25, 0.02)
    assert fitted(cls, optimizer__weight_decay=0.125).optimizer_.param_groups[0]["weight_decay"] == 0.125
    sgd = fitted(cls, optimizer=torch.optim.SGD, momentum=0.3).optimizer_.param_groups[0]
    assert sgd["momentum"] == 0.3
    assert fitted(cls, criterion__label_smoothing=0.2).criterion_.label_smoothing == 0.2


def joblib_round_trip(net):
    buffer = io.BytesIO()
    joblib.dump(net, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


@pytest.mark.parametrize(
    "travel",
    [
        lambda net: pickle.loads(pickle.dumps(net)),
        copy.deepcopy,
        pytest.param(joblib_round_trip, marks=pytest.mark.slow),  # pickle, in another wrapping
    ],
)
@every_estimator
def test_copies_predict_alike(cls, travel):
    X, y, s = rows()
    net = fitted(cls, callbacks=[("count", Counter())])
    twin = travel(net)
    assert np.array_equal(output(twin, X), output(net, X))
    assert twin.get_params().keys() == net.get_params().keys()
    assert twin.history[:, "train_loss"] == net.history[:, "train_loss"]
    twin.partial_fit(X, y, sensitive_features=s)  # goes on from the same optimizer and streams
    assert not np.array_equal(network_output(twin, X), network_output(net, X))
    assert np.array_equal(network_output(net, X), network_output(fitted(cls), X))  # and shares nothing
    net.partial_fit(X, y, sensitive_features=s)
    assert same_weights(twin, net)
    unfitted = travel(small(cls))
    assert same_weights(unfitted.fit(X, y, sensitive_features=s), fitted(cls))


@every_estimator
def test_clone_is_unfitted_and_trains_alike(cls):
    net = fitted(cls)
    twin = clone(net)
    assert not hasattr(twin, "module_")
    assert same_weights(twin.fit(*rows()[:2], sensitive_features=rows()[2]), net)


@every_estimator
def test_repr_is_short(cls):
    assert repr(cls()) == f"{cls.__name__}()"
    assert repr(cls(lr=0.5, module__hidden=(3,))) == f"{cls.__name__}(lr=0.5, module__hidden=(3,))"
    net = cls(lr=0.02, max_epochs=2, batch_size=32, random_state=0)
    assert repr(net.fit(*rows()[:2], sensitive_features=rows()[2])) == repr(clone(net))
    assert len(repr(net)) < 120
    assert len(net._repr_html_()) < 200_000


@every_estimator
def test_requests(cls, routing):
    net = cls()
    assert net.get_metadata_routing().fit.requests == {"sensitive_features": True, "sample_weight": None}
    for method in ("set_fit_request", "set_partial_fit_request"):
        with pytest.raises(TypeError, match="typo"):
            getattr(net, method)(typo=True)
    assert net.set_fit_request(sample_weight=True).get_metadata_routing().fit.requests["sample_weight"] is True
    for method in ("predict", "predict_proba", "transform"):
        assert not net.get_metadata_routing().__getattribute__(method).requests


def test_requests_need_routing():
    with config_context(enable_metadata_routing=False), pytest.raises(RuntimeError, match="enable_metadata_routing"):
        ERMClassifier().set_fit_request(sensitive_features=True)


# ---------------------------------------------------------------------- several stages
class TwoStage(BaseClassifier):
    """Like JTT: what a first, plain net gets wrong counts ``factor`` times in the second."""

    needs_sensitive = False

    def __init__(self, *, factor=5.0, first_epochs=1, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.first_epochs = first_epochs

    def prepare(self, X, y, *, sensitive_features, sample_weight):
        first = self.stage(ERMClassifier, max_epochs=self.first_epochs)
        self.first_ = first.fit(X, y, sensitive_features=sensitive_features, sample_weight=sample_weight)
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        self.seen_ = (type(X), X.dtype, y[:3].tolist(), sensitive_features, sample_weight)
        return weight * np.where(self.first_.predict(X) == y, 1.0, self.factor)


def test_two_stages():
    X, y, s = rows()
    y = np.array(["no", "yes"])[y]
    counter = Counter()
    parameters = dict(module=Net, module__width=6, lr=0.02, batch_size=32, random_state=0, max_epochs=3,
                      optimizer=torch.optim.SGD, momentum=0.5, callbacks=[("count", counter)])  # fmt: skip
    net = TwoStage(**parameters, early_stopping="accuracy").fit(X, y, sensitive_features=s)
    first = net.first_
    assert first.module_.encoder[0].out_features == 6
    assert first.get_params()["optimizer"] is torch.optim.SGD
    assert (first.lr, first.batch_size, first.momentum, first.max_epochs) == (0.02, 32, 0.5, 1)
    assert first.early_stopping is False
    assert not first.callbacks  # no callback is shared
    assert not {id(c) for _, c in first.callbacks_} & {id(c) for _, c in net.callbacks_}
    assert first.random_state != 0
    assert not same_weights(first, fitted(ERMClassifier, y=y, **{**parameters, "max_epochs": 1}))
    kind, dtype, labels, frame, weight = net.seen_
    assert (kind, dtype, labels, weight) == (np.ndarray, np.float32, y[:3].tolist(), None)
    assert frame.iloc[:, 0].tolist() == list(s)
    assert dict(net.callbacks_)["count"].epochs_ == 3
    again = TwoStage(**parameters, early_stopping="accuracy").fit(X, y, sensitive_features=s)
    assert same_weights(net, again)
    assert same_weights(net.first_, again.first_)


def test_the_weights_that_prepare_returns_are_trained_with():
    X, y, s = rows()
    plain = fitted(ERMClassifier)
    assert same_weights(fitted(TwoStage, factor=1.0), plain)
    net = fitted(TwoStage, factor=8.0)
    wrong = net.first_.predict(X) != y
    assert 0 < wrong.sum() < 120
    by_hand = small(ERMClassifier).fit(X, y, sample_weight=np.where(wrong, 8.0, 1.0))
    assert same_weights(net, by_hand)
    assert not same_weights(net, plain)


def test_a_stage_sees_the_sensitive_columns_and_weights():
    X, y, _ = rows()
    net = small(TwoStage, sensitive_columns=lambda X: X[:, 1] > 0).fit(X, y, sample_weight=np.arange(120))
    assert net.first_.groups_ == [(False,), (True,)]
    assert net.seen_[4].tolist() == list(range(120))
    clone(net).fit(pd.DataFrame(X, columns=list("abcd")).to_numpy(), y)


@pytest.mark.parametrize("container", [sp.csr_matrix, lambda X: pd.DataFrame(X, columns=list("abcd"))])
def test_stages_on_other_containers(container):
    X, y, s = rows()
    by_name = "a" if hasattr(container(X), "columns") else 0
    net = small(TwoStage, sensitive_columns=[by_name]).fit(container(np.round(X)), y)
    assert same_weights(net, small(TwoStage, sensitive_columns=[0]).fit(np.round(X), y))


def test_stage_makes_networks_of_their_own():
    net = fitted(TwoStage)
    one, two = net.stage(ERMClassifier), net.stage(GroupDROClassifier, step_size=0.5)
    assert one.random_state != two.random_state
    assert two.step_size == 0.5
    assert one.module is MLP


# ---------------------------------------------------------------------- formulas
def test_weighted_mean_is_normalised_over_the_training_set():
    """Mean weight 1 over the training set, whatever the batches: the mean over equal batches is the mean over all."""
    values, weight = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 1.0, 1.0, 2.0])
    assert weighted_mean(values, weight) == pytest.approx((2 + 3 + 8) / 4)
    halves = [weighted_mean(values[part], weight[part]) for part in (slice(0, 2), slice(2, 4))]
    assert sum(halves) / 2 == pytest.approx(weighted_mean(values, weight))
    assert weighted_mean(values) == 2.5
    seen = []

    class Spy(ERMClassifier):
        def objective(self, output, batch):
            seen.append(batch.weight)
            return super().objective(output, batch)

    X, y, _ = rows()
    small(Spy, max_epochs=1).fit(X, y, sample_weight=np.arange(120) * 17.0)
    assert torch.cat(seen).mean().item() == pytest.approx(1.0, abs=1e-5)
    assert torch.cat(seen).sort().values.numpy() == pytest.approx(np.arange(120) / 59.5, abs=1e-5)


def test_no_warning_is_raised_by_an_ordinary_fit():
    X, y, s = rows()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for net in all_quick():
            net.set_params(max_epochs=2).fit(X, y, sensitive_features=s)
            output(net, X)
