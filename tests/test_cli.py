"""What a user meets: commands, their help, their errors, and what they import."""

import errno
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from automoe import cli
from automoe.errors import DataError
from automoe.search.budget import parse_budget

CHECKOUT = Path(__file__).parents[1]
HEAVY = ("torch", "fairseq", "hydra", "omegaconf", "sentencepiece", "sacrebleu", "yaml", "sklearn")


def automoe(capsys, *arguments):
    """Exit status, stdout and stderr of one command."""
    try:
        status = cli.main(arguments)
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def stages_are(monkeypatch):
    """Puts a function in place of what the run commands do."""

    def replace(function):
        module = types.ModuleType("automoe.pipeline.run")
        module.run = function
        monkeypatch.setitem(sys.modules, "automoe.pipeline.run", module)

    return replace


@pytest.fixture
def configs(stages_are, monkeypatch, tmp_path):
    """The configurations that the run commands received, in a current directory of their own."""
    monkeypatch.chdir(tmp_path)
    received = []
    stages_are(lambda command, config, as_json: received.append(config))
    return received


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["status"], ["fairseq-plugin"], ["translate", "--help"]]
)
def test_a_light_command_imports_nothing_heavy(arguments, tmp_path):
    program = (
        "import sys\nfrom automoe.cli import main\n"
        f"try: main({arguments})\nexcept SystemExit: pass\n"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "heavy: []", done.stderr


def test_help_lists_every_command_on_one_screen(capsys):
    status, out, _ = automoe(capsys, "--help")
    assert status == 0 and len(out.splitlines()) <= 25 and max(map(len, out.splitlines())) <= 100
    assert all(f"  {command} " in out for command in (*cli.RUN_COMMANDS, *cli.FILE_COMMANDS))


@pytest.mark.parametrize("command", [name for name in cli.FILE_COMMANDS])
def test_every_file_command_has_help(command, capsys):
    status, out, _ = automoe(capsys, command, "--help")
    assert status == 0 and out.startswith(f"usage: automoe {command}")


@pytest.mark.parametrize(
    ("word", "hint"), [("statsu", "Did you mean 'status'?"), ("serch", "Did you mean 'search'?"), ("--jsn", "run")]
)
def test_an_unknown_command_is_answered_with_those_that_exist(word, hint, capsys):
    status, out, err = automoe(capsys, word)
    assert status == 2 and not out
    assert err.startswith(f"automoe: error: {word}: there is no such command (allowed: run, data,") and hint in err


def test_the_fairseq_plugin_is_a_folder_of_the_package(capsys):
    _, out, _ = automoe(capsys, "fairseq-plugin")
    assert Path(out.strip()) == CHECKOUT / "automoe/training/fairseq_plugin/automoe_fairseq"


def test_overrides_reach_the_configuration_with_their_types(configs, capsys):
    overrides = ["run=mine", "seed=3", "training.lr=1", "architecture=my/arch.yaml", "data=text", "model=post_norm"]
    assert automoe(capsys, "data", *overrides, "decoding.beam=2")[0] == 0
    (config,) = configs
    assert (config.run, config.seed, config.architecture) == ("mine", 3, "my/arch.yaml")
    assert (config.training.lr, config.data.corpus, config.model.pre_norm) == (1.0, "text", False)
    assert config.decoding.beam == 2 and type(config.data.options) is dict


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_a_dict_takes_any_key_as_text(configs, capsys, prefix):
    overrides = [f"{prefix}data.options.word=hello", f"{prefix}data.options.depth=3"]
    assert automoe(capsys, "data", "data=text", *overrides)[0] == 0
    assert configs[0].data.options == {"word": "hello", "depth": "3"}


def test_a_dict_takes_a_whole_dict_and_refuses_what_is_no_text(configs, capsys):
    assert automoe(capsys, "data", "data.options={word: hello}")[0] == 0
    assert configs[0].data.options == {"word": "hello"}
    for override, problem in (
        ("data.options=5", "data.options: is a section: set the keys in it (allowed: data.options.NAME=VALUE)"),
        ("data.options.a.b=1", "data.options.a: is not a text"),
        ("data.options.a=[1]", "data.options.a: is not a text"),
    ):
        assert automoe(capsys, "data", override) == (2, "", f"automoe: error: {problem}\n")
    assert "Did you mean 'data.options'?" in automoe(capsys, "data", "data.optoins.a=1")[2]


def test_a_run_command_writes_nothing_of_its_own(configs, tmp_path, capsys):
    automoe(capsys, "run")
    assert len(configs) == 1 and not list(tmp_path.iterdir())


def test_multirun_runs_every_combination(configs, capsys):
    automoe(capsys, "run", "--multirun", "run=a,b", "seed=1,2")
    assert [(config.run, config.seed) for config in configs] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def test_a_folder_of_ones_own_adds_options(configs, tmp_path, capsys):
    (tmp_path / "mine/training").mkdir(parents=True)
    (tmp_path / "mine/training/short.yaml").write_text("max_updates: 7\n")
    automoe(capsys, "run", "--config-dir", "mine", "training=short")
    assert configs[0].training.max_updates == 7
    (tmp_path / "mine/training/short.yaml").write_text("max_update: 7\n")
    status, _, err = automoe(capsys, "run", "--config-dir", "mine", "training=short")
    assert status == 2 and "training.max_update: unknown key" in err and "training/short.yaml" in err


@pytest.mark.parametrize("flags", [["--cfg", "job"], ["--help"]])
def test_a_flag_that_shows_something_does_no_work(flags, configs, capsys):
    status, out, _ = automoe(capsys, "run", *flags)
    assert status in (0, None) and out and not configs


def test_cfg_job_prints_a_configuration_that_can_be_read_again(configs, capsys):
    _, out, _ = automoe(capsys, "run", "seed=9", "--cfg", "job")
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(out)["seed"] == 9


@pytest.mark.parametrize("flags", [["--cfg", "job"], ["--cfg=job"], ["-c", "job"], ["--json", "--cfg", "job"]])
def test_a_flag_may_stand_anywhere_between_the_settings(flags, capsys):
    settings = ["run=mine", "seed=2"]
    shown = {automoe(capsys, "data", *settings[:place], *flags, *settings[place:]) for place in range(3)}
    ((status, out, err),) = shown
    assert status in (0, None) and out.startswith("run: mine\n") and "seed: 2\n" in out and not err


def test_flags_that_do_work_may_stand_between_the_settings_too(configs, tmp_path, capsys):
    (tmp_path / "mine/training").mkdir(parents=True)
    (tmp_path / "mine/training/short.yaml").write_text("max_updates: 7\n")
    assert automoe(capsys, "run", "run=a", "--config-dir", "mine", "training=short", "-m", "seed=1,2")[0] == 0
    assert [(config.run, config.seed, config.training.max_updates) for config in configs] == [
        ("a", 1, 7),
        ("a", 2, 7),
    ]


@pytest.mark.parametrize(
    ("flags", "title"), [(["--info", "defaults"], "Defaults List"), (["--info"], "Config search path")]
)
def test_the_value_of_info_is_optional(flags, title, tmp_path):
    command = [
        sys.executable,
        "-m",
        "automoe.cli",
        "data",
        "run=mine",
        *flags,
        "seed=2",
    ]  # Hydra sets up logging here
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and title in done.stdout, done.stderr


LATENCY = {"latency_ms": {"max": 15}}
DEFAULT = {"latency_ms": {"max_ratio": 0.6}}


@pytest.mark.parametrize(
    ("overrides", "budget"),
    [
        (["budget.latency_ms=15"], {"latency_ms": 15}),
        (["budget.latency_ms={max: 15}"], LATENCY),
        (["+budget.latency_ms={max: 15}"], LATENCY),
        (["++budget.latency_ms={max: 15}"], LATENCY),
        (["budget.latency_ms={max: 15, quantile: 0.8}"], {"latency_ms": {"max": 15, "quantile": 0.8}}),
        (["budget.latency_ms={max: 9}", "budget.latency_ms={max: 15}"], LATENCY),
        (["budget.latency_ms.max=15"], LATENCY),
        (["~budget.latency_ms.max_ratio", "budget.latency_ms.max=15"], LATENCY),
        (["~budget.latency_ms", "budget.latency_ms.max=15"], LATENCY),
        (["budget.latency_ms.max_ratio=0.8"], {"latency_ms": {"max_ratio": 0.8}}),
        (["budget.latency_ms.max=null"], DEFAULT),
        (["budget.latency_ms.quantile=0.8"], {"latency_ms": {"max_ratio": 0.6, "quantile": 0.8}}),
        (["budget.params_m.max=8"], DEFAULT | {"params_m": {"max": 8}}),
        (["budget={params_m: 8}"], {"params_m": 8}),
        (["budget={flops_g: 1}", "budget={params_m: 8}"], {"params_m": 8}),
        (["budget={params_m: 8}", "budget.latency_ms.max=15"], {"params_m": 8} | LATENCY),
        (["budget={params_m: 8}", "budget.latency_ms={max: 15}"], {"params_m": 8} | LATENCY),
        (["budget.latency_ms.max=15", "budget={params_m: 8}"], {"params_m": 8}),
        (["budget=[{cost: params_m, max: 8}]"], [{"cost": "params_m", "max": 8}]),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--multirun"]])
def test_a_budget_is_what_was_given_without_rests_of_the_default(overrides, budget, flags, configs, capsys):
    assert automoe(capsys, "select", *flags, *overrides)[0] == 0
    (config,) = configs
    assert parse_budget(config.budget) == parse_budget(budget)


def test_multirun_takes_several_budgets_of_each_form(configs, capsys):
    for values in ("latency_ms=8,15", "latency_ms.max=8,15", "latency_ms={max: 8},{max: 15}"):
        assert automoe(capsys, "select", "run=a", "--multirun", f"budget.{values}", "seed=2")[0] == 0
        budgets = [parse_budget(config.budget) for config in configs]
        assert budgets == [parse_budget({"latency_ms": value}) for value in (8, 15)]
        configs.clear()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sed=2", "sed: unknown key. Did you mean 'seed'?"),
        ("lr=3", "lr: unknown key. Did you mean 'training.lr'?"),
        ("data.vocabulary.siz=3", "data.vocabulary.siz: unknown key. Did you mean 'data.vocabulary.size'?"),
        ("+foo=1", "foo: unknown key (allowed: run, runs_dir, seed"),
        ("seed=abc", "seed=abc: is not a whole number"),
        ("training.lr=fast", "training.lr=fast: is not a number"),
        ("model.pre_norm=perhaps", "model.pre_norm=perhaps: is not true or false"),
        ("seed=null", "seed: must not be null"),
        ("seed=-1", "seed=-1: is not allowed"),
        ("data.split=3", "data.split: is a section: set the keys in it (allowed: data.split."),
        (
            "model=pre-norm",
            "model=pre-norm: there is no such file (allowed: post_norm, pre_norm, switch). Did you mean 'pre_norm'?",
        ),
        ("modle=pre_norm", "modle: unknown key. Did you mean 'model'?"),
        ("training/lr=3", "training/lr: unknown key. Did you mean 'training.lr'?"),
        ("seed=1,2", "seed=1,2: is several values. Add --multirun"),
        ("budget.latency_ms=1,2", "budget.latency_ms=1,2: is several values. Add --multirun"),
        ("budget.latency_ms=a=b", "budget.latency_ms=a=b: holds a character that needs quotes. Put quotes inside"),
        ("run=a=b", "run=a=b: holds a character that needs quotes. Put quotes inside quotes: 'run=\"a=b\"'"),
        ("run=../x", "run=../x: is not allowed (allowed: letters"),
        ("data.source=${nope}", "data.source: cannot be set: Interpolation key 'nope' not found"),
        (
            "search.objectives=latency_ms",
            "search.objectives=latency_ms: is not a list. Write search.objectives=[latency_ms]",
        ),
        ("search.objectives={a: 1}", "search.objectives: is a list, not a mapping. Write search.objectives=[A, B]"),
        ("search.objectives=[null]", "search.objectives[0]: must not be null"),
        (
            "search.objectives.7=flops_g",
            "search.objectives[7]: is beyond the end of the list. Write search.objectives=[A, B]",
        ),
        (
            "search.objectives.a=flops_g",
            "search.objectives.a: search.objectives is a list, which has no names. Write search.objectives=[A, B]",
        ),
        ("data.split=[1,2]", "data.split: is a section: set the keys in it (allowed: data.split.valid_size,"),
        ("data.options=[1]", "data.options: is a section: set the keys in it (allowed: data.options.NAME=VALUE)"),
        ("training=[1,2]", "training=[1,2]: there is no such file (allowed: quickstart)"),
        ("training={lr: 1}", "training={lr: 1}: there is no such file (allowed: quickstart)"),
        ("training=null", "training=null: there is no such file (allowed: quickstart)"),
        ("search.quality_predictor=size", "search.quality_predictor=size: there is no such predictor (allowed: "),
        ("search.storage=nonsense", "search.storage=nonsense: is no URL of a storage (allowed: postgresql+psycopg:"),
        ("search.storage=sqlite:///nowhere/s.db", "search.storage=sqlite:///nowhere/s.db: there is no folder "),
        ("search.storage=mysql+nope://h/d", "search.storage=mysql+nope://h/d: 'nope' is no driver that we know"),
        ("search=optuna_cmaes search.objectives=[loss,flops_g]", "search.objectives=['loss', 'flops_g']: are too"),
        ("search.within={latency: 15}", "search.within.latency: is no cost (allowed: latency_ms,"),
        ("search.within={flops_g: 0}", "search.within.flops_g=0: is not allowed (allowed: > 0)"),
        (
            "profile.threads=2 budget={flops_g: 1} search.within={latency_ms: 15}",
            "profile.threads=2: measures on cpu-2t, but search.within.latency_ms is meant for cpu-1t",
        ),
        (
            "search.searcher=random",
            "search.options.population=24: is no setting of the searcher 'random' (allowed: batch, uniform). Choose "
            "the whole group, which brings its own options: search=random",
        ),
        ("--config-name=nope", "--config-name=nope: there is no such file"),
        ("--resolve", "--resolve: belongs to --cfg"),
    ],
)
def test_a_wrong_override_is_one_line_that_helps(override, message, configs, capsys):
    status, out, err = automoe(capsys, "run", *re.split(" (?=[a-z.]+=)", override))
    assert status == 2 and not out and not configs
    assert err.startswith(f"automoe: error: {message}") and len(err.splitlines()) == 1


def test_a_users_mistake_shows_no_traceback_and_a_defect_of_ours_does(stages_are, capsys):
    def mistake(command, config, as_json):
        raise DataError("has 3 lines, and its partner 4", file="a.en", hint="Use files of equal length")

    def defect(command, config, as_json):
        raise ValueError("ours")

    stages_are(mistake)
    expected = "automoe: error: a.en: has 3 lines, and its partner 4. Use files of equal length\n"
    assert automoe(capsys, "data") == (2, "", expected)
    stages_are(defect)
    with pytest.raises(ValueError, match="ours"):
        cli.main(["data"])


def test_an_interrupted_command_ends_with_130(stages_are, capsys):
    def interrupt(command, config, as_json):
        raise KeyboardInterrupt

    stages_are(interrupt)
    assert automoe(capsys, "data") == (130, "", "automoe: stopped\n")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_what_is_free(number, stages_are, tmp_path, capsys):
    def fill(command, config, as_json):
        raise OSError(number, os.strerror(number), str(tmp_path / "not/there"))

    stages_are(fill)
    status, _, err = automoe(capsys, "data")
    assert status == 2 and str(tmp_path) in err and " MB are free on the file system of /" in err
    assert "Everything that was finished is kept" in err and len(err.splitlines()) == 1


def test_another_error_of_the_system_is_a_defect(stages_are):
    def fail(command, config, as_json):
        raise OSError(errno.EIO, "input/output error")

    stages_are(fail)
    with pytest.raises(OSError, match="input/output"):
        cli.main(["data"])


def test_a_reader_that_goes_away_ends_the_command_quietly(tmp_path):
    code = "import sys; from automoe.cli import main; sys.exit(main(['--help']))"
    reader, writer = os.pipe()
    os.close(reader)
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=-1, env=environment, cwd=tmp_path)
    os.close(writer)
    assert done.returncode == 141 and done.stderr == b""
