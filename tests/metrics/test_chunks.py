"""Reports on rows that come in parts."""

import numpy as np
import pandas as pd
import pytest

from skfair.metrics import group_report, group_report_in_chunks


def rows(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    y, p = rng.integers(0, 2, n), rng.integers(0, 2, n)
    s = pd.DataFrame({
        "sex": rng.choice(["f", "m", None], n, p=[0.4, 0.5, 0.1]), "age": rng.choice([1.5, np.nan, 3.0], n)
    })  # fmt: skip
    return y, p, s, rng.choice([0.5, 1.0, 3.0], n)


def parts(*columns, size=137):
    n = len(columns[0])
    for start in range(0, n, size):
        yield tuple(c[start : start + size] if hasattr(c, "iloc") else c[start : start + size] for c in columns)


def same(a, b):
    pd.testing.assert_frame_equal(a.by_group, b.by_group)
    pd.testing.assert_series_equal(a.overall, b.overall)
    pd.testing.assert_frame_equal(a.gaps, b.gaps)
    assert repr(a) == repr(b)


@pytest.mark.parametrize("size", [1, 137, 1000, 5000])
def test_the_parts_give_the_numbers_of_the_whole(size):
    y, p, s, _ = rows()
    whole = group_report(y, p, sensitive_features=s, random_state=0)
    same(group_report_in_chunks(parts(y, p, s, size=size), random_state=0), whole)


def test_with_weights():
    y, p, s, w = rows()
    whole = group_report(y, p, sensitive_features=s, sample_weight=w, random_state=0)
    found = group_report_in_chunks(parts(y, p, s, w), random_state=0)
    pd.testing.assert_frame_equal(found.by_group, whole.by_group)
    pd.testing.assert_frame_equal(found.gaps, whole.gaps)


def test_weights_of_one_part_may_be_zero():
    y, p, s, w = rows(300)
    w[:137] = 0
    whole = group_report(y, p, sensitive_features=s, sample_weight=w, n_boot=0)
    pd.testing.assert_frame_equal(group_report_in_chunks(parts(y, p, s, w), n_boot=0).gaps, whole.gaps)
    with pytest.raises(ValueError, match="zero on every row"):
        group_report_in_chunks(parts(y, p, s, 0 * w))


@pytest.mark.parametrize(
    ("labels", "pos_label"), [(["no", "yes"], "yes"), ([0, 1, 2], None), ([0, 1, 2], 2), ([-1, 1], None)]
)
def test_labels_of_any_kind(labels, pos_label):
    rng = np.random.default_rng(0)
    y, p, s = (np.asarray(rng.choice(values, 500)) for values in (labels, labels, ["a", "b"]))
    whole = group_report(y, p, sensitive_features=s, pos_label=pos_label, random_state=0)
    same(group_report_in_chunks(parts(y, p, s), pos_label=pos_label, random_state=0), whole)


def test_classes_and_groups_that_only_some_parts_have():
    y, p, s = [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 1], ["b", "a", "a", "b", "a", "b"]
    whole = group_report(y, p, sensitive_features=s, n_boot=0)
    same(
        group_report_in_chunks([(y[:1], p[:1], s[:1]), (y[1:3], p[1:3], s[1:3]), (y[3:], p[3:], s[3:])], n_boot=0),
        whole,
    )


def test_dicts_polars_and_one_pass():
    polars = pytest.importorskip("polars")
    y, p, s, w = rows()
    frame = polars.DataFrame({"y": y, "p": p, "sex": [v if isinstance(v, str) else None for v in s["sex"]], "w": w})
    chunks = (
        {"y_true": part["y"], "y_pred": part["p"], "sensitive_features": part["sex"], "sample_weight": part["w"]}
        for part in frame.iter_slices(200)
    )
    whole = group_report(y, p, sensitive_features=s["sex"], sample_weight=w, random_state=0)
    pd.testing.assert_frame_equal(group_report_in_chunks(chunks, random_state=0).gaps, whole.gaps)


def test_errors_name_the_part():
    good = ([0, 1], [0, 1], ["a", "b"])
    for bad, words in [
        (([0, 1], [0], ["a", "b"]), "chunk 1: y_pred has 1 rows"),
        (([0, 1], [0, 1], ["a"]), "chunk 1: sensitive_features has 1 rows"),
        (([0, 1], [0, 1]), "chunk 1: expected a tuple"),
        ({"y_true": [0], "y": [1]}, "chunk 1: a dict needs the keys"),
        (([0, 1], [0, 1], {"s": ["a", "b"]}), "chunk 1 has the columns"),
        (([0, 1], [0, 1], {"y_true": ["a", "b"]}), "chunk 1: sensitive_features has columns called"),
        (([0, 1], [0, 1], ["a", "b"], [1, -1]), "chunk 1: sample_weight must be >= 0"),
    ]:
        with pytest.raises(ValueError, match=words):
            group_report_in_chunks([good, bad])
    with pytest.raises(ValueError, match="chunks is empty"):
        group_report_in_chunks(iter([]))


def test_many_distinct_weights():
    rng = np.random.default_rng(0)
    y, p, s, w = rng.integers(0, 2, 500), rng.integers(0, 2, 500), rng.integers(0, 2, 500), rng.random(500)
    with pytest.raises(ValueError, match="too many to resample"):
        group_report_in_chunks(parts(y, p, s, w))
    whole = group_report(y, p, sensitive_features=s, sample_weight=w, n_boot=0)
    found = group_report_in_chunks(parts(y, p, s, w), n_boot=0)
    pd.testing.assert_frame_equal(found.gaps, whole.gaps)


# ---------------------------------------------------------------------- frames
def as_polars(frame):
    polars = pytest.importorskip("polars")
    return polars.from_pandas(frame, nan_to_null=False)


def as_dask(frame):
    return pytest.importorskip("dask.dataframe").from_pandas(frame, npartitions=3)


FRAMES = {
    "pandas": lambda frame: frame,
    "polars": as_polars,
    "lazy polars": lambda frame: as_polars(frame).lazy(),
    "dask": as_dask,
    "pyarrow": lambda frame: as_polars(frame).to_arrow(),
}
NAMES = dict(y_true="y", y_pred="p", sensitive_features=["sex", "age"])
every_frame = pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)


def table(n=1000):
    y, p, s, w = rows(n)
    return s.assign(y=y, p=p, w=w, times=1)[["times", "w", "p", "age", "y", "sex"]]


@every_frame
def test_a_frame_gives_the_numbers_of_its_rows(make):
    frame = table()
    whole = group_report(frame["y"], frame["p"], sensitive_features=frame[["sex", "age"]], random_state=0)
    same(group_report_in_chunks(make(frame), **NAMES, random_state=0), whole)
    one = group_report(frame["y"], frame["p"], sensitive_features=frame["sex"], n_boot=0)
    same(group_report_in_chunks(make(frame), y_true="y", y_pred="p", sensitive_features="sex", n_boot=0), one)


@every_frame
def test_a_frame_with_weights(make):
    frame = table()
    given = dict(sensitive_features=frame[["sex", "age"]], sample_weight=frame["w"], random_state=0)
    whole = group_report(frame["y"], frame["p"], **given)
    found = group_report_in_chunks(make(frame), **NAMES, sample_weight="w", random_state=0)
    pd.testing.assert_frame_equal(found.by_group, whole.by_group, rtol=1e-12)
    pd.testing.assert_frame_equal(found.gaps, whole.gaps, rtol=1e-12)


@every_frame
def test_a_frame_of_words_and_of_columns_called_anything(make):
    frame = table().rename(columns={"y": "weight", "p": "y_true", "sex": "key_0"})
    frame = frame.assign(**{name: np.array(["no", "yes"])[frame[name]] for name in ("weight", "y_true")})
    frame["key_0"] = frame["key_0"].astype("category")
    whole = group_report(frame["weight"], frame["y_true"], sensitive_features=frame["key_0"], pos_label="yes", n_boot=0)
    names = dict(y_true="weight", y_pred="y_true", sensitive_features="key_0")
    same(group_report_in_chunks(make(frame), **names, pos_label="yes", n_boot=0), whole)


def test_whole_numbers_with_gaps_are_labelled_as_in_the_frame():
    frame = as_polars(table()).with_columns(code=as_polars(table())["age"].cast(int, strict=False))
    whole = group_report(frame["y"], frame["p"], sensitive_features=frame["code"], n_boot=0)
    for one in (frame, frame.lazy()):
        same(group_report_in_chunks(one, y_true="y", y_pred="p", sensitive_features="code", n_boot=0), whole)
    assert whole.by_group.index.tolist() == [1, 3, "missing"]


def test_a_parquet_file_is_scanned(tmp_path):
    polars = pytest.importorskip("polars")
    frame = table()
    as_polars(frame).write_parquet(tmp_path / "rows.parquet")
    whole = group_report(frame["y"], frame["p"], sensitive_features=frame[["sex", "age"]], random_state=0)
    same(group_report_in_chunks(polars.scan_parquet(tmp_path / "rows.parquet"), **NAMES, random_state=0), whole)


@every_frame
def test_errors_of_frames(make):
    frame = table(100)
    for given, words in [
        ({}, "needs the names of its columns"),
        ({"y_true": "y", "y_pred": "p"}, "needs the names of its columns"),
        ({**NAMES, "sensitive_features": []}, "needs the names of its columns"),
        ({**NAMES, "y_true": "z", "sample_weight": "v"}, r"no columns \['z', 'v'\], only \['times', 'w'"),
    ]:
        with pytest.raises(ValueError, match=words):
            group_report_in_chunks(make(frame), **given)
    holes = frame.assign(y=frame["y"].where(frame.index >= 20))
    with pytest.raises(ValueError, match="y has 20 missing values"):
        group_report_in_chunks(make(holes), **NAMES)
    holes = frame.assign(p=frame["p"].where(frame.index >= 30))
    with pytest.raises(ValueError, match="p has 30 missing values"):
        group_report_in_chunks(make(holes), **NAMES)
    with pytest.raises(ValueError, match="sample_weight must be >= 0"):
        group_report_in_chunks(make(frame.assign(w=-frame["w"])), **NAMES, sample_weight="w")
    with pytest.raises(ValueError, match="is empty"):
        group_report_in_chunks(make(frame[:0]), **NAMES)


def test_names_are_for_frames(monkeypatch):
    with pytest.raises(ValueError, match="names of columns are for a frame: parts of type list"):
        group_report_in_chunks([([0, 1], [0, 1], ["a", "b"])], y_true="y")
    monkeypatch.setattr("skfair.metrics._chunks.MANY", 10)
    with pytest.raises(ValueError, match="distinct rows: round the weights"):
        group_report_in_chunks(table(), **NAMES)
    with pytest.raises(ValueError, match="distinct rows: round the weights"):
        group_report_in_chunks(parts(*rows()[:3]))
