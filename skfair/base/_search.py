"""The private parts of scikit-learn that a search needs, in one place."""

from sklearn.model_selection._validation import _insert_error_scores, _score, _warn_or_raise_about_fit_failures
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _num_samples

__all__ = ["check_method_params", "insert_error_scores", "num_samples", "report_failures", "safe_split", "score_model"]

check_method_params = _check_method_params
insert_error_scores = _insert_error_scores
num_samples = _num_samples
report_failures = _warn_or_raise_about_fit_failures
safe_split = _safe_split
score_model = _score
