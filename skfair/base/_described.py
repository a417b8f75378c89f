"""Fitted nets as JSON and tensors, and back."""

import contextlib
import functools
import importlib
import inspect
import json
import warnings

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from skfair._random import Streams
from skfair._sensitive import SensitiveEncoder
from skfair.base._loop import _State
from skfair.base._net import BaseNet
from skfair.preprocessing import TokenEncoder

__all__ = ["Reader", "Writer"]

# attributes that are made anew from the parameters, or that belong to a training that is over
REBUILT = {
    "callbacks_", "criterion_", "cuda_dependent_attributes_", "frozen_", "history_", "init_context_", "initialized_",
    "interrupted_", "prefixes_", "streams_", "state_", "virtual_params_",
}  # fmt: skip
PACKAGES = ("skfair", "torch", "sklearn", "skorch")  # whose classes a file may name
KINDS = (BaseEstimator, nn.Module, torch.optim.Optimizer)
PLAIN = (str, bool, int, float, type(None))


# ---------------------------------------------------------------------- objects -> JSON and tensors
class Writer:
    """Describes nets, and collects their tensors by name."""

    def __init__(self):
        self.tensors = {}

    def net(self, net):
        fitted = {}
        for name, value in vars(net).items():
            own = name.endswith("_") and not name.startswith("__") and name not in REBUILT
            if own and not isinstance(value, nn.Module | torch.optim.Optimizer):
                self.attribute(net, name, value, fitted)
        modules = {name: getattr(net, f"{name}_").state_dict() for name in net._modules + net._criteria}
        modules["state"] = net.state_.state_dict()
        given = {
            name: self.value(value, f"{type(net).__name__}({name}=...)")
            for name, value in net.get_params(deep=False).items()
            if name not in ("callbacks", "verbose")
        }
        return {
            "class": _name(type(net)), "params": given, "fitted": fitted, "streams": self.streams(net.streams_),
            "modules": {name: {key: self.tensor(t) for key, t in found.items()} for name, found in modules.items()},
            "history": self.value(list(net.history_), "history_"),
        }  # fmt: skip

    def attribute(self, net, name, value, fitted):
        try:
            fitted[name] = self.value(value, f"{type(net).__name__}.{name}")
        except TypeError as error:
            if name not in net.only_in_training:
                raise
            warnings.warn(f"{error} It is left out: predictions do not need it.", UserWarning, stacklevel=6)

    def tensor(self, value):
        key = str(len(self.tensors))
        self.tensors[key] = value.detach().cpu().contiguous().clone()
        return key

    def streams(self, streams):
        states = {name: self.tensor(cpu) for name, (cpu, _) in streams._states.items()}
        generators = {name: _plain(g.bit_generator.state) for name, g in streams._generators.items()}
        return {"seed": streams.seed, "states": states, "generators": generators}

    def value(self, value, where):
        if isinstance(value, PLAIN):
            return value
        for kind, describe in self.described():
            if isinstance(value, kind):
                return describe(value, where)
        if (isinstance(value, type) or inspect.isfunction(value)) and "<" not in value.__qualname__:
            return {"name": _name(value)}
        kind = getattr(value, "__qualname__", type(value).__name__)
        raise TypeError(
            f"{where} holds {kind}, which cannot be saved without pickle: give numbers, text, arrays, "
            "estimators or classes (a module as its class with module__* parameters, not as an instance)."
        )

    def described(self):
        return [
            (BaseNet, lambda v, where: {"net": self.net(v)} if v.initialized_ else self.estimator(v, where)),
            (nn.Module, self.refuse),
            (np.generic, lambda v, where: {"scalar": v.item(), "dtype": v.dtype.str}),
            (np.ndarray, self.array),
            (torch.Tensor, lambda v, where: {"tensor": self.tensor(v)}),
            (tuple, lambda v, where: {"tuple": [self.value(x, where) for x in v]}),
            (list, lambda v, where: [self.value(x, where) for x in v]),
            (range, lambda v, where: {"range": [v.start, v.stop, v.step]}),
            (slice, lambda v, where: {"slice": [v.start, v.stop, v.step]}),
            (dict, lambda v, where: {"dict": [[self.value(k, where), self.value(x, where)] for k, x in v.items()]}),
            (functools.partial, self.partial),
            (SensitiveEncoder, lambda v, where: {"encoder": self.value(vars(v), where)}),
            (TokenEncoder, self.tokenizer),
            (BaseEstimator, self.estimator),
        ]

    def refuse(self, value, where):
        raise TypeError(f"{where} is an instance of {type(value).__name__}: only a net given as a class can be saved.")

    def array(self, value, where):
        if value.dtype.kind in "biuf":
            return {"array": self.tensor(torch.from_numpy(np.ascontiguousarray(value))), "shape": list(value.shape)}
        items = [self.value(x, where) for x in value.ravel().tolist()]
        return {
            "array of": items,
            "dtype": "O" if value.dtype.kind == "O" else value.dtype.str,
            "shape": list(value.shape),
        }

    def partial(self, value, where):
        return {"partial": self.value(value.func, where), "args": self.value(value.args, where),
                "keywords": self.value(value.keywords, where)}  # fmt: skip

    def tokenizer(self, value, where):
        own = {k: v.to_str() if k == "tokenizer_" else self.value(v, where) for k, v in vars(value).items()}
        return {"token encoder": {"dict": list(own.items())}}

    def estimator(self, value, where):
        """An unfitted estimator; a fitted one of another library is more than its parameters."""
        if any(name.endswith("_") and not name.startswith("_") for name in vars(value)):
            raise TypeError(f"{where} holds a fitted {type(value).__name__}, which cannot be saved without pickle.")
        return {"estimator": _name(type(value)), "params": self.value(value.get_params(deep=False), where)}


def _name(value):
    return f"{value.__module__}:{value.__qualname__}"


def _plain(state):
    return json.loads(json.dumps(state))


# ---------------------------------------------------------------------- and back
class Reader:
    """Makes nets of their descriptions."""

    def __init__(self, tensors, trusted=(), device=None):
        self.tensors = tensors
        self.trusted = {_name(value): value for value in trusted if not isinstance(value, str)}
        self.device = device

    def net(self, described):
        kind = self.known(described["class"])
        if not issubclass(kind, BaseNet):
            raise ValueError(f"the file describes a {kind.__name__}, which is no net of skfair.")
        params = {name: self.value(value) for name, value in described["params"].items()}
        net = kind(**{**params, **({} if self.device is None else {"device": self.device})})
        vars(net).update({name: self.value(value) for name, value in described["fitted"].items()})
        net.streams_ = Streams(described["streams"]["seed"], net.device_)
        self.networks(net, described["modules"])
        self.streams(net.streams_, described["streams"])
        net.history_.extend(self.value(described["history"]))
        return net

    def networks(self, net, modules):
        """Build the networks from the parameters, then put the weights in."""
        net.restore()
        with net.streams_("network"):
            net.initialize()
        state = _State({name: self.tensors[key] for name, key in modules["state"].items()})
        with net._current_init_context("criterion"):
            net.state_ = state.to(net.device_)
        for name in net._modules + net._criteria:
            if name != "state":
                getattr(net, f"{name}_").load_state_dict({k: self.tensors[t] for k, t in modules[name].items()})
        net._set_training(False)

    def streams(self, streams, described):
        streams._states = {name: (self.tensors[key], None) for name, key in described["states"].items()}
        for name, state in described["generators"].items():
            streams.numpy(name).bit_generator.state = state

    def known(self, name):
        """The class or function of that name, if its package or the caller vouches for it."""
        if name in self.trusted:
            return self.trusted[name]
        module, _, path = name.partition(":")
        found = None
        if module.split(".")[0] in PACKAGES and "." not in path:
            with contextlib.suppress(ImportError):
                found = getattr(importlib.import_module(module), path, None)
        if not (isinstance(found, type) and issubclass(found, KINDS) and _name(found) == name):
            short = path.split(".")[-1]
            raise ValueError(f"the file names {name!r}: if you know it, pass load(..., trusted=[{short}]).")
        return found

    def value(self, value):
        if isinstance(value, PLAIN):
            return value
        if isinstance(value, list):
            return [self.value(x) for x in value]
        kind = next(iter(value), "")
        return getattr(self, f"_{kind.replace(' ', '_')}")(value)

    def _net(self, value):
        return self.net(value["net"])

    def _scalar(self, value):
        return np.dtype(value["dtype"]).type(value["scalar"])

    def _array(self, value):
        return self.tensors[value["array"]].numpy().reshape(value["shape"])

    def _array_of(self, value):
        items = np.empty(len(value["array of"]), dtype=object)
        items[:] = [self.value(x) for x in value["array of"]]
        return items.astype(np.dtype(value["dtype"])).reshape(value["shape"])

    def _tensor(self, value):
        return self.tensors[value["tensor"]]

    def _tuple(self, value):
        return tuple(self.value(x) for x in value["tuple"])

    def _range(self, value):
        return range(*value["range"])

    def _slice(self, value):
        return slice(*value["slice"])

    def _dict(self, value):
        return {self.value(k): self.value(x) for k, x in value["dict"]}

    def _name(self, value):
        return self.known(value["name"])

    def _partial(self, value):
        return functools.partial(
            self.value(value["partial"]), *self.value(value["args"]), **self.value(value["keywords"])
        )

    def _encoder(self, value):
        encoder = SensitiveEncoder.__new__(SensitiveEncoder)
        vars(encoder).update(self.value(value["encoder"]))
        return encoder

    def _token_encoder(self, value):
        from tokenizers import Tokenizer

        encoder = TokenEncoder()
        vars(encoder).update(self.value(value["token encoder"]))
        encoder.tokenizer_ = Tokenizer.from_str(encoder.tokenizer_)
        return encoder

    def _estimator(self, value):
        return self.known(value["estimator"])(**self.value(value["params"]))
