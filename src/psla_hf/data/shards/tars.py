"""Clips in WebDataset tars, local or remote, read in the one schema. Decodes nothing."""

import json
import math
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from psla_hf.audio import AUDIO_SUFFIXES
from psla_hf.data.foreign import ID_COLUMNS, LABEL_COLUMNS, SECONDS_COLUMNS, encode_labels
from psla_hf.files import reading
from psla_hf.labels.vocabulary import Vocabulary

from .remote import open_binary

__all__ = ["iterate_tar"]


def iterate_tar(files: Sequence[str], vocabulary: Vocabulary, split: str) -> Iterator[dict[str, Any]]:
    """The clips of WebDataset tars in the schema, in order, audio encoded.

    A clip is consecutive members of one name: an audio file, and a `.json` with its labels under one of
    `foreign.LABEL_COLUMNS`, or a `.cls` with one index.

    Raises:
        ValueError: A file is damaged; or a clip has no audio or no labels, or one that is no class.
    """
    for file in files:
        key: str | None = None
        parts: dict[str, bytes] = {}
        for member, content in _members(file):
            stem, _, suffix = member.name.partition(".")
            name = str(member.parent / stem)
            if name != key and parts:
                yield _clip(key, parts, vocabulary, split, file)
                parts = {}
            key, parts[f".{suffix}"] = name, content
        if parts:
            yield _clip(key, parts, vocabulary, split, file)


def _members(file: str) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Names and contents of the files in a tar."""
    with (
        reading(file, "clips as a tar"),
        open_binary(file) as source,
        tarfile.open(fileobj=source, mode="r|*") as archive,
    ):
        for member in archive:
            if member.isfile():
                extracted = archive.extractfile(member)
                assert extracted is not None
                yield PurePosixPath(member.name), extracted.read()


def _clip(key: str | None, parts: dict[str, bytes], vocabulary: Vocabulary, split: str, file: str) -> dict[str, Any]:
    suffix = next((suffix for suffix in parts if suffix.lower().endswith(AUDIO_SUFFIXES)), None)
    with reading(file, f"a JSON object or a class of the clip {key}"):
        about = dict(
            json.loads(parts[".json"]) if ".json" in parts else {"label": parts.get(".cls", b"").decode().strip()}
        )
    labels = next((about[column] for column in LABEL_COLUMNS if about.get(column) not in (None, "")), None)
    if suffix is None or labels is None:
        raise ValueError(
            f"Expected an audio file ({', '.join(AUDIO_SUFFIXES)}) and a .json with one of {list(LABEL_COLUMNS)} for "
            f"{key} in {file}, found {sorted(parts)}{'' if labels else ' without labels'}."
        )
    seconds = next((about[column] for column in SECONDS_COLUMNS if column in about), None)
    with reading(file, f"labels and seconds of the clip {key}"):
        column = pa.chunked_array([[labels]])
        seconds = None if seconds is None or not 0 <= float(seconds) < math.inf else float(seconds)
    indices = encode_labels(column, vocabulary, f"{file}, clip {key}").values.tolist()
    ids = (about[column] for column in ID_COLUMNS if about.get(column) is not None)
    return {
        "id": str(next(ids, PurePosixPath(str(key)).name)),
        "audio": {"path": f"{key}{suffix}", "bytes": parts[suffix]},
        "labels": indices,
        "mids": indices,
        "split": split,
        "seconds": seconds,
    }
