"""When a class is heard: scores over time, and the events in them. Knows no audio and no models."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

__all__ = ["Event", "EventRule", "Thresholds", "Timeline", "class_thresholds"]

Thresholds = float | Mapping[str, float]

EXACT_SECONDS = 1e-6  # so exact are times, which are multiples of steps in floating point


class Event(NamedTuple):
    """A sound with a beginning and an end.

    Attributes:
        onset: In seconds.
        offset: In seconds.
        label: Its class.
        score: The highest in between.
    """

    onset: float
    offset: float
    label: str
    score: float


def class_thresholds(threshold: Thresholds, labels: Sequence[str]) -> np.ndarray:
    """The threshold of each class, `[K]`: the same for all, or by name and 0.5 for those that are not named.

    Raises:
        ValueError: One is no number from 0 to 1, or is given for a class that there is not.
    """
    by_name = threshold if isinstance(threshold, Mapping) else dict.fromkeys(labels, threshold)
    if unknown := by_name.keys() - set(labels):
        raise ValueError(f"Expected thresholds of the model's classes, got some of {sorted(unknown)[:5]}.")
    for value in by_name.values():
        if not (isinstance(value, int | float | np.number) and 0 <= value <= 1):
            raise ValueError(f"Expected thresholds from 0 to 1, or one for each class by its name, got {value!r}.")
    return np.array([by_name.get(label, 0.5) for label in labels])


@dataclass(frozen=True)
class EventRule:
    """What counts as an event: scores stay above the low threshold, and reach the high one at least once.

    Attributes:
        threshold: The high one, of all classes or by class name; classes that are not named have 0.5.
        low: The low one as a share of the high one; at 1 they are the same.
        min_seconds: Shorter events are none.
        min_gap: Events of a class with less than so many seconds between them are one.

    Raises:
        ValueError: A threshold is outside (0, 1], the share too, or a time is negative.
    """

    threshold: Thresholds = 0.5
    low: float = 0.5
    min_seconds: float = 0.0
    min_gap: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what would find everything, or nothing."""
        thresholds = self.threshold.values() if isinstance(self.threshold, Mapping) else [self.threshold]
        if not all(0 < value <= 1 for value in [*thresholds, self.low]):
            raise ValueError(
                f"Expected thresholds and their low share above 0, up to 1, got {self.threshold} and {self.low}."
            )
        if not (self.min_seconds >= 0 and self.min_gap >= 0):
            raise ValueError(f"Expected times of 0 s or more, got {self.min_seconds} and {self.min_gap}.")


@dataclass(frozen=True)
class Timeline:
    """The probability of each class over time.

    Attributes:
        scores: Float32 `[steps, K]`.
        step_seconds: Length of a step; the first one begins at 0.
        seconds: Length of the sound, within the last step.
        labels: Class names, K.
    """

    scores: np.ndarray
    step_seconds: float
    seconds: float
    labels: tuple[str, ...]

    @property
    def times(self) -> np.ndarray:
        """The middle of each step in seconds, `[steps]`."""
        return (np.arange(len(self.scores)) + 0.5) * self.step_seconds

    def events(self, rule: EventRule | None = None) -> list[Event]:
        """Events in the order of their onsets, by `EventRule`'s defaults if no rule is given."""
        rule = rule or EventRule()
        thresholds = class_thresholds(rule.threshold, self.labels)
        heard = np.flatnonzero((self.scores >= thresholds).any(axis=0)).tolist()
        return sorted(event for k in heard for event in self._events_of(k, thresholds[k], rule))

    def _events_of(self, k: int, threshold: float, rule: EventRule) -> Iterator[Event]:
        scores = self.scores[:, k]
        labelled, _ = ndimage.label(scores >= threshold * rule.low)
        spans = [run[0] for run in ndimage.find_objects(labelled) if scores[run[0]].max() >= threshold]
        merged: list[slice] = []
        for span in spans:
            if merged and (span.start - merged[-1].stop) * self.step_seconds < rule.min_gap - EXACT_SECONDS:
                span = slice(merged.pop().start, span.stop)
            merged.append(span)
        for span in merged:
            onset, offset = span.start * self.step_seconds, min(span.stop * self.step_seconds, self.seconds)
            if offset - onset >= rule.min_seconds - EXACT_SECONDS:
                yield Event(onset, offset, self.labels[k], float(scores[span].max()))
