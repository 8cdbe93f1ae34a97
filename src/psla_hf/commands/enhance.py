"""`psla enhance`: a teacher, a training set and an ontology become a label set."""

from __future__ import annotations  # the types of what is imported when the command runs

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, Token

from psla_hf.data.sources import SOURCES

from .arguments import MESSAGES, Messages, Needs, Switch, Whole, option, panel
from .data import Data
from .teachers import Scoring, ask_teacher, open_chosen

if TYPE_CHECKING:
    from psla_hf.data.schema import Clips
    from psla_hf.labels.ontology import Ontology
    from psla_hf.labels.scores import ScoreRows


def threshold_of(kind: Any, tokens: Sequence[Token]) -> str | float:
    """`mean`, `median`, or a percentile as `25` or `25P`."""
    from psla_hf.enhancement.algorithm import check_threshold

    word = tokens[-1].value
    try:
        value: Any = word if word in ("mean", "median") else float(word.removesuffix("P"))
        check_threshold(value)
    except ValueError as error:
        raise ValueError(f"expected mean, median or a percentile such as 25, got {word}.") from error
    return value


def comma_separated(kind: Any, tokens: Sequence[Token]) -> list[str]:
    """The words between commas."""
    return tokens[-1].value.split(",")


Types = Annotated[tuple[Literal["I", "II"], ...], Parameter(converter=comma_separated, n_tokens=1, show_default="I,II")]


@panel("Enhancement", 0)
@dataclass(frozen=True, kw_only=True)
class Enhancement:
    """Which labels are added, and where they go."""

    ontology: Path = option("AudioSet's ontology.json, or one of its form.")
    output: Path = option("Folder for the label set.")
    overwrite: Switch = option("Replace an output folder that is not empty.", False)
    threshold: Annotated[str | float, Parameter(converter=threshold_of, metavar="WORD")] = option(
        "mean, median or a percentile such as 25.", "mean"
    )
    types: Types = option("I, II or I,II.", ("I", "II"))
    soft: Switch = option("An added label's target is the teacher's score, not 1.", False)
    iterations: Whole = option("Rounds at most; the paper has one.", 1)
    skip_sources: Annotated[list[str] | None, Parameter(consume_multiple=True)] = option(
        "Ids of classes that propose nothing; default for fsd50k: the original's five.", None
    )


@panel("Teacher", 2)
@dataclass(frozen=True, kw_only=True)
class Teaching(Scoring):
    """Whose scores, and where they are."""

    teacher: str | None = option("Directory or Hub id of a tagger, an ensemble or any audio classifier.", None)  # type: ignore[assignment]
    scores: Annotated[list[str] | None, Parameter(consume_multiple=True)] = option(
        "Or scores: .npy, .parquet, the original's .csv, a folder; of several the mean.", None
    )
    scores_dir: Annotated[Path | None, Needs("--teacher")] = option(
        "Folder for the teacher's scores; default: OUTPUT.scores.", None
    )


SCORING = Teaching()


def enhance(
    *,
    how: Enhancement,
    data: Data,
    scoring: Teaching = SCORING,
    streaming: Annotated[Switch, Parameter(group="Data")] = False,
    messages: Messages = MESSAGES,
) -> None:
    r"""Enhance a training set's labels.

    The teacher's scores are kept beside the output: started again after a
    kill, scoring goes on, and another threshold needs no scoring.

    For example, in one process, and with the scoring shared by two:
        psla enhance --teacher runs/teacher --data-dir audioset \
            --dataset audioset_balanced --ontology ontology.json \
            --output labels/mean
        accelerate launch --num_processes 2 -m psla_hf.commands enhance …

    Args:
        streaming: Read the training clips from parquet shards.
    """
    from psla_hf.data.load import load
    from psla_hf.enhancement.algorithm import check_enhancement
    from psla_hf.files import check_output
    from psla_hf.labels.ontology import Ontology
    from psla_hf.teachers.scores import open_teachers
    from psla_hf.training.build import make_accelerator

    if bool(scoring.teacher) == bool(scoring.scores):
        raise ValueError("expected either --teacher or --scores.")
    check_output(how.output, how.overwrite)
    ontology = Ontology.from_json(how.ontology).without_relations(skipped(how, data))
    accelerator = make_accelerator()
    quiet = messages.quiet or not accelerator.is_main_process
    loaded = load(**data.choice(quiet=quiet, streaming=streaming), parts=["train"])
    clips = loaded.train
    # What does not fit must show before the teacher scores for hours.
    vocabulary = clips.vocabulary
    check_enhancement(ontology, vocabulary, how.types, how.iterations)

    if scoring.teacher:
        teacher = open_chosen(scoring)
        folder = scoring.scores_dir or Path(f"{how.output}.scores")
        scores = ask_teacher(scoring, teacher, clips, folder, accelerator, quiet=quiet)
        if accelerator.is_main_process:
            about = {"teacher": teacher.name, "teacher_fingerprint": teacher.fingerprint}
            write(how, data, scoring, clips, ontology, scores, about, loaded.facts())
    elif accelerator.is_main_process:
        assert scoring.scores is not None  # there is one of the two
        parent = how.output.absolute().parent
        parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=parent, prefix=".scores-") as place:
            saved, _, who = open_teachers(scoring.scores, clips.ids, vocabulary, Path(place))
            write(how, data, scoring, clips, ontology, saved, who, loaded.facts())


def skipped(how: Enhancement, data: Data) -> list[str]:
    """Classes that propose nothing."""
    return list(SOURCES[data.key].no_proposals) if how.skip_sources is None else how.skip_sources


def write(
    how: Enhancement,
    data: Data,
    scoring: Teaching,
    clips: Clips,
    ontology: Ontology,
    scores: ScoreRows | None,
    who: Mapping[str, str | None],
    facts: dict[str, Any],
) -> None:
    """Write the label set and its report."""
    from psla_hf.enhancement.algorithm import enhance_clip_labels
    from psla_hf.enhancement.label_set import write_label_set
    from psla_hf.enhancement.report import enhancement_figures, write_report
    from psla_hf.files import atomic_folder
    from psla_hf.provenance import provenance
    from psla_hf.reports.tables import print_figures
    from psla_hf.teachers.scores import check_unscored

    assert scores is not None  # of all parts
    vocabulary, ids = clips.vocabulary, clips.ids
    settings = {name: asdict(how)[name] for name in ("threshold", "types", "iterations")}
    enhancement = enhance_clip_labels(clips.labels, scores, ontology, vocabulary.mids, **settings, allow_unscored=True)
    check_unscored(enhancement.unscored, ids, scoring.on_error == "skip")
    data_dir = Path(data.data_dir)
    root = data_dir.parent if data_dir.is_file() else data_dir
    figures = enhancement_figures(enhancement, ids, vocabulary, ontology, lambda clip: clips.audio_path(clip, root))
    choice = {"dataset": data.key, "soft": how.soft, "skip_sources": skipped(how, data)}
    report = {**provenance(), **who, "data": facts, **choice, **settings, **figures}
    with atomic_folder(how.output, how.overwrite) as folder:
        write_label_set(folder, ids, enhancement, vocabulary, how.soft)
        write_report(folder, report)
    counts = figures["labels"]
    print_figures(
        figures["relations"], f"{counts['added']:,} labels added to {counts['before']:,} ({counts['percent']:.1f} %)"
    )
    if len(enhancement.unscored):
        print(
            f"{len(enhancement.unscored):,} of {len(ids):,} clips have no scores; their labels stay, and count nowhere."
        )
    print(f"Label set and report.md: {how.output}\nTrain with it: psla train … --labels {how.output}")
