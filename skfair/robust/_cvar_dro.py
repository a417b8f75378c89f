from skfair.base import check_number
from skfair.functional import cvar_weights, weighted_mean
from skfair.robust._selection import BaseSelecting, warn_if_constant

__all__ = ["CVaRDROClassifier"]


class CVaRDROClassifier(BaseSelecting):
    r"""Conditional value at risk: minimise the mean loss of the fraction of rows that fares worst.

    .. math::
        \min_\theta \max_w \mathbb{E}[w \ell] \quad \text{over} \quad \mathbb{E}[w] = 1,\ 0 \le w \le 1/\alpha

    In each minibatch that is the mean of the largest :math:`\alpha m` losses, the row at the border counting in part.

    =================  ======  ===================================  ==========
    needs groups       at fit  to select                            at predict
    =================  ======  ===================================  ==========
    CVaRDROClassifier  no      only by ``selection="worst_group"``  no
    =================  ======  ===================================  ==========

    Parameters
    ----------
    alpha : float, default=0.1
        The fraction, in (0, 1]. 1 is ERM.
    selection : {"accuracy", "worst_class", "worst_group"}, optional
        Which epoch is kept, by held-out rows; None: the last.
    batch_size : int, default=256
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
        If the net says the same of all rows.

    Notes
    -----
    It follows the largest losses, so also wrong labels. Where labels are noisy and ``alpha`` is small, its answer is
    the same probability for every row, whose gap of 0 is a constant's: a warning says so; begin with ``alpha=0.5``.

    References
    ----------
    Levy, Carmon, Duchi, Sidford, "Large-scale methods for distributionally robust optimization", NeurIPS 2020.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.robust import CVaRDROClassifier
    >>> data = make_biased_classification(500, random_state=0)
    >>> net = CVaRDROClassifier(alpha=0.5, max_epochs=5, random_state=0).fit(data.data, data.target)
    >>> net.predict_proba(data.data).shape
    (500, 2)
    """

    shares_rows = True
    stacks_over = ("alpha",)

    def __init__(self, *, alpha=0.1, batch_size=256, weight_decay=1e-4, **kwargs):
        super().__init__(batch_size=batch_size, weight_decay=weight_decay, **kwargs)
        self.alpha = alpha

    def check_parameters(self):
        check_number("alpha", self.alpha, low=0, closed=False)
        check_number("alpha", self.alpha, high=1)

    def objective(self, output, batch):
        losses = self.losses(output, batch)
        return weighted_mean(cvar_weights(losses, self.alpha, batch.weight) * losses, batch.weight)

    def complete(self, rows):
        warn_if_constant(self, rows)
