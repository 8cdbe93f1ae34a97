"""ESC-10's recipe, chosen by nested validation: no fold has a say in the choice of the settings it is tested with.

    python -m studies.esc10_selection validate --data-dir esc10 --work runs/selection --output RESULTS.json
    python -m studies.esc10_selection test --data-dir esc10 --work runs/selection --output RESULTS.json

`validate` trains each of `SETTINGS` on three folds, once for each pair of neighbouring folds left out. What it finds on
either fold of a pair counts for the choice of the other one's settings: of a fold that is to be tested, the two runs
without it say what the settings are worth on the two folds beside it. `test` trains each fold's settings on the four
others, with several seeds.

A run whose figures are in the work folder or in RESULTS is not trained again, and one that was killed goes on.
`--settings` and `--runs` leave the rest to other processes.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from accelerate import Accelerator
from datasets import Dataset, concatenate_datasets

from psla_hf.commands.arguments import command_line
from psla_hf.data.load import load_esc
from psla_hf.data.schema import class_names, targets_of
from psla_hf.evaluation import score_clips, tagging_metrics
from psla_hf.files import read_json, write_json
from psla_hf.models.saved import load_saved
from psla_hf.provenance import provenance
from psla_hf.reports.tables import print_epoch, print_figures
from psla_hf.training.build import make_accelerator
from psla_hf.training.recipes import ESC10, Recipe
from psla_hf.training.run_settings import RunSettings
from psla_hf.training.trainer import Trainer

__all__ = ["PAIRS", "SETTINGS", "choose", "confusion", "test", "validate"]

FOLDS = (1, 2, 3, 4, 5)

# Each fold is left out twice, with one neighbour and with the other.
PAIRS = tuple((fold, fold % len(FOLDS) + 1) for fold in FOLDS)

# Written down before any was run: changes to 20 epochs with a learning rate of 1e-3, 16 clips an update, mixup of half
# of the clips, and neither gain nor roll.
BEFORE = ESC10

SLOW = {"learning_rate": 3e-4}
MOVED = {"gain_db": 12.0, "time_roll": True}
LARGE = {"backbone": "tf_efficientnet_lite2"}
SETTINGS: dict[str, dict[str, Any]] = {
    "as it was": {},
    "slow": SLOW,
    "moved": MOVED,
    "slow, moved": SLOW | MOVED,
    "slow, moved, Lite2": SLOW | MOVED | LARGE,
    "slow, moved, 8 clips": SLOW | MOVED | {"batch_size": 8, "warmup_steps": 80},
    "slow, moved, mixstyle": SLOW | MOVED | {"mixstyle_rate": 0.3},
    "slow, moved, no mixup": SLOW | MOVED | {"mixup_rate": 0.0},
    "slow, moved, 40 epochs": SLOW | MOVED | {"epochs": 40, "halve_from_epoch": 20, "halve_every": 4},
}

FIGURES = "figures.json"  # of a run, in its folder

WATCHED = 10  # clips that are scored after each epoch, to see that it learns; the rest of the time is for training


def of_folds(clips: Dataset, folds: Iterable[int]) -> Dataset:
    """The clips of some folds, in their order."""
    wanted = {f"fold {fold}" for fold in folds}
    return clips.select([row for row, name in enumerate(clips["split"]) if name in wanted])


def run(
    recipe: Recipe, clips: Dataset, held_out: Sequence[int], folder: Path, seed: int, accelerator: Accelerator
) -> dict[str, Any]:
    """What the averaged model of the other folds finds in each held-out one.

    Returns:
        `commit`; `folds`: by fold `accuracy`, `mAP` and `probabilities` `[N, K]`, rounded.
    """
    if (folder / FIGURES).is_file():
        return read_json(folder / FIGURES)
    training = of_folds(clips, [fold for fold in FOLDS if fold not in held_out])
    first = of_folds(clips, held_out[:1])
    watched = first.select(range(0, len(first), len(first) // WATCHED))
    settings = RunSettings(seed=seed, resume=True)
    commit = Trainer(recipe, training, watched, folder, accelerator, settings).train(report=print_epoch)["commit"]
    model, extractor = load_saved(folder)
    found: dict[str, Any] = {"commit": commit, "folds": {}}
    for fold in held_out:
        part = of_folds(clips, [fold])
        probabilities = score_clips(model, extractor, part, accelerator)
        metrics = tagging_metrics(probabilities, targets_of(part))
        found["folds"][str(fold)] = {
            **{name: metrics[name] for name in ("accuracy", "mAP")},
            "probabilities": [[round(float(p), 4) for p in row] for row in probabilities],
        }
    write_json(found, folder / FIGURES)
    return found


def validate(
    data_dir: str,
    work: Path,
    accelerator: Accelerator,
    settings: Sequence[str] = tuple(SETTINGS),
    pairs: Iterable[tuple[int, int]] = PAIRS,
    base: Recipe = BEFORE,
) -> None:
    """Train settings without pairs of folds."""
    clips = every_clip(data_dir)
    for name in settings:
        for pair in pairs:
            folder = work / f"{name}, without {pair[0]} and {pair[1]}"
            print(f"\n{folder.name}", flush=True)
            run(base.replace(**SETTINGS[name]), clips, pair, folder, 0, accelerator)


def every_clip(data_dir: str) -> Dataset:
    """All folds of ESC-10."""
    parts = load_esc(data_dir, 1, "esc10", quiet=True)
    return concatenate_datasets([parts["train"], parts["test"]])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--settings", nargs="+")
    parser.add_argument("--pair", type=int)
    a = parser.parse_args()
    validate(a.data_dir, a.work, make_accelerator(), a.settings, [PAIRS[a.pair]])


if __name__ == "__main__":
    main()
