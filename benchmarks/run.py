"""Measure speed against baselines in the same run, and samplers against their law: python -m benchmarks.run WHAT."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from datasets import concatenate_datasets

from benchmarks.contention import benchmark_contention
from benchmarks.data import benchmark_data, memory_while_streaming
from benchmarks.features import benchmark_features
from benchmarks.inference import benchmark_inference
from benchmarks.labels import benchmark_labels
from benchmarks.length import benchmark_length
from benchmarks.sampling import benchmark_sampling
from psla_hf.commands.arguments import command_line
from psla_hf.data.load import load_esc
from psla_hf.files import write_json
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
    rows = {
        name: {
            "clips/s": f"{result['clips_per_second']:.1f}",
            "slowest to fastest": f"{result['slowest']:.1f} to {result['fastest']:.1f}",
            "times the first": f"{result['ratio']:.2f}",
        }
        for name, result in results.items()
    }
    print_figures(rows, "Tagging 4 clips of 10 s from their files", "way")
    return results


def length(arguments: argparse.Namespace) -> dict:
    results = benchmark_length(arguments.model, Path(arguments.data_dir), arguments.hours)
    print_figures({name.replace("_", " "): {"recording": figure} for name, figure in results.items()}, "One long file")
    return results


def contention(arguments: argparse.Namespace) -> dict:
    results = benchmark_contention(rounds=arguments.rounds)
    rows = {name: {f"{how}, s": f"{time:.2f}" for how, time in times.items()} for name, times in results.items()}
    print_figures(rows, "A training step of EfficientNet-Lite0, 16 clips of 5 s, and beside a busy process", "threads")
    return results


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(metavar="WHAT", required=True)
    for what, help in (
        (features, "log-mel spectrograms, against Kaldi and ASTFeatureExtractor"),
        (sampling, "an epoch of the samplers, against their law and against independent draws"),
        (data, "from encoded clips to batches, against a plain loader"),
        (inference, "tagging on a CPU, against the original and AST"),
        (length, "tagging a recording of hours: time, memory, and windows cut by hand"),
        (contention, "a training step beside a busy process, by how OpenMP's threads wait"),
        (labels, "label enhancement from a file of scores, against a plain loop over clips"),
    ):
        command = commands.add_parser(what.__name__, help=help, description=help)
        command.set_defaults(measure=what)
        command.add_argument("--output", help="also write the figures to this JSON file")
        if what is features:
            command.add_argument(
                "--device", default="cpu", help="where PslaFeatureExtractor computes, for example cuda"
            )
        if what is sampling:
            command.add_argument("--clips", type=int, default=2_063_949, help="size of the label list")
        elif what is labels:
            command.add_argument("--clips", type=int, default=2_000_000, help="size of the label list")
            command.add_argument("--slice", type=int, default=20_000, help="clips that the plain loop does too")
            command.add_argument("--ontology", help="AudioSet's ontology.json; default: a random forest")
            command.add_argument("--vocabulary", help="with --ontology: the table of classes, of the same ids")
        elif what is length:
            command.add_argument("model", help="folder of a saved tagger of 16 kHz")
            command.add_argument("--hours", type=float, default=3.0)
            command.add_argument("--data-dir", required=True, help="folder of audio that the recording is made of")
        else:
            command.add_argument("--rounds", type=int, default=9, help="how often each way is timed, in turn")
        if what is data:
            command.add_argument("--data-dir", required=True, help="folder of ESC-50 or ESC-10")
            command.add_argument(
                "--minutes", type=float, default=0.0, help="also stream for so long, watching the memory"
            )
    arguments = parser.parse_args()
    if arguments.measure is labels and bool(arguments.ontology) != bool(arguments.vocabulary):
        parser.error("expected --ontology and --vocabulary together")

    results = arguments.measure(arguments)
    if arguments.output:
        write_json({**provenance(), "results": results}, arguments.output)


if __name__ == "__main__":
    with command_line():
        main()
