"""What an audio file consists of: parts whose headers tell their length, each opened at its beginning. Decodes none."""

import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import soundfile

from .containers import MpegAudio, finished_wav_head, split_ogg

__all__ = ["AudioSource", "FilePart", "check_rate", "name_and_parts", "only_part"]

AudioSource: TypeAlias = str | Path | bytes | BinaryIO

LOWEST_RATE, HIGHEST_RATE = 1_000, 1_000_000  # Hz: outside of these it is a header that lies

SHORT_SECONDS = 0.1  # encoders pad and trim: less than this is no loss

BIG_FILE_BYTES = 1 << 26  # a larger one is not read into memory


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
class FilePart:
    """A file with headers that tell its length: bytes, or a large one where it lies, behind another head if need be."""

    data: bytes | Path
    head: bytes = b""
    start: int = 0

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The part as a file by itself."""
        with io.BytesIO(self.data) if isinstance(self.data, bytes) else self.data.open("rb") as file:
            yield cast(BinaryIO, _Spliced(self.head, file, self.start))

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data) if isinstance(self.data, bytes) else self.data.stat().st_size


def name_and_parts(source: AudioSource) -> tuple[str, list[FilePart]]:
    """What errors call it, and the files that it consists of."""
    if isinstance(source, bytes):
        return "the audio bytes", _parts(source, source)
    if not isinstance(source, str | Path):
        data = source.read()
        name = str(getattr(source, "name", "the opened file"))
        if not isinstance(data, bytes):
            raise ValueError(
                f"Expected a file opened for reading bytes (mode 'rb'), {name} gives {type(data).__name__}."
            )
        return name, _parts(data, data)
    path = Path(source)
    if not (path.is_file() or path.is_fifo()):
        raise FileNotFoundError(f"There is no audio file {source}.")
    if path.stat().st_size <= BIG_FILE_BYTES:
        data = path.read_bytes()
        return str(source), _parts(data, data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return str(source), _parts(view, path)  # read as it is needed


def only_part(source: str | Path | bytes) -> FilePart | None:
    """The one part of a file, one on a disk where it lies; none for what is joined, chained or mended in memory.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if isinstance(source, bytes):
        parts = _parts(source, source)
        return parts[0] if len(parts) == 1 else None
    place = Path(source)
    if not place.is_file():
        raise FileNotFoundError(f"There is no audio file {source}.")
    about = place.stat()
    return _file_in_place(str(source), about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=4096)  # finding out may mean to read all of it, and windows of one file are many
def _file_in_place(path: str, size: int, changed: int) -> FilePart | None:
    if size == 0:
        return None  # cannot be mapped
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        parts = _parts(view, Path(path))
    return parts[0] if len(parts) == 1 and isinstance(parts[0].data, Path) else None


def _parts(data: bytes | mmap.mmap, whole: bytes | Path) -> list[FilePart]:
    """The files that one file consists of.

    Args:
        data: Its bytes.
        whole: Them or where they lie, for a part that is the file as it is.
    """
    if (finished := finished_wav_head(data)) is not None:
        return [FilePart(whole, *finished)]
    if chain := split_ogg(data):
        return [FilePart(link) for link in chain]
    part = FilePart(whole)
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
    return [FilePart(mpeg.with_true_length())] if is_misstated else [part]


def check_rate(rate: int, name: str) -> None:
    """Refuse a rate in Hz that is no sound's.

    Raises:
        ValueError: It is none.
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ValueError(
            f"Expected a sampling rate from {LOWEST_RATE:,} to {HIGHEST_RATE:,} Hz, {name} says {rate:,} Hz. Its "
            "header is damaged, or it is no sound."
        )
