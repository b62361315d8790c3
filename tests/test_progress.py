"""Progress is silent for short work, one renewed line on a terminal, one line a minute elsewhere."""

import io

import pytest

from automoe.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

    monkeypatch.setattr("automoe.progress.time.monotonic", lambda: Clock.now)
    return Clock


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


def test_on_a_terminal_one_line_renews_itself_and_ends_once(clock):
    text = work(clock, Terminal(), seconds=10, units=1000)
    assert (
        text.count("\n") == 1
        and text.endswith("\n")
        and all(part.startswith("training: ") for part in text[1:].split("\r"))
    )
    assert text.count("\r") <= 10 / 0.2 + 1


def test_a_shorter_line_wipes_out_the_longer_one_before(clock):
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
