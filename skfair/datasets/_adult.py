"""The Adult (census income) data set."""

import numpy as np
import pandas as pd

from skfair.datasets._bunch import make_bunch
from skfair.datasets._fetch import RemoteFile, open_uncompressed, resolve

_URL = "https://archive.ics.uci.edu/static/public/2/adult.zip"
_FILES = {
    "train": RemoteFile(
        "adult",
        "adult.data",
        _URL,
        "adult.data",
        frozenset({"5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d"}),
    ),
    "test": RemoteFile(
        "adult",
        "adult.test",
        _URL,
        "adult.test",
        frozenset({"a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05"}),
    ),
}
_COLUMNS = [
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship"),
    *("race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income"),
]
_NUMERIC = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week", "income")
_CATEGORICAL = [name for name in _COLUMNS if name not in _NUMERIC]

_DESCR = """Adult (census income)
=====================

Persons of the 1994 US census bureau data base; does a person earn more than 50,000 dollars a year?

Rows             48842 (train 32561, test 16281); 3620 of them have a missing value ('?' in the
                 files: workclass, occupation, native-country), 45222 remain with drop_missing=True
Target           income: 1 if above 50K (the desired outcome), 0 otherwise; P(1) = 0.2393
Sensitive        sex (Female 0.1093, Male 0.3038), race (five categories), and also age, marital-status,
                 relationship or native-country on request
sample_weight    fnlwgt, the number of people that the census believes the row stands for; not a feature
split            "train" or "test" per row, the official split

Peculiarities: education and education-num say the same; marital-status and relationship nearly give
away the sex (Husband, Wife); 52 rows repeat an earlier one; capital-gain is capped at 99999; hours-per-week
at 99. The income threshold is arbitrary, see Ding et al., "Retiring Adult", NeurIPS 2021.

Source: UCI Machine Learning Repository, data set 2, https://archive.ics.uci.edu/dataset/2/adult,
Becker and Kohavi 1996, doi 10.24432/C5XW20. Licence: CC BY 4.0.
"""


def fetch_adult(
    *,
    sensitive=("sex", "race"),
    subset="all",
    drop_missing=False,
    drop_sensitive=False,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
    as_frame=True,
):
    """Load the Adult (census income) data set.

    ==============  ======================================
    Rows            48842 (45222 without missing values)
    Features        13, of which 8 categorical
    Target          1: income above 50K (desired), 0: not
    P(target = 1)   0.2393; Female 0.1093, Male 0.3038
    ==============  ======================================

    Parameters
    ----------
    sensitive : str or sequence of str, default=("sex", "race")
        Columns to return as ``sensitive_features``.
    subset : {"all", "train", "test"}, default="all"
        The official parts; "all" is train followed by test.
    drop_missing : bool, default=False
        Whether to drop the rows with a missing value.
    drop_sensitive : bool, default=False
        Whether to leave the columns in `sensitive` out of the features.
    data_home : str or path-like, default=None
        A folder to look in first, and to download to; see :func:`get_data_home`.
    download_if_missing : bool, default=True
        If False, raise an error if the files are not stored locally.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        If False, ``data``, ``target`` and ``sensitive_features`` are numpy arrays.

    Returns
    -------
    dataset : :class:`~sklearn.utils.Bunch`
        With ``data`` (DataFrame), ``target`` (Series of 0 and 1, named "income"),
        ``sensitive_features`` (DataFrame), ``feature_names``, ``target_names``,
        ``categorical_features``, ``sample_weight`` (fnlwgt), ``split`` and ``DESCR``.

    Raises
    ------
    DatasetUnavailableError
        If the files are neither stored nor can be downloaded.
    ChecksumError
        If a file has another content than the official one.

    Notes
    -----
    Source: UCI Machine Learning Repository, data set 2 (Becker and Kohavi 1996),
    CC BY 4.0. ``'?'`` is read as missing (NaN). The column ``fnlwgt`` is a sampling
    weight and is returned as ``sample_weight``, not as a feature.

    Examples
    --------
    >>> from skfair.datasets import fetch_adult
    >>> adult = fetch_adult()  # doctest: +SKIP
    >>> adult.target.groupby(adult.sensitive_features["sex"]).mean().round(4).to_dict()  # doctest: +SKIP
    {'Female': 0.1093, 'Male': 0.3038}
    """
    if subset not in ("all", "train", "test"):
        raise ValueError(f"subset must be 'all', 'train' or 'test', got {subset!r}")
    parts = ("train", "test") if subset == "all" else (subset,)
    frame = pd.concat([_read(part, data_home, download_if_missing) for part in parts], ignore_index=True)
    if drop_missing:
        frame = frame.dropna().reset_index(drop=True)
    target = (frame.pop("income") == ">50K").astype(np.int64).rename("income")
    weight, split = frame.pop("fnlwgt").astype(np.float64), frame.pop("split")
    return make_bunch(
        frame,
        target,
        sensitive=sensitive,
        drop_sensitive=drop_sensitive,
        categorical=_CATEGORICAL,
        target_names=["<=50K", ">50K"],
        descr=_DESCR,
        return_X_y=return_X_y,
        as_frame=as_frame,
        sample_weight=weight,
        split=split,
    )


def _read(part, data_home, download_if_missing):
    """One official part as a DataFrame with a column `split`."""
    path, _ = resolve(_FILES[part], data_home=data_home, download_if_missing=download_if_missing)
    with open_uncompressed(path) as stream:
        frame = pd.read_csv(
            stream,
            header=None,
            names=_COLUMNS,
            skipinitialspace=True,
            na_values="?",
            skiprows=1 if part == "test" else 0,
        )
    frame["income"] = frame["income"].str.rstrip(".")  # labels of adult.test end in a dot
    return frame.assign(split=part)
