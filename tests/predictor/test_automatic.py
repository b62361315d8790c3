import numpy as np
import pytest

from automoe.predictor import Features, make_predictor
from automoe.predictor.automatic import best_of, candidates
from tests.predictor.samples import architectures, measured, other_device


def test_the_lookup_is_taken_where_only_depth_matters_and_another_where_width_does():
    archs = architectures(60)
    noise_N = np.exp(0.02 * np.random.default_rng(0).standard_normal(60))
    depth_N = np.array([len(arch.decoder.layers) for arch in archs])
    steps_N = np.array([3.0, 20.0, 21.0])[depth_N - 1]  # no straight line
    predictor = make_predictor("auto")
    predictor.fit(archs, steps_N * noise_N)
    assert predictor.chosen == "depth_lookup" and predictor.anew().kind == "depth_lookup"
    widths_N = np.array([sum(sum(layer.expert_widths) for layer in arch.decoder.layers) for arch in archs])
    predictor.fit(archs, (10 + widths_N / 100) * noise_N)
    assert predictor.chosen != "depth_lookup"


def test_products_of_a_published_table_are_found():
    rng = np.random.default_rng(0)
    x_NF = rng.uniform(1, 6, (150, 3))
    table = Features(x_NF, ("averages.a", "averages.b", "averages.c"), rng.integers(1, 6, 150))
    predictor = make_predictor("auto", folds=3)
    predictor.fit(table, 1 + x_NF[:, 0] * x_NF[:, 1])
    assert predictor.chosen == "polynomial"


def test_with_another_device_transfer_is_tried_too_and_wins_on_few_noisy_rows():
    archs, values_N = measured(24, 0.05, seed=3)
    predictor = make_predictor("auto", base=other_device())
    predictor.fit(archs, values_N)
    assert "transfer" in predictor.tried and "transfer" not in candidates(
        Features(np.ones((3, 1)), ("sums.a",), None)
    )
    assert predictor.chosen == "transfer"


def test_of_two_figures_the_worse_one_decides_and_of_equals_the_first():
    values_N, sure_N = np.array([10.0, 10.0, 1000.0]), np.ones(3)
    small_wrong = np.array([12.0, 8.0, 1000.0]), sure_N  # a little squared error, much relative error
    large_wrong = np.array([10.0, 10.0, 1100.0]), sure_N
    good = np.array([10.5, 9.5, 1004.0]), sure_N
    assert best_of({"small": small_wrong, "large": large_wrong, "good": good}, values_N) == "good"
    assert best_of({"a": good, "b": good}, values_N) == "a"
    assert best_of({"good": good, "perfect": (values_N, sure_N)}, values_N) == "perfect"


@pytest.mark.parametrize("rows, tried", [(40, False), (120, True)])
def test_trees_are_tried_on_tables_of_a_hundred_rows(rows, tried):
    features = Features(np.ones((rows, 1)), ("sums.a",), np.ones(rows, dtype=int))
    assert ("boosting" in candidates(features)) == tried
