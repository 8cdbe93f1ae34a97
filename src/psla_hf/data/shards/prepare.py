"""Any tagging data as shards of 16 kHz mono FLAC: made, resumed, verified. Knows no sources, no Hub and no models."""

import json
import multiprocessing
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Features

from psla_hf.data.foreign import as_clips
from psla_hf.data.schema import Clips, plain_features, tagging_features
from psla_hf.data.splitting import dealt_out
from psla_hf.files import clear_unfinished, digest, read_json, reading, write_json
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.progress import progress

from .one_shard import ShardJob, is_unchanged, make_shard
from .shard_files import MANIFEST

__all__ = ["DATA", "MANIFEST", "prepare", "verify"]


DATA, PROGRESS = "data", ".progress"

IN_MANIFEST = ("file", "rows", "row_groups", "bytes", "sha256")  # of each shard's record


def prepare(
    clips: Clips | Dataset,
    output_dir: str | Path,
    *,
    split: str,
    sampling_rate: int = 16000,
    clips_per_shard: int = 2048,
    clips_per_row_group: int = 128,
    num_processes: int = 1,
    on_error: Literal["raise", "drop"] = "raise",
    source: str = "",
    subset: str | None = None,
    part: tuple[int, int] = (1, 1),
) -> dict | None:
    """Write clips as `data/<split>-00000-of-00012.parquet`, … and describe them in `manifest.json`.

    The shards have the schema of the clips; audio is 16-bit mono FLAC, `seconds` what was decoded. A segment becomes a
    clip by itself, with its recording as `group` if it has no other. Resampling can carry samples beyond full scale:
    they are clipped and the clips counted. Clips whose file ends before its header says are kept and listed.

    A shard appears under its name only when it is complete. A run that was killed and is started again with the same
    arguments keeps the finished shards and ends with the same bytes as one that was not. What makes the inputs the same
    are ids, labels, vocabulary and settings; the audio itself is not compared: after mending clips, prepare them into a
    new folder. Several splits can be prepared into one folder, one after the other.

    Args:
        clips: N clips with `tagging_features`; those in shards are read shard by shard, wherever they are.
        output_dir: The folder.
        split: Name of the split: letters, digits and `_`. Clips without a split of their own get it too.
        sampling_rate: Rate of the FLAC files in Hz.
        clips_per_shard: Clips in a shard, those dropped included.
        clips_per_row_group: A row group is what a reader of a stream fetches at once. 128 clips of 10 seconds are about
            20 MB: large enough for a fast transfer, small enough to keep a few in memory and mix their clips.
        num_processes: Processes that decode and encode, one thread and one shard each at a time; 1 stays in this
            process. A script that asks for more needs the usual `if __name__ == "__main__":`.
        on_error: What to do with a clip that cannot be decoded: `"raise"`, or `"drop"` and list it with the reason.
        source: Which data, in words, for the manifest.
        subset: The part of the data set that they are, where it has a name of its own (`Loaded.subset`).
        part: Which part of how many: shards are dealt out to parts in turn, for as many jobs that know nothing of each
            other. When all are through, a call without it makes what is missing, verifies all, and writes the manifest.

    Returns:
        The manifest, with a section for each split that was prepared into the folder; of a part none.

    Raises:
        ValueError: The clips or an argument do not fit, a clip cannot be decoded, none can, or the folder holds shards
            of other inputs or another vocabulary.
        FileNotFoundError: A clip's file is gone; that is never dropped.
        ChildProcessError: A process died; the message names the shard it was working on.
    """
    output_dir = Path(output_dir)
    settings = _Settings(source, split, sampling_rate, clips_per_shard, clips_per_row_group)
    if num_processes < 1 or on_error not in ("raise", "drop"):
        raise ValueError(
            f'Expected num_processes of at least 1 and on_error "raise" or "drop", got {num_processes}, {on_error!r}.'
        )
    clips = as_clips(clips)
    files = settings.files(len(clips))
    own = dealt_out(list(enumerate(files)), part)
    vocabulary, ids = _checked(clips)
    groups = _groups(clips, split)
    inputs = _fingerprint(clips, ids, groups, vocabulary, settings)
    _refuse_other_content(output_dir, settings, inputs, vocabulary, files)
    _make_folders(output_dir, others_write=part[1] > 1)
    records = _make_shards(clips, groups, output_dir, settings, inputs, num_processes, on_error == "drop", own)
    if part[1] > 1:
        return None
    return _finish(output_dir, settings, records, inputs, vocabulary, ids, subset)


def verify(output_dir: str | Path) -> dict:
    """Check every shard of a prepared folder against its manifest: bytes, hashes, rows, ids and classes.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: There is no manifest, or a shard is missing.
        ValueError: A shard is not what the manifest says, or there are shards that it does not list.
    """
    output_dir = Path(output_dir)
    if not (output_dir / MANIFEST).is_file():
        raise FileNotFoundError(
            f"There is no {MANIFEST} in {output_dir}: expected a folder that psla_hf.data.shards.prepare.prepare has "
            "finished."
        )
    manifest = _read_manifest(output_dir / MANIFEST)
    vocabulary = Vocabulary(manifest["vocabulary"]["names"], manifest["vocabulary"]["mids"])
    listed = {shard["file"] for section in manifest["splits"].values() for shard in section["shards"]}
    unlisted = [file for file in _shards(output_dir, "*") if file not in listed]
    if unlisted:
        raise ValueError(
            f"Expected only shards that {MANIFEST} lists, {output_dir} also holds {unlisted[:3]}. Prepare their split "
            "to its end, or delete them."
        )
    for section in manifest["splits"].values():
        _verify_split(output_dir, section, vocabulary)
    return manifest


def _read_manifest(path: Path) -> dict:
    """A manifest with all in it that is asked for."""
    manifest = read_json(path)
    with reading(path, "the manifest of prepared shards"):
        Vocabulary(manifest["vocabulary"]["names"], manifest["vocabulary"]["mids"])
        _ = manifest["sampling_rate"], manifest["vocabulary"]["fingerprint"]
        for section in manifest["splits"].values():
            _ = section["inputs"], section["clips"] + section["listed"] + len(section["dropped"])
            _ = [Path(shard["file"]) and shard[name] for shard in section["shards"] for name in IN_MANIFEST]
    return manifest


@dataclass(frozen=True)
class _Settings:
    """What the shards of a split depend on besides the clips."""

    source: str
    split: str
    sampling_rate: int
    clips_per_shard: int
    clips_per_row_group: int

    def __post_init__(self) -> None:
        """Refuse a split that could not be loaded again, and sizes that are none."""
        if not re.fullmatch(r"\w+", self.split):
            raise ValueError(f"Expected a split named with letters, digits and '_', such as train, got {self.split!r}.")
        for name in ("sampling_rate", "clips_per_shard", "clips_per_row_group"):
            if getattr(self, name) < 1:
                raise ValueError(f"Expected {name} of at least 1, got {getattr(self, name)}.")

    def files(self, num_clips: int) -> list[str]:
        """The shards of so many clips."""
        num_shards = -(-num_clips // self.clips_per_shard)
        return [f"{DATA}/{self.split}-{k:05d}-of-{num_shards:05d}.parquet" for k in range(num_shards)]


def _checked(clips: Clips) -> tuple[Vocabulary, list[str]]:
    """The classes and ids of clips that can be prepared."""
    vocabulary = clips.vocabulary
    found = plain_features(clips.features)
    expected = tagging_features(vocabulary, segments="start" in found, groups="group" in found)
    if found != expected:
        differ = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        raise ValueError(
            f"Expected the features of psla_hf.data.schema.tagging_features, these columns differ: {differ}. Load the "
            "data with a function of psla_hf.data."
        )
    ids = clips.column("id")
    wrong = [name for name, times in Counter(ids).items() if times > 1 or not name]
    if wrong or not ids:
        raise ValueError(f"Expected clips with an id each, all different, got {len(ids)} clips, not so: {wrong[:5]}.")
    return vocabulary, [str(name) for name in ids]


def _groups(clips: Clips, split: str) -> list[str | None] | None:
    """The group of each clip, for segments without one their recording; none where the data do not say."""
    if "group" in clips.features:
        return clips.column("group")
    files = clips.files if "start" in clips.features else []
    numbers = {file: k for k, file in enumerate(dict.fromkeys(filter(None, files)), start=1)}
    # Not by their paths, which are none of the readers' business, and others on another machine.
    return [f"{split} recording {numbers[file]}" if file else None for file in files] if numbers else None


def _fingerprint(
    clips: Clips, ids: list[str], groups: list[str | None] | None, vocabulary: Vocabulary, settings: _Settings
) -> str:
    """SHA-256 of all that decides what the shards hold, but for the audio."""
    labels = clips.labels
    times = [clips.column(name) for name in ("start", "end") if name in clips.features]
    more = [*times, groups] if groups else times
    rest = json.dumps([asdict(settings), vocabulary.fingerprint, ids, clips.column("split"), *more])
    return digest(rest, labels.values, labels.offsets)


def _refuse_other_content(
    output_dir: Path, settings: _Settings, inputs: str, vocabulary: Vocabulary, files: list[str]
) -> None:
    """Refuse a folder whose shards of this split were made of other inputs, or whose other splits do not go with it."""
    split = settings.split
    manifest = _read_manifest(output_dir / MANIFEST) if (output_dir / MANIFEST).is_file() else None
    earlier = {read_json(path)["inputs"] for path in (output_dir / PROGRESS).glob(f"{split}-*.json")}
    if manifest and split in manifest["splits"]:
        earlier.add(manifest["splits"][split]["inputs"])
    if earlier - {inputs} or set(_shards(output_dir, f"{split}-*")) - {*files}:
        raise ValueError(
            f"{output_dir} holds shards of a split {split!r} that was prepared from other clips, labels, classes or "
            f"settings. Prepare into another folder, or delete {DATA}/{split}-*, {PROGRESS}/{split}-* and {MANIFEST}."
        )
    if manifest and manifest["vocabulary"]["fingerprint"] != vocabulary.fingerprint:
        raise ValueError(
            f"Expected the classes of {sorted(manifest['splits'])} in {output_dir}, in their order, got others: "
            f"{len(vocabulary)}, beginning with {list(vocabulary.names[:3])}. Prepare into another folder."
        )
    if manifest and manifest["sampling_rate"] != settings.sampling_rate:
        raise ValueError(
            f"Expected {manifest['sampling_rate']} Hz as for {sorted(manifest['splits'])} in {output_dir}, got "
            f"{settings.sampling_rate} Hz. Prepare into another folder."
        )


def _make_folders(output_dir: Path, others_write: bool) -> None:
    """Make the folders, and delete what a run that was killed was about to write, unless it may be another's."""
    for folder in (DATA, PROGRESS):
        (output_dir / folder).mkdir(parents=True, exist_ok=True)
    if not others_write:
        clear_unfinished(output_dir)


def _shards(output_dir: Path, pattern: str) -> list[str]:
    """The shards that are there, as the manifest names them."""
    return sorted(f"{DATA}/{path.name}" for path in (output_dir / DATA).glob(f"{pattern}.parquet"))


def _make_shards(
    clips: Clips,
    groups: list[str | None] | None,
    output_dir: Path,
    settings: _Settings,
    inputs: str,
    num_processes: int,
    drop: bool,
    own: Sequence[tuple[int, str]],
) -> list[dict]:
    """Make those of a part's own shards, by number, that are not there yet; returns the records of all of them."""
    numbers = range(len(clips))
    shares = {k: slice(k * settings.clips_per_shard, (k + 1) * settings.clips_per_shard) for k, _ in own}
    jobs = (
        ShardJob(
            clips=clips.select(numbers[shares[k]]),
            groups=groups and groups[shares[k]],
            folder=output_dir,
            shard=file,
            record=output_dir / PROGRESS / f"{settings.split}-{k:05d}.json",
            inputs=inputs,
            split=settings.split,
            sampling_rate=settings.sampling_rate,
            clips_per_row_group=settings.clips_per_row_group,
            drop=drop,
        )
        for k, file in own
    )
    num_processes = max(1, min(num_processes, len(own)))
    made = map(make_shard, jobs) if num_processes == 1 else _make_in_processes(jobs, num_processes)
    return list(progress(made, f"preparing {settings.split}", total=len(own), unit="shard"))


def _make_in_processes(jobs: Iterator[ShardJob], num_processes: int) -> Iterator[dict]:
    """The records of shards made by processes of their own, in the order in which they are finished."""
    # On Linux a server, which lives as long as this process, imports once for them all; elsewhere forks are not safe.
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    context.set_forkserver_preload([make_shard.__module__])
    with ExitStack() as stack:
        # A pool for each process: one that dies is the error of one shard, and the others finish theirs. (In a common
        # pool it breaks all, and one that dies while the next is being started can leave the pool waiting for ever.)
        idle = [
            stack.enter_context(ProcessPoolExecutor(1, context, initializer=_start_worker))
            for _ in range(num_processes)
        ]
        running: dict[Future, tuple[ProcessPoolExecutor, str]] = {}
        while True:
            # A job is put together only when a process is free for it: its clips may hold audio.
            for pool, job in zip(idle, jobs, strict=False):
                running[pool.submit(make_shard, job)] = (pool, job.shard)
            if not running:
                return
            done = wait(running, return_when=FIRST_COMPLETED).done
            idle = [running[future][0] for future in done]
            for future in done:
                yield _result(future, running.pop(future)[1])


def _result(future: Future, shard: str) -> dict:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise ChildProcessError(
            f"The process that made {shard} died: killed, or out of memory? Start again with the same arguments (fewer "
            "processes need less memory); finished shards are kept."
        ) from error


def _start_worker() -> None:
    """Keep a process to one thread, and let it end with its parent, however that ends: nobody else would end it."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _finish(
    output_dir: Path,
    settings: _Settings,
    records: list[dict],
    inputs: str,
    vocabulary: Vocabulary,
    ids: list[str],
    subset: str | None,
) -> dict:
    """Verify the shards of the clips `ids`, then write the manifest with this split's section; other splits' stay."""
    section = _describe(sorted(records, key=lambda record: record["file"]), settings, inputs, vocabulary)
    dropped = section["dropped"]
    if not section["clips"]:
        raise ValueError(
            f"Expected clips that can be decoded, got none of {len(ids)}; for example {next(iter(dropped.items()))}."
        )
    if _verify_split(output_dir, section, vocabulary) != [name for name in ids if name not in dropped]:
        raise ValueError(
            f"Expected the clips in their order, minus those dropped, in the shards of {settings.split!r} in "
            f"{output_dir}; they hold others. Prepare into a new folder."
        )
    path = output_dir / MANIFEST
    others = _read_manifest(path)["splits"] if path.is_file() else {}
    manifest = {
        "sampling_rate": settings.sampling_rate,
        **({"subset": subset} if subset else {}),
        "vocabulary": {
            "fingerprint": vocabulary.fingerprint,
            "names": list(vocabulary.names),
            "mids": list(vocabulary.mids),
        },
        "splits": dict(sorted({**others, settings.split: section}.items())),  # whichever was prepared first
    }
    write_json(manifest, path)
    return manifest


def _describe(records: list[dict], settings: _Settings, inputs: str, vocabulary: Vocabulary) -> dict:
    """A split's section of the manifest."""
    counts: Counter[str] = Counter()
    for record in records:
        counts.update(record["class_counts"])
    dropped = {name: reason for record in records for name, reason in record["dropped"].items()}
    num_clips = sum(record["rows"] for record in records)
    return {
        "source": settings.source,
        "inputs": inputs,
        "listed": num_clips + len(dropped),
        "clips": num_clips,
        "hours": round(sum(record["samples"] for record in records) / settings.sampling_rate / 3600, 6),
        "clips_per_shard": settings.clips_per_shard,
        "clips_per_row_group": settings.clips_per_row_group,
        "clipped": sum(record["clipped"] for record in records),
        "cut_short": [name for record in records for name in record["cut_short"]],
        "dropped": dropped,
        "class_counts": {name: counts[name] for name in vocabulary.names},
        "shards": [{key: record[key] for key in IN_MANIFEST} for record in records],
    }


def _verify_split(output_dir: Path, section: dict, vocabulary: Vocabulary) -> list[str]:
    """Check the shards of a split against its section of the manifest; returns the clips' ids in their order."""
    ids = [name for shard in section["shards"] for name in _verify_shard(output_dir / shard["file"], shard, vocabulary)]
    if not len(ids) == len(set(ids)) == section["clips"] == section["listed"] - len(section["dropped"]):
        raise ValueError(
            f"Expected {section['listed']} listed clips minus {len(section['dropped'])} dropped ones, all different, "
            f"in the shards of a split of {output_dir / MANIFEST}; got {len(ids)} clips with {len(set(ids))} ids. "
            "Prepare the split into a new folder."
        )
    return ids


def _verify_shard(path: Path, shard: dict, vocabulary: Vocabulary) -> list[str]:
    """Check one shard; returns its clips' ids."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no shard {path}. Prepare the split again: the other shards are kept.")
    if not is_unchanged(path, shard):
        raise ValueError(
            f"Expected {shard['bytes']} bytes with the SHA-256 {shard['sha256']}, {path} holds other bytes. Prepare "
            "the split again: the other shards are kept."
        )
    with reading(path, "a shard as parquet"), pq.ParquetFile(path) as file:
        found = (file.metadata.num_rows, file.metadata.num_row_groups)
        features = Features.from_arrow_schema(file.schema_arrow)
        ids = file.read(["id"], use_threads=False)["id"].to_pylist()
    expected = tagging_features(vocabulary, groups="group" in features)
    if found != (shard["rows"], shard["row_groups"]) or plain_features(features) != expected:
        raise ValueError(
            f"Expected {shard['rows']} rows in {shard['row_groups']} row groups with the manifest's classes, {path} "
            f"has {found[0]} rows in {found[1]}, or other classes. Prepare the split into a new folder."
        )
    return ids
