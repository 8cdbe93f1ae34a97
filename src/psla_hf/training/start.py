"""A trained tagger that a run begins from: what of it is kept, and what of the new model is fresh. Knows no loop."""

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.models.configuration_psla import PslaConfig
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.modeling_psla import PslaForAudioClassification
from psla_hf.models.saved import load_saved
from psla_hf.models.weights import convert_psla_checkpoint
from psla_hf.places import local_path
from psla_hf.teachers.class_map import ClassMap
from psla_hf.teachers.teacher import TaggerTeacher

from .origins import Origin
from .recipe import Recipe

__all__ = ["Start"]


@dataclass(frozen=True)
class Start:
    """A tagger to fine-tune: its backbone and pooling are kept, and its head's rows of classes that the data have too.

    Attributes:
        name: What it is called.
        model: The tagger.
        extractor: Its feature extractor.
        origin: What a result file says of it.
        is_on_hub: Its name is a repository's.
    """

    name: str
    model: PslaForAudioClassification
    extractor: PslaFeatureExtractor
    origin: Origin = None
    is_on_hub: bool = False

    @classmethod
    def open(cls, name: str, origin: Origin = None) -> "Start":
        """Load a start.

        Args:
            name: Folder or Hub id of a saved tagger, or a `.pth` file of the original PSLA.
            origin: What a result file says of it.

        Raises:
            FileNotFoundError: There is no such thing.
            OSError: The Hub or its cache has no such model.
            ValueError: It is damaged, or no tagger of this package; or an ensemble, which is several.
        """
        path = local_path(name, "a saved tagger or an original checkpoint")
        shown = name if path is None or not path.is_absolute() else path.name
        if path is not None and path.is_file():
            return cls(shown, convert_psla_checkpoint(path), PslaFeatureExtractor())
        model, extractor = load_saved(path or name)
        if not isinstance(model, PslaForAudioClassification):
            raise ValueError(f"Expected a single tagger to begin from, {shown} is an ensemble. Begin from a member.")
        return cls(shown, model, extractor, origin, is_on_hub=path is None)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of its weights and its front end."""
        return TaggerTeacher(self.model, self.extractor).fingerprint

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a recipe that are decided by it."""
        config: PslaConfig = self.model.config
        heads = {"num_attention_heads": config.num_attention_heads} if config.pooling == "attention" else {}
        return {
            "backbone": config.backbone,
            "pooling": config.pooling,
            **heads,
            "pretraining": "none",
            "sampling_rate": self.extractor.sampling_rate,
        }

    def check(self, given: dict[str, Any]) -> None:
        """Refuse settings that are others than its own.

        Args:
            given: Settings of a recipe by name, some or all.

        Raises:
            ValueError: One is; the message says what it is here.
        """
        for name, value in self.settings.items():
            if given.get(name, value) != value:
                raise ValueError(
                    f"Expected {name}={value!r}, as the model from which the run begins has it ({self.name}), got "
                    f"{given[name]!r}. Leave {name} out, take recipe.replace(**start.settings), or begin from another."
                )

    def extractor_of_length(self, max_length: int) -> PslaFeatureExtractor:
        """Its feature extractor for windows of that many frames."""
        extractor = copy(self.extractor)
        extractor.max_length = max_length
        return extractor

    def build(self, recipe: Recipe, vocabulary: Vocabulary, seed: int) -> PslaForAudioClassification:
        """A tagger for other classes that begins with these weights.

        Args:
            recipe: With this start's `settings`.
            vocabulary: The classes: the head's rows of those that the start has too, by mid or by name, are kept.
            seed: Of the initialisation of what is fresh; the global generator is left as it was.

        Raises:
            ValueError: The recipe's architecture or sampling rate is another.
        """
        self.check(recipe.settings())
        names = vocabulary.names
        changes = {
            "id2label": dict(enumerate(names)),
            "label2id": {name: k for k, name in enumerate(names)},
            "batch_norm_momentum": recipe.model.batch_norm_momentum,
            "thresholds": None,
        }
        config = PslaConfig(**{**self.model.config.to_diff_dict(), **changes})
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = PslaForAudioClassification(config)
        model.psla.load_state_dict(self.model.psla.state_dict())
        theirs, ours = self.model.pooling.state_dict(), model.pooling.state_dict()
        pairs = self._kept(vocabulary)
        heads = config.num_attention_heads if config.pooling == "attention" else 1
        for name, tensor in ours.items():
            if name == "head_weight":
                tensor.copy_(theirs[name])
                continue
            # Rows are heads times classes, the heads one after the other.
            rows, own = (of.view(heads, -1, *of.shape[1:]) for of in (theirs[name], tensor))
            own[:, list(pairs.values())] = rows[:, list(pairs)]
        return model

    def _kept(self, vocabulary: Vocabulary) -> dict[int, int]:
        """The new index of each class that is kept, by its old one."""
        sources = ClassMap.of(self.model.config.label_names, vocabulary, may_be_strange=True).sources
        return {of_class[0]: k for k, of_class in enumerate(sources) if of_class}

    def facts(self, vocabulary: Vocabulary) -> dict[str, Any]:
        """What results say of it: which classes were kept, and on what it was trained itself."""
        kept = set(self._kept(vocabulary).values())
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "is_on_hub": self.is_on_hub,
            "classes_kept": [name for k, name in enumerate(vocabulary.names) if k in kept],
            "classes_new": [name for k, name in enumerate(vocabulary.names) if k not in kept],
            "origin": self.origin,
        }

    def in_words(self, vocabulary: Vocabulary) -> str:
        """What is kept of it."""
        facts = self.facts(vocabulary)
        return (
            f"begins from {self.name}: backbone and pooling are kept, and the head of {len(facts['classes_kept'])} of "
            f"the {len(vocabulary)} classes; {len(facts['classes_new'])} are new"
        )
