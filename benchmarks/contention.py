"""A training step alone and beside a busy process, by how OpenMP's threads wait. Knows no command line."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from statistics import median

__all__ = ["POLICIES", "benchmark_contention"]

# Variables of the environment that say how libgomp's threads wait for each other.
POLICIES: dict[str, dict[str, str]] = {
    "default": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
}

VARIABLES = {name for policy in POLICIES.values() for name in policy}


def benchmark_contention(
    backbone: str = "tf_efficientnet_lite0",
    batch_size: int = 16,
    frames: int = 512,
    rounds: int = 3,
    steps: int = 4,
    policies: Mapping[str, Mapping[str, str]] = POLICIES,
) -> dict[str, dict[str, float]]:
    """Seconds of a training step, each measured in a process of its own, as the policy is read when torch is loaded.

    Args:
        backbone: Of the model, with random weights.
        batch_size: Clips in a step.
        frames: Of a clip.
        rounds: How often each is measured, in turn.
        steps: Timed in each process, after one that does not count.
        policies: Variables of the environment, by the name of the row.

    Returns:
        By policy, the median of the rounds' medians `alone`, and `beside`, while another process keeps a core busy.
    """
    options = json.dumps({"backbone": backbone, "batch_size": batch_size, "frames": frames, "steps": steps})
    found: dict[str, dict[str, list[float]]] = {name: {"alone": [], "beside": []} for name in policies}
    for _ in range(rounds):
        for name, variables in policies.items():
            found[name]["alone"].append(_measured(options, variables))
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            try:
                found[name]["beside"].append(_measured(options, variables))
            finally:
                busy.kill()
                busy.wait()
    return {name: {how: median(times) for how, times in of_policy.items()} for name, of_policy in found.items()}


def _measured(options: str, variables: Mapping[str, str]) -> float:
    """The median step of a process with these variables."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-m", "benchmarks.contention", options]
    process = subprocess.run(command, env={**inherited, **variables}, check=True, capture_output=True, text=True)
    return float(process.stdout.split()[-1])


def median_step(backbone: str, batch_size: int, frames: int, steps: int) -> float:
    """The median of some training steps of this process, in seconds."""
    import torch

    from psla_hf.training.build import arrange_model, build_model, build_optimizer, make_accelerator
    from psla_hf.training.recipes import get_recipe

    recipe = get_recipe("own_small").replace(
        backbone=backbone, pretraining="none", batch_size=batch_size, max_length=frames
    )
    accelerator = make_accelerator(cpu=True)
    model = arrange_model(build_model(recipe, [str(k) for k in range(10)], seed=0), recipe, accelerator)
    optimizer = build_optimizer(recipe, model)
    inputs, labels = torch.randn(batch_size, frames, 128), torch.zeros(batch_size, 10)
    times = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        model(inputs, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - start)
    return median(times[1:])


if __name__ == "__main__":
    print(median_step(**json.loads(sys.argv[1])))
