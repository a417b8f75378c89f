"""The base of all estimators."""

import numpy as np
import torch
from torch import nn

from skfair._data import make_rows, split_rows
from skfair._random import Streams, draw_seed
from skfair._routing import SensitiveFeaturesConsumer
from skfair._sensitive import warn_if_reordered
from skfair.base._checks import BLIND, check_common_parameters, check_watched, check_weight, sensitive_input
from skfair.base._encoding import Encoded
from skfair.base._interrupts import stages_of
from skfair.base._memory import explains_memory
from skfair.base._stages import StagedNet
from skfair.base._text import check_token_ids
from skfair.modules import MLP

__all__ = ["BaseNet"]


class BaseNet(SensitiveFeaturesConsumer, StagedNet):
    """Base of all estimators: a network trained by skorch's loop on rows that carry labels, groups and weights.

    A method is a subclass that writes ``objective`` and, where it needs them, the other hooks. See CONTRIBUTING.md for a
    complete one in thirty lines.

    Parameters
    ----------
    module : class, callable, torch.nn.Module or str, default=MLP
        The network. A class or callable is given ``in_features`` and ``out_features`` if it takes them, and the
        parameters ``module__*``; an instance is copied, never trained in place. Names are those of
        :func:`skfair.modules.get_module`: "mlp", "plr", "ft_transformer", "resnet18", ...
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
    lr_schedule : {"constant", "cosine", "linear"}, default="constant"
        How ``lr`` falls over ``max_epochs``: from its full value in the first epoch towards 0 after the last.
    gradient_clipping : float or None, default=None
        Largest norm of the gradient of a step, all parameters together; a larger one is scaled down.
    max_epochs : int or "auto", default=20
        Passes over the rows. "auto": as many as make about 1,000 steps, but at least 8 and at most 100.
    batch_size : int, default=64
        Rows per step; -1 for all rows at once.
    shuffle : bool, default=True
        Draw a new order of the rows in each epoch.
    early_stopping : bool, str or callable, default=False
        If not False, hold out ``validation_fraction`` of the rows (stratified by label and group), score them after each
        epoch and keep the weights of the best. True watches the loss; a string is a name of ``get_scorer_names()`` or
        "accuracy"; a callable is ``score(y_true, y_pred, *, sensitive_features, sample_weight)``, greater is better.
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
    checkpoint : str or path-like, optional
        A file for the state of ``fit`` after each epoch: begun again after a crash, it goes on there.
    verbose : int, default=0
        1 shows a progress bar, 2 also a line per epoch.
    device : {"auto", "cpu", "cuda", "accelerate", ...}, default="auto"
        "auto" takes a GPU if there is one; "accelerate": one of the processes that ``accelerate launch`` has started.
    random_state : int, numpy generator or None, default=None
        Decides initialisation, dropout, the order of the rows and the held-out rows. The global generators of numpy and
        torch are left as they are, also with None.
    **kwargs
        ``module__*``, ``criterion__*``, ``optimizer__*``, ``callbacks__*``, ``iterator_train`` and the like, as in skorch.
    """

    needs_sensitive = True  # raise at fit when there are no sensitive features
    min_groups = 1  # raise at fit when there are fewer groups
    stacks_over = None  # parameters (numbers) in which the nets of one stack may differ; None: does not train in stacks
    stage_parameters = ()  # those of them that ``prepare`` reads
    n_draws = 0  # uniform random numbers that the objective needs for each row of a minibatch, as ``batch.draw``
    uses_labels = True  # whether y is read at all
    min_classes = 1  # raise at fit when there are fewer labels
    needs_array = False  # computes with X itself: a mapped array is read whole, a Dataset refused
    batch_statistics = False  # the loss of a row depends on the others of its batch: rows without weight are left out
    input_stages = ()  # attributes set by ``prepare`` that no objective reads, but ``inputs`` or ``extras``

    def __init__(
        self, *, module=MLP, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=1e-3, weight_decay=0.0,
        momentum=0.9, lr_schedule="constant", gradient_clipping=None, max_epochs=20, batch_size=64, shuffle=True,
        early_stopping=False, validation_fraction=0.1, patience=10, sensitive_columns=None, missing_groups="group",
        callbacks=None, warm_start=False, checkpoint=None, verbose=0, device="auto", random_state=None, **kwargs,
    ):  # fmt: skip
        super().__init__(
            module=module, criterion=criterion, optimizer=optimizer, lr=lr, weight_decay=weight_decay,
            momentum=momentum, lr_schedule=lr_schedule, gradient_clipping=gradient_clipping,
            max_epochs=max_epochs, batch_size=batch_size, shuffle=shuffle,
            early_stopping=early_stopping, validation_fraction=validation_fraction, patience=patience,
            sensitive_columns=sensitive_columns, missing_groups=missing_groups, callbacks=callbacks,
            warm_start=warm_start, checkpoint=checkpoint, verbose=verbose, device=device,
            random_state=random_state, **kwargs,
        )  # fmt: skip

    # ------------------------------------------------------------------ hooks of a method
    def objective(self, output, batch):
        """The paper's loss of one minibatch, a tensor of shape ()."""
        raise NotImplementedError(f"{type(self).__name__} defines no objective.")

    def prepare(self, X, y, *, sensitive_features, sample_weight):
        """Earlier stages, before the network is built; returns the weights to train with (None: all ones).

        Later calls of ``partial_fit`` do not repeat it.
        """
        return sample_weight

    @property
    def watched_(self):
        """What chooses the best epoch, as ``early_stopping`` says it; a method may have a word of its own for it."""
        return self.early_stopping

    def inputs(self, X, *, training):
        """What the network sees instead of X, an array or CSR matrix with as many rows; after ``prepare``.

        ``training`` says whether it is for training or for predictions.
        """
        return X

    def training_groups(self, X, y, group):
        """The groups that the objective sees, as codes (n,); ``group`` are those of the sensitive features."""
        return group

    def adapt_module(self, module):
        """The network as it is trained; ``module`` is the one just made, with its initial weights."""
        return module

    def unstackable(self):
        """Why this net cannot be trained in a stack though its class can; None if it can."""
        return None

    def extras(self, X, y):
        """What else belongs to each row of X, an array (n, m), as ``batch.extra``; None: nothing."""
        return None

    def epoch_rows(self, rows):
        """Positions of the rows that an epoch goes over, int64 tensor, some maybe several times; None: each once."""
        return None

    def renew_state(self, rows):
        """Before a later ``partial_fit`` (or warm start): forget what the state keeps of single rows."""

    def complete(self, rows):
        """Later stages, after the network is trained on these Rows."""

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
    @explains_memory
    def fit(self, X, y=None, *, sensitive_features=None, sample_weight=None):
        """Train the network.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n, ...), sequence of str or torch Dataset of length n
            Becomes float32, sparse and uint8 values batch by batch; mapped arrays and Datasets are read so as well. Texts
            become token ids, if the module reads such (:class:`skfair.modules.TextTransformer`).
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
        parts = self._parts(data)
        return self._train(*parts, fresh=fresh, epochs=self.epochs_for(len(parts[0])))

    @explains_memory
    def partial_fit(self, X, y=None, classes=None, *, sensitive_features=None, sample_weight=None):
        """Train for one pass over these rows, from the present weights and without held-out rows.

        Parameters
        ----------
        X, y
            As in ``fit``.
        classes : array-like, optional
            All labels there will be. Needed in the first call if its rows do not hold all of them.
        sensitive_features, sample_weight
            As in ``fit``. Later calls may hold only groups that the first call held.

        Returns
        -------
        self
        """
        fresh = not self.initialized_
        data = self._check_fit(X, y, sensitive_features, sample_weight, reset=fresh, classes=classes)
        return self._train(self._repeated(data), None, fresh=fresh, epochs=1)

    def _check_fit(self, X, y, sensitive_features, sample_weight, *, reset, classes=None):
        """Check all that is given, before any training, and return it as Rows."""
        self._check_parameters()
        encoded = self._encode(X, y, sensitive_features, sample_weight, reset=reset, classes=classes)
        if reset:
            self.streams_ = Streams(self.from_first(draw_seed, self.random_state), self.device_)
        return self._weighted_rows(encoded, reset=reset)

    def _check_parameters(self):
        check_common_parameters(self)
        self.check_parameters()

    def _encode(self, X, y, sensitive_features, sample_weight, *, reset, classes=None):
        given, labels = X, y
        X, y = self._check_X_y(X, y, reset=reset, classes=classes)
        warn_if_reordered(sensitive_features, X=given, y=labels)
        frame = sensitive_input(self, given, sensitive_features, X.shape[0])
        weight = check_weight(sample_weight, X)
        return Encoded(X, y, frame, self._encode_groups(frame, X.shape[0], reset=reset), weight)

    def _weighted_rows(self, encoded, *, reset=True):
        X, y, frame, groups, weight = encoded
        if reset:
            with stages_of(self):
                weight = self.prepare(X, self.decode_labels(y), sensitive_features=frame, sample_weight=weight)
        groups = {**groups, "group": self.training_groups(X, self.decode_labels(y), groups["group"])}
        weight = np.ones(X.shape[0]) if weight is None else np.asarray(weight, dtype=np.float64)
        rows = {**groups, "weight": weight / weight.mean(), "index": np.arange(X.shape[0])}
        extra = self.extras(X, self.decode_labels(y))
        rows = rows if extra is None else {**rows, "extra": np.asarray(extra, dtype=np.float32)}
        inputs = self.inputs(X, training=True)
        if reset:
            self.input_shape_ = inputs.shape[1:]
            self.input_blocks_, self.input_numeric_ = self.find_blocks(inputs), self.find_numeric(inputs)
            check_token_ids(self, inputs)
        return make_rows(inputs, rows if y is None else {"y": y, **rows}, self.device_)

    def _parts(self, data):
        """The rows to train on and those held out (None without early stopping)."""
        if not self.watched_:
            return self._repeated(data), None
        check_watched(self, data.y["group"])
        train, valid = self._hold_out(data)
        return self._repeated(train), valid

    def _repeated(self, rows):
        order = self.epoch_rows(rows)
        rows = rows if order is None else rows.subset(order)
        heavy = rows.y["weight"] > 0
        if not self.batch_statistics or bool(heavy.all()):
            return rows
        kept = rows.subset(heavy.nonzero().flatten())
        kept.y["weight"] = kept.y["weight"] * (len(kept) / len(rows))  # their mean is 1 again
        return kept

    def _hold_out(self, data):
        blind = isinstance(self.watched_, bool | np.bool_) or self.watched_ in BLIND
        group = 0 * data.y["group"] if blind and not self.needs_sensitive else data.y["group"]
        strata = group if "y" not in data.y else group + self.n_groups_ * data.y["y"]
        parts = split_rows(strata.cpu().numpy(), self.validation_fraction, self.streams_.numpy("validation"))
        if len(parts[1]) == 0:
            raise ValueError(
                f"early_stopping={self.watched_!r} holds out a part of each cell of label and group, but no cell "
                f"of these {len(data)} rows has two rows; set early_stopping=False."
            )
        return [data.subset(torch.from_numpy(part).to(data.device)) for part in parts]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        tags.target_tags.required |= self.min_classes > 1
        return tags
