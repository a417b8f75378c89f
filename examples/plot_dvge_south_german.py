"""
DVGE on South German Credit
===========================

An encoder that has seen neither labels nor groups turns rows into ten numbers. DVGE (Zhang et al., AIES 2023) trains a
head on codes that are moved along the gradient of what a second network says about the group. Here: good and bad credit
risks, with age as the sensitive feature.

1,000 rows of the real South German Credit data where they are at hand or can be downloaded, otherwise synthetic data with
a known bias.
"""

import matplotlib.pyplot as plt
import numpy as np
import sklearn
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline

from skfair.datasets import DatasetUnavailableError, fetch_south_german_credit, make_biased_classification
from skfair.inspection import ParetoFrontDisplay, sensitive_leakage
from skfair.metrics import get_scorer
from skfair.model_selection import FrontierSearchCV, ThresholdSearchCV, trivial_controls
from skfair.preprocessing import make_tabular_preprocessor
from skfair.representation import DVGEClassifier, VAETransformer
from skfair.robust import ERMClassifier

sklearn.set_config(enable_metadata_routing=True)

try:
    data = fetch_south_german_credit(sensitive="age_group")
    what = "the real South German Credit data, sensitive feature age_group"
except DatasetUnavailableError:
    data, what = make_biased_classification(1000, random_state=0), "synthetic data"
X, y, A = data.data, data.target, data.sensitive_features
print(f"Data: {what}; {len(X)} rows.")
print(y.groupby(A.iloc[:, 0].to_numpy()).agg(["size", "mean"]).round(3).to_string())

# %%
# One encoder
# -----------
# Fitted once, on all rows, since it reads neither labels nor groups. All that follows uses it as it is.

net = dict(batch_size=64, device="cpu", random_state=0)
numbers = make_tabular_preprocessor().fit(X)
Z = numbers.transform(X)
encoder = FrozenEstimator(VAETransformer(n_components=10, max_epochs=40, **net).fit(Z))

# %%
# The frontiers
# -------------
# What moves a code is the gradient of a loss (``explain="ce"``), as the paper's text has it, or of the logit, as its
# released code does. Both without the text's clip, which undoes most of it. The group's own control is DVGE with the
# rows of the groups shuffled; the codes' own one is a plain classifier on the same codes, with its threshold moved.

head = dict(module__dropout=0.0, max_epochs=15, **net)
cv = StratifiedShuffleSplit(5, test_size=0.3, random_state=0)
scoring = {"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference")}
grid = {"eta_sensitive": [0.0, 0.2, 0.5, 1.0, 2.0]}


def dvge(eta=0.0, explain="ce"):
    return DVGEClassifier(encoder=encoder, eta_sensitive=eta, explain=explain, clip=None, **head)


searches = {}
for explain in ("ce", "logit"):
    search = FrontierSearchCV(dvge(explain=explain), grid, scoring=scoring, cv=cv, refit=False, models="best")
    searches[f"DVGE, {explain}"] = search.fit(Z, y, sensitive_features=A)

# %%
# The codes cost accuracy by themselves. So there are two plain networks to compare with, one on the codes and one on
# the columns, each with all its thresholds.

thresholds = np.arange(0.3, 0.96, 0.05)
plain = {
    "plain, on the codes": make_pipeline(encoder, ERMClassifier(**head)),
    "plain, on the columns": ERMClassifier(**head),
}
for name, model in plain.items():
    tuned = ThresholdSearchCV(model, scoring=scoring, cv=cv, refit="accuracy", thresholds=thresholds)
    searches[f"{name}: threshold"] = tuned.fit(Z, y, sensitive_features=A)
controls = trivial_controls(
    plain["plain, on the codes"], Z, y, scoring=scoring, cv=cv, thresholds=(), mitigated=dvge(1.0), random_state=0,
    sensitive_features=A,
)  # fmt: skip
controls["plain, on the codes"] = controls.pop("unmitigated")


def means_only(found):
    """A table without its intervals: with 300 test rows they are as wide as the picture."""
    return found[[name for name in found if not name.startswith(("low_", "high_"))]]


display = ParetoFrontDisplay.from_searches(
    {name: means_only(search.frontier_) for name, search in searches.items()},
    x="gap",
    y="accuracy",
    controls={name: means_only(found) for name, found in controls.items()},
)
display.ax_.set_xlabel("demographic parity difference\n← smaller is better")
display.ax_.set_title("South German Credit, means over 5 splits", loc="left", fontsize=10)
display.ax_.set_ylim(controls["constant"]["mean_accuracy"].max() - 0.02, None)
for name in ("DVGE, ce", "DVGE, logit"):
    print(f"\n{name}")
    print(searches[name].frontier_.filter(regex="param|mean|_gap").round(3).to_string())

# %%
# What the codes give away
# ------------------------
# The accuracy of a probe for the age group on moved codes: one that stays as it was, and one that is trained anew on
# moved codes. Only the second says what information is left.

split = [next(cv.split(Z, y))]
found = sensitive_leakage(encoder, Z, sensitive_features=A, eta=[0.2, 0.5, 1.0], cv=split, random_state=0)
found["eta"] = found["eta"].fillna(0)

_, ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
curve = found[found["treatment"] != "removed"]
for column in ("fixed", "retrained"):
    ax.plot(curve["eta"], curve[column], "o-", label=f"{column} probe")
ax.axhline(found["majority"].iloc[0], color="0.3", linestyle=":", label="a constant")
ax.set(xlabel="strength of the perturbation, eta", ylabel="accuracy of the probe for the age group", ylim=(0.7, 0.9))
ax.legend(frameon=False)
plt.show()

# %%
# The ten numbers cost points of accuracy, before anything is made fair. DVGE then lowers the gap by a few
# points, which shuffled groups do not; with 300 test rows the intervals are three times as wide. A moved threshold on
# the same codes reaches smaller gaps at the same accuracy. And a probe hardly reads the age from these codes in the
# first place: there is little to hide. What DVGE offers here is one encoder for all labels and groups, not a better
# front; other data and the paper's numbers are in :doc:`/latent_codes`.
