"""Backdrops that are not there, or end within a pixel."""

import torch

from gainer_ns.editing.compositing import Raster, RasterBackdrop, UniformBackdrop


def test_what_cannot_be_seen_has_no_colour() -> None:
    drawn = UniformBackdrop(torch.tensor([0.2, 0.4, 0.6]), 0.0).on((0, 0, 4, 2), 4, 2)
    assert not drawn.colours.any() and not drawn.opacity.any()


def test_a_pixel_is_as_opaque_as_it_is_covered() -> None:
    """The crop begins half a pixel beyond two of the picture's sides: a half, and in the corner a quarter."""
    raster = Raster(torch.full((4, 6, 3), 0.5), torch.ones(4, 6))
    drawn = RasterBackdrop(raster).on((-0.5, -0.5, 4.5, 2.5), 5, 3)
    down, across = torch.tensor([0.5, 1, 1]), torch.tensor([0.5, 1, 1, 1, 1])
    torch.testing.assert_close(drawn.opacity, down[:, None] * across)
