"""Measure speed, as ratios against a baseline in the same run: python scripts/benchmark.py features."""

import argparse

from psla_hf.benchmark import benchmark_features
from psla_hf.cli import command_line
from psla_hf.provenance import provenance, write_json
from psla_hf.reporting import print_speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["features"], help="features: log-mel spectrograms of 32 clips of 10 s")
    parser.add_argument("--device", default="cpu", help="where PslaFeatureExtractor computes, for example cuda")
    parser.add_argument("--rounds", type=int, default=9, help="how often each way is timed, in turn")
    parser.add_argument("--output", help="also write the figures to this JSON file")
    arguments = parser.parse_args()

    results = benchmark_features(rounds=arguments.rounds, device=arguments.device)
    print_speed(results, "Log-mel spectrograms of 32 clips of 10 s")
    if arguments.output:
        write_json({**provenance(), "results": results}, arguments.output)


if __name__ == "__main__":
    with command_line():
        main()
