from skfair.augmentation._latent_debiasing import LatentDebiasingSampler
from skfair.base._resampled import BaseResampled
from skfair.robust import ERMClassifier

__all__ = ["Resampled"]


class Resampled(BaseResampled):
    r"""A sampler in front of a classifier: rows are resampled at fit, and their sensitive features with them.

    A pipeline of imbalanced-learn hands on X and y; what else belongs to the rows, such as sensitive features, keeps its
    old length. Here rows, labels and groups stay together, so that a method which needs groups (Group DRO) sees those of
    the rows it is trained on. Predictions are the classifier's: nothing is resampled there.

    It is a classifier like any other: a step of scikit-learn's Pipeline, the estimator of a search
    (``sampler__n_synthetic``, ``estimator__step_size``).

    ============  ==================================  ================  ==========
    needs groups  at fit                              to select         at predict
    ============  ==================================  ================  ==========
    Resampled     if its sampler or its estimator do  as its estimator  no
    ============  ==================================  ================  ==========

    Parameters
    ----------
    sampler : sampler, optional
        Any of skfair or imbalanced-learn; it is cloned. By default :class:`LatentDebiasingSampler`.
    estimator : classifier, optional
        Any classifier, or a Pipeline; it is cloned. By default :class:`skfair.robust.ERMClassifier`. It is given the
        groups of the resampled rows if its ``fit`` takes them.
    balance : {"cell", "label"}, default="cell"
        What a sampler that knows labels only (SMOTE, random over- and undersampling) evens out. "cell": it is given the
        combination of label and group as its label, so that each new row has both. "label": it is asked within each group
        by itself. A sampler whose ``fit_resample`` takes ``sensitive_features`` decides by itself.
    sensitive_columns : str, int, list of these, or callable, optional
        Where in X the sensitive features stand, if they are not given to ``fit``.

    Attributes
    ----------
    sampler_ : sampler
    estimator_ : classifier
    classes_ : array of shape (K,)

    Raises
    ------
    ValueError
        If there is no sampler or no estimator, or whatever these find wrong.

    Notes
    -----
    There is no ``sample_weight``: the weights of rows that did not exist before are not known. Without sensitive features
    the sampler resamples by labels, as in imbalanced-learn.

    A ``sampling_strategy`` that names labels has to name cells: the code of the label times the number of groups plus the
    code of the group, both in sorted order.

    References
    ----------
    Lemaitre, Nogueira, Aridas, "Imbalanced-learn", JMLR 2017.

    Examples
    --------
    >>> from imblearn.over_sampling import SMOTE
    >>> from skfair.augmentation import Resampled
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.robust import GroupDROClassifier
    >>> data = make_biased_classification(500, random_state=0)
    >>> net = Resampled(SMOTE(random_state=0), GroupDROClassifier(max_epochs=3, random_state=0))
    >>> net = net.fit(data.data, data.target, sensitive_features=data.sensitive_features)
    >>> net.predict(data.data).shape
    (500,)
    """

    def default_sampler(self):
        return LatentDebiasingSampler()

    def default_estimator(self):
        return ERMClassifier()
