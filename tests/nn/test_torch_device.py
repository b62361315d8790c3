import pytest
import torch

from automoe.errors import ConfigError
from automoe.nn import find_device


def pretend_gpus(monkeypatch, number, version="13.0"):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
    monkeypatch.setattr(torch.version, "cuda", version)


def test_the_cpu_is_everywhere():
    assert find_device("cpu") == torch.device("cpu")


def test_a_gpu_that_is_there_is_found_by_its_number_and_the_first_without_one(monkeypatch):
    pretend_gpus(monkeypatch, 2)
    found = [find_device(name) for name in ("cuda", "cuda:0", "cuda:1")]
    assert [(device.type, device.index) for device in found] == [("cuda", 0), ("cuda", 0), ("cuda", 1)]


@pytest.mark.parametrize(
    ("number", "version", "name", "words"),
    [
        (0, "13.0", "cuda", r"allowed: cpu\)\. PyTorch sees no GPU"),
        (0, None, "cuda", r"allowed: cpu\)\. PyTorch .* was built without CUDA"),
        (2, "13.0", "cuda:2", r"allowed: cpu, cuda:0, cuda:1\)\. Numbers begin at 0"),
        (1, "13.0", "cud", r"allowed: cpu, cuda:0\)\. Did you mean 'cuda'"),
        (1, "13.0", "gpu", r"allowed: cpu, cuda:0\)"),
        (1, "13.0", "cpu:0", r"allowed: cpu, cuda:0\)\. Did you mean 'cpu'"),
        (1, "13.0", "cuda:01", r"allowed: cpu, cuda:0\)"),
        (1, "13.0", "", r"allowed: cpu, cuda:0\)"),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_those_that_are(monkeypatch, number, version, name, words):
    pretend_gpus(monkeypatch, number, version)
    with pytest.raises(ConfigError, match=words) as error:
        find_device(name, "profile.device")
    assert (error.value.key, error.value.value) == ("profile.device", name)
