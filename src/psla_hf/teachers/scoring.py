"""A teacher's scores of training clips: in chunks, by many processes and machines, resumable. Knows no ontology."""

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import Accelerator
from datasets import Dataset
from tqdm.auto import tqdm

from psla_hf.data.foreign import as_clips
from psla_hf.data.schema import Clips
from psla_hf.data.splitting import dealt_out
from psla_hf.evaluation import highest_of_windows
from psla_hf.files import atomic_file, check_identity, digest, read_json, write_json
from psla_hf.loading.clip_windows import ClipWindows
from psla_hf.loading.samples import Sample, SampleMaker
from psla_hf.loading.workers import batch_loader, batches_of
from psla_hf.progress import progress

from .class_map import ClassMap
from .scores import IDENTITY, NpyRows, chunk_files, highest, identity_of, notes_about
from .teacher import Teacher

__all__ = ["score_training_clips"]


logger = logging.getLogger(__name__)


def score_training_clips(
    teacher: Teacher,
    clips: Clips | Dataset,
    folder: str | Path,
    accelerator: Accelerator,
    *,
    class_map: ClassMap | None = None,
    batch_size: int = 16,
    num_workers: int = 0,
    clips_per_chunk: int = 2048,
    top_k: int | None = None,
    part: tuple[int, int] = (1, 1),
    on_error: Literal["raise", "skip"] = "raise",
) -> NpyRows | None:
    """Score clips into a folder of float16 chunks; started again, it keeps the chunks that are there.

    Every process takes its share of the chunks that are missing. A chunk is written in one step, and its scores depend
    neither on the number of processes nor on where an earlier run was killed. Chunks are kept whatever `on_error` was
    when they were made: with `"raise"` they have all their scores. Where machines share no disk, each scores its parts
    into a folder of its own, and the files of all are put into one.

    Args:
        teacher: From `teacher.open_teacher`, or made of a model at hand.
        clips: By index, or in shards.
        folder: For the chunks, and for what they are of.
        accelerator: Where to run.
        class_map: Which of the teacher's classes stand for which of the data's; by default by mid and by name.
        batch_size: Clips at a time, of each process. Where a clip's scores depend on its batch (the teacher pads to
            the longest), it must be as before.
        num_workers: Processes that decode, for each of these.
        clips_per_chunk: Clips of a chunk; the encoded audio of one that comes from shards is in memory.
        top_k: Keep of each clip only so many scores, the highest; the others count as 0. By default all.
        part: Which part of how many: chunks are dealt out to parts in turn, for as many jobs that know nothing of each
            other.
        on_error: What to do with a clip that does not decode: `"raise"`, or `"skip"`, which logs it and leaves it
            without scores (NaN).

    Returns:
        Scores `[N, K]` in the order of the clips, NaN for clips that do not decode and for classes that the teacher
        does not know; none where chunks of other parts are missing.

    Raises:
        ValueError: The teacher knows none of the classes; the folder holds scores of another teacher, other clips,
            classes or chunks, in another precision (or in batches of another size, see there); there is no such part;
            a clip does not decode; or scores of one that does are not finite.
    """
    clips = as_clips(clips)
    folder, vocabulary = Path(folder), clips.vocabulary
    class_map = class_map or ClassMap.of(teacher.classes, vocabulary)
    files = chunk_files(folder, len(clips), clips_per_chunk)
    own = dealt_out(list(files), part)
    if top_k is not None and not 1 <= top_k <= len(vocabulary):
        raise ValueError(f"Expected top_k from 1 to {len(vocabulary)}, the number of classes, got {top_k}.")
    identity = {
        **identity_of(teacher.fingerprint, clips.ids, vocabulary),
        "class map": digest(repr([[teacher.classes[k] for k in of_class] for of_class in class_map.sources])),
        "clips per chunk": clips_per_chunk,
        "top k": top_k,
        "precision": accelerator.mixed_precision,
        **({"batch size": batch_size} if teacher.pads_to_batch else {}),
    }
    known = class_map.known
    _claim(folder, identity, notes_about(teacher.name, known), accelerator)
    missing = [file for file in own if not file.is_file()]
    accelerator.wait_for_everyone()  # nobody writes while another still looks what is missing
    mine = missing[accelerator.process_index :: accelerator.num_processes]
    scorer = _Scorer(teacher, class_map, accelerator, batch_size, num_workers, on_error)
    quiet = not accelerator.is_local_main_process
    with progress(total=sum(len(files[file]) for file in mine), desc="scoring", unit="clip", quiet=quiet) as bar:
        for file in mine:
            scores = scorer.scores(clips.select(files[file]), bar)
            with atomic_file(file) as temporary, temporary.open("wb") as stream:
                np.save(stream, scores if top_k is None else highest(scores, top_k))
    accelerator.wait_for_everyone()
    return NpyRows(list(files), known) if all(file.is_file() for file in files) else None


class _Scorer:
    """The teacher on this process's device, with what it needs to hear clips."""

    def __init__(
        self,
        teacher: Teacher,
        class_map: ClassMap,
        accelerator: Accelerator,
        batch_size: int,
        num_workers: int,
        on_error: str,
    ):
        teacher.model.to(accelerator.device)
        self.teacher, self.class_map, self.accelerator = teacher, class_map, accelerator
        self.batch_size, self.num_workers, self.skip = batch_size, num_workers, on_error == "skip"

    @torch.inference_mode()
    def scores(self, clips: Clips, bar: tqdm) -> np.ndarray:
        """Float16 `[n, K]`, NaN for a clip that did not decode."""
        data = _Windows(clip_windows(clips, self.teacher), self.skip)
        parts, done = [], 0
        for batch in batches_of(batch_loader(data, self.num_workers, batch_size=self.batch_size)):
            batch = batch.to(self.accelerator.device)
            with self.accelerator.autocast():
                probabilities = self.teacher.probabilities(batch)
            scores = probabilities.cpu().numpy().astype(np.float16)
            silent = np.isin(batch.ids, batch.redrawn)
            wrong = np.flatnonzero(~np.isfinite(scores).all(axis=1) & ~silent)
            if len(wrong):
                raise ValueError(
                    f"Expected finite scores of clips that decode, those of {len(wrong)} of {len(scores)} are not, "
                    f"such as {', '.join(batch.ids[clip] for clip in wrong[:3])}. Are the teacher's weights finite, "
                    "and is its precision enough?"
                )
            scores[silent] = np.nan
            parts.append(scores)
            new = data.windows.owners[sum(map(len, parts)) - 1] + 1
            bar.update(int(new) - done)
            done = int(new)
        return self.class_map.apply(highest_of_windows(np.concatenate(parts), data.windows.owners))


def clip_windows(clips: Clips, teacher: Teacher) -> ClipWindows:
    """The clips as a teacher hears them."""
    maker = SampleMaker(len(clips.vocabulary), teacher.sampling_rate, window=teacher.window, longest=teacher.longest)
    return ClipWindows(clips, maker)


class _Windows(torch.utils.data.Dataset):
    """Windows of clips; one that does not decode is a short silence that says so, if its clip may be skipped."""

    def __init__(self, windows: ClipWindows, skip: bool):
        self.windows, self.skip = windows, skip

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, number: int) -> Sample:
        try:
            return self.windows[number]
        except ValueError as error:
            if not self.skip:
                raise
            logger.warning("Without scores: %s", error)
            return self.windows.maker.silence(self.windows.clips[int(self.windows.owners[number])])


def _claim(folder: Path, identity: dict[str, Any], notes: dict[str, Any], accelerator: Accelerator) -> None:
    """Begin a folder of scores, with notes that nobody compares, or see that what it holds are scores of the same."""
    path = folder / IDENTITY
    if path.is_file():
        check_identity(read_json(path), identity, folder)
    accelerator.wait_for_everyone()  # all have looked
    if accelerator.is_main_process and not path.is_file():
        write_json(identity | notes, path)
    accelerator.wait_for_everyone()
