"""Files and folders that are complete or not there at all, JSON, and digests. Knows nothing of what they hold."""

import glob
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

__all__ = [
    "atomic_file",
    "atomic_files",
    "atomic_folder",
    "check_identity",
    "check_output",
    "clear_unfinished",
    "digest",
    "to_json",
    "write_json",
]


UNFINISHED = ".{name}.unfinished-"  # then the writing process's number: what it leaves if it is killed


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

    A process that is killed leaves the temporary file, hidden, which the next one that writes `path` removes.

    Args:
        path: The file; what is there is replaced. Its folder is made if need be.
        folder: An existing one for the temporary file, on the same disk; by default the file's own.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = folder or path.parent
    temporary = folder / f"{UNFINISHED.format(name=path.name)}{os.getpid()}"
    _clear(folder.glob(_pattern(path.name)))
    try:
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
        yield place
        _to_disk(place)
        for path in place.iterdir():
            path.replace(folder / path.name)


@contextmanager
def atomic_folder(folder: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder to fill; at the end it is on the disk, and takes the name and the place of `folder`.

    A process that is killed leaves the temporary folder, hidden, which the next one removes; killed between taking
    the old folder away and putting the new one in its place, it leaves both, complete, and the next one first puts the
    new one there. What another process of this machine is writing stays as it is.

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
    """Refuse to write where there is something.

    Raises:
        FileExistsError: The folder is not empty, and may not be overwritten; or there is a file.
    """
    folder = Path(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not overwrite):
        raise FileExistsError(f"{folder} is there and not empty. Choose another folder, or pass overwrite=True.")


def clear_unfinished(folder: Path) -> None:
    """Remove what killed processes left of writing atomically into a folder, at any depth."""
    _clear(folder.rglob(UNFINISHED.format(name="*") + "*"))


def _pattern(name: str) -> str:
    return glob.escape(UNFINISHED.format(name=name)) + "*"


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """A folder beside this one that is removed at the end."""
    prefix = f"{UNFINISHED.format(name=folder.name)}{os.getpid()}-"
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix) as place:
        yield Path(place)


def _clear(leftovers: Iterable[Path]) -> None:
    """Remove what killed processes left, once what they took away is replaced."""
    for leftover in list(leftovers):
        name, _, writer = leftover.name.removeprefix(".").rpartition(".unfinished-")
        number = writer.partition("-")[0]
        if number.isdecimal() and int(number) != os.getpid() and psutil.pid_exists(int(number)):
            continue
        if not leftover.is_dir():
            leftover.unlink(missing_ok=True)
            continue
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
