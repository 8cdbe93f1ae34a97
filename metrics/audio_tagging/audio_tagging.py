"""The metrics of audio tagging as a module of `evaluate`. Knows no models, and computes nothing itself.

`evaluate.load` copies this file elsewhere before it imports it, so that it names the package in full.
"""

import datasets
import evaluate
import numpy as np
import pyarrow as pa

from psla_hf.evaluation import class_metrics, tagging_metrics

__all__ = ["AudioTagging"]


_CITATION = """\
@article{gong2021psla,
  title = {{PSLA}: Improving Audio Tagging With Pretraining, Sampling, Labeling, and Aggregation},
  author = {Gong, Yuan and Chung, Yu-An and Glass, James},
  journal = {IEEE/ACM Transactions on Audio, Speech, and Language Processing},
  volume = {29},
  pages = {3292--3306},
  year = {2021},
  doi = {10.1109/TASLP.2021.3120633},
  eprint = {2102.01243},
  archivePrefix = {arXiv}
}
"""

_DESCRIPTION = """\
Mean average precision, mean AUC, d' and, where every clip has exactly one label, accuracy: the metrics of audio tagging
on AudioSet, FSD50K and ESC-50.
"""

_KWARGS_DESCRIPTION = """
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

Examples:
    >>> metric = evaluate.load("metrics/audio_tagging")
    >>> results = metric.compute(predictions=[[0.9, 0.1], [0.7, 0.6], [0.8, 0.2]], references=[[1, 0], [0, 1], [0, 0]])
    >>> results["mAP"], results["AUC"]
    (1.0, 1.0)
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class AudioTagging(evaluate.Metric):
    """Collects scores and labels, batch by batch or from several processes, and computes all metrics at once."""

    def _info(self) -> evaluate.MetricInfo:
        info = evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            # float64, so that no two scores become equal that were not.
            features=datasets.Features(
                {
                    "predictions": datasets.List(datasets.Value("float64")),
                    "references": datasets.List(datasets.Value("float32")),
                }
            ),
            reference_urls=["https://arxiv.org/abs/2102.01243"],
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
