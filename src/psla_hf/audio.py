"""Audio files and bytes as mono waveforms at one rate, without FFmpeg. Knows no data sets and no models."""

import io
from pathlib import Path

import numpy as np
import soundfile
import soxr

__all__ = ["read_audio", "to_mono_at_rate"]


def read_audio(source: str | Path | bytes, sampling_rate: int) -> np.ndarray:
    """Decode an audio file to mono float32 `[T]` in [-1, 1] at `sampling_rate` Hz.

    Reads what libsndfile reads (wav, flac, ogg, mp3, …); channels are averaged; resampling is soxr's high quality.

    Args:
        source: A path, or the file's bytes.
        sampling_rate: The rate wanted, in Hz.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not readable as audio, or it holds no samples.
    """
    name = "the audio bytes" if isinstance(source, bytes) else str(source)
    if not isinstance(source, bytes) and not Path(source).is_file():
        raise FileNotFoundError(f"There is no audio file {name}.")
    try:
        samples, rate = soundfile.read(
            io.BytesIO(source) if isinstance(source, bytes) else source, dtype="float32", always_2d=True
        )
    except soundfile.LibsndfileError as error:
        raise ValueError(
            f"Could not decode {name} as wav, flac, ogg or mp3 ({error}). Check the file, or convert it."
        ) from error
    if len(samples) == 0:
        raise ValueError(f"Expected audio, but {name} holds no samples.")
    return to_mono_at_rate(samples, rate, sampling_rate)


def to_mono_at_rate(samples: np.ndarray, rate: int, wanted_rate: int) -> np.ndarray:
    """Average the channels of `[T]` or `[T, channels]` and resample from `rate` to `wanted_rate` Hz: `[T']` float32."""
    mono = samples.mean(axis=1) if samples.ndim == 2 else samples
    return np.asarray(mono if rate == wanted_rate else soxr.resample(mono, rate, wanted_rate), dtype=np.float32)
