from importlib.metadata import EntryPoint

import pytest

import automoe.data.corpus
from automoe.data.config import DataConfig
from automoe.data.corpus import open_corpus
from automoe.errors import ConfigError


class EchoCorpus:
    """A provider of another package."""

    def __init__(self, config):
        self._word = config.options["word"]

    def fingerprint(self):
        return self._word

    def splits(self):
        return ("train",)

    def pairs(self, split):
        yield self._word, self._word


def test_a_corpus_of_another_package_is_found_by_its_entry_point(monkeypatch):
    point = EntryPoint("echo", "tests.data.test_corpus:EchoCorpus", "automoe.corpora")
    monkeypatch.setattr(automoe.data.corpus, "entry_points", lambda group: [point] if group == point.group else [])
    corpus = open_corpus(DataConfig(corpus="echo", options={"word": "hello"}))
    assert list(corpus.pairs("train")) == [("hello", "hello")]


def test_an_unknown_corpus_is_an_error_with_a_suggestion():
    with pytest.raises(ConfigError, match=r"data\.corpus=home_asistant: .*Did you mean 'home_assistant'"):
        open_corpus(DataConfig(corpus="home_asistant"))


@pytest.mark.parametrize("corpus", ["text", "home_assistant"])
def test_our_corpora_refuse_options_of_other_packages(corpus):
    config = DataConfig(corpus=corpus, options={"word": "hello"})
    with pytest.raises(ConfigError, match=rf"data\.options\.word=hello: the corpus '{corpus}' has no such option"):
        open_corpus(config)
