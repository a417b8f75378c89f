"""How much of the sensitive features a code holds."""

import numbers

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import StratifiedShuffleSplit, check_cv

from skfair._sensitive import SensitiveEncoder, sensitive_frame
from skfair.base import BaseClassifier, check_choice, check_number
from skfair.base._members import make_members, unstackable
from skfair.base._stack import stacks_of, train_stack
from skfair.functional import clamp_perturbation, gradient_explanation
from skfair.robust import ERMClassifier

__all__ = ["sensitive_leakage"]

ETAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def sensitive_leakage(
    encoder_or_codes,
    X=None,
    *,
    sensitive_features,
    eta=ETAS,
    explain="ce",
    clip=None,
    n_removed=1,
    probe=None,
    cv=None,
    random_state=None,
):
    r"""Measure how well sensitive features are read from codes: as they are, with dimensions removed, and perturbed.

    A probe d is trained on the codes z of a part of the rows to tell the groups. On the other rows its accuracy is measured
    after each *treatment*: none; the ``n_removed`` dimensions of largest correlation with the groups removed; and the
    perturbation of DVGE, :math:`z' = z + \operatorname{clip}(\eta\, \nabla_z L(d(z), \operatorname{argmax} d(z)))`. Once
    with d as it is (*fixed*) and once with a probe that is *retrained* on treated rows. Low accuracy of the
    retrained probe means that the information is gone, low accuracy of the fixed one only that it has moved.

    Parameters
    ----------
    encoder_or_codes : fitted transformer, or array of shape (n, D)
        What gives the codes of X, or the codes.
    X : array-like of shape (n, ...), optional
        Needed with a transformer.
    sensitive_features : array-like, Series or DataFrame of shape (n,) or (n, k)
        Several columns are taken jointly: the probe tells their intersections.
    eta : sequence of float, default=(0.1, 0.2, ..., 1.0)
        Strengths :math:`\eta`.
    explain : {"ce", "neg_logit", "logit"}, default="ce"
        L, as in :class:`skfair.representation.DVGEClassifier`.
    clip : float or None, default=None
        As there.
    n_removed : int, default=1
        How many dimensions are removed. The retrained probe does not see them; the fixed one sees their mean.
    probe : net of skfair, optional
        A classifier; by default an :class:`skfair.robust.ERMClassifier` with 20 epochs.
    cv : int, splitter or iterable, optional
        Where the probes are trained and where measured. By default one split, with half of the rows each.
    random_state : int, numpy RandomState or None, default=None
        Of the default split, and of the default probe.

    Returns
    -------
    DataFrame
        One row per split and treatment: ``split``, ``treatment`` ("none", "removed", "perturbed"), ``eta`` (NaN but for
        the last), ``fixed`` and ``retrained`` (accuracies on treated rows), ``clean`` (accuracy of the retrained probe
        on rows that are not treated, as a task head meets them), ``balanced`` (balanced accuracy of the
        retrained one), and ``majority`` (accuracy of a constant).

    Raises
    ------
    ValueError
        If X is missing, a parameter is out of its range, or there is only one group.

    Notes
    -----
    This is the protocol of Tables 1 and 2 (retrained) and 5 and 6 (fixed) of the DVGE paper, with ``clip=None`` as in
    its code.
    NOTE[DIFF] The paper reports the highest accuracy over the epochs of a probe, on test rows; here it is that of the last.

    References
    ----------
    Zhang et al., "Model debiasing via gradient-based explanation on representation", AIES 2023.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.inspection import sensitive_leakage
    >>> data = make_biased_classification(600, random_state=0)
    >>> found = sensitive_leakage(
    ...     data.data.to_numpy(), sensitive_features=data.sensitive_features, eta=[0.5], random_state=0
    ... )
    >>> list(found["treatment"])
    ['none', 'removed', 'perturbed']
    """
    Z, groups = _codes(encoder_or_codes, X), _groups(sensitive_features)
    if len(Z) != len(groups):
        raise ValueError(f"there are codes of {len(Z)} rows, but sensitive_features of {len(groups)}.")
    _check(eta, explain, clip, n_removed, Z.shape[1], groups)
    if not (probe is None or isinstance(probe, BaseClassifier)):
        raise ValueError(f"probe must be a classifier of skfair, got {probe!r}.")
    probe = ERMClassifier(max_epochs=20, random_state=_seed(random_state)) if probe is None else probe
    found = []
    for number, (train, test) in enumerate(_splits(cv, Z, groups, random_state)):
        rows = _one_split(Z, groups, train, test, probe, list(eta), explain, clip, n_removed)
        found += [{"split": number, **row} for row in rows]
    return pd.DataFrame(found)


def _seed(random_state):
    return random_state if random_state is None or isinstance(random_state, numbers.Integral) else 0


def _codes(encoder, X):
    if hasattr(encoder, "transform") and hasattr(encoder, "fit"):  # a DataFrame has a transform too
        if X is None:
            raise ValueError("X is needed: its rows are to be encoded.")
        encoder = encoder.transform(X)
    Z = np.array(encoder.toarray() if sp.issparse(encoder) else encoder, dtype=np.float32)
    if Z.ndim != 2 or not np.isfinite(Z).all():
        raise ValueError(f"the codes must be finite numbers of shape (n, D), got the shape {Z.shape}.")
    return Z


def _groups(sensitive_features):
    frame = sensitive_frame(sensitive_features)
    return SensitiveEncoder().fit(frame).transform(frame)[1]


def _check(eta, explain, clip, n_removed, width, groups):
    check_choice("explain", explain, {"ce", "neg_logit", "logit"})
    check_number("clip", 0 if clip is None else clip, low=0)
    if np.ndim(eta) != 1:
        raise ValueError(f"eta must be a sequence of numbers, got {eta!r}.")
    for value in eta:
        check_number("each eta", value, low=0)
    check_number("n_removed", n_removed, low=0, high=width - 1, integer=True)  # one dimension has to stay
    if len(np.unique(groups)) < 2:
        raise ValueError("sensitive_features has only one group: there is nothing to read.")


def _splits(cv, Z, groups, random_state):
    if cv is None:
        cv = StratifiedShuffleSplit(1, test_size=0.5, random_state=random_state)
    return check_cv(cv, groups, classifier=True).split(Z, groups)


def _one_split(Z, groups, train, test, probe, etas, explain, clip, n_removed):
    """The rows of one split, as dicts."""
    s, truth = groups[train], groups[test]
    fixed = clone(probe).fit(Z[train], s)
    mean, gone = Z[train].mean(0), _most_correlated(Z[train], s, n_removed)
    kept = np.setdiff1d(np.arange(Z.shape[1]), gone)
    blank = Z.copy()
    blank[:, gone] = mean[gone]
    steps = _explanation(fixed, Z, explain)
    treated = [("none", np.nan, Z, Z), ("removed", np.nan, blank, Z[:, kept])]
    for eta in etas:
        moved = Z + _clamped(eta * steps, Z, clip)
        treated.append(("perturbed", eta, moved, moved))
    probes = [fixed, *_retrained(probe, [own[train] for *_, own in treated[1:]], s)]
    majority = (truth == np.bincount(s).argmax()).mean()
    for (name, eta, seen, own), net in zip(treated, probes):
        clean = Z[:, kept] if name == "removed" else Z
        predicted = net.predict(own[test])
        yield {
            "treatment": name,
            "eta": eta,
            "fixed": accuracy_score(truth, fixed.predict(seen[test])),
            "retrained": accuracy_score(truth, predicted),
            "clean": accuracy_score(truth, net.predict(clean[test])),
            "balanced": balanced_accuracy_score(truth, predicted),
            "majority": majority,
        }


def _most_correlated(Z, groups, n_removed):
    """The dimensions of largest correlation with any group."""
    member = np.eye(groups.max() + 1)[groups]
    centred, member = Z - Z.mean(0), member - member.mean(0)
    scale = np.outer(np.linalg.norm(centred, axis=0), np.linalg.norm(member, axis=0))
    correlation = np.abs(centred.T @ member) / np.where(scale > 0, scale, 1)
    return np.argsort(-correlation.max(1), kind="stable")[:n_removed]


def _explanation(net, Z, explain):
    """The gradient that each row is moved along, (n, D)."""
    parts = torch.from_numpy(Z).to(net.device_).split(4096)
    module = net.module_.eval()
    return torch.cat(
        [gradient_explanation(lambda z: net.main_output(module(z)), part, explain) for part in parts]
    ).cpu()


def _clamped(v, Z, clip):
    return clamp_perturbation(v, torch.from_numpy(Z), clip).numpy()


def _retrained(probe, codes, groups):
    """A probe for each of the codes, trained side by side where their widths agree."""
    if unstackable(probe) is not None:
        return [clone(probe).fit(Z, groups) for Z in codes]
    members = [make_members([clone(probe)], Z, groups)[0] for Z in codes]
    for stack in stacks_of([member for member in members if member.exception is None]):
        train_stack(stack)
    for member in members:
        if member.exception is not None:
            raise member.exception
    return [member.net for member in members]
