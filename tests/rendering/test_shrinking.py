"""What is smaller than it was, drawn by the mean of what each pixel stands for."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from gainer_ns.rendering.plane import BakedPicture


@pytest.mark.parametrize("axes", [(1.0, 1.0), (1.0, 0.25), (0.25, 0.25)])
@pytest.mark.parametrize("neighbours", [16, 21])
def test_a_moved_layer_is_averaged_where_it_shrinks(
    neighbours: int, axes: tuple[float, float], picture: Callable[..., BakedPicture]
) -> None:
    """As if it were drawn at eight times the size, at which nothing is smaller than it was, and averaged then."""
    source = picture(32, 32, num_neighbours=neighbours)
    layer = replace(source.only_layer, half_extent=None)
    shrink = torch.diag(torch.tensor(axes))
    moved = layer.gaussians.transformed(layer.gaussians.means @ shrink, shrink[None])
    small = replace(source, layers=(layer.with_gaussians(moved),))
    crop = (14.0, 14.0, 18.0, 18.0)
    (found, alpha), (fine, _) = small.raster(0.5, crop), small.raster(4.0, crop)
    expected = fine.unflatten(0, (-1, 8)).unflatten(2, (-1, 8)).mean(dim=(1, 3))
    assert bool((alpha == 1).all())
    error = float((found - expected).square().mean().sqrt())
    assert error < 0.1 * float(fine.std())
