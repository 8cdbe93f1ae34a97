"""A run's folder: who may write into it, and files in it that are complete or not there at all. Knows no training."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator

__all__ = ["CHECKPOINTS", "METRICS_FILE", "RESULTS_FILE", "open_run_folder", "write_complete"]

METRICS_FILE = "metrics.jsonl"
RESULTS_FILE = "results.json"
CHECKPOINTS = "checkpoints"
UNFINISHED = ".unfinished-"  # what a run leaves that is killed while it writes
HARMLESS = (METRICS_FILE,)  # what a run leaves that was broken off before its first checkpoint


def open_run_folder(folder: str | Path, accelerator: Accelerator, resume: bool, overwrite: bool) -> Path:
    """Create the folder, or check that this run may use it.

    Args:
        folder: The run's.
        accelerator: All processes look before the main one writes.
        resume: A run's own folder is welcome.
        overwrite: So is any other; what an earlier run left is deleted.

    Raises:
        FileExistsError: It holds something, and neither is allowed.
    """
    folder = Path(folder)
    occupied = folder.is_dir() and any(path.name not in HARMLESS for path in folder.iterdir())
    interrupted = (folder / CHECKPOINTS).is_dir()
    accelerator.wait_for_everyone()
    if occupied and not (resume or overwrite):
        way_out = "Resume the run in it" if interrupted else "Choose another directory"
        raise FileExistsError(f"{folder} is not empty. {way_out}, or allow overwriting it.")
    if accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.rglob(f"{UNFINISHED}*"):
            shutil.rmtree(leftover)
        for leftover in folder.glob(f"{RESULTS_FILE}.*.tmp"):
            leftover.unlink()
        if overwrite and not resume:
            for earlier in (CHECKPOINTS, "epochs", "last_epoch", "failed"):
                shutil.rmtree(folder / earlier, ignore_errors=True)
            (folder / RESULTS_FILE).unlink(missing_ok=True)
            (folder / METRICS_FILE).unlink(missing_ok=True)
    accelerator.wait_for_everyone()
    return folder


def write_complete(folder: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a folder elsewhere on the same disk, then move each file to its name in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=UNFINISHED) as place:
        write(Path(place))
        for path in Path(place).iterdir():
            path.replace(folder / path.name)
