"""Train a tagger: accelerate launch scripts/train.py --recipe esc10 --data-dir DIR --fold 1 --output-dir OUT."""

import sys
from dataclasses import dataclass
from typing import Literal

from psla_hf.commands.arguments import command_line, data_choice, parse_with_recipe
from psla_hf.data.load import load
from psla_hf.data.summary import Loaded
from psla_hf.enhancement.label_set import LabelSet
from psla_hf.hub.publish import push_model
from psla_hf.hub.repository import Repository
from psla_hf.reports.tables import print_epoch, print_results
from psla_hf.training.build import make_accelerator
from psla_hf.training.plan import Plan, plan
from psla_hf.training.recipes import Recipe, required, setting
from psla_hf.training.trainer import RunInterruptedError, Trainer

TOLERATED_SHARE = 0.01
RESUMABLE = 143  # 128 and SIGTERM's number, as a process has that SIGTERM ends


@dataclass
class RunArguments:
    """What depends on the data, the machine and the moment; everything else is the recipe's."""

    data_dir: str = required("folder of the data; for own data a table or folder with splits; for streams an address")
    output_dir: str = required("folder for the model and the results")
    recipe: str = setting("esc10", "which recipe; each of its settings can be overridden by the flag of its name")
    dataset: str | None = setting(None, "which data; default: what the recipe is named after")
    subset: Literal["esc10", "audioset"] | None = setting(
        None, "take these classes out of ESC-50; default: all it lists"
    )
    fold: int = setting(1, "fold to hold out and test on, for ESC and UrbanSound8K")
    vocabulary: str | None = setting(None, "table of classes; default: the data's own")
    labels: str | None = setting(
        None, "enhanced labels for the clips to train on: a folder of enhance_labels.py, or OWNER/NAME[:CONFIG]"
    )
    drop_incomplete: bool = setting(False, "go on without listed clips that are missing or unreadable")
    streaming: bool = setting(False, "stream the training clips from parquet shards")
    seed: int = setting(0, "seed of initialisation, order and augmentation")
    on_error: Literal["raise", "redraw"] = setting(
        "raise", "what to do with a training clip that does not decode: stop, or log it and draw another"
    )
    tolerated_share: float = setting(
        TOLERATED_SHARE, "with redraw: stop when more than this share of the draws did not decode"
    )
    num_workers: int = setting(0, "processes that decode audio; 0 decodes in the training process")
    checkpoint_every: int = setting(500, "save the state every so many updates, besides after every epoch")
    keep_epochs: bool = setting(False, "keep the model of every epoch")
    resume: bool = setting(False, "go on from the latest checkpoint in the output folder, if there is one")
    overwrite: bool = setting(False, "replace what an earlier run left in the output folder; other files stay")
    dry_run: bool = setting(False, "print the plan and stop")
    push_to_hub: str | None = setting(None, "publish the averaged model with its card as this repository, OWNER/NAME")
    public: bool = setting(False, "with push_to_hub: make the repository public")
    trackers: str | None = setting(None, "comma-separated, of those installed: tensorboard, wandb, trackio, …")
    cpu: bool = setting(False, "stay on the CPU")
    mixed_precision: Literal["no", "bf16", "fp16"] | None = setting(None, "default: as accelerate launch was told")

    def __post_init__(self) -> None:
        """Take the recipe's own data where none are named, and refuse what would have no effect."""
        named = self.recipe.partition("/")[0]
        own_data = "esc" if named.startswith("esc") else named
        self.dataset = self.dataset or own_data
        # On other data than its own a recipe has no published figures to be measured against.
        self.title = self.recipe if self.dataset == own_data else f"{self.recipe} on {self.dataset}"
        if self.public and not self.push_to_hub:
            raise ValueError("public would have no effect: it needs push_to_hub. Leave it out.")
        if self.tolerated_share != TOLERATED_SHARE and self.on_error == "raise":
            raise ValueError("tolerated_share would have no effect: it needs on_error redraw. Leave it out.")


def main() -> None:
    run, recipe = parse_with_recipe(RunArguments, __doc__)
    trackers = run.trackers.split(",") if run.trackers else None
    accelerator = make_accelerator(run.cpu, run.mixed_precision, trackers, run.output_dir)
    quiet = not accelerator.is_main_process
    data = load(**data_choice(run, quiet, run.streaming))
    train_clips, facts = data.train, data.facts()
    if run.labels:
        label_set = LabelSet.open(run.labels)
        train_clips, facts = label_set.apply(train_clips), {**facts, "label_set": label_set.in_figures()}
    if run.dry_run:
        accelerator.print(planned(run, recipe, data, accelerator.num_processes))
        return
    if run.push_to_hub and accelerator.is_main_process:
        Repository(run.push_to_hub, private=not run.public)  # what is wrong with it is to be told now, not after a week
    trainer = Trainer(
        recipe,
        train_clips,
        data.test,
        run.output_dir,
        accelerator,
        validation_clips=data.validation,
        seed=run.seed,
        num_workers=run.num_workers,
        on_error=run.on_error,
        tolerated_share=run.tolerated_share,
        checkpoint_every=run.checkpoint_every,
        keep_epochs=run.keep_epochs,
        resume=run.resume,
        overwrite=run.overwrite,
        about_data=facts,
    )
    accelerator.init_trackers("psla-hf", config={**vars(recipe), "seed": run.seed})
    try:
        results = trainer.train(report=print_epoch)
    except RunInterruptedError as interrupted:
        accelerator.print(f"{interrupted} Go on with --resume.")
        sys.exit(RESUMABLE)
    accelerator.end_training()
    if accelerator.is_main_process:
        print_results(results["results"], run.title)
        if run.push_to_hub:
            print(push_model(run.output_dir, run.push_to_hub, private=not run.public))
        print(f"Model (averaged weights): {run.output_dir}\nTag a sound: python scripts/tag.py {run.output_dir} FILE")


def planned(run: RunArguments, recipe: Recipe, data: Loaded, num_processes: int) -> Plan:
    return plan(
        recipe,
        num_train=len(data.train),
        num_test=len(data.test),
        num_classes=len(data.test.vocabulary),
        num_processes=num_processes,
        train_hours=data.train.hours,
        keep_epochs=run.keep_epochs,
        name=run.title,
    )


if __name__ == "__main__":
    with command_line():
        main()
