"""scikit-learn's own checks, on every estimator of the library, with the real network."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from common import all_quick


def expected_failures(estimator):
    return {}


@parametrize_with_checks(all_quick(), expected_failed_checks=expected_failures)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
