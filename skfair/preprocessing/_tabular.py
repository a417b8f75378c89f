"""A ColumnTransformer that turns any table into numbers for a network."""

import numbers
import warnings

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    StandardScaler,
)

from skfair.preprocessing._columns import frequent_blocks, select_categorical, select_numeric

MISSING = "missing"  # the category that stands for a missing value


def make_tabular_preprocessor(
    *,
    numeric="standard",
    categorical="onehot",
    frequent_values=None,
    spike=0.03,
    max_frequent=100,
    min_frequency=None,
    max_categories=None,
    add_indicator=True,
    random_state=0,
):
    """Make a transformer from a table of any column types to dense numbers.

    In numeric columns missing values get the median, then they are scaled; all other
    columns (text, category, boolean, mixed objects) become one-hot columns or
    codes, a missing value being a category of its own. No column is dropped:
    one that cannot be encoded (a date, a list) raises an error.

    Parameters
    ----------
    numeric : {"standard", "quantile", "minmax", "passthrough"}, default="standard"
        Scaling of the numeric columns: mean 0 and variance 1; ranks mapped to a
        normal distribution; to [0, 1]; none.
    categorical : {"onehot", "ordinal"}, default="onehot"
        Encoding of all other columns. A category that was not seen in `fit` is
        all zeros in "onehot" (or the infrequent one, if there is one), -1 in "ordinal".
    frequent_values : int or float, default=None
        In numeric columns of few values (at most 255), each value that at least so many rows of `fit` have (a float:
        this share of them) gets a one-hot column, besides the scaled column, and all others one together. A scaled
        network cannot see a spike, such as the zeros and ceilings of Adult's capital gain, which trees find at once.
        None: no such columns.
    spike : float, default=0.03
        In numeric columns of more values only values with at least this share of the rows get a column: repetitions
        of the others are chance. Columns in which no value has this share get none at all.
    max_frequent : int or None, default=100
        At most so many columns for each numeric column: those of the most frequent values.
    min_frequency : int or float, default=None
        Categories with fewer rows (or a smaller share) are merged into one; as in
        :class:`~sklearn.preprocessing.OneHotEncoder`.
    max_categories : int, default=None
        Upper limit to the number of categories of a column; as there.
    add_indicator : bool, default=True
        Whether a numeric column with missing values in `fit` gets a further
        column, 1 where the value was missing.
    random_state : int or RandomState, default=0
        For the subsample of ``numeric="quantile"``; of no effect otherwise.

    Returns
    -------
    transformer : :class:`~sklearn.compose.ColumnTransformer`
        Unfitted, with the blocks "numeric", "frequent", "spikes", "missing" and
        "categorical". It keeps names
        (``get_feature_names_out``), knows ``set_output``, and takes pandas and
        polars DataFrames and numeric arrays.

    Raises
    ------
    ValueError
        If `numeric`, `categorical` or `frequent_values` has another value than those above.
    TypeError
        In ``fit``, if a column has a type that cannot be encoded (named in the message).

    Notes
    -----
    Which columns are numeric is decided in `fit`, from their types: a column of
    codes, such as those of MEPS, counts as numeric unless it is turned into
    ``category`` before. Categories are compared as text, so 1, 1.0 and "1" are one.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skfair.preprocessing import make_tabular_preprocessor
    >>> X = pd.DataFrame({"age": [20.0, np.nan, 40.0], "job": ["nurse", None, "cook"]})
    >>> preprocessor = make_tabular_preprocessor().set_output(transform="pandas")
    >>> preprocessor.fit_transform(X)
            age  missingindicator_age  job_cook  job_missing  job_nurse
    0 -1.224745                   0.0       0.0          0.0        1.0
    1  0.000000                   1.0       0.0          1.0        0.0
    2  1.224745                   0.0       1.0          0.0        0.0
    """
    scaler = _choose("numeric", numeric, _scalers(random_state))
    encoder = _choose("categorical", categorical, _encoders(min_frequency, max_categories))
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    to_text = FunctionTransformer(_to_text, feature_names_out="one-to-one")
    blocks = [
        ("numeric", Pipeline([("imputer", imputer), ("scaler", scaler)]), select_numeric),
        ("missing", _make_indicator(), select_numeric),
        ("categorical", Pipeline([("text", to_text), ("encoder", encoder)]), select_categorical),
    ]
    if not add_indicator:
        del blocks[1]
    if frequent_values is not None:
        blocks[1:1] = frequent_blocks(frequent_values, spike, max_frequent)
    return ColumnTransformer(blocks, sparse_threshold=0, verbose_feature_names_out=False)  # 0: always dense


def _make_indicator():
    """One column of 0 and 1 for each column with missing values in `fit`; never scaled."""
    to_float = FunctionTransformer(_to_float, feature_names_out="one-to-one")
    return Pipeline([("indicator", MissingIndicator(error_on_new=False)), ("float", to_float)])


class UnweightedScaler(StandardScaler):
    """Does not ask for the weights of the rows that are routed to the classifier behind it."""

    __metadata_request__fit = {"sample_weight": False}


class NormalScores(QuantileTransformer):
    """Ranks mapped to a normal distribution, without a warning where there are fewer rows than quantiles."""

    def fit(self, X, y=None):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="n_quantiles")
            return super().fit(X, y)


def _choose(parameter, value, options):
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{parameter} must be one of {sorted(options)}, got {value!r}")
    return options[value]


def _scalers(random_state):
    return {
        "standard": UnweightedScaler(),
        "quantile": NormalScores(output_distribution="normal", random_state=random_state),
        "minmax": MinMaxScaler(),
        "passthrough": "passthrough",
    }


def _encoders(min_frequency, max_categories):
    merge = {"min_frequency": min_frequency, "max_categories": max_categories}
    unknown = "ignore" if min_frequency is None and max_categories is None else "infrequent_if_exist"
    return {
        "onehot": OneHotEncoder(handle_unknown=unknown, sparse_output=False, **merge),
        "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **merge),
    }


def _to_float(X):
    return X.astype(float) if hasattr(X, "astype") else X.cast(float)  # polars: cast


def _to_text(X):
    """Categories as text, (n, k) object array; missing values become "missing"."""
    if isinstance(X, np.ndarray):
        columns = [(index, X[:, index]) for index in range(X.shape[1])]
    else:
        columns = [(name, X[name]) for name in X.columns]
    text = np.empty((len(X), len(columns)), dtype=object)
    for position, (name, values) in enumerate(columns):
        values = values.to_list() if hasattr(values, "to_list") else values
        codes, found = _factorize(name, values)
        text[:, position] = np.array([*(_text_of(name, value) for value in found), MISSING], dtype=object)[codes]
    return text


def _factorize(name, values):
    """Codes (-1: missing) and the distinct values of one column."""
    boxed = np.empty(len(values), dtype=object)
    boxed[:] = values
    try:
        return pd.factorize(boxed, use_na_sentinel=True)
    except TypeError as error:  # a list, a dict
        raise TypeError(f"column {name!r} holds values that are no categories: {error}") from error


def _text_of(name, value):
    if isinstance(value, numbers.Real) and float(value).is_integer() and not isinstance(value, (bool, np.bool_)):
        return str(int(value))  # 1.0 and 1 are the same category
    if isinstance(value, (str, bool, np.bool_, numbers.Real)):
        return str(value)
    raise TypeError(
        f"column {name!r} holds {value!r} of type {type(value).__name__}, expected numbers, booleans or text"
    )
