"""The report of a finished run, written into its folder. Knows no command line."""

from pathlib import Path

from psla_hf.files import atomic_file
from psla_hf.models.configuration_psla import PslaConfig
from psla_hf.reports.run_page import run_page

from .folder import PAGE_FILE, read_results
from .scores import read_scores

__all__ = ["write_report"]


def write_report(folder: str | Path) -> Path:
    """Write `report.html`, and return its path.

    Args:
        folder: Of a run of `Trainer`.

    Raises:
        FileNotFoundError: The run is not finished.
        ValueError: A file of it is damaged.
    """
    folder = Path(folder)
    results, config = read_results(folder), PslaConfig.from_pretrained(folder)
    found = config.thresholds
    thresholds = found if found is not None and len(found) == len(config.label_names) else None
    page = run_page(folder.resolve().name, results, read_scores(folder, "test"), thresholds)
    with atomic_file(folder / PAGE_FILE) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder / PAGE_FILE
