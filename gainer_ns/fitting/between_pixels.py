"""Draw training points anywhere between the pixels.

A picture of few Gaussians that is fitted at its pixel centres alone is free to be anything between them, and an edit
shows it there: the longer such a fit takes, the worse its edits become.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.frames import ImagePlane


class PointsBetweenPixels:
    """A picture's cubic spline, read near its fitted pixels (row-major indices).

    Its colours [h, w, 3] are continued to where it is transparent.
    """

    def __init__(self, plane: ImagePlane, picture: Float[Tensor, "h w 3"], pixels: Int[Tensor, " m"]) -> None:
        from gainer_ns.spline import CubicSpline  # here, so that importing the methods stays light

        self._plane = plane
        self._spline = CubicSpline(picture.cpu().numpy())
        self._centres = plane.pixel_from_plane(plane.pixel_centres(pixels).double())

    def draw(self, seed: int) -> tuple[Float[Tensor, "m 2"], Float[Tensor, "m 3"]]:
        """Draw a point in each fitted pixel, in plane units, and its colour.

        None lies between the centres of the outermost pixels and the border, where a spline is only a guess.
        """
        shift = torch.rand(len(self._centres), 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        points = self._centres + shift.to(self._centres) - 0.5
        farthest = points.new_tensor([self._plane.width - 0.5, self._plane.height - 0.5])
        points = torch.minimum(points.clamp(min=0.5), farthest)
        colours = torch.from_numpy(self._spline.at(points.cpu().numpy()).astype(np.float32))
        return self._plane.plane_from_pixel(points).float(), colours.to(points.device)
