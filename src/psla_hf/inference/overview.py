"""A sound of any length as a picture's worth of numbers: its envelope and its log-mel spectrogram. Knows no model."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor

from .windows import Windows

__all__ = ["Overview", "overview"]

FRAMES_AT_A_TIME = 100

MOST_COLUMNS = 4096  # neighbours are joined when there are more


@dataclass(frozen=True)
class Overview:
    """What a waveform and its spectrogram look like from afar.

    Attributes:
        lowest: Lowest sample of each column `[columns]`.
        highest: The highest.
        log_mel: The mean over each column's frames `[F, columns]`.
        column_seconds: Length of a column.
        top_hz: The highest bin's frequency.
    """

    lowest: np.ndarray
    highest: np.ndarray
    log_mel: np.ndarray
    column_seconds: float
    top_hz: float


def overview(blocks: Iterable[np.ndarray], extractor: PslaFeatureExtractor) -> Overview:
    """Look at mono blocks float32 `[n]` at the extractor's rate, a second at a time."""
    size = extractor.hop_size * min(FRAMES_AT_A_TIME, extractor.max_length or FRAMES_AT_A_TIME)
    second = Windows(size, size, last="padded")
    columns = rest = np.empty((0, 2 + extractor.num_mel_bins), np.float32)
    frames = 1  # in a column

    def look(windows: list[tuple[int, np.ndarray]]) -> None:
        nonlocal columns, rest, frames
        for _, samples in windows:
            rest = np.concatenate([rest, _frames(samples, extractor)])
            whole = len(rest) // frames * frames  # what is left waits for the next ones
            columns, rest = np.concatenate([columns, joined(rest[:whole], frames)]), rest[whole:]
            if len(columns) > MOST_COLUMNS:
                odd = columns[len(columns) // 2 * 2 :]
                rest = np.concatenate([np.repeat(odd, frames, axis=0), rest])
                columns, frames = joined(columns[: len(columns) // 2 * 2], 2), 2 * frames

    for block in blocks:
        look(second.push(block))
    look(second.finish())
    columns = np.concatenate([columns, joined(rest, frames)])
    hop_seconds = extractor.hop_size / extractor.sampling_rate
    return Overview(columns[:, 0], columns[:, 1], columns[:, 2:].T, frames * hop_seconds, extractor.sampling_rate / 2)


def _frames(samples: np.ndarray, extractor: PslaFeatureExtractor) -> np.ndarray:
    """Lowest and highest sample and log-mel of every hop, `[frames, 2 + F]`."""
    hop = extractor.hop_size
    hops = -(-len(samples) // hop)
    by_hop = np.pad(samples, (0, hops * hop - len(samples)), mode="edge").reshape(hops, hop)
    padded = np.pad(
        samples, (0, extractor.frame_size), mode="reflect" if len(samples) > extractor.frame_size else "edge"
    )
    log_mel = extractor.log_mel(torch.from_numpy(padded)[None])[0, :hops].numpy()
    return np.column_stack([by_hop.min(axis=1), by_hop.max(axis=1), log_mel])


def joined(columns: np.ndarray, number: int) -> np.ndarray:
    """So many columns `[columns, 2 + F]` at a time as one."""
    starts = np.arange(0, len(columns), number)
    return np.column_stack(
        [
            np.minimum.reduceat(columns[:, 0], starts),
            np.maximum.reduceat(columns[:, 1], starts),
            np.add.reduceat(columns[:, 2:], starts) / np.diff([*starts, len(columns)])[:, None],
        ]
    )
