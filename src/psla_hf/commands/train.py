"""`psla train`, also `accelerate launch -m psla_hf.commands.train …`: a run of a recipe on data."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from psla_hf.training.run_settings import RunSettings

from .arguments import MESSAGES, Messages, Needs, Switch, flags_like, option, panel, recipe_with, settings_type
from .data import Data, DataSet

if TYPE_CHECKING:
    from psla_hf.data.schema import Clips
    from psla_hf.data.summary import Loaded


Settings: Any = settings_type()

Conduct: Any = flags_like(RunSettings, "Run", 0)


@panel("Data", 1)
@dataclass(frozen=True, kw_only=True)
class TrainingData(Data):
    """Which data to train, validate and test on."""

    dataset: DataSet | None = option("Which data; default: what the recipe is named after.", None)  # type: ignore[assignment]
    labels: str | None = option("Enhanced labels: a folder of psla enhance, or OWNER/NAME[:CONFIG].", None)
    streaming: Switch = option("Stream the training clips from parquet shards.", False)


@panel("Run", 0)
@dataclass(frozen=True, kw_only=True)
class Run:
    """What depends on the moment."""

    output_dir: str = option("Folder for the model and the results.")
    recipe: str = option("Which recipe, or a variant such as audioset_full/no_mixup.", "esc10")
    config: Path | None = option("YAML, JSON or TOML file with any of these settings; flags win.", None)
    dry_run: Switch = option("Print the plan and stop.", False)
    trackers: str | None = option("Comma-separated, of those installed: tensorboard, wandb, trackio, …", None)


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
    mixed_precision: Literal["no", "bf16", "fp16"] | None = option("Default: that of accelerate launch.", None)


CONDUCT, PUBLISHING, MACHINE, SETTINGS = Conduct(), Publishing(), Machine(), Settings()


def train(
    *,
    run: Run,
    data: TrainingData,
    settings: Settings = SETTINGS,
    conduct: Conduct = CONDUCT,
    publishing: Publishing = PUBLISHING,
    machine: Machine = MACHINE,
    messages: Messages = MESSAGES,
) -> None:
    r"""Train a tagger.

    For example, on one GPU or CPU, and on two:
        psla train --recipe esc10 --data-dir esc10 --output-dir runs/esc10
        accelerate launch --num_processes 2 -m psla_hf.commands.train \
            --recipe esc10 --data-dir esc10 --output-dir runs/esc10

    A recipe sets what the panels from Model to Aggregation list; a flag or
    the file of --config overrides it. The defaults shown are the recipe's:
        psla train --help --recipe fsd50k
    """
    # What is wrong with these shows before seconds of imports.
    recipe = recipe_with(run.recipe, settings)
    carried_out = RunSettings(**vars(conduct))

    from psla_hf.hub.publish import push_model
    from psla_hf.hub.repository import Repository
    from psla_hf.reports.tables import print_epoch, print_results
    from psla_hf.training.build import make_accelerator
    from psla_hf.training.plan import Plan
    from psla_hf.training.trainer import RunInterruptedError, Trainer

    named = run.recipe.partition("/")[0]
    own_data = "esc" if named.startswith("esc") else named
    dataset = data.dataset or own_data
    # On other data than its own a recipe has no published figures to be measured against.
    title = run.recipe
    if dataset != own_data:
        recipe, title = recipe.replace(target=None), f"{run.recipe} on {dataset}"
    trackers = run.trackers.split(",") if run.trackers else None
    accelerator = make_accelerator(machine.cpu, machine.mixed_precision, trackers, run.output_dir)
    quiet = messages.quiet or not accelerator.is_main_process
    loaded, train_clips, facts = load_clips(data, dataset, quiet)
    if run.dry_run:
        planned = Plan(
            recipe,
            num_train=len(train_clips),
            num_test=len(loaded.test),
            num_classes=len(loaded.test.vocabulary),
            num_processes=accelerator.num_processes,
            train_hours=train_clips.hours,
            keep_epochs=carried_out.keep_epochs,
            name=title,
        )
        accelerator.print(planned)
        return
    if publishing.push_to_hub and accelerator.is_main_process:
        # What is wrong with it must show now, not after a week.
        Repository.open(publishing.push_to_hub, private=not publishing.public)
    trainer = Trainer(
        recipe,
        train_clips,
        loaded.test,
        run.output_dir,
        accelerator,
        carried_out,
        validation_clips=loaded.validation,
        about_data=facts,
    )
    try:
        results = trainer.train(report=(lambda row: None) if messages.quiet else print_epoch)
    except RunInterruptedError as interrupted:
        accelerator.print(f"{interrupted} Go on with --resume.")
        sys.exit(128 + interrupted.signal)  # as a process has that the signal ends
    accelerator.end_training()
    if accelerator.is_main_process:
        print_results(results["results"], title, recipe.target)
        if publishing.push_to_hub:
            print(push_model(run.output_dir, publishing.push_to_hub, private=not publishing.public))
        print(f"Model (averaged weights): {run.output_dir}\nTag a sound: psla tag {run.output_dir} FILE")


def load_clips(data: TrainingData, dataset: str, quiet: bool) -> tuple["Loaded", "Clips", dict[str, Any]]:
    """The data, the clips to train on with the labels asked for, and the facts that results record of both."""
    from psla_hf.data.load import load
    from psla_hf.enhancement.label_set import LabelSet

    loaded = load(**{**data.choice(quiet=quiet, streaming=data.streaming), "dataset": dataset})
    if not data.labels:
        return loaded, loaded.train, loaded.facts()
    label_set = LabelSet.open(data.labels)
    return loaded, label_set.apply(loaded.train), {**loaded.facts(), "label_set": label_set.in_figures()}


if __name__ == "__main__":
    from psla_hf.commands import run as run_command

    run_command(["train", *sys.argv[1:]])
