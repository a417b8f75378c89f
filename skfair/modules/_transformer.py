"""What the transformers share: layers, the debiased last one, and the ways to look into them."""

from typing import NamedTuple

import torch
from torch import nn

from skfair.modules._attention import Attention, DebiasedAttention
from skfair.modules._mlp import Dropout

__all__ = ["Look", "Tokens", "Transformer", "TransformerEncoder"]


class Tokens(NamedTuple):
    """Rows as tokens: what an encoder makes of its input before its first layer.

    Attributes
    ----------
    tokens : Tensor of shape (n, N, d)
        The classification token first.
    mask : bool Tensor of shape (n, N) or None
        False at padding; None: all tokens are there.
    """

    tokens: torch.Tensor
    mask: torch.Tensor | None = None


class Look(NamedTuple):
    """What a network answers, and where its last layer looks.

    Attributes
    ----------
    output : Tensor of shape (n, K)
    weights : Tensor of shape (n, N)
        Attention of the classification token, mean over the heads.
    values : Tensor of shape (n, N, d)
        The last layer's values, heads side by side.
    mask : bool Tensor of shape (n, N) or None
        False at padding; None: all tokens are there.
    """

    output: torch.Tensor
    weights: torch.Tensor
    values: torch.Tensor
    mask: torch.Tensor | None


class Layer(nn.Module):
    """Pre-norm residual layer: attention, then two linear layers with GELU between them."""

    def __init__(self, attention, d_model, ffn_ratio, dropout):
        super().__init__()
        hidden = max(1, round(ffn_ratio * d_model))
        self.norm, self.attention = nn.LayerNorm(d_model), attention
        self.ffn = nn.Sequential(
            nn.LayerNorm(d_model), nn.Linear(d_model, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, d_model)
        )
        self.dropout = Dropout(dropout)

    def forward(self, x, mask=None):
        return self.after(x, self.attention(self.norm(x), mask))

    def after(self, x, attended):
        """The layer's output, for its input and what its attention makes of that."""
        x = x + self.dropout(attended)
        return x + self.dropout(self.ffn(x))


class TransformerEncoder(nn.Module):
    """Tokens, layers, and the classification token after the last of them, (n, ...) to (n, d).

    Parameters
    ----------
    embed : torch.nn.Module
        From inputs to ``Tokens``, with ``n_positions``, the number of tokens.
    d_model, n_layers, n_heads : int
        Width of the tokens, number of layers, number of heads in each.
    ffn_ratio : float
        Hidden units between two layers of attention, relative to ``d_model``.
    dropout : float
        Share of what is left out in training.
    debiased : bool or dict
        Whether the last layer is a :class:`DebiasedAttention`; a dict: with these of its parameters.
    """

    def __init__(self, embed, d_model, n_layers, n_heads, ffn_ratio, dropout, debiased=False):
        super().__init__()
        if n_layers < 1:
            raise ValueError(f"n_layers must be at least 1, got {n_layers}.")
        options = {} if debiased is True else debiased
        if options is not False and n_layers < 2 and not getattr(embed, "contextual", False):
            raise ValueError(
                f"n_layers must be at least 2 with debiased attention, got {n_layers}: before the first layer the "
                "classification token is the same in all rows and has no spread."
            )
        self.embed = embed
        kinds = [Attention(d_model, n_heads) for _ in range(n_layers - 1)]
        if options is False:
            kinds.append(Attention(d_model, n_heads))
        else:
            kinds.append(DebiasedAttention(d_model, embed.n_positions, n_heads, **options))
        self.layers = nn.ModuleList(Layer(kind, d_model, ffn_ratio, dropout) for kind in kinds)
        self.norm = nn.LayerNorm(d_model)

    def before_last(self, x) -> Tokens:
        """What the last layer is given."""
        tokens, mask = x if isinstance(x, Tokens) else self.embed(x)
        for layer in self.layers[:-1]:
            tokens = layer(tokens, mask)
        return Tokens(tokens, mask)

    def forward(self, x):
        tokens, mask = self.before_last(x)
        return self._token(tokens, mask, self.last_heads(tokens, mask))

    def last_heads(self, tokens, mask):
        """Queries, keys and values of the last layer, as they are compared and mixed."""
        last = self.layers[-1]
        return last.attention.heads(last.norm(tokens), mask)

    def _token(self, tokens, mask, heads):
        """The classification token after the last layer; that layer's other tokens are read by nobody."""
        last, first = self.layers[-1], slice(0, 1)
        return self.norm(last.after(tokens[:, first], last.attention.mix(heads, mask, first))[:, 0])

    def look(self, x):
        """The classification token, the attention that it pays (n, N), the values (n, N, d) and the mask."""
        tokens, mask = self.before_last(x)
        heads = self.last_heads(tokens, mask)
        weights = self.layers[-1].attention.weights(heads, mask, slice(0, 1))[:, :, 0].mean(1)
        return self._token(tokens, mask, heads), weights, heads.value.transpose(1, 2).flatten(2), mask


class Transformer(nn.Module):
    """Base of the transformers: an encoder that gives the classification token, and a head of two linear layers.

    Parameters
    ----------
    encoder : torch.nn.Module
        A :class:`TransformerEncoder`, or a module with the same methods.
    d_model : int
        Width of its tokens.
    out_features : int
        Number of logits.
    dropout : float
        Share of the head's hidden units that is left out in training.
    """

    stacks = True  # whether torch.vmap runs it

    def __init__(self, encoder, d_model, out_features, dropout):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.Linear(d_model, d_model), nn.ReLU(), Dropout(dropout), nn.Linear(d_model, out_features)
        )
        self.representation_features = d_model

    @property
    def attention(self):
        """The last layer's attention."""
        return self.encoder.layers[-1].attention

    def forward(self, x) -> torch.Tensor:
        return self.head(self.encoder(x))

    def look(self, x) -> Look:
        """The output, and where the last layer looks."""
        token, *seen = self.encoder.look(x)
        return Look(self.head(token), *seen)

    def last_input(self, x) -> Tokens:
        """What the last layer's attention is given."""
        tokens, mask = self.encoder.before_last(x)
        return Tokens(self.encoder.layers[-1].norm(tokens), mask)

    def recalibrate(self, batches):
        """Replace the running statistics of the last layer by those of all these inputs, in evaluation mode."""
        training = self.training
        self.eval()
        with torch.no_grad():
            self.attention.recalibrate(self.last_input(x) for x in batches)
        self.train(training)
