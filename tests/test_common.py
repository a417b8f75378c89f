"""scikit-learn's own checks, on every estimator of the library, with the real network."""

from common import RIGHTLY_WARNED, all_quick
from sklearn.utils.estimator_checks import parametrize_with_checks

pytestmark = RIGHTLY_WARNED


REASON = (
    "a weight of 2 and a row given twice are the same loss, but not the same minibatches, dropout or held-out rows; "
    "test_weights_equal_repetition checks the same on whole batches"
)


PERTURBED = (
    "fit_transform returns perturbed codes and transform clean ones, as documented (scikit-learn's TargetEncoder)"
)


def expected_failures(estimator):
    expected = {f"check_sample_weight_equivalence_on_{kind}_data": REASON for kind in ("dense", "sparse")}
    if type(estimator).__name__ == "DVGETransformer":
        names = ("check_transformer_general", "check_transformer_data_not_an_array")
        expected |= dict.fromkeys(names, PERTURBED)
    return expected


@parametrize_with_checks(all_quick(), expected_failed_checks=expected_failures)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
