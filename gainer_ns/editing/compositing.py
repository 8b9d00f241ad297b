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
    share = (front.opacity / opacity)[..., None]  # Of the front in what is seen; not a number where nothing is.
    mixed = torch.where(share > 0, front.colours * share + back.colours * (1.0 - share), back.colours)
    colours = torch.where(share >= 1, front.colours, mixed)
    return Raster(torch.where(opacity[..., None] > 0, colours, 0.0), opacity)
