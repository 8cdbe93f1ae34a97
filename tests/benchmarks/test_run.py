"""Each benchmark of the runner runs in small and compares what it says."""

import json
import runpy
import sys

import pytest

from benchmarks.contention import median_step
from tests.conftest import TINY_BACKBONE


@pytest.fixture
def run_benchmark(monkeypatch):
    """Run `python -m benchmarks.run` in this process."""

    def run(*arguments) -> None:
        monkeypatch.setattr(sys, "argv", ["run.py", *map(str, arguments)])
        runpy.run_module("benchmarks.run", run_name="__main__")

    return run


def test_the_feature_benchmark_compares_three_ways(run_benchmark, tmp_path, capsys):
    run_benchmark("features", "--rounds", 1, "--output", tmp_path / "speed.json")
    results = json.loads((tmp_path / "speed.json").read_text())["results"]
    assert len(results) == 3 and results["PslaFeatureExtractor"]["ratio"] == 1
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
    options = ("--hours", 0.02, "--data-dir", esc_folder, "--output", tmp_path / "length.json")
    run_benchmark("length", saved_model, *options)
    results = json.loads((tmp_path / "length.json").read_text())["results"]
    assert results["windows"] == 73 and results["largest_change_by_hand"] < 0.05


def test_the_inference_benchmark_compares_every_backend_with_the_first_way():
    pytest.importorskip("openvino")
    from transformers import ASTConfig

    from benchmarks.inference import Architecture, benchmark_inference

    ast = ASTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16)
    results = benchmark_inference({"tiny": Architecture({"backbone": TINY_BACKBONE})}, ast, 1, 0.5, rounds=1)
    assert next(iter(results)) == "tiny: torch" and results["tiny: torch"]["ratio"] == 1
    assert {"AST", "tiny: ONNX Runtime", "tiny: OpenVINO"} < set(results)
    for figures in results.values():
        assert figures["slowest"] <= figures["clips_per_second"] <= figures["fastest"]


def test_a_training_step_takes_time():
    assert 0 < median_step(TINY_BACKBONE, batch_size=2, frames=32, steps=2) < 60
