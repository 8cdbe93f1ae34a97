"""What a loader can be told, and the account of what a load found. Knows no sources and opens no audio."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import datasets

from psla_hf.files import write_json

__all__ = ["Incomplete", "LoadOptions", "LoadSummary", "report"]


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

    def save(self, path: str | Path) -> None:
        """Write everything, with the full lists, as JSON."""
        content = {"found": self.found, **asdict(self)}
        write_json(content, path)


Incomplete = Literal["drop", "raise"]


@dataclass(frozen=True)
class LoadOptions:
    """What every loader of files can be told.

    Attributes:
        incomplete: What to do about listed clips that are missing or unreadable: `"drop"` them, or `"raise"`.
        read_headers: Read each file's header for its length. Without it hours are unknown, and what is unreadable shows
            when it is decoded.
        streaming: Return iterable data sets.
        quiet: Print no summary and no progress.
        summary_path: Where to save the summary as JSON; by default in the folder `psla_hf` of the cache of `datasets`.

    Raises:
        ValueError: `incomplete` is neither of the two.
    """

    incomplete: Incomplete
    read_headers: bool = True
    streaming: bool = False
    quiet: bool = False
    summary_path: str | Path | None = None

    def __post_init__(self) -> None:
        """Refuse a misspelt choice before anything is read."""
        if self.incomplete not in ("drop", "raise"):
            raise ValueError(f"Expected incomplete='drop' or 'raise', got {self.incomplete!r}.")


def report(summary: LoadSummary, place: str | Path, options: LoadOptions) -> None:
    """Save the summary of what was loaded from a place, and print it with where it is saved."""
    name = re.sub(r"\W+", "-", summary.source).strip("-").lower()
    digest = hashlib.sha256(str(Path(place).absolute()).encode()).hexdigest()[:8]
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    path = Path(options.summary_path or cache / "psla_hf" / f"{name}-{digest}.json")
    summary.save(path)
    if not options.quiet:
        print(summary)
        print(f"  saved as {path}")
