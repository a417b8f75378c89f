"""Every formula of the library, as a pure function of tensors.

Nothing here knows of estimators, skorch or scikit-learn. Each function reduces over the batch axis only, branches on no
tensor's value and draws no random number, so that it runs unchanged on one model or on a stack of models under
``torch.vmap``. Each has a test against a few lines of numpy.

Shapes: ``n`` rows, ``K`` classes, ``G`` groups or cells.
"""

import torch
from torch.nn.functional import one_hot

__all__ = [
    "generalized_cross_entropy",
    "group_mean",
    "hedge_update",
    "hsic",
    "pick",
    "project_out",
    "reverse_gradient",
    "weighted_mean",
]


def weighted_mean(values, weight=None):
    r"""Return :math:`\frac1n \sum_i w_i v_i`.

    The weights are not renormalised within the batch: an estimator scales them once, to mean 1 over the training
    set, so that the mean over a random minibatch is an unbiased estimate of the mean over the training set.

    Parameters
    ----------
    values : tensor of shape (n,)
    weight : tensor of shape (n,), optional
        All ones if not given.

    Returns
    -------
    tensor of shape ()

    Examples
    --------
    >>> import torch
    >>> weighted_mean(torch.tensor([1., 3.]), torch.tensor([2., 0.]))
    tensor(1.)
    """
    return values.mean() if weight is None else (weight * values).mean()


def group_mean(values, group, n_groups, weight=None):
    r"""Return the mean of each group and whether the group is present.

    .. math:: \mu_g = \frac{\sum_i w_i\, 1[g_i = g]\, v_i}{\sum_i w_i\, 1[g_i = g]}

    A group without rows, or whose rows have no weight, has mean 0 and counts as absent.

    Parameters
    ----------
    values : tensor of shape (n,) or (n, K)
    group : int64 tensor of shape (n,)
        Codes from 0 to ``n_groups - 1``. Rows with code -1 belong to no group.
    n_groups : int
    weight : tensor of shape (n,), optional

    Returns
    -------
    mean : tensor of shape (n_groups,) or (n_groups, K)
    present : bool tensor of shape (n_groups,)

    Examples
    --------
    >>> import torch
    >>> mean, present = group_mean(torch.tensor([1., 3., 5.]), torch.tensor([0, 0, 2]), 3)
    >>> mean, present
    (tensor([2., 0., 5.]), tensor([ True, False,  True]))
    """
    member = one_hot(group + 1, n_groups + 1)[..., 1:].to(values.dtype)  # (n, G)
    if weight is not None:
        member = member * weight.to(values.dtype).unsqueeze(-1)
    mass = member.sum(0)
    present = mass > 0
    mean = (member.mT @ values.reshape(values.shape[0], -1)) / torch.where(present, mass, 1.0).unsqueeze(-1)
    return mean.reshape(n_groups, *values.shape[1:]), present


def hedge_update(log_q, losses, step_size):
    r"""Return the logarithm of the group weights after one step of exponentiated gradient ascent.

    .. math:: q_g \leftarrow \frac{q_g \exp(\eta\, a_g)}{\sum_h q_h \exp(\eta\, a_h)}

    Held as :math:`\log q`, so that no weight ever underflows to 0. A group with :math:`\log q_g = -\infty` stays out.

    Parameters
    ----------
    log_q : tensor of shape (G,)
    losses : tensor of shape (G,)
        The (adjusted) loss of each group, :math:`a_g`. No gradient flows through it.
    step_size : float
        :math:`\eta \ge 0`.

    Returns
    -------
    tensor of shape (G,)

    Examples
    --------
    >>> import math, torch
    >>> hedge_update(torch.zeros(2), torch.tensor([math.log(3.), 0.]), 1.0).exp()
    tensor([0.7500, 0.2500])
    """
    return torch.log_softmax(log_q + step_size * losses.detach(), dim=-1)


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


def _rbf(x, w):
    """Gaussian kernel matrix (n, n); the bandwidth, the mean squared distance under w, carries no gradient."""
    square = (x.unsqueeze(0) - x.unsqueeze(1)).square().sum(-1)
    bandwidth = (w @ square @ w).detach().clamp_min(1e-6)
    return torch.exp(-square / (2 * bandwidth))


def hsic(x, group, n_groups, weight=None):
    r"""Return the (biased) Hilbert-Schmidt independence criterion of ``x`` and the group.

    .. math:: \operatorname{tr}(K\, C_w\, L\, C_w^\top)

    with a Gaussian kernel :math:`K` on ``x`` (bandwidth: the weighted mean squared distance of two rows), the kernel
    :math:`L_{ij} = 1[g_i = g_j]` and the weighted centring :math:`C_w = \operatorname{diag}(w) - w w^\top`,
    :math:`\sum_i w_i = 1`. With equal weights this is :math:`\operatorname{tr}(KHLH)/n^2`. It is 0 if and only if the
    empirical distributions of ``x`` agree in all groups.

    Parameters
    ----------
    x : tensor of shape (n, K)
    group : int64 tensor of shape (n,)
        Rows with code -1 are left out.
    n_groups : int
    weight : tensor of shape (n,), optional

    Returns
    -------
    tensor of shape ()
        0 if no row has any weight.

    References
    ----------
    Gretton, Bousquet, Smola, Schoelkopf, "Measuring statistical dependence with Hilbert-Schmidt norms", ALT 2005.

    Examples
    --------
    >>> import torch
    >>> x, g = torch.tensor([[0.], [1.], [0.], [1.]]), torch.tensor([0, 0, 1, 1])
    >>> bool(hsic(x, g, 2).abs() < 1e-7)       # the same values in both groups
    True
    """
    member = one_hot(group + 1, n_groups + 1)[..., 1:].to(x.dtype)  # (n, G)
    w = member.sum(-1) if weight is None else member.sum(-1) * weight.to(x.dtype)
    w = w / w.sum().clamp_min(torch.finfo(x.dtype).tiny)
    centred = w.unsqueeze(-1) * (member - w @ member)  # C_w M, with L = M M^T
    return ((_rbf(x, w) @ centred) * centred).sum()


def generalized_cross_entropy(logits, y, q):
    r"""Return the generalised cross entropy of each row.

    .. math:: \mathrm{GCE}_i = \frac{1 - p_{i, y_i}^{\,q}}{q}

    Its gradient is :math:`p_{i, y_i}^{\,q}` times that of the cross entropy: rows that fit already count more.

    Parameters
    ----------
    logits : tensor of shape (n, K)
    y : int64 tensor of shape (n,)
    q : float
        In (0, 1]. 1 is the probability of being wrong; towards 0 it is the cross entropy.

    Returns
    -------
    tensor of shape (n,)

    References
    ----------
    Zhang, Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels", NeurIPS 2018.

    Examples
    --------
    >>> import torch
    >>> generalized_cross_entropy(torch.zeros(1, 2), torch.tensor([0]), 1.0)
    tensor([0.5000])
    """
    log_p = torch.log_softmax(logits, -1).gather(-1, y.unsqueeze(-1)).squeeze(-1)
    return -torch.expm1(q * log_p) / q


def pick(weight, draw):
    r"""Return for each row one column, drawn in proportion to the row's weights, and whether it has any weight.

    The first column j with :math:`\sum_{k \le j} w_{ik} > u_i \sum_k w_{ik}`.

    Parameters
    ----------
    weight : tensor of shape (n, m)
        :math:`w_{ij} \ge 0`.
    draw : tensor of shape (n,)
        :math:`u_i`, in [0, 1).

    Returns
    -------
    index : int64 tensor of shape (n,)
        0 for a row without weights.
    found : bool tensor of shape (n,)

    Examples
    --------
    >>> import torch
    >>> weight = torch.tensor([[1., 0., 1.], [0., 0., 0.]])
    >>> pick(weight, torch.tensor([0.7, 0.7]))
    (tensor([2, 0]), tensor([ True, False]))
    """
    total = weight.cumsum(1)
    last = total[:, -1:]
    reached = total > draw.unsqueeze(1).clamp_max(1 - 1e-6) * last  # rounding must not lead too far
    return reached.int().argmax(1), last.squeeze(1) > 0
