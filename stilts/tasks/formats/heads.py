"""The heads of the trained formats; each requests the states that it needs from `BatchStates`.

Heads of the style "mean" start with a LayerNorm: the vectors of contrastively trained encoders lie in a narrow cone,
and a linear layer alone trains badly on them. Heads of the style "pooler" are those of jiant, the paper's code
(nyu-mll/jiant, jiant/proj/main/modeling/heads.py).
"""

from typing import Protocol

import torch
from torch import nn


class BatchStates(Protocol):
    """A model's states for a batch of inputs, computed on request."""

    def tokens(self) -> torch.Tensor:
        """Return a state for each token, (sequences, tokens, hidden)."""

    def token_weights(self) -> torch.Tensor:
        """Return each token's weight in the mean that represents an input, (sequences, tokens)."""

    def text_vectors(self) -> torch.Tensor:
        """Return the text vectors for retrieval, (sequences, hidden), float32."""

    def pooled(self) -> torch.Tensor:
        """Return the pooler's output for each input, (sequences, hidden)."""

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
        """Return the logits of all tokens; the loss must ignore padding."""
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
        """Return the logits of all tokens; the loss must ignore padding."""
        return self.project(self.dropout(states.tokens()))


class Pooler(nn.Module):
    """The pooler of BERT's family: (batch, tokens, hidden) -> (batch, hidden). All tasks of a model share it."""

    def __init__(self, hidden_size: int):
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the first token's state after a dense layer and tanh."""
        return torch.tanh(self.dense(hidden[:, 0]))


class PooledHead(nn.Module):
    """Logits for the whole input from the pooler's output: (batch, hidden) -> (batch, labels)."""

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

    It has the layers of XLM-R's own head, so that its weights fit: dense, GELU, LayerNorm, the input embeddings as
    decoder, and a bias. The embeddings are not registered here: they stay tied and occur once in a checkpoint.
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
    """The vector of an input, without trainable weights: (batch, hidden)."""

    def forward(self, states: BatchStates) -> torch.Tensor:
        """Return the mean over the tokens, float32."""
        return states.text_vectors()


def mean_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over tokens, including special ones: (batch, tokens, hidden) -> (batch, hidden), float32."""
    weights = mask.unsqueeze(-1).float()
    return (hidden.float() * weights).sum(1) / weights.sum(1)
