"""A fitted estimator as one file: weights as safetensors, all else as JSON in its header. No pickle, and no code is run."""

from pathlib import Path

import sklearn
import torch
from sklearn.utils.validation import check_is_fitted

import skfair
from skfair.base._described import Reader, Writer
from skfair.base._files import read_file, write_file
from skfair.base._net import BaseNet
from skfair.base._pipelines import read_estimator, write_estimator

__all__ = ["load", "save"]

FORMAT = 1
KIND = "skfair"


def save(estimator, path):
    """Write a fitted estimator to one file, to be read by :func:`skfair.load`.

    A net is written as by its own ``save``. Other estimators, such as a Pipeline that ends in a net, are written by skops,
    the nets in them beside it in the same file. There is no pickle in it.

    Parameters
    ----------
    estimator : estimator
        Fitted: a net, or any estimator of scikit-learn that holds some (or none).
    path : str or path-like
        A file of that name is replaced, at once or not at all.

    Raises
    ------
    NotFittedError
    TypeError
        If a part cannot be written without pickle, such as a lambda; for searches, whose best estimator can be saved.
    ImportError
        Without skops, if the estimator is no net.

    Examples
    --------
    >>> import os, tempfile
    >>> import skfair
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.preprocessing import make_tabular_pipeline
    >>> from skfair.robust import ERMClassifier
    >>> data = make_biased_classification(200, random_state=0)
    >>> model = make_tabular_pipeline(ERMClassifier(max_epochs=2, random_state=0)).fit(data.data, data.target)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     skfair.save(model, os.path.join(folder, "model.skfair"))
    ...     again = skfair.load(os.path.join(folder, "model.skfair"))
    >>> bool((again.predict_proba(data.data) == model.predict_proba(data.data)).all())
    True
    """
    check_is_fitted(estimator)
    writer = Writer()
    if isinstance(estimator, BaseNet):
        described = {"net": writer.net(estimator)}
    else:
        described = {"estimator": write_estimator(estimator, writer)}
    write_file(Path(path), writer.tensors, KIND, {"format": FORMAT, "versions": _versions(), **described})


def load(path, *, trusted=(), device=None):
    """Read an estimator that :func:`skfair.save` or a net's own ``save`` has written.

    The file holds weights, numbers and names, no code: a file that was tampered with, or that is not whole, raises an error.

    Parameters
    ----------
    path : str or path-like
    trusted : sequence of classes, functions or names, default=()
        Of your own, where the net was given some (``module=MyNet``): the file holds their names only. In a Pipeline, also
        what neither skops nor skfair trusts by itself, such as ``"sklearn.tree._tree.Tree"``.
    device : str, optional
        Instead of the nets' own ``device``.

    Returns
    -------
    estimator
        Fitted, as it was. Its optimizer starts anew.

    Raises
    ------
    ValueError
        If the file is damaged, is none of skfair's, is of a later format, or names a class that is not trusted.
    FileNotFoundError

    Examples
    --------
    >>> import tempfile, os
    >>> import skfair
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.robust import ERMClassifier
    >>> data = make_biased_classification(200, random_state=0)
    >>> net = ERMClassifier(max_epochs=2, random_state=0).fit(data.data, data.target)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.save(os.path.join(folder, "net.skfair"))
    ...     again = skfair.load(os.path.join(folder, "net.skfair"))
    >>> bool((again.predict_proba(data.data) == net.predict_proba(data.data)).all())
    True
    """
    header, tensors = read_file(Path(path), KIND)
    try:
        if header["format"] > FORMAT:
            raise ValueError(
                f"it has format {header['format']} (skfair {header['versions']['skfair']}), and this skfair "
                f"{skfair.__version__} knows formats up to {FORMAT}: use a later skfair."
            )
        reader = Reader(tensors, trusted, device)
        return reader.net(header["net"]) if "net" in header else read_estimator(header["estimator"], reader, trusted)
    except (KeyError, TypeError, AttributeError, RuntimeError, IndexError, ValueError) as error:
        raise ValueError(f"{path} does not describe a whole net that can be read: {error}") from error


def _versions():
    return {"skfair": skfair.__version__, "torch": torch.__version__, "sklearn": sklearn.__version__}
