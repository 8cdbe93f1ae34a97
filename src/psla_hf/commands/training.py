"""What `psla train` decides before it trains: which data, which recipe, and why. Trains nothing."""

from __future__ import annotations  # the types of what is imported when the command runs

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from psla_hf.training.recipe import Recipe
from psla_hf.training.recipes import RECIPES

from .settings import given_settings, recipe_with

if TYPE_CHECKING:
    import numpy as np
    from accelerate import Accelerator

    from psla_hf.data.schema import Clips
    from psla_hf.data.summary import Loaded
    from psla_hf.training.plan import Plan
    from psla_hf.training.start import Start

    from .data import OwnData
    from .train import Others, TrainingData

__all__ = ["RunData", "read_data"]


SPLITS_FILE = "splits.csv"


@dataclass(frozen=True)
class RunData:
    """The data of a run and the recipe for them.

    Attributes:
        loaded: All parts.
        train: Clips to train on, with the labels that were asked for.
        test: Clips to evaluate on.
        validation: Clips to choose on, if there are any.
        facts: What results record of both.
        recipe: All settings.
        title: What the recipe is called, and on which data it is where these are not its own.
        start: The tagger that the run begins from.
        temporary: What is there as long as the run.
    """

    loaded: Loaded
    train: Clips
    test: Clips
    validation: Clips | None
    facts: dict[str, Any]
    recipe: Recipe
    title: str
    start: Start | None = None
    temporary: TemporaryDirectory | None = None

    def plan(self, num_processes: int, keep_epochs: bool) -> Plan:
        """The run in numbers."""
        from psla_hf.training.plan import Plan

        return Plan(
            self.recipe,
            num_train=len(self.train),
            num_test=len(self.test),
            num_classes=len(self.test.vocabulary),
            num_processes=num_processes,
            train_hours=self.train.hours,
            keep_epochs=keep_epochs,
            name=self.title,
        )

    def of_part(self, parts: np.ndarray, number: int) -> RunData:
        """The run that is trained on all parts of the training clips but one, and tested on that one."""
        from psla_hf.teachers.cross_fit import of_numbers

        held_out = of_numbers(self.train, parts == number)
        part = {"cross_fit": {"part": number + 1, "of": int(parts.max()) + 1}}
        return replace(
            self,
            train=of_numbers(self.train, parts != number),
            test=held_out,
            validation=None if self.validation is None else held_out,
            facts={**self.facts, **part},
            recipe=self.recipe.replace(target=None),
        )

    def save_splits(self, folder: Path) -> None:
        """Write the splits that were made as a table to be trained and evaluated on again."""
        if self.loaded.made is not None:
            self.loaded.made.save(folder / SPLITS_FILE, self.loaded.fold)


def read_data(
    place: str,
    data: TrainingData,
    own: OwnData,
    others: Others,
    fold: int | None,
    recipe_name: str | None,
    settings: Any,
    accelerator: Accelerator,
    *,
    quiet: bool,
) -> RunData:
    """Load the data, choose what was not given, and say why, and what is odd about the data."""
    from psla_hf.data.advice import advice
    from psla_hf.data.load import load
    from psla_hf.data.sources import source_at
    from psla_hf.data.summary import LoadOptions
    from psla_hf.enhancement.label_set import LabelSet
    from psla_hf.teachers.scores import check_unscored, open_teachers
    from psla_hf.training.choices import shareable

    start = None if others.init_from is None else opened_start(others.init_from, settings)
    if start is not None:
        settings = replace(settings, **start.settings)
    recipe = None if recipe_name is None else recipe_with(recipe_name, settings)
    dataset = data.dataset or (recipe and recipe.dataset) or source_at(place)
    options = LoadOptions("drop" if data.drop_incomplete else None, quiet=quiet, streaming=data.streaming)
    more = {"subset": data.subset, "vocabulary": data.vocabulary, **own.settings()}
    loaded = load(dataset, place, options, fold=1 if fold is None else fold, **more)
    clips, facts = loaded.train, loaded.facts()
    if data.labels:
        label_set = LabelSet.open(data.labels)
        clips, facts = label_set.apply(clips), {**facts, "label_set": label_set.in_figures()}
    temporary = None
    if others.teacher_scores:
        temporary = TemporaryDirectory(prefix="psla-scores-")  # of scores that are read from text, to the run's end
        scores, unscored, about = open_teachers(
            others.teacher_scores, clips.ids, clips.vocabulary, Path(temporary.name)
        )
        check_unscored(unscored, clips.ids, allowed=True)
        if len(unscored) and not quiet:
            print(
                f"{len(unscored):,} of {len(clips):,} clips have no scores: they are learned from their labels alone."
            )
        clips, facts = clips.with_scores(scores), {**facts, "distilled": {**about, "unscored": len(unscored)}}
    if recipe is None:
        recipe_name, recipe, reasons = chosen_recipe(loaded, clips, settings)
    else:
        reasons = []
    shared = shareable(recipe, accelerator.num_processes)
    if shared != recipe:
        reasons.append(
            f"batch_size {shared.input.batch_size}: {recipe.input.batch_size} cannot be shared equally by "
            f"{accelerator.num_processes} processes"
        )
    if start is not None:
        reasons.append(start.in_words(clips.vocabulary))
    notes: list[str] = []
    if dataset == "own" and accelerator.is_main_process:  # published data are known, and too many to listen to
        notes = facts["advice"] = advice(loaded.parts, quiet=quiet)
    if not quiet:
        for text in [*(f"Chosen: {reason}." for reason in reasons), *(f"Note: {note}" for note in notes)]:
            print(text)
    # On other data than its own a recipe has no published figures to be measured against.
    is_own = dataset == recipe.dataset
    title = recipe_name if is_own or recipe.dataset is None else f"{recipe_name} on {dataset}"
    recipe = shared if is_own else shared.replace(target=None)
    return RunData(loaded, clips, loaded.test, loaded.validation, facts, recipe, str(title), start, temporary)


def opened_start(name: str, settings: Any) -> Start:
    """The tagger to begin from, whose architecture goes before a recipe's, but not before what was asked for."""
    from psla_hf.aggregation.members import Member
    from psla_hf.training.start import Start

    start = Start.open(name, None if Path(name).is_file() else Member(name).origin())
    start.check(given_settings(settings))
    return start


def chosen_recipe(loaded: Loaded, clips: Clips, settings: Any) -> tuple[str, Recipe, list[str]]:
    """The recipe that was made for the data, or one that fits to them; its name, and why."""
    from psla_hf.training.choices import choose_recipe

    own = [name for name, recipe in RECIPES.items() if recipe.dataset == loaded.dataset]
    if not own:
        choice = choose_recipe(clips, given_settings(settings))
        return choice.name, choice.recipe, list(choice.reasons)
    name = loaded.subset if loaded.subset in own else own[0]
    return str(name), recipe_with(str(name), settings), [f"recipe {name}: it was made for these data"]
