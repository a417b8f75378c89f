"""Checks of what the user gives, made before any training. Errors name the value and the expectation."""

import numbers
import os
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from skfair._lazy import as_lazy, is_dataset, is_lazy, refuse_dataset
from skfair._sensitive import select_columns, sensitive_frame
from skfair.base._device import resolve_device
from skfair.base._optimization import SCHEDULES
from skfair.base._parts import check_parts
from skfair.base._readable import check_readable, check_unmasked, read_rows
from skfair.base._text import as_token_ids
from skfair.callbacks import resolve_score

__all__ = [
    "check_choice", "check_common_parameters", "check_is_fitted", "check_number", "check_watched", "check_weight", "check_X",
    "named", "sensitive_input", "watches_groups",
]  # fmt: skip


LARGE = 1e290
BLIND = ("accuracy", "loss", "worst_class_accuracy")  # what may be watched without groups


def check_number(name, value, *, low=None, high=None, integer=False, closed=True):
    """Raise a ValueError unless the value is a number of the interval.

    Parameters
    ----------
    name : str
        Of the parameter, for the message.
    value : object
        What the user gave.
    low, high : float, optional
        The ends of the interval.
    integer : bool, default=False
        Whether it has to be an integer.
    closed : bool, default=True
        Whether the ends are allowed.
    """
    kind = numbers.Integral if integer else numbers.Real
    good = isinstance(value, kind) and not isinstance(value, bool) and not np.isnan(value)
    if good and low is not None:
        good = value >= low if closed else value > low
    if good and high is not None:
        good = value <= high if closed else value < high
    if not good:
        what = "an integer" if integer else "a number"
        bounds = [f"{'>=' if closed else '>'} {low}"] * (low is not None) + [f"{'<=' if closed else '<'} {high}"] * (
            high is not None
        )
        raise ValueError(f"{name} must be {what} {' and '.join(bounds)}, got {value!r}.".replace("  ", " "))


def check_choice(name, value, choices):
    """Raise a ValueError unless the value is one of the choices.

    Parameters
    ----------
    name : str
        Of the parameter, for the message.
    value : object
        What the user gave.
    choices : collection of str
        What is allowed.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {sorted(choices)}, got {value!r}.")


def check_common_parameters(net):
    """The parameters that all nets have."""
    check_parts(net)
    check_number("lr", net.lr, low=0, high=np.inf, closed=False)
    check_number("weight_decay", net.weight_decay, low=0)
    check_number("momentum", net.momentum, low=0)
    if net.checkpoint is not None and not _can_be_a_file(net.checkpoint):
        raise ValueError(f"checkpoint must be the path of a file in a folder that exists, got {net.checkpoint!r}.")
    check_choice("lr_schedule", net.lr_schedule, SCHEDULES)
    if net.gradient_clipping is not None:
        check_number("gradient_clipping", net.gradient_clipping, low=0, closed=False)
    if isinstance(net.max_epochs, str):
        check_choice("max_epochs", net.max_epochs, {"auto"})
    else:
        check_number("max_epochs", net.max_epochs, low=1, integer=True)
    if net.batch_size != -1:
        check_number("batch_size", net.batch_size, low=1, integer=True)
    check_number("validation_fraction", net.validation_fraction, low=0, high=1, closed=False)
    if net.patience is not None:
        check_number("patience", net.patience, low=1, integer=True)
    check_choice("missing_groups", net.missing_groups, {"group", "error"})
    stop = net.early_stopping
    if not (stop is None or isinstance(stop, bool | np.bool_ | str) or callable(stop)):
        raise ValueError(f"early_stopping must be True, False, the name of a metric or a callable, got {stop!r}.")
    if not (hasattr(net, "predict") or stop is None or isinstance(stop, bool | np.bool_) or stop == "loss"):
        raise ValueError(
            f"early_stopping must be True, False or 'loss': a transformer predicts no labels; got {stop!r}."
        )
    if isinstance(stop, str) and stop not in BLIND:
        resolve_score(stop)  # raises for a name that there is not
    if not isinstance(net.verbose, bool):
        check_number("verbose", net.verbose, low=0, integer=True)
    net.check_processes()
    resolve_device(net.device)


def _can_be_a_file(path):
    return isinstance(path, str | os.PathLike) and Path(path).parent.is_dir() and not Path(path).is_dir()


def check_X(net, X, *, reset, y="no_validation"):
    """X as a float32 or uint8 array with any number of axes, a float32 CSR matrix, or LazyRows.

    Sets or compares the feature names. Texts become their token ids first.
    """
    check_readable(X)
    X = as_token_ids(net, _lazy(net, X), reset=reset)
    y = None if y is None else "no_validation"  # None: let scikit-learn say that y is required
    if is_lazy(X):
        _check_lazy(net, X, y, reset=reset)
    else:
        kinds = np.float32 if net.needs_array or sp.issparse(X) else [np.float32, np.uint8]  # all else: the first
        try:
            X = read_rows(net, X, y, reset=reset, dtype=kinds)
        except ValueError as error:
            if "could not convert string" in str(error):
                error.add_note("X holds text: put skfair.preprocessing.make_tabular_preprocessor() before the net.")
            raise
    if reset:
        net.x_shape_ = X.shape[1:]
    elif X.shape[1:] != net.x_shape_:
        raise ValueError(f"X has rows of shape {X.shape[1:]}, but {type(net).__name__} was fitted on {net.x_shape_}.")
    return X


def _lazy(net, X):
    """X as LazyRows, if it is none that lies in memory and the method leaves it there."""
    first = X[0] if isinstance(X, list) and X else None
    if isinstance(first, tuple) and getattr(first[0], "ndim", 0) > 0 and getattr(first[-1], "ndim", 0) == 0:
        raise TypeError(
            "X is a list of pairs, as scikit-learn's searches make one of a Dataset: search with "
            "skfair.model_selection.FrontierSearchCV, which takes Datasets, or give an array."
        )
    if net.needs_array:
        refuse_dataset(X, type(net).__name__, "computes with all rows before it trains")
    X = as_lazy(X)
    return X.toarray() if is_lazy(X) and net.needs_array else X


def _check_lazy(net, X, y, *, reset):
    """What scikit-learn checks of an array; of rows in a file now, chunk by chunk, of a Dataset's as they are read."""
    shape_alone = np.broadcast_to(np.float32(0), X.shape)
    try:
        validate_data(net, shape_alone, y, reset=reset, dtype=None, allow_nd=True, ensure_all_finite=False)
    except ValueError as error:
        if "requires y" in str(error):
            error.add_note("Labels are given beside X, also to a Dataset's: fit(dataset, dataset.targets), say.")
        raise
    if not X.checked:
        for part in X.chunks():
            assert_all_finite(part, estimator_name=type(net).__name__, input_name="X")
    X.checked = True


def check_weight(sample_weight, X):
    """The weights of the rows of X as float64, not negative and not all 0; None for none."""
    if sample_weight is None:
        return None
    check_unmasked("sample_weight", sample_weight)
    options = dict(dtype=np.float64, ensure_non_negative=True, allow_all_zero_weights=False)
    weight = _check_sample_weight(sample_weight, X, **options)
    largest = weight.max()
    return weight / largest if largest > LARGE else weight  # the sum of such may be infinite


def watches_groups(net):
    """Whether what is watched on held-out rows is a fairness metric."""
    named = isinstance(net.watched_, str) and net.watched_ not in BLIND
    return named or hasattr(net.watched_, "score_predictions")


def check_watched(net, group):
    """Raise a ValueError if ``early_stopping`` names a fairness metric and the groups are not known."""
    unknown = net.groups_ is None or bool((group < 0).any())
    if unknown and watches_groups(net):
        raise ValueError(
            f"early_stopping={net.watched_!r} needs sensitive_features at fit and got none. Pass fit(X, y, "
            "sensitive_features=...), or name columns of X in sensitive_columns=..., or watch 'accuracy' or 'loss'."
        )


def named(net, X):
    """X (checked) with the column names that the net was fitted with, if there were any."""
    if not hasattr(net, "feature_names_in_") or sp.issparse(X) or is_lazy(X):
        return X
    return pd.DataFrame(X, columns=net.feature_names_in_)


def sensitive_input(net, X, sensitive_features, n_rows):
    """The sensitive features as a DataFrame: those given, or the columns of X that ``sensitive_columns`` names."""
    if sensitive_features is not None:
        return sensitive_frame(sensitive_features, n_rows)
    columns = net.sensitive_columns
    if columns is not None:
        return sensitive_frame(_columns_of(X, columns), n_rows)
    if not net.needs_sensitive:
        return None
    name = type(net).__name__
    raise ValueError(
        f"{name} needs sensitive_features at fit and got none. Pass fit(X, y, sensitive_features=...); inside a Pipeline "
        "or a search switch routing on with sklearn.set_config(enable_metadata_routing=True); or name columns of X in "
        f"{name}(sensitive_columns=...).{getattr(net, 'groups_hint', '')}"
    )


def _columns_of(X, columns):
    """The sensitive columns of X; a callable is given a Dataset as it is."""
    X = as_lazy(X) if is_dataset(X) else X
    if not is_lazy(X):
        return select_columns(X, columns)
    if callable(columns):
        return columns(X.given())
    wanted = columns if isinstance(columns, list | tuple) else [columns]
    if any(isinstance(column, str) for column in wanted):
        raise ValueError(
            f"sensitive_columns={columns!r} needs column names, which a Dataset or a mapped array has not: pass "
            "sensitive_features, or a position or a callable as sensitive_columns."
        )
    return np.concatenate([select_columns(part, columns) for part in X.chunks()])
