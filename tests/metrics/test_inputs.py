"""What may be passed, what may not, and what happens to empty cells."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import skfair
from skfair import metrics as M
from skfair.metrics import UndefinedGapWarning
from skfair.metrics._counts import count

ROOT = Path(skfair.__file__).parents[1]
RNG = np.random.default_rng(0)
N = 240
Y, P = RNG.integers(2, size=(2, N))
SEX = RNG.choice(["f", "m"], N)
RACE = RNG.choice(["a", "b", "c"], N)
LABEL_METRICS = sorted(set(M.get_scorer_names()) - {"score_kl", "equal_opportunity_at_calibrated_threshold"})
PRIVILEGED = {"signed_equalized_odds", "selection_rate_ratio"}


def options(name, privileged="m"):
    return {"privileged": privileged} if name in PRIVILEGED else {}


ONE_COLUMN = {
    "list": SEX.tolist(),
    "tuple": tuple(SEX.tolist()),
    "array": SEX,
    "object array": SEX.astype(object),
    "column": SEX[:, None],
    "Series": pd.Series(SEX, index=np.arange(N)[::-1]),
    "categorical": pd.Series(SEX, dtype="category"),
    "DataFrame": pd.DataFrame({"sex": SEX}),
    "dict": {"sex": SEX},
    "polars Series": pl.Series("sex", SEX),
    "polars DataFrame": pl.DataFrame({"sex": SEX}),
}
TWO_COLUMNS = {
    "list of lists": [list(row) for row in zip(SEX.tolist(), RACE.tolist())],
    "array": np.column_stack([SEX, RACE]),
    "DataFrame": pd.DataFrame({"sex": SEX, "race": RACE}),
    "mixed": pd.DataFrame({"sex": SEX == "m", "race": pd.Series(RACE, dtype="category")}),
    "polars": pl.DataFrame({"sex": SEX, "race": RACE}),
}


@pytest.mark.parametrize("kind", ONE_COLUMN)
def test_one_column_in_any_container(kind):
    expected = abs(P[SEX == "f"].mean() - P[SEX == "m"].mean())
    assert M.demographic_parity_difference(Y, P, sensitive_features=ONE_COLUMN[kind]) == pytest.approx(expected)
    assert count(Y, P, ONE_COLUMN[kind]).groups == ["f", "m"]


@pytest.mark.parametrize("kind", TWO_COLUMNS)
def test_several_columns_make_intersections(kind):
    rates = [P[(SEX == s) & (RACE == r)].mean() for s in "fm" for r in "abc"]
    gap = M.demographic_parity_difference(Y, P, sensitive_features=TWO_COLUMNS[kind])
    assert gap == pytest.approx(max(rates) - min(rates))
    if kind != "mixed":
        assert count(Y, P, TWO_COLUMNS[kind]).groups == [(s, r) for s in "fm" for r in "abc"]


def test_intersections_that_do_not_occur_are_no_groups():
    assert count([0, 1], [0, 1], [["f", "a"], ["m", "b"]]).groups == [("f", "a"), ("m", "b")]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_values_are_a_group(missing):
    column = SEX.astype(object)
    column[:60] = missing
    table = count(Y, P, column)
    assert table.groups == ["f", "m", "missing"]
    assert table.counts[2].sum() == 60
    assert count(Y, P, pd.Series(column)).groups == ["f", "m", "missing"]
    both = count(Y, P, pd.DataFrame({"sex": column, "race": RACE}))
    assert ("missing", "a") in both.groups


def test_missing_floats_and_polars_nulls():
    assert count([0, 1, 1], [0, 1, 1], [1.0, np.nan, 0.0]).groups == [0.0, 1.0, "missing"]
    assert count([0, 1, 1], [0, 1, 1], pl.Series(["a", None, "b"])).groups == ["a", "b", "missing"]
    assert count([0, 1, 1], [0, 1, 1], ["missing", None, "b"]).groups == ["b", "missing", "<missing>"]


def test_mixed_types_in_one_column():
    assert count([0, 1, 1], [0, 1, 1], ["a", 1, "b"]).groups == [1, "a", "b"]


@pytest.mark.parametrize("name", LABEL_METRICS)
def test_integer_weights_equal_repetition(name):
    w = RNG.integers(1, 5, size=N)
    weighted = getattr(M, name)(Y, P, sensitive_features=SEX, sample_weight=w, **options(name))
    repeated = [np.repeat(values, w) for values in (Y, P, SEX)]
    assert weighted == pytest.approx(getattr(M, name)(*repeated[:2], sensitive_features=repeated[2], **options(name)))


@pytest.mark.parametrize("name", LABEL_METRICS)
def test_labels_of_any_kind(name):
    metric, names = getattr(M, name), np.array(["no", "yes"])
    expected = metric(Y, P, sensitive_features=SEX, **options(name))
    assert metric(Y == 1, P == 1, sensitive_features=SEX, **options(name)) == expected
    assert metric(2 * Y - 1, 2 * P - 1, sensitive_features=SEX, **options(name)) == expected
    assert metric(Y.astype(float), P, sensitive_features=SEX, **options(name)) == expected
    label = {} if name in ("worst_group_accuracy", "bias_amplification") else {"pos_label": "yes"}
    for y, p in [(names[Y], names[P]), (names[Y].tolist(), pd.Series(names[P])), (pl.Series(names[Y]), names[P])]:
        assert metric(y, p, sensitive_features=SEX, **label, **options(name)) == pytest.approx(expected)
    if label:
        with pytest.raises(ValueError, match=r"pos_label must say which of the labels \['no', 'yes'\]"):
            metric(names[Y], names[P], sensitive_features=SEX, **options(name))
        with pytest.raises(ValueError, match="pos_label='Yes' is no label"):
            metric(names[Y], names[P], sensitive_features=SEX, pos_label="Yes", **options(name))


def test_one_group_has_no_gap():
    for name in LABEL_METRICS:
        if name in PRIVILEGED | {"worst_group_accuracy", "bias_amplification"}:
            continue
        expected = 1.0 if name.endswith("ratio") else 0.0
        assert getattr(M, name)(Y, P, sensitive_features=["f"] * N) == expected


BAD = {
    "length of y_pred": ({"y_pred": P[:-1]}, "y_pred has 239 rows, y_true has 240"),
    "length of groups": (
        {"sensitive_features": SEX[:-1]},
        "sensitive_features 'sensitive_feature_0' has 239 rows, y_true has 240",
    ),
    "length of weights": ({"sample_weight": np.ones(3)}, "sample_weight has 3 rows"),
    "empty": ({"y_true": [], "y_pred": [], "sensitive_features": []}, "y_true is empty"),
    "NaN in y_pred": ({"y_pred": np.where(P, np.nan, 1.0)}, "y_pred has .* missing values"),
    "None in y_true": ({"y_true": [None] + ["a"] * (N - 1)}, "y_true has 1 missing values"),
    "continuous y_pred": ({"y_pred": RNG.random(N)}, "y_pred must hold class labels, got continuous values"),
    "two columns of y": ({"y_pred": np.column_stack([P, P])}, "y_pred must be one-dimensional"),
    "labels of two kinds": ({"y_pred": np.where(P, "yes", "no")}, "labels of one kind"),
    "negative weights": ({"sample_weight": -np.ones(N)}, "sample_weight must be >= 0"),
    "zero weights": ({"sample_weight": np.zeros(N)}, "sample_weight is zero on every row"),
    "NaN weights": ({"sample_weight": np.full(N, np.nan)}, "sample_weight has 240 values that are NaN"),
    "text weights": ({"sample_weight": ["heavy"] * N}, "sample_weight must be numeric"),
    "no groups": ({"sensitive_features": None}, "sensitive_features is needed"),
    "no column": ({"sensitive_features": pd.DataFrame(index=range(N))}, "has no column"),
    "three dimensions": ({"sensitive_features": np.zeros((N, 1, 1))}, "one or two dimensions"),
    "method": ({"method": "between"}, "method must be one of 'between_groups', 'to_overall', got 'between'"),
    "multiclass": ({"multiclass": "sum"}, "multiclass must be one of 'max', 'mean', got 'sum'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    changes, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        M.demographic_parity_difference(**({"y_true": Y, "y_pred": P, "sensitive_features": SEX} | changes))


def test_unhashable_groups_and_bad_choices():
    with pytest.raises(ValueError, match="must hold scalars"):
        M.demographic_parity_difference([0, 1], [0, 1], sensitive_features=pd.Series([["a"], ["b"]]))
    for name, bad in [("equalized_odds_ratio", "agg"), ("equalized_odds_sum", "reduction")]:
        with pytest.raises(ValueError, match=f"{bad} must be one of"):
            getattr(M, name)(Y, P, sensitive_features=SEX, **{bad: "median"})
    with pytest.raises(ValueError, match="outcome must be one of"):
        M.selection_rate_ratio(Y, P, sensitive_features=SEX, privileged="m", outcome="good")


def test_an_empty_cell_leaves_its_group_out_and_is_named():
    y, p, a = [1, 1, 0, 1, 0, 0], [1, 0, 0, 1, 0, 1], ["f", "f", "f", "m", "m", "x"]
    with pytest.warns(UndefinedGapWarning, match=r"TPR is undefined for group 'x' \(no row with y_true == 1\)"):
        assert M.equal_opportunity_difference(y, p, sensitive_features=a) == 0.5  # of f and m; fairlearn says 1
    with pytest.warns(UndefinedGapWarning, match=r"no row in the \(label, group\) cell \(1, 'x'\)"):
        assert M.worst_group_accuracy(y, p, sensitive_features=a) == 0.0
    with pytest.warns(UndefinedGapWarning):
        assert M.equalized_odds_difference(y, p, sensitive_features=a) == 1.0


def test_fewer_than_two_defined_groups_give_nan():
    y, p, a = [1, 0, 0, 0], [1, 0, 0, 1], ["f", "f", "m", "m"]
    for name in ("equal_opportunity_difference", "equalized_odds_difference", "average_odds_difference"):
        with pytest.warns(UndefinedGapWarning, match="the result is NaN"):
            assert np.isnan(getattr(M, name)(y, p, sensitive_features=a))
    assert M.demographic_parity_difference(y, p, sensitive_features=a) == 0.0


def test_a_group_without_weight_is_undefined_not_zero():
    with pytest.warns(UndefinedGapWarning, match="selection rate is undefined for group 'x'"):
        gap = M.demographic_parity_difference(
            [1, 0, 1], [1, 1, 0], sensitive_features=["f", "m", "x"], sample_weight=[0.1, 0.2, 0]
        )
    assert gap == 0.0


def test_tiny_weights_do_not_fill_empty_cells():
    w = RNG.random(N) * 1e-9
    y = np.where(SEX == "m", 0, Y)
    with pytest.warns(UndefinedGapWarning):
        assert np.isnan(M.equal_opportunity_difference(y, P, sensitive_features=SEX, sample_weight=w))


def test_metrics_load_no_torch():
    code = "import sys, skfair.metrics, skfair.model_selection; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


REORDERED = [
    (M.demographic_parity_difference, "y_true", pd.Series(Y), P),
    (M.demographic_parity_difference, "y_pred", Y, pd.Series(P)),
    (M.score_kl, "y_true", pd.Series(Y), P.astype(float)),
]


@pytest.mark.parametrize(("metric", "name", "true", "predicted"), REORDERED)
def test_groups_in_another_order_are_noticed(metric, name, true, predicted):
    """Rows are matched by position: nothing else shows that the groups of other rows stand beside them."""
    groups = pd.Series(SEX)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = metric(true, predicted, sensitive_features=groups[::-1].to_numpy())
        metric(true, predicted, sensitive_features=groups.set_axis(groups.index + 1))  # other labels: nothing is known
        metric(np.asarray(true), np.asarray(predicted), sensitive_features=groups[::-1])
        metric(true, predicted, sensitive_features=groups[::-1].set_axis([0] * len(SEX)))
    with pytest.warns(UserWarning, match=rf"row labels of {name} in another order.*\.loc\[{name}\.index\]"):
        found = metric(true, predicted, sensitive_features=groups[::-1])
    assert found == expected
