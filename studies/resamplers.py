"""How far a tagger's scores depend on who resampled: python -m studies.resamplers MODEL... --data-dir ESC --fold 1.

Models meet the filters of soxr, torchaudio (which `pipeline` uses), scipy and others. The clips of the held-out fold,
at 44.1 kHz, are resampled by each; what is compared is the models' scores with those of soxr's high quality.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr
import torch
import torchaudio
from scipy.signal import resample_poly

from psla_hf.audio import decode_audio
from psla_hf.commands.arguments import command_line
from psla_hf.data.load import load
from psla_hf.files import write_json
from psla_hf.inference.tagger import AudioTagger
from psla_hf.provenance import provenance
from psla_hf.reports.tables import print_figures

__all__ = ["RESAMPLERS", "compare"]

WANTED = 16000

REFERENCE = "soxr HQ"


def by_torchaudio(samples: np.ndarray, rate: int) -> np.ndarray:
    """As `pipeline("audio-classification")` does it."""
    return torchaudio.functional.resample(torch.from_numpy(samples), rate, WANTED).numpy()


RESAMPLERS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    REFERENCE: lambda samples, rate: soxr.resample(samples, rate, WANTED, "HQ"),
    "soxr VHQ": lambda samples, rate: soxr.resample(samples, rate, WANTED, "VHQ"),
    "soxr LQ": lambda samples, rate: soxr.resample(samples, rate, WANTED, "LQ"),
    "torchaudio": by_torchaudio,
    "scipy polyphase": lambda samples, rate: resample_poly(samples, WANTED, rate).astype(np.float32),
}


def compare(tagger: AudioTagger, sounds: list[tuple[np.ndarray, int]]) -> dict[str, dict[str, float]]:
    """By resampler: largest and mean change of a score, and the share of clips whose first tag changes.

    Args:
        tagger: Of 16 kHz.
        sounds: Mono samples `[T]` and their rate.
    """
    scores = {
        name: torch.cat([tagger.scores(resample(samples, rate), WANTED) for samples, rate in sounds]).numpy()
        for name, resample in RESAMPLERS.items()
    }
    reference = scores.pop(REFERENCE)
    return {
        name: {
            "largest_change": float(np.abs(other - reference).max()),
            "mean_change": float(np.abs(other - reference).mean()),
            "first_tag_changed": float((other.argmax(axis=1) != reference.argmax(axis=1)).mean()),
        }
        for name, other in scores.items()
    }


def main() -> None:
    """Compare models on the held-out clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="folders of saved taggers")
    parser.add_argument("--data-dir", required=True, help="folder of ESC")
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    with command_line():
        clips = load("esc", arguments.data_dir, fold=arguments.fold, parts=["test"]).test.dataset()
        sounds = []
        for audio in clips["audio"]:
            samples, rate = decode_audio(audio["bytes"] or audio["path"])
            sounds.append((samples.mean(axis=1), rate))
        results = {}
        for model in arguments.models:
            results[model] = compare(AudioTagger.from_pretrained(model), sounds)
            print_figures(results[model], first_column="resampler", title=f"{model}: {len(sounds)} clips")
        if arguments.output:
            write_json({**provenance(), "clips": len(sounds), "results": results}, arguments.output)


if __name__ == "__main__":
    main()
