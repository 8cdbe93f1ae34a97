"""A process's batches of an epoch, from any of them on, by index or streamed. Knows no models."""

import signal
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from .samples import TaggingDataset, collate
from .sampling import EpochSampler, ProcessBatches
from .streaming import TaggingStream

__all__ = ["IndexedEpochs", "StreamedEpochs", "ignore_termination"]


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
        self.batches_per_epoch = len(sampler) // batch_size
        self._sampler, self._batch_size = sampler, batch_size
        batches = ProcessBatches(sampler, batch_size, rank, num_processes)
        self._loader = _loader(clips, num_workers, batch_sampler=batches)

    def batches(self, epoch: int, start: int = 0) -> Iterator[dict[str, Any]]:
        """The epoch's batches from the `start`-th on, on the CPU."""
        self._sampler.set_epoch(epoch, start * self._batch_size)
        return iter(self._loader)


class StreamedEpochs:
    """Batches of a stream; which clips come together depends on the number of processes and workers.

    Args:
        stream: With this process's batch size and its rank.
        num_workers: Processes that read and decode, as the stream was opened for.
    """

    def __init__(self, stream: TaggingStream, num_workers: int = 0):
        self.batches_per_epoch = len(stream) // stream.batch_size
        self._stream = stream
        self._loader = _loader(stream, num_workers, batch_size=stream.batch_size)

    def batches(self, epoch: int, start: int = 0) -> Iterator[dict[str, Any]]:
        """The epoch's batches from the `start`-th on, on the CPU."""
        self._stream.seek(epoch, start)
        return iter(self._loader)


def ignore_termination(worker: int) -> None:
    """Let a worker live on when its whole process group is told to stop: the training process saves, then ends it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _loader(data: Any, num_workers: int, **how: Any) -> DataLoader:
    # A generator of its own: a loader without one draws from the global one, and an iteration more, as after a resume,
    # would shift what the model draws.
    generator = torch.Generator().manual_seed(0)
    pinned = torch.cuda.is_available()
    return DataLoader(
        data,
        collate_fn=collate,
        num_workers=num_workers,
        worker_init_fn=ignore_termination,
        generator=generator,
        pin_memory=pinned,
        **how,
    )
