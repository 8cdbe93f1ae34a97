"""Teachers: taggers of this package, and any audio classifier of transformers. Know no data sets."""

import inspect
from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    ASTFeatureExtractor,
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    PreTrainedModel,
)
from transformers.utils import CONFIG_NAME
from typing_extensions import override

from psla_hf.evaluation import batch_probabilities
from psla_hf.files import digest
from psla_hf.loading.samples import Batch
from psla_hf.models.configuration_psla import PslaConfig, PslaEnsembleConfig
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.saved import Tagger, check_weights, load_saved, read_object, saved_folder

__all__ = ["Activation", "ClassifierTeacher", "TaggerTeacher", "Teacher", "open_teacher"]


Activation = Literal["sigmoid", "softmax"]

ACTIVATIONS: dict[str | None, Activation] = {
    "multi_label_classification": "sigmoid",
    "single_label_classification": "softmax",
}

WINDOW_SECONDS = 10.0  # of classifiers that do not say how much they hear at once

AST_HOP_MS, AST_FRAME_MS = 10, 25  # of Kaldi's filterbank, which ASTFeatureExtractor has


class Teacher(ABC):
    """A model whose scores of clips others learn from.

    Attributes:
        name: What it is called.
        model: On a device, in eval mode.
        classes: Names of its C classes, in index order.
        sampling_rate: Of the waveforms that it hears, in Hz.
        window: Samples of the longest sound that it hears whole, of longer ones windows; none for any length.
        longest: Samples of the longest clip that is one window, by default `window`.
        pads_to_batch: A clip's scores depend on which clips are in its batch.
    """

    name: str
    model: nn.Module
    classes: tuple[str, ...]
    sampling_rate: int
    window: int | None
    longest: int | None
    pads_to_batch: bool

    @abstractmethod
    def probabilities(self, batch: Batch) -> Tensor:
        """Float32 `[B, C]` of a batch on the model's device."""

    @property
    @abstractmethod
    def front_end(self) -> str:
        """What makes a waveform the model's input, as text that changes with it."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights and of the front end."""
        parts: list[str | np.ndarray] = [self.front_end]
        for name, tensor in sorted(self.model.state_dict().items()):
            parts += [name, tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()]
        return digest(*parts)


class TaggerTeacher(Teacher):
    """A tagger of this package, or an ensemble of them.

    Args:
        model: The tagger; it is put into eval mode.
        extractor: Its feature extractor.
        name: What to call it.
    """

    def __init__(self, model: Tagger, extractor: PslaFeatureExtractor, name: str = "a tagger"):
        self.name, self.model, self.extractor = name, model.eval(), extractor
        self.classes = tuple(model.config.label_names)
        self.sampling_rate = extractor.sampling_rate
        self.window, self.longest = extractor.max_samples, extractor.longest_samples
        self.pads_to_batch = extractor.max_length is None

    @override
    def probabilities(self, batch: Batch) -> Tensor:
        return batch_probabilities(self.model, self.extractor, batch)

    @property
    @override
    def front_end(self) -> str:
        return self.extractor.to_json_string()


class ClassifierTeacher(Teacher):
    """An audio classifier of transformers with the feature extractor that it was saved with.

    Args:
        model: An `AutoModelForAudioClassification`; it is put into eval mode.
        extractor: Its feature extractor.
        name: What to call it.
        activation: What makes probabilities of its logits; by default what its `problem_type` says.
        window_seconds: The longest sound that it hears whole; by default what its extractor says, or 10 s.

    Raises:
        ValueError: Neither the model nor `activation` says what its logits are.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        extractor: Any,
        name: str = "a classifier",
        activation: Activation | None = None,
        window_seconds: float | None = None,
    ):
        known = ACTIVATIONS.get(model.config.problem_type)
        if activation is None and known is None:
            raise ValueError(
                f"Expected a classifier that says what its logits are, {name} has problem_type="
                f"{model.config.problem_type!r}. Pass activation='sigmoid' if it was trained on several labels a clip, "
                "as on AudioSet, or activation='softmax' if on one."
            )
        self.name, self.model, self.extractor = name, model.eval(), extractor
        self.activation = activation or known
        id2label: dict[Any, str] = model.config.id2label or {}
        self.classes = tuple(str(id2label[k]) for k in sorted(id2label, key=int))
        self.sampling_rate = int(extractor.sampling_rate)
        self.window = _window(extractor) if window_seconds is None else round(window_seconds * self.sampling_rate)
        self.longest = None
        self.pads_to_batch = True
        # Whisper's pads to its own length by itself, wav2vec 2.0's only if asked.
        padding = inspect.signature(extractor.__call__).parameters.get("padding")
        self._settings = {"padding": True} if padding is not None and padding.default is False else {}

    @override
    def probabilities(self, batch: Batch) -> Tensor:
        waveforms = batch.waveforms.cpu().numpy()
        clips = [clip[:length] for clip, length in zip(waveforms, batch.lengths.tolist(), strict=True)]
        inputs = self.extractor(clips, sampling_rate=self.sampling_rate, return_tensors="pt", **self._settings)
        logits = self.model(**inputs.to(batch.waveforms.device)).logits.float()
        return logits.sigmoid() if self.activation == "sigmoid" else logits.softmax(dim=-1)

    @property
    @override
    def front_end(self) -> str:
        return f"{self.activation}\n{self.window}\n{self.extractor.to_json_string()}"


def open_teacher(
    name: str,
    *,
    trust_remote_code: bool = False,
    activation: Activation | None = None,
    window_seconds: float | None = None,
) -> Teacher:
    """A teacher from a folder or the Hub.

    Args:
        name: Folder of a saved model, or `OWNER/NAME`: a PSLA tagger, an ensemble, or any audio classifier.
        trust_remote_code: Run the code that a model brings along. This package's own need none.
        activation: See `ClassifierTeacher`; a tagger of this package says it itself.
        window_seconds: Likewise.

    Raises:
        FileNotFoundError: There is no such folder.
        OSError: The Hub or its cache has no such model.
        ValueError: It is no audio classifier, brings code that is not trusted, lacks weights, or does not say what its
            logits are.
    """
    path = saved_folder(name)
    place, shown = str(path or name), path.name if path is not None and path.is_absolute() else name
    read_object(place, CONFIG_NAME)  # refused by its name where transformers would take it for another model's
    config = AutoConfig.from_pretrained(place, trust_remote_code=trust_remote_code)
    if config.model_type in (PslaConfig.model_type, PslaEnsembleConfig.model_type):
        if activation is not None or window_seconds is not None:
            raise ValueError(
                f"activation and window_seconds would have no effect: {shown} is a tagger of this package."
            )
        return TaggerTeacher(*load_saved(place), shown)
    if path is not None:
        check_weights(path)
    extractor = AutoFeatureExtractor.from_pretrained(place, trust_remote_code=trust_remote_code)
    model, info = AutoModelForAudioClassification.from_pretrained(
        place, trust_remote_code=trust_remote_code, output_loading_info=True
    )
    lacking = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if lacking:
        raise ValueError(
            f"Expected an audio classifier with all its weights in {shown}, {len(lacking)} are missing, such as "
            f"{lacking[0]}: its scores would be random. Fine-tune it first."
        )
    return ClassifierTeacher(model, extractor, shown, activation, window_seconds)


def _window(extractor: Any) -> int:
    """Samples that an extractor hears at once, as far as it says."""
    rate = int(extractor.sampling_rate)
    if isinstance(extractor, ASTFeatureExtractor) and extractor.max_length:
        return ((extractor.max_length - 1) * AST_HOP_MS + AST_FRAME_MS) * rate // 1000
    # Whisper's and CLAP's, which cut what is longer.
    samples: Any = getattr(extractor, "n_samples", None) or getattr(extractor, "nb_max_samples", WINDOW_SECONDS * rate)
    return int(samples)
