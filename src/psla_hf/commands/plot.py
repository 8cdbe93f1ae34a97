"""`psla plot`: figures of runs and of sampling."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from .arguments import MESSAGES, Messages, Needs, Whole

Figure = Literal["curves", "averaging", "classes", "difference"]


def plot(
    runs: Annotated[list[str], Parameter(show_default=False)] = [],  # noqa: B006 (it is read only, and cyclopts wants a list)
    /,
    *,
    figures: Annotated[list[Figure], Parameter(name="--figure", show_default="curves"), Needs("RUNS")] = ["curves"],  # noqa: B006
    shards: str | None = None,
    split: Annotated[str | None, Needs("--shards")] = None,
    epochs: Annotated[Whole, Needs("--shards")] = 30,
    mixup_rate: Annotated[float, Needs("--shards")] = 0.5,
    output_dir: Path = Path("plots"),
    messages: Messages = MESSAGES,
) -> None:
    """Draw training runs, or how a data set is sampled.

    Needs matplotlib: pip install "psla-hf[plots]".

    For example:
        psla plot runs/seed0 runs/seed1 --figure curves --figure classes

    Args:
        runs: Output folders of psla train, drawn together.
        figures: What to draw of the runs, can be given again; averaging needs psla aggregate curve before.
        shards: Also draw how clips are sampled: folder or address of prepared shards.
        split: Of the shards; default: all of them.
        epochs: With --shards: how many epochs to draw.
        mixup_rate: With --shards: share of draws with a partner.
        output_dir: Folder for the PNGs.
    """
    if not (runs or shards):
        raise ValueError("expected a RUN_DIR, or --shards.")
    from psla_hf.data.shards.parquet import ShardIndex
    from psla_hf.data.shards.shard_files import find_shards
    from psla_hf.reports import plots
    from psla_hf.training.run import folder

    draw = {
        "curves": lambda: plots.learning_curves({run: folder.read_epochs(run) for run in runs}),
        "averaging": lambda: plots.averaging_curves({run: folder.read_curve(run) for run in runs}),
        "classes": lambda: plots.class_ap({run: folder.read_results(run) for run in runs}),
        "difference": lambda: plots.class_difference({run: folder.read_results(run) for run in runs}),
    }
    drawn: dict[str, Any] = {name: draw[name]() for name in figures} if runs else {}
    if shards:
        labels = ShardIndex.open(find_shards(shards, split)).labels
        drawn["class_draws"] = plots.class_draws(labels)
        drawn["never_drawn"] = plots.never_drawn(labels, epochs, mixup_rate)
    for name, figure in drawn.items():
        path = output_dir / f"{name}.png"
        plots.save(figure, path)
        print(path)
