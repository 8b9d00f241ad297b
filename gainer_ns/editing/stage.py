"""An edit script made ready: pictures taken apart into pieces, and put together again at any time of the film."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from gainer_ns.editing.borders import UNSEEN, unframed
from gainer_ns.editing.limits import limited
from gainer_ns.editing.operations import Cut, Operation
from gainer_ns.editing.pieces import Piece, Placed, Step, Weights, border_holds, parted
from gainer_ns.editing.script import Edit, Script
from gainer_ns.frames import ImagePlane
from gainer_ns.rendering.plane import BakedPicture


@dataclass(frozen=True)
class _Border:
    """What lies at the border of an edit's selection, in one piece.

    Attributes:
        piece: The piece.
        start: Where it is before the edit.
        weights: How much it follows; None where the border is hard, and nothing follows in part.
        blends: Whether it was found that it may follow.
    """

    piece: Piece
    start: Placed
    weights: Weights | None
    blends: bool = False


class Stage:
    """Pieces of pictures, from back to front, and what a script does to them.

    Args:
        script: What is done.
        picture: The main picture.
        layers: The further pictures that the script names.

    Raises:
        GainerError: A selection does not fit its picture.
    """

    def __init__(self, script: Script, picture: BakedPicture, layers: Mapping[str, BakedPicture] | None = None) -> None:
        self.script, self.picture = script, picture
        self.pieces = self._wholes = _pieces(None, picture, picture.plane)
        for name, laid in script.layers.items():
            other = (layers or {})[name].told_in(picture.profile)
            script.check_selections(name, other.plane.width, other.plane.height)
            pieces = [
                replace(piece, place=laid.place, scale=laid.scale) for piece in _pieces(name, other, picture.plane)
            ]
            self.pieces = [*self.pieces, *pieces] if laid.order == "front" else [*pieces, *self.pieces]
        self._borders: list[_Border] = []
        for number in range(len(script.edits)):
            self._take(number)

    def follow(self, script: Script) -> bool:
        """Takes another script, if its last edit moves otherwise what it moved before, and all else is as it was.

        Nothing is taken apart anew then, so it is fast: for a hand that drags something.

        Args:
            script: The other one.

        Returns:
            Whether it is taken. If not, nothing has changed: another stage must be made for it.
        """
        if script is self.script:
            return True
        edits, before = script.edits, self.script.edits
        if len(edits) != len(before) or not edits or edits[:-1] != before[:-1] or script.layers != self.script.layers:
            return False
        edit, number = edits[-1], len(edits) - 1
        if any(getattr(edit, word) != getattr(before[-1], word) for word in ("select", "layer", "order", "seam")):
            return False
        if any(isinstance(operation, Cut) for operation in (*edit.operations, *before[-1].operations)):
            return False
        if any(self._holds(border, edit, number) != border.blends for border in self._borders):
            return False
        self.script = script
        for piece in self.pieces:
            piece.follow(number, edit.operations)
        return True

    def at(self, t: float) -> BakedPicture:
        """The picture at a time from 0 to 1."""
        amounts = [edit.amount(t) for edit in self.script.edits]
        # What lies as it did is drawn in one: where it is clear in part, pieces over one another would be less clear.
        instead: dict[int, Piece | None] = {}
        for whole in self._wholes:
            remains = {id(piece) for piece in whole.remains}
            if whole.parts and all(piece.is_still(amounts) for piece in (whole, *whole.remains)):
                lowest = next(id(piece) for piece in self.pieces if id(piece) in remains)
                instead.update({piece: whole if piece == lowest else None for piece in remains})
        drawn = [instead.get(id(piece), piece) for piece in self.pieces]
        return replace(self.picture, layers=tuple(piece.posed(amounts) for piece in drawn if piece is not None))

    def hole(self) -> Bool[Tensor, "h w"]:
        """The pixels of the main picture out of which a piece was cut."""
        plane, device = self.picture.plane, self.picture.device
        hole = torch.zeros(plane.pixels, dtype=torch.bool, device=device)
        pixels = plane.pixel_from_plane(plane.pixel_centres(torch.arange(plane.pixels, device=device)))
        for piece in self.pieces:
            if piece.picture is None and piece.inside:
                hole |= torch.stack([selection.field(pixels) > 0 for selection in piece.inside]).all(dim=0)
        return hole.view(plane.height, plane.width)

    def _take(self, number: int) -> None:
        """Makes ready for one edit: cuts pieces where it must, and says how each moves."""
        edit = self.script.edits[number]
        stack: list[Piece] = []
        loose: list[Piece] = []
        self._borders = []
        for piece in self.pieces:
            share = self._share(piece, edit) if piece.picture == edit.layer else "none"
            if share == "none":
                stack.append(piece)
            elif share == "all":
                stack.extend(self._moved(piece, edit, number))
            elif self._blends(piece, edit, number):
                piece.steps = (*piece.steps, Step(number, edit.operations, _box(edit, piece), edit.select))
                stack.append(piece)
            else:
                inside = edit.select.field(piece.origins)
                left, taken = parted(piece, inside, upper=edit.order == "front", width=edit.select.softness)
                left.outside, taken.inside = (*left.outside, edit.select), (*taken.inside, edit.select)
                stack.append(left)
                loose.extend(self._moved(taken, edit, number))
        self.pieces = [*stack, *loose] if edit.order == "front" else [*loose, *stack]

    def _share(self, piece: Piece, edit: Edit) -> str:
        """How much of what a piece shows an edit selects: all, some or none."""
        if edit.select.all or edit.select in piece.inside:
            return "all"
        if edit.select in piece.outside:
            return "none"
        gaussians = (
            piece.layer.gaussians if piece.border is None else limited(piece.layer.gaussians, piece.border.limit)
        )
        shown = slice(None) if gaussians.opacities is None else gaussians.opacities > 0
        weights = edit.select.weights(piece.origins[shown])
        if not bool((weights > 0).any()):
            return "none"
        return "all" if bool((weights >= 1).all()) else "some"

    def _blends(self, piece: Piece, edit: Edit, number: int) -> bool:
        """Whether what surrounds the selection follows it, so that nothing needs to be cut."""
        if any(isinstance(operation, Cut) for operation in edit.operations):
            return False
        if edit.seam != "auto":
            return edit.seam == "blend"
        border = self._border(piece, edit, number)
        border = replace(border, blends=self._holds(border, edit, number))
        self._borders.append(border)
        return border.blends

    def _border(self, piece: Piece, edit: Edit, number: int) -> _Border:
        """What lies at the border of an edit's selection."""
        before = [edit.amount(1.0) for edit in self.script.edits[:number]]
        if not edit.select.is_soft:
            near = (edit.select.field(piece.origins).abs() <= 0.5).nonzero()[:, 0]  # what lies just outside
            return _Border(piece, piece.placed(before, piece.origins[near]), None)
        weights = edit.select.weights(piece.origins)
        near = ((weights > 0) & (weights < 1)).nonzero()[:, 0]
        origins = piece.origins[near]
        return _Border(piece, piece.placed(before, origins), Weights.of(edit.select, origins))

    def _holds(self, border: _Border, edit: Edit, number: int) -> bool:
        """Whether what lies at a border may follow an edit."""
        start, step = border.start, Step(number, edit.operations, _box(edit, border.piece), edit.select)
        whole = step.moved(start, edit.peak, None)
        if border.weights is None:
            return bool(((whole.points - start.points).norm(dim=1) < UNSEEN).all())
        return border_holds(start, whole, step.moved(start, edit.peak, border.weights))

    def _moved(self, piece: Piece, edit: Edit, number: int) -> list[Piece]:
        """The parts into which an edit's operations take a piece, each with what the edit does to it."""
        parts: list[tuple[Piece, tuple[Operation, ...]]] = [(piece, ())]
        for operation in edit.operations:
            if not isinstance(operation, Cut):
                parts = [(part, (*before, operation)) for part, before in parts]
                continue
            box = _box(edit, piece)
            halves: list[tuple[Piece, tuple[Operation, ...]]] = []
            for part, before in parts:
                amounts = [edit.amount(1.0) for edit in self.script.edits]
                done = replace(part, steps=(*part.steps, Step(number, before, box)), seams=(), _posed=None)
                left_of = operation.left_of(done.placed(amounts).points)
                right, left = parted(part, 0.5 + left_of, upper=True)
                for half, move in zip((left, right), operation.halves, strict=True):
                    halves.append((half, (*before, move)))
            parts = halves
        for part, operations in parts:
            part.steps = (*part.steps, Step(number, operations, _box(edit, part)))
        return [part for part, _ in parts]


def _pieces(name: str | None, picture: BakedPicture, canvas: ImagePlane) -> list[Piece]:
    """A picture's layers as pieces."""
    unbounded = [unframed(layer, picture.plane) for layer in picture.layers]
    return [Piece(name, layer, picture.plane, canvas, border) for layer, border in unbounded]


def _box(edit: Edit, piece: Piece) -> tuple[float, float, float, float]:
    """The box of an edit's selection on the canvas."""
    box = edit.select.bounds(piece.plane.width, piece.plane.height)
    left, top, right, bottom = (piece.place[side % 2] + piece.scale * box[side] for side in range(4))
    return left, top, right, bottom
