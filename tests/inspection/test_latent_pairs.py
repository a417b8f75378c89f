"""What the displays of pairs draw: how many rows, under which names, which cells stand out, where partners lie."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from common import toy
from matplotlib.colors import to_rgba
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from skfair.augmentation import LatentDebiasingSampler, PCAGenerator
from skfair.inspection import LatentMarginsDisplay, LatentPairsDisplay

MARKED, PLAIN = to_rgba("moccasin"), to_rgba("white")


@pytest.fixture(autouse=True)
def _without_a_screen():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


def data():
    X, y, s = toy(300, 0.8)
    return pd.DataFrame(X, columns=["core", "spurious", *"cde"]), y, s


def fitted(X=None, y=None, s=None, **parameters):
    if X is None:
        X, y, s = data()
    parts = dict(generator=PCAGenerator(), classifier=LogisticRegression(), source="inversion", random_state=0)
    net = LatentDebiasingSampler(**{**parts, "n_hyperplane": 300, "n_check": 50, **parameters})
    return net.fit(X, y, sensitive_features=s)


def codes(X):
    """What the sampler's generator makes of rows, which may have been fitted with their names or without."""
    return PCAGenerator().fit(data()[0].to_numpy()).encode(np.asarray(X))


class Blind:
    """A generator without ``encode``."""

    def __init__(self, X):
        self.inner = PCAGenerator().fit(np.asarray(X))

    def sample(self, n_samples, random_state=None):
        return self.inner.sample(n_samples, random_state)

    def decode(self, Z):
        return self.inner.decode(Z)


def blind():
    X, y, s = data()
    return fitted(X, y, s, generator=Blind(X), source="prior")


def cells(display):
    """Text and colour of the table's cells, by (row, column); the header is row 0, row labels are column -1."""
    (table,) = display.ax_.tables
    found = table.get_celld()
    return {k: c.get_text().get_text() for k, c in found.items()}, {k: c.get_facecolor() for k, c in found.items()}


# ---------------------------------------------------------------------- pairs of rows
def test_rows_of_a_table_line_by_line():
    X = data()[0]
    net = fitted()
    display = LatentPairsDisplay.from_sampler(net, X, n_pairs=4)
    np.testing.assert_allclose(display.original, X[:4], rtol=1e-6)
    expected = net.generator_.decode(net.partner(codes(X[:4])))
    np.testing.assert_allclose(display.partner, expected, atol=1e-5)
    text, colour = cells(display)
    assert {row for row, _ in text} == set(range(9))
    assert [text[0, j] for j in range(5)] == list(X.columns)
    assert [text[i, -1] for i in range(1, 9)] == ["original", "partner"] * 4
    for i in range(4):
        for j in range(5):
            a, b = display.original[i, j], display.partner[i, j]
            assert (text[2 * i + 1, j], text[2 * i + 2, j]) == (f"{a:.3g}", f"{b:.3g}")
            assert colour[2 * i + 1, j] == PLAIN
            assert colour[2 * i + 2, j] == (PLAIN if np.isclose(a, b, rtol=1e-3, atol=1e-6) else MARKED)
    assert display.figure_ is display.ax_.figure


def test_only_what_changes_is_marked():
    original = np.array([[1.0, 0.0, 5.0], [2.0, 1.0, 5.0]])
    partner = np.array([[1.0, 1.0, 5.0], [2.0001, 0.0, 5.0]])
    display = LatentPairsDisplay(original, partner).plot()
    text, colour = cells(display)
    assert [text[0, j] for j in range(3)] == ["x0", "x1", "x2"]
    marked = {k for k, value in colour.items() if value == MARKED}
    assert marked == {(2, 1), (4, 1)}


def test_the_columns_that_change_most_are_shown_in_their_order():
    rng = np.random.default_rng(0)
    original = rng.normal(size=(50, 6)) * [1, 100, 1, 1, 1, 1]
    partner = original + [0.1, 5.0, 2.0, 0.0, 0.5, 3.0]  # the second by little, in its own scale
    display = LatentPairsDisplay(original, partner, ["a", "b", "c", "d", "e", "f"]).plot(n_columns=3)
    text, _ = cells(display)
    assert [text[0, j] for j in range(3)] == ["c", "e", "f"]
    assert (0, 3) not in text
    fewer = LatentPairsDisplay(original, partner).plot(n_columns=20)
    assert [cells(fewer)[0][0, j] for j in range(6)] == [f"x{j}" for j in range(6)]


def test_long_names_lose_their_middle():
    name = "marital-status_Married-civ-spouse"
    text, _ = cells(LatentPairsDisplay(np.zeros((1, 1)), np.ones((1, 1)), [name]).plot())
    assert len(text[0, 0]) == 16
    assert text[0, 0] == "marit…civ-spouse"


def test_without_rows_they_are_generated():
    net = blind()
    display = LatentPairsDisplay.from_sampler(net, n_pairs=3, random_state=4)
    Z = net.generator_.sample(3, 4)
    np.testing.assert_allclose(display.original, net.generator_.decode(Z))
    np.testing.assert_allclose(display.partner, net.generator_.decode(net.partner(Z)))
    assert [cells(display)[0][0, j] for j in range(5)] == ["core", "spurious", *"cde"]
    again = LatentPairsDisplay.from_sampler(net, n_pairs=3, random_state=4)
    np.testing.assert_array_equal(again.original, display.original)
    assert len(LatentPairsDisplay.from_sampler(net).original) == 8


def test_which_features_change():
    X, y, s = data()
    rng = np.random.default_rng(1)
    other = np.where(rng.random(300) < 0.7, y, 1 - y)
    X["c"] += 2 * other
    net = fitted(X, y, np.column_stack([s, other]))
    Z = PCAGenerator().fit(X.to_numpy()).encode(X.to_numpy()[:8])
    for flip in (None, [True, False], [False, True]):
        display = LatentPairsDisplay.from_sampler(net, X, flip=flip)
        np.testing.assert_allclose(display.partner, net.generator_.decode(net.partner(Z, flip)), atol=1e-5)


@pytest.mark.parametrize("kind", [np.asarray, lambda X: X.to_numpy().tolist(), lambda X: sp.csr_array(X.to_numpy())])
def test_rows_of_any_kind(kind):
    X, y, s = data()
    net = fitted(kind(X), y, s)
    display = LatentPairsDisplay.from_sampler(net, kind(X), n_pairs=2)
    np.testing.assert_allclose(display.original, X[:2], rtol=1e-5)
    assert cells(display)[0][0, 0] == "x0"


def test_fewer_rows_than_pairs():
    display = LatentPairsDisplay.from_sampler(fitted(), data()[0][:2], n_pairs=5)
    assert display.original.shape == display.partner.shape == (2, 5)


# ---------------------------------------------------------------------- pairs of images
def images(channels=3, n=40):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    s = (np.arange(n) // 2) % 2
    X = 0.2 * rng.random((n, channels, 8, 6))
    X[:, :, :4] += 0.5 * y[:, None, None, None]
    X[:, :, :, :3] += 0.3 * s[:, None, None, None]
    return X, y, s


@pytest.mark.parametrize("channels", [1, 3])
def test_images_above_their_partners(channels):
    X, y, s = images(channels)
    net = fitted(X, y, s, generator=PCAGenerator(4))
    display = LatentPairsDisplay.from_sampler(net, X, n_pairs=5)
    (sheet,) = display.ax_.images
    shown = np.asarray(sheet.get_array())
    assert shown.shape == ((16, 30) if channels == 1 else (16, 30, 3))
    shown = shown.reshape(16, 30, channels)
    for i in range(5):
        np.testing.assert_allclose(shown[:8, 6 * i : 6 * i + 6], np.moveaxis(X[i], 0, -1).clip(0, 1), atol=1e-6)
        np.testing.assert_allclose(
            shown[8:, 6 * i : 6 * i + 6], np.moveaxis(display.partner[i], 0, -1).clip(0, 1), atol=1e-6
        )
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["original", "partner"]
    low, high = display.ax_.get_yticks()
    assert 0 < low < 8 < high < 16
    assert not display.ax_.tables


def test_grey_images_have_a_fixed_scale():
    """0 is black and 1 is white, whatever the images hold."""
    display = LatentPairsDisplay(np.full((2, 1, 4, 4), 0.4), np.full((2, 1, 4, 4), 0.6)).plot()
    assert display.ax_.images[0].get_clim() == (0.0, 1.0)


# ---------------------------------------------------------------------- margins
@pytest.mark.parametrize("rows", [True, False])
def test_partners_lie_on_the_same_vertical_as_far_on_the_other_side(rows):
    X = data()[0]
    net = fitted()
    display = LatentMarginsDisplay.from_sampler(net, X if rows else None, n_codes=100)
    assert display.margins.shape == display.partner_margins.shape == (100, 2)
    np.testing.assert_allclose(display.partner_margins[:, 0], display.margins[:, 0], atol=1e-6)
    np.testing.assert_allclose(display.partner_margins[:, 1], -display.margins[:, 1], atol=1e-6)
    Z = codes(X[:100]) if rows else net.generator_.sample(100, 0)
    np.testing.assert_allclose(display.margins, net.margins(Z), atol=1e-6)
    points, partners = (c.get_offsets() for c in display.ax_.collections)
    np.testing.assert_allclose(points, display.margins)
    np.testing.assert_allclose(partners, display.partner_margins)
    lines = [line for line in display.ax_.lines if len(set(line.get_ydata())) == 2 and line.get_xdata()[0] != 0][:100]
    assert len(lines) >= 99
    assert [t.get_text() for t in display.ax_.get_legend().get_texts()] == ["z", "z'"]
    assert "target" in display.ax_.get_xlabel()
    assert "sensitive_feature_0" in display.ax_.get_ylabel()


def test_which_class_and_which_feature():
    rng = np.random.default_rng(0)
    n = 400
    y, S = rng.integers(3, size=n), rng.integers(2, size=(n, 2))
    X = np.column_stack([2 * np.eye(3)[y], S, np.zeros((n, 2))]) + 0.4 * rng.normal(size=(n, 7))
    words = np.array(["low", "mid", "high"])[y]
    net = fitted(X, words, pd.DataFrame(S, columns=["sex", "old"]))
    every = net.margins(net.generator_.encode(X[:50]))
    for target, name in enumerate(["high", "low", "mid"]):
        for feature, word in enumerate(["sex", "old"]):
            display = LatentMarginsDisplay.from_sampler(net, X, n_codes=50, target=target, feature=feature)
            np.testing.assert_allclose(display.margins, every[:, [target, 3 + feature]])
            np.testing.assert_allclose(display.partner_margins, display.margins * [1, -1], atol=1e-6)
            assert display.names == (f"class {name}", word)


# ---------------------------------------------------------------------- both
both = pytest.mark.parametrize("cls", [LatentPairsDisplay, LatentMarginsDisplay])


@both
def test_axes_of_ones_own(cls):
    _, ax = plt.subplots()
    display = cls.from_sampler(fitted(), ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert plt.get_fignums() == [ax.figure.number]
    display.figure_.canvas.draw()


@both
def test_it_can_be_drawn_again(cls):
    display = cls.from_sampler(fitted(), data()[0])
    first = display.ax_
    assert display.plot() is display
    assert display.ax_ is not first


@both
def test_rows_and_a_generator_without_encode(cls):
    net = blind()
    with pytest.raises(ValueError, match="Blind has no encode. Leave X out"):
        cls.from_sampler(net, data()[0])
    assert cls.from_sampler(net).figure_


@both
def test_a_sampler_that_is_not_fitted(cls):
    with pytest.raises(NotFittedError, match="LatentDebiasingSampler instance is not fitted yet"):
        cls.from_sampler(LatentDebiasingSampler())
