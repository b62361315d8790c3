"""The tensors of a model are known from its architecture, and a file that holds others is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.bundle import JOINT, SCALE, check_tensors, read_tensors, tensor_shapes
from automoe.errors import BundleError
from tests.space.strategies import architectures, few

SHAPES = {"a": [2, 3], "b": [4, 3], "c": [5], "embedding": [6, 3]}


def float32():
    return {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}


def int8():
    """The same in 8 bits: transposed, `a` and `b` as one, the table as it is; `c` stays."""
    return {
        f"a{JOINT}b": np.ones((3, 6), np.int8),
        f"a{JOINT}b{SCALE}": np.ones(6, np.float32),
        "c": np.ones(5, np.float32),
        "embedding": np.ones((6, 3), np.int8),
        f"embedding{SCALE}": np.ones(6, np.float32),
    }


@few
@given(architectures(), st.booleans(), st.integers(5, 100))
def test_the_shapes_are_those_of_the_transformer(arch, pre_norm, vocab_size):
    pytest.importorskip("torch")
    from automoe.nn import Transformer, TransformerConfig

    config = TransformerConfig(vocab_size=vocab_size, pre_norm=pre_norm)
    state = Transformer.without_weights(arch, config).state_dict()
    assert tensor_shapes(arch.to_dict(), config.to_dict()) == {name: list(t.shape) for name, t in state.items()}


@pytest.mark.parametrize("tensors", [float32, int8])
def test_the_tensors_of_the_model_are_accepted(tmp_path, tensors):
    check_tensors(tensors(), SHAPES, tmp_path)


def with_one(value):
    """Replaces the last number of a tensor alone."""

    def change(array):
        array.ravel()[-1] = np.float32(value)
        return array

    return change


@pytest.mark.parametrize(
    ("tensors", "name", "change", "problem"),
    [
        (float32, "b", lambda array: None, "lacks 1 tensor"),
        (float32, "d", lambda array: np.ones(2, np.float32), "1 tensor.* too many"),
        (float32, "b", lambda array: array.T, "wrong shape"),
        (float32, "b", with_one("nan"), "NaN"),
        (float32, "b", with_one("inf"), "infinite"),
        (float32, "c", with_one("-inf"), "infinite"),
        (int8, "a+b.scale", lambda array: None, "lacks 1 tensor"),
        (int8, "embedding.scale", lambda array: None, "lacks 1 tensor"),
        (int8, "a+b", lambda array: array.T, "wrong shape"),
        (int8, "embedding", lambda array: array.T, "wrong shape"),
        (int8, "a+b.scale", with_one("nan"), "NaN"),
        (int8, "embedding.scale", with_one("-inf"), "infinite"),
        (int8, "c", with_one("inf"), "infinite"),
    ],
)
def test_a_wrong_tensor_is_named(tmp_path, tensors, name, change, problem):
    wrong = tensors()
    wrong[name] = change(wrong.get(name))
    with pytest.raises(BundleError, match=problem) as caught:
        check_tensors({key: array for key, array in wrong.items() if array is not None}, SHAPES, tmp_path / "weights")
    assert caught.value.key == name and caught.value.hint and str(tmp_path / "weights") in str(caught.value)


def test_of_a_joint_tensor_that_is_missing_the_parts_are_named(tmp_path):
    tensors = {name: array for name, array in int8().items() if "+" not in name}
    with pytest.raises(BundleError, match="lacks 2 tensor") as caught:
        check_tensors(tensors, SHAPES, tmp_path)
    assert caught.value.key == "a"


def file_of(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        b"\xff" * 100,
        file_of(b"[]"),
        file_of(b"\xff\xfe"),
        file_of(b'{"a": 1}'),
        file_of(b'{"a": {"dtype": "F32"}}'),
        file_of(b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', b"1234"),
        file_of(b'{"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}', b"12345678"),
        file_of(b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 7]}}', b"12345678"),
        file_of(b'{"a": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 8]}}', b"12345678"),
    ],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path, content):
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="no safetensors file") as caught:
        read_tensors(path)
    assert str(path) in str(caught.value) and caught.value.hint


def test_a_type_that_no_weight_has_is_named(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(file_of(b'{"a": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}', b"12345678"))
    with pytest.raises(BundleError, match=r"a=I64: .*allowed: F32"):
        read_tensors(path)


def test_metadata_is_no_tensor(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(file_of(b'{"__metadata__": {"format": "pt"}}'))
    assert read_tensors(path) == {}
