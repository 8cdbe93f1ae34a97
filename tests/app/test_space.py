"""An exported Space is complete: its settings, its requirements, and an app.py that runs with what is in the folder."""

import importlib.metadata
import shutil

import numpy as np
import pytest
import soundfile
import yaml
from packaging.requirements import Requirement

from psla_hf.commands import run

from .conftest import save_tagger, served


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """A Space of a local model with a sound to try."""
    place = tmp_path_factory.mktemp("place")
    save_tagger(place / "first")
    (place / "first" / "epochs").mkdir()
    (place / "sounds").mkdir()
    soundfile.write(place / "sounds" / "low.wav", 0.1 * np.sin(np.arange(16000) / 10), 16000)
    run(["app", str(place / "first"), "--examples", str(place / "sounds"), "--export", str(place / "space")])
    shutil.rmtree(place / "first")
    return place / "space"


def test_its_app_runs_and_tags(space, opened):
    with served(["app.py"], space) as address:
        watched = opened(address)
        watched.page.get_by_text("low.wav").click()
        watched.page.locator("#picture img").wait_for()
        assert not watched.errors and not watched.foreign


def test_its_settings_are_what_the_hub_asks_for(space):
    _, settings, text = (space / "README.md").read_text().split("---\n", 2)
    settings = yaml.safe_load(settings)
    assert settings["sdk"] == "gradio" and settings["sdk_version"] == importlib.metadata.version("gradio")
    assert (space / settings["app_file"]).is_file() and text.strip()
    assert isinstance(settings["python_version"], str) and "models" not in settings
    assert not (space / "models" / "first" / "epochs").exists()


def test_its_requirements_are_installed_here(space):
    needs = [Requirement(line) for line in (space / "requirements.txt").read_text().splitlines()]
    assert {"gradio", "matplotlib", "torch", "transformers"} <= {need.name for need in needs}
    for need in needs:
        assert need.specifier.contains(importlib.metadata.version(need.name))


def test_a_model_of_the_hub_is_named_and_not_copied(tmp_path):
    run(["app", "owner/name", "--export", str(tmp_path / "space")])
    settings = yaml.safe_load((tmp_path / "space" / "README.md").read_text().split("---\n")[1])
    assert settings["models"] == ["owner/name"] and not (tmp_path / "space" / "models").exists()
    assert "'owner/name'" in (tmp_path / "space" / "app.py").read_text()


def test_a_space_is_not_written_over_another_unless_it_may(space, capsys):
    for words, status in (([], 2), (["--overwrite"], 0)):
        try:
            run(["app", "owner/name", "--export", str(space), *words])
            ended = 0
        except SystemExit as end:
            ended = end.code
        assert ended == status
    assert "--overwrite" in capsys.readouterr().err
