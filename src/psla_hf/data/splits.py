"""What splits are called, in tables, as folders and as shards, and which one is meant. Knows no files."""

import re

__all__ = ["ONE_SPLIT", "SPLIT_NAMES", "split_of_folder", "split_of_text"]

ONE_SPLIT = "all"  # the split of clips whose source has none

# The usual names, those of `datasets`.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}

AROUND = "[-._ 0-9]"  # what may stand between a split's name and more of a folder's


def split_of_text(text: str) -> str:
    """The split that a cell names: `Training ` is `train`; what is none of the usual names stays as it is, stripped."""
    stripped = text.strip()
    return next((split for split, names in SPLIT_NAMES.items() if stripped.lower() in names), stripped)


def split_of_folder(name: str) -> str | None:
    """The split that a folder is called like, such as `train` by `Train`, `train_data` or `my-training`; else none."""
    for split, names in SPLIT_NAMES.items():
        if re.fullmatch(f"(.*{AROUND})?({'|'.join(names)})({AROUND}.*)?", name, re.IGNORECASE):
            return split
    return None
