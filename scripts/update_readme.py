"""Bring the README's figures up to date with the result files: python scripts/update_readme.py."""

import json
import re
from pathlib import Path

from psla_hf.cli import command_line
from psla_hf.reporting import markdown_results

ROOT = Path(__file__).parents[1]
RUNS = {
    "ImageNet weights": "esc10_fold1_imagenet.json",
    "random weights": "esc10_fold1_random.json",
}


def updated(readme: str) -> str:
    runs = {name: json.loads((ROOT / "docs" / "results" / file).read_text()) for name, file in RUNS.items()}
    begin, end = "<!-- results: begin -->", "<!-- results: end -->"
    if readme.count(begin) != 1 or readme.count(end) != 1:
        raise ValueError(f"Expected {begin} and {end} once each in the README.")
    return re.sub(f"(?s){begin}.*{end}", lambda _: f"{begin}\n{markdown_results(runs)}\n{end}", readme)


def main() -> None:
    path = ROOT / "README.md"
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    with command_line():
        main()
