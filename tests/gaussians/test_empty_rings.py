"""How many rings of cells around each cell hold no mean."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from gainer_ns.gaussians.neighbours import NeighbourIndex


@pytest.mark.parametrize("shape", [(3000, 2), (4000, 3)])
def test_rings_are_the_chessboard_distance(device: str, shape: tuple[int, int]) -> None:
    means = torch.rand(*shape, generator=torch.Generator().manual_seed(0)) - 0.5
    means = means[(means.norm(dim=1) < 0.2) | (means[:, 0] > 0.45)]
    index = NeighbourIndex(means.to(device), 0.1)
    filled = (index._cell_start.diff() > 0).view(*reversed(index._shape)).cpu().numpy()
    expected = np.asarray(ndimage.distance_transform_cdt(~filled, metric="chessboard"))
    assert expected.max() > 1
    np.testing.assert_array_equal(index._empty_rings.cpu().numpy().reshape(filled.shape), expected)
