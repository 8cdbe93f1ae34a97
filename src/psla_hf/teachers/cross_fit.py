"""Scores of clips by teachers that were each trained on the other clips. Knows no training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from psla_hf.data.schema import Clips, IndexedClips
from psla_hf.data.splitting import make_folds
from psla_hf.files import atomic_file, digest, write_json

from .scores import CLASSES, IDENTITY, UNKNOWN, NpyRows, chunk_files, ids_fingerprint

__all__ = ["cross_fit_parts", "of_numbers", "save_cross_fitted"]


def cross_fit_parts(clips: Clips, parts: int, seed: int = 0) -> np.ndarray:
    """The part of each clip, from 0 on, int64 `[N]`: stratified by class, and a recording in one part.

    Args:
        clips: By index.
        parts: K.
        seed: The same seed, the same parts.

    Raises:
        ValueError: The clips are in shards or have a teacher's scores, or there are fewer than two parts or fewer
            recordings than parts.
    """
    if clips.index is not None or clips.scores is not None:
        raise ValueError(
            "Expected clips by index and without a teacher's scores: cross-fitting takes them apart. Leave streaming "
            "and teacher_scores out."
        )
    recordings = [file or name for file, name in zip(clips.files, clips.ids, strict=True)]
    folds = make_folds(clips.labels, recordings, parts, seed)
    return np.array([int(fold.split()[1]) - 1 for fold in folds])


def of_numbers(clips: Clips, chosen: np.ndarray) -> IndexedClips:
    """The clips for which `chosen` `[N]` is true, in their order."""
    return IndexedClips(clips.dataset().select(np.flatnonzero(chosen)))


def save_cross_fitted(
    folder: Path, clips: Clips, parts: np.ndarray, scores: Sequence[np.ndarray], teachers: Sequence[str], name: str
) -> NpyRows:
    """Put the scores of all parts together into a folder as `scoring.score_training_clips` writes it.

    Args:
        folder: For the scores.
        clips: All N.
        parts: The part of each clip, of K.
        scores: Of each part's clips `[n, classes]`, in their order, by its teacher.
        teachers: The teachers' fingerprints.
        name: What to call them together.
    """
    together = np.full((len(clips), len(clips.vocabulary)), np.nan, np.float16)
    for number, of_part in enumerate(scores):
        together[parts == number] = of_part
    [file] = chunk_files(folder, len(clips), len(clips))
    with atomic_file(file) as temporary, temporary.open("wb") as stream:
        np.save(stream, together)
    identity = {
        "teacher": digest(*teachers),
        "clips": ids_fingerprint(clips.ids),
        "number of clips": len(clips),
        "vocabulary": clips.vocabulary.fingerprint,
        "name of the teacher": name,
        UNKNOWN: [],
        CLASSES: len(clips.vocabulary),
    }
    write_json(identity, folder / IDENTITY)
    return NpyRows([file])
