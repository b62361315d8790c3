import numpy as np

from automoe.predictor.kernel import Kernel


def test_the_covariance_is_a_linear_and_a_smooth_part_and_that_of_a_row_depends_on_no_other():
    rng = np.random.default_rng(0)
    z_MF, z_NF = rng.standard_normal((4, 3)), rng.standard_normal((700, 3))
    kernel = Kernel(linear=0.2, smooth=3.0, lengths=(0.3, 2.0, 1e3), noise=0.1)
    far_MNF = ((z_MF[:, None] - z_NF) / np.array(kernel.lengths))[:, :, :2]  # a length at its bound tells of none
    expected_MN = 0.2 * (1 + z_MF @ z_NF.T) + 3.0 * np.exp(-0.5 * (far_MNF**2).sum(axis=2))
    found_MN = kernel(z_MF, z_NF)
    np.testing.assert_allclose(found_MN, expected_MN, rtol=1e-12)
    np.testing.assert_allclose(kernel(z_NF, z_NF).diagonal(), kernel.variance(z_NF), rtol=1e-12)
    for row in (0, 3, 699):
        np.testing.assert_array_equal(kernel(z_MF, z_NF[[row]])[:, 0], found_MN[:, row])
