"""What a run trains, validates and tests on, by the name of a data set. Knows no settings of training."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import datasets
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, concatenate_datasets

from .data import load_audioset, load_esc, load_fsd50k, load_tagging_dataset
from .label_sets import LabelSet
from .layouts import EscSubset
from .listing import Incomplete, LoadOptions, report
from .schema import vocabulary_of
from .shard_loading import AUDIOSET_SHARD_NAMES, find_shards, holds_shards, shards_summary
from .shards import ShardedClips, ShardIndex
from .training_clips import TrainingClips, with_label_set

__all__ = ["DATASETS", "RunData", "load_run_data", "load_test_clips"]

DATASETS = ("audioset_balanced", "audioset_full", "fsd50k", "esc", "own")


@dataclass(frozen=True)
class RunData:
    """The parts of a data set.

    Attributes:
        train: Clips to train on, by index or in parquet shards to be streamed.
        test: Clips to test on.
        validation: Clips to choose an epoch on, where the data set has such.
        about: What each load found, in figures, by part.
    """

    train: TrainingClips
    test: Dataset
    validation: Dataset | None = None
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def num_train(self) -> int:
        """Clips to train on."""
        return len(self.train)

    @property
    def train_hours(self) -> float | None:
        """Length of the clips to train on; none where it is not known."""
        if not isinstance(self.train, Dataset):
            return None if self.train.index.seconds is None else self.train.index.seconds / 3600
        seconds = self.train.select_columns("seconds").with_format("arrow")[:]["seconds"]
        return None if seconds.null_count else pc.sum(seconds).as_py() / 3600


def load_run_data(
    dataset: str,
    data_dir: str | Path,
    *,
    fold: int = 1,
    subset: EscSubset | None = None,
    vocabulary: str | None = None,
    streaming: bool = False,
    drop_incomplete: bool = False,
    labels: str | Path | None = None,
    quiet: bool = False,
) -> RunData:
    """Load all parts of a data set.

    `audioset_balanced` and `audioset_full` (both training lists) are tested on `eval`; `fsd50k` has `train`, `val` and
    `eval`; `esc` trains on four folds and tests on the one held out; `own` is what `load_tagging_dataset` finds as
    splits `train`, `test` and, if there is one, `validation` or `val`.

    Args:
        dataset: One of `DATASETS`.
        data_dir: The folder, table or address.
        fold: ESC's, to hold out.
        subset: Of ESC-50.
        vocabulary: The classes, where the data do not say; see `data`.
        streaming: Do not load the training clips, stream them: `data_dir` holds parquet shards.
        drop_incomplete: Go on without listed clips that are missing or unreadable (AudioSet always does).
        labels: A label set, see `LabelSet.open`, whose enhanced labels the clips to train on get.
        quiet: Print no summaries.

    Raises:
        FileNotFoundError: Data are missing.
        ValueError: There is no such data set, it lacks a part, or the label set was made for other clips.
    """
    _check_choice(dataset, fold, subset, vocabulary)
    place = hashlib.sha256(str(Path(data_dir).absolute()).encode()).hexdigest()[:8]
    summaries = Path(datasets.config.HF_DATASETS_CACHE) / "psla_hf" / f"{dataset}-{place}"
    loaded: list[Path] = []

    def how(part: str) -> dict[str, Any]:
        incomplete = "drop" if drop_incomplete or dataset.startswith("audioset") else "raise"
        loaded.append(summaries / f"{part}.json")
        return {"incomplete": incomplete, "quiet": quiet, "summary_path": loaded[-1]}

    both = ("balanced_train", "unbalanced_train")
    loaders: dict[str, Callable[[], RunData]] = {
        "audioset_balanced": lambda: _audioset(data_dir, both[:1], vocabulary, streaming, how),
        "audioset_full": lambda: _audioset(data_dir, both, vocabulary, streaming, how),
        "fsd50k": lambda: _fsd50k(data_dir, vocabulary, how),
        "esc": lambda: _esc(data_dir, fold, subset, how),
        "own": lambda: _own(data_dir, vocabulary, how),
    }
    if streaming and not dataset.startswith("audioset"):
        raise ValueError(f"Streaming is for what does not fit: AudioSet's shards. Load {dataset} by index.")
    label_set = None if labels is None else LabelSet.open(labels)
    data = loaders[dataset]()
    about = {path.stem: _in_figures(path) for path in loaded if path.is_file()}
    if label_set is None:
        return replace(data, about=about)
    about["label_set"] = label_set.in_figures()
    return replace(data, train=with_label_set(data.train, label_set), about=about)


def load_test_clips(
    dataset: str,
    data_dir: str | Path,
    *,
    fold: int = 1,
    subset: EscSubset | None = None,
    vocabulary: str | None = None,
    drop_incomplete: bool = False,
    quiet: bool = False,
) -> Dataset:
    """Only the part of a data set that a run is tested on; the arguments are those of `load_run_data`.

    Raises:
        FileNotFoundError: Data are missing.
        ValueError: There is no such data set, or it has no such part.
    """
    _check_choice(dataset, fold, subset, vocabulary)
    incomplete: Incomplete = "drop" if drop_incomplete or dataset.startswith("audioset") else "raise"
    if dataset.startswith("audioset"):
        clips = load_audioset(data_dir, "eval", vocabulary=vocabulary, incomplete=incomplete, quiet=quiet)
    elif dataset == "fsd50k":
        clips = load_fsd50k(data_dir, "eval", vocabulary=vocabulary, incomplete=incomplete, quiet=quiet)
    elif dataset == "esc":
        return cast("DatasetDict", load_esc(data_dir, fold, subset, incomplete=incomplete, quiet=quiet))["test"]
    else:
        clips = load_tagging_dataset(data_dir, vocabulary=vocabulary, split="test", incomplete=incomplete, quiet=quiet)
    return cast("Dataset", clips)


How = Callable[[str], dict[str, Any]]


def _check_choice(dataset: str, fold: int, subset: EscSubset | None, vocabulary: str | None) -> None:
    """Refuse a data set that there is not, and what would have no effect on this one."""
    if dataset not in DATASETS:
        raise ValueError(f"Expected a data set of {', '.join(DATASETS)}, got {dataset!r}.")
    if dataset == "esc" and vocabulary is not None:
        raise ValueError(f"Expected no vocabulary for ESC, whose classes are its own, got {vocabulary}.")
    if dataset != "esc" and (fold != 1 or subset is not None):
        raise ValueError(f"Expected fold and subset for ESC only, got fold {fold} and subset {subset} for {dataset}.")


def _audioset(
    data_dir: str | Path, splits: tuple[str, ...], vocabulary: str | None, streaming: bool, how: How
) -> RunData:
    test = cast("Dataset", load_audioset(data_dir, "eval", vocabulary=vocabulary, **how("eval")))
    if streaming:
        if not holds_shards(data_dir):
            raise ValueError(f"Expected parquet shards to stream in {data_dir}. Make them with prepare_data.py.")
        files = [file for split in splits for file in find_shards(data_dir, split, AUDIOSET_SHARD_NAMES)]
        index = ShardIndex.open(files, vocabulary_of(test))
        source = f"AudioSet {', '.join(splits)} ({len(files)} shards, streamed)"
        report(shards_summary(index, "train", source), files[0], LoadOptions(**how("train")))
        return RunData(ShardedClips.of(index), test)
    parts = [cast("Dataset", load_audioset(data_dir, split, vocabulary=vocabulary, **how(split))) for split in splits]
    return RunData(concatenate_datasets(parts) if len(parts) > 1 else parts[0], test)


def _fsd50k(data_dir: str | Path, vocabulary: str | None, how: How) -> RunData:
    train, validation, test = (
        cast("Dataset", load_fsd50k(data_dir, split, vocabulary=vocabulary, **how(split)))
        for split in ("train", "val", "eval")
    )
    return RunData(train, test, validation)


def _esc(data_dir: str | Path, fold: int, subset: EscSubset | None, how: How) -> RunData:
    data = cast("DatasetDict", load_esc(data_dir, fold, subset, **how("esc")))
    return RunData(data["train"], data["test"])


def _own(data_dir: str | Path, vocabulary: str | None, how: How) -> RunData:
    if holds_shards(data_dir):
        parts = {
            split: cast("Dataset", load_tagging_dataset(data_dir, vocabulary=vocabulary, split=split, **how(split)))
            for split in ("train", "test", *_validation_shards(data_dir))
        }
        return RunData(parts.pop("train"), parts.pop("test"), next(iter(parts.values()), None))
    data = load_tagging_dataset(data_dir, vocabulary=vocabulary, **how("own"))
    if not isinstance(data, DatasetDict) or not {"train", "test"} <= set(data):
        found = sorted(data) if isinstance(data, DatasetDict) else "none"
        raise ValueError(f"Expected the splits train and test in {data_dir}, found {found}. Add a column split.")
    return RunData(data["train"], data["test"], data.get("validation", data.get("val")))


def _validation_shards(data_dir: str | Path) -> list[str]:
    """What the validation split of one's own shards is called, if they have one."""
    for split in ("validation", "val"):
        with suppress(FileNotFoundError):
            find_shards(data_dir, split)
            return [split]
    return []


def _in_figures(path: Path) -> dict[str, Any]:
    """A saved summary, its lists as counts."""
    summary = json.loads(path.read_text(encoding="utf-8"))
    kept = ("source", "splits", "listed", "found", "hours", "vocabulary", "notes")
    counts = {name: len(summary[name]) for name in ("missing", "unreadable")}
    return {name: summary[name] for name in kept} | counts
