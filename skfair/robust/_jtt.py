import warnings

import torch

from skfair.base import BaseClassifier, check_choice, check_number
from skfair.robust._erm import ERMClassifier
from skfair.robust._selection import BaseSelecting

__all__ = ["JTTClassifier"]


class JTTClassifier(BaseSelecting):
    r"""Just train twice: a short first training finds the rows that it gets wrong; the second one sees them more often.

    .. math::
        E = \{i : \hat f_{id}(x_i) \ne y_i\}, \qquad
        \min_\theta \sum_{i \in E} \lambda\, \ell(f_\theta(x_i), y_i) + \sum_{i \notin E} \ell(f_\theta(x_i), y_i)

    =============  ======  ===================================  ==========
    needs groups   at fit  to select                            at predict
    =============  ======  ===================================  ==========
    JTTClassifier  no      only by ``selection="worst_group"``  no
    =============  ======  ===================================  ==========

    Parameters
    ----------
    first_epochs : int, default=5
        T, of the first training.
    upweight : float, default=20
        :math:`\lambda`. A whole number with ``how="repeat"``.
    upweight_mode : {"paper", "code"}, default="paper"
        Whether a row of E comes :math:`\lambda` times or, as in the released code, :math:`1 + \lambda` times.
    how : {"repeat", "sample", "weight"}, default="repeat"
        Rows of E are in each epoch that many times (which becomes longer); or are drawn in proportion, with
        replacement; or their losses are multiplied.
    error_set : {"eval", "online"}, default="eval"
        Whether E holds what the first network gets wrong after T epochs, or what it got wrong while it was trained in
        the epoch after, as in the released code.
    selection : {"accuracy", "worst_class", "worst_group"}, optional
        Which epoch of the second training is kept, by held-out rows; None: the last.
    optimizer, lr, weight_decay, batch_size
        SGD with momentum 0.9, rate 0.01, L2 penalty 0.01, batches of 128; of both trainings.
    **kwargs
        The other parameters of :class:`skfair.base.BaseNet`.

    Attributes
    ----------
    first_net_ : estimator
        The first network; not used in ``predict``.
    error_set_ : bool array of shape (n,)
        Which rows of X are in E. For the rows of a later ``partial_fit`` the first network is asked as it is.
    classes_, module_, history
        As in the other estimators.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Warns
    -----
    UserWarning
        If E is empty: the second training is then ERM.

    Notes
    -----
    The published runs: Waterbirds T=60, :math:`\lambda`=100, learning rate 1e-5, penalty 1; CelebA 1, 50,
    1e-5, 0.1; MultiNLI 2, 4; CivilComments 2, 6. T and :math:`\lambda` were chosen by the worst group's accuracy on
    rows with known groups.

    On tables with noisy labels the error set is mostly what nobody can get right, and a large :math:`\lambda` turns the
    network against the labels: look at the accuracy on held-out rows.

    With held-out rows the first network is trained on them as well; they are not among those repeated.

    References
    ----------
    Liu et al., "Just train twice: improving group robustness without training group information", ICML 2021.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.robust import JTTClassifier
    >>> data = make_biased_classification(500, random_state=0)
    >>> net = JTTClassifier(first_epochs=2, upweight=5, max_epochs=5, random_state=0).fit(data.data, data.target)
    >>> net.predict_proba(data.data).shape
    (500, 2)
    """

    shares_rows = True
    stacks_over = ("upweight",)
    input_stages = ("first_net_", "error_set_")

    def __init__(
        self, *, first_epochs=5, upweight=20, upweight_mode="paper", how="repeat", error_set="eval",
        optimizer=torch.optim.SGD, lr=0.01, weight_decay=0.01, batch_size=128, **kwargs,
    ):  # fmt: skip
        super().__init__(optimizer=optimizer, lr=lr, weight_decay=weight_decay, batch_size=batch_size, **kwargs)
        self.first_epochs = first_epochs
        self.upweight = upweight
        self.upweight_mode = upweight_mode
        self.how = how
        self.error_set = error_set

    def check_parameters(self):
        check_number("first_epochs", self.first_epochs, low=1, integer=True)
        check_choice("upweight_mode", self.upweight_mode, {"paper", "code"})
        check_choice("how", self.how, {"repeat", "sample", "weight"})
        check_choice("error_set", self.error_set, {"eval", "online"})
        if self.error_set == "online" and self.trains_ensemble():
            raise ValueError(f"error_set='online' keeps one answer of each row: module={self.module!r} is an ensemble.")
        check_number("upweight", self.upweight, low=0, integer=self.how == "repeat")
        if self.how == "repeat" and self.times_ < 1:
            raise ValueError(f"upweight must be >= 1 with upweight_mode='paper', got {self.upweight}.")

    @property
    def times_(self):
        """How often a row of E comes."""
        return self.upweight + (1 if self.upweight_mode == "code" else 0)

    def prepare(self, X, y, *, sensitive_features, sample_weight):
        online = self.error_set == "online"
        self.first_net_ = self.stage(_Remembering if online else ERMClassifier)
        for _ in range(self.first_epochs + online):  # not fit: y may lack some of the classes
            self.first_net_.partial_fit(X, y, classes=self.classes_, sample_weight=sample_weight)
            if self.first_net_.interrupted_:
                break
        if online:
            self.error_set_ = self.first_net_.state_.wrong.cpu().numpy().astype(bool)
        else:
            self.error_set_ = self.first_net_.predict(X) != y
        self._errors = self.error_set_
        if not self.error_set_.any():
            warnings.warn(
                f"the first network is right on all rows after first_epochs={self.first_epochs}: the second training is "
                "ERM.",
                UserWarning,
                stacklevel=2,
            )
        return sample_weight

    def extras(self, X, y):
        fresh = vars(self).pop("_errors", None)  # of prepare; of a later partial_fit: what the first network gets wrong
        return (self.first_net_.predict(X) != y if fresh is None else fresh)[:, None]

    def epoch_rows(self, rows):
        wrong = rows.y["extra"][:, 0] > 0
        if self.how != "repeat":
            return None
        return torch.arange(len(rows), device=wrong.device).repeat_interleave(torch.where(wrong, self.times_, 1))

    def sampling_weights(self, rows):
        if self.how != "sample":
            return None
        return torch.where(rows["extra"][:, 0] > 0, float(self.times_), 1.0)

    def losses(self, logits, batch):
        losses = super().losses(logits, batch)
        if self.how == "weight" and self.module_.training:
            losses = torch.where(batch.extra[:, 0] > 0, self.times_ * losses, losses)
        return losses


class _Remembering(BaseClassifier):
    """ERM that remembers which rows it got wrong when it last saw them in training."""

    needs_sensitive = False
    shares_rows = True

    def make_state(self, rows):
        return {"wrong": torch.zeros(int(rows["index"].max()) + 1, device=rows["y"].device)}

    def objective(self, output, batch):
        wrong = (output.detach().argmax(1) != batch.y).float()
        self.state_.wrong = self.state_.wrong.index_put((batch.index,), wrong)
        return super().objective(output, batch)
