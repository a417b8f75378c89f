"""The Statlog German credit data set."""

import numpy as np
import pandas as pd

from skfair.datasets._bunch import age_group, make_bunch
from skfair.datasets._fetch import RemoteFile, open_uncompressed, resolve

_FILE = RemoteFile(
    "german_credit",
    "german.data",
    "https://archive.ics.uci.edu/static/public/144/statlog+german+credit+data.zip",
    "german.data",
    frozenset({"b21f3d81db8071257d5ff1deaeba1fd4303b62712e6fcc9715c7a86202cb5871"}),
)
_WORDS = {  # column -> words for the codes A<number of the attribute><1, 2, ...>; None: a number
    "status": ["< 0 DM", "0 to 200 DM", ">= 200 DM or salary for a year", "no checking account"],
    "duration": None,
    "credit_history": [  # codes start at 0
        "no credits or all paid back",
        "all credits at this bank paid back",
        "existing credits paid back till now",
        "delay in the past",
        "critical account or other credits",
    ],
    "purpose": [  # codes start at 0
        *("car (new)", "car (used)", "furniture", "radio or television", "domestic appliances", "repairs"),
        *("education", "vacation", "retraining", "business", "others"),
    ],
    "amount": None,
    "savings": ["< 100 DM", "100 to 500 DM", "500 to 1000 DM", ">= 1000 DM", "unknown or none"],
    "employment_duration": ["unemployed", "< 1 year", "1 to 4 years", "4 to 7 years", ">= 7 years"],
    "installment_rate": None,
    "personal_status_sex": [
        *("male: divorced or separated", "female: divorced, separated or married", "male: single"),
        *("male: married or widowed", "female: single"),
    ],
    "other_debtors": ["none", "co-applicant", "guarantor"],
    "present_residence": None,
    "property": ["real estate", "building society savings or life insurance", "car or other", "unknown or none"],
    "age": None,
    "other_installment_plans": ["bank", "stores", "none"],
    "housing": ["rent", "own", "for free"],
    "number_credits": None,
    "job": ["unemployed or unskilled non-resident", "unskilled resident", "skilled", "manager or highly qualified"],
    "people_liable": None,
    "telephone": ["none", "yes"],
    "foreign_worker": ["yes", "no"],
}
_FROM_ZERO = ("credit_history", "purpose")

_DESCR = """Statlog German credit
=====================

Applicants for a credit at a bank in southern Germany, 1973 to 1975; was the credit paid back?

Rows             1000
Target           credit_risk: 1 if good (the desired outcome), 0 if bad; P(1) = 0.700
Sensitive        sex (Female 0.6484, n = 310; Male 0.7232, n = 690), from personal_status_sex;
                 age_group (>25: 0.7284, n = 810; <=25: 0.5789, n = 190); foreign_worker
Features         20: 7 numeric, 13 categorical, with the codes A11 ... turned into words

Peculiarities: bad credits are oversampled. Groemping (2019) found that many codes are documented wrongly;
among other things sex cannot be told: the code A92 (read as "female: divorced, separated or married",
the only one counted as female here, as everywhere in the literature) in fact includes single men. Use
fetch_south_german_credit for the corrected data. The documentation names a cost matrix: a bad credit
classed as good costs 5, a good one classed as bad costs 1.

Source: UCI Machine Learning Repository, data set 144, Hans Hofmann 1994, doi 10.24432/C5NC77,
https://archive.ics.uci.edu/dataset/144/statlog+german+credit+data. Licence: CC BY 4.0.
"""


def fetch_german_credit(
    *,
    sensitive=("sex", "age_group"),
    drop_sensitive=False,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
    as_frame=True,
):
    """Load the Statlog German credit data set.

    ==============  ===============================================================
    Rows            1000
    Features        20, of which 13 categorical
    Target          1: good risk (desired), 0: bad risk
    P(target = 1)   0.700; Female 0.6484, Male 0.7232; >25: 0.7284, <=25: 0.5789
    ==============  ===============================================================

    Parameters
    ----------
    sensitive : str or sequence of str, default=("sex", "age_group")
        Which of "sex", "age_group" and "foreign_worker" to return as ``sensitive_features``.
    drop_sensitive : bool, default=False
        Whether to leave the features that hold them (``personal_status_sex``, ``age``,
        ``foreign_worker``) out.
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
        With ``data`` (DataFrame), ``target`` (Series of 0 and 1, named "credit_risk"),
        ``sensitive_features`` (DataFrame), ``feature_names``, ``target_names``,
        ``categorical_features`` and ``DESCR``.

    Raises
    ------
    DatasetUnavailableError
        If the file is neither stored nor can be downloaded.
    ChecksumError
        If the file has another content than the official one.

    Notes
    -----
    Source: UCI Machine Learning Repository, data set 144 (Hofmann 1994), CC BY 4.0.
    Its documentation is wrong in many codes and sex cannot be told from it
    (Groemping 2019): prefer :func:`fetch_south_german_credit`.

    Examples
    --------
    >>> from skfair.datasets import fetch_german_credit
    >>> german = fetch_german_credit()  # doctest: +SKIP
    >>> german.target.groupby(german.sensitive_features["age_group"]).mean().round(4).to_dict()  # doctest: +SKIP
    {'<=25': 0.5789, '>25': 0.7284}
    """
    path, _ = resolve(_FILE, data_home=data_home, download_if_missing=download_if_missing)
    with open_uncompressed(path) as stream:
        frame = pd.read_csv(stream, sep=" ", header=None, names=[*_WORDS, "credit_risk"])
    target = (frame.pop("credit_risk") == 1).astype(np.int64)  # 1 good, 2 bad
    for number, (name, words) in enumerate(_WORDS.items(), start=1):
        if words is not None:
            first = 0 if name in _FROM_ZERO else 1
            frame[name] = frame[name].map({f"A{number}{code}": word for code, word in enumerate(words, start=first)})
    groups = pd.DataFrame(
        {
            "sex": frame["personal_status_sex"].str.split(":").str[0].str.capitalize(),
            "age_group": age_group(frame["age"]),
            "foreign_worker": frame["foreign_worker"],
        }
    )
    return make_bunch(
        frame,
        target,
        sensitive=sensitive,
        drop_sensitive=drop_sensitive,
        categorical=[name for name, words in _WORDS.items() if words is not None],
        target_names=["bad", "good"],
        descr=_DESCR,
        return_X_y=return_X_y,
        as_frame=as_frame,
        groups=groups,
        sources={"sex": "personal_status_sex", "age_group": "age"},
    )
