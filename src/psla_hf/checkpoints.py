"""Saved states of a run: complete or not there at all, rotated, checked when read. Knows nothing of what they hold."""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.utils.sha import sha_fileobj

__all__ = ["latest_checkpoint", "load_checkpoint", "save_checkpoint"]

CONTENTS = "contents.json"  # written last: names every other file with its size and hash
UNFINISHED = ".unfinished-"

logger = logging.getLogger(__name__)


def save_checkpoint(folder: str | Path, name: str, files: dict[str, Any], keep: int = 2) -> Path:
    """Write a checkpoint under its name only once it is complete and on the disk, then remove the oldest.

    Args:
        folder: Holds the checkpoints of one run.
        name: Sorts after those of earlier checkpoints, such as `step-00001200`.
        files: By file name, what `torch.save` is to write: tensors, numbers, strings, lists, dictionaries.
        keep: How many checkpoints to keep, this one included; the one before is what a damaged one falls back to.

    Returns:
        The checkpoint's folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(leftover)
    unfinished = folder / f"{UNFINISHED}{name}"
    unfinished.mkdir()
    contents = {}
    for file, content in files.items():
        with (unfinished / file).open("wb") as stream:
            torch.save(content, stream)
            _to_disk(stream)
        contents[file] = _described(unfinished / file)
    with (unfinished / CONTENTS).open("w", encoding="utf-8") as stream:
        json.dump(contents, stream, indent=2)
        _to_disk(stream)
    if (folder / name).exists():  # saved again after a resume from before it
        shutil.rmtree(folder / name)
    unfinished.rename(folder / name)
    others = [checkpoint for checkpoint in _checkpoints(folder) if checkpoint.name != name]
    for old in others[: max(0, len(others) + 1 - keep)]:
        shutil.rmtree(old)
    return folder / name


def latest_checkpoint(folder: str | Path) -> Path | None:
    """The newest checkpoint that is undamaged; none if there has been none.

    A damaged one, with a file that is missing or has other bytes than were written, is passed over with a warning.

    Raises:
        ValueError: There are checkpoints, and all of them are damaged.
    """
    checkpoints = _checkpoints(Path(folder))
    for checkpoint in reversed(checkpoints):
        damage = _damage(checkpoint)
        if damage is None:
            return checkpoint
        logger.warning("Passed over the damaged checkpoint %s: %s.", checkpoint, damage)
    if checkpoints:
        raise ValueError(f"Expected an undamaged checkpoint in {folder}, got {len(checkpoints)} damaged. Begin anew.")
    return None


def load_checkpoint(checkpoint: str | Path, file: str) -> Any:
    """What was saved as that file, on the CPU."""
    return torch.load(Path(checkpoint) / file, map_location="cpu", weights_only=True)


def _checkpoints(folder: Path) -> list[Path]:
    """Complete or damaged, but not unfinished ones; oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(UNFINISHED))


def _damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, if anything."""
    try:
        contents = json.loads((checkpoint / CONTENTS).read_text(encoding="utf-8"))
        for file, described in contents.items():
            if _described(checkpoint / file) != described:
                return f"{file} is not what was written"
    except (OSError, ValueError) as error:
        return str(error)
    return None


def _described(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        return {"bytes": path.stat().st_size, "sha256": sha_fileobj(stream).hex()}


def _to_disk(stream: Any) -> None:
    stream.flush()
    os.fsync(stream.fileno())
