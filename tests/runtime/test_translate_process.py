"""A process that translates, from the command line or by a call, with a real bundle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import automoe

pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sentencepiece")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from automoe.decoding.segmenter import Segmenter
from automoe.decoding.shortlist import Shortlist
from automoe.runtime import load
from tests.runtime.tiny_bundle import SENTENCES, make_bundle, segmenter_model

UNUSED_PACKAGES = {"torch", "onnx", "safetensors", "fairseq", "hydra", "omegaconf", "sacrebleu", "yaml", "pandas"}
VOCAB_SIZE = Segmenter(segmenter_model()).vocab_size
ROOMS = {path.name for path in Path(automoe.__file__).parent.iterdir() if (path / "__init__.py").is_file()}

PROGRAM = """
import sys
from automoe.cli import main
status = main(sys.argv[1:])
print("STATUS", status, *sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
print("ROOMS", *sorted({name for name in sys.modules if name.startswith("automoe.")}), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    every = Shortlist.from_rows(range(VOCAB_SIZE), [()] * VOCAB_SIZE)
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny", shortlist=every).bundle.folder


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
    assert not UNUSED_PACKAGES & set(status.split())
    rooms = next(line for line in err.splitlines() if line.startswith("ROOMS")).split()[1:]
    assert {room.split(".")[1] for room in rooms} & ROOMS == {"bundle", "commands", "decoding", "runtime"}


@pytest.mark.parametrize("use", ["", "precision='int8'", "shortlist=True, precision='int8'"])
def test_a_call_imports_what_runs_the_model_and_nothing_that_made_it(folder, use):
    program = f"""
import sys, automoe
assert automoe.load({str(folder)!r}).translate(["the cat", "", "two dogs"], {use}) != ["", "", ""]
print(*sorted(name for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "onnxruntime" in modules and not UNUSED_PACKAGES & modules
    rooms = {name.split(".")[1] for name in modules if name.startswith("automoe.")}
    assert rooms & ROOMS == {"bundle", "decoding", "runtime"}


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
