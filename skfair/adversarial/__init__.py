"""Who must not be able to read the group: training against an adversary."""

from skfair.adversarial._adversarial import AdversarialClassifier

__all__ = ["AdversarialClassifier"]
