from dataclasses import replace

import numpy as np

from automoe.search import make_searcher
from automoe.space import Census
from automoe.testing import middle_space, problem_of
from automoe.testing.problems import fit_quality

SPACE = middle_space()
PROBLEM = problem_of(SPACE, "loss")


def share_of_shallow(uniform):
    """Of 400 asked architectures, the share with one decoder layer."""
    searcher = make_searcher("random", PROBLEM, {"uniform": uniform}, 1)
    return np.mean([len(arch.decoder.layers) == 1 for arch, _ in searcher.ask(400)])


def test_either_every_depth_or_every_architecture_is_equally_likely():
    shallow = replace(SPACE, decoder=replace(SPACE.decoder, depth=(1,)))
    share = Census(shallow).num_architectures / Census(SPACE).num_architectures
    assert share < 0.05
    assert abs(share_of_shallow(uniform=False) - 1 / 2) < 0.1  # a standard deviation is 0.025
    assert abs(share_of_shallow(uniform=True) - share) < 0.05  # here at most 0.011


def test_what_it_is_told_and_a_quality_predictor_change_nothing_but_what_is_left():
    def refuse(archs, values_N):
        raise AssertionError("a baseline does not guess")

    guessing = replace(PROBLEM, fit_quality=refuse, screen=16)
    plain = replace(PROBLEM, fit_quality=fit_quality, screen=1)
    asked = [make_searcher("random", problem, {}, 1).ask(24) for problem in (guessing, plain)]
    assert asked[0] == asked[1]


def test_architectures_stay_equally_likely_where_limits_refuse_nearly_all():
    tight = problem_of(SPACE, "loss", "flops_g", limit=0.2)  # one of 500 keeps it
    asked = [arch for arch, _ in make_searcher("random", tight, {"uniform": True}, 1).ask(24)]
    # Of all that keep it 94 % have two encoder layers; of what is drawn gene by gene 33 %.
    assert np.mean([len(arch.encoder.layers) == 2 for arch in asked]) > 0.7
