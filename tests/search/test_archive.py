import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import AutoMoEError, SpaceError
from automoe.search import COSTS, Archive, Record, read_archive
from tests.search.analytic import SPACE, header, record_lists, record_of, records_of, sampled
from tests.space.strategies import few

RECORDS = records_of(sampled(3, 0))


def written(folder, records=RECORDS, **context):
    archive = Archive.open(folder / "archive.jsonl", header(**context))
    archive.add(*records)
    return archive


@few
@given(record_lists, st.integers(0, 12))
def test_what_is_added_is_read_back_in_one_call_or_in_many(tmp_path_factory, records, split):
    folder = tmp_path_factory.mktemp("archive")
    whole = written(folder, records)
    other = Archive.open(folder / "other.jsonl", header())
    other.add(*records[:split])
    for record in records[split:]:
        other.add(record)
    assert whole.path.read_bytes() == other.path.read_bytes()
    found = read_archive(whole.path)
    assert found.records == other.records == tuple(records)
    assert found.header == header()
    assert not found.torn
    assert all(record.digest in found and found[record.digest] == record for record in records)


def test_a_line_torn_at_any_byte_is_dropped_and_the_rest_stays(tmp_path):
    archive = written(tmp_path)
    content = archive.path.read_bytes()
    whole = content[: content.rstrip(b"\n").rfind(b"\n") + 1]
    for end in range(len(whole), len(content)):
        archive.path.write_bytes(content[:end])
        assert read_archive(archive.path).records == tuple(RECORDS[:-1])
        assert archive.path.read_bytes() == content[:end]  # reading changes nothing
        resumed = Archive.open(archive.path, header())
        assert resumed.torn == (end > len(whole))
        assert archive.path.read_bytes() == whole
    resumed.add(RECORDS[-1])
    assert archive.path.read_bytes() == content


def test_what_a_failed_append_left_behind_is_overwritten_by_the_next(tmp_path):
    archive = written(tmp_path, RECORDS[:2])
    with archive.path.open("ab") as stream:
        stream.write(b'{"index":2,' + b"x" * 9999)
    archive.add(RECORDS[2])
    assert read_archive(archive.path).records == tuple(RECORDS)


@pytest.mark.parametrize(
    ("line", "damage"),
    [
        (1, lambda form: form.pop("space")),
        (1, lambda form: form.update(format=2)),
        (1, lambda form: form.update(colour="red")),
        (2, lambda form: form.pop("loss")),
        (2, lambda form: form.update(loss="low")),
        (2, lambda form: form.update(loss=float("nan"))),
        (2, lambda form: form.update(index=1)),
        (3, lambda form: form.update(digest="0" * 12)),
        (3, lambda form: form["costs"].pop("flops_g")),
        (3, lambda form: form["costs"].update(flops_g=[1.0, 1.0])),
        (3, lambda form: form["costs"].update(flops_g=[1.0, 2.0, 1.0])),
        (3, lambda form: form["costs"].update(flops_g=[0.0, 0.0, 0.0])),
        (3, lambda form: form["architecture"]["encoder"].update(dim=7)),
        (3, lambda form: form["architecture"].pop("decoder")),
        (3, lambda form: form["origin"].update(how="luck")),
        (4, lambda form: form.update(RECORDS[0].to_dict(), index=2)),
    ],
)
def test_damage_is_refused_with_its_line_and_nothing_is_changed(tmp_path, line, damage):
    archive = written(tmp_path)
    lines = archive.path.read_text().splitlines()
    form = json.loads(lines[line - 1])
    damage(form)
    lines[line - 1] = json.dumps(form)
    damaged = "\n".join(lines) + '\n{"torn'
    archive.path.write_text(damaged)
    with pytest.raises(AutoMoEError) as error:
        Archive.open(archive.path, header())
    assert (error.value.file, error.value.line) == (str(archive.path), line)
    assert archive.path.read_text() == damaged


@pytest.mark.parametrize("content", [b"", b"\n", b'{"format":1', b"\xff\xfe\n", b"[]\n", b"null\n"])
def test_a_file_without_a_header_is_refused_and_not_changed(tmp_path, content):
    path = tmp_path / "archive.jsonl"
    path.write_bytes(content)
    with pytest.raises(AutoMoEError, match="not the header") as error:
        Archive.open(path, header())
    assert error.value.line == 1
    assert path.read_bytes() == content


@pytest.mark.parametrize("junk", [b"\xff", b"{}", b"[1]", b"3", b""])
def test_a_whole_line_of_junk_is_damage_not_a_torn_line(tmp_path, junk):
    archive = written(tmp_path)
    with archive.path.open("ab") as stream:
        stream.write(junk + b"\n")
    with pytest.raises(AutoMoEError, match="damaged") as error:
        read_archive(archive.path)
    assert error.value.line == 5


def test_an_archive_of_another_space_is_refused(tmp_path):
    archive = written(tmp_path)
    other = type(header())(space="0" * 12, space_name="other", costs=tuple(COSTS))
    with pytest.raises(SpaceError, match="belongs to the space 'tiny'"):
        Archive.open(archive.path, other)


def test_an_archive_that_something_else_evaluated_is_refused(tmp_path):
    archive = written(tmp_path, supernet="aaa")
    assert len(Archive.open(archive.path, header(supernet="aaa"))) == 3
    with pytest.raises(AutoMoEError, match="cannot be compared"):
        Archive.open(archive.path, header(supernet="bbb"))


def test_an_archive_that_is_missing_names_the_stage_that_makes_it(tmp_path):
    with pytest.raises(AutoMoEError, match="Run the stage search first"):
        read_archive(tmp_path / "archive.jsonl")


@pytest.mark.parametrize(
    "record",
    [
        record_of(RECORDS[0].arch, 3),
        record_of(SPACE.largest(), 7),
        record_of(SPACE.largest(), 3, loss=float("nan")),
        record_of(SPACE.largest(), 3, costs={}),
    ],
    ids=["duplicate", "index", "nan", "costs"],
)
def test_nothing_malformed_and_nothing_twice_is_added(tmp_path, record: Record):
    archive = written(tmp_path)
    content = archive.path.read_bytes()
    with pytest.raises(ValueError):
        archive.add(record)
    assert archive.path.read_bytes() == content
    assert len(archive) == 3


@few
@given(record_lists)
def test_the_front_is_what_no_record_beats_in_everything(tmp_path_factory, records):
    archive = written(tmp_path_factory.mktemp("front"), records)
    costs = ("latency_ms", "params_m")

    def values(record):
        return np.array([record.loss, *(record.costs[cost].mean for cost in costs)])

    front = archive.front(costs)
    for record in records:
        beaten = any(
            (values(other) <= values(record)).all() and (values(other) < values(record)).any() for other in records
        )
        assert (record in front) == (not beaten)
    assert [record.loss for record in front] == sorted(record.loss for record in front)


def test_a_copy_goes_its_own_way(tmp_path):
    archive = written(tmp_path)
    content = archive.path.read_bytes()
    with archive.path.open("ab") as stream:
        stream.write(b'{"torn')
    copy = read_archive(archive.path).copy_to(tmp_path / "copy.jsonl")
    assert copy.path.read_bytes() == content
    copy.add(record_of(SPACE.largest(), 3))
    assert len(copy) == 4
    assert read_archive(archive.path).records == tuple(RECORDS)


def test_the_table_has_a_row_for_each_record_and_the_bounds_of_each_cost(tmp_path):
    frame = written(tmp_path).to_frame()
    assert list(frame["digest"]) == [record.digest for record in RECORDS]
    assert list(frame["latency_ms_upper"]) == [record.costs["latency_ms"].upper for record in RECORDS]
    assert {"index", "loss", "generation", "how", *COSTS} <= set(frame.columns)
