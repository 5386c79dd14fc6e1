"""The heads that the trained formats need; each asks a model's states of a batch for what it reads.

Of the style "mean" those with weights start with a LayerNorm: the vectors of contrastively trained encoders lie in a
narrow cone, and a linear layer on them alone trains badly. Those of the style "pooler" are jiant's (nyu-mll/jiant,
jiant/proj/main/modeling/heads.py), with which the paper was made.
"""

from typing import Protocol

import torch
from torch import nn


class BatchStates(Protocol):
    """What a model makes of a batch of inputs, each part when it is asked for."""

    def tokens(self) -> torch.Tensor:
        """Return a state for each token, (sequences, tokens, hidden)."""

    def token_weights(self) -> torch.Tensor:
        """Return what each of these counts where one vector stands for an input, (sequences, tokens)."""

    def text_vectors(self) -> torch.Tensor:
        """Return the vectors by which texts are compared, (sequences, hidden), float32."""

    def pooled(self) -> torch.Tensor:
        """Return what the pooler makes of each input, (sequences, hidden)."""

    def chosen(self) -> torch.Tensor:
        """Return the states at the inputs' `positions`, (chosen, hidden)."""

    def embeddings(self) -> torch.Tensor:
        """Return the input embeddings, (vocabulary, hidden)."""


class TokenHead(nn.Module):
    """Logits for each token: (batch, tokens, hidden) -> (batch, tokens, labels)."""

    def __init__(self, hidden_size: int, labels: int, dropout: float = 0.1):
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(hidden_size, labels)

    def forward(self, states: BatchStates) -> torch.Tensor:
        """Return logits of all tokens; padding is left to the loss."""
        return self.project(self.dropout(self.norm(states.tokens())))


class SentenceHead(TokenHead):
    """Logits for the whole input, from the mean over its tokens: (batch, tokens, hidden) -> (batch, labels)."""

    def forward(self, states: BatchStates) -> torch.Tensor:
        """Return logits of the weighted mean over the tokens."""
        mean = mean_pool(states.tokens(), states.token_weights())
        return self.project(self.dropout(self.norm(mean)))


class PlainTokenHead(nn.Module):
    """Logits for each token by a linear layer alone: (batch, tokens, hidden) -> (batch, tokens, labels)."""

    def __init__(self, hidden_size: int, labels: int, dropout: float = 0.1):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(hidden_size, labels)

    def forward(self, states: BatchStates) -> torch.Tensor:
        """Return logits of all tokens; padding is left to the loss."""
        return self.project(self.dropout(states.tokens()))


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

    def forward(self, states: BatchStates) -> torch.Tensor:
        """Return logits: dropout, dense, tanh, dropout, linear."""
        return self.project(self.dropout(torch.tanh(self.dense(self.dropout(states.pooled())))))


class MaskedTokenHead(nn.Module):
    """Logits over the vocabulary: (chosen, hidden), embeddings (vocabulary, hidden) -> (chosen, vocabulary).

    The form of XLM-R's own, so that its weights fit: dense, GELU, LayerNorm, then the input embeddings as decoder, and
    a bias. The embeddings are asked for and not held, so that they stay the encoder's alone: tied, and once in a
    checkpoint.
    """

    def __init__(self, hidden_size: int, vocabulary: int):
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, states: BatchStates) -> torch.Tensor:
        """Return logits of the chosen tokens."""
        hidden = self.norm(nn.functional.gelu(self.dense(states.chosen())))
        return nn.functional.linear(hidden, states.embeddings(), self.bias)


class MeanHead(nn.Module):
    """The vector of an input itself, without weights of its own: (batch, hidden)."""

    def forward(self, states: BatchStates) -> torch.Tensor:
        """Return the mean over the tokens, float32."""
        return states.text_vectors()


def mean_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over tokens, special ones included: (batch, tokens, hidden) -> (batch, hidden), float32."""
    weights = mask.unsqueeze(-1).float()
    return (hidden.float() * weights).sum(1) / weights.sum(1)
