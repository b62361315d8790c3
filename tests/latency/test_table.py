import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from automoe.errors import AutoMoEError, DataError, SpaceError
from automoe.latency import TableWriter, measure_missing, read_table
from tests.architectures import DENSE, MAXIMUM, random_slice
from tests.latency.machine import HEADER, Machine


def some_architectures(count):
    rng = np.random.default_rng(0)
    return list(dict.fromkeys([MAXIMUM, DENSE, *(random_slice(MAXIMUM, rng)[0] for _ in range(count - 2))]))


ARCHS = some_architectures(6)


def record(path, archs, on=None, **fields):
    """Measures the architectures that the table lacks; returns those that were measured."""
    profiled_on = on or Machine()
    writer = TableWriter(path, dataclasses.replace(HEADER, **fields))
    measured = []
    measure_missing(archs, profiled_on.profiler(writer.baseline_ms), writer, on_measured=measured.append)
    return [row.arch for row in measured]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.jsonl"


@pytest.fixture
def lines(path):
    """The lines of a table of three rows, which is written to `path`."""
    record(path, ARCHS[:3])
    return path.read_text().splitlines()


def test_what_was_measured_is_read_back_on_any_machine(path, tmp_path):
    record(path, ARCHS)
    copied = tmp_path / "elsewhere.jsonl"
    copied.write_bytes(path.read_bytes())
    table = read_table(copied)
    machine = Machine()
    assert table.architectures == ARCHS
    np.testing.assert_allclose(table.latency_ms_N, [machine.latency_ms(arch) for arch in ARCHS])
    assert table.header == HEADER.with_baseline(pytest.approx(machine.latency_ms(DENSE)))


def test_a_table_cut_at_any_byte_is_continued_to_the_same_table(path):
    record(path, ARCHS[:3])
    whole = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 4
    for cut in sorted({*range(0, len(whole), 83), *ends, *(end - 1 for end in ends)}):
        path.write_bytes(whole[:cut])
        finished = max(0, sum(end <= cut for end in ends) - 1)
        assert record(path, ARCHS[:3]) == ARCHS[finished:3], "no row twice, none lost"
        assert read_table(path).architectures == ARCHS[:3]
        np.testing.assert_allclose([row.latency_ms for row in read_table(path).rows], LATENCIES_OF_3)


LATENCIES_OF_3 = [Machine().latency_ms(arch) for arch in ARCHS[:3]]


def test_a_slower_machine_state_after_resuming_changes_no_latency(path):
    record(path, ARCHS[:2])
    record(path, ARCHS, Machine(slowness=2.5))
    np.testing.assert_allclose(read_table(path).latency_ms_N, [Machine().latency_ms(arch) for arch in ARCHS])


def test_a_settled_table_forgets_the_bad_minute_in_which_it_was_begun(path):
    record(path, ARCHS[:1], Machine(slowness=4.0))
    record(path, ARCHS)
    np.testing.assert_allclose(read_table(path).latency_ms_N, [4 * Machine().latency_ms(arch) for arch in ARCHS])
    for _ in range(2):
        writer = TableWriter(path, HEADER)
        writer.settle()
        np.testing.assert_allclose(read_table(path).latency_ms_N, [Machine().latency_ms(arch) for arch in ARCHS])
        assert read_table(path).header.reference_baseline_ms == writer.baseline_ms
        assert list(read_table(path).rows) == writer.rows
        assert [round(row.drift, 6) for row in writer.rows] == [4.0, 1, 1, 1, 1, 1], "from what is usual, now known"
        assert [row.drifted for row in writer.rows] == [True] + [False] * 5
        for row in writer.rows:
            assert row.encoder_ms == pytest.approx(1000 * Machine().encoder_cost(row.arch))


def test_a_finished_table_measures_nothing(path):
    record(path, ARCHS)
    before = path.read_bytes()
    assert record(path, ARCHS) == []
    assert path.read_bytes() == before


def test_a_row_is_on_the_disk_before_the_next_is_measured(path):
    machine, writer = Machine(), TableWriter(path, HEADER)
    on_disk = []
    measure_missing(ARCHS, machine.profiler(), writer, on_measured=lambda row: on_disk.append(len(read_table(path))))
    assert on_disk == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "field, value",
    [
        *[("device", "cpu-2t"), ("backend", "torch"), ("precision", "int8"), ("beam", 4), ("batch", 2)],
        *[("routing", "even"), ("repeats", 6), ("max_repeats", 16), ("tolerance", 0.02), ("lengths", (4, 5))],
        *[("panel_digest", "x"), ("machine", HEADER.machine | {"processor": "other"})],
    ],
)
def test_a_table_is_not_continued_under_other_circumstances(path, field, value):
    record(path, ARCHS[:2])
    before = path.read_bytes()
    with pytest.raises(DataError, match=rf"table.jsonl:1: {field}=.*other circumstances"):
        record(path, ARCHS, **{field: value})
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "fields",
    [
        {"space_name": "renamed"},
        {"versions": {"automoe": "1"}},
        {"machine": HEADER.machine | {"cores": 4, "governor": "powersave", "gpus": ["one"]}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_changes_by_itself_does_not_keep_a_table_from_being_continued(path, fields):
    record(path, ARCHS[:2])
    assert record(path, ARCHS, **fields) == ARCHS[2:]


def test_a_table_of_a_gpu_is_not_continued_on_another_gpu(path):
    record(path, ARCHS[:2], device="cuda", machine=HEADER.machine | {"gpus": ["one"]})
    with pytest.raises(DataError, match=r"machine=.*one.*other circumstances"):
        record(path, ARCHS, device="cuda", machine=HEADER.machine | {"gpus": ["two"]})


def test_lengths_are_read_back_as_they_were_written(path):
    record(path, ARCHS[:1], lengths=(4, 5))
    assert read_table(path).header.lengths == (4, 5)
    assert record(path, ARCHS[:2], lengths=(4, 5)) == ARCHS[1:2]


def test_a_row_corrected_to_another_baseline_is_not_added(path):
    record(path, ARCHS[:1])
    row = Machine(slowness=2.0).profiler().measure(ARCHS[1])  # took its own reference as the baseline
    with pytest.raises(AutoMoEError, match="reference_baseline_ms"):
        TableWriter(path, HEADER).append(row)


def test_a_table_of_another_space_or_device_is_refused(lines, path):
    table = read_table(path)
    table.check(space_digest=HEADER.space_digest, space_name="renamed", device="cpu-1t")
    message = r"was measured for the space 'tiny' \(0123456789ab\), this run searches 'mine' \(ba9876543210\)"
    with pytest.raises(SpaceError, match=message):
        table.check(space_digest="ba9876543210", space_name="mine", device="cpu-1t")
    with pytest.raises(AutoMoEError, match="was measured on cpu-1t, this run asks for cpu-2t"):
        table.check(space_digest=HEADER.space_digest, space_name="tiny", device="cpu-2t")


def change(line, **values):
    return json.dumps(json.loads(line) | values)


def without(line, key):
    form = json.loads(line)
    del form[key]
    return json.dumps(form)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda lines: lines[1:], r":1: the header is missing"),
        (lambda lines: [without(lines[0], "device"), *lines[1:]], r":1: device: is missing in the header"),
        (lambda lines: [change(lines[0], format=2), *lines[1:]], r":1: format=2: .*\(allowed: 3\)"),
        (lambda lines: [change(lines[0], batch=0), *lines[1:]], r":1: batch=0: is not a whole number"),
        (lambda lines: [change(lines[0], lengths=7), *lines[1:]], r":1: lengths=7: is no list"),
        (lambda lines: [change(lines[0], lengths=[]), *lines[1:]], r":1: lengths=\[\]: is no list"),
        (lambda lines: [change(lines[0], lengths=[5, "6"]), *lines[1:]], r":1: lengths=.*: is no list of lengths"),
        (lambda lines: [change(lines[0], lengths=[5, 1]), *lines[1:]], r":1: lengths=\[5, 1\]: .*>= 2"),
        (lambda lines: [change(lines[0], tolerance="little"), *lines[1:]], r":1: tolerance=little: is no share"),
        (lambda lines: [change(lines[0], tolerance=1), *lines[1:]], r":1: tolerance=1: is no share"),
        *[
            (lambda lines, name=name: [change(lines[0], **{name: 7}), *lines[1:]], rf":1: {name}=7: is no text")
            for name in ("space_digest", "space_name", "device", "backend", "precision", "routing")
        ],
        (lambda lines: [change(lines[0], panel_digest=None), *lines[1:]], r":1: panel_digest=None: is no text"),
        (lambda lines: [change(lines[0], reference_digest=[]), *lines[1:]], r":1: reference_digest=\[\]: is no text"),
        (lambda lines: [change(lines[0], machine="mine"), *lines[1:]], r":1: machine=mine: describes no machine"),
        (lambda lines: [change(lines[0], reference_baseline_ms=None), *lines[1:]], r":1: reference_baseline_ms=None"),
        (lambda lines: [*lines[:2], without(lines[2], "latency_ms")], r":3: latency_ms: the column is missing"),
        (lambda lines: [*lines[:2], change(lines[2], latency_ms=float("nan"))], r":3: latency_ms=nan: is not a pos"),
        (lambda lines: [*lines[:2], change(lines[2], latency_ms=-1.5)], r":3: latency_ms=-1\.5: is not a positive"),
        (lambda lines: [*lines[:2], change(lines[2], latency_ms="7")], r":3: latency_ms=7: is not a positive"),
        (lambda lines: [*lines[:2], change(lines[2], encoder_ms=0)], r":3: encoder_ms=0: is not a positive"),
        (
            lambda lines: [*lines[:2], change(lines[2], encoder_ms=1e9)],
            r":3: encoder_ms=.*leaves the decoder no time",
        ),
        (lambda lines: [*lines[:2], change(lines[2], spread=-0.1)], r":3: spread=-0\.1: is no spread"),
        (
            lambda lines: [*lines[:2], change(lines[2], reference_ratio=9.0)],
            r":3: latency_ms=.*from another table",
        ),
        (
            lambda lines: [*lines[:2], change(lines[2], digest="0" * 12)],
            r":3: digest=0{12}: is not the digest",
        ),
        (lambda lines: [*lines[:2], change(lines[2], architecture={})], r":3: architecture: is no architecture"),
        (lambda lines: [*lines, lines[1]], r":5: digest=.*was measured in line 2 already"),
        (lambda lines: [*lines[:2], lines[2][:40]], r":3: the line is torn or no JSON"),
        (lambda lines: [*lines[:2], "[1, 2]"], r":3: the line is no JSON object"),
        (lambda lines: lines[:1], r"holds no measurements"),
        (lambda lines: [], r"is empty"),
    ],
)
def test_a_damaged_table_is_refused_by_file_and_line(lines, path, damage, message):
    path.write_text("\n".join(damage(lines)))
    with pytest.raises(DataError, match=r"table\.jsonl" + (message if message[0] == ":" else ": " + message)):
        read_table(path)


def test_a_missing_table_is_refused(path):
    with pytest.raises(DataError, match=r"table\.jsonl: cannot be read"):
        read_table(path)


def test_the_frame_has_a_row_for_each_measurement(lines, path):
    pandas = pytest.importorskip("pandas")
    table = read_table(path)
    frame = table.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["latency_ms"].tolist() == table.latency_ms_N.tolist()
    assert frame["decoder_layers"].tolist() == [len(arch.decoder.layers) for arch in ARCHS[:3]]
    assert frame["decoder_experts"].iloc[0] == 6
    np.testing.assert_allclose(frame["encoder_ms"] + frame["decoder_ms"], frame["latency_ms"])
    assert frame["drifted"].dtype == bool and not frame["drifted"].any()


def test_the_columns_of_the_frame_are_those_of_the_documentation(lines, path):
    pytest.importorskip("pandas")
    text = (Path(__file__).parents[2] / "docs" / "latency.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    documented = {name: cells[2].strip() for cells in rows for name in re.findall(r"`(\w+)`", cells[1])}
    columns = list(read_table(path).to_frame().columns)
    assert list(documented) == columns
    assert all(unit == ("ms" if name.endswith("_ms") else unit) != "" for name, unit in documented.items())
