"""The model's probabilities, losses and initialisation, and its life in transformers."""

from types import SimpleNamespace
from typing import get_args, get_type_hints

import pytest
import timm
import torch
from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForAudioClassification
from transformers.loss.loss_utils import ForSequenceClassificationLoss

from psla_hf import PslaConfig, PslaForAudioClassification, PslaModel
from psla_hf.models.backbone_psla import StaticallyPaddedConv2d
from psla_hf.models.modeling_psla import PslaAudioClassifierOutput
from psla_hf.models.pooling_psla import POOLINGS, PslaAttentionPooling
from psla_hf.training.recipe import ModelSettings
from psla_hf.training.recipes import PAPER_ARCHITECTURES
from tests.conftest import TINY_BACKBONE


def spectrograms(batch: int = 2, frames: int = 64) -> torch.Tensor:
    return torch.randn(batch, frames, 128, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("architecture", "millions"), PAPER_ARCHITECTURES.values(), ids=PAPER_ARCHITECTURES.keys())
def test_the_papers_architectures_have_its_numbers_of_parameters(architecture, millions):
    """Table XIII, at 527 classes, to the printed digit."""
    with torch.device("meta"):
        model = PslaForAudioClassification(PslaConfig(num_labels=527, **architecture))
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == millions


def test_recipes_know_every_pooling():
    assert set(get_args(get_type_hints(ModelSettings)["pooling"])) == set(POOLINGS)


def test_a_pooling_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"attention, mean, linear, got 'atention'"):
        PslaForAudioClassification(PslaConfig(backbone=TINY_BACKBONE, pooling="atention"))


@pytest.mark.parametrize(
    ("backbone", "reason"),
    [("no_such_model", "Unknown model"), ("vit_tiny_patch16_224", "Input"), ("swin_tiny_patch4_window7_224", "Input")],
)
def test_a_backbone_that_cannot_be_used_says_why_at_once(backbone, reason):
    with pytest.raises(ValueError, match=f"{backbone}.*cannot be used: .*{reason}"):
        PslaForAudioClassification(PslaConfig(backbone=backbone))


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext", "test_mambaout"])
def test_other_convolutional_backbones_work_or_say_why_not(backbone):
    try:
        model = PslaForAudioClassification(PslaConfig(backbone=backbone, num_labels=3)).eval()
    except ValueError as error:
        assert "cannot be used" in str(error)
    else:
        assert model(spectrograms()).logits.shape == (2, 3)


def test_static_padding_is_that_of_a_square_image():
    """B2's strided convolutions meet 260, 130, 65, 33 and 17 pixels (worked out by hand)."""
    with torch.device("meta"):
        backbone = PslaModel(PslaConfig(static_padding_size=260)).backbone
    padded = [module.padded for module in backbone.modules() if isinstance(module, StaticallyPaddedConv2d)]
    assert padded == [(0, 1, 0, 1), (0, 1, 0, 1), (2, 2, 2, 2), (1, 1, 1, 1), (2, 2, 2, 2)]
    with pytest.raises(ValueError, match="only for backbones with TensorFlow's padding"):
        PslaModel(PslaConfig(backbone="test_resnet", static_padding_size=224))


@pytest.mark.parametrize(("pooling", "heads"), [("attention", 4), ("attention", 1), ("mean", 1)])
def test_frame_scores_weighted_by_attention_are_the_clips_probability(tiny_config, pooling, heads):
    tiny_config.pooling, tiny_config.num_attention_heads = pooling, heads
    model = PslaForAudioClassification(tiny_config).eval()
    with torch.no_grad():
        output = model(spectrograms(frames=160), output_frame_scores=True)
    assert output.frame_scores.shape == (2, 5, 3) and output.attentions.shape == (2, heads, 5, 3)
    clip = (output.attentions * output.frame_scores[:, None]).sum(dim=(1, 2))
    torch.testing.assert_close(clip, output.logits.sigmoid())
    # Steps of 32 frames of 10 ms; the first covers frames 0 to 31, whose middles are from 12.5 to 322.5 ms.
    torch.testing.assert_close(output.frame_times, 0.1675 + 0.32 * torch.arange(5))


def test_linear_pooling_refuses_frame_scores(tiny_config):
    tiny_config.pooling = "linear"
    with pytest.raises(ValueError, match="no scores per frame"):
        PslaForAudioClassification(tiny_config)(spectrograms(), output_frame_scores=True)


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
    torch.testing.assert_close(pooling(hidden).probability[0], expected)


def test_the_sigmoid_of_the_logits_is_the_clamped_probability(tiny_model):
    tiny_model.pooling.head_weight.data *= 3  # so that some sums exceed 1
    with torch.no_grad():
        probability = tiny_model.pooling(tiny_model.psla(spectrograms()).last_hidden_state).probability
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


def test_class_indices_of_a_multi_label_model_are_clips_with_that_one_label_and_it_says_so(tiny_model, caplog):
    expected = tiny_model(spectrograms(), labels=torch.tensor([[1.0, 0, 0], [0, 0, 1.0]])).loss
    for labels in (torch.tensor([0, 2]), torch.tensor([0, 2], dtype=torch.int32), torch.tensor([[0], [2]])):
        assert torch.equal(tiny_model(spectrograms(), labels=labels).loss, expected)
    assert caplog.text.count("Class indices in training a multi-label model") == 1


INDICES = torch.tensor([0, 2])


@pytest.mark.parametrize(
    ("labels", "classes", "problem"),
    [
        (INDICES, 3, "single_label_classification"),
        (INDICES.int(), 3, "single_label_classification"),
        (INDICES[:, None], 3, "single_label_classification"),
        (torch.rand(2, 3), 3, "multi_label_classification"),
        (torch.rand(2), 1, "regression"),
        (torch.rand(2, 1), 1, "regression"),
        (torch.tensor([0, 1]), 1, "regression"),
    ],
)
def test_without_a_problem_type_the_labels_decide_as_in_transformers(tiny_config, labels, classes, problem):
    tiny_config.problem_type, tiny_config.num_labels = None, classes
    model = PslaForAudioClassification(tiny_config).eval()
    loss = model(spectrograms(), labels=labels).loss
    assert model.config.problem_type == problem
    logits = model(spectrograms()).logits
    plain = SimpleNamespace(problem_type=None, num_labels=classes)
    labels = labels.long() if problem.startswith("single") else labels.float()
    torch.testing.assert_close(loss, ForSequenceClassificationLoss(labels, logits, plain))
    assert plain.problem_type == problem


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification", "regression"])
@pytest.mark.parametrize("labels", [torch.rand(2, 4), torch.rand(3), torch.zeros(3, dtype=int), torch.rand(2)])
def test_labels_of_another_shape_are_refused_with_the_shape_that_is_expected(tiny_model, problem, labels):
    tiny_model.config.problem_type = problem
    with pytest.raises(ValueError, match=r"Expected targets \[2, 3\]"):
        tiny_model(spectrograms(), labels=labels)


def test_one_class_is_a_model_like_any_other(tiny_config):
    tiny_config.num_labels = 1
    model = PslaForAudioClassification(tiny_config).eval()
    losses = [model(spectrograms(), labels=labels).loss for labels in (torch.ones(2), torch.ones(2, 1).int())]
    assert model(spectrograms()).logits.shape == (2, 1) and torch.equal(*losses)


@pytest.mark.parametrize("backbone", [TINY_BACKBONE, "test_resnet"])
def test_hidden_states_are_the_stages_maps_and_change_nothing(tiny_config, backbone):
    tiny_config.backbone = backbone
    model = PslaForAudioClassification(tiny_config).eval()
    output = model(spectrograms(frames=96), output_hidden_states=True)
    sizes = [tuple(stage.shape[2:]) for stage in output.hidden_states]
    assert sizes == [(128 >> k, 96 >> k) for k in range(1, 6)]
    assert torch.equal(output.logits, model(spectrograms(frames=96)).logits)
    embedded = model.psla(spectrograms(frames=96), output_hidden_states=True)
    assert all(map(torch.equal, embedded.hidden_states, output.hidden_states))


def test_attentions_are_those_that_come_with_frame_scores(tiny_model):
    output = tiny_model(spectrograms(), output_attentions=True)
    both = tiny_model(spectrograms(), output_frame_scores=True)
    assert torch.equal(output.attentions, both.attentions) and output.frame_scores is None


def test_a_tuple_has_the_same_in_the_same_order_and_the_configuration_can_ask_for_all(tiny_model):
    everything = {"output_attentions": True, "output_hidden_states": True, "output_frame_scores": True}
    output = tiny_model(spectrograms(), labels=torch.rand(2, 3), **everything)
    names = ["loss", "logits", "hidden_states", "attentions", "frame_scores", "frame_times"]
    assert list(output) == names
    as_tuple = tiny_model(spectrograms(), return_dict=False, **everything)
    assert torch.equal(as_tuple[0], output.logits) and len(as_tuple) == len(names) - 1
    tiny_model.config.output_hidden_states = tiny_model.config.output_attentions = True
    assert list(tiny_model(spectrograms())) == ["logits", "hidden_states", "attentions"]
    tiny_model.config.return_dict = False
    assert isinstance(tiny_model(spectrograms()), tuple)
    assert isinstance(tiny_model(spectrograms(), return_dict=True), PslaAudioClassifierOutput)


def test_an_attention_mask_is_taken_and_changes_nothing(tiny_model):
    mask = torch.zeros(2, 64, dtype=int)
    assert torch.equal(tiny_model(spectrograms(), attention_mask=mask).logits, tiny_model(spectrograms()).logits)
    assert PslaModel(tiny_model.config)(spectrograms(), attention_mask=mask).pooler_output.shape[0] == 2


def test_a_spectrogram_of_another_shape_is_refused(tiny_model):
    with pytest.raises(ValueError, match=r"\[B, frames, 128\], got \[2, 64, 80\]"):
        tiny_model(torch.zeros(2, 64, 80))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_logits_are_finite_float32_also_at_the_clamp(tiny_model, dtype):
    tiny_model.pooling.head_weight.data *= 10
    with torch.autocast("cpu", dtype=dtype):
        output = tiny_model(spectrograms(), labels=torch.ones(2, 3))
    assert output.logits.dtype == output.loss.dtype == torch.float32
    assert output.logits.isfinite().all() and output.loss.isfinite()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_takes_what_the_extractor_gives(tiny_model, saved_model, tmp_path, dtype):
    """Loaded so, or saved so and loaded as it is; probabilities are float32 and close to those of full precision."""
    expected = tiny_model(spectrograms()).logits.sigmoid()
    loaded = AutoModelForAudioClassification.from_pretrained(saved_model, dtype=dtype)
    loaded.save_pretrained(tmp_path / "half")
    for model in (loaded, AutoModelForAudioClassification.from_pretrained(tmp_path / "half")):
        logits = model(spectrograms()).logits
        assert model.dtype == dtype and logits.dtype == torch.float32
        torch.testing.assert_close(logits.sigmoid(), expected, rtol=0, atol=0.02)
    assert AutoModel.from_pretrained(saved_model, dtype=dtype)(spectrograms()).pooler_output.dtype == dtype


def test_channels_last_changes_nothing(tiny_model):
    expected = tiny_model(spectrograms()).logits
    tiny_model.to(memory_format=torch.channels_last)
    torch.testing.assert_close(tiny_model(spectrograms()).logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_the_model_compiles_as_one_graph(tiny_model, training):
    """Traced and differentiated as a whole, without code generation: a graph break or a sync point would raise."""
    tiny_model.train(training)
    compiled = torch.compile(tiny_model, backend="aot_eager", fullgraph=True)
    labels = torch.rand(2, 3)
    loss = compiled(spectrograms(), labels=labels).loss
    torch.testing.assert_close(loss, tiny_model(spectrograms(), labels=labels).loss, rtol=1e-4, atol=1e-4)
    loss.backward()


def test_the_model_is_exported_for_any_batch_and_length_from_33_frames(tiny_model):
    """torch.export takes a single step in time for a case of its own; the model itself takes one frame."""
    dynamic = {"input_values": {0: torch.export.Dim("clips", min=1), 1: torch.export.Dim("frames", min=33, max=8192)}}
    exported = torch.export.export(tiny_model, (), {"input_values": spectrograms(2, 96)}, dynamic_shapes=dynamic)
    for other in (spectrograms(3, 160), spectrograms(1, 33)):
        logits = exported.module()(input_values=other)["logits"]
        torch.testing.assert_close(logits, tiny_model(other).logits, rtol=1e-4, atol=1e-4)
    dynamic["input_values"][1] = torch.export.Dim("frames", min=32, max=8192)
    with pytest.raises(Exception, match="min=33"):
        torch.export.export(tiny_model, (), {"input_values": spectrograms(2, 96)}, dynamic_shapes=dynamic)
    assert tiny_model(spectrograms(1, 1)).logits.isfinite().all()


def test_gradient_checkpointing_is_refused(tiny_model):
    with pytest.raises(ValueError, match="does not support"):
        tiny_model.gradient_checkpointing_enable()


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
    single = PslaAttentionPooling(in_features=600, num_labels=5, num_heads=1)
    tiny_model._init_weights(single.scores)
    assert 0.9 * 0.1 < single.scores.weight.abs().max() <= 0.1  # the square root of 6 / 600
    assert (single.scores.bias == 0).all()
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


@pytest.mark.parametrize(("pooling", "heads"), [("attention", 1), ("mean", 4), ("linear", 4)])
def test_every_pooling_is_saved_and_loaded_whole(tiny_config, tmp_path, pooling, heads):
    tiny_config.pooling, tiny_config.num_attention_heads = pooling, heads
    model = PslaForAudioClassification(tiny_config).eval()
    model.save_pretrained(tmp_path)
    loaded = PslaForAudioClassification.from_pretrained(tmp_path)
    assert torch.equal(loaded(spectrograms()).logits, model(spectrograms()).logits)


def test_a_head_for_other_classes_is_fresh_and_the_backbone_is_kept(tiny_model, saved_model):
    loaded = PslaForAudioClassification.from_pretrained(saved_model, num_labels=7, ignore_mismatched_sizes=True)
    bound = loaded.psla.hidden_size**-0.5
    for head in (loaded.pooling.attention, loaded.pooling.scores):
        assert 0.9 * bound < head.weight.abs().max() <= bound
        assert head.bias.abs().max() <= bound
    assert torch.equal(loaded.psla.backbone.conv_stem.weight, tiny_model.psla.backbone.conv_stem.weight)


@pytest.mark.parametrize("wrong", [{"num_attention_heads": 0}, {"num_mel_bins": 16}, {"batch_norm_momentum": 0.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(Exception, match=next(iter(wrong))):
        PslaConfig(**wrong)
