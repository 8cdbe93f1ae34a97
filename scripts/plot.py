"""Draw training runs, or how a data set is sampled: python scripts/plot.py RUN_DIR... --output-dir plots.

Needs matplotlib: pip install psla-hf[plots].
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from psla_hf.commands.arguments import command_line
from psla_hf.data.shards import ShardIndex, find_shards
from psla_hf.reports import plots
from psla_hf.training import run_folder

FIGURES = {
    "curves": lambda runs: plots.learning_curves({run: run_folder.read_epochs(run) for run in runs}),
    "averaging": lambda runs: plots.averaging_curves({run: run_folder.read_curve(run) for run in runs}),
    "classes": lambda runs: plots.class_ap({run: run_folder.read_results(run) for run in runs}),
    "difference": lambda runs: plots.class_difference({run: run_folder.read_results(run) for run in runs}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN_DIR", help="output folders of scripts/train.py, drawn together")
    parser.add_argument(
        "--figure",
        dest="figures",
        action="append",
        choices=list(FIGURES),
        help="what to draw of the runs, can be given again: learning curves (the default), mAP against the epoch that "
        "averaging starts from (after aggregate.py curve), average precision by class, or its difference between two "
        "runs",
    )
    parser.add_argument("--shards", help="also draw how clips are sampled: folder or address of prepared shards")
    parser.add_argument("--split", help="of the shards; default: all of them")
    parser.add_argument("--epochs", type=int, default=30, help="with --shards: how many epochs to draw")
    parser.add_argument("--mixup-rate", type=float, default=0.5, help="with --shards: share of draws with a partner")
    parser.add_argument("--output-dir", default="plots", help="folder for the PNGs")
    arguments = parser.parse_args()
    if not (arguments.runs or arguments.shards):
        parser.error("expected a RUN_DIR, or --shards")

    figures: dict[str, Figure] = {}
    if arguments.runs:
        figures |= {name: FIGURES[name](arguments.runs) for name in arguments.figures or ["curves"]}
    if arguments.shards:
        labels = ShardIndex.open(find_shards(arguments.shards, arguments.split)).labels
        figures["class_draws"] = plots.class_draws(labels)
        figures["never_drawn"] = plots.never_drawn(labels, arguments.epochs, arguments.mixup_rate)
    for name, figure in figures.items():
        path = Path(arguments.output_dir) / f"{name}.png"
        plots.save(figure, path)
        print(path)


if __name__ == "__main__":
    with command_line():
        main()
