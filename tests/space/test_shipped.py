import pytest

from automoe.errors import SpaceError
from automoe.space import find_architecture, find_space, read_architecture, read_space


def test_a_name_finds_the_shipped_file():
    assert read_space(find_space("quickstart")).name == "quickstart"
    assert read_architecture(find_architecture("tiny")).encoder.dim == 32


def test_a_path_is_taken_as_it_is(tmp_path):
    assert find_space(tmp_path / "mine.yaml") == tmp_path / "mine.yaml"
    assert find_architecture("./mine.json").name == "mine.json"


@pytest.mark.parametrize(("find", "names"), [(find_space, "quickstart"), (find_architecture, "quickstart, tiny")])
def test_an_unknown_name_lists_those_that_there_are(find, names):
    with pytest.raises(SpaceError, match="Did you mean 'quickstart'") as caught:
        find("quikstart")
    assert caught.value.allowed == names


def test_a_missing_path_of_a_shipped_name_says_how_to_ask_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpaceError, match="write 'quickstart'"):
        find_space("quickstart.yaml")
