"""Which sounds words on a command line stand for: files, folders, patterns. Reads none."""

import glob
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from .arguments import STDIN

__all__ = ["found", "names_a_sound"]

WEIGHTS = (".pth", ".pt", ".ckpt", ".safetensors", ".onnx", ".xml")  # files that somebody takes for a model


def names_a_sound(word: str) -> bool:
    """Whether a word stands for sounds and not for a model.

    So do standard input, files that are no weights, what ends as audio files do, patterns that are no path, and folders
    with audio and no model in them.
    """
    from psla_hf.audio import AUDIO_SUFFIXES
    from psla_hf.models.graphs import exported_formats

    path = Path(os.path.expanduser(word))  # noqa: PTH111 - which leaves ~nobody as it is
    if path.is_dir():
        is_model = (path / "config.json").exists() or bool(exported_formats(path))
        names = (name for _, _, files in os.walk(path) for name in files)
        return not is_model and any(Path(name).suffix.lower() in AUDIO_SUFFIXES for name in names)
    suffix, is_pattern = path.suffix.lower(), not path.exists() and glob.has_magic(word)
    is_file = path.exists() and suffix not in WEIGHTS  # or a pipe
    return word == STDIN or is_file or is_pattern or suffix in AUDIO_SUFFIXES


def found(names: Iterable[str], recursive: bool) -> Iterator[str]:
    """The files that names, folders and patterns stand for, as they are spelled.

    Raises:
        FileNotFoundError: A folder holds no audio, or a pattern fits nothing.
    """
    for name in names:
        path = Path(name)
        if path.is_dir():
            files = sounds_in(path, recursive)
            if not files:
                hint = "" if recursive else " Pass --recursive for those in its folders."
                raise FileNotFoundError(f"Expected audio files in {name}, there is none.{hint}")
            yield from files
        elif not path.exists() and glob.has_magic(name):
            matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - a pattern may be absolute
            fit = (sounds_in(Path(match), recursive) if Path(match).is_dir() else [match] for match in matches)
            files = list(itertools.chain.from_iterable(fit))
            if not files:
                raise FileNotFoundError(f"No file fits {name}.")
            yield from files
        else:
            yield name


def sounds_in(folder: Path, recursive: bool) -> list[str]:
    """The audio files of a folder, and of those below it."""
    from psla_hf.folder import FolderContents

    return [str(file) for file in FolderContents.of(folder).sounds if recursive or file.parent == folder]
