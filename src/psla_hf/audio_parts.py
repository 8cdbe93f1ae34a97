"""A part of an audio file, by its times: sought, decoded, resampled as the whole would be. Knows no data sets."""

import math
from collections.abc import Iterable
from itertools import count, takewhile
from pathlib import Path

import numpy as np
import soundfile

from .audio import BLOCK_FRAMES, UNKNOWN_FRAMES, SincFilter, check_samples, stream_audio, to_mono_at_rate
from .audio_files import AudioSource, check_rate, only_part

__all__ = ["read_part"]

MARGIN_SECONDS = 0.1  # decoded on either side: longer than the resampler's filter


def read_part(
    source: AudioSource, sampling_rate: int, start: float, end: float | None = None, sinc: SincFilter | None = None
) -> np.ndarray:
    """Decode a part of an audio file to mono float32 `[T]` in [-1, 1].

    Files are sought in; Ogg, joined and chained files, and what only torchcodec reads, are read from the beginning.

    Args:
        source: A path, the file's bytes, or a file opened for reading bytes.
        sampling_rate: Rate of the samples in Hz.
        start: Where the part begins, in seconds.
        end: Where it ends; none for the end of the file, where it ends at the latest.
        sinc: What resamples, if not soxr.

    Returns:
        The samples from `round(start * sampling_rate)` to `round(end * sampling_rate)` of what `read_audio` makes of
        the whole.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not readable as audio, or it has no samples in this part.
    """
    assert start >= 0 and (end is None or end > start)
    source = source if isinstance(source, str | Path | bytes) else source.read()
    sought = _sought(source, sampling_rate, start, end)
    samples, rate, first = sought or _read_over(source, sampling_rate, start, end)
    name = "the audio bytes" if isinstance(source, bytes) else str(source)
    if len(samples):
        check_samples(samples, name)
    mono = to_mono_at_rate(samples, rate, sampling_rate, sinc) if len(samples) else np.empty(0, np.float32)
    offset = first * sampling_rate // rate  # whole: both rates' grids meet there
    stop = None if end is None else round(end * sampling_rate) - offset
    mono = mono[round(start * sampling_rate) - offset : stop]
    if not len(mono):
        until = "" if end is None else f" to {end:g}"
        raise ValueError(f"Expected sound from {start:g}{until} s in {name}, it ends before.")
    return mono


def _sought(
    source: str | Path | bytes, sampling_rate: int, start: float, end: float | None
) -> tuple[np.ndarray, int, int] | None:
    """Samples `[n, channels]` of the part and its margins, their rate, and the first one's number; none without."""
    part = only_part(source)
    if part is None:
        return None
    try:
        with part.open() as file, soundfile.SoundFile(file) as sound:
            check_rate(sound.samplerate, "the audio bytes" if isinstance(source, bytes) else str(source))
            if sound.frames >= UNKNOWN_FRAMES or sound.format == "OGG":  # where libsndfile lands beside the place
                return None
            first, last = _span(sound.samplerate, sampling_rate, start, end)
            sound.seek(min(first, sound.frames))
            blocks = (sound.read(BLOCK_FRAMES, dtype="float32", always_2d=True) for _ in count())
            return _joined(takewhile(len, blocks), first, first, last), sound.samplerate, first
    except soundfile.LibsndfileError:
        return None


def _read_over(
    source: str | Path | bytes, sampling_rate: int, start: float, end: float | None
) -> tuple[np.ndarray, int, int]:
    """The same, decoded from the beginning of the file."""
    stream = stream_audio(source)
    first, last = _span(stream.sampling_rate, sampling_rate, start, end)
    return _joined(stream.blocks, 0, first, last), stream.sampling_rate, first


def _span(rate: int, wanted_rate: int, start: float, end: float | None) -> tuple[int, float]:
    """Frames that hold a part and its margins; the first is also a sample at the wanted rate."""
    unit = rate // math.gcd(rate, wanted_rate)
    first = max(0, math.floor((start - MARGIN_SECONDS) * rate / unit)) * unit
    return first, math.inf if end is None else math.ceil((end + MARGIN_SECONDS) * rate)


def _joined(blocks: Iterable[np.ndarray], place: int, first: int, last: float) -> np.ndarray:
    """The frames from `first` to `last` of blocks of which the next begins at `place`."""
    kept = [np.empty((0, 1), np.float32)]
    for block in blocks:
        inside = block[max(0, first - place) : int(min(len(block), max(0, last - place)))]
        kept += [inside] if len(inside) else []
        place += len(block)
        if place >= last:
            break
    return np.concatenate(kept[1:] or kept)
