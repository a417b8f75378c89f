"""A training that is interrupted goes on where it stood: its state in a file, after each epoch.

What is written is all that the rest of the training depends on: networks, the loss's state, optimizers, random streams, the
history, and what the callbacks remember. With the same data and parameters a training that was killed and begun again ends
with the weights of one that was not.
"""

import hashlib
import inspect
import json
import re
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator
from torch import nn

import skfair
from skfair._lazy import is_lazy
from skfair.base._described import Reader, Writer
from skfair.base._files import read_file, write_file

__all__ = ["Checkpoint", "fingerprint"]

KIND = "skfair checkpoint"
IGNORED = ("checkpoint", "verbose", "device", "callbacks")  # parameters that do not change what is learned
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Checkpoint:
    """The state of one net's training, and the file it is kept in."""

    def __init__(self, net, rows):
        self.path, self.writes = Path(net.checkpoint), net.leads
        self.of = {
            "class": type(net).__name__,
            "params": _params(net),
            "data": fingerprint(rows),
            "seed": net.streams_.seed,
        }
        self.header, self.tensors = net.from_first(self._found)

    def _found(self):
        """What the file holds, if there is one."""
        if not self.path.exists():
            return None, {}
        header, tensors = read_file(self.path, KIND)
        self._compare(header)
        return header, tensors

    def _compare(self, header):
        """Raise unless the file is of this very training."""
        for name, own in self.of.items():
            other = header["of"].get(name)
            if other == own:
                continue
            if name == "params":
                keys = sorted(key for key in {**own, **other} if own.get(key) != other.get(key))
                what = ", ".join(f"{key}={other.get(key)} there, {own.get(key)} here" for key in keys)
            else:
                what = {"data": "other data", "seed": "another random_state"}.get(name, f"{other}, not {own}")
            raise ValueError(
                f"{self.path} is the state of another training ({what}): remove it, or give another checkpoint=."
            )

    @property
    def epochs_done(self):
        return 0 if self.header is None else len(self.header["history"])

    def between_epochs(self, net):
        """Go on where an earlier training stood, the first time; then write where this one stands."""
        if self.epochs_done:
            self.restore(net)
        else:
            self.write(net)

    def write(self, net):
        """Write the state between two epochs, in the first process if there are several."""
        if not self.writes:
            return
        writer = Writer()
        modules = {name: getattr(net, f"{name}_").state_dict() for name in net._modules + net._criteria}
        state = {
            "of": self.of, "version": skfair.__version__,
            "modules": {name: {k: writer.tensor(t) for k, t in found.items()} for name, found in modules.items()},
            "optimizers": [writer.value(getattr(net, f"{name}_").state_dict(), name) for name in net._optimizers],
            "streams": writer.streams(net.streams_), "global": writer.tensor(torch.get_rng_state()),
            "history": writer.value(list(net.history_), "history_"), "callbacks": _memories(net, writer),
        }  # fmt: skip
        if net.device_.type == "cuda":
            state["cuda"] = writer.tensor(torch.cuda.get_rng_state(net.device_))
        write_file(self.path, writer.tensors, KIND, state)

    def restore(self, net):
        """Let the net stand where it stood; inside its stream "network", before the next epoch."""
        header, reader = self.header, Reader(self.tensors)
        for name, found in header["modules"].items():
            getattr(net, f"{name}_").load_state_dict({k: self.tensors[t] for k, t in found.items()})
        for name, state in zip(net._optimizers, header["optimizers"], strict=True):
            getattr(net, f"{name}_").load_state_dict(reader.value(state))
        net.history_.extend(reader.value(header["history"]))
        reader.streams(net.streams_, header["streams"])
        memories = header["callbacks"]
        for name, callback in net.callbacks_:
            vars(callback).update(reader.value(memories[name]) if name in memories else {})
        torch.set_rng_state(self.tensors[header["global"]])
        if "cuda" in header and net.device_.type == "cuda":
            torch.cuda.set_rng_state(self.tensors[header["cuda"]], net.device_)
        self.header, self.tensors = None, {}

    def remove(self):
        if self.writes:
            self.path.unlink(missing_ok=True)


def _memories(net, writer):
    """What the callbacks remember, by name: not their parameters, nor functions, nor the bar."""
    found = {}
    for name, callback in net.callbacks_:
        given = inspect.signature(type(callback)).parameters
        own = {key: value for key, value in vars(callback).items() if key not in given and not callable(value)}
        try:
            found[name] = writer.value({} if name == "progress" else own, name)
        except TypeError:
            warnings.warn(
                f"the callback {name!r} is not part of the checkpoint: it begins anew.", UserWarning, stacklevel=2
            )
    return found


def _params(net):
    """The parameters as text, without the addresses of functions and the like: another process has others."""
    given = net.get_params(deep=False)
    return {
        name: ADDRESS.sub("", repr(value)) + _numbers(value)
        for name, value in sorted(given.items())
        if name not in IGNORED
    }


def _numbers(value):
    """A short hash of all arrays within a parameter, "" if there are none: two fitted models read alike."""
    digest, seen, found = hashlib.sha256(), {}, False
    left = [value]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one  # kept, so that no other gets its id
        if isinstance(one, nn.Module | BaseEstimator):
            one = one.state_dict() if isinstance(one, nn.Module) else vars(one)
        if isinstance(one, dict):
            left += [part for _, part in sorted(one.items(), key=lambda item: str(item[0]))]
        elif isinstance(one, list | tuple):
            left += one
        elif isinstance(one, np.ndarray | torch.Tensor):
            found = True
            _update(digest, one)
    return f" with the numbers {digest.hexdigest()[:8]}" if found else ""


def _update(digest, value):
    array = np.ascontiguousarray(value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value)
    digest.update(json.dumps([str(array.dtype), list(array.shape)]).encode())
    digest.update(str(array.tolist()).encode() if array.dtype.hasobject else array.data if array.size else b"")


def fingerprint(rows):
    """A hash of the rows that are trained on, and of all that belongs to them."""
    digest = hashlib.sha256()
    X = rows.X
    parts = [X.data, X.indices, X.indptr] if sp.issparse(X) else X.chunks() if is_lazy(X) else [X]
    for value in [*parts, *(rows.y[name] for name in sorted(rows.y))]:
        _update(digest, value)
    return digest.hexdigest()
