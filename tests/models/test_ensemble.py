"""An ensemble is a model like any other: the mean of its members, whatever they are made of."""

import itertools

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForAudioClassification

from psla_hf import (
    AudioTagger,
    PslaConfig,
    PslaEnsembleConfig,
    PslaEnsembleForAudioClassification,
    PslaEnsembleModel,
    PslaFeatureExtractor,
    PslaForAudioClassification,
)
from psla_hf.models.modeling_psla_ensemble import mean_of_members
from psla_hf.models.pooling_psla import Pooled
from tests.conftest import CATEGORIES, TINY_BACKBONE


def spectrograms(batch: int = 2, frames: int = 64) -> torch.Tensor:
    return torch.randn(batch, frames, 128, generator=torch.Generator().manual_seed(0))


def tagger(seed: int, names=CATEGORIES, **settings) -> PslaForAudioClassification:
    torch.manual_seed(seed)
    config = PslaConfig(**{"backbone": TINY_BACKBONE, "id2label": dict(enumerate(names)), **settings})
    return PslaForAudioClassification(config).eval()


@pytest.fixture(scope="module")
def members() -> list[PslaForAudioClassification]:
    """Different backbones, poolings, numbers of heads and orders of the classes."""
    return [
        tagger(0),
        tagger(1, ("rooster", "dog", "rain"), backbone="test_resnet", num_attention_heads=1),
        tagger(2, ("rain", "rooster", "dog"), pooling="mean"),
    ]


@pytest.fixture(scope="module")
def ensemble(members) -> PslaEnsembleForAudioClassification:
    return PslaEnsembleForAudioClassification.from_members(members)


def assert_the_same(loaded, saved) -> None:
    """Weights to the bit; outputs to float tolerance, because oneDNN's kernels depend on where weights lie."""
    expected = saved.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())
    torch.testing.assert_close(loaded(spectrograms()).logits, saved(spectrograms()).logits, rtol=1e-5, atol=1e-5)


def probabilities_by_name(model, **how) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        probabilities = model(spectrograms(**how)).logits.sigmoid()
    return {name: probabilities[:, k] for k, name in enumerate(model.config.label_names)}


def test_its_probabilities_are_the_mean_of_the_members_class_by_class(members, ensemble):
    of_members = [probabilities_by_name(member) for member in members]
    for name, mean in probabilities_by_name(ensemble).items():
        torch.testing.assert_close(mean, torch.stack([member[name] for member in of_members]).mean(dim=0))


def test_the_order_of_its_classes_can_be_chosen(members, ensemble):
    turned = PslaEnsembleForAudioClassification.from_members(members, label_names=CATEGORIES[::-1])
    assert turned.config.label_names == list(CATEGORIES[::-1])
    assert turned.config.label2id == {"rooster": 0, "rain": 1, "dog": 2}
    assert torch.equal(turned(spectrograms()).logits, ensemble(spectrograms()).logits.flip(1))


def test_one_member_and_twice_the_same_are_the_member(members, tmp_path):
    """To the bit, also where the member's weighted sum exceeds 1 and is clamped."""
    loud = tagger(3)
    loud.pooling.head_weight.data *= 3
    for count, member in itertools.product((1, 2), [*members, loud]):
        same = PslaEnsembleForAudioClassification.from_members([member] * count)
        assert torch.equal(same(spectrograms()).logits, member(spectrograms()).logits)
    same.save_pretrained(tmp_path)  # of tensors that are shared, saving would lose one
    assert_the_same(PslaEnsembleForAudioClassification.from_pretrained(tmp_path), same)


@pytest.mark.parametrize("problem_type", ["multi_label_classification", "single_label_classification", "regression"])
def test_its_loss_is_that_of_a_single_model(problem_type):
    member = tagger(0, problem_type=problem_type)
    ensemble = PslaEnsembleForAudioClassification.from_members([member])
    labels = torch.tensor([0, 2]) if problem_type.startswith("single") else torch.rand(2, 3)
    assert torch.equal(ensemble(spectrograms(), labels=labels).loss, member(spectrograms(), labels=labels).loss)


def test_its_hidden_states_are_the_members_and_a_problem_type_is_decided_for_all(tmp_path):
    members = [tagger(seed, problem_type=None) for seed in range(2)]
    ensemble = PslaEnsembleForAudioClassification.from_members(members)
    single = [stage for member in members for stage in member(spectrograms(), output_hidden_states=True).hidden_states]
    maps = ensemble(spectrograms(), output_hidden_states=True).hidden_states
    torch.testing.assert_close(list(maps), single)
    ensemble(spectrograms(), labels=torch.tensor([0, 2]))
    ensemble.save_pretrained(tmp_path)
    loaded = PslaEnsembleForAudioClassification.from_pretrained(tmp_path)
    assert loaded.config.problem_type == loaded.members[1].config.problem_type == "single_label_classification"
    embedded = AutoModel.from_pretrained(tmp_path)(spectrograms(), output_hidden_states=True).hidden_states
    torch.testing.assert_close(list(embedded), single)


def test_gradients_reach_every_member():
    ensemble = PslaEnsembleForAudioClassification.from_members([tagger(0), tagger(1, pooling="linear")]).train()
    ensemble(spectrograms(), labels=torch.rand(2, 3)).loss.backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in ensemble.parameters())


def test_saved_and_loaded_it_is_the_same_through_every_auto_class(members, ensemble, tmp_path):
    ensemble.save_pretrained(tmp_path)
    PslaFeatureExtractor(max_length=98).save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == ["model.safetensors"]
    loaded = AutoModelForAudioClassification.from_pretrained(tmp_path)
    assert isinstance(loaded, PslaEnsembleForAudioClassification) and not loaded.training
    assert_the_same(loaded, ensemble)
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, PslaEnsembleConfig) and config.label_names == list(CATEGORIES)
    assert [member.backbone for member in config.member_configs] == [m.config.backbone for m in members]
    assert AutoFeatureExtractor.from_pretrained(tmp_path).max_length == 98

    audio = 0.1 * np.random.default_rng(0).standard_normal(15000).astype(np.float32)
    scores = [AudioTagger(model, PslaFeatureExtractor(max_length=98)).scores(audio, 16000) for model in members]
    by_name = [
        dict(zip(m.config.label_names, s[0].tolist(), strict=True)) for m, s in zip(members, scores, strict=True)
    ]
    for tag in AudioTagger.from_pretrained(tmp_path)(audio, 16000):
        assert tag["score"] == pytest.approx(np.mean([member[tag["label"]] for member in by_name]), abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision_it_takes_what_the_extractor_gives(ensemble, tmp_path, dtype):
    ensemble.save_pretrained(tmp_path)
    PslaFeatureExtractor(max_length=98).save_pretrained(tmp_path)
    loaded = AutoModelForAudioClassification.from_pretrained(tmp_path, dtype=dtype)
    logits = loaded(spectrograms()).logits
    assert loaded.dtype == dtype and logits.dtype == torch.float32
    torch.testing.assert_close(logits.sigmoid(), ensemble(spectrograms()).logits.sigmoid(), rtol=0, atol=0.02)
    loaded.save_pretrained(tmp_path)
    tags = AudioTagger.from_pretrained(tmp_path)(np.zeros(15000, np.float32), 16000)
    assert len(tags) == len(CATEGORIES)


def test_saved_in_shards_it_is_the_same(ensemble, tmp_path):
    ensemble.save_pretrained(tmp_path, max_shard_size="1MB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert_the_same(PslaEnsembleForAudioClassification.from_pretrained(tmp_path), ensemble)


def test_auto_model_gives_the_members_embeddings_side_by_side(members, ensemble, tmp_path, caplog):
    ensemble.save_pretrained(tmp_path)
    model = AutoModel.from_pretrained(tmp_path)
    assert isinstance(model, PslaEnsembleModel)
    output = model(spectrograms(frames=96))
    hidden = [member.psla(spectrograms(frames=96)) for member in members]
    assert model.hidden_size == sum(member.psla.hidden_size for member in members)
    torch.testing.assert_close(output.pooler_output, torch.cat([one.pooler_output for one in hidden], dim=1))
    torch.testing.assert_close(output.last_hidden_state, torch.cat([one.last_hidden_state for one in hidden], dim=2))
    assert "UNEXPECTED" not in caplog.text and "MISSING" not in caplog.text


def test_frame_scores_are_the_mean_and_attentions_the_members_heads(members, ensemble):
    with torch.no_grad():
        output = ensemble(spectrograms(frames=160), output_frame_scores=True)
        single = [member(spectrograms(frames=160), output_frame_scores=True) for member in members]
    order = [1, 2, 0]  # of "dog", "rain", "rooster" in the second member
    turned = [single[0].frame_scores, single[1].frame_scores[..., order], single[2].frame_scores[..., [2, 0, 1]]]
    torch.testing.assert_close(output.frame_scores, torch.stack(turned).mean(dim=0))
    assert output.attentions.shape == (2, 4 + 1 + 1, 5, 3)
    torch.testing.assert_close(output.attentions[:, 4], single[1].attentions[:, 0][..., order] / 3)
    torch.testing.assert_close(output.frame_times, single[0].frame_times)


def test_members_with_fewer_steps_are_brought_to_the_finest_time_grid():
    """By hand: two steps over the time of four have their middles at 0.5 and 2.5 of the four, and are held outside."""
    fine = Pooled(torch.zeros(1, 1), torch.zeros(1, 4, 1), torch.full((1, 1, 4, 1), 0.25))
    coarse = Pooled(torch.ones(1, 1), torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[[0.6], [0.2]]]]))
    mean = mean_of_members([fine, coarse])
    assert mean.probability.item() == 0.5
    torch.testing.assert_close(mean.frame_scores[0, :, 0], torch.tensor([0.0, 0.125, 0.375, 0.5]))
    assert mean.attentions.shape == (1, 2, 4, 1)
    torch.testing.assert_close(mean.attentions.sum(dim=2)[0, :, 0], torch.tensor([0.5, 0.4]))


def test_scores_per_frame_need_a_member_that_has_them():
    ensemble = PslaEnsembleForAudioClassification.from_members([tagger(0), tagger(1, pooling="linear")])
    assert ensemble(spectrograms()).frame_scores is None and not ensemble.config.has_frame_scores
    assert PslaEnsembleForAudioClassification.from_members([tagger(0), tagger(1)]).config.has_frame_scores
    with pytest.raises(ValueError, match="no scores per frame"):
        ensemble(spectrograms(), output_frame_scores=True)


def test_weights_are_held_once_and_are_as_many_as_the_members(members, ensemble):
    assert sum(p.numel() for p in ensemble.parameters()) == sum(p.numel() for m in members for p in m.parameters())
    held = {p.data_ptr() for p in ensemble.parameters()}
    assert held == {p.data_ptr() for member in members for p in member.parameters()}


def test_a_member_can_be_taken_out_and_saved(members, ensemble, tmp_path):
    ensemble.members[1].save_pretrained(tmp_path)
    loaded = AutoModelForAudioClassification.from_pretrained(tmp_path)
    assert loaded.config.label_names == ["rooster", "dog", "rain"]
    assert_the_same(loaded, members[1])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"names": ("dog", "rain", "cat")},
            r"member 2.*1 are missing \['rooster'\], 1 are not the ensemble's \['cat'\]",
        ),
        ({"num_mel_bins": 64}, "member 2 takes 64 mel bins, the first one 128"),
        ({"problem_type": "regression"}, "that of member 2 is regression"),
    ],
    ids=["classes", "mel", "problem"],
)
def test_members_that_do_not_go_together_are_refused_with_what_differs(other, message):
    with pytest.raises(ValueError, match=message):
        PslaEnsembleForAudioClassification.from_members([tagger(0), tagger(1, **other)])


def test_no_members_ensembles_of_ensembles_and_a_new_head_are_refused(ensemble, tmp_path):
    with pytest.raises(ValueError, match="at least one member"):
        PslaEnsembleForAudioClassification.from_members([])
    with pytest.raises(ValueError, match="Give an ensemble's members"):
        PslaEnsembleForAudioClassification.from_members([ensemble])
    with pytest.raises(ValueError, match="configuration with members"):
        PslaEnsembleForAudioClassification(PslaEnsembleConfig())
    ensemble.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="5 classes in every member"):
        PslaEnsembleForAudioClassification.from_pretrained(tmp_path, num_labels=5, ignore_mismatched_sizes=True)


def test_classes_that_share_a_name_are_only_for_members_of_one_order():
    names = ("dog", "dog", "rain")
    PslaEnsembleForAudioClassification.from_members([tagger(0, names), tagger(1, names)])
    with pytest.raises(ValueError, match="some share one"):
        PslaEnsembleForAudioClassification.from_members([tagger(0, names), tagger(1, names[::-1])])
