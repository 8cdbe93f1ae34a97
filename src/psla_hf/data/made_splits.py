"""Splits and folds made for a listing that has none, and the table to have them again. Knows no sources."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from psla_hf.files import atomic_file, digest
from psla_hf.labels.vocabulary import ClipLabels

from .listing import Listing
from .splits import ONE_SPLIT
from .splitting import make_folds, make_splits

__all__ = ["Division", "MadeSplits", "with_splits"]


SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}

SHARES_OF_FEW = {"train": 0.8, "test": 0.2}

FEW_GROUPS = 4  # of the class in the middle: too few for three parts


class Division(NamedTuple):
    """What is asked for: arguments of `with_splits`."""

    seed: int | None = None
    folds: int | None = None


@dataclass(frozen=True)
class MadeSplits:
    """How a listing was divided.

    Attributes:
        seed: Of the division.
        folds: Their number, where it is into folds.
        table: The clips as a table that `own` data are read from: `file_name` (absolute), `start` and `end` where there
            are such, `labels` as JSON, `split`, `id`, and `group` where the clips have groups.
    """

    seed: int
    folds: int | None
    table: pd.DataFrame

    def save(self, path: str | Path, held_out: int | None = None) -> None:
        """Write the table as CSV.

        Args:
            path: The file.
            held_out: Of folds, the one that becomes `test`; the others become `train`.
        """
        table = self.table
        if held_out is not None:
            table = table.assign(split=np.where(table["split"] == f"fold {held_out}", "test", "train"))
        with atomic_file(path) as temporary:
            table.to_csv(temporary, index=False)

    def facts(self) -> dict[str, Any]:
        """What results record of it; the digest is of which clip is in which split."""
        pairs = sorted(zip(self.table["id"], self.table["split"], strict=True))
        return {"seed": self.seed, "folds": self.folds, "digest": digest(json.dumps(pairs))}


def with_splits(listing: Listing, seed: int | None, folds: int | None) -> tuple[Listing, MadeSplits | None]:
    """The listing with splits, stratified by class and by group, see `Listing.groups`.

    Args:
        listing: One whose splits are its own stays as it is.
        seed: Of what is made; 0 by default.
        folds: Make so many folds instead of train, validation and test.

    Raises:
        ValueError: It has splits, and a seed or folds are given, which would have no effect; or too few groups.
    """
    if listing.splits != [ONE_SPLIT]:
        asked = {"split_seed": seed, "folds": folds}
        without_effect = [name for name, value in asked.items() if value is not None]
        if without_effect and not (folds and folds == len(listing.splits) and _are_folds(listing)):
            raise ValueError(
                f"{' and '.join(without_effect)} would have no effect: {listing.source} has the splits "
                f"{', '.join(listing.splits)}. Leave it out, or take a table without splits."
            )
        return listing, None
    clips = listing.clips
    groups = listing.groups
    labels = ClipLabels.from_lists(clips["labels"].to_pylist(), len(listing.vocabulary))
    seed = seed or 0
    if seed < 0:
        raise ValueError(f"Expected a split_seed of at least 0, got {seed}.")
    if folds is not None:
        splits = make_folds(labels, groups.names, folds, seed)
    else:
        shares = SHARES if _middle(labels, groups.names) >= FEW_GROUPS else SHARES_OF_FEW
        splits = make_splits(labels, groups.names, shares, seed)
    column = clips.column_names.index("split")
    divided = clips.set_column(column, "split", pa.array(splits, pa.string()))
    listing = replace(listing, clips=divided, division=f"stratified, by {groups.by}, with seed {seed}")
    return listing, MadeSplits(seed, folds, _table(listing))


def _are_folds(listing: Listing) -> bool:
    return all(split.startswith("fold ") for split in listing.splits)


def _middle(labels: ClipLabels, groups: list[str]) -> float:
    """Groups of the class in the middle of those that have clips."""
    lengths = labels.offsets[1:] - labels.offsets[:-1]
    owners = pd.Series(groups).repeat(lengths).reset_index(drop=True)
    counts = owners.groupby(pd.Series(labels.values)).nunique()
    return float(counts.median()) if len(counts) else 0.0


def _table(listing: Listing) -> pd.DataFrame:
    """See `MadeSplits.table`."""
    clips, names = listing.clips, listing.vocabulary.names
    more = {name: clips[name].to_pylist() for name in ("start", "end", "group") if name in clips.column_names}
    labels = [json.dumps([names[k] for k in of_clip], ensure_ascii=False) for of_clip in clips["labels"].to_pylist()]
    return pd.DataFrame(
        {
            "file_name": [str(Path(path).absolute()) for path in clips["path"].to_pylist()],
            "labels": labels,
            "split": clips["split"].to_pylist(),
            "id": clips["id"].to_pylist(),
            **more,
        }
    )
