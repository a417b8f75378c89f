"""skorch's loop with scikit-learn's manners. Nothing here is about fairness; nothing of it is public.

What is mended here, and why, is listed in ``docs/architecture.md``: parameters come from the constructors' signatures and
not from ``__dict__``; nothing but parameters is set in ``__init__``; ``set_params`` trains nothing and re-initialises
nothing; ``device="auto"``; a user's module instance is copied; an epoch costs little more than a hand-written loop.
"""

import copy
import functools
import inspect

import torch
from sklearn.base import BaseEstimator
from skorch import NeuralNet
from skorch.callbacks import Callback, Checkpoint, TrainEndCheckpoint

from skfair.base._device import resolve_device
from skfair.base._diagnosis import watched_epoch
from skfair.base._interrupts import note_interrupt, raised_on_purpose

__all__ = ["SkorchNet", "overrides"]


def overrides(kind, method):
    """Whether a class of callbacks does something in this method."""
    return getattr(kind, method, None) is not getattr(Callback, method)


def _merged_signature(cls):
    """The parameters of all constructors of the class, its own first, as one signature."""
    merged = {}
    for parent in cls.__mro__:
        for name, parameter in vars(parent).get("_own_parameters", {}).items():
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD) and name != "self":
                merged.setdefault(name, parameter)
    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Signature([first, *sorted(merged.values(), key=lambda parameter: parameter.kind)])


class SkorchNet(NeuralNet):
    """``skorch.NeuralNet`` that scikit-learn's checks accept."""

    # what skorch sets in __init__; here defaults of the class, so that an unfitted net holds its parameters alone
    history_ = None
    initialized_ = False
    interrupted_ = False  # whether the user has stopped the training (a callback that stops it is none)
    virtual_params_ = {}
    _prefixes = ("module", "criterion", "optimizer", "iterator_train", "iterator_valid", "callbacks", "compile")
    _own_prefixes = ()  # those of them that skorch does not know

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls._own_parameters = inspect.signature(cls.__init__).parameters
            cls.__init__.__signature__ = _merged_signature(cls)

    def __init__(self, **parameters):
        self._check_names(parameters)
        vars(self).update(parameters)

    # defaults of the parameters of skorch that are not ours
    train_split = None
    iterator_train = None
    iterator_valid = None
    dataset = None
    predict_nonlinearity = None
    use_caching = False
    torch_load_kwargs = None
    compile = False

    # ------------------------------------------------------------------ parameters
    @property
    def _params_to_validate(self):
        return {name for name in self._prefixed() if name.split("__")[0] not in self._own_prefixes}

    def _prefixed(self):
        return {name for name in vars(self) if "__" in name and name[0] != "_"}

    def _get_param_names(self):
        names = [name for name in inspect.signature(type(self).__init__).parameters if name != "self"]
        given = [name for name in vars(self) if name in inspect.signature(NeuralNet).parameters]
        return sorted({*names, *given, *self._prefixed()})

    def _get_params_callbacks(self, deep=True):
        """Parameters of the callbacks that the user gave, before and after fit the same."""
        found = {}
        for item in self.callbacks if deep and isinstance(self.callbacks, list | tuple) else []:
            name, callback = item if isinstance(item, tuple) else (getattr(item, "__name__", type(item).__name__), item)
            found[f"callbacks__{name}"] = callback
            instance = hasattr(callback, "get_params") and not isinstance(callback, type)
            for key, value in (callback.get_params() if instance else {}).items():
                found[f"callbacks__{name}__{key}"] = value
        return found

    def set_params(self, **params):
        """Set parameters, as in scikit-learn: nothing is trained or re-initialised before the next ``fit``.

        Parameters of the optimizer of a net in training (set by a callback, say) take effect at once.
        """
        nested = {name: value for name, value in params.items() if "__" in name and not self._is_nested(name)}
        self._check_names(nested)
        BaseEstimator.set_params(self, **{name: value for name, value in params.items() if name not in nested})
        vars(self).update(nested)
        if self.initialized_:
            self._apply_virtual_params({name: value for name, value in params.items() if self._is_virtual_param(name)})
        return self

    def _is_nested(self, name):
        """Whether it is a parameter of an estimator that is a parameter, as scikit-learn's ``estimator__name``."""
        outer = name.split("__")[0]
        return outer not in self._prefixes and outer in inspect.signature(type(self).__init__).parameters

    def _check_names(self, names):
        accepted = [name for name in inspect.signature(type(self).__init__).parameters if name != "self"]
        plain = {*accepted, *inspect.signature(NeuralNet).parameters}
        bad = [n for n in names if (n.split("__")[0] not in self._prefixes if "__" in n else n not in plain)]
        if bad:
            prefixes = [f"{prefix}__*" for prefix in self._prefixes]
            raise TypeError(f"{type(self).__name__} got unexpected parameters {bad}; it takes {accepted + prefixes}.")

    def __setattr__(self, name, value):
        if name.endswith("_"):
            super().__setattr__(name, value)
        else:  # a parameter, even if it is a torch module
            object.__setattr__(self, name, value)

    def __repr__(self):
        return super(NeuralNet, self).__repr__()

    def __sklearn_is_fitted__(self):
        return self.initialized_

    def get_metadata_routing(self):
        return super(NeuralNet, self).get_metadata_routing()

    # ------------------------------------------------------------------ components
    @property
    def device_(self):
        """The torch device that ``device`` stands for on this machine."""
        return resolve_device(self.device)

    def load_params(self, *args, **kwargs):
        given, self.device = self.device, str(self.device_)  # skorch knows no "auto"
        try:
            super().load_params(*args, **kwargs)
        finally:
            self.device = given

    def __setstate__(self, state):
        device = state["device"]
        super().__setstate__({**state, "device": str(self._device_at_load(device))})
        self.device = device if device in ("auto", "accelerate") else self.device
        if self.initialized_:
            self.streams_.device = self.device_  # trained on a GPU, loaded where there is none

    def _device_at_load(self, device):
        return resolve_device(device) if device in ("auto", "accelerate") else device

    def _initialize_module(self, reason=None):
        with self._current_init_context("module"):
            self.initialize_module()
        return self

    def _initialize_criterion(self, reason=None):
        with self._current_init_context("criterion"):
            self.initialize_criterion()
        return self

    def _initialize_optimizer(self, reason=None):
        verbose, self.verbose = self.verbose, 0  # skorch announces each re-initialisation on stdout
        try:
            return super()._initialize_optimizer(reason)
        finally:
            self.verbose = verbose

    def initialize_callbacks(self):
        """Copy the user's callbacks: two nets, or two stages, never share one."""
        callbacks, self.callbacks = self.callbacks, copy.deepcopy(self.callbacks)
        try:
            return super().initialize_callbacks()
        finally:
            self.callbacks = callbacks

    def build(self, prefix, component, **filled):
        """Make a module from a class, a factory or an instance (copied), and put it on the device.

        ``filled`` are arguments known from the data; each is handed over if the component takes it. What the user set as
        ``prefix__name`` comes last.
        """
        given = self.get_params_for(prefix)
        if isinstance(component, torch.nn.Module):
            if given:
                raise ValueError(f"{prefix} is an instance, so {sorted(given)} cannot be set; pass its class instead.")
            return copy.deepcopy(component).to(self.device_)
        takes = inspect.signature(component).parameters
        filled = {name: value for name, value in filled.items() if name in takes}
        return component(**{**filled, **given}).to(self.device_)

    def get_params_for_optimizer(self, prefix, named_parameters):
        """Also hand over ``weight_decay`` and ``momentum`` and ask for the fused kernel, where the optimizer has them."""
        args, kwargs = super().get_params_for_optimizer(prefix, named_parameters)
        takes = inspect.signature(getattr(self, prefix)).parameters
        filled = {"fused": True}
        if prefix == "optimizer":
            filled |= {"momentum": self.momentum, "weight_decay": self.weight_decay}
        else:
            kwargs["lr"] = self.get_params_for(prefix).get("lr", self.adversary_lr)
        return args, {**{name: value for name, value in filled.items() if name in takes}, **kwargs}

    # ------------------------------------------------------------------ the loop
    def run_loop(self, train, valid, epochs):
        """skorch's loop over these rows, callbacks included. An interrupt ends it and keeps what is trained."""
        NeuralNet.partial_fit(self, (train, valid), epochs=epochs)

    def fit_loop(self, *args, **kwargs):
        vars(self).pop("interrupted_", None)
        try:
            return super().fit_loop(*args, **kwargs)
        except KeyboardInterrupt as stop:
            if not hasattr(stop, "by_callback"):
                vars(self)["interrupted_"] = True
                note_interrupt()
            raise

    def notify(self, *args, **kwargs):
        try:
            super().notify(*args, **kwargs)
        except KeyboardInterrupt as stop:
            if raised_on_purpose(stop):
                stop.by_callback = True  # how a callback stops its net
            raise

    def get_split_datasets(self, X, y=None, **fit_params):
        return X

    _watch = None  # looks at the loss of each step
    _start = None  # the state in which the epoch has begun

    def train_step(self, batch, **fit_params):
        """Zero the gradients, run ``train_step_single``, step the optimizer."""
        closure = isinstance(self.optimizer_, torch.optim.LBFGS)  # which calls it several times
        if closure:
            step = super().train_step(batch, **fit_params)
        else:
            self.optimizer_.zero_grad()
            step = self.train_step_single(batch)
        if self._watch is not None:
            self._watch.look(self, step["loss"], batch)
        if closure:
            return step
        if self._overrides("on_grad_computed"):
            parameters = list(self.get_all_learnable_params())
            self.notify("on_grad_computed", named_parameters=parameters, batch=batch, training=True)
        self.before_step()
        self.optimizer_.step()
        return step

    def before_step(self):
        """The gradients are there, and the optimizer is about to use them."""

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """One epoch; the history gets the mean loss. What a callback needs per batch is recorded if one needs it."""
        if iterator is None:
            return
        run = functools.partial(self._mean_loss, iterator, training, prefix, step_fn, **fit_params)
        self._record_loss(prefix, watched_epoch(self, run, iterator) if training else run())

    def _record_loss(self, prefix, loss):
        self.history.record(prefix + "_loss", loss)

    def _mean_loss(self, iterator, training, prefix, step_fn, **fit_params):
        if self.notes_batches():
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
            total = [
                (row[prefix + "_loss"], row[prefix + "_batch_size"])
                for row in self.history[-1]["batches"]
                if prefix + "_loss" in row
            ]
            return sum(loss * size for loss, size in total) / sum(size for _, size in total)
        losses = [(step_fn(batch)["loss"].detach(), len(batch[0])) for batch in iterator]
        sizes = torch.tensor([size for _, size in losses], dtype=torch.float64)
        return float(torch.stack([loss for loss, _ in losses]).cpu().double() @ sizes / sizes.sum())

    def reads_each_loss(self):
        """Whether the loss of each step is read; on a GPU that takes waiting for the step."""
        return self.streams_.device.type == "cpu" or self.notes_batches()

    def notes_batches(self):
        """Whether a callback listens to each batch, whose loss is then read and recorded; skorch's checkpoints read it."""
        checkpoints = any(isinstance(callback, Checkpoint | TrainEndCheckpoint) for _, callback in self.callbacks_)
        return checkpoints or self._overrides("on_batch_begin") or self._overrides("on_batch_end")

    def _overrides(self, method):
        """Whether any callback does something in this method of the callback protocol."""
        return any(overrides(type(callback), method) for _, callback in self.callbacks_)

    @property
    def _default_callbacks(self):
        return []
