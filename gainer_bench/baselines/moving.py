"""Baselines of Gaussians, edited as ours are: means by the map, covariances by its Jacobian."""

from __future__ import annotations

from copy import deepcopy
from typing import Protocol, TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_bench.baselines.model import FunctionPicture
from gainer_bench.known_edits import KnownEdit
from gainer_ns.rendering.drawable import BLOCK_POINTS, Drawable


class Movable(Protocol):
    """A function made of Gaussians that can be put elsewhere."""

    @property
    def means(self) -> Float[Tensor, "n 2"]:
        """Means in plane units."""
        ...

    @property
    def covariances(self) -> Float[Tensor, "n 2 2"]:
        """Covariances in squared plane units."""
        ...

    def move(self, means: Float[Tensor, "n 2"], covariances: Float[Tensor, "n 2 2"]) -> None:
        """Puts them elsewhere."""
        ...


def is_movable(picture: Drawable) -> TypeGuard[FunctionPicture]:
    """Whether a picture is a baseline made of Gaussians that can be put elsewhere."""
    return isinstance(picture, FunctionPicture) and all(
        hasattr(picture.function, name) for name in ("means", "covariances", "move")
    )


@torch.no_grad()
def drawn_moved(
    picture: FunctionPicture, edit: KnownEdit, crop: tuple[float, float, float, float]
) -> Float[Tensor, "h w 3"]:
    """Draws the picture with its Gaussians moved, a pixel of the source to a pixel.

    Args:
        picture: For which :func:`is_movable` holds.
        edit: What is done to it.
        crop: Left, top, right and bottom of what is drawn, whole numbers of pixels; may reach beyond the picture.
    """
    plane, function = picture.plane, deepcopy(picture.function)
    gaussians: Movable = function  # pyright: ignore[reportAssignmentType]  (is_movable)
    places, jacobians = edit.moved(plane.pixel_from_plane(gaussians.means), (plane.width, plane.height))
    flip = jacobians.new_tensor([1.0, -1.0])
    jacobians = flip[:, None] * jacobians * flip  # pixels have y down, the plane up
    gaussians.move(plane.plane_from_pixel(places), jacobians @ gaussians.covariances @ jacobians.mT)
    left, top, right, bottom = map(int, crop)
    columns, rows = torch.arange(left, right) + 0.5, torch.arange(top, bottom) + 0.5
    pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
    points = plane.plane_from_pixel(pixels.view(-1, 2).double()).float().to(picture.device)
    colours = torch.cat([function(block) for block in points.split(BLOCK_POINTS)])
    return colours.clamp(0, 1).view(bottom - top, right - left, 3)
