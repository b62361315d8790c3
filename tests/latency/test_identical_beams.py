import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.decoding import EOS, SearchConfig, search
from automoe.latency.beam_watch import BeamWatch
from automoe.latency.identical_beams import IdenticalBeams
from tests.decoding.hash_model import HashModel, HashStepper


class Recorder(HashStepper):
    """Notes the rows of each step, and every hypothesis as the model sees it."""

    def __init__(self):
        super().__init__(HashModel(20))
        self.rows, self.seen = [], []

    def start(self, sources, num_candidates):
        super().start(sources, num_candidates)
        self._histories = [(index,) for index in range(len(sources))]

    def step(self, tokens_N, order_N):
        pairs = zip(order_N.tolist(), tokens_N.tolist(), strict=True)
        self._histories = [(*self._histories[row], token) for row, token in pairs]
        self.rows.append(len(tokens_N))
        self.seen.append(self._histories)
        return super().step(tokens_N, order_N)


def sources(lengths):
    return [np.array([*range(4, 4 + length), EOS]) for length in lengths]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(2, 5), st.integers(1, 8))
def test_the_model_makes_as_many_steps_of_as_many_rows_and_sees_one_hypothesis_a_sentence(lengths, beam, length):
    config = SearchConfig(beam=beam, max_ratio=0, max_extra=length, min_length=length)
    distinct, identical = Recorder(), Recorder()
    search(distinct, sources(lengths), config)
    search(IdenticalBeams(identical), sources(lengths), config)
    assert identical.rows == distinct.rows
    assert all(len(set(rows)) == len(lengths) for rows in identical.seen)  # the first item tells sentences apart
    assert all(len(set(rows)) == len(rows) for rows in distinct.seen)


def test_sentences_that_end_take_their_rows_with_them():
    recorder = Recorder()
    stepper = IdenticalBeams(recorder)
    stepper.start(sources([3, 4, 5]), 4)
    stepper.step(np.full(3, EOS), np.arange(3))
    stepper.step(np.array([5, 6, 7, 8, 9, 10]), np.array([0, 0, 1, 1, 2, 2]))
    stepper.step(np.array([11, 12, 13, 14]), np.array([1, 0, 5, 4]))  # the second sentence has ended
    assert recorder.seen[-1] == [(0, 2, 5, 11)] * 2 + [(2, 2, 9, 13)] * 2


def test_no_share_of_the_steps_has_distinct_hypotheses_as_the_model_sees_them():
    config = SearchConfig(beam=4, max_ratio=0, max_extra=6, min_length=6)
    inner, outer = BeamWatch(HashStepper(HashModel(20))), BeamWatch(HashStepper(HashModel(20)))
    search(IdenticalBeams(inner), sources([5]), config)
    search(outer, sources([5]), config)
    assert (inner.distinct_beams, outer.distinct_beams) == (0, 1)
    assert inner.steps == outer.steps
