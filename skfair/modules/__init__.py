"""Networks. Nothing here knows about fairness, scikit-learn or skorch.

A module that the estimators build takes ``in_features`` and ``out_features``, torch's own words; both are filled in from
the data. A module with an ``encoder`` and a ``head`` can be used by every method that works on representations.
"""

from skfair.modules._cnn import CNN
from skfair.modules._gan import DenseCritic, DenseGenerator, ImageCritic, ImageGenerator
from skfair.modules._mlp import MLP
from skfair.modules._reprogrammed import Reprogrammed
from skfair.modules._resnet import ResNet18
from skfair.modules._tabular_mlp import TabularMLP
from skfair.modules._triggers import AdditiveTrigger, BorderTrigger, MaskPatchTrigger, PatchTrigger
from skfair.modules._vae import VAE, ConvVAE

__all__ = [
    "CNN", "MLP", "VAE", "AdditiveTrigger", "BorderTrigger", "ConvVAE", "DenseCritic", "DenseGenerator", "ImageCritic",
    "ImageGenerator", "MaskPatchTrigger", "PatchTrigger", "Reprogrammed", "ResNet18", "TabularMLP",
]  # fmt: skip
