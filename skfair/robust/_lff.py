import torch

from skfair.base import BaseTwoPlayerNet, check_choice, check_number
from skfair.functional import bias_weights, generalized_cross_entropy, weighted_mean
from skfair.robust._selection import BaseSelecting

__all__ = ["LfFClassifier"]


class LfFClassifier(BaseSelecting, BaseTwoPlayerNet):
    r"""Learning from failure: a second network is trained to be biased, and rows on which it fails count more.

    The biased network :math:`f_B` is trained by the generalised cross entropy, which favours what is easy; the other one,
    :math:`f_D`, on the rows that are hard for it:

    .. math::
        L_B = \frac1n \sum_i w_i \frac{1 - p_{B}(y_i)^q}{q}, \qquad
        L_D = \frac1n \sum_i w_i\, W_i\, \mathrm{CE}(f_D(x_i), y_i), \qquad W_i = \frac{B_i}{B_i + D_i}

    :math:`B_i` and :math:`D_i` are the running means of each row's cross entropy under the two, divided by the largest
    among all training rows of its class. Predictions are those of :math:`f_D`.

    =============  ======  ===================================  ==========
    needs groups   at fit  to select                            at predict
    =============  ======  ===================================  ==========
    LfFClassifier  no      only by ``selection="worst_group"``  no
    =============  ======  ===================================  ==========

    Parameters
    ----------
    q : float, default=0.7
        In (0, 1]; of the biased network's loss.
    ema : float, default=0.7
        In [0, 1): how much of the running mean is kept in each visit of a row. 0 takes the present losses.
    norm : {"max", "quantile", None}, default="max"
        By what the running means are divided, per class: the largest, as published (a single outlier then shrinks all
        other weights), the 99 % quantile, or nothing.
    gce_scale : {"paper", "code"}, default="paper"
        The released code multiplies :math:`L_B` by q, which matters to optimizers without a scale of their own (SGD).
    selection : {"accuracy", "worst_class", "worst_group"}, optional
        Which epoch is kept, by held-out rows; None: the last.
    batch_size : int, default=256
    **kwargs
        The other parameters of :class:`skfair.base.BaseTwoPlayerNet`; its adversary is the biased network.

    Attributes
    ----------
    adversary_ : torch.nn.Module
        The biased network, of the same kind; not used in ``predict``.
    classes_, module_, history
        As in the other estimators.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the module is an ensemble (:class:`skfair.modules.TabM`).

    Notes
    -----
    The published runs: Adam; coloured MNIST a multilayer perceptron of three layers of 100 units, 100 epochs, learning
    rate 1e-3; CelebA ResNet18, 1e-4. Where labels are noisy (most tables), rows that nobody can learn count most, and
    with the epochs the network turns to the opposite of the labels: AUC 0.25 on Adult. A smaller q or fewer epochs is no
    sure cure; look at the accuracy on held-out rows.

    References
    ----------
    Nam et al., "Learning from failure: training debiased classifier from biased classifier", NeurIPS 2020.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.robust import LfFClassifier
    >>> data = make_biased_classification(500, random_state=0)
    >>> net = LfFClassifier(max_epochs=5, random_state=0).fit(data.data, data.target)
    >>> net.predict_proba(data.data).shape
    (500, 2)
    """

    stacks_over = ("q", "ema")

    def __init__(self, *, q=0.7, ema=0.7, norm="max", gce_scale="paper", batch_size=256, **kwargs):
        super().__init__(batch_size=batch_size, **kwargs)
        self.q = q
        self.ema = ema
        self.norm = norm
        self.gce_scale = gce_scale

    def check_parameters(self):
        if self.trains_ensemble():
            raise ValueError(
                f"LfFClassifier keeps one loss of each row: module={self.module!r} is an ensemble, with many."
            )
        check_number("q", self.q, low=0, closed=False)
        check_number("q", self.q, high=1)
        check_number("ema", self.ema, low=0)
        check_number("ema", self.ema, high=1, closed=False)
        check_choice("gce_scale", self.gce_scale, {"paper", "code"})
        if self.norm is not None:
            check_choice("norm", self.norm, {"max", "quantile"})

    def make_adversary(self):
        return self.build("module", self.module_class(), **self.module_arguments())

    def make_state(self, rows):
        n = -(-(int(rows["index"].max()) + 1) // 1024) * 1024  # rounded up, so that nets of other folds can be stacked
        own = torch.where(rows["weight"] > 0, rows["y"], -1)
        label = torch.full((n,), -1, device=own.device).index_put((rows["index"],), own)
        unseen = torch.zeros(n, device=label.device)
        return {"biased": unseen, "debiased": unseen.clone(), "label": label}

    def renew_state(self, rows):
        new = {name: tensor.to(self.device_) for name, tensor in self.make_state(rows.y).items()}
        if not torch.equal(new["label"], self.state_.label):  # other rows than before
            for name, tensor in new.items():
                setattr(self.state_, name, tensor)

    def backward(self, output, batch):
        return self.joint_backward(output, batch)

    def objective(self, output, batch):
        losses = self.losses(output, batch)
        if not self.module_.training:
            return weighted_mean(losses, batch.weight)
        biased = self.main_output(self.adversary_(batch.x))
        B = self.relative("biased", self.losses(biased, batch).detach(), batch)
        D = self.relative("debiased", losses.detach(), batch)
        gce = generalized_cross_entropy(biased, batch.y, self.q) * (self.q if self.gce_scale == "code" else 1)
        return weighted_mean(bias_weights(B, D) * losses + gce, batch.weight)

    def relative(self, name, losses, batch):
        """Update the running means of these rows; return them, divided by the norm of their class."""
        old = getattr(self.state_, name)
        mine = old[batch.index]
        mixed = torch.where(mine > 0, self.ema * mine + (1 - self.ema) * losses, losses)  # first visit: the loss itself
        new = old.index_put((batch.index,), mixed)
        setattr(self.state_, name, new)
        if self.norm is None:
            return mixed
        norms = torch.stack([self._norm(torch.where(self.state_.label == k, new, 0.0)) for k in range(self.n_classes_)])
        return mixed / norms[batch.y].clamp_min(1e-30)

    def _norm(self, values):
        if self.norm == "max":
            return values.max()
        above = (0.01 * (values > 0).sum()).long()  # rows that may be larger
        return values.sort(descending=True).values.gather(0, above.unsqueeze(0)).squeeze(0)
