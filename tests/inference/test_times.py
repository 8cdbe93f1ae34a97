"""When what is heard: over windows, over the ends of a sound, with frame scores and without; in bounded memory."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from psla_hf import AudioTagger, PslaConfig, PslaFeatureExtractor, PslaForAudioClassification
from psla_hf.inference.layout import Windowing
from psla_hf.inference.timeline import EventRule
from tests.conftest import CATEGORIES, TINY_BACKBONE

RATE = 16000
STEP = 0.32


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def make_tagger(pooling: str = "attention", **options) -> AudioTagger:
    torch.manual_seed(0)
    names = dict(enumerate(CATEGORIES))
    model = PslaForAudioClassification(PslaConfig(backbone=TINY_BACKBONE, id2label=names, pooling=pooling))
    return AudioTagger(model, PslaFeatureExtractor(max_length=512), **options)


@pytest.mark.parametrize("pooling", ["attention", "mean", "linear"])
@pytest.mark.parametrize("seconds", [1 / RATE, 0.2, 2.0, 5.2, 13.7])
def test_every_moment_has_its_step(pooling, seconds):
    line = make_tagger(pooling).timeline(noise(seconds), RATE)
    assert line.scores.shape == (np.ceil(line.seconds / line.step_seconds - 1e-6), len(CATEGORIES))
    assert line.seconds == pytest.approx(seconds, abs=1 / RATE)
    assert line.step_seconds == pytest.approx(STEP, abs=0.02)
    assert np.isfinite(line.scores).all() and (line.scores >= 0).all() and (line.scores <= 1).all()
    assert line.labels == tuple(CATEGORIES)


def test_a_window_has_the_models_own_frame_scores():
    tagger = make_tagger()
    sound = noise(5.0)
    features = tagger.extractor(sound, sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        own = tagger.model(**features, output_frame_scores=True).frame_scores[0].numpy()
    line = tagger.timeline(sound, RATE)
    np.testing.assert_allclose(line.scores, own[: len(line.scores)], atol=1e-5)


def test_sliding_windows_score_their_middles():
    tagger = make_tagger("linear")
    sound = noise(6.0)
    line = tagger.timeline(sound, RATE, window_seconds=STEP * 3)
    size, hop = round(3 * STEP * RATE), round(STEP * RATE)
    for k in (0, 5, 10):  # its window begins one step earlier
        cut = sound[k * hop : k * hop + size]
        frames = tagger.extractor(cut, sampling_rate=RATE, padding=False, return_tensors="pt")
        with torch.no_grad():
            own = tagger.model(frames["input_values"][:, : tagger.extractor.num_frames(size)]).logits.sigmoid()
        np.testing.assert_allclose(line.scores[k + 1], own[0], atol=1e-5)


def test_events_are_those_of_the_time_line():
    tagger = make_tagger()
    rule = EventRule(threshold=0.501, low=1)
    assert tagger.events(noise(9.0), RATE, rule) == tagger.timeline(noise(9.0), RATE).events(rule)


@pytest.mark.parametrize(
    ("options", "seconds", "message"),
    [
        ({"windowing": Windowing(hop_seconds=6)}, None, "what lies between windows"),
        ({}, 0.1, r"window_seconds from 0\.32 to 5\.1"),
        ({}, 7.0, r"window_seconds from 0\.32 to 5\.1"),
    ],
)
def test_windows_that_cannot_be_are_refused(options, seconds, message):
    with pytest.raises(ValueError, match=message):
        make_tagger(**options).timeline(noise(1.0), RATE, window_seconds=seconds)


PROGRAM = """
import resource, sys
from psla_hf import AudioTagger
tagger = AudioTagger.from_pretrained(sys.argv[1])
for file in sys.argv[2:]:
    tagger(file)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_memory_does_not_grow_with_the_length(saved_model, tmp_path):
    """Of half a minute and of six, at 48 kHz in two channels, which are 140 MB as float32 samples."""
    files = []
    for minutes in (0.5, 6):
        files.append(tmp_path / f"{minutes}.flac")
        soundfile.write(files[-1], np.tile(noise(6.0).reshape(-1, 2), (round(minutes * 60), 1)), 48000)
    printed = subprocess.check_output([sys.executable, "-c", PROGRAM, saved_model, *files], text=True)
    short, long = map(float, printed.split())
    assert long - short < 60
