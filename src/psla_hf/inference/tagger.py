"""From an audio file of any length to tags. Knows nothing of training."""

from pathlib import Path

import numpy as np
import torch
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from psla_hf.audio import read_audio, to_mono_at_rate
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.modeling_psla import PslaForAudioClassification
from psla_hf.models.modeling_psla_ensemble import PslaEnsembleForAudioClassification
from psla_hf.places import local_path

__all__ = ["AudioTagger"]


WINDOWS_PER_BATCH = 16


class AudioTagger:
    """Tags audio files and waveforms without FFmpeg, and long ones window by window.

    >>> tagger = AudioTagger.from_pretrained("runs/esc10")  # doctest: +SKIP
    >>> tagger("dog.ogg", top_k=2)  # doctest: +SKIP
    [{'label': 'dog', 'score': 0.98}, {'label': 'rooster', 'score': 0.03}]

    Up to the extractor's `max_length`, the scores are those of `pipeline("audio-classification")`. Longer audio is cut
    into windows of that length, the last one ending with the audio, and a tag's score is the highest of any window:
    a tag says that something can be heard somewhere.

    Args:
        model: A tagger, or an ensemble of them; it is put into eval mode.
        extractor: Its feature extractor.
        device: Where to run.
    """

    def __init__(
        self,
        model: PslaForAudioClassification | PslaEnsembleForAudioClassification,
        extractor: PslaFeatureExtractor,
        device: str | torch.device = "cpu",
    ):
        self.model = model.eval().to(device)
        self.extractor = extractor

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, device: str | torch.device = "cpu") -> "AudioTagger":
        """Load a tagger from a directory or from the Hub.

        Raises:
            FileNotFoundError: A path is given (`local_path` says when) and holds no model.
        """
        path = local_path(name_or_path, "a saved model")
        if path is not None and not (path / "config.json").is_file():
            raise FileNotFoundError(f"Expected a saved model (config.json) in {path}, a folder of save_pretrained.")
        place = path or name_or_path
        return cls(
            AutoModelForAudioClassification.from_pretrained(place), AutoFeatureExtractor.from_pretrained(place), device
        )

    def __call__(
        self, audio: str | Path | bytes | np.ndarray, sampling_rate: int | None = None, top_k: int | None = 5
    ) -> list[dict]:
        """Tag one clip or recording.

        Args:
            audio: A path, an audio file's bytes, or a float waveform `[T]` or `[T, channels]`.
            sampling_rate: Of a waveform, in Hz; it is resampled if the model wants another.
            top_k: How many tags; `None` for all.

        Returns:
            `{"label", "score"}` by falling score.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is not readable as audio, or a waveform comes without its sampling rate.
        """
        scores = self.scores(audio, sampling_rate).max(dim=0).values
        best = scores.topk(len(scores) if top_k is None else min(top_k, len(scores)))
        labels = self.model.config.label_names
        return [
            {"label": labels[k], "score": score}
            for score, k in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    @torch.inference_mode()
    def scores(self, audio: str | Path | bytes | np.ndarray, sampling_rate: int | None = None) -> torch.Tensor:
        """Probabilities `[windows, K]`, on the CPU; a single window up to `max_length`."""
        wanted_rate = self.extractor.sampling_rate
        if isinstance(audio, (str, Path, bytes)):
            waveform = read_audio(audio, wanted_rate)
        elif sampling_rate is None:
            raise ValueError("Expected sampling_rate (in Hz) with a waveform.")
        else:
            waveform = to_mono_at_rate(np.asarray(audio), sampling_rate, wanted_rate)
        windows = self._windows(waveform)
        probabilities = []
        for start in range(0, len(windows), WINDOWS_PER_BATCH):
            features = self.extractor(
                windows[start : start + WINDOWS_PER_BATCH],
                sampling_rate=wanted_rate,
                return_tensors="pt",
                device=self.model.device,
            )
            probabilities.append(self.model(**features).logits.sigmoid().cpu())
        return torch.cat(probabilities)

    def _windows(self, waveform: np.ndarray) -> list[np.ndarray]:
        """Full windows one after the other, the last one ending with the audio; or the audio itself if it fits."""
        extractor = self.extractor
        if extractor.max_length is None or extractor.num_frames(len(waveform)) <= extractor.max_length:
            return [waveform]
        size = extractor.frame_size + (extractor.max_length - 1) * extractor.hop_size
        starts = [*range(0, len(waveform) - size, size), len(waveform) - size]
        return [waveform[start : start + size] for start in starts]
