"""For packages that extend AutoMoE: the laws that their parts keep, as tests to inherit."""

from automoe.testing.problems import middle_space, problem_of, record_of, small_space, wmt14_space
from automoe.testing.searcher_contract import Play, SearcherContract

__all__ = ["Play", "SearcherContract", "middle_space", "problem_of", "record_of", "small_space", "wmt14_space"]
