"""A weight file is a safetensors file in which neighbours can be read as one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

safetensors_numpy = pytest.importorskip("safetensors.numpy")

from automoe.bundle import read_tensors  # noqa: E402
from automoe.export.weight_file import WeightFile  # noqa: E402


@st.composite
def tensors(draw):
    """Tensors of one to three axes, none of them empty."""
    shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3)
    names = draw(st.lists(st.text('ab._ß"+', min_size=1, max_size=6), min_size=1, max_size=6, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return {
        name: (100 * rng.normal(size=draw(shapes))).astype(draw(st.sampled_from([np.float32, np.int8])))
        for name in names
    }


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@given(tensors())
def test_the_safetensors_library_and_we_read_what_was_written(tmp_path_factory, arrays):
    content = WeightFile("weights", arrays).to_bytes()
    same(safetensors_numpy.load(content), arrays)
    path = tmp_path_factory.getbasetemp() / "weights"
    path.write_bytes(content)
    same(read_tensors(path), arrays)


@given(tensors())
def test_we_read_what_the_safetensors_library_writes(tmp_path_factory, arrays):
    path = tmp_path_factory.getbasetemp() / "library"
    path.write_bytes(safetensors_numpy.save(arrays, metadata={"format": "pt"}))
    same(read_tensors(path), arrays)


@given(tensors())
def test_a_tensor_lies_where_its_place_says_in_the_order_given(arrays):
    file = WeightFile("weights", arrays)
    content, end = file.to_bytes(), None
    assert list(file) == list(arrays)
    for name, array in arrays.items():
        place = file.place(name)
        assert content[place.offset : place.offset + place.nbytes] == array.tobytes()
        assert (place.shape, place.dtype) == (array.shape, array.dtype)
        assert place.offset == end or (end is None and place.offset % 64 == 0)
        end = place.offset + place.nbytes
    assert end == len(content)


def test_a_view_that_is_not_contiguous_is_written_as_it_reads():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    views = {"a": array.T, "b": array[:, 1:3]}
    same(safetensors_numpy.load(WeightFile("weights", views).to_bytes()), views)


ROWS = {"a": np.zeros((2, 3), np.float32), "b": np.ones((1, 3), np.float32), "c": np.full((4, 3), 2, np.float32)}


def test_neighbours_are_one_place_with_the_rows_of_all():
    file = WeightFile("weights", ROWS)
    place = file.place("a+b+c")
    start = place.offset
    found = np.frombuffer(file.to_bytes()[start : start + place.nbytes], np.float32).reshape(place.shape)
    np.testing.assert_array_equal(found, np.concatenate(list(ROWS.values())))
    assert file.place("b+c").offset == file.place("b").offset


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({}, "a+c"),
        ({}, "b+a"),
        ({"b": np.ones((1, 4), np.float32)}, "a+b"),
        ({"b": np.ones((1, 3), np.int8)}, "a+b"),
        ({"b": np.ones(3, np.float32)}, "a+b"),
    ],
    ids=["one between", "wrong order", "other width", "other type", "other axes"],
)
def test_what_does_not_lie_side_by_side_is_no_one_place(other, name):
    with pytest.raises(ValueError, match="side by side"):
        WeightFile("weights", ROWS | other).place(name)


def test_a_type_that_no_weight_has_cannot_be_written():
    with pytest.raises(KeyError, match="float64"):
        WeightFile("weights", {"a": np.zeros(2)})
