from skfair.base import BaseClassifier

__all__ = ["ERMClassifier"]


class ERMClassifier(BaseClassifier):
    r"""Empirical risk minimisation: the unmitigated network, and the first stage of many methods.

    .. math:: \min_\theta \frac1n \sum_i w_i\, \ell(f_\theta(x_i), y_i)

    =============  ======  =========  ==========
    needs groups   at fit  to select  at predict
    =============  ======  =========  ==========
    ERMClassifier  no      no         no
    =============  ======  =========  ==========

    Sensitive features are accepted and change nothing, unless ``early_stopping`` names a fairness metric.

    Parameters
    ----------
    **kwargs
        The parameters of :class:`skfair.base.BaseNet`: ``module``, ``lr``, ``max_epochs``, ``batch_size``,
        ``early_stopping``, ``device``, ``random_state`` and the others.

    Attributes
    ----------
    classes_ : array of shape (K,)
    module_ : torch.nn.Module
        The trained network.
    history : skorch.history.History
        One row per epoch.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.robust import ERMClassifier
    >>> data = make_biased_classification(500, random_state=0)
    >>> net = ERMClassifier(random_state=0).fit(data.data, data.target)
    >>> net.predict_proba(data.data).shape
    (500, 2)
    """

    needs_sensitive = False
    shares_rows = True
    stacks_over = ()
