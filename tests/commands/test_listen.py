"""Raw samples on standard input have the tags of the same sound as a file, while they come."""

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from psla_hf import AudioTagger
from psla_hf.commands import run
from psla_hf.inference.layout import Windowing

RATE = 44100


class Pipe(io.RawIOBase):
    """Gives its bytes in pieces that are no multiples of a sample, first of all one byte."""

    def __init__(self, data: bytes):
        self.data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        piece = self.data.read(min(len(buffer), 4097 if self.data.tell() else 1))
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.fixture
def listen(saved_model, monkeypatch, capsys):
    def listen(data: bytes, *flags) -> str:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(Pipe(data))))
        run(["listen", saved_model, "-", *map(str, flags)])
        return capsys.readouterr().out

    return listen


@pytest.mark.parametrize(
    ("encoding", "kind", "full"), [("s16le", "<i2", 2**15), ("s32le", "<i4", 2**31), ("f32le", "<f4", 1)]
)
def test_samples_on_standard_input(listen, saved_model, encoding, kind, full):
    sound = (0.1 * np.random.default_rng(0).standard_normal((int(2.3 * RATE), 2))).astype(np.float32)
    data = (sound * full).astype(kind).tobytes()
    flags = ("--sampling-rate", RATE, "--channels", 2, "--encoding", encoding, "--hop-seconds", 0.5, "--jsonl")
    moments = [json.loads(line) for line in listen(data, *flags).splitlines()]
    tagger = AudioTagger.from_pretrained(saved_model, windowing=Windowing(hop_seconds=0.5))
    [recording] = tagger.recordings([sound], RATE)
    assert [moment["start"] for moment in moments] == pytest.approx(recording.starts)
    for moment, scores in zip(moments, recording.scores, strict=True):
        got = {tag["label"]: tag["score"] for tag in moment["tags"]}
        assert [got[label] for label in tagger.labels] == pytest.approx(scores.tolist(), abs=2e-3)


def test_an_answer_is_a_line(listen):
    lines = listen(bytes(16000 * 2 * 2), "--top-k", 1).splitlines()
    assert len(lines) == 3 and lines[0].startswith("0.0-1.0 s ") and len(lines[0].split()) == 4


@pytest.mark.parametrize(
    ("data", "flags", "message"),
    [
        (b"RIFF" + bytes(99), (), "Expected raw samples, got an audio file (RIFF…)"),
        (bytes(99), (), "the last has 1: are --encoding s16le and --channels 1"),
        (bytes(99), ("--channels", 0), "channels=0 (--channels 0)"),
        (np.full(20000, np.nan, "<f4").tobytes(), ("--encoding", "f32le"), "Expected finite samples"),
        (bytes(99), ("--hop-seconds", 0), "Expected windows of at most"),
        (b"", (), ""),
    ],
)
def test_what_is_no_sound_is_said(listen, capsys, data, flags, message):
    if not message:
        assert listen(data, *flags) == ""
        return
    with pytest.raises(SystemExit) as end:
        listen(data, *flags)
    assert end.value.code == 2 and message in capsys.readouterr().err
