"""Triggers among the tokens of a transformer: words after a text, tokens after the columns of a table."""

import torch
from torch import nn

from skfair.functional import project_simplex
from skfair.modules._transformer import Tokens

__all__ = ["TokenTrigger", "WordTrigger"]


class _Appended(nn.Module):
    """What both share: the frozen network's own embedding, which is no part of the trigger for torch."""

    def __init__(self, embed):
        super().__init__()
        self.hidden = [embed]

    @property
    def embed(self):
        return self.hidden[0]

    def bind(self, embed):
        """Stand in front of another network."""
        self.hidden = [embed]


class WordTrigger(_Appended):
    r"""Words that are put after each text, before its last token: :math:`\delta_i = v_i E`, with E the frozen embeddings.

    Each :math:`v_i` is a point of the simplex over the vocabulary (``mode="soft"``) or one of its corners (``"hard"``).
    A text without room loses its last words.

    Parameters
    ----------
    embed : torch.nn.Module
        The frozen network's embedding, with ``words``, ``place`` and ``table``. An estimator fills it in.
    n_words : int, default=5
        0 changes nothing.
    mode : {"soft", "hard"}, default="soft"
    vocabulary_size : int, optional
        V: only the first so many words are chosen among; by default all that the network has embeddings for. An estimator
        fills in how many its tokenizer knows.

    Notes
    -----
    The numbers that are trained are not put back on the simplex after each step: their projection is what is used, and
    its gradient is passed straight through (dual averaging, where the paper has projected descent).

    NOTE[DIFF] The released code puts the words before [CLS], so that the first of them is read as the classification token.

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import TextTransformer, Tokens, WordTrigger
    >>> net = TextTransformer(8, 2, vocabulary_size=50, d_model=16, n_heads=4)
    >>> trigger = WordTrigger(net.encoder.embed, n_words=2)
    >>> tokens, mask = trigger(torch.tensor([[2, 7, 8, 3, 0, 0, 0, 0]]))
    >>> mask.sum().item(), net(Tokens(tokens, mask)).shape
    (6, torch.Size([1, 2]))
    """

    def __init__(self, embed, n_words=5, mode="soft", vocabulary_size=None):
        super().__init__(embed)
        if mode not in ("soft", "hard"):
            raise ValueError(f"mode must be one of ['hard', 'soft'], got {mode!r}.")
        if not 0 <= n_words <= embed.n_positions - 2:
            raise ValueError(f"n_words must be between 0 and {embed.n_positions - 2}, got {n_words}.")
        if not hasattr(embed, "words"):
            raise ValueError("trigger words need a network for texts, such as skfair.modules.TextTransformer.")
        self.mode = mode
        size = vocabulary_size or embed.vocabulary_size
        self.v = nn.Parameter(nn.functional.one_hot(torch.randint(size, (n_words,)), size).float())

    def choice(self) -> torch.Tensor:
        """The distributions over the vocabulary, (n_words, V)."""
        point = project_simplex(self.v.detach())
        if self.mode == "hard":
            places = torch.arange(self.v.shape[-1], device=self.v.device)
            point = (places == point.argmax(-1, keepdim=True)).to(self.v.dtype)
        return point + self.v - self.v.detach()

    def word_ids(self) -> torch.Tensor:
        """The id with the largest share in each word, (n_words,)."""
        return self.choice().argmax(-1)

    def forward(self, x: torch.Tensor) -> Tokens:
        return self.insert(*self.embed.words(x))

    def insert(self, words, mask) -> Tokens:
        """The same for words that are embedded already, (n, N, d) and (n, N)."""
        n, length = mask.shape
        k = len(self.v)
        delta = (self.choice() @ self.embed.table[: self.v.shape[-1]].detach()).expand(n, -1, -1)
        count = mask.sum(1, keepdim=True)
        kept = (count - 1).clamp(max=length - 1 - k).clamp_min(0)  # tokens before the trigger
        place = torch.arange(length, device=words.device).expand(n, -1)
        source = torch.where(place < kept, place, length + place - kept)  # the trigger's words stand behind the text's
        source = torch.where(place == kept + k, (count - 1).clamp_min(0), source)
        filled = place <= kept + k
        source = torch.where(filled, source, place)
        every = torch.cat([words, delta.to(words.dtype)], 1)
        return self.embed.place(every.gather(1, source.unsqueeze(-1).expand(-1, -1, words.shape[-1])), filled)


class TokenTrigger(_Appended):
    """Tokens that are put behind those of a row's columns, for networks such as :class:`~skfair.modules.FTTransformer`.

    Parameters
    ----------
    embed : torch.nn.Module
        The frozen network's embedding, from rows to tokens. An estimator fills it in.
    n_tokens : int, default=4
        0 changes nothing.

    Notes
    -----
    Attention pays them some weight from the first step on, so that a trigger at its start is no identity.

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import FTTransformer, TokenTrigger
    >>> net = FTTransformer(3, 2, d_model=16, n_heads=4)
    >>> net(TokenTrigger(net.encoder.embed, n_tokens=2)(torch.zeros(5, 3))).shape
    torch.Size([5, 2])
    """

    runs_in_float64 = True

    def __init__(self, embed, n_tokens=4):
        super().__init__(embed)
        if n_tokens < 0:
            raise ValueError(f"n_tokens must be >= 0, got {n_tokens}.")
        width = next(p.shape[-1] for p in embed.parameters())
        self.delta = nn.Parameter(0.02 * torch.randn(n_tokens, width))

    def forward(self, x: torch.Tensor) -> Tokens:
        tokens, mask = self.embed(x)
        more = self.delta.expand(tokens.shape[0], -1, -1)
        if mask is not None:
            mask = torch.cat([mask, torch.ones_like(mask[:, :1]).expand(-1, len(self.delta))], 1)
        return Tokens(torch.cat([tokens, more], 1), mask)
