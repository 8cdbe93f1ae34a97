"""The training loop: accelerate, per-epoch evaluation, weight averaging, ensemble. Knows no command lines, no Hub."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from datasets import Dataset
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from .averaging import RunningMean
from .configuration_psla import PslaConfig
from .conversion import imagenet_source, imagenet_weights
from .cpu import tune_for_cpu
from .evaluation import predict, tagging_metrics
from .feature_extraction_psla import PslaFeatureExtractor
from .modeling_psla import PslaForAudioClassification
from .provenance import provenance, write_json
from .recipes import Recipe
from .samples import OnError, SampleMaker, TaggingDataset, collate
from .sampling import EpochSampler, balanced_weights
from .schema import class_names, labels_of, targets_of

__all__ = ["Trainer", "build_model", "make_accelerator"]

METRICS_FILE = "metrics.jsonl"


def make_accelerator(cpu: bool = False, mixed_precision: str | None = None) -> Accelerator:
    """An accelerator that splits the recipe's batch over the processes.

    Args:
        cpu: Stay on the CPU.
        mixed_precision: `"no"`, `"bf16"` or `"fp16"`; by default what `accelerate launch` was told.
    """
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision=mixed_precision,
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        step_scheduler_with_optimizer=False,
    )
    if accelerator.device.type == "cpu":
        tune_for_cpu(accelerator.num_processes)
    return accelerator


def build_model(recipe: Recipe, names: list[str], seed: int) -> PslaForAudioClassification:
    """A new tagger for these classes, with an ImageNet backbone if the recipe says so.

    Args:
        recipe: Architecture and pretraining.
        names: The classes, in index order.
        seed: Of the random initialisation; the global generator is left as it was.
    """
    config = PslaConfig(
        backbone=recipe.backbone,
        pooling=recipe.pooling,
        num_attention_heads=recipe.num_attention_heads,
        batch_norm_momentum=recipe.batch_norm_momentum,
        id2label=dict(enumerate(names)),
        label2id={name: k for k, name in enumerate(names)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if recipe.pretraining == "none":
            return PslaForAudioClassification(config)
        weights = imagenet_weights(recipe.backbone, recipe.pretraining)
        return PslaForAudioClassification.from_imagenet(config, weights, recipe.first_convolution)


class Trainer:
    """Trains a tagger, evaluates it after every epoch, and saves the model whose weights are averaged.

    Args:
        recipe: All settings.
        train_clips: Training clips, schema of `schema.tagging_features`.
        test_clips: Clips to evaluate on after every epoch, with the same classes.
        output_dir: Receives the averaged model, ready for `from_pretrained`; the last epoch's in `last_epoch/`; one
            line per epoch in `metrics.jsonl`; and `results.json`.
        accelerator: From `make_accelerator`.
        seed: Of initialisation, order and augmentation.
        num_workers: Processes that decode; 0 decodes in this one.
        on_error: What to do with a training clip that does not decode, see `samples.SampleMaker`.
        tolerated_share: Share of draws that may fail to decode where they are drawn again.
        overwrite: Write into a directory that is not empty.

    Raises:
        ValueError: The sets' classes differ.
        FileExistsError: `output_dir` holds more than the log of a broken-off run, and `overwrite` is off.
    """

    def __init__(
        self,
        recipe: Recipe,
        train_clips: Dataset,
        test_clips: Dataset,
        output_dir: str | Path,
        accelerator: Accelerator,
        *,
        seed: int = 0,
        num_workers: int = 0,
        on_error: OnError = "raise",
        tolerated_share: float = 0.01,
        overwrite: bool = False,
    ):
        names = class_names(train_clips)
        if names != class_names(test_clips):
            raise ValueError(
                f"Expected the same classes to train and to test on, got {names} and {class_names(test_clips)}."
            )
        self.recipe, self.accelerator, self.seed = recipe, accelerator, seed
        self.output_dir = prepare_output_dir(Path(output_dir), overwrite, accelerator)
        self.extractor = PslaFeatureExtractor(max_length=recipe.max_length)
        self.augmentation = recipe.augmentation
        maker = SampleMaker(len(names), self.extractor.sampling_rate, self.augmentation, on_error, tolerated_share)
        weights = balanced_weights(labels_of(train_clips)) if recipe.balanced_sampling else None
        self.train_set = TaggingDataset(train_clips, maker, weights)
        self.test_set = TaggingDataset(test_clips, maker)
        self.sampler = EpochSampler(len(self.train_set), seed, weights)

        model = build_model(recipe, names, seed)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-arg]  # transformers wraps it without types
        betas = (recipe.adam_beta1, recipe.adam_beta2)
        optimizer = torch.optim.Adam(model.parameters(), recipe.learning_rate, betas, weight_decay=recipe.weight_decay)
        loaders = [
            DataLoader(data, recipe.batch_size, sampler=order, collate_fn=collate, num_workers=num_workers)
            for data, order in ((self.train_set, self.sampler), (self.test_set, None))
        ]
        self.model, self.optimizer, self.train_loader, self.test_loader = accelerator.prepare(
            model, optimizer, *loaders
        )
        # Not prepared: accelerate would step it once per process.
        self.schedule = LambdaLR(self.optimizer, lambda step: recipe.learning_rate_factor(step, len(self.train_loader)))

    def train(self, report: Callable[[dict], None] = lambda row: None) -> dict:
        """Run all epochs and save the models.

        Args:
            report: Called on the main process with each epoch's metrics.

        Returns:
            What `results.json` holds: `results` has the metrics of the `last_epoch`, of the `averaged` weights and of
            the checkpoint `ensemble`, the mean probabilities of all epochs.

        Raises:
            ValueError: The loss is no longer finite.
        """
        rows: list[dict] = []
        weights, ensemble = RunningMean(), RunningMean()
        for epoch in range(1, self.recipe.epochs + 1):
            started = time.perf_counter()
            trained = self._train_epoch(epoch)
            probabilities, metrics = self._evaluate()
            ensemble.update({"probabilities": probabilities})
            if epoch > self.recipe.epochs - self.recipe.average_last:
                weights.update(self.accelerator.unwrap_model(self.model).state_dict())
            seconds = round(time.perf_counter() - started, 1)
            rows.append({"epoch": epoch, **trained, **metrics, "seconds": seconds})
            self._log(rows[-1], report)

        self._save(self.output_dir / "last_epoch")
        self.accelerator.unwrap_model(self.model).load_state_dict(weights.result())
        self._save(self.output_dir)
        _, averaged = self._evaluate()
        all_epochs = ensemble.result()["probabilities"]
        results = {
            "last_epoch": metrics,
            "averaged": averaged,
            "ensemble": tagging_metrics(all_epochs.numpy(), targets_of(self.test_set.clips)),
        }
        return self._write_results(rows, results)

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        """One pass over the training loader: this process's mean loss, and how many clips were odd (`collate`)."""
        recipe, accelerator = self.recipe, self.accelerator
        self.model.train()
        self.sampler.set_epoch(epoch)
        total, redrawn, short = 0.0, 0, 0
        hidden = None if accelerator.is_local_main_process else True  # None: shown on a terminal only
        bar = tqdm(self.train_loader, f"epoch {epoch}/{recipe.epochs}", unit="batch", leave=False, disable=hidden)
        for step, batch in enumerate(bar, start=1):
            log_mel = self.augmentation.spectrograms(batch, self.extractor)
            with accelerator.autocast():
                loss = self.model(self.extractor.normalize(log_mel), labels=batch["labels"]).loss
            if not torch.isfinite(loss):
                raise ValueError(
                    f"The loss is {loss.item()} in epoch {epoch}, step {step}. Lower the learning rate, or look at the "
                    f"clips {batch['ids']}."
                )
            accelerator.backward(loss)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.schedule.step()
            total += loss.item()
            redrawn += len(batch["redrawn"])
            short += len(batch["short"])
            bar.set_postfix(loss=f"{total / step:.4f}")
        return {"loss": total / step, "redrawn": redrawn, "short": short}

    def _evaluate(self) -> tuple[Tensor, dict[str, float]]:
        """Probabilities `[N, K]` and metrics on the test set."""
        probabilities, targets = predict(self.model, self.extractor, self.test_loader, self.accelerator)
        return probabilities, tagging_metrics(probabilities.numpy(), targets.numpy())

    def _log(self, row: dict, report: Callable[[dict], None]) -> None:
        if self.accelerator.is_main_process:
            with (self.output_dir / METRICS_FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            report(row)

    def _save(self, path: Path) -> None:
        """Write model and extractor as `from_pretrained` reads them."""
        if self.accelerator.is_main_process:
            self.accelerator.unwrap_model(self.model).save_pretrained(path)
            self.extractor.save_pretrained(path)
        self.accelerator.wait_for_everyone()

    def _write_results(self, rows: list[dict], results: dict) -> dict:
        recipe = self.recipe
        content = {
            **provenance(),
            "recipe": asdict(recipe),
            "imagenet_weights": None
            if recipe.pretraining == "none"
            else imagenet_source(recipe.backbone, recipe.pretraining),
            "seed": self.seed,
            "processes": self.accelerator.num_processes,
            "mixed_precision": self.accelerator.mixed_precision,
            "clips": {"train": len(self.train_set), "test": len(self.test_set)},
            "classes": class_names(self.train_set.clips),
            "epochs": rows,
            "results": results,
        }
        if self.accelerator.is_main_process:
            write_json(content, self.output_dir / "results.json")
        return content


def prepare_output_dir(output_dir: Path, overwrite: bool, accelerator: Accelerator) -> Path:
    """Create the directory and an empty log in it; refuse one with other content unless told to overwrite.

    A log alone is what a run leaves that was broken off before it saved anything.
    """
    occupied = output_dir.is_dir() and any(path.name != METRICS_FILE for path in output_dir.iterdir())
    accelerator.wait_for_everyone()  # every process has looked before the main one writes
    if occupied and not overwrite:
        raise FileExistsError(f"{output_dir} is not empty. Choose another directory, or allow overwriting it.")
    if accelerator.is_main_process:
        output_dir.mkdir(parents=True, exist_ok=True)
        (output_dir / METRICS_FILE).write_text("", encoding="utf-8")
    return output_dir
