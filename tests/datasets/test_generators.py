"""make_biased_classification and make_colored_digits: their knobs do what their docstrings say."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from skfair.datasets import make_biased_classification, make_colored_digits


def gap(made, target="target"):
    rate = made[target].groupby(made.sensitive_features["group"]).mean()
    return rate.iloc[0] - rate.iloc[-1]


def test_form():
    made = make_biased_classification(50, n_features=7, n_merits=3, n_proxies=2, random_state=0)
    assert made.feature_names == ["merit_0", "merit_1", "merit_2", "proxy_0", "proxy_1", "noise_0", "noise_1"]
    assert list(made.data.columns) == made.feature_names
    assert made.data.shape == (50, 7)
    assert made.target.dtype == made.target_unbiased.dtype == np.int64
    assert set(made.sensitive_features["group"]) == {"group_0", "group_1"}
    assert "50 rows, 2 groups" in made.DESCR
    arrays = make_biased_classification(50, random_state=0, as_frame=False)
    assert isinstance(arrays.data, np.ndarray)
    assert arrays.sensitive_features.shape == (50, 1)


def test_no_bias_no_gap():
    made = make_biased_classification(100_000, bias=0, random_state=0)
    assert (made.target == made.target_unbiased).all()
    assert abs(gap(made)) < 0.01  # three standard deviations


@pytest.mark.parametrize("base_rate", [0.2, 0.5])
@pytest.mark.parametrize("bias", [0.1, 0.5, 1.0])
def test_gap_is_bias_times_base_rate(bias, base_rate):
    made = make_biased_classification(50_000, bias=bias, base_rate=base_rate, random_state=0)
    assert gap(made) == pytest.approx(bias * base_rate, abs=0.015)
    assert abs(gap(made, "target_unbiased")) < 0.015


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), low=st.floats(0, 1), high=st.floats(0, 1), n_groups=st.integers(2, 4))
def test_bias_is_monotone_and_one_sided(seed, low, high, n_groups):
    low, high = sorted((low, high))
    less, more = (
        make_biased_classification(200, bias=bias, n_groups=n_groups, random_state=seed) for bias in (low, high)
    )
    assert less.data.equals(more.data)
    assert less.target_unbiased.equals(more.target_unbiased)
    assert (more.target <= less.target).all()  # what is lost stays lost
    assert (less.target <= less.target_unbiased).all()  # only positives are lost
    first = less.sensitive_features["group"] == "group_0"
    assert (more.target == more.target_unbiased)[first].all()  # none of the privileged


def test_several_groups_have_graded_bias_or_their_own():
    made = make_biased_classification(60_000, n_groups=3, bias=0.6, random_state=0)
    rate = made.target.groupby(made.sensitive_features["group"]).mean()
    np.testing.assert_allclose(rate, [0.5, 0.35, 0.2], atol=0.015)
    made = make_biased_classification(60_000, n_groups=3, bias=[0.6, 0, 0.2], random_state=0)
    rate = made.target.groupby(made.sensitive_features["group"]).mean()
    np.testing.assert_allclose(rate, [0.2, 0.5, 0.4], atol=0.015)


def test_historical_bias_lowers_true_rates():
    made = make_biased_classification(50_000, bias=0, historical_bias=1.0, random_state=0)
    assert (made.target == made.target_unbiased).all()
    merit = made.data.filter(like="merit_").sum(axis=1) / 2  # four merits
    means = merit.groupby(made.sensitive_features["group"]).mean()
    assert means["group_0"] - means["group_1"] == pytest.approx(1.0, abs=0.03)
    assert gap(made) == pytest.approx(0.5 - 0.1855, abs=0.015)  # Phi(-1 / sqrt(1.25))


def test_representation():
    made = make_biased_classification(20_000, group_weights=[9, 1], random_state=0)
    assert (made.sensitive_features["group"] == "group_1").mean() == pytest.approx(0.1, abs=0.01)


def test_label_noise_hits_all_groups_alike():
    made = make_biased_classification(50_000, bias=0, label_noise=0.2, random_state=0)
    flipped = (made.target != made.target_unbiased).groupby(made.sensitive_features["group"]).mean()
    np.testing.assert_allclose(flipped, 0.2, atol=0.01)


@pytest.mark.parametrize(("strength", "accuracy"), [(0.0, 0.5), (2.0, 0.921)])  # Phi(sqrt(2) * strength / 2)
def test_proxies_tell_the_group_as_much_as_asked(strength, accuracy):
    made = make_biased_classification(20_000, proxy_strength=strength, random_state=0)
    group = made.sensitive_features["group"]
    model = LogisticRegression().fit(made.data, group)
    assert model.score(made.data, group) == pytest.approx(accuracy, abs=0.02)


def test_probability_is_that_of_the_true_label():
    made = make_biased_classification(50_000, random_state=0)
    high = made.probability_unbiased.between(0.7, 0.8)
    assert made.target_unbiased[high].mean() == pytest.approx(made.probability_unbiased[high].mean(), abs=0.02)
    certain = make_biased_classification(1000, merit_noise=0, random_state=0)
    assert (certain.probability_unbiased == certain.target_unbiased).all()


@pytest.mark.parametrize("make", [make_biased_classification, make_colored_digits])
def test_seed_gives_the_same_bits_and_leaves_the_global_stream(make):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, two, other = make(300, random_state=7), make(300, random_state=7), make(300, random_state=8)
    assert np.asarray(one.data).tobytes() == np.asarray(two.data).tobytes()
    assert np.asarray(one.data).tobytes() != np.asarray(other.data).tobytes()
    assert np.asarray(one.target).tobytes() == np.asarray(two.target).tobytes()
    assert one.sensitive_features.equals(two.sensitive_features)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias": 1.5}, "bias must be a probability, or one for each of 2 groups, got 1.5"),
        ({"bias": [0.1, 0.2, 0.3]}, "bias must be"),
        ({"bias": float("nan")}, "bias must be"),
        ({"n_groups": 1}, "n_groups must be at least 2, got 1"),
        ({"n_samples": 0}, "n_samples must be at least 1, got 0"),
        ({"n_features": 3}, r"n_features must be at least 6 \(n_merits \+ n_proxies\), got 3"),
        ({"base_rate": 1}, "base_rate must lie strictly between 0 and 1, got 1"),
        ({"label_noise": -0.1}, "label_noise must lie between 0 and 1, got -0.1"),
        ({"merit_noise": -1}, "merit_noise must lie between 0 and inf, got -1"),
        ({"group_weights": [1, -1]}, "group_weights must be 2 numbers >= 0, not all 0, got"),
    ],
)
def test_biased_classification_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        make_biased_classification(**options)


@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("image_size", [8, 16, 32])
def test_digits_form(n_classes, image_size):
    made = make_colored_digits(200, n_classes=n_classes, image_size=image_size, pixel_noise=0.1, random_state=0)
    assert made.data is made.images
    assert made.images.shape == (200, 3, image_size, image_size)
    assert made.images.dtype == np.float32
    assert made.images.min() >= 0
    assert made.images.max() <= 1
    assert set(made.target) == set(range(n_classes))
    assert set(made.sensitive_features["color"]) == set(made.color_names)
    assert len(made.target_names) == len(made.color_names) == n_classes
    X, y = make_colored_digits(200, n_classes=n_classes, random_state=0, return_X_y=True)
    assert len(X) == len(y) == 200


@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("correlation", [0.0, 0.1, 0.5, 0.95, 1.0])
def test_color_goes_with_the_target(n_classes, correlation):
    made = make_colored_digits(n_classes=n_classes, correlation=correlation, random_state=0)
    own = np.array(made.color_names)[made.target]
    agreement = (made.sensitive_features["color"] == own).mean()
    assert agreement == pytest.approx(correlation, abs=0.04)
    assert f"{agreement:.4f}" in made.DESCR


def test_colors_and_shapes_are_in_the_pixels():
    made = make_colored_digits(image_size=8, random_state=0)
    color = made.sensitive_features["color"]
    red, green = made.images[:, 0].sum((1, 2)), made.images[:, 1].sum((1, 2))
    assert ((red > 0) == (color == "red")).all()
    assert ((green > 0) == (color == "green")).all()
    assert not made.images[:, 2].any()
    large = make_colored_digits(image_size=16, random_state=0)
    np.testing.assert_array_equal(large.images[:, :, ::2, 1::2], made.images)


def test_target_is_the_digit():
    made = make_colored_digits(random_state=0)
    assert (made.target == (made.digit >= 5)).all()
    assert (make_colored_digits(n_classes=10, random_state=0).target == made.digit).all()
    assert sorted(np.bincount(made.digit)) == sorted([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])


@pytest.mark.parametrize("n_classes", [2, 10])
def test_digits_label_noise(n_classes):
    made = make_colored_digits(label_noise=0.25, correlation=1.0, n_classes=n_classes, random_state=0)
    assert (made.target != made.target_clean).mean() == pytest.approx(0.25, abs=0.03)
    own = np.array(made.color_names)[made.target]
    assert (made.sensitive_features["color"] == own).all()  # the colour follows the noisy target


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_classes": 3}, "n_classes must be 2 or 10, got 3"),
        ({"image_size": 12}, "image_size must be 8 or a multiple of 8, got 12"),
        ({"image_size": 0}, "image_size must be 8 or a multiple of 8, got 0"),
        ({"correlation": 1.2}, "correlation must be a probability, between 0 and 1, got 1.2"),
        ({"label_noise": -1}, "label_noise must be a probability"),
        ({"pixel_noise": -1}, "pixel_noise must be a finite number >= 0, got -1"),
        ({"n_samples": 1798}, "n_samples must be between 1 and 1797, got 1798"),
    ],
)
def test_digits_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        make_colored_digits(**options)


def test_import_is_light():
    code = "import sys, skfair.datasets._adult, skfair.datasets._colored_digits; print(*sys.modules)"
    package = make_colored_digits.__globals__["__file__"].split("skfair/datasets")[0]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=package, check=True)
    assert not {"torch", "torchvision", "skorch", "matplotlib"} & set(done.stdout.split())
