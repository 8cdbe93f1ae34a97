"""What a recipe says, as objects: accelerator, model, optimizer. Knows no data and no loop."""

import ctypes
import platform
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, get_grad_scaler
from timm.layers import convert_sync_batchnorm
from timm.models import group_parameters
from torch import nn
from torch.optim import Optimizer

from psla_hf.models.configuration_psla import PslaConfig
from psla_hf.models.modeling_psla import PslaForAudioClassification
from psla_hf.models.weights import imagenet_weights
from psla_hf.provenance import cpu_count

from .recipe import Recipe

__all__ = [
    "arrange_model",
    "build_model",
    "build_optimizer",
    "make_accelerator",
    "reset_gradient_scale",
    "tune_for_cpu",
]


# glibc's mallopt parameters, from malloc.h.
M_TRIM_THRESHOLD = -1

M_MMAP_THRESHOLD = -3


def tune_for_cpu(num_processes: int = 1) -> None:
    """Set this process up for training on a CPU.

    `accelerate launch` leaves each process a single thread by default: the cores are shared instead. And on
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


def make_accelerator(
    cpu: bool = False,
    mixed_precision: str | None = None,
    trackers: list[str] | None = None,
    project_dir: str | None = None,
) -> Accelerator:
    """An accelerator that splits the recipe's batch over the processes.

    Args:
        cpu: Stay on the CPU.
        mixed_precision: `"no"`, `"bf16"` or `"fp16"`; by default that of `accelerate launch`.
        trackers: Such as `tensorboard`, `wandb` or `trackio`, if they are installed.
        project_dir: Where trackers that write files do so.

    Raises:
        ValueError: A tracker is unknown or not installed.
    """
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision=mixed_precision,
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        log_with=trackers,
        project_dir=project_dir,
    )
    missing = set(trackers or ()) - {str(tracker) for tracker in accelerator.log_with} - {"all"}
    if missing:  # accelerate would go on without them
        raise ValueError(f"Expected trackers that are installed, got {', '.join(sorted(missing))}. Install or omit it.")
    if accelerator.device.type == "cpu":
        tune_for_cpu(accelerator.num_processes)
    return accelerator


def reset_gradient_scale(accelerator: Accelerator) -> None:
    """Begin with the first scale of gradients in fp16, whatever runs the same accelerator had."""
    scaler, handler = accelerator.scaler, accelerator.scaler_handler
    if scaler is not None:
        scaler.load_state_dict(get_grad_scaler(**({} if handler is None else handler.to_kwargs())).state_dict())


def build_model(recipe: Recipe, names: list[str], seed: int) -> PslaForAudioClassification:
    """A new tagger for these classes, with an ImageNet backbone if the recipe says so.

    Args:
        recipe: Architecture and pretraining.
        names: The classes, in index order.
        seed: Of the random initialisation; the global generator is left as it was.
    """
    settings = recipe.model
    config = PslaConfig(
        backbone=settings.backbone,
        pooling=settings.pooling,
        num_attention_heads=settings.num_attention_heads,
        batch_norm_momentum=settings.batch_norm_momentum,
        id2label=dict(enumerate(names)),
        label2id={name: k for k, name in enumerate(names)},
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if settings.pretraining == "none":
            return PslaForAudioClassification(config)
        weights = imagenet_weights(settings.backbone, settings.pretraining)
        return PslaForAudioClassification.from_imagenet(config, weights, settings.first_convolution)


def arrange_model(model: PslaForAudioClassification, recipe: Recipe, accelerator: Accelerator) -> nn.Module:
    """Memory format, synchronised BatchNorm and compilation, as the recipe says; and freeze what has no effect.

    Raises:
        ValueError: BatchNorm is to be synchronised on a CPU, which torch cannot.
    """
    if recipe.model.freeze == "backbone":
        model.psla.requires_grad_(False)
    _freeze_unused(model, recipe.input.max_length)
    if recipe.model.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-arg]  # transformers wraps it without types
    if recipe.model.sync_batch_norm and accelerator.num_processes > 1:
        if accelerator.device.type == "cpu":
            raise ValueError(
                "Expected GPUs for sync_batch_norm: torch cannot synchronise BatchNorm on CPUs. Leave it out."
            )
        model = convert_sync_batchnorm(model)
    if recipe.model.compile:
        model.compile()
    return model


def _freeze_unused(model: PslaForAudioClassification, num_frames: int) -> None:
    """Exclude parameters that the loss does not depend on: several processes would wait for their gradients forever.

    Some timm backbones have such, ConvNeXt for one: the normalisation in front of its classifier, which is not used.
    """
    training = model.training
    model.eval()  # so that BatchNorm does not learn from an empty spectrogram
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    logits = model(torch.zeros(1, num_frames, model.config.num_mel_bins)).logits
    for parameter, gradient in zip(
        parameters, torch.autograd.grad(logits.sum(), parameters, allow_unused=True), strict=True
    ):
        parameter.requires_grad_(gradient is not None)
    model.train(training)


def build_optimizer(recipe: Recipe, model: nn.Module) -> Optimizer:
    """The recipe's optimizer over all parameters; for SGD, Adam's first decay is the momentum.

    Where not all learn at one rate, its groups have two entries of their own: `scale`, their share of the rate, and
    `is_backbone`.
    """
    how = recipe.optimizer
    alike = how.layer_decay == 1 and not how.head_warmup_epochs
    groups: Any = model.parameters() if alike else _parameter_groups(model, how.layer_decay)
    if how.optimizer == "sgd":
        return torch.optim.SGD(groups, how.learning_rate, how.adam_beta1, weight_decay=how.weight_decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[how.optimizer]
    betas = (how.adam_beta1, how.adam_beta2)
    return kind(groups, how.learning_rate, betas, weight_decay=how.weight_decay)


def _parameter_groups(tagger: Any, layer_decay: float) -> list[dict[str, Any]]:
    """The backbone's layers as timm counts them, the last one a step below the head, and the head."""
    layers: dict[int, list[nn.Parameter]] = {}
    backbone = tagger.psla.backbone
    number_of = group_parameters(backbone, backbone.group_matcher(coarse=False), reverse=True)
    for name, parameter in backbone.named_parameters():
        if parameter.requires_grad:
            layers.setdefault(0 if layer_decay == 1 else number_of[name], []).append(parameter)
    steps = 1 + max(number_of.values())
    groups = [
        {"params": layer, "scale": layer_decay ** (steps - number), "is_backbone": True}
        for number, layer in sorted(layers.items())
    ]
    head = [parameter for parameter in tagger.pooling.parameters() if parameter.requires_grad]
    return [*groups, {"params": head, "scale": 1.0, "is_backbone": False}]
