"""What was heard, in the forms in which other programs read it."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from psla_hf.inference.outputs import Output, OutputFile, path_inside
from psla_hf.inference.recording import Recording
from psla_hf.inference.timeline import EventRule, Timeline

LABELS = ('dog, "big"', "rain")


def recording(name: str = "a.wav") -> Recording:
    scores = np.array([[0.9, 0.1], [0.2, 0.6]], np.float32)
    line = Timeline(scores, 0.5, 1.0, LABELS)
    return Recording(Path(name), 1.0, LABELS, np.array([0.0]), scores[:1], line)


def test_json_lines_hold_everything():
    one = json.loads(Output("jsonl", rule=EventRule(), timeline=True).text(recording()))
    assert one["file"] == "a.wav" and one["seconds"] == 1.0
    assert one["tags"] == [{"label": LABELS[0], "score": 0.9}, {"label": "rain", "score": 0.1}]
    assert [event["label"] for event in one["events"]] == list(LABELS)
    assert one["timeline"]["scores"] == [[0.9, 0.1], [0.2, 0.6]]
    assert "events" not in json.loads(Output("jsonl").text(recording()))


@pytest.mark.parametrize(
    ("settings", "head", "first"),
    [
        ({}, ["file", "label", "score"], ["a.wav", LABELS[0], "0.9000"]),
        (
            {"rule": EventRule()},
            ["file", "onset", "offset", "label", "score"],
            ["a.wav", "0.000", "0.500", LABELS[0], "0.9000"],
        ),
        ({"timeline": True}, ["file", "time", "label", "score"], ["a.wav", "0.250", LABELS[0], "0.9000"]),
    ],
)
def test_csv_is_quoted_as_readers_expect(settings, head, first):
    output = Output("csv", **settings)
    rows = list(csv.reader(io.StringIO(output.head() + output.text(recording()))))
    assert rows[:2] == [head, first]


def test_tables_of_events():
    rule = EventRule()
    assert Output("audacity", rule=rule).text(recording()).splitlines()[1] == "0.500\t1.000\train 0.60"
    raven = Output("raven", rule=rule).text(recording()).splitlines()
    assert raven[0].startswith("Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)")
    assert raven[2].split("\t") == ["2", "Spectrogram 1", "1", "0.500", "1.000", "0", "8000", "rain", "0.6000"]
    rttm = Output("rttm", rule=rule).text(recording()).splitlines()
    assert rttm[0] == 'SPEAKER a.wav 1 0.000 0.500 <NA> <NA> dog,_"big" 0.9000 <NA>'
    with pytest.raises(ValueError, match="no spaces"):
        Output("rttm", rule=rule).text(recording("my dog.wav"))


@pytest.mark.parametrize("name", ["a.wav", "über hund.wav", "odd\udcff.wav", 'quote".wav', "line\nfeed.wav"])
def test_names_are_exactly_the_files(name, tmp_path):
    file = OutputFile(Output("csv"), tmp_path / "tags.csv")
    file.write(recording(name))
    text = (tmp_path / "tags.csv").read_bytes().decode(errors="surrogateescape")
    assert next(csv.DictReader(io.StringIO(text)))["file"] == name
    assert json.loads(Output("jsonl").text(recording(name)))["file"] == name


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize("cut", range(1, 90, 7))
def test_resuming_repeats_what_a_kill_has_cut_and_nothing_else(form, cut, tmp_path):
    def write(path: Path, names: list[str], resume: bool = False) -> bytes:
        file = OutputFile(Output(form), path, resume)
        for name in names:
            if not file.has(name):
                file.write(recording(name))
        file.close()
        return path.read_bytes()

    names = [f"{letter}.wav" for letter in "abcde"]
    whole = write(tmp_path / "whole", names)
    for size in (len(whole) - cut, min(cut, 60) - 1):  # in the midst, and before the first recording is whole
        (tmp_path / "killed").write_bytes(whole[: max(0, size)])
        assert write(tmp_path / "killed", names, resume=True) == whole
    with pytest.raises(FileExistsError, match="resume=True"):
        OutputFile(Output(form), tmp_path / "killed")
    (tmp_path / "edited").write_bytes(whole + b"\n\n")  # an editor's empty lines
    assert write(tmp_path / "edited", names, resume=True).rstrip() == whole.rstrip()


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize(("then", "now"), [({}, {"rule": EventRule()}), ({"rule": EventRule()}, {"timeline": True})])
def test_what_was_begun_otherwise_is_not_gone_on_with(form, then, now, tmp_path):
    path = tmp_path / f"out.{form}"
    OutputFile(Output(form, **then), path).write(recording("a.wav"))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Resume as it was begun"):
        OutputFile(Output(form, **now), path, resume=True)
    path.with_suffix(".other").write_text('{"name": 1}\n' if form == "jsonl" else "name\n1\n")
    with pytest.raises(ValueError, match="other"):
        OutputFile(Output(form), path.with_suffix(".other"), resume=True)
    assert path.read_bytes() == before


def test_json_is_one_list_and_tables_are_a_file_each(tmp_path):
    file = OutputFile(Output("json"), tmp_path / "tags.json")
    for name in ("a.wav", "b.wav"):
        file.write(recording(name))
    file.close()
    assert [one["file"] for one in json.loads((tmp_path / "tags.json").read_text())] == ["a.wav", "b.wav"]
    tables = OutputFile(Output("raven", rule=EventRule()), tmp_path / "tables")
    tables.write(recording("day1/a.wav"))
    assert (tmp_path / "tables/day1/a.wav.selections.txt").exists() and tables.has("day1/a.wav")
    assert path_inside(tmp_path, "/data/../a.wav", ".png") == tmp_path / "data/a.wav.png"
    with pytest.raises(ValueError, match="to resume"):
        OutputFile(Output("json"), tmp_path / "tags.json", resume=True)
