"""A tagger made ready for inference says the same, and is not taken for the one that was trained."""

import pytest
import torch
from torch import nn

from psla_hf import AudioTagger, PslaConfig, PslaEnsembleForAudioClassification
from psla_hf import PslaForAudioClassification as Tagger
from psla_hf.models.folding import fold_batch_norms
from psla_hf.models.saved import load_saved
from tests.conftest import CATEGORIES, TINY_BACKBONE

CLIPS = torch.randn(2, 96, 128, generator=torch.Generator().manual_seed(0))


def trained(backbone: str = TINY_BACKBONE, **settings) -> Tagger:
    """A tagger whose batch norms all do something, as after training."""
    torch.manual_seed(0)
    model = Tagger(PslaConfig(backbone=backbone, id2label=dict(enumerate(CATEGORIES)), **settings)).eval()
    for norm in norms(model):
        for values, low, high in (
            (norm.weight, 0.5, 1.5),
            (norm.bias, -0.2, 0.2),
            (norm.running_mean, -0.1, 0.1),
            (norm.running_var, 0.5, 2.0),
        ):
            nn.init.uniform_(values, low, high)
    return model


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize(
    "make",
    [
        trained,
        lambda: trained("tf_efficientnet_lite0"),
        lambda: trained("tf_efficientnet_b0", static_padding_size=224),
        lambda: trained("tf_efficientnetv2_b0"),
        lambda: trained("mobilenetv2_050", pooling="mean"),
        lambda: PslaEnsembleForAudioClassification.from_members([trained(), trained("mnasnet_small")]),
    ],
    ids=["tiny", "Lite0", "B0, padded as the original", "V2", "MobileNet", "ensemble"],
)
@torch.inference_mode()
def test_without_batch_norms_an_efficientnet_says_the_same(make):
    model = make()
    expected = model(CLIPS, output_frame_scores=True, output_hidden_states=True)
    assert norms(model)
    fold_batch_norms(model)
    assert not norms(model)
    torch.testing.assert_close(
        model(CLIPS, output_frame_scores=True, output_hidden_states=True).to_tuple(),
        expected.to_tuple(),
        rtol=1e-4,
        atol=1e-4,
    )


@torch.inference_mode()
def test_other_backbones_stay_as_they_are():
    model = trained("resnet10t")
    before, expected = len(norms(model)), model(CLIPS).logits
    fold_batch_norms(model)
    assert len(norms(model)) == before
    assert torch.equal(model(CLIPS).logits, expected)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_low_precision_only_the_result_is_rounded(dtype):
    model = trained().to(dtype)
    exact = trained().to(dtype).float()  # the same weights
    for each in (model, exact):
        fold_batch_norms(each)
    for got, expected in zip(model.parameters(), exact.parameters(), strict=True):
        assert got.dtype == dtype
        assert torch.equal(got, expected.to(dtype))


def test_nothing_of_a_folded_model_is_trained_or_saved_and_all_of_another_is(tmp_path):
    ensemble = PslaEnsembleForAudioClassification.from_members([trained(), trained("resnet10t")])
    fold_batch_norms(ensemble)
    folded, other = ensemble.members
    for model in (ensemble, folded, folded.psla, PslaEnsembleForAudioClassification.from_members([folded])):
        with pytest.raises(ValueError, match=r"folded.*Save the model of"):
            model.save_pretrained(tmp_path / "no")
        with pytest.raises(ValueError, match=r"folded.*Train the model of"):
            model.train()
        assert not model.eval().training
    assert other.train().training
    other.save_pretrained(tmp_path / "other")
    assert Tagger.from_pretrained(tmp_path / "other")


def test_a_tagger_for_inference_is_not_saved_as_if_it_were_the_trained_one(saved_model, tmp_path):
    with pytest.raises(ValueError, match="load_saved"):
        AudioTagger.from_pretrained(saved_model).model.save_pretrained(tmp_path / "again")
    assert not (tmp_path / "again").exists()
    loaded = load_saved(saved_model)
    for part in loaded:
        part.save_pretrained(tmp_path / "again")
    again = load_saved(tmp_path / "again").model.state_dict()
    for name, weights in loaded.model.state_dict().items():
        assert torch.equal(weights, again[name]), name
