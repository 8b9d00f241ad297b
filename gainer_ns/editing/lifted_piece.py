"""Pieces of lifted photos: which discs move together, and where they are after so much of each edit."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gainer_ns.editing.material_motion import MaterialSource
from gainer_ns.editing.moving_piece import Amounts, MovingPiece
from gainer_ns.editing.pieces import STILL_PX
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.space_step import SpaceStep
from gainer_ns.editing.steps import PieceMotion, Placed, Step
from gainer_ns.frames import CAMERA_DISTANCE, PinholeCamera
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.small_matrices import inverse, product
from gainer_ns.lifting.layer import LiftedLayer
from gainer_ns.lifting.surface import EDGE_THRESHOLD, RIM_WIDTH_PX, DepthSurface
from gainer_ns.motion.shown import NEIGHBOURS, Shown

SHOWN_OPACITY = 0.5
"""From this opacity on a Gaussian shows the pixel that it belongs to."""
_DISC_UNDERLAP_PX = 1.0
"""How much farther than its edge what is left of a surface reaches under what was taken."""


class LiftedSurface:
    """What a layer of a lifted photo shows, pixel by pixel.

    Args:
        layer: As it was fitted.
        camera: That took the photo.
    """

    def __init__(self, layer: LiftedLayer, camera: PinholeCamera) -> None:
        self.layer, self.camera = layer, camera
        self._sources: dict[Hashable, MaterialSource] = {}

    @cached_property
    def discs(self) -> Int[Tensor, " p"]:
        """The disc of each pixel, row by row; -1 for none. Those of rims come later than the pixel's own."""
        return self.layer.first_discs(self.camera.width * self.camera.height).cpu()

    @cached_property
    def shown(self) -> Shown:
        """What is visible, joined where no depth edge lies between."""
        gaussians, size = self.layer.gaussians, (self.camera.height, self.camera.width)
        assert gaussians.inverse_jacobians is not None
        known = self.discs >= 0
        depth = (CAMERA_DISTANCE - gaussians.means[:, 2].double().cpu())[self.discs]
        steep = inverse(gaussians.inverse_jacobians.double().cpu())[self.discs, 2, :2]
        depth = torch.where(known, depth, torch.inf)
        gradient = torch.where(known[:, None], steep / depth[:, None].square(), 0.0)
        focal_length = sum(self.camera.focal_length) / 2
        surface = DepthSurface((1 / depth).view(size), gradient.view(*size, 2), focal_length, EDGE_THRESHOLD)
        joined = torch.stack([surface.joined(*offset) for offset in NEIGHBOURS])
        visible = known & (self.layer.opacities.cpu()[self.discs] > SHOWN_OPACITY)
        return Shown(visible.view(size).numpy(), (0, 0), joined.numpy())

    def source(self, inside: tuple[Selection, ...], outside: tuple[Selection, ...]) -> MaterialSource:
        """Return what of it lies inside some selections and outside others."""

        def look() -> Shown:
            mask = self.shown.mask.copy()
            pixels = self.shown.pixels.float()
            kept = torch.ones(len(pixels), dtype=torch.bool)
            for selections, taken in ((inside, True), (outside, False)):
                for selection in selections:
                    kept &= (selection.field(pixels) > 0.5) == taken
            mask[mask] = kept.numpy()
            return self.shown._replace(mask=mask)

        return self._sources.setdefault((inside, outside), MaterialSource(look))


@dataclass(eq=False)
class LiftedPiece(MovingPiece):
    """Discs that move together.

    Attributes:
        number: Of the scene's layer that they are from.
        layer: They, as they were fitted.
        shown: [n], which of them show what the photo shows at their pixel.
        centres: [n, 2], the pixels that they belong to, by which edits select them.
        surface: Of the layer that they are from, or that hides them; None where no edit moves a part of them.
        steps: What moves them, in this order.
        inside: What cut them out of their layer.
        outside: What was cut out of them.
    """

    number: int
    layer: LiftedLayer
    shown: Bool[Tensor, " n"]
    centres: Float[Tensor, "n 2"]
    surface: LiftedSurface | None = None
    steps: tuple[Step | SpaceStep, ...] = ()
    inside: tuple[Selection, ...] = ()
    outside: tuple[Selection, ...] = ()
    _kept: dict[Any, Any] = field(default_factory=dict, repr=False)
    _posed: tuple[list[float], LiftedLayer] | None = field(default=None, repr=False)

    scale = 1.0

    @property
    def source(self) -> MaterialSource:
        """What of the surface is visible, and hangs together."""
        assert self.surface is not None
        return self.surface.source(self.inside, self.outside)

    def at_rest(self, pixels: Float[Tensor, "m 2"], anchors: Float[Tensor, "m 2"] | None = None) -> Placed:
        """Return where pixels lie on the surface; see :class:`MovingPiece`."""
        assert self.surface is not None
        sources, camera, layer = pixels if anchors is None else anchors, self.surface.camera, self.surface.layer
        column, row = sources.floor().long().unbind(dim=1)
        number = self.surface.discs[row.clamp(0, camera.height - 1) * camera.width + column.clamp(0, camera.width - 1)]
        frames = _frames(layer)[number]
        away = pixels - torch.stack([column, row], dim=1) - 0.5
        means = layer.gaussians.means.double()[number]
        return Placed(means + (frames[:, :, :2] @ away[..., None].to(frames))[..., 0], frames)

    def discs_after(self, amounts: Amounts) -> Placed:
        """Return where the discs are after so much of each edit, in the world, with Jacobians by the world's units."""
        gaussians = self.layer.gaussians
        assert gaussians.inverse_jacobians is not None
        start = Placed(gaussians.means.double(), _frames(self.layer))
        centres, places = self._places
        there = self._after(self.steps, amounts, start, places, centres)
        return Placed(there.points, product(there.jacobians, gaussians.inverse_jacobians.to(there.jacobians)))

    @cached_property
    def _places(self) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 2"]]:
        """The pixels that the discs belong to, and where they are seen, no farther off than a rim reaches."""
        if self.surface is None:
            return (nowhere := torch.zeros(len(self.layer), 2, dtype=torch.float64)), nowhere
        camera, means = self.surface.camera, self.layer.gaussians.means.double()
        centres = self.centres.double()
        seen, _ = camera.project(means - means.new_tensor([0, 0, CAMERA_DISTANCE]))
        return centres, centres + (seen - centres).clamp(-RIM_WIDTH_PX, RIM_WIDTH_PX)

    def is_still(self, amounts: Amounts) -> bool:
        """Return whether the discs lie where they were fitted."""
        return self.posed(amounts) is self.layer

    def posed(self, amounts: Amounts) -> LiftedLayer:
        """Return the piece after so much of each edit."""
        relevant = [amounts[step.edit] for step in self.steps]
        if self._posed is None or self._posed[0] != relevant:
            self._posed = relevant, self._pose(amounts) if any(relevant) else self.layer
        return self._posed[1]

    def _pose(self, amounts: Amounts) -> LiftedLayer:
        gaussians, placed = self.layer.gaussians, self.discs_after(amounts)
        away = (placed.points - gaussians.means.double()).abs()
        turned = (placed.jacobians - torch.eye(3).to(placed.jacobians)).abs()
        pixel = min(step.unit for step in self.steps)
        if bool((away < STILL_PX * pixel).all()) and bool((turned < STILL_PX).all()):
            return self.layer
        return self.layer.moved(gaussians.transformed(placed.points.float(), placed.jacobians.float()))

    def _stepped(
        self, step: PieceMotion, amount: float, placed: Placed, pixels: Tensor, anchors: Tensor | None
    ) -> Placed:
        if not isinstance(step, Step) or not step.knows_material:
            return super()._stepped(step, amount, placed, pixels, anchors)
        return step.pinned(placed, amount, pixels, anchors)

    def _forget(self) -> None:
        self._posed = None

    def part(self, chosen: Bool[Tensor, " n"], limit: Float[Tensor, " n"]) -> LiftedPiece:
        """Return some of its discs, their opacity limited."""
        own = self.layer.gaussians.opacities
        opacities = limit if own is None else torch.minimum(own, limit)
        layer = self.layer.part(chosen, opacities)
        shown, centres = self.shown[chosen], self.centres[chosen]
        return replace(self, layer=layer, shown=shown, centres=centres, _posed=None, _kept={})


def _frames(layer: LiftedLayer) -> Float[Tensor, "n 3 3"]:
    """Return how space moves with a step of a pixel along x, along y, and of a disc's thickness."""
    back = layer.gaussians.inverse_jacobians
    assert back is not None
    return inverse(back.double()).expand(len(layer), 3, 3)


def parted_discs(
    piece: LiftedPiece, inside: Float[Tensor, " n"], softness: float | None = None
) -> tuple[LiftedPiece, LiftedPiece]:
    """Cut a piece in two: what is left, and what was taken.

    The opacity of each part ends where the cut is, and what is left goes on for a little under what was taken, as
    surfaces do behind what hides them. Nothing goes on where a surface ends anyway.

    Args:
        piece: What is cut.
        inside: [n], how far inside of what is taken each disc is: 0.5 at its edge; see ``Selection.field``.
        softness: Over how many pixels the edge is soft; None where it is hard.
    """
    width = max(1.0, softness or 0.0)
    inside = inside.clamp(-RIM_WIDTH_PX, 1 + RIM_WIDTH_PX)
    limits = 1 - inside + _DISC_UNDERLAP_PX / width, inside
    own = inside <= 0.5, inside > 0.5
    parts = []
    for limit, mine in zip(limits, own, strict=True):
        more = ~mine & (limit > -RIM_WIDTH_PX / width)
        if softness is None:
            more = more & _beside(piece.layer, more, mine & (limit < 1 + RIM_WIDTH_PX))
        parts.append(piece.part(mine | more, limit))
    return parts[0], parts[1]


def _beside(layer: LiftedLayer, these: Bool[Tensor, " n"], those: Bool[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Return which of these Gaussians lie on the same surface as one of those, and near to it."""
    result, gaussians = torch.zeros_like(these), layer.gaussians[those & (layer.opacities > 0)]
    if len(gaussians) and bool(these.any()):
        index = NeighbourIndex(gaussians.means, gaussians.radius, gaussians.inverse_jacobians)
        result[these] = index.query(layer.gaussians.means[these], 1).valid[:, 0]
    return result
