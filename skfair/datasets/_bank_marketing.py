"""The bank marketing data set: calls of a Portuguese bank."""

import hashlib
import io
import zipfile
import zlib

import numpy as np
import pandas as pd

from skfair.datasets._bunch import make_bunch
from skfair.datasets._fetch import ChecksumError, RemoteFile, open_uncompressed, resolve

_TABLE = RemoteFile(
    "bank_marketing",
    "bank-full.csv",
    "",  # official only inside of the archive
    None,
    frozenset({"d1513ec63b385506f7cfce9f2c5caa9fe99e7ba4e8c3fa264b3aaf0f849ed32d"}),
)
_ARCHIVE = RemoteFile(  # a zip in a zip; its digest is not known: that of the table in it is checked
    "bank_marketing",
    "bank.zip",
    "https://archive.ics.uci.edu/static/public/222/bank+marketing.zip",
    "bank.zip",
)
_CATEGORICAL = ["job", "marital", "education", "default", "housing", "loan", "contact", "month", "poutcome"]
_MIDDLE = (25, 60)  # years, both included

_DESCR = """Bank marketing
==============

Clients whom a Portuguese bank called, May 2008 to November 2010, to sell them a term deposit; did they
subscribe?

Rows             45211, IN THE ORDER OF TIME: P(1) is 0.0299 in the first tenth of the rows and 0.4709 in the
                 last one. Shuffle before splitting (KFold() does not), or split by time on purpose
Target           y: 1 if the client subscribed (taken as the desired outcome), 0 if not; P(1) = 0.1170
Sensitive        age_group (25-60: 0.1060, n = 43214; <25 or >60: 0.3550, n = 1997), from age; marital
                 (married 0.1012, single 0.1495, divorced 0.1195; divorced includes widowed)
Features         15: age, balance (euros), day, campaign, pdays (-1: never called before) and previous are
                 numbers, the other 9 are categories. With with_duration=True 16
duration         seconds of the last call, known only when the call is over, and then the outcome is known,
                 too: P(1) is 0.0019 below one minute and 0.4836 above ten. UCI advises to leave it out of any
                 model that is meant to predict; it is left out unless asked for. Numbers in the literature
                 are often with it, and much higher

Peculiarities: "unknown" is a category of its own (job 288 rows, education 1857, contact 13020, poutcome 36959).
The two ends of age are one group, although the 1188 persons above 60 (0.4226) differ from the 809 below 25
(0.2559); the feature age tells them apart. The column default is about earlier credits, not the target. This is
bank-full.csv of 2011, not bank-additional-full.csv of 2014 (41188 rows, 20 features), which some papers take.

Source: UCI Machine Learning Repository, data set 222, https://archive.ics.uci.edu/dataset/222/bank+marketing,
doi 10.24432/C5K306; Moro, Laureano and Cortez, "Using Data Mining for Bank Direct Marketing", ESM 2011.
Licence: CC BY 4.0.
"""


def fetch_bank_marketing(
    *,
    sensitive=("age_group", "marital"),
    with_duration=False,
    drop_sensitive=False,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
    as_frame=True,
):
    """Load the bank marketing data set (does a client subscribe a term deposit?).

    ==============  =====================================================================
    Rows            45211, in the order of time: shuffle!
    Features        15, of which 9 categorical (16 with ``duration``)
    Target          1: subscribed (desired), 0: not
    P(target = 1)   0.1170; 25-60 years 0.1060, others 0.3550; married 0.1012, single
                    0.1495, divorced 0.1195
    ==============  =====================================================================

    .. warning::
        The rows are in the order of time, and clients subscribed far more often at the end:
        P(target = 1) is 0.0299 in the first tenth, 0.4709 in the last. Shuffle before splitting.

    Parameters
    ----------
    sensitive : str or sequence of str, default=("age_group", "marital")
        Which of "age_group" and "marital" to return as ``sensitive_features``. "age_group" is
        "25-60" (both included) or "<25 or >60".
    with_duration : bool, default=False
        Whether ``duration``, the seconds of the last call, is a feature. It is known only
        when the call is over and gives the target away; UCI advises against it, other than
        for comparisons with published numbers.
    drop_sensitive : bool, default=False
        Whether to leave the features that hold them (``age``, ``marital``) out.
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
        With ``data`` (DataFrame), ``target`` (Series of 0 and 1, named "y"),
        ``sensitive_features`` (DataFrame), ``feature_names``, ``target_names``,
        ``categorical_features`` and ``DESCR``.

    Raises
    ------
    DatasetUnavailableError
        If the file is neither stored nor can be downloaded.
    ChecksumError
        If the table has another content than the official one.

    Notes
    -----
    Source: UCI Machine Learning Repository, data set 222 (Moro, Laureano and Cortez 2011),
    CC BY 4.0. Read is ``bank-full.csv``, or the ``bank.zip`` that holds it and that UCI packs
    into another archive.

    25 to 60 years against all others is the group of Le Quy et al., "A survey on datasets for
    fairness-aware machine learning", 2022, and of AIF360 (which counts those of 60 as others).
    Also met is 25 and above against younger: make it of the feature ``age``.

    Examples
    --------
    >>> from skfair.datasets import fetch_bank_marketing
    >>> bank = fetch_bank_marketing()  # doctest: +SKIP
    >>> bank.target.groupby(bank.sensitive_features["age_group"]).mean().round(4).to_dict()  # doctest: +SKIP
    {'25-60': 0.106, '<25 or >60': 0.355}
    """
    frame = _read(data_home, download_if_missing)
    target = (frame.pop("y") == "yes").astype(np.int64)
    if not with_duration:
        frame = frame.drop(columns="duration")
    middle = frame["age"].between(*_MIDDLE)
    groups = pd.DataFrame({"age_group": np.where(middle, "25-60", "<25 or >60"), "marital": frame["marital"]})
    return make_bunch(
        frame,
        target,
        sensitive=sensitive,
        drop_sensitive=drop_sensitive,
        categorical=_CATEGORICAL,
        target_names=["no", "yes"],
        descr=_DESCR,
        return_X_y=return_X_y,
        as_frame=as_frame,
        groups=groups,
        sources={"age_group": "age"},
    )


def _read(data_home, download_if_missing):
    """The table, from the file itself or from the archive."""
    path, file = resolve(_ARCHIVE, data_home=data_home, download_if_missing=download_if_missing, alternatives=(_TABLE,))
    with open_uncompressed(path) as stream:
        return pd.read_csv(stream if file is _TABLE else io.BytesIO(_checked_member(path, stream)), sep=";")


def _checked_member(path, stream):
    """Content of bank-full.csv in the archive `stream`, which lies at `path`."""
    try:
        with zipfile.ZipFile(stream) as bundle:
            content = bundle.read(_TABLE.name)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise ChecksumError(f"{path} is not a whole zip file with {_TABLE.name} in it ({error}). {_LEFT}") from error
    found = hashlib.sha256(content).hexdigest()
    if found not in _TABLE.sha256:
        raise ChecksumError(
            f"{_TABLE.name} in {path} has sha256 {found}, expected {' or '.join(sorted(_TABLE.sha256))}. {_LEFT}"
        )
    return content


_LEFT = "It was left in place: move it away to have the official file downloaded, or replace it by the right one."
