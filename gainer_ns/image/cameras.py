"""Where nerfstudio's cameras look on the plane of the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.scene_box import OrientedBox
from torch import Tensor

from gainer_ns.frames import ImagePlane, plane_hits
from gainer_ns.gaussians.footprints import LEAST_MINIFICATION, MAX_SAMPLES, PixelExtent
from gainer_ns.motion.rest_map import PointRows
from gainer_ns.rendering.drawable import Drawable
from gainer_ns.rendering.layer import PointColours
from gainer_ns.rendering.redrawing import Redrawer

MAX_ROW_ERROR_PX = 0.01
"""How far off, in pixels of a camera, a corner of its frame may be where its pixels count as rows and columns."""


class Seen(NamedTuple):
    """Where rays meet the plane.

    Attributes:
        points: [m, 2], plane coordinates; infinite where a ray misses the plane.
        distance: [m, 1], along the unit ray in plane units; 0 where it misses.
    """

    points: Float[Tensor, "m 2"]
    distance: Float[Tensor, "m 1"]


def seen_along(origins: Float[Tensor, "m 3"], directions: Float[Tensor, "m 3"]) -> Seen:
    """Return where rays meet the plane, in single precision."""
    points, distance = plane_hits(origins, directions)
    hit = distance.isfinite()
    return Seen(torch.where(hit, points, torch.inf).float(), torch.where(hit, distance, 0.0).float())


def seen_by(
    camera: Cameras, x: Float[Tensor, " m"], y: Float[Tensor, " m"], *, within: OrientedBox | None = None
) -> Seen:
    """Return where a camera looks through points of its frame.

    A plain perspective camera is followed in double precision, so that one that shows the picture pixel by pixel meets
    each pixel's centre exactly: in single precision, which of two equally near Gaussians a pixel reads would be chance.

    Args:
        camera: One camera, of shape [1].
        x: Pixels from the left edge of the frame; pixel centres are at .5.
        y: Pixels from its top edge.
        within: What lies outside of this box counts as missed; None for no box.
    """
    seen = _seen_by(camera, x, y)
    if within is None:
        return seen
    inside = within.within(torch.nn.functional.pad(seen.points, (0, 1))).view(-1, 1)
    return Seen(torch.where(inside, seen.points, torch.inf), torch.where(inside, seen.distance, 0.0))


def _seen_by(camera: Cameras, x: Float[Tensor, " m"], y: Float[Tensor, " m"]) -> Seen:
    if not _is_plain(camera):
        rays = camera.generate_rays(camera_indices=0, coords=torch.stack([y, x], dim=-1).float())
        return seen_along(rays.origins.double(), rays.directions.double())
    right = (x - camera.cx[0].double()) / camera.fx[0].double()
    up = (camera.cy[0].double() - y) / camera.fy[0].double()
    pose = camera.camera_to_worlds[0].double()
    directions = torch.stack([right, up, -torch.ones_like(right)], dim=-1) @ pose[:, :3].T
    directions = directions / directions.norm(dim=-1, keepdim=True)
    return seen_along(pose[:, 3].expand_as(directions), directions)


def _is_plain(camera: Cameras) -> bool:
    """Return whether a camera is a perspective one without distortion."""
    if int(camera.camera_type[0, 0]) != CameraType.PERSPECTIVE.value:
        return False
    return camera.distortion_params is None or not bool(camera.distortion_params.any())


class View(NamedTuple):
    """Where some rows of a camera's pixels lie on the plane.

    Attributes:
        places: Their centres: in rows and columns where the camera looks straight at the plane; otherwise one by one,
            [m, 2], infinite where they miss it.
        extent: What each covers.
        distance: [m, 1], along the unit ray to the centre, in plane units; 0 where it misses.
    """

    places: PointRows | Float[Tensor, "m 2"]
    extent: PixelExtent
    distance: Float[Tensor, "m 1"]

    def drawn(
        self, picture: Drawable, number: int = 0, *, is_draft: bool = False, redrawer: Redrawer | None = None
    ) -> PointColours:
        """Draw what is seen, averaged over what each pixel covers.

        Args:
            picture: What is looked at.
            number: Of these rows among those of the frame.
            is_draft: Whether it is read at one place of each pixel.
            redrawer: Draws what has changed since the frame before; None to draw all.
        """
        extent = replace(self.extent, is_draft=True) if is_draft else self.extent
        draw = Redrawer() if redrawer is None else redrawer
        if isinstance(self.places, PointRows):
            return draw.over(picture, self.places, extent, number)
        return draw.at(picture, self.places, extent)


def views_of(
    camera: Cameras, plane: ImagePlane, block_points: int, *, within: OrientedBox | None = None
) -> Iterator[View]:
    """Yield what a camera sees, some rows of its pixels after the other.

    Args:
        camera: One camera, of shape [1].
        plane: The picture's plane.
        block_points: Pixels at once; fewer where each covers several of the picture.
        within: What lies outside of this box counts as missed; None for no box.
    """
    width, height = int(camera.width[0, 0]), int(camera.height[0, 0])
    x, y = (torch.arange(side, device=camera.device, dtype=torch.float64) + 0.5 for side in (width, height))
    rows = max(1, block_points // width)
    axes = _straight_axes(camera, x, y) if within is None else None
    if axes is None:
        for down in y.split(rows):
            yield from _tilted(camera, torch.cartesian_prod(down, x).flip(1), plane, within)
        return
    steps = tuple(float((axis[-1] - axis[0]).abs()) / (len(axis) - 1) for axis in axes)
    for down in axes[1].split(max(1, rows // _pixels_covered(max(steps), plane))):
        yield _straight(camera, PointRows(axes[0], down), plane, (steps[0], steps[1]))


def _straight_axes(
    camera: Cameras, x: Float[Tensor, " c"], y: Float[Tensor, " r"]
) -> tuple[Float[Tensor, " c"], Float[Tensor, " r"]] | None:
    """Return where columns and rows of a frame lie; None unless the camera looks straight at the plane, and upright."""
    if not _is_plain(camera) or len(x) < 2 or len(y) < 2:
        return None
    across = seen_by(camera, x, y[:1].expand_as(x)).points[:, 0].contiguous()
    down = seen_by(camera, x[:1].expand_as(y), y).points[:, 1].contiguous()
    # A map that keeps lines straight is told wholly by where it takes four corners.
    corners = seen_by(camera, x[[0, -1, 0, -1]], y[[0, 0, -1, -1]]).points
    apart = (corners - torch.stack([across[[0, -1, 0, -1]], down[[0, 0, -1, -1]]], dim=1)).abs()
    steps = torch.stack([(axis[-1] - axis[0]).abs() / (len(axis) - 1) for axis in (across, down)])
    return (across, down) if bool((apart <= MAX_ROW_ERROR_PX * steps.amin()).all()) else None


def _straight(camera: Cameras, rows: PointRows, plane: ImagePlane, steps: tuple[float, float]) -> View:
    """Return what is seen straight on, with pixels of a size."""
    origin = camera.camera_to_worlds[0, :, 3]
    aside, above = rows.x - origin[0], rows.y - origin[1]
    distance = (aside.square()[None] + above.square()[:, None] + origin[2].square()).sqrt().view(-1, 1)
    extent = PixelExtent(max(steps), plane.pixel_size)
    if abs(steps[0] - steps[1]) > MAX_ROW_ERROR_PX * min(steps):
        extent = PixelExtent(1.0, plane.pixel_size, torch.diag(rows.x.new_tensor(steps)).expand(len(distance), 2, 2))
    return View(rows, extent, distance)


def _tilted(
    camera: Cameras, pixels: Float[Tensor, "m 2"], plane: ImagePlane, within: OrientedBox | None
) -> Iterator[View]:
    """Yield what is seen through pixels of a frame; each covers what lies before the next of its row and column."""
    x, y = pixels.unbind(1)
    here = seen_by(camera, x, y, within=within)
    sides = [seen_by(camera, x + dx, y + dy).points - here.points for dx, dy in ((1, 0), (0, 1))]
    inverses = torch.stack(sides, dim=2)
    inverses = torch.where(inverses.isfinite(), inverses, 0.0)
    covered = _pixels_covered(float(inverses.square().sum(dim=1).amax().sqrt()), plane)
    for some in torch.arange(len(x), device=x.device).chunk(covered):
        extent = PixelExtent(1.0, plane.pixel_size, inverses[some])
        yield View(here.points[some], extent, here.distance[some])


def _pixels_covered(side: float, plane: ImagePlane) -> int:
    """Return how many pixels of a picture are read along a side of a pixel that shows it."""
    return math.ceil(min(MAX_SAMPLES, max(1.0, side / plane.pixel_size + 1 - LEAST_MINIFICATION)))
