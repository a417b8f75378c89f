"""Every metric by hand on a few rows."""

import numpy as np
import pytest

from skfair import metrics as M
from skfair.metrics import UndefinedGapWarning

# group f: y 1 1 0 0, yhat 1 0 0 1; group m: y 1 0 0 0, yhat 1 0 0 0; group x: y 1 1 1 0, yhat 1 1 0 1
Y = [1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0]
P = [1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1]
A = ["f"] * 4 + ["m"] * 4 + ["x"] * 4
SELECTION = {"f": 2 / 4, "m": 1 / 4, "x": 3 / 4}
TPR = {"f": 1 / 2, "m": 1.0, "x": 2 / 3}
FPR = {"f": 1 / 2, "m": 0.0, "x": 1.0}
ALL = {"selection": 6 / 12, "TPR": 4 / 6, "FPR": 2 / 6}

BY_HAND = [
    ("demographic_parity_difference", {}, 1 / 2),
    ("demographic_parity_difference", {"method": "to_overall"}, 1 / 4),
    ("demographic_parity_ratio", {}, 1 / 3),
    ("demographic_parity_ratio", {"method": "to_overall"}, 1 / 2),
    ("demographic_parity_sum", {}, 1 / 2),
    ("demographic_parity_sum", {"reduction": "mean"}, 1 / 6),
    ("equal_opportunity_difference", {}, 1 / 2),
    ("equal_opportunity_difference", {"method": "to_overall"}, 1 / 3),
    ("equal_opportunity_ratio", {}, 1 / 2),
    ("equalized_odds_difference", {}, 1.0),
    ("equalized_odds_difference", {"agg": "mean"}, 3 / 4),
    ("equalized_odds_ratio", {}, 0.0),
    ("equalized_odds_ratio", {"agg": "mean"}, 1 / 4),
    # pairs: f-m (1/2 + 1/2) / 2, f-x (1/6 + 1/2) / 2, m-x (1/3 + 1) / 2
    ("average_odds_difference", {}, 2 / 3),
    ("equalized_odds_sum", {}, (1 / 6 + 1 / 3 + 2 / 3 + 1 / 6 + 1 / 3 + 0) / 2),
    ("equalized_odds_sum", {"reduction": "mean"}, (1 / 6 + 1 / 3 + 2 / 3 + 1 / 6 + 1 / 3 + 0) / 6),
    ("joint_opportunity_difference", {}, 2 / 4 - 1 / 4),
    ("worst_group_accuracy", {}, 0.0),
    # privileged m; f and x pooled: TPR 3/5, FPR 2/3, selection 5/8
    ("signed_equalized_odds", {"privileged": "m"}, (3 / 5 - 1) + (2 / 3 - 0)),
    ("selection_rate_ratio", {"privileged": "m"}, (5 / 8) / (1 / 4)),
    ("selection_rate_ratio", {"privileged": "m", "outcome": "negative"}, (3 / 4) / (3 / 8)),
    # base 1/2: f 1/2 (sign 0), m 1/4 -> 1/4, x 3/4 -> 3/4
    ("bias_amplification", {}, 0.0),
]


@pytest.mark.parametrize(("name", "options", "expected"), BY_HAND)
def test_by_hand(name, options, expected):
    assert getattr(M, name)(Y, P, sensitive_features=A, **options) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["selection_rate_ratio", "signed_equalized_odds"])
def test_privileged_must_be_a_group(name):
    with pytest.raises(ValueError, match=r"privileged='M' is no group.*\['f', 'm', 'x'\]"):
        getattr(M, name)(Y, P, sensitive_features=A, privileged="M")


def test_signed_equalized_odds_flips_its_sign_with_the_groups():
    rng = np.random.default_rng(0)
    y, p, a = rng.integers(2, size=(3, 200))
    first = M.signed_equalized_odds(y, p, sensitive_features=a, privileged=1)
    assert M.signed_equalized_odds(y, p, sensitive_features=1 - a, privileged=1) == pytest.approx(-first)
    assert M.signed_equalized_odds(y, p, sensitive_features=a, privileged=0) == pytest.approx(-first)
    assert first != 0


def test_a_ratio_over_nobody_is_undefined():
    for name, options in [
        ("selection_rate_ratio", {"privileged": 1}),
        ("demographic_parity_ratio", {}),
        ("equal_opportunity_ratio", {}),
        ("equalized_odds_ratio", {}),
    ]:
        with pytest.warns(UndefinedGapWarning, match="denominator is zero"):
            assert np.isnan(getattr(M, name)([0, 1, 0, 1], [0] * 4, sensitive_features=[0, 0, 1, 1], **options))


@pytest.mark.parametrize("seed", range(5))
def test_two_exhaustive_groups_make_the_sums_of_fairreprogram_the_gaps_of_s0(seed):
    rng = np.random.default_rng(seed)
    y, p, a = rng.integers(2, size=(3, 100))
    w = rng.random(100)
    options = {"sensitive_features": a, "sample_weight": w}
    dp, odds = M.demographic_parity_difference(y, p, **options), M.average_odds_difference(y, p, **options)
    assert M.demographic_parity_sum(y, p, **options) == pytest.approx(dp)
    assert M.equalized_odds_sum(y, p, **options) == pytest.approx(odds)
    assert M.demographic_parity_sum(y, p, **options, reduction="mean") == pytest.approx(dp / 2)
    assert M.equalized_odds_sum(y, p, **options, reduction="mean") == pytest.approx(odds / 2)


def test_average_odds_is_the_brute_force_maximum_over_pairs():
    rng = np.random.default_rng(1)
    y, p, a = rng.integers(2, size=300), rng.integers(2, size=300), rng.integers(6, size=300)
    rate = {(g, t): p[(a == g) & (y == t)].mean() for g in range(6) for t in (0, 1)}
    pairs = [sum(abs(rate[i, t] - rate[j, t]) for t in (0, 1)) / 2 for i in range(6) for j in range(i)]
    assert M.average_odds_difference(y, p, sensitive_features=a) == pytest.approx(max(pairs))
    mean = M.equalized_odds_difference(y, p, sensitive_features=a, agg="mean")
    assert M.average_odds_difference(y, p, sensitive_features=a) <= mean


def test_perfect_predictions():
    for name in ("equalized_odds_difference", "average_odds_difference", "equalized_odds_sum", "bias_amplification"):
        assert getattr(M, name)(Y, Y, sensitive_features=A) == 0
    assert M.worst_group_accuracy(Y, Y, sensitive_features=A) == 1
    # base rates differ, so the quantity of DVGE's code does not vanish
    assert M.joint_opportunity_difference(Y, Y, sensitive_features=A) == pytest.approx(1 / 2)


def test_bias_amplification_range():
    rng = np.random.default_rng(0)
    a = rng.integers(2, size=20_000)
    y = (rng.random(20_000) < np.where(a == 1, 0.8, 0.2)).astype(int)
    assert M.bias_amplification(y, y, sensitive_features=a) == 0
    assert M.bias_amplification(y, a, sensitive_features=a) == pytest.approx(0.2, abs=0.02)
    independent = rng.integers(2, size=20_000)
    assert M.bias_amplification(y, independent, sensitive_features=a) == pytest.approx(-0.3, abs=0.02)
    total = M.bias_amplification(y, a, sensitive_features=a, reduction="sum")
    assert total == pytest.approx(4 * M.bias_amplification(y, a, sensitive_features=a))


def test_more_than_two_classes_one_against_the_rest():
    rng = np.random.default_rng(3)
    y, p, a = rng.integers(3, size=(3, 300))
    for name in ("demographic_parity_difference", "equalized_odds_difference", "average_odds_difference"):
        each = [getattr(M, name)(y == c, p == c, sensitive_features=a) for c in range(3)]
        assert getattr(M, name)(y, p, sensitive_features=a) == pytest.approx(max(each))
        assert getattr(M, name)(y, p, sensitive_features=a, multiclass="mean") == pytest.approx(np.mean(each))
        assert getattr(M, name)(y, p, sensitive_features=a, pos_label=2) == pytest.approx(each[2])
    each = [M.demographic_parity_sum(y == c, p == c, sensitive_features=a) for c in range(3)]
    assert M.demographic_parity_sum(y, p, sensitive_features=a) == pytest.approx(np.mean(each))
    each = [M.equal_opportunity_ratio(y == c, p == c, sensitive_features=a) for c in range(3)]
    assert M.equal_opportunity_ratio(y, p, sensitive_features=a) == pytest.approx(min(each))
    given = {"sensitive_features": a, "privileged": 1}
    each = [M.selection_rate_ratio(y == c, p == c, **given) for c in range(3)]
    assert M.selection_rate_ratio(y, p, **given) == pytest.approx(min(each))
    each = [M.equalized_odds_ratio(y == c, p == c, sensitive_features=a) for c in range(3)]
    assert M.equalized_odds_ratio(y, p, sensitive_features=a) == pytest.approx(min(each))
    cells = [(p == y)[(y == c) & (a == g)].mean() for c in range(3) for g in range(3)]
    assert M.worst_group_accuracy(y, p, sensitive_features=a) == pytest.approx(min(cells))
    with pytest.raises(ValueError, match="pos_label"):
        M.signed_equalized_odds(y, p, sensitive_features=a, privileged=0)


def test_calibrated_threshold_predicts_as_many_positives_as_there_are():
    rng = np.random.default_rng(0)
    y, score = rng.integers(2, size=101), rng.random(101)
    assert (score >= M.calibrated_threshold(y, score)).sum() == y.sum()
    assert (score >= M.calibrated_threshold(y, score, strict=True)).sum() == y.sum() - 1
    assert M.calibrated_threshold(y, score) == np.sort(score)[::-1][y.sum() - 1]
    w = rng.integers(1, 4, size=101)
    repeated = M.calibrated_threshold(np.repeat(y, w), np.repeat(score, w))
    assert M.calibrated_threshold(y, score, sample_weight=w) == repeated
    # 0.1 + 0.2 + 0.3 is more than 0.3 + 0.2 + 0.1, but both are all of the weight
    assert M.calibrated_threshold([1, 1, 1], [0.1, 0.2, 0.3], sample_weight=[0.1, 0.2, 0.3]) == 0.1
    with pytest.raises(ValueError, match="no positive row"):
        M.calibrated_threshold([0, 0], [0.1, 0.2])


def test_deo_is_the_tpr_gap_at_the_threshold():
    rng = np.random.default_rng(0)
    y, a, score = rng.integers(2, size=200), rng.integers(3, size=200), rng.random(200)
    threshold = M.calibrated_threshold(y, score)
    expected = M.equal_opportunity_difference(y, score >= threshold, sensitive_features=a)
    deo = M.equal_opportunity_at_calibrated_threshold
    assert deo(y, score, sensitive_features=a) == expected
    assert deo(y, score, sensitive_features=a, threshold=threshold) == expected
    strict = M.equal_opportunity_difference(y, score > threshold, sensitive_features=a)
    assert deo(y, score, sensitive_features=a, strict=True) == strict
    assert deo(y, score, sensitive_features=a, threshold=threshold, strict=True) == strict
    # the positive row at the threshold is selected by >= only
    hand = {"sensitive_features": ["f", "f", "m", "m"], "threshold": 0.5}
    assert deo([1, 1, 1, 1], [0.5, 0.9, 0.8, 0.9], **hand) == 0.0
    assert deo([1, 1, 1, 1], [0.5, 0.9, 0.8, 0.9], **hand, strict=True) == 0.5
    names = np.where(y == 1, "yes", "no")
    assert deo(names, score, sensitive_features=a, pos_label="yes") == expected


def test_bias_amplification_of_a_weak_association():
    """P(1 | f) = 0.55 and P(1 | m) = 0.45 beside P(1) = 0.5; predictions go to 1 and 0, by 0.45 in each of four cells."""
    y, a = [1] * 11 + [0] * 9 + [1] * 9 + [0] * 11, ["f"] * 20 + ["m"] * 20
    assert M.bias_amplification(y, [1] * 20 + [0] * 20, sensitive_features=a) == pytest.approx(0.45)
    assert M.bias_amplification(y, [0] * 20 + [1] * 20, sensitive_features=a) == pytest.approx(-0.55)
