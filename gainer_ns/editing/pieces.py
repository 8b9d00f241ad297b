"""Pieces of pictures: which Gaussians move together, and where they are at a time.

Selecting takes a picture apart, posing moves the pieces. Each piece becomes a layer, so points never average the
Gaussians of two pieces. Coordinates are pixels of the canvas, which is the main picture; a piece remembers in the
pixels of its own picture where its Gaussians were fitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.editing.borders import Border, typical_spacing
from gainer_ns.editing.limits import Limit, averaging_to, limited
from gainer_ns.editing.operations import Operation
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.steps import PieceMotion, Placed, Step, Weights
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.opacity import OPACITY_MARGIN_PX
from gainer_ns.rendering.layer import Layer

_SEAM_PX = 1.5
"""How far pieces that were one have moved apart when the seam between them no longer needs hiding."""
_UNDERLAP = 2.0
"""How much farther than its edge, in units of its opacity, the lower of two pieces goes on where neither has moved."""
STILL_PX = 1e-3
"""A movement that counts as none: rounding moves by less."""

Amounts = Sequence[float]
"""How much of each edit of a script there is."""


@dataclass(eq=False)
class Piece:
    """Gaussians that move together.

    Attributes:
        picture: Name of the picture that they are from; None for the main one.
        layer: The Gaussians as they were fitted, and their mirror image beyond the picture's frame.
        border: Where the frame is; None for a layer without.
        plane: The plane that they were fitted on.
        canvas: The main picture's plane.
        place: Where the top-left corner of their picture goes on the canvas.
        scale: Pixels of the canvas that each of its pixels covers.
        steps: What moves them, in this order.
        seams: Where they were parted from a piece that covers them.
        inside: What cut them out of their picture.
        outside: What was cut out of them.
        parts: What they were cut into later, in place of this piece.
    """

    picture: str | None
    layer: Layer
    plane: ImagePlane
    canvas: ImagePlane
    border: Border | None = None
    place: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    steps: tuple[PieceMotion, ...] = ()
    seams: tuple[Seam, ...] = ()
    inside: tuple[Selection, ...] = ()
    outside: tuple[Selection, ...] = ()
    parts: tuple[Piece, ...] = ()
    _posed: tuple[list[float] | None, Layer] | None = field(default=None, repr=False)

    @cached_property
    def origins(self) -> Float[Tensor, "n 2"]:
        """Where the Gaussians were fitted, in pixels of their own picture."""
        return self.plane.pixel_from_plane(self.layer.gaussians.means.double()).float()

    @cached_property
    def _weights(self) -> dict[int, Weights]:
        """How much its Gaussians follow the selections of edits."""
        return {}

    @property
    def remains(self) -> Iterator[Piece]:
        """The piece itself, or what it was cut into."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.remains

    def placed(self, amounts: Amounts, origins: Float[Tensor, "m 2"] | None = None) -> Placed:
        """Move points by so much of each edit: the Gaussians, or others in pixels of the piece's own picture."""
        points = self.origins if origins is None else origins
        start = points * self.scale + points.new_tensor(self.place)
        placed = Placed(start, (self.scale * torch.eye(2).to(points)).expand(len(points), 2, 2))
        for step in self.steps:
            if amounts[step.edit] != 0:
                weights = None
                if step.selection is not None:
                    weights = Weights.of(step.selection, points) if origins is not None else self._weights_of(step)
                placed = step.moved(placed, amounts[step.edit], weights)
        return placed

    def posed(self, amounts: Amounts) -> Layer:
        """Return the piece as a layer of the canvas, after so much of each edit."""
        relevant = [amounts[edit] for edit in sorted(self.edits)]
        if self._posed is None or self._posed[0] != relevant:
            layer = self._pose(amounts)
            if self._posed is not None and _is_same(self._posed[1], layer):
                layer = self._posed[1]  # whose neighbours need not be indexed anew
            self._posed = relevant, layer
        return self._posed[1]

    def follow(self, edit: int, operations: tuple[Operation, ...]) -> None:
        """Make an edit do something else to what it moves already."""
        if self._posed is not None and edit in self.edits:
            self._posed = None, self._posed[1]
        self.steps = tuple(
            step.following(operations) if isinstance(step, Step) and step.edit == edit else step for step in self.steps
        )

    @property
    def edits(self) -> set[int]:
        """The edits that change how the piece looks."""
        own = {step.edit for step in self.steps}
        upper = {step.edit for seam in self.seams for piece in seam.upper.remains for step in piece.steps}
        return own | upper

    def _pose(self, amounts: Amounts) -> Layer:
        gaussians = self.layer.gaussians
        for seam in self.seams:
            gaussians = limited(gaussians, seam.limit_after(self, amounts))
        placed, layer = self.placed(amounts), self.layer
        kept: Tensor | None = None
        if self.border is not None:
            near = self.border.near
            if len(near) and self._are_still(placed[near], self.origins[near]):
                layer = replace(layer, half_extent=self.border.half_extent)
                kept = (~self.border.is_beyond).nonzero()[:, 0]
            else:
                gaussians = limited(gaussians, self.border.limit)
        if not self._are_still(placed, self.origins):
            means = self.canvas.plane_from_pixel(placed.points.double()).float()
            # From pixels, whose y points down, to the planes' units.
            flip = placed.jacobians.new_tensor([[1.0, -1.0], [-1.0, 1.0]])
            jacobians = placed.jacobians * flip * (self.canvas.pixel_size / self.plane.pixel_size)
            gaussians = gaussians.transformed(means, jacobians)
        return layer.with_gaussians(gaussians if kept is None else gaussians[kept])

    def is_still(self, amounts: Amounts) -> bool:
        """Return whether the piece lies where it was fitted, after so much of each edit."""
        some = self.origins[:: max(1, len(self.origins) // 64)]  # which tell at once that most pieces are not
        return all(self._are_still(self.placed(amounts, origins), origins) for origins in (some, self.origins))

    def _are_still(self, placed: Placed, origins: Float[Tensor, "m 2"]) -> bool:
        """Return whether points lie where they were fitted."""
        if self.canvas != self.plane:
            return False
        moved, turned = placed.points - origins, placed.jacobians - torch.eye(2).to(placed.jacobians)
        return all(bool((change.abs() < STILL_PX).all()) for change in (moved, turned))

    def _weights_of(self, step: PieceMotion) -> Weights:
        if step.edit not in self._weights:
            assert step.selection is not None
            self._weights[step.edit] = Weights.of(step.selection, self.origins)
        return self._weights[step.edit]

    def part(self, chosen: Int[Tensor, " m"], limit: Limit | None) -> Piece:
        """Return a part of the piece: some of its Gaussians, with a limit (of all of them) on their opacities."""
        gaussians = self.layer.gaussians
        if limit is not None:
            gaussians = limited(gaussians, limit)
        border = None if self.border is None else self.border[chosen]
        seams = tuple(replace(seam, limit=seam.limit[chosen]) for seam in self.seams)
        seams = tuple(seam for seam in seams if bool((seam.limit.values < 2).any()))  # the others are elsewhere
        return replace(
            self, layer=self.layer.with_gaussians(gaussians[chosen]), border=border, seams=seams, _posed=None
        )


def _is_same(one: Layer, other: Layer) -> bool:
    """Return whether two layers of one piece show the same."""
    if one.half_extent != other.half_extent:
        return False
    before, after = one.gaussians, other.gaussians
    pairs = [(getattr(before, name), getattr(after, name)) for name in ("means", "opacities", "inverse_jacobians")]
    return all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


@dataclass(frozen=True)
class Seam:
    """Where a piece was parted from one that covers it.

    Attributes:
        upper: The piece that covers.
        limit: What the lower one's opacities end with.
        width: Of the soft border between them, in pixels.
    """

    upper: Piece
    limit: Limit
    width: float

    def limit_after(self, lower: Piece, amounts: Amounts) -> Limit:
        """Return the limit after so much of each edit; where no piece has moved, the lower one fills the seam."""
        near = ((self.limit.values < 1) & (self.limit.values > -OPACITY_MARGIN_PX)).nonzero()[:, 0]
        origins = lower.origins[near]
        place = lower.placed(amounts, origins).points
        apart = [(piece.placed(amounts, origins).points - place).norm(dim=1) for piece in self.upper.remains]
        together = 1 - (torch.stack(apart).amin(dim=0) / max(_SEAM_PX, self.width)).clamp(0, 1)
        return self.limit.raised(near, _UNDERLAP * together)


def parted(piece: Piece, inside: Float[Tensor, " n"], *, upper: bool, width: float = 0.0) -> tuple[Piece, Piece]:
    """Cut a piece in two: what a selection leaves, and what it takes.

    Both keep Gaussians beyond the cut, so that each is read up to its edge as if there were none.

    Args:
        piece: What is cut; it knows its parts afterwards.
        inside: How far each of its Gaussians is inside the selection (see ``Selection.field``).
        upper: Whether what is taken covers what is left, or the other way round.
        width: Of the selection's soft border, in pixels.
    """
    edge = averaging_to(inside, piece.layer.gaussians, piece.layer.num_neighbours)
    # Far from the cut a limit grows by 1 a pixel, however soft the cut is: it must not weigh where others end.
    limits = tuple(limit.steeper(max(width, 1)) for limit in (edge.complement(), edge))
    margin = OPACITY_MARGIN_PX * typical_spacing(piece.layer.gaussians, piece.plane)
    chosen = [(limit.values > -margin).nonzero()[:, 0] for limit in limits]
    over = piece.part(chosen[upper], limits[upper])
    under = piece.part(chosen[not upper], None)
    under.seams = (*under.seams, Seam(over, limits[not upper][chosen[not upper]], width))
    piece.parts = (under, over) if upper else (over, under)
    return piece.parts[0], piece.parts[1]
