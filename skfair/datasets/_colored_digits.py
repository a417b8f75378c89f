"""Images of digits whose colour goes with the label."""

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.utils import Bunch, check_random_state

_RGB = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.1, 0.3, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "magenta": (1.0, 0.0, 1.0),
    "cyan": (0.0, 1.0, 1.0),
    "orange": (1.0, 0.5, 0.0),
    "violet": (0.6, 0.2, 1.0),
    "pink": (1.0, 0.6, 0.7),
    "white": (1.0, 1.0, 1.0),
}

_DESCR = """Coloured digits (made by skfair.datasets.make_colored_digits)

{n_samples} images of scikit-learn's digits (1797 handwritten digits of 8 x 8 pixels, UCI data set 80, test
part; Alpaydin and Kaynak 1998, CC BY 4.0), {image_size} x {image_size} pixels, coloured.
Target: {meaning}. P(target flipped) = {label_noise}.
Sensitive feature: color, equal to the colour of the (observed) target with probability {correlation},
else one of the others. Found in these rows: {agreement:.4f}.
"""


def make_colored_digits(
    n_samples=None,
    *,
    correlation=0.95,
    n_classes=2,
    image_size=16,
    label_noise=0.0,
    pixel_noise=0.0,
    random_state=None,
    return_X_y=False,
):
    """Make images of digits whose colour is correlated with the label.

    The stand-in for Colored MNIST that needs no download: a network that reads the
    colour is right on most rows, and wrong on those whose colour disagrees.

    Parameters
    ----------
    n_samples : int, default=None
        Number of images, at most 1797, drawn without repetition; by default all,
        in random order.
    correlation : float, default=0.95
        Probability that the colour is the one of the target. 1 / `n_classes` makes
        colour and target independent (a fair test set).
    n_classes : {2, 10}, default=2
        2: the target is 1 for the digits 5 to 9, 0 for 0 to 4, in red (0) and green (1);
        10: the target is the digit, each with a colour of its own.
    image_size : int, default=16
        Height and width: 8 (the original) or a multiple of it (each pixel repeated).
    label_noise : float, default=0.0
        Probability that the target is replaced by another class, before colouring
        (0.25 in Arjovsky et al. 2019).
    pixel_noise : float, default=0.0
        Standard deviation of normal noise added to each pixel, before clipping to [0, 1].
    random_state : int, RandomState instance or None, default=None
        Seed for the choice of images, noise and colours; the result is the same to the bit.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    dataset : :class:`~sklearn.utils.Bunch`
        With ``data`` = ``images`` (float32 array (n, 3, image_size, image_size) in [0, 1],
        channels red, green, blue), ``target`` (int64 array), ``target_clean`` (before label
        noise), ``digit``, ``sensitive_features`` (DataFrame with the text column "color"),
        ``target_names``, ``color_names`` (the colour of each class) and ``DESCR``.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    The digits are those of :func:`sklearn.datasets.load_digits`, the test part of UCI data
    set 80 (Alpaydin and Kaynak 1998, CC BY 4.0), shipped with scikit-learn. The idea is that
    of Colored MNIST: Arjovsky, Bottou, Gulrajani and Lopez-Paz, "Invariant Risk
    Minimization", 2019.

    Examples
    --------
    >>> from skfair.datasets import make_colored_digits
    >>> digits = make_colored_digits(500, correlation=0.9, random_state=0)
    >>> digits.images.shape, digits.images.dtype
    ((500, 3, 16, 16), dtype('float32'))
    >>> float((digits.sensitive_features["color"] == "green")[digits.target == 1].mean().round(1))
    0.9
    """
    _check(correlation, n_classes, image_size, label_noise, pixel_noise)
    rng = check_random_state(random_state)
    gray, digit = _draw_digits(n_samples, image_size, rng)
    clean = digit if n_classes == 10 else (digit >= 5).astype(np.int64)
    target = _replace(clean, label_noise, n_classes, rng)
    color = _replace(target, 1 - correlation, n_classes, rng)
    images = _paint(gray, color, pixel_noise, rng)
    names = np.array(list(_RGB), dtype=object)[:n_classes]
    made = Bunch(
        data=images,
        images=images,
        target=target,
        target_clean=clean,
        digit=digit,
        sensitive_features=pd.DataFrame({"color": names[color]}),
        target_names=[str(label) for label in range(10)] if n_classes == 10 else ["0 to 4", "5 to 9"],
        color_names=list(names),
        DESCR=_DESCR.format(
            n_samples=len(target),
            image_size=image_size,
            meaning="the digit" if n_classes == 10 else "1 for the digits 5 to 9, 0 for 0 to 4",
            label_noise=label_noise,
            correlation=correlation,
            agreement=np.mean(color == target),
        ),
    )
    return (made.data, made.target) if return_X_y else made


def _check(correlation, n_classes, image_size, label_noise, pixel_noise):
    if n_classes not in (2, 10):
        raise ValueError(f"n_classes must be 2 or 10, got {n_classes!r}")
    if image_size < 8 or image_size % 8:
        raise ValueError(f"image_size must be 8 or a multiple of 8, got {image_size!r}")
    for name, value in (("correlation", correlation), ("label_noise", label_noise)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be a probability, between 0 and 1, got {value!r}")
    if not 0 <= pixel_noise < np.inf:
        raise ValueError(f"pixel_noise must be a finite number >= 0, got {pixel_noise!r}")


def _draw_digits(n_samples, image_size, rng):
    """Images (n, s, s) in [0, 1] and their digits, in random order without repetition."""
    digits = load_digits()
    available = len(digits.target)
    n_samples = available if n_samples is None else n_samples
    if not 1 <= n_samples <= available:
        raise ValueError(f"n_samples must be between 1 and {available}, got {n_samples!r}")
    rows = rng.permutation(available)[:n_samples]
    block = np.ones((1, image_size // 8, image_size // 8))
    return np.kron(digits.images[rows] / 16, block), digits.target[rows].astype(np.int64)


def _replace(codes, probability, n_codes, rng):
    """Each code, with this probability, by another one, all others being equally likely."""
    replaced = rng.random_sample(len(codes)) < probability
    shift = rng.randint(1, n_codes, size=len(codes))
    return np.where(replaced, (codes + shift) % n_codes, codes)


def _paint(gray, color, pixel_noise, rng):
    """Coloured images (n, 3, s, s), float32 in [0, 1]."""
    rgb = np.array(list(_RGB.values()))[color]  # (n, 3)
    images = gray[:, None] * rgb[:, :, None, None]
    if pixel_noise:
        images += pixel_noise * rng.standard_normal(images.shape)
    return np.clip(images, 0, 1).astype(np.float32)
