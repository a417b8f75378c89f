"""Fitted classifiers as frozen functions of tensors: what a method needs that works on the outside of a model."""

import copy

import numpy as np
import pandas as pd
import torch
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skfair.base._skorch import SkorchNet
from skfair.modules import Reprogrammed

__all__ = ["Frozen", "frozen_network", "has_gradients", "inner_estimator", "is_fitted", "unwrapped"]


def inner_estimator(estimator):
    """What a ``FrozenEstimator`` holds, or the estimator itself.

    Parameters
    ----------
    estimator : estimator
        In any number of ``FrozenEstimator``.

    Returns
    -------
    estimator
    """
    return inner_estimator(estimator.estimator) if isinstance(estimator, FrozenEstimator) else estimator


def is_fitted(estimator):
    """Whether it can be asked for predictions; torch modules always can.

    Parameters
    ----------
    estimator : estimator, torch.nn.Module or None
        In a ``FrozenEstimator`` or not.

    Returns
    -------
    bool
    """
    estimator = inner_estimator(estimator)
    if estimator is None or isinstance(estimator, type):
        return False
    if isinstance(estimator, nn.Module):
        return True
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return False
    return hasattr(estimator, "classes_") or hasattr(estimator, "module_")


class Frozen:
    """A network made by ``frozen_network``; two of the same estimator are equal, so that nets can share one in a stack.

    Parameters
    ----------
    estimator : fitted classifier or torch.nn.Module
        As in :func:`frozen_network`.
    device : str, default="cpu"
        Where the network is to be.
    """

    def __init__(self, estimator, device="cpu"):
        self.source, self.device = inner_estimator(estimator), str(device)
        self.network, self.differentiable = frozen_network(estimator, device)

    def __eq__(self, other):
        return isinstance(other, Frozen) and self.source is other.source and self.device == other.device

    def __hash__(self):
        return hash((id(self.source), self.device))


def has_gradients(estimator):
    """Whether gradients pass through a classifier: through nets of skfair and skorch, and torch modules.

    Parameters
    ----------
    estimator : classifier or torch.nn.Module
        Fitted or not.

    Returns
    -------
    bool
    """
    estimator = inner_estimator(estimator)
    if isinstance(estimator, nn.Module):
        return True
    return hasattr(estimator, "module") and not isinstance(unwrapped(getattr(estimator, "module_", None)), BlackBox)


def unwrapped(module):
    """The network itself, behind triggers.

    Parameters
    ----------
    module : torch.nn.Module
        With triggers in front of it or without.

    Returns
    -------
    torch.nn.Module
    """
    while isinstance(module, Reprogrammed | Logits):
        module = module.network if isinstance(module, Reprogrammed) else module.module
    return module


def frozen_network(estimator, device="cpu"):
    """A fitted classifier as a module that gives logits (n, K), and whether gradients pass through it.

    The network is a copy in evaluation mode, whose parameters ask for no gradient: the estimator itself is not touched.

    Parameters
    ----------
    estimator : net of skfair or skorch, torch module, or any classifier with ``predict_proba``
    device : str or torch.device

    Returns
    -------
    module : torch.nn.Module
    differentiable : bool
    """
    estimator = inner_estimator(estimator)
    tells = isinstance(estimator, nn.Module) or hasattr(estimator, "predict_proba")
    module = estimator if isinstance(estimator, nn.Module) else getattr(estimator, "module_", None) if tells else None
    if isinstance(module, nn.Module):
        own = copy.deepcopy(module).to(device).requires_grad_(False).eval()
        return Logits(own, _reading(estimator)), has_gradients(estimator)
    if hasattr(estimator, "predict_proba"):
        return BlackBox(copy.deepcopy(estimator)), False
    raise ValueError(f"the estimator must be a network or have predict_proba, got {estimator!r}.")


def _reading(estimator):
    """How the outputs of an estimator's network are read."""
    if isinstance(estimator, SkorchNet):
        return "logits"
    criterion = type(getattr(estimator, "criterion_", None)).__name__
    return {"NLLLoss": "probabilities", "BCELoss": "probability"}.get(criterion, "logits")


class Logits(nn.Module):
    """A network whose output is read as logits of shape (n, K)."""

    def __init__(self, module, reading="logits"):
        super().__init__()
        self.module, self.reading = module, reading

    @property
    def runs_in_float64(self):
        return getattr(self.module, "runs_in_float64", False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output = self.module(x)
        output = output[0] if isinstance(output, tuple) else output
        if self.reading == "probability":
            p = output.reshape(-1, 1)
            return torch.cat([1 - p, p], 1).clamp_min(1e-30).log()
        if self.reading == "probabilities":
            return output.clamp_min(1e-30).log()
        if output.ndim == 1 or output.shape[1] == 1:  # the logit of the second class
            output = output.reshape(-1, 1)
            return torch.cat([torch.zeros_like(output), output], 1)
        return output


class BlackBox(nn.Module):
    """A classifier without gradients: logarithms of its probabilities."""

    runs_in_float64 = True

    def __init__(self, estimator):
        super().__init__()
        self.estimator = estimator

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.detach().cpu().double().numpy()
        if hasattr(self.estimator, "feature_names_in_"):
            rows = pd.DataFrame(rows, columns=self.estimator.feature_names_in_)
        found = np.log(np.maximum(self.estimator.predict_proba(rows), 1e-6))
        return torch.as_tensor(found, dtype=x.dtype, device=x.device)
