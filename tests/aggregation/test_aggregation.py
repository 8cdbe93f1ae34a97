"""Averages, ensembles and their figures, from saved models to result files; what does not go together is refused."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForAudioClassification

from psla_hf import (
    AudioTagger,
    PslaConfig,
    PslaEnsembleForAudioClassification,
    PslaFeatureExtractor,
    PslaForAudioClassification,
)
from psla_hf.aggregation.aggregate import (
    Scorer,
    average,
    averaging_curve,
    ensemble,
    ensemble_of_scores,
    greedy_average,
    open_output,
    read_scores,
    save_aggregate,
    save_scores,
)
from psla_hf.aggregation.members import Member, find_members, kept_epochs
from psla_hf.commands import run as run_command
from psla_hf.data.load import load_esc
from psla_hf.evaluation import tagging_metrics
from tests.conftest import CATEGORIES, CODE_FILES, TINY_BACKBONE


@pytest.fixture(scope="module")
def zoo(tmp_path_factory) -> Path:
    """Saved taggers of half-second clips: three alike, and others that differ from them in one thing each."""
    folder = tmp_path_factory.mktemp("zoo")
    kinds = {
        "a": {},
        "b": {},
        "c": {},
        "turned": {"names": CATEGORIES[::-1]},
        "other_classes": {"names": ("dog", "rain", "cat")},
        "other_backbone": {"backbone": "test_resnet"},
        "other_length": {"max_length": 64},
        "half": {"dtype": torch.bfloat16},
        "half_too": {"dtype": torch.bfloat16},
    }
    for seed, (name, kind) in enumerate(kinds.items()):
        save(folder / name, seed, **kind)
    return folder


def save(
    folder: Path, seed: int, names=CATEGORIES, max_length: int = 48, dtype: torch.dtype = torch.float32, **settings
) -> None:
    torch.manual_seed(seed)
    config = PslaConfig(**{"backbone": TINY_BACKBONE, "id2label": dict(enumerate(names)), **settings})
    model = PslaForAudioClassification(config)
    model.pooling.scores.weight.data *= 30  # so that clips have scores of their own
    model.to(dtype).save_pretrained(folder)
    PslaFeatureExtractor(max_length=max_length).save_pretrained(folder)


@pytest.fixture
def scorer(esc_folder, accelerator) -> Scorer:
    return Scorer(load_esc(esc_folder, 1, quiet=True)["test"], accelerator)


@pytest.fixture
def psla(capsys):
    """Run a command in this process and return what it printed."""

    def call(*words) -> str:
        run_command(words)
        return capsys.readouterr().out

    return call


def members(zoo: Path, *names: str) -> list[Member]:
    return find_members([str(zoo / name) for name in names])


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_members_are_directories_files_patterns_and_hub_ids(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(zoo)
    assert [member.name for member in find_members(["[abc]", "turned"])] == ["a", "b", "c", "turned"]
    assert find_members([str(zoo / "a" / "model.safetensors")]) == [Member(str(zoo / "a"))]
    assert find_members(["someone/model"]) == [Member("someone/model")]
    assert Member(str(zoo / "a")).name == f"{zoo.name}/a"  # no path of this machine


def test_files_of_weights_beside_one_configuration_are_members(zoo, tmp_path):
    for file in ("config.json", "preprocessor_config.json"):
        shutil.copy(zoo / "a" / file, tmp_path)
    for name in "ab":
        shutil.copy(zoo / name / "model.safetensors", tmp_path / f"epoch_{name}.safetensors")
    found = find_members([str(tmp_path / "*.safetensors")])
    assert [Path(member.name).name for member in found] == ["epoch_a.safetensors", "epoch_b.safetensors"]
    loaded = found[1].load().model.state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in weights(zoo / "b").items())
    save_file({"odd": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(ValueError, match=r"odd\.safetensors to fit the model"):
        find_members([str(tmp_path / "odd.safetensors")])[0].load()


@pytest.mark.parametrize(
    ("word", "error", "message"),
    [
        ("nothing/at/all", FileNotFoundError, "saved model"),
        ("nowhere*", FileNotFoundError, "matches 0 other things"),
        ("config.json", ValueError, "Convert an original checkpoint"),
        ("alone.safetensors", FileNotFoundError, r"config\.json beside"),
        (".", FileNotFoundError, "saved model"),
    ],
)
def test_what_is_no_member_is_refused(tmp_path, monkeypatch, word, error, message):
    monkeypatch.chdir(tmp_path)
    for file in ("config.json", "alone.safetensors"):
        (tmp_path / "sub").mkdir(exist_ok=True)
        (tmp_path / ("sub" if file == "config.json" else ".") / file).write_text("{}")
    with pytest.raises(error, match=message):
        find_members(["sub/config.json" if word == "config.json" else word])


def test_a_member_named_twice_is_refused(zoo):
    with pytest.raises(ValueError, match="named more than once"):
        members(zoo, "a", "b", "[ab]")


def test_the_names_of_members_tell_them_apart(zoo, tmp_path):
    for run in ("run1", "run2"):
        shutil.copytree(zoo / "a", tmp_path / run / "epochs" / "020")
    found = find_members([f"{tmp_path}/run?/epochs/020"])
    assert [member.name for member in found] == ["run1/epochs/020", "run2/epochs/020"]


def test_the_average_has_the_mean_of_the_weights(zoo):
    outcome = average(members(zoo, "a", "b", "c"))
    state = outcome.tagger.model.state_dict()
    for name in weights(zoo / "a"):
        expected = torch.stack([weights(zoo / member)[name].double() for member in "abc"]).mean(dim=0)
        torch.testing.assert_close(state[name].double(), expected, rtol=1e-6, atol=1e-7)
    assert outcome.results == {}


@pytest.mark.parametrize("how", [average, ensemble])
def test_members_in_half_precision_become_a_model_in_half_precision(zoo, scorer, tmp_path, accelerator, how):
    outcome = how(members(zoo, "half", "half_too"), scorer)
    assert outcome.tagger.model.dtype == torch.bfloat16
    save_aggregate(outcome, tmp_path / "out", accelerator)
    loaded = AudioTagger.from_pretrained(tmp_path / "out")
    assert loaded.model.dtype == torch.bfloat16
    np.testing.assert_allclose(scorer.scores(loaded), scorer.scores(outcome.tagger), atol=0.01)  # BatchNorm's rounding


def test_scores_of_the_members_and_of_what_they_became(zoo, scorer):
    both = average(members(zoo, "a", "b"), scorer), ensemble(members(zoo, "a", "b"), scorer)
    for outcome in both:
        results = outcome.content["results"]
        assert set(results) == {"members_mean", "best_member", outcome.kind}
        precision = [metrics["mAP"] for metrics in outcome.members.values()]
        assert results["members_mean"]["mAP"] == pytest.approx(np.mean(precision))
        assert results["best_member"]["mAP"] == max(precision)
        own = tagging_metrics(scorer.scores(outcome.tagger), scorer.targets)
        assert results[outcome.kind] == pytest.approx(own, abs=1e-6)
        assert len(outcome.content["per_class"]["AP"]) == 3


def test_members_with_their_classes_in_another_order_are_scored_and_joined_by_name(zoo, tmp_path, scorer):
    """The turned member is a copy of the first with its classes reversed, hence the ensemble is the first."""
    save(tmp_path / "a_turned", 0, CATEGORIES[::-1])
    turned = AutoModelForAudioClassification.from_pretrained(tmp_path / "a_turned")
    original = AutoModelForAudioClassification.from_pretrained(zoo / "a")
    for name in ("attention", "scores"):
        for part in ("weight", "bias"):
            rows = getattr(getattr(original.pooling, name), part).data
            by_head = rows.view(4, 3, *rows.shape[1:]).flip(1)
            getattr(getattr(turned.pooling, name), part).data.copy_(by_head.reshape(rows.shape))
    turned.save_pretrained(tmp_path / "a_turned")
    outcome = ensemble([*members(zoo, "a"), Member(str(tmp_path / "a_turned"))], scorer)
    first, second = outcome.scores.values()
    np.testing.assert_allclose(first, second, atol=1e-6)
    np.testing.assert_allclose(scorer.scores(outcome.tagger), first, atol=1e-6)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("turned", "the classes, number 0 is 'rooster' instead of 'dog'"),
        ("other_classes", "the classes, number 2 is 'cat' instead of 'rooster'"),
        ("other_backbone", f"backbone is 'test_resnet' instead of '{TINY_BACKBONE}'"),
        ("other_length", "the extractor's max_length is 64 instead of 48"),
        ("half", "dtype is 'bfloat16' instead of 'float32'"),
    ],
)
def test_members_that_cannot_be_averaged_are_refused_by_name_with_what_differs(zoo, other, message):
    with pytest.raises(ValueError, match=f"{zoo.name}/{other} differs from {zoo.name}/a: .*{message}"):
        average(members(zoo, "a", other))


def test_an_ensemble_takes_other_backbones_but_no_other_front_end_or_classes(zoo):
    joined = ensemble(members(zoo, "a", "other_backbone", "turned")).tagger
    assert isinstance(joined.model, PslaEnsembleForAudioClassification) and len(joined.model.members) == 3
    with pytest.raises(ValueError, match=r"other_length differs from .*max_length is 64"):
        ensemble(members(zoo, "a", "other_length"))
    with pytest.raises(ValueError, match="dtype is 'bfloat16' instead of 'float32'"):
        ensemble(members(zoo, "a", "half"))
    with pytest.raises(ValueError, match=r"member 2 \(.*other_classes\).*missing \['rooster'\]"):
        ensemble(members(zoo, "a", "other_classes"))


def spoilt(zoo: Path, folder: Path, kind: str) -> Path:
    """A member that is none, of a kind that only its files' names or its configuration tell."""
    if kind == "an ensemble":
        outcome = ensemble(members(zoo, "a", "b"))
        outcome.tagger.model.save_pretrained(folder)
        outcome.tagger.extractor.save_pretrained(folder)
        return folder
    shutil.copytree(zoo / ("other_classes" if kind == "of other classes" else "a"), folder)
    if kind in ("exported", "without weights"):
        (folder / "model.safetensors").unlink()
    if kind == "exported":
        (folder / "model.onnx").write_bytes(b"graph")
    if kind == "of another task":
        (folder / "config.json").write_text('{"model_type": "bert"}')
    return folder


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("an ensemble", "of/order is an ensemble. Name the models|model_type is 'psla_ensemble' instead of 'psla'"),
        ("exported", "it holds an exported model. Name the model that it was exported from"),
        ("without weights", "Expected weights of torch .* there are none. Save the model again"),
        ("of another task", r"psla_ensemble in .*config\.json, got 'bert'"),
        ("of other classes", r"member 3 \(.*missing \['rooster'\]|the classes, number 2 is 'cat'"),
    ],
)
@pytest.mark.parametrize("way", ["average", "ensemble"])
def test_a_member_that_is_none_is_refused_before_anything_is_loaded_or_written(
    zoo, tmp_path, monkeypatch, capsys, way, kind, message
):
    wrong = spoilt(zoo, tmp_path / "out" / "of" / "order", kind)
    capsys.readouterr()
    monkeypatch.setattr(Member, "load", lambda self: pytest.fail("a member was loaded"))
    with pytest.raises(SystemExit):
        run_command(
            ["aggregate", way, zoo / "a", zoo / "b", wrong, "--output-dir", tmp_path / "made", "--data-dir", tmp_path]
        )
    said = capsys.readouterr().err
    assert re.search(message, said) and said.count("\n") == 1 and len(said) < 400
    assert not (tmp_path / "made").exists()
    with pytest.raises((OSError, ValueError), match=message):
        {"average": average, "ensemble": ensemble}[way]([*members(zoo, "a", "b"), Member(str(wrong))])


KILLED = """
import os, signal, sys
import psla_hf.files
psla_hf.files._to_disk = lambda path: os.kill(os.getpid(), signal.SIGKILL)  # all is written, and has no name yet
from psla_hf.commands import run
run(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "words",
    [("aggregate", "average", "a", "b", "--output-dir", "out/made"), ("export", "a", "--output", "out/made")],
    ids=lambda words: words[0],
)
def test_what_a_killed_command_leaves_is_no_model_and_in_nobodys_way(zoo, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        shutil.copytree(zoo / name, tmp_path / name)
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], stderr=subprocess.PIPE, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path for path in (tmp_path / "out").rglob(".*.unfinished-*") if path.is_dir()]
    for pattern in ("out/*", "out/*/*"):
        with pytest.raises(FileNotFoundError, match=r"it matches .* other things"):
            find_members([pattern])
    run_command(words)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["made"]
    assert (tmp_path / "out" / "made" / "config.json").is_file()
    assert not list((tmp_path / "out").rglob(".*"))


def test_an_ensemble_may_be_scored_beside_others_where_no_model_is_made(zoo, tmp_path, scorer):
    both = [*members(zoo, "a"), Member(str(spoilt(zoo, tmp_path / "joined", "an ensemble")))]
    outcome = ensemble(both, scorer, build=False)
    assert outcome.tagger is None and len(outcome.members) == 2


def test_the_greedy_average_never_gets_worse_and_says_what_it_did(zoo, scorer):
    outcome = greedy_average(members(zoo, "a", "b", "c"), scorer, scorer)
    tried = outcome.about["selection"]["tried"]
    alone = [step["mAP_alone"] for step in tried]
    assert alone == sorted(alone, reverse=True) and len(tried) == 3
    best = -1.0
    for step in tried:
        assert step["taken"] == (step["mAP_with_it"] >= best)
        best = max(best, step["mAP_with_it"])
    assert list(outcome.members) == [step["member"] for step in tried if step["taken"]]
    assert outcome.metrics["mAP"] == pytest.approx(best)
    assert best >= alone[0]


def test_scores_are_saved_with_the_clips_ids_and_make_the_same_ensemble(zoo, scorer, tmp_path):
    outcome = ensemble(members(zoo, "a", "b"), scorer, build=False)
    assert outcome.tagger is None
    ids = scorer.clips.ids
    files = save_scores(outcome, ids, tmp_path)
    again = ensemble_of_scores(read_scores(files, scorer.targets.shape, ids), scorer.targets)
    assert again.metrics == outcome.metrics
    assert list(again.members.values()) == list(outcome.members.values())
    with pytest.raises(ValueError):
        read_scores(files, scorer.targets.shape, ids[::-1])


def test_what_is_no_probability_or_of_other_clips_is_refused():
    targets = np.eye(3)
    with pytest.raises(ValueError, match="mean of logits"):
        ensemble_of_scores({"a": np.eye(3) * 2}, targets)
    with pytest.raises(ValueError, match=r"all 3 clips, b lacks some .NaN. for 1"):
        ensemble_of_scores({"a": np.eye(3), "b": np.where(np.eye(3)[:1].T, np.nan, np.eye(3))}, targets)
    with pytest.raises(ValueError, match="of a, as the targets"):
        ensemble_of_scores({"a": np.eye(4)}, targets)


def test_the_curve_is_that_of_averages_over_the_last_epochs(zoo, scorer, tmp_path):
    for epoch, name in enumerate("abc", start=1):
        shutil.copytree(zoo / name, tmp_path / "epochs" / f"{epoch:03d}")
    epochs = kept_epochs(tmp_path)
    rows = averaging_curve(epochs, scorer)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    together = ensemble(list(epochs.values()), scorer, build=False)
    assert [row["single"] for row in rows] == list(together.members.values())
    assert rows[0]["ensemble"] == pytest.approx(together.metrics)
    last_two = list(epochs.values())[1:]
    assert rows[1]["averaged"] == pytest.approx(average(last_two, scorer).metrics)
    assert rows[2]["averaged"] == rows[2]["ensemble"] == rows[2]["single"]
    with pytest.raises(FileNotFoundError, match="keep_epochs=True"):
        kept_epochs(zoo)


def test_the_output_is_no_folder_with_members_in_it(zoo, tmp_path, accelerator):
    run = tmp_path / "run"
    shutil.copytree(zoo / "a", run / "epochs" / "001")
    found = find_members([str(run / "epochs" / "*")])
    for output in (run, run / "epochs" / "001"):
        with pytest.raises(ValueError, match="folder without members in it"):
            open_output(output, found, accelerator, overwrite=True).__enter__()
    assert (run / "epochs" / "001" / "model.safetensors").is_file()
    with pytest.raises(FileExistsError, match="not empty"):
        open_output(zoo / "a", members(zoo, "b"), accelerator).__enter__()


def test_overwriting_leaves_nothing_of_what_was_there_but_the_users_own(zoo, tmp_path, accelerator):
    folder = tmp_path / "run"
    shutil.copytree(zoo / "a", folder)
    shutil.copytree(zoo / "a", folder / "last_epoch")
    own = {"notes.md", "mine.py", "original.safetensors", "labels.json"}
    left = {"results.json", "metrics.jsonl", "averaging_curve.json", "README.md", "model.safetensors.index.json"}
    shards = {f"model-0000{shard}-of-00002.safetensors" for shard in (1, 2)}
    for name in own | left | shards | {"modeling_psla_ensemble.py"}:
        (folder / name).write_text("{}")
    found = members(zoo, "a", "b")
    with open_output(folder, found, accelerator, overwrite=True):
        assert {path.name for path in folder.iterdir()} > own | left | shards  # whatever may still go wrong
        save_aggregate(average(found), folder, accelerator)
    saved = {"config.json", "preprocessor_config.json", "model.safetensors", "results.json", *CODE_FILES}
    assert {path.name for path in folder.iterdir()} == own | saved


def test_the_origin_of_a_model_is_its_own_run_and_no_neighbours(zoo, tmp_path):
    run = tmp_path / "run"
    for place in (".", "last_epoch", "epochs/012", "epochs/other", "soup"):
        shutil.copytree(zoo / "a", run / place, dirs_exist_ok=True)
    (run / "results.json").write_text('{"seed": 7}')
    for place, origin in ((".", 7), ("last_epoch", 7), ("epochs/012", 7), ("epochs/other", None), ("soup", None)):
        found = Member(str(run / place)).origin()
        assert found == (None if origin is None else {"seed": origin}), place


def test_the_script_averages_joins_and_draws_what_training_kept(psla, esc_folder, tmp_path):
    """A run's own figures come out again: of its averaged weights, its checkpoint ensemble and its last epoch."""
    data = ["--data-dir", esc_folder, "--fold", 2]
    small = ["--backbone", TINY_BACKBONE, "--pretraining", "none", "--epochs", 3, "--max-length", 48, "--cpu"]
    run, first = tmp_path / "run", 2
    psla("train", *data, "--output-dir", run, *small, "--average_last", 2, "--keep-epochs")
    trained = json.loads((run / "results.json").read_text())

    printed = psla("aggregate", "average", f"{run}/epochs/00[23]", *data, "--output-dir", tmp_path / "average")
    assert "averaged weights" in printed and "best member" in printed
    averaged = json.loads((tmp_path / "average" / "results.json").read_text())
    assert averaged["results"]["averaged"] == pytest.approx(trained["results"]["averaged"], abs=1e-5)
    assert averaged["kind"] == "averaged" and averaged["classes"] == list(CATEGORIES)
    assert averaged["runs"][0]["recipe"] == trained["recipe"] and averaged["runs"][0]["data"] == trained["data"]
    tested = trained["data"] | {"parts": {"test": trained["data"]["parts"]["test"]}}
    assert averaged["data"] == tested and tested["dataset"] == "esc" and tested["fold"] == 2
    assert [member["run"] for member in averaged["members"]] == [0, 0]
    for name, tensor in weights(run).items():
        torch.testing.assert_close(weights(tmp_path / "average")[name], tensor)

    psla("aggregate", "ensemble", f"{run}/epochs/*", *data, "--output-dir", tmp_path / "ensemble")
    joined = json.loads((tmp_path / "ensemble" / "results.json").read_text())
    assert joined["results"]["ensemble"] == pytest.approx(trained["results"]["ensemble"], abs=1e-5)
    psla("evaluate", tmp_path / "ensemble", *data, "--output", tmp_path / "evaluated.json")
    evaluated = json.loads((tmp_path / "evaluated.json").read_text())
    assert evaluated["results"] == pytest.approx(joined["results"]["ensemble"], abs=1e-5)

    printed = psla("aggregate", "curve", run, *data)
    rows = json.loads((run / "averaging_curve.json").read_text())["rows"]
    assert "averaging_curve.json" in printed and len(rows) == 3
    assert rows[-1]["single"] == pytest.approx(trained["results"]["last_epoch"], abs=1e-5)
    assert rows[0]["ensemble"] == pytest.approx(trained["results"]["ensemble"], abs=1e-5)
    assert rows[first - 1]["averaged"] == pytest.approx(trained["results"]["averaged"], abs=1e-5)


def test_the_script_chooses_greedily_saves_scores_and_takes_them(psla, zoo, esc_folder, tmp_path):
    data = ["--data-dir", esc_folder, "--fold", 1]
    output = ["--output-dir", tmp_path / "soup"]
    printed = psla("aggregate", "average", f"{zoo}/[abc]", "--greedy", "test", *data, *output)
    assert printed.count("taken") + printed.count("left out") == 3
    assert (tmp_path / "soup" / "model.safetensors").is_file()

    keep = ["--save-scores", tmp_path / "scores", "--no-model", "--output-dir", tmp_path / "table"]
    psla("aggregate", "ensemble", f"{zoo}/[abc]", *data, *keep)
    files = sorted((tmp_path / "scores").glob("*.npy"))
    assert len(files) == 3 and not list((tmp_path / "table").glob("*.safetensors"))
    psla("aggregate", "ensemble", "--scores", *files, *data, "--output-dir", tmp_path / "again")
    results = [json.loads((tmp_path / name / "results.json").read_text())["results"] for name in ("table", "again")]
    assert results[0] == results[1]

    np.save(tmp_path / "targets.npy", np.eye(3)[[0, 1, 2, 0, 1, 2]])
    options = ["--targets", tmp_path / "targets.npy", "--output-dir", tmp_path / "third"]
    psla("aggregate", "ensemble", "--scores", *files, *options)
    assert (tmp_path / "third" / "results.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["average", "a", "other_backbone"], "error: Expected members that are alike; other_backbone differs from a"),
        (["average", "a", "b", "--greedy"], "error: Expected --data-dir with --greedy"),
        (["average", "gone/for/good"], "error: Expected a saved model"),
        (["ensemble"], "expected either members or --scores"),
        (["ensemble", "--scores", "a.npy"], "either --targets or --data-dir"),
        (["curve", "a"], "--data-dir requires an argument"),
    ],
)
def test_what_a_user_gets_wrong_is_one_clear_line(psla, zoo, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(zoo)
    output = [] if arguments[0] == "curve" else ["--output-dir", tmp_path / "out"]
    with pytest.raises(SystemExit) as stopped:
        psla("aggregate", *arguments, *output)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
