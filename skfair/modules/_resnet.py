import torch
from torch import nn

__all__ = ["ResNet18"]


class ResNet18(nn.Module):
    """ResNet-18 for images: its convolutional body as the encoder, two linear layers as the head.

    Needs torchvision, which is imported when the module is made. The weights are drawn, not downloaded.

    Parameters
    ----------
    out_features : int
        Number of outputs. An estimator fills it in.
    in_channels : int, default=3
        1 for grey images.
    hidden : sequence of int, default=(100,)
        Widths of the head's hidden layers; 512-100-K with the default, as in the RNF paper.
    small_images : bool, default=True
        For images of less than about 100 pixels: a first convolution of 3 x 3 without stride, and no pooling after it.

    Attributes
    ----------
    encoder : torch.nn.Module
        (n, C, H, W) to (n, 512).
    head : torch.nn.Module
        (n, 512) to (n, K).

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import ResNet18
    >>> net = ResNet18(2).eval()
    >>> with torch.no_grad():
    ...     net.encoder(torch.zeros(1, 3, 16, 16)).shape, net(torch.zeros(1, 3, 16, 16)).shape
    (torch.Size([1, 512]), torch.Size([1, 2]))
    """

    def __init__(self, out_features, in_channels=3, hidden=(100,), small_images=True):
        super().__init__()
        from torchvision.models import resnet18

        body = resnet18(weights=None)
        if small_images:
            body.conv1, body.maxpool = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False), nn.Identity()
        elif in_channels != 3:
            body.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        body.fc = nn.Identity()
        self.encoder = body
        widths = [512, *hidden]
        blocks = [part for a, b in zip(widths[:-1], widths[1:]) for part in (nn.Linear(a, b), nn.ReLU())]
        self.head = nn.Sequential(*blocks, nn.Linear(widths[-1], out_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(x))
