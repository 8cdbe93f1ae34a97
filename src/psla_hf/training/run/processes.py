"""The processes of one run: what one of them does, all know; that one is gone, the others say. Knows no training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import torch.distributed
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from tqdm import tqdm

__all__ = ["check_alike", "memory_in_use", "on_main", "others_explained", "sums"]


def memory_in_use(device: torch.device) -> str:
    """What this process holds of the machine's memory, and of a GPU's what it held at most, such as `1.9G+11.2G`."""
    sizes = [psutil.Process().memory_info().rss]
    if device.type == "cuda":
        sizes.append(torch.cuda.max_memory_allocated(device))
    return "+".join(tqdm.format_sizeof(size) for size in sizes)


def on_main(accelerator: Accelerator, action: Callable[[], object]) -> None:
    """Let the main process do something while the others wait.

    Args:
        accelerator: Of all processes.
        action: What to do.

    Raises:
        OSError: What it raised, in all processes alike: the others would else wait for one that has ended.
    """
    refused: list[OSError | None] = [None]
    if accelerator.is_main_process:
        try:
            action()
        except OSError as error:
            refused = [error]
    [error_of_all] = broadcast_object_list(refused)
    if error_of_all is not None:
        raise error_of_all


def sums(accelerator: Accelerator, *counts: int) -> list[int]:
    """Each of some counts, added up over all processes."""
    if accelerator.num_processes == 1:
        return list(counts)
    tensor = torch.tensor(counts, dtype=torch.int64, device=accelerator.device)
    return accelerator.reduce(tensor, "sum").tolist()


def check_alike(accelerator: Accelerator, seen: object, what: str) -> None:
    """Refuse to go on where processes see different things, which would train different models.

    Raises:
        ValueError: They do; in all processes alike.
    """
    every = gather_object([seen])
    if any(other != every[0] for other in every):
        raise ValueError(f"Expected {what} in all processes, they have: {'; '.join(map(str, every))}.")


@contextmanager
def others_explained(accelerator: Accelerator) -> Iterator[None]:
    """Let the end of another process, which torch notices in the midst of an exchange, be an error that says so.

    Raises:
        ConnectionError: Another process is gone.
    """
    try:
        yield
    except RuntimeError as error:
        # Gloo raises plain errors; that the connection was closed or reset by the peer is all that it says.
        lost = isinstance(error, torch.distributed.DistError) or "by peer" in str(error)
        if accelerator.num_processes == 1 or not lost:
            raise
        raise ConnectionError(
            f"Process {accelerator.process_index} of {accelerator.num_processes} has lost another one, which was "
            "killed, or has said above why it ended. The run can be resumed from its last checkpoint."
        ) from error
