"""Results name where they come from, and nothing that is nobody's business."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import psla_hf
from psla_hf.provenance import provenance


def test_paths_in_the_command_are_shortened_to_their_last_part(monkeypatch):
    words = ["/home/me/train.py", "--data-dir=/home/me/clips", "--output-dir", "/home/me/run", "mean=/home/me/mean"]
    monkeypatch.setattr(sys, "argv", [*words, "--lr=1e-3", "../shared", "/m/01j4z9"])
    command = "train.py --data-dir=clips --output-dir run mean=mean --lr=1e-3 ../shared /m/01j4z9"
    assert provenance()["command"] == command


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["-m", "tool", "/home/me/clips"], "python -m tool clips"),
        (["-m", "tools", "x"], "python -m tools x"),
        (["tool.py", "x"], "tool.py x"),
        (["tool.py", "two words"], "tool.py 'two words'"),
    ],
)
def test_the_command_is_what_was_typed(words, command, tmp_path):
    code = "from psla_hf.provenance import provenance; print(provenance()['command'])"
    (tmp_path / "tools").mkdir()
    for name in ("tool.py", "tools/__main__.py"):
        (tmp_path / name).write_text(code)
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == command


def test_a_tree_that_the_package_only_lies_in_is_not_its_commit(tmp_path):
    """As in an environment inside somebody's project."""
    place = tmp_path / "project" / "site" / "psla_hf"
    place.mkdir(parents=True)
    shutil.copy(Path(psla_hf.__file__).with_name("provenance.py"), place)
    (place / "__init__.py").touch()
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    for words in (["init", "--quiet"], [*who, "commit", "--quiet", "--allow-empty", "-m", "theirs"]):
        subprocess.run(["git", "-C", str(tmp_path / "project"), *words], check=True)
    code = "from psla_hf.provenance import _commit; print(_commit())"
    environment = {"PYTHONPATH": str(place.parent), "PATH": "/usr/bin:/bin:/usr/local/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"
