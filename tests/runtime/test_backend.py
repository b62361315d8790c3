"""Backends are found by name, one file or one entry point each."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from automoe.errors import ConfigError, DependencyError
from automoe.runtime import backend as backends
from automoe.runtime.backend import DEFAULT_BACKEND, ENTRY_POINTS, check_device, find_backend


def test_an_unknown_backend_is_refused_with_those_that_exist():
    with pytest.raises(ConfigError, match=r"backend=troch.*onnx, torch.*Did you mean 'torch'"):
        find_backend("troch")


def test_another_package_adds_a_backend_by_an_entry_point(monkeypatch):
    theirs = ModuleType("their_module")
    theirs.open_stepper = lambda bundle, *, threads, precision, shortlist, device: None
    monkeypatch.setitem(sys.modules, "their_module", theirs)
    entry = EntryPoint(name="theirs", value="their_module", group=ENTRY_POINTS)
    monkeypatch.setattr(backends, "entry_points", lambda group: [entry] if group == ENTRY_POINTS else [])
    assert find_backend("theirs") is theirs.open_stepper


@pytest.mark.parametrize(
    ("backend", "package", "extra"), [("onnx", "onnxruntime", "runtime"), ("torch", "torch", "torch")]
)
def test_a_missing_package_names_the_extra(monkeypatch, backend, package, extra):
    for module in ("onnx_backend", "onnx_stepper", "torch_backend"):
        monkeypatch.delitem(sys.modules, f"automoe.runtime.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(DependencyError, match=rf"'{package}'.*automoe\[{extra}\]"):
        find_backend(backend)


def test_another_package_cannot_take_the_name_of_one_of_ours(monkeypatch):
    entry = EntryPoint(name=DEFAULT_BACKEND, value="their_module", group=ENTRY_POINTS)
    monkeypatch.setattr(backends, "entry_points", lambda group: [entry])
    pytest.importorskip("onnxruntime")
    assert find_backend(DEFAULT_BACKEND).__module__ == "automoe.runtime.onnx_backend"


def test_a_device_is_checked_without_a_bundle_and_named_by_the_key_of_the_user():
    pytest.importorskip("torch")
    check_device("torch", "cpu", "profile.device")
    with pytest.raises(
        ConfigError, match=r"profile\.device=cuda:99: is no device of this machine \(allowed: cpu"
    ) as error:
        check_device("torch", "cuda:99", "profile.device")
    assert error.value.key == "profile.device"


def test_a_backend_that_says_nothing_of_devices_runs_on_the_cpu_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "their_module", ModuleType("their_module"))
    entry = EntryPoint(name="theirs", value="their_module", group=ENTRY_POINTS)
    monkeypatch.setattr(backends, "entry_points", lambda group: [entry])
    check_device("theirs", "cpu", "profile.device")
    with pytest.raises(ConfigError, match=r"profile\.device=cuda: the backend theirs .* CPU alone \(allowed: cpu\)"):
        check_device("theirs", "cuda", "profile.device")


def test_the_device_of_an_unknown_backend_is_refused_by_the_backend():
    with pytest.raises(ConfigError, match="backend=troch"):
        check_device("troch", "cuda")
