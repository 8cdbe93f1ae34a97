"""Where a run is and what it has gathered so far: saved, restored, compared. Knows no loop and no data loading."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import Dataset
from torch import nn
from torch.optim import Optimizer

from .averaging import RunningMean
from .checkpoints import latest_checkpoint, load_checkpoint, save_checkpoint
from .schema import labels_of
from .training_clips import TrainingClips

__all__ = ["Place", "RunState", "Totals", "check_identity", "fingerprint"]

STATE = "state.pt"


@dataclass
class Totals:
    """What one process has counted since the epoch began."""

    loss: float = 0.0
    redrawn: int = 0
    short: int = 0
    seconds: float = 0.0
    waiting: float = 0.0

    def of_all_processes(self, batches: int, clips: int) -> dict[str, Any]:
        """The epoch in figures: mean loss, odd clips, duration, speed, and the share of time spent waiting for data.

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

    def save(self, folder: Path, model: nn.Module, optimizer: Optimizer, keep: int = 2) -> None:
        """Write a checkpoint, named by the place.

        Args:
            folder: Holds the checkpoints.
            model: Unwrapped.
            optimizer: Prepared.
            keep: How many checkpoints stay.
        """
        totals = gather_object([asdict(self.totals)])
        if self.accelerator.is_main_process:
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
            save_checkpoint(folder, name, {STATE: state}, keep)
        self.accelerator.wait_for_everyone()

    def restore(self, folder: Path, model: nn.Module, optimizer: Optimizer) -> bool:
        """Take over the latest undamaged checkpoint; without one, stay at the beginning.

        Returns:
            Whether there was one.

        Raises:
            ValueError: The run was begun with other settings.
        """
        checkpoint = latest_checkpoint(folder)
        if checkpoint is None:
            return False
        state = load_checkpoint(checkpoint, STATE)
        check_identity(state["identity"], self.identity, folder.parent)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.weights.load_state_dict(state["weights"])
        self.ensemble.load_state_dict(state["ensemble"])
        self.rows, self.place = state["rows"], Place(**state["place"])
        self.totals = Totals(**state["totals"][self.accelerator.process_index])
        return True


def check_identity(then: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with a run that was begun otherwise.

    Raises:
        ValueError: Something differs; the message says what it was and is.
    """
    differ = [name for name, value in now.items() if then.get(name) != value]
    if differ:
        raise ValueError(
            f"Expected the settings with which the run in {folder} was begun, these differ: "
            + "; ".join(f"{name} was {then.get(name)}, is {now[name]}" for name in differ)
            + ". Resume with those, or begin anew in another directory."
        )


def fingerprint(clips: TrainingClips | None) -> str:
    """SHA-256 of a data set's ids and labels in their order, or what changes when some shards or their labels do."""
    digest = hashlib.sha256()
    if isinstance(clips, Dataset):
        labels = labels_of(clips)
        for part in ("\n".join(clips["id"][:]).encode(), labels.values.tobytes(), labels.offsets.tobytes()):
            digest.update(part)
        if "label_values" in clips.features:
            values = clips.select_columns("label_values").with_format("arrow")[:]["label_values"]
            digest.update(values.combine_chunks().flatten().to_numpy(zero_copy_only=False).tobytes())
    elif clips is not None:
        return clips.index.version
    return digest.hexdigest()
