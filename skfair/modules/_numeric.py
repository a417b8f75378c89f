"""Embeddings of the numeric columns of a table."""

import importlib

import torch
from torch import nn

__all__ = ["NumericEmbedding", "needs"]


class NumericEmbedding(nn.Module):
    def __init__(self, in_features, columns, d_embedding, n_frequencies, scale):
        super().__init__()
        bad = [i for i in columns if not 0 <= i < in_features]
        if bad:
            raise ValueError(f"numeric holds the columns {bad}, but X has the columns 0 to {in_features - 1}.")
        rest = sorted(set(range(in_features)) - set(columns))
        self.register_buffer("columns", torch.tensor(columns, dtype=torch.long), persistent=False)
        self.register_buffer("rest", torch.tensor(rest, dtype=torch.long), persistent=False)
        self.embedding = _periodic(len(columns), d_embedding, n_frequencies, scale) if columns else None
        self.out_features = len(rest) + d_embedding * len(columns)

    def forward(self, x):
        rest = x[:, self.rest]
        if self.embedding is None:
            return rest
        return torch.cat([self.embedding(x[:, self.columns]).flatten(1), rest], 1)


def needs(package, user):
    """The package, or an ImportError with the pip line."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{user} needs the package {package}: pip install 'skfair[tabular]'.") from error


def _periodic(n_columns, d_embedding, n_frequencies, scale):
    embeddings = needs("rtdl_num_embeddings", "An embedding of numeric columns")
    return embeddings.PeriodicEmbeddings(
        n_columns, d_embedding, n_frequencies=n_frequencies, frequency_init_scale=scale, lite=False
    )
