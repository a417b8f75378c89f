"""The two (or more) hyperplanes in a latent space, and the codes on the other side of them."""

import numpy as np
import torch
from sklearn.svm import LinearSVC

from skfair.functional import explained_by_others, move_to

__all__ = ["PERTURBATIONS", "Hyperplanes", "cells"]

PARALLEL = 0.999  # a protected hyperplane that lies so far in the span of the others cannot be crossed
PERTURBATIONS = {"partner", "partner_boundary", "group", "group_boundary", "none"}


def cells(attributes):
    """One code for each combination of attributes (n, 1 + k), of shape (n,)."""
    return np.unique(attributes, axis=0, return_inverse=True)[1].reshape(-1)


class Hyperplanes:
    """Those of the target (one, or one per class of several), then one of each sensitive feature.

    Attributes
    ----------
    normals : array of shape (m, D)
        W, rows of length 1.
    offsets : array of shape (m,)
        b.
    names : list of str
        "target", then the sensitive features.
    overlap : array of shape (k,)
        How much of each sensitive feature's normal lies in the span of the others; (w_g . w_t)^2 for two.
    """

    def __init__(self, normals, offsets, names):
        length = np.linalg.norm(normals, axis=1)
        self.normals, self.offsets = normals / length[:, None], offsets / length
        self.names = names
        self.n_targets = len(normals) - len(names) + 1
        self.overlap = explained_by_others(torch.from_numpy(self.normals)).numpy()[self.n_targets :]

    @classmethod
    def learn(cls, Z, attributes, names, *, balance, seed):
        """Linear SVMs for each column of attributes (n, 1 + k), on codes Z (n, D)."""
        weight = None
        if balance == "cell":
            _, cell, count = np.unique(cells(attributes), return_inverse=True, return_counts=True)
            weight = len(Z) / (len(count) * count[cell])
        machines = [LinearSVC(max_iter=500_000, random_state=seed).fit(Z, codes, weight) for codes in attributes.T]
        normals = np.concatenate([machine.coef_ for machine in machines])
        return cls(normals, np.concatenate([machine.intercept_ for machine in machines]), names)

    def check(self):
        """Raise a ValueError if a group's hyperplane cannot be crossed without crossing others."""
        for name, share in zip(self.names[1:], self.overlap):
            if not share <= PARALLEL:
                raise ValueError(
                    f"the hyperplane of {name!r} is nearly parallel to the others: {share:.6f} of its normal's squared "
                    f"length lies in their span (at most {PARALLEL}), so that no partner can be found. Labels and groups "
                    "agree too well, or the generator has too few latent dimensions."
                )

    def margins(self, Z):
        """h(z) = W z + b, (n, m)."""
        return np.asarray(Z, dtype=np.float64) @ self.normals.T + self.offsets

    def sides(self, Z):
        """The codes of the attributes on whose side codes lie, (n, 1 + k)."""
        h, t = self.margins(Z), self.n_targets
        target = h[:, 0] > 0 if t == 1 else h[:, :t].argmax(1)
        return np.column_stack([target, h[:, t:] > 0]).astype(np.int64)

    def partner(self, Z, flip, perturbation="partner"):
        """z': the targets' margins kept, those of the flipped groups (bool array (k,)) negated, others kept."""
        h, t = self.margins(Z), self.n_targets
        to = 0.0 if perturbation.endswith("boundary") else -1.0  # h_g(z') = to * h_g(z)
        goal = h * np.concatenate([np.ones(t), np.where(flip, to, 1.0)])
        rows = np.ones(len(h.T), dtype=bool)
        if perturbation.startswith("group"):  # neither the target nor other groups are looked after
            rows = np.concatenate([np.zeros(t, dtype=bool), flip])
        parts = (np.asarray(Z, dtype=np.float64), self.normals[rows], self.offsets[rows], goal[:, rows])
        return move_to(*map(torch.from_numpy, parts)).numpy()
