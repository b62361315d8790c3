"""What people get wrong in files: each mistake is named with its line and its key."""

import subprocess
import sys

import pytest

from automoe.errors import DependencyError, SpaceError
from automoe.space import lint, read_space

GOOD = """\
name: mine
encoder:
  dim: {choice: [32, 64]}
  layers: {choice: [1, 2]}
  layer:
    heads: {choice: [2, 4]}
    experts: {choice: [1, 2]}
    expert_width: {choice: [64, 128], per: expert}
decoder:
  dim: 32
  layers: 1
  layer:
    heads: 2
    cross_layers: {choice: [1, 2]}
    expert_width: 64
"""

MISTAKES = {  # (text, replacement): line, key, words of the message
    ("[64, 128], per", "[64, 3O72], per"): (8, "encoder.layer.expert_width.choice[1]", "Did you mean 3072?"),
    ("[64, 128], per", "[64, l28], per"): (8, "encoder.layer.expert_width.choice[1]", "Did you mean 128?"),
    ("[64, 128], per", "[64, '128'], per"): (8, "encoder.layer.expert_width.choice[1]", "Remove the quotes"),
    ("[64, 128], per", "[64, 128.0], per"): (8, "encoder.layer.expert_width.choice[1]", "Did you mean 128?"),
    ("[64, 128], per", "[64, 64], per"): (8, "encoder.layer.expert_width.choice[1]", "listed twice"),
    ("[64, 128], per", "[], per"): (8, "encoder.layer.expert_width.choice", "empty list"),
    ("per: expert", "per: token"): (8, "encoder.layer.expert_width.per", "expert, layer"),
    ("experts: {choice: [1, 2]}", "experts: [1, 2]"): (7, "encoder.layer.experts", "{choice: [1, 2]}"),
    ("experts: {choice: [1, 2]}", "experts: 0"): (7, "encoder.layer.experts", "1 to"),
    ("experts: {choice", "expert: {choice"): (7, "encoder.layer.expert", "Did you mean 'experts'?"),
    ("heads: {choice", "heads: {choise"): (6, "encoder.layer.heads.choise", "Did you mean 'choice'?"),
    ("heads: {choice: [2, 4]}", "heads: {choice: [2, 5]}"): (6, "encoder.layer.heads", "into 5 equal heads"),
    ("  dim: 32", "  dim: 31"): (10, "decoder.dim", "even"),
    ("  dim: 32", "  dim: 032"): (10, "decoder.dim", "Did you mean 32?"),
    ("  dim: 32", "  dim: 1:30"): (10, "decoder.dim", "not a whole number"),
    ("  dim: 32", "  dim: yes"): (10, "decoder.dim", "not a whole number"),
    ("  dim: 32", "  dim:"): (10, "decoder.dim", "not a whole number"),
    ("  dim: 32", "  dim: 32\n  dim: 64"): (11, "decoder.dim", "twice, first on line 10"),
    ("  layers: 1", "  layers: 1000000000"): (11, "decoder.layers", "1 to 256"),
    ("cross_layers: {choice: [1, 2]}", "cross_layers: 3"): (14, "decoder.layer.cross_layers", "at most 2 layer"),
    ("    heads: 2\n", "    heads: 2\n    top_k: 2\n"): (14, "decoder.layer.top_k", "at most 1 expert"),
    ("    expert_width: 64\n", "    expert_widths: 512_256\n"): (
        15,
        "decoder.layer.expert_widths",
        "Write [512, 256]",
    ),
    ("[64, 128], per", "[64_128], per"): (8, "encoder.layer.expert_width.choice[0]", "Write [64, 128]"),
    ("    expert_width: 64\n", "    expert_width: 1_024\n"): (15, "decoder.layer.expert_width", "Did you mean 1024?"),
    ("    expert_width: 64\n", ""): (12, "decoder.layer", "how wide"),
    ("name: mine", "name: mine\nconstraints:\n  - decoder.dim <= 3"): (
        3,
        "constraints[0]",
        "no architecture of the space meets it",
    ),
    ("name: mine", "name: mine\nexpert_layers: all"): (13, "decoder.layer.experts", "gives this layer experts"),
    ("name: mine", "name: {a: b}"): (1, "name", "not a word"),
    ("decoder:", "decodr:"): (9, "decodr", "Did you mean 'decoder'?"),
}


@pytest.mark.parametrize(("change", "expected"), MISTAKES.items(), ids=lambda value: str(value)[:40])
def test_a_mistake_is_named_with_line_key_and_remedy(tmp_path, change, expected):
    path = tmp_path / "mine.yaml"
    assert change[0] in GOOD
    path.write_text(GOOD.replace(*change))
    with pytest.raises(SpaceError) as caught:
        read_space(path)
    line, key, words = expected
    assert (caught.value.file, caught.value.line, caught.value.key) == (str(path), line, key)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{path}:{line}: {key}")
    assert [str(mistake) for mistake in lint(path)] == [str(caught.value)]


def test_the_unchanged_file_has_no_mistakes(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert lint(path) == []
    assert read_space(path).name == "mine"


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"", None, "empty"),
        (b"  \n\n", None, "empty"),
        (b"# nothing\n", None, "comments only"),
        (b"encoder:\n\tdim: 32\n", 2, "tab"),
        (b"encoder: [1\ndecoder: 2\n", 2, "not valid YAML"),
        (b"a: 1\n---\nb: 2\n", 2, "another document"),
        (b"name: caf\xe9\n", 1, "UTF-8"),
        (b"name: a\nencoder: \x01\n", 2, "unprintable"),
        (b"encoder: &a [*a]\n", 1, "contains itself"),
        (b"encoder: " + b"[" * 5000 + b"]" * 5000, None, "nested too deeply"),
        (b"? [a]\n: 1\n", 1, "a key must be a word"),
        (b"- 1\n", 1, "not a mapping"),
    ],
)
def test_a_file_that_is_no_mapping_is_one_mistake(tmp_path, content, line, words):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    (mistake,) = lint(path)
    assert mistake.line == line
    assert words in str(mistake)


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert lint(path) == []


def test_aliases_are_followed_and_may_multiply_without_harm(tmp_path):
    bomb = "\n".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]" for i in range(30))
    path = tmp_path / "mine.yaml"
    path.write_text(f"a0: &a0 1\n{bomb}\nencoder: {{dim: *a30, layers: *a30}}\ndecoder: *a30\n")
    assert all(len(str(mistake)) < 2000 for mistake in lint(path))
    path.write_text(
        GOOD.replace("heads: {choice: [2, 4]}", "heads: &h {choice: [2, 4]}").replace("heads: 2", "heads: *h")
    )
    assert read_space(path).decoder.layers[0].heads == (2, 4)


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "not valid JSON"), ("[1]", "not a mapping"), ('{"encoder": 1, "encoder": 2}', "twice")],
)
def test_json_mistakes_are_named(tmp_path, content, words):
    path = tmp_path / "mine.json"
    path.write_text(content)
    assert any(words in str(mistake) for mistake in lint(path))


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    (tmp_path / "mine.yaml").write_text(GOOD)
    with pytest.raises(SpaceError, match=r"there is no such file\. Did you mean 'mine\.yaml'\?"):
        read_space(tmp_path / "mime.yaml")


def test_a_folder_is_no_file(tmp_path):
    assert "is a folder" in str(lint(tmp_path)[0])


def test_without_pyyaml_the_error_names_the_extra(tmp_path, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(DependencyError, match=r"automoe\[search\]"):
        read_space(path)


def test_importing_the_room_loads_no_yaml_and_no_torch():
    code = "import sys, automoe.space, automoe.cost; print({'yaml', 'torch'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
    )
