"""An epoch of the samplers measured against their law, on labels with a long tail. Knows no audio."""

import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.optimize import brentq

from benchmarks.features import memory_sizes
from psla_hf.data.schema import tagging_features
from psla_hf.data.shards.parquet import ShardIndex
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary
from psla_hf.loading.sampler import EpochSampler, balanced_weights
from psla_hf.loading.stream_plan import StreamPlanner

__all__ = ["benchmark_sampling", "long_tail_labels"]


GROUP_CLIPS = 128  # as in prepared shards, like the next

SHARD_CLIPS = 2048

BATCH = 100


def long_tail_labels(num_clips: int, seed: int, num_classes: int = 527) -> ClipLabels:
    """Labels with the shape of AudioSet's long tail, for want of its list: counts by rank, co-occurrence at random.

    Two classes are in about half of all clips each, the third in a sixteenth, the rarest in 120 of two million, with a
    parabola in between (on log scales) such that a clip has two labels on average; the number of labels of a clip is
    geometric. AudioSet's own labels co-occur in patterns that this does not have.
    """
    full, labels_per_clip = 2_063_949, 1.97
    largest, third, rarest = 1_000_000, 128_000, 120
    rank = np.log(np.arange(3, num_classes + 1) / 3)

    def tail(slope: float) -> np.ndarray:
        bend = (np.log(third / rarest) - slope * rank[-1]) / rank[-1] ** 2
        return third * np.exp(-slope * rank - bend * rank**2)

    slope = brentq(lambda a: tail(a).sum() + 2 * largest - full * labels_per_clip, -2, 3)
    share = np.concatenate([[largest, largest], tail(slope)])
    share /= share.sum()
    rng = np.random.default_rng(seed)
    number = rng.geometric(1 / labels_per_clip, num_clips)
    classes = rng.permutation(np.repeat(np.arange(num_classes, dtype=np.int32), _integers(share, int(number.sum()))))
    return ClipLabels(classes, np.concatenate([[0], np.cumsum(number)]), num_classes).each_once()


def _integers(share: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers that add up to `total`, close to the shares of it."""
    return np.diff(np.round(np.concatenate([[0], np.cumsum(share)]) * total).astype(np.int64))


def benchmark_sampling(num_clips: int = 2_063_949, seed: int = 0) -> dict[str, dict]:
    """What an epoch of the stream is like, beside independent draws, on labels with a long tail.

    Args:
        num_clips: Size of the label list.
        seed: Of labels and epochs.

    Returns:
        - `law`: χ² of an epoch's counts against the weights, by degree of freedom, over many epochs: mean and variance
          times df / 2; both are 1 for independent draws.
        - `readers`: whether 1, 2 and 4 readers yield the same clips.
        - `order`: for each way, pairs of the same clip within a batch of 100, and the total variation distance of a
          batch's class histogram from the epoch's.
        - `coverage`: share of the clips that an epoch uses, and that are never seen in 30.
        - `opening`: seconds, and additional MB at the peak, to open that many clips from parquet and to plan an epoch.
    """
    labels = long_tail_labels(num_clips, seed)
    weights = balanced_weights(labels)
    return {
        "law": {way: _chi_square(way, seed) for way in ("independent draws", "stream")},
        "readers": {"same_clips": _same_for_readers(weights, seed)},
        "order": _order(labels, seed),
        "coverage": _coverage(weights, seed),
        "opening": _opening(labels, seed),
    }


def _groups(num_clips: int) -> np.ndarray:
    full, rest = divmod(num_clips, GROUP_CLIPS)
    return np.array([GROUP_CLIPS] * full + [rest] * (rest > 0))


def _planner(weights: np.ndarray, seed: int, readers: int = 4, **settings: int) -> StreamPlanner:
    return StreamPlanner(
        _groups(len(weights)),
        seed,
        weights,
        num_readers=readers,
        multiple_of=4 * BATCH,
        partner_rates=(0.5,),
        **settings,
    )


def _rows(planner: StreamPlanner, epoch: int) -> np.ndarray:
    return np.concatenate([planner.plan(epoch, reader).rows for reader in range(planner.num_readers)])


def _chi_square(way: str, seed: int, num_clips: int = 4000, epochs: int = 400) -> dict[str, float]:
    """Counts of clips, pooled to cells of at least five expected draws, over epochs."""
    weights = balanced_weights(long_tail_labels(num_clips, seed))
    planner = _planner(weights, seed, hot_limit=100)
    sampler = EpochSampler(num_clips, seed, weights)
    order = np.argsort(weights, kind="stable")
    expected = weights / weights.sum() * num_clips
    cell = np.empty(num_clips, np.int64)
    cell[order] = np.unique(np.floor(np.cumsum(expected[order]) / 5), return_inverse=True)[1]
    in_cell = np.bincount(cell, expected)
    values = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        rows = _rows(planner, epoch) if way == "stream" else np.array([index for index, _ in sampler])
        values.append(((np.bincount(cell[rows], minlength=len(in_cell)) - in_cell) ** 2 / in_cell).sum())
    freedom = len(in_cell) - 1
    return {"mean": float(np.mean(values) / freedom), "variance": float(np.var(values) / (2 * freedom))}


def _same_for_readers(weights: np.ndarray, seed: int) -> bool:
    one, *others = (np.sort(_rows(_planner(weights, seed, readers, hot_limit=4096), 0)) for readers in (1, 2, 4))
    return all(np.array_equal(one, other) for other in others)


def _order(labels: ClipLabels, seed: int) -> dict[str, dict[str, float]]:
    weights = balanced_weights(labels)
    draws = _planner(weights, seed).num_draws
    rng = np.random.default_rng(seed)
    ways: dict[str, np.ndarray] = {
        "independent draws": rng.choice(len(weights), draws, p=weights / weights.sum()),
        "copies in place": np.sort(_rows(_planner(weights, seed), 0)),
    }
    for groups in (16, 64):
        for hot in (0, 16384, 65536):
            rows = _rows(_planner(weights, seed, block_groups=groups, hot_limit=hot), 0)
            ways[f"blocks of {groups} row groups, {hot} hot clips kept"] = rows
    return {name: _order_of(rows, labels) for name, rows in ways.items()}


def _order_of(rows: np.ndarray, labels: ClipLabels) -> dict[str, float]:
    batches = rows[: len(rows) // BATCH * BATCH].reshape(-1, BATCH)
    copies = [np.unique(batch, return_counts=True)[1] for batch in batches]
    histograms = np.array([_class_histogram(batch, labels) for batch in batches])
    whole = histograms.sum(axis=0) / histograms.sum()
    shares = histograms / histograms.sum(axis=1, keepdims=True)
    return {
        "repeated_pairs": float(np.mean([(of_clip * (of_clip - 1) // 2).sum() for of_clip in copies])),
        "class_distance": float(np.abs(shares - whole).sum(axis=1).mean() / 2),
    }


def _class_histogram(rows: np.ndarray, labels: ClipLabels) -> np.ndarray:
    values = np.concatenate([labels.values[labels.offsets[row] : labels.offsets[row + 1]] for row in rows])
    return np.bincount(values, minlength=labels.num_classes)


def _coverage(weights: np.ndarray, seed: int, epochs: int = 30) -> dict[str, float]:
    planner = _planner(weights, seed)
    seen = np.zeros(len(weights), bool)
    used = []
    for epoch in range(epochs):
        rows = np.unique(_rows(planner, epoch))
        used.append(len(rows) / len(weights))
        seen[rows] = True
    return {"used_in_an_epoch": float(np.mean(used)), "unseen_after_30_epochs": float(1 - seen.mean())}


def _opening(labels: ClipLabels, seed: int) -> dict[str, float]:
    """In a process of its own, from shards that are as prepared ones are, but without audio."""
    vocabulary = Vocabulary(tuple(f"class {k}" for k in range(labels.num_classes)))
    schema = tagging_features(vocabulary).arrow_schema
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for start in range(0, len(labels), SHARD_CLIPS):
            rows = np.arange(start, min(start + SHARD_CLIPS, len(labels)))
            ends = labels.offsets[start : rows[-1] + 2]
            lists = pa.ListArray.from_arrays(
                pa.array(ends - ends[0], pa.int32()), pa.array(labels.values[ends[0] : ends[-1]], pa.int64())
            )
            columns = {
                "id": rows.astype(str).tolist(),
                "audio": [None] * len(rows),
                "split": ["train"] * len(rows),
                "seconds": [10.0] * len(rows),
            }
            arrays = {name: pa.array(values, schema.field(name).type) for name, values in columns.items()}
            table = pa.table([{**arrays, "labels": lists, "mids": lists}[name] for name in schema.names], schema=schema)
            files.append(str(Path(folder) / f"{start:08d}.parquet"))
            pq.write_table(table, files[-1], row_group_size=GROUP_CLIPS)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(_open_and_plan, files, seed).result()


def _open_and_plan(files: list[str], seed: int) -> dict[str, float]:
    started = time.perf_counter()
    with memory_sizes() as sizes:
        index = ShardIndex.open(files)
        opened = time.perf_counter()
        _planner(balanced_weights(index.labels), seed, hot_limit=4096).plan(0, 0)
        planned = time.perf_counter()
    return {
        "clips": len(index.labels),
        "seconds_to_open": opened - started,
        "seconds_to_plan": planned - opened,
        "additional_mb": (max(sizes) - sizes[0]) / 1e6,
    }
