"""`psla aggregate`: one model of several by averaging or as an ensemble, and how an average depends on its start."""

from __future__ import annotations  # the types of what is imported when a command runs

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from .arguments import MESSAGES, Messages, Needs, Switch, option, panel
from .data import EvaluationData, OwnData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from accelerate import Accelerator

    from psla_hf.aggregation.aggregate import Aggregate, Scorer
    from psla_hf.aggregation.members import Member
    from psla_hf.training.origins import Origin

    Work: TypeAlias = Callable[[], Aggregate]

OWN = OwnData()

aggregate = App(
    name="aggregate",
    help="Make one model of several, and score it.\n\n"
    "A member is a directory, a safetensors file beside its configuration, a\n"
    "pattern of either, or a Hub id. With --data-dir the members and what they\n"
    "become are scored on the data's test part.\n\n"
    "For example:\n    psla aggregate average 'runs/esc10/epochs/01?' --output-dir runs/average",
)


@panel("Output", 0)
@dataclass(frozen=True, kw_only=True)
class Output:
    """What is written where."""

    output_dir: str = option("Folder for the model and results.json.")
    overwrite: Switch = option("Replace what an earlier run or aggregate left there.", False)
    save_scores: Annotated[Path | None, Needs("--data-dir"), Needs("MEMBERS")] = option(
        "With --data-dir: folder for each member's scores as .npy.", None
    )


@aggregate.command
def average(
    members: list[str],
    /,
    *,
    output: Output,
    greedy: Literal["validation", "test"] | None = None,
    data: EvaluationData | None = None,
    own: OwnData = OWN,
    messages: Messages = MESSAGES,
) -> None:
    r"""Average the weights of models of one architecture.

    With --greedy test members are chosen on the clips that figures are
    measured on, which then are too good.

    For example:
        psla aggregate average 'runs/esc10/epochs/01?' \
            --output-dir runs/average --data-dir esc10

    Args:
        members: Directories, safetensors files, patterns, Hub ids.
        greedy: Take a member only if the average gets no worse on this part, if not named validation.
    """
    from psla_hf.aggregation import aggregate as aggregation
    from psla_hf.aggregation.members import check_members

    def plan(members: list[Member], scorer: Scorer | None, accelerator: Accelerator) -> Work:
        if not greedy:
            return partial(aggregation.average, members, scorer)
        if data is None or scorer is None:
            raise ValueError("Expected --data-dir with --greedy: members are chosen by their mAP.")
        try:
            chooser = scorer_of(data, own, accelerator, messages, origins_of(members), greedy)
        except ValueError as error:
            raise ValueError(f"{error} --greedy test chooses on the test part.") from error
        return partial(aggregation.greedy_average, members, chooser, scorer)

    write("average", members, partial(check_members, weights=True), plan, output, data, own, messages)


@aggregate.command
def ensemble(
    members: Annotated[list[str], Parameter(show_default=False)] = [],  # noqa: B006 (it is read only, and cyclopts wants a list)
    /,
    *,
    output: Output,
    scores: Annotated[list[Path], Parameter(consume_multiple=True, show_default=False)] = [],  # noqa: B006
    targets: Annotated[Path | None, Needs("--scores")] = None,
    no_model: Annotated[Switch, Needs("MEMBERS")] = False,
    data: EvaluationData | None = None,
    own: OwnData = OWN,
    messages: Messages = MESSAGES,
) -> None:
    r"""Join models to one, which gives the mean of their probabilities.

    For example:
        psla aggregate ensemble runs/seed0 runs/seed1 \
            --output-dir runs/ensemble --data-dir esc10

    Args:
        members: Directories, safetensors files, patterns, Hub ids.
        scores: Saved scores instead of members, columns in the order of the data's classes; makes no model.
        targets: With --scores, instead of the data: 0/1 labels as .npy.
        no_model: Only the figures, with one member in memory.
    """
    from psla_hf.aggregation import aggregate as aggregation
    from psla_hf.aggregation.members import check_members

    if bool(members) == bool(scores):
        raise ValueError("expected either members or --scores.")
    if scores and bool(targets) == bool(data):
        raise ValueError("with --scores expected either --targets or --data-dir.")

    def plan(members: list[Member], scorer: Scorer | None, accelerator: Accelerator) -> Work:
        if not scores:
            return partial(aggregation.ensemble, members, scorer, build=not no_model)
        if scorer is None:
            from psla_hf.files import read_npy

            labels = read_npy(targets)  # type: ignore[arg-type]  # there is one of the two
            saved = aggregation.read_scores(scores, labels.shape)
            return partial(aggregation.ensemble_of_scores, saved, labels)
        saved = aggregation.read_scores(scores, scorer.targets.shape, scorer.clips.ids)

        def joined() -> Aggregate:
            outcome = aggregation.ensemble_of_scores(saved, scorer.targets)
            outcome.about |= scorer.described()
            return outcome

        return joined

    write("ensemble", members, partial(check_members, join=not no_model), plan, output, data, own, messages)


@aggregate.command
def curve(runs: list[str], /, *, data: EvaluationData, own: OwnData = OWN, messages: Messages = MESSAGES) -> None:
    """Score averages by the first epoch averaged, of psla train --keep-epochs.

    For example:
        psla aggregate curve runs/esc10 --data-dir esc10
        psla plot runs/esc10 --figure averaging

    Args:
        runs: Output folders of psla train; each gets averaging_curve.json.
    """
    from psla_hf.aggregation.aggregate import averaging_curve
    from psla_hf.aggregation.members import check_members, kept_epochs
    from psla_hf.files import write_json
    from psla_hf.provenance import provenance
    from psla_hf.reports.tables import print_figures
    from psla_hf.training.build import make_accelerator
    from psla_hf.training.run.folder import CURVE_FILE

    accelerator = make_accelerator()
    epochs = {run: kept_epochs(run) for run in runs}
    for members in epochs.values():
        check_members(list(members.values()), weights=True)
    scorer = scorer_of(
        data, own, accelerator, messages, {run: members[max(members)].origin() for run, members in epochs.items()}
    )
    for run, members in epochs.items():
        rows = averaging_curve(members, scorer)
        if not accelerator.is_main_process:
            continue
        path = Path(run) / CURVE_FILE
        write_json({**provenance(), **scorer.described(), "rows": rows}, path)
        figures = {
            str(row["epoch"]): {name: row[name]["mAP"] for name in ("single", "averaged", "ensemble")} for row in rows
        }
        print_figures(figures, f"mAP of {run}: of the epoch itself, and averaged from it on", "epoch")
        print(path)


def scorer_of(
    data: EvaluationData,
    own: OwnData,
    accelerator: Accelerator,
    messages: Messages,
    origins: Mapping[str, Origin],
    part: str = "test",
) -> Scorer:
    """What scores on a part of the data, or chooses members by it."""
    from psla_hf.aggregation.aggregate import Scorer

    quiet = messages.quiet or not accelerator.is_main_process
    loaded = data.load(origins, part, quiet=quiet, **own.settings())
    return Scorer(loaded.parts[part], accelerator, data.batch_size, loaded.facts())


def origins_of(members: list[Member]) -> dict[str, Origin]:
    """What result files say of the members, by name."""
    return {member.name: member.origin() for member in members}


def write(
    way: str,
    patterns: list[str],
    check: Callable[[list[Member]], None],
    plan: Callable[[list[Member], Scorer | None, Accelerator], Work],
    output: Output,
    data: EvaluationData | None,
    own: OwnData,
    messages: Messages,
) -> None:
    """Make a model and its results, write both, print the table."""
    from psla_hf.aggregation import aggregate as aggregation
    from psla_hf.aggregation.members import find_members
    from psla_hf.reports.tables import AGGREGATE_NAMES, print_metrics
    from psla_hf.training.build import make_accelerator

    if data is None and own.settings():
        given = ", ".join(f"--{name.replace('_', '-')}" for name in own.settings())
        raise ValueError(f"{given} would have no effect without --data-dir. Leave it out, or say where the data are.")
    accelerator = make_accelerator()
    members = find_members(patterns)
    check(members)  # before data are read and scored
    scorer = None if data is None else scorer_of(data, own, accelerator, messages, origins_of(members))
    work = plan(members, scorer, accelerator)
    with aggregation.open_output(output.output_dir, members, accelerator, output.overwrite) as folder:
        outcome = work()
        content: dict[str, Any] = aggregation.save_aggregate(outcome, folder, accelerator)
    if not accelerator.is_main_process:
        return
    for step in content.get("selection", {"tried": []})["tried"]:
        print(f"{'taken' if step['taken'] else 'left out':8}  {step['member']}  mAP {step['mAP_with_it']:.4f}")
    if content["results"]:
        rows = {AGGREGATE_NAMES[name]: metrics for name, metrics in content["results"].items()}
        print_metrics(outcome.members | rows, f"{len(outcome.members)} members")
    if output.save_scores and scorer is not None:
        for path in aggregation.save_scores(outcome, scorer.clips.ids, output.save_scores):
            print(path)
    print(f"{way} of {len(content['members'])} members: {folder}")
