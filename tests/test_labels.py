"""Multi-hot targets, and the ontology as a graph."""

import numpy as np
import pytest

from psla_hf import Ontology
from psla_hf.labels import multi_hot

TREE = {"sound": ("animal", "music"), "animal": ("dog", "cat"), "dog": ("bark",), "cat": (), "bark": (), "music": ()}


def ontology(abstract=()) -> Ontology:
    return Ontology(children=TREE, names={node: node.title() for node in TREE}, abstract=frozenset(abstract))


def test_multi_hot_of_the_docstring():
    np.testing.assert_array_equal(multi_hot([[0, 2], [1], []], 3), [[1, 0, 1], [0, 1, 0], [0, 0, 0]])


def test_a_label_outside_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match="0 to 2, got \\[3\\]"):
        multi_hot([[0], [3]], 3)


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
