"""`extends:`: a file laid over another; whatever is wrong is named where it stands."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import SpaceError
from automoe.resources import resource_folder
from automoe.space import find_space, lint, read_space
from automoe.space.constraints import Constraint
from automoe.space.files.extends import merged
from automoe.space.files.yaml_file import Tree, tree_from_mapping
from tests.space.files.test_hat import HAT
from tests.space.files.test_yaml_file import GOOD
from tests.space.strategies import few

SHIPPED = sorted(resource_folder("search_spaces").glob("*.yaml"))
TAIL = "constraints:\n  - decoder.dim <= encoder.dim\n"

# A file as the merging sees it: three levels of mappings, choices and lists as their values.
values = st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2) | st.builds(
    lambda values: {"choice": values}, st.lists(st.integers(0, 3), max_size=2)
)  # fmt: skip
layers = st.dictionaries(st.sampled_from("hx"), values, min_size=1)
well_formed_sides = st.fixed_dictionaries({"dim": values}, optional={"layer": layers})
sides = well_formed_sides | st.dictionaries(st.sampled_from(["dim", "layer"]), values, min_size=1)
names = st.sampled_from(["encoder", "decoder"])
files = st.dictionaries(names, sides)
well_formed_files = st.dictionaries(names, well_formed_sides)


def plain(tree: Tree):
    """The value of a tree without lines and files."""
    if tree.pairs is not None:
        return {pair.key: plain(pair.value) for pair in tree.pairs}
    return tree.scalar if tree.items is None else [plain(item) for item in tree.items]


def laid(base, child):
    return plain(merged(tree_from_mapping(base), tree_from_mapping(child)))


def paths(form, path=()):
    """All values that are merged into no other, by their keys: numbers, lists and choices."""
    if not isinstance(form, dict) or "choice" in form:
        return {path: form}
    found = {}
    for key, value in form.items():
        found |= paths(value, (*path, key))
    return found


@given(files)
def test_nothing_laid_over_a_file_and_a_file_laid_over_nothing_is_that_file(file):
    assert laid(file, {}) == laid({}, file) == file


@given(files)
def test_a_file_laid_over_itself_is_itself(file):
    assert laid(file, file) == file


@given(files, files)
def test_every_value_of_the_child_stands_and_of_the_base_those_that_nothing_hides(base, child):
    below, above, found = paths(base), paths(child), paths(laid(base, child))
    assert above.items() <= found.items()
    for path, value in below.items():
        hidden = any(path[: len(other)] == other or other[: len(path)] == path for other in above)
        assert hidden or found[path] == value
    assert found.keys() <= below.keys() | above.keys()


@given(well_formed_files, well_formed_files, well_formed_files)
def test_it_does_not_matter_which_two_of_three_files_are_merged_first(base, middle, child):
    assert laid(laid(base, middle), child) == laid(base, laid(middle, child))


@given(files, files)
def test_null_removes_a_key_of_the_base_and_nothing_else(base, child):
    key = "encoder"
    expected = {name: value for name, value in laid(base, child).items() if name != key}
    assert laid({key: 1} | base, child | {key: None}) == expected


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_child_that_changes_nothing_is_its_base_under_another_name(tmp_path, path):
    child = tmp_path / "mine.yaml"
    child.write_text(f"extends: {path.stem}\n")
    base = read_space(path)
    space = read_space(child)
    assert (space.name, space.digest) == ("mine", base.digest)
    child.write_text(f"name: other\nextends: {path}\n")
    assert read_space(child).name == "other"


@pytest.fixture
def files_of(tmp_path):
    """Writes files; the first is the one that is read."""

    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return tmp_path / f"{next(iter(texts))}.yaml"

    return write


def test_a_child_says_what_is_different(files_of):
    child = files_of(
        child="extends: base.yaml\n"
        "encoder: {dim: 48, layer: {experts: null}}\n"
        "decoder: {layer: {expert_width: {choice: [8, 16], per: expert}, experts: 2}}\n"
        "constraints: encoder.layers == 2\n",
        base=GOOD + TAIL,
    )
    expected = files_of(
        expected=GOOD.replace("dim: {choice: [32, 64]}", "dim: 48")
        .replace("    experts: {choice: [1, 2]}\n", "")
        .replace("expert_width: 64", "expert_width: {choice: [8, 16], per: expert}\n    experts: 2")
        .replace("name: mine", "name: child")
        + TAIL
        + "  - encoder.layers == 2\n"
    )
    assert read_space(child) == read_space(expected)


def test_constraints_are_added_and_null_removes_them_all(files_of):
    child = files_of(child="extends: ./base.yaml\nconstraints: [encoder.layers == 2]\n", base=GOOD + TAIL)
    both = (Constraint.parse("decoder.dim <= encoder.dim"), Constraint.parse("encoder.layers == 2"))
    assert read_space(child).constraints == both
    assert read_space(files_of(child="extends: ./base.yaml\nconstraints: null\n")).constraints == ()


def test_what_is_not_there_is_removed_without_harm_and_what_the_base_says_too_may_be_said_again(files_of):
    child = files_of(
        child="extends: base.yaml\nexpert_layers: null\nencoder: {layer: {qkv_dim: null}}\n"
        "decoder: {layer: {top_k: ~}}\nconstraints: decoder.dim<=encoder.dim\n",
        base=GOOD + TAIL,
    )
    base = read_space(child.parent / "base.yaml")
    assert read_space(child).to_dict() == base.to_dict() | {"name": "child"}


def test_a_list_of_layers_takes_the_place_of_one_for_all(files_of):
    layers = "[{heads: 2, expert_widths: 8}, {heads: 1, expert_widths: [8, 4]}]"
    child = files_of(child=f"extends: base.yaml\ndecoder: {{layers: {layers}, layer: null}}\n", base=GOOD)
    assert [layer.experts.count for layer in read_space(child).decoder.layers] == [(1,), (2,)]
    (mistake,) = lint(files_of(child=f"extends: base.yaml\ndecoder:\n  layers: {layers}\n"))
    assert (mistake.line, mistake.key) == (3, "decoder.layers")
    assert "stands beside layer, which stands on line 12 of base.yaml" in str(mistake)
    assert "layer: null" in str(mistake)


def test_a_chain_may_be_long_and_lead_through_folders(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a/base.yaml").write_text(GOOD)
    (tmp_path / "b/1.yaml").write_text("extends: ../a/base.yaml\ndecoder: {dim: 16}\n")
    (tmp_path / "b/2.yaml").write_text("extends: 1.yaml\nencoder: {dim: 16}\n")
    (tmp_path / "3.json").write_text(json.dumps({"extends": "b/2.yaml", "name": "three"}))
    space = read_space(tmp_path / "3.json")
    assert (space.name, space.encoder.dim, space.decoder.dim) == ("three", (16,), (16,))
    shutil.copytree(tmp_path, tmp_path.parent / "moved")  # nothing depends on where the files are
    assert read_space(tmp_path.parent / "moved/3.json") == space


def test_what_comes_with_automoe_is_extended_by_its_name(files_of):
    child = files_of(child="extends: hat_wmt14\ndecoder: {layers: 1}\n")
    base = read_space(find_space("hat_wmt14"))
    space = read_space(child)
    assert space.encoder == base.encoder
    assert space.decoder.depth == (1,)


# Mistakes: the texts of the files (child first), then file, line, key and words of each message.
MISTAKES = {
    "in the base": (
        {"child": "extends: base.yaml\nencoder:\n  dim: 32\n", "base": GOOD.replace("dim: 32", "dim: 3Z")},
        [("base", 10, "decoder.dim", "Did you mean 32?")],
    ),
    "in the child": (
        {"child": "extends: base.yaml\nencoder:\n  dim: 3Z\n", "base": GOOD},
        [("child", 3, "encoder.dim", "Did you mean 32?")],
    ),
    "in both": (
        {"child": "extends: base.yaml\nencoder:\n  layer:\n    heads: x\n", "base": GOOD.replace("dim: 3", "dm: 3")},
        [("child", 4, "encoder.layer.heads", "not a whole"), ("base", 10, "decoder.dm", "Did you mean 'dim'?")],
    ),
    "a key twice in the base": (
        {"child": "extends: base.yaml\ndecoder:\n  layers: 2\n", "base": GOOD + "decoder: 3\n"},
        [("base", 16, "decoder", "stands twice, first on line 2 of child.yaml")],
    ),
    "a key twice in the child": (
        {"child": "extends: base.yaml\ndecoder:\n  dim: 2\n  dim: 4\n", "base": GOOD},
        [("child", 4, "decoder.dim", "stands twice, first on line 3")],
    ),
    "twice extends": (
        {"child": "extends: base.yaml\nextends: base.yaml\n", "base": GOOD},
        [("child", 2, "extends", "stands twice, first on line 1")],
    ),
    "a clash of a child's value with one of the base": (
        {"child": "extends: base.yaml\nencoder:\n  layer:\n    heads: 5\n", "base": GOOD},
        [("child", 4, "encoder.layer.heads", "5 equal heads")],
    ),
    "a clash of a base's value with one of the child": (
        {"child": "extends: base.yaml\nencoder:\n  layers: 1\n", "base": GOOD},
        [("base", 14, "decoder.layer.cross_layers", "at most 1 layer")],
    ),
    "a required key removed": (
        {"child": "extends: base.yaml\ndecoder:\n  dim: null\n", "base": GOOD},
        [("child", 2, "decoder.dim", "is missing")],
    ),
    "an unknown key removed": (
        {"child": "extends: base.yaml\nconstraint: null\n", "base": GOOD + TAIL},
        [("child", 2, "constraint", "Did you mean 'constraints'?")],
    ),
    "a constraint twice in the child": (
        {"child": "extends: base.yaml\nconstraints: [decoder.dim > 2, decoder.dim > 2]\n", "base": GOOD + TAIL},
        [("child", 2, "constraints[1]", "listed twice, first on line 2 of child.yaml")],
    ),
    "a constraint in the base": (
        {"child": "extends: base.yaml\nconstraints: [encoder.dim > 2]\n", "base": GOOD + "constraints: [decoder]\n"},
        [("base", 16, "constraints[0]", "decoder")],
    ),
    "constraints of both that contradict": (
        {"child": "extends: base.yaml\nconstraints:\n  - decoder.dim > encoder.dim\n", "base": GOOD + TAIL.replace(
            "decoder.dim", "decoder.layers + decoder.dim")},
        [("child", 3, "constraints[0]", "no architecture")],
    ),
    "no such name": (
        {"child": "extends: hat_wtm14\n"},
        [("child", 1, "extends", "Did you mean 'hat_wmt14'?")],
    ),
    "a name for a path": (
        {"child": "extends: base\n", "base": GOOD},
        [("child", 1, "extends", "needs its path")],
    ),
    "no such file": (
        {"child": "encoder: 3\nextends: ./bse.yaml\n", "base": GOOD},
        [("child", 2, "extends", "there is no such file. Did you mean 'base.yaml'?")],
    ),
    "a path that is no name of a file": (
        {"child": f"extends: {'a' * 5000}.yaml\n"},
        [("child", 1, "extends", "there is no such file")],
    ),
    "a shipped name with a suffix": (
        {"child": "extends: hat_wmt14.yaml\n"},
        [("child", 1, "extends", "write 'hat_wmt14'")],
    ),
    "not a word": ({"child": "extends: [base.yaml]\n"}, [("child", 1, "extends", "the path of a file")]),
    "nothing": ({"child": "extends:\n"}, [("child", 1, "extends", "Remove the line")]),
    "a folder": ({"child": "name: mine\nextends: ../\n"}, [("child", 2, "extends", "is a folder, not a file")]),
    "itself": (
        {"child": "name: mine\nextends: ./child.yaml\n"},
        [("child", 2, "extends", "in a circle: child.yaml > child.yaml")],
    ),
    "a circle of others": (
        {"child": "extends: a.yaml\n", "a": "extends: b.yaml\n", "b": "name: b\nextends: a.yaml\n"},
        [("b", 2, "extends", "in a circle: a.yaml > b.yaml > a.yaml")],
    ),
    "a file of HAT": (
        {"child": "extends: base.yaml\n", "base": HAT},
        [("child", 1, "extends", "no search space")],
    ),
    "a list": ({"child": "extends: base.yaml\n", "base": "- 1\n"}, [("child", 1, "extends", "no search space")]),
    "an empty base": ({"child": "extends: base.yaml\n", "base": ""}, [("base", None, None, "empty")]),
    "a base that is no YAML": (
        {"child": "extends: base.yaml\n", "base": "a: 1\nb: [\n"},
        [("base", 3, None, "not valid YAML")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("texts", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_the_file_and_line_where_it_stands(files_of, tmp_path, texts, expected):
    path = files_of(**texts)
    found = lint(path)
    assert [(mistake.file, mistake.line, mistake.key) for mistake in found] == [
        (str(tmp_path / f"{file}.yaml"), line, key) for file, line, key, _ in expected
    ]
    for mistake, (*_, words) in zip(found, expected, strict=True):
        assert words in str(mistake)
    with pytest.raises(SpaceError) as caught:
        read_space(path)
    assert str(caught.value) == str(found[0])


@few
@given(st.sampled_from(range(len(GOOD))), st.text(max_size=3), st.booleans())
def test_no_mistakes_means_that_the_file_is_read_whichever_of_two_is_damaged(
    tmp_path_factory, place, garbage, in_base
):
    folder = tmp_path_factory.mktemp("damaged")
    damaged = GOOD[:place] + garbage + GOOD[place:]
    (folder / "base.yaml").write_text(damaged if in_base else GOOD, encoding="utf-8", errors="replace")
    child = (GOOD if in_base else damaged).replace("name: mine", "extends: base.yaml")
    (folder / "child.yaml").write_text(child, encoding="utf-8", errors="replace")
    found = lint(folder / "child.yaml")
    if found:
        with pytest.raises(SpaceError) as caught:
            read_space(folder / "child.yaml")
        assert str(caught.value) == str(found[0])
    else:
        assert read_space(folder / "child.yaml").name in ("child", "mine") or not in_base


def test_aliases_that_multiply_are_merged_without_harm(files_of):
    bomb = "a0: &a0 {k: 1}\n" + "".join(f"a{i + 1}: &a{i + 1} {{x: *a{i}, y: *a{i}}}\n" for i in range(40))
    path = files_of(child=f"extends: base.yaml\n{bomb}encoder: *a40\n", base=f"{bomb}encoder: *a40\ndecoder: *a40\n")
    assert all(len(str(mistake)) < 2000 for mistake in lint(path))
