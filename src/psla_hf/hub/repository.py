"""A repository on the Hub: made, checked, filled in one commit. Knows nothing of models, data sets and cards."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, TypeVar

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HTTPError, RevisionNotFoundError
from huggingface_hub.utils import validate_repo_id

__all__ = ["Contents", "Publication", "PublishError", "Repository", "check_repo_id"]


Contents = Mapping[str, Path | bytes]  # a local file, or bytes, for each path in a repository

RepoType = Literal["model", "dataset"]

Answer = TypeVar("Answer")

RETRY_WAITS = (1.0, 2.0, 4.0)  # seconds; huggingface_hub repeats uploads by itself, but not what makes a repository

TRANSIENT = (429, 500, 502, 503, 504)

TEXT = (".csv", ".json", ".md", ".py", ".txt")

ANY_TOKEN = re.compile(r"\bhf_[A-Za-z]{34}\b")  # the form of the Hub's tokens

WHAT_TO_DO = {
    401: "Log in with `hf auth login`, or set HF_TOKEN to a token that may write.",
    403: "The token has no right to write there: use another one, another repository, or a pull request.",
    404: "Check the name and, if the repository is private, that the token is its owner's.",
}


class PublishError(OSError):
    """Publishing failed; the message says what is there and how to go on, and shows no token."""


@dataclass(frozen=True)
class Publication:
    """What was published.

    Attributes:
        url: The repository's address.
        files: Size in bytes of each file that was to be there, by its path in the repository.
        commit: The commit that has them all; none if nothing was sent.
        pull_request: The pull request's address, if one was opened.
    """

    url: str
    files: Mapping[str, int]
    commit: str | None = None
    pull_request: str | None = None

    @classmethod
    def of(cls, url: str, files: Contents, commit: CommitInfo | None = None) -> "Publication":
        """What a commit published, or without one what would be."""
        sizes = {path: len(c) if isinstance(c, bytes) else c.stat().st_size for path, c in files.items()}
        return cls(url, sizes, commit and commit.oid, commit and commit.pr_url)

    def __str__(self) -> str:
        head = f"{self.pull_request or self.url}, commit {self.commit}:"
        if self.commit is None:
            head = f"Nothing was sent. These files would be in {self.url}:"
        return "\n".join([head, *(f"  {path}  {size:,} bytes" for path, size in self.files.items())])


def check_repo_id(repo_id: str) -> None:
    """Refuse what is no name with an owner: the Hub would find one for it, and what refers to it would not.

    Raises:
        ValueError: It is none.
    """
    if repo_id.count("/") != 1:
        raise ValueError(
            f"Expected a repository as OWNER/NAME, got {repo_id!r}. Put your name, or your organisation's, before it."
        )
    validate_repo_id(repo_id)


@dataclass(frozen=True)
class Repository:
    """A repository that is there, of one's own or to which one proposes changes.

    Attributes:
        repo_id: Such as `user/name`.
        repo_type: What it holds.
        url: Its address.
        api: How to reach it, and as whom.
    """

    repo_id: str
    repo_type: RepoType
    url: str
    api: HfApi

    @classmethod
    def open(
        cls, repo_id: str, repo_type: RepoType = "model", private: bool = True, api: HfApi | None = None
    ) -> "Repository":
        """Make sure that a repository is there: it is made if it does not exist.

        Args:
            repo_id: Such as `user/name`.
            repo_type: What it holds.
            private: Only you and your organisation are to see it.
            api: How to reach the Hub, and as whom. By default as huggingface_hub finds out, with the token that
                `hf auth login` stored, or that of `HF_TOKEN`.

        Raises:
            PublishError: The Hub refuses, or cannot be reached.
            ValueError: It has no owner's name, or is public already although a private one was asked for.
        """
        check_repo_id(repo_id)
        api = api or HfApi()
        with _explained(api, f"open the repository {repo_id}", "Nothing was uploaded."):
            url = _retrying(lambda: api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True))
            public = not api.repo_info(url.repo_id, repo_type=repo_type).private
        if private and public:
            raise ValueError(
                f"Expected a private repository, {url.repo_id} exists and is public; nothing was uploaded. Make it "
                "private in its settings, choose another name, or ask for a public one."
            )
        return cls(url.repo_id, repo_type, str(url), api)

    def files(self, revision: str | None = None) -> list[str]:
        """Paths of the files there, on a branch; on `main` if there is no such branch yet.

        Raises:
            PublishError: The Hub refuses, or cannot be reached.
        """
        with _explained(self.api, f"list the files of {self.repo_id}", "Nothing was uploaded."):
            return _retrying(lambda: self._paths(revision))

    def _paths(self, revision: str | None) -> list[str]:
        try:
            return self.api.list_repo_files(self.repo_id, repo_type=self.repo_type, revision=revision)
        except RevisionNotFoundError:
            return self.api.list_repo_files(self.repo_id, repo_type=self.repo_type)

    def fill(
        self,
        files: Contents,
        message: str,
        *,
        revision: str | None = None,
        create_pr: bool = False,
        replaces: Sequence[str] = (),
    ) -> Publication:
        """Put files in, in one commit: the repository shows all of them or none.

        Large files go ahead of the commit, which makes them part of the repository; what has arrived is not sent
        again. Broken off, it can therefore simply be done again.

        Args:
            files: What is to be there.
            message: The commit's first line.
            revision: The branch; made if it does not exist. By default `main`.
            create_pr: Open a pull request with the files instead.
            replaces: Patterns of paths: files there that fit one, and are not among the new ones, are deleted in the
                same commit.

        Raises:
            PublishError: The Hub refuses, cannot be reached, or the connection breaks.
            ValueError: A file holds a token, or both a branch and a pull request are asked for; nothing was uploaded.
        """
        if revision and create_pr:
            raise ValueError(f"Expected a branch or a pull request, got the branch {revision!r} and create_pr.")
        self._refuse_tokens(files)

        def commit() -> CommitInfo:
            there = [path for path in self._paths(revision) if any(fnmatch(path, old) for old in replaces)]
            operations: list[CommitOperationAdd | CommitOperationDelete] = [
                *(CommitOperationAdd(path, content) for path, content in files.items()),
                *(CommitOperationDelete(path) for path in there if path not in files),
            ]
            return self.api.create_commit(
                self.repo_id,
                operations,
                commit_message=message,
                create_pr=create_pr,
                repo_type=self.repo_type,
                revision=revision,
            )

        left = f"{self.url} is there and shows what it showed before: files become visible all together or not at all."
        again = "Do the same again: what has arrived is not sent again."
        if create_pr:
            again = f"If {self.url}/discussions has no new pull request, do the same again."
        with _explained(self.api, f"publish in {self.repo_id}", f"{left} {again}"):
            if revision:
                self.api.create_branch(self.repo_id, branch=revision, repo_type=self.repo_type, exist_ok=True)
            # A commit whose answer was lost is found there by the next try, which then has nothing to commit; a pull
            # request is not.
            done = commit() if create_pr else _retrying(commit)
        return Publication.of(self.url, files, done)

    def fill_in_parts(self, folder: str | Path, patterns: Sequence[str], message: str) -> None:
        """Put a folder of any size in, in several commits if need be: run again after a break, it goes on.

        (`upload_folder` does that where hf_xet is installed; `upload_large_folder` is gone from huggingface_hub 2.)

        Args:
            folder: A local one.
            patterns: Of the files in it that are meant.
            message: The commits' first line.

        Raises:
            PublishError: The Hub refuses, cannot be reached, or the connection breaks.
        """
        state = f"{self.url} may have some of the files. Do the same again: what has arrived is not sent again."
        with _explained(self.api, f"publish in {self.repo_id}", state):
            self.api.upload_folder(
                repo_id=self.repo_id,
                repo_type=self.repo_type,
                folder_path=folder,
                allow_patterns=list(patterns),
                commit_message=message,
            )

    def _refuse_tokens(self, files: Contents) -> None:
        """What is published is public sooner or later, and a token in it is everybody's."""
        token = _token(self.api)
        for path, content in files.items():
            if not path.endswith(TEXT):
                continue
            text = (content if isinstance(content, bytes) else content.read_bytes()).decode("utf-8", "replace")
            if ANY_TOKEN.search(text) or (token and token in text):
                raise ValueError(
                    f"Expected no access token in what is to be published, {path} holds one; nothing was uploaded. "
                    "Remove it, and revoke the token if others may have seen it."
                )


def _token(api: HfApi) -> str | None:
    return api.token if isinstance(api.token, str) else get_token()


@contextmanager
def _explained(api: HfApi, what: str, state: str) -> Iterator[None]:
    """Turn the Hub's errors into ours, which say what state things are in; a token is not repeated."""
    try:
        yield
    except (HTTPError, OSError, RuntimeError) as error:  # huggingface_hub wraps an upload's in a RuntimeError
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else None
        answer, token = " ".join(f"{type(cause).__name__}: {cause}".split()), _token(api)
        shown = answer.replace(token, "(the token)") if token else answer
        message = f"Could not {what}. {state} {WHAT_TO_DO.get(status or 0, '')} The Hub said: {shown}"
        # The cause goes along for a traceback, unless it repeats the token.
        raise PublishError(" ".join(message.split())) from (cause if shown == answer else None)


def _retrying(call: Callable[[], Answer]) -> Answer:
    """Call again, after growing waits, as long as the Hub or the network has a passing trouble."""
    for wait in RETRY_WAITS:
        try:
            return call()
        except HfHubHTTPError as error:
            if error.response.status_code not in TRANSIENT:
                raise
        except HTTPError:  # of the network: no answer came
            pass
        time.sleep(wait)
    return call()
