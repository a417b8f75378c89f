"""A preprocessor and a network with the settings that the study on six tables found best."""

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
    """Make a Pipeline from a table of any column types to a net, with settings that come near trees.

    Parameters
    ----------
    estimator : estimator
        A net of skfair, such as :class:`~skfair.robust.ERMClassifier`. It is cloned. Parameters that have the value
        that all nets have by default are replaced by those of the table below; what was given to it, and what a
        method has for a default of its own, stays. Other estimators are taken as they are.
    **preprocessing
        Parameters of :func:`make_tabular_preprocessor`; by default ``frequent_values=3``.

    Returns
    -------
    :class:`~sklearn.pipeline.Pipeline`
        With the steps "preprocessor" and "net".
    """
    preprocessor = make_tabular_preprocessor(**{**INPUTS, **preprocessing})
    return Pipeline([("preprocessor", preprocessor), ("net", _for_tables(clone(estimator)))])


def _for_tables(net):
    given = net.get_params(deep=False)
    if "lr_schedule" not in given:
        return net
    chosen = {name: choice for name, (default, choice) in TRAINING.items() if _is(given[name], default)}
    return net.set_params(**_network(given), **chosen)


def _network(given):
    """Widths and dropout, if the network is the default one and none of its parameters was given."""
    module = given["module"]
    name = "mlp" if getattr(module, "__name__", None) == "MLP" else module
    if not isinstance(name, str) or any(key.startswith("module__") for key in given):
        return {}
    return NETWORKS.get(name, {})


def _is(value, default):
    return value is default or (type(value) is type(default) and value == default)
