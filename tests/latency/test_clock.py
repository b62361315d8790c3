import time

import pytest
import torch

from automoe.latency.clock import clock_for


def test_one_thread_on_a_cpu_is_timed_by_what_it_computes_and_not_by_what_it_waits():
    clock = clock_for("cpu", 1)
    begin = clock()
    time.sleep(0.2)
    waited = clock() - begin
    end = time.perf_counter() + 0.2
    while time.perf_counter() < end:
        pass
    assert waited < 0.1 and clock() - begin > waited


def test_several_threads_are_timed_by_what_passes():
    clock = clock_for("cpu", 2)
    begin = clock()
    time.sleep(0.01)
    assert clock() - begin >= 0.01


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_the_clock_of_a_gpu_waits_for_it(monkeypatch, device):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    assert clock_for(device, 1)() > 0 and waited == [device]
