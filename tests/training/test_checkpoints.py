"""A checkpoint is complete or not there; old ones go; a damaged one is passed over."""

import logging

import pytest
import torch

from psla_hf.training.run.state import latest_checkpoint, load_checkpoint, save_checkpoint


def save(folder, number: int, **how):
    return save_checkpoint(folder, f"step-{number:04d}", {"state.pt": {"number": number, "x": torch.ones(3)}}, **how)


def test_what_is_saved_comes_back(tmp_path):
    checkpoint = save(tmp_path, 1)
    state = load_checkpoint(checkpoint, "state.pt")
    assert state["number"] == 1 and torch.equal(state["x"], torch.ones(3))
    assert latest_checkpoint(tmp_path) == checkpoint


def test_only_the_newest_stay(tmp_path):
    for number in (1, 2, 10):
        save(tmp_path, number)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0002", "step-0010"]
    save(tmp_path, 11, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-0011"]


def test_without_checkpoints_there_is_none(tmp_path):
    assert latest_checkpoint(tmp_path) is None and latest_checkpoint(tmp_path / "nowhere") is None


@pytest.mark.parametrize("damage", ["changed", "cut", "missing", "no contents"])
def test_a_damaged_one_is_passed_over_with_a_warning(tmp_path, caplog, damage):
    before, last = save(tmp_path, 1), save(tmp_path, 2)
    content = (last / "state.pt").read_bytes()
    if damage == "changed":
        (last / "state.pt").write_bytes(content[:-1] + b"?")
    elif damage == "cut":
        (last / "state.pt").write_bytes(content[: len(content) // 2])
    else:
        (last / ("state.pt" if damage == "missing" else "contents.json")).unlink()
    with caplog.at_level(logging.WARNING):
        assert latest_checkpoint(tmp_path) == before
    assert "step-0002" in caplog.text and "damaged" in caplog.text
    (before / "contents.json").unlink()
    with pytest.raises(ValueError, match="got 2 damaged"):
        latest_checkpoint(tmp_path)


def test_what_was_being_written_is_no_checkpoint_and_is_cleared_away(tmp_path):
    before = save(tmp_path, 1)
    (tmp_path / ".step-0002.unfinished-killed" / "new").mkdir(parents=True)
    (tmp_path / ".step-0002.unfinished-killed" / "new" / "state.pt").write_bytes(b"half")
    assert latest_checkpoint(tmp_path) == before
    save(tmp_path, 2)
    assert not list(tmp_path.glob(".*"))


def test_the_same_place_is_saved_again(tmp_path):
    save(tmp_path, 1)
    assert load_checkpoint(save(tmp_path, 1), "state.pt")["number"] == 1
