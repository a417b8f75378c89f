"""The frontier's table, the front and the hypervolume."""

import sys
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold
from sklearn.tree import DecisionTreeClassifier

from skfair.model_selection import hypervolume, pareto_front
from skfair.model_selection._pareto import frontier_frame


def table(**means):
    return pd.DataFrame({f"mean_{name}": values for name, values in means.items()}, dtype=float)


def results(scores, name="score"):
    """cv_results_ of scores (n_candidates, n_splits)."""
    return {f"split{i}_test_{name}": column for i, column in enumerate(np.asarray(scores, dtype=float).T)}


few = st.integers(0, 4).map(float)  # of few values: many ties


def points(k=2, low=1):
    return st.integers(low, 12).flatmap(lambda n: arrays(float, (n, k), elements=few))


@pytest.fixture(scope="module")
def search():
    X, y = make_classification(90, random_state=0)
    scoring = {"accuracy": "accuracy", "loss": "neg_log_loss"}
    cv = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    return GridSearchCV(LogisticRegression(), {"C": [1e-3, 1e-2, 1.0]}, cv=cv, scoring=scoring, refit=False).fit(X, y)


# ---------------------------------------------------------------------- the table
def test_the_interval_by_hand():
    frame = frontier_frame({"param_C": [0.1, 1.0], **results([[0.6, 0.7, 0.8], [0.5, 0.5, 0.5]])})
    assert frame.columns.tolist() == ["param_C", "mean_score", "sd_score", "low_score", "high_score"]
    assert frame.index.name == "candidate"
    half = 4.302653 * 0.1 * np.sqrt(1 / 3 + 1 / 2)  # t of 2 degrees of freedom; a fold tests 1 row on 2
    np.testing.assert_allclose(frame.loc[0].iloc[1:], [0.7, 0.1, 0.7 - half, 0.7 + half], rtol=1e-6)
    np.testing.assert_allclose(frame.loc[1].iloc[1:], [0.5, 0, 0.5, 0.5], atol=1e-12)


@pytest.mark.parametrize("ratio", [0.1, 2.0])
def test_the_share_of_test_rows_widens_it(ratio):
    frame = frontier_frame(results([[0.6, 0.7, 0.8]]), n_test_over_train=ratio)
    half = stats.t.ppf(0.975, 2) * 0.1 * np.sqrt(1 / 3 + ratio)
    np.testing.assert_allclose(frame[["low_score", "high_score"]], [[0.7 - half, 0.7 + half]])


@pytest.mark.parametrize("ratio", [0, -1.0, np.nan])
def test_the_share_of_test_rows_is_above_0(ratio):
    with pytest.raises(ValueError, match=rf"n_test_over_train must be a number > 0, got {ratio}"):
        frontier_frame(results([[0.6, 0.7]]), n_test_over_train=ratio)


def test_more_than_ten_splits_and_two_scores_are_not_mixed():
    a, b = np.arange(24).reshape(2, 12), -np.arange(24).reshape(2, 12) / 7
    frame = frontier_frame({**results(a, "a"), **results(b, "a_b"), "mean_test_a": [9, 9], "split0_train_a": [7, 7]})
    np.testing.assert_allclose(frame["mean_a"], a.mean(1))
    np.testing.assert_allclose(frame["sd_a_b"], np.std(b, axis=1, ddof=1))
    assert len(frame.columns) == 8


def test_nan_stays_with_its_candidate():
    frame = frontier_frame(results([[0.6, np.nan], [0.6, 0.7]]))
    assert frame.loc[0].isna().all()
    assert frame.loc[1].notna().all()


def test_one_split_has_no_interval():
    frame = frontier_frame(results([[0.6], [0.7]]))
    assert frame["mean_score"].tolist() == [0.6, 0.7]
    assert frame[["sd_score", "low_score", "high_score"]].isna().all(axis=None)


def test_parameters_keep_their_values():
    X, y = make_classification(60, random_state=0)
    grid = [{"max_depth": [None, 3], "min_samples_split": [2]}, {"class_weight": ["balanced"]}]
    found = GridSearchCV(DecisionTreeClassifier(), grid, cv=2).fit(X, y).cv_results_
    frame = frontier_frame(found)
    assert frame["param_max_depth"].tolist()[:2] == [None, 3]
    assert np.isnan(frame["param_max_depth"][2])
    assert frame["param_class_weight"].isna().tolist() == [True, True, False]
    assert frame["param_class_weight"][2] == "balanced"
    np.testing.assert_allclose(frame["mean_score"], found["mean_test_score"])


def test_no_scores_of_splits():
    with pytest.raises(ValueError, match=r"'split0_test_...', got \['mean_test_score'\]"):
        frontier_frame({"mean_test_score": [1.0]})


# ---------------------------------------------------------------------- the front
def test_the_front_by_hand():
    found = table(accuracy=[0.8, 0.9, 0.7, 0.8, np.nan, 0.95, 0.8], gap=[-0.1, -0.3, -0.2, -0.1, -0.0, np.nan, -0.2])
    front = pareto_front(found, "accuracy", "gap")
    assert front.index.tolist() == [0, 3, 1]  # 0 and 3 are equal; 2 and 6 are beaten; 4 and 5 have a NaN
    assert pareto_front(found, "gap", "accuracy").index.tolist() == [1, 0, 3]


@settings(max_examples=100, deadline=None)
@given(points())
def test_the_front_is_what_none_beats(values):
    front = pareto_front(table(a=values[:, 0], b=values[:, 1]), "a", "b")
    beaten = [i for i, p in enumerate(values) if any((q >= p).all() and (q > p).any() for q in values)]
    assert sorted([*front.index, *beaten]) == list(range(len(values)))
    assert (np.diff(front["mean_a"]) >= 0).all()
    assert (np.diff(front["mean_b"]) <= 0).all()


def test_the_front_of_a_search(search):
    front = pareto_front(search, "accuracy", "loss")
    frame = frontier_frame(search.cv_results_, n_test_over_train=1 / 2)  # repeated: 6 splits, but 3 folds
    pd.testing.assert_frame_equal(front, frame.loc[front.index])
    found = search.cv_results_
    best = np.flatnonzero(found["mean_test_loss"] == found["mean_test_loss"].max())
    assert set(best) <= set(front.index)


def test_a_table_of_the_search_wins(search):
    class Search:
        frontier_ = table(a=[1, 2], b=[2, 1])
        fit = None

    assert pareto_front(Search(), "a", "b").index.tolist() == [0, 1]


def test_unknown_scores_list_those_present(search):
    with pytest.raises(ValueError, match=r"no score 'gap'; the search has \['accuracy', 'loss'\]"):
        pareto_front(search, "accuracy", "gap")
    with pytest.raises(ValueError, match=r"no score 'b'; the search has \['a'\]"):
        hypervolume(table(a=[1]), "a", "b", reference=(0, 0))


def test_what_is_no_fitted_search():
    with pytest.raises(NotFittedError, match="GridSearchCV instance is not fitted"):
        pareto_front(GridSearchCV(LogisticRegression(), {}), "accuracy", "gap")
    with pytest.raises(TypeError, match=r"must be a fitted search or a DataFrame .*, got \[1, 2\]"):
        pareto_front([1, 2], "accuracy", "gap")


# ---------------------------------------------------------------------- the hypervolume
def test_the_area_by_hand():
    assert hypervolume([[3, 1], [1, 2]], reference=(0, 0)) == 4
    assert hypervolume([[3, 1], [1, 2], [1, 1], [np.nan, 9], [-1, 9], [9, 0]], reference=(0, 0)) == 4
    assert hypervolume([[3, 1], [1, 2]], reference=(-1, 0)) == 6  # 4 * 1 + 2 * 1
    assert hypervolume([[3, 1]], reference=(3, 0)) == 0
    assert hypervolume(np.empty((0, 2)), reference=(0, 0)) == 0


def test_the_area_of_a_search(search):
    found = search.cv_results_
    values = np.column_stack([found["mean_test_accuracy"], found["mean_test_loss"]])
    area = hypervolume(search, "accuracy", "loss", reference=(0.3, -1))
    assert area == pytest.approx(hypervolume(values, reference=(0.3, -1)))
    assert area > 0


@settings(max_examples=100, deadline=None)
@given(points(), arrays(float, 2, elements=few))
def test_two_scores_as_moocore(values, reference):
    moocore = pytest.importorskip("moocore")
    expected = moocore.hypervolume(values, ref=reference, maximise=True)
    assert hypervolume(values, reference=reference) == pytest.approx(expected)


def test_two_scores_as_moocore_on_random_points():
    moocore = pytest.importorskip("moocore")
    values = np.random.default_rng(0).normal(size=(200, 2))
    expected = moocore.hypervolume(values, ref=(-1, -2), maximise=True)
    assert hypervolume(values, reference=(-1, -2)) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(points())
def test_the_front_has_the_whole_area(values):
    frame = table(a=values[:, 0], b=values[:, 1])
    whole = hypervolume(frame, "a", "b", reference=(0, 0))
    assert hypervolume(pareto_front(frame, "a", "b"), "a", "b", reference=(0, 0)) == whole
    assert hypervolume(frame, "b", "a", reference=(0, 0)) == whole
    assert hypervolume(frame.iloc[1:], "a", "b", reference=(0, 0)) <= whole


def test_three_scores_by_inclusion_and_exclusion():
    pytest.importorskip("moocore")
    values = np.random.default_rng(0).uniform(-0.2, 1, size=(5, 3))
    sides = values.clip(0)
    expected = sum(
        (-1) ** (size + 1) * sides[list(chosen)].min(axis=0).prod()
        for size in range(1, 6)
        for chosen in combinations(range(5), size)
    )
    assert hypervolume(values, reference=(0, 0, 0)) == pytest.approx(expected)
    frame = table(a=values[:, 0], b=values[:, 1], c=values[:, 2])
    assert hypervolume(frame, "c", "a", "b", reference=(0, 0, 0)) == pytest.approx(expected)
    assert hypervolume(values, reference=(2, 0, 0)) == 0


def test_three_scores_without_moocore(monkeypatch):
    monkeypatch.setitem(sys.modules, "moocore", None)
    with pytest.raises(ImportError, match=r"pip install 'skfair\[pareto\]'"):
        hypervolume([[1, 1, 1]], reference=(0, 0, 0))
    assert hypervolume([[1, 1]], reference=(0, 0)) == 1


@pytest.mark.parametrize("reference", [(0,), (0, 0, 0), 0, (0, np.nan), (-np.inf, 0)])
def test_the_reference_is_one_finite_number_per_score(reference):
    with pytest.raises(ValueError, match=r"reference must be 2 finite numbers, got .*"):
        hypervolume([[1, 1]], reference=reference)


def test_one_score_has_no_area(search):
    for found, names in ((search, ()), (search, ("accuracy",)), ([[1], [2]], ()), ([1, 2], ())):
        with pytest.raises(ValueError, match="at least two scores"):
            hypervolume(found, *names, reference=(0,))
