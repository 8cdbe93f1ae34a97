"""Settings of a recipe that follow from the data and the machine, each with its reason. Knows no sources, no models."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from psla_hf.data.schema import Clips
from psla_hf.provenance import cpu_count

from .recipe import Recipe
from .recipes import RECIPES
from .run.settings import RunSettings

__all__ = ["Choice", "choose_recipe", "default_precision", "shareable", "with_workers"]


LARGE_CLIPS = 20_000  # from so many on, the paper's own model is worth its time

LONGEST_FRAMES = 1024

SHORTEST_FRAMES = 96

USUAL_SHARE = 0.95  # of the clips are no longer than the window

BALANCED_RATIO = 3  # classes whose numbers of clips differ by more are drawn alike

MOST_WORKERS = 8


@dataclass(frozen=True)
class Choice:
    """A recipe that was chosen, and why.

    Attributes:
        name: Of the recipe that it began with.
        recipe: All settings.
        reasons: A sentence each.
    """

    name: str
    recipe: Recipe
    reasons: tuple[str, ...]


def choose_recipe(clips: Clips, given: Mapping[str, Any]) -> Choice:
    """A recipe for data that none was made for.

    The settings are ESC-10's, or from 20,000 clips on the paper's for AudioSet; window, epochs, schedule, batch and
    sampling follow from the clips. What they were scaled by is a rule of thumb: twenty epochs for ESC-10's 320 clips,
    and so many updates more as the square root of the number of clips.

    Args:
        clips: To train on.
        given: Settings that are fixed, by name; others are chosen so that they fit to these.
    """
    name = "own_large" if len(clips) >= LARGE_CLIPS else "own_small"
    chosen: dict[str, Any] = {}
    reasons = [f"recipe {name}: {len(clips):,} clips to train on ({LARGE_CLIPS:,} or more: own_large)"]

    def choose(setting: str, value: Any, reason: str) -> Any:
        if setting not in given:
            chosen[setting] = value
            if reason:
                reasons.append(f"{setting} {_text(value)}: {reason}")
        return given.get(setting, value)

    frames, why = _window(clips)
    frames = choose("max_length", frames, why)
    choose("time_mask", frames * 3 // 16, "")
    choose("balanced_sampling", *_balanced(clips))
    if name == "own_small":
        epochs = choose("epochs", _epochs(len(clips)), f"for {len(clips):,} clips")
        batch = choose("batch_size", 16 if len(clips) >= 128 else 8, f"for {len(clips):,} clips")
        if batch < 16:
            choose("learning_rate", 1e-3 * batch / 16, "")
        updates = math.ceil(len(clips) / batch)
        choose("warmup_steps", min(updates * epochs // 5, 2 * updates), "")
        choose("halve_from_epoch", epochs // 2, "")
        choose("halve_every", max(1, epochs // 10), "")
        choose("average_last", max(1, round(0.4 * epochs)), "")
    return Choice(name, RECIPES[name].replace(**chosen, **given), tuple(reasons))


def _epochs(num_clips: int) -> int:
    """From 40 for up to 80 clips, by 20 for 320, to 5 for more than 5,000."""
    return min(40, max(5, round(20 * math.sqrt(320 / num_clips))))


def _window(clips: Clips) -> tuple[int, str]:
    """Frames of 10 ms, a multiple of the backbone's 32, and why so many."""
    seconds = np.array([np.nan if length is None else length for length in clips.seconds], float)
    if np.isnan(seconds).any():
        return LONGEST_FRAMES, "the clips do not say how long they are"
    usual = float(np.quantile(seconds, USUAL_SHARE))
    frames = min(LONGEST_FRAMES, max(SHORTEST_FRAMES, math.ceil(usual * 100 / 32) * 32))
    longer = int((seconds * 100 > frames + 2).sum())
    why = f"{frames / 100:.2f} s, {USUAL_SHARE:.0%} of the clips are no longer than {usual:.2f} s"
    return frames, why + (f"; of {longer:,} longer ones windows at random" if longer else "")


def _balanced(clips: Clips) -> tuple[bool, str]:
    """Whether classes are to be drawn alike, and why: not where that would leave clips out that were asked for."""
    counts = clips.labels.class_counts()
    counts = counts[counts > 0]
    ratio = float(counts.max() / counts.min()) if len(counts) else 1.0
    why = f"the most frequent class has {ratio:.1f} times the clips of the rarest"
    unlabelled = int((np.diff(clips.labels.offsets) == 0).sum())
    if unlabelled and ratio > BALANCED_RATIO:
        return False, f"{why}, but balanced sampling would never draw the {unlabelled:,} clips without labels"
    return ratio > BALANCED_RATIO, why


def _text(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def shareable(recipe: Recipe, num_processes: int) -> Recipe:
    """The recipe with the nearest batch size that the processes can share equally."""
    shares = recipe.input.gradient_accumulation * num_processes
    batch_size = max(shares, round(recipe.input.batch_size / shares) * shares)
    return recipe if batch_size == recipe.input.batch_size else recipe.replace(batch_size=batch_size)


def default_workers(device: str, num_processes: int = 1) -> int:
    """How many processes decode for each training process: as many as leave it a core, none for a CPU's few.

    Args:
        device: Where it trains, such as `cuda`.
        num_processes: Training processes that share the machine.
    """
    cores = cpu_count() // num_processes
    if device == "cpu":
        return int(cores >= 4)  # a step there takes many times as long as decoding its clips
    return min(MOST_WORKERS, max(1, cores - 1))


def with_workers(settings: RunSettings, device: str, num_processes: int) -> RunSettings:
    """The settings with a number of workers."""
    if settings.num_workers is not None:
        return settings
    return replace(settings, num_workers=default_workers(device, num_processes))


def default_precision(cpu: bool = False) -> str | None:
    """What the device calculates in fastest: `bf16` or `fp16` on a GPU that has it.

    None, which leaves it to accelerate, on a CPU and where `accelerate launch` has set one.
    """
    if cpu or "ACCELERATE_MIXED_PRECISION" in os.environ or not torch.cuda.is_available():
        return None
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
