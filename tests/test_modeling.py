"""The model's probabilities, losses and initialisation, and its life in transformers."""

import pytest
import timm
import torch
from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForAudioClassification, pipeline

from psla_hf import AudioTagger, PslaConfig, PslaForAudioClassification, PslaModel
from psla_hf.modeling_psla import PslaAttentionPooling

from .conftest import TINY_BACKBONE


def spectrograms(batch: int = 2, frames: int = 64) -> torch.Tensor:
    return torch.randn(batch, frames, 128, generator=torch.Generator().manual_seed(0))


def test_four_head_b2_has_the_papers_number_of_parameters():
    """13.64 million at 527 classes (Table XIII)."""
    with torch.device("meta"):
        model = PslaForAudioClassification(PslaConfig(num_labels=527))
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == 13.64


def test_attention_pooling_is_the_weighted_sum_of_the_papers_formula():
    pooling = PslaAttentionPooling(in_features=6, num_labels=3, num_heads=2)
    pooling.head_weight.data = torch.tensor([0.7, 0.6])
    hidden = torch.randn(1, 5, 6)
    expected = torch.zeros(3)
    for head in range(2):
        for k in range(3):
            row = head * 3 + k
            attention = torch.sigmoid(hidden[0] @ pooling.attention.weight[row] + pooling.attention.bias[row])
            scores = torch.sigmoid(hidden[0] @ pooling.scores.weight[row] + pooling.scores.bias[row])
            expected[k] += pooling.head_weight[head] * (attention / attention.sum() * scores).sum()
    torch.testing.assert_close(pooling(hidden)[0], expected)


def test_the_sigmoid_of_the_logits_is_the_clamped_probability(tiny_model):
    tiny_model.pooling.head_weight.data *= 3  # so that some sums exceed 1
    with torch.no_grad():
        probability = tiny_model.pooling(tiny_model.psla(spectrograms()).last_hidden_state)
        logits = tiny_model(spectrograms()).logits
    assert probability.max() > 1
    torch.testing.assert_close(logits.sigmoid(), probability.clamp(1e-7, 1 - 1e-7))


def test_the_multi_label_loss_is_the_originals_cross_entropy_of_probabilities(tiny_model):
    labels = torch.tensor([[1.0, 0.0, 0.3], [0.0, 0.6, 0.4]])
    output = tiny_model(spectrograms(), labels=labels)
    expected = nn.functional.binary_cross_entropy(output.logits.sigmoid(), labels)
    torch.testing.assert_close(output.loss, expected)


@pytest.mark.parametrize("pooling", ["attention", "mean", "linear"])
def test_every_pooling_gives_probabilities_and_gradients(tiny_config, pooling):
    tiny_config.pooling = pooling
    model = PslaForAudioClassification(tiny_config)
    output = model(spectrograms(), labels=torch.rand(2, 3))
    output.loss.backward()
    assert output.logits.shape == (2, 3)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("problem", "labels"),
    [("single_label_classification", torch.tensor([0, 2])), ("regression", torch.rand(2, 3))],
)
def test_other_problem_types_have_their_losses(tiny_config, problem, labels):
    tiny_config.problem_type = problem
    assert PslaForAudioClassification(tiny_config)(spectrograms(), labels=labels).loss.isfinite()


def test_class_indices_where_multi_label_targets_belong_are_refused(tiny_model):
    with pytest.raises(ValueError, match="single_label_classification"):
        tiny_model(spectrograms(), labels=torch.tensor([0, 2]))


def test_a_spectrogram_of_another_shape_is_refused(tiny_model):
    with pytest.raises(ValueError, match=r"\[B, frames, 128\], got \[2, 64, 80\]"):
        tiny_model(torch.zeros(2, 64, 80))


def test_under_bfloat16_autocast_logits_are_finite_float32(tiny_model):
    tiny_model.pooling.head_weight.data *= 10
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = tiny_model(spectrograms()).logits
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


def test_one_step_of_hidden_states_per_32_frames(tiny_model):
    output = tiny_model.psla(spectrograms(frames=96))
    assert output.last_hidden_state.shape == (2, 3, tiny_model.psla.hidden_size)
    torch.testing.assert_close(output.pooler_output, output.last_hidden_state.mean(dim=1))


def test_every_kind_of_layer_starts_at_its_own_scale(tiny_model):
    pooling, backbone = tiny_model.pooling, tiny_model.psla.backbone
    bound = tiny_model.psla.hidden_size**-0.5
    assert 0.9 * bound < pooling.attention.weight.abs().max() <= bound
    assert (pooling.head_weight == 0.25).all()
    conv = backbone.conv_head
    assert conv.weight.std().item() == pytest.approx((2 / conv.out_channels) ** 0.5, rel=0.1)
    norm = next(m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d))
    assert (norm.weight == 1).all() and (norm.bias == 0).all() and (norm.running_var == 1).all()
    assert norm.momentum == tiny_model.config.batch_norm_momentum == 0.01


def test_imagenet_weights_reach_the_backbone_and_the_first_convolution_is_chosen(tiny_config):
    source = timm.create_model(TINY_BACKBONE, pretrained=False).state_dict()
    for choice, expected in (("sum", source["conv_stem.weight"].sum(1)), ("mean", source["conv_stem.weight"].mean(1))):
        loaded = PslaForAudioClassification.from_imagenet(tiny_config, source, choice).psla.backbone.state_dict()
        torch.testing.assert_close(loaded["conv_stem.weight"][:, 0], expected)
        assert all(torch.equal(loaded[name], source[name]) for name in loaded if name != "conv_stem.weight")
    model = PslaModel(tiny_config)
    own = model.backbone.conv_stem.weight.clone()
    model.load_backbone(source, "random")
    torch.testing.assert_close(model.backbone.conv_stem.weight, own)


def test_weights_of_another_backbone_are_refused_with_what_is_missing(tiny_config):
    other = timm.create_model("test_resnet", pretrained=False).state_dict()
    with pytest.raises(ValueError, match=r"missing .*left over"):
        PslaForAudioClassification.from_imagenet(tiny_config, other)


def test_a_saved_model_loads_through_the_auto_classes(tiny_model, saved_model):
    loaded = AutoModelForAudioClassification.from_pretrained(saved_model)
    assert AutoConfig.from_pretrained(saved_model).label2id == tiny_model.config.label2id
    assert AutoFeatureExtractor.from_pretrained(saved_model).max_length == 98
    assert torch.equal(loaded(spectrograms()).logits, tiny_model(spectrograms()).logits)
    hidden = AutoModel.from_pretrained(saved_model)(spectrograms()).last_hidden_state
    assert torch.equal(hidden, tiny_model.psla(spectrograms()).last_hidden_state)


def test_a_head_for_other_classes_is_fresh_and_the_backbone_is_kept(tiny_model, saved_model):
    loaded = PslaForAudioClassification.from_pretrained(saved_model, num_labels=7, ignore_mismatched_sizes=True)
    bound = loaded.psla.hidden_size**-0.5
    for head in (loaded.pooling.attention, loaded.pooling.scores):
        assert 0.9 * bound < head.weight.abs().max() <= bound
        assert head.bias.abs().max() <= bound
    assert torch.equal(loaded.psla.backbone.conv_stem.weight, tiny_model.psla.backbone.conv_stem.weight)


def test_the_pipeline_gives_the_taggers_scores(saved_model):
    wave = 0.1 * torch.randn(16000, generator=torch.Generator().manual_seed(1)).numpy()
    tags = pipeline("audio-classification", model=str(saved_model))(wave, top_k=3)
    own = AudioTagger.from_pretrained(saved_model)(wave, sampling_rate=16000)
    assert [tag["label"] for tag in tags] == [tag["label"] for tag in own]
    assert [tag["score"] for tag in tags] == pytest.approx([tag["score"] for tag in own], abs=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"num_attention_heads": 0}, {"num_mel_bins": 16}, {"batch_norm_momentum": 0.0}, {"pooling": "max"}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(Exception, match=next(iter(wrong))):
        PslaConfig(**wrong)
