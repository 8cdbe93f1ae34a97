"""ESC-10 whole, and parts of it by their folds."""

from collections.abc import Iterable

from datasets import Dataset, concatenate_datasets

from psla_hf.data.load import load_esc

__all__ = ["every_clip", "of_folds"]


def every_clip(data_dir: str) -> Dataset:
    """All folds of ESC-10, from a folder of it."""
    parts = load_esc(data_dir, 1, quiet=True)
    return concatenate_datasets([parts["train"], parts["test"]])


def of_folds(clips: Dataset, folds: Iterable[int]) -> Dataset:
    """The clips of some folds, in their order."""
    wanted = {f"fold {fold}" for fold in folds}
    return clips.select([row for row, name in enumerate(clips["split"]) if name in wanted])
