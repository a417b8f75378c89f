import torch
from torch import nn

__all__ = ["CNN"]


class CNN(nn.Module):
    """A small convolutional network for images: convolutions that halve the image, the mean over what is left, a head.

    Parameters
    ----------
    out_features : int
        Number of outputs. An estimator fills it in.
    in_channels : int, default=3
        1 for grey images. An estimator fills it in.
    widths : sequence of int, default=(32, 64, 128)
        Channels of the convolutions (3 x 3, each with ReLU and a maximum over 2 x 2).
    dropout : float, default=0.2
        Before the head.

    Attributes
    ----------
    encoder : torch.nn.Module
        (n, C, H, W) to (n, widths[-1]).
    head : torch.nn.Module
        (n, widths[-1]) to (n, K).

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import CNN
    >>> net = CNN(2).eval()
    >>> net(torch.zeros(3, 3, 32, 32)).shape, net.encoder(torch.zeros(3, 3, 32, 32)).shape
    (torch.Size([3, 2]), torch.Size([3, 128]))
    """

    def __init__(self, out_features, in_channels=3, widths=(32, 64, 128), dropout=0.2):
        super().__init__()
        layers = []
        for a, b in zip([in_channels, *widths[:-1]], widths):
            layers += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        self.encoder = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(widths[-1], out_features))
        self.representation_features = widths[-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(x))
