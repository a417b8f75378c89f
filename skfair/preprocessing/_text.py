"""Texts as rows of token ids."""

import numbers
from collections import Counter

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

__all__ = ["TokenEncoder", "texts_of"]

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")  # ids 0 to 3 of a tokenizer that is trained here


class TokenEncoder(TransformerMixin, BaseEstimator):
    """Texts as token ids: [CLS], the words of the text, [SEP], then padding.

    The tokenizer is trained on the texts of ``fit`` (byte pair encoding, by the package ``tokenizers``), or is the one of a
    pretrained model (by ``transformers``). An estimator of skfair that is given texts uses one of these by itself; it is of
    use by itself as a step of a pipeline.

    ============  ======  =========  ==========
    needs groups  at fit  to select  at predict
    ============  ======  =========  ==========
    TokenEncoder  no      no         no
    ============  ======  =========  ==========

    Parameters
    ----------
    vocabulary_size : int, default=8192
        Largest number of different tokens.
    max_length : int, default=128
        Largest number of tokens of a text, [CLS] and [SEP] among them; what is longer is cut.
    min_frequency : int, default=2
        Rarer pieces of words get no token of their own.
    lowercase : bool, default=True
    pretrained : str or path, optional
        Folder or name of a model of ``transformers``, whose tokenizer is taken as it is; ``vocabulary_size``,
        ``min_frequency`` and ``lowercase`` then have no say.

    Attributes
    ----------
    tokenizer_ : tokenizers.Tokenizer
    length_ : int
        Number of ids of a row: that of the longest text in ``fit``, rounded up to a multiple of 8, at most ``max_length``.
    pad_id_ : int
        0 if the tokenizer was trained here.

    Raises
    ------
    ImportError
        If the package is missing, with the pip line.
    ValueError
        If X holds anything but texts, or a parameter is out of its range.

    Examples
    --------
    >>> from skfair.preprocessing import TokenEncoder
    >>> encoder = TokenEncoder(min_frequency=1).fit(["the cat sat", "the dog sat down"])
    >>> ids = encoder.transform(["the cat"])
    >>> ids.shape, ids[0, :5].tolist()[0], encoder.tokens(ids)[0]
    ((1, 8), 2, ['[CLS]', 'the', 'cat', '[SEP]'])
    """

    def __init__(self, *, vocabulary_size=8192, max_length=128, min_frequency=2, lowercase=True, pretrained=None):
        self.vocabulary_size = vocabulary_size
        self.max_length = max_length
        self.min_frequency = min_frequency
        self.lowercase = lowercase
        self.pretrained = pretrained

    def fit(self, X, y=None):
        """Train the tokenizer, or load it.

        Parameters
        ----------
        X : sequence of str of length n
            A list, an array or a Series.
        y : ignored

        Returns
        -------
        self
        """
        for name, low in (("vocabulary_size", 8), ("max_length", 4), ("min_frequency", 1)):
            value = getattr(self, name)
            if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < low:
                raise ValueError(f"{name} must be an integer >= {low}, got {value!r}.")
        if not isinstance(self.lowercase, bool | np.bool_):
            raise ValueError(f"lowercase must be True or False, got {self.lowercase!r}.")
        texts = self._texts(X)
        make = _trained if self.pretrained is None else _loaded
        self.tokenizer_ = make(self, texts)
        self.pad_id_ = int(self.tokenizer_.padding["pad_id"])
        longest = max(len(found.ids) for found in self._encoded(texts))
        self.length_ = min(self.max_length, -(-longest // 8) * 8)
        return self

    def transform(self, X):
        """Ids of the texts.

        Parameters
        ----------
        X : sequence of str of length n

        Returns
        -------
        int64 array of shape (n, ``length_``)
        """
        check_is_fitted(self)
        found = self._encoded(self._texts(X))
        ids = np.full((len(found), self.length_), self.pad_id_, dtype=np.int64)
        for row, own in zip(ids, found):
            kept = [i for i in own.ids if i != self.pad_id_]  # "[PAD]" inside a text is none
            if len(kept) > self.length_:  # longer than any text of fit: cut, but closed by its last token
                kept = [*kept[: self.length_ - 1], kept[-1]]
            row[: len(kept)] = kept
        return ids

    def tokens(self, ids):
        """The tokens of rows of ids, padding left out.

        Parameters
        ----------
        ids : array of shape (n, N)

        Returns
        -------
        list of lists of str
        """
        check_is_fitted(self)
        return [[self.tokenizer_.id_to_token(int(i)) for i in row if int(i) != self.pad_id_] for row in np.asarray(ids)]

    def get_feature_names_out(self, input_features=None):
        """Names of the columns: token0, token1, ..."""
        check_is_fitted(self)
        return np.array([f"token{place}" for place in range(self.length_)], dtype=object)

    def _encoded(self, texts):
        self.tokenizer_.no_padding()
        self.tokenizer_.enable_truncation(self.max_length)
        return self.tokenizer_.encode_batch(texts)

    def _texts(self, X):
        texts = texts_of(X)
        if texts is None:
            raise ValueError(f"TokenEncoder needs a sequence of texts (str), got {type(X).__name__}: {str(X)[:60]!r}.")
        return texts

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False, True
        return tags


def texts_of(X):
    """X as a list of str if it is a sequence of texts or one column of them; None if it is something else.

    Raises
    ------
    ValueError
        If some rows are texts and others are not.
    """
    if hasattr(X, "columns") and len(X.columns) == 1:
        X = X[X.columns[0]]
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] == 1 and X.dtype.kind in "OUT":
        X = X[:, 0]
    one_axis = isinstance(X, list | tuple) or (hasattr(X, "shape") and len(X.shape) == 1 and not hasattr(X, "columns"))
    if not one_axis or getattr(getattr(X, "dtype", None), "kind", "O") in "iufcb":
        return None
    values = X.to_list() if hasattr(X, "to_list") else list(X)
    is_text = [isinstance(value, str) for value in values]
    if not any(is_text):
        return None
    if not all(is_text):
        row = is_text.index(False)
        raise ValueError(f"X holds texts, but row {row} is {values[row]!r}: replace what is missing by a text, '' say.")
    return [str(value).encode(errors="replace").decode() for value in values]  # half a surrogate pair is no character


def _trained(encoder, texts):
    try:
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    except ImportError as error:
        raise ImportError("Texts need the package tokenizers: pip install 'skfair[text]'.") from error
    # WordPiece and unigram trainers give other ids in each run: the order of equals is random there
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[1]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=bool(encoder.lowercase))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = _letters(tokenizer, texts, encoder.vocabulary_size - len(SPECIAL))
    trainer = trainers.BpeTrainer(
        vocab_size=encoder.vocabulary_size,
        min_frequency=encoder.min_frequency,
        special_tokens=list(SPECIAL),
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    marks = [(SPECIAL[2], 2), (SPECIAL[3], 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    tokenizer.enable_padding(pad_id=0, pad_token=SPECIAL[0])
    return tokenizer


def _letters(tokenizer, texts, most):
    """The most frequent characters, at most half of the vocabulary; equals in their own order."""
    counts = Counter()
    for text in texts:
        counts.update(tokenizer.normalizer.normalize_str(text))
    ranked = sorted((letter for letter in counts if not letter.isspace()), key=lambda letter: (-counts[letter], letter))
    return ranked[: max(1, most // 2)]


def _loaded(encoder, texts):
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise ImportError("Pretrained models need the package transformers: pip install 'skfair[text]'.") from error
    found = AutoTokenizer.from_pretrained(str(encoder.pretrained))
    tokenizer = type(found.backend_tokenizer).from_str(found.backend_tokenizer.to_str())
    tokenizer.enable_padding(pad_id=found.pad_token_id, pad_token=found.pad_token)
    return tokenizer
