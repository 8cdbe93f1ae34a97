"""Print how far features and mixup are from the golden files, a name and a number a line. Run by a test."""

import sys
from pathlib import Path

import numpy as np
import soundfile
import torch

from psla_hf import PslaFeatureExtractor
from psla_hf.augmentation import mix_waveforms


def main(golden: Path) -> None:
    def read(stem: str) -> np.ndarray:
        return soundfile.read(golden / "wav" / f"{stem}.wav", dtype="float32")[0]

    extractor = PslaFeatureExtractor()
    expected = np.load(golden / "features.npz")
    batch = extractor([read(stem) for stem in expected], sampling_rate=16000, return_tensors="np")["input_values"]
    for stem, features in zip(expected, batch, strict=True):
        print(stem, np.abs(features - expected[stem]).max())

    expected = np.load(golden / "mixup.npz")
    mixed = mix_waveforms(read("1-100032-A"), read("chirp10"), float(expected["lam"]))
    log_mel = extractor.log_mel(torch.from_numpy(mixed)[None])[0].numpy()
    print("mixup", np.abs(log_mel - expected["fbank"]).max())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
