"""GANGenerator: both losses and the moving average by hand, what the seed decides, ranges, sheets, errors."""

import functools
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from common import same_weights, weights_of
from matplotlib.image import imread
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from skfair import functional as F
from skfair._data import Batch
from skfair.augmentation._gan import GANGenerator
from skfair.callbacks import SampleSheets, _sheet
from skfair.modules import DenseCritic, DenseGenerator, ImageCritic, ImageGenerator
from skfair.representation import VAETransformer
from skfair.robust import ERMClassifier

TINY = dict(n_components=3, max_epochs=2, random_state=0, module__hidden=(8,), adversary__hidden=(8,))
IMAGES = dict(n_components=3, max_epochs=1, batch_size=8, random_state=0, module__width=4, adversary__width=4)


def table(n=100, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4)) * [1, 5, 0.1, 1] + [0, 10, 0, 3]


def images(n=16, channels=3, size=8, seed=0):
    return np.random.default_rng(seed).random((n, channels, size, size))


def batch_of(net, X, weight=None, seed=0):
    """These rows as a minibatch, with random numbers."""
    rng, n = np.random.default_rng(seed), len(X)
    draws = {name: torch.from_numpy(rng.random((n, m), dtype=np.float32)) for name, m in net.draws().items()}
    weight = torch.ones(n) if weight is None else torch.as_tensor(weight, dtype=torch.float32)
    group = torch.zeros(n, dtype=torch.int64)
    return Batch(torch.as_tensor(X, dtype=torch.float32), None, group[:, None], group, weight, torch.arange(n), **draws)


# ---------------------------------------------------------------------- the formulas
def test_relativistic_loss_against_numpy():
    difference = np.random.default_rng(0).normal(size=20) * 3
    found = F.relativistic_loss(torch.from_numpy(difference))
    np.testing.assert_allclose(found, np.log1p(np.exp(-difference)))
    assert F.relativistic_loss(torch.tensor(-500.0)) == 500


def quadratic(x, A, b):
    """1/2 x'Ax + b'x of each row; its gradient is Ax + b."""
    return 0.5 * ((x @ A) * x).sum(1) + x @ b


def test_gradient_penalty_against_the_closed_form():
    rng = np.random.default_rng(0)
    A, b, x = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(6, 3))
    A = A + A.T
    tensors = torch.from_numpy(A), torch.from_numpy(b)
    found, values = F.gradient_penalty(lambda x: quadratic(x, *tensors), torch.from_numpy(x), return_values=True)
    np.testing.assert_allclose(found, ((x @ A + b) ** 2).sum(1))
    np.testing.assert_allclose(values, quadratic(x, A, b))


def test_gradient_penalty_has_a_gradient_in_the_parameters():
    """d ||Ax + b||^2 / db = 2 (Ax + b); and that of a network is what torch.autograd says."""
    A, x = torch.eye(3).double(), torch.from_numpy(np.random.default_rng(0).normal(size=(6, 3)))
    b = torch.ones(3).double().requires_grad_()
    F.gradient_penalty(lambda x: quadratic(x, A, b), x).sum().backward()
    torch.testing.assert_close(b.grad, 2 * (x + b.detach()).sum(0))
    net = ImageCritic(8, 1, width=4)
    x = torch.rand(3, 1, 8, 8)
    found = torch.autograd.grad(F.gradient_penalty(net, x).mean(), list(net.parameters()), allow_unused=True)
    leaf = x.clone().requires_grad_()
    gradient = torch.autograd.grad(net(leaf).sum(), leaf, create_graph=True)[0]
    expected = gradient.square().sum((1, 2, 3)).mean()
    expected = torch.autograd.grad(expected, list(net.parameters()), allow_unused=True)
    for a, b in zip(found, expected):
        assert a is b is None or torch.allclose(a, b, atol=1e-6)


def test_gradient_penalty_against_finite_differences():
    net, x, step = DenseCritic(3, hidden=(8,)).double(), torch.randn(5, 3).double(), 1e-6
    slopes = [(net(x + step * e) - net(x - step * e)) / (2 * step) for e in torch.eye(3).double()]
    expected = sum(slope.detach() ** 2 for slope in slopes)
    torch.testing.assert_close(F.gradient_penalty(net, x).detach(), expected, rtol=1e-5, atol=1e-8)


def test_formulas_run_on_a_stack_of_models():
    x, strength = torch.rand(3, 10, 2), torch.tensor([0.5, 1.0, 2.0])

    def penalty(x, strength):
        return F.gradient_penalty(lambda x: strength * x.pow(3).sum(1), x)

    expected = (3 * strength[:, None, None] * x.square()).square().sum(2)
    torch.testing.assert_close(torch.vmap(penalty)(x, strength), expected)
    found = torch.vmap(lambda v: F.relativistic_loss(v[:, 0]))(x)
    torch.testing.assert_close(found, torch.stack([F.relativistic_loss(v[:, 0]) for v in x]))
    net = DenseCritic(2, hidden=(4,))

    def loss(parameters, x):  # the gradient of the penalty, of each model of a stack
        return F.gradient_penalty(lambda x: torch.func.functional_call(net, parameters, (x,)), x).mean()

    parameters = {name: torch.stack([p, 2 * p, -p]).detach() for name, p in net.named_parameters()}
    found = torch.vmap(torch.func.grad(loss))(parameters, x)
    alone = torch.func.grad(loss)({name: p[1] for name, p in parameters.items()}, x[1])
    for name, gradient in alone.items():
        torch.testing.assert_close(found[name][1], gradient)


# ---------------------------------------------------------------------- the game
@pytest.mark.parametrize("gamma", [0.0, 3.0])
def test_both_losses_by_hand(gamma):
    X, weight = table()[:5], np.array([0.0, 1.0, 2.0, 1.5, 0.5])
    net = GANGenerator(gamma=gamma, **TINY).fit(table())
    batch = batch_of(net, X, weight)
    x = torch.from_numpy(2 * (X - table().min(0)) / np.ptp(table(), axis=0) - 1).float()

    def made(draw):
        return net.module_(torch.from_numpy(torch.distributions.Normal(0, 1).icdf(draw.double()).float().numpy()))

    def squared_slopes(x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(net.adversary_(x).sum(), x)[0].square().sum(1).numpy()

    def rated(x):
        return net.adversary_(x).detach().numpy()

    real, fake = x, made(batch.adversary_draw)
    expected = weight * np.log1p(np.exp(rated(fake) - rated(real)))
    expected = expected + gamma / 2 * (weight * squared_slopes(real) + squared_slopes(fake))
    output = net.infer(batch.x)
    assert net.adversary_objective(output, batch).item() == pytest.approx(expected.mean(), rel=1e-4)
    expected = weight * np.log1p(np.exp(rated(real) - rated(made(batch.draw))))
    assert net.objective(output, batch).item() == pytest.approx(expected.mean(), rel=1e-4)


def test_gamma_of_nothing_leaves_the_penalties_out():
    net = GANGenerator(gamma=0, **TINY).fit(table())
    penalty, values = net.penalty(torch.randn(5, 4))
    assert not penalty.any()
    assert values.requires_grad
    assert not same_weights(net, GANGenerator(gamma=1, **TINY).fit(table()))


def test_automatic_gamma():
    assert GANGenerator(**IMAGES).fit(images()).gamma_ == 10
    auto, given = (GANGenerator(gamma=gamma, **TINY).fit(table()) for gamma in ("auto", 0.1))
    assert same_weights(auto, given)


def test_each_player_trains_its_own_network_alone():
    net = GANGenerator(**TINY).fit(table())
    for part in (net.module_, net.adversary_):
        part.zero_grad()
    batch = batch_of(net, table()[:8])
    net.adversary_objective(net.infer(batch.x), batch).backward()
    assert all(p.grad is None for p in net.module_.parameters())
    net.adversary_.zero_grad()
    net.network_backward(net.infer(batch.x), batch)
    assert all(p.grad is None for p in net.adversary_.parameters())
    assert all(p.grad is not None for p in net.module_.parameters())


def test_both_players_have_adam_without_momentum_unless_told_otherwise():
    net = GANGenerator(adversary_optimizer__betas=(0.5, 0.9), adversary_lr=0.1, **TINY).fit(table())
    assert net.optimizer_.defaults["betas"] == (0.0, 0.99)
    assert net.adversary_optimizer_.defaults["betas"] == (0.5, 0.9)
    assert net.adversary_optimizer_.defaults["lr"] == 0.1
    GANGenerator(optimizer=torch.optim.SGD, **TINY).fit(table())  # has no betas


# ---------------------------------------------------------------------- the moving average
def test_moving_average_by_hand():
    seen = []

    class Noted(GANGenerator):
        def train_step(self, batch, **fit_params):
            step = super().train_step(batch, **fit_params)
            seen.append(np.concatenate([value.ravel() for value in weights_of(self)]))
            return step

    for rate in (0.999, 0.15):
        seen.clear()
        net = Noted(average=rate, **{**TINY, "max_epochs": 1, "batch_size": 25}).fit(table(75))
        first, second, third = seen
        a, b = min(rate, 1 / 10), min(rate, 2 / 11)
        expected = b * (a * first + (1 - a) * second) + (1 - b) * third
        np.testing.assert_allclose(net.state_.average.numpy(), expected, rtol=1e-5, atol=1e-7)
        averaged = np.concatenate([p.detach().numpy().ravel() for p in net.averaged().parameters()])
        np.testing.assert_array_equal(averaged, net.state_.average.numpy())


def test_average_of_nothing_is_the_last_weights():
    raw, averaged = (GANGenerator(average=rate, **TINY).fit(table()) for rate in (0.0, 0.999))
    assert same_weights(raw, averaged)  # the average does not touch the training
    for a, b in zip(raw.averaged().parameters(), raw.module_.parameters()):
        assert torch.equal(a, b)
    Z = raw.sample(5, 0)
    assert not np.allclose(raw.decode(Z), averaged.decode(Z))


# ---------------------------------------------------------------------- what the seed decides
@pytest.mark.parametrize(("X", "small"), [(table(), TINY), (images(), IMAGES)], ids=["table", "images"])
def test_the_seed_decides_everything_and_the_global_generators_stay(X, small):
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    net = GANGenerator(**small).fit(X)
    Z = net.sample(7, random_state=3)
    rows = net.decode(Z)
    assert np.array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    again = GANGenerator(**small).fit(X)
    assert same_weights(net, again)
    assert all(torch.equal(a, b) for a, b in zip(net.adversary_.parameters(), again.adversary_.parameters()))
    np.testing.assert_array_equal(again.decode(again.sample(7, random_state=3)), rows)
    assert not same_weights(net, GANGenerator(**{**small, "random_state": 1}).fit(X))
    assert Z.dtype == rows.dtype == np.float64
    assert rows.shape == (7, *X.shape[1:])


def test_codes_are_standard_normal():
    Z = GANGenerator(**TINY).fit(table()).sample(20_000, random_state=np.random.default_rng(0))
    assert abs(Z.mean()) < 0.02
    assert abs(Z.std() - 1) < 0.02


def test_rows_do_not_depend_on_those_beside_them(monkeypatch):
    for X, small in ((table(), TINY), (images(), IMAGES)):
        net = GANGenerator(**small).fit(X)
        Z = net.sample(9, 0)
        whole = net.decode(Z)
        monkeypatch.setattr("skfair.augmentation._gan.BLOCK", 4)
        np.testing.assert_allclose(net.decode(Z), whole, atol=1e-6)
        np.testing.assert_allclose(np.concatenate([net.decode(z[None]) for z in Z]), whole, atol=1e-6)


def test_pickle_clone_warm_start_and_partial_fit():
    net = GANGenerator(**TINY).fit(table())
    Z = net.sample(4, 0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).decode(Z), net.decode(Z))
    copied = clone(net)
    assert not hasattr(copied, "module_")
    np.testing.assert_array_equal(copied.fit(table()).decode(Z), net.decode(Z))
    parts = GANGenerator(**TINY)
    for epochs in (1, 2):
        parts.partial_fit(table())
        assert len(parts.history) == epochs
    assert same_weights(parts, net)  # two passes are two passes
    np.testing.assert_array_equal(parts.decode(Z), net.decode(Z))
    warm = clone(net).set_params(warm_start=True).fit(table()).fit(table())
    assert warm.state_.steps == 2 * net.state_.steps
    assert not same_weights(warm, net)
    low = parts.low_.copy()
    parts.partial_fit(table() - 100)  # the range stays that of the first rows
    np.testing.assert_array_equal(parts.low_, low)


def test_codes_keep_the_width_of_the_fit():
    net = GANGenerator(**TINY).fit(table()).set_params(n_components=7)
    assert net.decode(net.sample(2, 0)).shape == (2, 4)
    net.partial_fit(table())


# ---------------------------------------------------------------------- what it learns
def test_two_clouds():
    """Mean and covariance of a mixture; both of its parts are met, and the place between them is empty."""
    rng = np.random.default_rng(0)
    part = rng.integers(0, 2, 600)
    X = rng.normal(size=(600, 2)) * [0.5, 1] + np.column_stack([4 * part - 2, 2 * part])
    net = GANGenerator(n_components=4, max_epochs=40, random_state=0).fit(X)
    made = net.decode(net.sample(2000, 0))
    np.testing.assert_allclose(made.mean(0), X.mean(0), atol=0.3)
    np.testing.assert_allclose(np.cov(made.T), np.cov(X.T), atol=1.2)
    assert 0.35 < (made[:, 0] > 0).mean() < 0.65
    assert (np.abs(made[:, 0]) < 0.5).mean() < 0.16  # of one normal distribution: 0.19


def test_weights_choose_the_rows():
    rng = np.random.default_rng(0)
    part = rng.integers(0, 2, 400)
    X = rng.normal(size=(400, 2)) * 0.3 + 2 * part[:, None]
    net = GANGenerator(n_components=2, max_epochs=30, random_state=0)
    made = net.fit(X, sample_weight=1.0 * (part == 1)).decode(net.sample(500, 0))
    assert (made[:, 0] > 1).mean() > 0.9


# ---------------------------------------------------------------------- ranges and shapes
def test_tables_keep_the_range_of_each_column():
    X = table()
    X[:, 2] = 7  # constant
    net = GANGenerator(**TINY).fit(X)
    np.testing.assert_allclose(net.low_, X.min(0), rtol=1e-6)
    made = net.decode(50 * net.sample(200, 0))
    assert (made >= X.min(0) - 1e-5).all()
    assert (made <= X.max(0) + 1e-5).all()
    assert (made[:, 2] == 7).all()
    mapped = net.infer(torch.from_numpy(X).float()).numpy()
    np.testing.assert_allclose(mapped[:, [0, 1, 3]].min(0), -1, atol=1e-5)
    np.testing.assert_allclose(mapped[:, [0, 1, 3]].max(0), 1, atol=1e-5)
    assert (mapped[:, 2] == -1).all()


def test_images_have_one_range():
    X = 255 * images()
    X[:, :, 0] = 0
    net = GANGenerator(**IMAGES).fit(X)
    assert net.low_ == 0
    assert net.high_ == pytest.approx(X.max(), rel=1e-6)
    made = net.decode(30 * net.sample(20, 0))
    assert made.min() >= 0
    assert made.max() <= net.high_
    blank = GANGenerator(**IMAGES).fit(0 * X + 3)
    assert (blank.decode(blank.sample(4, 0)) == 3).all()


@pytest.mark.parametrize("shape", [(5,), (6, 7), (2, 2, 2, 3)])
def test_rows_of_other_shapes_are_flattened(shape):
    X = np.random.default_rng(0).normal(size=(30, *shape))
    net = GANGenerator(**TINY).fit(X)
    assert net.decode(net.sample(3, 0)).shape == (3, *shape)


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 16), (2, 32)])
def test_images_of_many_sizes(channels, size):
    net = GANGenerator(**IMAGES).fit(images(9, channels, size))
    assert isinstance(net.module_, ImageGenerator)
    assert isinstance(net.adversary_, ImageCritic)
    assert net.decode(net.sample(2, 0)).shape == (2, channels, size, size)


def test_sparse_rows_and_frames():
    X = sp.random(60, 5, density=0.3, random_state=0, format="csr")
    sparse, dense = GANGenerator(**TINY).fit(X), GANGenerator(**TINY).fit(X.toarray())
    assert same_weights(sparse, dense)
    frame = pd.DataFrame(X.toarray(), columns=list("abcde"))
    assert same_weights(GANGenerator(**TINY).fit(frame), dense)


def test_networks_of_ones_own():
    class Critic(torch.nn.Module):
        def __init__(self, in_features):
            super().__init__()
            self.layers = torch.nn.Linear(in_features, 1)

        def forward(self, x):
            return self.layers(x.flatten(1)).squeeze(1)

    generator = torch.nn.Sequential(torch.nn.Linear(3, 2 * 5 * 9), torch.nn.Tanh())
    before = generator[0].weight.clone()
    net = GANGenerator(n_components=3, module=generator, adversary=Critic, max_epochs=1, random_state=0)
    X = np.random.default_rng(0).random((20, 2, 5, 9))  # no square, no power of two
    assert net.fit(X).decode(net.sample(4, 0)).shape == (4, 2, 5, 9)
    assert torch.equal(generator[0].weight, before)


# ---------------------------------------------------------------------- errors
@pytest.mark.parametrize("shape", [(3, 8, 16), (3, 20, 20), (3, 4, 4), (32, 32, 3), (1, 28, 28)])
def test_images_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=rf"rows of shape {re.escape(str(shape))}.*\(C, S, S\).*power of two"):
        GANGenerator(**IMAGES).fit(np.zeros((4, *shape)))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_components": 0}, "n_components must be an integer >= 1, got 0"),
        ({"gamma": -1}, "gamma must be a number >= 0, got -1"),
        ({"gamma": "large"}, "gamma must be a number >= 0, got 'large'"),
        ({"average": 1.0}, r"average must be a number < 1, got 1\.0"),
        ({"average": -0.1}, r"average must be a number >= 0, got -0\.1"),
        ({"lr": 0}, "lr must be a number > 0"),
        ({"adversary_lr": 0}, "adversary_lr must be a number > 0"),
        *(({"early_stopping": stop}, "early_stopping must be False.*SampleSheets") for stop in (True, "accuracy")),
    ],
)
def test_parameters_out_of_range(given, words):
    net = GANGenerator(**{**TINY, **given})
    with pytest.raises(ValueError, match=words):
        net.fit(table())
    assert not hasattr(net, "module_")


def test_codes_that_do_not_fit():
    with pytest.raises(NotFittedError):
        GANGenerator(**TINY).decode(np.zeros((2, 3)))
    with pytest.raises(NotFittedError):
        GANGenerator(**TINY).sample(2)
    net = GANGenerator(**TINY).fit(table())
    for Z in (np.zeros((2, 4)), np.zeros(3)):
        with pytest.raises(ValueError, match=rf"Z has the shape {re.escape(str(Z.shape))}, expected \(n, 3\)"):
            net.decode(Z)
    with pytest.raises(ValueError, match="n_samples must be an integer >= 1, got 0"):
        net.sample(0)


@pytest.mark.parametrize("name", ["encode", "transform", "predict", "predict_proba"])
def test_a_gan_has_no_encoder_and_predicts_nothing(name):
    for net in (GANGenerator(**TINY), GANGenerator(**TINY).fit(table())):
        assert not hasattr(net, name)
        with pytest.raises(AttributeError, match=f"GANGenerator has sample and decode, but no {name}"):
            getattr(net, name)


# ---------------------------------------------------------------------- what one sees of it
def test_both_losses_stand_in_the_history_and_beside_the_bar(capsys):
    net = GANGenerator(verbose=1, **TINY).fit(table())
    assert all(0 < value < 10 for column in ("train_loss", "critic_loss") for value in net.history[:, column])
    assert "critic_loss=" in capsys.readouterr().err


def test_the_critics_loss_is_the_mean_over_the_epoch():
    seen = []

    class Noted(GANGenerator):
        def adversary_objective(self, output, batch):
            seen.append(super().adversary_objective(output, batch))
            return seen[-1]

    net = Noted(**{**TINY, "max_epochs": 1}).fit(table())
    assert net.history[-1, "critic_loss"] == pytest.approx(np.mean([float(loss.detach()) for loss in seen]), rel=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_sheets(tmp_path, channels):
    sheets = SampleSheets(tmp_path / "new", every=2, n_samples=5)
    net = GANGenerator(**{**IMAGES, "max_epochs": 5}, callbacks=[sheets]).fit(images(channels=channels))
    names = ["epoch_0002.png", "epoch_0004.png", "epoch_0005.png"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    seen = imread(tmp_path / "new" / names[-1])[..., :3]
    assert seen.shape == (16, 24, 3)
    np.testing.assert_allclose(seen, _sheet(net.decode(net.sample(5, 0))), atol=1 / 255)
    assert same_weights(net, GANGenerator(**{**IMAGES, "max_epochs": 5}).fit(images(channels=channels)))
    net.partial_fit(images(channels=channels))
    assert (tmp_path / "new" / "epoch_0006.png").exists()


def test_a_sheet_by_hand():
    X = np.arange(5)[:, None, None, None] / 10 + np.zeros((5, 1, 2, 3))
    X[4] = 3
    sheet = _sheet(X)
    assert sheet.shape == (4, 9, 3)
    expected = np.repeat(np.repeat([[0, 0.1, 0.2], [0.3, 1, 0]], 2, 0), 3, 1)
    np.testing.assert_array_equal(sheet, np.repeat(expected[:, :, None], 3, 2))


def test_sheets_of_what_shows_no_images(tmp_path):
    sheets = [SampleSheets(tmp_path)]
    y = np.arange(100) % 2
    with pytest.raises(ValueError, match="sample.* and decode, such as GANGenerator, got ERMClassifier"):
        ERMClassifier(callbacks=sheets, max_epochs=1).fit(table(), y)
    with pytest.raises(ValueError, match="got VAETransformer"):  # its sample takes rows
        VAETransformer(n_components=2, callbacks=sheets, max_epochs=1).fit(table())
    with pytest.raises(ValueError, match=r"images of shape \(1 or 3, S, S\), but GANGenerator was given rows \(4,\)"):
        GANGenerator(callbacks=sheets, **TINY).fit(table())
    with pytest.raises(ValueError, match="every and n_samples must be 1 or more, got 0 and 64"):
        GANGenerator(callbacks=[SampleSheets(tmp_path, every=0)], **IMAGES).fit(images())
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------- scikit-learn's own checks
NARROW = dict(
    module=functools.partial(DenseGenerator, hidden=(8,)), adversary=functools.partial(DenseCritic, hidden=(8,))
)


@parametrize_with_checks([GANGenerator(n_components=2, max_epochs=2, random_state=0, **NARROW)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_default_networks_of_tables():
    net = GANGenerator(max_epochs=1).fit(table(10))
    assert isinstance(net.module_, DenseGenerator)
    assert isinstance(net.adversary_, DenseCritic)
