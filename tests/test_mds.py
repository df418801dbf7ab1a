"""Classical scaling gives distances back."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from gwrsa.mds import classical_mds
from problems import points


@pytest.mark.parametrize("n", [3, 150])
def test_classical_mds_recovers_distances(n):
    d = squareform(pdist(points(n, 2)))
    np.testing.assert_allclose(squareform(pdist(classical_mds(d))), d, atol=1e-9)


def test_classical_mds_of_one_object_and_of_one_dimension():
    np.testing.assert_array_equal(classical_mds([[0.0]]), [[0.0, 0.0]])
    np.testing.assert_allclose(classical_mds(squareform(pdist([[0.0], [1.0], [3.0]])))[:, 1], 0, atol=1e-7)
