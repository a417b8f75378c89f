"""Methods that change whose loss counts, with groups (Group DRO) and without."""

from skfair.robust._arl import ARLClassifier
from skfair.robust._chi_square_dro import ChiSquareDROClassifier
from skfair.robust._cvar_dro import CVaRDROClassifier
from skfair.robust._distillation import DistillationClassifier
from skfair.robust._erm import ERMClassifier
from skfair.robust._group_dro import GroupDROClassifier
from skfair.robust._jtt import JTTClassifier
from skfair.robust._lff import LfFClassifier

__all__ = [
    "ARLClassifier",
    "CVaRDROClassifier",
    "ChiSquareDROClassifier",
    "DistillationClassifier",
    "ERMClassifier",
    "GroupDROClassifier",
    "JTTClassifier",
    "LfFClassifier",
]
