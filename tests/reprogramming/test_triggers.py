"""Triggers as torch modules: the same change for every row, masks, one-hot blocks, patches and frames, stacks of them."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from torch.func import functional_call, stack_module_state, vmap

from skfair.base import one_hot_blocks
from skfair.modules import AdditiveTrigger, BorderTrigger, MaskPatchTrigger, PatchTrigger, Reprogrammed

CORNERS = {
    "top_left": (slice(None, 3), slice(None, 3)),
    "top_right": (slice(None, 3), slice(-3, None)),
    "bottom_left": (slice(-3, None), slice(None, 3)),
    "bottom_right": (slice(-3, None), slice(-3, None)),
}


def table(n=20, d=7, seed=0):
    """Numbers, and one-hot blocks in the columns 2 to 4 and 5 to 6."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    X[:, 2:5] = np.eye(3)[rng.integers(0, 3, n)]
    X[:, 5:7] = np.eye(2)[rng.integers(0, 2, n)]
    return torch.tensor(X, dtype=torch.float32)


BLOCKS = ([2, 3, 4], [5, 6])


def images(n=4, channels=3, size=9, seed=0):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


def with_values(trigger, seed=0, scale=1.0):
    """The trigger with random numbers in all its parameters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in trigger.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return trigger


EVERY = [
    lambda: MaskPatchTrigger(7, blocks=BLOCKS), lambda: MaskPatchTrigger(7, allow_off_manifold=True, blocks=BLOCKS),
    lambda: MaskPatchTrigger(7, mutable=[0, 5, 6], blocks=BLOCKS), lambda: AdditiveTrigger(7, blocks=BLOCKS),
    lambda: PatchTrigger(9, 3, size=3), lambda: BorderTrigger(9, 3, width=2),
]  # fmt: skip
NAMES = ["mask", "off manifold", "mutable", "add", "patch", "border"]
every_trigger = pytest.mark.parametrize("make", EVERY, ids=NAMES)


def rows_for(trigger):
    return images() if hasattr(trigger, "program") else table()


# ---------------------------------------------------------------------- all triggers
@every_trigger
def test_a_row_is_changed_alike_in_any_company(make):
    trigger = with_values(make())
    x = rows_for(trigger)
    whole = trigger(x)
    assert whole.shape == x.shape
    assert whole.dtype == x.dtype
    assert torch.equal(trigger(x.flip(0)).flip(0), whole)
    assert all(torch.equal(trigger(x[i : i + 1])[0], whole[i]) for i in range(len(x)))
    kept = x.clone()
    trigger(x)
    assert torch.equal(x, kept)  # never in place


@every_trigger
def test_in_double_precision(make):
    trigger = with_values(make())
    x = rows_for(trigger)
    single, double = trigger(x).detach(), trigger.double()(x.double()).detach()
    assert double.dtype == torch.float64
    assert torch.allclose(single.double(), double, atol=1e-6)


@every_trigger
def test_a_stack_of_triggers_is_each_of_them(make):
    """Values and gradients under vmap, with rows of their own."""
    many = [with_values(make(), seed) for seed in range(3)]
    parameters, buffers = stack_module_state(many)
    x = torch.stack([rows_for(many[0]) + 0.1 * k for k in range(3)])

    def one(parameters, buffers, x):
        return functional_call(many[0], (parameters, buffers), (x,))

    stacked = vmap(one)(parameters, buffers, x)
    weights = torch.randn(stacked.shape[1:], generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad((stacked * weights).sum(), list(parameters.values()))
    for k, trigger in enumerate(many):
        alone = trigger(x[k])
        assert torch.allclose(stacked[k], alone, atol=1e-6)
        expected = torch.autograd.grad((alone * weights).sum(), list(trigger.parameters()))
        assert all(torch.allclose(a[k], b, atol=1e-5) for a, b in zip(found, expected, strict=True))


@every_trigger
def test_the_state_is_all_there_is(make):
    """A trigger of the same shape that takes over the state changes rows alike."""
    one, other = with_values(make(), 0), with_values(make(), 1)
    x = rows_for(one)
    assert not torch.equal(one(x), other(x))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x), other(x))


@pytest.mark.parametrize("cls", [MaskPatchTrigger, AdditiveTrigger])
def test_a_table_trigger_is_the_identity_at_first(cls):
    x = table()
    assert torch.equal(cls(7)(x), x)
    assert torch.equal(cls(7, blocks=BLOCKS)(x), x)
    assert torch.equal(cls(7, mutable=[1])(x), x)


@pytest.mark.parametrize("cls", [MaskPatchTrigger, AdditiveTrigger])
def test_the_normal_start_is_that_of_the_paper(cls):
    torch.manual_seed(0)
    trigger = cls(4000, init="normal")
    for name, parameter in trigger.named_parameters():
        assert abs(float(parameter.detach().mean())) < 0.06, name
        assert float(parameter.detach().std()) == pytest.approx(1, abs=0.05), name
    if cls is MaskPatchTrigger:
        assert float(trigger.mask().detach().mean()) == pytest.approx(0.5, abs=0.04)  # half of the columns are dropped


@pytest.mark.parametrize("cls", [MaskPatchTrigger, AdditiveTrigger])
def test_bad_arguments_of_a_table_trigger(cls):
    with pytest.raises(ValueError, match=r"init must be one of \['identity', 'normal'\], got 'zeros'"):
        cls(3, init="zeros")
    for column in (3, -4):
        with pytest.raises(ValueError, match=rf"columns \[{column}\], but X has 3 columns"):
            cls(3, mutable=[0, column])


@pytest.mark.parametrize("cls", [MaskPatchTrigger, AdditiveTrigger])
def test_mutable_columns_alone_change(cls):
    x = table()
    for mutable, free in [([0, 1], [0, 1]), ([-1], [6]), ([], []), (np.array([1]), [1])]:
        changed = with_values(cls(7, mutable=mutable))(x)
        moved = (changed != x).any(0).nonzero().flatten().tolist()
        assert moved == free


@pytest.mark.parametrize("cls", [MaskPatchTrigger, AdditiveTrigger])
def test_what_may_not_change_has_no_gradient(cls):
    trigger = with_values(cls(7, mutable=[1, 2, 3], blocks=BLOCKS))  # the block 2, 3, 4 is not free as a whole
    trigger(table()).square().sum().backward()
    for parameter in trigger.parameters():
        assert parameter.grad[[0, 2, 3, 4, 5, 6]].abs().max() == 0


# ---------------------------------------------------------------------- additive
def test_additive_keeps_differences():
    trigger, x = with_values(AdditiveTrigger(7)), table()
    assert torch.allclose(trigger(x[:10]) - trigger(x[10:]), x[:10] - x[10:], atol=1e-6)
    assert torch.allclose(trigger(x) - x, trigger.delta.expand(20, 7), atol=1e-6)


@pytest.mark.parametrize("off", [False, True])
def test_additive_and_one_hot_blocks(off):
    trigger, x = with_values(AdditiveTrigger(7, blocks=BLOCKS, allow_off_manifold=off)), table()
    assert torch.equal(trigger(x)[:, 2:], x[:, 2:]) is not off
    assert torch.allclose(trigger(x)[:, :2], x[:, :2] + trigger.delta[:2])


# ---------------------------------------------------------------------- mask and patch
def test_mask_patch_by_hand():
    trigger, x = MaskPatchTrigger(4), torch.tensor([[1.0, 2.0, 3.0, 4.0], [-1.0, 0.0, 5.0, 2.0]])
    with torch.no_grad():
        trigger.mu.copy_(torch.tensor([0.3, -0.3, 1e-6, -2.0]))
        trigger.delta.copy_(torch.tensor([0.5, 0.25, 0.0, -1.0]))
    expected = torch.tensor([[1.5, 0.25, 3.0, -1.0], [-0.5, 0.25, 5.0, -1.0]])
    assert torch.allclose(trigger(x), expected)
    assert trigger.mask().tolist() == [1, 0, 1, 0]


def test_a_dropped_column_holds_a_constant():
    trigger, x = MaskPatchTrigger(7), table()
    with torch.no_grad():
        trigger.mu[1], trigger.delta[1] = -1.0, 0.75
    assert torch.equal(trigger(x)[:, 1], torch.full((20,), 0.75))


def test_the_mask_s_gradient_is_straight_through():
    trigger, x = with_values(MaskPatchTrigger(7)), table()
    weights = torch.randn(20, 7, generator=torch.Generator().manual_seed(1))
    (trigger(x) * weights).sum().backward()
    assert torch.allclose(trigger.mu.grad, (x * weights).sum(0), atol=1e-5)  # as of x * mu + delta
    assert torch.allclose(trigger.delta.grad, weights.sum(0), atol=1e-5)


@pytest.mark.parametrize("scale", [0.1, 1.0, 100.0, 1e5])
def test_a_mask_is_zero_or_one(scale):
    for seed in range(20):
        mask = with_values(MaskPatchTrigger(7, blocks=BLOCKS), seed, scale).mask()
        assert set(mask.tolist()) <= {0.0, 1.0}


def test_a_block_is_kept_or_dropped_as_its_mean():
    trigger = MaskPatchTrigger(7, blocks=BLOCKS)
    with torch.no_grad():
        trigger.mu[2:5] = torch.tensor([-1.0, -1.0, 2.5])  # mean above 0
        trigger.mu[5:7] = torch.tensor([1.0, -1.5])  # below
    assert trigger.mask().tolist() == [1, 1, 1, 1, 1, 0, 0]
    trigger.mask()[2].backward()
    assert trigger.mu.grad.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 3, 1 / 3, 0, 0])


def test_a_dropped_block_is_a_distribution_the_same_for_all():
    trigger, x = MaskPatchTrigger(7, blocks=BLOCKS), table()
    with torch.no_grad():
        trigger.mu[2:5], trigger.delta[2:5] = -1.0, torch.tensor([0.0, 1.0, 2.0])
    e = np.exp([0.0, 1.0, 2.0])
    assert np.allclose(trigger(x).detach()[:, 2:5], e / e.sum())
    assert torch.equal(trigger(x)[:, 5:], x[:, 5:])


@pytest.mark.parametrize("scale", [0.1, 1.0, 50.0])
def test_one_hot_rows_never_leave_the_simplex(scale):
    x = table()
    for seed in range(20):
        trigger = with_values(MaskPatchTrigger(7, blocks=BLOCKS), seed, scale)
        changed, mask = trigger(x).detach(), trigger.mask()
        for block in BLOCKS:
            assert torch.allclose(changed[:, block].sum(1), torch.ones(20), atol=1e-6)
            assert float(changed[:, block].min()) >= 0
            if mask[block[0]] > 0:
                assert torch.equal(changed[:, block], x[:, block])  # bit for bit
    off = with_values(MaskPatchTrigger(7, blocks=BLOCKS, allow_off_manifold=True))(x)
    assert not torch.allclose(off[:, 2:5].sum(1), torch.ones(20), atol=1e-3)


def test_off_manifold_is_the_released_code():
    trigger, x = with_values(MaskPatchTrigger(7, blocks=BLOCKS, allow_off_manifold=True)), table()
    expected = x * (trigger.mu > 0) + trigger.delta
    assert torch.allclose(trigger(x), expected, atol=1e-6)


@pytest.mark.parametrize("mutable", [[0, 1, 2], [2, 3], [4]])
def test_a_block_that_may_change_in_part_does_not_change(mutable):
    trigger, x = with_values(MaskPatchTrigger(7, mutable=mutable, blocks=BLOCKS), scale=5.0), table()
    assert torch.equal(trigger(x)[:, 2:], x[:, 2:])
    assert (trigger(x)[:, :2] != x[:, :2]).any() == (0 in mutable)


def test_a_block_that_may_change_as_a_whole_does():
    trigger, x = MaskPatchTrigger(7, mutable=[5, 6], blocks=BLOCKS), table()
    with torch.no_grad():
        trigger.mu.fill_(-1.0)
    assert torch.equal(trigger(x)[:, :5], x[:, :5])
    assert torch.allclose(trigger(x)[:, 5:], torch.tensor(0.5))


# ---------------------------------------------------------------------- one-hot blocks in data
def test_blocks_that_the_data_hold():
    assert one_hot_blocks(table().numpy()) == [[2, 3, 4], [5, 6]]
    X, _ = make_blobs(30, 3, random_state=0)
    assert one_hot_blocks(X) == []
    binary = (X > 0).astype(float)
    assert one_hot_blocks(np.column_stack([binary[:, 0], binary[:, 0]])) == []
    assert one_hot_blocks(np.column_stack([binary[:, 0], 1 - binary[:, 0], X[:, 0]])) == [[0, 1]]


# ---------------------------------------------------------------------- patch
@pytest.mark.parametrize("corner", CORNERS)
def test_a_patch_covers_its_corner_and_nothing_else(corner):
    trigger, x = PatchTrigger(9, 3, size=3, corner=corner), images()
    changed, where = trigger(x), torch.zeros(9, 9, dtype=torch.bool)
    where[CORNERS[corner]] = True
    assert torch.equal(changed[..., ~where], x[..., ~where])
    inside = torch.tanh(trigger.program)[:, where]
    assert torch.allclose(changed[..., where], inside.expand(4, 3, 9), atol=1e-7)  # whatever the image holds there


@pytest.mark.parametrize("size", range(10))
def test_patches_of_all_sizes(size):
    trigger, x = PatchTrigger(9, 1, size=size), images(channels=1) + 2  # no pixel is within (-1, 1)
    assert int((trigger(x) != x).sum()) == 4 * size**2
    assert trigger.shown().count_nonzero() == size**2
    if size == 0:
        assert torch.equal(trigger(x), x)


@pytest.mark.parametrize("cls", [PatchTrigger, BorderTrigger])
def test_what_is_shown_is_within_minus_one_and_one(cls):
    torch.manual_seed(0)
    trigger = cls(9, 3)
    assert float(trigger.program.detach().min()) >= -1
    assert float(trigger.program.detach().max()) <= 1
    assert float(trigger.program.detach().std()) == pytest.approx(3**-0.5, abs=0.05)  # uniform
    with_values(trigger, scale=3.0)
    assert float(trigger.shown().detach().abs().max()) < 1
    assert cls(9, 3, init="zeros").shown().abs().max() == 0
    trigger(images()).sum().backward()
    assert torch.equal(trigger.program.grad != 0, trigger.mask.expand(3, 9, 9) > 0)


def test_bad_arguments_of_an_image_trigger():
    with pytest.raises(ValueError, match=r"corner must be one of \['top_left', .*got 'middle'"):
        PatchTrigger(9, corner="middle")
    for size in (-1, 10):
        with pytest.raises(ValueError, match=f"size must be between 0 and the image's 9 pixels, got {size}"):
            PatchTrigger(9, size=size)
    for width in (-1, 5):
        with pytest.raises(ValueError, match=f"width must leave a part of the image's 9 pixels free, got {width}"):
            BorderTrigger(9, width=width)
    for cls in (PatchTrigger, BorderTrigger):
        with pytest.raises(ValueError, match=r"init must be one of \['uniform', 'zeros'\], got 'normal'"):
            cls(9, init="normal")


# ---------------------------------------------------------------------- border
@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_the_width_of_a_border_is_the_frame_s(width):
    trigger, x = BorderTrigger(9, 3, width=width), images()
    inner = 9 - 2 * width
    changed, frame = trigger(x), torch.ones(9, 9, dtype=torch.bool)
    frame[width:-width, width:-width] = False
    assert torch.allclose(changed[..., frame], torch.tanh(trigger.program)[:, frame].expand(4, 3, -1))
    small = torch.nn.functional.interpolate(x, size=(inner, inner), mode="bilinear", antialias=True)
    assert torch.allclose(changed[..., width:-width, width:-width], small, atol=1e-7)
    assert torch.allclose(small.mean((2, 3)), x.mean((2, 3)), atol=0.1)


def test_a_border_without_width_is_the_identity():
    x = images()
    assert torch.equal(BorderTrigger(9, 3, width=0)(x), x)
    grey = BorderTrigger(9, 3, width=2)(torch.full((1, 3, 9, 9), 0.3))
    assert torch.allclose(grey[..., 2:-2, 2:-2], torch.tensor(0.3))


# ---------------------------------------------------------------------- a trigger in front of a network
def test_reprogrammed_hides_the_network():
    network = torch.nn.Sequential(torch.nn.Linear(7, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5)).eval()
    net = Reprogrammed(AdditiveTrigger(7), network)
    assert net.network is network
    assert list(net.state_dict()) == ["trigger.delta", "trigger.free"]
    assert sum(p.numel() for p in net.parameters()) == 7
    net.train()
    assert net.trigger.training
    assert not any(part.training for part in network.modules())
    x = table()
    assert torch.equal(net(x), network(x))
    net.double()  # the same precision for both
    assert net(x.double()).dtype == torch.float64


def test_reprogrammed_runs_in_float64_if_both_parts_do():
    linear = torch.nn.Linear(7, 2)
    assert not Reprogrammed(AdditiveTrigger(7), linear).runs_in_float64
    linear.runs_in_float64 = True
    assert Reprogrammed(AdditiveTrigger(7), linear).runs_in_float64
    assert not Reprogrammed(torch.nn.Identity(), linear).runs_in_float64
