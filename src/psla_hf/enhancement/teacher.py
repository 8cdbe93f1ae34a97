"""A teacher's scores of training clips: in chunks, by many processes, resumable. Knows no labels and no ontology."""

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import Accelerator
from datasets import Dataset
from tqdm.auto import tqdm

from psla_hf.data.foreign import as_clips
from psla_hf.data.schema import Clips, check_class_order
from psla_hf.evaluation import batch_probabilities, highest_of_windows, windows_of_clips
from psla_hf.files import atomic_file, check_identity, digest, read_json, write_json
from psla_hf.loading.clip_windows import ClipWindows
from psla_hf.loading.samples import Sample
from psla_hf.loading.workers import batch_loader, batches_of
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.modeling_psla import PslaForAudioClassification
from psla_hf.progress import progress

from .scores import IDENTITY, NpyRows, chunk_files, ids_fingerprint

__all__ = ["score_training_clips", "teacher_fingerprint"]


logger = logging.getLogger(__name__)


def teacher_fingerprint(model: PslaForAudioClassification, extractor: PslaFeatureExtractor) -> str:
    """SHA-256 of a tagger's weights and of what its feature extractor does."""
    parts: list[str | np.ndarray] = [extractor.to_json_string()]
    for name, tensor in sorted(model.state_dict().items()):
        parts += [name, tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()]
    return digest(*parts)


def score_training_clips(
    model: PslaForAudioClassification,
    extractor: PslaFeatureExtractor,
    clips: Clips | Dataset,
    folder: str | Path,
    accelerator: Accelerator,
    *,
    batch_size: int = 16,
    num_workers: int = 0,
    clips_per_chunk: int = 2048,
    on_error: Literal["raise", "skip"] = "raise",
    teacher_name: str | None = None,
) -> NpyRows:
    """Score clips into a folder of float16 chunks; started again, it keeps the chunks that are there.

    Every process takes its share of the chunks that are missing. A chunk is written in one step, and its scores depend
    neither on the number of processes nor on where an earlier run was killed. Chunks are kept whatever `on_error` was
    when they were made: with `"raise"` they have all their scores.

    Args:
        model: The teacher, a tagger; it is put into eval mode.
        extractor: Its feature extractor.
        clips: By index, or in shards; with the teacher's classes.
        folder: For the chunks, and for what they are of.
        accelerator: Where to run.
        batch_size: Clips at a time, of each process. Where the extractor has no `max_length`, clips are padded to the
            longest of the batch: then it must be as before.
        num_workers: Processes that decode, for each of these.
        clips_per_chunk: Clips of a chunk; the encoded audio of one that comes from shards is in memory.
        on_error: What to do with a clip that does not decode: `"raise"`, or `"skip"`, which logs it and leaves it
            without scores (NaN).
        teacher_name: What to call the teacher, noted in the folder where this run begins it.

    Returns:
        Scores `[N, K]` in the order of the clips.

    Raises:
        ValueError: The classes are not the teacher's; the folder holds scores of another teacher, other clips, classes
            or chunks, in another precision (or in batches of another size, see there); a clip does not decode; or
            scores of one that does are not finite.
    """
    clips = as_clips(clips)
    folder, vocabulary = Path(folder), clips.vocabulary
    check_class_order(vocabulary.names, model.config.label_names)
    identity = {
        "teacher": teacher_fingerprint(model, extractor),
        "clips": ids_fingerprint(clips.ids),
        "number of clips": len(clips),
        "vocabulary": vocabulary.fingerprint,
        "clips per chunk": clips_per_chunk,
        "precision": accelerator.mixed_precision,
        **({"batch size": batch_size} if extractor.max_length is None else {}),
    }
    _claim(folder, identity, {"name of the teacher": teacher_name}, accelerator)
    files = chunk_files(folder, len(clips), clips_per_chunk)
    missing = [file for file in files if not file.is_file()]
    accelerator.wait_for_everyone()  # nobody writes while another still looks what is missing
    mine = missing[accelerator.process_index :: accelerator.num_processes]
    scorer = _Scorer(model, extractor, accelerator, batch_size, num_workers, on_error)
    quiet = not accelerator.is_local_main_process
    with progress(total=sum(len(files[file]) for file in mine), desc="scoring", unit="clip", quiet=quiet) as bar:
        for file in mine:
            scores = scorer.scores(clips.select(files[file]), bar)
            with atomic_file(file) as temporary, temporary.open("wb") as stream:
                np.save(stream, scores)
    accelerator.wait_for_everyone()
    return NpyRows(list(files))


class _Scorer:
    """The teacher on this process's device, with what it needs to hear clips."""

    def __init__(
        self,
        model: PslaForAudioClassification,
        extractor: PslaFeatureExtractor,
        accelerator: Accelerator,
        batch_size: int,
        num_workers: int,
        on_error: str,
    ):
        self.model = model.eval().to(accelerator.device)
        self.extractor, self.accelerator = extractor, accelerator
        self.batch_size, self.num_workers, self.skip = batch_size, num_workers, on_error == "skip"

    @torch.inference_mode()
    def scores(self, clips: Clips, bar: tqdm) -> np.ndarray:
        """Float16 `[n, K]`, NaN for a clip that did not decode."""
        data = _Windows(windows_of_clips(clips, self.extractor), self.skip)
        parts, done = [], 0
        for batch in batches_of(batch_loader(data, self.num_workers, batch_size=self.batch_size)):
            batch = batch.to(self.accelerator.device)
            with self.accelerator.autocast():
                probabilities = batch_probabilities(self.model, self.extractor, batch)
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
        return highest_of_windows(np.concatenate(parts), data.windows.owners)


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
