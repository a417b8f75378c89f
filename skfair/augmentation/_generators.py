"""What may be a generator, and how each is asked."""

import numpy as np
import torch
from torch import nn

from skfair.augmentation._pca import PCAGenerator
from skfair.augmentation._vae import VAEGenerator, default_vae
from skfair.base import evaluation_mode

__all__ = ["as_generator", "check_generator", "checked_codes", "rows_of"]

BLOCK = 2048


def as_array(values):
    """An array of double precision of whatever a generator returns."""
    values = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
    return np.array(values, dtype=np.float64)  # a copy: torch wants none that is read-only


def as_generator(generator, shape, device):
    """The generator that is meant, unfitted where it is to be fitted.

    Parameters
    ----------
    generator : None, generator, autoencoder, torch module with ``decode``, or any object with ``sample`` and ``decode``
    shape : tuple
        Of a row of the data.
    device : str
        Of the default.
    """
    if generator is None:
        return PCAGenerator() if len(shape) == 1 else VAEGenerator(default_vae(shape, device))
    if isinstance(generator, nn.Module):
        return (EncodingModule if hasattr(generator, "encode") else ModuleGenerator)(generator)
    if hasattr(generator, "n_latents_"):  # an autoencoder of skfair.representation
        return VAEGenerator(generator)
    return generator


def check_generator(generator, source):
    """Raise a ValueError unless it has what this source of codes asks for."""
    if isinstance(generator, type):
        raise ValueError(f"generator must be an object, not a class, got {generator!r}.")
    needed = ["sample", "decode"] if source == "prior" else ["decode", "encode"]
    lacking = [] if generator is None else [name for name in needed if not hasattr(generator, name)]
    normal = isinstance(generator, nn.Module) and hasattr(generator, "n_components")
    if lacking and not (normal and lacking == ["sample"]):
        raise ValueError(f"source={source!r} needs a generator with {needed}, but {generator!r} has no {lacking}.")


def checked_codes(Z, n, d=None):
    """Codes as an array (n, d), which a generator or a user gave; None: any number."""
    Z = as_array(Z)
    if Z.ndim != 2 or n not in (None, len(Z)) or d not in (None, Z.shape[1]):
        expected = f"({'n' if n is None else n}, {'D' if d is None else d})"
        raise ValueError(f"Z has the shape {Z.shape}, expected {expected}: codes, with a column per dimension.")
    if not np.isfinite(Z).all():
        raise ValueError("the codes hold NaN or infinite values.")
    return Z


def rows_of(generator, Z, shape):
    """What a generator makes of codes, as rows of this shape."""
    rows = as_array(generator.decode(Z))
    if rows.shape != (len(Z), *shape):
        raise ValueError(f"the generator made rows of shape {rows.shape[1:]}, but those of X have {shape}.")
    if not np.isfinite(rows).all():
        raise ValueError("the generator made rows that hold NaN or infinite values.")
    return rows


class ModuleGenerator:
    """A torch module of the user's own, with ``decode`` and, if it has one, ``encode``, on arrays.

    It is used as it is, in evaluation mode, and never trained. Without a method ``sample(n_samples, random_state)`` the
    prior of its codes is N(0, I) in ``n_components`` dimensions.
    """

    def __init__(self, module):
        self.module = module

    def sample(self, n_samples, random_state=None):
        """Codes, (n, D)."""
        if hasattr(self.module, "sample"):
            with torch.no_grad(), evaluation_mode(self.module):
                return as_array(self.module.sample(n_samples, random_state))
        return np.random.default_rng(random_state).standard_normal((n_samples, self.module.n_components))

    def decode(self, Z):
        """Rows, (n, ...)."""
        return self._call(self.module.decode, Z)

    def _call(self, function, values):
        like = next(self.module.parameters(), torch.zeros(()))
        with torch.inference_mode(), evaluation_mode(self.module):
            parts = torch.from_numpy(np.array(values, dtype=np.float64)).to(like.device, like.dtype).split(BLOCK)
            return torch.cat([function(part).cpu() for part in parts]).double().numpy()


class EncodingModule(ModuleGenerator):
    """One that has ``encode`` besides."""

    def encode(self, X):
        """Codes, (n, D)."""
        return self._call(self.module.encode, X)
