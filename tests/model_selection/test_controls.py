"""trivial_controls: on the splits of the search, by models that no one trained for fairness."""

import numpy as np
import pandas as pd
import pytest
from common import rows, small, toy
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, ShuffleSplit, StratifiedKFold, check_cv
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skfair.metrics import demographic_parity_difference, get_scorer
from skfair.model_selection import trivial_controls
from skfair.model_selection._pareto import frontier_frame
from skfair.regularization import RegularizedClassifier
from skfair.robust import ERMClassifier

CV = StratifiedKFold(3, shuffle=True, random_state=0)
SCORING = {"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference")}
NAMES = ["unmitigated", "raised threshold", "constant", "random groups"]


class Spy(LogisticRegression):
    """Keeps what each fit was given."""

    seen = []
    __metadata_request__fit = {"sensitive_features": True}

    def fit(self, X, y, sensitive_features=None, sample_weight=None):
        self.seen.append((X, sensitive_features))
        return super().fit(X, y, sample_weight=sample_weight)


class Reader(ClassifierMixin, BaseEstimator):
    """Keeps what it reads in ``sensitive_columns`` at fit."""

    seen = []

    def __init__(self, sensitive_columns=None):
        self.sensitive_columns = sensitive_columns

    def fit(self, X, y):
        columns = self.sensitive_columns
        self.seen.append((X, np.ravel(columns(X) if callable(columns) else X[:, columns])))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


@pytest.fixture(autouse=True)
def _nothing_seen():
    Spy.seen.clear()
    Reader.seen.clear()


@pytest.fixture(scope="module")
def data():
    return rows(150)


def of_split(frame, name="accuracy"):
    """The mean alone: what a test compares with its own loop over the splits."""
    return frame[f"mean_{name}"].to_numpy()


# ---------------------------------------------------------------------- each control by hand
@pytest.mark.parametrize("cv", [None, 4, CV, ShuffleSplit(3, test_size=0.3, random_state=1)], ids=str)
def test_unmitigated_is_what_a_search_finds(routing, data, cv):
    X, y, s = data
    controls = trivial_controls(LogisticRegression(), X, y, scoring=SCORING, cv=cv, sensitive_features=s)
    search = GridSearchCV(LogisticRegression(), {}, scoring=SCORING, cv=cv, refit=False)
    search.fit(X, y, sensitive_features=s)
    ratio = np.mean([len(test) / len(train) for train, test in check_cv(cv, y, classifier=True).split(X, y)])
    expected = frontier_frame(search.cv_results_, n_test_over_train=ratio)
    pd.testing.assert_frame_equal(controls["unmitigated"], expected, rtol=1e-12)


def test_thresholds_and_constants_by_hand(routing, data):
    X, y, s = data
    y = np.array(["no", "yes"])[y]
    net = small(ERMClassifier)
    gap = get_scorer("demographic_parity_difference", pos_label="yes")
    controls = trivial_controls(
        net, X, y, scoring={"accuracy": "accuracy", "gap": gap}, cv=CV, thresholds=(0.3, 0.5, 0.9), sensitive_features=s
    )
    assert list(controls) == NAMES[:3]
    raised, constant = controls["raised threshold"], controls["constant"]
    assert raised["param_threshold"].tolist() == [0.3, 0.5, 0.9]
    assert constant["param_class"].tolist() == ["no", "yes"]
    accuracy, gaps, shares = np.zeros(3), np.zeros(3), np.zeros(2)
    for train, test in CV.split(X, y):
        p = clone(net).fit(X[train], y[train], sensitive_features=s[train]).predict_proba(X[test])[:, 1]
        for i, threshold in enumerate((0.3, 0.5, 0.9)):
            predicted = np.where(p >= threshold, "yes", "no")
            accuracy[i] += (predicted == y[test]).mean() / 3
            rates = [(predicted[s[test] == group] == "yes").mean() for group in "fm"]
            gaps[i] += abs(rates[0] - rates[1]) / 3
        shares += [(y[test] == value).mean() / 3 for value in ("no", "yes")]
    np.testing.assert_allclose(of_split(raised), accuracy)
    np.testing.assert_allclose(of_split(raised, "gap"), -gaps)
    np.testing.assert_allclose(of_split(constant), shares)
    assert (constant[["mean_gap", "sd_gap"]] == 0).all(axis=None)
    assert len(set(accuracy)) == 3


def test_one_training_per_split_serves_three_controls(routing, data):
    X, y, s = data
    trivial_controls(Spy(), X, y, scoring=SCORING, cv=CV, sensitive_features=s)
    assert len(Spy.seen) == 3


def test_random_groups_are_the_same_values_in_another_order(routing, data):
    X, y, s = data

    def seen(seed):
        Spy.seen.clear()
        controls = trivial_controls(
            LogisticRegression(), X, y, scoring=SCORING, cv=CV, mitigated=Spy(), random_state=seed, sensitive_features=s
        )
        assert list(controls) == NAMES
        # Spy learns nothing from the groups: scored with the true ones, it is the unmitigated model
        pd.testing.assert_frame_equal(controls["random groups"], controls["unmitigated"])
        return [groups for _, groups in Spy.seen]

    first = seen(0)
    for (train, _), groups in zip(CV.split(X, y), first, strict=True):
        assert sorted(groups) == sorted(s[train])
        assert 0.2 < (groups == s[train]).mean() < 0.8
    assert all(np.array_equal(a, b) for a, b in zip(first, seen(0)))
    assert not any(np.array_equal(a, b) for a, b in zip(first, seen(1)))
    seen(None)


def test_what_mitigation_gains_does_not_come_with_random_groups(routing):
    X, y, s = toy(900, correlation=0.85)
    net = small(RegularizedClassifier, strength=3.0, max_epochs=10)
    controls = trivial_controls(
        net.set_params(strength=0.0), X, y, scoring=SCORING, cv=2, thresholds=(),
        mitigated=clone(net).set_params(strength=3.0), random_state=0, sensitive_features=s,
    )  # fmt: skip
    true = GridSearchCV(clone(net), {"strength": [3.0]}, scoring=SCORING, cv=2, refit=False)
    true.fit(X, y, sensitive_features=s)
    gaps = {name: -frame["mean_gap"][0] for name, frame in controls.items()}
    assert list(gaps) == ["unmitigated", "constant", "random groups"]
    assert gaps["constant"] == 0
    assert -true.cv_results_["mean_test_gap"][0] < 0.3 < 0.5 < gaps["random groups"]
    assert gaps["unmitigated"] > 0.5


# ---------------------------------------------------------------------- how the parameters travel
def test_pipelines_and_frames_with_routing(routing, data):
    X, y, s = data
    frame, groups = pd.DataFrame(X, columns=list("abcd")), pd.DataFrame({"sex": s})
    controls = trivial_controls(
        make_pipeline(StandardScaler(), small(ERMClassifier)), frame, pd.Series(y), scoring=SCORING, cv=CV,
        mitigated=make_pipeline(StandardScaler(), Spy()), random_state=0, sensitive_features=groups,
    )  # fmt: skip
    assert [len(table) for table in controls.values()] == [1, 4, 2, 1]
    assert all(np.isfinite(table.select_dtypes(float)).all(axis=None) for table in controls.values())
    (train, _), given = next(CV.split(X, y)), Spy.seen[0][1]
    assert sorted(given["sex"]) == sorted(s[train])
    assert not np.array_equal(given["sex"], s[train])


def test_nobody_asks_for_what_is_passed(routing, data):
    X, y, s = data
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        trivial_controls(small(ERMClassifier), X, y, scoring=SCORING, sensitive_features=s, sample_weight=np.ones(150))


def first_column(X):
    return np.asarray(X)[:, 0] > 0


@pytest.mark.parametrize("columns", [1, [1], first_column], ids=["index", "list", "callable"])
@pytest.mark.parametrize("piped", [False, True], ids=["alone", "piped"])
def test_sensitive_columns_without_routing(data, columns, piped):
    X, y, _ = data
    X = np.round(X)
    gap = get_scorer("demographic_parity_difference", sensitive_columns=first_column)
    model = make_pipeline("passthrough", Reader(columns)) if piped else Reader(columns)
    controls = trivial_controls(
        LogisticRegression(), X, y, scoring={"accuracy": "accuracy", "gap": gap}, cv=CV, mitigated=model, random_state=0
    )
    assert list(controls) == NAMES
    assert len(Reader.seen) == 3
    for given, read in Reader.seen:
        true = first_column(given) if callable(columns) else given[:, 1]
        assert sorted(read) == sorted(true)
        assert not np.array_equal(read, true)
    assert (Reader(columns).sensitive_columns if not piped else model[-1].sensitive_columns) is columns


def test_nets_with_sensitive_columns_without_routing(data):
    X, y, _ = data
    gap = get_scorer("demographic_parity_difference", sensitive_columns=first_column)
    erm, net = small(ERMClassifier), small(RegularizedClassifier, sensitive_columns=first_column, strength=2.0)
    controls = trivial_controls(erm, X, y, scoring=gap, cv=2, mitigated=net, random_state=0)
    assert [frame.columns[-1] for frame in controls.values()] == ["high_score"] * 4
    assert controls["random groups"]["mean_score"][0] < 0


def test_sensitive_features_to_fit_without_routing(data):
    X, y, s = data
    gap = get_scorer("demographic_parity_difference", sensitive_columns=first_column)
    trivial_controls(small(ERMClassifier), X, y, scoring=gap, cv=2, mitigated=Spy(), sensitive_features=list(s))
    train = next(StratifiedKFold(2).split(X, y))[0]
    assert sorted(Spy.seen[0][1]) == sorted(s[train])
    assert Spy.seen[0][1] != s[train].tolist()


def test_weights_without_routing_reach_fit_and_scorers_as_in_a_search(data):
    X, y, _ = data
    w = np.random.default_rng(0).uniform(0.1, 3, len(y))
    controls = trivial_controls(LogisticRegression(), X, y, scoring="accuracy", cv=CV, sample_weight=w)
    search = GridSearchCV(LogisticRegression(), {}, scoring="accuracy", cv=CV).fit(X, y, sample_weight=w)
    assert of_split(controls["unmitigated"], "score") == pytest.approx(search.best_score_)
    plain = trivial_controls(LogisticRegression(), X, y, scoring="accuracy", cv=CV)
    assert of_split(plain["unmitigated"], "score") != of_split(controls["unmitigated"], "score")


def test_groups_go_to_the_splitter(data):
    X, y, _ = data
    households = np.arange(150) // 5
    trivial_controls(Spy(), X, y, scoring="accuracy", cv=GroupKFold(3), groups=households)
    for (seen, _), (train, _) in zip(Spy.seen, GroupKFold(3).split(X, y, households), strict=True):
        np.testing.assert_array_equal(seen, X[train])


def test_a_scorer_of_several_scores(data):
    X, y, s = data

    def scores(estimator, X, y):
        predicted = estimator.predict(X)
        gap = demographic_parity_difference(y, predicted, sensitive_features=X[:, 1] > 0)
        return {"accuracy": (predicted == y).mean(), "gap": -gap}

    controls = trivial_controls(LogisticRegression(), X, y, scoring=scores, cv=CV)
    assert {"mean_accuracy", "high_gap"} <= set(controls["constant"])
    assert controls["constant"]["mean_gap"].tolist() == [0, 0]


def test_global_generators_stay_as_they_are(routing, data):
    X, y, s = data
    np.random.seed(0)  # noqa: NPY002
    trivial_controls(LogisticRegression(), X, y, scoring=SCORING, cv=CV, mitigated=Spy(), sensitive_features=s)
    assert np.random.random() == np.random.RandomState(0).random()  # noqa: NPY002


# ---------------------------------------------------------------------- errors
@pytest.mark.parametrize("bad", [(1.5,), (-0.1, 0.5), ("high",), (np.nan,)])
def test_thresholds_are_probabilities(data, bad):
    X, y, _ = data
    with pytest.raises(ValueError, match=r"thresholds must be numbers in \[0, 1\], got \["):
        trivial_controls(LogisticRegression(), X, y, scoring="accuracy", thresholds=bad)


def test_three_classes():
    X, y = make_classification(90, n_classes=3, n_informative=4, random_state=0)
    with pytest.raises(ValueError, match=r"y has 3: \[0, 1, 2\]\. Pass thresholds=\(\)"):
        trivial_controls(LogisticRegression(), X, y, scoring="accuracy")
    controls = trivial_controls(LogisticRegression(), X, y, scoring="accuracy", cv=3, thresholds=())
    assert [len(frame) for frame in controls.values()] == [1, 3]


def test_a_frozen_model(routing, data):
    X, y, s = data
    fitted = LogisticRegression().fit(X, y)
    found = trivial_controls(FrozenEstimator(fitted), X, y, scoring=SCORING, cv=CV, sensitive_features=s)
    by_hand = np.mean([fitted.score(X[test], y[test]) for _, test in CV.split(X, y)])
    assert found["unmitigated"]["mean_accuracy"].item() == pytest.approx(by_hand)


def test_no_groups_to_shuffle(data):
    X, y, _ = data
    with pytest.raises(
        ValueError, match=r"(?s)mitigated=LogisticRegression\(\) gets no sensitive features.*routing on"
    ):
        trivial_controls(LogisticRegression(), X, y, scoring="accuracy", mitigated=LogisticRegression())


def test_fairness_metrics_by_name(routing, data):
    X, y, s = data
    name = "demographic_parity_difference"
    named, given = (
        trivial_controls(LogisticRegression(), X, y, scoring=scoring, cv=CV, sensitive_features=s)
        for scoring in (["accuracy", name], {"accuracy": "accuracy", name: get_scorer(name)})
    )
    for row, frame in given.items():
        pd.testing.assert_frame_equal(named[row], frame)


@pytest.mark.parametrize("kind", [pd.DataFrame, lambda s: pd.DataFrame(s)[0]], ids=["frame", "series"])
def test_random_groups_of_pandas_are_no_mistake_of_the_users(routing, data, kind):
    """The order is another on purpose: nothing warns of it, the values are those of arrays, and the user's stay."""
    X, y, s = data
    given = kind(s)
    before = given.copy()
    net = small(RegularizedClassifier, strength=1.0)
    frames, arrays = (
        trivial_controls(
            small(ERMClassifier),
            features,
            y,
            scoring=SCORING,
            cv=2,
            mitigated=net,
            random_state=0,
            sensitive_features=groups,
        )["random groups"]
        for features, groups in ((pd.DataFrame(X), given), (X, s))
    )
    pd.testing.assert_frame_equal(frames, arrays)
    assert given.equals(before)
