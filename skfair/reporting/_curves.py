"""The numbers behind the curves of scores: by threshold, ROC, reliability."""

import numpy as np
import pandas as pd

from skfair.metrics import _gaps as gaps
from skfair.metrics._counts import divide

__all__ = ["TRADED", "constants", "reliability", "roc", "score_table", "threshold_curve"]

TRADED = {
    "demographic_parity_difference": lambda tables: gaps.difference(tables, "selection rate"),
    "equalized_odds_difference": lambda tables: gaps.odds(tables, gaps.difference, "worst_case"),
}


def threshold_curve(score, positive, group, weight=None, n_thresholds=201):
    """Accuracy and gaps of the same scores at other thresholds, from selecting everyone to selecting nobody."""
    thresholds = np.unique(np.quantile(score, np.linspace(0, 1, n_thresholds), method="higher"))
    passed = np.searchsorted(thresholds, score, side="right")  # how many thresholds a row reaches
    shape = (group.max() + 1, 2, len(thresholds) + 1)
    cells = np.ravel_multi_index((group, positive.astype(int), passed), shape)
    mass = np.bincount(cells, weights=weight, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)
    # selected at threshold j are those that reach more than j of them; at the last, nobody
    selected = np.concatenate([mass[..., ::-1].cumsum(-1)[..., ::-1][..., 1:], np.zeros((*shape[:2], 1))], -1)
    tables = np.moveaxis(np.stack([mass.sum(-1, keepdims=True) - selected, selected], -1), 2, 0)  # (T, G, 2, 2)
    return pd.DataFrame({"threshold": [*thresholds, np.inf], **_of(tables)})


def constants(positive, group, weight=None):
    """The same of selecting nobody and of selecting everyone."""
    curve = threshold_curve(np.zeros(len(positive)), positive, group, weight)
    return curve.iloc[::-1].reset_index(drop=True)


def _of(tables):
    total = tables[0].sum()
    accuracy = (tables[..., 0, 0] + tables[..., 1, 1]).sum(-1) / total
    return {
        "selected": tables[..., 1].sum((-2, -1)) / total,
        "accuracy": accuracy,
        **{name: statistic(tables) for name, statistic in TRADED.items()},
    }


def roc(positive, score, weight=None, most=200):
    """(FPR, TPR, area) of one group; None where a class is absent. Long curves are thinned, the area is exact."""
    from sklearn.metrics import auc, roc_curve

    mass = np.ones(len(score)) if weight is None else weight
    if mass[positive].sum() == 0 or mass[~positive].sum() == 0:
        return None
    fpr, tpr, _ = roc_curve(positive, score, sample_weight=weight)
    kept = np.unique(np.linspace(0, len(fpr) - 1, most).astype(int))
    return fpr[kept], tpr[kept], float(auc(fpr, tpr))


def reliability(positive, score, weight=None, n_bins=10, least=10):
    """(mean score, share of positive rows) in bins of equal width that hold enough rows."""
    codes = np.minimum((score * n_bins).astype(int), n_bins - 1)
    rows = np.bincount(codes, minlength=n_bins)
    mass = np.bincount(codes, weights=weight, minlength=n_bins)
    own = np.ones(len(score)) if weight is None else weight
    means = [divide(np.bincount(codes, weights=own * values, minlength=n_bins), mass) for values in (score, positive)]
    kept = (rows >= least) & (mass > 0)
    return means[0][kept], means[1][kept]


def score_table(study, model):
    """Area under the ROC curve, and for probabilities the mean score and Brier score, of each group and of all."""
    score, rows = model.scores.values, {}
    for g, name in [*enumerate(study.groups), (None, "all rows")]:
        own = np.ones(len(score), bool) if g is None else study.group == g
        weight = None if study.weight is None else study.weight[own]
        found, right = roc(study.positive[own], score[own], weight), study.positive[own]
        values = {"AUC": np.nan if found is None else found[2]}
        if model.scores.probability and (weight is None or weight.sum() > 0):
            values["mean score"] = np.average(score[own], weights=weight)
            values["base rate"] = np.average(right, weights=weight)
            values["Brier score"] = np.average((score[own] - right) ** 2, weights=weight)
        rows[name] = values
    return list(rows.items())
