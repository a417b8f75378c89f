"""Networks. Nothing here knows about fairness, scikit-learn or skorch.

A module that the estimators build takes ``in_features`` and ``out_features``, torch's own words; both are filled in from
the data. A module with an ``encoder`` and a ``head`` can be used by every method that works on representations.
"""

from skfair.modules._alignment import AlignmentHead, local_alignment
from skfair.modules._attention import Attention, DebiasedAttention
from skfair.modules._cnn import CNN
from skfair.modules._ft_transformer import FTTransformer
from skfair.modules._gan import DenseCritic, DenseGenerator, ImageCritic, ImageGenerator
from skfair.modules._mlp import MLP
from skfair.modules._names import get_module
from skfair.modules._pretrained import PretrainedTextTransformer
from skfair.modules._reprogrammed import Reprogrammed
from skfair.modules._resnet import ResNet18
from skfair.modules._tabm import TabM
from skfair.modules._tabular_mlp import TabularMLP
from skfair.modules._text_transformer import TextTransformer
from skfair.modules._token_triggers import TokenTrigger, WordTrigger
from skfair.modules._transformer import Look, Tokens, Transformer, TransformerEncoder
from skfair.modules._triggers import AdditiveTrigger, BorderTrigger, MaskPatchTrigger, PatchTrigger
from skfair.modules._vae import VAE, ConvVAE
from skfair.modules._vit import ViT

__all__ = [
    "CNN", "MLP", "VAE", "AdditiveTrigger", "AlignmentHead", "Attention", "BorderTrigger", "ConvVAE",
    "DebiasedAttention", "DenseCritic", "DenseGenerator", "FTTransformer", "ImageCritic", "ImageGenerator", "Look",
    "MaskPatchTrigger", "PatchTrigger", "PretrainedTextTransformer", "Reprogrammed", "ResNet18", "TabM", "TabularMLP",
    "TextTransformer", "TokenTrigger", "Tokens", "Transformer", "TransformerEncoder", "ViT", "WordTrigger",
    "get_module", "local_alignment",
]  # fmt: skip
