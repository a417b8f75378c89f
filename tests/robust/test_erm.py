import numpy as np
import torch
from common import same_weights, toy

from skfair.modules import MLP
from skfair.robust import ERMClassifier


def test_it_is_the_loop_one_would_write_by_hand():
    """The same start, the same batches, the same optimizer: the same weights, but for rounding."""
    X, y, _ = toy(256)
    net = ERMClassifier(module__dropout=0.0, batch_size=64, shuffle=False, max_epochs=3, random_state=0).fit(X, y)

    start = ERMClassifier(module__dropout=0.0, max_epochs=1, random_state=0, lr=1e-30, shuffle=False).fit(X, y)
    hand = MLP(5, 2, dropout=0.0)
    hand.load_state_dict(start.module_.state_dict())
    optimizer = torch.optim.Adam(hand.parameters(), lr=1e-3)
    X_t, y_t = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(3):
        for i in range(0, 256, 64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(hand(X_t[i : i + 64]), y_t[i : i + 64]).backward()
            optimizer.step()
    for a, b in zip(net.module_.parameters(), hand.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-5)


def test_sensitive_features_change_nothing():
    X, y, s = toy(200)
    plain = ERMClassifier(max_epochs=2, random_state=0).fit(X, y)
    given = ERMClassifier(max_epochs=2, random_state=0).fit(
        X, y, sensitive_features=np.random.default_rng(0).permutation(s)
    )
    assert same_weights(plain, given)


def test_selection_by_a_fairness_metric_uses_them():
    X, y, s = toy(400)
    net = ERMClassifier(max_epochs=4, early_stopping="equalized_odds_difference", patience=None, random_state=0)
    net.fit(X, y, sensitive_features=s)
    assert max(net.history[:, "valid_score"]) <= 0  # a gap, negated


def test_a_metric_by_name_works_with_labels_of_any_kind():
    X, y, s = toy(400)
    parameters = dict(max_epochs=3, early_stopping="equal_opportunity_difference", patience=None, random_state=0)
    numbers = ERMClassifier(**parameters).fit(X, y, sensitive_features=s)
    words = ERMClassifier(**parameters).fit(X, np.array(["bad", "good"])[y], sensitive_features=s)
    assert numbers.history[:, "valid_score"] == words.history[:, "valid_score"]


def test_early_stopping_takes_numpy_booleans():
    """A grid search over an array of booleans hands out np.True_ and np.False_."""
    X, y, _ = toy(200)
    parameters = dict(max_epochs=3, random_state=0)
    for stop in (True, False):
        plain = ERMClassifier(early_stopping=stop, **parameters).fit(X, y)
        assert same_weights(plain, ERMClassifier(early_stopping=np.bool_(stop), **parameters).fit(X, y))
