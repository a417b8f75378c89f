"""The loaders against the verified numbers; most need SKFAIR_DATA and skip without."""

import numpy as np
import pandas as pd
import pytest

from skfair import datasets
from skfair.datasets import (
    fetch_adult,
    fetch_bank_marketing,
    fetch_compas,
    fetch_credit_default,
    fetch_german_credit,
    fetch_meps,
    fetch_south_german_credit,
)
from skfair.preprocessing import make_tabular_preprocessor

LOADERS = {
    "adult": fetch_adult,
    "bank": fetch_bank_marketing,
    "compas": fetch_compas,
    "credit_default": fetch_credit_default,
    "german": fetch_german_credit,
    "south_german": fetch_south_german_credit,
    "meps": fetch_meps,
}


def rates(dataset, column):
    return dataset.target.groupby(dataset.sensitive_features[column]).mean().round(4).to_dict()


@pytest.mark.parametrize(
    ("loader", "options", "n_rows", "rate", "groups"),
    [
        (fetch_adult, {}, 48842, 0.2393, {"sex": {"Female": 0.1093, "Male": 0.3038}}),
        (fetch_adult, {"drop_missing": True}, 45222, 0.2478, {"sex": {"Female": 0.1136, "Male": 0.3125}}),
        (
            fetch_german_credit,
            {},
            1000,
            0.7,
            {"sex": {"Female": 0.6484, "Male": 0.7232}, "age_group": {">25": 0.7284, "<=25": 0.5789}},
        ),
        (fetch_south_german_credit, {}, 1000, 0.7, {"age_group": {">25": 0.7284, "<=25": 0.5789}}),
        (fetch_compas, {"propublica_filter": False}, 7214, 0.4507, {}),
        (
            fetch_compas,
            {},
            6172,
            0.4551,
            {"race": {"African-American": 0.5231, "Caucasian": 0.3909}, "sex": {"Male": 0.4795, "Female": 0.3515}},
        ),
        (
            fetch_meps,
            {"panel": 19},
            15730,
            0.1718,
            {"RACE": {"White": 0.2556, "Non-White": 0.1252}, "SEX": {"Male": 0.1331, "Female": 0.2074}},
        ),
        (
            fetch_meps,
            {"panel": 21},
            15675,
            0.1677,
            {"RACE": {"White": 0.2534, "Non-White": 0.1142}, "SEX": {"Male": 0.1238, "Female": 0.2067}},
        ),
        (
            fetch_bank_marketing,
            {},
            45211,
            0.1170,
            {
                "marital": {"married": 0.1012, "single": 0.1495, "divorced": 0.1195},
                "age_group": {"25-60": 0.1060, "<25 or >60": 0.3550},
            },
        ),
        (
            fetch_credit_default,
            {"sensitive": ("SEX", "EDUCATION", "MARRIAGE", "age_group")},
            30000,
            0.2212,
            {
                "SEX": {"Male": 0.2417, "Female": 0.2078},
                "EDUCATION": {"university": 0.2373, "others": 0.0569, "unknown": 0.0754},
                "MARRIAGE": {"married": 0.2347, "single": 0.2093, "others": 0.2601, "unknown": 0.0926},
                "age_group": {"<=25": 0.2666, ">25": 0.2145},
            },
        ),
    ],
)
def test_verified_numbers(real, loader, options, n_rows, rate, groups):
    dataset = loader(**options, **real)
    assert len(dataset.data) == len(dataset.target) == len(dataset.sensitive_features) == n_rows
    assert round(dataset.target.mean(), 4) == rate
    for column, expected in groups.items():
        found = rates(dataset, column)
        assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("name", LOADERS)
def test_what_every_bunch_holds(real, name):
    dataset = LOADERS[name](**real)
    assert isinstance(dataset.data, pd.DataFrame)
    assert list(dataset.data.columns) == dataset.feature_names
    assert set(dataset.categorical_features) < set(dataset.feature_names)
    assert dataset.target.dtype == np.int64
    assert set(dataset.target) == {0, 1}
    assert dataset.target.name not in dataset.feature_names
    assert len(dataset.target_names) == 2
    for column in dataset.sensitive_features:
        assert all(isinstance(value, str) for value in dataset.sensitive_features[column].unique())
    assert all(len(line) <= 120 for line in dataset.DESCR.splitlines())
    assert "Source" in dataset.DESCR
    for index in (dataset.data.index, dataset.target.index, dataset.sensitive_features.index):
        assert index.equals(pd.RangeIndex(len(dataset.target)))


@pytest.mark.parametrize("name", LOADERS)
def test_preprocessor_takes_every_data_set(real, name):
    dataset = LOADERS[name](**real)
    preprocessor = make_tabular_preprocessor().fit(dataset.data)
    out = preprocessor.transform(dataset.data).astype(np.float32)
    assert np.isfinite(out).all()
    names = preprocessor.get_feature_names_out()
    numeric = set(dataset.feature_names) - set(dataset.categorical_features)
    assert numeric <= set(names)  # and the categorical ones are not taken for numbers
    assert not set(dataset.categorical_features) & set(names)


@pytest.mark.parametrize("name", LOADERS)
def test_return_forms(real, name):
    dataset = LOADERS[name](**real)
    X, y = LOADERS[name](return_X_y=True, **real)
    pd.testing.assert_frame_equal(X, dataset.data)
    pd.testing.assert_series_equal(y, dataset.target)
    arrays = LOADERS[name](as_frame=False, **real)
    assert isinstance(arrays.data, np.ndarray)
    assert isinstance(arrays.target, np.ndarray)
    assert arrays.sensitive_features.shape == dataset.sensitive_features.shape


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("adult", {"sex", "race"}),
        ("bank", {"age", "marital"}),
        ("compas", {"race", "sex"}),
        ("credit_default", {"SEX"}),
        ("german", {"personal_status_sex", "age"}),
        ("south_german", {"age"}),
        ("meps", {"RACE", "SEX"}),
    ],
)
def test_drop_sensitive(real, name, gone):
    kept = LOADERS[name](**real)
    dropped = LOADERS[name](drop_sensitive=True, **real)
    assert set(kept.feature_names) - set(dropped.feature_names) == gone
    assert not gone & set(dropped.categorical_features)
    pd.testing.assert_frame_equal(kept.sensitive_features, dropped.sensitive_features)


@pytest.mark.parametrize("name", LOADERS)
def test_unknown_sensitive_column(real, name):
    with pytest.raises(ValueError, match="sensitive must name one or more of .* got 'height'"):
        LOADERS[name](sensitive="height", **real)
    with pytest.raises(ValueError, match=r"sensitive must name .* got \[\]"):
        LOADERS[name](sensitive=[], **real)


def test_adult_parts_weights_and_missing(real):
    adult = fetch_adult(**real)
    assert adult.split.value_counts().to_dict() == {"train": 32561, "test": 16281}
    assert "fnlwgt" not in adult.feature_names
    assert adult.sample_weight.min() > 10_000
    assert adult.data.isna().sum()[lambda n: n > 0].to_dict() == {
        "workclass": 2799,
        "occupation": 2809,
        "native-country": 857,
    }
    assert len(adult.data) - len(fetch_adult(drop_missing=True, **real).data) == 3620
    test = fetch_adult(subset="test", **real)
    rows = adult.split == "test"
    pd.testing.assert_frame_equal(test.data, adult.data[rows].reset_index(drop=True))
    pd.testing.assert_series_equal(test.target, adult.target[rows].reset_index(drop=True))
    assert list(fetch_adult(sensitive="marital-status", **real).sensitive_features) == ["marital-status"]


def test_adult_unknown_subset():
    with pytest.raises(ValueError, match="subset must be .* got 'valid'"):
        fetch_adult(subset="valid")


def test_compas_has_no_leaks(real):
    compas = fetch_compas(**real)
    assert compas.feature_names == [
        *("sex", "age", "race", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count"),
        "c_charge_degree",
    ]
    assert compas.decile_score.between(1, 10).all()
    assert compas.sensitive_features["race"].nunique() == 6


def test_credit_codes_are_words(real):
    for dataset in (fetch_german_credit(**real), fetch_south_german_credit(**real)):
        assert not dataset.data.isna().any(axis=None)
        words = pd.unique(dataset.data[dataset.categorical_features].to_numpy().ravel())
        assert not any(word.startswith("A") for word in words)
    old, new = fetch_german_credit(**real).data, fetch_south_german_credit(**real).data
    assert list(old.columns) == list(new.columns)


def test_south_german_is_sorted_by_risk(real):
    target = fetch_south_german_credit(**real).target
    assert target.iloc[-249:].sum() == 0
    assert target.iloc[:-250].mean() > 0.9


def test_meps_parts_and_codes(real):
    old, new = fetch_meps(19, **real), fetch_meps(21, **real)
    assert old.split.value_counts().to_dict() == {"train": 11362, "test": 3168, "val": 1200}
    assert new.split is None
    assert old.sample_weight is None
    assert len(old.feature_names) == 41
    assert set(old.feature_names) - set(new.feature_names) == {"HIBPDX"}
    frame = old.data.assign(y=old.target)
    assert frame.duplicated().sum() == 1016


def test_meps_unknown_panel():
    with pytest.raises(ValueError, match="panel must be 19 or 21, got 20"):
        fetch_meps(20)


def test_bank_duration_only_on_request(real):
    bank, full = fetch_bank_marketing(**real), fetch_bank_marketing(with_duration=True, **real)
    assert len(bank.feature_names) == 15
    assert set(full.feature_names) - set(bank.feature_names) == {"duration"}
    short, long = full.data["duration"] < 60, full.data["duration"] > 600
    assert (round(full.target[short].mean(), 4), round(full.target[long].mean(), 4)) == (0.0019, 0.4836)
    assert "duration" not in full.categorical_features
    pd.testing.assert_frame_equal(bank.data, full.data.drop(columns="duration"))


def test_bank_groups_and_order(real):
    bank = fetch_bank_marketing(**real)
    middle = bank.sensitive_features["age_group"] == "25-60"
    assert (bank.data["age"][middle].min(), bank.data["age"][middle].max()) == (25, 60)
    assert not bank.data["age"][~middle].between(25, 60).any()
    assert not bank.data.isna().any(axis=None)
    assert [round(part.mean(), 4) for part in np.array_split(bank.target, 10)][::9] == [0.0299, 0.4709]


def test_credit_default_words_and_numbers(real):
    credit = fetch_credit_default(**real)
    assert credit.categorical_features == ["SEX", "EDUCATION", "MARRIAGE"]
    assert len(credit.feature_names) == 23
    assert not credit.data.isna().any(axis=None)
    assert credit.data["SEX"].value_counts().to_dict() == {"Female": 18112, "Male": 11888}
    assert (credit.data["EDUCATION"] == "unknown").sum() == 345
    delays = credit.data[[name for name in credit.feature_names if name.startswith("PAY_") and "AMT" not in name]]
    assert list(delays) == ["PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6"]
    assert (delays.dtypes == np.int64).all()
    assert (delays.min().min(), delays.max().max()) == (-2, 8)
    numbers = credit.data.drop(columns=credit.categorical_features)
    assert set(numbers.dtypes) == {np.dtype(np.int64)}
    every = fetch_credit_default(sensitive=("age_group", "MARRIAGE"), drop_sensitive=True, **real)
    assert set(credit.feature_names) - set(every.feature_names) == {"AGE", "MARRIAGE"}
    assert every.categorical_features == ["SEX", "EDUCATION"]


@pytest.mark.parametrize("name", LOADERS)
def test_offline(isolated, name):
    with pytest.raises(datasets.DatasetUnavailableError, match="SKFAIR_DATA"):
        LOADERS[name](download_if_missing=False)


def test_public_names():
    assert sorted(datasets.__all__) == list(datasets.__all__)
    assert all(hasattr(datasets, name) for name in datasets.__all__)
