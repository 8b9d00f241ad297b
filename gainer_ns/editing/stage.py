"""An edit script made ready: pictures taken apart into pieces, and put together again at any time of the film."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import torch
from jaxtyping import Bool
from torch import Tensor

from gainer_ns.editing.base_stage import BaseStage, SelectedShare
from gainer_ns.editing.extent import even, extent_of
from gainer_ns.editing.operations import Cut, Operation
from gainer_ns.editing.pieces import Piece, parted
from gainer_ns.editing.rest_picture import BLOCK_PIXELS, RestPicture
from gainer_ns.editing.rig import Rig
from gainer_ns.editing.script import Edit, Script
from gainer_ns.editing.steps import Step
from gainer_ns.editing.unfolding import unfolded
from gainer_ns.errors import GainerError
from gainer_ns.frames import Bounds, ImagePlane
from gainer_ns.io.image_io import MAX_PIXELS
from gainer_ns.rendering.plane import BakedPicture

_logger = logging.getLogger(__name__)
_FRAME_KEPT = 0.9
"""The share of the way to the frame over which a falloff keeps it: distances are told that well."""
_FRAME_POINTS = 65
"""Along each side of the frame, looked at to tell whether it opens."""


class Stage(BaseStage[Piece]):
    """Pieces of pictures, from back to front, and what a script does to them.

    Args:
        script: What is done.
        picture: The main picture.
        layers: The further pictures that the script names.
        rests: What another stage found of the main picture's layers; None to find it.

    Attributes:
        is_rough: Whether something was posed last by too few nodes to tell exactly where all goes.

    Raises:
        GainerError: A selection does not fit its picture.
    """

    def __init__(
        self,
        script: Script,
        picture: BakedPicture,
        layers: Mapping[str, BakedPicture] | None = None,
        rests: Sequence[RestPicture] | None = None,
    ) -> None:
        self.picture = picture
        self._sources: dict[str | None, BakedPicture] = {None: picture}
        pieces = self._wholes = _pieces(None, rests or rest_pictures(picture), picture.plane)
        for name, laid in script.layers.items():
            other = (layers or {})[name].in_profile(picture.profile)
            self._sources[name] = other
            further = _pieces(name, rest_pictures(other), picture.plane)
            further = [replace(piece, place=laid.place, scale=laid.scale) for piece in further]
            pieces = [*pieces, *further] if laid.order == "front" else [*further, *pieces]
        self.is_rough = False
        super().__init__(self._on_layers(script), pieces)

    def follow(self, script: Script) -> bool:
        """Take another script; see :meth:`BaseStage.follow`."""
        return script.layers == self.script.layers and super().follow(self._on_layers(script))

    def size_of(self, layer: str | None) -> tuple[int, int]:
        """Return width and height, in pixels, of a layer's picture; of the main one if None."""
        plane = self._sources[layer].plane
        return plane.width, plane.height

    @property
    def _followers(self) -> list[Piece]:
        return [*self.pieces, *(whole for whole in self._wholes if whole.parts)]

    def _on_layers(self, script: Script) -> Script:
        """Return the script, its selections in layers checked."""
        for name, source in self._sources.items():
            if name is not None:
                script = script.on_layer(name, source.plane.width, source.plane.height)
        return script

    def at(self, t: float, max_nodes: int | None = None) -> BakedPicture:
        """Return the picture at a time.

        Args:
            t: From 0 to 1.
            max_nodes: How many nodes may tell where the points of each piece go, so that a hand need not wait; None for
                as many as it takes.
        """
        edits, amounts = self.script.edits, self._amounts(t)
        depths = [depth for depth, _ in (_place(edit, number, t) for number, edit in enumerate(edits))]
        # What lies as it did is drawn in one: where it is clear in part, pieces over one another would be less clear.
        instead: dict[int, Piece | None] = {}
        for whole in self._wholes:
            remains = {id(piece) for piece in whole.remains}
            if whole.parts and all(piece.is_still(amounts) for piece in (whole, *whole.remains)):
                lowest = next(id(piece) for piece in self.pieces if id(piece) in remains)
                instead.update({piece: whole if piece == lowest else None for piece in remains})
        chosen = [instead.get(id(piece), piece) for piece in self._from_back_to_front(t)]
        drawn = [piece for piece in chosen if piece is not None]
        layers = [unfolded(piece, amounts, depths, max_nodes) for piece in drawn]
        self.is_rough = any(piece.is_rough for piece in drawn)
        return replace(self.picture, layers=tuple(chain.from_iterable(layers)))

    def _from_back_to_front(self, t: float) -> list[Piece]:
        """Return the pieces as they lie over one another at a time: those of later edits farther out."""
        edits = self.script.edits

        def place(piece: Piece) -> tuple[float, int]:
            return (0.0, 0) if piece.taken_by is None else _place(edits[piece.taken_by], piece.taken_by, t)

        return sorted(self.pieces, key=place)

    @property
    def canvas(self) -> Bounds | None:
        """Left, top, right and bottom of what the script draws; None for the whole picture.

        Raises:
            GainerError: What is shown reaches too far to be drawn.
        """
        script = self.script
        if script.canvas != "auto":
            return script.canvas
        found = extent_of(self.pieces, map(self._amounts, script.times))
        if found is None:
            return None
        left, top, right, bottom = even(found) if script.frame_count() else found
        if (right - left) * (bottom - top) > MAX_PIXELS:
            raise GainerError(
                f"{script.where('canvas')}: auto takes in {right - left:g} x {bottom - top:g} pixels, but at most "
                f"{MAX_PIXELS // 10**6} megapixels can be drawn; write [left, top, right, bottom]"
            )
        return left, top, right, bottom

    def hole(self) -> Bool[Tensor, "h w"]:
        """Return the pixels of the main picture out of which a piece was cut."""
        plane, device = self.picture.plane, self.picture.device
        hole = torch.zeros(plane.pixels, dtype=torch.bool, device=device)
        pixels = plane.pixel_from_plane(plane.pixel_centres(torch.arange(plane.pixels, device=device)))
        for piece in self.pieces:
            if piece.picture is None and piece.inside:
                hole |= torch.stack([selection.field(pixels) > 0 for selection in piece.inside]).all(dim=0)
        return hole.view(plane.height, plane.width)

    def _take(self, number: int) -> list[Piece]:
        edit = self.script.edits[number]
        if edit.select.matte:
            from gainer_ns.editing.cut_outs import settle_matte  # which fits

            settle_matte(edit.select, self._sources[edit.layer])
        cut_out = super()._take(number)
        for piece in cut_out:
            piece.taken_by = number
        self.pieces = self._from_back_to_front(0.0)
        if not any(step.edit == number for piece in self.pieces for step in piece.steps):
            _logger.warning(
                "%s: selects nothing that is visible, so nothing of it moves; select where the picture shows something",
                self.script.where("edits", number),
            )
        for where, problem in self._doubts(number):
            _logger.warning("%s: %s", self.script.where("edits", number, *where), problem)
        return cut_out

    def _doubts(self, number: int) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield what an edit does that is hardly meant, and where it says so."""
        edit = self.script.edits[number]
        size = "{} x {} pixels".format(*self.size_of(edit.layer))
        for piece in [piece for piece in self.pieces if piece.picture == edit.layer][:1]:
            for rig in (operation for operation in edit.operations if isinstance(operation, Rig)):
                if far := rig.far_joints(_whole_box(piece)):
                    lie = "lies" if len(far) == 1 else "lie"
                    yield ("rig", "joints"), f"{', '.join(far)} {lie} far outside the picture, which is {size}"
            if self.script.background.transparent and self._opens_frame(piece, edit, number):
                sides = _whole_box(piece)
                gaps = [abs(side - own) for side, own in zip(sides, _box(edit, piece), strict=True)]
                narrow = math.floor(_FRAME_KEPT * min(gaps) / piece.scale)
                keeps = f"feather: {narrow} keeps the frame, " if narrow >= 1 else ""
                yield (
                    (),
                    f"pulls the picture's frame in; {keeps}background: {{inpaint: telea}} paints what it leaves open",
                )

    def _opens_frame(self, piece: Piece, edit: Edit, number: int) -> bool:
        """Return whether an opaque picture, which follows a region in part, leaves its frame open."""
        if edit.cuts or edit.select.all or piece.rest.layer.has_alpha or piece.presence is not None:
            return False
        left, top, right, bottom = map(float, piece.rest.box)
        along = torch.linspace(0.0, 1.0, _FRAME_POINTS, dtype=torch.float64)
        x, y = left + along * (right - left), top + along * (bottom - top)
        amounts = [edit.peak if i == number else 0.0 for i in range(len(self.script.edits))]
        inwards = []
        for axis, side, way in ((0, left, 1), (0, right, -1), (1, top, 1), (1, bottom, -1)):
            points = torch.stack([torch.full_like(y, side), y] if axis == 0 else [x, torch.full_like(x, side)], dim=1)
            inwards.append(
                way * (piece.carried(amounts, points) - piece.carried([0.0] * len(amounts), points))[:, axis]
            )
        return bool((torch.cat(inwards) > 1.0).any())

    def _share(self, piece: Piece, edit: Edit) -> SelectedShare:
        if piece.picture != edit.layer or edit.select in piece.outside:
            return "none"
        if edit.select.all or edit.select in piece.inside:
            return "all"
        if edit.cuts or edit.select.is_painted:
            selected = piece.rest.selected(edit.select)
            weights = selected.weights[selected.within(piece.is_visible)]
            some, whole = bool((weights > 0).any()), int((weights >= 1).sum()) == int(piece.is_visible.sum())
        else:
            visible = piece.rest.pixels[piece.is_visible]
            inside = torch.cat([edit.select.depth(block) > 0 for block in visible.split(BLOCK_PIXELS)])
            some, whole = bool(inside.any()), bool(inside.all())
        return ("all" if whole else "some") if some else "none"

    def _parted(self, piece: Piece, edit: Edit) -> tuple[Piece, Piece]:
        field = piece.rest.selected(edit.select).field
        parts = parted(piece, field, upper=edit.depth(0.0) >= 0, width=edit.select.softness)
        if edit.select.matte:
            from gainer_ns.editing.cut_outs import take_own_colours

            take_own_colours(*parts, edit.select)
        return parts

    def _whole_step(self, piece: Piece, edit: Edit, number: int, operations: tuple[Operation, ...]) -> Step:
        """Return what an edit does to a piece; refuse operations on material that something has moved before."""
        step = Step(number, operations, _box(edit, piece), None, piece.source)
        self._check(step, piece, _whole_box(piece))
        return step

    def _halves(self, piece: Piece, step: Step, cut: Cut) -> tuple[Piece, Piece]:
        left_of = cut.left_of(replace(piece, steps=(*piece.steps, step)).carried(self.ends, piece.rest.pixels))
        return parted(piece, 0.5 + left_of.view(piece.rest.shape), upper=True)


def rest_pictures(picture: BakedPicture) -> list[RestPicture]:
    """Return a picture's layers as scripts find them."""
    return [RestPicture(layer, picture.plane) for layer in picture.layers]


def _pieces(name: str | None, rests: Sequence[RestPicture], canvas: ImagePlane) -> list[Piece]:
    """Return a picture's layers as pieces."""
    return [Piece(name, rest, canvas) for rest in rests]


def _place(edit: Edit, number: int, t: float) -> tuple[float, int]:
    """Return how near what an edit moves is at a time, and what counts among equals: later ones are farther out."""
    depth = edit.depth(t)
    return depth, number + 1 if depth >= 0 else -number - 1


def _box(edit: Edit, piece: Piece) -> Bounds:
    """Return the box of an edit's selection on the canvas."""
    return _on_canvas(piece, edit.select.bounds(piece.plane.width, piece.plane.height))


def _whole_box(piece: Piece) -> Bounds:
    """Return where all of a piece's own picture was laid on the canvas."""
    return _on_canvas(piece, (0.0, 0.0, piece.plane.width, piece.plane.height))


def _on_canvas(piece: Piece, box: Bounds) -> Bounds:
    """Return where a box in pixels of a piece's own picture was laid."""
    left, top, right, bottom = (piece.place[side % 2] + piece.scale * box[side] for side in range(4))
    return left, top, right, bottom
