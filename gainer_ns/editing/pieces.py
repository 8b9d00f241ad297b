"""Pieces: which parts of a picture move together, and where they are at a time.

Selecting takes a picture apart, posing moves the pieces. Each piece becomes a sheet, which is read where it
lay, so nothing is cut but the extent of what is read. Coordinates are pixels of the canvas, which is the main picture;
a piece remembers its parts in the pixels of its own picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from gainer_ns.editing.falloff import Falloff, Surroundings
from gainer_ns.editing.material_motion import MaterialSource, source_of
from gainer_ns.editing.moving_piece import Amounts, MovingPiece
from gainer_ns.editing.operations import Operation
from gainer_ns.editing.rest_picture import BLOCK_PIXELS, RestPicture
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.steps import PieceMotion, Placed
from gainer_ns.frames import Bounds, ImagePlane
from gainer_ns.motion.control_grid import MARGIN_NODES, ControlGrid
from gainer_ns.motion.rest_map import RestMap
from gainer_ns.motion.sampling import sampled_grid, steps_within
from gainer_ns.rendering.plane import AnyLayer
from gainer_ns.rendering.presence import Presence
from gainer_ns.rendering.sheet import Sheet

_SEAM_PX = 1.5
"""How far pieces that were one have moved apart when the seam between them no longer needs hiding."""
_UNDERLAP = 2.0
"""How much farther than its edge, in units of its opacity, the lower of two pieces goes on where neither has moved."""
_SEAM_MARGIN = 4.0
"""So far beyond its edge, in the same units, the lower of two pieces never goes on."""
_VISIBLE_MARGIN_PX = 2
"""So far beyond pixels that show something, what is read between pixels does too."""
STILL_PX = 1e-3
"""A movement that counts as none: rounding moves by less."""


@dataclass(eq=False)
class Piece(MovingPiece):
    """A part of a picture that moves together.

    Attributes:
        picture: Name of the picture that it is from; None for the main one.
        rest: The picture's layer, as it was.
        canvas: The main picture's plane.
        place: Where the top-left corner of its picture goes on the canvas.
        scale: Pixels of the canvas that each of its pixels covers.
        steps: What moves it, in this order.
        presence: [h, w], how far inside the piece each pixel is: 0.5 on its edge; None for the whole layer.
        seams: Where it was parted from a piece that covers it.
        inside: What cut it out of its picture.
        outside: What was cut out of it.
        taken_by: The edit that cut it out last; None for what no edit cut out.
        is_rough: Whether it was posed last by too few nodes.
        parts: What it was cut into later, in place of this piece.
        max_stretch: A patch of which a side is so many times as long as it was is torn, and not drawn; None for none.
        apart: Its last pose, depths and layers; see :func:`gainer_ns.editing.unfolding.unfolded`.
    """

    picture: str | None
    rest: RestPicture
    canvas: ImagePlane
    place: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    steps: tuple[PieceMotion, ...] = ()
    presence: Float[Tensor, "h w"] | None = None
    seams: tuple[Seam, ...] = ()
    inside: tuple[Selection, ...] = ()
    outside: tuple[Selection, ...] = ()
    parts: tuple[Piece, ...] = ()
    taken_by: int | None = None
    max_stretch: float | None = None
    apart: tuple[AnyLayer, list[float] | None, tuple[AnyLayer, ...]] | None = field(default=None, repr=False)
    is_rough: bool = False
    _kept: dict[tuple[object, Hashable], Any] = field(default_factory=dict, repr=False)
    _posed: tuple[tuple[list[float], int | None], AnyLayer] | None = field(default=None, repr=False)

    @property
    def plane(self) -> ImagePlane:
        """Of its own picture."""
        return self.rest.plane

    @property
    def remains(self) -> Iterator[Piece]:
        """The piece itself, or what it was cut into."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.remains

    @cached_property
    def is_visible(self) -> Bool[Tensor, " m"]:
        """Whether it shows something at the pixels of its own picture."""
        shown = self.rest.is_visible
        for limit in (self.presence, *(seam.limit for seam in self.seams)):
            if limit is not None:
                shown = shown & (limit.flatten() > 0)
        return shown

    def carried(
        self, amounts: Amounts, origins: Float[Tensor, "m 2"], key: Hashable | None = None
    ) -> Float[Tensor, "m 2"]:
        """Return where pixels of its own picture go by so much of each edit; a key stands for the same pixels."""
        points = origins * self.scale + origins.new_tensor(self.place)
        own = None if key is None else (self, key)  # Parts of a piece share its steps, but not its pixels.
        for step in self.steps:
            if amounts[step.edit] == 0:
                continue
            around = self._around(step, origins, key)
            points = step.carried(points, amounts[step.edit], self._shares(step, origins, around, key), own)
            if around is not None and (away := self._sway_at(step, amounts, around)) is not None:
                points = points.index_add(0, torch.from_numpy(around.near), torch.from_numpy(away[0]).to(points))
        return points

    @cached_property
    def source(self) -> MaterialSource:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Its visible material, on the canvas as it was laid there."""
        return source_of(self.rest, self.presence, self.place, self.scale)

    def follows(self, step: PieceMotion, origins: Float[Tensor, "m 2"], key: Hashable | None) -> Tensor | None:
        """Return how much pixels follow a step; None where they do so as a whole."""
        return self._shares(step, origins, self._around(step, origins, key), key)

    def _shares(self, step: PieceMotion, origins: Tensor, around: Surroundings | None, key: Hashable) -> Tensor | None:
        selection = step.selection
        if selection is None or isinstance(selection, Falloff):
            return None if selection is None or around is None else selection.shares(around).to(origins)
        return self._keep((step.edit, key), lambda: selection.weights(origins))

    def _around(self, step: PieceMotion, origins: Tensor, key: Hashable) -> Surroundings | None:
        """Return where pixels are around the region that a step moves, which stays where a hand goes on."""
        if not isinstance(step.selection, Falloff):
            return None
        distance = step.selection.distance
        return self._keep((distance, key), lambda: distance.at(origins, sloped=False))

    def _keep(self, name: tuple[Hashable, Hashable], make: Callable[[], Any]) -> Any:
        """Return what was made by a name; made anew where that has no key."""
        if name[1] is None or name not in self._kept:
            made = make()
            return made if name[1] is None else self._kept.setdefault(name, made)
        return self._kept[name]

    def at_rest(self, pixels: Float[Tensor, "m 2"], anchors: Float[Tensor, "m 2"] | None = None) -> Placed:
        """Return where pixels were laid on the canvas; see :class:`MovingPiece`."""
        start = pixels * self.scale + pixels.new_tensor(self.place)
        return Placed(start, (self.scale * torch.eye(2).to(pixels)).expand(len(pixels), 2, 2))

    def posed(self, amounts: Amounts, max_nodes: int | None = None) -> AnyLayer:
        """Return the piece as a layer of the canvas, after so much of each edit; by no more nodes, or all it takes."""
        relevant = [amounts[edit] for edit in sorted(self.edits)], max_nodes
        if self._posed is None or self._posed[0] != relevant:
            self._posed = relevant, self._pose(amounts, max_nodes)
        return self._posed[1]

    def _forget(self) -> None:
        self._posed = None

    @property
    def edits(self) -> set[int]:
        """The edits that change how the piece looks."""
        own = {step.edit for step in self.steps}
        upper = {step.edit for seam in self.seams for piece in seam.upper.remains for step in piece.steps}
        return own | upper

    def _pose(self, amounts: Amounts, max_nodes: int | None) -> AnyLayer:
        rest, presence, self.is_rough = self.rest, self._presence_after(amounts), False
        rest_map = None if self.is_still(amounts) else self._rest_map(amounts, max_nodes)
        if rest_map is None and presence is None:
            return rest.layer
        there = None if presence is None else Presence(presence, rest.corner)
        return Sheet(rest.layer, rest.plane, self.canvas, rest_map, there)

    def _presence_after(self, amounts: Amounts) -> Float[Tensor, "h w"] | None:
        """Return how far inside the piece each pixel is, after so much of each edit."""
        limits = [seam.limit_after(self, amounts) for seam in self.seams]
        if all(limit is seam.limit for limit, seam in zip(limits, self.seams, strict=True)):
            return self._presence_apart
        return reduce(_both, limits, self.presence)

    @cached_property
    def _presence_apart(self) -> Float[Tensor, "h w"] | None:
        """The same where no seam needs hiding."""
        return reduce(_both, (seam.limit for seam in self.seams), self.presence)

    def follow(self, edit: int, operations: tuple[Operation, ...]) -> None:
        """Make an edit do something else to what it moves already, or to what covers a seam."""
        super().follow(edit, operations)
        self._posed = None if edit in self.edits else self._posed

    def _rest_map(self, amounts: Amounts, max_nodes: int | None) -> RestMap:
        def move(points: Tensor, key: Hashable) -> Tensor:
            return self.carried(amounts, points, key)

        box, steps = self._box, steps_within(self._box, max_nodes)
        grid, self.is_rough = sampled_grid(move, self.plane, self.canvas, box, steps, self._present)
        left, top, right, bottom = self.rest.box
        ends = torch.tensor([[left - 0.5, bottom + 0.5], [right + 0.5, top - 0.5]], dtype=torch.float64)
        low, high = self.plane.plane_from_pixel(ends).tolist()
        limits = (low[0], low[1]), (high[0], high[1])
        rest_map = RestMap(grid, self._present(grid), limits=limits, device=self.rest.layer.device)
        return rest_map if self.max_stretch is None else rest_map.without_torn(self.max_stretch)

    @cached_property
    def _reach(self) -> Bool[Tensor, "h w"] | None:
        """Where the piece can ever be; None for everywhere."""
        reach = _both(self._near_visible, self.presence)
        for seam in self.seams:
            reach = _both(reach, seam.limit + _UNDERLAP * (seam.limit > -_SEAM_MARGIN))
        return None if reach is None else reach > 0

    @cached_property
    def _near_visible(self) -> Float[Tensor, "h w"] | None:
        """1 at what the picture shows and close around it, where something may be read of that; None for everywhere.

        What is clear must not lie over what is not.
        """
        if not self.rest.layer.has_alpha:
            return None
        shown = self.rest.is_visible.view(self.rest.shape)[None, None].float()
        near = functional.max_pool2d(shown, 2 * _VISIBLE_MARGIN_PX + 1, 1, _VISIBLE_MARGIN_PX)[0, 0]
        return None if bool(near.all()) else near

    @cached_property
    def _box(self) -> Bounds:
        """Left, top, right and bottom of where it can ever be, in pixels of its own picture."""
        left, top, right, bottom = self.rest.box
        if self._reach is None:
            return left - 1.0, top - 1.0, right + 1.0, bottom + 1.0
        columns, rows = (self._reach.any(dim=axis).nonzero()[:, 0] for axis in (0, 1))
        if len(columns) == 0:
            return left - 1.0, top - 1.0, left + 1.0, top + 1.0
        x, y = self.rest.corner
        return x + float(columns[0]) - 1, y + float(rows[0]) - 1, x + float(columns[-1]) + 2, y + float(rows[-1]) + 2

    def _present(self, grid: ControlGrid) -> Bool[Tensor, "r c"] | None:
        """Return which patches of a grid the piece can ever be in."""
        if self._reach is None:
            return None
        step = round(grid.step[0] / self.plane.pixel_size)
        if ("present", step) not in self._kept:
            rows, columns = (side - 3 for side in grid.nodes.shape[:2])
            left, top = (math.floor(start) - MARGIN_NODES * step - 1 for start in self._box[:2])
            x, y = self.rest.corner
            height, width = self._reach.shape
            # A border beyond the box, as wide as patches go on there, and a pixel around each patch.
            ahead, above = x - left, y - top
            behind, below = columns * step + 2 - ahead - width, rows * step + 2 - above - height
            padded = functional.pad(self._reach[None, None].float(), (ahead, behind, above, below))
            self._kept["present", step] = (functional.max_pool2d(padded, step + 2, step)[0, 0] > 0).cpu()
        return self._kept["present", step]

    def is_still(self, amounts: Amounts) -> bool:
        """Return whether the piece lies where it was, after so much of each edit."""
        if self.canvas != self.plane or self.place != (0.0, 0.0) or self.scale != 1.0:
            return False
        if all(amounts[step.edit] == 0 for step in self.steps):
            return True
        if not self._are_still(amounts, self._some_pixels, "some"):
            return False
        return all(self._are_still(amounts, block) for block in self._own_pixels.split(BLOCK_PIXELS))

    def host_pixels(self, name: tuple[Hashable, Hashable], chosen: Int[Tensor, " m"]) -> Float[Tensor, "m 2"]:
        """Return some pixels of its picture on the host, where it is worked out where things go; kept by a name."""
        return self._keep(name, lambda: self.rest.pixels[chosen].cpu())

    @property
    def _own_pixels(self) -> Float[Tensor, "m 2"]:
        """The pixels of its picture that it may show."""
        return self.rest.pixels if self.presence is None else self.rest.pixels[(self.presence > 0).flatten()]

    @cached_property
    def _some_pixels(self) -> Float[Tensor, "m 2"]:
        """Some of these, on the host, which tell at once that most pieces have moved."""
        pixels = self._own_pixels
        return pixels[:: max(1, len(pixels) // 64)].cpu().clone()

    def _are_still(self, amounts: Amounts, origins: Float[Tensor, "m 2"], key: Hashable | None = None) -> bool:
        return bool(((self.carried(amounts, origins, key) - origins).abs() < STILL_PX).all())

    def part(self, limit: Float[Tensor, "h w"]) -> Piece:
        """Return a part of the piece: what lies inside a limit too."""
        presence = _both(self.presence, limit)
        near = tuple(seam for seam in self.seams if presence is None or seam.is_near(presence))
        return replace(self, presence=presence, seams=near, parts=(), _kept={}, _posed=None)


@dataclass(frozen=True)
class Seam:
    """Where a piece was parted from one that covers it.

    Attributes:
        upper: The piece that covers.
        limit: [h, w], how far inside the lower piece each pixel is.
        width: Of the soft border between them, in pixels.
    """

    upper: Piece
    limit: Float[Tensor, "h w"]
    width: float

    def limit_after(self, lower: Piece, amounts: Amounts) -> Float[Tensor, "h w"]:
        """Return the limit after so much of each edit; where no piece has moved, the lower one fills the seam."""
        if self._near.numel() == 0:
            return self.limit
        origins = lower.host_pixels((id(self), "seam"), self._near)
        place = lower.carried(amounts, origins)
        together = torch.stack([self._shut(piece, lower, amounts, origins, place) for piece in self.upper.remains])
        together = together.amax(dim=0)
        if not bool((together > 0).any()):
            return self.limit
        # What is half clear shows what lies under it, and would be seen twice.
        together = together * (2 * lower.rest.opacity[self._near].to(together) - 1).clamp(0, 1)
        raised = self.limit.flatten().index_add(0, self._near, _UNDERLAP * together.to(self.limit))
        return raised.view_as(self.limit)

    def _shut(
        self, piece: Piece, lower: Piece, amounts: Amounts, origins: Float[Tensor, "m 2"], place: Float[Tensor, "m 2"]
    ) -> Float[Tensor, " m"]:
        """Return how far the seam to a part of the upper piece is shut at pixels of the lower one, which lie there.

        It opens as the parts move apart, and as one turns against the other, since it then no longer covers what is
        beyond the seam: a fold ends at its crease.
        """
        offset = place - piece.carried(amounts, origins)
        shut = 1 - (offset.norm(dim=1) / max(_SEAM_PX, self.width)).clamp(0, 1)
        doubtful = ((shut > 0) & (offset.abs().amax(dim=1) > STILL_PX)).nonzero()[:, 0]
        if len(doubtful) == 0:
            return shut
        near = origins[doubtful].double()
        upwards, downwards = (part.placed(amounts, near).jacobians for part in (piece, lower))
        turned = torch.linalg.matrix_norm(upwards - downwards, ord=2).clamp(max=1)
        return shut.index_copy(0, doubtful, shut[doubtful] * (1 - turned.to(shut)))

    def is_near(self, presence: Float[Tensor, "h w"]) -> bool:
        """Return whether the seam ends something of what is present."""
        return bool(((self.limit < 1) & (presence > -_SEAM_MARGIN)).any())

    @cached_property
    def _near(self) -> Int[Tensor, " m"]:
        """The pixels along the seam."""
        return ((self.limit < 1) & (self.limit > -_SEAM_MARGIN)).flatten().nonzero()[:, 0]


def parted(piece: Piece, inside: Float[Tensor, "h w"], *, upper: bool, width: float = 0.0) -> tuple[Piece, Piece]:
    """Cut a piece in two: what a selection leaves, and what it takes.

    Args:
        piece: What is cut; it knows its parts afterwards.
        inside: How far each of its pixels is inside the selection (see ``Selection.field``).
        upper: Whether what is taken covers what is left, or the other way round.
        width: Of the selection's soft border, in pixels.
    """
    limits = 1 - inside, inside
    over = piece.part(limits[upper])
    seams = *piece.seams, Seam(over, limits[not upper], width)
    under = replace(piece, seams=seams, parts=(), _kept={}, _posed=None)
    piece.parts = (under, over) if upper else (over, under)
    return piece.parts[0], piece.parts[1]


def _both(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Return how far inside both of two parts pixels are; None where both are all there is."""
    if one is None or other is None:
        return other if one is None else one
    return torch.minimum(one, other)
