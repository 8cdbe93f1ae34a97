"""What commands share that ask a teacher: which, and how it scores. Knows no single command."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from .arguments import BatchSize, Needs, Switch, Whole, option, panel

if TYPE_CHECKING:
    from accelerate import Accelerator

    from psla_hf.data.schema import Clips
    from psla_hf.teachers.scores import NpyRows
    from psla_hf.teachers.teacher import Teacher

__all__ = ["Scoring", "ask_teacher", "open_chosen"]


@panel("Teacher", 2)
@dataclass(frozen=True, kw_only=True)
class Scoring:
    """Whose scores, and how they are made."""

    teacher: str = option("Directory or Hub id of a tagger, an ensemble or any audio classifier.")
    class_map: Annotated[Path | None, Needs("--teacher")] = option(
        "CSV with the columns class and teacher, for classes that have other names there.", None
    )
    activation: Annotated[Literal["sigmoid", "softmax"] | None, Needs("--teacher")] = option(
        "What makes probabilities of a foreign teacher's logits; default: what it says.", None
    )
    window_seconds: Annotated[float | None, Needs("--teacher")] = option(
        "The longest sound that a foreign teacher hears whole; default: what it says, or 10.", None
    )
    trust_remote_code: Annotated[Switch, Needs("--teacher")] = option("Run code that the teacher brings along.", False)
    clips_per_chunk: Annotated[Whole, Needs("--teacher")] = option("Clips whose scores become one file.", 2048)
    batch_size: Annotated[BatchSize, Needs("--teacher")] = 16
    num_workers: Annotated[Whole, Needs("--teacher")] = option("Processes that decode, for each that scores.", 0)
    on_error: Literal["raise", "skip"] = option(
        "Clips that do not decode, or have no saved scores (NaN): stop, or leave them without.", "raise"
    )


def open_chosen(scoring: Scoring) -> "Teacher":
    """The teacher that was named."""
    from psla_hf.teachers.teacher import open_teacher

    return open_teacher(
        scoring.teacher,
        trust_remote_code=scoring.trust_remote_code,
        activation=scoring.activation,
        window_seconds=scoring.window_seconds,
    )


def ask_teacher(
    scoring: Scoring,
    teacher: "Teacher",
    clips: "Clips",
    folder: Path,
    accelerator: "Accelerator",
    *,
    top_k: int | None = None,
    part: tuple[int, int] = (1, 1),
    quiet: bool = False,
) -> "NpyRows | None":
    """Its scores of the clips, kept in the folder; what it knows and does not know of their classes is said."""
    from psla_hf.teachers.class_map import ClassMap, read_class_map
    from psla_hf.teachers.scoring import score_training_clips

    chosen = None if scoring.class_map is None else read_class_map(scoring.class_map)
    class_map = ClassMap.of(teacher.classes, clips.vocabulary, chosen)
    if not quiet:
        print("\n".join(class_map.in_words()))
    return score_training_clips(
        teacher,
        clips,
        folder,
        accelerator,
        class_map=class_map,
        batch_size=scoring.batch_size,
        num_workers=scoring.num_workers,
        clips_per_chunk=scoring.clips_per_chunk,
        top_k=top_k,
        part=part,
        on_error=scoring.on_error,
    )
