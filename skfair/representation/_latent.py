import numpy as np
import torch

from skfair.base import BaseTransformer, check_is_fitted, check_number, evaluation_module
from skfair.functional import bernoulli_nll, categorical_nll, gaussian_kl, gaussian_nll, sample_gaussian
from skfair.modules import VAE
from skfair.representation._columns import check_likelihood, check_range, likelihoods

__all__ = ["BaseVAE"]

BLOCK = 4096  # codes that are decoded at once


class BaseVAE(BaseTransformer):
    """Base of the variational autoencoders: encoder, likelihood of the columns, decoding.

    A method has a parameter ``n_components`` or says otherwise how many latent dimensions there are (``n_latents_``).

    Parameters
    ----------
    likelihood : {"auto", "bernoulli", "gaussian"} or sequence of these words of shape (d,), default="auto"
        What the decoder's outputs mean. "bernoulli" is for values in [0, 1], "gaussian" has a variance per column that is
        learned with the network. "auto" looks at the columns: one-hot blocks (neighbours of 0 and 1, of which each row has
        exactly one) are one categorical variable each, other columns within [0, 1] are Bernoulli, all others Gaussian.
    module : class, callable or torch.nn.Module, default=VAE
        :class:`skfair.modules.VAE` for tables, :class:`skfair.modules.ConvVAE` for images of 32 or 64 pixels; or a module
        whose ``forward`` returns means and log variances (n, D), with a method ``decode``.
    max_epochs : int, default=50
    """

    needs_sensitive = False
    uses_labels = False

    def __init__(self, *, likelihood="auto", module=VAE, max_epochs=50, **kwargs):
        super().__init__(module=module, max_epochs=max_epochs, **kwargs)
        self.likelihood = likelihood

    def check_parameters(self):
        self.check_components()
        check_likelihood(self.likelihood)

    def check_components(self):
        """Raise a ValueError if ``n_components`` makes no sense."""
        check_number("n_components", self.n_components, low=1, integer=True)

    @property
    def n_latents_(self):
        """Number of latent dimensions, D."""
        return self.n_components

    @property
    def n_draws(self):
        return self.n_latents_

    def module_arguments(self):
        return {**super().module_arguments(), "n_components": self.n_latents_}

    # ------------------------------------------------------------------ what an objective is made of
    def prepare(self, X, y, *, sensitive_features, sample_weight):
        self.likelihood_, self.blocks_ = likelihoods(X, self.likelihood)
        return sample_weight

    def inputs(self, X, *, training):
        if training:  # rows of a later partial_fit may leave [0, 1]
            check_range(X, self.likelihood_ != "gaussian")
        return X

    def make_state(self, rows):
        width = max([1, *map(len, self.blocks_)])
        filled = [[*block, *[block[0]] * (width - len(block))] for block in self.blocks_]
        valid = [[True] * len(block) + [False] * (width - len(block)) for block in self.blocks_]
        columns = {
            kind: torch.from_numpy(np.flatnonzero(self.likelihood_ == kind)) for kind in ("bernoulli", "gaussian")
        }
        return {
            **columns,
            "blocks": torch.tensor(filled, dtype=torch.int64).reshape(-1, width),
            "valid": torch.tensor(valid, dtype=torch.bool).reshape(-1, width),
        }

    def code(self, output, batch):
        """A sample of the posterior of each row, (n, D); its mean where the minibatch has no random numbers."""
        mean, log_variance = output
        return mean if batch.draw is None else sample_gaussian(mean, log_variance, batch.draw)

    def divergence(self, output):
        """KL(q(z | x) || p(z)) of each row, (n,)."""
        return gaussian_kl(*output)

    def reconstruction(self, z, x):
        """-log p(x | z) of each row, (n,), by the likelihood of each column."""
        out, x, state = self.module_.decode(z).flatten(1), x.flatten(1), self.state_
        variance = getattr(self.module_, "column_log_variance", None)
        variance = variance if variance is None else variance.clamp(-7, 7)
        kinds, loss = set(self.likelihood_), 0.0
        if kinds == {"bernoulli"}:
            return bernoulli_nll(out, x)
        if kinds == {"gaussian"}:
            return gaussian_nll(out, x, variance)
        if "bernoulli" in kinds:
            loss = loss + bernoulli_nll(out[:, state.bernoulli], x[:, state.bernoulli])
        if "gaussian" in kinds:
            own = variance if variance is None else variance[state.gaussian]
            loss = loss + gaussian_nll(out[:, state.gaussian], x[:, state.gaussian], own)
        return loss + categorical_nll(out, x, state.blocks, state.valid)

    # ------------------------------------------------------------------ codes
    def main_output(self, output):
        return torch.cat(output, -1)

    def readout(self):
        return lambda output: (output[:, : self.n_latents_],)

    def encode(self, X):
        """The means of all latent dimensions.

        Parameters
        ----------
        X : array-like of shape (n, ...)

        Returns
        -------
        array of shape (n, D), float64
        """
        return self.outputs(X).numpy()[:, : self.n_latents_]

    def decode(self, Z):
        """What the decoder makes of codes: the expected value of each column.

        Parameters
        ----------
        Z : array-like of shape (n, D)
            All latent dimensions.

        Returns
        -------
        array of shape (n, ...), float64
            In the form of the rows that the net was fitted on.
        """
        check_is_fitted(self)
        Z = np.array(Z, dtype=np.float64)  # a copy: torch refuses what is read-only, as pandas gives it
        if Z.ndim != 2 or Z.shape[1] != self.n_latents_:
            raise ValueError(f"Z has the shape {Z.shape}, expected (n, {self.n_latents_}): one column per dimension.")
        module, dtype = evaluation_module(self.module_)
        with torch.inference_mode():
            parts = torch.from_numpy(Z).to(self.device_, dtype).split(BLOCK)
            out = torch.cat([module.decode(part).flatten(1).cpu() for part in parts]).double()
        return self._expected(out).numpy().reshape(len(Z), *self.x_shape_)

    def _expected(self, out):
        """The mean of each column's distribution, from the decoder's output (n, d)."""
        logistic = torch.from_numpy(self.likelihood_ == "bernoulli")
        expected = torch.where(logistic, torch.sigmoid(out), out)
        for block in self.blocks_:
            expected[:, block] = torch.softmax(out[:, block], 1)
        return expected

    def sample(self, X, random_state=None):
        """A sample of the posterior of what ``transform`` returns.

        Parameters
        ----------
        X : array-like of shape (n, ...)
        random_state : int, numpy generator or None
            As in ``numpy.random.default_rng``.

        Returns
        -------
        array of shape (n, n_features_out), float64
        """
        mean, log_variance = np.split(self.outputs(X).numpy(), 2, axis=1)
        noise = np.random.default_rng(random_state).standard_normal(mean.shape)
        return self.keep(mean + np.exp(0.5 * log_variance) * noise)

    def keep(self, Z):
        """What ``transform`` returns of all latent dimensions (n, D)."""
        return Z

    def fill(self, Z):
        """All latent dimensions, from what ``transform`` returns."""
        return Z

    def transform(self, X):
        """The codes of X: means, so that they are the same in each call and next to any other rows.

        Parameters
        ----------
        X : array-like of shape (n, ...)

        Returns
        -------
        array of shape (n, n_features_out), float64
        """
        return self.keep(self.encode(X))

    def inverse_transform(self, X):
        """Decode codes.

        Parameters
        ----------
        X : array-like of shape (n, n_features_out)
            As ``transform`` returns them. Latent dimensions that it leaves out are 0, the prior's mean.

        Returns
        -------
        array of shape (n, ...), float64
            The expected values of the columns (probabilities, where they are Bernoulli or one-hot).
        """
        check_is_fitted(self)
        X = np.array(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has the shape {X.shape}, expected (n, {self._n_features_out}) as transform returns it."
            )
        return self.decode(self.fill(X))

    @property
    def _n_features_out(self):
        return self.n_latents_
