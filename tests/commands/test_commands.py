"""The commands of the README do what they say; what a user gets wrong costs one clear line and exit status 2."""

import json
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.fidelity import OriginalTagger
from psla_hf.commands import run
from psla_hf.files import digest
from psla_hf.models.saved import load_saved
from psla_hf.models.weights import convert_psla_checkpoint
from tests.conftest import TINY_BACKBONE
from tests.serving import serving

SCRIPTS = Path(__file__).parents[2] / "scripts"
SMALL = ["--backbone", TINY_BACKBONE, "--pretraining", "none", "--epochs", "2", "--max-length", "48", "--cpu"]


@pytest.fixture
def script(monkeypatch):
    """Run a script in this process, as the command line would."""

    def call(name: str, *arguments) -> None:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(SCRIPTS / name), run_name="__main__")

    return call


def psla(*words: object) -> None:
    """Run a command in this process."""
    run(map(str, words))


def test_train_evaluate_and_tag(esc_folder, tmp_path, capsys):
    psla("train", "--data-dir", esc_folder, "--fold", 2, "--output-dir", tmp_path / "run", *SMALL)
    assert "averaged" in capsys.readouterr().out
    trained = json.loads((tmp_path / "run" / "results.json").read_text())
    assert trained["recipe"]["schedule"]["epochs"] == 2 and trained["recipe"]["augmentation"]["mixup_rate"] == 0.5

    options = ["--data-dir", esc_folder, "--fold", 2, "--output", tmp_path / "evaluated.json"]
    psla("evaluate", tmp_path / "run", *options)
    evaluated = json.loads((tmp_path / "evaluated.json").read_text())
    assert evaluated["results"] == pytest.approx(trained["results"]["averaged"], abs=1e-4)
    assert capsys.readouterr().out and evaluated["data"]["fold"] == 2 and evaluated["seen"] is False

    psla("tag", tmp_path / "run", esc_folder / "audio" / "1-1000-A-0.wav", "--top-k", 2)
    printed = capsys.readouterr().out
    assert "1-1000-A-0.wav" in printed and sum(name in printed for name in ("dog", "rain", "rooster")) == 2


def test_the_fold_to_test_on_is_the_one_that_was_held_out(saved_model, esc_folder, tmp_path, capsys):
    """Without a word it is the model's own; another one is refused, and insisting says what the figures are."""
    for fold in (2, 3):
        facts = {"dataset": "esc", "fold": fold, "parts": {}}
        shutil.copytree(saved_model, tmp_path / f"fold{fold}")
        shutil.copytree(saved_model, tmp_path / f"fold{fold}" / "last_epoch")
        (tmp_path / f"fold{fold}" / "results.json").write_text(json.dumps({"data": facts}))
    model, data = tmp_path / "fold2", ["--data-dir", esc_folder]

    psla("evaluate", saved_model, *data)
    printed = capsys.readouterr().out
    assert "6 clips of esc, fold 1" in printed and "is not known: it has no results.json" in printed

    psla("evaluate", model, *data)
    assert "6 clips of esc, fold 2" in capsys.readouterr().out
    for words in (["evaluate", model, "--fold", 1], ["evaluate", model / "last_epoch", "--fold", 1]):
        with pytest.raises(SystemExit):
            psla(*words, *data)
        assert re.search(r"is on fold 1, but .* held out fold 2. Pass fold=2 \(--fold 2\)", capsys.readouterr().err)
    psla("evaluate", model, "--fold", 1, "--allow-seen", *data)
    assert "figures are too good" in capsys.readouterr().out

    output = ["--output-dir", tmp_path / "both"]
    for how in ("average", "ensemble"):
        with pytest.raises(SystemExit):
            psla("aggregate", how, model, tmp_path / "fold3", *data, *output)
        error = capsys.readouterr().err
        assert "fold2 held out fold 2" in error and "fold3 held out fold 3" in error and "(--allow-seen)" in error
    with pytest.raises(SystemExit):
        psla("aggregate", "ensemble", model, tmp_path / "fold3", *data, *output, "--fold", 3)
    assert "fold2 held out fold 2. Take models" in capsys.readouterr().err
    psla("aggregate", "ensemble", model, model / "last_epoch", *data, *output)
    assert json.loads((tmp_path / "both" / "results.json").read_text())["data"]["fold"] == 2
    capsys.readouterr()
    with pytest.raises(SystemExit):
        psla("evaluate", tmp_path / "both", "--fold", 4, *data)
    assert "held out fold 2. Pass fold=2" in capsys.readouterr().err


def test_accelerate_launches_training(esc_folder, tmp_path):
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", SCRIPTS / "train.py"]
    options = ["--recipe", "esc10", "--data-dir", esc_folder, "--output-dir", tmp_path / "run", *SMALL]
    run = subprocess.run([*launch, *options], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_a_tracker_gets_every_epochs_figures(esc_folder, tmp_path):
    run = tmp_path / "run"
    psla("train", "--data-dir", esc_folder, "--output-dir", run, "--trackers", "tensorboard", *SMALL)
    events = EventAccumulator(str(run / "psla-hf")).Reload()
    rows = json.loads((run / "results.json").read_text())["epochs"]
    for figure in ("loss", "mAP", "waiting"):
        logged = [(event.step, event.value) for event in events.Scalars(figure)]
        assert logged == [(row["epoch"], pytest.approx(row[figure], rel=1e-6)) for row in rows]


def test_the_demo_shows_every_letter_and_the_next_command(tmp_path):
    demo = [sys.executable, SCRIPTS / "demo.py", "--output-dir", tmp_path / "demo", "--seeds", "1"]
    scenes = ["--train-scenes", "24", "--test-scenes", "40", "--epochs", "1"]
    run = subprocess.run([*demo, *scenes], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    for words in (
        "+ P",
        "+ S",
        "+ L",
        "+ A",
        "or: ensemble",
        "Label enhancement added",
        "true labels",
        "minutes in all",
    ):
        assert words in run.stdout
    model = tmp_path / "demo" / "seed1" / "psla"
    assert (model / "model.safetensors").is_file() and f"psla tag {model}" in run.stdout
    assert json.loads((tmp_path / "demo" / "demo.json").read_text())["results"]["1"]["labels"]["missing"] > 0


@pytest.mark.shared
def test_an_original_checkpoint_is_converted_with_its_labels(shared, tmp_path, capsys):
    labels = shared / "audioset" / "class_labels_indices.csv"
    psla("convert", shared / "golden" / "effnet_b2_h4_527.pth", tmp_path / "out", "--labels", labels)
    assert "tf_efficientnet_b2, attention pooling, 4 heads, 527 classes, 1056 frames" in capsys.readouterr().out
    psla("tag", tmp_path / "out", shared / "golden" / "wav" / "chirp10.wav", "--top-k", "527")
    assert "Male speech, man speaking" in capsys.readouterr().out


def test_a_checkpoint_of_fsd50ks_200_classes_takes_its_3000_frames(tmp_path, capsys):
    torch.save(OriginalTagger("efficientnet-b0", 0, 200).state_dict(), tmp_path / "fsd50k.pth")
    psla("convert", tmp_path / "fsd50k.pth", tmp_path / "out")
    assert "tf_efficientnet_b0, mean pooling, 200 classes, 3000 frames" in capsys.readouterr().out


@pytest.fixture
def originals(tmp_path):
    """A folder of two checkpoints, and the same as an archive."""
    folder = tmp_path / "originals"
    folder.mkdir()
    for number in range(2):
        torch.manual_seed(number)
        torch.save(OriginalTagger("efficientnet-b0", 1, 5).state_dict(), folder / f"mdl_{number}.pth")
    with zipfile.ZipFile(tmp_path / "originals.zip", "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"deep/down/{file.name}")
        archive.writestr("deep/read.me", "no checkpoint")
        archive.writestr("__MACOSX/deep/down/._mdl_0.pth", "what macOS packs beside it")
    return folder


def test_a_folder_or_an_archive_of_checkpoints_becomes_one_ensemble(originals, tmp_path, capsys):
    x = torch.randn(1, 64, 128)
    scores = []
    for place in (originals, originals.with_suffix(".zip")):
        psla("convert", place, tmp_path / f"out of {place.name}")
        assert "an ensemble of 2, 5 classes, 1056 frames" in capsys.readouterr().out
        scores.append(load_saved(tmp_path / f"out of {place.name}")[0](x).logits)
    members = [convert_psla_checkpoint(file)(x).logits.sigmoid() for file in sorted(originals.iterdir())]
    torch.testing.assert_close(scores[0], scores[1])
    torch.testing.assert_close(scores[0].sigmoid(), torch.stack(members).mean(dim=0))


def test_checkpoints_of_one_name_in_several_folders_are_all_taken(originals, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "runs.zip", "w") as archive:
        for number, file in enumerate(sorted(originals.iterdir())):
            archive.write(file, f"run{number}/best.pth")
    psla("convert", tmp_path / "runs.zip", tmp_path / "out")
    assert "an ensemble of 2, 5 classes" in capsys.readouterr().out


def test_what_was_converted_has_a_card_without_figures_and_can_be_published(originals, tmp_path, capsys):
    psla("convert", originals, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: bsd-3-clause" in card and "An ensemble of 2 models that the authors of" in card
    for file in originals.iterdir():
        assert f"| `{file.name}` | {file.stat().st_size} | `{digest(file)}` |" in card
    assert "mAP" not in card and "/tmp" not in card
    capsys.readouterr()
    psla("publish", "model", tmp_path / "out", "you/psla", "--dry-run")
    sent = capsys.readouterr().out
    assert "conversion.json" in sent and "README.md" in sent and "results.json" not in sent
    assert 'AudioTagger.from_pretrained("you/psla")' in (tmp_path / "out" / "README.md").read_text()


def test_a_checkpoint_is_taken_from_an_address_and_size_and_digest_are_told(originals, tmp_path, capsys):
    with serving(originals) as address:
        psla("convert", f"{address}/mdl_0.pth", tmp_path / "out")
        size, sha = (originals / "mdl_0.pth").stat().st_size, digest(originals / "mdl_0.pth")
        assert f"mdl_0.pth: {size:,} bytes, SHA-256 {sha}" in capsys.readouterr().out
        with pytest.raises(SystemExit):
            psla("convert", f"{address}/nothing.pth", tmp_path / "nothing")
        assert f"Could not fetch {address}/nothing.pth: HTTP Error 404" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()


def test_what_is_no_checkpoint_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "file.pth").write_text("no checkpoint")
    with pytest.raises(SystemExit):
        psla("convert", tmp_path / "file.pth", tmp_path / "out")
    assert "error: Expected a state dict of tensors in" in capsys.readouterr().err


def test_the_figures_in_the_documents_are_those_of_the_result_files():
    documents = runpy.run_path(str(SCRIPTS / "update_documents.py"))
    for name, parts in documents["DOCUMENTS"].items():
        text = (SCRIPTS.parent / name).read_text(encoding="utf-8")
        assert documents["updated"](text, parts) == text


def broken_column(folder: Path) -> None:
    table = folder / "meta" / "esc50.csv"
    pd.read_csv(table).rename(columns={"fold": "part"}).to_csv(table, index=False)


def broken_clip(folder: Path) -> None:
    (folder / "audio" / "1-1000-A-0.wav").write_bytes(b"not audio")


@pytest.mark.parametrize(
    ("breakage", "options", "message"),
    [
        (None, ["--data-dir", "nowhere"], "there is no nowhere"),
        (broken_column, [], "missing ['fold']"),
        (broken_clip, [], "1 of 30 clips in"),
        (None, ["--recipe", "esc99"], "There is no recipe 'esc99'"),
        (None, ["--subset", "esc10"], "ten classes of ESC-10, got 2"),
        (None, ["--fold", "7"], "Expected fold 1 to 5, got 7"),
        (None, ["--epochs", "0"], "Expected epochs of at least 1, got 0"),
    ],
    ids=["directory", "column", "clip", "recipe", "subset", "fold", "setting"],
)
def test_bad_input_to_training_is_one_clear_line(esc_folder, tmp_path, capsys, breakage, options, message):
    if breakage:
        breakage(esc_folder)
    with pytest.raises(SystemExit) as stopped:
        psla("train", "--data-dir", esc_folder, "--output-dir", tmp_path / "run", *SMALL, *options)
    assert stopped.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and message in error


def test_an_unknown_flag_is_refused(esc_folder, tmp_path, capsys):
    with pytest.raises((SystemExit, ValueError)):
        psla("train", "--data-dir", esc_folder, "--output-dir", tmp_path, "--learning-rat", "0.1")


def test_a_model_that_is_not_there_is_one_clear_line(tmp_path, capsys):
    with pytest.raises(SystemExit):
        psla("tag", tmp_path / "nothing", "sound.wav")
    assert "Expected a saved model" in capsys.readouterr().err
