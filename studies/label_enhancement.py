"""Label enhancement measured where the truth is known: is what it adds true, and does it help?

Mixtures of real clips lose some of their labels. A teacher trained on what is left scores them, their labels are
enhanced, and models trained on the original, the enhanced and the full labels are compared on mixtures of other clips
whose labels are whole.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from accelerate import Accelerator
from datasets import Dataset, DatasetDict
from sklearn.metrics import precision_score, recall_score

from psla_hf.commands.arguments import command_line
from psla_hf.data.load import load_esc
from psla_hf.data.schema import targets_of, with_targets
from psla_hf.enhancement.algorithm import RelationType, Threshold, enhance_labels, threshold_name
from psla_hf.evaluation import score_clips
from psla_hf.files import write_json
from psla_hf.models.saved import load_saved
from psla_hf.provenance import provenance
from psla_hf.reports.tables import print_epoch, print_figures
from psla_hf.training.build import make_accelerator
from psla_hf.training.recipe import Recipe
from psla_hf.training.recipes import ESC10
from psla_hf.training.run.settings import RunSettings
from psla_hf.training.trainer import Trainer
from studies.mixtures import MIXTURE_CLASSES, make_mixtures, mixture_ontology

__all__ = ["STUDY_RECIPE", "STUDY_TABLES", "added_labels", "over_seeds", "proposed_share", "study_seed"]


# ESC-10's settings on clips half as long, for half as many epochs of one and a half times as many clips.
STUDY_RECIPE = ESC10.replace(
    max_length=256,
    epochs=10,
    halve_from_epoch=5,
    halve_every=1,
    time_mask=48,
    average_last=4,
)

THRESHOLDS: tuple[Threshold, ...] = ("mean", "median", 25, 10, 5)

TRAINED_ON: tuple[Threshold, ...] = ("mean", 25)  # with both types of relations

# What is shown of the results: by part, which figures, and what its rows are.
STUDY_TABLES = {
    "labels": (("added_percent", "precision", "recall"), "added labels, by threshold and types"),
    "models": (("mAP", "AUC"), "averaged weights, by the labels that they were trained on"),
}

TYPES: tuple[tuple[RelationType, ...], ...] = (("I",), ("II",), ("I", "II"))


def added_labels(given: np.ndarray, enhanced: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """How good the added labels are; all three are 0/1 labels `[N, K]`.

    Returns:
        `added_percent` of the given labels; `precision`, the share of the added ones that are true (1 where nothing
        was added); `recall`, the share of the missing ones that were added.
    """
    added, missing = (enhanced > given).ravel(), (truth > given).ravel()
    return {
        "added_percent": 100 * float(added.sum() / given.sum()),
        "precision": float(precision_score(missing, added, zero_division=1)),
        "recall": float(recall_score(missing, added)),
    }


def proposed_share(given: np.ndarray, truth: np.ndarray, types: Sequence[RelationType]) -> float:
    """Share of the missing labels that the ontology proposes at all: what recall could be with a perfect teacher."""
    proposed = _enhanced(given, 1 - given, "mean", types)  # a teacher that is for everything that is not there yet
    return added_labels(given, proposed, truth)["recall"]


def study_seed(
    pools: tuple[Dataset, Dataset],
    seed: int,
    output_dir: str | Path,
    accelerator: Accelerator,
    *,
    sizes: tuple[int, int] = (480, 320),
    missing_labels: float = 0.3,
    recipe: Recipe = STUDY_RECIPE,
) -> dict[str, Any]:
    """Run the study with one seed, or take up what of it is there.

    Args:
        pools: Clips of ESC-10 to mix for training, and others to mix for testing.
        seed: Of mixtures, of the labels that are lost, and of training.
        output_dir: Receives the runs, named by the labels trained on.
        accelerator: Where to train.
        sizes: Mixtures to train and to test on.
        missing_labels: Probability with which each training label is lost.
        recipe: Settings of all runs.

    Returns:
        `proposed`, the share of the missing labels that the ontology proposes, by types; `labels`, the figures of
        `added_labels` by threshold and types; `models`, the metrics of the averaged weights by the labels trained on.
    """
    train_clips, truth = make_mixtures(pools[0], sizes[0], seed, missing_labels)
    test_clips, _ = make_mixtures(pools[1], sizes[1], 1000 + seed)
    given = targets_of(train_clips)

    def train(name: str, targets: np.ndarray) -> dict[str, float]:
        print(f"\nseed {seed}, {name} labels", flush=True)
        clips, folder = with_targets(train_clips, targets), Path(output_dir) / name
        run = Trainer(recipe, clips, test_clips, folder, accelerator, RunSettings(seed=seed, resume=True))
        return run.train(report=print_epoch)["results"]["averaged"]

    models = {"original": train("original", given)}
    scores = score_clips(*load_saved(Path(output_dir) / "original"), train_clips, accelerator)
    labels = {
        f"{threshold_name(threshold)}, {'+'.join(types)}": added_labels(
            given, _enhanced(given, scores, threshold, types), truth
        )
        for types in TYPES
        for threshold in THRESHOLDS
    }
    for threshold in TRAINED_ON:
        name = f"enhanced-{threshold_name(threshold)}"
        models[name] = train(name, _enhanced(given, scores, threshold, ("I", "II")))
    models["full"] = train("full", truth)
    proposed = {"+".join(types): proposed_share(given, truth, types) for types in TYPES}
    return {"proposed": proposed, "labels": labels, "models": models}


def over_seeds(figures: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, str]:
    """These figures as `mean ± standard deviation` over the seeds (of a sample; the figure alone for one seed)."""
    columns = {name: [of_seed[name] for of_seed in figures] for name in names}
    deviations = {name: f" ± {np.std(column, ddof=1):.3f}" for name, column in columns.items() if len(column) > 1}
    return {name: f"{np.mean(column):.3f}{deviations.get(name, '')}" for name, column in columns.items()}


def _enhanced(given: np.ndarray, scores: np.ndarray, threshold: Threshold, types: Sequence[RelationType]) -> np.ndarray:
    return enhance_labels(given, scores, mixture_ontology(), threshold, types, ids=MIXTURE_CLASSES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True, help="folder of ESC-10, or of ESC-50")
    parser.add_argument("--fold", type=int, default=5, help="fold whose clips are mixed for testing only")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--mixtures", type=int, nargs=2, default=[480, 320], metavar=("TRAIN", "TEST"))
    parser.add_argument("--missing-labels", type=float, default=0.3, help="share of the training labels that are lost")
    parser.add_argument("--work-dir", default="runs/label_enhancement", help="folder for the runs")
    parser.add_argument("--output", required=True, help="file for the results, JSON")
    arguments = parser.parse_args()
    clips = cast("DatasetDict", load_esc(arguments.data_dir, arguments.fold, "esc10"))
    accelerator = make_accelerator()
    seeds = {
        str(seed): study_seed(
            (clips["train"], clips["test"]),
            seed,
            Path(arguments.work_dir) / f"seed-{seed}",
            accelerator,
            sizes=tuple(arguments.mixtures),
            missing_labels=arguments.missing_labels,
        )
        for seed in arguments.seeds
    }
    write_json({**provenance(), "results": seeds}, arguments.output)
    for part, (columns, title) in STUDY_TABLES.items():
        rows = next(iter(seeds.values()))[part]
        print_figures({row: over_seeds([seed[part][row] for seed in seeds.values()], columns) for row in rows}, title)


if __name__ == "__main__":
    with command_line():
        main()
