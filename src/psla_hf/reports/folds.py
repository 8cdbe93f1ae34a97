"""Results of the folds of a cross-validation, together. Knows no runs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from psla_hf.files import write_json
from psla_hf.provenance import provenance

from .tables import METRICS, RESULT_NAMES, metric_text, metric_value, print_table

__all__ = ["FOLDS_FILE", "report_folds"]

FOLDS_FILE = "folds.json"


def report_folds(results: Mapping[str, Mapping[str, Mapping[str, float | None]]], folder: str | Path) -> None:
    """Print and write each fold's figures, their mean and their standard deviation over the folds.

    There is neither where a fold's figure is infinite, as d' of a faultless ranking.

    Args:
        results: By fold, by model, by metric.
        folder: Receives `folds.json`.
    """
    models = list(next(iter(results.values())))
    figures: dict[str, dict[str, dict[str, float | None]]] = {}
    for metric in METRICS:
        rows = {}
        for model in models:
            values = [metric_value(of[model], metric) for of in results.values() if metric in of[model]]
            if len(values) < len(results):
                continue
            mean, deviation, shown = None, None, "not finite"
            if np.isfinite(values).all():
                mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
                shown = f"{metric_text(mean)} ± {metric_text(deviation)}"
            figures.setdefault(model, {})[metric] = {"mean": mean, "standard_deviation": deviation}
            rows[RESULT_NAMES[model]] = [*map(metric_text, values), shown]
        if rows:
            print_table(rows, metric, ["model", *results, "mean ± deviation"])
    write_json({**provenance(), "folds": results, "mean": figures}, Path(folder) / FOLDS_FILE)
