import sys

import numpy as np
import pytest
import torch
from common import toy

from skfair.modules import (
    MLP,
    VAE,
    ConvVAE,
    DenseCritic,
    DenseGenerator,
    ImageCritic,
    ImageGenerator,
    TabularMLP,
)
from skfair.robust import ERMClassifier


def test_default_is_the_network_of_the_rnf_paper():
    """9,602 parameters at 138 inputs."""
    net = MLP(138, 2)
    assert sum(p.numel() for p in net.parameters()) == 9602
    assert [type(m).__name__ for m in net.encoder] == ["Flatten", "Linear", "ReLU", "Dropout"]
    assert [type(m).__name__ for m in net.head] == ["Linear", "ReLU", "Dropout", "Linear"]
    assert net.head[2].p == 0.2


@pytest.mark.parametrize("hidden", [(), (7,), (7, 8, 9)])
@pytest.mark.parametrize("encoder_layers", [0, 1, 2])
def test_forward_is_head_after_encoder(hidden, encoder_layers):
    net = MLP(5, 3, hidden=hidden, encoder_layers=encoder_layers).eval()
    x = torch.randn(4, 5)
    z = net.encoder(x)
    assert z.shape == (4, net.representation_features)
    torch.testing.assert_close(net(x), net.head(z))
    assert net(x).shape == (4, 3)


def n_parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_autoencoders_have_the_sizes_of_the_dvge_paper():
    images, table = ConvVAE(10, in_channels=3), VAE(20, n_components=10, hidden=(1000,) * 5)
    assert [n_parameters(part) for part in (images.encoder, images.decoder)] == [383_956, 381_379]
    assert [n_parameters(part) for part in (table.encoder, table.decoder)] == [4_045_020, 4_035_020]
    assert n_parameters(table) == 4_045_020 + 4_035_020 + 20  # a variance per column
    assert n_parameters(MLP(10, 2, hidden=(1000,) * 5, dropout=0.0)) == 4_017_002


@pytest.mark.parametrize("n_components", [1, 3])
@pytest.mark.parametrize("n", [1, 2])
def test_autoencoders_of_one_row_and_one_dimension(n, n_components):
    for net, x in ((ConvVAE(n_components, 1), torch.rand(n, 1, 64, 64)), (VAE(5, n_components), torch.rand(n, 5))):
        mean, log_variance = net(x)
        assert mean.shape == log_variance.shape == (n, n_components)
        assert net.decode(mean).shape == x.shape


def test_variances_of_codes_stay_finite():
    net = VAE(2, 1)
    assert net(1e9 * torch.randn(50, 2))[1].abs().max() == 20


def test_an_autoencoder_takes_means_first_and_is_linear_between_its_kinks():
    net = VAE(4, 2, hidden=())
    x = torch.randn(3, 4)
    out = x @ net.encoder[1][0].weight.T + net.encoder[1][0].bias
    torch.testing.assert_close(torch.cat(net(x), 1), out)
    kinks = [part for part in VAE(4, 2).modules() if isinstance(part, torch.nn.LeakyReLU)]
    assert [part.negative_slope for part in kinks] == [0.2] * 4


def test_more_axes_are_flattened():
    assert MLP(12, 2)(torch.zeros(3, 3, 2, 2)).shape == (3, 2)


@pytest.mark.parametrize("numeric", [None, [0, 3], []])
def test_tabular_mlp_embeds_the_numeric_columns_alone(numeric):
    net = TabularMLP(5, 2, numeric=numeric, d_embedding=4).eval()
    n_numeric = 5 if numeric is None else len(numeric)
    assert net.encoder[1][1].in_features == 4 * n_numeric + (5 - n_numeric)
    x = torch.randn(6, 5)
    torch.testing.assert_close(net(x), net.head(net.encoder(x)))
    if numeric == [0, 3]:
        entered = net.encoder[0](x)
        torch.testing.assert_close(entered[:, -3:], x[:, [1, 2, 4]])


def test_tabular_mlp_names_a_column_that_is_not_there():
    with pytest.raises(ValueError, match=r"columns \[7\], but X has the columns 0 to 4"):
        TabularMLP(5, 2, numeric=[0, 7])


def test_tabular_mlp_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "rtdl_num_embeddings", None)
    with pytest.raises(ImportError, match=r"pip install 'skfair\[tabular\]'"):
        TabularMLP(5, 2)


def test_tabular_mlp_learns_what_a_linear_model_cannot():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(1500, 2)).astype(np.float32)
    y = (np.sin(4 * X[:, 0]) > 0).astype(int)
    net = ERMClassifier(module=TabularMLP, module__frequency_init_scale=0.5, max_epochs=30, lr=5e-3, random_state=0)
    assert net.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.9


def test_both_predict_in_double_precision():
    X, y, _ = toy(100)
    for module in (MLP, TabularMLP):
        net = ERMClassifier(module=module, max_epochs=1, random_state=0).fit(X, y)
        assert next(net.module_.parameters()).dtype == torch.float32
        one_by_one = np.concatenate([net.predict_proba(row[None]) for row in X])
        np.testing.assert_allclose(one_by_one, net.predict_proba(X), rtol=1e-12)


# ---------------------------------------------------------------------- generators and critics
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (16, 3), (32, 3), (64, 2)])
def test_image_networks_of_many_sizes(size, channels):
    generator, critic = ImageGenerator(5, size, channels, width=4), ImageCritic(size, channels, width=4)
    images = generator(torch.randn(2, 5))
    assert images.shape == (2, channels, size, size)
    assert critic(images).shape == (2,)
    n_sizes = {8: 1, 16: 2, 32: 3, 64: 4}[size]
    assert len(generator.tower) == len(critic.tower) == 2 * n_sizes - 1
    assert generator.first.out_features == critic.last.in_features == 16 * 4 * min(2 ** (n_sizes - 1), 4)


def test_image_networks_begin_as_shallow_ones_of_moderate_output():
    """The residual branches begin as 0; the output is small, so that no pixel begins far out."""
    generator, critic = ImageGenerator(64), ImageCritic()
    for net in (generator, critic):
        seconds = [part.second for part in net.modules() if hasattr(part, "second")]
        assert len(seconds) == 3
        assert not any(part.weight.any() or part.bias.any() for part in seconds)
    images = generator(torch.randn(50, 64))
    assert 0.01 < images.std() < 1
    assert torch.equal(images[..., ::2, ::2], images[..., 1::2, 1::2])  # no checkerboard
    assert critic(torch.rand(50, 3, 32, 32) * 2 - 1).std() < 5


def test_a_critic_rates_each_row_by_itself():
    for net, x in ((ImageCritic(8, 1, width=4), torch.rand(5, 1, 8, 8)), (DenseCritic(3), torch.randn(5, 3))):
        net, x = net.double(), x.double()
        torch.testing.assert_close(torch.cat([net(row[None]) for row in x]), net(x))


@pytest.mark.parametrize("size", [0, 4, 12, 28, 31, True, 16.5, None])
def test_image_networks_name_a_size_that_they_do_not_take(size):
    for make in (lambda: ImageGenerator(5, size), lambda: ImageCritic(size)):
        with pytest.raises(ValueError, match=f"image_size must be a power of two, 8 or more.*got {size}"):
            make()


def test_a_critic_names_images_of_another_size():
    with pytest.raises(ValueError, match=r"images of shape \(n, 3, 8, 8\), got \(2, 3, 16, 16\)"):
        ImageCritic(8, width=4)(torch.zeros(2, 3, 16, 16))


@pytest.mark.parametrize("hidden", [(), (6,), (6, 7)])
def test_dense_networks(hidden):
    generator, critic = DenseGenerator(3, 5, hidden=hidden), DenseCritic(5, hidden=hidden)
    assert generator(torch.randn(2, 3)).shape == (2, 5)
    assert critic(torch.randn(2, 5)).shape == (2,)
    assert n_parameters(critic) == sum((a + 1) * b for a, b in zip([5, *hidden], [*hidden, 1]))
