"""A training step of the paper's model on a CPU, against the original's loop. Knows no command line."""

from collections.abc import Mapping
from typing import Any

from benchmarks.contention import UNSET
from benchmarks.steps import measured_step
from benchmarks.timing import rates
from psla_hf.commands.main import WAITING

__all__ = ["WAYS", "benchmark_training"]

# Options of `steps.median_step`, by the name of the row; the first is the baseline.
WAYS: dict[str, dict[str, Any]] = {
    "original": {"backbone": "efficientnet-b2", "original": True},
    "psla_hf": {"backbone": "tf_efficientnet_b2"},
    "psla_hf, bf16": {"backbone": "tf_efficientnet_b2", "mixed_precision": "bf16"},
}


def benchmark_training(
    ways: Mapping[str, Mapping[str, Any]] = WAYS,
    batch_size: int = 8,
    frames: int = 1056,
    classes: int = 527,
    rounds: int = 3,
    steps: int = 3,
) -> dict[str, dict[str, float]]:
    """Clips per second of training steps from spectrograms on, each way in processes of its own, in turn.

    This package's processes wait as its commands do and keep freed memory; the original's have torch's defaults.

    Args:
        ways: Options of `steps.median_step`; the first way is the baseline.
        batch_size: Clips in a step.
        frames: Of a clip.
        classes: K.
        rounds: How often each is measured.
        steps: Timed in each process, after one that does not count.

    Returns:
        See `timing.rates`.
    """
    shape = {"batch_size": batch_size, "frames": frames, "classes": classes, "steps": steps}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, options in ways.items():
            waiting = UNSET if options.get("original") else WAITING
            times[name].append(measured_step({**shape, **options}, waiting) / batch_size)
    return rates(times)
