"""Looking into models: plots, as scikit-learn's Display classes, and what a code gives away.

The plots need matplotlib: ``pip install 'skfair[plots]'``.
"""

from skfair.inspection._attribution import attribution_mass, saliency
from skfair.inspection._group_scores import GroupScoreDisplay
from skfair.inspection._latent_pairs import LatentMarginsDisplay, LatentPairsDisplay
from skfair.inspection._leakage import sensitive_leakage
from skfair.inspection._pareto_front import ParetoFrontDisplay
from skfair.inspection._saliency import SaliencyDisplay

__all__ = [
    "GroupScoreDisplay", "LatentMarginsDisplay", "LatentPairsDisplay", "ParetoFrontDisplay", "SaliencyDisplay",
    "attribution_mass", "saliency", "sensitive_leakage",
]  # fmt: skip
