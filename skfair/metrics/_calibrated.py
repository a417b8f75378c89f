"""Equal opportunity at a threshold that keeps the number of positives."""

import numpy as np

from ._counts import positive_labels
from ._docs import documented
from ._inputs import as_labels, as_scores, as_weight
from ._opportunity import equal_opportunity_difference

__all__ = ["calibrated_threshold", "equal_opportunity_at_calibrated_threshold"]


def _is_positive(y_true, pos_label):
    """Return the boolean array "is positive"; more than two classes need ``pos_label``."""
    labels = as_labels(y_true, "y_true")
    positives = positive_labels(np.unique(labels), pos_label)
    if len(positives) > 1:
        raise ValueError(f"pos_label is needed for the {len(positives)} classes {positives!r}, got None.")
    return labels == positives[0]


@documented
def calibrated_threshold(y_true, y_score, *, strict=False, sample_weight=None, pos_label=None):
    r"""Threshold at which as many rows are predicted positive as are positive.

    With :math:`c` the number of positive rows, it is the :math:`c`-th largest score. Choose it on validation data;
    predict positive where ``y_score >= threshold``.

    Parameters
    ----------
    <<y_true>>
    <<y_score>>
    strict : bool, default=False
        True returns the next number above, so that ``>=`` does what ``>`` does in the published code: ``c - 1``
        positives.
    <<sample_weight>>
    pos_label : label, default=None
        The positive label; None means 1, and is an error where the labels do not lie in {0, 1} or {-1, 1}.

    Returns
    -------
    float
        In the unit of the scores. Ties at the threshold are all predicted positive.

    Raises
    ------
    ValueError
        Where no row is positive, and for bad labels, scores or weights.

    Notes
    -----
    The paper says "same number of positives", its code compares with ``>`` and gets one fewer; ``strict=True`` is its
    code.

    References
    ----------
    Ramaswamy et al., "Fair Attribute Classification through Latent Space De-biasing", CVPR 2021.

    Examples
    --------
    >>> from skfair.metrics import calibrated_threshold
    >>> calibrated_threshold([0, 1, 0, 1], [0.1, 0.4, 0.7, 0.9])
    0.7
    """
    # NOTE[DIFF] >= by default, for the "same number" of the text; the code's > is strict=True.
    positive = _is_positive(y_true, pos_label)
    scores = as_scores(y_score, len(positive))
    weight = as_weight(sample_weight, len(positive))
    weight = np.ones(len(positive)) if weight is None else weight
    wanted = weight[positive].sum()
    if wanted == 0:
        raise ValueError("y_true has no positive row (or none with a weight): there is no threshold to calibrate.")
    order = np.argsort(-scores, kind="stable")
    reached = np.cumsum(weight[order])
    threshold = scores[order][np.searchsorted(reached, wanted * (1 - 1e-12))]
    return float(np.nextafter(threshold, np.inf) if strict else threshold)


@documented
def equal_opportunity_at_calibrated_threshold(
    y_true, y_score, *, sensitive_features, threshold=None, strict=False, sample_weight=None, pos_label=None
):
    r"""Difference in true positive rate (equally, in false negative rate) at a calibrated threshold: DEO.

    .. math:: \max_{a, b} |P(r \ge \tau \mid y = 1, s = a) - P(r \ge \tau \mid y = 1, s = b)|

    for the score :math:`r` and :math:`\tau` of :func:`calibrated_threshold`.

    Parameters
    ----------
    <<y_true>>
    <<y_score>>
    <<sensitive_features>>
    threshold : float, default=None
        The threshold found on validation data. None calibrates on the data given.
    strict : bool, default=False
        Predict positive above the threshold (True, the published code) or from the threshold on.
    <<sample_weight>>
    pos_label : label, default=None
        The positive label; None means 1, and is an error where the labels do not lie in {0, 1} or {-1, 1}.

    Returns
    -------
    <<returns>>

    Raises
    ------
    ValueError
        As :func:`calibrated_threshold` and :func:`equal_opportunity_difference`.

    References
    ----------
    Ramaswamy et al., "Fair Attribute Classification through Latent Space De-biasing", CVPR 2021 (their DEO).

    Examples
    --------
    >>> from skfair.metrics import equal_opportunity_at_calibrated_threshold
    >>> y_true, y_score, sex = [1, 1, 0, 1, 1, 0], [0.9, 0.2, 0.3, 0.8, 0.7, 0.6], ["f", "f", "f", "m", "m", "m"]
    >>> equal_opportunity_at_calibrated_threshold(y_true, y_score, sensitive_features=sex)
    0.5
    """
    positive = _is_positive(y_true, pos_label)
    scores = as_scores(y_score, len(positive))
    if threshold is None:
        threshold = calibrated_threshold(positive, scores, strict=strict, sample_weight=sample_weight)
        strict = False
    selected = scores > threshold if strict else scores >= threshold
    options = {"sensitive_features": sensitive_features, "sample_weight": sample_weight}
    return equal_opportunity_difference(positive.astype(int), selected.astype(int), **options)
