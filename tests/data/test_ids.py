import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.data.ids import IdArray, id_files, write_ids
from automoe.errors import DataError

VOCABULARIES = st.sampled_from([2, 4000, 65_535, 65_536, 65_537, 250_000])


@st.composite
def _sentences(draw):
    vocab_size = draw(VOCABULARIES)
    ids = st.lists(st.integers(0, vocab_size - 1) | st.just(vocab_size - 1), max_size=9)
    return vocab_size, [np.array(sentence, dtype=np.int64) for sentence in draw(st.lists(ids, max_size=9))]


@given(_sentences())
def test_sentences_come_back_as_int64_whatever_the_vocabulary(tmp_path_factory, drawn):
    vocab_size, sentences = drawn
    path = tmp_path_factory.mktemp("ids") / "train.src"
    write_ids(path, sentences, vocab_size)
    array = IdArray.open(path)
    assert len(array) == len(sentences)
    assert array.lengths.tolist() == [len(sentence) for sentence in sentences]
    assert array.num_tokens == sum(map(len, sentences))
    for index, sentence in enumerate(sentences):
        assert array[index].dtype == np.int64
        np.testing.assert_array_equal(array[index], sentence)
        np.testing.assert_array_equal(array[index - len(sentences)], sentence)
    for wrong in (len(sentences), -len(sentences) - 1):
        with pytest.raises(IndexError):
            array[wrong]


@given(_sentences())
def test_the_same_sentences_give_the_same_bytes(tmp_path_factory, drawn):
    vocab_size, sentences = drawn
    folder = tmp_path_factory.mktemp("ids")
    write_ids(folder / "a", sentences, vocab_size)
    write_ids(folder / "b", iter(sentences), vocab_size)
    for one, two in zip(id_files(folder / "a"), id_files(folder / "b"), strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_small_vocabularies_take_two_bytes_a_token(tmp_path):
    write_ids(tmp_path / "a", [np.arange(1000)], 65_536)
    assert id_files(tmp_path / "a")[0].stat().st_size < 2 * 1000 + 200


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_missing_or_damaged_files_are_errors_that_name_them(tmp_path, which, damage):
    write_ids(tmp_path / "a", [np.arange(50), np.arange(9)], 100)
    file = id_files(tmp_path / "a")[which]
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: -8 if damage == "cut" else 0])
    with pytest.raises(DataError, match=file.name):
        IdArray.open(tmp_path / "a")


def test_files_of_two_arrays_do_not_belong_together(tmp_path):
    write_ids(tmp_path / "a", [np.arange(5)], 100)
    write_ids(tmp_path / "b", [np.arange(6)], 100)
    id_files(tmp_path / "b")[1].replace(id_files(tmp_path / "a")[1])
    with pytest.raises(DataError, match="do not belong together"):
        IdArray.open(tmp_path / "a")
