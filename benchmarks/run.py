"""Measure speed against baselines in the same run, and samplers against their law: python -m benchmarks.run WHAT."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from datasets import concatenate_datasets

from benchmarks.contention import benchmark_contention
from benchmarks.data import benchmark_data, memory_while_streaming
from benchmarks.features import benchmark_features
from benchmarks.growth import benchmark_growth, growth_rows
from benchmarks.inference import benchmark_inference
from benchmarks.labels import benchmark_labels
from benchmarks.length import benchmark_length, draw_memory
from benchmarks.load import watched_load
from benchmarks.sampling import benchmark_sampling
from benchmarks.streaming import benchmark_streaming
from benchmarks.training import benchmark_training
from psla_hf.commands.arguments import command_line
from psla_hf.data.load import load_esc
from psla_hf.files import write_json
from psla_hf.inference.backends import BackendName
from psla_hf.labels.ontology import Ontology
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.provenance import provenance
from psla_hf.reports.tables import print_figures


def features(arguments: argparse.Namespace) -> dict:
    results = benchmark_features(rounds=arguments.rounds, device=arguments.device)
    print_speed(results, "Log-mel spectrograms of 32 clips of 10 s")
    return results


def sampling(arguments: argparse.Namespace) -> dict:
    results = benchmark_sampling(arguments.clips)
    print_figures(results["law"], "Chi-square of an epoch's counts, as a share of what independent draws give", "way")
    print_figures(results["order"], f"Batches of 100 from {arguments.clips:,} clips with a long tail", "order")
    print_figures({"an epoch, 30 epochs": results["coverage"]}, "Share of the clips", "balanced sampling")
    print_figures({"label pass and plan": results["opening"]}, "Opening shards", "")
    print(f"The same clips for 1, 2 and 4 readers: {results['readers']['same_clips']}")
    return results


def data(arguments: argparse.Namespace) -> dict:
    folds = load_esc(arguments.data_dir, fold=1)
    clips = concatenate_datasets([folds["train"], folds["test"]])
    results: dict = {"speed": benchmark_data(clips, arguments.rounds)}
    print_figures(results["speed"], f"One core, {len(clips)} clips, to batches of normalized spectrograms", "way")
    if arguments.minutes:
        results["memory"] = memory_while_streaming(clips, arguments.minutes)
        looks = {f"{look['minute']:.0f}": {"clips": look["clips"], "mb": look["mb"]} for look in results["memory"]}
        print_figures(looks, "Memory while streaming", "minute")
    return results


def labels(arguments: argparse.Namespace) -> dict:
    ontology = Ontology.from_json(arguments.ontology) if arguments.ontology else None
    vocabulary = Vocabulary.from_csv(arguments.vocabulary) if arguments.vocabulary else None
    results = benchmark_labels(arguments.clips, ontology, vocabulary, arguments.slice)
    print_figures(results["slice"], "Label enhancement on a slice, the same labels added", "way")
    whole = {name.replace("_", " "): {"all clips": figure} for name, figure in results["whole"].items()}
    print_figures(whole, "From a file of scores to a label set")
    return results


def inference(arguments: argparse.Namespace) -> dict:
    results = benchmark_inference(rounds=arguments.rounds)
    print_rates(results, "Tagging 4 clips of 10 s from their files")
    return results


def length(arguments: argparse.Namespace) -> dict:
    results = benchmark_length(arguments.model, Path(arguments.data_dir), arguments.hours, arguments.backends)
    rows = {f"{backend}, {hours}": row for backend, lengths in results.items() for hours, row in lengths.items()}
    print_figures(rows, "One file of 48 kHz in two channels", "backend, hours")
    if arguments.picture:
        draw_memory(results, arguments.picture)
    return results


def training(arguments: argparse.Namespace) -> dict:
    results = benchmark_training(rounds=arguments.rounds)
    print_rates(results, "Training steps of B2 with 4 heads, 8 clips of 10 s, from their spectrograms")
    return results


def streaming(arguments: argparse.Namespace) -> dict:
    results = benchmark_streaming(seconds=arguments.seconds)
    rows = {
        name: {
            "median": f"{result['median']:.3f} s",
            "slowest": f"{result['slowest']:.3f} s",
            "of the hop": f"{result['share']:.0%}",
        }
        for name, result in results.items()
    }
    print_figures(rows, "From a hop's last sample to its tags; a hop is a second", "model")
    return results


def growth(arguments: argparse.Namespace) -> dict:
    results = benchmark_growth(arguments.rounds, arguments.share)
    print_figures(growth_rows(results), "How times grow: power 1 where twice as much takes twice as long", "what")
    return results


def contention(arguments: argparse.Namespace) -> dict:
    results = benchmark_contention(rounds=arguments.rounds)
    rows = {name: {f"{how}, s": f"{time:.2f}" for how, time in times.items()} for name, times in results.items()}
    print_figures(rows, "A training step of EfficientNet-Lite0, 16 clips of 5 s, and beside a busy process", "threads")
    return results


def print_rates(results: Mapping[str, Mapping], title: str) -> None:
    """What `timing.rates` found."""
    rows = {
        name: {
            "clips/s": f"{result['clips_per_second']:.1f}",
            "slowest to fastest": f"{result['slowest']:.1f} to {result['fastest']:.1f}",
            "times the first": f"{result['ratio']:.2f}",
        }
        for name, result in results.items()
    }
    print_figures(rows, title, "way")


def print_speed(results: Mapping[str, Mapping], title: str) -> None:
    """Clips per second and how many times as long each way takes as the first; then where the first one's time goes."""
    rows = {
        name: {"clips/s": f"{result['clips_per_second']:.0f}", "time, first = 1": f"{result['ratio']:.2f}"}
        for name, result in results.items()
    }
    print_figures(rows, title, "way")
    first, result = next(iter(results.items()))
    print(
        f"Where {first}'s time goes: " + ", ".join(f"{op} {share:.0%}" for op, share in result["time_shares"].items())
    )


@dataclass(frozen=True)
class Benchmark:
    """One of the runner's words.

    Args:
        measure: Takes the arguments, prints a table, returns the figures.
        help: What is measured, against what.
        options: Adds its own to a parser.
        quick: Arguments for `make benchmarks-quick`; none where it needs data or a model.
    """

    measure: Callable[[argparse.Namespace], dict]
    help: str
    options: Callable[[argparse.ArgumentParser], None]
    quick: tuple[str, ...] | None = None


def with_rounds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=9, help="how often each way is timed, in turn")


def with_device(parser: argparse.ArgumentParser) -> None:
    with_rounds(parser)
    parser.add_argument("--device", default="cpu", help="where PslaFeatureExtractor computes, for example cuda")


def with_sounds(parser: argparse.ArgumentParser) -> None:
    with_rounds(parser)
    parser.add_argument("--data-dir", required=True, help="folder of ESC-50 or ESC-10")
    parser.add_argument("--minutes", type=float, default=0.0, help="also stream for so long, watching the memory")


def with_share(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=3, help="how often each size is timed, in turn")
    parser.add_argument("--share", type=float, default=1.0, help="of the numbers of clips")


def with_clips(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clips", type=int, default=2_063_949, help="size of the label list")


def with_labels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clips", type=int, default=2_000_000, help="size of the label list")
    parser.add_argument("--slice", type=int, default=20_000, help="clips that the plain loop does too")
    parser.add_argument("--ontology", help="AudioSet's ontology.json; default: a random forest")
    parser.add_argument("--vocabulary", help="with --ontology: the table of classes, of the same ids")


def with_recording(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="folder of a saved tagger of 16 kHz")
    parser.add_argument("--hours", type=float, nargs="+", default=[0.25, 1.0, 3.0], help="lengths of the recordings")
    backends = get_args(BackendName)
    parser.add_argument("--backends", nargs="+", default=["torch", "openvino"], choices=backends, help="what tags")
    parser.add_argument("--picture", type=Path, help="also draw the memory against the length into this PNG")
    parser.add_argument("--data-dir", required=True, help="folder of audio that the recording is made of")


def with_seconds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=30.0, help="of sound, after the first window")


BENCHMARKS = {
    "features": Benchmark(
        features,
        "log-mel spectrograms, against Kaldi and ASTFeatureExtractor",
        with_device,
        ("--rounds", "5"),
    ),
    "inference": Benchmark(
        inference,
        "tagging on a CPU, against the original, AST, PANNs and EfficientAT",
        with_rounds,
        ("--rounds", "2"),
    ),
    "streaming": Benchmark(streaming, "how soon a sound that goes on is tagged", with_seconds, ("--seconds", "8")),
    "training": Benchmark(
        training, "a training step on a CPU, against the original's loop", with_rounds, ("--rounds", "1")
    ),
    "contention": Benchmark(
        contention,
        "a training step beside a busy process, by how OpenMP's threads wait",
        with_rounds,
        ("--rounds", "1"),
    ),
    "growth": Benchmark(
        growth,
        "how times grow with clips, classes and processes",
        with_share,
        ("--rounds", "1", "--share", "0.1"),
    ),
    "sampling": Benchmark(
        sampling,
        "an epoch of the samplers, against their law and against independent draws",
        with_clips,
        ("--clips", "100000"),
    ),
    "labels": Benchmark(
        labels,
        "label enhancement from a file of scores, against a plain loop over clips",
        with_labels,
        ("--clips", "100000", "--slice", "5000"),
    ),
    "data": Benchmark(data, "from encoded clips to batches, against a plain loader", with_sounds),
    "length": Benchmark(length, "tagging a recording of hours: time, memory, and windows cut by hand", with_recording),
}


def measure(name: str, arguments: argparse.Namespace, output: str | Path | None) -> None:
    """Run a benchmark, look how busy the machine is before and after, and write what was found."""
    with watched_load() as load:
        results = BENCHMARKS[name].measure(arguments)
    if output:
        write_json({**provenance(), "load": load, "results": results}, output)


def quick(folder: Path) -> None:
    """All that need nothing, in small."""
    for name, benchmark in BENCHMARKS.items():
        if benchmark.quick is not None:
            parser = argparse.ArgumentParser()
            benchmark.options(parser)
            measure(name, parser.parse_args(benchmark.quick), folder / f"benchmark_{name}.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(metavar="WHAT", required=True, dest="what")
    for name, benchmark in BENCHMARKS.items():
        command = commands.add_parser(name, help=benchmark.help, description=benchmark.help)
        command.add_argument("--output", help="also write the figures to this JSON file")
        benchmark.options(command)
    small = commands.add_parser("quick", help="all that need no data, in small: about ten minutes")
    small.add_argument("--output-dir", type=Path, required=True, help="folder for the JSON files")
    arguments = parser.parse_args()
    if arguments.what == "quick":
        return quick(arguments.output_dir)
    if arguments.what == "labels" and bool(arguments.ontology) != bool(arguments.vocabulary):
        parser.error("expected --ontology and --vocabulary together")
    return measure(arguments.what, arguments, arguments.output)


if __name__ == "__main__":
    with command_line():
        main()
