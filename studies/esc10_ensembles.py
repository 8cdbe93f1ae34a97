r"""Several of ESC-10's models together: other settings, other seeds, and what the mean of their probabilities finds.

    python -m studies.esc10_ensembles --data-dir esc10 --work runs/selection --known SELECTION.json \
        --output RESULTS.json

takes the models that `esc10_selection` has trained in the work folder, and trains those that are missing. It puts the
seeds of the settings that were chosen for single models together. Ensembles of several settings are validated as the
settings are, by what the two folds beside say; `--seeds` tests the one that is chosen for each fold.
"""

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from psla_hf.commands.arguments import command_line
from psla_hf.data.schema import targets_of
from psla_hf.evaluation import score_clips
from psla_hf.files import read_json, write_json
from psla_hf.models.saved import load_saved
from psla_hf.provenance import provenance
from psla_hf.reports.tables import print_figures
from psla_hf.training.build import make_accelerator
from studies.esc10_selection import (
    FOLDS,
    PAIRS,
    SETTINGS,
    Selection,
    choices,
    figures_by_seed,
    findings,
    tested_run,
    validation_rows,
    validation_run,
)
from studies.folds import every_clip, of_folds

__all__ = ["ENSEMBLES", "Ensembles", "tested_rows"]

LITE0, LITE2, WIDE = "moved, 8 clips", "moved, 8 clips, Lite2", "32 kHz, moved, 8 clips"

# By name, the settings of the members.
ENSEMBLES = {
    "Lite0 and Lite2": (LITE0, LITE2),
    "16 kHz and 32 kHz": (LITE0, WIDE),
    "Lite0, Lite2 and 32 kHz": (LITE0, LITE2, WIDE),
}

TOGETHER = "seeds together"  # of the settings chosen for single models


@dataclass(frozen=True)
class Ensembles:
    """What ensembles of a selection's models find.

    Attributes:
        study: All members are trained in its work folder, those that are missing now.
        known: Figures of single models, by run, to choose the settings whose seeds are put together.
        among: Names of the settings to choose from.
    """

    study: Selection
    known: Mapping[str, Any] = field(default_factory=dict)
    among: Collection[str] = tuple(SETTINGS)

    def validate(self) -> dict[str, Any]:
        """Figures of each ensemble without each pair of folds, by run."""
        members = sorted({name for names in ENSEMBLES.values() for name in names})
        self.study.validate(members)
        found = {}
        for pair in PAIRS:
            said = {
                (name, fold): self._probabilities(validation_run(name, pair), fold) for name in members for fold in pair
            }
            for ensemble, names in ENSEMBLES.items():
                folds = {str(fold): self._mean([said[name, fold] for name in names], fold) for fold in pair}
                found[validation_run(ensemble, pair)] = {"folds": folds}
        return found

    def test(self, validated: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
        """Figures of the ensemble that was chosen for each fold, by run."""
        found = {}
        for fold, (ensemble, _) in choices(validated, ENSEMBLES).items():
            for seed in seeds:
                members = [(name, seed) for name in ENSEMBLES[ensemble]]
                found[tested_run(ensemble, fold, seed)] = {"folds": {str(fold): self._tested(members, fold)}}
        return found

    def together(self, seeds: Sequence[int]) -> dict[str, Any]:
        """Figures of each fold's own settings, as trained with several seeds, by run."""
        found = {}
        for fold, (name, _) in choices({**self.known, **self.study.found()}, self.among).items():
            members = [(name, seed) for seed in seeds]
            found[f"{TOGETHER}, fold {fold}"] = {"settings": name, "folds": {str(fold): self._tested(members, fold)}}
        return found

    def _tested(self, members: Sequence[tuple[str, int]], fold: int) -> dict[str, Any]:
        """What settings with seeds, trained on the other folds, find together in one."""
        for name, seed in members:
            self.study.test_one(name, fold, seed)
        return self._mean([self._probabilities(tested_run(name, fold, seed), fold) for name, seed in members], fold)

    def _probabilities(self, run: str, fold: int) -> np.ndarray:
        model, extractor = load_saved(self.study.work / run)
        return score_clips(model, extractor, of_folds(self.study.clips, [fold]), self.study.accelerator)

    def _mean(self, said: Sequence[np.ndarray], fold: int) -> dict[str, Any]:
        return findings(np.mean(said, axis=0), targets_of(of_folds(self.study.clips, [fold])))


def tested_rows(runs: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """A table: accuracy and mAP in all folds, of the ensembles that were chosen and of several seeds together."""
    together = [run["folds"][str(fold)] for fold in FOLDS if (run := runs.get(f"{TOGETHER}, fold {fold}"))]
    groups = {f"settings chosen for each fold, {TOGETHER}": together} if len(together) == len(FOLDS) else {}
    for seed, found in figures_by_seed(runs, ENSEMBLES).items():
        groups[f"ensemble chosen for each fold, seed {seed}"] = list(found.values())
    return {
        title: {metric: fmean(of_fold[metric] for of_fold in found) for metric in ("accuracy", "mAP")}
        for title, found in groups.items()
    }


def main() -> None:
    """Train what is missing, and print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True, help="folder of ESC-10")
    parser.add_argument("--work", type=Path, required=True, help="folder with the runs of esc10_selection")
    parser.add_argument("--known", type=Path, required=True, help="JSON file of esc10_selection")
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="of the ensembles that are tested")
    parser.add_argument("--together", type=int, nargs="+", default=[0, 1, 2], help="seeds to put together")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    with command_line():
        study = Selection(every_clip(arguments.data_dir), arguments.work, make_accelerator())
        known = read_json(arguments.known)
        ensembles = Ensembles(study, known["runs"], known["tested_among"])
        runs = ensembles.validate()
        print_figures(validation_rows(runs, ENSEMBLES), "accuracy in the folds beside, by what is tested", "ensemble")
        runs |= ensembles.together(arguments.together) | ensembles.test(runs, arguments.seeds)
        print_figures(tested_rows(runs), "tested", "models")
        if arguments.output:
            commits = sorted({run["commit"] for run in study.found().values()})
            content = {**provenance(), "together": arguments.together, "trained_by": commits, "runs": runs}
            write_json(content, arguments.output)


if __name__ == "__main__":
    main()
