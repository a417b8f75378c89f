import warnings

import torch

from skfair.base import check_choice, check_number
from skfair.functional import chi_square_weights, weighted_mean
from skfair.robust._selection import BaseSelecting, warn_if_constant

__all__ = ["ChiSquareDROClassifier"]


class ChiSquareDROClassifier(BaseSelecting):
    r"""Distributionally robust optimisation over a chi-square ball: no group, of any kind, may fare too badly.

    .. math::
        \min_\theta \max_{w} \mathbb{E}[w \ell] \quad \text{over} \quad \mathbb{E}[w] = 1,\ \mathbb{E}[(w - 1)^2] \le r
        \;=\; \min_{\theta, \eta} \; \eta + C \sqrt{\mathbb{E}[(\ell - \eta)_+^2]}, \qquad C = \sqrt{1 + r}

    With ``mode="radius"`` :math:`\eta` is solved for in each minibatch; with ``mode="eta"`` it is given, and what is
    left is :math:`\mathbb{E}[(\ell - \eta)_+^k]`. Groups are not needed: every group of at least a share
    :math:`\alpha` of the rows is within the ball of :math:`C = 1/\sqrt{\alpha}`. It bounds losses; it does not find
    groups.

    ======================  ======  ===================================  ==========
    needs groups            at fit  to select                            at predict
    ======================  ======  ===================================  ==========
    ChiSquareDROClassifier  no      only by ``selection="worst_group"``  no
    ======================  ======  ===================================  ==========

    Parameters
    ----------
    mode : {"radius", "eta"}, default="radius"
    alpha_min : float, default=0.2
        The smallest share of a group that is to be covered, in (0, 1]. 1 is ERM.
    radius : float, optional
        :math:`r \ge 0` itself, in place of ``alpha_min``.
    convention : {"tight", "hashimoto", "half"}, default="tight"
        What the number means. "tight": :math:`C = 1 / \sqrt{\alpha}`, or :math:`C = \sqrt{1 + r}`. "hashimoto" (with
        ``alpha_min``): :math:`C = \sqrt{2 (1/\alpha - 1)^2 + 1}`, much larger. "half" (with ``radius``): :math:`C =
        \sqrt{1 + 2r}`, the radius of :math:`\tfrac12 \mathbb{E}[(w - 1)^2]`.
    eta : float, default=0.25
        :math:`\eta \ge 0` of ``mode="eta"``.
    power : float, default=2.0
        :math:`k \ge 1` of ``mode="eta"``; 2 belongs to the chi-square ball.
    selection : {"accuracy", "worst_class", "worst_group"}, optional
        Which epoch is kept, by held-out rows; None: the last.
    batch_size : int, default=256
        The robust loss of a small batch underestimates that of all rows: at least 128.
    weight_decay : float, default=1e-4
    **kwargs
        The other parameters of :class:`skfair.base.BaseNet`.

    Attributes
    ----------
    classes_, module_, history
        As in the other estimators.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Warns
    -----
    UserWarning
        If the net says the same of all rows. Or
        If with ``mode="eta"`` fewer than 1 % of the rows have a loss above :math:`\eta` at the end: the others train
        nothing.

    Notes
    -----
    It follows the largest losses, so also wrong labels. Where labels are noisy and the share to be covered is small (the
    paper's 0.2), its answer is the same probability for every row, whose gap of 0 is a constant's: a warning says so; begin
    with ``alpha_min=0.5``.

    NOTE[DIFF] Hashimoto et al. relate the radius to the share by a formula that is too large, by a factor 2 and a
    square; the
    default is the exact one.

    References
    ----------
    Hashimoto, Srivastava, Namkoong, Liang, "Fairness without demographics in repeated loss minimization", ICML 2018.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.robust import ChiSquareDROClassifier
    >>> data = make_biased_classification(500, random_state=0)
    >>> net = ChiSquareDROClassifier(alpha_min=0.3, max_epochs=5, random_state=0).fit(data.data, data.target)
    >>> net.predict_proba(data.data).shape
    (500, 2)
    """

    shares_rows = True
    stacks_over = ("alpha_min", "eta", "power")

    def __init__(
        self, *, mode="radius", alpha_min=0.2, radius=None, convention="tight", eta=0.25, power=2.0, batch_size=256,
        weight_decay=1e-4, **kwargs,
    ):  # fmt: skip
        super().__init__(batch_size=batch_size, weight_decay=weight_decay, **kwargs)
        self.mode = mode
        self.alpha_min = alpha_min
        self.radius = radius
        self.convention = convention
        self.eta = eta
        self.power = power

    def check_parameters(self):
        check_choice("mode", self.mode, {"radius", "eta"})
        check_choice("convention", self.convention, {"tight", "hashimoto", "half"})
        check_number("alpha_min", self.alpha_min, low=0, closed=False)
        check_number("alpha_min", self.alpha_min, high=1)
        check_number("eta", self.eta, low=0)
        check_number("power", self.power, low=1)
        if self.radius is not None:
            check_number("radius", self.radius, low=0)
        if (self.convention == "hashimoto" and self.radius is not None) or (
            self.convention == "half" and self.radius is None
        ):
            given = "alpha_min" if self.radius is None else "radius"
            raise ValueError(f"convention={self.convention!r} does not go with {given}: see the docstring.")

    @property
    def c_(self):
        """C, the price of deviating."""
        if self.radius is not None:
            return (1 + (2 if self.convention == "half" else 1) * self.radius) ** 0.5
        if self.convention == "hashimoto":
            return (2 * (1 / self.alpha_min - 1) ** 2 + 1) ** 0.5
        return (1 / self.alpha_min) ** 0.5

    def objective(self, output, batch):
        losses = self.losses(output, batch)
        if not self.module_.training and self.mode == "eta":
            return weighted_mean(losses, batch.weight)  # held-out rows: what lies below eta counts as well
        if self.mode == "eta":
            return weighted_mean((losses - self.eta).clamp_min(0) ** self.power, batch.weight)
        return weighted_mean(chi_square_weights(losses, self.c_, batch.weight) * losses, batch.weight)

    def complete(self, rows):
        loss = torch.nn.functional.cross_entropy(self.outputs(rows), rows.y["y"].cpu(), reduction="none")
        active = float((loss > self.eta).double().mean())
        if self.mode == "radius" or active >= 0.01:
            warn_if_constant(self, rows)
        else:
            warnings.warn(
                f"only {active:.2%} of the rows have a loss above eta={self.eta}: the others train nothing. Lower eta.",
                UserWarning,
                stacklevel=2,
            )
