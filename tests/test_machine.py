import json
import subprocess

import pytest

from automoe import machine
from automoe.machine import describe_machine, identity_of

X86 = "processor\t: 0\nmodel name\t: A: fast one\nflags\t\t: fpu avx2 avx512f amx_int8\n\nmodel name\t: another\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd i8mm\n"
VERSION = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"


@pytest.fixture
def system(monkeypatch, tmp_path):
    """A machine whose files can be written: `system("cpuinfo", text)`."""
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine, "_NVIDIA", tmp_path / "nvidia")
    monkeypatch.setattr(machine, "_GOVERNOR", tmp_path / "governor")
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    describe_machine.cache_clear()

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    yield write
    describe_machine.cache_clear()


def test_this_machine_is_described_in_plain_values():
    found = describe_machine()
    assert json.loads(json.dumps(found)) == found
    assert found["processor"] and found["cores"] >= 1


def test_processor_extensions_and_governor_are_what_linux_says(system):
    system("cpuinfo", X86)
    system("governor", "powersave\n")
    found = describe_machine()
    assert (found["processor"], found["governor"]) == ("A: fast one", "powersave")
    assert found["isa"] == ["avx2", "avx512f", "amx_int8"]
    assert (found["gpus"], found["gpu_driver"]) == ([], None)


def test_extensions_of_arm_are_found_under_their_own_name(system):
    system("cpuinfo", ARM)
    assert describe_machine()["isa"] == ["asimd", "i8mm"]


def test_a_machine_that_tells_nothing_is_described_all_the_same(system):
    found = describe_machine()
    assert found["processor"] and found["isa"] == [] and found["governor"] is None


def test_gpus_are_what_the_driver_shows(system):
    system("nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA Fast\nIRQ: 7\n")
    system("nvidia/gpus/0000:02:00.0/information", "Model: \t\t NVIDIA Slow\n")
    system("nvidia/version", VERSION)
    found = describe_machine()
    assert (found["gpus"], found["gpu_driver"]) == (["NVIDIA Fast", "NVIDIA Slow"], "535.104.05")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            "echo 'NVIDIA Fast, 20GB, 535.1'; echo 'NVIDIA Slow, 535.1'",
            (["NVIDIA Fast, 20GB", "NVIDIA Slow"], "535.1"),
        ),
        ("echo 'has failed, sorry'; exit 9", ([], None)),
        ("true", ([], None)),
    ],
)
def test_where_the_driver_shows_no_files_its_program_is_asked(system, monkeypatch, script, expected):
    program = system("nvidia-smi", f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(machine.shutil, "which", lambda name: str(program))
    found = describe_machine()
    assert (found["gpus"], found["gpu_driver"]) == expected


def test_a_program_of_the_driver_that_hangs_tells_nothing(system, monkeypatch):
    def hang(command, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(machine.shutil, "which", lambda name: name)
    monkeypatch.setattr(machine.subprocess, "run", hang)
    assert (describe_machine()["gpus"], describe_machine()["gpu_driver"]) == ([], None)


def test_a_machine_is_known_by_its_processor_and_for_a_gpu_by_its_gpus():
    here = {"processor": "one", "gpus": ["fast"], "cores": 2}
    assert identity_of(here, "cpu-1t") == identity_of(here | {"gpus": [], "cores": 1}, "cpu-1t")
    assert identity_of(here, "cpu-1t") != identity_of(here | {"processor": "other"}, "cpu-1t")
    assert identity_of(here, "cuda") == identity_of(here | {"cores": 1}, "cuda")
    assert identity_of(here, "cuda") != identity_of(here | {"gpus": ["slow"]}, "cuda")
