"""Where a surface of linked discs is met: by the rays of a whole view, by single rays, and by points near it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import warp as wp
from jaxtyping import Bool, Float, Int, Int8, Int32
from torch import Tensor

from gainer_ns.frames import PinholeCamera
from gainer_ns.gaussians import kernels
from gainer_ns.gaussians.disc_links import NO_DISC, DiscLinks
from gainer_ns.gaussians.kernels import Typed
from gainer_ns.lifting.crossing_kernels import (
    MAX_CROSSINGS,
    Met,
    PhotoCamera,
    follow_kernel,
    locate_kernel,
    measure_rows_kernel,
    rasterise_kernel,
)
from gainer_ns.lifting.views import CameraView

NO_LAYER = -1
"""In place of the number of a layer, where a ray crosses no further surface."""
_BOX_MARGIN = 1e-2
"""How much larger, as a share, boxes are than the triangles in them: a box around what is flat may be missed."""
_ROWS_PER_BAND = 64
"""Rows of a view that are drawn in one go: few bands are drawn by few threads, many look at all triangles often."""


@dataclass(eq=False)
class DiscSurface(kernels.WithWarpCaches):
    """Triangles between linked discs.

    Attributes:
        means: [n, 3], of the discs, in world units.
        links: Which of them are neighbours.
    """

    means: Float[Tensor, "n 3"]
    links: DiscLinks

    @property
    def triangles(self) -> Int32[Tensor, "t 4"]:
        """Three discs and a kind: see :class:`gainer_ns.gaussians.disc_links.DiscLinks`."""
        return self.links.triangles

    @cached_property
    def tree(self) -> wp.Bvh:
        """Boxes around the triangles."""
        kernels.start_warp()
        corners = self.means[self.triangles[:, :3].long()]
        low, high = corners.amin(dim=1), corners.amax(dim=1)
        margin = _BOX_MARGIN * (high - low).amax(dim=1, keepdim=True)
        low, high = (wp.from_torch(each.contiguous(), dtype=wp.vec3) for each in (low - margin, high + margin))
        return wp.Bvh(low, high)


class Crossings:
    """Where rays meet surfaces: ``MAX_CROSSINGS`` places each, the nearest first, as far as something solid lets them.

    Attributes:
        nearness: [m, h], inverse distances along the unit rays; 0 where there is none.
        discs: [m, h], the disc nearest to each place.
        steps: [m, h, 2], from its mean, in discs.
        layers: [m, h], numbers of the layers.
    """

    def __init__(self, rays: int, device: torch.device) -> None:
        size = rays, MAX_CROSSINGS
        self.nearness = torch.zeros(size, device=device)
        self.discs = torch.full(size, NO_DISC, dtype=torch.int32, device=device)
        self.steps = torch.zeros(*size, 2, device=device)
        self.layers = torch.full(size, NO_LAYER, dtype=torch.int32, device=device)
        self._met = kernels.struct(
            Met,
            nearness=Typed(self.nearness, wp.float32),
            discs=Typed(self.discs, wp.int32),
            steps=Typed(self.steps, wp.vec2),
            layers=Typed(self.layers, wp.int32),
            solid=Typed(torch.zeros(size, dtype=torch.int8, device=device), wp.int8),
        )

    @property
    def crossed(self) -> Bool[Tensor, "m h"]:
        """Which places there are."""
        return self.nearness > 0

    def follow(
        self,
        origins: Float[Tensor, "m 3"],
        directions: Float[Tensor, "m 3"],
        nears: Float[Tensor, " m"],
        fars: Float[Tensor, " m"],
        surface: DiscSurface,
        states: Int8[Tensor, " t"],
        layer: int = 0,
    ) -> None:
        """Let single rays meet a surface.

        Args:
            origins: Where they begin.
            directions: Their unit directions.
            nears: Distance at which each begins to count.
            fars: And at which it ends.
            surface: Any.
            states: Of its triangles: whether they are empty, clear or solid.
            layer: Its number.
        """
        if len(surface.triangles) == 0:
            return
        inputs = [
            surface.tree.id,
            layer,
            Typed(surface.triangles, wp.vec4i),
            Typed(states, wp.int8),
            *(Typed(one.float().contiguous(), wp.vec3) for one in (surface.means, origins, directions)),
            *(Typed(one.float().contiguous(), wp.float32) for one in (nears, fars)),
            self._met,
        ]
        kernels.launch(follow_kernel, len(origins), inputs, origins.device, grain=256)

    def draw(self, view: CameraView, surface: DiscSurface, states: Int8[Tensor, " t"], layer: int = 0) -> None:
        """Let the rays through the middles of all pixels of a camera meet a surface, triangle by triangle.

        Inverse distances are then inverse depths: see :meth:`stretched`. Other arguments are those of :meth:`follow`.
        """
        camera, device, count = view.camera, surface.means.device, len(surface.triangles)
        screen = _on_screen(camera, view.in_camera(surface.means))
        rows = torch.empty(count, 2, dtype=torch.int32, device=device)
        triangles = Typed(surface.triangles, wp.vec4i), Typed(states, wp.int8)
        size = wp.vec2(float(camera.width), float(camera.height))
        inputs = [*triangles, Typed(screen, wp.vec3), size, Typed(rows, wp.vec2i)]
        kernels.launch(measure_rows_kernel, count, inputs, device)
        bands = -(-camera.height // _ROWS_PER_BAND)
        inputs = [bands, camera.width, camera.height, layer, *triangles, Typed(rows, wp.vec2i), Typed(screen, wp.vec3)]
        kernels.launch(rasterise_kernel, bands, [*inputs, self._met], device, grain=1)

    def of(self, rays: Int[Tensor, " k"]) -> Crossings:
        """Return where some of the rays meet surfaces."""
        part = Crossings(0, self.nearness.device)
        for name in ("nearness", "discs", "steps", "layers"):
            setattr(part, name, getattr(self, name)[rays])
        return part

    def stretched(self, lengths: Float[Tensor, " m"]) -> None:
        """Turn depths into distances, by how long each ray is at depth 1."""
        self.nearness /= lengths[:, None]


@dataclass(frozen=True, eq=False)
class NearPlaces:
    """The surfaces that points are near.

    Attributes:
        gaps: [m, h], from a surface to the point, along the axis of the photo's camera; infinite where there is none.
        slopes: [m, h], how fast the gap changes along the ray through the point.
        discs: [m, h], nearest to the place on the surface.
        steps: [m, h, 2], from its mean to that place, in discs.
    """

    gaps: Float[Tensor, "m h"]
    slopes: Float[Tensor, "m h"]
    discs: Int32[Tensor, "m h"]
    steps: Float[Tensor, "m h 2"]


class PhotoCells:
    """Which triangles of a surface the photo shows in each of its pixels.

    Args:
        surface: As it was lifted.
        photo: The camera that took the photo, where it stood.
    """

    def __init__(self, surface: DiscSurface, photo: CameraView) -> None:
        self._surface, self._photo, device, camera = surface, photo, surface.means.device, photo.camera
        self._screen = _on_screen(camera, photo.in_camera(surface.means))
        corners = self._screen[surface.triangles[:, :3].long(), :2]
        low, high = corners.amin(dim=1).floor().long(), corners.amax(dim=1).floor().long()
        corner = low.amin(dim=0) if len(low) else low.new_zeros(2)
        columns, rows = ((high.amax(dim=0) if len(high) else high.new_zeros(2)) - corner + 1).tolist()
        # Each triangle is a member of all cells of the box around it.
        size = high - low + 1
        counts = size.prod(dim=1)
        triangle = torch.arange(len(low), device=device).repeat_interleave(counts)
        within = torch.arange(len(triangle), device=device) - (counts.cumsum(dim=0) - counts)[triangle]
        across = size[triangle, 0]
        place = low[triangle] - corner + torch.stack([within % across, within // across], dim=1)
        cell = place[:, 1] * columns + place[:, 0]
        self._members = triangle[cell.argsort()].int()
        self._offsets = torch.zeros(rows * columns + 1, dtype=torch.int32, device=device)
        self._offsets[1:] = torch.bincount(cell, minlength=rows * columns).cumsum(dim=0)
        self._camera = kernels.struct(
            PhotoCamera,
            focal_length=wp.vec2(*camera.focal_length),
            centre=wp.vec2(*camera.centre),
            corner=wp.vec2(*map(float, corner.tolist())),
            columns=columns,
            rows=rows,
        )

    def near(self, points: Float[Tensor, "m 3"], directions: Float[Tensor, "m 3"], half_width: float) -> NearPlaces:
        """Return the surfaces that points are near, each along the ray on which the photo shows the point.

        Args:
            points: In the world.
            directions: Along which rays pass them.
            half_width: How near, in world units along the camera's axis.
        """
        none = Crossings(len(points), points.device)
        found = NearPlaces(torch.full_like(none.nearness, torch.inf), none.nearness, none.discs, none.steps)
        inputs = [
            self._camera,
            Typed(self._photo.in_camera(points).contiguous(), wp.vec3),
            Typed((directions @ self._photo.pose[:, :3].to(directions)).contiguous(), wp.vec3),
            half_width,
            Typed(self._offsets, wp.int32),
            Typed(self._members, wp.int32),
            Typed(self._surface.triangles, wp.vec4i),
            Typed(self._screen, wp.vec3),
            Typed(found.gaps, wp.float32),
            Typed(found.slopes, wp.float32),
            Typed(found.discs, wp.int32),
            Typed(found.steps, wp.vec2),
        ]
        kernels.launch(locate_kernel, len(points), inputs, points.device)
        return found


def _on_screen(camera: PinholeCamera, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Return pixel coordinates and inverse depths of points in the axes of a camera."""
    pixels, depths = camera.project(points)
    return torch.cat([pixels, 1 / depths[:, None]], dim=1).float().contiguous()
