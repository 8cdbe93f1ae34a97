"""Each benchmark of the runner runs in small and compares what it says."""

import json
import sys
from dataclasses import replace

import pytest

from benchmarks import run as runner
from benchmarks.growth import GROWTHS, benchmark_growth, exponent
from benchmarks.load import watched_load
from benchmarks.peers import Cnn14, MobileNetTagger
from benchmarks.steps import median_step
from benchmarks.streaming import benchmark_streaming
from benchmarks.training import benchmark_training
from tests.conftest import TINY_BACKBONE


@pytest.fixture
def run_benchmark(monkeypatch):
    """Run `python -m benchmarks.run` in this process, as on an idle machine."""
    monkeypatch.setattr("benchmarks.load.psutil.cpu_percent", lambda interval: 0.0)

    def run(*arguments) -> None:
        monkeypatch.setattr(sys, "argv", ["run.py", *map(str, arguments)])
        runner.main()

    return run


def test_the_feature_benchmark_compares_three_ways(run_benchmark, tmp_path, capsys):
    run_benchmark("features", "--rounds", 1, "--output", tmp_path / "speed.json")
    results = json.loads((tmp_path / "speed.json").read_text())["results"]
    assert len(results) == 3 and results["PslaFeatureExtractor"]["ratio"] == 1
    assert json.loads((tmp_path / "speed.json").read_text())["load"] == {"before": 0, "after": 0, "busy": False}
    assert "time goes" in capsys.readouterr().out


def test_the_sampling_benchmark_finds_the_law_kept(run_benchmark, tmp_path):
    run_benchmark("sampling", "--clips", 3000, "--output", tmp_path / "sampling.json")
    results = json.loads((tmp_path / "sampling.json").read_text())["results"]
    assert results["readers"]["same_clips"] is True
    for figures in results["law"].values():
        assert figures["mean"] == pytest.approx(1, abs=0.05) and figures["variance"] == pytest.approx(1, abs=0.3)
    order = list(results["order"].values())
    assert order[0]["repeated_pairs"] < order[1]["repeated_pairs"]  # independent draws, copies in place


def test_the_data_benchmark_compares_four_ways_and_watches_the_memory(run_benchmark, esc_folder, tmp_path):
    options = ("--rounds", 1, "--minutes", 0.01, "--output", tmp_path / "data.json")
    run_benchmark("data", "--data-dir", esc_folder, *options)
    results = json.loads((tmp_path / "data.json").read_text())["results"]
    assert len(results["speed"]) == 4 and results["speed"]["plain loader"]["ratio"] == 1
    assert results["memory"][0]["clips"] > 0


def test_a_long_file_is_tagged_as_its_windows_cut_by_hand(run_benchmark, saved_model, esc_folder, tmp_path):
    pytest.importorskip("openvino")
    options = ("--data-dir", esc_folder, "--output", tmp_path / "length.json", "--picture", tmp_path / "memory.png")
    run_benchmark("length", saved_model, "--hours", 0.02, *options)
    results = json.loads((tmp_path / "length.json").read_text())["results"]
    assert (tmp_path / "memory.png").stat().st_size > 5000
    for backend in ("torch", "openvino"):
        figures = results[backend]["0.02"]
        assert figures["windows"] == 73 and figures["largest_change_by_hand"] < 0.05
        assert figures["mb_loaded"] < figures["mb_at_the_peak"]


def test_the_inference_benchmark_compares_every_backend_with_the_first_way():
    pytest.importorskip("openvino")
    from transformers import ASTConfig

    from benchmarks.inference import Architecture, benchmark_inference

    ast = ASTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16)
    results = benchmark_inference({"tiny": Architecture({"backbone": TINY_BACKBONE})}, ast, 2, 0.5, rounds=1)
    assert next(iter(results)) == "tiny: torch, as trained" and results["tiny: torch, as trained"]["ratio"] == 1
    assert {"tiny: OpenVINO, model alone", "EfficientAT mn10, ONNX Runtime"} < set(results)
    assert {"AST", "PANNs CNN14", "EfficientAT mn10", "tiny: ONNX Runtime", "tiny: OpenVINO"} < set(results)
    for figures in results.values():
        assert figures["slowest"] <= figures["clips_per_second"] <= figures["fastest"]


@pytest.mark.parametrize(
    ("model", "parameters"),
    [(Cnn14, 80_753_615), (MobileNetTagger, 4_880_000)],  # Kong et al., 2020; Schmid et al., 2023: "4.88M"
)
def test_peers_have_the_published_numbers_of_parameters(model, parameters):
    built = sum(parameter.numel() for parameter in model(527).parameters())
    assert built == pytest.approx(parameters, rel=1e-3 if parameters < 1e7 else 0)


def test_training_steps_of_ours_and_of_the_original_take_time():
    for options in ({"backbone": TINY_BACKBONE}, {"backbone": "efficientnet-b0", "original": True, "heads": 1}):
        assert 0 < median_step(**options, batch_size=2, frames=32, steps=2) < 60


def test_the_training_benchmark_compares_with_its_first_way():
    ways = {"bf16": {"backbone": TINY_BACKBONE, "mixed_precision": "bf16"}}
    results = benchmark_training(ways, batch_size=2, frames=32, classes=3, rounds=1, steps=1)
    assert results["bf16"]["ratio"] == 1 and results["bf16"]["clips_per_second"] > 0


def test_streaming_is_timed_by_model_and_window():
    results = benchmark_streaming({"tiny": {"backbone": TINY_BACKBONE}}, seconds=2.0, classes=3)
    assert list(results) == ["tiny, windows of 10 s", "tiny, windows of 2.5 s"]
    for figures in results.values():
        assert 0 < figures["median"] <= figures["slowest"] and figures["share"] == figures["median"]


def test_growth_is_the_power_of_the_size_and_everything_is_timed():
    assert exponent({"10": 1.0, "20": 2.0, "40": 4.0}) == pytest.approx(1)
    assert exponent({"1": 3.0, "2": 1.5}) == pytest.approx(-1)
    few = {name: replace(growth, sizes=growth.sizes[:2]) for name, growth in GROWTHS.items()}
    results = benchmark_growth(rounds=1, share=0.004, growths=few)
    assert {name: figures["of"] for name, figures in results.items()} == {name: few[name].of for name in few}
    assert all(seconds > 0 for figures in results.values() for seconds in figures["seconds"].values())


def test_a_busy_machine_is_warned_about_and_marked(monkeypatch):
    monkeypatch.setattr("benchmarks.load.psutil.cpu_percent", lambda interval: 60.0)
    with pytest.warns(UserWarning, match="Expected an idle machine, but 60% of its cores"), watched_load() as load:
        pass
    assert load == {"before": 0.6, "after": 0.6, "busy": True}


def test_quick_measures_all_that_need_no_data_in_small(monkeypatch, tmp_path):
    asked = {}

    def measure(name, arguments, output):
        asked[name] = (vars(arguments), output)

    monkeypatch.setattr(runner, "measure", measure)
    runner.quick(tmp_path)
    assert set(asked) == set(runner.BENCHMARKS) - {"data", "length"}
    assert asked["labels"][0]["clips"] == 100_000 and asked["labels"][1] == tmp_path / "benchmark_labels.json"
