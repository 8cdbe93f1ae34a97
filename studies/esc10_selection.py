"""ESC-10's recipe, chosen by nested validation: no fold has a say in the choice of the settings it is tested with.

    python -m studies.esc10_selection validate --data-dir esc10 --work runs/selection --output RESULTS.json
    python -m studies.esc10_selection test --data-dir esc10 --work runs/selection --output RESULTS.json --seeds 0 1 2

`validate` trains each of `SETTINGS` on three folds, once for each pair of neighbouring folds left out. What it finds on
either fold of a pair counts for the choice of the other one's settings: of a fold that is to be tested, the two runs
without it say what the settings are worth on the two folds beside it. `test` trains each fold's settings on the four
others, with several seeds.

A run whose figures are in the work folder or in RESULTS is not trained again, and one that was killed goes on.
`--settings` and `--folds` leave the rest to other processes, which write no RESULTS: the last call finds their figures.
RESULTS say which settings there were to choose from when it was tested: more may be validated before it is tested anew.
"""

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from accelerate import Accelerator
from datasets import Dataset
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from psla_hf.commands.arguments import command_line
from psla_hf.data.schema import class_names, targets_of
from psla_hf.evaluation import score_clips, tagging_metrics
from psla_hf.files import read_json, write_json
from psla_hf.models.saved import load_saved
from psla_hf.provenance import provenance
from psla_hf.reports.tables import print_epoch, print_figures
from psla_hf.training.build import make_accelerator
from psla_hf.training.recipe import Recipe
from psla_hf.training.recipes import ESC10
from psla_hf.training.run.settings import RunSettings
from psla_hf.training.trainer import Trainer
from studies.folds import every_clip, of_folds
from studies.label_enhancement import over_seeds

__all__ = ["PAIRS", "SETTINGS", "Selection", "choices", "figures_by_seed", "fold_rows", "picture", "validation_rows"]

FOLDS = (1, 2, 3, 4, 5)

# Each fold is left out twice, with one neighbour and with the other.
PAIRS = tuple((fold, fold % len(FOLDS) + 1) for fold in FOLDS)

BEFORE = ESC10

# Changes to 20 epochs with a learning rate of 1e-3, 16 clips an update, mixup of half of the clips, no gain, no roll.
SLOW = {"learning_rate": 3e-4}
MOVED = {"gain_db": 12.0, "time_roll": True}
LARGE = {"backbone": "tf_efficientnet_lite2"}
TWICE = {"batch_size": 8, "warmup_steps": 80}  # as many updates
WIDE = {"sampling_rate": 32000}  # what lies above 8 kHz, too
LONG = {"epochs": 40, "halve_from_epoch": 20, "halve_every": 4, "average_last": 16}
SETTINGS: dict[str, dict[str, Any]] = {
    # Written down before any was run.
    "as it was": {},
    "slow": SLOW,
    "moved": MOVED,
    "slow, moved": SLOW | MOVED,
    "slow, moved, Lite2": SLOW | MOVED | LARGE,
    "slow, moved, 8 clips": SLOW | MOVED | TWICE,
    "slow, moved, mixstyle": SLOW | MOVED | {"mixstyle_rate": 0.3},
    "slow, moved, no mixup": SLOW | MOVED | {"mixup_rate": 0.0},
    "slow, moved, 40 epochs": SLOW | MOVED | LONG,
    # When "slow, moved" had been seen to learn too slowly: a loss of 0.22 after eight epochs instead of 0.16.
    "8 clips": TWICE,
    "40 epochs": LONG,
    "moved, 8 clips": MOVED | TWICE,
    "moved, 40 epochs": MOVED | LONG,
    "8 clips, Lite2": TWICE | LARGE,
    # After the first three: barks and sneezes, rain and the sea differ above 8 kHz, too.
    "32 kHz": WIDE,
    "32 kHz, moved": WIDE | MOVED,
    "32 kHz, 8 clips": WIDE | TWICE,
    # When "moved, 8 clips" was ahead, and before anything was tested.
    "moved, 8 clips, 40 epochs": MOVED | TWICE | LONG,
    "moved, 8 clips, Lite2": MOVED | TWICE | LARGE,
    "32 kHz, moved, 8 clips": WIDE | MOVED | TWICE,
    # When those had been validated and "moved, 8 clips" tested: rain, sea and helicopters are taken for each other, and
    # differ in how they were recorded as much as in what is heard.
    "moved, 8 clips, mixstyle": MOVED | TWICE | {"mixstyle_rate": 0.3},
    "moved, 8 clips, no mixup": MOVED | TWICE | {"mixup_rate": 0.0},
}

SEEDS = range(100)  # that can be tested with, and are looked for

FIGURES = "figures.json"  # of a run, in its folder

WATCHED = 10  # clips that are scored after each epoch, to see that it learns; the rest of the time is for training


@dataclass(frozen=True)
class Selection:
    """The runs of the study, of which each is trained once.

    Attributes:
        clips: Of all folds.
        work: Folder for the runs, each in one of its own.
        accelerator: Where to train.
        known: Finished runs by name, which are not trained again.
        base: What the settings change.
    """

    clips: Dataset
    work: Path
    accelerator: Accelerator
    known: Mapping[str, Any] = field(default_factory=dict)
    base: Recipe = BEFORE

    def validate(self, settings: Sequence[str], folds: Sequence[int] = FOLDS) -> None:
        """Train settings without the pairs that begin with these folds."""
        for name in settings:
            for pair in PAIRS:
                if pair[0] in folds:
                    self._run(validation_run(name, pair), name, pair)

    def test(self, seeds: Sequence[int], folds: Sequence[int] = FOLDS) -> None:
        """Train the settings that were chosen for these folds on the four others."""
        chosen = choices(self.found())
        for seed in seeds:
            for fold in folds:
                self.test_one(chosen[fold][0], fold, seed)

    def test_one(self, name: str, fold: int, seed: int) -> None:
        """Train settings on the other four folds."""
        self._run(tested_run(name, fold, seed), name, [fold], seed)

    def found(self) -> dict[str, Any]:
        """All finished runs by name: those known before, and those in the work folder."""
        files = sorted(self.work.glob(f"*/{FIGURES}"))
        return {**self.known, **{file.parent.name: read_json(file) for file in files}}

    def _run(self, run: str, name: str, held_out: Sequence[int], seed: int = 0) -> None:
        """Train settings without some folds, and write what the averaged model finds in each of these."""
        folder = self.work / run
        if run in self.known or (folder / FIGURES).is_file():
            return
        print(f"\n{run}", flush=True)
        training = of_folds(self.clips, [fold for fold in FOLDS if fold not in held_out])
        first = of_folds(self.clips, held_out[:1])
        watched = first.select(range(0, len(first), -(-len(first) // WATCHED)))
        recipe, settings = self.base.replace(**SETTINGS[name]), RunSettings(seed=seed, resume=True)
        trainer = Trainer(recipe, training, watched, folder, self.accelerator, settings)
        commit = trainer.train(report=print_epoch)["commit"]
        model, extractor = load_saved(folder)
        parts = {str(fold): of_folds(self.clips, [fold]) for fold in held_out}
        found = {
            fold: findings(score_clips(model, extractor, part, self.accelerator), targets_of(part))
            for fold, part in parts.items()
        }
        write_json({"commit": commit, "folds": found}, folder / FIGURES)


def findings(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
    """What was found in clips, `[N, K]`: figures, and for each clip the class that is heard and the true one."""
    metrics = tagging_metrics(probabilities, targets)
    return {
        **{name: metrics[name] for name in ("accuracy", "mAP")},
        "heard": probabilities.argmax(axis=1).tolist(),
        "true": targets.argmax(axis=1).tolist(),
    }


def validation_run(name: str, pair: tuple[int, int]) -> str:
    return f"{name}, without {pair[0]} and {pair[1]}"


def tested_run(name: str, fold: int, seed: int) -> str:
    return f"{name}, fold {fold}, seed {seed}"


def choices(
    runs: Mapping[str, Any], names: Collection[str] = SETTINGS
) -> dict[int, tuple[str, dict[str, dict[str, float]]]]:
    """The settings chosen for each fold, and what all of them reach without it.

    Args:
        runs: See `Selection.found`. Settings that lack a run of a fold's two are no choice for that fold.
        names: Of the settings to choose from.

    Returns:
        By fold: the settings with the highest accuracy in the two folds beside it, and of equal ones the highest mAP;
        and both figures of all.

    Raises:
        ValueError: There is no choice for a fold.
    """
    chosen = {}
    for fold in FOLDS:
        figures = {}
        for name in names:
            finished = [(pair, runs.get(validation_run(name, pair))) for pair in PAIRS if fold in pair]
            beside = [run["folds"][str(other)] for pair, run in finished if run for other in pair if other != fold]
            if len(beside) == len(finished):
                figures[name] = {metric: fmean(one[metric] for one in beside) for metric in ("accuracy", "mAP")}
        if not figures:
            raise ValueError(f"Expected finished runs without fold {fold}, got none. Run validate first.")
        chosen[fold] = max(figures, key=lambda name: (figures[name]["accuracy"], figures[name]["mAP"])), figures
    return chosen


def figures_by_seed(runs: Mapping[str, Any], names: Collection[str] = SETTINGS) -> dict[int, dict[int, dict[str, Any]]]:
    """What was found in each fold by the runs of its settings, by seed; seeds that lack a fold are left out."""
    chosen = {fold: name for fold, (name, _) in choices(runs, names).items()}
    by_seed = {}
    for seed in SEEDS:
        found = {fold: runs.get(tested_run(name, fold, seed)) for fold, name in chosen.items()}
        if all(found.values()):
            by_seed[seed] = {fold: run["folds"][str(fold)] for fold, run in found.items() if run}
    return by_seed


def validation_rows(runs: Mapping[str, Any], names: Collection[str] = SETTINGS) -> dict[str, dict[str, str]]:
    """A table: what each of the settings reaches beside each fold, with a tick where it is chosen, and the mean."""
    chosen = choices(runs, names)
    table: dict[str, dict[str, str]] = {}
    for name in names:
        of_name = {fold: figures[name]["accuracy"] for fold, (_, figures) in chosen.items() if name in figures}
        if of_name:
            ticks = {fold: " ✓" if chosen[fold][0] == name else "" for fold in of_name}
            cells = {fold: f"{of_name[fold]:.1%}{ticks[fold]}" if fold in of_name else "" for fold in FOLDS}
            table[name] = {f"for fold {fold}": cell for fold, cell in cells.items()}
            table[name]["mean"] = f"{fmean(of_name.values()):.1%}"
    return table


def fold_rows(runs: Mapping[str, Any], names: Collection[str] = SETTINGS) -> dict[str, dict[str, str]]:
    """A table: accuracy and mAP of all folds and of each, mean and standard deviation over seeds."""
    seeds = figures_by_seed(runs, names)
    rows = {f"all {len(FOLDS)}": FOLDS, **{str(fold): (fold,) for fold in FOLDS}} if seeds else {}
    return {
        title: over_seeds(
            [
                {metric: fmean(found[fold][metric] for fold in folds) for metric in ("accuracy", "mAP")}
                for found in seeds.values()
            ],
            ["accuracy", "mAP"],
        )
        for title, folds in rows.items()
    }


def picture(runs: Mapping[str, Any], classes: Sequence[str], names: Collection[str] = SETTINGS) -> Figure:
    """Which class was heard for which, in all folds and by all seeds together."""
    found = [of_fold for folds in figures_by_seed(runs, names).values() for of_fold in folds.values()]
    true, heard = ([clip for of_fold in found for clip in of_fold[which]] for which in ("true", "heard"))
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.add_subplot()
    ConfusionMatrixDisplay.from_predictions(
        true,
        heard,
        labels=range(len(classes)),
        display_labels=classes,
        cmap="Blues",
        xticks_rotation=45,
        colorbar=False,
        ax=axes,
    )
    axes.set(xlabel="heard", ylabel="true")
    return figure


def main() -> None:
    """Train what is left, and print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["validate", "test"])
    parser.add_argument("--data-dir", required=True, help="folder of ESC-10")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS), help="to validate")
    parser.add_argument("--folds", type=int, nargs="+", default=list(FOLDS), help="to test; first of a pair left out")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], choices=SEEDS, metavar="SEED", help="to test with, below 100"
    )
    parser.add_argument("--output", type=Path, help="JSON file to read what is known from, and to write")
    parser.add_argument("--picture", type=Path, help="PNG file for the confusions of all seeds, where there are any")
    arguments = parser.parse_args()
    with command_line():
        content = read_json(arguments.output) if arguments.output and arguments.output.is_file() else {}
        clips = every_clip(arguments.data_dir)
        study = Selection(clips, arguments.work, make_accelerator(), content.get("runs", {}))
        if arguments.what == "validate":
            study.validate(arguments.settings, arguments.folds)
        else:
            study.test(arguments.seeds, arguments.folds)
        runs = study.found()
        among = list(validation_rows(runs)) if arguments.what == "test" else content.get("tested_among", [])
        if arguments.output:
            classes = class_names(clips)
            write_json({**provenance(), "classes": classes, "tested_among": among, "runs": runs}, arguments.output)
            print_figures(validation_rows(runs), "accuracy in the folds beside, by what is tested", "settings")
            if among and (rows := fold_rows(runs, among)):
                print_figures(rows, "tested with what was chosen", "fold")
        if arguments.picture and among and figures_by_seed(runs, among):
            picture(runs, class_names(clips), among).savefig(arguments.picture, dpi=120)


if __name__ == "__main__":
    main()
