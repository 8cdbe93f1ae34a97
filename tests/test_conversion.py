"""ImageNet weights from PyPI wheels fit timm's backbones, name by name and number by number."""

import pytest
import timm
import torch

from psla_hf.conversion import imagenet_source, imagenet_weights, timm_names


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2"])
def test_a_wheels_weights_fill_the_whole_timm_model(backbone):
    assert imagenet_source(backbone) == "wheel"
    model = timm.create_model(backbone, pretrained=False)
    model.load_state_dict(imagenet_weights(backbone))  # strict: nothing missing, nothing left over


def test_mapped_weights_classify_as_imagenet_does():
    """A wrong order of layers or of BatchNorms would leave the classes of a noise image to chance.

    There is no photograph offline. But the statistics tell: with the right mapping each BatchNorm sees activations
    close to its running mean and variance, also on an image of smooth noise; with blocks exchanged it does not.
    """
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    weights = imagenet_weights("tf_efficientnet_lite0")

    def surprise(state: dict) -> float:
        """How far a batch's logarithmic variances are from the running ones, on average over all BatchNorms."""
        model.load_state_dict(state)
        distances: list[torch.Tensor] = []

        def look(norm, inputs):
            variance = inputs[0].var(dim=(0, 2, 3)) + norm.eps
            distances.append((variance.log() - (norm.running_var + norm.eps).log()).abs().mean())

        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        hooks = [norm.register_forward_pre_hook(look) for norm in norms]
        noise = torch.randn(4, 3, 14, 14, generator=torch.Generator().manual_seed(0))
        images = torch.nn.functional.interpolate(noise, size=224, mode="bicubic")
        with torch.no_grad():
            model.eval()(images)
        for hook in hooks:
            hook.remove()
        return float(torch.stack(distances).mean())

    shuffled = dict(weights)
    for leaf in ("weight", "bias", "running_mean", "running_var"):  # two neighbours of the same shape exchanged
        for norm in ("bn1", "bn2"):
            here, there = f"blocks.4.1.{norm}.{leaf}", f"blocks.4.2.{norm}.{leaf}"
            shuffled[here], shuffled[there] = weights[there], weights[here]
    assert surprise(weights) < surprise(shuffled)


def test_names_that_are_not_efficientnet_pytorchs_are_refused():
    weights = dict.fromkeys((f"_blocks.{block}._odd.weight" for block in range(16)), torch.zeros(1))
    with pytest.raises(ValueError, match="_odd"):
        timm_names(weights, "tf_efficientnet_lite0")


def test_another_number_of_blocks_is_refused():
    with pytest.raises(ValueError, match=r"Expected 16 blocks .* have 1"):
        timm_names({"_blocks.0._bn1.weight": torch.zeros(1)}, "tf_efficientnet_lite0")


def test_without_wheel_and_hub_the_way_out_is_named():
    with pytest.raises(ValueError, match=r"psla-hf\[imagenet\]"):
        imagenet_weights("tf_efficientnet_b0.aa_in1k")
    with pytest.raises(ValueError, match="No installed wheel"):
        imagenet_weights("tf_efficientnet_b0", "wheel")
