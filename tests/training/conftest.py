"""What the tests of this folder share: the corpus, and one plain training."""

import pytest

from automoe.training.train import train
from tests.training.job import prepared_corpus, tiny_job


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return prepared_corpus(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def undisturbed(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    train(tiny_job(data), folder)
    return folder
