"""Methods that work on what a code of the rows holds: latent codes, and the representation of a trained network."""

from skfair.representation._dvge import DVGEClassifier, DVGETransformer
from skfair.representation._factor_vae import FactorVAETransformer
from skfair.representation._fdvae import FDVAETransformer
from skfair.representation._ffvae import FFVAETransformer
from skfair.representation._proxy import ProxyAnnotator
from skfair.representation._rnf import RNFClassifier
from skfair.representation._vae import VAETransformer

__all__ = [
    "DVGEClassifier",
    "DVGETransformer",
    "FDVAETransformer",
    "FFVAETransformer",
    "FactorVAETransformer",
    "ProxyAnnotator",
    "RNFClassifier",
    "VAETransformer",
]
