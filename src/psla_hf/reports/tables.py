"""Results and tags as tables for a terminal. Knows nothing of how they came about."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from rich.console import Console
from rich.table import Table

__all__ = [
    "AGGREGATE_NAMES",
    "METRICS",
    "RESULT_NAMES",
    "mean_metrics",
    "metric_text",
    "metric_value",
    "print_epoch",
    "print_events",
    "print_figures",
    "print_metrics",
    "print_results",
    "print_table",
    "print_tags",
    "short_figure",
]


RESULT_NAMES = {
    "single": "single, as the recipe reports it",
    "last_epoch": "last epoch",
    "averaged": "averaged weights",
    "averaged_reestimated": "averaged weights, BatchNorm anew",
    "ensemble": "checkpoint ensemble",
}

# Of a model made of others; members go by their own names.
AGGREGATE_NAMES = {
    "members_mean": "mean of the members",
    "best_member": "best member",
    "averaged": "averaged weights",
    "ensemble": "ensemble",
}

METRICS = ("mAP", "AUC", "d_prime", "accuracy")


def metric_value(metrics: Mapping[str, Any], metric: str) -> float:
    """A metric of several; where d' is not finite it is null, as JSON has it, and the AUC says what it is.

    It is infinite where every ranking is faultless, or the reverse. Of several rankings of which only some are so there
    is no mean (NaN).
    """
    value = metrics[metric]
    if metric == "d_prime" and value is None:
        return {1.0: math.inf, 0.0: -math.inf}.get(metrics["AUC"], math.nan)
    return value


def mean_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Each metric of the last row on average over all; none where a figure is not finite, see `metric_value`."""
    columns = {name: [metric_value(row, name) for row in rows] for name in rows[-1]}
    return {name: float(np.mean(column)) if np.isfinite(column).all() else None for name, column in columns.items()}


def metric_text(figure: float) -> str:
    """A metric with four digits."""
    return "not finite" if math.isnan(figure) else f"{figure:.4f}".replace("inf", "∞")


def print_epoch(row: Mapping[str, Any]) -> None:
    """An epoch's metrics on one line."""
    metrics = "  ".join(f"{metric} {metric_text(metric_value(row, metric))}" for metric in METRICS if metric in row)
    speed = f"{row['seconds']:.0f} s, {row['clips_per_second']:.1f} clips/s, {row['waiting']:.0%} waiting for data"
    print(f"epoch {row['epoch']:>3}  loss {row['loss']:.4f}  {metrics}  ({speed})", flush=True)


def print_metrics(rows: Mapping[str, Mapping[str, Any]], title: str, first_column: str = "model") -> None:
    """One row per named set of metrics; a column for each metric that some row has."""
    shown = [metric for metric in METRICS if any(metric in metrics for metrics in rows.values())]
    cells = {
        name: [metric_text(metric_value(metrics, metric)) if metric in metrics else "" for metric in shown]
        for name, metrics in rows.items()
    }
    print_table(cells, title, [first_column, *shown])
    left_out = max((int(metrics.get("classes_left_out", 0)) for metrics in rows.values()), default=0)
    if left_out:
        print(f"{left_out} classes left out of the means: without positive or without negative clips.")


class Published(Protocol):
    """Figures to be measured against, such as a recipe's `Target`."""

    @property
    def metric(self) -> str:
        """Which metric they are of."""

    @property
    def figures(self) -> Mapping[str, float]:
        """By what was measured."""

    @property
    def source(self) -> str:
        """Who printed them."""

    @property
    def note(self) -> str:
        """What else must be so for a fair comparison."""


def print_results(results: Mapping[str, Mapping[str, float]], title: str, target: Published | None = None) -> None:
    """A run's results, beside the figures that they are to be measured against."""
    rows = {RESULT_NAMES.get(name, name): metrics for name, metrics in results.items()}
    if target is not None:
        for name, figure in target.figures.items():
            rows[f"for comparison: {name.replace('_', ' ')}"] = {target.metric: figure}
    print_metrics(rows, title)
    if target is not None:
        print(f"Measured against: {target.source}. {target.note}".strip())


def print_figures(rows: Mapping[str, Mapping[str, float | str]], title: str, first_column: str = "") -> None:
    """One row per name, a column per figure, as they come; words stay as they are."""
    columns = [column.replace("_", " ") for column in next(iter(rows.values()))]
    cells = {name: [short_figure(figure, 4) for figure in figures.values()] for name, figures in rows.items()}
    print_table(cells, title, [first_column, *columns])


def print_table(rows: Mapping[str, Sequence[str]], title: str, columns: Sequence[str]) -> None:
    """One row per name, which is in the first column, with its figures in words."""
    table = Table()
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    _print(title, table)


def print_tags(tags: Sequence[Mapping], title: str, true_labels: Sequence[str] | None = None) -> None:
    """Tags with their scores; with `true_labels`, a column that says which are true."""
    table = Table("tag")
    table.add_column("score", justify="right")
    if true_labels is not None:
        table.add_column("true label")
    for tag in tags:
        truth = [] if true_labels is None else ["yes" if tag["label"] in true_labels else "no"]
        table.add_row(tag["label"], f"{tag['score']:.3f}", *truth)
    _print(title, table)


def print_events(events: Sequence[tuple[float, float, str, float]], title: str) -> None:
    """Events `(onset, offset, label, score)`, one a line."""
    table = Table()
    for column in ("from", "to"):
        table.add_column(column, justify="right")
    table.add_column("event")
    table.add_column("score", justify="right")
    for onset, offset, label, score in events:
        table.add_row(f"{onset:.2f} s", f"{offset:.2f} s", label, f"{score:.3f}")
    _print(title, table)


def short_figure(figure: float | str, digits: int = 3) -> str:
    """A figure with so many digits; words stay as they are."""
    if isinstance(figure, str):
        return figure
    return f"{figure:,.{digits}g}" if abs(figure) < 10 ** (digits - 1) else f"{figure:,.0f}"


def _print(title: str, table: Table) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(title, style="bold", soft_wrap=True)
    console.print(table)
