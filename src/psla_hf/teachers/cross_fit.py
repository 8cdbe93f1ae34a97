"""Scores of clips by teachers that were each trained on the other clips. Knows not how they are trained."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from psla_hf.data.schema import Clips, IndexedClips
from psla_hf.data.splitting import Groups, make_folds
from psla_hf.files import atomic_file, digest, write_json

from .scores import IDENTITY, NpyRows, chunk_files, identity_of, notes_about
from .scoring import score_training_clips
from .teacher import open_teacher

__all__ = ["cross_fit", "cross_fit_parts", "of_numbers"]


def cross_fit(
    clips: Clips,
    parts: np.ndarray,
    train: Callable[[int, Path], object],
    folder: Path,
    accelerator: Accelerator,
    name: str,
) -> NpyRows:
    """Train a teacher on all parts but one, for each, and let it score that one.

    Args:
        clips: All N, by index.
        parts: The part of each clip, see `cross_fit_parts`.
        train: Gets the number of the part to leave out, from 0 on, and trains a teacher into a folder.
        folder: Receives the teachers in `part1`, `part2`, … and the scores in `scores`, as `score_training_clips` has
            them.
        accelerator: Where to score.
        name: What to call the teachers together.

    Returns:
        The scores `[N, K]`, each clip's by the teacher that did not hear it.

    Raises:
        OSError: They cannot be written.
    """
    scores, teachers = [], []
    for number in range(int(parts.max()) + 1):
        place = folder / f"part{number + 1}"
        train(number, place)
        teacher, held_out = open_teacher(str(place)), of_numbers(clips, parts == number)
        rows = score_training_clips(teacher, held_out, place / "scores", accelerator)
        assert rows is not None  # of one part, which is the whole
        scores.append(rows[0 : len(held_out)])
        teachers.append(teacher.fingerprint)
    if accelerator.is_main_process:
        _save(folder / "scores", clips, parts, scores, teachers, name)
    accelerator.wait_for_everyone()
    return NpyRows(list(chunk_files(folder / "scores", len(clips), len(clips))))


def cross_fit_parts(clips: Clips, parts: int, seed: int = 0, groups: Groups | None = None) -> np.ndarray:
    """The part of each clip, from 0 on, int64 `[N]`: stratified by class, and a group of clips in one part.

    Args:
        clips: By index.
        parts: K.
        seed: The same seed, the same parts.
        groups: Which clips stay together; by default `Clips.groups`.

    Raises:
        ValueError: The clips are in shards or have a teacher's scores, or there are fewer than two parts or fewer
            groups than parts.
    """
    if clips.index is not None or clips.scores is not None:
        raise ValueError(
            "Expected clips by index and without a teacher's scores: cross-fitting takes them apart. Leave streaming "
            "and teacher_scores out."
        )
    if parts < 2:
        raise ValueError(
            f"Expected at least 2 parts to cross-fit, got {parts}: each is scored by a model of the others."
        )
    groups = groups or clips.groups
    folds = make_folds(clips.labels, groups.names, parts, seed)
    return np.array([int(fold.split()[1]) - 1 for fold in folds])


def of_numbers(clips: Clips, chosen: np.ndarray) -> IndexedClips:
    """The clips for which `chosen` `[N]` is true, in their order."""
    return IndexedClips(clips.dataset().select(np.flatnonzero(chosen)))


def _save(
    folder: Path, clips: Clips, parts: np.ndarray, scores: Sequence[np.ndarray], teachers: Sequence[str], name: str
) -> None:
    """Put the scores of all parts together into a folder as `scoring.score_training_clips` writes it."""
    together = np.full((len(clips), len(clips.vocabulary)), np.nan, np.float16)
    for number, of_part in enumerate(scores):
        together[parts == number] = of_part
    [file] = chunk_files(folder, len(clips), len(clips))
    with atomic_file(file) as temporary, temporary.open("wb") as stream:
        np.save(stream, together)
    every_class = np.ones(len(clips.vocabulary), bool)
    identity = identity_of(digest(*teachers), clips.ids, clips.vocabulary)
    write_json(identity | notes_about(name, every_class), folder / IDENTITY)
