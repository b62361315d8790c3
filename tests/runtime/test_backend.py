"""Backends are found by name, one file or one entry point each."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from automoe.errors import ConfigError, DependencyError
from automoe.runtime import backend as backends
from automoe.runtime.backend import ENTRY_POINTS, find_backend


def test_an_unknown_backend_is_refused_with_those_that_exist():
    with pytest.raises(ConfigError, match=r"backend=troch.*torch.*Did you mean 'torch'"):
        find_backend("troch")


def test_another_package_adds_a_backend_by_an_entry_point(monkeypatch):
    theirs = ModuleType("their_module")
    theirs.open_stepper = lambda bundle, *, threads: None
    monkeypatch.setitem(sys.modules, "their_module", theirs)
    entry = EntryPoint(name="theirs", value="their_module", group=ENTRY_POINTS)
    monkeypatch.setattr(backends, "entry_points", lambda group: [entry] if group == ENTRY_POINTS else [])
    assert find_backend("theirs") is theirs.open_stepper


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "automoe.runtime.torch_backend", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with pytest.raises(DependencyError, match=r"'torch'.*automoe\[torch\]"):
        find_backend("torch")
