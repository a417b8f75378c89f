"""Each check that others may run on their estimators passes on ours, and fails on one that breaks just that promise."""

import numpy as np
import pytest
from common import RIGHTLY_WARNED, all_nets, small
from sklearn.linear_model import LogisticRegression

from skfair.base import BaseClassifier
from skfair.regularization import RegularizedClassifier
from skfair.representation import VAETransformer
from skfair.robust import ERMClassifier
from skfair.utils.estimator_checks import check_estimator, estimator_checks_generator, parametrize_with_checks

pytestmark = RIGHTLY_WARNED


@parametrize_with_checks([small(cls, max_epochs=1) for cls in (ERMClassifier, RegularizedClassifier, VAETransformer)])
def test_nets_keep_what_skfair_promises(check):
    check()


@pytest.mark.slow
@parametrize_with_checks([small(cls, max_epochs=1) for _, cls in all_nets()])
def test_every_net_keeps_what_skfair_promises(check):
    check()


class Honest(LogisticRegression):
    """Takes sensitive features and breaks no promise."""

    __metadata_request__fit = {"sensitive_features": True}

    def fit(self, X, y, sensitive_features=None):
        groups = np.asarray(sensitive_features)
        if len(groups) != len(y) or groups.ndim > 2:
            raise ValueError(f"sensitive_features has shape {groups.shape}, X has {len(y)} rows.")
        return super().fit(X, y)


class DoesNotAsk(Honest):
    __metadata_request__fit = {"sensitive_features": False}


class NeedsThemLater(Honest):
    def predict_proba(self, X, sensitive_features):
        return super().predict_proba(X)


class ReadsNames(Honest):
    def fit(self, X, y, sensitive_features=None):
        super().fit(X, y, sensitive_features)
        self.intercept_ = self.intercept_ + (np.asarray(sensitive_features).ravel()[0] == "m")
        return self


class OneColumnOnly(Honest):
    def fit(self, X, y, sensitive_features=None):
        if np.asarray(sensitive_features).size > len(y):
            raise AssertionError("one column only")
        return super().fit(X, y, sensitive_features)


class TakesAnyLength(Honest):
    def fit(self, X, y, sensitive_features=None):
        return LogisticRegression.fit(self, X, y)


class WritesIntoX(Honest):
    def fit(self, X, y, sensitive_features=None):
        if hasattr(X, "iloc"):
            X.iloc[0, 0] = 0.0
        return super().fit(X, y, sensitive_features)


class UsesTheGlobalGenerator(Honest):
    def fit(self, X, y, sensitive_features=None):
        super().fit(X, y, sensitive_features)
        self.intercept_ = self.intercept_ + np.random.normal()  # noqa: NPY002
        return self


class CannotBePickled(Honest):
    def __getstate__(self):
        return {**super().__getstate__(), "intercept_": self.intercept_ + 1} if hasattr(self, "intercept_") else {}


class RanksTheRows(Honest):
    def predict_proba(self, X):
        return super().predict_proba(X) - super().predict_proba(X).mean(0)


@pytest.mark.parametrize(
    ("cls", "failing"),
    [
        (DoesNotAsk, "check_sensitive_features_requested"),
        (ReadsNames, "check_names_of_groups_do_not_matter"),
        (OneColumnOnly, "check_several_columns_are_intersections"),
        (TakesAnyLength, "check_wrong_sensitive_features_are_refused"),
        (WritesIntoX, "check_nothing_of_the_user_changes"),
        (UsesTheGlobalGenerator, "check_random_state_decides"),
        (CannotBePickled, "check_pickle"),
        (RanksTheRows, "check_rows_are_answered_one_by_one"),
    ],
)
def test_a_broken_promise_is_found(cls, failing):
    checks = dict(estimator_checks_generator(cls()))
    with pytest.raises(AssertionError):
        checks[failing]()
    with pytest.raises(AssertionError, match=f"{cls.__name__} fails check_"):
        check_estimator(cls())


def test_an_estimator_that_needs_groups_later_is_found():
    checks = dict(estimator_checks_generator(NeedsThemLater()))
    with pytest.raises(TypeError, match="sensitive_features"):
        checks["check_sensitive_features_not_needed_after_fit"]()


def test_an_honest_estimator_of_another_library_passes():
    check_estimator(Honest())


def test_the_estimator_given_is_left_unfitted():
    net = small(RegularizedClassifier, max_epochs=1)
    check_estimator(net)
    assert not hasattr(net, "module_")
    assert isinstance(net, BaseClassifier)
