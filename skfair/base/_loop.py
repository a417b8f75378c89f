"""skorch's loop over Rows and Batches: how the network is built, fed, stepped and evaluated."""

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skfair._data import Batch, BatchLoader, Rows, make_rows
from skfair.base._checks import check_X
from skfair.base._evaluation import evaluation_module
from skfair.base._skorch import SkorchNet
from skfair.callbacks import default_callbacks

__all__ = ["LoopNet"]


class _State(nn.Module):
    """Tensors that an objective carries from step to step; buffers, so that they move, save and stack with the net."""

    def __init__(self, tensors):
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)


class LoopNet(SkorchNet):
    """A net whose minibatches are Batches; the hooks that it calls are those of ``BaseNet``."""

    def _train(self, train, valid, *, fresh, epochs):
        with self.streams_("network"):
            if fresh:
                self._build(train)
            self.run_loop(train, valid, epochs)
        self._set_training(False)
        return self

    def _build(self, train):
        """Make the networks, the optimizers and the loss's state; within the stream "network"."""
        state = _State(self.make_state(train.y))  # first: it may raise
        self.initialize()
        with self._current_init_context("criterion"):
            self.state_ = state.to(self.device_)

    def initialize_module(self):
        module = self.build("module", self.module, in_features=self.in_features_, out_features=self.out_features_)
        self.module_ = self.adapt_module(module)
        return self

    def initialize_criterion(self):
        self.criterion_ = self.build("criterion", self.criterion, reduction="none")
        return self

    @property
    def in_features_(self):
        """Number of values of one row of X."""
        return int(np.prod(self.x_shape_))

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
        return X if isinstance(X, Rows) else make_rows(check_X(self, X, reset=False), {}, self.device_)

    def train_step_single(self, batch, **fit_params):
        if not self.module_.training:
            self._set_training(True)
        batch = self._with_draws(self._as_batch(batch))
        output = self.each(self.infer, batch.x)
        return {"loss": self.backward(output, batch), "y_pred": output}

    def _with_draws(self, batch):
        if not self.n_draws or batch.draw is not None:
            return batch
        draw = self.streams_.numpy("draws").random((len(batch.x), self.n_draws), dtype=np.float32)
        return batch._replace(draw=torch.from_numpy(draw).to(batch.x.device))

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
        return Batch(x.to(device), rows.get("y"), *own, rows.get("draw"))

    def outputs(self, X):
        """The network's outputs for X (or Rows), in evaluation mode, as a float64 tensor on the CPU."""
        check_is_fitted(self)
        rows = self.get_dataset(X)
        module, dtype = evaluation_module(self.module_)
        with torch.inference_mode():
            loader = self.get_iterator(rows, training=False)
            return torch.cat([self.main_output(module(x.to(self.device_, dtype))).cpu() for x, _ in loader]).double()

    def main_output(self, output):
        """The part of the network's output that predictions are made from."""
        return output[0] if isinstance(output, tuple) else output
