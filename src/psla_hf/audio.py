"""Audio files and bytes as mono waveforms at one rate, without FFmpeg. Knows no data sets and no models."""

import io
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import soundfile
import soxr

__all__ = [
    "AUDIO_SUFFIXES",
    "AudioSource",
    "audio_seconds",
    "decode_audio",
    "is_cut_short",
    "read_audio",
    "to_mono_at_rate",
]


AudioSource: TypeAlias = str | Path | bytes | BinaryIO

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".webm")

SHORT_SECONDS = 0.1  # encoders pad and trim: less than this is no loss


def read_audio(source: AudioSource, sampling_rate: int) -> np.ndarray:
    """Decode an audio file to mono float32 `[T]` in [-1, 1] at `sampling_rate` Hz; see `decode_audio`.

    Channels are averaged; resampling is soxr's high quality.
    """
    return to_mono_at_rate(*decode_audio(source), sampling_rate)


def decode_audio(source: AudioSource) -> tuple[np.ndarray, int]:
    """Samples float32 `[T, channels]` in [-1, 1] of an audio file, and their rate in Hz.

    libsndfile reads wav, flac, ogg and mp3; what it does not read (m4a, webm, …) goes to torchcodec, where that and
    FFmpeg's libraries are installed.

    Args:
        source: A path, the file's bytes, or a file opened for reading bytes.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not readable as audio, or it holds no samples.
    """
    if not isinstance(source, str | Path | bytes):
        source = source.read()
    try:
        samples, rate = soundfile.read(_file(source), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        samples, rate = _read_with_torchcodec(source, error)
    if len(samples) == 0:
        raise ValueError(f"Expected audio, but {_name(source)} holds no samples.")
    return samples, rate


def to_mono_at_rate(samples: np.ndarray, rate: int, wanted_rate: int) -> np.ndarray:
    """Average the channels of `[T]` or `[T, channels]` and resample from `rate` to `wanted_rate` Hz: `[T']` float32."""
    mono = samples.mean(axis=1) if samples.ndim == 2 else samples
    return np.asarray(mono if rate == wanted_rate else soxr.resample(mono, rate, wanted_rate), dtype=np.float32)


def audio_seconds(source: str | Path | bytes) -> float:
    """Length in seconds according to the header, without decoding.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not readable as audio, or it holds no samples.
    """
    try:
        info = soundfile.info(_file(source))
        seconds = info.frames / info.samplerate
    except soundfile.LibsndfileError as error:
        samples, rate = _read_with_torchcodec(source, error)
        seconds = len(samples) / rate
    if seconds == 0:
        raise ValueError(f"Expected audio, but {_name(source)} holds no samples.")
    return seconds


def is_cut_short(data: bytes, decoded_seconds: float) -> bool:
    """Whether a file ends before its own headers say, so that it decoded shorter without an error.

    A wav file announces its size; an Ogg stream marks its last page (RFC 3533); an mp3's first frame may announce its
    length. A flac file that is cut does not decode at all.

    Args:
        data: The file's bytes.
        decoded_seconds: What came out of decoding them.
    """
    if data[:4] == b"RIFF":
        announced = int.from_bytes(data[4:8], "little") + 8
        return len(data) + 1 < announced < 2**32 - 1  # a wav written to a pipe announces nothing, or all of 32 bits
    if data[:4] == b"OggS":
        flags, end_of_stream = data.rfind(b"OggS") + 5, 0x04
        return len(data) <= flags or not data[flags] & end_of_stream
    return audio_seconds(data) > decoded_seconds + SHORT_SECONDS


def _name(source: str | Path | bytes) -> str:
    return "the audio bytes" if isinstance(source, bytes) else str(source)


def _file(source: str | Path | bytes) -> str | Path | io.BytesIO:
    """What soundfile opens."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if not Path(source).is_file():
        raise FileNotFoundError(f"There is no audio file {source}.")
    return source


def _read_with_torchcodec(source: str | Path | bytes, reason: soundfile.LibsndfileError) -> tuple[np.ndarray, int]:
    """Samples `[T, channels]` and rate of what libsndfile refused for `reason`."""
    try:
        from torchcodec.decoders import AudioDecoder

        decoded = AudioDecoder(source).get_all_samples()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        # Not installed, without FFmpeg's libraries (torchcodec then tells at length where it looked), or no audio.
        why = str(error).partition("\n")[0]
        raise ValueError(
            f"Could not decode {_name(source)} as wav, flac, ogg or mp3 ({reason.error_string}), nor with "
            f"torchcodec ({why}). Check the file, or convert it; m4a and the like need torchcodec and FFmpeg."
        ) from error
    return decoded.data.T.numpy(), decoded.sample_rate
