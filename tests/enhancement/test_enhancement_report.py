"""The report counts what was added, and the ontology's contradictions before and after."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from psla_hf import Ontology
from psla_hf.data.sources.audioset import list_audioset
from psla_hf.enhancement import report as enhancement_report
from psla_hf.enhancement.algorithm import enhance_clip_labels
from psla_hf.enhancement.report import NO_PLOT, enhancement_figures, parent_child_figures, write_report
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary
from psla_hf.provenance import provenance
from tests.published import HOSTILE, LITERAL, literal_tables

CLASSES = Vocabulary(("Animal", "Dog", "Cat"), ("/m/1", "/m/2", "/m/3"))
ONTOLOGY = Ontology({"/m/1": ("/m/2", "/m/3"), "/m/2": (), "/m/3": ()}, {})
LABELS = ClipLabels.from_lists([[0, 1], [1], [0, 2], [0], []], 3)
SCORES = np.array([[0.5, 0.6, 0.9], [0.6, 0.8, 0.1], [0.5, 0.9, 0.5], [0.5, 0.95, 0.4], [1, 1, 1]], np.float32)
IDS = list("abcde")
SETTINGS = {
    "dataset": "own",
    "teacher": "runs/teacher",
    "threshold": 25.0,
    "types": ["I", "II"],
    "soft": False,
    "iterations": 1,
}


@pytest.fixture
def figures():
    enhancement = enhance_clip_labels(LABELS, SCORES, ONTOLOGY, CLASSES.mids)
    return enhancement_figures(enhancement, IDS, CLASSES, ONTOLOGY, lambda clip: f"audio/{IDS[clip]}.wav")


def test_what_was_added_is_counted(figures):
    assert figures["labels"] == {"before": 6, "added": 4, "after": 10, "percent": pytest.approx(100 * 4 / 6)}
    assert figures["clips"] == {"all": 5, "changed": 4, "without_scores": 0}
    assert figures["classes_touched"] == 3
    added = {name: row["labels_added"] for name, row in figures["relations"].items()}
    assert added == {"I": 3, "II": 1, "I+II": 0}
    assert figures["per_class"]["added"] == [1, 2, 1]


def test_the_most_changed_classes_come_with_examples_to_listen_to(figures):
    first = figures["most_changed"][0]
    assert (first["class"], first["before"], first["added"]) == ("Dog", 2, 2)
    best, second = first["examples"]
    assert (best["id"], best["path"], best["relation"], best["proposed_by"]) == ("d", "audio/d.wav", "I", ["Animal"])
    assert best["score"] > second["score"] > first["examples"][0]["threshold"]


def test_children_without_their_parents_are_counted_before_and_after(figures):
    before, after = figures["hierarchy"]["before"], figures["hierarchy"]["after"]
    assert (before["clips"], before["labels"], after["clips"], after["labels"]) == (1, 1, 0, 0)
    dog = {"parent": "Animal", "child": "Dog", "parent_clips": 3, "child_clips": 2, "child_only": 1}
    assert before["pairs"][0] == dog


def test_a_clip_with_two_children_misses_one_parent():
    figures = parent_child_figures(ClipLabels.from_lists([[1, 2], [0]], 3), CLASSES, ONTOLOGY)
    assert (figures["clips"], figures["labels"]) == (1, 1)
    assert [pair["child_only"] for pair in figures["pairs"]] == [1, 1]


@pytest.mark.parametrize("matplotlib", [True, False])
def test_the_report_is_markdown_json_and_where_it_can_a_plot(figures, tmp_path, monkeypatch, matplotlib):
    monkeypatch.setattr(enhancement_report, "find_spec", find_spec if matplotlib else lambda name: None)
    write_report(tmp_path, {**provenance(), **SETTINGS, **figures})
    page = (tmp_path / "report.md").read_text()
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["labels"]["added"] == 4 and content["teacher"] == "runs/teacher" and content["commit"]
    assert "4 labels were added to 6 (66.7 %), in 4 of 5 clips and 3 of 3 classes" in page
    assert "Threshold: 25P" in page and "`audio/d.wav` 0.95 > " in page
    assert "direct parent is missing: 1 before, 0 after" in page
    assert "| Animal | Dog | 3 → 4 | 2 → 4 | 1 → 0 |" in page
    assert (NO_PLOT in page) != matplotlib and (tmp_path / "report.png").is_file() == matplotlib


def test_classes_and_clips_are_shown_as_they_are_named(figures, tmp_path):
    classes = Vocabulary((HOSTILE, "Dog", "Cat"), CLASSES.mids)
    enhancement = enhance_clip_labels(LABELS, SCORES, ONTOLOGY, CLASSES.mids)
    figures = enhancement_figures(enhancement, [HOSTILE] * 5, classes, ONTOLOGY)
    write_report(tmp_path, {**provenance(), **SETTINGS, **figures, "teacher": HOSTILE, "dataset": HOSTILE})
    page = (tmp_path / "report.md").read_text()
    _, changed, pairs = literal_tables(page)
    assert changed.count(LITERAL) == 4 and pairs.count(LITERAL) == 2  # beside examples, whose ids are code
    assert page.startswith(f"# Label enhancement of {LITERAL}\n\nTeacher: {LITERAL}. ")


def test_nothing_added_is_a_report_too(tmp_path):
    enhancement = enhance_clip_labels(LABELS, np.zeros((5, 3), np.float32), ONTOLOGY, CLASSES.mids)
    figures = enhancement_figures(enhancement, IDS, CLASSES, ONTOLOGY)
    write_report(tmp_path, {**provenance(), **SETTINGS, **figures})
    assert "0 labels were added to 6 (0.0 %)" in (tmp_path / "report.md").read_text()


def test_classes_that_propose_nothing_still_have_their_parents():
    silent = ONTOLOGY.without_relations(["/m/1", "/m/2"])
    assert parent_child_figures(LABELS, CLASSES, silent) == parent_child_figures(LABELS, CLASSES, ONTOLOGY)


def test_a_score_just_above_its_threshold_is_printed_so(figures, tmp_path):
    example = figures["most_changed"][0]["examples"][0]
    example |= {"score": 0.90001, "threshold": 0.9}
    write_report(tmp_path, {**provenance(), **SETTINGS, **figures})
    assert "0.90001 > 0.90000" in (tmp_path / "report.md").read_text()


def test_tables_without_rows_are_left_out(tmp_path):
    unrelated = Ontology(dict.fromkeys(CLASSES.mids, ()), {})
    enhancement = enhance_clip_labels(LABELS, SCORES, unrelated, CLASSES.mids)
    figures = enhancement_figures(enhancement, IDS, CLASSES, unrelated)
    write_report(tmp_path, {**provenance(), **SETTINGS, **figures})
    page = (tmp_path / "report.md").read_text()
    assert "most added labels\n" not in page and "| parent |" not in page and "parent is missing: 0 before" in page


@pytest.mark.shared
def test_the_papers_speech_example_on_the_official_list(shared):
    listing = list_audioset(shared / "audioset", split="balanced_train")
    labels = ClipLabels.from_arrow(listing.clips["labels"], 527)
    ontology = Ontology.from_json(shared / "audioset" / "ontology.json")
    pairs = {
        pair["child"]: pair
        for pair in parent_child_figures(labels, listing.vocabulary, ontology)["pairs"]
        if pair["parent"] == "Speech"
    }
    three = [pairs[f"{who} speech, {words}"] for who, words in (("Male", "man speaking"), ("Female", "woman speaking"))]
    three.append(pairs["Child speech, kid speaking"])
    assert {pair["parent_clips"] for pair in three} == {5735}
    assert [pair["child_clips"] for pair in three] == [60, 60, 154]
    assert sum(pair["child_only"] for pair in three) == 45  # none of these clips has two of the three
