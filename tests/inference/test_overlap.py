"""Work in threads comes back in order, whole, and leaves torch's threads as they were."""

import threading

import pytest
import torch

from psla_hf.inference.overlap import ahead, in_streams


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("streams", [1, 2, 3])
def test_every_item_comes_back_in_order(count, streams):
    together = in_streams(lambda k: k * k, ahead(range(count), 2), streams)
    assert list(together) == [(k, k * k) for k in range(count)]


def test_so_many_are_at_work_at_once_each_with_its_share_of_the_threads(torch_threads):
    torch_threads(4)
    together = threading.Barrier(2, timeout=30)

    def work(_: int) -> int:
        together.wait()  # breaks where one comes alone
        return torch.get_num_threads()

    assert [threads for _, threads in in_streams(work, range(4), 2)] == [2] * 4


def test_one_alone_has_all_threads(torch_threads):
    torch_threads(4)
    assert list(in_streams(lambda _: torch.get_num_threads(), [0], 2)) == [(0, 4)]


def test_new_threads_begin_with_as_many_as_before(torch_threads):
    torch_threads(3)
    seen: list[int] = []
    for _ in in_streams(lambda k: k, ahead(range(3), 2), 3):
        pass
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert [torch.get_num_threads(), *seen] == [3, 3]


@pytest.mark.parametrize("failing", [ahead, lambda items, depth: in_streams(lambda k: k, items, depth)])
def test_an_error_arrives_where_it_happened(failing):
    def items():
        yield from (1, 2, 3)
        raise ValueError("the fourth")

    seen = []
    with pytest.raises(ValueError, match="the fourth"):
        for item in failing(items(), 2):
            seen.append(item)
    assert len(seen) <= 3


@pytest.fixture
def torch_threads():
    """Sets the number of torch's threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
