"""The card of published label sets, from their folders. Knows no network and no models."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import DatasetCard, DatasetCardData

from .cards import OF_AN_ORIGIN, check_tells, data_set, loads, render
from .data_card import size_category
from .label_sets import COUNTS_FILE, LABELS_FILE, VOCABULARY_FILE, LabelSet
from .labels import Vocabulary
from .reporting import markdown_origin

__all__ = ["LABEL_SET_FILES", "label_card", "label_set_files"]

REPORT_FILE = "report.json"
LABEL_SET_FILES = (LABELS_FILE, VOCABULARY_FILE, COUNTS_FILE, REPORT_FILE, "report.md")
# What a card says of a label set.
OF_A_LABEL_SET = (*OF_AN_ORIGIN, "dataset", "teacher", "threshold", "types", "soft", "hierarchy")
PLOT_FILE = "report.png"  # where matplotlib was installed


@dataclass(frozen=True)
class Configuration:
    """What a card says of one label set: its name, its report, and counts of its own labels."""

    name: str
    report: Mapping[str, Any]
    vocabulary: Vocabulary
    clips: int
    before: int
    added: int
    changed: int
    touched: int
    origin: str

    @classmethod
    def of(cls, name: str, folder: Path) -> "Configuration":
        """Count, and check the folder's files against each other.

        Raises:
            ValueError: The counts in the folder are not those of its labels.
        """
        labels = LabelSet.open(folder)
        report = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
        check_tells(report, OF_A_LABEL_SET, folder / REPORT_FILE)
        for part in loads(report.get("data", {})):
            check_tells(part, ("source",), folder / REPORT_FILE)
        before, after = labels.original.class_counts(), labels.enhanced.class_counts()
        noted = json.loads((folder / COUNTS_FILE).read_text(encoding="utf-8"))
        counted = {"original": before.tolist(), "enhanced": after.tolist(), "classes": list(labels.vocabulary.names)}
        if noted != counted:
            differ = [what for what, counts in counted.items() if noted.get(what) != counts]
            raise ValueError(
                f"Expected the counts of {folder / LABELS_FILE} in {COUNTS_FILE}, {' and '.join(differ)} differ. The "
                "folder was changed after it was made: make it again."
            )
        lengths = [np.diff(part.offsets) for part in (labels.original, labels.enhanced)]
        return cls(
            name=name,
            report=report,
            vocabulary=labels.vocabulary,
            clips=len(labels.ids),
            before=int(before.sum()),
            added=int((after - before).sum()),
            changed=int((lengths[0] != lengths[1]).sum()),
            touched=int((after > before).sum()),
            origin=markdown_origin(report),
        )


def label_set_files(folder: str | Path) -> dict[str, Path]:
    """The files of a label set that are published, by name.

    Raises:
        FileNotFoundError: One of them is missing.
    """
    folder = Path(folder)
    missing = [name for name in LABEL_SET_FILES if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"Expected a label set as scripts/enhance_labels.py writes it in {folder}, missing: {', '.join(missing)}."
        )
    return {name: folder / name for name in (*LABEL_SET_FILES, PLOT_FILE) if (folder / name).is_file()}


def label_card(
    folders: Mapping[str, str | Path], repo_id: str, license: str, teacher: str | None = None
) -> DatasetCard:
    """The card of a repository of label sets, one per configuration.

    Args:
        folders: A label set's folder for each configuration, such as `mean`; all of one data set and its classes.
        repo_id: Of the repository.
        license: Of the labels, as the Hub names it.
        teacher: What to call the teacher, for example by its Hub id; by default as the reports do.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: There is no configuration, they do not belong together, or something that the card says is missing.
    """
    configurations = []
    for name, folder in folders.items():
        label_set_files(folder)
        configurations.append(Configuration.of(name, Path(folder)))
    if not configurations:
        raise ValueError("Expected at least one label set to publish, got none.")
    return DatasetCard(render("label_sets.md.jinja", _values(configurations, repo_id, license, teacher)))


def _values(configs: list[Configuration], repo_id: str, license: str, teacher: str | None) -> dict[str, Any]:
    """What the template says."""
    datasets, teachers = ({str(c.report[what]) for c in configs} for what in ("dataset", "teacher"))
    if len(datasets) > 1 or len({c.vocabulary.fingerprint for c in configs}) > 1:
        raise ValueError(f"Expected label sets of one data set and one list of classes, got {sorted(datasets)}.")
    fingerprints = {c.report.get("teacher_fingerprint") for c in configs}  # none: of saved scores without one
    if len(fingerprints - {None}) > 1:
        raise ValueError(
            f"Expected label sets of one teacher, those of {', '.join(c.name for c in configs)} have different weights."
        )
    if teacher is None and len(teachers) > 1 and None in fingerprints:
        raise ValueError(f"Expected label sets of one teacher, got {sorted(teachers)}. Say what to call it (teacher).")
    sources = [part["source"] for c in configs for part in loads(c.report.get("data", {}))]
    known = data_set(sources or datasets)
    card_data = DatasetCardData(
        pretty_name=repo_id.split("/")[-1],
        license=license,
        task_categories=["audio-classification"],
        tags=["audio-tagging", "label-enhancement", "psla"],
        size_categories=[size_category(max(c.clips for c in configs))],
        source_datasets=[known.hub_id] if known.hub_id else None,
        configs=[
            {"config_name": c.name, "data_files": [{"split": "train", "path": f"{c.name}/{LABELS_FILE}"}]}
            for c in configs
        ],
    )
    return {
        "card_data": card_data.to_yaml(),
        "name": repo_id.split("/")[-1],
        "repo_id": repo_id,
        "data": known,
        "teacher": teacher or configs[0].report["teacher"],
        "configs": configs,
        "classes": len(configs[0].vocabulary),
        "soft": any(c.report["soft"] for c in configs),
    }
