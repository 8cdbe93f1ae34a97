"""A label set is written whole, read back the same, and fits only the clips it was made for."""

import json
import subprocess
import sys

import numpy as np
import pytest
from datasets import Dataset, load_dataset

from psla_hf import Ontology
from psla_hf.data.schema import tagging_features, targets_of
from psla_hf.enhancement.algorithm import enhance_clip_labels
from psla_hf.enhancement.label_set import LabelSet, write_label_set
from psla_hf.files import atomic_folder
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary
from tests import fake_hub

hub = fake_hub.hub

VOCABULARY = Vocabulary(("Animal", "Dog", "Bee, wasp"), ("/m/1", "/m/2", "/m/3"))
ONTOLOGY = Ontology({"/m/1": ("/m/2", "/m/3"), "/m/2": (), "/m/3": ()}, {})
LISTS = [[0, 1], [1], [0, 2], [0], []]
IDS = list("abcde")
LABELS = ClipLabels.from_lists(LISTS, 3)
SCORES = np.array([[0.5, 0.6, 0.9], [0.6, 0.8, 0.1], [0.5, 0.9, 0.5], [0.5, 0.9, 0.4], [1, 1, 1]], np.float16)
ENHANCED = [[0, 1, 2], [0, 1], [0, 1, 2], [0, 1], []]


@pytest.fixture(params=[False, True], ids=["hard", "soft"])
def soft(request) -> bool:
    return request.param


def write(folder, soft):
    """A label set of the five clips."""
    enhancement = enhance_clip_labels(LABELS, SCORES, ONTOLOGY, VOCABULARY.mids)
    with atomic_folder(folder) as place:
        write_label_set(place, IDS, enhancement, VOCABULARY, soft)
    return folder


@pytest.fixture
def folder(tmp_path, soft):
    return write(tmp_path / "mean", soft)


def clips_of(order) -> Dataset:
    columns = {
        "id": [IDS[i] for i in order],
        "audio": [{"path": None, "bytes": IDS[i].encode()} for i in order],
        "labels": [LISTS[i] for i in order],
        "mids": [LISTS[i] for i in order],
        "split": ["train"] * len(order),
        "seconds": [1.0] * len(order),
    }
    return Dataset.from_dict(columns, features=tagging_features(VOCABULARY))


def test_datasets_reads_it_with_names_and_reasons(folder, soft, tmp_path):
    rows = load_dataset("parquet", data_files=str(folder / "labels.parquet"), cache_dir=str(tmp_path))["train"]
    assert rows.features["added"].feature["label"].names == list(VOCABULARY.names)
    assert rows["id"][:] == IDS and rows["labels"][:] == LISTS and rows["enhanced_labels"][:] == ENHANCED
    animal, threshold = np.float32(np.float16(0.6)), np.float32(0.5)
    assert rows[1]["added"] == [
        {"label": 0, "score": animal, "threshold": threshold, "relation": "II", "proposed_by": [1]}
    ]
    assert rows[0]["added"][0]["relation"] == "I" and rows[4]["added"] == []
    assert ("enhanced_values" in rows.features) == soft
    if soft:
        assert rows[1]["enhanced_values"] == [animal, 1]
    counts = json.loads((folder / "class_counts.json").read_text())
    assert counts == {"original": [3, 2, 1], "enhanced": [4, 4, 2], "classes": list(VOCABULARY.names)}
    assert Vocabulary.from_csv(folder / "vocabulary.csv") == VOCABULARY


def test_training_clips_get_their_enhanced_labels_in_any_order(folder, soft):
    label_set = LabelSet.open(folder)
    order = [3, 0, 4, 1, 2]
    clips = clips_of(order)
    applied = label_set.apply(clips)
    enhanced = applied.dataset()
    assert enhanced["labels"][:] == enhanced["mids"][:] == [ENHANCED[i] for i in order]
    assert enhanced["id"][:] == clips["id"][:] and enhanced["audio"][:] == clips["audio"][:]
    if soft:
        expected = [[1 if k in LISTS[i] else float(SCORES[i, k]) for k in ENHANCED[i]] for i in order]
        assert enhanced["label_values"][:] == expected
    else:
        assert enhanced.features == clips.features
    np.testing.assert_array_equal(applied.labels.multi_hot(), targets_of(enhanced))


def test_other_clips_classes_or_labels_are_refused_with_counts(folder):
    label_set = LabelSet.open(folder)
    with pytest.raises(ValueError, match=r"4 clips of the data.* got 5 clips: 0 missing, 1 extra .such as e"):
        label_set.apply(clips_of([0, 1, 2, 3]))
    with pytest.raises(ValueError, match=r"2 missing .such as x, y.*, 0 extra"):
        label_set.check([*IDS, "x", "y"], VOCABULARY, ClipLabels.from_lists([*LISTS, [], []], 3))
    with pytest.raises(ValueError, match="2 of 5 have others, such as b, d"):
        label_set.check(IDS, VOCABULARY, ClipLabels.from_lists([[1, 0], [0], [0, 2], [0, 1], []], 3))
    others = Vocabulary(("Animal", "Bee, wasp", "Dog"))
    with pytest.raises(ValueError, match="first that differs is number 1"):
        label_set.check(IDS, others, LABELS)


def test_a_set_is_chosen_by_folder_or_by_its_configuration(folder):
    for name, config in ((folder, None), (f"{folder.parent}:mean", None), (folder.parent, "mean")):
        assert LabelSet.open(name, config).ids == IDS
    with pytest.raises(FileNotFoundError, match=r"Choose one of \['mean'\]"):
        LabelSet.open(folder.parent)
    with pytest.raises(FileNotFoundError, match="OWNER/NAME:CONFIG"):
        LabelSet.open(folder.parent / "median")


def test_what_is_neither_a_folder_nor_a_repository_is_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="neither a folder labels/typo nor a repository labels/typo"):
        LabelSet.open("labels/typo")


def test_the_hub_gives_what_the_folders_give(tmp_path, hub):
    files = hub.repos.setdefault("datasets/me/labels", {})
    card = "---\nconfigs:\n"
    for name, soft in (("mean", False), ("soft", True)):
        files[f"{name}/labels.parquet"] = (write(tmp_path / name, soft) / "labels.parquet").read_bytes()
        card += f"- config_name: {name}\n  data_files: {name}/labels.parquet\n"
    files["README.md"] = f"{card}---\n".encode()
    rows = (tmp_path / "mean" / "labels.parquet").read_bytes()
    hub.repos["datasets/me/parts"] = {"train.parquet": rows, "test.parquet": rows}
    code = (
        "from psla_hf.enhancement.label_set import LabelSet\n"
        "for label_set in (LabelSet.open('me/labels:mean'), LabelSet.open('me/labels', 'soft')):\n"
        "    print(label_set.name, label_set.ids, label_set.enhanced.values.tolist(), label_set.values is not None)\n"
        "print(label_set.vocabulary.names)\n"
        "try: LabelSet.open('me/labels')\n"
        "except ValueError as error: print(error)\n"
        "try: LabelSet.open('me/parts')\n"
        "except ValueError as error: print(error)\n"
        "try: LabelSet.open('me/typo')\n"
        "except FileNotFoundError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=hub.env, capture_output=True, text=True, check=True)
    values = LabelSet.open(tmp_path / "mean").enhanced.values.tolist()
    assert done.stdout.splitlines()[:3] == [
        f"me/labels:mean {IDS} {values} False",
        f"me/labels:soft {IDS} {values} True",
        str(VOCABULARY.names),
    ]
    assert "pick one among" in done.stdout
    assert "me/parts has ['test', 'train']" in done.stdout
    assert "neither a folder me/typo nor a repository me/typo" in done.stdout
