"""Train a tagger: accelerate launch scripts/train.py --recipe esc10 --data-dir DIR --fold 1 --output-dir OUT."""

from dataclasses import dataclass
from typing import Literal

from psla_hf.cli import command_line, parse_with_recipe
from psla_hf.data import load_esc
from psla_hf.recipes import required, setting
from psla_hf.reporting import print_epoch, print_metrics
from psla_hf.training import Trainer, make_accelerator


@dataclass
class RunArguments:
    """What depends on the data, the machine and the moment; everything else is the recipe's."""

    data_dir: str = required("folder of ESC-50 or ESC-10")
    output_dir: str = required("folder for the model and the results")
    recipe: str = setting("esc10", "which recipe; each of its settings can be overridden by the flag of its name")
    subset: Literal["esc10"] | None = setting(None, "take ESC-10 out of a folder of ESC-50; default: all it lists")
    fold: int = setting(1, "fold to hold out and test on, 1 to 5")
    seed: int = setting(0, "seed of initialisation, order and augmentation")
    on_error: Literal["raise", "redraw"] = setting(
        "raise", "what to do with a training clip that does not decode: stop, or log it and draw another"
    )
    tolerated_share: float = setting(0.01, "with redraw: stop when more than this share of the draws did not decode")
    num_workers: int = setting(0, "processes that decode audio; 0 decodes in the training process")
    overwrite: bool = setting(False, "write into an output folder that is not empty")
    cpu: bool = setting(False, "stay on the CPU")
    mixed_precision: Literal["no", "bf16", "fp16"] | None = setting(None, "default: as accelerate launch was told")


def main() -> None:
    run, recipe = parse_with_recipe(RunArguments, __doc__)
    accelerator = make_accelerator(run.cpu, run.mixed_precision)
    data = load_esc(run.data_dir, run.fold, run.subset, quiet=not accelerator.is_main_process)
    trainer = Trainer(
        recipe,
        data["train"],
        data["test"],
        run.output_dir,
        accelerator,
        seed=run.seed,
        num_workers=run.num_workers,
        on_error=run.on_error,
        tolerated_share=run.tolerated_share,
        overwrite=run.overwrite,
    )
    results = trainer.train(report=print_epoch)
    if accelerator.is_main_process:
        print_metrics(results["results"], f"{run.recipe}, tested on fold {run.fold}")
        print(f"Model (averaged weights): {run.output_dir}\nTag a sound: python scripts/tag.py {run.output_dir} FILE")


if __name__ == "__main__":
    with command_line():
        main()
