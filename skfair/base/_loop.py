"""skorch's loop over Rows and Batches: how the network is built, fed, stepped and evaluated."""

import math

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skfair._data import Batch, BatchLoader, Rows, make_rows
from skfair.base._blocks import numeric_columns, one_hot_blocks
from skfair.base._checks import check_X
from skfair.base._diagnosis import run_guarded
from skfair.base._evaluation import evaluation_module
from skfair.base._handover import HandedOver
from skfair.base._optimization import SCHEDULES, clip_gradients, restore_learning_rate, set_learning_rate
from skfair.base._processes import SharedTraining
from skfair.base._skorch import SkorchNet
from skfair.base._text import encoder_for, takes
from skfair.callbacks import default_callbacks
from skfair.modules import get_module

__all__ = ["LoopNet"]

AUTO_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 1000, 8, 100  # of max_epochs="auto"
MAX_COLUMNS = 10_000  # no one-hot blocks are looked for among more


class _State(nn.Module):
    """Tensors that an objective carries from step to step; buffers, so that they move, save and stack with the net."""

    def __init__(self, tensors):
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)


class LoopNet(SharedTraining, HandedOver, SkorchNet):
    """A net whose minibatches are Batches; the hooks that it calls are those of ``BaseNet``."""

    def _train(self, train, valid, *, fresh, epochs):
        with self.streams_("network"):
            if fresh:
                self._build(train)
            else:
                self.renew_state(train)
            vars(self)["_epochs"] = (len(self.history_ or ()), epochs)  # done before, and to do
            vars(self).pop("_kept", None)  # of a training that has failed
            kept = self._checkpoint(train) if fresh else None
            fault = run_guarded(self, train, valid, epochs - (kept.epochs_done if kept else 0))
        self._set_training(False)
        if kept and not (self.interrupted_ or fault):
            kept.remove()
        try:
            self.complete(train)
        finally:
            if fault is not None:
                raise fault
        return self

    _kept = None  # the checkpoint of the training that is going on

    def _checkpoint(self, train):
        """The file that this training is kept in, if it is; an error if it holds another one."""
        if self.checkpoint is None:
            return None
        from skfair.base._checkpoint import Checkpoint

        vars(self)["_kept"] = Checkpoint(self, train)
        return self._kept

    def _build(self, train):
        """Make the networks, the optimizers and the loss's state; within the stream "network"."""
        state = _State(self.make_state(train.y))  # first: it may raise
        self.initialize()
        with self._current_init_context("criterion"):
            self.state_ = state.to(self.device_)

    def initialize(self):
        """skorch's method, which ``fit`` calls: only the rows tell how large the network is."""
        if not hasattr(self, "input_shape_"):
            raise NotFittedError(
                f"{type(self).__name__} builds its network from the rows: call fit or partial_fit instead of initialize. A "
                "trained net is read whole, by skfair.load."
            )
        return super().initialize()

    def initialize_module(self):
        self.module_ = self.adapt_module(self.make_module())
        return self

    def make_module(self):
        """The network that is trained, with its initial weights."""
        return self.build("module", self.module_class(), **self.module_arguments())

    def trains_ensemble(self):
        """Whether the network is one of those that answer each row several times in training."""
        module = self.module_class()
        return bool(getattr(getattr(module, "func", module), "ensemble", False))

    def module_class(self):
        """What makes the network: the parameter ``module``, unless a method has a word of its own for the kind of rows."""
        return get_module(self.module)

    def fit_text_encoder(self, texts):
        """A fitted transformer from texts, a list of str, to token ids that the network knows."""
        return encoder_for(self.module_class(), self.get_params_for("module")).fit(texts)

    def find_blocks(self, inputs):
        """The one-hot blocks of what the network sees, if it asks for them."""
        wants = takes(self.module_class(), "blocks") and inputs.ndim == 2 and inputs.shape[1] <= MAX_COLUMNS
        blocks = one_hot_blocks(inputs.tocsc() if hasattr(inputs, "tocsc") else inputs) if wants else []
        return tuple(map(tuple, blocks))  # tuples are compared by value: nets of other seeds and folds may stack

    def find_numeric(self, inputs):
        """The columns of what the network sees that hold other values than 0 and 1, if it asks for them."""
        if not (takes(self.module_class(), "numeric") and inputs.ndim == 2):
            return ()
        return tuple(numeric_columns(inputs.tocsc() if hasattr(inputs, "tocsc") else inputs))

    def module_arguments(self):
        """What a module's constructor is given, as far as it takes it."""
        image = {}
        self._check_is_image()
        if len(self.input_shape_) == 3:
            self._check_channels(*self.input_shape_)
            image = {"in_channels": self.input_shape_[0], "image_size": self.input_shape_[-1]}
        table = {"in_features": self.in_features_, "blocks": self.input_blocks_, "numeric": self.input_numeric_}
        return {**table, "out_features": self.out_features_, **image}

    def _check_is_image(self):
        module = self.module_class()
        own = getattr(getattr(module, "func", module), "__module__", "").startswith("skfair.modules")
        if own and takes(module, "in_channels") and len(self.input_shape_) != 3:
            name = getattr(module, "__name__", repr(module))
            raise ValueError(
                f"module={name} reads images, X of shape (n, channels, height, width), but a row of X has the shape "
                f"{self.input_shape_}. X[:, None] adds the channel of grey images; X.reshape(len(X), 1, height, width) "
                "unfolds flat ones."
            )

    def _check_channels(self, first, second, last):
        if takes(self.module_class(), "in_channels") and last in (1, 3, 4) and first == second > 4:
            raise ValueError(
                f"X holds images of shape {(first, second, last)}, whose channels come last; networks expect them first: "
                "X.transpose(0, 3, 1, 2)."
            )

    def initialize_criterion(self):
        self.criterion_ = self.build("criterion", self.criterion, reduction="none")
        return self

    @property
    def in_features_(self):
        """Number of values of one row of what the network sees."""
        return int(np.prod(self.input_shape_))

    @property
    def out_features_(self):
        """Number of outputs of the network; None leaves it to the module."""
        return None

    @property
    def _default_callbacks(self):
        return default_callbacks(self)

    def get_iterator(self, dataset, training=False):
        kind = "iterator_train" if training else "iterator_valid"
        given = self.get_params_for(kind)
        size = given.pop(
            "batch_size", self.batch_size if training or dataset.X.ndim > 2 else max(self.batch_size, 4096)
        )
        size = len(dataset) if size == -1 else size
        if getattr(self, kind) is not None:
            return getattr(self, kind)(dataset, batch_size=size, **given)
        if not training:
            return BatchLoader(dataset, size)
        weights = self.sampling_weights(dataset.y)
        return BatchLoader(dataset, size, self.shuffle, weights, self.streams_.numpy("loader"), **given)

    def get_dataset(self, X, y=None):
        if isinstance(X, Rows):
            return X
        return make_rows(self.inputs(check_X(self, X, reset=False), training=False), {}, self.device_)

    def epochs_for(self, n_rows):
        """Number of epochs for so many training rows."""
        if not isinstance(self.max_epochs, str):
            return self.max_epochs
        size = self.get_params_for("iterator_train").get("batch_size", self.batch_size)
        steps = 1 if size == -1 else max(1, math.ceil((n_rows - 1) / size))
        return min(max(round(AUTO_STEPS / steps), FEWEST_EPOCHS), MOST_EPOCHS)

    def on_epoch_begin(self, net, **kwargs):
        if self._kept is not None:
            self._kept.between_epochs(self)
        super().on_epoch_begin(net, **kwargs)
        if self.lr_schedule != "constant":
            before, epochs = self._epochs
            set_learning_rate(self.optimizer_, SCHEDULES[self.lr_schedule]((len(self.history) - 1 - before) / epochs))

    def on_train_end(self, net, **kwargs):
        super().on_train_end(net, **kwargs)
        vars(self).pop("_kept", None)
        restore_learning_rate(self.optimizer_)

    def on_grad_computed(self, net, named_parameters, **kwargs):
        super().on_grad_computed(net, named_parameters, **kwargs)
        if isinstance(self.optimizer_, torch.optim.LBFGS):  # skorch's own step, which knows no before_step
            self.before_step()

    stacked_ = False  # whether the tensors are those of several nets, one above the other

    def before_step(self):
        if self.gradient_clipping is not None:
            parameters = [p for group in self.optimizer_.param_groups for p in group["params"]]
            clip_gradients(parameters, self.gradient_clipping, stacked=self.stacked_)

    def train_step_single(self, batch, **fit_params):
        if not self.module_.training:
            self._set_training(True)
        batch = self._with_draws(self._as_batch(batch))
        output = self.shared_outputs(batch.x)
        loss = self.backward(output, self.answered(batch))
        self.share_gradients()
        return {"loss": loss, "y_pred": output}

    def answered(self, batch):
        """The batch as the network in training answers it: an ensemble has as many answers to a row as members."""
        return batch.repeated(self.module_.n_members) if getattr(self.module_, "ensemble", False) else batch

    def _with_draws(self, batch):
        missing = [name for name in self.draws() if getattr(batch, name) is None]
        return batch._replace(**{name: self.drawn(name, len(batch.x)) for name in missing})

    def draws(self):
        """The random numbers that a row of a minibatch comes with: name in the batch -> how many."""
        return {"draw": self.n_draws} if self.n_draws else {}

    def drawn(self, name, n_rows):
        """The next random numbers for so many rows, in [0, 1), from a stream of that name."""
        values = self.streams_.numpy(f"{name}s").random((n_rows, self.draws()[name]), dtype=np.float32)
        return torch.from_numpy(values).to(self.streams_.device)

    def validation_step(self, batch, **fit_params):
        self._set_training(False)
        batch = self._as_batch(batch)
        with torch.no_grad():
            output = self.infer(batch.x)
            return {"loss": self.objective(output, batch), "y_pred": output}

    def each(self, function, *args):
        """``function(*args)``. In a stack of nets it is called for each of them, with its part of all tensors.

        What a training step computes from the networks goes through here; nothing else has to know of stacks.
        """
        return function(*args)

    def backward(self, output, batch):
        """Put the gradients of the objective into the parameters; return the objective."""
        loss = self.each(self.objective, output, batch)
        loss.backward(torch.ones_like(loss))
        return loss

    def _as_batch(self, batch):
        x, rows = batch
        device = self.streams_.device
        if rows["index"].device != device:  # a user's DataLoader
            rows = {name: value.to(device) for name, value in rows.items()}
        own = [rows[name] for name in ("sensitive", "group", "weight", "index")]
        more = {name: rows[name] for name in ("extra", "draw", "adversary_draw") if name in rows}
        return Batch(x.to(device), rows.get("y"), *own, **more)

    def outputs(self, X):
        """The network's outputs for X (or Rows), in evaluation mode, as a float64 tensor on the CPU."""
        check_is_fitted(self)
        rows = self.get_dataset(X)
        module, dtype = evaluation_module(self.module_)
        found, stop = None, 0
        with torch.inference_mode():
            for x, _ in self.get_iterator(rows, training=False):
                part = self.main_output(module(x.to(self.device_, dtype)))
                if found is None:  # one tensor: small ones that stay, between large ones that go, leave holes in memory
                    found = torch.empty(len(rows), *part.shape[1:], dtype=torch.float64)
                found[stop : stop + len(part)] = part
                stop += len(part)
        return found[:stop]

    def network_inputs(self, X, training=False):
        """What the network sees of X, as a float64 array."""
        check_is_fitted(self)
        seen = self.inputs(check_X(self, X, reset=False), training=training)
        return np.asarray(seen.toarray() if hasattr(seen, "toarray") else seen, dtype=np.float64)

    def main_output(self, output):
        """The part of the network's output that predictions are made from."""
        return output[0] if isinstance(output, tuple) else output
