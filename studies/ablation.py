"""The paper's ablation on real sounds: what PSLA loses where one of its ingredients is left out.

    python -m studies.ablation --data-dir esc10 --work runs/ablation --seeds 0 1 2 --output RESULTS.json

Mixtures of ESC-10's clips at known levels have a long tail, classes above their own, and have lost 30 % of their
labels; those to test on are of the held-out fold's clips, alike in all classes, the same for all seeds, and whole.
Each seed draws its own mixtures, and which classes are rare. The labels are enhanced with the scores of the model that
goes without enhancement, as in the paper.

A run that is finished in the work folder is not run again, and one that was killed goes on: rows and seeds can be
trained one at a time, or by several processes at once. Then all figures are of what is there.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from accelerate import Accelerator
from datasets import Dataset

from psla_hf.commands.arguments import command_line
from psla_hf.data.load import load_esc
from psla_hf.data.schema import targets_of, with_targets
from psla_hf.enhancement.algorithm import Threshold, enhance_labels
from psla_hf.evaluation import score_clips, tagging_metrics
from psla_hf.files import read_json, write_json
from psla_hf.models.saved import load_saved
from psla_hf.provenance import provenance
from psla_hf.reports.run_figures import average_precision
from psla_hf.reports.tables import print_epoch, print_figures
from psla_hf.training.build import make_accelerator
from psla_hf.training.recipe import Recipe
from psla_hf.training.recipes import ABLATIONS, ESC10, TARGETS
from psla_hf.training.run.folder import RESULTS_FILE
from psla_hf.training.run.scores import read_scores
from psla_hf.training.run.settings import RunSettings
from psla_hf.training.trainer import Trainer
from studies.label_enhancement import added_labels, over_seeds
from studies.mixtures import MIXTURE_CLASSES, make_mixtures, mixture_ontology

__all__ = ["ABLATION_RECIPE", "ROWS", "Row", "ablation_rows", "aggregation_rows", "figures", "train_seed"]


LONG_TAIL = 200.0  # of the chances; mixtures have several classes, and in 640 of them the ratio is 50 or more

MISSING_LABELS = 0.3

SIZES = (640, 320)  # mixtures to train and to test on

TEST_SEED = 1000

THRESHOLD: Threshold = 25  # as the study of enhancement found best, on another fold

RESAMPLES = 1000

# ESC-10's settings on clips half as long.
ABLATION_RECIPE = ESC10.replace(
    max_length=256, epochs=12, halve_from_epoch=6, halve_every=2, time_mask=48, average_last=4
)

FULL, TEACHER, PLAIN = "PSLA", "no label enhancement", "plain"

LABELS = "labels.json"  # of a seed: how many were given, missing and added, and how many of those are true

FREQUENT, RARE = "the five frequent sounds", "the five rare ones"

LAST, AVERAGED, ENSEMBLE = "last epoch", "averaged", "ensemble of epochs"

# What `results.json` calls them.
MODELS = {LAST: "last_epoch", AVERAGED: "averaged", ENSEMBLE: "ensemble"}


@dataclass(frozen=True)
class Row:
    """A row of the ablation.

    Args:
        changes: To the recipe.
        enhanced: Whether it learns from enhanced labels, and not from the given ones.
        paper: Which of the paper's variants it is, as `recipes.TARGETS` names them.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    enhanced: bool = True
    paper: str | None = None


# The teacher comes first: its scores enhance the others' labels.
ROWS = {
    TEACHER: Row(enhanced=False, paper="no_label_enhancement"),
    FULL: Row(),
    **{name.replace("_", " "): Row(changes, paper=name) for name, changes in ABLATIONS.items()},
    PLAIN: Row({name: value for changes in ABLATIONS.values() for name, value in changes.items()}, enhanced=False),
}


def train_seed(
    pools: tuple[Dataset, Dataset],
    seed: int,
    work: Path,
    accelerator: Accelerator,
    recipe: Recipe = ABLATION_RECIPE,
    sizes: tuple[int, int] = SIZES,
    rows: Sequence[str] = tuple(ROWS),
) -> None:
    """Train what is left of a seed's rows; what was added to its labels goes into `LABELS`.

    Args:
        pools: Clips of ESC-10 to mix for training, and others to mix for testing.
        seed: Of mixtures, of the labels that are lost, and of training.
        work: Receives a folder for each seed, and in it one for each row; of one fold, and shared by all who train.
        accelerator: Where to train.
        recipe: With all ingredients.
        sizes: Mixtures to train and to test on.
        rows: Of `ROWS`; the teacher's must be trained before those with enhanced labels.
    """
    clips, truth = make_mixtures(pools[0], sizes[0], seed, MISSING_LABELS, LONG_TAIL)
    test_clips, _ = make_mixtures(pools[1], sizes[1], TEST_SEED)
    given, place = targets_of(clips), work / f"seed{seed}"
    enhanced = np.empty(0)
    for name in (name for name in ROWS if name in rows):
        if ROWS[name].enhanced and not len(enhanced):
            scores = score_clips(*load_saved(place / TEACHER), clips, accelerator)
            enhanced = enhance_labels(given, scores, mixture_ontology(), THRESHOLD, ("I", "II"), ids=MIXTURE_CLASSES)
            counts = {"given": int(given.sum()), "missing": int((truth > given).sum())}
            counts["of class"] = truth.sum(axis=0).astype(int).tolist()
            write_json({**counts, **added_labels(given, enhanced, truth)}, place / LABELS)
        print(f"\nseed {seed}, {name}", flush=True)
        labels = enhanced if ROWS[name].enhanced else given
        changed, settings = recipe.replace(**ROWS[name].changes), RunSettings(seed=seed, resume=True)
        training = with_targets(clips, labels)
        Trainer(changed, training, test_clips, place / name, accelerator, settings).train(report=print_epoch)


def figures(work: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """What the finished runs of these seeds found.

    Returns:
        `rows`: by row and seed, the mAP of the last epoch, of the averaged weights and of the ensemble of epochs, mAP
        and loss by epoch, and the commit; `differences`: between PSLA and each other row, see `paired_difference`;
        `together`: the mAP of the seeds' mean probabilities, by row; `labels`: what enhancement did, by seed;
        `groups`: see `class_groups`.

    Raises:
        ValueError: Rows have runs of different seeds, which cannot be compared.
    """
    found: dict[str, dict[str, Any]] = {"rows": {}, "differences": {}, "together": {}, "labels": {}}
    probabilities: dict[str, dict[int, np.ndarray]] = {}
    targets = np.empty(0)
    for name in (FULL, *(row for row in ROWS if row != FULL)):
        folders = {seed: work / f"seed{seed}" / name for seed in seeds}
        folders = {seed: folder for seed, folder in folders.items() if (folder / RESULTS_FILE).is_file()}
        if not folders:
            continue
        found["rows"][name] = {str(seed): _run(folder) for seed, folder in folders.items()}
        scores = {seed: read_scores(folder, "test") for seed, folder in folders.items()}
        probabilities[name] = {seed: of_run.probabilities for seed, of_run in scores.items() if of_run is not None}
        targets = next(of_run.targets for of_run in scores.values() if of_run is not None)  # the same for all
        together = np.mean(list(probabilities[name].values()), axis=0)
        found["together"][name] = tagging_metrics(together, targets)["mAP"]
        both = [seed for seed in folders if name != FULL and seed in probabilities.get(FULL, {})]
        if both:
            ours, theirs = (np.stack([probabilities[row][seed] for seed in both]) for row in (FULL, name))
            found["differences"][name] = paired_difference(ours, theirs, targets)
    finished = {tuple(runs) for runs in found["rows"].values()}
    if len(finished) > 1:
        raise ValueError(
            f"Expected finished runs of the same seeds in all rows, got {sorted(finished)}. Train the rest."
        )
    files = {str(seed): work / f"seed{seed}" / LABELS for seed in seeds}
    found["labels"] = {seed: read_json(file) for seed, file in files.items() if file.is_file()}
    found["groups"] = class_groups(work, [int(seed) for seed in found["labels"]])
    return found


def paired_difference(ours: np.ndarray, theirs: np.ndarray, targets: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """The second models' mAP less the first ones', over seeds and clips.

    Args:
        ours: Probabilities `[S, N, K]` of S seeds.
        theirs: Likewise, of the same seeds.
        targets: 0/1 labels `[N, K]`.
        seed: Of the resamples.

    Returns:
        `mean`, and the ends `low` and `high` of the middle 95 % of a bootstrap that draws seeds and clips, the same
        ones for both. With three seeds that is narrower than a 95 % interval over seeds; `by seed` are their
        differences.
    """
    rng = np.random.default_rng(seed)

    def difference(seeds: np.ndarray, clips: np.ndarray) -> float:
        labels = targets[clips]
        pairs = [
            np.nanmean(average_precision(theirs[s][clips], labels) - average_precision(ours[s][clips], labels))
            for s in seeds
        ]
        return float(np.mean(pairs))

    num_seeds, num_clips = len(ours), len(targets)
    drawn = [
        difference(rng.integers(num_seeds, size=num_seeds), rng.integers(num_clips, size=num_clips))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    by_seed = [difference(np.array([s]), np.arange(num_clips)) for s in range(num_seeds)]
    return {"mean": fmean(by_seed), "low": low, "high": high, "by seed": by_seed}


def class_groups(work: Path, seeds: Sequence[int]) -> dict[str, dict[str, float]]:
    """Mean AP of the sounds that a seed's training mixtures have most and least, five each, over seeds, by row."""
    found: dict[str, dict[str, list[float]]] = {}
    leaves = [k for k, name in enumerate(MIXTURE_CLASSES) if not mixture_ontology().children[name]]
    for seed in seeds:
        for name in ROWS:
            scores = read_scores(work / f"seed{seed}" / name, "test")
            if scores is None:
                continue
            precision = average_precision(scores.probabilities, scores.targets)
            counts = np.array(read_json(work / f"seed{seed}" / LABELS)["of class"])
            order = sorted(leaves, key=lambda k: -counts[k])
            for group, classes in ((FREQUENT, order[:5]), (RARE, order[5:])):
                found.setdefault(name, {}).setdefault(group, []).append(float(precision[classes].mean()))
    return {name: {group: fmean(values) for group, values in groups.items()} for name, groups in found.items()}


def ablation_rows(found: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """A table of `figures`: each row's mAP, how it differs from PSLA's, and by how much in the paper."""
    table = {}
    for name, runs in found["rows"].items():
        cells = over_seeds(list(runs.values()), list(MODELS))
        difference = found["differences"].get(name)
        shown = "{mean:+.3f} ({low:+.3f} to {high:+.3f})".format(**difference) if difference else ""
        cells["averaged, less PSLA's"] = shown
        cells["of each seed"] = " ".join(f"{of_seed:+.3f}" for of_seed in difference["by seed"]) if difference else ""
        paper = ROWS[name].paper
        for data in ("fsd50k", "audioset_full"):
            variant = TARGETS.get(f"{data}/{paper}")
            cells[f"paper, {data}"] = (
                f"{variant.figures['ensemble'] - TARGETS[data].figures['ensemble']:+.3f}" if variant else ""
            )
        table[name] = cells
    return table


def aggregation_rows(found: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """A table of `figures`: what aggregation adds to the last epoch, by row."""
    table = {}
    for name, runs in found["rows"].items():
        gains = [{model: run[model] - run[LAST] for model in (AVERAGED, ENSEMBLE)} for run in runs.values()]
        if len(gains) > 1:
            together = found["together"][name] - fmean(run[AVERAGED] for run in runs.values())
            table[name] = {
                "averaged, less last epoch": over_seeds(gains, [AVERAGED])[AVERAGED],
                "ensemble of epochs, less last epoch": over_seeds(gains, [ENSEMBLE])[ENSEMBLE],
                f"{len(gains)} seeds together, less averaged": f"{together:+.3f}",
            }
    return table


def _run(folder: Path) -> dict[str, Any]:
    """The figures of a finished run."""
    content = read_json(folder / RESULTS_FILE)
    models = {name: content["results"][key]["mAP"] for name, key in MODELS.items()}
    by_epoch = {name: [row[name] for row in content["epochs"]] for name in ("mAP", "loss")}
    return {**models, **by_epoch, "commit": content["commit"]}


def main() -> None:
    """Train what is left, and print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True, help="folder of ESC-10")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--fold", type=int, default=4, help="fold whose clips are mixed for testing only")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS), help="to train")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    with command_line():
        pools = load_esc(arguments.data_dir, arguments.fold, quiet=True)
        accelerator = make_accelerator()
        for seed in arguments.seeds:
            train_seed((pools["train"], pools["test"]), seed, arguments.work, accelerator, rows=arguments.rows)
        found = figures(arguments.work, arguments.seeds)
        print_figures(ablation_rows(found), "mAP on held-out mixtures, mean and standard deviation", "row")
        print_figures(aggregation_rows(found), "What aggregation adds", "row")
        if arguments.output:
            write_json({**provenance(), "fold": arguments.fold, "seeds": arguments.seeds, **found}, arguments.output)


if __name__ == "__main__":
    main()
