"""Loaders of batches and the processes that decode for them: signals, failures, death. Knows no clips and no models."""

import errno
import io
import multiprocessing
import multiprocessing.context
import multiprocessing.queues
import os
import pickle
import signal
import sys
import traceback
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from .samples import Batch, Sample, collate

__all__ = ["batch_loader", "batches_of", "explained"]


# What a terminal or a scheduler may send to all processes of a group.
GROUP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

_started: "weakref.WeakSet[multiprocessing.process.BaseProcess]" = weakref.WeakSet()

FEWER = "Use fewer workers (num_workers; 0 decodes in the training process)"


def batch_loader(data: Dataset, num_workers: int = 0, *, live_on: bool = False, **options: Any) -> DataLoader:
    """A loader of a data set's samples in batches, to be read by `batches_of`.

    Args:
        data: Samples, by index or as a stream.
        num_workers: Processes that decode; 0 for none.
        live_on: These processes serve the next iteration, too, instead of being started anew.
        options: Further ones of the loader.
    """
    guarded = _GuardedStream(data) if isinstance(data, IterableDataset) else _GuardedClips(data)
    return DataLoader(
        guarded,
        collate_fn=_collate_guarded,
        num_workers=num_workers,
        persistent_workers=live_on and num_workers > 0,
        # One of its own: a loader without a generator draws from the global one, and an iteration more, as after a
        # resume, would shift what the model draws.
        generator=torch.Generator().manual_seed(0),
        pin_memory=torch.cuda.is_available(),
        multiprocessing_context=_WorkerContext() if num_workers and sys.platform == "linux" else None,
        **options,
    )


def batches_of(loader: Iterable) -> Iterator[Batch]:
    """The batches of a `batch_loader`, also of one that accelerate has prepared.

    Raises:
        Exception: What a sample's making raised, as it was, also from another process; a note has its traceback there.
        OSError: See `explained`.
    """
    with explained():
        for batch in loader:
            if isinstance(batch, _Failure):
                raise batch.error
            yield batch


@contextmanager
def explained() -> Iterator[None]:
    """Let the death of a process that decodes, wherever torch notices it, be an error that says so.

    Raises:
        ChildProcessError: One was killed.
        OSError: One could not be started, or not be listened to.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        ended = {worker.pid: worker.exitcode for worker in _started if worker.exitcode}  # as long as torch holds them
        _drop_frames(error)
        if ended and isinstance(error, RuntimeError):
            raise ChildProcessError(_how_ended(ended)) from error
        if _chain_has(error, errno.EMFILE):
            raise OSError(errno.EMFILE, f"{os.strerror(errno.EMFILE)}. {FEWER}, or allow more: ulimit -n") from error
        raise


def _drop_frames(error: Exception) -> None:
    """Let go of torch's iterator: of one that is half made the end prints a traceback of its own."""
    before, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    try:
        traceback.clear_frames(error.__traceback__)
    finally:
        sys.unraisablehook = before


def _how_ended(ended: Mapping[int | None, int]) -> str:
    """A sentence on the processes that ended, by their exit codes."""
    names = {pid: signal.Signals(-code).name if code < 0 else f"exit status {code}" for pid, code in ended.items()}
    return (
        f"Processes that decode audio have died: {', '.join(f'{pid} ({how})' for pid, how in names.items())}. "
        "SIGKILL is what the system sends when memory runs out, SIGBUS when shared memory (/dev/shm) does. "
        f"{FEWER}, or smaller batches."
    )


def _chain_has(error: BaseException | None, number: int) -> bool:
    """Whether an error, or one that it came from, has this number of the system."""
    while error is not None:
        if isinstance(error, OSError) and error.errno == number:
            return True
        error = error.__cause__ or error.__context__
    return False


@dataclass(frozen=True)
class _Failure:
    """An error in place of a sample or a batch: torch would make its message a traceback."""

    error: Exception

    @classmethod
    def of(cls, error: Exception) -> "_Failure":
        """With the traceback, which does not travel between processes, as a note; and so that it can travel."""
        if torch.utils.data.get_worker_info() is not None:
            error.add_note("In a process that decodes:\n" + "".join(traceback.format_exception(error)))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return cls(RuntimeError(f"{type(error).__name__}: {error}"))
        return cls(error)


class _GuardedClips(Dataset):
    """Samples by index, or failures."""

    def __init__(self, data: Any):
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: Any) -> Sample | _Failure:
        try:
            return self.data[key]
        except Exception as error:
            return _Failure.of(error)


class _GuardedStream(IterableDataset):
    """A stream of samples; a failure ends it."""

    def __init__(self, data: Iterable):
        self.data = data

    def __iter__(self) -> Iterator[Sample | _Failure]:
        try:
            yield from self.data
        except Exception as error:
            yield _Failure.of(error)


def _collate_guarded(samples: Sequence[Sample | _Failure]) -> Batch | _Failure:
    """A batch of samples, or the first failure among them."""
    failures = [sample for sample in samples if isinstance(sample, _Failure)]
    return failures[0] if failures else collate(cast(Sequence[Sample], samples))


if sys.platform == "linux":

    class _Worker(multiprocessing.context.ForkProcess):
        """A process that hears only its training process's signals, which saves first and then ends it.

        It is in a group of its own, where neither Ctrl-C nor a scheduler reaches it; until it is, it inherits that
        these signals are blocked.
        """

        def start(self) -> None:
            before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
            try:
                super().start()
            except OSError as error:
                raise OSError(error.errno, f"No process that decodes can start: {error.strerror}. {FEWER}") from error
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _started.add(self)

        def run(self) -> None:
            os.setpgrp()
            signal.set_wakeup_fd(-1)
            for number in GROUP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # forgets what has come
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
            super().run()
            sys.stderr = io.StringIO()  # where files have run out, cleaning up prints tracebacks, too

    class _Results(multiprocessing.queues.Queue):
        """A queue that sends an error in place of a batch that it cannot send: Python's would leave it out.

        The training process would wait for that batch for ever.
        """

        def _on_queue_feeder_error(self, error: Exception, item: Any) -> None:
            reason = OSError(
                f"A process that decodes could not hand over a batch: {error}. Shared memory (/dev/shm) or open files "
                f"(ulimit -n) have run out. {FEWER}, smaller batches, or allow more of them."
            )
            self.put((item[0], _Failure(reason)))

    class _WorkerContext(multiprocessing.context.ForkContext):
        """Starts such processes, and makes such queues; by fork, which shares the clips' table."""

        Process = _Worker

        def Queue(self, maxsize: int = 0) -> _Results:  # noqa: N802
            return _Results(maxsize, ctx=self.get_context())
