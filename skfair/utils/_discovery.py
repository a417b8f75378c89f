import importlib
import inspect
import pkgutil

from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin

__all__ = ["all_estimators"]

_KINDS = {
    "classifier": lambda cls: issubclass(cls, ClassifierMixin),
    "transformer": lambda cls: issubclass(cls, TransformerMixin),
    "sampler": lambda cls: hasattr(cls, "fit_resample"),
}


def all_estimators(type_filter=None):
    """List all public estimators of skfair: the methods, not the searches over them.

    Parameters
    ----------
    type_filter : {"classifier", "transformer", "sampler"}, list of these, or None, default=None
        Which kinds to list; None lists all.

    Returns
    -------
    list of (str, class)
        Sorted by name.

    Raises
    ------
    ValueError
        If a filter is not known.

    Examples
    --------
    >>> from skfair.utils import all_estimators
    >>> "GroupDROClassifier" in dict(all_estimators("classifier"))
    True
    """
    kinds = [type_filter] if isinstance(type_filter, str) else list(type_filter or [])
    unknown = [kind for kind in kinds if kind not in _KINDS]
    if unknown:
        raise ValueError(f"type_filter must hold names of {sorted(_KINDS)}, got {unknown}.")
    tests = [_KINDS[kind] for kind in kinds] or [lambda cls: True]
    return sorted(
        {(name, cls) for name, cls in _public_classes() if any(test(cls) for test in tests)},
        key=lambda pair: pair[0],
    )


def _public_classes():
    import skfair

    for info in pkgutil.iter_modules(skfair.__path__, "skfair."):
        if not info.ispkg or info.name in ("skfair.utils", "skfair.modules", "skfair.model_selection"):
            continue
        package = importlib.import_module(info.name)
        for name in getattr(package, "__all__", []):
            cls = getattr(package, name)
            if inspect.isclass(cls) and issubclass(cls, BaseEstimator) and not name.startswith(("_", "Base")):
                yield name, cls
