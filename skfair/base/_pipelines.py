"""Estimators that hold nets, such as Pipelines: the nets as JSON and tensors, all else through skops. No pickle."""

import contextlib
import copy
import importlib
import zipfile

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

from skfair.base._net import BaseNet
from skfair.base._skorch import SkorchNet
from skfair.preprocessing import TokenEncoder

__all__ = ["read_estimator", "write_estimator"]

STEPS = ("skfair.preprocessing._columns", "skfair.preprocessing._tabular")  # all that they define is trusted
SAFE = {"numpy.dtype", "sklearn.utils._bunch.Bunch", f"{__name__}.Slot"}


class Slot:
    """Stands for a net in what skops writes."""

    def __init__(self, number):
        self.number = number


def write_estimator(estimator, writer):
    """Describe an estimator; its nets' tensors, and skops' bytes as one, go to the writer."""
    slots, nets = {}, []

    def out(value):
        if not isinstance(value, BaseNet | TokenEncoder):
            return value
        if id(value) not in slots:
            slots[id(value)] = Slot(len(nets))
            nets.append(writer.value(value, type(value).__name__))
        return slots[id(value)]

    if hasattr(estimator, "cv_results_"):
        best = "best_estimator_" if hasattr(estimator, "best_estimator_") else "estimator_"
        raise TypeError(f"a {type(estimator).__name__} is not saved as a whole: save what it found, its {best}.")
    skops, rest = _skops(), exchanged(estimator, out)
    try:
        data = skops.dumps(rest, compression=zipfile.ZIP_DEFLATED)
        if local := [name for name in skops.get_untrusted_types(data=data) if "<" in name]:
            raise TypeError(f"{local}, which no import finds.")
    except (TypeError, AttributeError, ValueError, NotImplementedError) as error:
        raise TypeError(f"{type(estimator).__name__} holds what skops cannot write without pickle: {error}") from error
    return {"skops": writer.tensor(torch.from_numpy(np.frombuffer(data, np.uint8).copy())), "nets": nets}


def read_estimator(described, reader, trusted):
    """The estimator that was described."""
    skops, data = _skops(), reader.tensors[described["skops"]].numpy().tobytes()
    given = {name if isinstance(name, str) else f"{name.__module__}.{name.__qualname__}" for name in trusted}
    try:
        names = skops.get_untrusted_types(data=data)
    except Exception as error:  # whatever a damaged file makes of zipfile, json and skops
        raise ValueError(f"its part for skops is damaged: {error}") from error
    unknown = [name for name in names if name not in given and not _is_ours(name)]
    if unknown:
        raise ValueError(f"it holds types that are not trusted: if you know them, pass load(..., trusted={unknown}).")
    nets = [reader.value(value) for value in described["nets"]]
    try:
        rest = skops.loads(data, trusted=names)
    except Exception as error:
        raise ValueError(f"its part for skops is damaged: {error}") from error
    estimator = exchanged(rest, lambda value: nets[value.number] if isinstance(value, Slot) else value)
    if not isinstance(estimator, BaseEstimator):
        raise ValueError(f"it holds a {type(estimator).__name__}, which is no estimator.")
    return estimator


def exchanged(value, swap):
    """The value with whatever it holds put through ``swap``; what holds something that changes is copied."""
    swapped = swap(value)
    if swapped is not value:
        return swapped
    if isinstance(value, BaseEstimator):
        own = exchanged(vars(value), swap)
        if own is vars(value):
            return value
        twin = type(value).__new__(type(value))
        vars(twin).update(own)
        return twin
    if type(value) in (list, tuple):
        parts = [exchanged(part, swap) for part in value]
        return type(value)(parts) if any(a is not b for a, b in zip(parts, value)) else value
    if type(value) in (dict, Bunch):
        changes = {key: new for key, old in value.items() if (new := exchanged(old, swap)) is not old}
        twin = copy.copy(value) if changes else value
        twin.update(changes)
        return twin
    return value


def _skops():
    try:
        import skops.io
    except ImportError as error:
        raise ImportError("estimators around nets are saved by skops: pip install 'skfair[report]'.") from error
    return skops.io


def _is_ours(name):
    """Whether a name is one of our steps or estimators; nets are no part of what skops reads."""
    module, _, path = name.rpartition(".")
    if name in SAFE or module.split(".")[0] != "skfair":
        return name in SAFE
    found = None
    with contextlib.suppress(ImportError):
        found = getattr(importlib.import_module(module), path, None)
    if getattr(found, "__module__", None) != module or getattr(found, "__qualname__", None) != path:
        return False
    return (
        module in STEPS
        or isinstance(found, type)
        and issubclass(found, BaseEstimator)
        and not issubclass(found, SkorchNet)
    )
