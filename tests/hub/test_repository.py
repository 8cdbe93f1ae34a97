"""A repository shows all files of a push or none, whatever befalls it; and a token is never shown."""

import time
import traceback

import huggingface_hub
import pytest
from huggingface_hub import HfApi

from psla_hf.hub.repository import PublishError, Repository
from tests import fake_hub
from tests.fake_hub import OWNER, STRANGER

hub, online = fake_hub.hub, fake_hub.online

NAME = "models/user/model"
WEIGHTS = bytes(range(256)) * 4000  # in LFS, and longer than what a broken connection lets through
FILES = {"model.safetensors": WEIGHTS, "config.json": b"{}", "README.md": b"---\nlicense: mit\n---\n# Model\n"}


@pytest.fixture
def api(hub, online, monkeypatch) -> HfApi:
    """The owner's way to the Hub, without waits between tries."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)  # an address of a repository is read with it
    return HfApi(endpoint=hub.url, token=OWNER)


def as_whom(hub, token: str) -> HfApi:
    return HfApi(endpoint=hub.url, token=token)


def times(hub, beginning: str) -> int:
    return sum(request.startswith(beginning) for request in hub.requests)


def test_all_files_come_in_one_commit_to_a_private_repository(hub, api):
    published = Repository.open("user/model", api=api).fill(FILES, "All of it")
    assert hub.repos[NAME] == FILES and hub.private == {NAME}
    assert hub.commits == [f"{NAME} main: All of it"]
    assert times(hub, "POST /api/models/user/model/preupload") == 1  # large files are read and hashed once
    assert (published.url, published.commit) == (f"{hub.url}/user/model", hub.sha(NAME))
    assert published.files == {path: len(content) for path, content in FILES.items()}


def test_what_has_not_changed_is_not_sent_again(hub, api):
    Repository.open("user/model", api=api).fill(FILES, "First")
    Repository.open("user/model", api=api).fill(FILES | {"config.json": b"{ }"}, "Second")
    assert hub.repos[NAME]["config.json"] == b"{ }"
    assert times(hub, "PUT /uploads") == 1 and len(hub.commits) == 2


def test_only_what_is_replaced_is_deleted(hub, api):
    hub.repos[NAME] = {"model-1-of-2.safetensors": b"old", "notes.txt": b"mine", "model.safetensors": b"old"}
    hub.private.add(NAME)
    Repository.open("user/model", api=api).fill(FILES, "New", replaces=["*.safetensors"])
    assert hub.repos[NAME] == FILES | {"notes.txt": b"mine"} and len(hub.commits) == 1


def test_a_branch_is_made_and_main_stays_as_it_is(hub, api):
    Repository.open("user/model", api=api).fill(FILES, "First")
    for attempt in range(2):  # the branch may be there
        Repository.open("user/model", api=api).fill({"config.json": b"[%d]" % attempt}, "Trial", revision="trial/one")
    assert hub.repos[NAME] == FILES
    assert hub.branches[NAME, "trial/one"] == FILES | {"config.json": b"[1]"}


def test_anybody_may_propose_changes_to_a_public_repository(hub, api):
    Repository.open("user/model", private=False, api=api).fill(FILES, "First")
    theirs = Repository.open("user/model", private=False, api=as_whom(hub, STRANGER))
    proposed = theirs.fill({"config.json": b"[]"}, "Better", create_pr=True)
    assert proposed.pull_request == f"{hub.url}/user/model/discussions/1"
    assert hub.repos[NAME] == FILES and hub.branches[NAME, "refs/pr/1"]["config.json"] == b"[]"
    with pytest.raises(PublishError, match=r"shows what it showed before.*no right to write.*403"):
        theirs.fill({"config.json": b"[]"}, "Better")
    with pytest.raises(ValueError, match="a branch or a pull request"):
        theirs.fill({"config.json": b"[]"}, "Better", create_pr=True, revision="trial")


def test_a_name_has_an_owner(hub, api):
    with pytest.raises(ValueError, match="OWNER/NAME, got 'model'"):
        Repository.open("model", api=api)
    assert not hub.requests


def test_a_public_repository_is_no_place_for_what_is_private(hub, api):
    hub.repos[NAME] = {}
    with pytest.raises(ValueError, match="user/model exists and is public; nothing was uploaded"):
        Repository.open("user/model", api=api)
    assert Repository.open("user/model", private=False, api=api).url


@pytest.mark.parametrize(
    ("token", "repo", "said"),
    [
        ("hf_loopbackWrong", "user/model", r"Nothing was uploaded\. Log in .*401"),
        (STRANGER, "user/model", r"Nothing was uploaded\. The token has no right .*403"),
        (STRANGER, "user/hidden", r"Nothing was uploaded\. The token has no right .*403"),
    ],
    ids=["wrong token", "another's name", "another's private repository"],
)
def test_a_refusal_says_that_nothing_happened_and_what_to_do(hub, api, token, repo, said):
    hub.repos["models/user/hidden"] = {}
    hub.private.add("models/user/hidden")
    with pytest.raises(PublishError, match=said):
        Repository.open(repo, api=as_whom(hub, token))
    assert not hub.commits and NAME not in hub.repos


@pytest.mark.parametrize(
    "request_", ["POST /api/repos/create", "POST /api/models/user/model/preupload", "PUT /uploads"]
)
@pytest.mark.parametrize("trouble", [503, "cut", "lost"])
def test_passing_trouble_is_survived(hub, api, request_, trouble):
    hub.cause(trouble, request_, times=2)
    Repository.open("user/model", api=api).fill(FILES, "All of it")
    assert hub.repos[NAME] == FILES and times(hub, request_) >= 3 and len(hub.commits) == 1


@pytest.mark.parametrize("trouble", [500, 503, "cut", "lost"])
def test_passing_trouble_with_the_commit_makes_one_commit(hub, api, trouble):
    """With "lost" the first try has succeeded and nobody knows."""
    hub.cause(trouble, "POST /api/models/user/model/commit", times=1)
    assert Repository.open("user/model", api=api).fill(FILES, "All of it").commit == hub.sha(NAME)
    assert hub.repos[NAME] == FILES and len(hub.commits) == 1 and times(hub, "PUT /uploads") == 1


@pytest.mark.parametrize("request_", ["PUT /uploads", "POST /api/models/user/model/commit"])
@pytest.mark.parametrize("trouble", ["cut", 503])
def test_a_push_that_is_broken_off_leaves_nothing_half_and_is_completed_by_the_next(hub, api, request_, trouble):
    repository = Repository.open("user/model", api=api)
    before = dict(hub.repos[NAME])
    hub.cause(trouble, request_, times=6)
    with pytest.raises(PublishError, match=r"shows what it showed before.*Do the same again"):
        repository.fill(FILES, "All of it")
    assert hub.repos[NAME] == before and not hub.commits
    hub.cause_no_more()
    sent = len(hub.uploads)
    Repository.open("user/model", api=api).fill(FILES, "All of it")
    assert hub.repos[NAME] == FILES and len(hub.commits) == 1
    assert sent == (0 if request_ == "PUT /uploads" else 1) and len(hub.uploads) == 1


def test_a_pull_request_whose_answer_is_lost_is_not_opened_twice(hub, api):
    repository = Repository.open("user/model", api=api)
    hub.cause("lost", "POST /api/models/user/model/commit")
    with pytest.raises(PublishError, match="discussions has no new pull request, do the same again"):
        repository.fill(FILES, "Proposal", create_pr=True)
    assert len(hub.commits) == 1


def test_no_token_is_published(hub, api):
    repository = Repository.open("user/model", api=api)
    real = "hf_" + "aBcDeFgHiJkLmNoPq" * 2  # of the form that the Hub gives out
    for token in (OWNER, real):
        with pytest.raises(ValueError, match=r"results\.json holds one; nothing was uploaded") as refused:
            repository.fill(FILES | {"results.json": f'{{"command": "x --token {token}"}}'.encode()}, "All of it")
        assert token not in str(refused.value)
    assert not hub.uploads and not hub.commits


def test_no_token_is_shown_by_errors_that_repeat_it(hub, api):
    wrong = "hf_loopbackWrong"
    hub.repos[NAME] = {}
    hub.private.add(NAME)
    there = Repository("user/model", "model", hub.url, as_whom(hub, wrong))
    for ask in (there.files, lambda: Repository.open("user/model", api=there.api)):
        with pytest.raises(
            PublishError, match=r"Nothing was uploaded\..*\(the token\)"
        ) as refused:  # the Hub repeats it
            ask()
        assert wrong not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("trouble", [503, "cut"])
def test_listing_survives_passing_trouble_and_explains_what_stays(hub, api, trouble):
    there = Repository.open("user/model", api=api)
    hub.cause(trouble, "GET /api/models/user/model/tree", times=2)
    assert there.files() == list(hub.repos[NAME])
    hub.cause(trouble, "GET /api/models/user/model/tree", times=100)
    with pytest.raises(PublishError, match=r"list the files of user/model\. Nothing was uploaded"):
        there.files()
