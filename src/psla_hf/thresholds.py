"""From which score on a class counts as heard: chosen on clips that were not trained on. Knows no models."""

import numpy as np

__all__ = ["best_threshold", "choose_thresholds"]


LEAST = 1e-6  # a threshold of 0 would let everything through

FEWEST_POSITIVES = 5  # of a class with fewer, its own best threshold is chance


def choose_thresholds(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The threshold of each class with the highest F1, `[K]`.

    A class with fewer than five positive clips has the one that is best for all classes counted together.

    Args:
        probabilities: Of clips that the model was neither trained nor tested on, `[N, K]`.
        targets: Their 0/1 labels `[N, K]`.
    """
    positive = targets > 0
    of_all = best_threshold(probabilities.ravel(), positive.ravel())
    has_few = positive.sum(axis=0) < FEWEST_POSITIVES
    values = [
        of_all if has_few[k] else best_threshold(probabilities[:, k], positive[:, k]) for k in range(targets.shape[1])
    ]
    return np.array(values)


def best_threshold(scores: np.ndarray, positive: np.ndarray) -> float:
    """The threshold with the highest F1, in the middle between two scores; 0.5 where nothing is positive.

    Args:
        scores: `[N]` in [0, 1].
        positive: Bool `[N]`.
    """
    if not positive.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(positive[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + positive.sum())
    below = np.append(ranked[1:], 0.0)
    f1[ranked == below] = -1.0  # no threshold lies between equal scores
    best = int(f1.argmax())
    return max(float(ranked[best] + below[best]) / 2, LEAST)
