"""The requests that the tests' loopback Hub answers, and how."""

import base64
import hashlib
import json
import re
import socket
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from huggingface_hub.utils.sha import git_hash

OWNER, STRANGER = "hf_loopbackOwner", "hf_loopbackStranger"  # tokens
USERS = {OWNER: "user", STRANGER: "stranger"}
IN_LFS = (".parquet", ".safetensors", ".bin", ".flac", ".wav", ".arrow", ".png")  # else a file is part of the commit
API = r"/api/(?P<kind>models|datasets)/(?P<repo>[^/]+/[^/]+)"
FILES = r"(/(?P<kind>datasets))?/(?P<repo>[^/]+/[^/]+)"
REVISION = r"(?P<revision>[^/]+)"
PULL_REQUEST = "refs/pr/"


class Handler(BaseHTTPRequestHandler):
    """The calls of `create_repo`, `create_commit`, `hf_hub_download`, `repo_info`, … and of `load_dataset`."""

    hub: Any  # a fake_hub.FakeHub
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
                rf"{API}/branch/(?P<branch>[^/]+)": self.create_branch,
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
        request = f"{self.command} {self.path}"
        self.hub.requests.append(request)
        trouble = self.hub.trouble_of(request)
        length = int(self.headers.get("Content-Length") or 0)
        if trouble == "cut":
            if length or "Transfer-Encoding" in self.headers:  # else there is nothing more to come
                self.rfile.read(max(1, length // 2))
            return self.hang_up()
        self.answer_is_lost = trouble == "lost"
        self.body = self.rfile.read(length) if length else self.read_chunks()
        if isinstance(trouble, int):
            return self.error(trouble, "Trouble")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in USERS:  # a careless proxy that repeats what it was told
            return self.error(401, "Unauthorized", f"Invalid credentials in Authorization header: {token}")
        self.user = USERS.get(token)
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        for pattern, method in table.items():
            match = re.fullmatch(pattern, url.path)
            if match:
                found = {key: unquote(value) for key, value in match.groupdict().items() if value is not None}
                return method(**found) if "repo" not in found else self.route_to_repo(method, found)
        return self.error(404, "NotFound")

    def route_to_repo(self, method, found: dict) -> None:
        """Call a repository's method, if it is there for this user and has the revision."""
        name = f"{found.pop('kind', 'models')}/{found.pop('repo')}"
        self.owns = self.user is not None and name.split("/")[1] == self.user
        if name not in self.hub.repos or (name in self.hub.private and not self.owns):
            return self.error(404, "RepoNotFound")
        self.revision = found.pop("revision", "main")
        files = self.hub.files(name, self.revision)
        if files is None:
            return self.error(404, "RevisionNotFound")
        self.files = files
        return method(name, **found)

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
        if self.answer_is_lost:
            return self.hang_up()
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
        for key, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        return None

    def error(self, status: int, code: str, message: str | None = None) -> None:
        self.answer({"error": message or code}, status, X_Error_Code=code, X_Error_Message=message or code)

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def may_write(self) -> bool:
        """Whether this is the owner's; says no by itself. A pull request is anybody's who is somebody."""
        asks = self.query.get("create_pr") == ["1"] and self.user is not None
        if not (self.owns or asks):
            self.error(403 if self.user else 401, "Forbidden", "You don't have write access to this repository")
        return self.owns or asks

    def whoami(self) -> None:
        if self.user is None:
            return self.error(401, "Unauthorized")
        return self.answer({"type": "user", "name": self.user, "orgs": []})

    def create(self) -> None:
        asked = json.loads(self.body)
        repo = f"{asked.get('organization') or self.user}/{asked['name']}"
        name = f"{asked.get('type') or 'model'}s/{repo}"
        url = f"{self.hub.url}/{name.removeprefix('models/')}"
        if self.user is None:
            return self.error(401, "Unauthorized", "You must be logged in")
        if not repo.startswith(f"{self.user}/"):
            return self.error(403, "Forbidden", f"You don't have the rights to create a repository in {repo}")
        if name in self.hub.repos:
            return self.answer({"error": "You already created this repo", "url": url}, 409)
        self.hub.repos[name] = {}
        if asked.get("private") or asked.get("visibility") == "private":
            self.hub.private.add(name)
        return self.answer({"url": url, "name": repo, "id": repo})

    def validate_yaml(self) -> None:
        self.answer({"errors": [], "warnings": []})

    def create_branch(self, name: str, branch: str) -> None:
        if not self.may_write():
            return None
        if branch == "main" or (name, branch) in self.hub.branches:
            return self.error(409, "Conflict", f"The branch {branch} exists")
        self.hub.branches[name, branch] = dict(self.hub.repos[name])
        return self.answer({})

    def preupload(self, name: str) -> None:
        if not self.may_write():
            return None
        files = []
        for file in json.loads(self.body)["files"]:
            mode = "lfs" if file["path"].endswith(IN_LFS) else "regular"
            answer = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
            if file["path"] in self.files:  # so that the client leaves out what is there already
                data = self.files[file["path"]]
                answer["oid"] = hashlib.sha256(data).hexdigest() if mode == "lfs" else git_hash(data)
            files.append(answer)
        return self.answer({"files": files})

    def lfs_batch(self, name: str) -> None:
        """Where to put objects; nowhere for one that is here from an earlier try."""
        objects = json.loads(self.body)["objects"]
        for object_ in objects:
            if object_["oid"] not in self.hub.uploads:
                href = f"{self.hub.url}/uploads/{object_['oid']}"
                object_["actions"] = {"upload": {"href": href, "header": {}}}
        self.answer({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self.error(400, "WrongHash")
        self.hub.uploads[oid] = self.body
        return self.answer({})

    def commit(self, name: str) -> None:
        """All operations or none."""
        if not self.may_write():
            return None
        files, message = dict(self.files), ""
        for line in self.body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "header":
                message = value["summary"]
            elif operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                if value["oid"] not in self.hub.uploads:
                    return self.error(400, "LfsFileMissing")
                files[value["path"]] = self.hub.uploads[value["oid"]]
            elif operation["key"] == "deletedFile":
                if files.pop(value["path"], None) is None:
                    return self.error(404, "EntryNotFound", "A file with this name doesn't exist")
            elif operation["key"] == "deletedFolder":
                for path in [path for path in files if path.startswith(value["path"].rstrip("/") + "/")]:
                    del files[path]
        revision, answer = self.revision, {"success": True}
        if self.query.get("create_pr") == ["1"]:
            number = 1 + sum(repo == name and branch.startswith(PULL_REQUEST) for repo, branch in self.hub.branches)
            revision = f"{PULL_REQUEST}{number}"
            answer["pullRequestUrl"] = f"{self.hub.url}/{name.removeprefix('models/')}/discussions/{number}"
        if revision == "main":
            self.hub.repos[name] = files
        else:
            self.hub.branches[name, revision] = files
        self.hub.commits.append(f"{name} {revision}: {message}")
        sha = self.hub.sha(name, revision)
        answer |= {"commitOid": sha, "commitUrl": f"{self.hub.url}/{name.removeprefix('models/')}/commit/{sha}"}
        return self.answer(answer)

    def repo_info(self, name: str) -> None:
        repo = name.split("/", 1)[1]
        info = {
            "_id": "0",
            "id": repo,
            "author": repo.split("/")[0],
            "sha": self.hub.sha(name, self.revision),
            "private": name in self.hub.private,
            "gated": "manual" if name in self.hub.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "lastModified": "2024-01-01T00:00:00.000Z",
            "createdAt": "2024-01-01T00:00:00.000Z",
            "siblings": [{"rfilename": path} for path in sorted(self.files)],
        }
        self.answer(info)

    def tree(self, name: str, path: str = "") -> None:
        """The files in a folder, with `recursive` also those below, and the folders."""
        prefix = f"{path.strip('/')}/" if path.strip("/") else ""
        below = sorted(file for file in self.files if file.startswith(prefix))
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
                entries[file] = self.entry(file)
        return self.answer(list(entries.values()))

    def paths_info(self, name: str) -> None:
        if self.headers.get("Content-Type", "").startswith("application/json"):
            paths = json.loads(self.body)["paths"]
        else:
            paths = parse_qs(self.body.decode()).get("paths", [])
        entries = []
        for path in paths:
            if path in self.files:
                entries.append(self.entry(path))
            elif any(file.startswith(f"{path}/") for file in self.files):
                entries.append({"type": "directory", "path": path, "oid": "0" * 40, "size": 0})
        self.answer(entries)

    def entry(self, path: str) -> dict:
        data = self.files[path]
        entry = {"type": "file", "path": path, "size": len(data), "oid": git_hash(data)}
        if path.endswith(IN_LFS):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return entry

    def resolve(self, name: str, path: str) -> None:
        """A file, or the part of it that a Range header asks for."""
        if name in self.hub.gated and not self.owns:
            return self.error(403, "GatedRepo", "Access to this repository is restricted")
        if path not in self.files:
            return self.error(404, "EntryNotFound")
        data = self.files[path]
        etag = f'"{hashlib.sha256(data).hexdigest() if path.endswith(IN_LFS) else git_hash(data)}"'
        headers = {"X_Repo_Commit": self.hub.sha(name, self.revision), "ETag": etag, "Accept_Ranges": "bytes"}
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
