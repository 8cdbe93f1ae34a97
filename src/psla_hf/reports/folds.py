"""Results of the folds of a cross-validation, together. Knows no runs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from psla_hf.files import write_json
from psla_hf.provenance import provenance

from .tables import METRICS, RESULT_NAMES, metric_text, print_table

__all__ = ["FOLDS_FILE", "report_folds"]

FOLDS_FILE = "folds.json"


def report_folds(results: Mapping[str, Mapping[str, Mapping[str, float]]], folder: str | Path) -> None:
    """Print and write each fold's figures, their mean and their standard deviation over the folds.

    Args:
        results: By fold, by model, by metric.
        folder: Receives `folds.json`.
    """
    models = list(next(iter(results.values())))
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for metric in METRICS:
        rows = {}
        for model in models:
            values = [of_fold[model][metric] for of_fold in results.values() if metric in of_fold[model]]
            if len(values) < len(results):
                continue
            mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
            figures.setdefault(model, {})[metric] = {"mean": mean, "standard_deviation": deviation}
            rows[RESULT_NAMES[model]] = [*map(metric_text, values), f"{metric_text(mean)} ± {metric_text(deviation)}"]
        if rows:
            print_table(rows, metric, ["model", *results, "mean ± deviation"])
    write_json({**provenance(), "folds": results, "mean": figures}, Path(folder) / FOLDS_FILE)
