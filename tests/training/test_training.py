"""A run learns, repeats itself to the bit, and leaves models that load."""

import json
import os
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from psla_hf.data.schema import targets_of, with_targets
from psla_hf.data.toy import make_scenes
from psla_hf.evaluation import score_clips
from psla_hf.inference.tagger import AudioTagger
from psla_hf.loading.workers import batch_loader, batches_of
from psla_hf.models.saved import load_saved
from psla_hf.thresholds import choose_thresholds
from psla_hf.training.build import build_model
from psla_hf.training.recipes import get_recipe
from psla_hf.training.run.interruption import SIGNALS
from psla_hf.training.run.scores import read_scores
from psla_hf.training.run.settings import RunSettings
from psla_hf.training.trainer import RunInterruptedError, Trainer
from tests.conftest import TINY_BACKBONE

RECIPE = get_recipe("scenes").replace(
    backbone=TINY_BACKBONE, pretraining="none", epochs=3, batch_size=8, warmup_steps=2
)


@pytest.fixture(scope="module")
def scenes():
    return make_scenes(24, seed=1)[0], make_scenes(20, seed=2)[0]


def run(recipe, scenes, path, accelerator, validation_clips=None, **settings) -> dict:
    settings = RunSettings(**settings)
    return Trainer(recipe, *scenes, path, accelerator, settings, validation_clips=validation_clips).train()


def test_a_run_leaves_models_that_load_and_results_that_say_how(scenes, tmp_path, accelerator):
    rows = []
    trainer = Trainer(RECIPE, *scenes, tmp_path / "run", accelerator, RunSettings(seed=3))
    results = trainer.train(report=rows.append)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()] == rows
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == results
    assert results["seed"] == 3 and results["clips"] == {"train": 24, "test": 20}
    assert set(results["results"]) == {"single", "last_epoch", "averaged", "ensemble"}
    for path in (tmp_path / "run", tmp_path / "run" / "last_epoch"):
        model = AutoModelForAudioClassification.from_pretrained(path)
        assert not model.training
        assert model.config.id2label[0] == "tone"
        assert AutoFeatureExtractor.from_pretrained(path).max_length == RECIPE.input.max_length


def test_a_model_of_another_rate_is_trained_saved_and_tags_at_it(scenes, tmp_path, accelerator):
    run(RECIPE.replace(sampling_rate=32000, epochs=1), scenes, tmp_path / "run", accelerator)
    tagger = AudioTagger.from_pretrained(tmp_path / "run")
    assert tagger.extractor.sampling_rate == 32000
    noise = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    [recording] = tagger.recordings([noise], 16000)
    assert recording.seconds == 1.0 and recording.top_hz == 16000


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_same_seed_gives_the_same_bits_whatever_the_workers(scenes, tmp_path, accelerator, num_workers):
    first = run(RECIPE, scenes, tmp_path / "a", accelerator, seed=1)
    second = run(RECIPE, scenes, tmp_path / "b", accelerator, seed=1, num_workers=num_workers)
    assert first["results"] == second["results"]
    a, b = (AutoModelForAudioClassification.from_pretrained(tmp_path / name).state_dict() for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_average_of_one_epoch_is_that_epoch_and_of_more_it_is_not(scenes, tmp_path, accelerator):
    one = run(RECIPE.replace(average_last=1), scenes, tmp_path / "one", accelerator)["results"]
    assert one["averaged"] == one["last_epoch"]
    two = run(RECIPE.replace(average_last=2), scenes, tmp_path / "two", accelerator)["results"]
    assert two["last_epoch"] == one["last_epoch"]
    assert two["averaged"] != two["last_epoch"]


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"optimizer": "sgd"},
        {"gradient_clipping": 1e-3},
        {"time_roll": True},
        {"mixstyle_rate": 1.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_settings_change_the_run(scenes, tmp_path, accelerator, change):
    recipe = RECIPE.replace(epochs=1)
    run(recipe, scenes, tmp_path / "plain", accelerator)
    run(recipe.replace(**change), scenes, tmp_path / "changed", accelerator)
    plain, changed = (
        AutoModelForAudioClassification.from_pretrained(tmp_path / name).state_dict() for name in ("plain", "changed")
    )
    assert any(not torch.equal(tensor, changed[name]) for name, tensor in plain.items())


def test_accumulated_gradients_are_those_of_the_batch(scenes, tmp_path, accelerator):
    """With LayerNorm, which does not see what else is in a step."""
    recipe = RECIPE.replace(backbone="test_efficientnet_ln", epochs=1, optimizer="sgd")
    whole = run(recipe, scenes, tmp_path / "whole", accelerator)
    parts = run(recipe.replace(gradient_accumulation=4), scenes, tmp_path / "parts", accelerator)
    assert parts["epochs"][0]["loss"] == pytest.approx(whole["epochs"][0]["loss"], rel=1e-5)
    assert parts["results"]["last_epoch"] == pytest.approx(whole["results"]["last_epoch"], rel=1e-4)


def test_statistics_of_the_average_can_be_estimated_anew(scenes, tmp_path, accelerator):
    recipe = RECIPE.replace(batch_norm_of_average="reestimate")
    results = run(recipe, scenes, tmp_path / "run", accelerator)["results"]
    assert results["averaged_reestimated"] != results["averaged"]
    plain = run(RECIPE, scenes, tmp_path / "plain", accelerator)["results"]
    assert results["averaged"] == plain["averaged"]


@pytest.mark.parametrize("statistics", ["average", "reestimate"])
def test_scores_and_thresholds_are_those_of_the_saved_model(scenes, tmp_path, accelerator, statistics):
    recipe, validation_clips = RECIPE.replace(batch_norm_of_average=statistics), make_scenes(16, seed=3)[0]
    run(recipe, scenes, tmp_path, accelerator, validation_clips=validation_clips)
    saved = load_saved(tmp_path)
    for part, clips in (("test", scenes[1]), ("validation", validation_clips)):
        written = read_scores(tmp_path, part)
        np.testing.assert_allclose(score_clips(*saved, clips, accelerator), written.probabilities, atol=1e-5)
    chosen = choose_thresholds(written.probabilities, written.targets)
    np.testing.assert_allclose(saved.model.config.thresholds, chosen)


def test_what_cannot_be_ranked_is_refused_before_anything_is_trained(scenes, tmp_path, accelerator):
    silent = with_targets(scenes[1], np.zeros_like(targets_of(scenes[1])))
    with pytest.raises(ValueError, match="Expected clips to test on of which some"):
        run(RECIPE, (scenes[0], silent), tmp_path / "test", accelerator)
    with pytest.raises(ValueError, match="Expected clips to validate on of which some"):
        run(RECIPE, scenes, tmp_path / "validation", accelerator, validation_clips=scenes[1].select([]))
    with pytest.raises(ValueError, match="Expected clips to train on, got none"):
        run(RECIPE.replace(balanced_sampling=False), (scenes[0].select([]), scenes[1]), tmp_path / "none", accelerator)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_something_else_is_not_resumed(scenes, tmp_path, accelerator):
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(ValueError, match="no run of training"):
        run(RECIPE, scenes, tmp_path, accelerator, resume=True)


def test_the_single_figure_is_the_recipes(scenes, tmp_path, accelerator):
    results = run(RECIPE, scenes, tmp_path / "last", accelerator)
    expected = sum(row["mAP"] for row in results["epochs"]) / 3  # of the last five there are three
    assert results["results"]["single"]["mAP"] == pytest.approx(expected)
    recipe = RECIPE.replace(report="best_on_validation")
    with pytest.raises(ValueError, match="Expected validation clips"):
        run(recipe, scenes, tmp_path / "none", accelerator)
    results = run(recipe, scenes, tmp_path / "best", accelerator, validation_clips=make_scenes(16, seed=3)[0])
    best = max(results["epochs"], key=lambda row: row["validation_mAP"])
    assert results["results"]["single"]["mAP"] == best["mAP"]


def test_models_of_epochs_are_kept_on_request(scenes, tmp_path, accelerator):
    run(RECIPE, scenes, tmp_path / "run", accelerator, keep_epochs=True)
    assert sorted(path.name for path in (tmp_path / "run" / "epochs").iterdir()) == ["001", "002", "003"]
    AutoModelForAudioClassification.from_pretrained(tmp_path / "run" / "epochs" / "002")


def test_a_run_is_resumed_only_as_it_was_begun_and_a_finished_one_is_left_alone(scenes, tmp_path, accelerator):
    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(RECIPE, *scenes, tmp_path / "run", accelerator).train(report=stop)
    with pytest.raises(FileExistsError, match="Resume the run in it"):
        run(RECIPE, scenes, tmp_path / "run", accelerator)
    with pytest.raises(ValueError, match=r"recipe.learning_rate was 0.001, is 0.1.*seed was 0, is 1"):
        run(RECIPE.replace(learning_rate=0.1), scenes, tmp_path / "run", accelerator, seed=1, resume=True)
    results = run(RECIPE, scenes, tmp_path / "run", accelerator, resume=True)
    assert [row["epoch"] for row in results["epochs"]] == [1, 2, 3]
    assert run(RECIPE, scenes, tmp_path / "run", accelerator, resume=True) == results
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1


SHORT = RECIPE.replace(epochs=2, average_last=1)


def weights_of(folder) -> dict[str, torch.Tensor]:
    return {
        f"{part}/{name}": tensor
        for part in ("", "last_epoch")
        for name, tensor in load_file(folder / part / "model.safetensors").items()
    }


@pytest.mark.parametrize(
    ("average_before", "average_last", "keep_epochs"),
    [(1, 2, False), (2, 4, False), (2, 3, True)],
    ids=["a new average", "the average goes on", "the average of kept epochs"],
)
def test_a_lengthened_run_ends_as_one_that_was_as_long_from_the_beginning(
    scenes, tmp_path, accelerator, average_before, average_last, keep_epochs
):
    long = RECIPE.replace(epochs=4, average_last=average_last)
    run(SHORT.replace(average_last=average_before), scenes, tmp_path / "run", accelerator, keep_epochs=keep_epochs)
    lengthened = run(long, scenes, tmp_path / "run", accelerator, resume=True, keep_epochs=keep_epochs)
    straight = run(long, scenes, tmp_path / "straight", accelerator)
    assert lengthened["results"] == straight["results"]
    ours, theirs = weights_of(tmp_path / "run"), weights_of(tmp_path / "straight")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_run_is_lengthened_only_where_the_average_can_be_had_and_never_shortened(scenes, tmp_path, accelerator):
    results = run(SHORT.replace(average_last=2), scenes, tmp_path / "run", accelerator)
    again = partial(run, scenes=scenes, path=tmp_path / "run", accelerator=accelerator, resume=True)
    with pytest.raises(ValueError, match=r"begin with epoch 2.*at least 4 epochs, or average_last=3 to go on"):
        again(SHORT.replace(epochs=3, average_last=2))
    with pytest.raises(ValueError, match=r"at least the 2 epochs.*lengthened, not shortened"):
        again(SHORT.replace(epochs=1, average_last=2))
    with pytest.raises(ValueError, match="average_last was 2, is 1"):
        again(SHORT)
    assert again(SHORT.replace(average_last=2)) == results


def test_a_run_stops_when_the_validation_part_gets_no_better_and_keeps_the_best(scenes, tmp_path, accelerator, caplog):
    recipe = RECIPE.replace(epochs=6, learning_rate=1e-9, early_stopping=2, report="best_on_validation", average_last=1)
    with pytest.raises(ValueError, match="early_stopping waits"):
        run(recipe.replace(report="last5"), scenes, tmp_path / "none", accelerator)
    results = run(recipe, scenes, tmp_path / "run", accelerator, validation_clips=make_scenes(16, seed=3)[0])
    rows = results["epochs"]
    best = max(rows, key=lambda row: row["validation_mAP"])
    assert len(rows) == best["epoch"] + 2 < 6
    assert results["results"]["averaged"] == results["results"]["last_epoch"]
    assert "stopped before epoch 6, from which on weights are averaged" in caplog.text
    AutoModelForAudioClassification.from_pretrained(tmp_path / "run" / "best")
    same = run(recipe, scenes, tmp_path / "run", accelerator, validation_clips=make_scenes(16, seed=3)[0], resume=True)
    assert same == results


def test_other_labels_train_another_model(scenes, tmp_path, accelerator):
    own = run(RECIPE, scenes, tmp_path / "own", accelerator)
    relabelled = with_targets(scenes[0], 1 - targets_of(scenes[0]))
    other = run(RECIPE, (relabelled, scenes[1]), tmp_path / "other", accelerator)
    assert own["epochs"][0]["loss"] != other["epochs"][0]["loss"]


def test_every_run_begins_with_the_same_scale_of_gradients(scenes, tmp_path, accelerator, monkeypatch):
    scaler = partial(torch.amp.GradScaler, "cpu")
    monkeypatch.setattr("psla_hf.training.build.get_grad_scaler", scaler)
    monkeypatch.setattr(accelerator, "scaler", scaler(init_scale=2.0))  # as an earlier run has left it
    run(RECIPE.replace(epochs=1), scenes, tmp_path / "run", accelerator)
    assert accelerator.scaler.get_scale() == scaler().get_scale() > 2.0


def test_a_full_directory_is_refused_unless_it_may_be_overwritten(scenes, tmp_path, accelerator):
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(FileExistsError, match="is not empty"):
        run(RECIPE, scenes, tmp_path, accelerator)
    run(RECIPE.replace(epochs=1), scenes, tmp_path, accelerator, overwrite=True)
    assert (tmp_path / "results.json").is_file() and (tmp_path / "precious.txt").read_text() == "x"


@pytest.mark.parametrize("settings", [RunSettings(), RunSettings(overwrite=True), RunSettings(resume=True)])
def test_a_trainer_touches_nothing_before_it_trains(scenes, tmp_path, accelerator, settings):
    (tmp_path / "results.json").write_text("of an earlier run")
    Trainer(RECIPE, *scenes, tmp_path, accelerator, settings)
    Trainer(RECIPE, *scenes, tmp_path / "run", accelerator, settings)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert (tmp_path / "results.json").read_text() == "of an earlier run"


def test_what_a_broken_off_run_left_is_no_hindrance(scenes, tmp_path, accelerator):
    """Before its first checkpoint that is the file of its lock."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").write_text("process 1 on another machine")
    assert run(RECIPE.replace(epochs=1), scenes, tmp_path / "run", accelerator)["epochs"]


@pytest.mark.parametrize(
    "wrong",
    [{"num_workers": -1}, {"tolerated_share": 1.5}, {"checkpoint_every": 0}, {"on_error": "skip"}, {"seed": -1}],
)
def test_settings_of_a_run_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"Expected {next(iter(wrong))} "):
        RunSettings(**wrong)


@pytest.fixture(scope="module")
def broken(scenes):
    """The scenes, one of them broken."""
    rows = scenes[0].to_list()
    rows[5]["audio"]["bytes"] = b"not audio"
    return Dataset.from_list(rows, features=scenes[0].features), scenes[1]


def test_a_broken_clip_stops_a_run_unless_it_may_be_redrawn_and_then_it_is_counted(broken, tmp_path, accelerator):
    with pytest.raises(ValueError, match="Clip 'scene-1-00005'"):
        run(RECIPE, broken, tmp_path / "raise", accelerator)
    results = run(RECIPE, broken, tmp_path / "redraw", accelerator, on_error="redraw", tolerated_share=0.1)
    assert sum(row["redrawn"] for row in results["epochs"]) > 0
    assert {row["short"] for row in results["epochs"]} == {0}


def test_the_tolerated_share_is_exact(broken, tmp_path, accelerator):
    """Of at least 1000 draws: as many as are tolerated may fail, and no more."""
    redraw = {"on_error": "redraw", "tolerated_share": 1.0}
    rows = run(RECIPE, broken, tmp_path / "all", accelerator, **redraw)["epochs"]
    failed = sum(row["redrawn"] for row in rows)
    run(RECIPE, broken, tmp_path / "as_many", accelerator, **redraw | {"tolerated_share": failed / 1000})
    with pytest.raises(ValueError, match=rf"{failed} clips did not decode in \d+ samples, .* tolerated share"):
        run(RECIPE, broken, tmp_path / "fewer", accelerator, **redraw | {"tolerated_share": (failed - 0.5) / 1000})


def test_clips_that_another_process_could_not_decode_count_at_the_same_update(
    scenes, tmp_path, accelerator, monkeypatch
):
    settings = RunSettings(on_error="redraw", tolerated_share=0.001)
    trainer = Trainer(RECIPE, *scenes, tmp_path / "run", accelerator, settings)
    # After an update: its signals, and how many clips did not decode.
    monkeypatch.setattr(
        "psla_hf.training.trainer.sums",
        lambda accelerator, *counts: [*counts[:-1], counts[-1] + 2] if len(counts) > len(SIGNALS) else [*counts],
    )
    with pytest.raises(ValueError, match="2 clips did not decode in 8 samples"):
        trainer.train()


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_clips(scenes, tmp_path, accelerator):
    trainer = Trainer(RECIPE, *scenes, tmp_path / "run", accelerator)
    with torch.no_grad():
        trainer.model.pooling.scores.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"loss is not finite in epoch 1, batch 1.*scene-1-"):
        trainer.train()
    [saved] = (tmp_path / "run" / "failed").iterdir()
    assert torch.load(saved / "state.pt")["totals"][0]["loss"] == 0.0  # of the batches before


@pytest.mark.parametrize("accumulated", [1, 2])
def test_how_often_losses_are_looked_at_changes_nothing(scenes, tmp_path, accelerator, accumulated):
    recipe = RECIPE.replace(gradient_accumulation=accumulated)
    often = run(recipe, scenes, tmp_path / "often", accelerator)
    trainer = Trainer(recipe, *scenes, tmp_path / "seldom", accelerator, RunSettings(checkpoint_every=5))
    trainer.updates_between_looks = 3
    looks, look = [], trainer.pending.look
    trainer.pending.look = lambda: looks.append(len(trainer.pending)) or look()
    seldom = trainer.train()
    assert [row["loss"] for row in seldom["epochs"]] == [row["loss"] for row in often["epochs"]]
    assert seldom["results"] == often["results"]
    assert max(looks) > accumulated and sum(looks) == trainer.epochs.batches_per_epoch * recipe.schedule.epochs


def test_a_loss_that_was_not_finite_before_the_look_is_named_with_its_own_clips(scenes, tmp_path, accelerator):
    trainer = Trainer(RECIPE, *scenes, tmp_path / "run", accelerator)
    trainer.updates_between_looks = 4
    batches = trainer.epochs.batches(1)
    second = [next(batches), next(batches)][1]
    compute, calls = trainer._loss, []

    def broken_at_the_second(inputs, batch):
        calls.append(batch)
        return compute(inputs, batch) * (float("nan") if len(calls) == 2 else 1.0)

    trainer._loss = broken_at_the_second
    with pytest.raises(ValueError, match=r"not finite in epoch 1, batch 2\..*latest state from before") as error:
        trainer.train()
    assert all(name in str(error.value) for name in second.ids)
    assert not (tmp_path / "run" / "failed").exists()


def test_a_broken_clip_that_was_mixed_in_is_named_too(scenes, tmp_path, accelerator, monkeypatch):
    trainer = Trainer(RECIPE.replace(mixup_rate=1.0), *scenes, tmp_path / "run", accelerator)
    batch = next(trainer.epochs.batches(1))
    partners = set(batch.mixed_in) - set(batch.ids)
    assert len(batch.mixed_in) == len(batch.ids) == RECIPE.input.batch_size and partners
    with torch.no_grad():
        trainer.model.pooling.scores.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match=partners.pop()):
        trainer.train()


def test_a_run_stops_in_an_evaluation_too_and_goes_on_from_before_it(scenes, tmp_path, accelerator, monkeypatch):
    whole = run(RECIPE, scenes, tmp_path / "whole", accelerator)
    trainer = Trainer(RECIPE, *scenes, tmp_path / "stopped", accelerator)
    evaluate = trainer._evaluate

    def evaluate_terminated(loader):
        if trainer.state.place.epoch == RECIPE.schedule.epochs:  # in the last one
            trainer.interruption.signal = signal.SIGTERM
        return evaluate(loader)

    monkeypatch.setattr(trainer, "_evaluate", evaluate_terminated)
    with pytest.raises(RunInterruptedError):
        trainer.train()
    resumed = run(RECIPE, scenes, tmp_path / "stopped", accelerator, resume=True)
    assert resumed["results"] == whole["results"]


def test_initialisation_follows_from_the_seed_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    first, same, other = (build_model(RECIPE, ["a", "b"], seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    name = "psla.backbone.conv_stem.weight"
    assert torch.equal(first[name], same[name]) and not torch.equal(first[name], other[name])


def test_a_run_that_was_killed_during_its_last_clean_up_is_finished(scenes, tmp_path, accelerator, monkeypatch):
    def killed(folder):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("psla_hf.training.trainer.keep_latest", killed)
        with pytest.raises(KeyboardInterrupt):
            run(RECIPE, scenes, tmp_path / "run", accelerator)
    log = (tmp_path / "run" / "metrics.jsonl").read_text()
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2
    assert run(RECIPE, scenes, tmp_path / "run", accelerator, resume=True) == results
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == log
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1


def test_an_epoch_whose_evaluation_fails_is_in_the_log_and_can_be_resumed(scenes, tmp_path, accelerator):
    train, test = scenes
    rows = test.to_list()
    rows[3]["audio"]["bytes"] = b"not audio"
    broken = Dataset.from_list(rows, features=test.features)
    with pytest.raises(ValueError, match="Clip 'scene-"):
        run(RECIPE, (train, broken), tmp_path / "run", accelerator)
    [row] = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert row["epoch"] == 1 and row["loss"] > 0 and "mAP" not in row


def test_a_folder_in_which_a_run_works_is_refused_and_the_process_named(scenes, tmp_path, accelerator):
    folder = tmp_path / "run"
    folder.mkdir()
    holder = "from pathlib import Path; from psla_hf.files import locked; import sys, time\n"
    holder += "with locked(Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holder, folder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        with pytest.raises(BlockingIOError, match=f"process {process.pid} on "):
            run(RECIPE, scenes, folder, accelerator, resume=True)
        process.kill()
    assert run(RECIPE.replace(epochs=1), scenes, folder, accelerator, resume=True)["epochs"]


def test_a_worker_that_dies_is_named_with_the_signal():
    loader = batch_loader(KillsItself(), num_workers=1, batch_size=1)
    with pytest.raises(ChildProcessError, match=r"\(SIGKILL\).*num_workers"):
        list(batches_of(loader))


class KillsItself(torch.utils.data.Dataset):
    """As the system does when memory runs out."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
