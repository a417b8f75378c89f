"""The estimators inside scikit-learn's and fairlearn's machinery, with metadata routing on and off."""

import numpy as np
import pandas as pd
import pytest
import torch
from common import RIGHTLY_WARNED, a_few_fast, all_nets, first_linear, grid_of_shapes, rows, same_weights, small
from fairlearn.metrics import MetricFrame
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skfair.metrics import equalized_odds_difference, get_scorer
from skfair.model_selection import best_within
from skfair.preprocessing import make_tabular_preprocessor
from skfair.robust import ERMClassifier, GroupDROClassifier

pytestmark = RIGHTLY_WARNED


every_classifier = pytest.mark.parametrize("cls", a_few_fast(all_nets("classifier")))
every_estimator = pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in all_nets()])
CV = StratifiedKFold(3, shuffle=True, random_state=0)


def table(n=180):
    """Mixed-type rows with missing values; labels; the sensitive features as a table of two columns."""
    X, y, s = rows(n)
    frame = pd.DataFrame({"score": X[:, 0], "years": np.round(X[:, 1] * 10), "noise": X[:, 2]})
    frame["job"] = np.where(X[:, 3] > 0, "cook", "nurse")
    frame["sex"] = s
    frame.loc[::10, "years"] = np.nan
    frame.loc[::15, "job"] = None
    return frame, pd.Series(np.array(["no", "yes"])[y]), frame[["sex"]]


def sex_of(X):
    return X["sex"]


def seen_groups(net):
    return [group[0] for group in net.groups_]


# ---------------------------------------------------------------------- routing on
@every_estimator
def test_pipeline(cls, routing):
    X, y, s = rows()
    pipeline = make_pipeline(StandardScaler(), small(cls)).fit(X, y, sensitive_features=s)
    by_hand = small(cls).fit(StandardScaler().fit_transform(X), y, sensitive_features=s)
    assert same_weights(pipeline[-1], by_hand)
    assert seen_groups(pipeline[-1]) == ["f", "m"]


@every_estimator
def test_pipeline_with_weights(cls, routing):
    X, y, s = rows()
    w = np.arange(1, 121)
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):  # nobody said who shall get them
        make_pipeline(small(cls)).fit(X, y, sensitive_features=s, sample_weight=w)
    net = small(cls).set_fit_request(sample_weight=True)
    pipeline = make_pipeline(net).fit(X, y, sensitive_features=s, sample_weight=w)
    assert same_weights(pipeline[-1], small(cls).fit(X, y, sensitive_features=s, sample_weight=w))
    assert not same_weights(pipeline[-1], small(cls).fit(X, y, sensitive_features=s))


def test_the_search_of_the_readme(routing):
    X, y, A = table()
    net = small(GroupDROClassifier, optimizer=torch.optim.Adam, optimizer__betas=(0.9, 0.99))
    model = make_pipeline(make_tabular_preprocessor(), net)
    gap = get_scorer("equalized_odds_difference", pos_label="yes")
    grid = [
        {"groupdroclassifier__step_size": [0.01, 0.1]},
        {"groupdroclassifier__module__hidden": [(4,), (8, 8)], "groupdroclassifier__weight_decay": [0.5]},
        {"groupdroclassifier__optimizer__betas": [(0.5, 0.9)], "groupdroclassifier__early_stopping": [False]},
        {"groupdroclassifier__early_stopping": [gap]},
    ]
    scoring = {"accuracy": "accuracy", "gap": gap}
    search = GridSearchCV(model, grid, cv=CV, scoring=scoring, refit=best_within(gap=1.0), error_score="raise")
    search.fit(X, y, sensitive_features=A)
    results = search.cv_results_
    assert len(results["params"]) == 6
    assert np.isfinite(results["mean_test_gap"]).all()
    assert (results["mean_test_gap"] <= 0).all()
    assert len({tuple(results[f"split{k}_test_accuracy"]) for k in range(3)}) == 3
    assert search.best_index_ == best_within(gap=1.0)(results)
    assert results["mean_test_accuracy"][search.best_index_] == results["mean_test_accuracy"].max()
    net = search.best_estimator_[-1]
    assert seen_groups(net) == ["f", "m"]
    assert net.cells_ == [("no", ("f",)), ("no", ("m",)), ("yes", ("f",)), ("yes", ("m",))]
    assert set(search.predict(X)) <= {"no", "yes"}
    frame = MetricFrame(metrics=accuracy_score, y_true=y, y_pred=search.predict(X), sensitive_features=A)
    assert frame.by_group.index.tolist() == ["f", "m"]
    # every candidate is what it says: train two of them by hand on the first fold
    train, test = next(CV.split(X, y))
    for index in (0, 3):
        by_hand = clone(model).set_params(**results["params"][index])
        by_hand.fit(X.iloc[train], y.iloc[train], sensitive_features=A.iloc[train])
        predicted = by_hand.predict(X.iloc[test])
        assert results["split0_test_accuracy"][index] == accuracy_score(y.iloc[test], predicted)
        found = equalized_odds_difference(y.iloc[test], predicted, sensitive_features=A.iloc[test], pos_label="yes")
        assert results["split0_test_gap"][index] == pytest.approx(-found)


@every_classifier
def test_grid_search_over_the_parts(cls, routing):
    X, y, s = rows()
    shapes = grid_of_shapes(cls, (4,), (8, 8))
    grid = {"lr": [1e-30, 0.05], **shapes}
    net = small(cls, max_epochs=8, early_stopping=False)
    search = GridSearchCV(net, grid, cv=CV, error_score="raise").fit(X, y, sensitive_features=s)
    assert search.best_params_["lr"] == 0.05 or hasattr(search.best_estimator_, "trigger_")  # at first the identity
    (shape,) = (search.best_params_[name] for name in shapes)
    assert first_linear(search.best_estimator_).out_features == np.ravel(shape)[0]
    if cls is ERMClassifier:  # two processes, the same results
        again = GridSearchCV(net, grid, cv=CV, n_jobs=2, error_score="raise").fit(X, y, sensitive_features=s)
        assert np.array_equal(search.cv_results_["mean_test_score"], again.cv_results_["mean_test_score"])
        assert same_weights(search.best_estimator_, again.best_estimator_)


@every_classifier
def test_cross_validate(cls, routing):
    X, y, s = rows()
    params = {"sensitive_features": s}
    gap = get_scorer("equalized_odds_difference")
    done = cross_validate(
        small(cls), X, y, cv=CV, params=params, scoring={"gap": gap, "accuracy": "accuracy"}, return_estimator=True,
        error_score="raise",
    )  # fmt: skip
    train, test = next(CV.split(X, y))
    by_hand = small(cls).fit(X[train], y[train], sensitive_features=s[train])
    assert same_weights(done["estimator"][0], by_hand)
    gap = equalized_odds_difference(y[test], by_hand.predict(X[test]), sensitive_features=s[test])
    assert done["test_gap"][0] == pytest.approx(-gap)
    out = cross_val_predict(small(cls), X, y, cv=CV, params=params, method="predict_proba")
    assert np.array_equal(out[test], by_hand.predict_proba(X[test]))


@every_classifier
def test_calibrated_classifier(cls, routing):
    X, y, s = rows()
    model = CalibratedClassifierCV(small(cls), cv=CV, method="sigmoid").fit(X, y, sensitive_features=s)
    nets = [calibrated.estimator for calibrated in model.calibrated_classifiers_]
    assert len(nets) == 3
    train, _ = next(CV.split(X, y))
    assert same_weights(nets[0], small(cls).fit(X[train], y[train], sensitive_features=s[train]))
    assert np.allclose(model.predict_proba(X).sum(1), 1)


@every_classifier
def test_tuned_threshold(cls, routing):
    X, y, s = rows()
    model = TunedThresholdClassifierCV(small(cls), cv=CV, scoring="balanced_accuracy").fit(X, y, sensitive_features=s)
    assert 0 <= model.best_threshold_ <= 1
    assert seen_groups(model.estimator_) == ["f", "m"]
    above = model.estimator_.predict_proba(X)[:, 1] >= model.best_threshold_
    assert np.array_equal(model.predict(X), above.astype(int))


@every_classifier
def test_tuned_threshold_for_a_fairness_metric(cls, routing):
    X, y, s = rows()
    scorer = get_scorer("worst_group_accuracy")
    model = TunedThresholdClassifierCV(small(cls), cv=CV, scoring=scorer).fit(X, y, sensitive_features=s)
    assert 0 <= model.best_threshold_ <= 1
    assert 0 < model.best_score_ <= 1


@every_classifier
def test_bagging(cls, routing):
    X, y, s = rows()
    model = BaggingClassifier(small(cls), n_estimators=2, max_samples=60, random_state=0)
    model.fit(X, y, sensitive_features=s)
    for net, drawn in zip(model.estimators_, model.estimators_samples_):
        assert len(drawn) == 60
        again = clone(net).fit(X[drawn], y[drawn], sensitive_features=s[drawn])
        assert same_weights(net, again)  # each net saw the groups of its own rows
    assert not same_weights(*model.estimators_)
    assert model.predict_proba(X).shape == (120, 2)


# ---------------------------------------------------------------------- routing off
def test_a_pipeline_without_routing_says_what_to_do():
    X, y, s = rows()
    pipeline = make_pipeline(StandardScaler(), small(GroupDROClassifier))
    with pytest.raises(ValueError, match="sensitive_features") as caught:
        pipeline.fit(X, y, sensitive_features=s)  # scikit-learn's own words
    with pytest.raises(ValueError, match="needs sensitive_features") as caught:
        pipeline.fit(X, y)
    for remedy in ("set_config(enable_metadata_routing=True)", "sensitive_columns="):
        assert remedy in str(caught.value)
    pipeline.fit(X, y, groupdroclassifier__sensitive_features=s)  # scikit-learn's old way still works
    assert seen_groups(pipeline[-1]) == ["f", "m"]


def test_a_search_without_routing_says_what_to_do():
    X, y, s = rows()
    scorer = get_scorer("equalized_odds_difference")
    search = GridSearchCV(small(GroupDROClassifier), {"step_size": [0.1]}, cv=CV, scoring=scorer, error_score="raise")
    with pytest.raises(
        ValueError, match=r"(?s)got no sensitive_features.*enable_metadata_routing=True.*sensitive_columns"
    ):
        search.fit(X, y, sensitive_features=s)
    with pytest.raises(ValueError, match=r"needs sensitive_features.*enable_metadata_routing=True.*sensitive_columns"):
        search.fit(X, y)


def test_without_error_score_the_reason_is_in_the_warning():
    X, y, _ = rows()
    search = GridSearchCV(small(GroupDROClassifier), {"step_size": [0.1]}, cv=CV)
    with pytest.raises(ValueError, match="All the 3 fits failed") as caught:
        search.fit(X, y)
    assert "sensitive_columns" in str(caught.value)


@every_estimator
@pytest.mark.parametrize(
    "columns", ["sex", ["sex", "job"], 4, [4], sex_of], ids=["name", "names", "index", "indices", "callable"]
)
def test_sensitive_columns_by_name_index_and_callable(cls, columns):
    X, y, _ = table()
    X = X.assign(job=(X["job"] == "cook").astype(int), sex=(X["sex"] == "f").astype(int), years=X["years"].fillna(0))
    net = small(cls, sensitive_columns=columns).fit(X, y)
    assert net.groups_ == ([(0, 0), (0, 1), (1, 0), (1, 1)] if columns == ["sex", "job"] else [(0,), (1,)])


@pytest.mark.parametrize("columns", ["sex", 4, sex_of], ids=["name", "index", "callable"])
def test_a_search_without_routing(columns):
    X, y, A = table()
    X = X.assign(job=(X["job"] == "cook").astype(int), sex=(X["sex"] == "f").astype(int), years=X["years"].fillna(0))
    net = small(GroupDROClassifier, sensitive_columns=columns)
    gap = get_scorer("equalized_odds_difference", pos_label="yes", sensitive_columns=columns)
    scoring = {"accuracy": "accuracy", "gap": gap}
    n_jobs = 2 if columns == "sex" else None
    search = GridSearchCV(net, {"step_size": [0.01, 0.5]}, cv=CV, scoring=scoring, n_jobs=n_jobs, error_score="raise",
                          refit=best_within(gap=1.0))  # fmt: skip
    search.fit(X, y)
    assert seen_groups(search.best_estimator_) == [0, 1]
    train, test = next(CV.split(X, y))
    by_hand = small(GroupDROClassifier, step_size=0.01).fit(
        X.iloc[train], y[train], sensitive_features=X["sex"].iloc[train]
    )
    predicted = by_hand.predict(X.iloc[test])
    gap = equalized_odds_difference(y[test], predicted, sensitive_features=A.iloc[test], pos_label="yes")
    assert search.cv_results_["split0_test_gap"][0] == pytest.approx(-gap)


def test_the_columns_may_go_through_a_preprocessor_that_keeps_their_names():
    X, y, A = table()
    preprocessor = make_tabular_preprocessor().set_output(transform="pandas")
    model = make_pipeline(preprocessor, small(GroupDROClassifier, sensitive_columns="sex_f"))
    scorer = get_scorer("worst_group_accuracy", sensitive_columns="sex")  # a scorer sees X as the user gave it
    done = cross_validate(model, X, y, cv=CV, scoring=scorer, error_score="raise", return_estimator=True)
    assert seen_groups(done["estimator"][0][-1]) == [0.0, 1.0]
    assert np.isfinite(done["test_score"]).all()


@every_classifier
def test_meta_estimators_without_routing(cls):
    X, y, _ = rows()
    net = small(cls, sensitive_columns=above_zero)
    for model in (
        CalibratedClassifierCV(net, cv=CV),
        TunedThresholdClassifierCV(net, cv=CV, scoring="accuracy"),
        BaggingClassifier(net, n_estimators=2),
    ):
        assert model.fit(X, y).predict(X).shape == (120,)


def above_zero(X):
    return X[:, 1] > 0


# ---------------------------------------------------------------------- fairlearn
@every_classifier
def test_threshold_optimizer_on_a_fitted_net(cls):
    X, y, s = rows(300)
    net = small(cls, max_epochs=8).fit(X, y, sensitive_features=s)
    model = ThresholdOptimizer(
        estimator=net, prefit=True, predict_method="predict_proba", constraints="demographic_parity"
    )
    model.fit(X, y, sensitive_features=s)
    assert model.estimator_ is net
    predicted = model.predict(X, sensitive_features=s, random_state=0)
    rates = pd.Series(predicted).groupby(s).mean()
    assert abs(rates["f"] - rates["m"]) < 0.1


@every_classifier
def test_threshold_optimizer_fits_the_net(cls):
    """ThresholdOptimizer keeps sensitive_features to itself: the net needs its own way to them."""
    X, y, s = rows(300)
    frame = pd.DataFrame(X, columns=list("abcd")).assign(sex=(s == "f").astype(int))
    net = small(cls, max_epochs=8, sensitive_columns="sex")
    model = ThresholdOptimizer(
        estimator=net, prefit=False, predict_method="predict_proba", constraints="demographic_parity"
    )
    model.fit(frame, pd.Series(y), sensitive_features=frame["sex"])
    assert not hasattr(net, "module_")
    assert same_weights(model.estimator_, small(cls, max_epochs=8).fit(frame, y, sensitive_features=frame["sex"]))
    predicted = model.predict(frame, sensitive_features=frame["sex"], random_state=0)
    rates = pd.Series(predicted).groupby(s).mean()
    assert abs(rates["f"] - rates["m"]) < 0.1


def test_threshold_optimizer_without_a_way_to_the_groups_says_so():
    X, y, s = rows()
    model = ThresholdOptimizer(estimator=small(GroupDROClassifier), predict_method="predict_proba")
    with pytest.raises(ValueError, match=r"needs sensitive_features.*sensitive_columns"):
        model.fit(X, y, sensitive_features=s)
    free = ThresholdOptimizer(estimator=small(ERMClassifier), predict_method="predict_proba")
    assert free.fit(X, y, sensitive_features=s).predict(X, sensitive_features=s).shape == (120,)


@every_classifier
def test_metric_frame(cls):
    X, y, s = rows()
    net = small(cls).fit(X, y, sensitive_features=s)
    frame = MetricFrame(metrics={"accuracy": accuracy_score}, y_true=y, y_pred=net.predict(X), sensitive_features=s)
    assert frame.overall["accuracy"] == net.score(X, y)
