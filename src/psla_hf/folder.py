"""What lies in a folder of clips: audio, tables, the rest. Reads none of it, and knows no classes and no splits."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from psla_hf.audio import AUDIO_SUFFIXES

__all__ = ["METADATA_FILES", "FolderContents", "entry_is_file"]

METADATA_FILES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx", ".txt")

NO_CLASS_FOLDERS = ("_background_noise_",)  # Speech Commands': minutes of noise to be mixed in


@dataclass
class FolderContents:
    """The files of a tree, folder by folder in alphabetical order; links to folders are followed, each folder once.

    What begins with a dot (some systems leave such a companion beside every file), and folders that begin with two
    underscores, are passed over, as `datasets` does.

    Attributes:
        root: The folder.
        audio: By their endings.
        metadata: Tables of clips, by their names.
        tables: Other files that look like tables.
        others: All other files.
        unusable: Names that are no text, as far as they can be shown, and links that lead nowhere or in a circle.
        passed_over: Folders whose audio is of no class.
    """

    root: Path
    audio: list[Path] = field(default_factory=list)
    metadata: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    unusable: list[Path] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)

    @classmethod
    def of(cls, root: Path) -> "FolderContents":
        """Read the whole tree.

        Raises:
            OSError: A folder may not be read.
        """
        contents, seen, to_read = cls(root), set(), [root]
        while to_read:
            folder = to_read.pop()
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:  # a link back up would go round for ever
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                found = [contents._add(entry) for entry in sorted(entries, key=lambda entry: entry.name)]
            to_read += [subfolder for subfolder in reversed(found) if subfolder is not None]
        return contents

    def _add(self, entry: os.DirEntry[str]) -> Path | None:
        """Sort an entry in; returns it if it is a folder to read."""
        path, is_folder = Path(entry.path), entry_is_folder(entry)
        if entry.name.startswith("." if not is_folder else (".", "__")):
            return None
        if not is_text(entry.name) or not (is_folder or entry_is_file(entry)):
            self.unusable.append(path)
        elif is_folder and entry.name in NO_CLASS_FOLDERS:
            self.passed_over.append(path)
        elif is_folder:
            return path
        elif entry.name.lower().endswith(AUDIO_SUFFIXES):
            self.audio.append(path)
        elif entry.name in METADATA_FILES:
            self.metadata.append(path)
        elif entry.name.lower().endswith(TABLE_SUFFIXES):
            self.tables.append(path)
        else:
            self.others.append(path)
        return None

    @property
    def sounds(self) -> list[Path]:
        """What is to be heard: the audio, whatever its name, and links to none, which fail by their names."""
        return sorted([*self.audio, *(path for path in self.unusable if path.name.lower().endswith(AUDIO_SUFFIXES))])

    def named(self, paths: Sequence[Path]) -> str:
        """The first few of some paths inside the folder, as far as they can be shown."""
        shown = [os.fsencode(path.relative_to(self.root)).decode(errors="backslashreplace") for path in paths[:3]]
        return ", ".join(shown) + (", …" if len(paths) > 3 else "")

    def notes(self) -> tuple[str, ...]:
        """What was passed over, a sentence each."""
        accounts = {
            "{n} files are no audio by their endings and were passed over: {names}.": self.others,
            "{n} tables beside the audio were not used: {names}.": self.tables,
            "{n} files with names that are no text, or links to none, were passed over: {names}.": self.unusable,
            "{n} folders of noise were passed over: {names}.": self.passed_over,
        }
        return tuple(
            text.format(n=len(paths), names=self.named(paths)) for text, paths in accounts.items() if len(paths)
        )


def entry_is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link to one; a link in a circle is none."""
    try:
        return entry.is_file()
    except OSError:
        return False


def entry_is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one; a link in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_text(name: str) -> bool:
    """Whether a file's name can be stored as text: Linux takes any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
