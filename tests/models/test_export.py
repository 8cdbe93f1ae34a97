"""An exported graph computes what its model does, whoever runs it, and its folder says what it is."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from packaging.version import Version

from psla_hf import AudioTagger, PslaConfig, PslaEnsembleForAudioClassification, PslaFeatureExtractor
from psla_hf import PslaForAudioClassification as Tagger
from psla_hf.audio import read_audio
from psla_hf.extras import check_installed
from psla_hf.inference.backends import ExportedModel, clip_scores
from psla_hf.models.export import export_model
from psla_hf.models.graphs import GRAPH_FILES, GraphFormat, graph_inputs
from tests.conftest import CATEGORIES, TINY_BACKBONE

if Version(torch.__version__) < Version("2.12"):
    pytest.skip("the extra onnx needs torch 2.12", allow_module_level=True)
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
openvino = pytest.importorskip("openvino")

RATE = 16000
FORMATS = list(GRAPH_FILES)


def make_model(seed: int = 0, names: tuple[str, ...] = CATEGORIES, **settings) -> Tagger:
    torch.manual_seed(seed)
    return Tagger(PslaConfig(backbone=TINY_BACKBONE, id2label=dict(enumerate(names)), **settings)).eval()


def ensemble() -> PslaEnsembleForAudioClassification:
    """Of two poolings and orders of classes."""
    return PslaEnsembleForAudioClassification.from_members(
        [make_model(), make_model(1, CATEGORIES[::-1], pooling="mean")]
    )


def deaf() -> Tagger:
    """A tagger whose attention is close to nothing at every step, as for classes that are rarely there."""
    model = make_model(num_attention_heads=1)
    with torch.no_grad():
        model.pooling.attention.bias.fill_(-14)
        model.pooling.attention.weight.mul_(5)
    return model


# Model, frames that its extractor pads to, whether the graph takes waveforms, and the formats that are tried.
GRAPHS = {
    "spectrograms": (make_model, 98, False, ["onnx"]),
    "waveforms of one length": (make_model, 98, True, FORMATS),
    "waveforms of any length": (ensemble, None, True, FORMATS),
    "little attention": (deaf, None, False, FORMATS),
    "linear pooling": (lambda: make_model(pooling="linear"), 98, False, ["onnx"]),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model, its extractor and the folder it is exported to; each is made once."""

    @cache
    def make(name: str, format: str):
        make_model, max_length, front_end, _ = GRAPHS[name]
        model, extractor = make_model(), PslaFeatureExtractor(max_length=max_length)
        folder = tmp_path_factory.mktemp("graphs") / "folder"
        export_model(model, extractor, folder, format, front_end)
        return model, extractor, folder

    return make


def clips() -> list[np.ndarray]:
    """Noise, a tone in silence, and what is shorter than a frame; an offset in each."""
    rng, time = np.random.default_rng(0), np.arange(20000) / RATE
    tone = np.sin(2 * np.pi * 440 * time) * (time > 0.5)
    sounds = [0.1 * rng.standard_normal(14000), tone, 0.1 * rng.standard_normal(300), 0.1 * rng.standard_normal(16000)]
    return [(sound + 0.05).astype(np.float32) for sound in sounds]


@pytest.mark.parametrize(("name", "format"), [(name, format) for name in GRAPHS for format in GRAPHS[name][-1]])
def test_a_graph_computes_what_the_model_does(exported, name, format):
    model, extractor, folder = exported(name, format)
    graph = ExportedModel(folder, format)
    for batch in (clips(), clips()[:1], clips()[2:3]):
        expected, got = clip_scores(model, extractor, batch), clip_scores(graph, extractor, batch)
        torch.testing.assert_close(got.probabilities, expected.probabilities, rtol=0, atol=1e-4)
        assert (got.frame_scores is None) == (expected.frame_scores is None) == (name == "linear pooling")
        if expected.frame_scores is not None:
            torch.testing.assert_close(got.frame_scores, expected.frame_scores, rtol=0, atol=1e-4)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["spectrograms", "waveforms of one length", "waveforms of any length"])
def test_of_real_clips_too(exported, name, shared):
    model, extractor, folder = exported(name, "onnx")
    sounds = [read_audio(path, RATE) for path in sorted((shared / "esc10" / "audio").glob("*.ogg"))[:8]]
    expected = clip_scores(model, extractor, sounds).probabilities
    torch.testing.assert_close(
        clip_scores(ExportedModel(folder, "onnx"), extractor, sounds).probabilities, expected, rtol=0, atol=1e-4
    )


def test_what_lies_behind_a_clips_end_does_not_count(exported):
    _, extractor, folder = exported("waveforms of any length", "onnx")
    graph = ExportedModel(folder, "onnx")
    inputs = {name: tensor.numpy() for name, tensor in graph_inputs(extractor, True, clips()).items()}
    expected = graph.run(inputs)["probabilities"]
    for row, length in zip(inputs["waveforms"], inputs["lengths"], strict=True):
        row[length:] = 0.7
    np.testing.assert_array_equal(graph.run(inputs)["probabilities"], expected)


@pytest.mark.parametrize("format", FORMATS)
def test_the_file_says_what_it_takes_and_gives(exported, format):
    model, extractor, folder = exported("waveforms of one length", format)
    path = folder / GRAPH_FILES[format]
    if format == "onnx":
        import onnxruntime

        facts = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    else:
        import openvino

        facts = {name: fact.value for name, fact in openvino.Core().read_model(path).rt_info["psla"].items()}
    assert json.loads(facts["labels"]) == model.config.label_names
    assert json.loads(facts["sampling_rate"]) == RATE and json.loads(facts["max_length"]) == extractor.max_length
    weights = {"onnx": set(), "openvino": {"openvino_model.bin"}}[format]
    files = {"README.md", "config.json", "preprocessor_config.json", path.name} | weights
    assert {file.name for file in folder.iterdir()} == files
    assert "`waveforms` [B, T] at 16000 Hz" in (folder / "README.md").read_text()


@pytest.mark.parametrize("format", FORMATS)
def test_a_tagger_tags_with_it(exported, format, tmp_path):
    model, extractor, folder = exported("waveforms of one length", format)
    soundfile.write(tmp_path / "long.wav", np.concatenate(clips()), RATE)
    expected = AudioTagger(model, extractor)(tmp_path / "long.wav")
    got = AudioTagger.from_pretrained(folder, backend=format)(tmp_path / "long.wav")
    assert [tag["label"] for tag in got] == [tag["label"] for tag in expected]
    assert [tag["score"] for tag in got] == pytest.approx([tag["score"] for tag in expected], abs=1e-4)


@pytest.fixture
def in_integers(tmp_path) -> Callable[[GraphFormat], Path]:
    """A tagger exported in 8-bit integers."""

    def export(format: GraphFormat) -> Path:
        extractor = PslaFeatureExtractor(max_length=98)
        export_model(make_model(), extractor, tmp_path / "int8", format, front_end=True, calibration=clips())
        return tmp_path / "int8"

    return export


@pytest.mark.parametrize("format", FORMATS)
def test_in_integers_it_computes_nearly_the_same(in_integers, format):
    model, extractor = make_model(), PslaFeatureExtractor(max_length=98)
    folder = in_integers(format)
    graph = ExportedModel(folder, format)
    expected, got = (clip_scores(each, extractor, clips()).probabilities for each in (model, graph))
    assert 0 < (got - expected).abs().max() < 0.1
    weights = {"onnx": {"model.onnx"}, "openvino": {"openvino_model.xml", "openvino_model.bin"}}[format]
    files = {path.name for path in folder.iterdir()}
    assert files == {"README.md", "config.json", "preprocessor_config.json", *weights}


def test_integers_keep_the_metadata(in_integers):
    file = onnx.load(in_integers("onnx") / "model.onnx")
    assert {"labels", "sampling_rate"} < {entry.key for entry in file.metadata_props}


def test_for_openvino_the_inputs_of_dense_convolutions_become_integers_and_nothing_else(in_integers):
    """Their results go through the activation in float32, which OpenVINO makes a part of the convolution."""
    graph = openvino.Core().read_model(in_integers("openvino") / "openvino_model.xml")
    kinds = Counter(node.get_type_name() for node in graph.get_ops())
    assert kinds["FakeQuantize"] == kinds["Convolution"] > kinds["GroupConvolution"] > 0


def test_in_bfloat16_openvino_computes_nearly_the_same(exported):
    """Each number has eight bits there; a processor without them computes in float32."""
    model, extractor, folder = exported("little attention", "openvino")
    graph = ExportedModel(folder, "openvino", torch.bfloat16)
    expected, got = (clip_scores(each, extractor, clips()) for each in (model, graph))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0.05)


def test_made_ready_for_inference_torch_computes_the_same(saved_model):
    tagger = AudioTagger.from_pretrained(saved_model)
    plain = Tagger.from_pretrained(saved_model)
    expected = clip_scores(plain, tagger.extractor, clips())
    for got, one in zip(clip_scores(tagger.model, tagger.extractor, clips()), expected, strict=True):
        torch.testing.assert_close(got, one, rtol=0, atol=1e-5)


def test_threads_that_score_at_once_from_the_first_clip_on_do_not_wait_for_each_other_forever(tmp_path):
    """Threads take turns far more often than by default, which made two first clips of OpenVINO's meet."""
    program = (
        "import pathlib, sys, threading\nimport numpy as np, openvino\n"
        "from psla_hf.inference.backends import ExportedModel\n"
        "graph = ExportedModel(pathlib.Path(sys.argv[1]), 'openvino', streams=2)\n"
        "inputs, meeting = {'input_values': np.zeros((1, 1056, 128), np.float32)}, threading.Barrier(6)\n"
        "infer = openvino.InferRequest.infer\n"
        "openvino.InferRequest.infer = lambda *args, **kwargs: (meeting.wait(), infer(*args, **kwargs))[1]\n"
        "sys.setswitchinterval(1e-6)\n"
        "threads = [threading.Thread(target=graph.run, args=[inputs]) for _ in range(6)]\n"
        "[thread.start() for thread in threads]\n[thread.join() for thread in threads]\n"
    )
    export_model(make_model(), PslaFeatureExtractor(), tmp_path / "graph", "openvino")
    subprocess.run(
        [sys.executable, "-c", program, tmp_path / "graph"], check=True, capture_output=True, text=True, timeout=120
    )


def test_graphs_that_are_let_go_leave_the_process_whole(exported):
    """OpenVINO's cores, each with a stack for signals, end in the order they began; then a child ends."""
    program = (
        "import pathlib, signal, subprocess, sys\nfrom psla_hf.inference.backends import ExportedModel\n"
        "first, second = [ExportedModel(pathlib.Path(sys.argv[1]), 'openvino') for _ in range(2)]\n"
        "del first, second; signal.signal(signal.SIGCHLD, lambda *_: None); subprocess.run(['true'])"
    )
    folder = exported("waveforms of one length", "openvino")[2]
    assert subprocess.run([sys.executable, "-c", program, folder]).returncode == 0


@pytest.mark.parametrize("format", FORMATS)
def test_graphs_tag_without_the_models_of_torch(exported, format):
    """Which take memory, and time to import."""
    program = (
        "import sys, numpy\nfrom psla_hf import AudioTagger\n"
        "AudioTagger.from_pretrained(sys.argv[1], backend=sys.argv[2])(numpy.zeros(16000, numpy.float32), 16000)\n"
        "print({'timm', 'torchvision', 'transformers.modeling_utils'} & set(sys.modules))"
    )
    folder = exported("waveforms of one length", format)[2]
    assert subprocess.check_output([sys.executable, "-c", program, folder, format], text=True) == "set()\n"


def test_what_is_missing_is_said_in_one_line(exported, saved_model, tmp_path):
    _, extractor, folder = exported("spectrograms", "onnx")
    ears = exported("waveforms of one length", "openvino")[2]
    load = AudioTagger.from_pretrained
    for call, error, message in (
        (lambda: check_installed("onnx", "onnx", "no_such_package"), ImportError, r'pip install "psla-hf\[onnx\]"'),
        (lambda: load(folder), FileNotFoundError, "it holds an exported model.*backend='onnx'"),
        (lambda: load(folder, backend="openvino"), FileNotFoundError, "Expected openvino_model.xml.*backend='onnx'"),
        (lambda: load(saved_model, backend="onnx"), FileNotFoundError, "Expected model.onnx.*Export the model"),
        (lambda: load("owner/name", backend="onnx"), ValueError, "the folder of an exported model.*owner/name"),
        (lambda: load(saved_model, backend="tensorrt"), ValueError, "one of torch, onnx, openvino, got 'tensorrt'"),
        (lambda: load(folder, "cuda", backend="onnx"), ValueError, "Expected device='cpu'"),
        (lambda: load(folder, backend="onnx", dtype=torch.bfloat16), ValueError, "dtype torch.float32 with .*'onnx'"),
        (lambda: load(ears, backend="openvino", dtype=torch.bfloat16), ValueError, "export without front end"),
        (lambda: load(ears, backend="openvino", dtype=torch.float16), ValueError, "float32 or torch.bfloat16 with"),
        (lambda: export_model(make_model(), extractor, folder), FileExistsError, "overwrite=True"),
        (
            lambda: export_model(make_model(), extractor, tmp_path / "x", calibration=[]),
            ValueError,
            "at least one clip",
        ),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("content", [None, "", "{", "[1]", "null"])
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_an_exported_folder_without_a_whole_file_of_settings_is_refused_by_its_name(exported, tmp_path, name, content):
    folder = tmp_path / "graph"
    shutil.copytree(exported("spectrograms", "onnx")[2], folder)
    (folder / name).unlink() if content is None else (folder / name).write_text(content)
    with pytest.raises((OSError, ValueError)) as refusal:
        AudioTagger.from_pretrained(folder, backend="onnx")
    said = str(refusal.value)
    assert name in said and str(folder) in said
    assert "\n" not in said and "huggingface.co" not in said


def test_the_commands_export_and_tag(saved_model, tmp_path, monkeypatch, capsys):
    from psla_hf.commands import run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "sounds").mkdir()
    for k, clip in enumerate(clips()):
        soundfile.write(tmp_path / "sounds" / f"{k}.wav", clip, RATE)
    run(["tag", saved_model, "sounds/0.wav"])
    expected = capsys.readouterr().out
    run(["export", saved_model, "--front-end"])
    assert capsys.readouterr().out == "model-onnx: psla tag model-onnx FILE --backend onnx\n"
    run(["tag", "model-onnx", "sounds/0.wav", "--backend", "onnx"])
    assert capsys.readouterr().out == expected
    run(["export", saved_model, "--int8", "sounds", "--output", "small"])
    assert "4 of the 4 audio files in sounds" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run(["tag", "model-onnx", "sounds/0.wav"])
    assert "backend='onnx' (--backend onnx)" in capsys.readouterr().err
    assert Path("small/model.onnx").is_file()
