"""Which clip comes next: balanced weights and an exact, resumable order. Knows no audio and no models."""

import logging
from collections.abc import Iterator

import numpy as np
import torch
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler, Sampler

from psla_hf.labels.vocabulary import ClipLabels

__all__ = ["EpochSampler", "balanced_weights", "epoch_seeds", "process_batches"]

logger = logging.getLogger(__name__)


def balanced_weights(labels: ClipLabels) -> np.ndarray:
    """PSLA's sampling weight of each clip: the sum over its classes of 1 / (clips with that class).

    For example with three clips labelled {a}, {a} and {a, b}, class a has 3 clips and b has 1, so the weights are
    1/3, 1/3 and 4/3. A clip without labels has weight 0: the law never draws it, and a warning says of how many.

    Args:
        labels: Of N clips.

    Returns:
        Float64 weights `[N]`.

    Raises:
        ValueError: No clip has a label.
    """
    if len(labels.values) == 0:
        raise ValueError("Expected at least one labelled clip: balanced sampling has nothing to draw from.")
    unlabelled = int((np.diff(labels.offsets) == 0).sum())
    if unlabelled:
        logger.warning(
            "%d of %d clips have no labels, and balanced sampling never draws them. Turn it off to train on them.",
            unlabelled,
            len(labels),
        )
    return labels.sum_over_classes(1.0 / np.maximum(labels.class_counts(), 1))


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields `(clip index, seed)`, a pure function of (base seed, epoch, position).

    With weights, an epoch is as many independent draws with replacement as there are clips; without, a permutation.
    The seed is the sample's own source of randomness, so that workers, processes and resuming change nothing.

    Args:
        num_clips: Clips in the data set, N.
        seed: Base seed.
        weights: `[N]` not negative, see `balanced_weights`; `None` for a plain permutation.
        multiple_of: An epoch is N rounded up to a multiple of this, so that all batches are full: with more draws, or
            with the beginning of a second permutation.
    """

    def __init__(self, num_clips: int, seed: int, weights: np.ndarray | None = None, multiple_of: int = 1):
        if weights is not None and len(weights) != num_clips:
            raise ValueError(f"Expected one weight per clip, {num_clips} of them, got {len(weights)}.")
        self.num_clips = num_clips
        self.num_draws = -(-num_clips // multiple_of) * multiple_of
        self.seed = seed
        self.weights = None if weights is None else torch.as_tensor(weights, dtype=torch.float64)
        self.epoch = self.start = 0

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch that the next iteration draws, and the position where it begins."""
        self.epoch, self.start = epoch, start

    def __len__(self) -> int:
        return self.num_draws - self.start

    def __iter__(self) -> Iterator[tuple[int, int]]:
        seeds = epoch_seeds(self.seed, self.epoch, self.num_draws + 1)
        generator = torch.Generator().manual_seed(int(seeds[0]) >> 1)  # torch takes 63 bits
        if self.weights is None:
            rounds = -(-self.num_draws // self.num_clips)
            indices = torch.cat([torch.randperm(self.num_clips, generator=generator) for _ in range(rounds)])
        else:
            indices = torch.multinomial(self.weights, self.num_draws, replacement=True, generator=generator)
        mine = slice(self.start, self.num_draws)
        for index, seed in zip(indices.numpy()[mine], seeds[1:][mine], strict=True):
            yield int(index), int(seed)


def process_batches(sampler: EpochSampler, batch_size: int, rank: int = 0, num_processes: int = 1) -> BatchSampler:
    """One process's equal share of each batch of a sampler; together the processes have the sampler's batches.

    Args:
        sampler: Yields whole batches.
        batch_size: Of all processes together, a multiple of their number.
        rank: Number of this process.
        num_processes: How many there are.
    """
    batches = BatchSampler(sampler, batch_size, drop_last=True)  # type: ignore[arg-type]  # torch thinks of indices alone
    return BatchSamplerShard(batches, num_processes, rank, split_batches=True)


def epoch_seeds(seed: int, epoch: int, count: int) -> np.ndarray:
    """Independent seeds, uint64 `[count]`: a pure function of the base seed and the epoch."""
    return np.random.SeedSequence([seed, epoch]).generate_state(count, np.uint64)
