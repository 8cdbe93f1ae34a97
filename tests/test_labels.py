"""Vocabularies keep their order, labels become arrays, and the ontology is a graph."""

import numpy as np
import pyarrow as pa
import pytest

from psla_hf import Ontology
from psla_hf.labels import ClipLabels, Vocabulary

TREE = {"sound": ("animal", "music"), "animal": ("dog", "cat"), "dog": ("bark",), "cat": (), "bark": (), "music": ()}


def ontology(abstract=()) -> Ontology:
    return Ontology(children=TREE, names={node: node.title() for node in TREE}, abstract=frozenset(abstract))


ANIMALS = Vocabulary(("Dog", "Bee, wasp", "7"), ("/m/1", "/m/2", "/m/3"))


def test_names_mids_and_indices_are_the_same_classes():
    assert ANIMALS.encode(["Dog", "/m/2"]) == ANIMALS.encode(["1", 0, "/m/1"]) == [0, 1]
    assert ANIMALS.encode(["7"]) == [2]  # a name before an index
    with pytest.raises(ValueError, match="3 classes, got 'Cat'"):
        ANIMALS.encode(["Cat"])
    with pytest.raises(ValueError, match="got 3"):
        ANIMALS.encode([3])


def test_a_fingerprint_is_of_the_classes_and_their_order():
    assert Vocabulary(ANIMALS.names, ANIMALS.mids).fingerprint == ANIMALS.fingerprint
    assert Vocabulary(ANIMALS.names[::-1], ANIMALS.mids[::-1]).fingerprint != ANIMALS.fingerprint
    assert Vocabulary(ANIMALS.names).fingerprint != ANIMALS.fingerprint


def test_classes_that_cannot_be_told_apart_are_refused():
    with pytest.raises(ValueError, match=r"names to be unique.*'Dog'"):
        Vocabulary(("Dog", "Dog"), ("/m/1", "/m/2"))
    with pytest.raises(ValueError, match="2 names and 1 mids"):
        Vocabulary(("Dog", "Cat"), ("/m/1",))


@pytest.mark.shared
def test_the_official_lists_are_read(shared):
    audioset = Vocabulary.from_csv(shared / "audioset" / "class_labels_indices.csv")
    assert len(audioset) == 527 and audioset.names[1] == "Male speech, man speaking"
    fsd50k, psla = (
        Vocabulary.from_csv(shared / "fsd50k" / name) for name in ("vocabulary.csv", "class_labels_indices.csv")
    )
    assert fsd50k == psla and len(fsd50k) == 200 and fsd50k.mids[3] == "/m/0k5j"


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "labels.csv"
    for content, message in (
        ("a,b\n", "header, or index,label,mid"),
        ("", "empty"),
        ("1,Dog,/m/1\n", "0, 1, 2, … in"),
    ):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            Vocabulary.from_csv(path)


def test_labels_of_the_docstring():
    labels = ClipLabels.from_lists([[0, 2], [], [1]], 3)
    assert (labels.values.tolist(), labels.offsets.tolist()) == ([0, 2, 1], [0, 2, 2, 3])
    np.testing.assert_array_equal(labels.multi_hot(), [[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(labels.class_counts(), [1, 1, 1])
    np.testing.assert_array_equal(labels.sum_over_classes(np.array([1.0, 10, 100])), [101, 0, 10])


def test_labels_from_arrow_are_the_same_whatever_its_chunks():
    lists = [[0, 2], [], [1], [2, 1]]
    column = pa.chunked_array([pa.array(lists[:1]), pa.array([[9], *lists[1:]]).slice(1)])
    expected = ClipLabels.from_lists(lists, 3)
    for labels in (
        ClipLabels.from_arrow(column, 3),
        ClipLabels.concatenate([ClipLabels.from_lists(part, 3) for part in (lists[:3], lists[3:])]),
    ):
        np.testing.assert_array_equal(labels.values, expected.values)
        np.testing.assert_array_equal(labels.offsets, expected.offsets)


def test_repeated_labels_count_once():
    labels = ClipLabels.from_lists([[2, 0, 2], [], [1, 1]], 3).each_once()
    assert (labels.values.tolist(), labels.offsets.tolist()) == ([0, 2, 1], [0, 2, 2, 3])


def test_a_label_outside_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match=r"0 to 2, got \[3\]"):
        ClipLabels.from_lists([[0], [3]], 3)


def test_ancestors_are_all_classes_above():
    assert ontology().ancestors("bark") == {"dog", "animal", "sound"}
    assert ontology().ancestors("sound") == set()


def test_an_abstract_class_passes_nothing_on():
    assert ontology(["animal"]).ancestors("bark") == {"dog"}
    assert not ontology(["animal"]).child_relation(list(TREE))[1].any()


def test_relations_are_matrices_in_the_order_of_the_ids():
    ids = ["bark", "animal", "dog"]
    np.testing.assert_array_equal(ontology().child_relation(ids), [[0, 0, 0], [0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(ontology().ancestor_relation(ids), [[0, 1, 1], [0, 0, 0], [0, 1, 0]])


def test_cycles_and_unknown_classes_are_refused():
    with pytest.raises(ValueError, match="own ancestor"):
        Ontology(children={"a": ("b",), "b": ("a",)}, names={})
    with pytest.raises(ValueError, match="unknown are \\['c'\\]"):
        Ontology(children={"a": ("c",)}, names={})
    with pytest.raises(ValueError, match="unknown are \\['fish'\\]"):
        ontology().child_relation(["dog", "fish"])


@pytest.mark.shared
def test_audiosets_ontology_is_read(shared):
    audioset = Ontology.from_json(shared / "audioset" / "ontology.json")
    assert len(audioset.children) == 632
    assert "/m/0jbk" in audioset.ancestors("/m/0bt9lr")  # a dog is an animal
