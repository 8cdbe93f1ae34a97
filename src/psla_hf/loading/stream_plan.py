"""The sampler's law on a stream: what to read, in which order, in index space. Knows no files and no audio."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .sampler import epoch_seeds

__all__ = ["ReaderPlan", "StreamPlanner"]


@dataclass(frozen=True)
class ReaderPlan:
    """What one reader yields in one epoch: S samples, in order.

    Attributes:
        rows: Clip of each sample `[S]`.
        partners: Further clips that a sample needs, such as mixup's partner, one line per kind `[L, S]`; -1 for none.
        seeds: Each sample's own seed, uint64 `[S]`.
        blocks: Number of the block that each sample belongs to `[S]`, not decreasing: a block's row groups are read
            before its first sample.
    """

    rows: np.ndarray
    partners: np.ndarray
    seeds: np.ndarray
    blocks: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


class StreamPlanner:
    """Plans an epoch over row groups that are each read once, such that the epoch follows the sampler's law exactly.

    With weights, the numbers of copies of all clips are drawn at once, n ~ Multinomial(draws, weights), which is the
    count vector of as many independent draws; without, every clip comes once, and some again to fill the last batches.
    Only the order is less than perfectly random. The row groups are permuted; the readers share the copies in that
    order, equally, so that the epoch's clips are the same for any number of readers; a reader takes `block_groups`
    row groups at a time and permutes the copies inside. What would come many times within a block, the *hot* clips
    (expected at least once an epoch), may be kept by the reader: their copies are spread over the whole epoch.

    Partners are drawn by counts too, uniformly, and come in the same read.

    Args:
        group_sizes: Clips in each row group `[G]`; clips are numbered through.
        seed: Base seed.
        weights: `[N]` not negative, see `sampler.balanced_weights`; `None` for every clip once.
        num_readers: R, how many share an epoch.
        multiple_of: An epoch is the number of clips rounded up to a multiple of this; itself a multiple of R, usually
            readers times batch size, so that all readers yield equally many full batches.
        partner_rates: For each kind of partner the share of samples that need one.
        block_groups: Row groups that are mixed with each other.
        hot_limit: How many clips may be kept as hot, at most.

    Raises:
        ValueError: The numbers do not fit together.
    """

    def __init__(
        self,
        group_sizes: Sequence[int] | np.ndarray,
        seed: int,
        weights: np.ndarray | None = None,
        *,
        num_readers: int = 1,
        multiple_of: int = 1,
        partner_rates: Sequence[float] = (),
        block_groups: int = 64,
        hot_limit: int = 0,
    ):
        self.group_starts = np.concatenate([[0], np.cumsum(group_sizes)])
        self.num_clips = int(self.group_starts[-1])
        if self.num_clips == 0:
            raise ValueError("Expected at least one clip to stream, got none.")
        if weights is not None and len(weights) != self.num_clips:
            raise ValueError(f"Expected one weight per clip, {self.num_clips} of them, got {len(weights)}.")
        if num_readers < 1 or multiple_of % num_readers:
            raise ValueError(f"Expected multiple_of to be a multiple of {num_readers} readers, got {multiple_of}.")
        self.seed, self.num_readers, self.block_groups = seed, num_readers, block_groups
        self.partner_rates = tuple(partner_rates)
        self.num_draws = -(-self.num_clips // multiple_of) * multiple_of
        self.probabilities = None if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
        self.hot = self._choose_hot(hot_limit)

    def _choose_hot(self, limit: int) -> np.ndarray:
        """The clips expected most often, at least once an epoch, at most `limit`, sorted."""
        if self.probabilities is None or limit == 0:
            return np.empty(0, np.int64)
        expected = self.num_draws * self.probabilities
        candidates = np.flatnonzero(expected >= 1)
        most = candidates[np.argsort(-expected[candidates], kind="stable")[:limit]]
        return np.sort(most)

    def group_of(self, rows: np.ndarray) -> np.ndarray:
        """The row group of each clip."""
        return np.searchsorted(self.group_starts, rows, side="right") - 1

    def plan(self, epoch: int, reader: int) -> ReaderPlan:
        """What a reader yields in an epoch: a pure function of the seed, the epoch and the reader's number."""
        # Everything that all readers must agree on comes from `shared`, in a fixed order.
        shared = np.random.default_rng([self.seed, epoch])
        own = np.random.default_rng([self.seed, epoch, 1 + reader])  # a 0 would change nothing
        place_of_group = shared.permutation(len(self.group_starts) - 1)
        copies = np.repeat(np.arange(self.num_clips, dtype=np.int32), self._draw_counts(shared))
        is_hot = np.zeros(self.num_clips, bool)
        is_hot[self.hot] = True

        cold = self._in_reading_order(copies[~is_hot[copies]], place_of_group)
        hot = shared.permutation(copies[is_hot[copies]])
        size, begin, end = self.num_draws // self.num_readers, *self._share(len(cold), reader)
        hot = hot[reader * size - begin : (reader + 1) * size - end]
        rows = np.concatenate([cold[begin:end], hot])

        cold_places = place_of_group[self.group_of(cold[begin:end])]
        first, last = (cold_places[0], cold_places[-1]) if end > begin else (0, 0)
        places = np.concatenate([cold_places, own.integers(first, last + 1, len(hot))])
        blocks = (places - first) // self.block_groups
        order = np.lexsort((own.random(size), blocks))
        partners = [self._partners(rate, size, reader, place_of_group, shared, own) for rate in self.partner_rates]
        return ReaderPlan(
            rows[order],
            np.stack(partners) if partners else np.empty((0, size), np.int32),
            epoch_seeds(self.seed, epoch, self.num_draws)[reader * size : (reader + 1) * size],
            blocks[order],
        )

    def _draw_counts(self, rng: np.random.Generator) -> np.ndarray:
        """Copies of each clip in the epoch `[N]`."""
        if self.probabilities is not None:
            return rng.multinomial(self.num_draws, self.probabilities)
        counts = np.ones(self.num_clips, np.int64)
        extra = rng.choice(self.num_clips, self.num_draws - self.num_clips, replace=self.num_draws > 2 * self.num_clips)
        np.add.at(counts, extra, 1)
        return counts

    def _share(self, count: int, reader: int) -> tuple[int, int]:
        """Begin and end of a reader's part of `count` things."""
        return count * reader // self.num_readers, count * (reader + 1) // self.num_readers

    def _in_reading_order(self, rows: np.ndarray, place_of_group: np.ndarray) -> np.ndarray:
        return rows[np.argsort(place_of_group[self.group_of(rows)], kind="stable")]

    def _partners(
        self,
        rate: float,
        size: int,
        reader: int,
        place_of_group: np.ndarray,
        shared: np.random.Generator,
        own: np.random.Generator,
    ) -> np.ndarray:
        """Partners of one kind `[S]`, -1 for none, in reading order up to the block."""
        wanted = shared.binomial(self.num_draws, rate)
        drawn = self._in_reading_order(shared.integers(self.num_clips, size=wanted, dtype=np.int32), place_of_group)
        begin, end = self._share(wanted, reader)
        mine = drawn[begin:end]
        block = place_of_group[self.group_of(mine)] // self.block_groups
        partners = np.full(size, -1, np.int32)
        partners[np.sort(own.choice(size, len(mine), replace=False))] = mine[np.lexsort((own.random(len(mine)), block))]
        return partners
