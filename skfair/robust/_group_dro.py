import numpy as np
import torch

from skfair.base import BaseClassifier, check_choice, check_number
from skfair.functional import cvar_weights, group_mean, hedge_update

__all__ = ["GroupDROClassifier"]


class GroupDROClassifier(BaseClassifier):
    r"""Group distributionally robust optimisation: minimise the loss of the worst (label, group) cell.

    .. math:: \min_\theta \max_{q \in \Delta} \sum_g q_g\, \mathbb{E}_{P_g}[\ell(f_\theta(x), y)]

    where :math:`g` runs over the cells of label and group. Each step raises the weights of the cells with a high loss and
    then descends on the weighted loss, with the updated weights held constant:

    .. math::
        q_g \leftarrow \frac{q_g \exp\big(\eta\,(L_g + C_g / \sqrt{n_g})\big)}{\sum_h \cdots},
        \qquad \theta \leftarrow \theta - \alpha \nabla \textstyle\sum_g q_g L_g

    with :math:`L_g` the mean loss of the cell in the minibatch and :math:`n_g` its size in the training set.

    With ``greedy=True`` the set of q is smaller: at most :math:`1/\alpha` times the share of each cell, so that all
    weight is on the worst cells that together hold the fraction :math:`\alpha` of the rows (CVaR over groups), by
    their running losses.

    ==================  ======  ================  ==========
    needs groups        at fit  to select         at predict
    ==================  ======  ================  ==========
    GroupDROClassifier  yes     yes (best epoch)  no
    ==================  ======  ================  ==========

    Parameters
    ----------
    step_size : float, default=0.01
        :math:`\eta \ge 0`. 0 keeps the weights of the cells equal; that is not ERM, but the mean over cells.
    adjustment : float or sequence, default=0.0
        :math:`C \ge 0`, the generalisation adjustment; one number, or one per cell in the order of ``cells_``.
    balanced : bool, default=True
        Draw each minibatch with the same expected number of rows from each cell. Without it, rare cells are often absent
        and their weight decays.
    absent : {"zero", "ema", "importance"}, default="zero"
        What a cell counts that a minibatch lacks. "zero": the loss 0, as published. "ema": its running mean loss.
        "importance": nothing, and a cell that is present counts its loss divided by the probability of being present.
    normalize_loss : bool, default=False
        Divide the adjusted losses by their sum before the update.
    greedy : bool, default=False
        CVaR over groups instead of exponentiated steps.
    alpha : float, default=0.2
        Of ``greedy``, in (0, 1].
    minimum_weight : float, default=0.0
        Of ``greedy``, in [0, 1]: this part of the weights is the shares of the cells.
    automatic_adjustment : bool, default=False
        After each epoch set :math:`C_g = (L_g^{held out} - \bar L_g) \sqrt{n_g}`, from the losses on held-out rows and
        the running ones; needs ``early_stopping``.
    early_stopping : bool, str or callable, default="worst_group_accuracy"
        As in :class:`skfair.base.BaseNet`. By default the epoch with the best worst-cell accuracy on held-out rows is
        kept, and all epochs are run (``patience=None``).
    optimizer, lr, weight_decay, batch_size
        SGD with momentum 0.9, rate 0.01, and a *strong* L2 penalty of 0.01: without strong regularisation or early
        stopping a network that fits all rows makes every reweighting pointless.
    **kwargs
        The other parameters of :class:`skfair.base.BaseNet`.

    Attributes
    ----------
    cells_ : list of (label, group) pairs
    cell_weights_ : array of shape (n_cells,)
        :math:`q` at the end (of the best epoch). 0 for a cell that has no rows.
    classes_, groups_, module_, history
        As in the other estimators.

    Raises
    ------
    ValueError
        If no sensitive features are given, or a parameter is out of its range.

    Notes
    -----
    NOTE[DIFF] The released code adds :math:`C/\sqrt{n_g}` in place, so that its reported loss contains it,
    and ignores the adjustment unless all :math:`C_g > 0`. Here it enters the update of q alone, always.

    With sample weights :math:`n_g` is the cell's share of all weight, times the number of rows.

    NOTE[DIFF] The weights of the cells start equal over the cells that occur; a cell without rows has weight 0.

    References
    ----------
    Sagawa, Koh, Hashimoto, Liang, "Distributionally robust neural networks for group shifts", ICLR 2020.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.robust import GroupDROClassifier
    >>> data = make_biased_classification(500, random_state=0)
    >>> net = GroupDROClassifier(step_size=0.1, random_state=0)
    >>> net = net.fit(data.data, data.target, sensitive_features=data.sensitive_features)
    >>> len(net.cells_), round(float(net.cell_weights_.sum()), 6)
    (4, 1.0)
    """

    shares_rows = True
    stacks_over = ("step_size", "adjustment", "alpha", "minimum_weight")

    def __init__(
        self, *, step_size=0.01, adjustment=0.0, balanced=True, absent="zero", normalize_loss=False,
        greedy=False, alpha=0.2, minimum_weight=0.0, automatic_adjustment=False,
        early_stopping="worst_group_accuracy", patience=None, optimizer=torch.optim.SGD, lr=0.01, weight_decay=0.01,
        batch_size=128, **kwargs,
    ):  # fmt: skip
        super().__init__(
            early_stopping=early_stopping, patience=patience, optimizer=optimizer, lr=lr, weight_decay=weight_decay,
            batch_size=batch_size, **kwargs,
        )  # fmt: skip
        self.step_size = step_size
        self.adjustment = adjustment
        self.balanced = balanced
        self.absent = absent
        self.normalize_loss = normalize_loss
        self.greedy = greedy
        self.alpha = alpha
        self.minimum_weight = minimum_weight
        self.automatic_adjustment = automatic_adjustment

    def check_parameters(self):
        check_number("step_size", self.step_size, low=0)
        check_choice("absent", self.absent, {"zero", "ema", "importance"})
        for value in np.ravel(self.adjustment):
            check_number("adjustment", float(value), low=0)
        check_number("alpha", self.alpha, low=0, closed=False)
        check_number("alpha", self.alpha, high=1)
        check_number("minimum_weight", self.minimum_weight, low=0)
        check_number("minimum_weight", self.minimum_weight, high=1)
        if self.automatic_adjustment and not self.early_stopping:
            raise ValueError("automatic_adjustment=True needs held-out rows: set early_stopping.")

    def unstackable(self):
        return "automatic_adjustment reads the held-out rows" if self.automatic_adjustment else None

    def cell(self, rows):
        """Code of the (label, group) cell of each row, y * n_groups + group."""
        return rows["y"] * self.n_groups_ + rows["group"]

    @property
    def cells_(self):
        return [(label, group) for label in self.classes_.tolist() for group in self.groups_]

    @property
    def cell_weights_(self):
        return self.state_.log_q.exp().double().cpu().numpy()

    def sampling_weights(self, rows):
        if not self.balanced:
            return None
        mass = torch.bincount(self.cell(rows), rows["weight"].double())
        return rows["weight"].double() / mass[self.cell(rows)].clamp_min(1e-300)

    def make_state(self, rows):
        n_cells = self.n_classes_ * self.n_groups_
        count = torch.bincount(self.cell(rows), rows["weight"], minlength=n_cells).float()  # n_g
        adjustment = torch.as_tensor(self.adjustment, dtype=torch.float32, device=count.device)  # C
        if adjustment.ndim and adjustment.shape != (n_cells,):
            raise ValueError(f"adjustment has shape {tuple(adjustment.shape)}, expected one per cell: ({n_cells},).")
        exists = count > 0
        share = exists / exists.sum() if self.balanced else count / count.sum()
        size = min(self.batch_size if self.batch_size > 0 else len(rows["y"]), len(rows["y"]))
        return {
            "log_q": torch.log(exists / exists.sum()),
            "bonus": torch.where(exists, adjustment / count.clamp_min(1e-30).sqrt(), 0.0),  # C / sqrt(n_g)
            "presence": (1 - (1 - share) ** size).clamp_min(1e-6),  # probability that a batch holds the cell
            "running": torch.full_like(count, torch.nan),
            "share": count / count.sum(),
            "root": count.sqrt(),
            "held_out": torch.zeros(2, n_cells, device=count.device),  # sums of losses and of weights
        }

    def objective(self, output, batch):
        losses = self.losses(output, batch)
        # balanced draws are in proportion to the sample weights already
        weight = None if self.balanced and self.module_.training else batch.weight
        cell, n_cells = self.cell(batch._asdict()), len(self.state_.log_q)
        loss, present = group_mean(losses, cell, n_cells, weight)  # L_g
        if not self.module_.training:
            if self.automatic_adjustment:
                sums = [torch.zeros_like(loss).index_add(0, cell, v) for v in (batch.weight * losses, batch.weight)]
                self.state_.held_out = self.state_.held_out + torch.stack(sums)
            return loss.max()  # held-out rows: the worst cell, never the q of training
        if self.automatic_adjustment:
            self._adjust()
        if self.greedy:
            self.state_.log_q = self._greedy(loss.detach(), present).log()
            return self.state_.log_q.exp() @ loss
        adjusted = self._adjusted(loss.detach(), present)
        self.state_.log_q = hedge_update(self.state_.log_q, adjusted, self.step_size)
        return self.state_.log_q.exp() @ loss

    def _greedy(self, loss, present):
        """The weights of the worst cells that together hold the fraction alpha."""
        share = self.state_.share
        worst = cvar_weights(self._running_mean(loss, present) + self.state_.bonus, self.alpha, share) * share
        return self.minimum_weight * share + (1 - self.minimum_weight) * worst

    def _adjust(self):
        """C_g / sqrt(n_g) = held-out loss less running loss, once there are held-out losses of an epoch."""
        total, mass = self.state_.held_out
        gap = total / mass.clamp_min(1e-30) - self.state_.running
        new = (mass > 0) & ~torch.isnan(gap)
        self.state_.bonus = torch.where(new, gap, self.state_.bonus)
        self.state_.held_out = torch.zeros_like(self.state_.held_out)

    def _adjusted(self, loss, present):
        """a_g, what the update of q sees of each cell."""
        if self.automatic_adjustment and self.absent != "ema":
            self._running_mean(loss, present)
        if self.absent == "ema":
            loss = self._running_mean(loss, present)
        elif self.absent == "importance":
            loss = loss * present / self.state_.presence
        adjusted = loss + self.state_.bonus
        return adjusted / adjusted.sum().clamp_min(1e-12) if self.normalize_loss else adjusted

    def _running_mean(self, loss, present, rate=0.1):
        first = torch.isnan(self.state_.running)
        mixed = torch.where(first, loss, (1 - rate) * self.state_.running + rate * loss)
        self.state_.running = torch.where(present, mixed, self.state_.running)
        return torch.nan_to_num(self.state_.running, nan=0.0)
