"""Metadata routing: who asks for ``sensitive_features``, and how.

This is the only file outside ``skfair.base`` that imports private names of scikit-learn. It imports no torch.
"""

import inspect

from sklearn.utils._metadata_requests import RequestMethod, _MetadataRequester, _routing_enabled

__all__ = ["ScoreConsumer", "SensitiveFeaturesConsumer", "routing_enabled"]

_CONSUMING_METHODS = ("fit", "partial_fit")


def routing_enabled():
    """Whether scikit-learn's metadata routing is switched on.

    Returns
    -------
    bool

    Examples
    --------
    >>> from sklearn import config_context
    >>> from skfair._routing import routing_enabled
    >>> with config_context(enable_metadata_routing=True):
    ...     routing_enabled()
    True
    """
    return bool(_routing_enabled())


def _restore_request_method(cls, method):
    """Put scikit-learn's descriptor back where a parent class has replaced it by a plain function."""
    name = f"set_{method}_request"
    if name in vars(cls) or isinstance(inspect.getattr_static(cls, name, None), RequestMethod):
        return
    keys = cls._get_class_level_metadata_request_values(method)
    if keys:
        setattr(cls, name, RequestMethod(method, sorted(keys)))


class SensitiveFeaturesConsumer(_MetadataRequester):
    """Mixin: ``fit`` and ``partial_fit`` request ``sensitive_features`` by default.

    It does for ``sensitive_features`` what scikit-learn's ``GroupsConsumerMixin`` does for ``groups``: with metadata
    routing on, a Pipeline or a GridSearchCV hands ``sensitive_features`` on without a call of ``set_fit_request``.
    The mixin stands first in the list of bases. It also gives back scikit-learn's own ``set_fit_request`` where a
    parent class (``skorch.NeuralNet``) has replaced it by one that accepts any name.

    Raises
    ------
    TypeError
        By ``set_fit_request`` and ``set_partial_fit_request``, for a name that the method does not take.
    RuntimeError
        By the same, when metadata routing is off.

    Examples
    --------
    >>> from sklearn import config_context
    >>> from sklearn.base import BaseEstimator
    >>> from skfair._routing import SensitiveFeaturesConsumer
    >>> class Net(SensitiveFeaturesConsumer, BaseEstimator):
    ...     def fit(self, X, y, *, sensitive_features=None, sample_weight=None):
    ...         return self
    >>> Net().get_metadata_routing().fit.requests["sensitive_features"]
    True
    >>> with config_context(enable_metadata_routing=True):
    ...     Net().set_fit_request(sensitve_features=True)
    Traceback (most recent call last):
        ...
    TypeError: Unexpected args: {'sensitve_features'} in fit. Accepted arguments are: ...
    """

    __metadata_request__fit = {"sensitive_features": True}
    __metadata_request__partial_fit = {"sensitive_features": True}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for method in _CONSUMING_METHODS:
            _restore_request_method(cls, method)


class ScoreConsumer(_MetadataRequester):
    """Base of the scorers: ``score`` requests ``sensitive_features`` by default; ``sample_weight`` may be requested.

    A scorer has no method of that name: for scikit-learn's routing, calling it *is* ``score``. As everywhere in
    scikit-learn, a ``sample_weight`` that is passed and neither requested nor refused is an error.

    Examples
    --------
    >>> from sklearn import config_context
    >>> from skfair._routing import ScoreConsumer
    >>> class Scorer(ScoreConsumer):
    ...     pass
    >>> Scorer().get_metadata_routing().score.requests == {"sensitive_features": True, "sample_weight": None}
    True
    >>> with config_context(enable_metadata_routing=True):
    ...     scorer = Scorer().set_score_request(sample_weight=True)
    >>> scorer.get_metadata_routing().score.requests["sample_weight"]
    True
    """

    @classmethod
    def _get_class_level_metadata_request_values(cls, method_name, method=None, ignore_params=None):
        if method_name == "score":
            return {"sensitive_features": True, "sample_weight": None}
        return super()._get_class_level_metadata_request_values(method_name, method, ignore_params)
