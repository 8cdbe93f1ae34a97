"""Where a run is and what it has gathered so far: saved, restored, compared. Knows no loop and no data loading."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn
from torch.optim import Optimizer

from psla_hf.files import (
    atomic_folder,
    clear_unfinished,
    digest,
    read_json,
    read_tensors,
    remove_folder,
    write_json,
)
from psla_hf.models.averaging import RunningMean

from .lengthening import average_so_far, check_continues
from .processes import on_main

__all__ = ["Place", "RunState", "Totals", "keep_latest", "latest_checkpoint", "load_checkpoint", "save_checkpoint"]


STATE, CONTENTS = "state.pt", "contents.json"  # the latter names every other file with its size and digest

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
    clear_unfinished(folder)
    with atomic_folder(folder / name, overwrite=True) as place:  # there already after a resume from before it
        for file, content in files.items():
            torch.save(content, place / file)
        write_json({file: _size_and_digest(place / file) for file in files}, place / CONTENTS)
    others = [checkpoint for checkpoint in _checkpoints(folder) if checkpoint.name != name]
    for old in others[: max(0, len(others) + 1 - keep)]:
        remove_folder(old)
    return folder / name


def keep_latest(folder: str | Path) -> None:
    """Remove all checkpoints but the newest, from which a finished run can be lengthened."""
    for old in _checkpoints(Path(folder))[:-1]:
        remove_folder(old)


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
    return read_tensors(Path(checkpoint) / file, "a saved state of a training")


def _checkpoints(folder: Path) -> list[Path]:
    """Complete or damaged, but not unfinished ones; oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, if anything."""
    try:
        contents = read_json(checkpoint / CONTENTS)
        for file, written in contents.items():
            if _size_and_digest(checkpoint / file) != written:
                return f"{file} is not what was written"
    except (OSError, ValueError) as error:
        return str(error)
    return None


def _size_and_digest(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": digest(path)}


@dataclass
class Totals:
    """What one process has counted since the epoch began."""

    loss: float = 0.0
    redrawn: int = 0
    short: int = 0
    seconds: float = 0.0
    waiting: float = 0.0

    def of_all_processes(self, batches: int, clips: int) -> dict[str, Any]:
        """The epoch in figures: loss, redrawn and short clips, duration, speed, and the share of time spent on waiting.

        Args:
            batches: Of each process.
            clips: Of all together.
        """
        every = gather_object([asdict(self)])
        sums = {name: sum(totals[name] for totals in every) for name in asdict(self)}
        slowest = max(totals["seconds"] for totals in every)
        return {
            "loss": sums["loss"] / len(every) / batches,
            "redrawn": sums["redrawn"],
            "short": sums["short"],
            "seconds": round(slowest, 1),
            "clips_per_second": round(clips / slowest, 1),
            "waiting": round(sums["waiting"] / sums["seconds"], 3),
        }


@dataclass(frozen=True)
class Place:
    """Before a batch of an epoch: batches done, counted from 0, in an epoch counted from 1."""

    epoch: int = 1
    batch: int = 0


class RunState:
    """All that a run needs to go on, besides what it can make again from its settings.

    Attributes:
        rows: The metrics of each epoch that is done.
        weights: Mean weights so far.
        ensemble: Mean probabilities so far.
        totals: Of the epoch that is under way.
        place: How far that is.

    Args:
        accelerator: All processes save and restore together; the main one writes.
        identity: What must be the same for a resumed run to end as an uninterrupted one, by name.
    """

    def __init__(self, accelerator: Accelerator, identity: dict[str, Any]):
        self.accelerator, self.identity = accelerator, identity
        self.rows: list[dict[str, Any]] = []
        self.weights, self.ensemble = RunningMean(), RunningMean()
        self.totals, self.place = Totals(), Place()

    def save(self, folder: Path, model: nn.Module, optimizer: Optimizer) -> None:
        """Write a checkpoint, named by the place.

        Args:
            folder: Holds the checkpoints.
            model: Unwrapped.
            optimizer: Prepared.
        """
        totals = gather_object([asdict(self.totals)])

        def write() -> None:
            scaler = self.accelerator.scaler
            state = {
                "identity": self.identity,
                "place": asdict(self.place),
                "totals": totals,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scaler": None if scaler is None else scaler.state_dict(),
                "weights": self.weights.state_dict(),
                "ensemble": self.ensemble.state_dict(),
                "rows": self.rows,
            }
            name = f"epoch-{self.place.epoch:04d}-batch-{self.place.batch:08d}"
            save_checkpoint(folder, name, {STATE: state})

        on_main(self.accelerator, write)

    def restore(self, folder: Path, model: nn.Module, optimizer: Optimizer) -> bool:
        """Take over the latest undamaged checkpoint; without one, stay at the beginning.

        Returns:
            Whether there was one.

        Raises:
            ValueError: The run was begun with other settings, but for fewer epochs; or it cannot be lengthened so.
        """
        checkpoint = latest_checkpoint(folder)
        if checkpoint is None:
            return False
        state = load_checkpoint(checkpoint, STATE)
        is_longer = check_continues(state["identity"], self.identity, folder.parent)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.weights.load_state_dict(state["weights"])
        self.ensemble.load_state_dict(state["ensemble"])
        self.rows, self.place = state["rows"], Place(**state["place"])
        self.totals = Totals(**state["totals"][self.accelerator.process_index])
        if is_longer:
            done = self.place.epoch - 1
            self.weights = average_so_far(self.weights, state["identity"], self.identity, done, folder.parent)
        return True
