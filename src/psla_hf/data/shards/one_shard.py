"""One shard of prepared data: clips in, a parquet file of FLAC bytes and its record out. Knows no other shards."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from psla_hf.audio import is_cut_short, read_audio
from psla_hf.audio_parts import read_part
from psla_hf.data.schema import Clips, stored_features, tagging_features
from psla_hf.files import atomic_file, digest, read_json, write_json

__all__ = ["ShardJob", "is_unchanged", "make_shard"]


# FLAC does not get smaller a second time; the other columns are text and small numbers.
COMPRESSION = {
    **dict.fromkeys(("id", "audio.path", "split", "seconds", "group"), "zstd"),
    **dict.fromkeys(("labels.list.element", "mids.list.element"), "zstd"),
    "audio.bytes": "none",
}

DICTIONARIES = ["labels.list.element", "mids.list.element", "split", "group"]  # columns whose values repeat

FULL_SCALE = 2**15  # of 16-bit samples


@dataclass(frozen=True)
class ShardJob:
    """One shard to make.

    Attributes:
        clips: Its clips alone, with `tagging_features`.
        groups: The group of each; none where the data do not say, or for all of them.
        folder: What the shard's name is relative to.
        shard: The parquet file, such as `data/train-00000-of-00012.parquet`.
        record: A JSON file that says what the shard holds, and by being there that it is finished.
        inputs: Fingerprint of all that the shards of this split are made of, for the record.
        split: The split of clips that do not name theirs.
        sampling_rate: Rate of the FLAC files in Hz.
        clips_per_row_group: Rows of a row group; the last one of a shard may have fewer.
        drop: Leave out clips that cannot be decoded, instead of raising.
    """

    clips: Clips
    groups: Sequence[str | None] | None
    folder: Path
    shard: str
    record: Path
    inputs: str
    split: str
    sampling_rate: int
    clips_per_row_group: int
    drop: bool


@dataclass
class _Account:
    """What happened to the clips of a shard."""

    samples: int = 0
    clipped: int = 0
    cut_short: list[str] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    class_counts: Counter[str] = field(default_factory=Counter)


def make_shard(job: ShardJob) -> dict:
    """Write a shard and its record, unless an earlier run has.

    Returns:
        The record: `file`, `rows`, `row_groups`, `bytes` and `sha256` of the shard; `samples` in all clips together;
        `clipped`, the number of clips with samples beyond full scale; the ids in `cut_short`; those in `dropped`, each
        with the reason; `class_counts` by display name; `inputs`.

    Raises:
        FileNotFoundError: A clip's file is gone. It is not dropped: a folder that is not mounted is no broken clip.
        ValueError: A clip cannot be decoded, and the job is not to drop it.
    """
    finished = _finished(job)
    if finished is not None:
        return finished
    account = _Account()
    rows = _prepared_rows(job, account)
    # With the features as datasets stores and reads them; a part of a file becomes a clip by itself.
    features = tagging_features(job.clips.vocabulary, groups=job.groups is not None)
    schema = stored_features(features, job.sampling_rate).arrow_schema
    with atomic_file(job.folder / job.shard, job.record.parent) as temporary:
        with pq.ParquetWriter(temporary, schema, compression=COMPRESSION, use_dictionary=DICTIONARIES) as writer:
            while row_group := list(islice(rows, job.clips_per_row_group)):
                writer.write_table(pa.Table.from_pylist(row_group, schema=schema))
        metadata = pq.read_metadata(temporary)
        record = {
            "inputs": job.inputs,
            "file": job.shard,
            "rows": metadata.num_rows,
            "row_groups": metadata.num_row_groups,
            "bytes": temporary.stat().st_size,
            "sha256": digest(temporary),
            **vars(account),
        }
    write_json(record, job.record)
    return record


def _finished(job: ShardJob) -> dict | None:
    """The record of a shard that an earlier run finished, if it is unchanged and would be made alike."""
    if not (job.record.is_file() and (job.folder / job.shard).is_file()):
        return None
    record = read_json(job.record)
    if record["dropped"] and not job.drop:
        return None  # made again, so that the clip is named
    return record if is_unchanged(job.folder / job.shard, record) else None


def _prepared_rows(job: ShardJob, account: _Account) -> Iterator[dict]:
    """The rows of a shard, one clip decoded at a time."""
    names = job.clips.features["labels"].feature.names
    for clip, group in zip(job.clips, job.groups or [None] * len(job.clips), strict=True):
        data = _encoded(clip)
        part = (clip.pop("start") or 0.0, clip.pop("end")) if "start" in clip else None
        try:
            samples = _decoded(data, job.sampling_rate, part)
        except ValueError as error:
            if not job.drop:
                raise ValueError(
                    f"Clip {clip['id']!r} ({clip['audio']['path'] or 'bytes'}): {error} Mend or remove the clip, or "
                    'have such clips dropped and listed (on_error="drop").'
                ) from error
            account.dropped[clip["id"]] = str(error)
            continue
        seconds = len(samples) / job.sampling_rate
        account.samples += len(samples)
        account.clipped += bool(np.abs(samples).max() > 1)
        account.cut_short += [clip["id"]] if isinstance(data, bytes) and is_cut_short(data, seconds) else []
        account.class_counts.update(names[k] for k in clip["labels"])
        audio = {"path": f"{clip['id']}.flac", "bytes": _as_flac(samples, job.sampling_rate)}
        yield {**clip, "audio": audio, "split": clip["split"] or job.split, "seconds": seconds, "group": group}


def _encoded(clip: dict) -> bytes | Path:
    """A clip's file as it is; one of which the clip is a part stays where it lies."""
    audio = clip["audio"]
    if audio["bytes"] is not None:
        return audio["bytes"]
    if not Path(audio["path"] or "").is_file():
        raise FileNotFoundError(
            f"Clip {clip['id']!r}: there is no audio file {audio['path']}. Load the data set again."
        )
    path = Path(audio["path"])
    return path if "start" in clip else path.read_bytes()


def _decoded(data: bytes | Path, sampling_rate: int, part: tuple[float, float | None] | None) -> np.ndarray:
    """Finite samples `[T]`, T > 0. Errors do not name the file: they end up in a manifest that may be published."""
    try:
        samples = read_audio(data, sampling_rate) if part is None else read_part(data, sampling_rate, *part)
    except ValueError as error:
        raise ValueError(str(error).replace(str(data), "the file") if isinstance(data, Path) else str(error)) from error
    if len(samples) == 0:
        raise ValueError(f"Expected audio, but at {sampling_rate} Hz no sample is left of it.")
    return samples


def _as_flac(samples: np.ndarray, sampling_rate: int) -> bytes:
    """16-bit FLAC of float samples; what was 16-bit at this rate before stays as it was, bit for bit."""
    # libsndfile would scale floats by 2**15 - 1 on the way out and by 2**-15 on the way in.
    whole = np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, whole, sampling_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def is_unchanged(shard: Path, record: dict) -> bool:
    """Whether a shard has the bytes that its record says."""
    return shard.stat().st_size == record["bytes"] and digest(shard) == record["sha256"]
