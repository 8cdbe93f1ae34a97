"""Which clip comes next: balanced weights and an exact, resumable order. Knows no audio and no models."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler

__all__ = ["EpochSampler", "balanced_weights"]


def balanced_weights(targets: np.ndarray) -> np.ndarray:
    """PSLA's sampling weight of each clip: the sum over its classes of 1 / (clips with that class).

    For example with three clips labelled {a}, {a} and {a, b}, class a has 3 clips and b has 1, so the weights are
    1/3, 1/3 and 4/3. A clip without labels has weight 0: the law never draws it.

    Args:
        targets: 0/1 labels `[N, K]`.

    Returns:
        Float64 weights `[N]`.

    Raises:
        ValueError: No clip has a label.
    """
    present = targets > 0
    counts = present.sum(axis=0)
    if counts.sum() == 0:
        raise ValueError("Expected at least one labelled clip: balanced sampling has nothing to draw from.")
    return present @ (1.0 / np.maximum(counts, 1))


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
        source = np.random.SeedSequence([self.seed, self.epoch])
        order_seed, *sample_seeds = source.generate_state(self.num_clips + 1, np.uint64).tolist()
        generator = torch.Generator().manual_seed(order_seed >> 1)  # torch takes 63 bits
        if self.weights is None:
            indices = torch.randperm(self.num_clips, generator=generator)
        else:
            indices = torch.multinomial(self.weights, self.num_clips, replacement=True, generator=generator)
        yield from zip(indices.tolist(), sample_seeds, strict=True)
