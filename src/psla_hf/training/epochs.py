"""A process's batches of an epoch, from any of them on, by index or streamed. Knows no models."""

import logging
from collections.abc import Iterator

from accelerate import Accelerator

from psla_hf.data.schema import Clips
from psla_hf.loading.sampler import EpochSampler, balanced_weights, process_batches
from psla_hf.loading.samples import Batch, SampleMaker, TaggingDataset
from psla_hf.loading.stream import TaggingStream
from psla_hf.loading.workers import batch_loader, batches_of

from .recipe import Recipe
from .run.settings import RunSettings

__all__ = ["IndexedEpochs", "StreamedEpochs", "open_epochs"]


logger = logging.getLogger(__name__)

ROUNDED_UP = 1.05  # by a larger factor an epoch is another one than the plan's


def open_epochs(
    recipe: Recipe,
    clips: Clips,
    maker: SampleMaker,
    accelerator: Accelerator,
    settings: RunSettings,
) -> "IndexedEpochs | StreamedEpochs":
    """The training batches of this process as the recipe draws them; an update takes `gradient_accumulation` of them.

    Args:
        recipe: Batch size, sampling and augmentation.
        clips: Schema of `schema.tagging_features`, by index or in shards to be streamed.
        maker: Makes samples of them.
        accelerator: Which process this is, and of how many.
        settings: The seed of order and augmentation, and how many processes decode for each training process.
    """
    seed, num_workers = settings.seed, settings.num_workers or 0
    rank, processes = accelerator.process_index, accelerator.num_processes
    if clips.index is None:
        weights = balanced_weights(clips.labels) if recipe.input.balanced_sampling else None
        sampler = EpochSampler(len(clips), seed, weights, recipe.input.batch_size)
        batch_size = recipe.input.batch_size // recipe.input.gradient_accumulation
        return IndexedEpochs(TaggingDataset(clips, maker, weights), sampler, batch_size, rank, processes, num_workers)
    stream = TaggingStream.open(
        clips.index,
        maker,
        recipe.clips_per_step(processes),
        seed=seed,
        balanced=recipe.input.balanced_sampling,
        num_workers=num_workers,
        rank=rank,
        num_processes=processes,
        accumulation=recipe.input.gradient_accumulation,
    )
    drawn = len(stream) * processes
    if drawn > ROUNDED_UP * len(clips) and accelerator.is_main_process:
        logger.warning(
            "A streamed epoch has %d samples of %d clips: it is rounded up to whole updates of each of %d readers. "
            "Take fewer workers or smaller batches.",
            drawn,
            len(clips),
            max(1, num_workers) * processes,
        )
    return StreamedEpochs(stream, num_workers)


class IndexedEpochs:
    """Batches of clips by index; together the processes have the same batches, however many they are.

    Args:
        clips: Samples by `(index, seed)`.
        sampler: Their order, in whole batches.
        batch_size: Of all processes together.
        rank: Number of this process.
        num_processes: How many there are.
        num_workers: Processes that decode, for each of these.
    """

    def __init__(
        self,
        clips: TaggingDataset,
        sampler: EpochSampler,
        batch_size: int,
        rank: int = 0,
        num_processes: int = 1,
        num_workers: int = 0,
    ):
        sampler.set_epoch(0)
        self.num_clips = len(clips)
        self.batches_per_epoch = len(sampler) // batch_size
        self._sampler, self._batch_size = sampler, batch_size
        batches = process_batches(sampler, batch_size, rank, num_processes)
        self._loader = batch_loader(clips, num_workers, batch_sampler=batches, live_on=True)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The epoch's batches from the `start`-th on, on the CPU."""
        self._sampler.set_epoch(epoch, start * self._batch_size)
        return batches_of(self._loader)


class StreamedEpochs:
    """Batches of a stream; which clips come together depends on the number of processes and workers.

    Args:
        stream: With this process's batch size and its rank.
        num_workers: Processes that read and decode, as the stream was opened for.
    """

    def __init__(self, stream: TaggingStream, num_workers: int = 0):
        self.num_clips = len(stream.clips.index.labels)
        self.batches_per_epoch = len(stream) // stream.batch_size
        self._stream = stream
        self._loader = batch_loader(stream, num_workers, batch_size=stream.batch_size, live_on=True)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The epoch's batches from the `start`-th on, on the CPU."""
        self._stream.seek(epoch, start)
        return batches_of(self._loader)
