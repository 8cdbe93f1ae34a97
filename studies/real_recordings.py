"""Real recordings without any of ESC-10's ten sounds, whose licences allow that a tagger learns from them.

`real_recordings.csv` names them, with authors and licences: files of public repositories, whose licences were read at
the commits in it. They are not part of this repository; a folder of clones holds them, OWNER/NAME of GitHub each. Knows
no models.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from studies.foreign_sounds import PEAK, RATE, SECONDS, through_vorbis

__all__ = ["LICENCES", "credit_lines", "may_hold_one_of_the_ten", "recorded_clip", "recordings"]

# Words in the names of recordings that may hold one of the ten.
OF_THE_TEN = {
    *("rain", "thunder", "storm", "waves", "seagulls", "boat", "sailboat", "fire", "campfire", "fireplace", "village"),
    *("dog", "clock", "chicken", "chickens", "hens", "rooster", "wipers", "chainsaw", "helicopter", "baby", "sneezing"),
}

LICENCES = {
    "CC0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC BY": "https://creativecommons.org/licenses/",  # the source says which version
    "CC BY 3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
    "public domain": "https://creativecommons.org/publicdomain/mark/1.0/",
}

LONGEST = 30.0  # seconds: a recording that is longer is not drawn more often

SPEED = (17, 24)  # of a piece, in twentieths of the recording's, the second not among them

FLOOR = 10**-2.5  # of full scale: a piece that is nowhere louder is not made loud


def may_hold_one_of_the_ten(name: str) -> bool:
    """Whether a recording's name, of whole words, says that one of ESC-10's sounds may be in it."""
    return not OF_THE_TEN.isdisjoint(re.split(r"[\W\d_]+", name.lower()))


def credit_lines() -> list[dict[str, str]]:
    """The recordings by line of the table: repository, commit, path (a pattern), author, licence, source."""
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def recordings(clones: Path) -> list[Path]:
    """The files of the recordings.

    Args:
        clones: Folder of the repositories, OWNER/NAME each.

    Raises:
        FileNotFoundError: One of them is not there.
    """
    found: list[Path] = []
    for line in credit_lines():
        files = sorted((clones / line["repository"]).glob(line["path"]))
        if not files:
            raise FileNotFoundError(
                f"Expected {line['path']} in {clones / line['repository']}, found none. "
                f"Clone https://github.com/{line['repository']} there, at commit {line['commit']}."
            )
        found += files
    return found


def recorded_clip(waveforms: Sequence[np.ndarray], seed: tuple[int, ...], rate: int) -> np.ndarray:
    """Five seconds of one or two recordings, at random levels and speeds.

    Args:
        waveforms: Of the recordings, float32 `[T]` at `RATE`.
        seed: Everything drawn is a function of it.
        rate: Of the samples in Hz.

    Returns:
        Float32 `[T]`, once compressed by Vorbis as ESC-10's clips are.
    """
    rng = np.random.default_rng(seed)
    weights = np.array([min(len(waveform) / RATE, LONGEST) for waveform in waveforms])
    number = min(len(waveforms), rng.choice([1, 2], p=[0.7, 0.3]))
    chosen = rng.choice(len(waveforms), size=number, replace=False, p=weights / weights.sum())
    heard = np.zeros(round(SECONDS * RATE))
    for k in chosen:
        speed = int(rng.integers(*SPEED))
        size = min(len(waveforms[k]), len(heard) * speed // 20)
        start = rng.integers(0, len(waveforms[k]) - size + 1)
        piece = resample_poly(waveforms[k][start : start + size].astype(float), 20, speed)[: len(heard)]
        start = rng.integers(0, len(heard) - len(piece) + 1)
        level = 10 ** rng.uniform(*PEAK) / max(FLOOR, float(np.abs(piece).max()))
        heard[start : start + len(piece)] += level * piece
    return through_vorbis(heard, rate)
