"""What is published is complete, loads where nothing else is installed, and says what it is."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import soundfile
import torch
from huggingface_hub import DatasetCard, HfApi, ModelCard
from safetensors.torch import load_file, save_file

from psla_hf import AudioTagger
from psla_hf.aggregation.members import Member
from psla_hf.commands import run as psla
from psla_hf.hub.dataset_cards import label_card
from psla_hf.hub.publish import model_files, push_labels, push_model
from tests import fake_hub, published
from tests.commands.test_commands import SMALL
from tests.conftest import CODE_FILES
from tests.fake_hub import OWNER, STRANGER
from tests.published import VOCABULARY, change, write_label_set

hub, online = fake_hub.hub, fake_hub.online
run, together = published.run, published.together

FILES = {"config.json", "preprocessor_config.json", "model.safetensors", "README.md", "results.json", *CODE_FILES}


@pytest.fixture
def api(hub, online) -> HfApi:
    """The owner's way to the Hub."""
    return HfApi(endpoint=hub.url, token=OWNER)


@pytest.fixture
def copy(run, tmp_path) -> Path:
    """A copy of the run that may be changed."""
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def label_sets(tmp_path) -> dict[str, Path]:
    return {"mean": write_label_set(tmp_path / "mean"), "25P": write_label_set(tmp_path / "quarter", threshold=25.0)}


def in_a_fresh_process(hub, tmp_path, code: str, *arguments) -> str:
    """What Python code prints, run where `sound.wav` lies and with the Hub as the Hub."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((22050, 2))
    soundfile.write(tmp_path / "sound.wav", noise, 22050)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    env = {**hub.env, "HF_MODULES_CACHE": str(tmp_path / "modules")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_is_published_whole_and_with_its_card(run, hub, api):
    publication = push_model(run, "user/esc10", api=api)
    there = hub.repos["models/user/esc10"]
    assert set(there) == FILES == set(publication.files)
    assert there["results.json"] == (run / "results.json").read_bytes()
    assert there["model.safetensors"] == (run / "model.safetensors").read_bytes()
    assert 'from_pretrained("user/esc10")' in there["README.md"].decode()
    assert hub.private == {"models/user/esc10"} and len(hub.commits) == 1
    push_model(run / "last_epoch", "user/last", private=False, api=api)
    last = hub.repos["models/user/last"]
    assert last["model.safetensors"] == (run / "last_epoch" / "model.safetensors").read_bytes()
    assert last["results.json"] == there["results.json"] and "models/user/last" not in hub.private


def test_an_ensemble_replaces_a_single_model_and_its_weights(run, together, hub, api):
    push_model(run, "user/esc10", api=api)
    hub.repos["models/user/esc10"] |= {"model-00001-of-00002.safetensors": b"old", "notes.md": b"mine"}
    push_model(together, "user/esc10", api=api)
    there = set(hub.repos["models/user/esc10"])
    assert there == FILES | {"modeling_psla_ensemble.py", "notes.md"}


def test_results_that_no_model_was_made_for_are_not_published(run, together, hub, api, tmp_path):
    """As `aggregate.py ensemble --no-model --overwrite` once left them: beside another model."""
    shutil.copytree(run, tmp_path / "table")
    shutil.copy(together / "results.json", tmp_path / "table")
    change(tmp_path / "table" / "results.json", model=False)
    with pytest.raises(ValueError, match="none was made"):
        push_model(tmp_path / "table", "user/table", api=api)
    assert not hub.requests


@pytest.mark.parametrize("name", ["esc10", "a/b/c", "/esc10", "user/"])
def test_a_repository_has_an_owner_in_its_name(run, label_sets, hub, api, name):
    with pytest.raises(ValueError, match=r"OWNER/NAME|Repo id must"):
        push_model(run, name, api=api, dry_run=True)
    with pytest.raises(ValueError, match=r"OWNER/NAME|Repo id must"):
        push_labels(label_sets, name, license="mit", api=api, dry_run=True)
    assert not hub.requests


def test_a_member_that_is_nowhere_to_be_reached_has_no_origin():
    assert Member("user/never_seen").origin() is None


def test_a_dry_run_writes_the_card_and_asks_nobody(copy, hub, capsys):
    psla(["publish", "model", copy, "user/esc10", "--dry-run"])  # with the Hub switched off
    printed = capsys.readouterr().out
    assert "Nothing was sent" in printed and all(f"  {name}  " in printed for name in FILES)
    assert ModelCard.load(copy / "README.md").data.model_name == "esc10"
    assert not hub.requests


def test_training_publishes_at_its_end_and_knows_before_whether_it_may(hub, online, esc_folder, tmp_path, monkeypatch):
    """Refused at once, not after a week."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)

    def train(folder: str, token: str) -> None:
        monkeypatch.setenv("HF_TOKEN", token)
        data = ["--data-dir", esc_folder, "--output-dir", tmp_path / folder]
        psla(["train", *data, *SMALL, "--push-to-hub", "user/trained"])

    with pytest.raises(SystemExit) as stopped:
        train("refused", "hf_nobody")
    assert stopped.value.code == 2 and not (tmp_path / "refused").exists() and not hub.repos
    train("run", OWNER)
    assert set(hub.repos["models/user/trained"]) == FILES and hub.private == {"models/user/trained"}
    assert hub.repos["models/user/trained"]["results.json"] == (tmp_path / "run" / "results.json").read_bytes()


ONLINE = """
import json, re, sys
import soundfile
from datasets import load_dataset
from huggingface_hub import hf_hub_download
from transformers import AutoConfig, AutoModel, pipeline
from psla_hf import AudioTagger
from psla_hf.enhancement.label_set import LabelSet
from psla_hf.aggregation.members import Member

stranger, found = sys.argv[1], {}
for repo, token in ("gated", stranger), ("esc10", stranger), ("nothing", None), ("esc10", "hf_no"):
    try:
        AutoConfig.from_pretrained(f"user/{repo}", token=token)
    except OSError as error:
        found[f"{repo} {token}"] = " ".join(str(error).split())
audio = soundfile.read("sound.wav", dtype="float32")[0].mean(axis=1)
found["tags"] = AudioTagger.from_pretrained("user/esc10")(audio, 22050, top_k=None)
found["ensemble"] = AudioTagger.from_pretrained("user/both")(audio, 22050, top_k=None)
found["origins"] = [Member(f"user/{name}").origin() for name in ("esc10", "both", "bare")]
found["pipeline"] = len(pipeline("audio-classification", model="user/esc10")({"raw": audio, "sampling_rate": 22050}))
found["branch"] = AutoConfig.from_pretrained("user/esc10", revision="trial").label_names
found["hidden"] = AutoModel.from_pretrained("user/esc10").hidden_size
for block in re.findall(r"```python\\n(.*?)```", open(hf_hub_download("user/esc10", "README.md")).read(), re.S):
    exec(block, {})
card = open(hf_hub_download("user/labels", "README.md", repo_type="dataset")).read()
for block in re.findall(r"```python\\n(.*?)```", card, re.S):
    exec(block, {})
sets = {name: load_dataset("user/labels", name, split="train") for name in ("mean", "25P")}
found["labels"] = {name: clips.to_list() for name, clips in sets.items()}
found["classes"] = sets["mean"].features["added"].feature["label"].names
found["opened"] = LabelSet.open("user/labels:25P").enhanced.class_counts().tolist()
print(json.dumps(found))
"""


def test_what_is_published_loads_in_a_fresh_process(run, together, label_sets, hub, api, tmp_path):
    """With this package, without trust in the repository's code; and who may not see it does not."""
    push_model(run, "user/esc10", api=api)
    push_model(run, "user/esc10", revision="trial", api=api)
    push_model(together, "user/both", api=api)
    push_model(run, "user/gated", private=False, api=api)
    hub.gated.add("models/user/gated")
    push_labels(label_sets, "user/labels", license="cc-by-4.0", api=api)
    hub.repos["models/user/bare"] = {"config.json": b"{}"}
    printed = in_a_fresh_process(hub, tmp_path, ONLINE, STRANGER).strip().splitlines()
    found = json.loads(printed[-1])

    audio = soundfile.read(tmp_path / "sound.wav", dtype="float32")[0].mean(axis=1)
    for name, folder in (("tags", run), ("ensemble", together)):
        expected = {tag["label"]: tag["score"] for tag in AudioTagger.from_pretrained(folder)(audio, 22050, top_k=None)}
        assert {tag["label"]: tag["score"] for tag in found[name]} == pytest.approx(expected, abs=1e-6)
    assert found["origins"] == [Member(str(run)).origin(), Member(str(together)).origin(), None]
    assert found["pipeline"] == len(expected) and set(found["branch"]) == set(expected)
    assert "gated repo" in found[f"gated {STRANGER}"]
    for unseen in (f"esc10 {STRANGER}", "nothing None", "esc10 hf_no"):
        assert "is not a valid model identifier" in found[unseen] or "401" in found[unseen]
    assert found["labels"]["mean"] == found["labels"]["25P"]
    first = found["labels"]["mean"][0]
    assert (first["id"], first["labels"], first["enhanced_labels"]) == ("a", [1], [0, 1])
    assert first["added"][0] | {"score": 0.75} == first["added"][0] and found["classes"] == list(VOCABULARY.names)
    assert found["opened"] == [1, 1, 1]
    assert "['Animal', 'Dog, bark']" in printed[-2]  # what the card's example printed


WITHOUT_THE_PACKAGE = """
import re, sys
sys.modules["psla_hf"] = None  # as if it were not installed
from huggingface_hub import hf_hub_download

for repo in ("user/esc10", "user/both"):
    blocks = re.findall(r"```python\\n(.*?)```", open(hf_hub_download(repo, "README.md")).read(), re.S)
    assert "psla_hf" in blocks[0] and len(blocks) == 3
    for block in blocks[1:]:
        exec(block, {})
assert not any(name.startswith("psla_hf.") for name in sys.modules)
"""


def test_the_cards_examples_run_where_only_transformers_is(run, together, hub, api, tmp_path):
    push_model(run, "user/esc10", api=api)
    push_model(together, "user/both", api=api)
    printed = in_a_fresh_process(hub, tmp_path, WITHOUT_THE_PACKAGE)
    assert printed.count("'score'") == 6 and printed.count("tensor(") == 4


def test_label_sets_are_configurations_with_a_card(label_sets, hub, api):
    push_labels(label_sets, "user/labels", license="cc-by-4.0", teacher="user/teacher", api=api)
    there = hub.repos["datasets/user/labels"]
    names = ("labels.parquet", "vocabulary.csv", "class_counts.json", "report.json", "report.md", "report.png")
    assert set(there) == {"README.md", *(f"{config}/{name}" for config in label_sets for name in names)}
    card = DatasetCard(there["README.md"].decode())
    assert [config["config_name"] for config in card.data.configs] == ["mean", "25P"]
    assert card.data.license == "cc-by-4.0" and card.data.size_categories == ["n<1K"]
    for said in (
        "| `mean` | mean | I, II | no | 1 | 2 | 2 | 1 | 50.00 | 1 | 1 of 3 |",
        "| `25P` | percentile 25 |",
        "Teacher: user/teacher.",
        "`mean` 1 and 0",
        "gemmeke2017audioset",
        "gong2021psla",
        json.loads((label_sets["mean"] / "report.json").read_text())["commit"],
    ):
        assert said in card.text, said
    with pytest.raises(ValueError, match=r"all label sets of user/labels.*\['25P'\]"):
        push_labels({"mean": label_sets["mean"]}, "user/labels", license="cc-by-4.0", api=api)
    assert len(hub.commits) == 1


def test_a_label_set_made_from_another_one_is_of_the_loads_data(label_sets):
    figures = {"name": "mean", "clips": 2, "labels_before": 2, "labels_after": 3, "soft": False}
    parts = {"train": {"source": "AudioSet balanced_train, unbalanced_train (streamed)"}}
    facts = {"dataset": "audioset_full", "parts": parts, "label_set": figures}
    change(label_sets["mean"] / "report.json", data=facts, commit=None)
    card = label_card({"mean": label_sets["mean"]}, "user/labels", "cc-by-4.0").text
    assert "Labels for AudioSet, with" in card and "not from a git tree" in card
    change(label_sets["mean"] / "report.json", data={"dataset": "audioset_full", "parts": {"train": {}}})
    with pytest.raises(ValueError, match="missing: source"):
        label_card(label_sets, "user/labels", "cc-by-4.0")


def test_label_sets_that_do_not_belong_together_are_refused(label_sets):
    def refused(match: str) -> None:
        with pytest.raises((ValueError, FileNotFoundError), match=match):
            label_card(label_sets, "user/labels", "cc-by-4.0")

    report = label_sets["25P"] / "report.json"
    before = report.read_text()
    change(report, teacher="another")
    refused(r"label sets of one teacher, got \['another', 'runs/teacher'\]")
    other, otherwise = label_sets["mean"] / "report.json", (label_sets["mean"] / "report.json").read_text()
    change(report, teacher_fingerprint="1")
    change(other, teacher_fingerprint="1")  # the same under two names
    assert "Teacher: runs/teacher." in label_card(label_sets, "user/labels", "cc-by-4.0").text
    change(other, teacher_fingerprint="2")
    refused("those of mean, 25P have different weights")
    other.write_text(otherwise)
    change(report, dataset="fsd50k")
    refused(r"one data set .* got \['audioset_balanced', 'fsd50k'\]")
    report.write_text(before)
    change(report, "threshold")
    refused(r"report.json, missing: threshold")
    report.write_text(before)
    change(label_sets["25P"] / "class_counts.json", enhanced=[2, 1, 1])
    refused("enhanced differ")
    (label_sets["25P"] / "vocabulary.csv").unlink()
    refused("missing: vocabulary.csv")


def drop(name: str):
    return lambda folder: (folder / name).unlink()


def weights(change_them):
    def change_file(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change_them(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return change_file


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (drop("model.safetensors"), r"missing: \*\.safetensors"),
        (drop("preprocessor_config.json"), "missing: preprocessor_config.json"),
        (drop("modeling_psla.py"), r"code .*missing: \['modeling_psla.py'\]"),
        (weights(lambda tensors: tensors.popitem()), "1 missing"),
        (weights(lambda tensors: tensors.update(other=torch.ones(1))), "unexpected_keys"),
        (weights(lambda tensors: [t.fill_(torch.nan) for t in tensors.values() if t.is_floating_point()]), "nan"),
        (lambda folder: change(folder / "config.json", "auto_map"), "auto_map"),
    ],
    ids=["weights", "extractor", "code", "a tensor", "a tensor too many", "not numbers", "auto_map"],
)
def test_a_model_that_is_not_whole_is_not_published(copy, hub, api, damage, said):
    damage(copy)
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        push_model(copy, "user/esc10", api=api)
    assert not hub.requests


def test_all_code_that_is_imported_is_published(together):
    assert {name for name in model_files(together) if name.endswith(".py")} == CODE_FILES | {
        "modeling_psla_ensemble.py"
    }


def test_the_script_shows_no_token_whatever_it_is_told_to_show(run, hub, tmp_path):
    """The Hub here repeats a wrong token in its answer; debugging is on, and so are tracebacks."""
    token = "hf_loopbackWrongOne"
    env = {**hub.env, "HF_TOKEN": token, "HF_DEBUG": "1"}
    command = [sys.executable, "-m", "psla_hf.commands", "publish", "model", str(run), "user/esc10", "--debug"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert (
        done.returncode
        and "PublishError: Could not open the repository user/esc10. Nothing was uploaded." in done.stderr
    )
    assert token not in done.stdout + done.stderr
    assert not [path for path in run.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
    assert not hub.repos


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["model", "nowhere", "x"], "error: Expected a repository as OWNER/NAME, got 'x'"),
        (["model", "nowhere", "user/x"], "error: Expected a saved model in nowhere, missing: config.json"),
        (["labels", "user/x", "--config", "mean", "--license", "mit"], "expected NAME=DIR"),
        (["labels", "user/x", "--config", "mean=nowhere", "--license", "mit"], "error: Expected a label set"),
        (["labels", "user/x", "--config", "mean=nowhere"], "--license requires an argument"),
        (
            ["labels", "user/x", "--config", "mean=a", "--config", "mean=b", "--license", "mit"],
            "expected every --config once, got mean, mean",
        ),
        (["model", "nowhere", "user/x", "--pr", "--revision", "b"], "not allowed with"),
    ],
)
def test_what_a_user_gets_wrong_is_one_clear_line(capsys, arguments, said):
    with pytest.raises(SystemExit) as stopped:
        psla(["publish", *arguments])
    assert stopped.value.code == 2
    assert said in re.sub(r"\s+", " ", capsys.readouterr().err)
