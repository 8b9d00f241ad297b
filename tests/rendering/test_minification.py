"""How much what is seen was squeezed, through all layers that are seen."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.rendering.plane import BakedPicture


@pytest.mark.parametrize(("opacity", "minification"), [(0.0, 3.0), (0.5, 3.0), (1.1, 1.0)])
def test_what_shows_through_counts(opacity: float, minification: float, picture: Callable[..., BakedPicture]) -> None:
    """The back layer is a third as large as it was: pixels must be sampled as finely for it, where it is seen."""
    source = picture(12, 9)
    layer = replace(source.only_layer, half_extent=None)
    gaussians = layer.gaussians

    def of(alpha: float) -> GaussianSet:
        return replace(gaussians, opacities=torch.full((len(gaussians),), alpha))

    back = layer.with_gaussians(of(1.0).transformed(gaussians.means / 3, torch.eye(2)[None] / 3))
    both = replace(source, layers=(back, layer.with_gaussians(of(opacity))))
    drawn = both.at(torch.zeros(1, 2))
    assert float(drawn.alpha) == pytest.approx(1, abs=1e-5) and float(drawn.minification) == pytest.approx(minification)
