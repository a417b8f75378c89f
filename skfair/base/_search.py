"""The private parts of scikit-learn that a search needs, in one place."""

from sklearn.model_selection._validation import _insert_error_scores, _score, _warn_or_raise_about_fit_failures
from sklearn.utils import _safe_indexing
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _num_samples

from skfair._lazy import is_dataset, subset_of

__all__ = ["check_method_params", "insert_error_scores", "num_samples", "report_failures", "safe_split", "score_model"]

check_method_params = _check_method_params
insert_error_scores = _insert_error_scores
num_samples = _num_samples
report_failures = _warn_or_raise_about_fit_failures
score_model = _score


def safe_split(estimator, X, y, indices, train_indices=None):
    """scikit-learn's own, also for a torch Dataset."""
    if is_dataset(X):
        return subset_of(X, indices), None if y is None else _safe_indexing(y, indices)
    return _safe_split(estimator, X, y, indices, train_indices)
