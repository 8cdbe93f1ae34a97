"""A Hub on the loopback interface, for tests of pushing and loading. It keeps repositories in memory, without history.

`HF_HUB_OFFLINE` is read when huggingface_hub is imported and is set for these tests: what talks to this Hub runs in a
process of its own, with `hub.env`.
"""

import base64
import hashlib
import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

IN_LFS = (".parquet", ".safetensors", ".bin", ".flac", ".wav", ".arrow")  # else a file is part of the commit
API = r"/api/(?P<kind>models|datasets)/(?P<repo>[^/]+/[^/]+)"
FILES = r"(/(?P<kind>datasets))?/(?P<repo>[^/]+/[^/]+)"
REVISION = r"(?P<revision>[^/]+)"


class FakeHub:
    """A Hub at `url`. `repos` are dictionaries of path to bytes, by names such as `datasets/user/name`."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.uploads: dict[str, bytes] = {}  # by SHA-256, until a commit takes them
        self.requests: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.env: dict[str, str] = {}

    def sha(self, name: str) -> str:
        """A commit's id that changes whenever a file does."""
        files = {path: hashlib.sha256(data).hexdigest() for path, data in self.repos[name].items()}
        return hashlib.sha1(json.dumps(files, sort_keys=True).encode()).hexdigest()


@pytest.fixture
def hub(tmp_path):
    """A running Hub; `hub.env` is the environment of a process that is to use it."""
    fake = FakeHub()
    fake.env = {
        **os.environ,
        "HF_ENDPOINT": fake.url,
        "HF_HOME": str(tmp_path / "hf_home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "hf_x",
    }
    thread = threading.Thread(target=fake.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()
    thread.join()


class _Handler(BaseHTTPRequestHandler):
    """The calls of `create_repo`, `upload_folder`, `hf_hub_download`, `repo_info`, … and of `load_dataset`."""

    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.route(
            {
                rf"{API}(/revision/{REVISION})?": self.repo_info,
                rf"{API}/tree/{REVISION}/?(?P<path>.*)": self.tree,
                rf"{FILES}/resolve/{REVISION}/(?P<path>.+)": self.resolve,
                r"/api/whoami-v2": self.whoami,
            }
        )

    def do_POST(self) -> None:
        self.route(
            {
                r"/api/repos/create": self.create,
                r"/api/validate-yaml": self.validate_yaml,
                rf"{API}/preupload/{REVISION}": self.preupload,
                rf"{API}/commit/{REVISION}": self.commit,
                rf"{API}/paths-info/{REVISION}": self.paths_info,
                rf"{FILES}\.git/info/lfs/objects/batch": self.lfs_batch,
            }
        )

    def do_PUT(self) -> None:
        self.route({r"/uploads/(?P<oid>[0-9a-f]{64})": self.upload})

    def route(self, table: dict) -> None:
        """Call the method whose pattern fits, with the repository's name in place of its kind and repo."""
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else self.read_chunks()
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        self.hub.requests.append(f"{self.command} {self.path}")
        for pattern, method in table.items():
            match = re.fullmatch(pattern, unquote(url.path))
            if not match:
                continue
            found = match.groupdict()
            if "repo" in found:
                name = f"{found.pop('kind') or 'models'}/{found.pop('repo')}"
                hidden = name in self.hub.private and self.headers.get("Authorization") != "Bearer hf_x"
                if name not in self.hub.repos or hidden:
                    return self.error(404, "RepoNotFound")
                if (found.pop("revision", None) or "main") not in ("main", self.hub.sha(name)):
                    return self.error(404, "RevisionNotFound")
                found["name"] = name
            return method(**found)
        return self.error(404, "NotFound")

    def read_chunks(self) -> bytes:
        """A body without a length, as a commit is sent."""
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return body

    def answer(self, content: bytes | dict | list, status: int = 200, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
        for key, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def error(self, status: int, code: str) -> None:
        self.answer({"error": code}, status, X_Error_Code=code, X_Error_Message=code)

    def whoami(self) -> None:
        self.answer({"type": "user", "name": "user", "orgs": []})

    def create(self) -> None:
        asked = json.loads(self.body)
        repo = f"{asked.get('organization') or 'user'}/{asked['name']}"
        name = f"{asked.get('type') or 'model'}s/{repo}"
        url = f"{self.hub.url}/{name.removeprefix('models/')}"
        if name in self.hub.repos:
            return self.answer({"error": "You already created this repo", "url": url}, 409)
        self.hub.repos[name] = {}
        if asked.get("private") or asked.get("visibility") == "private":
            self.hub.private.add(name)
        return self.answer({"url": url, "name": repo, "id": repo})

    def validate_yaml(self) -> None:
        self.answer({"errors": [], "warnings": []})

    def preupload(self, name: str) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(IN_LFS) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(self.body)["files"]
        ]
        self.answer({"files": files})

    def lfs_batch(self, name: str) -> None:
        wanted = json.loads(self.body)["objects"]
        objects = [
            {**object_, "actions": {"upload": {"href": f"{self.hub.url}/uploads/{object_['oid']}", "header": {}}}}
            for object_ in wanted
        ]
        self.answer({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self.error(400, "WrongHash")
        self.hub.uploads[oid] = self.body
        return self.answer({})

    def commit(self, name: str) -> None:
        files = self.hub.repos[name]
        for line in self.body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.hub.uploads[value["oid"]]
            elif operation["key"] == "deletedFile":
                del files[value["path"]]
            elif operation["key"] == "deletedFolder":
                for path in [path for path in files if path.startswith(value["path"].rstrip("/") + "/")]:
                    del files[path]
        sha = self.hub.sha(name)
        self.answer({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.url}/{name}/commit/{sha}"})

    def repo_info(self, name: str) -> None:
        repo = name.split("/", 1)[1]
        info = {
            "_id": "0",
            "id": repo,
            "author": repo.split("/")[0],
            "sha": self.hub.sha(name),
            "private": name in self.hub.private,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "lastModified": "2024-01-01T00:00:00.000Z",
            "createdAt": "2024-01-01T00:00:00.000Z",
            "siblings": [{"rfilename": path} for path in sorted(self.hub.repos[name])],
        }
        self.answer(info)

    def tree(self, name: str, path: str) -> None:
        """The files in a folder, with `recursive` also those below, and the folders."""
        prefix = f"{path.strip('/')}/" if path.strip("/") else ""
        below = sorted(file for file in self.hub.repos[name] if file.startswith(prefix))
        if prefix and not below:
            return self.error(404, "EntryNotFound")
        recursive = self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        entries: dict[str, dict] = {}
        for file in below:
            parts = file.removeprefix(prefix).split("/")
            for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
                folder = prefix + "/".join(parts[:depth])
                entries[folder] = {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
            if recursive or len(parts) == 1:
                entries[file] = self.entry(name, file)
        return self.answer(list(entries.values()))

    def paths_info(self, name: str) -> None:
        if self.headers.get("Content-Type", "").startswith("application/json"):
            paths = json.loads(self.body)["paths"]
        else:
            paths = parse_qs(self.body.decode()).get("paths", [])
        entries = []
        for path in paths:
            if path in self.hub.repos[name]:
                entries.append(self.entry(name, path))
            elif any(file.startswith(f"{path}/") for file in self.hub.repos[name]):
                entries.append({"type": "directory", "path": path, "oid": "0" * 40, "size": 0})
        self.answer(entries)

    def entry(self, name: str, path: str) -> dict:
        data = self.hub.repos[name][path]
        entry = {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        if path.endswith(IN_LFS):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return entry

    def resolve(self, name: str, path: str) -> None:
        """A file, or the part of it that a Range header asks for."""
        if path not in self.hub.repos[name]:
            return self.error(404, "EntryNotFound")
        data = self.hub.repos[name][path]
        etag = f'"{(hashlib.sha256 if path.endswith(IN_LFS) else hashlib.sha1)(data).hexdigest()}"'
        headers = {"X_Repo_Commit": self.hub.sha(name), "ETag": etag, "Accept_Ranges": "bytes"}
        if path.endswith(IN_LFS):
            headers |= {"X_Linked_Etag": etag, "X_Linked_Size": str(len(data))}
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return self.answer(data, **headers)
        first = int(asked[1]) if asked[1] else max(0, len(data) - int(asked[2]))
        last = min(int(asked[2]), len(data) - 1) if asked[1] and asked[2] else len(data) - 1
        if first >= len(data):
            return self.answer(b"", 416, Content_Range=f"bytes */{len(data)}")
        return self.answer(data[first : last + 1], 206, Content_Range=f"bytes {first}-{last}/{len(data)}", **headers)

    def log_message(self, *args) -> None:
        """Stay quiet."""
