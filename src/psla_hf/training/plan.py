"""What a run will do, before it does: steps, rates, parameters, memory, files. Knows no audio and trains nothing."""

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from tqdm import tqdm

from psla_hf.models.modeling_psla import FRAME_HOP_SECONDS, PslaForAudioClassification

from .build import build_model, build_optimizer
from .recipes import Recipe, Target
from .run_folder import CHECKPOINTS, METRICS_FILE, RESULTS_FILE

__all__ = ["Plan", "activation_bytes", "plan"]


@dataclass(frozen=True)
class Plan:
    """A run in numbers; `str` of it reads like the method section of a paper.

    Attributes:
        name: The recipe's.
        recipe: Every setting.
        target: Published figures to measure the run against, if there are any.
        num_train: Clips to train on.
        num_test: Clips to evaluate on.
        num_classes: K.
        num_processes: That train together.
        train_hours: Hours of audio to train on, if known.
        samples_per_epoch: The clips, rounded up to full batches.
        clips_per_step: Of one process.
        steps_per_epoch: Forward and backward passes of each process.
        total_steps: Of all epochs.
        updates_per_epoch: Of the weights.
        total_updates: Of all epochs.
        warmup_end: Update, counted from 1, that is the first at the peak rate, and its epoch; it may be past the end.
        learning_rates: At the end of each epoch.
        averaged_epochs: First and last epoch whose weights are averaged.
        num_parameters: Of the model.
        memory: Bytes that one process holds in float32, by what: the first three exactly, activations of one clip as
            autograd keeps them between forward and backward (operations need working memory besides), the log-mel
            spectrograms of a step, and on the host the averages of weights and probabilities in float64.
        files: Bytes of the tensors in each large file that will be written, by its name; a checkpoint's by the end of
            the run, when there are averages in it.
    """

    name: str
    recipe: Recipe
    target: Target | None
    num_train: int
    num_test: int
    num_classes: int
    num_processes: int
    train_hours: float | None
    samples_per_epoch: int
    clips_per_step: int
    steps_per_epoch: int
    total_steps: int
    updates_per_epoch: int
    total_updates: int
    warmup_end: tuple[int, int]
    learning_rates: tuple[float, ...]
    averaged_epochs: tuple[int, int]
    num_parameters: int
    memory: Mapping[str, int]
    files: Mapping[str, int]

    def __str__(self) -> str:
        paragraphs = {
            "Data": describe_data(self),
            "Model": describe_model(self),
            "Input": describe_input(self.recipe),
            "Batches": describe_batches(self),
            "Schedule": describe_schedule(self),
            "Aggregation": describe_aggregation(self),
            "Memory": describe_memory(self),
            "Files": "; ".join(f"{file} {_size(size)}" for file, size in self.files.items())
            + ". Two checkpoints are kept until the run is finished, and a third is there while it is written. Small: "
            f"{METRICS_FILE}, {RESULTS_FILE}, each model's configuration, feature extractor and code.",
            "To reach": str(self.target) if self.target else "no published figures.",
            "Settings": ", ".join(f"{name} {value}" for name, value in self.recipe.settings().items()) + ".",
        }
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
            for title, text in {"Recipe": self.name or "no name", **paragraphs}.items()
        )


def plan(
    recipe: Recipe,
    *,
    num_train: int,
    num_test: int,
    num_classes: int,
    num_processes: int = 1,
    train_hours: float | None = None,
    keep_epochs: bool = False,
    name: str = "",
) -> Plan:
    """Work out a run without data, weights or a GPU: the model is built without numbers, on torch's meta device.

    Args:
        recipe: All settings.
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
    numbers = {"num_train": num_train, "num_test": num_test, "num_classes": num_classes, "num_processes": num_processes}
    for what, number in numbers.items():
        if number < 1:
            raise ValueError(f"Expected {what} of at least 1, got {number}.")
    clips_per_step = recipe.clips_per_step(num_processes)
    updates = math.ceil(num_train / recipe.input.batch_size)
    steps = updates * recipe.input.gradient_accumulation
    ends = [epoch * updates - 1 for epoch in range(1, recipe.schedule.epochs + 1)]
    peak = max(1, recipe.schedule.warmup_steps)
    model = model_without_numbers(recipe, num_classes)
    memory = training_memory(recipe, model, clips_per_step, num_test)
    return Plan(
        name=name,
        recipe=recipe,
        target=recipe.target,
        **numbers,
        train_hours=train_hours,
        samples_per_epoch=updates * recipe.input.batch_size,
        clips_per_step=clips_per_step,
        steps_per_epoch=steps,
        total_steps=steps * recipe.schedule.epochs,
        updates_per_epoch=updates,
        total_updates=updates * recipe.schedule.epochs,
        warmup_end=(peak, math.ceil(peak / updates)),
        learning_rates=tuple(
            recipe.optimizer.learning_rate * recipe.learning_rate_factor(end, updates) for end in ends
        ),
        averaged_epochs=(recipe.first_averaged_epoch, recipe.schedule.epochs),
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        memory=memory,
        files=file_sizes(model, memory, recipe.schedule.epochs if keep_epochs else 0),
    )


def model_without_numbers(recipe: Recipe, num_classes: int) -> PslaForAudioClassification:
    """The recipe's model in training mode on the meta device: shapes and types, no storage and no weights."""
    with torch.device("meta"):
        return build_model(recipe.replace(pretraining="none"), [str(k) for k in range(num_classes)], seed=0).train()


def training_memory(
    recipe: Recipe, model: PslaForAudioClassification, clips_per_step: int, num_test: int
) -> dict[str, int]:
    """Bytes that a process holds, see `Plan.memory`."""
    parameters = sum(parameter.nbytes for parameter in model.parameters())
    averaged = sum(tensor.numel() * 8 for tensor in model.state_dict().values())
    return {
        "parameters": parameters,
        "gradients": parameters,
        "optimizer_states": optimizer_bytes(recipe, model),
        "activations_per_clip": activation_bytes(model, recipe.input.max_length),
        "log_mel_per_step": clips_per_step * recipe.input.max_length * model.config.num_mel_bins * 4,
        "averages_on_host": averaged + num_test * len(model.config.label_names) * 8,
    }


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
        storage = tensor.untyped_storage()  # told apart by the address of its C++ object: on meta there are no data
        if storage._cdata not in own:
            kept[storage._cdata] = storage  # held, so that no later one gets the address
        return tensor

    clip = torch.zeros(1, frames, model.config.num_mel_bins, device=device)
    labels = torch.zeros(1, len(model.config.label_names), device=device)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(clip, labels=labels)
    return sum(storage.nbytes() for storage in kept.values())


def file_sizes(model: PslaForAudioClassification, memory: Mapping[str, int], kept_epochs: int) -> dict[str, int]:
    """Bytes of the tensors in each large file that a run writes."""
    weights = sum(tensor.nbytes for tensor in model.state_dict().values())
    return {
        "model.safetensors": weights,
        "last_epoch/model.safetensors": weights,
        **({f"all {kept_epochs} of epochs/": kept_epochs * weights} if kept_epochs else {}),
        f"each in {CHECKPOINTS}/": weights + memory["optimizer_states"] + memory["averages_on_host"],
    }


def describe_data(plan: Plan) -> str:
    """How many clips, and how they are drawn."""
    hours = "" if plan.train_hours is None else f" ({plan.train_hours:,.1f} hours)"
    drawn = (
        "by the inverse frequency of their classes, with replacement"
        if plan.recipe.input.balanced_sampling
        else "in turn"
    )
    return (
        f"{plan.num_train:,} clips{hours} to train on, {plan.num_test:,} to evaluate on after every epoch, "
        f"{plan.num_classes} classes. An epoch is {plan.samples_per_epoch:,} samples, drawn {drawn}."
    )


def describe_model(plan: Plan) -> str:
    """Architecture and initialisation."""
    recipe = plan.recipe
    heads = f", {recipe.model.num_attention_heads} heads" if recipe.model.pooling == "attention" else ""
    start = (
        "from random weights"
        if recipe.model.pretraining == "none"
        else f"from ImageNet weights ({recipe.model.pretraining}; first convolution: {recipe.model.first_convolution})"
    )
    return (
        f"{recipe.model.backbone}, {recipe.model.pooling} pooling{heads}, {plan.num_parameters:,} parameters, {start}."
    )


def describe_input(recipe: Recipe) -> str:
    """Length and augmentation."""
    augmentation, frames = recipe.augmentation, recipe.input.max_length
    style = f"frequency MixStyle of {augmentation.mixstyle_rate:.0%} with Beta({augmentation.mixstyle_alpha:g})"
    changes = {
        f"mixup of {augmentation.mixup_rate:.0%} with Beta({augmentation.mixup_alpha:g})": augmentation.mixup_rate,
        f"gain of up to {augmentation.gain_db:g} dB": augmentation.gain_db,
        "time roll": augmentation.time_roll,
        style: augmentation.mixstyle_rate,
        f"a mask of up to {augmentation.frequency_mask} mel bins": augmentation.frequency_mask,
        f"a mask of up to {augmentation.time_mask} frames": augmentation.time_mask,
    }
    said = ", ".join(change for change, there in changes.items() if there) or "no augmentation"
    return f"{frames} frames ({frames * FRAME_HOP_SECONDS:.2f} s); {said}."


def describe_batches(plan: Plan) -> str:
    """How an update is shared out."""
    recipe = plan.recipe
    clipping = (
        f", gradients' norm at most {recipe.optimizer.gradient_clipping:g}"
        if recipe.optimizer.gradient_clipping
        else ""
    )
    return (
        f"{recipe.input.batch_size} clips per update, {plan.clips_per_step} in each step of each process (processes: "
        f"{plan.num_processes}; steps per update: {recipe.input.gradient_accumulation}). "
        f"{plan.updates_per_epoch:,} updates "
        f"and {plan.steps_per_epoch:,} steps per epoch, {plan.total_updates:,} and {plan.total_steps:,} in all, "
        f"by {recipe.optimizer.optimizer}{clipping}."
    )


def describe_schedule(plan: Plan) -> str:
    """The learning rate over the epochs."""
    update, epoch = plan.warmup_end
    if update > plan.total_updates:
        return (
            f"{plan.recipe.schedule.epochs} epochs. The warm-up of {update:,} updates does not end within the run, "
            f"whose last rate is {plan.learning_rates[-1]:.3g}."
        )
    stretches = []
    for rate, epochs in groupby(
        range(epoch, plan.recipe.schedule.epochs + 1), lambda number: plan.learning_rates[number - 1]
    ):
        stretches.append(f"{rate:.3g} to epoch {list(epochs)[-1]}")
    rise = f"rises linearly until update {update:,}, in epoch {epoch}; then it is" if update > 1 else "is"
    return f"{plan.recipe.schedule.epochs} epochs. The learning rate {rise} {', '.join(stretches)}."


def describe_aggregation(plan: Plan) -> str:
    """What is made of the epochs, and what counts as the single model."""
    first, last = plan.averaged_epochs
    single = {
        "last5": "the mean of the last five epochs'",
        "best_on_validation": "that of the epoch best on the validation set",
    }[plan.recipe.aggregation.report]
    statistics = {"average": "averaged too", "reestimate": "measured anew"}[
        plan.recipe.aggregation.batch_norm_of_average
    ]
    return (
        f"Weights are averaged over epochs {first} to {last}, BatchNorm's statistics {statistics}; the ensemble is of "
        f"all {last} epochs. The single model's figure is {single}."
    )


def describe_memory(plan: Plan) -> str:
    """What one process needs, and for how many clips."""
    memory = plan.memory
    activations = memory["activations_per_clip"] * plan.clips_per_step
    fixed = memory["parameters"] + memory["gradients"] + memory["optimizer_states"] + memory["log_mel_per_step"]
    return (
        f"Each process holds, in float32, {_size(memory['parameters'])} of parameters, as much of gradients, "
        f"{_size(memory['optimizer_states'])} of optimizer states, and in a step "
        f"{_size(memory['log_mel_per_step'])} of spectrograms and about {_size(memory['activations_per_clip'])} of "
        f"activations for each of {plan.clips_per_step} clips: {_size(fixed + activations)} together, besides the "
        f"operations' working memory; and on the host {_size(memory['averages_on_host'])} of averages."
    )


def _size(count: int) -> str:
    return tqdm.format_sizeof(count, "B")
