"""What is written is complete or not there at all, whatever it is; JSON and digests are everybody's."""

import hashlib
import json
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from psla_hf.files import (
    atomic_file,
    atomic_files,
    atomic_folder,
    check_output,
    clear_unfinished,
    digest,
    read_json_lines,
    write_json,
)


def write(way, place: Path, content: str, fail: bool = False) -> None:
    """Write `file` of the folder `place` by one of the three ways, and fail before the end."""
    whole = place / "file" if way is atomic_file else place
    with way(whole, **({"overwrite": True} if way is atomic_folder else {})) as temporary:
        (temporary if way is atomic_file else temporary / "file").write_text(content)
        if fail:
            raise OSError("the disk is full")


@pytest.mark.parametrize("way", [atomic_file, atomic_files, atomic_folder])
def test_what_is_broken_off_leaves_what_was_there_and_nothing_else(way, tmp_path):
    with pytest.raises(OSError, match="disk is full"):
        write(way, tmp_path / "set", "half", fail=True)
    assert not list(tmp_path.rglob("*file*"))
    write(way, tmp_path / "set", "first")
    with pytest.raises(OSError, match="disk is full"):
        write(way, tmp_path / "set", "half", fail=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["set", "file"]
    assert (tmp_path / "set" / "file").read_text() == "first"
    write(way, tmp_path / "set", "second")
    assert (tmp_path / "set" / "file").read_text() == "second"


def test_what_a_killed_process_left_is_removed_and_what_another_writes_stays(tmp_path):
    running = subprocess.Popen(["sleep", "60"])
    names = [f".[a] file.unfinished-{number}" for number in (dead_process(), running.pid)]
    try:
        for name in names:
            (tmp_path / name).touch()
        with atomic_file(tmp_path / "[a] file") as temporary:
            temporary.touch()
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([names[1], "[a] file"])
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / f".files.unfinished-{dead_process()}-x").mkdir()
        clear_unfinished(tmp_path)
        assert not list((tmp_path / "deep").iterdir()) and (tmp_path / names[1]).is_file()
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize("line", ["[]", '[["epoch", 1]]', "3", '"epoch"', "null", "{"])
def test_a_line_that_is_no_json_object_is_named(line, tmp_path):
    (tmp_path / "rows.jsonl").write_text(f'{{"epoch": 1}}\n\n{line}\n')
    with pytest.raises(ValueError, match=r"Expected a JSON object in line 3 in .*rows\.jsonl"):
        read_json_lines(tmp_path / "rows.jsonl")


def test_numbers_that_are_not_finite_are_null_in_json(tmp_path):
    content = {"d_prime": float("inf"), "worst": -float("inf"), "rows": [{"AUC": 1.0, "d_prime": np.float64("nan")}]}
    write_json(content, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail) == {
        "d_prime": None,
        "worst": None,
        "rows": [{"AUC": 1.0, "d_prime": None}],
    }


def test_a_digest_is_of_the_parts_one_after_the_other(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    (tmp_path / "file").write_bytes(b"\0" * 3_000_000)
    whole = "é".encode() + b"bytes" + array.T.tobytes() + b"\0" * 3_000_000
    parts = ("é", b"bytes", array.T, tmp_path / "file", np.empty((0, 2), np.int64))
    assert digest(*parts) == hashlib.sha256(whole).hexdigest()


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "set").mkdir()
    with atomic_folder(tmp_path / "set") as place:
        (place / "first").write_text("1")
    with pytest.raises(FileExistsError, match="not empty"), atomic_folder(tmp_path / "set"):
        pass
    with pytest.raises(OSError, match="disk is full"), atomic_folder(tmp_path / "set", overwrite=True) as place:
        (place / "half").write_text("a")
        raise OSError("the disk is full")
    assert [path.name for path in tmp_path.rglob("*")] == ["set", "first"]
    (tmp_path / ".set.unfinished-killed").mkdir()
    with atomic_folder(tmp_path / "set", overwrite=True) as place:
        (place / "second").write_text("2")
    assert [path.name for path in tmp_path.rglob("*")] == ["set", "second"]


@pytest.mark.parametrize(("left", "restored"), [(["old", "new"], "new"), (["old"], "old")])
def test_a_kill_between_the_two_renames_loses_nothing(tmp_path, left, restored):
    place = tmp_path / f".set.unfinished-{dead_process()}-x"
    for name in left:
        (place / name).mkdir(parents=True)
        (place / name / "file").write_text(name)
    with pytest.raises(FileExistsError, match="not empty"), atomic_folder(tmp_path / "set"):
        pass
    assert (tmp_path / "set" / "file").read_text() == restored
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_folder_with_nothing_but_what_a_kill_left_is_free_and_one_in_which_another_writes_is_not(tmp_path):
    running = subprocess.Popen(["sleep", "60"])
    try:
        for writer, is_free in ((dead_process(), True), (running.pid, False)):
            place = tmp_path / "set" / f".files.unfinished-{writer}-x"
            place.mkdir(parents=True)
            with nullcontext() if is_free else pytest.raises(FileExistsError, match="not empty"):
                check_output(tmp_path / "set", overwrite=False)
    finally:
        running.kill()
        running.wait()


def test_what_another_process_is_writing_stays(tmp_path):
    running = subprocess.Popen(["sleep", "60"])
    try:
        place = tmp_path / f".set.unfinished-{running.pid}-x"
        (place / "new").mkdir(parents=True)
        with atomic_folder(tmp_path / "set") as fresh:
            (fresh / "file").write_text("")
        assert (place / "new").is_dir() and (tmp_path / "set" / "file").is_file()
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize("way", [atomic_file, atomic_files, atomic_folder])
def test_what_another_machine_is_writing_stays(way, tmp_path, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(socket, "gethostname", lambda: "node-2")
        with way(tmp_path / "set" / "file" if way is atomic_file else tmp_path / "set") as theirs:
            file = theirs if way is atomic_file else theirs / "file"
            file.write_text("there")
            elsewhere.undo()
            write(way, tmp_path / "set", "here")
            clear_unfinished(tmp_path)
            assert file.read_text() == "there"
    assert [path.name for path in tmp_path.rglob("*")] == ["set", "file"]
    assert (tmp_path / "set" / "file").read_text() == "there"


@pytest.mark.parametrize("way", [atomic_file, atomic_files, atomic_folder])
def test_what_a_kill_leaves_is_removed_by_the_next(way, tmp_path):
    writing = f"with files.{way.__name__}({str(tmp_path / 'set')!r}) as place:"
    code = f"import os; from psla_hf import files\n{writing} place.exists() or place.touch(); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert [path for path in tmp_path.rglob("*") if ".unfinished-" in path.name]
    with way(tmp_path / "set") as place:
        (place if way is atomic_file else place / "file").write_text("")
    assert {path.name for path in tmp_path.rglob("*")} <= {"set", "file"}


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path):
    with atomic_folder(tmp_path / "set") as place:
        (place / "first").write_text("1")
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "set", overwrite=True) as place:
        place.rmdir()
    assert [path.name for path in tmp_path.rglob("*")] == ["set", "first"]


def dead_process() -> int:
    """The number of a process that is no more."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    return ended.pid


def test_what_a_killed_process_left_of_several_files_is_cleared_by_the_next(tmp_path):
    left = tmp_path / ".files.unfinished-999999-x"
    left.mkdir()
    with atomic_files(tmp_path) as place:
        (place / "one").write_text("1")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_who_has_locked_a_folder_clears_what_any_machine_left(tmp_path):
    left = tmp_path / "deep" / ".file.unfinished-1@node2"
    left.parent.mkdir()
    left.touch()
    clear_unfinished(tmp_path)
    assert left.is_file()
    clear_unfinished(tmp_path, of_all_machines=True)
    assert not left.exists()
