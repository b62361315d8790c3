import threading

from automoe.errors import AutoMoEError
from automoe.search.store import Heartbeat


def beats_of(*errors):
    """Lets a heart beat once for each error that it raises, and once more."""
    ended = threading.Event()
    left = list(errors)

    def beat():
        if left:
            raise left.pop(0)
        ended.set()

    with Heartbeat(beat, 0.001):
        ended.wait(10)
    return ended.is_set()


def test_a_heart_beats_on_whatever_a_beat_raises():
    assert beats_of(AutoMoEError("the storage does not answer"), OSError("gone"), KeyError("ours"), ValueError())


def test_a_defect_prints_its_traceback_once_and_what_the_store_says_anyway_does_not(capsys):
    assert beats_of(AutoMoEError("no answer"), KeyError("ours"), KeyError("ours"))
    err = capsys.readouterr().err
    assert err.count("Traceback") == 1 and "KeyError: 'ours'" in err and "no answer" not in err
