"""Attribute classifiers: what labels the rows that a generator makes."""

import numpy as np
from sklearn.metrics import f1_score

__all__ = ["AttributeClassifier", "best_threshold", "check_classifier"]


def check_classifier(classifier):
    """Raise a ValueError unless it is an object with ``predict_proba``, or None."""
    if isinstance(classifier, type) or not (classifier is None or hasattr(classifier, "predict_proba")):
        raise ValueError(f"classifier must have predict_proba, but {classifier!r} has none.")


def best_threshold(positive, score):
    """The threshold of largest F1: the best of 0.1, ..., 0.9, then the best in steps of 0.01 around it.

    Among equal ones it is the nearest to 1/2. A row is positive where its score is above the threshold.

    Parameters
    ----------
    positive : bool array of shape (n,)
    score : array of shape (n,)
        Probabilities.

    Returns
    -------
    float
    """

    def best(candidates):
        scores = [f1_score(positive, score > threshold, zero_division=0.0) for threshold in candidates]
        equal = candidates[np.isclose(scores, max(scores))]
        return equal[np.abs(equal - 0.5).argmin()]

    if not (score > 0.1).any():  # a rare label: the coarse steps would miss all of it
        return float(best(np.concatenate([[0.0, 0.001, 0.002, 0.005], np.arange(1, 10) / 100])))
    coarse = best(np.arange(1, 10) / 10)
    steps = np.arange(-9, 10) / 100
    return float(np.round(best((coarse + steps).clip(0.01, 0.99)), 2))


class AttributeClassifier:
    """One fitted classifier and its threshold: codes of labels for rows.

    Parameters
    ----------
    fitted : classifier with ``predict_proba``, fitted on codes
    n_classes : int
        Two classes have a threshold, more are predicted as the likeliest.
    X, codes : arrays
        The rows to choose the threshold on.
    """

    def __init__(self, fitted, n_classes, X, codes):
        self.fitted = fitted
        self.threshold = best_threshold(codes == 1, self.scores(X)[:, 1]) if n_classes == 2 else None

    def scores(self, X):
        """Probabilities of the classes, (n, K)."""
        return np.asarray(self.fitted.predict_proba(X), dtype=np.float64)

    def label(self, X):
        """Codes of the labels of rows, (n,)."""
        scores = self.scores(X)
        return scores.argmax(1) if self.threshold is None else (scores[:, 1] > self.threshold).astype(np.int64)
