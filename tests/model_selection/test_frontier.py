"""FrontierSearchCV: what GridSearchCV would find, trained side by side."""

import pickle
import re
import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from common import output, quick, rows, same_weights, small
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.metrics import get_scorer as get_sklearn_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, RepeatedStratifiedKFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import Callback

from skfair.adversarial import AdversarialClassifier
from skfair.base import BaseClassifier
from skfair.metrics import get_scorer
from skfair.model_selection import FrontierSearchCV, _jobs, best_within
from skfair.model_selection._pareto import frontier_frame
from skfair.modules import MLP
from skfair.regularization import RegularizedClassifier
from skfair.robust import ERMClassifier, GroupDROClassifier

GRID = {"strength": [0.0, 0.5, 5.0]}
SCORING = {"accuracy": "accuracy", "loss": "neg_log_loss", "gap": get_scorer("demographic_parity_difference")}


def group_of(X):
    """The groups of the toy rows, as far as their second column betrays them; for use without routing."""
    X = X.to_numpy() if hasattr(X, "to_numpy") else X
    return np.asarray(X)[:, 1] > 0


BY_COLUMN = {**SCORING, "gap": get_scorer("demographic_parity_difference", sensitive_columns=group_of)}


def net(cls=RegularizedClassifier, **parameters):
    return small(cls, **{"module__hidden": (8, 6), "module__dropout": 0.0, **parameters})


def searches(estimator, grid, *, ours=None, **parameters):
    """FrontierSearchCV and GridSearchCV of the same."""
    parameters = {"scoring": SCORING, "refit": "loss", "cv": 2, **parameters}
    return FrontierSearchCV(estimator, grid, **parameters, **(ours or {})), GridSearchCV(estimator, grid, **parameters)


def assert_same_results(found, expected, atol=1e-6):
    """cv_results_: the same keys in the same order, kinds and shapes of values, parameters, scores and ranks."""
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert type(found[key]) is type(value), key
        if key == "params":
            assert list(map(str, found[key])) == list(map(str, value))
            continue
        assert found[key].dtype == value.dtype, key
        assert found[key].shape == value.shape, key
        if key.startswith("param_"):
            assert str(found[key]) == str(value)
        elif key.endswith("_time"):
            assert (found[key] >= 0).all()
        else:
            np.testing.assert_allclose(found[key], value, rtol=0, atol=atol, equal_nan=True, err_msg=key)


def assert_same_search(found, expected, atol=1e-6):
    assert_same_results(found.cv_results_, expected.cv_results_, atol)
    assert set(vars(expected)) - {"_checked_cv_orig"} <= set(vars(found))
    for name in ("n_splits_", "multimetric_", "best_index_"):
        assert getattr(found, name, None) == getattr(expected, name, None), name
    assert str(getattr(found, "best_params_", None)) == str(getattr(expected, "best_params_", None))
    assert getattr(found, "best_score_", 0.0) == pytest.approx(getattr(expected, "best_score_", 0.0), abs=atol)
    assert type(found.scorer_) is type(expected.scorer_)


def fit_both(estimator, grid, data=None, fit=None, **parameters):
    """Fit and compare; returns the FrontierSearchCV."""
    X, y, s = data or rows()
    ours, theirs = searches(estimator, grid, **parameters)
    fit = {"sensitive_features": s} if fit is None else fit
    ours.fit(X, y, **fit)
    theirs.fit(X, y, **fit)
    assert_same_search(ours, theirs)
    return ours


@pytest.fixture
def stacks(monkeypatch):
    """Numbers of nets of the stacks that are trained, in order."""
    sizes, train_stack = [], _jobs.train_stack

    def counted(members, *args, **kwargs):
        sizes.append(len(members))
        return train_stack(members, *args, **kwargs)

    monkeypatch.setattr(_jobs, "train_stack", counted)
    return sizes


def final(model):
    return model[-1] if isinstance(model, Pipeline) else model


# ---------------------------------------------------------------------- what GridSearchCV finds, routing on
# estimator, grid, numbers of nets in the stacks: of two splits each
CASES = {
    "net": (net(), GRID, [6]),
    "adversarial": (net(AdversarialClassifier), {"strength": [0.0, 5.0]}, [4]),
    "group-dro": (
        net(GroupDROClassifier, early_stopping=False),
        {"step_size": [0.0, 1.0], "adjustment": [0.0, 9.0]},
        [8],
    ),
    "erm": (net(ERMClassifier), {"random_state": [0, 1]}, [4]),
    "pipeline": (
        make_pipeline(StandardScaler(), net()),
        {"regularizedclassifier__strength": np.array([0.0, 5.0])},
        [4],
    ),
    "generator": (net(random_state=np.random.RandomState(0)), {"strength": [0.0, 5.0]}, [4]),
    "mixed": (net(), {"strength": [0.0, 5.0], "lr": [0.02, 0.001]}, [4, 4]),
    "not-stackable": (net(), {"penalty": ["gap", "squared"], "batch_size": [16]}, [2, 2]),
    "shapes": (net(), {"module__hidden": [(8, 6), (3,)]}, [2, 2]),
    "mixed-pipeline": (
        Pipeline([("scale", StandardScaler()), ("net", net())]),
        {"scale__with_std": [True, False], "net__strength": [0.0, 5.0]},
        [4, 4],
    ),
    "replaced-step": (
        Pipeline([("scale", StandardScaler()), ("net", net())]),
        {"scale": ["passthrough", FunctionTransformer(np.tanh)], "net__strength": [5.0]},
        [2, 2],
    ),
    "list-of-grids": (net(), [{"strength": [0.0, 5.0]}, {"penalty": ["squared"], "strength": [1.0]}, {}], [6, 2]),
    "empty-grid": (net(), {}, [2]),
    "early-stopping": (net(early_stopping="accuracy", max_epochs=4), {"strength": [0.0, 5.0]}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_it_finds_what_grid_search_finds(case, routing, stacks):
    estimator, grid, sizes = CASES[case]
    search = fit_both(estimator, grid, ours={"models": "best"})
    if sizes is not None:
        assert stacks == sizes
    losses = search.cv_results_["mean_test_loss"]
    assert len(losses) < 2 or np.ptp(losses) > 1e-4  # otherwise equality shows nothing


def test_estimators_that_do_not_stack(routing, stacks):
    search = fit_both(LogisticRegression(), {"C": [0.01, 1.0]}, ours={"models": "all"})
    assert stacks == []
    assert search.models_[0].C == 0.01
    listener = net(callbacks=[("listener", Listener())])
    fit_both(listener, GRID, ours={"models": "all"})
    assert stacks == []


class Listener(Callback):
    def on_batch_end(self, net, batch=None, training=None, **kwargs):
        pass


def test_the_last_step_is_replaced_in_the_grid(stacks):
    """Nets of two methods, an estimator of scikit-learn, and a parameter of one of them."""
    pipeline = Pipeline([("scale", StandardScaler()), ("clf", net(ERMClassifier))])
    grid = [
        {"clf": [net(ERMClassifier), net(ERMClassifier, lr=0.001), LogisticRegression()]},
        {"clf": [net(sensitive_columns=group_of)], "clf__strength": [0.5, 5.0]},
        {"clf": [LogisticRegression()], "clf__C": [0.01, 0.1]},
    ]
    search = fit_both(pipeline, grid, scoring=BY_COLUMN, fit={}, ours={"models": "all"})
    assert stacks[:3] == [2, 2, 4]
    kinds = [type(search.models_[k][-1]).__name__ for k in range(7)]
    assert Counter(kinds) == {"ERMClassifier": 2, "LogisticRegression": 3, "RegularizedClassifier": 2}


def test_several_alike_nets_in_the_grid_are_told_apart(stacks):
    """Equal parameters of equal nets share a stack; nets that differ in what does not stack never do."""
    grid = {"clf": [net(ERMClassifier, lr=lr) for lr in (0.02, 0.001)], "clf__random_state": [0, 1]}
    fit_both(Pipeline([("clf", net(ERMClassifier))]), grid, scoring=BY_COLUMN, fit={}, ours={"models": "best"})
    assert stacks == [4, 4]


def test_an_alias_of_sensitive_features(routing):
    X, y, s = rows()
    estimator = net().set_fit_request(sensitive_features="A")
    for model, grid in [
        (estimator, GRID),
        (Pipeline([("scale", StandardScaler()), ("net", estimator)]), {"net__strength": [0.0, 5.0]}),
    ]:
        search = fit_both(model, grid, fit={"A": s}, scoring=["neg_log_loss"], refit="neg_log_loss")
        assert final(search.best_estimator_).groups_ == [("f",), ("m",)]


def test_metadata_that_nobody_asks_for_is_refused(routing):
    X, y, s = rows()
    with pytest.raises(TypeError, match="nonsense"):
        FrontierSearchCV(net(), GRID, cv=2).fit(X, y, sensitive_features=s, nonsense=s)


# ---------------------------------------------------------------------- routing off
def test_without_routing_the_net_gets_them_by_fit():
    search = fit_both(net(), GRID, scoring=BY_COLUMN)
    assert search.best_estimator_.groups_ == [("f",), ("m",)]


def test_without_routing_columns_of_X_will_do():
    search = fit_both(net(sensitive_columns=group_of), GRID, scoring=BY_COLUMN, fit={})
    assert search.best_estimator_.groups_ == [(False,), (True,)]
    pipeline = make_pipeline(StandardScaler(), net(sensitive_columns=group_of))
    fit_both(pipeline, {"regularizedclassifier__strength": [0.0, 5.0]}, scoring=BY_COLUMN, fit={})


def test_without_routing_a_pipeline_takes_parameters_of_its_steps():
    X, y, s = rows()
    pipeline = Pipeline([("scale", Weighted()), ("net", net())])
    fit = {"net__sensitive_features": s, "scale__sample_weight": np.arange(120.0)}
    grid = {"net__strength": [0.0, 5.0]}
    search = fit_both(pipeline, grid, scoring=BY_COLUMN, fit=fit, ours={"models": "all"})
    centre = np.average(X, axis=0, weights=np.arange(120.0))
    assert all(np.allclose(model[0].centre_, centre) for model in search.models_.values())
    with pytest.raises(ValueError, match=r"write <step>__sensitive_features=\.\.\., with a step of \['scale', 'net'\]"):
        FrontierSearchCV(pipeline, grid, cv=2).fit(X, y, sensitive_features=s)


class Weighted(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None, sample_weight=None):
        self.centre_ = np.average(X, axis=0, weights=sample_weight)
        return self

    def transform(self, X):
        return X - self.centre_


@pytest.mark.parametrize("on", [False, True], ids=["routing-off", "routing-on"])
def test_sample_weights(on):
    X, y, s = rows()
    w = np.random.default_rng(0).integers(0, 4, size=120).astype(float)
    with config_context(enable_metadata_routing=on):
        estimator = net().set_fit_request(sample_weight=True) if on else net()
        scoring = {"loss": get_sklearn_scorer("neg_log_loss")}
        if on:
            scoring["loss"].set_score_request(sample_weight=True)
        fit = {"sensitive_features": s, "sample_weight": w}
        search = fit_both(estimator, GRID, scoring=scoring, fit=fit, ours={"models": "all"})
        for key, model in search.models_.items():
            single = clone(estimator).set_params(**search.cv_results_["params"][key]).fit(X, y, **fit)
            assert np.abs(output(model, X) - output(single, X)).max() < 1e-6
        plain = searches(estimator, GRID, scoring=scoring)[0].fit(X, y, sensitive_features=s)
        assert np.abs(plain.cv_results_["mean_test_loss"] - search.cv_results_["mean_test_loss"]).max() > 1e-3


@pytest.mark.parametrize("on", [False, True], ids=["routing-off", "routing-on"])
def test_groups_for_the_splitter(on):
    X, y, s = rows()
    with config_context(enable_metadata_routing=on):
        fit = {"sensitive_features": s, "groups": np.arange(120) // 30}
        fit_both(net(), GRID, scoring=BY_COLUMN if not on else SCORING, fit=fit, cv=GroupKFold(4))


# ---------------------------------------------------------------------- kinds of X and y
def test_frames_and_labels_of_text(routing):
    X, y, s = rows()
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(120)[::-1])
    frame["job"] = np.where(X[:, 3] > 0, "cook", "nurse")
    labels = pd.Series(np.array(["no", "yes"])[y], index=frame.index)
    columns = ColumnTransformer([("scale", StandardScaler(), list("abc")), ("job", OneHotEncoder(), ["job"])])
    pipeline = Pipeline([("columns", columns), ("net", net())])
    fit = {"sensitive_features": pd.Series(s, index=frame.index)}
    grid = {"net__strength": [0.0, 5.0], "columns__scale__with_std": [True, False]}
    scoring = {**SCORING, "gap": get_scorer("demographic_parity_difference", pos_label="yes")}
    search = fit_both(pipeline, grid, data=(frame, labels, s), fit=fit, scoring=scoring, ours={"models": "all"})
    assert search.feature_names_in_.tolist() == [*"abcd", "job"]
    assert search.classes_.tolist() == ["no", "yes"]
    assert len(search.models_) == 4
    assert set(search.predict(frame)) == {"no", "yes"}


@pytest.mark.parametrize("kind", [list, sp.csr_matrix, pd.DataFrame])
def test_kinds_of_X(kind):
    X, y, s = rows()
    X = np.where(np.abs(X) > 0.3, X, 0.0)
    given = X.tolist() if kind is list else kind(X)
    scoring = {"loss": "neg_log_loss"}
    search = fit_both(net(), GRID, data=(given, list(y), s), scoring=scoring, ours={"models": "all"})
    assert np.abs(output(search.models_[0], given) - output(search.models_[0], X)).max() < 1e-6
    assert hasattr(search, "feature_names_in_") is False


# ---------------------------------------------------------------------- preprocessing
class Counted(TransformerMixin, BaseEstimator):
    """Counts its fits and its transforms."""

    fits, transforms = [], []

    def __init__(self, shift=0.0, fail=False):
        self.shift = shift
        self.fail = fail

    def fit(self, X, y=None):
        if self.fail:
            raise ValueError("no, on purpose")
        Counted.fits.append((self.shift, len(X)))
        self.mean_ = X.mean(0)
        return self

    def transform(self, X):
        Counted.transforms.append((self.shift, len(X)))
        return X - self.mean_ + self.shift


@pytest.fixture
def counted():
    Counted.fits, Counted.transforms = [], []
    return Pipeline([("pre", Counted()), ("net", net())])


def test_preprocessing_is_fitted_once_per_fold(routing, counted):
    X, y, s = rows()
    grid = {"net__strength": [0.0, 5.0], "net__lr": [0.02, 0.01]}
    search, grid_search = searches(counted, grid, ours={"models": "best"}, cv=3)
    search.fit(X, y, sensitive_features=s)
    assert Counted.fits == [(0.0, 80)] * 3 + [(0.0, 120)]
    assert Counter(Counted.transforms) == {(0.0, 80): 3, (0.0, 40): 3, (0.0, 120): 1}  # training, test, all
    Counted.fits.clear()
    assert_same_search(search, grid_search.fit(X, y, sensitive_features=s))
    assert len(Counted.fits) == 4 * 3 + 1


def test_preprocessing_is_fitted_again_for_candidates_that_vary_it(routing, counted):
    X, y, s = rows()
    grid = {"net__strength": [0.0, 5.0], "pre__shift": [0.0, 1.0]}
    search, grid_search = searches(counted, grid, ours={"models": "all"}, return_train_score=True)
    search.fit(X, y, sensitive_features=s)
    assert Counter(Counted.fits[:-3]) == {(0.0, 60): 2, (1.0, 60): 2}
    best = search.best_params_["pre__shift"]
    assert Counter(Counted.fits[-3:]) == Counter([(0.0, 120), (1.0, 120), (best, 120)])  # the others, and the best
    assert_same_search(search, grid_search.fit(X, y, sensitive_features=s))


def test_preprocessing_that_fails_fails_its_candidates_alone(routing, counted):
    grid = {"net__strength": [0.0, 5.0], "pre__fail": [False, True]}
    search, _ = fit_with_failures(counted, grid)
    bad = np.array([params["pre__fail"] for params in search.cv_results_["params"]])
    assert np.array_equal(np.isnan(search.cv_results_["mean_test_loss"]), bad)
    assert set(search.models_) <= set(np.flatnonzero(~bad))


def test_pipelines_of_one_step_and_within_pipelines(routing):
    fit_both(Pipeline([("net", net())]), {"net__strength": [0.0, 5.0]})
    inner = Pipeline([("scale", StandardScaler()), ("net", net())])
    fit_both(
        Pipeline([("skip", "passthrough"), ("none", None), ("inner", inner)]), {"inner__net__strength": [0.0, 5.0]}
    )


def test_a_pipeline_is_left_as_it_was(routing):
    X, y, s = rows()
    pipeline = Pipeline([("scale", StandardScaler()), ("net", net())])
    search = FrontierSearchCV(pipeline, {"net__strength": [0.0, 5.0]}, cv=2, models="all", refit=False)
    search.fit(X, y, sensitive_features=s)
    assert not hasattr(pipeline[0], "mean_")
    assert not pipeline[-1].initialized_
    for model in search.models_.values():
        assert type(model) is Pipeline
        assert np.allclose(model[0].mean_, X.mean(0))
        assert vars(model).keys() == vars(pipeline).keys()  # nothing of the scoring is left in it


class Validated(ERMClassifier):
    """Is given rows that the pipeline is to transform on the way."""

    seen = []

    def fit(self, X, y=None, *, sensitive_features=None, sample_weight=None, X_val=None):
        Validated.seen.append(X_val.mean(0).round(6).tolist())
        return super().fit(X, y)


def test_a_pipeline_transforms_what_its_transform_input_names(routing):
    X, y, _ = rows()
    last = net(Validated, callbacks=[Listener()]).set_fit_request(X_val=True)
    pipeline = Pipeline([("scale", StandardScaler()), ("net", last)], transform_input=["X_val"])
    seen = []
    for search in searches(pipeline, {}, ours={"models": "best"}, scoring="neg_log_loss", refit=True):
        Validated.seen = []
        search.fit(X, y, X_val=X + 5)
        seen.append(Validated.seen)
    assert seen[0] == seen[1]


# ---------------------------------------------------------------------- refit and scoring
def smallest_gap(cv_results):
    return int(np.nanargmax(cv_results["mean_test_gap"]))


@pytest.mark.parametrize("refit", ["accuracy", "gap", smallest_gap, best_within(gap=0.9), False])
def test_refit(refit, routing):
    X, y, s = rows()
    search = fit_both(net(), GRID, refit=refit)
    if refit is False:
        assert not hasattr(search, "best_estimator_")
        with pytest.raises(AttributeError, match="predict"):
            search.predict(X)
        return
    expected = net(**search.best_params_).fit(X, y, sensitive_features=s)
    assert same_weights(search.best_estimator_, expected)
    assert search.models_[search.best_index_] is search.best_estimator_
    assert search.refit_time_ > 0


def brier(estimator, X, y):
    return -float(np.mean((estimator.predict_proba(X)[:, 1] - y) ** 2))


def several(estimator, X, y):
    assert np.array_equal(estimator.predict(X), estimator.predict_proba(X).argmax(1))
    return {"loss": -log_loss(y, estimator.predict_proba(X)), "half": accuracy_score(y[::2], estimator.predict(X[::2]))}


@pytest.mark.parametrize("scoring", ["neg_log_loss", None, brier, ["neg_log_loss", "f1"], several, "roc_auc"])
@pytest.mark.parametrize("piped", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["net", "pipeline"])
def test_scoring(scoring, piped):
    refit = {"list": "f1", "function": "loss"}.get(type(scoring).__name__, True) if scoring is not brier else True
    estimator = net(sensitive_columns=group_of)
    grid = {"strength": [0.0, 5.0]}
    if piped:
        estimator, grid = make_pipeline(StandardScaler(), estimator), {"regularizedclassifier__strength": [0.0, 5.0]}
    X, y, _ = rows()
    search, grid_search = searches(estimator, grid, scoring=scoring, refit=refit, return_train_score=True)
    assert_same_search(search.fit(X, y), grid_search.fit(X, y))
    assert search.score(X, y) == pytest.approx(grid_search.score(X, y), abs=1e-6)


@pytest.mark.parametrize("refit", [True, "half"])
def test_several_scores_need_the_name_of_one(refit):
    X, y, _ = rows()
    search, grid_search = searches(net(sensitive_columns=group_of), GRID, scoring=several, refit=refit)
    if refit is True:
        for each in (search, grid_search):
            with pytest.raises(ValueError, match="refit"):
                each.fit(X, y)
    else:
        assert_same_search(search.fit(X, y), grid_search.fit(X, y))


def test_train_scores(routing):
    search = fit_both(net(), GRID, return_train_score=True)
    assert search.cv_results_["mean_train_loss"].shape == (3,)
    assert not np.allclose(search.cv_results_["mean_train_loss"], search.cv_results_["mean_test_loss"])
    assert not any("train" in name for name in search.frontier_)


class Spoiling:
    """A scorer that writes into what it is given."""

    def __call__(self, estimator, X, y):
        p = estimator.predict_proba(X)
        loss = log_loss(y, p)
        p[:] = 0.5
        return {"loss": -loss, "again": -log_loss(y, estimator.predict_proba(X))}


def test_scorers_cannot_spoil_each_others_predictions():
    search = fit_both(net(sensitive_columns=group_of), GRID, scoring=Spoiling(), refit="loss", fit={})
    assert np.array_equal(search.cv_results_["mean_test_loss"], search.cv_results_["mean_test_again"])


def test_each_candidate_predicts_its_rows_once(routing, monkeypatch):
    calls = []
    outputs = RegularizedClassifier.outputs
    monkeypatch.setattr(RegularizedClassifier, "outputs", lambda self, X: calls.append(len(X)) or outputs(self, X))
    X, y, s = rows()
    scoring = {**SCORING, "f1": "f1", "eo": get_scorer("equalized_odds_difference"), "auc": "roc_auc"}
    FrontierSearchCV(net(), GRID, cv=3, scoring=scoring, refit=False).fit(X, y, sensitive_features=s)
    assert calls == [40] * (9 * 3)  # predict, predict_proba, decision_function; not once per score


# ---------------------------------------------------------------------- candidates that fail
def warned(fit):
    """What fit returns, and the kinds of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = fit()
    return value, Counter(warning.category.__name__ for warning in caught), [str(w.message) for w in caught]


def fit_with_failures(estimator, grid, data=None, more=0, **parameters):
    """Fit both; the same candidates fail with the same warnings. Returns the FrontierSearchCV and its warnings."""
    X, y, s = data or rows()
    ours, theirs = searches(estimator, grid, **parameters)
    ours, kinds, texts = warned(lambda: ours.fit(X, y, sensitive_features=s))
    theirs, expected, _ = warned(lambda: theirs.fit(X, y, sensitive_features=s))
    assert kinds == expected + Counter(UserWarning=more)
    assert kinds["FitFailedWarning"] == 1
    assert_same_search(ours, theirs)
    return ours, texts


@pytest.mark.parametrize("error_score", [np.nan, -1.0])
@pytest.mark.parametrize("bad", [-1.0, float("inf")], ids=["not-valid", "diverges"])
@pytest.mark.parametrize("place", [0, 1], ids=["first", "second"])
def test_a_candidate_that_fails_stops_no_other(bad, error_score, place, routing):
    values = [0.0, 0.5]
    values.insert(place, bad)
    search, texts = fit_with_failures(net(), {"strength": values}, error_score=error_score)
    losses = search.cv_results_["mean_test_loss"]
    assert np.array_equal(losses[place], error_score, equal_nan=True)
    assert np.isfinite(np.delete(losses, place)).all()
    failure = next(text for text in texts if "fits failed" in text)
    assert "2 fits failed out of a total of 6" in failure
    assert ("FloatingPointError" if bad > 0 else "strength must be a number >= 0, got -1.0") in failure
    assert search.best_index_ != place


def test_a_candidate_that_fails_and_train_scores(routing):
    fit_with_failures(net(), {"strength": [-1.0, 0.5]}, return_train_score=True)


def test_failures_in_a_pipeline_and_with_several_shapes(routing):
    pipeline = Pipeline([("scale", StandardScaler()), ("net", net())])
    grid = {"net__strength": [0.0, -1.0], "net__module__hidden": [(8, 6), (4,)], "scale__with_std": [True, False]}
    fit_with_failures(pipeline, grid)


class Picky(MLP):
    """Its forward pass fails for some widths."""

    def forward(self, x):
        if self.representation_features == 5:
            raise RuntimeError("five is right out")
        return super().forward(x)


def test_a_network_that_cannot_run_fails_its_candidates_alone(routing):
    grid = {"module__hidden": [(4,), (5,)], "strength": [0.0, 5.0]}
    search, texts = fit_with_failures(net(module=Picky), grid, more=1)
    assert any("could not be trained in a stack" in text for text in texts)
    assert np.isnan(search.cv_results_["mean_test_loss"]).tolist() == [False, False, True, True]
    assert any("five is right out" in text for text in texts)


@pytest.mark.parametrize("bad", [-1.0, float("inf")], ids=["not-valid", "diverges"])
def test_error_score_raise_raises_the_error(bad, routing):
    X, y, s = rows()
    messages = []
    for search in searches(net(), {"strength": [0.0, bad]}, error_score="raise"):
        with pytest.raises((ValueError, FloatingPointError)) as info:
            search.fit(X, y, sensitive_features=s)
        messages.append((info.type, str(info.value)))
    assert messages[0] == messages[1]


def test_all_fail(routing):
    X, y, s = rows()
    for search in searches(net(), {"strength": [-1.0, -2.0]}):
        with pytest.raises(ValueError, match="All the 4 fits failed"):
            search.fit(X, y, sensitive_features=s)


def test_a_scorer_that_fails(routing):
    def touchy(estimator, X, y):
        if estimator.strength == 5.0:
            raise RuntimeError("not this one")
        return brier(estimator, X, y)

    X, y, s = rows()
    scoring = {"loss": "neg_log_loss", "touchy": touchy}
    ours, theirs = searches(net(), GRID, scoring=scoring, ours={"models": "all"})
    ours, kinds, _ = warned(lambda: ours.fit(X, y, sensitive_features=s))
    theirs, expected, _ = warned(lambda: theirs.fit(X, y, sensitive_features=s))
    assert kinds == expected
    assert_same_search(ours, theirs)
    assert set(ours.models_) == {0, 1}  # no model where a score is missing
    with pytest.raises(RuntimeError, match="not this one"):
        searches(net(), GRID, scoring=scoring, error_score="raise")[0].fit(X, y, sensitive_features=s)


class Itemed(torch.nn.Module):
    """Cannot be vectorised."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = torch.nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.layer(x) * (1.0 if x.sum().item() > 0 else 0.9)


@pytest.mark.parametrize("piped", [False, True], ids=["net", "pipeline"])
def test_nets_that_fail_in_a_stack_are_trained_one_by_one(piped, routing):
    X, y, s = rows()
    estimator, grid = small(RegularizedClassifier, module=Itemed), GRID
    if piped:
        estimator, grid = Pipeline([("scale", StandardScaler()), ("net", estimator)]), {"net__strength": [0.0, 5.0]}
    ours, theirs = searches(estimator, grid, ours={"models": "all"})
    ours, kinds, texts = warned(lambda: ours.fit(X, y, sensitive_features=s))
    assert kinds == {"UserWarning": 2}  # in the search, and for models_
    assert (
        f"could not be trained in a stack, so its {2 * len(ours.frontier_)} models are trained one by one" in texts[0]
    )
    assert "item()" in texts[0]
    assert_same_search(ours, theirs.fit(X, y, sensitive_features=s))
    for key, model in ours.models_.items():
        single = clone(estimator).set_params(**ours.cv_results_["params"][key]).fit(X, y, sensitive_features=s)
        assert same_weights(final(model), final(single))


# ---------------------------------------------------------------------- seeds
@pytest.mark.parametrize(("seeds", "values"), [(np.int64(2), [0, 1]), ([3, 5], [3, 5]), (np.array([7]), [7])])
def test_seeds_are_columns(seeds, values, routing):
    X, y, s = rows()
    search = FrontierSearchCV(net(), GRID, cv=3, scoring="neg_log_loss", seeds=seeds).fit(X, y, sensitive_features=s)
    assert search.n_splits_ == 3 * len(values)
    for place, seed in enumerate(values):
        single = GridSearchCV(net(random_state=seed), GRID, cv=3, scoring="neg_log_loss").fit(
            X, y, sensitive_features=s
        )
        for k in range(3):
            found = search.cv_results_[f"split{3 * place + k}_test_score"]
            assert np.allclose(found, single.cv_results_[f"split{k}_test_score"], atol=1e-6)
    assert f"split{3 * len(values)}_test_score" not in search.cv_results_
    columns = np.array([search.cv_results_[f"split{k}_test_score"] for k in range(3 * len(values))])
    assert np.allclose(search.cv_results_["mean_test_score"], columns.mean(0))
    assert search.best_estimator_.random_state == 0  # the estimator's own


def test_seeds_of_a_pipeline_and_of_scikit_learn(routing):
    X, y, s = rows()
    pipeline = Pipeline([("scale", StandardScaler()), ("net", net())])
    search = FrontierSearchCV(pipeline, {"net__strength": [0.0]}, cv=2, seeds=2).fit(X, y, sensitive_features=s)
    assert search.cv_results_["split0_test_score"] != search.cv_results_["split2_test_score"]
    logistic = FrontierSearchCV(LogisticRegression(), {"C": [0.1]}, cv=2, seeds=2).fit(X, y)
    assert logistic.n_splits_ == 4
    assert logistic.cv_results_["split0_test_score"] == logistic.cv_results_["split2_test_score"]
    with pytest.raises(ValueError, match="seeds=2 needs an estimator with a random_state, got KNeighbors"):
        FrontierSearchCV(KNeighborsClassifier(), {}, seeds=2).fit(X, y)


@pytest.mark.parametrize("seeds", [0, -1, 2.0, True, [], [1, 1], [-1], [0.5], "two", [True], [None]])
def test_bad_seeds(seeds):
    with pytest.raises(ValueError, match="seeds must be None, an int >= 1 or distinct ints >= 0"):
        FrontierSearchCV(net(), GRID, seeds=seeds).fit(*rows()[:2])


@pytest.mark.parametrize("models", [None, "some", 3, True])
def test_bad_models(models):
    with pytest.raises(ValueError, match=r"models must be one of \['front', 'all', 'best'\], got"):
        FrontierSearchCV(net(), GRID, models=models).fit(*rows()[:2])


@pytest.mark.parametrize("memory", [0, -1, "much", None, True, float("nan")])
def test_bad_memory(memory):
    with pytest.raises(ValueError, match="stack_memory must be a number of bytes > 0, got"):
        FrontierSearchCV(net(), GRID, stack_memory=memory).fit(*rows()[:2])


@pytest.mark.parametrize("given", [{"cv": "five"}, {"scoring": "nonsense"}, {"error_score": "ignore"}, {"verbose": -1}])
def test_what_grid_search_refuses_is_refused(given):
    with pytest.raises(ValueError):
        GridSearchCV(net(), GRID, **given).fit(*rows()[:2])
    with pytest.raises(ValueError):
        FrontierSearchCV(net(), GRID, **given).fit(*rows()[:2])


def generators():
    return pickle.dumps(np.random.get_state()), torch.get_rng_state().numpy().tobytes()  # noqa: NPY002


def test_without_a_seed_all_candidates_share_a_fresh_one(routing):
    """So that they differ by their parameters alone."""
    X, y, s = rows()
    before = generators()
    grid = [{"strength": [0.0]}, {"strength": [0.0], "penalty": ["squared"]}, {"strength": [5.0]}]
    search = FrontierSearchCV(net(random_state=None), grid, cv=2, scoring="neg_log_loss", models="all")
    first = search.fit(X, y, sensitive_features=s).cv_results_
    assert generators() == before
    for k in range(2):
        scores = first[f"split{k}_test_score"]
        assert scores[0] == pytest.approx(scores[1], abs=1e-6)  # strength 0 is ERM, whatever the penalty
        assert abs(scores[0] - scores[2]) > 1e-4
    again = clone(search).fit(X, y, sensitive_features=s).cv_results_
    assert abs(first["mean_test_score"][0] - again["mean_test_score"][0]) > 1e-5
    assert search.best_estimator_.random_state is None


def test_the_same_search_twice_is_the_same(routing):
    """To the last bit, with dropout."""
    X, y, s = rows()
    found = []
    for turn in range(3):
        keep = [torch.zeros(1000 * k) for k in range(turn * 5)]
        search = FrontierSearchCV(net(module__dropout=0.3), GRID, cv=4, scoring="neg_log_loss", models="all", seeds=2)
        found.append(search.fit(X, y, sensitive_features=s))
        del keep
    for other in found[1:]:
        assert np.array_equal(other.cv_results_["mean_test_score"], found[0].cv_results_["mean_test_score"])
        assert all(same_weights(other.models_[key], model) for key, model in found[0].models_.items())


# ---------------------------------------------------------------------- models_
@pytest.mark.parametrize(
    ("models", "refit", "piped"),
    [("front", "accuracy", False), ("all", "accuracy", False), ("best", "accuracy", False), ("front", False, True),
     ("all", False, True), ("best", False, False), ("front", "accuracy", True)],
)  # fmt: skip
def test_models(models, refit, piped, routing):
    X, y, s = rows(200)
    estimator, grid = net(max_epochs=6), {"strength": [0.0, 0.5, 2.0, 10.0]}
    if piped:
        estimator = Pipeline([("scale", StandardScaler()), ("net", estimator)])
        grid = {"net__strength": grid["strength"]}
    scoring = {name: SCORING[name] for name in ("accuracy", "gap")}
    search = FrontierSearchCV(estimator, grid, cv=2, scoring=scoring, refit=refit, models=models)
    search.fit(X, y, sensitive_features=s)
    scores = search.frontier_[["mean_accuracy", "mean_gap"]].to_numpy()
    front = [k for k, own in enumerate(scores) if not any((o >= own).all() and (o > own).any() for o in scores)]
    best = [search.best_index_] if refit else []
    expected = {"front": sorted({*front, *best}), "all": [0, 1, 2, 3], "best": best}[models]
    assert len(front) < 4
    assert list(search.models_) == expected
    for key, model in search.models_.items():
        single = clone(estimator).set_params(**search.cv_results_["params"][key]).fit(X, y, sensitive_features=s)
        assert type(key) is int
        assert np.abs(output(model, X) - output(single, X)).max() < 1e-6
        assert model.predict(X).shape == (200,)
        assert model.get_params().keys() == estimator.get_params().keys()
    if refit:
        assert search.models_[search.best_index_] is search.best_estimator_


def test_models_share_nothing(routing):
    X, y, s = rows()
    pipeline = Pipeline([("scale", StandardScaler()), ("net", net())])
    search = FrontierSearchCV(pipeline, {"net__strength": [0.0, 0.5, 5.0]}, cv=2, models="all", refit=False)
    models = search.fit(X, y, sensitive_features=s).models_
    before = output(models[1], X)
    models[0][-1].partial_fit(X, y, sensitive_features=s)
    assert np.array_equal(output(models[1], X), before)


def test_a_candidate_that_fails_on_all_rows_is_missing(routing):
    """It needs a class that only the whole has not: more than 100 rows."""
    X, y, s = rows()
    ours = FrontierSearchCV(Small(max_epochs=1, random_state=0), GRID, cv=3, models="all", refit=False)
    with pytest.warns(
        UserWarning, match=r"candidate {'strength': 5.0} could not be fitted on all rows: ValueError\('too"
    ):
        ours.fit(X, y, sensitive_features=s)
    assert list(ours.models_) == [0, 1]


class Small(RegularizedClassifier):
    def prepare(self, X, y, *, sensitive_features, sample_weight):
        if len(X) > 100 and self.strength == 5.0:
            raise ValueError("too many")
        return sample_weight

    stage_parameters = ("strength",)


# ---------------------------------------------------------------------- frontier_
def test_the_frontier_is_cv_results_in_short(routing):
    X, y, s = rows()
    cv = RepeatedStratifiedKFold(n_splits=4, n_repeats=2, random_state=0)
    search = FrontierSearchCV(net(), GRID, cv=cv, scoring=SCORING, refit="loss").fit(X, y, sensitive_features=s)
    assert search.frontier_.equals(frontier_frame(search.cv_results_, n_test_over_train=1 / 3))
    assert search.frontier_["param_strength"].tolist() == GRID["strength"]
    for name in SCORING:
        splits = np.array([search.cv_results_[f"split{k}_test_{name}"] for k in range(8)])
        assert np.allclose(search.frontier_[f"mean_{name}"], search.cv_results_[f"mean_test_{name}"])
        assert np.allclose(search.frontier_[f"sd_{name}"], splits.std(0, ddof=1))


@pytest.mark.parametrize("kind", ["positions", "masks"])
def test_splits_of_the_user(kind, routing):
    """Lists of positions or of truth values; the intervals count the rows of either."""
    X, y, s = rows()
    splits = [(train, test) for train, test in StratifiedKFold(4).split(X, y)]
    if kind == "masks":
        splits = [tuple(np.isin(np.arange(120), part) for part in split) for split in splits]
    search = fit_both(net(), GRID, cv=splits)
    assert np.allclose(
        search.frontier_["low_loss"], frontier_frame(search.cv_results_, n_test_over_train=1 / 3)["low_loss"]
    )
    fit_both(net(), GRID, cv=splits[:1], ours={"models": "all"})
    assert np.allclose(FrontierSearchCV(net(), GRID, cv=iter(splits)).fit(X, y, sensitive_features=s).n_splits_, 4)


# ---------------------------------------------------------------------- memory
def test_a_small_memory_cuts_stacks_and_changes_nothing(routing, stacks):
    X, y, s = rows()
    found = {}
    for memory in (2**31, 40_000, 1):
        search, _ = searches(net(), GRID, ours={"stack_memory": memory, "models": "all"})
        stacks.clear()
        found[memory] = search.fit(X, y, sensitive_features=s)
        sizes = list(stacks)
        if memory == 2**31:
            assert sizes == [6, 2]
        elif memory == 1:
            assert sizes == [1] * 8
        else:
            assert len(sizes) > 2
            assert sum(sizes) == 8
            assert 1 < max(sizes) < 6
    for memory in (40_000, 1):
        assert_same_results(found[memory].cv_results_, found[2**31].cv_results_)
        for key, model in found[memory].models_.items():
            assert np.abs(output(model, X) - output(found[2**31].models_[key], X)).max() < 1e-6


def test_a_first_candidate_that_fails_does_not_hide_the_memory(routing, stacks):
    X, y, s = rows()
    search, _ = searches(net(), {"strength": [-1.0, 0.5, 5.0]}, ours={"stack_memory": 1, "models": "best"})
    warned(lambda: search.fit(X, y, sensitive_features=s))
    assert stacks == [1] * 4


# ---------------------------------------------------------------------- earlier stages
class Taught(BaseClassifier):
    needs_sensitive = False
    stacks_over = ("strength", "hardness")
    stage_parameters = ("hardness",)
    calls = []

    def __init__(self, *, strength=1.0, hardness=1.0, **kwargs):
        super().__init__(**kwargs)
        self.strength = strength
        self.hardness = hardness

    def prepare(self, X, y, *, sensitive_features, sample_weight):
        Taught.calls.append((self.random_state, self.hardness, len(X)))
        self.teacher_ = self.stage(ERMClassifier).fit(X, y)
        p = self.teacher_.predict_proba(X)
        return 0.1 + self.hardness * (1 - p[np.arange(len(X)), np.searchsorted(self.classes_, y)])

    def objective(self, output, batch):
        with torch.no_grad():
            taught = torch.softmax(self.teacher_.module_(batch.x), -1)
        distance = (torch.softmax(output, -1) - taught).square().sum(-1)
        return super().objective(output, batch) + self.strength * (batch.weight * distance).mean()


@pytest.mark.parametrize("memory", [2**31, 1])
def test_earlier_stages_are_trained_once_per_seed_and_fold(memory):
    X, y, _ = rows()
    grid = {"strength": [0.0, 3.0], "hardness": [1.0, 9.0]}
    Taught.calls.clear()
    parameters = dict(cv=2, scoring="neg_log_loss", refit=False)
    search = FrontierSearchCV(net(Taught), grid, seeds=[0, 4], models="best", stack_memory=memory, **parameters).fit(
        X, y
    )
    expected = {(seed, hardness, 60): 2 for seed in (0, 4) for hardness in (1.0, 9.0)}
    assert Counter(Taught.calls) == expected
    for place, seed in enumerate((0, 4)):
        single = GridSearchCV(net(Taught, random_state=seed), grid, **parameters).fit(X, y)
        for k in range(2):
            found = search.cv_results_[f"split{2 * place + k}_test_score"]
            assert np.allclose(found, single.cv_results_[f"split{k}_test_score"], atol=1e-5)


# ---------------------------------------------------------------------- an interrupt
class Interrupted(RegularizedClassifier):
    """Its training is interrupted once, in the second epoch of a search."""

    armed = None  # the rate at which to interrupt

    def objective(self, output, batch):
        if self.module_.training and len(self.history) == 2 and Interrupted.armed == self.lr:
            Interrupted.armed = None
            raise KeyboardInterrupt
        return super().objective(output, batch)


MANY = {"lr": [0.02, 0.01, 0.005], "strength": [0.0, 5.0]}


def interrupted(search, *data, **fit):
    search, kinds, texts = warned(lambda: search.fit(*data, **fit))
    assert kinds["FitFailedWarning"] == 1
    assert any("interrupted before it was trained" in text for text in texts)
    return search


def test_an_interrupt_keeps_what_is_trained(routing):
    X, y, s = rows()
    Interrupted.armed = 0.01
    estimator = net(Interrupted, max_epochs=4)
    search = FrontierSearchCV(estimator, MANY, cv=3, scoring=SCORING, refit="loss", models="all")
    interrupted(search, X, y, sensitive_features=s)
    assert Interrupted.armed is None
    losses = search.cv_results_["mean_test_loss"]
    assert np.isnan(losses).tolist() == [False] * 4 + [True] * 2
    whole = GridSearchCV(net(max_epochs=4), MANY, cv=3, scoring=SCORING, refit="loss").fit(X, y, sensitive_features=s)
    assert np.allclose(losses[:2], whole.cv_results_["mean_test_loss"][:2], atol=1e-6)  # trained before
    one = GridSearchCV(net(max_epochs=1), MANY, cv=3, scoring=SCORING, refit="loss").fit(X, y, sensitive_features=s)
    assert np.allclose(losses[2:4], one.cv_results_["mean_test_loss"][2:4], atol=1e-6)  # after the first of four epochs
    assert list(search.models_) == [search.best_index_]
    assert search.best_index_ == np.nanargmax(losses)
    assert len(search.best_estimator_.history) == 4
    assert len(search.frontier_) == 6


def test_an_interrupt_of_the_first_stack_of_several_cut_by_memory(routing):
    X, y, s = rows()
    Interrupted.armed = 0.02
    search = FrontierSearchCV(net(Interrupted), MANY, cv=3, scoring=SCORING, refit="loss", stack_memory=1)
    interrupted(search, X, y, sensitive_features=s)
    splits = np.array([search.cv_results_[f"split{k}_test_loss"] for k in range(3)])
    assert np.isfinite(splits).sum() == 1  # of stacks of one, the first


def test_an_interrupt_before_anything_is_trained(routing):
    X, y, s = rows()

    def score(estimator, X, y):
        raise KeyboardInterrupt

    search = FrontierSearchCV(net(), GRID, cv=2, scoring=score)
    with pytest.raises(ValueError, match="All the 6 fits failed"):
        search.fit(X, y, sensitive_features=s)


class SlowLogistic(LogisticRegression):
    def fit(self, X, y):
        if self.C == 1.0:
            raise KeyboardInterrupt
        return super().fit(X, y)


def test_an_interrupt_of_estimators_that_do_not_stack():
    X, y, _ = rows()
    search = interrupted(FrontierSearchCV(SlowLogistic(), {"C": [0.1, 1.0, 10.0]}, cv=2, models="all"), X, y)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True, True]
    assert list(search.models_) == [0]


@pytest.mark.parametrize("scoring", ["neg_log_loss", SCORING, several], ids=["one", "several", "function"])
def test_an_interrupt_with_error_score_raise(scoring, routing):
    """What was not begun is not an error."""
    X, y, s = rows()
    Interrupted.armed = 0.01
    refit = True if scoring == "neg_log_loss" else "loss"
    search = FrontierSearchCV(net(Interrupted), MANY, cv=2, scoring=scoring, refit=refit, error_score="raise")
    interrupted(search, X, y, sensitive_features=s)
    name = "score" if refit is True else "loss"
    assert np.isnan(search.cv_results_[f"mean_test_{name}"]).tolist() == [False] * 4 + [True] * 2


def test_an_interrupt_of_nets_that_do_not_stack(routing):
    """skorch takes an interrupt for the end of one training; the search must still hear of it."""
    X, y, s = rows()
    Interrupted.armed = 0.01
    search = FrontierSearchCV(net(Interrupted, callbacks=[Listener()]), MANY, cv=2, scoring=SCORING, refit="loss")
    interrupted(search, X, y, sensitive_features=s)
    assert np.isnan(search.cv_results_["mean_test_loss"][4:]).all()
    assert list(search.models_) == [search.best_index_]


# ---------------------------------------------------------------------- the bar
def test_the_bar(routing, capsys):
    X, y, s = rows()
    parameters = dict(cv=3, scoring=SCORING, refit="loss", models="all")
    estimator = net(module__dropout=0.3, max_epochs=4)
    quiet = FrontierSearchCV(estimator, GRID, **parameters).fit(X, y, sensitive_features=s)
    assert capsys.readouterr() == ("", "")
    loud = FrontierSearchCV(estimator, GRID, verbose=1, **parameters).fit(X, y, sensitive_features=s)
    out, err = capsys.readouterr()
    assert out == ""
    assert "FrontierSearchCV: 100%" in err
    assert "9/9 models" in err
    best = loud.cv_results_["mean_test_loss"][loud.best_index_]
    assert f"loss {best:.4g}" in err.split("best:")[-1]
    assert np.array_equal(loud.cv_results_["mean_test_loss"], quiet.cv_results_["mean_test_loss"])  # it only looks
    assert all(same_weights(loud.models_[key], model) for key, model in quiet.models_.items())


@pytest.mark.parametrize("refit", [True, False, smallest_gap, best_within(gap=0.0001)])
def test_the_bar_with_any_rule(refit, routing, capsys):
    X, y, s = rows()
    scoring = SCORING if callable(refit) else "neg_log_loss"
    search = FrontierSearchCV(net(), {"strength": [0.0, -1.0]}, cv=2, scoring=scoring, refit=refit, verbose=2)
    warned(lambda: search.fit(X, y, sensitive_features=s))
    assert "best: " in capsys.readouterr().err
    assert list(search.models_) == [0]


def test_the_bar_of_estimators_that_do_not_stack(capsys):
    FrontierSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2, verbose=1).fit(*rows()[:2])
    err = capsys.readouterr().err
    assert "4/4 models" in err
    assert "best: score 0." in err


def test_the_bar_and_a_scorer_that_fails(routing, capsys):
    """Scoring nets in training must not end the stack."""

    def touchy(estimator, X, y):
        raise RuntimeError("never")

    X, y, s = rows()
    search = FrontierSearchCV(net(), GRID, cv=2, scoring=touchy, verbose=1, error_score="raise")
    with pytest.raises(RuntimeError, match="never"):
        search.fit(X, y, sensitive_features=s)


# ---------------------------------------------------------------------- as an estimator
def test_it_is_an_estimator_of_scikit_learn(routing):
    X, y, s = rows()
    search = FrontierSearchCV(
        net(), GRID, cv=2, seeds=[1, 2], models="all", stack_memory=1e9, scoring=SCORING, refit="loss"
    )
    assert re.match(r"FrontierSearchCV\(cv=2,\s+estimator=RegularizedClassifier\(batch_size=32", repr(search))
    twin = clone(search)
    assert twin.get_params(deep=False).keys() == search.get_params(deep=False).keys()
    assert (twin.seeds, twin.models, twin.stack_memory) == ([1, 2], "all", 1e9)
    assert search.get_params()["estimator__lr"] == 0.02
    search.set_params(estimator__max_epochs=1, seeds=None)
    assert search.estimator.max_epochs == 1
    with pytest.raises(NotFittedError):
        search.predict(X)
    search.fit(X, y, sensitive_features=s)
    loaded = pickle.loads(pickle.dumps(search))
    assert loaded.frontier_.equals(search.frontier_)
    assert np.array_equal(loaded.predict_proba(X), search.predict_proba(X))
    assert all(np.array_equal(output(loaded.models_[k], X), output(search.models_[k], X)) for k in (0, 1, 2))
    assert not hasattr(clone(search), "cv_results_")


def test_it_predicts_with_the_best(routing):
    X, y, s = rows()
    pipeline = Pipeline([("scale", StandardScaler()), ("net", net())])
    search = FrontierSearchCV(pipeline, {"net__strength": [0.0, 5.0]}, cv=2, scoring=SCORING, refit="gap")
    search.fit(X, y, sensitive_features=s)
    best = search.best_estimator_
    for method in ("predict", "predict_proba", "decision_function"):
        assert np.array_equal(getattr(search, method)(X), getattr(best, method)(X))
    assert search.score(X, y, sensitive_features=s) == SCORING["gap"](best, X, y, sensitive_features=s)
    assert search.classes_.tolist() == [0, 1]
    assert search.n_features_in_ == 4
    assert search.transform if hasattr(best, "transform") else not hasattr(search, "transform")


def test_fitting_again_starts_anew(routing):
    X, y, s = rows()
    search = FrontierSearchCV(net(), GRID, cv=2, models="all").fit(X, y, sensitive_features=s)
    first = search.models_
    search.set_params(param_grid={"strength": [1.0]}, refit=True).fit(X, y, sensitive_features=s)
    assert list(search.models_) == [0]
    assert len(search.frontier_) == 1
    assert len(first) == 3


def test_a_search_within_a_search():
    """Cross-validation of the search: nested, without routing."""
    from sklearn.model_selection import cross_val_score

    X, y, _ = rows()
    estimator = net(sensitive_columns=group_of)
    scores = [cross_val_score(search, X, y, cv=2) for search in searches(estimator, GRID, scoring=None, refit=True)]
    assert np.array_equal(*scores)


def test_a_support_vector_machine_with_a_precomputed_kernel():
    """Splits cut both sides of a square X, as in scikit-learn."""
    X, y, _ = rows()
    fit_both(SVC(kernel="precomputed"), {"C": [0.1, 1.0]}, data=(X @ X.T, y, None), scoring=None, refit=True, fit={})


# scikit-learn itself casts infinite labels, for GridSearchCV as well
casts = pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")


@casts
@parametrize_with_checks([FrontierSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2, error_score="raise")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


NETS = FrontierSearchCV(quick(ERMClassifier, max_epochs=15), {"lr": [0.02, 0.01]}, cv=2, error_score="raise")


@pytest.mark.slow
@casts
@parametrize_with_checks([NETS])
def test_scikit_learn_checks_with_nets(estimator, check):
    check(estimator)


@pytest.mark.parametrize("refit", ["accuracy", "gap", best_within(gap=1), best_within(objective="gap", accuracy=1)])
def test_score_is_what_refit_names(refit):
    """Groups are given to the search's ``score``, and go on where the score in question asks for them."""
    X, y, s = rows()
    search = FrontierSearchCV(net(), {"strength": [0.0]}, scoring=SCORING, refit=refit, cv=2, models="best")
    name = getattr(refit, "objective", refit)
    with warnings.catch_warnings(), config_context(enable_metadata_routing=True):
        warnings.simplefilter("ignore", UserWarning)  # an accuracy is no negated gap
        search.fit(X, y, sensitive_features=s)
        asked = {"sensitive_features": s} if name == "gap" else {}
        expected = SCORING["gap"](search, X, y, **asked) if asked else search.best_estimator_.score(X, y)
        assert search.score(X, y, sensitive_features=s) == search.score(X, y, **asked) == expected
        with pytest.raises(TypeError, match="colour"):
            search.score(X, y, colour=s)
    assert search.refit is refit


def test_score_without_a_name():
    X, y, _ = rows()
    search = FrontierSearchCV(
        LogisticRegression(), {"C": [1.0]}, cv=2, scoring=["accuracy", "f1"], refit=lambda found: 0
    )
    with pytest.raises(ValueError, match=r"names none of the scores \['accuracy', 'f1'\].*scorer_"):
        search.fit(X, y).score(X, y)
    with pytest.raises(AttributeError, match="refit=False"):
        search.set_params(refit=False).fit(X, y).score(X, y)
    with pytest.raises(NotFittedError):
        clone(search).set_params(refit=best_within(gap=1)).score(X, y)


GAP = "demographic_parity_difference"


@pytest.mark.parametrize("scoring", [["accuracy", GAP], {"accuracy": "accuracy", GAP: GAP}], ids=["list", "dict"])
def test_fairness_metrics_by_name(scoring, routing):
    X, y, s = rows()
    named = FrontierSearchCV(net(), {"strength": [0.0, 5.0]}, scoring=scoring, refit="accuracy", cv=2, models="best")
    given = clone(named).set_params(scoring={"accuracy": "accuracy", GAP: get_scorer(GAP)})
    for search in (named, given):
        search.fit(X, y, sensitive_features=s)
    assert_same_results(named.cv_results_, given.cv_results_, atol=0)
    assert named.scoring is scoring


def test_one_fairness_metric_by_name(routing):
    X, y, s = rows()
    search = FrontierSearchCV(net(), {"strength": [0.0, 5.0]}, scoring=GAP, cv=2).fit(X, y, sensitive_features=s)
    assert search.score(X, y, sensitive_features=s) == get_scorer(GAP)(search, X, y, sensitive_features=s)
    with pytest.raises(ValueError, match="no_such_score"):
        clone(search).set_params(scoring="no_such_score").fit(X, y, sensitive_features=s)


def test_groups_in_another_order_are_noticed_before_the_folds(routing):
    X, y, s = (pd.DataFrame(part) for part in rows())
    search = FrontierSearchCV(net(), {"strength": [0.0]}, scoring=GAP, cv=2, refit=False)
    with pytest.warns(UserWarning, match="row labels of X in another order"):
        search.fit(X, y[0], sensitive_features=s[0].sample(frac=1, random_state=0))
