"""Runs that are really killed end as if they had not been; several processes train as one does."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import TINY_BACKBONE


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


def two_processes(esc_folder: Path, folders: list[Path], *more: str) -> list[subprocess.Popen]:
    """A run of two processes, each with its output folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["train", esc_folder, "--recipe", "esc10", "--cpu", "--epochs", 500, *more]
    words += ["--backbone", TINY_BACKBONE, "--pretraining", "none", "--max-length", 48, "--batch-size", 8]
    return [
        subprocess.Popen(
            [sys.executable, "-m", "psla_hf.commands", *map(str, words), "--output-dir", str(folder)],
            env={
                **os.environ,
                **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true"},
                **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"},
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, folder in enumerate(folders)
    ]


def test_processes_that_see_different_checkpoints_are_refused(esc_folder, tmp_path):
    (tmp_path / "a" / "checkpoints" / "epoch-0001-batch-00000001").mkdir(parents=True)
    peers = two_processes(esc_folder, [tmp_path / "a", tmp_path / "b"], "--resume")
    try:
        errors = [peer.communicate(timeout=120)[1] for peer in peers]
    finally:
        for peer in peers:
            peer.kill()
    assert [peer.returncode for peer in peers] == [2, 2]
    for error in errors:
        assert "on a disk that all machines share" in error.splitlines()[-1] and "Traceback" not in error


def test_a_process_whose_peer_is_killed_ends_with_one_line(esc_folder, tmp_path):
    peers = two_processes(esc_folder, [tmp_path / "run"] * 2)
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "run" / "metrics.jsonl").is_file() and time.monotonic() < deadline:
            time.sleep(0.1)
        peers[1].send_signal(signal.SIGKILL)
        _, error = peers[0].communicate(timeout=60)
    finally:
        for peer in peers:
            peer.kill()
    last = error.strip().splitlines()[-1]
    assert peers[0].returncode == 2 and "Traceback" not in error
    assert last.startswith("error: Process 0 of 2 has lost another one") and "can be resumed" in last
