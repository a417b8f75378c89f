import torch

from skfair.base import BaseClassifier, check_choice, check_number
from skfair.regularization._penalties import PENALTIES
from skfair.regularization._statistics import CONDITIONS, conditions

__all__ = ["RegularizedClassifier"]


class RegularizedClassifier(BaseClassifier):
    r"""Add to the loss how far the groups are from a fairness constraint, on soft predictions.

    .. math:: \min_\theta \frac1n \sum_i w_i\, \ell(f_\theta(x_i), y_i) + \beta \sum_c R\big(\{p_i, s_i : i \in c\}\big)

    with :math:`p_i` the predicted probabilities, :math:`c` the conditions of the constraint (all rows; the positive rows;
    each class) and :math:`R` the penalty on the difference between the groups. With ``constraint="equalized_odds"`` and
    ``penalty="gap"`` this is EOR, the equalized odds regulariser of the RNF paper.

    =====================  ======  =========  ==========
    needs groups           at fit  to select  at predict
    =====================  ======  =========  ==========
    RegularizedClassifier  yes     no         no
    =====================  ======  =========  ==========

    Parameters
    ----------
    constraint : {"demographic_parity", "equal_opportunity", "equalized_odds"}, default="demographic_parity"
    strength : float, default=1.0
        :math:`\beta \ge 0`. 0 is ERM, to the last bit.
    penalty : {"gap", "absolute", "squared", "hsic"}, default="gap"
        "gap": the largest difference between two groups' mean predictions. "absolute", "squared": the sum over the
        groups of their distance to the mean of all. "hsic": the Hilbert-Schmidt independence criterion, which compares
        whole distributions. On Adult it is the better one for demographic parity (strength 20 to 40): the other three
        equalise mean probabilities, and the gap of the decisions levels off. Too strong, it ends in a constant.
    pos_label : label, optional
        The positive class of "equal_opportunity"; by default the last of ``classes_``.
    batch_size : int, default=256
        The rates are estimated within a batch, and the penalty is biased upwards by their noise: a batch should hold
        tens of rows of each group (and class).
    **kwargs
        The other parameters of :class:`skfair.base.BaseNet`.

    Attributes
    ----------
    classes_, groups_, module_, history
        As in the other estimators.

    Raises
    ------
    ValueError
        If no sensitive features are given, there is only one group, or a parameter is out of its range.

    Notes
    -----
    NOTE[DIFF] Eq. 7 of the RNF paper sums signed differences of hard rates: it has no gradient, no lower bound, and its
    two terms can cancel. Here the rates are soft (the mean of :math:`p`) and the differences absolute. Cells that a batch
    lacks are skipped.

    References
    ----------
    Du, Mukherjee, Wang, Tang, Awadallah, Hu, "Fairness via representation neutralization", NeurIPS 2021 (EOR).
    Gretton et al., "Measuring statistical dependence with Hilbert-Schmidt norms", ALT 2005 (HSIC).

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.metrics import demographic_parity_difference
    >>> from skfair.regularization import RegularizedClassifier
    >>> data = make_biased_classification(1000, random_state=0)
    >>> X, y, s = data.data, data.target, data.sensitive_features
    >>> gaps = []
    >>> for strength in (0.0, 3.0):
    ...     net = RegularizedClassifier(strength=strength, random_state=0).fit(X, y, sensitive_features=s)
    ...     gaps.append(demographic_parity_difference(y, net.predict(X), sensitive_features=s))
    >>> gaps[1] < gaps[0]
    True
    """

    min_groups = 2
    shares_rows = True
    stacks_over = ("strength",)

    def __init__(
        self, *, constraint="demographic_parity", strength=1.0, penalty="gap", pos_label=None, batch_size=256, **kwargs
    ):
        super().__init__(batch_size=batch_size, **kwargs)
        self.constraint = constraint
        self.strength = strength
        self.penalty = penalty
        self.pos_label = pos_label

    def check_parameters(self):
        check_choice("constraint", self.constraint, CONDITIONS)
        check_choice("penalty", self.penalty, PENALTIES)
        check_number("strength", self.strength, low=0)

    def objective(self, output, batch):
        return super().objective(output, batch) + self.strength * self.unfairness(output, batch)

    def unfairness(self, logits, batch):
        """The penalty of a minibatch, a tensor of shape ()."""
        p = torch.softmax(logits, -1)
        p = p[:, 1:] if self.n_classes_ == 2 else p  # the rates of two classes differ by the same amount
        penalty = PENALTIES[self.penalty]
        positive = self.positive_code(self.pos_label)
        masks = conditions(self.constraint, batch.y, self.n_classes_, positive)
        outside = torch.full_like(batch.group, -1)
        return sum(penalty(p, torch.where(mask, batch.group, outside), self.n_groups_, batch.weight) for mask in masks)
