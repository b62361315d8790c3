import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.errors import DataError
from automoe.evaluation.ranks import spearman
from automoe.latency import MeasuredTable, TableWriter, measure_missing
from automoe.latency.any_table import read_any_table
from automoe.latency.hat_table import COLUMNS, FEATURE_COLUMNS, PublishedTable, parse_hat_table, read_hat_table
from automoe.predictor.layer_averages import AVERAGE_NAMES
from tests.architectures import DENSE, MAXIMUM
from tests.latency.machine import HEADER, Machine
from tests.latency.made_up_table import as_csv, made_up_cells

CELLS = made_up_cells(40)
DECODER = COLUMNS.index("latency_mean_decoder")
DEPTH = COLUMNS.index("decoder_layer_num")


def parse(text):
    return parse_hat_table(text if isinstance(text, bytes) else text.encode(), Path("hat.csv"))


def refusal(text):
    with pytest.raises(DataError) as raised:
        parse(text)
    assert raised.value.file == "hat.csv"
    return raised.value


def assert_same(one, other):
    np.testing.assert_array_equal(one.features.x_NF, other.features.x_NF)
    np.testing.assert_array_equal(one.latency_ms_N, other.latency_ms_N)
    np.testing.assert_array_equal(one.std_ms_N, other.std_ms_N)


def test_a_table_tells_what_was_written():
    table = parse(as_csv(CELLS))
    np.testing.assert_array_equal(table.features.x_NF, CELLS[:, :10])
    np.testing.assert_array_equal(table.features.depth_N, CELLS[:, DEPTH])
    assert table.features.names == tuple(f"averages.{name}" for name in AVERAGE_NAMES)
    np.testing.assert_array_equal(table.latency_ms_N, CELLS[:, 10] + CELLS[:, 11])
    np.testing.assert_allclose(table.std_ms_N**2, CELLS[:, 12] ** 2 + CELLS[:, 13] ** 2)
    assert (table.label, len(table), table.ignored) == ("hat", 40, ())


def test_a_column_and_the_average_of_its_place_mean_the_same_quantity():
    words = {"embed_dim": "dim", "layer_num": "layers", "ffn_embed_dim_avg": "ffn",
             "self_attention_heads_avg": "heads", "ende_attention_heads_avg": "cross_heads",
             "arbitrary_ende_attn_avg": "cross_layers"}  # fmt: skip
    for column, average in zip(FEATURE_COLUMNS, AVERAGE_NAMES, strict=True):
        side, _, rest = column.partition("_")
        assert average == f"{side}.{words[rest]}"


@given(st.permutations(range(len(COLUMNS) + 2)))
@settings(max_examples=20, deadline=None)
def test_neither_the_order_of_columns_nor_further_columns_matter(order):
    names = [*COLUMNS, "host", "comment"]
    rows = [[*row.tolist(), "ours", "a, b"] for row in CELLS]
    shuffled = parse(as_csv([[row[place] for place in order] for row in rows], [names[place] for place in order]))
    assert_same(shuffled, parse(as_csv(CELLS)))
    assert sorted(shuffled.ignored) == ["comment", "host"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_read_alike_packed_or_not_whatever_its_name(tmp_path, packed):
    content = as_csv(CELLS).encode()
    file = tmp_path / "made_up.csv.gz"
    file.write_bytes(gzip.compress(content) if packed else content)
    table = read_any_table(file)
    assert isinstance(table, PublishedTable)
    assert table.label == "made_up"
    assert_same(table, parse(content))


@pytest.mark.parametrize("change", [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n"),
                                    lambda text: text + "\n\n", lambda text: text.replace(",", " , ")])  # fmt: skip
def test_byte_order_mark_line_ends_blank_lines_and_spaces_do_not_matter(change):
    assert_same(parse(change(as_csv(CELLS))), parse(as_csv(CELLS)))


@given(st.sets(st.sampled_from(COLUMNS), min_size=1, max_size=len(COLUMNS) - 1))
@settings(max_examples=20, deadline=None)
def test_missing_columns_are_named_with_those_that_there_are(missing):
    kept = [place for place, name in enumerate(COLUMNS) if name not in missing]
    error = refusal(as_csv(CELLS[:, kept], [COLUMNS[place] for place in kept]))
    assert error.key in missing
    assert error.line == 1
    assert all(name in str(error) for name in missing)
    assert all(COLUMNS[place] in error.hint for place in kept)


def test_a_misspelt_column_is_recognised():
    text = as_csv(CELLS).replace("latency_mean_encoder", "latency_mean_encodr")
    assert "'latency_mean_encodr'" in refusal(text).hint


@given(row=st.integers(0, len(CELLS) - 1), name=st.sampled_from(COLUMNS),
       cell=st.sampled_from(["nan", "inf", "-1", "", "fast", "1 000", "-inf"]))  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_a_cell_that_is_no_number_of_its_kind_is_named_by_line_and_column(row, name, cell):
    rows = [line.tolist() for line in CELLS]
    rows[row][COLUMNS.index(name)] = cell
    error = refusal(as_csv(rows))
    assert (error.line, error.key, error.value) == (row + 2, name, cell)


def test_a_latency_of_zero_is_refused_and_a_standard_deviation_of_zero_is_not():
    cells = CELLS.copy()
    cells[3, -2:] = 0
    assert parse(as_csv(cells)).std_ms_N[3] == 0
    cells[3, DECODER] = 0
    assert refusal(as_csv(cells)).line == 5


def test_a_depth_is_a_whole_number():
    cells = CELLS.copy()
    cells[7, DEPTH] = 2.5
    error = refusal(as_csv(cells))
    assert (error.line, error.key) == (9, "decoder_layer_num")


@pytest.mark.parametrize(("factor", "unit", "fix"), [(1e-3, "seconds", "Multiply"), (1e3, "microseconds", "Divide")])
def test_another_unit_is_recognised_and_its_remedy_told(factor, unit, fix):
    cells = CELLS.copy()
    cells[:, 10:] *= factor
    error = refusal(as_csv(cells))
    assert f"in {unit}" in error.problem
    assert fix in error.hint


def test_a_row_that_is_there_twice_is_refused_by_both_its_lines():
    error = refusal(as_csv([*CELLS, CELLS[5]]))
    assert error.line == 42
    assert "line 7" in error.problem


def test_an_architecture_that_was_measured_twice_counts_twice():
    again = CELLS[5].copy()
    again[DECODER] += 1
    assert len(parse(as_csv([*CELLS, again]))) == 41


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_too_few_rows_are_refused(rows):
    assert f"holds {rows} measurement" in refusal(as_csv(CELLS[:rows])).problem


def test_a_torn_line_is_named():
    text = as_csv(CELLS)
    assert refusal(text[: text.rindex(",")]).line == 41


def test_what_is_no_table_is_refused(tmp_path):
    assert "is empty" in refusal("\n\n").problem
    assert "UTF-8" in refusal(as_csv(CELLS).encode().replace(b"512", b"\xff12", 1)).problem
    assert "missing" in refusal(as_csv(CELLS).replace(",", ";")).problem
    file = tmp_path / "torn.csv.gz"
    file.write_bytes(gzip.compress(as_csv(CELLS).encode())[:-40])
    for read in (read_hat_table, read_any_table):
        with pytest.raises(DataError, match="damaged gzip"):
            read(file)
        with pytest.raises(DataError, match="cannot be read"):
            read(tmp_path / "none.csv")


def test_a_table_of_ours_is_told_apart_by_its_header(tmp_path):
    file = tmp_path / "table.csv"
    writer = TableWriter(file, HEADER)
    measure_missing([DENSE, MAXIMUM], Machine().profiler(writer.baseline_ms), writer)
    table = read_any_table(file)
    assert isinstance(table, MeasuredTable)
    assert (list(table.described), len(table)) == ([DENSE, MAXIMUM], 2)
    assert table.label
    packed = tmp_path / "table.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert read_any_table(packed).rows == table.rows


def test_a_table_of_ours_that_cannot_be_read_is_refused_as_ours(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text('{"format": 0}\n')
    with pytest.raises(DataError, match="another version"):
        read_any_table(file)
    file.write_bytes(gzip.compress(b'{"format": 0}\n'))
    with pytest.raises(DataError, match="another version"):
        read_any_table(file)


PUBLISHED = {
    "iwslt14deen_gpu_titanxp": (41.6, 132.9, 126.7, 283.3, 0.968, 13.9, 14.1),
    "wmt14ende_cpu_raspberrypi": (3070, 5781, 5795, 12208, 0.899, 800.5, 664.4),
    "wmt14ende_cpu_xeon": (102.6, 271.0, 268.1, 486.6, 0.980, 19.0, 15.5),
    "wmt14ende_gpu_titanxp": (54.7, 174.3, 166.1, 372.9, 0.975, 16.7, 16.6),
    "wmt14enfr_cpu_xeon": (115.1, 278.3, 277.4, 499.1, 0.982, 18.1, 15.8),
    "wmt14enfr_gpu_titanxp": (53.0, 169.7, 155.6, 308.3, 0.986, 3.8, 3.6),
}
"""Least, middle, mean and greatest latency in ms, its rank correlation with the decoder depth; then the root of the
mean squared error of a lookup by depth and of least squares, on 200 rows, as computed independently of this code."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_tables_are_read_as_they_are_known(name):
    folder = os.environ.get("AUTOMOE_DATA")
    file = Path(folder or "") / "latency" / f"{name}.csv.gz"
    if not folder or not file.exists():
        pytest.skip(f"NOT CHECKED on the published table {name}: set AUTOMOE_DATA to a folder with latency/")
    table = read_hat_table(file)
    depth_N, latency_N = table.features.depth_N, table.latency_ms_N
    test, train = np.split(np.random.default_rng(0).permutation(2000), [-200])[::-1]
    lookup = {depth: latency_N[train][depth_N[train] == depth].mean() for depth in np.unique(depth_N)}
    x_NF = np.column_stack([np.ones(2000), table.features.x_NF])
    linear_N = x_NF @ np.linalg.lstsq(x_NF[train], latency_N[train], rcond=None)[0]
    found = (
        *(latency_N.min(), np.median(latency_N), latency_N.mean(), latency_N.max(), spearman(latency_N, depth_N)),
        rmse(latency_N[test], np.array([lookup[depth] for depth in depth_N[test]])),
        rmse(latency_N[test], linear_N[test]),
    )
    digits = (*[0 if "raspberry" in name else 1] * 4, 3, 1, 1)
    assert len(table) == 2000
    assert tuple(round(float(value), places) for value, places in zip(found, digits, strict=True)) == PUBLISHED[name]


def rmse(measured_N, predicted_N):
    return np.sqrt(np.mean((measured_N - predicted_N) ** 2))
