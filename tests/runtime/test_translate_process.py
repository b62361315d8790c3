"""`automoe translate` as a process of its own, with a real bundle."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sentencepiece")

from automoe.runtime import load
from tests.runtime.tiny_bundle import SENTENCES, make_bundle

PROGRAM = """
import sys
from automoe.cli import main
status = main(sys.argv[1:])
print("STATUS", status, *sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
print("ROOMS", *sorted({name for name in sys.modules if name.startswith("automoe.")}), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny").bundle.folder


def test_a_process_translates_alike_and_never_hears_of_training(folder):
    text = b"".join(line.encode() + b"\n" for line in SENTENCES) + b"cat \xff\n"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "translate", str(folder)], input=text, capture_output=True, check=True
    )
    wanted = load(folder).translate([*SENTENCES, "cat \ufffd"])
    assert done.stdout.decode().splitlines() == wanted
    err = done.stderr.decode()
    assert f"stdin:{len(SENTENCES) + 1}: warning: invalid UTF-8" in err and "Traceback" not in err
    status = next(line for line in err.splitlines() if line.startswith("STATUS"))
    assert status.split()[1] == "0"
    assert not {"fairseq", "hydra", "omegaconf", "sacrebleu", "yaml"} & set(status.split())
    rooms = next(line for line in err.splitlines() if line.startswith("ROOMS")).split()[1:]
    unused = {"cost", "data", "evaluation", "export", "pipeline", "training"}
    assert not {room.split(".")[1] for room in rooms} & unused


def test_a_closed_pipe_ends_quietly(folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "automoe.cli", "translate", str(folder), "--beam", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    _, errors = process.communicate(b"cat\n" * 2000)
    assert errors == b"" and process.returncode in (0, 141)
