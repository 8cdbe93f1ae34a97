"""FSD50K: its splits, its ground truth as a listing, its shards' names. Opens no audio."""

from pathlib import Path

from psla_hf.data.listing import (
    Listing,
    are_there,
    check_folder,
    clip_table,
    encode_label_texts,
    read_table,
    read_vocabulary,
)
from psla_hf.labels.vocabulary import Vocabulary

__all__ = ["FSD50K_SHARD_NAMES", "FSD50K_SKIPPED", "FSD50K_SPLITS", "fsd50k_listing"]


# Classes of FSD50K that propose nothing in the original's label enhancement: Human_voice, Crash_cymbal,
# Human_group_actions, Respiratory_sounds and Domestic_sounds_and_home_sounds.
FSD50K_SKIPPED = ("/m/09l8g", "/m/0bm0k", "/t/dd00012", "/m/09hlz4", "/t/dd00071")

FSD50K_SPLITS = ("train", "val", "eval")


def fsd50k_listing(data_dir: str | Path, split: str, vocabulary: str | Path | Vocabulary | None) -> Listing:
    """The clips of FSD50K's ground truth."""
    data_dir = check_folder(data_dir, "the folder that holds FSD50K.ground_truth and the folders of audio")
    truth = data_dir / "FSD50K.ground_truth"
    classes = read_vocabulary(vocabulary, [truth / "vocabulary.csv"])
    part = "eval" if split == "eval" else "dev"
    path = truth / f"{part}.csv"
    table = read_table(path, ["fname", "labels", "mids", *(["split"] if part == "dev" else [])])
    if part == "dev":
        table = table[table["split"] == split]
    labels = encode_label_texts(table["mids"], classes, path)
    differ = [
        fname
        for fname, mids, names in zip(
            table["fname"], labels, encode_label_texts(table["labels"], classes, path), strict=True
        )
        if mids != names
    ]
    if differ:
        raise ValueError(
            f"Expected the labels and the mids in {path} to be the same classes of the vocabulary, they are not for "
            f"{len(differ)} clips, for example {differ[0]}. Use the vocabulary that came with the table."
        )
    paths = [data_dir / f"FSD50K.{part}_audio" / f"{fname}.wav" for fname in table["fname"]]
    clips = clip_table(list(table["fname"]), list(map(str, paths)), are_there(paths), labels, [split] * len(paths))
    naming = f"Expected FSD50K.{part}_audio/FNAME.wav."
    return Listing(f"FSD50K {split}", data_dir, classes, clips, naming)


FSD50K_SHARD_NAMES = {
    "train": ("train", "dev"),
    "val": ("val", "valid", "validation"),
    "eval": ("eval", "evaluation", "test"),
}
