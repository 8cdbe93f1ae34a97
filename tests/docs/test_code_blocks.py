"""The examples of README.md and docs/ run as they stand, page by page, in a small world made for them.

An example that cannot run here has a comment before it, `<!-- skip: next "reason" -->`; pytest lists these with their
reasons. Every example counts: one in a language that is neither run nor known to be no program is an error.
"""

import re
import shlex
import shutil
from pathlib import Path
from unittest import SkipTest

import numpy as np
import pytest
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

from tests.docs.small_world import call, make_world

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
NO_PROGRAMS = {"text", "json", "toml"}
TRAINING = ("scripts/train.py", "psla_hf.commands.train")


def run_shell(example: Example) -> None:
    """Run a block's lines, commands of `psla` in this process.

    Raises:
        ValueError: A line is no command that runs here.
    """
    for line in example.parsed.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:2] == ["accelerate", "launch"]:
            [name] = [word for word in TRAINING if word in words]
            words = ["psla", "train", *words[words.index(name) + 1 :]]
        if words[:1] == ["psla"]:
            call(words[1:])
        elif words:
            raise ValueError(f"Expected psla or accelerate launch in {example.path}, got {line!r}: mark it as skipped.")


def examples(page: str) -> list[Example]:
    parsers = (PythonCodeBlockParser(), CodeBlockParser(language="bash", evaluator=run_shell), SkipParser())
    document = Document.parse(str(ROOT / page), *parsers)
    # What an example takes for given: the arrays of docs/labels.md, 20 clips of 4 classes.
    scores = np.random.default_rng(0).random((20, 4))
    document.namespace |= {"scores": scores, "targets": np.round(scores).astype(int)}
    document.namespace["mids"] = ["/m/0jbk", "/m/0bt9lr", "/m/09x0r", "/m/06mb1"]
    return list(document.examples())


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Made once, to be copied for every page."""
    place = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        (place / "project").mkdir()
        patch.chdir(place / "project")
        make_world(place / "project")
    return place


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page, world, tmp_path, monkeypatch, subtests):
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path / "project")
    for example in examples(page):
        with subtests.test(line=example.line):
            try:
                example.evaluate()
            except SkipTest as reason:
                pytest.skip(f"{page}:{example.line}: {reason}")


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_language_that_is_run_or_is_no_program(page):
    fences = re.findall(r"^[ >]*```+(.*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert set(fences[::2]) <= {"python", "bash"} | NO_PROGRAMS
