"""score_kl: the paper's estimator, and what the published code computes."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from skfair.metrics import UndefinedGapWarning, score_kl

RNG = np.random.default_rng(0)
N = 400
SEX = np.repeat(["f", "m"], N)
ONES = np.ones(2 * N, dtype=int)


def pair(a, b, **options):
    return score_kl(ONES, np.concatenate([a, b]), sensitive_features=SEX, **options)


def reference(a, b):
    p, q = (gaussian_filter(np.histogram(s, np.linspace(0, 1, 51))[0].astype(float), 1) for s in (a, b))
    p, q = (h / h.sum() + 1e-6 for h in (p, q))
    p, q = p / p.sum(), q / q.sum()
    return (p * np.log(p / q)).sum() + (q * np.log(q / p)).sum()


def official_reference(a, b):
    p, q = (gaussian_filter(np.histogram(s, bins=50)[0], sigma=1) for s in (a, b))
    p, q = p / p.sum() + 1e-6, q / q.sum() + 1e-6
    return np.median([(p * np.log(p / q)).sum(), (q * np.log(q / p)).sum()])


def test_paper_by_hand():
    a, b = RNG.beta(2, 3, N), RNG.beta(3, 2, N)
    assert pair(a, b) == pytest.approx(reference(a, b))
    assert pair(a, a) == 0
    assert pair(a, b) == pytest.approx(pair(b, a))


def test_paper_is_per_label_then_mean():
    scores = RNG.random(4 * N)
    y, sex = np.tile([0, 1], 2 * N), RNG.choice(["f", "m"], 4 * N)
    each = [reference(scores[(y == t) & (sex == "f")], scores[(y == t) & (sex == "m")]) for t in (0, 1)]
    assert score_kl(y, scores, sensitive_features=sex) == pytest.approx(np.mean(each))
    table = score_kl(y, scores, sensitive_features=sex, reduction=None)
    np.testing.assert_allclose(table.loc[[0, 1]], each)


def test_more_groups_take_the_worst_pair():
    scores = RNG.random(900) ** np.repeat([1, 2, 3], 300)
    groups = np.repeat(["a", "b", "c"], 300)
    pairs = [reference(scores[groups == i], scores[groups == j]) for i, j in ("ab", "ac", "bc")]
    assert score_kl(np.ones(900), scores, sensitive_features=groups) == pytest.approx(max(pairs))
    assert score_kl(np.ones(900), scores, sensitive_features=["a"] * 900) == 0


@pytest.mark.parametrize("change", ["affine", "disjoint"])
def test_the_official_estimator_is_blind_to_affine_changes(change):
    a = RNG.random(N) * (1 if change == "affine" else 0.3)
    b = 0.1 + 0.3 * a if change == "affine" else a + 0.7
    assert pair(a, b, estimator="official", n_boot=0) == pytest.approx(0, abs=0.02)
    assert pair(a, b) > 3
    assert pair(a, b, estimator="official", n_boot=0) == pytest.approx(official_reference(a, b))


def test_the_official_estimator_truncates_counts():
    scores = np.linspace(0, 1, 40)
    kept = gaussian_filter(np.histogram(scores, bins=50)[0], sigma=1).sum()
    assert kept < 40
    assert pair(RNG.random(N), RNG.random(N), estimator="official", n_boot=0) > 0


def test_the_official_estimator_is_a_median_over_resamples():
    a, b = RNG.beta(2, 3, N), RNG.beta(3, 2, N)
    first = pair(a, b, estimator="official", n_boot=50, random_state=0)
    assert first == pair(a, b, estimator="official", n_boot=50, random_state=0)
    assert first != pair(a, b, estimator="official", n_boot=50, random_state=1)
    assert first == pytest.approx(official_reference(a, b), rel=0.5)
    with pytest.raises(ValueError, match="takes no sample_weight"):
        pair(a, b, estimator="official", sample_weight=np.ones(2 * N))


def test_integer_weights_equal_repetition():
    scores, w = RNG.random(2 * N), RNG.integers(1, 4, 2 * N)
    weighted = score_kl(ONES, scores, sensitive_features=SEX, sample_weight=w)
    repeated = score_kl(np.repeat(ONES, w), np.repeat(scores, w), sensitive_features=np.repeat(SEX, w))
    assert weighted == pytest.approx(repeated)


def test_ceiling_of_disjoint_supports():
    kl = pair(np.full(N, 0.1), np.full(N, 0.9))
    assert kl == pytest.approx(2 * np.log(1e6 * 0.3), rel=0.1)


def test_empty_cells_and_ranges():
    y = np.where(SEX == "f", 0, 1)
    for estimator in ("paper", "official"):
        with pytest.warns(UndefinedGapWarning):
            assert np.isnan(score_kl(y, RNG.random(2 * N), sensitive_features=SEX, estimator=estimator, n_boot=2))
    with pytest.raises(ValueError, match=r"y_score must lie in score_range=\(0.0, 1.0\)"):
        pair(np.full(N, -3.0), np.full(N, 2.0))
    assert pair(np.full(N, -3.0), np.full(N, 2.0), score_range=(-5, 5)) > 1
    with pytest.raises(ValueError, match="low < high"):
        pair(np.zeros(N), np.zeros(N), score_range=(1, 0))
    with pytest.raises(ValueError, match="estimator must be one of 'paper', 'official', got 'mine'"):
        pair(np.zeros(N), np.zeros(N), estimator="mine")
    with pytest.raises(ValueError, match="y_score has 800 values that are NaN"):
        pair(np.full(N, np.nan), np.full(N, np.nan))


def test_the_official_estimator_takes_the_median_of_labels_and_directions():
    rng = np.random.default_rng(0)
    scores, y, sex = rng.beta(2, 3, 3 * N), np.tile([0, 1, 2], N), rng.choice(["f", "m"], 3 * N)
    scores[(y == 1) & (sex == "m")] **= 4
    terms = []
    for t in (0, 1, 2):
        counts = [np.histogram(scores[(y == t) & (sex == g)], bins=50)[0] for g in ("f", "m")]
        p, q = (h / h.sum() + 1e-6 for h in (gaussian_filter(count, sigma=1) for count in counts))
        terms += [(p * np.log(p / q)).sum(), (q * np.log(q / p)).sum()]
    assert np.median(terms) < 0.8 * np.mean(terms)
    found = score_kl(y, scores, sensitive_features=sex, estimator="official", n_boot=0)
    assert found == pytest.approx(np.median(terms))
