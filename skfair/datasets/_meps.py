"""The Medical Expenditure Panel Survey, panels 19 and 21."""

import numpy as np
import pandas as pd

from skfair.datasets._bunch import make_bunch
from skfair.datasets._fetch import ChecksumError, RemoteFile, open_uncompressed, resolve

_FEATURES = [
    *("REGION", "AGE", "SEX", "RACE", "MARRY", "FTSTU", "ACTDTY", "HONRDC", "RTHLTH", "MNHLTH", "HIBPDX", "CHDDX"),
    *("ANGIDX", "MIDX", "OHRTDX", "STRKDX", "EMPHDX", "CHBRON", "CHOLDX", "CANCERDX", "DIABDX", "JTPAIN", "ARTHDX"),
    *("ARTHTYPE", "ASTHDX", "ADHDADDX", "PREGNT", "WLKLIM", "ACTLIM", "SOCLIM", "COGLIM", "DFHEAR42", "DFSEE42"),
    *("ADSMOK42", "PCS42", "MCS42", "K6SUM42", "PHQ242", "EMPST", "POVCAT", "INSCOV"),
]
_NUMERIC = ("AGE", "PCS42", "MCS42", "K6SUM42")
_CATEGORICAL = [name for name in _FEATURES if name not in _NUMERIC]
_ROUND_5_3 = "ACTDTY HONRDC RTHLTH MNHLTH CHBRON JTPAIN PREGNT WLKLIM ACTLIM SOCLIM COGLIM EMPST REGION"
_ROUND_5_3_EDITED = "FTSTU MARRY AGE"  # with an X at the end
_VISITS = ("OBTOTV", "OPTOTV", "ERTOT", "IPNGTD", "HHTOTD")  # office, outpatient, emergency, nights, home

_ADDRESS = "https://meps.ahrq.gov/mepsweb/data_files/pufs/"
_MIRROR = "https://meps.ahrq.gov/data_files/pufs/"


def _official(number):
    archive = f"h{number}ssp.zip"  # AHRQ publishes no checksum: the content is checked after reading
    return RemoteFile("meps", f"h{number}.ssp", _ADDRESS + archive, f"h{number}.ssp", mirrors=(_MIRROR + archive,))


_PANELS = {
    19: {
        "year": "15",
        "official": _official(181),
        "n_rows": 15830,
        "prepared": RemoteFile(
            "meps",
            "meps_panel19_fy2015.csv",
            "",
            None,
            frozenset({"2aca2867eef89cd22deda264bbe223028d6202ba78e48d75bb2ea5486b028f73"}),
        ),
    },
    21: {
        "year": "16",
        "official": _official(192),
        "n_rows": 15675,
        "prepared": RemoteFile(
            "meps",
            "meps_panel21_fy2016_encoded.csv",
            "",
            None,
            frozenset({"2d036e358f1da8ee250a6906535582e8757fbe66c21bdc93f7d0d0b2d9988853"}),
        ),
    },
}

_DESCR = """MEPS (Medical Expenditure Panel Survey), panel {panel}
=================================================

Persons in the United States, {years}; did they use much health care?

This copy        {copy}
Target           UTILIZATION: 1 if office-based, outpatient and emergency visits, inpatient nights and home
                 health visits sum to 10 or more, 0 otherwise. 1 is taken as the desired outcome (care is
                 received), as in AIF360
Sensitive        RACE (White: non-Hispanic white; Non-White: all others), SEX (Male, Female)
Base rates       {rates}
Features         {n_features}; AGE, PCS42, MCS42 and K6SUM42 (health scores) are numbers, the others codes, as
                 pandas categories. -1 means inapplicable; other negative values of a score: not known

The prepared copies (which SKFAIR_DATA may hold) differ from what is made of AHRQ's own file:
- panel 19: 15730 rows instead of 15830 (100 are missing in its source), no sampling weight, a column
  source_split ("train" 11362, "val" 1200, "test" 3168, returned as `split`);
- panel 21: 15675 rows in both, but without HIBPDX and the weight, and with every code relabelled 0, 1, ...
  (SEX 0 is female there, judged from the base rates), PCS42 and MCS42 cut to whole numbers.

Peculiarities: 1016 rows of the prepared panel 19 equal an earlier one in all features and the target, 97 % of
them children; 286 of its "test" rows occur among the "train" rows as well.

Source: Agency for Healthcare Research and Quality, {puf}; prepared as AIF360's MEPSDataset{panel} does.
Terms: the MEPS data use agreement: statistical reporting and analysis only; no attempt to identify a person;
no linking with other data on persons. By downloading you agree to it:
https://meps.ahrq.gov/data_stats/download_data/pufs/h{number}/h{number}doc.shtml
"""


def fetch_meps(
    panel=19,
    *,
    sensitive=("RACE", "SEX"),
    drop_sensitive=False,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
    as_frame=True,
):
    """Load a panel of the Medical Expenditure Panel Survey (use of health care).

    ==============  ===================================  ===================================
    Panel           19 (2015, HC-181)                    21 (2016, HC-192)
    Rows            15730 prepared, 15830 official       15675
    Features        41                                   40 prepared, 41 official
    Target          1: ten visits or more, 0: fewer      the same
    P(target = 1)   0.1718; White 0.2556, Non-White      0.1677; White 0.2534, Non-White
                    0.1252; Male 0.1331, Female 0.2074   0.1142; Male 0.1238, Female 0.2067
    ==============  ===================================  ===================================

    Parameters
    ----------
    panel : {19, 21}, default=19
        The panel: 19 (year 2015) or 21 (year 2016).
    sensitive : str or sequence of str, default=("RACE", "SEX")
        Which of "RACE" and "SEX" to return as ``sensitive_features``.
    drop_sensitive : bool, default=False
        Whether to leave them out of the features.
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
        With ``data`` (DataFrame; codes as categories), ``target`` (Series of 0 and 1, named
        "UTILIZATION"), ``sensitive_features`` (DataFrame: "White"/"Non-White", "Male"/"Female"),
        ``feature_names``, ``target_names``, ``categorical_features``, ``sample_weight`` (official
        file only, else None), ``split`` (prepared panel 19 only, else None), ``source``
        ("prepared" or "official") and ``DESCR``.

    Raises
    ------
    DatasetUnavailableError
        If the file is neither stored nor can be downloaded.
    ChecksumError
        If a prepared copy has another content than the known one, or the official file
        does not give the known number of rows.

    Notes
    -----
    Source: Agency for Healthcare Research and Quality. Terms: statistical analysis only, no
    identification of persons, no linking (the MEPS data use agreement).

    A prepared copy, if there is one in `data_home` or ``SKFAIR_DATA``, is preferred to AHRQ's file
    (a zip of 13 to 15 MB), prepared here as AIF360 does. They differ: see ``DESCR``.
    The preparation of AHRQ's file was tested on made-up rows of the same form only.

    Examples
    --------
    >>> from skfair.datasets import fetch_meps
    >>> meps = fetch_meps(19)  # doctest: +SKIP
    >>> meps.target.groupby(meps.sensitive_features["RACE"]).mean().round(4).to_dict()  # doctest: +SKIP
    {'Non-White': 0.1252, 'White': 0.2556}
    """
    if panel not in _PANELS:
        raise ValueError(f"panel must be 19 or 21, got {panel!r}")
    frame, source = _read(panel, data_home, download_if_missing)
    target = frame.pop("UTILIZATION").astype(np.int64)
    weight = frame.pop("PERWT").astype(np.float64).rename("PERWT") if "PERWT" in frame else None
    split = frame.pop("source_split").rename("split") if "source_split" in frame else None
    groups = _readable_groups(frame, panel, source)
    categorical = [name for name in _CATEGORICAL if name in frame]
    frame = frame.astype(dict.fromkeys(categorical, "category"))
    return make_bunch(
        frame,
        target,
        sensitive=sensitive,
        drop_sensitive=drop_sensitive,
        categorical=categorical,
        target_names=["<10 visits", ">=10 visits"],
        descr=_describe(panel, source, target, groups, frame.shape[1]),
        return_X_y=return_X_y,
        as_frame=as_frame,
        groups=groups,
        sample_weight=weight,
        split=split,
        source=source,
    )


def _read(panel, data_home, download_if_missing):
    """The prepared frame, and whether it was "prepared" before or made of the "official" file."""
    spec = _PANELS[panel]
    path, file = resolve(
        spec["official"],
        data_home=data_home,
        download_if_missing=download_if_missing,
        alternatives=(spec["prepared"],),
    )
    if file is spec["prepared"]:
        with open_uncompressed(path) as stream:
            return pd.read_csv(stream), "prepared"
    frame = prepare_meps(_read_transport(path, panel, spec["year"]), panel, spec["year"])
    if len(frame) != spec["n_rows"]:
        raise ChecksumError(
            f"{path} gives {len(frame)} rows of panel {panel} after preparation, expected {spec['n_rows']}; "
            f"it was left in place: it is not AHRQ's {file.name}, or AHRQ has revised it"
        )
    return frame, "official"


def _read_transport(path, panel, year):
    """The needed columns of one panel of AHRQ's SAS transport file (about 1800 columns), piece by piece."""
    pieces, needed = [], raw_columns(year)
    try:
        with open_uncompressed(path) as stream, pd.read_sas(stream, format="xport", chunksize=2000) as reader:
            for piece in reader:
                if lacking := sorted(set(needed) - set(piece.columns)):
                    raise ChecksumError(f"{path} lacks the columns {lacking}; it was left in place: is it AHRQ's file?")
                pieces.append(piece.loc[piece["PANEL"] == panel, needed])
    except ValueError as error:
        raise ChecksumError(f"{path} cannot be read as a SAS transport file ({error}); it was left in place") from error
    return pd.concat(pieces, ignore_index=True)


def raw_columns(year):
    """Names of the columns of the full-year file that :func:`prepare_meps` needs."""
    made = {"RACE", *_renamed(year).values()}
    kept = [name for name in _FEATURES if name not in made]
    visits = [f"{name}{year}" for name in _VISITS]
    return ["PANEL", "RACEV2X", "HISPANX", "EDUCYR", "HIDEG", *_renamed(year), *kept, *visits]


def _renamed(year):
    """Name in the full-year file -> name without round and year."""
    names = {f"{name}53": name for name in _ROUND_5_3.split()}
    names |= {f"{name}53X": name for name in _ROUND_5_3_EDITED.split()}
    return names | {f"POVCAT{year}": "POVCAT", f"INSCOV{year}": "INSCOV", f"PERWT{year}F": "PERWT"}


def prepare_meps(raw, panel, year):
    """Make features, UTILIZATION and PERWT of AHRQ's full-year file, as AIF360 does.

    Parameters
    ----------
    raw : DataFrame
        The consolidated file (HC-181 or HC-192).
    panel : int
        The panel to keep; the file holds two.
    year : str
        Two digits that end the names of the yearly variables ("15", "16").

    Returns
    -------
    frame : DataFrame
        The 41 features, UTILIZATION (0 or 1) and PERWT.
    """
    frame = raw[raw["PANEL"] == panel].rename(columns=_renamed(year))
    white = (frame["HISPANX"] == 2) & (frame["RACEV2X"] == 1)  # non-Hispanic white
    visits = frame[[f"{name}{year}" for name in _VISITS]].sum(axis=1, skipna=False)
    frame = frame.assign(RACE=white.astype(int), UTILIZATION=(visits >= 10).astype(int))
    frame = frame[_is_complete(frame)][[*_FEATURES, "UTILIZATION", "PERWT"]].reset_index(drop=True)
    codes = [name for name in _CATEGORICAL if name != "RACE"]
    return frame.astype(dict.fromkeys([*codes, "AGE", "K6SUM42"], np.int64))


def _is_complete(frame):
    """Rows with a known region, age, marital status and asthma; elsewhere -1 (inapplicable) is allowed."""
    strict = ["REGION", "AGE", "MARRY", "ASTHDX"]
    free = {"SEX", "RACE", *_NUMERIC, *strict}
    lenient = [name for name in _FEATURES if name not in free] + ["EDUCYR", "HIDEG"]
    return (frame[strict] >= 0).all(axis=1) & (frame[lenient] >= -1).all(axis=1)


def _readable_groups(frame, panel, source):
    female = 0 if (panel, source) == (21, "prepared") else 2
    return pd.DataFrame(
        {
            "RACE": np.where(frame["RACE"] == 1, "White", "Non-White"),
            "SEX": np.where(frame["SEX"] == female, "Female", "Male"),
        }
    )


def _describe(panel, source, target, groups, n_features):
    number = {19: 181, 21: 192}[panel]
    rates = {key: rate for name in groups for key, rate in target.groupby(groups[name]).mean().items()}
    return _DESCR.format(
        panel=panel,
        years={19: "2015, rounds 3 to 5", 21: "2016, rounds 1 to 3"}[panel],
        copy=f"{source}, {len(target)} rows",
        rates=f"{target.mean():.4f}; " + ", ".join(f"{key} {rate:.4f}" for key, rate in rates.items()),
        n_features=n_features,
        puf=f"HC-{number}",
        number=number,
    )
