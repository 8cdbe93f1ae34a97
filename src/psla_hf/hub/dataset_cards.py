"""The cards of prepared data and of label sets, and pushing prepared data with its card. Knows no models."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import DatasetCard, DatasetCardData

from psla_hf.data.shards.prepare import DATA, MANIFEST, verify
from psla_hf.enhancement.label_set import COUNTS_FILE, LABELS_FILE, VOCABULARY_FILE, LabelSet
from psla_hf.files import read_json
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.reports.markdown import markdown_origin, render
from psla_hf.training.run.folder import CARD_FILE

from .model_card import CARDS, OF_AN_ORIGIN, check_complete, data_set, loads
from .repository import Repository, check_repo_id

__all__ = ["LABEL_SET_FILES", "label_card", "label_set_files", "push", "size_category", "write_card"]


# The Hub's size categories: how many thousands a data set has fewer clips than.
SIZES = {1: "n<1K", 10: "1K<n<10K", 100: "10K<n<100K", 1000: "100K<n<1M", 10_000: "1M<n<10M", 100_000: "10M<n<100M"}


def write_card(output_dir: str | Path, *, pretty_name: str, license: str) -> Path:
    """Write the card of a prepared folder: what the Hub reads as YAML, what people read from the manifest.

    Args:
        output_dir: A folder that `data.shards.prepare.prepare` has finished; it is verified first.
        pretty_name: The card's title.
        license: The data's licence as the Hub names it, such as `cc-by-4.0`, or `other`.

    Returns:
        The card's path.

    Raises:
        FileNotFoundError: There is no manifest, or a shard is missing.
        ValueError: The folder is not what its manifest says, or the name, the licence or a source is missing.
    """
    manifest = verify(output_dir)
    sources = {f"the source of split {split!r}": section["source"] for split, section in manifest["splits"].items()}
    missing = [what for what, value in {"pretty_name": pretty_name, "license": license, **sources}.items() if not value]
    if missing:
        raise ValueError(
            f"Expected all that a card must say, missing: {', '.join(missing)}. A source is given when its split is "
            "prepared (source=...), the others with the card."
        )
    clips = sum(section["clips"] for section in manifest["splits"].values())
    data = DatasetCardData(
        pretty_name=pretty_name,
        license=license,
        task_categories=["audio-classification"],
        tags=["audio-tagging"],
        size_categories=[size_category(clips)],
        configs=[
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": _files(section)} for split, section in manifest["splits"].items()
                ],
            }
        ],
    )
    path = Path(output_dir) / CARD_FILE
    values = {"card_data": data.to_yaml(), "name": pretty_name, "license": license, "manifest_file": MANIFEST}
    DatasetCard(render(CARDS, "prepared.md.jinja", {**manifest, **values, "clips": clips})).save(path)
    return path


def push(output_dir: str | Path, repo_id: str, *, pretty_name: str, license: str, private: bool = True) -> str:
    """Verify a prepared folder, write its card and upload both as a data set repository.

    Other files in the repository are left alone; the card names the shards so exactly that none of an earlier
    preparation is loaded.

    Args:
        output_dir: A folder that `data.shards.prepare.prepare` has finished.
        repo_id: Such as `user/name`; made if it does not exist.
        pretty_name: The card's title.
        license: The data's licence. You must have the right to publish the audio: a list of clips under a free licence,
            such as AudioSet's, does not make the clips free.
        private: Only you and your organisation can see it.

    Returns:
        The repository's address.

    Raises:
        FileNotFoundError: There is no manifest, or a shard is missing.
        PublishError: The Hub refuses, cannot be reached, or the connection breaks.
        ValueError: The folder is not what its manifest says, a fact is missing, the repository's name has no owner, or
            it is public already although a private one was asked for.
    """
    check_repo_id(repo_id)
    write_card(output_dir, pretty_name=pretty_name, license=license)
    repository = Repository.open(repo_id, "dataset", private)
    repository.fill_in_parts(output_dir, [CARD_FILE, MANIFEST, f"{DATA}/*.parquet"], "Upload prepared shards")
    return repository.url


def size_category(num_clips: int) -> str:
    """The Hub's name for a number of rows."""
    return next(name for thousands, name in SIZES.items() if num_clips < 1000 * thousands)


def _files(section: dict) -> str:
    """A pattern for the shards of one split and of no earlier preparation with another number of them."""
    first = section["shards"][0]["file"]
    return first.replace("-00000-of-", "-*-of-")


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
        report = read_json(folder / REPORT_FILE)
        check_complete(report, OF_A_LABEL_SET, folder / REPORT_FILE)
        if "data" in report:
            check_complete(report, ("data.dataset", "data.parts"), folder / REPORT_FILE)
            for part in loads(report["data"]):
                check_complete(part, ("source",), folder / REPORT_FILE)
        before, after = labels.original.class_counts(), labels.enhanced.class_counts()
        recorded = read_json(folder / COUNTS_FILE)
        counted = {"original": before.tolist(), "enhanced": after.tolist(), "classes": list(labels.vocabulary.names)}
        if recorded != counted:
            differ = [what for what, counts in counted.items() if recorded.get(what) != counts]
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
        raise FileNotFoundError(f"Expected a label set with its report in {folder}, missing: {', '.join(missing)}.")
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
    return DatasetCard(render(CARDS, "label_sets.md.jinja", _values(configurations, repo_id, license, teacher)))


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
    known = data_set(configs[0].report.get("data", configs[0].report))
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
