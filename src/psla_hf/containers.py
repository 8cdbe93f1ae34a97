"""Audio containers whose headers misstate what they hold: bytes in, bytes with true headers out. Decodes nothing."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from mmap import mmap

__all__ = ["MpegAudio", "finished_wav_head", "is_truncated", "split_ogg"]

# MPEG audio, layer III (ISO/IEC 11172-3 and 13818-3): bit rates in kbit/s by index, of MPEG-1 and of MPEG-2 and -2.5.
BIT_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
SAMPLING_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version bits
ROOMY_INDEX = 9  # a bit rate whose frame has room for the header that tells the length
CHAIN = 3  # so many frames in a row are no accident

WAV_SIZES = (0, 0xFFFFFFFF)  # what a recorder leaves that never came to fill in how much it recorded
OGG_FIRST, OGG_LAST = 0x02, 0x04  # flags of a page (RFC 3533)


@dataclass(frozen=True)
class _Frame:
    """A frame of layer III: its place and length in bytes, and what its header says."""

    start: int
    length: int
    version: int
    sampling_rate: int
    side_info: int

    @property
    def samples(self) -> int:
        return 1152 if self.version == 3 else 576


class MpegAudio:
    """The frames of an MP3, wherever they lie: behind junk, tags, or the end of a first file that others follow.

    Args:
        data: The file.
    """

    def __init__(self, data: bytes | mmap):
        self._data = data

    @cached_property
    def _all(self) -> list[tuple[_Frame, int | None]]:
        return [(frame, self._announced_by(frame)) for frame in self._walk()]

    @property
    def frames(self) -> list[_Frame]:
        """The frames that hold sound; those that only tell a length are left out."""
        return [frame for frame, announced in self._all if announced is None]

    @property
    def seconds(self) -> float:
        """The length of the frames that are there; 0 where there are none."""
        return sum(frame.samples / frame.sampling_rate for frame in self.frames)

    @property
    def announced_seconds(self) -> float:
        """The length that headers tell; 0 where there are none."""
        return sum(announced * frame.samples / frame.sampling_rate for frame, announced in self._all if announced)

    def with_true_length(self) -> bytes:
        """The frames alone, behind a header that counts them, which every decoder believes."""
        first = self.frames[0]
        head = bytearray(self._data[first.start : first.start + 4])
        head[1] |= 0x01  # without a checksum
        head[2] = (ROOMY_INDEX << 4) | (head[2] & 0x0C)  # without padding
        length = _frame_length(first.version, ROOMY_INDEX, first.sampling_rate, padding=0)
        header = bytes(head) + bytes(first.side_info) + b"Info" + struct.pack(">II", 1, len(self.frames))
        sound = (self._data[frame.start : frame.start + frame.length] for frame in self.frames)
        return header.ljust(length, b"\0") + b"".join(sound)

    def _walk(self) -> Iterator[_Frame]:
        place = 0
        while (place := self._data.find(b"\xff", place)) >= 0:
            frame = self._frame_at(place)
            if frame is None or not self._begins_chain(frame):
                place += 1
                continue
            while frame is not None:
                yield frame
                place = frame.start + frame.length
                frame = self._frame_at(place)

    def _begins_chain(self, frame: _Frame) -> bool:
        """Whether as many frames follow one another as cannot be chance, or to the end of the file."""
        following: _Frame | None = frame
        for _ in range(CHAIN - 1):
            assert following is not None
            end = following.start + following.length
            if end >= len(self._data):
                return True
            following = self._frame_at(end)
            if following is None or following.sampling_rate != frame.sampling_rate:
                return False
        return True

    def _frame_at(self, place: int) -> _Frame | None:
        head = self._data[place : place + 4]
        if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:  # the sync, and layer III
            return None
        version, bit_rate, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
        if version == 1 or bit_rate in (0, 15) or rate == 3:
            return None
        sampling_rate = SAMPLING_RATES[version][rate]
        is_mono = head[3] >> 6 == 3
        side_info = (17 if is_mono else 32) if version == 3 else (9 if is_mono else 17)
        length = _frame_length(version, bit_rate, sampling_rate, head[2] >> 1 & 1)
        return _Frame(place, length, version, sampling_rate, side_info)

    def _announced_by(self, frame: _Frame) -> int | None:
        """The number of frames that a frame tells in place of sound; none where it holds sound."""
        behind = frame.start + 4 + frame.side_info
        for place in (behind, behind + 2):  # with a checksum it lies two bytes further back
            if self._data[place : place + 4] in (b"Xing", b"Info"):
                flags, count = self._data[place + 7 : place + 8], self._data[place + 8 : place + 12]
                return int.from_bytes(count, "big") if flags and flags[0] & 1 else 0
        vbri = frame.start + 36  # has a place of its own
        return (
            int.from_bytes(self._data[vbri + 14 : vbri + 18], "big") if self._data[vbri : vbri + 4] == b"VBRI" else None
        )


def _frame_length(version: int, bit_rate: int, sampling_rate: int, padding: int) -> int:
    kilobits = BIT_RATES[version != 3][bit_rate]
    return (144 if version == 3 else 72) * kilobits * 1000 // sampling_rate + padding


def finished_wav_head(data: bytes | mmap) -> tuple[bytes, int] | None:
    """The head of a wav file with its sizes filled in, where whoever recorded it never came to do so.

    Returns:
        The bytes up to the sound, and the place where that begins; `None` of files whose sizes are there.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    place = 12
    while place + 8 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        if name == b"data":
            rest = len(data) - place - 8
            if size not in WAV_SIZES or rest == 0:
                return None
            if len(data) < WAV_SIZES[1]:
                sizes = struct.pack("<I", len(data) - 8), struct.pack("<I", rest)
                return data[:4] + sizes[0] + data[8 : place + 4] + sizes[1], place + 8
            # RF64 (EBU Tech 3306): sizes of more than 32 bits are in a chunk of their own, the first one.
            unknown = struct.pack("<I", WAV_SIZES[1])
            sizes64 = struct.pack("<4sIQQQI", b"ds64", 28, len(data) + 28, rest, 0, 0)
            return b"RF64" + unknown + b"WAVE" + sizes64 + data[12 : place + 4] + unknown, place + 8
        place += 8 + size + size % 2
    return None


def split_ogg(data: bytes | mmap) -> list[bytes]:
    """The files of which an Ogg file is a chain; none of what is no chain."""
    starts, has_ended, place = [0], False, 0
    while data[place : place + 4] == b"OggS" and place + 27 <= len(data):
        flags, segments = data[place + 5], data[place + 26]
        if flags & OGG_FIRST and has_ended:
            starts.append(place)
            has_ended = False
        has_ended = has_ended or bool(flags & OGG_LAST)
        table = data[place + 27 : place + 27 + segments]
        place += 27 + segments + sum(table)
    if len(starts) == 1:
        return []
    return [data[start:stop] for start, stop in zip(starts, [*starts[1:], len(data)], strict=True)]


def is_truncated(data: bytes | mmap) -> bool:
    """Whether a wav or Ogg file ends before its own headers say, which decoders pass over in silence.

    A wav file announces its size; an Ogg stream marks its last page (RFC 3533).
    """
    if data[:4] == b"RIFF":
        announced = int.from_bytes(data[4:8], "little") + 8
        return len(data) + 1 < announced < 2**32 - 1  # a wav written to a pipe announces nothing, or all of 32 bits
    if data[:4] == b"OggS":
        flags = data.rfind(b"OggS") + 5
        return len(data) <= flags or not data[flags] & OGG_LAST
    return False
