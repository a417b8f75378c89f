import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu, pixel_shuffle, pixel_unshuffle

__all__ = ["DenseCritic", "DenseGenerator", "ImageCritic", "ImageGenerator"]


def _check_size(image_size):
    if isinstance(image_size, bool) or image_size not in [2**k for k in range(3, 31)]:
        raise ValueError(f"image_size must be a power of two, 8 or more (8, 16, 32, 64, ...), got {image_size!r}.")


def _widths(image_size, width):
    """Channels at half the image's size, a quarter, ... down to 4 x 4 pixels: doubled with each halving, up to 4 times."""
    return [width * min(2**k, 4) for k in range((image_size // 8).bit_length())]


def _scaled(layer, gain=1.0):
    """He's initialisation for LeakyReLU(0.2), times a gain; no bias."""
    nn.init.kaiming_normal_(layer.weight, 0.2)
    nn.init.zeros_(layer.bias)
    with torch.no_grad():
        layer.weight.mul_(gain)
    return layer


class _Residual(nn.Module):
    """x + f(x) with two convolutions and no normalisation; f begins as 0, so that a deep net begins as a shallow one."""

    def __init__(self, width):
        super().__init__()
        self.first = _scaled(nn.Conv2d(width, width, 3, padding=1))
        self.second = _scaled(nn.Conv2d(width, width, 3, padding=1), 0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(leaky_relu(self.first(leaky_relu(x, 0.2)), 0.2))


class _Resize(nn.Module):
    """Twice the size, by interpolation, or half of it, by averages; a convolution changes the number of channels."""

    def __init__(self, in_width, out_width, up):
        super().__init__()
        self.up = up
        self.mix = _scaled(nn.Conv2d(in_width, out_width, 1), 0.7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.up:
            return interpolate(self.mix(x), scale_factor=2, mode="bilinear")
        return self.mix(avg_pool2d(x, 2))


def _tower(widths, up):
    """A residual block at each size and a change of size between them."""
    layers = [_Residual(widths[0])]
    for a, b in zip(widths[:-1], widths[1:]):
        layers += [_Resize(a, b, up), _Residual(b)]
    return nn.Sequential(*layers)


class ImageGenerator(nn.Module):
    """Images from codes: a residual network without normalisation, in the manner of R3GAN.

    It works from 4 x 4 pixels up to half the image's size; a last convolution gives four values per channel and place,
    which become four pixels: quick on a CPU. The output is linear, not a tanh: images with many black pixels would
    drive a tanh to where it has no gradient.

    Parameters
    ----------
    n_components : int, default=64
        Number of latent dimensions, D. An estimator fills it in.
    image_size : int, default=32
        Height and width of the images, S: a power of two, 8 or more. An estimator fills it in.
    channels : int, default=3
        C. An estimator fills it in.
    width : int, default=16
        Channels at half the image's size; twice as many at a quarter, four times as many below.

    References
    ----------
    Huang et al., "The GAN is dead; long live the GAN! A modern GAN baseline", NeurIPS 2024.

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import ImageGenerator
    >>> ImageGenerator(10, image_size=16, width=8)(torch.zeros(2, 10)).shape
    torch.Size([2, 3, 16, 16])
    """

    def __init__(self, n_components=64, image_size=32, channels=3, width=16):
        super().__init__()
        _check_size(image_size)
        widths = _widths(image_size, width)[::-1]
        self.first = _scaled(nn.Linear(n_components, 16 * widths[0]))
        self.tower = _tower(widths, up=True)
        self.last = _scaled(nn.Conv2d(widths[-1], 4 * channels, 3, padding=1), 0.1)
        with torch.no_grad():  # the four pixels of a place begin as one: no checkerboard
            self.last.weight.copy_(self.last.weight[::4].repeat_interleave(4, 0))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = self.tower(self.first(z).reshape(len(z), -1, 4, 4))
        return pixel_shuffle(self.last(leaky_relu(x, 0.2)), 2)


class ImageCritic(nn.Module):
    """One number for each image: the mirror image of :class:`ImageGenerator`.

    Parameters
    ----------
    image_size : int, default=32
        S, a power of two, 8 or more. An estimator fills it in.
    in_channels : int, default=3
        C. An estimator fills it in.
    width : int, default=16

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import ImageCritic
    >>> ImageCritic(16, width=8)(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2])
    """

    def __init__(self, image_size=32, in_channels=3, width=16):
        super().__init__()
        _check_size(image_size)
        self.shape = (in_channels, image_size, image_size)
        widths = _widths(image_size, width)
        self.first = _scaled(nn.Conv2d(4 * in_channels, widths[0], 3, padding=1))
        self.tower = _tower(widths, up=False)
        self.last = _scaled(nn.Linear(16 * widths[-1], 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1:] != self.shape:
            raise ValueError(
                f"ImageCritic takes images of shape {('n', *self.shape)}, got {tuple(x.shape)}.".replace("'", "")
            )
        x = self.tower(self.first(pixel_unshuffle(x, 2)))
        return self.last(leaky_relu(x, 0.2).flatten(1)).squeeze(1)


def _dense(widths):
    layers = [part for a, b in zip(widths[:-1], widths[1:]) for part in (_scaled(nn.Linear(a, b)), nn.LeakyReLU(0.2))]
    return nn.Sequential(*layers[:-1])


class DenseGenerator(nn.Module):
    """Rows of a table from codes: linear layers with LeakyReLU(0.2), and a linear output.

    Parameters
    ----------
    n_components : int
        Number of latent dimensions, D. An estimator fills it in.
    out_features : int
        Number of columns, d. An estimator fills it in.
    hidden : sequence of int, default=(128, 128)

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import DenseGenerator
    >>> DenseGenerator(10, 5)(torch.zeros(2, 10)).shape
    torch.Size([2, 5])
    """

    runs_in_float64 = True

    def __init__(self, n_components, out_features, hidden=(128, 128)):
        super().__init__()
        self.layers = _dense([n_components, *hidden, out_features])

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.layers(z)


class DenseCritic(nn.Module):
    """One number for each row of a table.

    Parameters
    ----------
    in_features : int
        Number of columns, d; more axes are flattened. An estimator fills it in.
    hidden : sequence of int, default=(128, 128)

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import DenseCritic
    >>> DenseCritic(5)(torch.zeros(2, 5)).shape
    torch.Size([2])
    """

    def __init__(self, in_features, hidden=(128, 128)):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), _dense([in_features, *hidden, 1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x).squeeze(1)
