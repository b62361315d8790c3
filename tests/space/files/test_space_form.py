import dataclasses
import json

import pytest
from hypothesis import given

from automoe.resources import resource_folder
from automoe.space import SearchSpace, read_space
from tests.space.genome.test_codec import uneven_spaces
from tests.space.strategies import few


@few
@given(uneven_spaces())
def test_the_json_form_of_a_space_is_read_back_as_the_same_space(space):
    form = space.to_dict()
    text = json.dumps(form)
    assert json.loads(text) == form
    again = SearchSpace.from_dict(json.loads(text))
    assert again == space
    assert again.digest == space.digest
    assert SearchSpace.from_dict(form | {"name": "other"}) == dataclasses.replace(space, name="other")


@pytest.mark.parametrize(
    "path",
    sorted(resource_folder("search_spaces").rglob("*.yaml")),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_every_shipped_file_has_a_json_form(path):
    space = read_space(path)
    assert SearchSpace.from_dict(space.to_dict()) == space
