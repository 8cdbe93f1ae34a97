"""A run's folder: what is where in it, who may write into it, and reading it back. Knows no training."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from psla_hf.files import (
    LOCK_FILE,
    atomic_file,
    clear_unfinished,
    is_leftover,
    locked,
    read_json,
    read_json_lines,
    reading,
    remove_folder,
    to_json,
)
from psla_hf.models.modeling_psla_ensemble import PslaEnsembleModel

from .processes import on_main

__all__ = [
    "BEST",
    "CARD_FILE",
    "CHECKPOINTS",
    "CONFIG_FILE",
    "CONVERSION_FILE",
    "CURVE_FILE",
    "EPOCHS",
    "EXTRACTOR_FILE",
    "LAST_EPOCH",
    "METRICS_FILE",
    "PAGE_FILE",
    "RESULTS_FILE",
    "SCORES",
    "WEIGHTS_FILE",
    "clear_earlier",
    "read_curve",
    "read_epochs",
    "read_results",
    "run_folder",
    "write_epochs",
]


METRICS_FILE = "metrics.jsonl"

RESULTS_FILE = "results.json"

CONVERSION_FILE = "conversion.json"  # instead, of what others have trained

CURVE_FILE = "averaging_curve.json"

CARD_FILE = "README.md"

CONFIG_FILE, EXTRACTOR_FILE, WEIGHTS_FILE = "config.json", "preprocessor_config.json", "model.safetensors"

CHECKPOINTS, EPOCHS, LAST_EPOCH, BEST, FAILED = "checkpoints", "epochs", "last_epoch", "best", "failed"

SCORES, PAGE_FILE = "scores", "report.html"

# What runs and aggregates leave, the results first: a folder that has them is of a run that is finished.
FILES = (
    RESULTS_FILE,
    METRICS_FILE,
    CURVE_FILE,
    CARD_FILE,
    PAGE_FILE,
    CONFIG_FILE,
    EXTRACTOR_FILE,
    WEIGHTS_FILE,
    "model-?????-of-?????.safetensors",
    "model.safetensors.index.json",
    *(f"{module}.py" for module in PslaEnsembleModel.remote_modules),
)


@contextmanager
def run_folder(folder: str | Path, accelerator: Accelerator, resume: bool, overwrite: bool) -> Iterator[Path]:
    """A run's folder, for this run alone: created, or checked that the run may use it.

    Args:
        folder: The run's.
        accelerator: The main process looks and writes, all are refused alike.
        resume: A run's own folder is welcome.
        overwrite: So is any other, and it is cleared, see `clear_earlier`.

    Raises:
        BlockingIOError: Another run works in it.
        FileExistsError: It holds something, and neither is allowed.
    """
    folder = Path(folder)
    with ExitStack() as stack:

        def take() -> None:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder))
            _check_occupied(folder, resume or overwrite)
            clear_unfinished(folder, of_all_machines=True)
            if overwrite and not resume:
                clear_earlier(folder)

        on_main(accelerator, take)
        yield folder


def _check_occupied(folder: Path, welcome: bool) -> None:
    """Refuse a folder that holds something, unless that is welcome; it is `locked`."""
    there = (path for path in folder.iterdir() if path.name != LOCK_FILE)
    if not welcome and not all(is_leftover(path, of_all_machines=True) for path in there):
        interrupted = (folder / CHECKPOINTS).is_dir()
        advice = "Resume the run in it, resume=True," if interrupted else "Choose another directory,"
        raise FileExistsError(f"{folder} is not empty. {advice} or pass overwrite=True.")


def clear_earlier(folder: Path) -> None:
    """Delete what an earlier run or aggregate left, and nothing else.

    That is the model with its configuration, extractor, code and card (`README.md`), `results.json`, `metrics.jsonl`,
    `averaging_curve.json`, and the folders `checkpoints`, `epochs`, `last_epoch`, `best`, `scores` and `failed`.
    """
    for file in [path for pattern in FILES for path in folder.glob(pattern)]:
        file.unlink()
    for earlier in (CHECKPOINTS, EPOCHS, LAST_EPOCH, BEST, FAILED, SCORES):
        remove_folder(folder / earlier)


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


def write_epochs(rows: Sequence[Mapping[str, Any]], run_dir: Path) -> None:
    """Write a run's log, a line for each of all epochs so far: what it wrote after its last checkpoint is gone."""
    with atomic_file(run_dir / METRICS_FILE) as temporary:
        temporary.write_text("".join(to_json(row) + "\n" for row in rows), encoding="utf-8")


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
