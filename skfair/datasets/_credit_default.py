"""The data set of credit card clients in Taiwan who default, or not."""

import hashlib

import numpy as np
import pandas as pd

from skfair.datasets._bunch import age_group, make_bunch
from skfair.datasets._fetch import ChecksumError, DatasetUnavailableError, RemoteFile, open_uncompressed, resolve

_FILE = RemoteFile(  # no digest of the file is known, and copies differ in headings: the values are checked
    "credit_default",
    "credit-card-clients.csv",
    "https://archive.ics.uci.edu/static/public/350/data.csv",
)
_VALUES = (
    "9c3c9ae60f343b5fba1102e0f539176c277cfd1065702542e5890fd4cf9f2f79"  # sha256 of the table as float64, row by row
)
_TARGET = "default payment next month"
_COLUMNS = [
    *("LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE", "PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6"),
    *(f"BILL_AMT{month}" for month in range(1, 7)),
    *(f"PAY_AMT{month}" for month in range(1, 7)),
    _TARGET,
]
_N_ROWS = 30000
_WORDS = {
    "SEX": {1: "Male", 2: "Female"},
    "EDUCATION": {
        **{1: "graduate school", 2: "university", 3: "high school", 4: "others"},
        **{0: "unknown", 5: "unknown", 6: "unknown"},  # not in the documentation
    },
    "MARRIAGE": {1: "married", 2: "single", 3: "others", 0: "unknown"},
}
_ADVICE = (
    "UCI's Excel file (in https://archive.ics.uci.edu/static/public/350/default+of+credit+card+clients.zip) is not "
    f"read: save its sheet as {_FILE.name}, separated by commas; the headings and the column ID may stay"
)

_DESCR = """Default of credit card clients
==============================

Clients with a credit card in Taiwan, April to September 2005; did they default on the payment of October?

Rows             30000
Target           default payment next month: 1 if the client defaulted, 0 if not. 1 is the UNDESIRED outcome:
                 a prediction of 1 harms. P(1) = 0.2212
Sensitive        SEX (Male 0.2417, n = 11888; Female 0.2078, n = 18112); on request EDUCATION (graduate school
                 0.1923, university 0.2373, high school 0.2516, others 0.0569, unknown 0.0754), MARRIAGE
                 (married 0.2347, single 0.2093, others 0.2601, unknown 0.0926) and age_group (<=25: 0.2666,
                 n = 3871; >25: 0.2145, n = 26129), from AGE
Features         23: SEX, EDUCATION and MARRIAGE are categories, their codes turned into words; numbers are
                 LIMIT_BAL (the credit given, in NT dollars), AGE, PAY_0 and PAY_2 to PAY_6 (months of delay,
                 September back to April; there is no PAY_1), BILL_AMT1 to BILL_AMT6 (bills, below 0: in credit)
                 and PAY_AMT1 to PAY_AMT6 (payments), in the same order

Peculiarities: codes that the documentation does not explain are "unknown": EDUCATION 0, 5 and 6 (345 rows),
MARRIAGE 0 (54). It explains neither -2 and 0 of PAY_*, which are most of the values; they are commonly read as no
use of the card (-2), paid in full (-1) and the minimum paid (0). They are left as numbers, in this order, below the
months of delay. 35 rows repeat an earlier one.

Source: UCI Machine Learning Repository, data set 350,
https://archive.ics.uci.edu/dataset/350/default+of+credit+card+clients, doi 10.24432/C55S3H; Yeh and Lien, "The
comparisons of data mining techniques for the predictive accuracy of probability of default of credit card clients",
Expert Systems with Applications 36, 2009. Licence: CC BY 4.0.
"""


def fetch_credit_default(
    *,
    sensitive="SEX",
    drop_sensitive=False,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
    as_frame=True,
):
    """Load the default of credit card clients data set (Taiwan 2005).

    ==============  =====================================================================
    Rows            30000
    Features        23, of which 3 categorical
    Target          1: defaulted next month (the *undesired* outcome), 0: not
    P(target = 1)   0.2212; Male 0.2417, Female 0.2078; <=25: 0.2666, >25: 0.2145
    ==============  =====================================================================

    Parameters
    ----------
    sensitive : str or sequence of str, default="SEX"
        Which of "SEX", "EDUCATION", "MARRIAGE" and "age_group" to return as
        ``sensitive_features``. "age_group" is "<=25" or ">25", as for the German credit data.
    drop_sensitive : bool, default=False
        Whether to leave the features that hold them (``SEX``, ``EDUCATION``, ``MARRIAGE``,
        ``AGE``) out.
    data_home : str or path-like, default=None
        A folder to look in first, and to download to; see :func:`get_data_home`.
    download_if_missing : bool, default=True
        If False, raise an error if the file is not stored locally.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        If False, ``data``, ``target`` and ``sensitive_features`` are numpy arrays.

    Returns
    -------
    dataset : :class:`~sklearn.utils.Bunch`
        With ``data`` (DataFrame), ``target`` (Series of 0 and 1, named "default payment next
        month", **1 is undesired**), ``sensitive_features`` (DataFrame), ``feature_names``,
        ``target_names``, ``categorical_features`` and ``DESCR``.

    Raises
    ------
    DatasetUnavailableError
        If the file is neither stored nor can be downloaded.
    ChecksumError
        If the file has other values than the official ones, or is no CSV file.

    Notes
    -----
    Source: UCI Machine Learning Repository, data set 350 (Yeh and Lien 2009), CC BY 4.0. UCI's
    archive holds an Excel file, which is not read. Read is ``credit-card-clients.csv``: UCI's own
    ``data.csv``, the Excel sheet saved as CSV, or any other copy of the same rows in the same
    order. Headings and a column ``ID`` in front do not matter; the values are checked, all of them.

    Examples
    --------
    >>> from skfair.datasets import fetch_credit_default
    >>> credit = fetch_credit_default()  # doctest: +SKIP
    >>> credit.target.groupby(credit.sensitive_features["SEX"]).mean().round(4).to_dict()  # doctest: +SKIP
    {'Female': 0.2078, 'Male': 0.2417}
    """
    try:
        path, _ = resolve(_FILE, data_home=data_home, download_if_missing=download_if_missing)
    except DatasetUnavailableError as error:
        raise DatasetUnavailableError(f"{error}. {_ADVICE}") from error
    frame = _read(path)
    target = frame.pop(_TARGET)
    for name, words in _WORDS.items():
        frame[name] = frame[name].map(words)
    return make_bunch(
        frame,
        target,
        sensitive=sensitive,
        drop_sensitive=drop_sensitive,
        categorical=list(_WORDS),
        target_names=["no default", "default"],
        descr=_DESCR,
        return_X_y=return_X_y,
        as_frame=as_frame,
        groups=frame[[*_WORDS]].assign(age_group=age_group(frame["AGE"])),
        sources={"age_group": "AGE"},
    )


def _read(path):
    """The 24 columns as integers, whatever the headings, with or without a column ID in front."""
    try:
        with open_uncompressed(path) as stream:
            cells = pd.read_csv(stream, header=None, dtype=str)
    except ValueError as error:  # not text, or no table
        raise ChecksumError(f"{path} cannot be read as CSV ({error}); it was left in place. {_ADVICE}") from error
    cells = cells.iloc[:, -len(_COLUMNS) :].apply(pd.to_numeric, errors="coerce")
    values = cells.dropna().to_numpy("<f8")  # headings are no numbers
    found = hashlib.sha256(values.tobytes()).hexdigest()
    if values.shape != (_N_ROWS, len(_COLUMNS)) or found != _VALUES:
        raise ChecksumError(
            f"{path} holds {values.shape[0]} rows of {values.shape[1]} numbers with sha256 {found}, expected "
            f"{_N_ROWS} of {len(_COLUMNS)} with {_VALUES}; it was left in place. {_ADVICE}"
        )
    return pd.DataFrame(values.astype(np.int64), columns=_COLUMNS)
