"""What is done to gradients on their way."""

import torch

__all__ = ["project_out", "reverse_gradient"]


def project_out(gradients, directions, strength=0.0):
    r"""Return the gradients without their component along the directions, and less a multiple of these.

    .. math:: g - \frac{\langle g, u\rangle}{\langle u, u\rangle}\, u - \beta u

    ``gradients`` and ``directions`` are lists of tensors, one per parameter, and are read as *one* long vector each:
    the inner product of two matrices is the sum of the products of their entries (Frobenius), and the sum runs over all
    parameters. Where :math:`u = 0` the gradients come back as they are.

    Parameters
    ----------
    gradients, directions : list of tensors
        Tensors of the same shapes, pairwise.
    strength : float, default=0.0
        :math:`\beta`. Zhang, Lemoine and Mitchell (AIES 2018) step against :math:`u` besides.

    Returns
    -------
    list of tensors

    Examples
    --------
    >>> import torch
    >>> g, u = [torch.tensor([[1., 2.], [3., 4.]])], [torch.tensor([[0., 2.], [0., 0.]])]
    >>> project_out(g, u)
    [tensor([[1., 0.],
            [3., 4.]])]
    """
    long_g = torch.cat([g.reshape(-1) for g in gradients])
    long_u = torch.cat([u.reshape(-1) for u in directions])
    inner, square = long_g @ long_u, long_u @ long_u
    scale = torch.where(square > 0, inner / torch.where(square > 0, square, 1.0), 0.0)
    parts = (long_g - (scale + strength) * long_u).split([g.numel() for g in gradients])
    return [part.view_as(g) for part, g in zip(parts, gradients, strict=True)]


class _ReverseGradient(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x, strength):
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.saved_tensors[0] * gradient, None


def reverse_gradient(x, strength=1.0):
    r"""Return ``x``; in the backward pass multiply the gradient by :math:`-\lambda` (Ganin et al., JMLR 2016).

    Parameters
    ----------
    x : tensor
    strength : float or tensor of shape ()
        :math:`\lambda`.

    Returns
    -------
    tensor
        Of the shape and values of ``x``.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([1., 2.], requires_grad=True)
    >>> reverse_gradient(x, 0.5).sum().backward()
    >>> x.grad
    tensor([-0.5000, -0.5000])
    """
    return _ReverseGradient.apply(x, torch.as_tensor(strength, dtype=x.dtype, device=x.device))
