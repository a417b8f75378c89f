"""The example for those who search with Optuna."""

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skfair.datasets import make_biased_classification
from skfair.model_selection import pareto_front
from skfair.model_selection._pareto import frontier_frame

pytest.importorskip("optuna")
pytest.importorskip("optuna_integration")
EXAMPLE = Path(__file__).parents[2] / "examples" / "search_with_optuna.py"


@pytest.mark.slow
def test_the_example(tmp_path):
    run = subprocess.run([sys.executable, "-W", "error", EXAMPLE, tmp_path], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    before, front = run.stdout.split("Two objectives: the front\n")
    assert "demographic_parity_difference" in before
    trials = [line.split() for line in front.splitlines() if line.startswith("strength")]
    gaps, accuracies = ([float(trial[k]) for trial in trials] for k in (5, 3))
    assert len(trials) >= 3
    assert gaps == sorted(gaps)
    assert accuracies == sorted(accuracies)  # a front: more accurate only with a larger gap
    assert (tmp_path / "optuna_front.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def example(routing):  # the example switches routing on; the fixture restores what was before
    parts = runpy.run_path(str(EXAMPLE))
    parts["NET"]["max_epochs"] = 3
    return parts


@pytest.fixture(scope="module")
def data():
    made = make_biased_classification(300, random_state=0)
    return made.data, made.target, made.sensitive_features


def test_one_score(example, data):
    X, y, A = data
    search = example["one_score"](X, y, A, n_trials=2)
    assert search.best_estimator_.groups_ == [("group_0",), ("group_1",)]  # routed to the last fit as well
    assert len(search.study_.trials) == 2
    assert search.best_score_ == max(trial.value for trial in search.study_.trials)
    predicted = search.predict(X)
    within = example["accuracy_within"]
    accuracy = (predicted == y).mean()
    assert within(y, predicted, sensitive_features=A, bound=1) == pytest.approx(accuracy)
    gap = abs(np.diff([predicted[A["group"] == group].mean() for group in ("group_0", "group_1")]))[0]
    assert gap > 0
    assert within(y, predicted, sensitive_features=A, bound=gap / 2) == pytest.approx(accuracy - 5 * gap)


def test_two_objectives(example, data):
    study = example["two_objectives"](*data, n_trials=4)
    frame = example["table"](study)
    assert set(pareto_front(frame, "gap", "accuracy").index) == {trial.number for trial in study.best_trials}
    np.testing.assert_allclose(frame[["mean_accuracy", "mean_gap"]] * [1, -1], [trial.values for trial in study.trials])
    results = {
        f"split{split}_test_{name}": [sign * trial.user_attrs[name][split] for trial in study.trials]
        for name, sign in {"accuracy": 1, "gap": -1}.items()
        for split in range(5)
    }
    expected = frontier_frame(results).drop(columns=["sd_accuracy", "sd_gap"])
    assert (expected["low_gap"] < expected["high_gap"]).any()
    np.testing.assert_allclose(frame.drop(columns="param_strength")[expected.columns], expected)
