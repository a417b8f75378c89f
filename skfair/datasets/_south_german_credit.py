"""The South German credit data set: the corrected German credit data."""

import numpy as np
import pandas as pd

from skfair.datasets._bunch import age_group, make_bunch
from skfair.datasets._fetch import RemoteFile, open_uncompressed, resolve

_FILE = RemoteFile(
    "south_german_credit",
    "SouthGermanCredit.asc",
    "https://archive.ics.uci.edu/static/public/573/south+german+credit+update.zip",
    "SouthGermanCredit.asc",
    frozenset({"5f363343f356ca38a0236baab849e472846399b2176ccc5bd686483dd8a7562f"}),
    mirrors=("https://archive.ics.uci.edu/static/public/522/south+german+credit.zip",),
)
_COLUMNS = {  # German name in the file -> (English name, words for the codes; None: a number)
    "laufkont": ("status", {1: "no checking account", 2: "< 0 DM", 3: "0 to 200 DM", 4: ">= 200 DM or salary"}),
    "laufzeit": ("duration", None),
    "moral": (
        "credit_history",
        {
            0: "delay in the past",
            1: "critical account or other credits",
            2: "no credits or all paid back",
            3: "existing credits paid back till now",
            4: "all credits at this bank paid back",
        },
    ),
    "verw": (
        "purpose",
        dict(
            enumerate(
                [
                    *("others", "car (new)", "car (used)", "furniture", "radio or television", "domestic appliances"),
                    *("repairs", "education", "vacation", "retraining", "business"),
                ]
            )
        ),
    ),
    "hoehe": ("amount", None),
    "sparkont": (
        "savings",
        {1: "unknown or none", 2: "< 100 DM", 3: "100 to 500 DM", 4: "500 to 1000 DM", 5: ">= 1000 DM"},
    ),
    "beszeit": (
        "employment_duration",
        {1: "unemployed", 2: "< 1 year", 3: "1 to 4 years", 4: "4 to 7 years", 5: ">= 7 years"},
    ),
    "rate": ("installment_rate", {1: ">= 35", 2: "25 to 35", 3: "20 to 25", 4: "< 20"}),
    "famges": (
        "personal_status_sex",
        {
            1: "male: divorced or separated",
            2: "female: not single, or male: single",
            3: "male: married or widowed",
            4: "female: single",
        },
    ),
    "buerge": ("other_debtors", {1: "none", 2: "co-applicant", 3: "guarantor"}),
    "wohnzeit": ("present_residence", {1: "< 1 year", 2: "1 to 4 years", 3: "4 to 7 years", 4: ">= 7 years"}),
    "verm": (
        "property",
        {1: "unknown or none", 2: "car or other", 3: "building society savings or life insurance", 4: "real estate"},
    ),
    "alter": ("age", None),
    "weitkred": ("other_installment_plans", {1: "bank", 2: "stores", 3: "none"}),
    "wohn": ("housing", {1: "for free", 2: "rent", 3: "own"}),
    "bishkred": ("number_credits", {1: "1", 2: "2 or 3", 3: "4 or 5", 4: ">= 6"}),
    "beruf": (
        "job",
        {
            1: "unemployed or unskilled non-resident",
            2: "unskilled resident",
            3: "skilled",
            4: "manager or highly qualified",
        },
    ),
    "pers": ("people_liable", {1: "3 or more", 2: "0 to 2"}),
    "telef": ("telephone", {1: "no", 2: "yes"}),
    "gastarb": ("foreign_worker", {1: "yes", 2: "no"}),
}

_DESCR = """South German credit
===================

Applicants for a credit at a bank in southern Germany, 1973 to 1975; was the credit paid back? The
correction of the Statlog German credit data.

Rows             1000, NEARLY SORTED BY RISK (the last 249 are all bad, the rest is 93 % good): always
                 shuffle before splitting, and stratify; KFold() without shuffle=True gives folds of one class
Target           credit_risk: 1 if good (the desired outcome), 0 if bad; P(1) = 0.700
Sensitive        age_group (>25: 0.7284, n = 810; <=25: 0.5789, n = 190); foreign_worker
Features         20, with English names; duration, amount and age are numbers, the codes of the other 17
                 are turned into words (8 of them are ordered)

Peculiarities: bad credits are oversampled. Sex cannot be told: personal_status_sex has one category for
women who are not single and men who are. No age limit gives the demographic parity gap of 0.188 that is
sometimes quoted; with 25 the gap is 0.1494.

Source: UCI Machine Learning Repository, data sets 522 and 573, doi 10.24432/C5QG88; Ulrike Groemping,
"South German Credit Data: Correcting a Widely Used Data Set", Report 4/2019, Beuth University of Applied
Sciences Berlin. Licence: CC BY 4.0.
"""


def fetch_south_german_credit(
    *,
    sensitive="age_group",
    drop_sensitive=False,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
    as_frame=True,
):
    """Load the South German credit data set, the corrected German credit data.

    ==============  ==========================================
    Rows            1000, sorted by risk: shuffle!
    Features        20, of which 17 categorical
    Target          1: good risk (desired), 0: bad risk
    P(target = 1)   0.700; >25: 0.7284, <=25: 0.5789
    ==============  ==========================================

    .. warning::
        The rows are nearly sorted by risk, as in the official file: the last 249 are
        all bad, the rest is 93 % good. Never split them without shuffling.

    Parameters
    ----------
    sensitive : str or sequence of str, default="age_group"
        Which of "age_group" and "foreign_worker" to return as ``sensitive_features``.
    drop_sensitive : bool, default=False
        Whether to leave the features that hold them (``age``, ``foreign_worker``) out.
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
    Source: UCI Machine Learning Repository, data sets 522 and 573 (Groemping 2019), CC BY 4.0.
    There is no sensitive feature "sex": the data do not tell it.

    Examples
    --------
    >>> from sklearn.model_selection import train_test_split
    >>> from skfair.datasets import fetch_south_german_credit
    >>> german = fetch_south_german_credit()  # doctest: +SKIP
    >>> parts = train_test_split(german.data, german.target, stratify=german.target)  # doctest: +SKIP
    """
    path, _ = resolve(_FILE, data_home=data_home, download_if_missing=download_if_missing)
    with open_uncompressed(path) as stream:
        frame = pd.read_csv(stream, sep=" ")
    target = frame.pop("kredit").astype(np.int64).rename("credit_risk")
    for german, (_, words) in _COLUMNS.items():
        if words is not None:
            frame[german] = frame[german].map(words)
    frame = frame.rename(columns={german: english for german, (english, _) in _COLUMNS.items()})
    groups = pd.DataFrame({"age_group": age_group(frame["age"]), "foreign_worker": frame["foreign_worker"]})
    return make_bunch(
        frame,
        target,
        sensitive=sensitive,
        drop_sensitive=drop_sensitive,
        categorical=[english for english, words in _COLUMNS.values() if words is not None],
        target_names=["bad", "good"],
        descr=_DESCR,
        return_X_y=return_X_y,
        as_frame=as_frame,
        groups=groups,
        sources={"age_group": "age"},
    )
