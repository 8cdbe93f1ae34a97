"""A teacher's saved scores, whatever file they are in, read some rows at a time. Knows no models and no audio."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from psla_hf.files import digest, read_json, read_npy, read_text, reading
from psla_hf.labels.scores import ScoreRows, chunks_of
from psla_hf.labels.vocabulary import Vocabulary, rows_of_ids

__all__ = [
    "IDENTITY",
    "MeanRows",
    "NpyRows",
    "check_unscored",
    "chunk_files",
    "highest",
    "identity_of",
    "notes_about",
    "open_scores",
    "open_teachers",
    "saved_teacher",
]


CHUNKS = "chunk-*.npy"

IDENTITY = "scores.json"  # what the chunks beside it are the scores of

UNKNOWN, CLASSES = "unknown classes", "number of classes"  # in it: indices, and K

HIGHEST = np.dtype([("class", "<u2"), ("score", "<f2")])  # a clip's highest scores, not all

MOST_CLASSES = 2**16  # that a 16-bit index tells apart

CSV_ROWS = 4096  # that are parsed at a time


class NpyRows:
    """The rows of `.npy` files one after the other, `[N, K]`; in memory is only what is asked for.

    Args:
        files: In order: floating-point numbers `[n, K]`, or the highest scores of each clip, as `highest` has them.
        known: Boolean `[K]`: which classes the teacher knows, needed for the highest scores only; what a clip has no
            score for is 0, or NaN if the class is not known.

    Raises:
        ValueError: A file is neither, or K differs.
    """

    def __init__(self, files: Sequence[Path], known: np.ndarray | None = None):
        self.files, self._known = list(files), known
        shapes = []
        for file in self.files:
            rows = read_npy(file)
            is_sparse = rows.dtype == HIGHEST and known is not None
            if rows.ndim != 2 or not (is_sparse or np.issubdtype(rows.dtype, np.floating)):
                raise ValueError(f"Expected floating-point scores [N, K] in {file}, got {rows.dtype} {rows.shape}.")
            shapes.append((len(rows), len(known)) if is_sparse and known is not None else rows.shape)
        if len({columns for _, columns in shapes}) != 1:
            raise ValueError(f"Expected files of scores with as many columns each, got {sorted(set(shapes))[:5]}.")
        self._starts = np.concatenate([[0], np.cumsum([rows for rows, _ in shapes])])
        self.shape = (int(self._starts[-1]), shapes[0][1])

    def __getitem__(self, rows: slice) -> np.ndarray:
        """A copy of some consecutive rows.

        Raises:
            ValueError: A score is infinite (NaN stands for none).
        """
        start, stop, _ = rows.indices(self.shape[0])
        parts = []
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        for file, begin in zip(self.files[first:], self._starts[first:-1].tolist(), strict=True):
            if begin >= stop:
                break
            # Mapped anew for every read: what stays mapped counts as this process's memory.
            part = np.array(read_npy(file)[max(start - begin, 0) : stop - begin])
            if part.dtype == HIGHEST:
                part = self._dense(part, file)
            parts.append(_finite_or_none(part, file))
        return np.concatenate(parts) if parts else np.empty((0, self.shape[1]), np.float32)

    def _dense(self, part: np.ndarray, file: Path) -> np.ndarray:
        assert self._known is not None
        if (part["class"] >= self.shape[1]).any():
            raise ValueError(f"Expected class indices below {self.shape[1]} in {file}, got {part['class'].max()}.")
        dense = np.zeros((len(part), self.shape[1]), np.float16)
        np.put_along_axis(dense, part["class"].astype(np.int64), part["score"], axis=1)
        dense[:, ~self._known] = np.nan
        dense[np.isnan(part["score"]).all(axis=1)] = np.nan
        return dense


class MeanRows:
    """The mean of several teachers' scores `[N, K]`: of a clip and a class, of those that have a score for it.

    Args:
        teachers: Their scores, of the same clips and classes.

    Raises:
        ValueError: Their shapes differ.
    """

    def __init__(self, teachers: Sequence[NpyRows]):
        shapes = {teacher.shape for teacher in teachers}
        if len(shapes) != 1:
            raise ValueError(f"Expected teachers' scores of one shape, got {sorted(shapes)}.")
        self.teachers, [self.shape] = list(teachers), shapes

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Some consecutive rows, float32."""
        scores = np.stack([teacher[rows].astype(np.float32) for teacher in self.teachers])
        there = ~np.isnan(scores)
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: nobody has a score
            return (np.where(there, scores, 0).sum(axis=0) / there.sum(axis=0)).astype(np.float32)


def highest(scores: np.ndarray, top_k: int) -> np.ndarray:
    """The highest scores of each clip with their classes, `[n, top_k]`, from all `[n, K]`; NaN of a clip without."""
    if scores.shape[1] > MOST_CLASSES:
        raise ValueError(f"Expected at most {MOST_CLASSES} classes, got {scores.shape[1]}: keep all scores (no top_k).")
    classes = np.argsort(-np.where(np.isnan(scores), -1, scores), axis=1, kind="stable")[:, :top_k]
    kept = np.empty(classes.shape, HIGHEST)
    kept["class"], kept["score"] = classes, np.take_along_axis(scores, classes, axis=1)
    return kept


def _finite_or_none(scores: np.ndarray, path: Path) -> np.ndarray:
    if np.isinf(scores).any():
        raise ValueError(f"Expected finite scores, or NaN for a clip without, {path} has infinite ones. Score anew.")
    return scores


def ids_fingerprint(ids: Sequence[str]) -> str:
    """SHA-256 of ids in their order."""
    return digest("\n".join(ids))


def identity_of(teacher: str, ids: Sequence[str], vocabulary: Vocabulary) -> dict[str, Any]:
    """The entries of `scores.json` that must be the same to go on: the teacher's fingerprint, clips and classes."""
    return {
        "teacher": teacher,
        "clips": ids_fingerprint(ids),
        "number of clips": len(ids),
        "vocabulary": vocabulary.fingerprint,
    }


def notes_about(teacher: str, known: np.ndarray) -> dict[str, Any]:
    """The entries of `scores.json` that only inform: the teacher's name, and which of the K classes it knows."""
    return {"name of the teacher": teacher, UNKNOWN: np.flatnonzero(~known).tolist(), CLASSES: len(known)}


def chunk_files(folder: Path, num_clips: int, clips_per_chunk: int) -> dict[Path, range]:
    """The files of a folder of scores in order, with the numbers of the clips in each."""
    return {
        folder / f"chunk-{start:09d}.npy": range(start, min(start + clips_per_chunk, num_clips))
        for start in range(0, num_clips, clips_per_chunk)
    }


def saved_teacher(path: str | Path) -> tuple[str | None, str | None]:
    """Name and fingerprint of the teacher whose scores were saved, as far as they say so; only folders of scores do."""
    about = Path(path) / IDENTITY
    record = read_json(about) if about.is_file() else {}
    return record.get("name of the teacher"), record.get("teacher")


def check_unscored(unscored: np.ndarray, ids: Sequence[str], allowed: bool) -> None:
    """Refuse clips without scores, and scores of no clip at all.

    Args:
        unscored: Numbers of the clips whose scores are NaN.
        ids: Of all N clips.
        allowed: Some clips may be without.

    Raises:
        ValueError: Some clips have no scores and may not, or none has; the message counts them and has examples.
    """
    if len(unscored) and (not allowed or len(unscored) == len(ids)):
        raise ValueError(
            f"Expected scores, {len(unscored)} of {len(ids)} clips have none (NaN), such as "
            f"{', '.join(ids[clip] for clip in unscored[:3])}. "
            + ("Is anything of the teacher left?" if allowed else "Score with on_error='skip' to go on without them.")
        )


def open_scores(
    path: str | Path, ids: Sequence[str], num_classes: int, place: Path, vocabulary: str | None = None
) -> NpyRows:
    """Open scores that were saved earlier.

    Understood are

    - `.npy`: floating-point `[N, K]`, rows in the order of the clips. Where a text file of the same name with the
      ending `.ids.txt` lies beside it, an id per line, the ids are compared; else only the number of rows is;
    - `.parquet`: the columns `id` and `scores` (K numbers each), in the order of the clips;
    - `.csv`: as the original writes them: no header, a line per clip in the order of the clips, K numbers separated by
      commas;
    - a folder of `scoring.score_training_clips`, which knows its clips and classes.

    Args:
        path: The file or folder.
        ids: Of the N clips.
        num_classes: K.
        place: An existing folder, where CSV and parquet files become `.npy` files.
        vocabulary: The fingerprint of the classes, `Vocabulary.fingerprint`, to be compared where the scores have one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is none of these, or has other clips, other classes, or the clips in another order; or some
            clips have scores for some only of the classes that others have scores for.
    """
    rows = _open_rows(Path(path), ids, num_classes, place, vocabulary)
    _have_scores(rows, ids, path)  # refuses gaps
    return rows


def _open_rows(path: Path, ids: Sequence[str], num_classes: int, place: Path, vocabulary: str | None) -> NpyRows:
    """What `open_scores` opens, before all of it is read."""
    if not path.exists():
        raise FileNotFoundError(f"Expected a file or a folder of scores, there is no {path}.")
    shape = (len(ids), num_classes)
    if path.is_dir():
        files = sorted(path.glob(CHUNKS))
        if not files:
            raise ValueError(f"Expected files {CHUNKS} in the folder of scores {path}, found none.")
        _check_identity(path, ids, vocabulary)
    elif path.suffix == ".npy":
        files = [path]
        listed = path.with_suffix(".ids.txt")
        if listed.is_file():
            _check_order(ids, read_text(listed).splitlines(), path)
    elif path.suffix == ".parquet":
        _check_order(ids, _ids_of_parquet(path), path)
        files = [_as_npy(_parquet_rows(path), shape, place, path)]
    elif path.suffix == ".csv":
        files = [_as_npy(_csv_rows(path), shape, place, path)]
    else:
        raise ValueError(f"Expected scores as .npy, .parquet, .csv or a folder, got {path}.")
    rows = NpyRows(files, _known(path) if path.is_dir() else None)
    _check_shape(rows.shape, shape, path)
    return rows


def open_teachers(
    paths: Sequence[str | Path], ids: Sequence[str], vocabulary: Vocabulary, place: Path
) -> tuple[ScoreRows, np.ndarray, dict[str, str | None]]:
    """Scores that were saved earlier, of several teachers their mean, and who the teachers are.

    Args:
        paths: A file or a folder of each teacher, see `open_scores`.
        ids: Of the N clips.
        vocabulary: Their classes.
        place: An existing folder, where CSV and parquet files become `.npy` files.

    Returns:
        The scores; the numbers of the clips that no teacher has scores for; and `teacher` and `teacher_fingerprint`,
        as far as these are known.

    Raises:
        FileNotFoundError: As `open_scores`.
        ValueError: Likewise.
    """
    scores, names, fingerprints = [], [], []
    scored = np.zeros(len(ids), bool)
    for number, path in enumerate(paths):
        own = place / str(number)
        own.mkdir()
        scores.append(_open_rows(Path(path), ids, len(vocabulary), own, vocabulary.fingerprint))
        scored |= _have_scores(scores[-1], ids, path)
        name, fingerprint = saved_teacher(path)
        shown = Path(path).name if Path(path).is_absolute() else str(path)
        names.append(name or f"whoever made the scores in {shown}")
        fingerprints.append(fingerprint)
    known = [fingerprint for fingerprint in fingerprints if fingerprint is not None]
    together = fingerprints[0] if len(fingerprints) == 1 else digest(*known) if len(known) == len(names) else None
    about = {"teacher": " and ".join(names), "teacher_fingerprint": together}
    return scores[0] if len(scores) == 1 else MeanRows(scores), np.flatnonzero(~scored), about


def _known(folder: Path) -> np.ndarray | None:
    """Which classes the teacher knows, as far as a folder of scores says so."""
    about = folder / IDENTITY
    record = read_json(about) if about.is_file() else {}
    if CLASSES not in record:
        return None
    with reading(about, f"{CLASSES}, and indices below it as {UNKNOWN}"):
        known = np.ones(record[CLASSES], bool)
        known[record.get(UNKNOWN, [])] = False
    return known


def _check_identity(folder: Path, ids: Sequence[str], vocabulary: str | None) -> None:
    """The clips and classes that a folder of scores says it is of."""
    about = folder / IDENTITY
    if not about.is_file():
        return
    record = read_json(about)
    if record.get("clips") != ids_fingerprint(ids):
        raise ValueError(f"Expected scores of the data's {len(ids)} clips in their order in {folder}, got others'.")
    if vocabulary is not None and record.get("vocabulary", vocabulary) != vocabulary:
        raise ValueError(f"Expected scores for the data's classes in their order in {folder}, got those for others.")


def _check_shape(got: tuple[int, ...], expected: tuple[int, int], path: Path) -> None:
    if got != expected:
        difference = got[0] - expected[0]
        counts = f" ({abs(difference)} rows {'extra' if difference > 0 else 'missing'})" if difference else ""
        raise ValueError(
            f"Expected scores of {expected[0]} clips for {expected[1]} classes in {path}, got {got[0]} rows{counts} of "
            f"{got[1]} columns."
        )


def _have_scores(rows: NpyRows, ids: Sequence[str], path: str | Path) -> np.ndarray:
    """Which clips have scores, boolean `[N]`: a teacher scores a clip for all classes that it knows, or for none.

    Raises:
        ValueError: Some clips lack single scores, which are NaN; or a score is infinite.
    """
    known, counts = np.zeros(rows.shape[1], bool), np.zeros(len(ids), np.int64)
    for clips, scores in chunks_of(rows):
        there = ~np.isnan(scores)
        known |= there.any(axis=0)
        counts[clips] = there.sum(axis=1)
    lacking = np.flatnonzero((counts > 0) & (counts < known.sum()))
    if len(lacking):
        clip = lacking[0]
        raise ValueError(
            f"Expected a score for each of the {known.sum()} classes that {path} has scores for, or none at all, "
            f"{len(lacking)} of {len(ids)} clips lack some (NaN), such as {ids[clip]}, which lacks "
            f"{known.sum() - counts[clip]}. Score them anew, or make all of their scores NaN."
        )
    return counts > 0


def _check_order(ids: Sequence[str], theirs: Sequence[str], path: Path) -> None:
    """The same clips in the same order, or an error."""
    rows = rows_of_ids(ids, theirs, f"the scores in {path}")
    moved = np.flatnonzero(rows != np.arange(len(rows)))
    if len(moved):
        row = moved[0]
        raise ValueError(
            f"Expected the scores in {path} in the order of the data: row {row} is {theirs[row]}, expected {ids[row]}. "
            "Sort them."
        )


def _ids_of_parquet(path: Path) -> list[str]:
    with reading(path, "scores as parquet"):
        names = pq.read_schema(path).names
    if not {"id", "scores"} <= set(names):
        raise ValueError(f"Expected the columns id and scores in {path}, found {names}.")
    with reading(path, "scores as parquet"):
        return [str(name) for name in pq.read_table(path, columns=["id"])["id"].to_pylist()]


def _parquet_rows(path: Path) -> Iterator[np.ndarray]:
    with reading(path, "scores as parquet"):
        batches = pq.ParquetFile(path).iter_batches(columns=["scores"], batch_size=CSV_ROWS)
    while True:
        with reading(path, "scores as parquet"):
            batch = next(batches, None)
        if batch is None:
            return
        column = batch["scores"]
        is_list = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
        lengths = pc.unique(pc.list_value_length(column)) if is_list else pa.array([])
        flat = column.flatten()
        if len(lengths) != 1 or column.null_count or flat.null_count or not pa.types.is_floating(flat.type):
            raise ValueError(f"Expected as many floating-point scores in every row of {path}, got {lengths.tolist()}.")
        yield flat.to_numpy(zero_copy_only=False).reshape(len(column), -1)


def _csv_rows(path: Path) -> Iterator[np.ndarray]:
    with reading(path, "lines of as many numbers, separated by commas, without a header"):
        for rows in pd.read_csv(path, header=None, dtype=np.float64, chunksize=CSV_ROWS):
            yield rows.to_numpy()


def _as_npy(parts: Iterator[np.ndarray], shape: tuple[int, int], place: Path, source: Path) -> Path:
    """Write parts of `[N, K]` as one float32 file."""
    path, rows = place / "scores.npy", 0
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            rows += len(part)
            if part.shape[1] != shape[1]:
                _check_shape(part.shape, shape, source)
            _finite_or_none(part, source).astype("<f4").tofile(file)
    _check_shape((rows, shape[1]), shape, source)
    return path
