import torch

from skfair.base._checks import check_number
from skfair.base._evaluation import detach, evaluation_mode
from skfair.base._net import BaseNet

__all__ = ["BaseTwoPlayerNet"]


class BaseTwoPlayerNet(BaseNet):
    """Base of methods with a second network, the adversary, that is trained against the first.

    In each step the adversary takes ``adversary_steps`` steps on its own objective; the network then takes one on
    ``objective``, in which the adversary is held fixed. The adversary draws from random streams of its own: with
    strength 0 the network is trained exactly as without it.

    Parameters
    ----------
    adversary_optimizer : class, default=torch.optim.Adam
        Further parameters as ``adversary_optimizer__*``.
    adversary_lr : float, default=1e-3
        Its learning rate.
    adversary_steps : int, default=1
        Its steps for each step of the network. Methods that train both in one step (``LfFClassifier``,
        ``FDVAETransformer``) do not look at it.
    **kwargs
        The parameters of :class:`skfair.base.BaseNet`.
    """

    _prefixes = (*BaseNet._prefixes, "adversary", "adversary_optimizer")

    def __init__(self, *, adversary_optimizer=torch.optim.Adam, adversary_lr=1e-3, adversary_steps=1, **kwargs):
        super().__init__(**kwargs)
        self.adversary_optimizer = adversary_optimizer
        self.adversary_lr = adversary_lr
        self.adversary_steps = adversary_steps

    n_adversary_draws = 0  # uniform random numbers per row that the adversary's part needs, as ``batch.adversary_draw``

    def draws(self):
        own = {"adversary_draw": self.n_adversary_draws} if self.n_adversary_draws else {}
        return {**super().draws(), **own}

    def _check_parameters(self):
        check_number("adversary_lr", self.adversary_lr, low=0, high=float("inf"), closed=False)
        check_number("adversary_steps", self.adversary_steps, low=1, integer=True)
        super()._check_parameters()

    def make_adversary(self):
        """The adversary, a torch module; ``self.module_`` is built already."""
        raise NotImplementedError(f"{type(self).__name__} defines no adversary.")

    def adversary_objective(self, output, batch):
        """The adversary's loss. ``output`` carries no gradient to the network."""
        raise NotImplementedError(f"{type(self).__name__} defines no adversary_objective.")

    def initialize_module(self):
        super().initialize_module()
        with self.streams_("adversary"):
            self.adversary_ = self.make_adversary().to(self.device_)
        return self

    def initialize_optimizer(self, *args, **kwargs):
        named = list(self.module_.named_parameters()) + list(self.criterion_.named_parameters())
        args, kwargs = self.get_params_for_optimizer("optimizer", named)
        self.optimizer_ = self.optimizer(*args, **kwargs)
        args, kwargs = self.get_params_for_optimizer("adversary_optimizer", list(self.adversary_.named_parameters()))
        self.adversary_optimizer_ = self.adversary_optimizer(*args, **kwargs)
        return self

    def backward(self, output, batch):
        """Train the adversary on this batch; then put the network's gradients into its parameters."""
        with self.streams_("adversary"):
            for _ in range(self.adversary_steps):
                self.adversary_optimizer_.zero_grad()
                loss = self.each(self.adversary_objective, detach(output), batch)
                loss.backward(torch.ones_like(loss))
                self.adversary_optimizer_.step()
        return self.network_backward(output, batch)

    def network_backward(self, output, batch):
        """Put the gradients of ``objective`` into the network's parameters, and no others; return it."""
        loss = self.each(self.objective, output, batch)
        loss.backward(torch.ones_like(loss), inputs=self.network_parameters())
        return loss

    def joint_backward(self, output, batch):
        """One step of both players on ``objective``, as gradient reversal takes it."""
        self.adversary_optimizer_.zero_grad()
        with self.streams_("adversary"):
            loss = super().backward(output, batch)
        self.adversary_optimizer_.step()
        return loss

    def network_parameters(self):
        """What the network's optimizer trains, in its order; quicker than a walk over the modules."""
        return [p for group in self.optimizer_.param_groups for p in group["params"] if p.requires_grad]

    def encoder_width(self):
        """Number of values of the module's representation of one row."""
        device = self.device_
        with torch.no_grad(), evaluation_mode(self.module_):
            return self.module_.encoder(torch.zeros(1, *self.input_shape_, device=device)).flatten(1).shape[1]

    def gradients(self, loss):
        """Gradients of a loss with respect to all parameters of the network, as a list; zeros where it has none."""
        parameters = self.network_parameters()
        found = torch.autograd.grad(loss, parameters, torch.ones_like(loss), retain_graph=True, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found)]

    def set_gradients(self, gradients):
        """Put these gradients into the network's parameters."""
        for parameter, gradient in zip(self.network_parameters(), gradients, strict=True):
            # laid out as the parameter is: torch's fused optimizers read any other layout wrongly, without a word
            parameter.grad = torch.empty_like(parameter).copy_(gradient)
