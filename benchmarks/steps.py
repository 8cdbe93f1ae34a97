"""Training steps in a process of their own, as threads and memory are set when torch is loaded. Knows no baseline."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

__all__ = ["measured_step", "median_step"]


def measured_step(options: Mapping[str, Any], variables: Mapping[str, str | None]) -> float:
    """The median step in seconds of a new process.

    Args:
        options: Of `median_step`.
        variables: Of the environment; None takes one away.
    """
    environment = {**os.environ, **variables}
    command = [sys.executable, "-m", "benchmarks.steps", json.dumps(options)]
    present = {name: value for name, value in environment.items() if value is not None}
    process = subprocess.run(command, env=present, check=True, capture_output=True, text=True)
    return float(process.stdout.split()[-1])


def median_step(
    backbone: str,
    batch_size: int,
    frames: int,
    steps: int,
    classes: int = 10,
    heads: int = 4,
    mixed_precision: str = "no",
    original: bool = False,
) -> float:
    """The median of some training steps of this process, in seconds, after one that does not count.

    Args:
        backbone: With random weights: timm's name; of the original, `efficientnet_pytorch`'s.
        batch_size: Clips in a step.
        frames: Of a clip.
        steps: That are timed.
        classes: K.
        heads: Of the attention pooling.
        mixed_precision: As accelerate names it; the original has none on a CPU.
        original: The original's network and loop, instead of this package's.
    """
    import torch

    inputs, labels = torch.randn(batch_size, frames, 128), torch.zeros(batch_size, classes)
    if original and mixed_precision != "no":
        raise ValueError(
            f"Expected mixed_precision='no' for the original, which has none on a CPU, got {mixed_precision!r}."
        )
    step = (
        _original_step(backbone, heads, classes)
        if original
        else _our_step(backbone, heads, classes, frames, mixed_precision)
    )
    times = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        step(inputs, labels)
        times.append(time.perf_counter() - start)
    return median(times[1:])


def _our_step(backbone: str, heads: int, classes: int, frames: int, mixed_precision: str) -> Callable[[Any, Any], None]:
    from psla_hf.training.build import arrange_model, build_model, build_optimizer, make_accelerator
    from psla_hf.training.recipes import get_recipe

    accelerator = make_accelerator(cpu=True, mixed_precision=mixed_precision)
    recipe = get_recipe("own_small").replace(
        backbone=backbone, num_attention_heads=heads, pretraining="none", max_length=frames
    )
    model = arrange_model(build_model(recipe, [str(k) for k in range(classes)], seed=0), recipe, accelerator)
    model, optimizer = accelerator.prepare(model, build_optimizer(recipe, model))

    def step(inputs: Any, labels: Any) -> None:
        accelerator.backward(model(inputs, labels=labels).loss)
        optimizer.step()
        optimizer.zero_grad()

    return step


def _original_step(backbone: str, heads: int, classes: int) -> Callable[[Any, Any], None]:
    """A step of the original's loop: its network in float32, clamped probabilities, `BCELoss`, Adam."""
    import torch

    from benchmarks.fidelity import OriginalTagger

    model = OriginalTagger(backbone, heads, classes).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, weight_decay=5e-7, betas=(0.95, 0.999))
    loss_of = torch.nn.BCELoss()

    def step(inputs: Any, labels: Any) -> None:
        loss = loss_of(model(inputs).clamp(1e-7, 1 - 1e-7), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    print(median_step(**json.loads(sys.argv[1])))
