"""What the data lacks: samplers that add rows, and the generators that they draw from."""

from skfair.augmentation._gan import GANGenerator
from skfair.augmentation._latent_debiasing import LatentDebiasingSampler
from skfair.augmentation._pca import PCAGenerator
from skfair.augmentation._resampled import Resampled
from skfair.augmentation._vae import VAEGenerator

__all__ = ["GANGenerator", "LatentDebiasingSampler", "PCAGenerator", "Resampled", "VAEGenerator"]
