"""Remote files are read by ranges, and a server that stalls, cuts or fails is asked again."""

import io
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from psla_hf.data.shards.parquet import ShardIndex
from psla_hf.data.shards.remote import RemoteFile, files_under, open_binary
from psla_hf.data.toy import SCENE_CLASSES, make_scenes
from tests import fake_hub

online = fake_hub.online
CONTENT = np.random.default_rng(0).integers(0, 256, 200_000, dtype=np.uint8).tobytes()


class Server:
    """A loopback web server of ranges; `trouble` lists what befalls the next requests, in order."""

    def __init__(self, files: dict[str, bytes]):
        self.trouble: list[str] = []
        self.requests: Counter[str] = Counter()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                content = files.get(self.path)
                trouble = outer.trouble.pop(0) if outer.trouble else None
                outer.requests[trouble or "answered"] += 1
                if content is None or trouble in ("500", "503"):
                    self.send_error(404 if content is None else int(trouble))
                    return
                if trouble == "stall":
                    time.sleep(1.5)
                    return
                start, end = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
                part = content[start : end + 1]
                self.send_response(200 if trouble == "whole" else 206)
                self.send_header("Content-Range", f"bytes {start}-{end}/{len(content)}")
                self.send_header("Content-Length", str(len(part)))
                self.end_headers()
                self.wfile.write(part[: len(part) // 2] if trouble == "cut" else part)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        """Give the port back."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(online):
    server = Server({"/clip.bin": CONTENT})
    yield server
    server.close()


def open_remote(server: Server, **settings) -> RemoteFile:
    return RemoteFile(f"{server.url}/clip.bin", base_wait_seconds=0.01, **settings)


def test_ranges_are_what_the_file_holds(server):
    file = io.BufferedReader(open_remote(server), 1000)
    file.seek(-100, io.SEEK_END)
    assert file.read() == CONTENT[-100:] and file.read() == b""
    file.seek(5000)
    assert file.read(70_000) == CONTENT[5000:75_000]
    file.seek(0)
    assert file.read() == CONTENT


@pytest.mark.parametrize("trouble", ["500", "503", "cut", "stall"])
def test_trouble_is_survived(server, trouble):
    file = open_remote(server, timeout_seconds=0.3)
    server.trouble = [trouble, trouble]
    file.seek(1000)
    assert file.read(50_000) == CONTENT[1000:51_000]
    assert server.requests[trouble] == 2


def test_waits_between_retries_double(server):
    file = open_remote(server)
    server.trouble = ["503"] * 5
    started = time.perf_counter()
    file.read(10)
    assert time.perf_counter() - started > 0.01 * (1 + 2 + 4 + 8 + 16)


def test_trouble_without_end_is_an_error(server):
    file = open_remote(server, max_retries=2)
    server.trouble = ["503"] * 9
    with pytest.raises(OSError, match="503"):
        file.read(10)
    assert server.requests["503"] == 3


def test_what_is_not_there_or_has_no_ranges_says_so(server):
    with pytest.raises(OSError, match="404"):
        RemoteFile(f"{server.url}/other.bin")
    server.trouble = ["whole"]
    with pytest.raises(OSError, match="range request with status 206, got 200"):
        open_remote(server)


def test_parquet_shards_are_streamed_from_a_server_with_trouble(online, tmp_path):
    clips, _ = make_scenes(40, seed=1)
    clips.to_parquet(str(tmp_path / "a.parquet"), batch_size=10)
    content = (tmp_path / "a.parquet").read_bytes()
    server = Server({"/a.parquet": content})
    try:
        index = ShardIndex.open([f"{server.url}/a.parquet"])
        labels_only = server.requests["answered"]
        assert len(index.labels) == 40 and index.vocabulary.names == SCENE_CLASSES
        server.trouble = ["cut", "503"]
        assert index.read(2) == [clips[i] for i in range(20, 30)]
        assert labels_only < 12
    finally:
        server.close()


def test_files_are_found_in_folders_lists_and_by_name(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.parquet", "deep/a.parquet", "c.tar"):
        (tmp_path / name).touch()
    for hidden in (".train.unfinished-1@0-x/new", "a/.files.unfinished-1@0-x"):
        (tmp_path / hidden).mkdir(parents=True)
        (tmp_path / hidden / "half.parquet").touch()
    assert [path[len(str(tmp_path)) :] for path in files_under(tmp_path, (".parquet",))] == [
        "/b.parquet",
        "/deep/a.parquet",
    ]
    both = files_under([tmp_path / "c.tar", "http://server/x.parquet"], (".tar", ".parquet"))
    assert both == [str(tmp_path / "c.tar"), "http://server/x.parquet"]
    assert open_binary(tmp_path / "b.parquet").read() == b""
    with pytest.raises(ValueError, match="Expected hf://datasets/owner/name"):
        open_binary("hf://models/owner/name/file")
