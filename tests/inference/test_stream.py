"""A sound that goes on has the tags of the same sound as a file."""

import itertools
import math

import numpy as np
import pytest

from psla_hf import AudioTagger
from psla_hf.inference.layout import Windowing
from psla_hf.inference.stream import StreamingTagger

RATE = 16000


@pytest.fixture
def tagger(saved_model) -> AudioTagger:
    return AudioTagger.from_pretrained(saved_model, windowing=Windowing(hop_seconds=0.25))


@pytest.mark.parametrize(("rate", "piece"), [(16000, 160), (16000, 5000), (48000, 1600), (44100, 99999)])
def test_pieces_of_any_size_have_the_files_scores(tagger, rate, piece):
    sound = (0.1 * np.random.default_rng(0).standard_normal((2, int(2.3 * rate)))).astype(np.float32)
    streaming = StreamingTagger(tagger, rate, hop_seconds=0.25, top_k=None)
    moments = []
    for start in range(0, sound.shape[1], piece):
        moments += streaming.feed(sound[:, start : start + piece])
        assert moments == [] or moments[-1].end * rate <= start + piece  # nothing is known beforehand
    moments += streaming.finish()
    [recording] = tagger.recordings([sound], rate)
    assert [moment.start for moment in moments] == pytest.approx(recording.starts)
    for moment, scores in zip(moments, recording.scores, strict=True):
        got = {tag["label"]: tag["score"] for tag in moment.tags}
        assert [got[label] for label in tagger.labels] == pytest.approx(scores.tolist(), abs=1e-5)


@pytest.mark.parametrize("first", ["channels", "samples"])
def test_a_piece_of_fewer_samples_than_channels_has_the_axes_of_the_first(tagger, first):
    sound = (0.1 * np.random.default_rng(0).standard_normal((2, RATE))).astype(np.float32)
    sound = sound if first == "channels" else sound.T
    cut = {"channels": lambda a, b: sound[:, a:b], "samples": lambda a, b: sound[a:b]}[first]
    whole, pieces = (StreamingTagger(tagger, RATE, hop_seconds=0.25, top_k=None) for _ in range(2))
    expected = whole.feed(sound) + whole.finish()
    edges = [0, 5, 6, 7, 9, RATE - 1, RATE]
    got = [moment for a, b in itertools.pairwise(edges) for moment in pieces.feed(cut(a, b))]
    got += pieces.finish()
    assert [moment.start for moment in got] == [moment.start for moment in expected]
    for one, other in zip(got, expected, strict=True):
        assert [tag["score"] for tag in one.tags] == pytest.approx([tag["score"] for tag in other.tags], abs=1e-5)
    assert pieces.feed(np.empty((2, 0))) == []


def test_it_answers_with_the_piece_that_completes_a_window_and_forgets_what_is_behind(tagger):
    streaming = StreamingTagger(tagger, RATE, hop_seconds=0.5, window_seconds=0.5)
    silence = np.zeros(RATE // 10, np.float32)
    counts = [len(streaming.feed(silence)) for _ in range(100)]
    assert sum(counts) == 20 and max(counts) == 1
    assert len(streaming._windows._kept) <= RATE


@pytest.mark.parametrize(
    "wrong",
    [
        {"hop_seconds": 0},
        {"hop_seconds": 1.5},
        {"hop_seconds": math.nan},
        {"window_seconds": 5},
        {"window_seconds": 0.001},
        {"window_seconds": math.nan},
        {"window_seconds": math.inf},
    ],
)
def test_windows_that_the_model_has_not_are_refused(tagger, wrong):
    with pytest.raises(ValueError, match="Expected windows of at most"):
        StreamingTagger(tagger, RATE, **wrong)


@pytest.mark.parametrize("rate", [0, 8, math.nan, math.inf, None, "16000"])
def test_rates_that_are_no_sounds_are_refused(tagger, rate):
    with pytest.raises(ValueError, match="Expected sampling_rate"):
        StreamingTagger(tagger, rate)
