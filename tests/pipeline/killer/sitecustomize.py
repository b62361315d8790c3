"""Kills its process at a stated file event. With this folder on PYTHONPATH, Python imports it at every start.

KILL_AT="EVENT COUNT REGEX": EVENT is `write` (a file is about to be opened for writing) or `rename` (a file or folder
is about to be renamed), and REGEX is searched in its path. At the COUNT-th such event of a process comes SIGKILL;
for a training process and its parent both.
"""

import os
import re
import signal
import sys

_EVENT, _COUNT, _REGEX = os.environ["KILL_AT"].split(" ", 2)
_seen = 0


def _watch(event, arguments):
    global _seen
    if event == "open":
        happened, writes = "write", (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
    elif event == "os.rename":
        happened, writes = "rename", True
    else:
        return
    if (
        happened == _EVENT
        and writes
        and re.search(_REGEX, os.fsdecode(arguments[0]) if _is_path(arguments[0]) else "")
    ):
        _seen += 1
        if _seen == int(_COUNT):
            if "automoe.training.worker" in sys.orig_argv:
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)


def _is_path(value):
    return isinstance(value, str | bytes | os.PathLike)


sys.addaudithook(_watch)
