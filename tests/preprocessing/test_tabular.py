"""make_tabular_preprocessor: every column type in, dense numbers with names out."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skfair.preprocessing import make_tabular_preprocessor


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "age": [20, 30, 40, 50],
            "pay": [1.0, np.nan, 3.0, 5.0],
            "job": ["nurse", None, "cook", "nurse"],
            "city": pd.Categorical(["A", "B", "A", np.nan]),
            "flag": [True, False, True, True],
            "mixed": pd.Series([1, "a", 2.5, None], dtype=object),
        }
    )


def test_names_and_values(frame):
    out = make_tabular_preprocessor().set_output(transform="pandas").fit_transform(frame)
    assert list(out.columns) == [
        *("age", "pay", "missingindicator_pay", "job_cook", "job_missing", "job_nurse"),
        *("city_A", "city_B", "city_missing", "flag_False", "flag_True", "mixed_1", "mixed_2.5", "mixed_a"),
        "mixed_missing",
    ]
    assert out["age"].mean() == pytest.approx(0)
    assert out["age"].std(ddof=0) == pytest.approx(1)
    assert out["pay"].iloc[1] == pytest.approx(out["pay"].iloc[2])  # the median is 3
    assert out["missingindicator_pay"].tolist() == [0, 1, 0, 0]
    onehot = out.filter(regex="^(job|city|flag|mixed)_")
    assert (onehot.sum(axis=1) == 4).all()
    assert out.to_numpy().dtype == np.float64


def test_array_output_agrees_with_names(frame):
    preprocessor = make_tabular_preprocessor().fit(frame)
    out = preprocessor.transform(frame)
    assert isinstance(out, np.ndarray)
    assert out.dtype == np.float64
    assert out.shape == (4, len(preprocessor.get_feature_names_out()))
    assert np.isfinite(out.astype(np.float32)).all()
    assert preprocessor.n_features_in_ == 6


def test_unknown_and_newly_missing_categories(frame):
    new = frame.assign(job="pilot", flag=None)
    onehot = make_tabular_preprocessor().set_output(transform="pandas").fit(frame).transform(new)
    assert (onehot.filter(regex="^(job|flag)_") == 0).all(axis=None)
    ordinal = make_tabular_preprocessor(categorical="ordinal").set_output(transform="pandas").fit(frame)
    assert (ordinal.transform(new)[["job", "flag"]] == -1).all(axis=None)
    assert ordinal.transform(frame)["job"].tolist() == [2, 1, 0, 2]


def test_newly_missing_number(frame):
    out = make_tabular_preprocessor().fit(frame).transform(frame.assign(age=np.nan))
    assert np.isfinite(out).all()


@pytest.mark.parametrize("numeric", ["standard", "quantile", "minmax", "passthrough"])
@pytest.mark.parametrize("categorical", ["onehot", "ordinal"])
def test_all_options_are_finite_and_dense(numeric, categorical):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=1200), "b": rng.choice(list("xyz"), 1200), "empty": np.nan, "one": 1.0})
    X.loc[::7, "a"] = np.nan
    out = make_tabular_preprocessor(numeric=numeric, categorical=categorical).fit_transform(X)
    assert isinstance(out, np.ndarray)
    assert np.isfinite(out).all()
    if numeric == "minmax":
        assert out.min() == 0
        assert out[:, 0].max() == pytest.approx(1)


def test_an_unknown_category_is_one_of_the_rare_ones():
    X = pd.DataFrame({"job": list("aaabbc")})
    for options in ({"max_categories": 2}, {"min_frequency": 3}):
        made = make_tabular_preprocessor(**options).fit(X)
        assert made.transform(pd.DataFrame({"job": ["a", "c", "z"]})).tolist() == [[1, 0], [0, 1], [0, 1]]


def test_min_frequency_merges_rare_categories():
    X = pd.DataFrame({"b": ["x"] * 10 + ["y"] * 10 + ["r1", "r2"]})
    preprocessor = make_tabular_preprocessor(min_frequency=5).fit(X)
    assert list(preprocessor.get_feature_names_out()) == ["b_x", "b_y", "b_infrequent_sklearn"]
    assert preprocessor.transform(pd.DataFrame({"b": ["new"]})).tolist() == [[0, 0, 1]]
    limited = make_tabular_preprocessor(max_categories=2).fit(X)
    assert len(limited.get_feature_names_out()) == 2


@pytest.mark.parametrize("columns", [["age", "pay"], ["job", "city", "flag"]])
def test_one_kind_only(frame, columns):
    preprocessor = make_tabular_preprocessor().fit(frame[columns])
    assert preprocessor.transform(frame[columns]).shape[1] == len(preprocessor.get_feature_names_out())


def test_no_missing_values_no_indicator(frame):
    out = make_tabular_preprocessor().fit(frame[["age"]]).get_feature_names_out()
    assert list(out) == ["age"]
    out = make_tabular_preprocessor(add_indicator=False).fit(frame[["pay"]]).get_feature_names_out()
    assert list(out) == ["pay"]


def test_pandas_nullable_types():
    X = pd.DataFrame({"i": pd.array([1, None, 3], dtype="Int64"), "b": pd.array([True, None, False], dtype="boolean")})
    X["s"] = pd.array(["u", None, "v"], dtype="string")
    preprocessor = make_tabular_preprocessor().fit(X)
    assert list(preprocessor.get_feature_names_out()) == [
        *("i", "missingindicator_i", "b_False", "b_True", "b_missing", "s_missing", "s_u", "s_v")
    ]
    assert np.isfinite(preprocessor.transform(X)).all()


def test_numbers_as_categories_are_compared_as_text():
    X = pd.DataFrame({"code": pd.Categorical([1, 2, 1])})
    preprocessor = make_tabular_preprocessor().fit(X)
    other = pd.DataFrame({"code": pd.Series([1.0, "2", None], dtype=object)})
    assert preprocessor.transform(other).tolist() == [[1, 0], [0, 1], [0, 0]]


def test_polars_gives_the_same(frame):
    pl = pytest.importorskip("polars")
    plain = frame.drop(columns=["mixed"])
    same = pl.DataFrame({name: [None if pd.isna(v) else v for v in plain[name]] for name in plain})
    same = same.with_columns(pl.col("city").cast(pl.Categorical))
    expected = make_tabular_preprocessor().fit(plain)
    found = make_tabular_preprocessor().fit(same)
    assert list(found.get_feature_names_out()) == list(expected.get_feature_names_out())
    np.testing.assert_array_equal(found.transform(same), expected.transform(plain))
    out = make_tabular_preprocessor().set_output(transform="polars").fit_transform(same)
    assert isinstance(out, pl.DataFrame)
    assert out.columns == list(expected.get_feature_names_out())
    with pytest.raises(TypeError, match="column 'when' has type Date"):
        make_tabular_preprocessor().fit(pl.DataFrame({"when": [pd.Timestamp("2020-01-01").date()]}))


def test_numpy_arrays():
    X = np.array([[1.0, np.nan], [3.0, 4.0]])
    assert make_tabular_preprocessor().fit_transform(X).tolist() == [[-1, 0, 1], [1, 0, 0]]
    assert make_tabular_preprocessor().fit_transform(np.array([[1, 0], [0, 1]])).shape == (2, 2)
    with pytest.raises(TypeError, match="got one of dtype object"):
        make_tabular_preprocessor().fit(np.array([["a", 1]], dtype=object))


def test_boolean_array_and_column_without_values():
    with pytest.raises(TypeError, match="got one of dtype bool"):
        make_tabular_preprocessor().fit(np.array([[True], [False]]))
    X = pd.DataFrame({"none": pd.Series([None, None], dtype=object), "a": [1.0, 2.0]})
    assert make_tabular_preprocessor().fit_transform(X).tolist() == [[-1, 1], [1, 1]]


def test_sparse_and_lists_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="got csr_array"):
        make_tabular_preprocessor().fit(sparse.csr_array(np.eye(3)))


def test_column_names_that_are_no_text():
    X = pd.DataFrame({7: [1.0, 2.0], 3: ["a", "b"]})
    assert make_tabular_preprocessor().fit_transform(X).tolist() == [[-1, 1, 0], [1, 0, 1]]


@pytest.mark.parametrize(
    "values",
    [
        pd.to_datetime(["2020-01-01", "2020-01-02"]),
        pd.to_timedelta([1, 2], unit="D"),
        np.array([1j, 2j]),
        pd.period_range("2020", periods=2, freq="Y"),
    ],
)
def test_types_that_cannot_be_encoded(values):
    with pytest.raises(TypeError, match="column 'when' has type .* expected numbers"):
        make_tabular_preprocessor().fit(pd.DataFrame({"a": [1, 2], "when": values}))


@pytest.mark.parametrize("value", [[1], {"a": 1}, pd.Timestamp("2020-01-01"), (1, 2)])
def test_objects_that_are_no_categories(value):
    X = pd.DataFrame({"odd": pd.Series([value, value, None], dtype=object)})
    with pytest.raises(TypeError, match="column 'odd' holds"):
        make_tabular_preprocessor().fit(X)


def test_column_order_at_transform_does_not_matter(frame):
    preprocessor = make_tabular_preprocessor().fit(frame)
    np.testing.assert_array_equal(preprocessor.transform(frame[frame.columns[::-1]]), preprocessor.transform(frame))
    with pytest.raises(ValueError, match="columns are missing"):
        preprocessor.transform(frame.drop(columns=["job"]))


def test_infinity_is_refused(frame):
    with pytest.raises(ValueError, match="infinity"):
        make_tabular_preprocessor().fit(frame.assign(pay=np.inf))


@pytest.mark.parametrize("bad", [{"numeric": "log"}, {"categorical": "hash"}, {"numeric": None}])
def test_unknown_options(bad):
    (value,) = bad.values()
    with pytest.raises(ValueError, match=f"must be one of .* got {value!r}"):
        make_tabular_preprocessor(**bad)


def test_clone_and_pickle(frame):
    preprocessor = clone(make_tabular_preprocessor(numeric="quantile", categorical="ordinal"))
    preprocessor.fit(pd.concat([frame] * 300, ignore_index=True))
    again = pickle.loads(pickle.dumps(preprocessor))
    np.testing.assert_array_equal(again.transform(frame), preprocessor.transform(frame))


def test_pipeline_and_grid_search(frame):
    X, y = pd.concat([frame] * 10, ignore_index=True), np.array([0, 1, 0, 1] * 10)
    model = make_pipeline(make_tabular_preprocessor(), LogisticRegression())
    search = GridSearchCV(model, {"columntransformer__categorical__encoder__min_frequency": [None, 8]}, cv=2).fit(X, y)
    assert search.best_score_ == 1.0


# ---------------------------------------------------------------------- frequent values of numeric columns
@pytest.fixture
def spiked():
    gain = np.r_[np.zeros(12), [7, 7, 7, 7], [1.5, 2.5, 3.5, 4.5]]
    return pd.DataFrame({"gain": gain, "age": np.arange(20) + 0.5, "flat": 3.0, "job": ["a", "b"] * 10})


def test_frequent_values_get_columns_beside_the_scaled_one(spiked):
    made = make_tabular_preprocessor(frequent_values=0.2).set_output(transform="pandas").fit(spiked)
    out = made.transform(spiked)
    spikes = ["gain_0.0", "gain_7.0", "gain_infrequent_sklearn"]  # of age none is frequent, flat has one value
    assert list(out.columns) == ["gain", "age", "flat", *spikes, "job_a", "job_b"]
    assert out["gain_0.0"].tolist() == [1] * 12 + [0] * 8
    assert out["gain_7.0"].tolist() == [0] * 12 + [1] * 4 + [0] * 4
    assert (out[spikes].sum(axis=1) == 1).all()  # a block, which a transformer reads as one token
    plain = make_tabular_preprocessor().set_output(transform="pandas").fit_transform(spiked)
    pd.testing.assert_frame_equal(out.drop(columns=spikes), plain)
    unseen = made.transform(spiked.assign(gain=99.0))
    assert (unseen["gain_infrequent_sklearn"] == 1).all()


def test_the_share_decides_which_values_are_frequent(spiked):
    for share, names in ((0.5, {"gain_0.0"}), (0.2, {"gain_0.0", "gain_7.0"})):
        out = make_tabular_preprocessor(frequent_values=share).set_output(transform="pandas").fit_transform(spiked)
        assert {name for name in out.columns if name.startswith("gain_") and "infrequent" not in name} == names
    every = make_tabular_preprocessor(frequent_values=0.05).set_output(transform="pandas").fit_transform(spiked)
    assert {"age_0.5", "age_19.5", "gain_1.5"} <= set(every.columns)


def test_missing_values_among_the_frequent_ones(spiked):
    spiked.loc[:5, "gain"] = np.nan
    out = make_tabular_preprocessor(frequent_values=0.2).set_output(transform="pandas").fit_transform(spiked)
    assert out["gain_nan"].tolist() == out["missingindicator_gain"].tolist() == [1] * 6 + [0] * 14
    assert np.isfinite(out.to_numpy()).all()


def test_frequent_values_of_arrays_polars_and_none(spiked):
    table = spiked.drop(columns="job")
    out = make_tabular_preprocessor(frequent_values=0.2).fit_transform(table)
    assert np.array_equal(make_tabular_preprocessor(frequent_values=0.2).fit_transform(table.to_numpy()), out)
    polars = pytest.importorskip("polars")
    assert np.array_equal(make_tabular_preprocessor(frequent_values=0.2).fit_transform(polars.from_pandas(table)), out)
    unnamed = table.set_axis(range(3), axis=1)
    assert np.array_equal(make_tabular_preprocessor(frequent_values=0.2).fit_transform(unnamed), out)
    smooth = table[["age"]]  # nothing is frequent
    assert make_tabular_preprocessor(frequent_values=0.2).fit_transform(smooth).shape == (20, 1)
    made = pickle.loads(pickle.dumps(clone(make_tabular_preprocessor(frequent_values=0.2)).fit(table)))
    assert np.array_equal(made.transform(table), out)
    for value in (0.2, 3):  # stable, without an address in memory
        (chosen,) = [
            columns
            for name, _, columns in make_tabular_preprocessor(frequent_values=value).transformers
            if name == "frequent"
        ]
        assert re.fullmatch(rf"\w+Columns\({value}(, .*)?\)", repr(chosen))


@pytest.mark.parametrize("bad", [0, -0.1, 0.6, 1, -3, 0.0, 1.0, 5.0, float("nan"), True, False, "0.01", [3]])
def test_a_bad_share_or_count_raises(bad):
    match = r"frequent_values must be a count >= 2, a share > 0 and <= 0.5, or None, got " + re.escape(repr(bad))
    with pytest.raises(ValueError, match=match):
        make_tabular_preprocessor(frequent_values=bad)


@pytest.mark.parametrize("bad", [0, 1, -1, 2.0, 0.5, True, "10"])
def test_a_bad_number_of_columns_raises(bad):
    with pytest.raises(ValueError, match=rf"max_frequent must be an integer >= 2 or None, got {bad!r}"):
        make_tabular_preprocessor(frequent_values=3, max_frequent=bad)


def spikes_of(table, **options):
    """Names of the columns for frequent values of gain."""
    out = make_tabular_preprocessor(**options).set_output(transform="pandas").fit_transform(table)
    return [name for name in out.columns if name.startswith("gain_")]


@pytest.mark.parametrize("count", [2, 4, 5, 12, 13, np.int64(4)])
def test_a_count_is_a_number_of_rows(spiked, count):
    values = [name for name, rows in (("gain_0.0", 12), ("gain_7.0", 4)) if rows >= count]
    expected = [*values, "gain_infrequent_sklearn"] if values else []
    assert spikes_of(spiked, frequent_values=count) == expected
    twice = pd.concat([spiked, spiked], ignore_index=True)
    assert "gain_7.0" in spikes_of(twice, frequent_values=8)  # rows, whatever their share
    assert spikes_of(twice, frequent_values=9) == ["gain_0.0", "gain_infrequent_sklearn"]
    assert spikes_of(twice, frequent_values=0.2) == spikes_of(spiked, frequent_values=0.2)


def test_a_count_equals_the_share_that_it_is(spiked):
    X = spiked.drop(columns="flat")
    for count in (2, 4, 8):
        by_count, by_share = (
            make_tabular_preprocessor(frequent_values=value).fit_transform(X) for value in (count, count / 20)
        )
        np.testing.assert_array_equal(by_count, by_share)


def test_at_most_so_many_columns_those_of_the_most_frequent_values():
    gain = np.repeat(np.arange(10.0), np.arange(1, 11))  # the value k has k + 1 rows
    X = pd.DataFrame({"gain": gain})
    assert len(spikes_of(X, frequent_values=3)) == 9  # 2 to 9, and the rest
    for most in (2, 3, 5, 8):
        expected = [f"gain_{float(k)}" for k in range(11 - most, 10)]  # the last column is the one for all others
        found = spikes_of(X, frequent_values=3, max_frequent=most)
        assert found == [*expected, "gain_infrequent_sklearn"]
        made = make_tabular_preprocessor(frequent_values=3, max_frequent=most).fit(X)
        assert (made.transform(X)[:, 1:].sum(1) == 1).all()
    every = spikes_of(X, frequent_values=3, max_frequent=None)
    assert every == spikes_of(X, frequent_values=3, max_frequent=9) == spikes_of(X, frequent_values=3)
    many = pd.DataFrame({"gain": np.r_[np.repeat(np.arange(150.0), 3), np.zeros(50)]})
    assert len(spikes_of(many, frequent_values=3)) == 100
    assert len(spikes_of(many, frequent_values=3, max_frequent=None)) == 150


def test_so_many_values_are_told_apart_and_of_more_the_spikes_alone():
    few, many = (pd.DataFrame({"gain": np.r_[np.zeros(100), np.repeat(np.arange(1.0, n), 2)]}) for n in (255, 256))
    assert len(spikes_of(few, frequent_values=2, max_frequent=None)) == 255
    for value in (2, 0.3):  # of many values ``spike`` alone decides, here 0.03
        assert spikes_of(many, frequent_values=value, max_frequent=None) == ["gain_0.0", "gain_infrequent_sklearn"]


def test_missing_values_alone_may_be_the_frequent_ones():
    X = pd.DataFrame({"gain": np.r_[np.full(10, np.nan), np.arange(10.0)]})
    assert spikes_of(X, frequent_values=3) == ["gain_nan", "gain_infrequent_sklearn"]


def test_frequent_values_of_nullable_and_of_whole_numbers():
    values = [1, None, 1, 2, 3, 1]
    X = pd.DataFrame({"i": pd.array(values, dtype="Int64"), "f": pd.array(values, dtype="Float64")})
    found = make_tabular_preprocessor(frequent_values=2).fit(X)
    plain = make_tabular_preprocessor(frequent_values=2).fit(X.astype(float))
    np.testing.assert_array_equal(found.transform(X), plain.transform(X.astype(float)))
    assert found.transform(X)[:, 2].tolist() == [1, 0, 1, 0, 0, 1]
    whole = pd.DataFrame({"n": [0, 0, 0, 4, 5, 6]})
    made = make_tabular_preprocessor(frequent_values=2).fit(whole)
    np.testing.assert_array_equal(made.transform(whole), made.transform(whole.astype(float)))
    assert made.transform(pd.DataFrame({"n": [0.0, 0.5]}))[:, 1:].tolist() == [[1, 0], [0, 1]]


def test_ranks_of_few_rows_are_normal_scores_without_a_warning():
    X = pd.DataFrame({"a": np.arange(9.0) ** 3})
    made = make_tabular_preprocessor(numeric="quantile").fit(X)  # warnings are errors here
    scores = made.transform(X)[:, 0]
    assert scores[4] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(scores, -scores[::-1], atol=1e-9)
    assert np.all(np.diff(scores) > 0)
    assert made.transform(pd.DataFrame({"a": [1e9, -1e9]}))[:, 0].tolist() == [scores[-1], scores[0]]
    assert "NormalScores(" in repr(made)
    assert np.array_equal(pickle.loads(pickle.dumps(clone(made).fit(X))).transform(X)[:, 0], scores)


@pytest.mark.parametrize("bad", [-0.1, 1.5, "x", True, None])
def test_a_bad_spike_raises(bad):
    with pytest.raises(ValueError, match=f"spike must be .*got {bad!r}"):
        make_tabular_preprocessor(frequent_values=3, spike=bad)
