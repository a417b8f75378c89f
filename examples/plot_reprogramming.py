"""
Reprogramming a frozen network
==============================

A network is in use and may not be trained again. Fairness reprogramming (Zhang et al., NeurIPS 2022) changes what it is
given: each row passes a *trigger* first, the same few numbers for all rows, which keeps or drops each column and adds a
constant. A threshold is the other thing that can be done from outside.

8,000 rows of the real Adult data where they are at hand or can be downloaded, otherwise synthetic data with a known bias.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import ShuffleSplit, train_test_split

from skfair.datasets import DatasetUnavailableError, fetch_adult, make_biased_classification
from skfair.inspection import GroupScoreDisplay, ParetoFrontDisplay, SaliencyDisplay
from skfair.metrics import get_scorer, group_report
from skfair.model_selection import FrontierSearchCV, ThresholdSearchCV, best_within
from skfair.preprocessing import make_tabular_preprocessor
from skfair.reprogramming import ReprogrammedClassifier
from skfair.robust import ERMClassifier

sklearn.set_config(enable_metadata_routing=True)

try:
    data, what = fetch_adult(sensitive="sex"), "the real Adult data, sensitive feature sex"
except DatasetUnavailableError:
    data, what = make_biased_classification(8000, random_state=0), "synthetic data"
rows = np.random.default_rng(0).permutation(len(data.data))[:8000]
X, y, A = data.data.iloc[rows], data.target.iloc[rows], data.sensitive_features.iloc[rows]
X, X_test, y, y_test, A, A_test = train_test_split(X, y, A, test_size=0.3, stratify=y, random_state=0)
X, X_tune, y, y_tune, _, A_tune = train_test_split(X, y, A, test_size=0.4, stratify=y, random_state=0)
print(f"Data: {what}; {len(X)} rows for the network, {len(X_tune)} for the trigger, {len(X_test)} to judge by.")

# %%
# The network, which nobody will touch any more
# ---------------------------------------------
# The trigger acts on what the network sees, so it stands between the preprocessing and the network, both frozen.

numbers = make_tabular_preprocessor(min_frequency=20).fit(X)
names = numbers.get_feature_names_out()
Z, Z_tune, Z_test = (pd.DataFrame(numbers.transform(part), columns=names) for part in (X, X_tune, X_test))
frozen = ERMClassifier(max_epochs=15, batch_size=128, random_state=0).fit(Z, y)
before = {name: value.clone() for name, value in frozen.module_.state_dict().items()}

# %%
# Triggers of several strengths, and thresholds
# ---------------------------------------------
# Both are chosen on the tuning rows, which the network has not seen, by the same rule and the same splits. A mask flips
# from step to step, so each trigger keeps the epoch that is best on a part of its rows.

cv = ShuffleSplit(3, test_size=0.3, random_state=0)
scoring = {"accuracy": "accuracy", "gap": get_scorer("equalized_odds_difference")}
rule = best_within(gap=0.08)
reprogrammed = ReprogrammedClassifier(
    frozen, constraint="equalized_odds", early_stopping="equalized_odds_difference", min_accuracy=0.8, patience=None,
    validation_fraction=0.3, max_epochs=15, batch_size=128, random_state=0,
)  # fmt: skip
search = FrontierSearchCV(
    reprogrammed, {"strength": [0.1, 0.5, 1.0, 2.0]}, scoring=scoring, cv=cv, refit=rule, models="best"
)
search.fit(Z_tune, y_tune, sensitive_features=A_tune)
tuned = ThresholdSearchCV(
    FrozenEstimator(frozen), scoring=scoring, cv=cv, refit=rule, thresholds=np.arange(0.3, 0.96, 0.05)
)
tuned.fit(Z_tune, y_tune, sensitive_features=A_tune)
same = all(np.array_equal(value, before[name]) for name, value in frozen.module_.state_dict().items())
print(f"The network's weights are what they were: {same}")


def means_only(found):
    """A table without its intervals: at three splits they are wider than most distances."""
    return found[[name for name in found if not name.startswith(("low_", "high_"))]]


own = tuned.frontier_[np.isclose(tuned.frontier_["param_threshold"].astype(float), 0.5)]
display = ParetoFrontDisplay.from_searches(
    {"trigger": means_only(search.frontier_), "threshold": means_only(tuned.frontier_)},
    x="gap",
    y="accuracy",
    controls={"frozen network": means_only(own)},
)
display.ax_.set_xlabel("equalized odds difference\n← smaller is better")
display.ax_.set_title("A frozen network on Adult, means over 3 splits", loc="left", fontsize=10)

# %%
# On rows that nothing has seen
# -----------------------------
# And the same trigger, trained with the rows of the groups shuffled: what it gains does not come from the groups.

shuffled = A_tune.sample(frac=1, random_state=0).set_index(A_tune.index)
random = clone(search.best_estimator_).fit(Z_tune, y_tune, sensitive_features=shuffled)
nets = {"frozen network": frozen, "trigger": search, "trigger, random groups": random, "threshold": tuned}
reports = {
    name: group_report(y_test, net.predict(Z_test), sensitive_features=A_test, n_boot=200, random_state=0)
    for name, net in nets.items()
}
for name, report in reports.items():
    gap = report.gaps.set_index("metric").loc["equalized_odds_difference"]
    found = f"gap {gap['estimate']:.3f} [{gap['low']:.3f}, {gap['high']:.3f}]"
    print(f"{name:<23} accuracy {report.overall['accuracy']:.3f}  {found}")
GroupScoreDisplay.from_reports(reports)

# %%
# What it looks at now
# --------------------
# Integrated gradients, before and after: what the trigger drops would have no attribution left.

SaliencyDisplay.from_reprogrammed(search.best_estimator_, Z_test[:500])
plt.show()

# %%
# The trigger lowers the gap in the search, at little cost, and needs the true groups for it. So does a threshold, which
# needs no training; on rows that nothing has seen the two cannot be told apart, nor from the frozen network: the
# intervals are wider than the gaps. And the network looks where it looked before. On few rows a trigger may be all
# there is room for: :doc:`/reprogramming` says where it wins and where not.
