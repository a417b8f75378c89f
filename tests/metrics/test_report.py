"""group_report and its bootstrap."""

import numpy as np
import pandas as pd
import pytest

from skfair import metrics as M
from skfair.metrics import UndefinedGapWarning, group_report
from skfair.metrics._bootstrap import quantile_interval, resample

RNG = np.random.default_rng(0)
N = 600
SEX = RNG.choice(["f", "m"], N, p=[0.3, 0.7])
RACE = RNG.choice(["a", "b"], N)
Y = RNG.integers(2, size=N)
P = np.where(RNG.random(N) < 0.7, Y, RNG.integers(2, size=N))
BOTH = pd.DataFrame({"sex": SEX, "race": RACE})


def row_bootstrap(y, p, a, weight, n_boot, seed):
    rng, gaps = np.random.default_rng(seed), []
    for _ in range(n_boot):
        rows = rng.integers(len(y), size=len(y))
        w = None if weight is None else weight[rows]
        gaps.append(M.equalized_odds_difference(y[rows], p[rows], sensitive_features=a[rows], sample_weight=w))
    return np.array(gaps)


@pytest.mark.parametrize("kind", ["none", "few", "many"])
def test_intervals_have_the_distribution_of_a_row_bootstrap(kind):
    weight = {"none": None, "few": RNG.integers(1, 4, N).astype(float), "many": RNG.random(N)}[kind]
    plain = row_bootstrap(Y, P, SEX, weight, 600, seed=1)
    options = {"sensitive_features": SEX, "sample_weight": weight, "n_boot": 4000, "random_state": 0}
    row = group_report(Y, P, **options).gaps.set_index("metric").loc["equalized_odds_difference"]
    assert row["low"] == pytest.approx(np.quantile(plain, 0.025), abs=0.015)
    assert row["high"] == pytest.approx(np.quantile(plain, 0.975), abs=0.02)


@pytest.mark.parametrize("kind", ["none", "few", "many"])
def test_resampled_tables_have_the_moments_of_row_resamples(kind):
    cells = RNG.integers(4, size=500)
    weight = {"none": None, "few": RNG.integers(1, 3, 500).astype(float), "many": RNG.random(500)}[kind]
    w = np.ones(500) if weight is None else weight
    tables = resample(cells, 5, 4000, np.random.default_rng(0), weight)
    row_values = np.eye(5)[cells] * w[:, None]
    np.testing.assert_allclose(tables.mean(0), row_values.sum(0), rtol=0.01)
    np.testing.assert_allclose(np.cov(tables.T), 500 * np.cov(row_values.T, bias=True), atol=12)
    assert (tables[:, 4] == 0).all()


def test_quantiles_are_those_of_numpy():
    samples = RNG.random((101, 7))
    samples[RNG.random((101, 7)) < 0.3] = np.nan
    low, high = quantile_interval(samples, 0.9)
    np.testing.assert_allclose(low, np.nanquantile(samples, 0.05, axis=0))
    np.testing.assert_allclose(high, np.nanquantile(samples, 0.95, axis=0))
    low, high = quantile_interval(np.full((5, 2), np.nan), 0.9)
    assert np.isnan([low, high]).all()


def test_estimates_are_those_of_the_functions():
    w = RNG.random(N)
    scores = RNG.random(N)
    options = {"sensitive_features": BOTH, "sample_weight": w}
    report = group_report(Y, P, **options, y_score=scores, n_boot=20, random_state=0)
    gaps = report.gaps.set_index("metric")
    assert set(gaps.index) == set(M.get_scorer_names()) - {"signed_equalized_odds", "selection_rate_ratio"}
    for name in gaps.index:
        response = scores if name in ("score_kl", "equal_opportunity_at_calibrated_threshold") else P
        assert gaps.loc[name, "estimate"] == pytest.approx(getattr(M, name)(Y, response, **options)), name
    assert (gaps["low"] <= gaps["high"]).all()
    assert gaps["low"].notna().all()


def test_by_group():
    report = group_report(Y, P, sensitive_features=BOTH, random_state=0, confidence_level=0.9)
    assert report.by_group.index.names == ["sex", "race"]
    assert report.by_group["n"].sum() == N
    assert report.by_group["share"].sum() == pytest.approx(1)
    inside = (SEX == "f") & (RACE == "b")
    row = report.by_group.loc[("f", "b")]
    assert row["n"] == inside.sum()
    assert row["TPR"] == P[inside & (Y == 1)].mean()
    assert row["base_rate"] == Y[inside].mean()
    assert row["accuracy"] == (P == Y)[inside].mean()
    assert row["FNR"] == pytest.approx(1 - row["TPR"])
    # a binomial interval at 90 % is about +-1.64 standard errors
    error = np.sqrt(row["TPR"] * (1 - row["TPR"]) / (inside & (Y == 1)).sum())
    assert row["TPR_high"] - row["TPR_low"] == pytest.approx(2 * 1.645 * error, rel=0.15)


def test_small_groups_are_marked_by_cell():
    y, p, a = [1] * 20 + [0] * 20 + [1] * 20 + [0] * 3, [1, 0, 1] * 21, ["f"] * 40 + ["m"] * 23
    report = group_report(y, p, sensitive_features=a, n_boot=0)
    assert report.by_group["small"].tolist() == [False, True]
    assert not group_report(y, p, sensitive_features=a, n_boot=0, min_count=3).by_group["small"].any()


def test_a_label_that_is_only_predicted_makes_no_group_small():
    y, p, a = [0, 1] * 20, [2] + [1] * 39, ["f"] * 20 + ["m"] * 20
    assert not group_report(y, p, sensitive_features=a, n_boot=0, pos_label=1).by_group["small"].any()


def test_the_share_is_of_the_weight_and_n_of_the_rows():
    report = group_report(
        [0, 1, 0, 1], [0, 1, 1, 1], sensitive_features=list("ffmm"), sample_weight=[1, 2, 4, 5], n_boot=0
    )
    assert report.by_group["share"].tolist() == [0.25, 0.75]
    assert report.by_group["n"].tolist() == [2, 2]


def test_overall_by_hand():
    """Group f: y 1 1 0, yhat 1 0 1; group m: y 1 0 0 0 0, yhat 1 1 0 0 0."""
    y, p = [1, 1, 0, 1, 0, 0, 0, 0], [1, 0, 1, 1, 1, 0, 0, 0]
    report = group_report(y, p, sensitive_features=list("fffmmmmm"), n_boot=0)
    rates = {"accuracy": 5 / 8, "base_rate": 3 / 8, "selection_rate": 4 / 8, "TPR": 2 / 3, "FPR": 2 / 5, "FNR": 1 / 3}
    assert report.overall.to_dict() == pytest.approx(rates)


def test_the_positive_row_at_the_calibrated_threshold_is_selected():
    """Four positives, so the threshold is 0.6: both positives of each group are selected."""
    y, score, a = [1, 1, 0, 1, 1, 0], [0.9, 0.6, 0.1, 0.8, 0.7, 0.2], list("fffmmm")
    report = group_report(y, [1] * 6, sensitive_features=a, y_score=score, n_boot=0)
    assert report.gaps.set_index("metric").loc["equal_opportunity_at_calibrated_threshold", "estimate"] == 0


def test_random_state_is_local_and_decides():
    def run(seed):
        return group_report(Y, P, sensitive_features=SEX, n_boot=50, random_state=seed).gaps

    before = np.random.get_state()  # noqa: NPY002
    pd.testing.assert_frame_equal(run(0), run(0))
    assert not run(0).equals(run(1))
    assert not run(None).equals(run(None))
    make = (np.random.default_rng, np.random.RandomState)
    for factory in make:
        pd.testing.assert_frame_equal(run(factory(3)), run(factory(3)))
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(one, two) for one, two in zip(before, after))
    with pytest.raises(ValueError, match="random_state must be None"):
        run("seed")


def test_missing_groups_are_a_row():
    sex = SEX.astype(object)
    sex[:100] = None
    report = group_report(Y, P, sensitive_features=sex, n_boot=5, random_state=0)
    assert report.by_group.loc["missing", "n"] == 100


def test_empty_cells_are_undefined_and_warned_about_once():
    y = np.where(SEX == "f", 0, Y)
    with pytest.warns(UndefinedGapWarning, match="TPR is undefined for group 'f'.*undefined gaps: equal_opp") as caught:
        report = group_report(y, P, sensitive_features=SEX, random_state=0)
    assert len(caught) == 1
    assert np.isnan(report.by_group.loc["f", ["TPR", "TPR_low", "TPR_high"]].astype(float)).all()
    assert "undefined" in repr(report)


def test_more_than_two_classes():
    y, p = RNG.integers(3, size=(2, N))
    report = group_report(y, p, sensitive_features=SEX, n_boot=10, random_state=0)
    assert "TPR" not in report.by_group
    expected = M.demographic_parity_difference(y, p, sensitive_features=SEX)
    assert report.gaps.set_index("metric").loc["demographic_parity_difference", "estimate"] == expected
    for name, gap in report.gaps.set_index("metric")["estimate"].items():
        assert gap == pytest.approx(getattr(M, name)(y, p, sensitive_features=SEX)), name
    one = group_report(y, p, sensitive_features=SEX, n_boot=10, pos_label=2)
    assert one.by_group.loc["f", "TPR"] == ((p == 2) & (y == 2) & (SEX == "f")).sum() / ((y == 2) & (SEX == "f")).sum()


def test_it_reads_well():
    report = group_report(Y, P, sensitive_features=BOTH, random_state=0)
    lines = report.to_markdown().splitlines()
    assert lines[0].startswith("| sex | race | n | share | accuracy |")
    assert set(lines[1]) <= set("| -")
    assert sum(line.startswith("| f | ") for line in lines) == 2
    assert "equalized_odds_difference" in repr(report)
    assert "95% percentile intervals of 1000 resamples" in repr(report)
    assert report._repr_html_().count("<table") == 2
    assert "[" not in group_report(Y, P, sensitive_features=SEX, n_boot=0).to_markdown()
    odd = group_report(Y, P, sensitive_features=np.where(SEX == "f", "<a|b>", "m"), n_boot=0)
    assert "<a\\|b>" in odd.to_markdown()
    assert "&lt;a|b&gt;" in odd._repr_html_()


def test_scores_outside_the_unit_interval_have_no_kl():
    for scores in (RNG.normal(size=N), RNG.random(N) - 0.5, RNG.random(N) + 0.5):
        report = group_report(Y, P, sensitive_features=SEX, y_score=scores, n_boot=0)
        assert "score_kl" not in set(report.gaps["metric"])


@pytest.mark.parametrize("bad", [{"n_boot": -1}, {"n_boot": 2.5}, {"confidence_level": 95}, {"y_score": [0.1]}])
def test_bad_options(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        group_report(Y, P, sensitive_features=SEX, **bad)
