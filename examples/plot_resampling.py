"""
A resampling pipeline
=====================

Group DRO weighs the rows there are; a sampler makes rows that are missing. ``LatentDebiasingSampler`` (Ramaswamy, Kim and
Russakovsky, CVPR 2021) pairs each row with one that is as far from the target's border but on the other side of the
group's. ``Resampled`` puts a sampler in front of a classifier and keeps rows, labels and groups together; it is a step of a
pipeline and can be searched over.

Made-up data with a shortcut, for which the method works, and 5,000 rows of the real Adult data (where they are at hand or
can be downloaded, otherwise ``make_biased_classification``), where simpler things do as much.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
from imblearn.over_sampling import SMOTE
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from skfair.augmentation import LatentDebiasingSampler, PCAGenerator, Resampled
from skfair.datasets import DatasetUnavailableError, fetch_adult, make_biased_classification
from skfair.inspection import LatentMarginsDisplay, LatentPairsDisplay
from skfair.metrics import demographic_parity_difference, get_scorer, worst_group_accuracy
from skfair.preprocessing import make_tabular_preprocessor
from skfair.robust import ERMClassifier, GroupDROClassifier

sklearn.set_config(enable_metadata_routing=True)


def shortcut(n, seed):
    """A noisy column that tells the label, a clean one that tells the group, three of noise; they agree in 95 %."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.5
    s = np.where(rng.random(n) < 0.95, y, ~y)
    core, spurious = 2 * y - 1 + 0.7 * rng.normal(size=n), 2 * s - 1 + 0.2 * rng.normal(size=n)
    columns = dict(core=core, spurious=spurious) | {f"noise {k}": rng.normal(size=n) for k in range(3)}
    return pd.DataFrame(columns), y.astype(int), pd.Series(s.astype(int), name="group")


def adult(n=5000):
    try:
        data = fetch_adult(sensitive="sex")
    except DatasetUnavailableError:
        data = make_biased_classification(n, random_state=0)
    rows = np.random.default_rng(0).permutation(len(data.data))[:n]
    return data.data.iloc[rows], data.target.iloc[rows].to_numpy(), data.sensitive_features.iloc[rows, 0]


# %%
# Rows and their partners
# -----------------------
# Three arrays in, three out: the rows given come first, then new ones with their labels and groups. The codes are those
# of the rows themselves (``source="inversion"``), and the borders are learned with each cell of label and group
# counting alike.

X, y, s = shortcut(2000, 0)
sampler = LatentDebiasingSampler(PCAGenerator(), source="inversion", hyperplane_balance="cell", random_state=0)
X_new, y_new, s_new = sampler.fit_resample(X, y, sensitive_features=s)
cells = {"given": pd.crosstab(y, s), "with the new rows": pd.crosstab(np.asarray(y_new), np.asarray(s_new))}
print(pd.concat(cells, axis=1).rename_axis("label").to_string())

figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", width_ratios=(3, 2))
LatentPairsDisplay.from_sampler(sampler, X, n_pairs=5, ax=axes[0])
LatentMarginsDisplay.from_sampler(sampler, X, n_codes=200, ax=axes[1])
axes[1].legend(loc="center right")

# %%
# In a pipeline, searched over
# ----------------------------
# How many new rows, with the worst cell as the score. The scorer needs the groups, and so does the sampler: routing
# hands them to both.

training = dict(max_epochs=15, batch_size=128, random_state=0)
model = make_pipeline(make_tabular_preprocessor(), Resampled(sampler, ERMClassifier(**training)))
search = GridSearchCV(
    model, {"resampled__sampler__n_synthetic": [100, 500, 1600]}, scoring=get_scorer("worst_group_accuracy"), cv=3
)
search.fit(X, y, sensitive_features=s)
for params, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"]):
    print(f"{params['resampled__sampler__n_synthetic']:>5} new rows: worst cell {score:.3f}")

# %%
# Does it help?
# -------------
# Next to the same network on the rows given, to SMOTE asked for equal cells, to Group DRO without any new row, and to
# the same sampler with the rows of the groups shuffled.


def methods():
    erm, dro = ERMClassifier(**training), GroupDROClassifier(lr=0.05, **training)
    return {
        "ERM": (erm, False),
        "latent de-biasing": (Resampled(sampler, erm), False),
        "the same, random groups": (Resampled(sampler, erm), True),
        "SMOTE per cell": (Resampled(SMOTE(random_state=0), erm), False),
        "Group DRO": (dro, False),
    }


found = []
for title, (X, y, s) in {"a shortcut": shortcut(3000, 0), "Adult": adult()}.items():
    X, X_test, y, y_test, s, s_test = train_test_split(X, y, s, test_size=0.4, random_state=0)
    shuffled = s.sample(frac=1, random_state=0).set_axis(s.index)
    for name, (net, random) in methods().items():
        fitted = make_pipeline(make_tabular_preprocessor(min_frequency=20), net)
        given = {} if name == "ERM" else {"sensitive_features": shuffled if random else s}
        predicted = fitted.fit(X, y, **given).predict(X_test)
        found.append(
            {
                "data": title,
                "method": name,
                "accuracy": accuracy_score(y_test, predicted),
                "worst cell": worst_group_accuracy(y_test, predicted, sensitive_features=s_test),
                "parity difference": demographic_parity_difference(y_test, predicted, sensitive_features=s_test),
            }
        )
found = pd.DataFrame(found).set_index(["data", "method"])
print(found.round(3).to_string())

figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True, layout="constrained")
for ax, (title, rows) in zip(axes, found.groupby(level=0, sort=False)):
    rows = rows.droplevel(0)
    places = np.arange(len(rows))[::-1]
    for column, colour, marker in (
        ("accuracy", "C0", "s"),
        ("worst cell", "C3", "o"),
        ("parity difference", "0.4", "D"),
    ):
        ax.scatter(rows[column], places, color=colour, marker=marker, label=column)
    ax.set_yticks(places, rows.index)
    ax.set(title=title, xlim=(0, 1), ylim=(-0.5, len(rows) - 0.5))
    ax.grid(axis="x", alpha=0.3)
handles, labels = axes[0].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
plt.show()

# %%
# On the shortcut the new rows raise the worst cell from 0.61 to 0.89, and need the true groups for it. Group DRO on the
# rows given does the same without any new row. On Adult the sampler gains nothing: partners there differ from their
# rows in what hardly matters. SMOTE and Group DRO raise the worst cell, for a lower accuracy and a larger parity
# difference, which is another aim. Try cell weights or Group DRO first; one seed, see :doc:`/augmentation` for more.
