"""A teacher's classes find the data's by mid, by name and by the words of names, or are named."""

import numpy as np
import pytest

from psla_hf.files import read_json
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.teachers.class_map import ClassMap, read_class_map

DATA = Vocabulary(("Chink_and_clink", "Dog", "sea waves", "Bark", "Theremin"), ("/m/1", "/m/2", "/m/3", "/m/4", "/m/5"))


def test_partners_are_found_by_mid_by_name_and_by_words():
    teacher = ("/m/4", "dog", "Dog", "Sea_waves", "Chink, clink", "Piano")
    found = ClassMap.of(teacher, DATA)
    assert found.sources == ((4,), (2,), (3,), (0,), ())
    assert found.known.tolist() == [True, True, True, True, False]
    assert found.in_words() == [
        "The teacher knows 4 of the data's 5 classes.",
        "Without its scores: Theremin.",
        "Its classes that the data do not have: dog, Piano.",
    ]


def test_what_is_ambiguous_is_no_partner():
    assert ClassMap.of(("sea-waves", "Sea_waves", "Dog"), DATA).sources == ((), (1 + 1,), (), (), ())


def test_what_is_chosen_goes_before_what_is_found_and_of_several_the_highest_counts():
    teacher = ("Dog", "Howl", "Bark")
    found = ClassMap.of(teacher, DATA, {"Dog": ["Howl", "Bark"], "/m/5": ["Dog"]})
    scores = found.apply(np.array([[0.1, 0.2, 0.3]], np.float16))
    np.testing.assert_array_equal(scores, np.array([[np.nan, 0.3, np.nan, 0.3, 0.1]], np.float16))


def test_scores_of_the_same_classes_are_passed_on_as_they_are():
    scores = np.ones((2, 5), np.float16)
    assert ClassMap.of(DATA.names, DATA).apply(scores) is scores


@pytest.mark.parametrize(
    ("teacher", "chosen", "message"),
    [
        (("cat", "cow"), None, "it knows none: the nearest to 'Chink_and_clink' is"),
        (("Dog",), {"Dgo": ["Dog"]}, r"Expected classes of the data in the class map, got \['Dgo'\]"),
        (("Dog",), {"Bark": ["dog"]}, "got 'dog'. The nearest is 'Dog'"),
    ],
)
def test_classes_that_are_none_are_named(teacher, chosen, message):
    with pytest.raises(ValueError, match=message):
        ClassMap.of(teacher, DATA, chosen)


def test_a_file_has_a_pair_in_each_line(tmp_path):
    path = tmp_path / "map.csv"
    path.write_text("class,teacher\nDog,Bark\nDog,Howl\nBark,Bark\n")
    assert read_class_map(path) == {"Dog": ["Bark", "Howl"], "Bark": ["Bark"]}
    path.write_text("ours,theirs\nDog,Bark\n")
    with pytest.raises(ValueError, match="Expected the columns class and teacher"):
        read_class_map(path)


def test_words_of_fsd50k_s_names_are_those_of_audioset_s(shared):
    """FSD50K says which of AudioSet's classes each of its own is: by words alone the same are found."""
    fsd50k = Vocabulary.from_csv(shared / "fsd50k" / "vocabulary.csv")
    audioset = {node["id"]: node["name"] for node in read_json(shared / "audioset" / "ontology.json", list)}
    names = list(audioset.values())
    by_words = ClassMap.of(names, Vocabulary(fsd50k.names))
    partners = {name: names[of[0]] for name, of in zip(fsd50k.names, by_words.sources, strict=True) if of}
    expected = {name: audioset[mid] for name, mid in zip(fsd50k.names, fsd50k.mids, strict=True)}
    assert partners == expected
