"""Latent-space de-biasing: the pairs, who is asked what, what comes back in which container, and what is refused."""

import functools
import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from common import toy
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.svm import LinearSVC
from sklearn.utils import check_random_state

from skfair.augmentation import LatentDebiasingSampler, PCAGenerator, VAEGenerator
from skfair.augmentation._attributes import AttributeClassifier, best_threshold
from skfair.augmentation._hyperplanes import Hyperplanes
from skfair.modules import CNN
from skfair.representation import VAETransformer
from skfair.robust import ERMClassifier

INVERSION = dict(source="inversion", hyperplane_balance="cell")
SOURCES = [dict(source="prior"), dict(source="inversion"), INVERSION]
ABLATIONS = ["partner_boundary", "group", "group_boundary", "none"]
every_source = pytest.mark.parametrize("given", SOURCES, ids=lambda g: "-".join(g.values()))


def sampler(**parameters):
    small = dict(n_hyperplane=500, n_check=200, random_state=0)
    parts = dict(generator=PCAGenerator(), classifier=LogisticRegression())
    return LatentDebiasingSampler(**{**parts, **small, **parameters})


def rows(n=400, correlation=0.8, seed=0):
    return toy(n, correlation, seed)


def two_features(n=600, seed=0):
    """D1 with a second attribute, which the third column betrays and the label agrees with."""
    X, y, s = toy(n, 0.8, seed)
    other = np.where(np.random.default_rng(seed + 1).random(n) < 0.7, y, 1 - y)
    X[:, 2] += 1.5 * (2 * other - 1)
    return X, y, np.column_stack([s, other])


def three_classes(n=600, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    s = np.where(rng.random(n) < 0.7, y > 0, y == 0).astype(int)
    X = np.column_stack([np.eye(3)[y] * 2, 2 * s - 1, np.zeros((n, 2))]) + 0.5 * rng.normal(size=(n, 6))
    return X, y, s


def fitted(X=None, y=None, s=None, **parameters):
    if X is None:
        X, y, s = rows()
    return sampler(**parameters).fit(X, y, sensitive_features=s)


def resampled(X=None, y=None, s=None, **parameters):
    """The sampler, and the three that it returns."""
    if X is None:
        X, y, s = rows()
    made = sampler(**parameters)
    return made, *made.fit_resample(X, y, sensitive_features=s)


class Recorder:
    """A generator without ``fit`` that writes down what it is asked."""

    def __init__(self, X, decode=None):
        self.inner = PCAGenerator().fit(X)
        self.calls = []
        self.change = decode

    def sample(self, n_samples, random_state=None):
        Z = self.inner.sample(n_samples, random_state)
        self.calls.append(("sample", Z))
        return Z

    def decode(self, Z):
        self.calls.append(("decode", np.array(Z)))
        made = self.inner.decode(Z)
        return made if self.change is None else self.change(made)

    def encode(self, X):
        self.calls.append(("encode", np.array(X)))
        return self.inner.encode(X)

    def of(self, kind):
        return [given for name, given in self.calls if name == kind]


class NeverFitted(BaseEstimator):
    """Fails the test when it is trained."""

    def fit(self, X, y=None):
        pytest.fail("the generator was trained")

    def sample(self, n_samples, random_state=None): ...

    def decode(self, Z): ...

    def encode(self, X): ...


# ---------------------------------------------------------------------- the pairs
@every_source
@pytest.mark.parametrize("seed", range(2))
def test_the_targets_margin_is_kept_and_the_groups_negated(given, seed):
    net = fitted(*rows(seed=seed), **given)
    Z = np.random.default_rng(seed).normal(size=(300, 5)) * 3
    h, moved = net.margins(Z), net.margins(net.partner(Z))
    assert h.shape == (300, 2)
    assert_allclose(moved[:, 0], h[:, 0], atol=1e-6)
    assert_allclose(moved[:, 1], -h[:, 1], atol=1e-6)
    assert np.abs(h).max() > 1
    assert_allclose(net.partner(net.partner(Z)), Z, atol=1e-6)


def test_partners_are_the_papers():
    net = fitted()
    Z = np.random.default_rng(0).normal(size=(50, 5))
    (t, g), (_, offset) = net.hyperplanes_.normals, net.hyperplanes_.offsets
    assert_allclose(np.linalg.norm([t, g], axis=1), 1)
    c = t @ g
    assert abs(c) > 0.1
    assert_allclose(net.hyperplanes_.overlap, [c**2])
    expected = Z - (2 * (Z @ g + offset) / (1 - c**2))[:, None] * (g - c * t)
    assert_allclose(net.partner(Z), expected, atol=1e-9)
    assert_allclose(net.partner(Z.tolist()), expected, atol=1e-9)
    assert_allclose(net.margins(Z), Z @ np.array([t, g]).T + net.hyperplanes_.offsets)


def test_each_ablation_by_hand():
    nets = {name: fitted(perturbation=name) for name in ["partner", *ABLATIONS]}
    net, Z = nets["partner"], np.random.default_rng(0).normal(size=(50, 5))
    for other in nets.values():
        assert_array_equal(other.hyperplanes_.normals, net.hyperplanes_.normals)
    g, h = net.hyperplanes_.normals[1], net.margins(Z)[:, 1:]
    assert_allclose(nets["group"].partner(Z), Z - 2 * h * g, atol=1e-9)
    assert_allclose(nets["group_boundary"].partner(Z), Z - h * g, atol=1e-9)
    assert_allclose(nets["partner_boundary"].partner(Z), (Z + net.partner(Z)) / 2, atol=1e-9)
    for name in ("partner_boundary", "group_boundary"):
        assert_allclose(net.margins(nets[name].partner(Z))[:, 1], 0, atol=1e-9)
    assert_allclose(net.margins(nets["partner_boundary"].partner(Z))[:, 0], net.margins(Z)[:, 0], atol=1e-9)
    assert_allclose(net.margins(nets["group"].partner(Z))[:, 1:], -h, atol=1e-9)


def test_the_ablation_that_ignores_the_target_loses_it():
    """Whenever the normals are not orthogonal."""
    net = fitted(perturbation="group")
    Z = np.random.default_rng(0).normal(size=(50, 5))
    change = (net.margins(net.partner(Z)) - net.margins(Z))[:, 0]
    t, g = net.hyperplanes_.normals
    assert_allclose(change, -2 * net.margins(Z)[:, 1] * (t @ g), atol=1e-9)
    assert np.abs(change).max() > 0.1


def test_the_length_of_the_normals_does_not_matter():
    normals, offsets = np.random.default_rng(0).normal(size=(2, 4)), np.array([0.3, -0.7])
    Z = np.random.default_rng(1).normal(size=(20, 4))
    names, scale = ["target", "g"], np.array([5.0, 0.1])
    one = Hyperplanes(normals, offsets, names)
    two = Hyperplanes(normals * scale[:, None], offsets * scale, names)
    assert_allclose(one.partner(Z, [True]), two.partner(Z, [True]), atol=1e-10)
    assert_allclose(one.margins(Z), two.margins(Z), atol=1e-12)


def test_a_rotated_latent_space_has_rotated_partners():
    R = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    X, y, s = rows()

    class Rotated(Recorder):
        def encode(self, X):
            return super().encode(X) @ R.T

        def decode(self, Z):
            return super().decode(Z @ R)

    plain, other = (fitted(X, y, s, generator=cls(X), **INVERSION) for cls in (Recorder, Rotated))
    Z = np.random.default_rng(0).normal(size=(30, 5))
    assert_allclose(other.partner(Z @ R.T), plain.partner(Z) @ R.T, atol=5e-3)
    one, two = (
        sampler(generator=cls(X), **INVERSION).fit_resample(X, y, sensitive_features=s) for cls in (Recorder, Rotated)
    )
    assert_allclose(two[0], one[0], atol=5e-3)  # as exact as the machines' optimizer is


@pytest.mark.parametrize("perturbation", ["partner", "partner_boundary"])
def test_two_features_change_one_by_one_and_together(perturbation):
    net = fitted(*two_features(), perturbation=perturbation)
    Z = np.random.default_rng(0).normal(size=(40, 5))
    h, to = net.margins(Z), -1 if perturbation == "partner" else 0
    assert h.shape == (40, 3)
    for flip in ([True, False], [False, True], [True, True], [False, False]):
        goal = h * np.where([False, *flip], to, 1)
        assert_allclose(net.margins(net.partner(Z, flip)), goal, atol=1e-6)
    assert_array_equal(net.partner(Z), net.partner(Z, [True, True]))
    assert_allclose(net.partner(Z, [False, False]), Z, atol=1e-9)
    if to:
        assert_allclose(net.partner(net.partner(Z, [True, False]), [True, False]), Z, atol=1e-6)


def test_the_group_alone_with_two_features():
    """Neither the target nor the other feature is looked after."""
    net = fitted(*two_features(), perturbation="group")
    Z = np.random.default_rng(0).normal(size=(40, 5))
    h, W = net.margins(Z), net.hyperplanes_.normals
    assert_allclose(net.partner(Z, [False, True]), Z - 2 * h[:, 2:] * W[2], atol=1e-9)
    assert_allclose(net.margins(net.partner(Z))[:, 1:], -h[:, 1:], atol=1e-6)


@every_source
def test_three_classes_keep_all_three_margins(given):
    net = fitted(*three_classes(), **given)
    Z = np.random.default_rng(0).normal(size=(40, 6))
    h, moved = net.margins(Z), net.margins(net.partner(Z))
    assert h.shape == (40, 4)
    assert_allclose(moved, h * [1, 1, 1, -1], atol=1e-6)
    assert_allclose(net.partner(net.partner(Z)), Z, atol=1e-6)
    assert min(net.hyperplane_accuracy_.values()) > 0.75


# ---------------------------------------------------------------------- what is added
def correlation(y, s):
    y, s = (np.asarray(a, dtype=float) for a in (y, s))
    return float(((y - y.mean()) * (s - s.mean())).mean())


@pytest.mark.parametrize("perturbation", ["partner", *ABLATIONS[:-1]])
def test_generated_labels_and_groups_are_independent(perturbation):
    """Exactly: each (t^, g^) has its (t^, 1 - g^)."""
    net, _, y, s = resampled(perturbation=perturbation)
    y, s = y[~net.is_real_], s[~net.is_real_]
    assert abs(correlation(y, s)) < 1e-15
    for label in (0, 1):
        assert (s[y == label] == 0).sum() == (s[y == label] == 1).sum() > 50
    assert_array_equal(y[:400], y[400:])
    assert_array_equal(s[:400], 1 - s[400:])


def test_generated_rows_alone_keep_the_bias():
    net, _, y, s = resampled(perturbation="none")
    assert len(y) == 800
    assert correlation(y[400:], s[400:]) > 0.1
    assert net.displacement_99_ == 0


@pytest.mark.parametrize("partners", ["every", "joint"])
def test_labels_are_independent_of_each_of_two_features(partners):
    X, y, S = two_features()
    net, _, y, S = resampled(X, y, S, partners=partners, n_synthetic=500)
    y, S = y[~net.is_real_], S[~net.is_real_]
    assert len(y) == 500 * (4 if partners == "every" else 2)
    assert max(abs(correlation(y, column)) for column in S.T) < 1e-15
    joint = pd.crosstab(y, S[:, 0] + 2 * S[:, 1]).to_numpy()
    if partners == "every":
        assert (joint == joint[:, :1]).all()
    else:
        assert_array_equal(joint[:, [0, 1]], joint[:, [3, 2]])  # all change together
        assert not (joint == joint[:, :1]).all()


def test_the_generator_is_asked_for_codes_and_their_partners_alone():
    X, y, s = rows()
    recorder = Recorder(X)
    net, X_new, _, _ = resampled(X, y, s, generator=recorder)
    first, codes = recorder.of("sample")
    assert (len(first), len(codes)) == (700, 400)
    decoded = recorder.of("decode")
    assert not recorder.of("encode")
    assert len(decoded) == 3
    for given, expected in zip(decoded, (first, codes, net.partner(codes))):
        assert_array_equal(given, expected)
    assert_array_equal(X_new[400:800], np.float32(recorder.inner.decode(codes)))
    assert_array_equal(X_new[800:], np.float32(recorder.inner.decode(net.partner(codes))))


def test_inversion_asks_for_partners_of_the_rows_alone():
    X, y, s = rows()
    recorder = Recorder(X)
    net, X_new, y_new, s_new = resampled(X, y, s, generator=recorder, **INVERSION)
    assert not recorder.of("sample")
    codes = recorder.inner.encode(X)
    for given in recorder.of("encode"):
        assert_array_equal(given, X)
    (decoded,) = recorder.of("decode")
    assert_array_equal(decoded, net.partner(codes))
    assert_array_equal(X_new[400:], np.float32(recorder.inner.decode(net.partner(codes))))
    assert_array_equal(y_new, np.concatenate([y, y]))
    assert_array_equal(s_new, np.concatenate([s, 1 - s]))
    assert not hasattr(net, "attribute_classifiers_")


def test_inversion_without_perturbation_gives_reconstructions():
    X, y, s = rows()
    net, X_new, y_new, s_new = resampled(X, y, s, **{**INVERSION, "perturbation": "none"})
    assert_allclose(X_new[400:], X, atol=1e-4)
    assert_array_equal(y_new[400:], y)
    assert_array_equal(s_new[400:], s)


@pytest.mark.parametrize("perturbation", ["partner", "group"])
def test_both_copies_carry_the_label_of_the_first(perturbation):
    """f_t(G(z)), not f_t(G(z')); of the ablation that ignores the target the latter differs for many."""
    net, X_new, y_new, s_new = resampled(perturbation=perturbation)
    target, group = net.attribute_classifiers_.values()
    first, partner = X_new[400:800], X_new[800:]
    assert_array_equal(y_new[400:800], target.label(first))
    assert_array_equal(y_new[800:], target.label(first))
    assert_array_equal(s_new[400:800], group.label(first))
    assert_array_equal(s_new[800:], 1 - group.label(first))
    assert ((target.label(partner) != y_new[800:]).mean() > 0.05) == (perturbation == "group")


@every_source
def test_how_many_rows_are_added(given):
    for n in (1, 37, 400):
        net, X_new, y_new, s_new = resampled(n_synthetic=n, **given)
        made = 2 * n if given["source"] == "prior" else n
        assert len(X_new) == len(y_new) == len(s_new) == len(net.is_real_) == 400 + made
        assert_array_equal(net.is_real_, np.arange(400 + made) < 400)


def test_some_inverted_rows_each_once():
    X, y, s = rows()
    recorder = Recorder(X)
    _, _, y_new, s_new = resampled(X, y, s, generator=recorder, n_synthetic=150, **INVERSION)
    chosen = recorder.of("encode")[-1]
    index = [np.flatnonzero((X == row).all(1)).item() for row in chosen]
    assert len(set(index)) == 150
    assert_array_equal(y_new[400:], y[index])
    assert_array_equal(s_new[400:], 1 - s[index])


def test_displacement_by_hand():
    for parameters in (dict(), INVERSION, dict(perturbation="partner_boundary")):
        X, y, s = rows()
        recorder = Recorder(X)
        net, *_ = resampled(X, y, s, generator=recorder, **parameters)
        codes = recorder.of("encode" if "source" in parameters else "sample")[-1]
        Z = recorder.inner.encode(X) if "source" in parameters else codes
        length = 2 * np.abs(net.margins(Z)[:, 1]) / np.sqrt(1 - net.hyperplanes_.overlap[0])
        length = length / 2 if "boundary" in parameters.get("perturbation", "") else length
        assert net.displacement_99_ == pytest.approx(np.quantile(length, 0.99), rel=1e-9)


# ---------------------------------------------------------------------- on the toy data
def mlp():
    return ERMClassifier(
        optimizer=torch.optim.Adam, lr=1e-3, module__hidden=(32,), module__dropout=0.0, max_epochs=20, batch_size=128,
        random_state=0,
    )  # fmt: skip


@functools.cache
def worst(which):
    """Worst cell's accuracy on rows whose groups have nothing to do with the labels."""
    X, y, s = toy()
    if which != "erm":
        given = INVERSION if which == "inversion" else {}
        X, y, _ = sampler(classifier=mlp(), n_hyperplane=3000, **given).fit_resample(X, y, sensitive_features=s)
    X_test, y_test, s_test = toy(4000, correlation=0.5, seed=9)
    right = mlp().fit(X, y).predict(X_test) == y_test
    return min(right[(y_test == a) & (s_test == b)].mean() for a in (0, 1) for b in (0, 1))


def test_true_labels_and_balanced_cells_help_the_worst_cell():
    assert worst("erm") < 0.70
    assert worst("inversion") > 0.86


def test_the_plain_method_gains_nothing_on_a_table():
    """The attribute classifiers learn the bias, and are near linear in the codes."""
    assert abs(worst("plain") - worst("erm")) < 0.08


def test_groups_flip_and_labels_stay_by_the_attribute_classifiers():
    net = fitted(*toy(), classifier=mlp(), n_hyperplane=3000)
    target, group = net.attribute_classifiers_.values()
    Z = net.generator_.sample(4000, random_state=7)
    first, partner = (net.generator_.decode(codes) for codes in (Z, net.partner(Z)))
    assert (group.label(first) != group.label(partner)).mean() >= 0.95
    assert (target.label(first) == target.label(partner)).mean() >= 0.95
    assert min(net.hyperplane_accuracy_.values()) > 0.95


# ---------------------------------------------------------------------- hyperplanes
def machine(Z, codes, weight, seed):
    fit = LinearSVC(max_iter=500_000, random_state=seed).fit(Z, codes, weight)
    length = np.linalg.norm(fit.coef_)
    return fit.coef_[0] / length, fit.intercept_[0] / length


@pytest.mark.parametrize("balance", ["none", "cell"])
def test_hyperplanes_are_linear_machines_with_these_weights(balance):
    rng = np.random.default_rng(0)
    X, y, s = rows()
    Z, attributes = rng.normal(size=(400, 5)) + X, np.column_stack([y, s])
    found = Hyperplanes.learn(Z, attributes, ["target", "g"], balance=balance, seed=3)
    cell = 2 * y + s
    count = np.bincount(cell)
    weight = (400 / (4 * count))[cell] if balance == "cell" else None
    for j, codes in enumerate((y, s)):
        normal, offset = machine(Z, codes, weight, 3)
        assert_allclose(found.normals[j], normal, atol=1e-6)
        assert found.offsets[j] == pytest.approx(offset, abs=1e-6)
    if balance == "cell":
        assert weight[cell == 0].sum() == pytest.approx(weight[cell == 1].sum()) == pytest.approx(100)


def test_balanced_cells_make_hyperplanes_more_upright():
    X, y, s = toy(correlation=0.95)
    overlaps = [
        fitted(X, y, s, source="inversion", hyperplane_balance=balance).hyperplanes_.overlap[0]
        for balance in ("none", "cell")
    ]
    assert overlaps[1] < overlaps[0] - 0.1


def test_hyperplanes_are_measured_on_codes_that_they_did_not_see():
    X, y, s = rows()
    recorder = Recorder(X)
    net = fitted(X, y, s, generator=recorder)
    Z = recorder.of("sample")[0]
    attributes = [c.label(recorder.inner.decode(Z)) for c in net.attribute_classifiers_.values()]
    learned = Hyperplanes.learn(
        Z[:500], np.column_stack(attributes)[:500], ["target", "g"], balance="none", seed=0
    )  # fmt: skip
    assert_allclose(net.hyperplanes_.normals, learned.normals, atol=1e-3)
    right = (net.margins(Z[500:]) > 0) == np.column_stack(attributes)[500:]
    assert list(net.hyperplane_accuracy_) == ["target", "sensitive_feature_0"]
    assert_allclose(list(net.hyperplane_accuracy_.values()), right.mean(0))


def test_a_few_codes_are_enough():
    net = fitted(n_hyperplane=20, n_check=5)
    assert net.hyperplanes_.normals.shape == (2, 5)
    net = fitted(n_hyperplane=60, **INVERSION)
    assert net.hyperplane_accuracy_["target"] > 0.8


@every_source
def test_nearly_parallel_hyperplanes_are_refused_with_the_value(given):
    X, y, _ = rows()
    with pytest.raises(ValueError, match=r"hyperplane of 'sex' is nearly parallel.*1\.0000.*at most 0\.999"):
        fitted(X, y, pd.Series(y, name="sex"), **given)
    assert fitted(X, y, y, perturbation="group", **given).partner(X[:3].astype(float)).shape == (3, 5)


def test_the_bound_of_the_overlap():
    for c2, good in ((0.9989, True), (0.9991, False)):
        normals = np.array([[1.0, 0.0], [np.sqrt(c2), np.sqrt(1 - c2)]])
        planes = Hyperplanes(normals, np.zeros(2), ["target", "sex"])
        if good:
            planes.check()
        else:
            with pytest.raises(ValueError, match=r"'sex'.*0\.999100 of its normal's squared"):
                planes.check()


def test_too_few_dimensions_are_refused():
    X, y, S = two_features()
    with pytest.raises(ValueError, match="nearly parallel.*too few latent dimensions"):
        fitted(X, y, S, generator=PCAGenerator(2))


@pytest.mark.parametrize("constant", ["target", "group"])
def test_generated_rows_that_lack_a_label_are_refused(constant):
    X, y, s = rows()

    class Same(LogisticRegression):
        """Says the same of all rows, of one of the attributes."""

        def predict_proba(self, X):
            same = (self.y_[:5] == (y if constant == "target" else s)[:5]).all()
            return np.tile([0.0, 1.0], (len(X), 1)) if same else super().predict_proba(X)

        def fit(self, X, codes):
            self.y_ = y if (codes == y[: len(codes)]).all() else codes
            return super().fit(X, codes)

    name = "target" if constant == "target" else "sensitive_feature_0"
    constant_of = DummyClassifier(strategy="constant", constant=1)
    with pytest.raises(ValueError, match=r"lack a label of 'target': there are \[0, 500\] of each"):
        fitted(X, y, s, classifier=constant_of)
    recorder = Recorder(X, lambda made: np.where(np.arange(5) == (0 if constant == "target" else 1), 9.0, made))
    with pytest.raises(ValueError, match=rf"lack a label of '({name}|target)'"):
        fitted(X, y, s, generator=recorder)


# ---------------------------------------------------------------------- thresholds
def brute_force(positive, score):
    """The best of 0.1, ..., 0.9, then of hundredths within .09 of it; ties go to the one nearest 1/2."""

    def best(candidates):
        found = []
        for t in candidates:
            tp, fp, fn = (np.sum(a & b) for a, b in
                          ((positive, score > t), (~positive, score > t), (positive, score <= t)))  # fmt: skip
            found.append(0.0 if tp == 0 else 2 * tp / (2 * tp + fp + fn))
        top = max(found)
        return min((abs(t - 0.5), t) for t, f in zip(candidates, found) if f >= top - 1e-9)[1]

    coarse = best([k / 10 for k in range(1, 10)])
    near = [round(coarse + k / 100, 2) for k in range(-9, 10)]
    return best([t for t in near if 0.01 <= t <= 0.99])


@pytest.mark.parametrize("seed", range(6))
def test_the_best_threshold_against_brute_force(seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(300) < (0.1, 0.5, 0.9)[seed % 3]
    score = np.clip(0.3 * positive + 0.7 * rng.random(300) ** (0.5 + seed / 3), 0, 1)
    found, expected = best_threshold(positive, score), brute_force(positive, score)
    assert f1_score(positive, score > found) == pytest.approx(f1_score(positive, score > expected))
    assert abs(abs(found - 0.5) - abs(expected - 0.5)) < 1e-9


def test_thresholds_by_hand():
    positive = np.array([False, False, True, True])
    assert best_threshold(positive, np.array([0.1, 0.2, 0.8, 0.9])) == 0.5  # all between are equal
    assert best_threshold(positive, np.array([0.61, 0.71, 0.76, 0.9])) == 0.71  # above it, not from it on
    assert best_threshold(positive, np.array([0.11, 0.14, 0.16, 0.2])) == pytest.approx(0.15)
    assert best_threshold(~positive | True, np.array([0.3, 0.4, 0.6, 0.7])) <= 0.29
    assert best_threshold(np.zeros(4, dtype=bool), np.arange(4) / 4) == 0.5


def test_classifiers_choose_thresholds_on_rows_that_they_did_not_see():
    X, y, s = rows(600)
    seen = []

    class Witness(LogisticRegression):
        def fit(self, X, y):
            seen.append((X.copy(), y.copy()))
            return super().fit(X, y)

    net = fitted(X, y, s, classifier=Witness(), validation_fraction=0.25)
    assert list(net.attribute_classifiers_) == ["target", "sensitive_feature_0"]
    (rows_t, codes_t), (rows_g, codes_g) = seen
    assert_array_equal(rows_t, rows_g)
    assert len(rows_t) == pytest.approx(450, abs=3)
    index = [np.flatnonzero((X == row).all(1)).item() for row in rows_t]
    assert_array_equal(codes_t, y[index])
    assert_array_equal(codes_g, s[index])
    held_out = np.setdiff1d(np.arange(600), index)
    cell = 2 * y + s
    assert_allclose(np.bincount(cell[held_out]), 0.25 * np.bincount(cell), atol=0.51)  # a share of each cell
    for classifier, codes in zip(net.attribute_classifiers_.values(), (y, s)):
        scores = classifier.fitted.predict_proba(X[held_out])[:, 1]
        assert classifier.threshold == pytest.approx(best_threshold(codes[held_out] == 1, scores))
        assert_array_equal(classifier.label(X), classifier.fitted.predict_proba(X)[:, 1] > classifier.threshold)


def test_more_than_two_classes_have_no_threshold():
    X, y, _ = three_classes()
    classifier = AttributeClassifier(LogisticRegression().fit(X, y), 3, X, y)
    assert classifier.threshold is None
    assert_array_equal(classifier.label(X), classifier.fitted.predict(X))


# ---------------------------------------------------------------------- what comes back: X
def frame():
    X, y, s = rows()
    given = pd.DataFrame(X, columns=list("abcde")).astype({"c": "float64"})
    given["whole"] = (3 * X[:, 1]).round().astype("int32")
    given["yes"] = X[:, 0] > 0
    given["nullable"] = pd.array((2 * X[:, 2]).round().astype(int), dtype="Int64")
    return given.set_index(np.arange(1000, 1400)), y, s


@every_source
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int8])
def test_arrays_come_back_first_and_as_they_were(given, dtype):
    X, y, s = rows()
    X = (10 * X).clip(-120, 120).astype(dtype)
    net, X_new, y_new, s_new = resampled(X, y, s, **given)
    assert X_new.dtype == dtype
    assert_array_equal(X_new[:400], X)
    assert_array_equal(X_new[net.is_real_], X)
    assert_array_equal(y_new[:400], y)
    assert_array_equal(s_new[:400], s)
    assert y_new.dtype == y.dtype
    assert s_new.dtype == s.dtype
    assert len(X_new) == len(y_new) == len(s_new)


def test_whole_numbers_do_not_wrap_around():
    """Generated values outside of the type's range become its ends: a shade below black is black."""
    X, y, s = rows()
    X = np.uint8(255 * (X - X.min(0)) / np.ptp(X, axis=0))
    recorder = Recorder(X)
    net, X_new, _, _ = resampled(X, y, s, generator=recorder, **INVERSION)
    made = recorder.inner.decode(net.partner(recorder.inner.encode(X)))
    assert made.min() < -1
    assert made.max() > 256
    assert X_new.dtype == np.uint8
    assert_array_equal(X_new[400:], np.rint(made).clip(0, 255))


def test_yes_or_no_is_rounded_to_the_nearer():
    X, y, s = rows()
    flags = np.column_stack([X > 0, X > 0.5])
    recorder = Recorder(flags.astype(float))
    recorder.inner = PCAGenerator(decoding="expected").fit(flags)
    net, X_new, _, _ = resampled(flags, y, s, generator=recorder, **INVERSION)
    made = recorder.inner.decode(net.partner(recorder.inner.encode(flags)))
    assert X_new.dtype == bool
    assert made.min() < -0.6
    assert_array_equal(X_new[400:], made > 0.5)


def test_lists_come_back_as_lists():
    X, y, s = rows()
    _, X_new, y_new, s_new = resampled(X.tolist(), y.tolist(), s.tolist(), **INVERSION)
    assert (type(X_new), type(y_new), type(s_new)) == (list, list, list)
    assert X_new[:400] == X.tolist()
    assert y_new[:400] == y.tolist()
    assert s_new == [*s.tolist(), *(1 - s).tolist()]
    assert {type(row) for row in X_new} == {list}
    assert {type(value) for value in [*y_new, *s_new]} == {int}


@every_source
def test_frames_keep_names_and_types(given):
    X, y, s = frame()
    before = X.copy()
    net, X_new, _, _ = resampled(X, y, s, **given)
    pd.testing.assert_frame_equal(X_new[:400], X.reset_index(drop=True))
    pd.testing.assert_frame_equal(X, before)
    assert net.feature_names_in_.tolist() == X_new.columns.tolist()
    assert X_new.index.tolist() == list(range(len(X_new)))
    assert X_new.dtypes.tolist() == X.dtypes.tolist()
    assert X_new["yes"][400:].isin([False, True]).all()
    assert 0 < X_new["yes"][400:].mean() < 1
    arrays = resampled(X.to_numpy(dtype=float), y, s, **given)[1]
    assert_array_equal(X_new["whole"], np.rint(arrays[:, 5]))
    assert_allclose(X_new[list("abcde")], arrays[:, :5], rtol=1e-5, atol=1e-5)


def test_categories_of_a_frame_stay_categories():
    """A value in between becomes the nearest of them, not a missing one."""
    X, y, s = rows()
    given = pd.DataFrame(X, columns=list("abcde"))
    given["kind"] = pd.Categorical((1.5 * X[:, 2]).round().astype(int).clip(-2, 2))
    recorder = Recorder(given.to_numpy(dtype=float))
    net, X_new, _, _ = resampled(given, y, s, generator=recorder, **INVERSION)
    assert X_new["kind"].dtype == given["kind"].dtype
    assert not X_new["kind"].isna().any()
    made = recorder.inner.decode(net.partner(recorder.inner.encode(given.to_numpy(dtype=float))))[:, 5]
    assert_array_equal(X_new["kind"][400:].astype(int), np.rint(made).clip(-2, 2))


def test_frames_with_levels_or_numbers_for_names():
    X, y, s = rows()
    for columns in (pd.MultiIndex.from_product([["p"], list("abcde")], names=["u", "v"]), range(5)):
        given = pd.DataFrame(X, columns=columns)
        pd.testing.assert_frame_equal(resampled(given, y, s, **INVERSION)[1][:400], given)


@every_source
def test_polars_comes_back_as_polars(given):
    X, y, s = rows()
    table = pl.DataFrame({name: X[:, j] for j, name in enumerate("abcde")}).with_columns(
        pl.Series("whole", (3 * X[:, 1]).round().astype(np.int32)), pl.Series("yes", X[:, 0] > 0)
    )
    labels, groups = pl.Series("label", y), pl.Series("sex", np.where(s, "m", "f"))
    _, X_new, y_new, s_new = resampled(table, labels, groups, **given)
    assert isinstance(X_new, pl.DataFrame)
    assert X_new.schema == table.schema
    assert X_new[:400].equals(table)
    assert isinstance(y_new, pl.Series)
    assert y_new[:400].equals(labels, check_names=True)
    assert s_new[:400].equals(groups, check_names=True)
    assert set(s_new) == {"f", "m"}


def test_groups_in_polars():
    X, y, S = two_features()
    for groups in (
        pl.Series("sex", S[:, 0]), pl.Series("sex", S[:, 0] == 1),
        pl.Series("sex", np.where(S[:, 0], "m", "f"), dtype=pl.Categorical),
        pl.Series("sex", np.where(S[:, 0], "m", "f"), dtype=pl.Enum(["m", "f"])),
        pl.DataFrame({"sex": np.where(S[:, 0], "m", "f"), "old": S[:, 1] == 1}),
    ):  # fmt: skip
        s_new = resampled(X, y, groups, **INVERSION)[3]
        assert type(s_new) is type(groups)
        assert s_new[: len(X)].equals(groups)
        assert len(s_new) == len(X) * (4 if isinstance(groups, pl.DataFrame) else 2)


@pytest.mark.parametrize("given", [dict(), INVERSION], ids=["prior", "inversion"])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (sp.csr_array, np.float32),
        (sp.csr_matrix, np.float64),
        (sp.csr_matrix, np.int64),
        (sp.csc_array, np.float64),
        (sp.coo_array, np.float32),
    ],
)
def test_sparse_rows_stay_sparse(given, kind, dtype):
    X, y, s = rows()
    X = (3 * X).round().astype(dtype)
    _, X_new, _, _ = resampled(kind(X), y, s, **given)
    assert type(X_new) is kind
    assert X_new.dtype == dtype
    assert_array_equal(X_new.toarray(), resampled(X, y, s, **given)[1])


# ---------------------------------------------------------------------- what comes back: labels and groups
WORDS = {0: "no", 1: "yes"}
LABELS = {
    "words": lambda y: np.where(y, "yes", "no"),
    "objects": lambda y: np.array([WORDS[v] for v in y], dtype=object),
    "bool": lambda y: y == 1,
    "int8": lambda y: y.astype(np.int8),
    "float": lambda y: y + 1.0,
    "list of words": lambda y: [WORDS[v] for v in y],
    "list of bools": lambda y: (y == 1).tolist(),
    "tuple": lambda y: tuple(y.tolist()),
    "Series": lambda y: pd.Series(y, name="label"),
    "Series of words": lambda y: pd.Series(np.where(y, "yes", "no"), name="label"),
    "Series of bools": lambda y: pd.Series(y == 1),
    "category": lambda y: pd.Series(pd.Categorical(np.where(y, "yes", "no"), ["yes", "no", "maybe"]), name="label"),
    "nullable": lambda y: pd.Series(y, dtype="Int64"),
    "nullable words": lambda y: pd.Series(np.where(y, "yes", "no"), dtype="string"),
}


def assert_same_kind(new, given, n):
    """The first n are those given; the container, its name and its type are the same."""
    assert type(new) is type(given)
    if isinstance(given, pd.Series | pd.DataFrame):
        check = pd.testing.assert_series_equal if isinstance(given, pd.Series) else pd.testing.assert_frame_equal
        check(new[:n].reset_index(drop=True), given.reset_index(drop=True))
    elif isinstance(given, np.ndarray):
        assert new.dtype == given.dtype
        assert new.shape[1:] == given.shape[1:]
        assert_array_equal(new[:n], given)
    else:
        assert new[:n] == given
        assert {type(v) for v in new} == {type(v) for v in given}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_kind(kind):
    X, y, s = rows()
    labels = LABELS[kind](y)
    for given in (dict(), INVERSION):
        net, _, y_new, _ = resampled(X, labels, s, **given)
        codes = resampled(X, y, s, **given)[2]
        assert_same_kind(y_new, labels, 400)
        expected = LABELS[kind](codes)
        assert list(y_new) == list(expected)
        assert net.classes_.tolist() == sorted(set(labels))


GROUPS = {
    **LABELS,
    "two-dimensional": lambda s: s[:, None],
    "two-dimensional words": lambda s: np.where(s, "m", "f")[:, None],
    "list of lists": lambda s: [[WORDS[v]] for v in s],
    "list of tuples": lambda s: [(int(v),) for v in s],
    "frame": lambda s: pd.DataFrame({"sex": s}),
    "frame of words": lambda s: pd.DataFrame({"sex": np.where(s, "m", "f")}),
    "frame of categories": lambda s: pd.DataFrame({"sex": pd.Categorical(np.where(s, "m", "f"))}),
    "frame of bools": lambda s: pd.DataFrame({"sex": s == 1}),
    "index of its own": lambda s: pd.Series(s, index=np.arange(len(s)) + 7, name="sex"),
}


@pytest.mark.parametrize("kind", GROUPS)
def test_groups_of_any_kind(kind):
    X, y, s = rows()
    groups = GROUPS[kind](s)
    for given in (dict(), INVERSION):
        _, _, _, s_new = resampled(X, y, groups, **given)
        codes = resampled(X, y, s, **given)[3]
        assert_same_kind(s_new, groups, 400)
        assert np.asarray(s_new).tolist() == np.asarray(GROUPS[kind](codes)).tolist()


@pytest.mark.parametrize("mixed", [False, True])
def test_several_groups_of_any_kind(mixed):
    X, y, S = two_features()
    second = S[:, 1] == 1 if mixed else S[:, 1]
    kept = pd.DataFrame({"sex": pd.Categorical(np.where(S[:, 0], "m", "f")), "old": second})
    for groups in (
        S,
        S.tolist(),
        pd.DataFrame(S),
        kept,
        {"sex": np.where(S[:, 0], "m", "f"), "old": pd.Series(second)},
    ):
        s_new = resampled(X, y, groups, **INVERSION)[3]
        assert type(s_new) is type(groups)
        if isinstance(groups, dict):
            assert [type(v) for v in s_new.values()] == [np.ndarray, pd.Series]
            assert {len(v) for v in s_new.values()} == {2400}
        else:
            assert len(s_new) == 2400
    frame_new = resampled(X, y, kept, **INVERSION)[3]
    assert frame_new.dtypes.tolist() == kept.dtypes.tolist()
    pd.testing.assert_frame_equal(frame_new[:600], kept)
    codes = np.column_stack([frame_new["sex"] == "m", frame_new["old"] == 1]).astype(int)
    blocks = [S, S ^ [0, 1], S ^ [1, 0], S ^ [1, 1]]
    assert_array_equal(codes, np.concatenate(blocks))


@pytest.mark.parametrize(
    "groups",
    [
        lambda s: np.where(s, 1.0, np.nan),
        lambda s: pd.Series(np.where(s, 1.0, np.nan), name="sex"),
        lambda s: pd.Series(np.where(s, "m", None), dtype="category"),
        lambda s: pd.Series(np.where(s, "m", None), dtype=object),
    ],
    ids=["float", "Series", "category", "object"],
)
def test_a_missing_group_is_one_of_two(groups):
    """It comes back in a form that the container can hold."""
    X, y, s = rows()
    given = groups(s)
    s_new = resampled(X, y, given, **INVERSION)[3]
    assert_array_equal(pd.isna(s_new[:400]), pd.isna(given))
    assert_array_equal(pd.isna(s_new[400:]) | (np.asarray(s_new[400:], dtype=object) == "missing"), s == 1)


def test_two_outputs_without_groups_and_three_with_them():
    X, y, s = rows()
    assert len(sampler(**INVERSION).fit_resample(X, y, sensitive_features=s)) == 3
    by_column = sampler(sensitive_columns=lambda X: X[:, 1] > 0, **INVERSION)
    assert len(by_column.fit_resample(X, y)) == 2
    assert len(by_column.fit_resample(X, y, sensitive_features=s)) == 3


# ---------------------------------------------------------------------- sensitive columns
def coded():
    """A frame in which the last two columns are the groups, with values of their own."""
    X, y, S = two_features()
    given = pd.DataFrame(X, columns=list("abcde"))
    given["sex"] = np.where(S[:, 0], 7, 3)
    given["old"] = np.where(S[:, 1], 1.5, -0.5).astype(np.float32)
    return given, y, S


@every_source
@pytest.mark.parametrize("columns", ["sex", 5, -2, ["sex"], ["sex", "old"], [6, 5], ["old", -2], [-1]], ids=str)
def test_new_rows_carry_their_own_groups_in_their_columns(given, columns):
    X, y, S = coded()
    net = sampler(sensitive_columns=columns, **given)
    X_new, y_new = net.fit_resample(X, y)
    wanted = columns if isinstance(columns, list) else [columns]
    names = [c if isinstance(c, str) else X.columns[c] for c in wanted]
    assert net.sensitive_encoder_.names_ == names
    pd.testing.assert_frame_equal(X_new[:600], X)
    for name in names:
        assert set(X_new[name][600:]) == set(X[name])
        assert X_new[name].dtype == X[name].dtype
    # those that are returned are those of the sampler that is given the same groups
    other = sampler(**given)
    _, _, groups = other.fit_resample(X, y, sensitive_features=X[names])
    pd.testing.assert_frame_equal(X_new[names], groups)


@pytest.mark.parametrize("kind", [np.asarray, lambda X: sp.csr_array(np.asarray(X)), lambda X: X.to_numpy().tolist()])
def test_sensitive_columns_of_other_containers(kind):
    X, y, S = coded()
    net = sampler(sensitive_columns=5, **INVERSION)
    X_new, y_new = net.fit_resample(kind(X), y)
    X_new = X_new.toarray() if sp.issparse(X_new) else np.asarray(X_new)
    assert_array_equal(X_new[600:, 5], np.where(S[:, 0], 3, 7))
    assert_array_equal(y_new[600:], y)


def test_a_callable_says_the_groups():
    X, y, S = coded()
    net = sampler(sensitive_columns=lambda X: X["sex"] == 7, **INVERSION)
    _, y_new = net.fit_resample(X, y)
    _, y_same, s_new = sampler(**INVERSION).fit_resample(X, y, sensitive_features=S[:, 0])
    assert_array_equal(y_new, y_same)
    assert_allclose(net.hyperplanes_.normals, fitted(X, y, S[:, 0], **INVERSION).hyperplanes_.normals)


# ---------------------------------------------------------------------- seeds, and what is left alone
@every_source
def test_the_seed_decides_every_bit(given):
    X, y, s = rows()
    given = {**given, "n_synthetic": 100, "classifier": ERMClassifier(max_epochs=2)}
    made = [resampled(X, y, s, random_state=seed, **given)[1] for seed in (0, 0, 1)]
    assert_array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    twice = sampler(**given)
    for _ in range(2):
        assert_array_equal(twice.fit_resample(X, y, sensitive_features=s)[0], made[0])
    by_generator = resampled(X, y, s, random_state=np.random.default_rng(5), **given)[1]
    assert_array_equal(by_generator, resampled(X, y, s, random_state=np.random.default_rng(5), **given)[1])


def test_the_seed_decides_an_autoencoder_without_one():
    X, y, s = rows()
    vae = VAETransformer(n_components=3, max_epochs=2, module__hidden=(8,))
    made = [
        resampled(X, y, s, generator=VAEGenerator(vae, decoding="sample"), random_state=seed, **INVERSION)[1]
        for seed in (0, 0, 1)
    ]
    assert_array_equal(made[0], made[1])
    assert np.abs(made[0] - made[2]).max() > 0.1


def test_other_seeds_without_one():
    X, y, s = rows()
    made = [resampled(X, y, s, random_state=None)[1] for _ in range(2)]
    assert not np.array_equal(*made)


def test_the_global_generators_stay():
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    before = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    # a small beta and the same nets each time: an autoencoder that gives up its dimensions has nothing to pair
    vae = VAETransformer(n_components=3, beta=0.1, max_epochs=10, lr=0.02, module__hidden=(16,), random_state=0)
    classifier = ERMClassifier(max_epochs=10, lr=0.02, random_state=0)
    generator = VAEGenerator(vae, decoding="sample")
    resampled(*rows(correlation=0.5), generator=generator, classifier=classifier, random_state=None)
    assert_array_equal(np.random.get_state()[1], before[0][1])  # noqa: NPY002
    assert np.random.get_state()[2:] == before[0][2:]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


@every_source
def test_nothing_of_the_users_is_changed(given):
    X, y, s = rows()
    copies = X.copy(), y.copy(), s.copy()
    vae = VAETransformer(n_components=3, max_epochs=10, lr=0.02, module__hidden=(16,))
    generator, classifier = VAEGenerator(vae), LogisticRegression()
    net = sampler(generator=generator, classifier=classifier, **given)
    net.fit_resample(X, y, sensitive_features=s)
    for now, before in zip((X, y, s), copies):
        assert_array_equal(now, before)
    assert net.generator is generator
    assert net.classifier is classifier
    for part in (generator, generator.vae, classifier):
        assert not [
            name for name in vars(part) if name.endswith("_") and not name.startswith("_") and name != "callbacks_"
        ]
    assert generator.random_state is None
    assert net.generator_ is not generator


def test_read_only_rows():
    X, y, s = rows()
    for part in (X, y, s):
        part.setflags(write=False)
    assert len(resampled(X, y, s, **INVERSION)[1]) == 800
    assert len(sampler(sensitive_columns=0, **INVERSION).fit_resample((X > 0).astype(float), y)[0]) == 800


def test_read_only_codes():
    """As pandas gives them; torch warns of such, once in a program unless it is told otherwise."""
    net = fitted(**INVERSION)
    Z = np.random.default_rng(0).normal(size=(5, 5))
    expected = net.partner(Z)
    Z.setflags(write=False)
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        assert_array_equal(net.partner(Z), expected)
        assert_array_equal(net.partner(pd.DataFrame(Z)), expected)
    finally:
        torch.set_warn_always(always)


@every_source
def test_clones_parameters_and_pickles(given):
    X, y, s = rows()
    net = sampler(**given)
    twin = clone(net)
    assert repr(twin) == repr(net)
    assert twin.set_params(n_synthetic=5, generator__n_components=3, random_state=7).get_params()["n_synthetic"] == 5
    assert net.generator.n_components is None
    net.fit_resample(X, y, sensitive_features=s)
    again = pickle.loads(pickle.dumps(net))
    Z = np.random.default_rng(0).normal(size=(5, 5))
    assert_array_equal(again.partner(Z), net.partner(Z))
    assert_array_equal(again.margins(Z), net.margins(Z))
    assert_array_equal(again.is_real_, net.is_real_)
    assert_array_equal(again.generator_.decode(Z), net.generator_.decode(Z))
    assert not hasattr(clone(net), "hyperplanes_")


def test_fit_makes_no_rows():
    X, y, s = rows()
    recorder = Recorder(X)
    net = sampler(generator=recorder, **INVERSION)
    assert net.fit(X, y, sensitive_features=s) is net
    assert not recorder.of("decode")
    assert not hasattr(net, "is_real_")
    resampling = sampler(**INVERSION)
    resampling.fit_resample(X, y, sensitive_features=s)
    Z = recorder.inner.encode(X)
    assert_array_equal(net.partner(Z), resampling.partner(Z))
    assert_array_equal(net.margins(Z), resampling.margins(Z))


# ---------------------------------------------------------------------- generators of a user's own
class Scikit(BaseEstimator):
    """Fitted like an estimator of scikit-learn, with its random states (below 2^32)."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def fit(self, X, y=None):
        self.inner_ = PCAGenerator().fit(X)
        return self

    def sample(self, n_samples, random_state=None):
        return check_random_state(random_state).standard_normal((n_samples, self.inner_.n_components_)) * self.scale

    def decode(self, Z):
        return self.inner_.decode(Z)

    def encode(self, X):
        return self.inner_.encode(X)


class OnlyX(Scikit):
    def fit(self, X):
        return super().fit(X)


@every_source
@pytest.mark.parametrize("cls", [Scikit, OnlyX])
def test_a_generator_with_fit_is_cloned_and_fitted(given, cls):
    X, y, s = rows()
    own = cls()
    net, X_new, _, _ = resampled(X, y, s, generator=own, **given)
    assert isinstance(net.generator_, cls)
    assert net.generator_ is not own
    assert not hasattr(own, "inner_")
    assert len(X_new) == 800 if given["source"] == "inversion" else 1200


@every_source
@pytest.mark.parametrize("result", ["list", "frame", "tensor", "single precision"])
def test_generators_may_return_arrays_of_any_kind(given, result):
    X, y, s = rows()
    kind = {
        "list": lambda A: A.tolist(), "frame": pd.DataFrame, "tensor": torch.from_numpy, "single precision": np.float32
    }[result]  # fmt: skip

    class Other(Recorder):
        def sample(self, n_samples, random_state=None):
            return kind(super().sample(n_samples, random_state))

        def decode(self, Z):
            return kind(super().decode(np.asarray(Z)))

        def encode(self, X):
            return kind(super().encode(np.asarray(X)))

    _, found, y_new, s_new = resampled(X, y, s, generator=Other(X), **given)
    _, expected, y_same, s_same = resampled(X, y, s, generator=Recorder(X), **given)
    assert_allclose(found, expected, atol=1e-3)
    assert_array_equal(y_new, y_same)
    assert_array_equal(s_new, s_same)


class Affine(torch.nn.Module):
    """G(z) = A z + b, with dropout that is to be off."""

    n_components = 5

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.back = torch.nn.Linear(5, 5)
            torch.nn.init.orthogonal_(self.back.weight)
        self.dropout = torch.nn.Dropout(0.5)

    def decode(self, z):
        return self.dropout(self.back(3 * z))


class TwoWays(Affine):
    def encode(self, x):
        return self.dropout((x - self.back.bias) @ self.back.weight / 3)


class OwnPrior(Affine):
    def sample(self, n_samples, random_state=None):
        generator = torch.Generator().manual_seed(random_state)
        return self.back(torch.randn(n_samples, 5, generator=generator))


@pytest.mark.parametrize("cls", [Affine, TwoWays, OwnPrior])
def test_torch_modules(cls):
    X, y, s = rows()
    module = cls()
    before = [p.detach().clone() for p in module.parameters()]
    net, X_new, _, _ = resampled(X, y, s, generator=module)
    assert module.training
    assert all(map(torch.equal, before, module.parameters()))
    assert all(p.grad is None for p in module.parameters())
    A, b = module.back.weight.detach().numpy(), module.back.bias.detach().numpy()
    Z = (X_new[400:800] - b) @ A / 3  # A is orthogonal
    assert_allclose(net.generator_.decode(Z), X_new[400:800], atol=1e-4)
    assert_allclose(net.generator_.decode(net.partner(Z)), X_new[800:], atol=1e-3)
    if cls is not OwnPrior:
        assert kstest(Z.ravel(), "norm").pvalue > 1e-3
    twin = pickle.loads(pickle.dumps(clone(net)))
    assert_array_equal(twin.fit_resample(X, y, sensitive_features=s)[0], X_new)


def test_torch_modules_with_an_encoder():
    X, y, s = rows()
    net, X_new, _, _ = resampled(X, y, s, generator=TwoWays(), **INVERSION)
    Z = net.generator_.encode(X)
    assert_allclose(net.generator_.decode(Z), X, atol=1e-4)
    assert_allclose(X_new[400:], net.generator_.decode(net.partner(Z)), atol=1e-4)
    with pytest.raises(
        ValueError, match=r"(?s)source='inversion' needs a generator with \['decode', 'encode'\].*no \['enc"
    ):
        fitted(X, y, s, generator=Affine(), **INVERSION)


def test_a_fitted_generator_is_used_as_it_is():
    X, y, s = rows()
    generator = PCAGenerator(4).fit(rows(seed=5)[0])
    mean = generator.mean_.copy()
    net = fitted(X, y, s, generator=FrozenEstimator(generator))
    assert net.generator_.estimator is generator
    assert_array_equal(generator.mean_, mean)
    assert net.partner(np.zeros((1, 4))).shape == (1, 4)


def test_a_fitted_autoencoder_is_used_as_it_is():
    X, y, s = rows()
    vae = VAETransformer(n_components=3, max_epochs=2, random_state=0).fit(X)
    weights = [w.clone() for w in vae.module_.state_dict().values()]
    for generator in (FrozenEstimator(vae), VAEGenerator(FrozenEstimator(vae))):
        net = fitted(X, y, s, generator=generator, **INVERSION)
        assert isinstance(net.generator_, VAEGenerator)
        assert net.generator_.vae_.estimator is vae
        assert all(map(torch.equal, weights, vae.module_.state_dict().values()))
    own = fitted(X, y, s, generator=VAETransformer(n_components=3, max_epochs=1), **INVERSION)
    assert isinstance(own.generator_, VAEGenerator)
    assert own.generator_.vae_.n_components == 3


@every_source
def test_what_was_fitted_on_a_frame_is_given_frames(given):
    """No warning of names that are not there (warnings raise)."""
    X, y, s = rows()
    X = pd.DataFrame(X, columns=list("abcde"))
    for generator in (PCAGenerator().fit(X), VAETransformer(n_components=3, max_epochs=1, random_state=0).fit(X)):
        fitted(X, y, s, generator=FrozenEstimator(generator), **given)
    names = []

    class Witness(LogisticRegression):
        def fit(self, X, y):
            names.append(list(getattr(X, "columns", [])))
            return super().fit(X, y)

    fitted(X, y, s, classifier=Witness())
    assert names == [list("abcde")] * 2


@every_source
def test_a_table_has_the_linear_map_by_default(given):
    X, y, s = rows()
    net, X_new, _, _ = resampled(X, y, s, generator=None, **given)
    assert isinstance(net.generator_, PCAGenerator)
    assert_array_equal(X_new, resampled(X, y, s, **given)[1])


def test_rows_of_another_shape_are_refused():
    X, y, s = rows()
    with pytest.raises(ValueError, match=r"generator made rows of shape \(4,\), but those of X have \(5,\)"):
        fitted(X, y, s, generator=Recorder(X, lambda made: made[:, :4]))
    with pytest.raises(ValueError, match=r"generator made rows of shape \(4,\), but those of X have \(5,\)"):
        resampled(X, y, s, generator=Recorder(X, lambda made: made[:, :4]), **INVERSION)


@every_source
def test_rows_that_are_no_numbers_are_refused(given):
    X, y, s = rows()

    def spoil(made):
        made[0, 0] = np.nan
        return made

    with pytest.raises(ValueError, match="NaN"):
        resampled(X, y, s, generator=Recorder(X, spoil), **given)


def test_codes_of_another_shape_are_refused():
    X, y, s = rows()

    class Short(Recorder):
        def encode(self, X):
            return super().encode(X)[:-1]

    class Flat(Recorder):
        def sample(self, n_samples, random_state=None):
            return super().sample(n_samples, random_state)[:, 0]

    with pytest.raises(ValueError, match="shape"):
        fitted(X, y, s, generator=Short(X), **INVERSION)
    with pytest.raises(ValueError, match="shape"):
        fitted(X, y, s, generator=Flat(X))


# ---------------------------------------------------------------------- images
def images(n=60):
    rng = np.random.default_rng(0)
    data = load_digits()
    keep = np.flatnonzero(data.target < 2)[:n]
    y = data.target[keep]
    s = np.where(rng.random(n) < 0.7, y, 1 - y)
    X = np.repeat(data.images[keep][:, None] / 16, 3, axis=1).astype(np.float32)
    X[:, 0] *= 0.3 + 0.7 * s[:, None, None]  # redder, if s
    return X, y, s


@pytest.mark.parametrize("given", [dict(), INVERSION], ids=["prior", "inversion"])
def test_images(given):
    X, y, s = images()
    generator = VAETransformer(n_components=4, max_epochs=30, lr=0.01, batch_size=16, module__hidden=(32,))
    classifier = ERMClassifier(module=CNN, module__widths=(4, 8), max_epochs=10, lr=0.02, batch_size=16)
    net, X_new, y_new, s_new = resampled(X, y, s, generator=generator, classifier=classifier, n_synthetic=20, **given)
    assert X_new.shape == (60 + (40 if not given else 20), 3, 8, 8)
    assert X_new.dtype == np.float32
    assert_array_equal(X_new[:60], X)
    assert X_new.min() >= 0
    assert X_new.max() <= 1
    assert len(y_new) == len(s_new) == len(X_new)
    if not given:
        assert all(isinstance(c.fitted.module_, CNN) for c in net.attribute_classifiers_.values())


def test_images_have_a_cnn_by_default(monkeypatch):
    X, y, s = images()
    trained = []
    monkeypatch.setattr(ERMClassifier, "fit", lambda self, X, y: trained.append(self) or LogisticStub().fit(X, y))
    fitted(X, y, s, generator=PCAGenerator(4), classifier=None, device="cpu")
    assert [(part.module, part.device) for part in trained] == [(CNN, "cpu")] * 2


class LogisticStub(ClassifierMixin, BaseEstimator):
    """A linear model of images, flattened."""

    def fit(self, X, y):
        self.inner_ = LogisticRegression().fit(X.reshape(len(X), -1), y)
        return self

    def predict_proba(self, X):
        return self.inner_.predict_proba(X.reshape(len(X), -1))


# ---------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(source="posterior"), "source must be one of.*'inversion'.*got 'posterior'"),
        (dict(hyperplane_balance="group"), "hyperplane_balance must be one of.*'cell'.*got 'group'"),
        (dict(hyperplane_balance=True), "hyperplane_balance must be one of.*got True"),
        (dict(perturbation="flip"), "perturbation must be one of.*'partner_boundary'.*got 'flip'"),
        (dict(partners="all"), "partners must be one of.*'joint'.*got 'all'"),
        (dict(n_hyperplane=1), "n_hyperplane must be an integer >= 2, got 1"),
        (dict(n_hyperplane=1e4), "n_hyperplane must be an integer >= 2, got 10000.0"),
        (dict(n_check=0), "n_check must be an integer >= 2, got 0"),
        (dict(n_synthetic=0), "n_synthetic must be an integer >= 1, got 0"),
        (dict(n_synthetic=0.5), "n_synthetic must be an integer >= 1, got 0.5"),
        (dict(validation_fraction=0), "validation_fraction must be a number > 0 and < 1, got 0"),
        (dict(validation_fraction=1.0), "validation_fraction must be a number > 0 and < 1, got 1.0"),
        (dict(generator=NeverFitted), "generator must be an object, not a class, got.*NeverFitted"),
        (
            dict(generator=LogisticRegression()),
            r"needs a generator with \['sample', 'decode'\].*no \['sample', 'decode'\]",
        ),
        (dict(generator=torch.nn.Linear(5, 5)), r"no \['sample', 'decode'\]"),
        (dict(classifier=LinearSVC()), r"classifier must have predict_proba, but LinearSVC\(\) has none"),
        (dict(classifier=LogisticRegression), "classifier"),
        (dict(device="cup"), "device.*cup"),
    ],
    ids=lambda value: str(value)[:35],
)
def test_bad_parameters_before_anything_is_trained(parameters, message):
    with pytest.raises(ValueError, match=message):
        fitted(**{"generator": NeverFitted(), **parameters})


@pytest.mark.parametrize("method", ["fit", "fit_resample"])
@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (lambda s: np.arange(400) % 3, r"sensitive feature 'sensitive_feature_0' has 3 values: \[0, 1, 2\]"),
        (lambda s: np.full(400, "x"), r"has 1 values: \['x'\]"),
        (lambda s: pd.DataFrame({"sex": s, "age": np.arange(400) % 4}), "sensitive feature 'age' has 4 values"),
        (lambda s: pd.Series(["a", "b", None, "a"] * 100, name="race"), "'race' has 3 values:.*'missing'"),
        (lambda s: s[:-1], "sensitive_features has 399 rows, but X has 400"),
        (lambda s: np.zeros((400, 0)), "no column"),
    ],
    ids=["three", "one", "two features", "missing", "short", "empty"],
)
def test_groups_that_are_refused_before_anything_is_trained(method, groups, message):
    X, y, s = rows()
    with pytest.raises(ValueError, match=message):
        getattr(sampler(generator=NeverFitted()), method)(X, y, sensitive_features=groups(s))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X, np.ones(400)), "needs at least 2 classes.*only one"),
        (lambda X, y: (X, X[:, 0]), "continuous"),
        (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
        (lambda X, y: (np.where(X > 2, np.nan, X), y), "NaN"),
        (lambda X, y: (X, np.where(y, 1.0, np.nan)), "NaN"),
        (lambda X, y: (X[:, 0], y), "1D array|2D array"),
        (lambda X, y: (np.where(X > 0, "a", "b"), y), "could not convert|numeric"),
        (lambda X, y: (X, None), "y"),
    ],
    ids=["one class", "continuous", "short", "nan", "nan label", "flat", "words", "no label"],
)
def test_rows_that_are_refused_before_anything_is_trained(change, message):
    X, y, s = rows()
    X, y = change(X, y)
    with pytest.raises(ValueError, match=message):
        sampler(generator=NeverFitted()).fit(X, y, sensitive_features=s)


def test_without_groups_the_error_says_what_to_do():
    X, y, _ = rows()
    for call in ("fit", "fit_resample"):
        with pytest.raises(ValueError, match="LatentDebiasingSampler needs sensitive_features.*sensitive_columns"):
            getattr(sampler(generator=NeverFitted()), call)(X, y)
    with pytest.raises(ValueError, match="'sex'.*which X lacks"):
        sampler(generator=NeverFitted(), sensitive_columns="sex").fit(pd.DataFrame(X, columns=list("abcde")), y)
    with pytest.raises(ValueError, match="needs a DataFrame"):
        sampler(generator=NeverFitted(), sensitive_columns="sex").fit(X, y)
    with pytest.raises(ValueError, match=r"positions \[5\], but X has 5 columns"):
        sampler(generator=NeverFitted(), sensitive_columns=5).fit(X, y)


@pytest.mark.parametrize("method", ["margins", "partner"])
def test_nothing_before_fit(method):
    with pytest.raises(NotFittedError, match="LatentDebiasingSampler instance is not fitted yet"):
        getattr(sampler(), method)(np.zeros((2, 5)))


@pytest.mark.parametrize("method", ["margins", "partner"])
@pytest.mark.parametrize("shape", [(2, 4), (2, 6), (5,)])
def test_codes_of_another_width_are_named(method, shape):
    with pytest.raises(ValueError, match=r"shape"):
        getattr(fitted(), method)(np.zeros(shape))


@pytest.mark.parametrize("flip", [[True, False], [], True])
def test_flips_of_another_length_are_named(flip):
    with pytest.raises(ValueError, match="flip must have one entry for each of the 1 sensitive features"):
        fitted().partner(np.zeros((2, 5)), flip)


def test_a_cell_of_one_row():
    X, y, s = rows(correlation=1.0)
    s = np.where(np.arange(400) == 3, 1 - s, s)
    X[:, 1] = 0.5 * np.random.default_rng(0).normal(size=400) + s
    for given in SOURCES:
        assert len(resampled(X, y, s, **given)[1]) >= 800


def test_rows_are_labelled_by_the_threshold_that_was_chosen():
    score, codes = np.array([0.1, 0.3, 0.35, 0.4]), np.array([0, 1, 1, 1])
    fitted = SimpleNamespace(predict_proba=lambda X: np.column_stack([1 - X, X]))
    assert AttributeClassifier(fitted, 2, score, codes).label(score).tolist() == codes.tolist()
