"""Clips that are longer than a window: one at random in training, all of them in testing, as `AudioTagger` has it."""

import numpy as np
import pytest
import soundfile
from accelerate import Accelerator
from datasets import Dataset

from psla_hf.data.schema import tagging_features
from psla_hf.evaluation import highest_of_windows, score_clips, windows_of_clips
from psla_hf.inference.tagger import AudioTagger
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.loading.augmentation import Augmentation
from psla_hf.loading.samples import SampleMaker, TaggingDataset
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor

RATE, WINDOW = 16000, 8000
VOCABULARY = Vocabulary(("dog", "rain", "rooster"))
LENGTHS = {"short": 0.3, "window": 0.5, "long": 1.7, "longest": 4.0}


@pytest.fixture
def clips(tmp_path) -> Dataset:
    rng = np.random.default_rng(0)
    rows: dict[str, list] = {name: [] for name in tagging_features(VOCABULARY)}
    for k, (name, seconds) in enumerate(LENGTHS.items()):
        path = tmp_path / f"{name}.wav"
        # A ramp: a sample's value says where it is.
        samples = np.linspace(0, 0.5, round(seconds * RATE)) + 0.0 * rng.random(round(seconds * RATE))
        soundfile.write(path, samples, RATE, subtype="FLOAT")
        audio = {"path": str(path), "bytes": None}
        row = {"id": name, "audio": audio, "labels": [k % 3], "mids": [k % 3], "split": "train", "seconds": seconds}
        for column, value in row.items():
            rows[column].append(value)
    return Dataset.from_dict(rows, features=tagging_features(VOCABULARY))


def without_lengths(clips: Dataset) -> Dataset:
    return clips.map(lambda clip: {"seconds": None}, features=clips.features)


def first_sample(waveform: np.ndarray, seconds: float) -> float:
    return waveform[0] / 0.5 * (round(seconds * RATE) - 1)


@pytest.mark.parametrize("lengths_are_known", [True, False])
def test_a_training_sample_of_a_long_clip_is_a_window_anywhere_in_it(clips, lengths_are_known):
    clips = clips if lengths_are_known else without_lengths(clips)
    data = TaggingDataset(clips, SampleMaker(3, RATE, window=WINDOW))
    starts = []
    for seed in range(200):
        waveform = data[3, seed].waveform
        assert len(waveform) == WINDOW
        starts.append(first_sample(waveform, 4.0))
    assert 0 <= min(starts) < 4000 and 52000 < max(starts) <= 56000.5
    assert np.mean(starts) == pytest.approx(28000, abs=3000)
    assert [len(data[k, 5].waveform) for k in range(4)] == [4800, WINDOW, WINDOW, WINDOW]


def test_a_clip_that_is_longer_by_less_than_a_frame_is_taken_whole(clips):
    data = TaggingDataset(clips, SampleMaker(3, RATE, window=WINDOW - 80, longest=WINDOW + 79))
    assert {len(data[1, seed].waveform) for seed in range(5)} == {WINDOW}
    extractor = PslaFeatureExtractor(max_length=48)
    assert extractor.max_samples == WINDOW - 80 and extractor.longest_samples == WINDOW + 79


def test_a_window_follows_from_the_seed_alone_and_whole_clips_are_as_without_windows(clips):
    augmentation = Augmentation(mixup_rate=0.5, gain_db=6)
    windowed, whole = (TaggingDataset(clips, SampleMaker(3, RATE, augmentation, window=w)) for w in (WINDOW, None))
    for seed in range(10):
        np.testing.assert_array_equal(windowed[3, seed].waveform, windowed[3, seed].waveform)
        short = clips.select([0, 1])
        same = (TaggingDataset(short, SampleMaker(3, RATE, augmentation, window=w))[0, seed] for w in (WINDOW, None))
        one, other = same
        np.testing.assert_array_equal(one.waveform, other.waveform)
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(windowed[3, seed].mask_draws, whole[3, seed].mask_draws)


def test_a_clip_that_ends_before_its_header_says_is_drawn_from_what_is_there(clips):
    lying = clips.map(lambda clip: {"seconds": 100.0 if clip["id"] == "long" else clip["seconds"]})
    data = TaggingDataset(lying.cast(clips.features), SampleMaker(3, RATE, window=WINDOW))
    for seed in range(5):
        assert 0 < len(data[2, seed].waveform) <= WINDOW


@pytest.mark.parametrize("lengths_are_known", [True, False])
def test_all_windows_of_a_clip_are_those_of_the_tagger(clips, tiny_model, lengths_are_known):
    clips = clips if lengths_are_known else without_lengths(clips)
    extractor = PslaFeatureExtractor(max_length=48)
    tagger = AudioTagger(tiny_model, extractor)
    windows = windows_of_clips(clips, extractor)
    for number, seconds in enumerate(LENGTHS.values()):
        [recording] = tagger.recordings([clips[number]["audio"]["path"]])
        own = np.flatnonzero(windows.owners == number)
        assert len(own) == len(recording.starts)
        for window, start in zip(own.tolist(), recording.starts, strict=True):
            assert first_sample(windows[window].waveform, seconds) == pytest.approx(start * RATE, abs=0.1)


def test_a_clips_scores_are_the_taggers(clips, tiny_model):
    extractor = PslaFeatureExtractor(max_length=48)
    scores = score_clips(tiny_model, extractor, clips, Accelerator(cpu=True), batch_size=3)
    tagger = AudioTagger(tiny_model, extractor)
    for number, clip in enumerate(clips):
        [recording] = tagger.recordings([clip["audio"]["path"]])
        np.testing.assert_allclose(scores[number], recording.clip_scores(), atol=1e-5)


def test_the_highest_of_a_clips_windows_counts():
    scores = np.array([[0.125, 0.75], [0.5, 0.25], [0.375, 0.375]], np.float32)
    highest = highest_of_windows(scores, np.array([0, 0, 1]))
    np.testing.assert_array_equal(highest, [[0.5, 0.75], [0.375, 0.375]])
    np.testing.assert_array_equal(highest_of_windows(scores, np.arange(3)), scores)


def test_no_clips_have_no_windows(clips):
    with pytest.raises(ValueError, match="Expected clips to score, got a data set without any"):
        windows_of_clips(clips.select([]), PslaFeatureExtractor())
