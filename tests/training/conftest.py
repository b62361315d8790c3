"""What the tests of this folder share: the corpus, and one plain training."""

import pytest
from packaging.version import Version

from automoe.training.train import train
from tests.training.job import prepared_corpus, tiny_job


@pytest.fixture(scope="module", autouse=True)
def a_hydra_that_fairseq_takes():
    """What fairseq asks of Hydra fails once another test of this process has composed by rules of a newer one.

    Users meet none of it: every training has a process of its own.
    """
    from hydra.version import VersionBase

    base = VersionBase.instance()
    before = base.getbase()
    base.setbase(Version("1.1"))
    yield
    base.version_base = before


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return prepared_corpus(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def undisturbed(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    train(tiny_job(data), folder)
    return folder
