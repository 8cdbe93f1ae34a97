"""The tagger that comes with the package: who names no model has it, it says what it knows, and is silent otherwise."""

import csv
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from safetensors import safe_open

from psla_hf import AudioTagger
from psla_hf.commands import run
from psla_hf.commands.arguments import STDIN
from psla_hf.commands.sounds import names_a_sound
from psla_hf.models.saved import SHIPPED

RATE = 16000
KNOWN = "chainsaw, clock_tick, crackling_fire, crying_baby, dog, helicopter, rain, rooster, sea_waves, sneezing"


@pytest.fixture(scope="module")
def tagger() -> AudioTagger:
    return AudioTagger.from_pretrained()


def refused(*words: str) -> None:
    with pytest.raises(SystemExit) as end:
        run(list(words))
    assert end.value.code == 2


def test_a_file_alone_is_tagged_by_it(shared, capsys, caplog):
    run(["tag", str(shared / "esc10" / "audio" / "1-100032-A.ogg")])
    printed = capsys.readouterr().out
    assert "│ dog " in printed and "rooster" not in printed
    assert f"It knows 10 sounds, {KNOWN}, and nothing else." in caplog.text


def test_what_reaches_no_threshold_is_not_shown_but_can_be_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    soundfile.write("silence.wav", np.zeros(5 * RATE), RATE)
    run(["tag", "silence.wav", "--format", "csv", "--output", "tags.csv"])
    assert len(Path("tags.csv").read_text().splitlines()) == 1
    run(["tag", "silence.wav", "--top-k", "10", "--format", "csv", "--output", "all.csv"])
    assert len(Path("all.csv").read_text().splitlines()) == 11


def test_words_that_are_sounds_and_words_that_are_models(tmp_path, monkeypatch, saved_model):
    monkeypatch.chdir(tmp_path)
    Path("sounds").mkdir()
    soundfile.write("sounds/a.wav", np.zeros(RATE), RATE)
    Path("empty").mkdir()
    Path("exported").mkdir()
    Path("exported/config.json").write_text("{}")
    soundfile.write("exported/example.wav", np.zeros(RATE), RATE)
    Path("notes.dat").write_bytes(b"")
    Path("model.pth").write_bytes(b"")
    expected = {
        STDIN: True,
        "sounds": True,
        "sounds/a.wav": True,
        "sounds/*.wav": True,
        "missing.MP3": True,  # that is what its error is to be about
        "notes.dat": True,
        "model.pth": False,
        "empty": False,
        "exported": False,
        str(saved_model): False,
        "owner/name": False,
        "runs/esc10": False,
    }
    assert {word: names_a_sound(word) for word in expected} == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["typo.wav"], "There is no audio file typo.wav"),
        (["MODEL"], "Expected audio files to tag: psla tag"),
        (["dog.wav", "--backend", "onnx"], "Expected the folder of an exported model before the files"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, monkeypatch, saved_model, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    soundfile.write("dog.wav", np.zeros(RATE), RATE)
    refused("tag", *(str(saved_model) if word == "MODEL" else word for word in words))
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and message in error


def test_raw_samples_are_heard_without_a_model_too(monkeypatch, capsys, caplog):
    samples = io.BytesIO(np.zeros(6 * RATE, "<i2").tobytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(samples)))
    run(["listen", "-", "--top-k", "1"])
    assert capsys.readouterr().out.splitlines()[0].startswith("0.0-5.1 s") and KNOWN in caplog.text


def test_it_is_small_whole_and_computes_in_full_precision(tagger):
    files = {path.name for path in SHIPPED.iterdir()}
    assert files == {"README.md", "config.json", "model.safetensors", "preprocessor_config.json"}
    assert (SHIPPED / "model.safetensors").stat().st_size < 8e6
    with safe_open(SHIPPED / "model.safetensors", "pt") as weights:
        kinds = {str(weights.get_slice(name).get_dtype()) for name in weights.keys() if "conv" in name}  # noqa: SIM118
    assert "F16" in kinds
    assert {str(weight.dtype) for weight in tagger.model.parameters()} == {"torch.float32"}
    assert ", ".join(sorted(tagger.labels)) == KNOWN and list(tagger.thresholds) == list(tagger.labels)


def test_it_finds_the_ten_and_is_silent_about_noise(tagger, shared):
    with (shared / "esc10" / "esc10.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["take"] == "A"][::8]
    found = tagger([shared / "esc10" / "audio" / row["filename"] for row in rows], threshold="auto")
    hits = [any(tag["label"] == row["category"] for tag in tags) for row, tags in zip(rows, found, strict=True)]
    assert len(hits) > 30 and np.mean(hits) > 0.9
    noise = np.random.default_rng(0).standard_normal(5 * RATE).astype(np.float32)
    quiet = [0 * noise, 1e-4 * noise, np.full(5 * RATE, 0.1, np.float32)]
    assert tagger(quiet, RATE, threshold="auto") == [[], [], []]


def test_its_card_credits_everybody_but_who_is_left_out(shared):
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    with (shared / "esc10" / "ATTRIBUTION.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    for row in rows:
        assert (row["source"] in card) == (row["license"] != "CC-Sampling+"), row["filename"]
        assert row["author"] in card or row["license"] == "CC-Sampling+"
    assert all(f"{row['filename']}]" not in card for row in rows if row["license"] == "CC-Sampling+")
