"""Scores of many clips, whatever holds them. Knows no files."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

__all__ = ["ScoreRows", "check_rows", "chunks_of"]


CHUNK_CLIPS = 8192  # of 527 float16 scores: 9 MB


class ScoreRows(Protocol):
    """Scores `[N, K]` that are read a span of rows at a time: an array, or a file that is larger than memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N and K."""

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Some consecutive rows `[n, K]`."""


def check_rows(scores: ScoreRows, clips: int, classes: int) -> None:
    """Refuse scores of another number of clips or classes.

    Raises:
        ValueError: There are others.
    """
    if tuple(scores.shape) != (clips, classes):
        raise ValueError(
            f"Expected scores of {clips} clips for {classes} classes, got the shape {tuple(scores.shape)}."
        )


def chunks_of(scores: ScoreRows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numbers of some thousand clips, and their scores, one chunk after the other."""
    for start in range(0, scores.shape[0], CHUNK_CLIPS):
        rows = np.asarray(scores[start : start + CHUNK_CLIPS])
        yield np.arange(start, start + len(rows)), rows
