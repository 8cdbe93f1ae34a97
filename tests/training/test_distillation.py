"""A student learns from labels and from a teacher, as much from each as it is told."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from psla_hf.data.foreign import as_clips
from psla_hf.data.schema import Clips, targets_of
from psla_hf.data.shards.parquet import ShardedClips, ShardIndex
from psla_hf.data.shards.prepare import prepare
from psla_hf.training.distillation import distillation_loss
from psla_hf.training.recipe import DistillationSettings
from psla_hf.training.run.settings import RunSettings
from psla_hf.training.trainer import Trainer
from tests.training.test_training import RECIPE, scenes  # noqa: F401 - a fixture

SHORT = RECIPE.replace(epochs=1, mixup_rate=0.5)


def weights_of(recipe, train, test, folder, accelerator) -> dict[str, torch.Tensor]:
    Trainer(recipe, train, test, folder, accelerator, RunSettings()).train()
    return load_file(folder / "model.safetensors")


def same(first, second, rtol=0.0) -> bool:
    return all(torch.allclose(tensor, second[name], rtol=rtol, atol=rtol) for name, tensor in first.items())


def test_the_loss_is_shared_between_labels_and_teacher():
    logits = torch.tensor([[0.5, -1.0, 2.0]])
    labels, teacher = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.8, 0.3, float("nan")]])
    on_labels = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")[0]
    on_teacher = F.binary_cross_entropy_with_logits(logits[:, :2], teacher[:, :2], reduction="none")[0]
    expected = (0.25 * on_labels[:2] + 0.75 * on_teacher).sum() + on_labels[2]
    how = DistillationSettings(distillation_weight=0.75)
    assert distillation_loss(logits, labels, teacher, how).item() == pytest.approx(expected.item() / 3)


def test_a_temperature_softens_both_and_leaves_gradients_as_large():
    teacher, how = torch.tensor([[0.9]]), DistillationSettings(distillation_weight=1.0, temperature=4.0)
    at_teacher = torch.logit(teacher).requires_grad_()
    loss = distillation_loss(at_teacher, torch.zeros(1, 1), teacher, how)
    loss.backward()
    assert at_teacher.grad.abs().item() < 1e-6  # the student who says what the teacher says has learned all
    for temperature in (1.0, 4.0):
        near = (torch.logit(torch.tensor([[0.5]])) + 1e-2).requires_grad_()
        how = DistillationSettings(distillation_weight=1.0, temperature=temperature)
        distillation_loss(near, torch.zeros(1, 1), torch.tensor([[0.5]]), how).backward()
        assert near.grad.item() == pytest.approx(1e-2 / 4, rel=1e-3)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_certain_teachers_have_finite_losses(score):
    for temperature in (1.0, 2.0):
        how = DistillationSettings(distillation_weight=1.0, temperature=temperature)
        assert distillation_loss(torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor([[score]]), how).isfinite()


def test_a_teacher_who_says_what_the_labels_say_changes_nothing(scenes, tmp_path, accelerator):  # noqa: F811
    """Though clips are mixed: its scores are, too, by the same weights."""
    train, test = scenes
    taught = as_clips(train).with_scores(targets_of(train))
    plain = weights_of(SHORT, train, test, tmp_path / "plain", accelerator)
    distilled = weights_of(SHORT.replace(distillation_weight=0.7), taught, test, tmp_path / "taught", accelerator)
    assert same(plain, distilled, rtol=1e-3)
    unlike = as_clips(train).with_scores(1 - targets_of(train))
    other = weights_of(SHORT.replace(distillation_weight=0.7), unlike, test, tmp_path / "unlike", accelerator)
    assert not same(plain, other, rtol=1e-3)


def test_clips_without_a_teachers_scores_are_learned_by_their_labels(scenes, tmp_path, accelerator):  # noqa: F811
    train, test = scenes
    nothing = as_clips(train).with_scores(np.full(targets_of(train).shape, np.nan, np.float16))
    plain = weights_of(SHORT, train, test, tmp_path / "plain", accelerator)
    distilled = weights_of(SHORT.replace(distillation_weight=1.0), nothing, test, tmp_path / "none", accelerator)
    assert same(plain, distilled, rtol=1e-3)


@pytest.mark.parametrize("streamed", [False, True])
def test_scores_belong_to_the_run_and_follow_their_clips(scenes, tmp_path, accelerator, streamed):  # noqa: F811
    train, test = scenes
    clips: Clips = as_clips(train)
    if streamed:
        prepare(train, tmp_path / "shards", split="train", clips_per_shard=10, clips_per_row_group=4)
        clips = ShardedClips.of(ShardIndex.open(sorted(map(str, (tmp_path / "shards").rglob("*.parquet")))))
    scores = np.linspace(0, 1, len(clips) * len(clips.vocabulary), dtype=np.float32).reshape(len(clips), -1)
    taught = clips.with_scores(scores)
    assert taught.fingerprint not in (clips.fingerprint, clips.with_scores(scores / 2).fingerprint)
    trainer = Trainer(
        SHORT.replace(distillation_weight=0.5, mixup_rate=0.0), taught, test, tmp_path, accelerator, RunSettings()
    )
    rows = dict(zip(clips.ids, scores, strict=True))
    heard = 0
    for batch in trainer.epochs.batches(1):
        for name, own in zip(batch.ids, batch.teacher.numpy(), strict=True):
            np.testing.assert_array_equal(own, rows[name])
            heard += 1
    assert heard == 24
    with pytest.raises(ValueError, match="select some first"):
        taught.select(range(3))


@pytest.mark.parametrize("scale", [-0.1, 1.5, np.float16(4)])
def test_logits_are_no_scores_to_learn_from(scenes, tmp_path, accelerator, scale):  # noqa: F811
    train, test = scenes
    logits = scale * targets_of(train)
    logits[0] = np.nan
    with pytest.raises(ValueError, match="Expected a teacher's probabilities, from 0 to 1, got scores from"):
        Trainer(
            SHORT.replace(distillation_weight=0.5), as_clips(train).with_scores(logits), test, tmp_path, accelerator
        )


def test_weight_and_scores_go_together(scenes, tmp_path, accelerator):  # noqa: F811
    train, test = scenes
    with pytest.raises(ValueError, match=r"got distillation_weight=0.5 and no scores \(teacher_scores=FOLDER\)"):
        Trainer(SHORT.replace(distillation_weight=0.5), train, test, tmp_path, accelerator)
    taught = as_clips(train).with_scores(targets_of(train))
    with pytest.raises(ValueError, match=r"got distillation_weight=0.0 and scores"):
        Trainer(SHORT, taught, test, tmp_path, accelerator)
    with pytest.raises(ValueError, match="scores of 24 clips for"):
        as_clips(train).with_scores(targets_of(train)[:5])
