"""`kill -9` at moments that nobody chose: the archive is the one of an undisturbed search, bit for bit."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def started(folder: Path, evaluations: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.search.killable", str(folder), str(evaluations)]
    return subprocess.Popen(command, cwd=ROOT)


def archive_after_kills(folder: Path, kills: int, evaluations: int, seed: int = 0) -> tuple[bytes, int]:
    """The bytes of the archive in the end, and how many of the kills found the process at work."""
    folder.mkdir()
    rng, hits = random.Random(seed), 0
    archive = folder / "archive.jsonl"
    for _ in range(kills):
        if (folder / "done").exists():
            break
        size = archive.stat().st_size if archive.exists() else 0
        process = started(folder, evaluations)
        while process.poll() is None and (not archive.exists() or archive.stat().st_size == size):
            time.sleep(0.01)  # it has added something, so that the kills come to an end
        time.sleep(rng.uniform(0, 0.1))
        hits += process.poll() is None
        process.kill()
        process.wait()
    assert started(folder, evaluations).wait() == 0
    return archive.read_bytes(), hits


def test_a_search_killed_at_random_moments_ends_with_the_same_bytes(tmp_path):
    expected, _ = archive_after_kills(tmp_path / "undisturbed", 0, 60)
    found, hits = archive_after_kills(tmp_path / "killed", 4, 60)
    assert hits >= 3
    assert found == expected


@pytest.mark.slow
def test_a_search_killed_fifty_times_at_random_moments_ends_with_the_same_bytes(tmp_path):
    expected, _ = archive_after_kills(tmp_path / "undisturbed", 0, 500)
    found, hits = archive_after_kills(tmp_path / "killed", 50, 500)
    assert hits == 50
    assert found == expected
