import numpy as np
import pytest

from automoe.search import make_searcher, used_share
from automoe.search.searchers.tight_limits import near_within, nearest_to_limits
from automoe.testing import Play, middle_space, problem_of, wmt14_space

SPACE = wmt14_space()
SHARE = 0.20066
"""Of the largest architecture's FLOPs, what the smallest takes; no sample of thousands comes near it."""


@pytest.mark.parametrize(("name", "options"), [("evolution", {}), ("local", {}), ("random", {"uniform": True})])
def test_a_limit_just_above_the_smallest_ends_no_search_in_a_large_space(name, options):
    problem = problem_of(SPACE, "loss", "flops_g", limit=SHARE * 1.0001)
    searcher = make_searcher(name, problem, options, 1)
    play = Play(searcher, problem).by_generations(2 * searcher.batch)
    assert len(play.records) == 2 * searcher.batch


def test_what_is_found_keeps_the_limits_and_is_found_once():
    problem = problem_of(middle_space(), "loss", "flops_g", limit=0.13)
    found = np.concatenate([genome_NG for genome_NG, _ in near_within(problem, [], np.random.default_rng(0))])
    assert len(np.unique(found, axis=0)) == len(found) > 50
    assert all(map(problem.keeps, problem.estimates(problem.codec.decode_all(found))))


def test_the_same_draws_find_the_same():
    problem = problem_of(middle_space(), "loss", "flops_g", limit=0.13)
    one, two = ([*near_within(problem, [], np.random.default_rng(3))] for _ in range(2))
    assert len(one) == len(two)
    assert all(np.array_equal(a[0], b[0]) and a[1] == b[1] for a, b in zip(one, two, strict=True))


def test_where_the_smallest_breaks_a_limit_it_goes_downhill_until_all_are_kept():
    class Inverted:
        """Costs that fall where the sizes grow."""

        def __init__(self, mean_N):
            self.mean_N = self.lower_N = self.upper_N = mean_N

    plain = problem_of(middle_space(), "flops_g", limit=1.0)

    def predict(archs):
        return {name: Inverted(10 - each.mean_N / 10) for name, each in plain.predict_costs(archs).items()}

    ends = [plain.codec.space.smallest(), plain.codec.space.largest()]
    halfway = float(predict(ends)["flops_g"].mean_N.mean())
    problem = type(plain)(
        codec=plain.codec,
        predict_costs=predict,
        objectives=plain.objectives,
        limits=(type(plain.limits[0])(cost="flops_g", max=halfway),),
    )
    genome_G, use = nearest_to_limits(problem)
    assert use <= 1
    (costs,) = problem.estimates([problem.codec.decode(genome_G)])
    assert used_share(costs, problem.limits) == use
    first_NG, _ = next(near_within(problem, [], np.random.default_rng(0)))
    assert first_NG.tolist() == [genome_G.tolist()]


def test_where_nothing_keeps_the_limits_it_says_what_comes_nearest_and_finds_nothing():
    problem = problem_of(middle_space(), "flops_g", limit=0.05)
    genome_G, use = nearest_to_limits(problem)
    assert problem.codec.decode(genome_G) == problem.codec.space.smallest()
    assert use > 1
    assert not [*near_within(problem, [], np.random.default_rng(0))]
