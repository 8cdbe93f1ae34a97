"""The training loop: accelerate, exact resume, averages and ensembles on the way. Knows no command lines, no Hub."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from psla_hf.data.foreign import as_clips
from psla_hf.data.schema import Clips
from psla_hf.evaluation import class_metrics, predict, tagging_metrics, windows_of_clips
from psla_hf.files import atomic_files, remove_folder, write_json
from psla_hf.loading.samples import Batch, SampleMaker
from psla_hf.loading.spectrograms import augmented_log_mel
from psla_hf.loading.workers import batch_loader, explained
from psla_hf.models.averaging import reestimate_batch_norm
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.modeling_psla import PslaForAudioClassification
from psla_hf.models.weights import imagenet_source
from psla_hf.progress import progress
from psla_hf.provenance import provenance
from psla_hf.reports.tables import mean_metrics
from psla_hf.thresholds import choose_thresholds

from .build import arrange_model, build_model, build_optimizer, reset_gradient_scale
from .choices import with_workers
from .distillation import distillation_loss
from .epochs import IndexedEpochs, StreamedEpochs, open_epochs
from .recipe import LAST_EPOCHS, Recipe
from .run.epoch_rows import best_on_validation, epochs_since_best, metrics_of
from .run.folder import (
    BEST,
    CHECKPOINTS,
    EPOCHS,
    FAILED,
    LAST_EPOCH,
    RESULTS_FILE,
    read_results,
    run_folder,
    write_epochs,
)
from .run.identity import RunClips, run_identity
from .run.interruption import SIGNALS, Interruption, RunInterruptedError
from .run.lengthening import check_continues
from .run.losses import PendingLosses, first_not_finite, updates_between_looks
from .run.processes import check_alike, memory_in_use, on_main, others_explained, sums
from .run.scores import PartScores, write_scores
from .run.settings import RunSettings
from .run.state import Place, RunState, Totals, keep_latest
from .run.trackers import tracked
from .start import Start

__all__ = ["RunInterruptedError", "Trainer"]


logger = logging.getLogger(__name__)

FEWEST_DRAWS = 1000  # the tolerated share is taken of no fewer draws than these


class Trainer:
    """Trains a tagger, evaluates it after every epoch, and saves the model whose weights are averaged.

    Args:
        recipe: All settings.
        train_clips: Training clips, schema of `schema.tagging_features`, by index or in shards to be streamed.
        test_clips: Clips to evaluate on after every epoch, with the same classes.
        output_dir: Receives the averaged model, ready for `from_pretrained`; the last epoch's in `last_epoch/`; one
            line per epoch in `metrics.jsonl`; `results.json`; the epoch's best on the validation part in `best/`, where
            the recipe reports that one; and in `checkpoints/` the latest states, of a finished run the last.
        accelerator: From `build.make_accelerator`.
        settings: How the run is carried out.
        validation_clips: Clips to choose the best epoch on, where the recipe reports that one.
        about_data: What the loads of the data found, for `results.json`.
        start: The tagger that the run begins from, where it does not begin as the recipe says.

    Raises:
        ValueError: The sets' classes differ, or the recipe asks for something that is not there.
    """

    def __init__(
        self,
        recipe: Recipe,
        train_clips: Clips | Dataset,
        test_clips: Clips | Dataset,
        output_dir: str | Path,
        accelerator: Accelerator,
        settings: RunSettings | None = None,
        *,
        validation_clips: Clips | Dataset | None = None,
        about_data: dict[str, Any] | None = None,
        start: Start | None = None,
    ):
        self.recipe, self.accelerator = recipe, accelerator
        self.settings = with_workers(settings or RunSettings(), accelerator.device.type, accelerator.num_processes)
        self.clips = RunClips(
            as_clips(train_clips),
            as_clips(test_clips),
            None if validation_clips is None else as_clips(validation_clips),
        )
        self.output_dir, self.about_data, self.start = Path(output_dir), about_data, start
        self.clips.check(recipe)
        recipe.clips_per_step(accelerator.num_processes)  # refuses a batch that cannot be shared
        vocabulary, max_length = self.clips.test.vocabulary, recipe.input.max_length
        if start is None:
            model = build_model(recipe, list(vocabulary.names), self.settings.seed)
            self.extractor = PslaFeatureExtractor(recipe.input.sampling_rate, max_length=max_length)
        else:
            model = start.build(recipe, vocabulary, self.settings.seed)
            self.extractor = start.extractor_of_length(max_length)
        self.maker = SampleMaker(
            len(vocabulary.names),
            self.extractor.sampling_rate,
            recipe.augmentation,
            self.settings.on_error,
            window=self.extractor.max_samples,
            longest=self.extractor.longest_samples,
        )
        arranged = arrange_model(model, recipe, accelerator)
        self.model, self.optimizer = accelerator.prepare(arranged, build_optimizer(recipe, arranged))
        self.test_part = self._evaluation_part(self.clips.test)
        self.validation_part = None
        if self.clips.validation is not None:
            self.validation_part = self._evaluation_part(self.clips.validation)
        init_from = None if start is None else start.fingerprint
        self.state = RunState(accelerator, run_identity(recipe, self.settings, self.clips, accelerator, init_from))
        self.interruption = Interruption()
        self.pending, self.updates_between_looks = PendingLosses(), updates_between_looks(accelerator.device)

    @cached_property
    def epochs(self) -> IndexedEpochs | StreamedEpochs:
        """The batches to train on; shards are opened, and clips that are often drawn fetched, when first asked for."""
        return open_epochs(self.recipe, self.clips.train, self.maker, self.accelerator, self.settings)

    @property
    def updates_per_epoch(self) -> int:
        """Updates of the weights in an epoch."""
        return self.epochs.batches_per_epoch // self.recipe.input.gradient_accumulation

    def _evaluation_part(self, clips: Clips) -> tuple[DataLoader, np.ndarray]:
        """Batches of all processes together, each window of each clip once, and the windows' owners."""
        batch_size = self.recipe.input.batch_size // self.recipe.input.gradient_accumulation
        windows = windows_of_clips(clips, self.extractor)
        loader = batch_loader(windows, self.settings.num_workers or 0, batch_size=batch_size)
        return self.accelerator.prepare(loader), windows.owners

    def train(self, report: Callable[[dict], None] = lambda row: None) -> dict:
        """Open the output folder, run the epochs that are left, and save the models; trackers begin and end with it.

        Args:
            report: Called on the main process with each epoch's metrics.

        Returns:
            What `results.json` holds: `results` has the metrics of the `single` model (as the recipe reports it), of
            the `last_epoch`, of the `averaged` weights, and of the checkpoint `ensemble`, the mean probabilities of all
            epochs.

        Raises:
            FileExistsError: The output folder holds something, and neither `resume` nor `overwrite` is on.
            BlockingIOError: Another run works in it.
            ValueError: A resumed run was begun otherwise; or too many clips did not decode; or the loss is no longer
                finite, and the state is saved in `failed/`.
            RunInterruptedError: SIGINT (Ctrl-C), SIGTERM or SIGHUP came; the state is saved.
            ChildProcessError: A process that decodes was killed; see `loading.workers.explained`.
            ConnectionError: Another training process is gone.
            OSError: There is no space to write; the message names where.
        """
        with (
            others_explained(self.accelerator),
            explained(),
            run_folder(self.output_dir, self.accelerator, self.settings.resume, self.settings.overwrite),
        ):
            # Of the results before the checkpoints: a run that was killed while it removed these is finished.
            finished = self._finished()
            return self._run(report) if finished is None else finished

    def _finished(self) -> dict | None:
        """The results of this run, if it has come to its end before and is not to be longer."""
        is_there = (self.output_dir / RESULTS_FILE).is_file()
        seen = sorted(path.name for path in (self.output_dir / CHECKPOINTS).glob("*"))
        what = f"one folder {self.output_dir.name}, on a disk that all machines share, with the same checkpoints"
        check_alike(self.accelerator, [*seen, *([RESULTS_FILE] if is_there else [])], what)
        if not is_there:
            return None
        finished = read_results(self.output_dir)
        if "identity" not in finished:
            raise ValueError(f"Expected a run to go on with in {self.output_dir}, it holds no run of training.")
        if check_continues(finished["identity"], self.state.identity, self.output_dir):
            return None
        on_main(self.accelerator, lambda: keep_latest(self.output_dir / CHECKPOINTS))
        return finished

    def _run(self, report: Callable[[dict], None]) -> dict:
        """The epochs that are left, and the end."""
        settings, state = self.settings, self.state
        reset_gradient_scale(self.accelerator)
        if settings.resume and state.restore(self.output_dir / CHECKPOINTS, self._unwrapped(), self.optimizer):
            self._write_log(state.rows)
        config = {**self.recipe.settings(), "seed": settings.seed}
        with tracked(self.accelerator, self.output_dir, config), self.interruption.watched():
            while state.place.epoch <= self.recipe.schedule.epochs and not self._stops_early():
                self._train_epoch()
                self._end_epoch(report)
            return self._finish()

    def _stops_early(self) -> bool:
        """Whether the validation part has not become better for as many epochs as the recipe waits."""
        patience = self.recipe.schedule.early_stopping
        return bool(patience) and epochs_since_best(self.state.rows) >= patience

    def _train_epoch(self) -> None:
        """The batches of the epoch that are left."""
        recipe, place = self.recipe, self.state.place
        self.model.train()
        if recipe.model.freeze == "backbone":
            self._unwrapped().psla.eval()
        batches = self.epochs.batches(place.epoch, place.batch)
        clips = recipe.input.batch_size // recipe.input.gradient_accumulation  # of all processes, in a batch
        bar = progress(
            total=self.epochs.batches_per_epoch * clips,
            initial=place.batch * clips,
            desc=f"epoch {place.epoch}/{recipe.schedule.epochs}",
            unit=" clips",
            leave=False,
            quiet=not self.accelerator.is_local_main_process,
        )
        last = time.perf_counter()
        with bar:
            for number, batch in enumerate(batches, start=place.batch + 1):
                self.state.totals.waiting += time.perf_counter() - last
                updated = self._step(batch.to(self.accelerator.device), number)
                self.state.totals.seconds += time.perf_counter() - last
                last = time.perf_counter()
                self.state.place = Place(place.epoch, number)
                bar.update(clips)
                totals = self.state.totals
                bar.set_postfix(
                    loss=totals.loss / max(1, number - len(self.pending)),
                    waiting=f"{totals.waiting / totals.seconds:.0%}",
                    run_left=tqdm.format_interval(self._seconds_left(number)),
                    memory=memory_in_use(self.accelerator.device),
                )
                if updated:
                    self._after_update(number)

    def _seconds_left(self, number: int) -> float:
        """What the batches of the run that are left take at this epoch's speed, evaluations not counted."""
        epochs, per_epoch = self.recipe.schedule.epochs - self.state.place.epoch, self.epochs.batches_per_epoch
        return self.state.totals.seconds / number * (per_epoch - number + epochs * per_epoch)

    def _step(self, batch: Batch, number: int) -> bool:
        """Add a batch's gradients; update if it completes one."""
        recipe, accelerator = self.recipe, self.accelerator
        complete = number % recipe.input.gradient_accumulation == 0
        log_mel = augmented_log_mel(batch, self.extractor, recipe.augmentation)
        with nullcontext() if complete else accelerator.no_sync(self.model):
            with accelerator.autocast():
                loss = self._loss(self.extractor.normalize(log_mel), batch)
            self.pending.add(number, loss, batch)
            if self._looks_after(number):
                self._look_at_losses(number)
            accelerator.backward(loss / recipe.input.gradient_accumulation)
        self.state.totals.redrawn += len(batch.redrawn)
        self.state.totals.short += len(batch.short)
        if complete:
            if recipe.optimizer.gradient_clipping:
                accelerator.clip_grad_norm_(self.model.parameters(), recipe.optimizer.gradient_clipping)
            update = (
                (self.state.place.epoch - 1) * self.updates_per_epoch + number // recipe.input.gradient_accumulation - 1
            )
            rate = recipe.optimizer.learning_rate * recipe.learning_rate_factor(update, self.updates_per_epoch)
            only_head = self.state.place.epoch <= recipe.optimizer.head_warmup_epochs
            for group in self.optimizer.param_groups:
                group["lr"] = 0.0 if only_head and group["is_backbone"] else rate * group.get("scale", 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return complete

    def _loss(self, input_values: Tensor, batch: Batch) -> Tensor:
        """On the labels, or on these and a teacher's scores."""
        if batch.teacher is None:
            return self.model(input_values, labels=batch.labels).loss
        logits = self.model(input_values).logits.float()
        return distillation_loss(logits, batch.labels, batch.teacher, self.recipe.distillation)

    def _looks_after(self, number: int) -> bool:
        """Whether losses, signals and lost clips are looked at with this batch; for all processes alike."""
        if self.updates_between_looks == 1 or number == self.epochs.batches_per_epoch:
            return True
        updates, rest = divmod(number, self.recipe.input.gradient_accumulation)
        return rest == 0 and (updates % self.updates_between_looks == 0 or self._is_due(updates))

    def _is_due(self, updates: int) -> bool:
        """Whether the state is saved after so many updates of the epoch."""
        return updates % self.settings.checkpoint_every == 0

    def _look_at_losses(self, number: int) -> None:
        """Count the losses since the last look; stop all processes, with the state saved, when one is not finite."""
        looked = self.pending.look()
        for loss in looked:  # one by one: the sum is the same however often one looks
            if math.isfinite(loss.value):
                self.state.totals.loss += loss.value
        not_finite = first_not_finite(looked, self.accelerator)
        if not_finite is None:
            return
        first, ids = not_finite
        told = (
            f"The loss is not finite in epoch {self.state.place.epoch}, batch {first}. Lower the learning rate, or "
            f"look at the clips {ids}, mixed ones among them."
        )
        if first < number:  # the weights have learned from it
            raise ValueError(f"{told} The latest state from before it, if there is one, is in {CHECKPOINTS}/.")
        folder = self.output_dir / FAILED
        on_main(self.accelerator, lambda: remove_folder(folder))
        self._save_state(FAILED)
        raise ValueError(
            f"{told} The state is saved in {folder}: the weights as before this batch, but BatchNorm has seen it."
        )

    def _after_update(self, batches: int) -> None:
        """Stop all processes alike where too many clips did not decode or a signal came; save the state where due."""
        if not self._looks_after(batches):
            return
        *signals, redrawn = sums(self.accelerator, *self.interruption.received, self.state.totals.redrawn)
        self._check_redrawn(redrawn, batches)
        due = self._is_due(batches // self.recipe.input.gradient_accumulation)
        if any(signals):
            self.interruption.answer()
        if any(signals) or due:
            self._save_state(CHECKPOINTS)
        self._check_signals(signals)

    def _check_redrawn(self, redrawn: int, batches: int) -> None:
        """Stop when too many clips did not decode since the run began, so many of them in this epoch's batches."""
        redrawn += sum(row["redrawn"] for row in self.state.rows)
        batches += (self.state.place.epoch - 1) * self.epochs.batches_per_epoch
        drawn, share = batches * self.recipe.clips_per_step(), self.settings.tolerated_share
        if redrawn > share * max(drawn, FEWEST_DRAWS):
            raise ValueError(
                f"{redrawn} clips did not decode in {drawn} samples, more than the tolerated share of {share:.1%} "
                f"(of at least {FEWEST_DRAWS}). Mend or remove them; the log names them."
            )

    def _check_signals(self, counts: list[int]) -> None:
        """Stop by the first of the signals that has come to a process; the state is saved."""
        for number, count in zip(SIGNALS, counts, strict=True):
            if count:
                raise RunInterruptedError(self.state.place.epoch, number)

    def _stop_if_signalled(self) -> None:
        """Stop between batches of an evaluation, before which the state was saved."""
        self._check_signals(sums(self.accelerator, *self.interruption.received))

    def _end_epoch(self, report: Callable[[dict], None]) -> None:
        """Evaluate, add to the averages, log, and save the state."""
        recipe, state, epoch = self.recipe, self.state, self.state.place.epoch
        self._save_state(CHECKPOINTS)  # before the evaluation, which may take long, or find a clip that is broken
        trained = state.totals.of_all_processes(
            self.epochs.batches_per_epoch, self.updates_per_epoch * recipe.input.batch_size
        )
        row = {"epoch": epoch, **trained}
        self._write_log([*state.rows, row])  # likewise
        probabilities, metrics = self._evaluate(self.test_part)
        state.ensemble.update({"probabilities": probabilities})
        if epoch >= recipe.first_averaged_epoch:
            state.weights.update(self.accelerator.unwrap_model(self.model).state_dict())
        if self.validation_part is not None:
            _, on_validation = self._evaluate(self.validation_part)
            metrics |= {f"validation_{name}": value for name, value in on_validation.items()}
        state.rows.append(row | metrics)
        if self.settings.keep_epochs:
            self._save_model(self.output_dir / EPOCHS / f"{epoch:03d}")
        if recipe.aggregation.report == "best_on_validation" and epochs_since_best(state.rows) == 0:
            self._save_model(self.output_dir / BEST)
        state.totals, state.place = Totals(), Place(epoch + 1)
        self._save_state(CHECKPOINTS)
        self._write_log(state.rows)
        if self.accelerator.is_main_process:
            report(state.rows[-1])
        self.accelerator.log({k: v for k, v in state.rows[-1].items() if v is not None}, step=epoch)

    def _evaluate(self, part: tuple[DataLoader, np.ndarray]) -> tuple[Tensor, dict[str, float]]:
        """Probabilities `[N, K]` and metrics of a part's clips."""
        probabilities, targets = self._predict(part)
        return probabilities, tagging_metrics(probabilities.numpy(), targets.numpy())

    def _predict(self, part: tuple[DataLoader, np.ndarray]) -> tuple[Tensor, Tensor]:
        """Probabilities and targets `[N, K]` of a part's clips."""
        loader, owners = part
        return predict(self.model, self.extractor, loader, self.accelerator, self._stop_if_signalled, owners)

    def _finish(self) -> dict:
        """Save the last and the averaged model, and write the results."""
        last = self._model_state()
        self._save_model(self.output_dir / LAST_EPOCH)
        results = {"single": self._single_model(), "last_epoch": metrics_of(self.state.rows[-1])}
        if self.state.weights.count == 0:
            if self.accelerator.is_main_process:
                logger.warning(
                    "The run stopped before epoch %d, from which on weights are averaged: the model has those of its "
                    "last epoch alone. Average more epochs (average_last).",
                    self.recipe.first_averaged_epoch,
                )
            self.state.weights.update(last)
        self._unwrapped().load_state_dict(self.state.weights.result())
        name = "averaged"
        if self.recipe.aggregation.batch_norm_of_average == "reestimate":
            _, results[name] = self._evaluate(self.test_part)
            inputs = self._training_inputs(self.recipe.schedule.epochs + 1)
            reestimate_batch_norm(self._unwrapped(), inputs, self.accelerator)
            name = "averaged_reestimated"
        self._choose_thresholds()
        self._save_model(self.output_dir)
        probabilities, targets = self._predict(self.test_part)
        self._write_scores("test", self.clips.test, probabilities)
        per_class = class_metrics(probabilities.numpy(), targets.numpy())
        results[name] = tagging_metrics(probabilities.numpy(), targets.numpy(), per_class)
        self._unwrapped().load_state_dict(last)
        mean = self.state.ensemble.result()["probabilities"].numpy()
        results["ensemble"] = tagging_metrics(mean, targets.numpy())
        content = {**self._content(results), "per_class": per_class}
        # By being there they say that the run is finished.
        on_main(self.accelerator, lambda: write_json(content, self.output_dir / RESULTS_FILE))
        on_main(self.accelerator, lambda: keep_latest(self.output_dir / CHECKPOINTS))
        return content

    def _choose_thresholds(self) -> None:
        """Give the model thresholds of its classes, by the validation part, where there is one."""
        if self.validation_part is None or self.clips.validation is None:
            return
        probabilities, targets = self._predict(self.validation_part)
        self._write_scores("validation", self.clips.validation, probabilities)
        chosen = choose_thresholds(probabilities.numpy(), targets.numpy())
        self._unwrapped().config.thresholds = chosen.tolist()

    def _write_scores(self, part: str, clips: Clips, probabilities: Tensor) -> None:
        on_main(
            self.accelerator,
            lambda: write_scores(self.output_dir, part, PartScores.of(clips, probabilities.numpy())),
        )

    def _single_model(self) -> Mapping[str, float | None]:
        """The figures of one model: the mean over the last epochs, or the epoch that is best on the validation set."""
        if self.recipe.aggregation.report == "best_on_validation":
            return metrics_of(best_on_validation(self.state.rows))
        return mean_metrics([metrics_of(row) for row in self.state.rows[-LAST_EPOCHS:]])

    def _training_inputs(self, epoch: int) -> Iterator[Tensor]:
        """The model's inputs in an epoch, augmented."""
        for batch in self.epochs.batches(epoch):
            self._stop_if_signalled()
            on_device = batch.to(self.accelerator.device)
            yield self.extractor.normalize(augmented_log_mel(on_device, self.extractor, self.recipe.augmentation))

    def _content(self, results: dict) -> dict:
        """The content of `results.json`."""
        recipe = self.recipe
        weights = (
            None
            if recipe.model.pretraining == "none"
            else imagenet_source(recipe.model.backbone, recipe.model.pretraining)
        )
        return {
            **provenance(),
            "recipe": recipe.groups(),
            "imagenet_weights": weights,
            "init_from": None if self.start is None else self.start.facts(self.clips.test.vocabulary),
            "seed": self.settings.seed,
            "processes": self.accelerator.num_processes,
            "mixed_precision": self.accelerator.mixed_precision,
            "clips": {"train": self.epochs.num_clips, "test": len(self.clips.test)},
            "data": self.about_data,
            "classes": list(self.clips.test.vocabulary.names),
            "identity": self.state.identity,
            "epochs": self.state.rows,
            "results": results,
        }

    def _save_state(self, folder: str) -> None:
        self.state.save(self.output_dir / folder, self._unwrapped(), self.optimizer)

    def _model_state(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self._unwrapped().state_dict().items()}

    def _unwrapped(self) -> PslaForAudioClassification:
        return self.accelerator.unwrap_model(self.model)

    def _save_model(self, folder: Path) -> None:
        """Write model and extractor as `from_pretrained` reads them."""

        def write() -> None:
            with atomic_files(folder) as place:
                self._unwrapped().save_pretrained(place)
                self.extractor.save_pretrained(place)

        on_main(self.accelerator, write)

    def _write_log(self, rows: list[dict[str, Any]]) -> None:
        on_main(self.accelerator, lambda: write_epochs(rows, self.output_dir))
