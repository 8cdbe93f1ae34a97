"""What is odd about data is said by name, and nothing else."""

import time

import numpy as np
import pytest
import soundfile
from datasets import Dataset

from psla_hf.data.advice import advice, similar_names
from psla_hf.data.schema import IndexedClips, tagging_features
from psla_hf.labels.vocabulary import Vocabulary


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("Sparrow", "sparrow", True),
        ("house sparrow", "House-Sparrow", True),
        ("sparrow", "sparow", True),
        ("sparrow", "sparrov", True),
        ("sparrow", "swallow", False),
        ("cat", "car", False),
        ("cat", "Cat", True),
        ("class 1", "class 2", False),
        ("class 1", "class 12", False),
        ("robin", "robins", True),
        ("form", "from", False),
    ],
)
def test_names_that_may_be_one(first, second, alike):
    assert similar_names([first, second]) == ([(0, 1)] if alike else [])


def test_thirty_thousand_names_take_no_time():
    names = [f"{k * 7919 % 100003:05d} species {k}" for k in range(30000)]
    start = time.process_time()
    assert similar_names([*names, "robin", "Robin"]) == [(30000, 30001)]
    assert time.process_time() - start < 10


def clips(folder, sounds: dict[str, tuple[np.ndarray, list[int]]], names=("dog", "rain")) -> IndexedClips:
    columns: dict[str, list] = {name: [] for name in tagging_features(Vocabulary(names))}
    for name, (samples, labels) in sounds.items():
        path = folder / f"{name}.wav"
        soundfile.write(path, samples, 16000)
        row = {"id": name, "audio": {"path": str(path), "bytes": None}, "labels": labels, "mids": labels}
        for column, value in {**row, "split": "x", "seconds": len(samples) / 16000}.items():
            columns[column].append(value)
    return IndexedClips(Dataset.from_dict(columns, features=tagging_features(Vocabulary(names))))


def noise(seed: int, seconds: float = 2.0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * 16000))


def test_data_in_order_have_no_advice(tmp_path):
    both = {part: {f"{part}{k}": (noise(100 * p + k), [k % 2]) for k in range(20)} for p, part in enumerate(("a", "b"))}
    assert advice({"train": clips(tmp_path, both["a"]), "test": clips(tmp_path, both["b"])}, quiet=True) == []


def test_identical_sounds_are_named_by_the_kind(tmp_path):
    same_start = np.concatenate([noise(1, 1.0), noise(9, 1.0)])
    train = {
        "one": (noise(1), [0]),
        "twin": (noise(1), [0]),
        "start": (same_start, [0]),
        "cry": (noise(2), [0]),
        "wolf": (noise(2), [1]),
        "leak": (noise(3), [1]),
    }
    found = advice(
        {
            "train": clips(tmp_path, train),
            "test": clips(tmp_path, {"leaked": (noise(3), [1]), "rest": (noise(4), [0])}),
        },
        min_clips=1,
        quiet=True,
    )
    assert found == [
        "Identical sounds under several names, in different parts: leak (train) = leaked (test).",
        "Identical sounds under several names, with different labels: cry (train) = wolf (train).",
        "Identical sounds under several names, in one part: one (train) = twin (train).",
    ]


def test_classes_with_little_or_nothing_are_named(tmp_path):
    train = clips(tmp_path, {"a": (noise(1), [0]), "b": (noise(2), [1])})
    test = clips(tmp_path, {"c": (noise(3), [0])})
    assert advice({"train": train, "test": test}, quiet=True) == [
        "Classes with fewer than 10 clips to train on: dog (1); rain (1).",
        "Classes without a clip in the part test: rain.",
    ]


def test_a_recording_in_two_parts_is_named(tmp_path):
    part = clips(tmp_path, {"a": (noise(1), [0]), "b": (noise(2, 1.0), [1])})
    found = advice({"train": part, "test": part}, min_clips=1, quiet=True)
    assert found[0].startswith("Recordings in several parts, so that a test is no test: ") and "a.wav" in found[0]


def test_the_bytes_of_clips_in_a_table_are_read_clip_by_clip(tmp_path):
    rows = clips(tmp_path, {"one": (noise(1), [0]), "twin": (noise(1), [0])}).dataset().to_list()
    for row in rows:
        row["audio"] = {"path": None, "bytes": (tmp_path / f"{row['id']}.wav").read_bytes()}
    table = IndexedClips(Dataset.from_list(rows, features=tagging_features(Vocabulary(("dog", "rain")))))
    found = advice({"train": table}, min_clips=1, quiet=True)
    assert "Identical sounds under several names, in one part: one (train) = twin (train)." in found
