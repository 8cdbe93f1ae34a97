"""Average saved taggers, make them one ensemble, or draw up how an average depends on its first epoch.

python scripts/aggregate.py average RUN/epochs/01? --output-dir OUT
python scripts/aggregate.py ensemble RUN RUN... --output-dir OUT --data-dir DIR --fold 1
python scripts/aggregate.py curve RUN... --data-dir DIR --fold 1

A member is a directory, a safetensors file beside its configuration, a pattern of either, or a Hub id. With --data-dir
the members and what they become are scored on the data set's test part.
"""

import argparse
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from psla_hf.aggregation import aggregate as aggregation
from psla_hf.aggregation.members import Member, find_members, kept_epochs
from psla_hf.commands.arguments import add_data_flags, command_line, data_choice
from psla_hf.data.load import load
from psla_hf.data.schema import Clips
from psla_hf.files import write_json
from psla_hf.provenance import provenance
from psla_hf.reports.tables import AGGREGATE_NAMES, print_figures, print_metrics
from psla_hf.training.build import make_accelerator
from psla_hf.training.run_folder import CURVE_FILE


def parser() -> argparse.ArgumentParser:
    data = argparse.ArgumentParser(add_help=False)
    add_data_flags(data, "test", required=False)
    data.add_argument("--batch-size", type=int, default=16, help="clips at a time")

    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("--output-dir", required=True, help="folder for the model and results.json")
    output.add_argument("--overwrite", action="store_true", help="replace what an earlier run or aggregate left there")
    output.add_argument("--save-scores", metavar="DIR", help="with --data-dir: keep each member's scores as .npy")

    about = argparse.RawDescriptionHelpFormatter
    whole = argparse.ArgumentParser(description=__doc__, formatter_class=about)
    ways = whole.add_subparsers(dest="way", required=True)
    averaging = ways.add_parser("average", parents=[data, output], help="the equal mean of weights, one architecture")
    averaging.add_argument("members", nargs="+", help="directories, safetensors files, patterns, Hub ids")
    averaging.add_argument(
        "--greedy",
        nargs="?",
        const="validation",
        choices=["validation", "test"],
        help="take a member only if the average gets no worse on this part of the data (validation, if not named; "
        "chosen on the test part, figures on the test part are too good)",
    )
    together = ways.add_parser("ensemble", parents=[data, output], help="one model, the mean of probabilities")
    together.add_argument("members", nargs="*", help="directories, safetensors files, patterns, Hub ids")
    together.add_argument(
        "--scores",
        nargs="+",
        metavar="FILE",
        help="saved scores instead of members, columns in the order of the data's classes; makes no model",
    )
    together.add_argument("--targets", metavar="FILE", help="with --scores, instead of the data: 0/1 labels as .npy")
    together.add_argument("--no-model", action="store_true", help="only the figures, with one member in memory")
    curve = ways.add_parser("curve", parents=[data], help="mAP by the first epoch averaged, of train.py --keep-epochs")
    curve.add_argument("runs", nargs="+", metavar="RUN", help=f"output folders of train.py; each gets {CURVE_FILE}")
    return whole


def load_clips(arguments: argparse.Namespace, quiet: bool, part: str = "test") -> Clips | None:
    """A part of the data, if the command line names data."""
    if arguments.data_dir is None or part == "test":
        return None if arguments.data_dir is None else load(**data_choice(arguments, quiet), parts=["test"]).test
    clips = load(**data_choice(arguments, quiet)).validation
    if clips is None:
        raise ValueError(
            f"{arguments.dataset} has no validation part to choose on. --greedy test chooses on the test part."
        )
    return clips


def aggregate(arguments: argparse.Namespace, accelerator: Accelerator) -> None:
    """Make the model and its results, write both, print the table."""
    members = find_members(arguments.members)
    clips = load_clips(arguments, quiet=not accelerator.is_main_process)
    folder = aggregation.open_output(arguments.output_dir, members, accelerator, arguments.overwrite)
    scorer = None if clips is None else aggregation.Scorer(clips, accelerator, arguments.batch_size)
    make = make_average if arguments.way == "average" else make_ensemble
    outcome = make(arguments, members, scorer, accelerator)
    content = aggregation.save_aggregate(outcome, folder, accelerator)
    if not accelerator.is_main_process:
        return
    for step in content.get("selection", {"tried": []})["tried"]:
        print(f"{'taken' if step['taken'] else 'left out':8}  {step['member']}  mAP {step['mAP_with_it']:.4f}")
    if content["results"]:
        rows = {AGGREGATE_NAMES[name]: metrics for name, metrics in content["results"].items()}
        print_metrics(outcome.members | rows, f"{len(outcome.members)} members")
    if arguments.save_scores and clips is not None:
        for path in aggregation.save_scores(outcome, clips.ids, arguments.save_scores):
            print(path)
    print(f"{arguments.way} of {len(content['members'])} members: {folder}")


def make_average(
    arguments: argparse.Namespace, members: list[Member], scorer: aggregation.Scorer | None, accelerator: Accelerator
) -> aggregation.Aggregate:
    if not arguments.greedy:
        return aggregation.average(members, scorer)
    if scorer is None:
        raise ValueError("Expected --data-dir with --greedy: members are chosen by their mAP.")
    chosen_on = load_clips(arguments, quiet=not accelerator.is_main_process, part=arguments.greedy)
    assert chosen_on is not None  # there is a scorer, hence data
    return aggregation.greedy_average(members, aggregation.Scorer(chosen_on, accelerator, arguments.batch_size), scorer)


def make_ensemble(
    arguments: argparse.Namespace, members: list[Member], scorer: aggregation.Scorer | None, accelerator: Accelerator
) -> aggregation.Aggregate:
    if not arguments.scores:
        return aggregation.ensemble(members, scorer, build=not arguments.no_model)
    if scorer is None:
        targets = np.load(arguments.targets)
        return aggregation.ensemble_of_scores(aggregation.read_scores(arguments.scores, targets.shape), targets)
    scores = aggregation.read_scores(arguments.scores, scorer.targets.shape, scorer.clips.ids)
    outcome = aggregation.ensemble_of_scores(scores, scorer.targets)
    outcome.about |= scorer.described()
    return outcome


def draw_curves(arguments: argparse.Namespace, accelerator: Accelerator) -> None:
    """Score the averages of every run from every epoch on, print and write them."""
    epochs = {run: kept_epochs(run) for run in arguments.runs}
    clips = load_clips(arguments, not accelerator.is_main_process)
    assert clips is not None  # the parser asks for data
    scorer = aggregation.Scorer(clips, accelerator, arguments.batch_size)
    for run, members in epochs.items():
        rows = aggregation.averaging_curve(members, scorer)
        if not accelerator.is_main_process:
            continue
        path = Path(run) / CURVE_FILE
        write_json({**provenance(), **scorer.described(), "rows": rows}, path)
        figures = {
            str(row["epoch"]): {name: row[name]["mAP"] for name in ("single", "averaged", "ensemble")} for row in rows
        }
        print_figures(figures, f"mAP of {run}: of the epoch itself, and averaged from it on", "epoch")
        print(path)


def main() -> None:
    whole = parser()
    arguments = whole.parse_args()
    if arguments.way == "curve" and arguments.data_dir is None:
        whole.error("curve scores models: expected --data-dir")
    if arguments.way == "ensemble" and bool(arguments.members) == bool(arguments.scores):
        whole.error("expected either members or --scores")
    if arguments.way == "ensemble" and arguments.scores and bool(arguments.targets) == bool(arguments.data_dir):
        whole.error("with --scores expected either --targets or --data-dir")
    (draw_curves if arguments.way == "curve" else aggregate)(arguments, make_accelerator())


if __name__ == "__main__":
    with command_line():
        main()
