"""The parts of a net that the user chooses: checked before anything is trained, also an earlier stage."""

import inspect
import numbers

import numpy as np
from torch import nn

__all__ = ["check_parts"]

PARTS = {
    "criterion": "the class of a loss, such as torch.nn.CrossEntropyLoss",
    "optimizer": "an optimizer's class, such as torch.optim.Adam",
    "adversary_optimizer": "an optimizer's class, such as torch.optim.Adam",
}


def check_parts(net):
    """Raise a ValueError or TypeError for a network, loss, optimizer or callback that cannot be one."""
    parts = {name: getattr(net, name) for name in PARTS if hasattr(net, name)}
    module = net.module_class()  # raises for a name that there is not
    if net.module is not None or inspect.signature(type(net).__init__).parameters["module"].default is not None:
        parts["module"] = module  # else None stands for one that depends on X
    for name, part in parts.items():
        if not callable(part):
            what = PARTS.get(name, "a torch module, its class, or the name of one")
            raise ValueError(f"{name} must be {what}, got {part!r}.")
        if not isinstance(part, nn.Module):
            _check_keywords(part, net.get_params_for(name))
    if net.module is None or getattr(getattr(module, "func", module), "__module__", "").startswith("skfair.modules"):
        _check_widths(net.get_params_for("module").get("hidden", ()))
    _check_callbacks(net.callbacks)


def _check_keywords(part, given):
    takes = inspect.signature(part).parameters
    unknown = sorted(set(given) - set(takes) - {"param_groups"})  # skorch's own, for optimizers
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
        name = getattr(getattr(part, "func", part), "__name__", repr(part))
        raise TypeError(f"{name}.__init__() got an unexpected keyword argument {unknown[0]!r}; it takes {list(takes)}.")


def _check_widths(hidden):
    if not np.iterable(hidden) or not all(isinstance(n, numbers.Integral) and n >= 1 for n in hidden):
        raise ValueError(f"module__hidden must be a sequence of integers >= 1, got {hidden!r}.")


def _check_callbacks(callbacks):
    if callbacks is None or callbacks == "disable":
        return
    found = callbacks if isinstance(callbacks, list) else [callbacks]
    found = [item[1] if isinstance(item, list | tuple) and len(item) == 2 else item for item in found]
    if not isinstance(callbacks, list) or not all(hasattr(item, "on_epoch_end") for item in found):
        raise ValueError(f"callbacks must be a list of skorch callbacks, got {callbacks!r}.")
    for item in found:
        _check_callback(item)


def _check_callback(callback):
    """Raise for callbacks of skorch that look for what is not there: labels alone as y, a column of the history."""
    name = type(callback).__name__
    kinds = {kind.__name__ for kind in type(callback).__mro__ if kind.__module__.startswith("skorch.")}
    if kinds & {"EpochScoring", "BatchScoring"}:
        scoring = callback.scoring
        if scoring is None or isinstance(scoring, str) or hasattr(scoring, "_score_func"):
            raise ValueError(
                f"callbacks has {name}({scoring!r}), which finds no labels here: use skfair.callbacks.FairnessScoring, "
                "with 'accuracy', a fairness metric or a function of labels and predictions."
            )
    if "Checkpoint" in kinds and callback.monitor in ("valid_loss_best", "train_loss_best"):
        raise ValueError(
            f"callbacks has {name}(monitor={callback.monitor!r}), which is no column of the history. early_stopping=True "
            "keeps the best epoch; monitor=None writes each epoch; monitor may be a function of the net."
        )
