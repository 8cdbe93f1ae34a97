"""Files that are complete or not there at all, locks, readers that name a damaged one, digests; not what they hold."""

import codecs
import errno
import glob
import hashlib
import json
import logging
import math
import os
import shutil
import socket
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar

import numpy as np
import psutil

if sys.platform != "win32":
    import fcntl

__all__ = [
    "atomic_file",
    "atomic_files",
    "atomic_folder",
    "check_identity",
    "check_output",
    "clear_unfinished",
    "digest",
    "is_leftover",
    "locked",
    "read_json",
    "read_json_lines",
    "read_npy",
    "read_tensors",
    "read_text",
    "reading",
    "remove_folder",
    "to_json",
    "write_json",
]


MARK = ".unfinished-"

UNFINISHED = f".{{name}}{MARK}"  # then who writes, see `_writer`: what a process leaves if it is killed

LOCK_FILE = ".lock"

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of the disk, the user's quota, the process's limit

logger = logging.getLogger(__name__)


def digest(*parts: str | bytes | np.ndarray | Path) -> str:
    """SHA-256 of texts (as UTF-8), bytes, arrays (their values) and files (their content), one after the other."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with part.open("rb") as file:
                while block := file.read(2**20):
                    sha.update(block)
        elif isinstance(part, np.ndarray):
            sha.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        else:
            sha.update(part.encode() if isinstance(part, str) else part)
    return sha.hexdigest()


@contextmanager
def reading(path: str | Path, what: str) -> Iterator[None]:
    """Read a file with a library: whatever that raises over a damaged one becomes one `ValueError` that names it.

    A file that is not there or may not be read, and a server that fails, keep their `OSError`.

    Args:
        path: The file, or its address.
        what: What it is expected to be, such as `"a parquet file"`.

    Raises:
        ValueError: The library raised something.
    """
    try:
        yield
    except Exception as error:
        # Arrow has bare OSErrors for damage, and torch seeks where a damaged file sends it, an invalid argument;
        # other errors of the system have a number, those of servers a class of their own.
        damage = (None, errno.EINVAL)
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno not in damage):
            raise
        reason = shorten(f"{type(error).__name__}: {error}", 200, placeholder=" …")
        raise ValueError(f"Expected {what} in {path}, could not read it so: {reason}. Is it damaged?") from error


def read_text(path: str | Path) -> str:
    """A text file in UTF-8, or in UTF-16 that says so by its byte order mark.

    Raises:
        ValueError: It is in another encoding, or no text; the message has the line.
    """
    data = Path(path).read_bytes()
    try:
        text = data.decode("utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
        wrong = data.find(b"\0") if "\0" in text else None
    except UnicodeDecodeError as error:
        wrong = error.start
    if wrong is not None:
        line = data.count(b"\n", 0, wrong) + 1
        raise ValueError(
            f"Expected text in UTF-8 in {path}, line {line} has the byte 0x{data[wrong]:02x}. Save it as UTF-8."
        )
    return text


Content = TypeVar("Content", dict, list)


def read_json(path: str | Path, kind: type[Content] = dict) -> Content:  # type: ignore[assignment]
    """What a JSON file holds, an object (`dict`) or a list.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no JSON, or holds something else.
    """
    text = read_text(path)
    with reading(path, "JSON"):
        content = json.loads(text)
    if not isinstance(content, kind):
        names = {dict: "a JSON object", list: "a JSON list"}
        raise ValueError(f"Expected {names[kind]} in {path}, got {shorten(text, 80, placeholder=' …')}.")
    return content


def read_json_lines(path: str | Path) -> dict[int, dict[str, Any]]:
    """The JSON objects of a file with one in every line, by the line's number; empty lines are left out.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line is no JSON object; the message has its number.
    """
    objects = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            with reading(path, f"a JSON object in line {number}"):
                objects[number] = json.loads(line)
                if not isinstance(objects[number], dict):
                    raise ValueError(f"it is {shorten(line, 80, placeholder=' …')}")
    return objects


def read_npy(path: str | Path) -> np.ndarray:
    """The array of a `.npy` file, of which only what is used comes into memory.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file, ends too early, or holds Python objects.
    """
    with reading(path, "an array as .npy"):
        return np.lib.format.open_memmap(path, mode="r")


def read_tensors(path: str | Path, what: str) -> Any:
    """What torch has saved, tensors in plain containers, on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or holds more than it has bytes: torch does not compress, bombs do.
    """
    import torch

    with reading(path, what):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size > Path(path).stat().st_size:
                raise ValueError(f"its {Path(path).stat().st_size} bytes would become {size}")
        return torch.load(path, map_location="cpu", weights_only=True)


def to_json(content: Any, indent: int | None = None) -> str:
    """JSON as the standard has it: a number that is not finite, such as d' of a faultless ranking, becomes null."""
    return json.dumps(_finite(content), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_json(content: Any, path: str | Path) -> None:
    """Write JSON atomically, ready to be compared line by line."""
    with atomic_file(path) as temporary:
        temporary.write_text(to_json(content, indent=2) + "\n", encoding="utf-8")


@contextmanager
def atomic_file(path: str | Path, folder: Path | None = None) -> Iterator[Path]:
    """Give the path of a temporary file to write; at the end it is on the disk, and gets the name `path` in one step.

    A process that is killed leaves the temporary file, hidden, which the next one on its machine that writes `path`
    removes.

    Args:
        path: The file; what is there is replaced. Its folder is made if need be.
        folder: An existing one for the temporary file, on the same disk; by default the file's own.

    Raises:
        OSError: There is no space; it names `path`, whatever library wrote. So do `atomic_files` and `atomic_folder`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = folder or path.parent
    temporary = folder / f"{UNFINISHED.format(name=path.name)}{_writer()}"
    _clear(folder.glob(_pattern(path.name)))
    try:
        with _space(temporary, path):
            yield temporary
            _to_disk(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_files(folder: str | Path) -> Iterator[Path]:
    """Give a temporary folder to write files into; at the end each gets its name in `folder` in one step."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _clear(folder.glob(UNFINISHED.format(name="files") + "*"))
    with _temporary_folder(folder / "files") as place:
        with _space(place, folder):
            yield place
            _to_disk(place)
        for path in place.iterdir():
            path.replace(folder / path.name)


@contextmanager
def atomic_folder(folder: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder to fill; at the end it is on the disk, and takes the name and the place of `folder`.

    A process that is killed leaves the temporary folder, hidden, which the next one on its machine removes; killed
    between taking the old folder away and putting the new one in its place, it leaves both, complete, and the next one
    first puts the new one there. What another process is writing, here or on another machine, stays as it is.

    Raises:
        FileExistsError: See `check_output`.
    """
    folder = Path(folder).absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear(folder.parent.glob(_pattern(folder.name)))
    check_output(folder, overwrite)
    with _temporary_folder(folder) as place:
        fresh, old = place / "new", place / "old"
        fresh.mkdir()
        with _space(fresh, folder):
            yield fresh
            _to_disk(fresh)
        try:
            if folder.is_dir():
                folder.rename(old)
            fresh.rename(folder)
        finally:
            if old.is_dir() and not folder.exists():  # before the place is removed with what is in it
                old.rename(folder)


def check_output(folder: str | Path, overwrite: bool) -> None:
    """Refuse to write where there is something, besides what a killed process left of writing there.

    Raises:
        FileExistsError: The folder is not empty, and may not be overwritten; or there is a file.
    """
    folder = Path(folder)
    is_occupied = folder.is_dir() and not all(map(is_leftover, folder.iterdir()))
    if folder.is_file() or (is_occupied and not overwrite):
        raise FileExistsError(f"{folder} is there and not empty. Choose another folder, or pass overwrite=True.")


def remove_folder(folder: Path) -> None:
    """Remove a folder in one step, if it is there; what a kill leaves of it is hidden, as of `atomic_folder`."""
    if folder.is_dir():
        with _temporary_folder(folder) as place:
            folder.rename(place / "removed")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from working in a folder until the block ends, or this process, however it does.

    The lock is the system's, on the file `.lock`, which says who has it. A process forked from this one does not
    inherit it. Windows has no such locks: there nobody is kept out.

    Raises:
        BlockingIOError: Another process has it; the message names it.
    """
    if sys.platform == "win32":
        yield
        return
    path = folder / LOCK_FILE
    with _lock_file(path) as file:
        since = datetime.now().astimezone().isoformat(" ", "seconds")
        os.truncate(file, 0)
        os.write(file, f"process {os.getpid()} on {socket.gethostname()} since {since}".encode())
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while it is still locked


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    """The descriptor of a lock's file, locked and still there."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                # Not flock, which children inherit: those that decode outlive a killed process by seconds.
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                holder = os.pread(file, 1000, 0).decode(errors="replace") or "another process"
                raise BlockingIOError(
                    f"{path.parent} is in use: {holder} works in it. Wait for it, end it, or choose another folder."
                ) from error
            except OSError as error:
                logger.warning("Nobody is kept out of %s, whose disk has no locks: %s.", path.parent, error)
            if os.fstat(file).st_nlink:  # else whoever had it has just removed it
                yield file
                return
        finally:
            os.close(file)


def clear_unfinished(folder: Path, of_all_machines: bool = False) -> None:
    """Remove what killed processes left of writing atomically into a folder, at any depth.

    Args:
        folder: The folder.
        of_all_machines: Not only of this one: for who has `locked` the folder.
    """
    _clear(folder.rglob(UNFINISHED.format(name="*") + "*"), of_all_machines)


def is_leftover(path: Path, of_all_machines: bool = False) -> bool:
    """Whether a killed process left this of writing atomically; what another one is writing now is none.

    Args:
        path: The file or folder.
        of_all_machines: See `clear_unfinished`; else what was left on another machine is none, for who is running
            there is not known here.
    """
    name, mark, writer = path.name.rpartition(MARK)
    number, _, host = writer.partition("-")[0].partition("@")
    is_here = host in ("", _writer().partition("@")[2])  # names of before have no host
    is_running = is_here and number.isdecimal() and int(number) != os.getpid() and psutil.pid_exists(int(number))
    return bool(mark) and name.startswith(".") and (is_here or of_all_machines) and not is_running


@contextmanager
def _space(temporary: Path, path: Path) -> Iterator[None]:
    """Let a lack of space be an `OSError` that names `path`, while the file or folder `temporary` is written."""
    try:
        yield
    except Exception as error:
        number = error.errno if isinstance(error, OSError) and error.errno else _errno_of_more(temporary)
        if number not in NO_SPACE:
            raise
        raise OSError(number, f"{os.strerror(number)}, make room and start again", str(path)) from error


def _errno_of_more(temporary: Path) -> int | None:
    """What the system says to a little more, at the end of the file written last.

    Torch, safetensors and numpy do not say why they could not write: their errors have no number.
    """
    files = [path for path in [temporary, *temporary.rglob("*")] if path.is_file()]
    if not files:
        return None
    try:
        with max(files, key=lambda file: file.stat().st_mtime_ns).open("ab") as stream:
            stream.write(b"\0" * 2**20)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        return error.errno
    return None


def _pattern(name: str) -> str:
    return glob.escape(UNFINISHED.format(name=name)) + "*"


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """A folder beside this one that is removed at the end."""
    prefix = f"{UNFINISHED.format(name=folder.name)}{_writer()}-"
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix) as place:
        yield Path(place)


def _writer() -> str:
    """This process, in the names of what it writes: its number, and a digest of its machine's or container's name."""
    return f"{os.getpid()}@{digest(socket.gethostname())[:8]}"


def _clear(leftovers: Iterable[Path], of_all_machines: bool = False) -> None:
    """Remove what killed processes left, once what they took away is replaced."""
    for leftover in list(leftovers):
        if not is_leftover(leftover, of_all_machines):
            continue
        if not leftover.is_dir():
            leftover.unlink(missing_ok=True)
            continue
        name = leftover.name.removeprefix(".").rpartition(MARK)[0]
        folder, fresh, old = leftover.with_name(name), leftover / "new", leftover / "old"
        if old.is_dir() and not folder.exists():
            # The old one is only taken away when the new one is complete.
            (fresh if fresh.is_dir() else old).rename(folder)
        shutil.rmtree(leftover)


def _to_disk(path: Path) -> None:
    """Have the file, or all files of the folder, on the disk."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())


def check_identity(then: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with a run that was begun otherwise.

    Raises:
        ValueError: Something differs; the message says what it was and is.
    """
    differ = [name for name, value in now.items() if then.get(name) != value]
    if differ:
        raise ValueError(
            f"Expected the settings with which the run in {folder} was begun, these differ: "
            + "; ".join(f"{name} was {then.get(name)}, is {now[name]}" for name in differ)
            + ". Resume with those, or begin anew in another directory."
        )
