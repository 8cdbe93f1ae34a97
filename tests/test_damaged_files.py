"""Whatever file is damaged: one error of ours that names it, never another library's, and no hang."""

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import soundfile
import torch
import yaml

from psla_hf.audio import audio_seconds, read_audio
from psla_hf.commands.settings import read_settings
from psla_hf.data.load import load_audioset, load_tagging_dataset
from psla_hf.data.shards.prepare import verify
from psla_hf.enhancement.label_set import LabelSet, label_set_features
from psla_hf.files import read_json, reading
from psla_hf.labels.ontology import Ontology
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.models.weights import convert_psla_checkpoint
from psla_hf.teachers.scores import open_scores, saved_teacher
from psla_hf.training.run.folder import read_curve, read_epochs, read_results
from psla_hf.training.run.state import load_checkpoint
from tests.limits import refusal

IDS = ["a", "b", "c"]
CLASSES = Vocabulary(("dog", "cat"))


def of_bytes(save: Callable, *content) -> bytes:
    stream = io.BytesIO()
    save(*content, stream) if save is not np.save else save(stream, *content)
    return stream.getvalue()


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in (("a.wav", b"RIFF"), ("a.json", b'{"labels": ["dog"]}')):
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return stream.getvalue()


SCORES = of_bytes(pq.write_table, pa.table({"id": IDS, "scores": [[0.1, 0.2]] * 3}))
AUDIO = pa.array([{"bytes": b"RIFF", "path": "a.wav"}] * 3)
SHARD = of_bytes(pq.write_table, pa.table({"id": IDS, "audio": AUDIO, "labels": [["dog"]] * 3}))
LABELS = of_bytes(
    pq.write_table,
    pa.table({"id": IDS, "labels": [[0]] * 3, "enhanced_labels": [[0, 1]] * 3, "added": [[]] * 3}).cast(
        label_set_features(CLASSES).arrow_schema
    ),
)
ROWS = b'{"id": 1, "file": "a.wav", "labels": "dog"}\n{"id": 2, "file": "a.wav", "labels": ["dog", "cat"]}\n'
SECTION = {"inputs": {}, "clips": 0, "listed": 0, "dropped": [], "shards": []}
NAMES = {"names": ["dog"], "mids": ["/m/1"], "fingerprint": "abc"}
MANIFEST = json.dumps({"splits": {"train": SECTION}, "vocabulary": NAMES, "sampling_rate": 16000}).encode()
SEGMENTS = b'# A list\n# of\n# segments\n--aaaaaaaaa, 0.000, 10.000, "dog"\n'


def scores(path: Path) -> np.ndarray:
    return open_scores(path, IDS, 2, path.parent)[:]


def shards(path: Path) -> list[dict]:
    return list(load_tagging_dataset(path, vocabulary=CLASSES, streaming=True, quiet=True))


def segments(path: Path) -> object:
    return load_audioset(path.parent, segments=path, vocabulary=CLASSES, quiet=True)


NOISE = np.random.default_rng(0).normal(0, 0.1, 1600)
SOUND = of_bytes(lambda stream: soundfile.write(stream, NOISE, 16000, format="WAV"))

# What lies beside a file, for those that refer to it.
COMPANIONS = {
    **dict.fromkeys(("a.wav", "Y--aaaaaaaaa.wav"), SOUND),
    "vocabulary.csv": b"index,mid,display_name\n0,/m/1,dog\n1,/m/2,cat\n",
}

# name of the file, its content, what reads it
READERS: dict[str, tuple[str, bytes, Callable[[Path], object]]] = {
    "JSON": ("content.json", b'{"clips": "abc"}', read_json),
    "ontology": ("ontology.json", b'[{"id": "a"}]', Ontology.from_json),
    "classes": ("classes.csv", b"index,mid,display_name\n0,/m/1,dog\n", Vocabulary.from_csv),
    "settings": ("run.yaml", b"epochs: 2\nrecipe: esc10\n", read_settings),
    "settings as TOML": ("run.toml", b'epochs = 2\nrecipe = "esc10"\n', read_settings),
    "results": ("results.json", b'{"results": {}}', lambda path: read_results(path.parent)),
    "curve": ("averaging_curve.json", b'{"rows": [{"epoch": 1}]}', lambda path: read_curve(path.parent)),
    "log": ("metrics.jsonl", b'{"epoch": 1}\n{"epoch": 2}\n', lambda path: read_epochs(path.parent)),
    "scores .npy": ("scores.npy", of_bytes(np.save, np.ones((3, 2), np.float32)), scores),
    "scores .parquet": ("scores.parquet", SCORES, scores),
    "scores .csv": ("scores.csv", b"0.1,0.2\n" * 3, scores),
    "teacher": ("scores.json", b'{"teacher": "abc"}', lambda path: saved_teacher(path.parent)),
    "label set": ("labels.parquet", LABELS, lambda path: LabelSet.open(path.parent)),
    "weights": ("weights.pth", of_bytes(torch.save, {"a": torch.ones(3)}), convert_psla_checkpoint),
    "training state": ("state", of_bytes(torch.save, {"epoch": 1}), lambda path: load_checkpoint(path.parent, "state")),
    "shard": ("train-0.parquet", SHARD, shards),
    "tar": ("train-0.tar", tar(), shards),
    "manifest": ("manifest.json", MANIFEST, lambda path: verify(path.parent)),
    "JSON lines": ("clips.jsonl", ROWS, lambda path: load_tagging_dataset(path, quiet=True)),
    "CSV": ("clips.csv", b'file,labels\na.wav,"dog"\n', lambda path: load_tagging_dataset(path, quiet=True)),
    "segments": ("eval_segments.csv", SEGMENTS, segments),
    "sound": ("sound.wav", SOUND, lambda path: (audio_seconds(path), read_audio(path, 16000))),
    "PSLA's list": ("train.json", b'{"data": [{"wav": "a.wav", "labels": "dog"}]}', segments),
}


WRONG = (b"", b"\0" * 64, b"\xff\xfe\xfd" * 40, b"[]", b"null", b"7", b'{"a": {"b": []}}', b"[" * 100_000, b"PAR1" * 20)


@pytest.mark.parametrize("kind", READERS)
def test_a_file_of_something_else_is_one_error_that_names_it(kind, tmp_path):
    name, _, read = READERS[kind]
    for damaged in WRONG:
        path = tmp_path / name
        path.write_bytes(damaged)
        refusal(read, path)


def patched(content: bytes, place: int, number: bytes) -> bytes:
    return content[:place] + number + content[place + len(number) :]


def zip_of(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"archive/{name.replace('_', '.')}", content)
    return stream.getvalue()


FLAC = of_bytes(lambda stream: soundfile.write(stream, NOISE, 16000, format="FLAC"))
AU = of_bytes(lambda stream: soundfile.write(stream, NOISE, 16000, format="AU"))
FLOATS = of_bytes(lambda stream: soundfile.write(stream, NOISE * 1e30, 16000, format="WAV", subtype="FLOAT"))
NPY_HEAD = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3000000000000, 2), }"

# kind, content: what claims more than it holds, or holds more than it seems
HOSTILE = {
    "a wav of 2 GB": ("sound", patched(SOUND, 40, struct.pack("<I", 2**31 - 1))),
    "a wav of 65,535 channels": ("sound", patched(SOUND, 22, struct.pack("<H", 65535))),
    "a wav at 1 Hz": ("sound", patched(SOUND, 24, struct.pack("<I", 1))),
    "a wav at 4 GHz": ("sound", patched(SOUND, 24, struct.pack("<I", 2**32 - 1))),
    "a wav of samples at 1e30": ("sound", FLOATS),
    "a flac of 2^36 samples": ("sound", patched(FLAC, 21, bytes([FLAC[21] | 0x0F]) + b"\xff" * 4)),
    "an au of 4 GB": ("sound", patched(AU, 8, b"\xff" * 4)),
    "an array of 24 TB": ("scores .npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(NPY_HEAD)) + NPY_HEAD),
    "a zip bomb as weights": ("weights", zip_of(data_pkl=bytes(1 << 31), version=b"3")),
    "a zip bomb as a state": ("training state", zip_of(data_pkl=bytes(1 << 31), version=b"3")),
    "deep JSON": ("ontology", b"[" * 10_000_000),
    "deep JSON lines": ("JSON lines", b'{"a":' * 2_000_000),
    "a number of a million digits": ("PSLA's list", b'{"data": [' + b"9" * 1_000_000 + b"]}"),
    "a tar of 8 GB": ("tar", patched(tar(), 124, b"77777777777")),
    "a CSV of one field": ("CSV", b"file,labels\n" + b"a" * 50_000_000),
    "a name of 5,000 letters": ("CSV", b"file,labels\n" + b"a" * 5_000 + b",dog\n"),
    "a CSV of commas": ("CSV", b"," * 5_000_000),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_takes_neither_ten_seconds_nor_a_gigabyte(case, tmp_path):
    kind, content = HOSTILE[case]
    name, _, read = READERS[kind]
    (tmp_path / name).write_bytes(content)
    refusal(read, tmp_path / name)


def test_a_missing_file_and_a_failing_server_are_no_damage(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "absent.json")
    with pytest.raises(ConnectionError, match="gone"), reading("http://server/a", "a parquet file"):
        raise ConnectionError("gone")


def test_a_bomb_of_aliases_is_one_short_line(tmp_path):
    path = tmp_path / "laughs.yaml"
    path.write_text("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n")
    with pytest.raises(ValueError, match=r"laughs\.yaml.*expected no aliases"):
        read_settings(path)
    path.write_text(yaml.safe_dump({"epochs": json.loads("[" * 12 + "]" * 12)}))
    with pytest.raises(ValueError, match=r"laughs\.yaml: expected a word.* got \[+\.\.\.") as refused:
        read_settings(path)
    assert len(str(refused.value)) < 300


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("ragged.parquet", lambda path, place: open_scores(path, [f"c{i}" for i in range(5)], 3, place)),
        ("wrap.parquet", lambda path, place: load_tagging_dataset(path, vocabulary=CLASSES)),
        ("laughs.yaml", lambda path, place: read_settings(path)),
        ("scores-list.json", lambda path, place: read_json(path)),
        ("inf.npy", lambda path, place: open_scores(path, list("abcde"), 3, place)[:]),
    ],
)
def test_hostile_files_are_refused_by_name(shared, tmp_path, name, read):
    with pytest.raises(ValueError, match=name):
        read(shared / "cases" / "hostile" / name, tmp_path)


def test_weights_that_are_no_safetensors_are_named(tmp_path, saved_model):
    from psla_hf.aggregation.members import Member

    path = saved_model / "model.safetensors"
    for content in (b"", b"\xff" * 40, safetensors.numpy.save({"a": np.ones(3)})[:-4]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"Expected weights as safetensors in .*model\.safetensors"):
            Member(str(saved_model), path).load()
