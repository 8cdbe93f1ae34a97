"""What there is to publish, in small: a trained run, an ensemble, label sets."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from psla_hf.aggregation import Scorer, ensemble, save_aggregate
from psla_hf.labels import Vocabulary
from psla_hf.members import find_members
from psla_hf.provenance import provenance, write_json
from psla_hf.recipes import get_recipe
from psla_hf.synthetic import make_scenes
from psla_hf.training import Trainer

from .conftest import TINY_BACKBONE

RECIPE = replace(get_recipe("scenes"), backbone=TINY_BACKBONE, pretraining="none", epochs=2, warmup_steps=2)
# As a load of ESC-10 with a missing clip is described; the clips are synthetic scenes.
FOUND = {"source": "esc10", "splits": {"fold 1": 23, "fold 2": 20}, "listed": 44, "found": 43, "hours": 0.01}
ABOUT = {"esc": {**FOUND, "vocabulary": "0", "notes": ["One clip has no label."], "missing": 1, "unreadable": 0}}
VOCABULARY = Vocabulary(("Animal", "Dog, bark", "Rain"), ("/m/animal", "/m/dog", "/m/rain"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, accelerator) -> Path:
    """The folder of a finished run; read-only by agreement."""
    folder = tmp_path_factory.mktemp("runs") / "esc10"
    clips = make_scenes(23, seed=1)[0], make_scenes(20, seed=2)[0]
    Trainer(RECIPE, *clips, folder, accelerator, about_data=ABOUT).train()
    return folder


@pytest.fixture(scope="module")
def together(run, tmp_path_factory, accelerator) -> Path:
    """The folder of an ensemble of the run's two models."""
    folder = tmp_path_factory.mktemp("runs") / "together"
    members = find_members([str(run), str(run / "last_epoch")])
    save_aggregate(ensemble(members, Scorer(make_scenes(20, seed=2)[0], accelerator)), folder, accelerator)
    return folder


def change(path: Path, *left_out: str, **changes) -> None:
    """Change what a JSON file says, and leave some of it out."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if key not in left_out}))


def write_label_set(folder: Path, threshold: str | float = "mean") -> Path:
    """Two clips of three classes; the first gets one label more."""
    classes = ClassLabel(names=list(VOCABULARY.names))
    added = {
        "label": classes,
        "score": Value("float32"),
        "threshold": Value("float32"),
        "relation": Value("string"),
        "proposed_by": List(classes),
    }
    columns = {"id": Value("string"), "labels": List(classes), "enhanced_labels": List(classes), "added": List(added)}
    parent = {"label": 0, "score": 0.75, "threshold": 0.5, "relation": "II", "proposed_by": [1]}
    rows = {"id": ["a", "b"], "labels": [[1], [2]], "enhanced_labels": [[0, 1], [2]], "added": [[parent], []]}
    folder.mkdir(parents=True)
    Dataset.from_dict(rows, features=Features(columns)).to_parquet(str(folder / "labels.parquet"))
    lines = ["index,mid,display_name", "0,/m/animal,Animal", '1,/m/dog,"Dog, bark"', "2,/m/rain,Rain"]
    (folder / "vocabulary.csv").write_text("\n".join(lines) + "\n")
    counts = {"original": [0, 1, 1], "enhanced": [1, 1, 1], "classes": list(VOCABULARY.names)}
    write_json(counts, folder / "class_counts.json")
    how = {"teacher": "runs/teacher", "threshold": threshold, "types": ["I", "II"], "soft": False, "iterations": 1}
    hierarchy = {"before": {"clips": 1, "labels": 1, "pairs": []}, "after": {"clips": 0, "labels": 0, "pairs": []}}
    report = {**provenance(), **how, "dataset": "audioset_balanced", "hierarchy": hierarchy}
    write_json(report, folder / "report.json")
    (folder / "report.md").write_text("# Report\n")
    return folder
