import copy

import numpy as np
import torch
from torch import nn

from skfair.base import BaseClassifier, check_choice, check_number
from skfair.functional import pick, weighted_mean
from skfair.representation._proxy import ProxyAnnotator
from skfair.robust import ERMClassifier

__all__ = ["RNFClassifier"]

LAMBDAS = (0.6, 0.7, 0.8, 0.9)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


class RNFClassifier(BaseClassifier):
    r"""Representation neutralisation: a new head that cannot tell rows of equal label and other group apart.

    A teacher is trained as usual and its encoder :math:`g` is frozen. A fresh head :math:`c` is trained on mixtures of the
    codes :math:`z = g(x)` of pairs with the *same label and another group*, towards the teacher's mean probabilities:

    .. math::
        \bar z = \tfrac12 (z_i + z_j), \quad \bar p = \tfrac12 (p_i + p_j), \quad
        L = \| c(\bar z) - \bar p \|_2^2
        + \alpha \sum_{\lambda \in \{.6, .7, .8, .9\}} \big\| c(\lambda z_i + (1 - \lambda) z_j) - c(\bar z) \big\|_1

    with :math:`p = \mathrm{softmax}(\text{teacher's logits} / T)`. Without :math:`\alpha` nothing is mitigated: all of it
    comes from the second term. With more than two groups (Eq. 19) a row of each group is drawn, the target is the mean of
    all, and :math:`c(\sum_k \lambda_k z_k / \sum_k \lambda_k)` is compared with :math:`c(\bar z)`,
    :math:`\lambda_k \sim U[0, 1]`.

    =============  ===============================  =========  ==========
    needs groups   at fit                           to select  at predict
    =============  ===============================  =========  ==========
    RNFClassifier  only by ``annotations="given"``  no         no
    =============  ===============================  =========  ==========

    Parameters
    ----------
    alpha : float, default=0.064
        :math:`\alpha \ge 0`. Too large, it ends in a constant.
    temperature : float, default=2.0
        :math:`T \ge 1`, of the teacher's probabilities alone.
    annotations : {"given", "proxy", "random"}, ProxyAnnotator or array of shape (n,), default="given"
        The groups of the pairs: the sensitive features (RNF_GT in the paper), those of a :class:`ProxyAnnotator` (RNF; an
        instance sets its parameters), random ones (the control), or these.
    smooth_reduction : {"mean", "sum"}, default="mean"
        How the second term is reduced over the rows of a batch. "sum" is what the released script does: its weight then
        grows with the batch, so that ``alpha`` means ``alpha * batch_size`` under "mean".
    head_init : {"fresh", "teacher"}, default="fresh"
    teacher_mode : {"train", "eval"}, default="train"
        Whether codes and targets carry the teacher's dropout, as in the released script. Batch norms of the frozen
        encoder stand still in either.
    teacher_epochs : int, default=9
    max_epochs : int, default=4
        Of the head.
    **kwargs
        The other parameters of :class:`skfair.base.BaseNet`; the module needs an ``encoder`` and a ``head``.

    Attributes
    ----------
    teacher_ : ERMClassifier
        Its head is not used in ``predict``.
    annotator_ : ProxyAnnotator
        With proxies.
    classes_, groups_, module_, history
        As in the other estimators.

    Raises
    ------
    ValueError
        If a parameter is out of its range, groups are missing where they are needed, or the module has no encoder.

    Notes
    -----
    The settings of the paper's tables and of the released script (``smooth_reduction="sum"``, batch 64):

    ==============  ===========  =====  ======================================================================
    data            temperature  q      alpha
    ==============  ===========  =====  ======================================================================
    Adult           2            0.2    not given; 0.001 ("sum"), 0.064 ("mean") is useful
    MEPS            5            0.6    0.035 in the script, which ends in a constant; 0.0001 to 0.0003 is useful
    CelebA          2            0.3    not given
    ==============  ===========  =====  ======================================================================

    NOTE[DIFF] A row without a partner of its label in another group takes one of its own group, as the script does.
    NOTE[DIFF] The proxies' fraction ``gamma`` is not given in the paper; see :class:`ProxyAnnotator`.
    NOTE[DIFF] With sample weights partners are drawn in proportion to them.
    NOTE[DIFF] Held-out rows are watched by the cross entropy of the head.

    References
    ----------
    Du, Mukherjee, Wang, Tang, Awadallah, Hu, "Fairness via representation neutralization", NeurIPS 2021.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.representation import RNFClassifier
    >>> data = make_biased_classification(500, random_state=0)
    >>> net = RNFClassifier(random_state=0).fit(data.data, data.target, sensitive_features=data.sensitive_features)
    >>> net.predict_proba(data.data).shape
    (500, 2)
    """

    stacks_over = ("alpha",)

    def __init__(
        self, *, alpha=0.064, temperature=2.0, annotations="given", smooth_reduction="mean", head_init="fresh",
        teacher_mode="train", teacher_epochs=9, max_epochs=4, **kwargs,
    ):  # fmt: skip
        super().__init__(max_epochs=max_epochs, **kwargs)
        self.alpha = alpha
        self.temperature = temperature
        self.annotations = annotations
        self.smooth_reduction = smooth_reduction
        self.head_init = head_init
        self.teacher_mode = teacher_mode
        self.teacher_epochs = teacher_epochs

    def check_parameters(self):
        check_number("alpha", self.alpha, low=0)
        check_number("temperature", self.temperature, low=1)
        check_number("teacher_epochs", self.teacher_epochs, low=1, integer=True)
        if self.trains_ensemble():
            raise ValueError(f"module must have an encoder and a head, got {self.module!r}, which is an ensemble.")
        check_choice("smooth_reduction", self.smooth_reduction, {"mean", "sum"})
        check_choice("head_init", self.head_init, {"fresh", "teacher"})
        check_choice("teacher_mode", self.teacher_mode, {"train", "eval"})
        if isinstance(self.annotations, str):
            check_choice("annotations", self.annotations, {"given", "proxy", "random"})

    def _given(self):
        return isinstance(self.annotations, str) and self.annotations == "given"

    @property
    def needs_sensitive(self):
        return self._given()

    # ------------------------------------------------------------------ the stages before the head
    def prepare(self, X, y, *, sensitive_features, sample_weight):
        if self._given() and self.n_groups_ < 2:
            raise ValueError(
                f"RNFClassifier needs at least 2 groups, but sensitive_features has only one: {self.groups_[0]}."
            )
        if not isinstance(self.annotations, str) and not hasattr(self.annotations, "annotate"):
            self._check_length(y)
        self.teacher_ = self.stage(ERMClassifier)
        for _ in range(self.teacher_epochs):  # not fit: y may lack some of the classes
            self.teacher_.partial_fit(X, y, classes=self.classes_, sample_weight=sample_weight)
        if not all(hasattr(self.teacher_.module_, part) for part in ("encoder", "head")):
            raise ValueError(f"module must have an encoder and a head, got {type(self.teacher_.module_).__name__}.")
        annotator = copy.deepcopy(self.annotations)
        if isinstance(annotator, str) and annotator == "proxy":
            annotator = self.stage(ProxyAnnotator, max_epochs=self.teacher_epochs)
        if hasattr(annotator, "annotate"):
            if annotator.random_state is None:
                annotator.random_state = self.streams_.seed_of("annotator") % 2**31
            self.annotator_ = annotator.fit(X, y, sample_weight=sample_weight)
        return sample_weight

    def training_groups(self, X, y, group):
        if self._given():
            codes = group
        elif isinstance(self.annotations, str) and self.annotations == "random":
            codes = self.streams_.numpy("annotations").integers(2, size=len(y))
        elif hasattr(self.annotations, "annotate") or isinstance(self.annotations, str):
            codes = self.annotator_.annotate(X, y)
        else:
            self._check_length(y)
            codes = np.unique(self.annotations, return_inverse=True)[1]
        self.n_annotations_ = max(2, self.n_groups_ if self._given() else int(codes.max()) + 1)
        return codes

    def _check_length(self, y):
        if np.shape(self.annotations) != (len(y),):
            raise ValueError(f"annotations has the shape {np.shape(self.annotations)}, expected ({len(y)},).")

    def adapt_module(self, module):
        teacher = self.teacher_.module_
        module.encoder.load_state_dict(teacher.encoder.state_dict())
        module.encoder.requires_grad_(False)
        if self.head_init == "teacher":
            module.head.load_state_dict(teacher.head.state_dict())
        return module

    # ------------------------------------------------------------------ the head
    @property
    def n_draws(self):
        return 1 if self.n_annotations_ == 2 else 2 * self.n_annotations_

    def infer(self, x, **kwargs):
        """The codes and the teacher's logits of them."""
        noisy = self.module_.training and self.teacher_mode == "train"
        encoder, head = self.module_.encoder, self.teacher_.module_.head
        for frozen in (encoder, head):
            keep_still(frozen, noisy)
        z = encoder(x).flatten(1)
        return z, head(z)

    def objective(self, output, batch):
        z, teacher = output
        if not self.module_.training:
            return weighted_mean(self.losses(self.main_output(self.module_.head(z)), batch), batch.weight)
        p = torch.softmax(self.main_output(teacher) / self.temperature, -1)
        mix = self._pair if self.n_annotations_ == 2 else self._all_groups
        mean, mean_p, mixtures = mix(z, p, batch)
        q = self._head(mean)
        neutral = (q - mean_p).square().mean(1)
        smooth = sum((self._head(mixture) - q).abs().sum(1) for mixture in mixtures)
        scale = len(z) if self.smooth_reduction == "sum" else 1
        return weighted_mean(neutral, batch.weight) + self.alpha * scale * weighted_mean(smooth, batch.weight)

    def _head(self, z):
        return torch.softmax(self.main_output(self.module_.head(z)), -1)

    def _pair(self, z, p, batch):
        """Mean code, mean probabilities and mixtures of each row and its partner."""
        j = partner(batch.y, batch.group, batch.weight, batch.draw[:, 0])
        return (z + z[j]) / 2, (p + p[j]) / 2, [lam * z + (1 - lam) * z[j] for lam in LAMBDAS]

    def _all_groups(self, z, p, batch):
        """The same for a row of each group that the batch holds with this label (Eq. 19)."""
        n_groups = self.n_annotations_
        same = (batch.y.unsqueeze(1) == batch.y) * batch.weight
        found = [pick(same * (batch.group == k), batch.draw[:, k]) for k in range(n_groups)]
        index, present = (torch.stack(part, 1) for part in zip(*found))  # (n, K)
        equal = present / present.sum(1, keepdim=True).clamp_min(1)
        lam = batch.draw[:, n_groups:] * present
        total = lam.sum(1, keepdim=True)
        lam = torch.where(total > 1e-6, lam / total.clamp_min(1e-6), equal)
        mean, mixture = ((weight.unsqueeze(-1) * z[index]).sum(1) for weight in (equal, lam))
        return mean, (equal.unsqueeze(-1) * p[index]).sum(1), [mixture]


def keep_still(module, noisy):
    """Evaluation mode, in which batch norms do not move; dropout is drawn if wanted."""
    for part in module.modules():
        part.training = noisy and isinstance(part, DROPOUTS)


def partner(y, group, weight, draw):
    """For each row one of equal label and another group, by weight; without any, one of equal label (maybe itself)."""
    same = (y.unsqueeze(1) == y) * weight  # (n, n)
    other, found = pick(same * (group.unsqueeze(1) != group), draw)
    return torch.where(found, other, pick(same, draw)[0])
