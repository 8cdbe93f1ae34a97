"""How data are loaded, and the account of what was found. Knows no sources and opens no audio."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import TypedDict

from psla_hf.files import write_json

from .schema import Clips

if TYPE_CHECKING:
    from .made_splits import MadeSplits

__all__ = ["Incomplete", "LoadArguments", "LoadOptions", "LoadSummary", "Loaded"]


@dataclass(frozen=True)
class LoadSummary:
    """What a load found.

    Attributes:
        source: Which data, in words.
        splits: Clips by split, of those that are there.
        listed: Clips that the source lists.
        missing: Ids of listed clips without a file.
        unreadable: Ids of clips whose file is no audio, and why.
        class_counts: Clips per class, by display name, in index order.
        hours: By the files' headers; none where the source is remote and does not say.
        vocabulary: Fingerprint of the classes and their order.
        notes: What else the reader should know, a sentence each.
    """

    source: str
    splits: Mapping[str, int]
    listed: int
    class_counts: Mapping[str, int]
    vocabulary: str
    missing: Sequence[str] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    hours: float | None = None
    notes: Sequence[str] = ()

    @classmethod
    def of(cls, clips: Clips, source: str, splits: Mapping[str, int], **more: Any) -> "LoadSummary":
        """The account of clips that are there: of listed clips that are not, `more` has the attributes."""
        counts = clips.labels.class_counts().tolist()
        return cls(
            source=source,
            splits=splits,
            listed=len(clips) + len(more.get("missing", ())) + len(more.get("unreadable", ())),
            class_counts=dict(zip(clips.vocabulary.names, counts, strict=True)),
            vocabulary=clips.vocabulary.fingerprint,
            **more,
        )

    @classmethod
    def joined(cls, summaries: Sequence["LoadSummary"]) -> "LoadSummary":
        """The account of several loads of the same classes together."""
        first, *others = summaries
        if not others:
            return first
        hours = [summary.hours for summary in summaries if summary.hours is not None]
        return cls(
            source="; ".join(summary.source for summary in summaries),
            splits={split: n for summary in summaries for split, n in summary.splits.items()},
            listed=sum(summary.listed for summary in summaries),
            class_counts={name: sum(s.class_counts[name] for s in summaries) for name in first.class_counts},
            vocabulary=first.vocabulary,
            missing=[name for summary in summaries for name in summary.missing],
            unreadable={name: why for summary in summaries for name, why in summary.unreadable.items()},
            hours=sum(hours) if len(hours) == len(summaries) else None,
            notes=list(dict.fromkeys(note for summary in summaries for note in summary.notes)),
        )

    @property
    def found(self) -> int:
        """Clips that are there and readable."""
        return self.listed - len(self.missing) - len(self.unreadable)

    def __str__(self) -> str:
        counts = sorted(self.class_counts.items(), key=lambda item: item[1])
        lines = [
            f"{self.source}: {self.found} of {self.listed} listed clips"
            + (f", {self.hours:.2f} hours" if self.hours is not None else "")
            + f" ({', '.join(f'{split} {n}' for split, n in self.splits.items())})",
            f"  {len(self.missing)} missing"
            + (f", for example {', '.join(self.missing[:3])}" if self.missing else "")
            + f"; {len(self.unreadable)} unreadable"
            + (f", for example {next(iter(self.unreadable.items()))}" if self.unreadable else ""),
            f"  {len(counts)} classes, {sum(n > 0 for _, n in counts)} of them with clips: from {counts[0][1]} "
            f"({counts[0][0]}) to {counts[-1][1]} ({counts[-1][0]})",
            *(f"  {note}" for note in self.notes),
        ]
        return "\n".join(lines)

    def figures(self) -> dict[str, Any]:
        """What a run's results say of it: lists of clips as their numbers."""
        kept = ("source", "splits", "listed", "found", "hours", "vocabulary")
        counts = {name: len(getattr(self, name)) for name in ("missing", "unreadable")}
        more = {"notes": list(self.notes), "class_counts": dict(self.class_counts)}
        return {name: getattr(self, name) for name in kept} | more | counts

    def save(self, path: str | Path) -> None:
        """Write everything, with the full lists, as JSON."""
        write_json({"found": self.found, **asdict(self)}, path)


Incomplete = Literal["drop", "raise"]


@dataclass(frozen=True)
class LoadOptions:
    """How data are loaded: what every loader takes as keyword arguments.

    Attributes:
        incomplete: What to do about listed clips that are missing or unreadable: `"drop"` them, or `"raise"`; by
            default what the data set's `Source` says, for AudioSet `"drop"` and else `"raise"`.
        read_headers: Read each file's header, for its length and to see that it is audio. Without it, which is faster,
            hours are unknown, and what is unreadable shows when it is decoded.
        streaming: Return what is iterable: the same clips in the same order, nothing kept of what comes from shards.
        quiet: Print no summary and no progress.

    Raises:
        ValueError: `incomplete` is neither of the two.
    """

    incomplete: Incomplete | None = None
    read_headers: bool = True
    streaming: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        """Refuse a misspelt choice before anything is read."""
        if self.incomplete not in ("drop", "raise", None):
            raise ValueError(f"Expected incomplete='drop' or 'raise', got {self.incomplete!r}.")


class LoadArguments(TypedDict, total=False):
    """The same as keyword arguments, see `LoadOptions`."""

    incomplete: Incomplete | None
    read_headers: bool
    streaming: bool
    quiet: bool


@dataclass(frozen=True)
class Loaded:
    """Parts of a data set, and what was found of each.

    Attributes:
        dataset: Its key among `sources.SOURCES`.
        parts: Clips by part, such as `train`.
        summaries: What was found of each.
        fold: The fold that is held out; none for data without folds.
        subset: The subset of the classes that was taken; none for all.
        made: How splits were made, where the data had none.
    """

    dataset: str
    parts: Mapping[str, Clips]
    summaries: Mapping[str, LoadSummary]
    fold: int | None = None
    subset: str | None = None
    made: "MadeSplits | None" = None

    @property
    def train(self) -> Clips:
        """Clips to train on."""
        return self.parts["train"]

    @property
    def test(self) -> Clips:
        """Clips to test on."""
        return self.parts["test"]

    @property
    def validation(self) -> Clips | None:
        """Clips to choose an epoch on, where the data set has such."""
        return self.parts.get("validation")

    def facts(self) -> dict[str, Any]:
        """What `results.json` records of the data."""
        folds = {} if self.fold is None else {"fold": self.fold, "subset": self.subset}
        parts = {part: summary.figures() for part, summary in self.summaries.items()}
        made = {} if self.made is None else {"made": self.made.facts()}
        return {"dataset": self.dataset, **folds, **made, "parts": parts}
