"""best_within: the best candidate among those that are fair enough."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from skfair.metrics import get_scorer
from skfair.model_selection import best_within


def results(**scores):
    return {f"mean_test_{name}": np.asarray(values, dtype=float) for name, values in scores.items()}


def test_the_best_within_the_bound_wins():
    assert best_within(gap=0.1)(results(accuracy=[0.9, 0.8, 0.85], gap=[-0.2, -0.05, -0.1])) == 2


def test_other_objectives_and_several_bounds():
    scores = results(f1=[0.9, 0.8, 0.7], gap=[-0.05, -0.05, -0.01], ratio=[0.5, 0.85, 0.9])
    assert best_within(objective="f1", gap=0.1)(scores) == 0
    assert best_within(objective="f1", gap=0.1, at_least={"ratio": 0.8})(scores) == 1
    assert best_within(objective="f1", at_least={"ratio": 0.9})(scores) == 2


def test_ties_go_to_the_smaller_gap_then_to_the_earlier():
    assert best_within(gap=0.1)(results(accuracy=[0.8, 0.8, 0.8], gap=[-0.1, -0.02, -0.02])) == 1


def test_none_within_warns_and_takes_the_smallest_violation():
    rule = best_within(gap=0.01, other=0.1)
    with pytest.warns(UserWarning, match="no candidate is within the bounds.*candidate 1.*0.04"):
        assert rule(results(accuracy=[0.9, 0.8], gap=[-0.2, -0.05], other=[-0.1, -0.1])) == 1


def test_the_violations_of_several_bounds_are_added():
    scores = results(accuracy=[0.8, 0.9], gap=[-0.3, -0.25], other=[-0.1, -0.25])  # 0.2 + 0 and 0.15 + 0.15 too much
    with pytest.warns(UserWarning, match="candidate 0, whose violation is the smallest: 0.2 in total"):
        assert best_within(gap=0.1, other=0.1)(scores) == 0


def test_room_under_one_bound_makes_up_for_no_other():
    assert best_within(gap=0.3, other=0.1)(results(accuracy=[0.9, 0.8], gap=[0, -0.3], other=[-0.2, -0.1])) == 1


def test_of_equal_violations_the_better_candidate_is_taken():
    with pytest.warns(UserWarning, match="candidate 1"):
        assert best_within(gap=0.1)(results(accuracy=[0.7, 0.8, 0.9], gap=[-0.2, -0.2, -0.5])) == 1


def test_of_equal_candidates_the_larger_ratio_wins():
    assert best_within(at_least={"ratio": 0.8})(results(accuracy=[0.7, 0.7], ratio=[0.85, 0.9])) == 1


def test_rounding_breaks_no_bound():
    assert best_within(gap=0.3)(results(accuracy=[0.9, 0.8], gap=[-(0.1 + 0.2), -0.1])) == 0


def test_nan_never_wins():
    assert best_within(gap=0.1)(results(accuracy=[0.9, np.nan, 0.7], gap=[np.nan, -0.01, -0.05])) == 2
    with pytest.warns(UserWarning, match="candidate 1"):
        assert best_within(gap=0.1)(results(accuracy=[0.9, 0.8], gap=[np.nan, -0.5])) == 1
    with pytest.raises(ValueError, match="every candidate has a NaN score"):
        best_within(gap=0.1)(results(accuracy=[np.nan], gap=[-0.1]))


def test_unknown_scores_list_those_present():
    with pytest.raises(ValueError, match=r"'gap', the search has \['accuracy', 'eo'\]"):
        best_within(gap=0.1)(results(accuracy=[1], eo=[0]))
    with pytest.raises(ValueError, match="'accuracy', the search has"):
        best_within(gap=0.1)(results(gap=[0]))


@pytest.mark.parametrize(
    "bounds", [{}, {"gap": "small"}, {"gap": np.nan}, {"gap": True}, {"at_least": {"ratio": None}}]
)
def test_bounds_must_be_numbers(bounds):
    with pytest.raises(ValueError, match="bound"):
        best_within(**bounds)


def test_gaps_that_are_not_negated_are_noticed():
    with pytest.warns(UserWarning, match="scores above 0 on 'gap'"):
        best_within(gap=0.1)(results(accuracy=[0.9, 0.8], gap=[0.5, 0.05]))


def test_it_pickles_clones_and_reads_well():
    rule = best_within(gap=0.1, at_least={"ratio": 0.8})
    assert pickle.loads(pickle.dumps(rule)) == rule
    search = clone(GridSearchCV(LogisticRegression(), {}, refit=rule))
    assert search.refit == rule
    assert repr(rule) == "best_within(objective='accuracy', at_least={'ratio': 0.8}, gap=0.1)"


@pytest.mark.parametrize("bound", [10.0, "median"])
def test_in_a_search(bound):
    X, y = make_classification(300, flip_y=0.1, random_state=0)
    A = np.where(X[:, 0] > 0, "f", "m")
    scoring = {"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference")}
    grid = {"C": [1e-3, 1e-2, 1.0]}
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(LogisticRegression(), grid, cv=3, scoring=scoring, refit="accuracy")
        scores = search.fit(X, y, sensitive_features=A).cv_results_
        accuracy, gap = scores["mean_test_accuracy"], -scores["mean_test_gap"]
        bound = float(np.median(gap)) if bound == "median" else bound
        search = clone(search).set_params(refit=best_within(gap=bound)).fit(X, y, sensitive_features=A)
    assert search.best_index_ == np.argmax(np.where(gap <= bound, accuracy, -1))
    assert search.best_estimator_.C == grid["C"][search.best_index_]


def test_it_is_no_key_and_says_how_a_grid_search_is_scored():
    X, y = make_classification(60, random_state=0)
    scoring = {"accuracy": "accuracy", "gap": "neg_brier_score"}
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, scoring=scoring, refit=best_within(gap=1), cv=2).fit(X, y)
    with pytest.raises(TypeError, match=r"scorer_\['accuracy'\]"):
        search.score(X, y)
    assert search.scorer_["accuracy"](search, X, y) == search.best_estimator_.score(X, y)
