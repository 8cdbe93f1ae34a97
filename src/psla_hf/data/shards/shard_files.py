"""Which files are shards, and of which split, by their names and folders. Opens none of them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from psla_hf.folder import METADATA_FILES

from .remote import REMOTE, files_under

__all__ = ["COMMON_SHARD_NAMES", "MANIFEST", "Shards", "all_shards", "find_shards", "holds_shards", "shards_by_split"]

Shards = str | Path | Sequence[str | Path]

MANIFEST = "manifest.json"  # beside the folder of prepared shards

SHARDS = (".parquet", ".tar")

COMMON_SHARD_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev"),
    "val": ("val",),
    "test": ("test", "testing"),
    "eval": ("eval", "evaluation"),
}

NUMBERED = re.compile(r"(?P<split>\w+)-\d{5}-of-\d{5}\.")  # as `datasets` and `psla prepare` name them


def holds_shards(source: Shards) -> bool:
    """Whether this is an address, a shard, a list of these, or a folder with shards at most two levels down.

    A `metadata.parquet` is a table of the files beside it.
    """
    if not isinstance(source, str | Path) or str(source).startswith(REMOTE):
        return True
    if str(source).endswith(SHARDS):
        return Path(source).name not in METADATA_FILES
    levels = ("[!.]*", "[!.]*/[!.]*", "[!.]*/[!.]*/[!.]*")
    found = (path for level in levels for suffix in SHARDS for path in Path(source).glob(level + suffix))
    return any(path.name not in METADATA_FILES for path in found)


def find_shards(
    source: Shards,
    split: str | None,
    names: Mapping[str, tuple[str, ...]] = COMMON_SHARD_NAMES,
    files: Sequence[str] | None = None,
) -> list[str]:
    """The shards of a split.

    Args:
        source: See `remote.files_under`.
        split: Which; none for all of shards that belong to one split or do not say.
        names: By split, what it is called as a folder or at the beginning of a file's name; else as it is.
        files: All shards of the source, where they have been listed: remotely, listing takes a request.

    Raises:
        FileNotFoundError: There are no shards, or none of this split.
        ValueError: There are parquet files and tars; or shards of several splits, and none is named.
    """
    known = names if split is None else {**names, split: names.get(split, (split,))}
    by_split = shards_by_split(source, known, files)
    if split is None and len(by_split) > 1:
        splits = ", ".join(sorted(name or "none" for name in by_split))
        raise ValueError(f"Expected shards of one split in {source}, found those of {splits}. Name the split.")
    chosen = next(iter(by_split.values()), []) if split is None else by_split.get(split, [])
    if not chosen:
        found = [file for of_split in by_split.values() for file in of_split]
        called = " or ".join(known.get(split or "", ()))
        which = f" of the split {split!r}, with {called} as a folder or at the beginning of their names,"
        raise FileNotFoundError(
            f"Expected .parquet or .tar shards{which if split else ''} in {source}, found {found[:3] or 'none'}."
        )
    if len({Path(file).suffix for file in chosen}) > 1:
        raise ValueError(f"Expected parquet files or tars in {source}, found both: pass one kind.")
    return chosen


def shards_by_split(
    source: Shards,
    names: Mapping[str, tuple[str, ...]] = COMMON_SHARD_NAMES,
    files: Sequence[str] | None = None,
) -> dict[str | None, list[str]]:
    """All shards by the split that their names say; those that say none are under none."""
    by_split: dict[str | None, list[str]] = {}
    for file in all_shards(source) if files is None else files:
        by_split.setdefault(_split_of(file, source, names), []).append(file)
    return by_split


def all_shards(source: Shards) -> list[str]:
    """The shards of all splits, sorted, see `remote.files_under`."""
    return [file for file in files_under(source, SHARDS) if Path(file).name not in METADATA_FILES]


def _split_of(file: str, source: Shards, names: Mapping[str, tuple[str, ...]]) -> str | None:
    """The split that a shard's name says, else the nearest folder's, up to the source itself but not beyond it."""
    base = str(Path(str(source)).parent) if isinstance(source, str | Path) else ""
    inside = str(Path(file)).removeprefix(base) if base else "/".join(Path(file).parts[-2:])
    for part in reversed(Path(inside).parts):
        for split, called in names.items():
            if re.match(rf"({'|'.join(map(re.escape, called))})(?=[-.@]|$)", part, re.IGNORECASE):
                return split
        if numbered := NUMBERED.match(part):
            return numbered["split"]
    return None
