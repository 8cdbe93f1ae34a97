"""What a run is of: data and settings that go together, and stay the same when it goes on. Trains nothing."""

from typing import Any, NamedTuple

import numpy as np
from accelerate import Accelerator

from psla_hf.data.schema import Clips
from psla_hf.labels.scores import chunks_of

from ..recipe import Recipe
from .settings import RunSettings

__all__ = ["RunClips", "run_identity"]


class RunClips(NamedTuple):
    """The clips of a run."""

    train: Clips  # by index or in shards to be streamed
    test: Clips
    validation: Clips | None = None

    def check(self, recipe: Recipe) -> None:
        """Refuse data and settings that do not go together.

        Raises:
            ValueError: The parts' classes differ, there is nothing to train on or to rank in one that is evaluated, the
                teacher's scores are no probabilities, or the recipe asks for something that is not there.
        """
        if not len(self.train):
            raise ValueError("Expected clips to train on, got none. Take another split.")
        names = self.test.vocabulary.names
        for purpose, clips in (("train", self.train), ("validate", self.validation)):
            if clips is not None and clips.vocabulary.names != names:
                raise ValueError(
                    f"Expected the same classes to {purpose} and to test on, got {list(clips.vocabulary.names)} and "
                    f"{list(names)}."
                )
        for purpose, clips in (("test", self.test), ("validate", self.validation)):
            if clips is not None and not can_be_ranked(clips):
                raise ValueError(
                    f"Expected clips to {purpose} on of which some have a class and others have not, for metrics rank "
                    f"them; got {len(clips)} clips of which each class is in all or in none. Take another split."
                )
        if bool(recipe.distillation.distillation_weight) != (self.train.scores is not None):
            raise ValueError(
                "Expected a teacher's scores and a distillation_weight above 0, or neither, got distillation_weight="
                f"{recipe.distillation.distillation_weight} and {'no ' if self.train.scores is None else ''}"
                "scores (teacher_scores=FOLDER)."
            )
        if self.train.scores is not None:
            _, scores = next(chunks_of(self.train.scores))  # of thousands of clips, in which logits would show
            if (scores < 0).any() or (scores > 1).any():
                raise ValueError(
                    "Expected a teacher's probabilities, from 0 to 1, got scores from "
                    f"{np.nanmin(scores):.3g} to {np.nanmax(scores):.3g}. Save the sigmoid of its logits."
                )
        if self.validation is None:
            if recipe.aggregation.report == "best_on_validation":
                raise ValueError("Expected validation clips: the recipe reports the epoch that is best on them.")
            if recipe.schedule.early_stopping:
                raise ValueError("Expected validation clips: early_stopping waits for a better epoch on them.")


def can_be_ranked(clips: Clips) -> bool:
    """Whether metrics have something to say: a class that some clips have and others have not."""
    counts = clips.labels.each_once().class_counts()
    return bool(((counts > 0) & (counts < len(clips))).any())


def run_identity(
    recipe: Recipe,
    settings: RunSettings,
    clips: RunClips,
    accelerator: Accelerator,
    init_from: str | None,
) -> dict[str, Any]:
    """What must be the same for a resumed run to end as an uninterrupted one.

    Args:
        recipe: All settings.
        settings: How the run is carried out.
        clips: Of all parts.
        accelerator: Where.
        init_from: Fingerprint of the tagger that it begins from, if there is one.
    """
    return {
        **{f"recipe.{name}": value for name, value in recipe.settings().items()},
        "init_from": init_from,
        "seed": settings.seed,
        "processes": accelerator.num_processes,
        "mixed_precision": accelerator.mixed_precision,
        "data": [None if part is None else part.fingerprint for part in clips],
        "workers": settings.num_workers if clips.train.index is not None else "any",
    }
