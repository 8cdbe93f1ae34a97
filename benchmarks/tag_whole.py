"""Tag a file, and note what that took of a process that does nothing else.

    python -m benchmarks.tag_whole MODEL BACKEND FILE OUTPUT

It imports what tagging needs, for its memory is measured. OUTPUT is an .npz file: `starts` of the windows in seconds,
their `scores` `[windows, K]`, `seconds` that it took, and `mb_loaded` and `mb_at_the_peak`, the most memory in MB until
the model was loaded and in all.
"""

import sys
import time
from pathlib import Path

import numpy as np

from psla_hf.inference.tagger import AudioTagger


def peak_of_process() -> float:
    """MB at the peak of this process alone; what `getrusage` says begins with the parent's peak."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    model, backend, file, output = sys.argv[1:]
    tagger = AudioTagger.from_pretrained(model, backend=backend)  # type: ignore[arg-type]
    loaded, before = peak_of_process(), time.perf_counter()
    [recording] = tagger.recordings([file])
    np.savez(
        output,
        starts=recording.starts,
        scores=recording.scores,
        seconds=time.perf_counter() - before,
        mb_loaded=loaded,
        mb_at_the_peak=peak_of_process(),
    )
