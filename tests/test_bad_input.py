"""What the user gives and we refuse, or accept on purpose. An error names the value and what is expected, comes before
any training, and leaves the user's objects as they are."""

import copy
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from common import RIGHTLY_WARNED, all_nets, network_output, output, rows, small, with_base
from sklearn.exceptions import NotFittedError

from skfair.adversarial import AdversarialClassifier
from skfair.regularization import RegularizedClassifier
from skfair.robust import ERMClassifier, GroupDROClassifier

pytestmark = RIGHTLY_WARNED


every_estimator = pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in all_nets()])
every_classifier = pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in all_nets("classifier")])
NEEDS_SENSITIVE = [pytest.param(cls, id=name) for name, cls in all_nets() if cls.needs_sensitive]
NEEDS_TWO_GROUPS = [pytest.param(cls, id=name) for name, cls in all_nets() if cls.min_groups > 1]


def unchanged(before, after):
    return pickle.dumps(before) == pickle.dumps(after)


def refused(net, *messages, error=ValueError, method="fit", **data):
    """The call raises ``error`` with all messages (regular expressions), trains nothing and changes no object."""
    X, y, s = rows()
    data = {"X": X, "y": y, "sensitive_features": s, **data}
    before, parameters = copy.deepcopy(data), pickle.dumps(net.get_params())
    with pytest.raises(error) as caught:
        getattr(net, method)(**{name: value for name, value in data.items() if value is not None})
    for message in messages:
        assert re.search(message, str(caught.value)), f"{message!r} is not in: {caught.value}"
    assert not hasattr(net, "module_")
    assert not hasattr(net, "state_")
    assert unchanged(before, data)
    assert pickle.dumps(net.get_params()) == parameters


# ---------------------------------------------------------------------- X
@every_estimator
@pytest.mark.parametrize(("bad", "name"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_nan_or_infinity_in_X(cls, bad, name):
    X, _, _ = rows()
    X[7, 2] = bad
    refused(small(cls), f"X contains {name}", X=X)
    refused(small(cls), f"X contains {name}", X=sp.csr_matrix(X))
    refused(small(cls), f"X contains {name}", X=pd.DataFrame(X, columns=list("abcd")))


@every_estimator
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_too_large_for_float32(cls):
    X, _, _ = rows()
    X[7, 2] = 1e300
    refused(small(cls), "float32", X=X)


@every_estimator
def test_empty_X(cls):
    refused(small(cls), r"0 sample\(s\).*minimum of 1", X=np.empty((0, 4)), y=[], sensitive_features=[])
    refused(small(cls), r"0 feature\(s\).*minimum of 1", X=np.empty((120, 0)))


@every_estimator
def test_text_in_X(cls):
    refused(small(cls), "could not convert string to float: 'red'", X=[["red"]] * 120)


@every_estimator
def test_wrong_number_of_columns_at_predict(cls):
    X, y, s = rows()
    net = small(cls).fit(X, y, sensitive_features=s)
    with pytest.raises(ValueError, match=r"X has 3 features, but \w+ is expecting 4"):
        output(net, X[:, :3])
    with pytest.raises(ValueError, match=r"rows of shape \(4, 2\).*fitted on \(4,\)"):
        output(net, np.stack([X, X], 2))


@every_estimator
def test_other_column_names_at_predict(cls):
    X, y, s = rows()
    net = small(cls).fit(pd.DataFrame(X, columns=list("abcd")), y, sensitive_features=s)
    with pytest.raises(ValueError, match="feature names.*(?s:.*)z"):
        output(net, pd.DataFrame(X, columns=list("abcz")))


@every_estimator
def test_wrong_number_of_columns_at_the_second_partial_fit(cls):
    X, y, s = rows()
    net = small(cls).partial_fit(X, y, sensitive_features=s)
    with pytest.raises(ValueError, match=r"X has 3 features, but \w+ is expecting 4"):
        net.partial_fit(X[:, :3], y, sensitive_features=s)


@every_estimator
def test_predict_before_fit(cls):
    X, _, _ = rows()
    with pytest.raises(NotFittedError, match=f"{cls.__name__} instance is not fitted yet.*'fit'"):
        output(small(cls), X)


# ---------------------------------------------------------------------- y
@every_classifier
def test_one_class(cls):
    refused(small(cls), "at least two classes.*one class.*5", y=np.full(120, 5))
    refused(small(cls), "at least two classes.*one class.*'yes'", y=["yes"] * 120)


@every_classifier
def test_y_of_another_length_or_kind(cls):
    refused(small(cls), r"inconsistent numbers of samples.*120.*119", y=np.zeros(119, dtype=int))
    refused(small(cls), "Unknown label type: continuous", y=np.linspace(0, 1, 120))
    refused(small(cls), r"y should be a 1d array, got an array of shape \(120, 2\)", y=np.zeros((120, 2), dtype=int))
    refused(small(cls), "y contains NaN", y=np.r_[np.nan, np.zeros(119)])
    refused(small(cls), "requires y to be passed, but the target y is None", y=None)


@every_classifier
def test_a_label_that_is_not_among_the_classes(cls):
    X, y, s = rows()
    net = small(cls).partial_fit(X, y, classes=[0, 1], sensitive_features=s)
    with pytest.raises(ValueError, match=r"labels \[.*2.*\].*classes \[.*0.*1.*\]"):
        net.partial_fit(X, y + 1, sensitive_features=s)
    refused(small(cls), r"labels \[.*1.*\].*classes", method="partial_fit", classes=[0, 3])


# ---------------------------------------------------------------------- sensitive_features
@pytest.mark.parametrize("cls", NEEDS_TWO_GROUPS)
def test_one_group_where_two_are_needed(cls):
    refused(small(cls), f"{cls.__name__} needs at least 2 groups.*'f'", sensitive_features=["f"] * 120)


def test_group_dro_with_one_group_weighs_the_classes():
    X, y, _ = rows()
    net = small(GroupDROClassifier, step_size=1.0).fit(X, y, sensitive_features=["f"] * 120)
    assert net.cells_ == [(0, ("f",)), (1, ("f",))]
    assert net.cell_weights_.shape == (2,)
    assert net.cell_weights_.sum() == pytest.approx(1)
    assert net.cell_weights_[0] != 0.5


@every_estimator
@pytest.mark.parametrize("container", [list, np.array, pd.Series, pd.DataFrame])
def test_group_column_of_wrong_length(cls, container):
    refused(small(cls), "119 rows, but X has 120", sensitive_features=container([*["f", "m"] * 59, "f"]))


@every_estimator
def test_group_column_with_too_many_axes_or_none(cls):
    refused(small(cls), r"one or two (axes|dimensions).*\(120, 1, 1\)", sensitive_features=np.zeros((120, 1, 1)))
    refused(small(cls), "no column: at least one", sensitive_features=pd.DataFrame(index=range(120)))


@every_estimator
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=["None", "nan", "NA"])
def test_missing_group_values(cls, missing):
    X, y, s = rows()
    s = pd.Series(s, dtype=object)
    s[:40] = missing
    net = small(cls).fit(X, y, sensitive_features=s)
    assert net.groups_ == [("f",), ("m",), ("missing",)]
    assert net.n_groups_ == 3
    net = small(cls, missing_groups="error")
    refused(
        net, r"'sensitive_feature\w*' has 40 missing values.*missing_groups='error'.*fill them", sensitive_features=s
    )


@every_estimator
def test_missing_groups_change_the_training(cls):
    X, y, s = rows()
    known = small(cls).fit(X, y, sensitive_features=s)
    hidden = small(cls).fit(X, y, sensitive_features=np.where(np.arange(120) < 40, None, s))
    assert np.array_equal(network_output(known, X), network_output(hidden, X)) == (not cls.needs_sensitive)


@every_estimator
def test_a_group_unseen_at_fit(cls):
    X, y, s = rows()
    net = small(cls).partial_fit(X, y, sensitive_features=s)
    before = output(net, X)
    with pytest.raises(ValueError, match=r"unseen group.*'x'.*at fit there were \['f', 'm'\]"):
        net.partial_fit(X, y, sensitive_features=np.where(np.arange(120) < 3, "x", s))
    assert np.array_equal(output(net, X), before)


@every_estimator
def test_a_combination_unseen_at_fit(cls):
    X, y, s = rows()
    old = pd.DataFrame({"sex": s, "old": s == "f"})
    net = small(cls).partial_fit(X, y, sensitive_features=old)
    assert net.n_groups_ == 2
    with pytest.raises(ValueError, match="unseen group.*'sex': 'f', 'old': False.*only the groups"):
        net.partial_fit(X, y, sensitive_features=old.assign(old=False))
    with pytest.raises(ValueError, match=r"columns \['sex'\], at fit \['sex', 'old'\]"):
        net.partial_fit(X, y, sensitive_features=old[["sex"]])


@pytest.mark.parametrize("cls", NEEDS_SENSITIVE)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_sensitive_features_missing_where_needed(cls, method):
    remedies = ["sensitive_features=", "enable_metadata_routing=True", r"sensitive_columns="]
    refused(small(cls), f"{cls.__name__} needs sensitive_features", *remedies, method=method, sensitive_features=None)


def test_erm_needs_no_sensitive_features():
    X, y, s = rows()
    plain, told = small(ERMClassifier).fit(X, y), small(ERMClassifier).fit(X, y, sensitive_features=s)
    assert plain.groups_ is None
    assert np.array_equal(output(plain, X), output(told, X))


@every_estimator
@pytest.mark.filterwarnings("ignore:The number of unique classes")  # of a stage that tells the groups apart
def test_hundreds_of_float_groups_warn(cls):  # not thousands: RNF picks a partner of each group, n x n numbers a time
    X, y, _ = rows(300)
    net = small(cls, early_stopping=False, batch_size=-1, max_epochs=1, **with_base(cls))
    with pytest.warns(UserWarning, match="'age' is a column of numbers .float64. with 300 distinct values.*pandas.cut"):
        net.fit(X, y, sensitive_features=pd.Series(np.linspace(18, 90, 300), name="age"))


def test_amounts_as_integers_warn_and_codes_of_many_rows_do_not():
    X, y, _ = rows(600)
    net = small(ERMClassifier, early_stopping=False, max_epochs=1)
    with pytest.warns(
        UserWarning, match="'amount' is a column of numbers .int64. with 300 distinct values.*pandas.cut"
    ):
        net.fit(X, y, sensitive_features=pd.Series(np.arange(600) // 2, name="amount"))
    assert net.fit(X, y, sensitive_features=pd.Series(np.arange(600) // 5, name="district")).n_groups_ == 120


@every_estimator
def test_a_float_column_of_few_values_does_not_warn(cls):
    X, y, s = rows()
    assert small(cls).fit(X, y, sensitive_features=(s == "f").astype(float)).groups_ == [(0.0,), (1.0,)]


@every_estimator
def test_sensitive_columns_that_are_not_there(cls):
    X, _, _ = rows()
    frame = pd.DataFrame(X, columns=list("abcd"))
    refused(small(cls, sensitive_columns="sex"), r"\['sex'\].*'a', 'b', 'c', 'd'", X=frame, sensitive_features=None)
    refused(small(cls, sensitive_columns=["a", "sex"]), r"\['sex'\].*'a', 'b'", X=frame, sensitive_features=None)
    refused(small(cls, sensitive_columns="sex"), "'sex' needs a DataFrame.*ndarray", sensitive_features=None)
    for table in (X, sp.csr_matrix(X), frame):
        refused(small(cls, sensitive_columns=9), "sensitive_columns.*9.*4 columns", X=table, sensitive_features=None)
    wrong_length = small(cls, sensitive_columns=lambda X: [1, 2])
    with pytest.raises(ValueError, match="2 rows, but X has 120"):
        wrong_length.fit(X, rows()[1])


@every_estimator
def test_after_a_refused_fit_there_is_nothing_to_predict_with(cls):
    X, y, s = rows()
    net = small(cls, optimizer__momentums=0.1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'momentums'"):
        net.fit(X, y, sensitive_features=s)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        output(net, X)


# ---------------------------------------------------------------------- sample_weight
@every_estimator
def test_bad_weights(cls):
    ones = np.ones(120)
    refused(small(cls), "Negative values.*sample_weight", sample_weight=np.r_[-1.5, ones[1:]])
    refused(small(cls), "[Ss]ample weights must contain at least one non-zero number", sample_weight=0 * ones)
    refused(small(cls), r"sample_weight.*shape.*\(119,\).*\(120,\)", sample_weight=ones[1:])
    refused(small(cls), "sample_weight contains NaN", sample_weight=np.r_[np.nan, ones[1:]])
    refused(small(cls), "sample_weight contains infinity", sample_weight=np.r_[np.inf, ones[1:]])


# ---------------------------------------------------------------------- parameters
@every_classifier
def test_unknown_metric_for_early_stopping(cls):
    refused(small(cls, early_stopping="equalised_odds"), "'equalised_odds'", "equalized_odds_difference")


@every_classifier
@pytest.mark.parametrize("value", [0.5, 3, None, ["accuracy"]], ids=repr)
def test_early_stopping_of_a_wrong_type(cls, value):
    if value is None:
        small(cls, early_stopping=None).fit(*rows()[:2], sensitive_features=rows()[2])  # as False
        return
    refused(small(cls, early_stopping=value), re.escape("early_stopping must be") + f".*{re.escape(repr(value))}")


@pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in all_nets("transformer")])
@pytest.mark.parametrize("watched", ["accuracy", "equalized_odds_difference", len])
def test_a_transformer_watches_nothing_but_its_loss(cls, watched):
    refused(small(cls, early_stopping=watched), f"early_stopping must be.*'loss'.*got {re.escape(repr(watched))}")


def test_early_stopping_on_a_fairness_metric_needs_sensitive_features():
    net = small(ERMClassifier, early_stopping="equalized_odds_difference")
    refused(net, "early_stopping='equalized_odds_difference'.*sensitive_features", sensitive_features=None)
    X, y, _ = rows()
    small(ERMClassifier, early_stopping="accuracy").fit(X, y)


def test_sensitive_features_in_one_of_two_calls_only():
    """A method that needs none goes on without them, but does not watch a gap of groups that it does not know."""
    X, y, s = rows()
    plain = small(ERMClassifier, warm_start=True, early_stopping="accuracy").fit(X, y).fit(X, y)
    for first, second in [(s, None), (None, s)]:
        net = small(ERMClassifier, warm_start=True, early_stopping="accuracy").fit(X, y, sensitive_features=first)
        groups = net.groups_
        net.fit(X, y, sensitive_features=second)
        assert net.groups_ == groups
        if first is None:  # the same held-out rows
            assert np.array_equal(output(net, X), output(plain, X))
        net.set_params(early_stopping="equalized_odds_difference")
        with pytest.raises(ValueError, match="early_stopping='equalized_odds_difference' needs sensitive_features"):
            net.fit(X, y, sensitive_features=second)


@pytest.mark.parametrize(
    ("cls", "parameter", "value", "expected"),
    [
        (RegularizedClassifier, "constraint", "equalised_odds", "equalized_odds"),
        (RegularizedClassifier, "penalty", "cubic", "squared"),
        (RegularizedClassifier, "constraint", None, "equalized_odds"),
        (AdversarialClassifier, "constraint", "dp", "demographic_parity"),
        (AdversarialClassifier, "attack", "logits", "output"),
        (GroupDROClassifier, "absent", "skip", "importance"),
        (ERMClassifier, "missing_groups", "drop", "group"),
    ],
)
def test_unknown_names(cls, parameter, value, expected):
    refused(small(cls, **{parameter: value}), f"{parameter} must be one of.*'{expected}'.*got {value!r}")


@every_estimator
@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        ("lr", 0.0, "a number > 0"),
        ("lr", float("nan"), "a number > 0"),
        ("lr", "fast", "a number > 0"),
        ("weight_decay", -0.1, "a number >= 0"),
        ("momentum", -0.5, "a number >= 0"),
        ("max_epochs", 0, "an integer >= 1"),
        ("max_epochs", 2.5, "an integer >= 1"),
        ("max_epochs", True, "an integer >= 1"),
        ("batch_size", 0, "an integer >= 1"),
        ("batch_size", -2, "an integer >= 1"),
        ("validation_fraction", 0.0, "a number > 0 and < 1"),
        ("validation_fraction", 1, "a number > 0 and < 1"),
        ("patience", 0, "an integer >= 1"),
        ("random_state", -1, ">= 0"),
    ],
)
def test_numbers_out_of_range(cls, parameter, value, expected):
    refused(small(cls, **{parameter: value}), f"{parameter} must be {expected}.*got {re.escape(repr(value))}")


@pytest.mark.parametrize(
    ("cls", "parameter", "value"),
    [
        (GroupDROClassifier, "step_size", -0.01),
        (GroupDROClassifier, "adjustment", -1.0),
        (RegularizedClassifier, "strength", -1),
        (AdversarialClassifier, "strength", float("nan")),
    ],
)
def test_numbers_out_of_range_of_one_method(cls, parameter, value):
    refused(small(cls, **{parameter: value}), f"{parameter} must be a number >= 0, got {value}")


def test_one_adjustment_per_cell():
    refused(small(GroupDROClassifier, adjustment=[1.0, 2.0, 3.0]), r"adjustment has shape \(3,\).*\(4,\)")


@pytest.mark.parametrize(("parameter", "value"), [("adversary_lr", 0.0), ("adversary_steps", 0)])
def test_numbers_of_the_adversary(parameter, value):
    refused(small(AdversarialClassifier, **{parameter: value}), f"{parameter} must be.*got {value}")


@every_estimator
def test_random_state_of_a_wrong_type(cls):
    refused(small(cls, random_state="today"), "random_state must be None, an int, .*'today'", error=TypeError)


@every_estimator
def test_device_that_is_not_there(cls):
    refused(small(cls, device="cuda:99"), "device='cuda:99' is not present", "'auto' or 'cpu'")
    refused(small(cls, device="gpu"), "device='gpu' is no device", "'auto', 'cpu' or 'cuda'")


@every_estimator
def test_unknown_parameters(cls):
    with pytest.raises(TypeError, match=r"unexpected parameters \['strenght'\].*takes.*'lr'.*module__\*"):
        cls(strenght=1.0)
    with pytest.raises(TypeError, match=r"unexpected parameters \['modul__hidden'\].*takes.*module__\*"):
        cls(modul__hidden=(3,))
    with pytest.raises(ValueError, match="Invalid parameter 'strenght' for estimator"):
        small(cls).set_params(strenght=1.0)
    with pytest.raises((TypeError, ValueError), match="modul__hidden"):
        small(cls).set_params(modul__hidden=(3,))


@every_estimator
def test_bad_parameters_of_the_parts(cls):
    message = "(MLP|VAE|FTTransformer).*unexpected keyword argument 'hiden'"
    refused(small(cls, module__hiden=(3,)), message, error=TypeError)
    for bad in ("criterion__smoothing", "optimizer__momentums", "iterator_train__workers"):
        net = small(cls, **{bad: 0.1})
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{bad.split('__')[1]}'"):
            net.fit(*rows()[:2], sensitive_features=rows()[2])


@pytest.mark.parametrize("cls", [RegularizedClassifier, AdversarialClassifier])
@pytest.mark.parametrize("constraint", ["demographic_parity", "equal_opportunity"])
def test_pos_label_that_is_no_class(cls, constraint):
    refused(
        small(cls, pos_label="yes", constraint=constraint), r"pos_label='yes' is not among the classes \[.*0.*1.*\]"
    )


def test_a_module_without_encoder_cannot_be_attacked_there():
    import torch

    net = small(AdversarialClassifier, module=torch.nn.Linear)
    with pytest.raises(ValueError, match="attack='encoder'.*Linear.*attack='output'"):
        net.fit(*rows()[:2], sensitive_features=rows()[2])


def test_a_module_of_the_wrong_width():
    import torch

    net = small(ERMClassifier, module=torch.nn.Linear(3, 2))
    with pytest.raises((ValueError, RuntimeError), match="120x4|32x4"):
        net.fit(*rows()[:2])
