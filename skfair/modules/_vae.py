import torch
from torch import nn

__all__ = ["VAE", "ConvVAE"]


def _dense(widths):
    """Linear layers with LeakyReLU(0.2) between them."""
    layers = [part for a, b in zip(widths[:-1], widths[1:]) for part in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
    return nn.Sequential(*layers[:-1])


class _GaussianEncoder(nn.Module):
    """What both autoencoders do with the encoder's output."""

    runs_in_float64 = True

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_variance = self.encoder(x).flatten(1).chunk(2, -1)
        return mean, log_variance.clamp(-20, 20)


class VAE(_GaussianEncoder):
    """Encoder and decoder of a variational autoencoder for rows of a table: linear layers with LeakyReLU(0.2).

    Parameters
    ----------
    in_features : int
        Number of columns, d. An estimator fills it in.
    n_components : int, default=10
        Number of latent dimensions, D. An estimator fills it in.
    hidden : sequence of int, default=(128, 128)
        Widths of the encoder's hidden layers; the decoder's are the same backwards. The DVGE paper has (1000,) * 5.

    Attributes
    ----------
    encoder : torch.nn.Module
        (n, d) to (n, 2 D): means, then logarithms of variances.
    decoder : torch.nn.Module
        (n, D) to (n, d): logits or means of the columns.
    column_log_variance : torch.nn.Parameter
        Of shape (d,): logarithms of the variances of Gaussian columns.

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import VAE
    >>> net = VAE(20, n_components=10)
    >>> mean, log_variance = net(torch.zeros(3, 20))
    >>> mean.shape, net.decode(mean).shape
    (torch.Size([3, 10]), torch.Size([3, 20]))
    """

    def __init__(self, in_features, n_components=10, hidden=(128, 128)):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), _dense([in_features, *hidden, 2 * n_components]))
        self.decoder = _dense([n_components, *reversed(hidden), in_features])
        self.column_log_variance = nn.Parameter(torch.zeros(in_features))

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The decoder's output for codes (n, D), of shape (n, d)."""
        return self.decoder(z)


def _convolutions(kind, widths, sizes):
    """Layers of a kind with kernels and strides; ReLU between them."""
    layers = []
    for a, b, (kernel, stride, padding) in zip(widths[:-1], widths[1:], sizes):
        layers += [kind(a, b, kernel, stride, padding), nn.ReLU()]
    return layers[:-1]


HALVE, SHRINK, POINT = (4, 2, 1), (4, 1, 0), (1, 1, 0)
WIDTHS = {32: (32, 32, 64), 64: (32, 32, 64, 64)}  # of the convolutions that halve an image


class ConvVAE(_GaussianEncoder):
    """Encoder and decoder of a variational autoencoder for images of 64 x 64 or 32 x 32 pixels.

    For 64 x 64 it is the network of FactorVAE on CelebA, which the DVGE paper uses: five convolutions and a linear layer,
    and the same backwards; 383,956 and 381,379 parameters for three channels and ten dimensions. For 32 x 32 there is one
    convolution less.

    Parameters
    ----------
    n_components : int, default=10
        Number of latent dimensions, D. An estimator fills it in.
    in_channels : int, default=3
    image_size : {32, 64}, default=64
        An estimator fills it in.

    Attributes
    ----------
    encoder : torch.nn.Module
        (n, C, S, S) to (n, 2 D, 1, 1).
    decoder : torch.nn.Module
        (n, D, 1, 1) to (n, C, S, S): logits of the pixels.

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import ConvVAE
    >>> net = ConvVAE(10)
    >>> mean, log_variance = net(torch.zeros(2, 3, 64, 64))
    >>> mean.shape, net.decode(mean).shape
    (torch.Size([2, 10]), torch.Size([2, 3, 64, 64]))
    """

    def __init__(self, n_components=10, in_channels=3, image_size=64):
        super().__init__()
        if image_size not in WIDTHS:
            raise ValueError(f"ConvVAE is for images of {sorted(WIDTHS)} pixels a side, got {image_size}.")
        self.image_size = image_size
        halves = WIDTHS[image_size]
        widths = [in_channels, *halves, 256, 2 * n_components]
        self.encoder = nn.Sequential(*_convolutions(nn.Conv2d, widths, [HALVE] * len(halves) + [SHRINK, POINT]))
        first = [nn.Conv2d(n_components, 256, 1), nn.ReLU()]
        back = _convolutions(nn.ConvTranspose2d, widths[-2::-1], [SHRINK] + [HALVE] * len(halves))
        self.decoder = nn.Sequential(*first, *back)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        size = self.image_size
        if x.ndim != 4 or x.shape[-2:] != (size, size):
            raise ValueError(f"ConvVAE takes images of shape (n, C, {size}, {size}), got {tuple(x.shape)}.")
        return super().forward(x)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The decoder's output for codes (n, D), of shape (n, C, S, S)."""
        return self.decoder(z.reshape(*z.shape, 1, 1))
