"""The COMPAS data set of ProPublica."""

import numpy as np
import pandas as pd

from skfair.datasets._bunch import make_bunch
from skfair.datasets._fetch import RemoteFile, open_uncompressed, resolve

_FILE = RemoteFile(
    "compas",
    "compas-scores-two-years.csv",
    "https://raw.githubusercontent.com/propublica/compas-analysis/bafff5da3f2e45eca6c2d5055faad269defd135a/"
    "compas-scores-two-years.csv",
    None,
    frozenset(
        {
            "c451db85908b2f7fef1d83203bedf6b71ecda0d5af468d82ae62178f91d0cc7d",  # the official file
            # prepared: without the seven columns of names, birth dates and case numbers
            "3bbc3288b268942fe3166bb6bfc0b6dbde3f31ed839ea636fffa1a6457d2c9f4",
        }
    ),
)
_FEATURES = [
    *("sex", "age", "race", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count"),
    "c_charge_degree",
]
_OTHER = ["age_cat", "days_b_screening_arrest", "is_recid", "score_text", "decile_score", "two_year_recid"]

_DESCR = """COMPAS (ProPublica, recidivism within two years)
================================================

Defendants of Broward County, Florida, 2013 and 2014, who were screened with the COMPAS tool; were they
charged with a new crime within two years?

Rows             6172 with ProPublica's filter (the default), 7214 without
Target           two_year_recid: 1 if there was a new charge. 1 is the UNDESIRED outcome, as everywhere in
                 the literature: a prediction of 1 harms. P(1) = 0.4551 (0.4507 without the filter)
Sensitive        race (African-American 0.5231, Caucasian 0.3909, and four others), sex (Male 0.4795,
                 Female 0.3515), age_cat (three groups, from age)
Features         sex, age, race, juv_fel_count, juv_misd_count, juv_other_count, priors_count (numbers of
                 earlier offences) and c_charge_degree (F felony, M misdemeanour). No others: all that was
                 measured after the screening (is_recid, r_*, vr_*, end, event, jail and custody dates) gives
                 the target away, and the scores are COMPAS' own predictions
decile_score     the score of COMPAS itself, 1 to 10, for comparison; not a feature

Filter: rows whose screening is more than 30 days away from the arrest, without a COMPAS case, with an
ordinary traffic offence or without a score are dropped.

Peculiarities: a new arrest is not a new offence, and arrests depend on policing; ProPublica's two-year
sample keeps more recidivists than it should (Barenstein 2019); see also Bao et al., "It's COMPASlicated",
2021, before drawing conclusions from these data.

Source: ProPublica, https://github.com/propublica/compas-analysis at commit bafff5da; Angwin, Larson, Mattu
and Kirchner, "Machine Bias", 2016. Terms: public records; the repository has no licence file.
"""


def fetch_compas(
    *,
    sensitive=("race", "sex"),
    propublica_filter=True,
    drop_sensitive=False,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
    as_frame=True,
):
    """Load ProPublica's COMPAS data set (recidivism within two years).

    ==============  =====================================================================
    Rows            6172 with ProPublica's filter, 7214 without
    Features        8, of which 3 categorical
    Target          1: charged with a new crime (the *undesired* outcome), 0: not
    P(target = 1)   0.4551; African-American 0.5231, Caucasian 0.3909; Male 0.4795,
                    Female 0.3515
    ==============  =====================================================================

    Parameters
    ----------
    sensitive : str or sequence of str, default=("race", "sex")
        Which of "race", "sex" and "age_cat" to return as ``sensitive_features``.
    propublica_filter : bool, default=True
        Whether to keep only the rows that ProPublica analysed.
    drop_sensitive : bool, default=False
        Whether to leave the features that hold them (``race``, ``sex``, ``age``) out.
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
        With ``data`` (DataFrame), ``target`` (Series of 0 and 1, named "two_year_recid",
        **1 is undesired**), ``sensitive_features`` (DataFrame), ``decile_score`` (Series),
        ``feature_names``, ``target_names``, ``categorical_features`` and ``DESCR``.

    Raises
    ------
    DatasetUnavailableError
        If the file is neither stored nor can be downloaded.
    ChecksumError
        If the file has another content than the official one.

    Notes
    -----
    Source: ProPublica 2016, public records, no licence file. Only what was known at the
    screening is a feature: sex, age, race, the numbers of earlier offences (juvenile
    felonies, misdemeanours, others; priors) and the degree of the charge.

    Examples
    --------
    >>> from skfair.datasets import fetch_compas
    >>> compas = fetch_compas()  # doctest: +SKIP
    >>> compas.target.groupby(compas.sensitive_features["sex"]).mean().round(4).to_dict()  # doctest: +SKIP
    {'Female': 0.3515, 'Male': 0.4795}
    """
    path, _ = resolve(_FILE, data_home=data_home, download_if_missing=download_if_missing)
    with open_uncompressed(path) as stream:
        frame = pd.read_csv(stream, usecols=[*_FEATURES, *_OTHER])
    if propublica_filter:
        frame = frame[_analysed_by_propublica(frame)]
    frame = frame.reset_index(drop=True)
    return make_bunch(
        frame[_FEATURES],
        frame["two_year_recid"].astype(np.int64),
        sensitive=sensitive,
        drop_sensitive=drop_sensitive,
        categorical=["sex", "race", "c_charge_degree"],
        target_names=["no recidivism", "recidivism"],
        descr=_DESCR,
        return_X_y=return_X_y,
        as_frame=as_frame,
        groups=frame[["race", "sex", "age_cat"]],
        sources={"age_cat": "age"},
        decile_score=frame["decile_score"],
    )


def _analysed_by_propublica(frame):
    return (
        frame["days_b_screening_arrest"].between(-30, 30)
        & (frame["is_recid"] != -1)
        & (frame["c_charge_degree"] != "O")
        & frame["score_text"].notna()  # "N/A" in the file
    )
