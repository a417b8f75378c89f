"""ThresholdSearchCV: one threshold for all rows, chosen as a search chooses."""

import pickle
import time

import numpy as np
import pandas as pd
import pytest
from common import QUICK, rows, same_weights, small
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    GroupKFold,
    ShuffleSplit,
    StratifiedKFold,
    check_cv,
    cross_validate,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skfair.inspection import ParetoFrontDisplay
from skfair.metrics import get_scorer
from skfair.model_selection import FrontierSearchCV, ThresholdSearchCV, best_within, pareto_front, trivial_controls
from skfair.preprocessing import make_tabular_preprocessor
from skfair.regularization import RegularizedClassifier
from skfair.robust import ERMClassifier

CV = StratifiedKFold(3, shuffle=True, random_state=0)
SCORING = {"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference")}
BOTH = {"scoring": SCORING, "refit": best_within(gap=0.2), "cv": CV}
ONE = {"scoring": "accuracy", "refit": True, "cv": CV}


class Spy(ClassifierMixin, BaseEstimator):
    """The first column is the probability. Counts what is asked of it."""

    fits, asked = [], []
    __metadata_request__fit = {"sensitive_features": True}

    def fit(self, X, y, sensitive_features=None, sample_weight=None):
        self.fits.append((X, sensitive_features, sample_weight))
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        self.asked.append(X)
        p = np.asarray(X)[:, 0]
        return np.column_stack([1 - p, p])

    def decision_function(self, X):
        return np.asarray(X)[:, 0] - 0.5

    def predict(self, X):
        raise AssertionError("the threshold predicts")


@pytest.fixture(autouse=True)
def _nothing_seen():
    Spy.fits.clear()
    Spy.asked.clear()


@pytest.fixture(scope="module")
def data():
    return rows(150)


def first_column(X):
    return np.asarray(X)[:, 0] > 0


def second_column(X):
    return np.asarray(X)[:, 1] > 0


def without_routing(**parameters):
    gap = get_scorer("demographic_parity_difference", sensitive_columns=second_column)
    return {**BOTH, "scoring": {"accuracy": "accuracy", "gap": gap}, **parameters}


# ---------------------------------------------------------------------- what it computes
P = np.array([0.1, 0.6, 0.9, 0.3, 0.7, 0.4, 0.2, 0.8])
Y = np.array([0, 1, 1, 0, 0, 1, 0, 1])
S = np.array(list("aabbabab"))
HALVES = [(np.arange(4, 8), np.arange(4)), (np.arange(4), np.arange(4, 8))]


def test_the_time_of_a_training_is_shared_among_the_thresholds_it_serves():
    class Slow(Spy):
        def fit(self, X, y):
            time.sleep(0.02)
            return super().fit(X, y)

    start = time.perf_counter()
    search = ThresholdSearchCV(Slow(), scoring="accuracy", refit=True, cv=HALVES).fit(P[:, None], Y)
    spent = 2 * search.cv_results_["mean_fit_time"].sum()  # of two splits
    assert 0.04 <= spent <= time.perf_counter() - start


def test_by_hand_on_eight_rows(routing):
    """Rows 0-3 are (0.1, 0, a), (0.6, 1, a), (0.9, 1, b), (0.3, 0, b)."""
    search = ThresholdSearchCV(
        Spy(), scoring=SCORING, refit=best_within(gap=0.25), thresholds=(0.25, 0.5, 0.75), cv=HALVES
    ).fit(P[:, None], Y, sensitive_features=S)
    found = search.cv_results_
    # from 0.25 on: 0 1 1 1 (one wrong; a 1/2, b 1) and, in the other half, 1 1 0 1 (a 1/2, b 1: one wrong)
    # from 0.50 on: 0 1 1 0 (a 1/2, b 1/2) and 1 0 0 1 (two wrong; a 1/2, b 1/2)
    # from 0.75 on: 0 0 1 0 (one wrong; a 0, b 1/2) and 0 0 0 1 (one wrong; a 0, b 1/2)
    np.testing.assert_allclose(found["split0_test_accuracy"], [0.75, 1, 0.75])
    np.testing.assert_allclose(found["split1_test_accuracy"], [0.75, 0.5, 0.75])
    np.testing.assert_allclose(found["split0_test_gap"], [-0.5, 0, -0.5])
    np.testing.assert_allclose(found["split1_test_gap"], [-0.5, 0, -0.5])
    np.testing.assert_allclose(found["mean_test_gap"], [-0.5, 0, -0.5])
    np.testing.assert_allclose(found["std_test_accuracy"], [0, 0.25, 0])
    assert found["rank_test_gap"].tolist() == [2, 1, 2]
    assert found["rank_test_accuracy"].tolist() == [1, 1, 1]
    assert found["params"] == [{"threshold": 0.25}, {"threshold": 0.5}, {"threshold": 0.75}]
    assert found["param_threshold"].tolist() == [0.25, 0.5, 0.75]
    assert (search.best_index_, search.best_threshold_, search.best_params_) == (1, 0.5, {"threshold": 0.5})
    assert not hasattr(search, "best_score_")
    assert search.predict(P[:, None]).tolist() == [0, 1, 1, 0, 1, 0, 0, 1]


@pytest.mark.parametrize("estimator", [LogisticRegression(), small(ERMClassifier)], ids=["linear", "net"])
@pytest.mark.parametrize("cv", [None, 4, ShuffleSplit(2, test_size=0.3, random_state=1)], ids=str)
def test_each_threshold_is_scored_as_in_a_loop(routing, data, estimator, cv):
    X, y, s = data
    y = np.array(["no", "yes"])[y]
    scoring = {"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference", pos_label="yes")}
    search = ThresholdSearchCV(estimator, scoring=scoring, refit="accuracy", cv=cv).fit(X, y, sensitive_features=s)
    thresholds = np.arange(1, 20) / 20
    assert search.cv_results_["param_threshold"].tolist() == thresholds.tolist()
    rates = []
    for k, (train, test) in enumerate(check_cv(cv, y, classifier=True).split(X, y)):
        model = clone(estimator).fit(X[train], y[train])
        said = model.predict_proba(X[test])[:, 1, None] >= thresholds
        accuracy = (said == (y[test] == "yes")[:, None]).mean(0)
        gap = abs(said[s[test] == "f"].mean(0) - said[s[test] == "m"].mean(0))
        np.testing.assert_allclose(search.cv_results_[f"split{k}_test_accuracy"], accuracy)
        np.testing.assert_allclose(search.cv_results_[f"split{k}_test_gap"], -gap, atol=1e-12)
        rates.append(said.mean(0))
    assert search.n_splits_ == len(rates)
    assert search.best_score_ == search.cv_results_["mean_test_accuracy"].max()
    assert (np.diff(np.mean(rates, 0)) <= 0).all()


def test_a_higher_threshold_selects_fewer(data):
    X, y, _ = data
    share = make_scorer(lambda y, predicted: predicted.mean())
    search = ThresholdSearchCV(LogisticRegression(), **{**ONE, "scoring": share}).fit(X, y)
    assert (np.diff(search.cv_results_["mean_test_score"]) <= 0).all()
    assert search.best_threshold_ == 0.05
    assert search.best_score_ == search.cv_results_["mean_test_score"][0]


def test_the_rule_chooses(routing, data):
    X, y, s = data
    net = small(ERMClassifier, max_epochs=8)
    free = ThresholdSearchCV(net, **{**BOTH, "refit": "accuracy"}).fit(X, y, sensitive_features=s)
    assert free.best_score_ == free.frontier_["mean_accuracy"].max()
    bound = -free.frontier_["mean_gap"][free.best_index_] - 1e-6  # the most accurate one is just beyond it
    search = ThresholdSearchCV(net, **{**BOTH, "refit": best_within(gap=bound)}).fit(X, y, sensitive_features=s)
    pd.testing.assert_frame_equal(search.frontier_, free.frontier_)
    within = search.frontier_[-search.frontier_["mean_gap"] <= bound]
    assert search.best_index_ == within["mean_accuracy"].idxmax() != free.best_index_
    assert search.best_threshold_ == within["param_threshold"][search.best_index_]


@pytest.mark.parametrize("estimator", [LogisticRegression(), small(ERMClassifier)], ids=["linear", "net"])
def test_predict_is_that_of_a_fixed_threshold(data, estimator):
    X, y, _ = data
    y = np.array(["no", "yes"])[y]
    search = ThresholdSearchCV(estimator, **ONE).set_params(thresholds=[0.3, 0.8]).fit(X, y)
    assert search.best_threshold_ in (0.3, 0.8)
    fixed = FixedThresholdClassifier(
        estimator, threshold=search.best_threshold_, pos_label="yes", response_method="predict_proba"
    ).fit(X, y)
    np.testing.assert_array_equal(search.predict(X), fixed.predict(X))
    np.testing.assert_array_equal(search.predict_proba(X), fixed.predict_proba(X))
    assert (search.predict(X) != search.estimator_.predict(X)).any()
    assert search.score(X, y) == fixed.score(X, y) == accuracy_score(y, search.predict(X))
    assert search.classes_.tolist() == ["no", "yes"]
    if hasattr(estimator, "decision_function"):
        np.testing.assert_array_equal(search.decision_function(X), fixed.decision_function(X))


def test_a_probability_equal_to_the_threshold_is_positive():
    search = ThresholdSearchCV(Spy(), scoring="accuracy", refit=True, thresholds=[0.5], cv=HALVES).fit(P[:, None], Y)
    assert search.predict([[0.5], [0.5 - 1e-9]]).tolist() == [1, 0]


def test_it_agrees_with_the_raised_thresholds_of_the_controls(routing, data):
    X, y, s = data
    thresholds = (0.5, 0.6, 0.9)
    controls = trivial_controls(
        LogisticRegression(), X, y, scoring=SCORING, cv=CV, thresholds=thresholds, sensitive_features=s
    )
    search = ThresholdSearchCV(LogisticRegression(), **BOTH, thresholds=thresholds).fit(X, y, sensitive_features=s)
    pd.testing.assert_frame_equal(search.frontier_, controls["raised threshold"])


# ---------------------------------------------------------------------- what it costs
def test_one_fit_and_one_prediction_per_split(routing, data):
    X, y, s = data
    X = 1 / (1 + np.exp(-X))
    scoring = {**SCORING, "auc": "roc_auc", "brier": "neg_brier_score", "balanced": "balanced_accuracy"}
    search = ThresholdSearchCV(Spy(), **{**BOTH, "scoring": scoring, "refit": "gap"}).fit(X, y, sensitive_features=s)
    splits = list(CV.split(X, y))
    assert len(Spy.fits) == 4
    assert len(Spy.asked) == 3
    for (train, test), fit, asked in zip(splits, Spy.fits, Spy.asked):
        np.testing.assert_array_equal(fit[0], X[train])
        np.testing.assert_array_equal(fit[1], s[train])
        np.testing.assert_array_equal(asked, X[test])
    np.testing.assert_array_equal(Spy.fits[3][0], X)
    assert len(set(search.cv_results_["mean_test_auc"])) == 1


def test_the_times_of_a_split_are_shared_by_the_thresholds(data):
    X, y, _ = data
    found = ThresholdSearchCV(LogisticRegression(), **ONE).fit(X, y).cv_results_
    for name in ("mean_fit_time", "mean_score_time"):
        assert found[name].shape == (19,)
        assert len(set(found[name])) == 1
        assert found[name][0] > 0


def test_a_frozen_model_is_not_trained_again(data):
    X, y, _ = data
    model = small(ERMClassifier).fit(X[:75], y[:75])
    search = ThresholdSearchCV(FrozenEstimator(model), **ONE).fit(X[75:], y[75:])
    assert search.estimator_.estimator is model
    p = model.predict_proba(X[75:])[:, 1]
    accuracy = [
        np.mean([((p >= t) == y[75:])[test].mean() for _, test in CV.split(X[75:], y[75:])])
        for t in search.cv_results_["param_threshold"]
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], accuracy)


def test_it_draws_nothing_and_repeats(data):
    X, y, _ = data
    net = small(ERMClassifier)
    np.random.seed(0)  # noqa: NPY002
    first, second = (ThresholdSearchCV(net, **ONE).fit(X, y) for _ in range(2))
    assert np.random.random() == np.random.RandomState(0).random()  # noqa: NPY002
    assert same_weights(first.estimator_, second.estimator_)
    assert same_weights(first.estimator_, clone(net).fit(X, y))
    pd.testing.assert_frame_equal(first.frontier_, second.frontier_)


def test_processes_find_the_same(routing, data):
    X, y, s = data
    one, two = (
        ThresholdSearchCV(LogisticRegression(), **BOTH, n_jobs=n).fit(X, y, sensitive_features=s) for n in (1, 2)
    )
    pd.testing.assert_frame_equal(one.frontier_, two.frontier_)


# ---------------------------------------------------------------------- the rule, as in GridSearchCV
def test_refit_as_in_a_search(data):
    X, y, _ = data
    scoring = ["accuracy", "precision"]
    for refit in (True, 3, "recall", [0]):
        search = ThresholdSearchCV(Spy(), scoring=scoring, refit=refit)
        if refit in (True, "recall"):
            with pytest.raises(ValueError, match="For multi-metric scoring, the parameter refit must be set to a sco"):
                search.fit(X, y)
            with pytest.raises(ValueError, match="For multi-metric scoring, the parameter refit must be set to a sco"):
                GridSearchCV(Spy(), {}, scoring=scoring, refit=refit).fit(X, y)
        else:
            with pytest.raises(ValueError, match=r"refit must be True, the name of a score or a callable.* Got "):
                search.fit(X, y)
    with pytest.raises(ValueError, match="refit must be True.* Got False"):
        ThresholdSearchCV(Spy(), scoring="accuracy", refit=False).fit(X, y)
    assert Spy.fits == []


def test_what_a_rule_may_return(data):
    X, y, _ = data
    search = ThresholdSearchCV(LogisticRegression(), scoring="accuracy", refit=lambda found: 7, cv=2).fit(X, y)
    assert (search.best_index_, search.best_threshold_) == (7, 0.4)
    with pytest.raises(IndexError, match="best_index_ index out of range"):
        search.set_params(refit=lambda found: 19).fit(X, y)
    with pytest.raises(TypeError, match="best_index_ returned is not an integer"):
        search.set_params(refit=lambda found: "first").fit(X, y)
    with pytest.raises(ValueError, match="best_within asks for the score 'accuracy', the search has .'score'"):
        search.set_params(refit=best_within(gap=0.1)).fit(X, y)


def test_what_a_rule_is_given(routing, data):
    X, y, s = data
    seen = {}

    def rule(found):
        seen.update(found)
        return 0

    search = ThresholdSearchCV(LogisticRegression(), **{**BOTH, "refit": rule}).fit(X, y, sensitive_features=s)
    grid = GridSearchCV(LogisticRegression(), {"C": [1, 2]}, **{**BOTH, "refit": "gap"}).fit(X, y, sensitive_features=s)
    names = {key.replace("param_C", "param_threshold") for key in grid.cv_results_}
    assert set(seen) == set(search.cv_results_) == names


def test_a_scorer_of_several_scores(data):
    X, y, _ = data

    def scores(estimator, X, y):
        predicted = estimator.predict(X)
        return {"accuracy": (predicted == y).mean(), "share": predicted.mean()}

    search = ThresholdSearchCV(LogisticRegression(), scoring=scores, refit="share", cv=CV).fit(X, y)
    assert search.best_threshold_ == 0.05
    assert {"mean_accuracy", "high_share"} <= set(search.frontier_)
    assert search.scorer_ is scores


def test_the_estimator_s_own_score(routing, data):
    X, y, _ = data
    own = ThresholdSearchCV(LogisticRegression(), scoring=None, refit=True, cv=CV).fit(X, y)
    named = ThresholdSearchCV(LogisticRegression(), **ONE).fit(X, y)
    pd.testing.assert_frame_equal(own.frontier_, named.frontier_)


def test_a_score_that_is_not_defined_never_wins(data):
    X, y, _ = data

    def share(estimator, X, y):
        return np.nan if estimator.predict(X).mean() > 0.5 else estimator.predict(X).mean()

    search = ThresholdSearchCV(LogisticRegression(), scoring=share, refit=True, cv=CV)
    with pytest.warns(UserWarning, match="scores are non-finite"):
        search.fit(X, y)
    assert np.isnan(search.cv_results_["mean_test_score"][0])
    assert search.best_score_ == np.nanmax(search.cv_results_["mean_test_score"])


def test_a_second_fit_leaves_nothing_of_the_first(data):
    X, y, _ = data
    search = ThresholdSearchCV(LogisticRegression(), **ONE).fit(pd.DataFrame(X, columns=list("abcd")), y)
    assert search.feature_names_in_.tolist() == list("abcd")
    search.set_params(refit=lambda found: 0).fit(X[:, :3], y)
    assert not hasattr(search, "best_score_")
    assert not hasattr(search, "feature_names_in_")
    assert search.n_features_in_ == 3


# ---------------------------------------------------------------------- front, plot
def test_front_and_plot(routing, data):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    X, y, s = data
    cv = ShuffleSplit(3, test_size=0.5, random_state=0)
    search = ThresholdSearchCV(LogisticRegression(), **{**BOTH, "cv": cv}).fit(X, y, sensitive_features=s)
    front = pareto_front(search, "gap", "accuracy")
    assert 0 < len(front) < 19
    assert front["mean_gap"].is_monotonic_increasing
    # the test rows are as many as those of the training: the interval is wider than that of three folds
    half = (search.frontier_["high_gap"] - search.frontier_["mean_gap"]) / search.frontier_["sd_gap"]
    np.testing.assert_allclose(half.dropna(), 4.302653 * np.sqrt(1 / 3 + 1), rtol=1e-5)
    assert search.scorer_["gap"] is SCORING["gap"]
    display = ParetoFrontDisplay.from_search(search, x="gap", y="accuracy")
    assert display.ax_.get_xlabel().startswith("gap: demographic parity difference\n← smaller is better")
    matplotlib.pyplot.close(display.figure_)


# ---------------------------------------------------------------------- how the parameters travel
@pytest.mark.parametrize("container", [np.asarray, list, pd.Series], ids=lambda f: f.__name__)
def test_routed_through_pipelines_searches_and_cross_validation(routing, data, container):
    X, y, s = data
    inner = ThresholdSearchCV(make_pipeline("passthrough", Spy()), **{**BOTH, "refit": "accuracy"})
    grid = {"thresholdsearchcv__thresholds": [[0.5], [0.4, 0.9]]}
    outer = GridSearchCV(make_pipeline("passthrough", inner), grid, scoring=SCORING, refit="gap", cv=2)
    params = {"sensitive_features": container(s)}
    scores = cross_validate(outer, 1 / (1 + np.exp(-X)), y, scoring=SCORING, cv=2, params=params)
    assert np.isfinite([scores["test_accuracy"], scores["test_gap"]]).all()
    assert len(Spy.fits) == 2 * (2 * 2 + 1) * 4
    assert all(len(groups) == len(seen) for seen, groups, _ in Spy.fits)


def test_a_net_with_sensitive_features_and_tabular_columns(routing, data):
    X, y, s = data
    frame = pd.DataFrame(X, columns=list("abcd")).assign(e=np.where(X[:, 2] > 0, "x", "y"))
    net = small(RegularizedClassifier, strength=2.0)
    model = make_pipeline(make_tabular_preprocessor(), net)
    search = ThresholdSearchCV(model, **BOTH).fit(frame, pd.Series(y), sensitive_features=pd.DataFrame({"sex": s}))
    again = clone(model).fit(frame, y, sensitive_features=s)
    assert same_weights(search.estimator_[-1], again[-1])
    expected = again.predict_proba(frame)[:, 1] >= search.best_threshold_
    np.testing.assert_array_equal(search.predict(frame), expected)
    assert search.feature_names_in_.tolist() == list("abcde")
    assert search.n_features_in_ == 5


def test_what_nobody_asks_for_is_an_error_in_our_name(routing, data):
    X, y, s = data
    with pytest.raises(UnsetMetadataPassedError, match="for Spy.fit, which is used within ThresholdSearchCV.fit"):
        ThresholdSearchCV(Spy(), **BOTH).fit(X, y, sensitive_features=s, sample_weight=np.ones(150))
    with pytest.raises(TypeError, match=r"ThresholdSearchCV.fit got unexpected argument\(s\) .*'households'"):
        ThresholdSearchCV(Spy(), **BOTH).fit(X, y, sensitive_features=s, households=s)
    assert Spy.fits == []


def test_routed_weights(routing, data):
    X, y, s = data
    w = np.random.default_rng(0).uniform(0.1, 3, len(y))
    estimator = LogisticRegression().set_fit_request(sample_weight=True)
    accuracy = make_scorer(accuracy_score).set_score_request(sample_weight=True)
    scoring = {**SCORING, "accuracy": accuracy}
    scoring["gap"] = get_scorer("demographic_parity_difference").set_score_request(sample_weight=False)
    search = ThresholdSearchCV(estimator, scoring=scoring, refit="accuracy", thresholds=[0.3, 0.5], cv=CV)
    search.fit(X, y, sensitive_features=s, sample_weight=w)
    for k, (train, test) in enumerate(CV.split(X, y)):
        p = LogisticRegression().fit(X[train], y[train], sample_weight=w[train]).predict_proba(X[test])[:, 1]
        expected = [accuracy_score(y[test], p >= t, sample_weight=w[test]) for t in (0.3, 0.5)]
        np.testing.assert_allclose(search.cv_results_[f"split{k}_test_accuracy"], expected)
    np.testing.assert_array_equal(search.estimator_.coef_, LogisticRegression().fit(X, y, sample_weight=w).coef_)
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        cross_validate(search, X, y, params={"sensitive_features": s, "sample_weight": w}, error_score="raise")
    weighted = search.set_score_request(sample_weight=True)
    found = cross_validate(weighted, X, y, cv=2, params={"sensitive_features": s, "sample_weight": w})
    assert np.isfinite(found["test_score"]).all()


def test_weights_without_routing_are_as_in_a_search(data):
    X, y, _ = data
    w = np.random.default_rng(0).uniform(0.1, 3, len(y))
    search = ThresholdSearchCV(LogisticRegression(), **ONE, thresholds=[0.5]).fit(X, y, sample_weight=w)
    grid = GridSearchCV(LogisticRegression(), {}, **ONE).fit(X, y, sample_weight=w)
    assert search.best_score_ == pytest.approx(grid.best_score_)
    assert search.best_score_ != ThresholdSearchCV(LogisticRegression(), **ONE, thresholds=[0.5]).fit(X, y).best_score_

    def own(estimator, X, y, sample_weight=None):
        return accuracy_score(y, estimator.predict(X), sample_weight=sample_weight)

    function = ThresholdSearchCV(LogisticRegression(), **{**ONE, "scoring": own}, thresholds=[0.5])
    assert function.fit(X, y, sample_weight=w).best_score_ == pytest.approx(grid.best_score_)


def test_sensitive_columns_without_routing(data):
    X, y, _ = data
    net = small(RegularizedClassifier, strength=2.0, sensitive_columns=second_column)
    search = ThresholdSearchCV(net, **without_routing()).fit(X, y)
    assert search.frontier_["mean_gap"].min() < 0
    assert same_weights(search.estimator_, clone(net).fit(X, y))
    scores = cross_validate(search, X, y, scoring=without_routing()["scoring"], cv=2)
    assert np.isfinite(scores["test_gap"]).all()


def test_sensitive_features_to_fit_without_routing(data):
    X, y, s = data
    ThresholdSearchCV(Spy(), **without_routing(cv=HALVES[:1])).fit(1 / (1 + np.exp(-X)), y, sensitive_features=s)
    np.testing.assert_array_equal(Spy.fits[0][1], s[4:8])
    np.testing.assert_array_equal(Spy.fits[1][1], s)


@pytest.mark.parametrize("enabled", [False, True])
def test_groups_go_to_the_splitter(data, enabled):
    X, y, _ = data
    X, households = 1 / (1 + np.exp(-X)), np.arange(150) // 5
    with config_context(enable_metadata_routing=enabled):
        ThresholdSearchCV(Spy(), scoring="accuracy", refit=True, cv=GroupKFold(3)).fit(X, y, groups=households)
    for (seen, _, _), (train, _) in zip(Spy.fits, GroupKFold(3).split(X, y, households)):
        np.testing.assert_array_equal(seen, X[train])


def test_random_splits_and_generators_are_drawn_once(data):
    X, y, _ = data
    random = ShuffleSplit(2, test_size=0.3, random_state=np.random.RandomState(0))
    ThresholdSearchCV(Spy(), scoring="accuracy", refit=True, cv=random).fit(1 / (1 + np.exp(-X)), y)
    expected = ShuffleSplit(2, test_size=0.3, random_state=np.random.RandomState(0)).split(X)
    for (seen, _, _), (train, _) in zip(Spy.fits, expected):
        np.testing.assert_array_equal(seen, 1 / (1 + np.exp(-X[train])))
    masks = ((np.isin(np.arange(150), train), np.isin(np.arange(150), test)) for train, test in CV.split(X, y))
    search = ThresholdSearchCV(LogisticRegression(), scoring="accuracy", refit=True, cv=masks).fit(X, y)
    pd.testing.assert_frame_equal(search.frontier_, ThresholdSearchCV(LogisticRegression(), **ONE).fit(X, y).frontier_)


def test_a_precomputed_metric(data):
    """Splits cut both sides of a square X."""
    X, y, _ = data
    distances = np.linalg.norm(X[:, None] - X, axis=2)
    search = ThresholdSearchCV(KNeighborsClassifier(metric="precomputed"), **ONE).fit(distances, y)
    pd.testing.assert_frame_equal(
        search.frontier_, ThresholdSearchCV(KNeighborsClassifier(), **ONE).fit(X, y).frontier_
    )
    assert np.isfinite(cross_validate(search, distances, y, cv=2)["test_score"]).all()


def test_a_search_inside(routing, data):
    X, y, s = data
    grid = FrontierSearchCV(
        small(RegularizedClassifier), {"strength": [0.0, 3.0]}, scoring=SCORING, refit=best_within(gap=1), cv=2
    )
    search = ThresholdSearchCV(grid, **{**BOTH, "refit": "gap", "cv": 2}).fit(X, y, sensitive_features=s)
    assert search.estimator_.best_params_["strength"] in (0.0, 3.0)
    expected = search.estimator_.best_estimator_.predict_proba(X)[:, 1] >= search.best_threshold_
    np.testing.assert_array_equal(search.predict(X), expected)


# ---------------------------------------------------------------------- as an estimator
@pytest.mark.parametrize("estimator", [LogisticRegression(), small(ERMClassifier)], ids=["linear", "net"])
def test_pickle_and_clone(routing, data, estimator):
    X, y, s = data
    search = ThresholdSearchCV(estimator, **BOTH).fit(X, y, sensitive_features=s)
    copy = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(copy.predict(X), search.predict(X))
    pd.testing.assert_frame_equal(copy.frontier_, search.frontier_)
    fresh = clone(search)
    assert not hasattr(fresh, "best_threshold_")
    assert fresh.refit == search.refit
    np.testing.assert_array_equal(fresh.fit(X, y, sensitive_features=s).predict(X), search.predict(X))


def test_before_fit():
    search = ThresholdSearchCV(LogisticRegression(), **ONE)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises(NotFittedError, match="ThresholdSearchCV"):
            getattr(search, method)([[0.0]])
    assert not any(hasattr(search, name) for name in ("classes_", "n_features_in_", "feature_names_in_"))
    assert not hasattr(ThresholdSearchCV(GaussianNB(), **ONE), "decision_function")
    assert hasattr(ThresholdSearchCV(GaussianNB(), **ONE), "predict_log_proba")


def test_tags_are_the_estimator_s_but_for_the_classes():
    tags = get_tags(ThresholdSearchCV(small(ERMClassifier), **ONE))
    assert tags.estimator_type == "classifier"
    assert not tags.classifier_tags.multi_class
    assert get_tags(small(ERMClassifier)).classifier_tags.multi_class
    assert tags.input_tags == get_tags(small(ERMClassifier)).input_tags


# ---------------------------------------------------------------------- errors, before any training
@pytest.mark.parametrize("bad", [(1.5,), [-0.1, 0.5], ("high",), (np.nan,), 2.0, "0.5", np.array([0.2, 3])])
def test_thresholds_are_probabilities(data, bad):
    X, y, _ = data
    with pytest.raises(ValueError, match=r"thresholds must be numbers in \[0, 1\], got \["):
        ThresholdSearchCV(Spy(), **ONE, thresholds=bad).fit(X, y)
    assert Spy.fits == []


@pytest.mark.parametrize("empty", [(), [], np.array([])])
def test_there_must_be_a_threshold(data, empty):
    X, y, _ = data
    with pytest.raises(ValueError, match=r"thresholds must hold at least one number in \[0, 1\], got"):
        ThresholdSearchCV(Spy(), **ONE, thresholds=empty).fit(X, y)
    assert Spy.fits == []


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (np.arange(150) % 3, r"Only binary .* y has 3 classes: \[0, 1, 2\]"),
        (np.array(["a", "b", "c"])[np.arange(150) % 3], r"y has 3 classes: \['a', 'b', 'c'\]"),
        (np.ones(150, int), r"y has 1 classes: \[1\]"),
        (np.linspace(0, 1, 150), "Unknown label type: continuous"),
        (np.ones((150, 2), int), "Unknown label type: multilabel-indicator"),
    ],
)
def test_two_classes(data, y, match):
    with pytest.raises(ValueError, match=match):
        ThresholdSearchCV(Spy(), **ONE).fit(data[0], y)
    assert Spy.fits == []


def test_an_estimator_without_probabilities(data):
    X, y, _ = data
    for estimator in (LinearSVC(), make_pipeline(StandardScaler(), LinearSVC())):
        with pytest.raises(TypeError, match=r"(?s)estimator must have predict_proba, got .*LinearSVC\(\)"):
            ThresholdSearchCV(estimator, **ONE).fit(X, y)


def test_errors_of_fits_and_scorers_are_raised(data):
    X, y, _ = data
    with pytest.raises(ValueError, match="got no sensitive_features"):
        ThresholdSearchCV(LogisticRegression(), **BOTH).fit(X, y)
    with pytest.raises(ValueError, match="strength"):
        ThresholdSearchCV(small(RegularizedClassifier, strength=-1), **ONE).fit(X, y)


# ---------------------------------------------------------------------- scikit-learn's own checks
casts = pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # of infinite labels
LINEAR = ThresholdSearchCV(LogisticRegression(), scoring="accuracy", refit=True, cv=3)
NET = ThresholdSearchCV(ERMClassifier(**{**QUICK, "max_epochs": 15}), scoring="accuracy", refit=True, cv=2)


@casts
@parametrize_with_checks([LINEAR])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@casts
@parametrize_with_checks([NET])
def test_scikit_learn_checks_with_nets(estimator, check):
    check(estimator)


@pytest.mark.parametrize("as_list", [True, False])
def test_fairness_metrics_by_name(routing, data, as_list):
    X, y, s = data
    gap = "demographic_parity_difference"
    scoring = ["accuracy", gap] if as_list else {"accuracy": "accuracy", gap: gap}
    rule = best_within(**{gap: 0.2})
    search = ThresholdSearchCV(LogisticRegression(), scoring=scoring, refit=rule, cv=CV)
    search.fit(X, y, sensitive_features=s)
    given = ThresholdSearchCV(LogisticRegression(), **BOTH).fit(X, y, sensitive_features=s)
    assert search.best_threshold_ == given.best_threshold_
    np.testing.assert_array_equal(search.frontier_[f"mean_{gap}"], given.frontier_["mean_gap"])
    assert search.scorer_[gap](search, X, y, sensitive_features=s) == SCORING["gap"](search, X, y, sensitive_features=s)


def test_groups_in_another_order_are_noticed(routing, data):
    X, y, s = (pd.DataFrame(part) for part in data)
    with pytest.warns(UserWarning, match="row labels of X in another order"):
        ThresholdSearchCV(LogisticRegression(), **BOTH).fit(X, y[0], sensitive_features=s[0][::-1])
