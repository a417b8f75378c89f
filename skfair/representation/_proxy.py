import numpy as np

from skfair.base import BaseClassifier, check_number
from skfair.functional import generalized_cross_entropy

__all__ = ["ProxyAnnotator"]


class ProxyAnnotator(BaseClassifier):
    r"""Annotations that stand for unknown groups, from the confidence of a bias-amplified network.

    The network is trained with the generalised cross entropy, which favours rows that are easy already, and so, where
    a group is privileged, its desired outcomes:

    .. math:: \min_\theta \frac1n \sum_i w_i \frac{1 - p_{i, y_i}^{\,q}}{q}

    A row is annotated as privileged if :math:`p(y = + \mid x)` is among the fraction :math:`\gamma` of largest values
    *within its label*: confident rows of the desired label and unconfident ones of the other.

    ==============  ======  =========  ==========
    needs groups    at fit  to select  at predict
    ==============  ======  =========  ==========
    ProxyAnnotator  no      no         no
    ==============  ======  =========  ==========

    Real sensitive features are never looked at. How good the annotations are can only be told where groups are known: on
    Adult the correlation (phi) with sex is about 0.3 within the negative and 0.05 within the positive label, on MEPS with
    race 0.28 and 0.14 (``docs/representation.md``).

    Parameters
    ----------
    q : float, default=0.2
        In (0, 1]. The paper's: 0.2 for Adult, 0.6 for MEPS, 0.3 for CelebA.
    gamma : float, default=0.5
        Fraction of each label's rows that is annotated as privileged.
    pos_label : label or list of labels, optional
        The desired label; by default the last of ``classes_``. A list of K labels makes K groups, one versus the rest:
        a row belongs to that label's privileged for which its rank within its own label is the highest.
    **kwargs
        The other parameters of :class:`skfair.base.BaseNet`.

    Attributes
    ----------
    classes_, module_, history
        As in the other estimators.

    Raises
    ------
    ValueError
        If a parameter is out of its range or a desired label is none of the classes.

    Notes
    -----
    NOTE[DIFF] The paper gives no value of :math:`\gamma` and does not say of what it is the fraction; it chooses it by
    the fairness on validation rows, which needs the groups that the method is to do without.

    References
    ----------
    Du, Mukherjee, Wang, Tang, Awadallah, Hu, "Fairness via representation neutralization", NeurIPS 2021.
    Zhang, Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels", NeurIPS 2018.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.representation import ProxyAnnotator
    >>> data = make_biased_classification(500, random_state=0)
    >>> X, y = data.data, data.target
    >>> proxy = ProxyAnnotator(gamma=0.3, max_epochs=5, random_state=0).fit(X, y)
    >>> annotation = proxy.annotate(X, y)
    >>> bool(abs(annotation[y == 1].mean() - 0.3) < 0.01)
    True
    """

    needs_sensitive = False
    shares_rows = True
    stacks_over = ()

    def __init__(self, *, q=0.2, gamma=0.5, pos_label=None, **kwargs):
        super().__init__(**kwargs)
        self.q = q
        self.gamma = gamma
        self.pos_label = pos_label

    def check_parameters(self):
        check_number("q", self.q, low=0, closed=False)
        check_number("q", self.q, high=1)
        check_number("gamma", self.gamma, low=0, high=1)

    def positive_code(self, pos_label=None):
        codes = [super(ProxyAnnotator, self).positive_code(label) for label in self._desired(pos_label)]
        return codes[-1]

    @staticmethod
    def _desired(pos_label):
        return list(pos_label) if isinstance(pos_label, list | tuple | np.ndarray) else [pos_label]

    def losses(self, logits, batch):
        return generalized_cross_entropy(logits, batch.y, self.q)

    def annotate(self, X, y, *, soft=False):
        """Annotate rows with known labels.

        Parameters
        ----------
        X : array-like of shape (n, ...)
        y : array-like of shape (n,)
        soft : bool, default=False
            Return how privileged a row is instead of a group.

        Returns
        -------
        array
            int64 of shape (n,): 1 is privileged; with a list of K desired labels the number of the label. With ``soft``
            the rank within the label, in (0, 1), of shape (n,) or (n, K).
        """
        y = np.asarray(y)
        unseen = np.setdiff1d(y, self.classes_).tolist()
        if unseen:
            raise ValueError(f"y has the labels {unseen}, which are not among the classes {self.classes_.tolist()}.")
        codes = [super(ProxyAnnotator, self).positive_code(label) for label in self._desired(self.pos_label)]
        p = self.predict_proba(X)[:, codes]
        if len(p) != len(y):
            raise ValueError(f"X has {len(p)} rows, y has {len(y)}.")
        rank = np.stack([_rank_within(column, y) for column in p.T], 1)  # (n, K)
        if len(codes) > 1:
            return rank if soft else rank.argmax(1)
        return rank[:, 0] if soft else (rank[:, 0] > 1 - self.gamma).astype(np.int64)


def _rank_within(score, y):
    """Rank of each row's score among those of its label, in (0, 1); the order decides between equals."""
    rank = np.empty(len(y))
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        rank[rows[np.argsort(score[rows], kind="stable")]] = (np.arange(len(rows)) + 0.5) / len(rows)
    return rank
