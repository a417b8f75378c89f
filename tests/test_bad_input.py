"""What the user gives and we refuse, or accept on purpose. An error names the value and what is expected, comes before
any training, and leaves the user's objects as they are.

The matrix of all estimators and all bad inputs is in ``bad_inputs.py``; what has more to say stands below.
"""

import copy
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from bad_inputs import CASES, ESTIMATORS, PAGE, Case, Refuses, Wrong, ask, line, page, start
from common import RIGHTLY_WARNED, all_nets, network_output, output, rows, small, with_base
from sklearn.exceptions import NotFittedError

from skfair.adversarial import AdversarialClassifier
from skfair.regularization import RegularizedClassifier
from skfair.robust import ERMClassifier, GroupDROClassifier
from skfair.utils import all_estimators

pytestmark = RIGHTLY_WARNED


every_estimator = pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in all_nets()])
every_classifier = pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in all_nets("classifier")])
NEEDS_SENSITIVE = [pytest.param(cls, id=name) for name, cls in all_nets() if cls.needs_sensitive]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section}-{case.name}")
def test_every_cell(case):
    """All estimators answer, each with one of the case's answers, and the page in the docs says so."""
    assert line(case) in PAGE.read_text().splitlines(), "write it anew: python tests/bad_inputs.py"


def test_the_page_has_these_rows_and_no_others():
    text = PAGE.read_text()
    written = [row for row in text.splitlines() if row.startswith("| ") and not row.startswith("| input")]
    assert [row.startswith(start(case)) for row, case in zip(written, CASES, strict=True)] == [True] * len(CASES)
    assert page(written) == text


def test_every_estimator_is_asked():
    assert {name for name, _ in all_estimators()} - {"TokenEncoder"} == set(ESTIMATORS)


@pytest.mark.parametrize(("expected", "words"), [(True, "a result is accepted"), (False, "an error is")])
def test_the_matrix_can_fail(expected, words):
    """An answer that is not the case's is none; words: what is wrong with it."""
    good, bad = (lambda d: {}), (lambda d: {"X": d["X"] * np.nan})
    case = Case("X", words, "X", good if expected else bad, (Refuses("another error"),))
    with pytest.raises(Wrong, match="accepted" if expected else "unclear: ValueError: Input X contains NaN"):
        ask("ERMClassifier", case)


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


# ---------------------------------------------------------------------- y
@every_classifier
def test_a_label_that_is_not_among_the_classes(cls):
    X, y, s = rows()
    net = small(cls).partial_fit(X, y, classes=[0, 1], sensitive_features=s)
    with pytest.raises(ValueError, match=r"labels \[.*2.*\].*classes \[.*0.*1.*\]"):
        net.partial_fit(X, y + 1, sensitive_features=s)
    refused(small(cls), r"labels \[.*1.*\].*classes", method="partial_fit", classes=[0, 3])


# ---------------------------------------------------------------------- sensitive_features
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
@pytest.mark.filterwarnings("ignore:sensitive feature 'sensitive_feature_0'")  # of one that is given their codes
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


@pytest.mark.parametrize("module", ["cnn", "resnet18"])
@pytest.mark.parametrize("shape", [(8, 8), (64,)])
def test_images_without_channels(module, shape):
    X = np.random.default_rng(0).random((20, *shape))
    net = small(ERMClassifier, module=module, max_epochs=1, early_stopping=False)
    with pytest.raises(ValueError, match=rf"\(n, channels, height, width\).*{re.escape(str(shape))}.*X\[:, None\]"):
        net.fit(X, np.arange(20) % 2)
    net.fit(X.reshape(20, 1, 8, 8), np.arange(20) % 2)


def test_a_device_that_torch_does_not_have():
    import torch

    if torch.backends.mps.is_available():
        pytest.skip("it is there")
    with pytest.raises(ValueError, match="device='mps' is not present"):
        small(ERMClassifier, device="mps").fit(*rows()[:2])


@pytest.mark.parametrize("module", ["cnn", "resnet18"])
def test_channels_last(module):
    X = np.random.default_rng(0).random((20, 8, 8, 3))
    net = small(ERMClassifier, module=module, max_epochs=1, early_stopping=False)
    with pytest.raises(
        ValueError, match=r"images of shape \(8, 8, 3\), whose channels come last.*transpose\(0, 3, 1, 2\)"
    ):
        net.fit(X, np.arange(20) % 2)
    net.fit(X.transpose(0, 3, 1, 2), np.arange(20) % 2)
