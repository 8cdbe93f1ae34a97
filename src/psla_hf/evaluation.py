"""Scoring clips with a model, and the metrics of audio tagging. Knows nothing of the trainer."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from datasets import Dataset
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn

from psla_hf.data.foreign import as_clips
from psla_hf.data.schema import Clips, check_class_order
from psla_hf.loading.clip_windows import ClipWindows
from psla_hf.loading.samples import Batch, SampleMaker
from psla_hf.loading.workers import batch_loader, batches_of
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.modeling_psla import PslaForAudioClassification
from psla_hf.models.modeling_psla_ensemble import PslaEnsembleForAudioClassification
from psla_hf.progress import progress

__all__ = [
    "batch_probabilities",
    "class_metrics",
    "highest_of_windows",
    "predict",
    "score_clips",
    "tagging_metrics",
    "windows_of_clips",
]


def class_metrics(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, list[float | None]]:
    """Average precision and AUC of each class.

    Args:
        probabilities: `[N, K]`; any scores that rank clips per class will do.
        targets: 0/1 labels `[N, K]`.

    Returns:
        `AP` and `AUC`, K figures each; none for a class without positive or without negative clips: there is nothing
        to rank.

    Raises:
        ValueError: Shapes differ, a score is not finite, or no class has both positive and negative clips.
    """
    if probabilities.shape != targets.shape or targets.ndim != 2:
        raise ValueError(
            f"Expected probabilities and targets of one shape [N, K], got {probabilities.shape} and {targets.shape}."
        )
    positive = targets > 0
    usable = np.flatnonzero(positive.any(axis=0) & ~positive.all(axis=0))
    if len(usable) == 0:
        raise ValueError("Expected at least one class with both positive and negative clips; there is none to rank.")
    # `take` leaves rows contiguous. Indexing does not, and scikit-learn then copies the whole array for every class:
    # twenty seconds for 20,000 clips of 527 classes, instead of three.
    labels, scores = positive.take(usable, axis=1), probabilities.take(usable, axis=1)
    wrong = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(wrong):
        raise ValueError(
            f"Expected finite scores, those of {len(wrong)} of {len(scores)} clips are not, such as of clip {wrong[0]} "
            "(counted from 0). Is every weight of the model finite? After a training, lower the learning rate."
        )
    metrics = {}
    for name, score in (("AP", average_precision_score), ("AUC", roc_auc_score)):
        figures: list[float | None] = [None] * targets.shape[1]
        for k, figure in zip(usable, np.atleast_1d(score(labels, scores, average=None)), strict=True):
            figures[k] = float(figure)
        metrics[name] = figures
    return metrics


def tagging_metrics(
    probabilities: np.ndarray, targets: np.ndarray, per_class: Mapping[str, Sequence[float | None]] | None = None
) -> dict[str, float]:
    """Mean average precision, mean AUC, d' and, where every clip has exactly one label, accuracy.

    Args:
        probabilities: `[N, K]`; any scores that rank clips per class will do.
        targets: 0/1 labels `[N, K]`.
        per_class: What `class_metrics` makes of the two, where it is at hand: ranking takes nearly all of the time.

    Returns:
        `mAP`, `AUC` (means over classes that have both positive and negative clips), `d_prime` = √2·Φ⁻¹(AUC),
        `accuracy` if defined, and `classes_left_out`, the number of classes without both.

    Raises:
        ValueError: Shapes differ, a score is not finite, or no class has both positive and negative clips.
    """
    if per_class is None:
        per_class = class_metrics(probabilities, targets)
    ranked = {name: [figure for figure in per_class[name] if figure is not None] for name in ("AP", "AUC")}
    auc = float(np.mean(ranked["AUC"]))
    metrics = {
        "mAP": float(np.mean(ranked["AP"])),
        "AUC": auc,
        "d_prime": float(np.sqrt(2) * norm.ppf(auc)),
        "classes_left_out": targets.shape[1] - len(ranked["AP"]),
    }
    positive = targets > 0
    if (positive.sum(axis=1) == 1).all():
        metrics["accuracy"] = float((probabilities.argmax(axis=1) == positive.argmax(axis=1)).mean())
    return metrics


def batch_probabilities(model: nn.Module, extractor: PslaFeatureExtractor, batch: Batch) -> Tensor:
    """A tagger's probabilities, float32 `[B, K]`, for a batch of `samples.collate`, as it is, on its device."""
    features = extractor.normalize(extractor.log_mel(batch.waveforms, batch.lengths))
    return model(features).logits.float().sigmoid()


def windows_of_clips(clips: Clips | Dataset, extractor: PslaFeatureExtractor) -> ClipWindows:
    """The clips as a model with this extractor hears them: a clip that is longer than its window in several."""
    clips = as_clips(clips)
    rate, window, longest = extractor.sampling_rate, extractor.max_samples, extractor.longest_samples
    return ClipWindows(clips, SampleMaker(len(clips.vocabulary), rate, window=window, longest=longest))


def highest_of_windows(scores: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Scores of clips `[N, K]` from those of their windows `[W, K]`: it can be heard somewhere.

    Args:
        scores: Of the windows.
        owners: Number of each window's clip `[W]`, rising from 0, without gaps.
    """
    return np.maximum.reduceat(scores, np.flatnonzero(np.diff(owners, prepend=-1)))


@torch.inference_mode()
def predict(
    model: nn.Module,
    extractor: PslaFeatureExtractor,
    batches: Iterable[Batch],
    accelerator: Accelerator,
    before_batch: Callable[[], None] = lambda: None,
    owners: np.ndarray | None = None,
) -> tuple[Tensor, Tensor]:
    """Score every clip of a prepared loader once, whatever the number of processes.

    A clip of several windows has the highest score of each class among them.

    Args:
        model: A tagger on the accelerator's device; it is put into eval mode and left there.
        extractor: Its feature extractor.
        batches: A `workers.batch_loader`, prepared for `accelerator`.
        accelerator: Gathers the processes' shares, and shows progress on the main one.
        before_batch: Called before every batch; what it raises ends the evaluation.
        owners: Of a loader of `ClipWindows`, its; by default each sample is a clip.

    Returns:
        Probabilities and targets, both float32 `[N, K]` on the CPU, in the data set's order.
    """
    model.eval()
    probabilities, targets = [], []
    quiet = not accelerator.is_local_main_process
    for batch in progress(batches_of(batches), "evaluating", unit="batch", leave=False, quiet=quiet):
        before_batch()
        with accelerator.autocast():
            scores = batch_probabilities(model, extractor, batch)
        gathered, wanted = accelerator.gather_for_metrics((scores, batch.labels))
        probabilities.append(gathered.cpu())
        targets.append(wanted.cpu())
    of_windows, wanted = torch.cat(probabilities), torch.cat(targets)
    if owners is None or len(owners) == owners[-1] + 1:
        return of_windows, wanted
    first = np.flatnonzero(np.diff(owners, prepend=-1))
    return torch.from_numpy(highest_of_windows(of_windows.numpy(), owners)), wanted[first]


def score_clips(
    model: PslaForAudioClassification | PslaEnsembleForAudioClassification,
    extractor: PslaFeatureExtractor,
    clips: Clips | Dataset,
    accelerator: Accelerator,
    batch_size: int = 16,
) -> np.ndarray:
    """A tagger's probabilities `[N, K]` for a data set with its classes, in the data set's order.

    Args:
        model: The tagger, or an ensemble of them.
        extractor: Its feature extractor.
        clips: Schema of `schema.tagging_features`.
        accelerator: Where to run; it keeps neither the model nor a loader.
        batch_size: Clips at a time, all processes together.

    Raises:
        ValueError: The data set's classes, or their order, are not the model's.
    """
    clips = as_clips(clips)
    check_class_order(clips.vocabulary.names, model.config.label_names)
    windows = windows_of_clips(clips, extractor)
    # `accelerator.prepare` would keep both, and change the model's forward where precision is mixed.
    loader = prepare_data_loader(
        batch_loader(windows, batch_size=batch_size),
        accelerator.device,
        accelerator.num_processes,
        accelerator.process_index,
        split_batches=accelerator.split_batches,
        put_on_device=True,
    )
    model.to(accelerator.device)
    probabilities, _ = predict(model, extractor, loader, accelerator, owners=windows.owners)
    return probabilities.numpy()
