"""Generators by hand: the linear map, what rows look like, autoencoders as generators; the networks that came with them."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from common import rows, same_weights
from scipy.special import expit, ndtri
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from skfair._data import Batch
from skfair.augmentation import PCAGenerator, VAEGenerator
from skfair.augmentation._generators import as_generator
from skfair.augmentation._row_form import RowForm
from skfair.augmentation._vae import default_vae
from skfair.base import BaseGenerator
from skfair.functional import bernoulli_nll, gaussian_kl, gaussian_nll, sample_gaussian
from skfair.modules import CNN, VAE, ConvVAE
from skfair.representation import FactorVAETransformer, FDVAETransformer, VAETransformer
from skfair.robust import ERMClassifier


def numbers(n=300, d=4, seed=0):
    """Correlated columns far from 0, of different spread."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * np.arange(1, d + 1) + 10 * np.arange(d)


def table(n=240, seed=0):
    """Two numbers, a yes or no, three one-hot columns that depend on the first number, a number within [0, 1]."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    kind = np.digitize(a + 0.3 * rng.normal(size=n), [-0.5, 0.5])
    yes = a + 0.5 * rng.normal(size=n) > 0
    return np.column_stack([a, 3 * rng.normal(size=n) + 7, yes, np.eye(3)[kind], rng.random(n)])


def images(n=40, channels=3, size=8, seed=0):
    """Of the range [0, 1]: two patterns and noise."""
    rng = np.random.default_rng(seed)
    patterns = rng.random((2, channels, size, size))
    return np.clip(patterns[rng.integers(2, size=n)] + 0.1 * rng.normal(size=(n, channels, size, size)), 0, 1)


def vae(**parameters):
    return VAETransformer(
        **{"n_components": 3, "max_epochs": 3, "lr": 0.01, "batch_size": 64, "module__hidden": (16,), **parameters}
    )


def vae_generator(X, decoding="mode", **parameters):
    return VAEGenerator(vae(**parameters), decoding=decoding, min_activity=0, random_state=0).fit(X)


GENERATORS = [PCAGenerator(), VAEGenerator(vae(), min_activity=0, random_state=0)]
both = pytest.mark.parametrize("generator", GENERATORS, ids=lambda g: type(g).__name__)


# ---------------------------------------------------------------------- the linear map
def test_with_all_components_codes_decode_to_their_rows():
    X = numbers()
    generator = PCAGenerator().fit(X)
    assert generator.n_components_ == 4
    np.testing.assert_allclose(generator.decode(generator.encode(X)), X, rtol=1e-10)
    Z = np.random.default_rng(0).normal(size=(50, 4))
    np.testing.assert_allclose(generator.encode(generator.decode(Z)), Z, atol=1e-10)


def test_codes_of_the_training_rows_are_white():
    X = numbers()
    Z = PCAGenerator().fit(X).encode(X)
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-10)
    np.testing.assert_allclose(np.cov(Z.T), np.eye(4), atol=1e-10)


def test_the_linear_map_by_hand():
    X = numbers()
    generator = PCAGenerator().fit(X)
    values, vectors = np.linalg.eigh(np.cov(X.T))
    order = np.argsort(-values)
    np.testing.assert_allclose(generator.scale_, np.sqrt(values[order]), rtol=1e-8)
    np.testing.assert_allclose(generator.mean_, X.mean(0))
    np.testing.assert_allclose(np.abs(generator.components_), np.abs(vectors[:, order].T), atol=1e-7)
    z = np.array([[1.0, -2.0, 0.5, 0.0]])
    expected = X.mean(0) + (z * generator.scale_) @ generator.components_
    np.testing.assert_allclose(generator.decode(z), expected)


def test_samples_have_the_mean_and_the_covariance_of_the_rows():
    X, n = numbers(), 100_000
    generator = PCAGenerator().fit(X)
    made = generator.decode(generator.sample(n, random_state=0))
    spread = X.std(0)
    assert (np.abs(made.mean(0) - X.mean(0)) < 5 * spread / np.sqrt(n)).all()
    assert (np.abs(np.cov(made.T) - np.cov(X.T)) < 0.03 * np.outer(spread, spread)).all()


@pytest.mark.parametrize(("n_components", "expected"), [(1, 1), (2, 2), (4, 4), (None, 4), (np.int64(3), 3)])
def test_some_components_are_the_first_ones(n_components, expected):
    X = numbers()
    generator, all_of_them = PCAGenerator(n_components).fit(X), PCAGenerator().fit(X)
    assert generator.n_components_ == expected
    assert generator.sample(2, 0).shape == (2, expected)
    np.testing.assert_allclose(np.abs(generator.components_), np.abs(all_of_them.components_[:expected]), atol=1e-8)
    residual = X - generator.decode(generator.encode(X))
    np.testing.assert_allclose(residual @ generator.components_.T, 0, atol=1e-8)


@pytest.mark.parametrize("share", [0.3, 0.8, 0.99])
def test_a_share_of_the_variance(share):
    X = numbers()
    explained = PCA().fit(X).explained_variance_ratio_.cumsum()
    assert PCAGenerator(share).fit(X).n_components_ == np.searchsorted(explained, share, side="right") + 1


def test_constant_and_dependent_columns_add_no_dimension():
    X = numbers(d=3)
    wide = np.column_stack([X, np.full(300, 7.5), X[:, 0] - 2 * X[:, 1], np.zeros(300)])
    generator = PCAGenerator().fit(wide)
    assert generator.n_components_ == 3
    made = generator.decode(generator.sample(100, random_state=0))
    np.testing.assert_allclose(made[:, 3], 7.5)
    np.testing.assert_allclose(made[:, 4], made[:, 0] - 2 * made[:, 1], atol=1e-9)
    np.testing.assert_allclose(generator.decode(generator.encode(wide)), wide, atol=1e-9)


def test_fewer_rows_than_columns():
    X = numbers(4, 30)
    generator = PCAGenerator().fit(X)
    assert generator.n_components_ == 3
    np.testing.assert_allclose(generator.decode(generator.encode(X)), X, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [300, 6000])
def test_rounding_adds_no_dimension(dtype, n):
    """Means of 1000, single precision, many rows: a constant column and the sum of others vary by rounding alone."""
    X = np.random.default_rng(0).integers(-20, 20, size=(300, 3)) / 8 + 1000
    X = np.tile(np.column_stack([X, np.full(300, 7.3), X[:, 0] - 2 * X[:, 1]]), (n // 300, 1)).astype(dtype)
    generator = PCAGenerator().fit(X)
    assert generator.n_components_ == 3
    np.testing.assert_allclose(generator.decode(generator.encode(X)), X, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_one_hot_block_has_a_dimension_less_than_columns(dtype):
    rng = np.random.default_rng(0)
    X = np.column_stack([np.eye(5)[rng.integers(0, 5, 3000)], rng.normal(size=3000)]).astype(dtype)
    assert PCAGenerator().fit(X).n_components_ == 5


@pytest.mark.parametrize("value", [0.0, 1.5, 0.1])
def test_rows_that_are_all_the_same_are_refused(value):
    with pytest.raises(ValueError, match="all 20 rows of X are the same"):
        PCAGenerator().fit(np.full((20, 3), value))


def test_rows_look_like_the_datas():
    """One-hot blocks have one 1, yes or no is 0 or 1, numbers are as the linear map has them."""
    X = table()
    generator, linear = PCAGenerator().fit(X), PCAGenerator(decoding="expected").fit(X)
    Z = generator.sample(500, random_state=0)
    made, expected = generator.decode(Z), linear.decode(Z)
    assert np.array_equal(made[:, [0, 1, 6]], expected[:, [0, 1, 6]])
    assert np.array_equal(made[:, 2], expected[:, 2] > 0.5)
    assert np.array_equal(made[:, 3:6], np.eye(3)[expected[:, 3:6].argmax(1)])
    assert not np.isin(expected[:, 2:6], [0, 1]).any()
    assert np.array_equal(generator.decode(generator.encode(X))[:, 2:6], X[:, 2:6])


def test_images_have_a_linear_map_too():
    X = images()
    generator = PCAGenerator(5).fit(X)
    assert generator.encode(X).shape == (40, 5)
    assert generator.decode(generator.sample(2, 0)).shape == (2, 3, 8, 8)
    whole = PCAGenerator().fit(X)
    np.testing.assert_allclose(whole.decode(whole.encode(X)), X, atol=1e-8)


# ---------------------------------------------------------------------- what rows look like
def test_which_columns_are_of_which_form():
    form = RowForm(table())
    assert form.blocks == [[3, 4, 5]]
    assert form.binary == [2]


@pytest.mark.parametrize(
    "column", [np.zeros(6), np.ones(6), np.array([0, 1, 0, 1, 0.5, 1]), np.array([1, 2, 1, 2, 1, 2])]
)
def test_columns_that_are_numbers(column):
    """Constant ones, and all with other values than 0 and 1, stay as they are decoded."""
    form = RowForm(np.column_stack([np.arange(6.0), column]))
    assert form.binary == form.blocks == []
    assert form.rows([[0.2, 0.7]]).tolist() == [[0.2, 0.7]]


def test_rows_by_hand():
    form = RowForm(table())
    expected = np.array([[1.5, -2.0, 0.6, 0.2, 0.5, 0.3, 0.4], [0.0, 9.0, 0.5, 0.4, 0.4, 0.2, 1.3]])
    made = form.rows(expected)
    assert made.tolist() == [[1.5, -2, 1, 0, 1, 0, 0.4], [0, 9, 0, 1, 0, 0, 1.3]]
    uniform = np.full((2, 7), 0.5)
    uniform[0, 2:4] = 0.59, 0.71  # below .6: yes; above .2 + .5: the third value
    uniform[1, 2:4] = 0.51, 0.39
    assert form.rows(expected, uniform=uniform).tolist() == [[1.5, -2, 1, 0, 0, 1, 0.4], [0, 9, 0, 1, 0, 0, 1.3]]
    scale = np.array([1.0, 2.0, 9.0, 9.0, 9.0, 9.0, 0.0])
    uniform[:, 1] = 0.9
    made = form.rows(expected, uniform=uniform, scale=scale)
    np.testing.assert_allclose(made[:, 1], expected[:, 1] + 2 * ndtri(0.9))
    np.testing.assert_allclose(made[:, [0, 6]], expected[:, [0, 6]], atol=1e-12)
    assert made[:, 2:6].tolist() == [[1, 0, 0, 1], [0, 1, 0, 0]]
    assert expected[0].tolist() == [1.5, -2.0, 0.6, 0.2, 0.5, 0.3, 0.4]  # the input is as it was


def test_samples_occur_as_often_as_expected():
    n = 20_000
    form, rng = RowForm(table()), np.random.default_rng(0)
    share = np.array([0.2, 0.5, 0.3])
    expected = np.tile(np.concatenate([[1.0, 2.0, 0.3], share, [0.5]]), (n, 1))
    made = form.rows(expected, uniform=rng.random((n, 7)), scale=np.array([2.0, 0, 0, 0, 0, 0, 0]))
    error = 4 * np.sqrt(0.25 / n)
    assert made[:, 2].mean() == pytest.approx(0.3, abs=error)
    np.testing.assert_allclose(made[:, 3:6].mean(0), share, atol=error)
    assert (made[:, 3:6].sum(1) == 1).all()
    assert kstest((made[:, 0] - 1) / 2, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(made[:, 2], made[:, 3])[0, 1]) < 5 / np.sqrt(n)  # drawn each by itself


def test_shares_need_not_sum_to_one_and_may_be_negative():
    """As a linear map gives them: they are cut at 0 and scaled."""
    form, n = RowForm(table()), 4000
    expected = np.tile([0, 0, 0, -0.5, 0.5, 1.5, 0], (n, 1))
    made = form.rows(expected, uniform=np.random.default_rng(0).random((n, 7)))
    np.testing.assert_allclose(made[:, 3:6].mean(0), [0, 0.25, 0.75], atol=0.04)
    assert form.rows(expected[:1])[0, 3:6].tolist() == [0, 0, 1]


# ---------------------------------------------------------------------- autoencoders
def test_the_likeliest_row_and_the_expectation_by_hand():
    X = table()
    likeliest, expectation = vae_generator(X), vae_generator(X, "expected")
    assert same_weights(likeliest.vae_, expectation.vae_)
    Z = likeliest.sample(200, random_state=0)
    expected = expectation.decode(Z)
    np.testing.assert_array_equal(expected, expectation.vae_.decode(Z))
    out = expectation.vae_.module_.decode(torch.from_numpy(np.float32(Z))).detach().double().numpy()
    np.testing.assert_allclose(expected[:, :2], out[:, :2], atol=1e-4)
    np.testing.assert_allclose(expected[:, [2, 6]], expit(out[:, [2, 6]]), atol=1e-5)
    made = likeliest.decode(Z)
    assert np.array_equal(made[:, [0, 1, 6]], expected[:, [0, 1, 6]])
    assert np.array_equal(made[:, 2], expected[:, 2] > 0.5)
    assert np.array_equal(made[:, 3:6], np.eye(3)[expected[:, 3:6].argmax(1)])


def test_a_sample_has_the_noise_that_was_learned():
    X = table()
    sampled, expectation = vae_generator(X, "sample", max_epochs=10), vae_generator(X, "expected", max_epochs=10)
    Z = np.tile(sampled.sample(1, random_state=0), (5000, 1))
    made, expected = sampled.decode(Z), expectation.decode(Z[:1])[0]
    sd = np.exp(0.5 * sampled.vae_.module_.column_log_variance.detach().numpy()[:2])
    for j in (0, 1):
        assert kstest((made[:, j] - expected[j]) / sd[j], "norm").pvalue > 1e-3
    np.testing.assert_allclose(made[:, 2:6].mean(0), expected[2:6], atol=0.03)
    assert set(np.unique(made[:, 2:6])) <= {0.0, 1.0}
    np.testing.assert_allclose(made[:, 6], expected[6], atol=1e-9)  # Bernoulli, but not of 0 and 1: its mean


def test_the_noise_of_a_row_is_the_same_in_each_call():
    """So that a code and its partner differ by their codes only; also next to more rows, or fewer."""
    generator = vae_generator(table(), "sample")
    Z = generator.sample(30, random_state=0)
    made = generator.decode(Z)
    assert np.array_equal(generator.decode(Z), made)
    assert np.array_equal(generator.decode(Z[:7]), made[:7])
    assert not np.array_equal(generator.decode(np.tile(Z[:1], (2, 1)))[0], generator.decode(np.tile(Z[:1], (2, 1)))[1])
    noise = made - vae_generator(table(), "expected").decode(Z)
    moved = generator.decode(Z + 1) - vae_generator(table(), "expected").decode(Z + 1)
    np.testing.assert_allclose(moved[:, :2], noise[:, :2], atol=1e-9)
    assert np.array_equal(pickle.loads(pickle.dumps(generator)).decode(Z), made)


def test_the_seed_decides_the_autoencoder_and_the_noise():
    X = table()
    found = [VAEGenerator(vae(), decoding="sample", random_state=seed).fit(X) for seed in (0, 0, 1)]
    assert same_weights(found[0].vae_, found[1].vae_)
    assert not same_weights(found[0].vae_, found[2].vae_)
    Z = found[0].sample(5, 0)
    assert np.array_equal(found[0].decode(Z), found[1].decode(Z))
    own = [VAEGenerator(vae(random_state=3), decoding="sample", random_state=seed).fit(X) for seed in (0, 1)]
    assert same_weights(own[0].vae_, own[1].vae_)  # the autoencoder's own stream
    assert not np.array_equal(own[0].decode(Z), own[1].decode(Z))  # the noise is the generator's


def test_a_fitted_autoencoder_is_used_as_it_is():
    X = table()
    fitted = vae(random_state=0).fit(X)
    weights = [w.copy() for w in map(np.asarray, fitted.module_.state_dict().values())]
    generator = VAEGenerator(FrozenEstimator(fitted), min_activity=0).fit(X)
    assert generator.vae_.estimator is fitted
    assert generator.n_components_ == 3
    assert all(map(np.array_equal, weights, map(np.asarray, fitted.module_.state_dict().values())))
    assert np.array_equal(generator.encode(X), fitted.encode(X))
    sampled = VAEGenerator(FrozenEstimator(fitted), decoding="sample", min_activity=0, random_state=0).fit(X)
    assert np.abs(sampled.decode(sampled.encode(X))[:, 0] - fitted.decode(fitted.encode(X))[:, 0]).max() > 0.1


@pytest.mark.parametrize(
    "autoencoder",
    [
        FactorVAETransformer(n_components=4, max_epochs=1, adversary_hidden=(4,), module__hidden=(8,)),
        FDVAETransformer(
            subspaces=(2, 1, 1), max_epochs=1, recode_epochs=1, adversary_hidden=(4,), module__hidden=(8,)
        ),
    ],
    ids=lambda a: type(a).__name__,
)
def test_other_autoencoders_with_all_their_dimensions(autoencoder):
    X, y, s = rows()
    fitted = FrozenEstimator(
        autoencoder.fit(X, y, **({"sensitive_features": s} if autoencoder.needs_sensitive else {}))
    )
    generator = VAEGenerator(fitted, min_activity=0).fit(X)
    assert generator.n_components_ == 4
    assert np.array_equal(generator.encode(X), fitted.encode(X))
    assert generator.decode(generator.sample(3, 0)).shape == (3, 4)


def test_images_stay_within_their_range():
    X = images()
    for decoding in ("mode", "sample", "expected"):
        generator = vae_generator(X, decoding)
        made = generator.decode(generator.sample(20, random_state=0))
        assert made.shape == (20, 3, 8, 8)
        assert ((made >= 0) & (made <= 1)).all()
        assert np.unique(made).size > 1000  # not snapped to black and white
        np.testing.assert_allclose(made.reshape(20, -1), generator.vae_.decode(generator.sample(20, 0)).reshape(20, -1))


class SomeUsed:
    """An autoencoder of four dimensions, of which it uses the first and the third."""

    n_latents_, likelihood_, module_ = 4, np.array(["gaussian"] * 2), None

    def fit(self, X, y=None):
        return self

    def get_params(self, deep=False):
        return {}

    def encode(self, X):
        return np.column_stack([X[:, 0], 0.01 * X[:, 0] + 0.5, X[:, 1], 0.05 * X[:, 1]])

    def decode(self, Z):
        assert (Z[:, [1, 3]] == Z[0, [1, 3]]).all()  # the others are held still
        return Z[:, [0, 2]] + Z[:, [1]]


def test_dimensions_that_are_not_used_are_left_out():
    X = np.random.default_rng(0).normal(size=(200, 2))
    generator = VAEGenerator(SomeUsed()).fit(X)
    assert generator.active_.tolist() == [0, 2]
    assert generator.n_components_ == 2
    assert np.array_equal(generator.encode(X), X)
    held = SomeUsed().encode(X)[:, 1].mean()
    np.testing.assert_allclose(generator.decode(X[:5]), X[:5] + held)
    assert generator.sample(3, 0).shape == (3, 2)
    everything = VAEGenerator(SomeUsed(), min_activity=0).fit(X)
    assert everything.active_.tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="uses none of its 4 dimensions.*min_activity=5"):
        VAEGenerator(SomeUsed(), min_activity=5).fit(X)
    with pytest.raises(ValueError, match="min_activity must be a number >= 0, got -1"):
        VAEGenerator(SomeUsed(), min_activity=-1).fit(X)


def test_the_default_autoencoders():
    flat = default_vae((7,))
    assert (flat.n_components, flat.beta, flat.max_epochs) == (16, 0.5, 100)
    assert flat.get_params()["module__hidden"] == (128, 64)
    for shape, module in (((3, 32, 32), ConvVAE), ((1, 64, 64), ConvVAE), ((3, 8, 8), VAE), ((3, 64, 32), VAE)):
        assert default_vae(shape).module is module
        assert default_vae(shape).n_components == 32
    assert type(as_generator(None, (7,), "cpu")) is PCAGenerator  # tables have the linear map
    generator = as_generator(None, (3, 32, 32), "cpu")
    assert type(generator) is VAEGenerator
    assert (generator.vae.module, generator.vae.device) == (ConvVAE, "cpu")


def test_an_autoencoder_by_its_parameters():
    generator = VAEGenerator(vae())
    assert clone(generator).set_params(vae__n_components=2, vae__beta=0.1).fit(table()).n_components_ == 2
    assert generator.vae.n_components == 3
    assert not hasattr(generator.vae, "module_")


# ---------------------------------------------------------------------- what both have
@both
def test_codes_of_the_prior(generator):
    fitted = clone(generator).fit(table())
    Z = fitted.sample(2000, random_state=0)
    assert Z.shape == (2000, fitted.n_components_)
    assert Z.dtype == np.float64
    assert kstest(Z.ravel(), "norm").pvalue > 1e-3
    assert np.array_equal(Z, fitted.sample(2000, random_state=0))
    assert np.array_equal(Z, fitted.sample(2000, np.random.default_rng(0)))
    assert not np.array_equal(Z, fitted.sample(2000, random_state=1))
    assert not np.array_equal(fitted.sample(5), fitted.sample(5))


@both
def test_the_global_generators_stay(generator):
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    fitted = clone(generator).fit(table())
    fitted.decode(fitted.sample(10))
    assert np.array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


@both
def test_frames_and_sparse_rows_are_as_arrays(generator):
    X = table()
    frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(7)])
    dense, from_frame, sparse = (clone(generator).fit(data) for data in (X, frame, sp.csr_array(X)))
    assert from_frame.feature_names_in_.tolist() == list(frame.columns)
    Z = dense.encode(X)
    for other, data in ((from_frame, frame), (sparse, sp.csr_array(X)), (sparse, sp.csc_matrix(X))):
        np.testing.assert_allclose(other.encode(data), Z, atol=1e-9)
        np.testing.assert_allclose(other.decode(Z), dense.decode(Z), atol=1e-9)
    assert isinstance(from_frame.decode(pd.DataFrame(Z)), np.ndarray)
    assert isinstance(sparse.decode(Z.tolist()), np.ndarray)


@both
def test_nothing_before_fit(generator):
    for call in (lambda g: g.sample(2), lambda g: g.decode(np.zeros((2, 3))), lambda g: g.encode(table())):
        with pytest.raises(NotFittedError, match=f"{type(generator).__name__} instance is not fitted yet"):
            call(clone(generator))


@both
def test_wrong_shapes(generator):
    fitted = clone(generator).fit(table())
    k = fitted.n_components_
    for bad in (np.zeros((2, k + 1)), np.zeros(k)):
        with pytest.raises(ValueError, match=rf"Z has the shape .*expected \(n, {k}\)"):
            fitted.decode(bad)
    with pytest.raises(ValueError, match="X has 6 features.*expecting 7"):
        fitted.encode(table()[:, :6])
    pictures = clone(generator).fit(images())
    with pytest.raises(ValueError, match=r"X has rows of shape \(3, 8, 4\).*was fitted on \(3, 8, 8\)"):
        pictures.encode(images()[..., :4])


@both
def test_input_that_is_no_number(generator):
    X = table()
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        clone(generator).fit(X)
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        clone(generator).fit(table()[:1])


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        (PCAGenerator(decoding="sample"), "decoding must be one of.*'mode'.*got 'sample'"),
        (PCAGenerator(0), "n_components must be a number >= 1, got 0"),
        (PCAGenerator(-2), "n_components must be a number >= 1, got -2"),
        (PCAGenerator(1.5), "n_components must be a number > 0 and < 1, got 1.5"),
        (PCAGenerator(1.0), "n_components must be a number > 0 and < 1, got 1.0"),
        (PCAGenerator(0.0), "n_components must be a number > 0 and < 1, got 0.0"),
        (PCAGenerator("mle"), "n_components must be a number.*got 'mle'"),
        (PCAGenerator(True), "n_components must be a number.*got True"),
        (PCAGenerator(8), "n_components=8 must be between"),
        (VAEGenerator(decoding="argmax"), "decoding must be one of.*'sample'.*got 'argmax'"),
        (VAEGenerator(PCA()), "vae must be an autoencoder with encode and decode, got PCA"),
        (VAEGenerator("vae"), "vae must be an autoencoder.*got 'vae'"),
        (VAEGenerator(VAETransformer), "vae must be.*VAETransformer"),
        (VAEGenerator(vae(beta=-1)), "beta must be a number >= 0, got -1"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_parameters(generator, message):
    with pytest.raises(ValueError, match=message):
        generator.fit(table())


def test_a_generator_of_ones_own():
    """Three methods: what it learns, rows of codes, codes of rows."""

    class Mean(BaseGenerator):
        def learn(self, X):
            self.mean_, self.n_components_ = X.mean(0), X.shape[1]

        def rows_of(self, Z):
            return Z + self.mean_

        def codes_of(self, X):
            return X - self.mean_

    X = table()
    generator = Mean().fit(pd.DataFrame(X))
    np.testing.assert_allclose(generator.decode(generator.encode(X)), X)
    assert generator.sample(3, 0).shape == (3, 7)


# ---------------------------------------------------------------------- beta
def one_batch(net, X):
    x = torch.as_tensor(X, dtype=torch.float32)
    draw = torch.rand(len(x), 3, generator=torch.Generator().manual_seed(1))
    weight = torch.linspace(0, 2, len(x))
    return x, Batch(x, None, None, None, weight, None, draw)


@pytest.mark.parametrize("beta", [1.0, 0.0, 0.3, 4])
def test_beta_weighs_the_divergence(beta):
    """beta = 1 is the loss without it."""
    X = images(20).reshape(20, -1)[:, :9]
    net = vae(random_state=0, beta=beta).fit(X)
    x, batch = one_batch(net, X)
    output = net.infer(x)
    mean, log_variance = output
    reconstruction = bernoulli_nll(net.module_.decode(sample_gaussian(mean, log_variance, batch.draw)), x)
    expected = (batch.weight * (reconstruction + beta * gaussian_kl(mean, log_variance))).mean()
    assert net.objective(output, batch).item() == pytest.approx(expected.item(), rel=1e-6)


def test_beta_of_one_is_the_default():
    X = table()
    assert same_weights(vae(random_state=0).fit(X), vae(random_state=0, beta=1.0).fit(X))
    assert not same_weights(vae(random_state=0).fit(X), vae(random_state=0, beta=0.5).fit(X))


def test_without_divergence_its_value_does_not_matter(monkeypatch):
    X = table()
    plain = vae(random_state=0, beta=0.0).fit(X)
    monkeypatch.setattr(VAETransformer, "divergence", lambda self, output: 7 * output[0].square().sum(-1))
    assert same_weights(plain, vae(random_state=0, beta=0.0).fit(X))


def test_less_divergence_reconstructs_better_and_strays_from_the_prior():
    X = numbers()
    X = (X - X.mean(0)) / X.std(0)
    found = []
    for beta in (0.05, 4.0):
        net = vae(random_state=0, beta=beta, max_epochs=40, n_components=2).fit(X)
        mean, log_variance = np.split(net.outputs(X).numpy(), 2, axis=1)
        kl = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).sum(1).mean()
        found.append((((net.decode(net.encode(X)) - X) ** 2).mean(), kl))
    assert found[0][0] < 0.7 * found[1][0]
    assert found[0][1] > 2 * found[1][1]


@pytest.mark.parametrize("beta", [-0.1, "auto", None, np.nan, True])
def test_a_bad_beta(beta, monkeypatch):
    monkeypatch.setattr(VAETransformer, "objective", lambda *args: pytest.fail("it was trained"))
    with pytest.raises(ValueError, match="beta must be a number >= 0, got"):
        vae(beta=beta).fit(table())


def test_gaussian_columns_with_beta():
    X = numbers(40)
    net = vae(random_state=0, beta=0.5).fit(X)
    x, batch = one_batch(net, X)
    mean, log_variance = net.infer(x)
    out = net.module_.decode(sample_gaussian(mean, log_variance, batch.draw))
    reconstruction = gaussian_nll(out, x, net.module_.column_log_variance.clamp(-7, 7))
    expected = (batch.weight * (reconstruction + 0.5 * gaussian_kl(mean, log_variance))).mean()
    assert net.objective((mean, log_variance), batch).item() == pytest.approx(expected.item(), rel=1e-6)


# ---------------------------------------------------------------------- networks for images
@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_autoencoders_of_32_and_64_pixels(size, channels):
    net = ConvVAE(4, in_channels=channels, image_size=size)
    x = torch.rand(2, channels, size, size)
    mean, log_variance = net(x)
    assert mean.shape == log_variance.shape == (2, 4)
    assert net.decode(mean).shape == x.shape
    loss = net.decode(mean).square().sum() + log_variance.sum()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def test_64_pixels_are_the_default_and_32_have_a_convolution_less():
    def sizes(net):
        return [tuple(p.shape) for p in net.parameters()]

    assert sizes(ConvVAE(10)) == sizes(ConvVAE(10, image_size=64))
    assert sum(np.prod(s) for s in sizes(ConvVAE(10).encoder)) == 383_956
    convolutions = [
        sum(isinstance(part, torch.nn.Conv2d) for part in ConvVAE(10, image_size=size).encoder) for size in (32, 64)
    ]
    assert convolutions == [5, 6]


@pytest.mark.parametrize("size", [8, 16, 33, 128, 0])
def test_other_sizes_are_named(size):
    with pytest.raises(ValueError, match=rf"images of \[32, 64\] pixels a side, got {size}"):
        ConvVAE(image_size=size)


@pytest.mark.parametrize("shape", [(2, 3, 64, 64), (2, 3, 32, 64), (2, 3, 64, 32), (3, 32, 32)])
def test_images_of_another_size_are_named(shape):
    with pytest.raises(ValueError, match=r"images of shape \(n, C, 32, 32\), got"):
        ConvVAE(image_size=32)(torch.zeros(shape))


def test_the_estimator_fills_in_the_size():
    X = np.random.default_rng(0).random((12, 1, 32, 32))
    generator = VAEGenerator(
        VAETransformer(n_components=2, module=ConvVAE, max_epochs=1), min_activity=0, random_state=0
    ).fit(X)
    assert generator.vae_.module_.image_size == 32
    made = generator.decode(generator.encode(X))
    assert made.shape == X.shape
    assert ((made >= 0) & (made <= 1)).all()
    with pytest.raises(ValueError, match=r"\[32, 64\] pixels a side, got 16"):
        VAETransformer(n_components=2, module=ConvVAE, max_epochs=1).fit(X[..., :16, :16])
    with pytest.raises(ValueError, match=r"shape \(n, C, 64, 64\)|\[32, 64\] pixels|shape \(n, C, 32, 32\)"):
        VAETransformer(n_components=2, module=ConvVAE, max_epochs=1).fit(X[..., :16])


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 8), (9, 7), (28, 28), (33, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_cnn_takes_images_of_any_size(shape, channels):
    net = CNN(4, in_channels=channels, widths=(4, 6)).eval()
    x = torch.rand(3, channels, *shape)
    assert net(x).shape == (3, 4)
    assert net.encoder(x).shape == (3, 6)
    assert torch.equal(net(x), net.head(net.encoder(x)))
    assert net.representation_features == 6


def test_a_cnn_is_built_as_said():
    net = CNN(2, in_channels=2, widths=(3, 5, 7), dropout=0.4)
    convolutions = [(p.in_channels, p.out_channels) for p in net.encoder if isinstance(p, torch.nn.Conv2d)]
    assert convolutions == [(2, 3), (3, 5), (5, 7)]
    assert sum(isinstance(p, torch.nn.MaxPool2d) for p in net.encoder) == 3
    assert net.head[0].p == 0.4
    assert (net.head[1].in_features, net.head[1].out_features) == (7, 2)
    shapes = []
    for part in net.encoder:
        part.register_forward_hook(lambda module, given, out: shapes.append(tuple(out.shape[2:])))
    net(torch.zeros(1, 2, 9, 6))
    halved = [s for s, part in zip(shapes, net.encoder) if isinstance(part, torch.nn.MaxPool2d)]
    assert halved == [(5, 3), (3, 2), (2, 1)]


def test_a_cnn_learns_where_a_spot_is_lit():
    """Grey images; an estimator fills in the number of channels."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=200)
    X = 0.3 * rng.random((200, 1, 9, 7)).astype(np.float32)
    X[:, 0, 2:5, 2:5] += 0.5 * y[:, None, None]
    net = ERMClassifier(module=CNN, module__widths=(4, 8), max_epochs=15, lr=0.01, batch_size=32, random_state=0)
    assert net.fit(X, y).module_.encoder[0].in_channels == 1
    assert net.score(X, y) > 0.9
