"""Resampled: each row keeps its label and its group, whatever samples; routing, searches, containers, errors."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from common import toy
from imblearn.combine import SMOTEENN
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from imblearn.under_sampling import RandomUnderSampler, TomekLinks
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skfair._routing import SensitiveFeaturesConsumer
from skfair.augmentation import LatentDebiasingSampler, PCAGenerator, Resampled
from skfair.metrics import get_scorer
from skfair.model_selection import FrontierSearchCV
from skfair.robust import ERMClassifier, GroupDROClassifier


class Recording(ClassifierMixin, BaseEstimator):
    """Keeps what it is fitted on; predicts the first class."""

    def fit(self, X, y, *, sensitive_features=None):
        self.X_, self.y_, self.groups_ = X, y, sensitive_features
        self.classes_ = np.unique(np.asarray(y))
        self.n_features_in_ = X.shape[1] if hasattr(X, "shape") else np.shape(X)[1]
        if hasattr(X, "columns"):
            self.feature_names_in_ = np.asarray(list(X.columns), dtype=object)
        return self

    def predict(self, X):
        return np.full(X.shape[0], self.classes_[0])


class Blind(Recording):
    """Takes no groups."""

    def fit(self, X, y):
        return super().fit(X, y)


class Asking(SensitiveFeaturesConsumer, Recording):
    """As the library's own: it requests groups by default."""

    def fit(self, X, y, *, sensitive_features=None):
        return super().fit(X, y, sensitive_features=sensitive_features)


def readable(n=400, correlation=0.8, seed=0):
    """D1; the last columns say which label and which group a row has, in codes of their own."""
    X, y, s = toy(n, correlation, seed)
    return np.column_stack([X, 10.0 * y, 100.0 * s]), y, s


def latent(**parameters):
    parts = dict(
        generator=PCAGenerator(), classifier=LogisticRegression(), source="inversion", hyperplane_balance="cell"
    )
    return LatentDebiasingSampler(**{**parts, "n_hyperplane": 300, "n_check": 50, "random_state": 0, **parameters})


def net(cls=GroupDROClassifier, **parameters):
    return cls(**{"max_epochs": 2, "batch_size": 64, "module__hidden": (8,), "random_state": 0, **parameters})


def counts(y, s):
    return pd.crosstab(np.asarray(y), np.asarray(s)).to_numpy()


SAMPLERS = [
    RandomOverSampler(random_state=0),
    SMOTE(random_state=0),
    RandomUnderSampler(random_state=0),
    SMOTEENN(random_state=0),
]
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
balances = pytest.mark.parametrize("balance", ["cell", "label"])


# ---------------------------------------------------------------------- rows, labels and groups stay together
@every_sampler
@balances
@pytest.mark.parametrize("estimator", [Recording(), Asking()], ids=["plain", "asking"])
def test_each_row_keeps_its_label_and_its_group(sampler, balance, estimator):
    X, y, s = readable()
    words = np.where(s, "m", "f")
    given = Resampled(sampler, estimator, balance=balance).fit(X, y, sensitive_features=words).estimator_
    assert len(given.X_) == len(given.y_) == len(given.groups_) != 400
    assert_allclose(given.X_[:, 5], 10 * given.y_, atol=1e-6)
    assert_allclose(given.X_[:, 6], np.where(np.asarray(given.groups_)[:, 0] == "m", 100, 0), atol=1e-6)
    assert len(np.unique(given.X_[:, 5])) == len(np.unique(given.X_[:, 6])) == 2  # none lies in between


@balances
@pytest.mark.parametrize("sampler", SAMPLERS[:3], ids=lambda s: type(s).__name__)
def test_what_is_evened_out(sampler, balance):
    """All cells alike, or the labels of each group."""
    X, y, s = readable()
    y = np.where(np.arange(400) % 5 == 0, 1, y)
    X[:, 5] = 10 * y
    before = counts(y, s)
    given = Resampled(sampler, Asking(), balance=balance).fit(X, y, sensitive_features=s).estimator_
    after = counts(given.y_, np.asarray(given.groups_)[:, 0])
    pick = np.min if isinstance(sampler, RandomUnderSampler) else np.max
    expected = np.full((2, 2), pick(before)) if balance == "cell" else np.tile(pick(before, axis=0), (2, 1))
    assert_array_equal(after, expected)
    assert len(np.unique(before)) > 2


@balances
def test_several_features_and_three_classes(balance):
    X, y, s = readable(900)
    rng = np.random.default_rng(5)
    y = y + (rng.random(900) < 0.3)
    S = pd.DataFrame({"sex": np.where(s, "m", "f"), "old": rng.random(900) < 0.4})
    X = np.column_stack([X[:, :5], y, s, S["old"]])
    given = Resampled(SMOTE(random_state=0), Asking(), balance=balance).fit(X, y, sensitive_features=S).estimator_
    assert given.groups_.columns.tolist() == ["sex", "old"]
    assert_allclose(given.X_[:, 5], given.y_, atol=1e-9)
    assert_array_equal(given.X_[:, 6].round(), given.groups_["sex"] == "m")
    assert_array_equal(given.X_[:, 7].round(), given.groups_["old"].astype(bool))
    table = pd.crosstab(given.y_, [given.groups_["sex"], given.groups_["old"]]).to_numpy()
    assert table.shape == (3, 4)
    assert (table == table[0]).all()
    assert (len(np.unique(table)) == 1) == (balance == "cell")


def test_the_rows_are_those_of_the_sampler():
    X, y, s = readable()
    given = Resampled(SMOTE(random_state=0), Asking()).fit(X, y, sensitive_features=s).estimator_
    X_same, cell = SMOTE(random_state=0).fit_resample(X, 2 * y + s)
    assert_array_equal(given.X_, X_same)
    assert_array_equal(given.y_, cell // 2)
    assert_array_equal(np.asarray(given.groups_)[:, 0], cell % 2)
    within = Resampled(SMOTE(random_state=0), Asking(), balance="label").fit(X, y, sensitive_features=s).estimator_
    parts = [SMOTE(random_state=0).fit_resample(X[s == g], y[s == g]) for g in (0, 1)]
    assert_array_equal(within.X_, np.concatenate([part[0] for part in parts]))
    assert_array_equal(within.y_, np.concatenate([part[1] for part in parts]))


def test_without_groups_it_resamples_by_labels():
    X, y, _ = readable()
    y = (X[:, 0] > 1).astype(int)
    given = Resampled(SMOTE(random_state=0), Asking()).fit(X, y).estimator_
    X_same, y_same = SMOTE(random_state=0).fit_resample(X, y)
    assert_array_equal(given.X_, X_same)
    assert_array_equal(given.y_, y_same)
    assert given.groups_ is None


def test_a_cell_that_does_not_occur():
    """Nothing is made of nothing."""
    X, y, s = readable()
    y = np.where(s == 0, 0, y)
    X[:, 5] = 10 * y
    given = Resampled(RandomOverSampler(random_state=0), Asking()).fit(X, y, sensitive_features=s).estimator_
    table = counts(given.y_, np.asarray(given.groups_)[:, 0])
    assert table[1, 0] == 0
    assert len({*table.ravel()} - {0}) == 1


def test_missing_groups_are_a_group():
    X, y, s = readable()
    words = pd.Series(np.where(s, "m", None), name="sex")
    given = Resampled(SMOTE(random_state=0), Asking()).fit(X, y, sensitive_features=words).estimator_
    assert_array_equal(given.X_[:, 6].round() == 100, np.asarray(given.groups_["sex"]) == "m")
    assert len(np.unique(counts(given.y_, pd.isna(given.groups_["sex"]) | (given.groups_["sex"] == "missing")))) == 1


# ---------------------------------------------------------------------- with latent-space de-biasing
def test_group_dro_counts_the_groups_of_the_augmented_rows():
    X, y, s = toy(600, 0.9)
    seen = []

    class Witness(GroupDROClassifier):
        def fit(self, X, y, *, sensitive_features=None, **given):
            seen.append((X, np.asarray(y), np.asarray(sensitive_features)))
            return super().fit(X, y, sensitive_features=sensitive_features, **given)

    model = Resampled(latent(), net(Witness)).fit(X, y, sensitive_features=s)
    ((X_seen, y_seen, s_seen),) = seen
    X_same, y_same, s_same = latent().fit_resample(X, y, sensitive_features=s)
    assert_array_equal(X_seen, X_same)
    assert_array_equal(y_seen, y_same)
    assert_array_equal(s_seen[:, 0], s_same)
    assert_array_equal(counts(y_seen, s_seen[:, 0]), counts(y, s) + counts(y, 1 - s))
    assert model.estimator_.groups_ == [(0,), (1,)]
    assert model.sampler_.is_real_.sum() == 600
    same = net().fit(X_same, y_same, sensitive_features=s_same)
    assert_allclose(model.predict_proba(X), same.predict_proba(X), atol=1e-12)


def test_the_default_sampler_and_estimator():
    X, y, s = toy(200, 0.8)
    model = Resampled(estimator=net(ERMClassifier))
    assert type(model.default_sampler()) is LatentDebiasingSampler
    assert type(model.default_estimator()) is ERMClassifier
    model = Resampled(latent()).fit(X, y, sensitive_features=s)
    assert type(model.estimator_) is ERMClassifier
    assert model.estimator is None


def test_an_estimator_that_takes_no_groups_gets_none():
    X, y, s = readable()
    for sampler in (SMOTE(random_state=0), latent()):
        model = Resampled(sampler, Blind()).fit(X, y, sensitive_features=s)
        assert model.estimator_.groups_ is None
        assert len(model.estimator_.y_) > 400
    assert Resampled(SMOTE(random_state=0), LogisticRegression()).fit(X, y, sensitive_features=s).score(X, y) > 0.9


def test_with_and_without_routing_an_estimator_gets_groups_alike(routing):
    X, y, s = readable()
    for estimator in (Recording(), Asking(), Recording().set_fit_request(sensitive_features=True)):
        model = Resampled(SMOTE(random_state=0), estimator).fit(X, y, sensitive_features=s)
        assert len(model.estimator_.groups_) == len(model.estimator_.y_)
    refusing = Asking().set_fit_request(sensitive_features=False)
    assert Resampled(SMOTE(random_state=0), refusing).fit(X, y, sensitive_features=s).estimator_.groups_ is None


def test_an_estimator_of_fairlearn():
    """Its ``fit`` names groups, and has to have them."""
    from fairlearn.postprocessing import ThresholdOptimizer

    X, y, s = toy(200, 0.8)
    chosen = ThresholdOptimizer(estimator=LogisticRegression(), predict_method="predict_proba")
    model = Resampled(RandomOverSampler(random_state=0), chosen).fit(X, y, sensitive_features=s)
    assert model.estimator_.interpolated_thresholder_ is not None


# ---------------------------------------------------------------------- sensitive columns
@pytest.mark.parametrize(
    "sampler",
    [SMOTE(random_state=0), latent(), latent(perturbation="none"), latent(source="prior", generator=PCAGenerator(3))],
    ids=["SMOTE", "inversion", "none", "prior"],
)
@pytest.mark.parametrize("columns", ["sex", 5, ["sex"], -1], ids=str)
def test_groups_from_a_column_of_X(sampler, columns):
    """New rows have their own group in that column."""
    X, y, s = toy(400, 0.8)
    frame = pd.DataFrame(X, columns=list("abcde")).assign(sex=np.where(s, 7, 3))
    given = Resampled(sampler, Asking(), sensitive_columns=columns).fit(frame, y).estimator_
    assert given.groups_.columns.tolist() == ["sex"]
    assert_array_equal(given.X_["sex"], given.groups_["sex"])
    assert set(given.groups_["sex"]) == {3, 7}


def test_groups_from_a_callable():
    X, y, s = readable()
    model = Resampled(SMOTE(random_state=0), Asking(), sensitive_columns=lambda X: X[:, 6] > 50).fit(X, y)
    assert_array_equal(model.estimator_.X_[:, 6] > 50, np.asarray(model.estimator_.groups_)[:, 0].astype(bool))


def test_groups_given_come_before_columns():
    X, y, s = readable()
    model = Resampled(SMOTE(random_state=0), Asking(), sensitive_columns=0).fit(X, y, sensitive_features=s)
    assert set(np.asarray(model.estimator_.groups_)[:, 0]) == {0, 1}


@pytest.mark.parametrize("columns", ["sex", 7])
def test_a_column_that_is_not_there(columns):
    X, y, _ = readable()
    frame = pd.DataFrame(X)
    frame.columns = [f"c{j}" for j in range(7)]
    with pytest.raises(ValueError, match="sensitive_columns has.*(lacks|7 columns)"):
        Resampled(SMOTE(), Asking(), sensitive_columns=columns).fit(frame, y)


# ---------------------------------------------------------------------- pipelines
def test_a_pipeline_as_estimator_gets_groups(routing):
    X, y, s = toy(300, 0.8)
    model = Resampled(SMOTE(random_state=0), make_pipeline(StandardScaler(), net()))
    model.fit(X, y, sensitive_features=np.where(s, "m", "f"))
    assert model.estimator_[-1].groups_ == [("f",), ("m",)]
    assert model.n_features_in_ == 5
    X_same, cell = SMOTE(random_state=0).fit_resample(X, 2 * y + s)
    same = make_pipeline(StandardScaler(), net()).fit(X_same, cell // 2, sensitive_features=cell % 2)
    assert_allclose(model.predict_proba(X), same.predict_proba(X))


def test_a_pipeline_whose_steps_want_no_groups(routing):
    X, y, s = toy(300, 0.8)
    model = Resampled(SMOTE(random_state=0), make_pipeline(StandardScaler(), LogisticRegression()))
    assert model.fit(X, y, sensitive_features=s).score(X, y) > 0.7


def test_without_routing_a_pipeline_that_needs_groups_says_so():
    X, y, s = toy(300, 0.8)
    with pytest.raises(ValueError, match="needs sensitive_features.*enable_metadata_routing"):
        Resampled(SMOTE(random_state=0), make_pipeline(StandardScaler(), net())).fit(X, y, sensitive_features=s)


@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), latent()], ids=["SMOTE", "latent"])
def test_the_last_step_of_a_pipeline(routing, sampler):
    X, y, s = readable()
    pipeline = make_pipeline(StandardScaler(), Resampled(sampler, Asking())).fit(X, y, sensitive_features=s)
    given = pipeline[-1].estimator_
    assert len(given.groups_) == len(given.y_) > 400
    high = given.X_[:, 6] > 0
    assert_array_equal(high, np.asarray(given.groups_)[:, 0] == 1)
    assert_array_equal(given.X_[:, 5] > 0, given.y_ == 1)


def test_the_last_step_with_its_own_columns():
    """Without routing: the scaler leaves the column alone."""
    X, y, s = toy(300, 0.8)
    frame = pd.DataFrame(X, columns=list("abcde")).assign(sex=s)
    scaler = make_column_transformer((StandardScaler(), list("abcde")), remainder="passthrough")
    scaler.set_output(transform="pandas").set_params(verbose_feature_names_out=False)
    pipeline = make_pipeline(scaler, Resampled(SMOTE(random_state=0), Asking(), sensitive_columns="sex"))
    given = pipeline.fit(frame, y)[-1].estimator_
    assert_array_equal(given.X_["sex"], given.groups_["sex"])
    assert len(np.unique(counts(given.y_, given.groups_["sex"]))) == 1


def test_the_pipeline_of_imbalanced_learn_with_columns():
    """Sampler and classifier each find the groups in X: they agree."""
    X, y, s = toy(400, 0.8)
    frame = pd.DataFrame(X, columns=list("abcde")).assign(sex=s)
    pipeline = make_imblearn_pipeline(latent(sensitive_columns="sex"), net(sensitive_columns="sex")).fit(frame, y)
    assert pipeline[-1].groups_ == [(0,), (1,)]
    assert pipeline.predict(frame).shape == (400,)
    given = make_imblearn_pipeline(latent(sensitive_columns="sex"), Recording()).fit(frame, y)[-1]
    assert_array_equal(given.X_["sex"], np.concatenate([s, 1 - s]))
    assert_array_equal(given.y_, np.concatenate([y, y]))


def test_the_pipeline_of_imbalanced_learn_without_columns(routing):
    """It hands no groups on: the error says what helps there, which is not routing."""
    X, y, s = toy(300, 0.8)
    with pytest.raises(ValueError, match="sensitive_columns.*Resampled"):
        make_imblearn_pipeline(latent(), net()).fit(X, y, sensitive_features=s)
    with pytest.raises(ValueError, match="sensitive_features has 300 rows, but X has"):
        make_imblearn_pipeline(SMOTE(random_state=0), net()).fit(X, y, sensitive_features=s)


def test_a_resampled_step_in_the_pipeline_of_imbalanced_learn(routing):
    X, y, s = readable()
    pipeline = make_imblearn_pipeline(StandardScaler(), Resampled(SMOTE(random_state=0), Asking()))
    given = pipeline.fit(X, y, sensitive_features=s)[-1].estimator_
    assert_array_equal(given.X_[:, 6] > 0, np.asarray(given.groups_)[:, 0] == 1)


# ---------------------------------------------------------------------- searches
GRID = {"sampler__n_synthetic": [20, 100], "estimator__lr": [0.001, 0.05]}


@pytest.mark.parametrize("search_class", [GridSearchCV, FrontierSearchCV])
def test_searches_over_both_parts(routing, search_class):
    X, y, s = toy(240, 0.8)
    scoring = {"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference")}
    search = search_class(Resampled(latent(), net()), GRID, scoring=scoring, refit="accuracy", cv=2)
    search.fit(X, y, sensitive_features=s)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_accuracy"]).all()
    assert np.isfinite(search.cv_results_["mean_test_gap"]).all()
    best = search.best_estimator_
    assert best.sampler_.n_synthetic == search.best_params_["sampler__n_synthetic"]
    assert len(best.sampler_.is_real_) == 240 + best.sampler_.n_synthetic
    assert best.estimator_.lr == search.best_params_["estimator__lr"]
    assert search.predict(X).shape == (240,)
    assert len(set(search.cv_results_["mean_test_accuracy"])) > 1


def test_both_searches_find_the_same(routing):
    X, y, s = toy(240, 0.8)
    found = [
        search(Resampled(latent(), net()), GRID, scoring="accuracy", cv=2).fit(X, y, sensitive_features=s).cv_results_
        for search in (GridSearchCV, FrontierSearchCV)
    ]
    assert_allclose(found[0]["mean_test_score"], found[1]["mean_test_score"], atol=1e-6)


def test_only_training_rows_are_resampled(routing):
    """A cross-validation tests on rows that were given, and on none of the sampler's."""
    X, y, s = readable(200)
    sizes = []

    class Watching(Asking):
        def predict(self, X):
            sizes.append(len(X))
            return super().predict(X)

    found = cross_validate(
        Resampled(RandomOverSampler(random_state=0), Watching()), X, y, cv=4, params={"sensitive_features": s},
        return_estimator=True, scoring="accuracy",
    )  # fmt: skip
    assert sizes == [50] * 4
    for model in found["estimator"]:
        assert len(model.estimator_.y_) > 150
        assert_array_equal(model.estimator_.X_[:, 6] > 50, np.asarray(model.estimator_.groups_)[:, 0] == 1)


def test_cross_val_score(routing):
    X, y, s = toy(240, 0.8)
    model = Resampled(SMOTE(random_state=0), net(max_epochs=10, lr=0.02))
    assert cross_val_score(model, X, y, cv=3, params={"sensitive_features": s}).mean() > 0.7
    by_column = Resampled(SMOTE(random_state=0), net(), sensitive_columns=lambda X: X[:, 1] > 0)
    assert len(cross_val_score(by_column, X, y, cv=2)) == 2


# ---------------------------------------------------------------------- an estimator like others
def test_copies_and_parameters():
    X, y, s = toy(200, 0.8)
    model = Resampled(SMOTE(random_state=0), net(), balance="label", sensitive_columns=None)
    twin = clone(model)
    assert twin.get_params()["estimator__lr"] == model.estimator.lr
    assert twin.set_params(sampler__k_neighbors=2, estimator__lr=0.5, balance="cell").sampler.k_neighbors == 2
    assert (twin.estimator.lr, model.sampler.k_neighbors, model.balance) == (0.5, 5, "label")
    assert type(clone(model).set_params(sampler=RandomOverSampler()).sampler) is RandomOverSampler
    with pytest.raises(ValueError, match="Invalid parameter 'k_neighbours' for estimator SMOTE"):
        twin.set_params(sampler__k_neighbours=2)
    model.fit(X, y, sensitive_features=s)
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert not hasattr(clone(model), "estimator_")


@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), latent()], ids=["SMOTE", "latent"])
def test_the_parts_given_stay_unfitted_and_those_kept_are_fitted(sampler):
    X, y, s = toy(200, 0.8)
    copies = X.copy(), y.copy(), s.copy()
    estimator = LogisticRegression()
    model = Resampled(sampler, estimator).fit(X, y, sensitive_features=s)
    assert model.sampler is sampler
    assert model.estimator is estimator
    for part in (sampler, estimator):
        assert not [name for name in vars(part) if name.endswith("_") and not name.startswith("_")]
    assert model.estimator_.coef_.shape == (1, 5)
    assert hasattr(model.sampler_, "sampling_strategy_")  # imbalanced-learn's mark of one that has been asked
    for now, before in zip((X, y, s), copies):
        assert_array_equal(now, before)


def test_predictions_are_the_estimators():
    X, y, s = toy(300, 0.8)
    model = Resampled(SMOTE(random_state=0), LogisticRegression()).fit(X, y, sensitive_features=s)
    for method in ("predict", "predict_proba", "decision_function"):
        assert_array_equal(getattr(model, method)(X), getattr(model.estimator_, method)(X))
    assert_array_equal(model.classes_, [0, 1])
    assert model.n_features_in_ == 5
    assert model.score(X, y) == (model.predict(X) == y).mean()


@pytest.mark.parametrize(
    ("estimator", "methods"),
    [
        (LinearSVC(), {"decision_function"}),
        (LogisticRegression(), {"decision_function", "predict_proba"}),
        (Recording(), set()),
        (DummyClassifier(), {"predict_proba"}),
        (make_pipeline(StandardScaler(), LinearSVC()), {"decision_function"}),
        (None, {"decision_function", "predict_proba"}),
    ],
    ids=["LinearSVC", "LogisticRegression", "none", "Dummy", "pipeline", "default"],
)
def test_methods_are_the_estimators(estimator, methods):
    X, y, s = toy(200, 0.8)
    model = Resampled(RandomOverSampler(random_state=0), estimator)
    for _ in range(2):
        assert {m for m in ("predict_proba", "decision_function") if hasattr(model, m)} == methods
        model = model.set_params(estimator=None) if estimator is None else model.fit(X, y, sensitive_features=s)


def test_nothing_before_fit():
    model = Resampled(SMOTE(), LogisticRegression())
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError, match="Resampled instance is not fitted yet"):
            getattr(model, method)(np.zeros((2, 3)))
    for name in ("classes_", "n_features_in_", "feature_names_in_"):
        assert not hasattr(model, name)


def test_the_seed_decides_every_bit():
    X, y, s = toy(200, 0.8)
    models = [
        Resampled(latent(random_state=seed, n_synthetic=50), net()).fit(X, y, sensitive_features=s)
        for seed in (0, 0, 1)
    ]
    assert_array_equal(models[0].predict_proba(X), models[1].predict_proba(X))
    assert not np.array_equal(models[0].predict_proba(X), models[2].predict_proba(X))


# ---------------------------------------------------------------------- containers
@balances
@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), latent()], ids=["SMOTE", "latent"])
def test_frames_keep_their_names(sampler, balance):
    X, y, s = readable()
    frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(7)], index=np.arange(400) + 50)
    labels, groups = pd.Series(np.where(y, "yes", "no"), index=frame.index), pd.Series(s, frame.index, name="sex")
    model = Resampled(sampler, Asking(), balance=balance).fit(frame, labels, sensitive_features=groups)
    given = model.estimator_
    assert given.X_.columns.tolist() == frame.columns.tolist()
    assert model.feature_names_in_.tolist() == frame.columns.tolist()
    assert given.X_.dtypes.tolist() == frame.dtypes.tolist()
    assert given.groups_.columns.tolist() == ["sex"]
    assert model.classes_.tolist() == ["no", "yes"]
    if isinstance(sampler, SMOTE):
        assert_array_equal(given.X_["c5"] > 5, np.asarray(given.y_) == "yes")
        assert_array_equal(given.X_["c6"] > 50, given.groups_["sex"] == 1)
        assert given.X_.index.is_unique
    assert len(given.X_) == len(given.y_) == len(given.groups_)


@balances
@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), RandomUnderSampler(random_state=0), latent()], ids=str)
def test_sparse_rows(balance, kind, sampler):
    X, y, s = readable()
    model = Resampled(sampler, Asking(), balance=balance).fit(kind(X), y, sensitive_features=s)
    given = model.estimator_
    assert sp.issparse(given.X_)
    assert given.X_.shape[0] == len(given.y_) == len(given.groups_)
    if not isinstance(sampler, LatentDebiasingSampler):
        dense = given.X_.toarray()
        assert_allclose(dense[:, 5], 10 * given.y_, atol=1e-9)
        assert_allclose(dense[:, 6], 100 * np.asarray(given.groups_)[:, 0].astype(float), atol=1e-9)
    assert len(model.predict(kind(X))) == 400


def test_lists():
    X, y, s = readable()
    for balance in ("cell", "label"):
        given = Resampled(SMOTE(random_state=0), Asking(), balance=balance)
        given = given.fit(X.tolist(), y.tolist(), sensitive_features=s.tolist()).estimator_
        assert_allclose(np.asarray(given.X_)[:, 5], 10 * np.asarray(given.y_), atol=1e-9)
        assert_allclose(np.asarray(given.X_)[:, 6], 100 * np.asarray(given.groups_)[:, 0].astype(float), atol=1e-9)


def test_polars_with_a_sampler_of_ours():
    X, y, s = toy(300, 0.8)
    table = pl.DataFrame({name: X[:, j] for j, name in enumerate("abcde")})
    labels, groups = pl.Series("label", np.where(y, "yes", "no")), pl.DataFrame({"sex": np.where(s, "m", "f")})
    model = Resampled(latent(), Asking()).fit(table, labels, sensitive_features=groups)
    given = model.estimator_
    assert isinstance(given.X_, pl.DataFrame)
    assert model.feature_names_in_.tolist() == list("abcde")
    assert_array_equal(np.asarray(given.groups_["sex"] == "m"), np.concatenate([s, 1 - s]))
    assert Resampled(latent(), net(ERMClassifier)).fit(table, labels, sensitive_features=groups).predict(table).shape


@pytest.mark.parametrize(
    "labels",
    [
        lambda y: np.where(y, "yes", "no"),
        lambda y: y == 1,
        lambda y: y.astype(float) + 1,
        lambda y: pd.Series(np.where(y, "yes", "no"), dtype="category"),
        lambda y: ["yes" if v else "no" for v in y],
        lambda y: pd.DataFrame({"label": y}),
        lambda y: pl.Series("label", y),
    ],
    ids=["words", "bool", "float", "category", "list", "frame", "polars"],
)
@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), latent()], ids=["SMOTE", "latent"])
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_labels_of_any_kind(labels, sampler):
    X, y, s = readable()
    given = labels(y)
    model = Resampled(sampler, LogisticRegression()).fit(X, given, sensitive_features=s)
    values = np.asarray(given).reshape(-1)
    assert_array_equal(model.classes_, np.unique(values))
    assert (model.predict(X) == values).mean() > 0.95


@pytest.mark.parametrize(
    "groups",
    [
        lambda s: s[:, None],
        lambda s: s.tolist(),
        lambda s: pd.Series(np.where(s, "m", "f"), dtype="category", name="sex"),
        lambda s: pd.DataFrame({"sex": s == 1}),
        lambda s: {"sex": s},
        lambda s: pl.Series("sex", np.where(s, "m", "f")),
        lambda s: pd.Series(s, index=np.arange(len(s))[::-1]),
    ],
    ids=["column", "list", "category", "bools", "dict", "polars", "other index"],
)
@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), latent(perturbation="none")], ids=["SMOTE", "latent"])
def test_groups_of_any_kind(groups, sampler):
    X, y, s = readable()
    given = Resampled(sampler, Asking()).fit(X, y, sensitive_features=groups(s)).estimator_
    column = np.asarray(given.groups_)[:, 0]
    assert_array_equal(given.X_[:, 6] > 50, column == (1 if "m" not in column else "m"))


# ---------------------------------------------------------------------- errors
class NeverFitted(Recording):
    def fit(self, X, y, *, sensitive_features=None):
        pytest.fail("the estimator was trained")


class NeverAsked(RandomOverSampler):
    def fit_resample(self, X, y, **given):
        pytest.fail("the sampler was asked")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(balance="group"), "balance must be one of.*'label'.*got 'group'"),
        (dict(balance=None), "balance must be one of.*got None"),
        (
            dict(sampler=LogisticRegression()),
            r"sampler must be an object with fit_resample, got LogisticRegression\(\)",
        ),
        (dict(sampler=SMOTE), "sampler must be an object with fit_resample, got <class"),
        (dict(sampler="smote"), "sampler must be an object with fit_resample, got 'smote'"),
        (dict(estimator="erm"), "estimator must be an object with fit, got 'erm'"),
        (dict(estimator=LogisticRegression), "estimator must be an object with fit, got <class"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_parameters_before_anything_is_trained(parameters, message):
    X, y, s = readable()
    with pytest.raises(ValueError, match=message):
        Resampled(**{"sampler": NeverAsked(), "estimator": NeverFitted(), **parameters}).fit(X, y, sensitive_features=s)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y, s: (X, None, s), "requires y to be passed"),
        (lambda X, y, s: (X, y, s[:-1]), "sensitive_features has 399 rows, but X has 400"),
        (lambda X, y, s: (X, X[:, 0], s), "continuous"),
        (lambda X, y, s: (X, np.where(y, 1.0, np.nan), s), "NaN"),
        (lambda X, y, s: (X, y[:-1], s), "399|inconsistent"),
    ],
    ids=["no label", "short groups", "continuous", "nan label", "short labels"],
)
def test_data_that_are_refused(change, message):
    X, y, s = change(*readable())
    with pytest.raises(ValueError, match=message):
        Resampled(NeverAsked(), NeverFitted()).fit(X, y, sensitive_features=s)


def test_what_a_sampler_cannot_do_is_told_by_cells():
    """Its own error, and which cells have how many rows."""
    X, y, s = readable(60)
    y = np.where(np.arange(60) == 3, 1 - s, s)
    with pytest.raises(ValueError, match="n_neighbors") as caught:
        Resampled(SMOTE(), NeverFitted()).fit(X, y, sensitive_features=s)
    (note,) = caught.value.__notes__
    table = counts(y, s)
    assert "SMOTE was given the cells of label and group" in note
    cell, number = np.unique(2 * y + s, return_counts=True)
    assert f"{cell.tolist()} with {number.tolist()} rows" in note
    assert table.sum() == 60
    with pytest.raises(ValueError, match="more than 1 class") as caught:
        Resampled(RandomOverSampler(), NeverFitted(), balance="label").fit(X, s, sensitive_features=s)
    assert "[0, 3] with" in caught.value.__notes__[0]


def test_the_strategy_names_cells():
    X, y, s = readable()
    before = counts(y, s)
    strategy = {1: int(before[0, 1]) + 5}  # label 0, group 1
    sampler = RandomOverSampler(sampling_strategy=strategy, random_state=0)
    given = Resampled(sampler, Asking()).fit(X, y, sensitive_features=s).estimator_
    assert_array_equal(counts(given.y_, np.asarray(given.groups_)[:, 0]) - before, [[0, 5], [0, 0]])


def test_cleaning_keeps_rows_with_their_groups():
    X, y, s = readable()
    X[:, 5:] /= 100  # so that neighbours differ in label and group
    given = Resampled(TomekLinks(sampling_strategy="all"), Asking()).fit(X, y, sensitive_features=s).estimator_
    assert len(given.y_) < 400
    assert_array_equal((10 * given.X_[:, 5]).round(), given.y_)
    assert_array_equal(given.X_[:, 6].round(), np.asarray(given.groups_)[:, 0])


def test_there_are_no_weights():
    X, y, s = readable()
    with pytest.raises(TypeError, match="sample_weight"):
        Resampled(SMOTE(), Asking()).fit(X, y, sensitive_features=s, sample_weight=np.ones(400))


def test_without_groups_the_default_sampler_says_what_to_do():
    X, y, _ = readable()
    with pytest.raises(ValueError, match="LatentDebiasingSampler needs sensitive_features"):
        Resampled(estimator=NeverFitted()).fit(X, y)


def test_it_can_be_shown():
    for model in (Resampled(), Resampled(SMOTE(), make_pipeline(StandardScaler(), net())), Resampled(estimator="erm")):
        assert repr(model).startswith("Resampled(")
        assert "Resampled" in model._repr_html_()
