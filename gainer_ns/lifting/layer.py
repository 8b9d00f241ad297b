"""A layer of a lifted photo: discs in space, the surface between them, and what is read of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Int8, Int32
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fields.disc_encoding import RGBA_CHANNELS
from gainer_ns.gaussians.aggregation import search_and_aggregate
from gainer_ns.gaussians.disc_links import DiscLinks
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.small_matrices import inverse, product
from gainer_ns.lifting.crossing_kernels import CLEAR, EMPTY, SOLID
from gainer_ns.lifting.crossings import DiscSurface, NearPlaces, PhotoCells
from gainer_ns.lifting.views import CameraView

MAX_TEAR_PX = 2.0
"""Discs that an edit moves apart by more than this, in pixels of where each would have taken the other, are torn."""
_MAX_GAPS = 10_000
"""How many discs tell how far they are apart on a screen."""
_FOLLOWED_DISCS = 4
"""How many moved discs tell where a point near them was."""


class Shown(NamedTuple):
    """What is shown at places.

    Attributes:
        rgb: [m, 3] in [0, 1].
        opacity: [m] in [0, 1].
    """

    rgb: Float[Tensor, "m 3"]
    opacity: Float[Tensor, " m"]


@dataclass(eq=False)
class LiftedLayer:
    """Discs in space, and how places on their surface read them. Nothing reads the discs of two layers.

    Attributes:
        gaussians: Means, covariances, features and inverse Jacobians, in world units. Opacities, where they have some,
            end a surface that an edit cut.
        links: Which of them are neighbours on the surface.
        decoder: From features to red, green, blue and opacity.
        sigma: Standard deviation of a Gaussian along its disc, in discs.
        pixels: [n], row-major indices of the photo's pixels that the Gaussians belong to: those of a rim belong to the
            pixel whose surface they continue.
        hidden_of: Number of the layer whose depth edges hide it, where it was made up for that; None where the photo
            shows it.
        rest: The Gaussians where they were lifted; None where they still are.
        view: Number of the photo that it is from.
    """

    gaussians: GaussianSet
    links: DiscLinks
    decoder: Decoder
    sigma: float
    pixels: Int32[Tensor, " n"]
    hidden_of: int | None = None
    rest: GaussianSet | None = None
    view: int = 0
    _cells: PhotoCells | None = field(default=None, init=False, repr=False)
    _way_back: tuple[float, _WayBack] | None = field(default=None, init=False, repr=False)

    def __len__(self) -> int:
        """Count its Gaussians."""
        return len(self.gaussians)

    def pixel_centres(self, width: int) -> Float[Tensor, "n 2"]:
        """Return the centres of the pixels that the Gaussians belong to, in a photo of so many columns."""
        pixels = self.pixels.long()
        return torch.stack([pixels % width, pixels // width], dim=1).float() + 0.5

    def first_discs(self, pixels: int) -> Int[Tensor, " p"]:
        """Return the disc of each of so many pixels of the photo, row by row; -1 for none.

        Those of rims come later than a pixel's own.
        """
        discs = torch.full((pixels,), -1, device=self.pixels.device)
        numbers = torch.arange(len(self), device=discs.device)
        return discs.scatter_reduce(0, self.pixels.long(), numbers, "amin", include_self=False)

    def moved(self, gaussians: GaussianSet) -> LiftedLayer:
        """Return the same layer with its Gaussians elsewhere: each still shows what it showed."""
        moved = replace(self, gaussians=gaussians, rest=self.rest or self.gaussians)
        moved.__dict__["decoded"] = self.decoded  # which no motion changes
        return moved

    def part(self, chosen: Bool[Tensor, " n"], opacities: Float[Tensor, " n"]) -> LiftedLayer:
        """Return some of its discs, their opacities limited."""
        return replace(
            self,
            gaussians=replace(self.gaussians, opacities=opacities)[chosen],
            links=self.links[chosen],
            pixels=self.pixels[chosen],
            rest=self.rest and self.rest[chosen],
        )

    def read(self, discs: Int32[Tensor, " m"], steps: Float[Tensor, "m 2"]) -> Float[Tensor, "m 4"]:
        """Return red, green, blue and opacity at places of the surface, not clamped.

        Args:
            discs: Nearest to each place.
            steps: From its mean, in discs.
        """
        read = self.links.read(discs, steps, self._columns, self.sigma)
        width = self.gaussians.features.shape[1]
        decoded = self.decoder.decode(read[:, :width])
        if self.gaussians.opacities is not None:
            decoded[:, -1] = torch.minimum(decoded[:, -1], read[:, width])
        return decoded

    def shown(self, discs: Int32[Tensor, " m"], steps: Float[Tensor, "m 2"]) -> Shown:
        """Return what is shown at places; see :meth:`read`."""
        rgb, opacity = self.read(discs, steps).clamp(0, 1).split([RGBA_CHANNELS - 1, 1], dim=1)
        return Shown(rgb, opacity[:, 0])

    @cached_property
    def _columns(self) -> Float[Tensor, "n f"]:
        limits = [] if self.gaussians.opacities is None else [self.gaussians.opacities[:, None]]
        return torch.cat([self.gaussians.features, *limits], dim=1).float().contiguous()

    @cached_property
    def decoded(self) -> Float[Tensor, "n 4"]:
        """Red, green, blue and opacity at the means, not clamped: opacity is below 0 where a surface has ended."""
        discs = torch.arange(len(self), dtype=torch.int32, device=self.pixels.device)
        return self.read(discs, torch.zeros(len(self), 2, device=discs.device))

    @property
    def opacities(self) -> Float[Tensor, " n"]:
        """Opacities at the means, not clamped."""
        return self.decoded[:, RGBA_CHANNELS - 1]

    @cached_property
    def surface(self) -> DiscSurface:
        """The triangles between the discs, where nothing tore them."""
        return DiscSurface(self.gaussians.means.float(), self.links if self.rest is None else self._untorn())

    @cached_property
    def states(self) -> Int8[Tensor, " t"]:
        """Whether triangles of the surface are empty, clear or solid all over."""
        corners = self.opacities[self.surface.triangles[:, :3].long()]
        states = torch.full_like(corners[:, 0], CLEAR, dtype=torch.int8)
        states[(corners <= 0).all(dim=1)] = EMPTY
        states[(corners >= 1).all(dim=1)] = SOLID
        return states

    def gaps_on(self, view: CameraView) -> Float[Tensor, " k"]:
        """Return how far some neighbouring discs are apart on the screen of a camera that sees them, in its pixels."""
        solid = ((self.opacities > 0) & (self.links.neighbours[:, 0] >= 0)).nonzero()[:, 0]
        solid = solid[:: 1 + len(solid) // _MAX_GAPS]
        means, next_one = self.gaussians.means, self.links.neighbours[solid, 0].long()
        (here, depths), (there, _) = (view.camera.project(view.in_camera(means[each])) for each in (solid, next_one))
        size = here.new_tensor([view.camera.width, view.camera.height])
        seen = (depths > 0) & ((here >= 0) & (here <= size)).all(dim=1)
        return (there - here)[seen].norm(dim=1)

    def _untorn(self) -> DiscLinks:
        """Return the links along which an edit took one disc where the Jacobian of the other takes it."""
        assert self.rest is not None
        cut = []
        for direction in range(2):
            towards = self.links.neighbours[:, direction].long()
            steps = [_step(gaussians, towards) for gaussians in (self.gaussians, self.rest)]
            cut.append((towards >= 0) & ~((steps[0] - steps[1]).norm(dim=1) <= MAX_TEAR_PX))
        return self.links.without(*cut)

    def near(
        self, points: Float[Tensor, "m 3"], directions: Float[Tensor, "m 3"], half_width: float, photo: CameraView
    ) -> NearPlaces:
        """Return the places of the surface that points are near; see :meth:`PhotoCells.near`.

        Where discs have moved, those near a point tell where it was, and how rays passed there.

        Args:
            points: In the world.
            directions: Along which rays pass them.
            half_width: How near, in world units along the axis of the photo's camera.
            photo: The camera that took the photo, where it stood.
        """
        if self._cells is None:
            rest = self.surface if self.rest is None else DiscSurface(self.rest.means, self.surface.links)
            self._cells = PhotoCells(rest, photo)
        if self.rest is None:
            return self._cells.near(points, directions, half_width)
        if self._way_back is None or self._way_back[0] != half_width:
            self._way_back = half_width, self._back(half_width)
        back = self._way_back[1]
        read, nearest = search_and_aggregate(
            back.discs, points, _FOLLOWED_DISCS, self.gaussians.means, back.precisions, back.columns
        )
        matrices, shifts = read[:, :9].view(-1, 3, 3), read[:, 9:]
        before = torch.where(nearest[:, None] >= 0, (matrices @ points[..., None])[..., 0] + shifts, torch.inf)
        return self._cells.near(before, (matrices @ directions[..., None])[..., 0], half_width)

    def _back(self, half_width: float) -> _WayBack:
        """Return from which discs points near them learn where they were before the discs moved."""
        assert self.rest is not None and self.rest.inverse_jacobians is not None
        inverses = self.gaussians.inverse_jacobians
        assert inverses is not None
        matrices = product(inverse(self.rest.inverse_jacobians), inverses)
        shifts = self.rest.means - (matrices @ self.gaussians.means[..., None])[..., 0]
        # Discs as thick as the shell, so that all of it is near them.
        across = inverses[:, 2] * (self.gaussians.radius / half_width / inverses[:, 2].norm(dim=1, keepdim=True))
        thick = torch.cat([inverses[:, :2], across[:, None]], dim=1)
        return _WayBack(
            NeighbourIndex(self.gaussians.means, self.gaussians.radius, thick),
            product(thick.mT, thick),
            torch.cat([matrices.flatten(1), shifts], dim=1),
        )


class _WayBack(NamedTuple):
    """How points near moved discs learn where they were."""

    discs: NeighbourIndex
    precisions: Float[Tensor, "n 3 3"]
    columns: Float[Tensor, "n 12"]


def _step(gaussians: GaussianSet, towards: Tensor) -> Float[Tensor, "n 3"]:
    """Return steps to other discs as the discs that they start from see them, in pixels."""
    assert gaussians.inverse_jacobians is not None
    away = gaussians.means[towards.clamp(min=0)] - gaussians.means
    return (gaussians.inverse_jacobians @ away[..., None])[..., 0]
