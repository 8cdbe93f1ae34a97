"""What a result must name to be believed: command, commit, versions, machine. Knows nothing of what was measured."""

import os
import platform
import re
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["cpu_count", "provenance"]


__version__ = "0.1.0"


def cpu_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


PACKAGES = ("torch", "transformers", "datasets", "accelerate", "timm", "numpy", "scikit-learn", "soundfile", "soxr")


def provenance() -> dict:
    """Command, commit, versions and machine of this process. Names no host, user or absolute path."""
    import torch  # here, because it takes seconds, and the version is asked for without it

    words = (shlex.quote(_without_folders(word)) for word in sys.argv[1:])
    return {
        "command": " ".join([_program(), *words]),
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


def _program() -> str:
    """What was typed before the arguments."""
    script = Path(sys.argv[0])
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None or spec.origin is None or script.name != Path(spec.origin).name:
        return script.name
    return f"python -m {spec.name.removesuffix('.__main__')}"


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
