"""What runs on a CPU runs on a GPU, in half precision too. Needs one: without it these tests are skipped."""

import signal

import pytest
import torch
from accelerate.state import AcceleratorState

from psla_hf import PslaFeatureExtractor
from psla_hf.data.toy import make_scenes
from psla_hf.training.build import make_accelerator
from psla_hf.training.recipes import get_recipe
from psla_hf.training.run.settings import RunSettings
from psla_hf.training.trainer import RunInterruptedError, Trainer
from tests.conftest import TINY_BACKBONE

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
RECIPE = get_recipe("scenes").replace(
    backbone=TINY_BACKBONE, pretraining="none", epochs=3, batch_size=8, warmup_steps=2
)


@pytest.fixture(scope="module")
def scenes():
    return make_scenes(24, seed=1)[0], make_scenes(20, seed=2)[0]


def on_gpu(mixed_precision: str):
    """An accelerator of the GPU, whatever this process used before."""
    AcceleratorState._reset_state(reset_partial_state=True)
    return make_accelerator(mixed_precision=mixed_precision)


@pytest.fixture(autouse=True, scope="module")
def cpu_afterwards():
    """Accelerators of a process share their state: leave the one that the other tests have."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    make_accelerator(cpu=True)


def test_features_are_those_of_the_cpu():
    waveforms = 0.1 * torch.randn(4, 16000, generator=torch.Generator().manual_seed(0))
    extractor = PslaFeatureExtractor(max_length=98)
    there = extractor.log_mel(waveforms.cuda(), [16000, 16000, 8000, 400])
    assert there.is_cuda
    torch.testing.assert_close(there.cpu(), extractor.log_mel(waveforms, [16000, 16000, 8000, 400]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("mixed_precision", ["no", "bf16", "fp16"])
def test_a_run_learns_what_it_learns_on_a_cpu(scenes, tmp_path, mixed_precision):
    AcceleratorState._reset_state(reset_partial_state=True)
    on_cpu = Trainer(RECIPE, *scenes, tmp_path / "cpu", make_accelerator(cpu=True)).train()
    results = Trainer(RECIPE, *scenes, tmp_path / "gpu", on_gpu(mixed_precision)).train()
    assert results["mixed_precision"] == mixed_precision
    assert [row["loss"] for row in results["epochs"]] == pytest.approx(
        [row["loss"] for row in on_cpu["epochs"]], rel=0.05
    )


def test_a_stopped_run_goes_on_in_half_precision(scenes, tmp_path, monkeypatch):
    """With fp16's loss scale among what is restored; GPUs promise no bits, so losses are compared closely."""
    whole = Trainer(RECIPE, *scenes, tmp_path / "whole", on_gpu("fp16")).train()
    stopped = Trainer(RECIPE, *scenes, tmp_path / "stopped", on_gpu("fp16"))
    monkeypatch.setattr(stopped.interruption, "signal", signal.SIGTERM)
    with pytest.raises(RunInterruptedError):
        stopped.train()
    resumed = Trainer(RECIPE, *scenes, tmp_path / "stopped", on_gpu("fp16"), RunSettings(resume=True)).train()
    assert [row["loss"] for row in resumed["epochs"]] == pytest.approx(
        [row["loss"] for row in whole["epochs"]], rel=0.02
    )


def test_the_model_compiles_and_synchronises(scenes, tmp_path):
    recipe = RECIPE.replace(compile=True, sync_batch_norm=True, epochs=1)
    assert Trainer(recipe, *scenes, tmp_path, on_gpu("bf16")).train()["results"]["averaged"]["mAP"] > 0
