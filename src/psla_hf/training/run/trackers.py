"""Trackers such as TensorBoard's, one run in each for each run of ours. Knows no models."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator

__all__ = ["tracked"]


@contextmanager
def tracked(accelerator: Accelerator, folder: Path, config: Mapping[str, Any]) -> Iterator[None]:
    """Give trackers a run of its own, whatever runs the same accelerator had or will have.

    It ends in its process group, which may have more to do: `end_training` would end that too.

    Args:
        accelerator: Whose trackers.
        folder: The run's; its last two names are the trackers' name of it.
        config: What the run was begun with.
    """
    accelerator.project_configuration.logging_dir = str(folder)
    name = "/".join(folder.parts[-2:])
    accelerator.init_trackers(
        "psla-hf", config=dict(config), init_kwargs={tracker: {"name": name} for tracker in ("wandb", "trackio")}
    )
    try:
        yield
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
        accelerator.trackers = []
