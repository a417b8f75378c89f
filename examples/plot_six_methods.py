"""
Six methods in one picture
==========================

The frontiers of six families of methods on the same splits of the same rows, next to what costs nothing: the plain
network, its threshold, a constant, random groups. Means over three splits.

4,000 rows of the real Adult data where they are at hand or can be downloaded, otherwise synthetic data with a known bias.
"""

import matplotlib.pyplot as plt
import numpy as np
import sklearn
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline

from skfair.adversarial import AdversarialClassifier
from skfair.datasets import DatasetUnavailableError, fetch_adult, make_biased_classification
from skfair.inspection import ParetoFrontDisplay
from skfair.metrics import get_scorer
from skfair.model_selection import FrontierSearchCV, hypervolume, pareto_front, trivial_controls
from skfair.preprocessing import make_tabular_preprocessor
from skfair.regularization import RegularizedClassifier
from skfair.representation import DVGEClassifier, RNFClassifier, VAETransformer
from skfair.reprogramming import ReprogrammedClassifier
from skfair.robust import ERMClassifier, GroupDROClassifier

sklearn.set_config(enable_metadata_routing=True)

try:
    data, what = fetch_adult(sensitive="sex"), "the real Adult data, sensitive feature sex"
except DatasetUnavailableError:
    data, what = make_biased_classification(4000, random_state=0), "synthetic data"
rows = np.random.default_rng(0).permutation(len(data.data))[:4000]
X, y, A = data.data.iloc[rows], data.target.iloc[rows], data.sensitive_features.iloc[rows]
print(f"Data: {what}; {len(X)} rows.")

# %%
# Six methods, each with its strength
# -----------------------------------
# Settings are the methods' own but for the length of the training; nothing is tuned. Of each method the parameter is
# varied that trades accuracy for fairness. For Group DRO there is none: ``step_size`` says how fast the weight moves to
# the worst cell of label and group, and that is another aim than equal rates.

net = dict(batch_size=128, random_state=0)
encoder = VAETransformer(max_epochs=15, **net)
methods = {
    "HSIC penalty": (RegularizedClassifier(penalty="hsic", max_epochs=10, **net), {"strength": [2, 5, 8, 12, 20]}),
    "adversary": (AdversarialClassifier(max_epochs=10, **net), {"strength": [0.1, 0.3, 1, 3]}),
    "RNF": (RNFClassifier(teacher_epochs=10, max_epochs=6, **net), {"alpha": [0.01, 0.02, 0.04, 0.08]}),
    "DVGE": (
        DVGEClassifier(encoder=encoder, explain="ce", clip=None, max_epochs=10, **net),
        {"eta_sensitive": [0.0, 0.5, 1.0]},
    ),
    "reprogramming": (
        ReprogrammedClassifier(base_epochs=10, tuning_fraction=0.3, max_epochs=10, **net),
        {"strength": [0.1, 0.3, 1.0, 3.0]},
    ),
    "Group DRO": (GroupDROClassifier(lr=0.05, max_epochs=10, **net), {"step_size": [0.0, 0.1]}),
}

cv = ShuffleSplit(n_splits=3, test_size=0.3, random_state=0)
scoring = {"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference")}
searches = {}
for name, (estimator, grid) in methods.items():
    model = make_pipeline(make_tabular_preprocessor(min_frequency=20), estimator)
    grid = {f"{type(estimator).__name__.lower()}__{parameter}": values for parameter, values in grid.items()}
    search = FrontierSearchCV(model, grid, scoring=scoring, cv=cv, refit=False, models="best")
    searches[name] = search.fit(X, y, sensitive_features=A)

# %%
# The controls, on the same splits
# --------------------------------
# "Random groups" is the penalty, trained with the rows of its groups shuffled.

plain = make_pipeline(make_tabular_preprocessor(min_frequency=20), ERMClassifier(max_epochs=10, **net))
mitigated = make_pipeline(
    make_tabular_preprocessor(min_frequency=20), methods["HSIC penalty"][0].set_params(strength=8)
)
controls = trivial_controls(
    plain, X, y, scoring=scoring, cv=cv, thresholds=np.arange(0.55, 1, 0.05), mitigated=mitigated, random_state=0,
    sensitive_features=A,
)  # fmt: skip

# %%
# The picture
# -----------
# Intervals are left out: at three splits they are wider than most distances here. Who lies left of and above the dotted
# line has done more than to select fewer rows.


def means_only(found):
    """A table without its intervals."""
    return found[[name for name in found if not name.startswith(("low_", "high_"))]]


threshold = controls.pop("raised threshold")
fronts = {name: means_only(search.frontier_) for name, search in searches.items()}
display = ParetoFrontDisplay.from_searches(
    fronts, x="gap", y="accuracy", controls={name: means_only(found) for name, found in controls.items()}
)
ax = display.ax_
line = pareto_front(threshold, "gap", "accuracy")
ax.plot(-line["mean_gap"], line["mean_accuracy"], ":", color="0.2", linewidth=1.5, zorder=1)
middle = line.iloc[len(line) // 2]
ax.annotate(
    "raised threshold",
    (-middle["mean_gap"], middle["mean_accuracy"]),
    (12, -14),
    textcoords="offset points",
    fontsize=9,
)
ax.set_xlabel("demographic parity difference\n← smaller is better")
ax.set_title("Adult, 4,000 rows, means over 3 splits", loc="left", fontsize=10)

# %%
# One number for each front
# -------------------------
# The area that a front dominates, down to the accuracy of a constant and up to a gap of 0.2, in thousandths.

floor = controls["constant"]["mean_accuracy"].max()
for name, found in {**fronts, "raised threshold": threshold}.items():
    area = hypervolume(found, "gap", "accuracy", reference=(-0.2, floor))
    print(f"{name:<17} {1000 * area:.1f}")
plt.show()

# %%
# The penalty lies beyond the line in the middle of the picture, by one to two points of accuracy; nothing else does by
# more than the splits differ, and near a gap of 0 nothing is better than the threshold. Some lie behind for a reason:
# DVGE pays for its ten numbers instead of a table, the trigger has 30 % of the rows, and Group DRO serves the worst
# cell, whose accuracy is not in this picture. Another gap, more rows and tuned settings give other pictures:
# :doc:`/performance` has five tasks, two gaps and intervals.
