"""Networks by name, for ``module="ft_transformer"`` and for grids of names."""

from skfair.modules._cnn import CNN
from skfair.modules._ft_transformer import FTTransformer
from skfair.modules._mlp import MLP
from skfair.modules._pretrained import PretrainedTextTransformer
from skfair.modules._resnet import ResNet18
from skfair.modules._tabm import TabM
from skfair.modules._tabular_mlp import TabularMLP
from skfair.modules._text_transformer import TextTransformer
from skfair.modules._vae import VAE, ConvVAE
from skfair.modules._vit import ViT

__all__ = ["get_module"]

NAMES = {
    "mlp": MLP, "plr": TabularMLP, "tabm": TabM, "ft_transformer": FTTransformer, "cnn": CNN,
    "resnet18": ResNet18, "vit": ViT,
    "text_transformer": TextTransformer, "pretrained_text_transformer": PretrainedTextTransformer, "vae": VAE,
    "conv_vae": ConvVAE,
}  # fmt: skip


def get_module(name):
    """The class of a network by its name; what is no string is returned as it is.

    Parameters
    ----------
    name : str or object
        "mlp", "plr" (:class:`~skfair.modules.TabularMLP`), "tabm", "ft_transformer", "cnn", "resnet18", "vit",
        "text_transformer", "pretrained_text_transformer", "vae", "conv_vae".

    Returns
    -------
    class

    Raises
    ------
    ValueError
        If there is no network of that name.

    Examples
    --------
    >>> from skfair.modules import get_module
    >>> get_module("mlp").__name__
    'MLP'
    """
    if not isinstance(name, str):
        return name
    if name not in NAMES:
        raise ValueError(f"module must be a torch module, its class, or one of {sorted(NAMES)}, got {name!r}.")
    return NAMES[name]
