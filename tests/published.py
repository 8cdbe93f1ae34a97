"""What there is to publish, in small: a trained run, an ensemble, label sets."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from psla_hf.aggregation.aggregate import Scorer, ensemble, save_aggregate
from psla_hf.aggregation.members import find_members
from psla_hf.data.toy import make_scenes
from psla_hf.enhancement import label_set as label_sets
from psla_hf.enhancement.algorithm import Enhancement
from psla_hf.enhancement.report import enhancement_figures, write_report
from psla_hf.labels.ontology import Ontology
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary
from psla_hf.provenance import provenance
from psla_hf.training.recipes import get_recipe
from psla_hf.training.trainer import Trainer
from tests.conftest import TINY_BACKBONE

RECIPE = get_recipe("scenes").replace(backbone=TINY_BACKBONE, pretraining="none", epochs=2, warmup_steps=2)
# As a load of ESC-10 with a missing clip is described; the clips are synthetic scenes.
FOUND = {"source": "esc10", "splits": {"fold 1": 23, "fold 2": 20}, "listed": 44, "found": 43, "hours": 0.01}
LOAD = {**FOUND, "vocabulary": "0", "notes": ["One clip has no label."], "missing": 1, "unreadable": 0}
ABOUT = {"dataset": "esc", "fold": 1, "subset": "esc10", "parts": {"train": LOAD, "test": LOAD}}
VOCABULARY = Vocabulary(("Animal", "Dog, bark", "Rain"), ("/m/animal", "/m/dog", "/m/rain"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, accelerator) -> Path:
    """The folder of a finished run; read-only by agreement."""
    folder = tmp_path_factory.mktemp("runs") / "esc10"
    clips = make_scenes(23, seed=1)[0], make_scenes(20, seed=2)[0]
    Trainer(RECIPE, *clips, folder, accelerator, about_data=ABOUT).train()
    recipe = json.loads((folder / "results.json").read_text())["recipe"]
    if "model" not in recipe:  # TODO at the merge: the Trainer writes groups
        change(folder / "results.json", recipe=_grouped(recipe))
    return folder


def _grouped(recipe: dict) -> dict:
    names = {"model": ("backbone", "pooling"), "optimizer": ("learning_rate",), "schedule": ("epochs",)}
    groups = {group: {name: recipe.pop(name) for name in of_group} for group, of_group in names.items()}
    return groups | {"aggregation": recipe}


@pytest.fixture(scope="module")
def together(run, tmp_path_factory, accelerator) -> Path:
    """The folder of an ensemble of the run's two models."""
    folder = tmp_path_factory.mktemp("runs") / "together"
    members = find_members([str(run), str(run / "last_epoch")])
    save_aggregate(ensemble(members, Scorer(make_scenes(20, seed=2)[0], accelerator, data=ABOUT)), folder, accelerator)
    return folder


HOSTILE = "a|b<script>`*x*[y](z)\n# c _d_e_ ~f~"  # a name with Markdown and HTML in it
LITERAL = r"a\|b&lt;script&gt;\`\*x\*\[y\](z) # c \_d_e\_ \~f\~"


def literal_tables(page: str) -> list[str]:
    """The tables of a page on which `HOSTILE` is text or code, no HTML and no heading, and rows keep their columns."""
    assert "<script>" not in re.sub(r"``.*?``", "", page) and "\n# c" not in page
    tables = re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE)
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table
    return tables


def change(path: Path, *left_out: str, **changes) -> None:
    """Change what a JSON file says, and leave some of it out."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if key not in left_out}))


def write_label_set(folder: Path, threshold: str | float = "mean") -> Path:
    """Two clips of three classes; the first gets one label more."""
    enhancement = Enhancement(
        original=ClipLabels.from_lists([[1], [2]], 3),
        thresholds=np.array([0.5, np.inf, np.inf]),
        clips=np.array([0]),
        classes=np.array([0], np.int32),
        scores=np.array([0.75], np.float32),
        kinds=np.array([2], np.uint8),  # type II
        proposed_by=ClipLabels.from_lists([[1]], 3),
        unscored=np.array([], np.int64),
    )
    ids, ontology = ["a", "b"], Ontology({"/m/animal": ("/m/dog",), "/m/dog": (), "/m/rain": ()}, {})
    how = {"teacher": "runs/teacher", "threshold": threshold, "types": ["I", "II"], "soft": False, "iterations": 1}
    figures = enhancement_figures(enhancement, ids, VOCABULARY, ontology)
    folder.mkdir(parents=True)
    label_sets.write_label_set(folder, ids, enhancement, VOCABULARY)
    write_report(folder, {**provenance(), **how, "dataset": "audioset_balanced", **figures})
    return folder
