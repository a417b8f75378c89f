"""FrontierSearchCV over several processes: what one process finds, on joblib's own workers and on a Dask cluster."""

import os
import warnings
from collections import Counter

import joblib
import numpy as np
import pytest
from common import output, rows, same_weights, small
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skfair.adversarial import AdversarialClassifier
from skfair.metrics import get_scorer
from skfair.model_selection import FrontierSearchCV, best_within
from skfair.regularization import RegularizedClassifier
from skfair.robust import ERMClassifier

pytestmark = pytest.mark.slow  # to start two workers, which import torch, takes ten seconds and more

SCORING = {"accuracy": "accuracy", "loss": "neg_log_loss", "gap": get_scorer("demographic_parity_difference")}


def net(cls=RegularizedClassifier, **parameters):
    return small(cls, **{"module__hidden": (8, 6), "module__dropout": 0.0, **parameters})


PIPELINE = Pipeline([("scale", StandardScaler()), ("net", net())])
CASES = {
    "one-stack": (net(), {"strength": [0.0, 0.5, 5.0]}),
    "two-players": (net(AdversarialClassifier), {"strength": [0.0, 0.5, 5.0], "projection": [True, False]}),
    "pipeline": (PIPELINE, {"net__strength": [0.0, 5.0], "net__lr": [0.02, 0.001], "scale__with_mean": [True, False]}),
    "not-stackable": (LogisticRegression(), {"C": [0.01, 0.1, 1.0]}),
    "mixed": (Pipeline([("net", net(ERMClassifier))]), {"net": [net(ERMClassifier), net(ERMClassifier, lr=0.001)]}),
}


def fitted(estimator, grid, n_jobs=None, **parameters):
    """With routing, two seeds and training scores. A warning is an error in the workers as well."""
    X, y, s = rows()
    parameters = {"scoring": SCORING, "refit": best_within(gap=0.2), "seeds": 2, "models": "all", **parameters}
    search = FrontierSearchCV(estimator, grid, cv=3, n_jobs=n_jobs, return_train_score=True, **parameters)
    with config_context(enable_metadata_routing=True):
        return search.fit(X, y, sensitive_features=s)


def assert_same(found, expected, atol=1e-6):
    assert list(found.cv_results_) == list(expected.cv_results_)
    for key, value in expected.cv_results_.items():
        if key.startswith(("split", "mean", "std")) and not key.endswith("_time"):
            np.testing.assert_allclose(found.cv_results_[key], value, rtol=0, atol=atol, equal_nan=True, err_msg=key)
        elif not key.endswith("_time"):
            assert str(found.cv_results_[key]) == str(value)
    assert found.best_index_ == expected.best_index_
    assert list(found.models_) == list(expected.models_)
    X = rows()[0]
    for key, model in expected.models_.items():
        assert np.abs(output(found.models_[key], X) - output(model, X)).max() < atol


@pytest.fixture(scope="module")
def loky():
    """Two worker processes, ended with the module."""
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        yield
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_find_what_one_finds(case, loky):
    estimator, grid = CASES[case]
    single = fitted(estimator, grid, n_jobs=1)
    assert_same(fitted(estimator, grid, n_jobs=2), single)
    losses = single.cv_results_["mean_test_loss"]
    assert np.ptp(losses) > 1e-4  # otherwise equality shows nothing


def test_failures_in_other_processes(loky):
    """The same warnings, and no other candidate is touched."""
    found = []
    for n_jobs in (1, 2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            search = fitted(net(), {"strength": [0.0, -1.0, float("inf")]}, n_jobs=n_jobs, refit="loss")
        found.append((search, Counter(warning.category.__name__ for warning in caught)))
    assert found[0][1] == found[1][1]
    assert found[1][1]["FitFailedWarning"] == 1
    assert np.isnan(found[1][0].cv_results_["mean_test_loss"]).tolist() == [False, True, True]
    assert_same(found[1][0], found[0][0])


def test_all_processes_share_the_seed_that_is_drawn(loky):
    grid = [{"strength": [0.0]}, {"strength": [0.0], "penalty": ["squared"]}, {"strength": [5.0]}]
    search = fitted(net(random_state=None), grid, n_jobs=2, seeds=None, refit="loss")
    for k in range(3):
        scores = search.cv_results_[f"split{k}_test_loss"]
        assert scores[0] == pytest.approx(scores[1], abs=1e-6)
        assert abs(scores[0] - scores[2]) > 1e-4


def test_the_bar_over_two_processes(loky, capsys):
    search = fitted(net(), {"strength": [0.0, 5.0]}, n_jobs=2, verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "12/12 models" in err
    assert "best: accuracy" in err
    assert same_weights(search.best_estimator_, fitted(net(), {"strength": [0.0, 5.0]}).best_estimator_)


def test_an_error_that_is_raised_ends_the_search(loky):
    """The last test on these workers: joblib ends them."""
    with pytest.raises(ValueError, match="strength must be a number >= 0, got -1.0"):
        fitted(net(), {"strength": [0.0, -1.0]}, n_jobs=2, error_score="raise")


# ---------------------------------------------------------------------- Dask
@pytest.fixture(scope="module")
def cluster():
    """A real cluster of two worker processes."""
    distributed = pytest.importorskip("distributed")
    arguments = dict(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with distributed.LocalCluster(**arguments) as local, distributed.Client(local) as client:
        client.wait_for_workers(2)
        yield client


@pytest.mark.parametrize("case", ["pipeline", "not-stackable"])
def test_a_dask_cluster_finds_what_one_process_finds(case, cluster):
    estimator, grid = CASES[case]
    single = fitted(estimator, grid)
    with joblib.parallel_config("dask", wait_for_workers_timeout=60):
        found = fitted(estimator, grid)
    assert_same(found, single)


def test_a_dask_cluster_does_the_work(cluster):
    """Both workers, and not the process that asks."""
    with joblib.parallel_config("dask", wait_for_workers_timeout=60):
        search = fitted(net(), {"strength": [0.0, 5.0]}, scoring=process_of, refit=False, models="best", seeds=None)
    found = {int(value) for k in range(3) for value in search.cv_results_[f"split{k}_test_score"]}
    assert os.getpid() not in found
    assert len(found) == 2


def process_of(estimator, X, y):
    """A scorer that tells where it runs."""
    return float(os.getpid())
