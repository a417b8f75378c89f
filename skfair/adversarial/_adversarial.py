import torch
from torch.nn.functional import cross_entropy, one_hot

from skfair.base import BaseClassifier, BaseTwoPlayerNet, check_choice, check_number
from skfair.functional import project_out, reverse_gradient, weighted_mean
from skfair.modules import MLP

__all__ = ["AdversarialClassifier"]

CONSTRAINTS = ("demographic_parity", "equal_opportunity", "equalized_odds")


class AdversarialClassifier(BaseTwoPlayerNet, BaseClassifier):
    r"""Train the network against an adversary that tries to read the group from its representation or its output.

    .. math::
        \min_{\phi} \mathrm{CE}\big(a_\phi(z), s\big), \qquad
        \min_{\theta} \mathrm{CE}\big(f_\theta(x), y\big) - \beta\, \mathrm{CE}\big(a_\phi(z), s\big)

    in alternating steps, with :math:`z` the output of the network's encoder (RNF paper's "Adversarial") or its logits
    (Zhang et al.). For equalized odds the adversary also sees the label; for equal opportunity it sees the positive rows
    alone.

    =====================  ======  =========  ==========
    needs groups           at fit  to select  at predict
    =====================  ======  =========  ==========
    AdversarialClassifier  yes     no         no
    =====================  ======  =========  ==========

    Parameters
    ----------
    constraint : {"demographic_parity", "equal_opportunity", "equalized_odds"}, default="demographic_parity"
    strength : float, default=1.0
        :math:`\beta \ge 0`. 0 is ERM, to the last bit (with ``projection=True`` the projection remains).
    attack : {"encoder", "output"}, default="encoder"
        What the adversary reads. "encoder" needs a module with an ``encoder`` and a ``head``.
    projection : bool, default=False
        Zhang et al.'s rule: take from the gradient of the classification loss its component along the gradient of the
        adversary's loss, :math:`g - \mathrm{proj}_u g - \beta u`, over all parameters as one vector.
    reversal : bool, default=False
        ADT: one joint step of all players, with the gradient reversed between encoder and adversary, instead of
        alternating steps. Not to be combined with ``projection``.
    adversary_hidden : sequence of int, default=(50,)
        Widths of the adversary's hidden layers.
    pos_label : label, optional
        The positive class of "equal_opportunity"; by default the last of ``classes_``.
    adversary_optimizer : class, default=torch.optim.Adam
    adversary_lr : float, default=1e-3
    adversary_steps : int, default=1
        Steps of the adversary per step of the network (alternating steps only).
    **kwargs
        The other parameters of :class:`skfair.base.BaseTwoPlayerNet`.

    Attributes
    ----------
    adversary_ : torch.nn.Module
        Never used in ``predict``.
    classes_, groups_, module_, history
        As in the other estimators.

    Raises
    ------
    ValueError
        If no sensitive features are given, there is only one group, a parameter is out of its range, or the module has no
        encoder to attack.

    Notes
    -----
    :math:`-\mathrm{CE}` has no lower bound. If the loss runs away, lower ``strength`` or clip the gradients
    (``gradient_clipping=1.0``). The gap that is reached varies much from seed to seed
    (by up to 5 points on Adult): compare several before trusting one.

    NOTE[DIFF] The papers leave the adversary's size, the ratio of the steps and :math:`\beta` open.

    References
    ----------
    Zhang, Lemoine, Mitchell, "Mitigating unwanted biases with adversarial learning", AIES 2018.
    Ganin et al., "Domain-adversarial training of neural networks", JMLR 2016 (reversal).
    Du et al., "Fairness via representation neutralization", NeurIPS 2021 (baseline "Adversarial").

    Examples
    --------
    >>> from skfair.adversarial import AdversarialClassifier
    >>> from skfair.datasets import make_biased_classification
    >>> data = make_biased_classification(500, random_state=0)
    >>> net = AdversarialClassifier(strength=0.5, max_epochs=5, random_state=0)
    >>> net = net.fit(data.data, data.target, sensitive_features=data.sensitive_features)
    >>> net.predict_proba(data.data).shape
    (500, 2)
    """

    min_groups = 2
    stacks_over = ("strength",)

    def __init__(
        self, *, constraint="demographic_parity", strength=1.0, attack="encoder", projection=False, reversal=False,
        adversary_hidden=(50,), pos_label=None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.constraint = constraint
        self.strength = strength
        self.attack = attack
        self.projection = projection
        self.reversal = reversal
        self.adversary_hidden = adversary_hidden
        self.pos_label = pos_label

    def check_parameters(self):
        check_choice("constraint", self.constraint, CONSTRAINTS)
        check_choice("attack", self.attack, {"encoder", "output"})
        check_number("strength", self.strength, low=0)
        if self.projection and self.reversal:
            raise ValueError("projection=True and reversal=True exclude each other: set one of them to False.")

    def infer(self, x, **kwargs):
        """The logits and what the adversary reads of them."""
        if self.attack == "output":
            logits = super().infer(x)
            return logits, logits
        z = self.module_.encoder(x)
        return self.main_output(self.module_.head(z)), z.flatten(1)

    def make_adversary(self):
        if self.attack == "output":
            width = self.n_classes_
        elif hasattr(self.module_, "encoder") and hasattr(self.module_, "head"):
            width = self.encoder_width()
        else:
            raise ValueError(
                f"attack='encoder' needs a module with an encoder and a head, got {type(self.module_).__name__}; give it "
                "both, or set attack='output'."
            )
        sees_label = self.n_classes_ if self.constraint == "equalized_odds" else 0
        return MLP(width + sees_label, self.n_groups_, hidden=self.adversary_hidden, dropout=0.0)

    def objective(self, output, batch):
        loss = self.classification_loss(output, batch)
        if self.reversal:
            logits, z = output
            return loss + self.adversary_objective((logits, reverse_gradient(z, self.strength)), batch)
        return self.combined(loss, self.adversary_objective(output, batch))

    def classification_loss(self, output, batch):
        """The weighted mean of the rows' losses."""
        return weighted_mean(self.losses(output[0], batch), batch.weight)

    def combined(self, loss, attack):
        """loss - beta attack."""
        return loss - self.strength * attack

    def adversary_objective(self, output, batch):
        """Cross-entropy of the adversary's guess of the group."""
        _, z = output
        weight = batch.weight
        if self.constraint == "equalized_odds":
            z = torch.cat([z, one_hot(batch.y, self.n_classes_).to(z.dtype)], 1)
        elif self.constraint == "equal_opportunity":
            weight = weight * (batch.y == self.positive_code(self.pos_label))
        return weighted_mean(cross_entropy(self.adversary_(z), batch.group, reduction="none"), weight)

    def backward(self, output, batch):
        if self.reversal:
            return self.joint_backward(output, batch)
        return super().backward(output, batch)

    def network_backward(self, output, batch):
        if not self.projection:
            return super().network_backward(output, batch)
        loss = self.each(self.classification_loss, output, batch)
        attack = self.each(self.adversary_objective, output, batch)
        g, u = self.gradients(loss), self.gradients(attack)
        self.set_gradients(self.each(self.projected, g, u))
        return self.each(self.combined, loss, attack)

    def projected(self, g, u):
        """g - proj_u g - beta u."""
        return project_out(g, u, self.strength)
