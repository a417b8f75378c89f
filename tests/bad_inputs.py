"""The matrix of bad inputs: what each estimator answers to each of them.

An answer is a clear error before any training, or a correct result. ``python tests/bad_inputs.py`` asks all estimators and
writes ``docs/bad_input.md``; ``test_bad_input.py`` asks them again and compares with the page.
"""

import functools
import inspect
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from common import RIGHTLY_WARNED, all_nets, output, rows, small
from sklearn.exceptions import NotFittedError
from torch.optim.optimizer import register_optimizer_step_pre_hook

from skfair.augmentation import GANGenerator, LatentDebiasingSampler, PCAGenerator, Resampled, VAEGenerator
from skfair.representation import VAETransformer
from skfair.robust import ERMClassifier

PAGE = Path(__file__).parents[1] / "docs" / "bad_input.md"
N = 60

# ---------------------------------------------------------------------- the estimators
NETS = dict(all_nets())
QUICKER = {"ReprogrammedClassifier": {"base_epochs": 1}, "DistillationClassifier": {"teacher_epochs": 1}}
VAE = small(VAETransformer, max_epochs=1)


def _sampler(**parameters):
    parts = dict(generator=PCAGenerator(), source="inversion", perturbation="none", n_hyperplane=60, n_check=20)
    return LatentDebiasingSampler(**{**parts, "random_state": 0, **parameters})


OTHERS = {
    "GANGenerator": lambda **p: small(GANGenerator, **{"n_components": 3, "max_epochs": 1, **p}),
    "LatentDebiasingSampler": _sampler,
    "PCAGenerator": PCAGenerator,
    "Resampled": lambda **p: Resampled(**{"sampler": _sampler(), "estimator": small(ERMClassifier, max_epochs=1), **p}),
    "VAEGenerator": lambda **p: VAEGenerator(**{"vae": VAE, "min_activity": 0, "random_state": 0, **p}),
}
ESTIMATORS = sorted([*NETS, *OTHERS])


def make(name, **parameters):
    """An instance that trains for one epoch."""
    if name in OTHERS:
        return OTHERS[name](**parameters)
    return small(NETS[name], **{"max_epochs": 1, **QUICKER.get(name, {}), **parameters})


def results(estimator, X):
    """What a fitted estimator makes of X, as numbers; of generators, rows."""
    if isinstance(estimator, GANGenerator):
        return estimator.decode(estimator.sample(5, random_state=0))
    if hasattr(estimator, "decode") and not hasattr(estimator, "transform"):
        return estimator.decode(estimator.encode(X))
    return output(estimator, X)


@functools.cache
def takes(name, argument):
    """Whether an estimator is asked about this: X, an argument of ``fit``, a parameter, or one of its methods."""
    estimator = make(name)
    if argument == "y":
        return getattr(estimator, "uses_labels", name not in ("PCAGenerator", "VAEGenerator"))
    if argument in ("sensitive_features", "sample_weight"):
        return argument in inspect.signature(estimator.fit).parameters
    if argument == "groups":
        return bool(getattr(estimator, "needs_sensitive", False))
    if argument == "two groups":
        return getattr(estimator, "min_groups", 1) > 1
    if argument == "predict":
        return name not in ("GANGenerator", "LatentDebiasingSampler")  # these see no X after fit
    if argument == "partial_fit":
        return hasattr(estimator, "partial_fit")
    return argument == "X" or argument in estimator.get_params(deep=False)


# ---------------------------------------------------------------------- answers
class Refuses(NamedTuple):
    """An error that names the value and what is expected."""

    words: str  # as the page shows them; in the message
    pattern: str | None = None  # if the words are not the message's
    error: type = ValueError

    def __str__(self):
        return f"`{self.error.__name__}`: {self.words}"

    def is_it(self, error):
        pattern = re.escape(self.words) if self.pattern is None else self.pattern
        return type(error) is self.error and re.search(pattern, str(error), flags=re.DOTALL) is not None


class Works(NamedTuple):
    """A correct result: finite, of the right shape, and that of other input where this is to be the same."""

    words: str
    same_as: Callable | None = None  # -> the input that it is to be the same as
    warns: str | None = None

    def __str__(self):
        return self.words


class Case(NamedTuple):
    """A bad input."""

    section: str
    name: str
    about: str  # who is asked: those that take this argument or parameter, or have this method
    change: Callable  # of the good input -> what is another one, {argument or parameter: value}
    answers: tuple
    call: str = "fit"  # what is given it


class Wrong(AssertionError):
    """An answer that is none of the case's."""


def good():
    X, y, s = rows(N)
    return dict(X=X, y=y, sensitive_features=s)


ARGUMENTS = ("X", "y", "sensitive_features", "sample_weight", "classes")


def split(name, change):
    """The arguments of ``fit`` as far as the estimator knows them, and the parameters."""
    known = inspect.signature(make(name).fit).parameters
    data = {k: v for k, v in {**good(), **change}.items() if k in ARGUMENTS}
    data = {k: v for k, v in data.items() if k in known or k == "classes"}
    return data, {k: v for k, v in change.items() if k not in ARGUMENTS}


def call_fit(estimator, data, method="fit"):
    data = {key: value for key, value in data.items() if value is not ABSENT}
    if isinstance(estimator, LatentDebiasingSampler):
        return estimator.fit_resample(**data)
    return getattr(estimator, method)(**data)


class _Absent:
    def __repr__(self):
        return "ABSENT"

    def __reduce__(self):
        return "ABSENT"


ABSENT = _Absent()


def ask(name, case):
    """The answer of one estimator to one bad input, one of the case's answers; ``Wrong`` if it is none of them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = {"fit": ask_fit, "predict": ask_predict, "partial_fit": ask_partial_fit}[case.call](name, case)
    loud = [str(w.message) for w in caught]
    loud = [
        text
        for text in loud
        if not any(re.match(mark.args[0].removeprefix("ignore:"), text) for mark in RIGHTLY_WARNED)
    ]
    expected = getattr(answer, "warns", None)
    unexpected = [text for text in loud if expected is None or not re.search(expected, text)]
    if unexpected or (expected and not loud):
        raise Wrong(f"it warned {loud}, expected {expected}")
    return answer


def refusal(case, error, before, after, steps):
    if before != after:
        raise Wrong("the user's objects are changed")
    if steps:
        raise Wrong(f"it trained for {len(steps)} steps, and then raised {error!r}")
    for answer in case.answers:
        if isinstance(answer, Refuses) and answer.is_it(error):
            return answer
    raise Wrong(f"unclear: {type(error).__name__}: {error}") from error


def works(case):
    found = [answer for answer in case.answers if isinstance(answer, Works)]
    if not found:
        raise Wrong("accepted")
    return found[0]


class Steps(list):
    """The steps of all optimizers, within a with statement."""

    def __enter__(self):
        self.hook = register_optimizer_step_pre_hook(lambda *args: self.append(1))
        return self

    def __exit__(self, *error):
        self.hook.remove()


def frozen(data):
    """All that can be seen of the user's objects."""
    if isinstance(data, dict):
        return {key: frozen(value) for key, value in data.items()}
    if isinstance(data, pd.DataFrame | pd.Series):  # their pickles change when they are looked at
        return type(data), data.to_csv(), repr(data.index), repr(getattr(data, "dtypes", None))
    return pickle.dumps(data)


def ask_fit(name, case):
    data, parameters = split(name, case.change(good()))
    before = frozen(data)
    with Steps() as steps:
        try:
            estimator = make(name, **parameters)
            result = call_fit(estimator, data)
        except Exception as error:
            answer = refusal(case, error, before, frozen(data), steps)
            if "estimator" in vars() and is_fitted(estimator):
                raise Wrong("it is fitted in spite of the error") from error
            return answer
    answer = works(case)
    if frozen(data) != before:
        raise Wrong("the user's objects are changed")
    check_result(estimator, result, data)
    if answer.same_as is not None:
        compare(numbers(estimator, result), expected_numbers(name, answer.same_as))
    return answer


@functools.cache
def expected_numbers(name, same_as):
    """What an estimator makes of the good rows, fitted on input in plain form."""
    data, parameters = split(name, same_as(good()))
    estimator = make(name, **parameters)
    return numbers(estimator, call_fit(estimator, data))


def is_fitted(estimator):
    return any(hasattr(estimator, name) for name in ("module_", "state_", "generator_", "estimator_", "vae_", "form_"))


def numbers(estimator, result):
    """What is compared: the outputs for the good rows, or all rows of a sampler."""
    if isinstance(estimator, LatentDebiasingSampler):
        X = result[0]
        return np.asarray(X.toarray() if sp.issparse(X) else X, dtype=float)
    X = good()["X"]
    if hasattr(estimator, "feature_names_in_"):
        X = pd.DataFrame(X, columns=estimator.feature_names_in_)
    return np.asarray(results(estimator, X), dtype=float)


def compare(found, wanted):
    if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=1e-6, atol=1e-7):
        raise Wrong(f"another result than that of the same rows in plain form: {found[:1]} and {wanted[:1]}")


def check_result(estimator, result, data):
    found = numbers(estimator, result)
    if not np.isfinite(found).all():
        raise Wrong("the result is not finite")
    if isinstance(estimator, LatentDebiasingSampler):
        return
    if not isinstance(estimator, GANGenerator) and len(found) != N:
        raise Wrong(f"the result has {len(found)} rows")
    if hasattr(estimator, "predict_proba"):
        labels = np.unique(np.asarray(data["y"]))
        if found.shape[1] != len(labels) or not np.allclose(found.sum(1), 1):
            raise Wrong(f"probabilities of shape {found.shape}")


@functools.cache
def fitted(name, container=np.asarray):
    """An estimator that is fitted on the good rows in this container, and what it makes of them."""
    data, _ = split(name, {"X": container(good()["X"])})
    estimator = make(name)
    call_fit(estimator, data)
    return estimator, numbers(estimator, None)


def ask_predict(name, case):
    """A fitted estimator, which then sees other rows; it stays as it is."""
    change = case.change(good())
    X = change["X"]
    if "fit" in change and change["fit"] is None:
        estimator, before = make(name), None
    else:
        estimator, before = fitted(name, change.get("fit", np.asarray))
    kept = frozen(X)
    try:
        found = results(estimator, X)
    except Exception as error:
        answer = refusal(case, error, kept, frozen(X), ())
    else:
        answer = works(case)
        compare(np.asarray(found), np.asarray(results(estimator, answer.same_as(good())["X"])))
    if before is not None:
        compare(numbers(estimator, None), before)
    return answer


def ask_partial_fit(name, case):
    data, _ = split(name, {})
    estimator = make(name)
    call_fit(estimator, data, "partial_fit")
    before = numbers(estimator, None)
    data, _ = split(name, case.change(good()))
    with Steps() as steps:
        try:
            call_fit(estimator, data, "partial_fit")
        except Exception as error:
            answer = refusal(case, error, 0, 0, steps)
            compare(numbers(estimator, None), before)
            return answer
    answer = works(case)
    if not np.isfinite(numbers(estimator, None)).all():
        raise Wrong("the result is not finite")
    return answer


# ---------------------------------------------------------------------- bad inputs
def spoiled(value):
    """X with this value in one place."""

    def change(d):
        X = d["X"].copy()
        X[7, 2] = value
        return {"X": X}

    return change


def changed(argument, function):
    return lambda d: {argument: function(d[argument])}


def given(**values):
    return lambda d: values


def frame(X, names="abcd"):
    return pd.DataFrame(X, columns=list(names))


def missing(s, value=None, n=20):
    s = np.array(s, dtype=object)
    s[:n] = value
    return s


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def nothing(d):
    """The good input as it is."""
    return {}


def same_X(d):
    return {"X": d["X"]}


def with_nan(d):
    return spoiled(np.nan)(d)["X"]


def rounded(d):
    return {"X": (d["X"] * 10).astype(int).astype(float)}


def one_decimal(d):
    return {"X": d["X"].round(1)}


def short(d):
    return {"X": d["X"].astype(np.float16).astype(float)}


def signs(d):
    return {"X": (d["X"] > 0).astype(float)}


def hidden_groups(d):
    return {"sensitive_features": missing(d["sensitive_features"])}


def turned(d):
    """The groups in the other order."""
    return {"sensitive_features": np.where(d["sensitive_features"] == "f", "z", "m")}


def rare(d):
    """The group "f" has hardly a positive label."""
    return {"y": np.where((d["sensitive_features"] == "f") & (np.arange(N) > 3), 0, d["y"])}


def two_of_each(d):
    rows = [np.flatnonzero((d["y"] == y) & (d["sensitive_features"] == s))[:1] for y in (0, 1) for s in "fm"]
    return {key: value[np.concatenate(rows)] for key, value in d.items()}


def first(n):
    return lambda d: {key: value[:n] for key, value in d.items()}


S = "sensitive_features"
FINITE, SAME = Works("works"), Works("the same result as for plain arrays of numbers", nothing)
NAN, INF = Refuses("X contains NaN"), Refuses("X contains infinity")
TEXT = Refuses("could not convert string to float")
TYPE = Refuses("X must be an array, a DataFrame, a sparse matrix or a list of rows", error=TypeError)
TABLE = Refuses("X must be a table of numbers, got rows of different lengths, or sequences")
LARGE = Refuses("a value too large for dtype('float32')")
MASKED = Refuses("must be whole, got a masked array")
COMPLEX = Refuses("Complex data not supported")
ONE_AXIS = Refuses("Expected 2D array, got 1D array")
LABELS = Refuses(
    "needs at least two classes, but y holds one only", r"at least (two|2) classes.*(one class only|only one)"
)
GROUPS = Refuses("needs at least 2 groups, but sensitive_features has only one")
BINARY = Refuses(
    "crosses the boundary between two groups, but there are more, or fewer", "crosses the boundary between two"
)
NO_Y = Refuses("requires y to be passed, but the target y is None")
HOLD_OUT = Refuses("no cell of label and group has two rows", r"no cell of (these|label)")
BATCH = Refuses(
    "debiased attention needs at least two rows of a batch", "debiased attention standardises over the rows"
)
FEW = Refuses("1 sample, while a minimum of 2 is required", "1 sample.*minimum of 2")
SCALARS = Refuses("sensitive_features must hold scalars", "sensitive_features.*must hold scalars")
AXES = Refuses("sensitive_features must have one or two dimensions")
ONE_Y = Refuses("y should be a 1d array", "should be a 1d array|binary, multiclass and binarized|Expected array-like")
MISSING_Y = Refuses(
    "y must be whole, got missing labels", "y must be whole, got 29 missing|y must be whole, got 31 missing"
)
POSITIONAL = Refuses("missing 1 required positional argument: 'y'", error=TypeError)
NEEDS = Refuses("needs sensitive_features at fit and got none")
NOT_FITTED = Refuses("this instance is not fitted yet", "is not fitted yet", NotFittedError)


def on_X(function):
    return lambda d: {"X": function(d["X"])}


def on_y(function):
    return lambda d: {"y": function(d["y"])}


def on_s(function):
    return lambda d: {S: function(d[S])}


ROWS = [
    ("NaN", spoiled(np.nan), NAN),
    ("NaN in a DataFrame", lambda d: {"X": frame(with_nan(d))}, NAN),
    ("NaN in a sparse matrix", lambda d: {"X": sp.csr_matrix(with_nan(d))}, NAN),
    ("NaN among objects", lambda d: {"X": with_nan(d).astype(object)}, NAN),
    ("`pandas.NA` in a nullable column", on_X(lambda X: frame(X).astype("Float64").mask(X > 2)), NAN),
    ("infinity", spoiled(np.inf), INF),
    ("-infinity", spoiled(-np.inf), INF),
    ("a number too large for single precision, 1e300", spoiled(1e300), LARGE),
    ("values hidden by a mask", on_X(lambda X: np.ma.masked_array(X, X > 2)), MASKED),
    ("no rows", first(0), Refuses("0 sample(s)")),
    ("no columns", on_X(lambda X: X[:, :0]), Refuses("0 feature(s)")),
    ("one axis", on_X(lambda X: X[:, 0]), ONE_AXIS),
    (
        "a single number",
        given(X=3.5),
        Refuses("Expected 2D array, got scalar array"),
        Refuses("Expected sequence or array-like", error=TypeError),
    ),
    ("None", given(X=None), TYPE),
    ("a dict", on_X(lambda X: dict(enumerate(X.T.tolist()))), TYPE),
    (
        "texts alone",
        given(X=["red"] * N),
        Refuses("X holds texts, but the module reads numbers", "X holds texts"),
        TEXT,
    ),
    ("a column of text", on_X(lambda X: frame(X).assign(b="red")), TEXT),
    ("text among numbers, in lists", on_X(lambda X: [["red", *row[1:]] for row in X.tolist()]), TEXT),
    ("categories that are text", on_X(lambda X: frame(X).assign(b=pd.Categorical(["red"] * N))), TEXT),
    (
        "a column of dates",
        on_X(lambda X: frame(X).assign(b=pd.Timestamp("2020-01-01"))),
        Refuses("X must hold numbers, got dates or durations", error=TypeError),
    ),
    ("a column of lists", on_X(lambda X: frame(X).assign(b=[[1]] * N)), TABLE),
    ("rows of different lengths", on_X(lambda X: [row[: 3 + (i > 5)] for i, row in enumerate(X.tolist())]), TABLE),
    ("complex numbers", on_X(lambda X: X + 1j), COMPLEX),
    ("two columns of one name", on_X(lambda X: frame(X, "abca")), Refuses("X must have columns of different names")),
    (
        "names of two types",
        on_X(lambda X: frame(X, ["a", "b", 2, 3])),
        Refuses("all feature names must be strings", "string names", TypeError),
    ),
    ("one row", first(1), LABELS, GROUPS, FEW, FINITE),
    ("a row for each cell of label and group", two_of_each, FINITE, HOLD_OUT),
    ("constant columns", on_X(lambda X: X * [1, 0, 1, 0]), FINITE),
    (
        "zeros alone",
        on_X(lambda X: 0 * X),
        FINITE,
        Refuses("all rows of X are the same: there is nothing to generate", "rows of X are the same"),
    ),
    ("objects that are numbers", on_X(lambda X: X.astype(object)), SAME),
    ("whole numbers of 8 bits", on_X(lambda X: (X * 10).astype(np.int8)), SAME._replace(same_as=rounded)),
    ("half precision", on_X(lambda X: X.astype(np.float16)), SAME._replace(same_as=short)),
    ("truth values", on_X(lambda X: X > 0), SAME._replace(same_as=signs)),
    ("nullable columns without NA", on_X(lambda X: frame(X).convert_dtypes()), SAME),
    (
        "categories that are numbers",
        on_X(lambda X: frame(X.round(1)).astype("category")),
        SAME._replace(same_as=one_decimal),
    ),
    ("lists of lists", on_X(lambda X: X.tolist()), SAME),
    ("a read-only array", on_X(read_only), SAME),
    ("Fortran's order", on_X(np.asfortranarray), SAME),
    ("every second column of an array", on_X(lambda X: np.repeat(X, 2, axis=1)[:, ::2]), SAME),
    ("sparse, by columns or by coordinates", on_X(sp.csc_matrix), SAME),
    (
        "a DataFrame with another index than y",
        lambda d: {"X": frame(d["X"]).set_axis(range(N, 0, -1)), "y": pd.Series(d["y"])},
        SAME,
    ),
    ("a DataFrame with numbers as names", on_X(pd.DataFrame), SAME),
]
TARGETS = [
    ("None", given(y=None), NO_Y),
    ("not given", given(y=ABSENT), NO_Y, POSITIONAL),
    ("NaN", on_y(lambda y: np.r_[np.nan, y[1:]]), Refuses("y contains NaN")),
    ("infinity", on_y(lambda y: np.r_[np.inf, y[1:]]), Refuses("y contains infinity")),
    (
        "`pandas.NA` in a nullable Series",
        on_y(lambda y: pd.Series(y, dtype="Int64").mask(y > 0)),
        MISSING_Y,
        Refuses("y contains NaN"),
    ),
    ("None among strings", on_y(lambda y: np.where(y, "yes", None)), MISSING_Y),
    ("values hidden by a mask", on_y(lambda y: np.ma.masked_array(y, y > 0)), MASKED),
    ("one label only", on_y(lambda y: 0 * y + 5), LABELS),
    ("continuous", on_y(lambda y: y + np.linspace(0, 0.5, N)), Refuses("Unknown label type")),
    ("two columns", on_y(lambda y: np.c_[y, y]), ONE_Y),
    (
        "a row too few",
        on_y(lambda y: y[1:]),
        Refuses("inconsistent numbers of samples: [60, 59]", r"inconsistent numbers of samples.*60.*59"),
    ),
    ("a dict", on_y(lambda y: dict(enumerate(y.tolist()))), ONE_Y),
    ("complex numbers", on_y(lambda y: y + 1j), COMPLEX),
    ("a label that occurs once", on_y(lambda y: np.r_[7, y[1:]]), FINITE),
    ("strings", on_y(lambda y: np.where(y, "yes", "no").astype(object)), SAME),
    ("truth values", on_y(lambda y: y > 0), SAME),
    ("dates", on_y(lambda y: np.where(y, np.datetime64("2021-01-01"), np.datetime64("2020-01-01"))), SAME),
    ("categories", on_y(lambda y: pd.Series(pd.Categorical(np.where(y, "yes", "no")))), SAME),
    ("a nullable Series without NA", on_y(lambda y: pd.Series(y, dtype="Int64")), SAME),
    ("a Series with another index", on_y(lambda y: pd.Series(y, index=range(N, 0, -1))), SAME),
    ("a read-only array", on_y(read_only), SAME),
]
FEATURES = [
    ("a row too few", on_s(lambda s: s[1:]), Refuses("sensitive_features has 59 rows, but X has 60")),
    ("three axes", given(**{S: np.zeros((N, 1, 1))}), AXES),
    ("a single value", given(**{S: "f"}), AXES),
    (
        "no column",
        given(**{S: pd.DataFrame(index=range(N))}),
        Refuses("sensitive_features has no column: at least one is needed"),
    ),
    (
        "two columns of one name",
        on_s(lambda s: frame(np.c_[s, s], "aa")),
        Refuses("sensitive_features must have columns of different names"),
    ),
    ("a sparse matrix", on_s(lambda s: sp.csr_matrix((s == "f").astype(float)[:, None])), AXES),
    ("objects that are lists", given(**{S: pd.Series([[1]] * N)}), SCALARS),
    ("objects that are dicts", given(**{S: [{1: 2}] * N}), SCALARS),
    (
        "a column of X that is not there, by name",
        lambda d: {S: ABSENT, "X": frame(d["X"]), "sensitive_columns": "sex"},
        Refuses("sensitive_columns has ['sex'], which X lacks; its columns are ['a', 'b', 'c', 'd']"),
    ),
    (
        "a column of X that is not there, by position",
        given(**{S: ABSENT, "sensitive_columns": 9}),
        Refuses("sensitive_columns has the positions [9], but X has 4 columns"),
    ),
    (
        "the name of a column of an array",
        given(**{S: ABSENT, "sensitive_columns": "sex"}),
        Refuses("sensitive_columns='sex' needs a DataFrame X"),
    ),
    ("None or NaN", hidden_groups, Works('a group of their own, "missing"'), BINARY),
    ("`pandas.NA`", on_s(lambda s: missing(s, pd.NA)), Works("as None", hidden_groups), BINARY),
    (
        "values hidden by a mask",
        on_s(lambda s: np.ma.masked_array((s == "m").astype(int), np.arange(N) < 20)),
        Works("as None", hidden_groups),
        BINARY,
    ),
    (
        "two columns of objects",
        on_s(lambda s: np.array([[v, i % 2] for i, v in enumerate(s)], dtype=object)),
        Works("the combinations are the groups"),
    ),
    ("a group without positive labels", rare, FINITE),
    ("a group of one row", on_s(lambda s: np.array(["x", *s[1:]])), FINITE, BINARY),
    (
        "strings and numbers",
        on_s(lambda s: np.array([v if v == "f" else 1 for v in s], dtype=object)),
        SAME._replace(same_as=turned),
    ),
    ("truth values", on_s(lambda s: s == "m"), SAME),
    ("infinite numbers", on_s(lambda s: np.where(s == "f", np.inf, 1.0)), SAME._replace(same_as=turned)),
    ("categories, some of which do not occur", on_s(lambda s: pd.Series(pd.Categorical(s, ["f", "m", "x"]))), SAME),
    ("a Series with another index", on_s(lambda s: pd.Series(s, index=range(N, 0, -1))), SAME),
    ("a dict of columns", on_s(lambda s: {"sex": s}), SAME),
]
ONES = np.ones(N)
WEIGHTS = [
    ("negative", np.r_[-1.5, ONES[1:]], Refuses("Negative values in data passed to `sample_weight`")),
    (
        "all zero",
        0 * ONES,
        Refuses("Sample weights must contain at least one non-zero number", "[Ss]ample weights must contain"),
    ),
    ("NaN", np.r_[np.nan, ONES[1:]], Refuses("sample_weight contains NaN")),
    ("infinity", np.r_[np.inf, ONES[1:]], Refuses("sample_weight contains infinity")),
    ("values hidden by a mask", np.ma.masked_array(ONES, np.arange(N) < 5), MASKED),
    (
        "a row too few",
        ONES[1:],
        Refuses("sample_weight has the shape (59,), expected (60,)", r"sample_weight.*shape.*\(59,\).*\(60,\)"),
    ),
    ("two columns", np.ones((N, 2)), Refuses("Sample weights must be 1D array or scalar")),
    ("text", ["a"] * N, TEXT),
    ("complex numbers", ONES * 1j, COMPLEX),
    ("zero for a part of the rows", (np.arange(N) > 5).astype(float), FINITE),
    ("zero for all rows of a label", rows(N)[1].astype(float), FINITE),
    ("zero for all rows of a group", (rows(N)[2] == "f").astype(float), FINITE),
    ("1e308 each: their sum is infinite", 1e308 * ONES, Works("the same result as for 1 each", nothing)),
    ("a single number", 2.0, Works("the same result as for 1 each", nothing)),
    (
        "a Series with another index",
        pd.Series(ONES, index=range(N, 0, -1)),
        Works("the same result as for 1 each", nothing),
    ),
]
POSITIVE, COUNT = "must be a number > 0", "must be an integer >= 1"
PARAMETERS = [
    ("lr", 0.0, Refuses(f"lr {POSITIVE} and < inf, got 0.0")),
    ("lr", "fast", Refuses(f"lr {POSITIVE} and < inf, got 'fast'")),
    ("lr", float("inf"), Refuses(f"lr {POSITIVE} and < inf, got inf")),
    ("weight_decay", -0.1, Refuses("weight_decay must be a number >= 0, got -0.1")),
    ("max_epochs", 0, Refuses(f"max_epochs {COUNT}, got 0")),
    ("max_epochs", 2.5, Refuses(f"max_epochs {COUNT}, got 2.5")),
    ("batch_size", 0, Refuses(f"batch_size {COUNT}, got 0")),
    ("validation_fraction", 2, Refuses("validation_fraction must be a number > 0 and < 1, got 2")),
    ("patience", 0, Refuses(f"patience {COUNT}, got 0")),
    ("verbose", "loud", Refuses("verbose must be an integer >= 0, got 'loud'")),
    ("lr_schedule", "stairs", Refuses("lr_schedule must be one of ['constant', 'cosine', 'linear'], got 'stairs'")),
    ("missing_groups", "drop", Refuses("missing_groups must be one of ['error', 'group'], got 'drop'")),
    (
        "early_stopping",
        3,
        Refuses("early_stopping must be True, False, ..., got 3", "early_stopping must be.* False.*got 3"),
    ),
    (
        "early_stopping",
        "equalised_odds",
        Refuses(
            "Unknown fairness metric 'equalised_odds'. Did you mean ...",
            "Unknown fairness metric 'equalised_odds'. Did you",
        ),
        Refuses("early_stopping must be True, False or 'loss'"),
        Refuses("early_stopping must be False"),
    ),
    (
        "module",
        "nonsense",
        Refuses(
            "module must be a torch module, its class, or one of [...], got 'nonsense'",
            "module must be.*one of.*got 'nonsense'",
        ),
    ),
    ("module", 3, Refuses("module must be a torch module, its class, or the name of one, got 3")),
    ("module__hiden", (3,), Refuses("unexpected keyword argument 'hiden'", error=TypeError)),
    (
        "module__hidden",
        (0,),
        Refuses("module__hidden must be a sequence of integers >= 1, got (0,)"),
        Refuses("unexpected keyword argument 'hidden'", error=TypeError),
    ),
    (
        "criterion",
        "mse",
        Refuses("criterion must be the class of a loss, such as torch.nn.CrossEntropyLoss, got 'mse'"),
    ),
    ("criterion__smoothing", 0.1, Refuses("unexpected keyword argument 'smoothing'", error=TypeError)),
    ("optimizer", "adam", Refuses("optimizer must be an optimizer's class, such as torch.optim.Adam, got 'adam'")),
    ("optimizer__momentums", 0.1, Refuses("unexpected keyword argument 'momentums'", error=TypeError)),
    ("callbacks", "nonsense", Refuses("callbacks must be a list of skorch callbacks, got 'nonsense'")),
    ("checkpoint", 3, Refuses("checkpoint must be the path of a file in a folder that exists, got 3")),
    ("device", "cuda:99", Refuses("device='cuda:99' is not present")),
    ("device", "gpu", Refuses("device='gpu' is no device; use 'auto', 'cpu', 'cuda' or 'accelerate'")),
    (
        "random_state",
        "today",
        Refuses(
            "random_state must be None, an int, ..., got 'today'",
            "random_state must be None, an int.*'today'",
            TypeError,
        ),
    ),
    ("random_state", -1, Refuses("random_state must be >= 0, got -1")),
    (
        "n_components",
        0,
        Refuses("n_components must be an integer >= 1, got 0", "n_components must be an? (integer|number) >= 1, got 0"),
    ),
]
WIDTH = r"X has 3 features, but \w+ is expecting 4"
NAMES = Refuses("The feature names should match those that were passed during fit")
LATER = [
    ("before fit", lambda d: {"X": d["X"], "fit": None}, NOT_FITTED),
    ("NaN", spoiled(np.nan), NAN),
    ("NaN in a sparse matrix", lambda d: {"X": sp.csr_matrix(with_nan(d))}, NAN),
    ("infinity", spoiled(np.inf), INF),
    ("a number too large for single precision, 1e300", spoiled(1e300), LARGE),
    ("values hidden by a mask", on_X(lambda X: np.ma.masked_array(X, X > 2)), MASKED),
    ("None", given(X=None), TYPE),
    ("no rows", on_X(lambda X: X[:0]), Refuses("0 sample(s)")),
    ("a column too few", on_X(lambda X: X[:, :3]), Refuses("X has 3 features, but 4 are expected", WIDTH)),
    (
        "an axis more",
        on_X(lambda X: np.stack([X, X], 2)),
        Refuses("X has rows of shape (4, 2), but was fitted on (4,)", r"rows of shape \(4, 2\).*fitted on \(4,\)"),
    ),
    ("one axis", on_X(lambda X: X[0]), ONE_AXIS),
    ("other column names", lambda d: {"X": frame(d["X"], "abcz"), "fit": frame}, NAMES),
    ("columns in another order", lambda d: {"X": frame(d["X"])[list("dcba")], "fit": frame}, NAMES),
    ("a column of text", lambda d: {"X": frame(d["X"]).assign(b="red"), "fit": frame}, TEXT),
    (
        "texts alone",
        given(X=["a text"] * 3),
        Refuses("X holds texts, but was fitted on numbers", "X holds texts, but .* was fitted on numbers"),
        TEXT,
    ),
    ("complex numbers", on_X(lambda X: X + 1j), COMPLEX),
    (
        "no names, though there were some",
        lambda d: {"X": d["X"], "fit": frame},
        Works("the same result, and a warning", lambda d: {"X": frame(d["X"])}, "does not have valid feature names"),
    ),
    (
        "names, though there were none",
        on_X(frame),
        Works("the same result, and a warning", same_X, "has feature names, but"),
    ),
    ("sparse, though it was dense", on_X(sp.csr_matrix), Works("the same result", same_X)),
    ("one row", on_X(lambda X: X[:1]), Works("the same result as among others", lambda d: {"X": d["X"][:1]})),
    ("lists of lists", on_X(lambda X: X.tolist()), Works("the same result", same_X)),
    ("a read-only array", on_X(read_only), Works("the same result", same_X)),
]
AGAIN = [
    ("a column too few", on_X(lambda X: X[:, :3]), Refuses("X has 3 features, but 4 are expected", WIDTH)),
    ("NaN", spoiled(np.nan), NAN),
    (
        "a label that is not among the classes",
        on_y(lambda y: y + 1),
        Refuses("y has the labels [2], which are not among the classes [0, 1]"),
        Works("works: y is not read"),
    ),
    (
        "a group that is new",
        on_s(lambda s: np.array(["x", *s[1:]])),
        Refuses("unseen group in sensitive feature 'sensitive_feature_0': ['x']"),
    ),
    (
        "missing groups where there were none",
        on_s(lambda s: missing(s)),
        Refuses("unseen group in sensitive feature 'sensitive_feature_0': ['missing']"),
    ),
    (
        "another number of sensitive features",
        on_s(lambda s: frame(np.c_[s, s], "ab")),
        Refuses("sensitive_features has the columns ['a', 'b'], at fit ['sensitive_feature_0']"),
    ),
    ("no sensitive features any more", given(**{S: ABSENT}), NEEDS, Works("works: groups are not needed")),
    ("one label only", on_y(lambda y: 0 * y), FINITE),
    ("one group only", on_s(lambda s: ["f"] * N), FINITE),
    ("one row", first(1), FINITE, BATCH),
]


def cases(section, about, rows, call="fit"):
    return [Case(section, name, about, change, tuple(answers), call) for name, change, *answers in rows]


CASES = [
    *cases("The rows, X", "X", ROWS),
    *cases("The labels, y", "y", TARGETS),
    *cases("Sensitive features", S, FEATURES),
    *cases("Sensitive features", "groups", [("not given, by methods that need them", given(**{S: ABSENT}), NEEDS)]),
    *cases(
        "Sensitive features", "two groups", [("one group, by methods that need two", given(**{S: ["f"] * N}), GROUPS)]
    ),
    *cases(
        "Sensitive features",
        "missing_groups",
        [
            (
                '`missing_groups="error"` and missing values',
                lambda d: {**hidden_groups(d), "missing_groups": "error"},
                Refuses("'sensitive_feature_0' has 20 missing values and missing_groups='error'; fill them"),
            )
        ],
    ),
    *cases("Weights", "sample_weight", [(name, given(sample_weight=w), *answers) for name, w, *answers in WEIGHTS]),
    *[
        Case("Parameters", f"`{key}={value!r}`", key.split("__")[0], given(**{key: value}), tuple(answers))
        for key, value, *answers in PARAMETERS
    ],
    *cases("After fit: predict and transform", "predict", LATER, "predict"),
    *cases("A second partial_fit", "partial_fit", AGAIN, "partial_fit"),
]


# ---------------------------------------------------------------------- the page
INTRO = """# Bad input

What each of {n_estimators} estimators answers to each of {n_cases} bad inputs, as far as it reads them: {n_cells} cells.
An answer is a correct result, or an error that names the value and what is expected; then nothing has been trained, not even
an earlier stage, and the objects given are as they were. A warning, where there is one, is named.

This page is written by `python tests/bad_inputs.py`, which asks the estimators; a test asks them again and compares. The
words are the errors' own, shortened. `TokenEncoder` reads texts alone, and is not among the estimators here; neither are
searches, which hand on what their nets answer.
"""


def asked(case):
    return [name for name in ESTIMATORS if takes(name, case.about)]


def line(case):
    """The row of the table: asks all estimators; ``Wrong``, with all that is wrong, if an answer is none of the case's."""
    found, wrong = {}, []
    for name in asked(case):
        try:
            found.setdefault(str(ask(name, case)), []).append(name)
        except Wrong as error:
            wrong.append(f"{case.section}, {case.name}: {name}: {error}")
    if wrong:
        raise Wrong("\n".join(wrong))
    answers = sorted(found.items(), key=lambda item: len(item[1]))  # the most common last: "the other 20"
    whole = len(asked(case))
    parts = [f"{who(names, whole, i == len(answers) - 1)}: {words}" for i, (words, names) in enumerate(answers)]
    return f"{start(case)} {'<br>'.join(parts).replace('|', chr(92) + '|')} |"


def start(case):
    return f"| {case.name} |"


def who(names, whole, largest):
    if len(names) == whole:
        return f"all {whole}"
    return f"the other {len(names)}" if largest and len(names) > 3 else ", ".join(f"`{name}`" for name in names)


def page(lines):
    """The page with these rows, in the order of the cases."""
    n_cells = sum(len(asked(case)) for case in CASES)
    text = INTRO.format(n_estimators=len(ESTIMATORS), n_cases=len(CASES), n_cells=n_cells)
    section = None
    for case, row in zip(CASES, lines, strict=True):
        if case.section != section:
            section = case.section
            text += f"\n## {section}\n\n| input | answers |\n|---|---|\n"
        text += row + "\n"
    return text


if __name__ == "__main__":
    PAGE.write_text(page([line(case) for case in CASES]))
