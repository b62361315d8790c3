import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from automoe.search.surrogate import guess_losses
from tests.search.analytic import CODEC, loss, record_of, records_of, sampled
from tests.space.strategies import few


@few
@given(st.integers(0, 999))
def test_its_order_of_unseen_architectures_is_mostly_the_true_one(seed):
    records, archs = records_of(sampled(40, seed)), sampled(60, seed + 1000)
    guess_M, true_M = guess_losses(CODEC, records, archs), np.array([loss(arch) for arch in archs])
    right_MM = (guess_M[:, None] < guess_M) == (true_M[:, None] < true_M)
    assert right_MM[np.triu_indices(len(archs), 1)].mean() > 0.8


@few
@given(st.integers(0, 999), st.floats(1.0, 9.0))
def test_where_all_losses_are_equal_it_guesses_the_same(seed, value):
    records = [record_of(arch, loss=value) for arch in sampled(5, seed)]
    np.testing.assert_allclose(guess_losses(CODEC, records, sampled(9, seed + 1)), value, atol=1e-6)


def test_one_architecture_is_enough_to_guess_and_none_are_guessed_for_none():
    (arch,) = sampled(1, 0)
    assert guess_losses(CODEC, [record_of(arch)], [arch]) == np.round(loss(arch), 6)
    assert len(guess_losses(CODEC, [record_of(arch)], [])) == 0
