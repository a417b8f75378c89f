"""Representation neutralisation: pairs, the loss by hand, frozen encoder, annotations, more than two groups."""

import numpy as np
import pytest
import torch
from common import quick, rows, same_weights, small, toy, weights_of
from sklearn.base import clone
from torch import nn

from skfair._data import Batch
from skfair.functional import pick
from skfair.representation import ProxyAnnotator, RNFClassifier
from skfair.representation._rnf import LAMBDAS, partner


def fitted(n=80, **parameters):
    X, y, s = rows(n)
    return small(RNFClassifier, teacher_epochs=2, **parameters).fit(X, y, sensitive_features=s), X, y, s


# ---------------------------------------------------------------------- pairs
@pytest.mark.parametrize("seed", range(5))
def test_partner_has_the_same_label_and_another_group(seed):
    rng = np.random.default_rng(seed)
    y, group = torch.tensor(rng.integers(0, 2, 64)), torch.tensor(rng.integers(0, 2, 64))
    j = partner(y, group, torch.ones(64), torch.tensor(rng.random(64, dtype=np.float32)))
    assert (y[j] == y).all()
    assert (group[j] != group).all()


def test_every_partner_is_drawn_equally_often():
    y, group = torch.zeros(5, dtype=torch.int64), torch.tensor([0, 1, 1, 1, 1])
    drawn = [int(partner(y, group, torch.ones(5), torch.full((5,), u))[0]) for u in np.linspace(0, 0.999, 400)]
    assert np.bincount(drawn, minlength=5).tolist() == [0, 100, 100, 100, 100]


@pytest.mark.parametrize(
    ("y", "group"), [([0, 0, 0], [1, 1, 1]), ([0, 1], [0, 1]), ([1], [0])], ids=["one group", "alone", "one row"]
)
def test_without_a_partner_one_of_the_same_label(y, group):
    y, group = torch.tensor(y), torch.tensor(group)
    j = partner(y, group, torch.ones(len(y)), torch.rand(len(y), generator=torch.Generator().manual_seed(0)))
    assert (y[j] == y).all()


def test_pick_never_leaves_the_allowed_columns():
    allowed = torch.tensor([[1.0, 0.0, 1.0, 1.0]])
    for u, column in ((0.0, 0), (0.34, 2), (0.67, 3), (0.99999994, 3)):
        index, found = pick(allowed, torch.tensor([u]))
        assert (index.item(), found.item()) == (column, True)


# ---------------------------------------------------------------------- the loss
def batch_of(net, X, y, s, draw):
    codes, group = np.searchsorted(net.classes_, y), (s == "m").astype(int)
    given = [torch.as_tensor(a) for a in (codes, group[:, None], group, np.ones(len(y), np.float32), np.arange(len(y)))]
    return Batch(torch.as_tensor(X, dtype=torch.float32), *given, draw=torch.as_tensor(draw))


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_by_hand(reduction):
    net, X, y, s = fitted(
        alpha=0.3, temperature=3.0, teacher_mode="eval", smooth_reduction=reduction, module__dropout=0.0
    )
    batch = batch_of(net, X[:6], y[:6], s[:6], np.linspace(0, 0.9, 6, dtype=np.float32)[:, None])
    net.module_.train()
    output = net.infer(batch.x)
    z = net.module_.encoder(batch.x).detach()
    p = softmax(net.teacher_.module_(batch.x).detach().numpy() / 3.0)
    j = partner(batch.y, batch.group, batch.weight, batch.draw[:, 0]).numpy()

    def head(code):
        return softmax(net.module_.head(code).detach().numpy())

    q = head((z + z[j]) / 2)
    neutral = ((q - (p + p[j]) / 2) ** 2).mean()
    smooth = sum(np.abs(head(lam * z + (1 - lam) * z[j]) - q).sum(1) for lam in LAMBDAS)
    expected = neutral + 0.3 * (smooth.mean() if reduction == "mean" else smooth.sum())
    assert net.objective(output, batch).item() == pytest.approx(expected, rel=1e-5)


def test_alpha_under_sum_is_that_under_mean_times_the_batch():
    X, y, s = rows(128)
    nets = [
        small(
            RNFClassifier, alpha=alpha, smooth_reduction=reduction, batch_size=32, teacher_epochs=2, module__dropout=0.0
        ).fit(X, y, sensitive_features=s)
        for alpha, reduction in ((0.01, "sum"), (0.32, "mean"))
    ]
    for a, b in zip(*map(weights_of, nets)):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_head_that_is_the_teachers_has_no_loss_on_itself():
    net, X, y, s = fitted(
        alpha=1.0,
        temperature=1.0,
        head_init="teacher",
        teacher_mode="eval",
        module__dropout=0.0,
        max_epochs=1,
        lr=1e-12,
    )
    one = np.zeros(1, dtype=int)  # a batch of one row is its own partner
    batch = batch_of(net, X[one], y[one], s[one], np.zeros((1, 1), np.float32))
    net.module_.train()
    assert net.objective(net.infer(batch.x), batch).item() == pytest.approx(0, abs=1e-6)


# ---------------------------------------------------------------------- stages
def test_encoder_is_the_teachers_and_the_head_is_new():
    net, *_ = fitted()
    for own, teachers in zip(net.module_.encoder.parameters(), net.teacher_.module_.encoder.parameters()):
        assert torch.equal(own, teachers)
    first = [next(module.head.parameters()) for module in (net.module_, net.teacher_.module_)]
    assert not torch.allclose(*first)


def test_fit_twice_is_the_same_and_labels_do_not_matter():
    net, X, y, s = fitted()
    assert same_weights(net, clone(net).fit(X, y, sensitive_features=s))
    words = clone(net).fit(X, np.array(["no", "yes"])[y], sensitive_features=s)
    assert (words.predict(X) == np.array(["no", "yes"])[net.predict(X)]).all()


def test_held_out_rows_are_watched():
    net, *_ = fitted(early_stopping=True, max_epochs=6)
    assert len(net.history[:, "valid_loss"]) >= 1


def test_partial_fit_keeps_the_teacher():
    net, X, y, s = fitted()
    teacher, before = net.teacher_, [weight.copy() for weight in weights_of(net)]
    net.partial_fit(X, y, sensitive_features=s)
    assert net.teacher_ is teacher
    assert any((a != b).any() for a, b in zip(before, weights_of(net)))


def test_module_without_encoder_is_refused():
    X, y, s = rows()
    with pytest.raises(ValueError, match="encoder and a head"):
        small(RNFClassifier, module=nn.Linear(4, 2), teacher_epochs=1).fit(X, y, sensitive_features=s)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(alpha=-1), "alpha"), (dict(temperature=0.5), "temperature"), (dict(annotations="guess"), "annotations"),
        (dict(head_init="old"), "head_init"), (dict(teacher_mode="off"), "teacher_mode"),
        (dict(smooth_reduction="max"), "smooth_reduction"), (dict(teacher_epochs=0), "teacher_epochs"),
        (dict(annotations=[0, 1]), "annotations has the shape"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_bad_parameters(parameters, message):
    X, y, s = rows()
    with pytest.raises(ValueError, match=message):
        small(RNFClassifier, **parameters).fit(X, y, sensitive_features=s)


# ---------------------------------------------------------------------- annotations
def test_given_groups_are_needed_only_where_they_are_used():
    X, y, _ = rows()
    with pytest.raises(ValueError, match="sensitive_features"):
        small(RNFClassifier).fit(X, y)
    for annotations in ("proxy", "random", ProxyAnnotator(q=0.5, max_epochs=1), np.arange(len(y)) % 2):
        net = small(RNFClassifier, annotations=annotations, teacher_epochs=1).fit(X, y)
        assert net.groups_ is None
        assert net.predict(X).shape == y.shape


def test_an_array_of_annotations_equals_the_groups_given():
    net, X, y, s = fitted()
    other = small(RNFClassifier, teacher_epochs=2, annotations=s).fit(X, y)
    assert same_weights(net, other)


def test_random_annotations_have_a_stream_of_their_own():
    X, y, s = rows()
    nets = [
        small(RNFClassifier, teacher_epochs=1, annotations=a).fit(X, y, sensitive_features=s)
        for a in ("random", "given")
    ]
    assert same_weights(nets[0].teacher_, nets[1].teacher_)


def test_more_than_two_groups():
    X, y, _ = rows(200)
    s = np.arange(200) % 3
    net = small(RNFClassifier, alpha=0.5, teacher_epochs=2).fit(X, y, sensitive_features=s)
    assert net.n_draws == 6
    assert np.isfinite(net.history[:, "train_loss"]).all()
    assert net.predict_proba(X).shape == (200, 2)


def test_more_groups_by_hand():
    X, y, _ = rows(60)
    net = small(RNFClassifier, alpha=0.2, teacher_epochs=1, teacher_mode="eval", module__dropout=0.0)
    net.fit(X, y, sensitive_features=np.arange(60) % 3)
    labels, group = torch.zeros(3, dtype=torch.int64), torch.tensor([0, 2, 0])  # group 1 is not in the batch
    draw = torch.tensor([[0.0, 0.5, 0.0, 0.2, 0.9, 0.6]] * 3)
    x = torch.as_tensor(X[:3], dtype=torch.float32)
    net.module_.train()
    z, teacher = net.infer(x)
    p = torch.softmax(teacher / net.temperature, -1)
    mean, mean_p, (mixture,) = net._all_groups(z, p, Batch(x, labels, None, group, torch.ones(3), None, draw))
    torch.testing.assert_close(mean, ((z[0] + z[1]) / 2).expand(3, -1))
    torch.testing.assert_close(mean_p, ((p[0] + p[1]) / 2).expand(3, -1))
    torch.testing.assert_close(mixture, ((0.2 * z[0] + 0.6 * z[1]) / 0.8).expand(3, -1))


def test_neutralising_moves_the_group_less():
    X, y, s = toy(2000, correlation=0.9)
    spread = []
    for alpha in (0.0, 0.3):
        net = quick(RNFClassifier, alpha=alpha, sensitive_columns=None, max_epochs=8, teacher_epochs=8)
        p = net.fit(X, y, sensitive_features=s).predict_proba(X)[:, 1]
        spread.append(np.mean([abs(p[(y == c) & (s == 1)].mean() - p[(y == c) & (s == 0)].mean()) for c in (0, 1)]))
        assert (net.predict(X) == y).mean() > 0.75  # not by a constant
    assert spread[1] < 0.8 * spread[0]


def test_images_and_a_frozen_batch_norm():
    from skfair.datasets import make_colored_digits

    data = make_colored_digits(40, image_size=8, random_state=0)
    net = RNFClassifier(
        module=Convolutions, teacher_epochs=1, max_epochs=2, batch_size=16, random_state=0, device="cpu"
    ).fit(data.images, data.target, sensitive_features=data.sensitive_features)
    own, teachers = net.module_.encoder.state_dict(), net.teacher_.module_.encoder.state_dict()
    assert all(torch.equal(own[name], teachers[name]) for name in own)  # the running statistics as well
    assert net.predict_proba(data.images).shape == (40, 2)


class Convolutions(nn.Module):
    def __init__(self, out_features):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head = nn.Linear(4, out_features)

    def forward(self, x):
        return self.head(self.encoder(x))


def test_one_teacher_per_split_and_seed_in_a_search(monkeypatch):
    from skfair.model_selection import FrontierSearchCV

    X, y, s = rows(90)
    calls, prepare = [], RNFClassifier.prepare
    monkeypatch.setattr(RNFClassifier, "prepare", lambda self, *a, **k: calls.append(1) or prepare(self, *a, **k))
    net = small(RNFClassifier, annotations="proxy", teacher_epochs=1)
    search = FrontierSearchCV(net, {"alpha": [0.0, 0.1, 0.2, 0.3]}, cv=3, seeds=2, refit=False, models="best")
    search.fit(X, y)
    assert len(calls) == 3 * 2
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_too_large_an_alpha_ends_in_a_constant():
    """Its gaps are 0: only a look at the accuracy of each label tells."""
    X, y, s = toy(600)
    y = (y * (np.arange(600) % 3 > 0)).astype(int)  # a majority
    net = quick(RNFClassifier, alpha=1e3, sensitive_columns=None, max_epochs=10).fit(X, y, sensitive_features=s)
    assert (net.predict(X) == 0).all()
    mild = quick(RNFClassifier, alpha=1e-3, sensitive_columns=None, max_epochs=10).fit(X, y, sensitive_features=s)
    assert min((mild.predict(X) == y)[y == label].mean() for label in (0, 1)) > 0.3


def test_the_seed_decides_the_annotator_too():
    X, y, _ = rows()
    net = small(RNFClassifier, annotations=ProxyAnnotator(max_epochs=2), teacher_epochs=1)
    nets = [clone(net).fit(X, y) for _ in range(2)]
    assert same_weights(nets[0].annotator_, nets[1].annotator_)
    assert same_weights(*nets)
    assert net.annotations.random_state is None  # what is given stays as it is


def test_annotations_are_checked_before_the_teacher_is_trained(monkeypatch):
    monkeypatch.setattr(RNFClassifier, "stage", lambda *args, **kwargs: pytest.fail("a stage was begun"))
    X, y, _ = rows()
    with pytest.raises(ValueError, match="annotations has the shape"):
        small(RNFClassifier, annotations=[0, 1]).fit(X, y)


def test_later_rows_may_lack_a_group():
    X, y, _ = rows(90)
    s = np.arange(90) % 3
    net = small(RNFClassifier, teacher_epochs=1).fit(X, y, sensitive_features=s)
    net.partial_fit(X[s < 2], y[s < 2], sensitive_features=s[s < 2])
    assert (net.n_annotations_, net.n_draws) == (3, 6)


# ---------------------------------------------------------------------- what the head is trained on
def weighted(net, X, y, s, n=12):
    draw = np.linspace(0, 0.95, n, dtype=np.float32)[:, None]
    weight = torch.linspace(0.2, 2.5, n)
    return batch_of(net, X[:n], y[:n], s[:n], draw)._replace(weight=weight)


def test_the_loss_counts_rows_by_their_weights():
    net, X, y, s = fitted(alpha=0.3, temperature=3.0, teacher_mode="eval", module__dropout=0.0)
    batch = weighted(net, X, y, s)
    net.module_.train()
    z, teacher = net.infer(batch.x)
    p, head = torch.softmax(teacher / 3, 1), lambda code: torch.softmax(net.module_.head(code), 1)
    j = partner(batch.y, batch.group, batch.weight, batch.draw[:, 0])
    q = head((z + z[j]) / 2)
    neutral = (q - (p + p[j]) / 2).square().mean(1)
    smooth = sum((head(lam * z + (1 - lam) * z[j]) - q).abs().sum(1) for lam in LAMBDAS)
    expected = (batch.weight * (neutral + 0.3 * smooth)).mean().item()
    assert net.objective((z, teacher), batch).item() == pytest.approx(expected, rel=1e-5)


def test_partners_are_drawn_by_weight():
    y, group, weight = torch.zeros(4, dtype=torch.int64), torch.tensor([0, 1, 1, 1]), torch.tensor([1.0, 1.0, 3.0, 0.0])
    drawn = [int(partner(y, group, weight, torch.full((4,), u))[0]) for u in np.linspace(0, 0.999, 400)]
    assert np.bincount(drawn, minlength=4).tolist() == [0, 100, 300, 0]
    alone = partner(y, torch.zeros(4, dtype=torch.int64), torch.tensor([0.0, 0.0, 1.0, 0.0]), torch.rand(4))
    assert alone.tolist() == [2, 2, 2, 2]


def test_rows_of_more_groups_have_the_label_of_the_row():
    X, y, _ = rows(60)
    net = small(RNFClassifier, teacher_epochs=1).fit(X, y, sensitive_features=np.arange(60) % 3)
    labels, group = torch.tensor([0, 1, 0, 1, 1]), torch.tensor([0, 0, 1, 1, 2])
    z, draw = torch.eye(5), torch.full((5, 6), 0.5)
    mean, mean_p, (mixture,) = net._all_groups(z, z, Batch(None, labels, None, group, torch.ones(5), None, draw))
    for found in (mean, mean_p, mixture):
        torch.testing.assert_close(found[0], torch.tensor([0.5, 0, 0.5, 0, 0]))
        torch.testing.assert_close(found[1], torch.tensor([0, 1.0, 0, 1, 1]) / 3)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_codes_and_targets_carry_the_teachers_dropout_in_training_if_wanted(mode):
    net, X, *_ = fitted(teacher_mode=mode, module__dropout=0.5)
    x = torch.as_tensor(X, dtype=torch.float32)
    for training in (True, False):
        net._set_training(training)
        codes, logits = zip(*(net.infer(x) for _ in range(2)))
        noisy = training and mode == "train"
        assert torch.equal(*codes) is not noisy
        assert torch.equal(*logits) is not noisy
        assert torch.equal(net.teacher_.module_.head(codes[0]), logits[0]) is not noisy


def test_teacher_and_annotator_are_trained_for_the_teachers_epochs():
    X, y, _ = rows()
    net = small(RNFClassifier, annotations="proxy", teacher_epochs=3, max_epochs=1).fit(X, y)
    assert [len(stage.history) for stage in (net.teacher_, net.annotator_, net)] == [3, 3, 1]
