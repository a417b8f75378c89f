"""scikit-learn's own checks, on every estimator of the library, with the real network."""

from common import all_quick
from sklearn.utils.estimator_checks import parametrize_with_checks

REASON = (
    "a weight of 2 and a row given twice are the same loss, but not the same minibatches, dropout or held-out rows; "
    "test_weights_equal_repetition checks the same on whole batches"
)


def expected_failures(estimator):
    return {f"check_sample_weight_equivalence_on_{kind}_data": REASON for kind in ("dense", "sparse")}


@parametrize_with_checks(all_quick(), expected_failed_checks=expected_failures)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
