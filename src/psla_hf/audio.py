"""Audio files and bytes as mono waveforms at one rate, without FFmpeg. Knows no data sets and no models."""

import io
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import soundfile
import soxr

from .containers import MpegAudio, finish_wav, is_truncated, split_ogg

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

# What libsndfile reads that holds sound and says at which rate, then (the last line) what torchcodec reads.
AUDIO_SUFFIXES = tuple(
    f".{name}"
    for names in (
        "wav flac ogg oga opus mp3 aif aiff aifc au snd caf w64 rf64 wavex voc avr paf pvf nist sph ircam",
        "svx wve mpc2k sds",
        "m4a webm aac wma",
    )
    for name in names.split()
)

LOWEST_RATE, HIGHEST_RATE = 1_000, 1_000_000  # Hz: outside of these it is a header that lies

LOUDEST = 1e15  # full scale is 1: beyond, the power of a frame is no float32 any more

SHORT_SECONDS = 0.1  # encoders pad and trim: less than this is no loss

BLOCK_FRAMES = 1 << 16

UNKNOWN_FRAMES = (1 << 63) - 1  # libsndfile's number where the header has none

MOST_FRAMES_PER_BYTE = 1000  # silence in FLAC; a header that claims more claims too much


def read_audio(source: AudioSource, sampling_rate: int) -> np.ndarray:
    """Decode an audio file to mono float32 `[T]` in [-1, 1] at `sampling_rate` Hz; see `decode_audio`.

    Channels are averaged; resampling is soxr's high quality.
    """
    return to_mono_at_rate(*decode_audio(source), sampling_rate)


def decode_audio(source: AudioSource) -> tuple[np.ndarray, int]:
    """Samples float32 `[T, channels]` in [-1, 1] of an audio file, and their rate in Hz.

    libsndfile reads wav, flac, ogg, mp3, aiff, au and their like; what it does not read (m4a, webm, …) goes to
    torchcodec, where that and FFmpeg's libraries are installed. The length is what is there, whatever the header says:
    files written to a pipe, joined or chained files, and recordings that were never finished are read to their end.

    Args:
        source: A path, the file's bytes, or a file opened for reading bytes.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not readable as audio, it holds no samples or such as are not finite, or its sampling rate is
            no sound's.
    """
    name, data = _name_and_bytes(source)
    parts, rates = zip(*(_decode_part(part, name) for part in _parts(data)), strict=True)
    if len(set(rates)) > 1 or len({part.shape[1] for part in parts}) > 1:
        raise ValueError(f"Expected one rate and number of channels in {name}, whose parts have {rates} Hz. Split it.")
    samples = np.concatenate(parts) if len(parts) > 1 else parts[0]
    if len(samples) == 0:
        raise ValueError(f"Expected audio, but {name} holds no samples.")
    if not np.abs(samples).max() < LOUDEST:  # nor is NaN
        worst = "NaN" if np.isnan(samples).any() else f"{np.abs(samples).max():.3g}"
        raise ValueError(f"Expected finite samples with full scale at 1, {name} has {worst}. Convert it anew.")
    return samples, rates[0]


def to_mono_at_rate(samples: np.ndarray, rate: int, wanted_rate: int) -> np.ndarray:
    """Average the channels of `[T]` or `[T, channels]` and resample from `rate` to `wanted_rate` Hz: `[T']` float32."""
    mono = samples.mean(axis=1) if samples.ndim == 2 else samples
    return np.asarray(mono if rate == wanted_rate else soxr.resample(mono, rate, wanted_rate), dtype=np.float32)


def audio_seconds(source: AudioSource) -> float:
    """Length in seconds, without decoding where the header can be believed.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not readable as audio, or it holds no samples.
    """
    name, data = _name_and_bytes(source)
    seconds = sum(_seconds_of_part(part, name) for part in _parts(data))
    if seconds == 0:
        raise ValueError(f"Expected audio, but {name} holds no samples.")
    return seconds


def is_cut_short(data: bytes, decoded_seconds: float) -> bool:
    """Whether a file ends before its own headers say, so that it decoded shorter without an error.

    A flac file that is cut does not decode at all.

    Args:
        data: The file's bytes.
        decoded_seconds: What came out of decoding them.
    """
    if data[:4] in (b"RIFF", b"OggS"):
        return is_truncated(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.format != "MP3":
                return UNKNOWN_FRAMES > file.frames > (decoded_seconds + SHORT_SECONDS) * file.samplerate
    except soundfile.LibsndfileError:
        pass
    return MpegAudio(data).announced_seconds > decoded_seconds + SHORT_SECONDS


class _Stream(soundfile.SoundFile):
    """A file that is read from its beginning to its end, whatever length its header claims."""

    def seekable(self) -> bool:
        """After every read soundfile seeks to where it is, which fails where the length is not known."""
        return False


def _name_and_bytes(source: AudioSource) -> tuple[str, bytes]:
    if isinstance(source, bytes):
        return "the audio bytes", source
    if not isinstance(source, str | Path):
        return str(getattr(source, "name", "the opened file")), source.read()
    if not Path(source).is_file():
        raise FileNotFoundError(f"There is no audio file {source}.")
    return str(source), Path(source).read_bytes()


def _parts(data: bytes) -> list[bytes]:
    """The files that one file consists of, with headers that tell their lengths."""
    if data[:4] == b"OggS":
        return split_ogg(data)
    data = finish_wav(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.format != "MP3":
                return [data]
            announced = file.frames / file.samplerate
    except soundfile.LibsndfileError:
        announced = 0.0
    mpeg = MpegAudio(data)
    # Without frames it is no layer III (libsndfile calls layer II MP3, too), and what it announces must do.
    is_misstated = mpeg.frames and abs(mpeg.seconds - announced) > SHORT_SECONDS
    return [mpeg.with_true_length()] if is_misstated else [data]


def _decode_part(data: bytes, name: str) -> tuple[np.ndarray, int]:
    try:
        with _Stream(io.BytesIO(data)) as file:
            _check_rate(file.samplerate, name)
            blocks = [np.empty((0, file.channels), np.float32)]
            while len(block := file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                blocks.append(block)
            return np.concatenate(blocks), file.samplerate
    except soundfile.LibsndfileError as error:
        return _read_with_torchcodec(data, name, error)


def _seconds_of_part(data: bytes, name: str) -> float:
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check_rate(file.samplerate, name)
            # A header may claim what it likes; sound takes some bytes, however well it is packed.
            if file.frames <= len(data) * MOST_FRAMES_PER_BYTE:
                return file.frames / file.samplerate
    except soundfile.LibsndfileError:
        pass
    samples, rate = _decode_part(data, name)
    return len(samples) / rate


def _check_rate(rate: int, name: str) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ValueError(
            f"Expected a sampling rate from {LOWEST_RATE:,} to {HIGHEST_RATE:,} Hz, {name} says {rate:,} Hz. Its "
            "header is damaged, or it is no sound."
        )


def _read_with_torchcodec(data: bytes, name: str, reason: soundfile.LibsndfileError) -> tuple[np.ndarray, int]:
    """Samples `[T, channels]` and rate of what libsndfile refused for `reason`."""
    try:
        from torchcodec.decoders import AudioDecoder

        decoded = AudioDecoder(data).get_all_samples()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        # Not installed, without FFmpeg's libraries (torchcodec then lists at length where it looked), or no audio.
        why = str(error).partition("\n")[0]
        raise ValueError(
            f"Could not decode {name} as wav, flac, ogg or mp3 ({reason.error_string}), nor with "
            f"torchcodec ({why}). Check the file, or convert it; m4a and the like need torchcodec and FFmpeg."
        ) from error
    _check_rate(decoded.sample_rate, name)
    return decoded.data.T.numpy(), decoded.sample_rate
