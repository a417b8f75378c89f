"""Gradients of what has none: finite differences along random directions."""

import torch

__all__ = ["spsa"]


def spsa(losses, parameters, *, step, n_directions, generator):
    r"""Estimate the gradients of several losses by simultaneous perturbation.

    .. math::
        \hat g = \frac{1}{m} \sum_{j=1}^m \frac{L(\theta + c \Delta_j) - L(\theta - c \Delta_j)}{2 c}\, \Delta_j, \qquad
        \Delta_j \in \{-1, 1\}^d

    Parameters
    ----------
    losses : callable
        Returns a list of tensors of shape (), for the present values of the parameters.
    parameters : list of torch.nn.Parameter
        Moved, and put back to the last bit.
    step : float
        c.
    n_directions : int
        m; ``losses`` is called 2 m times.
    generator : numpy.random.Generator

    Returns
    -------
    list of (value, list of tensors)
        For each loss its mean over all calls, and an estimate of its gradient.

    References
    ----------
    Spall, "Multivariate stochastic approximation using a simultaneous perturbation gradient approximation", 1992.
    """
    before, found = [p.detach().clone() for p in parameters], None
    with torch.no_grad():
        try:
            for _ in range(n_directions):
                signs = [
                    torch.as_tensor(generator.choice([-1.0, 1.0], p.shape), dtype=p.dtype, device=p.device)
                    for p in before
                ]
                plus, minus = (_losses_at(losses, parameters, before, signs, c) for c in (step, -step))
                found = [[0.0, [torch.zeros_like(p) for p in before]] for _ in plus] if found is None else found
                for entry, a, b in zip(found, plus, minus):
                    entry[0] = entry[0] + (a + b) / (2 * n_directions)
                    for gradient, sign in zip(entry[1], signs):
                        gradient.add_(sign * ((a - b) / (2 * step * n_directions)))
        finally:
            for p, value in zip(parameters, before):
                p.copy_(value)
    return found


def _losses_at(losses, parameters, before, signs, step):
    for p, value, sign in zip(parameters, before, signs):
        p.copy_(value + step * sign)
    return losses()
