"""Tables in seconds are refused; no table in milliseconds is, however fast the machine."""

import json
from dataclasses import replace

import pytest

from automoe.errors import DataError
from automoe.latency import Measurement, read_table
from automoe.latency.unit import check_milliseconds
from automoe.space import find_space, read_space
from tests.conftest import TINY_TABLE

TIMES = ("latency_ms", "encoder_ms", "low_ms", "high_ms", "raw_ms", "reference_ms")
TINY = read_table(TINY_TABLE)
LARGE = read_space(find_space("hat_wmt14")).largest()


def scaled(row: Measurement, factor: float) -> Measurement:
    """A row of a machine that takes `factor` times as long."""
    return replace(row, **{name: factor * getattr(row, name) for name in TIMES})


def large(latency_ms: float) -> list[Measurement]:
    """A row of a Transformer of the size of those that translate news."""
    row = replace(TINY.rows[0], architecture=LARGE.to_dict(), digest=LARGE.digest)
    return [scaled(row, latency_ms / row.latency_ms)]


def test_a_table_in_seconds_is_refused_with_what_to_do(tmp_path):
    header, *rows = (json.loads(line) for line in TINY_TABLE.read_text().splitlines())
    forms = [header | {"reference_baseline_ms": header["reference_baseline_ms"] / 1000}]
    forms += [row | {name: row[name] / 1000 for name in TIMES} for row in rows]
    (tmp_path / "table.jsonl").write_text("\n".join(map(json.dumps, forms)) + "\n")
    message = r"table\.jsonl: latency_ms=0\.00\d+: is too short for milliseconds .* in seconds, multiply .* by 1000"
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "table.jsonl")


# Latencies of batch 1 and of a sentence in a batch of 32: of small models on a CPU, of large ones on a GPU.
@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        ({"threads": 1}, [scaled(row, 0.1) for row in TINY.rows]),
        ({"batch": 32}, [scaled(row, 0.02) for row in TINY.rows]),
        ({"lengths": (2, 4)}, [scaled(row, 0.1) for row in TINY.rows]),
        ({"device": "cpu-1t"}, large(100.0)),
        ({"device": "cpu-4t", "threads": 4}, large(50.0)),
        ({"device": "cuda"}, large(60.0)),
        ({"device": "cuda", "batch": 32}, large(2.0)),
    ],
)
def test_ten_times_as_fast_as_we_saw_is_no_table_in_seconds(settings, rows):
    header = replace(TINY.header, **settings)
    check_milliseconds(header, rows)
    with pytest.raises(Exception, match="in seconds"):
        check_milliseconds(header, [scaled(row, 0.001) for row in rows])


def test_one_wrong_row_is_not_the_unit():
    check_milliseconds(TINY.header, [scaled(TINY.rows[0], 0.001), *TINY.rows[1:]])
