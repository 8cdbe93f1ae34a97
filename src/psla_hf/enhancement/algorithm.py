"""Label enhancement on arrays (PSLA, Algorithm 2). Knows nothing of files, models or data set names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from psla_hf.labels.ontology import Ontology
from psla_hf.labels.scores import ScoreRows, check_rows, chunks_of
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary

__all__ = [
    "RELATION_NAMES",
    "Enhancement",
    "RelationType",
    "Threshold",
    "check_enhancement",
    "check_probabilities",
    "check_threshold",
    "class_thresholds",
    "enhance_clip_labels",
    "enhance_labels",
    "relation_matrix",
    "threshold_name",
]


Threshold = Literal["mean", "median"] | float

RelationType = Literal["I", "II"]

BITS: dict[str, int] = {"I": 1, "II": 2}

RELATION_NAMES = {1: "I", 2: "II", 3: "I+II"}


def relation_matrix(ontology: Ontology, ids: Sequence[str], types: Sequence[RelationType] = ("I", "II")) -> csr_array:
    """Which classes a label proposes: by type I its direct children, by type II all its ancestors.

    Args:
        ontology: The graph.
        ids: The ontology's id of each class, in index order.
        types: `("I",)`, `("II",)` or both.

    Returns:
        Sparse uint8 `[K, K]`, a row per proposing label, bits: 1 for type I, 2 for type II.

    Raises:
        ValueError: A type is unknown or there is none, a class is not in the ontology, or one is duplicated.
    """
    if not types or set(types) - BITS.keys():
        raise ValueError(f"Expected types from {sorted(BITS)}, got {list(types)}.")
    relations = {"I": ontology.child_relation, "II": ontology.ancestor_relation}
    return csr_array(sum(BITS[kind] * relations[kind](ids).astype(np.uint8) for kind in sorted(set(types))))


@dataclass(frozen=True)
class Enhancement:
    """What label enhancement adds to N clips' labels: M labels, by clip, then by class.

    Attributes:
        original: The labels before, each once.
        thresholds: Float64 `[K]`, infinite for a class that no clip has.
        clips: Number of the clip of each added label, int64 `[M]`.
        classes: Its class, int32 `[M]`.
        scores: The teacher's score for it, float32 `[M]`.
        kinds: The relations that proposed it, uint8 `[M]`, bits: 1 for type I, 2 for type II.
        proposed_by: The labels that proposed it, a "clip" of `ClipLabels` for each of the M.
        unscored: Numbers of the clips without scores.
    """

    original: ClipLabels
    thresholds: np.ndarray
    clips: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    kinds: np.ndarray
    proposed_by: ClipLabels
    unscored: np.ndarray

    def __len__(self) -> int:
        return len(self.clips)

    def enhanced(self) -> ClipLabels:
        """The labels of all clips with the added ones, each clip's in index order."""
        return self._together()[0]

    def values(self) -> np.ndarray:
        """Float32 target of each of `enhanced().values`: the teacher's score for an added label, 1 for an original."""
        return self._together()[1]

    def _together(self) -> tuple[ClipLabels, np.ndarray]:
        num_classes = self.original.num_classes
        clips = np.concatenate([self.original.clip_of_value(), self.clips])
        classes = np.concatenate([self.original.values, self.classes])
        order = np.argsort(clips * num_classes + classes)
        offsets = np.searchsorted(clips[order], np.arange(len(self.original) + 1))
        values = np.concatenate([np.ones(len(self.original.values), np.float32), self.scores])
        return ClipLabels(classes[order].astype(np.int32), offsets.astype(np.int64), num_classes), values[order]


def check_enhancement(
    ontology: Ontology, vocabulary: Vocabulary, types: Sequence[RelationType] = ("I", "II"), iterations: int = 1
) -> None:
    """Refuse what cannot add a label to any clip, whatever the scores: to be asked before they cost hours.

    Raises:
        ValueError: A class is not in the ontology, it relates no two classes, or an argument is out of range.
    """
    _check_iterations(iterations)
    ontology.check_classes(vocabulary)
    if not relation_matrix(ontology, vocabulary.mids, types).nnz:
        raise ValueError(
            f"Expected an ontology that relates classes of the data by type {' or '.join(types)}, it relates none of "
            f"the {len(vocabulary)}. Take one in which some of them are above others, or other types."
        )


def check_threshold(threshold: Threshold) -> None:
    """Refuse what is no threshold.

    Raises:
        ValueError: It is neither `"mean"`, `"median"` nor a percentile.
    """
    if isinstance(threshold, str):
        is_valid = threshold in ("mean", "median")
    else:
        is_number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        is_valid = is_number and 0 <= threshold <= 100
    if not is_valid:
        raise ValueError(f"Expected as threshold 'mean', 'median' or a percentile from 0 to 100, got {threshold!r}.")


def threshold_name(threshold: Threshold) -> str:
    """As the paper calls it: `mean`, `median`, `25P`."""
    return threshold if isinstance(threshold, str) else f"{threshold:g}P"


def class_thresholds(labels: ClipLabels, scores: ScoreRows, threshold: Threshold = "mean") -> np.ndarray:
    """Per class, a statistic of the teacher's scores over the clips labelled with it.

    Exact in little memory: of the scores only those of the labels are kept.

    Args:
        labels: Of N clips; one that a clip has several times counts once.
        scores: The teacher's probabilities `[N, K]`.
        threshold: `"mean"`, `"median"`, or a percentile such as 25.

    Returns:
        Thresholds, float64 `[K]`, infinite for a class that no clip has: nothing is then added to it.

    Raises:
        ValueError: Shapes differ, there is no such threshold, or a score is not finite.
    """
    check_rows(scores, len(labels), labels.num_classes)
    labels = labels.each_once()
    return _statistics(labels, _labelled_scores(labels, scores, allow_unscored=False)[0], threshold)


def enhance_clip_labels(
    labels: ClipLabels,
    scores: ScoreRows,
    ontology: Ontology,
    ids: Sequence[str],
    threshold: Threshold = "mean",
    types: Sequence[RelationType] = ("I", "II"),
    *,
    iterations: int = 1,
    allow_unscored: bool = False,
) -> Enhancement:
    """`enhance_labels` for as many clips as there are: two passes over the scores, some thousand rows at a time.

    Args:
        labels: Of N clips.
        scores: The teacher's probabilities `[N, K]`.
        ontology: The relations.
        ids: The ontology's id of each of the K classes, in index order.
        threshold: See `class_thresholds`.
        types: `("I",)`, `("II",)` or both.
        iterations: Rounds at most. From the second on, what was added proposes too. Thresholds stay those of the
            original labels. It ends early when a round adds nothing.
        allow_unscored: A clip whose scores are all NaN has none: it gets no labels and counts in no threshold. One that
            lacks single scores does not get those labels.

    Raises:
        ValueError: Shapes differ, a score is not finite, or an argument is out of range.
    """
    check_rows(scores, len(labels), labels.num_classes)
    if labels.num_classes != len(ids):
        raise ValueError(f"Expected the ids of {labels.num_classes} classes, got {len(ids)}.")
    _check_iterations(iterations)
    relations = relation_matrix(ontology, ids, types)
    original = labels.each_once()
    own, unscored = _labelled_scores(original, scores, allow_unscored)
    thresholds = _statistics(original, own, threshold)
    nothing = csr_array((0, labels.num_classes), dtype=bool)
    empty = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.uint8)
    parts = [_Added(*empty, ClipLabels.from_matrix(nothing))]
    for numbers, rows in chunks_of(scores):
        present = original.take(numbers).matrix()
        for rounds_left in reversed(range(iterations)):
            added = _one_round(present, rows, thresholds, relations)
            parts.append(added._replace(clips=numbers[added.clips]))
            if not rounds_left or not len(added.clips):
                break
            ones = np.ones(len(added.clips), dtype=bool)
            present = present + csr_array((ones, (added.clips, added.classes)), shape=present.shape)
    return Enhancement(original, thresholds, *_merged(parts), unscored)


def enhance_labels(
    targets: np.ndarray,
    scores: np.ndarray,
    ontology: Ontology,
    threshold: Threshold = "mean",
    types: Sequence[RelationType] = ("I", "II"),
    *,
    ids: Sequence[str] | None = None,
    soft: bool = False,
    iterations: int = 1,
) -> np.ndarray:
    """Add the labels that an annotator left out, where ontology and teacher agree.

    A clip labelled k gets a related class j when the teacher's score for j is above j's threshold. Type I relates a
    class to its direct children (a missing child), type II to all its ancestors (a missing parent). Only original
    labels propose; what was added proposes nothing further. For example a clip labelled *dog* gets *animal* (II) if
    the teacher scores it for *animal* higher than the average clip labelled *animal*.

    Args:
        targets: 0/1 labels `[N, K]`.
        scores: The teacher's probabilities `[N, K]`.
        ontology: The relations.
        threshold: `"mean"`, `"median"`, or a percentile such as 25, of the scores of the clips labelled j.
        types: `("I",)`, `("II",)` or both.
        ids: The ontology's id of each of the K classes, in column order; by default all of the ontology's, in its
            order.
        soft: An added label is the teacher's score instead of 1.
        iterations: Rounds at most, see `enhance_clip_labels`; the paper has one.

    Returns:
        Enhanced labels `[N, K]`, of `targets`' type (float32 if `soft` and that is no floating one); where `targets` is
        not 0 they are `targets`.

    Raises:
        ValueError: Shapes differ, labels are not 0/1, scores are not finite (for `soft`: not from 0 to 1), a class is
            not in the ontology, or an argument is out of range.
    """
    ids = tuple(ontology.children) if ids is None else ids
    if targets.ndim != 2 or targets.shape != scores.shape or targets.shape[1] != len(ids):
        raise ValueError(
            f"Expected targets and scores [N, {len(ids)}] of one shape, a column per id, got {targets.shape} and "
            f"{scores.shape}."
        )
    if not np.isin(targets, (0, 1)).all():
        raise ValueError("Expected 0/1 targets, got other values.")
    labels = ClipLabels.from_multi_hot(targets)
    added = enhance_clip_labels(labels, scores, ontology, ids, threshold, types, iterations=iterations)
    needs_float = soft and not np.issubdtype(targets.dtype, np.floating)
    enhanced = targets.astype(np.float32 if needs_float else targets.dtype)
    enhanced[added.clips, added.classes] = check_probabilities(added.scores) if soft else 1
    return enhanced


def check_probabilities(scores: np.ndarray) -> np.ndarray:
    """The scores, if they can be soft labels.

    Raises:
        ValueError: One is below 0 or above 1.
    """
    if len(scores) and (scores.min() < 0 or scores.max() > 1):
        raise ValueError(
            f"Expected probabilities as soft labels, got scores from {scores.min():.3g} to {scores.max():.3g}. Pass "
            "probabilities, not logits."
        )
    return scores


class _Added(NamedTuple):
    """Added labels, as `Enhancement` has them."""

    clips: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    kinds: np.ndarray
    proposed_by: ClipLabels


def _check_iterations(iterations: int) -> None:
    if iterations < 1:
        raise ValueError(f"Expected at least one iteration, got {iterations}.")


def _labelled_scores(labels: ClipLabels, scores: ScoreRows, allow_unscored: bool) -> tuple[np.ndarray, np.ndarray]:
    """The score of each of the labels, float64, and the numbers of the clips that have none.

    A class that no clip has a score for is one that the teacher does not know. What else is NaN is refused unless clips
    may be unscored: the mean of teachers lacks single scores where one has skipped a clip and the others do not know a
    class. Infinite scores are always refused.
    """
    own, unscored, known = [np.empty(0)], [np.empty(0, np.int64)], None
    for clips, rows in chunks_of(scores):
        is_nan = np.isnan(rows)
        without = is_nan.all(axis=1)
        bad = np.isinf(rows).any(axis=1)
        if not allow_unscored:
            known = ~is_nan.all(axis=0) if known is None else known
            bad |= without | (is_nan == known).any(axis=1)
        if bad.any():
            raise ValueError(f"Expected finite scores, those of clip {clips[bad][0]} (counted from 0) are not.")
        unscored.append(clips[without])
        of_chunk = labels.take(clips)
        own.append(rows[of_chunk.clip_of_value(), of_chunk.values].astype(np.float64))
    return np.concatenate(own), np.concatenate(unscored)


def _statistics(labels: ClipLabels, own: np.ndarray, threshold: Threshold) -> np.ndarray:
    """Each class's statistic of its labels' scores, infinite where there are none."""
    check_threshold(threshold)
    percentile = 50.0 if threshold == "median" else threshold
    by_class = own[np.argsort(labels.values, kind="stable")]
    thresholds = np.full(labels.num_classes, np.inf)
    for k, of_class in enumerate(np.split(by_class, np.cumsum(labels.class_counts())[:-1])):
        of_class = of_class[~np.isnan(of_class)]
        if len(of_class):
            thresholds[k] = of_class.mean() if percentile == "mean" else np.percentile(of_class, percentile)
    return thresholds


def _one_round(present: csr_array, scores: np.ndarray, thresholds: np.ndarray, relations: csr_array) -> _Added:
    """What the labels `present`, boolean `[n, K]`, propose and the teacher agrees to, in any order."""
    proposals = present @ relations.astype(bool)
    clips, classes = np.repeat(np.arange(len(scores)), np.diff(proposals.indptr)), proposals.indices
    score = scores[clips, classes]
    kept = (score > thresholds[classes]) & ~present.toarray()[clips, classes]
    clips, classes = clips[kept], classes[kept]
    proposers = present[clips].multiply(relations.T.tocsr()[classes]).tocsr()  # [M, K]: the bits of each that proposes
    kinds = np.bitwise_or.reduceat(proposers.data, proposers.indptr[:-1]) if len(clips) else proposers.data
    proposed_by = ClipLabels.from_matrix(proposers)
    return _Added(clips, classes.astype(np.int32), score[kept].astype(np.float32), kinds, proposed_by)


def _merged(parts: Sequence[_Added]) -> _Added:
    """The added labels of all parts, by clip and class."""
    *columns, proposed_by = zip(*parts, strict=True)
    clips, classes, scores, kinds = map(np.concatenate, columns)
    together = ClipLabels.concatenate(proposed_by)
    order = np.argsort(clips * together.num_classes + classes, kind="stable")
    return _Added(clips[order], classes[order], scores[order], kinds[order], together.take(order))
