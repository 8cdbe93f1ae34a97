"""Training clips by index or in shards, asked alike for ids, labels and files. Decodes nothing; knows no models."""

import hashlib
import os
from pathlib import Path
from typing import TypeAlias

from datasets import Dataset

from psla_hf.labels.vocabulary import ClipLabels

from .schema import labels_of
from .shards import ShardedClips

__all__ = ["TrainingClips", "audio_path", "clip_ids", "clip_labels", "fingerprint"]


TrainingClips: TypeAlias = Dataset | ShardedClips


def clip_ids(clips: TrainingClips) -> list[str]:
    """The clips' ids, in order."""
    return [str(name) for name in (clips.column("id") if isinstance(clips, ShardedClips) else clips["id"][:])]


def clip_labels(clips: TrainingClips) -> ClipLabels:
    """The clips' labels, in order."""
    return clips.labels if isinstance(clips, ShardedClips) else labels_of(clips)


def audio_path(clips: TrainingClips, clip: int, root: str | Path) -> str | None:
    """The file of a clip by its number: its path inside the folder `root`, else its name; none for clips in shards.

    Where a table holds the encoded audio itself, it is the name that the table has for it; so is an address.
    """
    if isinstance(clips, ShardedClips):
        return None
    audio = clips.select_columns("audio")[clip]["audio"]
    path = audio["path"]
    inside_table = audio["bytes"] is not None and path is not None and not Path(path).is_absolute()
    if path is None or inside_table or "://" in path:
        return path
    # Not resolved: a link inside the folder is the file's name there.
    file, folder = (Path(os.path.normpath(Path(part).absolute())) for part in (path, root))
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name


def fingerprint(clips: TrainingClips | None) -> str:
    """SHA-256 of a data set's ids and labels in their order, or what changes when some shards or their labels do."""
    digest = hashlib.sha256()
    if isinstance(clips, Dataset):
        labels = labels_of(clips)
        for part in ("\n".join(clips["id"][:]).encode(), labels.values.tobytes(), labels.offsets.tobytes()):
            digest.update(part)
        if "label_values" in clips.features:
            values = clips.select_columns("label_values").with_format("arrow")[:]["label_values"]
            digest.update(values.combine_chunks().flatten().to_numpy(zero_copy_only=False).tobytes())
    elif clips is not None:
        return clips.index.version
    return digest.hexdigest()
