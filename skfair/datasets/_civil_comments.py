"""Civil Comments: toxic comments on news, and the identities that they mention."""

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from skfair.datasets._bunch import check_option, check_sensitive, finish_bunch
from skfair.datasets._fetch import ChecksumError, RemoteFile, open_uncompressed, resolve

_NAME = "all_data_with_identities.csv"
_WILDS = RemoteFile(  # no checksum is published: columns and numbers of rows are checked
    "civil_comments",
    _NAME,
    f"https://worksheets.codalab.org/rest/bundles/0x8cd3de0634154aeaad2ee6eb96723c6e/contents/blob/{_NAME}",
)
_WILDS_FOLDER = RemoteFile("civilcomments_v1.0", _NAME, "")  # as the package wilds stores it
_KAGGLE = (RemoteFile("civil_comments", "all_data.csv", ""), RemoteFile("civil_comments", "train.csv", ""))
_COUNTS = {"train": 269038, "val": 45180, "test": 133782}
_IDENTITIES = ["male", "female", "LGBTQ", "christian", "muslim", "other_religions", "black", "white"]
_PARTS_OF = {  # in Kaggle's files the two collective identities are separate columns
    "LGBTQ": ["homosexual_gay_or_lesbian", "bisexual", "other_sexual_orientation", "transgender", "other_gender"],
    "other_religions": ["jewish", "hindu", "buddhist", "atheist", "other_religion"],
}

_DESCR = """Civil Comments
==============

Comments on news pages, 2015 to 2017: do most readers find them toxic, and which identities do they mention?
CONTAINS OFFENSIVE TEXT.

Rows             {n_rows}: {counts} (WILDS v1.0: train 269038, val 45180, test 133782)
Target           toxic: 1 if half of the annotators or more call it toxic (toxicity >= 0.5); P(1) = {rate:.4f}
Sensitive        eight identities, as truth values: mentioned according to half of the annotators or more (>= 0.5).
                 They overlap, and many comments mention none. Shares:
{rates}
source           {source}

Kaggle's files have other parts (train and test, without val), call the target toxicity or target, and have no
columns LGBTQ and other_religions. Here these are true if one of their parts is:
{parts}.
Whether WILDS made its columns in this way was not checked. Rows without annotated identities are left out.

Source: Jigsaw, https://www.kaggle.com/c/jigsaw-unintended-bias-in-toxicity-classification; Borkan, Dixon, Sorensen,
Thain and Vasserman, "Nuanced Metrics for Measuring Unintended Bias with Real Data for Text Classification", WWW
2019; parts: Koh et al., "WILDS: A Benchmark of in-the-Wild Distribution Shifts", ICML 2021. Licence: CC0.
"""


def fetch_civil_comments(
    *,
    sensitive=tuple(_IDENTITIES),
    subset="all",
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
    as_frame=True,
):
    """Load Civil Comments (toxic comments, and the identities that they mention).

    ==============  =====================================================================
    Rows            448000 (train 269038, val 45180, test 133782)
    Data            one text per row. **Offensive**
    Target          1: toxic for half of the annotators or more, 0: not
    Sensitive       eight identities that overlap
    ==============  =====================================================================

    Parameters
    ----------
    sensitive : str or sequence of str, default=all eight
        Which of "male", "female", "LGBTQ", "christian", "muslim", "other_religions", "black" and
        "white" to return as ``sensitive_features``.
    subset : {"all", "train", "val", "test"}, default="all"
        The parts, those of WILDS. Kaggle's files have no "val", ``train.csv`` no "test".
    data_home : str or path-like, default=None
        A folder to look in first, and to download to; see :func:`get_data_home`.
    download_if_missing : bool, default=True
        If False, raise an error if the file is not stored locally.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        If False, Series and DataFrames are numpy arrays.

    Returns
    -------
    dataset : :class:`~sklearn.utils.Bunch`
        With ``data`` (Series of texts), ``target`` (Series of 0 and 1, named "toxic"),
        ``sensitive_features`` (DataFrame of truth values, a column per identity), ``toxicity`` (Series:
        the share of annotators), ``target_names``, ``split``, ``source`` ("wilds" or "kaggle") and
        ``DESCR``.

    Raises
    ------
    ValueError
        If a parameter has another value than those named, or the file has no such part.
    DatasetUnavailableError
        If the file is neither stored nor can be downloaded.
    ChecksumError
        If the file lacks columns, or WILDS' file does not hold the known numbers of rows.

    Notes
    -----
    Source: Jigsaw; Borkan et al. 2019; WILDS v1.0 (Koh et al. 2021). CC0. WILDS' file
    ``all_data_with_identities.csv`` is preferred; from Kaggle ``all_data.csv`` or ``train.csv`` are
    read, if they are stored locally. No copy was at hand to try the loader on, other than made-up
    files of the same form; the numbers of rows are those that others published.

    Examples
    --------
    >>> from skfair.datasets import fetch_civil_comments
    >>> comments = fetch_civil_comments(subset="test")  # doctest: +SKIP
    >>> len(comments.data)  # doctest: +SKIP
    133782
    """
    check_option("subset", subset, ("all", *_COUNTS))
    names = check_sensitive(sensitive, _IDENTITIES)
    path, file = resolve(
        _WILDS,
        data_home=data_home,
        download_if_missing=download_if_missing,
        alternatives=(_WILDS, _WILDS_FOLDER, *_KAGGLE),
    )
    frame, source = (_read_kaggle(path), "kaggle") if file in _KAGGLE else (_read_wilds(path), "wilds")
    if subset != "all":
        frame = frame[frame["split"] == subset].reset_index(drop=True)
        if frame.empty:
            raise ValueError(f"subset: {path} holds no part {subset!r}; WILDS' file {_NAME} does")
    target = (frame["toxicity"] >= 0.5).astype(np.int64).rename("toxic")
    identities = frame[_IDENTITIES] >= 0.5
    bunch = Bunch(
        data=frame["comment_text"].rename("text"),
        target=target,
        sensitive_features=identities[names],
        toxicity=frame["toxicity"],
        target_names=["not toxic", "toxic"],
        split=frame["split"],
        source=source,
        DESCR=_describe(frame, target, identities, source),
    )
    return finish_bunch(bunch, return_X_y=return_X_y, as_frame=as_frame)


def _read_wilds(path):
    frame = _read_columns(path, ["comment_text", "split", "toxicity", *_IDENTITIES])
    found = frame["split"].value_counts().to_dict()
    if found != _COUNTS:
        raise ChecksumError(f"{path} holds the parts {found}, expected {_COUNTS}; it was left in place")
    return frame


def _read_kaggle(path):
    """Rows with annotated identities; train.csv has no column of parts and calls the toxicity target."""
    with open_uncompressed(path) as stream:
        present = list(pd.read_csv(stream, nrows=0).columns)
    toxicity = "toxicity" if "toxicity" in present else "target"
    whole = [name for name in _IDENTITIES if name not in _PARTS_OF]
    columns = [*whole, *(part for parts in _PARTS_OF.values() for part in parts)]
    split = ["split"] if "split" in present else []
    frame = _read_columns(path, ["comment_text", toxicity, *split, *columns])
    frame = frame[frame["male"].notna()].rename(columns={toxicity: "toxicity"}).reset_index(drop=True)
    collective = {name: frame[parts].max(axis=1) for name, parts in _PARTS_OF.items()}
    return frame.assign(**({} if split else {"split": "train"}), **collective)


def _read_columns(path, columns):
    try:
        with open_uncompressed(path) as stream:
            present = list(pd.read_csv(stream, nrows=0).columns)
        if lacking := [name for name in columns if name not in present]:
            raise ChecksumError(f"{path} lacks the columns {lacking}; it was left in place: is it the official file?")
        numbers = dict.fromkeys(set(columns) - {"comment_text", "split"}, np.float64)
        with open_uncompressed(path) as stream:
            frame = pd.read_csv(stream, usecols=columns, dtype=numbers, keep_default_na=True)
    except ValueError as error:  # pandas' parser errors are ValueErrors
        raise ChecksumError(f"{path} cannot be read as a table ({error}); it was left in place") from error
    return frame.assign(comment_text=frame["comment_text"].fillna("").astype(str))


def _describe(frame, target, identities, source):
    return _DESCR.format(
        n_rows=len(frame),
        counts=", ".join(f"{part} {number}" for part, number in frame["split"].value_counts().items()),
        rate=target.mean(),
        rates="; ".join(f"{name} {share:.3f}" for name, share in identities.mean().items()),
        source=source,
        parts=";\n".join(f"{name}: {', '.join(parts)}" for name, parts in _PARTS_OF.items()),
    )
