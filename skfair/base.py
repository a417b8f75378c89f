"""The only place where scikit-learn meets skorch: four abstract classes, from which each method is one short, final class.

=====================  ===================================================================================
``BaseNet``            ``fit``, ``partial_fit``; the hooks ``objective``, ``prepare``, ``make_state``,
                       ``sampling_weights``, ``infer``
``BaseClassifier``     class labels, ``predict``, ``predict_proba``, ``decision_function``; ``losses``
``BaseTransformer``    ``transform``
``BaseTwoPlayerNet``   a second network, trained against the first: ``make_adversary``,
                       ``adversary_objective``, ``backward``
=====================  ===================================================================================
"""

import numpy as np
import torch
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import _check_sample_weight, _check_y, check_consistent_length, check_is_fitted
from torch import nn

from skfair._checks import check_choice, check_common_parameters, check_number, check_watched, check_X, sensitive_input
from skfair._data import Batch, BatchLoader, Rows, make_rows, split_rows
from skfair._random import Streams, draw_seed
from skfair._routing import SensitiveFeaturesConsumer
from skfair._sensitive import SensitiveEncoder
from skfair._skorch import SkorchNet, detach, evaluation_mode, evaluation_module
from skfair.callbacks import default_callbacks
from skfair.functional import weighted_mean
from skfair.modules import MLP

__all__ = ["BaseClassifier", "BaseNet", "BaseTransformer", "BaseTwoPlayerNet", "check_choice", "check_number"]


# the parameters that an earlier stage of a method takes over
SHARED = (
    "module", "criterion", "optimizer", "lr", "weight_decay", "momentum", "max_epochs", "batch_size", "shuffle",
    "missing_groups", "device", "sensitive_columns",
)  # fmt: skip


class _State(nn.Module):
    """Tensors that an objective carries from step to step; buffers, so that they move, save and stack with the net."""

    def __init__(self, tensors):
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)


class BaseNet(SensitiveFeaturesConsumer, SkorchNet):
    """Base of all estimators: a network trained by skorch's loop on rows that carry labels, groups and weights.

    A method is a subclass that writes ``objective`` and, where it needs them, the other hooks. See CONTRIBUTING.md for a
    complete one in thirty lines.

    Parameters
    ----------
    module : class, callable or torch.nn.Module, default=MLP
        The network. A class or callable is given ``in_features`` and ``out_features`` if it takes them, and the
        parameters ``module__*``; an instance is copied, never trained in place.
    criterion : class, default=torch.nn.CrossEntropyLoss
        The loss of a row; it is built with ``reduction="none"`` and the parameters ``criterion__*``.
    optimizer : class, default=torch.optim.Adam
        Further parameters of it are set as ``optimizer__*``.
    lr : float, default=1e-3
        Learning rate.
    weight_decay : float, default=0.0
        L2 penalty as the optimizer's own ``weight_decay``.
    momentum : float, default=0.9
        Used by optimizers that have a momentum (SGD), ignored by the others.
    max_epochs : int, default=20
        Passes over the rows.
    batch_size : int, default=64
        Rows per step; -1 for all rows at once.
    shuffle : bool, default=True
        Draw a new order of the rows in each epoch.
    early_stopping : bool, str or callable, default=False
        If not False, hold out ``validation_fraction`` of the rows (stratified by label and group), score them after each
        epoch and keep the weights of the best epoch. True watches the loss; a string is a name of
        ``skfair.metrics.get_scorer_names()`` or "accuracy"; a callable is
        ``score(y_true, y_pred, *, sensitive_features, sample_weight)``, greater is better.
    validation_fraction : float, default=0.1
    patience : int or None, default=10
        With early stopping, stop after so many epochs without a better score. None trains all epochs.
    sensitive_columns : str, int, list of these, or callable, optional
        Where in X the sensitive features stand, if they are not given to ``fit``. The columns stay in X as features.
    missing_groups : {"group", "error"}, default="group"
        Whether missing sensitive features make a group of their own or are refused.
    callbacks : list of skorch callbacks, optional
        Copied at fit.
    warm_start : bool, default=False
        Let ``fit`` go on from the present weights.
    verbose : int, default=0
        1 shows a progress bar, 2 also a line per epoch.
    device : {"auto", "cpu", "cuda", ...}, default="auto"
        "auto" takes a GPU if there is one.
    random_state : int, numpy generator or None, default=None
        Decides initialisation, dropout, the order of the rows and the held-out rows. The global generators of numpy and
        torch are left as they are, also with None.
    **kwargs
        ``module__*``, ``criterion__*``, ``optimizer__*``, ``callbacks__*``, ``iterator_train`` and the like, as in skorch.
    """

    needs_sensitive = True  # raise at fit when there are no sensitive features
    min_groups = 1  # raise at fit when there are fewer groups

    def __init__(
        self, *, module=MLP, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=1e-3, weight_decay=0.0,
        momentum=0.9, max_epochs=20, batch_size=64, shuffle=True, early_stopping=False, validation_fraction=0.1,
        patience=10, sensitive_columns=None, missing_groups="group", callbacks=None, warm_start=False, verbose=0,
        device="auto", random_state=None, **kwargs,
    ):  # fmt: skip
        super().__init__(
            module=module, criterion=criterion, optimizer=optimizer, lr=lr, weight_decay=weight_decay,
            momentum=momentum, max_epochs=max_epochs, batch_size=batch_size, shuffle=shuffle,
            early_stopping=early_stopping, validation_fraction=validation_fraction, patience=patience,
            sensitive_columns=sensitive_columns, missing_groups=missing_groups, callbacks=callbacks,
            warm_start=warm_start, verbose=verbose, device=device, random_state=random_state, **kwargs,
        )  # fmt: skip

    # ------------------------------------------------------------------ hooks of a method
    def objective(self, output, batch):
        """The paper's loss of one minibatch, a tensor of shape ()."""
        raise NotImplementedError(f"{type(self).__name__} defines no objective.")

    def prepare(self, X, y, *, sensitive_features, sample_weight):
        """Earlier stages, before the network is built; returns the weights to train with (None: all ones)."""
        return sample_weight

    def make_state(self, rows):
        """The tensors that the objective carries from step to step, by name; they appear as ``self.state_.<name>``."""
        return {}

    def sampling_weights(self, rows):
        """Draw the rows of an epoch with replacement and in proportion to these weights (None: each row once)."""
        return None

    def infer(self, x, **kwargs):
        """The network's output for the inputs alone, as ``objective`` receives it."""
        return self.module_(x)

    def check_parameters(self):
        """Raise a ValueError for a hyper-parameter that makes no sense, before anything is trained."""

    # ------------------------------------------------------------------ fit
    def fit(self, X, y=None, *, sensitive_features=None, sample_weight=None):
        """Train the network.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n, ...)
            Becomes float32; a sparse matrix is made dense batch by batch.
        y : array-like of shape (n,)
            Labels of any type.
        sensitive_features : array-like, Series or DataFrame of shape (n,) or (n, k), optional
            Values of any type; several columns make their intersections the groups.
        sample_weight : array-like of shape (n,), optional
            Not negative, not all zero.

        Returns
        -------
        self
        """
        fresh = not (self.warm_start and self.initialized_)
        data = self._check_fit(X, y, sensitive_features, sample_weight, reset=fresh)
        if self.early_stopping:
            check_watched(self)
        held_out = self._hold_out(data) if self.early_stopping else (data, None)
        return self._train(*held_out, fresh=fresh, epochs=self.max_epochs)

    def partial_fit(self, X, y=None, classes=None, *, sensitive_features=None, sample_weight=None):
        """Train for one pass over these rows, from the present weights and without held-out rows.

        Parameters
        ----------
        X, y, sensitive_features, sample_weight
            As in ``fit``. Later calls may hold only groups that the first call held.
        classes : array-like, optional
            All labels there will be. Needed in the first call if its rows do not hold all of them.

        Returns
        -------
        self
        """
        fresh = not self.initialized_
        data = self._check_fit(X, y, sensitive_features, sample_weight, reset=fresh, classes=classes)
        return self._train(data, None, fresh=fresh, epochs=1)

    def _check_fit(self, X, y, sensitive_features, sample_weight, *, reset, classes=None):
        """Check all that is given, before any training, and return it as Rows."""
        check_common_parameters(self)
        self.check_parameters()
        given, (X, y) = X, self._check_X_y(X, y, reset=reset, classes=classes)
        frame = sensitive_input(self, given, sensitive_features, X.shape[0])
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True, allow_all_zero_weights=False
            )
        groups = self._encode_groups(frame, X.shape[0], reset=reset)
        if reset:
            self.streams_ = Streams(draw_seed(self.random_state), self.device_)
        weight = self.prepare(X, self.decode(y), sensitive_features=frame, sample_weight=weight)
        weight = np.ones(X.shape[0]) if weight is None else np.asarray(weight, dtype=np.float64)
        rows = {**groups, "weight": weight / weight.mean(), "index": np.arange(X.shape[0])}
        return make_rows(X, rows if y is None else {"y": y, **rows}, self.device_)

    def _check_X_y(self, X, y, *, reset, classes=None):
        X = check_X(self, X, reset=reset, y=y)
        if y is not None:
            y = _check_y(y, estimator=self)
            check_consistent_length(X, y)
            y = self._encode_labels(y, reset=reset, classes=classes)
        return X, y

    def _encode_labels(self, y, *, reset, classes=None):
        check_classification_targets(y)
        if reset:
            self.classes_ = unique_labels(y if classes is None else classes)
        unseen = np.setdiff1d(y, self.classes_)
        if len(unseen):
            unseen, known = unseen.tolist(), self.classes_.tolist()
            raise ValueError(f"y has the labels {unseen}, which are not among the classes {known}.")
        return np.searchsorted(self.classes_, y)

    def decode(self, codes):
        """The labels of class codes."""
        return None if codes is None else self.classes_[codes]

    def decode_groups(self, sensitive):
        """The sensitive features of codes (n, k), as a DataFrame; None if fit was given none."""
        return None if self.groups_ is None else self.sensitive_encoder_.inverse_transform(sensitive)

    def _encode_groups(self, frame, n_rows, *, reset):
        if frame is None:
            if reset:
                self.groups_, self.n_groups_ = None, 1
            return {"sensitive": np.zeros((n_rows, 1), dtype=np.int64), "group": np.zeros(n_rows, dtype=np.int64)}
        if reset:
            self.sensitive_encoder_ = SensitiveEncoder(self.missing_groups).fit(frame)
            self.groups_ = self.sensitive_encoder_.groups_
            self.n_groups_ = len(self.groups_)
            if self.n_groups_ < self.min_groups:
                raise ValueError(
                    f"{type(self).__name__} needs at least {self.min_groups} groups, but sensitive_features has only "
                    f"one: {self.groups_[0]}."
                )
        sensitive, group = self.sensitive_encoder_.transform(frame)
        return {"sensitive": sensitive, "group": group}

    def _hold_out(self, data):
        strata = data.y["group"] if "y" not in data.y else data.y["group"] + self.n_groups_ * data.y["y"]
        parts = split_rows(strata.cpu().numpy(), self.validation_fraction, self.streams_.numpy("validation"))
        if len(parts[1]) == 0:
            raise ValueError(
                f"early_stopping={self.early_stopping!r} holds out a part of each cell of label and group, but no cell "
                f"of these {len(data)} rows has two rows; set early_stopping=False."
            )
        return [data.subset(torch.from_numpy(part).to(data.device)) for part in parts]

    def _train(self, train, valid, *, fresh, epochs):
        with self.streams_("network"):
            if fresh:
                state = _State(self.make_state(train.y))  # first: it may raise
                self.initialize()
                with self._current_init_context("criterion"):
                    self.state_ = state.to(self.device_)
            self.run_loop(train, valid, epochs)
        self._set_training(False)
        return self

    # ------------------------------------------------------------------ what skorch asks for
    def initialize_module(self):
        self.module_ = self.build("module", self.module, in_features=self.in_features_, out_features=self.out_features_)
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
        size = given.pop("batch_size", self.batch_size if training or dataset.X.ndim > 2 else max(self.batch_size, 4096))
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
        batch = self._as_batch(batch)
        output = self.infer(batch.x)
        return {"loss": self.backward(output, batch), "y_pred": output}

    def validation_step(self, batch, **fit_params):
        self._set_training(False)
        batch = self._as_batch(batch)
        with torch.no_grad():
            output = self.infer(batch.x)
            return {"loss": self.objective(output, batch), "y_pred": output}

    def backward(self, output, batch):
        """Put the gradients of the objective into the parameters; return the objective."""
        loss = self.objective(output, batch)
        loss.backward()
        return loss

    def _as_batch(self, batch):
        x, rows = batch
        device = self.streams_.device
        if rows["index"].device != device:  # a user's DataLoader
            rows = {name: value.to(device) for name, value in rows.items()}
        return Batch(x.to(device), rows.get("y"), *[rows[name] for name in Batch._fields[2:]])

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

    # ------------------------------------------------------------------ several stages
    def stage(self, cls, **overrides):
        """An unfitted ``cls`` with this net's training parameters, for an earlier stage of a method.

        It gets a random stream of its own and none of this net's callbacks.
        """
        shared = {name: value for name, value in self.get_params(deep=False).items() if name in SHARED or "__" in name}
        seed = self.streams_.seed_of(f"stage {cls.__name__}") % (2**31)
        return cls(**{**shared, "random_state": seed, **overrides})

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        return tags


class BaseClassifier(ClassifierMixin, BaseNet):
    """Base of the classifiers. The objective is the weighted mean of ``losses``, unless the method writes another."""

    def losses(self, logits, batch):
        """The loss of each row, a tensor of shape (n,)."""
        return self.criterion_(logits, batch.y)

    def objective(self, output, batch):
        return weighted_mean(self.losses(output, batch), batch.weight)

    def infer(self, x, **kwargs):
        return self.main_output(self.module_(x))

    def main_output(self, output):
        """Logits of shape (n, K). A single output is read as the logit of the second class."""
        logits = super().main_output(output)
        if logits.ndim == 1 or logits.shape[1] == 1:
            logits = logits.reshape(-1, 1)
            return torch.cat([torch.zeros_like(logits), logits], 1)
        return logits

    def _encode_labels(self, y, *, reset, classes=None):
        codes = super()._encode_labels(y, reset=reset, classes=classes)
        self.n_classes_ = len(self.classes_)
        if self.n_classes_ < 2:
            only = self.classes_.tolist()[0]
            raise ValueError(f"{type(self).__name__} needs at least two classes, but y holds one class only: {only!r}.")
        self.positive_code(getattr(self, "pos_label", None))  # raises before anything is trained
        return codes

    @property
    def out_features_(self):
        return self.n_classes_

    def positive_code(self, pos_label=None):
        """The code of the positive label: the one given, or the last of ``classes_``."""
        if pos_label is None:
            return self.n_classes_ - 1
        if pos_label not in self.classes_:
            raise ValueError(f"pos_label={pos_label!r} is not among the classes {self.classes_.tolist()}.")
        return int(np.flatnonzero(self.classes_ == pos_label)[0])

    def predict_proba(self, X):
        """Probabilities of the classes, float64 of shape (n, K), in the order of ``classes_``."""
        return torch.softmax(self.outputs(X), 1).numpy()

    def decision_function(self, X):
        """Log odds of the second class (n,) for two classes, the logits (n, K) for more."""
        logits = self.outputs(X).numpy()
        return logits[:, 1] - logits[:, 0] if self.n_classes_ == 2 else logits

    def predict(self, X):
        """The label with the largest probability, of shape (n,). Sensitive features are never needed here."""
        return self.decode(self.outputs(X).argmax(1).numpy())


class BaseTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseNet):
    """Base of the transformers: ``transform`` returns the network's output as float64 of shape (n, D)."""

    def transform(self, X):
        """The codes of X, of shape (n, D)."""
        return self.outputs(X).numpy()

    @property
    def _n_features_out(self):
        return self.out_features_


class BaseTwoPlayerNet(BaseNet):
    """Base of methods with a second network, the adversary, that is trained against the first.

    In each step the adversary takes ``adversary_steps`` steps on its own objective; the network then takes one on
    ``objective``, in which the adversary is held fixed. The adversary draws from random streams of its own: with
    strength 0 the network is trained exactly as without it.

    Parameters
    ----------
    adversary_optimizer : class, default=torch.optim.Adam
        Further parameters as ``adversary_optimizer__*``.
    adversary_lr : float, default=1e-3
    adversary_steps : int, default=1
    """

    _prefixes = (*BaseNet._prefixes, "adversary", "adversary_optimizer")

    def __init__(self, *, adversary_optimizer=torch.optim.Adam, adversary_lr=1e-3, adversary_steps=1, **kwargs):
        super().__init__(**kwargs)
        self.adversary_optimizer = adversary_optimizer
        self.adversary_lr = adversary_lr
        self.adversary_steps = adversary_steps

    def _check_fit(self, *args, **kwargs):
        check_number("adversary_lr", self.adversary_lr, low=0, closed=False)
        check_number("adversary_steps", self.adversary_steps, low=1, integer=True)
        return super()._check_fit(*args, **kwargs)

    def make_adversary(self):
        """The adversary, a torch module; ``self.module_`` is built already."""
        raise NotImplementedError(f"{type(self).__name__} defines no adversary.")

    def adversary_objective(self, output, batch):
        """The adversary's loss. ``output`` carries no gradient to the network."""
        raise NotImplementedError(f"{type(self).__name__} defines no adversary_objective.")

    def initialize_module(self):
        super().initialize_module()
        with self.streams_("adversary"):
            self.adversary_ = self.make_adversary().to(self.device_)
        return self

    def initialize_optimizer(self, *args, **kwargs):
        named = list(self.module_.named_parameters()) + list(self.criterion_.named_parameters())
        args, kwargs = self.get_params_for_optimizer("optimizer", named)
        self.optimizer_ = self.optimizer(*args, **kwargs)
        args, kwargs = self.get_params_for_optimizer("adversary_optimizer", list(self.adversary_.named_parameters()))
        self.adversary_optimizer_ = self.adversary_optimizer(*args, **kwargs)
        return self

    def backward(self, output, batch):
        """Train the adversary on this batch; then put the network's gradients into its parameters."""
        with self.streams_("adversary"):
            for _ in range(self.adversary_steps):
                self.adversary_optimizer_.zero_grad()
                self.adversary_objective(detach(output), batch).backward()
                self.adversary_optimizer_.step()
        self.adversary_.requires_grad_(False)
        try:
            return self.network_backward(output, batch)
        finally:
            self.adversary_.requires_grad_(True)

    def network_backward(self, output, batch):
        """Put the gradients of ``objective`` into the network's parameters; return it."""
        return super().backward(output, batch)

    def joint_backward(self, output, batch):
        """One step of both players on ``objective``, as gradient reversal takes it."""
        self.adversary_optimizer_.zero_grad()
        with self.streams_("adversary"):
            loss = self.network_backward(output, batch)
        self.adversary_optimizer_.step()
        return loss

    def encoder_width(self):
        """Number of values of the module's representation of one row."""
        device = self.device_
        with torch.no_grad(), evaluation_mode(self.module_):
            return self.module_.encoder(torch.zeros(1, *self.x_shape_, device=device)).flatten(1).shape[1]

    def gradients(self, loss):
        """Gradients of a loss with respect to all parameters of the network, as a list; zeros where it has none."""
        parameters = list(self.module_.parameters())
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found)]

    def set_gradients(self, gradients):
        """Put these gradients into the network's parameters."""
        for parameter, gradient in zip(self.module_.parameters(), gradients):
            parameter.grad = gradient
