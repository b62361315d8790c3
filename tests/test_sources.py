"""What holds for every source file of the package, and for its source distribution."""

import ast
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "automoe").rglob("*.py"))


def reads_or_writes_text_in_no_stated_encoding(call):
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return False
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    if call.func.attr == "open":  # a path's: its first argument is the mode
        mode = call.args[0] if call.args else ast.Constant("r")
        return isinstance(mode, ast.Constant) and "b" not in mode.value
    return call.func.attr in ("read_text", "write_text")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_text_files_are_read_and_written_in_a_stated_encoding(file):
    calls = filter(reads_or_writes_text_in_no_stated_encoding, ast.walk(ast.parse(file.read_bytes())))
    assert not [f"{file}:{call.lineno}" for call in calls]


def test_the_source_distribution_holds_what_its_makefile_and_its_tests_need(tmp_path):
    builder = pytest.importorskip("hatchling.builders.sdist").SdistBuilder(str(ROOT))
    (archive,) = builder.build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    needed = {"Makefile", "constraints.txt", "CONTRIBUTING.md", ".importlinter", "pyproject.toml", "README.md"}
    assert needed <= names
    assert {file.relative_to(ROOT).as_posix() for file in FILES} <= names
    assert {"conf/config.yaml", "tests/conftest.py", "tests/fixtures/corpus/train.en"} <= names
