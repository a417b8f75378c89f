"""Equal to fairlearn wherever fairlearn's cells are not empty, and usable inside its MetricFrame."""

import fairlearn.metrics as F
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skfair import metrics as M

SHARED = [
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equal_opportunity_difference",
    "equal_opportunity_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
]


@st.composite
def problems(draw):
    n_groups = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2 * n_groups, 60))
    y, a = rng.integers(2, size=n), rng.integers(n_groups, size=n)
    p = (rng.random(n) < draw(st.floats(0.05, 0.95))).astype(int)
    weight = draw(st.sampled_from([None, "integer", "float"]))
    weight = {None: None, "integer": rng.integers(1, 5, size=n), "float": rng.random(n) + 0.01}[weight]
    return y, p, a, weight


def full(y, a):
    return all(len(set(y[a == g])) == 2 for g in set(a.tolist()))


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("method", ["between_groups", "to_overall"])
@settings(max_examples=20, deadline=None, database=None)
@given(problem=problems())
def test_equal_to_fairlearn(name, method, problem):
    y, p, a, weight = problem
    assume(full(y, a) and p.any() and p[y == 0].any() and p[y == 1].any())
    options = {"sensitive_features": a, "sample_weight": weight, "method": method}
    assert getattr(M, name)(y, p, **options) == pytest.approx(getattr(F, name)(y, p, **options), abs=1e-12)


@settings(max_examples=10, deadline=None, database=None)
@given(problem=problems(), agg=st.sampled_from(["worst_case", "mean"]))
def test_equalized_odds_agg(problem, agg):
    y, p, a, weight = problem
    assume(full(y, a) and p[y == 0].any() and p[y == 1].any())
    options = {"sensitive_features": a, "sample_weight": weight, "agg": agg}
    for name in ("equalized_odds_difference", "equalized_odds_ratio"):
        assert getattr(M, name)(y, p, **options) == pytest.approx(getattr(F, name)(y, p, **options), abs=1e-12)


def test_by_group_table_equals_metric_frame():
    rng = np.random.default_rng(0)
    y, p, w = rng.integers(2, size=500), rng.integers(2, size=500), rng.random(500)
    A = pd.DataFrame({"sex": rng.choice(["f", "m"], 500), "race": rng.choice(["a", "b", "c"], 500)})
    metrics = {"selection_rate": F.selection_rate, "TPR": F.true_positive_rate, "FPR": F.false_positive_rate}
    frame = F.MetricFrame(
        metrics=metrics,
        y_true=y,
        y_pred=p,
        sensitive_features=A,
        sample_params={name: {"sample_weight": w} for name in metrics},
    )
    report = M.group_report(y, p, sensitive_features=A, sample_weight=w, n_boot=0)
    pd.testing.assert_frame_equal(report.by_group[list(metrics)], frame.by_group, check_dtype=False)
    pd.testing.assert_series_equal(report.overall[list(metrics)], frame.overall, check_names=False, check_dtype=False)


@pytest.mark.parametrize("name", ["equalized_odds_difference", "worst_group_accuracy", "demographic_parity_sum"])
def test_inside_metric_frame_with_control_features(name):
    rng = np.random.default_rng(0)
    y, p, a, c = rng.integers(2, size=(4, 400))
    sex, w = pd.Series(np.where(a == 1, "f", "m"), name="sex"), rng.random(400)
    metric = getattr(M, name)
    frame = F.MetricFrame(
        metrics={"gap": metric},
        y_true=y,
        y_pred=p,
        sensitive_features=pd.Series(c, name="control"),
        sample_params={"gap": {"sensitive_features": sex, "sample_weight": w}},
    )
    for level in (0, 1):
        k = c == level
        expected = metric(y[k], p[k], sensitive_features=sex[k], sample_weight=w[k])
        assert frame.by_group.loc[level, "gap"] == pytest.approx(expected)
    controlled = F.MetricFrame(
        metrics={"gap": metric},
        y_true=y,
        y_pred=p,
        sensitive_features=sex,
        control_features=pd.Series(c, name="control"),
        sample_params={"gap": {"sensitive_features": sex, "sample_weight": w}},
    )
    assert controlled.overall.loc[1, "gap"] == pytest.approx(frame.by_group.loc[1, "gap"])
