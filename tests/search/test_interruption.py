import os
import signal

import pytest

from automoe.search.interruption import Interruption


def hear(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_until_it_is_allowed(number):
    done = []
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        hear(number)
        done.append("what was begun")
        with interruption.allowed():
            done.append("more")
    assert done == ["what was begun"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_where_it_is_allowed_a_signal_interrupts_at_once(number):
    done = []
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption, interruption.allowed():
        hear(number)
        done.append("more")
    assert done == []


def test_a_second_ctrl_c_does_not_wait_and_a_second_sigterm_does():
    done = []
    with pytest.raises(KeyboardInterrupt), Interruption():
        hear()
        hear()
        done.append("what was begun")
        hear(signal.SIGINT)
        done.append("more")
    assert done == ["what was begun"]


def test_a_signal_at_the_very_end_is_not_lost():
    with pytest.raises(KeyboardInterrupt), Interruption():
        hear()


def test_the_handlers_are_as_they_were_afterwards():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with Interruption():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
