"""A name leads to a path or to the Hub, by one rule for models, members and label sets."""

from pathlib import Path

import pytest

from psla_hf import AudioTagger
from psla_hf.aggregation.members import find_members
from psla_hf.enhancement.label_set import LabelSet
from psla_hf.places import local_path


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    """A folder to work in, with `runs/esc10` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "esc10").mkdir(parents=True)
    return tmp_path / "runs"


@pytest.mark.parametrize("name", ["runs/esc10", "./runs", "runs/../runs/esc10/", ".", Path("runs"), Path("runs/esc10")])
def test_what_is_there_is_a_path(runs, name):
    assert local_path(name, "a model") == Path(name)


@pytest.mark.parametrize("name", ["someone/model", "psla-hf/esc10-fold1", "run/esc10"])
def test_an_owner_and_a_name_are_of_the_hub_unless_there_is_such_a_folder(runs, name):
    assert local_path(name, "a model") is None


def test_an_empty_name_is_not_the_folder_one_is_in(runs):
    with pytest.raises(ValueError, match="Expected a model, got an empty name"):
        local_path("", "a model")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("runs/esc1O", "runs the nearest to esc1O is esc10"),
        ("run", "the nearest to run is runs"),
        ("nothing", "there is runs"),
        ("runs/esc10/last_epoch", "esc10 there is nothing"),
        ("rums/esc10/last_epoch", "the nearest to rums is runs"),
        ("./someone/model", "there is runs"),
        ("../someone/model", "there is"),
        ("~/no/such/folder", "there is no .*/no/such/folder"),
        ("/no/such/folder", "In / "),
        (Path("someone/model"), "there is runs"),
    ],
    ids=str,
)
def test_a_path_to_nothing_is_an_error_that_names_what_is_there(runs, name, message):
    with pytest.raises(FileNotFoundError, match=f"Expected a model, .*{message}"):
        local_path(name, "a model")


@pytest.mark.parametrize(("name", "message"), [("esc1O", "nearest to esc1O is esc10"), ("zzz", "there is esc10.$")])
def test_what_a_killed_command_left_is_in_no_hint(runs, name, message):
    (runs / ".esc1O.unfinished-1@0-x" / "new").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=message):
        local_path(runs / name, "a model")
    with pytest.raises(FileNotFoundError, match=r"is \.esc1O\.unfinished"):  # who asks for what is hidden
        local_path(runs / ".esc1O.unfinished", "a model")


@pytest.mark.parametrize("load", [AudioTagger.from_pretrained, LabelSet.open, lambda name: find_members([name])])
@pytest.mark.parametrize("name", ["runs/esc1O", "gone", "./a/b"])
def test_whatever_is_loaded_by_name_never_asks_the_hub_for_a_path(runs, monkeypatch, load, name):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("socket.socket.connect", lambda *_, **__: pytest.fail("asked the Hub"))
    with pytest.raises(FileNotFoundError, match="there is no "):
        load(name)
