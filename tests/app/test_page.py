"""The page tags what is uploaded and recorded as Python does, says clearly what it refuses, and fetches nothing."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Locator, expect

from psla_hf import AudioTagger
from psla_hf.app.analysis import Limits, analyse, load_taggers, named
from psla_hf.app.page import make_page
from psla_hf.commands import run
from tests.conftest import CATEGORIES

from .conftest import Watched, save_tagger, served

LONGEST = 0.1  # minutes
RATE = 16000


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with two models and two sounds to try."""
    folder = tmp_path_factory.mktemp("place")
    save_tagger(folder / "first")
    save_tagger(folder / "second")
    (folder / "sounds").mkdir()
    for name in ("low", "high"):
        soundfile.write(folder / "sounds" / f"{name}.wav", noise(1), RATE)
    return folder


@pytest.fixture(scope="module")
def address(place, browser):
    words = ["-m", "psla_hf.commands", "app", "first", "second", "--examples", "sounds"]
    with served([*words, "--max-minutes", str(LONGEST), "--max-megabytes", "1"], place) as address:
        yield address


def noise(seconds: float) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(int(seconds * RATE)).astype(np.float32)


def upload(watched: Watched, file: Path) -> None:
    watched.page.get_by_text("Download events").wait_for()  # the last of the page: before, it may miss the file
    watched.page.wait_for_timeout(500)
    watched.page.set_input_files("input[type=file]", file)


def shown_tags(watched: Watched) -> dict[str, int]:
    """Labels and per cent."""
    watched.page.locator("#picture img").wait_for()
    text = watched.page.locator("#tags").inner_text()
    return {label: int(per_cent) for label, per_cent in re.findall(r"(\w+)\s+(\d+)%", text)}


def cell(watched: Watched, text: str) -> Locator:
    """Of the table of events."""
    return watched.page.locator("#events").get_by_role("gridcell", name=text, exact=True)


@pytest.fixture(scope="module")
def clip(shared) -> Path:
    return shared / "esc10" / "audio" / "1-100032-A.ogg"


def test_a_clip_has_the_tags_and_the_events_that_python_finds(address, opened, place, clip):
    watched = opened(address)
    upload(watched, clip)
    analysis = analyse(AudioTagger.from_pretrained(place / "first"), clip, Limits())
    assert shown_tags(watched) == pytest.approx(
        {label: 100 * score for label, score in analysis.tags().items()}, abs=0.51
    )
    with watched.page.expect_download() as download:
        watched.page.get_by_text("Download events").click()
    analysis.write_events(place / "events.csv", 0.5)
    assert download.value.path().read_text() == (place / "events.csv").read_text()
    events = analysis.events(0.5)
    assert events
    for event in events:
        expect(cell(watched, f"{event.score:.3f}").first).to_be_visible()
    assert not watched.errors and not watched.foreign


def test_the_threshold_and_the_model_are_chosen_on_the_page(address, opened, clip):
    watched = opened(address)
    upload(watched, clip)
    before = shown_tags(watched)
    watched.page.get_by_label("Model").click()
    watched.page.get_by_role("option", name="second").click()
    watched.page.get_by_role("spinbutton").fill("0.95")
    watched.page.get_by_role("spinbutton").blur()
    for label in before:
        expect(cell(watched, label)).to_have_count(0)
    assert shown_tags(watched) == before  # the two are copies
    assert not watched.errors


def test_requests_for_one_sound_have_files_of_their_own(place, tmp_path, clip):
    page = make_page(load_taggers([place / "first"]))
    [show] = [event.fn for event in page.fns.values() if event.api_name == "tag"]
    shutil.copy(clip, tmp_path / "clip.ogg")
    answers = [show("first", str(tmp_path / "clip.ogg"), threshold) for threshold in (0.05, 0.95)]
    for _, picture, rows, table in answers:
        assert len(Path(table).read_text().splitlines()) == 1 + len(rows.data)  # with the line that names the columns
        assert (Path(picture).name, Path(table).name) == ("clip.png", "clip.events.csv")
    assert len(answers[0][2].data) > len(answers[1][2].data) and answers[0][1] != answers[1][1]
    assert all(
        tmp_path in Path(file).parents for answer in answers for file in answer[1::2]
    )  # gradio serves from there


def test_a_sound_can_be_recorded_and_an_example_tried(address, opened):
    watched = opened(address)
    watched.page.get_by_label("Record audio").click()
    watched.page.get_by_role("button", name="Record", exact=True).click()
    watched.page.wait_for_timeout(1500)
    watched.page.get_by_role("button", name="Stop").click()
    assert set(shown_tags(watched)) == set(CATEGORIES)
    watched = opened(address)
    watched.page.get_by_text("low.wav").click()
    assert set(shown_tags(watched)) == set(CATEGORIES)
    assert not watched.errors and not watched.foreign


def test_on_a_phone_nothing_is_wider_than_the_screen(address, opened, clip):
    watched = opened(address, width=390)
    upload(watched, clip)
    shown_tags(watched)
    widest = "Math.max(...[...document.querySelectorAll('.gradio-container, .block')].map(e => e.offsetWidth))"
    assert watched.page.evaluate(widest) <= 390
    block, picture = (watched.page.locator(name).bounding_box() for name in ("#picture", "#picture img"))
    assert picture["width"] > 390 and picture["x"] >= block["x"]  # it scrolls, from its beginning


REFUSED = {
    "a text file": ("notes.txt", lambda path: path.write_text("no sound"), "Invalid file type"),
    "text that is called a sound": (
        "notes.wav",
        lambda path: path.write_text("no sound"),
        "Could not decode notes.wav",
    ),
    "an empty file": ("empty.wav", lambda path: path.write_bytes(b""), "empty.wav is empty"),
    "samples that are no numbers": (
        "nan.wav",
        lambda path: soundfile.write(path, np.full(RATE, np.nan), RATE, subtype="FLOAT"),
        "nan.wav has NaN",
    ),
    "a long sound": (
        "long.flac",
        lambda path: soundfile.write(path, np.zeros(7 * RATE), RATE),
        "Expected at most 0.1 minutes, long.flac has 0.1 minutes",
    ),
    "a large file": (
        "large.wav",
        lambda path: soundfile.write(path, noise(40), RATE),
        "exceed the maximum allowed size of 1",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_is_said_on_the_page(address, opened, tmp_path, clip, what):
    name, write, message = REFUSED[what]
    write(tmp_path / name)
    watched = opened(address)
    upload(watched, tmp_path / name)
    toast = watched.page.get_by_test_id("toast-body")
    expect(toast).to_contain_text(message)
    assert "Traceback" not in watched.page.locator("body").inner_text() and str(tmp_path) not in toast.inner_text()


def test_a_model_has_its_folders_name_unless_two_have_it(tmp_path):
    for folder in ("a/model", "b/model", "other"):
        (tmp_path / folder).mkdir(parents=True)
    one, two, other = (tmp_path / folder for folder in ("a/model", "b/model", "other"))
    assert list(named([one, other])) == ["model", "other"]
    assert list(named([one, two, "owner/name"])) == [str(one), str(two), "owner/name"]
    with pytest.raises(ValueError, match="every model once"):
        named([other, other])


WITHOUT_GRADIO = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "gradio" else find(name, *rest)
from psla_hf.commands import run
run(["app", "first"])
"""


def test_what_the_command_lacks_is_said_in_one_line(place, capsys):
    done = subprocess.run([sys.executable, "-c", WITHOUT_GRADIO], cwd=place, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert 'pip install "psla-hf[app]"' in done.stderr
    for words, message in {
        ("nothing",): "there is no nothing",
        (place / "first", "--max-minutes", "0"): "Expected max_minutes and max_megabytes above 0, got 0.0",
        (place / "first", "--overwrite"): "needs --export",
    }.items():
        with pytest.raises(SystemExit):
            run(["app", *map(str, words)])
        assert message in capsys.readouterr().err
