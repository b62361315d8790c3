import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import AutoMoEError, ConfigError, SpaceError
from automoe.search import COSTS, Archive, Record, read_archive
from automoe.space import GenomeCodec
from tests.search.analytic import CODEC, SPACE, header, record_lists, record_of, records_of, sampled
from tests.space.strategies import few
from tests.spaces import small_space

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
        (3, lambda form: form["origin"].update(how="pure luck")),
        (3, lambda form: form.update(bleu=101)),
        (3, lambda form: form.update(bleu="high")),
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


def with_bleu(records):
    """Better where the loss is higher, so that the two qualities disagree."""
    return [replace(record, bleu=round(10 * record.loss, 3)) for record in records]


def test_the_table_has_a_row_for_each_record_and_the_bounds_of_each_cost(tmp_path):
    frame = written(tmp_path).to_frame()
    assert list(frame["digest"]) == [record.digest for record in RECORDS]
    assert list(frame["latency_ms_upper"]) == [record.costs["latency_ms"].upper for record in RECORDS]
    assert {"index", "loss", "generation", "how", *COSTS} <= set(frame.columns)
    assert frame["bleu"].isna().all() and frame["bleu"].dtype == np.float64


def test_the_table_says_bleu_and_which_records_are_on_the_front_of_any_objectives(tmp_path):
    archive = written(tmp_path, with_bleu(records_of(sampled(12, 1))))
    frame = archive.to_frame(objectives=("bleu", "params_m"))
    assert list(frame["bleu"]) == [record.bleu for record in archive.records]
    front = {record.digest for record in archive.front(["params_m"], quality="bleu")}
    assert 0 < len(front) < 12 and set(frame["digest"][frame["on_front"]]) == front
    by_default = {record.digest for record in archive.front(["latency_ms", "flops_g"])}
    assert set(archive.to_frame().query("on_front")["digest"]) == by_default


@few
@given(record_lists)
def test_a_row_s_genes_are_the_genome_of_its_architecture(tmp_path_factory, records):
    frame = written(tmp_path_factory.mktemp("genes"), records).to_frame(genes=CODEC)
    for genome, record in zip(frame[list(CODEC.names)].to_numpy(), records, strict=True):
        assert CODEC.decode(genome) == record.arch


def test_an_archive_without_records_is_an_empty_table_front_and_volume(tmp_path):
    archive = written(tmp_path, [])
    assert len(archive.to_frame(genes=CODEC)) == 0 and set(CODEC.names) <= set(archive.to_frame(genes=CODEC).columns)
    assert archive.front(["latency_ms"]) == () and len(archive.hypervolume(["loss", "latency_ms"])) == 0


def test_genes_of_another_space_are_refused(tmp_path):
    with pytest.raises(SpaceError, match="belongs to the space 'tiny'"):
        written(tmp_path).to_frame(genes=GenomeCodec(small_space()))


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        (("loss", "price"), "objectives=price: is no objective"),
        (("bleu", "latency_ms"), r"archive.jsonl:2: objectives=bleu: was not recorded \(allowed: loss, latency_ms"),
        ((), "names nothing"),
    ],
)
def test_objectives_that_were_not_recorded_are_refused(tmp_path, objectives, message):
    archive = written(tmp_path)
    for ask in (archive.points, archive.hypervolume, lambda names: archive.to_frame(objectives=names)):
        with pytest.raises(ConfigError, match=message):
            ask(objectives)


def test_points_are_to_be_made_small_in_every_objective(tmp_path):
    archive = written(tmp_path, with_bleu(RECORDS))
    first = archive.records[0]
    expected = [first.loss, 100 - first.bleu, first.costs["latency_ms"].mean]
    assert archive.points(("loss", "bleu", "latency_ms"))[0].tolist() == expected


@few
@given(record_lists, st.sampled_from([("loss", "latency_ms"), ("bleu", "params_m", "flops_g"), ("loss",)]))
def test_the_hypervolume_never_falls_and_stands_still_at_what_is_beaten(tmp_path_factory, records, objectives):
    archive = written(tmp_path_factory.mktemp("volume"), with_bleu(records))
    point_NM = archive.points(objectives)
    volume_N = archive.hypervolume(objectives, point_NM.max(axis=0) + 1)
    assert volume_N.shape == (len(records),) and volume_N[0] > 0
    for index in range(1, len(records)):
        beaten = (point_NM[:index] <= point_NM[index]).all(axis=1).any()
        assert (volume_N[index] == volume_N[index - 1]) == beaten
        assert volume_N[index] >= volume_N[index - 1]


@few
@given(record_lists)
def test_by_default_the_hypervolume_reaches_to_the_worst_of_each_objective(tmp_path_factory, records):
    archive = written(tmp_path_factory.mktemp("volume"), records)
    volume_N = archive.hypervolume(("loss", "latency_ms"))
    worst_M = archive.points(("loss", "latency_ms")).max(axis=0)
    np.testing.assert_array_equal(volume_N, archive.hypervolume(("loss", "latency_ms"), worst_M))
    np.testing.assert_allclose(volume_N[-1], _area(archive.points(("loss", "latency_ms")), worst_M))


def _area(point_NM, reference_M):
    """Cell by cell of the grid that the points span."""
    x, y = (np.unique([*point_NM[:, column], reference_M[column]]) for column in (0, 1))
    return sum(
        (right - left) * (top - bottom)
        for left, right in itertools.pairwise(x)
        for bottom, top in itertools.pairwise(y)
        if ((point_NM[:, 0] <= left) & (point_NM[:, 1] <= bottom)).any()
    )
