"""Files by path or address, remote ones by ranges and with retries. Knows nothing of what is in them.

Retries are `huggingface_hub.utils.http_backoff`'s, as in `HfFileSystem`. That lists repositories here but does not read
them: it opens no plain `http(s)://` address, and does not notice a server that ignores ranges.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from huggingface_hub import HfFileSystem, get_token, hf_hub_url
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff

from psla_hf.files import digest

__all__ = ["REMOTE", "RemoteFile", "files_under", "files_version", "open_binary"]


REMOTE = ("http://", "https://", "hf://")

HUB_DATASETS = "hf://datasets/"

MAX_RETRIES = 8  # waits of 1, 2, 4, 8, 8, … s: about 40 s before a read is given up

TIMEOUT_SECONDS = 30.0


class RemoteFile(io.RawIOBase):
    """A file at an `http(s)://` or `hf://datasets/…` address, read by ranges; nothing is kept on disk.

    A request that stalls, breaks off or gets a server error (or 429) is made again, with waits that double, by
    `huggingface_hub`'s `http_backoff`.

    Args:
        address: `hf://datasets/owner/name[@revision]/path` or a plain address. The server must answer range requests.
        max_retries: How often a request is repeated before its error is raised.
        base_wait_seconds: The first wait; each next one is twice as long, up to 8 s.
        timeout_seconds: How long a connection may be silent.

    Raises:
        OSError: The server does not have the file, does not answer ranges, or failed too often.
    """

    def __init__(
        self,
        address: str,
        max_retries: int = MAX_RETRIES,
        base_wait_seconds: float = 1.0,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ):
        self.address = address
        self._url = _web_address(address)
        self._headers = build_hf_headers(token=get_token()) if address.startswith("hf://") else {}
        self._retry: dict[str, Any] = {
            "max_retries": max_retries,
            "base_wait_time": base_wait_seconds,
            "timeout": timeout_seconds,
            "follow_redirects": True,
        }
        self._position = 0
        response = self._get(0, 1)
        self.size = int(response.headers["Content-Range"].rpartition("/")[2])
        self.etag = response.headers.get("ETag", "")

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The current position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, without a request."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        return self._position

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]  # a buffer has no public type yet
        """Fill the buffer with one range request, or with what is left of the file."""
        length = min(len(buffer), self.size - self._position)
        if length <= 0:
            return 0
        content = self._get(self._position, length).content
        if len(content) != length:
            raise OSError(f"Expected {length} bytes of {self.address}, got {len(content)}.")
        buffer[:length] = content
        self._position += length
        return length

    def _get(self, start: int, length: int):  # type: ignore[no-untyped-def]  # the type of huggingface_hub's client
        headers = {**self._headers, "Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
        response = http_backoff("GET", self._url, headers=headers, **self._retry)
        hf_raise_for_status(response)
        if response.status_code != 206:
            raise OSError(
                f"Expected {self.address} to answer a range request with status 206, got {response.status_code}. "
                "Streaming needs a server with range requests; otherwise download the file."
            )
        return response


def open_binary(address: str | Path) -> BinaryIO:
    """Open a local path or a remote address for reading; seekable either way."""
    if str(address).startswith(REMOTE):
        return io.BufferedReader(RemoteFile(str(address)), buffer_size=2**16)
    return Path(address).open("rb")


def files_version(files: Sequence[str]) -> str:
    """SHA-256 that changes when a file does: of names and sizes, and of the time of change, or remotely the ETag."""
    versions = []
    for file in files:
        if file.startswith(REMOTE):
            remote = RemoteFile(file)
            versions.append((file, remote.size, remote.etag))
        else:
            status = Path(file).stat()
            versions.append((file, status.st_size, str(status.st_mtime_ns)))
    return digest(repr(versions))


def files_under(source: str | Path | Sequence[str | Path], suffixes: tuple[str, ...]) -> list[str]:
    """Files with one of the suffixes, sorted: a folder's (at any depth), one file, an address, or a list of these.

    Of a folder, what is hidden is left out, as `datasets` does: there killed processes leave halves of files.

    Args:
        source: A local folder or file; `hf://datasets/owner/name[@revision][/folder]`; an `http(s)://` address of one
            file (a web server cannot be asked for its files); or several of these.
        suffixes: Such as `(".parquet",)`.
    """
    if not isinstance(source, str | Path):
        return [file for part in source for file in files_under(part, suffixes)]
    if str(source).endswith(suffixes):
        return [str(source)]
    if str(source).startswith("hf://"):
        found = HfFileSystem().find(str(source).removeprefix("hf://"))
        return sorted(f"hf://{path}" for path in found if path.endswith(suffixes))
    files = (path for path in Path(source).rglob("*") if path.name.endswith(suffixes) and path.is_file())
    return sorted(str(path) for path in files if not is_hidden(path, Path(source)))


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether a path inside a folder, or a folder on the way to it, is hidden."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _web_address(address: str) -> str:
    """Where the content of an address is."""
    if not address.startswith("hf://"):
        return address
    owner, name, path = (*address.removeprefix(HUB_DATASETS).split("/", 2), "", "")[:3]
    if not address.startswith(HUB_DATASETS) or not path:
        raise ValueError(f"Expected hf://datasets/owner/name[@revision]/path, got {address}.")
    name, _, revision = name.partition("@")
    return hf_hub_url(f"{owner}/{name}", path, repo_type="dataset", revision=revision or None)
