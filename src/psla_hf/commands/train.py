"""`psla train`, also `accelerate launch -m psla_hf.commands.train …`: a run of a recipe on data."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from psla_hf.training.run.settings import RunSettings

from .arguments import MESSAGES, Messages, Needs, Switch, Whole, option, panel
from .data import Data, DataSet, OwnData
from .settings import flags_like, recipe_with, settings_type

if TYPE_CHECKING:
    from accelerate import Accelerator

    from .training import RunData


Settings: Any = settings_type()

Conduct: Any = flags_like(RunSettings, "Run", 0)


@panel("Data", 1)
@dataclass(frozen=True, kw_only=True)
class TrainingData(Data):
    """Which data to train, validate and test on."""

    data_dir: str | None = option("The data, instead of the first argument.", None)  # type: ignore[assignment]
    dataset: DataSet | None = option("Which data; default: the recipe's, or what lies there.", None)
    fold: Whole | None = option("Of data with folds, the one to hold out; default: 1, or with --folds all.", None)  # type: ignore[assignment]
    labels: str | None = option("Enhanced labels: a folder of psla enhance, or OWNER/NAME[:CONFIG].", None)
    streaming: Switch = option("Stream the training clips from parquet shards.", False)


@panel("Run", 0)
@dataclass(frozen=True, kw_only=True)
class Run:
    """What depends on the moment."""

    output_dir: str = option("Folder for the model and the results.")
    recipe: str | None = option("Which, or a variant such as audioset_full/no_mixup; default: by the data.", None)
    config: Path | None = option("YAML, JSON or TOML file with any of these settings; flags win.", None)
    dry_run: Switch = option("Print the plan and stop.", False)
    trackers: str | None = option("Comma-separated, of those installed: tensorboard, wandb, trackio, …", None)


@panel("Starts and teachers", 1)
@dataclass(frozen=True, kw_only=True)
class Others:
    """Which other models there are."""

    init_from: str | None = option("Begin from a tagger: a folder, a Hub id, or an original .pth file.", None)
    teacher_scores: Annotated[list[str] | None, Parameter(consume_multiple=True)] = option(
        "Scores to distil, of psla score or any file of them; of several the mean.", None
    )
    cross_fit: Whole | None = option(
        "Train so many teachers, each on the other parts of the training clips, and keep what each says of its part.",
        None,
    )


@panel("Publishing", 8)
@dataclass(frozen=True, kw_only=True)
class Publishing:
    """Where the model goes in the end."""

    push_to_hub: str | None = option("Publish the averaged model with its card as OWNER/NAME.", None)
    public: Annotated[Switch, Needs("--push-to-hub")] = option("Make the repository public.", False)


@panel("Machine", 8)
@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the machine has."""

    cpu: Switch = option("Stay on the CPU.", False)
    mixed_precision: Literal["no", "bf16", "fp16"] | None = option(
        "Default: that of accelerate launch, else what the device is fastest in.", None
    )


DATA, OWN, OTHERS, CONDUCT = TrainingData(), OwnData(), Others(), Conduct()

PUBLISHING, MACHINE, SETTINGS = Publishing(), Machine(), Settings()


def train(
    source: str | None = None,
    /,
    *,
    run: Run,
    data: TrainingData = DATA,
    own: OwnData = OWN,
    others: Others = OTHERS,
    settings: Settings = SETTINGS,
    conduct: Conduct = CONDUCT,
    publishing: Publishing = PUBLISHING,
    machine: Machine = MACHINE,
    messages: Messages = MESSAGES,
) -> None:
    r"""Train a tagger on a folder or a table of sounds.

    For example, on folders of sounds, one for each class, or on a table of
    files, times and labels; and the paper's recipe on two GPUs:
        psla train birds --output-dir runs/birds
        psla train birds.csv --label-column species --output-dir runs/birds
        accelerate launch --num_processes 2 -m psla_hf.commands.train \
            audioset --recipe audioset_balanced --output-dir runs/audioset

    What is not given is chosen by the data and the machine, and said; with
    --dry-run that is all. The defaults shown are those of the recipe:
        psla train --help --recipe fsd50k

    Args:
        source: Folder, table or shards.
    """
    # What is wrong with these shows before seconds of imports.
    recipe_with(run.recipe or "own_small", settings)
    carried_out = RunSettings(**vars(conduct))
    place = data.data_dir if source is None else source
    if place is None or (source is not None and data.data_dir is not None):
        raise ValueError("expected the data as the first argument or as --data-dir: a folder, a table or shards.")

    from psla_hf.training.build import make_accelerator
    from psla_hf.training.choices import default_precision

    from .training import read_data

    trackers = run.trackers.split(",") if run.trackers else None
    precision = machine.mixed_precision or default_precision(machine.cpu)
    accelerator = make_accelerator(machine.cpu, precision, trackers, run.output_dir)
    quiet = messages.quiet or not accelerator.is_main_process

    def read(fold: int | None) -> "RunData":
        return read_data(place, data, own, others, fold, run.recipe, settings, accelerator, quiet=quiet)

    if others.cross_fit is not None:
        if own.folds or publishing.push_to_hub:
            raise ValueError("--folds and --push-to-hub would have no effect with --cross-fit. Leave them out.")
        train_by_parts(read(data.fold), others.cross_fit, run, carried_out, accelerator, messages.quiet)
    else:
        folds = range(1, own.folds + 1) if own.folds and data.fold is None else [data.fold]
        if len(folds) > 1 and publishing.push_to_hub:
            raise ValueError("expected one model for --push-to-hub, not one of each fold: pass --fold.")
        train_folds(read, folds, run, carried_out, publishing, accelerator, messages.quiet)
    accelerator.end_training()


def train_folds(
    read: Callable[[int | None], "RunData"],
    folds: Sequence[int | None],
    run: Run,
    settings: RunSettings,
    publishing: Publishing,
    accelerator: "Accelerator",
    quiet: bool,
) -> None:
    """A run of each fold, of several in folders of their own and with their mean figures; dry, the plan of the first.

    Args:
        read: Loads the data with a fold held out.
        folds: Which; one run has None of data that have no folds.
        run: Where to, and whether it is dry.
        settings: How runs are carried out.
        publishing: Where the model of one fold goes.
        accelerator: Where to train.
        quiet: Whether epochs are not reported.
    """
    finished = {}
    for fold in folds:
        output_dir = Path(run.output_dir) / (f"fold{fold}" if len(folds) > 1 else "")
        on_data = read(fold)
        if run.dry_run:
            accelerator.print(on_data.plan(accelerator.num_processes, settings.keep_epochs))
            return
        finished[f"fold {fold}"] = carry_out(on_data, output_dir, settings, publishing, accelerator, quiet)
    if len(folds) > 1 and accelerator.is_main_process:
        from psla_hf.reports.folds import report_folds

        report_folds(finished, run.output_dir)


def train_by_parts(
    on_data: "RunData", count: int, run: Run, settings: RunSettings, accelerator: "Accelerator", quiet: bool
) -> None:
    """Teachers of all parts of the training clips, and their scores of the part that each did not hear."""
    from psla_hf.teachers.cross_fit import cross_fit, cross_fit_parts

    output_dir = Path(run.output_dir)
    groups = on_data.train.groups
    parts = cross_fit_parts(on_data.train, count, settings.seed, groups)
    if not quiet:
        accelerator.print(f"The training clips were dealt out to {count} parts, stratified, by {groups.by}.")
    if run.dry_run:
        accelerator.print(on_data.of_part(parts, 0).plan(accelerator.num_processes, settings.keep_epochs))
        return

    def train_without(number: int, folder: Path) -> None:
        carry_out(on_data.of_part(parts, number), folder, settings, PUBLISHING, accelerator, quiet)

    name = f"{count} models of the recipe {on_data.title}, each for the clips that it was not trained on"
    cross_fit(on_data.train, parts, train_without, output_dir, accelerator, name)
    accelerator.print(
        f"Scores of {len(parts):,} clips, each by a teacher that did not hear it: {output_dir / 'scores'}"
    )
    accelerator.print(
        f"Learn from them: psla enhance … --scores {output_dir / 'scores'}, or psla train … --teacher-scores"
    )


def carry_out(
    on_data: "RunData",
    output_dir: Path,
    settings: RunSettings,
    publishing: Publishing,
    accelerator: "Accelerator",
    quiet: bool,
) -> dict[str, Any]:
    """One run, and the figures of its models."""
    from psla_hf.hub.publish import push_model
    from psla_hf.hub.repository import Repository
    from psla_hf.reports.tables import print_epoch, print_results
    from psla_hf.training.run.report import write_report
    from psla_hf.training.trainer import RunInterruptedError, Trainer

    if publishing.push_to_hub and accelerator.is_main_process:
        # What is wrong with it must show now, not after a week.
        Repository.open(publishing.push_to_hub, private=not publishing.public)
    trainer = Trainer(
        on_data.recipe,
        on_data.train,
        on_data.test,
        output_dir,
        accelerator,
        settings,
        validation_clips=on_data.validation,
        about_data=on_data.facts,
        start=on_data.start,
    )
    try:
        results = trainer.train(report=(lambda row: None) if quiet else print_epoch)
    except RunInterruptedError as interrupted:
        accelerator.print(f"{interrupted} Go on with --resume.")
        sys.exit(128 + interrupted.signal)  # as a process has that the signal ends
    accelerator.free_memory()  # else it would hold every run's model
    if accelerator.is_main_process:
        on_data.save_splits(output_dir)
        print_results(results["results"], on_data.title, on_data.recipe.target)
        if publishing.push_to_hub:
            print(push_model(output_dir, publishing.push_to_hub, private=not publishing.public))
        print(f"Report: {write_report(output_dir)}")
        print(f"Model (averaged weights): {output_dir}\nTag a sound: psla tag {output_dir} FILE")
    return results["results"]


if __name__ == "__main__":
    from psla_hf.commands import run as run_command

    run_command(["train", *sys.argv[1:]])
