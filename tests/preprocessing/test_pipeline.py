"""make_tabular_pipeline: what it sets, what it leaves, and what can be done with it."""

import copy
import inspect
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from common import RIGHTLY_WARNED, all_nets, same_weights, small
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import Pipeline

from skfair.attention import DebiasedAttentionClassifier
from skfair.augmentation import GANGenerator
from skfair.base import BaseNet
from skfair.metrics import get_scorer
from skfair.model_selection import FrontierSearchCV, _jobs
from skfair.modules import MLP
from skfair.modules._names import NAMES
from skfair.preprocessing import make_tabular_pipeline, make_tabular_preprocessor
from skfair.preprocessing._pipeline import INPUTS, NETWORKS, TRAINING
from skfair.regularization import RegularizedClassifier
from skfair.robust import DistillationClassifier, ERMClassifier, GroupDROClassifier, JTTClassifier
from skfair.utils import all_estimators

pytestmark = RIGHTLY_WARNED
OTHER = {  # a third value of each: neither the default of all nets nor the choice for tables
    "batch_size": 17, "max_epochs": 3, "lr_schedule": "linear", "gradient_clipping": 2.5, "early_stopping": "accuracy",
    "patience": 3, "validation_fraction": 0.2, "lr": 0.007, "weight_decay": 0.01, "optimizer": torch.optim.AdamW,
    "momentum": 0.5, "shuffle": False,
}  # fmt: skip
TINY = dict(module__hidden=(8,), module__dropout=0.0, max_epochs=2)
every_net = pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in all_nets()])


def mixed(n=80, seed=0):
    """A table with strings, categories, booleans, a spike and missing values; labels that it decides; groups."""
    rng = np.random.default_rng(seed)
    core = rng.normal(size=n)
    s = np.where(rng.random(n) < 0.5, "f", "m")
    job = np.where(core > 0.5, "nurse", np.where(rng.random(n) < 0.5, "cook", "smith")).astype(object)
    frame = pd.DataFrame(
        {
            "core": np.where(rng.random(n) < 0.1, np.nan, core),
            "gain": np.where(rng.random(n) < 0.7, 0.0, rng.normal(size=n)),
            "job": np.where(rng.random(n) < 0.1, None, job),
            "city": pd.Categorical(rng.choice(["A", "B"], n)),
            "sex": s,
            "flag": rng.random(n) < 0.3,
            "count": rng.integers(0, 4, n),
        }
    )
    y = np.where(core + 0.3 * rng.normal(size=n) > 0, "yes", "no")
    return frame, y, s


def net_of(estimator, **preprocessing):
    return make_tabular_pipeline(estimator, **preprocessing)["net"]


# ---------------------------------------------------------------------- what it sets
def test_the_table_of_defaults_is_that_of_the_constructor():
    defaults = {name: p.default for name, p in inspect.signature(BaseNet).parameters.items()}
    assert set(TRAINING) <= set(defaults)
    for name, (default, choice) in TRAINING.items():
        assert type(defaults[name]) is type(default), name
        assert defaults[name] == default, name
        assert choice != default or type(choice) is not type(default), name
    assert set(INPUTS) <= set(inspect.signature(make_tabular_preprocessor).parameters)
    for name, parameters in NETWORKS.items():
        takes = inspect.signature(NAMES[name]).parameters
        assert {key.removeprefix("module__") for key in parameters} <= set(takes)


def test_the_docstring_tells_the_choices():
    told = make_tabular_pipeline.__doc__
    choices = {**{name: choice for name, (_, choice) in TRAINING.items()}, **INPUTS, **NETWORKS.get("mlp", {})}
    for name, choice in choices.items():
        (line, *_) = [line for line in told.splitlines() if f"``{name}" in line]
        assert str(choice) in line, name


def test_what_is_not_given_is_chosen():
    net = net_of(ERMClassifier())
    expected = ERMClassifier(**{name: choice for name, (_, choice) in TRAINING.items()}, **NETWORKS["mlp"])
    assert net.get_params() == expected.get_params()
    given = make_tabular_preprocessor(**INPUTS).get_params()
    found = make_tabular_pipeline(ERMClassifier())["preprocessor"].get_params()
    assert {key: repr(value) for key, value in given.items()} == {key: repr(value) for key, value in found.items()}


@pytest.mark.parametrize("name", OTHER)
def test_what_was_given_stays(name):
    net = net_of(ERMClassifier(**{name: OTHER[name]}))
    assert getattr(net, name) == OTHER[name]
    others = {key: getattr(net, key) for key in TRAINING if key != name}
    assert others == {key: choice for key, (_, choice) in TRAINING.items() if key != name}
    every = net_of(ERMClassifier(**OTHER, module__hidden=(5,), random_state=3, sensitive_columns="sex"))
    assert {key: getattr(every, key) for key in OTHER} == OTHER
    assert (every.random_state, every.sensitive_columns) == (3, "sex")


@pytest.mark.parametrize(
    "given", [dict(module__hidden=(7,)), dict(module__dropout=0.9), dict(module__encoder_layers=2)]
)
def test_a_network_that_was_given_stays(given):
    own = {key: value for key, value in net_of(ERMClassifier(**given)).get_params().items() if key[:8] == "module__"}
    assert own == given


class Own(torch.nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = torch.nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.layer(x)


@pytest.mark.parametrize("module", [Own, torch.nn.Linear(3, 2), lambda in_features: Own(in_features, 2)])
def test_other_networks_stay(module):
    net = net_of(ERMClassifier(module=module))
    assert not any(key.startswith("module__") for key in net.get_params())
    assert net.lr_schedule == TRAINING["lr_schedule"][1]


@pytest.mark.parametrize("name", NAMES)
def test_networks_by_name_have_settings_of_their_own(name):
    own = {k: v for k, v in net_of(ERMClassifier(module=name)).get_params().items() if k.startswith("module__")}
    assert own == NETWORKS.get(name, {})
    by_class = {k: v for k, v in net_of(ERMClassifier(module=NAMES[name])).get_params().items() if k[:8] == "module__"}
    assert by_class == own


def test_a_users_own_class_of_the_name_mlp_stays():
    other = type("MLP", (Own,), {})
    assert not any(key.startswith("module__") for key in net_of(ERMClassifier(module=other)).get_params())


@every_net
def test_what_a_method_has_for_a_default_of_its_own_stays(cls):
    own = {name: p.default for name, p in inspect.signature(cls).parameters.items()}
    net = net_of(cls())
    for name, (default, choice) in TRAINING.items():
        if name not in own:
            continue
        if name == "early_stopping" and own.get("selection") is not None:  # the method has its own word for it
            assert not net.early_stopping
            continue
        kept = own[name] != default or type(own[name]) is not type(default)
        assert getattr(net, name) == (own[name] if kept else choice), name
    for name in set(own) - set(TRAINING):
        if name != "kwargs" and not name.startswith("_"):
            assert getattr(net, name) is own[name] or getattr(net, name) == own[name]
    assert ("module__hidden" in net.get_params()) == (own["module"] is MLP)


def test_well_known_methods():
    assert net_of(RegularizedClassifier()).batch_size == 256
    assert net_of(DistillationClassifier()).max_epochs == 50
    dro = net_of(GroupDROClassifier())
    assert (dro.batch_size, dro.optimizer, dro.early_stopping) == (128, torch.optim.SGD, "worst_group_accuracy")
    jtt = net_of(JTTClassifier())
    assert (jtt.batch_size, jtt.lr, jtt.weight_decay) == (128, 0.01, 0.01)


def test_a_value_that_only_other_nets_have_by_default_was_given():
    assert net_of(JTTClassifier(batch_size=64)).batch_size == 64


def test_every_net_accepts_what_is_chosen():
    nets = [(name, cls) for name, cls in all_estimators() if issubclass(cls, BaseNet)]
    for _, cls in [*nets, ("GANGenerator", GANGenerator)]:
        net_of(cls())._check_parameters()


def test_the_estimator_is_not_changed():
    estimator = ERMClassifier(max_epochs=3, random_state=0)
    before = copy.deepcopy(estimator.get_params())
    pipeline = make_tabular_pipeline(estimator)
    assert pipeline["net"] is not estimator
    assert estimator.get_params() == before
    X, y, _ = mixed()
    fitted = ERMClassifier(**TINY, random_state=0).fit(np.zeros((4, 2)), [0, 1, 0, 1])
    weights = [p.clone() for p in fitted.module_.parameters()]
    pipeline = make_tabular_pipeline(fitted)
    assert not pipeline["net"].initialized_
    pipeline.fit(X, y)
    assert all(torch.equal(a, b) for a, b in zip(weights, fitted.module_.parameters(), strict=True))
    assert fitted.n_features_in_ == 2


@pytest.mark.parametrize("estimator", [LogisticRegression(C=0.5, max_iter=300), HistGradientBoostingClassifier()])
def test_other_estimators_pass_through(estimator):
    X, y, _ = mixed()
    pipeline = make_tabular_pipeline(estimator)
    assert type(pipeline["net"]) is type(estimator)
    assert pipeline["net"] is not estimator
    assert pipeline["net"].get_params() == estimator.get_params()
    assert pipeline.fit(X, y).score(X, y) > 0.7


def test_parameters_of_the_preprocessor():
    X, y, _ = mixed()
    plain = make_tabular_pipeline(ERMClassifier(), frequent_values=None, numeric="quantile", add_indicator=False)
    expected = make_tabular_preprocessor(
        **{**INPUTS, "frequent_values": None, "numeric": "quantile", "add_indicator": False}
    )
    assert repr(plain["preprocessor"]) == repr(expected)
    made = make_tabular_pipeline(ERMClassifier(), min_frequency=0.2)["preprocessor"]
    np.testing.assert_array_equal(
        made.fit_transform(X), make_tabular_preprocessor(**INPUTS, min_frequency=0.2).fit_transform(X)
    )
    with pytest.raises(TypeError, match="lr"):
        make_tabular_pipeline(ERMClassifier(), lr=0.1)
    with pytest.raises(ValueError, match="numeric must be one of"):
        make_tabular_pipeline(ERMClassifier(), numeric="log")


# ---------------------------------------------------------------------- as a Pipeline
def test_form_and_repr():
    pipeline = make_tabular_pipeline(ERMClassifier(random_state=0))
    assert type(pipeline) is Pipeline
    assert list(pipeline.named_steps) == ["preprocessor", "net"]
    assert "ERMClassifier(" in repr(pipeline)
    assert "lr_schedule" in repr(pipeline["net"])
    assert "ERMClassifier" in pipeline._repr_html_()
    twin = clone(pipeline)
    assert twin["net"].get_params() == pipeline["net"].get_params()
    assert repr(twin) == repr(pipeline)
    pipeline.set_params(net__early_stopping=False, net__max_epochs=3, preprocessor__numeric__scaler="passthrough")
    assert pipeline["net"].early_stopping is False


@pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in all_nets("classifier")])
def test_every_classifier_on_a_mixed_table(cls):
    X, y, s = mixed()
    own = {} if cls.__name__ == "DebiasedAttentionClassifier" else {"module__hidden": (8,)}
    pipeline = make_tabular_pipeline(small(cls, max_epochs=1, **own))
    with config_context(enable_metadata_routing=True):
        pipeline.fit(X, y, sensitive_features=s)
    assert pipeline.classes_.tolist() == ["no", "yes"]
    new = X.assign(job="pilot", gain=99.0, core=np.nan, city=pd.Categorical(["Z"] * len(X)))
    for table in (X, new, X[X.columns[::-1]]):
        p = pipeline.predict_proba(table)
        assert p.shape == (80, 2)
        assert np.isfinite(p).all()
        assert set(pipeline.predict(table)) <= {"no", "yes"}
    assert np.array_equal(pipeline.predict_proba(X[X.columns[::-1]]), pipeline.predict_proba(X))
    again = pickle.loads(pickle.dumps(pipeline))
    assert np.array_equal(again.predict_proba(X), pipeline.predict_proba(X))


def test_it_learns_with_its_own_settings():
    X, y, _ = mixed(300)
    pipeline = make_tabular_pipeline(ERMClassifier(max_epochs=12, random_state=0)).fit(X, y)
    net = pipeline["net"]
    assert len(net.history) == 12  # patience is None: all of them
    assert "valid_loss" in net.history[0]
    assert pipeline.score(*mixed(200, seed=1)[:2]) > 0.75
    same = make_tabular_pipeline(ERMClassifier(max_epochs=12, random_state=0)).fit(X, y)
    assert same_weights(same["net"], net)
    by_hand = ERMClassifier(**{**net.get_params()}).fit(pipeline["preprocessor"].transform(X), y)
    assert same_weights(by_hand, net)


@pytest.mark.parametrize("n", [12, 40])
def test_few_rows(n):
    """A part of each cell is held out; ranks of few rows need no warning."""
    X, y, _ = mixed(n)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for numeric in ("standard", "quantile"):
            pipeline = make_tabular_pipeline(ERMClassifier(**TINY, random_state=0), numeric=numeric).fit(X, y)
            assert pipeline.predict(X).shape == (n,)
            assert "valid_loss" in pipeline["net"].history[0]


def test_routing_of_sensitive_features_and_weights():
    X, y, s = mixed()
    net = RegularizedClassifier(**TINY, random_state=0)
    without = make_tabular_pipeline(net).fit(X, y, net__sensitive_features=s)
    with config_context(enable_metadata_routing=True):
        routed = make_tabular_pipeline(net).fit(X, y, sensitive_features=s)
    assert same_weights(without["net"], routed["net"])
    assert routed["net"].groups_ == [("f",), ("m",)]
    w = np.where(np.arange(80) < 40, 1.0, 3.0)
    weighted = make_tabular_pipeline(net).fit(X, y, net__sensitive_features=s, net__sample_weight=w)
    assert not same_weights(weighted["net"], routed["net"])
    with pytest.raises(ValueError, match="needs sensitive_features at fit"):
        make_tabular_pipeline(net).fit(X, y)


def test_routing_of_weights():
    X, y, s = mixed()
    w = np.where(np.arange(80) < 40, 1.0, 3.0)
    net = RegularizedClassifier(**TINY, random_state=0)
    given = make_tabular_pipeline(net).fit(X, y, net__sensitive_features=s, net__sample_weight=w)
    with config_context(enable_metadata_routing=True):
        pipeline = make_tabular_pipeline(net.set_fit_request(sample_weight=True))  # the clone keeps the request
        weighted = pipeline.fit(X, y, sensitive_features=s, sample_weight=w)
    assert same_weights(weighted["net"], given["net"])


def test_sensitive_columns_are_columns_of_what_the_net_sees():
    X, y, _ = mixed()
    net = RegularizedClassifier(**TINY, random_state=0, sensitive_columns="sex_f")
    pipeline = make_tabular_pipeline(net).set_output(transform="pandas").fit(X, y)
    assert pipeline["net"].groups_ == [(0.0,), (1.0,)]
    assert "sex_f" in pipeline["net"].feature_names_in_


SCORING = {"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference", pos_label="yes")}


def test_grid_search_over_the_strength():
    X, y, s = mixed()
    pipeline = make_tabular_pipeline(RegularizedClassifier(**TINY, random_state=0))
    grid = {"net__strength": [0.0, 3.0], "preprocessor__numeric__scaler": ["passthrough"]}
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(pipeline, grid, cv=2, scoring=SCORING, refit="accuracy", error_score="raise")
        search.fit(X, y, sensitive_features=s)
    assert search.best_estimator_["net"].strength in (0.0, 3.0)
    assert search.predict(X).shape == (80,)
    folds = cross_val_predict(pipeline, X, y, cv=2, params={"net__sensitive_features": s})
    assert set(folds) <= {"no", "yes"}


@pytest.mark.parametrize("module", [{}, {"module": "tabm", "module__n_members": 2, "module__width": 8}])
def test_a_frontier_trains_it_in_stacks(monkeypatch, module):
    def alone(*args):
        raise AssertionError("trained by itself")

    X, y, s = mixed()
    if module:
        pytest.importorskip("tabm")
    own = {key: value for key, value in {**TINY, **module}.items() if not (module and key == "module__hidden")}
    pipeline = make_tabular_pipeline(RegularizedClassifier(**own, random_state=0))
    grid = {"net__strength": [0.0, 3.0], "preprocessor__numeric__scaler": ["passthrough"]}
    given = dict(cv=2, scoring="neg_log_loss", error_score="raise")
    with config_context(enable_metadata_routing=True):
        single = GridSearchCV(pipeline, grid, **given).fit(X, y, sensitive_features=s)
        monkeypatch.setattr(_jobs, "_train_alone", alone)
        search = FrontierSearchCV(pipeline, grid, models="all", **given).fit(X, y, sensitive_features=s)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], single.cv_results_["mean_test_score"], rtol=1e-4)
    assert len(search.models_) == 2
    for model in search.models_.values():
        assert np.isfinite(model.predict_proba(X)).all()


def test_polars_frames():
    polars = pytest.importorskip("polars")
    X, y, _ = mixed()
    X["city"] = X["city"].astype(str)
    columns = {name: [None if pd.isna(value) else value for value in X[name]] for name in X}
    same = polars.DataFrame(columns)
    nets = [make_tabular_pipeline(ERMClassifier(**TINY, random_state=0)).fit(table, y) for table in (X, same)]
    assert np.array_equal(nets[0].predict_proba(X), nets[1].predict_proba(same))
    labels = polars.Series("y", y)
    assert np.array_equal(make_tabular_pipeline(ERMClassifier(**TINY, random_state=0)).fit(same, labels).predict(same),
                          nets[0].predict(X))  # fmt: skip


@pytest.mark.parametrize("name", ["plr", "tabm", "ft_transformer"])
def test_networks_by_name_on_a_mixed_table(name):
    if name != "ft_transformer":
        pytest.importorskip({"plr": "rtdl_num_embeddings", "tabm": "tabm"}[name])
    X, y, _ = mixed()
    size = {
        "plr": {"hidden": (8,)},
        "tabm": {"width": 8, "n_members": 2},
        "ft_transformer": {"d_model": 8, "n_heads": 2},
    }
    own = {f"module__{key}": value for key, value in size[name].items()}
    net = ERMClassifier(module=name, **own, max_epochs=1, random_state=0)
    pipeline = make_tabular_pipeline(net).fit(X, y)
    assert type(pipeline["net"].module_) is NAMES[name]
    names = pipeline["preprocessor"].get_feature_names_out()
    if name != "ft_transformer":
        assert [names[k] for k in pipeline["net"].input_numeric_] == ["core", "gain", "count"]
    blocks = [[names[k].rsplit("_", 1)[0] for k in block] for block in pipeline["net"].input_blocks_]
    if name != "plr":
        assert {"job", "city", "sex", "flag"} <= {name for block in blocks for name in block}
    assert all(len(set(block)) == 1 or "infrequent" in str(block) for block in blocks)
    assert pipeline.predict_proba(X).shape == (80, 2)


def test_an_early_stopping_that_was_given_beside_a_selection_gets_the_nets_own_error():
    X, y, s = mixed()
    model = make_tabular_pipeline(DebiasedAttentionClassifier(early_stopping="loss"))
    assert model["net"].early_stopping == "loss"
    with pytest.raises(ValueError, match="both choose the epoch"):
        model.fit(X, y)
