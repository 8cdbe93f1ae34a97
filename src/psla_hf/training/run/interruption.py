"""Signals that end a run: noted, answered where the state can be saved, never left unanswered. Knows no training."""

import logging
import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["SIGNALS", "Interruption", "RunInterruptedError"]


# Ctrl-C, a scheduler, a terminal that is closed; Windows has no such hang-up.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

PATIENCE_S = 30  # until a noted signal ends the process, which does not get to where it would save; schedulers' usual

END = b"\0"  # no signal's number

logger = logging.getLogger(__name__)


class RunInterruptedError(RuntimeError):
    """The run was stopped by a signal; its state is saved and can be resumed.

    Attributes:
        signal: Which.
    """

    def __init__(self, epoch: int, by: signal.Signals):
        super().__init__(f"Stopped in epoch {epoch} by {by.name}; the state is saved.")
        self.signal = by


class Interruption:
    """Which signal is to end the run, if one has come.

    Attributes:
        signal: The first that came to this process.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._answered = threading.Event()

    @property
    def received(self) -> list[bool]:
        """Which of `SIGNALS` has come to this process."""
        return [self.signal == number for number in SIGNALS]

    def answer(self) -> None:
        """The signal is heard, and the process will end by itself, however long saving takes."""
        self._answered.set()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note signals in the block; a second Ctrl-C ends the process at once, and so does a signal without an answer.

        Signals that are ignored, as nohup has it, stay so. Outside the main thread Python hears none.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        wakeup = signal.set_wakeup_fd(writer)
        # Python runs handlers between its own steps: where torch waits for a process that hangs, a thread must see it.
        thread = threading.Thread(target=self._end_unanswered, args=(reader,), daemon=True)
        thread.start()
        for number, handler in handlers.items():
            if handler not in (signal.SIG_IGN, None):
                signal.signal(number, self._note)
        try:
            yield
        finally:
            for number, handler in handlers.items():
                if handler not in (signal.SIG_IGN, None):
                    signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)
            os.write(writer, END)  # closing would not do: processes that decode have the pipe open, too
            thread.join()
            os.close(writer)
            os.close(reader)

    def _note(self, number: int, frame: object) -> None:
        self.signal = self.signal or signal.Signals(number)

    def _end_unanswered(self, reader: int) -> None:
        """Read the numbers of signals, which the system's handler writes, until `END` comes."""
        first: int | None = None
        while True:
            waiting = PATIENCE_S if first and not self._answered.is_set() else None
            if not select.select([reader], [], [], waiting)[0]:
                if self._answered.is_set():
                    continue
                assert first is not None
                logger.error(
                    "%s came %d s ago, and nothing has got to where the state could be saved: ended without; the last "
                    "checkpoint stays.",
                    signal.Signals(first).name,
                    PATIENCE_S,
                )
                os._exit(128 + first)
            [number] = os.read(reader, 1)
            if number == END[0]:
                return
            if number == first == signal.SIGINT:
                os._exit(128 + number)
            if number in SIGNALS:
                first = first or number
