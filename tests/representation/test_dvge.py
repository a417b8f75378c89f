"""DVGE: the stages and what each may see, the perturbation, equalities at strength 0, encoders of any kind."""

import copy
import functools
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from common import first_linear, rows, same_weights, small, weights_of
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, StandardScaler

from skfair.model_selection import FrontierSearchCV
from skfair.representation import (
    DVGEClassifier,
    DVGETransformer,
    FactorVAETransformer,
    FDVAETransformer,
    FFVAETransformer,
    VAETransformer,
    _dvge,
)
from skfair.robust import ERMClassifier

both = pytest.mark.parametrize("cls", [DVGEClassifier, DVGETransformer])
AS_IT_IS = FunctionTransformer()


def fitted(cls=DVGEClassifier, y=None, s=None, **parameters):
    X, labels, two = rows()
    net = small(cls, **parameters)
    return net.fit(X, labels if y is None else y, sensitive_features=two if s is None else s)


def frozen(encoder=None):
    encoder = small(VAETransformer, n_components=3) if encoder is None else encoder
    return FrozenEstimator(encoder.fit(rows()[0]))


def loss_on_own_prediction(net, Z):
    p = torch.softmax(net.main_output(net.module_(torch.as_tensor(Z, dtype=torch.float32))), 1)
    return -torch.log(p.detach().max(1).values).numpy()


# ---------------------------------------------------------------------- strength 0
@pytest.mark.parametrize(
    "nothing",
    [
        dict(eta_sensitive=0, eta_task=0),
        dict(eta_sensitive=3.0, eta_task=2.0, clip=0),
        dict(eta_sensitive=0, clip=None),
    ],
    ids=str,
)
def test_without_perturbation_it_is_a_classifier_on_the_codes(nothing):
    """P6: bit for bit, with dropout."""
    encoder = frozen()
    net = fitted(encoder=encoder, **nothing)
    plain = small(ERMClassifier).fit(encoder.transform(rows()[0]), rows()[1])
    assert same_weights(net, plain)
    assert net.history[:, "train_loss"] == plain.history[:, "train_loss"]
    assert not same_weights(plain, fitted(encoder=encoder, eta_sensitive=3.0))


# ---------------------------------------------------------------------- the perturbation
class Linear(torch.nn.Linear):
    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)


@both
@pytest.mark.parametrize("explain", ["ce", "neg_logit", "logit"])
def test_the_perturbation_of_linear_classifiers_by_hand(cls, explain):
    """P9: F = (softmax - onehot(pred)) W for "ce"; three groups, two labels, both terms, the clip."""
    Z, s = rows()[0], np.arange(120) % 3
    net = fitted(cls, s=s, encoder=AS_IT_IS, module=Linear, explain=explain, eta_sensitive=1.5, eta_task=0.7, clip=0.3)

    def gradient(fit):
        W, b = (p.detach().double().numpy() for p in fit.module_.parameters())
        logits = np.float32(Z).astype(float) @ W.T + b
        predicted, p = np.eye(len(b))[logits.argmax(1)], np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        return {"ce": p - predicted, "neg_logit": -predicted, "logit": predicted}[explain] @ W

    v = 1.5 * gradient(net.sensitive_net_) - 0.7 * gradient(net)
    np.testing.assert_allclose(net.perturb(Z), Z + np.clip(v, -0.3 * np.abs(Z), 0.3 * np.abs(Z)), atol=1e-6)
    net.clip = None
    np.testing.assert_allclose(net.perturb(Z), Z + v, atol=1e-6)


def test_a_rows_perturbation_is_its_own_and_keeps_within_the_clip():
    """P7."""
    net = fitted(encoder=AS_IT_IS, eta_sensitive=5.0, eta_task=1.0, clip=0.2)
    Z = rows()[0][:64]
    Z[3, 1] = 0
    moved = net.perturb(Z)
    np.testing.assert_allclose(np.concatenate([net.perturb(row[None]) for row in Z]), moved, atol=1e-6)
    assert (np.abs(moved - Z) <= 0.2 * np.abs(Z) + 1e-6).all()
    assert moved[3, 1] == 0
    assert np.array_equal(np.sign(moved), np.sign(Z))
    assert np.abs(moved - Z).max() > 0.05
    scaled = Z * np.where(np.arange(64) == 7, 3.0, 1.0)[:, None]
    other = np.abs(net.perturb(scaled) - moved).max(1) > 1e-6
    assert other.nonzero()[0].tolist() == [7]


def test_each_strength_moves_its_own_classifier():
    """P9: d becomes less sure of the group along F_sens, g surer of the label against F_task."""
    parameters = dict(encoder=AS_IT_IS, clip=None, max_epochs=5, sensitive_epochs=5)
    net, Z = fitted(**parameters), rows()[0]
    for etas, fit, sign in (((0.02, 0.0), net.sensitive_net_, 1), ((0.0, 0.02), net, -1)):
        net.set_params(eta_sensitive=etas[0], eta_task=etas[1])
        change = loss_on_own_prediction(fit, net.perturb(Z)) - loss_on_own_prediction(fit, Z)
        assert (sign * change).mean() > 1e-4
        assert (sign * change > -1e-5).mean() > 0.95  # but for a kink in between
    net.set_params(eta_sensitive=0.02, eta_task=0.0, explain="logit")  # the released code: the other way
    fit = net.sensitive_net_
    assert (loss_on_own_prediction(fit, net.perturb(Z)) - loss_on_own_prediction(fit, Z)).mean() < -1e-4


# ---------------------------------------------------------------------- who sees what
def test_the_head_is_trained_on_perturbed_codes_without_groups():
    """P8: the objective by hand; neither d's nor g's parameters keep a gradient of the explanation."""
    from skfair._data import Batch

    X, y, _ = rows()
    net = fitted(encoder=AS_IT_IS, eta_task=0.5, module__dropout=0.0)
    weight = torch.linspace(0, 2, 8)
    x, y = torch.as_tensor(X[:8], dtype=torch.float32), torch.from_numpy(y[:8])
    net.module_.train()
    net.optimizer_.zero_grad()
    net.sensitive_net_.optimizer_.zero_grad()
    assert net.infer(x) is x
    moved = net.perturbed(x)
    assert not moved.requires_grad
    assert net.module_.training
    assert all(p.grad is None for part in (net, net.sensitive_net_) for p in part.module_.parameters())
    losses = torch.nn.functional.cross_entropy(net.module_(moved), y, reduction="none")
    batch = Batch(x, y, None, None, weight, None)
    loss = net.objective(net.infer(x), batch)
    assert loss.item() == pytest.approx((weight * losses).mean().item(), rel=1e-6)
    loss.backward()
    assert all(p.grad is None for p in net.sensitive_net_.module_.parameters())
    assert first_linear(net).weight.grad.abs().max() > 0


@both
def test_training_the_head_leaves_the_stages_before_it(cls):
    """P8."""
    net = fitted(cls)
    X, y, s = rows()
    encoder, d = net.encoder_, net.sensitive_net_
    before = [[w.copy() for w in weights_of(part)] for part in (encoder, d, net)]
    net.partial_fit(X, y, sensitive_features=s)
    assert net.encoder_ is encoder
    assert net.sensitive_net_ is d
    for part, old, same in zip((encoder, d, net), before, (True, True, False)):
        assert all(map(np.array_equal, weights_of(part), old)) == same


@both
def test_predictions_need_neither_d_nor_groups(cls):
    """P8."""
    net, X = fitted(cls), rows()[0]
    method = net.predict_proba if cls is DVGEClassifier else net.transform
    before = method(X)
    del net.sensitive_net_
    assert np.array_equal(method(X), before)


def test_predictions_are_of_clean_codes():
    net, X = fitted(eta_sensitive=5.0, clip=None), rows()[0]
    logits = net.module_(torch.from_numpy(net.encoder_.transform(X)).float()).detach()
    np.testing.assert_allclose(net.predict_proba(X), torch.softmax(logits, 1), atol=1e-6)


def test_the_sensitive_classifier_is_its_own_fit():
    """ERM on the codes, told the groups in the place of the labels; with its own rate and epochs."""
    encoder = frozen()
    net = fitted(encoder=encoder, sensitive_lr=0.004, sensitive_epochs=4, module__hidden=(7,))
    d = net.sensitive_net_
    assert (len(d.history), d.optimizer_.param_groups[0]["lr"]) == (4, 0.004)
    assert (len(net.history), net.optimizer_.param_groups[0]["lr"]) == (2, 0.02)
    assert first_linear(d).out_features == first_linear(net).out_features == 7
    again = clone(d).fit(encoder.transform(rows()[0]), (rows()[2] == "m").astype(int))
    assert same_weights(d, again)
    assert same_weights(d, fitted(encoder=encoder, sensitive_lr=0.004, sensitive_epochs=4, module__hidden=(7,),
                                  y=1 - rows()[1], lr=0.1, max_epochs=3).sensitive_net_)  # fmt: skip


def test_weights_reach_all_stages():
    X, y, s = rows()
    w = (np.arange(120) % 3 > 0).astype(float)
    other = np.where(w[:, None] > 0, X, 5 - X), np.where(w > 0, y, 1 - y), np.where(w > 0, s, np.roll(s, 1))
    nets = [
        small(DVGEClassifier, eta_task=0.3).fit(data[0], data[1], sensitive_features=data[2], sample_weight=w)
        for data in ((X, y, s), other)
    ]
    assert same_weights(nets[0].encoder_, nets[1].encoder_)
    for one, two in ((nets[0].sensitive_net_, nets[1].sensitive_net_), nets):
        assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(weights_of(one), weights_of(two)))
    assert not same_weights(nets[0].encoder_, fitted().encoder_)


def test_groups_of_several_columns_are_taken_jointly():
    table = pd.DataFrame({"sex": rows()[2], "old": np.arange(120) % 3})
    net = fitted(s=table, eta_sensitive=2.0)
    assert net.n_groups_ == 6
    assert net.sensitive_net_.n_classes_ == 6
    assert np.isfinite(net.predict_proba(rows()[0])).all()


# ---------------------------------------------------------------------- encoders
def counted(monkeypatch, cls, method="fit"):
    calls, own = [], getattr(cls, method)
    monkeypatch.setattr(cls, method, lambda self, *args, **given: calls.append(self) or own(self, *args, **given))
    return calls


def test_a_frozen_encoder_is_kept_for_other_labels_and_groups(monkeypatch):
    """P11."""
    encoder = frozen()
    calls = counted(monkeypatch, VAETransformer)
    one, two = fitted(encoder=encoder), fitted(encoder=encoder, y=1 - rows()[1])
    three = fitted(encoder=encoder, s=np.roll(rows()[2], 1))
    assert not calls
    assert one.encoder_.estimator is two.encoder_.estimator is three.encoder_.estimator is encoder.estimator
    assert same_weights(one.sensitive_net_, two.sensitive_net_)  # new labels: g alone
    assert not same_weights(one, two)
    assert not same_weights(one.sensitive_net_, three.sensitive_net_)
    fitted(encoder=encoder.estimator)
    assert len(calls) == 1  # without FrozenEstimator it is cloned
    assert calls[0] is not encoder.estimator


def test_a_frozen_encoder_that_is_not_fitted():
    with pytest.raises(NotFittedError):
        fitted(encoder=FrozenEstimator(small(VAETransformer)))


@pytest.mark.parametrize(
    "encoder",
    [
        PCA(2),
        KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"),  # sparse codes
        make_pipeline(StandardScaler(), PCA(3)),
        small(FFVAETransformer),
        small(FDVAETransformer),
        StandardScaler(),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
@both
def test_encoders_of_any_kind(cls, encoder):
    """Also those that need the groups, or the labels."""
    X = rows()[0]
    net = fitted(cls, encoder=encoder, eta_task=0.2)
    Z = net.encoder_.transform(np.float32(X))
    Z = Z.toarray() if sp.issparse(Z) else Z
    assert net.in_features_ == first_linear(net).in_features == Z.shape[1]
    if cls is DVGETransformer:
        np.testing.assert_allclose(net.transform(X), Z, atol=1e-6)
    else:
        assert net.predict_proba(X).shape == (120, 2)
    assert not [
        name for name in vars(encoder) if name.endswith("_") and name != "callbacks_"
    ]  # the user's is as it was


def test_the_default_encoder_is_a_factor_vae(monkeypatch):
    monkeypatch.setattr(_dvge, "FactorVAETransformer", functools.partial(FactorVAETransformer, max_epochs=1))
    net = fitted(encoder=None)
    assert type(net.encoder_) is FactorVAETransformer
    assert net.encoder is None
    assert same_weights(net.encoder_, fitted(encoder=None).encoder_)  # seeded by the net


def test_the_encoder_gets_a_stream_unless_it_has_one():
    nets = [fitted(random_state=seed) for seed in (0, 0, 1)]
    assert same_weights(nets[0].encoder_, nets[1].encoder_)
    assert not same_weights(nets[0].encoder_, nets[2].encoder_)
    own = small(VAETransformer, random_state=5)
    assert same_weights(fitted(encoder=own, random_state=1).encoder_, clone(own).fit(rows()[0]))


def test_parameters_of_the_encoder(routing):
    net = small(DVGEClassifier, encoder=PCA(2))
    assert net.get_params()["encoder__n_components"] == 2
    assert clone(net).set_params(encoder__n_components=3).encoder.n_components == 3
    assert net.encoder.n_components == 2
    with pytest.raises(ValueError, match="Invalid parameter 'n_component' for estimator PCA"):
        net.set_params(encoder__n_component=3)
    X, y, s = rows()
    search = GridSearchCV(net, {"encoder__n_components": [1, 3], "module__hidden": [(4,)]}, cv=2, error_score="raise")
    search.fit(X, y, sensitive_features=s)
    assert first_linear(search.best_estimator_).in_features == search.best_params_["encoder__n_components"]
    inner = small(DVGEClassifier, encoder=make_pipeline(StandardScaler(), PCA(2))).set_params(
        encoder__pca__n_components=1
    )
    assert inner.fit(X, y, sensitive_features=s).in_features_ == 1


@both
def test_frames_keep_their_names(cls):
    """A column transformer selects by name; the sensitive column is found by name; no warning of names (warnings raise)."""
    frame = pd.DataFrame(rows()[0], columns=list("abcd")).assign(sex=(rows()[2] == "m").astype(float))
    encoder = make_column_transformer((StandardScaler(), ["b", "c"]))
    net = small(cls, encoder=encoder, sensitive_columns="sex").fit(frame, rows()[1])
    assert net.feature_names_in_.tolist() == net.encoder_.feature_names_in_.tolist() == [*"abcd", "sex"]
    assert net.groups_ == [(0.0,), (1.0,)]
    assert net.in_features_ == 2
    if cls is DVGETransformer:
        net.set_output(transform="pandas")
        found = net.transform(frame)
        assert (
            found.columns.tolist() == net.get_feature_names_out().tolist() == ["dvgetransformer0", "dvgetransformer1"]
        )
        np.testing.assert_allclose(found, StandardScaler().fit_transform(frame[["b", "c"]]), atol=1e-5)
        vae = small(cls, encoder=small(VAETransformer), sensitive_columns="sex").fit(frame, rows()[1])
        Z = vae.set_output(transform="pandas").transform(frame)
        assert vae.inverse_transform(Z).shape == frame.shape
        assert vae.perturb(Z.astype("float32")).shape == Z.shape
    else:
        assert net.predict(frame).shape == (120,)


# ---------------------------------------------------------------------- the transformer
def test_fit_transform_is_perturbed_and_transform_is_clean():
    X, y, s = rows()
    net = small(DVGETransformer, eta_sensitive=2.0, eta_task=0.3)
    moved = net.fit_transform(X, y, sensitive_features=s)
    clean = net.transform(X)
    assert moved.shape == clean.shape == (120, 3)
    assert np.array_equal(clean, net.encoder_.transform(np.float32(X)))
    assert np.array_equal(moved, net.perturb(clean))
    assert np.abs(moved - clean).max() > 1e-3
    assert (np.abs(moved - clean) <= 0.1 * np.abs(clean) + 1e-6).all()
    assert not hasattr(net, "predict")
    head = fitted(eta_sensitive=2.0, eta_task=0.3)
    assert same_weights(net, head)  # g is that of the classifier


def test_a_pipeline_trains_on_perturbed_codes_and_predicts_from_clean_ones(routing):
    X, y, s = rows()
    codes = small(DVGETransformer, eta_sensitive=2.0)
    pipeline = make_pipeline(StandardScaler(), codes, LogisticRegression()).fit(X, y, sensitive_features=s)
    scaled = StandardScaler().fit_transform(X)
    again = clone(codes)
    by_hand = LogisticRegression().fit(again.fit_transform(scaled, y, sensitive_features=s), y)
    assert np.array_equal(pipeline[-1].coef_, by_hand.coef_)
    assert np.array_equal(pipeline.predict_proba(X), by_hand.predict_proba(again.transform(scaled)))
    clean = LogisticRegression().fit(again.transform(scaled), y)
    assert np.abs(clean.coef_ - by_hand.coef_).max() > 1e-3


def test_codes_are_decoded_by_the_encoder():
    X = rows()[0]
    for encoder in (small(VAETransformer), PCA(4)):
        net = fitted(DVGETransformer, encoder=encoder)
        Z = net.transform(X)
        assert np.array_equal(net.inverse_transform(Z), net.encoder_.inverse_transform(Z))
    np.testing.assert_allclose(net.inverse_transform(Z), X, atol=1e-5)


@both
def test_samples_of_the_posterior(cls):
    """d and g are trained on the same sample; predictions are of means."""
    X, y, s = rows()
    encoder = frozen()
    net = small(cls, encoder=encoder, latent="sample", eta_sensitive=0.0).fit(X, y, sensitive_features=s)
    assert not same_weights(net, small(cls, encoder=encoder, eta_sensitive=0.0).fit(X, y, sensitive_features=s))
    Z = net.network_inputs(X, training=True)
    clean = encoder.transform(X)
    assert np.abs(Z - clean).max() > 0.1
    assert np.array_equal(Z, net.network_inputs(X, training=True))
    assert np.array_equal(net.network_inputs(X), clean)
    plain = small(ERMClassifier).fit(Z, y)
    assert same_weights(net, plain)
    assert same_weights(net.sensitive_net_, clone(net.sensitive_net_).fit(Z, (s == "m").astype(int)))
    if cls is DVGETransformer:
        again = small(cls, encoder=encoder, latent="sample", eta_sensitive=0.0)
        np.testing.assert_allclose(again.fit_transform(X, y, sensitive_features=s), Z, atol=1e-6)
        assert np.array_equal(net.transform(X), clean)


# ---------------------------------------------------------------------- searches, copies, errors
def test_encoder_and_d_are_trained_once_per_split_and_seed_in_a_search(monkeypatch):
    X, y, s = rows(90)
    encoders, stages = counted(monkeypatch, VAETransformer), counted(monkeypatch, ERMClassifier)
    grid = {"eta_sensitive": [0.0, 0.5, 2.0], "eta_task": [0.0, 0.5]}
    search = FrontierSearchCV(small(DVGEClassifier), grid, cv=3, seeds=2, refit=False, models="best")
    search.fit(X, y, sensitive_features=s)
    assert (len(encoders), len(stages)) == (3 * 2, 3 * 2)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_frozen_encoder_in_a_search(monkeypatch):
    X, y, s = rows()
    encoder, calls = frozen(), counted(monkeypatch, VAETransformer)
    net = small(DVGEClassifier, encoder=encoder, clip=None, explain="neg_logit")
    search = FrontierSearchCV(net, {"eta_sensitive": [0.0, 5.0]}, cv=2, scoring="accuracy").fit(
        X, y, sensitive_features=s
    )
    assert not calls
    assert search.best_estimator_.encoder_.estimator is encoder.estimator
    train = np.arange(120) % 2 == 0
    one, two = (clone(net).set_params(eta_sensitive=eta).fit(X[train], y[train], sensitive_features=s[train])
                for eta in (0.0, 5.0))  # fmt: skip
    assert not same_weights(one, two)


@both
def test_copies_are_whole(cls):
    X, y, s = rows()
    net = fitted(cls, latent="sample")
    for twin in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        Z = net.encoder_.transform(np.float32(X))
        assert np.array_equal(twin.perturb(Z), net.perturb(Z))
        assert np.array_equal(twin.network_inputs(X), net.network_inputs(X))
        assert same_weights(twin.encoder_, net.encoder_)
        twin.partial_fit(X, y, sensitive_features=s)
        assert same_weights(twin, copy.deepcopy(net).partial_fit(X, y, sensitive_features=s))


@both
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(eta_sensitive=-0.1), "eta_sensitive must be a number >= 0, got -0.1"),
        (dict(eta_task="much"), "eta_task must be a number >= 0, got 'much'"),
        (dict(clip=-1), "clip must be a number >= 0, got -1"),
        (dict(clip="none"), "clip must be a number >= 0, got 'none'"),
        (dict(explain="saliency"), "explain must be one of.*'neg_logit'.*got 'saliency'"),
        (dict(latent="mode"), "latent must be one of.*'sample'.*got 'mode'"),
        (dict(sensitive_epochs=0), "sensitive_epochs must be an integer >= 1, got 0"),
        (dict(sensitive_lr=0), "sensitive_lr must be a number > 0, got 0"),
        (dict(encoder="vae"), "encoder must be a transformer.*got 'vae'"),
        (dict(encoder=LogisticRegression()), "encoder must be a transformer.*got LogisticRegression"),
        (dict(encoder=VAETransformer), "encoder must be a transformer.*VAETransformer"),
        (dict(encoder=PCA(2), latent="sample"), "latent='sample' needs an encoder with a posterior, got PCA"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_parameters(cls, parameters, message, monkeypatch):
    monkeypatch.setattr(cls, "fit_stage", lambda *args, **given: pytest.fail("the encoder was trained"))
    with pytest.raises(ValueError, match=message):
        fitted(cls, **parameters)


@both
def test_labels_and_groups_are_checked_before_the_encoder_is_trained(cls, monkeypatch):
    monkeypatch.setattr(cls, "fit_stage", lambda *args, **given: pytest.fail("the encoder was trained"))
    X, y, s = rows()
    with pytest.raises(ValueError, match="requires y to be passed"):
        small(cls).fit(X, sensitive_features=s)
    with pytest.raises(ValueError, match="needs sensitive_features"):
        small(cls).fit(X, y)
    with pytest.raises(ValueError, match="at least two classes.*one class only: 1"):
        fitted(cls, y=np.ones(120, dtype=int))
    with pytest.raises(ValueError, match="at least 2 groups.*'f'"):
        fitted(cls, s=["f"] * 120)


@both
def test_nothing_is_moved_or_decoded_before_fit(cls):
    methods = ("perturb", "inverse_transform") if cls is DVGETransformer else ("perturb",)
    for method in methods:
        with pytest.raises(NotFittedError, match=f"{cls.__name__} instance is not fitted yet"):
            getattr(small(cls), method)(np.zeros((2, 3)))


def test_labels_of_any_type_and_three_classes():
    X, y, s = rows(200)
    words = np.array(["high", "low", "mid"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    net = small(DVGEClassifier, encoder=AS_IT_IS, eta_task=0.3, max_epochs=10).fit(X, words, sensitive_features=s)
    assert net.classes_.tolist() == ["high", "low", "mid"]
    assert net.score(X, words) > 0.6


def test_codes_lose_the_group_and_keep_the_label():
    """A toy: one column tells the label, one the group; without the clip a strong perturbation hides the group from d."""
    X, y, s = rows(600)
    found = []
    for eta in (0.0, 1.0):
        net = small(DVGEClassifier, encoder=AS_IT_IS, eta_sensitive=eta, clip=None, explain="neg_logit", max_epochs=8,
                    sensitive_epochs=8).fit(X, y, sensitive_features=s)  # fmt: skip
        read = net.sensitive_net_.predict(net.perturb(X)) == (s == "m")
        found.append((read.mean(), net.score(X, y)))
    assert found[1][0] < found[0][0] - 0.1
    assert found[1][1] > 0.8


def test_held_out_rows_are_judged_by_their_clean_codes():
    from skfair._data import Batch

    X, y, _ = rows()
    net = fitted(encoder=AS_IT_IS, eta_sensitive=2.0, clip=None)
    weight = torch.linspace(0.2, 2.5, 8)
    x, y = torch.as_tensor(X[:8], dtype=torch.float32), torch.from_numpy(y[:8])
    net._set_training(False)
    expected = (weight * torch.nn.functional.cross_entropy(net.module_(x), y, reduction="none")).mean().item()
    assert net.objective(net.infer(x), Batch(x, y, None, None, weight, None)).item() == pytest.approx(
        expected, rel=1e-6
    )
