"""Callbacks of skorch's loop: a fairness metric per epoch, the best epoch, sheets of images, a progress bar."""

import copy
import inspect
import math
import warnings
from pathlib import Path

import numpy as np
from skorch.callbacks import Callback, EpochTimer, PrintLog

__all__ = ["BestEpoch", "FairnessScoring", "Progress", "SampleSheets"]

SHOWN = ("train_loss", "critic_loss", "valid_loss", "valid_score")  # columns of the history beside a progress bar


def default_callbacks(net):
    """The callbacks that ``early_stopping`` and ``verbose`` ask for, as (name, callback) pairs."""
    callbacks = []
    if net.watched_:
        monitor, lower_is_better = "valid_loss", True
        if not isinstance(net.watched_, bool | np.bool_) and net.watched_ != "loss":
            monitor, lower_is_better = "valid_score", False
            callbacks.append(("fairness_scoring", FairnessScoring(net.watched_, name=monitor)))
        callbacks.append(("best_epoch", BestEpoch(monitor, lower_is_better, net.patience)))
    if net.verbose > 1 and net.leads:
        callbacks += [("epoch_timer", EpochTimer()), ("print_log", PrintLog())]
    if net.verbose and net.leads:
        callbacks.append(("progress", Progress()))
    return callbacks


def resolve_score(score):
    """A function ``(y_true, y_pred, *, sensitive_features, sample_weight)``, greater is better."""
    if isinstance(score, str) and score == "accuracy":
        return _accuracy
    if isinstance(score, str) and score == "worst_class_accuracy":
        return _worst_class_accuracy
    if isinstance(score, str):
        from skfair.metrics import get_scorer

        score = get_scorer(score)
    return getattr(score, "score_predictions", score)  # a scorer, or a function of the user's


def _accuracy(y_true, y_pred, *, sensitive_features=None, sample_weight=None):
    return float(np.average(np.asarray(y_true) == np.asarray(y_pred), weights=sample_weight))


def _worst_class_accuracy(y_true, y_pred, *, sensitive_features=None, sample_weight=None):
    """The accuracy within the class where it is lowest."""
    y_true, right = np.asarray(y_true), np.asarray(y_true) == np.asarray(y_pred)
    weight = np.ones(len(right)) if sample_weight is None else np.asarray(sample_weight)
    classes = [y_true == label for label in np.unique(y_true)]
    return float(min(np.average(right[rows], weights=weight[rows]) for rows in classes if weight[rows].any()))


class FairnessScoring(Callback):
    """Record a metric of the predictions in the history, once per epoch.

    skorch's own ``EpochScoring`` cannot: it does not know of the sensitive features.

    Parameters
    ----------
    score : str, scorer or callable
        A name of ``skfair.metrics.get_scorer_names()``, "accuracy", a scorer made by ``skfair.metrics.get_scorer``, or a
        function ``score(y_true, y_pred, *, sensitive_features, sample_weight)``. Greater is better: a gap given by name
        is recorded with a minus sign, as scikit-learn does.
    name : str, optional
        The column of the history; by default ``valid_<score>`` or ``train_<score>``.
    use : {"valid", "train"}, default="valid"
        Which rows are scored. "valid" with ``early_stopping=False`` warns: no rows are held out.

    Examples
    --------
    >>> from skfair.callbacks import FairnessScoring
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.robust import ERMClassifier
    >>> data = make_biased_classification(200, random_state=0)
    >>> net = ERMClassifier(
    ...     max_epochs=3, random_state=0, callbacks=[FairnessScoring("demographic_parity_difference", use="train")])
    >>> net = net.fit(data.data, data.target, sensitive_features=data.sensitive_features)
    >>> len(net.history[:, "train_demographic_parity_difference"])
    3
    """

    def __init__(self, score, name=None, use="valid"):
        self.score = score
        self.name = name
        self.use = use

    def initialize(self):
        if self.use not in ("valid", "train"):
            raise ValueError(f"use must be 'valid' or 'train', got {self.use!r}.")
        label = (
            self.score if isinstance(self.score, str) else getattr(self.score, "__name__", type(self.score).__name__)
        )
        self.name_ = self.name or f"{self.use}_{label}"
        self.score_ = resolve_score(self.score)
        return self

    def on_train_begin(self, net, X, **kwargs):
        if self.use == "valid" and not net.watched_ and X[1] is None:
            warnings.warn(
                f"FairnessScoring({self.name_!r}) has no held-out rows to score: set early_stopping, or use='train'.",
                stacklevel=2,
            )

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        from skfair.metrics import UndefinedGapWarning

        rows = dataset_valid if self.use == "valid" else dataset_train
        if rows is None:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedGapWarning)  # the same cells are empty in each epoch
            value = self.score_(
                *self._labels(net, rows),
                sensitive_features=net.decode_groups(rows.y["sensitive"].cpu().numpy()),
                sample_weight=rows.y["weight"].cpu().numpy(),
            )
        net.history.record(self.name_, float(value))

    def _labels(self, net, rows):
        """True and predicted labels. A metric by name gets codes: the positive class of two is then the last."""
        true, predicted = rows.y["y"].cpu().numpy(), net.outputs(rows).argmax(1).numpy()
        if isinstance(getattr(self.score, "floored", self.score), str):
            return true, predicted
        return net.decode_labels(true), net.decode_labels(predicted)


class BestEpoch(Callback):
    """Keep the weights of the best epoch and stop when it lies long enough behind.

    Parameters
    ----------
    monitor : str, default="valid_loss"
        A column of the history. An epoch in which it is NaN is never the best.
    lower_is_better : bool, default=True
    patience : int or None, default=None
        Stop after so many epochs without a better one. None: never.

    Attributes
    ----------
    best_epoch_ : int
        Counted from 1; among equal epochs the earliest. 0 if no epoch had a number.
    best_score_ : float
    """

    def __init__(self, monitor="valid_loss", lower_is_better=True, patience=None):
        self.monitor = monitor
        self.lower_is_better = lower_is_better
        self.patience = patience

    def on_train_begin(self, net, **kwargs):
        self.best_epoch_, self.best_score_ = 0, math.inf if self.lower_is_better else -math.inf
        self._first = len(net.history)
        self._weights, self._watched = None, False

    def on_epoch_end(self, net, dataset_valid=None, **kwargs):
        if dataset_valid is None:  # partial_fit holds out nothing
            return
        self._watched = True
        value, epoch = net.history[-1][self.monitor], len(net.history) - self._first
        if value < self.best_score_ if self.lower_is_better else value > self.best_score_:
            self._weights = copy.deepcopy(_state_of(net))  # first: an interrupt may come
            self.best_epoch_, self.best_score_ = epoch, value
        elif self.patience is not None and epoch - self.best_epoch_ >= self.patience:
            raise KeyboardInterrupt  # skorch's way to end the loop

    def on_train_end(self, net, **kwargs):
        if not self._watched:
            return
        if self._weights is None:
            floor = getattr(net, "min_accuracy", None)
            reason = "" if floor is None else f" (none reached min_accuracy={floor})"
            warnings.warn(
                f"{self.monitor!r} was not a number in any epoch{reason}: the weights of the last epoch are kept.",
                UserWarning,
                stacklevel=2,
            )
            return
        for name, weights in self._weights.items():
            getattr(net, name).load_state_dict(weights)
        self._weights = None


def _state_of(net):
    """The state of everything that training changes, but the optimizers."""
    return {f"{name}_": getattr(net, f"{name}_").state_dict() for name in net._modules + net._criteria}


class SampleSheets(Callback):
    """Write sheets of generated images, to see how a generator comes on; needs matplotlib.

    Each sheet shows the same codes, in a grid, in a file such as ``epoch_0010.png``. Nothing of the training changes.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there. Files of the same names are overwritten.
    every : int, default=1
        Write one after so many epochs, and one at the end of the training.
    n_samples : int, default=64
        Images on a sheet.
    random_state : int or numpy generator, default=0
        Of the codes.

    Notes
    -----
    For nets that have ``sample(n_samples, random_state)`` for codes and ``decode`` for images of shape (n, C, S, S), C = 1
    or 3, with values in [0, 1] (others are clipped).

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from skfair.augmentation import GANGenerator
    >>> from skfair.callbacks import SampleSheets
    >>> X = np.random.default_rng(0).random((20, 1, 8, 8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sheets = SampleSheets(folder, every=2, n_samples=4)
    ...     gan = GANGenerator(n_components=2, max_epochs=3, random_state=0, callbacks=[sheets]).fit(X)
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['epoch_0002.png', 'epoch_0003.png']
    """

    def __init__(self, folder, every=1, n_samples=64, random_state=0):
        self.folder = folder
        self.every = every
        self.n_samples = n_samples
        self.random_state = random_state

    def on_train_begin(self, net, **kwargs):
        name, shape = type(net).__name__, getattr(net, "x_shape_", ())
        if self.every < 1 or self.n_samples < 1:
            raise ValueError(f"every and n_samples must be 1 or more, got {self.every!r} and {self.n_samples!r}.")
        sample = getattr(net, "sample", None)
        if not hasattr(net, "decode") or sample is None or "n_samples" not in inspect.signature(sample).parameters:
            needs = "a net with sample(n_samples) and decode, such as GANGenerator"
            raise ValueError(f"SampleSheets needs {needs}, got {name}.")
        if len(shape) != 3 or shape[0] not in (1, 3):
            raise ValueError(f"SampleSheets shows images of shape (1 or 3, S, S), but {name} was given rows {shape}.")
        self.codes_ = net.sample(self.n_samples, random_state=self.random_state)
        self._last = None

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) % self.every == 0:
            self._write(net)

    def on_train_end(self, net, **kwargs):
        if len(net.history) and self._last != len(net.history):
            self._write(net)

    def _write(self, net):
        from matplotlib.image import imsave

        self._last = len(net.history)
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        imsave(Path(self.folder) / f"epoch_{self._last:04d}.png", _sheet(net.decode(self.codes_)))


def _sheet(images):
    """Images (n, C, H, W), C = 1 or 3, as one of shape (rows * H, columns * W, 3) in [0, 1]; black where there is none."""
    n, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    grid = np.zeros((rows * columns, 3, height, width))
    grid[:n] = np.clip(images, 0, 1)  # one channel fills all three
    grid = grid.reshape(rows, columns, 3, height, width)
    return grid.transpose(0, 3, 1, 4, 2).reshape(rows * height, columns * width, 3)


class Progress(Callback):
    """A progress bar over the epochs, with the columns of the history beside it; needs tqdm.

    Parameters
    ----------
    columns : sequence of str, optional
        Columns of the history to show; by default the losses and the score that is watched.
    """

    def __init__(self, columns=None):
        self.columns = columns

    def on_train_begin(self, net, **kwargs):
        from tqdm.auto import tqdm

        self._bar = tqdm(total=net._epochs[1], desc=type(net).__name__, unit="epoch")

    def on_epoch_end(self, net, **kwargs):
        row = net.history[-1]
        names = self.columns or [name for name in SHOWN if name in row]
        self._bar.set_postfix({name: f"{row[name]:.4g}" for name in names}, refresh=False)
        self._bar.update()

    def on_train_end(self, net, **kwargs):
        self._bar.close()
        self._bar = None
