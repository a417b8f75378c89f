"""
Searching with Optuna
=====================

Search with Optuna: accuracy and a gap, as one score with OptunaSearchCV and as two objectives with a study.

Needs ``pip install optuna optuna-integration matplotlib``. On synthetic data with a known bias. With a folder as argument
the picture is written there.
"""

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import optuna
import pandas as pd
import sklearn
from optuna.distributions import FloatDistribution
from optuna_integration import OptunaSearchCV
from scipy.stats import t
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_validate, train_test_split

from skfair.datasets import make_biased_classification
from skfair.inspection import ParetoFrontDisplay
from skfair.metrics import demographic_parity_difference, get_scorer, group_report, make_fairness_scorer
from skfair.model_selection import trivial_controls
from skfair.regularization import RegularizedClassifier
from skfair.robust import ERMClassifier

# Sensitive features travel beside X and y: scikit-learn calls this metadata routing, and it is off by default.
sklearn.set_config(enable_metadata_routing=True)
optuna.logging.set_verbosity(optuna.logging.WARNING)
# OptunaSearchCV says that it is experimental, and calls a part of Optuna that is deprecated.
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
warnings.filterwarnings("ignore", message=".*optuna.terminator", category=FutureWarning)

CV = StratifiedKFold(5, shuffle=True, random_state=0)  # a seed: the same splits in each search
SCORING = {"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference")}
NET = {"max_epochs": 8, "batch_size": 128, "lr": 0.05, "random_state": 0}

# %%
# One score
# ---------
# OptunaSearchCV takes one score, to be maximised: here the accuracy subject to a bound on the gap.


def accuracy_within(y_true, y_pred, *, sensitive_features, bound):
    """The accuracy, less what the gap is above the bound: so steep that no accuracy makes up for it."""
    gap = demographic_parity_difference(y_true, y_pred, sensitive_features=sensitive_features)
    return accuracy_score(y_true, y_pred) - 10 * max(0.0, gap - bound)


def one_score(X, y, A, bound=0.1, n_trials=8):
    """OptunaSearchCV takes one score, to be maximised: here the accuracy subject to a bound on the gap."""
    search = OptunaSearchCV(
        RegularizedClassifier(**NET),
        {"strength": FloatDistribution(0.03, 10, log=True)},
        cv=CV,
        n_trials=n_trials,
        scoring=make_fairness_scorer(accuracy_within, greater_is_better=True, bound=bound),
        random_state=0,
        error_score="raise",
    )
    return search.fit(X, y, sensitive_features=A)


# %%
# Two objectives
# --------------
# A study of two objectives has no best trial but a front.


def two_objectives(X, y, A, n_trials=10):
    """A study of two objectives. It has no best trial but a front, ``study.best_trials``."""

    def objective(trial):
        net = RegularizedClassifier(strength=trial.suggest_float("strength", 0.03, 10, log=True), **NET)
        scores = cross_validate(
            net, X, y, cv=CV, scoring=SCORING, params={"sensitive_features": A}, error_score="raise"
        )
        accuracy, gap = scores["test_accuracy"], -scores["test_gap"]
        trial.set_user_attr("accuracy", accuracy.tolist())
        trial.set_user_attr("gap", gap.tolist())
        return accuracy.mean(), gap.mean()

    study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=n_trials)
    return study


# %%
# ``ParetoFrontDisplay`` reads a table of means and intervals.


def table(study):
    """The trials as ParetoFrontDisplay reads them: means and intervals of scores of which greater is better."""
    n = CV.get_n_splits()
    corrected = np.sqrt(1 / n + 1 / (n - 1))  # the splits share training rows: Nadeau and Bengio's corrected t
    columns = {"param_strength": [trial.params["strength"] for trial in study.trials]}
    for name, sign in {"accuracy": 1, "gap": -1}.items():
        scores = sign * np.array([trial.user_attrs[name] for trial in study.trials])  # (n_trials, n_splits)
        mean, half = scores.mean(axis=1), t.ppf(0.975, n - 1) * scores.std(axis=1, ddof=1) * corrected
        columns |= {f"mean_{name}": mean, f"low_{name}": mean - half, f"high_{name}": mean + half}
    return pd.DataFrame(columns).rename_axis(index="candidate")


# %%
# Both, and the controls
# ----------------------
# A gap near 0 alone proves nothing: the same picture shows what costs no method at all, on the same splits.


def main(folder=None):
    data = make_biased_classification(3000, bias=0.4, historical_bias=0.5, random_state=0)
    X, X_test, y, y_test, A, A_test = train_test_split(
        data.data, data.target, data.sensitive_features, test_size=0.3, random_state=0
    )

    search = one_score(X, y, A)
    print(
        "One score: the most accurate with a gap of at most 0.1\n------------------------------------------------------"
    )
    print(f"strength {search.best_params_['strength']:.2f}; on rows that nothing has seen:")
    print(group_report(y_test, search.predict(X_test), sensitive_features=A_test, random_state=0), "\n")

    study = two_objectives(X, y, A)
    print("Two objectives: the front\n-------------------------")
    for trial in sorted(study.best_trials, key=lambda trial: trial.values[1]):
        print(f"strength {trial.params['strength']:<6.2f}  accuracy {trial.values[0]:.3f}  gap {trial.values[1]:.3f}")

    controls = trivial_controls(
        ERMClassifier(**NET),
        X,
        y,
        scoring=SCORING,
        cv=CV,
        mitigated=RegularizedClassifier(strength=1.0, **NET),
        random_state=0,
        sensitive_features=A,
    )
    display = ParetoFrontDisplay.from_search(
        table(study), x="gap", y="accuracy", name="gap penalty (Optuna)", controls=controls
    )
    if folder is None:
        plt.show()
    else:
        folder.mkdir(parents=True, exist_ok=True)
        display.figure_.savefig(folder / "optuna_front.png", dpi=120)
        print(f"\nWritten: {folder / 'optuna_front.png'}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))

# %%
# The study's trials crowd where the sampler expects a gain; a front of so few trials has holes. They are trained one by
# one: where a grid will do, ``FrontierSearchCV`` is quicker.
