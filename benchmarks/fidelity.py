"""Our numbers beside the original's: golden files, and its architectures rebuilt. Knows nothing of training."""

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torchvision
from torch import Tensor, nn

from psla_hf.commands.arguments import command_line
from psla_hf.enhancement.algorithm import RelationType, Threshold, enhance_labels
from psla_hf.labels.ontology import Ontology
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary
from psla_hf.loading.augmentation import mix_waveforms
from psla_hf.models.configuration_psla import PslaConfig
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.modeling_psla import PslaForAudioClassification
from psla_hf.models.weights import convert_psla_checkpoint
from psla_hf.provenance import provenance
from psla_hf.training.recipes import PAPER_ARCHITECTURES

__all__ = [
    "OriginalTagger",
    "converted_difference",
    "golden_feature_differences",
    "golden_label_sets",
    "golden_probability_difference",
    "parameter_counts",
]


# Converted and compared: (the original's backbone, its number of heads; 0 is mean pooling).
ORIGINALS = {
    "EfficientNet-B0, 1 head": ("efficientnet-b0", 1),
    "EfficientNet-B0, 4 heads": ("efficientnet-b0", 4),
    "EfficientNet-B2, mean pooling": ("efficientnet-b2", 0),
    "EfficientNet-B2, 1 head": ("efficientnet-b2", 1),
    "EfficientNet-B2, 4 heads": ("efficientnet-b2", 4),
    "ResNet-50, 1 head": ("resnet50", 1),
}


class OriginalTagger(nn.Module):
    """An architecture of the original PSLA, put together from the libraries it used, under its names.

    Needs `efficientnet_pytorch`, which is a development dependency.

    Args:
        backbone: `"efficientnet-b0"` to `"efficientnet-b7"`, or `"resnet50"`.
        num_heads: Attention heads; 0 is mean pooling.
        num_labels: Classes K.
    """

    def __init__(self, backbone: str, num_heads: int, num_labels: int):
        super().__init__()
        if backbone == "resnet50":
            self.model = torchvision.models.resnet50(weights=None)
            self.model.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
            self.model.fc = nn.Identity()
            channels = 2048
        else:
            from efficientnet_pytorch import EfficientNet

            self.effnet = EfficientNet.from_name(backbone, in_channels=1)
            self.effnet._fc = nn.Identity()
            channels = self.effnet._conv_head.out_channels
        self.num_heads = num_heads

        def layers() -> nn.Module:
            if num_heads > 1:
                return nn.ModuleList(nn.Conv2d(channels, num_labels, 1) for _ in range(num_heads))
            return nn.Conv2d(channels, num_labels, 1)

        self.attention = nn.ModuleDict({"cla": layers()} if num_heads == 0 else {"att": layers(), "cla": layers()})
        if num_heads > 1:
            weights = torch.linspace(0.5, 1.5, num_heads) / num_heads
            self.attention.register_parameter("head_weight", nn.Parameter(weights))

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Spectrograms `[B, frames, F]` to probabilities `[B, K]`, not clamped."""
        images = spectrograms.transpose(1, 2)[:, None]
        frames = self._features(images).mean(dim=2, keepdim=True)  # [B, C, 1, steps]
        if self.num_heads == 0:
            return self.attention["cla"](frames).sigmoid().mean(dim=(2, 3))
        single = self.num_heads == 1
        layers: list[Any] = [self.attention[name] for name in ("att", "cla")]
        pairs = [layers] if single else list(zip(*layers, strict=True))
        weights: Any = [1.0] if single else self.attention.head_weight
        total = torch.zeros(())
        for weight, (att, cla) in zip(weights, pairs, strict=True):
            share = att(frames).sigmoid().clamp(1e-7, 1 - 1e-7)
            total = total + weight * (share / share.sum(dim=3, keepdim=True) * cla(frames).sigmoid()).sum(dim=(2, 3))
        return total

    def _features(self, images: Tensor) -> Tensor:
        """The last feature map `[B, C, height, width]`."""
        if hasattr(self, "effnet"):
            return self.effnet.extract_features(images)
        for name, layer in self.model.named_children():
            if name not in ("avgpool", "fc"):
                images = layer(images)
        return images


def converted_difference(backbone: str, num_heads: int, num_labels: int = 527, frames: int = 1056) -> float:
    """Largest difference of probabilities between an original architecture and what its checkpoint converts to.

    Weights are random; the BatchNorm statistics are those of one batch, so that the layers have something to say.
    """
    generator = torch.Generator().manual_seed(0)
    original = OriginalTagger(backbone, num_heads, num_labels)
    for module in original.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        original.train()(torch.randn(2, frames, 128, generator=generator))
        original.eval()
        weights = {f"module.{name}": tensor for name, tensor in original.state_dict().items()}
        torch.save(weights, Path(folder) / "original.pth")
        converted = convert_psla_checkpoint(Path(folder) / "original.pth")
        spectrograms = torch.randn(2, frames, 128, generator=generator)
        expected = original(spectrograms).clamp(1e-7, 1 - 1e-7)
        return float((converted(spectrograms).logits.sigmoid() - expected).abs().max())


def golden_feature_differences(golden: Path) -> dict[str, float]:
    """Largest difference per golden clip, all in one batch, and of the golden mixup's log-mel."""

    def read(stem: str) -> np.ndarray:
        return soundfile.read(golden / "wav" / f"{stem}.wav", dtype="float32")[0]

    extractor = PslaFeatureExtractor()
    expected = np.load(golden / "features.npz")
    batch = extractor([read(stem) for stem in expected], sampling_rate=16000, return_tensors="np")["input_values"]
    differences = {
        stem: float(np.abs(features - expected[stem]).max()) for stem, features in zip(expected, batch, strict=True)
    }
    mixup = np.load(golden / "mixup.npz")
    mixed = mix_waveforms(read("1-100032-A"), read("chirp10"), float(mixup["lam"]))
    log_mel = extractor.log_mel(torch.from_numpy(mixed)[None])[0].numpy()
    return {**differences, "mixup": float(np.abs(log_mel - mixup["fbank"]).max())}


def feature_differences_in_mkl_mode(golden: Path, mode: str | None) -> dict[str, float]:
    """`golden_feature_differences` in a process of its own: MKL reads its mode, `MKL_CBWR`, only once."""
    environment = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    command = [sys.executable, "-m", "benchmarks.fidelity", "--features-of", str(golden)]
    environment |= {} if mode is None else {"MKL_CBWR": mode}
    return json.loads(
        subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
        ).stdout
    )


def golden_probability_difference(golden: Path) -> float:
    """Largest difference of the converted golden checkpoint's probabilities from the golden ones, after the clamp."""
    model = convert_psla_checkpoint(golden / "effnet_b2_h4_527.pth")
    features = np.load(golden / "features.npz")
    expected = np.load(golden / "effnet_b2_h4_527_out.npz")["probs"].clip(1e-7, 1 - 1e-7)
    batch = torch.from_numpy(np.stack([features[stem] for stem in ("1-100032-A", "4-185415-A", "chirp10")]))
    with torch.no_grad():
        return float(np.abs(model(batch).logits.sigmoid().numpy() - expected).max())


def golden_label_sets(shared: Path) -> dict[str, bool]:
    """For each of the original's golden label sets, whether ours is the same to the last label."""
    audioset = shared / "audioset"
    vocabulary = Vocabulary.from_csv(audioset / "class_labels_indices.csv")
    with (audioset / "balanced_train_segments.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader((line for line in file if not line.startswith("#")), skipinitialspace=True))
    targets = ClipLabels.from_lists([vocabulary.encode(row[3].split(",")) for row in rows], len(vocabulary)).multi_hot()
    scores = np.random.default_rng(11).random(targets.shape, dtype=np.float32) ** 4 * 0.9 + 0.1 * targets
    ontology = Ontology.from_json(audioset / "ontology.json")
    golden = json.loads((shared / "golden" / "label_enhancement_balanced_seed11.json").read_text(encoding="utf-8"))
    types: dict[str, list[RelationType]] = {"type1": ["I"], "type2": ["II"], "type1+2": ["I", "II"]}
    same = {}
    for name, expected in golden.items():
        how, relation = name.split("/")
        threshold: Threshold = how if how in ("mean", "median") else float(how)
        enhanced = enhance_labels(targets, scores, ontology, threshold, types[relation], ids=vocabulary.mids)
        lines = (
            f"{row[0]} {','.join(sorted(vocabulary.mids[k] for k in np.flatnonzero(labels)))}"
            for row, labels in zip(rows, enhanced, strict=True)
        )
        same[name] = hashlib.sha256("\n".join(lines).encode()).hexdigest() == expected["sha256"]
    return same


def parameter_counts() -> dict[str, tuple[int, float]]:
    """Parameters of each architecture of Table XIII at 527 classes, and the paper's figure in millions."""
    counts = {}
    for name, (architecture, millions) in PAPER_ARCHITECTURES.items():
        with torch.device("meta"):
            model = PslaForAudioClassification(PslaConfig(num_labels=527, **architecture))  # type: ignore[call-arg]
        counts[name] = (sum(parameter.numel() for parameter in model.parameters()), millions)
    return counts


def measure(shared: Path) -> dict:
    """Everything that the fidelity page shows."""
    golden = shared / "golden"
    return {
        "features": {
            "MKL_CBWR=COMPATIBLE": feature_differences_in_mkl_mode(golden, "COMPATIBLE"),
            "as it comes": feature_differences_in_mkl_mode(golden, None),
        },
        "golden_checkpoint": golden_probability_difference(golden),
        "converted": {name: converted_difference(*original) for name, original in ORIGINALS.items()},
        "label_sets": golden_label_sets(shared),
        "parameters": parameter_counts(),
    }


def fidelity_page(results: dict, made_by: dict) -> str:
    """The measurements as a Markdown page."""
    features, label_sets = results["features"], results["label_sets"]
    versions = ", ".join(f"{package} {version}" for package, version in made_by["versions"].items())
    lines = [
        "# Fidelity to the original PSLA",
        "",
        f"Made by `{made_by['command']}` at commit {made_by['commit']}: {made_by['machine']['system']}, "
        f"{made_by['machine']['cpus']} CPU cores, Python {made_by['python']}, {versions}.",
        "",
        "## Features",
        "",
        "Largest difference from the original's golden files, all clips in one batch (`mixup`: log-mel before",
        "normalization). The golden files have the rounding of MKL's compatible mode. In other modes its FFT adds in",
        "another order on some processors, which shows in bins close to silence (up to 7.8e-04 at commit 8feb45f5928a",
        "on another machine): the original's own Kaldi call differs there likewise.",
        "",
        "| clip | " + " | ".join(features) + " |",
        "| --- |" + " --- |" * len(features),
    ]
    clips = next(iter(features.values()))
    lines += [f"| {clip} | " + " | ".join(f"{mode[clip]:.1e}" for mode in features.values()) + " |" for clip in clips]
    lines += [
        "",
        "## Converted checkpoints",
        "",
        f"The golden checkpoint (EfficientNet-B2, 4 heads): {results['golden_checkpoint']:.1e}, largest difference of",
        "probabilities on three clips. The architectures below are rebuilt from the libraries that the original",
        "used (`efficientnet_pytorch`, torchvision) with random weights, saved under its names, converted, and",
        "compared on two random spectrograms of 1056 frames.",
        "",
        "| architecture | largest difference |",
        "| --- | --- |",
        *(f"| {name} | {difference:.1e} |" for name, difference in results["converted"].items()),
        "",
        "## Label sets",
        "",
        f"{sum(label_sets.values())} of {len(label_sets)} golden label sets are identical: {', '.join(label_sets)}.",
        "",
        "## Parameters at 527 classes",
        "",
        "| architecture | here | paper (Table XIII) |",
        "| --- | --- | --- |",
        *(f"| {name} | {own:,} | {paper:.2f}M |" for name, (own, paper) in results["parameters"].items()),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", default="../shared", help="folder with golden/ and audioset/")
    parser.add_argument("--output", default="docs/fidelity.md", help="the page to write")
    parser.add_argument("--features-of", metavar="GOLDEN", help="only print the differences of features as JSON")
    arguments = parser.parse_args()
    if arguments.features_of:
        print(json.dumps(golden_feature_differences(Path(arguments.features_of))))
        return
    page = fidelity_page(measure(Path(arguments.shared)), provenance())
    Path(arguments.output).write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    with command_line():
        main()
