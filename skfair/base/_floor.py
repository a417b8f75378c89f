"""What chooses the best epoch, with a floor under the accuracy."""

import numpy as np

from skfair.callbacks import resolve_score

__all__ = ["FlooredScore"]


class FlooredScore:
    """A score on held-out rows that is NaN, so that it never wins, where the accuracy falls below a floor.

    Parameters
    ----------
    score : str or callable
        As in ``early_stopping``.
    min_accuracy : float
        The floor.
    """

    def __init__(self, score, min_accuracy):
        self.score = self.floored = score
        self.min_accuracy = min_accuracy

    def score_predictions(self, y_true, y_pred, *, sensitive_features, sample_weight=None):
        """The score of predictions; greater is better."""
        right = np.asarray(y_true) == np.asarray(y_pred)
        if np.average(right, weights=sample_weight) < self.min_accuracy:
            return np.nan
        score = resolve_score(self.score)
        return score(y_true, y_pred, sensitive_features=sensitive_features, sample_weight=sample_weight)
