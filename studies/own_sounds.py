"""ESC-10 as people's own sounds lie, and what others' tools make of the same clips: python -m studies.own_sounds.

    python -m studies.own_sounds make --data-dir esc10 --output own
    python -m studies.own_sounds compare runs/folders --output RESULTS.json

`make` writes a folder per class; recordings with a table of times; and recordings with a Raven table beside each. In
the recordings clips of six sources follow each other over faint noise. `compare` trains
others on the training clips of a finished run, as many epochs as that had, and tests them on its test clips.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import timm
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from psla_hf.audio import read_audio
from psla_hf.commands.arguments import command_line
from psla_hf.files import write_json
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.weights import imagenet_weights
from psla_hf.provenance import provenance
from psla_hf.reports.tables import print_figures
from psla_hf.training.build import tune_for_cpu
from psla_hf.training.run.folder import read_results

__all__ = ["compare", "make"]

RATE = 16000

EVENT_SECONDS = 2.5  # of each clip, its loudest

GAP_SECONDS = (0.3, 1.5)

NOISE = 0.002

BACKBONE = "tf_efficientnet_lite0"


def make(esc: Path, output: Path, seed: int = 0) -> None:
    """Write the three layouts.

    Args:
        esc: Folder of ESC-10, `audio/` and `esc10.csv`.
        output: A new folder.
        seed: Of the order of the clips and of the gaps.
    """
    clips = pd.read_csv(esc / "esc10.csv")
    for file, category in zip(clips["filename"], clips["category"], strict=True):
        place = output / "folders" / category / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((esc / "audio" / file).read_bytes())
    rng = np.random.default_rng(seed)
    # Clips cut out of one sound stay in one recording.
    sources = [group for _, group in clips.groupby("clip_id")]
    order = [sources[k] for k in rng.permutation(len(sources))]
    rows = []
    for number, start in enumerate(range(0, len(order), 6)):
        group = order[start : start + 6]
        name = f"recording_{number:02d}"
        samples, events = recording(esc, pd.concat(group), rng)
        for folder in ("table", "raven"):
            (output / folder).mkdir(parents=True, exist_ok=True)
            soundfile.write(output / folder / f"{name}.flac", samples, RATE)
        rows += [
            {"recording": f"{name}.flac", "from": start, "to": end, "sound": label} for start, end, label in events
        ]
        (output / "raven" / f"{name}.Table.1.selections.txt").write_text(raven(events), encoding="utf-8")
    columns = ["recording", "from", "to", "sound"]
    pd.DataFrame(rows, columns=columns).to_csv(output / "table" / "annotations.csv", sep=";", index=False)


def recording(
    esc: Path, clips: pd.DataFrame, rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[float, float, str]]]:
    """Samples `[T]` in which the clips follow each other, and start, end and class of each."""
    pieces, events, place = [], [], 0
    for row in rng.permutation(len(clips)):
        file, category = clips["filename"].iloc[row], clips["category"].iloc[row]
        gap = round(float(rng.uniform(*GAP_SECONDS)) * RATE)
        sound = loudest(read_audio(esc / "audio" / file, RATE))
        pieces += [np.zeros(gap, np.float32), sound]
        start = place + gap
        place = start + len(sound)
        events.append((round(start / RATE, 3), round(place / RATE, 3), str(category)))
    samples = np.concatenate(pieces)
    return samples + NOISE * rng.standard_normal(len(samples)).astype(np.float32), events


def loudest(waveform: np.ndarray) -> np.ndarray:
    """The 2.5 s with the most energy."""
    size = round(EVENT_SECONDS * RATE)
    energy = np.cumsum(np.pad(waveform.astype(float) ** 2, (1, 0)))
    start = int(np.argmax(energy[size:] - energy[:-size])) if len(waveform) > size else 0
    return waveform[start : start + size]


def raven(events: list[tuple[float, float, str]]) -> str:
    """A selection table as Raven writes it."""
    head = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSound\n"
    lines = (
        f"{number}\tSpectrogram 1\t1\t{start}\t{end}\t0\t8000\t{label}\n"
        for number, (start, end, label) in enumerate(events, start=1)
    )
    return head + "".join(lines)


def compare(run: Path, seed: int = 0) -> dict[str, dict[str, float]]:
    """Accuracy and mAP on a run's test clips: the run's, a timm model's, and a linear model's on pretrained features.

    Args:
        run: Folder of a finished run on whole files, with `splits.csv`.
        seed: Of the others.
    """
    results = read_results(run)
    table = pd.read_csv(run / "splits.csv")
    table["label"] = table["labels"].str.slice(2, -2)
    names = sorted(table["label"].unique())
    extractor = PslaFeatureExtractor(max_length=results["recipe"]["input"]["max_length"])
    inputs = torch.cat(
        [
            extractor(read_audio(path, RATE), sampling_rate=RATE, return_tensors="pt")["input_values"]
            for path in table["file_name"]
        ]
    )
    labels = torch.tensor([names.index(label) for label in table["label"]])
    is_train, is_test = (torch.tensor((table["split"] == part).to_list()) for part in ("train", "test"))
    images = inputs.transpose(1, 2)[:, None].expand(-1, 3, -1, -1)
    tune_for_cpu()  # the others train with the memory kept and the channels last, as psla does
    parts = {"train": (images[is_train], labels[is_train]), "test": (images[is_test], labels[is_test])}
    epochs = results["recipe"]["schedule"]["epochs"]
    found = {"psla train": results["results"]["averaged"]}
    for name, probabilities in (
        ("timm fine-tune, same backbone and epochs", fine_tuned(parts, len(names), epochs, seed)),
        ("scikit-learn on its ImageNet features", on_features(parts)),
    ):
        found[name] = figures(probabilities, parts["test"][1].numpy())
    return {name: {metric: figures[metric] for metric in ("accuracy", "mAP")} for name, figures in found.items()}


def backbone(num_classes: int) -> torch.nn.Module:
    """The ImageNet model with a new classifier; 0 classes for features."""
    model = timm.create_model(BACKBONE, num_classes=num_classes)
    weights = {name: tensor for name, tensor in imagenet_weights(BACKBONE).items() if not name.startswith("classifier")}
    model.load_state_dict(weights, strict=False)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs miss it


Parts = Mapping[str, tuple[torch.Tensor, torch.Tensor]]


def fine_tuned(parts: Parts, num_classes: int, epochs: int, seed: int) -> np.ndarray:
    """Probabilities `[N, K]` of a timm model that was trained plainly: cross-entropy, Adam, a rate that falls to 0."""
    torch.manual_seed(seed)
    model, (images, labels) = backbone(num_classes), parts["train"]
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(len(images)).split(16):
            torch.nn.functional.cross_entropy(classify(model, images[rows]), labels[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
        schedule.step()
    return torch.cat(applied(model, parts["test"][0])).softmax(dim=1).numpy()


def on_features(parts: Parts) -> np.ndarray:
    """Probabilities `[N, K]` of a logistic regression on the pretrained model's pooled features."""
    model = backbone(0)
    train, test = (torch.cat(applied(model, parts[part][0])).numpy() for part in ("train", "test"))
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return classifier.fit(train, parts["train"][1].numpy()).predict_proba(test)


@torch.inference_mode()
def applied(model: torch.nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """The model's outputs in batches."""
    model.eval()
    return [classify(model, batch) for batch in images.split(16)]


def classify(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The model's outputs, the images' channels last in memory."""
    outputs: torch.Tensor = model(images.contiguous(memory_format=torch.channels_last))
    return outputs


def figures(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy and mean average precision."""
    targets = np.eye(probabilities.shape[1])[labels]
    return {
        "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        "mAP": float(average_precision_score(targets, probabilities)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="write the three layouts")
    making.add_argument("--data-dir", type=Path, required=True, help="folder of ESC-10")
    making.add_argument("--output", type=Path, required=True, help="a new folder")
    comparing = commands.add_parser("compare", help="train others on the same clips")
    comparing.add_argument("run", type=Path, help="a finished run on whole files")
    comparing.add_argument("--output", help="also write the figures to this JSON file")
    arguments = parser.parse_args()
    if arguments.command == "make":
        make(arguments.data_dir, arguments.output)
        return
    results = compare(arguments.run)
    print_figures(results, "On the same test clips", "how")
    if arguments.output:
        write_json({**provenance(), "results": results}, arguments.output)


if __name__ == "__main__":
    with command_line():
        main()
