"""The tagger that comes with the package learns from sounds that are none of the ten, and that it may learn from."""

from shutil import copy

import numpy as np
import pytest
import soundfile

from psla_hf.inference.recording import Recording
from studies.folds import every_clip
from studies.foreign_sounds import RATE
from studies.real_recordings import LICENCES, credit_lines, may_hold_one_of_the_ten, recorded_clip, recordings
from studies.shipped_tagger import FOREIGN, MIXED, RECORDED, false_alarms, foreign_files, highest_threshold, other_clips
from tests.docs.small_world import make_esc


def clones(folder):
    """Small files in the places of the recordings."""
    for number, line in enumerate(credit_lines()):
        file = folder / line["repository"] / line["path"].replace("*", "any")
        file.parent.mkdir(parents=True, exist_ok=True)
        sound = 0.1 * np.random.default_rng(number).standard_normal(RATE // 2)
        soundfile.write(file, sound, RATE, format="WAV")
    return folder


def test_recordings_may_be_learned_from_and_are_none_of_the_ten():
    for line in credit_lines():
        assert line["licence"] in LICENCES and line["author"] and line["source"].startswith("https://")
        assert not may_hold_one_of_the_ten(line["path"].rpartition("/")[2])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train", False),
        ("light-rain", True),
        ("crying_baby", True),
        ("Dog2", True),
        ("hound", False),
        ("rain.mp3", True),
    ],
)
def test_names_say_what_may_be_heard(name, expected):
    assert may_hold_one_of_the_ten(name) is expected


def test_no_recording_is_measured_that_was_learned_from(tmp_path):
    cloned = clones(tmp_path / "clones")
    (tmp_path / "foreign").mkdir()
    copy(recordings(cloned)[3], tmp_path / "foreign" / "other.wav")
    with pytest.raises(ValueError, match=r"no model has learned from, got .*other\.wav"):
        foreign_files([tmp_path / "foreign"], cloned)
    soundfile.write(tmp_path / "foreign" / "other.wav", np.zeros(RATE), RATE)
    soundfile.write(tmp_path / "foreign" / "a dog.wav", np.zeros(RATE), RATE)
    assert foreign_files([tmp_path / "foreign"], cloned) == {"foreign": [tmp_path / "foreign" / "other.wav"]}


def test_recordings_are_found_in_clones_and_missing_ones_named(tmp_path):
    assert len(recordings(clones(tmp_path))) == len(credit_lines())
    lost = credit_lines()[-1]
    (tmp_path / lost["repository"] / lost["path"].replace("*", "any")).unlink()
    with pytest.raises(FileNotFoundError, match=rf"Clone https://github.com/{lost['repository']} there, at commit"):
        recordings(tmp_path)


def test_a_piece_of_a_recording_follows_from_its_seed():
    waveforms = [np.sin(np.arange(seconds * RATE) / 20).astype(np.float32) for seconds in (1, 8)]
    first, again, other = (recorded_clip(waveforms, seed, 16000) for seed in ((1, 2), (1, 2), (1, 3)))
    assert first.shape == (5 * 16000,) and np.isfinite(first).all() and first.any()
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_clips_of_the_ten_lie_over_other_sounds_which_have_no_labels(tmp_path):
    make_esc(tmp_path / "esc10")
    clips = every_clip(str(tmp_path / "esc10"))
    for recorded, kinds in (([], FOREIGN), (2 * [np.ones(RATE, np.float32)], FOREIGN + RECORDED)):
        labels = other_clips(clips, recorded, seed=3)["labels"]
        assert labels.count([]) == round(kinds * len(clips))
        assert len(labels) == round(kinds * len(clips)) + round(MIXED * len(clips))


def test_false_alarms_are_counted_by_window_class_and_recording():
    heard = [
        Recording(f"{name}.wav", 5.0 * len(scores), ("dog", "rain"), np.zeros(len(scores)), np.array(scores))
        for name, scores in {"a": [[0.6, 0.7], [0.1, 0.2]], "b": [[0.4, 0.5]]}.items()
    ]
    found = false_alarms(heard, 0.5)
    assert (found["files"], found["windows"], found["hours"]) == (2, 3, pytest.approx(15 / 3600))
    assert found["percent"] == pytest.approx(200 / 3) and found["per hour"] == pytest.approx(3 * 3600 / 15)
    assert found["of"] == {"rain": 2, "dog": 1} and found["in"] == {"a": "1 of 2", "b": "1 of 1"}


def test_the_threshold_keeps_its_share_of_the_labels():
    scores = np.linspace(0, 1, 101)[:, None]
    assert highest_threshold(scores, np.ones_like(scores), 0.9) == pytest.approx(0.1)
