"""What a run's model gave the clips it was evaluated on, kept for reports. Knows no training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psla_hf.data.schema import Clips
from psla_hf.files import atomic_file, reading

from .folder import SCORES

__all__ = ["PartScores", "read_scores", "write_scores"]


@dataclass(frozen=True)
class PartScores:
    """The clips of a part, such as `test`, and their scores.

    Attributes:
        ids: Of N clips.
        paths: Their files; empty for clips that are in tables or shards.
        starts: Where each begins in its file, in seconds; 0 for the beginning.
        ends: Where it ends; NaN for the end of the file.
        probabilities: Of the averaged model, float32 `[N, K]`.
        targets: 0/1 labels `[N, K]`.
    """

    ids: np.ndarray
    paths: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    probabilities: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, clips: Clips, probabilities: np.ndarray) -> "PartScores":
        """The scores of clips, `[N, K]`, in their order."""
        none = [None] * len(clips)
        starts, ends = (clips.column(name) if name in clips.features else none for name in ("start", "end"))
        return cls(
            ids=np.array(clips.ids),
            paths=np.array([str(Path(path).absolute()) if path else "" for path in clips.files]),
            starts=np.array([float(start or 0) for start in starts]),
            ends=np.array([np.nan if end is None else float(end) for end in ends]),
            probabilities=probabilities.astype(np.float32),
            targets=(clips.labels.multi_hot() > 0).astype(np.uint8),
        )


def write_scores(folder: Path, part: str, scores: PartScores) -> None:
    """Write a part's scores into a run's folder."""
    path = folder / SCORES / f"{part}.npz"
    path.parent.mkdir(exist_ok=True)
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **vars(scores))


def read_scores(folder: Path, part: str) -> PartScores | None:
    """What was written, if it was.

    Raises:
        ValueError: The file is damaged.
    """
    path = folder / SCORES / f"{part}.npz"
    if not path.is_file():
        return None
    with reading(path, "scores of a run"), np.load(path, allow_pickle=False) as content:
        return PartScores(**{name: content[name] for name in PartScores.__dataclass_fields__})
