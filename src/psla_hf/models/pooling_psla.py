"""Pooling heads: from the embeddings of frames to probabilities of the clip, and of each frame where there are such."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .configuration_psla import PslaConfig

__all__ = ["EPSILON", "POOLINGS", "Pooled", "PslaAttentionPooling", "UniformLinear", "make_pooling"]

# The original clamps attention and clip probabilities to [EPSILON, 1 - EPSILON]. Below float32 this vanishes, so
# everything from the first sigmoid on is float32, also under autocast.
EPSILON = 1e-7


class UniformLinear(nn.Linear):
    """A linear layer that starts from U(-√(6 / fan-in), √(6 / fan-in)) and no bias, as the original's single heads."""


class Pooled(NamedTuple):
    """What pooling makes of frames; see `PslaAudioClassifierOutput` for the optional three."""

    probability: Tensor  # [B, K], not clamped
    frame_scores: Tensor | None = None  # [B, steps, K]
    attentions: Tensor | None = None  # [B, H, steps, K]
    hidden_states: tuple[Tensor, ...] | None = None


class PslaAttentionPooling(nn.Module):
    """Multi-head attention pooling of PSLA: each head weighs frames per class.

    Per head, attention a and scores c are sigmoids of linear maps of a frame; a is divided by its sum over time, the
    head's output is the sum over time of a * c, and the heads are added with free weights that start at 1 / H. The
    result is a weighted sum of probabilities and can exceed 1.
    """

    def __init__(self, in_features: int, num_labels: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        linear = nn.Linear if num_heads > 1 else UniformLinear
        self.attention = linear(in_features, num_heads * num_labels)
        self.scores = linear(in_features, num_heads * num_labels)
        if num_heads > 1:
            self.head_weight = nn.Parameter(torch.full((num_heads,), 1.0 / num_heads))
        else:
            self.register_buffer("head_weight", torch.ones(1), persistent=False)

    def forward(self, hidden: Tensor, per_frame: bool = False) -> Pooled:
        """Pool frames `[B, steps, C]`."""
        batch, steps, _ = hidden.shape
        by_head = (batch, steps, self.num_heads, -1)
        attention = self.attention(hidden).float().sigmoid().clamp(EPSILON, 1 - EPSILON).view(by_head)
        attention = attention / attention.sum(dim=1, keepdim=True)
        scores = self.scores(hidden).float().sigmoid().view(by_head)
        head_weight = self.head_weight.float()[:, None]
        probability = ((attention * scores).sum(dim=1) * head_weight).sum(dim=1)
        if not per_frame:
            return Pooled(probability)
        weights = attention * head_weight  # [B, steps, H, K]
        # One score per step: the heads' mean, by their weights there, so that the weighted sum is the clip's.
        frame_scores = (weights * scores).sum(dim=2) / weights.sum(dim=2)
        return Pooled(probability, frame_scores, weights.transpose(1, 2))


class PslaMeanPooling(nn.Module):
    """The mean over time of each frame's sigmoid probabilities."""

    def __init__(self, in_features: int, num_labels: int):
        super().__init__()
        self.scores = UniformLinear(in_features, num_labels)

    def forward(self, hidden: Tensor, per_frame: bool = False) -> Pooled:
        """Pool frames `[B, steps, C]`; every step weighs the same."""
        scores = self.scores(hidden).float().sigmoid()
        if not per_frame:
            return Pooled(scores.mean(dim=1))
        return Pooled(scores.mean(dim=1), scores, torch.full_like(scores, 1 / scores.shape[1])[:, None])


class PslaLinearPooling(nn.Module):
    """The sigmoid of one linear layer on the features' mean over time."""

    def __init__(self, in_features: int, num_labels: int):
        super().__init__()
        self.scores = nn.Linear(in_features, num_labels)

    def forward(self, hidden: Tensor, per_frame: bool = False) -> Pooled:
        """Pool frames `[B, steps, C]`; the mean comes first, so that there are no scores of single frames."""
        if per_frame:
            raise ValueError('Linear pooling has no scores per frame. Use pooling="attention" or "mean".')
        return Pooled(self.scores(hidden.mean(dim=1)).float().sigmoid())


# A pooling by its word in `PslaConfig.pooling`: from the configuration and the features' number to the head.
POOLINGS: dict[str, Callable[[PslaConfig, int], nn.Module]] = {
    "attention": lambda config, in_features: PslaAttentionPooling(
        in_features, len(config.label_names), config.num_attention_heads
    ),
    "mean": lambda config, in_features: PslaMeanPooling(in_features, len(config.label_names)),
    "linear": lambda config, in_features: PslaLinearPooling(in_features, len(config.label_names)),
}


def make_pooling(config: PslaConfig, in_features: int) -> nn.Module:
    """The pooling that the configuration names.

    Raises:
        ValueError: There is no such pooling.
    """
    if config.pooling not in POOLINGS:
        raise ValueError(f"Expected pooling to be one of {', '.join(POOLINGS)}, got {config.pooling!r}.")
    return POOLINGS[config.pooling](config, in_features)
