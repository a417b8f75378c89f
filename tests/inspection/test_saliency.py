"""Attributions by hand: integrated gradients, GradCAM, the share on proxies, displays before and after a trigger."""

import builtins
import copy
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from common import Net, rows, small
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from torch import nn

from skfair.inspection import SaliencyDisplay, attribution_mass, saliency
from skfair.reprogramming import ReprogrammedClassifier
from skfair.robust import ERMClassifier

mpl.use("Agg")
pytest.importorskip("captum")


class Small(nn.Module):
    """Two convolutions for images of 1 x 8 x 8 pixels."""

    def __init__(self, out_features=2):
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3)
        self.second = nn.Conv2d(3, 2, 3)
        self.head = nn.Linear(32, out_features)

    def forward(self, x):
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))).flatten(1))


def pictures(n=40, seed=0):
    rng = np.random.default_rng(seed)
    y, s = np.arange(n) % 2, np.where(np.arange(n) % 3 == 0, "f", "m")
    return (0.3 * rng.random((n, 1, 8, 8)) + 0.5 * y[:, None, None, None]).astype(np.float32), y, s


@pytest.fixture(scope="module")
def net():
    X, y, _ = rows()
    return small(ERMClassifier, max_epochs=5).fit(X, y)


@pytest.fixture(scope="module")
def reprogrammed(net):
    X, y, s = rows()
    made = small(ReprogrammedClassifier, estimator=net, trigger__init="normal").fit(X, y, sensitive_features=s)
    assert not np.allclose(made.apply_trigger(X), X)
    return made


@pytest.fixture(scope="module")
def seeing():
    X, y, s = pictures()
    base = small(ERMClassifier, module=Small, max_epochs=3).fit(X, y)
    net = small(ReprogrammedClassifier, estimator=base, trigger__size=2, trigger__corner="bottom_right")
    return base, net.fit(X, y, sensitive_features=s)


def logits(net, X):
    return net.outputs(X).numpy()


# ---------------------------------------------------------------------- integrated gradients
def test_attributions_sum_to_the_difference_of_logits(net):
    X, start = rows()[0][:30], np.zeros((1, 4))
    for target in (0, 1, np.arange(30) % 2):
        found = saliency(net, X, target=target, n_steps=200)
        assert found.shape == (30, 4)
        assert found.dtype == np.float64
        column = np.broadcast_to(target, 30)
        difference = logits(net, X)[np.arange(30), column] - logits(net, start)[0, column]
        assert np.allclose(found.sum(1), difference, atol=0.05)
        assert np.abs(difference).max() > 0.5


def test_a_baseline_of_the_user(net):
    X = rows()[0][:30]
    mean = X.mean(0)
    found = saliency(net, X, target=1, baseline=mean, n_steps=200)
    assert np.allclose(found.sum(1), logits(net, X)[:, 1] - logits(net, mean[None])[0, 1], atol=0.05)
    assert np.allclose(saliency(net, X[:1], baseline=X[0]), 0, atol=1e-7)
    assert not np.allclose(found, saliency(net, X, target=1), atol=0.01)


def test_a_linear_network_by_hand():
    module = nn.Linear(4, 3)
    X = rows()[0]
    weight = module.weight.detach().numpy()
    for target in range(3):
        assert np.allclose(saliency(module, X, target=target), X * weight[target], atol=1e-5)
        moved = saliency(module, X, target=target, baseline=2.0)
        assert np.allclose(moved, (X - 2) * weight[target], atol=1e-5)
    best = module(torch.tensor(X, dtype=torch.float32)).argmax(1).numpy()
    assert np.allclose(saliency(module, X), X * weight[best], atol=1e-5)  # the class that is predicted


def test_a_single_output_is_the_logit_of_the_second_class():
    module = nn.Linear(4, 1)
    X, weight = rows()[0], module.weight.detach().numpy()[0]
    assert np.allclose(saliency(module, X, target=1), X * weight, atol=1e-5)
    assert np.abs(saliency(module, X, target=0)).max() == 0


def test_the_network_is_left_as_it_is(net, reprogrammed):
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2)).train()
    before = copy.deepcopy(module.state_dict())
    one, two = saliency(module, rows()[0]), saliency(module, rows()[0])
    assert np.array_equal(one, two)  # no dropout
    assert module.training
    assert all(p.requires_grad and p.grad is None for p in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    for fitted in (net, reprogrammed):
        before = copy.deepcopy(fitted.module_.state_dict())
        saliency(fitted, rows()[0])
        assert all(torch.equal(value, before[name]) for name, value in fitted.module_.state_dict().items())


def test_the_rows_of_a_reprogrammed_net_are_those_before_the_trigger(net, reprogrammed):
    X = rows()[0][:30]
    found = saliency(reprogrammed, X, target=1, n_steps=200)
    difference = logits(reprogrammed, X)[:, 1] - logits(reprogrammed, np.zeros((1, 4)))[0, 1]
    assert np.allclose(found.sum(1), difference, atol=0.03)
    dropped = reprogrammed.trigger_.mask().detach().numpy() == 0
    assert 0 < dropped.sum() < 4
    assert np.abs(found[:, dropped]).max() == 0  # what is dropped has no influence
    assert np.abs(found[:, ~dropped]).max() > 0.1


def test_kinds_of_estimators_and_rows(net):
    X, y, _ = rows()
    told = saliency(net, X)
    assert np.array_equal(saliency(FrozenEstimator(net), X), told)
    assert np.array_equal(saliency(net, X.tolist()), told)
    assert np.allclose(saliency(net.module_, X), told, atol=1e-5)
    frame = pd.DataFrame(X, columns=list("abcd"))
    named = small(ERMClassifier, max_epochs=5).fit(frame, y)
    assert np.array_equal(saliency(named, frame), told)
    skorch = NeuralNetClassifier(
        Net, criterion=nn.CrossEntropyLoss, max_epochs=1, verbose=0, train_split=None, device="cpu"
    ).fit(X.astype(np.float32), y)
    assert saliency(skorch, X).shape == (120, 4)


def test_sparse_rows(net):
    X = np.where(np.abs(rows()[0]) > 0.7, rows()[0], 0)
    assert np.array_equal(saliency(net, sp.csr_matrix(X)), saliency(net, X))


def test_errors(net):
    X, y, _ = rows()
    with pytest.raises(ValueError, match="method must be one of.*'gradcam'.*got 'lime'"):
        saliency(net, X, method="lime")
    with pytest.raises(ValueError, match="n_steps must be an integer >= 1, got 0"):
        saliency(net, X, n_steps=0)
    with pytest.raises(ValueError, match="saliency needs a network, got HistGradientBoostingClassifier"):
        saliency(HistGradientBoostingClassifier(max_iter=2).fit(X, y), X)
    with pytest.raises(NotFittedError):
        saliency(small(ERMClassifier), X)
    with pytest.raises(ValueError, match="method='gradcam' needs a convolution, but MLP has none"):
        saliency(net, X, method="gradcam")
    with pytest.raises(ValueError, match="X has 3 features"):
        saliency(net, X[:, :3])


def test_without_captum(net, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.split(".")[0] == "captum":
            raise ImportError("no captum here")
        return real(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.split(".")[0] == "captum"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"saliency needs captum: pip install 'skfair\[saliency\]'"):
        saliency(net, rows()[0])


# ---------------------------------------------------------------------- GradCAM
def gradcam_by_hand(module, x, target, layer):
    x, kept = torch.tensor(x), {}
    handle = layer.register_forward_hook(lambda part, given, output: kept.update(maps=output))
    output = module(x)
    handle.remove()
    maps = kept["maps"]
    alpha = torch.autograd.grad(output[:, target].sum(), maps)[0].mean((2, 3), keepdim=True)
    found = torch.relu((alpha * maps).sum(1, keepdim=True))
    return nn.functional.interpolate(found, x.shape[-2:], mode="bilinear", align_corners=False)[:, 0].detach().numpy()


def seeing_something(target):
    """A network whose maps speak for the class: their gradients' means are positive."""
    torch.manual_seed(3)
    module = Small()
    with torch.no_grad():
        module.head.weight[target] += 0.1
        module.first.weight.abs_(), module.second.weight.abs_()
    return module, pictures(6)[0]


@pytest.mark.parametrize("target", [0, 1])
def test_gradcam_by_hand(target):
    module, X = seeing_something(target)
    for name in ("first", "second"):
        expected = gradcam_by_hand(module, X, target, getattr(module, name))
        found = saliency(module, X, target=target, layer=name)
        assert found.shape == (6, 8, 8)
        assert np.allclose(found, expected, atol=1e-6)
        assert found.min() >= 0
        assert found.max() > 0.001
    assert np.array_equal(found, saliency(module, X, target=target))  # the last convolution by default
    assert np.array_equal(found, saliency(module, X, target=target, method="gradcam"))


def test_a_layer_itself(seeing):
    """The network is copied; a layer of the user's network stands for its copy."""
    module, X = seeing_something(1)
    for name in ("first", "second"):
        layer = getattr(module, name)
        assert np.array_equal(saliency(module, X, target=1, layer=layer), saliency(module, X, target=1, layer=name))
    base, _ = seeing
    assert np.array_equal(saliency(base, X, layer=base.module_.first), saliency(base, X, layer="first"))


def test_a_layer_that_is_not_there(seeing):
    for net in seeing:
        with pytest.raises(ValueError, match=r"no layer 'third'; it has \['first', 'second', 'head'\]"):
            saliency(net, pictures(2)[0], layer="third")


def test_gradcam_of_a_reprogrammed_net_by_hand(seeing):
    base, net = seeing
    X = pictures(6)[0]
    given = net.apply_trigger(X).astype(np.float32)
    assert not np.allclose(given, X)
    for name in ("first", "second"):
        found = saliency(net, X, target=1, layer=name)
        assert np.allclose(found, gradcam_by_hand(base.module_, given, 1, getattr(base.module_, name)), atol=1e-6)


class Named(nn.Module):
    """The parts have names that wrappers have, too."""

    def __init__(self, out_features=2):
        super().__init__()
        self.module = nn.Conv2d(1, 2, 3)
        self.network = nn.Linear(72, out_features)

    def forward(self, x):
        return self.network(torch.relu(self.module(x)).flatten(1))


def test_parts_named_network_and_module():
    torch.manual_seed(0)
    module, X = Named(), pictures(6)[0]
    expected = gradcam_by_hand(module, X, 1, module.module)
    assert np.allclose(saliency(module, X, target=1), expected, atol=1e-6)
    assert np.allclose(saliency(module, X, target=1, layer="module"), expected, atol=1e-6)


def test_integrated_gradients_of_images():
    torch.manual_seed(0)
    module, X = Small(), pictures(6)[0]
    found = saliency(module, X, target=1, method="integrated_gradients", n_steps=200)
    with torch.no_grad():
        difference = (module(torch.tensor(X)) - module(torch.zeros(1, 1, 8, 8)))[:, 1].numpy()
    assert np.allclose(found.reshape(6, -1).sum(1), difference, atol=0.01)
    assert found.shape == (6, 8, 8)  # one per pixel, as documented


# ---------------------------------------------------------------------- the share on proxies
def test_attribution_mass_by_hand():
    a = np.array([[1.0, -3.0, 0.0], [0.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    assert attribution_mass(a, [0]) == pytest.approx((1 / 4 + 0) / 2)  # the row without attribution is left out
    assert attribution_mass(a, [1]) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert attribution_mass(a, [1, 2]) == pytest.approx((3 / 4 + 1) / 2)
    assert attribution_mass(a, [-1]) == attribution_mass(a, [2])
    assert attribution_mass(a, np.array([False, True, True])) == attribution_mass(a, [1, 2])
    assert attribution_mass(a, [True, False, True]) == attribution_mass(a, [0, 2])
    assert attribution_mass(a, range(3)) == 1
    assert attribution_mass(7 * a, [1]) == attribution_mass(a, [1])
    assert isinstance(attribution_mass(a, [0]), float)


def test_attribution_mass_without_any():
    assert np.isnan(attribution_mass(np.zeros((3, 2)), [0]))
    assert attribution_mass(np.ones((3, 2)), []) == 0
    assert attribution_mass(np.ones((3, 2)), [False, False]) == 0


def test_attribution_mass_of_pixels():
    maps, where = np.zeros((2, 4, 4)), np.zeros((4, 4), dtype=bool)
    where[:2, :2] = True
    maps[0, 0, 0], maps[0, 3, 3] = 1.0, -3.0
    maps[1, 1, 1] = 2.0
    assert attribution_mass(maps, where) == pytest.approx((1 / 4 + 1) / 2)
    with pytest.raises(ValueError, match=r"mask of shape \(3,\), but a row of attributions has \(4, 4\)"):
        attribution_mass(maps, np.array([True, False, True]))
    with pytest.raises(ValueError, match=r"mask of shape \(2,\), but a row of attributions has \(3,\)"):
        attribution_mass(np.ones((5, 3)), [True, False])


# ---------------------------------------------------------------------- the display
def labels_of(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_display_of_a_table(net, reprogrammed):
    X = rows()[0]
    display = SaliencyDisplay.from_reprogrammed(reprogrammed, X, target=1)
    assert np.array_equal(display.attributions["before"], saliency(net, X, target=1))
    assert np.array_equal(display.attributions["after"], saliency(reprogrammed, X, target=1))
    ax = display.ax_
    assert ax.get_figure() is display.figure_
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["before", "after"]
    assert ax.get_xlabel() == "share of attribution"
    widths = np.array([bar.get_width() for bar in ax.patches]).reshape(2, 4)
    assert np.allclose(widths.sum(1), 1)
    size = np.abs(display.attributions["before"]).mean(0)
    order = [int(label[1:]) for label in labels_of(ax)]
    assert sorted(order) == [0, 1, 2, 3]
    assert np.allclose(widths[0], (size / size.sum())[order])
    assert np.array_equal(widths.max(0), -np.sort(-widths.max(0)))  # the largest first


def test_display_of_columns_with_names(net):
    X, y, _ = rows()
    named = small(ERMClassifier).fit(pd.DataFrame(X, columns=list("abcd")), y)
    display = SaliencyDisplay.from_estimators({"net": named}, pd.DataFrame(X, columns=list("abcd")), n_columns=2)
    assert len(labels_of(display.ax_)) == 2
    assert set(labels_of(display.ax_)) < set("abcd")
    told = {"net": saliency(net, X)}
    for names in (list("abcd"), tuple("abcd"), np.array(list("abcd")), pd.Index(list("abcd"))):
        assert set(labels_of(SaliencyDisplay(told, feature_names=names).plot().ax_)) == set("abcd")


def test_display_of_images(seeing):
    base, net = seeing
    X = pictures(10)[0]
    display = SaliencyDisplay.from_reprogrammed(net, X, n_images=3)
    assert display.ax_.shape == (2, 3)
    assert display.attributions["after"].shape == (3, 8, 8)
    assert np.allclose(display.inputs["before"], X[:3])
    assert np.allclose(display.inputs["after"], net.apply_trigger(X[:3]))
    shown = display.ax_[1, 2].get_images()[0].get_array()
    assert np.allclose(shown, net.apply_trigger(X[:3])[2, 0].clip(0, 1))
    assert [display.ax_[i, 0].get_ylabel() for i in range(2)] == ["before", "after"]
    colours = np.repeat(X, 3, axis=1)
    other = SaliencyDisplay({"a": np.ones((2, 8, 8))}, {"a": colours[:2]}).plot()
    assert other.ax_[0, 0].get_images()[0].get_array().shape == (8, 8, 3)


def test_display_of_maps_without_images():
    """``inputs`` is optional."""
    display = SaliencyDisplay({"a": np.ones((2, 8, 8))}).plot()
    assert display.ax_.shape == (1, 2)
