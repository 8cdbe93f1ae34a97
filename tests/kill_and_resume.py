"""Trains a tiny tagger, kills it at random moments, resumes it and compares: python -m tests.kill_and_resume.

A process of its own, so that it can fork runs that find everything imported and no threads started.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from safetensors.torch import load_file

from psla_hf.data.shards.parquet import ShardedClips, ShardIndex
from psla_hf.data.toy import make_scenes
from psla_hf.training.build import make_accelerator
from psla_hf.training.recipes import get_recipe
from psla_hf.training.run.settings import RunSettings
from psla_hf.training.trainer import RunInterruptedError, Trainer

TIMES = ("seconds", "clips_per_second", "waiting")


def run(folder: Path, arguments: argparse.Namespace, shards: list[str]) -> None:
    """One process's part of a training run, from wherever it was left off."""
    recipe = get_recipe("scenes").replace(
        backbone=arguments.backbone,
        optimizer=arguments.optimizer,
        pretraining="none",
        epochs=3,
        batch_size=8,
        warmup_steps=2,
        gradient_accumulation=arguments.accumulation,
        mixstyle_rate=0.3,
        balanced_sampling=arguments.balanced,
    )
    train, test = make_scenes(36, seed=1)[0], make_scenes(20, seed=2)[0]
    accelerator = make_accelerator(cpu=True)
    settings = RunSettings(num_workers=arguments.workers, checkpoint_every=2, resume=True)
    try:
        streamed = ShardedClips.of(ShardIndex.open(shards)) if shards else None
        Trainer(recipe, streamed or train, test, folder, accelerator, settings).train()
    except RunInterruptedError as interrupted:
        os._exit(128 + interrupted.signal)


def start(folder: Path, arguments: argparse.Namespace, shards: list[str]) -> list[int]:
    """Fork the processes of a run; each leads a group of its own, so that its workers can be killed with it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(arguments.processes):
        child = os.fork()
        if child:
            children.append(child)
            continue
        os.setsid()
        if arguments.processes > 1:
            os.environ |= {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(arguments.processes),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "ACCELERATE_USE_CPU": "true",
                "OMP_NUM_THREADS": "1",
            }
        try:
            run(folder, arguments, shards)
        except KeyboardInterrupt:  # before the run has begun to listen
            os._exit(128 + signal.SIGINT)
        except BaseException as error:
            print(f"rank {rank}: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return children


def finish(children: list[int], seconds: float, how: signal.Signals) -> list[int]:
    """Wait, then send the signal to whoever still runs; the exit codes, negative for a signal."""
    deadline, codes = time.monotonic() + seconds, {}
    while len(codes) < len(children):
        for child in set(children) - set(codes):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                codes[child] = os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            for child in set(children) - set(codes):
                with suppress(ProcessLookupError):
                    if how == signal.SIGKILL:
                        os.kill(child, how)  # first, or it could see its workers die and end by itself
                    os.killpg(child, how)  # with its workers, as schedulers do
            deadline = float("inf") if how == signal.SIGKILL else time.monotonic() + 60
            how = signal.SIGKILL
        time.sleep(0.005)
    return list(codes.values())


def outcome(folder: Path) -> dict:
    """Everything a run is to repeat to the bit: metrics and weights."""
    results = json.loads((folder / "results.json").read_text())
    rows = [{name: value for name, value in row.items() if name not in TIMES} for row in results["epochs"]]
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in logged] == [row["epoch"] for row in rows]
    weights = {}
    for model in (folder, folder / "last_epoch"):
        tensors = load_file(model / "model.safetensors")
        digest = hashlib.sha256(b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors)))
        weights[model.name] = digest.hexdigest()
    leftovers = [path.name for path in folder.rglob(".*.unfinished-*")] + [
        path.name for path in sorted(folder.glob("checkpoints/*"))[:-1]
    ]
    return {"rows": rows, "results": results["results"], "weights": list(weights.values()), "leftovers": leftovers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--backbone", default="test_efficientnet")
    parser.add_argument("--compare-processes", action="store_true", help="compare one process with several instead")
    parser.add_argument("--accumulation", type=int, default=1)
    parser.add_argument("--streamed", action="store_true")
    parser.add_argument("--balanced", action="store_true")
    parser.add_argument("--signal", default="SIGKILL")
    parser.add_argument("--kills", type=int, default=6, help="then the run may end")
    parser.add_argument("--between", type=float, nargs=2, default=(0.1, 0.6), help="when, as shares of a whole run")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as place:
        shards = []
        if arguments.streamed:
            make_scenes(36, seed=1)[0].to_parquet(f"{place}/0.parquet", batch_size=4)
            shards = [f"{place}/0.parquet"]
        straight, broken = Path(place) / "straight", Path(place) / "broken"
        began = time.monotonic()
        codes = finish(start(straight, arguments, shards), 300, signal.SIGKILL)
        whole = time.monotonic() - began
        assert not any(codes), codes
        if arguments.compare_processes:
            alone = argparse.Namespace(**{**vars(arguments), "processes": 1})
            codes = finish(start(broken, alone, shards), 300, signal.SIGKILL)
            assert not any(codes), codes
            print(json.dumps({"several": outcome(straight)["rows"], "one": outcome(broken)["rows"]}))
            return
        killed = 0
        for _ in range(200):
            patience = random.uniform(*arguments.between) * whole if killed < arguments.kills else 300
            codes = finish(start(broken, arguments, shards), patience, signal.Signals[arguments.signal])
            if any(codes):
                # With several processes, one that sees its neighbour die first ends with an error of its own.
                assert not any(code == 1 for code in codes) or arguments.processes > 1, codes
                killed += 1
            elif killed:
                break
            else:  # it came to its end before it could be killed: again, and sooner
                shutil.rmtree(broken)
                whole *= 0.7
        else:
            raise AssertionError("the run does not come to its end")
        expected, got = outcome(straight), outcome(broken)
        print(json.dumps({"killed": killed, "same": expected == got, "leftovers": got["leftovers"]}))
        if expected != got:
            print(json.dumps([expected, got], indent=1), file=sys.stderr)


if __name__ == "__main__":
    main()
