"""Training clips by index or in shards, asked alike for ids, labels and files. Decodes nothing; knows no models."""

import os
from pathlib import Path
from typing import TypeAlias

from datasets import Dataset

from .label_sets import LabelSet
from .labels import ClipLabels
from .schema import labels_of, vocabulary_of
from .shards import ShardedClips

__all__ = ["TrainingClips", "audio_path", "clip_ids", "clip_labels", "with_label_set"]

TrainingClips: TypeAlias = Dataset | ShardedClips


def with_label_set(clips: TrainingClips, label_set: LabelSet) -> TrainingClips:
    """The same clips with enhanced labels; of shards all clips, and the files stay as they are.

    Raises:
        ValueError: The label set was made for other clips, see `LabelSet.check`.
    """
    if isinstance(clips, Dataset):
        return label_set.apply(clips)
    labels, values = label_set.labels_for(clip_ids(clips), vocabulary_of(clips), clips.labels)
    return ShardedClips.of(clips.index.with_labels(labels, values))


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
