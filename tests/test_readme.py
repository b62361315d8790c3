"""Every command of the README runs, at the smallest size."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TINY_SIZES

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]

# The programs that the README calls, with settings that make them small added at the end: those of `tiny_run`, where
# the command does not say otherwise, so that its results serve. A space of one's own becomes small before it is used.
_SMALL = """\
#!/usr/bin/env bash
small=()
if [[ " run profile predictor search select distill export fidelity " == *" $1 "* && "$*" != *--cfg* ]]; then
  [[ "$*" != *space=my_space.yaml* ]] || cp search_spaces/tiny.yaml my_space.yaml
  if [[ "$*" == *data=* ]]; then small+=({measured} data.split.valid_size=20 data.split.test_size=20)
  else small+=({data}); fi
  [[ "$*" == *architecture=* || "$*" == *space=* ]] || small+=(space=tiny)
  [[ "$*" == *architecture=* || "$*" == *data=* || "$*" == *profile* ]] || small+=({table})
  if [[ "$*" == *profile.table=* ]]; then small+=({measured})
  elif [[ "$*" != *budget* ]]; then small+=(budget.latency_ms.max_ratio=0.8); fi
  [[ "$*" == *search=* ]] || small+=({searcher})
  small+=({sizes})
fi
exec {program} "$@" "${{small[@]}}"
"""
_DATA = ("data=", "data.train_", "data.valid_", "data.test_")
_OWN = ("space=", "budget.", "search.options")
"""Settings that some commands of the README give themselves."""
_MEASURED = ("budget={latency_ms: {max: 1000}}",)
"""A budget that a busy machine keeps too."""
_SHORT = '#!/usr/bin/env bash\nexec {program} "$@" --cpu --max-update 2\n'
_BRIEF = '#!/usr/bin/env bash\nexec {program} "$@" --cpu --max-len-b 10\n'


@pytest.fixture(scope="module")
def world(tiny_run, tmp_path_factory):
    """A clone after `make setup` and `make run`: its folders, and the programs first on the path."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(tiny_run.run_dir, folder / "runs/quickstart", symlinks=True)
    programs = folder / "bin"
    programs.mkdir()
    real = Path(sys.executable).parent
    for name, script in (("automoe", _SMALL), ("fairseq-train", _SHORT), ("fairseq-generate", _BRIEF)):
        chosen = {
            "data": [setting for setting in tiny_run.overrides if setting.startswith(_DATA)],
            "table": [setting for setting in tiny_run.overrides if setting.startswith("profile.table=")],
            "measured": _MEASURED,
            "searcher": [setting for setting in TINY_SIZES if setting.startswith("search.options")],
            "sizes": [setting for setting in TINY_SIZES if not setting.startswith(_OWN)],
        }
        settings = {key: " ".join(f"'{setting}'" for setting in group) for key, group in chosen.items()}
        (programs / name).write_text(script.format(program=real / name, **settings))
        (programs / name).chmod(0o755)
    for name in ("tests", "search_spaces", "conf"):
        (folder / name).symlink_to(ROOT / name)
    return folder, os.environ | {"PATH": f"{programs}:{real}:{os.environ['PATH']}"}


def shell(folder, environment, command):
    done = subprocess.run(
        ["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_readme_has_commands_of_every_kind():
    assert {command.split()[0] for command in COMMANDS} >= {"make", "automoe", "fairseq-train", "fairseq-generate"}
    assert PYTHON


def test_readme_is_finished():
    assert not re.search(r"^[A-Z_]{5,}$|@@", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_every_command_runs_in_order(world):
    folder, environment = world
    for command in COMMANDS:
        if command.startswith(("make ", "source ")):
            continue  # the set-up that this world has already; CI runs the real one
        status, out, errors = shell(folder, environment, command)
        assert status == 0, f"{command}\n{out}\n{errors}"
    trained = [path for path in (folder / "runs/quickstart/supernet").iterdir() if not path.is_symlink()]
    assert len(trained) == 1  # before the first command


@pytest.mark.parametrize("code", PYTHON)
def test_every_python_block_runs(world, code):
    folder, environment = world
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for command in COMMANDS:
        if command.startswith("make "):
            assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE)
