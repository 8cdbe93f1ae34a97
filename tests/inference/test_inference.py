"""A file becomes tags; a long one is tagged window by window."""

import io

import numpy as np
import pytest
import soundfile
import torch
from datasets import Dataset
from transformers.utils.logging import warning_once

from psla_hf import AudioTagger, PslaFeatureExtractor
from psla_hf.models import waveforms_psla
from psla_hf.models.saved import load_saved

RATE = 16000


@pytest.fixture
def tagger(saved_model) -> AudioTagger:
    return AudioTagger.from_pretrained(saved_model)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


def test_a_file_is_tagged_by_falling_score(tagger, tmp_path):
    soundfile.write(tmp_path / "stereo.flac", np.stack([noise(0.5), noise(0.5, 1)], axis=1), 44100)
    tags = tagger(tmp_path / "stereo.flac", top_k=2)
    assert len(tags) == 2 and tags[0]["score"] >= tags[1]["score"]
    assert {tag["label"] for tag in tagger(tmp_path / "stereo.flac", top_k=None)} == {"dog", "rain", "rooster"}


def test_long_audio_is_covered_by_windows_and_the_highest_score_counts(tagger):
    audio = noise(2.5)
    scores = tagger.scores(audio, RATE)
    assert scores.shape == (3, 3)
    window = 400 + 97 * 160  # 98 frames, the model's max_length
    torch.testing.assert_close(scores[2], tagger.scores(audio[-window:], RATE)[0], rtol=0, atol=1e-5)
    best = max(tagger(audio, RATE), key=lambda tag: tag["score"])
    assert best["score"] == pytest.approx(float(scores.max()))


def test_a_waveform_is_resampled_to_the_models_rate(tagger):
    tone = np.sin(2 * np.pi * 440 * np.arange(int(0.9 * 48000)) / 48000).astype(np.float32)
    same = np.sin(2 * np.pi * 440 * np.arange(int(0.9 * RATE)) / RATE).astype(np.float32)
    torch.testing.assert_close(tagger.scores(tone, 48000), tagger.scores(same, RATE), rtol=0, atol=0.05)


def test_what_is_missing_is_said(tagger, tmp_path):
    with pytest.raises(ValueError, match="sampling_rate"):
        tagger(noise(1.0))
    with pytest.raises(FileNotFoundError, match="Expected a saved model"):
        AudioTagger.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no audio file .*gone\.wav"):
        tagger(tmp_path / "gone.wav")


SOUND = noise(0.9)
SAMPLES = {
    "float64": lambda x: (x.astype(np.float64), RATE),
    "int16": lambda x: ((x * 32768).round().astype(np.int16), RATE),
    "int32": lambda x: ((x.astype(np.float64) * 2**31).astype(np.int32), RATE),
    "tensor": lambda x: (torch.from_numpy(x), RATE),
    "numbers": lambda x: (x.tolist(), RATE),
    "row": lambda x: (x[None], RATE),
    "column": lambda x: (x[:, None], RATE),
    "tensor row": lambda x: (torch.from_numpy(x)[None], RATE),
    "channels first": lambda x: (np.stack([x, x]), RATE),
    "channels last": lambda x: (np.stack([x, x], axis=1), RATE),
    "sixteen channels": lambda x: (np.repeat(x[:, None], 16, axis=1), RATE),
    "array in a dictionary": lambda x: ({"array": x, "sampling_rate": RATE},),
    "as datasets decodes": lambda x: ({"array": x, "path": "gone.wav", "sampling_rate": RATE},),
    "with gradients": lambda x: (torch.from_numpy(x).requires_grad_(), RATE),
    "backwards": lambda x: (x[::-1].copy()[::-1], RATE),
    "foreign bytes": lambda x: (x.astype(">f4"), RATE),
    "raw in a dictionary": lambda x: ({"raw": x, "sampling_rate": RATE},),
}
FILES = {
    "path": lambda path: path,
    "string": str,
    "bytes": lambda path: path.read_bytes(),
    "a view of bytes": lambda path: memoryview(path.read_bytes()),
    "opened": lambda path: path.open("rb"),
    "path in a dictionary": lambda path: {"path": str(path), "bytes": None},
    "bytes in a dictionary": lambda path: {"path": None, "bytes": path.read_bytes()},
}


@pytest.mark.parametrize("form", [*SAMPLES, *FILES])
def test_one_sound_has_one_answer_in_any_form(tagger, tmp_path, form):
    soundfile.write(tmp_path / "sound.wav", SOUND, RATE, subtype="FLOAT")

    def arguments() -> tuple:
        return SAMPLES[form](SOUND) if form in SAMPLES else (FILES[form](tmp_path / "sound.wav"),)

    torch.testing.assert_close(tagger.scores(*arguments()), tagger.scores(SOUND, RATE), rtol=0, atol=1e-4)
    assert [tag["label"] for tag in tagger(*arguments())] == [tag["label"] for tag in tagger(SOUND, RATE)]


@pytest.mark.parametrize("form", SAMPLES)
def test_the_extractor_takes_samples_in_the_same_forms(form):
    """Of an array `[channels, T]` by itself it makes a batch, as elsewhere in transformers."""
    extractor = PslaFeatureExtractor(max_length=90)
    expected = extractor(SOUND, sampling_rate=RATE, return_tensors="np")["input_values"]
    got = extractor(SAMPLES[form](SOUND)[0], sampling_rate=RATE, return_tensors="np")["input_values"]
    assert len(got) == (2 if form == "channels first" else 1)
    for row in got:
        np.testing.assert_allclose(row, expected[0], atol=1e-3)


def test_a_list_of_sounds_has_a_list_of_answers(tagger, tmp_path):
    soundfile.write(tmp_path / "sound.wav", SOUND, RATE, subtype="FLOAT")
    one = tagger(SOUND, RATE)
    for sounds in ([tmp_path / "sound.wav"] * 2, [{"array": SOUND, "sampling_rate": RATE}] * 2, (SOUND, SOUND)):
        rate = RATE if sounds[0] is SOUND else None
        assert [[tag["label"] for tag in tags] for tags in tagger(sounds, rate)] == [[t["label"] for t in one]] * 2
    by_name = {"a": {"array": SOUND, "sampling_rate": RATE}}
    column = Dataset.from_list([{"audio": {"array": SOUND.tolist(), "sampling_rate": RATE}}])["audio"]
    assert [[tag["label"] for tag in tags] for several in (by_name.values(), column) for tags in tagger(several)] == [
        [tag["label"] for tag in one]
    ] * 2
    assert tagger([]) == []


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        ({"array": np.zeros(1), "sampling_rate": 48000}, "too few samples"),
        ({"array": ["a", "b"], "sampling_rate": RATE}, "Expected samples as an array"),
        ({"array": SOUND, "sampling_rate": "16000"}, "Expected sampling_rate"),
        ({"array": SOUND, "sampling_rate": 0}, "Expected sampling_rate"),
        ({"array": SOUND, "sampling_rate": float("nan")}, "from 1000 to 1000000 Hz"),
        (io.StringIO("words"), "gives str"),
        (None, "Expected sampling_rate"),
    ],
)
def test_what_is_no_sound_is_one_error_and_the_others_are_tagged(tagger, sound, message):
    errors, good = [], {"array": SOUND, "sampling_rate": RATE}
    found = list(tagger.recordings([good, sound, good], on_error=lambda *what: errors.append(what)))
    assert len(found) == 2
    [(source, error)] = errors
    assert source is sound and message in str(error)
    with pytest.raises(ValueError, match=message):
        tagger([sound])


def test_thresholds_are_by_class_and_of_classes_there_are(tagger):
    scores = {tag["label"]: tag["score"] for tag in tagger(SOUND, RATE, top_k=None)}
    tags = tagger(SOUND, RATE, threshold={"dog": 0.0})
    assert {tag["label"] for tag in tags} == {"dog", *(label for label, score in scores.items() if score >= 0.5)}
    for wrong in ({"cat": 0.1}, "atuo", {"dog": "0.5"}, 2, -0.1, float("nan")):
        with pytest.raises(ValueError, match="Expected thresholds"):
            tagger(SOUND, RATE, threshold=wrong)


@pytest.mark.parametrize("device", ["cuda:7", "quantum"])
def test_a_device_that_is_not_there_is_refused(saved_model, device):
    with pytest.raises(ValueError, match=f"Expected a device of this machine, such as cpu, got {device}"):
        AudioTagger.from_pretrained(saved_model, device=device)


def test_numbers_of_tags_may_be_numpys(tagger):
    assert len(tagger(SOUND, RATE, top_k=np.int64(2))) == 2


@pytest.mark.parametrize("top_k", [0, -1, 4, 2.5, "all", True])
def test_more_tags_than_classes_and_fewer_than_one_are_refused(tagger, top_k):
    with pytest.raises(ValueError, match="top_k from 1 to 3"):
        tagger(SOUND, RATE, top_k=top_k)


def test_an_empty_path_is_not_the_folder_one_is_in(tagger):
    with pytest.raises(ValueError, match="Expected audio, got an empty path"):
        tagger("")


@pytest.mark.parametrize("scale", [1e20, 1e30, np.inf, np.nan])
def test_scores_that_are_no_numbers_are_never_returned(tagger, scale):
    with pytest.raises(ValueError, match="finite"):
        tagger((SOUND * np.float32(scale)).astype(np.float32), RATE)


def test_channels_that_cancel_each_other_are_warned_of(tagger, monkeypatch):
    warnings: list[str] = []
    monkeypatch.setattr(waveforms_psla.logger, "warning", warnings.append)
    warning_once.cache_clear()
    tagger(np.stack([SOUND, SOUND]), RATE)
    assert not warnings
    tagger(np.stack([SOUND, -0.99 * SOUND]), RATE)
    assert "cancel each other" in warnings[0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda sound: np.stack([sound, -sound], 1), "cancel each other"),
        (lambda sound: 20 * sound, "where 1 is full scale"),
    ],
    ids=["cancelled", "too loud"],
)
@pytest.mark.parametrize("form", ["path", "string", "dictionary of a path", "dictionary of samples", "samples"])
def test_a_warning_about_a_sound_of_several_names_it(tagger, tmp_path, monkeypatch, caplog, changed, message, form):
    warned: list[str] = []
    monkeypatch.setattr(waveforms_psla.logger, "warning", warned.append)
    warning_once.cache_clear()
    samples = changed(SOUND / np.abs(SOUND).max()).astype(np.float32)
    for name in ("good.wav", "odd.wav", "odder.wav"):
        soundfile.write(tmp_path / name, SOUND if name == "good.wav" else samples, RATE, subtype="FLOAT")
    path = tmp_path / "odd.wav"
    odd = {
        "path": path,
        "string": str(path),
        "dictionary of a path": {"path": str(path), "bytes": None},
        "dictionary of samples": {"path": str(path), "array": samples, "sampling_rate": RATE},
        "samples": {"array": samples, "sampling_rate": RATE},
    }[form]
    list(tagger.recordings([tmp_path / "good.wav", odd, tmp_path / "odder.wav"]))
    said = [line for line in [*warned, *caplog.messages] if message in line]
    assert len(said) == 2 and ("A sound" if form == "samples" else str(path)) in said[0]
    assert str(tmp_path / "odder.wav") in said[1]


def test_dictionaries_that_lack_something_or_contradict_are_refused(tagger):
    for wrong, message in (
        ({"array": SOUND}, "sampling_rate"),
        ({"sampling_rate": RATE, "raw": None}, "array"),
        ({"audio": SOUND}, "got one with"),
    ):
        with pytest.raises(ValueError, match=message):
            tagger(wrong)
    with pytest.raises(ValueError, match="one sampling rate"):
        tagger({"array": SOUND, "sampling_rate": RATE}, 44100)


@pytest.mark.parametrize("backend", ["torch", "onnx"])
@pytest.mark.parametrize("streams", [0, -1])
def test_no_streams_are_refused(saved_model, tmp_path, backend, streams):
    folder = saved_model
    if backend == "onnx":
        pytest.importorskip("onnxruntime")
        from psla_hf.models.export import export_model

        folder = tmp_path / "graph"
        export_model(*load_saved(saved_model), folder)
    with pytest.raises(ValueError, match=f"streams of 1 or more, got {streams}"):
        AudioTagger.from_pretrained(folder, backend=backend, streams=streams)


@pytest.mark.parametrize(("streams", "batch_size"), [(1, 1), (1, 4), (2, 1), (3, 2)])
def test_tags_do_not_depend_on_what_is_tagged_beside_what(saved_model, streams, batch_size):
    noise = np.random.default_rng(0)
    sounds = [0.1 * noise.standard_normal(length).astype(np.float32) for length in (16000, 400, 90000, 30000)]
    alone, together = (
        AudioTagger.from_pretrained(saved_model, streams=one, batch_size=size)
        for one, size in ((1, 1), (streams, batch_size))
    )
    for sound, found in zip(sounds, together.recordings(sounds, 16000), strict=True):
        assert found.source is sound
        np.testing.assert_allclose(found.scores, alone.scores(sound, 16000).numpy(), atol=1e-6)
