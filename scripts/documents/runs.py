"""Figures of runs of recipes: ESC-10 by folds, and the demo. Knows no benchmarks and no studies."""

from collections.abc import Mapping

import numpy as np

from psla_hf.reports.markdown import markdown_figures, markdown_origin
from scripts.demo import enhancement_sentence, letter_rows

from .results import result

RESULT_COLUMNS = {"averaged weights": "averaged", "last epoch": "last_epoch", "checkpoint ensemble": "ensemble"}

RUNS = {
    "ImageNet weights": "esc10_fold1_imagenet",
    "random weights": "esc10_fold1_random",
}


def runs() -> str:
    return f"{markdown_results({name: result(file) for name, file in RUNS.items()})}\n\n{killed()}"


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


def killed() -> str:
    """What came of the same run, killed and resumed, with BatchNorm's statistics of the average estimated anew."""
    straight, resumed = result(RUNS["ImageNet weights"]), result("esc10_fold1_killed_and_resumed")
    for name, metrics in straight["results"].items():
        if resumed["results"][name] != metrics:
            raise ValueError(f"Expected the resumed run to end as the other one did, its {name} differs.")
    anew = resumed["results"]["averaged_reestimated"]
    return (
        "The run with ImageNet weights once more, killed twice by SIGKILL and resumed, ended with the same figures and "
        f"weights to the bit (`{resumed['command']}`); with BatchNorm's statistics estimated anew, the averaged "
        f"weights reach {anew['accuracy']:.1%} / {anew['mAP']:.3f}."
    )


def folds() -> str:
    return markdown_folds({str(fold): result(f"esc10_fold{fold}_imagenet") for fold in range(1, 6)})


def letters() -> str:
    """The demo's table."""
    content = result("demo")
    figures = letter_rows(content["results"])
    return markdown_figures(figures, f"mean ± standard deviation over {len(content['results'])} seeds")


def demo() -> str:
    content = result("demo")
    scenes = content["scenes"]
    return (
        f"{letters()}\n\n{scenes['train']} scenes to train on for each seed, {scenes['test']} to test on. "
        f"{enhancement_sentence(content['results'])} {markdown_origin(content)}."
    )
