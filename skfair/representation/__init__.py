"""What the representation holds: neutralised pairs and proxies for the groups."""

from skfair.representation._proxy import ProxyAnnotator
from skfair.representation._rnf import RNFClassifier

__all__ = ["ProxyAnnotator", "RNFClassifier"]
