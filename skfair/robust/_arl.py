import torch
from torch import nn
from torch.nn.functional import embedding, one_hot

from skfair.base import BaseTwoPlayerNet, check_number
from skfair.functional import adversarial_weights, weighted_mean
from skfair.robust._selection import BaseSelecting

__all__ = ["ARLClassifier"]


class ARLClassifier(BaseSelecting, BaseTwoPlayerNet):
    r"""Adversarially reweighted learning: an adversary looks for regions where the learner errs, and weighs them up.

    .. math::
        \min_\theta \max_\phi \frac1n \sum_i \lambda_\phi(x_i, y_i)\, \ell(f_\theta(x_i), y_i), \qquad
        \lambda_i = 1 + \frac{s_i}{\frac1n \sum_j s_j}, \quad s_i = \sigma(h_\phi(x_i, y_i))

    The adversary h is linear and sees the label: it can raise false negatives and false positives of a region, not
    single rows.

    =============  ======  ===================================  ==========
    needs groups   at fit  to select                            at predict
    =============  ======  ===================================  ==========
    ARLClassifier  no      only by ``selection="worst_group"``  no
    =============  ======  ===================================  ==========

    Parameters
    ----------
    adversary : class, callable or torch.nn.Module, optional
        Called as ``adversary(x, label)``, with ``label`` of shape (n, 1) for two classes, one-hot for more; returns
        (n, 1). It is given ``in_features`` (those of x) and ``label_features`` if it takes them. By default linear on
        x (flattened) and the label, as two linear layers.
    sees_label : bool, default=True
        Without the label the adversary cannot tell false positives from false negatives.
    pretrain_steps : int, default=250
        Steps before the adversary begins, with all weights 1.
    selection : {"accuracy", "worst_class", "worst_group"}, optional
        Which epoch is kept, by held-out rows; None: the last.
    optimizer, adversary_optimizer : classes, default=torch.optim.Adagrad
    lr, adversary_lr : float, default=0.01
    batch_size : int, default=256
    **kwargs
        The other parameters of :class:`skfair.base.BaseTwoPlayerNet`.

    Attributes
    ----------
    adversary_ : torch.nn.Module
        Not used in ``predict``.
    classes_, module_, history
        As in the other estimators.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    The published runs: Adult batch 512, ``lr=0.01, adversary_lr=2``; COMPAS 512, 0.01, 0.001; LSAC 256, 1, 0.001; learner
    ``module__hidden=(64, 32)``. The sensitive columns are not among the features there.

    NOTE[DIFF] The adversary's step precedes the learner's; in the released code both are taken at once.

    References
    ----------
    Lahoti et al., "Fairness without demographics through adversarially reweighted learning", NeurIPS 2020.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.robust import ARLClassifier
    >>> data = make_biased_classification(500, random_state=0)
    >>> net = ARLClassifier(max_epochs=5, random_state=0).fit(data.data, data.target)
    >>> net.predict_proba(data.data).shape
    (500, 2)
    """

    stacks_over = ()

    def __init__(
        self, *, adversary=None, sees_label=True, pretrain_steps=250, optimizer=torch.optim.Adagrad, lr=0.01,
        adversary_optimizer=torch.optim.Adagrad, adversary_lr=0.01, batch_size=256, **kwargs,
    ):  # fmt: skip
        super().__init__(
            optimizer=optimizer, lr=lr, adversary_optimizer=adversary_optimizer, adversary_lr=adversary_lr,
            batch_size=batch_size, **kwargs,
        )  # fmt: skip
        self.adversary = adversary
        self.sees_label = sees_label
        self.pretrain_steps = pretrain_steps

    def check_parameters(self):
        check_number("pretrain_steps", self.pretrain_steps, low=0, integer=True)

    def make_adversary(self):
        width = 1 if self.n_classes_ == 2 else self.n_classes_
        words = getattr(self.module_, "vocabulary_size", None)  # where rows are token ids
        kind = self.adversary or (_Linear if words is None else _LinearInWords)
        filled = dict(in_features=self.in_features_, label_features=width, vocabulary_size=words)
        return self.build("adversary", kind, **filled)

    def make_state(self, rows):
        return {"step": torch.zeros(())}

    def label(self, y):
        """What the adversary sees of the label, (n, 1) or (n, K)."""
        y = y.unsqueeze(1) if self.n_classes_ == 2 else one_hot(y, self.n_classes_)
        return y.float() if self.sees_label else torch.zeros_like(y, dtype=torch.float32)

    def row_weights(self, batch):
        """lambda, (n,); 1 while the adversary has not begun."""
        scores = torch.sigmoid(self.adversary_(batch.x, self.label(batch.y)).squeeze(-1))
        found = adversarial_weights(scores, batch.weight)
        return torch.where(self.state_.step >= self.pretrain_steps, found, torch.ones_like(found))

    def objective(self, output, batch):
        losses = self.losses(output, batch)
        if not self.module_.training:
            return weighted_mean(losses, batch.weight)
        weight = self.row_weights(batch).detach()
        self.state_.step = self.state_.step + 1
        return weighted_mean(weight * losses, batch.weight)

    def adversary_objective(self, output, batch):
        return -weighted_mean(self.row_weights(batch) * self.losses(output, batch), batch.weight)


class _Linear(nn.Module):
    """Two linear layers with nothing between them, as published: linear in x and the label."""

    def __init__(self, in_features, label_features, hidden=32):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features + label_features, hidden), nn.Linear(hidden, 1))

    def forward(self, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.cat([x.flatten(1), label], 1))


class _LinearInWords(nn.Module):
    """The same for texts: linear in how often each word comes, and in the label."""

    def __init__(self, vocabulary_size, label_features, hidden=32):
        super().__init__()
        bound = vocabulary_size**-0.5
        self.table = nn.Parameter(torch.empty(vocabulary_size, hidden).uniform_(-bound, bound))
        self.label, self.out = nn.Linear(label_features, hidden), nn.Linear(hidden, 1)

    def forward(self, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        ids = x.long()
        words = embedding(ids, self.table) * (ids != 0).unsqueeze(-1)
        return self.out(words.sum(1) + self.label(label))
