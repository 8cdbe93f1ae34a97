"""What a tagger heard in one sound. Knows no audio and no models."""

import operator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .timeline import Thresholds, Timeline, class_thresholds

__all__ = ["Recording", "Threshold", "TopK", "WindowPooling"]

FEW = 5  # tags, unless somebody asks for more or fewer

TopK = int | Literal["auto"] | None

WindowPooling = Literal["max", "mean"]

Threshold = Thresholds | None


@dataclass(frozen=True)
class Recording:
    """A sound's scores.

    Attributes:
        source: What was tagged, as it was passed.
        seconds: Its length.
        labels: Class names, K.
        starts: Where each window begins, in seconds `[windows]`.
        scores: Probabilities of each window, float32 `[windows, K]`.
        timeline: Those over time, where they were asked for.
        top_hz: Up to where the model hears, half of its rate.
    """

    source: Any
    seconds: float
    labels: tuple[str, ...]
    starts: np.ndarray
    scores: np.ndarray
    timeline: Timeline | None = None
    top_hz: float = 8000

    def clip_scores(self, pooling: WindowPooling = "max") -> np.ndarray:
        """Probabilities of the whole, `[K]`: the highest of any window, or the windows' mean."""
        return self.scores.max(axis=0) if pooling == "max" else self.scores.mean(axis=0)

    def tags(
        self, top_k: TopK = "auto", threshold: Threshold = None, pooling: WindowPooling = "max"
    ) -> list[dict[str, Any]]:
        """`{"label", "score"}` by falling score.

        Args:
            top_k: How many at most, 1 to K; `"auto"` for five or all of fewer, and for all with a threshold; `None` for
                all.
            threshold: Only tags with at least this score, or with that of their class; see `class_thresholds`.
            pooling: See `clip_scores`.

        Raises:
            ValueError: `top_k` is out of range, or a threshold is of no class.
        """
        scores = self.clip_scores(pooling)
        best = np.argsort(-scores, kind="stable")[: tag_count(top_k, len(self.labels), threshold)]
        least = class_thresholds(0.0 if threshold is None else threshold, self.labels)
        return [{"label": self.labels[k], "score": float(scores[k])} for k in best if scores[k] >= least[k]]


def tag_count(top_k: TopK, num_classes: int, threshold: object = None) -> int:
    """How many tags are meant.

    Raises:
        ValueError: `top_k` is neither from 1 to K nor None.
    """
    if top_k == "auto":
        return num_classes if threshold is not None else min(FEW, num_classes)
    try:
        count = num_classes if top_k is None else operator.index(top_k)
    except TypeError:
        count = 0
    if isinstance(top_k, bool) or not 1 <= count <= num_classes:
        raise ValueError(f"Expected top_k from 1 to {num_classes}, the model's classes, or None, got {top_k!r}.")
    return count
