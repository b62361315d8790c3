"""Wrong settings, damaged corpora, and text that no model has seen: what the user reads, through the command line."""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from automoe.cli import main
from tests.conftest import CORPUS

THREE_LINES = ["Turn on the light.", "Turn off the fan.", "The door is open."]


@pytest.fixture
def automoe(capfd, monkeypatch, tmp_path):
    """Runs a command in a folder of its own; gives exit status, stdout and stderr. A traceback fails the test."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return run


@pytest.fixture
def refused(automoe, tiny_run, tmp_path):
    """A command with the settings of the tiny run and those given; it must fail, and leave no result."""

    def run(*overrides, stage="run"):
        status, out, err = automoe(*tiny_run.arguments(stage, *overrides, runs_dir=tmp_path / "runs"))
        assert (status, out) == (2, "") and not list(tmp_path.glob("runs/*/*/current"))
        return err

    return run


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainig.lr=1", "trainig: unknown key. Did you mean 'training'?"),
        ("training.lrr=1", "training.lrr: unknown key. Did you mean 'training.lr'?"),
        ("training=quikstart", "training=quikstart: there is no such file (allowed: quickstart). Did you mean"),
        ("training=5", "training=5: there is no such file (allowed: quickstart)"),
        ("data=txt", "Did you mean 'text'?"),
        ("training.lr", "training.lr: is no setting (allowed: KEY=VALUE"),
        ("=3", "=3: is no setting (allowed: KEY=VALUE"),
        ("training.lr=0", "training.lr=0.0: is not allowed (allowed: > 0)"),
        ("training.lr=nan", "training.lr=nan: is not a finite number"),
        ("training.clip_norm=inf", "training.clip_norm=inf: is not a finite number"),
        ("data.cleaning.max_ratio=nan", "data.cleaning.max_ratio=nan: is not a finite number"),
        ("training.max_updates=abc", "training.max_updates=abc: is not a whole number"),
        ("training.max_updates=1,2", "is several values. Add --multirun"),
        ("training.threads=100000", "training.threads=100000: is not allowed (allowed: 1 to 256)"),
        ("training.lr_decay=cosine", "(allowed: inverse_sqrt, linear)"),
        ("training.precision=half", "training.precision=half: is not allowed (allowed: float32, bfloat16, float16)"),
        ("model.router_precision=half", "model.router_precision=half: is not allowed (allowed: float32, model)"),
        ("architecture=nope", "architecture=nope: no architecture of this name comes with AutoMoE (allowed: "),
        ("architecture=./nope.yaml", "nope.yaml: there is no such file"),
        ("space=nope", "space=nope: no space of this name comes with AutoMoE (allowed: "),
        ("budget=7", "budget=7: is neither a mapping nor a list"),
        ("~budget.latency_ms", "budget: is empty (allowed: latency_ms, flops_g, params_m, memory_mb)"),
        (
            "budget.latncy_ms=3",
            "budget.latncy_ms: is no cost (allowed: latency_ms, flops_g, params_m, memory_mb)",
        ),
        ("budget.latency_ms=-1", "budget.latency_ms=-1: is not allowed (allowed: > 0)"),
        ("budget.latency_ms=fast", "budget.latency_ms=fast: is not a number"),
        ("budget.flops_g=3000000000", "budget.flops_g=3000000000: is beyond every model. The unit is 10^9 FLOPs"),
        ("budget=[{max: 3}]", "budget[0].cost: is missing"),
        ("search.objectives=[latency]", "search.objectives=latency: is no objective"),
        ("search.evaluations=0", "search.evaluations=0: is not allowed (allowed: >= 1)"),
        ("distill.training.lr=0", "distill.training.lr=0.0: is not allowed (allowed: > 0)"),
        ("distill.share=2", "distill.share=2.0: is not allowed (allowed: 0 to 1)"),
        ("supernet.weights=nowhere", "nowhere/model.json: supernet.weights=nowhere: holds no trained supernet"),
        (
            "profile.backend=onyx",
            "profile.backend=onyx: there is no such backend (allowed: onnx, torch). Did you",
        ),
        ("profile.table=none.jsonl", "none.jsonl: profile.table: there is no such file"),
        ("predictor.kind=ridg", "predictor.kind=ridg: there is no such predictor"),
        ("run=../x", "run=../x: is not allowed (allowed: letters, digits"),
        ("run=", "run=: is not allowed"),
        ("run=é", "run=é: holds a character that needs quotes. Put quotes inside quotes: 'run=\"é\"'"),
        ("runs_dir=", "runs_dir=: is empty (allowed: a folder"),
        ("runs_dir=/proc/none", "/proc/none/tiny: cannot be made a folder"),
        ("decoding.beam=0", "decoding.beam=0: is not allowed (allowed: whole numbers from 1 to 1000)"),
        ("decoding.beam=1000000", "decoding.beam=1000000: is not allowed"),
        (
            "decoding.length_penalty=50",
            "decoding.length_penalty=50.0: is not allowed (allowed: numbers from -10",
        ),
        ("data.vocabulary.size=4000", "data.vocabulary.size=4000: the training text is too small"),
        ("data.vocabulary.size=30", "the characters of the training text alone need more room (allowed: more than"),
        ("data.cleaning.max_chars=1", "no pair is left for train (dropped: 400 too long). See data.cleaning"),
        ("data.placeholder_pattern='['", "is not a regular expression"),
        ("data.train_source=trian.en", "trian.en: data.train_source: there is no such file"),
        ("data.train_source=.", "data.train_source: is a folder (allowed: a file of text"),
        ("data.train_source=/dev/null", "data.train_source: is a pipe or a device (allowed: a file of text"),
        ("data.train_source=/proc/self/mem", "/proc/self/mem: cannot be read: Input/output error"),
        ("data.valid_source=null", "data.valid_source=None: is not set (allowed: a text file). Give both files"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(refused, override, message):
    assert message in refused(override)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["budget.latency_ms=[1,2]"], "budget.latency_ms=[1, 2]: is not a number. For example {latency_ms"),
        (["budget.latency_ms={quantile: 0.9}"], "budget.latency_ms: has neither max nor max_ratio. Give one"),
        (["budget.latency_ms={max: 9, max_ratio: 0.5}"], "budget.latency_ms: has both max and max_ratio. Give one"),
        (["budget.latency_ms.max=9", "budget.latency_ms.max_ratio=0.5"], "latency_ms: has both max and max_ratio"),
        (["budget.latency_ms={max_ratio: 0.5}", "budget.latency_ms.max=9"], "latency_ms: has both max and max_ratio"),
        (["budget=[{cost: params_m, max: 3}]", "budget.latency_ms=9"], "budget is a list, which has no names."),
    ],
)
def test_a_budget_that_contradicts_itself_is_refused(refused, overrides, message):
    assert message in refused(*overrides)


def test_a_corpus_too_small_for_its_splits_says_which_sizes_to_lower(refused):
    names = [f"data.{split}_{side}=null" for split in ("valid", "test") for side in ("source", "target")]
    assert "Lower data.split.valid_size and data.split.test_size" in refused(*names)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("heads", "haeds", "mine.yaml:5: encoder.layers[0].haeds: unknown key (allowed: heads,"),
        (
            "heads: 2, expert",
            "heads: 2, top_k: 2, expert",
            "mine.yaml:5: encoder.layers[0].top_k=2: the layer has at most 1 expert(s) (allowed: 1 to 1)",
        ),
        ("[64]", "[6O]", "mine.yaml:5: encoder.layers[0].expert_widths[0]=6O: is not a whole number"),
        ("dim: 32", "dim: 7", "mine.yaml:3: encoder.dim=7: sinusoidal positions need an even dimension"),
        ("dim: 32", "\tdim: 32", "mine.yaml:3: a tab stands where YAML wants spaces"),
        ("heads: 2,", "heads: {choice: [1, 2]},", "is a search space of"),
    ],
)
def test_a_mistake_in_an_architecture_names_its_line(refused, tmp_path, old, new, message):
    shipped = Path(__file__).parents[1] / "search_spaces/architectures/tiny.yaml"
    (tmp_path / "mine.yaml").write_text(shipped.read_text().replace(old, new, 1))
    assert message in refused("architecture=./mine.yaml", stage="supernet")


def test_a_space_without_choices_is_refused_before_anything_runs(refused, tmp_path):
    shipped = Path(__file__).parents[1] / "search_spaces/architectures/tiny.yaml"
    shutil.copy(shipped, tmp_path / "one.yaml")
    assert "space=./one.yaml: has no choices, so there is nothing to search" in refused("space=./one.yaml")


@pytest.mark.parametrize("stage", ["search", "scratch", "fidelity"])
def test_a_run_of_one_architecture_has_no_stages_of_a_search_and_judges_no_supernet(refused, stage):
    message = f"architecture=tiny: one architecture is given, so there is no stage {stage!r} (allowed: null; or"
    assert message in refused("architecture=tiny", stage=stage)


def damaged_corpus(folder, damage):
    """Copies of the training files, the sources in a form that `damage` makes; the settings that name them."""
    source, target = folder / "train.en", folder / "train.de"
    shutil.copy(CORPUS / "train.de", target)
    content = damage((CORPUS / "train.en").read_bytes())
    if content.startswith(b"\x1f\x8b"):
        source = folder / "train.en.gz"
    source.write_bytes(content)
    return f"data.train_source={source}", f"data.train_target={target}"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text + b"one more\n", "train.en: has 401 lines, but its translation"),
        (lambda text: text.replace(b"\n", b"\n\xff", 6), "train.en:2: is not valid UTF-8: byte 0xff at position 1"),
        (lambda text: text.decode().encode("utf-16"), "train.en:1: is not valid UTF-8: byte 0xff"),
        (lambda text: gzip.compress(text)[:-20], "train.en.gz: is a damaged gzip file"),
        (lambda text: b"", "train.en: has 0 lines, but its translation"),
        (lambda text: b"\n" * 400, "no pair is left for train (dropped: 400 empty)"),
    ],
)
def test_a_damaged_corpus_names_file_and_line(refused, tmp_path, damage, message):
    assert message in refused(*damaged_corpus(tmp_path, damage), stage="data")


@pytest.mark.parametrize(
    "form",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.rstrip(b"\n"),
        lambda text: gzip.compress(text),
    ],
)
def test_line_ends_byte_order_mark_and_compression_change_no_sentence(automoe, tiny_run, tmp_path, form):
    arguments = tiny_run.arguments("data", *damaged_corpus(tmp_path, form), runs_dir=tmp_path / "runs")
    assert automoe(*arguments)[0] == 0
    text = "data/current/text/train.src"
    assert (tmp_path / "runs/tiny" / text).read_bytes() == (tiny_run.run_dir / text).read_bytes()


@pytest.fixture
def interface_strings(monkeypatch, tmp_path):
    """An empty cache, and a pip that finds no network."""
    monkeypatch.setenv("AUTOMOE_CACHE", str(tmp_path / "cache"))
    for name, value in {"INDEX_URL": "http://127.0.0.1:9", "RETRIES": "0", "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return ("data", "run=strings", f"runs_dir={tmp_path / 'runs'}")


def test_without_network_the_user_learns_how_to_bring_the_wheel(automoe, interface_strings):
    status, _, err = automoe(*interface_strings)
    assert status == 2 and "pip could not download homeassistant==" in err
    assert "Fetch the wheel" in err and "name it with data.wheel=FILE" in err


def test_without_pip_the_user_learns_the_same(automoe, interface_strings, monkeypatch, tmp_path):
    (tmp_path / "pip.py").write_text("raise SystemExit('No module named pip')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    status, _, err = automoe(*interface_strings)
    assert status == 2 and "No module named pip" in err and "name it with data.wheel=FILE" in err


def test_a_wheel_with_another_hash_is_refused(automoe, interface_strings, tmp_path):
    wheel = tmp_path / "homeassistant.whl"
    wheel.write_bytes(b"half a wheel")
    status, _, err = automoe(*interface_strings, f"data.wheel={wheel}")
    found = hashlib.sha256(b"half a wheel").hexdigest()
    assert status == 2 and f"{wheel}: data.wheel: the wheel has SHA-256 {found}, expected" in err


@pytest.fixture
def translate(automoe, tiny_run):
    def run(text, *options):
        return automoe("translate", tiny_run.bundle, "--beam", "1", *options, stdin=text)

    return run


@pytest.fixture(scope="module")
def translations(tiny_run):
    """What the three lines become when nothing else stands between them."""
    import automoe.runtime

    return automoe.runtime.load(tiny_run.bundle).translate(THREE_LINES, beam=1)


@pytest.mark.parametrize(
    ("strange", "warning"),
    [
        (b"", None),
        (b" \t ", None),
        (b"\xff\xfe\x80", "stdin:3: warning: invalid UTF-8 is read as U+FFFD"),
        (b"turn on " * 12_500, "stdin:3: warning: 37501 tokens are cut to the 256 that this model takes"),
        (b"x" * 100_000, None),
        (b"\x00\x01\x1b[31m\x7f", None),
        ("\u2028\u0085\x0b{name}\x0c".encode(), None),
        ("漢字 🙂 \u202e".encode(), None),
        (b"{a}{b}{c}{d}{e}{f}{g}{h} <ph1> <ph7>", None),
    ],
)
def test_a_strange_line_is_one_line_and_the_others_stay_as_they_are(translate, translations, strange, warning):
    first, second, third = (line.encode() for line in THREE_LINES)
    status, out, err = translate(b"\n".join([first, second, strange, third]) + b"\n")
    lines = out.split("\n")
    assert status == 0 and [*lines[:2], *lines[3:]] == [*translations, ""]
    assert warning in err if warning else not err


def test_more_threads_than_cores_change_no_translation(translate, translations):
    threads = str((os.cpu_count() or 1) + 3)
    status, out, err = translate("".join(line + "\n" for line in THREE_LINES).encode(), "--threads", threads)
    assert (status, out.splitlines(), err) == (0, translations, "")


@pytest.mark.parametrize(
    "form",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.removesuffix(b"\n"),
    ],
)
def test_line_ends_and_byte_order_mark_change_no_translation(translate, translations, form):
    status, out, _ = translate(form("".join(line + "\n" for line in THREE_LINES).encode()))
    assert status == 0 and out == "".join(line + "\n" for line in translations)


def test_no_line_is_no_line(translate):
    assert translate(b"") == (0, "", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beam", "0"], "--beam=0: is not allowed (allowed: whole numbers from 1 to 1000)"),
        (["--beam", "1000000"], "--beam=1000000: is not allowed"),
        (["--beam", "abc"], "argument --beam: invalid int value: 'abc'"),
        (["--batch-size", "0"], "--batch-size=0: is not allowed (allowed: whole numbers >= 1)"),
        (["--precision", "int4"], "--precision=int4: is not allowed (allowed: float32, int8)"),
        (["--backend", "onxx"], "--backend=onxx: there is no such backend (allowed: onnx, torch). Did you mean"),
        (["--backend", "torch", "--precision", "int8"], "--precision=int8: is not known to the backend torch"),
        (["--threads", "100000"], "--threads=100000: is not allowed (allowed: 1 to 256)"),
        (["--length-penalty", "nan"], "--length-penalty=nan: is not allowed (allowed: numbers from -10 to 10)"),
        (["--length-penalty", "1e308"], "--length-penalty=1e+308: is not allowed"),
        (["missing.txt"], "missing.txt: there is no such file"),
        (["-o", "/proc/none"], "/proc/none: cannot be written"),
    ],
)
def test_an_impossible_option_is_refused(translate, options, message):
    status, out, err = translate(b"one\n", *options)
    assert (status, out) == (2, "") and message in err


def shell(command, tiny_run):
    program = f"{sys.executable} -m automoe.cli translate {tiny_run.bundle} --beam 1"
    command = command.replace("TRANSLATE", program)
    return subprocess.run(["bash", "-c", command], env=tiny_run.env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("TRANSLATE <&-", "automoe: error: stdin: is closed. Name a FILE to translate\n"),
        ("echo one | TRANSLATE >&-", "automoe: error: stdout: is closed. Name a file: -o OUT\n"),
        ("echo one | TRANSLATE >/dev/full", "automoe: error: the disk is full where the output goes."),
    ],
)
def test_streams_that_cannot_be_used_are_named(tiny_run, command, message):
    done = shell(command, tiny_run)
    assert done.returncode == 2 and done.stderr.startswith(message)


def test_head_ends_a_translation_quietly(tiny_run, translations):
    done = shell(f"yes '{THREE_LINES[0]}' | head -2500 | TRANSLATE | head -1", tiny_run)
    assert (done.stdout, done.stderr) == (translations[0] + "\n", "")
