import torch
from torch.nn.functional import cross_entropy

from skfair.base import FlooredScore, check_choice, check_number, spsa
from skfair.functional import project_out, weighted_mean
from skfair.reprogramming._base import BaseReprogrammed
from skfair.reprogramming._discriminator import Discriminator

__all__ = ["ReprogrammedClassifier"]


class ReprogrammedClassifier(BaseReprogrammed):
    r"""Fairness reprogramming: a trigger, the same for all rows, that makes a frozen model fair from outside.

    The model :math:`f^*` is never changed. What it is given is: :math:`f^*(m_\delta(x))`, with a trigger m of a few numbers
    :math:`\delta`, trained on a small tuning set against a discriminator d that tries to read the group from the model's
    output (for equalized odds also from the label):

    .. math::
        \min_\phi \mathrm{CE}_{adv}, \qquad \min_\delta\; L_{util} - \lambda\, \mathrm{CE}_{adv}, \qquad
        L_{util} = \mathrm{CE}\big(y, f^*(m_\delta(x))\big), \quad
        \mathrm{CE}_{adv} = \mathrm{CE}\big(s, d_\phi(f^*(m_\delta(x)), y)\big)

    With projection, for each tensor of the trigger, :math:`u = \nabla L_{util}` and :math:`a = \nabla \mathrm{CE}_{adv}`,
    the step goes against :math:`u - (u^\top \hat a)\, \hat a - \lambda a`.

    ======================  ======  ==========================  ==========
    needs groups            at fit  to select                   at predict
    ======================  ======  ==========================  ==========
    ReprogrammedClassifier  yes     only by ``early_stopping``  no
    ======================  ======  ==========================  ==========

    Parameters
    ----------
    estimator : fitted classifier or torch module, optional
        The model: a net of skfair or skorch, or a torch module whose output is logits. It is copied and never changed;
        ``clone`` hands it on as it is. The rows of ``fit`` are then all for the trigger, and should not be those that the
        model was trained on. Any other fitted classifier with ``predict_proba`` is taken as a black box (``gradient``).
        One that is not fitted, or None (an :class:`skfair.robust.ERMClassifier`), is trained first, on all rows but a share
        of ``tuning_fraction``.
    trigger : {"auto", "mask_patch", "additive", "patch", "border"} or torch.nn.Module class, default="auto"
        "mask_patch" and "additive" for tables, "patch" and "border" for images; "auto" is "mask_patch" or "patch". See
        :class:`skfair.modules.MaskPatchTrigger` and its neighbours; their parameters are set as ``trigger__size=4``.
    constraint : {"demographic_parity", "equalized_odds"}, default="demographic_parity"
    strength : float, default=1.0
        :math:`\lambda \ge 0`. 0 trains the trigger for accuracy alone: the discriminator then has no influence.
    projection : bool, default=True
        The released code's step. False is the plain objective.
    min_accuracy : float, optional
        With ``early_stopping`` by a fairness metric: an epoch whose accuracy on held-out rows is below it never wins, so
        that a constant cannot win.
    mutable_columns : list of str or int, optional
        Columns that the trigger may change; by default all. A one-hot block changes only as a whole.
    allow_off_manifold : bool, default=False
        Let one-hot columns take any value, as the released code does.
    gradient : {"auto", "exact", "spsa"}, default="auto"
        "spsa" estimates gradients from differences along random directions; it asks the model ``2 * n_directions`` times per
        step and also works for models without gradients, for which "auto" takes it.
    n_directions : int, default=8
    perturbation : float, default=0.1
        Length of a difference, per number of the trigger. To flip a mask it has to be longer: 0.5.
    tuning_fraction : float, default=0.2
        Share of the rows for the trigger where the model is trained here.
    base_epochs : int, default=20
    base_lr : float, default=1e-3
        Of the default model, whose ``module`` is that of this net.
    adversary_hidden : sequence of int, default=(128, 128)
        Widths of the discriminator's hidden layers.
    lr : float, default=0.05
        Of the trigger.
    adversary_lr : float, default=0.01
    **kwargs
        The other parameters of :class:`skfair.base.BaseTwoPlayerNet`.

    Attributes
    ----------
    trigger_ : torch.nn.Module
        The trigger that was learned.
    base_ : the model
    module_ : torch.nn.Module
        Trigger and a copy of the model's network.
    tuning_rows_ : array of int or None
        The rows that the model, where it was trained here, has not seen.
    adversary_ : torch.nn.Module
        Never used in ``predict``.
    classes_, groups_, history
        As in the other estimators.

    Raises
    ------
    ValueError
        If a parameter is out of its range, there is only one group, the model is a Pipeline or was fitted on other columns
        or classes, or the trigger does not fit the shape of X.

    Notes
    -----
    A model that is given a dropped column's constant answers for rows it has never seen. Look at the accuracy, and at the
    frontier of a raised threshold: ``docs/reprogramming.md``.

    NOTE[DIFF] The released triggers for tables start at N(0, 1), which drops half of the columns; here they start at the
    identity (``trigger__init="normal"`` is the released start).
    NOTE[DIFF] The discriminator sees products of every output with every class, the same as the released ones for two
    classes; these differ between images and text.
    NOTE[DIFF] With strength 0 there is no projection either.
    NOTE[DIFF] The released code's ``--reprogram-size`` of a border is the inner image's size; here ``trigger__width``
    is the frame's.

    References
    ----------
    Zhang et al., "Fairness reprogramming", NeurIPS 2022.
    Zhang, Lemoine, Mitchell, "Mitigating unwanted biases with adversarial learning", AIES 2018 (projection).

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.reprogramming import ReprogrammedClassifier
    >>> from skfair.robust import ERMClassifier
    >>> data = make_biased_classification(600, random_state=0)
    >>> base = ERMClassifier(max_epochs=5, random_state=0).fit(data.data[:400], data.target[:400])
    >>> net = ReprogrammedClassifier(base, max_epochs=5, random_state=0)
    >>> net = net.fit(data.data[400:], data.target[400:], sensitive_features=data.sensitive_features[400:])
    >>> net.predict_proba(data.data).shape, net.trigger_.delta.shape
    ((600, 2), torch.Size([10]))
    """

    min_groups = 2
    stacks_over = ("strength",)

    def __init__(
        self, estimator=None, *, constraint="demographic_parity", strength=1.0, projection=True, min_accuracy=None,
        adversary_hidden=(128, 128), lr=0.05, adversary_lr=0.01, **kwargs,
    ):  # fmt: skip
        super().__init__(estimator, lr=lr, adversary_lr=adversary_lr, **kwargs)
        self.constraint = constraint
        self.strength = strength
        self.projection = projection
        self.min_accuracy = min_accuracy
        self.adversary_hidden = adversary_hidden

    def check_parameters(self):
        super().check_parameters()
        check_choice("constraint", self.constraint, {"demographic_parity", "equalized_odds"})
        check_number("strength", self.strength, low=0)
        check_number("min_accuracy", self.min_accuracy or 0, low=0, high=1)
        if self.min_accuracy is not None and (
            not self.early_stopping or isinstance(self.early_stopping, bool) or self.early_stopping == "loss"
        ):
            raise ValueError(
                f"min_accuracy={self.min_accuracy} is a floor for the epochs that early_stopping chooses among: set "
                f"early_stopping to the name of a fairness metric, got {self.early_stopping!r}."
            )

    @property
    def watched_(self):
        if self.min_accuracy is None:
            return self.early_stopping
        return FlooredScore(self.early_stopping, self.min_accuracy)

    def make_adversary(self):
        sees_label = self.constraint == "equalized_odds"
        return Discriminator(self.n_classes_, self.n_groups_, sees_label, self.adversary_hidden)

    # ------------------------------------------------------------------ the two players
    def objective(self, output, batch):
        return self.combined(self.utility(output, batch), self.adversary_objective(output, batch))

    def utility(self, output, batch):
        """L_util = CE(y, f*(m(x))), the weighted mean."""
        return weighted_mean(self.losses(output, batch), batch.weight)

    def adversary_objective(self, output, batch):
        """CE_adv = CE(z, d(f*(m(x)), y)), the weighted mean."""
        guess = self.adversary_(output, batch.y)
        return weighted_mean(cross_entropy(guess, batch.group, reduction="none"), batch.weight)

    def combined(self, utility, attack):
        """L_util - lambda CE_adv."""
        return utility - self.strength * attack

    def network_backward(self, output, batch):
        players = (self.utility, self.adversary_objective)
        if self.zeroth_order_:
            (utility, u), (attack, a) = self._estimated(players, batch)
        else:
            utility, attack = (self.each(player, output, batch) for player in players)
            u, a = self.gradients(utility), self.gradients(attack)
        self.set_gradients(self.each(self.direction, u, a))
        return self.each(self.combined, utility, attack)

    def direction(self, u, a):
        """u - (u . a^) a^ - lambda a for each tensor of the trigger; without projection u - lambda a."""
        strength = torch.as_tensor(self.strength, device=u[0].device)
        if not self.projection:
            return [g - strength * h for g, h in zip(u, a)]
        return [torch.where(strength > 0, project_out([g], [h], strength)[0], g) for g, h in zip(u, a)]

    def _estimated(self, players, batch):
        """The same by differences, for models without gradients."""
        options = dict(
            step=self.perturbation, n_directions=self.n_directions, generator=self.streams_.numpy("directions")
        )

        def losses():
            output = self.infer(batch.x)
            return [player(output, batch) for player in players]

        return spsa(losses, self.network_parameters(), **options)
