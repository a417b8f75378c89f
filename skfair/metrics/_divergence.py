"""Divergence between the score distributions of groups, given the true label."""

import itertools

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from ._counts import divide, warn_undefined
from ._docs import documented
from ._gaps import check_choice
from ._inputs import as_labels, as_scores, as_weight, encode_groups
from ._random import as_generator

__all__ = ["score_kl"]

_FLOOR = 1e-6


def histogram_cells(codes, n_codes, scores, n_bins, score_range):
    """Return (flat cell of each row, number of cells) of histograms with the same edges for all codes."""
    low, high = score_range
    if not low < high:
        raise ValueError(f"score_range must be (low, high) with low < high, got {score_range!r}.")
    if scores.min() < low or scores.max() > high:
        raise ValueError(
            f"y_score must lie in score_range={score_range!r}, got values from {scores.min()} to {scores.max()}: "
            "pass probabilities, or the range of your scores."
        )
    bins = np.minimum(((scores - low) / (high - low) * n_bins).astype(np.intp), n_bins - 1)
    return codes * n_bins + bins, n_codes * n_bins


def symmetric_kl(counts):
    """Largest KL(p||q) + KL(q||p) over pairs of groups: (..., T) from histograms of shape (..., T, G, n_bins)."""
    smooth = gaussian_filter1d(counts, sigma=1.0, axis=-1, mode="reflect")
    density = divide(smooth, smooth.sum(-1, keepdims=True)) + _FLOOR
    density = density / density.sum(-1, keepdims=True)
    pairs = list(itertools.combinations(range(counts.shape[-2]), 2))
    if not pairs:
        return np.where(np.isnan(density).any((-2, -1)), np.nan, 0.0)
    values = []
    for a, b in pairs:
        p, q = density[..., a, :], density[..., b, :]
        values.append(((p - q) * np.log(p / q)).sum(-1))
    values = np.stack(values, -1)
    defined = ~np.isnan(values)
    return np.where(defined.any(-1), np.where(defined, values, -np.inf).max(-1), np.nan)


def _official_density(scores, n_bins):
    """The published histogram: a range of its own, and a filter that truncates to integers."""
    counts, _ = np.histogram(scores, bins=n_bins)
    smooth = gaussian_filter(counts, sigma=1)  # int64 in, int64 out
    return divide(smooth, smooth.sum()) + _FLOOR


def _official_terms(cells, n_bins):
    """The directed divergences of two groups, both directions for each label; ``cells[t][g]`` holds scores."""
    terms = []
    for groups in cells:
        if any(len(scores) == 0 for scores in groups):
            terms += [np.nan, np.nan]
            continue
        p, q = (_official_density(scores, n_bins) for scores in groups)
        terms += [float((p * np.log(p / q)).sum()), float((q * np.log(q / p)).sum())]
    return terms


def _official_pair(labels, codes, scores, pair, n_bins, n_boot, rng):
    """The published divergences of all resamples, labels and directions: shape (max(n_boot, 1) * T * 2,)."""
    keep = np.isin(codes, pair)
    labels, codes, scores = labels[keep], codes[keep], scores[keep]
    targets, terms = np.unique(labels), []
    for _ in range(max(n_boot, 1)):
        rows = rng.integers(len(scores), size=len(scores)) if n_boot else slice(None)
        y, s, r = labels[rows], codes[rows], scores[rows]
        terms += _official_terms([[r[(y == t) & (s == g)] for g in pair] for t in targets], n_bins)
    return np.asarray(terms)


def _official(labels, codes, scores, groups, n_bins, n_boot, rng):
    """Median of the published divergences, at its largest over pairs of groups; warns about empty histograms."""
    values, phrases = [0.0] if len(groups) == 1 else [], []
    for pair in itertools.combinations(range(len(groups)), 2):
        terms = _official_pair(labels, codes, scores, pair, n_bins, n_boot, rng)
        defined = terms[~np.isnan(terms)]
        if len(defined) < len(terms):
            names = [groups[g] for g in pair]
            phrases.append(f"{len(terms) - len(defined)} of {len(terms)} divergences of groups {names!r} are undefined")
        if len(defined):
            values.append(float(np.median(defined)))
    result = max(values, default=np.nan)
    warn_undefined(phrases, np.asarray(result), stacklevel=3)
    return result


@documented
def score_kl(
    y_true,
    y_score,
    *,
    sensitive_features,
    sample_weight=None,
    estimator="paper",
    reduction="mean",
    n_bins=50,
    score_range=(0.0, 1.0),
    n_boot=500,
    random_state=None,
):
    r"""Symmetric Kullback-Leibler divergence between the scores of two groups with the same true label.

    .. math:: KL_t = \max_{a, b}\; D(p_{a,t} \,\|\, p_{b,t}) + D(p_{b,t} \,\|\, p_{a,t})

    where :math:`p_{s,t}` is the smoothed histogram of the scores of group s with true label t. All zero is a stricter
    form of equalized odds: equal at every threshold.

    Parameters
    ----------
    <<y_true>>
    <<y_score>>
    <<sensitive_features>>
    <<sample_weight>> Not with ``estimator="official"``.
    estimator : {"paper", "official"}, default="paper"
        "paper": edges common to all groups, float counts, a Gaussian filter of one bin, a floor of 1e-6, both
        directions summed. "official": what the published code computes, for comparison with its tables only; see Notes.
    reduction : {"mean", None}, default="mean"
        None returns the value of each label, for ``estimator="paper"``.
    n_bins : int, default=50
    score_range : (float, float), default=(0, 1)
        Range of the common edges.
    n_boot : int, default=500
        Resamples of the rows for ``estimator="official"``; 0 takes the rows as they are. Not used by "paper".
    random_state : int, numpy Generator, RandomState or None, default=None
        For the resamples of ``estimator="official"``.

    Returns
    -------
    float or Series indexed by label
        In nats, from 0. With disjoint supports about :math:`2 \ln(10^6 p)` for a height p of the histogram, which the
        floor sets. NaN, with an :class:`UndefinedGapWarning`, for a label of which only one group has rows.

    Raises
    ------
    ValueError
        For scores outside ``score_range``, unknown choices, and bad labels or weights.

    Notes
    -----
    The published code takes a fresh range for each histogram and filters integer counts, which truncates: it cannot
    see affine changes (0 for b = 0.1 + 0.3 a, and for scores in [0, 0.3] against [0.7, 1]) and loses most of a small
    cell (40 scores keep 16 counts). It then takes the median over 500 resamples, both labels and both directions.

    References
    ----------
    Ramaswamy et al., "Fair Attribute Classification through Latent Space De-biasing", CVPR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from skfair.metrics import score_kl
    >>> a = np.linspace(0, 0.3, 200)
    >>> scores, sex = np.concatenate([a, a + 0.7]), np.repeat(["f", "m"], 200)
    >>> score_kl(np.ones(400), scores, sensitive_features=sex) > 10
    True
    >>> score_kl(np.ones(400), scores, sensitive_features=sex, estimator="official", n_boot=0)
    0.0
    """
    check_choice(estimator, ("paper", "official"), "estimator")
    check_choice(reduction, ("mean", None), "reduction")
    labels = as_labels(y_true, "y_true")
    scores = as_scores(y_score, len(labels))
    codes, groups, _ = encode_groups(sensitive_features, len(labels), y_true=y_true, y_score=y_score)
    weight = as_weight(sample_weight, len(labels))
    if estimator == "official":
        if weight is not None or reduction is None:
            raise ValueError('estimator="official" takes no sample_weight and needs reduction="mean".')
        return _official(labels, codes, scores, groups, n_bins, n_boot, as_generator(random_state))
    targets, t = np.unique(labels, return_inverse=True)
    shape = (len(targets), len(groups), n_bins)
    cells, n_cells = histogram_cells(t * len(groups) + codes, shape[0] * shape[1], scores, n_bins, score_range)
    counts = np.bincount(cells, weights=weight, minlength=n_cells).astype(np.float64).reshape(shape)
    return _report(symmetric_kl(counts), counts, targets.tolist(), groups, reduction)


def _report(values, counts, targets, groups, reduction):
    """Warn about empty cells and return the mean over labels or one value for each."""
    empty = [(targets[i], groups[g]) for i, g in np.argwhere(counts.sum(-1) == 0)]
    phrases = [f"no row in the (label, group) cells {empty[:5]!r}"] if empty else []
    # NOTE: groups without a row are left out of a label's pairs; a label with one group has no divergence
    defined = values[~np.isnan(values)]
    mean = defined.mean() if len(defined) else np.nan
    warn_undefined(phrases, values if reduction is None else np.asarray(mean), stacklevel=3)
    return float(mean) if reduction == "mean" else pd.Series(values, index=targets, name="score_kl")
