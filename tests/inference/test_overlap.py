"""Work in threads comes back in order, whole, and leaves torch's threads as they were."""

import threading

import pytest
import torch

from psla_hf.inference.overlap import ahead, in_streams


@pytest.fixture
def torch_threads():
    """Sets the number of torch's threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


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


@pytest.mark.parametrize(("items", "streams"), [([0], 2), ([0, 1, 2], 1)], ids=["alone", "one at a time"])
def test_one_has_the_callers_thread_and_all_of_torchs(torch_threads, items, streams):
    torch_threads(4)
    found = in_streams(lambda _: (torch.get_num_threads(), threading.current_thread()), items, streams)
    assert [threads for _, threads in found] == [(4, threading.current_thread())] * len(items)


def test_whoever_calls_and_new_threads_have_as_many_as_before(torch_threads):
    """Also a caller that never asked torch before."""
    torch_threads(3)
    seen: list[int] = []

    def caller() -> None:
        for _ in in_streams(lambda k: k, ahead(range(4), 2), 3):
            seen.append(0)
            fresh = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
            fresh.start()
            fresh.join()
        seen.append(torch.get_num_threads())

    thread = threading.Thread(target=caller)
    thread.start()
    thread.join()
    assert seen == [0, 3] * 4 + [3]
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("streams", [None, 1, 2, 4])
def test_an_error_comes_behind_what_was_made_before_it(streams):
    def items():
        yield from (1, 2, 3)
        raise ValueError("the fourth")

    coming = ahead(items(), 2)
    if streams is not None:
        coming = (item for item, _ in in_streams(lambda k: k, coming, streams))
    seen = []
    with pytest.raises(ValueError, match="the fourth"):
        for item in coming:
            seen.append(item)
    assert seen == [1, 2, 3]


def test_an_error_of_the_function_comes_in_its_place():
    found = in_streams(lambda k: 6 // k, [3, 2, 0, 1], 2)
    assert [next(found), next(found)] == [(3, 2), (2, 3)]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_who_stops_early_waits_for_no_more_than_has_begun():
    done = []
    together = in_streams(lambda k: done.append(k), ahead(iter(range(100)), 3), 2)
    next(together)
    together.close()
    assert len(done) <= 5 and threading.active_count() < 20
