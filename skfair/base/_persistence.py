"""A fitted net as one file: weights as safetensors, all else as JSON in its header. No pickle, and no code is run."""

from pathlib import Path

import sklearn
import torch
from sklearn.utils.validation import check_is_fitted

import skfair
from skfair.base._described import Reader, Writer
from skfair.base._files import read_file, write_file

__all__ = ["load", "save"]

FORMAT = 1
KIND = "skfair"


def save(net, path):
    """Write a fitted net to one file; see ``BaseNet.save``."""
    check_is_fitted(net)
    writer = Writer()
    header = {"format": FORMAT, "versions": _versions(), "net": writer.net(net)}
    write_file(Path(path), writer.tensors, KIND, header)


def load(path, *, trusted=(), device=None):
    """Read a net that ``save`` has written.

    The file holds weights and text, no code: a file that was tampered with, or that is not whole, raises an error.

    Parameters
    ----------
    path : str or path-like
    trusted : sequence of classes or functions, default=()
        Of your own, where the net was given some (``module=MyNet``): the file holds their names only.
    device : str, optional
        Instead of the net's own ``device``.

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
        return Reader(tensors, trusted, device).net(header["net"])
    except (KeyError, TypeError, AttributeError, RuntimeError, IndexError, ValueError) as error:
        raise ValueError(f"{path} does not describe a whole net that can be read: {error}") from error


def _versions():
    return {"skfair": skfair.__version__, "torch": torch.__version__, "sklearn": sklearn.__version__}
