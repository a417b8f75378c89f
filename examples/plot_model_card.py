"""
A model card and an audit report
================================

What is handed over with a model: a card that says what it is, how it was trained and what it does to whom, and an audit
of its predictions by group, next to the model that it replaces.

4,000 rows of the real Adult data where they are at hand or can be downloaded, otherwise synthetic data with a known bias.
The card needs skops: ``pip install 'skfair[report]'``.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import sklearn
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline

from skfair.datasets import DatasetUnavailableError, fetch_adult, make_biased_classification
from skfair.inspection import GroupScoreDisplay
from skfair.metrics import get_scorer
from skfair.model_selection import FrontierSearchCV, best_within, trivial_controls
from skfair.preprocessing import make_tabular_preprocessor
from skfair.regularization import RegularizedClassifier
from skfair.reporting import audit_report, model_card
from skfair.robust import ERMClassifier

sklearn.set_config(enable_metadata_routing=True)

try:
    data, what = fetch_adult(sensitive="sex"), "the real Adult data, sensitive feature sex"
except DatasetUnavailableError:
    data, what = make_biased_classification(4000, random_state=0), "synthetic data"
rows = np.random.default_rng(0).permutation(len(data.data))[:4000]
X, y, A = data.data.iloc[rows], data.target.iloc[rows], data.sensitive_features.iloc[rows]
X, X_test, y, y_test, A, A_test = train_test_split(X, y, A, test_size=0.4, stratify=y, random_state=0)
print(f"Data: {what}; {len(X)} rows to search on, {len(X_test)} to judge by.")

# %%
# A model, and the one before it
# ------------------------------

cv = StratifiedKFold(3, shuffle=True, random_state=0)
scoring = {"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference")}
net = dict(max_epochs=8, batch_size=128, random_state=0)
before = make_pipeline(make_tabular_preprocessor(min_frequency=20), ERMClassifier(**net)).fit(X, y)
model = make_pipeline(make_tabular_preprocessor(min_frequency=20), RegularizedClassifier(penalty="hsic", **net))
search = FrontierSearchCV(
    model,
    {"regularizedclassifier__strength": [0.0, 3.0, 6.0, 9.0]},
    scoring=scoring,
    cv=cv,
    refit=best_within(gap=0.08),
    models="best",
)
search.fit(X, y, sensitive_features=A)
controls = trivial_controls(
    before, X, y, scoring=scoring, cv=cv, thresholds=(0.6, 0.7, 0.8), random_state=0, sensitive_features=A
)

# %%
# The audit
# ---------
# One HTML file that needs nothing but itself, with rates, gaps, intervals and curves of both models on rows that
# neither has seen. It gives no verdict. ``audit.save(path)`` writes it; a notebook shows it as it is.

audit = audit_report(
    search, X_test, y_test, sensitive_features=A_test, baseline=before, n_boot=200, random_state=0,
    title="Income above 50,000 dollars: the penalised network",
    description="Compared with the same network without the penalty, on rows that neither has seen.",
)  # fmt: skip
print(audit)

# %%
# As a notebook shows it:

# sphinx_gallery_capture_repr_block = ("_repr_html_",)
audit  # noqa: B018

# %%
# The numbers are those of ``group_report``, and can be drawn as such.

GroupScoreDisplay.from_reports({"before": audit.baseline_report, "after": audit.report})

# %%
# The card
# --------
# A card of skops with the same report in it, and the controls that a gain has to beat. What only you can say stays
# "[More Information Needed]" until you do.

card = model_card(
    search,
    report=audit.report,
    controls=controls,
    description="Says who earns more than 50,000 dollars a year, from census data of 1994.",
    intended_use="An example; not for use.",
    limitations="Trained on few rows, for demographic parity between two sexes; nothing was done about any other group.",
    authors="A. Author",
    license="BSD-3-Clause",
)
print(card.select("Model description/Intended uses & limitations").content)
print(card.select("Model description/Evaluation Results").content[:1200])

# %%
# Both are files.

with tempfile.TemporaryDirectory() as folder:
    audit.save(Path(folder, "audit.html"))
    card.save(Path(folder, "README.md"))
    for path in sorted(Path(folder).iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} kB")
plt.show()

# %%
# Neither says whether the model may be used. They say what was measured, on which rows, and how sure that is: with
# 1,600 test rows the intervals of the gaps are wide. They do show what a single gap hides: it closed because men and
# women alike get less.
