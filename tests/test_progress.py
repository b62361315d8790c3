"""Progress: nothing for short work, a bar on a terminal, one renewed line without rich, a line a minute elsewhere."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest

from automoe.progress import Progress

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

    monkeypatch.setattr("automoe.progress.time.monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def no_rich(monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "rich", None)


@pytest.fixture
def rich_terminal(monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


def frames(text):
    """What stood on the terminal, line by line, without colours and cursor movements."""
    return [line.strip() for line in re.split(r"[\r\n]+", CONTROL.sub("", text)) if line.strip()]


def work(clock, stream, seconds, units, **options):
    with Progress("training", total=units, unit="update", stream=stream, **options) as progress:
        for _ in range(units - options.get("done", 0)):
            clock.now += seconds / units
            progress.advance()
    return stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_work_of_less_than_two_seconds_shows_nothing(stream, clock):
    assert work(clock, stream(), seconds=1.9, units=100) == ""


def test_elsewhere_than_on_a_terminal_there_is_a_line_a_minute(clock):
    lines = work(clock, io.StringIO(), seconds=600, units=600).splitlines()
    assert len(lines) == 11 and "\r" not in "".join(lines)  # ten minutes and the last one
    assert lines[0] == "training: 60/600 updates, 1/s, 9 min 00 s left"
    assert lines[-1] == "training: 600/600 updates, 1/s, 10 min 00 s"


def test_without_rich_one_line_renews_itself_and_ends_once(clock, no_rich):
    text = work(clock, Terminal(), seconds=10, units=1000)
    assert (
        text.count("\n") == 1
        and text.endswith("\n")
        and all(part.startswith("training: ") for part in text[1:].split("\r"))
    )
    assert text.count("\r") <= 10 / 0.2 + 1


def test_a_shorter_line_wipes_out_the_longer_one_before(clock, no_rich):
    stream = Terminal()
    with Progress("x", stream=stream) as progress:
        clock.now += 3
        progress.advance(note="a long note that must go")
        clock.now += 1
        progress.advance()
    first, second, _ = (len(part) for part in stream.getvalue().rstrip("\n").split("\r")[1:])
    assert second >= first


def test_units_of_an_earlier_run_count_in_the_total_and_not_in_the_rate(clock):
    text = work(clock, io.StringIO(), seconds=200, units=200, done=100)
    assert text.splitlines()[0].startswith("training: 160/200 updates, 1/s")


def test_unknown_totals_show_no_time_left(clock):
    stream = io.StringIO()
    with Progress("reading", unit="line", stream=stream) as progress:
        clock.now += 61
        progress.advance(61)
    assert stream.getvalue().splitlines()[0] == "reading: 61 lines, 1/s"


def test_work_that_fails_says_that_it_stopped(clock):
    stream = io.StringIO()
    with pytest.raises(ValueError), Progress("training", total=10, stream=stream) as progress:
        clock.now += 5
        progress.advance()
        raise ValueError
    assert stream.getvalue().rstrip().endswith("stopped")


def test_work_that_ends_before_it_was_planned_to_has_no_time_left(clock):
    stream = io.StringIO()
    with Progress("training", total=1000, unit="update", stream=stream) as progress:
        clock.now += 40
        progress.advance(40)
        progress.end_here()
    assert stream.getvalue() == "training: 40/40 updates, 1/s, 40 s\n"


def test_a_bar_is_full_where_work_ends_before_it_was_planned_to(clock, rich_terminal):
    with Progress("training", total=1000, unit="update", stream=rich_terminal) as progress:
        clock.now += 40
        progress.advance(40)
        progress.end_here()
    assert re.fullmatch(r"training ━+ 40/40 updates 1/s 40 s", frames(rich_terminal.getvalue())[-1])


def test_a_terminal_that_cannot_move_its_cursor_gets_the_line(clock, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    text = work(clock, Terminal(), seconds=10, units=1000)
    assert text.startswith("\rtraining: ") and "\x1b" not in text


def test_on_a_terminal_a_bar_shows_done_total_rate_time_left_and_note(clock, rich_terminal):
    with Progress("training", total=100, unit="update", stream=rich_terminal) as progress:
        for _ in range(100):
            clock.now += 1
            progress.advance(note="loss [bold]3.21")
    shown = frames(rich_terminal.getvalue())
    half = next(line for line in shown if "50/100" in line)
    assert re.fullmatch(r"training [━╸╺ ]+ 50/100 updates 1/s 50 s left loss \[bold]3.21", half)
    assert re.fullmatch(r"training ━+ 100/100 updates 1/s 1 min 40 s", shown[-1])


def test_a_bar_is_redrawn_at_most_five_times_a_second(clock, rich_terminal):
    work(clock, rich_terminal, seconds=10, units=10_000)
    assert 10 < len(frames(rich_terminal.getvalue())) <= 10 / 0.2 + 2


def test_in_a_narrow_terminal_the_note_gives_way_and_the_bar_stays_on_its_line(clock, rich_terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with Progress("training", total=100, unit="update", stream=rich_terminal) as progress:
        clock.now += 50
        progress.advance(50, note="a very long note that no terminal of this width has room for")
    first = frames(rich_terminal.getvalue())[0]
    assert len(first) <= 80 and first.endswith("…") and "50/100 updates" in first


def test_work_inside_other_work_has_a_bar_as_long_as_it_lasts(clock, rich_terminal):
    with Progress("outer", total=3, stream=rich_terminal) as outer:
        for _ in range(3):
            with Progress("inner", total=4, stream=rich_terminal) as inner:
                for _ in range(4):
                    clock.now += 3
                    inner.advance()
            outer.advance()
    shown = frames(rich_terminal.getvalue())
    assert any(line.startswith("inner") for line in shown)
    assert shown[-1].startswith("outer") and "3/3 items" in shown[-1]


def test_works_after_one_another_each_leave_a_finished_bar(clock, rich_terminal):
    for label in ("first", "second"):
        with Progress(label, total=1, stream=rich_terminal) as progress:
            clock.now += 3
            progress.advance()
    left = [line for line in CONTROL.sub("", rich_terminal.getvalue()).split("\n") if line.strip()]
    assert [line.split()[0] for line in left] == ["first", "second"]


def test_a_failure_inside_closes_all_bars(clock, rich_terminal):
    with pytest.raises(ValueError), Progress("outer", total=2, stream=rich_terminal) as outer:
        clock.now += 3
        outer.advance()
        with Progress("inner", total=2, stream=rich_terminal) as inner:
            clock.now += 3
            inner.advance()
            raise ValueError
    assert frames(rich_terminal.getvalue())[-1].endswith("stopped")
    assert rich_terminal.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is back
    assert work(clock, Terminal(), seconds=5, units=5)  # and the next work has a bar again


def test_another_terminal_is_not_drawn_into_the_bars_of_the_first(clock, rich_terminal):
    other = Terminal()
    with Progress("outer", total=2, stream=rich_terminal) as outer:
        clock.now += 3
        outer.advance()
        work(clock, other, seconds=5, units=5)
    assert "training" in other.getvalue() and "training" not in rich_terminal.getvalue()


SCRIPT = """
import sys, time
from automoe.progress import Progress
begin = time.monotonic()
time.monotonic = lambda: begin + ticks
ticks = 0
with Progress("outer", total=2) as outer:
    for step in range(2):
        ticks += 5
        outer.advance(note=f"step {step}")
        print("a result")
        print("a warning", file=sys.stderr)
        with Progress("inner", total=2, unit="sentence") as inner:
            for _ in range(2):
                ticks += 5
                inner.advance()
print("rich" in sys.modules)
"""


def on_a_pseudo_terminal(tmp_path, script):
    """Runs `script` with stderr on a pseudo-terminal: what that showed, and stdout."""
    main, side = pty.openpty()
    env = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
    with (tmp_path / "stdout").open("w+b") as stdout:
        process = subprocess.Popen([sys.executable, "-c", script], stdin=side, stdout=stdout, stderr=side, env=env)
        os.close(side)
        shown = b""
        try:
            while part := os.read(main, 4096):
                shown += part
        except OSError:  # Linux says so when the other end is closed
            pass
        os.close(main)
        assert process.wait(60) == 0, shown.decode()
        stdout.seek(0)
        return shown.decode(), stdout.read().decode()


def test_a_real_terminal_shows_bars_and_warnings_and_stdout_stays_what_was_printed(tmp_path):
    pytest.importorskip("rich")
    shown, stdout = on_a_pseudo_terminal(tmp_path, SCRIPT)
    assert stdout.splitlines() == ["a result", "a result", "True"]
    lines = frames(shown)
    assert lines.count("a warning") == 2
    assert re.fullmatch(r"outer ━+ 2/2 items \S+ 30 s", lines[-1])
    assert any(re.fullmatch(r"inner ━+ 2/2 sentences \S+ 10 s", line) or "1/2 sentences" in line for line in lines)


def test_a_real_terminal_without_rich_shows_lines(tmp_path):
    shown, stdout = on_a_pseudo_terminal(tmp_path, "import sys; sys.modules['rich'] = None\n" + SCRIPT)
    assert stdout.splitlines()[:2] == ["a result", "a result"]
    assert "outer: 2/2 items, " in shown and "inner: 2/2 sentences, " in shown


def test_rich_is_not_imported_before_there_is_a_bar_to_show():
    code = (
        "import sys; from automoe.progress import Progress\n"
        "with Progress('x', total=1) as p: p.advance()\n"
        "print('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
