"""The keys of a space file that speak of several layers or of whole architectures; the page that documents all."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import SpaceError
from automoe.resources import resource_folder
from automoe.space import lint, read_space
from automoe.space.constraints import VARIABLES, Constraint
from automoe.space.expert_layers import ExpertLayers
from automoe.space.files.side_fields import CROSS_KEYS, LAYER_KEYS, SIDE_KEYS
from automoe.space.files.space_file import SPACE_KEYS
from automoe.space.genes import Shared
from tests.space.files.test_yaml_file import GOOD
from tests.space.strategies import few

PAGE = (resource_folder("search_spaces") / "README.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

DEEP = GOOD.replace("layers: {choice: [1, 2]}", "layers: {choice: [2, 4]}", 1)

MISTAKES = {  # (text, replacement): line, key, words of the message
    ("[2, 4]}\n    experts", "[2, 4], share: al}\n    experts"): (
        6,
        "encoder.layer.heads.share",
        "Did you mean 'all'?",
    ),
    ("[2, 4]}\n    experts", "[2, 4], share: [1, 2]}\n    experts"): (
        6,
        "encoder.layer.heads.share",
        "Write [[1, 2]]",
    ),
    ("[2, 4]}\n    experts", "[2, 4], share: []}\n    experts"): (6, "encoder.layer.heads.share", "empty list"),
    ("[2, 4]}\n    experts", "[2, 4], share: [[1, 5]]}\n    experts"): (
        6,
        "encoder.layer.heads.share[0][1]",
        "1 to 4",
    ),
    ("[2, 4]}\n    experts", "[2, 4], share: [[0, 1]]}\n    experts"): (
        6,
        "encoder.layer.heads.share[0][0]",
        "1 to 4",
    ),
    ("[2, 4]}\n    experts", "[2, 4], share: [[1, 2, 1]]}\n    experts"): (
        6,
        "encoder.layer.heads.share[0][2]",
        "listed twice",
    ),
    ("[2, 4]}\n    experts", "[2, 4], share: [[1, 2], [3, 2]]}\n    experts"): (
        6,
        "encoder.layer.heads.share[1][1]",
        "in the group encoder.layer.heads.share[0] already",
    ),
    ("[2, 4]}\n    experts", "[2, 4], share: [[1, 2], [3]]}\n    experts"): (
        6,
        "encoder.layer.heads.share[1]",
        "a group of one layer",
    ),
    ("[2, 4]}\n    experts", "[2, 4], share: [[1, 2], 3]}\n    experts"): (
        6,
        "encoder.layer.heads.share[1]",
        "not a list",
    ),
    ("per: expert", "per: expert, share: all"): (8, "encoder.layer.expert_width.share", "Write per: layer"),
    ("dim: {choice: [32, 64]}", "dim: {choice: [32, 64], share: all}"): (3, "encoder.dim.share", "unknown key"),
    ("  layers: 1\n  layer:\n    heads: 2\n", "  layers:\n  - heads: {choice: [1, 2], share: all}\n"): (
        12,
        "decoder.layers[0].heads.share",
        "stands in a list of layers",
    ),
    ("name: mine", "expert_layers: evry 3"): (1, "expert_layers", "Did you mean 'every 3'?"),
    ("name: mine", "expert_layers: every 0"): (1, "expert_layers", "every N"),
    ("name: mine", "expert_layers:"): (1, "expert_layers", "Remove the line"),
    ("name: mine", "expert_layers: [encoder, none]"): (1, "expert_layers", "{choice: [encoder, none]}"),
    ("name: mine", "expert_layers: {choice: [encoder, encoder all]}"): (
        1,
        "expert_layers.choice[1]",
        "listed twice, first on line 1",
    ),
    ("name: mine", "expert_layers: {choice: []}"): (1, "expert_layers.choice", "empty list"),
    ("name: mine", "expert_layers: {chioce: [none]}"): (1, "expert_layers.chioce", "Did you mean 'choice'?"),
    ("name: mine", "constraints: decoder.dim <= encoder.dims"): (1, "constraints", "Did you mean 'encoder.dim'?"),
    ("name: mine", "constraints:\n- decoder.dim <= encoder.dim\n- decoder.layers = 2"): (
        3,
        "constraints[1]",
        "no expression",
    ),
    ("name: mine", "constraints:\n- decoder.dim <= encoder.dim\n- __import__('os').getcwd() == 1"): (
        3,
        "constraints[1]",
        "not allowed",
    ),
    ("name: mine", "constraints:\n- decoder.dim <= encoder.dim\n- (decoder.dim)<=encoder.dim"): (
        3,
        "constraints[1]",
        "listed twice, first on line 2",
    ),
    ("name: mine", "constraints: [{decoder.dim: 2}]"): (1, "constraints[0]", "no expression"),
    ("name: mine", "constraints: []"): (1, "constraints", "empty list"),
    ("name: mine", "constraints:"): (1, "constraints", "Remove the line"),
    ("name: mine", "constraints:\n- decoder.dim <= 64\n- decoder.dim > 32\n"): (
        3,
        "constraints[1]",
        "no architecture of the space meets it",
    ),
    ("name: mine", "constraints:\n- encoder.dim > 32\n- encoder.layers == 4\n- decoder.dim < encoder.dim\n"
     "- encoder.dim <= decoder.dim"): (5, "constraints[3]", "contradicts"),
    ("layers: {choice: [2, 4]}", "layers: {choice: [2, None]}"): (4, "encoder.layers.choice[1]", "YAML writes null"),
    ("name: mine", "constraints: ''"): (1, "constraints", "Write a condition, or remove it"),
    ("name: mine", "constraints: [encoder.dim == None]"): (1, "constraints[0]", "not allowed"),
    ("name: mine", "constraints: [null]"): (1, "constraints[0]", "null, which is no size"),
    ("name: mine", "expert_layers: {choice: [None]}"): (1, "expert_layers.choice[0]", "Did you mean 'none'?"),
    ("name: mine", "expert_layers: {choice: [every 5, encoder]}"): (
        1,
        "expert_layers.choice[0]",
        "names no layer of any model",
    ),
    ("name: mine", "expert_layers: {choice: [encoder first 9, encoder]}"): (
        1,
        "expert_layers.choice[1]",
        "names the same layers as 'encoder first 9' on line 1 of mine.yaml",
    ),
}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return read_space(path)

    return read_text


@pytest.mark.parametrize(("change", "expected"), MISTAKES.items(), ids=lambda value: str(value)[:60])
def test_a_mistake_is_named_with_line_key_and_remedy(tmp_path, change, expected):
    path = tmp_path / "mine.yaml"
    assert DEEP.count(change[0]) == 1
    path.write_text(DEEP.replace(*change))
    with pytest.raises(SpaceError) as caught:
        read_space(path)
    line, key, words = expected
    assert (caught.value.file, caught.value.line, caught.value.key) == (str(path), line, key)
    assert words in str(caught.value)
    assert [str(mistake) for mistake in lint(path)] == [str(caught.value)]


@few
@given(st.permutations(range(1, 5)), st.integers(2, 4), st.integers(0, 4))
def test_groups_of_layers_are_counted_from_one_and_keep_no_order(tmp_path_factory, order, first, second):
    groups = [group for group in (order[:first], order[first : first + second]) if len(group) > 1]
    path = tmp_path_factory.mktemp("groups") / "mine.yaml"
    path.write_text(DEEP.replace("[2, 4]}\n    experts", f"[2, 4], share: {groups}}}\n    experts"))
    expected = {Shared(key="heads", layers=tuple(sorted(number - 1 for number in group))) for group in groups}
    shared = read_space(path).encoder.shared
    assert len(shared) == len(expected)
    assert set(shared) == expected


def test_sharing_by_all_is_one_group_and_by_none_no_group(read):
    text = DEEP.replace("[1, 2]}\n    expert_width", "[1, 2], share: all}\n    expert_width")
    assert read(text).encoder.shared == (Shared(key="experts", layers=(0, 1, 2, 3)),)
    assert read(text.replace("share: all", "share: none")) == read(DEEP)


def test_all_layers_of_a_side_of_one_layer_share_nothing(read):
    assert read(DEEP.replace("cross_layers: {choice: [1, 2]", "cross_layers: {choice: [1, 2], share: all")) == read(
        DEEP
    )


def test_widths_can_be_shared_where_the_experts_of_a_layer_have_one(read):
    for per in ("", ", per: layer"):
        space = read(DEEP.replace("[64, 128], per: expert", f"[64, 128]{per}, share: all"))
        assert space.encoder.shared == (Shared(key="expert_width", layers=(0, 1, 2, 3)),)


@pytest.mark.parametrize("text", ["every 2", "encoder last 3", "free"])
def test_a_pattern_alone_is_a_choice_of_one(read, text):
    several = GOOD.replace("    expert_width: 64", "    experts: {choice: [1, 2]}\n    expert_width: 64")
    alone = read(several + f"expert_layers: {text}\n")
    assert alone.expert_layers == (ExpertLayers.parse(text),)
    assert alone == read(several + f"expert_layers: {{choice: [{text}]}}\n")


def test_one_constraint_needs_no_list(read):
    alone = read(GOOD + "constraints: decoder.dim <= encoder.dim\n")
    assert alone.constraints == (Constraint.parse("decoder.dim <= encoder.dim"),)
    assert alone == read(GOOD + "constraints: [decoder.dim <= encoder.dim]\n")


def test_a_constraint_that_every_architecture_meets_is_no_mistake(read):
    assert len(read(GOOD + "constraints: decoder.dim >= 2\n").constraints) == 1


def test_contradicting_constraints_are_named_without_those_that_have_no_part_in_it(read):
    with pytest.raises(SpaceError) as caught:
        read(GOOD + "constraints: [encoder.layers >= 1, decoder.dim < encoder.dim, encoder.layers < 3, "
             "encoder.dim == 32]\n")  # fmt: skip
    message = str(caught.value)
    assert caught.value.value == "encoder.dim == 32"
    assert "contradicts decoder.dim < encoder.dim (on line 16 of mine.yaml)" in message
    assert "each can be met alone" in message
    assert "encoder.layers" not in message


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.partition("\n")[0])
def test_every_example_of_the_page_is_a_space_or_goes_into_one(tmp_path, example):
    is_whole = example.startswith(("name:", "extends:")) or "decoder:" in example
    path = tmp_path / "example.yaml"
    path.write_text(example if is_whole else f"extends: quickstart\n{example}")
    assert lint(path) == []


def test_the_page_names_every_key_and_every_size_of_a_constraint():
    keys = {*SPACE_KEYS, *SIDE_KEYS, *LAYER_KEYS, *CROSS_KEYS}
    shown = {key for text in EXAMPLES for key in re.findall(r"\w+(?=:)", text)}
    assert keys | {"choice", "share", "per"} <= shown
    assert all(f"`{key}`" in PAGE for key in keys)
    sizes = set(re.findall(r"`((?:encoder|decoder)\.[a-z_.]+)`", PAGE))
    assert sizes <= set(VARIABLES)
    assert {size.partition(".")[2] for size in VARIABLES} == {size.partition(".")[2] for size in sizes}


def test_the_page_lists_every_space_that_comes_with_automoe():
    listing = PAGE.partition("## What comes with AutoMoE")[2]
    named = set()
    for row in re.findall(r"^\| (`.*?) \|", listing, re.MULTILINE):
        first, *others = re.findall(r"`(\w+)`", row)
        stem = first.removesuffix("_fractional").rpartition("_")[0]
        named |= {first} | {other if not other.startswith("_") else stem + other for other in others}
    assert named == {path.stem for path in resource_folder("search_spaces").glob("*.yaml")}
