import sys

import pytest
from hypothesis import given

from automoe.errors import SpaceError
from automoe.space import Placement, placement_yaml, read_placement, write_placement
from tests.space.strategies import few, spaces
from tests.space.test_placement import seeds

GOOD = Placement(encoder=((0,), (2, 0, 1)), decoder=((1, 0),))


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
def test_what_is_written_is_read_back(tmp_path_factory, suffix):
    path = tmp_path_factory.mktemp("forms") / f"placement{suffix}"

    @few
    @given(spaces(), seeds)
    def check(space, rng):
        placement = Placement.sample(space.sample(rng), space.largest(), rng)
        write_placement(placement, path)
        assert read_placement(path) == placement

    check()


def test_the_yaml_form_has_a_line_for_each_layer():
    assert placement_yaml(GOOD) == "encoder:\n  - [0]\n  - [2, 0, 1]\ndecoder:\n  - [1, 0]\n"


@pytest.mark.parametrize(
    ("change", "line", "key", "words"),
    [
        (("[2, 0, 1]", "[2, 0, l]"), 3, "encoder[1][2]", "Did you mean 1?"),
        (("[2, 0, 1]", "[2, -1, 1]"), 3, "encoder[1][1]", "0 to"),
        (("[2, 0, 1]", "[2, yes, 1]"), 3, "encoder[1][1]", "not a whole number"),
        (("[2, 0, 1]", "[2_0, 1]"), 3, "encoder[1][0]", "not a whole number"),
        (("[2, 0, 1]", "[2, 0, 2]"), 3, "encoder[1][2]", "fills two slots"),
        (("[2, 0, 1]", "[]"), 3, "encoder[1]", "empty list"),
        (("[2, 0, 1]", "2"), 3, "encoder[1]", "not a list"),
        (("decoder:", "decodr:"), 4, "decodr", "Did you mean 'decoder'?"),
        (("decoder:\n  - [1, 0]\n", ""), 1, "decoder", "is missing"),
        (("decoder:\n  - [1, 0]\n", "decoder: {dim: 3}"), 4, "decoder", "not a list"),
    ],
)
def test_a_mistake_is_named_with_line_and_key(tmp_path, change, line, key, words):
    path = tmp_path / "placement.yaml"
    text = placement_yaml(GOOD)
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(SpaceError) as caught:
        read_placement(path)
    assert (caught.value.file, caught.value.line, caught.value.key) == (str(path), line, key)
    assert words in str(caught.value)


def test_a_suffix_without_meaning_is_refused(tmp_path):
    with pytest.raises(SpaceError, match=r"\.json"):
        write_placement(GOOD, tmp_path / "placement.toml")


def test_json_is_read_without_yaml(tmp_path, monkeypatch):
    write_placement(GOOD, tmp_path / "placement.json")
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert read_placement(tmp_path / "placement.json") == GOOD
