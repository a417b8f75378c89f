"""How well groups are read from codes: the columns by hand, and what happens as the perturbation grows."""

import functools
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from common import rows, small
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import StratifiedShuffleSplit
from skorch.callbacks import GradientNormClipping

from skfair.inspection import _leakage, sensitive_leakage
from skfair.representation import FFVAETransformer, VAETransformer
from skfair.robust import ERMClassifier


def codes(n=1400, seed=0):
    """Standard normal codes of ten dimensions, and a group that depends on five of them, not linearly."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, 10))
    return Z, (Z[:, 0] + Z[:, 1] * Z[:, 2] + np.abs(Z[:, 3]) - 0.8 + 0.7 * rng.normal(size=n) > 0).astype(int)


PROBE = small(ERMClassifier, max_epochs=15, lr=5e-3, module__hidden=(32, 32), module__dropout=0.0, batch_size=64)
ETAS = (0.0, 0.1, 0.3, 1.0)


@functools.cache
def found(explain, clip=None):
    Z, s = codes()
    return sensitive_leakage(Z, sensitive_features=s, eta=ETAS, explain=explain, clip=clip, probe=PROBE, random_state=0)


def moved(table):
    return table[table["treatment"] == "perturbed"].set_index("eta")


# ---------------------------------------------------------------------- the table
def test_the_table():
    table = found("ce")
    columns = ["split", "treatment", "eta", "fixed", "retrained", "clean", "balanced", "majority"]
    assert table.columns.tolist() == columns
    assert table["treatment"].tolist() == ["none", "removed"] + ["perturbed"] * 4
    assert table["eta"].tolist() == pytest.approx([np.nan, np.nan, *ETAS], nan_ok=True)
    assert table["split"].unique().tolist() == [0]
    assert table.drop(columns=["split", "treatment", "eta"]).stack().between(0, 1).all()


def test_codes_as_they_are_by_hand():
    Z, s = codes()
    train, test = next(StratifiedShuffleSplit(1, test_size=0.5, random_state=0).split(Z, s))
    probe = small(ERMClassifier, **PROBE.get_params()).fit(Z[train], s[train])
    predicted = probe.predict(Z[test])
    none = found("ce").iloc[0]
    assert none["fixed"] == none["retrained"] == none["clean"] == accuracy_score(s[test], predicted)
    assert none["balanced"] == balanced_accuracy_score(s[test], predicted)
    assert none["majority"] == (s[test] == np.bincount(s[train]).argmax()).mean()
    assert none["fixed"] > none["majority"] + 0.15


def test_a_strength_of_nothing_changes_nothing():
    table = found("ce")
    assert moved(table).loc[0.0, "fixed"] == table.iloc[0]["fixed"]
    assert moved(table).loc[0.0, "retrained"] == pytest.approx(table.iloc[0]["retrained"], abs=0.01)
    still = moved(found("ce", clip=0.0))
    assert (still["fixed"] == table.iloc[0]["fixed"]).all()


def test_removed_dimensions_are_those_of_largest_correlation():
    """The group is the sign of one dimension: without it nothing is left."""
    Z = np.random.default_rng(0).normal(size=(600, 4))
    s = np.where(Z[:, 2] > 0, "m", "f")
    probe = small(ERMClassifier, max_epochs=10)
    table = sensitive_leakage(Z, sensitive_features=s, eta=[], probe=probe, random_state=0).set_index("treatment")
    assert table.index.tolist() == ["none", "removed"]
    assert table.loc["none", "retrained"] > 0.9
    assert table.loc["removed", ["fixed", "retrained", "clean"]].max() < 0.6
    more = sensitive_leakage(Z, sensitive_features=s, eta=[], probe=probe, n_removed=0, random_state=0)
    assert more["fixed"].nunique() == 1


def test_the_sign_and_the_scale_of_a_dimension_do_not_decide_which_is_removed():
    s = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    Z = np.column_stack([[0, 0, 0, 9, 0, 9, 9, 9], [1, 1, 1, 1, 0, 0, 0, 0.1], np.ones(8), 100 * np.array([0, 1] * 4)])
    assert _leakage._most_correlated(Z, s, 2).tolist() == [1, 0]
    s, Z = np.repeat([0, 1, 2], 2), np.array([[0, 0], [0, 0], [1, 1], [1, 1], [1, 0.6], [1, 0]])  # lower in one group
    assert _leakage._most_correlated(Z, s, 1).tolist() == [0]


def test_majority_and_means_are_those_of_the_training_rows():
    """The group of most training rows is not that of most test rows; the dimension removed is that of the training rows."""
    s, train, test = np.repeat([0, 1, 0, 1], [6, 4, 2, 8]), np.arange(10), np.arange(10, 20)
    Z = np.float32(np.column_stack([s + 0.01 * np.arange(20), np.r_[np.zeros(10), 50 * s[10:]] + np.arange(20) % 3]))
    Z[10:, 0] = 1 - s[10:]  # among all rows the second dimension tells more
    seen = []

    class Watched(ERMClassifier):
        def predict(self, X):
            seen.append(np.array(X))
            return super().predict(X)

    found = sensitive_leakage(
        Z, sensitive_features=s, eta=[0.5], probe=small(Watched), cv=[(train, test)], random_state=0
    )
    assert (found["majority"] == 0.2).all()
    blank = next(rows for rows in seen if rows.shape[1] == 2 and not np.array_equal(rows, Z[test]))
    assert np.array_equal(seen[-1], Z[test])  # the codes as they are, for a probe of perturbed ones
    assert not np.array_equal(seen[-3], Z[test])
    np.testing.assert_allclose(blank, np.column_stack([np.full(10, Z[:10, 0].mean()), Z[test, 1]]), rtol=1e-6)


# ---------------------------------------------------------------------- as the perturbation grows
@pytest.mark.parametrize(("explain", "least"), [("ce", 0.05), ("neg_logit", 0.3)])
def test_a_fixed_probe_reads_less(explain, least):
    """P9."""
    accuracy = moved(found(explain))["fixed"].to_numpy()
    assert (np.diff(accuracy) <= 0.01).all()
    assert accuracy[0] - accuracy[-1] >= least


@pytest.mark.parametrize(("explain", "until"), [("ce", 1.0), ("neg_logit", 0.3)])
def test_a_retrained_probe_reads_less_too_but_never_less_than_a_constant(explain, until):
    """P10."""
    table = moved(found(explain)).loc[:until]
    assert spearmanr(table.index, table["retrained"]).statistic <= -0.8
    assert table["retrained"].iloc[0] - table["retrained"].iloc[-1] > 0.1
    assert (table["retrained"] >= table["majority"] - 0.02).all()


def test_too_strong_a_perturbation_turns_the_group_round():
    """Then the fixed probe is wrong, and the retrained one reads it again: why both are shown."""
    last = moved(found("neg_logit")).loc[1.0]
    assert last["fixed"] < last["majority"] - 0.1
    assert last["retrained"] > last["fixed"] + 0.3


def test_the_released_codes_sign_hides_nothing_from_a_fixed_probe():
    table = moved(found("logit"))
    assert table["fixed"].min() >= table["fixed"].iloc[0] - 0.01
    assert table["clean"].iloc[-1] < table["retrained"].iloc[-1] + 0.01


def test_within_the_papers_clip_there_is_little_to_lose():
    table = moved(found("neg_logit", clip=0.1))
    assert table["fixed"].iloc[0] - table["fixed"].min() < 0.06
    assert table["fixed"].min() > moved(found("neg_logit"))["fixed"].min() + 0.2


# ---------------------------------------------------------------------- what is given
QUICK = dict(eta=[0.5], probe=small(ERMClassifier), random_state=0)


@pytest.mark.parametrize("encoder", [PCA(2), small(VAETransformer)], ids=["PCA", "VAE"])
def test_a_fitted_transformer_and_its_codes(encoder):
    X, _, s = rows()
    encoder.fit(X)
    found = sensitive_leakage(encoder, X, sensitive_features=s, **QUICK)
    for codes in (encoder.transform(X), sp.csr_matrix(encoder.transform(X))):
        pd.testing.assert_frame_equal(found, sensitive_leakage(codes, sensitive_features=s, **QUICK))
    with pytest.raises(ValueError, match="X is needed"):
        sensitive_leakage(encoder, sensitive_features=s)


def test_frames():
    """Of codes (also read-only ones of single precision), and of several sensitive features, which are taken jointly."""
    X, _, s = rows()
    table = pd.DataFrame({"sex": s, "old": np.arange(120) % 2})
    encoder = small(FFVAETransformer).fit(X, sensitive_features=s).set_output(transform="pandas")
    found = sensitive_leakage(encoder.transform(X).astype("float32"), sensitive_features=table, **QUICK)
    joint = [f"{a} {b}" for a, b in zip(table["sex"], table["old"])]
    pd.testing.assert_frame_equal(found, sensitive_leakage(encoder, X, sensitive_features=joint, **QUICK))
    assert found["majority"].iloc[0] < 0.4


def test_several_splits():
    X, _, s = rows()
    found = sensitive_leakage(X, sensitive_features=s, cv=3, **QUICK)
    assert found["split"].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    train, test = np.arange(60), np.arange(60, 120)
    by_hand = sensitive_leakage(X, sensitive_features=s, cv=[(train, test)], **QUICK)
    assert by_hand["majority"].iloc[0] == (s[test] == pd.Series(s[train]).mode()[0]).mean()


def test_the_seed_decides_and_nothing_is_changed():
    X, _, s = rows()
    before, state = X.copy(), (pickle.dumps(np.random.get_state()), torch.get_rng_state())  # noqa: NPY002
    one, two, other = (sensitive_leakage(X, sensitive_features=s, eta=[0.5], random_state=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(other)
    assert np.array_equal(X, before)
    assert pickle.dumps(np.random.get_state()) == state[0]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), state[1])
    probe = small(ERMClassifier)
    sensitive_leakage(X, sensitive_features=s, eta=[0.5], probe=probe)
    assert not hasattr(probe, "module_")


def test_a_probe_that_cannot_be_stacked_is_trained_by_itself():
    X, _, s = rows()
    clipped = small(ERMClassifier, module__dropout=0.0, callbacks=[GradientNormClipping(1e9)])
    plain = small(ERMClassifier, module__dropout=0.0)
    one, two = (sensitive_leakage(X, sensitive_features=s, **{**QUICK, "probe": p}) for p in (clipped, plain))
    pd.testing.assert_frame_equal(one, two, atol=0.02)


def test_a_probe_that_diverges_is_an_error(monkeypatch):
    def train_stack(stack):
        stack[0].exception = FloatingPointError("the training loss became nan")

    monkeypatch.setattr(_leakage, "train_stack", train_stack)
    with pytest.raises(FloatingPointError, match="became nan"):
        sensitive_leakage(rows()[0], sensitive_features=rows()[2], **QUICK)


def test_three_groups():
    X, _, _ = rows()
    found = sensitive_leakage(X, sensitive_features=np.digitize(X[:, 1], [-0.5, 0.5]), **QUICK)
    assert found["majority"].max() < 0.5
    assert found["retrained"].between(0, 1).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict(explain="saliency"), "explain must be one of.*'neg_logit'.*got 'saliency'"),
        (dict(clip=-0.1), "clip must be a number >= 0, got -0.1"),
        (dict(clip="tight"), "clip must be a number >= 0, got 'tight'"),
        (dict(eta=[0.1, -0.1]), "each eta must be a number >= 0, got -0.1"),
        (dict(eta=0.5), "eta must be a sequence of numbers, got 0.5"),
        (dict(eta=["much"]), "each eta must be a number >= 0, got 'much'"),
        (dict(n_removed=4), "n_removed must be an integer >= 0 and <= 3, got 4"),
        (dict(n_removed=-1), "n_removed must be an integer >= 0 and <= 3, got -1"),
        (dict(n_removed=1.5), "n_removed must be.*got 1.5"),
        (dict(probe=LogisticRegression()), r"probe must be a classifier of skfair, got LogisticRegression\(\)"),
        (dict(sensitive_features=["f"] * 120), "only one group"),
        (dict(sensitive_features=["f", "m"]), "codes of 120 rows, but sensitive_features of 2"),
        (dict(encoder_or_codes=np.zeros(120)), r"shape \(n, D\), got the shape \(120,\)"),
        (dict(encoder_or_codes=np.full((120, 2), np.nan)), "must be finite numbers"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_parameters(given, message, monkeypatch):
    monkeypatch.setattr(ERMClassifier, "fit", lambda *args, **given: pytest.fail("a probe was trained"))
    X, _, s = rows()
    given = {"encoder_or_codes": X, "sensitive_features": s, **given}
    with pytest.raises(ValueError, match=message):
        sensitive_leakage(given.pop("encoder_or_codes"), **given)
