from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import SpaceError
from automoe.space import lint, read_space
from tests.space.files import test_grammar
from tests.space.files.test_yaml_file import GOOD, MISTAKES
from tests.space.strategies import few

CHANGES = [*MISTAKES, *test_grammar.MISTAKES]
MANY = GOOD.replace("[2, 4]", "[2, 5]").replace("dim: 32", "dim: 3Z").replace("layers: 1", "lyers: 1")


def test_all_mistakes_are_listed_in_line_order(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MANY + "constraints: []\n")
    found = [(mistake.line, mistake.key) for mistake in lint(path)]
    assert found == [
        (6, "encoder.layer.heads"),
        (10, "decoder.dim"),
        (11, "decoder.lyers"),
        (16, "constraints"),
    ]


def test_no_mistakes_means_that_the_file_is_read(tmp_path_factory):
    path = tmp_path_factory.mktemp("lint") / "mine.yaml"

    @few
    @given(st.lists(st.sampled_from(CHANGES), max_size=3), st.integers(0, len(GOOD)), st.text(max_size=3))
    def check(changes, place, garbage):
        text = GOOD[:place] + garbage + GOOD[place:]
        for change in changes:
            text = text.replace(*change)
        path.write_text(text, encoding="utf-8", errors="replace")
        try:
            read_space(path)
        except SpaceError as error:
            assert str(error) == str(lint(path)[0])
        else:
            assert lint(path) == []

    check()
