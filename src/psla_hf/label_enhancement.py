"""Label enhancement on arrays (PSLA, Algorithm 2). Knows nothing of files, models or data set names."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from .labels import Ontology

__all__ = ["class_thresholds", "enhance_labels"]

Threshold = Literal["mean", "median"] | float
RelationType = Literal["I", "II"]


def class_thresholds(targets: np.ndarray, scores: np.ndarray, threshold: Threshold = "mean") -> np.ndarray:
    """Per class, a statistic of the teacher's scores over the clips labelled with it.

    Args:
        targets: 0/1 labels `[N, K]`.
        scores: The teacher's probabilities `[N, K]`.
        threshold: `"mean"`, `"median"`, or a percentile such as 25.

    Returns:
        Thresholds `[K]`, infinite for a class that no clip has: nothing is then added to it.
    """
    percentile = 50.0 if threshold == "median" else threshold
    thresholds = np.full(targets.shape[1], np.inf)
    for k, labelled in enumerate(targets.T > 0):
        if labelled.any():
            own = scores[labelled, k]
            thresholds[k] = own.mean(dtype=np.float64) if percentile == "mean" else np.percentile(own, percentile)
    return thresholds


def enhance_labels(
    targets: np.ndarray,
    scores: np.ndarray,
    ontology: Ontology,
    ids: Sequence[str],
    threshold: Threshold = "mean",
    types: Sequence[RelationType] = ("I", "II"),
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
        ids: The ontology's id of each of the K classes, in column order.
        threshold: See `class_thresholds`.
        types: `("I",)`, `("II",)` or both.

    Returns:
        Enhanced 0/1 labels `[N, K]`, of `targets`' type, a superset of `targets`.

    Raises:
        ValueError: Shapes differ, a type is unknown, or a class is not in the ontology.
    """
    if targets.shape != scores.shape or targets.shape[1] != len(ids):
        raise ValueError(
            f"Expected targets and scores [N, {len(ids)}] of one shape, got {targets.shape} and {scores.shape}."
        )
    relations = {"I": ontology.child_relation, "II": ontology.ancestor_relation}
    unknown = set(types) - relations.keys()
    if unknown or not types:
        raise ValueError(f"Expected types from {sorted(relations)}, got {list(types)}.")
    related = np.logical_or.reduce([relations[kind](ids) for kind in types])
    # Float32 counts of proposing labels: a matrix product of booleans would bypass BLAS.
    proposed = (targets > 0).astype(np.float32) @ related.astype(np.float32) > 0
    added = proposed & (scores > class_thresholds(targets, scores, threshold))
    return np.where(added, 1, targets).astype(targets.dtype)
