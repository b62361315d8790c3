import json

import numpy as np
import pytest

from automoe.errors import AutoMoEError
from automoe.predictor import make_predictor
from automoe.predictor.learning_curve import learning_curve
from tests.predictor.samples import measured


def curve(sizes, **settings):
    return learning_curve(lambda: make_predictor("ridge", folds=3), *measured(80, 0.02), sizes, **settings)


def test_more_rows_predict_the_rest_better():
    few, many = curve([8, 50])
    assert (few.rows, many.rows) == (8, 50)
    assert many.mape < few.mape and many.rmse < few.rmse
    assert few.mape_spread > 0 and json.loads(json.dumps(few.to_dict())) == few.to_dict()


def test_the_figures_are_of_the_rows_that_were_not_learnt_from():
    archs, values_N = measured(20, 0.1)

    class Memory:
        """Knows what it was told, and says 1 for all else."""

        def fit_part(self, archs, values_N):
            self.known = dict(zip(archs, values_N, strict=True))

        def predict(self, archs):
            assert not self.known.keys() & set(archs) and len(self.known) + len(archs) == 20
            from automoe.predictor import Prediction

            return Prediction.exact(np.ones(len(archs)))

    (point,) = learning_curve(Memory, archs, values_N, [17], repeats=1, seed=0)
    assert point.repeats == 1 and point.mape_spread == 0


def test_sizes_that_the_table_cannot_show_are_left_out():
    assert [point.rows for point in curve([1000, 78, 77, 10, 10, 2], repeats=1)] == [10, 77]


def test_the_same_seed_gives_the_same_curve_whatever_the_other_sizes():
    assert curve([20], seed=3) == curve([10, 20, 30], seed=3)[1:2]
    assert curve([20], seed=3) != curve([20], seed=4)


def test_values_that_are_all_equal_are_refused():
    with pytest.raises(AutoMoEError, match="nothing to predict"):
        learning_curve(lambda: make_predictor("ridge"), measured(20, 0.1)[0], np.ones(20), [10])
