"""Training on CPU cores: threads, and memory that is kept. Knows nothing of what is trained."""

import ctypes
import os
import platform

import torch

__all__ = ["cpu_count", "tune_for_cpu"]

# glibc's mallopt parameters, from malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3


def cpu_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def tune_for_cpu(num_processes: int = 1) -> None:
    """Set this process up for training on a CPU.

    `accelerate launch` leaves each process a single thread unless told otherwise: the cores are shared instead. And on
    Linux with glibc, freed memory is kept for the next step: by default every large activation is given back to the
    kernel and faulted in again, page by page, which cost up to half of a training step where it was measured.

    Args:
        num_processes: Processes that share the machine.
    """
    if torch.get_num_threads() == 1:
        torch.set_num_threads(max(1, cpu_count() // num_processes))
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
