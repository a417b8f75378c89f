"""
Quickstart: a search on Adult, a report, a picture
==================================================

Search for a classifier of the Adult data whose groups are treated alike, then report and plot.

``make demo`` runs it on all rows and writes pictures and report into a folder, as does
``python examples/quickstart.py [folder for the output]``; without a folder it takes 8,000 rows and shorter trainings. It
uses the real Adult data where they are at hand or can be downloaded, otherwise a synthetic set with a known bias, and says
which.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import sklearn
from fairlearn.metrics import MetricFrame, selection_rate
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

from skfair.datasets import DatasetUnavailableError, fetch_adult, make_biased_classification
from skfair.inspection import GroupScoreDisplay, ParetoFrontDisplay
from skfair.metrics import get_scorer, group_report
from skfair.model_selection import FrontierSearchCV, best_within, trivial_controls
from skfair.preprocessing import make_tabular_pipeline
from skfair.regularization import RegularizedClassifier
from skfair.robust import ERMClassifier

# Sensitive features travel beside X and y: scikit-learn calls this metadata routing, and it is off by default.
sklearn.set_config(enable_metadata_routing=True)

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
if folder is None:
    n_rows, training = 8000, {"max_epochs": 12, "random_state": 0}
else:
    plt.switch_backend("Agg")  # pictures are written, no window is opened
    n_rows, training = None, {"random_state": 0}

try:
    data, what = fetch_adult(), "the real Adult data, sensitive feature sex"
    X, y, A = data.data[:n_rows], data.target[:n_rows], data.sensitive_features[["sex"]][:n_rows]
except DatasetUnavailableError:
    data, what = make_biased_classification(10_000, random_state=0), "synthetic data (Adult is not at hand)"
    X, y, A = data.data[:n_rows], data.target[:n_rows], data.sensitive_features[:n_rows]
print(f"Data: {what}; {X.shape[0]} rows, {X.shape[1]} columns.")
X_train, X_test, y_train, y_test, A_train, A_test = train_test_split(X, y, A, test_size=0.3, random_state=0)

# %%
# 1. The unmitigated network
# --------------------------
# What it does to the groups: rates of each group, gaps between them, with bootstrap intervals.

plain = make_tabular_pipeline(ERMClassifier(**training))
plain.fit(X_train, y_train, sensitive_features=A_train)
before = group_report(y_test, plain.predict(X_test), sensitive_features=A_test, random_state=0)
print(before)

# %%
# 2. The whole frontier
# ---------------------
# A grid search over the strength of the constraint, in which all candidates are trained at once. The rule for the
# winner: the most accurate candidate among those whose groups get positive predictions at rates at most 5 points apart.

model = make_tabular_pipeline(RegularizedClassifier(constraint="demographic_parity", penalty="hsic", **training))
scoring = {"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference")}
search = FrontierSearchCV(
    model,
    {"net__strength": [0.0, 2.0, 5.0, 10.0, 20.0, 40.0]},
    cv=3,
    scoring=scoring,
    refit=best_within(gap=0.05),
    models="best",
)
search.fit(X_train, y_train, sensitive_features=A_train)
for index, row in search.frontier_.iterrows():
    strength, mark = row["param_net__strength"], "  <- chosen" * (index == search.best_index_)
    print(f"strength {strength:<4}  accuracy {row['mean_accuracy']:.3f}  gap {-row['mean_gap']:.3f}{mark}")

# %%
# A smaller gap proves something only next to what costs nothing: the plain net, with a raised threshold, a constant.

controls = trivial_controls(plain, X_train, y_train, scoring=scoring, cv=3, random_state=0, sensitive_features=A_train)
frontier = ParetoFrontDisplay.from_search(search, x="gap", y="accuracy", name="HSIC penalty", controls=controls)

# %%
# 3. The winner on rows that nothing has seen
# -------------------------------------------

predicted = search.predict(X_test)
after = group_report(y_test, predicted, sensitive_features=A_test, random_state=0)
print(after)

# %%
# The metrics are plain functions: fairlearn's MetricFrame takes them, and its own.

frame = MetricFrame(
    metrics={"accuracy": accuracy_score, "selection rate": selection_rate},
    y_true=y_test,
    y_pred=predicted,
    sensitive_features=A_test,
)
print(frame.by_group.round(3))

# %%
# Before and after, group by group. A gap can close because one group gets more or because the other gets less: the
# rates say which.

groups = GroupScoreDisplay.from_reports({"without mitigation": before, "with mitigation": after})

# %%
if folder is None:
    plt.show()
else:
    folder.mkdir(parents=True, exist_ok=True)
    groups.figure_.savefig(folder / "groups.png", dpi=120)
    frontier.figure_.savefig(folder / "frontier.png", dpi=120)
    (folder / "report.md").write_text(after.to_markdown() + "\n")
    print(f"Written: {folder / 'frontier.png'}, {folder / 'groups.png'}, {folder / 'report.md'}")
