"""Switch and dense Transformers are points of one space, trained by the same code: what docs/switch.md says."""

import shlex
import subprocess
import sys
import types
from pathlib import Path

import pytest

pytest.importorskip("hydra")

from automoe import cli
from automoe.cost import costs
from automoe.space import find_architecture, find_space, read_architecture, read_space
from tests.conftest import CORPUS, TINY_SIZES

DOCS = (Path(__file__).parents[2] / "docs" / "switch.md").read_text()
COMMANDS = [shlex.split(line)[1:] for line in DOCS.splitlines() if line.startswith("    automoe run ")]
SWITCH, DENSE = (read_architecture(find_architecture(f"{name}_small")) for name in ("switch", "dense"))


@pytest.fixture
def configs(monkeypatch):
    """The configurations that the run commands received."""
    received = []
    module = types.ModuleType("automoe.pipeline.run")
    module.run = lambda command, config, as_json: received.append(config)
    monkeypatch.setitem(sys.modules, "automoe.pipeline.run", module)
    return received


def test_the_documented_commands_compose_to_the_published_settings(configs):
    assert [cli.main(command) for command in COMMANDS] == [0, 0]
    switch, dense = configs
    assert (switch.architecture, dense.architecture) == ("switch_small", "dense_small")
    assert (switch.model.capacity_factor, switch.model.router_jitter, switch.model.router_precision) == (
        1.25, 0.01, "float32"
    )  # fmt: skip
    assert (dense.model.capacity_factor, dense.model.router_jitter) == (None, 0.0)
    assert (switch.training.balance_loss, switch.training.router_z_loss) == (0.01, 0.001)
    assert switch.training == dense.training and switch.data == dense.data


def test_switch_and_dense_are_points_of_one_space(tmp_path):
    path = tmp_path / "small.yaml"
    side = "{dim: 128, layers: %d, layer: {heads: {choice: [2, 4]}, experts: {choice: [2, 4, 8]}, expert_width: 256}}"
    patterns = "expert_layers: {choice: [none, every 2, all]}"
    path.write_text(f"{patterns}\nencoder: {side % 4}\ndecoder: {side % 2}\n")
    space = read_space(path)
    assert SWITCH in space and DENSE in space
    assert DENSE.fits(SWITCH)


def test_of_the_shipped_space_every_layer_has_experts_of_one_width_and_dense_ones_are_among_it():
    space = read_space(find_space("switch"))
    counts = {layer.num_experts for layer in space.smallest().encoder.layers}
    assert counts == {1}
    assert all(len(set(layer.expert_widths)) == 1 for layer in space.largest().encoder.layers)


def test_switch_costs_a_token_what_dense_costs_apart_from_its_routers():
    switch, dense = (costs(arch, vocab_size=4000, pre_norm=True) for arch in (SWITCH, DENSE))
    routers = 2 * 30 * 128 * 8 * 3  # multiply-adds of 30 tokens, 8 scores of 128 states each, in three layers
    assert switch.flops - dense.flops == routers
    assert routers < 0.004 * dense.flops
    assert switch.params_total > 1.9 * dense.params_total


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[1])
def test_the_documented_commands_run_at_the_smallest_size(command, tmp_path):
    files = [
        f"data.{split}_{side}={CORPUS / split}.{language}"
        for split in ("train", "valid", "test")
        for side, language in (("source", "en"), ("target", "de"))
    ]
    small = ["data=text", *files, *TINY_SIZES, f"runs_dir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "automoe.cli", *command, *small], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*/export/current/bundle/bundle.json"))
