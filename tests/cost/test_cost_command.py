import argparse
import json
import os
import subprocess
import sys

import pytest

from automoe.commands import cost as command
from automoe.commands.cost_measure import REFERENCE
from automoe.cost import costs
from automoe.errors import AutoMoEError, ConfigError, SpaceError
from automoe.files import write_json
from automoe.pipeline.run_folder import RunFolder
from automoe.predictor import make_predictor
from automoe.predictor.executed_flops import ExecutedFlops
from automoe.predictor.executed_report import executed_form
from automoe.space import Architecture, find_architecture, parse_arch_info, read_architecture
from tests.cost.test_analytic import PUBLISHED
from tests.predictor.samples import SPACE, architectures, latency_ms, measured
from tests.space.files.test_hat import HAT

MEASURE = ("--measure", "--vocab-size", "60", "--lengths", "4", "6", "--beam", "2")


@pytest.fixture
def run(capsys):
    def call(*arguments: str) -> str:
        parser = argparse.ArgumentParser()
        command.add_parser(parser.add_subparsers())
        args = parser.parse_args(["cost", *arguments])
        assert args.run(args) == 0
        return capsys.readouterr().out

    return call


@pytest.fixture(scope="module")
def predictor_file(tmp_path_factory):
    predictor = make_predictor("sizes")
    predictor.fit(*measured(60, noise=0.02))
    file = tmp_path_factory.mktemp("predictor") / "predictor.json"
    write_json(file, predictor.to_dict())
    return file


def write_arch(arch, folder):
    write_json(folder / "arch.json", arch.to_dict())
    return str(folder / "arch.json")


def test_the_table_shows_the_layers_and_every_cost(run):
    shown = run("tiny", "--vocab-size", "1000")
    arch = read_architecture(find_architecture("tiny"))
    assert str(arch) in shown
    for value in costs(arch, vocab_size=1000, pre_norm=True).to_dict().values():
        assert f"{value:,}" in shown


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_json_says_the_architecture_the_options_and_all_costs(run, norm):
    answer = json.loads(run("tiny", "--json", "--norm", norm, "--vocab-size", "77"))
    arch = Architecture.from_dict(answer["architecture"])
    assert arch == read_architecture(find_architecture("tiny"))
    assert answer["digest"] == arch.digest
    assert answer["costs"] == costs(arch, vocab_size=77, pre_norm=norm == "pre").to_dict()


def test_a_file_of_hat_is_read_as_it_was_published(run, tmp_path):
    (tmp_path / "hat.yml").write_text(HAT)
    assert json.loads(run(str(tmp_path / "hat.yml"), "--json"))["architecture"]["decoder"]["dim"] == 640


@pytest.mark.parametrize("published", PUBLISHED)
def test_a_published_sub_transformer_has_its_published_costs_without_any_norm_being_said(run, tmp_path, published):
    (tmp_path / "hat.yml").write_text("\n".join(published["arch_info"]) + "\n")
    decoder_dim = parse_arch_info(published["arch_info"]).decoder.dim
    vocab_size = str(published["num_embedding_parameters"] // decoder_dim)
    answer = json.loads(run(str(tmp_path / "hat.yml"), "--json", "--vocab-size", vocab_size))
    assert answer["costs"]["flops_hat"] == published["total_flops_without_last_layer"]
    assert answer["costs"]["params_without_embedding"] == published["num_parameters_without_embedding_weights"]


@pytest.mark.parametrize(("hat", "assumed"), [(True, "post"), (False, "pre")])
def test_the_norm_that_nobody_said_follows_the_form_of_the_file_and_is_shown(run, tmp_path, hat, assumed):
    (tmp_path / "hat.yml").write_text(HAT)
    name = str(tmp_path / "hat.yml") if hat else "tiny"
    other = "pre" if assumed == "post" else "post"
    assert f"{assumed}-norm (assumed; --norm {other} for the other)" in run(name)
    for norm in ("pre", "post"):
        shown = run(name, "--norm", norm)
        assert f"{norm}-norm" in shown
        assert "assumed" not in shown
        answer = json.loads(run(name, "--norm", norm, "--json"))["cost_options"]
        assert (answer["pre_norm"], answer["norm_assumed"]) == (norm == "pre", False)
    assert json.loads(run(name, "--json"))["cost_options"]["norm_assumed"]


def test_an_architecture_may_come_through_a_pipe(run):
    reading, writing = os.pipe()
    os.write(writing, find_architecture("tiny").read_bytes())
    os.close(writing)
    shown = json.loads(run(f"/dev/fd/{reading}", "--json"))  # what is read from a pipe can be read once
    os.close(reading)
    assert shown["digest"] == read_architecture(find_architecture("tiny")).digest


def test_an_unknown_name_is_an_error(run):
    with pytest.raises(SpaceError, match="Did you mean 'tiny'"):
        run("tinny")


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_measured_is_a_time_for_each_side_and_how_it_was_measured(run, backend):
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    answer = json.loads(run("tiny", "--json", *MEASURE, "--backend", backend, "--batch", "2"))
    found = answer["measured"]
    assert 0 < found["low_ms"] <= found["latency_ms"] <= found["high_ms"]
    assert found["encoder_ms"] + found["decoder_ms"] == pytest.approx(found["latency_ms"])
    assert found["steps"] == 4 + 6  # of two batches, end symbols counted
    assert found["distinct_beams"] == 1
    assert found["machine"]["processor"] and found["versions"]["numpy"]
    assert (found["options"]["backend"], found["options"]["lengths"]) == (backend, [4, 6])
    assert found["reference_digest"] == REFERENCE.digest
    assert (
        answer["costs"]
        == costs(Architecture.from_dict(answer["architecture"]), vocab_size=60, pre_norm=True).to_dict()
    )


def test_the_table_shows_what_was_measured(run):
    pytest.importorskip("torch")
    shown = run("tiny", *MEASURE, "--backend", "torch", "--precision", "bfloat16")
    for words in ("torch bfloat16", "4, 6 tokens", "median", "encoder", "decoder", "fastest", "slowest", "100 %"):
        assert words in shown
    assert "experts are loaded about alike, as in the budgeted FLOPs" in shown


@pytest.mark.parametrize(
    "option",
    [["--threads", "2"], ["--beam", "4"], ["--lengths", "5"], ["--device", "cpu"], ["--precision", "int8"]],
    ids=lambda option: option[0],
)
def test_an_option_of_measuring_means_nothing_without_it(run, option):
    with pytest.raises(ConfigError, match=f"{option[0]}.*without --measure"):
        run("tiny", *option)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--precision", "int4"], r"--precision=int4.*float32, int8"),
        (["--precision", "bfloat16"], r"--precision=bfloat16.*float32, int8"),
        (["--backend", "torch", "--precision", "int8"], r"--precision=int8.*float32, bfloat16"),
        (["--device", "cuda", "--backend", "onnx"], r"--device=cuda.*onnx runs on the CPU alone"),
        (["--backend", "onxx"], r"--backend=onxx.*onnx"),
        (["--threads", "0"], r"--threads=0.*allowed: 1 to"),
        (["--beam", "0"], r"--beam=0"),
        (["--batch", "0"], r"--batch=0.*>= 1"),
        (["--lengths", "1"], r"--lengths.*>= 2"),
        (["--vocab-size", "4"], r"--vocab-size=4.*>= 5"),
    ],
)
def test_what_cannot_be_measured_is_an_error_that_names_the_option(run, options, says):
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    with pytest.raises(ConfigError, match=says):
        run("tiny", *MEASURE, *options)


def test_a_device_that_is_not_there_is_an_error(run):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("it is there")
    with pytest.raises(ConfigError, match=r"--device=cuda: is no device of this machine \(allowed: cpu\)"):
        run("tiny", *MEASURE, "--device", "cuda")


def test_a_prediction_comes_with_its_interval(run, tmp_path, predictor_file, capsys):
    arch = SPACE.largest()
    answer = json.loads(run(write_arch(arch, tmp_path), "--json", "--predictor", str(predictor_file)))["predicted"]
    assert answer["lower_ms"] < answer["latency_ms"] < answer["upper_ms"]
    assert answer["latency_ms"] == pytest.approx(latency_ms(arch), rel=0.2)
    assert (answer["coverage"], answer["outside"]) == (0.9, [])
    shown = run(write_arch(arch, tmp_path), "--predictor", str(predictor_file))
    assert f"{answer['latency_ms']:.2f} ms" in shown
    assert f"90 % interval {answer['lower_ms']:.2f} to {answer['upper_ms']:.2f} ms" in shown


def test_executed_flops_stand_beside_the_latency_where_loads_were_recorded(run, tmp_path, predictor_file):
    arch = max(
        architectures(40), key=lambda arch: len({w for *_, layer in arch.layers() for w in layer.expert_widths})
    )
    loads = {arch: {(s, i): [1] + [0] * (lay.num_experts - 1) for s, i, lay in arch.layers() if lay.num_experts > 1}
             for arch in architectures(40)}  # fmt: skip
    executed = ExecutedFlops(loads)
    executed.fit_loads()
    (tmp_path / "predictor.json").write_bytes(predictor_file.read_bytes())
    arguments = [write_arch(arch, tmp_path), "--predictor", str(tmp_path / "predictor.json")]
    assert json.loads(run(*arguments, "--json"))["predicted"]["executed_flops"] is None
    write_json(tmp_path / "executed.json", executed_form(executed, {}))
    answer = json.loads(run(*arguments, "--json"))
    # All tokens take the widest expert, so more is executed than at uniform load.
    assert answer["predicted"]["executed_flops"]["value"] > answer["costs"]["flops"]
    assert "FLOPs executed" in run(*arguments)


def test_a_run_folder_stands_for_its_predictor_in_use(run, tmp_path, predictor_file):
    folder = RunFolder(tmp_path / "run")
    with folder.locked(create=True):
        result = folder.result("predictor", "0123456789ab")
        result.mkdir(parents=True)
        (result / "predictor.json").write_bytes(predictor_file.read_bytes())
        folder.set_current("predictor", "0123456789ab")
    arguments = [write_arch(SPACE.smallest(), tmp_path), "--json", "--predictor"]
    of_run, of_file = (
        json.loads(run(*arguments, str(place)))["predicted"] for place in (folder.path, predictor_file)
    )
    assert of_run | {"predictor": ""} == of_file | {"predictor": ""}


def test_an_architecture_beyond_what_was_measured_is_predicted_with_a_warning_that_names_the_sizes(
    tmp_path, predictor_file, capsys
):
    (tmp_path / "hat.yml").write_text(HAT)
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["cost", str(tmp_path / "hat.yml"), "--json", "--predictor", str(predictor_file)])
    assert args.run(args) == 0
    printed = capsys.readouterr()
    outside = json.loads(printed.out)["predicted"]["outside"]
    assert len(outside) > 6
    assert "warning" in printed.err and "outside what the predictor has seen" in printed.err
    assert ", ".join(outside[:6]) + f" and {len(outside) - 6} more (--json names all)" in printed.err


@pytest.mark.parametrize("content", ["{}", '{"kind": "ridge"}', "[1, 2]", "no JSON"])
def test_a_file_that_is_no_predictor_is_an_error(run, tmp_path, content):
    (tmp_path / "predictor.json").write_text(content)
    with pytest.raises(AutoMoEError, match=r"predictor\.json: .*Learn it again: automoe predictor run=NAME"):
        run("tiny", "--predictor", str(tmp_path / "predictor.json"))


def test_a_missing_predictor_is_an_error(run, tmp_path):
    with pytest.raises(AutoMoEError, match="there is no such file or folder"):
        run("tiny", "--predictor", str(tmp_path / "absent"))
    folder = RunFolder(tmp_path / "new")
    with folder.locked(create=True):
        pass
    with pytest.raises(AutoMoEError, match=r"new: --predictor: holds no finished predictor.*run=NAME"):
        run("tiny", "--predictor", str(folder.path))


def test_without_measuring_nothing_heavy_is_imported():
    heavy = "{'torch', 'onnxruntime', 'sklearn', 'pandas', 'fairseq', 'hydra'}"
    code = (
        f"import sys; from automoe.cli import main; main(['cost', 'tiny']); print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
