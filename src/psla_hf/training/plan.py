"""What a run will do, before it does: steps, rates, parameters, memory, files. Knows no audio and trains nothing."""

import math
import textwrap
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from torch import Tensor
from tqdm import tqdm

from psla_hf.models.modeling_psla import FRAME_HOP_SECONDS, PslaForAudioClassification
from psla_hf.settings import check, required, setting

from .build import build_model, build_optimizer
from .recipe import LAST_EPOCHS, Recipe
from .run.folder import CHECKPOINTS, LAST_EPOCH, METRICS_FILE, RESULTS_FILE, WEIGHTS_FILE

__all__ = ["Plan", "activation_bytes", "model_without_numbers"]


@dataclass(frozen=True)
class Plan:
    """A run in numbers, worked out without data, weights or a GPU; `str` of it reads like a paper's method section.

    Args:
        recipe: All settings, and the published figures to measure the run against, if there are any.
        num_train: Clips to train on.
        num_test: Clips to evaluate on.
        num_classes: K.
        num_processes: That train together.
        train_hours: Hours of audio to train on, if known.
        keep_epochs: Whether the model of every epoch is kept.
        name: The recipe's.

    Raises:
        ValueError: A number is below 1, or the processes cannot share a batch equally.
    """

    recipe: Recipe
    num_train: int = required("clips to train on", at_least=1)
    num_test: int = required("clips to evaluate on", at_least=1)
    num_classes: int = required("classes", at_least=1)
    num_processes: int = setting(1, "processes that train together", at_least=1)
    train_hours: float | None = None
    keep_epochs: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        check(self)
        self.recipe.clips_per_step(self.num_processes)  # refuses a batch that cannot be shared

    @property
    def clips_per_step(self) -> int:
        """Clips of one process in a forward and backward pass."""
        return self.recipe.clips_per_step(self.num_processes)

    @property
    def updates_per_epoch(self) -> int:
        """Updates of the weights in an epoch, all of them with full batches."""
        return math.ceil(self.num_train / self.recipe.input.batch_size)

    @property
    def samples_per_epoch(self) -> int:
        """The clips, rounded up to full batches."""
        return self.updates_per_epoch * self.recipe.input.batch_size

    @property
    def total_updates(self) -> int:
        """Updates of the weights in all epochs."""
        return self.updates_per_epoch * self.recipe.schedule.epochs

    @property
    def steps_per_epoch(self) -> int:
        """Forward and backward passes of each process in an epoch."""
        return self.updates_per_epoch * self.recipe.input.gradient_accumulation

    @property
    def total_steps(self) -> int:
        """Forward and backward passes of each process in all epochs."""
        return self.steps_per_epoch * self.recipe.schedule.epochs

    @property
    def warmup_end(self) -> tuple[int, int]:
        """The first update at the peak rate, counted from 1, and its epoch; it may be past the end."""
        update = max(1, self.recipe.schedule.warmup_steps)
        return update, math.ceil(update / self.updates_per_epoch)

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The rate at the end of each epoch."""
        ends = (epoch * self.updates_per_epoch - 1 for epoch in range(1, self.recipe.schedule.epochs + 1))
        peak = self.recipe.optimizer.learning_rate
        return tuple(peak * self.recipe.learning_rate_factor(end, self.updates_per_epoch) for end in ends)

    @property
    def averaged_epochs(self) -> tuple[int, int]:
        """First and last epoch whose weights are averaged."""
        return self.recipe.first_averaged_epoch, self.recipe.schedule.epochs

    @cached_property
    def _model(self) -> PslaForAudioClassification:
        return model_without_numbers(self.recipe, self.num_classes)

    @property
    def num_parameters(self) -> int:
        """Parameters of the model."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    @cached_property
    def memory(self) -> dict[str, int]:
        """Bytes that one process holds in float32, by what.

        The first three are exact; activations of one clip are what autograd keeps between forward and backward
        (operations need working memory besides); then the log-mel spectrograms of a step, and on the host the averages
        of weights and probabilities in float64.
        """
        parameters = sum(parameter.nbytes for parameter in self._model.parameters())
        averaged = sum(tensor.numel() * 8 for tensor in self._model.state_dict().values())
        frames = self.recipe.input.max_length
        return {
            "parameters": parameters,
            "gradients": parameters,
            "optimizer_states": optimizer_bytes(self.recipe, self._model),
            "activations_per_clip": activation_bytes(self._model, frames),
            "log_mel_per_step": self.clips_per_step * frames * self._model.config.num_mel_bins * 4,
            "averages_on_host": averaged + self.num_test * self.num_classes * 8,
        }

    @property
    def files(self) -> dict[str, int]:
        """Bytes of the tensors in each large file, by its name; a checkpoint's by the end, with the averages in it."""
        weights, epochs = (
            sum(tensor.nbytes for tensor in self._model.state_dict().values()),
            self.recipe.schedule.epochs,
        )
        return {
            WEIGHTS_FILE: weights,
            f"{LAST_EPOCH}/{WEIGHTS_FILE}": weights,
            **({f"all {epochs} of epochs/": epochs * weights} if self.keep_epochs else {}),
            f"each in {CHECKPOINTS}/": weights + self.memory["optimizer_states"] + self.memory["averages_on_host"],
        }

    def __str__(self) -> str:
        width = 13
        return "\n".join(
            textwrap.fill(
                text,
                120,
                initial_indent=f"{title:<{width}}",
                subsequent_indent=" " * width,
                break_on_hyphens=False,
                break_long_words=False,
            )
            for title, text in paragraphs(self).items()
        )


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
    optimizer.zero_grad()
    states = (value for state in optimizer.state.values() for value in state.values())
    return sum(value.nbytes for value in states if isinstance(value, Tensor))


def activation_bytes(model: PslaForAudioClassification, frames: int) -> int:
    """Bytes that autograd keeps for the backward pass of one clip in float32, on whatever device the model is.

    Counted by hooks on what it saves, each storage once, parameters and buffers left out. On the meta device nothing is
    computed, and the count is the same as on a CPU.
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


def paragraphs(plan: Plan) -> dict[str, str]:
    """The plan in words, by title."""
    recipe, memory = plan.recipe, plan.memory
    model, inputs, changes = recipe.model, recipe.input, recipe.augmentation
    restyle = changes.mixstyle_rate
    heads = f", {model.num_attention_heads} heads" if model.pooling == "attention" else ""
    start = f"ImageNet weights ({model.pretraining}; first convolution: {model.first_convolution})"
    augmentations = {
        f"mixup of {changes.mixup_rate:.0%} with Beta({changes.mixup_alpha:g})": changes.mixup_rate,
        f"resampling by another filter for {changes.resampler_rate:.0%}": changes.resampler_rate,
        f"gain of up to {changes.gain_db:g} dB": changes.gain_db,
        "time roll": changes.time_roll,
        f"frequency MixStyle of {changes.mixstyle_rate:.0%} with Beta({changes.mixstyle_alpha:g})": restyle,
        f"a mask of up to {changes.frequency_mask} mel bins": changes.frequency_mask,
        f"a mask of up to {changes.time_mask} frames": changes.time_mask,
    }
    clipping = recipe.optimizer.gradient_clipping
    limit = f", gradients' norm at most {clipping:g}" if clipping else ""
    law = "by the inverse frequency of their classes, with replacement" if inputs.balanced_sampling else "in turn"
    single = {
        "last5": f"the mean of the last {LAST_EPOCHS} epochs'",
        "best_on_validation": "that of the epoch best on the validation set",
    }[recipe.aggregation.report]
    statistics = {"average": "averaged too", "reestimate": "measured anew"}[recipe.aggregation.batch_norm_of_average]
    first, last = plan.averaged_epochs
    hours = "" if plan.train_hours is None else f" ({plan.train_hours:,.1f} hours)"
    fixed = sum(memory[what] for what in ("parameters", "gradients", "optimizer_states", "log_mel_per_step"))
    step = fixed + memory["activations_per_clip"] * plan.clips_per_step
    size = {what: _size(count) for what, count in memory.items()}
    return {
        "Recipe": plan.name or "no name",
        "Data": f"{plan.num_train:,} clips{hours} to train on, {plan.num_test:,} to evaluate on after every epoch, "
        f"{plan.num_classes} classes. An epoch is {plan.samples_per_epoch:,} samples, drawn {law}.",
        "Model": f"{model.backbone}, {model.pooling} pooling{heads}, {plan.num_parameters:,} parameters, from "
        f"{'random weights' if model.pretraining == 'none' else start}.",
        "Input": f"{inputs.max_length} frames ({inputs.max_length * FRAME_HOP_SECONDS:.2f} s) at "
        f"{inputs.sampling_rate:,} Hz; "
        f"{', '.join(text for text, is_on in augmentations.items() if is_on) or 'no augmentation'}.",
        "Batches": f"{inputs.batch_size} clips per update, {plan.clips_per_step} in each step of each process "
        f"(processes: {plan.num_processes}; steps per update: {inputs.gradient_accumulation}). "
        f"{plan.updates_per_epoch:,} updates and {plan.steps_per_epoch:,} steps per epoch, {plan.total_updates:,} and "
        f"{plan.total_steps:,} in all, by {recipe.optimizer.optimizer}{limit}.",
        "Schedule": f"{recipe.schedule.epochs} epochs. {_rates(plan)}",
        "Aggregation": f"Weights are averaged over epochs {first} to {last}, BatchNorm's statistics {statistics}; the "
        f"ensemble is of all {last} epochs. The single model's figure is {single}.",
        "Memory": f"Each process holds, in float32, {size['parameters']} of parameters, as much of gradients, "
        f"{size['optimizer_states']} of optimizer states, and in a step {size['log_mel_per_step']} of spectrograms and "
        f"about {size['activations_per_clip']} of activations for each of {plan.clips_per_step} clips: {_size(step)} "
        f"together, besides the operations' working memory; and on the host {size['averages_on_host']} of averages.",
        "Files": "; ".join(f"{file} {_size(count)}" for file, count in plan.files.items())
        + ". Two checkpoints are kept until the run is finished, and a third is there while it is written. Small: "
        f"{METRICS_FILE}, {RESULTS_FILE}, each model's configuration, feature extractor and code.",
        "To reach": str(recipe.target) if recipe.target else "no published figures.",
        "Settings": ", ".join(f"{name} {value}" for name, value in recipe.settings().items()) + ".",
    }


def _rates(plan: Plan) -> str:
    """The learning rate over the epochs, as a sentence."""
    update, epoch = plan.warmup_end
    if update > plan.total_updates:
        rate = plan.learning_rates[-1]
        return f"The warm-up of {update:,} updates does not end within the run, whose last rate is {rate:.3g}."
    spans = [
        f"{rate:.3g} to epoch {list(epochs)[-1]}"
        for rate, epochs in groupby(
            range(epoch, plan.recipe.schedule.epochs + 1), lambda number: plan.learning_rates[number - 1]
        )
    ]
    rise = f"rises linearly until update {update:,}, in epoch {epoch}; then it is" if update > 1 else "is"
    return f"The learning rate {rise} {', '.join(spans)}."


def _size(count: int) -> str:
    return tqdm.format_sizeof(count, "B")
