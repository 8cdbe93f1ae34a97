"""Atomic files and folders, and JSON: complete or not there at all. Knows nothing of what they hold."""

import glob
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

__all__ = [
    "UNFINISHED",
    "check_identity",
    "check_output",
    "put_in_place",
    "to_json",
    "write_complete",
    "write_folder",
    "write_json",
]


def to_json(content: dict, indent: int | None = None) -> str:
    """JSON that any reader takes: infinity, such as d' of a faultless ranking, is 1e999, which reads as infinity."""
    text = json.dumps(content, indent=indent, ensure_ascii=False)
    return re.sub(r"(?<=: )(-?)Infinity(?=[,}\n])", r"\g<1>1e999", text)


def write_json(content: dict, path: str | Path) -> None:
    """Write JSON, ready to be compared line by line; whenever the file is there, it is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(to_json(content, indent=2) + "\n", encoding="utf-8")
    put_in_place(temporary, path)


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a file its name once it is on the disk: under that name it is complete or not there at all."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def check_output(folder: str | Path, overwrite: bool) -> None:
    """Refuse to write where there is something.

    Raises:
        FileExistsError: The folder is not empty, and may not be overwritten; or there is a file.
    """
    folder = Path(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not overwrite):
        raise FileExistsError(f"{folder} is there and not empty. Choose another folder, or allow overwriting it.")


def write_folder(folder: str | Path, write: Callable[[Path], object], overwrite: bool = False) -> None:
    """Let `write` fill a folder beside this one, then give it this one's name: it is complete or not there at all.

    A process that is killed leaves the unfinished folder, hidden, which the next one removes; killed between taking
    the old folder away and putting the new one in its place, it leaves both, complete, and the next one first puts the
    new one there. What another process of this machine is writing stays as it is.

    Raises:
        FileExistsError: See `check_output`.
    """
    folder = Path(folder).absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{folder.name}.unfinished-"
    _finish_leftovers(folder, prefix)
    check_output(folder, overwrite)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{prefix}{os.getpid()}-") as place:
        fresh, old = Path(place) / "new", Path(place) / "old"
        fresh.mkdir()
        write(fresh)
        try:
            if folder.is_dir():
                folder.rename(old)
            fresh.rename(folder)
        finally:
            if old.is_dir() and not folder.exists():  # before the place is removed with what is in it
                old.rename(folder)


def _finish_leftovers(folder: Path, prefix: str) -> None:
    """Remove what killed processes left of writing this folder, once what they took away is replaced."""
    for leftover in folder.parent.glob(f"{glob.escape(prefix)}*"):
        writer = leftover.name.removeprefix(prefix).partition("-")[0]
        if writer.isdecimal() and int(writer) != os.getpid() and psutil.pid_exists(int(writer)):
            continue
        if (leftover / "old").is_dir() and not folder.exists():
            # The old one is only taken away when the new one is complete.
            fresh = leftover / "new"
            (fresh if fresh.is_dir() else leftover / "old").rename(folder)
        shutil.rmtree(leftover)


UNFINISHED = ".unfinished-"  # what a run leaves that is killed while it writes


def write_complete(folder: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a folder elsewhere on the same disk, then move each file to its name in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=UNFINISHED) as place:
        write(Path(place))
        for path in Path(place).iterdir():
            path.replace(folder / path.name)


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
