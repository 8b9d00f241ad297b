"""Rasters of colours and opacity, and one in front of another.

Colours are straight: not multiplied by the opacity. They are 0 where nothing is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Raster(NamedTuple):
    """A picture, or any points of one.

    Attributes:
        colours: [..., 3], not multiplied by the opacity.
        opacity: [...], from 0 to 1.
    """

    colours: Float[Tensor, "*shape 3"]
    opacity: Float[Tensor, "*shape"]


def over(front: Raster, back: Raster) -> Raster:
    """Put one picture in front of another (Porter and Duff, Compositing Digital Images, 1984: "over").

    Exact where the front is opaque or absent: there the front or the back comes out bit by bit.
    """
    opacity = front.opacity + back.opacity * (1.0 - front.opacity)
    share = (front.opacity / opacity).nan_to_num_(0.0)  # Of the front in what is seen; nothing is where both are clear.
    behind, before = (torch.where(one.opacity[..., None] > 0, one.colours, 0.0) for one in (back, front))
    return Raster(torch.lerp(behind, before, share[..., None]), opacity)
