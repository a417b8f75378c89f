import torch
from torch import nn

__all__ = ["MLP"]


class Dropout(nn.Dropout):
    """Dropout by uniform draws: on a CPU, and for a stack of nets, they cost half of torch's Bernoulli draws."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return x
        kept = (torch.rand_like(x) >= self.p).to(x.dtype)
        return x * (kept / (1 - self.p) if self.p < 1 else kept)


def _block(in_features, out_features, dropout, activation):
    return [nn.Linear(in_features, out_features), activation(), Dropout(dropout)]


class MLP(nn.Module):
    """Multilayer perceptron, split into an encoder and a head.

    The encoder is the first hidden layer, the head is all the rest: with the defaults, the network of the RNF paper
    (Du et al., NeurIPS 2021), d-50-50-K with ReLU, and dropout after both hidden layers.

    Parameters
    ----------
    in_features : int
        Number of columns, d. More axes are flattened. An estimator fills it in.
    out_features : int
        Number of outputs, K. An estimator fills it in.
    hidden : sequence of int, default=(50, 50)
        Widths of the hidden layers. Empty: a linear model, whose encoder passes its input on.
    dropout : float, default=0.2
        Probability with which a hidden unit is left out in training.
    encoder_layers : int, default=1
        How many of the hidden layers belong to the encoder.
    activation : class or callable, default=torch.nn.ReLU
        Makes the module that follows each hidden layer.

    Attributes
    ----------
    encoder : torch.nn.Module
        (n, d) to (n, h).
    head : torch.nn.Module
        (n, h) to (n, K).

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import MLP
    >>> net = MLP(98, 2).eval()
    >>> net(torch.zeros(3, 98)).shape, net.encoder(torch.zeros(3, 98)).shape
    (torch.Size([3, 2]), torch.Size([3, 50]))
    """

    runs_in_float64 = True

    def __init__(self, in_features, out_features, hidden=(50, 50), dropout=0.2, encoder_layers=1, activation=nn.ReLU):
        super().__init__()
        widths = [in_features, *hidden]
        blocks = [_block(a, b, dropout, activation) for a, b in zip(widths[:-1], widths[1:])]
        self.encoder = nn.Sequential(nn.Flatten(), *[m for block in blocks[:encoder_layers] for m in block])
        rest = [m for block in blocks[encoder_layers:] for m in block]
        self.head = nn.Sequential(*rest, nn.Linear(widths[-1], out_features))
        self.representation_features = widths[min(encoder_layers, len(hidden))]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(x))
