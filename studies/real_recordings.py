"""Real recordings without any of ESC-10's ten sounds, whose licences allow that a tagger learns from them.

`real_recordings.csv` names them, with authors and licences: files of public repositories, at the commits at which their
licences were read. They are not part of this repository; a folder of clones holds them, OWNER/NAME of GitHub each.
Knows no models.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from psla_hf.audio import read_audio
from studies.foreign_sounds import PEAK, RATE, SECONDS, through_vorbis

__all__ = ["credit_lines", "recorded_clip", "recordings"]

LONGEST = 30.0  # seconds: a recording that is longer is not drawn more often

SPEED = (17, 24)  # of a piece, in twentieths of the recording's


def credit_lines() -> list[dict[str, str]]:
    """The recordings by line of the table: repository, commit, path (a pattern), author, licence, source."""
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def recordings(clones: Path) -> list[np.ndarray]:
    """The named recordings, float32 `[T]` at `RATE`.

    Args:
        clones: Folder of the repositories, OWNER/NAME each.

    Raises:
        FileNotFoundError: One of them is not there.
    """
    found = []
    for line in credit_lines():
        files = sorted((clones / line["repository"]).glob(line["path"]))
        if not files:
            raise FileNotFoundError(
                f"Expected {line['path']} in {clones / line['repository']}, found none. "
                f"Clone https://github.com/{line['repository']} there, at commit {line['commit']}."
            )
        found += files
    return [read_audio(file, RATE) for file in found]


def recorded_clip(waveforms: Sequence[np.ndarray], seed: tuple[int, ...], rate: int) -> np.ndarray:
    """Five seconds of one or two recordings, at random levels and speeds.

    Args:
        waveforms: See `recordings`.
        seed: Everything drawn is a function of it.
        rate: Of the samples in Hz.

    Returns:
        Float32 `[T]`, once compressed by Vorbis as ESC-10's clips are.
    """
    rng = np.random.default_rng(seed)
    weights = np.array([min(len(waveform) / RATE, LONGEST) for waveform in waveforms])
    chosen = rng.choice(len(waveforms), size=rng.choice([1, 2], p=[0.7, 0.3]), replace=False, p=weights / weights.sum())
    heard = np.zeros(round(SECONDS * RATE))
    for k in chosen:
        speed = int(rng.integers(*SPEED))
        size = min(len(waveforms[k]), len(heard) * speed // 20)
        start = rng.integers(0, len(waveforms[k]) - size + 1)
        piece = resample_poly(waveforms[k][start : start + size].astype(float), 20, speed)[: len(heard)]
        start = rng.integers(0, len(heard) - len(piece) + 1)
        level = 10 ** rng.uniform(*PEAK) / max(1e-9, float(np.abs(piece).max()))
        heard[start : start + len(piece)] += level * piece
    return through_vorbis(heard, rate)
