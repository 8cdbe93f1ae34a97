"""Runs and samplers as figures. Draws what it is given as numbers; knows no audio and no models.

Needs matplotlib: `pip install psla-hf[plots]`. Every figure is an object of its own, without pyplot and its global
state; `save` writes it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from psla_hf.labels.vocabulary import ClipLabels
from psla_hf.loading.sampler import balanced_weights

__all__ = [
    "averaging_curves",
    "class_ap",
    "class_difference",
    "class_draws",
    "expected_draws",
    "learning_curves",
    "never_drawn",
    "save",
    "unseen_shares",
]


NAMED_CLASSES = 60  # more rows of class names than these are not readable on a screen


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG; its folder is made if need be."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=120)


def learning_curves(runs: Mapping[str, Sequence[Mapping]]) -> Figure:
    """Mean average precision and training loss over the epochs, a line per run.

    Args:
        runs: By name, the rows of `read_epochs`; an epoch whose evaluation has not ended has a loss only.

    Raises:
        ValueError: There is no run, or a row lacks a figure.
    """
    figure, (precision, loss) = _panels(2, (10, 4))
    for name, rows in _some(runs).items():
        epochs = _figures(rows, "epoch", name)
        loss.plot(epochs, _figures(rows, "loss", name), marker=".", label=name)
        evaluated = {row["epoch"]: row["mAP"] for row in rows if "mAP" in row}
        precision.plot(list(evaluated), list(evaluated.values()), marker=".", label=name)
    for axes, title in ((precision, "mAP on the evaluation clips"), (loss, "mean training loss")):
        axes.set(xlabel="epoch", ylabel=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    _legend(precision)
    return figure


def averaging_curves(curves: Mapping[str, Sequence[Mapping]]) -> Figure:
    """Mean average precision against the epoch that averaging starts from (the paper's Fig. 8), two lines per run.

    One line is of averaged weights, one of the checkpoint ensemble; both end in the last epoch by itself. Early epochs
    by themselves are so much lower that beside them nothing else would be seen.

    Args:
        curves: By the run's name, the rows of `read_curve`.

    Raises:
        ValueError: There is no run, or a row lacks a figure.
    """
    figure, (axes,) = _panels(1, (7, 4.5))
    styles = {"averaged": ("o-", "averaged weights"), "ensemble": ("s--", "checkpoint ensemble")}
    for number, (run, rows) in enumerate(_some(curves).items()):
        epochs = _figures(rows, "epoch", run)
        for what, (style, title) in styles.items():
            values = _figures(_figures(rows, what, run), "mAP", f"{what} of {run}")
            axes.plot(epochs, values, style, color=f"C{number}", markersize=4, label=f"{run}: {title}")
    axes.set(xlabel="first epoch of those averaged, up to the last", ylabel="mAP on the evaluation clips")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    _legend(axes, fontsize="small")
    return figure


def class_ap(results: Mapping[str, Mapping]) -> Figure:
    """Average precision of every class as bars, the first run's highest on top.

    Of more classes than fit the bars show both ends, and a panel beside them has all. Classes that cannot be ranked are
    left out, and the title says how many.

    Args:
        results: By the run's name, its result file (`read_results`).

    Raises:
        ValueError: There is no run, the runs' classes differ, or a run has no figures per class.
    """
    names, values = _per_class(results)
    figure = _classes(names, values, "average precision")
    figure.axes[0].set_xlim(0, 1)
    return figure


def class_difference(results: Mapping[str, Mapping]) -> Figure:
    """By how much the second run's average precision is above the first's, class by class, largest gain first.

    Args:
        results: By the run's name, the result files (`read_results`) of two runs.

    Raises:
        ValueError: There are not two runs, their classes differ, or one has no figures per class.
    """
    if len(results) != 2:
        raise ValueError(f"Expected two runs to compare class by class, got {len(results)}: {list(results)}.")
    names, values = _per_class(results)
    (first, before), (second, after) = values.items()
    figure = _classes(names, {f"{second} minus {first}": after - before}, "difference in average precision")
    figure.axes[0].axvline(0, color="black", linewidth=0.8)
    return figure


def class_draws(labels: ClipLabels) -> Figure:
    """How often clips with each class are drawn in an epoch, plain and balanced, against how many there are."""
    figure, (axes,) = _panels(1, (6, 4.5))
    counts = labels.class_counts()
    there = counts > 0
    axes.plot(counts[there], counts[there], ".", label="plain: every clip once")
    axes.plot(counts[there], expected_draws(labels)[there], ".", label="balanced: expected draws")
    axes.set(
        xscale="log", yscale="log", xlabel="clips with the class", ylabel="draws of clips with the class per epoch"
    )
    axes.set_title(_amounts(labels, there.sum()), fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def never_drawn(labels: ClipLabels, epochs: int = 30, mixup_rate: float = 0.5) -> Figure:
    """Share of the clips that no epoch has used yet: plain, balanced, and balanced with mixup.

    Args:
        labels: Of N clips.
        epochs: How many to show.
        mixup_rate: Share of draws that have a partner, drawn uniformly.
    """
    figure, (axes,) = _panels(1, (6, 4.5))
    passed = np.arange(epochs + 1)
    axes.plot(passed, np.where(passed, 0.0, 100.0), label="plain: every clip once")
    for rate, label in ((0.0, "balanced"), (mixup_rate, f"balanced, mixup rate {mixup_rate:g}")):
        axes.plot(passed, 100 * unseen_shares(labels, epochs, rate), marker=".", label=label)
    axes.set(xlabel="epochs", ylabel="clips never drawn (%)", ylim=(-2, 102))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(_amounts(labels, (labels.class_counts() > 0).sum()), fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def expected_draws(labels: ClipLabels) -> np.ndarray:
    """How many of an epoch's N balanced draws have each class, as expected by the law: float64 `[K]`."""
    draws = len(labels) * _chances(labels)
    return np.bincount(labels.values, weights=np.repeat(draws, np.diff(labels.offsets)), minlength=labels.num_classes)


def unseen_shares(labels: ClipLabels, epochs: int, mixup_rate: float = 0.0) -> np.ndarray:
    """Expected share of the clips that balanced sampling has not used after 0, 1, … epochs of N draws.

    A draw leaves clip i alone with probability 1 - p_i, and so does its partner in a mixup, which it has with
    probability `mixup_rate` and which is any clip, with 1 - 1 / N.

    Args:
        labels: Of N clips.
        epochs: How many.
        mixup_rate: Share of draws that have a partner, drawn uniformly.

    Returns:
        Float64 `[epochs + 1]`, beginning with 1.

    Raises:
        ValueError: There are no epochs, or the probability is none.
    """
    if epochs < 1 or not 0 <= mixup_rate <= 1:
        raise ValueError(f"Expected epochs of 1 or more and mixup_rate from 0 to 1, got {epochs} and {mixup_rate}.")
    num_clips = len(labels)
    left_alone = (1 - _chances(labels)) * (1 - mixup_rate / num_clips)
    return np.array([(left_alone ** (num_clips * epoch)).mean() for epoch in range(epochs + 1)])


def _chances(labels: ClipLabels) -> np.ndarray:
    weights = balanced_weights(labels)
    return weights / weights.sum()


def _amounts(labels: ClipLabels, classes: int) -> str:
    return f"{len(labels):,} clips, {classes} classes that occur"


def _some(runs: Mapping[str, Any]) -> Mapping[str, Any]:
    if not runs:
        raise ValueError("Expected at least one run to draw, got none.")
    return runs


def _figures(rows: Sequence[Mapping], figure: str, run: str) -> list[Any]:
    """One figure of every row."""
    for place, row in enumerate(rows, start=1):
        if figure not in row:
            raise ValueError(f"Expected {figure!r} in every row of {run}; row {place} has {sorted(row)}.")
    return [row[figure] for row in rows]


def _result(content: Mapping, figure: str, run: str) -> Any:
    """One of the entries of a run's result file."""
    if figure not in content:
        raise ValueError(
            f"Expected {figure!r} in the results of {run}, got {sorted(content)}: the run was not made to measure it, "
            "or by a version that did not record it."
        )
    return content[figure]


def _per_class(results: Mapping[str, Mapping]) -> tuple[list[str], dict[str, np.ndarray]]:
    """The classes, and each run's average precision `[K]`, NaN where a class cannot be ranked."""
    first, *_ = _some(results)
    names = _result(results[first], "classes", first)
    values = {}
    for run, content in results.items():
        if _result(content, "classes", run) != names:
            raise ValueError(f"Expected runs with the same classes in the same order; those of {run} differ.")
        values[run] = np.array(_result(content, "per_class", run)["AP"], dtype=float)
    return names, values


def _classes(names: Sequence[str], values: Mapping[str, np.ndarray], quantity: str) -> Figure:
    """Bars of the classes, highest first value on top; of too many only both ends, beside a panel that has all."""
    first = next(iter(values.values()))
    order = np.argsort(-first, kind="stable")
    ranked = order[np.isfinite(first[order])]
    half = NAMED_CLASSES // 2
    crowded = len(ranked) > NAMED_CLASSES
    shown = np.concatenate([ranked[:half], ranked[-half:]]) if crowded else ranked
    bars = {run: of_run[shown] for run, of_run in values.items()}
    height = 1.5 + len(shown) * max(0.18, 0.1 * len(values))
    figure, panels = _panels(2 if crowded else 1, (12 if crowded else 7, height))
    _bars(panels[0], [names[k] for k in shown], bars)
    panels[0].set_xlabel(quantity)
    if crowded:
        panels[0].axhline(half - 0.5, color="black", linestyle=":")
        panels[0].set_ylabel(f"the {half} highest and the {half} lowest of {len(ranked)} classes")
        for run, of_run in values.items():
            panels[1].plot(of_run[ranked], ".", label=run)
        panels[1].set_xlabel(f"all {len(ranked)} classes, in the order of {next(iter(values))}", parse_math=False)
        panels[1].set_ylabel(quantity)
        panels[1].grid(alpha=0.3)
    left_out = len(names) - len(ranked)
    if left_out:
        figure.suptitle(f"{left_out} of {len(names)} classes left out: without positive or without negative clips")
    return figure


def _bars(axes: Axes, names: Sequence[str], values: Mapping[str, np.ndarray]) -> None:
    """Horizontal bars, first class on top, one bar per run within a class's row."""
    thickness = 0.8 / len(values)
    rows = np.arange(len(names))
    for place, (run, of_run) in enumerate(values.items()):
        axes.barh(rows + (place - (len(values) - 1) / 2) * thickness, of_run, thickness, label=run)
    axes.set_yticks(rows, names, fontsize="small", parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    _legend(axes, loc="lower left", bbox_to_anchor=(0, 1))  # above the bars, which leave no corner free


def _legend(axes: Axes, **looks: Any) -> None:
    """The names of the runs, of which none is a formula."""
    for name in axes.legend(**looks).get_texts():
        name.set_parse_math(False)


def _panels(number: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """An empty figure of so many inches, and its axes side by side."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(1, number, squeeze=False).flat)
