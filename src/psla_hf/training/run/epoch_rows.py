"""A run's metrics from the rows of its epochs, and which is the best on validation. Knows no files."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["best_on_validation", "epochs_since_best", "metrics_of"]

Row = Mapping[str, Any]


def metrics_of(row: Row) -> dict[str, float]:
    """The test set's metrics in an epoch's row."""
    return {name: row[name] for name in ("mAP", "AUC", "d_prime", "accuracy", "classes_left_out") if name in row}


def best_on_validation(rows: Sequence[Row]) -> Row:
    """The row of the first epoch with the highest mAP on the validation part."""
    return max(rows, key=lambda row: row["validation_mAP"])


def epochs_since_best(rows: Sequence[Row]) -> int:
    """Epochs since the one that is best on the validation part; 0 before the first."""
    return len(rows) - best_on_validation(rows)["epoch"] if rows else 0
