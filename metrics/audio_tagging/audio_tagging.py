"""The metrics of audio tagging as a module of `evaluate`. Knows no models, and computes nothing itself.

`evaluate.load` copies this file elsewhere before it imports it, so that it names the package in full.
"""

import datasets
import evaluate
import numpy as np
import pyarrow as pa

from psla_hf.evaluation import class_metrics, tagging_metrics

__all__ = ["TaggingMetric"]


DESCRIPTION = "Mean average precision, mean AUC, d' and, where every clip has exactly one label, accuracy."

INPUTS = """
Args:
    predictions: Scores `[N, K]`; any that rank clips per class will do.
    references: 0/1 labels `[N, K]`.

Returns:
    mAP, AUC: Means over the classes that have both positive and negative clips.
    d_prime: √2·Φ⁻¹(AUC).
    accuracy: Only where every clip has exactly one label.
    classes_left_out: Number of classes without positive or without negative clips: there is nothing to rank.
    left_out: Their indices.
    per_class: `AP` and `AUC` of each of the K classes; none for those left out.
"""


class TaggingMetric(evaluate.Metric):
    """Collects scores and labels, batch by batch or from several processes, and computes all metrics at once."""

    def _info(self) -> evaluate.MetricInfo:
        info = evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            # float64, so that no two scores become equal that were not.
            features=datasets.Features(
                {
                    "predictions": datasets.List(datasets.Value("float64")),
                    "references": datasets.List(datasets.Value("float32")),
                }
            ),
        )
        # The constructor takes a format for plain values only. Without one every score and label becomes a Python
        # object: 21 million of them for 20,000 clips of 527 classes.
        info.format = "arrow"
        return info

    def _compute(self, predictions: pa.ChunkedArray, references: pa.ChunkedArray) -> dict:
        scores, targets = _matrix(predictions, "predictions"), _matrix(references, "references")
        per_class = class_metrics(scores, targets)
        return {
            **tagging_metrics(scores, targets, per_class),
            "left_out": [k for k, figure in enumerate(per_class["AP"]) if figure is None],
            "per_class": per_class,
        }


def _matrix(rows: pa.ChunkedArray, what: str) -> np.ndarray:
    """A list column as `[N, K]`."""
    lists = rows.combine_chunks()
    lengths = np.unique(lists.value_lengths().to_numpy())
    if len(lengths) != 1:
        raise ValueError(f"Expected {what} [N, K], one figure per class for every clip, got rows of {lengths} figures.")
    return lists.flatten().to_numpy().reshape(len(lists), -1)
