"""The page of plain files computes in the browser what Python computes, and sends nothing anywhere."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from psla_hf import AudioTagger
from psla_hf.audio import read_audio
from psla_hf.commands import run
from tests.conftest import CATEGORIES, missing
from tests.serving import serving

from .conftest import save_tagger

RATE = 16000
TOLERANCE = 1e-3  # float32 in another order; a tenth of it is usual


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a model and its page; npm fetches the runtime."""
    if shutil.which("npm") is None:
        missing("there is no npm; on Debian: apt-get install npm")
    folder = tmp_path_factory.mktemp("place")
    save_tagger(folder / "model")
    run(["export", str(folder / "model"), "--format", "web", "--output", str(folder / "web")])
    return folder


@pytest.fixture(scope="module")
def address(place) -> Iterator[str]:
    with serving(place / "web") as address:
        yield address


def write_sound(path: Path, shared: Path, seconds: float) -> Path:
    """Real clips one after the other, as a WAV of 16 kHz."""
    clips = sorted((shared / "esc10" / "audio").iterdir())[:40:10]
    sound = np.concatenate([read_audio(clip, RATE) for clip in clips])
    soundfile.write(path, sound[: int(seconds * RATE)], RATE)
    return path


SCORES = """async () => {
  const { Tagger } = await import("./tagger.js");
  const tagger = await Tagger.load();
  const encoded = await document.getElementById("file").files[0].arrayBuffer();
  let heard;
  for await (heard of tagger.hear(await tagger.decode(encoded)));
  return [[...heard.probabilities], heard.scores.map((step) => [...step]), heard.stepSeconds];
}"""


# Shorter than a window (of two seconds), a little longer, several windows.
@pytest.mark.parametrize("seconds", [0.6, 2.1, 13.3])
def test_the_browser_computes_what_python_does(address, opened, place, shared, tmp_path, seconds):
    file = write_sound(tmp_path / "sound.wav", shared, seconds)
    watched = opened(address)
    expect(watched.page.get_by_label("Sound")).to_be_enabled()
    watched.page.set_input_files("input[type=file]", file)
    probabilities, scores, step_seconds = watched.page.evaluate(SCORES)
    [recording] = AudioTagger.from_pretrained(place / "model", "cpu").recordings([file], timeline=True)
    np.testing.assert_allclose(probabilities, recording.clip_scores(), atol=TOLERANCE)
    np.testing.assert_allclose(scores, recording.timeline.scores, atol=TOLERANCE)
    assert step_seconds == pytest.approx(recording.timeline.step_seconds)
    expect(watched.page.get_by_role("status")).to_have_text(f"sound.wav, {seconds:.1f} s")
    for label, score in zip(recording.labels, recording.clip_scores(), strict=True):
        meter = watched.page.get_by_role("meter", name=label)
        assert float(meter.get_attribute("value")) == pytest.approx(score, abs=TOLERANCE)
    assert not watched.errors and not watched.foreign


def test_a_sound_can_be_recorded(address, opened):
    watched = opened(address, width=390)
    watched.page.get_by_role("button", name="Record").click()
    watched.page.get_by_role("button", name="Stop").wait_for()
    watched.page.wait_for_timeout(1500)
    watched.page.get_by_role("button", name="Stop").click()
    expect(watched.page.get_by_role("meter")).to_have_count(len(CATEGORIES))
    expect(watched.page.get_by_role("status")).to_contain_text("The recording, ")
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not watched.errors and not watched.foreign


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "it is empty"), (b"no sound", "the browser cannot decode it as audio")]
)
def test_what_is_refused_is_said_on_the_page(address, opened, tmp_path, content, message):
    (tmp_path / "notes.wav").write_bytes(content)
    watched = opened(address)
    expect(watched.page.get_by_label("Sound")).to_be_enabled()
    watched.page.set_input_files("input[type=file]", tmp_path / "notes.wav")
    expect(watched.page.get_by_role("alert")).to_have_text(f"notes.wav could not be tagged: {message}.")


def test_a_folder_that_is_not_the_runtime_is_refused(place, tmp_path, capsys):
    words = ["export", str(place / "model"), "--output", str(tmp_path / "web"), "--onnxruntime-web", str(tmp_path)]
    for flags, message in (
        (["web"], "Expected dist/ort.wasm.min.mjs in"),
        (["onnx"], "it needs --format web"),
        (["web", "--front-end"], "it is always inside"),
    ):
        with pytest.raises(SystemExit):
            run([*words, "--format", *flags])
        assert message in capsys.readouterr().err
    assert not (tmp_path / "web").exists()
