"""Opens a page in headless Chromium, if there is one."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a browser made of a page."""

    dom: str
    console: list[str]
    """Lines that the page wrote to the console, errors among them."""
    requests: list[str]
    """Addresses on the network that the page asked for, directly or through a style sheet or a script."""


def visit(page: Path, scratch: Path, *flags: str) -> Visit:
    """Opens `page`; skips the test, with a warning, where there is no Chromium."""
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        warnings.warn("no Chromium: the report was NOT opened in a browser", stacklevel=2)
        pytest.skip("no Chromium: the report was NOT opened in a browser")
    log = scratch / "net.json"
    command = [
        program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0",
        f"--user-data-dir={scratch / 'profile'}", f"--log-net-log={log}", *flags, "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    return Visit(
        dom=done.stdout,
        console=[line for line in done.stderr.splitlines() if "CONSOLE" in line],
        requests=_requests(log),
    )


def _requests(log: Path) -> list[str]:
    """The addresses of a page's requests in a net log, whose last line a browser that ends may leave open.

    What the browser asks for on its own account (the time, updates) has no origin.
    """
    text = log.read_text(encoding="utf-8").rstrip().rstrip(",")
    try:
        form = json.loads(text)
    except json.JSONDecodeError:
        form = json.loads(text + "]}")
    kinds = form["constants"]["logEventTypes"]
    assert "URL_REQUEST_START_JOB" in kinds
    jobs = [event["params"] for event in form["events"] if event["type"] == kinds["URL_REQUEST_START_JOB"]]
    return [job["url"] for job in jobs if "url" in job and job.get("initiator") != "not an origin"]
