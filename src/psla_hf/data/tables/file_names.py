"""Files that a table names, found where they are said to be or by their names. Opens none, and knows no tables."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from psla_hf.audio import AUDIO_SUFFIXES
from psla_hf.data.listing import are_there
from psla_hf.folder import FolderContents

__all__ = ["find_files", "in_one_form", "without_ending"]


def find_files(names: Sequence[str], root: Path, trees: dict[Path, list[Path]]) -> tuple[list[str], list[str]]:
    """Where the files are that a table names, relative to a folder or absolute; one that is not there may lie below.

    It does if exactly one file anywhere below the folder has its name, or else its name without the ending, unless the
    table names that one itself. What is not found is returned as it is named.

    Args:
        names: One for each row.
        root: The folder.
        trees: The audio below folders that earlier calls have read; added to.

    Returns:
        Paths, and notes.

    Raises:
        ValueError: Several files may be meant.
    """
    places = {name: root / name for name in dict.fromkeys(names)}  # an absolute path stays what it is
    there = dict(zip(places, are_there(list(places.values())), strict=True))
    absent = [name for name in places if not there[name]]
    if absent:
        if root not in trees:
            trees[root] = FolderContents.of(root).audio
        named = set(in_one_form((str(places[name]) for name in places if there[name]), root).values())
        found = _by_name(absent, [path for path in trees[root] if str(path) not in named])
        places |= found
        notes = [f"{len(found)} files were found below {root} by their names alone."] if found else []
    return [str(places[name]) for name in names], notes if absent else []


def in_one_form(paths: Iterable[str], root: Path) -> dict[str, str]:
    """The paths of files by how they are spelled: those of one file, such as `3.wav` and `deep/../3.wav`, are one.

    It is below the root as that is spelled, or else absolute. Links stay; where they make it another file, `..` too.
    """
    top = f"{os.path.normpath(root.absolute())}{os.sep}"
    forms = {}
    for path in dict.fromkeys(paths):
        whole = os.path.normpath(Path(path).absolute())
        form = str(root / whole.removeprefix(top)) if whole.startswith(top) else whole
        is_same = form == path or os.path.realpath(form) == os.path.realpath(path)
        forms[path] = form if is_same else path
    return forms


def without_ending(name: str) -> str:
    """A file's name without the ending of an audio file."""
    ending = next((suffix for suffix in AUDIO_SUFFIXES if name.lower().endswith(suffix)), "")
    return name.removesuffix(name[len(name) - len(ending) :]) if ending else name


def _by_name(names: Sequence[str], files: Sequence[Path]) -> dict[str, Path]:
    """The files that are meant by names; of several names for one file, none is."""
    found: dict[str, Path] = {}
    forms: tuple[Callable[[str], str], ...] = (str, without_ending)
    for form in forms:
        by_form = defaultdict(list)
        for file in files:
            by_form[form(file.name)].append(file)
        for name in names:
            choices = by_form.get(form(_last_part(name)), []) if name not in found else []
            if len(choices) > 1:
                raise ValueError(
                    f"Expected the file {name!r} of a table where it says, or one of this name, found {choices[0]} and "
                    f"{choices[1]}. Write the path relative to the folder of audio."
                )
            if choices:
                found[name] = choices[0]
    times = Counter(found.values())
    return {name: file for name, file in found.items() if times[file] == 1}


def _last_part(name: str) -> str:
    return re.split(r"[\\/]", name)[-1]
