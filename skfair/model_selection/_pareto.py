"""What a search found: a table of means with intervals, the candidates that no other beats, and how good they are."""

import re

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.utils.validation import check_is_fitted

__all__ = ["hypervolume", "pareto_front"]

_SPLIT = re.compile(r"split(\d+)_test_(.+)", re.DOTALL)


def frontier_frame(cv_results, *, n_test_over_train=None):
    r"""Mean, standard deviation and interval of each candidate's scores over the splits.

    .. math:: \bar s \pm t_{0.975,\, n-1} \, \hat\sigma \sqrt{\frac1n + \frac{n_\text{test}}{n_\text{train}}}

    is Nadeau and Bengio's corrected resampled t: the scores of :math:`n` splits are not independent, because their
    training rows overlap, and :math:`\hat\sigma / \sqrt n` alone is far too small.

    Parameters
    ----------
    cv_results : dict
        ``cv_results_`` of a search.
    n_test_over_train : float, default=None
        :math:`n_\text{test} / n_\text{train}` of a split. None is that of k-fold, :math:`1 / (n - 1)`.

    Returns
    -------
    pandas.DataFrame
        One row per candidate (index "candidate"), columns ``param_<name>`` and, for each score, ``mean_<score>``,
        ``sd_<score>`` (of a sample, ddof=1), ``low_<score>`` and ``high_<score>``. All four are NaN where a split's
        score is; with one split the last three are.

    Raises
    ------
    ValueError
        If there is no score of a split, or ``n_test_over_train`` is not above 0.

    References
    ----------
    Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003.

    Examples
    --------
    >>> from skfair.model_selection._pareto import frontier_frame
    >>> results = {"param_C": [0.1, 1.0], "split0_test_score": [0.70, 0.8], "split1_test_score": [0.72, 0.8]}
    >>> frontier_frame(results).round(2)
               param_C  mean_score  sd_score  low_score  high_score
    candidate
    0              0.1        0.71      0.01       0.49        0.93
    1              1.0        0.80      0.00       0.80        0.80
    """
    columns = {key: _parameter(values) for key, values in cv_results.items() if key.startswith("param_")}
    for name, splits in _splits(cv_results).items():
        columns |= _summary(name, np.column_stack(splits).astype(np.float64), n_test_over_train)
    return pd.DataFrame(columns).rename_axis(index="candidate")


def _splits(cv_results):
    """{score: [its values on split 0, on split 1, ...]}"""
    found = {}
    for match in filter(None, map(_SPLIT.fullmatch, cv_results)):
        found.setdefault(match[2], {})[int(match[1])] = cv_results[match[0]]
    if not found:
        raise ValueError(f"cv_results must hold the scores of the splits, 'split0_test_...', got {sorted(cv_results)}.")
    return {name: [splits[i] for i in sorted(splits)] for name, splits in found.items()}


def _parameter(values):
    """A column of parameters: None stays None, what a candidate does not have is NaN."""
    dtype = object if np.ma.asarray(values).dtype.kind == "O" else None
    return pd.Series([np.nan if value is np.ma.masked else value for value in values], dtype=dtype)


def _summary(name, scores, ratio):
    """The four columns of a score of shape (n_candidates, n_splits)."""
    n = scores.shape[1]
    ratio = 1 / max(n - 1, 1) if ratio is None else ratio
    if not ratio > 0:
        raise ValueError(f"n_test_over_train must be a number > 0, got {ratio!r}.")
    mean = scores.mean(axis=1)
    sd = scores.std(axis=1, ddof=1) if n > 1 else np.full(len(mean), np.nan)
    half = sd * np.sqrt(1 / n + ratio) * (stats.t.ppf(0.975, n - 1) if n > 1 else np.nan)
    return {f"mean_{name}": mean, f"sd_{name}": sd, f"low_{name}": mean - half, f"high_{name}": mean + half}


def frame_of(search):
    """The table of a fitted search, or the one given. Where nothing tells the size of the test rows, k-fold's is taken."""
    if isinstance(search, pd.DataFrame):
        return search
    if hasattr(search, "frontier_"):
        return search.frontier_
    if not hasattr(search, "fit"):
        raise TypeError(f"search must be a fitted search or a DataFrame as frontier_ is one, got {search!r}.")
    check_is_fitted(search, "cv_results_")
    n_splits = len(next(iter(_splits(search.cv_results_).values())))
    repeats = getattr(getattr(search, "cv", None), "n_repeats", 1)
    ratio = repeats / (n_splits - repeats) if n_splits > repeats else None
    return frontier_frame(search.cv_results_, n_test_over_train=ratio)


def means_of(frame, names):
    """The means of the scores named, shape (n_candidates, n_names), or raise with the names present."""
    for name in names:
        if f"mean_{name}" not in frame:
            present = [str(key).removeprefix("mean_") for key in frame if str(key).startswith("mean_")]
            raise ValueError(f"There is no score {name!r}; the search has {present!r}.")
    return frame[[f"mean_{name}" for name in names]].to_numpy(np.float64)


def _non_dominated(points):
    """Whether no other point is at least as good in all and better in one, shape (n,). NaN: False."""
    better = (points[:, None] >= points[None]).all(axis=2) & (points[:, None] > points[None]).any(axis=2)
    return ~better.any(axis=0) & ~np.isnan(points).any(axis=1)


def pareto_front(search, x, y):
    """The candidates of a search that no other candidate beats in both scores.

    A candidate is beaten (dominated) where another has at least its score in both and more in one. Scores are as in
    ``cv_results_``: greater is better, gaps are negated.

    Parameters
    ----------
    search : FrontierSearchCV, fitted search of scikit-learn or pandas.DataFrame
        A DataFrame has the columns of ``frontier_``: ``mean_<score>`` at least.
    x, y : str
        Names of two scores, "score" where the search has one only.

    Returns
    -------
    pandas.DataFrame
        Rows of ``frontier_``, from the smallest ``x`` to the largest. Candidates with equal scores all stay; one with
        a NaN score is never among them. The intervals of a search that is no FrontierSearchCV are those of k-fold
        (repeated or not): with other splits make the search a FrontierSearchCV.

    Raises
    ------
    ValueError
        For a score that the search does not have.
    NotFittedError
        If the search is not fitted.

    Examples
    --------
    >>> import pandas as pd
    >>> from skfair.model_selection import pareto_front
    >>> found = pd.DataFrame({"mean_accuracy": [0.85, 0.80, 0.82], "mean_gap": [-0.2, -0.1, -0.05]})
    >>> pareto_front(found, "accuracy", "gap")
       mean_accuracy  mean_gap
    2           0.82     -0.05
    0           0.85     -0.20
    """
    frame = frame_of(search)
    front = frame[_non_dominated(means_of(frame, [x, y]))]
    return front.sort_values([f"mean_{x}", f"mean_{y}"], kind="stable")


def hypervolume(search, *scores, reference):
    r"""How much the candidates dominate: the area, or volume, between them and a reference point.

    .. math:: \lambda\Big(\bigcup_c \, [r_1, s_{c1}] \times \dots \times [r_k, s_{ck}]\Big)

    with the scores :math:`s_c` of candidate :math:`c`, greater is better, and the reference :math:`r`. It compares
    whole fronts by one number, which means something only next to others with the same reference and units.

    Parameters
    ----------
    search : FrontierSearchCV, fitted search of scikit-learn, pandas.DataFrame or array of shape (n_points, k)
        As in :func:`pareto_front`; an array holds the scores themselves.
    *scores : str
        Names of two scores or more; none for an array.
    reference : sequence of k float
        The worst score that counts, as the scores are: ``(0.5, -0.3)`` for an accuracy and a negated gap. A candidate
        that is not above it in all counts nothing, nor does one with a NaN score.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For a score that the search does not have, fewer than two, or a reference of another length or not finite.
    ImportError
        For more than two scores without moocore: ``pip install 'skfair[pareto]'``.

    Examples
    --------
    >>> from skfair.model_selection import hypervolume
    >>> hypervolume([[3, 1], [1, 2]], reference=(0, 0))
    4.0
    """
    points = _points(search, scores)
    reference = np.asarray(reference, dtype=np.float64)
    if reference.shape != points.shape[1:] or not np.isfinite(reference).all():
        raise ValueError(f"reference must be {points.shape[1]} finite numbers, got {reference.tolist()!r}.")
    points = points[(points > reference).all(axis=1)]  # False for NaN
    if points.shape[1] == 2:
        return _area(points - reference)
    return float(_import_moocore().hypervolume(points, ref=reference, maximise=True)) if len(points) else 0.0


def _points(search, scores):
    """The scores as an array (n, k)."""
    is_array = not scores and not isinstance(search, pd.DataFrame) and not hasattr(search, "fit")
    points = np.asarray(search, dtype=np.float64) if is_array else means_of(frame_of(search), scores)
    if points.ndim != 2 or points.shape[1] < 2:
        raise ValueError(
            f"hypervolume needs at least two scores, got the names {scores!r} and the shape {points.shape}."
        )
    return points


def _area(gains):
    """Area of the union of the rectangles from 0 to each point (n, 2): a staircase, from the widest down."""
    gains = gains[np.argsort(-gains[:, 0])]
    widths = -np.diff(gains[:, 0], append=0.0)
    return float(widths @ np.maximum.accumulate(gains[:, 1]))


def _import_moocore():
    try:
        import moocore
    except ImportError as error:
        raise ImportError(
            "The hypervolume of three scores or more needs moocore: pip install 'skfair[pareto]'."
        ) from error
    return moocore
