"""What a result must name to be believed: command, commit, versions, machine. Knows nothing of what was measured."""

import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from .cpu import cpu_count
from .version import __version__

__all__ = ["provenance", "put_in_place", "to_json", "write_json"]

PACKAGES = ("torch", "torchaudio", "transformers", "datasets", "accelerate", "timm", "numpy", "scikit-learn")


def provenance() -> dict:
    """Command, commit, versions and machine of this process. Names no host, user or absolute path."""
    command = [Path(sys.argv[0]).name, *map(_without_folders, sys.argv[1:])]
    return {
        "command": " ".join(command),
        "psla_hf": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cpus": cpu_count(),
            "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


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


def _without_folders(word: str) -> str:
    """A word of a command line, `/home/me/clips` and `--data-dir=/home/me/clips` with the path's last part only.

    Classes' ids, such as `/m/09x0r`, look like paths and stay.
    """
    before, equals, value = word.rpartition("=")
    is_path = value.startswith("/") and not re.fullmatch(r"/[gmt]/\w+", value)
    return before + equals + Path(value).name if is_path else word


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the source tree this package runs from, marked if the tree was changed; None outside git.

    A tree that does not have this file is somebody else's: the package is installed inside it.
    """
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return _git("describe", "--always", "--abbrev=12", "--exclude=*", "--dirty")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*words: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
