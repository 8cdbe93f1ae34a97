"""A Hub on the loopback interface, for tests of publishing and loading. It keeps everything in memory.

It has what those tests need of the real one: two users, private and gated repositories, branches, pull requests,
commits that count whole or not at all, and trouble on demand. `HF_ENDPOINT` and `HF_HUB_OFFLINE` are read when
huggingface_hub is imported: what loads from this Hub by name runs in a process of its own, with `hub.env`; what
publishes may run in the test's with `hub_api`.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest

from tests.hub_requests import OWNER, STRANGER, Handler

__all__ = ["OWNER", "STRANGER", "FakeHub", "hub", "online", "running_hub"]


class FakeHub:
    """A Hub at `url`; repositories have names such as `datasets/user/name`.

    Attributes:
        repos: Path to bytes on the branch `main`, by repository.
        branches: The same for other branches and pull requests, by repository and branch.
        private: Repositories that only their owner sees.
        gated: Repositories whose files only their owner gets.
        requests: All so far, such as `GET /api/whoami-v2`.
        commits: What was committed where, such as `models/user/name main: message`.
    """

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, bytes]] = {}
        self.branches: dict[tuple[str, str], dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.gated: set[str] = set()
        self.requests: list[str] = []
        self.commits: list[str] = []
        self.uploads: dict[str, bytes] = {}  # by SHA-256
        self._snapshots: dict[tuple[str, str], dict[str, bytes]] = {}
        self._trouble: list[tuple[str, int | str]] = []
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.env: dict[str, str] = {}

    def cause(self, trouble: int | str, request: str, times: int = 1) -> None:
        """Let trouble befall the next requests that begin so.

        Args:
            trouble: A status such as 503; `"cut"`: the connection breaks while the request comes in; `"lost"`: it
                breaks when all is done and the answer is due.
            request: How they begin, such as `PUT /uploads`.
            times: How many.
        """
        self._trouble += [(request, trouble)] * times

    def cause_no_more(self) -> None:
        """End all trouble."""
        self._trouble.clear()

    def trouble_of(self, request: str) -> int | str | None:
        """What is to befall this request."""
        with self._lock:
            for place, (beginning, trouble) in enumerate(self._trouble):
                if request.startswith(beginning):
                    del self._trouble[place]
                    return trouble
        return None

    def files(self, name: str, revision: str = "main") -> dict[str, bytes] | None:
        """What a branch, a pull request or a commit holds; none if there is none."""
        if revision == "main":
            return self.repos[name]
        return self.branches.get((name, revision), self._snapshots.get((name, revision)))

    def sha(self, name: str, revision: str = "main") -> str:
        """A commit's id that changes whenever a file does."""
        files = self.files(name, revision) or {}
        digests = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
        sha = hashlib.sha1(json.dumps([name, digests], sort_keys=True).encode()).hexdigest()
        self._snapshots[name, sha] = dict(files)
        return sha


@contextmanager
def running_hub(home: Path) -> Iterator[FakeHub]:
    """A Hub that answers; `env` is the environment of a process that is to use it, with its cache in `home`."""
    fake = FakeHub()
    fake.env = {
        **os.environ,
        "HF_ENDPOINT": fake.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": OWNER,
    }
    thread = threading.Thread(target=fake.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.server.shutdown()
        fake.server.server_close()
        thread.join()


@pytest.fixture
def hub(tmp_path):
    """A running Hub; `hub.env` is the environment of a process that is to use it."""
    with running_hub(tmp_path / "hf_home") as fake:
        yield fake


@pytest.fixture
def online(monkeypatch):
    """The tests run with the Hub switched off; a loopback server is not the Hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    huggingface_hub.close_session()
    yield
    huggingface_hub.close_session()


def main() -> None:
    """Run a command that has this Hub for the Hub: `python -m tests.fake_hub COMMAND …`."""
    with tempfile.TemporaryDirectory() as home, running_hub(Path(home)) as fake:
        sys.exit(subprocess.run(sys.argv[1:], env=fake.env).returncode)


if __name__ == "__main__":
    main()
