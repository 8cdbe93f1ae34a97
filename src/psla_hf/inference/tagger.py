"""From an audio file of any length to tags. Knows nothing of training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, get_args, overload

import numpy as np
import torch
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from psla_hf.audio import decode_audio, to_mono_at_rate
from psla_hf.models.export import exported_formats
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor, as_mono, unpack_sound
from psla_hf.models.modeling_psla import PslaForAudioClassification
from psla_hf.models.modeling_psla_ensemble import PslaEnsembleForAudioClassification
from psla_hf.places import local_path

from .backends import BackendName, ExportedModel, clip_scores

__all__ = ["AudioTagger"]


WINDOWS_PER_BATCH = 16

FEW = 5  # tags, unless somebody asks for more or fewer

Sound: TypeAlias = str | Path | bytes | BinaryIO | np.ndarray | torch.Tensor | Mapping[str, Any] | Sequence[float]


class AudioTagger:
    """Tags audio files and waveforms without FFmpeg, and long ones window by window.

    >>> tagger = AudioTagger.from_pretrained("runs/esc10")  # doctest: +SKIP
    >>> tagger("dog.ogg", top_k=2)  # doctest: +SKIP
    [{'label': 'dog', 'score': 0.98}, {'label': 'rooster', 'score': 0.03}]

    Up to the extractor's `max_length`, the scores are those of `pipeline("audio-classification")`. Longer audio is cut
    into windows of that length, the last one ending with the audio, and a tag's score is the highest of any window:
    a tag says that something can be heard somewhere.

    Args:
        model: A tagger or an ensemble of them, which is put into eval mode, or an exported one.
        extractor: Its feature extractor.
        device: Where to run.

    Raises:
        ValueError: An exported model is to run elsewhere than on the CPU.
    """

    def __init__(
        self,
        model: PslaForAudioClassification | PslaEnsembleForAudioClassification | ExportedModel,
        extractor: PslaFeatureExtractor,
        device: str | torch.device = "cpu",
    ):
        self.model: Any = model  # whoever needs its weights has not exported it
        if not isinstance(model, ExportedModel):
            self.model = model.eval().to(device)
        elif torch.device(device).type != "cpu":
            raise ValueError(f"Expected device='cpu', where exported models run, got {device}. Pass backend='torch'.")
        self.extractor = extractor

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, device: str | torch.device = "cpu", backend: BackendName = "torch"
    ) -> "AudioTagger":
        """Load a tagger from a directory or from the Hub.

        Args:
            name_or_path: A saved model, or a folder of `psla_hf.models.export.export_model`, which is never on the Hub.
            device: Where to run.
            backend: `"torch"` for a saved model; `"onnx"` or `"openvino"` for what was exported so, on the CPU.

        Raises:
            FileNotFoundError: A path is given (`local_path` says when) and holds no model, or none for this backend.
            ImportError: What the backend needs is not installed; the message has the command.
            ValueError: There is no such backend, or it does not run on this device.
        """
        if backend not in get_args(BackendName):
            raise ValueError(f"Expected backend to be one of {', '.join(get_args(BackendName))}, got {backend!r}.")
        path = local_path(name_or_path, "a saved model")
        if path is not None and not (path / "config.json").is_file():
            raise FileNotFoundError(f"Expected a saved model (config.json) in {path}, a folder of save_pretrained.")
        place = path or name_or_path
        if backend != "torch":
            if path is None:
                raise ValueError(f"Expected the folder of an exported model with backend={backend!r}, got {place}.")
            return cls(ExportedModel(path, backend), AutoFeatureExtractor.from_pretrained(path), device)
        formats = exported_formats(path) if path else []
        if formats and not any(path.glob("*.safetensors*")):  # type: ignore[union-attr]
            raise FileNotFoundError(
                f"Expected weights of torch in {path}, it holds an exported model. Pass backend={formats[0]!r}."
            )
        model = AutoModelForAudioClassification.from_pretrained(place)
        extractor = AutoFeatureExtractor.from_pretrained(place)
        return cls(model.to(memory_format=torch.channels_last), extractor, device)  # 1.7 times as fast on a CPU

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a string is a sequence of strings, but one sound
        self, audio: Sound, sampling_rate: int | None = None, top_k: int | Literal["auto"] | None = "auto"
    ) -> list[dict]: ...

    @overload
    def __call__(
        self, audio: Sequence[Sound], sampling_rate: int | None = None, top_k: int | Literal["auto"] | None = "auto"
    ) -> list[list[dict]]: ...

    def __call__(
        self,
        audio: Sound | Sequence[Sound],
        sampling_rate: int | None = None,
        top_k: int | Literal["auto"] | None = "auto",
    ) -> list[dict] | list[list[dict]]:
        """Tag one clip or recording, or a list of them.

        Args:
            audio: One sound, or a list of sounds. A sound is a path, an audio file's bytes, a file opened for reading
                bytes; samples `[T]`, `[channels, T]` or `[T, channels]` as an array, a tensor or a list of numbers (the
                longer axis is time; PCM integers are scaled; channels are averaged); or a dictionary as transformers
                and datasets hand them around: `{"array" or "raw", "sampling_rate"}`, `{"path", "bytes"}`. Every form of
                one sound gives the same tags.
            sampling_rate: Of samples that come without it, in Hz; they are resampled if the model wants another.
            top_k: How many tags, 1 to K; by default five, or all of fewer; `None` for all.

        Returns:
            `{"label", "score"}` by falling score; of a list of sounds one such list for each.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is not readable as audio, samples come without their rate or are not finite, `top_k` is
                out of range, or the model's scores are not finite.
        """
        num_classes = len(self.model.config.label_names)
        count = min(FEW, num_classes) if top_k == "auto" else num_classes if top_k is None else top_k
        if not isinstance(count, int) or not 1 <= count <= num_classes:
            raise ValueError(f"Expected top_k from 1 to {num_classes}, the model's classes, or None, got {top_k!r}.")
        if isinstance(audio, list | tuple) and not (audio and isinstance(audio[0], int | float | np.number)):
            return [self._tags(sound, sampling_rate, count) for sound in audio]
        return self._tags(audio, sampling_rate, count)

    def _tags(self, sound: Any, sampling_rate: int | None, count: int) -> list[dict]:
        labels = self.model.config.label_names
        best = self.scores(sound, sampling_rate).max(dim=0).values.topk(count)
        return [
            {"label": labels[k], "score": score}
            for score, k in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    def scores(self, audio: Sound, sampling_rate: int | None = None) -> torch.Tensor:
        """Probabilities `[windows, K]` of one sound, on the CPU; a single window up to `max_length`.

        Raises:
            ValueError: They are not finite, or as for tagging.
        """
        waveform = self._waveform(audio, sampling_rate)
        windows = self._windows(waveform)
        probabilities = [
            clip_scores(self.model, self.extractor, windows[start : start + WINDOWS_PER_BATCH]).probabilities
            for start in range(0, len(windows), WINDOWS_PER_BATCH)
        ]
        scores = torch.cat(probabilities)
        if not torch.isfinite(scores).all():
            raise ValueError(
                f"Expected finite scores, got NaN: the samples reach {np.abs(waveform).max():.3g}, where 1 is full "
                "scale. Scale the sound, or look at how it was recorded."
            )
        return scores

    def _waveform(self, sound: Any, sampling_rate: int | None) -> np.ndarray:
        """One sound in any of its forms as mono float32 `[T]` at the model's rate."""
        if isinstance(sound, Mapping) and not {"array", "raw"} & set(sound):
            file = sound.get("path") if sound.get("bytes") is None else sound["bytes"]
            if file is None:
                raise ValueError(
                    'Expected a dictionary with "array" or "raw" and "sampling_rate", or with "path" or "bytes", got '
                    f"one with {sorted(sound)}."
                )
            sound = file
        if hasattr(sound, "get_all_samples"):  # torchcodec's decoder, which datasets' Audio feature gives
            decoded = sound.get_all_samples()
            sound, sampling_rate = decoded.data, decoded.sample_rate
        if isinstance(sound, str | Path | bytes) or hasattr(sound, "read"):
            sound, sampling_rate = decode_audio(sound)
        samples, rate = unpack_sound(sound, sampling_rate)
        if rate is None:
            raise ValueError("Expected sampling_rate (in Hz) with a waveform.")
        return to_mono_at_rate(as_mono(samples).cpu().numpy(), rate, self.extractor.sampling_rate)

    def _windows(self, waveform: np.ndarray) -> list[np.ndarray]:
        """Full windows one after the other, the last one ending with the audio; or the audio itself if it fits."""
        extractor = self.extractor
        if extractor.max_length is None or extractor.num_frames(len(waveform)) <= extractor.max_length:
            return [waveform]
        size = extractor.frame_size + (extractor.max_length - 1) * extractor.hop_size
        starts = [*range(0, len(waveform) - size, size), len(waveform) - size]
        return [waveform[start : start + size] for start in starts]
