"""`psla tag` over files, folders and patterns: one bad file stops nothing, and what is written is whole."""

import csv
import io
import json
import os
import shutil
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from psla_hf.commands import run

RATE = 16000
FILES = ("a.wav", "b.flac", "deep/c.ogg")


@pytest.fixture
def sounds(tmp_path, monkeypatch) -> Path:
    """Three sounds of different lengths, and none in `bad`."""
    monkeypatch.chdir(tmp_path)
    for k, name in enumerate(FILES):
        path = tmp_path / "sounds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.random.default_rng(k).standard_normal(RATE * (k + 1)), RATE)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "text.wav").write_text("no sound")
    (tmp_path / "bad" / "empty.wav").write_bytes(b"")
    soundfile.write(tmp_path / "bad" / "nan.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    return tmp_path


@pytest.fixture
def tag(saved_model, capsys):
    def tag(*words, status: int = 0) -> tuple[str, str]:
        if status:
            with pytest.raises(SystemExit) as end:
                run(["tag", saved_model, *words])
            assert end.value.code == status
        else:
            run(["tag", saved_model, *words])
        return capsys.readouterr()

    return tag


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (["sounds"], FILES[:2]),
        (["sounds", "--recursive"], FILES),
        (["sounds/*.wav", "sounds/deep"], (FILES[0], FILES[2])),
        (["sounds/**/*.ogg"], FILES[2:]),
    ],
)
def test_files_folders_and_patterns(tag, sounds, words, files):
    lines = [json.loads(line) for line in tag(*words, "--format", "jsonl")[0].splitlines()]
    assert [line["file"] for line in lines] == [f"sounds/{name}" for name in files]


def test_standard_input(tag, sounds, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO((sounds / "sounds/a.wav").read_bytes())))
    piped, file = (json.loads(tag(name, "--format", "jsonl")[0]) for name in ("-", "sounds/a.wav"))
    assert piped["tags"] == file["tags"]


@pytest.mark.parametrize(
    ("flags", "columns"),
    [
        ((), ["file", "label", "score"]),
        (("--events", "--threshold", "0.4"), ["file", "onset", "offset", "label", "score"]),
        (("--timeline",), ["file", "time", "label", "score"]),
    ],
)
def test_a_table_is_written_by_the_ending_of_its_name(tag, sounds, flags, columns):
    tag("sounds", "--output", "out.csv", *flags)
    rows = list(csv.reader((sounds / "out.csv").open(newline="")))
    assert rows[0] == columns and {row[0] for row in rows[1:]} == {f"sounds/{name}" for name in FILES[:2]}


def test_bad_files_are_named_and_the_others_tagged(tag, sounds):
    printed = tag("bad", "sounds", "--format", "jsonl", "--output", "out.jsonl", status=2)
    errors = printed.err.splitlines()
    for name in ("bad/text.wav", "bad/empty.wav", "bad/nan.wav"):
        assert sum(name in error and error.startswith("error: ") for error in errors) == 1
    assert errors[-1] == "error: 3 of 5 files could not be tagged."
    assert [json.loads(line)["file"] for line in (sounds / "out.jsonl").open()] == ["sounds/a.wav", "sounds/b.flac"]
    printed = tag("bad", "sounds", "--format", "jsonl", "--on-error", "stop", status=2)
    assert not printed.out and len(printed.err.splitlines()) == 1


def test_resuming_passes_over_what_is_there(tag, sounds):
    tag("sounds/a.wav", "--output", "out.jsonl")
    before = (sounds / "out.jsonl").read_text()
    assert "resume" in tag("sounds", "--output", "out.jsonl", status=2).err
    tag("sounds", "--output", "out.jsonl", "--resume")
    after = (sounds / "out.jsonl").read_text()
    assert after.startswith(before) and len(after.splitlines()) == 2


def test_every_sound_of_a_folder_is_tagged_or_named(tag, sounds):
    odd = os.fsdecode(b"sounds/odd\xff.wav")
    shutil.copy(sounds / "sounds/a.wav", odd)
    (sounds / "sounds" / "link.wav").symlink_to("nowhere.wav")
    printed = tag("sounds", "--output", "out.csv", status=2)
    assert "link.wav" in printed.err and "1 of 4 files" in printed.err
    assert os.fsencode(odd) in (sounds / "out.csv").read_bytes()


def test_a_pattern_passes_over_folders_without_sounds(tag, sounds):
    (sounds / "sounds" / "empty.wav").mkdir()
    tag("sounds/*.wav", "--output", "out.jsonl")
    assert [json.loads(line)["file"] for line in (sounds / "out.jsonl").open()] == ["sounds/a.wav"]


def test_a_file_that_is_cut_and_one_far_too_loud_are_warned_of(tag, sounds, caplog):
    whole = (sounds / "sounds/a.wav").read_bytes()
    (sounds / "cut.wav").write_bytes(whole[: len(whole) // 2])
    soundfile.write(sounds / "loud.wav", 3000 * np.random.default_rng(0).standard_normal(RATE), RATE, subtype="FLOAT")
    printed = tag("cut.wav", "loud.wav", "sounds/a.wav", "--output", "out.csv")
    said = printed.err + caplog.text
    assert "cut.wav ends before its header says" in said and "loud.wav reaches" in said and "a.wav ends" not in said


def test_a_pipe_is_a_sound(tag, sounds):
    os.mkfifo(sounds / "pipe")
    content = (sounds / "sounds/a.wav").read_bytes()
    writer = threading.Thread(target=lambda: (sounds / "pipe").write_bytes(content), daemon=True)
    writer.start()
    tag("pipe", "--output", "out.csv")
    writer.join()
    assert (sounds / "out.csv").read_text().count("pipe,") == 3


def test_a_picture_beside_it_changes_nothing_of_what_is_written(tag, sounds):
    for form in ("csv", "json"):
        tag("sounds/a.wav", "--output", f"alone.{form}")
        tag("sounds/a.wav", "--output", f"drawn.{form}", "--plot", f"{form}.png")
        assert (sounds / f"alone.{form}").read_bytes() == (sounds / f"drawn.{form}").read_bytes()


def test_tables_and_pictures_of_several_files_lie_in_folders(tag, sounds):
    tag(
        "sounds",
        "--recursive",
        "--format",
        "audacity",
        "--threshold",
        "0.4",
        "--output",
        "labels",
        "--plot",
        "pictures",
    )
    for name in FILES:
        assert (sounds / "labels" / "sounds" / f"{name}.txt").is_file()
        assert (sounds / "pictures" / "sounds" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gone.wav",), "gone.wav"),
        (("sounds/*.mp3",), "No file fits sounds/*.mp3"),
        (("sounds", "--output", "out.txt"), "Choose a --format for out.txt"),
        (("sounds", "--format", "raven"), "Expected --output FOLDER for 2 files"),
        (("sounds", "--resume"), "--output"),
        (("sounds", "--top-k", "9"), "top_k from 1 to 3"),
        (("sounds", "--hop-seconds", "7"), "at most 0.99"),
        (("sounds/a.wav", "--thresold", "1"), "Did you mean --threshold"),
        (("bad",), "3 of 3 files could not be tagged"),
        ((".",), "Pass --recursive"),
        (("sounds/a.wav", "--device", "cuda:7"), "Expected a device of this machine"),
        (("sounds/a.wav", "--hop-seconds", "inf"), "hop_seconds above 0"),
        (("sounds", "--events", "--timeline", "--format", "csv"), "Take --format jsonl for both"),
        (("~nobody/b.wav",), "~nobody/b.wav"),
        (("sounds/a.wav", "--low", "0.3"), "have no effect without --events"),
        (("sounds/a.wav", "--window-seconds", "0.5"), "no effect without --events"),
        (("sounds/a.wav", "--timeline"), "Take --format jsonl or csv"),
        (("sounds/a.wav", "--plot", "out.jpg"), "name a .png"),
        (("sounds", "--plot", "bad/text.wav"), "Expected a folder as --plot for 2 files"),
        (("gone.wav", "--output", "out.csv"), "gone.wav"),
        (("gone.wav", "--output", "out.json"), "gone.wav"),
        (("-", "--plot", "out.png"), "Save it to a file first"),
        (("-", "--output", "out.csv", "--resume"), "Save it to a file first"),
        (("sounds/a.wav", "../sounds/a.wav", "--plot", "out"), "would be written to one file"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(tag, sounds, words, message):
    before = sorted(sounds.rglob("*"))
    printed = tag(*words, status=2)
    assert message in printed.err.splitlines()[-1] and not printed.out
    assert sorted(sounds.rglob("*")) == before


def test_no_class_above_the_threshold_is_no_error(tag, sounds):
    assert json.loads(tag("sounds/a.wav", "--format", "jsonl", "--threshold", "1")[0])["tags"] == []
    assert tag("sounds/a.wav", "--events", "--threshold", "1")[0]
