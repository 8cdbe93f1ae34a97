"""Audio files and bytes as mono waveforms at one rate, without FFmpeg. Knows no data sets and no models."""

import io
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

import numpy as np
import soundfile
import soxr

from .audio_files import SHORT_SECONDS, AudioSource, FilePart, check_rate, name_and_parts
from .containers import MpegAudio, is_truncated

__all__ = [
    "AUDIO_SUFFIXES",
    "AudioSource",
    "AudioStream",
    "SincFilter",
    "audio_seconds",
    "check_samples",
    "decode_audio",
    "is_cut_short",
    "read_audio",
    "resample_blocks",
    "stream_audio",
    "to_mono_at_rate",
]

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

LOUDEST = 1e15  # full scale is 1: beyond, the power of a frame is no float32 any more

BLOCK_FRAMES = 1 << 16

UNKNOWN_FRAMES = (1 << 63) - 1  # libsndfile's number where the header has none

MOST_FRAMES_PER_BYTE = 1000  # silence in FLAC; a header that claims more claims too much


@dataclass(frozen=True)
class SincFilter:
    """The low-pass filter of a resampler: a sinc under a Hann window. Resamplers differ by little else.

    Attributes:
        zeros: Zero crossings of the sinc on either side; torchaudio's default has 6, FFmpeg's 16, good ones 64.
        rolloff: Cutoff as a share of the lower of the two rates' Nyquist frequencies, in (0, 1).
    """

    zeros: float
    rolloff: float

    def resample(self, mono: np.ndarray, rate: int, wanted_rate: int) -> np.ndarray:
        """`[T]` from `rate` to `wanted_rate` Hz, `[T']`; where they are equal it is filtered."""
        from scipy.signal import firwin, resample_poly

        common = math.gcd(rate, wanted_rate)
        up, down = wanted_rate // common, rate // common
        half = math.ceil(self.zeros * max(up, down) / self.rolloff)
        taps = firwin(2 * half + 1, self.rolloff / max(up, down), window="hann")
        return resample_poly(mono, up, down, window=taps.astype(np.float32))


def read_audio(source: AudioSource, sampling_rate: int, sinc: SincFilter | None = None) -> np.ndarray:
    """Decode an audio file to mono float32 `[T]` in [-1, 1] at `sampling_rate` Hz; see `decode_audio`.

    Channels are averaged; resampling is soxr's high quality, or by `sinc`.
    """
    return to_mono_at_rate(*decode_audio(source), sampling_rate, sinc)


def decode_audio(source: AudioSource) -> tuple[np.ndarray, int]:
    """Samples float32 `[T, channels]` in [-1, 1] of an audio file, and their rate in Hz; see `stream_audio`."""
    stream = stream_audio(source)
    blocks = list(stream.blocks)
    return np.concatenate(blocks) if len(blocks) > 1 else blocks[0], stream.sampling_rate


@dataclass(frozen=True)
class AudioStream:
    """A sound, a block at a time.

    Attributes:
        sampling_rate: In Hz.
        blocks: Float32 `[n, channels]` in [-1, 1], each with at least one sample; what is wrong behind the first one is
            raised when it is reached.
    """

    sampling_rate: int
    blocks: Iterator[np.ndarray]


def stream_audio(source: AudioSource) -> AudioStream:
    """An audio file in blocks, so that a long one is never in memory as a whole.

    libsndfile reads wav, flac, ogg, mp3, aiff, au and their like; what it does not read (m4a, webm, …) goes to
    torchcodec, where that and FFmpeg's libraries are installed, and is decoded at once. The length is what is there,
    whatever the header says: files written to a pipe, joined or chained files, and recordings that were never finished
    are read to their end.

    Args:
        source: A path, the file's bytes, or a file opened for reading bytes.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not readable as audio, it holds no samples or such as are not finite, or its sampling rate is
            no sound's.
    """
    blocks = _blocks(source)
    rate, first = next(blocks)
    return AudioStream(rate, itertools.chain([first], (block for _, block in blocks)))


def _blocks(source: AudioSource) -> Iterator[tuple[int, np.ndarray]]:
    """Rate and samples `[n, channels]` of one block after the other, each checked."""
    name, parts = name_and_parts(source)
    shape: tuple[int, int] | None = None
    for part in parts:
        for rate, block in _decode_part(part, name):
            shape = shape or (rate, block.shape[1])
            if shape != (rate, block.shape[1]):
                raise ValueError(
                    f"Expected one rate and number of channels in {name}, its parts have {shape[0]} Hz with "
                    f"{shape[1]} and {rate} Hz with {block.shape[1]}. Split it."
                )
            check_samples(block, name)
            yield rate, block
    if shape is None:
        raise ValueError(f"Expected audio, but {name} holds no samples.")


def check_samples(block: np.ndarray, name: str) -> None:
    """Refuse samples that are no sound.

    Raises:
        ValueError: One is not finite, or far beyond full scale.
    """
    if not np.abs(block).max() < LOUDEST:  # nor is NaN
        worst = "NaN" if np.isnan(block).any() else f"{np.abs(block).max():.3g}"
        raise ValueError(f"Expected finite samples with full scale at 1, {name} has {worst}. Convert it anew.")


def to_mono_at_rate(samples: np.ndarray, rate: int, wanted_rate: int, sinc: SincFilter | None = None) -> np.ndarray:
    """Average the channels of `[T]` or `[T, channels]` and resample from `rate` to `wanted_rate` Hz: `[T']` float32."""
    mono = samples.mean(axis=1) if samples.ndim == 2 else samples
    if sinc is not None:
        mono = sinc.resample(mono, rate, wanted_rate)
    elif rate != wanted_rate:
        mono = soxr.resample(mono, rate, wanted_rate)
    return np.asarray(mono, dtype=np.float32)


def resample_blocks(blocks: Iterable[np.ndarray], rate: int, wanted_rate: int) -> Iterator[np.ndarray]:
    """Mono blocks float32 `[n]` at another rate in Hz; joined they are what `to_mono_at_rate` makes of the whole."""
    if rate == wanted_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, wanted_rate, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(np.asarray(block, np.float32))
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)


def audio_seconds(source: AudioSource) -> float:
    """Length in seconds, without decoding where the header can be believed.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not readable as audio, or it holds no samples.
    """
    name, parts = name_and_parts(source)
    seconds = sum(_seconds_of_part(part, name) for part in parts)
    if seconds == 0:
        raise ValueError(f"Expected audio, but {name} holds no samples.")
    return seconds


def is_cut_short(data: bytes | mmap, decoded_seconds: float) -> bool:
    """Whether a file ends before its own headers say, so that it decoded shorter without an error.

    A flac file that is cut does not decode at all.

    Args:
        data: The file's bytes.
        decoded_seconds: What came out of decoding them.
    """
    if data[:4] == b"fLaC":
        return False
    if data[:4] in (b"RIFF", b"OggS"):
        return is_truncated(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.format != "MP3":
                return UNKNOWN_FRAMES > file.frames > (decoded_seconds + SHORT_SECONDS) * file.samplerate
    except soundfile.LibsndfileError:
        pass
    mpeg = MpegAudio(data)
    return max(mpeg.announced_seconds, mpeg.seconds) > decoded_seconds + SHORT_SECONDS


class _Stream(soundfile.SoundFile):
    """A file that is read from its beginning to its end, whatever length its header claims."""

    def seekable(self) -> bool:
        """After every read soundfile seeks to where it is, which fails where the length is not known."""
        return False


def _decode_part(part: FilePart, name: str) -> Iterator[tuple[int, np.ndarray]]:
    """Rate and samples `[n, channels]` of one block after the other."""
    try:
        with part.open() as file, _Stream(file) as sound:
            check_rate(sound.samplerate, name)
            while len(block := sound.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                yield sound.samplerate, block
    except soundfile.LibsndfileError as error:
        yield _read_with_torchcodec(part.data, name, error)


def _seconds_of_part(part: FilePart, name: str) -> float:
    try:
        with part.open() as file, soundfile.SoundFile(file) as sound:
            check_rate(sound.samplerate, name)
            # A header may claim what it likes; sound takes some bytes, however well it is packed.
            if sound.frames <= part.size * MOST_FRAMES_PER_BYTE:
                return sound.frames / sound.samplerate
    except soundfile.LibsndfileError:
        pass
    return sum(len(block) / rate for rate, block in _decode_part(part, name))


def _read_with_torchcodec(data: bytes | Path, name: str, reason: soundfile.LibsndfileError) -> tuple[int, np.ndarray]:
    """Rate and samples `[T, channels]` of what libsndfile refused for `reason`."""
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
    check_rate(decoded.sample_rate, name)
    return decoded.sample_rate, decoded.data.T.numpy()
