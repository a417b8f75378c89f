import torch
from torch import nn

from skfair.modules._mlp import MLP
from skfair.modules._numeric import NumericEmbedding

__all__ = ["TabularMLP"]


class TabularMLP(nn.Module):
    """MLP on periodic embeddings of the numeric columns.

    Each numeric column goes through a small periodic embedding, ReLU(Linear([cos(2 pi c x), sin(2 pi c x)])), of its own
    (Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep Learning", NeurIPS 2022); all other columns,
    such as one-hot codes, enter as they are. Needs the package ``rtdl_num_embeddings``.

    Parameters
    ----------
    in_features, out_features : int
        Number of columns and of outputs. An estimator fills them in.
    numeric : sequence of int, optional
        Positions of the numeric columns. An estimator fills in those that hold other values than 0 and 1 in the rows it
        is fitted on; without one, all columns if not given.
    hidden : sequence of int, default=(50, 50)
    dropout : float, default=0.2
    d_embedding : int, default=24
        Width of a column's embedding.
    n_frequencies : int, default=48
    frequency_init_scale : float, default=0.01
        Standard deviation of the frequencies c at the start; for standardised columns 0.01 to 1 is sensible.

    Attributes
    ----------
    encoder, head : torch.nn.Module
        As in :class:`~skfair.modules.MLP`; the encoder holds the embeddings and the first hidden layer.

    Raises
    ------
    ImportError
        If ``rtdl_num_embeddings`` is missing, with the pip line.
    ValueError
        If ``numeric`` names a column that does not exist.

    Examples
    --------
    >>> import torch
    >>> from skfair.modules import TabularMLP
    >>> net = TabularMLP(5, 2, numeric=[0, 3])
    >>> net(torch.zeros(7, 5)).shape
    torch.Size([7, 2])
    """

    runs_in_float64 = True

    def __init__(
        self,
        in_features,
        out_features,
        numeric=None,
        hidden=(50, 50),
        dropout=0.2,
        d_embedding=24,
        n_frequencies=48,
        frequency_init_scale=0.01,
    ):
        super().__init__()
        columns = list(range(in_features)) if numeric is None else [int(i) for i in numeric]
        embed = NumericEmbedding(in_features, columns, d_embedding, n_frequencies, frequency_init_scale)
        body = MLP(embed.out_features, out_features, hidden=hidden, dropout=dropout)
        self.encoder = nn.Sequential(embed, body.encoder)
        self.head = body.head
        self.representation_features = body.representation_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(x))
