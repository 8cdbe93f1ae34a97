"""A run that is given more epochs than it was begun with: when that is exact, and its average. Knows no loop."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from psla_hf.files import check_identity
from psla_hf.models.averaging import RunningMean

from .folder import EPOCHS, WEIGHTS_FILE

__all__ = ["average_so_far", "check_continues"]

# What may differ when the number of epochs grows: no rate of the schedule depends on it.
LENGTH, AVERAGED = "recipe.epochs", "recipe.average_last"

# Settings that runs did not have once, and what they did then.
BEFORE_THEY_WERE = {
    "recipe.freeze": "none",
    "recipe.layer_decay": 1.0,
    "recipe.head_warmup_epochs": 0,
    "recipe.distillation_weight": 0.0,
    "recipe.temperature": 1.0,
    "init_from": None,
}


def check_continues(then: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> bool:
    """Whether a run goes on longer than it was begun for.

    Args:
        then: Identity of the run as it was begun.
        now: As it is to go on.
        folder: The run's, for messages.

    Raises:
        ValueError: It is to go on otherwise, or to be shorter.
    """
    then = BEFORE_THEY_WERE | dict(then)
    if now[LENGTH] < then.get(LENGTH, now[LENGTH]):
        raise ValueError(
            f"Expected at least the {then[LENGTH]} epochs for which the run in {folder} was begun, got {now[LENGTH]}: "
            "a run can be lengthened, not shortened."
        )
    is_longer = now[LENGTH] > then.get(LENGTH, now[LENGTH])
    free = (LENGTH, AVERAGED) if is_longer else ()
    check_identity(dict(then), {name: value for name, value in now.items() if name not in free}, folder)
    return is_longer


def average_so_far(
    weights: RunningMean, then: Mapping[str, Any], now: Mapping[str, Any], done: int, folder: Path
) -> RunningMean:
    """The mean weights that a run has after some epochs, had it been as long from the beginning.

    Args:
        weights: The mean so far, of the run as it was begun.
        then: Its identity.
        now: That of the longer run.
        done: Epochs that are done.
        folder: The run's, which may hold the model of every epoch.

    Raises:
        ValueError: The longer run averages some of the epochs that are done, but not those that were averaged, and the
            models of the epochs were not kept.
    """
    before, first = _first_averaged(then), _first_averaged(now)
    if first == before or min(first, before) > done:
        return weights
    mean = RunningMean()
    for epoch in range(first, done + 1):
        path = folder / EPOCHS / f"{epoch:03d}" / WEIGHTS_FILE
        if not path.is_file():
            raise ValueError(
                f"Averaging would begin with epoch {first}, and the model of epoch {epoch} was not kept "
                f"(keep_epochs=True keeps them). Take at least {done + now[AVERAGED]} epochs, or "
                f"average_last={now[LENGTH] - before + 1} to go on with the average that begins with epoch {before}."
            )
        mean.update(load_file(path))
    return mean


def _first_averaged(identity: Mapping[str, Any]) -> int:
    return max(1, identity[LENGTH] - identity[AVERAGED] + 1)
