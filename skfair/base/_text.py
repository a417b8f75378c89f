"""Texts as input: a net that is given a sequence of strings turns them into token ids before anything else is done."""

import inspect

import numpy as np
import torch

from skfair._lazy import is_lazy
from skfair.preprocessing._text import TokenEncoder, texts_of

__all__ = ["as_token_ids", "check_token_ids", "encoder_for", "takes"]


def takes(component, name):
    """Whether the constructor of a module has a parameter of this name.

    Parameters
    ----------
    component : class, factory or instance
        Of a module.
    name : str
        Of the parameter.

    Returns
    -------
    bool
    """
    return callable(component) and name in inspect.signature(component).parameters


def as_token_ids(net, X, *, reset):
    """X itself or, if it is a sequence of texts, their token ids (n, N).

    With ``reset`` the net's ``text_encoder_`` is fitted, or forgotten.
    """
    texts = texts_of(X)
    if reset:
        net.reads_text_ = texts is not None
    if texts is None:
        if reset:
            vars(net).pop("text_encoder_", None)
        return X
    if reset:
        net.text_encoder_ = net.fit_text_encoder(texts)
    if not hasattr(net, "text_encoder_"):
        raise ValueError(f"X holds texts, but {type(net).__name__} was fitted on numbers.")
    return net.text_encoder_.transform(texts)


def encoder_for(module, given):
    """The ``TokenEncoder`` for a module: its vocabulary, its longest row, or that of the pretrained model it holds.

    Parameters
    ----------
    module : class, factory or instance
    given : dict
        Arguments with which it is to be built.
    """
    names = ("vocabulary_size", "max_length", "pretrained")
    if isinstance(module, type) or not hasattr(module, "max_length"):
        known = inspect.signature(module).parameters if callable(module) else {}
        found = {name: given.get(name, known[name].default) for name in names if name in known}
    else:
        found = {name: getattr(module, name) for name in names if hasattr(module, name)}
    if "max_length" not in found:
        raise ValueError(
            f"X holds texts, but module={getattr(module, '__name__', module)!r} reads numbers: set "
            "module=skfair.modules.TextTransformer, or put a vectoriser before the net: TfidfVectorizer for texts, "
            "skfair.preprocessing.make_tabular_preprocessor() for categories."
        )
    return TokenEncoder(**found)


def check_token_ids(net, ids):
    """Raise a ValueError if the net's module reads token ids and these are none that it knows."""
    module = net.module_class()
    if isinstance(module, torch.nn.Module) or not takes(module, "vocabulary_size"):
        return
    default = inspect.signature(module).parameters["vocabulary_size"].default
    size = net.get_params_for("module").get("vocabulary_size", default)
    parts = ids.chunks() if is_lazy(ids) else [ids.toarray() if hasattr(ids, "toarray") else ids]
    for ids in map(np.asarray, parts):
        bad = (ids < 0) | (ids >= size) | (ids != np.floor(ids))
        if not bad.any():
            continue
        name = getattr(getattr(module, "func", module), "__name__", module)
        raise ValueError(
            f"{name} reads token ids, whole numbers from 0 to {size - 1}, but X holds {ids[bad].flat[0]:g}: give texts, put "
            "a skfair.preprocessing.TokenEncoder before the net, or set module__vocabulary_size."
        )
