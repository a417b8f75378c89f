"""A preprocessor and a network with the settings that the study on six tables found best."""

import inspect

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skfair.preprocessing._tabular import make_tabular_preprocessor

__all__ = ["make_tabular_pipeline"]

# The choices of benchmarks/tabular_study.py, by validation rows alone.
INPUTS = {"frequent_values": 3, "spike": 0.03}
# parameter -> (default of all nets, choice for tables). A method's own default stays.
TRAINING = {
    "batch_size": (64, 256),
    "max_epochs": (20, "auto"),
    "lr_schedule": ("constant", "cosine"),
    "gradient_clipping": (None, 1.0),
    "early_stopping": (False, True),
    "patience": (10, None),
}
NETWORKS = {"mlp": {"module__hidden": (256, 256), "module__dropout": 0.3}}


def make_tabular_pipeline(estimator, **preprocessing):
    """Make a Pipeline from a table of any column types to a net, with the settings that do best on tables.

    They were chosen on the validation rows of six data sets (Adult, MEPS, COMPAS, German credit, Credit default, Bank
    marketing): see ``docs/tabular.md``. With them a net is about as accurate as gradient boosted trees, and any fair
    objective can be trained on it.

    =====================  ==========================  ===============================================================
    parameter              here                        why
    =====================  ==========================  ===============================================================
    ``spike``              0.03                        numeric columns with such a share of rows on one value have
                                                       spikes, which trees see and scaled nets do not
    ``frequent_values``    3                           ... each value of three rows gets a column, of at most 255 values
    ``module__hidden``     (256, 256)                  of the default network, with ``module__dropout=0.3``
    ``batch_size``         256
    ``max_epochs``         "auto"                      about 1,000 steps
    ``lr_schedule``        "cosine"
    ``gradient_clipping``  1.0
    ``early_stopping``     True                        the epoch with the least loss on held-out rows; all are trained
    ``patience``           None
    =====================  ==========================  ===============================================================

    Parameters
    ----------
    estimator : estimator
        A net of skfair, such as :class:`~skfair.robust.ERMClassifier`. It is cloned. Parameters that have the value
        that all nets have by default are set as in the table; what was given to it, and what a method has for a default
        of its own, stays. Other estimators are taken as they are.
    **preprocessing
        Parameters of :func:`make_tabular_preprocessor`.

    Returns
    -------
    :class:`~sklearn.pipeline.Pipeline`
        Unfitted, with the steps "preprocessor" and "net".

    See Also
    --------
    make_tabular_preprocessor : The first step alone.

    Notes
    -----
    A value that was given and is equal to the default of all nets cannot be told from one that was not given: set such
    a value afterwards, ``pipeline.set_params(net__early_stopping=False)``.

    Examples
    --------
    >>> import pandas as pd
    >>> from skfair.preprocessing import make_tabular_pipeline
    >>> from skfair.robust import ERMClassifier
    >>> X = pd.DataFrame({"age": [20, 30, 40, 50] * 10, "job": ["nurse", "cook", None, "smith"] * 10})
    >>> y = [0, 1, 1, 1] * 10
    >>> model = make_tabular_pipeline(ERMClassifier(max_epochs=30, random_state=0))
    >>> model["net"].lr_schedule, model["net"].max_epochs
    ('cosine', 30)
    >>> model.fit(X, y).predict(X[:4]).tolist()
    [0, 1, 1, 1]
    """
    preprocessor = make_tabular_preprocessor(**{**INPUTS, **preprocessing})
    return Pipeline([("preprocessor", preprocessor), ("net", _for_tables(clone(estimator)))])


def _for_tables(net):
    given = net.get_params(deep=False)
    if "lr_schedule" not in given or not (hasattr(net, "predict") or hasattr(net, "transform")):
        return net
    own = inspect.signature(type(net)).parameters  # what a method has for a default of its own was chosen for it
    chosen = {
        name: choice
        for name, (default, choice) in TRAINING.items()
        if name in given and _is(given[name], default) and _is(own[name].default, default)
    }
    if given.get("selection") is not None:  # the method's own word for which epoch is kept
        chosen.pop("early_stopping", None)
    return net.set_params(**_network(net, given), **chosen)


def _network(net, given):
    """Widths and dropout, if the network is the default one and none of its parameters was given."""
    module = given["module"]
    default = inspect.signature(type(net)).parameters["module"].default
    name = "mlp" if module is default and getattr(module, "__name__", None) == "MLP" else module
    if not isinstance(name, str) or any(key.startswith("module__") for key in given):
        return {}
    return NETWORKS.get(name, {})


def _is(value, default):
    return value is default or (type(value) is type(default) and value == default)
