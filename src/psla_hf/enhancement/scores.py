"""A teacher's saved scores, whatever file they are in, read some rows at a time. Knows no models and no audio."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from psla_hf.files import digest, read_json, read_npy, read_text, reading
from psla_hf.labels.vocabulary import rows_of_ids

__all__ = ["IDENTITY", "NpyRows", "check_unscored", "chunk_files", "ids_fingerprint", "open_scores", "saved_teacher"]


CHUNKS = "chunk-*.npy"

IDENTITY = "scores.json"  # what the chunks beside it are the scores of

CSV_ROWS = 4096  # that are parsed at a time


class NpyRows:
    """The rows of `.npy` files one after the other, `[N, K]`; in memory is only what is asked for.

    Args:
        files: In order.

    Raises:
        ValueError: A file is no array of floating-point numbers `[n, K]`, or K differs.
    """

    def __init__(self, files: Sequence[Path]):
        self.files = list(files)
        shapes = []
        for file in self.files:
            rows = read_npy(file)
            if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.floating):
                raise ValueError(f"Expected floating-point scores [N, K] in {file}, got {rows.dtype} {rows.shape}.")
            shapes.append(rows.shape)
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
            parts.append(_finite_or_none(np.array(read_npy(file)[max(start - begin, 0) : stop - begin]), file))
        return np.concatenate(parts) if parts else np.empty((0, self.shape[1]), np.float32)


def _finite_or_none(scores: np.ndarray, path: Path) -> np.ndarray:
    if np.isinf(scores).any():
        raise ValueError(f"Expected finite scores, or NaN for a clip without, {path} has infinite ones. Score anew.")
    return scores


def ids_fingerprint(ids: Sequence[str]) -> str:
    """SHA-256 of ids in their order."""
    return digest("\n".join(ids))


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
    - a folder of `teacher.score_training_clips`, which knows its clips and classes.

    Args:
        path: The file or folder.
        ids: Of the N clips.
        num_classes: K.
        place: An existing folder, where CSV and parquet files become `.npy` files.
        vocabulary: The fingerprint of the classes, `Vocabulary.fingerprint`, to be compared where the scores have one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is none of these, or has other clips, other classes, or the clips in another order.
    """
    path = Path(path)
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
    rows = NpyRows(files)
    _check_shape(rows.shape, shape, path)
    return rows


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
