"""What is chosen by the data and the machine, beside what is given."""

import numpy as np
import pytest
from datasets import Dataset

from psla_hf.data.schema import IndexedClips, tagging_features
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.training import choices
from psla_hf.training.choices import choose_recipe, default_workers, shareable
from psla_hf.training.recipe import Recipe
from psla_hf.training.recipes import ESC10, get_recipe

VOCABULARY = Vocabulary(("cat", "dog"))


def clips(number: int, seconds: float | None = 5.0, cats: float = 0.5, **longer: float) -> IndexedClips:
    is_cat = np.arange(number) < cats * number
    labels: list[list[int]] = [[0] if cat else [1] for cat in is_cat]
    labels[: int(longer.get("unlabelled", 0))] = [[]] * int(longer.get("unlabelled", 0))
    lengths = [seconds] * number
    lengths[: int(longer.get("share", 0) * number)] = [longer.get("length", 0.0)] * int(longer.get("share", 0) * number)
    columns = {
        "id": [str(k) for k in range(number)],
        "audio": [{"path": "x.wav", "bytes": None}] * number,
        "labels": labels,
        "mids": labels,
        "split": ["train"] * number,
        "seconds": lengths,
    }
    return IndexedClips(Dataset.from_dict(columns, features=tagging_features(VOCABULARY)))


def test_for_esc10s_clips_it_is_esc10s_recipe():
    assert choose_recipe(clips(320), {}).recipe == ESC10.replace(balanced_sampling=False)


@pytest.mark.parametrize(
    ("data", "setting", "value"),
    [
        (clips(320, 0.3), "max_length", 96),
        (clips(320, 1.0), "max_length", 128),
        (clips(320, 10.0), "max_length", 1024),
        (clips(320, 600.0), "max_length", 1024),
        (clips(320, None), "max_length", 1024),
        (clips(100, 1.0, share=0.04, length=60.0), "max_length", 128),
        (clips(100, 1.0, share=0.5, length=60.0), "max_length", 1024),
        (clips(320, 1.0), "time_mask", 24),
        (clips(320), "balanced_sampling", False),
        (clips(320, cats=0.1), "balanced_sampling", True),
        (clips(320, cats=0.1, unlabelled=4), "balanced_sampling", False),
        (clips(20), "epochs", 40),
        (clips(20), "batch_size", 8),
        (clips(20), "learning_rate", 5e-4),
        (clips(1280), "epochs", 10),
        (clips(1280), "average_last", 4),
        (clips(15000), "epochs", 5),
        (clips(20000), "backbone", Recipe().model.backbone),
        (clips(20000), "epochs", get_recipe("audioset_full").schedule.epochs),
    ],
)
def test_a_setting_follows_from_the_data(data, setting, value):
    assert choose_recipe(data, {}).recipe.settings()[setting] == value


def test_what_is_given_stays_and_the_rest_fits_to_it():
    choice = choose_recipe(clips(320), {"epochs": 40, "max_length": 256, "balanced_sampling": True})
    settings = choice.recipe.settings()
    assert settings["epochs"] == 40 and settings["max_length"] == 256 and settings["balanced_sampling"] is True
    assert settings["halve_from_epoch"] == 20 and settings["average_last"] == 16 and settings["time_mask"] == 48
    assert not any(reason.startswith(("epochs", "max_length", "balanced")) for reason in choice.reasons)


def test_every_choice_of_weight_has_its_reason():
    reasons = "\n".join(choose_recipe(clips(100, 1.0, cats=0.1, share=0.04, length=60.0), {}).reasons)
    assert (
        "own_small: 100 clips" in reasons and "balanced_sampling on: the most frequent class has 9.0 times" in reasons
    )
    assert "95% of the clips are no longer than 1.00 s; of 4 longer ones windows at random" in reasons


def test_all_schedules_are_such_that_can_be_run():
    for number in (2, 9, 81, 500, 5000):
        recipe = choose_recipe(clips(number), {}).recipe
        assert 1 <= recipe.first_averaged_epoch <= recipe.schedule.epochs
        assert recipe.schedule.warmup_steps <= recipe.schedule.epochs * -(-number // recipe.input.batch_size) / 5 + 1


@pytest.mark.parametrize(
    ("batch", "processes", "nearest"), [(16, 1, 16), (16, 3, 15), (16, 5, 15), (2, 8, 8), (8, 3, 9)]
)
def test_a_batch_that_cannot_be_shared_becomes_the_nearest_that_can(batch, processes, nearest):
    assert shareable(ESC10.replace(batch_size=batch), processes).input.batch_size == nearest


def test_workers_by_the_cores(monkeypatch):
    for cores, device, processes, wanted in [
        (2, "cpu", 1, 0),
        (8, "cpu", 1, 1),
        (8, "cpu", 4, 0),
        (2, "cuda", 1, 1),
        (16, "cuda", 2, 7),
        (128, "cuda", 1, 8),
    ]:
        monkeypatch.setattr(choices, "cpu_count", lambda cores=cores: cores)
        assert default_workers(device, processes) == wanted


def test_clips_without_labels_are_not_balanced_away():
    reasons = "\n".join(choose_recipe(clips(100, cats=0.1, unlabelled=4), {}).reasons)
    assert "balanced_sampling off: " in reasons and "would never draw the 4 clips without labels" in reasons
