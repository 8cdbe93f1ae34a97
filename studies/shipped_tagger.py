"""The tagger that comes with the package: how it was trained, and how often it raises a false alarm.

    python -m studies.shipped_tagger train --data-dir esc10 --clones CLONES --work runs/shipped
    python -m studies.shipped_tagger measure --data-dir esc10 --clones CLONES --work runs/shipped --foreign FOLDERS \
        --output RESULTS
    python -m studies.shipped_tagger release --data-dir esc10 --work runs/shipped --results RESULTS --output FOLDER

`train` makes three models: on folds 1 to 3 of ESC-10 alone; on the same with sounds of which none is one of the ten,
made ones and recordings (see `real_recordings`), and with mixtures of both; and, in the same way, on all folds.
`--runs` leaves some to other processes. `measure` chooses a threshold of each of the first two on fold 4, counts on
fold 5 what it still finds, and in FOLDERS, real recordings of other things that none of them learned from, how often it
finds one of the ten. `release` writes the third with the second's threshold in half precision, and its card. Finished
runs are not run again.
"""

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from accelerate import Accelerator
from datasets import Dataset, concatenate_datasets
from jinja2 import StrictUndefined, Template
from safetensors.torch import load_file, save_file

from psla_hf.audio import read_audio
from psla_hf.commands.arguments import command_line
from psla_hf.data.schema import targets_of
from psla_hf.data.toy import dataset_of_waveforms
from psla_hf.evaluation import score_clips
from psla_hf.files import digest, write_json
from psla_hf.folder import FolderContents
from psla_hf.inference.recording import Recording
from psla_hf.inference.tagger import AudioTagger
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.models.saved import load_saved
from psla_hf.provenance import provenance
from psla_hf.reports.markdown import markdown_figures, markdown_origin
from psla_hf.reports.tables import print_epoch, print_figures
from psla_hf.training.build import make_accelerator
from psla_hf.training.recipes import get_recipe
from psla_hf.training.run.settings import RunSettings
from psla_hf.training.trainer import Trainer
from studies import foreign_sounds
from studies.folds import every_clip, of_folds
from studies.foreign_sounds import KINDS, foreign_sound, room_tone
from studies.real_recordings import (
    LICENCES,
    credit_lines,
    may_hold_one_of_the_ten,
    recorded_clip,
    recordings,
)

__all__ = ["false_alarms", "highest_threshold", "other_clips"]

RATE = 16000

# For each clip of ESC-10: made sounds, pieces of recordings, and mixtures of the clip with one or the other.
FOREIGN, RECORDED, MIXED = 1.0, 1.0, 0.4

WITH_PAUSES = ("dog", "rooster", "crying_baby", "sneezing")  # between whose sounds a recording is heard by itself

SNR = (0.0, 25.0)  # of a clip over the other sound in a mixture, in decibels

# Clips of any loudness that begin anywhere, eight in a batch.
ALONE = get_recipe("esc10/moved").replace(target=None)
# Other sounds are mixed in beforehand, with whole labels, and not by mixup. Balanced sampling would never draw a clip
# without labels.
RECIPE = ALONE.replace(
    mixup_rate=0.0, balanced_sampling=False, epochs=12, halve_from_epoch=6, halve_every=1, average_last=4
)

LEFT_OUT = "CC-Sampling+"  # the licence of two clips, which forbids what CC BY allows

KEPT = 0.95  # share of the labels that the threshold is to keep

RUNS = ("ESC-10 alone", "with other sounds", "all folds")


def usable_clips(data_dir: str) -> Dataset:
    """ESC-10 without the two clips whose licence is not CC0 or CC BY."""
    clips = every_clip(data_dir)
    licences = pd.read_csv(Path(data_dir) / "ATTRIBUTION.csv")
    left_out = {Path(name).stem for name in licences["filename"][licences["license"] == LEFT_OUT]}
    kept = [row for row, name in enumerate(clips["id"]) if Path(name).stem not in left_out]
    return clips.select(kept)


def other_clips(clips: Dataset, recorded: Sequence[np.ndarray], seed: int) -> Dataset:
    """Clips without labels, and clips of ESC-10 over them with their labels.

    Without labels are made sounds, what the recordings of short sounds have between these, and pieces of recordings.

    Args:
        clips: Of ESC-10.
        recorded: Recordings `[T]` at `foreign_sounds.RATE`; none: made sounds alone.
        seed: Everything drawn is a function of it.
    """
    number, mixed = round(FOREIGN * len(clips)), round(MIXED * len(clips))
    rng = np.random.default_rng(seed)
    names = clips.features["labels"].feature.names
    sounds = [read_audio(clip["audio"]["bytes"] or clip["audio"]["path"], RATE) for clip in clips]
    pauses = [k for k, labels in enumerate(clips["labels"]) if names[labels[0]] in WITH_PAUSES]
    tones = [tone for k in rng.permutation(pauses) if (tone := room_tone(sounds[k], RATE, rng)) is not None]
    tones = tones[: number // 8]
    waveforms = tones + [foreign_sound((seed, k), RATE) for k in range(number - len(tones))]
    if recorded:
        waveforms += [recorded_clip(recorded, (seed, k), RATE) for k in range(round(RECORDED * len(clips)))]
    labels: list[list[int]] = [[] for _ in waveforms]
    for n, k in enumerate(rng.permutation(len(clips))[:mixed]):
        new = seed, number, int(k)
        under = recorded_clip(recorded, new, RATE) if recorded and n % 2 else foreign_sound(new, RATE)
        waveforms.append(over(sounds[k], under, rng))
        labels.append(clips["labels"][int(k)])
    made = dataset_of_waveforms(waveforms, labels, Vocabulary(tuple(names)), f"others-{seed}", f"seed {seed}")
    return made.cast(clips.features)


def over(sound: np.ndarray, under: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A clip over another sound, at a random ratio of their energies."""
    size = min(len(sound), len(under))
    levels = [float(np.sqrt((one[:size].astype(float) ** 2).mean())) for one in (sound, under)]
    mixture = sound[:size] + levels[0] / max(levels[1], 1e-6) * 10 ** (-rng.uniform(*SNR) / 20) * under[:size]
    return mixture / max(1.0, float(np.abs(mixture).max()))


def train(
    data_dir: str, clones: Path, work: Path, seed: int, accelerator: Accelerator, runs: Sequence[str] = RUNS
) -> None:
    """Run what is left of these runs."""
    clips = usable_clips(data_dir)
    for name in runs:
        print(f"\n{name}", flush=True)
        training = clips if name == RUNS[2] else of_folds(clips, (1, 2, 3))
        recipe = ALONE
        if name != RUNS[0]:
            recorded = [read_audio(file, foreign_sounds.RATE) for file in recordings(clones)]
            training, recipe = concatenate_datasets([training, other_clips(training, recorded, seed)]), RECIPE
        # The last one has no clips left to be tested on: its figures on fold 4 are nobody's.
        settings = RunSettings(seed=seed, resume=True)
        run = Trainer(recipe, training, of_folds(clips, (4,)), work / name, accelerator, settings)
        run.train(report=print_epoch)


def highest_threshold(scores: np.ndarray, targets: np.ndarray, kept: float = KEPT) -> float:
    """The highest threshold, rounded down to a hundredth, that keeps this share of the labels.

    Args:
        scores: `[N, K]` in [0, 1].
        targets: 0/1 labels `[N, K]`.
        kept: Share of the labels whose scores are to reach it.
    """
    of_labels = np.sort(scores[targets > 0])
    return round(math.floor(100 * float(of_labels[int((1 - kept) * len(of_labels))])) / 100, 2)


def false_alarms(heard: Sequence[Recording], threshold: float) -> dict[str, Any]:
    """What a tagger hears in recordings without any of its classes, window by window.

    Args:
        heard: What it gave them, its windows side by side.
        threshold: From which score on a class counts as heard.

    Returns:
        `files`, `hours`, `windows`; `percent`, the share of windows with a class at the threshold; `per hour`, how many
        classes in all windows were; `of`, the same by class, and `in`, the windows by file, from most to least.
    """
    hours = sum(recording.seconds for recording in heard) / 3600
    reached = [recording.scores >= threshold for recording in heard]
    every = np.concatenate(reached)
    by_class = {name: int(count) for name, count in zip(heard[0].labels, every.sum(axis=0), strict=True)}
    where = {
        Path(str(recording.source)).stem: f"{at.any(axis=1).sum()} of {len(at)}"
        for recording, at in zip(heard, reached, strict=True)
    }
    return {
        "files": len(heard),
        "hours": hours,
        "windows": len(every),
        "percent": 100 * float(every.any(axis=1).mean()),
        "per hour": float(every.sum() / hours),
        "of": dict(sorted(by_class.items(), key=lambda item: -item[1])),
        "in": dict(sorted(where.items(), key=lambda item: -int(item[1].split()[0]))),
    }


def foreign_files(folders: Iterable[Path], clones: Path) -> dict[str, list[Path]]:
    """Recordings of other things by their folder's name, without those that may hold one of the ten by their names.

    Raises:
        ValueError: A model has learned from one.
    """
    learned = {digest(file) for file in recordings(clones)}
    found = {}
    for folder in folders:
        files = [file for file in FolderContents.of(folder).audio if not may_hold_one_of_the_ten(file.stem)]
        if known := [file for file in files if digest(file) in learned]:
            raise ValueError(f"Expected recordings that no model has learned from, got {known[0]}. Take it out.")
        found[folder.name] = files
    return found


def measure(
    data_dir: str, clones: Path, work: Path, foreign: Iterable[Path], accelerator: Accelerator
) -> dict[str, dict[str, dict[str, Any]]]:
    """What is kept of clips that were not trained on, and the false alarms: by run and by threshold."""
    by_folder = foreign_files(foreign, clones)
    clips = usable_clips(data_dir)
    validation, test = of_folds(clips, (4,)), of_folds(clips, (5,))
    made = other_clips(test, [], seed=1000)  # of another seed than in training
    unlabelled = made.filter(lambda labels: not labels, input_columns="labels")
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    thresholds: list[float] = []
    for name in RUNS:
        model, extractor = load_saved(work / name)
        silent = score_clips(model, extractor, unlabelled, accelerator)
        found = None
        if name != RUNS[2]:  # which has heard both parts, and takes the threshold of the one before
            threshold = highest_threshold(
                score_clips(model, extractor, validation, accelerator), targets_of(validation)
            )
            thresholds = [threshold, 0.5]
            found = score_clips(model, extractor, test, accelerator), targets_of(test)
        tagger = AudioTagger.from_pretrained(work / name)
        heard = {folder: list(tagger.recordings(files)) for folder, files in by_folder.items()}
        rows[name] = {}
        for level in thresholds:
            rows[name][str(level)] = {
                **(kept(*found, level) if found else {}),
                "made sounds": 100 * float((silent >= level).any(axis=1).mean()),
                "foreign": {folder: false_alarms(of_folder, level) for folder, of_folder in heard.items()},
            }
    return rows


def kept(scores: np.ndarray, targets: np.ndarray, level: float) -> dict[str, float]:
    """What a threshold keeps of the labels `[N, K]`, and how much of what it lets through is right."""
    heard = scores >= level
    return {"recall": float(heard[targets > 0].mean()), "precision": float(targets[heard].mean())}


def table(rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, float | str]]:
    """What is shown of the figures: a line for each model and threshold, shares in percent."""
    shown: dict[str, dict[str, float | str]] = {}
    for name, levels in rows.items():
        for level, figures in levels.items():
            line: dict[str, float | str] = {
                "recall": f"{figures['recall']:.1%}" if "recall" in figures else "",
                "precision": f"{figures['precision']:.1%}" if "precision" in figures else "",
                "made sounds": f"{figures['made sounds']:.1f}%",
            }
            for folder, alarms in figures["foreign"].items():
                line[f"{folder}: windows"] = f"{alarms['percent']:.1f}%"
                line[f"{folder}: an hour"] = f"{alarms['per hour']:.0f}"
            shown[f"{name}, {level}"] = line
    return shown


def release(data_dir: str, work: Path, results: Path, folder: Path) -> None:
    """Write the model of all folds with the threshold that was measured, its large weights in half precision.

    Args:
        data_dir: Of ESC-10, with ATTRIBUTION.csv.
        work: Where the runs are.
        results: What `measure` wrote.
        folder: To write; what an earlier release left there is replaced.
    """
    content = json.loads(results.read_text(encoding="utf-8"))
    model, extractor = load_saved(work / RUNS[2])
    threshold = next(iter(content["results"][RUNS[2]]))
    model.config.thresholds = [float(threshold)] * len(model.config.label_names)
    with TemporaryDirectory() as whole:
        model.save_pretrained(whole)
        config = json.loads(Path(whole, "config.json").read_text(encoding="utf-8"))
        weights = load_file(Path(whole, "model.safetensors"))
    del config["auto_map"]  # the code lies beside it in the package
    # Biases and statistics are small, and some too large for half precision.
    halves = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in weights.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(config, folder / "config.json")
    extractor.save_pretrained(folder)
    for code in folder.glob("*.py"):
        code.unlink()
    extractor_file = folder / "preprocessor_config.json"
    settings = json.loads(extractor_file.read_text(encoding="utf-8"))
    settings.pop("auto_map", None)
    write_json(settings, extractor_file)
    used = {Path(name).stem for name in usable_clips(data_dir)["id"]}
    attributions = pd.read_csv(Path(data_dir) / "ATTRIBUTION.csv")
    attributions = attributions[[Path(name).stem in used for name in attributions["filename"]]]
    card = Template(CARD, undefined=StrictUndefined).render(
        origin=markdown_origin(content),
        figures=markdown_figures(table(content["results"]), "model and threshold"),
        threshold=threshold,
        kinds=list(KINDS),
        labels=sorted(model.config.label_names),
        clips=attributions.to_dict("records"),
        recordings=credit_lines(),
        licences=LICENCES,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


CARD = """---
license: cc-by-4.0
library_name: transformers
pipeline_tag: audio-classification
tags: [audio-tagging, psla]
---

# The tagger that comes with psla-hf

EfficientNet-Lite0 with attention pooling (PSLA), trained on ESC-10. It is what `psla tag FILE` takes where no model is
named. It knows ten sounds, {{ labels|join(", ") }}, and nothing else: take it to see how things work, and
train on your own sounds for a purpose (`psla train FOLDER`).

## How it was trained

On {{ clips|length }} of ESC-10's 400 clips, all five folds; beside them, as clips without labels, sounds of which none
is one of the ten: made ones ({{ kinds|join(", ") }}), what the
recordings have between their sounds, and pieces of other recordings; and clips over such sounds with their labels.
Loudness and beginning are random. Large weights are kept in half precision.

Its threshold is {{ threshold }} for every class: the highest one at which a model of folds 1 to 3 keeps 95 % of the
labels of fold 4.

{{ figures }}

Recall and precision are of fold 5 and a model of folds 1 to 3, for the one here has heard every clip. Made sounds:
share of held-out made sounds in which one of the ten is heard. The other columns: real recordings of other things, the
share of windows in which one of the ten is heard, and false alarms an hour. {{ origin }}.

## Credits

The clips are of ESC-10 (Karol J. Piczak, ESC: Dataset for Environmental Sound Classification, 2015), from
[freesound.org](https://freesound.org). Two clips under CC Sampling+ were left out. The others:

| clip | title | author | licence |
| --- | --- | --- | --- |
{% for clip in clips -%}
| [{{ clip.filename }}]({{ clip.source }}) | {{ clip.title|replace("|", "/") }} | {{ clip.author }} | [{{ clip.license
}}]({{ clip.license_url }}) |
{% endfor %}
Recordings without any of the ten classes, with the licences that these repositories of GitHub state:

| recording | repository, commit | author | licence |
| --- | --- | --- | --- |
{% for one in recordings -%}
| [{{ one.path.split("/")[-1] }}]({{ one.source }}) | {{ one.repository }}, {{ one.commit }} | {{ one.author }} | [{{
one.licence }}]({{ licences[one.licence] }}) |
{% endfor %}"""


def main() -> None:
    """Run a part of the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "measure", "release"])
    parser.add_argument("--data-dir", required=True, help="folder of ESC-10 with ATTRIBUTION.csv")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--clones", type=Path, help="folder of the repositories in real_recordings.csv")
    parser.add_argument("--runs", nargs="+", default=list(RUNS), choices=list(RUNS), help="to train")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--foreign", type=Path, nargs="+", help="folders of recordings without any of the ten")
    parser.add_argument("--results", type=Path, help="what was measured")
    parser.add_argument("--output", type=Path, help="JSON file to write, or the folder of the released model")
    arguments = parser.parse_args()
    with command_line():
        if arguments.what != "release" and arguments.clones is None:
            raise ValueError("Expected --clones, the repositories in real_recordings.csv, to train and to measure.")
        if arguments.what == "train":
            train(
                arguments.data_dir, arguments.clones, arguments.work, arguments.seed, make_accelerator(), arguments.runs
            )
            return
        if arguments.what == "release":
            release(arguments.data_dir, arguments.work, arguments.results, arguments.output)
            return
        rows = measure(arguments.data_dir, arguments.clones, arguments.work, arguments.foreign, make_accelerator())
        print_figures(table(rows), "What is found at a threshold, and what is heard in other recordings", "model")
        if arguments.output:
            write_json({**provenance(), "seed": arguments.seed, "results": rows}, arguments.output)


if __name__ == "__main__":
    main()
