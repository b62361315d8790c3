import numpy as np

from automoe.predictor import Features
from automoe.predictor.scaling import Scaling


def test_a_feature_that_counts_less_varies_less():
    rng = np.random.default_rng(0)
    features = Features(rng.uniform(1, 9, (30, 3)), ("sums.a", "sums.b", "sizes.c"), np.ones(30, dtype=int))
    scaling = Scaling.of(features).times(lambda name: 0.3 if name.startswith("sizes") else 10.0)
    z_NF = scaling(features)
    np.testing.assert_allclose(z_NF.std(axis=0), [10, 10, 0.3])
    np.testing.assert_allclose(z_NF.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_array_equal(Scaling.from_dict(scaling.to_dict())(features), z_NF)
