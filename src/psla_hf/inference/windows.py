"""A sound of any length as windows, and their frame scores as one time line. Knows no files and no models."""

from typing import Literal

import numpy as np

__all__ = ["LastWindow", "Rows", "Stitcher", "Windows", "window_starts"]

LastWindow = Literal["end", "padded"]

BLOCK = 1 << 16  # numbers


def window_starts(
    total: int, size: int, hop: int | None = None, longest: int | None = None, last: LastWindow = "end"
) -> list[int]:
    """The first sample of each window of a sound of `total` samples, as `Windows` cuts it.

    Args:
        total: At least 1.
        size: Samples in a window.
        hop: From one window's beginning to the next one's; by default they lie side by side.
        longest: See `Windows`.
        last: What the last window is.
    """
    hop = hop or size
    if total <= max(size, longest or size):
        return [0]
    starts = list(range(0, total - size + 1, hop))
    if starts[-1] + size < total:
        starts.append(total - size if last == "end" else starts[-1] + hop)
    return starts


class Windows:
    """Cuts a sound that arrives in pieces of any size into windows, which do not depend on the pieces.

    Windows begin every `hop` samples. What is left at the end is one more window: the last `size` samples (`"end"`), or
    what has not been covered, shorter than the others (`"padded"`, for the extractor pads it). A sound of up to
    `longest` samples is one window by itself.

    Args:
        size: Samples in a window.
        hop: Samples from one window's beginning to the next one's, at most `size`: nothing is passed over.
        longest: At least `size`.
        last: What the last window is.
    """

    def __init__(self, size: int, hop: int, longest: int | None = None, last: LastWindow = "end"):
        assert 1 <= hop <= size
        self.size, self.hop, self.last = size, hop, last
        self.longest = max(size, longest or size)
        self.total = 0  # samples so far
        self._next = 0  # where the next window begins
        self._kept = np.empty(0, np.float32)  # the last samples, up to `total`

    def push(self, samples: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """The windows `(first sample, [size])` that the next samples `[n]` complete."""
        self._kept = np.concatenate([self._kept, samples])
        self.total += len(samples)
        complete = []
        while self.total > self.longest and self._next + self.size <= self.total:
            complete.append((self._next, self._from(self._next)[: self.size]))
            self._next += self.hop
        self._kept = self._from(min(self._next, max(0, self.total - self.size)))
        return complete

    def finish(self) -> list[tuple[int, np.ndarray]]:
        """The window at the end, if there is anything that the others did not cover."""
        if self._next == 0:
            return [(0, self._kept)] if self.total else []
        if self._next - self.hop + self.size >= self.total:
            return []
        start = self.total - self.size if self.last == "end" else self._next
        return [(start, self._from(start))]

    def _from(self, start: int) -> np.ndarray:
        return self._kept[start - (self.total - len(self._kept)) :]


class Rows:
    """Rows of scores that come a few at a time and are kept for long, in large blocks.

    Each in an array of its own they would lie between a model's large arrays, whose room could not be used again once
    these are let go: memory grew by about an input for each window.
    """

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._filled = 0  # rows of the last block

    def push(self, rows: np.ndarray) -> None:
        """Copy rows `[n, K]`, K always the same."""
        while len(rows):
            if not self._blocks or self._filled == len(self._blocks[-1]):
                self._blocks.append(np.empty((max(1, BLOCK // rows.shape[1]), rows.shape[1]), np.float32))
                self._filled = 0
            free = self._blocks[-1][self._filled :]
            taken = rows[: len(free)]
            free[: len(taken)] = taken
            self._filled += len(taken)
            rows = rows[len(taken) :]

    def joined(self) -> np.ndarray:
        """All of them, `[N, K]`; there was one at least."""
        return np.concatenate([*self._blocks[:-1], self._blocks[-1][: self._filled]])


class Stitcher:
    """Joins the frame scores of overlapping windows, which begin on one grid of steps, to those of the whole sound.

    Where windows overlap it is their mean, the middle of a window weighing most: there a model hears what is before and
    behind.
    """

    def __init__(self) -> None:
        self._done = Rows()
        self._first = 0  # step from where on sums may still change
        self._sum: np.ndarray | None = None
        self._weight = np.zeros((0, 1), np.float32)

    def push(self, first_step: int, scores: np.ndarray) -> None:
        """Add a window's scores `[steps, K]`; windows come in order."""
        steps = len(scores)
        weight = np.minimum(np.arange(1, steps + 1), np.arange(steps, 0, -1)).astype(np.float32)[:, None]
        if self._sum is None:
            self._sum = np.zeros((0, scores.shape[1]), np.float32)
        settled = min(first_step - self._first, len(self._sum))
        self._settle(settled)
        start = first_step - self._first
        missing = start + steps - len(self._sum)
        if missing > 0:
            self._sum = np.pad(self._sum, ((0, missing), (0, 0)))
            self._weight = np.pad(self._weight, ((0, missing), (0, 0)))
        self._sum[start : start + steps] += weight * scores
        self._weight[start : start + steps] += weight

    def finish(self, steps: int) -> np.ndarray:
        """The whole sound's scores `[steps, K]`; what windows have behind it, in their padding, is left out."""
        assert self._sum is not None
        self._settle(len(self._sum))
        return self._done.joined()[:steps]

    def _settle(self, count: int) -> None:
        assert self._sum is not None
        if count > 0:
            self._done.push(self._sum[:count] / self._weight[:count])
            self._sum, self._weight = self._sum[count:], self._weight[count:]
            self._first += count
