"""transformers' own example of audio classification fine-tunes a saved model, by its flags alone, without the Hub."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from psla_hf import AudioTagger

RATE = 16000
EXAMPLE = Path(os.environ["TRANSFORMERS_SOURCE"]) / "run_audio_classification.py"

# evaluate.load("accuracy") looks for this folder before it asks the Hub.
ACCURACY = """
import datasets
import evaluate
import numpy as np


class Accuracy(evaluate.Metric):
    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")})
        return evaluate.MetricInfo(description="", citation="", features=features)

    def _compute(self, predictions, references):
        return {"accuracy": float(np.mean(np.equal(predictions, references)))}
"""

# What datasets asks of torchcodec, by soundfile: torchcodec needs FFmpeg's libraries, which are not everywhere.
TORCHCODEC = """
from types import SimpleNamespace

import soundfile
import soxr
import torch


class AudioDecoder:
    def __init__(self, source, *, stream_index=None, sample_rate=None, num_channels=None):
        self.metadata = SimpleNamespace()  # datasets notes the path here
        samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
        samples = soxr.resample(samples, rate, sample_rate or rate)
        self._samples = SimpleNamespace(data=torch.from_numpy(samples.T.copy()), sample_rate=sample_rate or rate)

    def get_all_samples(self):
        return self._samples


class VideoDecoder:  # imported beside it
    pass
"""


def tones(folder: Path) -> Path:
    """Low and high tones in the layout of datasets' audio folders."""
    rng = np.random.default_rng(0)
    for split, takes in (("train", 4), ("validation", 2)):
        for label, hz in (("high", 2000), ("low", 200)):
            (folder / split / label).mkdir(parents=True)
            for take in range(takes):
                tone = np.sin(2 * np.pi * hz * np.arange(RATE) / RATE) + 0.1 * rng.standard_normal(RATE)
                soundfile.write(folder / split / label / f"{take}.wav", 0.3 * tone, RATE)
    return folder


def can_decode(sound: Path) -> bool:
    decode = "import sys; from torchcodec.decoders import AudioDecoder; AudioDecoder(sys.argv[1])"
    return subprocess.run([sys.executable, "-c", decode, sound], capture_output=True).returncode == 0


@pytest.mark.skipif(not EXAMPLE.is_file(), reason=f"{EXAMPLE.name} is not in the sdist and could not be downloaded")
def test_the_example_fine_tunes_a_saved_model(saved_model, tmp_path):
    (tmp_path / "accuracy").mkdir()
    (tmp_path / "accuracy" / "accuracy.py").write_text(ACCURACY)
    stand_ins = tmp_path / "stand_ins"
    (stand_ins / "torchcodec").mkdir(parents=True)
    sounds = tones(tmp_path / "tones")
    if not can_decode(sounds / "train" / "low" / "0.wav"):
        (stand_ins / "torchcodec" / "__init__.py").touch()
        (stand_ins / "torchcodec" / "decoders.py").write_text(TORCHCODEC)
        (stand_ins / "torchcodec" / "encoders.py").write_text(
            "class AudioEncoder: pass  # imported, and not used for files"
        )
    # The example knows the Auto classes, and not that they have PSLA from `import psla_hf`: hence trust_remote_code.
    flags = {
        "model_name_or_path": saved_model,
        "dataset_name": sounds,
        "output_dir": tmp_path / "run",
        "do_train": True,
        "do_eval": True,
        "freeze_feature_encoder": False,
        "ignore_mismatched_sizes": True,
        "trust_remote_code": True,
        "attention_mask": False,
        "max_length_seconds": 1,
        "per_device_train_batch_size": 4,
        "num_train_epochs": 2,
        "learning_rate": 1e-3,
        "remove_unused_columns": False,
        "report_to": "none",
        "use_cpu": True,
    }
    run = subprocess.run(
        [sys.executable, EXAMPLE, *(str(part) for flag, value in flags.items() for part in (f"--{flag}", value))],
        env={
            **os.environ,
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": os.pathsep.join([str(stand_ins), os.environ.get("PYTHONPATH", "")]),
        },
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr[-5000:]
    results = json.loads((tmp_path / "run" / "all_results.json").read_text())
    assert np.isfinite(results["train_loss"]) and 0 <= results["eval_accuracy"] <= 1
    tagger = AudioTagger.from_pretrained(tmp_path / "run")
    assert tagger.model.config.label_names == ["high", "low"]
