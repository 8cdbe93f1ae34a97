"""Running means are plain equal means."""

import pytest
import torch

from psla_hf.models.averaging import RunningMean


def test_the_running_mean_is_the_mean():
    members = [{"a": torch.randn(3, 4), "b": torch.randn(2)} for _ in range(7)]
    mean = RunningMean()
    for member in members:
        mean.update(member)
    for name, tensor in mean.result().items():
        torch.testing.assert_close(tensor, torch.stack([member[name] for member in members]).mean(dim=0))


def test_averaging_a_checkpoint_with_itself_changes_nothing(tiny_model):
    state = {name: tensor.clone() for name, tensor in tiny_model.state_dict().items()}
    mean = RunningMean()
    for _ in range(3):
        mean.update(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in mean.result().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_members_and_means_are_copied_and_integers_are_the_last_ones(dtype):
    weight, mean = torch.zeros(2, dtype=dtype), RunningMean()
    for count in (1, 2):
        weight += 1
        mean.update({"weight": weight, "num_batches_tracked": torch.tensor(10 * count)})
    before = mean.result()
    assert before["weight"].tolist() == [1.5, 1.5] and before["num_batches_tracked"] == 20
    mean.update({"weight": weight + 1, "num_batches_tracked": torch.tensor(0)})
    assert weight.tolist() == [2, 2] and before["weight"].tolist() == [1.5, 1.5]


def test_other_architectures_and_no_members_are_refused():
    mean = RunningMean()
    with pytest.raises(ValueError, match="at least one member"):
        mean.result()
    mean.update({"a": torch.zeros(2)})
    with pytest.raises(ValueError, match="same names and shapes"):
        mean.update({"a": torch.zeros(3)})


def test_a_mean_goes_on_from_its_state():
    members = [{"a": torch.randn(3), "n": torch.tensor(k)} for k in range(5)]
    straight, interrupted = RunningMean(), RunningMean()
    for member in members:
        straight.update(member)
    for member in members[:3]:
        interrupted.update(member)
    resumed = RunningMean()
    resumed.load_state_dict(interrupted.state_dict())
    for member in members[3:]:
        resumed.update(member)
    assert all(torch.equal(tensor, straight.result()[name]) for name, tensor in resumed.result().items())
