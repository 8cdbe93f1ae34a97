"""Runs that are really killed end as if they had not been; several processes train as one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def kill_and_resume(*options: str) -> dict:
    """Run the module of that name in a process of its own, which forks the runs."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.kill_and_resume", *options],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "options",
    [
        ("--seed", "1", "--kills", "3"),
        ("--workers", "2", "--balanced", "--accumulation", "2", "--kills", "2"),
        ("--streamed", "--workers", "2", "--balanced", "--kills", "2"),
        ("--processes", "2", "--balanced", "--kills", "2"),
        ("--signal", "SIGTERM", "--workers", "2", "--kills", "2"),
        ("--signal", "SIGINT", "--workers", "2", "--kills", "2"),
        ("--signal", "SIGHUP", "--kills", "2"),
    ],
    ids=["by index", "two workers", "streamed", "two processes", "SIGTERM", "SIGINT", "SIGHUP"],
)
def test_a_run_killed_at_random_moments_ends_bit_identical(options):
    outcome = kill_and_resume(*options)
    assert outcome == {"killed": outcome["killed"], "same": True, "leftovers": []}
    assert outcome["killed"] > 0


def test_two_processes_train_as_one_does():
    """To float tolerance, with LayerNorm: BatchNorm sees half a batch in each process, and differs by that.

    ConvNeXt besides has parameters that the loss does not depend on, whose gradients nobody must wait for.
    """
    rows = kill_and_resume("--processes", "2", "--compare-processes", "--backbone", "test_convnext")
    for one, several in zip(rows["one"], rows["several"], strict=True):
        assert several == pytest.approx(one, rel=1e-4)
