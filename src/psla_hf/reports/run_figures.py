"""The figures of a run's report: intervals, confusions, calibration, mistakes. Knows no files and no page."""

from typing import NamedTuple

import numpy as np

__all__ = ["Mistake", "average_precision", "bootstrap_intervals", "calibration", "confusions", "worst_mistakes"]


RESAMPLES = 300

BINS = 10


class Mistake(NamedTuple):
    """A clip's score that is far from its label."""

    clip: int
    label: int
    score: float
    is_missed: bool


def average_precision(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """AP of each class `[K]`; NaN for one without a positive clip. Scores that are equal share a place.

    Args:
        probabilities: `[N, K]`.
        targets: 0/1 labels `[N, K]`.
    """
    order = np.argsort(-probabilities, axis=0, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=0)
    hits = np.take_along_axis(targets, order, axis=0).astype(float)
    found = np.cumsum(hits, axis=0)
    precision = found / np.arange(1, len(hits) + 1)[:, None]
    # The precision at a threshold counts all clips of the same score.
    ends = np.append(ranked[1:] != ranked[:-1], np.ones((1, ranked.shape[1]), bool), axis=0)
    last = np.where(ends, np.arange(len(hits))[:, None], len(hits))
    last = np.minimum.accumulate(last[::-1], axis=0)[::-1]
    at_end = np.take_along_axis(precision, last, axis=0)
    with np.errstate(invalid="ignore"):
        return (at_end * hits).sum(axis=0) / hits.sum(axis=0)


def bootstrap_intervals(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """95 % intervals of each class's AP `[K, 2]`, over resampled clips; NaN where a class has no positive clip.

    Resamples keep the numbers of positive and of other clips of each class: an AP depends on them. Of the other clips
    it depends only on how many score at least as high as each positive one, so that these counts are drawn.
    """
    rng = np.random.default_rng(0)
    intervals = np.full((targets.shape[1], 2), np.nan)
    for k in range(targets.shape[1]):
        scores, positive = -probabilities[:, k], targets[:, k] > 0  # the smallest first
        if not positive.any():
            continue
        levels, hits = np.unique(scores[positive], return_counts=True)
        others = np.bincount(np.searchsorted(levels, scores[~positive]), minlength=len(levels) + 1)
        drawn_hits, drawn_others = (
            rng.multinomial(counts.sum(), counts / max(1, counts.sum()), RESAMPLES) for counts in (hits, others)
        )
        found = np.cumsum(drawn_hits, axis=1)
        ranks = found + np.cumsum(drawn_others[:, :-1], axis=1)
        precision = found / np.maximum(ranks, 1)  # where nothing is found it has no weight
        intervals[k] = np.quantile((drawn_hits * precision).sum(axis=1) / hits.sum(), (0.025, 0.975))
    return intervals


def calibration(probabilities: np.ndarray, targets: np.ndarray) -> tuple[list[tuple[float, float, int]], float]:
    """Mean score, share of positives and number of all decisions by tenths of the score; and the expected error."""
    scores, positive = probabilities.ravel(), targets.ravel() > 0
    place = np.minimum((scores * BINS).astype(int), BINS - 1)
    bins = []
    for number in range(BINS):
        inside = place == number
        if inside.any():
            bins.append((float(scores[inside].mean()), float(positive[inside].mean()), int(inside.sum())))
    error = sum(count * abs(mean - share) for mean, share, count in bins) / len(scores)
    return bins, float(error)


def confusions(probabilities: np.ndarray, targets: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, bool]:
    """How often a class was missed and which was heard instead, `[K, K]`, and whether it is a confusion matrix.

    It is if every clip has one label: rows are true classes, columns the highest score. Else a cell counts clips in
    which the row's class was missed and the column's was heard without being there.
    """
    num_classes = targets.shape[1]
    if (targets.sum(axis=1) == 1).all():
        matrix = np.zeros((num_classes, num_classes), int)
        np.add.at(matrix, (targets.argmax(axis=1), probabilities.argmax(axis=1)), 1)
        return matrix, True
    heard = probabilities >= thresholds
    missed, false = (targets > 0) & ~heard, heard & (targets == 0)
    return np.rint(missed.astype(np.float32).T @ false.astype(np.float32)).astype(int), False


def worst_mistakes(probabilities: np.ndarray, targets: np.ndarray, number: int) -> list[Mistake]:
    """The scores farthest from their labels, one of each clip: high where nothing is, low where something is."""
    distance = np.abs(probabilities - targets)
    labels = distance.argmax(axis=1)
    worst = np.argsort(-distance[np.arange(len(labels)), labels], kind="stable")[:number]
    found = []
    for clip in worst.tolist():
        label = int(labels[clip])
        if distance[clip, label] > 0.5:
            found.append(Mistake(clip, label, float(probabilities[clip, label]), bool(targets[clip, label])))
    return found
