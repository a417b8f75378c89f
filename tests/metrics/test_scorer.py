"""Scorers, with metadata routing on and off."""

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from fairlearn.metrics import demographic_parity_difference as fairlearn_gap
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, KFold, TunedThresholdClassifierCV, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skfair import metrics as M

RNG = np.random.default_rng(0)
N = 300
SEX = RNG.integers(2, size=N)
X = pd.DataFrame({"a": RNG.normal(size=N) + SEX, "b": RNG.normal(size=N), "sex": SEX})
Y = (X["a"] + X["b"] + RNG.normal(size=N) > 0.5).astype(int).to_numpy()
MODEL = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
PRIVILEGED = {"signed_equalized_odds", "selection_rate_ratio"}


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


def scorer(name, **options):
    return M.get_scorer(name, **({"privileged": 1} if name in PRIVILEGED else {}), **options)


@pytest.mark.parametrize("name", M.get_scorer_names())
def test_every_metric_is_a_scorer(name):
    metric = getattr(M, name)
    options = {"privileged": 1} if name in PRIVILEGED else {}
    response = MODEL.predict(X)
    if name == "score_kl":
        response = MODEL.predict_proba(X)[:, 1]
    if name == "equal_opportunity_at_calibrated_threshold":
        response = MODEL.decision_function(X)
    value = metric(Y, response, sensitive_features=SEX, **options)
    greater = name.endswith("_ratio") or name == "worst_group_accuracy"
    value = abs(value) if name == "signed_equalized_odds" else value
    expected = value if greater else -value
    assert scorer(name)(MODEL, X, Y, sensitive_features=SEX) == expected
    assert scorer(name, sensitive_columns="sex")(MODEL, X, Y) == expected
    for twin in (clone(scorer(name)), copy.deepcopy(scorer(name)), pickle.loads(pickle.dumps(scorer(name)))):
        assert twin(MODEL, X, Y, sensitive_features=SEX) == expected
        assert repr(twin) == repr(scorer(name))
    assert name in repr(scorer(name))


def test_signed_equalized_odds_is_scored_with_weights_and_the_positive_label():
    """TPR 1/4 less 1, FPR 0 less 1/2 with these weights."""
    y, p, groups = list("yynyynn"), list("ynnyyny"), list("aaabbbb")
    score = M.get_scorer("signed_equalized_odds", privileged="b", pos_label="y").score_predictions
    assert score(y, p, sensitive_features=groups, sample_weight=[1, 3, 1, 1, 1, 2, 2]) == pytest.approx(
        -(3 / 4 + 1 / 2)
    )


def test_there_is_a_scorer_for_every_public_metric():
    others = {"UndefinedGapWarning", "GroupReport", "calibrated_threshold", "get_scorer", "get_scorer_names"}
    others |= {"group_report", "group_report_in_chunks", "make_fairness_scorer"}
    assert set(M.get_scorer_names()) == set(M.__all__) - others


@pytest.mark.usefixtures("routing")
def test_grid_search_through_a_pipeline_needs_no_request():
    scoring = {"accuracy": "accuracy", "gap": scorer("equalized_odds_difference"), "kl": scorer("score_kl")}
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": [0.01, 1.0]},
        scoring=scoring,
        refit="accuracy",
        cv=3,
        error_score="raise",
    )
    search.fit(X, Y, sensitive_features=SEX)
    gaps = search.cv_results_["mean_test_gap"]
    assert gaps.shape == (2,)
    assert (gaps <= 0).all()
    single = GridSearchCV(LogisticRegression(), {"C": [1.0]}, scoring=scorer("worst_group_accuracy"), cv=3)
    assert 0 < single.fit(X, Y, sensitive_features=SEX).best_score_ < 1


@pytest.mark.usefixtures("routing")
def test_cross_validate_scores_each_fold_with_its_own_rows():
    params = {"sensitive_features": pd.Series(SEX)}
    options = {"cv": KFold(3), "params": params, "return_estimator": True, "error_score": "raise"}
    result = cross_validate(LogisticRegression(), X, Y, scoring={"gap": scorer("demographic_parity_sum")}, **options)
    for (_, test), model, score in zip(KFold(3).split(X), result["estimator"], result["test_gap"]):
        gap = M.demographic_parity_sum(Y[test], model.predict(X.iloc[test]), sensitive_features=SEX[test])
        assert score == pytest.approx(-gap)


@pytest.mark.usefixtures("routing")
def test_sample_weight_is_routed_on_request():
    weight = RNG.random(N)
    weighted = scorer("demographic_parity_difference").set_score_request(sample_weight=True)
    model = LogisticRegression().set_fit_request(sample_weight=False)
    params = {"sensitive_features": SEX, "sample_weight": weight}
    result = cross_validate(model, X, Y, scoring=weighted, params=params, cv=[(np.arange(N), np.arange(N))])
    predicted = LogisticRegression().fit(X, Y).predict(X)
    expected = M.demographic_parity_difference(Y, predicted, sensitive_features=SEX, sample_weight=weight)
    assert result["test_score"][0] == pytest.approx(-expected)
    for twin in (clone(weighted), pickle.loads(pickle.dumps(weighted))):
        assert twin.get_metadata_routing().score.requests["sample_weight"] is True
    with pytest.raises(Exception, match="sample_weight"):
        cross_validate(model, X, Y, scoring=scorer("demographic_parity_difference"), params=params, cv=2)


@pytest.mark.usefixtures("routing")
def test_tuned_threshold_classifier():
    tuned = TunedThresholdClassifierCV(LogisticRegression(), scoring=scorer("demographic_parity_difference"), cv=3)
    tuned.fit(X, Y, sensitive_features=SEX)
    assert -0.05 < tuned.best_score_ <= 0


@pytest.mark.usefixtures("routing")
def test_a_scorer_with_columns_requests_nothing():
    by_race = scorer("demographic_parity_difference", sensitive_columns="sex")
    assert by_race.get_metadata_routing().score.requests["sensitive_features"] is False
    scoring = {"columns": by_race, "routed": scorer("demographic_parity_difference")}
    result = cross_validate(LogisticRegression(), X, Y, scoring=scoring, params={"sensitive_features": SEX}, cv=3)
    np.testing.assert_array_equal(result["test_columns"], result["test_routed"])
    with pytest.raises(ValueError, match="pass no sensitive_features as well"):
        by_race(MODEL, X, Y, sensitive_features=SEX)


COLUMNS = {
    "name": ("sex", X),
    "names": (["sex"], X),
    "position": (2, X),
    "callable": (lambda frame: frame["sex"], X),
    "polars": ("sex", pl.DataFrame(X.to_dict("list"))),
    "array": (2, X.to_numpy()),
    "array, list": ([2], X.to_numpy()),
    "sparse": ([2], csr_array(X.to_numpy())),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_sensitive_columns(case):
    columns, data = COLUMNS[case]

    class Constant:
        def predict(self, X):
            return MODEL.predict(COLUMNS["name"][1])

    expected = scorer("equalized_odds_difference")(MODEL, X, Y, sensitive_features=SEX)
    assert scorer("equalized_odds_difference", sensitive_columns=columns)(Constant(), data, Y) == expected


def test_sensitive_columns_that_are_not_there():
    with pytest.raises(ValueError, match=r"sensitive_columns has \['race'\], which X lacks.*'sex'"):
        scorer("demographic_parity_ratio", sensitive_columns=["sex", "race"])(MODEL, X, Y)
    with pytest.raises(ValueError, match="needs a DataFrame X with column names"):
        scorer("demographic_parity_ratio", sensitive_columns="sex")(MODEL, X.to_numpy(), Y)


def test_routing_off_works_through_columns_in_a_search():
    scoring = {"accuracy": "accuracy", "gap": scorer("equalized_odds_difference", sensitive_columns="sex")}
    search = GridSearchCV(LogisticRegression(), {"C": [0.01, 1.0]}, scoring=scoring, refit="accuracy", cv=3)
    assert (search.fit(X, Y).cv_results_["mean_test_gap"] < 0).any()


def test_routing_off_without_columns_names_both_remedies():
    with pytest.raises(ValueError, match="enable_metadata_routing=True") as caught:
        scorer("equalized_odds_difference")(MODEL, X, Y)
    assert "get_scorer('equalized_odds_difference', sensitive_columns=...)" in str(caught.value)
    search = GridSearchCV(LogisticRegression(), {}, scoring=scorer("equalized_odds_difference"), error_score="raise")
    with pytest.raises(ValueError, match="sensitive_columns="):
        search.fit(X, Y)
    with (
        config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match="Metadata routing is on") as caught,
    ):
        search.fit(X, Y)
    assert "set_config" not in str(caught.value)  # it is on


def test_unknown_names_list_close_ones():
    with pytest.raises(ValueError, match=r"Unknown fairness metric 'equalised_odds_diff'.*'equalized_odds_difference'"):
        M.get_scorer("equalised_odds_diff")


def test_arguments_are_checked_when_the_scorer_is_made():
    with pytest.raises(TypeError, match=r"needs the argument \['privileged'\]"):
        M.get_scorer("signed_equalized_odds")
    with pytest.raises(TypeError, match=r"takes no argument \['agregate'\]"):
        M.get_scorer("equalized_odds_difference", agregate="mean")
    with pytest.raises(ValueError, match="greater_is_better must be given"):
        M.make_fairness_scorer(own_metric)
    with pytest.raises(TypeError, match="a callable or a name"):
        M.make_fairness_scorer(3)


def own_metric(y_true, y_pred, *, sensitive_features):
    return float(np.mean(y_pred[sensitive_features == 1]))


def test_metrics_of_others():
    gap = M.make_fairness_scorer(fairlearn_gap)(MODEL, X, Y, sensitive_features=SEX)
    assert gap == pytest.approx(scorer("demographic_parity_difference")(MODEL, X, Y, sensitive_features=SEX))
    own = M.make_fairness_scorer(own_metric, greater_is_better=False, response_method="predict_proba")
    assert own(MODEL, X, Y, sensitive_features=SEX) == -MODEL.predict_proba(X)[SEX == 1, 1].mean()


def test_scores_of_estimators_with_one_of_the_response_methods():
    deo = scorer("equal_opportunity_at_calibrated_threshold")
    for model in (GaussianNB(), RidgeClassifier()):
        assert -1 <= deo(model.fit(X, Y), X, Y, sensitive_features=SEX) <= 0
    with pytest.raises(AttributeError, match="RidgeClassifier has none of the methods"):
        M.make_fairness_scorer("score_kl", response_method="predict_proba")(
            RidgeClassifier().fit(X, Y), X, Y, sensitive_features=SEX
        )
    names = np.array(["yes", "no"])[Y]  # the positive class comes first
    named = scorer("equal_opportunity_at_calibrated_threshold", pos_label="no")
    reversed_model = LogisticRegression().fit(X, names)
    assert list(reversed_model.classes_) == ["no", "yes"]
    value = named(reversed_model, X, names, sensitive_features=SEX)
    assert value == pytest.approx(deo(LogisticRegression().fit(X, Y), X, Y, sensitive_features=SEX))
    with pytest.raises(ValueError, match="pos_label='maybe' is none of the classes"):
        scorer("equal_opportunity_at_calibrated_threshold", pos_label="maybe")(
            reversed_model, X, names, sensitive_features=SEX
        )
    three = LogisticRegression().fit(X, RNG.integers(3, size=N))
    with pytest.raises(ValueError, match="two classes, got 3"):
        deo(three, X, Y, sensitive_features=SEX)
