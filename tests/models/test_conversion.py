"""ImageNet weights from PyPI wheels and original PSLA checkpoints arrive name by name and number by number."""

import pytest
import timm
import torch

from benchmarks.fidelity import ORIGINALS, OriginalTagger, converted_difference, golden_probability_difference
from psla_hf import PslaConfig, PslaForAudioClassification
from psla_hf.models.weights import convert_psla_checkpoint, imagenet_source, imagenet_weights, timm_names


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


@pytest.mark.parametrize(("backbone", "num_heads"), ORIGINALS.values(), ids=ORIGINALS.keys())
def test_every_kind_of_original_gives_the_same_probabilities_converted(backbone, num_heads):
    """Rebuilt from the libraries that the original used; 2e-4 is what float32 leaves after 200 layers."""
    assert converted_difference(backbone, num_heads, num_labels=20, frames=160) <= 2e-4


@pytest.fixture
def small_original() -> dict:
    """The state dict of an original B0 with one head and 3 classes, under its own names."""
    return OriginalTagger("efficientnet-b0", 1, 3).state_dict()


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_prefix_and_a_left_over_imagenet_classifier_do_not_matter(small_original, tmp_path, prefix):
    small_original["effnet._fc.weight"] = torch.zeros(1000, 1280)
    torch.save({prefix + name: tensor for name, tensor in small_original.items()}, tmp_path / "original.pth")
    config = convert_psla_checkpoint(tmp_path / "original.pth", ["a", "b", "c"]).config
    assert (config.backbone, config.pooling, config.num_attention_heads) == ("tf_efficientnet_b0", "attention", 1)
    assert (config.static_padding_size, config.batch_norm_momentum) == (224, 0.01)
    assert config.label_names == ["a", "b", "c"]


@pytest.mark.shared
def test_the_golden_checkpoint_gives_the_golden_probabilities(shared):
    assert golden_probability_difference(shared / "golden") <= 2e-4


def test_what_is_no_checkpoint_is_refused_with_what_is_wrong(tmp_path):
    path = tmp_path / "file.pth"
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        convert_psla_checkpoint(path)
    path.write_text("not a checkpoint")
    with pytest.raises(ValueError, match=r"a state dict of tensors in .*file\.pth, could not read it"):
        convert_psla_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match="Expected a state dict"):
        convert_psla_checkpoint(path)
    torch.save({"encoder.weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"missing .*attention.*left over 1 names \['encoder.weight'\]"):
        convert_psla_checkpoint(path)


def test_a_checkpoint_that_lacks_a_tensor_or_has_other_classes_is_refused(small_original, tmp_path):
    torch.save(small_original, tmp_path / "file.pth")
    with pytest.raises(ValueError, match=r"Expected 3 label names.*got 2"):
        convert_psla_checkpoint(tmp_path / "file.pth", ["a", "b"])
    del small_original["effnet._blocks.3._bn1.weight"]
    torch.save(small_original, tmp_path / "file.pth")
    with pytest.raises(ValueError, match=r"1 missing .*blocks\.2\.0\.bn2\.weight"):
        convert_psla_checkpoint(tmp_path / "file.pth")


def test_imagenet_weights_survive_saving_and_a_new_head(tmp_path):
    config = PslaConfig(backbone="tf_efficientnet_lite0", num_labels=3)
    model = PslaForAudioClassification.from_imagenet(config, imagenet_weights(config.backbone))
    model.save_pretrained(tmp_path)
    expected = model.psla.backbone.state_dict()
    for changes in ({}, {"num_labels": 5, "ignore_mismatched_sizes": True}):
        loaded = PslaForAudioClassification.from_pretrained(tmp_path, **changes)
        found = loaded.psla.backbone.state_dict()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert all(tensor.isfinite().all() for tensor in loaded.state_dict().values())
