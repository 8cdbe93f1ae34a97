"""Bring the figures in the documents up to date with the result files: python -m scripts.update_documents."""

import argparse
from collections.abc import Callable, Mapping

from psla_hf.commands.arguments import command_line
from scripts.documents import benchmarks, runs, studies
from scripts.documents.results import ROOT

DOCUMENTS: dict[str, Mapping[str, Callable[[], str]]] = {
    "README.md": {"headline": studies.headline, "letters": runs.letters},
    "docs/index.md": {"letters": runs.letters},
    "docs/tag.md": {"shipped": studies.shipped, "events": studies.events, "length": benchmarks.length},
    "docs/train_your_own.md": {"peers": studies.peers},
    "docs/train.md": {
        "results": runs.runs,
        "folds": runs.folds,
        "selection": studies.selection,
        "together": studies.together,
        "resamplers": studies.resamplers,
        "demo": runs.demo,
    },
    "docs/data.md": {"data": benchmarks.data, "sampling": benchmarks.sampling},
    "docs/benchmarks.md": {
        "features": benchmarks.features,
        "training": benchmarks.training,
        "streaming": benchmarks.streaming,
        "contention": benchmarks.contention,
        "growth": benchmarks.growth,
    },
    "docs/export.md": {"inference": benchmarks.inference},
    "docs/study.md": {
        "ablation": studies.ablation,
        "groups": studies.ablation_groups,
        "labels": studies.ablation_labels,
        "aggregation": studies.ablation_aggregation,
        "course": studies.ablation_course,
    },
    "docs/labels.md": {"benchmark": benchmarks.enhancement, "study": studies.study},
    "docs/teachers.md": {
        "fine-tuning": studies.fine_tuning,
        "distillation": studies.distillation,
        "mixtures": studies.mixtures,
    },
}


def updated(text: str, parts: Mapping[str, Callable[[], str]]) -> str:
    for name, content in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"Expected {begin} and {end} once each in the document.")
        before, after = text.split(begin)[0], text.split(end)[1]
        text = f"{before}{begin}\n{content()}\n{end}{after}"
    return text


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, parts in DOCUMENTS.items():
        path = ROOT / name
        path.write_text(updated(path.read_text(encoding="utf-8"), parts), encoding="utf-8")


if __name__ == "__main__":
    with command_line():
        main()
