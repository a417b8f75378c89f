"""What skfair promises of an estimator that reads sensitive features, as checks for estimators of any library.

They stand beside scikit-learn's ``check_estimator``, which knows nothing of groups, and run next to it in a few seconds.
"""

import copy
import inspect
import pickle

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.base import clone

__all__ = ["check_estimator", "estimator_checks_generator", "parametrize_with_checks"]


def estimator_checks_generator(estimator):
    """Go through the checks that apply to an estimator.

    Parameters
    ----------
    estimator : estimator
        Its ``fit`` takes ``sensitive_features``. Never fitted itself: each check fits clones.

    Yields
    ------
    (str, callable)
        The name of a check, and a function of no arguments that raises an AssertionError if it fails.

    Examples
    --------
    >>> from skfair.robust import GroupDROClassifier
    >>> from skfair.utils.estimator_checks import estimator_checks_generator
    >>> [name for name, check in estimator_checks_generator(GroupDROClassifier())][:2]
    ['check_sensitive_features_requested', 'check_sensitive_features_not_needed_after_fit']
    """
    for check in CHECKS:
        if "random_state" in inspect.signature(check).parameters and "random_state" not in estimator.get_params():
            continue
        yield check.__name__, lambda check=check: check(clone(estimator))


def check_estimator(estimator):
    """Run all checks on an estimator.

    Parameters
    ----------
    estimator : estimator
        Quick to fit: each check fits it once or several times on 80 rows of 4 columns, with two groups and two labels.

    Raises
    ------
    AssertionError
        With the name of the check that failed first, and what it saw.

    Examples
    --------
    >>> from skfair.robust import GroupDROClassifier
    >>> from skfair.utils.estimator_checks import check_estimator
    >>> check_estimator(GroupDROClassifier(max_epochs=1))
    """
    for name, check in estimator_checks_generator(estimator):
        try:
            check()
        except AssertionError as error:
            raise AssertionError(f"{type(estimator).__name__} fails {name}: {error}") from error


def parametrize_with_checks(estimators):
    """Mark a test that is to run once per estimator and check, as scikit-learn's decorator of that name.

    Parameters
    ----------
    estimators : list of estimators

    Returns
    -------
    pytest.MarkDecorator
        Of a test with one argument, ``check``, to be called.

    Examples
    --------
    >>> from skfair.robust import GroupDROClassifier
    >>> from skfair.utils.estimator_checks import parametrize_with_checks
    >>> @parametrize_with_checks([GroupDROClassifier(max_epochs=1)])
    ... def test_what_skfair_promises(check):
    ...     check()
    """
    import pytest

    pairs = [(estimator, *pair) for estimator in estimators for pair in estimator_checks_generator(estimator)]
    cases = [pytest.param(check, id=f"{type(estimator).__name__}-{name}") for estimator, name, check in pairs]
    return pytest.mark.parametrize("check", cases)


# ---------------------------------------------------------------------- data and answers
def _rows(n_rows=80):
    generator = np.random.default_rng(0)
    group, y = np.arange(n_rows) % 2, np.arange(n_rows) // 2 % 2
    X = generator.normal(size=(n_rows, 4)) + np.stack([y, group, y * group, y - y], 1)
    return X, y, np.where(group == 1, "f", "m")


def _fitted(estimator, X, y, groups):
    fresh = clone(estimator)
    if "random_state" in fresh.get_params():
        fresh.set_params(random_state=0)
    return fresh.fit(X, y, sensitive_features=groups)


def _answer(fitted, X):
    """What the estimator says of rows: probabilities, scores, codes or labels, whichever it has first."""
    for method in ("predict_proba", "decision_function", "transform", "predict"):
        if hasattr(fitted, method):
            return np.asarray(getattr(fitted, method)(X))
    raise AssertionError("it has none of predict_proba, decision_function, transform and predict")


def _same(first, second, message):
    assert np.array_equal(first, second), message


def _refuses(estimator, X, y, groups, what):
    try:
        estimator.fit(X, y, sensitive_features=groups)
    except (ValueError, TypeError):
        return
    raise AssertionError(f"it accepts {what}")


# ---------------------------------------------------------------------- checks
def check_sensitive_features_requested(estimator):
    """``fit`` asks for sensitive features, so that a Pipeline or a search hands them on without more words."""
    with config_context(enable_metadata_routing=True):
        asked = estimator.get_metadata_routing().consumes("fit", {"sensitive_features"})
    assert asked, "fit does not request sensitive_features: set_fit_request(sensitive_features=True) as its default"


def check_sensitive_features_not_needed_after_fit(estimator):
    """``predict`` and its like take X alone."""
    X, y, groups = _rows()
    answer = _answer(_fitted(estimator, X, y, groups), X)
    assert len(answer) == len(X), f"{len(answer)} answers for {len(X)} rows"


def check_names_of_groups_do_not_matter(estimator):
    """Texts, integers, booleans and categories in the same order are the same groups."""
    X, y, groups = _rows()
    first = _answer(_fitted(estimator, X, y, groups), X)
    others = {
        "integers": (groups == "m").astype(int),
        "booleans": groups == "m",
        "a list": groups.tolist(),
        "a Series with another index": pd.Series(groups, index=np.arange(len(groups)) + 1000, name="sex"),
        "a DataFrame": pd.DataFrame({"sex": pd.Categorical(groups)}),
    }
    for kind, other in others.items():
        _same(first, _answer(_fitted(estimator, X, y, other), X), f"groups given as {kind} give another model")


def check_several_columns_are_intersections(estimator):
    """Two columns of sensitive features are taken, and rows of equal values in both are one group."""
    X, y, groups = _rows()
    two = pd.DataFrame({"sex": groups, "age": np.where(np.arange(len(y)) % 8 < 4, "old", "young")})
    answer = _answer(_fitted(estimator, X, y, two), X)
    assert len(answer) == len(X), f"{len(answer)} answers for {len(X)} rows"


def check_wrong_sensitive_features_are_refused(estimator):
    """Other numbers of rows, and more than two axes, are errors."""
    X, y, groups = _rows()
    _refuses(clone(estimator), X, y, groups[:-1], "sensitive features with a row less than X")
    _refuses(clone(estimator), X, y, np.zeros((len(y), 2, 2)), "sensitive features of three axes")


def check_nothing_of_the_user_changes(estimator):
    """X, y, the sensitive features and the parameters are after ``fit`` what they were before."""
    X, y, groups = _rows()
    data = {"X": pd.DataFrame(X, columns=list("abcd")), "y": pd.Series(y), "sensitive_features": pd.Series(groups)}
    before = copy.deepcopy(data)
    parameters = pickle.dumps(estimator.get_params())
    estimator.fit(data["X"], data["y"], sensitive_features=data["sensitive_features"])
    for name, value in data.items():
        assert value.equals(before[name]), f"fit changes {name}"
    assert pickle.dumps(estimator.get_params()) == parameters, "fit changes the parameters"


def check_random_state_decides(estimator, random_state=0):
    """Equal seeds give equal models, whatever the global generators say, and those are left as found."""
    X, y, groups = _rows()
    seeded = clone(estimator).set_params(random_state=random_state)
    first = _answer(clone(seeded).fit(X, y, sensitive_features=groups), X)
    state = np.random.get_state()  # noqa: NPY002
    np.random.random()  # noqa: NPY002  the second fit finds the global generator elsewhere
    moved = np.random.get_state()[1:3]  # noqa: NPY002
    second = _answer(clone(seeded).fit(X, y, sensitive_features=groups), X)
    after = np.random.get_state()[1:3]  # noqa: NPY002
    np.random.set_state(state)  # noqa: NPY002
    assert str(moved) == str(after), "fit draws from numpy's global generator"
    _same(first, second, "two fits with the same random_state differ")


def check_pickle(estimator):
    """A fitted estimator can be pickled, and answers as before."""
    X, y, groups = _rows()
    fitted = _fitted(estimator, X, y, groups)
    again = pickle.loads(pickle.dumps(fitted))
    _same(_answer(fitted, X), _answer(again, X), "the pickled estimator answers differently")


def check_rows_are_answered_one_by_one(estimator):
    """What is said of a row does not depend on the rows beside it, as it would in a method that ranks the rows given."""
    X, y, groups = _rows()
    fitted = _fitted(estimator, X, y, groups)
    apart = np.concatenate([_answer(fitted, X[:7]), _answer(fitted, X[7:])])
    assert np.allclose(apart, _answer(fitted, X), atol=1e-6), "a row's answer depends on the other rows"


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_") and name != "check_estimator"]
