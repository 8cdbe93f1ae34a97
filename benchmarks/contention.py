"""A training step alone and beside a busy process, by how OpenMP's threads wait. Knows no command line."""

import subprocess
import sys
from collections.abc import Mapping
from statistics import median

from benchmarks.steps import measured_step
from psla_hf.commands.main import WAITING

__all__ = ["POLICIES", "benchmark_contention"]

# Variables of the environment that say how libgomp's threads wait for each other.
UNSET: dict[str, str | None] = dict.fromkeys(WAITING)

POLICIES: dict[str, dict[str, str | None]] = {
    "by default": UNSET,
    "as psla's do": {**WAITING},
    "OMP_WAIT_POLICY=PASSIVE": {**UNSET, "OMP_WAIT_POLICY": "PASSIVE"},
}


def benchmark_contention(
    backbone: str = "tf_efficientnet_lite0",
    batch_size: int = 16,
    frames: int = 512,
    rounds: int = 3,
    steps: int = 4,
    policies: Mapping[str, Mapping[str, str | None]] = POLICIES,
) -> dict[str, dict[str, float]]:
    """Seconds of a training step, each measured in a process of its own, as the policy is read when torch is loaded.

    Args:
        backbone: Of the model, with random weights.
        batch_size: Clips in a step.
        frames: Of a clip.
        rounds: How often each is measured, in turn.
        steps: Timed in each process, after one that does not count.
        policies: Variables of the environment, by the name of the row; None takes one away.

    Returns:
        By policy, the median of the rounds' medians `alone`, and `beside`, while another process keeps a core busy.
    """
    options = {"backbone": backbone, "batch_size": batch_size, "frames": frames, "steps": steps}
    found: dict[str, dict[str, list[float]]] = {name: {"alone": [], "beside": []} for name in policies}
    for _ in range(rounds):
        for name, variables in policies.items():
            found[name]["alone"].append(measured_step(options, variables))
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            try:
                found[name]["beside"].append(measured_step(options, variables))
            finally:
                busy.kill()
                busy.wait()
    return {name: {how: median(times) for how, times in of_policy.items()} for name, of_policy in found.items()}
