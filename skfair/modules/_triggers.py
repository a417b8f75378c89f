"""Triggers: small modules that change the input of a frozen network, the same way for every row."""

import torch
from torch import nn
from torch.nn.functional import interpolate, pad

__all__ = ["AdditiveTrigger", "BorderTrigger", "MaskPatchTrigger", "PatchTrigger"]

CORNERS = ("top_left", "top_right", "bottom_left", "bottom_right")


class _ColumnTrigger(nn.Module):
    """What the triggers for tables share: which columns may change, and which are one-hot blocks."""

    runs_in_float64 = True

    def __init__(self, in_features, mutable=None, blocks=(), allow_off_manifold=False, init="identity"):
        super().__init__()
        if init not in ("identity", "normal"):
            raise ValueError(f"init must be one of ['identity', 'normal'], got {init!r}.")
        free = torch.ones(in_features, dtype=torch.bool) if mutable is None else _positions(mutable, in_features)
        blocks = [] if allow_off_manifold else [list(block) for block in blocks]
        inside = _positions([j for block in blocks for j in block], in_features)
        self.register_buffer("free", free & ~inside)  # columns that are changed as numbers
        self.blocks = [block for block in blocks if bool(free[block].all())]  # changed as a whole, or not at all
        self.delta = nn.Parameter(torch.zeros(in_features) if init == "identity" else torch.randn(in_features))


class MaskPatchTrigger(_ColumnTrigger):
    r"""Keeps or drops each column and adds a constant: :math:`m(x) = x \odot m + \delta`, :math:`m = 1[\sigma(\mu) > 1/2]`.

    The mask's gradient is that of :math:`\mu` (straight through). A one-hot block is kept as it is, or replaced as a whole
    by the distribution :math:`\mathrm{softmax}(\delta)`: its rows never leave the simplex.

    Parameters
    ----------
    in_features : int
        Number of columns, d. An estimator fills it in.
    mutable : sequence of int, optional
        The columns that may change; by default all. A one-hot block changes only if all its columns may.
    blocks : sequence of sequences of int, default=()
        One-hot blocks. An estimator finds them in the data.
    allow_off_manifold : bool, default=False
        Treat one-hot columns as numbers, as the released code does.
    init : {"identity", "normal"}, default="identity"
        :math:`\mu = 1, \delta = 0`, so that nothing is changed at first; or N(0, 1), the released start, which drops half of
        the columns from the start.

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import MaskPatchTrigger
    >>> trigger, x = MaskPatchTrigger(3), torch.ones(2, 3)
    >>> torch.equal(trigger(x), x)
    True
    """

    def __init__(self, in_features, mutable=None, blocks=(), allow_off_manifold=False, init="identity"):
        super().__init__(in_features, mutable, blocks, allow_off_manifold, init)
        self.mu = nn.Parameter(torch.ones(in_features) if init == "identity" else torch.randn(in_features))

    def mask(self) -> torch.Tensor:
        """1 for the columns that are kept, 0 for those that are dropped, of shape (d,)."""
        block_mean = self.mu
        for block in self.blocks:
            block_mean = block_mean.index_put((torch.tensor(block, device=self.mu.device),), self.mu[block].mean())
        hard = (block_mean > 0).to(self.mu.dtype)  # sigmoid(mu) > 1/2
        return hard - block_mean.detach() + block_mean

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask, patch = self.mask(), self.delta
        changed = torch.where(self.free, x * mask + patch, x)
        for block in self.blocks:
            keep = mask[block[0]]
            inside = keep * x[..., block] + (1 - keep) * torch.softmax(patch[block], 0)
            changed = changed.index_copy(-1, torch.tensor(block, device=x.device), inside)
        return changed


class AdditiveTrigger(_ColumnTrigger):
    r"""Adds a constant to each column: :math:`m(x) = x + \delta`. One-hot blocks stay as they are.

    Parameters
    ----------
    in_features, mutable, blocks, allow_off_manifold, init
        As in :class:`MaskPatchTrigger`.

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import AdditiveTrigger
    >>> trigger = AdditiveTrigger(3, mutable=[0])
    >>> _ = torch.nn.init.ones_(trigger.delta)
    >>> trigger(torch.zeros(1, 3))
    tensor([[1., 0., 0.]], grad_fn=<WhereBackward0>)
    """

    def __init__(self, in_features, mutable=None, blocks=(), allow_off_manifold=False, init="identity"):
        super().__init__(in_features, mutable, blocks, allow_off_manifold, init)
        self.blocks = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(self.free, x + self.delta, x)


def _positions(columns, n):
    columns = [int(j) for j in columns]
    outside = [j for j in columns if not -n <= j < n]
    if outside:
        raise ValueError(f"mutable has the columns {outside}, but X has {n} columns.")
    found = torch.zeros(n, dtype=torch.bool)
    found[columns] = True
    return found


class _ImageTrigger(nn.Module):
    """What the triggers for images share: a program W for all pixels, of which a mask shows a part, as tanh(W)."""

    runs_in_float64 = True

    def __init__(self, image_size, in_channels, mask, init):
        super().__init__()
        if init not in ("uniform", "zeros"):
            raise ValueError(f"init must be one of ['uniform', 'zeros'], got {init!r}.")
        program = torch.zeros(in_channels, image_size, image_size)
        self.program = nn.Parameter(program if init == "zeros" else program.uniform_(-1, 1))
        self.register_buffer("mask", mask)

    def shown(self) -> torch.Tensor:
        """tanh(W * mask), of shape (C, S, S)."""
        return torch.tanh(self.program * self.mask)


class PatchTrigger(_ImageTrigger):
    r"""Covers a square in a corner of the image: :math:`m(x) = x \odot (1 - M) + \tanh(W \odot M)`.

    Parameters
    ----------
    image_size : int
        Height and width of the images. An estimator fills it in.
    in_channels : int, default=3
        An estimator fills it in.
    size : int, default=4
        Side of the square, in pixels; 0 changes nothing. (The paper: 80 of 224.)
    corner : {"top_left", "top_right", "bottom_left", "bottom_right"}, default="top_left"
    init : {"uniform", "zeros"}, default="uniform"
        W ~ U(-1, 1), as in the paper, or 0.

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import PatchTrigger
    >>> trigger, x = PatchTrigger(8, 1, size=2, corner="bottom_right"), torch.ones(1, 1, 8, 8)
    >>> int((trigger(x) != x).sum())
    4
    """

    def __init__(self, image_size, in_channels=3, size=4, corner="top_left", init="uniform"):
        if corner not in CORNERS:
            raise ValueError(f"corner must be one of {list(CORNERS)}, got {corner!r}.")
        if not 0 <= size <= image_size:
            raise ValueError(f"size must be between 0 and the image's {image_size} pixels, got {size}.")
        mask = torch.zeros(image_size, image_size)
        rows = slice(0, size) if corner.startswith("top") else slice(image_size - size, image_size)
        columns = slice(0, size) if corner.endswith("left") else slice(image_size - size, image_size)
        mask[rows, columns] = 1
        super().__init__(image_size, in_channels, mask, init)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (1 - self.mask) + self.shown()


class BorderTrigger(_ImageTrigger):
    r"""Shrinks the image and puts a frame around it: :math:`m(x) = \mathrm{pad}(\mathrm{resize}(x)) + \tanh(W \odot M)`.

    Parameters
    ----------
    image_size : int
        Height and width of the images. An estimator fills it in.
    in_channels : int, default=3
        An estimator fills it in.
    width : int, default=2
        Width of the frame on each side, in pixels; 0 changes nothing. (The paper: 20 of 224. The released code's
        ``--reprogram-size`` is the size of the image *inside* the frame.)
    init : {"uniform", "zeros"}, default="uniform"

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import BorderTrigger
    >>> trigger = BorderTrigger(8, 1, width=2)
    >>> trigger(torch.ones(1, 1, 8, 8))[0, 0, 2:6, 2:6].unique()
    tensor([1.], grad_fn=<Unique2Backward0>)
    """

    def __init__(self, image_size, in_channels=3, width=2, init="uniform"):
        if not 0 <= 2 * width < image_size:
            raise ValueError(f"width must leave a part of the image's {image_size} pixels free, got {width}.")
        mask = torch.ones(image_size, image_size)
        mask[width : image_size - width, width : image_size - width] = 0
        super().__init__(image_size, in_channels, mask, init)
        self.width, self.inner = width, image_size - 2 * width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        small = interpolate(x, size=(self.inner, self.inner), mode="bilinear", align_corners=False, antialias=True)
        return pad(small, (self.width,) * 4) + self.shown()
