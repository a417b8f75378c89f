"""Moves between hyperplanes: against the paper's formula, against least squares with constraints, and their symmetries."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from skfair.functional import explained_by_others, move_to

KEEP_AND_NEGATE = torch.tensor([1.0, -1.0], dtype=torch.float64)


def unit(k, d, seed=0):
    W = np.random.default_rng(seed).normal(size=(k, d))
    return W / np.linalg.norm(W, axis=1, keepdims=True)


def example(n=40, k=2, d=6, seed=0, dtype=np.float64):
    """Codes, unit normals, offsets, as arrays."""
    rng = np.random.default_rng(seed + 100)
    return [a.astype(dtype) for a in (rng.normal(size=(n, d)), unit(k, d, seed), rng.normal(size=k))]


def tensors(*arrays):
    return tuple(torch.from_numpy(np.asarray(a)) for a in arrays)


def partner(z, W, b):
    """h_t kept, h_g negated."""
    z, W, b = tensors(z, W, b)
    return move_to(z, W, b, (z @ W.T + b) * KEEP_AND_NEGATE.to(z.dtype)).numpy()


def by_the_paper(z, W, b):
    t, g = W
    c = g @ t
    return z - (2 * (z @ g + b[1]) / (1 - c**2))[:, None] * (g - c * t)


# ---------------------------------------------------------------------- two hyperplanes
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("d", [2, 3, 17])
def test_it_is_the_papers_formula(seed, d):
    z, W, b = example(d=d, seed=seed)
    np.testing.assert_allclose(partner(z, W, b), by_the_paper(z, W, b), atol=1e-9)


@pytest.mark.parametrize("overlap", [0.0, 0.5, -0.9, 0.9994])
def test_the_papers_formula_for_any_angle(overlap):
    """Up to c^2 = .9988, where partners lie far away."""
    z, _, b = example(d=2)
    W = np.array([[1.0, 0.0], [overlap, np.sqrt(1 - overlap**2)]])
    np.testing.assert_allclose(partner(z, W, b), by_the_paper(z, W, b), rtol=1e-9, atol=1e-9)


def test_partner_by_hand():
    """w_t = e_1, w_g = (.6, .8): the move is along e_2 alone, by 2 h_g / .8."""
    found = partner(np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[1.0, 0.0], [0.6, 0.8]]), np.array([0.0, 1.0]))
    np.testing.assert_allclose(found, [[1.0, 2.0 - 2 * 3.2 / 0.8], [0.0, -2 / 0.8]], atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
@pytest.mark.parametrize("seed", range(3))
def test_one_margin_is_kept_and_the_other_negated(dtype, tolerance, seed):
    z, W, b = example(d=12, seed=seed, dtype=dtype)
    h, moved = z @ W.T + b, partner(z, W, b)
    assert moved.dtype == dtype
    after = moved @ W.T + b
    np.testing.assert_allclose(after[:, 0], h[:, 0], atol=tolerance)
    np.testing.assert_allclose(after[:, 1], -h[:, 1], atol=tolerance)
    assert np.abs(h[:, 1]).max() > 0.5


def test_the_partners_partner_is_the_code():
    z, W, b = example(d=5)
    np.testing.assert_allclose(partner(partner(z, W, b), W, b), z, atol=1e-12)
    assert np.abs(partner(z, W, b) - z).max() > 0.5


def test_the_length_of_the_move():
    z, W, b = example()
    c = W[0] @ W[1]
    length = np.linalg.norm(partner(z, W, b) - z, axis=1)
    np.testing.assert_allclose(length, 2 * np.abs(z @ W[1] + b[1]) / np.sqrt(1 - c**2), rtol=1e-10)


def test_codes_on_the_hyperplane_stay():
    z, W, b = example()
    z = z - (z @ W[1] + b[1])[:, None] * W[1]
    np.testing.assert_allclose(partner(z, W, b), z, atol=1e-12)


def test_a_move_that_negates_the_group_alone_loses_the_target():
    """The ablation: whenever the normals are not orthogonal."""
    z, W, b = example()
    alone = move_to(*tensors(z, W[1:], b[1:], -(z @ W[1:].T + b[1:]))).numpy()
    np.testing.assert_allclose(alone, z - 2 * (z @ W[1] + b[1])[:, None] * W[1], atol=1e-12)
    change = (alone - z) @ W[0]
    np.testing.assert_allclose(change, -2 * (z @ W[1] + b[1]) * (W[0] @ W[1]), atol=1e-12)
    assert np.abs(change).max() > 0.1


# ---------------------------------------------------------------------- any number of hyperplanes
@pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 4), (2, 2), (3, 5), (4, 4), (5, 9)])
def test_it_is_the_nearest_point_with_the_values_wanted(k, d):
    """The equations of Lagrange, solved as they stand: [I W^T; W 0] (u, l) = (z, goal - b)."""
    z, W, b = example(8, k, d)
    goal = np.random.default_rng(3).normal(size=(8, k))
    system = np.block([[np.eye(d), W.T], [W, np.zeros((k, k))]])
    expected = np.linalg.solve(system, np.concatenate([z, goal - b], axis=1).T).T[:, :d]
    found = move_to(*tensors(z, W, b, goal)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(found @ W.T + b, goal, atol=1e-9)


def test_it_is_what_an_optimizer_finds():
    z, W, b = example(1, 3, 6)
    goal = np.array([0.5, -1.0, 2.0])
    found = minimize(
        lambda u: ((u - z[0]) ** 2).sum(), z[0], jac=lambda u: 2 * (u - z[0]), method="SLSQP",
        constraints={"type": "eq", "fun": lambda u: W @ u + b - goal, "jac": lambda u: W},
    )  # fmt: skip
    assert found.success
    np.testing.assert_allclose(move_to(*tensors(z, W, b, goal[None])).numpy()[0], found.x, atol=1e-5)


def test_all_other_points_with_these_values_are_farther():
    z, W, b = example(20, 3, 7)
    goal = np.random.default_rng(1).normal(size=(20, 3))
    found = move_to(*tensors(z, W, b, goal)).numpy()
    along = np.random.default_rng(2).normal(size=(50, 20, 7))
    along -= along @ np.linalg.pinv(W) @ W  # does not change W u
    others = found + along
    np.testing.assert_allclose(others @ W.T + b, np.broadcast_to(goal, (50, 20, 3)), atol=1e-9)
    assert (np.linalg.norm(others - z, axis=2) > np.linalg.norm(found - z, axis=1) + 1e-3).all()


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_normals_need_no_length_of_one(scale):
    z, W, b = example(10, 2, 4)
    goal = np.random.default_rng(1).normal(size=(10, 2))
    longer = np.array([[scale], [1 / scale]])
    expected = move_to(*tensors(z, W, b, goal)).numpy()
    found = move_to(*tensors(z, longer * W, longer[:, 0] * b, longer[:, 0] * goal)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("rows", ["twice", "opposite", "sum"])
def test_kept_rows_may_depend_on_each_other(rows):
    """As those of three classes do, one against the rest: the same point as without what is said twice."""
    z, W, b = example(15, 3, 5)
    t, g = W[:2], W[2]
    more, offset = {
        "twice": (t[0], b[0]), "opposite": (-t[0], -b[0]), "sum": (-(t[0] + t[1]), -(b[0] + b[1])),
    }[rows]  # fmt: skip
    all_rows, offsets = np.stack([*t, more, g]), np.array([b[0], b[1], offset, b[2]])
    h = z @ all_rows.T + offsets
    found = move_to(*tensors(z, all_rows, offsets, h * [1, 1, 1, -1])).numpy()
    after = found @ all_rows.T + offsets
    np.testing.assert_allclose(after[:, :3], h[:, :3], atol=1e-9)
    np.testing.assert_allclose(after[:, 3], -h[:, 3], atol=1e-9)
    np.testing.assert_allclose(found, move_to(*tensors(z, W, b, (z @ W.T + b) * [1, 1, -1])).numpy(), atol=1e-9)


def test_nothing_moves_where_the_values_are_as_wanted():
    z, W, b = example(10, 4, 6)
    np.testing.assert_allclose(move_to(*tensors(z, W, b, z @ W.T + b)).numpy(), z, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_rotated_space_has_rotated_partners(seed):
    z, W, b = example(seed=seed)
    R = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))[0]
    np.testing.assert_allclose(partner(z @ R.T, W @ R.T, b), partner(z, W, b) @ R.T, atol=1e-10)


def test_a_shifted_space_has_shifted_partners():
    z, W, b = example()
    shift = np.arange(6.0)
    np.testing.assert_allclose(partner(z + shift, W, b - W @ shift), partner(z, W, b) + shift, atol=1e-10)


def test_rows_do_not_depend_on_each_other():
    z, W, b = example()
    np.testing.assert_allclose(
        np.concatenate([partner(row[None], W, b) for row in z]), partner(z, W, b), rtol=0, atol=1e-12
    )
    assert partner(z[:0], W, b).shape == (0, 6)


def test_a_stack_of_spaces():
    """torch.vmap over codes, normals, offsets and wanted values."""
    parts = [example(9, 3, 5, seed) for seed in range(4)]
    stacked = [torch.from_numpy(np.stack(part)) for part in zip(*parts)]
    goal = torch.randn(4, 9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = torch.vmap(move_to)(*stacked, goal)
    for i, part in enumerate(parts):
        np.testing.assert_allclose(found[i], move_to(*tensors(*part), goal[i]), atol=1e-12)
    shares = torch.vmap(explained_by_others)(stacked[1])
    for i, part in enumerate(parts):
        np.testing.assert_allclose(shares[i], explained_by_others(torch.from_numpy(part[1])), atol=1e-12)


def test_nothing_of_the_input_is_changed():
    z, W, b = tensors(*example())
    before = [part.clone() for part in (z, W, b)]
    move_to(z, W, b, torch.zeros(40, 2, dtype=torch.float64))
    explained_by_others(W)
    assert all(map(torch.equal, (z, W, b), before))


# ---------------------------------------------------------------------- what the others explain
def test_one_normal_alone_is_not_explained():
    assert explained_by_others(torch.from_numpy(unit(1, 4))).tolist() == [0.0]


@pytest.mark.parametrize("seed", range(3))
def test_of_two_it_is_the_squared_cosine(seed):
    W = unit(2, 6, seed)
    found = explained_by_others(torch.from_numpy(W))
    np.testing.assert_allclose(found, [(W[0] @ W[1]) ** 2] * 2, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_of_three_it_is_the_squared_length_of_the_projection(seed):
    W = unit(3, 5, seed)
    expected = []
    for j in range(3):
        Q = np.linalg.qr(np.delete(W, j, axis=0).T)[0]
        expected.append(((Q.T @ W[j]) ** 2).sum())
    np.testing.assert_allclose(explained_by_others(torch.from_numpy(W)), expected, atol=1e-12)


def test_orthogonal_parallel_and_dependent_normals():
    eye = torch.eye(3, dtype=torch.float64)
    assert explained_by_others(eye).tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(explained_by_others(torch.stack([eye[0], -eye[0], eye[1]])), [1, 1, 0], atol=1e-12)
    half = (eye[0] + eye[1]) / np.sqrt(2)
    np.testing.assert_allclose(
        explained_by_others(torch.stack([eye[0], eye[1], half, eye[2]])), [1, 1, 1, 0], atol=1e-9
    )


def test_more_normals_than_dimensions_explain_each_other():
    np.testing.assert_allclose(explained_by_others(torch.from_numpy(unit(4, 3))), np.ones(4), atol=1e-9)
