import warnings

import numpy as np

from skfair.base import BaseNet, check_number, inner_estimator, takes
from skfair.functional import soft_cross_entropy, weighted_mean
from skfair.modules import MLP
from skfair.robust._erm import ERMClassifier
from skfair.robust._selection import BaseSelecting

__all__ = ["DistillationClassifier"]


class DistillationClassifier(BaseSelecting):
    r"""Knowledge distillation: a smaller network learns the soft labels of a larger one that was trained to overfit.

    .. math::
        L = \lambda\, T^2\, \mathrm{CE}\big(p^{(T)}, \mathrm{softmax}(z / T)\big) + (1 - \lambda)\, \mathrm{CE}(y, z),
        \qquad p^{(T)}_k \propto p_k^{1/T}

    with :math:`p` the teacher's probabilities. The gradient in the logits is :math:`\mathrm{softmax}(z) - p`: rows on
    which the teacher is unsure count less.

    ======================  ======  ===================================  ==========
    needs groups            at fit  to select                            at predict
    ======================  ======  ===================================  ==========
    DistillationClassifier  no      only by ``selection="worst_group"``  no
    ======================  ======  ===================================  ==========

    Parameters
    ----------
    teacher : classifier, optional
        Any classifier with ``predict_proba``; it is cloned, or used as it is inside a
        :class:`sklearn.frozen.FrozenEstimator`. By
        default a network (256, 256, 256) without dropout or penalty, trained for ``teacher_epochs``. Where X holds texts
        it is given their token ids: a net of skfair, by default one with the student's own module.
    teacher_epochs : int, default=200
        Of the default teacher.
    out_of_fold : int, optional
        Number of folds: each row's soft labels come from a teacher that has not seen it. None: one teacher, on all rows.
    share : float, default=1.0
        :math:`\lambda`, in [0, 1]. 0 is ERM.
    temperature : float, default=1.0
        :math:`T > 0`.
    selection : {"accuracy", "worst_class", "worst_group"}, optional
        Which epoch is kept, by held-out rows; None: the last.
    max_epochs : int, default=50
    **kwargs
        The other parameters of :class:`skfair.base.BaseNet`; the paper's student has ``module__hidden=(64, 32)``.

    Attributes
    ----------
    teacher_ : classifier
        Not used in ``predict``. With ``out_of_fold`` the one that was trained on all rows but the last fold.
    teacher_entropy_ : float
        Mean entropy of the soft labels, in nats.
    classes_, module_, history
        As in the other estimators.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the teacher does not know the same classes.

    Warns
    -----
    UserWarning
        If the soft labels are hard (entropy below 0.001): the student then learns what ERM learns. Or if the student
        has more parameters than a teacher that is a network.

    Notes
    -----
    Rows of a later ``partial_fit`` whose class the teacher has not seen keep their own label.

    References
    ----------
    Chai, Jang, Wang, "Fairness without demographics through knowledge distillation", NeurIPS 2022.
    Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015.

    Examples
    --------
    >>> from sklearn.ensemble import HistGradientBoostingClassifier
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.robust import DistillationClassifier
    >>> data = make_biased_classification(500, random_state=0)
    >>> net = DistillationClassifier(teacher=HistGradientBoostingClassifier(max_iter=10), max_epochs=5, random_state=0)
    >>> net.fit(data.data, data.target).predict_proba(data.data).shape
    (500, 2)
    """

    shares_rows = True
    stacks_over = ("share", "temperature")
    only_in_training = ("teacher_",)
    input_stages = ("teacher_", "teacher_entropy_")

    def __init__(
        self, *, teacher=None, teacher_epochs=200, out_of_fold=None, share=1.0, temperature=1.0, max_epochs=50, **kwargs
    ):  # fmt: skip
        super().__init__(max_epochs=max_epochs, **kwargs)
        self.teacher = teacher
        self.teacher_epochs = teacher_epochs
        self.out_of_fold = out_of_fold
        self.share = share
        self.temperature = temperature

    def check_parameters(self):
        check_number("teacher_epochs", self.teacher_epochs, low=1, integer=True)
        check_number("share", self.share, low=0)
        check_number("share", self.share, high=1)
        check_number("temperature", self.temperature, low=0, closed=False)
        if self.out_of_fold is not None:
            check_number("out_of_fold", self.out_of_fold, low=2, integer=True)
        if self.teacher is not None and not hasattr(self.teacher, "predict_proba"):
            raise ValueError(f"teacher must have predict_proba, got {type(self.teacher).__name__}.")

    def fit_text_encoder(self, texts):
        """A frozen teacher that was fitted on texts has token ids of its own: the student takes them over."""
        inner = inner_estimator(self.teacher)
        frozen = inner is not self.teacher  # any other teacher is cloned, and fitted on the student's ids
        return inner.text_encoder_ if frozen and hasattr(inner, "text_encoder_") else super().fit_text_encoder(texts)

    def default_teacher(self):
        """An unfitted network that is larger than most students; one that reads token ids where rows are such."""
        module = self.module_class()
        wide = dict(module=MLP, module__hidden=(256, 256, 256), module__dropout=0.0)
        own = {} if takes(module, "max_length") or hasattr(module, "max_length") else wide
        return self.stage(ERMClassifier, weight_decay=0.0, max_epochs=self.teacher_epochs, **own)

    def prepare(self, X, y, *, sensitive_features, sample_weight):
        teacher, metadata = self.teacher, dict(sensitive_features=sensitive_features, sample_weight=sample_weight)
        if self.reads_text_ and not (teacher is None or isinstance(inner_estimator(teacher), BaseNet)):
            raise ValueError(
                f"teacher must be a net of skfair where X holds texts, as it is given their token ids; got {teacher!r}."
            )
        teacher = self.default_teacher() if teacher is None else teacher
        if self.out_of_fold is not None:
            self.teacher_, self._soft = self.fit_folds("teacher", teacher, X, y, self.out_of_fold, **metadata)
        else:
            if self.teacher is None:
                self.teacher_ = self.train_stage(teacher, X, y, self.teacher_epochs, sample_weight=sample_weight)
            else:
                self.teacher_ = self.fit_stage("teacher", teacher, X, y, **metadata)
            self._soft = self.probabilities_of(self.teacher_, X, y)
        p = np.clip(self._soft, 1e-30, None)
        self.teacher_entropy_ = float(-(p * np.log(p)).sum(1).mean())
        if self.teacher_entropy_ < 1e-3:
            warnings.warn(
                f"the teacher's soft labels are hard (mean entropy {self.teacher_entropy_:.1e} nats): the student "
                "learns what ERM learns. Use a teacher that fits less, out_of_fold=, or a higher temperature.",
                UserWarning,
                stacklevel=2,
            )
        return sample_weight

    def extras(self, X, y):
        soft = vars(self).pop("_soft", None)  # of prepare; a later partial_fit asks the teacher
        return self.probabilities_of(self.teacher_, X, y, strict=False) if soft is None else soft

    def adapt_module(self, module):
        other = getattr(getattr(self, "teacher_", None), "module_", module)
        own, teacher = (sum(p.numel() for p in net.parameters()) for net in (module, other))
        if own > teacher:
            warnings.warn(
                f"the student has {own:,} parameters, the teacher {teacher:,}: it should be the smaller one.",
                UserWarning,
                stacklevel=2,
            )
        return module

    def objective(self, output, batch):
        if not self.module_.training:
            return super().objective(output, batch)
        soft = soft_cross_entropy(output, batch.extra, self.temperature)
        hard = self.losses(output, batch)
        return weighted_mean(self.share * soft + (1 - self.share) * hard, batch.weight)
