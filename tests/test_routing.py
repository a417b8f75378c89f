"""sensitive_features is requested by default, and typos in requests are errors."""

import pickle

import pytest
import skorch
import torch
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils._metadata_requests import RequestMethod

from skfair._routing import ScoreConsumer, SensitiveFeaturesConsumer, routing_enabled


class Net(SensitiveFeaturesConsumer, skorch.NeuralNet):
    def fit(self, X, y=None, *, sensitive_features=None, sample_weight=None):
        return self

    def partial_fit(self, X, y=None, classes=None, *, sensitive_features=None, sample_weight=None):
        return self


class Child(Net):
    pass


class Plain(SensitiveFeaturesConsumer, BaseEstimator):
    def fit(self, X, y, *, sensitive_features=None):
        self.seen_ = sensitive_features
        return self


class Scorer(ScoreConsumer):
    pass


def make(cls):
    return cls(torch.nn.Linear, criterion=torch.nn.MSELoss) if issubclass(cls, skorch.NeuralNet) else cls()


@pytest.mark.parametrize("cls", [Net, Child, Plain])
def test_sensitive_features_are_requested_by_default(cls):
    assert make(cls)._get_metadata_request().fit.requests["sensitive_features"] is True


@pytest.mark.parametrize("cls", [Net, Child])
@pytest.mark.parametrize("method", ["set_fit_request", "set_partial_fit_request"])
def test_skorch_gets_the_descriptors_of_scikit_learn_back(cls, method):
    assert isinstance(vars(Net)[method], RequestMethod)
    with config_context(enable_metadata_routing=True):
        with pytest.raises(TypeError, match="typo"):
            getattr(make(cls), method)(typo=True)
        net = getattr(make(cls), method)(sample_weight=True)
    name = method.removeprefix("set_").removesuffix("_request")
    assert getattr(net._get_metadata_request(), name).requests["sample_weight"] is True


@pytest.mark.parametrize("cls", [Net, Plain])
def test_requests_survive_clone_and_pickle(cls):
    with config_context(enable_metadata_routing=True):
        net = make(cls).set_fit_request(sensitive_features="A")
    for copy in (clone(net), pickle.loads(pickle.dumps(net))):
        assert copy._get_metadata_request().fit.requests["sensitive_features"] == "A"
    assert clone(make(cls))._get_metadata_request().fit.requests["sensitive_features"] is True


def test_set_fit_request_needs_routing():
    with pytest.raises(RuntimeError, match="enable_metadata_routing"):
        make(Net).set_fit_request(sensitive_features=True)


def test_a_request_written_by_a_class_itself_is_kept():
    class Own(SensitiveFeaturesConsumer, skorch.NeuralNet):
        def set_fit_request(self, **kwargs):
            return "own"

    assert make(Own).set_fit_request() == "own"


def test_pipeline_hands_sensitive_features_on():
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(Plain()).fit([[0.0]], [0], sensitive_features=["f"])
        with pytest.raises(TypeError, match="sensitive_features"):
            make_pipeline(LogisticRegression()).fit([[0.0], [1.0]], [0, 1], sensitive_features=["f", "m"])
    assert pipeline[-1].seen_ == ["f"]


def test_scorers_request_sensitive_features_and_may_request_weights():
    assert Scorer()._get_metadata_request().score.requests == {"sensitive_features": True, "sample_weight": None}
    with config_context(enable_metadata_routing=True):
        scorer = Scorer().set_score_request(sample_weight=True)
        with pytest.raises(TypeError, match="typo"):
            scorer.set_score_request(typo=True)
        assert routing_enabled()
    assert scorer._get_metadata_request().score.requests == {"sensitive_features": True, "sample_weight": True}
    assert not routing_enabled()
