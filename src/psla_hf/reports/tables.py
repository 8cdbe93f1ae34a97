"""Results and tags as tables, for a terminal or in Markdown. Knows nothing of how they came about."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from psla_hf.training.recipes import TARGETS

__all__ = [
    "AGGREGATE_NAMES",
    "METRICS",
    "RESULT_NAMES",
    "markdown_figures",
    "markdown_folds",
    "markdown_origin",
    "markdown_results",
    "metric_text",
    "print_added_labels",
    "print_epoch",
    "print_figures",
    "print_metrics",
    "print_results",
    "print_speed",
    "print_tags",
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

RESULT_COLUMNS = {"averaged weights": "averaged", "last epoch": "last_epoch", "checkpoint ensemble": "ensemble"}

METRICS = ("mAP", "AUC", "d_prime", "accuracy")


def metric_text(figure: float | None) -> str:
    """A metric with four digits; d' of a faultless ranking is infinite, which JSON holds as null."""
    return "∞" if figure is None or figure == math.inf else f"{figure:.4f}"


def print_epoch(row: Mapping[str, float]) -> None:
    """An epoch's metrics on one line."""
    metrics = "  ".join(f"{metric} {metric_text(row[metric])}" for metric in METRICS if metric in row)
    speed = f"{row['seconds']:.0f} s, {row['clips_per_second']:.1f} clips/s, {row['waiting']:.0%} waiting for data"
    print(f"epoch {row['epoch']:>3}  loss {row['loss']:.4f}  {metrics}  ({speed})", flush=True)


def print_metrics(rows: Mapping[str, Mapping[str, float]], title: str, first_column: str = "model") -> None:
    """One row per named set of metrics; a column for each metric that some row has."""
    table = Table()
    shown = [metric for metric in METRICS if any(metric in metrics for metrics in rows.values())]
    table.add_column(first_column, no_wrap=True)
    for metric in shown:
        table.add_column(metric, justify="right")
    for name, metrics in rows.items():
        table.add_row(name, *(metric_text(metrics[metric]) if metric in metrics else "" for metric in shown))
    _print(title, table)
    left_out = max((int(metrics.get("classes_left_out", 0)) for metrics in rows.values()), default=0)
    if left_out:
        print(f"{left_out} classes left out of the means: without positive or without negative clips.")


def print_results(results: Mapping[str, Mapping[str, float]], recipe: str) -> None:
    """A run's results, beside the figures that the recipe is to be measured against."""
    rows = {RESULT_NAMES.get(name, name): metrics for name, metrics in results.items()}
    target = TARGETS.get(recipe)
    if target is not None:
        for name, figure in target.figures.items():
            rows[f"for comparison: {name.replace('_', ' ')}"] = {target.metric: figure}
    print_metrics(rows, recipe)
    if target is not None:
        print(f"Measured against: {target.source}. {target.note}".strip())


def print_speed(results: Mapping[str, Mapping], title: str) -> None:
    """Clips per second and how many times as long each way takes as the first; then where the first one's time goes."""
    table = Table()
    table.add_column("way", no_wrap=True)
    table.add_column("clips/s", justify="right")
    table.add_column("time, first = 1", justify="right")
    for name, result in results.items():
        table.add_row(name, f"{result['clips_per_second']:.0f}", f"{result['ratio']:.2f}")
    _print(title, table)
    first, result = next(iter(results.items()))
    print(
        f"Where {first}'s time goes: " + ", ".join(f"{op} {share:.0%}" for op, share in result["time_shares"].items())
    )


def print_figures(rows: Mapping[str, Mapping[str, float | str]], title: str, first_column: str = "") -> None:
    """One row per name, a column per figure, as they come; words stay as they are."""
    table = Table()
    table.add_column(first_column, no_wrap=True)
    for column in next(iter(rows.values())):
        table.add_column(column.replace("_", " "), justify="right")
    for name, figures in rows.items():
        table.add_row(name, *(_short(figure, 4) for figure in figures.values()))
    _print(title, table)


def print_tags(tags: Sequence[Mapping], title: str, true_labels: Sequence[str] | None = None) -> None:
    """Tags with their scores; with `true_labels`, a column that says which are true."""
    table = Table()
    table.add_column("tag")
    table.add_column("score", justify="right")
    if true_labels is not None:
        table.add_column("true label")
    for tag in tags:
        row = [tag["label"], f"{tag['score']:.3f}"]
        if true_labels is not None:
            row.append("yes" if tag["label"] in true_labels else "no")
        table.add_row(*row)
    _print(title, table)


def print_added_labels(given: np.ndarray, enhanced: np.ndarray, truth: np.ndarray) -> None:
    """How many labels an enhancement added, and how many of them are true; all three are 0/1 labels `[N, K]`."""
    added, missing = (enhanced > given), (truth > given)
    right = int((added & missing).sum())
    print(
        f"\nLabel enhancement added {int(added.sum())} labels ({added.sum() / given.sum():.1%}), {right} of them "
        f"true; {int(missing.sum())} were missing."
    )


def markdown_figures(rows: Mapping[str, Mapping[str, float | str]], first_column: str) -> str:
    """The same as a Markdown table."""
    columns = list(next(iter(rows.values())))
    lines = [
        f"| {first_column} | " + " | ".join(column.replace("_", " ") for column in columns) + " |",
        "| --- |" + " --- |" * len(columns),
    ]
    return "\n".join(
        [*lines, *(f"| {name} | " + " | ".join(_short(row[c]) for c in columns) + " |" for name, row in rows.items())]
    )


def markdown_origin(result: Mapping) -> str:
    """Where figures come from: command, commit and machine of a result file."""
    machine, versions = result["machine"], result["versions"]
    where = machine["accelerator"] or f"{machine['cpus']} CPU core{'s' if machine['cpus'] > 1 else ''}"
    source = f"commit {result['commit']}" if result["commit"] else f"psla-hf {result['psla_hf']}, not from a git tree"
    return f"`{result['command']}`, {source}, {where}, torch {versions['torch']}"


def markdown_results(runs: Mapping[str, Mapping]) -> str:
    """A Markdown table of training runs, with what each figure needs to be believed below it.

    Args:
        runs: What `results.json` holds, by the name of the row.

    Raises:
        KeyError: A run lacks a figure: a missing number is an error, not a dash.
    """
    lines = _result_rows("run", {name: run["results"] for name, run in runs.items()})
    for name, run in runs.items():
        clips = run["clips"]
        lines.append("")
        lines.append(
            f"{name}: {markdown_origin(run)}, seed {run['seed']}, {clips['train']} clips to train on, {clips['test']} "
            "to test on."
        )
    return "\n".join(lines)


def markdown_folds(runs: Mapping[str, Mapping]) -> str:
    """A Markdown table of a cross-validation: the mean over the folds and each of them; clips are counted alike.

    Args:
        runs: What `results.json` holds, by fold; one recipe, commit and seed.

    Raises:
        ValueError: The runs differ in more than their data and their command.
        KeyError: A run lacks a figure.
    """
    for what in ("recipe", "commit", "seed", "versions"):
        if any(run[what] != next(iter(runs.values()))[what] for run in runs.values()):
            raise ValueError(f"Expected folds of one cross-validation, their {what} differ.")
    results = {fold: run["results"] for fold, run in runs.items()}
    weights = [run["clips"]["test"] for run in runs.values()]
    mean = {
        kind: {
            metric: float(np.average([of_fold[kind][metric] for of_fold in results.values()], weights=weights))
            for metric in ("accuracy", "mAP")
        }
        for kind in RESULT_COLUMNS.values()
    }
    first = next(iter(runs.values()))
    lines = _result_rows("fold", {f"**all {len(runs)}**": mean, **results})
    origin = f"{markdown_origin(first)}, seed {first['seed']}, and likewise for the other folds."
    return "\n".join([*lines, "", origin])


def _result_rows(first_column: str, results: Mapping[str, Mapping]) -> list[str]:
    """The lines of a Markdown table: accuracy and mAP of the averaged weights, the last epoch and the ensemble."""
    lines = [
        f"| {first_column} | " + " | ".join(f"{column}: accuracy / mAP" for column in RESULT_COLUMNS) + " |",
        "| --- |" + " --- |" * len(RESULT_COLUMNS),
    ]
    for name, of_run in results.items():
        cells = (of_run[key] for key in RESULT_COLUMNS.values())
        lines.append(f"| {name} | " + " | ".join(f"{c['accuracy']:.1%} / {c['mAP']:.3f}" for c in cells) + " |")
    return lines


def _short(figure: float | str, digits: int = 3) -> str:
    if isinstance(figure, str):
        return figure
    return f"{figure:,.{digits}g}" if abs(figure) < 10 ** (digits - 1) else f"{figure:,.0f}"


def _print(title: str, table: Table) -> None:
    console = Console(highlight=False)
    console.print(title, style="bold", soft_wrap=True, markup=False)
    console.print(table)
