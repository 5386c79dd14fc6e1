"""The heads that the trained formats need.

Of the style "mean" those with weights start with a LayerNorm: the vectors of contrastively trained encoders lie in a
narrow cone, and a linear layer on them alone trains badly. Those of the style "pooler" are jiant's (nyu-mll/jiant,
jiant/proj/main/modeling/heads.py), with which the paper was made.
"""

import torch
from torch import nn


class TokenHead(nn.Module):
    """Logits for each token: (batch, tokens, hidden) -> (batch, tokens, labels)."""

    def __init__(self, hidden_size: int, labels: int, dropout: float = 0.1):
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(hidden_size, labels)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return logits; `mask` is unused, padding is left to the loss."""
        return self.project(self.dropout(self.norm(hidden)))


class SentenceHead(TokenHead):
    """Logits for the whole input, from the mean over its tokens: (batch, tokens, hidden) -> (batch, labels)."""

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return logits of the mean over the tokens where `mask` is 1."""
        return super().forward(mean_pool(hidden, mask), mask)


class PlainTokenHead(nn.Module):
    """Logits for each token by a linear layer alone: (batch, tokens, hidden) -> (batch, tokens, labels)."""

    def __init__(self, hidden_size: int, labels: int, dropout: float = 0.1):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(hidden_size, labels)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return logits; `mask` is unused, padding is left to the loss."""
        return self.project(self.dropout(hidden))


class Pooler(nn.Module):
    """What encoders of BERT's family make of an input: (batch, tokens, hidden) -> (batch, hidden).

    All tasks of a model share it, as they share the encoder.
    """

    def __init__(self, hidden_size: int):
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the first token's state after a dense layer and tanh."""
        return torch.tanh(self.dense(hidden[:, 0]))


class PooledHead(nn.Module):
    """Logits for the whole input from what a pooler made of it: (batch, hidden) -> (batch, labels)."""

    def __init__(self, hidden_size: int, labels: int, dropout: float = 0.1):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.project = nn.Linear(hidden_size, labels)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Return logits: dropout, dense, tanh, dropout, linear."""
        return self.project(self.dropout(torch.tanh(self.dense(self.dropout(pooled)))))


class MaskedTokenHead(nn.Module):
    """Logits over the vocabulary: (chosen, hidden), embeddings (vocabulary, hidden) -> (chosen, vocabulary).

    The form of XLM-R's own, so that its weights fit: dense, GELU, LayerNorm, then the input embeddings as decoder, and
    a bias. The embeddings are given to `forward` and not held, so that they stay the encoder's alone: tied, and once in
    a checkpoint.
    """

    def __init__(self, hidden_size: int, vocabulary: int):
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, hidden: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """Return logits of the chosen tokens."""
        return nn.functional.linear(self.norm(nn.functional.gelu(self.dense(hidden))), embeddings, self.bias)


class MeanHead(nn.Module):
    """The mean over the tokens of an input itself: (batch, tokens, hidden) -> (batch, hidden)."""

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the mean over the tokens where `mask` is 1, float32."""
        return mean_pool(hidden, mask)


def mean_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over tokens, special ones included: (batch, tokens, hidden) -> (batch, hidden), float32."""
    weights = mask.unsqueeze(-1).float()
    return (hidden.float() * weights).sum(1) / weights.sum(1)
