"""Vocabularies keep their order, labels become arrays, and the ontology is a graph."""

import time

import numpy as np
import pyarrow as pa
import pytest

from psla_hf import Ontology
from psla_hf.data.sources import SOURCES
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary, rows_of_ids

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


@pytest.mark.parametrize(("wrong", "nearest"), [("dgo", "Dog"), ("BEE", "Bee, wasp"), ("7a", "7")])
def test_a_class_that_there_is_not_is_refused_with_the_nearest(wrong, nearest):
    with pytest.raises(ValueError, match=f"got '{wrong}'. The nearest name is '{nearest}'"):
        ANIMALS.encode([wrong])


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


def test_clips_are_taken_by_number():
    labels = ClipLabels.from_lists([[0, 2], [], [1]], 3)
    taken = labels.take(np.array([2, 0, 1, 0]))
    assert (taken.values.tolist(), taken.offsets.tolist()) == ([1, 0, 2, 0, 2], [0, 1, 3, 3, 5])
    assert len(labels.take(np.array([], dtype=np.int64))) == 0


def test_multi_hot_and_back():
    labels = ClipLabels.from_lists([[0, 2], [], [1]], 3)
    again = ClipLabels.from_multi_hot(labels.multi_hot())
    assert (again.values.tolist(), again.offsets.tolist()) == (labels.values.tolist(), labels.offsets.tolist())


def test_ids_are_found_in_any_order():
    assert rows_of_ids(["b", "a", "c"], ["a", "b", "c"], "the set").tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("wanted", "there", "message"),
    [
        (
            ["a", "b", "c"],
            ["a", "d"],
            r"3 clips of the data in the set, got 2 clips: 2 missing .*b, c.*, 1 extra",
        ),
        (["a", "a"], ["a"], "once in the data, 1 of 2"),
        (["a"], ["a", "b", "b"], "once in the set, 1 of 3"),
    ],
)
def test_other_ids_are_refused_with_counts(wanted, there, message):
    with pytest.raises(ValueError, match=message):
        rows_of_ids(wanted, there, "the set")


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
    with pytest.raises(ValueError, match=r"without cycles.*(a → b → a|b → a → b)"):
        Ontology(children={"a": ("b",), "b": ("a",)}, names={})
    with pytest.raises(ValueError, match="without cycles"):  # though an abstract class passes nothing on
        Ontology(children={"a": ("b",), "b": ("a",)}, names={}, abstract=frozenset("a"))
    with pytest.raises(ValueError, match="1 are not: \\['c'\\]"):
        Ontology(children={"a": ("c",)}, names={})
    with pytest.raises(ValueError, match="1 of 2 are not: \\['fish'\\]"):
        ontology().child_relation(["dog", "fish"])


def test_classes_without_relations_propose_nothing_and_may_be_unknown():
    silent = ontology().without_relations(["dog", "fish"])
    ids = ["animal", "dog", "bark", "fish"]
    np.testing.assert_array_equal(silent.child_relation(ids), [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(silent.ancestor_relation(ids), [[0] * 4, [0] * 4, [1, 1, 0, 0], [0] * 4])


def test_relations_that_were_left_out_come_back():
    silent = ontology().without_relations(["dog", "fish"])
    ids = ["animal", "dog", "bark", "fish"]
    whole = silent.with_all_relations().child_relation(ids)
    np.testing.assert_array_equal(whole, [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    silent.check_classes(Vocabulary(tuple(ids)))


def test_an_ontology_of_ones_own_needs_ids_and_children_only(tmp_path):
    path = tmp_path / "ontology.json"
    path.write_text('[{"id": "animal", "child_ids": ["dog"]}, {"id": "dog", "name": "Dog"}]')
    own = Ontology.from_json(path)
    assert own.ancestors("dog") == {"animal"} and own.names == {"animal": "animal", "dog": "Dog"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "JSON"),
        ('{"id": "a"}', "a JSON list"),
        ('[{"name": "a"}]', "list of nodes"),
        ('[{"id": "a"}, {"id": "a"}]', r"every id once.*\['a'\]"),
        ('[{"id": "a", "child_ids": ["b"]}]', r"1 are not: \['b'\]"),
        ("[]", "got an empty one"),
        ('[{"id": ["a"]}]', r"list of nodes .* got \{'id': \['a'\]\}"),
        ('[{"id": []}]', "list of nodes"),
        ('[{"id": "a", "child_ids": null}]', "list of nodes .*None"),
        ('[{"id": "a", "child_ids": "b"}]', "list of nodes"),
        ('[{"id": "a", "child_ids": [["b"]]}]', "list of nodes"),
        ('[{"id": "a", "name": null}]', "list of nodes"),
    ],
)
def test_files_that_are_no_ontology_are_refused(tmp_path, content, message):
    (tmp_path / "ontology.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        Ontology.from_json(tmp_path / "ontology.json")


@pytest.mark.shared
def test_audiosets_ontology_is_read(shared):
    audioset = Ontology.from_json(shared / "audioset" / "ontology.json")
    assert len(audioset.children) == 632
    assert "/m/0jbk" in audioset.ancestors("/m/0bt9lr")  # a dog is an animal


@pytest.mark.shared
def test_fsd50ks_skipped_classes_are_classes_of_it(shared):
    fsd50k = Vocabulary.from_csv(shared / "fsd50k" / "vocabulary.csv")
    skipped = SOURCES["fsd50k"].no_proposals
    ontology = Ontology.from_json(shared / "audioset" / "ontology.json").without_relations(skipped)
    rows = [fsd50k.index[mid] for mid in skipped]
    assert len(set(rows)) == 5
    assert not ontology.child_relation(fsd50k.mids)[rows].any()
    assert not ontology.ancestor_relation(fsd50k.mids)[rows].any()


def test_thirty_thousand_classes_are_told_apart_in_no_time():
    names = tuple(f"class {k}" for k in range(30_000))
    start = time.perf_counter()
    vocabulary = Vocabulary(names, tuple(f"/m/{k}" for k in range(30_000)))
    assert vocabulary.encode(["class 29999"]) == [29_999]
    assert time.perf_counter() - start < 1  # quadratic, it took twenty


@pytest.mark.parametrize("far", [2**31, 2**32, 2**32 + 1, -(2**32), -1, 3])
def test_an_index_far_outside_is_refused_and_not_wrapped_into_a_class(far):
    column = pa.chunked_array([pa.array([[0], [far]], pa.list_(pa.int64()))])
    for make in (lambda: ClipLabels.from_lists([[0], [far]], 3), lambda: ClipLabels.from_arrow(column, 3)):
        with pytest.raises(ValueError, match=rf"from 0 to 2, got \[{far}\]"):
            make()
    with pytest.raises(ValueError, match=r"got .nan"):  # where an index is missing
        ClipLabels.from_arrow(pa.chunked_array([pa.array([[0, None]], pa.list_(pa.int64()))]), 3)
