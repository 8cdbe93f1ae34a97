"""Saved taggers averaged or made one, and what each way gives on a data set. Knows no command lines and no figures."""

import copy
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from datasets import Dataset

from psla_hf.data.foreign import as_clips
from psla_hf.data.schema import Clips
from psla_hf.evaluation import class_metrics, score_clips, tagging_metrics
from psla_hf.files import atomic_files, read_text, write_json
from psla_hf.models.averaging import RunningMean
from psla_hf.models.modeling_psla_ensemble import PslaEnsembleForAudioClassification
from psla_hf.models.saved import Saved
from psla_hf.provenance import provenance
from psla_hf.reports.tables import mean_metrics
from psla_hf.teachers.scores import open_scores
from psla_hf.training.run.folder import RESULTS_FILE, clear_earlier, run_folder

from .members import Alike, Member, check_members

__all__ = [
    "Aggregate",
    "Scorer",
    "average",
    "averaging_curve",
    "ensemble",
    "ensemble_of_scores",
    "greedy_average",
    "open_output",
    "read_scores",
    "save_aggregate",
    "save_scores",
]


class Scorer:
    """Scores one tagger after the other on the same clips, and keeps none of them.

    Args:
        clips: Schema of `schema.tagging_features`.
        accelerator: Where to run.
        batch_size: Clips at a time.
        data: Facts of the clips for the result file, as a run records them: `dataset`, `fold`, `parts`.
    """

    def __init__(
        self,
        clips: Clips | Dataset,
        accelerator: Accelerator,
        batch_size: int = 16,
        data: Mapping[str, Any] | None = None,
    ):
        self.clips, self.accelerator, self.batch_size, self.data = as_clips(clips), accelerator, batch_size, data
        self.targets = self.clips.labels.multi_hot()
        self.label_names = list(self.clips.vocabulary.names)

    def scores(self, tagger: Saved) -> np.ndarray:
        """Probabilities `[N, K]` with the data set's order of classes, which may differ from the tagger's.

        Raises:
            ValueError: The tagger has other classes.
        """
        model: Any = tagger.model
        names = model.config.label_names
        if names != self.label_names and sorted(names) == sorted(self.label_names):
            model = PslaEnsembleForAudioClassification.from_members([model], self.label_names)
        return score_clips(model, tagger.extractor, self.clips, self.accelerator, self.batch_size)

    def mean_precision(self, tagger: Saved) -> float:
        """The mAP of its scores."""
        return tagging_metrics(self.scores(tagger), self.targets)["mAP"]

    def described(self) -> dict[str, Any]:
        """The facts of the clips that a result file records."""
        return {
            "data": self.data,
            "clips": {"test": len(self.clips)},
            "clips_fingerprint": self.clips.fingerprint,
            "classes": self.label_names,
        }


@dataclass
class Aggregate:
    """What became of some members.

    Attributes:
        kind: `"averaged"` weights, or an `"ensemble"`.
        runs: By the member's name, what is known of the run that it comes from, in the order of the members.
        tagger: The one model, where it was made.
        members: The members' metrics by name; empty where nothing was scored.
        metrics: Of what they became, where it was scored.
        scores: The members' probabilities `[N, K]` by name, for those who want to keep them.
        about: What else belongs into the result file.
    """

    kind: str
    runs: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    tagger: Saved | None = None
    members: dict[str, dict[str, float]] = field(default_factory=dict)
    metrics: dict[str, float] | None = None
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, scores: np.ndarray, targets: np.ndarray) -> None:
        """Record a member's scores and metrics."""
        self.scores[name] = scores
        self.members[name] = tagging_metrics(scores, targets)

    def measure(self, scores: np.ndarray, targets: np.ndarray) -> None:
        """Record the metrics of what the members became."""
        per_class = class_metrics(scores, targets)
        self.metrics = tagging_metrics(scores, targets, per_class)
        self.about["per_class"] = per_class

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """Figures as in the paper's Table XI, or none: the members' mean and best (by mAP), and what they became."""
        if self.metrics is None:
            return {}
        every = list(self.members.values())
        best = max(every, key=lambda metrics: metrics["mAP"])
        return {"members_mean": mean_metrics(every), "best_member": best, self.kind: self.metrics}

    @property
    def content(self) -> dict[str, Any]:
        """The content of a result file.

        `runs` lists each run once, and a member has the place of its own in that list; `model` says whether one was
        made; `data` are those that it was tested on.
        """
        runs: list[dict[str, Any]] = []
        members = []
        for name, run in self.runs.items():
            if run is not None and run not in runs:
                runs.append(run)
            place = None if run is None else runs.index(run)
            members.append({"name": name, "run": place, "results": self.members.get(name)})
        made = self.tagger is not None
        head = {**provenance(), "kind": self.kind, "model": made, "members": members, "runs": runs}
        return {**head, **self.about, "results": self.results}


def loaded(member: Member, alike: Alike) -> Saved:
    """A member, once it is seen to be like those before, in its precision too."""
    tagger = member.load()
    alike.check(member.name, tagger.model.config, tagger.extractor, tagger.model.dtype)
    return tagger


def average(members: Sequence[Member], scorer: Scorer | None = None) -> Aggregate:
    """The model whose weights, BatchNorm statistics included, are the equal mean of the members'.

    Args:
        members: At least one, of one architecture; one is in memory at a time, besides the mean.
        scorer: Also scores the members and their average.

    Raises:
        ValueError: A member differs; the message names it and what differs.
    """
    check_members(members, weights=True)
    outcome, alike, mean = Aggregate("averaged"), Alike(weights=True), RunningMean()
    for member in members:
        outcome.tagger = loaded(member, alike)
        outcome.runs[member.name] = member.origin()
        mean.update(outcome.tagger.model.state_dict())
        if scorer is not None:
            outcome.add(member.name, scorer.scores(outcome.tagger), scorer.targets)
    weights = mean.result()  # refuses no members at all
    assert outcome.tagger is not None
    outcome.tagger.model.load_state_dict(weights)
    outcome.tagger.model.config.thresholds = None  # they were the last member's
    if scorer is not None:
        outcome.about |= scorer.described()
        outcome.measure(scorer.scores(outcome.tagger), scorer.targets)
    return outcome


def greedy_average(members: Sequence[Member], chooser: Scorer, scorer: Scorer | None = None) -> Aggregate:
    """The average of members chosen one by one, as long as it gets no worse (a greedy "model soup").

    Members are tried by falling mAP; one is taken if the average with it has at least the mAP of that without it.
    Wortsman et al., "Model soups" (ICML 2022), recipe 1.

    Args:
        members: As for `average`.
        chooser: Scores on the clips to choose on.
        scorer: As for `average`; scores the members that were taken.

    Raises:
        ValueError: As `average`.
    """
    check_members(members, weights=True)
    alike = Alike(weights=True)
    alone = {member: chooser.mean_precision(loaded(member, alike)) for member in members}
    taken: list[Member] = []
    tried, mean, best = [], RunningMean(), -np.inf
    for member in sorted(members, key=lambda member: -alone[member]):
        tagger, trial = member.load(), copy.deepcopy(mean)
        trial.update(tagger.model.state_dict())
        tagger.model.load_state_dict(trial.result())
        together = chooser.mean_precision(tagger) if taken else alone[member]
        good = together >= best
        tried.append({"member": member.name, "mAP_alone": alone[member], "mAP_with_it": together, "taken": good})
        if good:
            taken, mean, best = [*taken, member], trial, together
    outcome = average(taken, scorer)
    outcome.about["selection"] = {"chosen_on": chooser.described(), "tried": tried}
    return outcome


def ensemble(members: Sequence[Member], scorer: Scorer | None = None, build: bool = True) -> Aggregate:
    """The members as one model whose probabilities are the mean of theirs.

    Args:
        members: At least one; they may differ in architecture and in the order of their classes.
        scorer: Also scores the members and the ensemble, whose scores are the mean of theirs.
        build: Make the model, which has all members in memory; else one is in memory at a time.

    Raises:
        OSError: A member lacks a file. This and what `check_members` refuses is raised before weights are read.
        ValueError: The members' front ends or classes differ, or one is an ensemble itself and the model is to be made;
            the message names the member and what differs.
    """
    check_members(members, join=build)
    alike, models, runs, scores = Alike(), [], {}, {}
    for member in members:
        tagger = loaded(member, alike)
        runs[member.name] = member.origin()
        if scorer is not None:
            scores[member.name] = scorer.scores(tagger)
        if build:
            models.append(tagger.model)
    outcome = Aggregate("ensemble") if scorer is None else ensemble_of_scores(scores, scorer.targets)
    outcome.runs = runs
    if scorer is not None:
        outcome.about |= scorer.described()
    if build:
        model: Any = PslaEnsembleForAudioClassification.from_members(models)
        outcome.tagger = Saved(model, tagger.extractor)
    return outcome


def ensemble_of_scores(scores: Mapping[str, np.ndarray], targets: np.ndarray) -> Aggregate:
    """The figures of an ensemble of which only the members' scores are there.

    Args:
        scores: Probabilities `[N, K]` by the member's name.
        targets: 0/1 labels `[N, K]`.

    Raises:
        ValueError: There are none, shapes differ, or something is no probability.
    """
    outcome, mean = Aggregate("ensemble", runs=dict.fromkeys(scores)), RunningMean()
    for name, of_member in scores.items():
        if of_member.shape != targets.shape:
            raise ValueError(
                f"Expected scores [N, K] = {targets.shape} of {name}, as the targets, got {of_member.shape}."
            )
        unscored = int(np.isnan(of_member).any(axis=1).sum())
        if unscored:
            raise ValueError(f"Expected scores of all {len(targets)} clips, {name} lacks some (NaN) for {unscored}.")
        if not ((of_member >= 0) & (of_member <= 1)).all():
            raise ValueError(
                f"Expected probabilities from 0 to 1, those of {name} are not: a mean of logits is no ensemble."
            )
        outcome.add(name, of_member, targets)
        mean.update({"scores": torch.from_numpy(of_member).float()})
    outcome.measure(mean.result()["scores"].numpy(), targets)
    return outcome


def averaging_curve(epochs: Mapping[int, Member], scorer: Scorer) -> list[dict[str, Any]]:
    """What averaging gives by the epoch that it starts from (the paper's Fig. 8).

    Args:
        epochs: The models of a run's epochs, one of which is in memory at a time, besides the mean.
        scorer: Scores each epoch once, and each average of weights.

    Returns:
        A row per epoch: `epoch`, the metrics of its own model, `single`, and those over all epochs from it on:
        `averaged` weights, and the checkpoint `ensemble`, the mean of the probabilities.
    """
    check_members(list(epochs.values()), weights=True)
    alike, weights, probabilities = Alike(weights=True), RunningMean(), RunningMean()
    rows: list[dict[str, Any]] = []
    for epoch in sorted(epochs, reverse=True):
        tagger = loaded(epochs[epoch], alike)
        alone = scorer.scores(tagger)
        weights.update(tagger.model.state_dict())
        probabilities.update({"scores": torch.from_numpy(alone)})
        tagger.model.load_state_dict(weights.result())
        averaged = scorer.scores(tagger) if rows else alone
        together = probabilities.result()["scores"].numpy()
        scored = {"single": alone, "averaged": averaged, "ensemble": together}
        rows.append(
            {"epoch": epoch, **{what: tagging_metrics(scores, scorer.targets) for what, scores in scored.items()}}
        )
    return rows[::-1]


@contextmanager
def open_output(
    output_dir: str | Path, members: Sequence[Member], accelerator: Accelerator, overwrite: bool = False
) -> Iterator[Path]:
    """The folder for an aggregate, created, or checked that it may be used: before the work, not after it.

    What is to be overwritten stays until `save_aggregate` has something to put in its place.

    Raises:
        BlockingIOError: A run works in it.
        FileExistsError: It holds something, and may not be overwritten.
        ValueError: It holds a member.
    """
    folder = Path(output_dir)
    places = {member.name: Path(member.place).resolve() for member in members if Path(member.place).exists()}
    inside = [name for name, place in places.items() if folder.resolve() in (place, *place.parents)]
    if inside:
        raise ValueError(
            f"Expected an output folder without members in it, {folder} holds {inside[0]}. Choose another."
        )
    with run_folder(folder, accelerator, resume=overwrite, overwrite=False):
        yield folder


def save_aggregate(outcome: Aggregate, folder: Path, accelerator: Accelerator) -> dict[str, Any]:
    """Write the model, if there is one, with its extractor and the result file, in place of what is in the folder.

    Returns:
        The content of the result file.
    """
    content, tagger = outcome.content, outcome.tagger
    if accelerator.is_main_process:
        with atomic_files(folder) as place:
            if tagger is not None:
                tagger.model.save_pretrained(place)
                tagger.extractor.save_pretrained(place)
            write_json(content, place / RESULTS_FILE)
            clear_earlier(folder)
    accelerator.wait_for_everyone()
    return content


def save_scores(outcome: Aggregate, ids: Sequence[str], folder: str | Path) -> list[Path]:
    """Write each member's scores as `.npy`, and the clips' ids beside it, an id per line, in the order of the rows.

    Args:
        outcome: Of members that were scored.
        ids: Of the N clips.
        folder: Made if need be.

    Returns:
        The `.npy` files, numbered in the order of the members.
    """
    names = [f"{number:02d}-{name.replace('/', '_')}" for number, name in enumerate(outcome.scores, start=1)]
    with atomic_files(folder) as place:
        for name, scores in zip(names, outcome.scores.values(), strict=True):
            np.save(place / f"{name}.npy", scores)
            (place / f"{name}.ids.txt").write_text("".join(f"{clip}\n" for clip in ids), encoding="utf-8")
    return [Path(folder) / f"{name}.npy" for name in names]


def read_scores(
    files: Sequence[str | Path], shape: tuple[int, int], ids: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Saved scores by the name of their file, as `teachers.scores.open_scores` understands them.

    Args:
        files: One per member.
        shape: Number of clips and of classes, `(N, K)`.
        ids: Of the N clips; if omitted, those that the first file has beside it, so that files are compared at least
            among themselves.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file has other clips, in another order, or other classes.
    """
    beside = [path for path in (Path(file).with_suffix(".ids.txt") for file in files) if path.is_file()]
    if ids is None:
        ids = read_text(beside[0]).splitlines() if beside else [str(row) for row in range(shape[0])]
    scores = {}
    for file in files:
        with tempfile.TemporaryDirectory() as place:
            scores[str(file)] = open_scores(file, ids, shape[1], Path(place))[:]
    return scores
