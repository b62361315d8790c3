import pytest

from automoe.cost import costs
from automoe.errors import SpaceError
from automoe.space import find_architecture, find_space, read_architecture, read_space


def test_a_name_finds_the_shipped_file():
    assert read_space(find_space("quickstart")).name == "quickstart"
    assert read_architecture(find_architecture("tiny")).encoder.dim == 32


def test_a_path_is_taken_as_it_is(tmp_path):
    assert find_space(tmp_path / "mine.yaml") == tmp_path / "mine.yaml"
    assert find_architecture("./mine.json").name == "mine.json"


def test_the_tiny_space_chooses_everything_but_heads_and_is_small():
    space = read_space(find_space("tiny"))
    chosen = {gene.name.rpartition(".")[2] for gene in space.genes() if len(gene.choices) > 1}
    assert chosen == {"dim", "layers", "experts", "expert_width", "cross_layers"}
    assert space.num_architectures < 1_000_000
    assert costs(space.largest(), vocab_size=1000, pre_norm=True).params_total < 150_000


def test_the_quickstart_space_holds_models_that_minutes_can_train():
    largest = read_space(find_space("quickstart")).largest()
    assert max(largest.encoder.dim, largest.decoder.dim) <= 128
    assert costs(largest, vocab_size=4000, pre_norm=True).params_total < 3_000_000


@pytest.mark.parametrize(
    ("find", "names"), [(find_space, "quickstart, tiny"), (find_architecture, "quickstart, tiny")]
)
def test_an_unknown_name_lists_those_that_there_are(find, names):
    with pytest.raises(SpaceError, match="Did you mean 'quickstart'") as caught:
        find("quikstart")
    assert caught.value.allowed == names


def test_a_missing_path_of_a_shipped_name_says_how_to_ask_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpaceError, match="write 'quickstart'"):
        find_space("quickstart.yaml")
