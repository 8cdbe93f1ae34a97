"""What a run will do, before it does: steps, rates, parameters, memory, files. Knows no audio and trains nothing."""

import math
import textwrap
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from torch import Tensor
from tqdm import tqdm

from psla_hf.models.modeling_psla import PslaForAudioClassification
from psla_hf.settings import check, required, setting

from .build import build_model, build_optimizer
from .recipe import Recipe
from .run.folder import CHECKPOINTS, LAST_EPOCH, WEIGHTS_FILE

__all__ = ["Plan", "activation_bytes", "model_without_numbers"]


@dataclass(frozen=True)
class Plan:
    """A run in numbers, worked out without data, weights or a GPU; `str` of it is what `psla train --dry-run` prints.

    Raises:
        ValueError: A number is below 1, or the processes cannot share a batch equally.
    """

    recipe: Recipe
    num_train: int = required("clips to train on", at_least=1)
    num_test: int = required("clips to evaluate on", at_least=1)
    num_classes: int = required("classes", at_least=1)
    num_processes: int = setting(1, "processes that train together", at_least=1)
    train_hours: float | None = setting(None, "hours of audio to train on, if known")
    keep_epochs: bool = setting(False, "whether the model of every epoch is kept")
    name: str = setting("no name", "the recipe's")

    def __post_init__(self) -> None:
        check(self)
        self.recipe.clips_per_step(self.num_processes)  # refuses a batch that cannot be shared

    @property
    def updates_per_epoch(self) -> int:
        """Updates of the weights in an epoch, all of them with full batches."""
        return math.ceil(self.num_train / self.recipe.input.batch_size)

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The rate at the end of each epoch."""
        ends = (epoch * self.updates_per_epoch - 1 for epoch in range(1, self.recipe.schedule.epochs + 1))
        peak = self.recipe.optimizer.learning_rate
        return tuple(peak * self.recipe.learning_rate_factor(end, self.updates_per_epoch) for end in ends)

    @cached_property
    def model(self) -> PslaForAudioClassification:
        """Without numbers."""
        return model_without_numbers(self.recipe, self.num_classes)

    @cached_property
    def memory(self) -> dict[str, int]:
        """Bytes that one process holds in a step in float32, by what; the operations need working memory besides.

        Activations are what autograd keeps; weights and probabilities are averaged in float64, on the host.
        """
        model, recipe = self.model, self.recipe
        clips, frames = recipe.clips_per_step(self.num_processes), recipe.input.max_length
        parameters = model.get_memory_footprint(return_buffers=False)
        averaged = sum(tensor.numel() for tensor in model.state_dict().values())
        return {
            "parameters": parameters,
            "gradients": parameters,
            "optimizer_states": optimizer_bytes(recipe, model),
            "activations": clips * activation_bytes(model, frames),
            "spectrograms": clips * frames * model.config.num_mel_bins * 4,
            "averages_on_host": (averaged + self.num_test * self.num_classes) * 8,
        }

    @property
    def files(self) -> dict[str, int]:
        """Bytes of the tensors in each large file, by its name; a checkpoint's by the end, with the averages in it."""
        weights, epochs = self.model.get_memory_footprint(), self.recipe.schedule.epochs
        return {
            WEIGHTS_FILE: weights,
            f"{LAST_EPOCH}/{WEIGHTS_FILE}": weights,
            **({f"all {epochs} of epochs/": epochs * weights} if self.keep_epochs else {}),
            f"each in {CHECKPOINTS}/": weights + self.memory["optimizer_states"] + self.memory["averages_on_host"],
        }

    def __str__(self) -> str:
        indent = " " * 13
        filler = textwrap.TextWrapper(120, "", indent, break_on_hyphens=False, break_long_words=False)
        return "\n".join(filler.fill(f"{title:<{len(indent)}}{text}") for title, text in self._paragraphs().items())

    def _paragraphs(self) -> dict[str, str]:
        """What is worked out, and then all settings, by title."""
        recipe, updates, epochs = self.recipe, self.updates_per_epoch, self.recipe.schedule.epochs
        hours = "" if self.train_hours is None else f" ({self.train_hours:,.1f} hours)"
        ends = {rate: max(group) + 1 for rate, group in groupby(range(epochs), self.learning_rates.__getitem__)}
        step = sum(self.memory.values()) - self.memory["averages_on_host"]
        return {
            "Recipe": self.name,
            "Data": f"{self.num_train:,} clips{hours} to train on, {self.num_test:,} to evaluate on after every epoch; "
            f"{self.num_classes} classes",
            "Updates": f"{updates * epochs:,}: {updates:,} an epoch, of {updates * recipe.input.batch_size:,} samples; "
            f"{recipe.clips_per_step(self.num_processes)} in a step of a process; processes: {self.num_processes}",
            "Rate": ", ".join(f"{rate:.3g} at the end of epoch {end}" for rate, end in ends.items())
            + ("; the warm-up does not end" if recipe.schedule.warmup_steps > updates * epochs else ""),
            "Averaged": f"the weights of epochs {recipe.first_averaged_epoch} to {epochs}",
            "Parameters": f"{self.model.num_parameters():,}",
            "Memory": f"{_sizes(self.memory | {'together in a step': step})}, in float32, besides the operations' own",
            "Files": f"{_sizes(self.files)}; two are kept, and a third while it is written",
            "To reach": str(recipe.target) if recipe.target else "no published figures",
        } | {
            group.capitalize(): ", ".join(f"{name} {value}" for name, value in settings.items())
            for group, settings in recipe.groups().items()
        }


def model_without_numbers(recipe: Recipe, num_classes: int) -> PslaForAudioClassification:
    """The recipe's model in training mode on the meta device: shapes and types, no storage and no weights."""
    with torch.device("meta"):
        return build_model(recipe.replace(pretraining="none"), [str(k) for k in range(num_classes)], seed=0).train()


def optimizer_bytes(recipe: Recipe, model: PslaForAudioClassification) -> int:
    """What the recipe's optimizer remembers after one update of a model on the meta device, which it makes."""
    optimizer = build_optimizer(recipe, model)
    for parameter in model.parameters():
        parameter.grad = torch.empty_like(parameter)
    optimizer.step()
    states = (value for state in optimizer.state.values() for value in state.values())
    return sum(value.nbytes for value in states if isinstance(value, Tensor))


def activation_bytes(model: PslaForAudioClassification, frames: int) -> int:
    """Bytes that autograd keeps for the backward pass of one clip in float32, on whatever device the model is.

    Each storage once, parameters and buffers left out. On the meta device nothing is computed, for the same count.
    """
    device = model.device
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()  # identified by the address of its C++ object: on meta there are no data
        if storage._cdata not in own:
            kept[storage._cdata] = storage  # held, so that no later one gets the address
        return tensor

    clip = torch.zeros(1, frames, model.config.num_mel_bins, device=device)
    labels = torch.zeros(1, len(model.config.label_names), device=device)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(clip, labels=labels)
    return sum(storage.nbytes() for storage in kept.values())


def _sizes(counts: dict[str, int]) -> str:
    return ", ".join(f"{what} {tqdm.format_sizeof(count, 'B')}" for what, count in counts.items())
