"""Label enhancement at full size, timed against a plain loop over clips. Knows no models and no audio."""

import multiprocessing
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.features import memory_sizes
from benchmarks.sampling import long_tail_labels
from psla_hf.enhancement.algorithm import enhance_clip_labels
from psla_hf.enhancement.label_set import write_label_set
from psla_hf.enhancement.report import enhancement_figures
from psla_hf.files import write_json
from psla_hf.labels.ontology import Ontology
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary
from psla_hf.teachers.scores import IDENTITY, NpyRows, chunk_files, ids_fingerprint, open_scores

__all__ = ["benchmark_labels", "commonest_first", "random_forest"]


CHUNK = 2048  # clips whose scores are in one file, as psla enhance has them


def benchmark_labels(
    num_clips: int = 2_000_000,
    ontology: Ontology | None = None,
    vocabulary: Vocabulary | None = None,
    slice_clips: int = 20_000,
    seed: int = 0,
) -> dict[str, dict]:
    """Enhance labels with a long tail by random scores, and a slice of them also by a plain loop.

    Scores are float16 in a folder of chunks on the disk, which is opened as `psla enhance` does. The whole
    is enhanced, reported on and written in a process of its own.

    Args:
        num_clips: N.
        ontology: The relations; by default a random forest over 527 classes.
        vocabulary: The classes, with the ontology; the more are below one, the commoner it is here.
        slice_clips: The first so many clips are the slice.
        seed: Of labels, scores and the forest.

    Returns:
        `whole`: sizes, seconds by what they went to, and memory in MB, before and at the peak. `slice`: by way, clips
        per second, and `ratio`, how many times as long as here it takes.

    Raises:
        AssertionError: The two ways do not add the same labels on the slice.
    """
    if ontology is None:
        ontology = random_forest(527, seed)
    vocabulary = commonest_first(ontology, vocabulary or Vocabulary(tuple(ontology.children)))
    labels = long_tail_labels(num_clips, seed, len(vocabulary))
    ids = [f"clip {i}" for i in range(num_clips)]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "scores"
        _write_random_scores(folder, ids, labels, vocabulary, seed)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            whole = pool.submit(_whole, folder, ids, labels, ontology, vocabulary).result()
        return {
            "whole": whole,
            **_on_slice(_opened(folder, ids, vocabulary), labels, ontology, vocabulary, slice_clips),
        }


def random_forest(num_classes: int, seed: int) -> Ontology:
    """A forest for want of AudioSet's ontology: as many roots, and classes of about as many children."""
    rng = np.random.default_rng(seed)
    children: dict[str, tuple[str, ...]] = {f"class {k}": () for k in range(num_classes)}
    for k in range(7, num_classes):
        parent = f"class {rng.integers(max(k // 4, 7))}"
        children[parent] += (f"class {k}",)
    return Ontology(children, {name: name for name in children})


def commonest_first(ontology: Ontology, vocabulary: Vocabulary) -> Vocabulary:
    """The classes by how many are below them, most first: in AudioSet too the general ones are the common ones."""
    below = ontology.ancestor_relation(vocabulary.mids).sum(axis=0)
    order = np.argsort(-below, kind="stable")
    return Vocabulary(tuple(vocabulary.names[k] for k in order), tuple(vocabulary.mids[k] for k in order))


def _write_random_scores(folder: Path, ids: list[str], labels: ClipLabels, vocabulary: Vocabulary, seed: int) -> None:
    """Most are low; those of a clip's own labels are higher."""
    rng = np.random.default_rng([seed, 1])
    write_json({"clips": ids_fingerprint(ids), "vocabulary": vocabulary.fingerprint}, folder / IDENTITY)
    for file, clips in chunk_files(folder, len(labels), CHUNK).items():
        own = labels.take(np.asarray(clips)).multi_hot()
        np.save(file, (rng.random(own.shape, np.float32) ** 4 * 0.9 + 0.1 * own).astype(np.float16))


def _opened(folder: Path, ids: list[str], vocabulary: Vocabulary) -> NpyRows:
    return open_scores(folder, ids, len(vocabulary), folder.parent, vocabulary.fingerprint)


def _whole(
    folder: Path, ids: list[str], labels: ClipLabels, ontology: Ontology, vocabulary: Vocabulary
) -> dict[str, float]:
    with memory_sizes() as sizes:
        started = time.perf_counter()
        scores = _opened(folder, ids, vocabulary)
        enhancement = enhance_clip_labels(labels, scores, ontology, vocabulary.mids)
        enhanced = time.perf_counter()
        enhancement_figures(enhancement, ids, vocabulary, ontology)
        reported = time.perf_counter()
        write_label_set(folder.parent, ids, enhancement, vocabulary)
        written = time.perf_counter()
    return {
        "clips": len(labels),
        "classes": len(vocabulary),
        "gigabytes_of_scores": sum(file.stat().st_size for file in scores.files) / 1e9,
        "labels": len(enhancement.original.values),
        "added": len(enhancement),
        "seconds_to_enhance": enhanced - started,
        "seconds_to_report": reported - enhanced,
        "seconds_to_write": written - reported,
        "mb_before": sizes[0] / 1e6,
        "mb_at_the_peak": max(sizes) / 1e6,
    }


def _on_slice(
    scores: NpyRows, labels: ClipLabels, ontology: Ontology, vocabulary: Vocabulary, slice_clips: int
) -> dict[str, dict]:
    """Both ways on the first clips, and that they add the same."""
    labels = labels.take(np.arange(min(slice_clips, len(labels))))
    rows = scores[0 : len(labels)]
    started = time.perf_counter()
    enhancement = enhance_clip_labels(labels, rows, ontology, vocabulary.mids)
    ours = time.perf_counter() - started
    ends = labels.offsets
    lists = [labels.values[begin:end].tolist() for begin, end in pairwise(ends)]
    started = time.perf_counter()
    added = _plain_loop(lists, rows, ontology, vocabulary.index, vocabulary.mids)
    plain = time.perf_counter() - started
    assert added == set(zip(enhancement.clips.tolist(), enhancement.classes.tolist(), strict=True)), "they differ"
    ways = {"psla_hf": ours, "plain loop": plain}
    return {
        "slice": {
            way: {
                "clips": len(labels),
                "labels_added": len(added),
                "clips_per_second": len(labels) / seconds,
                "ratio": seconds / ours,
            }
            for way, seconds in ways.items()
        }
    }


def _plain_loop(
    labels: list[list[int]], scores: np.ndarray, ontology: Ontology, index: Mapping[str, int], mids: tuple[str, ...]
) -> set[tuple[int, int]]:
    """What a user would write from the paper: clip by clip, label by label. Returns clips and their added classes."""
    targets = np.zeros(scores.shape, bool)
    for clip, own in enumerate(labels):
        targets[clip, own] = True
    thresholds = [
        scores[targets[:, k], k].astype(np.float64).mean() if targets[:, k].any() else np.inf for k in range(len(mids))
    ]
    children = {mid: [] if mid in ontology.abstract else ontology.children[mid] for mid in mids}
    ancestors = {mid: ontology.ancestors(mid) for mid in mids}
    added = set()
    for clip, own in enumerate(labels):
        for label in own:
            for related in (*children[mids[label]], *ancestors[mids[label]]):
                k = index.get(related)
                if k is not None and k not in own and scores[clip, k] > thresholds[k]:
                    added.add((clip, k))
    return added
