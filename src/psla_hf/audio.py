"""Audio files and bytes as mono waveforms at one rate, without FFmpeg. Knows no data sets and no models."""

import io
import itertools
import math
import mmap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
import soundfile
import soxr

from .containers import MpegAudio, finished_wav_head, is_truncated, split_ogg

__all__ = [
    "AUDIO_SUFFIXES",
    "AudioSource",
    "AudioStream",
    "SincFilter",
    "audio_seconds",
    "decode_audio",
    "is_cut_short",
    "read_audio",
    "resample_blocks",
    "stream_audio",
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

BIG_FILE_BYTES = 1 << 26  # a larger one is not read into memory

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
    name, parts = _name_and_parts(source)
    shape: tuple[int, int] | None = None
    for part in parts:
        for rate, block in _decode_part(part, name):
            shape = shape or (rate, block.shape[1])
            if shape != (rate, block.shape[1]):
                raise ValueError(
                    f"Expected one rate and number of channels in {name}, its parts have {shape[0]} Hz with "
                    f"{shape[1]} and {rate} Hz with {block.shape[1]}. Split it."
                )
            if not np.abs(block).max() < LOUDEST:  # nor is NaN
                worst = "NaN" if np.isnan(block).any() else f"{np.abs(block).max():.3g}"
                raise ValueError(f"Expected finite samples with full scale at 1, {name} has {worst}. Convert it anew.")
            yield rate, block
    if shape is None:
        raise ValueError(f"Expected audio, but {name} holds no samples.")


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
    name, parts = _name_and_parts(source)
    seconds = sum(_seconds_of_part(part, name) for part in parts)
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
    mpeg = MpegAudio(data)
    return max(mpeg.announced_seconds, mpeg.seconds) > decoded_seconds + SHORT_SECONDS


class _Stream(soundfile.SoundFile):
    """A file that is read from its beginning to its end, whatever length its header claims."""

    def seekable(self) -> bool:
        """After every read soundfile seeks to where it is, which fails where the length is not known."""
        return False


class _Spliced(io.RawIOBase):
    """A file whose first bytes are replaced by others.

    Damaged headers let libsndfile seek before its beginning, which is taken as that: an error would be printed by the
    callback, traceback and all, and come to the same.

    Args:
        head: These.
        file: What follows them.
        start: Place in the file from where it follows.
    """

    def __init__(self, head: bytes, file: BinaryIO, start: int):
        self._head, self._file, self._start, self._place = head, file, start, 0
        self._size = len(head) + file.seek(0, io.SEEK_END) - start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        piece = self._head[self._place : self._place + len(buffer)]
        self._file.seek(self._start + max(0, self._place - len(self._head)))
        piece += self._file.read(len(buffer) - len(piece))
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)


@dataclass(frozen=True)
class _Part:
    """A file with headers that tell its length: bytes, or a large one where it lies, behind another head if need be."""

    data: bytes | Path
    head: bytes = b""
    start: int = 0

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        with io.BytesIO(self.data) if isinstance(self.data, bytes) else self.data.open("rb") as file:
            yield cast(BinaryIO, _Spliced(self.head, file, self.start))

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data) if isinstance(self.data, bytes) else self.data.stat().st_size


def _name_and_parts(source: AudioSource) -> tuple[str, list[_Part]]:
    """What errors call it, and the files that it consists of."""
    if isinstance(source, bytes):
        return "the audio bytes", _parts(source, source)
    if not isinstance(source, str | Path):
        data = source.read()
        return str(getattr(source, "name", "the opened file")), _parts(data, data)
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"There is no audio file {source}.")
    if path.stat().st_size <= BIG_FILE_BYTES:
        data = path.read_bytes()
        return str(source), _parts(data, data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return str(source), _parts(view, path)  # read as it is needed


def _parts(data: bytes | mmap.mmap, whole: bytes | Path) -> list[_Part]:
    """The files that one file consists of.

    Args:
        data: Its bytes.
        whole: Them or where they lie, for a part that is the file as it is.
    """
    if (finished := finished_wav_head(data)) is not None:
        return [_Part(whole, *finished)]
    if chain := split_ogg(data):
        return [_Part(link) for link in chain]
    part = _Part(whole)
    if data[:4] == b"OggS":
        return [part]
    try:
        with part.open() as file, soundfile.SoundFile(file) as sound:
            if sound.format != "MP3":
                return [part]
            announced = sound.frames / sound.samplerate
    except soundfile.LibsndfileError:
        announced = 0.0
    mpeg = MpegAudio(data)
    # Without frames it is no layer III (libsndfile calls layer II MP3, too), and what it announces must do.
    is_misstated = mpeg.frames and abs(mpeg.seconds - announced) > SHORT_SECONDS
    return [_Part(mpeg.with_true_length())] if is_misstated else [part]


def _decode_part(part: _Part, name: str) -> Iterator[tuple[int, np.ndarray]]:
    """Rate and samples `[n, channels]` of one block after the other."""
    try:
        with part.open() as file, _Stream(file) as sound:
            _check_rate(sound.samplerate, name)
            while len(block := sound.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                yield sound.samplerate, block
    except soundfile.LibsndfileError as error:
        yield _read_with_torchcodec(part.data, name, error)


def _seconds_of_part(part: _Part, name: str) -> float:
    try:
        with part.open() as file, soundfile.SoundFile(file) as sound:
            _check_rate(sound.samplerate, name)
            # A header may claim what it likes; sound takes some bytes, however well it is packed.
            if sound.frames <= part.size * MOST_FRAMES_PER_BYTE:
                return sound.frames / sound.samplerate
    except soundfile.LibsndfileError:
        pass
    return sum(len(block) / rate for rate, block in _decode_part(part, name))


def _check_rate(rate: int, name: str) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ValueError(
            f"Expected a sampling rate from {LOWEST_RATE:,} to {HIGHEST_RATE:,} Hz, {name} says {rate:,} Hz. Its "
            "header is damaged, or it is no sound."
        )


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
    _check_rate(decoded.sample_rate, name)
    return decoded.sample_rate, decoded.data.T.numpy()
