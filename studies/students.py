"""What starts and teachers are worth on ESC-10, with seeds: python -m studies.students distil|fine-tune|mixtures.

    python -m studies.students distil --data-dir esc10 --work runs/distil --output RESULTS.json
    python -m studies.students fine-tune --data-dir esc10 --work runs/fine_tune --output RESULTS.json
    python -m studies.students mixtures --folds 5 --data-dir esc10 --work runs/mixtures --output RESULTS.json

`distil` trains ESC-10's recipe with several seeds, makes an ensemble of them, and lets students of the same recipe
learn from its scores. `fine-tune` trains a tagger of the five classes whose names come first, and begins runs on the
other five from it and from ImageNet's weights, with the same small budget. `mixtures` does two things with what
cross-fitted teachers say of mixtures that have lost 30 % of their labels, alone and together: it enhances the labels,
and lets students learn from the scores. Runs that are finished in the work folder are not run again; one that was
killed goes on.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from accelerate import Accelerator
from datasets import Dataset

from psla_hf.commands.arguments import command_line
from psla_hf.data.load import load_esc
from psla_hf.data.schema import Clips, IndexedClips, class_names, tagging_features, targets_of, with_targets
from psla_hf.enhancement.algorithm import enhance_labels
from psla_hf.evaluation import score_clips, tagging_metrics
from psla_hf.files import write_json
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.models.saved import load_saved
from psla_hf.provenance import provenance
from psla_hf.reports.tables import print_figures
from psla_hf.teachers.cross_fit import cross_fit, cross_fit_parts, of_numbers
from psla_hf.teachers.scores import MeanRows, NpyRows
from psla_hf.teachers.scoring import score_training_clips
from psla_hf.teachers.teacher import open_teacher
from psla_hf.training.build import make_accelerator
from psla_hf.training.recipe import Recipe
from psla_hf.training.recipes import get_recipe
from psla_hf.training.run.settings import RunSettings
from psla_hf.training.start import Start
from psla_hf.training.trainer import Trainer
from studies.label_enhancement import STUDY_RECIPE
from studies.mixtures import MIXTURE_CLASSES, make_mixtures, mixture_ontology

__all__ = ["distil", "fine_tune", "mixtures", "summary"]


SOURCE_CLASSES = 5  # of the ten, by name

METRICS = ("mAP", "accuracy")

FIRST = "mAP after an epoch"  # of a run's own weights

CROSS_FIT = 2  # teachers, each trained on half of the mixtures

MISSING = 0.3  # of their labels

OF_TEACHERS = "mAP of the teachers"

MIXTURES = (480, 320)  # to train and to test on

SHARE_OF_SCORES = 0.5  # of the loss; the rest is on the labels

# A budget that leaves the start a say: eight times ten updates.
SHORT = {"epochs": 8, "warmup_steps": 20, "halve_from_epoch": 5, "average_last": 3}


def train(
    recipe: Recipe,
    train_clips: Clips | Dataset,
    test_clips: Dataset,
    folder: Path,
    accelerator: Accelerator,
    seed: int,
    start: Start | None = None,
) -> dict[str, Any]:
    """The averaged model's figures of a run that is begun, gone on with, or finished already, and the run's commit."""
    settings = RunSettings(seed=seed, resume=True)
    results = Trainer(recipe, train_clips, test_clips, folder, accelerator, settings, start=start).train(
        report=lambda row: print(f"{folder} epoch {row['epoch']} mAP {row['mAP']:.4f}", flush=True)
    )
    averaged = results["results"]["averaged"]  # without an accuracy where clips have several classes
    figures = {metric: averaged[metric] for metric in METRICS if metric in averaged}
    return {**figures, FIRST: results["epochs"][0]["mAP"], "commit": results["commit"]}


def distil(
    data_dir: str, work: Path, folds: Iterable[int], seeds: Sequence[int], accelerator: Accelerator
) -> dict[str, dict[str, dict[str, Any]]]:
    """Figures of single models, of their ensemble, and of students of it: by row, and by fold and seed."""
    rows: dict[str, dict[str, dict[str, Any]]] = {"single": {}, "ensemble": {}, "student": {}}
    for fold in folds:
        parts = load_esc(data_dir, fold, quiet=True)
        place = work / f"fold{fold}"
        test_scores, train_scores = [], []
        for seed in seeds:
            folder = place / f"single{seed}"
            figures = train(get_recipe("esc10"), parts["train"], parts["test"], folder, accelerator, seed)
            rows["single"][f"fold {fold}, seed {seed}"] = figures
            test_scores.append(score_clips(*load_saved(folder), parts["test"], accelerator))
            teacher = open_teacher(str(folder))
            scored = score_training_clips(teacher, parts["train"], place / f"scores{seed}", accelerator)
            assert scored is not None
            train_scores.append(scored)
        together = tagging_metrics(np.mean(test_scores, axis=0), targets_of(parts["test"]))
        rows["ensemble"][f"fold {fold}"] = {metric: together[metric] for metric in METRICS}
        teachers = MeanRows(train_scores)
        rows["ensemble"][f"fold {fold}"] |= on_own_clips(teachers[0 : teachers.shape[0]], targets_of(parts["train"]))
        taught = IndexedClips(parts["train"], teachers)
        for seed in seeds:
            recipe, folder = get_recipe("esc10/distilled"), place / f"student{seed}"
            figures = train(recipe, taught, parts["test"], folder, accelerator, seed)
            rows["student"][f"fold {fold}, seed {seed}"] = figures
    return rows


def on_own_clips(scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """How well a teacher knows the clips that it was trained on: mean score of their labels, and of all others."""
    return {"score of labels": float(scores[targets > 0].mean()), "score of others": float(scores[targets == 0].mean())}


def fine_tune(
    data_dir: str, work: Path, folds: Iterable[int], seeds: Sequence[int], accelerator: Accelerator
) -> dict[str, dict[str, dict[str, Any]]]:
    """Figures of runs on five classes that begin from ImageNet's weights and from a tagger of the five others."""
    rows: dict[str, dict[str, dict[str, Any]]] = {"ImageNet": {}, "tagger of five other classes": {}}
    short = get_recipe("esc10").replace(**SHORT)
    for fold in folds:
        parts = load_esc(data_dir, fold, quiet=True)
        names = sorted(class_names(parts["train"]))
        (source_train, source_test), (train_clips, test_clips) = (
            [of_classes(parts[part], chosen) for part in ("train", "test")]
            for chosen in (names[:SOURCE_CLASSES], names[SOURCE_CLASSES:])
        )
        place = work / f"fold{fold}"
        train(get_recipe("esc10"), source_train, source_test, place / "source", accelerator, 0)
        start = Start.open(str(place / "source"))
        for seed in seeds:
            for row, recipe, begin in (
                ("ImageNet", short, None),
                ("tagger of five other classes", short.replace(**start.settings), start),
            ):
                folder = place / f"{row.split()[0]}{seed}"
                figures = train(recipe, train_clips, test_clips, folder, accelerator, seed, begin)
                rows[row][f"fold {fold}, seed {seed}"] = figures
    return rows


def mixtures(
    data_dir: str, work: Path, folds: Iterable[int], seeds: Sequence[int], accelerator: Accelerator
) -> dict[str, dict[str, dict[str, Any]]]:
    """Figures of models trained on mixtures whose labels are as given, enhanced, distilled, both, or all there.

    With each, the mAP of the teachers in the mixtures that they did not hear, against all true labels.
    """
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    taught = STUDY_RECIPE.replace(distillation_weight=SHARE_OF_SCORES)
    for fold in folds:
        pools = load_esc(data_dir, fold, quiet=True)
        for seed in seeds:
            train_clips, truth = make_mixtures(pools["train"], MIXTURES[0], seed, missing_labels=MISSING)
            test_clips, _ = make_mixtures(pools["test"], MIXTURES[1], 1000 + seed)
            place, given = work / f"fold{fold}" / f"seed{seed}", targets_of(train_clips)
            scores = cross_fitted(train_clips, place, accelerator, seed)
            of_teachers = {OF_TEACHERS: tagging_metrics(scores[0 : len(given)], truth)["mAP"]}
            enhanced = enhance_labels(
                given, scores[0 : len(given)], mixture_ontology(), "mean", ("I", "II"), ids=MIXTURE_CLASSES
            )
            for row, targets, recipe, taught_by in (
                ("original", given, STUDY_RECIPE, None),
                ("enhanced", enhanced, STUDY_RECIPE, None),
                ("distilled", given, taught, scores),
                ("enhanced and distilled", enhanced, taught, scores),
                ("full", truth, STUDY_RECIPE, None),
            ):
                clips = IndexedClips(with_targets(train_clips, targets), taught_by)
                figures = train(recipe, clips, test_clips, place / row, accelerator, seed)
                rows.setdefault(row, {})[f"fold {fold}, seed {seed}"] = figures | of_teachers
    return rows


def cross_fitted(clips: Dataset, place: Path, accelerator: Accelerator, seed: int) -> NpyRows:
    """Scores of clips, each by a teacher that was trained on the other part of them."""
    every = IndexedClips(clips)
    parts = cross_fit_parts(every, CROSS_FIT, seed)

    def train_without(number: int, folder: Path) -> None:
        held_out = of_numbers(every, parts == number).dataset()
        train(STUDY_RECIPE, of_numbers(every, parts != number), held_out, folder, accelerator, seed)

    return cross_fit(every, parts, train_without, place, accelerator, "cross-fitted")


def of_classes(clips: Dataset, names: Sequence[str]) -> Dataset:
    """The clips that have one of these classes, and no others."""
    every = class_names(clips)
    kept = [clip for clip in clips if {every[k] for k in clip["labels"]} <= set(names)]
    for clip in kept:
        clip["labels"] = clip["mids"] = [list(names).index(every[k]) for k in clip["labels"]]
    return Dataset.from_list(kept, features=tagging_features(Vocabulary(tuple(names))))


def summary(rows: Mapping[str, Mapping[str, Mapping[str, Any]]], base: str | None = None) -> dict[str, dict[str, Any]]:
    """Mean and spread of each row's runs, of the figures that all rows have.

    Args:
        rows: Figures by row and run.
        base: A row over whose runs of the same name the others' gains in mAP are shown.
    """
    every = [run for runs in rows.values() for run in runs.values()]
    shown = [metric for metric in (*METRICS, FIRST) if all(metric in run for run in every)]
    table: dict[str, dict[str, Any]] = {}
    for row, runs in rows.items():
        table[row] = {"runs": len(runs)}
        for metric in shown:
            values = [run[metric] for run in runs.values()]
            spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
            table[row][metric] = f"{fmean(values):.4f}{spread}"
        if base is not None:
            gains = [run["mAP"] - rows[base][name]["mAP"] for name, run in runs.items()]
            table[row]["gain of each"] = "" if row == base else " ".join(f"{gain:+.3f}" for gain in gains)
    return table


STUDIES = {"distil": distil, "fine-tune": fine_tune, "mixtures": mixtures}

BASES = {"mixtures": "original"}  # rows over which gains are shown


def main() -> None:
    """Run what is left of a study, and print and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(STUDIES))
    parser.add_argument("--data-dir", required=True, help="folder of ESC-10")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--folds", type=int, nargs="+", default=[1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    with command_line():
        rows = STUDIES[arguments.what](
            arguments.data_dir, arguments.work, arguments.folds, arguments.seeds, make_accelerator()
        )
        print_figures(
            summary(rows, BASES.get(arguments.what)),
            "Averaged weights on the test clips; mean and standard deviation",
            "row",
        )
        if arguments.output:
            write_json(
                {**provenance(), "folds": arguments.folds, "seeds": arguments.seeds, "rows": rows}, arguments.output
            )


if __name__ == "__main__":
    main()
