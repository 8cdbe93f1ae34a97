"""Shared fixtures: the test material, a tiny model, a little ESC folder. Nothing here reaches a network."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
# Some virtual machines announce AMX and do not have it; oneDNN then dies of an illegal instruction in bfloat16.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from psla_hf import PslaConfig, PslaFeatureExtractor, PslaForAudioClassification
from psla_hf.training.build import make_accelerator

SHARED = Path(__file__).parents[2] / "shared"
TINY_BACKBONE = "test_efficientnet"  # timm's own, made for tests: 0.4M parameters

# What a saved tagger carries for where this package is not installed.
CODE_FILES = {
    "backbone_psla.py",
    "configuration_psla.py",
    "feature_extraction_psla.py",
    "modeling_psla.py",
    "pooling_psla.py",
    "waveforms_psla.py",
}
CATEGORIES = ("dog", "rain", "rooster")


def missing(what: str) -> None:
    """Fail in CI and skip elsewhere, for something that a test needs is not there."""
    pytest.fail(what) if os.environ.get("CI") else pytest.skip(what)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The test material; where it is missing its tests fail in CI and are skipped elsewhere."""
    if not SHARED.is_dir():
        missing(f"the test material is not at {SHARED.name}/ beside the checkout")
    return SHARED


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of the test's own, so that nothing lands in the user's."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def accelerator():
    return make_accelerator(cpu=True)


@pytest.fixture
def tiny_config() -> PslaConfig:
    return PslaConfig(backbone=TINY_BACKBONE, id2label=dict(enumerate(CATEGORIES)))


@pytest.fixture
def tiny_model(tiny_config) -> PslaForAudioClassification:
    torch.manual_seed(0)
    return PslaForAudioClassification(tiny_config).eval()


@pytest.fixture
def saved_model(tiny_model, tmp_path) -> Path:
    """A directory with a tiny tagger of one-second clips."""
    tiny_model.save_pretrained(tmp_path / "model")
    PslaFeatureExtractor(max_length=98).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def esc_folder(tmp_path) -> Path:
    """A folder in ESC-50's official layout: 3 classes, 5 folds, 2 half-second clips of each; two are in ESC-10."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "ESC-50-master"
    (folder / "audio").mkdir(parents=True)
    (folder / "meta").mkdir()
    rows = []
    for fold in range(1, 6):
        for take in "AB":
            for k, category in enumerate(CATEGORIES):
                name = f"{fold}-{1000 + k}-{take}-{k * 10}.wav"
                tone = np.sin(2 * np.pi * 300 * (k + 1) * np.arange(11025) / 22050)
                soundfile.write(folder / "audio" / name, 0.3 * tone + 0.05 * rng.standard_normal(11025), 22050)
                rows.append({"filename": name, "fold": fold, "target": k * 10, "category": category, "esc10": k < 2})
    pd.DataFrame(rows).to_csv(folder / "meta" / "esc50.csv", index=False)
    return folder
