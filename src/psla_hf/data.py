"""Tagging data sets as one schema, and clips ready for a model. Knows no models and no recipes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from .audio import read_audio
from .augmentation import mix_labels, mix_waveforms
from .labels import multi_hot

__all__ = ["TaggingDataset", "class_names", "collate", "load_esc", "tagging_features", "targets_of"]

ESC_COLUMNS = ("filename", "fold", "target", "category")
NUM_ESC_FOLDS = 5


def tagging_features(names: Sequence[str]) -> Features:
    """The schema of every data set here.

    `audio` is undecoded: a path or the file's bytes, in the layout of `datasets.Audio`, but as plain values, because
    `Audio` needs torchcodec and FFmpeg even to store. `labels` are class indices in the vocabulary's order.
    """
    return Features(
        {
            "id": Value("string"),
            "audio": {"path": Value("string"), "bytes": Value("binary")},
            "labels": List(ClassLabel(names=list(names))),
        }
    )


def class_names(clips: Dataset) -> list[str]:
    """The vocabulary of a data set, in index order."""
    return clips.features["labels"].feature.names


def targets_of(clips: Dataset) -> np.ndarray:
    """All labels of a data set as 0/1 targets `[N, K]`, without touching its audio."""
    return multi_hot(clips["labels"][:], len(class_names(clips)))


def load_esc(data_dir: str | Path, fold: int, subset: Literal["esc10"] | None = None) -> DatasetDict:
    """Load ESC-50 or ESC-10 from a folder: splits `train` (four folds) and `test` (the held-out one).

    Two layouts are understood: the official one (`audio/*.wav`, `meta/esc50.csv`) and ESC-10 by itself (`audio/*`,
    `esc10.csv`). Classes are ordered by the official `target`.

    Args:
        data_dir: The folder.
        fold: The fold to hold out, 1 to 5.
        subset: `"esc10"` picks ESC-10 out of ESC-50; by default everything that the table lists is loaded.

    Raises:
        FileNotFoundError: The folder, its table or some of the clips are missing.
        ValueError: The table lacks a column, or an argument is out of range.
    """
    data_dir = Path(data_dir)
    if fold not in range(1, NUM_ESC_FOLDS + 1):
        raise ValueError(f"Expected fold 1 to {NUM_ESC_FOLDS}, got {fold}.")
    table = _read_esc_table(data_dir)
    if subset == "esc10" and "esc10" in table.columns:
        table = table[table["esc10"].astype(str) == "True"]
    if subset == "esc10" and table["target"].nunique() != 10:
        raise ValueError(
            f"Expected a column 'esc10' or just the ten classes of ESC-10, got {table['target'].nunique()} classes."
        )
    missing = [name for name in table["filename"] if not (data_dir / "audio" / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(table)} listed clips are not in {data_dir / 'audio'}, for example {missing[0]}. "
            "Download ESC-50 again, or take their rows out of the table."
        )
    classes = table.groupby("target")["category"].first()  # sorted by target
    index = {target: k for k, target in enumerate(classes.index)}

    def clips(rows: pd.DataFrame) -> Dataset:
        return Dataset.from_list(
            [
                {
                    "id": Path(name).stem,
                    "audio": {"path": str(data_dir / "audio" / name), "bytes": None},
                    "labels": [index[target]],
                }
                for name, target in zip(rows["filename"], rows["target"], strict=True)
            ],
            features=tagging_features(classes.tolist()),
        )

    held_out = table["fold"] == fold
    if not held_out.any() or held_out.all():
        raise ValueError(f"Expected clips in fold {fold} and in others, the table's folds are {set(table['fold'])}.")
    return DatasetDict({"train": clips(table[~held_out]), "test": clips(table[held_out])})


def _read_esc_table(data_dir: Path) -> pd.DataFrame:
    """The official table of an ESC folder, its columns checked."""
    candidates = [data_dir / "meta" / "esc50.csv", data_dir / "esc50.csv", data_dir / "esc10.csv"]
    if not data_dir.is_dir():
        raise FileNotFoundError(f"There is no directory {data_dir}. Pass the folder of ESC-50 or ESC-10.")
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"Expected meta/esc50.csv or esc10.csv in {data_dir}, found neither.")
    table = pd.read_csv(path)
    absent = [column for column in ESC_COLUMNS if column not in table.columns]
    if absent:
        raise ValueError(
            f"Expected columns {list(ESC_COLUMNS)} in {path}, missing {absent}, found {list(table.columns)}."
        )
    return table


class TaggingDataset(torch.utils.data.Dataset):
    """Decoded clips with targets, mixed up on the way if asked.

    `dataset[index]` is the clip itself. `dataset[index, seed]`, as `EpochSampler` yields it, is one training sample:
    with probability `mixup_rate` mixed with a partner drawn uniformly, with λ ~ Beta(α, α); everything random follows
    from `seed`.

    Args:
        clips: A data set with `tagging_features`.
        sampling_rate: Rate of the waveforms in Hz.
        mixup_rate: Share of samples that are mixed.
        mixup_alpha: α of the Beta distribution.
        targets: 0/1 labels `[N, K]` to use in place of the data set's own, for example enhanced ones.
    """

    def __init__(
        self,
        clips: Dataset,
        sampling_rate: int,
        mixup_rate: float = 0.0,
        mixup_alpha: float = 10.0,
        targets: np.ndarray | None = None,
    ):
        self.targets = targets_of(clips) if targets is None else np.asarray(targets, dtype=np.float32)
        if self.targets.shape != (len(clips), len(class_names(clips))):
            raise ValueError(
                f"Expected targets {(len(clips), len(class_names(clips)))}, one row per clip and one column per class, "
                f"got {self.targets.shape}."
            )
        self.clips = clips
        self.sampling_rate = sampling_rate
        self.mixup_rate = mixup_rate
        self.mixup_alpha = mixup_alpha

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        index, seed = key if isinstance(key, tuple) else (key, None)
        clip = self.clips[index]
        sample = {"id": clip["id"], "waveform": self._decode(clip), "labels": self.targets[index]}
        if seed is not None:
            rng = np.random.default_rng(seed)
            # Always the same number of draws before the masks', so that no setting shifts another's randomness.
            mix, partner, weight = rng.random(), rng.integers(len(self)), rng.beta(self.mixup_alpha, self.mixup_alpha)
            sample["mask_draws"] = rng.random(4, dtype=np.float32)
            if mix < self.mixup_rate:
                other = self._decode(self.clips[int(partner)])
                sample["waveform"] = mix_waveforms(sample["waveform"], other, weight)
                sample["labels"] = mix_labels(sample["labels"], self.targets[partner], weight)
        return sample

    def _decode(self, clip: dict) -> np.ndarray:
        audio = clip["audio"]
        try:
            return read_audio(audio["bytes"] or audio["path"], self.sampling_rate)
        except (OSError, ValueError) as error:
            raise ValueError(f"Clip {clip['id']!r}: {error}") from error


def collate(samples: list[dict]) -> dict:
    """Make samples of different length a batch.

    Returns:
        `waveforms` float32 `[B, T]`, zero-padded to the longest; `lengths` `[B]`, the true numbers of samples; `labels`
        float32 `[B, K]`; `ids`; and, if these are training samples, `mask_draws` `[B, 4]`.
    """
    waveforms = [torch.from_numpy(np.asarray(sample["waveform"], dtype=np.float32)) for sample in samples]
    batch = {
        "waveforms": torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True),
        "lengths": torch.tensor([len(waveform) for waveform in waveforms]),
        "labels": torch.from_numpy(np.stack([sample["labels"] for sample in samples]).astype(np.float32)),
        "ids": [sample["id"] for sample in samples],
    }
    if "mask_draws" in samples[0]:
        batch["mask_draws"] = torch.from_numpy(np.stack([sample["mask_draws"] for sample in samples]))
    return batch
