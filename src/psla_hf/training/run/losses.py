"""Losses that nobody has looked at yet: to look at one is to wait for the device. Knows no models."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from psla_hf.loading.samples import Batch

from .processes import sums

__all__ = ["BatchLoss", "PendingLosses", "first_not_finite", "updates_between_looks"]


UPDATES_BETWEEN_LOOKS = 20


def updates_between_looks(device: torch.device) -> int:
    """After how many updates losses are looked at, signals asked for and clips that did not decode counted.

    On a CPU, where it costs nothing, after each; elsewhere less often, so that the device never waits for it.
    """
    return 1 if device.type == "cpu" else UPDATES_BETWEEN_LOOKS


class BatchLoss(NamedTuple):
    """A batch's number in its epoch, its loss, and the clips it is of, mixed ones included."""

    number: int
    value: float
    clips: list[str]


@dataclass
class PendingLosses:
    """The losses since the last look, on the device."""

    _losses: list[torch.Tensor] = field(default_factory=list)
    _of: list[tuple[int, list[str]]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._losses)

    def add(self, number: int, loss: torch.Tensor, batch: Batch) -> None:
        """Keep the loss `[]` of a batch of this number."""
        self._losses.append(loss.detach())
        self._of.append((number, [*batch.ids, *batch.mixed_in]))

    def look(self) -> list[BatchLoss]:
        """Wait for the device, and take out what is here, in its order."""
        values = torch.stack(self._losses).tolist() if self._losses else []
        looked = [BatchLoss(number, value, clips) for value, (number, clips) in zip(values, self._of, strict=True)]
        self._losses.clear()
        self._of.clear()
        return looked


def first_not_finite(losses: Sequence[BatchLoss], accelerator: Accelerator) -> tuple[int, list[str]] | None:
    """Number of the first batch whose loss is not finite, and the clips that it is of, in all processes alike.

    Args:
        losses: This process's.
        accelerator: Of all processes.
    """
    own = [loss for loss in losses if not math.isfinite(loss.value)]
    if not sums(accelerator, len(own))[0]:
        return None
    every = [loss for of_process in gather_object([own]) for loss in of_process]
    first = min(loss.number for loss in every)
    return first, [clip for loss in every if loss.number == first for clip in loss.clips]
