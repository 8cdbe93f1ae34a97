"""A small world in which the documents' examples are true: models, data sets and sounds of the names that they use."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from psla_hf.commands import run
from tests.conftest import TINY_BACKBONE

__all__ = ["SMALL", "call", "make_world"]

# What makes a run of `psla train` small, whatever its recipe.
SMALL = (
    *("--backbone", TINY_BACKBONE, "--pretraining", "none", "--max-length", "48", "--epochs", "1"),
    *("--warmup-steps", "1", "--batch-size", "8", "--cpu", "--overwrite"),
)

ANIMAL, DOG, SPEECH, RAIN = "/m/0jbk", "/m/0bt9lr", "/m/09x0r", "/m/06mb1"
CLASSES = {ANIMAL: "Animal", DOG: "Dog", SPEECH: "Speech", RAIN: "Rain"}
SETS_OF_LABELS = ([DOG], [DOG, ANIMAL], [SPEECH], [RAIN, ANIMAL])


def call(words: Sequence[str]) -> None:
    """Run a command of `psla` in this process; training is small.

    Raises:
        AssertionError: It did not succeed.
    """
    try:
        run([*words, *SMALL] if words[0] == "train" else words)
    except SystemExit as end:
        assert not end.code, f"psla {' '.join(words)} ended with status {end.code}"


def make_world(folder: Path) -> Path:
    """Fill a folder, and return the folder in it that commands are run in; call it with that as working directory."""
    esc, audioset = folder / "esc10", folder / "audioset"
    make_esc(esc)
    make_audioset(audioset)
    make_fsd50k(folder / "fsd50k")
    make_urbansound8k(folder / "urbansound8k")
    make_birds(folder / "birds")
    make_own(folder / "own")
    write_clip(folder / "dog.ogg", 0)
    write_clip(folder / "recording.flac", 1)
    for name in ("ontology.json", "class_labels_indices.csv"):
        shutil.copy(audioset / name, folder / name)

    runs = folder / "runs"
    call(["train", "--data-dir", str(esc), "--output-dir", str(runs / "esc10"), "--keep-epochs"])
    call(["train", "--recipe", "audioset_balanced", "--data-dir", str(audioset), "--output-dir", str(runs / "teacher")])
    for name in ("seed0", "seed1"):
        shutil.copytree(runs / "esc10", runs / name)
    # The runs of the documents are longer: they have epochs 10 and 11.
    for epoch in ("010", "011"):
        shutil.copytree(runs / "esc10" / "epochs" / "001", runs / "esc10" / "epochs" / epoch)
    return folder


def write_clip(path: Path, k: int) -> None:
    """Half a second of a tone of its class, and of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = np.sin(2 * np.pi * 300 * (k + 1) * np.arange(8000) / 16000)
    soundfile.write(path, 0.3 * tone + 0.05 * np.random.default_rng(k).standard_normal(8000), 16000)


def make_esc(folder: Path) -> None:
    rows = ["filename,fold,target,category"]
    for fold in range(1, 6):
        for k, category in enumerate(("dog", "rain", "rooster", "sneezing", "helicopter")):
            name = f"{fold}-{100032 + k}-A.ogg"
            write_clip(folder / "audio" / name, k)
            rows.append(f"{name},{fold},{k},{category}")
    (folder / "esc10.csv").write_text("\n".join(rows))


def make_urbansound8k(folder: Path) -> None:
    rows = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for fold in range(1, 11):
        for k, category in enumerate(("air_conditioner", "car_horn")):
            write_clip(folder / "audio" / f"fold{fold}" / f"{fold}-{k}.wav", k)
            rows.append(f"{fold}-{k}.wav,{fold},0,0.5,1,{fold},{k},{category}")
    (folder / "metadata").mkdir()
    (folder / "metadata" / "UrbanSound8K.csv").write_text("\n".join(rows))


def make_audioset(folder: Path) -> None:
    """Lists and clips in AudioSet's layout; every class has clips in each part, and the ontology a parent."""
    for split, letter in (("balanced_train", "b"), ("eval", "e")):
        rows = ["# Segments", "# num_ytids=24", "# YTID, start_seconds, end_seconds, positive_labels"]
        for number in range(24):
            labels, name = SETS_OF_LABELS[number % 4], f"{letter}{number:010}"
            write_clip(folder / "audio" / f"Y{name}.ogg", number % 4)
            rows.append(f'{name}, 30.000, 40.000, "{",".join(labels)}"')
        (folder / f"{split}_segments.csv").write_text("\n".join(rows) + "\n")
    table = [f'{k},{mid},"{name}"' for k, (mid, name) in enumerate(CLASSES.items())]
    (folder / "class_labels_indices.csv").write_text("\n".join(["index,mid,display_name", *table]) + "\n")
    nodes = [{"id": mid, "name": name, "child_ids": [DOG] if mid == ANIMAL else []} for mid, name in CLASSES.items()]
    (folder / "ontology.json").write_text(json.dumps(nodes))


def make_fsd50k(folder: Path) -> None:
    truth = folder / "FSD50K.ground_truth"
    truth.mkdir(parents=True)
    for number in range(4):
        write_clip(folder / f"FSD50K.{'eval' if number == 3 else 'dev'}_audio" / f"{number}.wav", number)
    (truth / "vocabulary.csv").write_text(f"0,Dog,{DOG}\n1,Rain,{RAIN}\n")
    rows = [f"{number},Dog,{DOG},{split}" for number, split in enumerate(("train", "train", "val"))]
    (truth / "dev.csv").write_text("\n".join(["fname,labels,mids,split", *rows]) + "\n")
    (truth / "eval.csv").write_text(f"fname,labels,mids\n3,Rain,{RAIN}\n")


def make_birds(folder: Path) -> None:
    rows = ["file,labels,split"]
    for number in range(16):
        write_clip(folder / f"{number}.ogg", number % 2)
        rows.append(f"{number}.ogg,{'dog;bark' if number % 2 else 'dog' if number % 4 else 'bark'},")
        rows[-1] += "train" if number < 8 else "test"
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")


def make_own(folder: Path) -> None:
    """Folders of classes; recordings with a table of times; recordings with tables of Raven."""
    rows = ["recording;from;to;sound"]
    for number in range(16):
        sound = ("dog", "rain")[number % 2]
        write_clip(folder / "folders" / sound / f"{number}.ogg", number % 2)
        for layout in ("table", "raven"):
            write_clip(folder / layout / f"recording_{number:02d}.flac", number % 2)
        rows.append(f"recording_{number:02d}.flac;0;0.4;{sound}")
        (folder / "raven" / f"recording_{number:02d}.Table.1.selections.txt").write_text(
            f"Selection\tBegin Time (s)\tEnd Time (s)\tSound\n1\t0\t0.4\t{sound}\n"
        )
    (folder / "table" / "annotations.csv").write_text("\n".join(rows))
