"""skfair: fairness methods built on neural networks, as scikit-learn estimators.

Importing the package loads none of its parts and sets nothing, neither an option of scikit-learn nor a seed.
Import what you need from:

================================= ==========================================================================
``skfair.robust``                 whose loss counts: ERM, Group DRO, methods without groups
``skfair.regularization``         what is added to the loss: a penalty on a fairness statistic
``skfair.adversarial``            who must not be able to read the group
``skfair.representation``         what the code holds: neutralisation, proxies for groups, latent codes
``skfair.attention``              where the network looks: debiased attention
``skfair.reprogramming``          what is put into x: triggers in front of a frozen model
``skfair.augmentation``           what the data lacks: latent-space de-biasing, generators, resampled classifiers
``skfair.modules``                networks for tables, images and texts, nothing about fairness in them
``skfair.preprocessing``          ``make_tabular_preprocessor``, ``TokenEncoder``
``skfair.metrics``                group metrics, scorers, ``group_report``
``skfair.model_selection``        ``FrontierSearchCV``, a whole frontier in one fit; fronts, controls
``skfair.inspection``             plots
``skfair.reporting``              ``audit_report``: an audit by group as one HTML file; ``model_card``
``skfair.datasets``               loaders and generators
``skfair.callbacks``              ``FairnessScoring``, best epoch, progress
``skfair.utils``                  ``all_estimators``
================================= ==========================================================================
"""

__version__ = "0.1.0.dev0"
__all__ = ["__version__", "load", "save"]


def __getattr__(name):
    if name not in ("load", "save"):
        raise AttributeError(f"module 'skfair' has no attribute {name!r}")
    from skfair.base import _persistence  # loads torch, which an import of the package does not

    globals()[name] = getattr(_persistence, name)
    return globals()[name]
