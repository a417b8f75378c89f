"""MultiNLI: does a sentence follow from another one?"""

import pandas as pd
from sklearn.utils import Bunch

from skfair.datasets._bunch import check_option, check_sensitive, finish_bunch
from skfair.datasets._fetch import ChecksumError, DatasetUnavailableError, RemoteFile, open_uncompressed, resolve
from skfair.datasets._nli import LABELS, check_counts, codes, has_negation, pairs, read_part

_ARCHIVE = RemoteFile(
    "multinli",
    "multinli_1.0.zip",
    "https://cims.nyu.edu/~sbowman/multinli/multinli_1.0.zip",
    None,
    frozenset({"049f507b9e36b1fcb756cfd5aeb3b7a0cfcb84bf023793652987f7e7e0957822"}),
)
_METADATA = RemoteFile(  # no checksum is published: the index and the labels are checked
    "multinli",
    "metadata_random.csv",
    "https://raw.githubusercontent.com/kohpangwei/group_DRO/master/dataset_metadata/multinli/metadata_random.csv",
)
_PARTS = {"train": "train", "val": "dev_matched", "test": "dev_mismatched"}
_FIELDS = ("gold_label", "sentence1", "sentence2", "genre")
_COUNTS = {"train": 392702, "val": 9815, "test": 9832}

_DESCR = """MultiNLI 1.0
============

Pairs of sentences of ten genres: does the second one contradict the first, follow from it, or neither?

Rows             412349 (with a label that most annotators agree on); here {counts}
Splits           {splits}
Target           contradiction 0, entailment 1, neutral 2 (the codes of group_DRO)
Sensitive        negation: whether the second sentence holds one of the words nobody, no, never, nothing (in lower
                 case, without punctuation; the list of group_DRO); genre on request

The annotators wrote the second sentences, and to contradict they often negated: a model may go by the words of
negation instead of the meaning. The groups are label x negation; the rare ones are entailment and neutral with
negation.

Source: https://cims.nyu.edu/~sbowman/multinli/; Williams, Nangia and Bowman, "A Broad-Coverage Challenge Corpus for
Sentence Understanding through Inference", NAACL 2018. Licence: see that paper; most of it may be used and passed on
freely (OANC), some of the fiction is CC BY or CC BY-SA. Words and random parts: Sagawa et al., "Distributionally
Robust Neural Networks for Group Shifts", ICLR 2020, https://github.com/kohpangwei/group_DRO.
"""
_SPLITS = {
    "official": "official (val is dev_matched, test dev_mismatched: the labels of the test sets are not public)",
    "group_dro": "those of group_DRO (all pairs at random, 50 %, 20 % and 30 %)",
}


def fetch_multinli(
    *,
    sensitive=("negation",),
    subset="all",
    splits="auto",
    joined=False,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
    as_frame=True,
):
    """Load MultiNLI (sentence pairs), with words of negation as the sensitive feature.

    ==============  =====================================================================
    Rows            412349: train 392702, val 9815, test 9832 (official splits), or
                    train 206175, val 82462, test 123712 (random splits of group_DRO)
    Data            two texts per row
    Target          0: contradiction, 1: entailment, 2: neutral
    Sensitive       whether the second sentence holds nobody, no, never or nothing
    ==============  =====================================================================

    Parameters
    ----------
    sensitive : str or sequence of str, default=("negation",)
        Which of "negation" (truth values) and "genre" (text) to return as
        ``sensitive_features``.
    subset : {"all", "train", "val", "test"}, default="all"
        Which part.
    splits : {"auto", "official", "group_dro"}, default="auto"
        Whether the parts are the official ones (val is dev_matched, test dev_mismatched) or
        the random ones of group_DRO, from ``metadata_random.csv``. "auto": the random ones
        if that file is stored locally, else the official ones; ``splits`` of the result tells.
    joined : bool, default=False
        Whether ``data`` is one text per row, ``"premise [SEP] hypothesis"``, as networks for
        sequences of texts take it.
    data_home : str or path-like, default=None
        A folder to look in first, and to download to; see :func:`get_data_home`.
    download_if_missing : bool, default=True
        If False, raise an error if the files are not stored locally.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        If False, Series and DataFrames are numpy arrays.

    Returns
    -------
    dataset : :class:`~sklearn.utils.Bunch`
        With ``data`` (DataFrame with the texts "premise" and "hypothesis", or Series), ``target``
        (Series of 0, 1, 2, named "label"), ``sensitive_features`` (DataFrame), ``target_names``,
        ``genre``, ``split`` (Series), ``splits`` ("official" or "group_dro") and ``DESCR``.

    Raises
    ------
    ValueError
        If a parameter has another value than those named.
    DatasetUnavailableError
        If the files are neither stored nor can be downloaded.
    ChecksumError
        If the archive is not the official one, unpacked files do not hold the known numbers of
        pairs, or ``metadata_random.csv`` does not fit them.

    Notes
    -----
    Source: Williams, Nangia and Bowman 2018. Read from ``multinli_1.0.zip`` (227 MB) or from its
    unpacked ``.jsonl`` files. Pairs without a label that most annotators agree on are left out.
    The numbers were taken from what others published: no copy was at hand to try the loader
    on, other than made-up files of the same form.

    Examples
    --------
    >>> from skfair.datasets import fetch_multinli
    >>> pairs = fetch_multinli(subset="train", joined=True)  # doctest: +SKIP
    >>> pairs.data.iloc[0]  # doctest: +SKIP
    """
    check_option("subset", subset, ("all", *_PARTS))
    check_option("splits", splits, ("auto", "official", "group_dro"))
    names = check_sensitive(sensitive, ["negation", "genre"])
    options = dict(data_home=data_home, download_if_missing=download_if_missing)
    metadata = _find_metadata(splits, **options)
    frame = _read(**options)
    frame["negation"] = has_negation(frame["sentence2"])
    if metadata is not None:
        frame = _with_random_splits(frame, metadata)
    frame = frame[frame["split"].eq(subset) | (subset == "all")].reset_index(drop=True)
    used = "official" if metadata is None else "group_dro"
    bunch = Bunch(
        data=pairs(frame, joined),
        target=codes(frame["gold_label"]),
        sensitive_features=frame[names],
        target_names=list(LABELS),
        genre=frame["genre"],
        split=frame["split"],
        splits=used,
        DESCR=_DESCR.format(
            splits=_SPLITS[used], counts=", ".join(f"{k} {n}" for k, n in frame["split"].value_counts().items())
        ),
    )
    return finish_bunch(bunch, return_X_y=return_X_y, as_frame=as_frame)


def _find_metadata(splits, data_home, download_if_missing):
    """Path of group_DRO's file, or None if the official parts are to be used."""
    if splits == "official":
        return None
    try:
        download = download_if_missing and splits == "group_dro"
        return resolve(_METADATA, data_home=data_home, download_if_missing=download)[0]
    except DatasetUnavailableError:
        if splits == "group_dro":
            raise
        return None


def _read(data_home, download_if_missing):
    """All labelled pairs; the index counts the unlabelled ones, too, as group_DRO's does."""
    parts = []
    for split, part in _PARTS.items():
        member = f"multinli_1.0_{part}.jsonl"
        options = dict(data_home=data_home, download_if_missing=download_if_missing)
        parts.append(read_part(_ARCHIVE, member, "multinli", _FIELDS, **options).assign(split=split))
    frame = pd.concat(parts, ignore_index=True)
    frame = frame[frame["gold_label"] != "-"].copy()
    check_counts(frame, _COUNTS, "MultiNLI")
    return frame


def _with_random_splits(frame, path):
    """Parts and negation as stored by group_DRO: gold_label, sentence2_has_negation, split, all as codes."""
    try:
        with open_uncompressed(path) as stream:
            stored = pd.read_csv(stream, index_col=0)
    except ValueError as error:  # pandas' parser errors are ValueErrors
        raise ChecksumError(f"{path} cannot be read as a table ({error}); it was left in place") from error
    expected = ["gold_label", "sentence2_has_negation", "split"]
    if not set(expected) <= set(stored.columns):
        raise ChecksumError(f"{path} has the columns {list(stored.columns)}, expected {expected}; it was left in place")
    if not stored.index.equals(frame.index) or (stored["gold_label"] != codes(frame["gold_label"])).any():
        raise ChecksumError(
            f"{path} holds {len(stored)} rows that are not those of MultiNLI 1.0 (expected {len(frame)} rows with the same "
            f"numbers and labels); it was left in place"
        )
    return frame.assign(
        split=stored["split"].map(dict(enumerate(_PARTS))), negation=stored["sentence2_has_negation"].astype(bool)
    )
