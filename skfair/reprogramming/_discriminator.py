import torch
from torch import nn
from torch.nn.functional import one_hot

from skfair.modules import MLP

__all__ = ["Discriminator"]


class Discriminator(nn.Module):
    r"""Reads the group from a classifier's output, and for equalized odds from the label besides.

    With :math:`s = \mathrm{softmax}(z (1 + |c|))` it sees (z, s), or :math:`(z, s, z \otimes e_y, s \otimes e_y, e_y)`;
    c is learned, 1 at first: the sharper s tells the decision from the score.
    """

    def __init__(self, n_classes, n_groups, sees_label, hidden):
        super().__init__()
        self.n_classes, self.sees_label = n_classes, sees_label
        width = 2 * n_classes + (2 * n_classes**2 + n_classes if sees_label else 0)
        self.sharpness = nn.Parameter(torch.ones(()))  # c
        self.reader = MLP(width, n_groups, hidden=hidden, dropout=0.0)

    def forward(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        s = torch.softmax(logits * (1 + self.sharpness.abs()), -1)
        seen = torch.cat([logits, s], -1)
        if self.sees_label:
            label = one_hot(y, self.n_classes).to(seen.dtype)
            products = (seen.unsqueeze(-1) * label.unsqueeze(-2)).flatten(1)
            seen = torch.cat([seen, products, label], -1)
        return self.reader(seen)
