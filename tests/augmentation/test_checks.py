"""The checks of imbalanced-learn and scikit-learn, on the samplers, the generators and the meta-estimator."""

import numpy as np
import pytest
from common import some_groups
from imblearn.over_sampling import RandomOverSampler
from imblearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.estimator_checks import parametrize_with_checks

from skfair.augmentation import LatentDebiasingSampler, PCAGenerator, Resampled, VAEGenerator
from skfair.representation import VAETransformer
from skfair.robust import ERMClassifier

NET = ERMClassifier(lr=0.02, max_epochs=30, batch_size=32, random_state=0)
INVERSION = dict(source="inversion", hyperplane_balance="cell")
ANY = dict(source="inversion", perturbation="none")  # for data with fewer columns than hyperplanes


def alternating(X):
    """Groups that have nothing to do with the labels, whatever data a check makes."""
    return np.arange(X.shape[0] if hasattr(X, "shape") else len(X)) % 2


def sampler(**parameters):
    defaults = dict(n_hyperplane=400, n_check=100, sensitive_columns=some_groups, random_state=0)
    return LatentDebiasingSampler(**{"classifier": NET, "generator": PCAGenerator(), **defaults, **parameters})


SAMPLER_CHECKS = [
    pytest.param(estimator, check, id=f"{estimator.source}-{check.func.__name__}")
    for given in (sampler(sensitive_columns=alternating), sampler(sensitive_columns=alternating, **INVERSION))
    for estimator, check in estimator_checks_generator(given)
]  # a list: imbalanced-learn's own decorator hands pytest a generator, which it is about to refuse


@pytest.mark.parametrize(("estimator", "check"), SAMPLER_CHECKS)
def test_imbalanced_learn_checks(estimator, check):
    check(estimator)


GENERATORS = [
    PCAGenerator(),
    VAEGenerator(VAETransformer(n_components=3, max_epochs=2), min_activity=0, random_state=0),
]


RESAMPLED = [
    Resampled(sampler(**ANY), NET),
    Resampled(RandomOverSampler(random_state=0), NET),
]


@parametrize_with_checks([*GENERATORS, sampler(**ANY), *RESAMPLED])
def test_scikit_learn_checks(estimator, check):
    check(estimator)
