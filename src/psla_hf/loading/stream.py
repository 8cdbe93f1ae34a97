"""Samples from shards that are read in order, by the sampler's law and resumable. Knows no models and no recipes."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from datasets import Dataset

from psla_hf.data.shards.cached import cached_clips
from psla_hf.data.shards.parquet import ShardIndex
from psla_hf.files import digest

from .sampler import balanced_weights
from .samples import EncodedClip, Partners, Sample, SampleMaker, redraw_generator, with_teacher
from .stream_plan import StreamPlanner

__all__ = ["PlannedClips", "TaggingStream"]


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedClip:
    """A clip whose turn it is.

    Attributes:
        clip: In the schema.
        seed: The sample's own.
        partners: As planned.
        kept: What is in memory, by number.
        block: Numbers of the clips drawn for the block, which share the read.
    """

    clip: EncodedClip
    seed: int
    partners: Partners
    kept: dict[int, EncodedClip]
    block: np.ndarray

    def another(self, rng: np.random.Generator) -> EncodedClip:
        """One of the clips drawn for the block."""
        return self.kept[rng.choice(self.block)]


@dataclass(frozen=True)
class PlannedClips:
    """Clips of shards in the order of a plan, audio encoded; each row group is read once per reader and epoch.

    Attributes:
        index: The shards.
        planner: The law and the readers.
        hot: The planner's hot clips, in its order, kept on the local disk.
    """

    index: ShardIndex
    planner: StreamPlanner
    hot: Dataset | None = None

    @classmethod
    def open(cls, index: ShardIndex, planner: StreamPlanner, cache_dir: str | None = None) -> "PlannedClips":
        """Fetch the hot clips, once: `datasets` keeps them memory-mapped in its cache, whatever run comes next.

        Args:
            index: The shards.
            planner: With any `hot_limit`; 0 fetches nothing.
            cache_dir: Of `datasets`, by default its own.
        """
        if len(planner.hot) == 0:
            return cls(index, planner)
        logger.info("Fetching the %d clips that are drawn most often, unless they are in the cache.", len(planner.hot))
        how = {"index": index, "rows": planner.hot.tolist()}
        fingerprint = digest(repr((index.version, how["rows"])))
        hot = cached_clips(_fetch, how, index.features, fingerprint, cache_dir)
        return cls(index, planner, hot)

    def read(self, epoch: int, reader: int, start: int = 0) -> Iterator[PlannedClip]:
        """A reader's clips of an epoch from its `start`-th on."""
        plan = self.planner.plan(epoch, reader)
        # From the beginning of the block, so that a resumed run has in memory what the uninterrupted one had.
        begin = int(np.searchsorted(plan.blocks, plan.blocks[start])) if start < len(plan) else len(plan)
        used = np.concatenate([plan.rows[begin:], *plan.partners[:, begin:]])
        blocks = np.tile(plan.blocks[begin:], 1 + len(plan.partners))
        rows, inverse = np.unique(used, return_inverse=True)
        last_block = np.zeros(len(rows), plan.blocks.dtype)
        np.maximum.at(last_block, inverse, blocks)
        last_block[np.isin(rows, self.planner.hot)] = -1  # read again from the disk: they would fill the memory
        kept: dict[int, EncodedClip] = {}
        block = None
        for position in range(begin, len(plan)):
            if plan.blocks[position] != block:
                block = plan.blocks[position]
                inside = slice(*np.searchsorted(plan.blocks, [block, block + 1]))
                block_rows = plan.rows[inside]
                kept = {row: clip for row, clip in kept.items() if last_block[np.searchsorted(rows, row)] >= block}
                needed = np.concatenate([block_rows, plan.partners[:, inside].ravel()])
                self._read_groups(needed, rows[last_block >= block], kept)
            if position >= start:
                partners = Partners(*map(kept.get, plan.partners[:, position].tolist()))
                yield PlannedClip(kept[plan.rows[position]], int(plan.seeds[position]), partners, kept, block_rows)

    def _read_groups(self, needed: np.ndarray, later: np.ndarray, kept: dict[int, EncodedClip]) -> None:
        """Add what is needed now; of the row groups that are read for it, also what will be needed later."""
        missing = np.array([row for row in np.unique(needed).tolist() if row >= 0 and row not in kept], np.int64)
        is_hot = np.isin(missing, self.planner.hot)
        for row in missing[is_hot].tolist():
            assert self.hot is not None
            hot = self.hot[int(np.searchsorted(self.planner.hot, row))]
            kept[row] = with_teacher(hot, self.index.scores, row)
        for group in np.unique(self.planner.group_of(missing[~is_hot])).tolist():
            begin, end = self.planner.group_starts[group : group + 2]
            wanted = later[(later >= begin) & (later < end)]
            wanted = wanted[~np.isin(wanted, self.planner.hot)]
            for row, clip in zip(wanted.tolist(), self.index.read(group, wanted - begin), strict=True):
                kept[row] = with_teacher(clip, self.index.scores, row)


def _fetch(index: ShardIndex, rows: list[int]) -> Iterator[EncodedClip]:
    """Some clips, in the order of their numbers."""
    starts = index.group_starts
    wanted = np.array(rows)
    groups = np.searchsorted(starts, wanted, side="right") - 1
    for group in np.unique(groups).tolist():
        yield from index.read(group, wanted[groups == group] - starts[group])


class TaggingStream(torch.utils.data.IterableDataset):
    """Training samples of planned clips, for a `DataLoader` with this batch size and `drop_last=False`.

    The order is a pure function of the seed, the epoch, the number of readers and the number of workers; `seek` goes
    to any batch of any epoch without reading what lies before its block. Workers may be persistent.

    Args:
        clips: With as many readers as all processes have workers, or a multiple of it.
        maker: What makes samples of them; it must ask for the partners that were planned.
        batch_size: Of one process.
        rank: Number of this process.
        num_processes: How many there are.

    Raises:
        ValueError: Readers, processes and batches do not divide evenly.
    """

    def __init__(self, clips: PlannedClips, maker: SampleMaker, batch_size: int, rank: int = 0, num_processes: int = 1):
        planner = clips.planner
        if planner.num_readers % num_processes or planner.num_draws % (planner.num_readers * batch_size):
            raise ValueError(
                f"Expected readers to be a multiple of {num_processes} processes, and the epoch's clips one of readers "
                f"times batch size, got {planner.num_readers} readers, {planner.num_draws} clips and batches of "
                f"{batch_size}. Set multiple_of of the planner to a multiple of {planner.num_readers * batch_size}."
            )
        if maker.num_classes != len(clips.index.vocabulary):
            raise ValueError(f"Expected shards of {maker.num_classes} classes, got {len(clips.index.vocabulary)}.")
        if maker.augmentation.partner_rates != planner.partner_rates:
            raise ValueError(
                f"Expected a plan with the augmentation's partner rates {maker.augmentation.partner_rates}, got "
                f"{planner.partner_rates}. Pass partner_rates=augmentation.partner_rates to the planner."
            )
        self.clips, self.maker, self.batch_size = clips, maker, batch_size
        self.readers = range(rank, planner.num_readers, num_processes)
        # In shared memory: workers that live on see what is set later.
        self._place = torch.zeros(2, dtype=torch.int64).share_memory_()

    @classmethod
    def open(
        cls,
        shards: Sequence[str] | ShardIndex,
        maker: SampleMaker,
        batch_size: int,
        *,
        seed: int = 0,
        balanced: bool = True,
        num_workers: int = 0,
        rank: int = 0,
        num_processes: int = 1,
        accumulation: int = 1,
        block_groups: int = 64,
        hot_limit: int = 16384,
        cache_dir: str | None = None,
    ) -> "TaggingStream":
        """A stream of parquet shards, with one reader for each worker of each process.

        Args:
            shards: Paths or addresses of shards that carry their classes; or what has been opened of any.
            maker: What makes samples of their clips.
            batch_size: Of one process.
            seed: Of order and augmentation.
            balanced: Draw by PSLA's law; else every clip comes once.
            num_workers: Of the `DataLoader` in each process.
            rank: Number of this process.
            num_processes: How many there are.
            accumulation: Batches whose gradients make one update: an epoch is a whole number of updates.
            block_groups: Row groups that are mixed with each other: so many are in memory, per reader.
            hot_limit: How many of the clips that are drawn most often are kept on the local disk.
            cache_dir: Where; by default the cache of `datasets`.

        Raises:
            ValueError: The shards have other classes than the maker; or numbers do not divide evenly.
        """
        index = shards if isinstance(shards, ShardIndex) else ShardIndex.open(shards)
        readers = max(1, num_workers) * num_processes
        planner = StreamPlanner(
            index.group_sizes,
            seed,
            balanced_weights(index.labels) if balanced else None,
            num_readers=readers,
            multiple_of=readers * batch_size * accumulation,
            partner_rates=maker.augmentation.partner_rates,
            block_groups=block_groups,
            hot_limit=hot_limit,
        )
        return cls(PlannedClips.open(index, planner, cache_dir), maker, batch_size, rank, num_processes)

    def __len__(self) -> int:
        """Samples of this process in an epoch, from its beginning."""
        return len(self.readers) * (self.clips.planner.num_draws // self.clips.planner.num_readers)

    def seek(self, epoch: int, batch: int = 0) -> None:
        """Let the next iteration begin at this batch of this epoch."""
        self._place[0], self._place[1] = epoch, batch

    def __iter__(self) -> Iterator[Sample]:
        info = torch.utils.data.get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        if len(self.readers) % workers:
            raise ValueError(
                f"Expected a multiple of {workers} workers as readers of one process, got {len(self.readers)}."
            )
        epoch, batch = self._place.tolist()
        # The loader takes batches from its workers in turn, beginning with the first: after a seek, that one goes on
        # where the worker whose turn it was would have gone on.
        worker = (worker + batch) % workers
        done = len(range(worker, batch, workers)) * self.batch_size
        each = self.clips.planner.num_draws // self.clips.planner.num_readers
        for reader in self.readers[worker::workers]:
            if done < each:
                yield from map(self._sample, self.clips.read(epoch, reader, done))
            done = max(0, done - each)

    def _sample(self, planned: PlannedClip) -> Sample:
        draws = self.maker.augmentation.draw(planned.seed)
        another = partial(planned.another, redraw_generator(planned.seed))
        return self.maker.training_sample(planned.clip, draws, planned.partners, another)
