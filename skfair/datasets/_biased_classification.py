"""A made-up classification problem whose unfairness is known."""

from statistics import NormalDist

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_random_state

_DESCR = """Biased classification (made up by skfair.datasets.make_biased_classification)

{n_samples} rows, {n_groups} groups: {shares}.
Probability that a positive is recorded as negative, per group (label bias): {bias}.
Shift of the merit of the last group (historical bias): {historical_bias} standard deviations.
Share of labels flipped in every group (label noise): {label_noise}.
Base rates of the observed target: {observed}; of target_unbiased: {unbiased}.
"""


def make_biased_classification(
    n_samples=1000,
    *,
    n_features=10,
    n_merits=4,
    n_proxies=2,
    bias=0.3,
    historical_bias=0.0,
    n_groups=2,
    group_weights=None,
    base_rate=0.5,
    merit_noise=0.5,
    label_noise=0.0,
    proxy_strength=2.0,
    random_state=None,
    as_frame=True,
):
    r"""Make a binary classification problem with known unbiased labels.

    The causal model, with groups :math:`A = 0, \ldots, G-1` of which 0 is the
    privileged one, and :math:`a = A / (G - 1)`::

          historical_bias          merit_noise
        A ---------------> merits ------------> Y* (target_unbiased)
        |  proxy_strength                        |
        |----------------> proxies               v
        +--------------------------------------> Y  (target)       noise features
                         bias                      ^-- label_noise

    - representation: :math:`P(A = g)` is ``group_weights[g]``;
    - merits: :math:`M_j \sim N(-h a / \sqrt{m}, 1)`, so that their mean direction
      :math:`\sum_j M_j / \sqrt{m}` is lower by :math:`h` (`historical_bias`) in the last group;
    - true label: :math:`Y^* = 1[\sum_j M_j / \sqrt{m} + \sigma E > t]`, :math:`E \sim N(0, 1)`,
      :math:`\sigma` = `merit_noise`, and :math:`t` such that :math:`P(Y^* = 1 | A = 0)` = `base_rate`;
    - proxies, of no merit: :math:`P_j \sim N(s (a - 1/2), 1)`, :math:`s` = `proxy_strength`;
    - label bias: :math:`P(Y = 0 | Y^* = 1, A) = b_A`, :math:`P(Y = 1 | Y^* = 0) = 0`;
      then each label is flipped with probability `label_noise`, whatever the group.

    Hence, without historical bias, the observed base rate of a group is
    :math:`(1 - b_A)` times `base_rate`, and the demographic parity difference of the
    observed labels is `bias` times `base_rate` (times ``1 - 2 * label_noise``).

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=10
        Number of features: merits, proxies, and the rest independent noise.
    n_merits : int, default=4
        Number of features that cause the true label.
    n_proxies : int, default=2
        Number of features that tell the group and nothing else.
    bias : float or sequence of float, default=0.3
        :math:`b`, the probability that a qualified member of the last group is recorded as
        negative; groups between have proportionally less (:math:`b_A = b a`). A sequence
        gives :math:`b_A` for each group.
    historical_bias : float, default=0.0
        :math:`h`, in standard deviations: past disadvantage lowers the merits themselves,
        so that the true base rates differ as well.
    n_groups : int, default=2
        :math:`G`, at least 2.
    group_weights : sequence of float, default=None
        Share of each group (representation bias if uneven); by default equal.
    base_rate : float, default=0.5
        Share of positives in the privileged group before label bias and noise.
    merit_noise : float, default=0.5
        :math:`\sigma`; with 0 the true label is a function of the merits.
    label_noise : float, default=0.0
        Probability that an observed label is flipped.
    proxy_strength : float, default=2.0
        :math:`s`, the distance of the first from the last group's mean in each proxy.
    random_state : int, RandomState instance or None, default=None
        Seed. The same seed gives the same rows, groups and true labels for every `bias`
        and `label_noise`, and the labels lost at a lower `bias` are lost at a higher one.
    as_frame : bool, default=True
        If False, ``data``, ``target``, ``target_unbiased``, ``probability_unbiased`` and
        ``sensitive_features`` are numpy arrays.

    Returns
    -------
    dataset : :class:`~sklearn.utils.Bunch`
        With ``data`` (merit_*, proxy_*, noise_*; the group is not a feature), ``target``
        (observed, 1 is the desired outcome), ``target_unbiased``, ``probability_unbiased``
        (:math:`P(Y^* = 1 | M)`, what the best unbiased model would predict),
        ``sensitive_features`` (column "group": "group_0" ...), ``feature_names``,
        ``target_names``, ``categorical_features`` (none) and ``DESCR``.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    Made up: no source and no terms.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> made = make_biased_classification(20_000, bias=0.4, random_state=1)
    >>> made.target.groupby(made.sensitive_features["group"]).mean().round(2).to_dict()
    {'group_0': 0.5, 'group_1': 0.3}
    >>> made.target_unbiased.groupby(made.sensitive_features["group"]).mean().round(2).to_dict()
    {'group_0': 0.5, 'group_1': 0.5}
    """
    _check_sizes(n_samples, n_features, n_merits, n_proxies, n_groups)
    _check_in("base_rate", base_rate, 0, 1, open_ends=True)
    _check_in("label_noise", label_noise, 0, 1)
    _check_in("merit_noise", merit_noise, 0, np.inf)
    losses = _group_losses(bias, n_groups)
    weights = _group_shares(group_weights, n_groups)

    rng = check_random_state(random_state)  # draws do not depend on bias: one seed, one population
    group = np.searchsorted(np.cumsum(weights)[:-1], rng.random_sample(n_samples), side="right")
    rank = group / (n_groups - 1)  # (n,) in [0, 1]
    X = _draw_features(rank, n_features, n_merits, n_proxies, historical_bias, proxy_strength, rng)
    merit = X[:, :n_merits].sum(axis=1) / np.sqrt(n_merits)
    margin = merit - np.sqrt(1 + merit_noise**2) * NormalDist().inv_cdf(1 - base_rate)
    unbiased = (margin + merit_noise * rng.standard_normal(n_samples) > 0).astype(np.int64)
    observed = unbiased * (rng.random_sample(n_samples) >= losses[group])
    observed = np.where(rng.random_sample(n_samples) < label_noise, 1 - observed, observed)

    probability = _probability(margin, merit_noise)
    made = _bunch(X, _feature_names(n_features, n_merits, n_proxies), group, observed, unbiased, probability)
    made.DESCR = _describe(made, losses, historical_bias, label_noise, n_groups)
    if not as_frame:
        made.update({key: value.to_numpy() for key, value in made.items() if hasattr(value, "to_numpy")})
    return made


def _draw_features(rank, n_features, n_merits, n_proxies, historical_bias, proxy_strength, rng):
    """Merits, proxies and noise, side by side, (n, n_features)."""
    X = rng.standard_normal((len(rank), n_features))
    X[:, :n_merits] -= historical_bias * rank[:, None] / np.sqrt(n_merits)
    X[:, n_merits : n_merits + n_proxies] += proxy_strength * (rank[:, None] - 0.5)
    return X


def _bunch(X, names, group, observed, unbiased, probability):
    return Bunch(
        data=pd.DataFrame(X, columns=names),
        target=pd.Series(observed, name="target"),
        target_unbiased=pd.Series(unbiased, name="target_unbiased"),
        probability_unbiased=pd.Series(probability, name="probability_unbiased"),
        sensitive_features=pd.DataFrame({"group": [f"group_{code}" for code in group]}),
        feature_names=names,
        target_names=["negative", "positive"],
        categorical_features=[],
    )


def _check_in(name, value, low, high, open_ends=False):
    inside = low < value < high if open_ends else low <= value <= high
    if not inside:
        raise ValueError(f"{name} must lie {'strictly ' if open_ends else ''}between {low} and {high}, got {value!r}")


def _check_sizes(n_samples, n_features, n_merits, n_proxies, n_groups):
    for name, value, least in (
        ("n_samples", n_samples, 1),
        ("n_merits", n_merits, 1),
        ("n_proxies", n_proxies, 0),
        ("n_groups", n_groups, 2),
        ("n_features", n_features, n_merits + n_proxies),
    ):
        if value < least:
            why = " (n_merits + n_proxies)" if name == "n_features" else ""
            raise ValueError(f"{name} must be at least {least}{why}, got {value!r}")


def _group_losses(bias, n_groups):
    """Probability, per group, that a positive is recorded as negative."""
    losses = np.asarray(bias, dtype=float)
    if losses.ndim == 0:
        losses = losses * np.arange(n_groups) / (n_groups - 1)
    if losses.shape != (n_groups,) or not np.all((losses >= 0) & (losses <= 1)):
        raise ValueError(f"bias must be a probability, or one for each of {n_groups} groups, got {bias!r}")
    return losses


def _group_shares(group_weights, n_groups):
    weights = np.ones(n_groups) if group_weights is None else np.asarray(group_weights, dtype=float)
    if weights.shape != (n_groups,) or not np.all(weights >= 0) or weights.sum() <= 0:
        raise ValueError(f"group_weights must be {n_groups} numbers >= 0, not all 0, got {group_weights!r}")
    return weights / weights.sum()


def _probability(margin, merit_noise):
    """P(Y* = 1 | merits): a probit, or a step without noise."""
    if merit_noise == 0:
        return (margin > 0).astype(float)
    normal = NormalDist()
    return np.array([normal.cdf(value) for value in margin / merit_noise])


def _feature_names(n_features, n_merits, n_proxies):
    sizes = {"merit": n_merits, "proxy": n_proxies, "noise": n_features - n_merits - n_proxies}
    return [f"{kind}_{index}" for kind, size in sizes.items() for index in range(size)]


def _describe(made, losses, historical_bias, label_noise, n_groups):
    groups = made.sensitive_features["group"]
    observed = made.target.groupby(groups).mean().round(4).to_dict()
    unbiased = made.target_unbiased.groupby(groups).mean().round(4).to_dict()
    return _DESCR.format(
        n_samples=len(groups),
        n_groups=n_groups,
        shares=groups.value_counts(normalize=True).sort_index().round(4).to_dict(),
        bias=[round(float(loss), 4) for loss in losses],
        historical_bias=historical_bias,
        label_noise=label_noise,
        observed=observed,
        unbiased=unbiased,
    )
