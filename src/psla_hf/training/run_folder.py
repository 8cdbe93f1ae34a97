"""A run's folder: what is where in it, who may write into it, and reading it back. Knows no training."""

import shutil
from pathlib import Path

from accelerate import Accelerator

from psla_hf.files import clear_unfinished, read_json, read_json_lines, reading
from psla_hf.models.modeling_psla_ensemble import PslaEnsembleModel

__all__ = [
    "CARD_FILE",
    "CHECKPOINTS",
    "CONFIG_FILE",
    "CURVE_FILE",
    "EPOCHS",
    "EXTRACTOR_FILE",
    "LAST_EPOCH",
    "METRICS_FILE",
    "RESULTS_FILE",
    "WEIGHTS_FILE",
    "open_run_folder",
    "read_curve",
    "read_epochs",
    "read_results",
]


METRICS_FILE = "metrics.jsonl"

RESULTS_FILE = "results.json"

CURVE_FILE = "averaging_curve.json"

CARD_FILE = "README.md"

CONFIG_FILE, EXTRACTOR_FILE, WEIGHTS_FILE = "config.json", "preprocessor_config.json", "model.safetensors"

CHECKPOINTS, EPOCHS, LAST_EPOCH, FAILED = "checkpoints", "epochs", "last_epoch", "failed"

HARMLESS = (METRICS_FILE,)  # what a run leaves that was broken off before its first checkpoint

# What runs and aggregates leave, the results first: a folder that has them is of a run that is finished.
FILES = (
    RESULTS_FILE,
    METRICS_FILE,
    CURVE_FILE,
    CARD_FILE,
    CONFIG_FILE,
    EXTRACTOR_FILE,
    WEIGHTS_FILE,
    "model-?????-of-?????.safetensors",
    "model.safetensors.index.json",
    *(f"{module}.py" for module in PslaEnsembleModel.remote_modules),
)


def open_run_folder(folder: str | Path, accelerator: Accelerator, resume: bool, overwrite: bool) -> Path:
    """Create the folder, or check that this run may use it.

    Overwriting deletes what an earlier run or aggregate left: the model with its configuration, extractor, code and
    card (`README.md`), `results.json`, `metrics.jsonl`, `averaging_curve.json`, and the folders `checkpoints`,
    `epochs`, `last_epoch` and `failed`. Other files stay.

    Args:
        folder: The run's.
        accelerator: All processes look before the main one writes.
        resume: A run's own folder is welcome.
        overwrite: So is any other.

    Raises:
        FileExistsError: It holds something, and neither is allowed.
    """
    folder = Path(folder)
    occupied = folder.is_dir() and any(path.name not in HARMLESS for path in folder.iterdir())
    interrupted = (folder / CHECKPOINTS).is_dir()
    accelerator.wait_for_everyone()
    if occupied and not (resume or overwrite):
        advice = "Resume the run in it, resume=True," if interrupted else "Choose another directory,"
        raise FileExistsError(f"{folder} is not empty. {advice} or pass overwrite=True.")
    if accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        clear_unfinished(folder)
        if overwrite and not resume:
            for file in [path for pattern in FILES for path in folder.glob(pattern)]:
                file.unlink()
            for earlier in (CHECKPOINTS, EPOCHS, LAST_EPOCH, FAILED):
                shutil.rmtree(folder / earlier, ignore_errors=True)
    accelerator.wait_for_everyone()
    return folder


def read_epochs(run_dir: str | Path) -> list[dict]:
    """The rows of a run's log, one per finished epoch; the run need not have ended.

    Raises:
        FileNotFoundError: The folder has no log.
        ValueError: The log has no rows yet.
    """
    path = _file(run_dir, METRICS_FILE)
    rows = list(read_json_lines(path).values())
    if not rows:
        raise ValueError(f"Expected a line for every epoch in {path}, got an empty file. Wait for the first epoch.")
    return rows


def read_curve(run_dir: str | Path) -> list[dict]:
    """The averaging curve of a run: a row per epoch that averaging can start from, as `aggregation` has written it.

    Raises:
        FileNotFoundError: There are none (yet).
    """
    path = _file(run_dir, CURVE_FILE)
    content = read_json(path)
    with reading(path, "the rows of an averaging curve"):
        return list(content["rows"])


def read_results(run_dir: str | Path) -> dict:
    """The result file of a finished run.

    Raises:
        FileNotFoundError: There is none (yet).
    """
    return read_json(_file(run_dir, RESULTS_FILE))


def _file(run_dir: str | Path, name: str) -> Path:
    path = Path(run_dir) / name
    if not path.is_file():
        raise FileNotFoundError(f"Expected {name} in the folder of a run, {run_dir}, and found none.")
    return path
