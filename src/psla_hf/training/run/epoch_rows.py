"""A run's metrics from the rows of its epochs: the mean of the last, the best on validation. Knows no files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from psla_hf.reports.tables import metric_value

__all__ = ["best_on_validation", "epochs_since_best", "mean_metrics", "metrics_of"]

Row = Mapping[str, Any]


def metrics_of(row: Row) -> dict[str, float]:
    """The test set's metrics in an epoch's row."""
    return {name: row[name] for name in ("mAP", "AUC", "d_prime", "accuracy", "classes_left_out") if name in row}


def mean_metrics(rows: Sequence[Row]) -> dict[str, float]:
    """Each of the test set's metrics, on average over some epochs; infinite where one of an epoch is, as d' may be."""
    return {name: float(np.mean([metric_value(row, name) for row in rows])) for name in metrics_of(rows[-1])}


def best_on_validation(rows: Sequence[Row]) -> Row:
    """The row of the first epoch with the highest mAP on the validation part."""
    return max(rows, key=lambda row: row["validation_mAP"])


def epochs_since_best(rows: Sequence[Row]) -> int:
    """Epochs since the one that is best on the validation part; 0 before the first."""
    return len(rows) - best_on_validation(rows)["epoch"] if rows else 0
