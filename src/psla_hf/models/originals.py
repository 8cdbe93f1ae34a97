"""The original PSLA's checkpoints wherever they are: files, folders, archives, addresses. Knows no training."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.parse import urlparse

import torch

from psla_hf.files import digest, reading

from .modeling_psla_ensemble import PslaEnsembleForAudioClassification
from .saved import Tagger
from .weights import convert_psla_checkpoint

__all__ = ["convert_originals", "original_files"]


CHECKPOINT = ".pth"


@contextmanager
def original_files(place: str | Path, *, quiet: bool = False) -> Iterator[list[Path]]:
    """The checkpoints that are meant, by name; what was fetched or unpacked for them is there in the context.

    Args:
        place: A `.pth` file, a folder of some, a `.zip` of some, or the http(s) address of a file or a zip.
        quiet: No progress bar; else the size and the SHA-256 of what was fetched are printed.

    Raises:
        FileNotFoundError: There is nothing, or no checkpoint in it.
        OSError: The address cannot be read.
        ValueError: It is a damaged archive.
    """
    with TemporaryDirectory(prefix="psla-originals-") as temporary:
        path = Path(place)
        if str(place).startswith(("http://", "https://")):
            path = _fetched(str(place), Path(temporary), quiet)
        in_folder = sorted(filter(_is_checkpoint, path.iterdir())) if path.is_dir() else None
        files = (_unpacked(path, Path(temporary)) or [path]) if in_folder is None else in_folder
        if not files or not files[0].is_file():
            raise FileNotFoundError(
                f"Expected a checkpoint, or files *{CHECKPOINT} in a folder, there are none: {place}."
            )
        yield files


def convert_originals(files: Sequence[Path], label_names: Sequence[str] | None = None) -> Tagger:
    """A tagger of one checkpoint, an ensemble of several.

    Args:
        files: The checkpoints.
        label_names: Their classes, in index order.

    Raises:
        ValueError: One is no such checkpoint, or they differ in their classes.
    """
    members = [convert_psla_checkpoint(file, label_names) for file in files]
    if len(members) == 1:
        return members[0]
    counts = {file.name: len(member.config.label_names) for file, member in zip(files, members, strict=True)}
    if len(set(counts.values())) > 1:
        raise ValueError(f"Expected checkpoints of the same classes, their numbers are {counts}.")
    return PslaEnsembleForAudioClassification.from_members(members).eval()


def _fetched(address: str, folder: Path, quiet: bool) -> Path:
    path = folder / (Path(urlparse(address).path).name or "checkpoint")
    try:
        torch.hub.download_url_to_file(address, str(path), progress=not quiet)
    except (OSError, URLError) as error:
        raise OSError(f"Could not fetch {address}: {error}. Download it, and pass the file.") from error
    if not quiet:
        print(f"{path.name}: {path.stat().st_size:,} bytes, SHA-256 {digest(path)}")
    return path


def _unpacked(path: Path, folder: Path) -> list[Path]:
    """The checkpoints in an archive; none if it is no archive of checkpoints, as a checkpoint itself is a zip file."""
    if not zipfile.is_zipfile(path):
        return []
    with reading(path, "an archive of checkpoints"), zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if _is_checkpoint(Path(name)))
        # Each in a folder of its own: the same name may come twice.
        files = [folder / str(number) / Path(name).name for number, name in enumerate(names)]
        for file, name in zip(files, names, strict=True):
            size = archive.getinfo(name)
            if size.file_size > 2 * max(size.compress_size, 1):
                raise ValueError(f"{name} has {size.compress_size} bytes and would become {size.file_size}")
            file.parent.mkdir()
            file.write_bytes(archive.read(name))
    return files


def _is_checkpoint(path: Path) -> bool:
    """By its name; hidden files are none, such as those that macOS packs beside each."""
    return path.suffix == CHECKPOINT and not path.name.startswith(".")
