"""Files of every kind, damaged at random: read to something sensible, or refused in one line that names them.

`make test` draws the same damage every time, for about a minute. `make fuzz MINUTES=10` draws other damage for longer.
"""

import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from psla_hf import AudioTagger
from psla_hf.audio import SHORT_SECONDS, audio_seconds, decode_audio, is_cut_short
from tests.limits import refusal
from tests.test_damaged_files import COMPANIONS, READERS

MINUTES = int(os.environ.get("FUZZ_MINUTES", "1"))

NUMBERS = [
    number.to_bytes(size, order)
    for size in (1, 2, 4, 8)
    for number in (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1, 2 ** (6 * size))
    for order in ("little", "big")
]
MARKS = list("'\"\n\r\t;,#é\0")
WORDS = [
    "",
    "0",
    "-1",
    "1e999",
    "NaN",
    "null",
    "true",
    "[]",
    "{}",
    "9" * 30,
    "{" * 5000,
    "../" * 10,
    "x" * 5000,
    *MARKS,
]

Damage = Callable[[bytes, int, int], bytes]  # content, a place in it, a number → the content damaged


def repeat(content: bytes, place: int, number: int) -> bytes:
    piece = content[place : place + number]
    return content[:place] + piece * 2 + content[place + number :]


def set_number(content: bytes, place: int, number: int) -> bytes:
    fresh = NUMBERS[number % len(NUMBERS)]
    return content[:place] + fresh + content[place + len(fresh) :]


def set_word(content: bytes, place: int, number: int) -> bytes:
    """Another word, or another mark, in place of the next one."""
    word = re.compile(rb"[\w.+-]+|[^\w]").search(content, place)
    fresh = WORDS[number % len(WORDS)].encode()
    return content[: word.start()] + fresh + content[word.end() :] if word else content + fresh


DAMAGES: tuple[Damage, ...] = (
    lambda content, place, number: content[:place],
    lambda content, place, number: content[:place] + content[place + 1 + number :],
    lambda content, place, number: content[:place] + bytes([number % 256]) * (1 + number // 256) + content[place:],
    lambda content, place, number: content[:place] + bytes([number % 256]) + content[place + 1 :],
    repeat,
    set_number,
    set_word,
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with one to four damages, half of them near its beginning or its end, where headers are."""
    for _ in range(draw(st.integers(1, 4))):
        near, end = st.integers(0, min(len(content), 100)), len(content)
        place = draw(st.sampled_from((near, near.map(end.__sub__), st.integers(0, end))).flatmap(lambda places: places))
        content = draw(st.sampled_from(DAMAGES))(content, place, draw(st.integers(0, 2000)))
    return content


def hold(read: Callable[[Path], object], path: Path, content: bytes, examples: int) -> None:
    """Damage a file again and again, and see that it is read or refused as it should be."""

    @settings(
        max_examples=examples * MINUTES,
        derandomize="FUZZ_MINUTES" not in os.environ,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(content))
    def holds(fresh: bytes) -> None:
        path.write_bytes(fresh)
        refusal(read, path)

    path.write_bytes(content)
    assert refusal(read, path) is None or path.suffix == ".pth"  # which would be large, were it a model's
    holds()


@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_file_of_data_is_read_or_refused(kind, tmp_path):
    name, content, read = READERS[kind]
    for companion, text in COMPANIONS.items():
        (tmp_path / companion).write_bytes(text)
    hold(read, tmp_path / name, content, 60)


def read_sound(path: Path) -> None:
    """Decode a file by path and by its bytes: one answer, finite, as long as is said or flagged as cut."""
    samples, rate = decode_audio(path)
    assert samples.dtype == np.float32 and len(samples) and np.isfinite(samples).all() and 1000 <= rate <= 1_000_000
    of_bytes, rate_of_bytes = decode_audio(path.read_bytes())
    assert rate_of_bytes == rate and np.array_equal(of_bytes, samples)
    seconds = len(samples) / rate
    if audio_seconds(path) > seconds + 2 * SHORT_SECONDS:  # once of the header, once of the decoder
        assert is_cut_short(path.read_bytes(), seconds), (audio_seconds(path), seconds)


FORMS = {  # of audio, by libsndfile's names
    "wav": {"format": "WAV"},
    "float wav": {"format": "WAV", "subtype": "FLOAT"},
    "adpcm wav": {"format": "WAV", "subtype": "MS_ADPCM"},
    "flac": {"format": "FLAC"},
    "ogg": {"format": "OGG"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3"},
    "aiff": {"format": "AIFF"},
    "au": {"format": "AU"},
    "caf": {"format": "CAF"},
    "w64": {"format": "W64"},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_sound_is_decoded_or_refused(form, tmp_path):
    stream, noise = io.BytesIO(), np.random.default_rng(0).normal(0, 0.1, (8000, 2))
    soundfile.write(stream, noise, 16000, **FORMS[form])
    hold(read_sound, tmp_path / f"sound.{form.split()[-1]}", stream.getvalue(), 120)


@pytest.mark.parametrize(
    ("name", "examples"), [("config.json", 40), ("preprocessor_config.json", 60), ("model.safetensors", 40)]
)
def test_a_damaged_model_tags_or_is_refused(name, examples, saved_model):
    sound = np.random.default_rng(0).normal(0, 0.1, 16000)

    def tag(path: Path) -> None:
        """Finite scores, or none."""
        tags = AudioTagger.from_pretrained(path.parent)(sound, 16000)
        assert tags and all(0 <= tag["score"] <= 1 for tag in tags), tags

    hold(tag, saved_model / name, (saved_model / name).read_bytes(), examples)
