"""Rasters of colours and opacity, and one in front of another.

Colours are straight: not multiplied by the opacity. They are 0 where nothing is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.io.samples import integer_samples, unit_values


class Raster(NamedTuple):
    """A picture, or any points of one.

    Attributes:
        colours: [..., 3], not multiplied by the opacity.
        opacity: [...], from 0 to 1.
    """

    colours: Float[Tensor, "*shape 3"]
    opacity: Float[Tensor, "*shape"]

    def samples(self, bit_depth: int) -> np.ndarray:
        """Return a picture as uint8 or uint16 samples [h, w, 3], or [h, w, 4] where something is clear."""
        opacity = None if float(self.opacity.amin()) >= 1 else self.opacity.cpu().numpy()
        return integer_samples(self.colours.cpu().numpy(), opacity, bit_depth)

    @classmethod
    def of_samples(cls, samples: np.ndarray) -> Raster:
        """Return the picture of which :meth:`samples` makes such samples."""
        colours, opacity = unit_values(samples)
        found = torch.from_numpy(colours)
        return cls(found, torch.ones(found.shape[:2]) if opacity is None else torch.from_numpy(opacity))


def over(front: Raster, back: Raster) -> Raster:
    """Put one picture in front of another (Porter and Duff, Compositing Digital Images, 1984: "over").

    Exact where the front is opaque or absent: there the front or the back comes out bit by bit.
    """
    opacity = front.opacity + back.opacity * (1.0 - front.opacity)
    share = (front.opacity / opacity).nan_to_num_(0.0)  # Of the front in what is seen; nothing is where both are clear.
    behind, before = (torch.where(one.opacity[..., None] > 0, one.colours, 0.0) for one in (back, front))
    return Raster(torch.lerp(behind, before, share[..., None]), opacity)
