"""Which clip comes next: balanced weights and an exact, resumable order. Knows no audio and no models."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Sampler

from .labels import ClipLabels, Vocabulary

__all__ = ["ClassCounts", "EpochSampler", "balanced_weights"]


@dataclass(frozen=True)
class ClassCounts:
    """How many clips have each class, tied to the classes they were counted for.

    Attributes:
        vocabulary: Fingerprint of the classes and their order.
        clips: Clips that were counted.
        counts: Clips with each class, by display name, in index order.
    """

    vocabulary: str
    clips: int
    counts: dict[str, int]

    @classmethod
    def of(cls, labels: ClipLabels, vocabulary: Vocabulary) -> "ClassCounts":
        """Count the labels of some clips."""
        counts = dict(zip(vocabulary.names, labels.class_counts().tolist(), strict=True))
        return cls(vocabulary.fingerprint, len(labels), counts)

    @classmethod
    def load(cls, path: str | Path, vocabulary: Vocabulary) -> "ClassCounts":
        """Read counts that `save` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: They are no class counts, or those of another vocabulary or of another order of its classes.
        """
        try:
            counts = cls(**json.loads(Path(path).read_text(encoding="utf-8")))
        except (TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"Expected class counts in {path}, as ClassCounts.save writes them ({error}).") from error
        if counts.vocabulary != vocabulary.fingerprint:
            raise ValueError(
                f"The class counts in {path} are those of another list of classes ({len(counts.counts)} of them, "
                f"fingerprint {counts.vocabulary[:12]}) than the data's ({len(vocabulary)}, "
                f"{vocabulary.fingerprint[:12]}). Count again from the labels: ClassCounts.of(labels, vocabulary)."
            )
        return counts

    def save(self, path: str | Path) -> None:
        """Write the counts as JSON."""
        Path(path).write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def as_array(self) -> np.ndarray:
        """The counts in index order, int64 `[K]`."""
        return np.array(list(self.counts.values()))


def balanced_weights(labels: ClipLabels, class_counts: np.ndarray | None = None) -> np.ndarray:
    """PSLA's sampling weight of each clip: the sum over its classes of 1 / (clips with that class).

    For example with three clips labelled {a}, {a} and {a, b}, class a has 3 clips and b has 1, so the weights are
    1/3, 1/3 and 4/3. A clip without labels has weight 0: the law never draws it.

    Args:
        labels: Of N clips.
        class_counts: `[K]`, if not these clips' own: those of the whole set that they are a part of.

    Returns:
        Float64 weights `[N]`.

    Raises:
        ValueError: No clip has a label.
    """
    counts = labels.class_counts() if class_counts is None else class_counts
    if len(labels.values) == 0:
        raise ValueError("Expected at least one labelled clip: balanced sampling has nothing to draw from.")
    return labels.sum_over_classes(1.0 / np.maximum(counts, 1))


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields `(clip index, seed)`, a pure function of (base seed, epoch, position).

    With weights, an epoch is as many independent draws with replacement as there are clips; without, a permutation.
    The seed is the sample's own source of randomness, so that workers, processes and resuming change nothing.

    Args:
        num_clips: Clips in the data set, N.
        seed: Base seed.
        weights: `[N]` not negative, see `balanced_weights`; `None` for a plain permutation.
    """

    def __init__(self, num_clips: int, seed: int, weights: np.ndarray | None = None):
        if weights is not None and len(weights) != num_clips:
            raise ValueError(f"Expected one weight per clip, {num_clips} of them, got {len(weights)}.")
        self.num_clips = num_clips
        self.seed = seed
        self.weights = None if weights is None else torch.as_tensor(weights, dtype=torch.float64)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_clips

    def __iter__(self) -> Iterator[tuple[int, int]]:
        seeds = epoch_seeds(self.seed, self.epoch, self.num_clips + 1)
        generator = torch.Generator().manual_seed(int(seeds[0]) >> 1)  # torch takes 63 bits
        if self.weights is None:
            indices = torch.randperm(self.num_clips, generator=generator)
        else:
            indices = torch.multinomial(self.weights, self.num_clips, replacement=True, generator=generator)
        for index, seed in zip(indices, seeds[1:], strict=True):
            yield int(index), int(seed)


def epoch_seeds(seed: int, epoch: int, count: int) -> np.ndarray:
    """Independent seeds, uint64 `[count]`: a pure function of the base seed and the epoch."""
    return np.random.SeedSequence([seed, epoch]).generate_state(count, np.uint64)
